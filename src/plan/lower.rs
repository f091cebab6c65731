//! Expressions to stages.
//!
//! 1. Fold equal sub-expressions ([`Dag`]).
//! 2. Find what must be complete before something else can start: folds and scans. Each, and each target, is a *draft* of a
//!    pass: an iteration space, a value at its points, and a root.
//! 3. Drafts of one level (none depends on another) that iterate over the same space and share data become one stage:
//!    `mean`, `std` and `min` of one array are one pass.
//! 4. Build each stage: values that are elementwise go into its kernel, seen through composed index maps; what is not becomes a
//!    step; an elementwise value that would be computed at several places per point, or by several kernels, becomes a temporary.

use super::chunking;
use super::dag::{Dag, NodeId};
use super::exchange::{self, Exchange};
use super::memory::StageMemory;
use super::{AxisGather, Plan, ResultId, Stage, StageRoot, Step, StepId, StepKind};
use crate::block::{Block, BlockSink};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::expr::{Expr, Op};
use crate::ir::{Builder, Value};
use crate::op::{BinaryOp, ReduceOp};
use crate::shape::{Dims, Grid, IndexMap};
use smallvec::SmallVec;
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
    /// A block that the caller lends: same dtype and shape.
    Into(Block),
    /// A sink.
    Sink(Arc<dyn BlockSink>),
}

/// What becomes a root of some stage.
#[derive(Clone, Debug)]
struct Draft {
    /// The value at each point.
    value: NodeId,
    /// The iteration space and its preferred tasks.
    grid: Grid,
    /// Whether tasks must follow the grid (a sink's chunks).
    fixed: bool,
    /// Axis permutation of tasks.
    order: Dims,
    /// The root's place: made into a [`StageRoot`] once the stage is known.
    root: RootKind,
    /// How many folds, scans or exchanges must be complete before.
    level: usize,
    /// The node that this draft completes, for stages that read it.
    completes: Option<NodeId>,
    /// The target that this draft serves.
    target: Option<usize>,
}

impl Draft {
    fn new(value: NodeId, grid: Grid, root: RootKind, level: usize) -> Draft {
        let order = (0..grid.ndim()).collect();
        Draft { value, grid, fixed: false, order, root, level, completes: None, target: None }
    }
}

#[derive(Clone, Debug)]
enum RootKind {
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
    let mut exchanges = BTreeMap::new();
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
        let built = StageBuilder::new(dag, &done, group[0].grid.ndim()).build(&group, exchanges, limit)?;
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

fn breaks_pipeline(op: &Op) -> bool {
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
            let root = RootKind::Keep(Some(exchange.store.clone()));
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
        if let (Destination::Memory, Some(&d)) = (&target.destination, draft_of.get(&id))
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
                Op::MapBlocks(_) => true,
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

/// Which computation needs a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Context {
    /// The stage's kernel.
    Main,
    /// The kernel of the temporary for this node.
    Temporary(NodeId),
    /// A step that is no kernel: the value must be a step itself.
    Step,
}

struct StageBuilder<'a> {
    dag: &'a Dag,
    done: &'a HashMap<NodeId, ResultId>,
    /// Rank of the stage's kernel.
    rank: usize,
    steps: Vec<Step>,
    step_of: HashMap<NodeId, StepId>,
    /// Which kernels need each node, and through which map.
    uses: HashMap<NodeId, Vec<(Context, IndexMap)>>,
    /// What is computed into steps of its own.
    boundaries: BTreeSet<NodeId>,
    kernels: HashMap<Context, KernelDraft>,
}

struct KernelDraft {
    builder: Builder,
    inputs: Vec<StepId>,
    values: HashMap<(NodeId, IndexMap), Value>,
}

impl KernelDraft {
    fn new(rank: usize) -> KernelDraft {
        KernelDraft { builder: Builder::new(rank), inputs: vec![], values: HashMap::new() }
    }
}

impl<'a> StageBuilder<'a> {
    fn new(dag: &'a Dag, done: &'a HashMap<NodeId, ResultId>, rank: usize) -> Self {
        StageBuilder {
            dag,
            done,
            rank,
            steps: vec![],
            step_of: HashMap::new(),
            uses: HashMap::new(),
            boundaries: BTreeSet::new(),
            kernels: HashMap::new(),
        }
    }

