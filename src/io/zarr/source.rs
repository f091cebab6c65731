//! [`ZarrSource`]: the chunks of a Zarr array as blocks.

use super::store::Directory;
use super::{Map, Value, attributes, codec_options};
use crate::block::{Address, Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::io::input::Input;
use crate::io::tiles::{self, Tile};
use crate::io::{Opened, address, remote};
use crate::meta::Meta;
use crate::shape::{Dims, Grid, Region};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::array::{
    Array, ArrayBytes, ArrayCreateError, ArrayError, ArrayMetadata, ArrayShardedExt, ArrayShardedReadableExt,
    ArrayShardedReadableExtCache, CodecError, DataType, data_type,
};
use zarrs::storage::StorageError;

pub(super) const FORMAT: &str = "Zarr array";
/// Copies of a chunk that a chain of codecs holds at a time: encoded, and before and after a step whose output grows by
/// doubling; measured.
const DECODE_COPIES: usize = 5;
/// What a decompressor needs beside its input and output.
const DECODER_STATE: usize = 1 << 20;
/// Memory for the indices of shards, which are kept for later reads.
const INDEX_BYTES: usize = 4 << 20;
/// Place and length of an inner chunk.
const INDEX_ENTRY: usize = 16;

/// A Zarr array of version 2 or 3 in a directory.
///
/// Its grid is that of the chunks. **In a sharded array it is that of the inner chunks**: they are read one by one, by
/// their place in the shard, so that a small window costs little; the indices of shards are kept. A chunk that is not
/// there is full of the array's fill value. Chunks are decoded one after the other on the calling thread.
///
/// ```
/// # fn main() -> blockwise::error::Result<()> {
/// use blockwise::{block::{Block, BlockSink, BlockSource}, dtype::DType, io::zarr::*, meta::Meta, shape::Region};
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("a.zarr");
/// let sink = ZarrSink::create(&path, &[5, 7], DType::I16, &[4, 4], &Meta::default(), WriteOptions::default())?;
/// let values = ndarray::Array2::from_shape_fn((5, 7), |(r, c)| (10 * r + c) as i16);
/// sink.write(&Region::whole(&[5, 7]), &Block::from_array(values))?;
/// sink.finish()?;
/// let source = ZarrSource::open(&path)?;
/// assert_eq!(source.read(&Region::new([3, 2].as_slice(), [2, 1].as_slice()))?.as_slice::<i16>()?, [32, 42]);
/// # Ok(()) }
/// ```
pub struct ZarrSource {
    path: PathBuf,
    array: Array<Directory>,
    dtype: DType,
    grid: Grid,
    /// Shape of a whole (inner) chunk.
    chunk: Dims,
    shards: Option<Shards>,
    meta: Meta,
    attributes: Map<String, Value>,
}

struct Shards {
    indices: ArrayShardedReadableExtCache,
    /// How many indices are kept.
    keep: usize,
    bytes: usize,
}

impl ZarrSource {
    /// Opens the array in a directory.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it cannot be read, [`ErrorKind::Format`] if there is no array or its metadata is malformed,
    /// [`ErrorKind::Unsupported`] for element types, codecs and chunk grids that cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<ZarrSource> {
        let path = path.as_ref().to_owned();
        if !remote::is_url(&path) {
            std::fs::metadata(&path).map_err(|e| Error::io("opening", &path, e))?;
        }
        let array = Array::open(Arc::new(Directory::new(&path)), "/").map_err(|e| open_error(e, &path))?;
        let dtype = dtype_of(array.data_type()).ok_or_else(|| {
            Error::from(ErrorKind::Unsupported {
                what: format!("{}: elements of type {}", path.display(), array.data_type()),
                hint: "bool, integers of 8 to 64 bits and floats of 16, 32 and 64 bits can be read".into(),
            })
        })?;
        let to_usize = |n: u64| {
            usize::try_from(n).map_err(|_| Error::format(FORMAT, &path, format!("{n} is too long an axis")))
        };
        let shape: Dims = array.shape().iter().map(|&n| to_usize(n)).collect::<Result<_>>()?;
        let document = serde_json::to_value(array.metadata()).map_err(|e| Error::format(FORMAT, &path, e))?;
        let outer = chunk_shape(&document).ok_or_else(|| {
            Error::from(ErrorKind::Unsupported {
                what: format!("{}: its chunk grid", path.display()),
                hint: "only regular chunks can be read".into(),
            })
        })?;
        let chunk: Dims = match array.effective_subchunk_shape() {
            Some(inner) => inner.iter().map(|n| to_usize(n.get())).collect::<Result<_>>()?,
            None => outer.iter().map(|&n| to_usize(n)).collect::<Result<_>>()?,
        };
        let size = |shape: &[usize]| shape.iter().try_fold(dtype.size(), |n, &len| n.checked_mul(len));
        if [&shape, &chunk].iter().any(|s| size(s).is_none_or(|n| n > isize::MAX as usize)) {
            return Err(Error::format(FORMAT, &path, format!("no memory holds its shape {shape:?}")));
        }
        let shards = array.is_sharded().then(|| {
            let ratios = outer.iter().zip(&chunk).map(|(&o, &c)| o as usize / c.max(1));
            let index = ratios.fold(INDEX_ENTRY, |n, r| n.saturating_mul(r));
            let keep = (INDEX_BYTES / index.max(1)).max(4);
            let bytes = (keep + 1).saturating_mul(index);
            Shards { indices: ArrayShardedReadableExtCache::new(&array), keep, bytes }
        });
        Ok(ZarrSource {
            grid: Grid::regular(&shape, &chunk),
            meta: attributes::read(&document, shape.len()),
            attributes: array.attributes().clone(),
            path,
            array,
            dtype,
            chunk,
            shards,
        })
    }

    /// Names of the axes and bands, nodata and georeference, as far as attributes tell.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// All attributes.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    /// The elements of a whole (inner) chunk.
    fn chunk(&self, index: &[usize]) -> Result<Vec<u8>> {
        let at: Vec<u64> = index.iter().map(|&i| i as u64).collect();
        let options = codec_options();
        let bytes: std::result::Result<ArrayBytes<'static>, ArrayError> = match &self.shards {
            None => self.array.retrieve_chunk_opt(&at, &options),
            Some(shards) => {
                if shards.indices.len() > shards.keep {
                    shards.indices.clear();
                }
                self.array.retrieve_subchunk_opt(&shards.indices, &at, &options)
            }
        };
        let corrupt = |message: String| -> Error {
            ErrorKind::CorruptChunk { path: self.path.clone(), chunk: index.to_vec(), message }.into()
        };
        let bytes = bytes.map_err(|e| match e {
            ArrayError::StorageError(StorageError::IOError(e))
            | ArrayError::CodecError(CodecError::StorageError(StorageError::IOError(e))) => {
                Error::io("reading", &self.path, std::io::Error::new(e.kind(), e))
            }
            e => corrupt(e.to_string()),
        })?;
        let bytes = bytes.into_fixed().map_err(|e| corrupt(e.to_string()))?.into_owned();
        let expected = self.chunk.iter().product::<usize>() * self.dtype.size();
        if bytes.len() != expected {
            return Err(corrupt(format!("{} bytes decoded, {expected} expected", bytes.len())));
        }
        if self.dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
            return Err(corrupt("a bool that is neither 0 nor 1".into()));
        }
        Ok(bytes)
    }
}

