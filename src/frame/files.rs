//! Frames from files, and into files.

use super::{DataFrame, Table};
use crate::block::{BatchSink, BatchSource};
use crate::error::Result;
use crate::io::csv::{CsvOptions, CsvSource, CsvWriteOptions};
use crate::io::files::{Files, find};
use crate::io::ipc::{IpcOptions, IpcSource};
use crate::io::json::{JsonLinesOptions, JsonLinesSource};
#[cfg(feature = "parquet")]
use crate::io::parquet::ParquetOptions;
use crate::io::sink::{FileFormat, PartitionedSink};
use crate::session::Session;
use arrow::datatypes::SchemaRef;
use std::path::Path;
use std::sync::Arc;

/// The frame of the files that a path names.
#[track_caller]
fn scan(
    path: &Path,
    endings: &[&str],
    open: &dyn Fn(&Path, Option<SchemaRef>) -> Result<Arc<dyn BatchSource>>,
) -> DataFrame {
    match find(path, endings).and_then(|found| Files::open(&found, open)) {
        Ok(source) => DataFrame::scan(source),
        Err(e) => DataFrame::new(Err(e)),
    }
}

/// A CSV file, several by a pattern (`flights*.csv.gz`), or all below a directory (with columns for directories called `key=value`); plain,
/// or compressed by gzip, zstd or zip. Reads the first rows for names and types; see [`CsvOptions`] for others than the usual ones.
///
/// Plain files are read in parallel, a few MiB at a time; columns that nothing uses are not parsed.
///
/// # Errors
/// Carried: if no file matches, one cannot be read, or headers differ. To the run: rows that do not fit, with file, line and column.
///
/// ```no_run
/// use blockwise::frame::{col, scan_csv};
/// let delays = scan_csv("flights*.csv.gz").group_by("carrier").agg(col("dep_delay").mean());
/// println!("{}", delays.collect()?);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn scan_csv(path: impl AsRef<Path>) -> DataFrame {
    CsvOptions::default().scan(path)
}

impl CsvOptions {
    /// A CSV file, or several, read as these options say; see [`scan_csv`].
    #[track_caller]
    pub fn scan(self, path: impl AsRef<Path>) -> DataFrame {
        let endings = [".csv", ".csv.gz", ".csv.zst", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zst", ".tsv.zip"];
        scan(path.as_ref(), &endings, &|path, schema| {
            Ok(Arc::new(CsvSource::open(path, self.clone(), schema)?))
        })
    }
}

/// A file of JSON lines (an object a line), several by a pattern, or all below a directory; plain, or compressed by gzip, zstd or zip. See
/// [`JsonLinesOptions`] for other than the inferred types.
///
/// A file is read in parallel, a few MiB at a time; columns that nothing uses are not decoded. What a row lacks is null.
///
/// # Errors
/// Carried: if no file matches, or the first rows are no objects. To the run: rows that do not fit, with file and line.
///
/// ```
/// use blockwise::frame::{col, scan_json_lines};
/// let path = std::env::temp_dir().join(format!("blockwise-doc-{}.jsonl", std::process::id()));
/// std::fs::write(&path, "{\"k\": \"a\", \"v\": 1}\n{\"k\": \"b\"}\n").unwrap();
/// let table = scan_json_lines(&path).filter(col("v").is_null()).collect()?;
/// assert_eq!(table.texts("k")?, [Some("b".into())]);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn scan_json_lines(path: impl AsRef<Path>) -> DataFrame {
    JsonLinesOptions::default().scan(path)
}

impl JsonLinesOptions {
    /// A file of JSON lines, or several, read as these options say; see [`scan_json_lines`].
    #[track_caller]
    pub fn scan(self, path: impl AsRef<Path>) -> DataFrame {
        let names = [".jsonl", ".ndjson", ".json"];
        let endings: Vec<String> =
            names.iter().flat_map(|n| ["", ".gz", ".zst", ".zip"].map(|c| format!("{n}{c}"))).collect();
        let endings: Vec<&str> = endings.iter().map(String::as_str).collect();
        scan(path.as_ref(), &endings, &|path, schema| {
            Ok(Arc::new(JsonLinesSource::open(path, &self, schema)?))
        })
    }
}

