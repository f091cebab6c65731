//! Runs the plan of a frame: pipeline after pipeline, each one's parts on workers as the stages of arrays are.
//!
//! A worker reads a part of an input batch by batch and takes every batch through the steps into a state of its span; states are put
//! together in the order of spans, so results depend on neither threads nor time. What is kept counts against the memory limit as
//! it grows.

mod evaluate;
mod group;
mod join;
mod keys;
mod sort;

use super::order::InOrder;
use super::workers::run_spans;
use super::{Counters, Runtime};
use crate::block::batch::batch_bytes;
use crate::block::{BatchSource, MemoryBatches, pool};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Summary};
use crate::plan::frame::{Chain, FramePlan, Input, Pipeline, Root, RowStep};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use evaluate::{batch, drop_nulls, evaluate, filter};
use group::{AllGroups, DistinctState, GroupState};
use join::JoinTable;
use keys::{Encoder, one_dictionary};
use sort::Run;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The most spans of a pipeline: they shape the folds, so their number depends on the input alone.
const SPANS: usize = 256;

/// Bytes kept by the states of a run.
struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// A share of the budget; given back when dropped.
struct Held<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    fn hold(&self) -> Held<'_> {
        Held { budget: self, bytes: 0 }
    }
}

impl Held<'_> {
    /// Changes the share to this many bytes.
    fn set(&mut self, bytes: usize, what: impl std::fmt::Display) -> Result<()> {
        let bytes = bytes as u64;
        let before = self.budget.used.fetch_add(bytes, Relaxed);
        self.budget.used.fetch_sub(self.bytes, Relaxed);
        let needed = before + bytes - self.bytes.min(before);
        self.bytes = bytes;
        if needed > self.budget.limit {
            let chunks = "batches of rows".into();
            return Err(ErrorKind::MemoryLimit {
                op: what.to_string(),
                needed,
                limit: self.budget.limit,
                chunks,
            }
            .into());
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// What a pipeline's root left.
enum Left {
    Rows(Arc<MemoryBatches>),
    Table(Arc<JoinTable>),
    Nothing,
}

/// What a worker has folded or kept of a span.
enum State {
    Rows(Vec<RecordBatch>),
    Group(Box<GroupState>),
    Distinct(Box<DistinctState>),
}

/// Runs a plan; the rows of its result.
///
/// # Errors
/// The first error in the order of pipelines and spans.
pub fn run(plan: &FramePlan, rt: &Runtime<'_>) -> Result<(Vec<RecordBatch>, Summary)> {
    let started = Instant::now();
    let counters = Counters::default();
    let compiled = rt.kernels.compiled();
    pool().reset_peak();
    // how much a pipeline leaves for another is not known before
    let parts = |c: &Chain| match &c.input {
        Input::Scan { source, .. } => source.parts(),
        Input::Result(_) => 0,
    };
    let tasks = plan.pipelines.iter().flat_map(|p| &p.chains).map(parts).sum();
    rt.tell(Event::RunStarted { stages: plan.pipelines.len(), tasks });
    let budget = Budget { limit: rt.memory_limit, used: AtomicU64::new(0) };
    let mut times = vec![];
    let outcome = run_pipelines(plan, rt, &counters, &budget, &mut times);
    let summary = Summary {
        ok: outcome.is_ok(),
        elapsed: started.elapsed(),
        stages: times,
        tasks: counters.tasks.load(Relaxed),
        bytes_read: counters.bytes_read.load(Relaxed),
        kernels_compiled: rt.kernels.compiled() - compiled,
        peak_memory: pool().peak() as u64,
        ..Summary::default()
    };
    rt.tell(Event::RunFinished(summary.clone()));
    Ok((outcome?, summary))
}

fn run_pipelines(
    plan: &FramePlan,
    rt: &Runtime<'_>,
    counters: &Counters,
    budget: &Budget,
    times: &mut Vec<std::time::Duration>,
) -> Result<Vec<RecordBatch>> {
    let mut results: Vec<Left> = vec![];
    let mut held: Vec<Held<'_>> = vec![];
    for (number, pipeline) in plan.pipelines.iter().enumerate() {
        let started = Instant::now();
        let run = PipelineRun { number, pipeline, results: &results, rt, counters, budget };
        let left = run.run()?;
        let mut share = budget.hold();
        share.set(
            match &left {
                Left::Rows(rows) => rows.nbytes(),
                Left::Table(table) => table.nbytes(),
                Left::Nothing => 0,
            },
            &pipeline.root,
        )?;
        held.push(share);
        results.push(left);
        // what no later pipeline reads
        for (k, result) in results.iter_mut().enumerate().take(number) {
            if !plan.pipelines[number + 1..].iter().any(|p| p.reads(k)) {
                *result = Left::Nothing;
                held[k].set(0, "")?;
            }
        }
        times.push(started.elapsed());
        rt.tell(Event::StageFinished { stage: number, elapsed: started.elapsed() });
    }
    match results.pop() {
        Some(Left::Rows(rows)) => Ok(rows.batches().to_vec()),
        _ => Err(Error::internal("a plan without rows at its end")),
    }
}

impl Pipeline {
    /// Whether it reads what pipeline `n` left.
    fn reads(&self, n: usize) -> bool {
        self.chains.iter().any(|c| {
            matches!(c.input, Input::Result(k) if k == n)
                || c.steps.iter().any(|s| matches!(&**s, RowStep::Probe(p) if p.build == n))
        })
    }
}

struct PipelineRun<'a> {
    number: usize,
    pipeline: &'a Pipeline,
    results: &'a [Left],
    rt: &'a Runtime<'a>,
    counters: &'a Counters,
    budget: &'a Budget,
}

/// The input of a chain as it is read.
struct Open<'a> {
    source: Arc<dyn BatchSource>,
    columns: Vec<usize>,
    chain: &'a Chain,
    in_memory: bool,
}

