//! The inputs: every element is a function of a fixed seed, the input's name and the element's place, so that any part can
//! be made, and checked, without the rest.

use crate::memory::{Mapped, Workers};
use blockwise::block::{Block, BlockSource};
use blockwise::dtype::DType;
use blockwise::error::Result;
use blockwise::shape::{Grid, Region};

/// Elements that a thread fills at a time.
const STEP: usize = 1 << 18;

/// How an input's elements are distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// Uniform in `[low, high)`.
    Uniform(f32, f32),
    /// Uniform in [0, 1), 10 % NaN.
    WithNan,
    /// Uniform in [0, 1), plus a season along axis 0: `sin(t / 10)`.
    Seasonal,
    /// Integers 1..=9999, u16.
    Counts,
}

/// An input: its values and the random stream they come from.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    values: Values,
    seed: u64,
}

/// The 64 bits at a place of a random stream (SplitMix64).
fn random(seed: u64, at: u64) -> u64 {
    let mut z = seed.wrapping_add(at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Input {
    /// The input of a name, as benches/peers/README.md lists them.
    pub fn named(name: &str) -> Input {
        let values = match name {
            "red_u16" | "nir_u16" => Values::Counts,
            "x_nan" => Values::WithNan,
            "red" => Values::Uniform(0.02, 0.3),
            "nir" => Values::Uniform(0.2, 0.6),
            "blue" => Values::Uniform(0.01, 0.15),
            "price" | "strike" => Values::Uniform(10.0, 50.0),
            "time" => Values::Uniform(0.25, 2.0),
            "anomaly" => Values::Seasonal,
            _ => Values::Uniform(0.0, 1.0),
        };
        // FNV-1a
        let seed = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Input { values, seed }
    }

    pub fn dtype(&self) -> DType {
        if self.values == Values::Counts { DType::U16 } else { DType::F32 }
    }

    /// The element at a place in C order, `outer` being its index on axis 0; of an f32 input.
    pub fn f32(&self, at: u64, outer: usize) -> f32 {
        let bits = random(self.seed, at);
        let unit = (bits >> 40) as f32 / (1u64 << 24) as f32;
        match self.values {
            Values::Uniform(low, high) => (unit * (high - low) + low).min(high.next_down()),
            Values::WithNan if bits.is_multiple_of(10) => f32::NAN,
            Values::Seasonal => unit + (outer as f32 / 10.0).sin(),
            _ => unit,
        }
    }

    /// The element at a place in C order; of a u16 input.
    pub fn u16(&self, at: u64) -> u16 {
        // the high half of a product is uniform but for one part in 2^50
        ((u128::from(random(self.seed, at)) * 9999) >> 64) as u16 + 1
    }

    /// The whole input of side `n` in memory.
    pub fn plane(&self, n: usize, workers: &Workers) -> Block {
        let mut memory = Mapped::new(n * n * self.dtype().size());
        if self.dtype() == DType::U16 {
            workers.pieces(&mut memory.slice_mut::<u16>()[..n * n], STEP, |start, part| {
                for (i, v) in part.iter_mut().enumerate() {
                    *v = self.u16((start + i) as u64);
                }
            });
            return memory.into_block::<u16>(&[n, n]);
        }
        workers.pieces(&mut memory.slice_mut::<f32>()[..n * n], STEP, |start, part| {
            for (i, v) in part.iter_mut().enumerate() {
                *v = self.f32((start + i) as u64, 0);
            }
        });
        memory.into_block::<f32>(&[n, n])
    }
}

/// An input as a source that makes regions when they are read: of any size, and never in memory.
#[derive(Debug)]
pub struct Generated {
    input: Input,
    grid: Grid,
}

impl Generated {
    pub fn new(input: Input, grid: Grid) -> Generated {
        Generated { input, grid }
    }
}

impl BlockSource for Generated {
    fn dtype(&self) -> DType {
        self.input.dtype()
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "generated".into()
    }

    fn read(&self, region: &Region) -> Result<Block> {
        let whole = self.grid.shape();
        let shape = region.shape.to_vec();
        let place = |index: &[usize]| {
            let along = index.iter().zip(&region.start).zip(&whole);
            along.fold(0u64, |at, ((i, start), len)| at * *len as u64 + (i + start) as u64)
        };
        // whole rows at a time: the last axis is contiguous in the stream
        let row = shape.last().copied().unwrap_or(1);
        let rows = ndarray::indices(&shape[..shape.len().saturating_sub(1)]).into_iter();
        let rows = rows.map(|outer| {
            let mut index = ndarray::Dimension::slice(&outer).to_vec();
            let first = index.first().map_or(0, |i| i + region.start[0]);
            if !shape.is_empty() {
                index.push(0);
            }
            (place(&index), first)
        });
        if self.input.dtype() == DType::U16 {
            let mut values: Vec<u16> = Vec::with_capacity(region.len());
            for (at, _) in rows {
                values.extend((0..row as u64).map(|i| self.input.u16(at + i)));
            }
            return Ok(Block::from_vec(values).reshape(&shape));
        }
        let mut values: Vec<f32> = Vec::with_capacity(region.len());
        if self.input.values == Values::Seasonal {
            // one sine a row
            let plain = Input { values: Values::Uniform(0.0, 1.0), ..self.input };
            for (at, first) in rows {
                let season = (first as f32 / 10.0).sin();
                values.extend((0..row as u64).map(|i| plain.f32(at + i, 0) + season));
            }
        } else {
            for (at, first) in rows {
                values.extend((0..row as u64).map(|i| self.input.f32(at + i, first)));
            }
        }
        Ok(Block::from_vec(values).reshape(&shape))
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        extent.iter().product::<usize>() * self.dtype().size()
    }
}
