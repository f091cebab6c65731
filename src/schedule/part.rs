//! A part of a stage, for runs that are spread over machines: some spans run here, what they read came from elsewhere, and what they
//! make is handed out. The whole is put together by whoever asked for the parts.

use super::fold::Fold;
use super::spill::{Extent, SpillFile, SpillStore};
use super::{RootResult, Runtime, Tally, stage};
use crate::block::{Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::event::Summary;
use crate::op::ReduceOp;
use crate::plan::{Plan, ResultId, Stage, StageRoot};
use crate::shape::{Grid, Region};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Takes what a part of a stage makes, from several threads.
pub trait Outlet: Sync {
    /// Whether it takes the blocks of a root that goes to a sink, in place of the sink.
    fn takes_sink(&self, root: usize) -> bool;

    /// A task's block of a root that is stored, spilled or scanned.
    ///
    /// # Errors
    /// Ends the run.
    fn block(&self, root: usize, region: &Region, block: Block) -> Result<()>;

    /// The accumulators of a span of a root that folds, for [`States`].
    ///
    /// # Errors
    /// Ends the run.
    fn state(&self, root: usize, span: usize, state: Vec<u8>) -> Result<()>;
}

/// Which spans run here, and who takes what they make.
pub(super) struct Part<'a> {
    pub spans: Range<usize>,
    pub outlet: &'a dyn Outlet,
}

/// Results of earlier stages that a part reads.
pub struct Inputs(Vec<Vec<RootResult>>);

impl Inputs {
    /// None yet, for the stages of this plan.
    pub fn new(plan: &Plan) -> Inputs {
        let none = |s: &Stage| s.roots.iter().map(|_| RootResult::Gone).collect();
        Inputs(plan.stages.iter().map(none).collect())
    }

    /// A result that is in memory.
    pub fn set_block(&mut self, id: ResultId, block: Block) {
        self.0[id.stage][id.root] = RootResult::Block(block.into());
    }

    /// A result of which at least what the part reads is in this store.
    pub fn set_store(&mut self, id: ResultId, store: &ChunkStore) {
        self.0[id.stage][id.root] = RootResult::Spilled(store.0.clone());
    }
}

/// Chunks of an array in an unnamed file, with checksums; some may be missing. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChunkStore(Arc<SpillStore>);

impl ChunkStore {
    /// No chunk yet.
    ///
    /// # Errors
    /// If there can be no file in the directory.
    pub fn create(dir: &Path, dtype: DType, grid: Grid) -> Result<ChunkStore> {
        SpillStore::create(dir, dtype, grid).map(|store| ChunkStore(Arc::new(store)))
    }

    /// Keeps a chunk.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn write(&self, chunk: &Region, block: &Block) -> Result<()> {
        self.0.write(chunk, block).map(drop)
    }

    /// A chunk that was kept.
    ///
    /// # Errors
    /// If it was not, or the disk gives back something else.
    pub fn read(&self, chunk: &Region) -> Result<Block> {
        self.0.read(chunk)
    }
}

/// Bytes in an unnamed file, with checksums.
#[derive(Debug)]
pub struct ByteStore(SpillFile);

/// Where bytes are in a [`ByteStore`].
#[derive(Clone, Copy, Debug)]
pub struct StoredBytes(Extent);

impl StoredBytes {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl ByteStore {
    /// Nothing yet.
    ///
    /// # Errors
    /// If there can be no file in the directory.
    pub fn create(dir: &Path) -> Result<ByteStore> {
        SpillFile::create(dir).map(ByteStore)
    }

    /// Keeps bytes; where they are.
    ///
    /// # Errors
    /// If the disk refuses them.
    pub fn write(&self, bytes: &[u8]) -> Result<StoredBytes> {
        self.0.append(&[bytes]).map(StoredBytes)
    }

    /// Bytes that were kept.
    ///
    /// # Errors
    /// If the disk gives back something else.
    pub fn read(&self, at: StoredBytes) -> Result<Vec<u8>> {
        let mut bytes = vec![0; at.0.len()];
        self.0.read(at.0, &mut bytes, &[])?;
        Ok(bytes)
    }
}

/// Runs some spans of a stage and hands out what they make. A span's results depend on the plan alone, so they are the same wherever it
/// runs.
///
/// # Errors
/// The first error that a task or the outlet met.
pub fn run_part(
    plan: &Plan,
    number: usize,
    spans: Range<usize>,
    inputs: &Inputs,
    outlet: &dyn Outlet,
    rt: &Runtime<'_>,
) -> Result<Summary> {
    let tally = Tally::start(rt);
    let part = Part { spans, outlet };
    stage::run(number, &plan.stages[number], &inputs.0, Some(&part), rt, &tally.counters)?;
    Ok(tally.summary(rt, true))
}

/// A fold whose spans run here and there: their states as bytes.
pub struct States {
    fold: Fold,
    op: ReduceOp,
    dtype: DType,
}

impl States {
    /// Those of a root; `None` if it does not fold.
    pub fn of(stage: &Stage, root: usize) -> Option<States> {
        let StageRoot::Reduce { op, dtype, axes } = &stage.roots[root] else { return None };
        Some(States { fold: Fold::new(*op, *dtype, axes, &stage.grid), op: *op, dtype: *dtype })
    }

    /// The chunks of the result: a state has accumulators for those that its span has met.
    pub fn grid(&self) -> &Grid {
        self.fold.grid()
    }

    /// Dtype of the result.
    pub fn result_dtype(&self) -> DType {
        self.op.planes(self.dtype)[self.op.result_plane()]
    }

    /// Bytes of the accumulators of the whole result.
    pub fn bytes(&self) -> usize {
        let planes: usize = self.op.planes(self.dtype).iter().map(|d| d.size()).sum();
        self.grid().shape().iter().fold(planes, |n, &len| n.saturating_mul(len))
    }

    fn bad(&self) -> Error {
        Error::internal(format!("a state of {} of another form", self.op))
    }

    /// A state, cut by ranges of the result's chunks, which go one after the other from the first to the last.
    ///
    /// # Errors
    /// If it is not one of this fold.
    pub fn cut<'a>(&self, state: &'a [u8], ranges: &[Range<usize>]) -> Result<Vec<&'a [u8]>> {
        self.fold.cut(state, ranges).ok_or_else(|| self.bad())
    }

    /// The result from the states of all spans, in their order.
    ///
    /// # Errors
    /// If a state is not one of this fold.
    pub fn merge<'a>(&self, states: impl IntoIterator<Item = &'a [u8]>) -> Result<Block> {
        let whole = self.fold.whole(1);
        let stop = AtomicBool::new(false);
        for (span, state) in states.into_iter().enumerate() {
            let state = self.fold.decode(state).ok_or_else(|| self.bad())?;
            self.fold.merge(&whole, span, state, &stop);
        }
        Ok(self.fold.finish(whole))
    }

    /// Some chunks of the result from what the states of all spans, in their order, have of them.
    ///
    /// # Errors
    /// If a state is not one of this fold; those of `each`, which takes number and block of a chunk.
    pub fn merge_some<'a>(
        &self,
        chunks: Range<usize>,
        states: impl IntoIterator<Item = &'a [u8]>,
        each: &mut dyn FnMut(usize, Block) -> Result<()>,
    ) -> Result<()> {
        let decoded = states.into_iter().map(|state| self.fold.decode(state).ok_or_else(|| self.bad()));
        let spans = decoded.collect::<Result<Vec<_>>>()?;
        for chunk in chunks {
            each(chunk, self.fold.result_of(chunk, &spans))?;
        }
        Ok(())
    }
}
