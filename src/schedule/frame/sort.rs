//! Sorting: rows are put in order a few at a time, as *runs*; what is left is a source whose parts are ranges of keys, and reading a part
//! merges what the runs have of it.
//!
//! Runs beyond what memory holds are on disk, in pieces. A row's place is its key, then its run, then its place there, which differ for
//! any two rows: so a part begins and ends anywhere, even between equal keys, and the order does not depend on where runs were cut.

use super::super::Runtime;
use super::budget::Budget;
use super::evaluate::{batch, evaluate, internal};
use super::pipeline::{Gather, Left};
use super::ranges::pack_heads;
use super::store::{Disk, Stored, StoredRows, project};
use super::travel::{pack, rows_of};
use crate::block::BatchSource;
use crate::block::batch::{PIECE, batch_bytes, in_pieces};
use crate::error::Result;
use crate::plan::frame::SortPlan;
use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, RecordBatch, UInt32Array};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{SortOptions, concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Schema, SchemaRef};
use arrow_row::{RowConverter, SortField};
use std::ops::Range;
use std::sync::Arc;

/// Rows between two keys of a run that are considered as the ends of parts.
const SAMPLE: usize = 1 << 11;

/// Rows in order, with their keys in a last column, as bytes that compare as the keys do.
pub(super) struct Run {
    pieces: Vec<Piece>,
    pub head: Head,
}

/// What is known of a run without its rows.
#[derive(Default)]
pub(super) struct Head {
    /// Keys of some rows, and their places.
    pub samples: Vec<(Box<[u8]>, usize)>,
    pub rows: usize,
    /// Bytes of the rows, in memory or not.
    pub bytes: usize,
}

struct Piece {
    /// Place of the first row, and its key.
    first: usize,
    key: Box<[u8]>,
    rows: Stored,
}

/// Name of the column of keys.
const KEY: &str = "\0key";

/// The columns of a run, given those of its rows.
pub(super) fn with_key(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone());
    let key = Field::new(KEY, DataType::LargeBinary, false);
    Arc::new(Schema::new(fields.chain([key]).collect::<Vec<_>>()))
}

fn keys_of(rows: &RecordBatch) -> &LargeBinaryArray {
    rows.column(rows.num_columns() - 1).as_binary()
}

impl Run {
    pub fn empty() -> Run {
        Run::from(0)
    }

    /// The rows of a run from this place on.
    pub fn from(rows: usize) -> Run {
        Run { pieces: vec![], head: Head { rows, ..Head::default() } }
    }

    /// Takes more rows, which come after those that are there; their last column is the keys. They stay in memory in one piece, or go to
    /// disk in many.
    pub fn extend(&mut self, rows: &RecordBatch, disk: Option<&Disk<'_>>) -> Result<()> {
        let (n, bytes) = (rows.num_rows(), batch_bytes(rows));
        if n == 0 {
            return Ok(());
        }
        let keys = keys_of(rows);
        let at_once = match disk {
            Some(disk) => (disk.budget.piece() * n / bytes.max(1)).clamp(64, n.max(64)),
            None => n,
        };
        for at in (0..n).step_by(at_once) {
            let part = rows.slice(at, at_once.min(n - at));
            let rows = match disk {
                Some(disk) => disk.write(&part)?,
                None => Stored::Memory(part),
            };
            self.pieces.push(Piece { first: self.head.rows + at, key: keys.value(at).into(), rows });
        }
        let first = self.head.rows;
        self.head.samples.extend((0..n).step_by(SAMPLE).map(|at| (keys.value(at).into(), first + at)));
        self.head.rows += n;
        self.head.bytes += bytes;
        Ok(())
    }

    /// Bytes of memory that it takes.
    pub fn held(&self) -> usize {
        let keys: usize = self.head.samples.iter().map(|(k, _)| k.len() + 24).sum();
        keys + self.pieces.iter().map(|p| p.key.len() + 64 + p.rows.held()).sum::<usize>()
    }
}

/// A root that sorts.
pub(super) struct Sort<'a> {
    pub plan: &'a SortPlan,
    pub schema: &'a SchemaRef,
    pub rt: &'a Runtime<'a>,
    pub disk: &'a Disk<'a>,
    pub budget: &'a Budget,
}

