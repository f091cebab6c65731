//! Who gets what: stages cut into shards, and the way of every piece from the shard that makes it to those that need it.
//!
//! A *shard* is a run of a stage's spans; it runs on one worker. Stages run one after another, and a piece that a later stage or the client
//! needs is passed on from stage to stage: at every stage it goes to the shards that read it, or else to one that carries it. All of this
//! follows from the plan, so every shard, and the client, knows which pieces it must get.
//!
//! **Invariant:** a shard runs only when each of its pieces has come, once, whole and with a matching checksum. So workers that die, tasks that
//! run twice and rows that come twice or not at all can end a computation, but not change its result.

use super::arrays::Arrays;
use super::piece::{Id, Kind};
use super::wire;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{ResultId, Target};
use crate::schedule::frame::{FrameStage, Role, Spread, Way};
use smallvec::{SmallVec, smallvec};
use std::ops::Range;

/// Shards that read a piece.
pub(super) type Readers = SmallVec<[u32; 2]>;

/// A plan and the ways of its pieces.
#[derive(Debug)]
pub struct Layout {
    /// What is planned.
    pub work: Work,
    /// The job's number: of the same bytes, planned the same way, the same. Rows carry it, so a process that plans otherwise is found out.
    pub number: u64,
    /// By stage and shard: its spans, or what else is shared out.
    spans: Vec<Vec<Range<usize>>>,
    families: Vec<Family>,
    /// Memory limit that it is planned for: no state of rows is longer.
    pub limit: u64,
}

/// What is planned.
#[derive(Debug)]
pub enum Work {
    /// Arrays.
    Arrays(Arrays),
    /// Rows of a frame.
    Rows(Spread),
}

