//! Distributions: histograms.

use super::Array;
use crate::block::Block;
use crate::dtype::DType;
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
            let count = move |_: &BlockContext, blocks: &[Block]| count_block(&blocks[0], &edges);
            // one row of counts per block, in the order of blocks
            let mut axes: Vec<AxisChunks> =
                x.grid().counts().iter().map(|&n| AxisChunks::regular(n, 1)).collect();
            axes.push(AxisChunks::regular(bins, bins));
            let lead: Vec<usize> = (0..x.ndim()).collect();
            let map = MapBlocks { scratch: 1, ..MapBlocks::new("histogram", axes.len(), at, count) };
            Expr::map_blocks(map, vec![x], DType::I64, Grid::new(axes))?
                .reduce(crate::op::ReduceOp::Sum, &lead)
        };
        Array::from_expr(counted().map_err(|e| e.at(at)), Arc::default())
    }
}

/// Counts of one block, with a leading axis of length 1 for each of its axes.
fn count_block(block: &Block, edges: &[f64]) -> Result<Block> {
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
    let mut shape = vec![1; block.shape().len()];
    shape.push(bins);
    let counts = ArrayD::from_shape_vec(shape, counts).map_err(|e| Error::internal(e.to_string()))?;
    Ok(Block::from_array(counts))
}
