//! What a plan may use of memory: sums that can be checked by hand.
//!
//! For a stage, `task = sum over steps of (bytes of the regions it yields + bytes it needs to yield one of them) + kernel outputs that do
//! not go straight to their place`, with every region at its largest. `held = results that must be in memory while the stage
//! runs`. A stage runs `n` tasks at once only if `held + n * task <= limit`.

use super::demand::kernel_regions;
use super::{Plan, ResultId, Stage, StageRoot, Step, StepId, StepKind, reshape_hull};
use crate::error::{ErrorKind, Result};
use crate::ir::Kernel;
use crate::op::ReduceOp;
use crate::shape::{Dims, Grid, Region};
use std::ops::Range;

/// Projected memory of a stage, in bytes.
#[derive(Clone, Debug, Default)]
pub struct StageMemory {
    /// Most that one task uses at once.
    pub task: u64,
    /// Results held while the stage runs: its own and those that it or later stages still read.
    pub held: u64,
    /// The step or root that needs most in a task, for errors.
    pub largest: String,
}

/// Fills in every stage's projection and refuses a plan that cannot fit.
///
/// # Errors
/// [`ErrorKind::MemoryLimit`] naming the operation, the bytes needed and the limit.
pub fn check(plan: &mut Plan, limit: u64) -> Result<()> {
    for k in 0..plan.stages.len() {
        let stage = &plan.stages[k];
        let (task, largest) = task_bytes(stage);
        let held = held_bytes(plan, k);
        if held + task > limit {
            let stage = &plan.stages[k];
            let (op, chunks) = (if held > task { held_name(stage) } else { largest }, stage.grid.to_string());
            return Err(ErrorKind::MemoryLimit { op, needed: held + task, limit, chunks }.into());
        }
        plan.stages[k].memory = StageMemory { task, held, largest };
    }
    Ok(())
}

fn held_name(stage: &Stage) -> String {
    match stage.roots.first() {
        Some(StageRoot::Reduce { op, .. }) => format!("holding the result of {op}"),
        _ => "holding the result in memory".into(),
    }
}

/// Bytes of results in memory while stage `k` runs: made by it or before it, and still read after, or wanted by the caller.
fn held_bytes(plan: &Plan, k: usize) -> u64 {
    let mut bytes = 0;
    for (s, stage) in plan.stages.iter().enumerate().take(k + 1) {
        for (r, root) in stage.roots.iter().enumerate() {
            let id = ResultId { stage: s, root: r };
            let read_later = plan.stages[k..]
                .iter()
                .any(|t| t.steps.iter().any(|step| matches!(step.kind, StepKind::ReadResult(x) if x == id)));
            if s == k || read_later || plan.targets.contains(&id) {
                // while it is made, a fold has all its planes
                bytes += root_bytes(stage, root, s == k);
            }
        }
    }
    bytes
}

fn root_bytes(stage: &Stage, root: &StageRoot, running: bool) -> u64 {
    let shape = stage.grid.shape();
    let elements: u64 = shape.iter().map(|&n| n as u64).product();
    match root {
        StageRoot::Memory { dtype, .. } | StageRoot::Scan { dtype, .. } => elements * dtype.size() as u64,
        StageRoot::Into(_) | StageRoot::Sink(_) | StageRoot::Spill { .. } => 0,
        StageRoot::Reduce { op, dtype, axes } => {
            let kept = (0..shape.len()).filter(|k| !axes.contains(k));
            let n: u64 = kept.map(|k| shape[k] as u64).product();
            let all: usize = op.planes(*dtype).iter().map(|d| d.size()).sum();
            n * if running { all } else { op.accumulator(*dtype).size() } as u64
        }
    }
}

