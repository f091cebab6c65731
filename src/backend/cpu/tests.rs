//! The CPU backend against the reference: random kernels, regions and layouts.

use super::*;
use crate::backend::Output;
use crate::backend::reference::Reference;
use crate::backend::{Operand, Records};
use crate::dtype::{DType, Scalar};
use crate::ir::Root;
use crate::ir::{Builder, Inst, Value};
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::shape::{IndexMap, Region};
use blockwise_kernels::naive;
use smallvec::SmallVec;

/// A small generator of random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// An operand over memory of its own.
struct Array {
    dtype: DType,
    bytes: Vec<u64>,
    operand: Operand,
}

impl Array {
    /// Element strides: axes of these lengths in a random order of memory, some padded, reversed or (if allowed) 0.
    fn new(r: &mut Random, dtype: DType, shape: &[usize], broadcast: bool, plain: bool) -> Array {
        let mut order: Vec<usize> = (0..shape.len()).rev().collect();
        if !plain && r.below(2) == 0 {
            for k in (1..order.len()).rev() {
                order.swap(k, r.below(k + 1));
            }
        }
        let mut strides: SmallVec<[isize; 4]> = SmallVec::from_elem(0, shape.len());
        let (mut step, mut at) = (1isize, 0isize);
        for &k in &order {
            if broadcast && !plain && r.below(4) == 0 {
                continue;
            }
            if !plain && r.below(4) == 0 {
                step *= 2;
            }
            strides[k] = step;
            step *= shape[k].max(1) as isize;
            if !plain && r.below(5) == 0 {
                strides[k] = -strides[k];
                at -= strides[k] * (shape[k] as isize - 1).max(0);
            }
            if !plain && r.below(3) == 0 {
                step += 3;
            }
        }
        Array::with(dtype, step as usize, at, strides)
    }

    fn with(dtype: DType, elements: usize, at: isize, mut strides: SmallVec<[isize; 4]>) -> Array {
        let size = dtype.size();
        let mut bytes = vec![0u64; (elements.max(1) * size).div_ceil(8) + 1];
        strides.iter_mut().for_each(|s| *s *= size as isize);
        let ptr = (bytes.as_mut_ptr() as *mut u8).wrapping_offset(at * size as isize);
        Array { dtype, bytes, operand: Operand { ptr, strides } }
    }

    /// The same layout over other memory, with the same contents.
    fn copy(&self) -> Array {
        let mut bytes = self.bytes.clone();
        let at = self.operand.ptr as isize - self.bytes.as_ptr() as isize;
        let ptr = (bytes.as_mut_ptr() as *mut u8).wrapping_offset(at);
        Array { dtype: self.dtype, bytes, operand: Operand { ptr, strides: self.operand.strides.clone() } }
    }

    fn fill(&mut self, mut value: impl FnMut() -> Scalar) {
        let size = self.dtype.size();
        let n = self.bytes.len() * 8 / size;
        for i in 0..n {
            let bits = value().bits().to_le_bytes();
            // SAFETY: inside `bytes`.
            unsafe {
                (self.bytes.as_mut_ptr() as *mut u8)
                    .add(i * size)
                    .copy_from_nonoverlapping(bits.as_ptr(), size)
            }
        }
    }

    fn scalars(&self) -> Vec<Scalar> {
        let size = self.dtype.size();
        let bytes: Vec<u8> = self.bytes.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let of = |c: &[u8]| {
            let mut bits = [0; 8];
            bits[..size].copy_from_slice(c);
            Scalar::from_bits(self.dtype, u64::from_le_bytes(bits))
        };
        bytes.chunks_exact(size).map(of).collect()
    }
}

/// A value near enough to be the same sum in another order.
fn close(a: Scalar, b: Scalar, exact: bool) -> bool {
    if a == b {
        return true;
    }
    let (x, y) = (a.as_f64(), b.as_f64());
    let float = a.dtype().is_float();
    float
        && (x == y
            || x.is_nan() && y.is_nan()
            || !exact && (x - y).abs() <= 1e-9 * (1.0 + x.abs().max(y.abs())))
}

