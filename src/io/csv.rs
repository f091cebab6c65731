//! CSV files: read in parallel by ranges of bytes that end where rows end, written in order.
//!
//! A plain file is cut every [`CsvOptions::part_bytes`]; a part begins at the first row that starts in it. Where the file has quotes, a line
//! end may be inside a value: then the quotes before each cut are counted once, so that no cut falls into a value. Compressed files
//! (`.gz`, `.zip` with one member) are one part each.

use super::temp::{file_beside, publish_file};
use crate::block::{BatchSink, BatchSource};
use crate::error::{Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use regex::Regex;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// What to do with a row that does not fit the schema: a value that is not of its column's type, or the wrong number of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BadRows {
    /// An error that names file, line and column.
    #[default]
    Error,
    /// Null in place of each such value and of missing ones; values too many are dropped.
    Null,
    /// The row is left out.
    Skip,
}

/// How a CSV file is written.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    /// Between values.
    pub delimiter: u8,
    /// Around values that hold delimiters or line ends.
    pub quote: u8,
    /// Whether the first row names the columns; otherwise they are `column_1`, `column_2`...
    pub has_header: bool,
    /// Texts that mean null.
    pub null_values: Vec<String>,
    /// Types of columns that are not to be inferred.
    pub types: Vec<(String, DataType)>,
    /// Rows from which the other types are inferred.
    pub infer_rows: usize,
    /// What to do with rows that do not fit.
    pub bad_rows: BadRows,
    /// Bytes of a part.
    pub part_bytes: usize,
}

impl Default for CsvOptions {
    /// Commas, double quotes, a header; empty, `NA`, `null` and `NaN`-less text are null; types from 10 000 rows.
    fn default() -> CsvOptions {
        CsvOptions {
            delimiter: b',',
            quote: b'"',
            has_header: true,
            null_values: vec!["".into(), "NA".into(), "null".into(), "NULL".into()],
            types: vec![],
            infer_rows: 10_000,
            bad_rows: BadRows::Error,
            part_bytes: 8 << 20,
        }
    }
}

/// CSV files of one schema as a source of rows.
#[derive(Debug)]
pub struct CsvSource {
    files: Vec<CsvFile>,
    options: CsvOptions,
    nulls: Regex,
    schema: SchemaRef,
    /// By part: its file, and its number there.
    parts: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct CsvFile {
    path: PathBuf,
    len: u64,
    /// Byte at which the rows start, after the header.
    start: u64,
    compressed: bool,
    /// By part: whether an odd number of quotes is before it.
    odd: OnceLock<Result<Vec<bool>>>,
}

/// Rows of a batch.
const BATCH: usize = 1 << 15;

impl CsvSource {
    /// Opens files, which must have one header; reads the first rows of the first.
    ///
    /// # Errors
    /// If there is no file, one cannot be read, headers differ, or a type is given for a column that is not there.
    pub fn open(paths: &[PathBuf], options: CsvOptions) -> Result<CsvSource> {
        let part_bytes = options.part_bytes.clamp(1, 1 << 40);
        let options = CsvOptions { part_bytes, ..options };
        let Some(first) = paths.first() else {
            return Err(Error::invalid("scan_csv", "no file matches"));
        };
        let words: Vec<String> = options.null_values.iter().map(|v| regex::escape(v)).collect();
        // without null values no text means null
        let pattern = if words.is_empty() { "[^\\s\\S]".into() } else { format!("^({})$", words.join("|")) };
        let nulls = Regex::new(&pattern).map_err(|e| Error::internal(e.to_string()))?;
        let schema = Arc::new(infer(first, &options, &nulls)?);
        let mut files = vec![];
        for path in paths {
            let len = std::fs::metadata(path).map_err(|e| Error::io("reading", path, e))?.len();
            let compressed = is_compressed(path);
            let start = if options.has_header { header(path, &options, &schema)? } else { 0 };
            files.push(CsvFile { path: path.clone(), len, start, compressed, odd: OnceLock::new() });
        }
        let count = |f: &CsvFile| match f.compressed {
            true => 1,
            false => (f.len - f.start.min(f.len)).div_ceil(options.part_bytes as u64).max(1) as usize,
        };
        let parts = files.iter().enumerate().flat_map(|(k, f)| (0..count(f)).map(move |p| (k, p))).collect();
        Ok(CsvSource { files, options, nulls, schema, parts })
    }

