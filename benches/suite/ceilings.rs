//! What this machine can do: hand-written loops on all threads that move a row's compulsory bytes and do nothing else.
//!
//! | ceiling | loop |
//! |---|---|
//! | read | every stream summed |
//! | map | the row's input streams read, one f32 stream written (of one f32 input: copy; of two: triad) |
//! | fma | twelve chains of fused multiply-adds per thread, no memory |
//!
//! `map` runs with stores that bypass the caches and with ordinary ones, and the faster counts: the former wins on large
//! arrays, the latter where everything fits a cache. Mode "into" writes memory that is there; mode "fresh" maps it anew
//! on huge pages for every repeat, so that the kernel's zeroing of pages counts as it counts for a fresh result.

use crate::memory::{Mapped, Workers};
use crate::simd::Level;
use blockwise::block::Block;
use blockwise::dtype::DType;
use std::time::Instant;

/// Elements that a thread takes at a time.
const STEP: usize = 1 << 18;

/// Measures; every figure is the best of `repeat` after a warm-up.
pub struct Ceilings<'a> {
    pub workers: &'a Workers,
    pub repeat: usize,
    pub level: Level,
}

/// The shortest of `repeat` timings after one that does not count.
fn best(repeat: usize, mut run: impl FnMut() -> f64) -> f64 {
    run();
    (0..repeat).map(|_| run()).fold(f64::INFINITY, f64::min)
}

/// The bytes of a contiguous block.
fn bytes(block: &Block) -> &[u8] {
    match block.dtype() {
        DType::U16 => bytemuck::cast_slice(block.as_slice::<u16>().expect("contiguous")),
        _ => bytemuck::cast_slice(block.as_slice::<f32>().expect("contiguous")),
    }
}

impl Ceilings<'_> {
    /// Seconds to read these blocks once.
    pub fn read(&self, blocks: &[Block]) -> f64 {
        best(self.repeat, || {
            let start = Instant::now();
            for block in blocks {
                let all = bytes(block);
                let step = STEP * 4;
                let sums = self.workers.fold(
                    all.len(),
                    step,
                    || 0u64,
                    |sum, range| *sum = sum.wrapping_add(self.level.read(&all[range])),
                );
                std::hint::black_box(sums);
            }
            start.elapsed().as_secs_f64()
        })
    }

    /// Seconds to read these blocks and write as many f32 into memory that is there.
    pub fn map_into(&self, blocks: &[Block], out: &mut [f32]) -> f64 {
        let timed = |streaming| {
            move |out: &mut [f32]| {
                let start = Instant::now();
                self.map(blocks, out, streaming);
                start.elapsed().as_secs_f64()
            }
        };
        best(self.repeat, || timed(true)(out)).min(best(self.repeat, || timed(false)(out)))
    }

    /// Seconds to map memory, read these blocks and write as many f32 into it. Unmapping does not count.
    pub fn map_fresh(&self, blocks: &[Block]) -> f64 {
        let n = blocks[0].len();
        let timed = |streaming| {
            let start = Instant::now();
            let mut memory = Mapped::new(n * 4);
            self.map(blocks, memory.slice_mut(), streaming);
            start.elapsed().as_secs_f64()
        };
        best(self.repeat, || timed(true)).min(best(self.repeat, || timed(false)))
    }

    fn map(&self, blocks: &[Block], out: &mut [f32], streaming: bool) {
        let level = self.level;
        if blocks[0].dtype() == DType::U16 {
            let inputs: Vec<&[u16]> = blocks.iter().map(|b| b.as_slice().expect("u16")).collect();
            self.workers.pieces(out, STEP, |at, part| {
                let cut = |k: usize| &inputs[k][at..at + part.len()];
                match inputs.len() {
                    1 => level.map_u16([cut(0)], part, streaming),
                    2 => level.map_u16([cut(0), cut(1)], part, streaming),
                    _ => level.map_u16([cut(0), cut(1), cut(2)], part, streaming),
                }
            });
        } else {
            let inputs: Vec<&[f32]> = blocks.iter().map(|b| b.as_slice().expect("f32")).collect();
            self.workers.pieces(out, STEP, |at, part| {
                let cut = |k: usize| &inputs[k][at..at + part.len()];
                match inputs.len() {
                    1 => level.map_f32([cut(0)], part, streaming),
                    2 => level.map_f32([cut(0), cut(1)], part, streaming),
                    _ => level.map_f32([cut(0), cut(1), cut(2)], part, streaming),
                }
            });
        }
    }

    /// Floating-point operations per second of all threads, f32.
    pub fn fma(&self) -> f64 {
        let mut operations = 0;
        let seconds = best(self.repeat, || {
            let start = Instant::now();
            operations = self.workers.everywhere(|| self.level.fma(1 << 22)).iter().sum();
            start.elapsed().as_secs_f64()
        });
        operations as f64 / seconds
    }

    /// Whether the loops move what they say: the sum of their streams arrives, at every place.
    pub fn verify(&self) -> bool {
        let n = 1003;
        let mut out = vec![0.0; n];
        let floats: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let counts: Vec<u16> = (0..n).map(|i| i as u16).collect();
        let (floats, counts) = (Block::from_vec(floats), Block::from_vec(counts));
        (1..=3).all(|k| {
            [&floats, &counts].into_iter().all(|block| {
                [true, false].into_iter().all(|streaming| {
                    out.fill(-1.0);
                    self.map(&vec![block.clone(); k], &mut out, streaming);
                    out.iter().enumerate().all(|(i, &v)| v == (k * i) as f32)
                })
            })
        })
    }
}
