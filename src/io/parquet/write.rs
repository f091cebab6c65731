//! Parquet files being written.

use super::bad;
use crate::block::BatchSink;
use crate::error::{Error, Result};
use crate::io::sink::written;
use crate::io::temp::Draft;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How the pages of a Parquet file are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParquetCompression {
    /// Not at all.
    None,
    /// Fast, and known to every reader.
    Snappy,
    /// Fast.
    Lz4,
    /// For old readers; level 0 to 9.
    Gzip(u32),
    /// The best for its time; level 1 to 22.
    Zstd(i32),
}

/// How a Parquet file is written.
///
/// ```
/// use blockwise::frame::{ParquetCompression, ParquetOptions};
/// let options = ParquetOptions { compression: ParquetCompression::Snappy, ..ParquetOptions::default() };
/// assert_eq!(options.row_group_rows, 1 << 19);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParquetOptions {
    /// How pages are compressed.
    pub compression: ParquetCompression,
    /// The most rows of a row group. Small ones are skipped one by one by a reader with a filter; large ones compress better. The rows of
    /// one are in memory until it is written.
    pub row_group_rows: usize,
}

impl Default for ParquetOptions {
    /// Zstd at level 1, row groups of 2^19 rows.
    fn default() -> ParquetOptions {
        ParquetOptions { compression: ParquetCompression::Zstd(1), row_group_rows: 1 << 19 }
    }
}

impl ParquetOptions {
    fn properties(self) -> Result<WriterProperties> {
        let level = |e: parquet::errors::ParquetError| Error::invalid("write_parquet", e.to_string());
        let compression = match self.compression {
            ParquetCompression::None => Compression::UNCOMPRESSED,
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::Lz4 => Compression::LZ4_RAW,
            ParquetCompression::Gzip(l) => Compression::GZIP(GzipLevel::try_new(l).map_err(level)?),
            ParquetCompression::Zstd(l) => Compression::ZSTD(ZstdLevel::try_new(l).map_err(level)?),
        };
        if self.row_group_rows == 0 {
            return Err(Error::invalid(
                "write_parquet",
                "row_group_rows is 0; a row group has a row at least",
            ));
        }
        Ok(WriterProperties::builder()
            .set_compression(compression)
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .build())
    }
}

/// A Parquet file being written.
pub struct ParquetSink {
    path: PathBuf,
    writer: Mutex<Option<ArrowWriter<Draft>>>,
}

impl std::fmt::Debug for ParquetSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetSink({})", self.path.display())
    }
}

impl ParquetSink {
    /// A file of columns of this schema.
    ///
    /// # Errors
    /// If it cannot be created, a type cannot be stored, or an option is out of its range.
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef, options: ParquetOptions) -> Result<ParquetSink> {
        ParquetSink::new(Draft::beside(path.as_ref())?, path.as_ref(), schema, options)
    }

    pub(in crate::io) fn new(
        draft: Draft,
        path: &Path,
        schema: SchemaRef,
        options: ParquetOptions,
    ) -> Result<ParquetSink> {
        let writer = ArrowWriter::try_new(draft, schema, Some(options.properties()?)).map_err(bad(path))?;
        Ok(ParquetSink { path: path.to_owned(), writer: Mutex::new(Some(writer)) })
    }
}

impl BatchSink for ParquetSink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, batch: &RecordBatch) -> Result<()> {
        match self.writer.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            Some(writer) => writer.write(batch).map_err(|e| written(&self.path, e.into())),
            None => Err(Error::internal("a write after the end")),
        }
    }

    fn finish(&self) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(writer) = writer else { return Err(Error::internal("finished twice")) };
        let draft = writer.into_inner().map_err(|e| written(&self.path, e.into()))?;
        draft.publish(&self.path)
    }
}
