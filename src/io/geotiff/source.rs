//! [`GeoTiffSource`]: the strips and tiles of a TIFF as blocks.

use super::{half, tags};
use crate::block::{Address, Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::io::remote::{self, Object};
use crate::io::tiles::{self, Tile};
use crate::io::{Opened, address};
use crate::meta::Meta;
use crate::shape::{Grid, Region};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tiff_core::RasterLayout;
use tiff_reader::source::{FileSource, SharedSource, TiffSource};
use tiff_reader::{ByteOrder, Ifd, OpenOptions, TiffError, TiffFile};

const FORMAT: &str = "GeoTIFF";
/// A decoder's output grows by doubling while the old one is copied over; predictors and colour work in place.
const DECODE_COPIES: usize = 4;
/// What a decoder needs beside its input and output; measured.
const DECODER_STATE: usize = 1 << 20;
/// Decoded tiles kept for reads that do not follow the tiles, unless told otherwise.
const CACHE_BYTES: usize = 4 << 20;
const UNCOMPRESSED: u16 = 1;
/// The longest strip or tile that the decoder takes.
const MAX_UNIT: usize = 1 << 30;
/// No image has more overviews than this; a file that says so is spoilt.
pub(super) const MAX_SUB_IFDS: usize = 64;

/// How a GeoTIFF is opened.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// 0 for full resolution, 1 for the largest overview, and so on.
    pub overview: usize,
    /// Which of the file's full-resolution images, in their order.
    pub page: usize,
    /// About how many bytes a block of the grid has: as many whole strips or tiles, of all bands when these are
    /// interleaved.
    pub chunk_bytes: usize,
    /// How many bytes of decoded strips or tiles are kept for later reads, so that reads that overlap tiles only
    /// partly (windows, halos, one band of an interleaved file) do not decode them again and again.
    pub cache_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions { overview: 0, page: 0, chunk_bytes: crate::io::CHUNK_BYTES, cache_bytes: CACHE_BYTES }
    }
}

/// A GeoTIFF (or any TIFF) as an array of (band, row, column).
///
/// A read decodes just the strips or tiles that its region touches, one at a time on the calling thread. Uncompressed
/// strips are not even read whole, so that a file of one giant strip costs no more than any other. A compressed strip is
/// the least that can be decoded: a file compressed in one piece needs its whole size in memory, and
/// [`BlockSource::read_bytes`] says so.
///
/// ```
/// # fn main() -> blockwise::error::Result<()> {
/// use blockwise::{block::BlockSource, io::geotiff::GeoTiffSource, meta::Crs, shape::Region};
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/L7_ETMs.tif");
/// let scene = GeoTiffSource::open(path, Default::default())?;
/// assert_eq!(scene.grid().shape().as_slice(), [6, 352, 349]);
/// assert_eq!(scene.meta().georef.as_ref().unwrap().crs, Crs::Epsg(31985));
/// let corner = scene.read(&Region::new([3, 0, 0].as_slice(), [1, 16, 16].as_slice()))?;
/// assert_eq!(corner.view::<u8>()?.shape(), [1, 16, 16]);
/// # Ok(()) }
/// ```
pub struct GeoTiffSource {
    path: PathBuf,
    file: TiffFile,
    ifd: Ifd,
    layout: RasterLayout,
    dtype: DType,
    /// Rows and columns of what is decoded at a time: a tile, a strip, or rows of an uncompressed strip.
    unit: [usize; 2],
    /// The image cut into these units, of all bands where they are interleaved.
    units: Grid,
    /// Uncompressed strips are read by rows, without the decoder.
    raw: Option<RawStrips>,
    grid: Grid,
    meta: Meta,
    overviews: usize,
    /// The longest stored strip or tile.
    max_stored: usize,
    options: ReadOptions,
}

#[derive(Debug)]
struct RawStrips {
    rows: usize,
    offsets: Vec<u64>,
    swap: bool,
}

