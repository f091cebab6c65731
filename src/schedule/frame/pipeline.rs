//! One pass: rows of the inputs through the steps of their chains into a root, on workers.
//!
//! A worker reads a part of an input batch by batch and takes every batch through the steps into a state of its span; states are put
//! together in the order of spans, so results depend on neither threads nor time. What is kept counts against the memory limit as
//! it grows.

use super::super::order::InOrder;
use super::super::workers::{as_task, run_spans};
use super::super::{Counters, Runtime};
use super::budget::{Budget, Held};
use super::build::Build;
use super::distinct::Distinct;
use super::evaluate::{batch, drop_nulls, evaluate, filter, guarded_rows};
use super::exchange::{Exchange, Hand};
use super::group::{GroupFold, GroupsInOrder};
use super::join::JoinTable;
use super::keys::Encoder;
use super::parts::Parts;
use super::rows::{Collect, Tail, Write, WriteParts};
use super::runs::Runs;
use super::share::{Pieces, Share, bundled_share};
use super::sort::Sort;
use super::spans::{Open, Span, Unit, own_parts, spans, units};
use super::store::{Disk, StoredRows};
use super::window::Windowed;
use super::zones::Zones;
use crate::block::batch::batch_bytes;
use crate::block::{BatchSource, MemoryBatches};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::plan::frame::{Input, Pipeline, Root, RowStep};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What is made of a pipeline's rows. Spans are gathered beside each other, and put together in their order.
pub(super) trait Gather: Sync {
    /// What is kept of a span.
    type State: Send;
    /// What all spans make together.
    type Whole: Send;

    /// Whether every part is a span: what is only kept or handed on should not be held until others come.
    const BY_PART: bool = false;

    /// A span before its first row.
    fn state(&self) -> Self::State;

    /// The whole before the first span.
    fn whole(&self) -> Result<Self::Whole>;

    /// Takes the next rows of a span; `task` is the number of the part that they are of.
    fn push(&self, state: &mut Self::State, task: usize, rows: RecordBatch) -> Result<()>;

    /// Ends a span.
    fn seal(&self, _state: &mut Self::State) -> Result<()> {
        Ok(())
    }

    /// Bytes of memory that a worker needs for a while, beside what it keeps.
    fn working(&self) -> usize {
        0
    }

    /// Bytes of memory that a span takes.
    fn bytes(&self, state: &Self::State) -> usize;

    /// Whether a span's later rows would change nothing.
    fn enough(&self, _state: &Self::State) -> bool {
        false
    }

    /// Takes the next span.
    fn merge(&self, whole: &mut Self::Whole, span: usize, state: Self::State) -> Result<()>;

    /// Bytes of memory that the whole takes.
    fn whole_bytes(&self, whole: &Self::Whole) -> usize;

    /// Whether later spans would change nothing.
    fn full(&self, _whole: &Self::Whole) -> bool {
        false
    }

    /// What later pipelines read.
    fn finish(&self, whole: Self::Whole) -> Result<Left>;

    /// A span as bytes for other machines. Of groups each of `cuts` is a range of parts, and gets what belongs to it; a sort that has `cuts` says
    /// what there is, and what it is; everything else is one piece.
    fn export(&self, _span: usize, _state: Self::State, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        Err(Error::internal("a span that does not travel"))
    }

    /// A span that came from another machine, in one piece.
    fn import(&self, _bytes: Vec<u8>) -> Result<Self::State> {
        Err(Error::internal("a span that does not travel"))
    }
}

/// What a pipeline left.
#[derive(Clone)]
pub(super) enum Left {
    /// Rows in memory.
    Memory(Arc<MemoryBatches>),
    /// Rows that are made as they are read, and the bytes of memory that are held for them.
    Rows(Arc<dyn BatchSource>, usize),
    /// The other side of a join.
    Table(Arc<JoinTable>),
    /// The same, in parts on disk.
    Parts(Arc<Parts>),
    /// The same, in order on disk.
    Zones(Arc<Zones>),
    /// Nothing: it was written, or is not needed any more.
    Nothing,
}