fn random_value(b: &mut Builder, r: &mut Random, values: &[Value]) -> Value {
    let v = r.pick(values);
    let d = b.dtype(v);
    match r.below(7) {
        0 => {
            let ops =
                [UnaryOp::Abs, UnaryOp::Square, UnaryOp::Sign, UnaryOp::Neg, UnaryOp::Floor, UnaryOp::Not];
            let op = r.pick(&ops);
            if op.accepts(d) { b.unary(op, v) } else { v }
        }
        1 => {
            let to = r.pick(&DType::ALL);
            b.cast(to, v)
        }
        2 => {
            let c = Scalar::from((r.below(9) as i64) - 3).cast(d);
            let c = b.constant(c);
            if BinaryOp::Mul.accepts(d) { b.binary(BinaryOp::Mul, c, v) } else { v }
        }
        3 => {
            let w = r.pick(values);
            let w = b.cast(d, w);
            let c = b.compare(r.pick(CompareOp::ALL), v, w);
            b.select(c, w, v)
        }
        _ => {
            let w = r.pick(values);
            let w = b.cast(d, w);
            let ops = [
                BinaryOp::Add,
                BinaryOp::Sub,
                BinaryOp::Mul,
                BinaryOp::Min,
                BinaryOp::FloorDiv,
                BinaryOp::Or,
            ];
            let op = r.pick(&ops);
            if op.accepts(d) { b.binary(op, v, w) } else { v }
        }
    }
}

fn random_kernel(r: &mut Random, rank: usize) -> Kernel {
    let mut b = Builder::new(rank);
    let mut values = Vec::new();
    for _ in 0..1 + r.below(3) {
        let d = r.pick(&[
            DType::F32,
            DType::F32,
            DType::F64,
            DType::U16,
            DType::U8,
            DType::I32,
            DType::Bool,
            DType::F16,
        ]);
        let n = b.input(d, IndexMap::identity(rank));
        values.push(b.load(n));
    }
    if rank > 0 && r.below(4) == 0 {
        values.push(b.index(r.below(rank) as u8));
    }
    for _ in 0..r.below(8) {
        let v = random_value(&mut b, r, &values);
        values.push(v);
    }
    for _ in 0..1 + r.below(3) {
        let v = if r.below(3) == 0 { r.pick(&values) } else { values[values.len() - 1] };
        match r.below(6) {
            0..2 => b.store(v),
            2..4 => {
                let op = r.pick(ReduceOp::ALL);
                let axes: Vec<u8> = (0..rank as u8).filter(|_| r.below(2) == 0).collect();
                if op.accepts(b.dtype(v)) {
                    b.reduce(op, v, axes);
                } else {
                    b.reduce(ReduceOp::Max, v, axes);
                }
            }
            4 => {
                // slots below 8, whatever the value
                let (byte, seven) = (b.cast(DType::U8, v), b.constant(Scalar::from(7u8)));
                let slot = b.binary(BinaryOp::And, byte, seven);
                let slot = b.cast(DType::U32, slot);
                let mask = (r.below(2) == 0).then(|| b.cast(DType::Bool, v));
                let op = r.pick(ReduceOp::ALL);
                let op = if op.is_arg() || !op.accepts(b.dtype(v)) { ReduceOp::Max } else { op };
                b.group_reduce(op, v, slot, mask);
            }
            _ => {
                let mask = b.cast(DType::Bool, v);
                b.select_root(mask, v);
            }
        }
    }
    b.finish().expect("a valid kernel")
}

fn outputs(r: &mut Random, kernel: &Kernel, shape: &[usize], plain: bool) -> Vec<Vec<Array>> {
    let array = |d: DType, r: &mut Random, axes: Option<&[u8]>| {
        let kept: Vec<usize> = match axes {
            None => shape.to_vec(),
            Some(axes) => {
                (0..shape.len()).map(|k| if axes.contains(&(k as u8)) { 1 } else { shape[k] }).collect()
            }
        };
        let mut a = Array::new(r, d, &kept, false, plain);
        for (k, s) in a.operand.strides.iter_mut().enumerate() {
            if axes.is_some_and(|axes| axes.contains(&(k as u8))) {
                *s = 0;
            }
        }
        a
    };
    kernel
        .roots()
        .iter()
        .map(|root| match root {
            Root::Store { value } => vec![array(kernel.dtype(*value), r, None)],
            Root::Reduce { op, value, axes } => {
                let d = kernel.dtype(*value);
                let mut planes: Vec<Array> =
                    op.planes(d).into_iter().map(|p| array(p, r, Some(axes))).collect();
                for (plane, s) in planes.iter_mut().zip(naive::fold::init(*op, d)) {
                    plane.fill(|| s);
                }
                planes
            }
            Root::GroupReduce { op, value, .. } => {
                let d = kernel.dtype(*value);
                let planes = op.planes(d).into_iter().zip(naive::fold::init(*op, d));
                let filled = planes.map(|(d, s)| {
                    // room for records of two words
                    let mut plane = Array::with(d, 8 * 16 / d.size(), 0, SmallVec::new());
                    plane.fill(|| s);
                    plane
                });
                filled.collect()
            }
            Root::Select { value, .. } => {
                let n = shape.iter().product::<usize>();
                vec![Array::with(kernel.dtype(*value), n, 0, SmallVec::new())]
            }
        })
        .collect()
}

