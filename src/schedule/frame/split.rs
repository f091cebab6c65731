//! Joins whose kept side may be too large for every machine, as passes that exchange the rows of both sides.
//!
//! ```text
//! left rows -> .. -> look up in B -> ..      becomes      left rows -> .. -> exchange X      right rows -> exchange B
//! right rows -> build B                                   X of a range -> look up in (B of the range -> build) -> hand J
//!                                                         J in the order of the left rows -> ..
//! ```
//!
//! What decides is known before the run and is the same on every machine: the most rows that there can be, and the width of their columns.

use super::spans::{Open, spans};
use crate::error::{Error, Result};
use crate::expr::frame::{JoinKind, is_text};
use crate::plan::frame::{Chain, FramePlan, Input, Pipeline, Probe, Root, RowStep};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::ops::Range;
use std::sync::Arc;

/// The plan with exchanges where a kept side may take more than `room` bytes.
///
/// # Errors
/// Only of the library itself.
pub(super) fn with_exchanges(plan: FramePlan, room: usize) -> Result<FramePlan> {
    let exchanged = exchanged(&plan, room);
    if !exchanged.contains(&true) {
        return Ok(plan);
    }
    let FramePlan { pipelines, schema } = plan;
    let mut out = Split { all: vec![], at: vec![] };
    for (n, pipeline) in pipelines.into_iter().enumerate() {
        out.add(pipeline, exchanged[n], &exchanged)?;
    }
    Ok(FramePlan { pipelines: out.all, schema })
}

/// The rows that are looked up as a pass would read them, and where its spans begin; none if they are not those of a file.
fn groups_of(chain: &Chain) -> Option<Arc<[Range<usize>]>> {
    match &chain.input {
        Input::Scan { source, columns } => {
            let open = Open::scan(source, columns, &[]);
            Some(spans(&[open], false).iter().map(|s| s.parts()).collect())
        }
        Input::Joined { spans, .. } => Some(spans.clone()),
        Input::Result(_) => None,
    }
}

fn probes(chain: &Chain) -> impl Iterator<Item = &Probe> {
    chain.steps.iter().filter_map(|s| if let RowStep::Probe(p) = &**s { Some(p) } else { None })
}

/// By pipeline: whether it keeps a side that is exchanged.
fn exchanged(plan: &FramePlan, room: usize) -> Vec<bool> {
    let mut out = vec![false; plan.pipelines.len()];
    let reads_files = |p: &Pipeline| p.chains.iter().all(|c| matches!(c.input, Input::Scan { .. }));
    for pipeline in plan.pipelines.iter().filter(|p| reads_files(p)) {
        for probe in pipeline.chains.iter().flat_map(probes).filter(|p| p.kind != JoinKind::Cross) {
            out[probe.build] = reads_files(&plan.pipelines[probe.build]) && !fits(plan, probe.build, room);
        }
    }
    out
}

/// Whether what a pipeline leaves surely fits into so many bytes, as far as its columns tell: the width of texts is a guess.
pub(super) fn fits(plan: &FramePlan, pipeline: usize, room: usize) -> bool {
    let width = row_bytes(&plan.pipelines[pipeline].schema);
    most_rows(plan, pipeline).is_some_and(|rows| rows.saturating_mul(width) <= room / 2)
}

/// The most rows that a pipeline can leave, if that is known.
fn most_rows(plan: &FramePlan, pipeline: usize) -> Option<usize> {
    let Pipeline { chains, root, .. } = &plan.pipelines[pipeline];
    let of = |chain: &Chain| {
        let rows = match &chain.input {
            Input::Scan { source, columns } => {
                // of text: every value takes a byte
                let bytes = || source.read_bytes(columns).saturating_mul(source.parts());
                source.rows().unwrap_or_else(|| bytes() / source.schema().fields().len().max(1))
            }
            Input::Result(n) | Input::Joined { of: n, .. } => most_rows(plan, *n)?,
        };
        let adds = |s: &Arc<RowStep>| match &**s {
            RowStep::Filter(_) | RowStep::DropNulls(_) | RowStep::Project(..) => false,
            RowStep::Probe(p) => !matches!(p.kind, JoinKind::Semi | JoinKind::Anti),
            RowStep::MapBatches(..) => true,
        };
        (!chain.steps.iter().any(adds)).then_some(rows)
    };
    let rows = chains.iter().try_fold(0, |all: usize, chain| Some(all.saturating_add(of(chain)?)));
    match root {
        Root::Group(plan) if plan.keys == 0 => Some(1),
        Root::Collect { len, .. } | Root::Tail(len) => Some(rows.map_or(*len, |n| n.min(*len))),
        Root::Sort(plan) => Some(rows.map_or(plan.keep, |n| n.min(plan.keep))),
        Root::Runs(_) | Root::Write(_) => None,
        _ => rows,
    }
}