impl Left {
    pub fn memory(schema: &SchemaRef, rows: Vec<RecordBatch>) -> Left {
        Left::Memory(Arc::new(MemoryBatches::new(schema.clone(), rows)))
    }

    /// Rows of which some are on disk, or none.
    pub fn stored(rows: StoredRows) -> Left {
        match rows.in_memory() {
            Some(batches) => Left::memory(rows.schema(), batches),
            None => {
                let held = rows.held();
                Left::Rows(Arc::new(rows), held)
            }
        }
    }

    /// Bytes of memory that it takes.
    pub fn held(&self) -> usize {
        match self {
            Left::Memory(rows) => rows.nbytes(),
            Left::Rows(_, held) => *held,
            Left::Table(table) => table.nbytes(),
            Left::Zones(zones) => zones.held(),
            Left::Parts(_) | Left::Nothing => 0,
        }
    }
}

/// The run of one pipeline.
pub(super) struct PipelineRun<'a> {
    pub number: usize,
    pub pipeline: &'a Pipeline,
    /// What earlier pipelines left.
    pub results: &'a [Left],
    /// Whether its rows are the result, which is in memory.
    pub last: bool,
    /// How much of it runs here.
    pub share: &'a Share<'a>,
    pub rt: &'a Runtime<'a>,
    pub counters: &'a Counters,
    pub budget: &'a Budget,
}

