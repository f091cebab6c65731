//! The groups of all spans together.
//!
//! Few groups are merged one span after the other. Many are cut by a hash of their keys into parts that are merged side by side, each in
//! the order of spans; and if they are too many for memory, the parts of every span go to disk as they are and are merged, in the
//! same order, at the end. So where they were changes no bit.

use super::super::super::Runtime;
use super::super::super::workers::side_by_side;
use super::super::budget::Budget;
use super::super::evaluate::internal;
use super::super::pipeline::{Gather, Left};
use super::super::store::{Disk, Stored, StoredRows};
use super::GroupState;
use super::host::{Kept, Rows};
use super::share::{kept_of, rows_of, rows_of_kept};
use crate::block::batch::batch_bytes;
use crate::error::Result;
use crate::plan::frame::GroupPlan;
use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Groups of spans that are merged at once.
const MANY: usize = 1 << 22;
/// Groups from which they are cut into parts. A result of so many is no longer put in the order of first rows.
pub(super) const PARTED: usize = 1 << 17;
pub(in super::super) const PARTS: usize = 256;

/// A root that folds by group.
pub(in super::super) struct GroupFold<'a> {
    pub(super) plan: &'a GroupPlan,
    pub(super) schema: &'a SchemaRef,
    rt: &'a Runtime<'a>,
    pub(super) disk: &'a Disk<'a>,
    pub(super) budget: &'a Budget,
    pub(super) empty: GroupState,
}

/// What has been folded of all spans so far.
pub(in super::super) struct AllGroups {
    parts: Vec<Part>,
    /// Spans that are not merged yet, with their numbers.
    pending: Vec<(usize, Span)>,
    on_disk: bool,
}

/// What has been folded of a span, and how it is cut if it has many groups; of more than `PARTED` the cuts have what is kept for the host.
pub(in super::super) struct Span {
    pub(super) state: GroupState,
    cuts: Option<Vec<Cut>>,
}

impl Span {
    fn nbytes(&self) -> usize {
        self.state.nbytes() + self.cuts.iter().flatten().map(Cut::nbytes).sum::<usize>()
    }

    pub(super) fn cuts(&mut self) -> Result<Vec<Cut>> {
        self.cuts.take().map_or_else(|| self.state.cut(PARTS), Ok)
    }
}

/// Groups whose keys have some hashes; or all, if there is one part.
pub(super) struct Part {
    pub state: GroupState,
    /// By group where it came first: the span, and its number there. Empty if there are too many groups for that to matter.
    pub first: Vec<u64>,
    /// Spans' groups on disk.
    stored: Vec<StoredGroups>,
}

/// Some groups of a span on disk: keys, accumulators and where they came first; and what is kept of each for the host.
struct StoredGroups {
    groups: Stored,
    kept: Vec<Option<Stored>>,
}

/// What a part gets of a span: numbers of groups there, and what is kept of them, by their place among those.
#[derive(Default)]
pub(super) struct Cut {
    pub groups: Vec<u32>,
    pub kept: Vec<Option<Rows>>,
}

impl Cut {
    fn nbytes(&self) -> usize {
        4 * self.groups.capacity() + self.kept.iter().flatten().map(Rows::nbytes).sum::<usize>()
    }
}

fn place(span: usize, group: u32) -> u64 {
    (span as u64) << 32 | u64::from(group)
}

impl Part {
    pub fn new(state: GroupState) -> Part {
        Part { state, first: vec![], stored: vec![] }
    }

    /// Folds some groups of a span; `first` says where a group came first.
    pub fn merge(
        &mut self,
        state: &GroupState,
        cut: &Cut,
        ordered: bool,
        first: impl Fn(u32) -> u64,
    ) -> Result<()> {
        let groups = self.state.merge_some(state, &cut.groups);
        if ordered {
            for (&here, &there) in groups.iter().zip(&cut.groups) {
                if here as usize == self.first.len() {
                    self.first.push(first(there));
                }
            }
        } else {
            self.first = vec![];
        }
        let all = self.state.len();
        for (kept, from) in self.state.kept.iter_mut().zip(&cut.kept) {
            if let Some(Rows { groups: places, values }) = from {
                kept.extend(places.iter().map(|&p| groups[p as usize]), values, all)?;
            }
        }
        Ok(())
    }
}

