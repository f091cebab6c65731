//! A frame's plan spread over machines: which passes run elsewhere, and what of each runs here.
//!
//! A pipeline that reads files is a *stage*: machines gather some of its spans each, and the states of spans travel. Whoever reads what the
//! pipeline leaves puts them together in the order of spans, as a local run does, so the bits are the same wherever that is. Groups with keys
//! have a second stage: each machine puts together the groups whose keys' hash is in its range, of all spans. Joins whose kept side may be
//! too large for every machine are stages of their own ([`super::split`]). A pipeline that reads only what others left is no stage: it runs
//! where that is read, once for all units of a stage that a machine has; but for functions of partitions of rows that were sorted by
//! ranges, and files of such rows, which are made where each range was merged.
//!
//! What is shared out of a stage are *units*: a span of files each, or a share of the spans of what an earlier pass left, which all machines
//! have and whose number is known only when it is there.

use super::budget::Budget;
use super::exchange::{self, Exchanged, Joined};
use super::pipeline::{Left, is_by_part};
use super::ranges::{self, Ranges};
use super::spans::{Open, spans};
use super::split::{fits, with_exchanges};
use super::travel::{bad, bundle, unbundle};
use super::{Runtime, Tally, group, run_pipelines};
use crate::block::BatchSource;
use crate::error::{Error, Result};
use crate::event::Summary;
use crate::plan::frame::{Chain, FramePlan, Input, Pipeline, Root};
use arrow::array::RecordBatch;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// Takes what a stage makes: for which cut of the next stage, the number of the span or cut that it is of, and the bytes.
pub type Give<'a> = &'a (dyn Fn(usize, usize, Vec<u8>) -> Result<()> + Sync);

/// What came of earlier stages.
pub trait Came: Send + Sync {
    /// For how many shards of the next stage each unit of a stage made a piece, or how many shards made one of each unit.
    fn roots(&self, stage: usize) -> usize;

    /// Number of pieces of each of those.
    fn count(&self, stage: usize) -> usize;

    /// Bytes of a piece; 0 if it is not here.
    fn len(&self, stage: usize, root: usize, number: usize) -> usize;

    /// A piece.
    ///
    /// # Errors
    /// If it is not here.
    fn piece(&self, stage: usize, root: usize, number: usize) -> Result<Vec<u8>>;
}

/// Pieces of one stage, in order.
pub(super) struct Pieces<'a> {
    came: &'a Arc<dyn Came>,
    stage: usize,
    root: usize,
    /// The units of which each is a share of spans, in runs; and of how many spans, once that is known.
    shares: Vec<(Range<usize>, OnceLock<usize>)>,
}

impl Pieces<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.came.count(self.stage)
    }

    /// A piece as it came.
    pub fn get(&self, number: usize) -> Result<Vec<u8>> {
        self.came.piece(self.stage, self.root, number)
    }

    /// What was made of the spans of a unit, in their order.
    pub fn spans(&self, unit: usize) -> Result<Vec<Vec<u8>>> {
        let bytes = self.get(unit)?;
        let Some((units, known)) = self.shares.iter().find(|(units, _)| units.contains(&unit)) else {
            return Ok(vec![bytes]);
        };
        let mut states = unbundle(&bytes)?;
        let total = states.pop().and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let total = total.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| bad("a share of nothing"))?;
        // machines that found other rows would give some twice, or not at all
        let share = unit - units.start;
        let own = shares_of(&(share..share + 1), total).len();
        if *known.get_or_init(|| total) != total || own != states.len() {
            return Err(bad(format!("{} spans of {total} in share {unit}", states.len())));
        }
        Ok(states)
    }
}

/// What a unit that is a share of spans made of them, of so many in all.
pub(super) fn bundled_share(mut states: Vec<Vec<u8>>, total: usize) -> Vec<u8> {
    states.push((total as u64).to_le_bytes().to_vec());
    bundle(&states)
}

/// The spans, of so many, in some shares of them.
pub(super) fn shares_of(shares: &Range<usize>, spans: usize) -> Range<usize> {
    ranges::parts_of(shares, spans)
}

