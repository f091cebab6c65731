//! A root that works on runs: all rows with one number in the last column, which follow each other.
//!
//! Runs that begin and end within a span are worked on beside others; those at its ends are put together with their neighbours' in the order
//! of spans.

use super::super::workers::side_by_side;
use super::budget::Budget;
use super::evaluate::{batch, guarded_rows, internal};
use super::pipeline::{Gather, Left};
use super::store::{Disk, Stored, StoredRows};
use super::travel::{bad, bundle, pack, rows_of, types_of, unbundle, unpack};
use crate::block::batch::{PART, PIECE, batch_bytes};
use crate::error::{Error, Result};
use crate::plan::frame::RunsPlan;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Results of runs that are put together.
const FEW: usize = 1 << 10;

/// The root.
pub(super) struct Runs<'a> {
    pub plan: &'a RunsPlan,
    pub schema: &'a SchemaRef,
    /// Where what is made goes when there is too much, if it may.
    pub disk: Option<&'a Disk<'a>>,
    pub budget: &'a Budget,
    pub threads: usize,
}

/// The rows of a run so far.
pub(super) struct Run {
    number: i64,
    rows: Vec<RecordBatch>,
    bytes: usize,
}

/// What was made of runs that are whole, in their order.
#[derive(Default)]
pub(super) struct Made {
    rows: Vec<Stored>,
    /// Not yet as many as a batch should have.
    few: Vec<RecordBatch>,
    few_rows: usize,
    /// Bytes of all in memory.
    bytes: usize,
}

/// What follows what was made so far.
enum Next {
    /// A run that is whole, of several spans.
    Run(Run),
    /// What was made of the runs of a span.
    Made(RecordBatch),
}

/// What all runs make.
#[derive(Default)]
pub(super) struct All {
    made: Made,
    /// Until there is a run for each thread.
    next: Vec<Next>,
    /// How many runs are among those, and bytes of all.
    next_runs: usize,
    next_bytes: usize,
    /// The run that may go on.
    open: Option<Run>,
}

/// The runs of a span: the first and the last may go on outside of it.
#[derive(Default)]
pub(super) struct Span {
    first: Option<Run>,
    made: Vec<RecordBatch>,
    made_bytes: usize,
    /// How many of the last ones are of one run each.
    few: usize,
    last: Option<Run>,
}

impl Run {
    fn extend(&mut self, other: Run) {
        self.rows.extend(other.rows);
        self.bytes += other.bytes;
    }

    /// From another machine; none if there are no rows.
    fn import(rows: Vec<RecordBatch>) -> Result<Option<Run>> {
        let bytes = rows.iter().map(batch_bytes).sum();
        let Some(number) = rows.iter().find(|b| b.num_rows() > 0).map(numbers_of).transpose()? else {
            return Ok(None);
        };
        Ok(Some(Run { number: number.value(0), rows, bytes }))
    }
}

/// The numbers of the runs that rows are of.
fn numbers_of(rows: &RecordBatch) -> Result<Int64Array> {
    let numbers = rows.columns().last().and_then(|c| c.as_primitive_opt::<Int64Type>()).cloned();
    numbers.ok_or_else(|| Error::internal("runs without numbers"))
}

impl Next {
    fn bytes(&self) -> usize {
        match self {
            Next::Run(run) => run.bytes,
            Next::Made(rows) => batch_bytes(rows),
        }
    }
}

impl Runs<'_> {
    /// What the function makes of a run.
    fn make(&self, run: Run) -> Result<RecordBatch> {
        let mut held = self.budget.hold();
        held.set(run.bytes, format!("{}: the rows of one run in one piece", self.plan.name))?;
        let count = run.rows.iter().map(RecordBatch::num_rows).sum();
        let column = |c: usize| -> Result<ArrayRef> {
            let parts: Vec<&dyn Array> = run.rows.iter().map(|b| b.column(c).as_ref()).collect();
            if let [_] = parts.as_slice() {
                Ok(run.rows[0].column(c).clone())
            } else {
                concat(&parts).map_err(internal)
            }
        };
        let width = self.plan.input.fields().len();
        let rows = batch(&self.plan.input, (0..width).map(column).collect::<Result<_>>()?, count)?;
        drop(run);
        match &self.plan.function {
            Some(function) => owned(guarded_rows(&self.plan.name, self.schema, || function(rows))?),
            None => Ok(rows),
        }
    }

    /// Keeps what was made of the next run: partitions as they are, results of functions together until they are a batch.
    fn keep(&self, made: &mut Made, rows: RecordBatch) -> Result<()> {
        made.bytes += batch_bytes(&rows);
        made.few_rows += rows.num_rows();
        made.few.push(rows);
        let enough = self.plan.function.is_none() || made.few_rows >= PIECE || made.few.len() >= PIECE;
        if enough { self.flush(made) } else { Ok(()) }
    }

    fn flush(&self, made: &mut Made) -> Result<()> {
        let few = std::mem::take(&mut made.few);
        made.few_rows = 0;
        let rows = match few.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            many => concat_batches(self.schema, many).map_err(internal)?,
        };
        made.bytes -= few.iter().map(batch_bytes).sum::<usize>();
        let Some(disk) = self.disk.filter(|d| d.budget.is_tight()) else {
            made.bytes += batch_bytes(&rows);
            made.rows.push(Stored::Memory(rows));
            return Ok(());
        };
        // readers take parts of so many rows
        for at in (0..rows.num_rows()).step_by(PART) {
            made.rows.push(disk.write(&rows.slice(at, PART.min(rows.num_rows() - at)))?);
        }
        Ok(())
    }

    /// A run that is whole, or what was made of some, after the others.
    fn follow(&self, all: &mut All, next: Next) -> Result<()> {
        all.next_bytes += next.bytes();
        all.next_runs += usize::from(matches!(next, Next::Run(_)));
        all.next.push(next);
        let enough =
            all.next_runs >= self.threads || self.budget.is_tight() || !self.has_room_for(all.next_bytes);
        if enough { self.settle(all) } else { Ok(()) }
    }

    /// Whether rows can wait, and be put together and worked on, in what memory is left.
    fn has_room_for(&self, bytes: usize) -> bool {
        4 * bytes as u64 <= self.budget.room()
    }

    /// Makes what is to be made of runs, side by side if there is room for what that takes.
    fn settle(&self, all: &mut All) -> Result<()> {
        let next: Vec<_> = std::mem::take(&mut all.next).into_iter().map(|n| Mutex::new(Some(n))).collect();
        let bytes = std::mem::take(&mut all.next_bytes);
        all.next_runs = 0;
        let threads = if self.has_room_for(bytes) { self.threads } else { 1 };
        let made = side_by_side(threads, &next, |next| {
            match next.lock().unwrap_or_else(|e| e.into_inner()).take() {
                Some(Next::Run(run)) => self.make(run).map(Some),
                Some(Next::Made(rows)) => Ok(Some(rows)),
                None => Ok(None),
            }
        });
        made.into_iter().try_for_each(|rows| rows?.map_or(Ok(()), |rows| self.keep(&mut all.made, rows)))
    }
}