    fn decoder(&self, columns: &[usize]) -> arrow::csv::reader::Decoder {
        arrow::csv::ReaderBuilder::new(self.schema.clone())
            .with_delimiter(self.options.delimiter)
            .with_quote(self.options.quote)
            .with_null_regex(self.nulls.clone())
            .with_batch_size(BATCH)
            .with_projection(columns.to_vec())
            .build_decoder()
    }

    /// The rows of a part of a plain file, and where they start. A part's rows start after its first byte, up to the next part's first byte
    /// included: so the row that a cut falls into, or that starts there, belongs to the part before.
    fn bytes(&self, file: &CsvFile, part: usize) -> Result<(u64, Vec<u8>)> {
        let step = self.options.part_bytes as u64;
        let io = |e| Error::io("reading", &file.path, e);
        let handle = File::open(&file.path).map_err(io)?;
        let cut = |k: usize| (file.start + k as u64 * step).min(file.len);
        let odd =
            |k: usize| -> Result<bool> { Ok(k > 0 && self.odd(file)?.get(k).copied().unwrap_or(false)) };
        let (from, to) = (cut(part), cut(part + 1));
        let mut bytes = read_range(&handle, from, to).map_err(io)?;
        let skipped = if part == 0 { 0 } else { row_end(&bytes, &mut odd(part)?, self.options.quote) };
        if skipped == NO_END {
            return Ok((to, vec![]));
        }
        let (mut quoted, mut at) = (odd(part + 1)?, to);
        while at < file.len {
            let more = read_range(&handle, at, (at + (64 << 10)).min(file.len)).map_err(io)?;
            let end = row_end(&more, &mut quoted, self.options.quote);
            at += more.len() as u64;
            bytes.extend_from_slice(&more[..end.min(more.len())]);
            if end != NO_END {
                break;
            }
        }
        bytes.drain(..skipped);
        Ok((from + skipped as u64, bytes))
    }