impl<'a> GroupFold<'a> {
    pub fn new(
        plan: &'a GroupPlan,
        schema: &'a SchemaRef,
        rt: &'a Runtime<'a>,
        disk: &'a Disk<'a>,
        budget: &'a Budget,
    ) -> Result<GroupFold<'a>> {
        Ok(GroupFold { plan, schema, rt, disk, budget, empty: GroupState::new(plan)? })
    }

    /// Merges what is pending, or puts it on disk.
    fn flush(&self, all: &mut AllGroups) -> Result<()> {
        let pending = std::mem::take(&mut all.pending);
        let groups = all.parts.iter().map(|p| p.state.len()).sum::<usize>()
            + pending.iter().map(|(_, s)| s.state.len()).sum::<usize>();
        let bytes = all.nbytes() + pending.iter().map(|(_, s)| s.nbytes()).sum::<usize>();
        let keyed = self.plan.keys > 0;
        // workers hold as much again: their own spans, and those that wait for an earlier one
        let too_many = bytes >= 2 * self.budget.share(1);
        let tight = self.budget.is_tight() && bytes >= self.budget.share(8);
        all.on_disk |= keyed && (too_many || tight);
        if all.parts.len() == 1 && !all.on_disk && (groups <= PARTED || !keyed) {
            let whole = &mut all.parts[0];
            for (span, state) in pending {
                let cut = state.state.uncut()?;
                whole.merge(&state.state, &cut, true, |g| place(span, g))?;
            }
            return Ok(());
        }
        if all.parts.len() == 1 {
            let parts = (0..PARTS).map(|_| Part::new(self.empty.part())).collect();
            let whole = std::mem::replace(&mut all.parts, parts);
            for part in whole {
                let state = Span { state: part.state, cuts: None };
                self.share_out(all, vec![(state, Firsts::Known(part.first))])?;
            }
        }
        self.share_out(all, pending.into_iter().map(|(span, s)| (s, Firsts::Span(span))).collect())
    }

    /// Gives each part its groups of the states.
    fn share_out(&self, all: &mut AllGroups, mut states: Vec<(Span, Firsts)>) -> Result<()> {
        let threads = self.rt.threads;
        if all.on_disk {
            // what was merged before goes first
            let merged: Vec<(usize, GroupState, Vec<u64>)> = all
                .parts
                .iter_mut()
                .enumerate()
                .filter(|(_, part)| part.state.len() > 0)
                .map(|(p, part)| {
                    let state = std::mem::replace(&mut part.state, self.empty.part());
                    (p, state, std::mem::take(&mut part.first))
                })
                .collect();
            for (p, state, first) in merged {
                let mut cuts: Vec<Cut> = vec![state.uncut()?];
                let stored = self.store(&state, &Firsts::Known(first), &mut cuts)?;
                all.parts[p].stored.extend(stored.into_iter().flatten());
            }
            for (span, firsts) in &mut states {
                let mut cuts = span.cuts()?;
                let stored = self.store(&span.state, firsts, &mut cuts)?;
                for (part, stored) in all.parts.iter_mut().zip(stored) {
                    part.stored.extend(stored);
                }
            }
            return Ok(());
        }
        let cuts = states.iter_mut().map(|(span, _)| span.cuts()).collect::<Result<Vec<_>>>()?;
        let ordered = all.is_ordered();
        let parts: Vec<(usize, Mutex<&mut Part>)> =
            all.parts.iter_mut().enumerate().map(|(p, part)| (p, Mutex::new(part))).collect();
        let merged = side_by_side(threads, &parts, |(p, part)| {
            let mut part = part.lock().unwrap_or_else(|e| e.into_inner());
            for ((span, firsts), cuts) in states.iter().zip(&cuts) {
                part.merge(&span.state, &cuts[*p], ordered, |g| firsts.of(g))?;
            }
            Ok(())
        });
        merged.into_iter().collect()
    }

    /// Writes a state cut into parts; what each part has of it.
    fn store(
        &self,
        state: &GroupState,
        firsts: &Firsts,
        cuts: &mut [Cut],
    ) -> Result<Vec<Option<StoredGroups>>> {
        let mut out = vec![];
        // part by part, so that no copy is larger than one of them
        for cut in cuts {
            let of = &cut.groups;
            if of.is_empty() {
                out.push(None);
                continue;
            }
            let groups = self.disk.write(&rows_of(state, of, firsts)?)?;
            let mut kept = vec![];
            for values in std::mem::take(&mut cut.kept) {
                kept.push(match values {
                    Some(rows) => Some(self.disk.write(&rows_of_kept(rows)?)?),
                    None => None,
                });
            }
            out.push(Some(StoredGroups { groups, kept }));
        }
        Ok(out)
    }

    /// A part with what is on disk.
    fn load(&self, part: &Part) -> Result<Part> {
        let mut whole = Part::new(self.empty.part());
        let mut held = self.budget.hold();
        for stored in &part.stored {
            let (state, first) = self.groups_of(&stored.groups.load()?)?;
            let mut cut = Cut { groups: (0..state.len() as u32).collect(), kept: vec![] };
            for kept in &stored.kept {
                cut.kept.push(match kept {
                    Some(kept) => Some(kept_of(&kept.load()?)),
                    None => None,
                });
            }
            whole.merge(&state, &cut, true, |g| first.value(g as usize))?;
            held.set(whole.state.nbytes(), "one of 256 parts of the groups")?;
        }
        Ok(whole)
    }
}

