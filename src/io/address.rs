//! Files named for other processes: what a source or sink says of itself, and the source or sink made of that.

use super::npy;
use crate::block::{Address, BlockSink, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::Grid;
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
        return Err(Error::format("input", &at.path, "it has changed since the computation was planned"));
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

fn unknown(format: &str) -> Error {
    let hint = "build every worker with the feature of the format, and with the same version".into();
    ErrorKind::Unsupported { what: format!("files of format {format:?}"), hint }.into()
}

/// The address of a file; `witness` is the file whose length and time tell whether it has changed.
pub(super) fn of_file(format: &str, path: &Path, witness: &Path, options: &[(&str, u64)]) -> Result<Address> {
    let failed = |e| Error::io("opening", witness, e);
    let path = std::path::absolute(path).map_err(failed)?;
    let facts = std::fs::metadata(witness).map_err(failed)?;
    let time = facts.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let stamp = [facts.len(), time.map_or(0, |t| t.as_nanos() as u64)];
    Ok(Address { stamp, ..of_draft(format, path, options) })
}

/// The address of what is being written.
pub(super) fn of_draft(format: &str, path: PathBuf, options: &[(&str, u64)]) -> Address {
    let path = std::path::absolute(&path).unwrap_or(path);
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