    /// By part: whether an odd number of quotes is before it in the file.
    fn odd<'a>(&self, file: &'a CsvFile) -> Result<&'a Vec<bool>> {
        let count = || -> Result<Vec<bool>> {
            let io = |e| Error::io("reading", &file.path, e);
            let handle = File::open(&file.path).map_err(io)?;
            let step = self.options.part_bytes as u64;
            let (mut odd, mut all, mut at) = (false, vec![false], file.start);
            while at < file.len {
                let bytes = read_range(&handle, at, (at + step).min(file.len)).map_err(io)?;
                odd ^= memchr::memchr_iter(self.options.quote, &bytes).count() % 2 == 1;
                all.push(odd);
                at += bytes.len() as u64;
            }
            Ok(all)
        };
        file.odd.get_or_init(count).as_ref().map_err(Clone::clone)
    }

    /// Decodes whole rows.
    fn decode(
        &self,
        file: &CsvFile,
        start: u64,
        bytes: &[u8],
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        // whether a row is skipped must not depend on the columns that are wanted
        let skips = self.options.bad_rows == BadRows::Skip;
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let mut decoder = self.decoder(if skips { &all } else { columns });
        let mut at = 0;
        loop {
            let from = at;
            let mut decoded = || -> std::result::Result<Option<RecordBatch>, arrow::error::ArrowError> {
                loop {
                    let n = decoder.decode(&bytes[at..])?;
                    at += n;
                    if n == 0 || decoder.capacity() == 0 {
                        break decoder.flush();
                    }
                }
            };
            match decoded() {
                Ok(None) => return Ok(()),
                Ok(Some(batch)) => {
                    let batch = match skips {
                        true => batch.project(columns).map_err(|e| Error::internal(e.to_string()))?,
                        false => batch,
                    };
                    if !each(batch)? {
                        return Ok(());
                    }
                }
                Err(e) if self.options.bad_rows == BadRows::Error => {
                    return Err(self.locate(file, start + from as u64, &bytes[from..], &e));
                }
                // this batch and the rest by hand
                Err(_) => return self.by_hand(&bytes[from..], columns, each),
            }
        }
    }

    /// The error of the first row that does not fit, with its line.
    fn locate(&self, file: &CsvFile, start: u64, bytes: &[u8], e: &arrow::error::ArrowError) -> Error {
        let count = |text: &mut dyn Read| -> Result<usize> {
            let (mut lines, mut left, mut piece) = (0, start, vec![0; 1 << 16]);
            while left > 0 {
                let most = piece.len().min(left as usize);
                let n = text.read(&mut piece[..most]).map_err(|e| Error::io("reading", &file.path, e))?;
                if n == 0 {
                    break;
                }
                lines += memchr::memchr_iter(b'\n', &piece[..n]).count();
                left -= n as u64;
            }
            Ok(lines)
        };
        let before = with_text(&file.path, count).unwrap_or(0);
        let mut reader = self.records(bytes);
        let mut record = csv::StringRecord::new();
        while let Ok(true) = reader.read_record(&mut record) {
            let line = before + record.position().map_or(1, |p| p.line() as usize);
            let row = |message: String| ErrorKind::Row { path: file.path.clone(), line, message }.into();
            let fields = self.schema.fields();
            if record.len() != fields.len() {
                return row(format!("has {} values, not {}", record.len(), fields.len()));
            }
            for (value, field) in record.iter().zip(fields) {
                if !self.nulls.is_match(value) && !parses(value, field.data_type()) {
                    let hint = "give the column's type, a null value, or BadRows::Null";
                    let name = field.name();
                    return row(format!("column {name:?} is {}, not {value:?}; {hint}", field.data_type()));
                }
            }
        }
        Error::format("CSV", &file.path, e)
    }

    fn records<'a>(&self, bytes: &'a [u8]) -> csv::Reader<&'a [u8]> {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.options.delimiter)
            .quote(self.options.quote)
            .from_reader(bytes)
    }

    /// Decodes rows one by one, those that do not fit included.
    fn by_hand(
        &self,
        bytes: &[u8],
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let mut reader = self.records(bytes);
        let mut record = csv::ByteRecord::new();
        let fields = self.schema.fields();
        loop {
            let mut texts: Vec<StringBuilder> = fields.iter().map(|_| StringBuilder::new()).collect();
            let mut fits: Vec<bool> = vec![];
            while fits.len() < BATCH {
                match reader.read_byte_record(&mut record) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(e) => return Err(Error::internal(e.to_string())),
                }
                fits.push(record.len() == fields.len());
                for (k, text) in texts.iter_mut().enumerate() {
                    let value = record.get(k).map(String::from_utf8_lossy);
                    text.append_option(value.filter(|v| !self.nulls.is_match(v)));
                }
            }
            if fits.is_empty() {
                return Ok(());
            }
            let mut arrays: Vec<ArrayRef> = vec![];
            for (text, field) in texts.iter_mut().zip(fields) {
                let text: ArrayRef = Arc::new(text.finish());
                let options = CastOptions { safe: true, ..CastOptions::default() };
                let array = cast_with_options(&text, field.data_type(), &options)
                    .map_err(|e| Error::internal(e.to_string()))?;
                for (i, fit) in fits.iter_mut().enumerate() {
                    *fit &= text.is_null(i) || array.is_valid(i);
                }
                arrays.push(array);
            }
            let rows = fits.len();
            let batch = select(&self.schema, arrays, columns, rows)?;
            let batch = match self.options.bad_rows {
                BadRows::Skip => filter_record_batch(&batch, &BooleanArray::from(fits))
                    .map_err(|e| Error::internal(e.to_string()))?,
                _ => batch,
            };
            if !each(batch)? {
                return Ok(());
            }
        }
    }
}

