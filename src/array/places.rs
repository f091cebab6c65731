//! Indices of elements: `nonzero`, `flatnonzero`, `argwhere`, `vindex`, and indices as one number, `unravel_index`, `ravel_multi_index`.

use super::{Array, over_blocks, stack};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use std::panic::Location;

impl Array {
    /// The places, in C order, of the elements that are not zero; i64.
    ///
    /// Their number is counted when called, in one pass; the result is lazy, as that of [`Array::select`].
    ///
    /// # Errors
    /// If counting fails.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![0u8, 3, 0, 1]);
    /// assert_eq!(x.flatnonzero().compute()?.as_slice::<i64>()?, [1, 3]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn flatnonzero(&self) -> Array {
        let mask = self.truth().ravel();
        super::create::index_along(&[mask.size()], 0).select(&mask)
    }

    /// The index along each axis of the elements that are not zero, in C order; i64.
    ///
    /// Their number is counted when called, in one pass; the results are lazy.
    ///
    /// # Errors
    /// The one array returned carries an error if counting fails, or if this array has no axis.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_ndarray(ndarray::arr2(&[[0, 7], [1, 2]]));
    /// let at = x.nonzero();
    /// assert_eq!(at[0].compute()?.as_slice::<i64>()?, [0, 1, 1]);
    /// assert_eq!(at[1].compute()?.as_slice::<i64>()?, [1, 0, 1]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn nonzero(&self) -> Vec<Array> {
        if self.expr.is_ok() && self.ndim() == 0 {
            let message = "an array without axes has no indices; use atleast_1d";
            return vec![Array::failed(Error::invalid("nonzero", message), Location::caller())];
        }
        let flat = self.flatnonzero();
        if flat.expr.is_err() { vec![flat] } else { split(&flat, self.shape()) }
    }

    /// The indices of the elements that are not zero, one row each, in C order; i64. [`Array::nonzero`] as a matrix.
    #[track_caller]
    pub fn argwhere(&self) -> Array {
        let flat = self.flatnonzero();
        match split(&flat, self.shape()).as_slice() {
            // an element of a 0-d array has an index of no number
            [] => flat.expand_dims(1).slice(ndarray::s![.., ..0]),
            columns => stack(columns, 1),
        }
    }

    /// The index along each axis of an array of this shape, for places in C order; i64.
    ///
    /// # Errors
    /// If this array is not of integers; when computed, if a place lies outside the shape.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let at = Array::from_vec(vec![22i64, 41, 37]).unravel_index(&[7, 6]);
    /// assert_eq!(at[0].compute()?.as_slice::<i64>()?, [3, 6, 6]);
    /// assert_eq!(at[1].compute()?.as_slice::<i64>()?, [4, 5, 1]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn unravel_index(&self, shape: &[usize]) -> Vec<Array> {
        split(&self.index_below("unravel_index", shape.iter().product()), shape)
    }

    /// The elements at single points, as one axis: `indices[k]` lists the index along axis `k` of each; negative from the end. Dask's
    /// `vindex`, NumPy's indexing by several lists.
    ///
    /// A point costs the read of the chunk's run that holds it; points that lie together are read together.
    ///
    /// # Errors
    /// Another number of lists than axes, lists of different lengths, an index out of bounds.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 12, 1).reshape(&[3, 4]);
    /// assert_eq!(x.vindex(&[&[0, 2, -1], &[1, 0, -1]]).compute()?.as_slice::<i64>()?, [1, 8, 11]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn vindex(&self, indices: &[&[isize]]) -> Array {
        let at = Location::caller();
        let places = || -> Result<Vec<isize>> {
            let shape = self.expr()?.shape();
            let points = indices.first().map_or(0, |list| list.len());
            if indices.len() != shape.len() || shape.is_empty() || indices.iter().any(|i| i.len() != points) {
                let lengths: Vec<usize> = indices.iter().map(|list| list.len()).collect();
                let message = format!("lists of {lengths:?} indices for {} axes", shape.len());
                return Err(Error::invalid("vindex", message));
            }
            let mut places = vec![0; points];
            for (axis, (list, &len)) in indices.iter().zip(shape).enumerate() {
                for (place, &index) in places.iter_mut().zip(*list) {
                    let i = if index < 0 { index + len as isize } else { index };
                    if !(0..len as isize).contains(&i) {
                        return Err(ErrorKind::Index { op: "vindex", index, axis, len }.into());
                    }
                    *place = *place * len as isize + i;
                }
            }
            Ok(places)
        };
        match places() {
            Ok(places) => self.ravel().take(&places, 0),
            Err(e) => Array::failed(e, at),
        }
    }

    /// The array as i64; computing it fails where an element is not in `0..n`.
    #[track_caller]
    pub(super) fn index_below(&self, op: &'static str, n: usize) -> Array {
        if self.expr.is_ok() && self.dtype().is_float() {
            let hint = "cast it to an integer".into();
            let e = ErrorKind::DType { op: op.into(), dtype: self.dtype(), hint };
            return Array::failed(e.into(), Location::caller());
        }
        let n = n as i64;
        // a u64 that i64 cannot hold stays out of range
        let index = if self.dtype() == DType::U64 { self.minimum(i64::MAX) } else { self.clone() };
        over_blocks(&[&index.cast(DType::I64)]).name(op).apply(move |_, blocks| {
            match blocks[0].view::<i64>()?.iter().find(|i| !(0..n).contains(*i)) {
                None => Ok(blocks[0].clone()),
                Some(i) => Err(Error::invalid(op, format!("index {i} is not below {n}"))),
            }
        })
    }
}

