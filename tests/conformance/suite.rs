//! The tests, over any set of backends.

use crate::agree::{Tolerance, check};
use crate::case::{self, Case, Rng};
use crate::random;
use blockwise::backend::{Backend, Executable};
use blockwise::dtype::{DType, Scalar};
use blockwise::ir::{Builder, Kernel, Value};
use blockwise::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use blockwise::schedule::KernelCache;
use blockwise::shape::{AxisMap, IndexMap, Region};
use std::sync::Arc;

/// Backends that must agree, and what they need not do.
pub struct Suite {
    backends: Vec<KernelCache>,
    /// Units in the last place that functions of f32 and f64 may be off.
    ulps: u64,
    /// Whether the backends must refuse a kernel as unsupported.
    refuses: fn(&Kernel) -> bool,
    /// Where operations and their operands' shapes or constants are combined: one in so many of the combinations.
    one_in: usize,
}

impl Suite {
    pub fn new(
        backends: Vec<Arc<dyn Backend>>,
        ulps: u64,
        refuses: fn(&Kernel) -> bool,
        one_in: usize,
    ) -> Suite {
        Suite { backends: backends.into_iter().map(KernelCache::new).collect(), ulps, refuses, one_in }
    }

    /// Whether to test combination `n` of an operation and dtype: others for each of them.
    fn tests(&self, n: usize, op: u8, d: DType) -> bool {
        (n + op as usize + 3 * d as usize).is_multiple_of(self.one_in)
    }

    /// Name and executable of each backend; none of those that rightly refuse.
    pub fn compiled(&self, kernel: &Kernel) -> Vec<(String, Arc<dyn Executable>)> {
        let compile = |backend: &KernelCache| {
            let name = backend.backend().name();
            match backend.get(kernel) {
                Ok(executable) => {
                    assert!(!(self.refuses)(kernel), "{name} should refuse\n{kernel:?}");
                    Some((name, executable))
                }
                Err(e) => {
                    let unsupported = matches!(e.kind(), blockwise::error::ErrorKind::Unsupported { .. });
                    assert!(unsupported && (self.refuses)(kernel), "{name}: {e}\n{kernel:?}");
                    None
                }
            }
        };
        self.backends.iter().filter_map(compile).collect()
    }
}

/// Lengths of one-dimensional regions.
const LENGTHS: [usize; 5] = [0, 1, 7, 63, 1025];

/// Runs the kernel that `build` makes of loads of these dtypes, over a line of every length.
fn on_lines(
    suite: &Suite,
    inputs: &[DType],
    stored: Tolerance,
    what: &str,
    build: impl Fn(&mut Builder, &[Value]),
) {
    for (n, seed) in LENGTHS.into_iter().zip(1..) {
        let mut rng = Rng::new(seed);
        let mut b = Builder::new(1);
        let loads: Vec<Value> = inputs
            .iter()
            .map(|d| {
                let input = b.input(*d, IndexMap::identity(1));
                b.load(input)
            })
            .collect();
        build(&mut b, &loads);
        let kernel = b.finish().expect(what);
        let case = Case::new(&mut rng, kernel, Region::new([3usize].as_slice(), [n].as_slice()));
        check(suite, &case, stored, what);
    }
}

fn of_result(suite: &Suite, transcendental: bool, d: DType) -> Tolerance {
    match d {
        _ if !transcendental => Tolerance::Exact,
        DType::F16 => Tolerance::Ulps(1),
        _ => Tolerance::Ulps(suite.ulps),
    }
}

pub fn unary(suite: &Suite) {
    for (d, &op) in DType::ALL.iter().flat_map(|d| UnaryOp::ALL.iter().map(move |op| (*d, op))) {
        if op.accepts(d) {
            on_lines(
                suite,
                &[d],
                of_result(suite, op.is_transcendental(), d),
                &format!("{op} {d}"),
                |b, x| {
                    let y = b.unary(op, x[0]);
                    b.store(y);
                },
            );
        }
    }
}

pub fn binary(suite: &Suite) {
    for (d, &op) in DType::ALL.iter().flat_map(|d| BinaryOp::ALL.iter().map(move |op| (*d, op))) {
        if !op.accepts(d) {
            continue;
        }
        let stored = match op {
            BinaryOp::Min | BinaryOp::Max | BinaryOp::Fmin | BinaryOp::Fmax => Tolerance::Number,
            // sums near 1 cancel: the error is that of the operands, here up to 100
            BinaryOp::Logaddexp | BinaryOp::Logaddexp2 => Tolerance::Near(suite.ulps, 100.0),
            _ => of_result(suite, op.is_transcendental() || op == BinaryOp::Pow && d.is_float(), d),
        };
        on_lines(suite, &[d, d], stored, &format!("{op} {d}"), |b, x| {
            let y = b.binary(op, x[0], x[1]);
            b.store(y);
        });
        let mut rng = Rng::new(77);
        for k in 0..6 {
            let s = if k < 3 { Scalar::from([2i64, 0, 7][k]).cast(d) } else { rng.scalar(d) };
            if !suite.tests(k, op as u8, d) {
                continue;
            }
            on_lines(suite, &[d], stored, &format!("{op} {d} with {s}"), |b, x| {
                let s = b.constant(s);
                let (left, right) = (b.binary(op, s, x[0]), b.binary(op, x[0], s));
                b.store(left);
                b.store(right);
            });
        }
    }
}

