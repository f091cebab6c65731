//! When to rearrange data on the way: data stored in one order and needed in another.
//!
//! Any region of anything can be asked for, so a rechunk or a transpose needs no pass of its own; but if tasks cut across the
//! chunks of a file (rows read as columns), every chunk is read many times. Then the data is first copied, in one pass along its
//! own chunks, to a store cut where both orders cut, from which each task reads just its pieces.

use super::chunking::grow;
use super::dag::Dag;
use super::dag::NodeId;
use super::{Plan, Stage, Step, StepKind};
use crate::dtype::DType;
use crate::expr::Op;
use crate::shape::{AxisChunks, Dims, Grid, Region};
use std::collections::BTreeMap;

/// Reading a source directly may cost this many times its size before an exchange (which reads, writes and reads it) is better.
const WORTH: usize = 4;
/// Tasks looked at to estimate what a pass reads.
const SAMPLES: usize = 32;

/// A node to be copied to a store before it is used.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Tasks of the copying pass: unions of the node's own chunks.
    pub write: Grid,
    /// Chunks of the store; `None` for one in memory.
    pub store: Option<Grid>,
}

/// Bytes of a product or of blocks that are kept in memory rather than in a store, as a part of the limit.
const SMALL: u64 = 16;

/// The nodes that the plan reads across their chunks, by their numbers in the graph.
pub fn find(plan: &Plan, limit: u64) -> BTreeMap<NodeId, Exchange> {
    let mut found = BTreeMap::new();
    let mut products: BTreeMap<NodeId, (usize, &Step)> = BTreeMap::new();
    for stage in &plan.stages {
        let mut demands = Vec::new();
        let tasks = stage.tasks();
        let step_by = tasks.div_ceil(SAMPLES).max(1);
        let mut touched = vec![0usize; stage.steps.len()];
        let mut extents = vec![Dims::new(); stage.steps.len()];
        let mut sampled = 0;
        for task in (0..tasks).step_by(step_by) {
            sampled += 1;
            stage.demands(&stage.grid.region(&stage.task_index(task)), |_| false, &mut demands);
            for (k, step) in stage.steps.iter().enumerate() {
                if step.product().is_some() {
                    products.entry(step.node).or_insert((0, step)).0 += demanded(&demands[k]) * step_by;
                }
                let Some(grid) = own_chunks(&step.kind) else { continue };
                for region in &demands[k] {
                    touched[k] += chunk_hull(grid, region).len();
                    if extents[k].is_empty() {
                        extents[k] = region.shape.clone();
                    }
                    for (e, &n) in extents[k].iter_mut().zip(&region.shape) {
                        *e = n.max(*e);
                    }
                }
            }
        }
        for (k, step) in stage.steps.iter().enumerate() {
            let Some(grid) = own_chunks(&step.kind) else { continue };
            let size: usize = step.shape.iter().product();
            if sampled > 0
                && touched[k] / sampled > grid.max_block().iter().product()
                && condenses(stage, step)
            {
                found.entry(step.node).or_insert_with(|| kept(grid, step.dtype, limit));
                continue;
            }
            if sampled == 0 || touched[k] / sampled * tasks <= size.saturating_mul(WORTH) {
                continue;
            }
            let room = room(limit) / step.dtype.size();
            // writers take as many chunks at once as memory allows along the axes that readers want longer, and readers likewise
            let write = grow(grid, &extents[k], room);
            let read = grow(&Grid::regular(&step.shape, &extents[k]), &grid.max_block(), room);
            let store = Grid::new(write.axes().iter().zip(read.axes()).map(|(w, r)| w.refine(r)));
            found.entry(step.node).or_insert(Exchange { write, store: Some(store) });
        }
    }
    for (node, (made, step)) in products {
        let size: usize = step.shape.iter().product();
        if made > size + size / 4
            && let Some(grid) = step.product().map(|p| &p.grid)
        {
            found.entry(node).or_insert_with(|| kept(grid, step.dtype, limit));
        }
    }
    found
}

/// Whether a function of blocks takes much more than it makes. Then a task that wants many of its blocks would hold all that they are made
/// of, and they are better made before, each in a task of its own, like the parts of a fold.
fn condenses(stage: &Stage, step: &Step) -> bool {
    let bytes = |s: &Step| s.shape.iter().fold(s.dtype.size(), |n, &len| n.saturating_mul(len));
    let taken = step.inputs.iter().fold(0usize, |n, &input| n.saturating_add(bytes(&stage.steps[input])));
    matches!(step.kind, StepKind::MapBlocks { .. }) && taken > bytes(step).saturating_mul(WORTH)
}

/// Elements of regions.
fn demanded(regions: &[Region]) -> usize {
    regions.iter().map(Region::len).sum()
}

/// The products whose results other products use: they are complete before these begin.
pub fn of_products(dag: &Dag, limit: u64) -> BTreeMap<NodeId, Exchange> {
    let mut inside = vec![false; dag.nodes.len()];
    let mut found = BTreeMap::new();
    for (id, node) in dag.nodes.iter().enumerate().rev() {
        let product = matches!(node.op, Op::Product(_));
        if product && inside[id] {
            found.insert(id, kept(&node.grid, node.dtype, limit));
        }
        if product || inside[id] && !super::lower::breaks_pipeline(&node.op) {
            node.inputs.iter().for_each(|&input| inside[input] = true);
        }
    }
    found
}

/// What is made once: in memory if it is small.
fn kept(grid: &Grid, dtype: DType, limit: u64) -> Exchange {
    let bytes = grid.shape().iter().fold(dtype.size() as u64, |n, &len| n.saturating_mul(len as u64));
    let store = (bytes > limit / SMALL).then(|| grid.clone());
    Exchange { write: grid.clone(), store }
}

/// The chunks along which a step is made, if making part of one costs all of it.
fn own_chunks(kind: &StepKind) -> Option<&Grid> {
    match kind {
        StepKind::Read(source) if !source.in_memory() && source.grid().len() > 1 => Some(source.grid()),
        StepKind::MapBlocks { grid, .. } if grid.len() > 1 => Some(grid),
        _ => None,
    }
}

/// The smallest union of chunks that holds a region.
fn chunk_hull(grid: &Grid, region: &Region) -> Region {
    let mut hull = region.clone();
    for (k, range) in grid.touched(region).iter().enumerate() {
        if range.is_empty() {
            continue;
        }
        let (start, _) = grid.axes()[k].bounds(range.start);
        let (last, len) = grid.axes()[k].bounds(range.end - 1);
        hull.start[k] = start;
        hull.shape[k] = last + len - start;
    }
    hull
}

/// Bytes of one task's region on either side of an exchange: several such, with copies, run at once.
pub fn room(limit: u64) -> usize {
    (limit / 12).min(256 << 20) as usize
}

/// Groups tiles of a sink into tasks of about a MiB: a write may bring several.
pub fn group_tiles(fixed: &Grid, item: usize, limit: u64) -> Grid {
    let bytes = room(limit).min(1 << 20);
    let mut axes: Vec<AxisChunks> = fixed.axes().to_vec();
    for k in (0..axes.len()).rev() {
        let block: usize = axes.iter().map(|a| a.max_len().max(1)).product::<usize>() * item;
        let by = (bytes / block.max(1)).max(1);
        if by > 1 {
            axes[k] = axes[k].join(by);
        }
    }
    Grid::new(axes)
}
