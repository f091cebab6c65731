//! What a Parquet file says of its values: statistics of row groups, and of pages where there is an index of them.

use super::{ParquetSource, Part};
use crate::block::{BatchSource, Bound, Facts};
use arrow::array::{Array, ArrayRef, UInt64Array};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{ColumnOrder, SortOrder, Type};
use parquet::file::metadata::ParquetMetaData;
use std::collections::HashMap;
use std::ops::Range;

/// Statistics of one column, by row group or by page.
struct Statistics {
    min: ArrayRef,
    max: ArrayRef,
    nulls: UInt64Array,
    rows: Vec<usize>,
}

impl Statistics {
    fn facts(&self, k: usize) -> Facts {
        let end = |ends: &ArrayRef| (k < ends.len() && ends.is_valid(k)).then(|| ends.slice(k, 1));
        let nulls = (k < self.nulls.len() && self.nulls.is_valid(k)).then(|| self.nulls.value(k));
        Facts { min: end(&self.min), max: end(&self.max), nulls, rows: self.rows.get(k).map(|&n| n as u64) }
    }
}

/// The parts of a source, and of each the rows, that may meet a bound.
pub(super) fn parts_within(source: &ParquetSource, bound: &Bound) -> Vec<Part> {
    let mut columns = vec![];
    bound.columns(&mut columns);
    columns.sort_unstable();
    columns.dedup();
    let groups = of_groups(source, &columns);
    let facts = |group: usize| {
        let groups = &groups;
        move |column: usize| groups.get(&column).map_or(Facts::default(), |s| s.facts(group))
    };
    let mut parts: Vec<Part> = source.parts.clone();
    parts.retain(|part| bound.may_hold(&facts(part.group)));
    let large = parts.iter().any(|p| source.metadata().row_group(p.group).num_rows() > 1 << 14);
    let Some(index) = large.then(|| source.index()).flatten() else { return parts };
    let index = index.metadata();
    let mut of_group: HashMap<usize, Vec<Range<usize>>> = HashMap::new();
    for part in &mut parts {
        let rows =
            of_group.entry(part.group).or_insert_with(|| rows_within(source, index, part.group, bound));
        part.rows = both(&part.rows, rows);
    }
    parts.retain(|part| !part.rows.is_empty());
    parts
}

/// The leaf column that is all of a column of the schema, if one is and its statistics can be relied on.
pub(super) fn leaf(metadata: &ParquetMetaData, column: usize) -> Option<usize> {
    let schema = metadata.file_metadata().schema_descr();
    let mut leaves = (0..schema.num_columns()).filter(|&l| schema.get_column_root_idx(l) == column);
    let (leaf, None) = (leaves.next()?, leaves.next()) else { return None };
    let primitive = schema.root_schema().get_fields().get(column)?.is_primitive();
    let known_order = match metadata.file_metadata().column_order(leaf) {
        ColumnOrder::TYPE_DEFINED_ORDER(order) => order != SortOrder::UNDEFINED,
        // files from before orders were written: those of plain signed numbers were never in doubt
        ColumnOrder::UNDEFINED => {
            let of = schema.column(leaf);
            let signed = ColumnOrder::sort_order_for_type(
                of.logical_type_ref(),
                of.converted_type(),
                of.physical_type(),
            ) == SortOrder::SIGNED;
            signed && matches!(of.physical_type(), Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE)
        }
        _ => false,
    };
    (primitive && schema.column(leaf).max_rep_level() == 0 && known_order).then_some(leaf)
}

/// By column: statistics of all row groups, where they are of use.
fn of_groups(source: &ParquetSource, columns: &[usize]) -> HashMap<usize, Statistics> {
    let metadata = source.metadata();
    let groups = metadata.row_groups();
    let rows: Vec<usize> = groups.iter().map(|g| g.num_rows() as usize).collect();
    let of = |&column: &usize| {
        let leaf = leaf(metadata, column)?;
        // old writers compared bytes of text and of unsigned numbers as if they had a sign
        let old = |g: &parquet::file::metadata::RowGroupMetaData| {
            let ends =
                |s: &parquet::file::statistics::Statistics| s.min_bytes_opt().or(s.max_bytes_opt()).is_some();
            g.column(leaf).statistics().is_some_and(|s| s.is_min_max_deprecated() && ends(s))
        };
        if groups.iter().any(old) {
            return None;
        }
        let converter = StatisticsConverter::from_column_index(
            leaf,
            source.schema().field(column),
            metadata.file_metadata().schema_descr(),
        );
        let converter = converter.ok()?.with_missing_null_counts_as_zero(false);
        let statistics = Statistics {
            min: converter.row_group_mins(groups).ok()?,
            max: converter.row_group_maxes(groups).ok()?,
            nulls: converter.row_group_null_counts(groups).ok()?,
            rows: rows.clone(),
        };
        Some((column, statistics))
    };
    columns.iter().filter_map(of).collect()
}