impl BlockSource for ZarrSource {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        crate::io::file_label(&self.path)
    }

    fn read(&self, region: &Region) -> Result<Block> {
        tiles::read(self.dtype, &self.grid, region, |index, _| {
            // stored chunks are whole, at the ends too
            let start = self.grid.region(index).start;
            Ok(Tile::c_ordered(self.chunk(index)?, Region { start, shape: self.chunk.clone() }))
        })
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        let size = self.dtype.size();
        // a spoilt chunk shape must not overflow: it is refused by whoever has a limit
        let chunk = self.chunk.iter().fold(DECODE_COPIES * size, |n, &len| n.saturating_mul(len));
        let indices = self.shards.as_ref().map_or(0, |s| s.bytes + Input::held(&self.path));
        let decoding = chunk.saturating_add(DECODER_STATE).saturating_add(indices);
        decoding.saturating_add(extent.iter().product::<usize>() * size)
    }

    fn address(&self) -> Result<Option<Address>> {
        let document = match self.array.metadata() {
            ArrayMetadata::V3(_) => self.path.join("zarr.json"),
            ArrayMetadata::V2(_) => self.path.join(".zarray"),
        };
        address::of_file("zarr", &self.path, &document, &[]).map(Some)
    }
}

/// The shape of the chunks that are stored, from the metadata document of either version.
fn chunk_shape(document: &Value) -> Option<Vec<u64>> {
    let list = match document.get("chunks") {
        Some(chunks) => chunks,
        None => {
            let grid = document.get("chunk_grid")?;
            if grid.get("name").and_then(Value::as_str) != Some("regular") {
                return None;
            }
            grid.get("configuration")?.get("chunk_shape")?
        }
    };
    list.as_array()?.iter().map(Value::as_u64).collect()
}

fn dtype_of(zarr: &DataType) -> Option<DType> {
    DType::ALL.into_iter().find(|&d| data_type_of(d) == *zarr)
}

/// What a dtype is to `zarrs`.
fn data_type_of(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => data_type::bool(),
        DType::I8 => data_type::int8(),
        DType::I16 => data_type::int16(),
        DType::I32 => data_type::int32(),
        DType::I64 => data_type::int64(),
        DType::U8 => data_type::uint8(),
        DType::U16 => data_type::uint16(),
        DType::U32 => data_type::uint32(),
        DType::U64 => data_type::uint64(),
        DType::F16 => data_type::float16(),
        DType::F32 => data_type::float32(),
        DType::F64 => data_type::float64(),
    }
}

/// Why an array cannot be opened or created.
pub(super) fn open_error(error: ArrayCreateError, path: &Path) -> Error {
    match error {
        ArrayCreateError::StorageError(StorageError::IOError(e)) => {
            Error::io("opening", path, std::io::Error::new(e.kind(), e))
        }
        e @ (ArrayCreateError::DataTypeCreateError(_)
        | ArrayCreateError::CodecsCreateError(_)
        | ArrayCreateError::ChunkGridCreateError(_)
        | ArrayCreateError::StorageTransformersCreateError(_)
        | ArrayCreateError::UnsupportedZarrV2Array(_)
        | ArrayCreateError::AdditionalFieldUnsupportedError(_)) => ErrorKind::Unsupported {
            what: format!("{}: {e}", path.display()),
            hint: "rewrite it with zstd or gzip and plain element types".into(),
        }
        .into(),
        ArrayCreateError::MissingMetadata => {
            Error::format(FORMAT, path, "it holds neither zarr.json of an array nor .zarray")
        }
        e => Error::format(FORMAT, path, e),
    }
}

impl From<ZarrSource> for Opened {
    fn from(source: ZarrSource) -> Opened {
        Opened { meta: source.meta.clone(), source: Arc::new(source) }
    }
}

impl fmt::Debug for ZarrSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZarrSource({}, {} {})", self.path.display(), self.dtype, self.grid)
    }
}
