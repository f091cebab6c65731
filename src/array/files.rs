//! Arrays from and to files.

use super::Array;
use crate::block::BlockSink;
use crate::error::Result;
use crate::io;
use std::path::Path;
use std::sync::Arc;

/// Opens a file as an array, whatever its format: GeoTIFF, Zarr, `.npy`. Nothing is read but its header.
///
/// # Errors
/// If there is no such file, no format claims it, or its header is not valid.
///
/// ```no_run
/// use blockwise::prelude::*;
/// let scene = open("scene.tif")?;                    // (bands, rows, columns), chunked by the file's tiles
/// let (red, nir) = (scene.index(ix![2]).cast(F32), scene.index(ix![3]).cast(F32));
/// let ndvi = (&nir - &red) / (&nir + &red);
/// # #[cfg(feature = "geotiff")]
/// ndvi.write_geotiff("ndvi.tif")?;                   // streams; georeferenced as the scene is
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn open(path: impl AsRef<Path>) -> Result<Array> {
    let opened = io::open(path)?;
    Array::from_source(opened.source, opened.meta).check()
}

impl Array {
    /// Writes a `.npy` file, block by block; it appears when it is complete.
    ///
    /// # Errors
    /// As [`Array::store`], and if the file cannot be created or the disk has no room for it.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        self.store(self.npy_sink(path)?)
    }

    /// A sink that writes this array as `.npy`: for a [`Batch`](crate::Batch).
    ///
    /// # Errors
    /// If the file cannot be created or the disk has no room for it.
    pub fn npy_sink(&self, path: impl AsRef<Path>) -> Result<Arc<dyn BlockSink>> {
        let grid = self.chunks()?.clone();
        Ok(Arc::new(io::npy::NpySink::create(path, self.dtype(), grid)?))
    }
}

/// The chunks of a stored array: one shape for all, so the longest of each axis.
#[cfg(feature = "zarr")]
fn stored_chunks(grid: &crate::shape::Grid) -> Vec<usize> {
    grid.max_block().iter().map(|&n| n.max(1)).collect()
}

#[cfg(feature = "zarr")]
impl Array {
    /// Writes a Zarr array of this array's chunks, block by block, with its names and georeference; it appears when it is
    /// complete.
    ///
    /// # Errors
    /// As [`Array::store`], and if something is there already.
    pub fn write_zarr(&self, path: impl AsRef<Path>) -> Result<()> {
        self.store(self.zarr_sink(path, io::zarr::WriteOptions::default())?)
    }

    /// A sink that writes this array as Zarr: for a [`Batch`](crate::Batch), or with options.
    ///
    /// # Errors
    /// If the directory cannot be created, something is there already, or the options do not fit.
    pub fn zarr_sink(
        &self,
        path: impl AsRef<Path>,
        options: io::zarr::WriteOptions,
    ) -> Result<Arc<dyn BlockSink>> {
        let chunks = stored_chunks(self.chunks()?);
        let sink =
            io::zarr::ZarrSink::create(path, self.shape(), self.dtype(), &chunks, self.meta(), options)?;
        Ok(Arc::new(sink))
    }
}

#[cfg(feature = "geotiff")]
impl Array {
    /// Writes a tiled, compressed GeoTIFF with the array's names, nodata and georeference, block by block; it appears when it is
    /// complete. The array is (rows, columns) or (bands, rows, columns).
    ///
    /// # Errors
    /// As [`Array::store`], and if the array has another rank or a dtype that TIFF lacks.
    pub fn write_geotiff(&self, path: impl AsRef<Path>) -> Result<()> {
        let (array, sink) = self.geotiff_sink(path, io::geotiff::WriteOptions::default())?;
        array.store(sink)
    }

    /// A sink that writes this array as GeoTIFF, and the array as it must be stored to it ((rows, columns) becomes one
    /// band): for a [`Batch`](crate::Batch), or with options.
    ///
    /// # Errors
    /// If the file cannot be created, or the array has another rank or a dtype that TIFF lacks.
    pub fn geotiff_sink(
        &self,
        path: impl AsRef<Path>,
        options: io::geotiff::WriteOptions,
    ) -> Result<(Array, Arc<dyn BlockSink>)> {
        let mut array = self.clone().check()?;
        if array.ndim() == 2 {
            let meta = array.meta.clone();
            array = array.expand_dims(0);
            let banded = Arc::make_mut(&mut array.meta);
            banded.bands = if meta.bands.len() == 1 {
                meta.bands.clone()
            } else {
                meta.name.clone().into_iter().collect()
            };
        }
        let shape = <[usize; 3]>::try_from(array.shape()).map_err(|_| {
            let message =
                format!("shape {:?} is neither (rows, columns) nor (bands, rows, columns)", self.shape());
            crate::error::Error::invalid("write_geotiff", message)
        })?;
        let sink = io::geotiff::GeoTiffSink::create(path, shape, array.dtype(), array.meta(), options)?;
        Ok((array, Arc::new(sink)))
    }
}
