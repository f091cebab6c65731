//! Zarr arrays on a file system or in an object store, versions 2 and 3.
//!
//! | | read | write |
//! |---|---|---|
//! | versions | 2, 3 | 2, 3 |
//! | chunks | regular; shards by their inner chunks | regular, ragged at the ends; shards (version 3) |
//! | codecs | bytes, transpose, gzip, zlib, zstd, crc32c, sharding | bytes and none, gzip or zstd; crc32c for shard indices |
//! | dtypes | `bool`, integers of 8 to 64 bits, floats of 16, 32 and 64 | the same |
//!
//! Blosc and other codecs are refused by name. Groups are not opened: give the path of an array in them.
//!
//! # Metadata
//! | [`Meta`](crate::meta::Meta) | version 3 | version 2 |
//! |---|---|---|
//! | `dims` | `dimension_names` | attribute `_ARRAY_DIMENSIONS` (as xarray has it) |
//! | `name` | attribute `name` | the same |
//! | `bands` | attribute `bands`, a list of texts | the same |
//! | `nodata` | attribute `nodata` | attribute `_FillValue` |
//! | `georef.crs` | attribute `proj:code` (`"EPSG:32621"`) or `proj:wkt2` | the same |
//! | `georef.transform` | attribute `spatial:transform`, six numbers (a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f | the same |
//!
//! On reading, `_FillValue`, `missing_value` and `_ARRAY_DIMENSIONS` are understood in both versions. The array's fill
//! value is what a missing chunk is full of; it says nothing about missing pixels.
//!
//! `zarrs` decodes and encodes, on the calling thread only: our scheduler decides what runs side by side. Files are read
//! and written here, without the synchronization to disk per chunk and the ever-growing table of keys that its own
//! store has.

mod attributes;
mod sink;
mod source;
mod store;

pub use serde_json::{Map, Value};
pub use sink::{Compressor, Version, WriteOptions, ZarrSink};
pub use source::ZarrSource;

use crate::io::input;
use std::path::Path;
use zarrs::array::CodecOptions;

/// Whether a directory holds a Zarr array (not a group).
pub fn is_array(path: &Path) -> bool {
    let read = |name: &str| input::whole(&path.join(name)).ok().flatten();
    let node = read("zarr.json").and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    read(".zarray").is_some()
        || node.is_some_and(|n| n.get("node_type").and_then(Value::as_str) == Some("array"))
}

/// One thread, checksums checked.
fn codec_options() -> CodecOptions {
    CodecOptions::default()
        .with_concurrent_target(1)
        .with_chunk_concurrent_minimum(1)
        .with_validate_checksums(true)
        .with_store_empty_chunks(false)
}
