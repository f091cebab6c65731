//! A frame's plan spread over machines: which passes run elsewhere, and what of each runs here.
//!
//! A pipeline that reads files is a *stage*: machines gather some of its spans each, and the states of spans travel. Whoever reads what the
//! pipeline leaves puts them together in the order of spans, as a local run does, so the bits are the same wherever that is. Groups with keys
//! have a second stage: each machine puts together the groups whose keys' hash is in its range, of all spans. A pipeline that reads only
//! what others left is no stage: it runs where that is read.

use super::budget::Budget;
use super::pipeline::{Open, is_by_part, spans};
use super::{Runtime, Tally, group, run_pipelines};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Summary;
use crate::plan::frame::{Chain, FramePlan, Input, Pipeline, Root};
use arrow::array::RecordBatch;
use std::ops::Range;

/// Takes what a stage makes: for which cut of the next stage, the number of the span or cut that it is of, and the bytes.
pub type Give<'a> = &'a (dyn Fn(usize, usize, Vec<u8>) -> Result<()> + Sync);

/// What came of earlier stages.
pub trait Came: Sync {
    /// Number of pieces of a stage.
    fn count(&self, stage: usize) -> usize;

    /// A piece.
    ///
    /// # Errors
    /// If it is not there.
    fn piece(&self, stage: usize, number: usize) -> Result<Vec<u8>>;
}

/// Pieces of one stage, in order.
pub(super) struct Pieces<'a> {
    pub count: usize,
    pub get: Box<dyn Fn(usize) -> Result<Vec<u8>> + Sync + 'a>,
}

/// How much of a pipeline runs here.
pub(super) enum Share<'a> {
    /// All of it.
    All,
    /// Some spans, handed out; of groups, cut by the parts that each machine of the next stage puts together.
    Spans { spans: Range<usize>, cuts: &'a [Range<usize>], give: Give<'a> },
    /// The end, given what was made of its spans.
    States(Pieces<'a>),
    /// Groups of this cut, put together of all spans and handed out.
    Groups { pieces: Pieces<'a>, cut: usize, give: Give<'a> },
    /// The end, given the groups of all cuts.
    Cuts(Pieces<'a>),
}

impl Share<'_> {
    /// Whether rows are read.
    pub fn reads_inputs(&self) -> bool {
        matches!(self, Share::All | Share::Spans { .. })
    }
}

/// One stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameStage {
    /// Its pipeline.
    pub pipeline: usize,
    /// Whether it puts together the groups that the stage before folded, rather than reading files.
    pub merges: bool,
    /// Spans of rows, or parts of groups: what is shared out.
    pub units: usize,
}

/// A plan and its stages.
pub struct Spread {
    /// The plan.
    pub plan: FramePlan,
    /// The stages, in the order of pipelines.
    pub stages: Vec<FrameStage>,
    /// By stage, and last of the end: the stages whose pieces it needs.
    inputs: Vec<Vec<usize>>,
}

impl std::fmt::Debug for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.plan, self.stages)
    }
}

impl Spread {
    /// The stages of a plan.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a pass that cannot be shared out.
    pub fn new(plan: FramePlan) -> Result<Spread> {
        let mut stages = vec![];
        for (pipeline, p) in plan.pipelines.iter().enumerate() {
            let Some(units) = span_count(p)? else { continue };
            stages.push(FrameStage { pipeline, merges: false, units });
            if matches!(&p.root, Root::Group(g) if g.keys > 0) {
                stages.push(FrameStage { pipeline, merges: true, units: group::PARTS });
            }
        }
        let mut spread = Spread { plan, stages, inputs: vec![] };
        let all = (0..spread.stages.len()).map(Some).chain([None]);
        spread.inputs = all.map(|stage| spread.inputs_of(stage)).collect();
        Ok(spread)
    }

    /// What every process must find the same: what is read, in which parts, and what is done with it. Where it goes is the client's alone.
    pub fn words(&self) -> String {
        let mut words = format!("{:?}", self.stages);
        for p in &self.plan.pipelines {
            for chain in &p.chains {
                words += &match &chain.input {
                    Input::Scan { source, columns } => {
                        let bytes = source.read_bytes(columns);
                        format!("{} {columns:?} {} {bytes}", source.label(), source.parts())
                    }
                    Input::Result(of) => format!("result {of}"),
                };
                chain.steps.iter().for_each(|step| words += &format!("; {step}"));
            }
            let root = if let Root::Write(_) = p.root { "write".into() } else { p.root.to_string() };
            words += &format!("{root} {:?}\n", p.schema.fields());
        }
        words
    }

    /// What a stage does, in a few words.
    pub fn label(&self, stage: usize) -> String {
        let FrameStage { pipeline, merges, .. } = self.stages[stage];
        let root = &self.plan.pipelines[pipeline].root;
        if merges { format!("{root}, together") } else { root.to_string() }
    }

    /// Whether a stage hands out a piece for every cut of the next.
    pub fn is_cut(&self, stage: usize) -> bool {
        self.stages.get(stage + 1).is_some_and(|next| next.merges)
    }

    /// The stage whose pieces are what a pipeline leaves.
    fn stage_of(&self, pipeline: usize) -> Option<usize> {
        self.stages.iter().rposition(|s| s.pipeline == pipeline)
    }

