//! Tables into files: the formats, and directories with one file for every value of some columns.

use super::address::{option, unknown};
use super::csv::{CsvQuotes, CsvSink, CsvWriteOptions};
use super::ipc::{IpcCompression, IpcOptions, IpcSink};
use super::json::JsonLinesSink;
#[cfg(feature = "parquet")]
use super::parquet::{ParquetCompression, ParquetOptions, ParquetSink};
use super::parts::DirectorySink;
use super::temp::{Draft, new_dir, publish_dir};
use crate::block::{Address, BatchSink};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow_row::{RowConverter, SortField};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A format in which tables are written, with its options.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FileFormat {
    /// Comma-separated values.
    Csv(CsvWriteOptions),
    /// A JSON object a line.
    JsonLines,
    /// Arrow IPC, also known as Feather.
    Ipc(IpcOptions),
    /// Parquet.
    #[cfg(feature = "parquet")]
    Parquet(ParquetOptions),
}

impl FileFormat {
    /// How names of such files end.
    pub fn extension(&self) -> &'static str {
        match self {
            FileFormat::Csv(_) => "csv",
            FileFormat::JsonLines => "jsonl",
            FileFormat::Ipc(_) => "arrow",
            #[cfg(feature = "parquet")]
            FileFormat::Parquet(_) => "parquet",
        }
    }

    /// A file of this format; it is there when it is whole.
    ///
    /// # Errors
    /// If it cannot be created, or the format does not have a column's type.
    pub fn create(&self, path: impl AsRef<Path>, schema: SchemaRef) -> Result<Arc<dyn BatchSink>> {
        self.sink(Draft::beside(path.as_ref())?, path.as_ref(), schema)
    }

    /// A directory of files of this format, whose parts are written beside each other: `part-00000.parquet` and so on, in the order of rows. It
    /// is there when it is whole, and must not be there before; see [`DataFrame::write_directory`](crate::frame::DataFrame::write_directory).
    ///
    /// # Errors
    /// If it is there or cannot be created.
    pub fn create_directory(&self, path: impl AsRef<Path>, schema: SchemaRef) -> Result<Arc<dyn BatchSink>> {
        Ok(Arc::new(DirectorySink::create(path, schema, self.clone())?))
    }

    /// The format's name and options as an address has them.
    pub(super) fn options(&self) -> (&'static str, Vec<(&'static str, u64)>, Vec<String>) {
        match self {
            FileFormat::Csv(o) => {
                let options = [
                    ("delimiter", o.delimiter.into()),
                    ("quote", o.quote.into()),
                    ("quotes", place(CSV_QUOTES, o.quotes)),
                    ("header", o.header.into()),
                ];
                ("csv", options.to_vec(), vec![o.null.clone()])
            }
            FileFormat::JsonLines => ("json lines", vec![], vec![]),
            FileFormat::Ipc(o) => {
                ("ipc", vec![("compression", place(IPC_COMPRESSION, o.compression))], vec![])
            }
            #[cfg(feature = "parquet")]
            FileFormat::Parquet(o) => {
                let (compression, level) = match o.compression {
                    ParquetCompression::None => (0, 0),
                    ParquetCompression::Snappy => (1, 0),
                    ParquetCompression::Lz4 => (2, 0),
                    ParquetCompression::Gzip(level) => (3, level.into()),
                    ParquetCompression::Zstd(level) => (4, level as u64),
                };
                let rows = o.row_group_rows as u64;
                let options = [("compression", compression), ("level", level), ("row_group_rows", rows)];
                ("parquet", options.to_vec(), vec![])
            }
        }
    }

    /// The format that an address names.
    ///
    /// # Errors
    /// If this build does not know it, or its options are others.
    pub(super) fn of_address(at: &Address, texts: &[String]) -> Result<FileFormat> {
        let bad = |name: &str| {
            Error::format("address", &at.path, format!("its address has another {name} than there are"))
        };
        let byte = |name: &str| option(at, name)?.try_into().map_err(|_| bad(name));
        Ok(match at.format.as_str() {
            "csv" => FileFormat::Csv(CsvWriteOptions {
                delimiter: byte("delimiter")?,
                quote: byte("quote")?,
                quotes: *CSV_QUOTES.get(option(at, "quotes")?).ok_or_else(|| bad("quotes"))?,
                header: option(at, "header")? > 0,
                null: texts.first().cloned().ok_or_else(|| bad("null"))?,
            }),
            "json lines" => FileFormat::JsonLines,
            "ipc" => {
                let compression = IPC_COMPRESSION.get(option(at, "compression")?);
                FileFormat::Ipc(IpcOptions { compression: *compression.ok_or_else(|| bad("compression"))? })
            }
            #[cfg(feature = "parquet")]
            "parquet" => {
                let level = option(at, "level")?;
                let compression = match option(at, "compression")? {
                    0 => ParquetCompression::None,
                    1 => ParquetCompression::Snappy,
                    2 => ParquetCompression::Lz4,
                    3 => ParquetCompression::Gzip(level.try_into().map_err(|_| bad("level"))?),
                    // it may be negative
                    4 => ParquetCompression::Zstd((level as i64).try_into().map_err(|_| bad("level"))?),
                    _ => return Err(bad("compression")),
                };
                let row_group_rows = option(at, "row_group_rows")?;
                FileFormat::Parquet(ParquetOptions { compression, row_group_rows })
            }
            other => return Err(unknown(other)),
        })
    }

    pub(super) fn sink(&self, draft: Draft, path: &Path, schema: SchemaRef) -> Result<Arc<dyn BatchSink>> {
        Ok(match self {
            FileFormat::Csv(options) => Arc::new(CsvSink::new(draft, path, &schema, options)?),
            FileFormat::JsonLines => Arc::new(JsonLinesSink::new(draft, path)),
            FileFormat::Ipc(options) => Arc::new(IpcSink::new(draft, path, &schema, *options)?),
            #[cfg(feature = "parquet")]
            FileFormat::Parquet(options) => Arc::new(ParquetSink::new(draft, path, schema, *options)?),
        })
    }
}

