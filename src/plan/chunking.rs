//! How work is cut: automatic chunks, and the tasks of a pass whose inputs are cut in different ways.

use super::{Step, StepId, StepKind};
use crate::ir::Kernel;
use crate::shape::{AxisChunks, Dims, Grid};

/// Bytes of an automatic block: 1 MiB for arrays up to 256 MiB, growing to 16 MiB, so that an array has some hundreds of
/// blocks and a block is large beside the cost of a task.
pub fn auto_block_bytes(array_bytes: usize) -> usize {
    (array_bytes / 256).clamp(1 << 20, 16 << 20)
}

/// Automatic chunks: whole trailing axes as far as a block of `block_bytes` goes, then runs of the next axis.
pub fn auto_grid(shape: &[usize], item: usize, block_bytes: usize) -> Grid {
    let mut left = (block_bytes / item).max(1);
    let mut chunk: Dims = Dims::from_elem(1, shape.len());
    for k in (0..shape.len()).rev() {
        chunk[k] = shape[k].clamp(1, left);
        left = (left / shape[k].max(1)).max(1);
    }
    Grid::regular(shape, &chunk)
}

/// Chunks that are about as long on every axis, for data that is walked in several orders.
pub fn square_grid(shape: &[usize], item: usize, block_bytes: usize) -> Grid {
    let mut chunk: Dims = shape.iter().map(|&n| n.max(1)).collect();
    let elements = (block_bytes / item).max(1);
    while chunk.iter().product::<usize>() > elements {
        let Some(longest) = (0..chunk.len()).max_by_key(|&k| chunk[k]) else { break };
        chunk[longest] = chunk[longest].div_ceil(2);
    }
    Grid::regular(shape, &chunk)
}

/// The tasks of a pass that may cut its space freely: `wished`, unless that is dust left by inputs whose chunks cross each other (`x +
/// x.T` of row chunks), none of which is nearly as small; then square blocks of at most `room` bytes.
pub fn task_grid(wished: &Grid, steps: &[Step], kernel: &Kernel, inputs: &[StepId], room: usize) -> Grid {
    let elements = |g: &Grid| g.max_block().iter().product::<usize>();
    let smallest = kernel
        .inputs()
        .iter()
        .zip(inputs)
        .filter_map(|(_, &step)| match &steps[step].kind {
            StepKind::Read(source) if source.grid().len() > 1 => {
                Some((elements(source.grid()), steps[step].dtype))
            }
            _ => None,
        })
        .min();
    let has_blocks = steps.iter().any(|s| matches!(s.kind, StepKind::MapBlocks { .. }));
    match smallest {
        Some((n, dtype)) if !has_blocks && elements(wished) * 4 < n => {
            let shape = wished.shape();
            {
                let bytes = auto_block_bytes(shape.iter().product::<usize>() * dtype.size());
                square_grid(&shape, dtype.size(), bytes.min(room))
            }
        }
        _ => wished.clone(),
    }
}

/// The same axis with `by` chunks in one.
pub fn coarsen(axis: &AxisChunks, by: usize) -> AxisChunks {
    match axis {
        AxisChunks::Regular { first, size, len } if first == size => {
            AxisChunks::regular(*len, size.saturating_mul(by))
        }
        _ => {
            let lengths = axis.lengths();
            AxisChunks::explicit(&lengths.chunks(by.max(1)).map(|c| c.iter().sum()).collect::<Vec<_>>())
        }
    }
}

/// A grid with several chunks in one along the axes where `wanted` is longer than a chunk, up to `elements` in a block; last axis
/// first. (The consolidation step of Rechunker.)
pub fn grow(grid: &Grid, wanted: &[usize], elements: usize) -> Grid {
    let mut axes: Vec<AxisChunks> = grid.axes().to_vec();
    for k in (0..axes.len()).rev() {
        let block: usize = axes.iter().map(|a| a.max_len().max(1)).product();
        let own = axes[k].max_len().max(1);
        let by = (elements / block.max(1)).min(wanted[k].div_ceil(own));
        if by > 1 {
            axes[k] = coarsen(&axes[k], by);
        }
    }
    Grid::new(axes)
}
