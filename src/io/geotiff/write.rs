//! [`GeoTiffSink`]: tiles in any order, from any thread, into one file.
//!
//! A tile is encoded on the thread that brings it, gets its place by one atomic addition, and is written there with a
//! positional write: threads never wait for each other. The directory, which lists the places, comes last, and with
//! it the choice between classic and BigTIFF.

use super::{cog, tags};
use crate::block::{Block, BlockSink};
use crate::dtype::{DType, for_dtype};
use crate::error::{Error, Result};
use crate::io::temp;
use crate::meta::Meta;
use crate::shape::{Grid, Region};
use ndarray::Ix3;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use tempfile::NamedTempFile;
use tiff_core::{ByteOrder, Tag};
use tiff_writer::encoder;

/// Length of a BigTIFF header, kept free so that the kind of file can be chosen last.
const HEADER: u64 = 16;
/// What an encoder may need beside its input and output; measured.
const ENCODER_STATE: usize = 1 << 20;
const ZSTD_STATE: usize = 4 << 20;

/// How tiles are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZW: read by everything.
    Lzw,
    /// Deflate at a level of 0 to 9: read by everything, smaller.
    Deflate(u8),
    /// Zstandard, at its fastest level: read by GDAL 2.3 and later.
    Zstd,
}

/// How the bands of a pixel lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interleave {
    /// Each band has tiles of its own: bands are written and read separately.
    Band,
    /// The bands of a pixel lie side by side: a write brings all bands, a read decodes all.
    Pixel,
}

/// How pixels of an overview come from the four they stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resampling {
    /// The upper left one: for classes.
    Nearest,
    /// The mean of those that are neither nodata nor NaN: for measurements.
    Average,
}

/// What a written GeoTIFF is like.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Side of the square tiles, a multiple of 16.
    pub tile: usize,
    /// Compression of tiles.
    pub compression: Compression,
    /// Whether neighbours are subtracted before compressing (by bytes of equal weight for floats), which makes smooth
    /// data much smaller. Without compression it is ignored.
    pub predictor: bool,
    /// How bands lie.
    pub interleave: Interleave,
    /// Whether to add overviews and lay the file out as a Cloud Optimized GeoTIFF. [`BlockSink::finish`] then reads the
    /// image once more, and the disk holds it twice for a while.
    pub cog: bool,
    /// How overviews of a COG are made.
    pub resampling: Resampling,
    /// Whether to write BigTIFF even if a classic one (up to 4 GiB) would do.
    pub bigtiff: bool,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            tile: 256,
            compression: Compression::Deflate(6),
            predictor: true,
            interleave: Interleave::Band,
            cog: false,
            resampling: Resampling::Average,
            bigtiff: false,
        }
    }
}

/// A GeoTIFF being written.
///
/// Its grid is that of the tiles: `(1, tile, tile)` with bands apart, `(bands, tile, tile)` interleaved; a write may
/// bring several tiles. Memory is what the tiles in flight take, and 16 bytes for every tile of the file.
///
/// ```
/// # fn main() -> blockwise::error::Result<()> {
/// use blockwise::{block::{Block, BlockSink, BlockSource}, dtype::DType, io::geotiff::*, meta::Meta, shape::Region};
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("dem.tif");
/// let sink = GeoTiffSink::create(&path, [1, 40, 50], DType::F32, &Meta::default(), WriteOptions::default())?;
/// let values = ndarray::Array3::from_shape_fn((1, 40, 50), |(_, r, c)| (r * c) as f32);
/// sink.write(&Region::whole(&[1, 40, 50]), &Block::from_array(values.clone()))?;
/// sink.finish()?;
/// let back = GeoTiffSource::open(&path, Default::default())?.read(&Region::whole(&[1, 40, 50]))?;
/// assert_eq!(back.view::<f32>()?, values.into_dyn());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct GeoTiffSink {
    path: PathBuf,
    grid: Grid,
    image: Image,
    meta: Meta,
    options: WriteOptions,
    tiles: Mutex<Option<TileFile>>,
    /// The tiles' file again, for writes that do not take the lock.
    file: std::fs::File,
    end: AtomicU64,
    written: AtomicUsize,
}

