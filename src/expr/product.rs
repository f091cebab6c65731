//! Products of arrays: how they are cut.

use super::Expr;
use crate::error::{Error, Result};
use crate::shape::{AxisChunks, Dims, Grid};

/// Sums of products over axes that two arrays share: `out[p, batch, left, right] = sum over panels p of a[batch, left, k] b[batch, k, right]`,
/// each group any number of axes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Product {
    /// Axes that both operands and the result have.
    pub batch: u8,
    /// Axes that are summed over: the last of the left operand, of the right one those behind the batch.
    pub contracted: u8,
    /// The panels of these axes. A block of the result is the sum of its panels' products, one after another.
    pub panels: Grid,
    /// In how many parts, along the result's first axis, the panels are summed: so many tasks can work on a small result.
    pub parts: usize,
}

/// Rows or columns that a block of the result should have at least and at most.
const EDGE: (usize, usize) = (256, 1024);
/// Elements that an operand's panel should have at least and at most.
const PANEL: (usize, usize) = (1 << 19, 1 << 21);
/// Blocks of a result from which on they are tasks enough.
const BLOCKS: usize = 64;

impl Product {
    /// How the product of two arrays is cut, and the chunks of its result: by their shapes and chunks alone.
    pub(super) fn new(a: &Expr, b: &Expr, batch: usize, contracted: usize) -> Result<(Product, Grid)> {
        let Some(left) = a.ndim().checked_sub(batch + contracted) else { return Err(misfit(a, b)) };
        let fits = b.ndim() >= batch + contracted
            && a.shape()[..batch] == b.shape()[..batch]
            && a.shape()[batch + left..] == b.shape()[batch..batch + contracted]
            && a.dtype() == b.dtype();
        if !fits {
            return Err(misfit(a, b));
        }
        // before it is cut, so that its blocks can be counted
        let lengths = a.shape()[..batch + left].iter().chain(&b.shape()[batch + contracted..]);
        if lengths
            .clone()
            .try_fold(8usize, |n, &len| n.checked_mul(len.max(1)))
            .is_none_or(|n| n > isize::MAX as usize)
        {
            let shape: Vec<usize> = lengths.copied().collect();
            let message = format!("the product's shape {shape:?} has more elements than can be addressed");
            return Err(Error::invalid("product", message));
        }
        let (of_a, of_b) = (a.grid().axes(), b.grid().axes());
        let shared = |a: &[AxisChunks], b: &[AxisChunks]| -> Vec<AxisChunks> {
            a.iter().zip(b).map(|(a, b)| a.refine(b)).collect()
        };
        let batches = shared(&of_a[..batch], &of_b[..batch]);
        let cut = |most: usize| {
            let rows = fit(&of_a[batch..batch + left], EDGE.0, most);
            let cols = fit(&of_b[batch + contracted..], EDGE.0, most);
            Grid::new(batches.iter().cloned().chain(rows).chain(cols))
        };
        let mut grid = cut(EDGE.1);
        if grid.len() < BLOCKS {
            grid = cut(EDGE.1 / 2);
        }
        let block = grid.max_block();
        let edge = |axes: &[usize]| axes.iter().product::<usize>().max(1);
        let longest = edge(&block[batch..batch + left]).max(edge(&block[batch + left..]));
        let own = shared(&of_a[batch + left..], &of_b[batch..]);
        let panels = Grid::new(fit(&own, PANEL.0 / longest, (PANEL.1 / longest).max(1)));
        let small = grid.len() <= BLOCKS / 16 && longest <= EDGE.1;
        let parts = if small { panels.len().min(BLOCKS / grid.len().max(1)).max(1) } else { 1 };
        let all = [AxisChunks::regular(parts, 1)].into_iter().chain(grid.axes().iter().cloned());
        let grid = Grid::new(all);
        Ok((Product { batch: batch as u8, contracted: contracted as u8, panels, parts }, grid))
    }

    /// Numbers of the axes of each group: the batch's, the left operand's, those summed over, the right operand's.
    pub fn groups(&self, a: usize, b: usize) -> [usize; 4] {
        let (batch, contracted) = (self.batch as usize, self.contracted as usize);
        [batch, a - batch - contracted, contracted, b - batch - contracted]
    }

    /// The panels of a part.
    pub fn panels_of(&self, part: usize) -> std::ops::Range<usize> {
        let n = self.panels.len();
        n * part / self.parts..n * (part + 1) / self.parts
    }

    /// A region or extent of an operand (0 left, 1 right): of what is there of the result and of a panel.
    pub fn operand(&self, operand: usize, result: &[usize], panel: &[usize], left: usize) -> Dims {
        let (batch, result) = (self.batch as usize, &result[1..]);
        let (shared, rest) = result.split_at(batch);
        let (rows, cols) = rest.split_at(left);
        let parts = if operand == 0 { [shared, rows, panel] } else { [shared, panel, cols] };
        parts.concat().into()
    }
}

/// The same axes with blocks of about so many elements: small ones joined, large ones cut, along the last axes first.
fn fit(axes: &[AxisChunks], least: usize, most: usize) -> Vec<AxisChunks> {
    let mut axes = axes.to_vec();
    for k in (0..axes.len()).rev() {
        let own = axes[k].max_len().max(1);
        let others: usize = axes.iter().map(|a| a.max_len().max(1)).product::<usize>() / own;
        let (low, high) = (least / others, (most / others).max(1));
        if own > high {
            axes[k] = axes[k].refine(&AxisChunks::regular(axes[k].len(), high));
        } else if own < low {
            axes[k] = axes[k].join(low.div_ceil(own));
        }
    }
    axes
}

fn misfit(a: &Expr, b: &Expr) -> Error {
    Error::internal(format!("a product of {} {:?} and {} {:?}", a.dtype(), a.shape(), b.dtype(), b.shape()))
}