impl GeoTiffSource {
    /// Opens a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it cannot be read, [`ErrorKind::Format`] if it is not a TIFF or its directory is broken,
    /// [`ErrorKind::Unsupported`] for compressions and samples that cannot be decoded,
    /// [`ErrorKind::InvalidArgument`] for a page or overview that it has not.
    pub fn open(path: impl AsRef<Path>, options: ReadOptions) -> Result<GeoTiffSource> {
        let path = path.as_ref().to_owned();
        let tiff_options = OpenOptions { block_cache_bytes: options.cache_bytes, ..OpenOptions::default() };
        let (file, halves) = open_shared(&path)
            .and_then(|source| half::open(source, tiff_options))
            .map_err(|e| open_error(e, &path))?;
        let (page, levels) = find_levels(&file, options.page, &path)?;
        let overviews = levels.len();
        let ifd = match options.overview.checked_sub(1) {
            None => page.clone(),
            Some(i) => levels.get(i).cloned().ok_or_else(|| {
                let message =
                    format!("{} has {overviews} overviews, not {}", path.display(), options.overview);
                Error::invalid("open_geotiff", message)
            })?,
        };
        let layout = ifd.raster_layout().map_err(|e| open_error(e, &path))?;
        let compression = ifd.compression();
        if tiff_core::Compression::from_code(compression).is_none() {
            return Err(ErrorKind::Unsupported {
                what: format!("{}: TIFF compression {compression}", path.display()),
                hint: "rewrite it with deflate, LZW or zstd (gdal_translate -co COMPRESS=DEFLATE)".into(),
            }
            .into());
        }
        let dtype = dtype_of(&layout, halves.contains(&ifd.offset())).ok_or_else(|| {
            Error::from(ErrorKind::Unsupported {
                what: format!(
                    "{}: samples of {} bits, format {}",
                    path.display(),
                    layout.bits_per_sample,
                    layout.sample_format
                ),
                hint: "integers up to 64 bits and floats of 16, 32 and 64 bits can be read".into(),
            })
        })?;
        let shape = [layout.samples_per_pixel, layout.height, layout.width];
        let fits = shape.iter().try_fold(dtype.size(), |n, &len| n.checked_mul(len));
        if fits.is_none_or(|n| n > isize::MAX as usize) {
            return Err(Error::format(FORMAT, &path, format!("no memory holds its shape {shape:?}")));
        }
        let stored = Stored::of(&ifd, &layout, &path)?;
        let planes = if layout.planar_configuration == 2 { 1 } else { layout.samples_per_pixel };
        let pixel = planes * dtype.size();
        let raw = stored.raw(&ifd, &layout, &file);
        let unit_bytes =
            [stored.unit[0], stored.unit[1], pixel].iter().try_fold(1usize, |n, &len| n.checked_mul(len));
        let unit_bytes =
            unit_bytes.filter(|&n| n <= MAX_UNIT).or(raw.as_ref().map(|_| 0)).ok_or_else(|| {
                Error::from(ErrorKind::Unsupported {
                    what: format!("{}: strips or tiles of {:?} pixels", path.display(), stored.unit),
                    hint: "one of them must fit in a gigabyte; rewrite it in tiles of 256 or 512 pixels"
                        .into(),
                })
            })?;
        let unit = match &raw {
            // rows of a quarter of a block: few system calls, little memory
            Some(_) => {
                let row = pixel * layout.width;
                [(options.chunk_bytes / 4 / row).clamp(1, layout.height), layout.width]
            }
            None => stored.unit,
        };
        let [down, across] = consolidate(unit, &shape[1..], pixel, options.chunk_bytes);
        let bands = if layout.planar_configuration == 2 { 1 } else { shape[0] };
        let metadata_ifd = if page.tag(geotiff_core::tags::TAG_GEO_KEY_DIRECTORY).is_some() {
            &page
        } else {
            // some writers put the georeference into the first directory only
            file.ifd(0).unwrap_or(&page)
        };
        let mut meta = tags::read(metadata_ifd, &path)?;
        meta.dims = tags::dims();
        meta.name = crate::io::file_stem(&path);
        if options.overview > 0 {
            let by_row = f64::from(page.height()) / f64::from(ifd.height());
            let by_col = f64::from(page.width()) / f64::from(ifd.width());
            meta = tags::scaled(meta, by_row, by_col);
        }
        Ok(GeoTiffSource {
            grid: Grid::regular(&shape, &[bands, down, across]),
            units: Grid::regular(&shape, &[bands, unit[0], unit[1]]),
            // the decoder refuses what is longer
            max_stored: stored.max_bytes.min(4 * unit_bytes + 4096),
            options,
            path,
            file,
            ifd,
            layout,
            dtype,
            unit,
            raw,
            meta,
            overviews,
        })
    }

    /// Names of the axes and bands, nodata and georeference.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How many overviews the file has.
    pub fn overview_count(&self) -> usize {
        self.overviews
    }

    /// Whether the bands of a pixel lie side by side in the file: then reading one band costs as much as reading all.
    pub fn is_interleaved(&self) -> bool {
        self.layout.planar_configuration == 1 && self.layout.samples_per_pixel > 1
    }

