//! The first of equal rows.

use super::budget::Budget;
use super::evaluate::internal;
use super::keys::Keys;
use super::parts::{Parts, as_run, cut, first_number, with_numbers};
use super::pipeline::{Gather, Left, PipelineRun};
use super::store::Disk;
use super::travel::{bad, pack, types_of, under, unpack};
use crate::block::batch::batch_bytes;
use crate::error::{ErrorKind, Result};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef, UInt64Type};
use std::ops::Range;
use std::sync::Arc;

/// Rows that are the first of their key.
pub(super) struct DistinctState {
    pub schema: SchemaRef,
    keys: Keys,
    /// With the number of each one's first row; the others' follow.
    pub rows: Vec<(u64, RecordBatch)>,
}

impl DistinctState {
    pub fn new(on: &[usize], schema: &SchemaRef) -> Result<DistinctState> {
        Ok(DistinctState {
            schema: schema.clone(),
            keys: Keys::new(on.iter().map(|&c| schema.field(c).data_type().clone()))?,
            rows: vec![],
        })
    }

    /// No rows yet, for others of the same pipeline.
    pub fn sibling(&self) -> DistinctState {
        DistinctState { schema: self.schema.clone(), keys: self.keys.sibling(), rows: vec![] }
    }

    /// The rows of a batch whose keys are new; `first` is the number of its first row.
    pub fn push(
        &mut self,
        on: &[usize],
        rows: &RecordBatch,
        first: u64,
    ) -> Result<Option<(u64, RecordBatch)>> {
        let columns: Vec<ArrayRef> = on.iter().map(|&c| rows.column(c).clone()).collect();
        let mut seen = self.keys.len() as u32;
        let mut slots = vec![0u32; rows.num_rows()];
        self.keys.number(&columns, &mut slots)?;
        let is_first = |&s: &u32| {
            let new = s == seen;
            seen += u32::from(new);
            new
        };
        let mask: BooleanArray = slots.iter().map(is_first).map(Some).collect();
        let kept = arrow::compute::filter_record_batch(rows, &mask).map_err(internal)?;
        Ok((kept.num_rows() > 0).then_some((first, kept)))
    }

    pub fn nbytes(&self) -> usize {
        self.keys.nbytes() + self.rows.iter().map(|(_, rows)| batch_bytes(rows)).sum::<usize>()
    }
}

/// A root that keeps the first of equal rows: all keys in a table, or rows in parts on disk.
pub(super) struct Distinct<'a> {
    on: &'a [usize],
    empty: DistinctState,
    disk: &'a Disk<'a>,
    budget: &'a Budget,
}

/// The first rows so far, and those of them that are on disk.
pub(super) struct Firsts {
    state: DistinctState,
    parts: Option<Parts>,
    /// The task that rows are of, and how many there were.
    task: (usize, u64),
}

impl<'a> Distinct<'a> {
    pub fn new(
        on: &'a [usize],
        schema: &SchemaRef,
        disk: &'a Disk<'a>,
        budget: &'a Budget,
    ) -> Result<Distinct<'a>> {
        Ok(Distinct { on, empty: DistinctState::new(on, schema)?, disk, budget })
    }

    /// Puts the rows that are in memory on disk, and forgets their keys.
    fn cut(&self, firsts: &mut Firsts) -> Result<()> {
        let parts = firsts.parts.get_or_insert_with(|| Parts::new(None));
        let rows = std::mem::take(&mut firsts.state.rows);
        let rows = rows.iter().map(|(first, rows)| with_numbers(rows, *first)).collect::<Result<Vec<_>>>()?;
        if let Some(first) = rows.first() {
            let rows = concat_batches(first.schema_ref(), &rows).map_err(internal)?;
            let keys: Vec<ArrayRef> = self.on.iter().map(|&c| rows.column(c).clone()).collect();
            parts.extend(cut(&rows, &keys, self.disk)?);
        }
        firsts.state = self.empty.sibling();
        Ok(())
    }
}

