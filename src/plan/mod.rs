//! Plans: what runs, as a few stages that do not grow with the number of blocks.
//!
//! A [`Stage`] is one pass over a grid of blocks. For each block (a *task*) it works out which regions of which data the
//! block needs, gets them (**steps**: reads, block-level rearrangements, kernels into temporaries), runs one fused
//! **kernel** over the block's points, and hands the results to its **roots** (store, reduce, scan).
//!
//! Regions are inferred per task, from the end backwards, so a slice anywhere in an expression reaches the read, a halo is
//! read from the source once, and nothing is kept per block.
//!
//! **Invariant:** a plan is data: lowering reads no file and runs no kernel.

mod chunking;
mod dag;
mod demand;
mod exchange;
mod explain;
#[cfg(feature = "frame")]
pub mod frame;
mod lower;
mod memory;
mod product;
mod stage;

pub use demand::Regions;
pub use lower::{Destination, Target, lower};
pub use memory::StageMemory;
pub use product::{ALIGN, ProductStep};

use crate::block::{Block, BlockSink, BlockSource};
use crate::dtype::DType;
use crate::expr::{MapBlocks, PadMode};
use crate::ir::Kernel;
use crate::op::ReduceOp;
use crate::shape::{Dims, Grid, Region};
use std::sync::Arc;

/// Stages in the order they run, and where each target's result is.
#[derive(Debug)]
pub struct Plan {
    /// The passes.
    pub stages: Vec<Stage>,
    /// For each target, the stage and root that make it.
    pub targets: Vec<ResultId>,
    /// The logical expression, printed; for `explain`.
    pub logical: String,
}

/// A root of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ResultId {
    /// Stage.
    pub stage: usize,
    /// Root of the stage.
    pub root: usize,
}

/// One pass over a grid of blocks.
#[derive(Debug)]
pub struct Stage {
    /// The iteration space and its tasks.
    pub grid: Grid,
    /// Axes of the grid from outermost to innermost in the order of tasks: kept axes of a reduction outside, so that its
    /// accumulators stay in use; the axis of a scan innermost.
    pub order: Dims,
    /// What is needed before the kernel; inputs come before their users.
    pub steps: Vec<Step>,
    /// What happens at every point.
    pub kernel: Kernel,
    /// The step behind each input of the kernel.
    pub kernel_inputs: Vec<StepId>,
    /// Where the kernel's roots go, one each.
    pub roots: Vec<StageRoot>,
    /// What a task and the stage may use.
    pub memory: StageMemory,
}

/// Number of a step in its stage.
pub type StepId = usize;

/// Something a task gets or makes before its kernel runs.
#[derive(Debug)]
pub struct Step {
    /// What.
    pub kind: StepKind,
    /// The node of the expression table that it yields.
    pub node: usize,
    /// The steps it uses. A kernel's inputs correspond to these.
    pub inputs: Vec<StepId>,
    /// Dtype of what it yields.
    pub dtype: DType,
    /// Shape of the whole of what it yields; a task asks for regions of it.
    pub shape: Dims,
}

/// The kinds of step.
#[derive(Debug)]
pub enum StepKind {
    /// A region of a source.
    Read(Arc<dyn BlockSource>),
    /// A region of an earlier stage's result.
    ReadResult(ResultId),
    /// A kernel with one store root, into a temporary.
    Kernel(Kernel),
    /// The input's elements in C order.
    Reshape,
    /// The inputs one after another along an axis.
    Concat {
        /// Axis.
        axis: usize,
        /// Where each input starts on it.
        starts: Vec<usize>,
    },
    /// The input's elements at per-axis indices.
    Gather(Vec<AxisGather>),
    /// A product of its two inputs.
    Product(Box<ProductStep>),
    /// A user's function of whole blocks.
    MapBlocks {
        /// The function.
        map: MapBlocks,
        /// Its result's grid.
        grid: Grid,
        /// The grid of each input, aligned with the result's by block index.
        inputs: Vec<Grid>,
    },
}

