//! Frames from files, and into files.

use super::{DataFrame, Table};
use crate::block::BatchSink;
use crate::error::{Error, Result};
use crate::io::csv::{CsvOptions, CsvSink, CsvSource};
use crate::session::Session;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that a path names: itself, or those that match if it has `*`, `?` or `[...]` in it, by name.
fn matching(path: &Path) -> Result<Vec<PathBuf>> {
    let text = path.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return Ok(vec![path.to_owned()]);
    }
    let found = glob::glob(&text).map_err(|e| Error::invalid("path", format!("{text}: {e}")))?;
    let mut paths = vec![];
    for path in found {
        paths.push(path.map_err(|e| {
            let at = e.path().to_owned();
            Error::io("reading", at, e.into())
        })?);
    }
    if paths.is_empty() {
        return Err(Error::invalid("path", format!("no file matches {text:?}")));
    }
    Ok(paths)
}

/// A CSV file, or several by a pattern (`flights*.csv.gz`); plain, or compressed by gzip or zip. Reads the first rows for names and types;
/// see [`CsvOptions`] for others than the usual ones.
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
        let source = matching(path.as_ref()).and_then(|paths| CsvSource::open(&paths, self));
        match source {
            Ok(source) => DataFrame::scan(Arc::new(source)),
            Err(e) => DataFrame::new(Err(e)),
        }
    }
}

/// A Parquet file, or several by a pattern. Reads the footers for names and types; of the columns only those that are used.
///
/// # Errors
/// Carried: if no file matches, one is no Parquet file, or schemas differ.
#[cfg(feature = "parquet")]
#[track_caller]
pub fn scan_parquet(path: impl AsRef<Path>) -> DataFrame {
    let source = matching(path.as_ref()).and_then(|paths| crate::io::parquet::ParquetSource::open(&paths));
    match source {
        Ok(source) => DataFrame::scan(Arc::new(source)),
        Err(e) => DataFrame::new(Err(e)),
    }
}

impl DataFrame {
    /// Runs the plan and writes its rows as they come, in order.
    ///
    /// # Errors
    /// That which the frame carries, those of running it, and those of the sink; then nothing is at the destination.
    pub fn write(&self, sink: Arc<dyn BatchSink>) -> Result<()> {
        Session::global()?.write_frame(self.relation()?, sink)
    }

    /// Runs the plan and writes a CSV file with a header; nulls are empty. It is there when it is whole.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<()> {
        self.relation()?;
        self.write(Arc::new(CsvSink::create(path)?))
    }

    /// Runs the plan and writes a Parquet file, compressed by zstd. It is there when it is whole.
    ///
    /// # Errors
    /// As [`DataFrame::write`].
    #[cfg(feature = "parquet")]
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<()> {
        let schema = self.schema()?;
        self.write(Arc::new(crate::io::parquet::ParquetSink::create(path, schema)?))
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
