//! Accumulators of groups, which kernels fold into.

use crate::block::Block;
use crate::dtype::DType;
use crate::op::ReduceOp;
use blockwise_kernels::tile;

/// The accumulators of one effect, one per group, with room for more.
pub(super) struct Planes {
    pub op: ReduceOp,
    pub dtype: DType,
    pub blocks: Vec<Block>,
    /// Groups that there are accumulators of.
    pub room: usize,
}

impl Planes {
    pub fn new(op: ReduceOp, dtype: DType) -> Planes {
        Planes { op, dtype, blocks: vec![], room: 0 }
    }

    /// Makes room for accumulators of `groups` groups; new ones are folds of nothing.
    pub fn grow(&mut self, groups: usize) {
        if groups <= self.room {
            return;
        }
        let room = groups.next_power_of_two().max(16);
        let fresh: Vec<Block> =
            self.op.planes(self.dtype).into_iter().map(|d| Block::uninit(d, &[room])).collect();
        let mut all = Planes { op: self.op, dtype: self.dtype, blocks: fresh, room };
        // SAFETY: each plane is a fresh block of `room` elements.
        unsafe { tile::init(self.op, self.dtype, &all.at(0), room) };
        for (new, old) in all.blocks.iter_mut().zip(&self.blocks) {
            let bytes = old.bytes();
            new.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        }
        *self = all;
    }

    /// Takes accumulators that were kept elsewhere, to be merged into others.
    pub fn load(&mut self, blocks: Vec<Block>) {
        self.room = blocks.first().map_or(0, Block::len);
        self.blocks = blocks;
    }

    /// The addresses of a group's accumulators.
    pub fn at(&self, group: usize) -> [*mut u8; 3] {
        let mut at = [std::ptr::null_mut(); 3];
        for (p, block) in at.iter_mut().zip(&self.blocks) {
            *p = (block.as_ptr() as *mut u8).wrapping_add(group * block.dtype().size());
        }
        at
    }

    /// Folds another's accumulators of groups `from` into those of groups `into`.
    pub fn merge(&mut self, other: &Planes, from: &[u32], into: &[u32]) {
        let mut sizes = [0; 3];
        sizes.iter_mut().zip(&self.blocks).for_each(|(size, block)| *size = block.dtype().size());
        let merge = tile::merge_groups(self.op, self.dtype);
        let n = from.len().min(into.len());
        // SAFETY: both have an accumulator of every group in every plane, and nobody else writes these planes.
        unsafe { merge(&self.at(0), into.as_ptr(), &other.at(0), from.as_ptr(), &sizes, n) };
    }

    /// The first `groups` values of a plane; those of nothing folded if none ever was.
    pub fn plane(&self, plane: usize, groups: usize) -> Block {
        if self.blocks.is_empty() || groups > self.room {
            let mut empty = Planes::new(self.op, self.dtype);
            empty.grow(groups.max(1));
            return empty.plane(plane, groups);
        }
        self.blocks[plane].slice(&crate::shape::Region::new([0].as_slice(), [groups].as_slice()))
    }
}
