//! A join: one side kept whole with a table of its keys, the other looked up batch by batch.

use super::super::cache::KernelCache;
use super::super::workers::side_by_side;
use super::evaluate::{batch, evaluate, internal};
use super::keys::{Encoder, Found, Index};
use super::store::project;
use crate::block::batch::batch_bytes;
use crate::error::{ErrorKind, Result};
use crate::expr::frame::JoinKind;
use crate::plan::frame::{Probe, Program};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, filter_record_batch, take};
use arrow::datatypes::SchemaRef;

/// The kept side of a join.
pub(super) struct JoinTable {
    rows: RecordBatch,
    /// The rows by key; none where every row is a partner of all.
    index: Option<Index>,
}

/// The keys of rows that look for partners.
pub(super) fn keys_of(probe: &Probe, rows: &RecordBatch, kernels: &KernelCache) -> Result<Vec<ArrayRef>> {
    if rows.num_columns() == probe.seen() {
        return evaluate(&probe.keys, rows, kernels);
    }
    let seen: Vec<usize> = (0..probe.seen()).collect();
    evaluate(&probe.keys, &project(rows, &seen)?, kernels)
}

/// The most pairs handed on at once.
const PAIRS: usize = 1 << 16;

/// About the bytes of memory that so many rows of so many bytes take as a table, while it is made too.
pub(super) fn table_bytes(bytes: usize, rows: usize) -> usize {
    bytes + 40 * rows
}

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
        let keys = keys_of(probe, left, kernels)?;
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
