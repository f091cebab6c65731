//! Reductions over axes, and running ones along an axis.

use super::{Array, where_};
use crate::dtype::{DType, Kind, to_float};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::Expr;
use crate::meta::Meta;
use crate::op::ReduceOp;
use crate::shape::{AxisMap, IndexMap};
use std::ops::RangeFull;
use std::panic::Location;
use std::sync::Arc;

/// Which axes a reduction folds, and how: made from `..` (all axes), an axis (negative from the end), several, or [`over`].
#[derive(Clone, Debug, Default)]
pub struct Axes {
    /// The axes; `None` for all.
    axes: Option<Vec<isize>>,
    keepdims: bool,
    dtype: Option<DType>,
    ddof: usize,
}

/// Something that names axes: `..`, `0`, `-1`, `[0, 1]`, or [`over`]`(0).keepdims()`.
pub trait IntoAxes {
    /// The axes and options.
    fn into_axes(self) -> Axes;
}

impl IntoAxes for Axes {
    fn into_axes(self) -> Axes {
        self
    }
}

impl IntoAxes for RangeFull {
    fn into_axes(self) -> Axes {
        Axes::default()
    }
}

impl IntoAxes for isize {
    fn into_axes(self) -> Axes {
        Axes { axes: Some(vec![self]), ..Axes::default() }
    }
}

impl<const N: usize> IntoAxes for [isize; N] {
    fn into_axes(self) -> Axes {
        Axes { axes: Some(self.to_vec()), ..Axes::default() }
    }
}

impl IntoAxes for &[isize] {
    fn into_axes(self) -> Axes {
        Axes { axes: Some(self.to_vec()), ..Axes::default() }
    }
}

/// Axes with options: `x.std(over(0).ddof(1).keepdims())`.
pub fn over(axes: impl IntoAxes) -> Axes {
    axes.into_axes()
}

impl Axes {
    /// The folded axes stay, with length 1.
    pub fn keepdims(mut self) -> Axes {
        self.keepdims = true;
        self
    }

    /// The dtype of the result; sums and products of integers are computed in the accumulator of that kind.
    pub fn dtype(mut self, dtype: DType) -> Axes {
        self.dtype = Some(dtype);
        self
    }

    /// Delta degrees of freedom: `var` and `std` divide by `n - ddof`.
    pub fn ddof(mut self, ddof: usize) -> Axes {
        self.ddof = ddof;
        self
    }

    /// The axes of an array of rank `ndim`, ascending.
    fn resolve(&self, op: &'static str, ndim: usize) -> Result<Vec<usize>> {
        let Some(axes) = &self.axes else { return Ok((0..ndim).collect()) };
        let mut out = Vec::with_capacity(axes.len());
        for &axis in axes {
            let k = resolve_axis(op, axis, ndim)?;
            if out.contains(&k) {
                return Err(Error::invalid(op, format!("axis {axis} is named twice")));
            }
            out.push(k);
        }
        out.sort_unstable();
        Ok(out)
    }
}

/// An axis counted from the end if negative.
pub(super) fn resolve_axis(op: &'static str, axis: isize, ndim: usize) -> Result<usize> {
    let k = if axis < 0 { axis + ndim as isize } else { axis };
    if (0..ndim as isize).contains(&k) {
        Ok(k as usize)
    } else {
        Err(ErrorKind::Axis { op, axis, ndim }.into())
    }
}

/// A fold of one array, with what is needed around it.
struct Fold {
    input: Expr,
    axes: Vec<usize>,
    options: Axes,
}

impl Fold {
    /// Number of elements folded into one.
    fn count(&self) -> usize {
        self.axes.iter().map(|&k| self.input.shape()[k]).product()
    }

    fn reduce(&self, op: ReduceOp) -> Result<Expr> {
        self.input.clone().reduce(op, &self.axes)
    }