/// Which index of an input's axis each index of a result's axis is.
#[derive(Clone, Debug)]
pub enum AxisGather {
    /// The same.
    Same,
    /// A listed one. Regions are asked for in pieces of at most `chunk`.
    Places {
        /// The list.
        places: Arc<[usize]>,
        /// The input's chunk length on the axis.
        chunk: usize,
    },
    /// Shifted by `before`; outside the input's `len` by mode.
    Pad {
        /// Elements added in front.
        before: usize,
        /// Length of the input's axis.
        len: usize,
        /// Mode.
        mode: PadMode,
    },
}

impl AxisGather {
    /// The input's index for index `i`; `None` for a fill value.
    pub fn at(&self, i: usize) -> Option<usize> {
        match self {
            AxisGather::Same => Some(i),
            AxisGather::Places { places, .. } => Some(places[i]),
            AxisGather::Pad { before, len, mode } => {
                let (n, j) = (*len as isize, i as isize - *before as isize);
                if (0..n).contains(&j) {
                    return Some(j as usize);
                }
                let j = match mode {
                    PadMode::Constant => return None,
                    PadMode::Edge => j.clamp(0, n - 1),
                    PadMode::Wrap => j.rem_euclid(n),
                    PadMode::Symmetric => {
                        let k = j.rem_euclid(2 * n);
                        k.min(2 * n - 1 - k)
                    }
                    PadMode::Reflect if n == 1 => 0,
                    PadMode::Reflect => {
                        let k = j.rem_euclid(2 * n - 2);
                        k.min(2 * n - 2 - k)
                    }
                };
                Some(j as usize)
            }
        }
    }
}

/// Where a root of the stage's kernel goes.
#[derive(Debug)]
pub enum StageRoot {
    /// A dense block in memory.
    Memory {
        /// Dtype.
        dtype: DType,
        /// Whether its elements may stay where kernels run.
        stays: bool,
    },
    /// A block that the caller gave to be filled.
    Into(Block),
    /// A sink: a file, or the spill store of an exchange.
    Sink(Arc<dyn BlockSink>),
    /// The spill store of an exchange, cut into these chunks, read by later stages.
    Spill {
        /// Dtype.
        dtype: DType,
        /// Chunks of the store.
        grid: Grid,
    },
    /// A fold into accumulators that are dense blocks in memory.
    Reduce {
        /// How.
        op: ReduceOp,
        /// Dtype of the elements that are folded.
        dtype: DType,
        /// Over which axes of the grid.
        axes: Vec<usize>,
    },
    /// A running fold into a dense block in memory.
    Scan {
        /// `Sum` or `Prod`.
        op: ReduceOp,
        /// Dtype of the elements, which are converted to the accumulator's.
        dtype: DType,
        /// Along this axis of the grid.
        axis: usize,
        /// Whether its elements may stay where kernels run.
        stays: bool,
    },
}

/// A stage with folds is cut into about this many spans.
const FOLD_SPANS: usize = 64;

impl Plan {
    /// Whether a stage after `stage` reads this result.
    pub fn reads_after(&self, stage: usize, id: ResultId) -> bool {
        self.stages[stage + 1..]
            .iter()
            .any(|s| s.steps.iter().any(|step| matches!(step.kind, StepKind::ReadResult(r) if r == id)))
    }
}

