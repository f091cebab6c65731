//! What stages of arrays make and read: chunks of results, states of folds.
//!
//! Stages are those of the plan, in its order, and after one that folds to large results another one, which puts these together: its shards have
//! ranges of the result's chunks, and what they make goes to those that read it as any chunk does.

use super::layout::{Family, Readers};
use super::piece::{Id, Kind};
use super::wire;
use crate::block::Block;
use crate::error::{ErrorKind, Result};
use crate::plan::{Plan, ResultId, Stage, StageRoot, StepKind, Target, lower};
use crate::schedule::part::States;
use crate::shape::Grid;
use smallvec::{SmallVec, smallvec};
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
    stages: Vec<ArrayStage>,
    /// By stage: for each result in chunks that it reads, who reads which chunk.
    readers: Vec<OnceLock<HashMap<ResultId, ChunkReaders>>>,
}

/// A stage on the cluster.
#[derive(Clone, Copy, Debug)]
pub struct ArrayStage {
    /// The plan's stage.
    pub of: usize,
    /// Whether it puts together what that one folded.
    pub merges: bool,
}

/// Parts that the chunks of large folds are cut into, for the shards that put them together.
const PARTS: usize = 64;
/// Bytes of the accumulators of a fold from which on it is put together by a stage of its own: what is smaller is with whoever reads it sooner.
const LARGE: usize = 1 << 20;

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
        let mut stages = vec![];
        for (of, stage) in plan.stages.iter().enumerate() {
            stages.push(ArrayStage { of, merges: false });
            if (0..stage.roots.len()).any(|root| large(stage, root).is_some()) {
                stages.push(ArrayStage { of, merges: true });
            }
        }
        let readers = stages.iter().map(|_| OnceLock::new()).collect();
        Ok(Arrays { plan, by_workers: by_workers.to_vec(), stages, readers })
    }

    /// All stages.
    pub fn stages(&self) -> &[ArrayStage] {
        &self.stages
    }

    /// The plan's stage that a stage runs, or puts together.
    pub fn of(&self, stage: usize) -> &Stage {
        &self.plan.stages[self.stages[stage].of]
    }

    /// What a stage shares out: spans, or parts of results.
    pub(super) fn units(&self, stage: usize) -> usize {
        if self.stages[stage].merges { PARTS } else { spans(self.of(stage)) }
    }

    /// Where a result of the plan is at last.
    pub fn place(&self, id: ResultId) -> ResultId {
        let merges = large(&self.plan.stages[id.stage], id.root).is_some();
        let stage = self.stages.iter().position(|s| s.of == id.stage && s.merges == merges);
        ResultId { stage: stage.unwrap_or(id.stage), root: id.root }
    }

    /// The result of the plan whose pieces have this place, if it is their last one.
    fn result(&self, at: ResultId) -> Option<ResultId> {
        let ArrayStage { of, merges } = self.stages[at.stage];
        let stage = &self.plan.stages[of];
        let known = at.root < stage.roots.len() && large(stage, at.root).is_some() == merges;
        known.then_some(ResultId { stage: of, root: at.root })
    }

    /// A large fold that a stage puts together, or makes states of.
    pub fn large(&self, stage: usize, root: usize) -> Option<States> {
        let of = self.of(stage);
        large(of, root % of.roots.len().max(1))
    }

    /// The chunks of a large fold that the shard with these parts puts together.
    pub fn chunks(fold: &States, parts: &Range<usize>) -> Range<usize> {
        let n = fold.grid().len();
        n * parts.start / PARTS..n * parts.end / PARTS
    }

    /// What the roots of a stage make; `next` is the number of shards of the next one.
    pub(super) fn families(&self, s: usize, next: usize) -> Vec<Family> {
        let mut out = vec![];
        let (of, count_of_roots) = (self.of(s), self.of(s).roots.len());
        for (r, root) in of.roots.iter().enumerate() {
            let from = ResultId { stage: s, root: r };
            let target = self.plan.targets.iter().position(|t| self.result(from) == Some(*t));
            match (self.stages[s].merges, large(of, r)) {
                (true, Some(fold)) => {
                    let (kind, count) = (Kind::Chunk, fold.grid().len());
                    out.push(Family { kind, from, count, client: target.is_some() });
                    continue;
                }
                (true, None) => continue,
                // for every shard that puts some of it together
                (false, Some(_)) => {
                    let from = |cut: usize| ResultId { stage: s, root: r + cut * count_of_roots };
                    let (kind, count) = (Kind::State, spans(of));
                    out.extend((0..next).map(|cut| Family { kind, from: from(cut), count, client: false }));
                    continue;
                }
                (false, None) => {}
            }
            let (kind, client, count) = match root {
                StageRoot::Reduce { .. } => (Kind::State, target.is_some(), spans(of)),
                // workers write it in its place
                StageRoot::Sink(_) if target.is_some_and(|t| self.by_workers[t]) => continue,
                StageRoot::Spill { grid, .. } => (Kind::Chunk, false, grid.len()),
                _ => (Kind::Chunk, target.is_some(), of.grid.len()),
            };
            out.push(Family { kind, from, count, client });
        }
        out
    }

    /// The chunks of a result that travels in chunks.
    pub fn grid(&self, id: ResultId) -> Grid {
        let stage = self.of(id.stage);
        match (&stage.roots[id.root], self.large(id.stage, id.root)) {
            (_, Some(fold)) => fold.grid().clone(),
            (StageRoot::Spill { grid, .. }, _) => grid.clone(),
            _ => stage.grid.clone(),
        }
    }

    /// Dtype of the elements of a result that travels in chunks.
    pub fn dtype(&self, id: ResultId) -> crate::dtype::DType {
        match self.large(id.stage, id.root) {
            Some(fold) => fold.result_dtype(),
            None => self.of(id.stage).store_dtype(id.root),
        }
    }

    /// The length that a chunk or a state may have, in bytes.
    pub(super) fn most_bytes(&self, id: Id) -> usize {
        let result = ResultId { stage: id.stage, root: id.root };
        if id.kind == Kind::Chunk {
            return self.grid(result).max_block().iter().product::<usize>() * self.dtype(result).size();
        }
        let stage = self.of(id.stage);
        let StageRoot::Reduce { op, dtype, axes } = &stage.roots[id.root % stage.roots.len()] else {
            return 0;
        };
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

    /// The results of the plan that a stage of it reads.
    pub fn inputs(&self, stage: usize) -> Vec<ResultId> {
        let mut out: Vec<ResultId> = vec![];
        if self.stages[stage].merges {
            return out;
        }
        for step in &self.of(stage).steps {
            if let StepKind::ReadResult(id) = step.kind
                && !out.contains(&id)
            {
                out.push(id);
            }
        }
        out
    }

    fn folds(&self, id: ResultId) -> bool {
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
        let Some(id) = self.result(family.from) else {
            // states for those that put a large fold together
            let (ArrayStage { of, merges }, from) = (self.stages[stage], self.stages[family.from.stage]);
            let cut = family.from.root / self.of(family.from.stage).roots.len();
            return if merges && of == from.of { smallvec![cut as u32] } else { SmallVec::new() };
        };
        if !self.inputs(stage).contains(&id) {
            return SmallVec::new();
        }
        match family.kind {
            Kind::State => (0..shards.len() as u32).collect(),
            _ => {
                let readers = self.chunk_readers(stage, shards).get(&id);
                readers.map(|list| list[number].clone()).unwrap_or_default()
            }
        }
    }

    /// Who reads which chunks, from what each task asks for. Costs the stage's tasks, once.
    fn chunk_readers(&self, stage: usize, shards: &[Range<usize>]) -> &HashMap<ResultId, ChunkReaders> {
        self.readers[stage].get_or_init(|| {
            let plan = self.of(stage);
            let mut out: HashMap<ResultId, ChunkReaders> = HashMap::new();
            let mut grids: HashMap<ResultId, Grid> = HashMap::new();
            for id in self.inputs(stage) {
                let at = self.place(id);
                if self.stages[at.stage].merges || !self.folds(id) {
                    let grid = self.grid(at);
                    out.insert(id, vec![SmallVec::new(); grid.len()]);
                    grids.insert(id, grid);
                }
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
                        let (Some(readers), Some(grid)) = (out.get_mut(&id), grids.get(&id)) else {
                            continue;
                        };
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

/// Number of spans of a stage of the plan.
fn spans(stage: &Stage) -> usize {
    stage.tasks().div_ceil(stage.span_tasks().max(1))
}

/// A root that folds to several chunks, and much.
fn large(stage: &Stage, root: usize) -> Option<States> {
    let fold = States::of(stage, root)?;
    (fold.bytes() >= LARGE && fold.grid().len() > 1 && spans(stage) > 1).then_some(fold)
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
                StepKind::Product(p) => format!("{p:?}"),
                StepKind::MapBlocks { map, grid, inputs } => format!("{} {grid:?} {inputs:?}", map.name),
            };
            text += &format!("{kind} {:?} {} {:?}\n", step.inputs, step.dtype, step.shape);
        }
        for root in &stage.roots {
            text += &match root {
                StageRoot::Sink(sink) => format!("sink {:?}\n", sink.grid()),
                StageRoot::Spill { dtype, grid } => format!("spill {dtype} {grid:?}\n"),
                StageRoot::Reduce { op, dtype, axes } => format!("{op} {dtype} {axes:?}\n"),
                StageRoot::Scan { op, dtype, axis, .. } => format!("scan {op} {dtype} {axis}\n"),
                StageRoot::Memory { dtype, .. } => format!("memory {dtype}\n"),
                StageRoot::Into(block) => format!("memory {}\n", block.dtype()),
            };
        }
    }
    text += &format!("{:?}", plan.targets);
    text
}
