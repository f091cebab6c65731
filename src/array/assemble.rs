//! Assembly by NumPy's shorter names: `vstack`, `atleast_2d`, `rot90`, `tril`, `diag`, `meshgrid`, `insert`, `delete`.

use super::create::index_along;
use super::reduce::resolve_axis;
use super::{Array, concatenate, where_};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::PadMode;
use std::panic::Location;

/// Arrays one below the other: along axis 0, 1-d arrays as rows.
///
/// # Errors
/// As [`concatenate`].
#[track_caller]
pub fn vstack(arrays: &[Array]) -> Array {
    let wide: Vec<Array> = arrays.iter().map(Array::atleast_2d).collect();
    concatenate(&wide, 0)
}

/// Arrays side by side: along axis 1, or axis 0 if they are 1-d.
///
/// # Errors
/// As [`concatenate`].
#[track_caller]
pub fn hstack(arrays: &[Array]) -> Array {
    let wide: Vec<Array> = arrays.iter().map(Array::atleast_1d).collect();
    let flat = wide.first().is_none_or(|a| a.ndim() == 1);
    concatenate(&wide, isize::from(!flat))
}

/// Arrays behind each other: along axis 2.
///
/// # Errors
/// As [`concatenate`].
#[track_caller]
pub fn dstack(arrays: &[Array]) -> Array {
    let wide: Vec<Array> = arrays.iter().map(Array::atleast_3d).collect();
    concatenate(&wide, 2)
}

/// The coordinates of a grid from those of its axes, in matrix order: result `k` varies along axis `k` (NumPy's `indexing="ij"`).
///
/// ```
/// use blockwise::array::meshgrid;
/// use blockwise::prelude::*;
/// let [y, x] = meshgrid([&Array::arange(0, 2, 1), &Array::arange(0, 3, 1)]);
/// assert_eq!((&y * 10 + &x).compute()?.as_slice::<i64>()?, [0, 1, 2, 10, 11, 12]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn meshgrid<const N: usize>(axes: [&Array; N]) -> [Array; N] {
    let shape = axes.map(Array::size);
    let mut out = axes.map(Array::clone);
    for (k, x) in out.iter_mut().enumerate() {
        let mut line = vec![1isize; N];
        line[k] = -1;
        // an empty axis has no length to work out
        line[k] = if shape[k] == 0 { 0 } else { line[k] };
        *x = x.reshape(&line).broadcast_to(&shape);
    }
    out
}

impl Array {
    /// A 0-d array as one of length 1; others as they are.
    #[track_caller]
    pub fn atleast_1d(&self) -> Array {
        if self.ndim() == 0 { self.expand_dims(0) } else { self.clone() }
    }

    /// With axes of length 1 in front up to two.
    #[track_caller]
    pub fn atleast_2d(&self) -> Array {
        if self.ndim() < 2 { self.atleast_1d().expand_dims(0) } else { self.clone() }
    }

    /// With axes of length 1 up to three: `(n)` becomes `(1, n, 1)`, `(m, n)` becomes `(m, n, 1)`.
    #[track_caller]
    pub fn atleast_3d(&self) -> Array {
        if self.ndim() < 3 { self.atleast_2d().expand_dims(2) } else { self.clone() }
    }

    /// `self` and then `other` along an axis: [`concatenate`] of two.
    #[track_caller]
    pub fn append(&self, other: &Array, axis: isize) -> Array {
        concatenate(&[self.clone(), other.clone()], axis)
    }

    /// Columns in reverse order (axis 1).
    #[track_caller]
    pub fn fliplr(&self) -> Array {
        self.flip(Some(1))
    }

    /// Rows in reverse order (axis 0).
    #[track_caller]
    pub fn flipud(&self) -> Array {
        self.flip(Some(0))
    }

    /// Turned `k` times by 90 degrees, from axis 0 towards axis 1, as a view.
    ///
    /// # Errors
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn rot90(&self, k: isize) -> Array {
        match k.rem_euclid(4) {
            0 => self.clone(),
            1 => self.fliplr().swapaxes(0, 1),
            2 => self.fliplr().flipud(),
            _ => self.swapaxes(0, 1).fliplr(),
        }
    }

    /// The lower triangle of the last two axes up to diagonal `k`; zeros above.
    ///
    /// # Errors
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(&self, k: isize) -> Array {
        self.triangle("tril", k, true)
    }