impl Stage {
    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.grid.len()
    }

    /// Whether kernels may read the memory that each step yields.
    pub fn read_by_kernels(&self) -> Vec<bool> {
        let mut read = vec![false; self.steps.len()];
        let same = |step: &&Step| {
            matches!(step.kind, StepKind::Kernel(_) | StepKind::Reshape | StepKind::Product(_))
        };
        let inputs = self.steps.iter().filter(same).flat_map(|step| &step.inputs);
        inputs.chain(&self.kernel_inputs).for_each(|&step| read[step] = true);
        read
    }

    /// How many tasks in a row one worker takes: a *span*. The plan's alone, since folds are merged by span.
    pub fn span_tasks(&self) -> usize {
        let tasks = self.tasks();
        let counts = self.grid.counts();
        for root in &self.roots {
            match root {
                StageRoot::Scan { axis, .. } => return counts[*axis].max(1),
                StageRoot::Reduce { axes, .. } => {
                    let per_set: usize = axes.iter().map(|&a| counts[a]).product::<usize>().max(1);
                    let even = tasks.div_ceil(FOLD_SPANS).max(1);
                    // whole sets of accumulators where there are enough of them
                    return if tasks / per_set >= FOLD_SPANS { even.next_multiple_of(per_set) } else { even };
                }
                _ => {}
            }
        }
        (tasks / 4096).clamp(1, 64)
    }

    /// The most sets of accumulators that a fold over these axes has in one span.
    pub fn sets_per_span(&self, axes: &[usize]) -> usize {
        let counts = self.grid.counts();
        let folded: usize = axes.iter().map(|&a| counts[a]).product::<usize>().max(1);
        let sets = self.tasks().div_ceil(folded).max(1);
        let innermost = self.order.iter().rev().take(axes.len()).all(|k| axes.contains(k));
        let span = self.span_tasks();
        let touched = match innermost {
            true if span.is_multiple_of(folded) => span / folded,
            true => span / folded + 2,
            false => span,
        };
        touched.min(sets)
    }

    /// The index, per axis of the grid, of task number `i` in the order of the stage.
    pub fn task_index(&self, mut i: usize) -> Dims {
        let mut index = self.grid.counts();
        for &axis in self.order.iter().rev() {
            let n = index[axis];
            index[axis] = i % n;
            i /= n;
        }
        index
    }

    /// The regions of input `input` that step `step` needs for a region of its own.
    pub fn step_demands(&self, step: &Step, input: usize, region: &Region) -> Vec<Region> {
        let source = &self.steps[step.inputs[input]];
        match &step.kind {
            StepKind::Read(_) | StepKind::ReadResult(_) => vec![],
            StepKind::Kernel(kernel) => vec![kernel.inputs()[input].map.source_region(region)],
            StepKind::Reshape => vec![reshape_hull(region, &step.shape, &source.shape)],
            StepKind::Concat { axis, starts } => {
                let part = Region::new(
                    (0..region.ndim()).map(|k| if k == *axis { starts[input] } else { 0 }).collect::<Dims>(),
                    source.shape.clone(),
                );
                let inside = region.intersect(&part);
                if inside.is_empty() { vec![] } else { vec![inside.relative_to(&part)] }
            }
            StepKind::Gather(axes) => gather_demands(axes, region),
            StepKind::Product(product) => product.demand(input, region),
            StepKind::MapBlocks { map, grid, inputs } => {
                grid.blocks_in(region).map(|index| block_input(map, grid, &inputs[input], &index)).collect()
            }
        }
    }
}

/// The region of a user function's input for the block of its result at `index`.
pub fn block_input(map: &MapBlocks, grid: &Grid, input: &Grid, index: &[usize]) -> Region {
    if map.halo.iter().any(|&h| h > 0) {
        let mut r = grid.region(index);
        for (n, h) in r.shape.iter_mut().zip(&map.halo) {
            *n += 2 * h;
        }
        return r;
    }
    let index: Dims =
        index.iter().zip(input.axes()).map(|(&i, a)| if a.count() == 1 { 0 } else { i }).collect();
    input.region(&index)
}

