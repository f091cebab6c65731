//! Folds that no kernel does: values are kept with their groups until the end.

use super::super::decimal;
use super::super::evaluate::internal;
use super::super::keys::Keys;
use super::best::{self, Best, MOST};
use super::user;
use crate::block::batch::column_bytes;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{UserFold, is_text};
use crate::plan::frame::HostFold;
use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, UInt32Array, new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{SortOptions, cast, concat, take};
use arrow::datatypes::{DataType, Field, Float64Type};
use std::borrow::Cow;
use std::sync::Arc;

/// What is kept for a fold of the host.
pub(super) enum Kept {
    /// The values of every row that counts.
    Rows(Rows),
    /// The few largest or smallest of every group.
    Best(Best),
}

/// Values, each with its group.
#[derive(Clone, Default)]
pub(super) struct Rows {
    pub groups: Vec<u32>,
    pub values: Vec<ArrayRef>,
}

impl Kept {
    /// Nothing yet, of values of a type.
    pub fn new(fold: &HostFold, input: &DataType) -> Kept {
        match *fold {
            HostFold::Top { k, largest } if (1..=MOST).contains(&k) => {
                Kept::Best(Best::new(k, largest, input.clone()))
            }
            _ => Kept::Rows(Rows::default()),
        }
    }

    /// Nothing yet, of the same fold.
    pub fn sibling(&self) -> Kept {
        match self {
            Kept::Rows(_) => Kept::Rows(Rows::default()),
            Kept::Best(best) => Kept::Best(best.sibling()),
        }
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        match self {
            Kept::Rows(rows) => rows.nbytes(),
            Kept::Best(best) => best.nbytes(),
        }
    }

    /// Bytes that it takes for each group, besides those of rows.
    pub fn record(&self) -> usize {
        match self {
            Kept::Rows(_) => 0,
            Kept::Best(best) => best.record(),
        }
    }

    /// Keeps what the fold needs of a batch, whose rows are of these of all `groups` groups.
    pub fn push(&mut self, fold: &HostFold, values: &ArrayRef, slots: &[u32], groups: usize) -> Result<()> {
        match self {
            Kept::Rows(rows) => rows.push(fold, values, slots),
            Kept::Best(best) => best.push(values, slots, groups),
        }
    }

    /// Takes in what was kept elsewhere, whose rows are here of these of all `groups` groups.
    pub fn extend(
        &mut self,
        of: impl Iterator<Item = u32>,
        values: &[ArrayRef],
        groups: usize,
    ) -> Result<()> {
        match self {
            Kept::Rows(rows) => {
                rows.groups.extend(of);
                rows.values.extend(values.iter().cloned());
                Ok(())
            }
            Kept::Best(best) => {
                let of: Vec<u32> = of.collect();
                let mut rest = of.as_slice();
                for values in values {
                    let (these, others) = rest.split_at(values.len());
                    best.push(values, these, groups)?;
                    rest = others;
                }
                Ok(())
            }
        }
    }

    /// All that is kept.
    pub fn rows(&self) -> Result<Cow<'_, Rows>> {
        match self {
            Kept::Rows(rows) => Ok(Cow::Borrowed(rows)),
            Kept::Best(best) => best.rows().map(Cow::Owned),
        }
    }

    /// A value for every group.
    pub fn finish(&self, fold: &HostFold, t: &DataType, groups: usize) -> Result<ArrayRef> {
        match self {
            Kept::Rows(rows) => rows.finish(fold, t, groups),
            Kept::Best(best) => {
                let (values, lengths) = best.lists(groups)?;
                list(values, t, lengths)
            }
        }
    }

    /// Leaves out values that the fold will not want, of what is kept so far.
    pub fn reduce(&mut self, fold: &HostFold, groups: usize) -> Result<()> {
        match self {
            Kept::Rows(rows) => rows.reduce(fold, groups),
            Kept::Best(_) => Ok(()),
        }
    }
}

impl Rows {
    /// Bytes that they take.
    pub fn nbytes(&self) -> usize {
        4 * self.groups.capacity() + self.values.iter().map(column_bytes).sum::<usize>()
    }

