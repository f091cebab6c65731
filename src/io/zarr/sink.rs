//! [`ZarrSink`]: whole chunks, from any thread, into a directory that appears when it is complete.

use super::source::open_error;
use super::store::Directory;
use super::{Map, Value, attributes, codec_options, is_array};
use crate::block::{Address, Block, BlockSink};
use crate::dtype::{DType, Kind, Scalar};
use crate::error::{Error, ErrorKind, Result};
use crate::io::remote::{self, Place};
use crate::io::{address, temp};
use crate::meta::Meta;
use crate::shape::{Dims, Grid, Region};
use serde_json::json;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use zarrs::array::{Array, ArrayBytes, ArrayError, ArrayMetadata, ArrayMetadataOptions, CodecError};
use zarrs::storage::StorageError;

/// Copies of a stored chunk while it is written: padded, and before and after a codec, and once more for shards.
const ENCODE_COPIES: usize = 4;
/// What a compressor needs beside its input and output.
const ENCODER_STATE: usize = 4 << 20;

/// Which version of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Version 2: `.zarray` and `.zattrs`.
    V2,
    /// Version 3: `zarr.json`, shards.
    V3,
}

/// How chunks are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compressor {
    /// Not at all.
    None,
    /// Zstandard at a level (3 is usual; negative ones are faster), with a checksum in version 3.
    Zstd(i32),
    /// Gzip at a level of 0 to 9: read by everything.
    Gzip(u8),
}

/// What a written Zarr array is like.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Version of the format.
    pub version: Version,
    /// Compression of chunks.
    pub compressor: Compressor,
    /// What missing chunks are full of; zero if not given. A chunk that is full of it is not stored.
    pub fill_value: Option<Scalar>,
    /// Shape of the shards, a multiple of the chunks': many chunks in one file. Version 3 only.
    pub shards: Option<Vec<usize>>,
    /// Attributes beside those that the metadata makes; where names meet, these win.
    pub attributes: Map<String, Value>,
    /// Whether to replace an array that is there. Anything else that is there stays, and is an error.
    pub overwrite: bool,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            version: Version::V3,
            compressor: Compressor::Zstd(3),
            fill_value: None,
            shards: None,
            attributes: Map::new(),
            overwrite: false,
        }
    }
}

/// A Zarr array being written.
///
/// In an object store chunks are put where they will be, and the document that makes them an array at the end.
///
/// Its grid is that of what one file holds: the shards if there are any, else the chunks. Memory is a few copies of
/// each grid block in flight.
pub struct ZarrSink {
    path: PathBuf,
    array: Array<Directory>,
    draft: Mutex<Option<Draft>>,
    dtype: DType,
    fill: Scalar,
    grid: Grid,
    /// Shape of a whole stored chunk.
    chunk: Dims,
    overwrite: bool,
    written: AtomicUsize,
}

impl ZarrSink {
    /// Starts an array of these chunks. Nothing is at `path` before [`BlockSink::finish`]; a sink dropped before leaves
    /// nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the directory cannot be created or something is there already,
    /// [`ErrorKind::InvalidArgument`] for chunks, shards or a fill value that do not fit,
    /// [`ErrorKind::Unsupported`] for shards in version 2.
    pub fn create(
        path: impl AsRef<Path>,
        shape: &[usize],
        dtype: DType,
        chunks: &[usize],
        meta: &Meta,
        options: WriteOptions,
    ) -> Result<ZarrSink> {
        let path = path.as_ref().to_owned();
        let refuse = |message: String| Err(Error::invalid("write zarr", message));
        if chunks.len() != shape.len() || chunks.contains(&0) {
            return refuse(format!("chunks {chunks:?} of shape {shape:?}: one positive length per axis"));
        }
        if let Some(shards) = &options.shards {
            let fits = shards.len() == chunks.len()
                && shards.iter().zip(chunks).all(|(s, c)| *s > 0 && s.is_multiple_of(*c));
            if !fits {
                return refuse(format!("shards {shards:?} are not multiples of the chunks {chunks:?}"));
            }
            if options.version == Version::V2 {
                return Err(ErrorKind::Unsupported {
                    what: "shards in Zarr version 2".into(),
                    hint: "write version 3, or without shards".into(),
                }
                .into());
            }
        }
        if matches!(options.compressor, Compressor::Gzip(level) if level > 9) {
            return refuse("gzip has levels 0 to 9".into());
        }
        if !meta.dims.is_empty() && meta.dims.len() != shape.len() {
            return refuse(format!("{} names for {} axes", meta.dims.len(), shape.len()));
        }
        let fill = options.fill_value.unwrap_or(Scalar::zero(dtype)).cast(dtype);
        let stored = options.shards.clone().unwrap_or_else(|| chunks.to_vec());
        let document = document(shape, dtype, chunks, fill, meta, &options);
        let parse = |e: serde_json::Error| Error::internal(format!("{}: {e}", path.display()));
        let metadata = match options.version {
            Version::V2 => ArrayMetadata::V2(serde_json::from_value(document).map_err(parse)?),
            Version::V3 => ArrayMetadata::V3(serde_json::from_value(document).map_err(parse)?),
        };
        let draft = Draft::create(&path, options.overwrite)?;
        let store = Arc::new(Directory::new(draft.path()).unpublished());
        let array = Array::new_with_metadata(store, "/", metadata).map_err(|e| open_error(e, &path))?;
        let plain = ArrayMetadataOptions::default().with_include_zarrs_metadata(false);
        array.store_metadata_opt(&plain).map_err(|e| storage_error(e, &path))?;
        Ok(ZarrSink {
            grid: Grid::regular(shape, &stored),
            chunk: stored.as_slice().into(),
            fill,
            path,
            array,
            draft: Mutex::new(Some(draft)),
            dtype,
            overwrite: options.overwrite,
            written: AtomicUsize::new(0),
        })
    }

