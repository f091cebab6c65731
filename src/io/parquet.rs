//! Parquet files: read by row groups, of the columns that are wanted; written in row groups as rows come.

use super::csv::{label, written};
use super::temp::{file_beside, publish_file};
use crate::block::{BatchSink, BatchSource};
use crate::error::{Error, Result};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Parquet files of one schema as a source of rows.
#[derive(Debug)]
pub struct ParquetSource {
    files: Vec<(PathBuf, ArrowReaderMetadata)>,
    schema: SchemaRef,
    /// By part: its file, and its row group there.
    parts: Vec<(usize, usize)>,
}

/// Rows of a batch.
const BATCH: usize = 1 << 15;
/// Rows of a row group that is written.
const ROW_GROUP: usize = 1 << 19;

fn bad(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error + '_ {
    move |e| Error::format("Parquet file", path, e)
}

/// What a decoder gives; it panics at some kinds of damage.
fn whole<T>(path: &Path, f: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
        .map_err(|_| Error::format("Parquet file", path, "a page cannot be decoded"))
}

impl ParquetSource {
    /// Opens files, which must have one schema; reads their footers.
    ///
    /// # Errors
    /// If there is no file, one is no Parquet file, or schemas differ.
    pub fn open(paths: &[PathBuf]) -> Result<ParquetSource> {
        let mut files = vec![];
        for path in paths {
            let file = File::open(path).map_err(|e| Error::io("reading", path, e))?;
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(false);
            files.push((path.clone(), ArrowReaderMetadata::load(&file, options).map_err(bad(path))?));
        }
        let Some((first, metadata)) = files.first() else {
            return Err(Error::invalid("scan_parquet", "no file matches"));
        };
        let schema = metadata.schema().clone();
        if let Some((path, other)) = files.iter().find(|(_, m)| m.schema().fields() != schema.fields()) {
            let columns = |s: &SchemaRef| -> Vec<String> {
                s.fields().iter().map(|f| format!("{}: {}", f.name(), f.data_type())).collect()
            };
            let (ours, theirs) = (columns(&schema), columns(other.schema()));
            let message = format!("has columns {theirs:?}, {} has {ours:?}", first.display());
            return Err(Error::format("Parquet file", path, message));
        }
        let groups = |(k, (_, m)): (usize, &(PathBuf, ArrowReaderMetadata))| {
            (0..m.metadata().num_row_groups()).map(move |g| (k, g))
        };
        let parts = files.iter().enumerate().flat_map(groups).collect();
        Ok(ParquetSource { files, schema, parts })
    }

    fn read_part(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let (file, group) = self.parts[part];
        let (path, metadata) = &self.files[file];
        let handle = File::open(path).map_err(|e| Error::io("reading", path, e))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(BATCH);
        let mut reader = whole(path, || builder.build())?.map_err(bad(path))?;
        // the reader gives columns in the file's order
        let mut order: Vec<usize> = columns.to_vec();
        order.sort_unstable();
        order.dedup();
        let places: Vec<usize> = columns.iter().map(|c| order.binary_search(c).unwrap_or(0)).collect();
        while let Some(batch) = whole(path, || reader.next())? {
            let batch = batch.map_err(|e| Error::format("Parquet file", path, e))?;
            let schema = Arc::new(self.schema.project(columns).map_err(|e| Error::internal(e.to_string()))?);
            let arrays = places.iter().map(|&p| batch.column(p).clone()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(schema, arrays, &options)
                .map_err(|e| Error::internal(e.to_string()))?;
            if !each(batch)? {
                break;
            }
        }
        Ok(())
    }
}

impl BatchSource for ParquetSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        label(&self.files[0].0, self.files.len())
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn rows(&self) -> Option<usize> {
        Some(self.files.iter().map(|(_, m)| m.metadata().file_metadata().num_rows() as usize).sum())
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        self.read_part(part, columns, each)
    }

    fn read_bytes(&self, columns: &[usize]) -> usize {
        // the compressed pages that are read ahead, and a batch with room for decoded pages and dictionaries
        let of = |(_, m): &(PathBuf, ArrowReaderMetadata)| {
            let groups = m.metadata().row_groups().iter();
            let bytes = groups.map(|g| {
                let chunks = columns.iter().filter(|&&c| c < g.num_columns()).map(|&c| g.column(c));
                // a damaged footer may say anything
                let size =
                    chunks.map(|c| usize::try_from(c.compressed_size()).unwrap_or(0).saturating_add(1 << 20));
                size.fold(0, usize::saturating_add)
            });
            bytes.max().unwrap_or(0)
        };
        self.files.iter().map(of).max().unwrap_or(0).saturating_add(columns.len().max(1) * 32 * BATCH)
    }
}

/// A Parquet file being written.
pub struct ParquetSink {
    path: PathBuf,
    writer: Mutex<Option<ArrowWriter<tempfile::NamedTempFile>>>,
}

impl std::fmt::Debug for ParquetSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParquetSink({})", self.path.display())
    }
}

impl ParquetSink {
    /// A file of columns of this schema, compressed by zstd.
    ///
    /// # Errors
    /// If it cannot be created, or a type cannot be stored.
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef) -> Result<ParquetSink> {
        let path = path.as_ref().to_owned();
        let file = file_beside(&path)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(bad(&path))?;
        Ok(ParquetSink { path, writer: Mutex::new(Some(writer)) })
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
        let file = writer.into_inner().map_err(|e| written(&self.path, e.into()))?;
        publish_file(file, &self.path)
    }
}
