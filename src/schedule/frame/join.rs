//! Joins: one side kept whole with a table of its keys, the other looked up batch by batch.

use super::super::Runtime;
use super::super::cache::KernelCache;
use super::super::workers::side_by_side;
use super::evaluate::{batch, evaluate, internal};
use super::keys::{Encoder, Found, Index};
use super::parts::{Parts, cut};
use super::pipeline::{Gather, Left, PipelineRun};
use super::store::{Disk, Stored};
use crate::block::batch::batch_bytes;
use crate::error::{ErrorKind, Result};
use crate::expr::frame::JoinKind;
use crate::plan::frame::{Probe, Program};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, concat_batches, filter_record_batch, take};
use arrow::datatypes::{DataType, SchemaRef};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The kept side of a join.
pub(super) struct JoinTable {
    rows: RecordBatch,
    /// The rows by key; none where every row is a partner of all.
    index: Option<Index>,
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
        threads: usize,
    ) -> Result<JoinTable> {
        let rows = in_one(rows, schema, threads)?;
        if rows.num_rows() > u32::MAX as usize - 1 {
            return Err(ErrorKind::Unsupported {
                what: "a join whose smaller side has more than 2^32 rows".into(),
                hint: "filter it, or join in parts".into(),
            }
            .into());
        }
        let keys = evaluate(program, &rows, kernels)?;
        let types = || program.outputs.iter().map(|(_, t)| t.clone());
        let index = (!keys.is_empty()).then(|| Index::new(types(), &keys, threads)).transpose()?;
        Ok(JoinTable { rows, index })
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        batch_bytes(&self.rows) + self.index.as_ref().map_or(0, Index::nbytes)
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
        let mut pairs = Pairs::default();
        let mut full = |pairs: &mut Pairs| next(self.take(right, schema, left, pairs)?);
        let Some(index) = &self.index else {
            let all: Vec<u32> = (0..self.rows.num_rows() as u32).collect();
            for row in 0..left.num_rows() as u32 {
                pairs.extend(row, &all, &mut full)?;
            }
            return pairs.end(&mut full);
        };
        let mut found: Vec<Found> = vec![];
        index.find(encoder, columns, &mut found)?;
        if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            let wanted = kind == JoinKind::Semi;
            let mask: BooleanArray = found.iter().map(|f| Some((f.count > 0) == wanted)).collect();
            return next(filter_record_batch(left, &mask).map_err(internal)?);
        }
        if index.is_unique() {
            return Pairs::of_one(&found, kind == JoinKind::Left).end(&mut full);
        }
        for (row, found) in found.iter().enumerate() {
            match index.rows(found) {
                [] if kind == JoinKind::Left => pairs.alone(row as u32),
                partners => pairs.extend(row as u32, partners, &mut full)?,
            }
        }
        pairs.end(&mut full)
    }

    /// The rows of pairs, which are none then.
    fn take(
        &self,
        right: &[usize],
        schema: &SchemaRef,
        left: &RecordBatch,
        pairs: &mut Pairs,
    ) -> Result<RecordBatch> {
        let Pairs { left: l, right: r, has_alone } = std::mem::take(pairs);
        let rows = l.len();
        let same = rows == left.num_rows() && l.iter().enumerate().all(|(i, &l)| i as u32 == l);
        let l = UInt32Array::from(l);
        let partners =
            has_alone.then(|| NullBuffer::from(BooleanBuffer::collect_bool(rows, |i| r[i] != ALONE)));
        let r = UInt32Array::new(r.into(), partners);
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

/// Rows of both sides that belong together.
#[derive(Default)]
struct Pairs {
    left: Vec<u32>,
    /// `ALONE` where there is no partner.
    right: Vec<u32>,
    has_alone: bool,
}

/// The partner of a row that has none; no row has this number.
const ALONE: u32 = u32::MAX;

impl Pairs {
    /// Of rows that have one partner or none; those that have none too if `all`.
    fn of_one(found: &[Found], all: bool) -> Pairs {
        if all {
            let right: Vec<u32> = found.iter().map(|f| if f.count == 0 { ALONE } else { f.at }).collect();
            let has_alone = found.iter().any(|f| f.count == 0);
            return Pairs { left: (0..found.len() as u32).collect(), right, has_alone };
        }
        let (mut left, mut right) = (vec![0; found.len()], vec![0; found.len()]);
        let mut n = 0;
        for (row, found) in found.iter().enumerate() {
            // no branch: whether a row has a partner is hard to foretell
            (left[n], right[n]) = (row as u32, found.at);
            n += found.count as usize;
        }
        left.truncate(n);
        right.truncate(n);
        Pairs { left, right, has_alone: false }
    }

    /// Adds a row with its partners; hands on what is there whenever that is much.
    #[inline]
    fn extend(
        &mut self,
        row: u32,
        partners: &[u32],
        full: &mut impl FnMut(&mut Pairs) -> Result<()>,
    ) -> Result<()> {
        for some in partners.chunks(PAIRS) {
            match some {
                &[one] => {
                    self.left.push(row);
                    self.right.push(one);
                }
                some => {
                    self.left.extend(std::iter::repeat_n(row, some.len()));
                    self.right.extend_from_slice(some);
                }
            }
            if self.left.len() >= PAIRS {
                full(self)?;
            }
        }
        Ok(())
    }

    /// Adds a row without a partner.
    fn alone(&mut self, row: u32) {
        self.left.push(row);
        self.right.push(ALONE);
        self.has_alone = true;
    }

    /// Hands on what is left.
    fn end(&mut self, full: &mut impl FnMut(&mut Pairs) -> Result<()>) -> Result<()> {
        if self.left.is_empty() { Ok(()) } else { full(self) }
    }
}

/// Batches in one, a column beside the other.
fn in_one(rows: &[RecordBatch], schema: &SchemaRef, threads: usize) -> Result<RecordBatch> {
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let n = rows.iter().map(|r| r.num_rows()).sum();
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let all = side_by_side(threads, &columns, |&c| {
        let parts: Vec<&dyn Array> = rows.iter().map(|r| r.column(c).as_ref()).collect();
        concat(&parts).map_err(internal)
    });
    batch(schema, all.into_iter().collect::<Result<_>>()?, n)
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
        // the table is one batch, whose texts may have offsets of 32 bits
        let is_short = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Binary);
        let most = match self.run.pipeline.schema.fields().iter().any(|f| is_short(f.data_type())) {
            true => i32::MAX as usize,
            false => usize::MAX,
        };
        !self.program.outputs.is_empty() && bytes > self.run.budget.share(1).min(most)
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
                let Runtime { kernels, threads, .. } = *self.run.rt;
                let schema = &self.run.pipeline.schema;
                Left::Table(Arc::new(JoinTable::build(self.program, &rows, schema, kernels, threads)?))
            }
            Side::Parts(parts) => Left::Parts(Arc::new(parts)),
        })
    }
}