    /// The array that another process is writing, to write some of its chunks. Never finished here.
    pub(in crate::io) fn join(at: &Address, dtype: DType, grid: Grid) -> Result<ZarrSink> {
        if !remote::is_url(&at.path) {
            std::fs::metadata(&at.path).map_err(|e| Error::io("opening", &at.path, e))?;
        }
        let store = Arc::new(Directory::new(&at.path).of_many_writers().unpublished());
        let array = Array::open(store, "/").map_err(|e| open_error(e, &at.path))?;
        let chunk = address::options(at, "chunk", grid.ndim())?;
        // what is written is padded to whole chunks
        if grid != Grid::regular(&grid.shape(), &chunk) {
            return Err(Error::format("address", &at.path, format!("chunks {chunk:?} for a grid {grid}")));
        }
        Ok(ZarrSink {
            chunk: chunk.as_slice().into(),
            fill: Scalar::from_bits(dtype, address::option(at, "fill")? as u64),
            path: at.path.clone(),
            array,
            draft: Mutex::new(None),
            dtype,
            grid,
            overwrite: false,
            written: AtomicUsize::new(0),
        })
    }

    fn store(&self, index: &[usize], bytes: &[u8]) -> Result<()> {
        let at: Vec<u64> = index.iter().map(|&i| i as u64).collect();
        let stored = self.array.store_chunk_opt(&at, ArrayBytes::new_flen(bytes), &codec_options());
        stored.map_err(|e| match e {
            ArrayError::StorageError(e) | ArrayError::CodecError(CodecError::StorageError(e)) => {
                storage_error(e, &self.path)
            }
            e => Error::internal(format!("{}: encoding chunk {index:?}: {e}", self.path.display())),
        })
    }
}

/// Where an array is until it is complete.
enum Draft {
    /// In a directory beside its own.
    Beside(tempfile::TempDir),
    /// Below its URL, but without the document that makes it an array.
    InPlace(Objects),
}

/// Objects that are removed when this is dropped.
struct Objects {
    path: PathBuf,
    place: Option<Place>,
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            let _ = place.delete_below();
        }
    }
}

impl Draft {
    /// Starts one where nothing is yet, or an array that is to be replaced.
    fn create(path: &Path, overwrite: bool) -> Result<Draft> {
        let failed = |e| Error::io("creating", path, e);
        let Some(place) = remote::place(path).map_err(failed)? else {
            if path.symlink_metadata().is_ok() && !(overwrite && is_array(path)) {
                return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
            }
            return temp::dir_beside(path).map(Draft::Beside);
        };
        if place.has_any().map_err(failed)? {
            if overwrite {
                let what = format!("{}: replacing what is in an object store", path.display());
                let hint =
                    "objects cannot be exchanged at once: remove them first, or write elsewhere".into();
                return Err(ErrorKind::Unsupported { what, hint }.into());
            }
            return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
        }
        Ok(Draft::InPlace(Objects { path: path.to_owned(), place: Some(place) }))
    }

    fn path(&self) -> &Path {
        match self {
            Draft::Beside(dir) => dir.path(),
            Draft::InPlace(objects) => &objects.path,
        }
    }
}

fn storage_error(error: StorageError, path: &Path) -> Error {
    match error {
        StorageError::IOError(e) => Error::io("writing", path, std::io::Error::new(e.kind(), e)),
        e => Error::internal(format!("{}: {e}", path.display())),
    }
}