/// The most one task of a stage uses, and what of it uses most.
pub fn task_bytes(stage: &Stage) -> (u64, String) {
    let block = stage.grid.max_block();
    let mut sum = 0;
    let mut largest = (0, String::from("the pass"));
    let mut add = |bytes: u64, name: &dyn Fn() -> String| {
        sum += bytes;
        if bytes > largest.0 {
            largest = (bytes, name());
        }
    };
    for (step, extents) in stage.steps.iter().zip(demands(stage, &block)) {
        let parts = extents.iter().map(|extent| {
            let all = step_bytes(step, extent);
            let kept = own_bytes(step, extent).min(all);
            (kept, all - kept)
        });
        // a task yields a step's regions one after another: all are kept, what it takes to read one is there once
        let (kept, passing) = parts.fold((0, 0), |(k, p), (kept, passing)| (k + kept, p.max(passing)));
        add(kept + passing, &|| step.label());
    }
    for (n, root) in stage.roots.iter().enumerate() {
        let elements = block.iter().map(|&n| n as u64).product::<u64>();
        match root {
            StageRoot::Sink(sink) => {
                let item = stage.store_dtype(n).size() as u64;
                add(elements * item + sink.write_bytes(&block) as u64, &|| {
                    format!("writing {}", sink.label())
                });
            }
            StageRoot::Spill { dtype, .. } => {
                add(2 * elements * dtype.size() as u64, &|| "spilling".into());
            }
            // the accumulators of a worker's span, and as many again that wait to be merged
            StageRoot::Reduce { op, dtype, axes } => {
                let n: u64 =
                    (0..block.len()).filter(|k| !axes.contains(k)).map(|k| block[k] as u64).product();
                let planes: usize = op.planes(*dtype).iter().map(|d| d.size()).sum();
                let sets = 2 * stage.sets_per_span(axes) as u64;
                add(sets * n * planes as u64, &|| op.to_string());
            }
            StageRoot::Scan { dtype, axis, .. } => {
                let line = elements / block.get(*axis).copied().unwrap_or(1).max(1) as u64;
                add(line * dtype.size() as u64, &|| ReduceOp::Sum.to_string());
            }
            StageRoot::Memory { .. } | StageRoot::Into(_) => {}
        }
    }
    (sum, largest.1)
}

/// Bytes of a region of this extent.
fn own_bytes(step: &Step, extent: &[usize]) -> u64 {
    extent.iter().map(|&n| n as u64).product::<u64>() * step.dtype.size() as u64
}

/// Bytes to yield one region of this extent: the region itself and what is needed on the way.
fn step_bytes(step: &Step, extent: &[usize]) -> u64 {
    let own = own_bytes(step, extent);
    match &step.kind {
        StepKind::Read(source) => source.read_bytes(extent) as u64,
        StepKind::ReadResult(_) => 0,
        StepKind::Kernel(_) | StepKind::Gather(_) => own,
        // one copy if the input is not one run, and the result
        StepKind::Reshape => 2 * own,
        StepKind::Concat { .. } => own,
        // an operand's panel may be copied, and is packed
        StepKind::Product(p) => {
            let item = p.dtype.size() as u64;
            let copies = [0, 1].map(|n| p.panel(n, extent).iter().map(|&n| n as u64).product::<u64>() * item);
            own + copies[0] + copies[1] + p.room(extent) as u64
        }
        StepKind::MapBlocks { map, .. } => own * (2 + map.scratch as u64),
    }
}

/// For every step, the extents of the regions that a task of this extent asks of it, at their largest.
fn demands(stage: &Stage, block: &[usize]) -> Vec<Vec<Dims>> {
    let mut out: Vec<Vec<Dims>> = vec![vec![]; stage.steps.len()];
    let kernel = |kernel: &Kernel, steps: &[StepId], extent: &[usize], out: &mut Vec<Vec<Dims>>| {
        for (step, r) in kernel_regions(kernel, steps, &Region::whole(extent), |_| true) {
            out[step].push(r.shape);
        }
    };
    kernel(&stage.kernel, &stage.kernel_inputs, block, &mut out);
    for (k, step) in stage.steps.iter().enumerate().rev() {
        for extent in out[k].clone() {
            if let StepKind::Kernel(code) = &step.kind {
                kernel(code, &step.inputs, &extent, &mut out);
                continue;
            }
            for n in touched_inputs(stage, step, &extent) {
                let from = step.inputs[n];
                for e in input_extents(stage, step, n, &extent) {
                    out[from].push(e);
                }
            }
        }
    }
    out
}

