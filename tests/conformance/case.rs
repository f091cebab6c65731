//! A kernel with its operands, and what it writes when a backend runs it.

use blockwise::backend::{Executable, Launch, Operand, Output, Records};
use blockwise::dtype::{DType, Scalar};
use blockwise::ir::{Kernel, Root};
use blockwise::op::ReduceOp;
use blockwise::shape::Region;
use blockwise_kernels::naive;
use smallvec::SmallVec;

/// A small generator of random numbers: a case is a function of its seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A value of a dtype: special, any bits, a small integer, or an ordinary number.
    pub fn scalar(&mut self, d: DType) -> Scalar {
        const SPECIAL: [f64; 24] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -2.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            1e-45,
            -1e-40,
            6e-8,
            65504.0,
            65520.0,
            -128.0,
            255.0,
            32768.0,
            -2147483648.0,
            9.3e18,
            1.9e19,
        ];
        match self.below(8) {
            0 => Scalar::from(self.pick(&SPECIAL)).cast(d),
            1 => Scalar::from_bits(d, self.next() ^ self.next() << 32),
            2..4 => Scalar::from(self.below(20) as i64 - 6).cast(d),
            _ => Scalar::from(self.below(1 << 20) as f64 / 8192.0 - 50.0).cast(d),
        }
    }
}

/// Bytes of a group's record, of which its accumulators are a part.
const RECORD: usize = 16;

/// Elements in memory with strides (bytes) over the points of a region.
#[derive(Clone)]
pub struct Memory {
    words: Vec<u64>,
    offset: usize,
    strides: SmallVec<[isize; 4]>,
}

impl Memory {
    /// A random layout over `shape`: permuted, with gaps, backwards; along the axes in `fixed` the stride is 0.
    pub fn layout(rng: &mut Rng, shape: &[usize], d: DType, fixed: &[bool]) -> Memory {
        let mut order: Vec<usize> = (0..shape.len()).rev().collect();
        let plain = rng.chance(50);
        if !plain {
            for k in (1..order.len()).rev() {
                order.swap(k, rng.below(k + 1));
            }
        }
        let (mut extent, mut first) = (1, 0);
        let mut strides: SmallVec<[isize; 4]> = SmallVec::from_elem(0, shape.len());
        for k in order {
            if fixed[k] {
                continue;
            }
            let step = extent * if plain { 1 } else { rng.pick(&[1, 1, 1, 2, 3]) };
            extent = step * shape[k].max(1);
            strides[k] = (step * d.size()) as isize;
            if !plain && rng.chance(20) {
                first += step * (shape[k].max(1) - 1);
                strides[k] = -strides[k];
            }
        }
        let words = vec![0x5a5a_5a5a_5a5a_5a5a; (extent * d.size()).div_ceil(8)];
        Memory { words, offset: first * d.size(), strides }
    }

    /// `n` elements one after the other.
    fn contiguous(n: usize, d: DType) -> Memory {
        let words = vec![0x5a5a_5a5a_5a5a_5a5a; (n * d.size()).div_ceil(8).max(1)];
        Memory { words, offset: 0, strides: SmallVec::from_slice(&[d.size() as isize]) }
    }

    /// An element in each of `n` records.
    fn records(n: usize) -> Memory {
        let words = vec![0x5a5a_5a5a_5a5a_5a5a; n * RECORD / 8];
        Memory { words, offset: 0, strides: SmallVec::from_slice(&[RECORD as isize]) }
    }

    fn base(&mut self) -> *mut u8 {
        // SAFETY: the offset is that of an element inside.
        unsafe { self.words.as_mut_ptr().cast::<u8>().add(self.offset) }
    }

    fn index(&self, at: &[usize]) -> usize {
        let offset: isize = at.iter().zip(&self.strides).map(|(&i, &s)| i as isize * s).sum();
        (self.offset as isize + offset) as usize
    }

    pub fn set(&mut self, at: &[usize], s: Scalar) {
        let (i, size) = (self.index(at), s.dtype().size());
        let shift = 8 * (i % 8);
        let mask = if size == 8 { u64::MAX } else { (1u64 << (8 * size)) - 1 };
        let word = &mut self.words[i / 8];
        *word = *word & !(mask << shift) | s.bits() << shift;
    }

