//! Shapes, regions, chunk grids and index maps: the arithmetic of where things are.
//!
//! Nothing here costs more for more chunks: a [`Grid`] of a regular chunking is a few numbers per axis, and blocks are
//! enumerated by index.

mod chunks;
mod grid;
mod map;
mod region;

pub use chunks::AxisChunks;
pub use grid::{Grid, auto_block_bytes};
pub use map::{AxisMap, IndexMap};
pub use region::Region;

use smallvec::SmallVec;

/// Lengths, starts or counts, one per axis.
pub type Dims = SmallVec<[usize; 4]>;

/// Element strides of a C-ordered array.
pub fn c_strides(shape: &[usize]) -> SmallVec<[isize; 4]> {
    let mut strides: SmallVec<[isize; 4]> = SmallVec::from_elem(1, shape.len());
    for k in (0..shape.len().saturating_sub(1)).rev() {
        strides[k] = strides[k + 1] * shape[k + 1].max(1) as isize;
    }
    strides
}
