//! Elementary functions on a GPU, held against those of the oracle.
#![cfg(feature = "gpu")]

#[path = "common/gpu.rs"]
mod adapter;

use blockwise::backend::gpu::Gpu;
use blockwise::backend::{Backend, Launch, Operand, Output};
use blockwise::dtype::{Element, Scalar};
use blockwise::ir::{Builder, Value};
use blockwise::op::{BinaryOp, UnaryOp};
use blockwise::shape::{IndexMap, Region};
use blockwise_kernels::naive;
use std::fmt::Display;

/// What a kernel of one operation makes of two columns of one dtype.
fn computed<T: Element>(
    gpu: &Gpu,
    inputs: [&mut Vec<T>; 2],
    build: impl Fn(&mut Builder, [Value; 2]) -> Value,
) -> Vec<T> {
    let mut b = Builder::new(1);
    let loads = [0; 2].map(|_| {
        let input = b.input(T::DTYPE, IndexMap::identity(1));
        b.load(input)
    });
    let value = build(&mut b, loads);
    b.store(value);
    let executable = gpu.compile(&b.finish().expect("sound")).expect("compiles");
    let n = inputs[0].len();
    let mut y = inputs[0].clone();
    let stride = T::DTYPE.size() as isize;
    let operand =
        |x: &mut Vec<T>| Operand { ptr: x.as_mut_ptr().cast(), strides: smallvec::smallvec![stride] };
    let (inputs, outputs) = (inputs.map(operand), [Output::Store(operand(&mut y))]);
    let region = Region::whole(&[n]);
    let launch = Launch {
        region: &region,
        shape: &[n],
        inputs: &inputs,
        outputs: &outputs,
        slots: 0,
        streaming: false,
    };
    // SAFETY: all have an element for every point.
    unsafe { executable.run(&launch) }.expect("runs");
    y
}

/// Asserts that results are at most so many units in the last place off.
fn near<T: Element + Into<Scalar>>(
    op: impl Display,
    got: &[T],
    want: impl Iterator<Item = Scalar>,
    most: u64,
) {
    let order = |s: Scalar| {
        let top = 8 * s.dtype().size() - 1;
        let magnitude = (s.bits() & ((1 << top) - 1)) as i64;
        if s.bits() >> top == 1 { -magnitude } else { magnitude }
    };
    let mut worst = (0, 0);
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        let got: Scalar = (*got).into();
        let nan = want.as_f64().is_nan();
        assert_eq!(got.as_f64().is_nan(), nan, "{op} number {k} is {got}, not {want}");
        let off = if nan { 0 } else { order(got).abs_diff(order(want)) };
        worst = worst.max((off, k));
    }
    println!("{op:10} is at most {} off, number {}", worst.0, worst.1);
    assert!(worst.0 <= most, "{op} is {} units off, number {}", worst.0, worst.1);
}

#[test]
fn functions_of_f32_are_within_two_units_in_the_last_place() {
    let Some(gpu) = adapter::open(|gpu| gpu) else { return };
    // floats of every exponent, and those where functions bend
    let all = (0..1u32 << 16).map(|k| f32::from_bits(k.wrapping_mul(65_537)));
    let bends = (0..1u32 << 14).map(|k| (k as f32 - 8192.0) / 1024.0);
    let mut x: Vec<f32> = all.chain(bends).collect();
    for &op in UnaryOp::ALL.iter().filter(|op| op.is_transcendental()) {
        let y = computed(&gpu, [&mut x.clone(), &mut x], |b, [x, _]| b.unary(op, x));
        near(op, &y, x.iter().map(|&x| naive::unary(op, Scalar::from(x))), 2);
    }
}

#[test]
fn functions_of_f64_are_within_two_units_in_the_last_place() {
    let Some(gpu) = adapter::open(|gpu| gpu) else { return };
    if !gpu.arithmetic().has_doubles() {
        return eprintln!("{} has no doubles of its own", gpu.adapter());
    }
    let bits = |k: u64| f64::from_bits(k.wrapping_mul(0x0001_0001_9e37_79b9));
    let all = (0..1u64 << 16).map(bits);
    let bends = (0..1u64 << 14).map(|k| (k as f64 - 8192.0) / 1024.0 * (1.0 + k as f64 / 1e9));
    // large angles close to multiples of pi/2
    let turns = (0..1u64 << 10).map(|k| (k * k * k * 977) as f64 * std::f64::consts::FRAC_PI_2);
    let mut x: Vec<f64> = all.chain(bends).chain(turns).collect();
    for &op in UnaryOp::ALL.iter().filter(|op| op.is_transcendental()) {
        let y = computed(&gpu, [&mut x.clone(), &mut x], |b, [x, _]| b.unary(op, x));
        near(op, &y, x.iter().map(|&x| naive::unary(op, Scalar::from(x))), 2);
    }
    // far apart, alike, and small
    let mut y: Vec<f64> = x.iter().rev().copied().collect();
    x.extend((0..1u64 << 14).map(|k| k as f64 / 512.0));
    y.extend((0..1u64 << 14).map(|k| (k * 7 % 1001) as f64 / 33.0 - 15.0));
    let of_two = |ops: &[BinaryOp], x: &mut Vec<f64>, y: &mut Vec<f64>| {
        for &op in ops {
            let z = computed(&gpu, [&mut *x, &mut *y], |b, [x, y]| b.binary(op, x, y));
            let want = x.iter().zip(&*y).map(|(&x, &y)| naive::binary(op, Scalar::from(x), Scalar::from(y)));
            near(op, &z, want, 2);
        }
    };
    of_two(&[BinaryOp::Atan2, BinaryOp::Hypot, BinaryOp::Pow], &mut x, &mut y);
    // where nothing cancels
    [&mut x, &mut y].into_iter().flatten().for_each(|v| *v = v.abs());
    of_two(&[BinaryOp::Logaddexp, BinaryOp::Logaddexp2], &mut x, &mut y);
}