/// Runs into copies of `outputs`; returns what is in them, and the counts.
fn run(
    backend: &dyn Backend,
    kernel: &Kernel,
    region: &Region,
    shape: &[usize],
    inputs: &[Array],
    outputs: &[Vec<Array>],
) -> (Vec<Vec<Scalar>>, Vec<usize>) {
    let code = backend.compile(kernel).expect("compiles");
    let outputs: Vec<Vec<Array>> = outputs.iter().map(|o| o.iter().map(Array::copy).collect()).collect();
    let mut counts = vec![usize::MAX; outputs.len()];
    let at = counts.as_mut_ptr();
    let list: Vec<Output> = kernel
        .roots()
        .iter()
        .zip(&outputs)
        .enumerate()
        .map(|(k, (root, o))| match root {
            Root::Store { .. } => Output::Store(o[0].operand.clone()),
            Root::Reduce { .. } => Output::Reduce(o.iter().map(|p| p.operand.clone()).collect()),
            Root::GroupReduce { .. } => {
                let mut planes = [std::ptr::null_mut(); 3];
                planes.iter_mut().zip(o).for_each(|(p, a)| *p = a.operand.ptr);
                Output::GroupReduce(Records { planes, stride: 16 })
            }
            Root::Select { .. } => Output::Select { ptr: o[0].operand.ptr, count: at.wrapping_add(k) },
        })
        .collect();
    let inputs: Vec<Operand> = inputs.iter().map(|i| i.operand.clone()).collect();
    // SAFETY: the arrays have the elements of every point.
    unsafe {
        code.run(&Launch {
            region,
            shape,
            inputs: &inputs,
            outputs: &list,
            slots: usize::MAX,
            streaming: region.len().is_multiple_of(2),
        })
    }
    .expect("runs");
    (outputs.iter().flatten().map(Array::scalars).collect(), counts)
}

fn backends() -> Vec<Cpu> {
    Isa::available().into_iter().flat_map(|isa| [Cpu::new(isa), Cpu::new(isa).with_emitter(false)]).collect()
}

fn random_shape(r: &mut Random, rank: usize) -> Vec<usize> {
    let mut budget = 6000usize;
    (0..rank)
        .map(|_| {
            let n = r.pick(&[1, 2, 3, 5, 17, 33, 64, 70, 300, 1500, 0]);
            let n = if n == 0 && r.below(5) > 0 { 4 } else { n.min(budget.max(1)) };
            budget /= n.max(1);
            n
        })
        .collect()
}

/// Which of all roots' outputs are means of moments; the squares about them are the outputs before.
fn mean_planes(kernel: &Kernel) -> Vec<usize> {
    let (mut at, mut means) = (0, vec![]);
    for root in kernel.roots() {
        at += match root {
            Root::Reduce { op, value, .. } | Root::GroupReduce { op, value, .. } => {
                if matches!(op, ReduceOp::M2 | ReduceOp::NanM2) {
                    means.push(at + 1);
                }
                op.planes(kernel.dtype(*value)).len()
            }
            Root::Store { .. } | Root::Select { .. } => 1,
        };
    }
    means
}

