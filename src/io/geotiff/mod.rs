//! GeoTIFF and Cloud Optimized GeoTIFF: windows of large files in, streams of tiles out.
//!
//! An array of a GeoTIFF always has three axes: (band, row, column).
//!
//! | | read | write |
//! |---|---|---|
//! | containers | classic and BigTIFF, both byte orders | the smaller of classic and BigTIFF, this machine's byte order |
//! | layout | strips and tiles, bands interleaved or apart, sparse blocks | tiles, bands interleaved or apart |
//! | compression | none, LZW, deflate, PackBits, zstd, LERC, JPEG, WebP | none, LZW, deflate, zstd |
//! | predictors | horizontal, floating point | the same |
//! | samples | integers of 1 to 64 bits, floats of 16, 32 and 64 | every dtype; `bool` as `u8` 0 and 1 |
//! | georeference | EPSG code, Esri text; scale and tie point or matrix; pixel is area or point | EPSG code, Esri text; area |
//! | more | GDAL's nodata and band names; overviews; pages | nodata, band names; overviews in COGs |
//!
//! LZMA is not supported, complex samples neither. Decoding is `tiff-reader`'s; what is written is laid out here, so that
//! tiles can come in any order from several threads.

mod cog;
mod half;
mod source;
mod tags;
mod write;

pub use source::{GeoTiffSource, ReadOptions};
pub use write::{Compression, GeoTiffSink, Interleave, Resampling, WriteOptions};

/// Whether a file that starts with these bytes is a TIFF of either size and byte order.
pub fn is_tiff(start: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| start.starts_with(*magic))
}
