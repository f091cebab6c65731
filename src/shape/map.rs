//! Affine views: which element of a source each element of a view is.

use super::{Dims, Region};
use smallvec::SmallVec;
use std::fmt;

/// Where one axis of a source is read: at `start + step * i`, with `i` the index along axis `from` of the view, or at
/// `start` throughout.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AxisMap {
    /// The axis of the view that walks this source axis; `None` if the source axis is fixed at `start`.
    pub from: Option<u8>,
    /// Index in the source of the view's element 0.
    pub start: isize,
    /// Source elements per view element; negative walks backwards. Unused when `from` is `None`.
    pub step: isize,
}

/// An affine view: which element of a source each element of a view is.
///
/// One [`AxisMap`] per *source* axis. Slices, transposes, flips, broadcasts (a view axis that no source axis walks),
/// new and dropped axes, and diagonals (two source axes that walk one view axis) are all of this form, and so are
/// their compositions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IndexMap {
    axes: SmallVec<[AxisMap; 3]>,
}

impl IndexMap {
    /// A map from its entries, one per source axis.
    pub fn new(axes: impl IntoIterator<Item = AxisMap>) -> IndexMap {
        IndexMap { axes: axes.into_iter().collect() }
    }

    /// The view that is the source.
    pub fn identity(ndim: usize) -> IndexMap {
        IndexMap::new((0..ndim).map(|k| AxisMap { from: Some(k as u8), start: 0, step: 1 }))
    }

    /// The entries, one per source axis.
    pub fn axes(&self) -> &[AxisMap] {
        &self.axes
    }

    /// Whether it is the identity.
    pub fn is_identity(&self) -> bool {
        self.axes.iter().enumerate().all(|(k, a)| *a == AxisMap { from: Some(k as u8), start: 0, step: 1 })
    }

    /// This view's elements seen through `outer`, a view of this view: the map from `outer`'s elements to the source.
    pub fn then(&self, outer: &IndexMap) -> IndexMap {
        IndexMap::new(self.axes.iter().map(|a| match a.from {
            None => *a,
            Some(k) => {
                let o = outer.axes[k as usize];
                AxisMap { from: o.from, start: a.start + a.step * o.start, step: a.step * o.step }
            }
        }))
    }

    /// Whether two views of one source walk it alike, so that the distance of their elements is the same everywhere.
    pub fn is_shift_of(&self, other: &IndexMap) -> bool {
        let alike = |(a, b): (&AxisMap, &AxisMap)| a.from == b.from && (a.from.is_none() || a.step == b.step);
        self.axes.len() == other.axes.len() && self.axes.iter().zip(&other.axes).all(alike)
    }

    /// The smallest region of the source that holds all that a region of the view reads.
    pub fn source_region(&self, view: &Region) -> Region {
        let mut r = Region::default();
        let empty = view.is_empty();
        for a in &self.axes {
            let (lo, n) = match a.from {
                None => (a.start, 1),
                Some(k) => {
                    let (s, n) = (view.start[k as usize] as isize, view.shape[k as usize] as isize);
                    let first = a.start + a.step * s;
                    let last = first + a.step * (n - 1).max(0);
                    (first.min(last), (first - last).unsigned_abs() + 1)
                }
            };
            r.start.push(if empty { 0 } else { lo as usize });
            r.shape.push(if empty { 0 } else { n });
        }
        r
    }

    /// The extent that [`IndexMap::source_region`] has for any view region of this extent.
    pub fn source_extent(&self, view: &[usize]) -> Dims {
        self.axes
            .iter()
            .map(|a| match a.from {
                None => 1,
                Some(k) => match view[k as usize] {
                    0 => 0,
                    n => (n - 1) * a.step.unsigned_abs() + 1,
                },
            })
            .collect()
    }

    /// Strides for walking a view region of rank `ndim`, given the strides of the source's data.
    pub fn strides(&self, source: &[isize], ndim: usize) -> SmallVec<[isize; 4]> {
        let mut out: SmallVec<[isize; 4]> = SmallVec::from_elem(0, ndim);
        for (a, s) in self.axes.iter().zip(source) {
            if let Some(k) = a.from {
                out[k as usize] += a.step * s;
            }
        }
        out
    }

    /// Offset, in source data that covers `data` with these strides, of the first element of a view region.
    pub fn offset(&self, source: &[isize], data: &Region, view: &Region) -> isize {
        let mut at = 0;
        for (k, a) in self.axes.iter().enumerate() {
            let i = a.start + a.from.map_or(0, |v| a.step * view.start[v as usize] as isize);
            at += (i - data.start[k] as isize) * source[k];
        }
        at
    }
}

/// `[i0, 3, 10-2*i1]`: the source's index in terms of the view's `i0, i1, ...`.
impl fmt::Display for IndexMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (k, a) in self.axes.iter().enumerate() {
            if k > 0 {
                f.write_str(", ")?;
            }
            let Some(v) = a.from else {
                write!(f, "{}", a.start)?;
                continue;
            };
            if a.start != 0 {
                write!(f, "{}", a.start)?;
            }
            match (a.start, a.step) {
                (0, 1) => write!(f, "i{v}")?,
                (0, s) => write!(f, "{s}*i{v}")?,
                (_, 1) => write!(f, "+i{v}")?,
                (_, -1) => write!(f, "-i{v}")?,
                (_, s) => write!(f, "{s:+}*i{v}")?,
            }
        }
        f.write_str("]")
    }
}

impl fmt::Debug for IndexMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_compose_as_views_do() {
        // source (5, 7); v = source[4, ::-2] has 4 elements 6, 4, 2, 0; w = v[1:3] broadcast to (3, 2)
        let v = IndexMap::new([
            AxisMap { from: None, start: 4, step: 0 },
            AxisMap { from: Some(0), start: 6, step: -2 },
        ]);
        let w = v.then(&IndexMap::new([AxisMap { from: Some(1), start: 1, step: 1 }]));
        assert_eq!(w.to_string(), "[4, 4-2*i1]");
        let r = w.source_region(&Region::whole(&[3, 2]));
        assert_eq!(r, Region::new([4usize, 2].as_slice(), [1usize, 3].as_slice()));
        assert_eq!(w.source_extent(&[3, 2]).as_slice(), [1, 3]);
        assert_eq!(w.strides(&[3, 1], 2).as_slice(), [0, -2]);
        assert_eq!(w.offset(&[3, 1], &r, &Region::whole(&[3, 2])), 2);
    }
}