#[test]
fn random_kernels_agree_with_the_reference() {
    for seed in 1..1500u64 {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rank = r.below(5);
        let kernel = random_kernel(&mut r, rank);
        let extent = random_shape(&mut r, rank);
        let start: Vec<usize> = (0..rank).map(|_| r.below(3) * 7).collect();
        let shape: Vec<usize> = extent.iter().zip(&start).map(|(n, s)| n + s + 3).collect();
        let region = Region::new(start.as_slice(), extent.as_slice());
        let plain = r.below(2) == 0;
        let mut inputs: Vec<Array> =
            kernel.inputs().iter().map(|i| Array::new(&mut r, i.dtype, &extent, true, plain)).collect();
        for a in &mut inputs {
            let d = a.dtype;
            a.fill(|| Scalar::from(r.below(60) as f64 / 4.0 - 5.0).cast(d));
        }
        let outputs = outputs(&mut r, &kernel, &extent, plain);
        let expect = run(&Reference, &kernel, &region, &shape, &inputs, &outputs);
        let means = mean_planes(&kernel);
        let mut folds: Option<Vec<Vec<Scalar>>> = None;
        for cpu in backends() {
            let got = run(&cpu, &kernel, &region, &shape, &inputs, &outputs);
            assert_eq!(got.1, expect.1, "seed {seed} {}: counts\n{kernel} {region}", cpu.name());
            for (k, (g, e)) in got.0.iter().zip(&expect.0).enumerate() {
                // means say nothing where the squares about them are NaN: no result shows them
                if means.contains(&k) && expect.0[k - 1].iter().any(|m2| m2.as_f64().is_nan()) {
                    continue;
                }
                for (i, (g, e)) in g.iter().zip(e).enumerate() {
                    let exact = kernel
                        .insts()
                        .iter()
                        .all(|i| !matches!(i, Inst::Unary { op, .. } if op.is_transcendental()));
                    let sum = kernel.roots().iter().any(|r| matches!(r, Root::Reduce { .. }));
                    assert!(
                        close(*g, *e, exact && !sum),
                        "seed {seed} {}: output {k} at {i}: {g} not {e}\n{kernel} {region} {:?}",
                        cpu.name(),
                        inputs.iter().map(|a| a.operand.strides.clone()).collect::<Vec<_>>()
                    );
                }
            }
            let first = folds.get_or_insert_with(|| got.0.clone());
            let same = first.iter().flatten().zip(got.0.iter().flatten()).all(|(a, b)| close(*a, *b, true));
            assert!(same, "seed {seed} {}: other bits than the first backend\n{kernel} {region}", cpu.name());
        }
    }
}

#[test]
fn float_folds_do_not_depend_on_the_layout() {
    for seed in 1..200u64 {
        let mut r = Random(seed.wrapping_mul(0x1234_5678_9abc_def1));
        let rank = 1 + r.below(3);
        let mut b = Builder::new(rank);
        let n = b.input(DType::F64, IndexMap::identity(rank));
        let x = b.load(n);
        let v = if r.below(2) == 0 { x } else { b.unary(UnaryOp::Square, x) };
        let axes: Vec<u8> = (0..rank as u8).filter(|_| r.below(3) > 0).collect();
        b.reduce(r.pick(&[ReduceOp::Sum, ReduceOp::M2]), v, axes);
        let kernel = b.finish().expect("a valid kernel");
        let extent = random_shape(&mut r, rank);
        if extent.contains(&0) {
            continue;
        }
        let region = Region::whole(&extent);
        let outputs = outputs(&mut r, &kernel, &extent, true);
        let mut first: Option<Vec<Vec<Scalar>>> = None;
        for trial in 0..4 {
            let mut a = Array::new(&mut r, DType::F64, &extent, false, trial == 0);
            for i in 0..extent.iter().product::<usize>() {
                let (mut at, mut rest) = (0isize, i);
                for k in (0..rank).rev() {
                    at += (rest % extent[k]) as isize * a.operand.strides[k];
                    rest /= extent[k];
                }
                // SAFETY: an element of the array.
                unsafe {
                    (a.operand.ptr.wrapping_offset(at) as *mut f64).write((i as f64 * 0.7).sin() * 1e3)
                };
            }
            a.bytes[0] = std::hint::black_box(a.bytes[0]);
            let got = run(&Cpu::detect(), &kernel, &region, &extent, &[a], &outputs).0;
            assert_eq!(*first.get_or_insert_with(|| got.clone()), got, "seed {seed} {kernel} {region}");
        }
    }
}
