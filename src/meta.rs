//! What travels with an array beside its numbers: names of dimensions and bands, nodata, georeference.

use crate::shape::{AxisMap, IndexMap};
use std::sync::Arc;

/// Names and georeference of an array. Elementwise work and slicing keep it; a reduction keeps what still applies.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Meta {
    /// Name of the array, used as the band or variable name when it is written.
    pub name: Option<Arc<str>>,
    /// Name of each axis; empty if they have none, else one per axis.
    pub dims: Vec<Arc<str>>,
    /// Names of the bands (along the axis that is not a spatial one); empty if unknown.
    pub bands: Vec<Arc<str>>,
    /// The value that marks a missing pixel.
    pub nodata: Option<f64>,
    /// Where the last two axes (y, x) lie on Earth.
    pub georef: Option<GeoRef>,
}

/// A coordinate reference system and the affine transform from pixels to its coordinates.
#[derive(Clone, Debug, PartialEq)]
pub struct GeoRef {
    /// Coordinate reference system.
    pub crs: Crs,
    /// `x = t[0] + col * t[1] + row * t[2]`, `y = t[3] + col * t[4] + row * t[5]`, with (col, row) counted from the
    /// outer corner of the first pixel: GDAL's order.
    pub transform: [f64; 6],
}

/// A coordinate reference system.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Crs {
    /// Not known.
    #[default]
    Unknown,
    /// An EPSG code.
    Epsg(u32),
    /// Well-known text.
    Wkt(Arc<str>),
}

impl GeoRef {
    /// Size of a pixel along x and y, in units of the CRS (y usually negative: rows go south).
    pub fn pixel_size(&self) -> (f64, f64) {
        (self.transform[1], self.transform[5])
    }

    /// The coordinates of a pixel's outer corner, given its fractional column and row.
    pub fn coordinates(&self, col: f64, row: f64) -> (f64, f64) {
        let t = &self.transform;
        (t[0] + col * t[1] + row * t[2], t[3] + col * t[4] + row * t[5])
    }

    /// The georeference of pixels taken from `(row0, col0)` with these steps. A step of s makes pixels |s| times as large; a
    /// negative one turns the axis round.
    fn sliced(&self, row0: isize, row_step: isize, col0: isize, col_step: isize) -> GeoRef {
        // a flipped axis starts at the far corner of its first pixel
        let corner = |start: isize, step: isize| (start + isize::from(step < 0)) as f64;
        let (x, y) = self.coordinates(corner(col0, col_step), corner(row0, row_step));
        let t = &self.transform;
        let (c, r) = (col_step as f64, row_step as f64);
        GeoRef { crs: self.crs.clone(), transform: [x, t[1] * c, t[2] * r, y, t[4] * c, t[5] * r] }
    }
}

impl Meta {
    /// The metadata of a view of an array of these many axes. What the view tears apart is dropped: the georeference if its last
    /// two axes are not the source's last two, a band list if the band axis is gone, reordered names with their axes.
    pub fn viewed(&self, map: &IndexMap, view_ndim: usize) -> Meta {
        let source = map.axes();
        let n = source.len();
        let mut meta = self.clone();
        if self.dims.len() == n {
            meta.dims = vec![Arc::from(""); view_ndim];
            for (name, a) in self.dims.iter().zip(source) {
                if let Some(k) = a.from {
                    meta.dims[k as usize] = name.clone();
                }
            }
        }
        meta.georef = self.georef.as_ref().and_then(|g| {
            let (y, x): (&AxisMap, &AxisMap) = (source.get(n.checked_sub(2)?)?, source.last()?);
            let spatial =
                view_ndim >= 2 && y.from == Some(view_ndim as u8 - 2) && x.from == Some(view_ndim as u8 - 1);
            spatial.then(|| g.sliced(y.start, y.step, x.start, x.step))
        });
        if n == 3 && !self.bands.is_empty() {
            let band = source[0];
            meta.bands = match band.from {
                None => self.bands.get(band.start as usize).cloned().into_iter().collect(),
                // the length of the view's axis is not known here: names are looked up as far as they go
                Some(_) => (0..)
                    .map_while(|i| self.bands.get(usize::try_from(band.start + band.step * i).ok()?).cloned())
                    .take(self.bands.len())
                    .collect(),
            };
        }
        meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slicing_moves_the_origin_and_scales_pixels() {
        let meta = Meta {
            georef: Some(GeoRef { crs: Crs::Epsg(31985), transform: [100.0, 28.5, 0.0, 900.0, 0.0, -28.5] }),
            bands: ["b", "g", "r"].map(Arc::from).to_vec(),
            ..Meta::default()
        };
        // [1, 10::2, 4:] of (3, rows, cols)
        let map = IndexMap::new([
            AxisMap { from: None, start: 1, step: 0 },
            AxisMap { from: Some(0), start: 10, step: 2 },
            AxisMap { from: Some(1), start: 4, step: 1 },
        ]);
        let view = meta.viewed(&map, 2);
        assert_eq!(
            view.georef.unwrap().transform,
            [100.0 + 4.0 * 28.5, 28.5, 0.0, 900.0 - 285.0, 0.0, -57.0]
        );
        assert_eq!(view.bands, [Arc::from("g")]);
    }
}