/// The indices along the axes of a shape, of places inside it.
#[track_caller]
fn split(flat: &Array, shape: &[usize]) -> Vec<Array> {
    let mut out = Vec::with_capacity(shape.len());
    for (k, &n) in shape.iter().enumerate() {
        let below = shape[k + 1..].iter().product::<usize>().max(1) as i64;
        let index = flat.floor_divide(below);
        // the first axis has no multiples to take away
        out.push(if k == 0 { index } else { index.remainder(n.max(1) as i64) });
    }
    out
}

/// The place in C order of each index, given along the axes of a shape: the inverse of [`Array::unravel_index`]. Indices broadcast; i64.
///
/// # Errors
/// Another number of arrays than axes, arrays that are not of integers or do not broadcast; when computed, an index outside its axis.
///
/// ```
/// use blockwise::array::ravel_multi_index;
/// use blockwise::prelude::*;
/// let (r, c) = (Array::from_vec(vec![3, 6, 6]), Array::from_vec(vec![4, 5, 1]));
/// assert_eq!(ravel_multi_index(&[r, c], &[7, 6]).compute()?.as_slice::<i64>()?, [22, 41, 37]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn ravel_multi_index(indices: &[Array], shape: &[usize]) -> Array {
    let at = Location::caller();
    if indices.len() != shape.len() || shape.is_empty() {
        let message = format!("{} arrays of indices for {} axes", indices.len(), shape.len());
        return Array::failed(Error::invalid("ravel_multi_index", message), at);
    }
    let mut place = indices[0].index_below("ravel_multi_index", shape[0]);
    for (index, &n) in indices.iter().zip(shape).skip(1) {
        place = place * n as i64 + index.index_below("ravel_multi_index", n);
    }
    place
}

/// Arrays broadcast to their one shape, as views.
///
/// # Errors
/// Each of them carries the error if they do not broadcast.
///
/// ```
/// use blockwise::array::broadcast_arrays;
/// use blockwise::prelude::*;
/// let [a, b] = broadcast_arrays([&Array::arange(0, 3, 1), &Array::zeros(&[2, 1], F32)]);
/// assert_eq!((a.shape(), b.shape()), ([2, 3].as_slice(), [2, 3].as_slice()));
/// ```
#[track_caller]
pub fn broadcast_arrays<const N: usize>(arrays: [&Array; N]) -> [Array; N] {
    let at = Location::caller();
    let shape = || -> Result<_> {
        let shapes = arrays.iter().map(|a| Ok(a.expr()?.shape())).collect::<Result<Vec<_>>>()?;
        crate::expr::broadcast_shapes("broadcast_arrays", &shapes)
    };
    match shape() {
        Ok(shape) => arrays.map(|a| a.broadcast_to(&shape)),
        Err(e) => arrays.map(|_| Array::failed(e.clone(), at)),
    }
}
