//! Sorting: every span's rows are put in order as they come, and the ordered runs are merged.

use super::super::cache::KernelCache;
use super::evaluate::{evaluate, internal};
use crate::block::batch::batch_bytes;
use crate::error::Result;
use crate::plan::frame::SortPlan;
use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, SchemaRef};
use arrow_row::{OwnedRow, RowConverter, Rows, SortField};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Rows in order, and their keys in a form whose bytes compare as the keys do.
pub(super) struct Run {
    rows: RecordBatch,
    keys: Rows,
}

/// Rows of the result that are made at once.
const PIECE: usize = 1 << 16;

impl Run {
    /// The rows of batches in order; equal ones in the order in which they are.
    pub fn new(
        plan: &SortPlan,
        rows: &[RecordBatch],
        schema: &SchemaRef,
        kernels: &KernelCache,
    ) -> Result<Run> {
        let rows = concat_batches(schema, rows).map_err(internal)?;
        let columns: Vec<ArrayRef> = evaluate(&plan.keys, &rows, kernels)?.into_iter().map(one_nan).collect();
        let field = |((_, t), &(descending, nulls_first)): (&(usize, _), &(bool, bool))| {
            SortField::new_with_options(DataType::clone(t), SortOptions { descending, nulls_first })
        };
        let fields = plan.keys.outputs.iter().zip(&plan.options).map(field).collect();
        let converter = RowConverter::new(fields).map_err(internal)?;
        let keys = converter.convert_columns(&columns).map_err(internal)?;
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        order.sort_unstable_by(|&a, &b| keys.row(a as usize).cmp(&keys.row(b as usize)).then(a.cmp(&b)));
        let mut sorted = converter.empty_rows(order.len(), keys.size());
        order.iter().for_each(|&i| sorted.push(keys.row(i as usize)));
        let rows = take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)?;
        Ok(Run { rows, keys: sorted })
    }
}

impl Run {
    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        batch_bytes(&self.rows) + self.keys.size()
    }
}

/// A column in which all NaN are the positive one, which compares as the largest: the machine's own may be negative.
fn one_nan(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let one = |v: f64| if v.is_nan() { f64::NAN } else { v };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        DataType::Float32 => {
            let one = |v: f32| if v.is_nan() { f32::NAN } else { v };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Float16 => {
            let one = |v: half::f16| if v.is_nan() { half::f16::NAN } else { v };
            Arc::new(column.as_primitive::<Float16Type>().unary::<_, Float16Type>(one))
        }
        _ => column,
    }
}

/// The rows of all runs in order; equal ones in the order of runs.
pub(super) fn merge(mut runs: Vec<Run>) -> Result<Vec<RecordBatch>> {
    if runs.len() <= 1 {
        return Ok(runs.pop().map(|r| r.rows).into_iter().collect());
    }
    let mut heads: BinaryHeap<Reverse<(OwnedRow, usize, usize)>> = BinaryHeap::new();
    let head = |r: &Run, run: usize, at: usize| Reverse((r.keys.row(at).owned(), run, at));
    heads.extend(runs.iter().enumerate().filter(|(_, r)| r.rows.num_rows() > 0).map(|(k, r)| head(r, k, 0)));
    let batches: Vec<&RecordBatch> = runs.iter().map(|r| &r.rows).collect();
    let mut out = vec![];
    let mut piece: Vec<(usize, usize)> = vec![];
    while let Some(Reverse((_, run, at))) = heads.pop() {
        piece.push((run, at));
        if at + 1 < runs[run].rows.num_rows() {
            heads.push(head(&runs[run], run, at + 1));
        }
        if piece.len() == PIECE || heads.is_empty() {
            out.push(interleave_record_batch(&batches, &piece).map_err(internal)?);
            piece.clear();
        }
    }
    Ok(out)
}