/// The inputs of a step that one region of this extent can ask for. All of them, but of a concatenation only a run of neighbours: that
/// which costs most.
fn touched_inputs(stage: &Stage, step: &Step, extent: &[usize]) -> Range<usize> {
    let StepKind::Concat { axis, starts } = &step.kind else { return 0..step.inputs.len() };
    let end = |n: usize| starts.get(n + 1).copied().unwrap_or(step.shape[*axis]);
    // a region that begins in the last element of input `first` reaches this far
    let last = |first: usize| {
        let reach = (end(first) + extent[*axis]).saturating_sub(1).max(1);
        starts.partition_point(|&s| s < reach).max(first + 1)
    };
    let cost = |n: usize| {
        let input = &stage.steps[step.inputs[n]];
        let part: Dims = extent.iter().zip(&input.shape).map(|(&n, &m)| n.min(m)).collect();
        step_bytes(input, &part)
    };
    let costs: Vec<u64> = (0..starts.len()).map(cost).collect();
    let runs = (0..starts.len()).map(|first| first..last(first));
    runs.max_by_key(|run| (costs[run.clone()].iter().sum::<u64>(), run.len())).unwrap_or(0..0)
}

/// Upper bounds of what [`Stage::step_demands`] asks for.
fn input_extents(stage: &Stage, step: &Step, input: usize, extent: &[usize]) -> Vec<Dims> {
    let source = &stage.steps[step.inputs[input]];
    let clip = |e: Dims| -> Dims { e.iter().zip(&source.shape).map(|(&n, &m)| n.min(m)).collect() };
    match &step.kind {
        StepKind::Read(_) | StepKind::ReadResult(_) | StepKind::Kernel(_) => vec![],
        StepKind::Concat { .. } => vec![clip(extent.into())],
        StepKind::Reshape => vec![reshape_extent(extent, &step.shape, &source.shape)],
        StepKind::Gather(axes) => gather_extents(axes, extent, &step.shape, &source.shape),
        StepKind::Product(p) => vec![clip(p.maps[input].source_extent(&p.panel(input, extent)))],
        StepKind::MapBlocks { map, grid, inputs } => {
            // every block that a region of this extent can touch, each with its largest input
            let blocks: usize = extent
                .iter()
                .zip(grid.axes())
                .map(|(&n, a)| {
                    let small = if a.count() > 2 { a.bounds(1).1 } else { a.max_len() }.max(1);
                    if n == a.max_len() { 1 } else { (n.saturating_sub(2) / small + 2).min(a.count().max(1)) }
                })
                .product();
            let largest = largest_input(map, grid, &inputs[input]);
            vec![clip(largest); blocks.min(64)]
        }
    }
}

fn largest_input(map: &crate::expr::MapBlocks, grid: &Grid, input: &Grid) -> Dims {
    if map.halo.iter().any(|&h| h > 0) {
        return grid.max_block().iter().zip(&map.halo).map(|(n, h)| n + 2 * h).collect();
    }
    input.max_block()
}

/// The hull of any region of this extent, bounded by the run of elements it spans.
fn reshape_extent(extent: &[usize], to: &[usize], from: &[usize]) -> Dims {
    // a region at the origin spans the shortest run; one that is not aligned may touch one more row of each axis
    let r = reshape_hull(&Region::whole(extent), to, from);
    let mut out: Dims = r.shape.clone();
    if let Some(k) = (0..out.len()).find(|&k| out[k] > 1) {
        out[k] = (out[k] + 1).min(from[k]);
        for j in k + 1..from.len() {
            out[j] = from[j];
        }
    }
    out
}

fn gather_extents(axes: &[super::AxisGather], extent: &[usize], _to: &[usize], from: &[usize]) -> Vec<Dims> {
    use super::AxisGather::*;
    let mut out: Dims = Dims::new();
    let mut copies = 1;
    for (k, gather) in axes.iter().enumerate() {
        match gather {
            Same => out.push(extent[k]),
            Pad { .. } => out.push(extent[k].min(from[k])),
            Places { places, chunk } => {
                // the worst window of the list: pieces touched, each at most a chunk long
                let n = extent[k].max(1);
                let pieces = places
                    .chunks(n)
                    .map(|w| {
                        let mut touched: Vec<usize> = w.iter().map(|p| p / chunk.max(&1)).collect();
                        touched.sort_unstable();
                        touched.dedup();
                        touched.len()
                    })
                    .max()
                    .unwrap_or(0);
                out.push((*chunk).min(from[k]));
                copies *= pieces;
            }
        }
    }
    vec![out; copies]
}
