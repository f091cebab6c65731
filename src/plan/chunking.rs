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
/// x.T` of row chunks), none of which is nearly as small; then square blocks.
pub fn task_grid(wished: &Grid, steps: &[Step], kernel: &Kernel, inputs: &[StepId]) -> Grid {
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
            square_grid(
                &shape,
                dtype.size(),
                auto_block_bytes(shape.iter().product::<usize>() * dtype.size()),
            )
        }
        _ => wished.clone(),
    }
}

/// The chunks of a spill store that serves reads of `read` extents and was written in `write` extents: the smaller on each
/// axis (Rosset, *Rechunker*'s rule for an intermediate).
pub fn meeting_grid(shape: &[usize], write: &[usize], read: &[usize]) -> Grid {
    Grid::new(shape.iter().enumerate().map(|(k, &n)| AxisChunks::regular(n, write[k].min(read[k]).max(1))))
}
