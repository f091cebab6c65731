//! CSV files: read in parallel by ranges of bytes that end where rows end, written in order.

mod write;

pub use write::{CsvQuotes, CsvSink, CsvWriteOptions};

use super::address::{option, table_of};
use super::files::file_label;
use super::text::{Head, LONGEST_ROW, Quotes, Text, with_text};
use crate::block::{Address, BatchSource, TableAddress};
use crate::error::{Error, ErrorKind, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder,
};
use arrow::compute::kernels::cast_utils::parse_decimal;
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use regex::Regex;
use std::path::Path;
use std::sync::Arc;

/// What to do with a row that does not fit the schema: a value that is not of its column's type, or the wrong number of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BadRows {
    /// An error that names file, line and column.
    #[default]
    Error,
    /// Null in place of each such value and of missing ones; values too many are dropped. Text that is no UTF-8 is such a value.
    Null,
    /// The row is left out.
    Skip,
}

/// How a CSV file is read.
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
    /// Types of columns that are not to be inferred. Decimals are never inferred; digits beyond those that such a type has after the point are
    /// left out.
    pub types: Vec<(String, DataType)>,
    /// Rows from which the other types are inferred.
    pub infer_rows: usize,
    /// What to do with rows that do not fit.
    pub bad_rows: BadRows,
    /// Bytes of a part.
    pub part_bytes: usize,
    /// Bytes of a row from which on it is an error (1 GiB at most): behind a quote that is never closed the rest of the file is one value. A row
    /// longer than a part is held beside the memory limit.
    pub longest_row: usize,
}

impl Default for CsvOptions {
    /// Commas, double quotes, a header; empty, `NA`, `null` and `NaN`-less text are null; types from 10 000 rows; rows of up to 16 MiB.
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
            longest_row: LONGEST_ROW,
        }
    }
}

impl CsvOptions {
    /// The options that an address holds: all that matters where the schema is known.
    pub(super) fn of_address(at: &Address, nulls: &[String]) -> Result<CsvOptions> {
        let byte = |name| option(at, name).map(|n| n as u8);
        Ok(CsvOptions {
            delimiter: byte("delimiter")?,
            quote: byte("quote")?,
            has_header: option(at, "header")? != 0,
            null_values: nulls.to_vec(),
            bad_rows: match option(at, "bad_rows")? {
                0 => BadRows::Error,
                1 => BadRows::Null,
                _ => BadRows::Skip,
            },
            part_bytes: option(at, "part_bytes")?,
            longest_row: option(at, "longest_row")?,
            ..CsvOptions::default()
        })
    }

    fn quotes(&self) -> Quotes {
        Quotes { quote: self.quote, delimiter: self.delimiter }
    }
}

/// A CSV file as a source of rows.
#[derive(Debug)]
pub struct CsvSource {
    text: Text,
    options: CsvOptions,
    nulls: Regex,
    schema: SchemaRef,
}

/// Rows of a batch.
const BATCH: usize = 1 << 15;

/// Characters of a value that errors show.
const SHOWN: usize = 200;

impl CsvSource {
    /// Opens a file: with the columns of this schema, or else those that its first rows tell.
    ///
    /// # Errors
    /// If it cannot be read, its header does not name these columns, or a type is given for a column that is not there.
    pub fn open(path: &Path, options: CsvOptions, schema: Option<SchemaRef>) -> Result<CsvSource> {
        let words: Vec<String> = options.null_values.iter().map(|v| regex::escape(v)).collect();
        // without null values no text means null
        let pattern = if words.is_empty() { "[^\\s\\S]".into() } else { format!("^({})$", words.join("|")) };
        let nulls = Regex::new(&pattern).map_err(|e| Error::internal(e.to_string()))?;
        let schema = match schema {
            Some(schema) => schema,
            None => Arc::new(infer(path, &options, &nulls)?),
        };
        let start = if options.has_header { header(path, &options, &schema)? } else { 0 };
        let text = Text::open(path, start, options.part_bytes, Some(options.quotes()), options.longest_row)?;
        Ok(CsvSource { text, options, nulls, schema })
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

    /// Decodes whole rows.
    fn decode(
        &self,
        start: u64,
        bytes: &[u8],
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<bool> {
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
                Ok(None) => return Ok(true),
                Ok(Some(batch)) => {
                    let batch = match skips {
                        true => batch.project(columns).map_err(|e| Error::internal(e.to_string()))?,
                        false => batch,
                    };
                    if !each(batch)? {
                        return Ok(false);
                    }
                }
                Err(e) if self.options.bad_rows == BadRows::Error => {
                    return Err(self.locate(start + from as u64, &bytes[from..], &e));
                }
                // this batch and the rest by hand
                Err(_) => return self.by_hand(&bytes[from..], columns, each),
            }
        }
    }