    fn build(mut self, group: &[Draft], exchanges: &BTreeMap<NodeId, Exchange>, limit: u64) -> Result<Stage> {
        let ndim = self.rank;
        let identity = IndexMap::identity(ndim);
        for draft in group {
            self.need(draft.value, Context::Main, identity.clone());
        }
        self.find_uses();
        self.kernels.insert(Context::Main, KernelDraft::new(ndim));
        self.emit()?;

        let mut main = self.kernels.remove(&Context::Main).unwrap_or_else(|| KernelDraft::new(ndim));
        let mut roots = Vec::new();
        for draft in group {
            let value = main.values[&(draft.value, identity.clone())];
            let dtype = self.dag.nodes[draft.value].dtype;
            roots.push(match &draft.root {
                RootKind::Store(destination) => {
                    main.builder.store(value);
                    match destination {
                        Destination::Memory => StageRoot::Memory { dtype },
                        Destination::Into(block) => StageRoot::Into(block.clone()),
                        Destination::Sink(sink) => StageRoot::Sink(sink.clone()),
                    }
                }
                RootKind::Keep(store) => {
                    main.builder.store(value);
                    match store {
                        Some(grid) => StageRoot::Spill { dtype, grid: grid.clone() },
                        None => StageRoot::Memory { dtype },
                    }
                }
                RootKind::Reduce { op, axes } => {
                    main.builder.reduce(*op, value, axes.iter().map(|&a| a as u8));
                    StageRoot::Reduce { op: *op, dtype, axes: axes.clone() }
                }
                RootKind::Scan { op, axis } => {
                    let to = op.accumulator(dtype);
                    let value = main.builder.cast(to, value);
                    main.builder.store(value);
                    StageRoot::Scan { op: *op, dtype: to, axis: *axis }
                }
            });
        }
        let kernel = main.builder.finish()?;
        let grid = match group.iter().find(|d| d.fixed) {
            Some(d) if matches!(d.root, RootKind::Keep(_)) => d.grid.clone(),
            Some(d) => exchange::group_tiles(&d.grid, self.dag.nodes[d.value].dtype.size(), limit),
            None => group[0].grid.clone(),
        };
        // tasks that read a store take its pieces whole
        let store = self
            .steps
            .iter()
            .find_map(|s| exchanges.get(&s.node).filter(|_| self.done.contains_key(&s.node)));
        let grid = match store {
            Some(e) if e.store.ndim() == grid.ndim() => {
                let item = self.dag.nodes[group[0].value].dtype.size();
                chunking::grow(&grid, &e.store.max_block(), exchange::room(limit) / item)
            }
            _ => grid,
        };
        let ordered = group.iter().find(|d| !matches!(d.root, RootKind::Store(_))).unwrap_or(&group[0]);
        Ok(Stage {
            grid,
            order: ordered.order.clone(),
            steps: self.steps,
            kernel,
            kernel_inputs: main.inputs,
            roots,
            memory: StageMemory::default(),
        })
    }

    fn is_leaf(&self, id: NodeId) -> bool {
        self.done.contains_key(&id) || matches!(self.dag.nodes[id].op, Op::Source(_))
    }

    /// Whether a value seen through `map` is the same at many points of a kernel: then it is computed once, before.
    fn is_broadcast(&self, context: Context, map: &IndexMap) -> bool {
        let rank = match context {
            Context::Main => self.rank,
            Context::Temporary(of) => self.dag.nodes[of].shape.len(),
            Context::Step => 0,
        };
        (0..rank).any(|k| map.axes().iter().all(|a| a.from != Some(k as u8)))
    }

    fn need(&mut self, id: NodeId, context: Context, map: IndexMap) {
        let uses = self.uses.entry(id).or_default();
        if !uses.iter().any(|(c, m)| *c == context && *m == map) {
            uses.push((context, map));
        }
    }

