//! Several chunks in one: how passes over small or crossing chunks get tasks of a sensible size.

use crate::shape::{AxisChunks, Grid};

/// A grid with several chunks in one along the axes where `wanted` is longer than a chunk, up to `elements` in a block; last axis
/// first. (The consolidation step of Rechunker.)
pub fn grow(grid: &Grid, wanted: &[usize], elements: usize) -> Grid {
    let mut axes: Vec<AxisChunks> = grid.axes().to_vec();
    for k in (0..axes.len()).rev() {
        let block: usize = axes.iter().map(|a| a.max_len().max(1)).product();
        let own = axes[k].max_len().max(1);
        let by = (elements / block.max(1)).min(wanted[k].div_ceil(own));
        if by > 1 {
            axes[k] = axes[k].join(by);
        }
    }
    Grid::new(axes)
}