pub fn comparisons_selections_and_multiply_add(suite: &Suite) {
    for d in DType::ALL {
        on_lines(suite, &[d, d, d], Tolerance::Exact, &format!("compare {d}"), |b, x| {
            let s = b.constant(Scalar::one(d));
            for &op in CompareOp::ALL {
                for (p, q) in [(x[0], x[1]), (x[0], s), (s, x[0]), (x[1], x[1])] {
                    let c = b.compare(op, p, q);
                    b.store(c);
                    let y = b.select(c, x[1], x[2]);
                    b.store(y);
                }
            }
            if d != DType::Bool {
                for (p, q, r) in
                    [(x[0], x[1], x[2]), (x[0], s, x[1]), (x[0], x[1], s), (x[0], s, s), (s, x[0], x[1])]
                {
                    let y = b.mul_add(p, q, r);
                    b.store(y);
                }
            }
        });
    }
}

pub fn casts(suite: &Suite) {
    for d in DType::ALL {
        on_lines(suite, &[d], Tolerance::Exact, &format!("casts of {d}"), |b, x| {
            for to in DType::ALL {
                let y = b.cast(to, x[0]);
                b.store(y);
            }
        });
    }
}

pub fn folds_by_group_of_every_dtype(suite: &Suite) {
    for (d, &op) in DType::ALL.iter().flat_map(|d| ReduceOp::ALL.iter().map(move |op| (*d, op))) {
        if op.is_arg() || !op.accepts(d) || op == ReduceOp::Prod && d.is_float() {
            continue;
        }
        for (shape, masked, values) in [
            (&[3000][..], false, 1),
            (&[41][..], true, 1),
            (&[7, 90][..], true, 5),
            (&[600][..], false, 2),
            (&[][..], false, 1),
        ] {
            let rank = shape.len();
            let mut b = Builder::new(rank);
            let [slot, mask] = [DType::U32, DType::Bool].map(|d| b.input(d, IndexMap::identity(rank)));
            let [slot, mask] = [slot, mask].map(|n| b.load(n));
            let last = b.constant(Scalar::from((case::GROUPS - 1) as u32));
            let slot = b.binary(BinaryOp::And, slot, last);
            // several values by the same groups may be folded in one walk
            for _ in 0..values {
                let x = b.input(d, IndexMap::identity(rank));
                let x = b.load(x);
                let x = if case::rounds(op, d) { random::tame(&mut b, x) } else { x };
                b.group_reduce(op, x, slot, masked.then_some(mask));
            }
            let kernel = b.finish().expect("a fold by group");
            let start = vec![5; rank];
            let case = Case::new(&mut Rng::new(7), kernel, Region::new(start.as_slice(), shape));
            check(suite, &case, Tolerance::Exact, &format!("{values} {op} {d} by group"));
        }
    }
}

pub fn folds_into_many_groups(suite: &Suite) {
    let folds = [
        (ReduceOp::Sum, DType::F32),
        (ReduceOp::NanM2, DType::F64),
        (ReduceOp::Fmax, DType::F16),
        (ReduceOp::Sum, DType::I64),
        (ReduceOp::Count, DType::F32),
        (ReduceOp::Any, DType::Bool),
    ];
    for (groups, masked) in [(256, false), (257, true), (1000, false), (1025, true), (40_000, true)] {
        let mut b = Builder::new(2);
        let [slot, mask] = [DType::U32, DType::Bool].map(|d| b.input(d, IndexMap::identity(2)));
        let [slot, mask] = [slot, mask].map(|n| b.load(n));
        let many = b.constant(Scalar::from(groups as u32));
        let slot = b.binary(BinaryOp::Rem, slot, many);
        for (op, d) in folds {
            let x = b.input(d, IndexMap::identity(2));
            let x = b.load(x);
            let x = if case::rounds(op, d) { random::tame(&mut b, x) } else { x };
            b.group_reduce(op, x, slot, masked.then_some(mask));
        }
        let kernel = b.finish().expect("folds by group");
        let region = Region::new([5usize, 1].as_slice(), [7usize, 900].as_slice());
        let case = Case::new(&mut Rng::new(groups as u64), kernel, region).with_groups(groups);
        check(suite, &case, Tolerance::Exact, &format!("{groups} groups"));
    }
}