/// Into how many shares the spans are cut of what an earlier pass left: those of a sort by ranges are its ranges.
pub(super) const SHARES: usize = ranges::RANGES;

/// Whether a chain's spans are shared out by [`SHARES`] rather than one by one.
pub(super) fn is_by_share(pipeline: &Pipeline, chain: &Chain) -> bool {
    matches!(chain.input, Input::Result(_)) && !matches!(pipeline.root, Root::Hand { .. })
}

/// What passes left that a stage reads, put together once for all of its units on this machine.
#[derive(Default)]
pub struct Together(Mutex<Vec<(usize, Left)>>);

impl Together {
    /// Gives it up: it is put together again when it is needed.
    pub fn clear(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, Vec<(usize, Left)>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn get(&self, pipeline: usize) -> Option<Left> {
        self.known().iter().find(|(n, _)| *n == pipeline).map(|(_, left)| left.clone())
    }
}

impl std::fmt::Debug for Together {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Together({} results)", self.known().len())
    }
}

/// How much of a pipeline runs here.
pub(super) enum Share<'a> {
    /// All of it.
    All,
    /// Some units, handed out in so many pieces each; of groups, cut by the parts that each machine of the next stage puts together.
    Spans { units: Range<usize>, roots: usize, cuts: &'a [Range<usize>], give: Give<'a> },
    /// The end, given what was made of its spans.
    States(Pieces<'a>),
    /// Groups of this cut, put together of all spans and handed out.
    Groups { pieces: Pieces<'a>, cut: usize, give: Give<'a> },
    /// The end, given the groups of all cuts.
    Cuts(Pieces<'a>),
    /// The runs of some units of a sort, cut by ranges and handed out.
    Ranges {
        heads: Pieces<'a>,
        runs: Pieces<'a>,
        units: Range<usize>,
        cuts: &'a [Range<usize>],
        give: Give<'a>,
    },
    /// Ranges of a sort, merged of all runs and handed out.
    Merge { pieces: Pieces<'a>, ranges: Range<usize>, give: Give<'a> },
    /// Nothing: this is what it left.
    Ready(Left),
}

impl Share<'_> {
    /// Whether rows are read.
    pub fn reads_inputs(&self) -> bool {
        matches!(self, Share::All | Share::Spans { .. })
    }
}

/// What a stage does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Takes spans of rows into a root.
    Spans,
    /// Puts together the groups that the stage before folded.
    Groups,
    /// Joins the rows that earlier stages exchanged.
    Join,
    /// Cuts the runs of the sort that the stage before began, by ranges.
    Ranges,
    /// Merges ranges of them.
    Merge,
}

/// One stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameStage {
    /// Its pipeline.
    pub pipeline: usize,
    /// What it does.
    pub role: Role,
    /// What is shared out: spans of rows, or parts of hashes.
    pub units: usize,
}

/// Who reads the pieces that a stage makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// Every shard of the stage that reads them, or the end: all.
    All,
    /// Each unit makes one for every shard of the stage that reads them.
    Cut,
    /// Each unit makes what all of the shards that read them need, and what one unit of theirs does.
    Runs,
    /// Each unit makes what the unit of the same number of the stage that reads them needs.
    Same,
    /// Every shard makes one of each part of the left rows of a join, for this unit of the stage that reads them.
    Units(Arc<[usize]>),
}

/// A plan and its stages.
pub struct Spread {
    /// The plan.
    pub plan: FramePlan,
    /// The stages, in the order of pipelines.
    pub stages: Vec<FrameStage>,
    /// By stage, and last of the end: the stages whose pieces it needs.
    inputs: Vec<Vec<usize>>,
    /// By stage: who reads what it makes.
    ways: Vec<Way>,
}

impl std::fmt::Debug for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.plan, self.stages)
    }
}

