//! A root that keeps rows in order, with columns that depend on the rows before or after.
//!
//! Inputs are computed beside each other; the functions go through the rows one batch after the other, in order, with a few values for every
//! group. Functions that look forward go through the kept rows from last to first, as if they looked back.

mod decimals;
mod numbers;
mod pick;

use super::super::Runtime;
use super::budget::Budget;
use super::evaluate::{batch, evaluate, internal};
use super::keys::Keys;
use super::pipeline::{Gather, Left};
use super::store::{Disk, Stored, StoredRows};
use super::travel::{pack, types_of, unpack};
use crate::block::batch::batch_bytes;
use crate::error::Result;
use crate::expr::frame::{AggOp, WindowOp};
use crate::plan::frame::WindowPlan;
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, SchemaRef};
use decimals::Decimals;
use numbers::{Cumulative, Rolling};
use pick::Pick;
use std::ops::Range;
use std::sync::Arc;

/// A function that goes through rows.
trait Function: Send {
    /// The results for the next rows; `slots` are their groups, of which there are `groups` so far.
    fn next(&mut self, inputs: &[ArrayRef], slots: &[u32], groups: usize) -> Result<ArrayRef>;

    /// Bytes of memory.
    fn nbytes(&self) -> usize;
}

/// The function of an operation whose results are of a type.
fn function(op: WindowOp, output: &DataType) -> Box<dyn Function> {
    match op {
        WindowOp::Shift(n) => Box::new(Pick::shift(n.unsigned_abs() as usize)),
        WindowOp::FillForward | WindowOp::FillBackward => Box::new(Pick::fill()),
        WindowOp::RowNumber => Box::new(Numbered { seed: None, counts: vec![] }),
        WindowOp::GroupNumber => Box::new(GroupNumbers),
        WindowOp::Random(seed) => Box::new(Numbered { seed: Some(seed), counts: vec![] }),
        WindowOp::Cumulative(fold) => match output {
            DataType::Decimal128(..) => Box::new(Decimals::<Decimal128Type>::new(fold, output.clone())),
            DataType::Decimal256(..) => Box::new(Decimals::<Decimal256Type>::new(fold, output.clone())),
            _ => Box::new(Cumulative::new(fold, output.clone())),
        },
        WindowOp::Rolling { fold, size, min_periods } => {
            let needed = if fold == AggOp::Count { 0 } else { min_periods.max(1) };
            Box::new(Rolling::new(fold, size, needed, output.clone()))
        }
    }
}

/// Numbers of groups.
struct GroupNumbers;

impl Function for GroupNumbers {
    fn next(&mut self, _inputs: &[ArrayRef], slots: &[u32], _groups: usize) -> Result<ArrayRef> {
        Ok(Arc::new(slots.iter().map(|&s| i64::from(s)).collect::<Int64Array>()))
    }

    fn nbytes(&self) -> usize {
        0
    }
}

/// Numbers of rows, or what looks random and is made of them.
struct Numbered {
    seed: Option<u64>,
    counts: Vec<u64>,
}

impl Function for Numbered {
    fn next(&mut self, _inputs: &[ArrayRef], slots: &[u32], groups: usize) -> Result<ArrayRef> {
        self.counts.resize(groups, 0);
        let mut number = |&slot: &u32| {
            let count = &mut self.counts[slot as usize];
            *count += 1;
            *count - 1
        };
        Ok(match self.seed {
            None => Arc::new(Int64Array::from_iter_values(slots.iter().map(|s| number(s) as i64))),
            Some(seed) => {
                let unit = |n: u64| (split_mix(seed, n) >> 11) as f64 / (1u64 << 53) as f64;
                Arc::new(Float64Array::from_iter_values(slots.iter().map(|s| unit(number(s)))))
            }
        })
    }

    fn nbytes(&self) -> usize {
        8 * self.counts.capacity()
    }
}

/// The `n`th number of SplitMix64 (Steele, Lea and Flood 2014).
fn split_mix(seed: u64, n: u64) -> u64 {
    let z = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The root.
pub(super) struct Windowed<'a> {
    pub plan: &'a WindowPlan,
    pub schema: &'a SchemaRef,
    pub rt: &'a Runtime<'a>,
    pub disk: &'a Disk<'a>,
    pub budget: &'a Budget,
    /// Whether the rows are the result, which is in memory.
    pub last: bool,
}

/// The functions of one direction as they go through the rows.
struct Pass {
    keys: Keys,
    functions: Vec<Option<Box<dyn Function>>>,
}

/// Rows so far.
pub(super) struct Done {
    pass: Pass,
    /// Each with its results, in their place the inputs of functions that look forward, and for these the keys.
    rows: Vec<Stored>,
    bytes: usize,
}

impl Pass {
    /// The group of every row.
    fn slots(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let mut slots = vec![0; rows];
        self.keys.number(keys, &mut slots)?;
        Ok(slots)
    }

    fn nbytes(&self) -> usize {
        self.keys.nbytes() + self.functions.iter().flatten().map(|f| f.nbytes()).sum::<usize>()
    }
}