/// The rows in memory of their own, if they are few of those that they share it with: else a row of each run would keep all of it.
fn owned(rows: RecordBatch) -> Result<RecordBatch> {
    if rows.get_array_memory_size() < 2 * batch_bytes(&rows) + (1 << 12) {
        return Ok(rows);
    }
    let all = UInt32Array::from_iter_values(0..rows.num_rows() as u32);
    take_record_batch(&rows, &all).map_err(internal)
}

impl Gather for Runs<'_> {
    const BY_PART: bool = true;
    type State = Span;
    type Whole = All;

    fn state(&self) -> Span {
        Span::default()
    }

    fn whole(&self) -> Result<Self::Whole> {
        Ok(All::default())
    }

    fn push(&self, span: &mut Span, _task: usize, rows: RecordBatch) -> Result<()> {
        let numbers = numbers_of(&rows)?;
        let mut at = 0;
        for same in numbers.values().chunk_by(|a, b| a == b) {
            let rows = rows.slice(at, same.len());
            at += same.len();
            let run = Run { number: same[0], bytes: batch_bytes(&rows), rows: vec![rows] };
            match (&mut span.first, &mut span.last) {
                (None, _) => span.first = Some(run),
                (Some(first), None) if first.number == run.number => first.extend(run),
                (Some(_), Some(last)) if last.number == run.number => last.extend(run),
                (Some(_), last) => {
                    if let Some(whole) = last.replace(run) {
                        let rows = self.make(whole)?;
                        span.made_bytes += batch_bytes(&rows);
                        span.made.push(rows);
                        span.few += 1;
                        // a batch costs more than a row
                        if span.few == FEW && self.plan.function.is_some() {
                            let few = span.made.split_off(span.made.len() - FEW);
                            span.made.push(concat_batches(self.schema, &few).map_err(internal)?);
                            span.few = 0;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn working(&self) -> usize {
        // the rows of a span, and of one that waits for an earlier one; a run that is whole, and its rows in one piece
        let width = |f: &Arc<Field>| f.data_type().primitive_width().unwrap_or(16);
        4 * PART * (8 + self.plan.input.fields().iter().map(width).sum::<usize>())
    }

    fn bytes(&self, span: &Span) -> usize {
        let run = |r: &Option<Run>| r.as_ref().map_or(0, |r| r.bytes);
        run(&span.first) + run(&span.last) + span.made_bytes
    }

    fn merge(&self, all: &mut All, _span: usize, span: Span) -> Result<()> {
        let Some(first) = span.first else { return Ok(()) };
        match &mut all.open {
            Some(run) if run.number == first.number => run.extend(first),
            open => {
                if let Some(whole) = open.replace(first) {
                    self.follow(all, Next::Run(whole))?;
                }
            }
        }
        if let Some(last) = span.last {
            if let Some(whole) = all.open.replace(last) {
                self.follow(all, Next::Run(whole))?;
            }
            span.made.into_iter().try_for_each(|rows| self.follow(all, Next::Made(rows)))?;
        }
        Ok(())
    }

    fn whole_bytes(&self, all: &All) -> usize {
        all.made.bytes + all.next_bytes + all.open.as_ref().map_or(0, |r| r.bytes)
    }

    fn finish(&self, mut all: All) -> Result<Left> {
        if let Some(whole) = all.open.take() {
            self.follow(&mut all, Next::Run(whole))?;
        }
        self.settle(&mut all)?;
        self.flush(&mut all.made)?;
        Ok(Left::stored(StoredRows::new(self.schema, all.made.rows)))
    }

    fn export(&self, _number: usize, span: Span, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        let rows = |run: Option<Run>| pack(run.map_or(vec![], |r| r.rows).iter());
        Ok(vec![bundle(&[rows(span.first)?, pack(span.made.iter())?, rows(span.last)?])])
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Span> {
        let mut types = types_of(&self.plan.input);
        types.push(DataType::Int64);
        let pieces = <[Vec<u8>; 3]>::try_from(unbundle(&bytes)?);
        let [first, made, last] = pieces.map_err(|p| bad(format!("runs in {} pieces", p.len())))?;
        let run = |bytes| Run::import(unpack(bytes, &types)?);
        let made = rows_of(made, self.schema)?;
        let made_bytes = made.iter().map(batch_bytes).sum();
        Ok(Span { first: run(first)?, made, made_bytes, few: 0, last: run(last)? })
    }
}
