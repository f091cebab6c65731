//! What a task gets before its kernel: regions inferred from the end backwards, then evaluated forwards.

use super::RootResult;
use crate::backend::{Away, Backend, Executable, Launch, Multiply, Operand, Output};
use crate::block::{Block, Held, Lent};
use crate::dtype::{DType, for_dtype};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{BlockContext, MapBlocks};
use crate::ir::Kernel;
use crate::plan::{AxisGather, Regions, ResultId, Stage, Step, StepId, StepKind, block_input};
use crate::shape::{Grid, IndexMap, Region, c_strides};
use smallvec::SmallVec;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A stage made ready to run: kernels compiled, results of earlier stages at hand.
pub(super) struct Prepared<'a> {
    pub stage: &'a Stage,
    pub results: &'a [Vec<RootResult>],
    /// The compiled kernels of kernel steps.
    pub compiled: Vec<Option<Arc<dyn Executable>>>,
    /// The compiled products of those that are products.
    pub products: Vec<Option<Arc<dyn Multiply>>>,
    /// Whether a product evaluates the step, for each of its panels.
    pub inside: Vec<bool>,
    /// Whether kernels may read what a step yields.
    pub read: Vec<bool>,
    pub permits: Permits,
    /// What kernels and products are compiled by.
    pub backend: &'a dyn Backend,
}

/// Bounds how many kernels run at once; reads and writes are not counted.
pub(super) struct Permits {
    free: AtomicUsize,
    lock: std::sync::Mutex<()>,
    freed: std::sync::Condvar,
    unlimited: bool,
}

impl Permits {
    /// `workers` that may not need to wait because there are no more of them than `n`.
    pub fn new(n: usize, workers: usize) -> Permits {
        Permits {
            free: AtomicUsize::new(n),
            lock: std::sync::Mutex::new(()),
            freed: std::sync::Condvar::new(),
            unlimited: workers <= n,
        }
    }

    /// Runs a computation when one more may run.
    pub fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        if self.unlimited {
            return f();
        }
        let mut guard = self.lock.lock().unwrap_or_else(|e| e.into_inner());
        while self.free.load(Relaxed) == 0 {
            guard = self.freed.wait(guard).unwrap_or_else(|e| e.into_inner());
        }
        self.free.fetch_sub(1, Relaxed);
        drop(guard);
        let release = Release(self);
        let out = f();
        drop(release);
        out
    }
}

struct Release<'a>(&'a Permits);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        let _guard = self.0.lock.lock().unwrap_or_else(|e| e.into_inner());
        self.0.free.fetch_add(1, Relaxed);
        self.0.freed.notify_one();
    }
}

/// One worker's working memory for tasks, reused from task to task.
pub(super) struct TaskData {
    /// Regions asked of each step, and their blocks once there.
    pub(super) demands: Vec<Regions>,
    pub(super) blocks: Vec<SmallVec<[Lent; 2]>>,
    /// Bytes read from sources that are no memory.
    pub bytes_read: u64,
}

impl TaskData {
    pub fn new(stage: &Stage) -> TaskData {
        let blocks = stage.steps.iter().map(|_| SmallVec::new()).collect();
        TaskData { demands: vec![], blocks, bytes_read: 0 }
    }

    /// Lets go of a task's blocks.
    pub fn clear(&mut self) {
        for blocks in &mut self.blocks {
            blocks.clear();
        }
    }

    /// The block of a step that holds a region, when its elements are here, and the region it covers.
    fn holding(&self, step: StepId, region: &Region) -> Result<(&Block, &Region)> {
        let (lent, covers) = self.lent(step, region)?;
        Ok((lent.here()?, covers))
    }

    /// The same, wherever its elements are.
    pub(super) fn lent(&self, step: StepId, region: &Region) -> Result<(&Lent, &Region)> {
        let at = self.demands[step].iter().position(|r| r.contains(region));
        match at.and_then(|i| self.blocks[step].get(i).map(|b| (b, &self.demands[step][i]))) {
            Some(found) => Ok(found),
            None => Err(Error::internal(format!("region {region} of step {step} was not asked for"))),
        }
    }
}