/// An Arrow IPC file (also known as Feather) or stream, several by a pattern, or all below a directory. A record batch is read at once; of
/// its columns only those that are used are decoded.
///
/// # Errors
/// Carried: if no file matches, one is no Arrow IPC file, or columns differ. To the run: batches that are damaged.
///
/// ```
/// use blockwise::frame::{DataFrame, scan_ipc};
/// let path = std::env::temp_dir().join(format!("blockwise-doc-{}.arrow", std::process::id()));
/// DataFrame::from_columns([("a", vec![1i64, 2, 3].into())]).write_ipc(&path)?;
/// assert_eq!(scan_ipc(&path).num_rows()?, 3);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn scan_ipc(path: impl AsRef<Path>) -> DataFrame {
    let endings = [".arrow", ".feather", ".ipc", ".arrows"];
    scan(path.as_ref(), &endings, &|path, _| Ok(Arc::new(IpcSource::open(path)?)))
}

/// A Parquet file, several by a pattern, or all below a directory. Reads the footers for names and types; of the columns only those that
/// are used, and of the rows not those that the file's statistics exclude from the filters above.
///
/// Directories called `key=value` below the directory (or from the first with a `*` in the pattern on) are columns: whole numbers if all
/// values are, else text. Files that a filter excludes by them are not read.
///
/// # Errors
/// Carried: if no file matches, one is no Parquet file, or columns differ.
///
/// ```
/// use blockwise::frame::{DataFrame, col, scan_parquet};
/// let dir = std::env::temp_dir().join(format!("blockwise-doc-scan-{}", std::process::id()));
/// let flights = DataFrame::from_columns([
///     ("month", vec![1i64, 1, 2].into()),
///     ("delay", vec![2.0, 11.0, -3.0].into()),
/// ]);
/// flights.write_parquet_partitioned(&dir, ["month"])?;
/// let late = scan_parquet(&dir).filter(col("month").eq(1).and(col("delay").gt(10)));
/// assert_eq!(late.num_rows()?, 1);
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), blockwise::Error>(())
/// ```
#[cfg(feature = "parquet")]
#[track_caller]
pub fn scan_parquet(path: impl AsRef<Path>) -> DataFrame {
    scan(path.as_ref(), &[".parquet", ".parq", ".pq"], &|path, _| {
        Ok(Arc::new(crate::io::parquet::ParquetSource::open(path)?))
    })
}

impl DataFrame {
    /// Runs the plan and writes its rows as they come, in order.
    ///
    /// # Errors
    /// That which the frame carries, those of running it, and those of the sink; then nothing is at the destination.
    pub fn write(&self, sink: Arc<dyn BatchSink>) -> Result<()> {
        Session::global()?.write_frame(self.relation()?, sink)
    }

