//! Differences of neighbours and what is made of them: `diff`, `ediff1d`, `gradient`, `trapezoid`.

use super::create::index_along;
use super::reduce::resolve_axis;
use super::{Array, IntoArray, Ix, Operand, where_};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::PadMode;
use std::panic::Location;

impl Array {
    /// The differences of neighbours along an axis, `n` times over; for bools whether they differ.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1i64, 4, 9, 16]);
    /// assert_eq!(x.diff(1, 0).compute()?.as_slice::<i64>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, -1).compute()?.as_slice::<i64>()?, [2, 2]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, n: usize, axis: isize) -> Array {
        let at = Location::caller();
        let k = match self.expr().and_then(|e| resolve_axis("diff", axis, e.ndim())) {
            Ok(k) => k,
            Err(e) => return Array::failed(e, at),
        };
        let mut out = self.clone();
        for _ in 0..n {
            let (later, earlier) = (out.part(k, Some(1), None), out.part(k, None, Some(-1)));
            let both = if out.dtype() == DType::Bool { &later ^ &earlier } else { &later - &earlier };
            out = both.cut_as(&later);
        }
        out
    }

    /// The differences of neighbours of the elements in C order: `diff` of [`Array::ravel`].
    #[track_caller]
    pub fn ediff1d(&self) -> Array {
        self.ravel().diff(1, 0)
    }

    /// The slope along an axis, as NumPy's `gradient` with `edge_order` 1: central differences inside, differences to the one neighbour at the
    /// ends.
    ///
    /// `spacing` is the distance of neighbours, or their coordinates as a 1-d array as long as the axis; with uneven coordinates the central
    /// difference is that of second order. Shape and float dtype stay, integers give f64. One pass; blocks overlap by one element. For
    /// several axes ask for each: computed together they are one pass.
    ///
    /// # Errors
    /// An axis of fewer than two elements, or coordinates of another length.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1.0f64, 2.0, 4.0, 7.0]);
    /// assert_eq!(x.gradient(1, 0).compute()?.as_slice::<f64>()?, [1.0, 1.5, 2.5, 3.0]);
    /// let at = Array::from_vec(vec![0.0f64, 1.0, 2.0, 3.5]);
    /// assert_eq!(x.gradient(&at, 0).compute()?.as_slice::<f64>()?, [1.0, 1.5, 2.0, 2.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn gradient(&self, spacing: impl IntoArray, axis: isize) -> Array {
        let at = Location::caller();
        self.try_gradient(spacing.into_operand(), axis).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_gradient(&self, spacing: Operand, axis: isize) -> Result<Array> {
        let ndim = self.expr()?.ndim();
        let k = resolve_axis("gradient", axis, ndim)?;
        let n = self.shape()[k];
        if n < 2 {
            let message = format!("axis {k} of {:?} has {n} elements; a slope needs two", self.shape());
            return Err(Error::invalid("gradient", message));
        }
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(DType::F64) };
        if x.size() == 0 {
            return Ok(x);
        }
        let (before, after) = x.neighbours(k);
        let place = index_along(&[n], 0);
        let (first, last) = (place.equal(0).along(k, ndim), place.equal((n - 1) as i64).along(k, ndim));
        let slope = match spacing {
            Operand::Array(at) if at.ndim() > 0 => {
                let at = coordinates("gradient", &at, n)?;
                let (left, right) = at.neighbours(0);
                let (left, right) = (&at - left, right - &at);
                // the weights of the three elements, on the line of coordinates
                let a = -(&right / (&left * (&left + &right)));
                let b = (&right - &left) / (&left * &right);
                let c = &left / (&right * (&left + &right));
                let [left, right, a, b, c] = [left, right, a, b, c].map(|w| w.along(k, ndim));
                let inside = a * &before + b * &x + c * &after;
                where_(first, (&after - &x) / right, where_(last, (&x - &before) / left, inside))
            }
            distance => {
                // the ends are their own neighbours outside
                let steps = where_(first | last, 1.0, 2.0).cast(x.dtype());
                let distance = match distance {
                    Operand::Array(h) => steps * h,
                    Operand::Number(h) => steps * h.as_f64(),
                };
                (after - before) / distance
            }
        };
        let out = slope.cast(x.dtype()).cut_as(&x);
        Ok(Array { expr: Ok(out.expr()?.clone()), meta: self.meta.clone() })
    }

    /// The integral along an axis by the trapezoidal rule; `spacing` as for [`Array::gradient`]. Integers in f64. One pass.
    ///
    /// # Errors
    /// Coordinates of another length than the axis.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1i32, 2, 3]);
    /// assert_eq!(x.trapezoid(1, 0).compute()?.to_scalar::<f64>()?, 4.0);
    /// assert_eq!(x.trapezoid(&Array::from_vec(vec![4i32, 6, 8]), 0).compute()?.to_scalar::<f64>()?, 8.0);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn trapezoid(&self, spacing: impl IntoArray, axis: isize) -> Array {
        let at = Location::caller();
        self.try_trapezoid(spacing.into_operand(), axis).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_trapezoid(&self, spacing: Operand, axis: isize) -> Result<Array> {
        let ndim = self.expr()?.ndim();
        let k = resolve_axis("trapezoid", axis, ndim)?;
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(DType::F64) };
        let (later, earlier) = (x.part(k, Some(1), None), x.part(k, None, Some(-1)));
        let pairs = &later + earlier;
        let areas = match spacing {
            Operand::Array(at) if at.ndim() > 0 => {
                let widths = coordinates("trapezoid", &at, self.shape()[k])?.diff(1, 0);
                pairs * widths.along(k, ndim) / 2
            }
            Operand::Array(width) => pairs * width / 2,
            Operand::Number(width) => pairs * width.as_f64() / 2,
        };
        let out = areas.cut_as(&later).sum(k as isize);
        out.expr()?;
        Ok(out)
    }

    /// The elements `start..stop` of an axis.
    #[track_caller]
    pub(super) fn part(&self, axis: usize, start: Option<isize>, stop: Option<isize>) -> Array {
        let mut index = vec![Ix::Slice(None, None, 1); self.ndim()];
        if let Some(entry) = index.get_mut(axis) {
            *entry = Ix::Slice(start, stop, 1);
        }
        self.index(&index)
    }

    /// For every element the one before it and the one after it; at the ends itself.
    #[track_caller]
    fn neighbours(&self, axis: usize) -> (Array, Array) {
        let mut margin = vec![(0, 0); self.ndim()];
        margin[axis] = (1, 1);
        let wide = self.pad(&margin, PadMode::Edge);
        (wide.part(axis, None, Some(-2)), wide.part(axis, Some(2), None))
    }

    /// A 1-d array along one axis of several.
    #[track_caller]
    fn along(&self, axis: usize, ndim: usize) -> Array {
        let mut index = vec![Ix::NewAxis; ndim];
        index[axis] = Ix::Slice(None, None, 1);
        self.index(&index)
    }

    /// In another array's chunks: where shifted arrays meet, their boundaries would leave dust.
    #[track_caller]
    fn cut_as(&self, other: &Array) -> Array {
        self.map(|e| e.rechunk(other.chunks()?.clone()))
    }
}

/// Coordinates of the `n` elements of an axis, as floats.
#[track_caller]
fn coordinates(op: &'static str, at: &Array, n: usize) -> Result<Array> {
    if at.expr()?.shape() != [n] {
        return Err(ErrorKind::ShapeMismatch {
            op,
            left: vec![n],
            right: at.shape().to_vec(),
            hint: "; coordinates must be 1-d and as long as the axis",
        }
        .into());
    }
    Ok(if at.dtype().is_float() { at.clone() } else { at.cast(DType::F64) })
}
