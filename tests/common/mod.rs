//! What the array tests share: a deterministic generator, random shapes and chunkings, comparisons.
#![allow(dead_code, reason = "every test binary uses its part")]

use blockwise::prelude::*;
use blockwise::shape::{AxisChunks, Grid};
use ndarray::{ArrayD, IxDyn};
use std::sync::OnceLock;

/// SplitMix64: the same numbers on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// A number in `lo..=hi`.
    pub fn within(&mut self, lo: isize, hi: isize) -> isize {
        lo + self.below((hi - lo + 1).max(1) as usize) as isize
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// A permutation of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }

    /// A shape of up to four axes, some empty, some of length 1.
    pub fn shape(&mut self) -> Vec<usize> {
        let ndim = self.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4]);
        self.shape_of(ndim)
    }

    pub fn shape_of(&mut self, ndim: usize) -> Vec<usize> {
        let longest = [1, 40, 14, 8, 5, 4][ndim.min(5)];
        (0..ndim)
            .map(|_| match self.below(24) {
                0 => 0,
                1..=3 => 1,
                _ => 1 + self.below(longest),
            })
            .collect()
    }

    /// The axis `k` of `ndim`, counted from the front or the back.
    pub fn signed_axis(&mut self, k: usize, ndim: usize) -> isize {
        if self.once_in(2) { k as isize } else { k as isize - ndim as isize }
    }
}

/// Cuts an array in a random way, by every form of chunks there is.
pub fn rechunked(x: &Array, rng: &mut Rng) -> Array {
    let ndim = x.ndim();
    match rng.below(9) {
        0 => x.clone(),
        1 => x.rechunk(1 + rng.below(5)),
        2 => x.rechunk(if rng.once_in(2) { -1 } else { 3 }),
        3 => x.rechunk("auto"),
        4 => x.rechunk(rng.pick(&["8B", "40B", "1KiB"])),
        5 if ndim == 2 => x.rechunk([1 + rng.below(4) as isize, -1]),
        5 if ndim > 0 => x.rechunk([(rng.below(ndim), 1 + rng.below(3) as isize)]),
        6 => {
            let shape = x.shape().to_vec();
            x.rechunk(Grid::new(shape.iter().map(|&n| AxisChunks::explicit(&lengths(n, rng)))))
        }
        7 => {
            let sizes: Vec<usize> = (0..ndim).map(|_| 1 + rng.below(6)).collect();
            x.rechunk(sizes.as_slice())
        }
        _ => {
            let shape = x.shape().to_vec();
            let specs = shape.iter().map(|&n| match rng.below(5) {
                0 => ChunkSpec::Size(1 + rng.below(7)),
                1 => ChunkSpec::Lengths(lengths(n, rng)),
                2 => ChunkSpec::Whole,
                3 => ChunkSpec::Keep,
                _ => ChunkSpec::Auto(rng.once_in(2).then(|| 8 + rng.below(300) as u64)),
            });
            x.rechunk(specs.collect::<Vec<_>>())
        }
    }
}

/// Lengths of chunks that add up to `n`.
pub fn lengths(n: usize, rng: &mut Rng) -> Vec<usize> {
    let mut left = n;
    let mut out = vec![];
    while left > 0 {
        let part = 1 + rng.below(left.min(6));
        out.push(part);
        left -= part;
    }
    out
}

/// Sessions of 1, 2 and 4 threads.
pub fn session(threads: usize) -> &'static Session {
    static SESSIONS: [OnceLock<Session>; 5] = [const { OnceLock::new() }; 5];
    SESSIONS[threads].get_or_init(|| Session::builder().threads(threads).build().expect("a session"))
}

/// Computes an array as an `ndarray` array of its own dtype.
pub fn computed<T: blockwise::dtype::Element>(x: &Array) -> ArrayD<T> {
    let block = match x.compute() {
        Ok(block) => block,
        Err(e) => panic!("{e}\n{x:?}"),
    };
    assert_eq!(block.shape(), x.shape(), "shape announced and computed");
    assert_eq!(block.dtype(), x.dtype(), "dtype announced and computed");
    match block.into_array() {
        Ok(values) => values,
        Err(e) => panic!("{e}"),
    }
}

/// An array of numbers that differ from each other.
pub fn numbered(shape: &[usize]) -> ArrayD<i64> {
    let n: usize = shape.iter().product();
    ArrayD::from_shape_vec(IxDyn(shape), (0..n as i64).map(|i| i * 7 % 1009 - 300).collect())
        .expect("as many numbers as the shape has places")
}

/// All indices of a shape in C order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let n: usize = shape.iter().product();
    (0..n)
        .map(|mut i| {
            let mut index = vec![0; shape.len()];
            for k in (0..shape.len()).rev() {
                index[k] = i % shape[k];
                i /= shape[k];
            }
            index
        })
        .collect()
}

/// An array made by a function of the index.
pub fn from_index<T: Clone>(shape: &[usize], mut f: impl FnMut(&[usize]) -> T) -> ArrayD<T> {
    let values = indices(shape).iter().map(|i| f(i)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("one value per index")
}

/// Prints what was being done if the test panics.
pub struct Story(pub String);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}
