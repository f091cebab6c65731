//! One stage: spans of tasks on workers, results into roots.

use super::fold::{Fold, SpanFold, Whole};
use super::part::Part;
use super::scan::{Carry, scan_in_place};
use super::spill::SpillStore;
use super::steps::{Permits, Prepared, TaskData, operand};
use super::workers::run_spans;
use super::{Counters, RootResult, Runtime};
use crate::backend::{Away, Executable, Operand, Output, Running, Stayed};
use crate::block::{Block, BlockSink, Held, Lent, pool};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::op::ReduceOp;
use crate::plan::{Stage, StageRoot, Step, StepKind};
use crate::shape::{AxisChunks, Dims, Grid, Region};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Stored results of a stage above this size bypass the cache.
const STREAMING: usize = 8 << 20;

/// Where a root's results go while the stage runs.
enum RootRun {
    /// Into a block, each task at its region, or where kernels run.
    Store(Block, Option<Room>),
    Sink(Arc<dyn BlockSink>),
    Spill(Arc<SpillStore>),
    /// Into the accumulators of a span; merged here unless the spans are handed out.
    Fold(Box<Fold>, Option<Box<Whole>>),
    /// Into a block, or where kernels run if it can be folded there, or handed out.
    Scan {
        block: Option<Block>,
        op: ReduceOp,
        axis: usize,
        there: Option<(Room, Arc<dyn Running>)>,
    },
    /// Handed out, each task's block.
    Out,
}

impl RootRun {
    /// Whether results may stay where kernels run.
    fn has_room(&self) -> bool {
        matches!(self, RootRun::Store(_, Some(_)) | RootRun::Scan { there: Some(_), .. })
    }
}

/// Room for a block where kernels run.
struct Room {
    whole: Arc<dyn Held>,
    /// What holds the results of tasks that stayed.
    stayed: Mutex<Vec<Arc<dyn Held>>>,
    /// Whether some came to the block.
    came: AtomicBool,
}

impl Room {
    /// For a result that is stored chunk by chunk, if there is any.
    fn of(block: &Block, grid: &Grid, rt: &Runtime<'_>) -> Option<Room> {
        let whole = rt.kernels.backend().room(block, grid, true)?;
        Some(Room { whole, stayed: Mutex::default(), came: AtomicBool::new(false) })
    }

    /// Notes where a task's result is.
    fn note(&self, held: Option<Arc<dyn Held>>) {
        match held {
            Some(held) => self.stayed.lock().unwrap_or_else(|e| e.into_inner()).push(held),
            None => self.came.store(true, Relaxed),
        }
    }

    /// What holds the block, if all of it stayed; otherwise all of it is in the block.
    fn finish(self) -> Result<Option<Arc<dyn Held>>> {
        if !self.came.into_inner() {
            self.whole.complete();
            return Ok(Some(self.whole));
        }
        let stayed = self.stayed.into_inner().unwrap_or_else(|e| e.into_inner());
        stayed.iter().try_for_each(|held| held.fetch()).map(|()| None)
    }
}

struct StageRun<'a> {
    number: usize,
    prepared: Prepared<'a>,
    kernel: Arc<dyn Executable>,
    roots: Vec<RootRun>,
    streaming: bool,
    part: Option<&'a Part<'a>>,
    counters: &'a Counters,
    rt: &'a Runtime<'a>,
    timed: bool,
}

/// What a worker carries through a span: accumulators and carries, one per root.
struct Span {
    folds: Vec<SpanFold>,
    carries: Vec<Carry>,
}