impl Prepared<'_> {
    /// Evaluates all steps that a task's region needs.
    pub fn gather(&self, region: &Region, data: &mut TaskData) -> Result<()> {
        let stage = self.stage;
        stage.demands(region, |kind| self.in_memory(kind), &mut data.demands);
        for (k, _) in self.inside.iter().enumerate().filter(|(_, inside)| !**inside) {
            self.evaluate_all(k, data)?;
        }
        Ok(())
    }

    /// Evaluates all that is demanded of a step.
    pub(super) fn evaluate_all(&self, k: StepId, data: &mut TaskData) -> Result<()> {
        for i in 0..data.demands[k].len() {
            let block = self.evaluate(k, &self.stage.steps[k], &data.demands[k][i].clone(), data)?;
            data.blocks[k].push(block);
        }
        Ok(())
    }

    pub(super) fn in_memory(&self, kind: &StepKind) -> bool {
        match kind {
            StepKind::Read(source) => source.in_memory(),
            StepKind::ReadResult(id) => matches!(self.results[id.stage][id.root], RootResult::Block(_)),
            _ => false,
        }
    }

    fn evaluate(&self, k: StepId, step: &Step, region: &Region, data: &mut TaskData) -> Result<Lent> {
        match &step.kind {
            StepKind::Read(source) => {
                let block = source.lend(region)?;
                if !source.in_memory() {
                    data.bytes_read += block.outline().nbytes() as u64;
                }
                Ok(block)
            }
            StepKind::ReadResult(id) => self.read_result(*id, region, data),
            StepKind::Kernel(kernel) => {
                let mut out = Block::uninit(step.dtype, &region.shape);
                let executable = self.compiled[k].as_ref().ok_or_else(|| Error::internal("not compiled"))?;
                let outputs = [Output::Store(operand(&mut out, step.dtype))];
                let stay = [self.read[k]];
                // SAFETY: the output is a fresh block of the region's shape, which nobody changes and which lives as long as what holds it.
                let run = |launch: &Launch<'_>, inputs: &[Option<&dyn Held>]| unsafe {
                    executable.run_away(launch, &Away { inputs, stay: &stay })
                };
                let mut stayed =
                    self.launch(kernel, &step.inputs, (region, &step.shape), &outputs, false, data, run)?;
                Ok(Lent::new(out, stayed.take(0)))
            }
            StepKind::Reshape => self.reshape(step, region, data),
            StepKind::Concat { axis, starts } => self.concat(step, (*axis, starts), region, data),
            StepKind::Product(product) => self.product(k, product, region, data),
            StepKind::Gather(axes) => self.gather_axes(step, axes, region, data).map(Lent::from),
            StepKind::MapBlocks { map, grid, inputs } => {
                self.map_blocks(step, (map, grid, inputs), region, data).map(Lent::from)
            }
        }
    }

    fn read_result(&self, id: ResultId, region: &Region, data: &mut TaskData) -> Result<Lent> {
        match &self.results[id.stage][id.root] {
            RootResult::Block(block) => Ok(block.slice(region)),
            RootResult::Spilled(source) => {
                data.bytes_read += (region.len() * source.dtype().size()) as u64;
                source.lend(region)
            }
            RootResult::Gone => Err(Error::internal("a result that is needed was dropped")),
        }
    }

    /// Launches a kernel on the blocks of its inputs' steps: `run` gets inputs as [`Executable::run_away`] demands, with what holds them, beside
    /// these outputs.
    pub fn launch<T>(
        &self,
        kernel: &Kernel,
        inputs: &[StepId],
        (region, shape): (&Region, &[usize]),
        outputs: &[Output],
        streaming: bool,
        data: &TaskData,
        run: impl FnOnce(&Launch<'_>, &[Option<&dyn Held>]) -> Result<T>,
    ) -> Result<T> {
        let mut operands: SmallVec<[Operand; 6]> = SmallVec::new();
        let mut held: SmallVec<[Option<&dyn Held>; 6]> = SmallVec::new();
        for (input, &step) in kernel.inputs().iter().zip(inputs) {
            let needed = input.map.source_region(region);
            let (lent, covers) = data.lent(step, &needed)?;
            operands.push(view_operand(lent.outline(), covers, &input.map, region));
            held.push(lent.held().map(|held| &**held));
        }
        let launch = Launch { region, shape, inputs: &operands, outputs, slots: 0, streaming };
        // every input's block covers what its map reads for the region (`lent` checked it), and blocks are initialized once they are here
        self.permits.with(|| run(&launch, &held))
    }

    fn reshape(&self, step: &Step, region: &Region, data: &TaskData) -> Result<Lent> {
        let source_shape = &self.stage.steps[step.inputs[0]].shape;
        let hull = crate::plan::reshape_hull(region, &step.shape, source_shape);
        let (lent, covers) = data.lent(step.inputs[0], &hull)?;
        let part = lent.slice(&hull.relative_to(covers));
        // the hull is one run of the source's C order: its elements, flat, start at the hull's first
        let (flat, held) = match part.outline().is_contiguous() {
            true => (part.outline().clone(), part.held().cloned()),
            false => (part.here()?.to_contiguous(), None),
        };
        let of = |strides: &[isize], start: &[usize]| -> usize {
            strides.iter().zip(start).map(|(&s, &i)| s as usize * i).sum()
        };
        let base = of(&c_strides(source_shape), &hull.start);
        let strides = c_strides(&step.shape);
        let first = of(&strides, &region.start) - base;
        let size = step.dtype.size() as isize;
        // SAFETY: element i of the region lies at flat position `first + i . strides` of the source, which is inside the run.
        let view = unsafe {
            let ptr = flat.as_ptr().offset(first as isize * size);
            Block::from_foreign(step.dtype, &region.shape, &strides, ptr, Arc::new(flat.clone()))
        };
        Ok(Lent::new(view, held))
    }

    fn concat(
        &self,
        step: &Step,
        (axis, starts): (usize, &[usize]),
        region: &Region,
        data: &TaskData,
    ) -> Result<Lent> {
        let mut out: Option<Block> = None;
        for (&from, &start) in step.inputs.iter().zip(starts) {
            let mut part = Region::whole(&self.stage.steps[from].shape);
            part.start[axis] = start;
            let inside = region.intersect(&part);
            if inside.is_empty() {
                continue;
            }
            let needed = inside.relative_to(&part);
            let (lent, covers) = data.lent(from, &needed)?;
            let piece = lent.slice(&needed.relative_to(covers));
            if inside == *region {
                return Ok(piece);
            }
            let out = out.get_or_insert_with(|| Block::uninit(step.dtype, &region.shape));
            out.copy_from(&inside.relative_to(region), piece.here()?);
        }
        out.map(Lent::from).ok_or_else(|| Error::internal("a region outside all parts"))
    }

    fn gather_axes(
        &self,
        step: &Step,
        axes: &[AxisGather],
        region: &Region,
        data: &TaskData,
    ) -> Result<Block> {
        let mut out = Block::full(&region.shape, crate::dtype::Scalar::zero(step.dtype));
        // the places of this region, per axis, paired with the source's
        for needed in crate::plan::gather_demands(axes, region) {
            let (block, covers) = data.holding(step.inputs[0], &needed)?;
            let mut pairs: Vec<Vec<(usize, usize)>> = Vec::with_capacity(axes.len());
            for (k, gather) in axes.iter().enumerate() {
                let run = needed.start[k]..needed.end(k);
                let own = (0..region.shape[k]).filter_map(|i| {
                    let j = gather.at(region.start[k] + i)?;
                    run.contains(&j).then(|| (i, j - covers.start[k]))
                });
                pairs.push(own.collect());
            }
            for_dtype!(step.dtype, T => copy_pairs::<T>(&mut out, block, &pairs));
        }
        Ok(out)
    }

    fn map_blocks(
        &self,
        step: &Step,
        (map, grid, inputs): (&MapBlocks, &Grid, &[Grid]),
        region: &Region,
        data: &TaskData,
    ) -> Result<Block> {
        let mut out: Option<Block> = None;
        for index in grid.blocks_in(region) {
            let own = grid.region(&index);
            let mut blocks = Vec::with_capacity(inputs.len());
            for (&from, input) in step.inputs.iter().zip(inputs) {
                let needed = block_input(map, grid, input, &index);
                let (block, covers) = data.holding(from, &needed)?;
                blocks.push(block.slice(&needed.relative_to(covers)));
            }
            let context = BlockContext { index, region: own.clone() };
            let result = self.permits.with(|| call(map, &context, &blocks))?;
            check_block(map, &context, &result, step.dtype)?;
            if own == *region {
                return Ok(result);
            }
            let part = own.intersect(region);
            let out = out.get_or_insert_with(|| Block::uninit(step.dtype, &region.shape));
            out.copy_from(&part.relative_to(region), &result.slice(&part.relative_to(&own)));
        }
        out.ok_or_else(|| Error::internal("a region outside all blocks"))
    }
}