impl Gather for Distinct<'_> {
    type State = Firsts;
    type Whole = Firsts;

    fn state(&self) -> Firsts {
        Firsts { state: self.empty.sibling(), parts: None, task: (0, 0) }
    }

    fn whole(&self) -> Result<Firsts> {
        Ok(self.state())
    }

    fn push(&self, firsts: &mut Firsts, task: usize, rows: RecordBatch) -> Result<()> {
        if firsts.task.0 != task {
            firsts.task = (task, 0);
        }
        let first = first_number(task) + firsts.task.1;
        firsts.task.1 += rows.num_rows() as u64;
        let kept = firsts.state.push(self.on, &rows, first)?;
        firsts.state.rows.extend(kept);
        if self.budget.is_tight() && firsts.state.nbytes() > self.budget.share(8) {
            self.cut(firsts)
        } else {
            Ok(())
        }
    }

    fn bytes(&self, firsts: &Firsts) -> usize {
        firsts.state.nbytes()
    }

    fn merge(&self, whole: &mut Firsts, _span: usize, mut firsts: Firsts) -> Result<()> {
        if whole.parts.is_none() && firsts.parts.is_none() && !self.budget.is_tight() {
            for (first, rows) in &firsts.state.rows {
                let kept = whole.state.push(self.on, rows, *first)?;
                whole.state.rows.extend(kept);
            }
            return Ok(());
        }
        self.cut(whole)?;
        self.cut(&mut firsts)?;
        if let (Some(all), Some(parts)) = (&mut whole.parts, firsts.parts) {
            all.lists.iter_mut().zip(parts.lists).for_each(|(all, list)| all.extend(list));
        }
        Ok(())
    }

    fn whole_bytes(&self, whole: &Firsts) -> usize {
        whole.state.nbytes()
    }

    fn finish(&self, whole: Firsts) -> Result<Left> {
        match whole.parts {
            Some(parts) => Ok(Left::Parts(Arc::new(parts))),
            None => {
                let rows: Vec<RecordBatch> = whole.state.rows.into_iter().map(|(_, rows)| rows).collect();
                Ok(Left::memory(&self.empty.schema, rows))
            }
        }
    }

    fn export(&self, _span: usize, firsts: Firsts, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        if firsts.parts.is_some() {
            return Err(ErrorKind::MemoryLimit {
                op: "the first of equal rows of one span, on a cluster".into(),
                needed: self.budget.limit(),
                limit: self.budget.limit() / 2,
                chunks: "spans of rows".into(),
            }
            .into());
        }
        let rows = firsts.state.rows.iter().map(|(first, rows)| with_numbers(rows, *first));
        Ok(vec![pack(rows.collect::<Result<Vec<_>>>()?.iter())?])
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Firsts> {
        let schema = &self.empty.schema;
        let mut types = types_of(schema);
        types.push(DataType::UInt64);
        let mut firsts = self.state();
        for rows in unpack(bytes, &types)? {
            let numbers = rows.column(types.len() - 1).as_primitive::<UInt64Type>();
            let first = numbers.values().first().copied().ok_or_else(|| bad("a batch without rows"))?;
            firsts.state.rows.push((first, under(schema, &rows)?));
        }
        Ok(firsts)
    }
}

impl PipelineRun<'_> {
    /// The first of equal rows, which are in parts on disk.
    pub fn distinct_parts(&self, parts: &Parts, on: &[usize], disk: &Disk<'_>) -> Result<Left> {
        let schema = &self.pipeline.schema;
        let at = schema.fields().len();
        let source = self.by_part(schema, disk, &[], |part, each| {
            let mut state = DistinctState::new(on, schema)?;
            let mut held = self.budget.hold();
            for stored in &parts.lists[part] {
                if let Some((_, rows)) = state.push(on, &stored.load()?, 0)? {
                    each(as_run(&rows, at, schema)?)?;
                }
                held.set(state.nbytes(), "keys of one of 128 parts of the rows")?;
            }
            Ok(())
        })?;
        Ok(Left::Rows(Arc::new(source), 0))
    }
}
