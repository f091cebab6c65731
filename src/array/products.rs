//! Products of matrices: `matmul`, `dot`, `tensordot`, `vdot`, `inner`, `outer`.
//!
//! All are one node of the graph, a sum of products over shared axes, and views around it.

use super::Array;
use super::reduce::resolve_axis;
use crate::dtype::{DType, promote};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, broadcast_shapes};
use crate::op::ReduceOp;
use crate::shape::{AxisMap, IndexMap};
use std::panic::Location;

impl Array {
    /// The product of matrices, as NumPy's `matmul`: the last two axes are the matrix, those before broadcast. A 1-d array is a row on the
    /// left, a column on the right, and the result lacks that axis.
    ///
    /// Dtypes are promoted as by `+`. Integers wrap, bools are the `or` of `and`s, `f16` is summed in `f32`; `f32` and `f64` are summed in
    /// their own precision, runs of 256 terms from zero. The bits of a result depend on shapes and chunks, and on whether the CPU has a fused
    /// multiply-add; not on threads or memory.
    ///
    /// Blocks of the result have 256 to 1024 rows and columns where the chunks allow it. A task goes over the contracted axis in panels, so
    /// it holds one block of the result and one panel of each operand, however long the axis is. It costs `2 m n k` operations, and every
    /// block of an operand is asked for once per block of rows or columns of the other; operands that are products themselves are computed
    /// once. What follows element by element runs in the same pass. On a GPU
    /// it is computed there, panel by panel, where the adapter's own arithmetic is right, else on the CPU ([`Array::explain`] says where); last bits of
    /// floats depend on whether the device has a fused multiply-add.
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if the inner lengths differ or the axes before do not broadcast; an array without axes.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let a = Array::from_ndarray(ndarray::arr2(&[[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    /// let x = Array::from_vec(vec![10.0f32, 1.0]);
    /// assert_eq!(a.matmul(&x).compute()?.as_slice::<f32>()?, [12.0, 34.0, 56.0]);
    /// assert_eq!(a.t().matmul(&a).compute()?.as_slice::<f32>()?, [35.0, 44.0, 44.0, 56.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Array) -> Array {
        self.product("matmul", other, matmul)
    }

    /// NumPy's `dot`: of 1-d arrays the sum of products, else the sum over the last axis and the other's last but one, or only one; of an
    /// array without axes the elementwise product. As [`Array::matmul`].
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if the lengths differ.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1i32, 2, 3]);
    /// assert_eq!(x.dot(&x).compute()?.to_scalar::<i32>()?, 14);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn dot(&self, other: &Array) -> Array {
        if self.expr.is_ok() && other.expr.is_ok() && (self.ndim() == 0 || other.ndim() == 0) {
            return self * other;
        }
        self.product("dot", other, |a, b| {
            let axis = b.ndim().saturating_sub(2);
            contracted("dot", &a, &b, &[a.ndim() - 1], &[axis])?;
            let order: Vec<usize> = [axis].into_iter().chain((0..b.ndim()).filter(|&k| k != axis)).collect();
            product(a, permuted(b, &order)?, 0, 1)
        })
    }

    /// The sum of the products over `axes.0` of this array and `axes.1` of the other, pair by pair. The result has the other axes of the
    /// left array, then those of the right one. NumPy's `tensordot(a, b, n)` has the last `n` axes of the left and the first of the right.
    /// As [`Array::matmul`].
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if paired axes differ in length; an axis that is out of range or there twice, or lists of other lengths.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let a = Array::arange(0, 24, 1).reshape(&[2, 3, 4]);
    /// let b = Array::ones(&[4, 2], DType::I64);
    /// let c = a.tensordot(&b, (&[0, 2], &[1, 0]));
    /// assert_eq!(c.compute()?.as_slice::<i64>()?, [60, 92, 124]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn tensordot(&self, other: &Array, axes: (&[isize], &[isize])) -> Array {
        self.product("tensordot", other, |a, b| {
            let (left, right) = (distinct(axes.0, a.ndim())?, distinct(axes.1, b.ndim())?);
            if left.len() != right.len() {
                let message = format!("{} axes of the left array, {} of the right", left.len(), right.len());
                return Err(Error::invalid("tensordot", message));
            }
            contracted("tensordot", &a, &b, &left, &right)?;
            let others =
                |n: usize, own: &[usize]| -> Vec<usize> { (0..n).filter(|k| !own.contains(k)).collect() };
            let order_a = [others(a.ndim(), &left), left.clone()].concat();
            let order_b = [right.clone(), others(b.ndim(), &right)].concat();
            let (a, b) = (permuted(a, &order_a)?, permuted(b, &order_b)?);
            product(a, b, 0, left.len())
        })
    }

    /// The sum over the last axes of both: NumPy's `inner`. As [`Array::matmul`].
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if they differ in length.
    #[track_caller]
    pub fn inner(&self, other: &Array) -> Array {
        match self.ndim().min(other.ndim()) {
            0 if self.expr.is_ok() && other.expr.is_ok() => self * other,
            _ => self.tensordot(other, (&[-1], &[-1])),
        }
    }

    /// The sum of the products of all elements in C order: NumPy's `vdot`. As [`Array::matmul`].
    ///
    /// # Errors
    /// [`ErrorKind::ShapeMismatch`] if the arrays differ in size.
    #[track_caller]
    pub fn vdot(&self, other: &Array) -> Array {
        self.ravel().dot(&other.ravel())
    }

    /// Every element of this array times every one of the other, both in C order: NumPy's `outer`. Elementwise, so it fuses.
    #[track_caller]
    pub fn outer(&self, other: &Array) -> Array {
        &self.ravel().expand_dims(1) * &other.ravel().expand_dims(0)
    }

    /// Both arrays in one dtype through `build`.
    #[track_caller]
    fn product(
        &self,
        op: &'static str,
        other: &Array,
        build: impl FnOnce(Expr, Expr) -> Result<Expr>,
    ) -> Array {
        let at = Location::caller();
        let built = || {
            let (a, b) = (self.expr()?.clone(), other.expr()?.clone());
            if a.ndim() == 0 || b.ndim() == 0 {
                return Err(Error::invalid(op, "an array without axes has no product; multiply with *"));
            }
            let d = promote(a.dtype(), b.dtype());
            build(a.cast(d)?, b.cast(d)?)?.cast(d)
        };
        Array { expr: built().map_err(|e| e.at(at)), meta: Default::default() }
    }
}