const CSV_QUOTES: &[CsvQuotes] =
    &[CsvQuotes::Necessary, CsvQuotes::Always, CsvQuotes::NonNumeric, CsvQuotes::Never];
const IPC_COMPRESSION: &[IpcCompression] = &[IpcCompression::None, IpcCompression::Lz4, IpcCompression::Zstd];

/// The place of a value among all of its kind.
fn place<T: PartialEq>(all: &[T], value: T) -> u64 {
    all.iter().take_while(|v| **v != value).count() as u64
}

/// The most files of a partitioned table. Each is being written until the end, and takes memory for that.
const MOST_FILES: usize = 4096;

/// What stands for null in the name of a directory.
pub(super) const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A directory being written in Hive's layout: `year=2013/month=1/part-0.parquet`, a file for every combination of values of the
/// columns that it is partitioned by. Those columns are in the names only.
pub struct PartitionedSink {
    path: PathBuf,
    format: FileFormat,
    /// Places of the columns that are in the names, and of the rest.
    by: Vec<usize>,
    rest: Vec<usize>,
    schema: SchemaRef,
    rows: RowConverter,
    state: Mutex<Option<Open>>,
}

struct Open {
    dir: tempfile::TempDir,
    files: HashMap<Box<[u8]>, Arc<dyn BatchSink>>,
}

impl std::fmt::Debug for PartitionedSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartitionedSink({})", self.path.display())
    }
}

impl PartitionedSink {
    /// A directory for tables of this schema; it must not be there yet.
    ///
    /// # Errors
    /// If it is there or cannot be created, a column is not there or is of a type that no name can hold, or no column would be left.
    pub fn create(
        path: impl AsRef<Path>,
        schema: &SchemaRef,
        by: &[&str],
        format: FileFormat,
    ) -> Result<PartitionedSink> {
        let op = "write_partitioned";
        let path = path.as_ref().to_owned();
        let mut places = vec![];
        for name in by {
            let place = schema
                .index_of(name)
                .map_err(|_| Error::no_column(name, schema.fields().iter().map(|f| f.name())))?;
            let t = schema.field(place).data_type();
            let is_bytes = matches!(
                t,
                DataType::Binary
                    | DataType::LargeBinary
                    | DataType::BinaryView
                    | DataType::FixedSizeBinary(_)
            );
            if is_bytes
                || t.is_nested()
                || t.is_floating()
                || !arrow::compute::can_cast_types(t, &DataType::Utf8)
            {
                let message = format!(
                    "column {name:?} is {t}; a directory's name can be text, a whole number or a date"
                );
                return Err(Error::invalid(op, message));
            }
            if places.contains(&place) {
                return Err(Error::invalid(op, format!("column {name:?} is named twice")));
            }
            places.push(place);
        }
        let rest: Vec<usize> = (0..schema.fields().len()).filter(|c| !places.contains(c)).collect();
        if places.is_empty() || rest.is_empty() {
            let message = format!(
                "{} of {} columns are in names; one at least must be, and one must not",
                places.len(),
                schema.fields().len()
            );
            return Err(Error::invalid(op, message));
        }
        let fields = places.iter().map(|&c| SortField::new(schema.field(c).data_type().clone())).collect();
        let rows = RowConverter::new(fields).map_err(|e| Error::internal(e.to_string()))?;
        let of_files = Arc::new(schema.project(&rest).map_err(|e| Error::internal(e.to_string()))?);
        let open = Open { dir: new_dir(op, &path)?, files: HashMap::new() };
        let state = Mutex::new(Some(open));
        Ok(PartitionedSink { path, format, by: places, rest, schema: of_files, rows, state })
    }

