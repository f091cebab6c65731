//! One stage from its drafts.
//!
//! Elementwise values go into the stage's kernel, seen through composed index maps; what is not elementwise becomes a step; an
//! elementwise value that would be computed at several places per point, or by several kernels, becomes a temporary.

use super::dag::{Dag, DagNode, NodeId};
use super::exchange::{self, Exchange};
use super::lower::{Destination, Draft, RootKind};
use super::memory::StageMemory;
use super::{AxisGather, ProductStep, ResultId, Stage, StageRoot, Step, StepId, StepKind, chunking};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::expr::{Op, Product};
use crate::ir::{Builder, Value};
use crate::op::BinaryOp;
use crate::shape::IndexMap;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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

pub(super) struct StageBuilder<'a> {
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
    pub(super) fn new(dag: &'a Dag, done: &'a HashMap<NodeId, ResultId>, rank: usize) -> Self {
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

    pub(super) fn build(
        mut self,
        group: &[Draft],
        exchanges: &BTreeMap<NodeId, Exchange>,
        limit: u64,
        stays: bool,
    ) -> Result<Stage> {
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
                        Destination::Memory => StageRoot::Memory { dtype, stays: false },
                        Destination::Stay => StageRoot::Memory { dtype, stays: true },
                        Destination::Into(block) => StageRoot::Into(block.clone()),
                        Destination::Sink(sink) => StageRoot::Sink(sink.clone()),
                    }
                }
                RootKind::Keep(store) => {
                    main.builder.store(value);
                    match store {
                        Some(grid) => StageRoot::Spill { dtype, grid: grid.clone() },
                        None => StageRoot::Memory { dtype, stays },
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
                    StageRoot::Scan { op: *op, dtype: to, axis: *axis, stays }
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
            .filter(|s| self.done.contains_key(&s.node))
            .find_map(|s| exchanges.get(&s.node).and_then(|e| e.store.as_ref()));
        let grid = match store {
            Some(store) if store.ndim() == grid.ndim() => {
                let item = self.dag.nodes[group[0].value].dtype.size();
                chunking::grow(&grid, &store.max_block(), exchange::room(limit) / item)
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
            if matches!(node.op, Op::Product(_)) {
                continue;
            }
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
                Op::Random => 100,
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
        let value = emit_op(node, map, draft, operand)?;
        draft.values.insert((id, map.clone()), value);
        Ok(())
    }

    /// The steps of a product's operands, which only it uses, and what it is.
    fn product(&mut self, id: NodeId, product: &Product) -> Result<(StepKind, Vec<StepId>)> {
        let node = &self.dag.nodes[id];
        let mut inner = StageBuilder::new(self.dag, self.done, 0);
        let operands = [0, 1].map(|n| {
            // what only rearranges indices is seen through
            let input = node.inputs[n];
            let (base, map) = match &self.dag.nodes[input] {
                view if let Op::View(map) = &view.op
                    && !self.is_leaf(input) =>
                {
                    (view.inputs[0], map.clone())
                }
                whole => (input, IndexMap::identity(whole.shape.len())),
            };
            inner.need(base, Context::Step, IndexMap::identity(self.dag.nodes[base].shape.len()));
            (base, map)
        });
        inner.find_uses();
        inner.emit()?;
        let first = self.steps.len();
        let steps = operands.iter().map(|(base, _)| first + inner.step_of[base]).collect();
        self.steps.extend(inner.steps.into_iter().map(|mut step| {
            step.inputs.iter_mut().for_each(|input| *input += first);
            step
        }));
        let [a, b] = [0, 1].map(|n| &self.dag.nodes[node.inputs[n]]);
        let step = ProductStep {
            product: product.clone(),
            maps: operands.map(|(_, map)| map),
            left: product.groups(a.shape.len(), b.shape.len())[1],
            dtype: a.dtype,
            grid: node.grid.clone(),
            inner: first..self.steps.len(),
        };
        Ok((StepKind::Product(Box::new(step)), steps))
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
            Op::Product(product) => self.product(id, product)?,
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

/// The index on an axis of what is seen through `map`, as an integer of this dtype (wrapped).
fn index(b: &mut Builder, map: &IndexMap, axis: usize, dtype: DType) -> Value {
    let a = map.axes()[axis];
    let start = b.constant(Scalar::from(a.start as i64).cast(dtype));
    let Some(k) = a.from else { return start };
    let (i, step) = (b.index(k), b.constant(Scalar::from(a.step as i64).cast(dtype)));
    let i = b.cast(dtype, i);
    let scaled = if a.step == 1 { i } else { b.binary(BinaryOp::Mul, i, step) };
    if a.start == 0 { scaled } else { b.binary(BinaryOp::Add, scaled, start) }
}

fn emit_op(
    node: &DagNode,
    map: &IndexMap,
    draft: &mut KernelDraft,
    operand: impl Fn(&KernelDraft, usize) -> Value,
) -> Result<Value> {
    let arg: SmallVec<[Value; 3]> = match &node.op {
        op if op.is_generated() => SmallVec::new(),
        Op::Cast | Op::Unary(_) | Op::View(_) => (0..1).map(|k| operand(draft, k)).collect(),
        Op::Random | Op::Binary(_) | Op::Compare(_) => (0..2).map(|k| operand(draft, k)).collect(),
        _ => (0..3).map(|k| operand(draft, k)).collect(),
    };
    let b = &mut draft.builder;
    Ok(match &node.op {
        Op::Const(s) => b.constant(*s),
        Op::Index { axis } => index(b, map, *axis as usize, node.dtype),
        Op::Random => {
            b.random([arg[0], arg[1]], node.dtype, &node.shape, |b, axis, word| index(b, map, axis, word))
        }
        Op::Cast => b.cast(node.dtype, arg[0]),
        Op::View(_) => arg[0],
        Op::Unary(op) => b.unary(*op, arg[0]),
        Op::Binary(op) => b.binary(*op, arg[0], arg[1]),
        Op::Compare(op) => b.compare(*op, arg[0], arg[1]),
        Op::Select => b.select(arg[0], arg[1], arg[2]),
        Op::MulAdd => b.mul_add(arg[0], arg[1], arg[2]),
        other => return Err(Error::internal(format!("{other} is not elementwise"))),
    })
}
