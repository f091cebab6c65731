//! What stages of arrays make and read: chunks of results, states of folds.

use super::layout::{Family, Readers};
use super::piece::{Id, Kind};
use super::wire;
use crate::block::Block;
use crate::error::{ErrorKind, Result};
use crate::plan::{Plan, ResultId, StageRoot, StepKind, Target, lower};
use crate::shape::Grid;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// Shards that read each chunk of a result.
type ChunkReaders = Vec<Readers>;

/// A plan of arrays.
#[derive(Debug)]
pub struct Arrays {
    /// The plan.
    pub plan: Plan,
    /// For each target, whether workers write its sink.
    by_workers: Vec<bool>,
    /// By stage: for each result in chunks that it reads, who reads which chunk.
    readers: Vec<OnceLock<HashMap<ResultId, ChunkReaders>>>,
}

impl Arrays {
    /// Plans targets. `by_workers` says which targets' sinks workers write.
    ///
    /// # Errors
    /// Those of planning, and if a stage has more tasks than can be told apart.
    pub fn new(targets: &[Target], by_workers: &[bool], limit: u64) -> Result<Arrays> {
        let plan = lower(targets, limit)?;
        for stage in &plan.stages {
            let tasks = stage.grid.counts().iter().try_fold(1usize, |n, &c| n.checked_mul(c));
            if tasks.is_none_or(|n| n > wire::MOST_CHUNKS) {
                let what = format!("a pass over {} blocks on a cluster", stage.grid);
                let hint = format!("at most {} are; use larger chunks", wire::MOST_CHUNKS);
                return Err(ErrorKind::Unsupported { what, hint }.into());
            }
        }
        let readers = plan.stages.iter().map(|_| OnceLock::new()).collect();
        Ok(Arrays { plan, by_workers: by_workers.to_vec(), readers })
    }

    /// Number of spans of a stage.
    pub(super) fn spans(&self, stage: usize) -> usize {
        let stage = &self.plan.stages[stage];
        stage.tasks().div_ceil(stage.span_tasks().max(1))
    }

    /// What the roots of a stage make.
    pub(super) fn families(&self, s: usize) -> Vec<Family> {
        let mut out = vec![];
        for (r, root) in self.plan.stages[s].roots.iter().enumerate() {
            let from = ResultId { stage: s, root: r };
            let target = self.plan.targets.iter().position(|t| *t == from);
            let (kind, client, count) = match root {
                StageRoot::Reduce { .. } => (Kind::State, target.is_some(), self.spans(s)),
                // workers write it in its place
                StageRoot::Sink(_) if target.is_some_and(|t| self.by_workers[t]) => continue,
                StageRoot::Spill { grid, .. } => (Kind::Chunk, false, grid.len()),
                _ => (Kind::Chunk, target.is_some(), self.plan.stages[s].grid.len()),
            };
            out.push(Family { kind, from, count, client });
        }
        out
    }

    /// The chunks of a result that travels in chunks.
    pub fn grid(&self, id: ResultId) -> &Grid {
        let stage = &self.plan.stages[id.stage];
        match &stage.roots[id.root] {
            StageRoot::Spill { grid, .. } => grid,
            _ => &stage.grid,
        }
    }

    /// Dtype of what a root stores.
    pub fn dtype(&self, id: ResultId) -> crate::dtype::DType {
        self.plan.stages[id.stage].store_dtype(id.root)
    }

    /// The length that a chunk or a state may have, in bytes.
    pub(super) fn most_bytes(&self, id: Id) -> usize {
        let result = ResultId { stage: id.stage, root: id.root };
        if id.kind == Kind::Chunk {
            return self.grid(result).max_block().iter().product::<usize>() * self.dtype(result).size();
        }
        let stage = &self.plan.stages[id.stage];
        let StageRoot::Reduce { op, dtype, axes } = &stage.roots[id.root] else { return 0 };
        let block = stage.grid.max_block();
        let kept: usize = (0..block.len()).filter(|k| !axes.contains(k)).map(|k| block[k]).product();
        let planes: usize = op.planes(*dtype).iter().map(|d| d.size()).sum();
        stage.sets_per_span(axes).max(1) * (8 + kept * planes)
    }

    /// The block that the bytes of a chunk are.
    ///
    /// # Errors
    /// [`ErrorKind::Wire`] if they are not one.
    pub fn block(&self, id: Id, bytes: &[u8]) -> Result<(crate::shape::Region, Block)> {
        let result = ResultId { stage: id.stage, root: id.root };
        let (region, dtype) = (self.grid(result).block(id.number), self.dtype(result));
        let bools = dtype == crate::dtype::DType::Bool && bytes.iter().any(|&b| b > 1);
        if bytes.len() != region.len() * dtype.size() || bools {
            let message = format!("{id}: {} bytes are no {dtype} {:?}", bytes.len(), region.shape);
            return Err(ErrorKind::Wire { what: "piece", message }.into());
        }
        let mut block = Block::uninit(dtype, &region.shape);
        block.bytes_mut().copy_from_slice(bytes);
        Ok((region, block))
    }