impl PipelineRun<'_> {
    /// Runs it.
    pub fn run(&self) -> Result<Left> {
        let inputs = match self.share.reads_inputs() {
            true => (0..self.pipeline.chains.len()).map(|n| self.open(n)).collect::<Result<Vec<_>>>()?,
            false => vec![],
        };
        let (rt, budget, schema) = (self.rt, self.budget, &self.pipeline.schema);
        let disk = Disk::new(&rt.temp_dir, self.counters, budget);
        // the rows of a result stay in memory
        let spill = (!self.last).then_some(&disk);
        let label = &self.pipeline.root.to_string();
        match &self.pipeline.root {
            Root::Collect { offset, len } => {
                let root = Collect { schema, offset: *offset, len: *len, disk: spill };
                self.gather(&inputs, label, &root)
            }
            Root::Window(plan) => {
                let root = Windowed { plan, schema, rt, disk: &disk, budget, last: self.last };
                self.gather(&inputs, label, &root)
            }
            Root::Tail(len) => self.gather(&inputs, label, &Tail { schema, len: *len, disk: spill }),
            Root::Exchange { keys, numbered } => {
                let cuts = if let Share::Spans { cuts, .. } = self.share { cuts } else { &[][..] };
                self.gather(&inputs, label, &Exchange { keys, numbered: *numbered, cuts, run: self })
            }
            Root::Hand { .. } => self.gather(&inputs, label, &Hand),
            Root::Write(sink) => match sink.in_parts() {
                Some(sink) => self.gather(&inputs, label, &WriteParts { schema, sink }),
                None => self.gather(&inputs, label, &Write { schema, sink: &**sink }),
            },
            Root::Sort(plan) => {
                let root = Sort { plan, schema, rt, disk: &disk, budget };
                match self.share {
                    Share::Ranges { heads, runs, units, cuts, give } => {
                        root.cut_ranges((heads, runs), units.clone(), cuts, give)
                    }
                    Share::Merge { pieces, ranges, give } => root.merge_ranges(pieces, ranges.clone(), give),
                    _ => return self.gather(&inputs, label, &root),
                }?;
                Ok(Left::Nothing)
            }
            Root::Group(plan) if plan.in_order.is_some() => {
                let root = GroupsInOrder::new(plan, schema, rt, &disk, budget)?;
                self.gather(&inputs, label, &root)
            }
            Root::Group(plan) => {
                let root = GroupFold::new(plan, schema, rt, &disk, budget)?;
                match self.share {
                    Share::Groups { pieces, cut, give } => give(0, *cut, root.merge_cut(pieces)?),
                    Share::Cuts(pieces) => return root.put_together(pieces),
                    _ => return self.gather(&inputs, label, &root),
                }?;
                Ok(Left::Nothing)
            }
            Root::Build { keys, in_order } => {
                let root = Build::new(keys, *in_order, self, &disk);
                self.gather(&inputs, label, &root)
            }
            Root::Runs(plan) => {
                let root = Runs { plan, schema, disk: spill, budget, threads: rt.threads };
                self.gather(&inputs, label, &root)
            }
            Root::Distinct(on) => {
                let root = Distinct::new(on, schema, &disk, budget)?;
                match self.gather(&inputs, label, &root)? {
                    Left::Parts(parts) => self.distinct_parts(&parts, on, &disk),
                    left => Ok(left),
                }
            }
        }
    }

    /// All rows of a source, in memory.
    pub fn collect(&self, source: Arc<dyn BatchSource>) -> Result<Left> {
        let schema = source.schema().clone();
        let columns = (0..schema.fields().len()).collect();
        let root = Collect { schema: &schema, offset: 0, len: usize::MAX, disk: None };
        self.drive(&[Open::new(source, columns, &[])], "collect", &root)
    }

    /// Takes the rows of inputs into a root: all of them, or those of some spans for others, or what others made of the spans.
    fn gather<G: Gather>(&self, inputs: &[Open<'_>], label: &str, root: &G) -> Result<Left> {
        match self.share {
            Share::Spans { units, roots, cuts, give } => {
                let pass = self.pass(inputs, Some(units), root)?;
                let shares = Mutex::new(BTreeMap::<(usize, usize), _>::new());
                self.each_span(&pass, label, root, |number, state, mut held, _stop| {
                    let pieces = root.export(number, state, cuts)?;
                    let unit = pass.unit_of(number);
                    if pass.units[unit - units.start].of.is_none() {
                        return (0..).zip(pieces).try_for_each(|(cut, bytes)| give(cut, unit, bytes));
                    }
                    // it waits for the other spans of its share
                    held.set(pieces.iter().map(Vec::len).sum(), label)?;
                    let mut shares = shares.lock().unwrap_or_else(|e| e.into_inner());
                    shares.insert((unit, number), (pieces, held));
                    Ok(())
                })?;
                let mut made = shares.into_inner().unwrap_or_else(|e| e.into_inner());
                for (unit, total) in (units.start..).zip(&pass.units).filter_map(|(n, u)| Some((n, u.of?))) {
                    let mut states = vec![vec![]; *roots];
                    let later = made.split_off(&(unit + 1, 0));
                    // held until all of the share is given
                    for (pieces, _) in std::mem::replace(&mut made, later).values_mut() {
                        states.iter_mut().zip(pieces).for_each(|(all, one)| all.push(std::mem::take(one)));
                    }
                    for (cut, states) in states.into_iter().enumerate() {
                        give(cut, unit, bundled_share(states, total))?;
                    }
                }
                Ok(Left::Nothing)
            }
            Share::States(pieces) => self.merge(pieces, label, root),
            _ => self.drive(inputs, label, root),
        }
    }

    /// Puts together what others made of the spans, in their order.
    fn merge<G: Gather>(&self, pieces: &Pieces<'_>, label: &str, root: &G) -> Result<Left> {
        let (mut whole, mut share) = (root.whole()?, self.budget.hold());
        let mut number = 0;
        'units: for unit in 0..pieces.count() {
            if self.rt.cancel.load(Relaxed) {
                return Err(ErrorKind::Cancelled.into());
            }
            for bytes in pieces.spans(unit)? {
                let state = root.import(bytes)?;
                as_task(|| root.merge(&mut whole, number, state))?;
                number += 1;
                share.set(root.whole_bytes(&whole), label)?;
                if root.full(&whole) {
                    break 'units;
                }
            }
        }
        as_task(|| root.finish(whole))
    }

    /// Takes all rows of inputs into a root.
    pub fn drive<G: Gather>(&self, inputs: &[Open<'_>], label: &str, root: &G) -> Result<Left> {
        let pass = self.pass(inputs, None, root)?;
        let whole = InOrder::new((root.whole()?, self.budget.hold()), pass.workers);
        self.each_span(&pass, label, root, |number, state, held, stop| {
            whole.put(number, (state, held), stop, |(whole, share), number, (state, held)| {
                root.merge(whole, number, state)?;
                drop(held);
                share.set(root.whole_bytes(whole), label)?;
                if root.full(whole) {
                    stop.store(true, Relaxed);
                }
                Ok::<(), Error>(())
            })
        })?;
        let (whole, share) = whole.into_whole();
        let left = as_task(|| root.finish(whole));
        drop(share);
        left
    }

    /// Spans of inputs, all or those of some units, and the workers that gather them.
    fn pass<'a, G: Gather>(
        &self,
        inputs: &'a [Open<'a>],
        some: Option<&Range<usize>>,
        root: &G,
    ) -> Result<Pass<'a>> {
        let rt = self.rt;
        let spans = spans(inputs, G::BY_PART);
        let (mut of, mut own, mut first_unit) = (0..spans.len(), vec![], 0);
        if let Some(some) = some {
            let all = units(self.pipeline, &spans);
            // a join gives a piece of every part, come what may
            let whole = matches!(self.pipeline.root, Root::Hand { .. });
            own = match all.get(some.clone()) {
                Some(some) if !whole || some.len() == all.len() => some.to_vec(),
                _ => return Err(Error::internal(format!("units {some:?} of {}", all.len()))),
            };
            first_unit = some.start;
            of = own.first().map_or(0, |u| u.spans.start)..own.last().map_or(0, |u| u.spans.end);
        }
        let task_bytes = inputs.iter().map(|i| i.source.read_bytes(&i.columns)).max().unwrap_or(0) as u64;
        if task_bytes > rt.memory_limit {
            return Err(ErrorKind::MemoryLimit {
                op: format!("reading {}", inputs[0].source.label()),
                needed: task_bytes,
                limit: rt.memory_limit,
                chunks: "parts of the file".into(),
            }
            .into());
        }
        // reads go on beside kernels
        let wished = if task_bytes > 0 { rt.threads * 2 } else { rt.threads };
        let room = self.budget.room() / (task_bytes + root.working() as u64).max(1);
        let workers = wished.min(room.clamp(1, 1 << 20) as usize).min(of.len().max(1));
        Ok(Pass { inputs, spans, of, units: own, first_unit, reads: task_bytes > 0, workers })
    }

    /// Takes the rows of every span of a pass into a state, and that to `done`.
    fn each_span<'s, G: Gather>(
        &'s self,
        pass: &Pass<'_>,
        label: &str,
        root: &G,
        done: impl Fn(usize, G::State, Held<'s>, &AtomicBool) -> Result<()> + Sync,
    ) -> Result<()> {
        let (rt, workers) = (self.rt, pass.workers);
        let tasks = pass.spans[pass.of.clone()].iter().map(|s| s.tasks.len()).sum();
        rt.tell(Event::StageStarted { stage: self.number, tasks, workers, label: label.into() });
        run_spans(rt, workers, pass.of.len(), Encoders::default, |number, worker, encoders, stop| {
            let number = pass.of.start + number;
            let span = &pass.spans[number];
            let mut state = root.state();
            let mut held = self.budget.hold();
            for (k, &(input, part)) in span.tasks.iter().enumerate() {
                if rt.cancel.load(Relaxed) {
                    return Err(ErrorKind::Cancelled.into());
                }
                let start = Instant::now();
                let task = if span.is_one { span.first } else { span.first + k };
                let input = &pass.inputs[input];
                let mut read = 0;
                input.source.read(part, &input.columns, &mut |rows| {
                    read += batch_bytes(&rows) as u64;
                    self.push(input.steps, rows, encoders, &mut |rows| root.push(&mut state, task, rows))?;
                    held.set(root.bytes(&state), label)?;
                    Ok(!stop.load(Relaxed) && !rt.cancel.load(Relaxed) && !root.enough(&state))
                })?;
                self.counters.bytes_read.fetch_add(if pass.reads { read } else { 0 }, Relaxed);
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
            root.seal(&mut state)?;
            held.set(root.bytes(&state), label)?;
            done(number, state, held, stop)
        })?;
        if rt.cancel.load(Relaxed) { Err(ErrorKind::Cancelled.into()) } else { Ok(()) }
    }

    /// The input of a chain. Where a step looks for partners in parts on disk, the rows so far are cut into such parts too and
    /// joined, and what comes of that is the input of the other steps.
    fn open<'b>(&'b self, number: usize) -> Result<Open<'b>> {
        let chain = &self.pipeline.chains[number];
        let mut open = match &chain.input {
            Input::Scan { source, columns } => Open::scan(source, columns, &chain.steps),
            Input::Result(n) => Open::rows(&self.results[*n], &chain.steps)?,
            Input::Joined { of, spans } => {
                Open { spans: Some(spans.clone()), ..Open::rows(&self.results[*of], &chain.steps)? }
            }
        };
        let in_parts = |(k, step): (usize, &'b Arc<RowStep>)| match &**step {
            RowStep::Probe(probe) => match &self.results[probe.build] {
                Left::Parts(parts) => Some((k, probe, parts)),
                _ => None,
            },
            _ => None,
        };
        while let Some((k, probe, parts)) = open.steps.iter().enumerate().find_map(in_parts) {
            if let (None, Share::Spans { units, .. }) = (&open.own, self.share) {
                open.own = own_parts(self.pipeline, number, units, &open);
            }
            let rest = &open.steps[k + 1..];
            open.steps = &open.steps[..k];
            open = self.join_parts(open, probe, parts, rest)?;
        }
        Ok(open)
    }

    /// Takes a batch through steps.
    pub fn push(
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
            RowStep::MapBatches(function, schema) => {
                let name = format!("map_batches {}", function.name());
                let rows = guarded_rows(&name, schema, || function.call(rows, schema))?;
                self.push(rest, rows, encoders, end)
            }
            RowStep::Probe(probe) => {
                let mut next = |encoders: &mut Encoders, rows| self.push(rest, rows, encoders, end);
                match &self.results[probe.build] {
                    Left::Table(table) => {
                        let mut encoder = encoders.take(probe.build);
                        let done = table
                            .probe(probe, &rows, &mut encoder, kernels, &mut |rows| next(encoders, rows));
                        encoders.put(probe.build, encoder);
                        done
                    }
                    Left::Zones(zones) => {
                        zones.probe(probe, &rows, kernels, self.budget, &mut |rows| next(encoders, rows))
                    }
                    _ => Err(Error::internal("a probe without a table")),
                }
            }
        }
    }
}