    pub fn get(&self, d: DType, at: &[usize]) -> Scalar {
        let i = self.index(at);
        Scalar::from_bits(d, self.words[i / 8] >> (8 * (i % 8)))
    }

    /// The operand for the points from `at` on.
    fn operand(&mut self, at: &[usize]) -> Operand {
        let offset = self.index(at) as isize - self.offset as isize;
        Operand { ptr: self.base().wrapping_offset(offset), strides: self.strides.clone() }
    }
}

/// A kernel, where it runs, and what it reads.
pub struct Case {
    pub kernel: Kernel,
    pub region: Region,
    pub shape: Vec<usize>,
    pub inputs: Vec<Memory>,
    /// Where the results go: one per root and plane; written over in every run.
    pub outputs: Vec<Vec<Memory>>,
    /// Lengths along the first axis that are launched one after the other.
    pub pieces: Vec<usize>,
    /// Accumulators of folds by group.
    pub groups: usize,
    /// Whether the launch says that its results are not read again soon.
    pub streaming: bool,
}

/// What a root wrote: each plane's values in C order of the places.
pub type Written = Vec<Vec<Scalar>>;

/// Accumulators of a fold by group, if nothing else is said.
pub const GROUPS: usize = 8;

impl Case {
    /// Operands with random values and layouts for a kernel over a region.
    pub fn new(rng: &mut Rng, kernel: Kernel, region: Region) -> Case {
        let rank = region.ndim();
        let inputs = kernel
            .inputs()
            .iter()
            .map(|input| {
                let fixed: Vec<bool> = (0..rank).map(|_| rng.chance(15)).collect();
                let mut memory = Memory::layout(rng, &region.shape, input.dtype, &fixed);
                // few values make ties, one value makes all equal
                let few: Vec<Scalar> = (0..3).map(|_| rng.scalar(input.dtype)).collect();
                let ties = rng.chance(15);
                for at in points(&region.shape) {
                    let s = if ties { rng.pick(&few) } else { rng.scalar(input.dtype) };
                    memory.set(&at, s);
                }
                memory
            })
            .collect();
        let outputs = kernel.roots().iter().map(|root| {
            let d = |v| kernel.dtype(v);
            match root {
                Root::Store { value } => {
                    vec![Memory::layout(rng, &region.shape, d(*value), &vec![false; rank])]
                }
                Root::Reduce { op, value, axes } => {
                    let fixed: Vec<bool> = (0..rank).map(|k| axes.contains(&(k as u8))).collect();
                    let planes = op.planes(d(*value));
                    planes.into_iter().map(|d| Memory::layout(rng, &region.shape, d, &fixed)).collect()
                }
                Root::GroupReduce { op, value, .. } => {
                    op.planes(d(*value)).into_iter().map(|_| Memory::records(GROUPS)).collect()
                }
                Root::Select { value, .. } => vec![Memory::contiguous(region.len(), d(*value))],
            }
        });
        let outputs = outputs.collect();
        let selects = kernel.roots().iter().any(|r| matches!(r, Root::Select { .. }));
        let mut pieces = vec![];
        if rank > 0 && !selects && region.shape[0] > 1 && rng.chance(30) {
            let first = 1 + rng.below(region.shape[0] - 1);
            pieces = vec![first, region.shape[0] - first];
        }
        let shape = (0..rank).map(|k| region.end(k) + rng.below(5)).collect();
        Case { kernel, region, shape, inputs, outputs, pieces, groups: GROUPS, streaming: rng.chance(30) }
    }

    /// The same with so many accumulators of folds by group.
    pub fn with_groups(mut self, groups: usize) -> Case {
        for (root, planes) in self.kernel.roots().iter().zip(&mut self.outputs) {
            if let Root::GroupReduce { .. } = root {
                planes.iter_mut().for_each(|plane| *plane = Memory::records(groups));
            }
        }
        Case { groups, ..self }
    }

