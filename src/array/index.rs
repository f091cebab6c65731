//! Basic indexing, `take`, boolean selection.

use super::Array;
use super::reduce::resolve_axis;
use crate::block::Block;
use crate::dtype::{DType, for_dtype};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, MapBlocks};
use crate::shape::{AxisChunks, AxisMap, Dims, Grid, IndexMap};
use ndarray::SliceInfoElem;
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};
use std::panic::Location;
use std::sync::Arc;

/// One entry of a NumPy index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ix {
    /// One element; the axis goes. Negative from the end.
    At(isize),
    /// `start:stop:step` with NumPy's meaning of each.
    Slice(Option<isize>, Option<isize>, isize),
    /// A new axis of length 1.
    NewAxis,
    /// As many full slices as are needed.
    Ellipsis,
}

/// Something that makes an [`Ix`]: an integer, a range, or an `Ix`.
pub trait IntoIndex {
    /// The entry.
    fn into_index(self) -> Ix;
}

impl IntoIndex for Ix {
    fn into_index(self) -> Ix {
        self
    }
}

impl IntoIndex for isize {
    fn into_index(self) -> Ix {
        Ix::At(self)
    }
}

impl IntoIndex for Range<isize> {
    fn into_index(self) -> Ix {
        Ix::Slice(Some(self.start), Some(self.end), 1)
    }
}

impl IntoIndex for RangeFrom<isize> {
    fn into_index(self) -> Ix {
        Ix::Slice(Some(self.start), None, 1)
    }
}

impl IntoIndex for RangeTo<isize> {
    fn into_index(self) -> Ix {
        Ix::Slice(None, Some(self.end), 1)
    }
}

impl IntoIndex for RangeFull {
    fn into_index(self) -> Ix {
        Ix::Slice(None, None, 1)
    }
}

/// A NumPy index: `ix![2, .., Ix::NewAxis, 1..5, Ix::Slice(None, None, -1)]`.
#[macro_export]
macro_rules! ix {
    ($($entry:expr),* $(,)?) => {
        &[$($crate::array::IntoIndex::into_index($entry)),*]
    };
}

/// Start, step and count of NumPy's `start:stop:step` on an axis.
fn numpy_slice(start: Option<isize>, stop: Option<isize>, step: isize, len: usize) -> (isize, usize) {
    let n = len as isize;
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |i: Option<isize>, default: isize| match i {
        None => default,
        Some(i) => (if i < 0 { i + n } else { i }).clamp(low, high),
    };
    let (default_start, default_stop) = if step > 0 { (0, n) } else { (n - 1, -1) };
    let (start, stop) = (place(start, default_start), place(stop, default_stop));
    let span = if step > 0 { stop - start } else { start - stop };
    (start, span.max(0).unsigned_abs().div_ceil(step.unsigned_abs()))
}

/// The view that a NumPy index is of an array of this shape, and the view's shape.
pub(super) fn index_map(index: &[Ix], shape: &[usize]) -> Result<(IndexMap, Dims)> {
    let named = index.iter().filter(|i| matches!(i, Ix::At(_) | Ix::Slice(..))).count();
    let free = shape.len().checked_sub(named).ok_or_else(|| {
        Error::invalid("index", format!("{named} indices for an array of {} axes", shape.len()))
    })?;
    let ellipses = index.iter().filter(|i| **i == Ix::Ellipsis).count();
    if ellipses > 1 {
        return Err(Error::invalid("index", "more than one ellipsis"));
    }
    let full = Ix::Slice(None, None, 1);
    let mut entries: Vec<Ix> = Vec::new();
    for &i in index {
        match i {
            Ix::Ellipsis => entries.extend(std::iter::repeat_n(full, free)),
            other => entries.push(other),
        }
    }
    if ellipses == 0 {
        entries.extend(std::iter::repeat_n(full, free));
    }
    let (mut axes, mut out) = (Vec::new(), Dims::new());
    for entry in entries {
        let axis = axes.len();
        match entry {
            Ix::NewAxis | Ix::Ellipsis => out.push(1),
            Ix::At(i) => {
                let len = shape[axis];
                let at = if i < 0 { i + len as isize } else { i };
                if !(0..len as isize).contains(&at) {
                    return Err(ErrorKind::Index { op: "index", index: i, axis, len }.into());
                }
                axes.push(AxisMap { from: None, start: at, step: 0 });
            }
            Ix::Slice(_, _, 0) => return Err(Error::invalid("index", "a slice with step 0")),
            Ix::Slice(start, stop, step) => {
                let (start, count) = numpy_slice(start, stop, step, shape[axis]);
                axes.push(AxisMap { from: Some(out.len() as u8), start, step });
                out.push(count);
            }
        }
    }
    Ok((IndexMap::new(axes), out))
}