    /// Runs the plan and writes a file of any format; see [`FileFormat`]. It is there when it is whole.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_file(&self, path: impl AsRef<Path>, format: &FileFormat) -> Result<()> {
        self.write(format.create(path, self.schema()?)?)
    }

    /// Runs the plan and writes a directory of files in the order of rows: `part-00000.parquet` and so on. They are written beside each other,
    /// each from the rows of about 32 MiB of the files that are read, or of a part of what was sorted or kept, and of no more than 64 MiB of
    /// rows; how they are cut does not depend on threads. On a cluster the workers write them. The directory is there when it is whole, and
    /// must not be there before.
    ///
    /// The rows of a file that its format keeps back (of Parquet a row group) are in memory for each thread.
    ///
    /// # Errors
    /// As [`DataFrame::write`]; if the directory is there.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, FileFormat, IpcOptions, scan_ipc};
    /// let dir = std::env::temp_dir().join(format!("blockwise-doc-dir-{}", std::process::id()));
    /// let df = DataFrame::from_columns([("k", vec!["a", "b"].into()), ("v", vec![1i64, 2].into())]);
    /// df.write_directory(&dir, &FileFormat::Ipc(IpcOptions::default()))?;
    /// assert!(dir.join("part-00000.arrow").exists());
    /// assert_eq!(scan_ipc(&dir).num_rows()?, 2);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn write_directory(&self, dir: impl AsRef<Path>, format: &FileFormat) -> Result<()> {
        self.write(format.create_directory(dir, self.schema()?)?)
    }

    /// Runs the plan and writes a directory in Hive's layout: `year=2013/month=1/part-0.parquet`, a file for every combination of values of
    /// the columns `by`, which are in the names only. The directory is there when it is whole, and must not be there before.
    ///
    /// All files grow side by side, and there may be some thousands; what their format keeps back (of Parquet the row group that is being
    /// written) is in memory for each.
    ///
    /// # Errors
    /// As [`DataFrame::write`]; if the directory is there, a column is not there or is no text, whole number, bool or date, and of too many
    /// combinations.
    ///
    /// ```
    /// use blockwise::frame::{CsvWriteOptions, DataFrame, FileFormat, scan_csv};
    /// let dir = std::env::temp_dir().join(format!("blockwise-doc-part-{}", std::process::id()));
    /// let df = DataFrame::from_columns([("k", vec!["a", "b", "a"].into()), ("v", vec![1i64, 2, 3].into())]);
    /// df.write_partitioned(&dir, ["k"], FileFormat::Csv(CsvWriteOptions::default()))?;
    /// assert!(dir.join("k=a/part-0.csv").exists());
    /// assert_eq!(scan_csv(&dir).columns()?, ["v", "k"]);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn write_partitioned<N: AsRef<str>>(
        &self,
        dir: impl AsRef<Path>,
        by: impl IntoIterator<Item = N>,
        format: FileFormat,
    ) -> Result<()> {
        let by: Vec<String> = by.into_iter().map(|n| n.as_ref().to_owned()).collect();
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        self.write(Arc::new(PartitionedSink::create(dir, &self.schema()?, &by, format)?))
    }

    /// Runs the plan and writes a CSV file with a header; nulls are empty. It is there when it is whole.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_csv_with(path, CsvWriteOptions::default())
    }

    /// Runs the plan and writes a CSV file as the options say.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_csv_with(&self, path: impl AsRef<Path>, options: CsvWriteOptions) -> Result<()> {
        self.write_file(path, &FileFormat::Csv(options))
    }

    /// Runs the plan and writes a JSON object a line. It is there when it is whole.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_json_lines(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_file(path, &FileFormat::JsonLines)
    }

    /// Runs the plan and writes an Arrow IPC file (also known as Feather), compressed by lz4. It is there when it is whole. Categories are written
    /// as text.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_ipc(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_ipc_with(path, IpcOptions::default())
    }

    /// Runs the plan and writes an Arrow IPC file as the options say.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_ipc_with(&self, path: impl AsRef<Path>, options: IpcOptions) -> Result<()> {
        self.write_file(path, &FileFormat::Ipc(options))
    }

    /// Runs the plan and writes a Parquet file, compressed by zstd. It is there when it is whole.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    #[cfg(feature = "parquet")]
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_parquet_with(path, ParquetOptions::default())
    }

    /// Runs the plan and writes a Parquet file as the options say.
    ///
    /// # Errors
    /// As [`DataFrame::write`]; an option out of its range.
    #[cfg(feature = "parquet")]
    pub fn write_parquet_with(&self, path: impl AsRef<Path>, options: ParquetOptions) -> Result<()> {
        self.write_file(path, &FileFormat::Parquet(options))
    }

    /// Runs the plan and writes a directory of Parquet files, one for every combination of values of some columns; see
    /// [`DataFrame::write_partitioned`].
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "parquet")]
    pub fn write_parquet_partitioned<N: AsRef<str>>(
        &self,
        dir: impl AsRef<Path>,
        by: impl IntoIterator<Item = N>,
    ) -> Result<()> {
        self.write_partitioned(dir, by, FileFormat::Parquet(ParquetOptions::default()))
    }
}

impl Table {
    /// Writes the rows as a CSV file; see [`DataFrame::write_csv`].
    ///
    /// # Errors
    /// As there.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        self.clone().into_frame().write_csv(path)
    }
}