    /// The pipelines of whose results some is read, directly or by others that run there too; not below those that are stages.
    fn needed(&self, by: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut needed: Vec<usize> = vec![];
        for k in (0..self.plan.pipelines.len()).rev() {
            let read = |&n: &usize| self.stage_of(n).is_none() && self.plan.pipelines[n].reads(k);
            if by(k) || needed.iter().any(read) {
                needed.push(k);
            }
        }
        needed.reverse();
        needed
    }

    fn needed_by(&self, stage: Option<usize>) -> Vec<usize> {
        match stage.map(|s| self.stages[s]) {
            Some(FrameStage { merges: true, .. }) => vec![],
            Some(FrameStage { pipeline, .. }) => {
                self.needed(|k| k < pipeline && self.plan.pipelines[pipeline].reads(k))
            }
            None => self.needed(|k| k + 1 == self.plan.pipelines.len()),
        }
    }

    /// The stages of which a stage needs the pieces, or the end of the run does.
    pub fn inputs(&self, stage: Option<usize>) -> &[usize] {
        &self.inputs[stage.unwrap_or(self.stages.len())]
    }

    fn inputs_of(&self, stage: Option<usize>) -> Vec<usize> {
        match stage {
            Some(s) if self.stages[s].merges => vec![s - 1],
            _ => self.needed_by(stage).into_iter().filter_map(|k| self.stage_of(k)).collect(),
        }
    }

    /// How a pipeline runs whose pieces have come, or that reads what others left.
    fn given<'a>(&'a self, pipeline: usize, came: &'a dyn Came) -> Share<'a> {
        let Some(stage) = self.stage_of(pipeline) else { return Share::All };
        let pieces = pieces(stage, came);
        if self.stages[stage].merges { Share::Cuts(pieces) } else { Share::States(pieces) }
    }

    /// Runs some units of a stage; what it makes is handed out. `cut` is the number of the machine's range of units among all, `cuts` are the
    /// ranges of the next stage's units.
    ///
    /// # Errors
    /// The first error that a span met.
    pub fn run_stage(
        &self,
        stage: usize,
        (cut, units): (usize, Range<usize>),
        cuts: &[Range<usize>],
        came: &dyn Came,
        give: Give<'_>,
        rt: &Runtime<'_>,
    ) -> Result<Summary> {
        let FrameStage { pipeline, merges, .. } = self.stages[stage];
        let needed = self.needed_by(Some(stage));
        let share = |k: usize| match k {
            k if k == pipeline && merges => {
                Some(Share::Groups { pieces: pieces(stage - 1, came), cut, give })
            }
            k if k == pipeline => Some(Share::Spans { spans: units.clone(), cuts, give }),
            k if needed.contains(&k) => Some(self.given(k, came)),
            _ => None,
        };
        self.run(&share, rt).map(|(_, summary)| summary)
    }

    /// Ends the run where its result is wanted: its rows, given what came of the stages.
    ///
    /// # Errors
    /// The first error in the order of pipelines and spans.
    pub fn run_end(&self, came: &dyn Came, rt: &Runtime<'_>) -> Result<(Vec<RecordBatch>, Summary)> {
        let needed = self.needed_by(None);
        let (rows, summary) = self.run(&|k| needed.contains(&k).then(|| self.given(k, came)), rt)?;
        rows.map(|rows| (rows, summary)).ok_or_else(|| Error::internal("a plan without rows at its end"))
    }

    fn run<'a>(
        &'a self,
        share: &dyn Fn(usize) -> Option<Share<'a>>,
        rt: &Runtime<'_>,
    ) -> Result<(Option<Vec<RecordBatch>>, Summary)> {
        let tally = Tally::start(rt);
        let budget = Budget::new(rt.memory_limit, rt.spill_above);
        let rows = run_pipelines(&self.plan, rt, &tally.counters, &budget, &mut vec![], share)?;
        Ok((rows, tally.summary(rt, true)))
    }
}

fn pieces(stage: usize, came: &dyn Came) -> Pieces<'_> {
    Pieces { count: came.count(stage), get: Box::new(move |number| came.piece(stage, number)) }
}

/// The number of spans of a pipeline that reads files; none if it does not.
fn span_count(p: &Pipeline) -> Result<Option<usize>> {
    let open = |c: &Chain| match &c.input {
        Input::Scan { source, columns } => {
            Some(Open { source: source.clone(), columns: columns.to_vec(), steps: &[], is_scan: true })
        }
        Input::Result(_) => None,
    };
    let inputs: Vec<Open<'_>> = p.chains.iter().filter_map(open).collect();
    if inputs.is_empty() {
        return Ok(None);
    }
    let refused = |what: String| Err(ErrorKind::Unsupported { what, hint: HINT.into() }.into());
    if inputs.len() < p.chains.len() {
        return refused("on a cluster: rows of files after those of another pass (concat)".into());
    }
    match &p.root {
        Root::Runs(runs) => refused(format!("on a cluster: {}", runs.name)),
        Root::Group(g) if g.in_order.is_some() => refused("on a cluster: groups of rows in order".into()),
        root => Ok(Some(spans(&inputs, is_by_part(root)).len())),
    }
}

/// What to do instead.
const HINT: &str = "collect it on a session of this machine";