impl GeoTiffSink {
    /// Starts a file for an array of (bands, rows, columns). Nothing is at `path` before [`BlockSink::finish`], which
    /// replaces a file that is there; a sink dropped before leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be created, [`ErrorKind::InvalidArgument`] for a shape or tile size that
    /// a TIFF cannot have, [`ErrorKind::Unsupported`] for a CRS that GeoTIFF cannot express.
    ///
    /// [`ErrorKind::Io`]: crate::error::ErrorKind::Io
    /// [`ErrorKind::InvalidArgument`]: crate::error::ErrorKind::InvalidArgument
    /// [`ErrorKind::Unsupported`]: crate::error::ErrorKind::Unsupported
    pub fn create(
        path: impl AsRef<Path>,
        shape: [usize; 3],
        dtype: DType,
        meta: &Meta,
        options: WriteOptions,
    ) -> Result<GeoTiffSink> {
        let path = path.as_ref().to_owned();
        let image = Image::new(shape, dtype, &options)?;
        // says now what would fail in the end
        tags::write(meta)?;
        let bands = if image.planar { 1 } else { shape[0] };
        let grid = Grid::regular(&shape, &[bands, image.tile, image.tile]);
        let tiles = TileFile::create(&path, image.tiles())?;
        let file = tiles.file.as_file().try_clone().map_err(|e| Error::io("creating", &path, e))?;
        Ok(GeoTiffSink {
            path,
            grid,
            image,
            meta: meta.clone(),
            options,
            tiles: Mutex::new(Some(tiles)),
            file,
            end: AtomicU64::new(HEADER),
            written: AtomicUsize::new(0),
        })
    }

    fn put(&self, index: usize, tile: Block) -> Result<()> {
        let bytes = self.image.encode(tile, index)?;
        let length = bytes.len() as u64;
        // blocks start at even offsets, as TIFF wants
        let at = self.end.fetch_add(length.next_multiple_of(2), Relaxed);
        temp::write_all_at(&self.file, &bytes, at).map_err(|e| Error::io("writing", &self.path, e))?;
        match &mut *self.tiles.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(tiles) => tiles.places[index] = Place { at, length },
            None => return Err(crate::io::finished_twice(&self.path)),
        }
        Ok(())
    }
}

impl BlockSink for GeoTiffSink {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        crate::io::file_label(&self.path)
    }

    fn write(&self, region: &Region, block: &Block) -> Result<()> {
        crate::io::check_write("write geotiff", self.image.dtype, region, block)?;
        for index in self.grid.blocks_in(region) {
            let chunk = self.grid.region(&index);
            if !region.contains(&chunk) {
                return Err(Error::internal(format!(
                    "{}: {region} cuts the tile at {chunk}",
                    self.path.display()
                )));
            }
            let part = block.slice(&chunk.relative_to(region));
            self.put(self.image.tile_number(&index), self.image.padded(&part)?)?;
        }
        self.written.fetch_add(region.len(), Relaxed);
        Ok(())
    }

    fn write_bytes(&self, _extent: &[usize]) -> usize {
        // one tile at a time: gathered, encoded (which grows by doubling), and the encoder's tables
        let state = if self.image.compression == Compression::Zstd { ZSTD_STATE } else { ENCODER_STATE };
        4 * self.image.tile_bytes() + state
    }

    fn finish(&self) -> Result<()> {
        let total = self.grid.shape().iter().product();
        crate::io::check_complete(&self.path, self.written.load(Relaxed), total)?;
        let tiles = self.tiles.lock().unwrap_or_else(|e| e.into_inner()).take();
        let mut tiles = tiles.ok_or_else(|| crate::io::finished_twice(&self.path))?;
        tiles.end = self.end.load(Relaxed);
        tiles.close(&self.image, &tags::write(&self.meta)?, self.options.bigtiff, &self.path)?;
        let file = if self.options.cog {
            cog::assemble(tiles, &self.image, &self.meta, &self.options, &self.path)?
        } else {
            tiles.file
        };
        temp::publish_file(file, &self.path)
    }
}