/// The rows of a span that are in no run yet, and its runs.
#[derive(Default)]
pub(super) struct SortState {
    rows: Vec<RecordBatch>,
    bytes: usize,
    runs: Vec<Run>,
    held: usize,
}

impl Sort<'_> {
    /// Bytes of a run, whatever the number of threads: runs shape the parts of the result, and those later folds.
    fn most(&self) -> usize {
        self.budget.share(6).min(256 << 20)
    }

    /// Makes a run of the rows that are in none.
    fn cut(&self, state: &mut SortState) -> Result<()> {
        if state.bytes == 0 && state.rows.iter().all(|r| r.num_rows() == 0) {
            return Ok(());
        }
        let rows = concat_batches(self.schema, &state.rows).map_err(internal)?;
        (state.rows, state.bytes) = (vec![], 0);
        let rows = self.sorted(rows)?;
        let mut run = Run::empty();
        run.extend(&rows, self.budget.is_tight().then_some(self.disk))?;
        state.held += run.held();
        state.runs.push(run);
        Ok(())
    }

    /// Rows in order; equal ones in the order in which they are. Their keys are the last column.
    fn sorted(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let plan = self.plan;
        let columns: Vec<ArrayRef> =
            evaluate(&plan.keys, &rows, self.rt.kernels)?.into_iter().map(one_nan).collect();
        let field = |((_, t), &(descending, nulls_first)): (&(usize, _), &(bool, bool))| {
            SortField::new_with_options(DataType::clone(t), SortOptions { descending, nulls_first })
        };
        let fields = plan.keys.outputs.iter().zip(&plan.options).map(field).collect();
        let converter = RowConverter::new(fields).map_err(internal)?;
        let keys = converter.convert_columns(&columns).map_err(internal)?;
        let key = |i: u32| keys.row(i as usize).data();
        let n = rows.num_rows();
        let skip = common_prefix((0..n).map(|i| keys.row(i).data()));
        let mut order: Vec<(u64, u32)> = (0..n as u32).map(|i| (prefix(key(i), skip), i)).collect();
        order.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))).then_with(|| a.1.cmp(&b.1))
        });
        order.truncate(plan.keep);
        let order: Vec<u32> = order.into_iter().map(|(_, i)| i).collect();
        let sorted = binary(order.iter().map(|&i| key(i)), keys.size());
        let rows = take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)?;
        let columns = rows.columns().iter().cloned().chain([sorted]).collect();
        batch(&with_key(self.schema), columns, rows.num_rows())
    }

    /// Of runs that hold many more rows than are wanted, the wanted ones.
    fn keep(&self, runs: Vec<Run>) -> Result<Vec<Run>> {
        if runs.iter().map(|r| r.head.rows).sum::<usize>() <= self.plan.keep {
            return Ok(runs);
        }
        let sorted = Sorted::new(with_key(self.schema), runs, self.budget, &[]);
        let (mut first, mut left) = (Run::empty(), self.plan.keep);
        for part in 0..sorted.parts() {
            if left == 0 {
                break;
            }
            sorted.read_rows(part, true, &mut |rows| {
                let rows = rows.slice(0, left.min(rows.num_rows()));
                left -= rows.num_rows();
                first.extend(&rows, self.budget.is_tight().then_some(self.disk))?;
                Ok(left > 0)
            })?;
        }
        Ok(vec![first])
    }
}

/// Keys of numbers, which compare as they do.
pub(super) fn number_key(numbers: &[u64]) -> ArrayRef {
    let bytes: Vec<[u8; 8]> = numbers.iter().map(|n| n.to_be_bytes()).collect();
    binary(bytes.iter().map(|b| b.as_slice()), 8 * numbers.len())
}