/// Where the groups of a state came first.
pub(super) enum Firsts {
    Span(usize),
    Known(Vec<u64>),
}

impl Firsts {
    pub fn of(&self, group: u32) -> u64 {
        match self {
            Firsts::Span(span) => place(*span, group),
            Firsts::Known(first) => first.get(group as usize).copied().unwrap_or(0),
        }
    }
}

impl AllGroups {
    fn nbytes(&self) -> usize {
        let part = |p: &Part| p.state.nbytes() + 8 * p.first.capacity();
        let pending = self.pending.iter().map(|(_, s)| s.nbytes());
        self.parts.iter().map(part).chain(pending).sum()
    }

    /// Whether groups can still be put in the order of first rows, and are so few that they will be.
    fn is_ordered(&self) -> bool {
        let known = |p: &Part| p.first.len() == p.state.len();
        self.parts.iter().all(known) && self.parts.iter().map(|p| p.state.len()).sum::<usize>() <= PARTED
    }
}

impl GroupState {
    /// All groups for one part.
    pub(super) fn uncut(&self) -> Result<Cut> {
        let whole = |k: &Kept| k.rows().map(|rows| (!rows.groups.is_empty()).then(|| rows.into_owned()));
        let kept = self.kept.iter().map(whole).collect::<Result<_>>()?;
        Ok(Cut { groups: (0..self.len() as u32).collect(), kept })
    }

    /// The groups by a hash of their keys.
    fn cut(&self, parts: usize) -> Result<Vec<Cut>> {
        let lists = self.keys.partition(parts);
        if self.kept.is_empty() {
            return Ok(lists.into_iter().map(|groups| Cut { groups, kept: vec![] }).collect());
        }
        let mut part_of = vec![(0u32, 0u32); self.len()];
        for (p, groups) in lists.iter().enumerate() {
            groups.iter().enumerate().for_each(|(k, &g)| part_of[g as usize] = (p as u32, k as u32));
        }
        let mut cuts: Vec<Cut> = lists.into_iter().map(|groups| Cut { groups, kept: vec![] }).collect();
        for kept in &self.kept {
            let kept = kept.rows()?;
            let Rows { groups, values } = &*kept;
            if groups.is_empty() {
                cuts.iter_mut().for_each(|c| c.kept.push(None));
                continue;
            }
            let values: Vec<&dyn Array> = values.iter().map(|v| v.as_ref()).collect();
            let values = concat(&values).map_err(internal)?;
            let mut rows: Vec<(Vec<u32>, Vec<u32>)> = vec![Default::default(); parts];
            for (row, &g) in groups.iter().enumerate() {
                let (part, place) = part_of[g as usize];
                let (rows, places) = &mut rows[part as usize];
                rows.push(row as u32);
                places.push(place);
            }
            for (cut, (rows, places)) in cuts.iter_mut().zip(rows) {
                let values = take(&values, &UInt32Array::from(rows), None).map_err(internal)?;
                cut.kept.push((!places.is_empty()).then(|| Rows { groups: places, values: vec![values] }));
            }
        }
        Ok(cuts)
    }
}