    /// The error of the first row that does not fit, with its line.
    fn locate(&self, start: u64, bytes: &[u8], e: &arrow::error::ArrowError) -> Error {
        let before = self.text.lines_before(start);
        let mut reader = self.records(bytes);
        let mut record = csv::ByteRecord::new();
        while let Ok(true) = reader.read_byte_record(&mut record) {
            let line = before + record.position().map_or(1, |p| p.line() as usize);
            let row = |message: String| ErrorKind::Row { path: self.text.path.clone(), line, message }.into();
            let fields = self.schema.fields();
            if record.len() != fields.len() {
                return row(format!("has {} values, not {}", record.len(), fields.len()));
            }
            for (bytes, field) in record.iter().zip(fields) {
                let name = field.name();
                let shown = || String::from_utf8_lossy(bytes).chars().take(SHOWN).collect::<String>();
                let Ok(value) = std::str::from_utf8(bytes) else {
                    let hint = "convert the file to UTF-8, or give BadRows::Null";
                    return row(format!("column {name:?} is no UTF-8 text: {:?}; {hint}", shown()));
                };
                if !self.nulls.is_match(value) && !parses(value, field.data_type()) {
                    let hint = "give the column's type, a null value, or BadRows::Null";
                    let t = field.data_type();
                    return row(format!("column {name:?} is {t}, not {:?}; {hint}", shown()));
                }
            }
        }
        Error::format("CSV", &self.text.path, e)
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
    ) -> Result<bool> {
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
                let mut fit = record.len() == fields.len();
                for (k, text) in texts.iter_mut().enumerate() {
                    let value = record.get(k).map(std::str::from_utf8);
                    fit &= !matches!(value, Some(Err(_)));
                    let value = value.and_then(|v| v.ok());
                    text.append_option(value.filter(|v| !self.nulls.is_match(v)));
                }
                fits.push(fit);
            }
            if fits.is_empty() {
                return Ok(true);
            }
            let mut arrays: Vec<ArrayRef> = vec![];
            for (text, field) in texts.iter_mut().zip(fields) {
                let text: ArrayRef = Arc::new(text.finish());
                let array =
                    converted(&text, field.data_type()).map_err(|e| Error::internal(e.to_string()))?;
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
                return Ok(false);
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
    converted(&text, t).is_ok_and(|a| a.is_valid(0))
}

/// Texts as values of a type, null where one is none: by the same words as rows that all fit.
fn converted(texts: &ArrayRef, t: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    let texts = texts.as_string::<i32>();
    match t {
        DataType::Boolean => {
            let word = |s: &str| match s {
                s if s.eq_ignore_ascii_case("true") => Some(true),
                s if s.eq_ignore_ascii_case("false") => Some(false),
                _ => None,
            };
            Ok(Arc::new(texts.iter().map(|s| s.and_then(word)).collect::<BooleanArray>()))
        }
        DataType::Decimal128(p, s) => decimals::<Decimal128Type>(texts, *p, *s),
        DataType::Decimal256(p, s) => decimals::<Decimal256Type>(texts, *p, *s),
        t => cast_with_options(texts, t, &CastOptions { safe: true, ..CastOptions::default() }),
    }
}

/// Digits that a decimal has no place for are left out.
fn decimals<T: DecimalType>(
    texts: &StringArray,
    precision: u8,
    scale: i8,
) -> std::result::Result<ArrayRef, ArrowError> {
    let value = |s: &str| parse_decimal::<T>(s, precision, scale).ok();
    let values: PrimitiveArray<T> = texts.iter().map(|s| s.and_then(value)).collect();
    Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
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
        let mut head = Head::new(path, text, Some(options.quotes()), options.longest_row);
        let found = format.infer_schema(&mut head, Some(options.infer_rows));
        Ok(found.map_err(|e| head.failed.take().unwrap_or_else(|| Error::format("CSV", path, e)))?.0)
    })?;
    let mut fields: Vec<Field> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    if fields.is_empty() {
        return Err(Error::format("CSV", path, "it is empty: not even a header is there"));
    }
    for (name, t) in &options.types {
        match fields.iter_mut().find(|f| f.name() == name) {
            Some(field) => *field = Field::new(name, t.clone(), true),
            None => return Err(Error::no_column(name, fields.iter().map(|f| f.name()))),
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
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(options.delimiter)
            .quote(options.quote)
            .from_reader(bytes);
        let mut names = csv::StringRecord::new();
        reader.read_record(&mut names).map_err(|e| Error::format("CSV", path, e))?;
        // the parser ends a row at a carriage return too, and leaves the line feed that may follow
        let end = reader.position().byte() as usize;
        let end = if bytes[..end].ends_with(b"\r") && bytes.get(end) == Some(&b'\n') { end + 1 } else { end };
        if bytes[..end].contains(&b'\r') && !bytes[..end].ends_with(b"\r\n") {
            let message = "lines end with a carriage return alone; rewrite it with line feeds";
            return Err(Error::format("CSV", path, message));
        }
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
        let o = &self.options;
        let bad_rows = match o.bad_rows {
            BadRows::Error => 0,
            BadRows::Null => 1,
            BadRows::Skip => 2,
        };
        let options = [
            ("delimiter", o.delimiter.into()),
            ("quote", o.quote.into()),
            ("header", o.has_header.into()),
            ("bad_rows", bad_rows),
            ("part_bytes", o.part_bytes as u64),
            ("longest_row", o.longest_row as u64),
        ];
        table_of("csv", &self.text.path, &self.schema, &options, o.null_values.clone())
    }

    fn read_bytes(&self, columns: &[usize]) -> usize {
        // the text, and a batch of values: at most as wide as their text and an offset
        self.text.read_bytes() + columns.len().max(1) * 24 * BATCH
    }
}
