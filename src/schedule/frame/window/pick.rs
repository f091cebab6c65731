//! Functions whose results are values of earlier rows as they are: of any type.

use super::super::evaluate::internal;
use super::Function;
use crate::error::Result;
use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::interleave;
use std::collections::VecDeque;

/// A row of one of the batches that are remembered; batch 0 is a null.
type Place = (u32, u32);

const NULL: Place = (0, 0);

/// Rows of batches that are remembered without need, before what is needed is copied out of them.
const IDLE: usize = 1 << 18;

/// The value some rows before, or the last one that is not null.
pub(super) struct Pick {
    /// Rows back; none if nulls are filled.
    shift: Option<usize>,
    /// By group: the last rows that will be wanted.
    last: Vec<VecDeque<Place>>,
    /// Batches in which they are; the first is a null.
    batches: Vec<ArrayRef>,
    remembered: usize,
    needed: usize,
}

impl Pick {
    pub fn shift(rows: usize) -> Pick {
        Pick { shift: Some(rows), last: vec![], batches: vec![], remembered: 0, needed: 0 }
    }

    pub fn fill() -> Pick {
        Pick { shift: None, ..Pick::shift(0) }
    }

    /// Copies what is needed out of the batches.
    fn compact(&mut self) -> Result<()> {
        let needed: Vec<(usize, usize)> =
            self.last.iter().flatten().map(|&(b, i)| (b as usize, i as usize)).collect();
        let batches: Vec<&dyn Array> = self.batches.iter().map(|b| b.as_ref()).collect();
        let kept = interleave(&batches, &needed).map_err(internal)?;
        self.batches.truncate(1);
        self.batches.push(kept);
        self.remembered = needed.len();
        for (k, place) in self.last.iter_mut().flatten().enumerate() {
            *place = (1, k as u32);
        }
        Ok(())
    }
}

impl Function for Pick {
    fn next(&mut self, inputs: &[ArrayRef], slots: &[u32], groups: usize) -> Result<ArrayRef> {
        let values = &inputs[0];
        if self.shift == Some(0) {
            return Ok(values.clone());
        }
        if self.batches.is_empty() {
            self.batches.push(new_null_array(values.data_type(), 1));
        }
        self.last.resize_with(groups, VecDeque::new);
        let here = self.batches.len() as u32;
        self.batches.push(values.clone());
        self.remembered += values.len();
        // what is filled forward: the values that are not null, or those of certain rows
        let nulls = values.logical_nulls();
        let certain = inputs.get(1).map(|c| c.as_boolean());
        let counts = |i: usize| match certain {
            Some(rows) => rows.is_valid(i) && rows.value(i),
            None => nulls.as_ref().is_none_or(|n| n.is_valid(i)),
        };
        let mut picked: Vec<(usize, usize)> = Vec::with_capacity(slots.len());
        for (i, &slot) in slots.iter().enumerate() {
            let last = &mut self.last[slot as usize];
            let mine = (here, i as u32);
            let (batch, row) = match self.shift {
                Some(n) => {
                    last.push_back(mine);
                    if last.len() > n { last.pop_front().unwrap_or(NULL) } else { NULL }
                }
                None => {
                    if counts(i) {
                        last.clear();
                        last.push_back(mine);
                    }
                    last.front().copied().unwrap_or(NULL)
                }
            };
            picked.push((batch as usize, row as usize));
        }
        let batches: Vec<&dyn Array> = self.batches.iter().map(|b| b.as_ref()).collect();
        let out = interleave(&batches, &picked).map_err(internal)?;
        self.needed = self.last.iter().map(VecDeque::len).sum();
        if self.remembered > IDLE.max(4 * self.needed) {
            self.compact()?;
        }
        Ok(out)
    }

    fn nbytes(&self) -> usize {
        let batches: usize = self.batches.iter().map(crate::block::batch::column_bytes).sum();
        batches + 8 * self.needed + 32 * self.last.capacity()
    }
}