impl Gather for GroupFold<'_> {
    type State = Span;
    type Whole = AllGroups;

    fn state(&self) -> Span {
        Span { state: self.empty.sibling(), cuts: None }
    }

    fn whole(&self) -> Result<AllGroups> {
        Ok(AllGroups { parts: vec![Part::new(self.empty.sibling())], pending: vec![], on_disk: false })
    }

    fn push(&self, span: &mut Span, _task: usize, rows: RecordBatch) -> Result<()> {
        span.state.push(self.plan, &rows, self.rt.kernels)
    }

    fn seal(&self, span: &mut Span) -> Result<()> {
        let groups = span.state.len();
        span.state.reduce_kept(self.plan)?;
        if self.plan.keys > 0 && span.state.len() > PARTED / 4 {
            span.cuts = Some(span.state.cut(PARTS)?);
            if groups > PARTED {
                // such a span is never merged uncut
                span.state.kept.iter_mut().for_each(|k| *k = k.sibling());
            }
        }
        Ok(())
    }

    fn working(&self) -> usize {
        // of a span whose rows are groups of their own, with room to grow, and of one that waits for an earlier one
        let row = 8 * self.plan.keys.div_ceil(2) + self.empty.record();
        if self.plan.keys == 0 { 0 } else { (3 * row) << 20 }
    }

    fn bytes(&self, span: &Span) -> usize {
        span.nbytes()
    }

    fn merge(&self, whole: &mut AllGroups, number: usize, span: Span) -> Result<()> {
        whole.pending.push((number, span));
        let groups: usize = whole.pending.iter().map(|(_, s)| s.state.len()).sum();
        let bytes: usize = whole.pending.iter().map(|(_, s)| s.nbytes()).sum();
        if groups > MANY || bytes > self.budget.share(1) { self.flush(whole) } else { Ok(()) }
    }

    fn whole_bytes(&self, whole: &AllGroups) -> usize {
        whole.nbytes()
    }

    fn export(&self, span: usize, state: Span, cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        self.export_cut(span, state, cuts)
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Span> {
        let (mut state, cut, _) = self.unpacked(bytes)?;
        let groups = state.len();
        for (kept, rows) in state.kept.iter_mut().zip(cut.kept) {
            let Rows { groups: of, values } = rows.unwrap_or_default();
            kept.extend(of.into_iter(), &values, groups)?;
        }
        Ok(Span { state, cuts: None })
    }

    fn finish(&self, mut whole: AllGroups) -> Result<Left> {
        self.flush(&mut whole)?;
        if whole.parts.len() == 1 {
            return Ok(Left::memory(self.schema, vec![whole.parts[0].state.finish(self.plan, self.schema)?]));
        }
        let on_disk = whole.on_disk;
        let parts = std::mem::take(&mut whole.parts);
        let kept = AtomicUsize::new(0);
        let done = side_by_side(self.rt.threads, &parts, |part| -> Result<(Stored, Vec<u64>)> {
            let loaded;
            let part = match part.stored.as_slice() {
                [] => part,
                _ => {
                    loaded = self.load(part)?;
                    &loaded
                }
            };
            let rows = part.state.finish(self.plan, self.schema)?;
            let bytes = kept.fetch_add(batch_bytes(&rows), Relaxed);
            let keep = !on_disk || bytes < self.budget.share(1);
            Ok((if keep { Stored::Memory(rows) } else { self.disk.write(&rows)? }, part.first.clone()))
        });
        let done = done.into_iter().collect::<Result<Vec<_>>>()?;
        let groups: usize = done.iter().map(|(rows, _)| rows.num_rows()).sum();
        let (batches, first): (Vec<Stored>, Vec<Vec<u64>>) = done.into_iter().unzip();
        let first = first.concat();
        if groups <= PARTED && first.len() == groups {
            let rows = batches.iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
            let rows = concat_batches(self.schema, &rows).map_err(internal)?;
            let mut order: Vec<u32> = (0..groups as u32).collect();
            order.sort_unstable_by_key(|&g| first[g as usize]);
            let rows = take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)?;
            return Ok(Left::memory(self.schema, vec![rows]));
        }
        if on_disk {
            return Ok(Left::stored(StoredRows::new(self.schema, batches)));
        }
        let rows = batches.iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
        Ok(Left::memory(self.schema, rows))
    }
}