    /// The samples of a window inside one unit: of one plane, or interleaved.
    fn window(&self, band: usize, one: bool, w: Window) -> Result<Vec<u8>> {
        if let Some(raw) = &self.raw {
            return self.raw_window(raw, band, w);
        }
        let bytes = if one {
            self.file.read_band_window_bytes_from_ifd(&self.ifd, band, w.row, w.col, w.rows, w.cols)
        } else {
            self.file.read_window_bytes_from_ifd(&self.ifd, w.row, w.col, w.rows, w.cols)
        };
        bytes.map_err(|e| self.read_error(e, band, w))
    }

    /// The rows of a window straight from uncompressed strips.
    fn raw_window(&self, raw: &RawStrips, band: usize, w: Window) -> Result<Vec<u8>> {
        let size = self.dtype.size();
        let (width, strips) = (self.layout.width, self.layout.height.div_ceil(raw.rows));
        let planar = self.layout.planar_configuration == 2;
        let pixel = if planar { size } else { size * self.layout.samples_per_pixel };
        let plane = if planar { band * strips } else { 0 };
        let mut out = Vec::with_capacity(w.rows * w.cols * pixel);
        let mut row = w.row;
        while row < w.row + w.rows {
            let strip = row / raw.rows;
            // whole rows of a strip are one piece of the file
            let rows = if w.cols == width { ((strip + 1) * raw.rows).min(w.row + w.rows) - row } else { 1 };
            let inside = (row - strip * raw.rows) * width + w.col;
            let at = raw.offsets[plane + strip];
            if at == 0 {
                // a sparse strip
                out.resize(out.len() + rows * w.cols * pixel, 0);
            } else {
                // a spoilt place is found out by the read
                let from = at.saturating_add((inside * pixel) as u64);
                let piece = self.file.source().read_exact_at(from, rows * w.cols * pixel);
                out.extend_from_slice(&piece.map_err(|e| self.read_error(e, band, w))?);
            }
            row += rows;
        }
        if raw.swap {
            out.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(out)
    }

    fn read_error(&self, error: TiffError, band: usize, w: Window) -> Error {
        match error {
            TiffError::Io(e, _) => Error::io("reading", &self.path, e),
            e => {
                let plane = if self.layout.planar_configuration == 2 { band } else { 0 };
                let rows = self.raw.as_ref().map_or(self.unit[0], |r| r.rows);
                ErrorKind::CorruptChunk {
                    path: self.path.clone(),
                    chunk: vec![plane, w.row / rows, w.col / self.unit[1]],
                    message: e.to_string(),
                }
                .into()
            }
        }
    }
}

/// A file as the decoder reads it.
fn open_shared(path: &Path) -> std::result::Result<SharedSource, TiffError> {
    let failed = |e| TiffError::Io(e, path.display().to_string());
    Ok(match remote::place(path).map_err(failed)? {
        Some(place) => {
            let object = place.open().map_err(failed)?;
            Arc::new(InStore { object, path: path.display().to_string() })
        }
        None => Arc::new(FileSource::open(path)?),
    })
}

/// An object in a store as the decoder reads it.
struct InStore {
    object: Object,
    path: String,
}

impl TiffSource for InStore {
    fn len(&self) -> u64 {
        self.object.len()
    }

    fn read_exact_at(&self, offset: u64, len: usize) -> std::result::Result<Vec<u8>, TiffError> {
        let bytes = self.object.range(offset, len).map_err(|e| TiffError::Io(e, self.path.clone()))?;
        if bytes.len() < len {
            return Err(TiffError::Truncated { offset, needed: len as u64, available: bytes.len() as u64 });
        }
        Ok(bytes)
    }
}

/// A window of rows and columns.
#[derive(Clone, Copy)]
struct Window {
    row: usize,
    col: usize,
    rows: usize,
    cols: usize,
}

impl BlockSource for GeoTiffSource {
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
        let planar = self.layout.planar_configuration == 2;
        // an interleaved window of which one band is wanted is taken apart by the decoder
        let one = planar || (region.shape[0] == 1 && self.raw.is_none());
        tiles::read(self.dtype, &self.units, region, |_, part| {
            let (band, rows, cols) = (part.start[0], part.shape[1], part.shape[2]);
            let w = Window { row: part.start[1], col: part.start[2], rows, cols };
            let bytes = self.window(band, one, w)?;
            let samples = if one { 1 } else { self.layout.samples_per_pixel };
            if bytes.len() != rows * cols * samples * self.dtype.size() {
                return Err(self.read_error(TiffError::Other("a short block".into()), band, w));
            }
            let mut held = part.clone();
            if !one {
                // all bands, side by side
                (held.start[0], held.shape[0]) = (0, samples);
            }
            Ok(Tile { bytes, region: held, strides: [1, cols * samples, samples].as_slice().into() })
        })
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        let size = self.dtype.size();
        let planes = if self.layout.planar_configuration == 2 { 1 } else { self.layout.samples_per_pixel };
        let unit = self.unit[0] * self.unit[1] * planes * size;
        let decoding = match &self.raw {
            // the piece that was read, and the window it is collected in
            Some(_) => 2 * unit,
            None => {
                self.max_stored + (DECODE_COPIES + 1) * unit + DECODER_STATE + 2 * self.options.cache_bytes
            }
        };
        extent.iter().product::<usize>() * size + decoding
    }