pub fn reductions_over_every_subset_of_axes(suite: &Suite) {
    let shapes: [&[usize]; 6] = [&[], &[65], &[9, 33], &[33, 3], &[3, 1, 70], &[2, 5, 7, 3]];
    for (d, &op) in DType::ALL.iter().flat_map(|d| ReduceOp::ALL.iter().map(move |op| (*d, op))) {
        // products of floats have a test of their own
        if !op.accepts(d) || op == ReduceOp::Prod && d.is_float() {
            continue;
        }
        let mut combination = 0;
        for (shape, seed) in shapes.iter().zip(1..) {
            let rank = shape.len();
            for subset in 0..1u32 << rank {
                combination += 1;
                if !suite.tests(combination, op as u8, d) {
                    continue;
                }
                let mut rng = Rng::new(seed);
                let mut b = Builder::new(rank);
                let input = b.input(d, IndexMap::identity(rank));
                let x = b.load(input);
                let x = if case::rounds(op, d) { random::tame(&mut b, x) } else { x };
                b.reduce(op, x, (0..rank as u8).filter(|k| subset >> k & 1 == 1));
                let kernel = b.finish().expect("a reduction");
                let start: Vec<usize> = (0..rank).map(|k| k * 10).collect();
                let case = Case::new(&mut rng, kernel, Region::new(start.as_slice(), *shape));
                check(suite, &case, Tolerance::Exact, &format!("{op} {d}"));
            }
        }
    }
}

pub fn products_of_floats(suite: &Suite) {
    for d in [DType::F16, DType::F32, DType::F64] {
        on_lines(suite, &[d], Tolerance::Exact, &format!("prod {d}"), |b, x| {
            // between 1 and 1.25, so that no order overflows
            let c = b.constant(Scalar::one(d));
            let e = b.constant(Scalar::from(1.25).cast(d));
            let y = b.binary(BinaryOp::Fmax, x[0], c);
            let y = b.binary(BinaryOp::Fmin, y, e);
            b.reduce(ReduceOp::Prod, y, [0]);
        });
    }
}

/// More instructions than one piece of machine code has, of 4- and 8-byte lanes by turns.
pub fn long_kernels(suite: &Suite) {
    on_lines(suite, &[DType::U32, DType::U64, DType::F32], Tolerance::Exact, "a long kernel", |b, loads| {
        let [mut x, mut y, mut z] = [loads[0], loads[1], loads[2]];
        for k in 0..150u32 {
            let [odd, places] = [2 * k + 1, k % 31 + 1].map(|n| b.constant(Scalar::from(n)));
            let (scaled, low) = (b.binary(BinaryOp::Mul, x, odd), b.binary(BinaryOp::Shr, x, places));
            x = b.binary(BinaryOp::Xor, scaled, low);
            if k % 40 == 39 {
                let wide = b.cast(DType::U64, x);
                y = b.binary(BinaryOp::Add, y, wide);
                let high = b.binary(BinaryOp::Shr, y, wide);
                let (low, number) = (b.cast(DType::U32, y), b.cast(DType::F32, high));
                x = b.binary(BinaryOp::Xor, x, low);
                z = b.binary(BinaryOp::Add, z, number);
            }
        }
        for v in [x, y, z] {
            b.store(v);
        }
    });
}

/// Random bits by place, in arrays of fewer and of more elements than 32 bits count.
pub fn random_bits(suite: &Suite) {
    for (d, shape) in [DType::U32, DType::U64]
        .into_iter()
        .flat_map(|d| [[3, 70, 41], [1 << 12, 1 << 10, 1 << 10], [1 << 20, 1 << 20, 1 << 10]].map(|s| (d, s)))
    {
        let mut b = Builder::new(3);
        let key = [0, 1].map(|start| {
            let fixed = AxisMap { from: None, start, step: 0 };
            let input = b.input(DType::U32, IndexMap::new([fixed]));
            b.load(input)
        });
        let bits = b.random(key, d, &shape, |b, axis, word| {
            let i = b.index(axis as u8);
            b.cast(word, i)
        });
        b.store(bits);
        let kernel = b.finish().expect("random bits");
        let region = Region::new(shape.map(|n| n - 3).as_slice(), [3usize; 3].as_slice());
        let case = Case::new(&mut Rng::new(5), kernel, region);
        check(suite, &case, Tolerance::Exact, &format!("random {d} {shape:?}"));
    }
}

/// A random kernel over a random region.
pub fn random_kernel(suite: &Suite, seed: u64) {
    let mut rng = Rng::new(seed);
    let region = random::region(&mut rng);
    let kernel = random::kernel(&mut rng, region.ndim());
    let case = Case::new(&mut rng, kernel, region);
    check(suite, &case, Tolerance::Exact, &format!("seed {seed}"));
}
