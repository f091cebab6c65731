//! Overviews and the layout of a Cloud Optimized GeoTIFF.
//!
//! The image was written as a plain GeoTIFF. Each overview is made from the level above it, tile by tile, into a
//! temporary file of its own; then the stored tiles are copied, without decoding them again, into the final file:
//! header, all directories (image first), then the tiles of the smallest overview up to those of the image.
//! Memory is a few tiles and the lists of places, whatever the size of the image.

use super::source::{GeoTiffSource, ReadOptions};
use super::tags;
use super::write::{Image, Place, Resampling, TileFile, WriteOptions, failed, order, write_directory};
use crate::block::{Block, BlockSource};
use crate::dtype::{Element, Scalar, for_dtype};
use crate::error::{Error, Result};
use crate::io::temp;
use crate::meta::Meta;
use crate::shape::Region;
use ndarray::Ix3;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::NamedTempFile;
use tiff_core::Tag;
use tiff_writer::encoder;

/// Tells GDAL that all directories precede the tiles, so that it need not look for more.
const GHOST: &str = "LAYOUT=IFDS_BEFORE_DATA\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";

/// Lays a closed plain file out as a COG.
pub(super) fn assemble(
    base: TileFile,
    image: &Image,
    meta: &Meta,
    options: &WriteOptions,
    path: &Path,
) -> Result<NamedTempFile> {
    let mut levels = vec![(image.clone(), base)];
    while let Some((above, file)) = levels.last()
        && above.shape[1].max(above.shape[2]) > above.tile
    {
        let level = halve(above, file, meta.nodata, options.resampling, path)?;
        levels.push(level);
    }
    let extra = tags::write(meta)?;
    let nodata = tags::write(&Meta { nodata: meta.nodata, ..Meta::default() })?;
    lay_out(levels, &extra, &nodata, options.bigtiff, path)
}

/// The next overview: half the rows and columns.
fn halve(
    above: &Image,
    file: &TileFile,
    nodata: Option<f64>,
    resampling: Resampling,
    path: &Path,
) -> Result<(Image, TileFile)> {
    let mut image = above.clone();
    let [bands, rows, cols] = above.shape;
    image.shape = [bands, rows.div_ceil(2), cols.div_ceil(2)];
    let source = GeoTiffSource::open(file.file.path(), ReadOptions { cache_bytes: 0, ..Default::default() })?;
    let mut out = TileFile::create(path, image.tiles())?;
    let groups = if image.planar { bands } else { 1 };
    let in_group = bands / groups;
    let [down, across] = image.counts();
    for group in 0..groups {
        for i in 0..down {
            for j in 0..across {
                let side = 2 * image.tile;
                let window = Region::new(
                    [group * in_group, i * side, j * side].as_slice(),
                    [in_group, side.min(rows - i * side), side.min(cols - j * side)].as_slice(),
                );
                // bools come back as the u8 they are stored as, and average as such
                let block = source.read(&window)?;
                let half = match resampling {
                    Resampling::Nearest => every_other(&block)?,
                    Resampling::Average => average(&block, nodata)?,
                };
                let half = if half.dtype() == image.dtype { half } else { half.cast(image.dtype) };
                let index = image.tile_number(&[group, i, j]);
                out.append(index, &image.encode(image.padded(&half)?, index)?, path)?;
            }
        }
    }
    out.close(&image, &[], false, path)?;
    Ok((image, out))
}

fn every_other(block: &Block) -> Result<Block> {
    Ok(for_dtype!(block.dtype(), T => {
        let view = block.view::<T>()?;
        let view = view.into_dimensionality::<Ix3>().map_err(|e| Error::internal(e.to_string()))?;
        Block::from_array(view.slice(ndarray::s![.., ..;2, ..;2]).to_owned())
    }))
}

