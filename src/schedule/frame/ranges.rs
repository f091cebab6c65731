//! A sort on many machines: spans are sorted side by side, their runs cut by ranges of keys, and each range merged by one machine.
//!
//! ```text
//! spans -> runs, and some keys of each       everyone has all of those keys, so all know the parts that a local run would cut the result into
//!       -> runs cut by ranges of parts       some parts that follow each other, a number of them that is known before the run
//!       -> ranges merged, part by part       read in order by whoever wants the rows
//! ```

use super::share::{Came, Give, Pieces};
use super::sort::{Head, Place, Run, Sort, Sorted, cuts_of, with_key};
use super::store::{project, unnamed};
use super::travel::{bad, pack, rows_of, types_of, under, unpack_each};
use crate::block::BatchSource;
use crate::block::batch::{PART, batch_bytes, in_pieces};
use crate::error::{Error, ErrorKind, Result};
use crate::schedule::workers::run_spans;
use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef, UInt64Type};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Ranges of parts.
pub(super) const RANGES: usize = 256;

/// More rows than any run has.
const MOST_ROWS: u64 = 1 << 48;

/// The parts, of so many, of ranges.
pub(super) fn parts_of(ranges: &Range<usize>, parts: usize) -> Range<usize> {
    let first = |range: usize| (range as u128 * parts as u128 / RANGES as u128) as usize;
    first(ranges.start)..first(ranges.end)
}

/// The range of a part.
fn range_of(part: usize, parts: usize) -> usize {
    ((part as u128 + 1) * RANGES as u128).div_ceil(parts.max(1) as u128) as usize - 1
}

fn numbers(values: Vec<u64>) -> ArrayRef {
    Arc::new(UInt64Array::from(values))
}

fn numbers_of(rows: &RecordBatch, column: usize) -> Result<&[u64]> {
    let column = rows.columns().get(column).and_then(|c| c.as_primitive_opt::<UInt64Type>());
    let column = column.filter(|c| c.null_count() == 0);
    column.map(|c| &c.values()[..]).ok_or_else(|| bad("numbers that are none"))
}

fn one(column: ArrayRef) -> Result<RecordBatch> {
    let rows = column.len();
    unnamed(vec![column], rows)
}

/// What is known of the runs of a span, as bytes.
pub(super) fn pack_heads(runs: &[Run]) -> Result<Vec<u8>> {
    let heads: Vec<&Head> = runs.iter().map(|r| &r.head).collect();
    let of = |f: fn(&Head) -> u64| numbers(heads.iter().map(|h| f(h)).collect());
    let mut rows = vec![unnamed(vec![of(|h| h.rows as u64), of(|h| h.bytes as u64)], heads.len())?];
    for head in heads {
        let keys: ArrayRef =
            Arc::new(LargeBinaryArray::from_iter_values(head.samples.iter().map(|(k, _)| k)));
        let places = numbers(head.samples.iter().map(|(_, row)| *row as u64).collect());
        rows.push(unnamed(vec![keys, places], head.samples.len())?);
    }
    pack(rows.iter())
}

fn keyed(rows: &RecordBatch) -> Result<Vec<(Box<[u8]>, usize)>> {
    let keys = rows.column(0).as_binary::<i64>().iter().map(|k| k.unwrap_or_default().into());
    Ok(keys.zip(numbers_of(rows, 1)?.iter().map(|&n| n as usize)).collect())
}

fn heads_of(bytes: Vec<u8>) -> Result<Vec<Head>> {
    let rows = unpack_each(bytes, |k| match k {
        0 => vec![DataType::UInt64; 2],
        _ => vec![DataType::LargeBinary, DataType::UInt64],
    })?;
    let Some((all, samples)) = rows.split_first().filter(|(all, s)| all.num_rows() == s.len()) else {
        return Err(bad("runs without keys"));
    };
    let sizes = numbers_of(all, 0)?.iter().zip(numbers_of(all, 1)?);
    let head = |((&rows, &bytes), samples): ((&u64, &u64), &RecordBatch)| {
        Ok(Head { rows: rows as usize, bytes: bytes as usize, samples: keyed(samples)? })
    };
    sizes.zip(samples).map(head).collect()
}

