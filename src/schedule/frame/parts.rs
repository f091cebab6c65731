//! Rows cut into parts by a hash of their keys: what is done with each key by itself (a join, the first of equal rows) is done part by
//! part when memory does not hold all of it.
//!
//! Rows carry their number through the parts, and what comes of them is put back in its order: so the result does not show whether
//! there was room.

use super::super::workers::run_spans;
use super::evaluate::{batch, internal};
use super::join::{JoinTable, keys_of, table_bytes};
use super::keys::{Encoder, content_hashes};
use super::pipeline::{Gather, Left, PipelineRun, is_by_part};
use super::sort::{Run, Sorted, number_key, with_key};
use super::spans::{Open, spans};
use super::store::{Disk, Stored};
use crate::block::batch::batch_bytes;
use crate::error::{Error, Result};
use crate::plan::frame::{Probe, Program, RowStep};
use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

/// Into how many parts rows are cut.
const PARTS: usize = 128;

/// Rows on disk, by part, each part's in order.
#[derive(Debug)]
pub(super) struct Parts {
    pub lists: Vec<Vec<Stored>>,
    /// Makes the keys of the rows, which have these columns, if they are one side of a join.
    side: Option<(Arc<Program>, SchemaRef)>,
}

impl Parts {
    pub fn new(side: Option<(Arc<Program>, SchemaRef)>) -> Parts {
        Parts { lists: (0..PARTS).map(|_| vec![]).collect(), side }
    }

    pub fn extend(&mut self, cut: Vec<(usize, Stored)>) {
        cut.into_iter().for_each(|(part, rows)| self.lists[part].push(rows));
    }

    fn rows(&self, part: usize) -> Result<Vec<RecordBatch>> {
        self.lists[part].iter().map(Stored::load).collect()
    }
}

/// Writes rows by the part that their keys belong to.
pub(super) fn cut(rows: &RecordBatch, keys: &[ArrayRef], disk: &Disk<'_>) -> Result<Vec<(usize, Stored)>> {
    let hashes = content_hashes(keys, rows.num_rows())?;
    let part = |h: u64| (h >> 40) as usize % PARTS;
    let mut ends = [0usize; PARTS + 1];
    hashes.iter().for_each(|&h| ends[part(h) + 1] += 1);
    (0..PARTS).for_each(|p| ends[p + 1] += ends[p]);
    let mut next = ends;
    let mut order = vec![0u32; hashes.len()];
    for (row, &h) in hashes.iter().enumerate() {
        order[next[part(h)]] = row as u32;
        next[part(h)] += 1;
    }
    let sorted = take_record_batch(rows, &UInt32Array::from(order)).map_err(internal)?;
    let full = (0..PARTS).filter(|&p| ends[p] < ends[p + 1]);
    full.map(|p| Ok((p, disk.write(&sorted.slice(ends[p], ends[p + 1] - ends[p]))?))).collect()
}

/// The columns of numbered rows.
fn numbered(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone());
    Arc::new(Schema::new(fields.chain([Field::new("\0row", DataType::UInt64, false)]).collect::<Vec<_>>()))
}

/// Rows with their numbers, from this one on.
pub(super) fn with_numbers(rows: &RecordBatch, first: u64) -> Result<RecordBatch> {
    let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + rows.num_rows() as u64));
    let columns = rows.columns().iter().cloned().chain([numbers]).collect();
    batch(&numbered(rows.schema_ref()), columns, rows.num_rows())
}

/// The number of a task's first row: as many as can be are between it and the next task's.
pub(super) fn first_number(task: usize) -> u64 {
    (task as u64) << 36
}

/// Rows whose number is column `at` as rows of a run in the order of numbers.
pub(super) fn as_run(rows: &RecordBatch, at: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let key = number_key(rows.column(at).as_primitive::<UInt64Type>().values());
    let others = rows.columns().iter().enumerate().filter(|(c, _)| *c != at).map(|(_, c)| c.clone());
    batch(&with_key(schema), others.chain([key]).collect(), rows.num_rows())
}

/// A root that cuts the rows that look for partners.
struct Partition<'a> {
    probe: &'a Probe,
    run: &'a PipelineRun<'a>,
    disk: Disk<'a>,
}

#[derive(Default)]
struct PartitionState {
    rows: Vec<RecordBatch>,
    bytes: usize,
    /// The task that rows are of, and how many there were.
    task: (usize, u64),
    cut: Vec<(usize, Stored)>,
}

impl Partition<'_> {
    fn cut(&self, state: &mut PartitionState) -> Result<()> {
        let Some(first) = state.rows.first() else { return Ok(()) };
        let rows = concat_batches(first.schema_ref(), &state.rows).map_err(internal)?;
        (state.rows, state.bytes) = (vec![], 0);
        let keys = keys_of(self.probe, &rows, self.run.rt.kernels)?;
        state.cut.extend(cut(&rows, &keys, &self.disk)?);
        Ok(())
    }
}

