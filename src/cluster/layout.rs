//! Who gets what: stages cut into shards, and the way of every piece from the shard that makes it to those that need it.
//!
//! A *shard* is a run of a stage's spans; it runs on one worker. Stages run one after another, and a piece that a later stage or the client
//! needs is passed on from stage to stage: at every stage it goes to the shards that read it, or else to one that carries it. All of this
//! follows from the plan, so every shard, and the client, knows which pieces it must get.
//!
//! **Invariant:** a shard runs only when each of its pieces has come, once, whole and with a matching checksum. So workers that die, tasks that
//! run twice and rows that come twice or not at all can end a computation, but not change its result.

use super::piece::{Id, Kind};
use super::wire;
use crate::block::Block;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Plan, ResultId, StageRoot, StepKind, Target, lower};
use crate::shape::Grid;
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// Shards that read each chunk of a result.
type Readers = Vec<SmallVec<[u32; 2]>>;

/// A plan and the ways of its pieces.
#[derive(Debug)]
pub struct Layout {
    /// The plan.
    pub plan: Plan,
    /// The job's number: of the same bytes, planned the same way, the same. Rows carry it, so a process that plans otherwise is found out.
    pub number: u64,
    shards: usize,
    families: Vec<Family>,
    /// By stage: for each result in chunks that it reads, who reads which chunk.
    readers: Vec<OnceLock<HashMap<ResultId, Readers>>>,
}

/// Pieces of one kind from one place.
#[derive(Clone, Debug)]
pub struct Family {
    /// What they are.
    pub kind: Kind,
    /// Where they come from; of reports, the root means nothing.
    pub from: ResultId,
    /// How many there are.
    pub count: usize,
    /// Whether the client needs them.
    pub client: bool,
}

impl Family {
    /// The piece with a number.
    pub fn id(&self, number: usize) -> Id {
        Id { kind: self.kind, stage: self.from.stage, root: self.from.root, number }
    }
}

impl Layout {
    /// Plans targets, whose wire form has the number `job`. `by_workers` says which targets' sinks workers write.
    ///
    /// # Errors
    /// Those of planning, and if a stage has more tasks than can be told apart.
    pub fn new(
        job: u64,
        targets: &[Target],
        by_workers: &[bool],
        limit: u64,
        shards: usize,
    ) -> Result<Layout> {
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
        let number = job ^ digest(&plan);
        let mut layout = Layout { plan, number, shards, families: vec![], readers };
        layout.families = layout.list_families(by_workers);
        Ok(layout)
    }

    fn list_families(&self, by_workers: &[bool]) -> Vec<Family> {
        let mut out = vec![];
        for (s, stage) in self.plan.stages.iter().enumerate() {
            for (r, root) in stage.roots.iter().enumerate() {
                let from = ResultId { stage: s, root: r };
                let target = self.plan.targets.iter().position(|t| *t == from);
                let (kind, client, count) = match root {
                    StageRoot::Reduce { .. } => (Kind::State, target.is_some(), self.spans(s)),
                    // workers write it in its place
                    StageRoot::Sink(_) if target.is_some_and(|t| by_workers[t]) => continue,
                    StageRoot::Spill { grid, .. } => (Kind::Chunk, false, grid.len()),
                    _ => (Kind::Chunk, target.is_some(), stage.grid.len()),
                };
                out.push(Family { kind, from, count, client });
            }
            let from = ResultId { stage: s, root: 0 };
            out.push(Family { kind: Kind::Report, from, count: self.shards(s), client: true });
        }
        out
    }

    /// Whether a root's blocks travel, rather than go to a sink that workers write.
    pub fn travels(&self, id: ResultId) -> bool {
        self.families.iter().any(|f| f.from == id && f.kind == Kind::Chunk)
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.plan.stages.len()
    }