fn select(schema: &SchemaRef, arrays: Vec<ArrayRef>, columns: &[usize], rows: usize) -> Result<RecordBatch> {
    let schema = Arc::new(schema.project(columns).map_err(|e| Error::internal(e.to_string()))?);
    let arrays = columns.iter().map(|&c| arrays[c].clone()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| Error::internal(e.to_string()))
}

/// Whether a text is a value of a type.
fn parses(value: &str, t: &DataType) -> bool {
    let text: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![value]));
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(&text, t, &options).is_ok_and(|a| a.is_valid(0))
}

const NO_END: usize = usize::MAX;

/// The number of bytes up to and including the first line end that is outside quotes; [`NO_END`] if there is none. `quoted` says whether
/// the bytes start inside quotes, and then whether they end so.
fn row_end(bytes: &[u8], quoted: &mut bool, quote: u8) -> usize {
    for at in memchr::memchr2_iter(b'\n', quote, bytes) {
        if bytes[at] == quote {
            *quoted = !*quoted;
        } else if !*quoted {
            return at + 1;
        }
    }
    NO_END
}

fn read_range(file: &File, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    let mut bytes = Vec::with_capacity((to - from) as usize);
    file.seek(SeekFrom::Start(from))?;
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz") || e.eq_ignore_ascii_case("zip"))
}

/// The text of a file, decompressed, as a stream.
fn with_text<T>(path: &Path, f: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let file = File::open(path).map_err(|e| Error::io("reading", path, e))?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "gz" => f(&mut flate2::read::MultiGzDecoder::new(file)),
        "zip" => {
            let bad = |e| Error::format("zip file", path, e);
            let mut zip = zip::ZipArchive::new(file).map_err(bad)?;
            if zip.len() != 1 {
                let message = format!("has {} members; only files with one can be read", zip.len());
                return Err(Error::format("zip file", path, message));
            }
            let mut member = zip.by_index(0).map_err(bad)?;
            f(&mut member)
        }
        _ => f(&mut std::io::BufReader::new(file)),
    }
}

/// The schema of a file by its first rows.
fn infer(path: &Path, options: &CsvOptions, nulls: &Regex) -> Result<Schema> {
    let format = Format::default()
        .with_header(options.has_header)
        .with_delimiter(options.delimiter)
        .with_quote(options.quote)
        .with_null_regex(nulls.clone())
        .with_truncated_rows(options.bad_rows != BadRows::Error);
    let schema = with_text(path, |text| {
        let found = format.infer_schema(text, Some(options.infer_rows));
        Ok(found.map_err(|e| Error::format("CSV", path, e))?.0)
    })?;
    let mut fields: Vec<Field> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    for (name, t) in &options.types {
        match fields.iter_mut().find(|f| f.name() == name) {
            Some(field) => *field = Field::new(name, t.clone(), true),
            None => {
                let known = fields.iter().map(|f| f.name().clone()).collect();
                return Err(ErrorKind::Column { name: name.clone(), nearest: None, known }.into());
            }
        }
    }
    // a column without any value in the first rows may hold anything
    for field in &mut fields {
        if *field.data_type() == DataType::Null {
            *field = Field::new(field.name(), DataType::Utf8, true);
        }
    }
    Ok(Schema::new(fields))
}

