//! Folds by group of rows in which every group's follow each other.
//!
//! All groups of a span but its first and its last are whole: their results are made beside those of other spans. Only the groups at the ends
//! of spans are put together, in order; nothing is looked up in a common table, and nothing but results goes to disk.
//!
//! If what rows are in order of is a hash of the keys, a few groups may have one hash and come mixed: "the first" and "the last group" are
//! then all groups with the first and with the last hash.

use super::super::super::Runtime;
use super::super::budget::Budget;
use super::super::evaluate::internal;
use super::super::keys::Keys;
use super::super::pipeline::{Gather, Left};
use super::super::store::{Disk, Stored, StoredRows, with_small_dictionaries};
use super::GroupState;
use super::host::Rows;
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
    /// Of the keys by whose order groups follow each other, and how many these are.
    leading: Keys,
    count: usize,
}

/// The groups of a span; once it has ended, the first and the last ones, and the results of those between.
pub(in super::super) struct Span {
    state: GroupState,
    /// How many there are of the first ones.
    first: u32,
    rows: Option<RecordBatch>,
}

/// The results of whole groups, and the groups that may go on.
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
        let count = plan.in_order.unwrap_or(plan.keys);
        let leading = Keys::new(plan.program.outputs[..count].iter().map(|(_, t)| t.clone()))?;
        Ok(GroupsInOrder { plan, schema, rt, disk, budget, empty: GroupState::new(plan)?, leading, count })
    }

    /// Whether two groups have the same leading keys.
    fn are_one(&self, (a, group_a): (&GroupState, u32), (b, group_b): (&GroupState, u32)) -> Result<bool> {
        let mut keys = self.leading.sibling();
        let mut number = |state: &GroupState, group: u32| {
            let mut slot = [0];
            let columns = state.keys.columns_of(std::iter::once(group))?;
            keys.number(&columns[..self.count], &mut slot).map(|()| slot[0])
        };
        Ok(number(a, group_a)? == number(b, group_b)?)
    }

    /// How many groups are the first ones of some in order, and where the last ones begin; all, if those are the same.
    fn ends(&self, state: &GroupState) -> Result<(u32, u32)> {
        let groups = state.len() as u32;
        if groups == 0 || self.count == self.plan.keys {
            return Ok((groups.min(1), groups.max(2) - 1));
        }
        let first = first_that(1, groups, |g| Ok(!self.are_one((state, 0), (state, g))?))?;
        let last = first_that(first, groups, |g| self.are_one((state, g), (state, groups - 1)))?;
        Ok((first, last))
    }

    /// The results of some groups.
    fn finished(&self, state: &GroupState, groups: std::ops::Range<u32>) -> Result<RecordBatch> {
        let mut some = self.empty.sibling();
        some.take_in(state, &groups.collect::<Vec<_>>())?;
        some.finish(self.plan, self.schema)
    }

    /// Ends the groups that were open.
    fn end(&self, done: &mut Done) -> Result<()> {
        let open = std::mem::replace(&mut done.open, self.empty.sibling());
        if open.len() == 0 {
            return Ok(());
        }
        self.keep(done, with_small_dictionaries(&open.finish(self.plan, self.schema)?)?)
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

/// The first number from one to before another for which something holds, that holds for all after it; the end, if there is none.
fn first_that(start: u32, end: u32, holds: impl Fn(u32) -> Result<bool>) -> Result<u32> {
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle)? { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

impl GroupState {
    /// Folds some groups of another, with what is kept of them for the host.
    fn take_in(&mut self, other: &GroupState, some: &[u32]) -> Result<()> {
        let numbers = self.merge_some(other, some);
        let mut here: Vec<Option<u32>> = vec![None; other.len()];
        some.iter().zip(numbers).for_each(|(&g, n)| here[g as usize] = Some(n));
        let all = self.len();
        for (kept, from) in self.kept.iter_mut().zip(&other.kept) {
            let from = from.rows()?;
            let wanted = from.groups.iter().enumerate();
            let wanted = wanted.filter_map(|(row, &g)| Some((row as u32, here[g as usize]?)));
            let (rows, groups): (Vec<u32>, Vec<u32>) = wanted.unzip();
            if !rows.is_empty() {
                kept.extend(groups.into_iter(), &[from.some(rows)?], all)?;
            }
        }
        Ok(())
    }
}

impl Rows {
    /// Some of the values.
    fn some(&self, rows: Vec<u32>) -> Result<ArrayRef> {
        let parts: Vec<_> = self.values.iter().map(|v| v.as_ref()).collect();
        let all = concat(&parts).map_err(internal)?;
        take(&all, &UInt32Array::from(rows), None).map_err(internal)
    }
}

impl Gather for GroupsInOrder<'_> {
    type State = Span;
    type Whole = Done;

    fn state(&self) -> Span {
        Span { state: self.empty.sibling(), first: 0, rows: None }
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
        let (first, last) = self.ends(&span.state)?;
        span.first = first;
        if first < last && last < groups {
            // a function of the user's must not see a group that is not whole; to the kernels' folds it is all one
            let rows = match self.plan.hosts.is_empty() {
                true => {
                    let rows = span.state.finish(self.plan, self.schema)?;
                    rows.slice(first as usize, (last - first) as usize)
                }
                false => self.finished(&span.state, first..last)?,
            };
            span.rows = Some(with_small_dictionaries(&rows)?);
            let mut ends = self.empty.sibling();
            ends.take_in(&span.state, &(0..first).chain(last..groups).collect::<Vec<_>>())?;
            span.state = ends;
        }
        Ok(())
    }

    fn working(&self) -> usize {
        // a span whose rows are groups of their own, with room to grow, told apart, and its results
        let row = 8 * self.plan.keys.div_ceil(2) + self.empty.record();
        (4 * row) << 20
    }

    fn bytes(&self, span: &Span) -> usize {
        span.state.nbytes() + span.rows.as_ref().map_or(0, batch_bytes)
    }

    fn merge(&self, done: &mut Done, _number: usize, span: Span) -> Result<()> {
        let groups = span.state.len() as u32;
        if groups == 0 {
            return Ok(());
        }
        if done.open.len() > 0 && !self.are_one((&done.open, 0), (&span.state, 0))? {
            self.end(done)?;
        }
        done.open.take_in(&span.state, &(0..span.first).collect::<Vec<_>>())?;
        if span.first < groups {
            self.end(done)?;
            if let Some(rows) = span.rows {
                self.keep(done, rows)?;
            }
            done.open.take_in(&span.state, &(span.first..groups).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn whole_bytes(&self, done: &Done) -> usize {
        done.bytes + done.open.nbytes()
    }

    fn finish(&self, mut done: Done) -> Result<Left> {
        self.end(&mut done)?;
        Ok(Left::stored(StoredRows::new(self.schema, done.rows)))
    }
}
