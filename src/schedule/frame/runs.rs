//! A root that works on runs: all rows with one number in the last column, which follow each other.
//!
//! Runs that begin and end within a span are worked on beside others; those at its ends are put together with their neighbours' in the order
//! of spans.

use super::budget::Budget;
use super::evaluate::{batch, guarded_rows, internal};
use super::pipeline::{Gather, Left};
use super::store::{Disk, Stored, StoredRows};
use crate::block::batch::{PIECE, batch_bytes};
use crate::error::{Error, Result};
use crate::plan::frame::RunsPlan;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};

/// Results of runs that are put together.
const FEW: usize = 1 << 10;

/// The root.
pub(super) struct Runs<'a> {
    pub plan: &'a RunsPlan,
    pub schema: &'a SchemaRef,
    /// Where what is made goes when there is too much, if it may.
    pub disk: Option<&'a Disk<'a>>,
    pub budget: &'a Budget,
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
        let stored = match self.disk.filter(|d| d.budget.is_tight()) {
            Some(disk) => disk.write(&rows)?,
            None => Stored::Memory(rows),
        };
        made.bytes += stored.held();
        made.rows.push(stored);
        Ok(())
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
    /// What is made of whole runs, and the run that may go on.
    type Whole = (Made, Option<Run>);

    fn state(&self) -> Span {
        Span::default()
    }

    fn whole(&self) -> Result<Self::Whole> {
        Ok((Made::default(), None))
    }

    fn push(&self, span: &mut Span, _task: usize, rows: RecordBatch) -> Result<()> {
        let numbers = rows.column(rows.num_columns() - 1).as_primitive_opt::<Int64Type>().cloned();
        let numbers = numbers.ok_or_else(|| Error::internal("runs without numbers"))?;
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

    fn bytes(&self, span: &Span) -> usize {
        let run = |r: &Option<Run>| r.as_ref().map_or(0, |r| r.bytes);
        run(&span.first) + run(&span.last) + span.made_bytes
    }

    fn merge(&self, (made, open): &mut Self::Whole, _span: usize, span: Span) -> Result<()> {
        let Some(first) = span.first else { return Ok(()) };
        match open {
            Some(run) if run.number == first.number => run.extend(first),
            _ => {
                if let Some(whole) = open.replace(first) {
                    self.keep(made, self.make(whole)?)?;
                }
            }
        }
        if let Some(last) = span.last {
            if let Some(whole) = open.replace(last) {
                self.keep(made, self.make(whole)?)?;
            }
            span.made.into_iter().try_for_each(|rows| self.keep(made, rows))?;
        }
        Ok(())
    }

    fn whole_bytes(&self, (made, open): &Self::Whole) -> usize {
        made.bytes + open.as_ref().map_or(0, |r| r.bytes)
    }

    fn finish(&self, (mut made, open): Self::Whole) -> Result<Left> {
        if let Some(whole) = open {
            self.keep(&mut made, self.make(whole)?)?;
        }
        self.flush(&mut made)?;
        Ok(Left::stored(StoredRows::new(self.schema, made.rows)))
    }
}
