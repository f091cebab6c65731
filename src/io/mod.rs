//! Files as sources and sinks of blocks: `.npy`, GeoTIFF, Zarr, and a registry that finds the one for a path; of rows: CSV, JSON lines,
//! Arrow IPC, Parquet, and directories of them.
//!
//! Everything here speaks [`BlockSource`] and [`BlockSink`](crate::block::BlockSink) and nothing above them. Whatever is written appears at its
//! destination whole or not at all: it grows beside it under a hidden temporary name and is renamed at the end. (It is
//! not forced to the disk: after a power cut the last files may be incomplete.)

mod address;
#[cfg(feature = "frame")]
pub mod csv;
#[cfg(feature = "frame")]
pub mod files;
#[cfg(feature = "geotiff")]
pub mod geotiff;
#[cfg(feature = "frame")]
pub mod ipc;
#[cfg(feature = "frame")]
pub mod json;
pub mod npy;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "frame")]
pub mod parts;
#[cfg(feature = "frame")]
pub mod sink;
pub(crate) mod temp;
#[cfg(feature = "frame")]
mod text;
#[cfg(any(feature = "geotiff", feature = "zarr"))]
mod tiles;
#[cfg(feature = "zarr")]
pub mod zarr;

#[cfg(feature = "frame")]
pub use address::open_table;
pub use address::{open_sink, open_source};

use crate::block::{Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::Meta;
use crate::shape::Region;
use std::path::Path;
use std::sync::{Arc, OnceLock, RwLock};

/// Bytes of one block of a source that may choose, unless told otherwise: large enough that work outweighs
/// bookkeeping, small enough that several fit the caches' neighbourhood and many fit a budget.
pub const CHUNK_BYTES: usize = 4 << 20;

/// An opened file: where its blocks come from and what is known about them.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its elements.
    pub source: Arc<dyn BlockSource>,
    /// Names, nodata, georeference.
    pub meta: Meta,
}

/// A way to open files of one format.
///
/// ```
/// use blockwise::io::{self, Format};
/// io::register(Format {
///     name: "raw scans",
///     claims: |path, start| path.extension().is_some_and(|e| e == "scan") && start.starts_with(b"SCAN"),
///     open: |path| Err(blockwise::error::Error::format("raw scan", path, "not written yet")),
/// });
/// assert!(io::formats().contains(&"raw scans"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name, as [`open_as`] takes it.
    pub name: &'static str,
    /// Whether a path is of this format, given the first bytes of the file (none for a directory).
    pub claims: fn(&Path, &[u8]) -> bool,
    /// Opens it with default options.
    pub open: fn(&Path) -> Result<Opened>,
}

/// Later entries are asked first, so that users can override.
fn registry() -> &'static RwLock<Vec<Format>> {
    static REGISTRY: OnceLock<RwLock<Vec<Format>>> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        RwLock::new(vec![
            Format {
                name: "npy",
                claims: |_, start| start.starts_with(b"\x93NUMPY"),
                open: |path| {
                    let source = Arc::new(npy::NpySource::open(path, CHUNK_BYTES)?);
                    Ok(Opened { source, meta: Meta::default() })
                },
            },
            #[cfg(feature = "geotiff")]
            Format {
                name: "geotiff",
                claims: |_, start| geotiff::is_tiff(start),
                open: |path| geotiff::GeoTiffSource::open(path, Default::default()).map(Into::into),
            },
            #[cfg(feature = "zarr")]
            Format {
                name: "zarr",
                claims: |path, _| zarr::is_array(path),
                open: |path| zarr::ZarrSource::open(path).map(Into::into),
            },
        ])
    })
}

/// Adds a format; it is asked before those that are there, and replaces one of the same name.
pub fn register(format: Format) {
    let mut formats = registry().write().unwrap_or_else(|e| e.into_inner());
    formats.retain(|f| f.name != format.name);
    formats.push(format);
}

/// The names of all formats.
pub fn formats() -> Vec<&'static str> {
    registry().read().unwrap_or_else(|e| e.into_inner()).iter().map(|f| f.name).collect()
}

/// Opens a file or directory of any known format, told by its content.
///
/// # Errors
/// [`ErrorKind::Io`] if there is nothing to read, [`ErrorKind::Unsupported`] if no format claims it, and what the
/// format's own opener says.
pub fn open(path: impl AsRef<Path>) -> Result<Opened> {
    let path = path.as_ref();
    let start = first_bytes(path)?;
    // the lock is not held while a format's code runs
    let formats: Vec<Format> = registry().read().unwrap_or_else(|e| e.into_inner()).clone();
    match formats.iter().rev().find(|f| (f.claims)(path, &start)) {
        Some(format) => (format.open)(path),
        None => Err(ErrorKind::Unsupported {
            what: format!("{}: this kind of file", path.display()),
            hint: format!("known formats: {}", self::formats().join(", ")),
        }
        .into()),
    }
}

/// Opens a file as the named format, whatever it looks like.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if there is no such format, and what its opener says.
pub fn open_as(format: &str, path: impl AsRef<Path>) -> Result<Opened> {
    let found =
        registry().read().unwrap_or_else(|e| e.into_inner()).iter().find(|f| f.name == format).copied();
    match found {
        Some(format) => (format.open)(path.as_ref()),
        None => Err(ErrorKind::Unsupported {
            what: format!("format {format:?}"),
            hint: format!("known formats: {}", formats().join(", ")),
        }
        .into()),
    }
}

fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let read = || {
        let mut start = Vec::new();
        if !std::fs::metadata(path)?.is_dir() {
            std::fs::File::open(path)?.take(64).read_to_end(&mut start)?;
        }
        Ok(start)
    };
    read().map_err(|e| Error::io("opening", path, e))
}

/// The last part of a path, for labels.
fn file_label(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The file's name without its extension, for arrays that have no name of their own.
#[cfg(feature = "geotiff")]
fn file_stem(path: &Path) -> Option<Arc<str>> {
    path.file_stem().map(|s| s.to_string_lossy().into())
}

/// What every sink asks of a block.
fn check_write(op: &'static str, dtype: DType, region: &Region, block: &Block) -> Result<()> {
    if block.dtype() != dtype {
        return Err(ErrorKind::DType {
            op: op.into(),
            dtype: block.dtype(),
            hint: format!("the file is created for {dtype}: cast before writing"),
        }
        .into());
    }
    if block.shape() != region.shape.as_slice() {
        return Err(ErrorKind::ShapeMismatch {
            op,
            left: block.shape().to_vec(),
            right: region.shape.to_vec(),
            hint: "; a block has the shape of its region",
        }
        .into());
    }
    Ok(())
}

/// A file with holes is never published.
fn check_complete(path: &Path, written: usize, total: usize) -> Result<()> {
    if written == total {
        return Ok(());
    }
    Err(Error::internal(format!("{}: finished with {written} of {total} elements written", path.display())))
}

fn finished_twice(path: &Path) -> Error {
    Error::internal(format!("{}: finished or failed before", path.display()))
}
