//! Files named for other processes: what a source or sink says of itself, and the source or sink made of that.

use super::input::{self, Input};
use super::npy;
#[cfg(feature = "frame")]
use super::{
    csv::{CsvOptions, CsvSource},
    files::{Files, Found},
    ipc::IpcSource,
    json::{JsonLinesOptions, JsonLinesSource},
};
use crate::block::{Address, BlockSink, BlockSource};
#[cfg(feature = "frame")]
use crate::block::{BatchSink, BatchSource, TableAddress};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::Grid;
#[cfg(feature = "frame")]
use arrow::datatypes::SchemaRef;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens what an address names, which must not have changed since the address was made.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a format that this build does not know, [`ErrorKind::Format`] if the file has changed, and what the
/// format's own opener says.
pub fn open_source(at: &Address) -> Result<Arc<dyn BlockSource>> {
    let source: Arc<dyn BlockSource> = match at.format.as_str() {
        "npy" => Arc::new(npy::NpySource::open(&at.path, option(at, "chunk_bytes")?)?),
        #[cfg(feature = "zarr")]
        "zarr" => Arc::new(super::zarr::ZarrSource::open(&at.path)?),
        #[cfg(feature = "geotiff")]
        "geotiff" => Arc::new(super::geotiff::GeoTiffSource::open(
            &at.path,
            super::geotiff::ReadOptions {
                overview: option(at, "overview")?,
                page: option(at, "page")?,
                chunk_bytes: option(at, "chunk_bytes")?,
                cache_bytes: option(at, "cache_bytes")?,
            },
        )?),
        other => return Err(unknown(other)),
    };
    let now = source.address()?.map(|now| now.stamp);
    if now != Some(at.stamp) {
        return Err(changed(at));
    }
    Ok(source)
}

/// Opens what another process is writing, to write some of its chunks.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a format that this build does not know, and if it cannot be opened.
pub fn open_sink(at: &Address, dtype: DType, grid: Grid) -> Result<Arc<dyn BlockSink>> {
    Ok(match at.format.as_str() {
        "npy" => Arc::new(npy::NpySink::join(at, dtype, grid)?),
        #[cfg(feature = "zarr")]
        "zarr" => Arc::new(super::zarr::ZarrSink::join(at, dtype, grid)?),
        other => return Err(unknown(other)),
    })
}

/// Opens the files that an address of rows names, which must not have changed since the address was made.
///
/// # Errors
/// As [`open_source`]; if the files have other columns.
#[cfg(feature = "frame")]
pub fn open_table(table: &TableAddress) -> Result<Arc<dyn BatchSource>> {
    let at = |path: &Path| table.files.iter().map(|(at, _)| at).find(|at| at.path == path);
    for (at, _) in &table.files {
        if stamp(&at.path)? != at.stamp {
            return Err(changed(at));
        }
        let parts = options(at, "part_bytes", 1).map_or(0, |n| at.stamp[0] / n[0].max(1) as u64);
        if parts > MOST_PARTS {
            return Err(Error::format("address", &at.path, format!("it has {parts} parts of a file")));
        }
    }
    let found: Vec<Found> =
        table.files.iter().map(|(at, keys)| Found { path: at.path.clone(), keys: keys.clone() }).collect();
    let source = Files::open(&found, &|path, _| {
        let at = at(path).ok_or_else(|| Error::internal("a file without an address"))?;
        let schema = Some(table.schema.clone());
        Ok(match at.format.as_str() {
            "csv" => Arc::new(CsvSource::open(path, CsvOptions::of_address(at, &table.texts)?, schema)?),
            "json lines" => {
                let (part_bytes, longest_row) = (option(at, "part_bytes")?, option(at, "longest_row")?);
                let options = JsonLinesOptions { part_bytes, longest_row, ..JsonLinesOptions::default() };
                Arc::new(JsonLinesSource::open(path, &options, schema)?)
            }
            "ipc" => Arc::new(IpcSource::open(path)?),
            #[cfg(feature = "parquet")]
            "parquet" => Arc::new(super::parquet::ParquetSource::open(path)?),
            other => return Err(unknown(other)),
        })
    })?;
    let now = source.address()?;
    let alike = |a: &TableAddress| {
        let columns = |s: &SchemaRef| {
            s.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
        };
        columns(&a.schema) == columns(&table.schema)
    };
    match (now.as_ref().is_some_and(alike), table.files.first()) {
        (true, _) => Ok(source),
        (false, Some((at, _))) => Err(changed(at)),
        (false, None) => Err(Error::internal("a table without files")),
    }
}

/// Opens the directory of a table that another process is writing, to write some of its parts.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a format that this build does not know, [`ErrorKind::Format`] for options that there are not.
#[cfg(feature = "frame")]
pub fn open_directory(at: &TableAddress) -> Result<Arc<dyn BatchSink>> {
    Ok(Arc::new(super::parts::DirectorySink::join(at)?))
}

/// Parts of a file that an address may ask for.
#[cfg(feature = "frame")]
const MOST_PARTS: u64 = 1 << 22;

fn changed(at: &Address) -> Error {
    Error::format("input", &at.path, "it has changed since the computation was planned")
}

/// The address of rows that are in one file.
#[cfg(feature = "frame")]
pub(super) fn table_of(
    format: &str,
    path: &Path,
    schema: &SchemaRef,
    options: &[(&str, u64)],
    texts: Vec<String>,
) -> Result<Option<TableAddress>> {
    let file = of_file(format, path, path, options)?;
    Ok(Some(TableAddress { files: vec![(file, vec![])], schema: schema.clone(), texts }))
}

pub(super) fn unknown(format: &str) -> Error {
    let hint = "build every worker with the feature of the format, and with the same version".into();
    ErrorKind::Unsupported { what: format!("files of format {format:?}"), hint }.into()
}

/// The address of a file; `witness` is the file whose length and time tell whether it has changed.
pub(super) fn of_file(format: &str, path: &Path, witness: &Path, options: &[(&str, u64)]) -> Result<Address> {
    let path = input::absolute(path).map_err(|e| Error::io("opening", witness, e))?;
    Ok(Address { stamp: stamp(witness)?, ..of_draft(format, path, options) })
}

/// What changes when a file does.
fn stamp(path: &Path) -> Result<[u64; 2]> {
    Input::open(path).and_then(|file| file.stamp()).map_err(|e| Error::io("opening", path, e))
}

/// The address of what is being written.
pub(super) fn of_draft(format: &str, path: PathBuf, options: &[(&str, u64)]) -> Address {
    let path = input::absolute(&path).unwrap_or(path);
    let options = options.iter().map(|&(name, value)| (name.into(), value)).collect();
    Address { format: format.into(), path, options, stamp: [0; 2] }
}

/// An option that must be there.
pub(super) fn option(at: &Address, name: &str) -> Result<usize> {
    options(at, name, 1).map(|values| values[0])
}

/// So many options of one name.
pub(super) fn options(at: &Address, name: &str, count: usize) -> Result<Vec<usize>> {
    let values: Vec<usize> = at.options.iter().filter(|(n, _)| n == name).map(|(_, v)| *v as usize).collect();
    if values.len() != count {
        let message = format!("its address has {} options {name:?}, not {count}", values.len());
        return Err(Error::format("address", &at.path, message));
    }
    Ok(values)
}