/// Runs a stage to its end, or a part of it, and gives its roots' results; those of a part are handed out.
pub(super) fn run(
    number: usize,
    stage: &Stage,
    results: &[Vec<RootResult>],
    part: Option<&Part<'_>>,
    rt: &Runtime<'_>,
    counters: &Counters,
) -> Result<Vec<RootResult>> {
    let spans = stage.span_tasks();
    let tasks = stage.tasks();
    let all = 0..tasks.div_ceil(spans.max(1));
    let own = part.map_or(all, |p| p.spans.clone());
    let count = own.len();
    let compiled = stage.steps.iter().map(|step| match &step.kind {
        StepKind::Kernel(kernel) => rt.kernels.get(kernel).map(Some),
        _ => Ok(None),
    });
    let compiled = compiled.collect::<Result<Vec<_>>>()?;
    let product = |step: &Step| step.product().map(|p| rt.kernels.product(p.dtype)).transpose();
    let products = stage.steps.iter().map(product).collect::<Result<Vec<_>>>()?;
    let kernel = rt.kernels.get(&stage.kernel)?;
    let block = stage.grid.max_block();
    let for_products = stage
        .steps
        .iter()
        .zip(&products)
        .filter_map(|(step, multiply)| Some(multiply.as_ref()?.scratch_bytes(step.product()?.largest())));
    let for_kernels = compiled.iter().flatten().chain([&kernel]).map(|k| k.scratch_bytes(&block));
    let scratch = for_kernels.chain(for_products).max();
    let task = stage.memory.task + scratch.unwrap_or(0) as u64;
    let workers = workers(stage, task, rt).min(count.max(1));
    // idle buffers count too: make room for what this stage will use
    let wanted = stage.memory.held + task * workers as u64;
    pool().trim(rt.memory_limit.saturating_sub(wanted).min(usize::MAX as u64) as usize);

    let roots = (0..stage.roots.len())
        .map(|n| start_root(stage, n, part, rt, workers))
        .collect::<Result<Vec<_>>>()?;
    let stored: usize = roots.iter().map(|r| if let RootRun::Store(b, _) = r { b.nbytes() } else { 0 }).sum();
    let run = StageRun {
        number,
        prepared: Prepared {
            stage,
            results,
            compiled,
            products,
            inside: stage.inside_products(),
            read: stage.read_by_kernels(),
            permits: Permits::new(rt.threads, workers),
            backend: &**rt.kernels.backend(),
        },
        kernel,
        roots,
        streaming: stored > STREAMING,
        part,
        counters,
        rt,
        timed: rt.observers.iter().any(|o| o.wants_tasks()),
    };
    rt.tell(Event::StageStarted { stage: number, tasks, workers, label: stage.label() });

    run_spans(
        rt,
        workers,
        count,
        || TaskData::new(stage),
        |span, worker, data, stop| {
            let span = own.start + span;
            let tasks = span * spans..((span + 1) * spans).min(tasks);
            run.span(span, tasks, worker, data, stop)
        },
    )?;
    run.roots.into_iter().map(finish_root).collect()
}

/// How many tasks of so many bytes may run at once: twice the threads where files are read or written, as far as memory admits.
fn workers(stage: &Stage, task: u64, rt: &Runtime<'_>) -> usize {
    let files = stage.steps.iter().any(|s| match &s.kind {
        StepKind::Read(source) => !source.in_memory(),
        _ => false,
    });
    let files =
        files || stage.roots.iter().any(|r| matches!(r, StageRoot::Sink(_) | StageRoot::Spill { .. }));
    let wished = if files { rt.threads * 2 } else { rt.threads };
    let room = rt.memory_limit.saturating_sub(stage.memory.held);
    let fit = room / task.max(1);
    wished.min(fit.clamp(1, usize::MAX as u64) as usize)
}

fn start_root(
    stage: &Stage,
    number: usize,
    part: Option<&Part<'_>>,
    rt: &Runtime<'_>,
    workers: usize,
) -> Result<RootRun> {
    let shape = stage.grid.shape();
    let partly = part.is_some();
    Ok(match &stage.roots[number] {
        StageRoot::Sink(_) if part.is_some_and(|p| p.outlet.takes_sink(number)) => RootRun::Out,
        StageRoot::Memory { .. } | StageRoot::Into(_) | StageRoot::Spill { .. } if partly => RootRun::Out,
        StageRoot::Memory { dtype, stays } => {
            let block = Block::uninit(*dtype, &shape);
            let room = stays.then(|| Room::of(&block, &stage.grid, rt)).flatten();
            RootRun::Store(block, room)
        }
        StageRoot::Into(block) => RootRun::Store(block.clone(), None),
        StageRoot::Sink(sink) => RootRun::Sink(sink.clone()),
        StageRoot::Spill { dtype, grid } => {
            RootRun::Spill(Arc::new(SpillStore::create(&rt.temp_dir, *dtype, grid.clone())?))
        }
        StageRoot::Reduce { op, dtype, axes } => {
            let fold = Fold::new(*op, *dtype, axes, &stage.grid);
            let whole = (!partly).then(|| Box::new(fold.whole(workers)));
            RootRun::Fold(Box::new(fold), whole)
        }
        StageRoot::Scan { op, dtype, axis, stays } => {
            let (op, axis) = (*op, *axis);
            let block = (!partly).then(|| Block::uninit(*dtype, &shape));
            let mut there = None;
            if let (Some(block), true) = (&block, *stays) {
                let suits = |running: &Arc<dyn Running>| running.suits(&stage.grid.max_block(), axis);
                if let Some(running) = rt.kernels.running(op, *dtype)?.filter(suits) {
                    // a chunk is folded together with the one before it
                    let mut lines = stage.grid.axes().to_vec();
                    lines[axis] = AxisChunks::regular(shape[axis], shape[axis]);
                    there = Room::of(block, &Grid::new(lines), rt).map(|room| (room, running));
                }
            }
            RootRun::Scan { block, op, axis, there }
        }
    })
}

