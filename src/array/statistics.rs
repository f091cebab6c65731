//! Distributions: histograms, counts, covariances.

use super::{Array, over};
use crate::block::Block;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::expr::{BlockContext, Expr, MapBlocks};
use crate::shape::{AxisChunks, Grid};
use ndarray::ArrayD;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

impl Array {
    /// How many elements fall into each of `bins` equal bins of a range, i64, as NumPy's `histogram` counts: every bin includes its left edge, the last one its
    /// right edge too; what lies outside, and NaN, is not counted.
    ///
    /// One pass, shared with other reductions of the same array. Memory: the counts of one block per task, and of all blocks until they
    /// are added.
    ///
    /// # Errors
    /// No bin, or a range that is empty or not finite.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![0.0f32, 0.1, 0.5, 0.9, 1.0, 7.0, f32::NAN]);
    /// assert_eq!(x.histogram(2, 0.0..1.0).compute()?.as_slice::<i64>()?, [2, 3]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, bins: usize, range: Range<f64>) -> Array {
        let at = Location::caller();
        let counted = || -> Result<Expr> {
            let x = self.expr()?.clone();
            let width = range.end - range.start;
            if bins == 0 || !(width > 0.0 && width.is_finite()) {
                let message =
                    format!("{bins} bins over {range:?}: needs a bin and a finite range that is not empty");
                return Err(Error::invalid("histogram", message));
            }
            let edges: Arc<[f64]> = (0..=bins)
                .map(|i| if i == bins { range.end } else { range.start + i as f64 * (width / bins as f64) })
                .collect();
            add_counts("histogram", x, bins, at, move |block| histogram(block, &edges))
        };
        Array::from_expr(counted().map_err(|e| e.at(at)), Arc::default())
    }

    /// How often each of the numbers `0..length` occurs, i64: NumPy's `bincount` with a length that is known before.
    ///
    /// One pass. Memory: the counts of one block per task, and of all blocks until they are added.
    ///
    /// # Errors
    /// If the array is not of integers; when computed, an element that is not in `0..length`.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let classes = Array::from_vec(vec![3u8, 1, 1, 0]);
    /// assert_eq!(classes.bincount(5).compute()?.as_slice::<i64>()?, [1, 2, 0, 1, 0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, length: usize) -> Array {
        let at = Location::caller();
        let index = self.index_below("bincount", length);
        let counted = index.expr().and_then(|x| {
            if length == 0 {
                return Expr::constant(Scalar::zero(DType::I64), Grid::single(&[0]));
            }
            add_counts("bincount", x.clone(), length, at, move |block| {
                let mut counts = vec![0i64; length];
                for &i in block.view::<i64>()? {
                    // in range: it was checked
                    if let Some(count) = counts.get_mut(i as usize) {
                        *count += 1;
                    }
                }
                Ok(counts)
            })
        });
        Array::from_expr(counted.map_err(|e| e.at(at)), Arc::default())
    }

    /// The covariances of variables, of which each row holds the observations: NumPy's `cov`, (rows, rows) in f64 (in the array's dtype for
    /// floats). A 1-d array is one variable, and gives its variance.
    ///
    /// `ddof` is 1 for the estimate from a sample, 0 for the covariance of what is all there is. Two passes; costs rows² * columns
    /// operations: for tens of variables.
    ///
    /// # Errors
    /// If there are more than two axes, or none.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_ndarray(ndarray::arr2(&[[0.0f64, 1.0, 2.0], [2.0, 1.0, 0.0]]));
    /// assert_eq!(x.cov(1).compute()?.as_slice::<f64>()?, [1.0, -1.0, -1.0, 1.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn cov(&self, ddof: usize) -> Array {
        let at = Location::caller();
        let shape = self.shape();
        if self.expr.is_ok() && !(1..=2).contains(&shape.len()) {
            let message = format!("shape {shape:?} is not that of rows of observations");
            return Array::failed(Error::invalid("cov", message), at);
        }
        let n = shape.last().map_or(0.0, |&n| n as f64);
        let x = if self.dtype().is_float() { self.clone() } else { self.cast(DType::F64) };
        let x = &x - x.mean(over(-1).keepdims());
        let products = if shape.len() == 1 { &x * &x } else { x.expand_dims(1) * x.expand_dims(0) };
        (products.sum(-1) / (n - ddof as f64).max(0.0)).without_geometry()
    }

    /// The correlations of variables, of which each row holds the observations: [`Array::cov`] divided by both standard deviations, in
    /// `-1..=1`. A 1-d array gives 1 (NaN if it does not vary).
    ///
    /// # Errors
    /// As [`Array::cov`].
    #[track_caller]
    pub fn corrcoef(&self) -> Array {
        let c = self.cov(1);
        if c.ndim() == 0 {
            let variance = c.clone();
            return c / variance;
        }
        let spread = c.diagonal(0).sqrt();
        (c / spread.expand_dims(1) / spread).clip(-1, 1)
    }
}

/// The sum over all blocks of `bins` counts of each.
fn add_counts(
    op: &'static str,
    x: Expr,
    bins: usize,
    at: &'static Location<'static>,
    count: impl Fn(&Block) -> Result<Vec<i64>> + Send + Sync + 'static,
) -> Result<Expr> {
    // one row of counts per block, in the order of blocks
    let mut axes: Vec<AxisChunks> = x.grid().counts().iter().map(|&n| AxisChunks::regular(n, 1)).collect();
    axes.push(AxisChunks::regular(bins, bins));
    let lead: Vec<usize> = (0..x.ndim()).collect();
    let count = move |_: &BlockContext, blocks: &[Block]| {
        let mut shape = vec![1; blocks[0].shape().len()];
        shape.push(bins);
        let counts = ArrayD::from_shape_vec(shape, count(&blocks[0])?);
        Ok(Block::from_array(counts.map_err(|e| Error::internal(e.to_string()))?))
    };
    let map = MapBlocks { scratch: 1, ..MapBlocks::new(op, axes.len(), at, count) };
    Expr::map_blocks(map, vec![x], DType::I64, Grid::new(axes))?.reduce(crate::op::ReduceOp::Sum, &lead)
}

/// How many elements of a block lie between neighbouring edges.
fn histogram(block: &Block, edges: &[f64]) -> Result<Vec<i64>> {
    let bins = edges.len() - 1;
    let (low, high) = (edges[0], edges[bins]);
    let scale = bins as f64 / (high - low);
    let mut counts = vec![0i64; bins];
    let values = block.cast(DType::F64);
    for &v in values.view::<f64>()? {
        if !(low..=high).contains(&v) {
            continue;
        }
        // rounding may put a value beside an edge into the neighbouring bin; the edges decide
        let mut i = (((v - low) * scale) as usize).min(bins - 1);
        if v < edges[i] {
            i -= 1;
        } else if i + 1 < bins && v >= edges[i + 1] {
            i += 1;
        }
        counts[i] += 1;
    }
    Ok(counts)
}