impl PipelineRun<'_> {
    fn run(&self) -> Result<Left> {
        let inputs = self.pipeline.chains.iter().map(|c| self.open(c)).collect::<Result<Vec<_>>>()?;
        let tasks: Vec<(usize, usize)> =
            inputs.iter().enumerate().flat_map(|(k, i)| (0..i.source.parts()).map(move |p| (k, p))).collect();
        // what is written or kept is not folded: parts are handed on as soon as they can be
        let per_span = match self.pipeline.root {
            Root::Write(_) | Root::Collect { .. } => 1,
            _ => tasks.len().div_ceil(SPANS).max(1),
        };
        let spans = tasks.len().div_ceil(per_span);
        let task_bytes = inputs.iter().map(|i| i.source.read_bytes(&i.columns)).max().unwrap_or(0) as u64;
        let limit = self.rt.memory_limit;
        if task_bytes > limit {
            return Err(ErrorKind::MemoryLimit {
                op: format!("reading {}", inputs[0].source.label()),
                needed: task_bytes,
                limit,
                chunks: "parts of the file".into(),
            }
            .into());
        }
        let files = inputs.iter().any(|i| !i.in_memory);
        let wished = if files { self.rt.threads * 2 } else { self.rt.threads };
        let room = limit.saturating_sub(self.budget.used.load(Relaxed)) / task_bytes.max(1);
        let workers = wished.min(room.clamp(1, 1 << 20) as usize).min(spans.max(1));
        let label = self.pipeline.root.to_string();
        self.rt.tell(Event::StageStarted { stage: self.number, tasks: tasks.len(), workers, label });

        let whole = Whole::new(self.pipeline)?;
        let empty = whole.sibling();
        let whole = InOrder::new((whole, self.budget.hold()), workers);
        let rt = self.rt;
        run_spans(rt, workers, spans, Encoders::default, |span, worker, encoders, stop| {
            let mut state = empty.sibling();
            let mut held = self.budget.hold();
            let of_span = tasks.iter().enumerate().skip(span * per_span).take(per_span);
            for (task, &(k, part)) in of_span {
                if rt.cancel.load(Relaxed) {
                    return Err(ErrorKind::Cancelled.into());
                }
                let start = Instant::now();
                let read = self.part(&inputs[k], part, &mut state, &mut held, encoders, stop)?;
                self.counters.bytes_read.fetch_add(if inputs[k].in_memory { 0 } else { read }, Relaxed);
                self.counters.tasks.fetch_add(1, Relaxed);
                rt.tell(Event::TaskFinished {
                    stage: self.number,
                    task,
                    worker,
                    start,
                    elapsed: start.elapsed(),
                    bytes_read: read,
                    bytes_written: 0,
                });
            }
            let part = self.seal(state)?;
            if let Part::Run(run) = &part {
                held.set(run.nbytes(), &self.pipeline.root)?;
            }
            whole.put(span, (part, held), stop, |(whole, share), (part, held)| {
                let kept = share.bytes as usize + held.bytes as usize;
                whole.merge(self.pipeline, part, rt.threads)?;
                drop(held);
                share.set(whole.nbytes().unwrap_or(kept), &self.pipeline.root)?;
                if whole.is_full(self.pipeline) {
                    stop.store(true, Relaxed);
                }
                Ok::<(), Error>(())
            })
        })?;
        let (whole, share) = whole.into_whole();
        let left = self.finish(whole);
        drop(share);
        left
    }

    fn open<'b>(&self, chain: &'b Chain) -> Result<Open<'b>> {
        Ok(match &chain.input {
            Input::Scan { source, columns } => Open {
                in_memory: source.read_bytes(columns) == 0,
                source: source.clone(),
                columns: columns.to_vec(),
                chain,
            },
            Input::Result(n) => match &self.results[*n] {
                Left::Rows(rows) => {
                    let columns = (0..rows.schema().fields().len()).collect();
                    Open { source: rows.clone(), columns, chain, in_memory: true }
                }
                _ => return Err(Error::internal("a result that is no rows, or gone")),
            },
        })
    }

    /// Reads a part and takes it through the steps; the bytes read.
    fn part(
        &self,
        input: &Open<'_>,
        part: usize,
        state: &mut State,
        held: &mut Held<'_>,
        encoders: &mut Encoders,
        stop: &AtomicBool,
    ) -> Result<u64> {
        let mut read = 0;
        let wanted = match &self.pipeline.root {
            Root::Collect { offset, len } => offset.saturating_add(*len),
            _ => usize::MAX,
        };
        input.source.read(part, &input.columns, &mut |rows| {
            read += batch_bytes(&rows) as u64;
            self.push(&input.chain.steps, rows, encoders, &mut |rows| self.consume(rows, state))?;
            held.set(state.nbytes(), &self.pipeline.root)?;
            Ok(!stop.load(Relaxed) && !self.rt.cancel.load(Relaxed) && state.rows() < wanted)
        })?;
        Ok(read)
    }

    /// Takes a batch through steps.
    fn push(
        &self,
        steps: &[Arc<RowStep>],
        rows: RecordBatch,
        encoders: &mut Encoders,
        end: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let Some((step, rest)) = steps.split_first() else { return end(rows) };
        let kernels = self.rt.kernels;
        match &**step {
            RowStep::Filter(mask) => {
                let rows = filter(mask, rows, kernels)?;
                if rows.num_rows() == 0 { Ok(()) } else { self.push(rest, rows, encoders, end) }
            }
            RowStep::DropNulls(columns) => {
                let rows = drop_nulls(columns, rows)?;
                if rows.num_rows() == 0 { Ok(()) } else { self.push(rest, rows, encoders, end) }
            }
            RowStep::Project(program, schema) => {
                let columns = evaluate(program, &rows, kernels)?;
                let rows = batch(schema, columns, rows.num_rows())?;
                self.push(rest, rows, encoders, end)
            }
            RowStep::MapBatches { name, function, schema } => {
                let call = std::panic::AssertUnwindSafe(|| function(rows));
                let out = std::panic::catch_unwind(call)
                    .unwrap_or_else(|_| Err(Error::invalid("map_batches", "the function panicked")))?;
                let types = |s: &SchemaRef| {
                    s.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
                };
                if types(&out.schema()) != types(schema) {
                    let message =
                        format!("gave columns {:?}; declared were {:?}", types(&out.schema()), types(schema));
                    return Err(ErrorKind::Value { op: format!("map_batches {name}"), message }.into());
                }
                self.push(rest, out, encoders, end)
            }
            RowStep::Probe(probe) => {
                let Left::Table(table) = &self.results[probe.build] else {
                    return Err(Error::internal("a probe without a table"));
                };
                let mut encoder = encoders.take(probe.build);
                let done = table.probe(probe, &rows, &mut encoder, kernels, &mut |rows| {
                    self.push(rest, rows, encoders, end)
                });
                encoders.put(probe.build, encoder);
                done
            }
        }
    }

    fn consume(&self, rows: RecordBatch, state: &mut State) -> Result<()> {
        match (state, &self.pipeline.root) {
            (State::Group(state), Root::Group(plan)) => state.push(plan, &rows, self.rt.kernels),
            (State::Distinct(state), Root::Distinct(on)) => state.push(on, &rows),
            (State::Rows(kept), _) => {
                kept.push(rows);
                Ok(())
            }
            _ => Err(Error::internal("a state of another root")),
        }
    }

    /// What is done with a span's state before it is merged, beside other spans.
    fn seal(&self, state: State) -> Result<Part> {
        Ok(match (state, &self.pipeline.root) {
            (State::Rows(rows), Root::Sort(plan)) => {
                Part::Run(Run::new(plan, &rows, &self.pipeline.schema, self.rt.kernels)?)
            }
            (state, _) => Part::State(state),
        })
    }

    fn finish(&self, whole: Whole) -> Result<Left> {
        let schema = &self.pipeline.schema;
        let rows = match (whole, &self.pipeline.root) {
            (Whole::Rows(rows, _), Root::Build(program)) => {
                let table = JoinTable::build(program, &rows, schema, self.rt.kernels)?;
                return Ok(Left::Table(Arc::new(table)));
            }
            (Whole::Rows(rows, _), Root::Collect { offset, len }) => {
                with_one_dictionary(slice(rows, *offset, *len), schema)?
            }
            (Whole::Written(n), Root::Write(sink)) => {
                if n == 0 {
                    // a file of no rows has a header all the same
                    sink.write(&RecordBatch::new_empty(schema.clone()))?;
                }
                sink.finish()?;
                vec![]
            }
            (Whole::Rows(rows, _), _) => rows,
            (Whole::Runs(runs), _) => sort::merge(runs)?,
            (Whole::Group(all), Root::Group(plan)) => all.finish(plan, schema, self.rt.threads)?,
            (Whole::Distinct(state), _) => state.rows,
            (Whole::Group(_) | Whole::Written(_), _) => {
                return Err(Error::internal("a state of another root"));
            }
        };
        Ok(Left::Rows(Arc::new(MemoryBatches::new(schema.clone(), rows))))
    }
}