    fn address(&self) -> Result<Option<Address>> {
        let ReadOptions { overview, page, chunk_bytes, cache_bytes } = self.options;
        let options = [
            ("overview", overview as u64),
            ("page", page as u64),
            ("chunk_bytes", chunk_bytes as u64),
            ("cache_bytes", cache_bytes as u64),
        ];
        address::of_file("geotiff", &self.path, &self.path, &options).map(Some)
    }
}

/// Where the strips or tiles of an image are.
struct Stored {
    unit: [usize; 2],
    tiled: bool,
    offsets: Vec<u64>,
    counts: Vec<u64>,
    max_bytes: usize,
}

impl Stored {
    fn of(ifd: &Ifd, layout: &RasterLayout, path: &Path) -> Result<Stored> {
        let bad = |message: String| Error::format(FORMAT, path, message);
        let (unit, offsets, counts) = if ifd.is_tiled() {
            let (w, h) = (ifd.tile_width().unwrap_or(0), ifd.tile_height().unwrap_or(0));
            ([h as usize, w as usize], ifd.tile_offsets(), ifd.tile_byte_counts())
        } else {
            let rows = (ifd.rows_per_strip() as usize).min(layout.height);
            ([rows, layout.width], ifd.strip_offsets(), ifd.strip_byte_counts())
        };
        if unit.contains(&0) {
            return Err(bad("its tiles or strips are empty".into()));
        }
        let (Some(offsets), Some(counts)) = (offsets, counts) else {
            return Err(bad("it does not say where its tiles or strips are".into()));
        };
        let planes = if layout.planar_configuration == 2 { layout.samples_per_pixel } else { 1 };
        let expected = layout.height.div_ceil(unit[0]) * layout.width.div_ceil(unit[1]) * planes;
        if offsets.len() != expected || counts.len() != expected {
            return Err(bad(format!(
                "it needs {expected} tiles or strips and lists {} places, {} lengths",
                offsets.len(),
                counts.len()
            )));
        }
        let max_bytes = counts.iter().copied().max().unwrap_or(0).try_into().unwrap_or(usize::MAX);
        Ok(Stored { unit, tiled: ifd.is_tiled(), offsets, counts, max_bytes })
    }

    /// The strips as plain rows of samples, if that is what they are.
    fn raw(&self, ifd: &Ifd, layout: &RasterLayout, file: &TiffFile) -> Option<RawStrips> {
        let plain = !self.tiled
            && ifd.compression() == UNCOMPRESSED
            && layout.predictor == 1
            && ifd.fill_order() == 1
            && matches!(layout.bits_per_sample, 8 | 16 | 32 | 64)
            && ifd.ycbcr_subsampling().ok().flatten().is_none_or(|s| s == [1, 1]);
        let planes = if layout.planar_configuration == 2 { 1 } else { layout.samples_per_pixel };
        let row = layout.width * planes * layout.bytes_per_sample;
        let per_plane = layout.height.div_ceil(self.unit[0]);
        // a strip that is shorter than its rows is left to the decoder, which says what is wrong
        let whole = self.counts.iter().zip(&self.offsets).enumerate().all(|(i, (&count, &at))| {
            let rows = self.unit[0].min(layout.height - (i % per_plane) * self.unit[0]);
            (at == 0 && count == 0) || count >= (rows * row) as u64
        });
        (plain && whole).then(|| RawStrips {
            rows: self.unit[0],
            offsets: self.offsets.clone(),
            swap: (file.byte_order() == ByteOrder::LittleEndian) != cfg!(target_endian = "little"),
        })
    }
}

