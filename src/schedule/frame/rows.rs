//! Roots that keep rows as they are, or hand them on.

use super::evaluate::batch;
use super::keys::one_dictionary;
use super::pipeline::{Gather, Left};
use super::store::{Disk, Stored, StoredRows};
use super::travel::{bad, pack, rows_of};
use crate::block::batch::batch_bytes;
use crate::block::{BatchSink, PartSink};
use crate::error::Result;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Keeps rows in order: some from the start, or the last ones.
pub(super) struct Collect<'a> {
    pub schema: &'a SchemaRef,
    pub offset: usize,
    pub len: usize,
    /// Where rows go when there are too many, if they may: the rows of a result may not.
    pub disk: Option<&'a Disk<'a>>,
}

/// Rows of a span or of all.
#[derive(Default)]
pub(super) struct Kept {
    batches: VecDeque<Stored>,
    rows: usize,
    bytes: usize,
}

impl Kept {
    fn push(&mut self, rows: Stored) {
        self.rows += rows.num_rows();
        self.bytes += rows.held();
        self.batches.push_back(rows);
    }

    /// Takes the rows of the next span; to disk, where there is one and no room.
    fn extend(&mut self, span: Kept, disk: Option<&Disk<'_>>) -> Result<()> {
        for rows in span.batches {
            match (disk.filter(|d| d.budget.is_tight()), &rows) {
                (Some(disk), Stored::Memory(batch)) => self.push(disk.write(batch)?),
                _ => self.push(rows),
            }
        }
        Ok(())
    }

    /// For another machine.
    fn export(&self) -> Result<Vec<Vec<u8>>> {
        let rows = self.batches.iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
        Ok(vec![pack(rows.iter())?])
    }

    /// From another machine.
    fn import(bytes: Vec<u8>, schema: &SchemaRef) -> Result<Kept> {
        let mut kept = Kept::default();
        rows_of(bytes, schema)?.into_iter().for_each(|rows| kept.push(Stored::Memory(rows)));
        Ok(kept)
    }

    /// `len` rows from number `offset`, for later passes.
    fn slice(self, offset: usize, len: usize, schema: &SchemaRef) -> Result<Left> {
        let batches = slice(self.batches, offset, len)?;
        if batches.iter().all(|b| matches!(b, Stored::Memory(_))) {
            let rows = batches.iter().map(Stored::load).collect::<Result<Vec<_>>>()?;
            return Ok(Left::memory(schema, with_one_dictionary(rows, schema)?));
        }
        Ok(Left::stored(StoredRows::new(schema, batches)))
    }
}

impl Gather for Collect<'_> {
    const BY_PART: bool = true;
    type State = Kept;
    type Whole = Kept;

    fn state(&self) -> Kept {
        Kept::default()
    }

    fn whole(&self) -> Result<Kept> {
        Ok(Kept::default())
    }

    fn push(&self, state: &mut Kept, _task: usize, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() > 0 {
            state.push(Stored::Memory(rows));
        }
        Ok(())
    }

    fn bytes(&self, state: &Kept) -> usize {
        state.bytes
    }

    fn enough(&self, state: &Kept) -> bool {
        state.rows >= self.offset.saturating_add(self.len)
    }

    fn merge(&self, whole: &mut Kept, _span: usize, state: Kept) -> Result<()> {
        whole.extend(state, self.disk)
    }

    fn whole_bytes(&self, whole: &Kept) -> usize {
        whole.bytes
    }

    fn full(&self, whole: &Kept) -> bool {
        self.enough(whole)
    }

    fn finish(&self, whole: Kept) -> Result<Left> {
        whole.slice(self.offset, self.len, self.schema)
    }

    fn export(&self, _span: usize, state: Kept, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        state.export()
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Kept> {
        Kept::import(bytes, self.schema)
    }
}

/// Keeps the last rows.
pub(super) struct Tail<'a> {
    pub schema: &'a SchemaRef,
    pub len: usize,
    /// As for [`Collect`].
    pub disk: Option<&'a Disk<'a>>,
}

impl Tail<'_> {
    fn trim(&self, kept: &mut Kept) {
        while let Some(first) = kept.batches.front()
            && kept.rows - first.num_rows() >= self.len
        {
            kept.rows -= first.num_rows();
            kept.bytes -= first.held();
            kept.batches.pop_front();
        }
    }
}

impl Gather for Tail<'_> {
    const BY_PART: bool = true;
    type State = Kept;
    type Whole = Kept;

    fn state(&self) -> Kept {
        Kept::default()
    }

    fn whole(&self) -> Result<Kept> {
        Ok(Kept::default())
    }

    fn push(&self, state: &mut Kept, _task: usize, rows: RecordBatch) -> Result<()> {
        state.push(Stored::Memory(rows));
        self.trim(state);
        Ok(())
    }

    fn bytes(&self, state: &Kept) -> usize {
        state.bytes
    }

    fn merge(&self, whole: &mut Kept, _span: usize, state: Kept) -> Result<()> {
        whole.extend(state, self.disk)?;
        self.trim(whole);
        Ok(())
    }

    fn whole_bytes(&self, whole: &Kept) -> usize {
        whole.bytes
    }

    fn finish(&self, whole: Kept) -> Result<Left> {
        let skip = whole.rows.saturating_sub(self.len);
        whole.slice(skip, self.len, self.schema)
    }

    fn export(&self, _span: usize, state: Kept, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        state.export()
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Kept> {
        Kept::import(bytes, self.schema)
    }
}

/// Hands rows to a sink.
pub(super) struct Write<'a> {
    pub schema: &'a SchemaRef,
    pub sink: &'a dyn BatchSink,
}

