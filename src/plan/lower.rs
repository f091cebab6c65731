//! Expressions to stages.
//!
//! 1. Fold equal sub-expressions ([`Dag`]).
//! 2. Find what must be complete before something else can start: folds and scans. Each, and each target, is a *draft* of a
//!    pass: an iteration space, a value at its points, and a root.
//! 3. Drafts of one level (none depends on another) that iterate over the same space and share data become one stage:
//!    `mean`, `std` and `min` of one array are one pass.
//! 4. Build each stage ([`StageBuilder`]).

use super::dag::{Dag, NodeId};
use super::exchange::{self, Exchange};
use super::stage::StageBuilder;
use super::{Plan, ResultId};
use crate::block::{Block, BlockSink};
use crate::error::Result;
use crate::expr::{Expr, Op};
use crate::op::ReduceOp;
use crate::shape::{Dims, Grid};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// An expression and where its result should go.
#[derive(Debug)]
pub struct Target {
    /// What to compute.
    pub expr: Expr,
    /// Where to.
    pub destination: Destination,
}

/// Where a result goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// A new block in memory.
    Memory,
    /// A new block whose elements may stay where kernels run.
    Stay,
    /// A block that the caller lends: same dtype and shape.
    Into(Block),
    /// A sink.
    Sink(Arc<dyn BlockSink>),
}

/// What becomes a root of some stage.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The value at each point.
    pub(super) value: NodeId,
    /// The iteration space and its preferred tasks.
    pub(super) grid: Grid,
    /// Whether tasks must follow the grid (a sink's chunks).
    pub(super) fixed: bool,
    /// Axis permutation of tasks.
    pub(super) order: Dims,
    /// The root's place: made into a [`StageRoot`](super::StageRoot) once the stage is known.
    pub(super) root: RootKind,
    /// How many folds, scans or exchanges must be complete before.
    pub(super) level: usize,
    /// The node that this draft completes, for stages that read it.
    pub(super) completes: Option<NodeId>,
    /// The target that this draft serves.
    pub(super) target: Option<usize>,
}

impl Draft {
    fn new(value: NodeId, grid: Grid, root: RootKind, level: usize) -> Draft {
        let order = (0..grid.ndim()).collect();
        Draft { value, grid, fixed: false, order, root, level, completes: None, target: None }
    }
}

#[derive(Clone, Debug)]
pub(super) enum RootKind {
    Store(Destination),
    /// For later stages: in a spill store of these chunks, or in memory.
    Keep(Option<Grid>),
    Reduce {
        op: ReduceOp,
        axes: Vec<usize>,
    },
    Scan {
        op: ReduceOp,
        axis: usize,
    },
}

/// Plans the targets. `limit` is the memory limit in bytes: it decides how data is cut, not what is computed.
///
/// # Errors
/// [`ErrorKind::MemoryLimit`](crate::error::ErrorKind::MemoryLimit) if some task, or the results that must be in memory, can
/// never fit.
pub fn lower(targets: &[Target], limit: u64) -> Result<Plan> {
    let roots: Vec<Expr> = targets.iter().map(|t| t.expr.clone()).collect();
    let (dag, ids) = Dag::new(&roots);
    let mut exchanges = exchange::of_products(&dag, limit);
    loop {
        let mut plan = attempt(&dag, targets, &ids, &exchanges, limit)?;
        let more = exchange::find(&plan, limit);
        if more.keys().all(|node| exchanges.contains_key(node)) {
            super::memory::check(&mut plan, limit)?;
            return Ok(plan);
        }
        for (node, exchange) in more {
            exchanges.entry(node).or_insert(exchange);
        }
    }
}

/// The plan that copies these nodes to stores before they are used.
fn attempt(
    dag: &Dag,
    targets: &[Target],
    ids: &[NodeId],
    exchanges: &BTreeMap<NodeId, Exchange>,
    limit: u64,
) -> Result<Plan> {
    let levels = levels(dag, exchanges);
    let mut drafts = drafts(dag, targets, ids, &levels, exchanges);
    drafts.extend(keeps(dag, &drafts, exchanges, limit));
    drafts.sort_by_key(|d| d.level);
    // what may be lost with a device is made again with all else, and no sink is written twice
    let stays = !targets.iter().any(|t| matches!(t.destination, Destination::Sink(_)));

    let mut plan = Plan {
        stages: vec![],
        targets: vec![ResultId { stage: 0, root: 0 }; targets.len()],
        logical: super::explain::logical(dag, ids),
    };
    let mut done: HashMap<NodeId, ResultId> = HashMap::new();
    while !drafts.is_empty() {
        let group = take_group(dag, &done, &mut drafts);
        let stage = plan.stages.len();
        for (root, draft) in group.iter().enumerate() {
            if let Some(t) = draft.target {
                plan.targets[t] = ResultId { stage, root };
            }
        }
        let built =
            StageBuilder::new(dag, &done, group[0].grid.ndim()).build(&group, exchanges, limit, stays)?;
        for (root, draft) in group.iter().enumerate() {
            if let Some(node) = draft.completes {
                done.insert(node, ResultId { stage, root });
            }
        }
        plan.stages.push(built);
    }
    Ok(plan)
}

/// How many folds, scans or exchanges must be complete before each node can be evaluated.
fn levels(dag: &Dag, exchanges: &BTreeMap<NodeId, Exchange>) -> Vec<usize> {
    let mut levels = vec![0; dag.nodes.len()];
    for (id, node) in dag.nodes.iter().enumerate() {
        let below = node.inputs.iter().map(|&i| levels[i]).max().unwrap_or(0);
        levels[id] =
            below + usize::from(breaks_pipeline(&node.op)) + usize::from(exchanges.contains_key(&id));
    }
    levels
}

