//! Accumulators of groups, which kernels fold into: a record of words for each, with the planes of all folds side by side.

use crate::backend::Records;
use crate::block::Block;
use crate::dtype::DType;
use crate::op::ReduceOp;
use blockwise_kernels::tile;

/// A fold, and the word of a record at which its planes begin.
#[derive(Clone, Copy)]
struct Fold {
    op: ReduceOp,
    dtype: DType,
    word: usize,
}

/// The accumulators of all groups, with room for more.
pub(super) struct Accumulators {
    folds: Vec<Fold>,
    /// Words of a record.
    words: usize,
    /// Words of all records.
    block: Block,
    room: usize,
}

impl Accumulators {
    /// Of folds of values of these dtypes.
    pub fn new(folds: impl IntoIterator<Item = (ReduceOp, DType)>) -> Accumulators {
        let mut words = 0;
        let mut place = |(op, dtype): (ReduceOp, DType)| {
            let fold = Fold { op, dtype, word: words };
            words += op.planes(dtype).iter().map(|d| d.size().div_ceil(8)).sum::<usize>();
            fold
        };
        let folds = folds.into_iter().map(&mut place).collect();
        Accumulators { folds, words, block: Block::uninit(DType::U64, &[0]), room: 0 }
    }

    /// Of the same folds, for no groups.
    pub fn sibling(&self) -> Accumulators {
        let (folds, words) = (self.folds.clone(), self.words);
        Accumulators { folds, words, block: Block::uninit(DType::U64, &[0]), room: 0 }
    }

    /// Bytes of memory.
    pub fn nbytes(&self) -> usize {
        self.block.nbytes()
    }

    /// Bytes of a record.
    pub fn record(&self) -> usize {
        8 * self.words
    }

    /// Makes room for `groups` groups; new ones are folds of nothing.
    pub fn grow(&mut self, groups: usize) {
        if groups <= self.room || self.words == 0 {
            return;
        }
        let room = groups.next_power_of_two().max(16);
        let mut block = Block::uninit(DType::U64, &[room * self.words]);
        let (old, first_new) = (self.room * self.record(), self.room as u32);
        block.bytes_mut()[..old].copy_from_slice(self.block.bytes());
        (self.block, self.room) = (block, room);
        // the first new record, then copies of it
        for k in 0..self.folds.len() {
            let mut first = self.of(k);
            first.planes = first.at(first_new);
            // SAFETY: every plane of the record is in the block.
            unsafe { tile::init(self.folds[k].op, self.folds[k].dtype, &first.planes, 1) };
        }
        let (record, bytes) = (self.record(), self.block.bytes_mut());
        let (mut filled, len) = (old + record, bytes.len());
        while filled < len {
            let n = (filled - old).min(len - filled);
            bytes.copy_within(old..old + n, filled);
            filled += n;
        }
    }

    /// The records as a fold's accumulators.
    fn of(&self, fold: usize) -> Records {
        let Fold { op, dtype, word } = self.folds[fold];
        let mut planes = [std::ptr::null_mut(); 3];
        let mut at = word;
        for (p, d) in planes.iter_mut().zip(op.planes(dtype)) {
            *p = (self.block.as_ptr() as *mut u8).wrapping_add(8 * at);
            at += d.size().div_ceil(8);
        }
        Records { planes, stride: self.record() }
    }

    /// The accumulators of every fold.
    pub fn all(&self) -> Vec<Records> {
        (0..self.folds.len()).map(|k| self.of(k)).collect()
    }

    /// Folds records `from` of another into records `into`.
    pub fn merge(&mut self, other: &Accumulators, from: &[u32], into: &[u32]) {
        let n = from.len().min(into.len());
        if n == 0 {
            return;
        }
        for (k, fold) in self.folds.iter().enumerate() {
            let merge = tile::merge_groups(fold.op, fold.dtype);
            // SAFETY: both have a record of every group, and nobody else writes these.
            unsafe { merge(&self.of(k), into.as_ptr(), &other.of(k), from.as_ptr(), n) };
        }
    }

    /// The values of a fold's plane for the first `groups` groups; those of nothing folded if there is no room for them.
    pub fn plane(&self, fold: usize, plane: usize, groups: usize) -> Block {
        if groups > self.room {
            let mut empty = self.sibling();
            empty.grow(groups);
            return empty.plane(fold, plane, groups);
        }
        let Fold { op, dtype, .. } = self.folds[fold];
        let d = op.planes(dtype)[plane];
        let at = self.of(fold).planes[plane];
        let strides = [(self.record() / d.size()) as isize];
        let owner = std::sync::Arc::new(self.block.clone());
        // SAFETY: the block, which the view keeps, has an aligned element of this dtype in each of its records.
        unsafe { Block::from_foreign(d, &[groups], &strides, at, owner) }.to_contiguous()
    }

    /// The bytes of some records, one after the other.
    pub fn bytes(&self, of: &[u32]) -> Vec<u8> {
        let (record, all) = (self.record(), self.block.bytes());
        let mut out = Vec::with_capacity(of.len() * record);
        of.iter().for_each(|&g| out.extend_from_slice(&all[g as usize * record..][..record]));
        out
    }

    /// Records that were kept elsewhere, to be merged into others.
    pub fn load(&mut self, bytes: &[u8], groups: usize) {
        let mut block = Block::uninit(DType::U64, &[groups * self.words]);
        block.bytes_mut().copy_from_slice(bytes);
        (self.block, self.room) = (block, groups);
    }
}