impl Gather for Write<'_> {
    const BY_PART: bool = true;
    type State = Vec<RecordBatch>;
    /// Rows written.
    type Whole = usize;

    fn state(&self) -> Vec<RecordBatch> {
        vec![]
    }

    fn whole(&self) -> Result<usize> {
        Ok(0)
    }

    fn push(&self, state: &mut Vec<RecordBatch>, _task: usize, rows: RecordBatch) -> Result<()> {
        state.push(rows);
        Ok(())
    }

    fn bytes(&self, state: &Vec<RecordBatch>) -> usize {
        state.iter().map(batch_bytes).sum()
    }

    fn merge(&self, whole: &mut usize, _span: usize, state: Vec<RecordBatch>) -> Result<()> {
        *whole += state.iter().map(RecordBatch::num_rows).sum::<usize>();
        state.iter().try_for_each(|rows| self.sink.write(rows))
    }

    fn whole_bytes(&self, _whole: &usize) -> usize {
        0
    }

    fn finish(&self, whole: usize) -> Result<Left> {
        if whole == 0 {
            // a file of no rows has a header all the same
            self.sink.write(&RecordBatch::new_empty(self.schema.clone()))?;
        }
        self.sink.finish()?;
        Ok(Left::memory(self.schema, vec![]))
    }

    fn export(&self, _span: usize, state: Vec<RecordBatch>, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![pack(state.iter())?])
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Vec<RecordBatch>> {
        rows_of(bytes, self.schema)
    }
}

/// Hands rows to a sink in parts, side by side.
pub(super) struct WriteParts<'a> {
    pub schema: &'a SchemaRef,
    pub sink: &'a dyn PartSink,
}

/// The parts of a span.
#[derive(Default)]
pub(super) struct Written {
    /// Their numbers: in the order of rows, and those of no other span.
    numbers: Vec<u64>,
    open: Option<Arc<dyn BatchSink>>,
    /// Bytes of the rows of the open one, of which the sink may hold back some.
    bytes: usize,
}

/// Bytes of rows from which on a part ends.
pub(crate) const PART_BYTES: usize = 64 << 20;
/// More parts than a span has.
const MOST_PARTS: u64 = 1 << 20;

impl Gather for WriteParts<'_> {
    type State = Written;
    type Whole = Vec<u64>;

    fn state(&self) -> Written {
        Written::default()
    }

    fn whole(&self) -> Result<Vec<u64>> {
        Ok(vec![])
    }

    fn push(&self, written: &mut Written, task: usize, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if written.bytes >= PART_BYTES {
            self.seal(written)?;
        }
        let open = match &written.open {
            Some(open) => open.clone(),
            None => {
                // the first is of the part of the input that its first rows are of
                let number = written.numbers.last().map_or(task as u64 * MOST_PARTS, |last| last + 1);
                written.numbers.push(number);
                written.open.insert(self.sink.part(number)?).clone()
            }
        };
        written.bytes += batch_bytes(&rows);
        open.write(&rows)
    }

    fn seal(&self, written: &mut Written) -> Result<()> {
        written.bytes = 0;
        written.open.take().map_or(Ok(()), |open| open.finish())
    }

    fn bytes(&self, written: &Written) -> usize {
        written.bytes
    }

    fn merge(&self, whole: &mut Vec<u64>, _span: usize, written: Written) -> Result<()> {
        whole.extend(written.numbers);
        Ok(())
    }

    fn whole_bytes(&self, whole: &Vec<u64>) -> usize {
        8 * whole.capacity()
    }

    fn finish(&self, mut whole: Vec<u64>) -> Result<Left> {
        if whole.is_empty() {
            // a table of no rows has columns all the same
            let none = self.sink.part(0)?;
            none.write(&RecordBatch::new_empty(self.schema.clone()))?;
            none.finish()?;
            whole.push(0);
        }
        self.sink.publish(&whole)?;
        Ok(Left::memory(self.schema, vec![]))
    }

    fn export(&self, _span: usize, written: Written, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![written.numbers.iter().flat_map(|n| n.to_le_bytes()).collect()])
    }

    fn import(&self, bytes: Vec<u8>) -> Result<Written> {
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(bad("numbers that are none"));
        }
        let numbers = numbers.iter().map(|n| u64::from_le_bytes(*n)).collect();
        Ok(Written { numbers, ..Written::default() })
    }
}

fn slice(rows: impl IntoIterator<Item = Stored>, offset: usize, len: usize) -> Result<Vec<Stored>> {
    let (mut skip, mut left) = (offset, len);
    let mut out = vec![];
    for stored in rows {
        let start = skip.min(stored.num_rows());
        skip -= start;
        let n = left.min(stored.num_rows() - start);
        left -= n;
        match n {
            0 => {}
            n if n == stored.num_rows() => out.push(stored),
            n => out.push(Stored::Memory(stored.load()?.slice(start, n))),
        }
    }
    Ok(out)
}

/// Batches whose dictionary columns share their dictionaries, so that later work numbers values once.
fn with_one_dictionary(rows: Vec<RecordBatch>, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let is_dictionary = |t: &DataType| matches!(t, DataType::Dictionary(..));
    if rows.len() < 2 || !schema.fields().iter().any(|f| is_dictionary(f.data_type())) {
        return Ok(rows);
    }
    let mut columns: Vec<Vec<ArrayRef>> = vec![vec![]; rows.len()];
    for c in 0..schema.fields().len() {
        let parts: Vec<ArrayRef> = rows.iter().map(|b| b.column(c).clone()).collect();
        for (column, part) in columns.iter_mut().zip(one_dictionary(&parts)?) {
            column.push(part);
        }
    }
    rows.iter().zip(columns).map(|(rows, columns)| batch(schema, columns, rows.num_rows())).collect()
}