impl Gather for Partition<'_> {
    type State = PartitionState;
    type Whole = Parts;

    fn state(&self) -> PartitionState {
        PartitionState::default()
    }

    fn whole(&self) -> Result<Parts> {
        Ok(Parts::new(None))
    }

    fn push(&self, state: &mut PartitionState, task: usize, rows: RecordBatch) -> Result<()> {
        if state.task.0 != task {
            state.task = (task, 0);
        }
        let numbered = with_numbers(&rows, first_number(task) + state.task.1)?;
        state.task.1 += rows.num_rows() as u64;
        state.bytes += batch_bytes(&numbered);
        state.rows.push(numbered);
        if 3 * state.bytes > self.run.budget.share(2 * self.run.rt.threads) {
            self.cut(state)
        } else {
            Ok(())
        }
    }

    fn seal(&self, state: &mut PartitionState) -> Result<()> {
        self.cut(state)
    }

    fn bytes(&self, state: &PartitionState) -> usize {
        state.bytes
    }

    fn merge(&self, whole: &mut Parts, _span: usize, state: PartitionState) -> Result<()> {
        whole.extend(state.cut);
        Ok(())
    }

    fn whole_bytes(&self, _whole: &Parts) -> usize {
        0
    }

    fn finish(&self, whole: Parts) -> Result<Left> {
        Ok(Left::Parts(Arc::new(whole)))
    }
}

impl PipelineRun<'_> {
    /// The rows of a join with what is in parts on disk; the steps that follow are `rest`. They are cut where the left rows are, so that later
    /// folds are shaped as if there had been room; those of a machine's own spans are numbered as the left ones.
    pub fn join_parts<'b>(
        &self,
        left: Open<'_>,
        probe: &Probe,
        right: &Parts,
        rest: &'b [Arc<RowStep>],
    ) -> Result<Open<'b>> {
        let (by_part, own) = (is_by_part(&self.pipeline.root), left.own.clone());
        let firsts: Vec<usize> = match by_part && own.is_none() {
            true => vec![],
            false => spans(std::slice::from_ref(&left), by_part).iter().map(|span| span.first).collect(),
        };
        let starts: Vec<u64> = firsts.iter().map(|&first| first_number(first)).collect();
        let numbers = own.as_ref().map(|_| firsts.iter().copied().chain([left.parts()]).collect());
        let Some((program, schema)) = &right.side else { return Err(Error::internal("parts of no join")) };
        let disk = || Disk::new(&self.rt.temp_dir, self.counters, self.budget);
        let root = Partition { probe, run: self, disk: disk() };
        let Left::Parts(left) = self.drive(&[left], "partition", &root)? else {
            return Err(Error::internal("a partition without parts"));
        };
        // the rows of a pair: the left one's, its number, the right one's
        let fields = probe.schema.fields();
        let at = fields.len() - probe.right.len();
        let mut columns: Vec<Field> = fields.iter().map(|f| f.as_ref().clone()).collect();
        columns.insert(at, Field::new("\0row", DataType::UInt64, false));
        let pairs: SchemaRef = Arc::new(Schema::new(columns));
        let disk = disk();
        let sorted = self.by_part(&probe.schema, &disk, &starts, |part, each| {
            let mut held = self.budget.hold();
            let of = right.lists[part].iter().map(|r| table_bytes(2 * r.bytes(), r.num_rows()));
            held.set(of.sum(), "join of one of 128 parts of the rows")?;
            let rows = right.rows(part)?;
            let table = JoinTable::build(program, &rows, schema, self.rt.kernels, 1)?;
            drop(rows);
            held.set(table.nbytes(), "join of one of 128 parts of the rows")?;
            let mut encoder = Encoder::default();
            for stored in &left.lists[part] {
                let rows = stored.load()?;
                let keys = keys_of(probe, &rows, self.rt.kernels)?;
                table.join(probe.kind, &probe.right, &pairs, &keys, &rows, &mut encoder, &mut |rows| {
                    each(as_run(&rows, at, &probe.schema)?)
                })?;
            }
            Ok(())
        })?;
        let spans = (!starts.is_empty()).then(|| sorted.between(&starts).into());
        let columns = (0..probe.schema.fields().len()).collect();
        Ok(Open { spans, own, numbers, ..Open::new(Arc::new(sorted), columns, rest) })
    }

    /// What is made of each part, a run in the order of rows, as one source in that order. Its parts are cut at the rows with the numbers
    /// `starts`, too.
    pub fn by_part(
        &self,
        schema: &SchemaRef,
        disk: &Disk<'_>,
        starts: &[u64],
        f: impl Fn(usize, &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> + Sync,
    ) -> Result<Sorted> {
        let runs: Vec<Mutex<Run>> = (0..PARTS).map(|_| Mutex::new(Run::empty())).collect();
        let workers = self.rt.threads;
        run_spans(
            self.rt,
            workers,
            PARTS,
            || (),
            |part, _, (), stop| {
                let mut run = Run::empty();
                f(part, &mut |rows| {
                    if stop.load(Relaxed) || self.rt.cancel.load(Relaxed) {
                        return Err(crate::error::ErrorKind::Cancelled.into());
                    }
                    run.extend(&rows, Some(disk))
                })?;
                *runs[part].lock().unwrap_or_else(|e| e.into_inner()) = run;
                Ok(())
            },
        )?;
        let runs = runs.into_iter().map(|r| r.into_inner().unwrap_or_else(|e| e.into_inner())).collect();
        Ok(Sorted::new(with_key(schema), runs, self.budget, starts))
    }
}