fn matmul(a: Expr, b: Expr) -> Result<Expr> {
    let inner = b.ndim().saturating_sub(2);
    contracted("matmul", &a, &b, &[a.ndim() - 1], &[inner])?;
    // of one matrix on the right, all axes of the left operand are rows
    if b.ndim() <= 2 {
        return product(a, b, 0, 1);
    }
    let (rows, cols) = (a.ndim().min(2), 2);
    let leading = |x: &Expr, own: usize| x.shape()[..x.ndim() - own].to_vec();
    let (of_a, of_b) = (leading(&a, rows), leading(&b, cols));
    let batch = broadcast_shapes("matmul", &[&of_a, &of_b])?;
    let with = |x: Expr, own: usize| {
        let shape = [&batch, &x.shape()[x.ndim() - own..]].concat();
        x.broadcast_to(&shape)
    };
    product(with(a, rows)?, with(b, cols)?, batch.len(), 1)
}

/// The product of `(batch, left, contracted)` and `(batch, contracted, right)`, without the axis of its parts.
pub(super) fn product(a: Expr, b: Expr, batch: usize, contracted: usize) -> Result<Expr> {
    let parts = Expr::product(a, b, batch, contracted)?;
    if parts.shape()[0] != 1 {
        let op = if parts.dtype() == DType::Bool { ReduceOp::Any } else { ReduceOp::Sum };
        return parts.reduce(op, &[0]);
    }
    let shape = parts.shape()[1..].to_vec();
    let first = AxisMap { from: None, start: 0, step: 0 };
    let rest = (0..shape.len()).map(|k| AxisMap { from: Some(k as u8), start: 0, step: 1 });
    parts.view(IndexMap::new([first].into_iter().chain(rest)), &shape)
}

/// The axes in this order.
fn permuted(x: Expr, order: &[usize]) -> Result<Expr> {
    let shape: Vec<usize> = order.iter().map(|&k| x.shape()[k]).collect();
    let place = |k: usize| order.iter().position(|&o| o == k).map(|p| p as u8);
    let map = IndexMap::new((0..x.ndim()).map(|k| AxisMap { from: place(k), start: 0, step: 1 }));
    x.view(map, &shape)
}

/// Axes in range, none twice.
fn distinct(axes: &[isize], ndim: usize) -> Result<Vec<usize>> {
    let found = axes.iter().map(|&k| resolve_axis("tensordot", k, ndim)).collect::<Result<Vec<_>>>()?;
    match found.iter().enumerate().find(|(n, k)| found[..*n].contains(k)) {
        Some((_, k)) => Err(Error::invalid("tensordot", format!("axis {k} is there twice"))),
        None => Ok(found),
    }
}

/// Whether the axes that are summed over are as long as each other.
fn contracted(op: &'static str, a: &Expr, b: &Expr, left: &[usize], right: &[usize]) -> Result<()> {
    if left.iter().zip(right).all(|(&i, &j)| a.shape()[i] == b.shape()[j]) {
        return Ok(());
    }
    let hint = match op {
        "tensordot" => "; axes that are summed over must be equal",
        _ => "; the last axis on the left must be as long as the last but one on the right, or its only one",
    };
    let (left, right) = (a.shape().to_vec(), b.shape().to_vec());
    Err(ErrorKind::ShapeMismatch { op, left, right, hint }.into())
}
