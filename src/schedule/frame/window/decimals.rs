//! Folds of the decimals so far.

use super::super::decimal::{checked, overflow};
use super::Function;
use crate::error::Result;
use crate::expr::frame::AggOp;
use arrow::array::{ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, DecimalType};
use std::sync::Arc;

/// The sum, the smallest or the largest of all values so far; a sum of more digits than its type holds is an error.
pub(super) struct Decimals<T: DecimalType> {
    fold: AggOp,
    output: DataType,
    /// By group: the fold, if there was a value.
    state: Vec<Option<T::Native>>,
}

impl<T: DecimalType> Decimals<T> {
    pub fn new(fold: AggOp, output: DataType) -> Decimals<T> {
        Decimals { fold, output, state: vec![] }
    }
}

impl<T: DecimalType> Function for Decimals<T> {
    fn next(&mut self, inputs: &[ArrayRef], slots: &[u32], groups: usize) -> Result<ArrayRef> {
        let name = format!("cum_{}", self.fold);
        self.state.resize(groups, None);
        let values = cast(&inputs[0], &self.output).map_err(|e| overflow(&name, e))?;
        let mut out = Vec::with_capacity(slots.len());
        for (value, &slot) in values.as_primitive::<T>().iter().zip(slots) {
            let state = &mut self.state[slot as usize];
            let next = match (value, *state) {
                (Some(v), Some(so_far)) => Some(match self.fold {
                    AggOp::Min => {
                        if v.is_lt(so_far) {
                            v
                        } else {
                            so_far
                        }
                    }
                    AggOp::Max => {
                        if v.is_gt(so_far) {
                            v
                        } else {
                            so_far
                        }
                    }
                    _ => so_far.add_checked(v).map_err(|e| overflow(&name, e))?,
                }),
                (first, _) => first,
            };
            *state = next.or(*state);
            out.push(next);
        }
        let out = PrimitiveArray::<T>::from_iter(out).with_data_type(self.output.clone());
        checked(Arc::new(out), &name)
    }

    fn nbytes(&self) -> usize {
        self.state.capacity() * size_of::<Option<T::Native>>()
    }
}