/// The smallest box of `from` that holds the elements, in C order, of a region of `to`. It is one run of the C order.
pub fn reshape_hull(region: &Region, to: &[usize], from: &[usize]) -> Region {
    if region.is_empty() {
        return Region::new(Dims::from_elem(0, from.len()), Dims::from_elem(0, from.len()));
    }
    let flat = |at: &dyn Fn(usize) -> usize| to.iter().enumerate().fold(0, |acc, (k, &n)| acc * n + at(k));
    let (mut lo, mut hi) = (flat(&|k| region.start[k]), flat(&|k| region.end(k) - 1));
    let (mut first, mut last) = (Dims::from_elem(0, from.len()), Dims::from_elem(0, from.len()));
    for k in (0..from.len()).rev() {
        (first[k], lo) = (lo % from[k], lo / from[k]);
        (last[k], hi) = (hi % from[k], hi / from[k]);
    }
    let mut r = Region::whole(from);
    for k in 0..from.len() {
        r.start[k] = first[k];
        r.shape[k] = last[k] + 1 - first[k];
        if first[k] != last[k] {
            r.start[k + 1..].fill(0);
            r.shape[k + 1..].copy_from_slice(&from[k + 1..]);
            break;
        }
    }
    r
}

/// Runs of one axis of an input that the indices `start .. start + len` of a gather touch.
fn axis_runs(gather: &AxisGather, start: usize, len: usize) -> Vec<(usize, usize)> {
    match gather {
        AxisGather::Same => vec![(start, len)],
        AxisGather::Places { places, chunk } => {
            let mut by_chunk = std::collections::BTreeMap::new();
            for &p in &places[start..start + len] {
                let run = by_chunk.entry(p / chunk.max(&1)).or_insert((p, p));
                *run = (run.0.min(p), run.1.max(p));
            }
            by_chunk.into_values().map(|(lo, hi)| (lo, hi + 1 - lo)).collect()
        }
        pad => {
            let inside = (start..start + len).filter_map(|i| pad.at(i));
            let hull = inside.fold(None, |h: Option<(usize, usize)>, j| {
                Some(h.map_or((j, j), |(lo, hi)| (lo.min(j), hi.max(j))))
            });
            hull.map(|(lo, hi)| (lo, hi + 1 - lo)).into_iter().collect()
        }
    }
}

/// The regions of a gather's input that a region of its result touches: the product of the axes' runs.
pub fn gather_demands(axes: &[AxisGather], region: &Region) -> Vec<Region> {
    let mut out = vec![Region::default()];
    for (k, gather) in axes.iter().enumerate() {
        let runs = axis_runs(gather, region.start[k], region.shape[k]);
        out = out
            .into_iter()
            .flat_map(|r| {
                runs.iter().map(move |&(start, len)| {
                    let mut r = r.clone();
                    r.start.push(start);
                    r.shape.push(len);
                    r
                })
            })
            .collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_modes_are_numpys() {
        let at = |mode| {
            let pad = AxisGather::Pad { before: 4, len: 3, mode };
            (0..11).map(|i| pad.at(i).map_or(9, |j| j)).collect::<Vec<_>>()
        };
        assert_eq!(at(PadMode::Constant), [9, 9, 9, 9, 0, 1, 2, 9, 9, 9, 9]);
        assert_eq!(at(PadMode::Edge), [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
        assert_eq!(at(PadMode::Reflect), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(at(PadMode::Symmetric), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert_eq!(at(PadMode::Wrap), [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_reshaped_region_is_one_run_of_the_source() {
        // elements 6..12 of a (4, 6) array seen as (2, 12)
        let r = reshape_hull(&Region::new([0, 6].as_slice(), [1, 6].as_slice()), &[2, 12], &[4, 6]);
        assert_eq!(r, Region::new([1, 0].as_slice(), [1, 6].as_slice()));
        let r = reshape_hull(&Region::new([0, 7].as_slice(), [2, 2].as_slice()), &[2, 12], &[4, 6]);
        assert_eq!(r, Region::new([1, 0].as_slice(), [3, 6].as_slice()));
    }
}
