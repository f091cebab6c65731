//! Regions of files that are stored in tiles: every tile that a region touches is decoded, and what it shares with the region copied.

use crate::block::Block;
use crate::dtype::DType;
use crate::error::Result;
use crate::shape::{Dims, Grid, Region};

/// Decoded elements of a box of an array.
pub(super) struct Tile {
    /// The elements, of the array's dtype in the machine's byte order.
    pub bytes: Vec<u8>,
    /// The box; it may reach beyond the array.
    pub region: Region,
    /// How many elements apart neighbours on each axis are.
    pub strides: Dims,
}

impl Tile {
    /// A box in C order.
    pub fn c_ordered(bytes: Vec<u8>, region: Region) -> Tile {
        let strides = crate::shape::c_strides(&region.shape).iter().map(|&s| s as usize).collect();
        Tile { bytes, region, strides }
    }
}

/// Reads a region of an array cut into `tiles`. `decode` gets the index of a tile and the part of it that is wanted, and gives elements that
/// cover that part; tiles come one after another, in C order.
pub(super) fn read(
    dtype: DType,
    tiles: &Grid,
    region: &Region,
    mut decode: impl FnMut(&[usize], &Region) -> Result<Tile>,
) -> Result<Block> {
    let mut out = Block::uninit(dtype, &region.shape);
    for index in tiles.blocks_in(region) {
        let part = tiles.region(&index).intersect(region);
        let tile = decode(&index, &part)?;
        debug_assert!(tile.region.contains(&part), "{part} of a tile at {}", tile.region);
        copy(&mut out, &part.relative_to(region), &tile, &part.relative_to(&tile.region).start);
    }
    Ok(out)
}

/// Copies a box of a tile, from `start` in it, to its place in a C-ordered block.
fn copy(out: &mut Block, to: &Region, tile: &Tile, start: &[usize]) {
    let size = out.dtype().size();
    let out_strides = crate::shape::c_strides(out.shape());
    // runs along the last axis; a 0-d array is a run of one element
    let lines = to.ndim().saturating_sub(1);
    let run = to.shape.get(lines).copied().unwrap_or(1);
    let step = tile.strides.get(lines).copied().unwrap_or(1);
    let count: usize = to.shape[..lines].iter().product();
    let bytes = out.bytes_mut();
    for mut line in 0..count {
        let (mut t, mut f) = (0, 0);
        for k in (0..to.ndim()).rev() {
            let i = if k == lines { 0 } else { line % to.shape[k] };
            if k != lines {
                line /= to.shape[k];
            }
            t += (to.start[k] + i) * out_strides[k] as usize;
            f += (start[k] + i) * tile.strides[k];
        }
        spaced(&mut bytes[t * size..(t + run) * size], &tile.bytes[f * size..], step, size);
    }
}

/// Every `step`-th element of `from`, from its first.
fn spaced(to: &mut [u8], from: &[u8], step: usize, size: usize) {
    fn sized<const N: usize>(to: &mut [u8], from: &[u8], step: usize) {
        for (t, s) in to.chunks_exact_mut(N).zip(from.chunks(step * N)) {
            t.copy_from_slice(&s[..N]);
        }
    }
    match (step, size) {
        (1, _) => to.copy_from_slice(&from[..to.len()]),
        (_, 1) => sized::<1>(to, from, step),
        (_, 2) => sized::<2>(to, from, step),
        (_, 4) => sized::<4>(to, from, step),
        _ => sized::<8>(to, from, step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that stands for an element of a (3, 7, 5) array.
    fn number(index: [usize; 3]) -> u16 {
        (index[0] * 35 + index[1] * 5 + index[2]) as u16
    }

    #[test]
    fn regions_of_tiles_in_any_order_are_whole() {
        let tiles = Grid::regular(&[3, 7, 5], &[3, 2, 4]);
        // whole tiles beyond the array's end in C order, and just what is wanted with planes innermost
        let padded = |index: &[usize], _: &Region| {
            let start: Dims = [0, index[1] * 2, index[2] * 4].as_slice().into();
            let region = Region::new(start.clone(), [3, 2, 4].as_slice());
            let at = |i: usize| number([i / 8, start[1] + i / 4 % 2, start[2] + i % 4]);
            Ok(Tile::c_ordered((0..24).flat_map(|i| at(i).to_ne_bytes()).collect(), region))
        };
        let interleaved = |_: &[usize], part: &Region| {
            let region = Region::new(
                [0, part.start[1], part.start[2]].as_slice(),
                [3, part.shape[1], part.shape[2]].as_slice(),
            );
            let (rows, cols) = (part.shape[1], part.shape[2]);
            let at = |i: usize| number([i % 3, part.start[1] + i / 3 / cols, part.start[2] + i / 3 % cols]);
            let bytes = (0..3 * rows * cols).flat_map(|i| at(i).to_ne_bytes()).collect();
            Ok(Tile { bytes, region, strides: [1, 3 * cols, 3].as_slice().into() })
        };
        for (start, shape) in
            [([0, 0, 0], [3, 7, 5]), ([1, 1, 3], [2, 4, 2]), ([2, 6, 4], [1, 1, 1]), ([0, 3, 0], [3, 0, 5])]
        {
            let region = Region::new(start.as_slice(), shape.as_slice());
            let want = ndarray::Array3::from_shape_fn(shape, |(a, b, c)| {
                number([start[0] + a, start[1] + b, start[2] + c])
            });
            for block in
                [read(DType::U16, &tiles, &region, padded), read(DType::U16, &tiles, &region, interleaved)]
            {
                assert_eq!(block.unwrap().view::<u16>().unwrap(), want.view().into_dyn());
            }
        }
    }

    #[test]
    fn an_array_without_axes_is_one_element() {
        let scalar = read(DType::I64, &Grid::single(&[]), &Region::default(), |_, part| {
            Ok(Tile::c_ordered(7i64.to_ne_bytes().to_vec(), part.clone()))
        });
        assert_eq!(scalar.unwrap().to_scalar::<i64>().unwrap(), 7);
    }
}
