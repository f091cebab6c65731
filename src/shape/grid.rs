//! How an array is cut into blocks.

use super::{AxisChunks, Dims, Region};
use smallvec::SmallVec;
use std::fmt;

/// Bytes of an automatic block: 1 MiB for arrays up to 256 MiB, growing to 16 MiB, so that an array has some hundreds of blocks
/// and a block is large beside the cost of a task.
pub fn auto_block_bytes(shape: &[usize], item: usize) -> usize {
    let whole = shape.iter().fold(item, |bytes, &n| bytes.saturating_mul(n));
    (whole / 256).clamp(1 << 20, 16 << 20)
}

/// How an array is cut into blocks: the product of its axes' chunks. A 0-d array has one block.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Grid {
    axes: SmallVec<[AxisChunks; 3]>,
}

impl Grid {
    /// A grid from its axes.
    pub fn new(axes: impl IntoIterator<Item = AxisChunks>) -> Grid {
        Grid { axes: axes.into_iter().collect() }
    }

    /// Regular chunks of one shape.
    pub fn regular(shape: &[usize], chunk: &[usize]) -> Grid {
        Grid::new(shape.iter().zip(chunk).map(|(&n, &c)| AxisChunks::regular(n, c)))
    }

    /// One block that is the whole array.
    pub fn single(shape: &[usize]) -> Grid {
        Grid::regular(shape, shape)
    }

    /// Automatic chunks for elements of `item` bytes: whole trailing axes as far as a block of [`auto_block_bytes`] goes, then
    /// runs of the next axis.
    pub fn auto(shape: &[usize], item: usize) -> Grid {
        let mut left = (auto_block_bytes(shape, item) / item).max(1);
        let mut chunk: Dims = Dims::from_elem(1, shape.len());
        for k in (0..shape.len()).rev() {
            chunk[k] = shape[k].clamp(1, left);
            left = (left / shape[k].max(1)).max(1);
        }
        Grid::regular(shape, &chunk)
    }

    /// Chunks of automatic size that are about as long on every axis, for data that is walked in several orders.
    pub fn square(shape: &[usize], item: usize) -> Grid {
        let mut chunk: Dims = shape.iter().map(|&n| n.max(1)).collect();
        let elements = (auto_block_bytes(shape, item) / item).max(1);
        while chunk.iter().product::<usize>() > elements {
            let Some(longest) = (0..chunk.len()).max_by_key(|&k| chunk[k]) else { break };
            chunk[longest] = chunk[longest].div_ceil(2);
        }
        Grid::regular(shape, &chunk)
    }

    /// The grid on which arrays cut in different ways meet: the boundaries of all; but where chunks cross each other (`x + x.T` of
    /// row chunks) and would leave dust, square blocks.
    pub fn meet(grids: &[&Grid], item: usize) -> Grid {
        let elements = |g: &Grid| g.max_block().iter().product::<usize>();
        let mut refined = grids[0].clone();
        for other in &grids[1..] {
            if **other != refined {
                refined = Grid::new(refined.axes.iter().zip(&other.axes).map(|(a, b)| a.refine(b)));
            }
        }
        let smallest = grids.iter().map(|g| elements(g)).min().unwrap_or(0);
        if elements(&refined) * 4 < smallest { Grid::square(&refined.shape(), item) } else { refined }
    }

    /// The axes.
    pub fn axes(&self) -> &[AxisChunks] {
        &self.axes
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.axes.len()
    }

    /// The array's shape.
    pub fn shape(&self) -> Dims {
        self.axes.iter().map(AxisChunks::len).collect()
    }

    /// Number of chunks on each axis.
    pub fn counts(&self) -> Dims {
        self.axes.iter().map(AxisChunks::count).collect()
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.axes.iter().map(AxisChunks::count).product()
    }

    /// Whether there is no block (some axis has length 0).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest chunk of each axis: no block is larger.
    pub fn max_block(&self) -> Dims {
        self.axes.iter().map(AxisChunks::max_len).collect()
    }

    /// The index of block number `i` in C order, per axis.
    pub fn unravel(&self, mut i: usize) -> Dims {
        let mut index: Dims = SmallVec::from_elem(0, self.ndim());
        for k in (0..self.ndim()).rev() {
            let n = self.axes[k].count();
            index[k] = i % n;
            i /= n;
        }
        index
    }

    /// The region of the block with this index per axis.
    pub fn region(&self, index: &[usize]) -> Region {
        let mut r = Region::default();
        for (axis, &i) in self.axes.iter().zip(index) {
            let (start, len) = axis.bounds(i);
            r.start.push(start);
            r.shape.push(len);
        }
        r
    }

    /// The region of block number `i` in C order.
    pub fn block(&self, i: usize) -> Region {
        self.region(&self.unravel(i))
    }

    /// The ranges of chunk indices, per axis, that a region touches.
    pub fn touched(&self, region: &Region) -> SmallVec<[std::ops::Range<usize>; 4]> {
        (0..self.ndim())
            .map(|k| {
                if region.shape[k] == 0 {
                    0..0
                } else {
                    self.axes[k].chunk_at(region.start[k])..self.axes[k].chunk_at(region.end(k) - 1) + 1
                }
            })
            .collect()
    }

    /// The blocks that a region touches, in C order.
    pub fn blocks_in(&self, region: &Region) -> impl Iterator<Item = Dims> + use<> {
        let ranges = self.touched(region);
        let total: usize = ranges.iter().map(|r| r.len()).product();
        (0..total).map(move |mut i| {
            let mut index: Dims = SmallVec::from_elem(0, ranges.len());
            for k in (0..ranges.len()).rev() {
                index[k] = ranges[k].start + i % ranges[k].len();
                i /= ranges[k].len();
            }
            index
        })
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (k, axis) in self.axes.iter().enumerate() {
            if k > 0 {
                f.write_str(", ")?;
            }
            axis.fmt(f)?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