impl Windowed<'_> {
    fn looks_forward(&self) -> bool {
        self.plan.columns.iter().any(|(op, ..)| op.is_backward())
    }

    fn pass(&self, backward: bool) -> Result<Pass> {
        let outputs = &self.plan.program.outputs;
        let keys = outputs[outputs.len() - self.plan.keys..].iter().map(|(_, t)| t.clone());
        let of = |(op, _, t): &(WindowOp, usize, DataType)| {
            (op.is_backward() == backward).then(|| function(op.clone(), t))
        };
        Ok(Pass { keys: Keys::new(keys)?, functions: self.plan.columns.iter().map(of).collect() })
    }

    fn keep(&self, done: &mut Done, at: usize, rows: RecordBatch) -> Result<()> {
        // what was on disk had no room
        let was_on_disk = matches!(done.rows.get(at), Some(Stored::Disk { .. }));
        let spill = !self.last && (was_on_disk || self.budget.is_tight());
        let stored = if spill { self.disk.write(&rows)? } else { Stored::Memory(rows) };
        done.bytes += stored.held();
        match done.rows.get_mut(at) {
            Some(old) => {
                done.bytes -= old.held();
                *old = stored;
            }
            None => done.rows.push(stored),
        }
        Ok(())
    }

    /// The rows of a batch backwards through the functions that look forward.
    fn backward(&self, pass: &mut Pass, rows: &RecordBatch) -> Result<RecordBatch> {
        let n = rows.num_rows();
        let turned = UInt32Array::from_iter_values((0..n as u32).rev());
        let turn = |c: &ArrayRef| take(c, &turned, None).map_err(internal);
        let kept = rows.num_columns() - self.plan.keys;
        let keys = rows.columns()[kept..].iter().map(turn).collect::<Result<Vec<_>>>()?;
        let slots = pass.slots(&keys, n)?;
        let mut columns = rows.columns()[..kept].to_vec();
        let groups = pass.keys.len();
        let first = kept - self.plan.columns.len();
        for (column, f) in columns[first..].iter_mut().zip(&mut pass.functions) {
            if let Some(f) = f {
                *column = turn(&f.next(&[turn(column)?], &slots, groups)?)?;
            }
        }
        batch(self.schema, columns, n)
    }
}

impl Gather for Windowed<'_> {
    const BY_PART: bool = true;
    /// Rows with inputs and keys.
    type State = Vec<RecordBatch>;
    type Whole = Done;

    fn state(&self) -> Vec<RecordBatch> {
        vec![]
    }

    fn whole(&self) -> Result<Done> {
        Ok(Done { pass: self.pass(false)?, rows: vec![], bytes: 0 })
    }

    fn push(&self, state: &mut Vec<RecordBatch>, _task: usize, rows: RecordBatch) -> Result<()> {
        let made = evaluate(&self.plan.program, &rows, self.rt.kernels)?;
        let columns: Vec<ArrayRef> = rows.columns().iter().cloned().chain(made).collect();
        state.push(super::store::unnamed(columns, rows.num_rows())?);
        Ok(())
    }

    fn bytes(&self, state: &Vec<RecordBatch>) -> usize {
        state.iter().map(batch_bytes).sum()
    }

    fn merge(&self, done: &mut Done, _span: usize, state: Vec<RecordBatch>) -> Result<()> {
        let width = self.schema.fields().len() - self.plan.columns.len();
        for rows in state {
            let (kept, made) = rows.columns().split_at(width);
            let (inputs, keys) = made.split_at(made.len() - self.plan.keys);
            let slots = done.pass.slots(keys, rows.num_rows())?;
            let groups = done.pass.keys.len();
            let mut columns = kept.to_vec();
            let mut inputs = inputs.iter();
            for ((_, count, _), f) in self.plan.columns.iter().zip(&mut done.pass.functions) {
                let of: Vec<ArrayRef> = inputs.by_ref().take(*count).cloned().collect();
                columns.push(match f {
                    Some(f) => f.next(&of, &slots, groups)?,
                    None => of[0].clone(),
                });
            }
            let rows = if self.looks_forward() {
                columns.extend(keys.iter().cloned());
                super::store::unnamed(columns, rows.num_rows())?
            } else {
                batch(self.schema, columns, rows.num_rows())?
            };
            self.keep(done, usize::MAX, rows)?;
        }
        Ok(())
    }

    fn whole_bytes(&self, done: &Done) -> usize {
        done.bytes + done.pass.nbytes()
    }

    fn finish(&self, mut done: Done) -> Result<Left> {
        if self.looks_forward() {
            let mut pass = self.pass(true)?;
            let mut held = self.budget.hold();
            for at in (0..done.rows.len()).rev() {
                let rows = self.backward(&mut pass, &done.rows[at].load()?)?;
                self.keep(&mut done, at, rows)?;
                held.set(pass.nbytes(), "functions of rows in order")?;
            }
        }
        Ok(Left::stored(StoredRows::new(self.schema, done.rows)))
    }

    fn export(&self, _span: usize, state: Vec<RecordBatch>, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![pack(state.iter())?])
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Vec<RecordBatch>> {
        let mut types = types_of(self.schema);
        types.truncate(types.len() - self.plan.columns.len());
        types.extend(self.plan.program.outputs.iter().map(|(_, t)| t.clone()));
        unpack(bytes, &types)
    }
}