/// The spans of a pass, and which of them are gathered.
struct Pass<'a> {
    inputs: &'a [Open<'a>],
    spans: Vec<Span>,
    of: Range<usize>,
    /// The units that those are, if they are for others, and the number of the first.
    units: Vec<Unit>,
    first_unit: usize,
    /// Whether inputs are read from files.
    reads: bool,
    workers: usize,
}

impl Pass<'_> {
    /// The unit that a span is of.
    fn unit_of(&self, span: usize) -> usize {
        self.first_unit + self.units.partition_point(|u| u.spans.end <= span)
    }
}

/// Encoders of a worker, by the pipeline whose table they look in.
#[derive(Default)]
pub(super) struct Encoders(Vec<(usize, Encoder)>);

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

/// Whether every part of a root's inputs is a span.
pub(super) fn is_by_part(root: &Root) -> bool {
    match root {
        Root::Collect { .. } => Collect::BY_PART,
        Root::Window(_) => Windowed::BY_PART,
        Root::Tail(_) => Tail::BY_PART,
        Root::Write(sink) if sink.in_parts().is_some() => WriteParts::BY_PART,
        Root::Write(_) => Write::BY_PART,
        Root::Exchange { .. } => Exchange::BY_PART,
        Root::Hand { .. } => Hand::BY_PART,
        Root::Sort(_) => Sort::BY_PART,
        Root::Group(plan) if plan.in_order.is_some() => GroupsInOrder::BY_PART,
        Root::Group(_) => GroupFold::BY_PART,
        Root::Build { .. } => Build::BY_PART,
        Root::Runs(_) => Runs::BY_PART,
        Root::Distinct(_) => Distinct::BY_PART,
    }
}