    /// The stage that a step of another reads whole, if it reads the states of a fold.
    fn reads(&self, stage: usize, from: ResultId) -> bool {
        let steps = &self.plan.stages[stage].steps;
        steps.iter().any(|s| matches!(s.kind, StepKind::ReadResult(id) if id == from))
    }

    /// The results that a stage reads.
    pub fn inputs(&self, stage: usize) -> Vec<ResultId> {
        let mut out: Vec<ResultId> = vec![];
        for step in &self.plan.stages[stage].steps {
            if let StepKind::ReadResult(id) = step.kind
                && !out.contains(&id)
            {
                out.push(id);
            }
        }
        out
    }

    pub(super) fn folds(&self, id: ResultId) -> bool {
        matches!(self.plan.stages[id.stage].roots[id.root], StageRoot::Reduce { .. })
    }

    /// The shards of a stage, whose spans these are, that read a piece.
    pub(super) fn readers(
        &self,
        family: &Family,
        number: usize,
        stage: usize,
        shards: &[Range<usize>],
    ) -> Readers {
        if !self.reads(stage, family.from) {
            return SmallVec::new();
        }
        match family.kind {
            Kind::State => (0..shards.len() as u32).collect(),
            _ => {
                let readers = self.chunk_readers(stage, shards).get(&family.from);
                readers.map(|list| list[number].clone()).unwrap_or_default()
            }
        }
    }

    /// Who reads which chunks, from what each task asks for. Costs the stage's tasks, once.
    fn chunk_readers(&self, stage: usize, shards: &[Range<usize>]) -> &HashMap<ResultId, ChunkReaders> {
        self.readers[stage].get_or_init(|| {
            let plan = &self.plan.stages[stage];
            let mut out: HashMap<ResultId, ChunkReaders> = HashMap::new();
            for id in self.inputs(stage).into_iter().filter(|&id| !self.folds(id)) {
                out.insert(id, vec![SmallVec::new(); self.grid(id).len()]);
            }
            if out.is_empty() {
                return out;
            }
            let in_memory = |kind: &StepKind| match kind {
                StepKind::Read(source) => source.in_memory(),
                StepKind::ReadResult(id) => self.folds(*id),
                _ => false,
            };
            let mut demands = vec![];
            for (shard, spans) in shards.iter().enumerate() {
                let tasks =
                    spans.start * plan.span_tasks()..(spans.end * plan.span_tasks()).min(plan.tasks());
                for task in tasks {
                    plan.demands(&plan.grid.region(&plan.task_index(task)), in_memory, &mut demands);
                    for (step, regions) in plan.steps.iter().zip(&demands) {
                        let StepKind::ReadResult(id) = step.kind else { continue };
                        let Some(readers) = out.get_mut(&id) else { continue };
                        let grid = self.grid(id);
                        for index in regions.iter().flat_map(|region| grid.blocks_in(region)) {
                            let list = &mut readers[number(grid, &index)];
                            if list.last() != Some(&(shard as u32)) {
                                list.push(shard as u32);
                            }
                        }
                    }
                }
            }
            out
        })
    }

    /// What every process must find the same.
    pub(super) fn words(&self) -> String {
        words(&self.plan)
    }
}

/// The number, in C order, of a chunk of a grid.
pub fn number(grid: &Grid, index: &[usize]) -> usize {
    index.iter().zip(grid.axes()).fold(0, |n, (&i, axis)| n * axis.count() + i)
}

/// What plans must agree on: tasks, their order, steps, kernels and roots.
fn words(plan: &Plan) -> String {
    let mut text = String::new();
    for stage in &plan.stages {
        text += &format!("{:?} {:?} {:?}\n{}", stage.grid, stage.order, stage.kernel_inputs, stage.kernel);
        for step in &stage.steps {
            let kind = match &step.kind {
                StepKind::Read(source) => format!("read {:?}", source.grid()),
                StepKind::ReadResult(id) => format!("result {id:?}"),
                StepKind::Kernel(kernel) => kernel.to_string(),
                StepKind::Reshape => "reshape".into(),
                StepKind::Concat { axis, starts } => format!("concat {axis} {starts:?}"),
                StepKind::Gather(axes) => format!("gather {axes:?}"),
                StepKind::MapBlocks { map, grid, inputs } => format!("{} {grid:?} {inputs:?}", map.name),
            };
            text += &format!("{kind} {:?} {} {:?}\n", step.inputs, step.dtype, step.shape);
        }
        for root in &stage.roots {
            text += &match root {
                StageRoot::Sink(sink) => format!("sink {:?}\n", sink.grid()),
                StageRoot::Spill { dtype, grid } => format!("spill {dtype} {grid:?}\n"),
                StageRoot::Reduce { op, dtype, axes } => format!("{op} {dtype} {axes:?}\n"),
                StageRoot::Scan { op, dtype, axis } => format!("scan {op} {dtype} {axis}\n"),
                StageRoot::Memory { dtype } => format!("memory {dtype}\n"),
                StageRoot::Into(block) => format!("memory {}\n", block.dtype()),
            };
        }
    }
    text += &format!("{:?}", plan.targets);
    text
}