    /// The file of the rows with these names, which is created.
    fn file(&self, dir: &Path, names: &[(&str, Option<&str>)]) -> Result<Arc<dyn BatchSink>> {
        let mut at = dir.to_owned();
        let mut shown = self.path.clone();
        for (column, value) in names {
            let name = format!("{}={}", escaped(column), value.map_or(NULL.into(), escaped));
            at.push(&name);
            shown.push(&name);
        }
        std::fs::create_dir_all(&at).map_err(|e| Error::io("creating", &shown, e))?;
        let file = format!("part-0.{}", self.format.extension());
        // two keys of one name would be written into each other
        std::fs::OpenOptions::new().write(true).create_new(true).open(at.join(&file)).map_err(|e| {
            let shown = shown.join(&file);
            match e.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    let message = format!("two keys would be written to {}", shown.display());
                    Error::invalid("write_partitioned", message)
                }
                _ => Error::io("creating", &shown, e),
            }
        })?;
        self.format.sink(Draft::Within(at.join(&file)), &shown.join(file), self.schema.clone())
    }

    fn write_to(&self, open: &mut Open, batch: &RecordBatch) -> Result<()> {
        let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
        let keys: Vec<ArrayRef> = self.by.iter().map(|&c| batch.column(c).clone()).collect();
        let rows = self.rows.convert_columns(&keys).map_err(internal)?;
        // which rows have which key, in the order of their first rows
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut chosen: Vec<(&[u8], Vec<u32>)> = vec![];
        let all: Vec<_> = rows.iter().collect();
        for (row, key) in all.iter().enumerate() {
            let number = *numbers.entry(key.data()).or_insert_with(|| {
                chosen.push((key.data(), vec![]));
                chosen.len() - 1
            });
            chosen[number].1.push(row as u32);
        }
        let rest = batch.project(&self.rest).map_err(internal)?;
        for (key, rows) in chosen {
            let file = match open.files.get(key) {
                Some(file) => file.clone(),
                None => {
                    if open.files.len() == MOST_FILES {
                        let message =
                            format!("more than {MOST_FILES} files; partition by columns of fewer values");
                        return Err(Error::invalid("write_partitioned", message));
                    }
                    let file = self.new_file(open.dir.path(), batch, &keys, rows[0] as usize)?;
                    open.files.insert(key.into(), file.clone());
                    file
                }
            };
            if rows.len() == rest.num_rows() {
                file.write(&rest)?;
                continue;
            }
            let (count, rows) = (rows.len(), UInt32Array::from(rows));
            let columns = rest.columns().iter().map(|c| take(c, &rows, None)).collect::<Result<Vec<_>, _>>();
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            let part =
                RecordBatch::try_new_with_options(self.schema.clone(), columns.map_err(internal)?, &options);
            file.write(&part.map_err(internal)?)?;
        }
        Ok(())
    }

    fn new_file(
        &self,
        dir: &Path,
        batch: &RecordBatch,
        keys: &[ArrayRef],
        row: usize,
    ) -> Result<Arc<dyn BatchSink>> {
        let schema = batch.schema();
        let mut names: Vec<(&str, Option<String>)> = vec![];
        for (key, &c) in keys.iter().zip(&self.by) {
            let text =
                cast(&key.slice(row, 1), &DataType::Utf8).map_err(|e| Error::internal(e.to_string()))?;
            let text = arrow::array::AsArray::as_string::<i32>(&text);
            let value = text.is_valid(0).then(|| text.value(0).to_owned());
            if value.as_deref() == Some("") {
                let name = schema.field(c).name();
                let message = format!(
                    "column {name:?} has an empty text, which no directory can be named; fill it with something"
                );
                return Err(Error::invalid("write_partitioned", message));
            }
            names.push((schema.field(c).name(), value));
        }
        let names: Vec<(&str, Option<&str>)> = names.iter().map(|(n, v)| (*n, v.as_deref())).collect();
        self.file(dir, &names)
    }
}

impl BatchSink for PartitionedSink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, batch: &RecordBatch) -> Result<()> {
        match self.state.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            Some(open) => self.write_to(open, batch),
            None => Err(Error::internal("a write after the end")),
        }
    }

    fn finish(&self) -> Result<()> {
        let open = self.state.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(open) = open else { return Err(Error::internal("finished twice")) };
        for file in open.files.values() {
            file.finish()?;
        }
        publish_dir(open.dir, &self.path, false)
    }
}

/// A text as a part of a path: what file systems or readers may take for something else is `%` and two hexadecimal digits.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{}[]^<>|".contains(c) {
            out += &format!("%{:02X}", c as u32);
        } else {
            out.push(c);
        }
    }
    // a name of dots alone means another directory
    if out.starts_with('.') { out.replacen('.', "%2E", 1) } else { out }
}

/// The text that was escaped; none if it is not.
pub(super) fn unescaped(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let hex = |two: &&str| *first == b'%' && two.bytes().all(|b| b.is_ascii_hexdigit());
        match code.filter(hex).and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The error of a write by an Arrow writer.
pub(super) fn written(path: &Path, e: arrow::error::ArrowError) -> Error {
    match e {
        arrow::error::ArrowError::IoError(_, e) => Error::io("writing", path, e),
        other => Error::format("table", path, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_name_and_back() {
        for text in ["a", "a/b=c%20", "..", "ü \u{7}", "100%", "[x]*?"] {
            let name = escaped(text);
            assert!(
                !name.contains('/') && name != ".." && unescaped(&name).as_deref() == Some(text),
                "{name}"
            );
        }
        assert_eq!(unescaped("%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(unescaped("%ff"), None);
    }
}