/// Means of two by two pixels (fewer at odd edges), of those that are there. Integers round to nearest.
fn average(block: &Block, nodata: Option<f64>) -> Result<Block> {
    let integer = !block.dtype().is_float();
    Ok(for_dtype!(block.dtype(), T => {
        let view = block.view::<T>()?;
        let view = view.into_dimensionality::<Ix3>().map_err(|e| Error::internal(e.to_string()))?;
        let (bands, rows, cols) = view.dim();
        let half = ndarray::Array3::from_shape_fn((bands, rows.div_ceil(2), cols.div_ceil(2)), |(b, i, j)| {
            let (mut sum, mut n) = (0.0, 0);
            for r in 2 * i..rows.min(2 * i + 2) {
                for c in 2 * j..cols.min(2 * j + 2) {
                    let v = view[[b, r, c]].to_scalar().as_f64();
                    if !v.is_nan() && Some(v) != nodata {
                        sum += v;
                        n += 1;
                    }
                }
            }
            let mean = sum / f64::from(n);
            match n {
                // nothing is there: what stands for it stays
                0 => view[[b, 2 * i, 2 * j]],
                _ => {
                    let mean = Scalar::from(if integer { mean.round() } else { mean });
                    T::from_scalar(mean.cast(T::DTYPE)).unwrap_or_default()
                }
            }
        });
        Block::from_array(half)
    }))
}

/// Writes the final file from the levels, image first.
fn lay_out(
    levels: Vec<(Image, TileFile)>,
    extra: &[Tag],
    nodata: &[Tag],
    big: bool,
    path: &Path,
) -> Result<NamedTempFile> {
    let ghost = format!("GDAL_STRUCTURAL_METADATA_SIZE={:06} bytes\n{GHOST}", GHOST.len());
    let directories = |places: &[Vec<Place>], big: bool| -> Vec<Vec<Tag>> {
        let tags = |k: usize| if k == 0 { extra } else { nodata };
        levels
            .iter()
            .zip(places)
            .enumerate()
            .map(|(k, ((image, _), p))| image.directory(p, tags(k), k > 0, big))
            .collect()
    };
    let old: Vec<Vec<Place>> = levels.iter().map(|(_, file)| file.places.clone()).collect();
    // sizes of directories do not depend on the places in them
    let sizes = |big: bool| -> Result<Vec<u64>> {
        directories(&old, big)
            .iter()
            .map(|d| encoder::estimate_ifd_size(order(), big, d).map(|n| n.next_multiple_of(2)))
            .collect::<tiff_writer::Result<_>>()
            .map_err(|e| failed(e, path))
    };
    let data: u64 = old.iter().flatten().map(|p| p.length.next_multiple_of(2)).sum();
    let first = |big: bool| (if big { 16 } else { 8 } + ghost.len() as u64).next_multiple_of(2);
    let big = big || first(false) + sizes(false)?.iter().sum::<u64>() + data > u64::from(u32::MAX);
    let sizes = sizes(big)?;
    // where tiles will be: the smallest overview first
    let mut at = first(big) + sizes.iter().sum::<u64>();
    let mut new = old.clone();
    for places in new.iter_mut().rev() {
        for place in places {
            place.at = at;
            at += place.length.next_multiple_of(2);
        }
    }
    let mut target = temp::file_beside(path)?;
    let mut out = BufWriter::with_capacity(1 << 18, target.as_file_mut());
    let mut write = || -> tiff_writer::Result<()> {
        encoder::write_header(&mut out, order(), big)?;
        out.write_all(ghost.as_bytes())?;
        let mut starts = Vec::new();
        let mut start = first(big);
        let mut links = Vec::new();
        for (directory, size) in directories(&new, big).iter().zip(&sizes) {
            out.seek(SeekFrom::Start(start))?;
            starts.push(start);
            links.push(write_directory(&mut out, big, directory)?.next_ifd_pointer_offset);
            start += size;
        }
        encoder::patch_first_ifd(&mut out, 0, order(), big, starts[0])?;
        for (link, next) in links.iter().zip(&starts[1..]) {
            encoder::patch_next_ifd(&mut out, order(), big, *link, *next)?;
        }
        out.seek(SeekFrom::Start(start))?;
        for ((_, file), places) in levels.iter().zip(&old).rev() {
            let mut from = file.file.as_file();
            for place in places {
                from.seek(SeekFrom::Start(place.at))?;
                std::io::copy(&mut from.take(place.length), &mut out)?;
                if place.length % 2 == 1 {
                    out.write_all(&[0])?;
                }
            }
        }
        Ok(out.flush()?)
    };
    write().map_err(|e| failed(e, path))?;
    drop(out);
    Ok(target)
}