/// The rows of a row group whose pages may meet a bound.
fn rows_within(
    source: &ParquetSource,
    index: &ParquetMetaData,
    group: usize,
    bound: &Bound,
) -> Vec<Range<usize>> {
    let total = index.row_group(group).num_rows() as usize;
    match bound {
        Bound::All(all) => {
            let each = all.iter().map(|b| rows_within(source, index, group, b));
            each.fold(all_of(total), |rows, more| both(&rows, &more))
        }
        Bound::Any(any) => {
            let each = any.iter().map(|b| rows_within(source, index, group, b));
            each.fold(vec![], |rows, more| either(&rows, &more))
        }
        Bound::Compare { column, .. } | Bound::Null { column, .. } => {
            let Some((ends, statistics)) = of_pages(source, index, group, *column) else {
                return all_of(total);
            };
            let mut rows = vec![];
            for (k, start) in ends.iter().enumerate() {
                let end = ends.get(k + 1).copied().unwrap_or(total);
                if bound.may_hold(&|_| statistics.facts(k)) {
                    rows.push(*start..end);
                }
            }
            either(&rows, &[])
        }
    }
}

fn all_of(total: usize) -> Vec<Range<usize>> {
    std::iter::once(0..total).collect()
}

/// Where the pages of a column start, and what is said of each.
fn of_pages(
    source: &ParquetSource,
    index: &ParquetMetaData,
    group: usize,
    column: usize,
) -> Option<(Vec<usize>, Statistics)> {
    let leaf = leaf(index, column)?;
    let (pages, offsets) = (index.column_index()?, index.offset_index()?);
    let locations = offsets.get(group)?.get(leaf)?.page_locations();
    pages.get(group)?.get(leaf)?;
    let total = index.row_group(group).num_rows() as usize;
    let starts: Vec<usize> =
        locations.iter().map(|p| usize::try_from(p.first_row_index).ok()).collect::<Option<_>>()?;
    let in_order =
        starts.first() == Some(&0) && starts.windows(2).all(|w| w[0] < w[1]) && starts.last() < Some(&total);
    if !in_order {
        return None;
    }
    let converter = StatisticsConverter::from_column_index(
        leaf,
        source.schema().field(column),
        index.file_metadata().schema_descr(),
    )
    .ok()?;
    let ends = starts.iter().skip(1).copied().chain([total]);
    let statistics = Statistics {
        min: converter.data_page_mins(pages, offsets, [&group]).ok()?,
        max: converter.data_page_maxes(pages, offsets, [&group]).ok()?,
        nulls: converter.data_page_null_counts(pages, offsets, [&group]).ok()?,
        rows: ends.zip(&starts).map(|(end, start)| end - start).collect(),
    };
    let all = [statistics.min.len(), statistics.max.len(), statistics.nulls.len()];
    (all == [starts.len(); 3]).then_some((starts, statistics))
}

/// The rows in both of two lists of ranges, which are in order.
fn both(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut i, mut j, mut out) = (0, 0, vec![]);
    while i < a.len() && j < b.len() {
        let rows = a[i].start.max(b[j].start)..a[i].end.min(b[j].end);
        if !rows.is_empty() {
            out.push(rows);
        }
        if a[i].end < b[j].end { i += 1 } else { j += 1 }
    }
    out
}

/// The rows in one of two lists of ranges, neighbours joined.
fn either(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = a.iter().chain(b).cloned().collect();
    all.sort_unstable_by_key(|r| r.start);
    let mut out: Vec<Range<usize>> = vec![];
    for rows in all {
        match out.last_mut() {
            Some(last) if rows.start <= last.end => last.end = last.end.max(rows.end),
            _ => out.push(rows),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_join() {
        let (a, b) = ([0..5, 8..9, 10..20], [3..12, 19..30]);
        assert_eq!(both(&a, &b), [3..5, 8..9, 10..12, 19..20]);
        assert_eq!(either(&a, &b), all_of(30));
        assert_eq!(either(&[0..2, 2..4], &[]), all_of(4));
        assert!(both(&a, &[]).is_empty());
    }
}