/// Checks a file's header; where the rows start.
fn header(path: &Path, options: &CsvOptions, schema: &Schema) -> Result<u64> {
    with_text(path, |text| {
        let mut start = vec![0; 1 << 20];
        let mut n = 0;
        while n < start.len() {
            match text.read(&mut start[n..]).map_err(|e| Error::io("reading", path, e))? {
                0 => break,
                more => n += more,
            }
        }
        let bytes = &start[..n];
        let end = row_end(bytes, &mut false, options.quote).min(n);
        if bytes[..end].contains(&b'\r') && !bytes[..end].ends_with(b"\r\n") {
            let message = "lines end with a carriage return alone; rewrite it with line feeds";
            return Err(Error::format("CSV", path, message));
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(options.delimiter)
            .quote(options.quote)
            .from_reader(&bytes[..end]);
        let mut names = csv::StringRecord::new();
        reader.read_record(&mut names).map_err(|e| Error::format("CSV", path, e))?;
        let wanted: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        if !names.iter().eq(wanted.iter().copied()) {
            let found: Vec<&str> = names.iter().collect();
            return Err(Error::format("CSV", path, format!("has columns {found:?}, others have {wanted:?}")));
        }
        Ok(end as u64)
    })
}

impl BatchSource for CsvSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        label(&self.files[0].path, self.files.len())
    }

    fn parts(&self) -> usize {
        self.parts.len()
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
        let (file, part) = self.parts[part];
        let file = &self.files[file];
        if !file.compressed {
            let (start, bytes) = self.bytes(file, part)?;
            return self.decode(file, start, &bytes, columns, each);
        }
        with_text(&file.path, |text| {
            let mut rows: Vec<u8> = vec![];
            let mut header = file.start as usize;
            let (mut go_on, mut start) = (true, file.start);
            loop {
                let read = text.take(self.options.part_bytes as u64).read_to_end(&mut rows);
                let n = read.map_err(|e| Error::io("reading", &file.path, e))?;
                let skipped = header.min(rows.len());
                rows.drain(..skipped);
                header -= skipped;
                let whole = if n == 0 { rows.len() } else { last_row_end(&rows, self.options.quote) };
                self.decode(file, start, &rows[..whole], columns, &mut |batch| {
                    go_on = each(batch)?;
                    Ok(go_on)
                })?;
                rows.drain(..whole);
                start += whole as u64;
                if n == 0 || !go_on {
                    return Ok(());
                }
            }
        })
    }

    fn read_bytes(&self, columns: &[usize]) -> usize {
        // the text, and a batch of values: at most as wide as their text and an offset
        let share = columns.len().max(1) * 24 * BATCH;
        2 * self.options.part_bytes + share
    }
}

/// Where the last whole row ends.
fn last_row_end(bytes: &[u8], quote: u8) -> usize {
    let (mut at, mut end, mut quoted) = (0, 0, false);
    loop {
        match row_end(&bytes[at..], &mut quoted, quote) {
            NO_END => return end,
            n => {
                at += n;
                end = at;
            }
        }
    }
}

/// A CSV file being written.
#[derive(Debug)]
pub struct CsvSink {
    path: PathBuf,
    writer: Mutex<Option<arrow::csv::Writer<std::io::BufWriter<tempfile::NamedTempFile>>>>,
}

impl CsvSink {
    /// A file with a header, whose nulls are empty.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<CsvSink> {
        let path = path.as_ref().to_owned();
        let file = std::io::BufWriter::new(file_beside(&path)?);
        let writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
        Ok(CsvSink { path, writer: Mutex::new(Some(writer)) })
    }
}

impl BatchSink for CsvSink {
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
        let Some(writer) = writer else { return Err(Error::internal("finished twice")) };
        let mut buffered = writer.into_inner();
        buffered.flush().map_err(|e| Error::io("writing", &self.path, e))?;
        let file = buffered.into_inner().map_err(|e| Error::io("writing", &self.path, e.into_error()))?;
        publish_file(file, &self.path)
    }
}

/// What a source of several files is called: the first one's name, and how many more there are.
pub(super) fn label(first: &Path, files: usize) -> String {
    let first = first.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if files == 1 { first } else { format!("{first} and {} more", files - 1) }
}

/// The error of a write by an Arrow writer.
pub(super) fn written(path: &Path, e: arrow::error::ArrowError) -> Error {
    match e {
        arrow::error::ArrowError::IoError(_, e) => Error::io("writing", path, e),
        other => Error::format("table", path, other),
    }
}