/// A column of byte strings.
fn binary<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>, bytes: usize) -> ArrayRef {
    let mut offsets: Vec<i64> = Vec::with_capacity(values.len() + 1);
    let mut data: Vec<u8> = Vec::with_capacity(bytes);
    offsets.push(0);
    for value in values {
        data.extend_from_slice(value);
        offsets.push(data.len() as i64);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Arc::new(LargeBinaryArray::new(offsets, Buffer::from_vec(data), None))
}

/// The number of bytes at their start that all keys have in common.
fn common_prefix<'a>(mut keys: impl Iterator<Item = &'a [u8]>) -> usize {
    let Some(first) = keys.next() else { return 0 };
    let mut same = first.len();
    for key in keys {
        if key.get(..same) != Some(&first[..same]) {
            same = first.iter().zip(key).take(same).take_while(|(a, b)| a == b).count();
        }
    }
    same
}

/// Eight bytes of a key as a number that compares as they do; which must be told from 0 bytes by the key.
fn prefix(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(eight) => u64::from_be_bytes(*eight),
        None => {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(eight)
        }
    }
}

impl Gather for Sort<'_> {
    type State = SortState;
    type Whole = Vec<Run>;

    fn state(&self) -> SortState {
        SortState::default()
    }

    fn whole(&self) -> Result<Vec<Run>> {
        Ok(vec![])
    }

    fn push(&self, state: &mut SortState, _task: usize, rows: RecordBatch) -> Result<()> {
        state.bytes += batch_bytes(&rows);
        state.rows.push(rows);
        // the rows, the rows in order, and the keys of both
        if state.bytes > self.most() { self.cut(state) } else { Ok(()) }
    }

    fn seal(&self, state: &mut SortState) -> Result<()> {
        self.cut(state)
    }

    fn working(&self) -> usize {
        // the rows in one piece, in order, and their keys, where there are so many
        3 * self.most()
    }

    fn bytes(&self, state: &SortState) -> usize {
        state.bytes + state.held
    }

    fn merge(&self, whole: &mut Vec<Run>, _span: usize, state: SortState) -> Result<()> {
        whole.extend(state.runs);
        let rows: usize = whole.iter().map(|r| r.head.rows).sum();
        if rows > self.plan.keep.saturating_mul(2).max(SAMPLE) && self.plan.keep < usize::MAX {
            *whole = self.keep(std::mem::take(whole))?;
        }
        Ok(())
    }

    fn whole_bytes(&self, whole: &Vec<Run>) -> usize {
        whole.iter().map(Run::held).sum()
    }

    fn finish(&self, mut whole: Vec<Run>) -> Result<Left> {
        if self.plan.keep < usize::MAX && !whole.is_empty() {
            whole = self.keep(whole)?;
        }
        Sorted::new(with_key(self.schema), whole, self.budget, &[]).into_left()
    }

    fn export(&self, _span: usize, state: SortState, cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        let schema = with_key(self.schema);
        let whole = |run: &Run| {
            let pieces = run.pieces.iter().map(|p| p.rows.load()).collect::<Result<Vec<_>>>()?;
            concat_batches(&schema, &pieces).map_err(internal)
        };
        let runs = state.runs.iter().map(whole).collect::<Result<Vec<_>>>()?;
        let rows = pack(runs.iter())?;
        Ok(if cuts.is_empty() { vec![rows] } else { vec![pack_heads(&state.runs)?, rows] })
    }

    fn import(&self, bytes: Vec<u8>) -> Result<SortState> {
        let mut state = SortState::default();
        for rows in rows_of(bytes, &with_key(self.schema))? {
            let mut run = Run::empty();
            run.extend(&rows, self.budget.is_tight().then_some(self.disk))?;
            state.held += run.held();
            state.runs.push(run);
        }
        Ok(state)
    }
}

/// A column in which all NaN are the positive one, which compares as the largest (the machine's own may be negative), and all zeros too.
pub(super) fn one_nan(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let one = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        DataType::Float32 => {
            let one = |v: f32| if v.is_nan() { f32::NAN } else { v + 0.0 };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Float16 => {
            let one = |v: half::f16| match v {
                v if v.is_nan() => half::f16::NAN,
                v if v == half::f16::ZERO => half::f16::ZERO,
                v => v,
            };
            Arc::new(column.as_primitive::<Float16Type>().unary::<_, Float16Type>(one))
        }
        _ => column,
    }
}

