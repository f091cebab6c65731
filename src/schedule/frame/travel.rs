//! Rows as bytes that travel between machines: batches one after the other, each a stream of Arrow's own form with its dictionaries.
//!
//! ```text
//! batches (u64)   of each: rows (u64)   bytes (u64)   the stream, to a multiple of 8
//! ```

use super::evaluate::batch;
use super::store::encoded;
use crate::error::{Error, ErrorKind, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{MessageHeader, root_as_message};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Names and types of columns as bytes.
///
/// # Errors
/// For types that Arrow's form does not have.
pub fn pack_schema(schema: &SchemaRef) -> Result<Vec<u8>> {
    pack([RecordBatch::new_empty(schema.clone())].iter())
}

/// The names and types that bytes are.
///
/// # Errors
/// [`ErrorKind::Wire`] if they are none.
pub fn unpack_schema(bytes: Vec<u8>) -> Result<SchemaRef> {
    let rows = unpack_all(bytes, |_| None)?;
    rows.first().map(|rows| rows.schema()).ok_or_else(|| bad("no columns"))
}

/// Batches as bytes.
///
/// # Errors
/// For types that Arrow's form does not have.
pub fn pack<'a>(batches: impl ExactSizeIterator<Item = &'a RecordBatch>) -> Result<Vec<u8>> {
    let mut out = (batches.len() as u64).to_le_bytes().to_vec();
    for rows in batches {
        // rows without columns are but a number
        let buffers = if rows.num_columns() == 0 { vec![] } else { encoded(rows)? };
        let len: usize = buffers.iter().map(Buffer::len).sum();
        out.extend_from_slice(&(rows.num_rows() as u64).to_le_bytes());
        out.extend_from_slice(&(len as u64).to_le_bytes());
        buffers.iter().for_each(|b| out.extend_from_slice(b));
        out.resize(out.len().next_multiple_of(8), 0);
    }
    Ok(out)
}

/// The batches that bytes are, which have columns of these types.
///
/// # Errors
/// [`ErrorKind::Wire`] if they are none.
pub fn unpack(bytes: Vec<u8>, types: &[DataType]) -> Result<Vec<RecordBatch>> {
    unpack_each(bytes, |_| types.to_vec())
}

/// The same, where each batch has types of its own.
pub fn unpack_each(bytes: Vec<u8>, types: impl Fn(usize) -> Vec<DataType>) -> Result<Vec<RecordBatch>> {
    unpack_all(bytes, |k| Some(types(k)))
}

/// Several pieces as one: of each its length (u64), then all of them.
pub(super) fn bundle(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut out = (pieces.len() as u64).to_le_bytes().to_vec();
    pieces.iter().for_each(|p| out.extend_from_slice(&(p.len() as u64).to_le_bytes()));
    pieces.iter().for_each(|p| out.extend_from_slice(p));
    out
}

/// The pieces that one is.
///
/// # Errors
/// [`ErrorKind::Wire`] if it is none.
pub(super) fn unbundle(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    let number = |head: &[u8; 8]| usize::try_from(u64::from_le_bytes(*head)).unwrap_or(usize::MAX);
    let short = || bad("it is cut short");
    let (count, rest) = bytes.split_first_chunk().ok_or_else(short)?;
    let lengths = number(count).checked_mul(8).filter(|&n| n <= rest.len()).ok_or_else(short)?;
    let (lengths, mut rest) = rest.split_at(lengths);
    let mut out = vec![];
    for length in lengths.as_chunks().0 {
        let (piece, others) = rest.split_at_checked(number(length)).ok_or_else(short)?;
        out.push(piece.to_vec());
        rest = others;
    }
    if rest.is_empty() { Ok(out) } else { Err(bad("there is more than there should be")) }
}

fn unpack_all(bytes: Vec<u8>, types: impl Fn(usize) -> Option<Vec<DataType>>) -> Result<Vec<RecordBatch>> {
    let bytes = Buffer::from_vec(bytes);
    let number = |at: usize| -> Result<usize> {
        let eight = bytes.get(at..at.saturating_add(8)).and_then(|b| b.try_into().ok());
        let number = eight.map(u64::from_le_bytes).and_then(|n| usize::try_from(n).ok());
        number.ok_or_else(|| bad("it is cut short"))
    };
    let (count, mut at) = (number(0)?, 8);
    if count > bytes.len() / 16 {
        return Err(bad(format!("{count} batches in {} bytes", bytes.len())));
    }
    let mut out = Vec::with_capacity(count);
    for k in 0..count {
        let (rows, len, start) = (number(at)?, number(at + 8)?, at + 16);
        if len > bytes.len() - start {
            return Err(bad("it is cut short"));
        }
        out.push(decoded(bytes.slice_with_length(start, len), rows, types(k).as_deref())?);
        at = start + len.next_multiple_of(8);
    }
    Ok(out)
}

