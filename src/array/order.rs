//! Elements by rank along an axis: `sort`, `argsort`, `topk`, `argtopk`, `quantile`, `median`.
//!
//! Each is a function of whole lines of an axis: blocks are cut so that they hold the axis, across the stored chunks through a spill store
//! where that costs less. NaN is larger than any number, as in NumPy.

use super::reduce::resolve_axis;
use super::{Array, ChunkSpec, Ix};
use crate::block::Block;
use crate::dtype::{DType, Element, for_dtype};
use crate::error::{Error, Result};
use crate::expr::{Expr, MapBlocks};
use crate::shape::{AxisChunks, Grid, auto_block_bytes};
use ndarray::{ArrayD, ArrayViewMut1, Axis, IxDyn};
use std::cmp::Ordering;
use std::panic::Location;

impl Array {
    /// The elements in ascending order along an axis.
    ///
    /// A function of blocks that hold the axis whole: lines of the axis, some at a time, are in memory, and it does not fuse with its
    /// neighbours. Costs `n log n` per line.
    ///
    /// # Errors
    /// If the axis is out of range.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![3.0f32, f32::NAN, -1.0, 2.0]);
    /// assert_eq!(x.sort(0).slice(s![..3]).compute()?.as_slice::<f32>()?, [-1.0, 2.0, 3.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: isize) -> Array {
        self.by_line("sort", axis, self.dtype(), None, |x, k, n| {
            for_dtype!(x.dtype(), T => lines::<T, T>(x, k, n, |line, out| {
                line.sort_unstable_by(rank);
                fill(out, line.iter().copied());
            }))
        })
    }

    /// The indices that would sort the array along an axis, i64; equal elements keep their order. As [`Array::sort`].
    ///
    /// # Errors
    /// If the axis is out of range.
    #[track_caller]
    pub fn argsort(&self, axis: isize) -> Array {
        self.by_line("argsort", axis, DType::I64, None, |x, k, n| {
            for_dtype!(x.dtype(), T => lines::<T, i64>(x, k, n, |line, out| {
                fill(out, ranked(line, rank));
            }))
        })
    }

    /// The `k` largest elements along an axis, the largest first; for a negative `k` the `-k` smallest, the smallest first. Fewer where the
    /// axis is shorter. As [`Array::sort`].
    ///
    /// # Errors
    /// If the axis is out of range.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![5, 1, 3, 6]);
    /// assert_eq!(x.topk(2, 0).compute()?.as_slice::<i32>()?, [6, 5]);
    /// assert_eq!(x.topk(-2, 0).compute()?.as_slice::<i32>()?, [1, 3]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn topk(&self, k: isize, axis: isize) -> Array {
        let descending = k > 0;
        self.by_line("topk", axis, self.dtype(), Some(k.unsigned_abs()), move |x, axis, n| {
            for_dtype!(x.dtype(), T => lines::<T, T>(x, axis, n, |line, out| {
                let order = |a: &T, b: &T| if descending { rank(b, a) } else { rank(a, b) };
                if n > 0 && n < line.len() {
                    line.select_nth_unstable_by(n - 1, order);
                }
                line[..n].sort_unstable_by(order);
                fill(out, line.iter().copied());
            }))
        })
    }

    /// The indices of [`Array::topk`]'s elements along the axis, i64; of equal elements the first come first.
    ///
    /// # Errors
    /// If the axis is out of range.
    #[track_caller]
    pub fn argtopk(&self, k: isize, axis: isize) -> Array {
        let descending = k > 0;
        self.by_line("argtopk", axis, DType::I64, Some(k.unsigned_abs()), move |x, axis, n| {
            for_dtype!(x.dtype(), T => lines::<T, i64>(x, axis, n, |line, out| {
                let order = |a: &T, b: &T| if descending { rank(b, a) } else { rank(a, b) };
                fill(out, ranked(line, order));
            }))
        })
    }

    /// The value below which a part `q` of the elements along an axis lies, interpolated linearly between neighbours; in the dtype of
    /// floats, f64 for integers. NaN if one element is NaN, or there is none.
    ///
    /// As [`Array::sort`], but linear in the length of the axis. Of a whole array: `x.ravel().quantile(q, 0)`, which holds it in memory.
    ///
    /// # Errors
    /// If the axis is out of range, or `q` is not in `0..=1`.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_ndarray(ndarray::arr2(&[[4.0f64, 1.0, 2.0], [10.0, 30.0, 20.0]]));
    /// assert_eq!(x.quantile(0.75, 1).compute()?.as_slice::<f64>()?, [3.0, 25.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: f64, axis: isize) -> Array {
        self.quantile_of("quantile", q, axis, false)
    }

    /// As [`Array::quantile`] of the elements that are not NaN.
    #[track_caller]
    pub fn nanquantile(&self, q: f64, axis: isize) -> Array {
        self.quantile_of("nanquantile", q, axis, true)
    }

    /// The middle value along an axis, or the mean of the middle two: [`Array::quantile`] of a half.
    #[track_caller]
    pub fn median(&self, axis: isize) -> Array {
        self.quantile_of("median", 0.5, axis, false)
    }

    /// As [`Array::median`] of the elements that are not NaN.
    #[track_caller]
    pub fn nanmedian(&self, axis: isize) -> Array {
        self.quantile_of("nanmedian", 0.5, axis, true)
    }

    #[track_caller]
    fn quantile_of(&self, op: &'static str, q: f64, axis: isize, skip_nan: bool) -> Array {
        if !(0.0..=1.0).contains(&q) {
            return Array::failed(Error::invalid(op, format!("q is {q}, not in 0..=1")), Location::caller());
        }
        let d = if self.dtype().is_float() { self.dtype() } else { DType::F64 };
        let k = match self.expr().and_then(|e| resolve_axis(op, axis, e.ndim())) {
            Ok(k) => k,
            Err(e) => return Array::failed(e, Location::caller()),
        };
        if self.shape()[k] == 0 {
            let mut shape = self.shape().to_vec();
            shape.remove(k);
            return Array::full(&shape, f64::NAN).cast(d);
        }
        let out = self.cast(DType::F64).by_line(op, axis, DType::F64, Some(1), move |x, k, n| {
            lines::<f64, f64>(x, k, n, |line, out| {
                let numbers = without_nan(line);
                let held = if skip_nan || numbers == line.len() { &mut line[..numbers] } else { &mut [] };
                fill(out, [interpolated(held, q)]);
            })
        });
        let mut index = vec![Ix::Slice(None, None, 1); out.ndim()];
        index[k] = Ix::At(0);
        out.index(&index).cast(d)
    }

    /// The lines along an axis through a function of blocks that hold it whole. The result is as long on the axis, or `at_most` so long.
    #[track_caller]
    fn by_line(
        &self,
        op: &'static str,
        axis: isize,
        dtype: DType,
        at_most: Option<usize>,
        f: impl Fn(&Block, usize, usize) -> Result<Block> + Send + Sync + 'static,
    ) -> Array {
        let at = Location::caller();
        self.map(|x| {
            let k = resolve_axis(op, axis, x.ndim())?;
            let (n, item) = (x.shape()[k], x.dtype().size());
            let len = at_most.map_or(n, |most| most.min(n));
            let cut = |grid: &Grid, len: usize| {
                let mut axes = grid.axes().to_vec();
                axes[k] = AxisChunks::regular(len, len);
                Grid::new(axes)
            };
            let mut grid = cut(x.grid(), n);
            if grid.max_block().iter().product::<usize>() * item > auto_block_bytes(x.shape(), item) {
                let spec = |j| if j == k { ChunkSpec::Whole } else { ChunkSpec::Auto(None) };
                let specs: Vec<ChunkSpec> = (0..x.ndim()).map(spec).collect();
                grid = super::chunks::resolve(&specs, x.grid(), item)?;
            }
            let map = MapBlocks::new(op, x.ndim(), at, move |_, blocks| f(&blocks[0], k, len));
            let out = cut(&grid, len);
            Expr::map_blocks(MapBlocks { scratch: 1, ..map }, vec![x.rechunk(grid)?], dtype, out)
        })
    }
}

