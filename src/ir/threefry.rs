//! Threefry-2x32 with 20 rounds: a random function of a counter under a key.
//!
//! Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Additions, rotations and exclusive ors of
//! words of 32 bits, which every backend has: numbers here are the same on all of them.

use super::{Builder, Value};
use crate::dtype::{DType, Scalar};
use crate::op::BinaryOp;

/// What words of 32 bits are made of: numbers, or values of a kernel.
pub trait Words {
    /// A word.
    type Word: Copy;
    /// A constant.
    fn word(&mut self, x: u32) -> Self::Word;
    /// `a + b`, wrapping.
    fn add(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a ^ b`.
    fn xor(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// The bits of `a` moved up by `n` places, those that fall out coming in below.
    fn rotate(&mut self, a: Self::Word, n: u32) -> Self::Word;
}

/// 64 random bits for a counter of 64 bits under a key of 64 bits, each as two words.
pub fn threefry<M: Words>(m: &mut M, key: [M::Word; 2], counter: [M::Word; 2]) -> [M::Word; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let (parity, both) = (m.word(0x1bd1_1bda), m.xor(key[0], key[1]));
    let keys = [key[0], key[1], m.xor(both, parity)];
    let mut x = [m.add(counter[0], key[0]), m.add(counter[1], key[1])];
    for n in 0..5 {
        for rotation in ROTATIONS[n % 2] {
            x[0] = m.add(x[0], x[1]);
            let turned = m.rotate(x[1], rotation);
            x[1] = m.xor(turned, x[0]);
        }
        let round = m.word(n as u32 + 1);
        let second = m.add(keys[(n + 2) % 3], round);
        x = [m.add(x[0], keys[(n + 1) % 3]), m.add(x[1], second)];
    }
    x
}

/// Numbers.
pub struct Plain;

impl Words for Plain {
    type Word = u32;

    fn word(&mut self, x: u32) -> u32 {
        x
    }

    fn add(&mut self, a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn xor(&mut self, a: u32, b: u32) -> u32 {
        a ^ b
    }

    fn rotate(&mut self, a: u32, n: u32) -> u32 {
        a.rotate_left(n)
    }
}

impl Words for Builder {
    type Word = Value;

    fn word(&mut self, x: u32) -> Value {
        self.constant(Scalar::from(x))
    }

    fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Add, a, b)
    }

    fn xor(&mut self, a: Value, b: Value) -> Value {
        self.binary(BinaryOp::Xor, a, b)
    }

    fn rotate(&mut self, a: Value, n: u32) -> Value {
        let [up, down] = [n, u32::BITS - n].map(|n| self.word(n));
        let (high, low) = (self.binary(BinaryOp::Shl, a, up), self.binary(BinaryOp::Shr, a, down));
        self.binary(BinaryOp::Or, high, low)
    }
}

impl Builder {
    /// Random bits of each element of an array: a function of a key and the element's place in C order, which is given by its index on
    /// each axis, made on demand in the dtype asked for.
    ///
    /// u64: the two words of [`threefry`], the first one high; u32: their exclusive or.
    pub fn random(
        &mut self,
        key: [Value; 2],
        dtype: DType,
        shape: &[usize],
        mut index: impl FnMut(&mut Builder, usize, DType) -> Value,
    ) -> Value {
        let short = shape.iter().product::<usize>() as u64 <= 1 << 32;
        let word = if short { DType::U32 } else { DType::U64 };
        let mut place = self.constant(Scalar::zero(word));
        let mut stride = 1u64;
        for axis in (0..shape.len()).rev() {
            let i = index(self, axis, word);
            let step = self.constant(Scalar::from(stride).cast(word));
            let along = self.binary(BinaryOp::Mul, i, step);
            place = self.binary(BinaryOp::Add, along, place);
            stride *= shape[axis] as u64;
        }
        let high = if short {
            self.word(0)
        } else {
            let width = self.constant(Scalar::from(32u64));
            let high = self.binary(BinaryOp::Shr, place, width);
            self.cast(DType::U32, high)
        };
        let low = self.cast(DType::U32, place);
        let [a, b] = threefry(self, key, [high, low]);
        if dtype == DType::U32 {
            return self.xor(a, b);
        }
        let [a, b] = [a, b].map(|w| self.cast(DType::U64, w));
        let width = self.constant(Scalar::from(32u64));
        let high = self.binary(BinaryOp::Shl, a, width);
        self.binary(BinaryOp::Or, high, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the authors' library.
    #[test]
    fn known_answers() {
        let all = u32::MAX;
        for (key, counter, expect) in [
            ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
            ([all, all], [all, all], [0x1cb9_96fc, 0xbb00_2be7]),
            ([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]),
        ] {
            assert_eq!(threefry(&mut Plain, key, counter), expect);
        }
    }
}