fn decoded(stream: Buffer, rows: usize, types: Option<&[DataType]>) -> Result<RecordBatch> {
    if types.is_none_or(<[DataType]>::is_empty) && stream.is_empty() {
        return batch(&Arc::new(Schema::empty()), vec![], rows);
    }
    check_plain(&stream)?;
    let mut stream = stream;
    // the decoder checks what it finds, but for some kinds of damage by a panic
    let decode = || StreamDecoder::new().decode(&mut stream);
    let found = catch_unwind(AssertUnwindSafe(decode)).map_err(|_| bad("rows that cannot be decoded"))?;
    let found = found.map_err(|e| bad(e.to_string()))?.ok_or_else(|| bad("a stream without rows"))?;
    let of = || found.schema_ref().fields().iter().map(|f| f.data_type());
    let known = types.is_none_or(|types| of().eq(types));
    if !known || found.num_rows() != rows {
        let (n, there) = (found.num_rows(), of().collect::<Vec<_>>());
        return Err(bad(format!("{n} rows of {there:?}; expected were {rows} of {types:?}")));
    }
    Ok(found)
}

/// That no message of a stream is compressed: it could claim to be larger than there is memory.
fn check_plain(stream: &[u8]) -> Result<()> {
    let mut rest = stream;
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let len = u32::from_le_bytes([e, f, g, h]) as usize;
        if [a, b, c, d] != [0xff; 4] {
            return Err(bad("a message that does not begin as one"));
        }
        if len == 0 {
            break;
        }
        let (message, tail) = tail.split_at_checked(len).ok_or_else(|| bad("a message is cut short"))?;
        let message = root_as_message(message).map_err(|e| bad(e.to_string()))?;
        let rows = match message.header_type() {
            MessageHeader::RecordBatch => message.header_as_record_batch(),
            MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|d| d.data()),
            _ => None,
        };
        if rows.is_some_and(|r| r.compression().is_some()) {
            return Err(bad("compressed rows, which none are"));
        }
        let body = usize::try_from(message.bodyLength()).ok();
        rest = body.and_then(|n| tail.get(n..)).ok_or_else(|| bad("a message is cut short"))?;
    }
    Ok(())
}

/// An error about what came.
pub fn bad(message: impl Into<String>) -> Error {
    ErrorKind::Wire { what: "piece", message: message.into() }.into()
}

/// The types of columns.
pub fn types_of(schema: &Schema) -> Vec<DataType> {
    schema.fields().iter().map(|f| f.data_type().clone()).collect()
}

/// Rows with more columns, whose names nobody asks for.
pub fn with_columns(rows: &RecordBatch, more: Vec<ArrayRef>) -> Result<RecordBatch> {
    let extra =
        more.iter().enumerate().map(|(k, c)| Field::new(format!("\0{k}"), c.data_type().clone(), true));
    let fields = rows.schema_ref().fields().iter().map(|f| f.as_ref().clone()).chain(extra);
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    batch(&schema, rows.columns().iter().cloned().chain(more).collect(), rows.num_rows())
}

/// The first columns of rows under the names of a schema.
pub fn under(schema: &SchemaRef, rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = rows.columns().get(..schema.fields().len()).unwrap_or_default();
    batch(schema, columns.to_vec(), rows.num_rows())
}

/// Rows of a schema from bytes.
///
/// # Errors
/// [`ErrorKind::Wire`] if they are none.
pub fn rows_of(bytes: Vec<u8>, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    unpack(bytes, &types_of(schema))?.iter().map(|rows| under(schema, rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Float64Array, NullArray, StringArray};
    use arrow::datatypes::Int32Type;

    fn rows(n: usize) -> RecordBatch {
        let words: DictionaryArray<Int32Type> =
            (0..n).map(|i| (i % 5 > 0).then_some(["a", "bc"][i % 2])).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new((0..n).map(|i| (i % 3 > 0).then(|| format!("text {i}"))).collect::<StringArray>()),
            Arc::new((0..n).map(|i| (i % 4 > 0).then_some(-0.5 * i as f64)).collect::<Float64Array>()),
            Arc::new(words),
            Arc::new(NullArray::new(n)),
        ];
        super::super::store::unnamed(columns, n).unwrap()
    }

    #[test]
    fn batches_come_back_as_they_were() {
        let all = [rows(7), rows(0), rows(300)];
        let types = types_of(all[0].schema_ref());
        assert_eq!(unpack(pack(all.iter()).unwrap(), &types).unwrap(), all);
        let schema = all[0].schema();
        assert_eq!(unpack_schema(pack_schema(&schema).unwrap()).unwrap(), schema);
        assert_eq!(unpack(pack([].iter()).unwrap(), &types).unwrap(), []);
        // nothing but a number of rows, and nothing but nulls
        for few in [&[][..], &[3]] {
            let few = all[2].project(few).unwrap();
            let types = types_of(few.schema_ref());
            assert_eq!(unpack(pack([few.clone()].iter()).unwrap(), &types).unwrap(), [few]);
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_other_columns_are_refused() {
        let all = [rows(40), rows(3)];
        let types = types_of(all[0].schema_ref());
        let good = pack(all.iter()).unwrap();
        assert!(unpack(good.clone(), &types[1..]).unwrap_err().to_string().contains("expected"));
        let mut state = 7u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let mut refused = 0;
        for n in 0..4000 {
            let mut bytes = good.clone();
            for _ in 0..1 + below(3) {
                let at = below(bytes.len());
                match below(3) {
                    0 => bytes[at] ^= 1 << below(8),
                    1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
                    _ => bytes.truncate(at.max(1)),
                }
            }
            match unpack(bytes, &types) {
                // what is taken are sound columns
                Ok(batches) => batches.iter().flat_map(|b| b.columns()).for_each(|c| {
                    c.to_data().validate_full().unwrap_or_else(|e| panic!("{n}: {e}"));
                }),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 1000, "{refused}");
    }
}