/// A span's part of the whole.
enum Part {
    State(State),
    Run(Run),
}

/// What all spans make together.
enum Whole {
    Rows(Vec<RecordBatch>, usize),
    Runs(Vec<Run>),
    /// Rows that went to a sink.
    Written(usize),
    Group(AllGroups),
    Distinct(Box<DistinctState>),
}

impl Whole {
    fn new(pipeline: &Pipeline) -> Result<Whole> {
        Ok(match &pipeline.root {
            Root::Collect { .. } | Root::Build(_) => Whole::Rows(vec![], 0),
            Root::Write(_) => Whole::Written(0),
            Root::Sort(_) => Whole::Runs(vec![]),
            Root::Group(plan) => Whole::Group(AllGroups::new(plan)?),
            Root::Distinct(on) => Whole::Distinct(Box::new(DistinctState::new(on, &pipeline.schema)?)),
        })
    }

    /// The state of a span before its first row.
    fn sibling(&self) -> State {
        match self {
            Whole::Rows(..) | Whole::Runs(_) | Whole::Written(_) => State::Rows(vec![]),
            Whole::Group(state) => State::Group(Box::new(state.sibling())),
            Whole::Distinct(state) => State::Distinct(Box::new(state.sibling())),
        }
    }

    fn merge(&mut self, pipeline: &Pipeline, part: Part, threads: usize) -> Result<()> {
        match (self, part, &pipeline.root) {
            (Whole::Written(n), Part::State(State::Rows(rows)), Root::Write(sink)) => {
                *n += rows.iter().map(RecordBatch::num_rows).sum::<usize>();
                rows.iter().try_for_each(|r| sink.write(r))?;
            }
            (Whole::Rows(all, n), Part::State(State::Rows(rows)), _) => {
                *n += rows.iter().map(RecordBatch::num_rows).sum::<usize>();
                all.extend(rows);
            }
            (Whole::Runs(all), Part::Run(run), _) => all.push(run),
            (Whole::Group(all), Part::State(State::Group(state)), _) => all.push(*state, threads),
            (Whole::Distinct(all), Part::State(State::Distinct(state)), Root::Distinct(on)) => {
                for rows in &state.rows {
                    all.push(on, rows)?;
                }
            }
            _ => return Err(Error::internal("a part of another root")),
        }
        Ok(())
    }