    /// Walks from users to operands and settles, for every node, who needs it and whether it is a temporary.
    fn find_uses(&mut self) {
        let mut work = self.work();
        for id in (0..self.dag.nodes.len()).rev() {
            let Some(uses) = self.uses.get(&id).cloned() else { continue };
            let node = &self.dag.nodes[id];
            if self.is_leaf(id) || node.op.is_generated() && !uses.iter().any(|u| u.0 == Context::Step) {
                continue;
            }
            if let Op::View(view) = &node.op
                && !uses.iter().any(|u| u.0 == Context::Step)
            {
                for (context, map) in uses {
                    self.need(node.inputs[0], context, view.then(&map));
                }
                continue;
            }
            let fused = node.op.is_elementwise() || node.op.is_generated() || matches!(node.op, Op::View(_));
            let repeated = work(id) > 0 && uses.iter().any(|(context, map)| self.is_broadcast(*context, map));
            if fused && !repeated && !needs_temporary(&uses, work(id)) {
                for &input in &node.inputs {
                    for (context, map) in &uses {
                        self.need(input, *context, map.clone());
                    }
                }
                continue;
            }
            let context = if fused { Context::Temporary(id) } else { Context::Step };
            self.boundaries.insert(id);
            if fused {
                self.kernels.insert(context, KernelDraft::new(node.shape.len()));
            }
            for &input in &node.inputs {
                let identity = IndexMap::identity(self.dag.nodes[input].shape.len());
                match &node.op {
                    Op::View(view) => self.need(input, context, view.clone()),
                    _ => self.need(input, context, identity),
                }
            }
        }
    }

    /// A function that counts the elementwise operations behind a node, up to leaves and steps (saturating).
    fn work(&self) -> impl FnMut(NodeId) -> u32 + use<> {
        let mut count = vec![0u32; self.dag.nodes.len()];
        for (id, node) in self.dag.nodes.iter().enumerate() {
            if self.is_leaf(id) || !(node.op.is_elementwise() || matches!(node.op, Op::View(_))) {
                continue;
            }
            let own = match node.op {
                Op::View(_) => 0,
                Op::Unary(op) if op.is_transcendental() => 10,
                _ => 1,
            };
            count[id] = node.inputs.iter().fold(own, |sum: u32, &i| sum.saturating_add(count[i]));
        }
        move |id| count[id]
    }

    /// Emits every node's value into every kernel that needs it, operands first.
    fn emit(&mut self) -> Result<()> {
        for id in 0..self.dag.nodes.len() {
            let Some(uses) = self.uses.get(&id).cloned() else { continue };
            if self.is_leaf(id) || self.boundaries.contains(&id) {
                let step = self.make_step(id)?;
                for (context, map) in uses {
                    let dtype = self.steps[step].dtype;
                    let Some(draft) = self.kernels.get_mut(&context) else { continue };
                    let input = draft.builder.input(dtype, map.clone());
                    draft.inputs.push(step);
                    let value = draft.builder.load(input);
                    draft.values.insert((id, map), value);
                }
                continue;
            }
            for (context, map) in uses {
                self.emit_value(id, context, &map)?;
            }
        }
        Ok(())
    }

    /// Emits one elementwise value, seen through `map`, into a kernel.
    fn emit_value(&mut self, id: NodeId, context: Context, map: &IndexMap) -> Result<()> {
        let node = &self.dag.nodes[id];
        let Some(draft) = self.kernels.get_mut(&context) else {
            return Err(Error::internal(format!("no kernel for {context:?}, which uses {}", node.op)));
        };
        let operand = |draft: &KernelDraft, k: usize| match &node.op {
            Op::View(view) => draft.values[&(node.inputs[k], view.then(map))],
            _ => draft.values[&(node.inputs[k], map.clone())],
        };
        let value = emit_op(&node.op, node.dtype, map, draft, operand)?;
        draft.values.insert((id, map.clone()), value);
        Ok(())
    }

