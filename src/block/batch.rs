//! Columns of Arrow as blocks, and where batches of rows come from and go to.
//!
//! A column's values are a 1-d block over Arrow's own memory; its validity is a block of bools, because kernels know no bits.

use super::bound::Bound;
use super::io::Address;
use super::tensor::Block;
use crate::dtype::DType;
use crate::error::Result;
use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, RecordBatch, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// Where another process finds the rows of a source, and how it opens it.
#[derive(Clone, PartialEq, Debug)]
pub struct TableAddress {
    /// The files, in order, and the values that the names of their directories give to columns. All have one format and one set of options.
    pub files: Vec<FileAddress>,
    /// Columns of the files.
    pub schema: SchemaRef,
    /// Options that are texts.
    pub texts: Vec<String>,
}

/// A file of a table, and the columns and values that its directories name; none for null.
pub type FileAddress = (Address, Vec<(String, Option<String>)>);

/// Something that yields rows in batches: a file, a user's batches.
///
/// Rows come in *parts*, in order; a part is read by one worker, which hands over its rows in batches small enough to work on at once.
/// A source is immutable while it is used: two reads of one part give the same rows, cut the same way.
pub trait BatchSource: Send + Sync + fmt::Debug {
    /// Names and types of the columns.
    fn schema(&self) -> &SchemaRef;

    /// What it is, for plans and errors.
    fn label(&self) -> String;

    /// Number of parts.
    fn parts(&self) -> usize;

    /// Number of rows, if it is known without reading them.
    fn rows(&self) -> Option<usize>;

    /// Reads columns (places in the schema) of a part: calls `each` with its batches in order until that says `false`.
    ///
    /// # Errors
    /// Those of the file, and any of `each`.
    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()>;

    /// Upper bound of the memory that reading these columns of a part takes at once, the batch handed over included; 0 if batches are
    /// views of memory that is there anyway.
    fn read_bytes(&self, columns: &[usize]) -> usize;

    /// The same without rows that certainly do not meet a bound, if there is any such part; rows that do not meet it may stay. None, as
    /// by default, leaves all to the filter that the bound is of.
    fn narrowed(&self, _bound: &Bound) -> Option<Arc<dyn BatchSource>> {
        None
    }

    /// How other processes open it; none if they cannot.
    ///
    /// # Errors
    /// If the file is not there any more.
    fn address(&self) -> Result<Option<TableAddress>> {
        Ok(None)
    }

    /// Whether its rows are in memory, so that they may be sent elsewhere.
    fn in_memory(&self) -> bool {
        false
    }

    /// The same with a column of text as codes into dictionaries, if it is stored so: reading it like that then costs less, and a dictionary
    /// is looked at once, not row by row.
    fn with_codes(&self, _column: usize) -> Option<Arc<dyn BatchSource>> {
        None
    }
}

/// Batches in memory as a source.
#[derive(Debug)]
pub struct MemoryBatches {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// By part: pieces of batches, as (batch, first row, rows).
    parts: Vec<Vec<(usize, usize, usize)>>,
}

/// Rows of a part, and of the pieces that it is handed over in: they stay in the cache from one step to the next.
pub(crate) const PART: usize = 1 << 20;
pub(crate) const PIECE: usize = 1 << 15;

/// Pieces of batches, as (batch, first row, rows), that make parts of equal numbers of rows.
pub(crate) fn parts_of(rows: impl Iterator<Item = usize>) -> Vec<Vec<(usize, usize, usize)>> {
    let mut parts: Vec<Vec<(usize, usize, usize)>> = vec![];
    let mut room = 0;
    for (k, rows) in rows.enumerate() {
        let mut at = 0;
        while at < rows {
            if room == 0 {
                parts.push(vec![]);
                room = PART;
            }
            let n = room.min(rows - at);
            if let Some(part) = parts.last_mut() {
                part.push((k, at, n));
            }
            at += n;
            room -= n;
        }
    }
    parts
}

