//! The few largest or smallest values of every group, folded as rows come.

use super::as_column;
use super::host::{Rows, slot_of};
use crate::block::Block;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::expr::frame::kernel_dtype;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

/// How many values of a group are kept in place.
pub(super) const MOST: usize = 8;

/// Up to `k` values of every group, as ranks.
pub(super) struct Best {
    k: usize,
    largest: bool,
    data_type: DataType,
    /// Places for `k` of every group, the best first; 0 where there is none yet, and it may be a rank.
    ranks: Vec<u64>,
    /// How many there are of every group.
    filled: Vec<u8>,
}

impl Best {
    pub fn new(k: usize, largest: bool, data_type: DataType) -> Best {
        Best { k, largest, data_type, ranks: vec![], filled: vec![] }
    }

    pub fn sibling(&self) -> Best {
        Best::new(self.k, self.largest, self.data_type.clone())
    }

    pub fn nbytes(&self) -> usize {
        8 * self.ranks.capacity() + self.filled.capacity()
    }

    /// Bytes of a group.
    pub fn record(&self) -> usize {
        8 * self.k + 1
    }

    /// Folds values, which are of these of all `groups` groups.
    pub fn push(&mut self, values: &ArrayRef, slots: &[u32], groups: usize) -> Result<()> {
        if groups > self.filled.len() {
            self.ranks.resize(groups * self.k, 0);
            self.filled.resize(groups, 0);
        }
        let nulls = values.logical_nulls();
        let (k, largest, mut row) = (self.k, self.largest, 0);
        for_each_rank(values, largest, |rank| {
            let group = slot_of(slots, row) as usize;
            let worst = self.ranks[group * k + k - 1];
            if (rank > worst || worst == 0) && nulls.as_ref().is_none_or(|n| n.is_valid(row as usize)) {
                self.insert(group, rank);
            }
            row += 1;
        })
    }

    fn insert(&mut self, group: usize, rank: u64) {
        let best = &mut self.ranks[group * self.k..][..self.k];
        let filled = &mut self.filled[group];
        let mut at = match *filled as usize {
            full if full == self.k && rank <= best[full - 1] => return,
            full if full == self.k => full - 1,
            n => {
                *filled += 1;
                n
            }
        };
        while at > 0 && best[at - 1] < rank {
            best[at] = best[at - 1];
            at -= 1;
        }
        best[at] = rank;
    }

    /// All values, in the order of groups, with their groups.
    pub fn rows(&self) -> Result<Rows> {
        let groups = self.filled.iter().enumerate();
        let groups = groups.flat_map(|(g, &n)| std::iter::repeat_n(g as u32, n as usize)).collect();
        let values = self.values()?;
        Ok(Rows { groups, values: if values.is_empty() { vec![] } else { vec![values] } })
    }

    /// The values of each of `groups` groups one after the other, the best first, and how many are whose.
    pub fn lists(&self, groups: usize) -> Result<(ArrayRef, impl Iterator<Item = usize>)> {
        let filled = self.filled.iter().map(|&n| n as usize);
        Ok((self.values()?, filled.chain(std::iter::repeat(0)).take(groups)))
    }

    fn values(&self) -> Result<ArrayRef> {
        let groups = self.ranks.chunks_exact(self.k).zip(&self.filled);
        let ranks = groups.flat_map(|(best, &n)| &best[..n as usize]);
        let bits = ranks.map(|&rank| if self.largest { rank } else { !rank });
        let block = match ordered_as(&self.data_type)? {
            DType::F64 => Block::from_vec(bits.map(float_of).collect::<Vec<f64>>()),
            DType::U64 => Block::from_vec(bits.collect::<Vec<u64>>()),
            _ => Block::from_vec(bits.map(|b| (b ^ SIGN) as i64).collect::<Vec<i64>>()),
        };
        as_column(block, None, &self.data_type)
    }
}

/// Calls a function with the rank of every value, null or not: of two the larger has the higher one if the largest are the best,
/// otherwise the lower one. NaN is the largest value, and -0 is below 0.
pub(super) fn for_each_rank(array: &ArrayRef, largest: bool, mut f: impl FnMut(u64)) -> Result<()> {
    let own = kernel_dtype(array.data_type()).ok_or_else(no_number)?;
    let flip = if largest { 0 } else { u64::MAX };
    let common = ordered_as(array.data_type())?;
    let block = crate::block::batch::values(array, own).cast(common).to_contiguous();
    match common {
        DType::F64 => block.as_slice::<f64>()?.iter().for_each(|&v| f(bits_of(v) ^ flip)),
        DType::U64 => block.as_slice::<u64>()?.iter().for_each(|&v| f(v ^ flip)),
        _ => block.as_slice::<i64>()?.iter().for_each(|&v| f(v as u64 ^ SIGN ^ flip)),
    }
    Ok(())
}

const SIGN: u64 = 1 << 63;

/// The type in which values of a type are compared; it holds all of them.
fn ordered_as(t: &DataType) -> Result<DType> {
    Ok(match kernel_dtype(t).ok_or_else(no_number)? {
        float if float.is_float() => DType::F64,
        DType::U64 => DType::U64,
        _ => DType::I64,
    })
}

/// Bits that compare as floats do.
fn bits_of(v: f64) -> u64 {
    match v.to_bits() {
        _ if v.is_nan() => u64::MAX,
        b if b & SIGN != 0 => !b,
        b => b | SIGN,
    }
}

fn float_of(bits: u64) -> f64 {
    match bits {
        u64::MAX => f64::NAN,
        b if b & SIGN != 0 => f64::from_bits(b ^ SIGN),
        b => f64::from_bits(!b),
    }
}

fn no_number() -> Error {
    Error::internal("no numbers to compare")
}
