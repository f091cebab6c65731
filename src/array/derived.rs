//! What is composed of reductions, scans and slices: `average`, `moment`, `trace`, `nancumsum`.

use super::{Array, Axes, IntoAxes};
use crate::dtype::DType;

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
