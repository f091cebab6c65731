//! Frames on their way: the plan that the client and every worker make of a relation.

use super::layout::Layout;
use super::wire::frame::FrameJob;
use crate::block::BatchSink;
use crate::error::{Error, Result};
use crate::expr::frame::Relation;
use crate::optimize::frame::optimize;
use crate::plan::frame::lower;
use crate::schedule::frame::{Spread, room_for_table};
use arrow::array::RecordBatch;
use std::sync::Arc;

/// The plan of a relation for workers with this memory limit; rows that go to a sink are the client's to write.
///
/// # Errors
/// Those of planning, and for what cannot be shared out.
pub fn spread(relation: &Relation, sink: Option<Arc<dyn BatchSink>>, limit: u64) -> Result<Spread> {
    let room = room_for_table(limit / 2);
    Spread::new(lower(&optimize(relation)?, sink, room)?, room)
}

/// The layout of a job, as a worker makes it.
///
/// # Errors
/// As [`spread`].
pub fn layout(number: u64, job: &FrameJob) -> Result<Layout> {
    let sink = job.writes.then(|| Arc::new(Elsewhere) as Arc<dyn BatchSink>);
    let spread = spread(&job.relation, sink, job.limit)?;
    Layout::of_rows(number, spread, job.limit, job.shards)
}

/// A sink that the client has.
#[derive(Debug)]
struct Elsewhere;

impl BatchSink for Elsewhere {
    fn label(&self) -> String {
        "the client's".into()
    }

    fn write(&self, _: &RecordBatch) -> Result<()> {
        Err(Error::internal("the client writes this"))
    }

    fn finish(&self) -> Result<()> {
        self.write(&RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty())))
    }
}