/// Hands a batch over in pieces; whether more is wanted.
pub(crate) fn in_pieces(
    rows: &RecordBatch,
    each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
) -> Result<bool> {
    for at in (0..rows.num_rows()).step_by(PIECE) {
        if !each(rows.slice(at, PIECE.min(rows.num_rows() - at)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl MemoryBatches {
    /// A source over batches of one schema.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> MemoryBatches {
        let parts = parts_of(batches.iter().map(RecordBatch::num_rows));
        MemoryBatches { schema, batches, parts }
    }

    /// The batches.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Bytes of the batches.
    pub fn nbytes(&self) -> usize {
        self.batches.iter().map(batch_bytes).sum()
    }
}

impl BatchSource for MemoryBatches {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        "memory".into()
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn rows(&self) -> Option<usize> {
        Some(self.batches.iter().map(RecordBatch::num_rows).sum())
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        for &(batch, start, rows) in &self.parts[part] {
            let batch =
                self.batches[batch].project(columns).map_err(|e| crate::Error::internal(e.to_string()))?;
            if !in_pieces(&batch.slice(start, rows), each)? {
                break;
            }
        }
        Ok(())
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        0
    }

    fn in_memory(&self) -> bool {
        true
    }
}

/// Something that takes batches of rows: a file being written.
///
/// Nothing is visible at the destination before [`BatchSink::finish`]; dropping a sink before that removes what was written.
pub trait BatchSink: Send + Sync + fmt::Debug {
    /// What it is, for plans and errors.
    fn label(&self) -> String;

    /// Writes a batch. Called from one thread at a time, in the order of the rows.
    fn write(&self, batch: &RecordBatch) -> Result<()>;

    /// Publishes what was written. Called once, after the last write.
    fn finish(&self) -> Result<()>;

    /// The sink as one of parts, which are written beside each other; then neither [`BatchSink::write`] nor [`BatchSink::finish`] is called.
    fn in_parts(&self) -> Option<&dyn PartSink> {
        None
    }
}

/// Something that takes rows in parts, each by itself: a directory of files. Parts are written by several threads, or processes.
///
/// Nothing is visible at the destination before [`PartSink::publish`]; dropping a sink before that removes what was written.
pub trait PartSink: Send + Sync {
    /// A sink for the rows of a part, whose [`BatchSink::finish`] ends it. Writing a part again, with the same rows, must do no harm: nobody
    /// knows how far a process came that died.
    fn part(&self, number: u64) -> Result<Arc<dyn BatchSink>>;

    /// Publishes these parts, in this order, and nothing else. Called once, when all of them are written.
    fn publish(&self, parts: &[u64]) -> Result<()>;

    /// How other processes write parts of it in its place; `None` if all must be written here.
    fn address(&self) -> Option<TableAddress> {
        None
    }
}

/// The columns of a schema, one of which is text, with that one as codes into dictionaries.
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
pub(crate) fn coded(schema: &SchemaRef, column: usize) -> Option<SchemaRef> {
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    let field = fields.get_mut(column).filter(|f| *f.data_type() == DataType::Utf8)?;
    let codes = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    *field = Arc::new(field.as_ref().clone().with_data_type(codes));
    Some(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// The values of a column as a block of this dtype, without a copy except for bools. Values at nulls are whatever they are.
///
/// The column's type must be stored as that dtype ([`kernel_dtype`](crate::expr::frame::kernel_dtype)).
pub(crate) fn values(array: &ArrayRef, dtype: DType) -> Block {
    if let Some(bools) = array.as_any().downcast_ref::<BooleanArray>() {
        return bits(bools.values());
    }
    let data = array.to_data();
    let ptr = data.buffers()[0].as_ptr().wrapping_add(array.offset() * dtype.size());
    // SAFETY: an Arrow array of a type that is stored as `dtype` has that many aligned values in its buffer, which its owner
    // keeps alive and nobody writes.
    unsafe {
        Block::from_foreign(dtype, &[array.len()], &[1], values_at(&data, ptr), Arc::new(array.clone()))
    }
}

/// The address of an array's first value; any aligned one if there are no values.
fn values_at(data: &ArrayData, ptr: *const u8) -> *const u8 {
    if data.is_empty() { std::ptr::without_provenance(64) } else { ptr }
}

/// Which values are not null, as bools; none if all are.
pub(crate) fn validity(array: &dyn Array) -> Option<Block> {
    array.logical_nulls().filter(|n| n.null_count() > 0).map(|n| bits(n.inner()))
}

/// Bits as a block of bools.
pub(crate) fn bits(bits: &BooleanBuffer) -> Block {
    let mut block = Block::uninit(DType::Bool, &[bits.len()]);
    for (out, bit) in block.bytes_mut().iter_mut().zip(bits) {
        *out = bit as u8;
    }
    block
}

/// A block of bools as bits.
pub(crate) fn pack(bools: &Block) -> BooleanBuffer {
    let bytes = bools.bytes();
    let mut out = MutableBuffer::from_len_zeroed(bytes.len().div_ceil(8));
    for (byte, eight) in out.as_slice_mut().iter_mut().zip(bytes.chunks(8)) {
        let mut word = [0u8; 8];
        word[..eight.len()].copy_from_slice(eight);
        // eight bytes of 0 or 1 gathered into the top byte
        *byte = (u64::from_le_bytes(word).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    BooleanBuffer::new(out.into(), 0, bytes.len())
}

/// A block as a column of a type that is stored as the block's dtype, without a copy except for bools. `valid` says which values are not
/// null.
pub(crate) fn column(values: Block, valid: Option<&Block>, data_type: &DataType) -> Result<ArrayRef> {
    let nulls = valid.map(|v| NullBuffer::new(pack(v))).filter(|n| n.null_count() > 0);
    if *data_type == DataType::Boolean {
        return Ok(Arc::new(BooleanArray::new(pack(&values), nulls)));
    }
    let (len, bytes) = (values.len(), values.nbytes());
    let ptr = NonNull::new(values.as_ptr() as *mut u8).unwrap_or(NonNull::dangling());
    // SAFETY: the block has this many bytes, keeps them alive, and nobody writes them any more.
    let buffer = unsafe { Buffer::from_custom_allocation(ptr, bytes, Arc::new(Owner(values))) };
    let data = ArrayData::builder(data_type.clone()).len(len).add_buffer(buffer).nulls(nulls);
    Ok(make_array(data.build().map_err(|e| crate::Error::internal(e.to_string()))?))
}

/// Keeps a column's memory.
struct Owner(#[allow(dead_code, reason = "held for its drop")] Block);

/// Nobody writes to a column.
impl std::panic::RefUnwindSafe for Owner {}

/// The bytes of a batch's rows; of a dictionary its keys, since batches share the values.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

/// The bytes of a column's rows, as [`batch_bytes`] counts them.
pub(crate) fn column_bytes(column: &ArrayRef) -> usize {
    let data = match column.as_any_dictionary_opt() {
        Some(dictionary) => dictionary.keys().to_data(),
        None => column.to_data(),
    };
    data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;
    use arrow::datatypes::Int32Type;

    #[test]
    fn values_are_not_copied_and_nulls_become_bools() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]));
        let part = array.slice(1, 3);
        let block = values(&part, DType::I32);
        assert_eq!(&block.as_slice::<i32>().unwrap()[1..], [3, 4]);
        assert_eq!(validity(&part).unwrap().as_slice::<bool>().unwrap(), [false, true, true]);
        assert!(validity(&part.slice(1, 2)).is_none());
        let at = block.as_ptr();
        let back = column(block, None, &DataType::Date32).unwrap();
        assert_eq!(back.to_data().buffers()[0].as_ptr(), at);
        assert_eq!(back.data_type(), &DataType::Date32);
    }

    #[test]
    fn bools_pack_and_unpack() {
        for n in [0, 1, 7, 8, 9, 64, 77] {
            let want: Vec<bool> = (0..n).map(|i| i % 3 == 0 || i % 7 == 2).collect();
            let array: ArrayRef = Arc::new(BooleanArray::from(want.clone()));
            let block = values(&array, DType::Bool);
            assert_eq!(block.as_slice::<bool>().unwrap(), want);
            let back = column(block, None, &DataType::Boolean).unwrap();
            assert_eq!(back.as_boolean(), &BooleanArray::from(want));
        }
        let valid = Block::from_vec(vec![true, false]);
        let back = column(Block::from_vec(vec![5i32, 6]), Some(&valid), &DataType::Int32).unwrap();
        assert_eq!(back.as_primitive::<Int32Type>(), &Int32Array::from(vec![Some(5), None]));
    }
}
