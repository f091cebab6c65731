//! Groups as rows, on disk and between machines: keys, accumulators and where each came first; beside them what is kept for the host's folds.
//!
//! Between machines a span's groups are cut by the parts that they would be in here (256, by a hash of their keys): a machine puts a range of
//! parts together, of all spans in order, so every group is merged as it is in a local run. What it makes are rows of the result with their
//! part and where they came first, by which whoever wants them puts all in the order that a local run leaves.

use super::super::evaluate::{batch, internal};
use super::super::pipeline::Left;
use super::super::share::Pieces;
use super::super::store::{Stored, StoredRows, unnamed};
use super::super::travel::{bad, pack, types_of, under, unpack, unpack_each, with_columns};
use super::GroupState;
use super::all::{Cut, Firsts, GroupFold, PARTED, PARTS, Part, Span};
use super::host::Rows;
use crate::error::Result;
use crate::plan::frame::HostFold;
use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, RecordBatch, UInt32Array, UInt64Array, new_empty_array,
};
use arrow::buffer::Buffer;
use arrow::compute::{concat, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, UInt32Type, UInt64Type};
use std::ops::Range;
use std::sync::Arc;

/// Some groups as rows.
pub(super) fn rows_of(state: &GroupState, groups: &[u32], firsts: &Firsts) -> Result<RecordBatch> {
    let mut columns = state.keys.columns_of(groups.iter().copied())?;
    let record = state.folds.record();
    if record > 0 {
        let bytes = Buffer::from(state.folds.bytes(groups));
        columns.push(Arc::new(FixedSizeBinaryArray::try_new(record as i32, bytes, None).map_err(internal)?));
    }
    columns.push(Arc::new(UInt64Array::from_iter_values(groups.iter().map(|&g| firsts.of(g)))));
    unnamed(columns, groups.len())
}

/// What is kept of groups as rows.
pub(super) fn rows_of_kept(kept: Rows) -> Result<RecordBatch> {
    let rows = kept.groups.len();
    let values: Vec<&dyn Array> = kept.values.iter().map(|v| v.as_ref()).collect();
    let values = concat(&values).map_err(internal)?;
    unnamed(vec![Arc::new(UInt32Array::from(kept.groups)), values], rows)
}

/// The same from rows.
pub(super) fn kept_of(rows: &RecordBatch) -> Rows {
    let groups = rows.column(0).as_primitive::<UInt32Type>().values().to_vec();
    Rows { groups, values: vec![rows.column(1).clone()] }
}

impl Cut {
    /// Several cuts of one state as one.
    fn join(cuts: &[Cut]) -> Cut {
        let mut all = Cut { groups: vec![], kept: cuts.first().map_or(vec![], |c| vec![None; c.kept.len()]) };
        for cut in cuts {
            let first = all.groups.len() as u32;
            all.groups.extend(&cut.groups);
            for (all, kept) in all.kept.iter_mut().zip(&cut.kept) {
                if let Some(kept) = kept {
                    let all = all.get_or_insert_default();
                    all.groups.extend(kept.groups.iter().map(|g| first + g));
                    all.values.extend(kept.values.iter().cloned());
                }
            }
        }
        all
    }
}