    /// The step that yields a node's value.
    fn make_step(&mut self, id: NodeId) -> Result<StepId> {
        if let Some(&step) = self.step_of.get(&id) {
            return Ok(step);
        }
        let node = &self.dag.nodes[id];
        let inputs = |b: &Self| node.inputs.iter().map(|i| b.step_of[i]).collect::<Vec<_>>();
        let (kind, inputs) = match &node.op {
            _ if self.done.contains_key(&id) => (StepKind::ReadResult(self.done[&id]), vec![]),
            Op::Source(source) => (StepKind::Read(source.0.clone()), vec![]),
            Op::Reshape => (StepKind::Reshape, inputs(self)),
            Op::Concat { axis } => {
                let axis = *axis as usize;
                let mut at = 0;
                let starts = node
                    .inputs
                    .iter()
                    .map(|&i| {
                        at += self.dag.nodes[i].shape[axis];
                        at - self.dag.nodes[i].shape[axis]
                    })
                    .collect();
                (StepKind::Concat { axis, starts }, inputs(self))
            }
            Op::Take { axis, places } => {
                let chunk = self.dag.nodes[node.inputs[0]].grid.axes()[*axis as usize].max_len();
                let axes = (0..node.shape.len()).map(|k| match k == *axis as usize {
                    true => AxisGather::Places { places: places.clone(), chunk },
                    false => AxisGather::Same,
                });
                (StepKind::Gather(axes.collect()), inputs(self))
            }
            Op::Pad { before, after, mode } => {
                let shape = &self.dag.nodes[node.inputs[0]].shape;
                let axes = (0..node.shape.len()).map(|k| match before[k] + after[k] {
                    0 => AxisGather::Same,
                    _ => AxisGather::Pad { before: before[k], len: shape[k], mode: *mode },
                });
                (StepKind::Gather(axes.collect()), inputs(self))
            }
            Op::MapBlocks(map) => {
                let (grid, grids) = (node.grid.clone(), node.input_grids.clone());
                (StepKind::MapBlocks { map: map.clone(), grid, inputs: grids }, inputs(self))
            }
            _ => {
                let map = IndexMap::identity(node.shape.len());
                self.emit_value(id, Context::Temporary(id), &map)?;
                let Some(mut draft) = self.kernels.remove(&Context::Temporary(id)) else {
                    return Err(Error::internal("temporary without a kernel"));
                };
                let value = draft.values[&(id, map)];
                draft.builder.store(value);
                (StepKind::Kernel(draft.builder.finish()?), draft.inputs)
            }
        };
        self.steps.push(Step { kind, node: id, inputs, dtype: node.dtype, shape: node.shape.clone() });
        let step = self.steps.len() - 1;
        self.step_of.insert(id, step);
        Ok(step)
    }
}

/// Whether an elementwise value should be computed once into a temporary rather than wherever it is used.
fn needs_temporary(uses: &[(Context, IndexMap)], work: u32) -> bool {
    let contexts: BTreeSet<Context> = uses.iter().map(|u| u.0).collect();
    let again = uses.len() as u32 - 1;
    // a temporary costs about a store and a load; below that, computing again is cheaper
    contexts.contains(&Context::Step) || contexts.len() > 1 && work > 0 || work.saturating_mul(again) > 2
}

fn emit_op(
    op: &Op,
    dtype: DType,
    map: &IndexMap,
    draft: &mut KernelDraft,
    operand: impl Fn(&KernelDraft, usize) -> Value,
) -> Result<Value> {
    let arg: SmallVec<[Value; 3]> = match op {
        Op::Const(_) | Op::Index { .. } => SmallVec::new(),
        Op::Cast | Op::Unary(_) | Op::View(_) => (0..1).map(|k| operand(draft, k)).collect(),
        Op::Binary(_) | Op::Compare(_) => (0..2).map(|k| operand(draft, k)).collect(),
        _ => (0..3).map(|k| operand(draft, k)).collect(),
    };
    let b = &mut draft.builder;
    Ok(match op {
        Op::Const(s) => b.constant(*s),
        Op::Index { axis } => {
            let a = map.axes()[*axis as usize];
            let start = b.constant(Scalar::from(a.start as i64));
            match a.from {
                None => start,
                Some(k) => {
                    let (i, step) = (b.index(k), b.constant(Scalar::from(a.step as i64)));
                    let scaled = if a.step == 1 { i } else { b.binary(BinaryOp::Mul, i, step) };
                    if a.start == 0 { scaled } else { b.binary(BinaryOp::Add, scaled, start) }
                }
            }
        }
        Op::Cast => b.cast(dtype, arg[0]),
        Op::View(_) => arg[0],
        Op::Unary(op) => b.unary(*op, arg[0]),
        Op::Binary(op) => b.binary(*op, arg[0], arg[1]),
        Op::Compare(op) => b.compare(*op, arg[0], arg[1]),
        Op::Select => b.select(arg[0], arg[1], arg[2]),
        Op::MulAdd => b.mul_add(arg[0], arg[1], arg[2]),
        other => return Err(Error::internal(format!("{other} is not elementwise"))),
    })
}