    /// Puts folded axes back with length 1 if asked for.
    fn shaped(&self, e: Expr) -> Result<Expr> {
        if !self.options.keepdims {
            return Ok(e);
        }
        let shape: Vec<usize> = self
            .input
            .shape()
            .iter()
            .enumerate()
            .map(|(k, &n)| if self.axes.contains(&k) { 1 } else { n })
            .collect();
        let kept = (0..shape.len()).filter(|k| !self.axes.contains(k));
        let map = IndexMap::new(kept.map(|k| AxisMap { from: Some(k as u8), start: 0, step: 1 }));
        e.view(map, &shape)
    }

    /// The metadata of the result: names of what is kept; the georeference only if both spatial axes are.
    fn meta(&self, meta: &Meta) -> Meta {
        if self.options.keepdims {
            return Meta { georef: None, ..meta.clone() };
        }
        let n = self.input.ndim();
        let kept = |k: usize| !self.axes.contains(&k);
        let mut out = meta.clone();
        if meta.dims.len() == n {
            out.dims = (0..n).filter(|&k| kept(k)).map(|k| meta.dims[k].clone()).collect();
        }
        if n < 2 || !kept(n - 1) || !kept(n - 2) {
            out.georef = None;
        }
        if n == 3 && !kept(0) {
            out.bands = vec![];
        }
        out
    }
}

impl Array {
    /// Folds the array as `build` says.
    #[track_caller]
    fn fold(
        &self,
        op: &'static str,
        axes: impl IntoAxes,
        build: impl FnOnce(&Fold) -> Result<Expr>,
    ) -> Array {
        let at = Location::caller();
        let options = axes.into_axes();
        let built = || -> Result<Array> {
            let input = self.expr()?.clone();
            let axes = options.resolve(op, input.ndim())?;
            let fold = Fold { input, axes, options };
            let expr = fold.shaped(build(&fold)?)?;
            Ok(Array { expr: Ok(expr), meta: Arc::new(fold.meta(&self.meta)) })
        };
        built().unwrap_or_else(|e| Array::failed(e, at))
    }

