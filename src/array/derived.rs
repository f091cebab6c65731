//! What is composed of reductions, scans and slices: `average`, `moment`, `diff`, `trace`, `nancumsum`.

use super::reduce::resolve_axis;
use super::{Array, Axes, IntoAxes, Ix};
use crate::dtype::DType;
use std::panic::Location;

impl Array {
    /// The mean of the elements weighted by `weights`, which broadcast to the array; computed in f64 for integers.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1.0f64, 2.0, 4.0]);
    /// let w = Array::from_vec(vec![2.0f64, 1.0, 1.0]);
    /// assert_eq!(x.average(&w, ..).compute()?.to_scalar::<f64>()?, 2.0);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn average(&self, weights: &Array, axes: impl IntoAxes) -> Array {
        let axes = axes.into_axes();
        (self * weights).sum(axes.clone()) / weights.broadcast_to(self.shape()).sum(axes)
    }

    /// The central moment of an order: the mean of `(x - mean)^order`.
    #[track_caller]
    pub fn moment(&self, order: u32, axes: impl IntoAxes) -> Array {
        let axes: Axes = axes.into_axes();
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(DType::F64) };
        (&x - x.mean(axes.clone().keepdims())).power(order).mean(axes)
    }

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
            let mut index = vec![Ix::Slice(None, None, 1); out.ndim()];
            index[k] = Ix::Slice(Some(1), None, 1);
            let later = out.index(&index);
            index[k] = Ix::Slice(None, Some(-1), 1);
            let earlier = out.index(&index);
            out = if out.dtype() == DType::Bool { later ^ earlier } else { later - earlier };
        }
        out
    }

    /// The sum of diagonal `k` of the last two axes.
    ///
    /// # Errors
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn trace(&self, k: isize) -> Array {
        self.diagonal(k).sum(-1)
    }

    /// Running sums along an axis with NaN as 0; as [`Array::cumsum`].
    #[track_caller]
    pub fn nancumsum(&self, axis: isize) -> Array {
        self.without_nan(0.0).cumsum(axis)
    }

    /// Running products along an axis with NaN as 1; as [`Array::cumprod`].
    #[track_caller]
    pub fn nancumprod(&self, axis: isize) -> Array {
        self.without_nan(1.0).cumprod(axis)
    }

    /// `|x|` as a float: integers in NumPy's smallest float.
    #[track_caller]
    pub fn fabs(&self) -> Array {
        self.in_float().abs()
    }

    /// Whether an element is minus infinity.
    #[track_caller]
    pub fn isneginf(&self) -> Array {
        self.isinf() & self.signbit()
    }

    /// Whether an element is plus infinity.
    #[track_caller]
    pub fn isposinf(&self) -> Array {
        self.isinf() & !self.signbit()
    }
}
