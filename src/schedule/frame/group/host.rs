//! Folds that no kernel does: values are kept with their groups until the end.

use super::super::evaluate::internal;
use super::super::keys::Keys;
use crate::error::Result;
use crate::plan::frame::HostFold;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt32Array};
use arrow::compute::{SortOptions, cast, concat, take};
use arrow::datatypes::{DataType, Float64Type};
use std::sync::Arc;

/// The values of a host's fold: of every row that counts, with its group.
#[derive(Default)]
pub(super) struct Kept {
    pub groups: Vec<u32>,
    pub values: Vec<ArrayRef>,
}

impl Kept {
    /// Keeps what the fold needs of a batch: first and last need one row a group.
    pub fn push(&mut self, fold: HostFold, values: &ArrayRef, slots: &[u32]) -> Result<()> {
        let valid = values.logical_nulls();
        let counts = |i: &u32| valid.as_ref().is_none_or(|v| v.is_valid(*i as usize));
        let mut rows: Vec<u32> = (0..values.len() as u32).filter(counts).collect();
        match fold {
            HostFold::First => {
                let mut seen = hashbrown::HashSet::<u32, super::super::keys::Mixer>::default();
                rows.retain(|&i| seen.insert(slot_of(slots, i)));
            }
            HostFold::Last => {
                let mut seen = hashbrown::HashSet::<u32, super::super::keys::Mixer>::default();
                rows.reverse();
                rows.retain(|&i| seen.insert(slot_of(slots, i)));
                rows.reverse();
            }
            _ => {}
        }
        self.groups.extend(rows.iter().map(|&i| slot_of(slots, i)));
        self.values.push(if rows.len() == values.len() {
            values.clone()
        } else {
            take(values, &UInt32Array::from(rows), None).map_err(internal)?
        });
        Ok(())
    }

    /// A value for every group.
    pub fn finish(&self, fold: HostFold, t: &DataType, groups: usize) -> Result<ArrayRef> {
        let parts: Vec<&dyn Array> = self.values.iter().map(|v| v.as_ref()).collect();
        if parts.is_empty() {
            return Ok(match fold {
                HostFold::NUnique => Arc::new(Int64Array::from_value(0, groups)),
                _ => arrow::array::new_null_array(t, groups),
            });
        }
        let all = concat(&parts).map_err(internal)?;
        let at = |pick: Vec<Option<u32>>| take(&all, &UInt32Array::from(pick), None).map_err(internal);
        match fold {
            HostFold::First => {
                let mut pick = vec![None; groups];
                for (i, &g) in self.groups.iter().enumerate() {
                    pick[g as usize].get_or_insert(i as u32);
                }
                at(pick)
            }
            HostFold::Last => {
                let mut pick = vec![None; groups];
                for (i, &g) in self.groups.iter().enumerate() {
                    pick[g as usize] = Some(i as u32);
                }
                at(pick)
            }
            HostFold::Min | HostFold::Max => {
                let text = cast(&all, &DataType::LargeUtf8).map_err(internal)?;
                let ranks = arrow::compute::rank(&text, Some(SortOptions::default())).map_err(internal)?;
                let mut pick: Vec<Option<u32>> = vec![None; groups];
                for (i, &g) in self.groups.iter().enumerate() {
                    let better = |j: u32| match fold {
                        HostFold::Min => ranks[i] < ranks[j as usize],
                        _ => ranks[i] > ranks[j as usize],
                    };
                    let best = &mut pick[g as usize];
                    if best.is_none_or(better) {
                        *best = Some(i as u32);
                    }
                }
                at(pick)
            }
            HostFold::Quantile(q) => {
                let values = cast(&all, &DataType::Float64).map_err(internal)?;
                let out =
                    self.by_group(values.as_primitive::<Float64Type>().values(), groups, |v| quantile(v, q));
                Ok(Arc::new(out.into_iter().collect::<Float64Array>()))
            }
            HostFold::NUnique => {
                let mut keys = Keys::new([all.data_type().clone()])?;
                let mut codes = vec![0u32; all.len()];
                keys.number(&[all], &mut codes)?;
                let out = self.by_group(&codes, groups, |codes| {
                    codes.sort_unstable();
                    let different = 1 + codes.windows(2).filter(|w| w[0] != w[1]).count();
                    if codes.is_empty() { 0 } else { different as i64 }
                });
                Ok(Arc::new(Int64Array::from(out)))
            }
        }
    }

    /// A function of every group's values.
    fn by_group<T: Copy + Default, R>(
        &self,
        values: &[T],
        groups: usize,
        f: impl Fn(&mut [T]) -> R,
    ) -> Vec<R> {
        let mut ends = vec![0usize; groups + 1];
        for &g in &self.groups {
            ends[g as usize + 1] += 1;
        }
        for g in 0..groups {
            ends[g + 1] += ends[g];
        }
        let mut next = ends.clone();
        let mut sorted = vec![T::default(); values.len()];
        for (&g, &v) in self.groups.iter().zip(values) {
            sorted[next[g as usize]] = v;
            next[g as usize] += 1;
        }
        (0..groups).map(|g| f(&mut sorted[ends[g]..ends[g + 1]])).collect()
    }
}

fn slot_of(slots: &[u32], row: u32) -> u32 {
    if slots.len() == 1 { slots[0] } else { slots[row as usize] }
}

/// The quantile of values, linear between the two nearest (Hyndman and Fan's type 7); NaN if there is one among them.
fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    if values.iter().any(|v| v.is_nan()) {
        return Some(f64::NAN);
    }
    let at = q * last as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let (_, &mut a, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    if part == 0.0 {
        return Some(a);
    }
    let b = above.iter().copied().fold(f64::INFINITY, f64::min);
    // two infinities are their own middle
    Some(if a == b { a } else { a + (b - a) * part })
}