/// About the bytes of a row, and of its place in a table.
fn row_bytes(schema: &Schema) -> usize {
    let width = |f: &Arc<Field>| match f.data_type() {
        DataType::Dictionary(..) => 4,
        t if is_text(t) => 32,
        t => t.primitive_width().unwrap_or(32),
    };
    40 + schema.fields().iter().map(width).sum::<usize>()
}

/// The new plan so far.
struct Split {
    all: Vec<Pipeline>,
    /// By pipeline of the old plan: its place here, or that of what takes its place.
    at: Vec<usize>,
}

impl Split {
    fn push(&mut self, chains: Vec<Chain>, root: Root, schema: &SchemaRef) -> usize {
        self.all.push(Pipeline { chains, root, schema: schema.clone() });
        self.all.len() - 1
    }

    /// The next pipeline of the old plan.
    fn add(&mut self, pipeline: Pipeline, is_exchanged: bool, exchanged: &[bool]) -> Result<()> {
        let Pipeline { chains, root, schema } = pipeline;
        let chains = chains.into_iter().map(|c| self.chain(c, exchanged)).collect::<Result<Vec<_>>>()?;
        let at = match root {
            Root::Build { keys, .. } if is_exchanged => {
                let root = Root::Exchange { keys: keys.clone(), numbered: false };
                let rows = self.push(chains, root, &schema);
                let chain = Chain { input: Input::Result(rows), steps: vec![] };
                self.push(vec![chain], Root::Build { keys, in_order: false }, &schema)
            }
            root => self.push(chains, root, &schema),
        };
        self.at.push(at);
        Ok(())
    }

    /// A chain that reads what exchanges left where it looked rows up in a side that is exchanged.
    fn chain(&mut self, chain: Chain, exchanged: &[bool]) -> Result<Chain> {
        let input = match chain.input {
            Input::Result(n) => Input::Result(self.at[n]),
            input => input,
        };
        let mut out = Chain { input, steps: vec![] };
        for step in chain.steps {
            let RowStep::Probe(probe) = &*step else {
                out.steps.push(step);
                continue;
            };
            let moved = Probe { build: self.at[probe.build], ..probe.clone() };
            if exchanged[probe.build] {
                out = self.exchange(out, moved)?;
            } else {
                out.steps.push(Arc::new(RowStep::Probe(moved)));
            }
        }
        Ok(out)
    }

    /// The rows of a join of a chain's rows by exchange.
    fn exchange(&mut self, left: Chain, probe: Probe) -> Result<Chain> {
        let spans = groups_of(&left).ok_or_else(|| Error::internal("an exchange of a result"))?;
        let fields: Vec<Field> = probe.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        let at = probe.seen();
        let number = Field::new("\0number", DataType::UInt64, false);
        let with = |fields: &[Field], more: &[Field]| {
            Arc::new(Schema::new([fields, std::slice::from_ref(&number), more].concat()))
        };
        let rows = with(&fields[..at], &[]);
        let root = Root::Exchange { keys: probe.keys.clone(), numbered: true };
        let rows = self.push(vec![left], root, &rows);
        let schema = with(&fields[..at], &fields[at..]);
        let probe = Probe { hidden: 1, schema: schema.clone(), ..probe };
        let steps = vec![Arc::new(RowStep::Probe(probe))];
        let joined = self.push(vec![Chain { input: Input::Result(rows), steps }], Root::Hand { at }, &schema);
        Ok(Chain { input: Input::Joined { of: joined, spans }, steps: vec![] })
    }
}
