//! Folds by group of rows in which every group's follow each other.
//!
//! All groups of a span but its first and its last are whole: their results are made beside those of other spans. Only the groups at the ends
//! of spans are put together, in order; nothing is looked up in a common table, and nothing but results goes to disk.

use super::super::super::Runtime;
use super::super::budget::Budget;
use super::super::evaluate::internal;
use super::super::pipeline::{Gather, Left};
use super::super::store::{Disk, Stored, StoredRows, with_small_dictionaries};
use super::GroupState;
use super::host::Kept;
use crate::block::batch::batch_bytes;
use crate::error::Result;
use crate::plan::frame::GroupPlan;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;

/// A root that folds groups that come one after the other.
pub(in super::super) struct GroupsInOrder<'a> {
    plan: &'a GroupPlan,
    schema: &'a SchemaRef,
    rt: &'a Runtime<'a>,
    disk: &'a Disk<'a>,
    budget: &'a Budget,
    empty: GroupState,
}

/// The groups of a span; once it has ended, its first and last one (or its only one), and the results of the others.
pub(in super::super) struct Span {
    state: GroupState,
    rows: Option<RecordBatch>,
}

/// The results of whole groups, and the group that may go on.
pub(in super::super) struct Done {
    rows: Vec<Stored>,
    bytes: usize,
    open: GroupState,
}

impl<'a> GroupsInOrder<'a> {
    pub fn new(
        plan: &'a GroupPlan,
        schema: &'a SchemaRef,
        rt: &'a Runtime<'a>,
        disk: &'a Disk<'a>,
        budget: &'a Budget,
    ) -> Result<GroupsInOrder<'a>> {
        Ok(GroupsInOrder { plan, schema, rt, disk, budget, empty: GroupState::new(plan)? })
    }

    /// The results of some groups.
    fn finished(&self, state: &GroupState, groups: std::ops::Range<u32>) -> Result<RecordBatch> {
        let mut some = self.empty.sibling();
        some.take_in(state, &groups.collect::<Vec<_>>())?;
        some.finish(self.plan, self.schema)
    }

    /// Keeps results.
    fn keep(&self, done: &mut Done, rows: RecordBatch) -> Result<()> {
        let tight = self.budget.is_tight() && batch_bytes(&rows) >= self.budget.piece();
        let stored = if tight { self.disk.write(&rows)? } else { Stored::Memory(rows) };
        done.bytes += stored.held();
        done.rows.push(stored);
        Ok(())
    }
}

impl GroupState {
    /// Folds some groups of another, with what is kept of them for the host.
    fn take_in(&mut self, other: &GroupState, some: &[u32]) -> Result<()> {
        let numbers = self.merge_some(other, some);
        let mut here: Vec<Option<u32>> = vec![None; other.len()];
        some.iter().zip(numbers).for_each(|(&g, n)| here[g as usize] = Some(n));
        for (kept, from) in self.kept.iter_mut().zip(&other.kept) {
            let wanted = from.groups.iter().enumerate();
            let wanted = wanted.filter_map(|(row, &g)| Some((row as u32, here[g as usize]?)));
            let (rows, groups): (Vec<u32>, Vec<u32>) = wanted.unzip();
            if !rows.is_empty() {
                kept.groups.extend(groups);
                kept.values.push(from.rows(rows)?);
            }
        }
        Ok(())
    }
}

impl Kept {
    /// Some of the values.
    fn rows(&self, rows: Vec<u32>) -> Result<ArrayRef> {
        let parts: Vec<_> = self.values.iter().map(|v| v.as_ref()).collect();
        let all = concat(&parts).map_err(internal)?;
        take(&all, &UInt32Array::from(rows), None).map_err(internal)
    }
}

impl Gather for GroupsInOrder<'_> {
    type State = Span;
    type Whole = Done;

    fn state(&self) -> Span {
        Span { state: self.empty.sibling(), rows: None }
    }

    fn whole(&self) -> Result<Done> {
        Ok(Done { rows: vec![], bytes: 0, open: self.empty.sibling() })
    }

    fn push(&self, span: &mut Span, _task: usize, rows: RecordBatch) -> Result<()> {
        span.state.push(self.plan, &rows, self.rt.kernels)
    }

    fn seal(&self, span: &mut Span) -> Result<()> {
        span.state.reduce_kept(self.plan)?;
        if span.state.appended {
            // groups may be there twice
            let mut state = self.empty.sibling();
            state.take_in(&span.state, &(0..span.state.len() as u32).collect::<Vec<_>>())?;
            span.state = state;
        }
        let groups = span.state.len() as u32;
        if groups > 2 {
            // a function of the user's must not see a group that is not whole; to the kernels' folds it is all one
            let rows = match self.plan.hosts.is_empty() {
                true => span.state.finish(self.plan, self.schema)?.slice(1, groups as usize - 2),
                false => self.finished(&span.state, 1..groups - 1)?,
            };
            span.rows = Some(with_small_dictionaries(&rows)?);
            let mut ends = self.empty.sibling();
            ends.take_in(&span.state, &[0, groups - 1])?;
            span.state = ends;
        }
        Ok(())
    }

    fn working(&self) -> usize {
        // a span whose rows are groups of their own, with room to grow, told apart, and its results
        let row = 8 * self.plan.keys.div_ceil(2) + self.empty.folds.record();
        (4 * row) << 20
    }

    fn bytes(&self, span: &Span) -> usize {
        span.state.nbytes() + span.rows.as_ref().map_or(0, batch_bytes)
    }

    fn merge(&self, done: &mut Done, _number: usize, span: Span) -> Result<()> {
        let Some(last) = span.state.len().checked_sub(1) else { return Ok(()) };
        done.open.take_in(&span.state, &[0])?;
        // another group follows the open ones, or the first of two does
        if last > 0 || done.open.len() > 1 {
            let before = done.open.len() as u32;
            // the group that may go on: the span's last, or the only one that it had
            let (from, group, whole) = match last {
                0 => (&done.open, before - 1, before - 1),
                _ => (&span.state, last as u32, before),
            };
            let mut open = self.empty.sibling();
            open.take_in(from, &[group])?;
            let rows = self.finished(&done.open, 0..whole)?;
            done.open = open;
            self.keep(done, with_small_dictionaries(&rows)?)?;
            if let Some(rows) = span.rows {
                self.keep(done, rows)?;
            }
        }
        Ok(())
    }

    fn whole_bytes(&self, done: &Done) -> usize {
        done.bytes + done.open.nbytes()
    }

    fn finish(&self, mut done: Done) -> Result<Left> {
        let rows = done.open.finish(self.plan, self.schema)?;
        self.keep(&mut done, rows)?;
        Ok(Left::stored(StoredRows::new(self.schema, done.rows)))
    }
}