impl GroupFold<'_> {
    /// Groups from rows, each where it is there, and where it came first. A group may be there twice: they are told apart when they are merged.
    pub(super) fn groups_of(&self, rows: &RecordBatch) -> Result<(GroupState, UInt64Array)> {
        let columns = rows.columns();
        let (keys, rest) = columns.split_at(self.plan.keys);
        let mut state = self.empty.part();
        let mut slots = vec![0; rows.num_rows()];
        state.keys.append(keys, &mut slots)?;
        if let [records, _] = rest {
            state.folds.load(records.as_fixed_size_binary().value_data(), rows.num_rows());
        }
        Ok((state, columns[columns.len() - 1].as_primitive::<UInt64Type>().clone()))
    }

    /// Types of the columns of the values that are kept for a fold of the host's.
    fn kept_types(&self, fold: usize) -> Vec<DataType> {
        let values = match &self.plan.hosts[fold] {
            // a span has made states of the rows
            HostFold::User(fold, _) => fold.state(),
            _ => &self.plan.program.outputs[self.plan.keys + fold].1,
        };
        vec![DataType::UInt32, values.clone()]
    }

    fn types(&self) -> Vec<DataType> {
        let keys = self.plan.program.outputs[..self.plan.keys].iter().map(|(_, t)| t.clone());
        let record = self.empty.folds.record();
        let records = (record > 0).then_some(DataType::FixedSizeBinary(record as i32));
        keys.chain(records).chain([DataType::UInt64]).collect()
    }

    /// Some groups of a span as bytes.
    fn packed(&self, span: usize, state: &GroupState, cut: Cut) -> Result<Vec<u8>> {
        let mut rows = vec![rows_of(state, &cut.groups, &Firsts::Span(span))?];
        for (k, kept) in cut.kept.into_iter().enumerate() {
            let none = || Rows { groups: vec![], values: vec![new_empty_array(&self.kept_types(k)[1])] };
            rows.push(rows_of_kept(kept.unwrap_or_else(none))?);
        }
        pack(rows.iter())
    }

    /// Groups from bytes.
    pub(super) fn unpacked(&self, bytes: Vec<u8>) -> Result<(GroupState, Cut, UInt64Array)> {
        let mut rows = unpack_each(bytes, |k| match k.checked_sub(1) {
            None => self.types(),
            Some(k) if k < self.plan.hosts.len() => self.kept_types(k),
            Some(_) => vec![],
        })?;
        if rows.len() != 1 + self.plan.hosts.len() {
            return Err(bad(format!("{} tables of groups", rows.len())));
        }
        let kept = rows.split_off(1);
        let groups = rows[0].num_rows();
        if rows[0].columns().iter().skip(self.plan.keys).any(|c| c.null_count() > 0)
            || self.plan.keys == 0 && groups > 1
        {
            return Err(bad("groups that cannot be"));
        }
        let (state, first) = self.groups_of(&rows[0])?;
        let mut cut = Cut { groups: (0..groups as u32).collect(), kept: vec![] };
        for rows in &kept {
            let kept = kept_of(rows);
            if rows.column(0).null_count() > 0 || kept.groups.iter().any(|&g| g as usize >= groups) {
                return Err(bad("values of no group"));
            }
            cut.kept.push((!kept.groups.is_empty()).then_some(kept));
        }
        Ok((state, cut, first))
    }

    /// A span for other machines: a piece for each range of parts; without keys one.
    pub(super) fn export_cut(
        &self,
        number: usize,
        mut span: Span,
        cuts: &[Range<usize>],
    ) -> Result<Vec<Vec<u8>>> {
        if self.plan.keys == 0 {
            return Ok(vec![self.packed(number, &span.state, span.state.uncut()?)?]);
        }
        let parts = span.cuts()?;
        cuts.iter().map(|of| self.packed(number, &span.state, Cut::join(&parts[of.clone()]))).collect()
    }

    /// The groups of a range of parts, put together of all spans, as bytes.
    pub fn merge_cut(&self, pieces: &Pieces<'_>) -> Result<Vec<u8>> {
        let mut whole = Part::new(self.empty.part());
        let mut held = self.budget.hold();
        for unit in 0..pieces.count() {
            for bytes in pieces.spans(unit)? {
                let (state, cut, first) = self.unpacked(bytes)?;
                whole.merge(&state, &cut, true, |g| first.value(g as usize))?;
                held.set(whole.state.nbytes() + state.nbytes(), "a range of the groups' parts")?;
            }
        }
        let rows = whole.state.finish(self.plan, self.schema)?;
        let lists = whole.state.keys.partition(PARTS);
        let part = |(part, list): (usize, &Vec<u32>)| std::iter::repeat_n(part as u32, list.len());
        let parts: UInt32Array = lists.iter().enumerate().flat_map(part).collect();
        let order = lists.concat();
        let first = UInt64Array::from_iter_values(order.iter().map(|&g| whole.first[g as usize]));
        let rows = take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)?;
        pack([with_columns(&rows, vec![Arc::new(parts), Arc::new(first)])?].iter())
    }

    /// All groups from those of all ranges: few in the order of their first rows, many in that of their parts.
    pub fn put_together(&self, pieces: &Pieces<'_>) -> Result<Left> {
        let mut types = types_of(self.schema);
        let width = types.len();
        types.extend([DataType::UInt32, DataType::UInt64]);
        let (mut groups, mut first, mut stored) = (0, vec![], vec![]);
        let (mut bytes, mut held) = (0, self.budget.hold());
        for number in 0..pieces.count() {
            for rows in unpack(pieces.get(number)?, &types)? {
                groups += rows.num_rows();
                // of many their order is that of the parts
                if groups <= PARTED {
                    first.extend_from_slice(rows.column(width + 1).as_primitive::<UInt64Type>().values());
                }
                let parts = rows.column(width).as_primitive::<UInt32Type>();
                let own = under(self.schema, &rows)?;
                let mut at = 0;
                for part in parts.values().chunk_by(|a, b| a == b) {
                    let rows = own.slice(at, part.len());
                    at += part.len();
                    let tight = groups > PARTED && self.budget.is_tight();
                    stored.push(if tight { self.disk.write(&rows)? } else { Stored::Memory(rows) });
                    bytes += stored.last().map_or(0, Stored::held);
                    held.set(bytes, "groups, together")?;
                }
            }
        }
        if groups > PARTED {
            return Ok(Left::stored(StoredRows::new(self.schema, stored)));
        }
        let batches = stored.iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
        let mut order: Vec<u32> = (0..groups as u32).collect();
        order.sort_unstable_by_key(|&g| first[g as usize]);
        let rows = match batches.is_empty() {
            true => batch(
                self.schema,
                self.schema.fields().iter().map(|f| new_empty_array(f.data_type())).collect(),
                0,
            )?,
            false => concat_batches(self.schema, &batches).map_err(internal)?,
        };
        let rows = take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)?;
        Ok(Left::memory(self.schema, vec![rows]))
    }
}