pub(super) fn breaks_pipeline(op: &Op) -> bool {
    matches!(op, Op::Reduce { .. } | Op::Scan { .. })
}

/// One draft per fold, scan and target; a target that is itself a fold into memory is served by the fold.
fn drafts(
    dag: &Dag,
    targets: &[Target],
    ids: &[NodeId],
    levels: &[usize],
    exchanges: &BTreeMap<NodeId, Exchange>,
) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut draft_of: HashMap<NodeId, usize> = HashMap::new();
    for (id, node) in dag.nodes.iter().enumerate() {
        if let Some(exchange) = exchanges.get(&id) {
            let root = RootKind::Keep(exchange.store.clone());
            drafts.push(Draft {
                fixed: true,
                completes: Some(id),
                ..Draft::new(id, exchange.write.clone(), root, levels[id] - 1)
            });
        }
        if !breaks_pipeline(&node.op) {
            continue;
        }
        let value = node.inputs[0];
        let input = &dag.nodes[value];
        let (root, last): (RootKind, Vec<usize>) = match &node.op {
            Op::Reduce { op, axes } => {
                let axes: Vec<usize> = axes.iter().map(|&a| a as usize).collect();
                (RootKind::Reduce { op: *op, axes: axes.clone() }, axes)
            }
            Op::Scan { op, axis } => (RootKind::Scan { op: *op, axis: *axis as usize }, vec![*axis as usize]),
            _ => continue,
        };
        let kept = (0..input.shape.len()).filter(|k| !last.contains(k));
        let order = kept.chain(last.iter().copied()).collect();
        draft_of.insert(id, drafts.len());
        let draft = Draft::new(value, node.input_grids[0].clone(), root, levels[value]);
        drafts.push(Draft { order, completes: Some(id), ..draft });
    }
    for (t, (target, &id)) in targets.iter().zip(ids).enumerate() {
        if let (Destination::Memory | Destination::Stay, Some(&d)) = (&target.destination, draft_of.get(&id))
            && drafts[d].target.is_none()
        {
            drafts[d].target = Some(t);
            continue;
        }
        let (grid, fixed) = match &target.destination {
            Destination::Sink(sink) => (sink.grid().clone(), true),
            _ => (target.expr.grid().clone(), false),
        };
        let draft = Draft::new(id, grid, RootKind::Store(target.destination.clone()), levels[id]);
        drafts.push(Draft { fixed, target: Some(t), ..draft });
    }
    drafts
}

/// Takes the first draft and all others that can share its pass.
fn take_group(dag: &Dag, done: &HashMap<NodeId, ResultId>, drafts: &mut Vec<Draft>) -> Vec<Draft> {
    let mut group = vec![drafts.remove(0)];
    let mut shared = leaves(dag, done, group[0].value);
    let level = group[0].level;
    let mut k = 0;
    while k < drafts.len() {
        let d = &drafts[k];
        let scans = |d: &Draft| matches!(d.root, RootKind::Scan { .. });
        let fits = d.level == level
            && d.grid.shape() == group[0].grid.shape()
            && !scans(d)
            && !group.iter().any(scans)
            && (!d.fixed || group.iter().all(|g| !g.fixed || g.grid == d.grid));
        let own = leaves(dag, done, d.value);
        if fits && !own.is_disjoint(&shared) {
            shared.extend(own);
            group.push(drafts.remove(k));
        } else {
            k += 1;
        }
    }
    group
}

/// Drafts that keep in memory what is costly to get, is needed at several levels, and is small beside the limit: a file that two
/// passes read is read once.
fn keeps(dag: &Dag, drafts: &[Draft], exchanges: &BTreeMap<NodeId, Exchange>, limit: u64) -> Vec<Draft> {
    let mut used: BTreeMap<NodeId, BTreeSet<usize>> = BTreeMap::new();
    for draft in drafts {
        let mut seen = BTreeSet::new();
        let mut stack = vec![draft.value];
        while let Some(id) = stack.pop() {
            let node = &dag.nodes[id];
            // what another draft completes is not evaluated here
            if !seen.insert(id)
                || id != draft.value && (breaks_pipeline(&node.op) || exchanges.contains_key(&id))
            {
                continue;
            }
            let costly = match &node.op {
                Op::Source(source) => !source.0.in_memory(),
                Op::MapBlocks(_) | Op::Product(_) => true,
                _ => false,
            };
            if costly && !exchanges.contains_key(&id) {
                used.entry(id).or_default().insert(draft.level);
            }
            if !breaks_pipeline(&node.op) {
                stack.extend(&node.inputs);
            }
        }
    }
    let mut room = limit / 4;
    let mut out = Vec::new();
    for (id, levels) in used {
        let node = &dag.nodes[id];
        let bytes = node.shape.iter().map(|&n| n as u64).product::<u64>() * node.dtype.size() as u64;
        if let (Some(&first), true) = (levels.first(), levels.len() > 1 && bytes <= room) {
            room -= bytes;
            let draft = Draft::new(id, node.grid.clone(), RootKind::Keep(None), first);
            out.push(Draft { completes: Some(id), ..draft });
        }
    }
    out
}

/// The sources and finished results that a value reads.
fn leaves(dag: &Dag, done: &HashMap<NodeId, ResultId>, value: NodeId) -> BTreeSet<NodeId> {
    let mut out = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut stack = vec![value];
    while let Some(id) = stack.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = &dag.nodes[id];
        if done.contains_key(&id) || matches!(node.op, Op::Source(_)) {
            out.insert(id);
        } else {
            stack.extend(&node.inputs);
        }
    }
    out
}