/// Pieces of one kind from one place.
#[derive(Clone, Debug)]
pub struct Family {
    /// What they are.
    pub kind: Kind,
    /// Where they come from; of reports, the root means nothing. Of groups of rows, the root is the shard of the next stage that they are for.
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
        let arrays = Arrays::new(targets, by_workers, limit)?;
        let units = (0..arrays.stages().len()).map(|s| arrays.units(s)).collect();
        let number = job ^ wire::number(arrays.words().as_bytes());
        Ok(Layout::of(number, Work::Arrays(arrays), units, shards, limit))
    }

    /// The layout of a frame's plan, whose wire form has the number `job`.
    ///
    /// # Errors
    /// If there would be more pieces than can be told apart.
    pub fn of_rows(job: u64, spread: Spread, limit: u64, shards: usize) -> Result<Layout> {
        let units: Vec<usize> = spread.stages.iter().map(|s| s.units).collect();
        for (stage, &own) in units.iter().enumerate() {
            let (spans, cuts) = match spread.way(stage) {
                Way::All | Way::Same => (own, 1),
                Way::Cut => (own, spread.reader(stage).map_or(1, |r| units[r].min(shards))),
                Way::Runs => (own, 2),
                Way::Units(of) => (of.len(), own.min(shards)),
            };
            if spans.saturating_mul(cuts) > wire::MOST_CHUNKS {
                let what = format!("a pass over {spans} spans of rows on a cluster, cut for {cuts} shards");
                let hint =
                    format!("at most {} pieces are; use larger parts, or fewer shards", wire::MOST_CHUNKS);
                return Err(ErrorKind::Unsupported { what, hint }.into());
            }
        }
        let number = job ^ wire::number(spread.words().as_bytes());
        Ok(Layout::of(number, Work::Rows(spread), units, shards, limit))
    }

    /// Of stages of so many units.
    fn of(number: u64, work: Work, units: Vec<usize>, most: usize, limit: u64) -> Layout {
        let cut = |units: usize| {
            // at least one shard, that something says that it is done
            let shards = units.min(most).max(1);
            (0..shards).map(|shard| units * shard / shards..units * (shard + 1) / shards).collect()
        };
        let spans = units.into_iter().map(cut).collect();
        let mut layout = Layout { work, number, spans, families: vec![], limit };
        layout.families = (0..layout.stages()).flat_map(|stage| layout.list_families(stage)).collect();
        layout
    }

    fn list_families(&self, stage: usize) -> Vec<Family> {
        let mut out = match &self.work {
            Work::Arrays(arrays) => arrays.families(stage, self.ranges(stage + 1).len()),
            Work::Rows(spread) => {
                let client = spread.inputs(None).contains(&stage);
                let FrameStage { role, units, .. } = spread.stages[stage];
                let (roots, count) = match spread.way(stage) {
                    Way::All if role == Role::Groups => (1, self.shards(stage)),
                    Way::All | Way::Same => (1, units),
                    Way::Cut => (self.cuts(stage).len(), units),
                    Way::Runs => (2, units),
                    Way::Units(of) => (self.shards(stage), of.len()),
                };
                let family =
                    |root| Family { kind: Kind::State, from: ResultId { stage, root }, count, client };
                (0..roots).map(family).collect()
            }
        };
        let (from, count) = (ResultId { stage, root: 0 }, self.shards(stage));
        out.push(Family { kind: Kind::Report, from, count, client: true });
        out
    }

    /// Whether a root's blocks travel, rather than go to a sink that workers write.
    pub fn travels(&self, id: ResultId) -> bool {
        self.families.iter().any(|f| f.from == id && f.kind == Kind::Chunk)
    }

    /// Number of stages.
    pub fn stages(&self) -> usize {
        self.spans.len()
    }

    /// Number of tasks, as far as it is known.
    pub fn tasks(&self) -> usize {
        match &self.work {
            Work::Arrays(arrays) => arrays.plan.stages.iter().map(|s| s.tasks()).sum(),
            Work::Rows(spread) => {
                spread.stages.iter().filter(|s| s.role == Role::Spans).map(|s| s.units).sum()
            }
        }
    }

    /// Number of tasks of a shard, as far as it is known.
    pub fn shard_tasks(&self, stage: usize, shard: usize) -> usize {
        let spans = self.span_range(stage, shard);
        match &self.work {
            Work::Arrays(arrays) if arrays.stages()[stage].merges => 0,
            Work::Arrays(arrays) => {
                let stage = arrays.of(stage);
                let first = |span: usize| span.saturating_mul(stage.span_tasks().max(1)).min(stage.tasks());
                first(spans.end) - first(spans.start)
            }
            Work::Rows(spread) if spread.stages[stage].role != Role::Spans => 0,
            Work::Rows(_) => spans.len(),
        }
    }

    /// What a stage does, in a few words.
    pub fn label(&self, stage: usize) -> String {
        match &self.work {
            Work::Arrays(arrays) if arrays.stages()[stage].merges => {
                format!("{}, together", arrays.of(stage).label())
            }
            Work::Arrays(arrays) => arrays.of(stage).label().to_string(),
            Work::Rows(spread) => spread.label(stage),
        }
    }

    /// A shard in words, for errors.
    pub fn place(&self, stage: usize, shard: usize) -> String {
        match self.ranges(stage).get(shard) {
            Some(spans) => {
                let (label, of) = (self.label(stage), self.shards(stage));
                format!("stage {stage} ({label}), shard {shard} of {of} (spans {spans:?})")
            }
            None => format!("stage {stage}, shard {shard}"),
        }
    }

    /// All families of pieces.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Number of shards of a stage.
    pub fn shards(&self, stage: usize) -> usize {
        self.spans[stage].len()
    }

    /// The spans of every shard of a stage; none if there is no such stage.
    pub fn ranges(&self, stage: usize) -> &[Range<usize>] {
        self.spans.get(stage).map_or(&[], Vec::as_slice)
    }

    /// The spans of a shard.
    pub fn span_range(&self, stage: usize, shard: usize) -> Range<usize> {
        self.spans[stage][shard].clone()
    }

    /// The length that a piece may have, in bytes.
    pub fn most_bytes(&self, id: Id) -> usize {
        match (id.kind, &self.work) {
            (Kind::Go, _) => 0,
            (Kind::Report, _) => 1 << 16,
            (_, Work::Arrays(arrays)) => arrays.most_bytes(id),
            (_, Work::Rows(_)) => usize::try_from(self.limit).unwrap_or(usize::MAX),
        }
    }

    /// The number of roots of a stage of rows, and of the pieces of each.
    pub fn counts(&self, stage: usize) -> (usize, usize) {
        let of = || self.families.iter().filter(|f| f.from.stage == stage && f.kind == Kind::State);
        (of().count(), of().next().map_or(0, |f| f.count))
    }

    /// The units of the shards that a stage of rows makes pieces for, where that matters to it.
    pub fn cuts(&self, stage: usize) -> &[Range<usize>] {
        match &self.work {
            Work::Rows(spread) if matches!(spread.way(stage), Way::Cut | Way::Runs) => {
                spread.reader(stage).map_or(&[], |reader| self.ranges(reader))
            }
            _ => &[],
        }
    }

    /// The shard of a stage that has a unit.
    fn shard_of(&self, stage: usize, unit: usize) -> u32 {
        self.spans[stage].partition_point(|units| units.end <= unit) as u32
    }

    /// The shards of a stage that read a piece.
    fn readers(&self, family: &Family, number: usize, stage: usize) -> Readers {
        match &self.work {
            _ if family.kind == Kind::Report => SmallVec::new(),
            Work::Arrays(arrays) => arrays.readers(family, number, stage, &self.spans[stage]),
            Work::Rows(spread) if !spread.inputs(Some(stage)).contains(&family.from.stage) => SmallVec::new(),
            Work::Rows(spread) => match spread.way(family.from.stage) {
                Way::All => (0..self.shards(stage) as u32).collect(),
                Way::Cut => smallvec![family.from.root as u32],
                Way::Runs if family.from.root == 0 => (0..self.shards(stage) as u32).collect(),
                Way::Runs | Way::Same => smallvec![self.shard_of(stage, number)],
                Way::Units(of) => smallvec![self.shard_of(stage, of[number])],
            },
        }
    }

    /// The shards of a stage that get a piece from the stage before; the first of them passes it on.
    pub fn takers(&self, family: &Family, number: usize, stage: usize) -> Readers {
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