fn finish_root(root: RootRun) -> Result<RootResult> {
    Ok(match root {
        RootRun::Store(block, room) => {
            let held = room.map(Room::finish).transpose()?.flatten();
            RootResult::Block(Lent::new(block, held))
        }
        RootRun::Scan { block: Some(block), there, .. } => {
            let held = there.map(|(room, _)| room.finish()).transpose()?.flatten();
            RootResult::Block(Lent::new(block, held))
        }
        RootRun::Spill(store) => RootResult::Spilled(store),
        RootRun::Fold(fold, Some(whole)) => RootResult::Block(fold.finish(*whole).into()),
        RootRun::Sink(_) | RootRun::Out | RootRun::Fold(_, None) | RootRun::Scan { block: None, .. } => {
            RootResult::Gone
        }
    })
}

impl StageRun<'_> {
    fn span(
        &self,
        number: usize,
        tasks: std::ops::Range<usize>,
        worker: usize,
        data: &mut TaskData,
        stop: &AtomicBool,
    ) -> Result<()> {
        let n = self.roots.len();
        let mut span = Span {
            folds: std::iter::repeat_with(SpanFold::default).take(n).collect(),
            carries: std::iter::repeat_with(Carry::default).take(n).collect(),
        };
        let done = tasks.len() as u64;
        for task in tasks {
            if self.rt.cancel.load(Relaxed) {
                return Err(ErrorKind::Cancelled.into());
            }
            let start = self.timed.then(Instant::now);
            data.bytes_read = 0;
            let outcome = self.task(task, &mut span, data);
            data.clear();
            let written = outcome?;
            if data.bytes_read > 0 {
                self.counters.bytes_read.fetch_add(data.bytes_read, Relaxed);
            }
            if written > 0 {
                self.counters.bytes_written.fetch_add(written, Relaxed);
            }
            if let Some(start) = start {
                self.rt.tell(Event::TaskFinished {
                    stage: self.number,
                    task,
                    worker,
                    start,
                    elapsed: start.elapsed(),
                    bytes_read: data.bytes_read,
                    bytes_written: written,
                });
            }
        }
        for ((n, root), fold) in self.roots.iter().enumerate().zip(span.folds) {
            match (root, self.part) {
                (RootRun::Fold(into, Some(whole)), _) => into.merge(whole, number, fold, stop),
                (RootRun::Fold(of, None), Some(part)) => part.outlet.state(n, number, of.encode(&fold))?,
                _ => {}
            }
        }
        self.counters.tasks.fetch_add(done, Relaxed);
        Ok(())
    }

    /// Runs one task; gives the bytes written to sinks.
    fn task(&self, task: usize, span: &mut Span, data: &mut TaskData) -> Result<u64> {
        let stage = self.prepared.stage;
        let index = stage.task_index(task);
        let region = stage.grid.region(&index);
        let mut computed = self.compute((&index, &region), span, data);
        if computed.as_ref().is_err_and(|e| matches!(e.kind(), ErrorKind::Device { .. })) {
            // what steps had left on a device that was lost is made again, wherever kernels run now
            data.clear();
            computed = self.compute((&index, &region), span, data);
        }
        let (mut stayed, temporaries) = computed?;
        let mut written = 0;
        let mut temporaries = temporaries.into_iter();
        for ((n, root), carry) in self.roots.iter().enumerate().zip(&mut span.carries) {
            let held = stayed.take(n);
            match root {
                RootRun::Scan { block: Some(block), op, axis, there } => {
                    match (&held, there) {
                        (Some(held), Some((_, running))) => {
                            let (operand, continues) = (part(block, &region), region.start[*axis] > 0);
                            self.prepared
                                .permits
                                .with(|| running.run(&operand, &region.shape, *axis, continues))?;
                            carry.stay(held.clone());
                        }
                        _ => {
                            carry.come(block, &region, *axis)?;
                            let mut out = block.slice(&region);
                            self.prepared.permits.with(|| scan_in_place(*op, *axis, &mut out, carry));
                        }
                    }
                    if let Some((room, _)) = there {
                        room.note(held);
                    }
                }
                RootRun::Store(_, Some(room)) => room.note(held),
                RootRun::Out | RootRun::Scan { block: None, .. } => {
                    let mut out =
                        temporaries.next().ok_or_else(|| Error::internal("no block to hand out"))?;
                    if let RootRun::Scan { op, axis, .. } = root {
                        self.prepared.permits.with(|| scan_in_place(*op, *axis, &mut out, carry));
                    }
                    let part = self.part.ok_or_else(|| Error::internal("nobody takes this block"))?;
                    part.outlet.block(n, &region, out)?;
                }
                RootRun::Sink(sink) => {
                    let block = temporaries.next().ok_or_else(|| Error::internal("no block to write"))?;
                    sink.write(&region, &block)?;
                    written += block.nbytes() as u64;
                }
                RootRun::Spill(store) => {
                    let block = temporaries.next().ok_or_else(|| Error::internal("no block to spill"))?;
                    self.counters.bytes_spilled.fetch_add(store.write(&region, &block)?, Relaxed);
                }
                RootRun::Store(..) | RootRun::Fold(..) => {}
            }
        }
        Ok(written)
    }

    /// Evaluates the steps and runs the kernel of a task: what holds results that stayed, and the blocks that are to be written or handed out.
    fn compute(
        &self,
        (index, region): (&[usize], &Region),
        span: &mut Span,
        data: &mut TaskData,
    ) -> Result<(Stayed, SmallVec<[Block; 2]>)> {
        let stage = self.prepared.stage;
        self.prepared.gather(region, data)?;

        let mut temporaries: SmallVec<[Block; 2]> = SmallVec::new();
        let mut outputs: SmallVec<[Output; 3]> = SmallVec::new();
        for ((root, fold), k) in self.roots.iter().zip(&mut span.folds).zip(0..) {
            outputs.push(match root {
                RootRun::Store(block, _) | RootRun::Scan { block: Some(block), .. } => {
                    Output::Store(part(block, region))
                }
                RootRun::Sink(_) | RootRun::Spill(_) | RootRun::Out | RootRun::Scan { block: None, .. } => {
                    let dtype = stage.store_dtype(k);
                    let mut block = Block::uninit(dtype, &region.shape);
                    let out = operand(&mut block, dtype);
                    temporaries.push(block);
                    Output::Store(out)
                }
                RootRun::Fold(f, _) => f.output(fold, index, region),
            });
        }
        let space: Dims = stage.grid.shape();
        let mut stay: SmallVec<[bool; 3]> = SmallVec::new();
        if self.roots.iter().any(RootRun::has_room) {
            // a block is folded where the one before it was
            let follows = |(root, carry): (&RootRun, &Carry)| match root {
                RootRun::Scan { axis, .. } => region.start[*axis] == 0 || carry.stayed(),
                _ => true,
            };
            stay.extend(self.roots.iter().zip(&span.carries).map(|of| of.0.has_room() && follows(of)));
        }
        let stayed = self.prepared.launch(
            &stage.kernel,
            &stage.kernel_inputs,
            (region, &space),
            &outputs,
            self.streaming,
            data,
            // SAFETY: stores go to this task's own region of a block, or to a fresh block; accumulators belong to this span.
            |launch, inputs| unsafe { self.kernel.run_away(launch, &Away { inputs, stay: &stay }) },
        )?;
        Ok((stayed, temporaries))
    }
}

/// The part of a block that a task writes.
fn part(block: &Block, region: &Region) -> Operand {
    let size = block.dtype().size() as isize;
    let at: isize = region.start.iter().zip(block.strides()).map(|(&i, &s)| i as isize * s).sum();
    let strides = block.strides().iter().map(|s| s * size).collect();
    // SAFETY: the region lies inside the block.
    let ptr = unsafe { block.as_ptr().offset(at * size) } as *mut u8;
    Operand { ptr, strides }
}
