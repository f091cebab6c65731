//! Parquet files: read by pieces of row groups, of the columns that are wanted and of the rows that a filter may keep; written in row
//! groups as rows come.

mod facts;
mod input;
mod write;

pub use write::{ParquetCompression, ParquetOptions, ParquetSink};

use super::address::table_of;
use super::files::{file_label, guarded, narrowed_label};
use super::input::Input;
use crate::block::batch::coded;
use crate::block::{BatchSource, Bound, TableAddress};
use crate::error::{Error, Result};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Encoding;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A Parquet file as a source of rows.
///
/// A part is at most 2^19 consecutive rows of a row group: a file of one huge row group is read side by side, too. With a
/// [`Bound`], row groups and pages whose statistics exclude it are left out.
#[derive(Clone, Debug)]
pub struct ParquetSource {
    file: Arc<ParquetFile>,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct ParquetFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// How the columns are wanted.
    options: ArrowReaderOptions,
    /// Number of parts before any was left out.
    parts: usize,
    /// The metadata with the index of pages, if the file has one; read when it is asked for.
    index: OnceLock<Option<ArrowReaderMetadata>>,
}

/// Rows of a row group.
#[derive(Clone, Debug)]
struct Part {
    group: usize,
    /// In order, none empty.
    rows: Vec<Range<usize>>,
}

/// Its name in addresses.
const FORMAT: &str = "parquet";
/// Rows of a batch.
const BATCH: usize = 1 << 15;
/// Rows of a part.
const PART: usize = 1 << 19;
/// Bytes of a column in a row group from which on it pays to ask the index how large its pages are.
const LARGE: usize = 8 << 20;

fn bad(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error + '_ {
    move |e| Error::format("Parquet file", path, e)
}

/// What a decoder gives; it panics at some kinds of damage.
fn whole<T>(path: &Path, f: impl FnOnce() -> T) -> Result<T> {
    guarded("Parquet file", path, f)
}

impl ParquetSource {
    /// Opens a file; reads its footer.
    ///
    /// # Errors
    /// If it cannot be read or is no Parquet file.
    pub fn open(path: impl AsRef<Path>) -> Result<ParquetSource> {
        let path = path.as_ref().to_owned();
        let file = Input::of(&path)?;
        let options = ArrowReaderOptions::new();
        let load = || ArrowReaderMetadata::load(&file, options.clone());
        let metadata = whole(&path, load)?.map_err(bad(&path))?;
        let mut parts = vec![];
        for (group, g) in metadata.metadata().row_groups().iter().enumerate() {
            let rows = usize::try_from(g.num_rows())
                .map_err(|_| Error::format("Parquet file", &path, "a row group has a negative length"))?;
            // a damaged footer may say anything: not more parts than can be kept
            let step = PART.max(rows.div_ceil(1 << 16));
            let cuts = (0..rows).step_by(step);
            let piece = |at: usize| std::iter::once(at..rows.min(at + step)).collect();
            parts.extend(cuts.map(|at| Part { group, rows: piece(at) }));
        }
        let file = ParquetFile { path, metadata, options, parts: parts.len(), index: OnceLock::new() };
        Ok(ParquetSource { file: Arc::new(file), parts })
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.file.metadata.metadata()
    }

    /// The metadata with the index of pages; none if there is none, or it is damaged.
    fn index(&self) -> Option<&ArrowReaderMetadata> {
        let read = || {
            let file = Input::open(&self.file.path).ok()?;
            let mut reader = ParquetMetaDataReader::new_with_metadata(self.metadata().clone())
                .with_page_index_policy(PageIndexPolicy::Optional);
            whole(&self.file.path, || reader.read_page_indexes(&file)).ok()?.ok()?;
            let metadata = reader.finish().ok()?;
            let groups = metadata.num_row_groups();
            let there = metadata.offset_index().is_some_and(|o| o.len() == groups)
                && metadata.column_index().is_some_and(|c| c.len() == groups);
            if !there {
                return None;
            }
            let again = || ArrowReaderMetadata::try_new(Arc::new(metadata), self.file.options.clone());
            whole(&self.file.path, again).ok()?.ok()
        };
        self.file.index.get_or_init(read).as_ref()
    }

    /// The rows of a part, as the reader wants them said.
    fn selection(&self, part: &Part) -> RowSelection {
        let total = self.metadata().row_group(part.group).num_rows() as usize;
        let (mut at, mut selectors) = (0, vec![]);
        for rows in &part.rows {
            selectors.push(RowSelector::skip(rows.start - at));
            selectors.push(RowSelector::select(rows.len()));
            at = rows.end;
        }
        selectors.push(RowSelector::skip(total - at));
        selectors.into()
    }