/// A block whose lines of `len` elements along an axis a function makes of a copy of the block's.
fn lines<T: Element, R: Element>(
    x: &Block,
    axis: usize,
    len: usize,
    mut f: impl FnMut(&mut [T], ArrayViewMut1<'_, R>),
) -> Result<Block> {
    let view = x.view::<T>()?;
    let mut shape = x.shape().to_vec();
    shape[axis] = len;
    let mut out = ArrayD::<R>::default(IxDyn(&shape));
    let mut buffer = Vec::with_capacity(x.shape()[axis]);
    for (line, target) in view.lanes(Axis(axis)).into_iter().zip(out.lanes_mut(Axis(axis))) {
        buffer.clear();
        buffer.extend(line.iter().copied());
        f(&mut buffer, target);
    }
    Ok(Block::from_array(out))
}

/// Puts values into a line, as many as it has places.
fn fill<R>(line: ArrayViewMut1<'_, R>, values: impl IntoIterator<Item = R>) {
    line.into_iter().zip(values).for_each(|(place, value)| *place = value);
}

/// NumPy's order, in which NaN is last.
fn rank<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    let nan = |x: &T| x.partial_cmp(x).is_none();
    a.partial_cmp(b).unwrap_or_else(|| nan(a).cmp(&nan(b)))
}

/// The indices of the elements in order.
fn ranked<T: PartialOrd>(line: &[T], order: impl Fn(&T, &T) -> Ordering) -> impl Iterator<Item = i64> {
    let mut indices: Vec<usize> = (0..line.len()).collect();
    indices.sort_by(|&a, &b| order(&line[a], &line[b]));
    indices.into_iter().map(|i| i as i64)
}

/// Moves NaN to the end; gives the number of the others.
fn without_nan(line: &mut [f64]) -> usize {
    let (mut i, mut n) = (0, line.len());
    while i < n {
        if line[i].is_nan() {
            n -= 1;
            line.swap(i, n);
        } else {
            i += 1;
        }
    }
    n
}

/// The value at a part `q` of the way through the elements in order; NaN if there is none.
fn interpolated(line: &mut [f64], q: f64) -> f64 {
    let Some(last) = line.len().checked_sub(1) else { return f64::NAN };
    let place = q * last as f64;
    let (_, &mut low, above) = line.select_nth_unstable_by((place as usize).min(last), f64::total_cmp);
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    let part = place - place.floor();
    // from the nearer one, so that it is met exactly
    if part == 0.0 || low == high {
        low
    } else if part < 0.5 {
        low + (high - low) * part
    } else {
        high - (high - low) * (1.0 - part)
    }
}