/// Runs as a source of their rows in order; equal ones in the order of runs.
pub(super) struct Sorted {
    /// Columns of the rows, without the key.
    schema: SchemaRef,
    runs: Vec<Run>,
    /// Where parts end, but for the last.
    cuts: Vec<Place>,
    /// How many parts there would be if all were as large as they should be.
    even: usize,
    /// Bytes of a piece on disk.
    piece: usize,
}

/// A row's place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub key: Box<[u8]>,
    pub run: usize,
    pub row: usize,
}

impl Place {
    /// Before the first row with a number.
    fn of_number(number: u64) -> Place {
        Place { key: number.to_be_bytes().into(), run: 0, row: 0 }
    }

    /// Whether a row comes before.
    fn is_after(&self, key: &[u8], run: usize, row: usize) -> bool {
        (key, run, row) < (&*self.key, self.run, self.row)
    }

    /// How many rows come before, of those of a run that begin with this one.
    pub fn in_rows(&self, rows: &RecordBatch, run: usize, first: usize) -> usize {
        let keys = keys_of(rows);
        let (mut a, mut b) = (0, rows.num_rows());
        while a < b {
            let middle = (a + b) / 2;
            match self.is_after(keys.value(middle), run, first + middle) {
                true => a = middle + 1,
                false => b = middle,
            }
        }
        a
    }
}

/// Where parts of runs end, but for the last; so that they have about as many bytes as are put in order at once.
pub(super) fn cuts_of<'a>(runs: impl Iterator<Item = &'a Head> + Clone, budget: &Budget) -> Vec<Place> {
    let (rows, bytes) = runs
        .clone()
        .fold((0usize, 0usize), |(n, b), r| (n.saturating_add(r.rows), b.saturating_add(r.bytes)));
    let place = |run, (key, row): &(Box<[u8]>, usize)| Place { key: key.clone(), run, row: *row };
    let samples = runs.enumerate().flat_map(|(run, r)| r.samples.iter().map(move |s| place(run, s)));
    let mut places: Vec<Place> = samples.collect();
    places.sort_unstable();
    let parts = (bytes / budget.part()).max(rows >> 20).max(1);
    let each = places.len().div_ceil(parts).max(1);
    places.into_iter().step_by(each).skip(1).collect()
}

impl std::fmt::Debug for Sorted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sorted({} runs, {} parts)", self.runs.len(), self.parts())
    }
}

impl Sorted {
    /// Of runs of these columns, the last of which is the keys. Where keys are numbers, a part begins at each of `starts`, too.
    pub fn new(schema: SchemaRef, runs: Vec<Run>, budget: &Budget, starts: &[u64]) -> Sorted {
        let mut cuts = cuts_of(runs.iter().map(|r| &r.head), budget);
        let even = cuts.len() + 1;
        if let [_, later @ ..] = starts {
            cuts.extend(later.iter().map(|&n| Place::of_number(n)));
            cuts.sort_unstable();
        }
        Sorted { even, ..Sorted::of(schema, runs, cuts, budget) }
    }

    /// The same, cut at these places.
    pub fn of(schema: SchemaRef, runs: Vec<Run>, cuts: Vec<Place>, budget: &Budget) -> Sorted {
        let fields = schema.fields()[..schema.fields().len() - 1].to_vec();
        let even = cuts.len() + 1;
        Sorted { schema: Arc::new(Schema::new(fields)), runs, cuts, even, piece: budget.piece() }
    }

    /// The parts from each of the numbers to the next; there is a part that begins at each.
    pub fn between(&self, starts: &[u64]) -> Vec<Range<usize>> {
        let begin = |k: usize| match starts.get(k) {
            _ if k == 0 => 0,
            Some(&n) => self.cuts.partition_point(|cut| *cut < Place::of_number(n)) + 1,
            None => self.parts(),
        };
        (0..starts.len()).map(|k| begin(k)..begin(k + 1)).collect()
    }

    /// What a pass leaves: the rows of one run are in order already.
    pub fn into_left(self) -> Result<Left> {
        if self.runs.len() <= 1 {
            let all: Vec<usize> = (0..self.schema.fields().len()).collect();
            let without_key = |p: &Piece| match &p.rows {
                Stored::Memory(rows) => Ok(Stored::Memory(project(rows, &all)?)),
                // readers take the columns that they want, which is not the last
                stored => Ok(stored.clone()),
            };
            let pieces = self.runs.iter().flat_map(|r| &r.pieces).map(without_key);
            return Ok(Left::stored(StoredRows::new(&self.schema, pieces.collect::<Result<_>>()?)));
        }
        let held = self.runs.iter().map(Run::held).sum();
        Ok(Left::Rows(Arc::new(self), held))
    }

