//! Columns of text while they are made. A short expression can make much text, and Arrow's text ends at 2 GiB: so what a function makes of a
//! batch of rows has a bound, and passing it is an error.

use super::{Argument, failed};
use crate::error::Result;
use arrow::array::{Array, ArrayBuilder, ArrayRef, AsArray, ListArray, StringArray, StringBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use std::fmt::Write;
use std::sync::Arc;

/// Texts made one after the other.
pub(super) struct Texts {
    op: &'static str,
    made: StringBuilder,
    most: usize,
}

/// Bytes that may be made of a batch however few are given.
const MOST: usize = 1 << 28;

impl Texts {
    /// For so many texts that are made of so many bytes of others: four times those, or 256 MiB, may be made.
    pub fn new(op: &'static str, rows: usize, given: usize) -> Texts {
        let most = given.saturating_mul(4).max(MOST).min(i32::MAX as usize);
        Texts { op, made: StringBuilder::with_capacity(rows, given.min(most)), most }
    }

    /// An error if this many bytes more are too many.
    pub fn room_for(&self, bytes: usize) -> Result<()> {
        let made = self.made.values_slice().len();
        if bytes <= self.most - made {
            return Ok(());
        }
        let message = format!(
            "{} bytes of text in one batch are too many: {} may be made of its rows; shorten the texts before, by \
             str().slice(...) for example",
            made.saturating_add(bytes),
            self.most
        );
        Err(failed(self.op, message))
    }

    /// Adds to the text that is being made.
    pub fn write(&mut self, piece: &str) -> Result<()> {
        self.repeat(piece, 1)
    }

    /// Adds a piece several times.
    pub fn repeat(&mut self, piece: &str, times: usize) -> Result<()> {
        self.room_for(piece.len().saturating_mul(times))?;
        let times = if piece.is_empty() { 0 } else { times };
        (0..times).try_for_each(|_| self.made.write_str(piece)).map_err(|e| failed(self.op, e))
    }

    /// Ends the text that is being made.
    pub fn end(&mut self) {
        self.made.append_value("");
    }

    /// Adds a text, or null.
    pub fn push(&mut self, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) => {
                self.write(text)?;
                self.end();
            }
            None => self.made.append_null(),
        }
        Ok(())
    }

    /// The column.
    pub fn finish(mut self) -> ArrayRef {
        Arc::new(self.made.finish())
    }
}

/// Bytes of a column's texts.
pub(super) fn bytes(texts: &StringArray) -> usize {
    let offsets = texts.value_offsets();
    (offsets[texts.len()] - offsets[0]) as usize
}

/// Text in Arrow's plain storage.
pub(super) fn plain(x: &Argument) -> Result<Argument> {
    let plain = |array: &ArrayRef| cast(array, &DataType::Utf8).map_err(|e| failed("str", e));
    let array = match x.array.as_any_dictionary_opt() {
        Some(dictionary) if !dictionary.values().is_empty() => {
            let (values, keys) = (plain(dictionary.values())?, dictionary.keys());
            let values = values.as_string::<i32>();
            let mut texts = Texts::new("str", keys.len(), bytes(values));
            for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
                let is_valid = keys.is_valid(row) && values.is_valid(key);
                texts.push(is_valid.then(|| values.value(key)))?;
            }
            texts.finish()
        }
        _ => plain(&x.array)?,
    };
    Ok(Argument { array, is_scalar: x.is_scalar })
}

/// Works on every text that is not null; a dictionary's values are worked on once. `f` adds one text or null for each.
fn each_text(
    x: &Argument,
    op: &'static str,
    f: &mut dyn FnMut(&str, &mut Texts) -> Result<()>,
) -> Result<ArrayRef> {
    if let Some(dictionary) = x.array.as_any_dictionary_opt() {
        let values = Argument { array: dictionary.values().clone(), is_scalar: false };
        let array = dictionary.with_values(each_text(&values, op, f)?);
        return Ok(plain(&Argument { array, is_scalar: false })?.array);
    }
    let x = plain(x)?;
    let x = x.array.as_string::<i32>();
    let mut texts = Texts::new(op, x.len(), bytes(x));
    for text in x {
        match text {
            Some(text) => f(text, &mut texts)?,
            None => texts.push(None)?,
        }
    }
    Ok(texts.finish())
}

/// A text of every text, or null.
pub(crate) fn map_text(
    x: &Argument,
    op: &'static str,
    f: impl Fn(&str) -> Option<String>,
) -> Result<ArrayRef> {
    each_text(x, op, &mut |text, made| made.push(f(text).as_deref()))
}

/// A text of every text, written piece by piece: for what may become much longer.
pub(super) fn write_text(
    x: &Argument,
    op: &'static str,
    f: impl Fn(&str, &mut Texts) -> Result<()>,
) -> Result<ArrayRef> {
    each_text(x, op, &mut |text, made| {
        f(text, made)?;
        made.end();
        Ok(())
    })
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Utf8, true))
}

/// The type of lists of texts.
pub(super) fn list_of_texts() -> DataType {
    DataType::List(item())
}

/// The pieces of every text between occurrences of another, in lists.
pub(super) fn split(x: &Argument, by: &str) -> Result<ArrayRef> {
    let x = plain(x)?;
    let x = x.array.as_string::<i32>();
    let mut pieces = Texts::new("str.split", x.len(), bytes(x));
    let mut counts = Vec::with_capacity(x.len());
    for text in x {
        let before = pieces.made.len();
        text.into_iter().flat_map(|text| text.split(by)).try_for_each(|piece| pieces.push(Some(piece)))?;
        counts.push(pieces.made.len() - before);
    }
    let lists =
        ListArray::try_new(item(), OffsetBuffer::from_lengths(counts), pieces.finish(), x.nulls().cloned());
    Ok(Arc::new(lists.map_err(|e| failed("str.split", e))?))
}