    /// Ones on and below diagonal `k` of a matrix of zeros.
    #[track_caller]
    pub fn tri(rows: usize, cols: usize, k: isize, dtype: DType) -> Array {
        Array::ones(&[rows, cols], dtype).tril(k)
    }

    /// A square matrix of zeros with this 1-d array on diagonal `k`; of an array of more axes, [`Array::diagonal`] `k`.
    ///
    /// # Errors
    /// If there is no axis.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1i64, 2]).diag(-1);
    /// assert_eq!(x.compute()?.as_slice::<i64>()?, [0, 0, 0, 1, 0, 0, 0, 2, 0]);
    /// assert_eq!(x.diag(-1).compute()?.as_slice::<i64>()?, [1, 2]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self, k: isize) -> Array {
        if self.ndim() != 1 {
            return self.diagonal(k);
        }
        let n = self.size() + k.unsigned_abs();
        // as rows below each other, of which the mask leaves one element each
        let before = (-k).max(0) as usize;
        let column = self.pad(&[(before, k.unsigned_abs() - before)], PadMode::Constant).expand_dims(1);
        let on = (index_along(&[n, n], 1) - index_along(&[n, n], 0)).equal(k as i64);
        where_(on, column, Array::zeros(&[], self.dtype())).without_geometry()
    }

    /// The upper triangle of the last two axes from diagonal `k` on; zeros below.
    ///
    /// # Errors
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(&self, k: isize) -> Array {
        self.triangle("triu", k, false)
    }

    #[track_caller]
    fn triangle(&self, op: &'static str, k: isize, lower: bool) -> Array {
        if self.expr.is_err() {
            return self.clone();
        }
        let Some(lead) = self.ndim().checked_sub(2) else {
            return Array::failed(
                ErrorKind::Axis { op, axis: -2, ndim: self.ndim() }.into(),
                Location::caller(),
            );
        };
        let plane = &self.shape()[lead..];
        let above = index_along(plane, 1) - index_along(plane, 0);
        let keep = if lower { above.le(k as i64) } else { above.ge(k as i64) };
        where_(keep, self, Array::zeros(&[], self.dtype()))
    }

    /// Without the elements at these places of an axis; negative from the end.
    ///
    /// # Errors
    /// A place out of bounds.
    #[track_caller]
    pub fn delete(&self, places: &[isize], axis: isize) -> Array {
        let at = Location::caller();
        let kept = || -> Result<Vec<isize>> {
            let k = resolve_axis("delete", axis, self.expr()?.ndim())?;
            let len = self.shape()[k];
            let mut keep = vec![true; len];
            for &i in places {
                let place = if i < 0 { i + len as isize } else { i };
                match usize::try_from(place).ok().and_then(|p| keep.get_mut(p)) {
                    Some(flag) => *flag = false,
                    None => return Err(ErrorKind::Index { op: "delete", index: i, axis: k, len }.into()),
                }
            }
            Ok((0..len as isize).filter(|&i| keep[i as usize]).collect())
        };
        match kept() {
            Ok(kept) => self.take(&kept, axis),
            Err(e) => Array::failed(e, at),
        }
    }

    /// With another array put in before place `at` of an axis; negative from the end, `len` for after it.
    ///
    /// # Errors
    /// A place out of bounds, or shapes that differ in another axis.
    #[track_caller]
    pub fn insert(&self, at: isize, values: &Array, axis: isize) -> Array {
        let caller = Location::caller();
        let place = || -> Result<(usize, usize, usize)> {
            let k = resolve_axis("insert", axis, self.expr()?.ndim())?;
            let len = self.shape()[k];
            let place = if at < 0 { at + len as isize } else { at };
            match usize::try_from(place) {
                Ok(p) if p <= len => Ok((k, p, len)),
                _ => Err(Error::from(ErrorKind::Index { op: "insert", index: at, axis: k, len })),
            }
        };
        let (k, place, len) = match place() {
            Ok(found) => found,
            Err(e) => return Array::failed(e, caller),
        };
        let whole = super::Ix::Slice(None, None, 1);
        let part = |from: usize, to: usize| {
            let mut index = vec![whole; self.ndim()];
            index[k] = super::Ix::Slice(Some(from as isize), Some(to as isize), 1);
            index
        };
        concatenate(&[self.index(&part(0, place)), values.clone(), self.index(&part(place, len))], axis)
    }
}
