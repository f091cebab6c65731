//! Files as sources and sinks of blocks: `.npy`, GeoTIFF, Zarr, and a registry that finds the one for a path; of rows: CSV, JSON lines,
//! Arrow IPC, Parquet, and directories of them.
//!
//! Everything here speaks [`BlockSource`] and [`BlockSink`](crate::block::BlockSink) and nothing above them. Whatever is written appears at its
//! destination whole or not at all: it grows beside it under a hidden temporary name and is renamed at the end. (It is
//! not forced to the disk: after a power cut the last files may be incomplete.)
//!
//! # Object stores
//! With the feature `object-store` a path may be a URL: `s3://bucket/scene.tif`, `gs://bucket/table/*.parquet`, `az://container/array.zarr`,
//! `https://host/scene.tif` (read only on most servers). Nothing else changes.
//!
//! | | |
//! |---|---|
//! | credentials, regions, endpoints | from the environment, as [`object_store`](https://docs.rs/object_store) names them: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, `AWS_SKIP_SIGNATURE` (public buckets), `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY` and others that begin with `AWS_`, `GOOGLE_` or `AZURE_`; read when a store is first used |
//! | reading | by ranges: the tiles, chunks, pages and parts that are wanted. Reads of less than 256 KiB fetch that much, and an open object keeps 4 MiB of it. `.npy` files are copied to the disk whole, and mapped |
//! | directories and patterns | all objects below; a pattern's `*` does not go over `/` |
//! | an object that is replaced while it is read | an error, where the store has tags of objects (all but some web servers) |
//! | writing a file | it grows in the directory for temporary files, and is sent when it is whole, in parts of 8 MiB (of which three are in memory, beside the limit); a part of it is never there |
//! | writing Zarr | chunks go to their places as they come, the document that makes them an array at the end. What is there is not replaced: remove it first |
//! | writing a directory of a table | sent file by file when all are whole |
//! | a store that is busy or does not answer | is asked again, up to ten times in three minutes |
//!
//! URLs with queries (signed ones) and with passwords are refused.

mod address;
#[cfg(feature = "frame")]
pub mod csv;
#[cfg(feature = "frame")]
pub mod files;
#[cfg(feature = "geotiff")]
pub mod geotiff;
mod input;
#[cfg(feature = "frame")]
pub mod ipc;
#[cfg(feature = "frame")]
pub mod json;
pub mod npy;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "frame")]
pub mod parts;
mod remote;
#[cfg(feature = "frame")]
pub mod sink;
pub(crate) mod temp;
#[cfg(feature = "cluster")]
pub(crate) use temp::ScratchDir;
#[cfg(feature = "frame")]
mod text;
#[cfg(any(feature = "geotiff", feature = "zarr"))]
mod tiles;
#[cfg(feature = "zarr")]
pub mod zarr;

#[cfg(feature = "frame")]
pub use address::{open_directory, open_table};
pub use address::{open_sink, open_source};

use crate::block::{Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::Meta;
use crate::shape::Region;
use input::Input;
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
    // in a store, what is no object may be many
    let (start, missing) = match first_bytes(path) {
        Err(e) if remote::is_url(path) && e.kind() == std::io::ErrorKind::NotFound => (vec![], Some(e)),
        read => (read.map_err(|e| Error::io("opening", path, e))?, None),
    };
    // the lock is not held while a format's code runs
    let formats: Vec<Format> = registry().read().unwrap_or_else(|e| e.into_inner()).clone();
    match (formats.iter().rev().find(|f| (f.claims)(path, &start)), missing) {
        (Some(format), _) => (format.open)(path),
        (None, Some(e)) => Err(Error::io("opening", path, e)),
        (None, None) => Err(ErrorKind::Unsupported {
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

fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut start = Vec::new();
    if remote::is_url(path) || !std::fs::metadata(path)?.is_dir() {
        Input::open(path)?.take(64).read_to_end(&mut start)?;
    }
    Ok(start)
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
