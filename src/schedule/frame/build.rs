//! The side of a join that is kept: in memory with a table of its keys, or on disk.

use super::super::Runtime;
use super::evaluate::{evaluate, internal};
use super::join::{JoinTable, table_bytes};
use super::parts::{self, Parts};
use super::pipeline::{Gather, Left, PipelineRun};
use super::share::Share;
use super::store::{Disk, Stored};
use super::travel::{pack, rows_of};
use super::zones::{self, Zone, Zones};
use crate::block::batch::batch_bytes;
use crate::error::Result;
use crate::plan::frame::Program;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The most bytes of rows that are moved to disk at once, if there are several batches: no column can be longer than twice that.
const TOGETHER: usize = 1 << 30;

/// Whether a column of a type has offsets of 32 bits.
fn is_short(t: &DataType) -> bool {
    match t {
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => true,
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => is_short(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| is_short(f.data_type())),
        _ => false,
    }
}

/// A root that keeps the side of a join that is looked up.
pub(super) struct Build<'a> {
    keys: &'a Arc<Program>,
    /// Whether both sides are in the order of their keys.
    in_order: bool,
    run: &'a PipelineRun<'a>,
    disk: &'a Disk<'a>,
    /// Whether rows go to disk: from the first time that there are too many.
    on_disk: AtomicBool,
}

/// The rows of a span.
#[derive(Default)]
pub(super) struct BuildState {
    rows: Vec<RecordBatch>,
    /// What they take as a table.
    bytes: usize,
    on_disk: OnDisk,
}

/// Rows on disk: cut by a hash of their keys, or in order.
#[derive(Default)]
pub(super) struct OnDisk {
    cut: Vec<(usize, Stored)>,
    zones: Vec<Zone>,
}

/// All rows in memory, or all of them on disk.
pub(super) enum Side {
    Rows(Vec<RecordBatch>, usize),
    Disk(OnDisk),
}

impl<'a> Build<'a> {
    pub fn new(
        keys: &'a Arc<Program>,
        in_order: bool,
        run: &'a PipelineRun<'a>,
        disk: &'a Disk<'a>,
    ) -> Build<'a> {
        Build { keys, in_order, run, disk, on_disk: AtomicBool::new(false) }
    }

    /// Whether a table of this many bytes of rows would be too large. A join of all pairs has no keys to go by.
    fn is_too_large(&self, bytes: usize) -> bool {
        // rows of a span that go to other machines stay as they are
        if let Share::Spans { .. } = self.run.share {
            return false;
        }
        // the table is one batch, whose columns may have offsets of 32 bits
        let most = match self.run.pipeline.schema.fields().iter().any(|f| is_short(f.data_type())) {
            true => i32::MAX as usize,
            false => usize::MAX,
        };
        !self.keys.outputs.is_empty() && bytes > self.run.budget.share(1).min(most)
    }

    /// Moves rows to disk: some at a time, so that their copies do not add up.
    fn write(&self, rows: &[RecordBatch], to: &mut OnDisk) -> Result<()> {
        let most = self.run.budget.share(8).min(TOGETHER);
        let (mut start, mut bytes) = (0, 0);
        for (k, batch) in rows.iter().enumerate() {
            let more = batch_bytes(batch);
            if k > start && bytes + more > most {
                self.write_some(&rows[start..k], to)?;
                (start, bytes) = (k, 0);
            }
            bytes += more;
        }
        self.write_some(&rows[start..], to)
    }

    fn write_some(&self, rows: &[RecordBatch], to: &mut OnDisk) -> Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        let bytes = rows.iter().map(batch_bytes).sum();
        let all = concat_batches(first.schema_ref(), rows).map_err(internal)?;
        let keys = evaluate(self.keys, &all, self.run.rt.kernels)?;
        match self.in_order {
            true => to.zones.extend(zones::write(&all, &keys, self.disk, bytes)?),
            false => to.cut.extend(parts::cut(&all, &keys, self.disk)?),
        }
        Ok(())
    }
}

impl OnDisk {
    fn is_empty(&self) -> bool {
        self.cut.is_empty() && self.zones.is_empty()
    }

    fn append(&mut self, mut other: OnDisk) {
        self.cut.append(&mut other.cut);
        self.zones.append(&mut other.zones);
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
        state.bytes += table_bytes(batch_bytes(&rows), rows.num_rows());
        state.rows.push(rows);
        if self.is_too_large(state.bytes) {
            self.on_disk.store(true, Relaxed);
        }
        let share = self.run.budget.share(4 * self.run.rt.threads);
        if self.on_disk.load(Relaxed) && state.bytes > share { self.seal(state) } else { Ok(()) }
    }

    fn seal(&self, state: &mut BuildState) -> Result<()> {
        if self.on_disk.load(Relaxed) {
            self.write(&std::mem::take(&mut state.rows), &mut state.on_disk)?;
            state.bytes = 0;
        }
        Ok(())
    }

    fn bytes(&self, state: &BuildState) -> usize {
        state.bytes
    }

    fn merge(&self, whole: &mut Side, _span: usize, mut state: BuildState) -> Result<()> {
        if let Side::Rows(rows, bytes) = whole {
            if state.on_disk.is_empty() && !self.is_too_large(*bytes + state.bytes) {
                rows.append(&mut state.rows);
                *bytes += state.bytes;
                return Ok(());
            }
            self.on_disk.store(true, Relaxed);
            let mut disk = OnDisk::default();
            self.write(&std::mem::take(rows), &mut disk)?;
            *whole = Side::Disk(disk);
        }
        if let Side::Disk(disk) = whole {
            disk.append(state.on_disk);
            self.write(&state.rows, disk)?;
        }
        Ok(())
    }

    fn whole_bytes(&self, whole: &Side) -> usize {
        match whole {
            Side::Rows(_, bytes) => *bytes,
            Side::Disk(_) => 0,
        }
    }

    fn finish(&self, whole: Side) -> Result<Left> {
        let (keys, schema) = (self.keys, &self.run.pipeline.schema);
        Ok(match whole {
            Side::Rows(rows, _) => {
                let Runtime { kernels, threads, .. } = *self.run.rt;
                Left::Table(Arc::new(JoinTable::build(keys, &rows, schema, kernels, threads)?))
            }
            Side::Disk(disk) if self.in_order => {
                Left::Zones(Arc::new(Zones::new(disk.zones, keys.clone(), schema.clone())))
            }
            Side::Disk(disk) => {
                let mut parts = Parts::new(Some((keys.clone(), schema.clone())));
                parts.extend(disk.cut);
                Left::Parts(Arc::new(parts))
            }
        })
    }

    fn export(&self, _span: usize, state: BuildState, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![pack(state.rows.iter())?])
    }

    fn import(&self, bytes: Vec<u8>) -> Result<BuildState> {
        let rows = rows_of(bytes, &self.run.pipeline.schema)?;
        let bytes = rows.iter().map(|r| table_bytes(batch_bytes(r), r.num_rows())).sum();
        Ok(BuildState { rows, bytes, on_disk: OnDisk::default() })
    }
}