    /// What a run has of a part: pieces, and rows in them.
    fn of_run(&self, run: usize, part: usize) -> Result<Vec<RecordBatch>> {
        let pieces = &self.runs[run].pieces;
        let (low, high) = (part.checked_sub(1).map(|p| &self.cuts[p]), self.cuts.get(part));
        let before = |cut: &Place| pieces.partition_point(|p| cut.is_after(&p.key, run, p.first));
        let start = low.map_or(0, |cut| before(cut).saturating_sub(1));
        let end = high.map_or(pieces.len(), before);
        let mut out = vec![];
        for piece in pieces.get(start..end).unwrap_or_default() {
            let rows = piece.rows.load()?;
            let place = |cut: &Place| cut.in_rows(&rows, run, piece.first);
            let (a, b) = (low.map_or(0, place), high.map_or(rows.num_rows(), place));
            if a < b {
                out.push(rows.slice(a, b - a));
            }
        }
        Ok(out)
    }

    /// Reads a part, with the keys or without.
    pub fn read_rows(
        &self,
        part: usize,
        with_keys: bool,
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let mut batches = vec![];
        let mut runs = 0;
        for run in 0..self.runs.len() {
            let of_run = self.of_run(run, part)?;
            runs += usize::from(!of_run.is_empty());
            batches.extend(of_run);
        }
        let keys: Vec<LargeBinaryArray> = batches.iter().map(|b| keys_of(b).clone()).collect();
        let columns: Vec<usize> = (0..self.schema.fields().len() + usize::from(with_keys)).collect();
        let batches = batches.iter().map(|b| project(b, &columns)).collect::<Result<Vec<_>>>()?;
        if runs <= 1 {
            for rows in &batches {
                if !in_pieces(rows, each)? {
                    return Ok(());
                }
            }
            return Ok(());
        }
        let skip = common_prefix(keys.iter().flat_map(|k| (0..k.len()).map(|i| k.value(i))));
        let all = keys.iter().enumerate();
        let mut order: Vec<(u64, u32, u32)> = all
            .flat_map(|(b, k)| (0..k.len()).map(move |i| (prefix(k.value(i), skip), b as u32, i as u32)))
            .collect();
        let key = |&(_, b, i): &(u64, u32, u32)| keys[b as usize].value(i as usize);
        // stable, and fast where there are ordered runs in it, as here
        order.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a).cmp(key(b))));
        let sources: Vec<&RecordBatch> = batches.iter().collect();
        for some in order.chunks(PIECE) {
            let at: Vec<(usize, usize)> = some.iter().map(|&(_, b, i)| (b as usize, i as usize)).collect();
            let rows = match columns.is_empty() {
                true => batch(batches[0].schema_ref(), vec![], at.len())?,
                false => interleave_record_batch(&sources, &at).map_err(internal)?,
            };
            if !each(rows)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl BatchSource for Sorted {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        "sorted runs".into()
    }

    fn parts(&self) -> usize {
        if self.runs.is_empty() { 0 } else { self.cuts.len() + 1 }
    }

    fn rows(&self) -> Option<usize> {
        Some(self.runs.iter().map(|r| r.head.rows).sum())
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let all = columns.iter().copied().eq(0..self.schema.fields().len());
        self.read_rows(part, false, &mut |rows| each(if all { rows } else { project(&rows, columns)? }))
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        let on_disk = self.runs.iter().flat_map(|r| &r.pieces).any(|p| p.rows.held() == 0);
        if !on_disk {
            return 0;
        }
        // a part, its ends in pieces of every run, and the batch that is made
        let (rows, bytes) = self.runs.iter().fold((1, 0), |(n, b), r| (n + r.head.rows, b + r.head.bytes));
        let part = bytes / self.even;
        2 * part + 2 * self.piece * self.runs.len() + (bytes / rows * PIECE).min(part)
    }
}