    /// The most bytes of a page of the column in the row group, compressed: known from the index, or at most all of them.
    fn page_bytes(&self, group: usize, leaf: usize) -> usize {
        // a damaged footer may say anything
        let chunk = self.metadata().row_group(group).columns().get(leaf).map_or(0, |c| c.compressed_size());
        let chunk = usize::try_from(chunk).unwrap_or(0);
        if chunk <= LARGE {
            return chunk;
        }
        let index = self.index().and_then(|m| m.metadata().offset_index()?.get(group)?.get(leaf));
        let pages = index.map(|i| i.page_locations()).filter(|pages| !pages.is_empty());
        let Some(pages) = pages else { return chunk };
        let data = pages.iter().map(|p| usize::try_from(p.compressed_page_size).unwrap_or(0));
        // what no data page has is the dictionary
        let (most, all) = data.fold((0, 0usize), |(most, all), n| (most.max(n), all.saturating_add(n)));
        most.saturating_add(chunk.saturating_sub(all)).min(chunk)
    }

    fn read_part(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let (part, path) = (&self.parts[part], &self.file.path);
        let handle = Input::of(path)?;
        // with the index, pages that are skipped are not even read
        let index = self.file.index.get().and_then(Option::as_ref);
        let metadata = index.unwrap_or(&self.file.metadata).clone();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let mut builder =
            builder.with_row_groups(vec![part.group]).with_projection(mask).with_batch_size(BATCH);
        let total = self.metadata().row_group(part.group).num_rows() as usize;
        if !matches!(part.rows.as_slice(), [all] if all.len() == total) {
            builder = builder.with_row_selection(self.selection(part));
        }
        let mut reader = whole(path, || builder.build())?.map_err(bad(path))?;
        // the reader gives columns in the file's order
        let mut order: Vec<usize> = columns.to_vec();
        order.sort_unstable();
        order.dedup();
        let places: Vec<usize> = columns.iter().map(|c| order.binary_search(c).unwrap_or(0)).collect();
        let schema = Arc::new(self.schema().project(columns).map_err(|e| Error::internal(e.to_string()))?);
        while let Some(batch) = whole(path, || reader.next())? {
            let batch = batch.map_err(|e| Error::format("Parquet file", path, e))?;
            let arrays = places.iter().map(|&p| batch.column(p).clone()).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
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
        self.file.metadata.schema()
    }

    fn label(&self) -> String {
        narrowed_label(file_label(&self.file.path), self.parts.len(), self.file.parts)
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn rows(&self) -> Option<usize> {
        Some(self.parts.iter().flat_map(|p| &p.rows).map(Range::len).fold(0, usize::saturating_add))
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        self.read_part(part, columns, each)
    }

    fn address(&self) -> Result<Option<TableAddress>> {
        // with parts left out, or other columns, it is not what opening it gives
        if self.parts.len() != self.file.parts {
            return Ok(None);
        }
        table_of(FORMAT, &self.file.path, self.schema(), &[], vec![])
    }

    fn read_bytes(&self, columns: &[usize]) -> usize {
        // a page as it is read and as it is decoded (to a MiB, which writers aim at), the dictionary, and a batch
        let schema = self.metadata().file_metadata().schema_descr();
        let leaves: Vec<usize> =
            (0..schema.num_columns()).filter(|&l| columns.contains(&schema.get_column_root_idx(l))).collect();
        let of = |group: usize| {
            let pages = leaves.iter().map(|&leaf| self.page_bytes(group, leaf).saturating_add(1 << 20));
            pages.fold(0, usize::saturating_add)
        };
        let mut groups: Vec<usize> = self.parts.iter().map(|p| p.group).collect();
        groups.dedup();
        let pages = groups.into_iter().map(of).max().unwrap_or(0);
        pages.saturating_add(columns.len().max(1) * 32 * BATCH + Input::held(&self.file.path))
    }

    fn narrowed(&self, bound: &Bound) -> Option<Arc<dyn BatchSource>> {
        // of a file that is damaged, reading says so
        let parts = whole(&self.file.path, || facts::parts_within(self, bound)).ok()?;
        (parts.len() < self.parts.len() || parts.iter().zip(&self.parts).any(|(a, b)| a.rows != b.rows))
            .then(|| Arc::new(ParquetSource { file: self.file.clone(), parts }) as Arc<dyn BatchSource>)
    }

    fn with_codes(&self, column: usize) -> Option<Arc<dyn BatchSource>> {
        let leaf = facts::leaf(self.metadata(), column)?;
        let is_coded = |part: &Part| {
            let pages =
                self.metadata().row_group(part.group).columns().get(leaf)?.page_encoding_stats_mask()?;
            Some(pages.is_only(Encoding::RLE_DICTIONARY) || pages.is_only(Encoding::PLAIN_DICTIONARY))
        };
        if !self.parts.iter().all(|part| is_coded(part) == Some(true)) {
            return None;
        }
        let file = &self.file;
        let options = file.options.clone().with_schema(coded(self.schema(), column)?);
        let with = |m: &ArrowReaderMetadata| {
            let again = || ArrowReaderMetadata::try_new(m.metadata().clone(), options.clone());
            whole(&file.path, again).ok()?.ok()
        };
        let index = OnceLock::new();
        if let Some(known) = file.index.get() {
            index.set(known.as_ref().and_then(with)).ok()?;
        }
        let metadata = with(&file.metadata)?;
        let file = ParquetFile { path: file.path.clone(), metadata, options, parts: file.parts, index };
        Some(Arc::new(ParquetSource { file: Arc::new(file), parts: self.parts.clone() }))
    }
}