/// Where a stored tile lies in its file.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) length: u64,
}

/// A temporary file of tiles, which becomes a TIFF when closed.
#[derive(Debug)]
pub(super) struct TileFile {
    pub(super) file: NamedTempFile,
    pub(super) places: Vec<Place>,
    pub(super) end: u64,
}

impl TileFile {
    pub(super) fn create(path: &Path, tiles: usize) -> Result<TileFile> {
        let file = temp::file_beside(path)?;
        Ok(TileFile { file, places: vec![Place::default(); tiles], end: HEADER })
    }

    /// Appends a tile, when only one thread does so.
    pub(super) fn append(&mut self, index: usize, bytes: &[u8], path: &Path) -> Result<()> {
        let place = Place { at: self.end, length: bytes.len() as u64 };
        temp::write_all_at(self.file.as_file(), bytes, place.at)
            .map_err(|e| Error::io("writing", path, e))?;
        self.places[index] = place;
        self.end += place.length.next_multiple_of(2);
        Ok(())
    }

    /// Writes the header and the directory.
    pub(super) fn close(&mut self, image: &Image, extra: &[Tag], big: bool, path: &Path) -> Result<()> {
        let directory = image.directory(&self.places, extra, false, true);
        let size = encoder::estimate_ifd_size(order(), true, &directory).map_err(|e| failed(e, path))?;
        let big = big || self.end + size > u64::from(u32::MAX);
        let directory = image.directory(&self.places, extra, false, big);
        let mut out = BufWriter::new(self.file.as_file_mut());
        let mut write = || -> tiff_writer::Result<()> {
            out.seek(SeekFrom::Start(0))?;
            encoder::write_header(&mut out, order(), big)?;
            out.seek(SeekFrom::Start(self.end))?;
            write_directory(&mut out, big, &directory)?;
            encoder::patch_first_ifd(&mut out, 0, order(), big, self.end)?;
            Ok(out.flush()?)
        };
        write().map_err(|e| failed(e, path))
    }
}

/// Writes a directory whose places are known already.
pub(super) fn write_directory(
    out: &mut (impl Write + Seek),
    big: bool,
    directory: &[Tag],
) -> tiff_writer::Result<encoder::IfdWriteResult> {
    encoder::write_ifd(
        out,
        order(),
        big,
        directory,
        tiff_core::TAG_TILE_OFFSETS,
        tiff_core::TAG_TILE_BYTE_COUNTS,
        0,
    )
}

/// This machine's byte order: samples are written as they are.
pub(super) fn order() -> ByteOrder {
    if cfg!(target_endian = "little") { ByteOrder::LittleEndian } else { ByteOrder::BigEndian }
}

/// A writer's error as ours.
pub(super) fn failed(error: tiff_writer::Error, path: &Path) -> Error {
    match error {
        tiff_writer::Error::Io(e) => Error::io("writing", path, e),
        e => Error::internal(format!("{}: {e}", path.display())),
    }
}

/// One image of a file: its shape and how its tiles are stored.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) shape: [usize; 3],
    pub(super) dtype: DType,
    pub(super) tile: usize,
    pub(super) planar: bool,
    compression: Compression,
    predictor: bool,
}