impl Array {
    /// NumPy's basic indexing: integers, slices with any step, new axes, an ellipsis.
    ///
    /// A view: it costs nothing and reaches down to the read.
    ///
    /// # Errors
    /// Too many entries, an integer out of bounds, a step of 0, two ellipses.
    ///
    /// ```
    /// use blockwise::{ix, prelude::*};
    /// let x = Array::arange(0, 24, 1).reshape(&[2, 3, 4]);
    /// let y = x.index(ix![1, Ix::Ellipsis, Ix::Slice(None, None, -2)]);
    /// assert_eq!(y.compute()?.as_slice::<i64>()?, [15, 13, 19, 17, 23, 21]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn index(&self, index: &[Ix]) -> Array {
        self.view_as(|shape| index_map(index, shape))
    }

    /// A view by `ndarray`'s `s![]`, with `ndarray`'s meanings: a negative step walks the *given* range backwards
    /// (`s![2..8;-1]` is elements 7 down to 2). Trailing axes may be left out.
    ///
    /// # Errors
    /// Too many entries, an integer out of bounds, a range outside the axis, a step of 0.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 10, 1);
    /// assert_eq!(x.slice(s![2..8;-2]).compute()?.as_slice::<i64>()?, [7, 5, 3]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn slice(&self, info: impl AsRef<[SliceInfoElem]>) -> Array {
        let at = Location::caller();
        let mut index = Vec::new();
        let mut axis = 0;
        for elem in info.as_ref() {
            match *elem {
                SliceInfoElem::NewAxis => index.push(Ix::NewAxis),
                SliceInfoElem::Index(i) => {
                    index.push(Ix::At(i));
                    axis += 1;
                }
                SliceInfoElem::Slice { start, end, step } => {
                    let Some(&len) = self.shape().get(axis) else {
                        if self.expr.is_err() {
                            return self.clone();
                        }
                        let message = format!("more entries than the array's {} axes", self.ndim());
                        return Array::failed(Error::invalid("slice", message), at);
                    };
                    let n = len as isize;
                    let place = |i: isize| if i < 0 { i + n } else { i };
                    let (lo, hi) = (place(start), end.map_or(n, place));
                    if lo < 0 || hi > n || lo > hi && lo > n {
                        let e =
                            ErrorKind::Index { op: "slice", index: if hi > n { hi } else { lo }, axis, len };
                        return Array::failed(e.into(), at);
                    }
                    let hi = hi.max(lo);
                    index.push(if step >= 0 {
                        Ix::Slice(Some(lo), Some(hi), step)
                    } else if hi == lo {
                        Ix::Slice(Some(0), Some(0), 1)
                    } else {
                        // NumPy's stop before the first element has no number but "none"
                        Ix::Slice(Some(hi - 1), (lo > 0).then_some(lo - 1), step)
                    });
                    axis += 1;
                }
            }
        }
        self.index(&index)
    }

    /// The elements at these indices of an axis, in this order, repeats allowed; negative from the end.
    ///
    /// # Errors
    /// An index out of bounds.
    #[track_caller]
    pub fn take(&self, indices: &[isize], axis: isize) -> Array {
        let taken = self.map(|e| {
            let axis = resolve_axis("take", axis, e.ndim())?;
            let len = e.shape()[axis];
            let places = indices.iter().map(|&i| {
                let at = if i < 0 { i + len as isize } else { i };
                if (0..len as isize).contains(&at) {
                    Ok(at as usize)
                } else {
                    Err(Error::from(ErrorKind::Index { op: "take", index: i, axis, len }))
                }
            });
            let places = places.collect::<Result<Arc<[usize]>>>()?;
            e.take(axis, places)
        });
        taken.without_georef()
    }

    /// The elements where a mask of the same shape is true, in C order: NumPy's `x[mask]`.
    ///
    /// The length of the result is known: making it counts the mask, which costs one pass over what the mask is computed from, now. The
    /// selection itself is lazy and fuses with what follows (`x.select(&m).sum(..)` keeps no selected array).
    ///
    /// # Errors
    /// If shapes differ, the mask is not bool, or counting it fails.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 6, 1).reshape(&[2, 3]);
    /// let even = x.select(&(&x % 2).equal(0));
    /// assert_eq!(even.shape(), [3]);
    /// assert_eq!(even.compute()?.as_slice::<i64>()?, [0, 2, 4]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn select(&self, mask: &Array) -> Array {
        let at = Location::caller();
        self.try_select(mask, at).unwrap_or_else(|e| Array::failed(e, at))
    }

    fn try_select(&self, mask: &Array, at: &'static Location<'static>) -> Result<Array> {
        let (x, m) = (self.expr()?, mask.expr()?);
        if m.dtype() != DType::Bool {
            let hint = "compare to make a mask".into();
            return Err(ErrorKind::DType { op: "select".into(), dtype: m.dtype(), hint }.into());
        }
        if m.shape() != x.shape() {
            return Err(ErrorKind::ShapeMismatch {
                op: "select",
                left: x.shape().to_vec(),
                right: m.shape().to_vec(),
                hint: "; the mask must have the array's shape",
            }
            .into());
        }
        let (flat, flat_mask) = (self.ravel(), mask.ravel());
        let grid = Grid::auto(&[x.len()], x.dtype().size());
        let n = grid.len();
        // one count per block of the mask
        let counts = MapBlocks::new("count", 1, at, |_, blocks| {
            let held = blocks[0].view::<bool>()?.iter().filter(|&&b| b).count();
            Ok(Block::from_vec(vec![held as i64]))
        });
        let blocks = flat_mask.expr()?.clone().rechunk(grid.clone())?;
        let counted = Expr::map_blocks(counts, vec![blocks.clone()], DType::I64, Grid::regular(&[n], &[1]))?;
        let counted = Array::from_expr(Ok(counted), Arc::default()).compute()?;
        let lengths: Vec<usize> = counted.as_slice::<i64>()?.iter().map(|&c| c as usize).collect();

        // blocks without a selected element have no block in the result: `full` is the source block of each
        let full: Vec<usize> = (0..n).filter(|&i| lengths[i] > 0).collect();
        let starts: Vec<(usize, usize)> = full.iter().map(|&i| grid.axes()[0].bounds(i)).collect();
        let out = AxisChunks::boundaries(full.iter().map(|&i| lengths[i]));
        let parts: Vec<Expr> = if full.len() == n {
            vec![flat.expr()?.clone().rechunk(grid.clone())?, blocks]
        } else {
            let pick = |e: &Expr| -> Result<Expr> {
                let pieces = starts.iter().map(|&(start, len)| {
                    let map = IndexMap::new([AxisMap { from: Some(0), start: start as isize, step: 1 }]);
                    e.clone().view(map, &[len])
                });
                let pieces = pieces.collect::<Result<Vec<_>>>()?;
                match pieces.is_empty() {
                    true => e.clone().view(IndexMap::identity(1), &[0]),
                    false => Expr::concat(0, pieces)?
                        .rechunk(Grid::new([AxisChunks::boundaries(starts.iter().map(|s| s.1))])),
                }
            };
            vec![pick(flat.expr()?)?, pick(&blocks)?]
        };
        let select = MapBlocks::new("select", 1, at, |_, blocks| compact(&blocks[0], &blocks[1]));
        let select = MapBlocks { scratch: 1, ..select };
        let expr = Expr::map_blocks(select, parts, x.dtype(), Grid::new([out]))?;
        Ok(Array { expr: Ok(expr), meta: self.meta.clone() }.without_geometry())
    }

    /// The places along an axis where a 1-d mask is true; the mask is computed now.
    ///
    /// # Errors
    /// If the mask is not 1-d, not bool, not of the axis' length, or computing it fails.
    #[track_caller]
    pub fn compress(&self, mask: &Array, axis: isize) -> Array {
        let at = Location::caller();
        let places = || -> Result<Vec<isize>> {
            let k = resolve_axis("compress", axis, self.expr()?.ndim())?;
            let m = mask.expr()?;
            if m.shape() != [self.shape()[k]] {
                return Err(ErrorKind::ShapeMismatch {
                    op: "compress",
                    left: self.shape().to_vec(),
                    right: m.shape().to_vec(),
                    hint: "; the mask must be 1-d and as long as the axis",
                }
                .into());
            }
            let held = mask.compute()?;
            let held = held.view::<bool>()?;
            Ok(held.iter().enumerate().filter(|(_, b)| **b).map(|(i, _)| i as isize).collect())
        };
        match places() {
            Ok(places) => self.take(&places, axis),
            Err(e) => Array::failed(e, at),
        }
    }

    /// A view given by a function of the shape.
    #[track_caller]
    pub(super) fn view_as(&self, f: impl FnOnce(&[usize]) -> Result<(IndexMap, Dims)>) -> Array {
        let at = Location::caller();
        let viewed = || -> Result<Array> {
            let e = self.expr()?.clone();
            let (map, shape) = f(e.shape())?;
            let meta = Arc::new(self.meta.viewed(&map, shape.len()));
            Ok(Array { expr: Ok(e.view(map, &shape)?), meta })
        };
        viewed().unwrap_or_else(|e| Array::failed(e, at))
    }

    fn without_georef(mut self) -> Array {
        if self.meta.georef.is_some() {
            Arc::make_mut(&mut self.meta).georef = None;
        }
        self
    }

    /// Without what described axes that are gone.
    pub(super) fn without_geometry(mut self) -> Array {
        let meta = Arc::make_mut(&mut self.meta);
        meta.georef = None;
        meta.dims = vec![];
        meta.bands = vec![];
        self
    }
}

/// The elements of a 1-d block where a mask holds.
fn compact(x: &Block, mask: &Block) -> Result<Block> {
    let mask = mask.view::<bool>()?;
    Ok(for_dtype!(x.dtype(), T => {
        let values = x.view::<T>()?;
        Block::from_vec(values.iter().zip(&mask).filter(|(_, m)| **m).map(|(v, _)| *v).collect::<Vec<T>>())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_count_as_numpy_counts() {
        // values of len(range(n)[start:stop:step]) and its first element
        assert_eq!(numpy_slice(None, None, -1, 5), (4, 5));
        assert_eq!(numpy_slice(Some(-3), None, 1, 5), (2, 3));
        assert_eq!(numpy_slice(Some(10), Some(2), -3, 12), (10, 3));
        assert_eq!(numpy_slice(Some(1), Some(100), 2, 6), (1, 3));
        assert_eq!(numpy_slice(Some(4), Some(1), 1, 6).1, 0);
        assert_eq!(numpy_slice(None, None, -1, 0).1, 0);
    }
}