impl Sort<'_> {
    /// Cuts the runs of some units by the ranges that each machine of the next stage merges.
    pub fn cut_ranges(
        &self,
        (heads, runs): (&Pieces<'_>, &Pieces<'_>),
        units: Range<usize>,
        cuts: &[Range<usize>],
        give: Give<'_>,
    ) -> Result<()> {
        let mut all = vec![];
        let mut first = vec![];
        for unit in 0..heads.count() {
            first.push(all.len());
            for bytes in heads.spans(unit)? {
                all.extend(heads_of(bytes)?);
            }
        }
        let places: Vec<Place> = match all.as_slice() {
            // a run alone is in order already, and has the parts of rows that are kept
            [one] => {
                let starts = one.samples.iter().filter(|(_, row)| *row > 0 && row % PART == 0);
                starts.map(|(key, row)| Place { key: key.clone(), run: 0, row: *row }).collect()
            }
            all => cuts_of(all.iter(), self.budget),
        };
        let parts = if all.is_empty() { 0 } else { places.len() + 1 };
        for unit in units {
            if self.rt.cancel.load(Relaxed) {
                return Err(ErrorKind::Cancelled.into());
            }
            let mut own = vec![];
            for bytes in runs.spans(unit)? {
                own.extend(rows_of(bytes, &with_key(self.schema))?);
            }
            let mut held = self.budget.hold();
            held.set(own.iter().map(batch_bytes).sum(), "runs of a span")?;
            for (cut, ranges) in cuts.iter().enumerate() {
                let of = parts_of(ranges, parts);
                let none = of.is_empty();
                let low = of.start.checked_sub(1).and_then(|p| places.get(p)).filter(|_| !none);
                let high = of.end.checked_sub(1).and_then(|p| places.get(p)).filter(|_| !none);
                let between = places.get(of.start..of.end.saturating_sub(1)).unwrap_or_default();
                let mut sliced = vec![];
                let mut starts = vec![parts as u64];
                for (k, rows) in own.iter().enumerate() {
                    let run = first[unit] + k;
                    let a = low.map_or(0, |place| place.in_rows(rows, run, 0));
                    let b = high.map_or(rows.num_rows(), |place| place.in_rows(rows, run, 0));
                    starts.push(a as u64);
                    sliced.push(rows.slice(a, if none { 0 } else { b.saturating_sub(a) }));
                }
                let keys: ArrayRef =
                    Arc::new(LargeBinaryArray::from_iter_values(between.iter().map(|p| &p.key)));
                let at = |f: fn(&Place) -> usize| numbers(between.iter().map(|p| f(p) as u64).collect());
                let places = unnamed(vec![keys, at(|p| p.run), at(|p| p.row)], between.len())?;
                let mut batches = vec![one(numbers(starts))?, places];
                batches.extend(sliced);
                give(cut, unit, pack(batches.iter())?)?;
            }
        }
        Ok(())
    }

    /// Merges ranges of all runs; of each, its parts in order.
    pub fn merge_ranges(&self, pieces: &Pieces<'_>, ranges: Range<usize>, give: Give<'_>) -> Result<()> {
        let schema = with_key(self.schema);
        let (mut runs, mut places, mut parts, mut held) = (vec![], vec![], 0, self.budget.hold());
        for unit in 0..pieces.count() {
            let mut rows = unpack_each(pieces.get(unit)?, |k| match k {
                0 => vec![DataType::UInt64],
                1 => vec![DataType::LargeBinary, DataType::UInt64, DataType::UInt64],
                _ => types_of(&schema),
            })?;
            if rows.len() < 2 {
                return Err(bad("ranges without places"));
            }
            let of_runs = rows.split_off(2);
            let [all, starts @ ..] = numbers_of(&rows[0], 0)? else { return Err(bad("ranges of nothing")) };
            if starts.len() != of_runs.len() {
                return Err(bad("runs without places"));
            }
            parts = usize::try_from(*all).map_err(|_| bad("parts beyond all"))?;
            let keyed = keyed(&rows[1])?.into_iter().zip(numbers_of(&rows[1], 2)?);
            places = keyed.map(|((key, run), &row)| Place { key, run, row: row as usize }).collect();
            for (rows, &first) in of_runs.iter().zip(starts) {
                let first = usize::try_from(first).ok().filter(|_| first < MOST_ROWS);
                let mut run = Run::from(first.ok_or_else(|| bad("a row beyond all"))?);
                run.extend(&under(&schema, rows)?, self.budget.is_tight().then_some(self.disk))?;
                runs.push(run);
            }
            held.set(runs.iter().map(Run::held).sum(), "a range of the sorted rows")?;
        }
        let of = parts_of(&ranges, parts);
        if of.len() != if of.is_empty() { 0 } else { places.len() + 1 } {
            return Err(bad(format!("{} places between {} parts", places.len(), of.len())));
        }
        let sorted = Sorted::of(schema, runs, places, self.budget);
        let (rt, first) = (self.rt, of.start);
        run_spans(
            rt,
            rt.threads,
            ranges.len(),
            || (),
            |k, _, (), _| {
                let range = ranges.start + k;
                let (mut counts, mut batches, mut held) = (vec![parts as u64], vec![], self.budget.hold());
                let mut bytes = 0;
                for part in parts_of(&(range..range + 1), parts) {
                    let before = batches.len();
                    sorted.read_rows(part - first, false, &mut |rows| {
                        bytes += batch_bytes(&rows);
                        held.set(2 * bytes, "a range of the sorted rows")?;
                        batches.push(rows);
                        Ok(true)
                    })?;
                    counts.push((batches.len() - before) as u64);
                }
                batches.insert(0, one(numbers(counts))?);
                give(0, range, pack(batches.iter())?)
            },
        )
    }
}