    /// All families of pieces.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    fn spans(&self, stage: usize) -> usize {
        let stage = &self.plan.stages[stage];
        stage.tasks().div_ceil(stage.span_tasks().max(1))
    }

    /// Number of shards of a stage: at least one, that something says that it is done.
    pub fn shards(&self, stage: usize) -> usize {
        self.spans(stage).min(self.shards).max(1)
    }

    /// The spans of a shard.
    pub fn span_range(&self, stage: usize, shard: usize) -> Range<usize> {
        let (spans, shards) = (self.spans(stage), self.shards(stage));
        spans * shard / shards..spans * (shard + 1) / shards
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

    /// The length that a piece may have, in bytes.
    pub fn most_bytes(&self, id: Id) -> usize {
        let result = ResultId { stage: id.stage, root: id.root };
        match id.kind {
            Kind::Go => 0,
            Kind::Report => 1 << 16,
            Kind::Chunk => {
                self.grid(result).max_block().iter().product::<usize>() * self.dtype(result).size()
            }
            Kind::State => {
                let stage = &self.plan.stages[id.stage];
                let StageRoot::Reduce { op, dtype, axes } = &stage.roots[id.root] else { return 0 };
                let block = stage.grid.max_block();
                let kept: usize = (0..block.len()).filter(|k| !axes.contains(k)).map(|k| block[k]).product();
                let planes: usize = op.planes(*dtype).iter().map(|d| d.size()).sum();
                stage.sets_per_span(axes).max(1) * (8 + kept * planes)
            }
        }
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

    fn folds(&self, id: ResultId) -> bool {
        matches!(self.plan.stages[id.stage].roots[id.root], StageRoot::Reduce { .. })
    }

    /// Who reads which chunks, from what each task asks for. Costs the stage's tasks, once.
    fn chunk_readers(&self, stage: usize) -> &HashMap<ResultId, Readers> {
        self.readers[stage].get_or_init(|| {
            let plan = &self.plan.stages[stage];
            let mut out: HashMap<ResultId, Readers> = HashMap::new();
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
            for shard in 0..self.shards(stage) {
                let spans = self.span_range(stage, shard);
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

    /// The shards of a stage that read a piece.
    fn readers(&self, family: &Family, number: usize, stage: usize) -> SmallVec<[u32; 2]> {
        if family.kind == Kind::Report || !self.reads(stage, family.from) {
            return SmallVec::new();
        }
        match family.kind {
            Kind::State => (0..self.shards(stage) as u32).collect(),
            _ => {
                let readers = self.chunk_readers(stage).get(&family.from);
                readers.map(|list| list[number].clone()).unwrap_or_default()
            }
        }
    }

    /// The shards of a stage that get a piece from the stage before; the first of them passes it on.
    pub fn takers(&self, family: &Family, number: usize, stage: usize) -> SmallVec<[u32; 2]> {
        let readers = self.readers(family, number, stage);
        if !readers.is_empty() {
            return readers;
        }
        let later = || (stage + 1..self.stages()).any(|t| !self.readers(family, number, t).is_empty());
        if family.client || later() { smallvec![(number % self.shards(stage)) as u32] } else { smallvec![] }
    }

    /// All pieces that a shard must get.
    pub fn expected(&self, stage: usize, shard: usize) -> Vec<Id> {
        let mut out = vec![Id { kind: Kind::Go, stage, root: 0, number: shard }];
        for family in self.families.iter().filter(|f| f.from.stage < stage) {
            let mine = |n: &usize| self.takers(family, *n, stage).contains(&(shard as u32));
            out.extend((0..family.count).filter(mine).map(|n| family.id(n)));
        }
        out
    }

    /// All pieces that the client must get.
    pub fn expected_by_client(&self) -> Vec<Id> {
        let families = self.families.iter().filter(|f| f.client);
        families.flat_map(|f| (0..f.count).map(|n| f.id(n))).collect()
    }

    /// The family of a piece.
    ///
    /// # Errors
    /// If there is none.
    pub fn family(&self, id: Id) -> Result<&Family> {
        let of = |f: &&Family| f.kind == id.kind && f.from == ResultId { stage: id.stage, root: id.root };
        let found = self.families.iter().find(of).filter(|f| id.number < f.count);
        found.ok_or_else(|| Error::internal(format!("{id} is no piece of the plan")))
    }
}

/// The number, in C order, of a chunk of a grid.
pub fn number(grid: &Grid, index: &[usize]) -> usize {
    index.iter().zip(grid.axes()).fold(0, |n, (&i, axis)| n * axis.count() + i)
}

/// A number of what plans must agree on: tasks, their order, steps, kernels and roots.
fn digest(plan: &Plan) -> u64 {
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
    wire::number(text.as_bytes())
}