    /// Bytes that it takes; none if that is what its parts took.
    fn nbytes(&self) -> Option<usize> {
        match self {
            Whole::Group(all) => Some(all.nbytes()),
            Whole::Distinct(all) => Some(all.nbytes()),
            Whole::Written(_) => Some(0),
            Whole::Rows(..) | Whole::Runs(_) => None,
        }
    }

    /// Whether later rows would change nothing.
    fn is_full(&self, pipeline: &Pipeline) -> bool {
        match (self, &pipeline.root) {
            (Whole::Rows(_, n), Root::Collect { offset, len }) => *n >= offset.saturating_add(*len),
            _ => false,
        }
    }
}

impl State {
    /// Another one before its first row.
    fn sibling(&self) -> State {
        match self {
            State::Rows(_) => State::Rows(vec![]),
            State::Group(state) => State::Group(Box::new(state.sibling())),
            State::Distinct(state) => State::Distinct(Box::new(state.sibling())),
        }
    }

    fn nbytes(&self) -> usize {
        match self {
            State::Rows(rows) => rows.iter().map(batch_bytes).sum(),
            State::Group(state) => state.nbytes(),
            State::Distinct(state) => state.nbytes(),
        }
    }

    fn rows(&self) -> usize {
        match self {
            State::Rows(rows) => rows.iter().map(RecordBatch::num_rows).sum(),
            _ => 0,
        }
    }
}