/// Calls a user's function; a panic in it is its error.
fn call(map: &MapBlocks, context: &BlockContext, blocks: &[Block]) -> Result<Block> {
    let failed = |message: String| -> Error {
        let kind = ErrorKind::Function { op: map.name.to_string(), block: context.index.to_vec(), message };
        Error::from(kind).at(map.at)
    };
    match catch_unwind(AssertUnwindSafe(|| (map.function)(context, blocks))) {
        Ok(Ok(block)) => Ok(block),
        Ok(Err(e)) => Err(failed(e.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(failed(format!("panicked: {}", text.unwrap_or_else(|| "no message".into()))))
        }
    }
}

fn check_block(map: &MapBlocks, context: &BlockContext, block: &Block, dtype: DType) -> Result<()> {
    if block.dtype() == dtype && block.shape() == context.region.shape.as_slice() {
        return Ok(());
    }
    let message = format!(
        "returned {} {:?}, but {} {:?} was declared",
        block.dtype(),
        block.shape(),
        dtype,
        context.region.shape
    );
    let kind = ErrorKind::Function { op: map.name.to_string(), block: context.index.to_vec(), message };
    Err(Error::from(kind).at(map.at))
}

/// Copies `source[j...]` to `out[i...]` for the product of per-axis pairs `(i, j)`.
fn copy_pairs<T: crate::dtype::Element>(out: &mut Block, source: &Block, pairs: &[Vec<(usize, usize)>]) {
    let Ok(source) = source.view::<T>() else { return };
    let mut out = out.view_mut_of::<T>();
    let Some((last, lead)) = pairs.split_last() else {
        out.assign(&source);
        return;
    };
    let rows: usize = lead.iter().map(Vec::len).product();
    for mut row in 0..rows {
        let (mut to, mut from) = (out.view_mut(), source.view());
        // fix the leading axes, last first so that the row number unravels in C order
        let mut picks: SmallVec<[(usize, usize); 4]> = SmallVec::from_elem((0, 0), lead.len());
        for (k, p) in lead.iter().enumerate().rev() {
            picks[k] = p[row % p.len()];
            row /= p.len();
        }
        for (i, j) in picks {
            to = to.index_axis_move(ndarray::Axis(0), i);
            from = from.index_axis_move(ndarray::Axis(0), j);
        }
        for &(i, j) in last {
            to[[i].as_slice()] = from[[j].as_slice()];
        }
    }
}

/// A block written in C order by a kernel over its own shape.
pub(super) fn operand(block: &mut Block, dtype: DType) -> Operand {
    let size = dtype.size() as isize;
    let strides = block.strides().iter().map(|s| s * size).collect();
    Operand { ptr: block.as_mut_ptr(), strides }
}

/// The elements of a block that covers `covers` of a source, as the points of `region` see them through `map`.
pub(super) fn view_operand(block: &Block, covers: &Region, map: &IndexMap, region: &Region) -> Operand {
    let size = block.dtype().size() as isize;
    let mut strides = map.strides(block.strides(), region.ndim());
    for s in &mut strides {
        *s *= size;
    }
    let at = map.offset(block.strides(), covers, region) * size;
    // SAFETY: the map's element for the region's first point lies inside the block.
    let ptr = unsafe { block.as_ptr().offset(at) } as *mut u8;
    Operand { ptr, strides }
}
