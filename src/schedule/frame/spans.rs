//! What a pipeline reads, cut into spans, and into what is shared out between machines.

use super::pipeline::{Left, is_by_part};
use super::share::{SHARES, is_by_share, shares_of, units_of_chain};
use crate::block::BatchSource;
use crate::error::{Error, Result};
use crate::plan::frame::{Pipeline, Root, RowStep};
use std::ops::Range;
use std::sync::Arc;

/// Bytes and rows of a span that is read from files: how a file is cut into spans shapes the folds, so it depends on the file alone.
const SPAN: usize = 32 << 20;
const SPAN_ROWS: usize = 1 << 20;

/// An input as it is read, and the steps that its rows take.
pub(super) struct Open<'a> {
    pub source: Arc<dyn BatchSource>,
    pub columns: Vec<usize>,
    pub steps: &'a [Arc<RowStep>],
    /// Whether it is no result of an earlier pass, whose parts are large enough.
    pub is_scan: bool,
    /// The parts that were a span each before a join, if it is the rows of one.
    pub spans: Option<Arc<[Range<usize>]>>,
    /// The numbers of the parts that are for this machine, if a join cut them out; spans of others are there without their rows.
    pub own: Option<Range<usize>>,
    /// What stands for the number of each span's parts, and how many there are in all, if the spans of several machines make a whole.
    pub numbers: Option<Arc<[usize]>>,
}

impl<'a> Open<'a> {
    /// Columns of the rows of an earlier pass.
    pub fn new(source: Arc<dyn BatchSource>, columns: Vec<usize>, steps: &'a [Arc<RowStep>]) -> Open<'a> {
        Open { source, columns, steps, is_scan: false, spans: None, own: None, numbers: None }
    }

    /// Columns of a source.
    pub fn scan(source: &Arc<dyn BatchSource>, columns: &[usize], steps: &'a [Arc<RowStep>]) -> Open<'a> {
        Open { is_scan: true, ..Open::new(source.clone(), columns.to_vec(), steps) }
    }

    /// All columns of what an earlier pass left.
    pub fn rows(left: &Left, steps: &'a [Arc<RowStep>]) -> Result<Open<'a>> {
        let source: Arc<dyn BatchSource> = match left {
            Left::Memory(rows) => rows.clone(),
            Left::Rows(rows, _) => rows.clone(),
            _ => return Err(Error::internal("a result that is no rows, or gone")),
        };
        let columns = (0..source.schema().fields().len()).collect();
        Ok(Open::new(source, columns, steps))
    }

    /// How many parts there are, those of other machines counted.
    pub fn parts(&self) -> usize {
        self.numbers.as_ref().and_then(|n| n.last().copied()).unwrap_or_else(|| self.source.parts())
    }
}

/// Parts that are gathered into one state.
pub(super) struct Span {
    /// Number of its input.
    input: usize,
    /// Number of the first.
    pub first: usize,
    /// Whether that stands for all of them.
    pub is_one: bool,
    /// Inputs and parts.
    pub tasks: Vec<(usize, usize)>,
}

impl Span {
    /// The numbers of its parts.
    pub fn parts(&self) -> Range<usize> {
        self.first..self.first + self.tasks.len()
    }
}

/// The parts of all inputs in order, in spans of about [`SPAN`] bytes or [`SPAN_ROWS`] rows; what is in memory has large parts already.
pub(super) fn spans(inputs: &[Open<'_>], by_part: bool) -> Vec<Span> {
    let mut spans: Vec<Span> = vec![];
    let mut before = 0;
    for (k, input) in inputs.iter().enumerate() {
        let is_one = input.numbers.is_some();
        for (mut tasks, mut number) in tasks_of(k, input, by_part) {
            if let Some(own) = &input.own {
                tasks.retain(|(_, part)| own.contains(if is_one { &number } else { part }));
                number = tasks.first().filter(|_| !is_one).map_or(number, |(_, part)| *part);
            }
            spans.push(Span { input: k, first: before + number, is_one, tasks });
        }
        before += input.parts();
    }
    spans
}

/// The inputs and parts of each span of an input, and the number of the first.
fn tasks_of(k: usize, input: &Open<'_>, by_part: bool) -> Vec<(Vec<(usize, usize)>, usize)> {
    let tasks = |parts: &Range<usize>| parts.clone().map(|p| (k, p)).collect();
    match (&input.spans, &input.numbers) {
        (Some(of), Some(numbers)) => return of.iter().map(tasks).zip(numbers.iter().copied()).collect(),
        (Some(of), None) if !by_part => return of.iter().map(|parts| (tasks(parts), parts.start)).collect(),
        _ => {}
    }
    let bytes = input.source.read_bytes(&input.columns);
    let count = input.source.parts();
    let rows = input.source.rows().unwrap_or(0) / count.max(1);
    let by_rows = SPAN_ROWS.checked_div(rows).unwrap_or(usize::MAX);
    let most = if by_part || !input.is_scan { 1 } else { 1 << 10 };
    let each = SPAN.checked_div(bytes).unwrap_or(1).min(by_rows).clamp(1, most);
    (0..count).step_by(each).map(|first| (tasks(&(first..count.min(first + each))), first)).collect()
}

/// What is shared out between machines.
#[derive(Clone)]
pub(super) struct Unit {
    pub spans: Range<usize>,
    /// Of how many spans it is a share; none if it is a span.
    pub of: Option<usize>,
}

/// The units of some spans.
pub(super) fn units(pipeline: &Pipeline, spans: &[Span]) -> Vec<Unit> {
    let mut units = vec![];
    for (input, chain) in pipeline.chains.iter().enumerate() {
        let first = spans.partition_point(|s| s.input < input);
        let count = spans.partition_point(|s| s.input <= input) - first;
        if is_by_share(pipeline, chain) {
            let unit = |share| {
                let of = shares_of(&(share..share + 1), count);
                Unit { spans: first + of.start..first + of.end, of: Some(count) }
            };
            units.extend((0..SHARES).map(unit));
        } else {
            units.extend((first..first + count).map(|span| Unit { spans: span..span + 1, of: None }));
        }
    }
    units
}

/// The numbers of the parts of a chain that are for this machine, if it has some of the units only.
pub(super) fn own_parts(
    pipeline: &Pipeline,
    number: usize,
    units: &Range<usize>,
    open: &Open<'_>,
) -> Option<Range<usize>> {
    let Pipeline { chains, root, .. } = pipeline;
    // what a join makes of its ranges of hashes is of all parts
    if let Root::Hand { .. } = root {
        return None;
    }
    let by_part = is_by_part(root);
    let first: usize = chains[..number].iter().map(|c| units_of_chain(c, by_part)).sum();
    let count = units_of_chain(&chains[number], by_part);
    let of = |unit: usize| unit.clamp(first, first + count) - first;
    let spans = spans(std::slice::from_ref(open), by_part);
    let own = of(units.start)..of(units.end);
    let own = if is_by_share(pipeline, &chains[number]) { shares_of(&own, spans.len()) } else { own };
    let part = |span: usize| spans.get(span).map_or(open.parts(), |span| span.first);
    Some(part(own.start)..part(own.end))
}