/// Encoders of a worker, by the pipeline whose table they look in.
#[derive(Default)]
struct Encoders(Vec<(usize, Encoder)>);

impl Encoders {
    fn take(&mut self, build: usize) -> Encoder {
        match self.0.iter().position(|(b, _)| *b == build) {
            Some(k) => self.0.swap_remove(k).1,
            None => Encoder::default(),
        }
    }

    fn put(&mut self, build: usize, encoder: Encoder) {
        self.0.push((build, encoder));
    }
}

fn slice(rows: Vec<RecordBatch>, offset: usize, len: usize) -> Vec<RecordBatch> {
    let (mut skip, mut left) = (offset, len);
    let mut out = vec![];
    for batch in rows {
        let start = skip.min(batch.num_rows());
        skip -= start;
        let n = left.min(batch.num_rows() - start);
        left -= n;
        if n > 0 {
            out.push(batch.slice(start, n));
        }
    }
    out
}

/// Batches whose dictionary columns share their dictionaries, so that later work numbers values once.
fn with_one_dictionary(rows: Vec<RecordBatch>, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let is_dictionary = |t: &DataType| matches!(t, DataType::Dictionary(..));
    if rows.len() < 2 || !schema.fields().iter().any(|f| is_dictionary(f.data_type())) {
        return Ok(rows);
    }
    let mut columns: Vec<Vec<ArrayRef>> = vec![vec![]; rows.len()];
    for c in 0..schema.fields().len() {
        let parts: Vec<ArrayRef> = rows.iter().map(|b| b.column(c).clone()).collect();
        for (column, part) in columns.iter_mut().zip(one_dictionary(&parts)?) {
            column.push(part);
        }
    }
    rows.iter().zip(columns).map(|(rows, columns)| batch(schema, columns, rows.num_rows())).collect()
}
