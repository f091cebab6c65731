//! The kept side of a join of rows in the order of their keys: pieces on disk, each with its smallest and its largest key.
//!
//! Rows that look for partners come in the same order, so a batch of them needs few pieces, and each piece is read about once: nothing is cut by
//! a hash, and the rows need not be put back in order. The order is no condition: out of it more pieces are read, and none is missed.

use super::budget::Budget;
use super::evaluate::internal;
use super::join::{JoinTable, keys_of, table_bytes};
use super::keys::Encoder;
use super::sort::one_nan;
use super::store::{Disk, Stored};
use crate::error::Result;
use crate::plan::frame::{Probe, Program};
use crate::schedule::KernelCache;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use arrow_row::{RowConverter, Rows, SortField};
use std::sync::Arc;

/// Some of the rows, in order.
pub(super) struct Zone {
    keys: (Box<[u8]>, Box<[u8]>),
    rows: Stored,
}

/// All of them.
pub(super) struct Zones {
    zones: Vec<Zone>,
    keys: Arc<Program>,
    schema: SchemaRef,
}

/// Keys of rows without a null, as bytes that compare as the keys do, in their order.
struct Ordered {
    rows: Rows,
    order: Vec<u32>,
}

impl Ordered {
    fn new(keys: &[ArrayRef]) -> Result<Ordered> {
        let keys: Vec<ArrayRef> = keys.iter().cloned().map(one_nan).collect();
        let fields = keys.iter().map(|k| SortField::new(k.data_type().clone())).collect();
        let rows = RowConverter::new(fields).and_then(|c| c.convert_columns(&keys)).map_err(internal)?;
        let nulls =
            keys.iter().fold(None, |all, k| NullBuffer::union(all.as_ref(), k.logical_nulls().as_ref()));
        let valid = |i: &u32| nulls.as_ref().is_none_or(|n| n.is_valid(*i as usize));
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).filter(valid).collect();
        // they hardly ever are not yet
        order.sort_by(|&a, &b| rows.row(a as usize).cmp(&rows.row(b as usize)));
        Ok(Ordered { rows, order })
    }

    fn key(&self, place: usize) -> Option<&[u8]> {
        self.order.get(place).map(|&row| self.rows.row(row as usize).data())
    }

    /// Whether there is a key between two, these included.
    fn has_between(&self, least: &[u8], most: &[u8]) -> bool {
        let first = self.order.partition_point(|&row| self.rows.row(row as usize).data() < least);
        self.key(first).is_some_and(|key| key <= most)
    }
}

/// Writes rows whose keys these are, but for pieces in which every key has a null: those have no partners.
pub(super) fn write(
    rows: &RecordBatch,
    keys: &[ArrayRef],
    disk: &Disk<'_>,
    bytes: usize,
) -> Result<Vec<Zone>> {
    let n = rows.num_rows();
    // no more than a batch has: what it reads beside that is the ends of its range
    let each = (disk.budget.part() / 16 * n / bytes.max(1)).clamp(64, n.max(64));
    let zone = |at: usize| {
        let of = each.min(n - at);
        let keys: Vec<ArrayRef> = keys.iter().map(|k| k.slice(at, of)).collect();
        let keys = Ordered::new(&keys)?;
        let Some((least, most)) = keys.key(0).zip(keys.key(keys.order.len().wrapping_sub(1))) else {
            return Ok(None);
        };
        Ok(Some(Zone { keys: (least.into(), most.into()), rows: disk.write(&rows.slice(at, of))? }))
    };
    (0..n).step_by(each).filter_map(|at| zone(at).transpose()).collect()
}

impl Zones {
    /// Rows of these columns, with the keys that a program makes of them.
    pub fn new(zones: Vec<Zone>, keys: Arc<Program>, schema: SchemaRef) -> Zones {
        Zones { zones, keys, schema }
    }

    /// Bytes of memory that they take.
    pub fn held(&self) -> usize {
        self.zones.iter().map(|z| z.keys.0.len() + z.keys.1.len() + 64 + z.rows.held()).sum()
    }

    /// Hands on the rows that a batch makes, in the batch's order, in pieces.
    pub fn probe(
        &self,
        probe: &Probe,
        left: &RecordBatch,
        kernels: &KernelCache,
        budget: &Budget,
        next: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let keys = keys_of(probe, left, kernels)?;
        let ordered = Ordered::new(&keys)?;
        let is_near = |z: &&Zone| ordered.has_between(&z.keys.0, &z.keys.1);
        let near: Vec<&Stored> = self.zones.iter().filter(is_near).map(|z| &z.rows).collect();
        let bytes = near.iter().map(|r| table_bytes(r.bytes(), r.num_rows())).sum::<usize>();
        let (half, n) = (left.num_rows() / 2, left.num_rows());
        // far from each other, or many of each key: fewer at a time
        if bytes > budget.share(4) && half > 0 {
            for part in [left.slice(0, half), left.slice(half, n - half)] {
                self.probe(probe, &part, kernels, budget, next)?;
            }
            return Ok(());
        }
        let mut held = budget.hold();
        let what = "the rows of a join whose keys are those of one row";
        held.set(2 * bytes, what)?;
        let rows = near.into_iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
        let table = JoinTable::build(&self.keys, &rows, &self.schema, kernels, 1)?;
        drop(rows);
        held.set(table.nbytes(), what)?;
        table.join(probe.kind, &probe.right, &probe.schema, &keys, left, &mut Encoder::default(), next)
    }
}