/// The metadata document.
fn document(
    shape: &[usize],
    dtype: DType,
    chunks: &[usize],
    fill: Scalar,
    meta: &Meta,
    options: &WriteOptions,
) -> Value {
    let mut attributes = attributes::write(meta, options.version, shape.len());
    attributes.extend(options.attributes.clone());
    let fill = match dtype {
        DType::Bool => json!(fill.bits() != 0),
        DType::U64 => json!(fill.bits()),
        _ if dtype.is_float() => attributes::float(fill.as_f64()),
        _ => json!(fill.as_i64()),
    };
    if options.version == Version::V2 {
        let compressor = match options.compressor {
            Compressor::None => Value::Null,
            Compressor::Zstd(level) => json!({"id": "zstd", "level": level}),
            Compressor::Gzip(level) => json!({"id": "gzip", "level": level}),
        };
        return json!({
            "zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": crate::io::npy::descr(dtype),
            "compressor": compressor, "fill_value": fill, "order": "C", "filters": null,
            "dimension_separator": ".", "attributes": attributes,
        });
    }
    let endian = if cfg!(target_endian = "little") { "little" } else { "big" };
    let bytes = json!({"name": "bytes", "configuration": {"endian": endian}});
    let mut codecs = vec![bytes.clone()];
    match options.compressor {
        Compressor::None => {}
        Compressor::Zstd(level) => {
            codecs.push(json!({"name": "zstd", "configuration": {"level": level, "checksum": true}}));
        }
        Compressor::Gzip(level) => codecs.push(json!({"name": "gzip", "configuration": {"level": level}})),
    }
    let stored = options.shards.as_deref().unwrap_or(chunks);
    if options.shards.is_some() {
        codecs = vec![json!({"name": "sharding_indexed", "configuration": {
            "chunk_shape": chunks, "codecs": codecs, "index_codecs": [bytes, {"name": "crc32c"}],
            "index_location": "end",
        }})];
    }
    let bits = 8 * dtype.size();
    let data_type = match dtype.kind() {
        Kind::Bool => "bool".into(),
        Kind::Signed => format!("int{bits}"),
        Kind::Unsigned => format!("uint{bits}"),
        Kind::Float => format!("float{bits}"),
    };
    let mut document = json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill, "codecs": codecs, "attributes": attributes,
    });
    if !meta.dims.is_empty() {
        document["dimension_names"] = attributes::names(&meta.dims);
    }
    document
}

impl BlockSink for ZarrSink {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        crate::io::file_label(&self.path)
    }

    fn write(&self, region: &Region, block: &Block) -> Result<()> {
        crate::io::check_write("write zarr", self.dtype, region, block)?;
        for index in self.grid.blocks_in(region) {
            let chunk = self.grid.region(&index);
            if !region.contains(&chunk) {
                return Err(Error::internal(format!(
                    "{}: {region} cuts the chunk at {chunk}",
                    self.path.display()
                )));
            }
            let part = block.slice(&chunk.relative_to(region));
            if chunk.shape == self.chunk {
                self.store(&index, part.to_contiguous().bytes())?;
                continue;
            }
            // stored chunks are whole: the fill value pads those at the ends
            let mut padded = Block::full(&self.chunk, self.fill);
            padded.copy_from(&Region::whole(&chunk.shape), &part);
            self.store(&index, padded.bytes())?;
        }
        self.written.fetch_add(region.len(), Relaxed);
        Ok(())
    }

    fn write_bytes(&self, _extent: &[usize]) -> usize {
        // chunks go one by one; the first copy is in C order
        let chunk = self.chunk.iter().product::<usize>() * self.dtype.size();
        (ENCODE_COPIES + 1) * chunk + ENCODER_STATE
    }

    fn finish(&self) -> Result<()> {
        let total = self.grid.shape().iter().product();
        crate::io::check_complete(&self.path, self.written.load(Relaxed), total)?;
        let draft = self.draft.lock().unwrap_or_else(|e| e.into_inner()).take();
        match draft.ok_or_else(|| crate::io::finished_twice(&self.path))? {
            Draft::Beside(dir) => temp::publish_dir(dir, &self.path, self.overwrite),
            Draft::InPlace(mut objects) => {
                self.array.storage().publish().map_err(|e| Error::io("writing", &self.path, e))?;
                objects.place = None;
                Ok(())
            }
        }
    }

    fn address(&self) -> Option<Address> {
        let draft = self.draft.lock().unwrap_or_else(|e| e.into_inner());
        let path = draft.as_ref()?.path().to_owned();
        let mut options = vec![("fill", self.fill.bits())];
        options.extend(self.chunk.iter().map(|&n| ("chunk", n as u64)));
        Some(address::of_draft("zarr", path, &options))
    }

    fn written_elsewhere(&self) {
        self.written.store(self.grid.shape().iter().product(), Relaxed);
    }
}

impl fmt::Debug for ZarrSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZarrSink({}, {} {})", self.path.display(), self.dtype, self.grid)
    }
}