    /// The sum. Integers in i64 or u64 (wrapping), floats accumulated in f64 and rounded once to their dtype; 0 if empty.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_ndarray(ndarray::arr2(&[[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.sum(..).compute()?.to_scalar::<f32>()?, 10.0);
    /// assert_eq!(x.sum(over(1).keepdims()).shape(), [2, 1]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self, axes: impl IntoAxes) -> Array {
        self.total("sum", ReduceOp::Sum, axes)
    }

    /// The product; as [`Array::sum`], 1 if empty.
    #[track_caller]
    pub fn prod(&self, axes: impl IntoAxes) -> Array {
        self.total("prod", ReduceOp::Prod, axes)
    }

    #[track_caller]
    fn total(&self, name: &'static str, op: ReduceOp, axes: impl IntoAxes) -> Array {
        let axes = axes.into_axes();
        let wanted = axes.dtype;
        // a dtype of another kind is the one to compute in
        let input = match wanted {
            Some(d) if d.kind() != self.dtype().kind() => self.cast(d),
            _ => self.clone(),
        };
        input.fold(name, axes, |f| {
            let d = f.input.dtype();
            let result = wanted.unwrap_or(if d.is_float() { d } else { op.accumulator(d) });
            f.reduce(op)?.cast(result)
        })
    }

    /// The mean: f64 for integers, the array's dtype for floats (accumulated in f64); NaN if empty.
    #[track_caller]
    pub fn mean(&self, axes: impl IntoAxes) -> Array {
        let axes = axes.into_axes();
        let wanted = axes.dtype;
        self.cast(float_input(self.dtype())).fold("mean", axes, |f| {
            let total = f.reduce(ReduceOp::Sum)?;
            divide(total, f.count() as f64)?.cast(wanted.unwrap_or(float_result(self.dtype())))
        })
    }

    /// The variance: mean squared deviation from the mean, divided by `n - ddof`; NaN if that is not positive. One pass, by merging (count,
    /// mean, m2) as in Chan, Golub and LeVeque (1979), in f64.
    #[track_caller]
    pub fn var(&self, axes: impl IntoAxes) -> Array {
        self.spread("var", axes, false)
    }

    /// The standard deviation: square root of [`Array::var`].
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1.0f64, 2.0, 3.0, 4.0]);
    /// assert_eq!(x.std(..).compute()?.to_scalar::<f64>()?, 1.25f64.sqrt());
    /// assert_eq!(x.var(over(0).ddof(1)).compute()?.to_scalar::<f64>()?, 5.0 / 3.0);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn std(&self, axes: impl IntoAxes) -> Array {
        self.spread("std", axes, true)
    }

    #[track_caller]
    fn spread(&self, name: &'static str, axes: impl IntoAxes, root: bool) -> Array {
        let axes = axes.into_axes();
        let (wanted, ddof) = (axes.dtype, axes.ddof);
        self.cast(float_input(self.dtype())).fold(name, axes, |f| {
            let n = f.count() as f64 - ddof as f64;
            let var = divide(f.reduce(ReduceOp::M2)?, if n > 0.0 { n } else { f64::NAN })?;
            let result = if root { var.unary(crate::op::UnaryOp::Sqrt)? } else { var };
            result.cast(wanted.unwrap_or(float_result(self.dtype())))
        })
    }

    /// The smallest element; NaN if any is NaN.
    ///
    /// # Errors
    /// If the selection is empty.
    #[track_caller]
    pub fn min(&self, axes: impl IntoAxes) -> Array {
        self.fold("min", axes, |f| f.reduce(ReduceOp::Min))
    }

    /// The largest element; NaN if any is NaN.
    ///
    /// # Errors
    /// If the selection is empty.
    #[track_caller]
    pub fn max(&self, axes: impl IntoAxes) -> Array {
        self.fold("max", axes, |f| f.reduce(ReduceOp::Max))
    }

    /// The difference of the largest and the smallest element.
    #[track_caller]
    pub fn ptp(&self, axes: impl IntoAxes) -> Array {
        let axes = axes.into_axes();
        self.max(axes.clone()) - self.min(axes)
    }

    /// Whether all elements are true (not zero).
    #[track_caller]
    pub fn all(&self, axes: impl IntoAxes) -> Array {
        self.truth().fold("all", axes, |f| f.reduce(ReduceOp::All))
    }

    /// Whether any element is true.
    #[track_caller]
    pub fn any(&self, axes: impl IntoAxes) -> Array {
        self.truth().fold("any", axes, |f| f.reduce(ReduceOp::Any))
    }

    /// How many elements are true; i64.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl IntoAxes) -> Array {
        self.truth().fold("count_nonzero", axes, |f| f.reduce(ReduceOp::Sum))
    }

    /// The index of the first smallest element along an axis, or in C order over all axes; the first NaN wins. i64.
    ///
    /// # Errors
    /// If the selection is empty.
    #[track_caller]
    pub fn argmin(&self, axes: impl IntoAxes) -> Array {
        self.fold("argmin", axes, |f| f.reduce(ReduceOp::ArgMin))
    }

    /// The index of the first largest element; as [`Array::argmin`].
    #[track_caller]
    pub fn argmax(&self, axes: impl IntoAxes) -> Array {
        self.fold("argmax", axes, |f| f.reduce(ReduceOp::ArgMax))
    }

    /// The index of the first smallest element that is not NaN; -1 where all are (NumPy refuses that).
    #[track_caller]
    pub fn nanargmin(&self, axes: impl IntoAxes) -> Array {
        self.fold("nanargmin", axes, |f| f.reduce(ReduceOp::NanArgMin))
    }

    /// The index of the first largest element that is not NaN; -1 where all are (NumPy refuses that).
    #[track_caller]
    pub fn nanargmax(&self, axes: impl IntoAxes) -> Array {
        self.fold("nanargmax", axes, |f| f.reduce(ReduceOp::NanArgMax))
    }

    /// The sum of the elements that are not NaN.
    #[track_caller]
    pub fn nansum(&self, axes: impl IntoAxes) -> Array {
        let op = if self.dtype().is_float() { ReduceOp::NanSum } else { ReduceOp::Sum };
        self.total("nansum", op, axes)
    }

    /// The product of the elements that are not NaN.
    #[track_caller]
    pub fn nanprod(&self, axes: impl IntoAxes) -> Array {
        self.without_nan(1.0).prod(axes)
    }

    /// The mean of the elements that are not NaN; NaN where all are.
    #[track_caller]
    pub fn nanmean(&self, axes: impl IntoAxes) -> Array {
        if !self.dtype().is_float() {
            return self.mean(axes);
        }
        let axes = axes.into_axes();
        let wanted = axes.dtype.unwrap_or(self.dtype());
        let total = self.fold("nanmean", axes.clone(), |f| f.reduce(ReduceOp::NanSum));
        (total / self.fold("nanmean", axes, |f| f.reduce(ReduceOp::Count))).cast(wanted)
    }

    /// The variance of the elements that are not NaN.
    #[track_caller]
    pub fn nanvar(&self, axes: impl IntoAxes) -> Array {
        self.nanspread("nanvar", axes, false)
    }

    /// The standard deviation of the elements that are not NaN.
    #[track_caller]
    pub fn nanstd(&self, axes: impl IntoAxes) -> Array {
        self.nanspread("nanstd", axes, true)
    }

    #[track_caller]
    fn nanspread(&self, name: &'static str, axes: impl IntoAxes, root: bool) -> Array {
        let axes = axes.into_axes();
        if !self.dtype().is_float() {
            return self.spread(name, axes, root);
        }
        let ddof = axes.ddof as f64;
        let wanted = axes.dtype.unwrap_or(self.dtype());
        let plain = Axes { dtype: None, ..axes };
        let m2 = self.fold(name, plain.clone(), |f| f.reduce(ReduceOp::NanM2));
        let n = self.fold(name, plain, |f| f.reduce(ReduceOp::Count)).cast(DType::F64) - ddof;
        let var = m2 / where_(n.gt(0.0), &n, f64::NAN);
        if root { var.sqrt().cast(wanted) } else { var.cast(wanted) }
    }

    /// The smallest element that is not NaN; NaN where all are.
    #[track_caller]
    pub fn nanmin(&self, axes: impl IntoAxes) -> Array {
        self.fold("nanmin", axes, |f| f.reduce(ReduceOp::Fmin))
    }

    /// The largest element that is not NaN; NaN where all are.
    #[track_caller]
    pub fn nanmax(&self, axes: impl IntoAxes) -> Array {
        self.fold("nanmax", axes, |f| f.reduce(ReduceOp::Fmax))
    }

    /// NaN replaced by a number; integers have none.
    #[track_caller]
    pub(super) fn without_nan(&self, by: f64) -> Array {
        if self.dtype().is_float() { where_(self.isnan(), by, self) } else { self.clone() }
    }

    /// Running sums along an axis; integers in i64 or u64, floats accumulated in f64.
    ///
    /// Lines of blocks along the axis run one after another, other lines beside them. The result is in memory while it is used.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1u8, 2, 3]);
    /// assert_eq!(x.cumsum(0).compute()?.as_slice::<u64>()?, [1, 3, 6]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Array {
        self.scan("cumsum", ReduceOp::Sum, axis)
    }

    /// Running products along an axis; as [`Array::cumsum`].
    #[track_caller]
    pub fn cumprod(&self, axis: isize) -> Array {
        self.scan("cumprod", ReduceOp::Prod, axis)
    }

    #[track_caller]
    fn scan(&self, name: &'static str, op: ReduceOp, axis: isize) -> Array {
        self.map(|e| {
            let axis = resolve_axis(name, axis, e.ndim())?;
            let d = e.dtype();
            e.scan(op, axis)?.cast(if d.is_float() { d } else { op.accumulator(d) })
        })
    }
}

/// What a mean of a dtype is computed from: floats as they are, the rest in f64.
fn float_input(d: DType) -> DType {
    if d.kind() == Kind::Float { d } else { DType::F64 }
}

fn float_result(d: DType) -> DType {
    if d.is_float() { to_float(d) } else { DType::F64 }
}

/// `x / n` for a number.
fn divide(x: Expr, n: f64) -> Result<Expr> {
    let n = Expr::constant(n.into(), crate::shape::Grid::single(&[]))?.broadcast_to(x.shape())?;
    Expr::binary(crate::op::BinaryOp::Div, x, n)
}
