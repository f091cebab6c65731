//! Batches of rows that stay in memory, or go to a spill file when there are too many.

use super::super::Counters;
use super::super::spill::{Extent, SpillFile};
use super::budget::Budget;
use super::evaluate::internal;
use crate::block::batch::{batch_bytes, in_pieces, parts_of};
use crate::block::{BatchSource, give_back};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamEncoder;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

/// Bytes on disk after which memory is given back, at least.
const LEAST_GIVEN_BACK: u64 = 16 << 20;

/// A place on disk for the rows of one pass; there is no file before the first batch is written.
pub(super) struct Disk<'a> {
    dir: &'a Path,
    counters: &'a Counters,
    pub budget: &'a Budget,
    file: OnceLock<Result<Arc<SpillFile>>>,
}

impl Disk<'_> {
    pub fn new<'a>(dir: &'a Path, counters: &'a Counters, budget: &'a Budget) -> Disk<'a> {
        Disk { dir, counters, budget, file: OnceLock::new() }
    }

    /// Writes a batch; where it is. One without values takes no memory and stays.
    pub fn write(&self, rows: &RecordBatch) -> Result<Stored> {
        if rows.num_rows() == 0 || rows.num_columns() == 0 {
            return Ok(Stored::Memory(rows.clone()));
        }
        let file = self.file.get_or_init(|| SpillFile::create(self.dir).map(Arc::new)).clone()?;
        let encoded = encoded(rows)?;
        let pieces: Vec<&[u8]> = encoded.iter().map(Buffer::as_slice).collect();
        let extent = file.append(&pieces)?;
        let before = self.counters.bytes_spilled.fetch_add(extent.len() as u64, Relaxed);
        // what went to disk before is free by now
        let often = (self.budget.share(1) as u64).max(LEAST_GIVEN_BACK);
        if before / often < (before + extent.len() as u64) / often {
            give_back();
        }
        Ok(Stored::Disk { file, extent, rows: rows.num_rows() })
    }
}

/// The end of a stream: without it a decoder does not give a batch whose values take no bytes.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A batch as bytes, with its dictionaries.
pub(super) fn encoded(rows: &RecordBatch) -> Result<Vec<Buffer>> {
    let rows = with_small_dictionaries(rows)?;
    let encoder = StreamEncoder::try_new(&rows.schema());
    let mut buffers = encoder.and_then(|mut encoder| encoder.encode(&rows)).map_err(internal)?;
    buffers.push(END.into());
    Ok(buffers)
}

/// The rows without the values of dictionaries that none of them has: what is kept or goes to disk for long has a dictionary with every batch.
pub(super) fn with_small_dictionaries(rows: &RecordBatch) -> Result<RecordBatch> {
    let small = |c: &ArrayRef| match c.as_any_dictionary_opt() {
        Some(d) if d.values().len() > c.len() => {
            arrow_select::dictionary::garbage_collect_any_dictionary(d).map_err(internal)
        }
        _ => Ok(c.clone()),
    };
    if !rows.schema_ref().fields().iter().any(|f| matches!(f.data_type(), DataType::Dictionary(..))) {
        return Ok(rows.clone());
    }
    let columns = rows.columns().iter().map(small).collect::<Result<Vec<_>>>()?;
    super::evaluate::batch(rows.schema_ref(), columns, rows.num_rows())
}

/// A batch of rows, in memory or on disk.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    Memory(RecordBatch),
    Disk { file: Arc<SpillFile>, extent: Extent, rows: usize },
}

impl Stored {
    /// Bytes of memory that it takes.
    pub fn held(&self) -> usize {
        match self {
            Stored::Memory(rows) => batch_bytes(rows),
            Stored::Disk { .. } => 0,
        }
    }

    /// Bytes of memory that it takes when it is loaded.
    pub fn bytes(&self) -> usize {
        match self {
            Stored::Memory(rows) => batch_bytes(rows),
            Stored::Disk { extent, .. } => extent.len(),
        }
    }

    pub fn num_rows(&self) -> usize {
        match self {
            Stored::Memory(rows) => rows.num_rows(),
            Stored::Disk { rows, .. } => *rows,
        }
    }

    /// The batch.
    pub fn load(&self) -> Result<RecordBatch> {
        let (file, extent, rows) = match self {
            Stored::Memory(rows) => return Ok(rows.clone()),
            Stored::Disk { file, extent, rows } => (file, *extent, *rows),
        };
        // one copy from the file; the columns are views of it
        let mut bytes = MutableBuffer::from_len_zeroed(extent.len());
        file.read(extent, bytes.as_slice_mut(), &[])?;
        let mut bytes = Buffer::from(bytes);
        let batch = StreamDecoder::new().decode(&mut bytes).map_err(internal)?;
        batch
            .filter(|b| b.num_rows() == rows)
            .ok_or_else(|| file.corrupt(&[], "it does not hold the rows that were written"))
    }
}

/// Rows that a pass left, of which some are on disk.
#[derive(Debug)]
pub(super) struct StoredRows {
    schema: SchemaRef,
    batches: Vec<Stored>,
    /// Pieces of batches by part: the same as if all were in memory, because parts shape later folds.
    parts: Vec<Vec<(usize, usize, usize)>>,
}

impl StoredRows {
    pub fn new(schema: &SchemaRef, batches: Vec<Stored>) -> StoredRows {
        let parts = parts_of(batches.iter().map(Stored::num_rows));
        StoredRows { schema: schema.clone(), batches, parts }
    }

    /// The batches, if all are in memory.
    pub fn in_memory(&self) -> Option<Vec<RecordBatch>> {
        let batch = |b: &Stored| match b {
            Stored::Memory(rows) => Some(rows.clone()),
            Stored::Disk { .. } => None,
        };
        self.batches.iter().map(batch).collect()
    }

    /// Bytes of memory that they take.
    pub fn held(&self) -> usize {
        self.batches.iter().map(Stored::held).sum()
    }
}

/// A batch of columns whose names nobody asks for.
pub(super) fn unnamed(columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let field = |(k, c): (usize, &ArrayRef)| Field::new(k.to_string(), c.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    super::evaluate::batch(&Arc::new(Schema::new(fields)), columns, rows)
}

/// Some columns of a batch.
pub(super) fn project(rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    rows.project(columns).map_err(|e| Error::internal(e.to_string()))
}

impl BatchSource for StoredRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        "rows kept".into()
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn rows(&self) -> Option<usize> {
        Some(self.batches.iter().map(Stored::num_rows).sum())
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        for &(batch, start, rows) in &self.parts[part] {
            let batch = self.batches[batch].load()?.slice(start, rows);
            if !in_pieces(&project(&batch, columns)?, each)? {
                break;
            }
        }
        Ok(())
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        self.batches.iter().map(|b| b.bytes() - b.held()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, NullArray};

    #[test]
    fn rows_come_back_from_the_disk() {
        let (dir, counters) = (tempfile::tempdir().unwrap(), Counters::default());
        let budget = Budget::new(1 << 20, 1 << 19);
        let disk = Disk::new(dir.path(), &counters, &budget);
        let (nulls, ints): (ArrayRef, ArrayRef) =
            (Arc::new(NullArray::new(7)), Arc::new((0..7).collect::<Int32Array>()));
        for columns in [vec![nulls.clone()], vec![ints.clone()], vec![nulls, ints]] {
            let rows = unnamed(columns, 7).unwrap();
            let stored = disk.write(&rows).unwrap();
            assert!(matches!(stored, Stored::Disk { .. }));
            assert_eq!(stored.load().unwrap(), rows);
        }
    }
}
