//! The kept side of a join of rows in the order of their keys: pieces on disk, each with its smallest and its largest key.
//!
//! Rows that look for partners come in the same order, so a batch of them needs few pieces, and each piece is read about once: nothing is cut by
//! a hash, and the rows need not be put back in order. The order is no condition: out of it more pieces are read, and none is missed.

use super::budget::Budget;
use super::evaluate::{evaluate, internal};
use super::join::JoinTable;
use super::keys::Encoder;
use super::sort::one_nan;
use super::store::{Disk, Stored};
use crate::error::Result;
use crate::plan::frame::{Probe, Program};
use crate::schedule::KernelCache;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow_row::{RowConverter, SortField};
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

/// The smallest and the largest key, as bytes that compare as keys do; none of no rows.
fn range(keys: &[ArrayRef]) -> Result<Option<(Box<[u8]>, Box<[u8]>)>> {
    let keys: Vec<ArrayRef> = keys.iter().cloned().map(one_nan).collect();
    let fields = keys.iter().map(|k| SortField::new(k.data_type().clone())).collect();
    let rows = RowConverter::new(fields).and_then(|c| c.convert_columns(&keys)).map_err(internal)?;
    let (least, most) = (rows.iter().min(), rows.iter().max());
    Ok(least.zip(most).map(|(a, b)| (a.data().into(), b.data().into())))
}

/// Writes rows whose keys these are.
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
        let keys = range(&keys)?.unwrap_or_default();
        Ok(Zone { keys, rows: disk.write(&rows.slice(at, of))? })
    };
    (0..n).step_by(each).map(zone).collect()
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
        let keys = evaluate(&probe.keys, left, kernels)?;
        let Some((least, most)) = range(&keys)? else { return Ok(()) };
        let near: Vec<&Stored> =
            self.zones.iter().filter(|z| z.keys.0 <= most && z.keys.1 >= least).map(|z| &z.rows).collect();
        let mut held = budget.hold();
        let what = "the rows of a join whose keys are those of one batch";
        held.set(2 * near.iter().map(|r| r.bytes()).sum::<usize>(), what)?;
        let rows = near.into_iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
        let table = JoinTable::build(&self.keys, &rows, &self.schema, kernels, 1)?;
        drop(rows);
        held.set(table.nbytes(), what)?;
        table.join(probe.kind, &probe.right, &probe.schema, &keys, left, &mut Encoder::default(), next)
    }
}