impl Image {
    fn new(shape: [usize; 3], dtype: DType, options: &WriteOptions) -> Result<Image> {
        let refuse = |message: String| Err(Error::invalid("write geotiff", message));
        let [bands, rows, cols] = shape;
        if shape.contains(&0) {
            return refuse(format!("a TIFF has no empty images, and the shape is {shape:?}"));
        }
        if bands > usize::from(u16::MAX) || rows.max(cols) > i32::MAX as usize {
            return refuse(format!("{shape:?} is more than 65535 bands or 2^31 rows or columns"));
        }
        if options.tile == 0 || !options.tile.is_multiple_of(16) || options.tile > 1 << 15 {
            return refuse(format!("tiles of {} pixels; their side is a multiple of 16", options.tile));
        }
        if matches!(options.compression, Compression::Deflate(level) if level > 9) {
            return refuse("deflate has levels 0 to 9".into());
        }
        Ok(Image {
            shape,
            dtype,
            tile: options.tile,
            planar: options.interleave == Interleave::Band && bands > 1,
            compression: options.compression,
            predictor: options.predictor && options.compression != Compression::None,
        })
    }

    /// Tiles down and across.
    pub(super) fn counts(&self) -> [usize; 2] {
        [self.shape[1].div_ceil(self.tile), self.shape[2].div_ceil(self.tile)]
    }

    /// Number of tiles.
    pub(super) fn tiles(&self) -> usize {
        let [down, across] = self.counts();
        down * across * if self.planar { self.shape[0] } else { 1 }
    }

    /// The number in the file of a tile's index in the grid.
    pub(super) fn tile_number(&self, index: &[usize]) -> usize {
        let [down, across] = self.counts();
        (index[0] * down + index[1]) * across + index[2]
    }

    /// Samples of one pixel in a tile.
    fn samples(&self) -> usize {
        if self.planar { 1 } else { self.shape[0] }
    }

    fn tile_bytes(&self) -> usize {
        self.tile * self.tile * self.samples() * self.dtype.size()
    }

    /// A whole tile, its bands interleaved, from a part (bands, rows, columns) that may end at the image's edge.
    pub(super) fn padded(&self, part: &Block) -> Result<Block> {
        let mut tile = Block::uninit(self.dtype, &[self.tile, self.tile, self.samples()]);
        // what lies outside the image is zero: it compresses to nothing and nobody reads it
        tile.bytes_mut().fill(0);
        let rect = [part.shape()[1], part.shape()[2], self.samples()];
        let target = Region::new([0, 0, 0].as_slice(), rect.as_slice());
        let mut target = tile.slice(&target);
        for_dtype!(self.dtype, T => {
            let from = part.view::<T>()?;
            let from = from.into_dimensionality::<Ix3>().map_err(|e| Error::internal(e.to_string()))?;
            target.view_mut_of::<T>().assign(&from.permuted_axes([1, 2, 0]).into_dyn());
        });
        drop(target);
        Ok(tile)
    }

    /// The stored bytes of a whole tile.
    pub(super) fn encode(&self, mut tile: Block, index: usize) -> Result<Vec<u8>> {
        let size = self.dtype.size();
        if self.predictor {
            let step = self.samples();
            let row = self.tile * step * size;
            let mut scratch = Vec::new();
            for row in tile.bytes_mut().chunks_exact_mut(row) {
                if self.dtype.is_float() {
                    difference_floats(row, size, step, &mut scratch);
                } else {
                    difference(row, size, step);
                }
            }
        }
        use tiff_core::Compression as C;
        let (method, level) = match self.compression {
            Compression::None => (C::None, None),
            Compression::Lzw => (C::Lzw, None),
            Compression::Deflate(level) => (C::Deflate, Some(u32::from(level))),
            Compression::Zstd => (C::Zstd, None),
        };
        tiff_writer::compress::compress_with_level(tile.bytes(), method, level, index)
            .map_err(|e| Error::internal(format!("encoding tile {index}: {e}")))
    }

