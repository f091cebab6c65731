//! Windows of elements: `coarsen` folds blocks of neighbours, `sliding_window_view` lists what a moving window sees.

use super::operators::binary;
use super::reduce::resolve_axis;
use super::{Array, Ix, stack};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::op::{BinaryOp, ReduceOp};
use std::panic::Location;

/// How [`Array::coarsen`] makes one element of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coarse {
    /// The sum; integers in i64 or u64, floats added in f64.
    Sum,
    /// The product; as the sum.
    Prod,
    /// The mean, computed in f64; integers stay in it.
    Mean,
    /// The smallest; NaN if one is.
    Min,
    /// The largest; NaN if one is.
    Max,
    /// Whether all are true (not zero).
    All,
    /// Whether one is true.
    Any,
}

/// The most elements that are folded at once along an axis.
const AT_ONCE: usize = 16;

impl Array {
    /// The array in lower resolution: every box of `factors[k]` elements along each axis `k` becomes one element. Dask's `coarsen`.
    ///
    /// Elements at the end that fill no box are left out with `trim`, and an error without. Streams: the elements of a box are read by
    /// strided views that meet in a kernel, some at a time for large factors; no axis is held in memory whole. A georeference is scaled.
    ///
    /// # Errors
    /// Another number of factors than axes, a factor of 0, or without `trim` an axis that is no multiple of its factor.
    ///
    /// ```
    /// use blockwise::array::Coarse;
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 12, 1).reshape(&[2, 6]);
    /// assert_eq!(x.coarsen(Coarse::Mean, &[2, 3], false).compute()?.as_slice::<f64>()?, [4.0, 7.0]);
    /// assert_eq!(x.coarsen(Coarse::Max, &[1, 4], true).compute()?.as_slice::<i64>()?, [3, 9]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn coarsen(&self, how: Coarse, factors: &[usize], trim: bool) -> Array {
        let at = Location::caller();
        self.try_coarsen(how, factors, trim).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_coarsen(&self, how: Coarse, factors: &[usize], trim: bool) -> Result<Array> {
        let shape = self.expr()?.shape();
        if factors.len() != shape.len() || factors.contains(&0) {
            let message = format!("factors {factors:?} for shape {shape:?}");
            return Err(Error::invalid("coarsen", message));
        }
        if let Some(k) = (0..shape.len()).find(|&k| !trim && !shape[k].is_multiple_of(factors[k])) {
            let message = format!("axis {k} of {shape:?} is no multiple of {}; trim it", factors[k]);
            return Err(Error::invalid("coarsen", message));
        }
        let d = self.dtype();
        let (op, within, to) = match how {
            Coarse::Sum | Coarse::Prod => {
                let wide = ReduceOp::Sum.accumulator(d);
                let op = if how == Coarse::Sum { BinaryOp::Add } else { BinaryOp::Mul };
                (op, wide, if d.is_float() { d } else { wide })
            }
            Coarse::Mean => (BinaryOp::Add, DType::F64, if d.is_float() { d } else { DType::F64 }),
            Coarse::Min => (BinaryOp::Min, d, d),
            Coarse::Max => (BinaryOp::Max, d, d),
            Coarse::All => (BinaryOp::And, DType::Bool, DType::Bool),
            Coarse::Any => (BinaryOp::Or, DType::Bool, DType::Bool),
        };
        let mut out = self.cast(within);
        for (k, &factor) in factors.iter().enumerate() {
            for step in steps(factor) {
                let count = out.shape()[k] / step;
                let every = |first: usize| {
                    let mut index = vec![Ix::Slice(None, None, 1); out.ndim()];
                    index[k] = Ix::Slice(Some(first as isize), Some((count * step) as isize), step as isize);
                    out.index(&index)
                };
                out = (1..step).fold(every(0), |sum, first| binary(op, sum, every(first)));
            }
        }
        if how == Coarse::Mean {
            out = out / factors.iter().product::<usize>() as f64;
        }
        let out = out.cast(to);
        out.expr()?;
        Ok(out)
    }

    /// What a window sees at each of its places: an array with the window's axes behind its own. NumPy's `sliding_window_view`.
    ///
    /// `axes[i]` is the axis along which `window[i]` elements are seen; it gets shorter by one less than that. Lazy; its blocks are as many
    /// times larger than what they are read from as the window has elements, and are cut accordingly. For a stencil whose result has
    /// the array's shape, shifted slices or [`Array::map_overlap`] cost less.
    ///
    /// # Errors
    /// Another number of axes than window lengths, or a window of length 0 or longer than its axis.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1i64, 2, 4, 8]);
    /// let seen = x.sliding_window_view(&[3], &[0]);
    /// assert_eq!(seen.shape(), [2, 3]);
    /// assert_eq!(seen.compute()?.as_slice::<i64>()?, [1, 2, 4, 2, 4, 8]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sliding_window_view(&self, window: &[usize], axes: &[isize]) -> Array {
        let at = Location::caller();
        self.try_windows(window, axes).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_windows(&self, window: &[usize], axes: &[isize]) -> Result<Array> {
        const OP: &str = "sliding_window_view";
        let ndim = self.expr()?.ndim();
        if window.len() != axes.len() {
            let message = format!("{} lengths for {} axes", window.len(), axes.len());
            return Err(Error::invalid(OP, message));
        }
        let mut out = self.clone();
        for (&length, &axis) in window.iter().zip(axes) {
            let k = resolve_axis(OP, axis, ndim)?;
            let n = out.shape()[k];
            if length == 0 || length > n {
                let message = format!("a window of {length} along axis {k} of {:?}", out.shape());
                return Err(Error::invalid(OP, message));
            }
            let places = n - length + 1;
            let seen: Vec<Array> = (0..length)
                .map(|first| out.part(k, Some(first as isize), Some((first + places) as isize)))
                .collect();
            out = stack(&seen, -1);
        }
        let out = out.rechunk("auto").without_geometry();
        out.expr()?;
        Ok(out)
    }
}

/// A factor as a product of factors that are folded one after the other, each as large as may be at once.
fn steps(factor: usize) -> Vec<usize> {
    let (mut left, mut prime, mut out) = (factor, 2, vec![1]);
    while left > 1 {
        if prime * prime > left {
            prime = left;
        }
        if left.is_multiple_of(prime) {
            left /= prime;
            match out.last_mut().filter(|last| **last * prime <= AT_ONCE) {
                Some(last) => *last *= prime,
                None => out.push(prime),
            }
        } else {
            prime += 1;
        }
    }
    out.retain(|&step| step > 1);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn steps_multiply_to_the_factor() {
        for n in 1..2000 {
            assert_eq!(super::steps(n).iter().product::<usize>(), n);
        }
        assert_eq!(super::steps(8), [8]);
        assert_eq!(super::steps(1000), [8, 5, 5, 5]);
        assert_eq!(super::steps(34), [2, 17]);
    }
}
