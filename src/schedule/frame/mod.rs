//! Runs the plan of a frame: pipeline after pipeline, each one's parts on workers as the stages of arrays are.
//!
//! What a pipeline leaves is in memory as long as there is room, and else in spill files; which of both it is changes no result.

mod budget;
mod build;
mod decimal;
mod distinct;
mod evaluate;
mod exchange;
mod group;
mod join;
mod keys;
mod parts;
mod pipeline;
mod ranges;
mod rows;
mod runs;
mod share;
mod sort;
mod spans;
mod split;
mod store;
mod travel;
mod window;
mod zones;

use super::{Counters, Runtime, Tally};
use crate::error::{Error, Result};
use crate::event::{Event, Summary};
use crate::plan::frame::{Chain, FramePlan, Input, Pipeline, RowStep};
use arrow::array::RecordBatch;
use budget::{Budget, Held};
pub(crate) use keys::HASHES;
use pipeline::{Left, PipelineRun};
#[cfg(feature = "cluster")]
pub(crate) use rows::PART_BYTES;
use share::Share;
pub use share::{Came, FrameStage, Give, Role, Spread, Together, Way};
use std::sync::Arc;
use std::time::{Duration, Instant};
pub use travel::{pack, pack_schema, rows_of, unpack_schema};

/// The bytes of rows that the kept side of a join may have in memory, given from where on rows go to disk.
pub fn room_for_table(spill_above: u64) -> u64 {
    Budget::new(spill_above, spill_above).share(1) as u64
}

/// Runs a plan; the rows of its result.
///
/// # Errors
/// The first error in the order of pipelines and spans.
pub fn run(plan: &FramePlan, rt: &Runtime<'_>) -> Result<(Vec<RecordBatch>, Summary)> {
    let tally = Tally::start(rt);
    // how much a pipeline leaves for another is not known before
    let parts = |c: &Chain| match &c.input {
        Input::Scan { source, .. } => source.parts(),
        Input::Result(_) | Input::Joined { .. } => 0,
    };
    let tasks = plan.pipelines.iter().flat_map(|p| &p.chains).map(parts).sum();
    rt.tell(Event::RunStarted { stages: plan.pipelines.len(), tasks });
    let budget = Budget::new(rt.memory_limit, rt.spill_above);
    let mut times = vec![];
    let outcome =
        run_pipelines(plan, rt, &tally.counters, &budget, &mut times, &|_| Ok(Some(Share::All)), &|_, _| ());
    let outcome =
        outcome.and_then(|rows| rows.ok_or_else(|| Error::internal("a plan without rows at its end")));
    let summary = Summary { stages: times, ..tally.summary(rt, outcome.is_ok()) };
    rt.tell(Event::RunFinished(summary.clone()));
    Ok((outcome?, summary))
}

/// Runs pipelines in order, of each the share that there is; the rows that the last one leaves here. `made` is told what each leaves.
fn run_pipelines<'a>(
    plan: &FramePlan,
    rt: &Runtime<'_>,
    counters: &Counters,
    budget: &Budget,
    times: &mut Vec<Duration>,
    share: &dyn Fn(usize) -> Result<Option<Share<'a>>>,
    made: &dyn Fn(usize, &Left),
) -> Result<Option<Vec<RecordBatch>>> {
    let mut results: Vec<Left> = vec![];
    let mut held: Vec<Held<'_>> = vec![];
    for (number, pipeline) in plan.pipelines.iter().enumerate() {
        let started = Instant::now();
        let last = number + 1 == plan.pipelines.len();
        let Some(share) = &share(number)? else {
            results.push(Left::Nothing);
            held.push(budget.hold());
            continue;
        };
        let run = PipelineRun { number, pipeline, results: &results, last, share, rt, counters, budget };
        let mut left = if let Share::Ready(left) = share { left.clone() } else { run.run()? };
        if let (Left::Rows(rows, _), true) = (&left, last) {
            left = run.collect(rows.clone())?;
        }
        let mut bytes = budget.hold();
        bytes.set(left.held(), &pipeline.root)?;
        made(number, &left);
        held.push(bytes);
        results.push(left);
        // what no later pipeline reads
        for (k, result) in results.iter_mut().enumerate().take(number) {
            if !plan.pipelines[number + 1..].iter().any(|p| p.reads(k)) {
                *result = Left::Nothing;
                held[k].set(0, "")?;
            }
        }
        times.push(started.elapsed());
        rt.tell(Event::StageFinished { stage: number, elapsed: started.elapsed() });
    }
    match results.pop() {
        Some(Left::Memory(rows)) => Ok(Some(rows.batches().to_vec())),
        _ => Ok(None),
    }
}

impl Pipeline {
    /// Whether it reads what pipeline `n` left.
    fn reads(&self, n: usize) -> bool {
        self.looks_up(n) || self.chains.iter().any(|c| c.input.pipeline() == Some(n))
    }

    /// Whether rows look for partners in it.
    fn looks_up(&self, n: usize) -> bool {
        let probes = |s: &Arc<RowStep>| matches!(&**s, RowStep::Probe(p) if p.build == n);
        self.chains.iter().any(|c| c.steps.iter().any(probes))
    }
}
