//! Joins: one side kept whole with a table of its keys, the other looked up batch by batch.

use super::super::cache::KernelCache;
use super::evaluate::{batch, evaluate, internal};
use super::keys::{Encoder, Keys, NONE};
use super::parts::{Parts, cut};
use super::pipeline::{Gather, Left, PipelineRun};
use super::store::{Disk, Stored};
use crate::block::batch::batch_bytes;
use crate::error::{ErrorKind, Result};
use crate::expr::frame::JoinKind;
use crate::plan::frame::{Probe, Program};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The kept side of a join.
pub(super) struct JoinTable {
    rows: RecordBatch,
    keys: Keys,
    /// Rows by key: those of key `k` are `by_key[ends[k - 1]..ends[k]]`, in order.
    by_key: Vec<u32>,
    ends: Vec<u32>,
}

/// The most pairs handed on at once.
const PAIRS: usize = 1 << 16;

impl JoinTable {
    /// Keeps rows, with the keys that a program makes of them. Rows whose key has a null have no partner.
    pub fn build(
        program: &Program,
        rows: &[RecordBatch],
        schema: &SchemaRef,
        kernels: &KernelCache,
    ) -> Result<JoinTable> {
        let rows = concat_batches(schema, rows).map_err(internal)?;
        if rows.num_rows() > u32::MAX as usize - 1 {
            return Err(ErrorKind::Unsupported {
                what: "a join whose smaller side has more than 2^32 rows".into(),
                hint: "filter it, or join in parts".into(),
            }
            .into());
        }
        let columns = evaluate(program, &rows, kernels)?;
        let mut keys = Keys::new(program.outputs.iter().map(|(_, t)| t.clone()))?;
        let mut slots = vec![0u32; rows.num_rows()];
        if !columns.is_empty() {
            keys.number(&columns, &mut slots)?;
        }
        // a counting sort by key keeps the rows of a key in order
        let groups = keys.len();
        let mut ends = vec![0u32; groups + 1];
        for &s in &slots {
            if groups > 0 {
                ends[s as usize + 1] += 1;
            }
        }
        for k in 0..groups {
            ends[k + 1] += ends[k];
        }
        let mut next = ends.clone();
        let mut by_key = vec![0u32; if groups > 0 { slots.len() } else { 0 }];
        for (row, &s) in slots.iter().enumerate().take(by_key.len()) {
            by_key[next[s as usize] as usize] = row as u32;
            next[s as usize] += 1;
        }
        Ok(JoinTable { rows, keys, by_key, ends })
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        batch_bytes(&self.rows) + self.keys.nbytes() + 4 * (self.by_key.len() + self.ends.len())
    }

    fn partners(&self, key: u32) -> &[u32] {
        match key {
            NONE => &[],
            k => &self.by_key[self.ends[k as usize] as usize..self.ends[k as usize + 1] as usize],
        }
    }

    /// Hands on the rows that a batch makes, in the batch's order, in pieces.
    pub fn probe(
        &self,
        probe: &Probe,
        left: &RecordBatch,
        encoder: &mut Encoder,
        kernels: &KernelCache,
        next: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let keys = evaluate(&probe.keys, left, kernels)?;
        self.join(probe.kind, &probe.right, &probe.schema, &keys, left, encoder, next)
    }

    /// The same of rows whose keys are known; `right` are the columns of this side that are taken, after all of the rows'.
    pub fn join(
        &self,
        kind: JoinKind,
        right: &[usize],
        schema: &SchemaRef,
        columns: &[ArrayRef],
        left: &RecordBatch,
        encoder: &mut Encoder,
        next: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut keys = vec![];
        if kind != JoinKind::Cross {
            self.keys.find(encoder, columns, &mut keys)?;
        }
        if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            let wanted = kind == JoinKind::Semi;
            let mask: BooleanArray = keys.iter().map(|&k| Some((k != NONE) == wanted)).collect();
            return next(filter_record_batch(left, &mask).map_err(internal)?);
        }
        let everything: Vec<u32> = match kind {
            JoinKind::Cross => (0..self.rows.num_rows() as u32).collect(),
            _ => vec![],
        };
        let (mut at_left, mut at_right): (Vec<u32>, Vec<Option<u32>>) = (vec![], vec![]);
        for row in 0..left.num_rows() {
            let partners = match keys.get(row) {
                Some(&key) => self.partners(key),
                None => everything.as_slice(),
            };
            for some in partners.chunks(PAIRS) {
                at_left.extend(std::iter::repeat_n(row as u32, some.len()));
                at_right.extend(some.iter().copied().map(Some));
                if at_left.len() >= PAIRS {
                    next(self.pairs(right, schema, left, &mut at_left, &mut at_right)?)?;
                }
            }
            if partners.is_empty() && kind == JoinKind::Left {
                at_left.push(row as u32);
                at_right.push(None);
            }
        }
        if at_left.is_empty() {
            Ok(())
        } else {
            next(self.pairs(right, schema, left, &mut at_left, &mut at_right)?)
        }
    }

    fn pairs(
        &self,
        right: &[usize],
        schema: &SchemaRef,
        left: &RecordBatch,
        at_left: &mut Vec<u32>,
        at_right: &mut Vec<Option<u32>>,
    ) -> Result<RecordBatch> {
        let rows = at_left.len();
        let same = rows == left.num_rows() && at_left.iter().enumerate().all(|(i, &l)| i as u32 == l);
        let (l, r) =
            (UInt32Array::from(std::mem::take(at_left)), UInt32Array::from(std::mem::take(at_right)));
        let mut columns: Vec<ArrayRef> = vec![];
        for column in left.columns() {
            columns.push(if same { column.clone() } else { take(column, &l, None).map_err(internal)? });
        }
        for &c in right {
            columns.push(take(self.rows.column(c), &r, None).map_err(internal)?);
        }
        batch(schema, columns, rows)
    }
}