impl Spread {
    /// The stages of a plan whose joins may keep `room` bytes of rows on every machine.
    ///
    /// # Errors
    /// Only of the library itself.
    pub fn new(plan: FramePlan, room: u64) -> Result<Spread> {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let plan = with_exchanges(plan, room)?;
        let mut stages = vec![];
        for (pipeline, p) in plan.pipelines.iter().enumerate() {
            if let Root::Hand { .. } = p.root {
                stages.push(FrameStage { pipeline, role: Role::Join, units: exchange::PARTS });
                continue;
            }
            let is_merged = |k: usize| {
                stages.iter().rfind(|s: &&FrameStage| s.pipeline == k).is_some_and(|s| s.role == Role::Merge)
            };
            let Some(units) = unit_count(p, is_merged) else { continue };
            stages.push(FrameStage { pipeline, role: Role::Spans, units });
            if matches!(&p.root, Root::Group(g) if g.keys > 0) {
                stages.push(FrameStage { pipeline, role: Role::Groups, units: group::PARTS });
            }
            let is_sort = matches!(&p.root, Root::Sort(sort) if sort.keep == usize::MAX);
            if is_sort && !fits(&plan, pipeline, room) {
                stages.push(FrameStage { pipeline, role: Role::Ranges, units });
                stages.push(FrameStage { pipeline, role: Role::Merge, units: ranges::RANGES });
            }
        }
        let mut spread = Spread { plan, stages, inputs: vec![], ways: vec![] };
        let all = (0..spread.stages.len()).map(Some).chain([None]);
        spread.inputs = all.map(|stage| spread.inputs_of(stage)).collect();
        spread.ways = (0..spread.stages.len()).map(|stage| spread.way_of(stage)).collect();
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
                    Input::Joined { of, spans } => format!("joined {of} {spans:?}"),
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
        let FrameStage { pipeline, role, .. } = self.stages[stage];
        let root = &self.plan.pipelines[pipeline].root;
        match role {
            Role::Spans | Role::Join => root.to_string(),
            Role::Groups => format!("{root}, together"),
            Role::Ranges => format!("{root}, cut by ranges"),
            Role::Merge => format!("{root}, merged"),
        }
    }

    /// Who reads the pieces of a stage.
    pub fn way(&self, stage: usize) -> &Way {
        &self.ways[stage]
    }

    /// The stage that reads what a stage makes, or the first of those that do, which are cut alike; none if the end does.
    pub fn reader(&self, stage: usize) -> Option<usize> {
        (stage + 1..self.stages.len()).find(|&s| self.inputs[s].contains(&stage))
    }

    fn way_of(&self, stage: usize) -> Way {
        let FrameStage { pipeline, role, .. } = self.stages[stage];
        let next = self.stages.get(stage + 1).filter(|next| next.pipeline == pipeline).map(|next| next.role);
        let is_exchange = matches!(self.plan.pipelines[pipeline].root, Root::Exchange { .. });
        match (role, next, self.reader(stage)) {
            (Role::Join, _, Some(reader)) => {
                Way::Units(self.units_of(pipeline, &self.plan.pipelines[self.stages[reader].pipeline]))
            }
            (Role::Spans, Some(Role::Ranges), _) => Way::Runs,
            (Role::Spans, Some(Role::Groups), _) | (Role::Ranges, ..) => Way::Cut,
            (Role::Merge, _, Some(reader)) if self.reads_alone(reader, stage) => Way::Same,
            _ if is_exchange => Way::Cut,
            _ => Way::All,
        }
    }

    /// Whether a stage is the only one that needs what an earlier one made, and goes over it once.
    fn reads_alone(&self, reader: usize, stage: usize) -> bool {
        let (of, by) = (self.stages[stage].pipeline, &self.plan.pipelines[self.stages[reader].pipeline]);
        let direct = matches!(by.chains.as_slice(), [chain] if chain.input.pipeline() == Some(of));
        let others = (0..self.plan.pipelines.len())
            .filter(|&k| k != self.stages[reader].pipeline && self.plan.pipelines[k].reads(of));
        direct && others.count() == 0 && !by.looks_up(of)
    }