/// The rows of a sort that others merged by ranges, in order; parts are those of a local run.
pub(super) struct Ranges {
    schema: SchemaRef,
    came: Arc<dyn Came>,
    stage: usize,
    parts: usize,
    bytes: usize,
}

impl Ranges {
    pub fn new(schema: &SchemaRef, came: &Arc<dyn Came>, stage: usize) -> Result<Ranges> {
        let len = |range: &usize| came.len(stage, 0, *range);
        let bytes = (0..came.count(stage)).map(|range| len(&range)).max().unwrap_or(0);
        let mut all = Ranges { schema: schema.clone(), came: came.clone(), stage, parts: 0, bytes };
        // some may be for other machines
        let any = (0..came.count(stage)).find(|range| len(range) > 0).unwrap_or(0);
        all.parts = all.range(any)?.0;
        Ok(all)
    }

    /// The number of all parts, and the batches of each part of a range.
    fn range(&self, range: usize) -> Result<(usize, Vec<Vec<RecordBatch>>)> {
        let types = |k: usize| if k == 0 { vec![DataType::UInt64] } else { types_of(&self.schema) };
        let rows = unpack_each(self.came.piece(self.stage, 0, range)?, types)?;
        let Some((counts, mut rest)) = rows.split_first() else { return Err(bad("a range of nothing")) };
        let [all, counts @ ..] = numbers_of(counts, 0)? else { return Err(bad("a range of nothing")) };
        let all = usize::try_from(*all).map_err(|_| bad("parts beyond all"))?;
        if parts_of(&(range..range + 1), all).len() != counts.len() {
            return Err(bad(format!("{} parts of {all} in range {range}", counts.len())));
        }
        let mut parts = vec![];
        for &count in counts {
            let count = usize::try_from(count).ok().filter(|&n| n <= rest.len());
            let (part, others) = rest.split_at(count.ok_or_else(|| bad("batches beyond all"))?);
            parts.push(part.iter().map(|rows| under(&self.schema, rows)).collect::<Result<_>>()?);
            rest = others;
        }
        Ok((all, parts))
    }
}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranges(stage {}, {} parts)", self.stage, self.parts)
    }
}

impl BatchSource for Ranges {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        "sorted ranges".into()
    }

    fn parts(&self) -> usize {
        self.parts
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let range = range_of(part, self.parts);
        let (all, parts) = self.range(range)?;
        let place = part - parts_of(&(range..range + 1), self.parts).start;
        let Some(rows) = parts.get(place).filter(|_| all == self.parts) else {
            return Err(Error::internal(format!("part {part} of {all}")));
        };
        for rows in rows {
            if !in_pieces(&project(rows, columns)?, each)? {
                break;
            }
        }
        Ok(())
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        1 + self.bytes
    }
}