/// A root that keeps the side of a join that is looked up: with a table of its keys, or in parts on disk.
pub(super) struct Build<'a> {
    program: &'a Arc<Program>,
    run: &'a PipelineRun<'a>,
    disk: &'a Disk<'a>,
    /// Whether rows go to disk: from the first time that there are too many.
    on_disk: AtomicBool,
}

/// Rows in memory, or in parts on disk.
#[derive(Default)]
pub(super) struct BuildState {
    rows: Vec<RecordBatch>,
    bytes: usize,
    cut: Vec<(usize, Stored)>,
}

/// All rows in memory, or all of them in parts.
pub(super) enum Side {
    Rows(Vec<RecordBatch>, usize),
    Parts(Parts),
}

impl<'a> Build<'a> {
    pub fn new(program: &'a Arc<Program>, run: &'a PipelineRun<'a>, disk: &'a Disk<'a>) -> Build<'a> {
        Build { program, run, disk, on_disk: AtomicBool::new(false) }
    }

    /// Whether a table of this many bytes of rows would be too large. A join of all pairs has no keys to go by.
    fn is_too_large(&self, bytes: usize) -> bool {
        !self.program.outputs.is_empty() && bytes > self.run.budget.share(1)
    }

    fn cut(&self, rows: &mut Vec<RecordBatch>) -> Result<Vec<(usize, Stored)>> {
        let Some(first) = rows.first() else { return Ok(vec![]) };
        let all = concat_batches(first.schema_ref(), rows.iter()).map_err(internal)?;
        rows.clear();
        let keys = evaluate(self.program, &all, self.run.rt.kernels)?;
        cut(&all, &keys, self.disk)
    }
}

impl Gather for Build<'_> {
    type State = BuildState;
    type Whole = Side;

    fn state(&self) -> BuildState {
        BuildState::default()
    }

    fn whole(&self) -> Result<Side> {
        Ok(Side::Rows(vec![], 0))
    }

    fn push(&self, state: &mut BuildState, _task: usize, rows: RecordBatch) -> Result<()> {
        state.bytes += batch_bytes(&rows);
        state.rows.push(rows);
        if self.is_too_large(state.bytes) {
            self.on_disk.store(true, Relaxed);
        }
        let share = self.run.budget.share(4 * self.run.rt.threads);
        if self.on_disk.load(Relaxed) && state.bytes > share { self.seal(state) } else { Ok(()) }
    }

    fn seal(&self, state: &mut BuildState) -> Result<()> {
        if self.on_disk.load(Relaxed) {
            let cut = self.cut(&mut state.rows)?;
            state.cut.extend(cut);
            state.bytes = 0;
        }
        Ok(())
    }

    fn bytes(&self, state: &BuildState) -> usize {
        state.bytes
    }

    fn merge(&self, whole: &mut Side, _span: usize, mut state: BuildState) -> Result<()> {
        if let Side::Rows(rows, bytes) = whole {
            if state.cut.is_empty() && !self.is_too_large(*bytes + state.bytes) {
                rows.append(&mut state.rows);
                *bytes += state.bytes;
                return Ok(());
            }
            self.on_disk.store(true, Relaxed);
            let mut parts = Parts::new(Some((self.program.clone(), self.run.pipeline.schema.clone())));
            // a few at a time, so that their copies do not add up
            for some in std::mem::take(rows).chunks(16) {
                parts.extend(self.cut(&mut some.to_vec())?);
            }
            *whole = Side::Parts(parts);
        }
        if let Side::Parts(parts) = whole {
            parts.extend(state.cut);
            parts.extend(self.cut(&mut state.rows)?);
        }
        Ok(())
    }

    fn whole_bytes(&self, whole: &Side) -> usize {
        match whole {
            Side::Rows(_, bytes) => *bytes,
            Side::Parts(_) => 0,
        }
    }

    fn finish(&self, whole: Side) -> Result<Left> {
        Ok(match whole {
            Side::Rows(rows, _) => {
                let schema = &self.run.pipeline.schema;
                Left::Table(Arc::new(JoinTable::build(self.program, &rows, schema, self.run.rt.kernels)?))
            }
            Side::Parts(parts) => Left::Parts(Arc::new(parts)),
        })
    }
}