    /// The directory of the image, given where its tiles are.
    pub(super) fn directory(&self, places: &[Place], extra: &[Tag], reduced: bool, big: bool) -> Vec<Tag> {
        use tiff_core::*;
        let list = |of: fn(&Place) -> u64| {
            if big {
                TagValue::Long8(places.iter().map(of).collect())
            } else {
                TagValue::Long(places.iter().map(|p| of(p) as u32).collect())
            }
        };
        let bands = self.shape[0];
        let short = |value: usize| TagValue::Short(vec![value as u16]);
        let long = |value: usize| TagValue::Long(vec![value as u32]);
        let compression = match self.compression {
            crate::io::geotiff::Compression::None => 1,
            crate::io::geotiff::Compression::Lzw => 5,
            crate::io::geotiff::Compression::Deflate(_) => 8,
            crate::io::geotiff::Compression::Zstd => 50000,
        };
        let format = match self.dtype {
            d if d.is_float() => 3,
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => 2,
            _ => 1,
        };
        let mut entries = vec![
            (TAG_NEW_SUBFILE_TYPE, long(usize::from(reduced))),
            (TAG_IMAGE_WIDTH, long(self.shape[2])),
            (TAG_IMAGE_LENGTH, long(self.shape[1])),
            (TAG_BITS_PER_SAMPLE, TagValue::Short(vec![8 * self.dtype.size() as u16; bands])),
            (TAG_COMPRESSION, short(compression)),
            // black is zero
            (TAG_PHOTOMETRIC_INTERPRETATION, short(1)),
            (TAG_SAMPLES_PER_PIXEL, short(bands)),
            (TAG_PLANAR_CONFIGURATION, short(1 + usize::from(self.planar))),
            (TAG_TILE_WIDTH, long(self.tile)),
            (TAG_TILE_LENGTH, long(self.tile)),
            (TAG_TILE_OFFSETS, list(|p| p.at)),
            (TAG_TILE_BYTE_COUNTS, list(|p| p.length)),
            (TAG_SAMPLE_FORMAT, TagValue::Short(vec![format; bands])),
        ];
        if self.predictor {
            entries.push((TAG_PREDICTOR, short(if self.dtype.is_float() { 3 } else { 2 })));
        }
        if bands > 1 {
            // what the other bands are is not said
            entries.push((TAG_EXTRA_SAMPLES, TagValue::Short(vec![0; bands - 1])));
        }
        let mut tags: Vec<Tag> = entries.into_iter().map(|(code, value)| Tag::new(code, value)).collect();
        tags.extend_from_slice(extra);
        tags.sort_by_key(|tag| tag.code);
        tags
    }
}

/// TIFF's horizontal predictor: every sample less the one `step` before it, wrapping.
fn difference(row: &mut [u8], size: usize, step: usize) {
    macro_rules! run {
        ($T:ty) => {{
            const N: usize = size_of::<$T>();
            for i in (step..row.len() / N).rev() {
                let at = |row: &[u8], i: usize| <$T>::from_ne_bytes(std::array::from_fn(|k| row[i * N + k]));
                let d = at(row, i).wrapping_sub(at(row, i - step));
                row[i * N..(i + 1) * N].copy_from_slice(&d.to_ne_bytes());
            }
        }};
    }
    match size {
        1 => run!(u8),
        2 => run!(u16),
        4 => run!(u32),
        _ => run!(u64),
    }
}

/// TIFF's floating point predictor: the bytes of a row sorted by weight, heaviest first, then every byte less the one
/// `step` before it.
fn difference_floats(row: &mut [u8], size: usize, step: usize, scratch: &mut Vec<u8>) {
    scratch.clear();
    scratch.extend_from_slice(row);
    let n = row.len() / size;
    for (i, value) in scratch.chunks_exact(size).enumerate() {
        for weight in 0..size {
            let byte = if cfg!(target_endian = "little") { value[size - 1 - weight] } else { value[weight] };
            row[weight * n + i] = byte;
        }
    }
    for i in (step..row.len()).rev() {
        row[i] = row[i].wrapping_sub(row[i - step]);
    }
}