/// A chosen full-resolution image and its overviews, largest first.
fn find_levels(file: &TiffFile, page: usize, path: &Path) -> Result<(Ifd, Vec<Ifd>)> {
    use geotiff_core::tags::{TAG_NEW_SUBFILE_TYPE, TAG_SUBFILE_TYPE};
    let flags = |ifd: &Ifd| match (ifd.tag(TAG_NEW_SUBFILE_TYPE), ifd.tag(TAG_SUBFILE_TYPE)) {
        (Some(tag), _) => tag.value.as_u64().unwrap_or(0),
        // the old tag counts: 2 is a reduced image
        (None, Some(tag)) => u64::from(tag.value.as_u16() == Some(2)),
        (None, None) => 0,
    };
    let (reduced, mask) = (1, 4);
    let mut pages = Vec::new();
    for (i, ifd) in file.ifds().iter().enumerate() {
        if flags(ifd) & (reduced | mask) == 0 {
            pages.push(i);
        }
    }
    let Some(&at) = pages.get(page) else {
        let message = format!("{} has {} images, not {}", path.display(), pages.len(), page + 1);
        return Err(Error::invalid("open_geotiff", message));
    };
    let base = &file.ifds()[at];
    let next = pages.get(page + 1).copied().unwrap_or(file.ifd_count());
    let mut levels: Vec<Ifd> = file.ifds()[at + 1..next].to_vec();
    for offset in base.sub_ifd_offsets().unwrap_or_default().into_iter().take(MAX_SUB_IFDS) {
        levels.push(file.read_ifd_at_offset(offset).map_err(|e| open_error(e, path))?);
    }
    levels.retain(|level| {
        flags(level) & (reduced | mask) == reduced
            && level.samples_per_pixel() == base.samples_per_pixel()
            && level.width() <= base.width()
            && level.height() <= base.height()
    });
    levels.sort_by_key(|level| std::cmp::Reverse((level.width(), level.height())));
    Ok((base.clone(), levels))
}

/// The block shape, in pixels, of whole units of about `target` bytes, as square as they allow.
fn consolidate(unit: [usize; 2], image: &[usize], pixel: usize, target: usize) -> [usize; 2] {
    let bytes = unit[0].saturating_mul(unit[1]).saturating_mul(pixel).max(1);
    let n = (target / bytes).max(1);
    let counts = [image[0].div_ceil(unit[0]), image[1].div_ceil(unit[1])];
    let across = n.isqrt().clamp(1, counts[1]);
    let down = (n / across).clamp(1, counts[0]);
    let across = (n / down).clamp(1, counts[1]);
    [down * unit[0], across * unit[1]].map(|n| n.max(1))
}

/// The dtype of samples; `halves` says that 16-bit ones are floats that were relabelled.
fn dtype_of(layout: &RasterLayout, halves: bool) -> Option<DType> {
    Some(match (layout.sample_format, layout.bits_per_sample) {
        (1, 16) if halves => DType::F16,
        (1, 0..=8) => DType::U8,
        (1, 9..=16) => DType::U16,
        (1, 32) => DType::U32,
        (1, 64) => DType::U64,
        (2, 8) => DType::I8,
        (2, 16) => DType::I16,
        (2, 32) => DType::I32,
        (2, 64) => DType::I64,
        (3, 32) => DType::F32,
        (3, 64) => DType::F64,
        _ => return None,
    })
}

fn open_error(error: TiffError, path: &Path) -> Error {
    match error {
        TiffError::Io(e, _) => Error::io("opening", path, e),
        e @ (TiffError::UnsupportedCompression(_)
        | TiffError::UnsupportedBitsPerSample(_)
        | TiffError::UnsupportedSampleFormat(_)
        | TiffError::UnsupportedPredictor(_)) => ErrorKind::Unsupported {
            what: format!("{}: {e}", path.display()),
            hint: "rewrite it with integers or floats and deflate, LZW or zstd".into(),
        }
        .into(),
        e => Error::format(FORMAT, path, e),
    }
}

impl From<GeoTiffSource> for Opened {
    fn from(source: GeoTiffSource) -> Opened {
        Opened { meta: source.meta.clone(), source: Arc::new(source) }
    }
}

impl fmt::Debug for GeoTiffSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GeoTiffSource({}, {} {})", self.path.display(), self.dtype, self.grid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_units_of_about_the_target() {
        // 256 x 256 tiles of 3 u16 bands: 384 KiB each, ten in 4 MiB
        assert_eq!(consolidate([256, 256], &[1860, 2041], 6, 4 << 20), [768, 768]);
        // strips
        assert_eq!(consolidate([10, 349], &[352, 349], 6, 1 << 16), [30, 349]);
        // a tile above the target stays whole; a small image is one block
        assert_eq!(consolidate([4096, 4096], &[9000, 9000], 4, 1 << 20), [4096, 4096]);
        assert_eq!(consolidate([256, 256], &[300, 100], 1, 4 << 20), [512, 256]);
    }
}
