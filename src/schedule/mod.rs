//! Runs a plan: stage after stage, each stage's tasks on a few workers, inside the plan's memory projection.
//!
//! Tasks are never queued: a worker takes the next *span* (a run of consecutive tasks) from a counter, so what is in memory is what the
//! workers hold. How many workers a stage gets is what the memory limit admits. Folds keep one set of accumulators per
//! span and are merged in the order of spans, which depends on the plan alone: threads and time never change a bit.

mod cache;
mod fold;
#[cfg(feature = "frame")]
pub mod frame;
mod order;
pub mod part;
mod product;
mod scan;
mod spill;
mod stage;
mod steps;
mod workers;

pub use cache::KernelCache;
pub use workers::in_task;

use crate::block::{BlockSource, Lent, pool};
use crate::error::Result;
use crate::event::{Event, Observer, Summary};
use crate::plan::{Plan, StageRoot};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What a run needs beside the plan.
pub struct Runtime<'a> {
    /// Compiles and keeps kernels.
    pub kernels: &'a KernelCache,
    /// Where workers run: at least twice `threads` wide, so that reads and writes go on beside kernels.
    pub pool: &'a rayon::ThreadPool,
    /// Kernels that run at once.
    pub threads: usize,
    /// Memory limit in bytes.
    pub memory_limit: u64,
    /// Bytes of rows that are kept in memory; more go to spill files.
    pub spill_above: u64,
    /// Directory of spill files.
    pub temp_dir: PathBuf,
    /// Who watches.
    pub observers: &'a [Arc<dyn Observer>],
    /// Set from outside to end the run early.
    pub cancel: &'a AtomicBool,
}

/// Counts of a run, added to by all workers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub tasks: AtomicU64,
    pub bytes_read: AtomicU64,
    pub bytes_written: AtomicU64,
    pub bytes_spilled: AtomicU64,
}

/// A run that is going on: when it began, and what it has done since.
pub(crate) struct Tally {
    pub counters: Counters,
    started: Instant,
    compiled: u64,
}

impl Tally {
    /// Nothing done yet.
    pub fn start(rt: &Runtime<'_>) -> Tally {
        pool().reset_peak();
        Tally { counters: Counters::default(), started: Instant::now(), compiled: rt.kernels.compiled() }
    }

    /// What was done, without the times of stages.
    pub fn summary(&self, rt: &Runtime<'_>, ok: bool) -> Summary {
        Summary {
            ok,
            elapsed: self.started.elapsed(),
            tasks: self.counters.tasks.load(Relaxed),
            bytes_read: self.counters.bytes_read.load(Relaxed),
            bytes_written: self.counters.bytes_written.load(Relaxed),
            bytes_spilled: self.counters.bytes_spilled.load(Relaxed),
            kernels_compiled: rt.kernels.compiled() - self.compiled,
            peak_memory: pool().peak() as u64,
            ..Summary::default()
        }
    }
}

/// What a finished root left for later stages and the caller.
pub(crate) enum RootResult {
    /// A block in memory, or where kernels run.
    Block(Lent),
    /// Chunks in a spill store.
    Spilled(Arc<dyn BlockSource>),
    /// Nothing here: it went to a sink or the caller's block.
    Gone,
}

impl Runtime<'_> {
    fn tell(&self, event: Event) {
        for observer in self.observers {
            observer.event(&event);
        }
    }
}

/// Runs a plan. For each target: its block if it was wanted in memory.
///
/// # Errors
/// The first error in the order of stages and spans that any task met; sinks are then left unfinished, to be dropped.
pub fn run(plan: &Plan, rt: &Runtime<'_>) -> Result<(Vec<Option<Lent>>, Summary)> {
    let tally = Tally::start(rt);
    let tasks = plan.stages.iter().map(|s| s.tasks()).sum();
    rt.tell(Event::RunStarted { stages: plan.stages.len(), tasks });
    let mut times = Summary::default();
    let outcome = run_stages(plan, rt, &tally.counters, &mut times);
    let Summary { stages, finishing, .. } = times;
    let summary = Summary { stages, finishing, ..tally.summary(rt, outcome.is_ok()) };
    rt.tell(Event::RunFinished(summary.clone()));
    outcome.map(|blocks| (blocks, summary))
}

fn run_stages(
    plan: &Plan,
    rt: &Runtime<'_>,
    counters: &Counters,
    times: &mut Summary,
) -> Result<Vec<Option<Lent>>> {
    let mut results: Vec<Vec<RootResult>> = Vec::new();
    for (n, stage) in plan.stages.iter().enumerate() {
        let started = Instant::now();
        let done = stage::run(n, stage, &results, None, rt, counters)?;
        results.push(done);
        drop_unread(plan, n, &mut results);
        times.stages.push(started.elapsed());
        rt.tell(Event::StageFinished { stage: n, elapsed: started.elapsed() });
    }
    for root in plan.stages.iter().flat_map(|s| &s.roots) {
        if let StageRoot::Sink(sink) = root {
            let started = Instant::now();
            sink.finish()?;
            times.finishing += started.elapsed();
        }
    }
    // one block may serve several targets
    let take = |id: &crate::plan::ResultId| match &results[id.stage][id.root] {
        RootResult::Block(block) => Some(block.clone()),
        _ => None,
    };
    let blocks = plan.targets.iter().map(take).collect();
    drop(results);
    Ok(blocks)
}

/// Frees results that neither a later stage nor the caller reads.
fn drop_unread(plan: &Plan, done: usize, results: &mut [Vec<RootResult>]) {
    for (s, roots) in results.iter_mut().enumerate() {
        for (r, result) in roots.iter_mut().enumerate() {
            let id = crate::plan::ResultId { stage: s, root: r };
            if !plan.targets.contains(&id) && !plan.reads_after(done, id) {
                *result = RootResult::Gone;
            }
        }
    }
}
