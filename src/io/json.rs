//! JSON lines: an object a line, read in parallel by ranges of bytes, written in order.

use super::address::table_of;
use super::files::{file_label, guarded};
use super::sink::written;
use super::temp::Draft;
use super::text::{Head, LONGEST_ROW, NO_END, Place, Text, row_end, with_text};
use crate::block::{BatchSink, BatchSource, TableAddress};
use crate::error::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::reader::{Decoder, infer_json_schema};
use arrow::json::writer::LineDelimited;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How a file of JSON lines is read.
#[derive(Clone, Debug)]
pub struct JsonLinesOptions {
    /// Types of columns that are not to be inferred; such a column need not be in the first rows.
    pub types: Vec<(String, DataType)>,
    /// Rows from which the other columns and their types are inferred. What later rows have besides is not read.
    pub infer_rows: usize,
    /// Bytes of a part.
    pub part_bytes: usize,
    /// Bytes of a line from which on it is an error (1 GiB at most).
    pub longest_row: usize,
}

impl Default for JsonLinesOptions {
    /// Types from 10 000 rows; lines of up to 16 MiB.
    fn default() -> JsonLinesOptions {
        JsonLinesOptions { types: vec![], infer_rows: 10_000, part_bytes: 8 << 20, longest_row: LONGEST_ROW }
    }
}

/// A file of JSON lines as a source of rows.
#[derive(Debug)]
pub struct JsonLinesSource {
    text: Text,
    schema: SchemaRef,
}

/// Rows of a batch.
const BATCH: usize = 1 << 14;
/// Characters of a message about a line.
const SHOWN: usize = 500;
/// Bytes from which columns are inferred at most.
const MOST_INFERRED: usize = 64 << 20;
const FORMAT: &str = "file of JSON lines";

impl JsonLinesSource {
    /// Opens a file: with the columns of this schema, or else those that its first rows tell.
    ///
    /// # Errors
    /// If it cannot be read, or its first rows are no JSON objects.
    pub fn open(
        path: &Path,
        options: &JsonLinesOptions,
        schema: Option<SchemaRef>,
    ) -> Result<JsonLinesSource> {
        let text = Text::open(path, 0, options.part_bytes, None, options.longest_row)?;
        let schema = match schema {
            Some(schema) => schema,
            None => Arc::new(infer(path, options)?),
        };
        Ok(JsonLinesSource { text, schema })
    }

    fn decoder(&self, columns: &[usize]) -> Result<Decoder> {
        let schema = self.schema.project(columns).map_err(|e| Error::internal(e.to_string()))?;
        arrow::json::ReaderBuilder::new(Arc::new(schema))
            .with_batch_size(BATCH)
            .with_coerce_primitive(true)
            .build_decoder()
            .map_err(|e| Error::format(FORMAT, &self.text.path, e))
    }

    /// Decodes whole lines.
    fn decode(
        &self,
        start: u64,
        bytes: &[u8],
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<bool> {
        let mut decoder = self.decoder(columns)?;
        let mut at = 0;
        loop {
            let from = at;
            let batch = guarded(FORMAT, &self.text.path, || next_batch(&mut decoder, bytes, &mut at))?;
            match batch {
                Ok(None) => return Ok(true),
                Ok(Some(batch)) => {
                    if !each(batch)? {
                        return Ok(false);
                    }
                }
                Err(e) => return Err(self.locate(start + from as u64, &bytes[from..], columns, &e)),
            }
        }
    }

    /// The error of the first line that cannot be decoded.
    fn locate(&self, start: u64, bytes: &[u8], columns: &[usize], e: &ArrowError) -> Error {
        let mut check = |line: &[u8]| -> std::result::Result<(), String> {
            let mut decoder = self.decoder(columns).map_err(|e| e.to_string())?;
            let batch = guarded(FORMAT, &self.text.path, || next_batch(&mut decoder, line, &mut 0));
            batch.map_err(|e| e.to_string())?.map(drop).map_err(|e| e.to_string())
        };
        match first_bad(bytes, &mut check) {
            Some((line, message)) => {
                let line = self.text.lines_before(start) + line;
                ErrorKind::Row { path: self.text.path.clone(), line, message }.into()
            }
            None => Error::format(FORMAT, &self.text.path, e),
        }
    }
}

fn next_batch(
    decoder: &mut Decoder,
    bytes: &[u8],
    at: &mut usize,
) -> std::result::Result<Option<RecordBatch>, ArrowError> {
    loop {
        let n = decoder.decode(&bytes[*at..])?;
        *at += n;
        if n == 0 || *at == bytes.len() || decoder.len() >= BATCH {
            return decoder.flush();
        }
    }
}

/// The number (from 1) of the first line that a check refuses, and why.
fn first_bad(
    bytes: &[u8],
    check: &mut dyn FnMut(&[u8]) -> std::result::Result<(), String>,
) -> Option<(usize, String)> {
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let n = row_end(&bytes[at..], &mut Place::Start, None);
        let end = if n == NO_END { bytes.len() } else { at + n };
        if let Err(message) = check(&bytes[at..end]) {
            // it may show the whole line
            return Some((line, message.chars().take(SHOWN).collect()));
        }
        (at, line) = (end, line + 1);
    }
    None
}