    /// What the roots write when a backend runs them.
    pub fn run(&self, executable: &dyn Executable) -> Vec<Written> {
        let rank = self.region.ndim();
        let mut inputs = self.inputs.clone();
        let mut memory = self.outputs.clone();
        for (root, planes) in self.kernel.roots().iter().zip(&mut memory) {
            if let Root::GroupReduce { op, value, .. } = root {
                let empty = naive::fold::init(*op, self.kernel.dtype(*value));
                for (plane, s) in planes.iter_mut().zip(empty) {
                    (0..self.groups).for_each(|g| plane.set(&[g], s));
                }
            }
            if let Root::Reduce { op, value, .. } = root {
                let empty = naive::fold::init(*op, self.kernel.dtype(*value));
                for (plane, s) in planes.iter_mut().zip(empty) {
                    points(&self.region.shape).for_each(|at| plane.set(&at, s));
                }
            }
        }
        let mut counts = vec![0usize; memory.len()];
        let mut from = vec![0; rank];
        let whole = [if rank > 0 { self.region.shape[0] } else { 1 }];
        for &length in if self.pieces.is_empty() { &whole[..] } else { &self.pieces } {
            let mut region = self.region.clone();
            if rank > 0 {
                region.start[0] += from[0];
                region.shape[0] = length;
            }
            let operands: Vec<Operand> = inputs.iter_mut().map(|m| m.operand(&from)).collect();
            let mut outputs = Vec::new();
            for ((root, planes), count) in self.kernel.roots().iter().zip(&mut memory).zip(&mut counts) {
                outputs.push(match root {
                    Root::Store { .. } => Output::Store(planes[0].operand(&from)),
                    Root::Reduce { .. } => {
                        Output::Reduce(planes.iter_mut().map(|m| m.operand(&from)).collect())
                    }
                    Root::GroupReduce { .. } => {
                        let mut at = [std::ptr::null_mut(); 3];
                        at.iter_mut().zip(planes).for_each(|(p, m)| *p = m.base());
                        Output::GroupReduce(Records { planes: at, stride: RECORD })
                    }
                    Root::Select { .. } => Output::Select { ptr: planes[0].base(), count },
                });
            }
            let launch = Launch {
                region: &region,
                shape: &self.shape,
                inputs: &operands,
                outputs: &outputs,
                slots: self.groups,
                streaming: self.streaming,
            };
            // SAFETY: all operands hold an element for every point of the whole region, outputs apart from each other.
            unsafe { executable.run(&launch) }.expect("run");
            if rank > 0 {
                from[0] += length;
            }
        }
        let roots = self.kernel.roots().iter().zip(memory).zip(counts);
        roots.map(|((root, planes), count)| self.read(root, &planes, count)).collect()
    }

    fn read(&self, root: &Root, planes: &[Memory], count: usize) -> Written {
        let d = |v| self.kernel.dtype(v);
        match root {
            Root::Store { value } => {
                vec![points(&self.region.shape).map(|at| planes[0].get(d(*value), &at)).collect()]
            }
            Root::Reduce { op, value, axes } => {
                let mut kept = self.region.shape.clone();
                axes.iter().for_each(|&a| kept[a as usize] = 1);
                let dtypes = op.planes(d(*value));
                planes
                    .iter()
                    .zip(dtypes)
                    .map(|(m, d)| points(&kept).map(|at| m.get(d, &at)).collect())
                    .collect()
            }
            Root::GroupReduce { op, value, .. } => {
                let dtypes = op.planes(d(*value));
                let of = |(m, d): (&Memory, DType)| (0..self.groups).map(|g| m.get(d, &[g])).collect();
                planes.iter().zip(dtypes).map(of).collect()
            }
            Root::Select { value, .. } => {
                vec![
                    vec![Scalar::from(count as u64)],
                    (0..count).map(|i| planes[0].get(d(*value), &[i])).collect(),
                ]
            }
        }
    }
}

/// Every index of a box, in C order.
pub fn points(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.to_vec();
    (0..shape.iter().product::<usize>()).map(move |mut n| {
        let mut at = vec![0; shape.len()];
        for k in (0..shape.len()).rev() {
            at[k] = n % shape[k];
            n /= shape[k];
        }
        at
    })
}

/// Whether the order of a fold shows in its result.
pub fn rounds(op: ReduceOp, d: DType) -> bool {
    matches!(op, ReduceOp::M2 | ReduceOp::NanM2 | ReduceOp::NanSum)
        || matches!(op, ReduceOp::Sum | ReduceOp::Prod) && d.is_float()
}