    /// Keeps what the fold needs of a batch: first and last need one row a group.
    fn push(&mut self, fold: &HostFold, values: &ArrayRef, slots: &[u32]) -> Result<()> {
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
    fn finish(&self, fold: &HostFold, t: &DataType, groups: usize) -> Result<ArrayRef> {
        if let HostFold::User(fold, input) = fold {
            return user::finish(fold, input, self.states(fold)?, groups);
        }
        let parts: Vec<&dyn Array> = self.values.iter().map(|v| v.as_ref()).collect();
        if parts.is_empty() {
            return Ok(match fold {
                HostFold::NUnique => Arc::new(Int64Array::from_value(0, groups)),
                HostFold::Sum(name) => decimal::sums(&new_empty_array(t), &[], groups, name)?,
                HostFold::Top { .. } | HostFold::List => {
                    list(new_empty_array(item(t)), t, std::iter::repeat_n(0, groups))?
                }
                _ => arrow::array::new_null_array(t, groups),
            });
        }
        let all = concat(&parts).map_err(internal)?;
        let at = |pick: Vec<Option<u32>>| take(&all, &UInt32Array::from(pick), None).map_err(internal);
        match fold {
            HostFold::User(..) => Err(Error::internal("states of a fold of the user's")),
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
                let text = is_text(all.data_type());
                let values = if text { &cast(&all, &DataType::LargeUtf8).map_err(internal)? } else { &all };
                let ranks = arrow::compute::rank(values, Some(SortOptions::default())).map_err(internal)?;
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
            HostFold::Top { .. } => {
                let (all, rows, lengths) = self.top(fold, groups)?;
                let rows = UInt32Array::from(rows);
                list(take(&all, &rows, None).map_err(internal)?, t, lengths.into_iter())
            }
            HostFold::List => {
                if all.len() > i32::MAX as usize {
                    return Err(too_long());
                }
                let rows: Vec<u32> = (0..all.len() as u32).collect();
                let mut sorted = Vec::with_capacity(rows.len());
                let lengths = self.by_group(&rows, groups, |rows| {
                    sorted.extend_from_slice(rows);
                    rows.len()
                });
                let rows = UInt32Array::from(sorted);
                list(take(&all, &rows, None).map_err(internal)?, t, lengths.into_iter())
            }
            HostFold::Sum(name) => decimal::sums(&all, &self.groups, groups, name),
            HostFold::Quantile(q) => {
                let values = cast(&all, &DataType::Float64).map_err(internal)?;
                let out =
                    self.by_group(values.as_primitive::<Float64Type>().values(), groups, |v| quantile(v, *q));
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

    /// Leaves out values that the fold will not want, of what is kept so far.
    fn reduce(&mut self, fold: &HostFold, groups: usize) -> Result<()> {
        if let HostFold::User(fold, _) = fold {
            if let Some((groups, states)) = self.states(fold)? {
                (self.groups, self.values) = (groups, vec![states]);
            }
            return Ok(());
        }
        let k = match fold {
            HostFold::Top { k, .. } => *k,
            HostFold::First | HostFold::Last | HostFold::Min | HostFold::Max | HostFold::Sum(_) => {
                return self.reduce_to_one(fold, groups);
            }
            _ => return Ok(()),
        };
        if self.groups.len() <= k.saturating_mul(2).saturating_mul(groups) || self.values.is_empty() {
            return Ok(());
        }
        let (all, mut rows, _) = self.top(fold, groups)?;
        rows.sort_unstable();
        self.groups = rows.iter().map(|&r| self.groups[r as usize]).collect();
        self.values = vec![take(&all, &UInt32Array::from(rows), None).map_err(internal)?];
        Ok(())
    }

    /// The states of a fold of the user's, one a group; none if there is nothing.
    fn states(&self, fold: &UserFold) -> Result<Option<(Vec<u32>, ArrayRef)>> {
        let parts: Vec<&dyn Array> = self.values.iter().map(|v| v.as_ref()).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        user::states(fold, &concat(&parts).map_err(internal)?, &self.groups).map(Some)
    }

    /// Leaves one value a group of folds that are one of the values.
    fn reduce_to_one(&mut self, fold: &HostFold, groups: usize) -> Result<()> {
        let Some(first) = self.values.first().filter(|_| self.groups.len() > 2 * groups) else {
            return Ok(());
        };
        let best = self.finish(fold, &first.data_type().clone(), groups)?;
        let nulls = best.logical_nulls();
        let valid = |g: &u32| nulls.as_ref().is_none_or(|n| n.is_valid(*g as usize));
        self.groups = (0..groups as u32).filter(valid).collect();
        let rows = UInt32Array::from(self.groups.clone());
        self.values = vec![take(&best, &rows, None).map_err(internal)?];
        Ok(())
    }

    /// All values; the rows of the largest or smallest of every group in order, of equal ones the first; and how many of each.
    fn top(&self, fold: &HostFold, groups: usize) -> Result<(ArrayRef, Vec<u32>, Vec<usize>)> {
        let &HostFold::Top { k, largest } = fold else {
            return Err(Error::internal("no fold of the largest"));
        };
        let parts: Vec<&dyn Array> = self.values.iter().map(|v| v.as_ref()).collect();
        let all = concat(&parts).map_err(internal)?;
        let mut keyed: Vec<(u64, u32)> = Vec::with_capacity(all.len());
        best::for_each_rank(&all, largest, |rank| keyed.push((!rank, keyed.len() as u32)))?;
        let mut rows = Vec::with_capacity(groups * k.min(16));
        let lengths = self.by_group(&keyed, groups, |v| {
            if v.len() > k && k > 0 {
                v.select_nth_unstable(k - 1);
            }
            let n = k.min(v.len());
            let best = &mut v[..n];
            best.sort_unstable();
            rows.extend(best.iter().map(|(_, row)| *row));
            n
        });
        Ok((all, rows, lengths))
    }

    /// A function of every group's values.
    fn by_group<T: Copy + Default, R>(
        &self,
        values: &[T],
        groups: usize,
        mut f: impl FnMut(&mut [T]) -> R,
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

/// The type of a list's values.
fn item(list: &DataType) -> &DataType {
    match list {
        DataType::List(field) => field.data_type(),
        other => other,
    }
}

fn too_long() -> Error {
    let what = "lists of more than 2^31 values together".into();
    ErrorKind::Unsupported { what, hint: "group by something finer, or filter first".into() }.into()
}

/// Lists of these lengths, of values one after the other.
fn list(values: ArrayRef, t: &DataType, lengths: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    if values.len() > i32::MAX as usize {
        return Err(too_long());
    }
    let field = Arc::new(Field::new_list_field(item(t).clone(), true));
    Ok(Arc::new(
        ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None).map_err(internal)?,
    ))
}

/// The group of a row; without keys, all have one.
pub(super) fn slot_of(slots: &[u32], row: u32) -> u32 {
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
    Some(match b - a {
        _ if a == b => a,
        step if step.is_finite() => a + step * part,
        _ => a * (1.0 - part) + b * part,
    })
}