/// The first lines of a file.
fn first_lines(path: &Path, options: &JsonLinesOptions) -> Result<Vec<u8>> {
    let most = options.infer_rows.max(1);
    with_text(path, |text| {
        let mut text = Head::new(path, text, None, options.longest_row);
        let (mut bytes, mut lines, mut piece) = (vec![], 0, vec![0; 1 << 16]);
        while lines < most && bytes.len() < MOST_INFERRED {
            let n = text.read(&mut piece);
            let n = n.map_err(|e| text.failed.take().unwrap_or_else(|| Error::io("reading", path, e)))?;
            if n == 0 {
                return Ok(bytes);
            }
            for at in memchr::memchr_iter(b'\n', &piece[..n]) {
                lines += 1;
                if lines == most {
                    bytes.extend_from_slice(&piece[..at + 1]);
                    return Ok(bytes);
                }
            }
            bytes.extend_from_slice(&piece[..n]);
        }
        // no line is cut
        bytes.truncate(memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1));
        Ok(bytes)
    })
}

fn infer(path: &Path, options: &JsonLinesOptions) -> Result<Schema> {
    let bytes = first_lines(path, options)?;
    let found = guarded(FORMAT, path, || infer_json_schema(bytes.as_slice(), None))?;
    let found = found.map(|(schema, _)| schema).map_err(|e| {
        let mut check = |line: &[u8]| infer_json_schema(line, None).map(drop).map_err(|e| e.to_string());
        match first_bad(&bytes, &mut check) {
            Some((line, message)) => ErrorKind::Row { path: path.to_owned(), line, message }.into(),
            None => Error::format(FORMAT, path, e),
        }
    })?;
    // the columns come in no order: that of the text is the user's
    let mut fields: Vec<Field> = vec![];
    for key in keys(&bytes) {
        if fields.iter().all(|f| *f.name() != key)
            && let Ok(field) = found.field_with_name(&key)
        {
            fields.push(field.clone());
        }
    }
    let mut rest: Vec<&Arc<Field>> =
        found.fields().iter().filter(|f| fields.iter().all(|g| g.name() != f.name())).collect();
    rest.sort_by_key(|f| f.name().clone());
    fields.extend(rest.into_iter().map(|f| f.as_ref().clone()));
    for field in &mut fields {
        // a column without any value in the first rows may hold anything
        let t = if *field.data_type() == DataType::Null { DataType::Utf8 } else { field.data_type().clone() };
        *field = Field::new(field.name(), t, true);
    }
    for (name, t) in &options.types {
        let given = Field::new(name, t.clone(), true);
        match fields.iter_mut().find(|f| f.name() == name) {
            Some(field) => *field = given,
            None => fields.push(given),
        }
    }
    if fields.is_empty() {
        let message = "there is no row, so no column is known; give the columns' types";
        return Err(Error::format(FORMAT, path, message));
    }
    Ok(Schema::new(fields))
}

/// The keys of objects in lines of JSON, in the order of the text; those inside of values too, and those with escapes not.
fn keys(bytes: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    let mut seen = std::collections::HashSet::new();
    let (mut at, mut depth) = (0, 0i64);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let start = at + 1;
                at = start;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                let text = &bytes[start.min(bytes.len())..at.min(bytes.len())];
                let after = bytes[at.min(bytes.len())..].iter().skip(1).find(|b| !b.is_ascii_whitespace());
                if depth == 1 && after == Some(&b':') && !seen.contains(text) {
                    seen.insert(text);
                    found.extend(std::str::from_utf8(text).map(str::to_owned));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

impl BatchSource for JsonLinesSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        file_label(&self.text.path)
    }

    fn parts(&self) -> usize {
        self.text.parts()
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
        self.text.rows(part, &mut |start, bytes| self.decode(start, bytes, columns, each))
    }

    fn address(&self) -> Result<Option<TableAddress>> {
        let (part, longest) = self.text.limits();
        let options = [("part_bytes", part as u64), ("longest_row", longest as u64)];
        table_of("json lines", &self.text.path, &self.schema, &options, vec![])
    }

    fn read_bytes(&self, columns: &[usize]) -> usize {
        // the text, what is decoded of it before it is a batch, and that
        2 * self.text.read_bytes() + columns.len().max(1) * 32 * BATCH
    }
}

/// A file of JSON lines being written. Null is written as such, so that every row names every column.
pub struct JsonLinesSink {
    path: PathBuf,
    writer: Mutex<Option<arrow::json::Writer<BufWriter<Draft>, LineDelimited>>>,
}

impl std::fmt::Debug for JsonLinesSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JsonLinesSink({})", self.path.display())
    }
}

impl JsonLinesSink {
    /// A file of JSON lines.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<JsonLinesSink> {
        Ok(JsonLinesSink::new(Draft::beside(path.as_ref())?, path.as_ref()))
    }

    pub(in crate::io) fn new(draft: Draft, path: &Path) -> JsonLinesSink {
        let out = BufWriter::with_capacity(32 << 10, draft);
        let writer = arrow::json::WriterBuilder::new().with_explicit_nulls(true).build(out);
        JsonLinesSink { path: path.to_owned(), writer: Mutex::new(Some(writer)) }
    }
}

impl BatchSink for JsonLinesSink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, batch: &RecordBatch) -> Result<()> {
        match self.writer.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            Some(writer) => writer.write(batch).map_err(|e| written(&self.path, e)),
            None => Err(Error::internal("a write after the end")),
        }
    }

    fn finish(&self) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(mut writer) = writer else { return Err(Error::internal("finished twice")) };
        writer.finish().map_err(|e| written(&self.path, e))?;
        let mut buffered = writer.into_inner();
        buffered.flush().map_err(|e| Error::io("writing", &self.path, e))?;
        let draft = buffered.into_inner().map_err(|e| Error::io("writing", &self.path, e.into_error()))?;
        draft.publish(&self.path)
    }
}