    /// The unit of a pass that reads what a join made of each part of the left rows.
    fn units_of(&self, joined: usize, reader: &Pipeline) -> Arc<[usize]> {
        let by_part = is_by_part(&reader.root);
        let mut first = 0;
        for chain in &reader.chains {
            match &chain.input {
                Input::Joined { of, spans } if *of == joined => {
                    let parts =
                        spans.iter().enumerate().flat_map(|(s, parts)| parts.clone().map(move |p| (s, p)));
                    return parts.map(|(span, part)| first + if by_part { part } else { span }).collect();
                }
                _ => first += units_of_chain(chain, by_part),
            }
        }
        Arc::new([])
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
            Some(FrameStage { role: Role::Groups | Role::Ranges | Role::Merge, .. }) => vec![],
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
            Some(s) if !matches!(self.stages[s].role, Role::Spans | Role::Join) => vec![s - 1],
            _ => self.needed_by(stage).into_iter().filter_map(|k| self.stage_of(k)).collect(),
        }
    }

    /// How a pipeline runs whose pieces have come, or that reads what others left; `cut` is the number of the machine's range of units.
    fn given<'a>(&'a self, pipeline: usize, cut: usize, came: &'a Arc<dyn Came>) -> Result<Share<'a>> {
        let Some(stage) = self.stage_of(pipeline) else { return Ok(Share::All) };
        let Pipeline { root, schema, .. } = &self.plan.pipelines[pipeline];
        let rows: Arc<dyn BatchSource> = match root {
            Root::Exchange { .. } => Arc::new(Exchanged::new(schema, came, stage, cut)),
            Root::Hand { at } => Arc::new(Joined::new(schema, *at, came, stage)?),
            _ if self.stages[stage].role == Role::Groups => {
                return Ok(Share::Cuts(self.pieces(stage, 0, came)));
            }
            _ if self.stages[stage].role == Role::Merge => Arc::new(Ranges::new(schema, came, stage)?),
            _ => return Ok(Share::States(self.pieces(stage, 0, came))),
        };
        Ok(Share::Ready(Left::Rows(rows, 0)))
    }

    /// Runs some units of a stage; what it makes is handed out. `cut` is the number of the machine's range of units among all, `cuts` are the
    /// ranges of the units of the stage that reads it.
    ///
    /// # Errors
    /// The first error that a span met.
    pub fn run_stage(
        &self,
        stage: usize,
        (cut, units): (usize, Range<usize>),
        cuts: &[Range<usize>],
        (came, together): (&Arc<dyn Came>, &Together),
        give: Give<'_>,
        rt: &Runtime<'_>,
    ) -> Result<Summary> {
        let FrameStage { pipeline, role, .. } = self.stages[stage];
        let needed = self.needed_by(Some(stage));
        let reads = |k: usize| self.plan.pipelines[pipeline].reads(k);
        // what a join reads, and the rows that joins made, are of these units only
        let lasts = |k: usize| {
            let by_units = matches!(self.plan.pipelines[k].root, Root::Exchange { .. } | Root::Hand { .. })
                || self.stage_of(k).is_some_and(|made| self.ways[made] == Way::Same);
            role == Role::Spans && reads(k) && !by_units
        };
        let known = !together.known().is_empty();
        let own = |_: usize, number: usize, bytes: Vec<u8>| give(cut, number, bytes);
        let share = |k: usize| {
            Ok(match role {
                Role::Groups if k == pipeline => {
                    Some(Share::Groups { pieces: self.pieces(stage - 1, cut, came), cut, give })
                }
                Role::Ranges if k == pipeline => {
                    let (heads, runs) = (self.pieces(stage - 1, 0, came), self.pieces(stage - 1, 1, came));
                    Some(Share::Ranges { heads, runs, units: units.clone(), cuts, give })
                }
                Role::Merge if k == pipeline => {
                    let pieces = self.pieces(stage - 1, cut, came);
                    Some(Share::Merge { pieces, ranges: units.clone(), give })
                }
                Role::Join if k == pipeline => {
                    Some(Share::Spans { units: 0..self.parts_of(stage), roots: 1, cuts: &[], give: &own })
                }
                _ if k == pipeline => {
                    let roots = match self.ways[stage] {
                        Way::Cut => cuts.len(),
                        Way::Runs => 2,
                        _ => 1,
                    };
                    Some(Share::Spans { units: units.clone(), roots, cuts, give })
                }
                _ if !needed.contains(&k) => None,
                _ if lasts(k) && known => together.get(k).map(Share::Ready),
                // what only that was made of
                _ if known && !reads(k) => None,
                _ => Some(self.given(k, cut, came)?),
            })
        };
        let made = |k: usize, left: &Left| {
            if !known && lasts(k) {
                together.known().push((k, left.clone()));
            }
        };
        let outcome = self.run(&share, &made, rt);
        if outcome.is_err() {
            // there may be some of it only
            together.clear();
        }
        outcome.map(|(_, summary)| summary)
    }

    /// The parts of the left rows of a join by exchange.
    fn parts_of(&self, stage: usize) -> usize {
        let Some(chain) = self.plan.pipelines[self.stages[stage].pipeline].chains.first() else { return 0 };
        let left = chain.input.pipeline().and_then(|left| self.stage_of(left));
        left.map_or(0, |left| self.stages[left].units)
    }

    /// Ends the run where its result is wanted: its rows, given what came of the stages.
    ///
    /// # Errors
    /// The first error in the order of pipelines and spans.
    pub fn run_end(&self, came: &Arc<dyn Came>, rt: &Runtime<'_>) -> Result<(Vec<RecordBatch>, Summary)> {
        let needed = self.needed_by(None);
        let share = |k| if needed.contains(&k) { self.given(k, 0, came).map(Some) } else { Ok(None) };
        let (rows, summary) = self.run(&share, &|_, _| (), rt)?;
        rows.map(|rows| (rows, summary)).ok_or_else(|| Error::internal("a plan without rows at its end"))
    }

    /// What a stage made for a cut of the next one.
    fn pieces<'a>(&self, stage: usize, root: usize, came: &'a Arc<dyn Came>) -> Pieces<'a> {
        let FrameStage { pipeline, role, .. } = self.stages[stage];
        let mut shares = vec![];
        if role == Role::Spans {
            let (of, mut first) = (&self.plan.pipelines[pipeline], 0);
            for chain in &of.chains {
                let units = first..first + units_of_chain(chain, is_by_part(&of.root));
                first = units.end;
                if is_by_share(of, chain) {
                    shares.push((units, OnceLock::new()));
                }
            }
        }
        Pieces { came, stage, root, shares }
    }

    fn run<'a>(
        &'a self,
        share: &dyn Fn(usize) -> Result<Option<Share<'a>>>,
        made: &dyn Fn(usize, &Left),
        rt: &Runtime<'_>,
    ) -> Result<(Option<Vec<RecordBatch>>, Summary)> {
        let tally = Tally::start(rt);
        let budget = Budget::new(rt.memory_limit, rt.spill_above);
        let rows = run_pipelines(&self.plan, rt, &tally.counters, &budget, &mut vec![], share, made)?;
        Ok((rows, tally.summary(rt, true)))
    }
}

/// The number of units of a chain.
pub(super) fn units_of_chain(chain: &Chain, by_part: bool) -> usize {
    match &chain.input {
        Input::Scan { source, columns } => spans(&[Open::scan(source, columns, &[])], by_part).len(),
        Input::Joined { spans, .. } if by_part => spans.last().map_or(0, |s| s.end),
        Input::Joined { spans, .. } => spans.len(),
        Input::Result(_) => SHARES,
    }
}

/// The number of units of a pipeline; none if it is no stage. `is_merged` says what a sort by ranges left.
fn unit_count(p: &Pipeline, is_merged: impl Fn(usize) -> bool) -> Option<usize> {
    let reads_files = p.chains.iter().any(|c| !matches!(c.input, Input::Result(_)));
    let is_work = match &p.root {
        Root::Runs(runs) => runs.function.is_some(),
        Root::Write(sink) => sink.in_parts().is_some(),
        _ => false,
    };
    let of_ranges = is_work && p.chains.iter().all(|c| c.input.pipeline().is_some_and(&is_merged));
    let by_part = is_by_part(&p.root);
    (reads_files || of_ranges).then(|| p.chains.iter().map(|c| units_of_chain(c, by_part)).sum())
}
