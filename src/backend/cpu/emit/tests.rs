//! Machine code against the scalar definitions, for every simple instruction.

use super::*;
use crate::dtype::{DType, Scalar};
use crate::ir::Builder;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use crate::shape::IndexMap;
use blockwise_kernels::naive;

fn isas() -> Vec<Isa> {
    Isa::available().into_iter().filter(|isa| *isa != Isa::Portable).collect()
}

/// Values that matter: extremes, special floats, small numbers.
fn samples(d: DType, n: usize, salt: u64) -> Vec<u64> {
    let special: &[f64] = &[
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.5,
        -3.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e10,
        -1e20,
        65504.0,
    ];
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let r = state >> 20;
            match (d.is_float(), r % 4) {
                (true, 0) => Scalar::from(special[(r / 4) as usize % special.len()]).cast(d).bits(),
                (true, 1) => Scalar::from_bits(d, state).bits(),
                (true, _) => Scalar::from((r % 2000) as f64 / 8.0 - 100.0).cast(d).bits(),
                (false, 0) => Scalar::from_bits(d, u64::MAX << (r % 64)).bits(),
                (false, 1) => Scalar::from_bits(d, r % 5).bits(),
                _ => Scalar::from_bits(d, state.rotate_left(17)).bits(),
            }
        })
        .collect()
}

fn same(a: Scalar, b: Scalar) -> bool {
    let nan = |s: Scalar| s.dtype().is_float() && s.as_f64().is_nan();
    let zero = |s: Scalar| s.dtype().is_float() && s.as_f64() == 0.0;
    a == b || (nan(a) && nan(b)) || (zero(a) && zero(b))
}

/// Runs a kernel's only group on `n` points and checks against `evaluate`.
fn check(kernel: &Kernel, n: usize, single: u32, evaluate: impl Fn(&[Scalar]) -> Scalar) {
    for isa in isas() {
        let Some(items) = partition(kernel, isa) else { continue };
        let Some(Item::Group(group)) = items.into_iter().find(|i| matches!(i, Item::Group(_))) else {
            continue;
        };
        if group.inputs.iter().any(|v| !matches!(kernel.insts()[v.0 as usize], Inst::Load(_))) {
            continue; // the operation itself is not simple here
        }
        let columns: Vec<(DType, Vec<u64>)> = group
            .inputs
            .iter()
            .enumerate()
            .map(|(k, v)| (kernel.dtype(*v), samples(kernel.dtype(*v), n, 77 + 3 * k as u64)))
            .collect();
        let pack = |(d, column): &(DType, Vec<u64>)| -> Vec<u8> {
            column.iter().flat_map(|b| b.to_le_bytes()[..d.size()].to_vec()).collect()
        };
        let mut memory: Vec<Vec<u8>> = columns.iter().map(pack).collect();
        let out = kernel.dtype(group.outputs[0]);
        memory.push(vec![0xee; (n + 1) * out.size()]);
        let args: Vec<*mut u8> = memory.iter_mut().map(|m| m.as_mut_ptr()).collect();
        let variant = group.variant(How { single, ..How::default() }).expect("code can be made here");
        // SAFETY: every argument has n elements of its dtype.
        unsafe { variant.call(&args, n) };
        for i in 0..n {
            let at = |k: usize| if single & (1 << k) != 0 { 0 } else { i };
            let operands: Vec<Scalar> =
                columns.iter().enumerate().map(|(k, (d, c))| Scalar::from_bits(*d, c[at(k)])).collect();
            let expect = evaluate(&operands);
            let bytes = &memory[columns.len()][i * out.size()..(i + 1) * out.size()];
            let mut bits = [0; 8];
            bits[..out.size()].copy_from_slice(bytes);
            let got = Scalar::from_bits(out, u64::from_le_bytes(bits));
            assert!(
                same(got, expect) && (out != DType::Bool || bytes[0] < 2),
                "{} at {i}: {operands:?} gave {got} not {expect}\n{kernel}",
                isa.name()
            );
        }
        assert!(
            memory[columns.len()][n * out.size()..].iter().all(|b| *b == 0xee),
            "wrote past the end\n{kernel}"
        );
    }
}

fn load(b: &mut Builder, d: DType) -> Value {
    let n = b.input(d, IndexMap::identity(1));
    b.load(n)
}

/// A kernel that computes in lanes of at least 4 bytes whatever its dtype: the operation and, so that narrow dtypes are
/// fused too, a cast of its result.
fn kernel_of(d: &[DType], build: impl Fn(&mut Builder, &[Value]) -> Value) -> Kernel {
    let mut b = Builder::new(1);
    let args: Vec<Value> = d.iter().map(|d| load(&mut b, *d)).collect();
    let v = build(&mut b, &args);
    let v = if b.dtype(v).size() < 4 && d[0].size() < 4 { b.cast(DType::F64, v) } else { v };
    b.store(v);
    b.finish().expect("a valid kernel")
}

fn widened(s: Scalar, d: DType) -> Scalar {
    if s.dtype().size() < 4 && d.size() < 4 { s.cast(DType::F64) } else { s }
}

#[test]
fn unary_operations() {
    for &op in UnaryOp::ALL {
        for d in DType::ALL.into_iter().filter(|d| op.accepts(*d) && !op.is_transcendental()) {
            for n in [1, 7, 8, 33, 70, 257] {
                let kernel = kernel_of(&[d], |b, v| b.unary(op, v[0]));
                check(&kernel, n, 0, |x| widened(naive::unary(op, x[0]), d));
            }
        }
    }
}

#[test]
fn binary_operations() {
    for &op in BinaryOp::ALL {
        for d in DType::ALL.into_iter().filter(|d| op.accepts(*d) && !op.is_transcendental()) {
            for (n, single) in [(200, 0), (67, 1), (67, 2), (5, 0)] {
                let kernel = kernel_of(&[d, d], |b, v| b.binary(op, v[0], v[1]));
                check(&kernel, n, single, |x| widened(naive::binary(op, x[0], x[1]), d));
            }
        }
    }
}

#[test]
fn comparisons_and_selections() {
    for d in DType::ALL {
        for &op in CompareOp::ALL {
            let kernel = kernel_of(&[d, d], |b, v| b.compare(op, v[0], v[1]));
            check(&kernel, 203, 0, |x| widened(naive::compare(op, x[0], x[1]), d));
            let kernel = kernel_of(&[d, d], |b, v| {
                let c = b.compare(op, v[0], v[1]);
                b.select(c, v[1], v[0])
            });
            let pick = |x: &[Scalar]| if naive::compare(op, x[0], x[1]).bits() != 0 { x[1] } else { x[0] };
            check(&kernel, 203, 0, |x| widened(pick(x), d));
        }
        let kernel = kernel_of(&[DType::Bool, d, d], |b, v| b.select(v[0], v[1], v[2]));
        for single in [0, 1, 2, 5] {
            let pick = |x: &[Scalar]| if x[0].bits() != 0 { x[1] } else { x[2] };
            check(&kernel, 99, single, |x| widened(pick(x), DType::Bool));
        }
    }
}

#[test]
fn casts() {
    for from in DType::ALL {
        for to in DType::ALL.into_iter().filter(|to| *to != from) {
            let kernel = kernel_of(&[from], |b, v| b.cast(to, v[0]));
            check(&kernel, 301, 0, |x| widened(x[0].cast(to), from));
        }
    }
}

#[test]
fn multiply_add_rounds_once() {
    for d in DType::ALL.into_iter().filter(|d| *d != DType::Bool) {
        let kernel = kernel_of(&[d, d, d], |b, v| b.mul_add(v[0], v[1], v[2]));
        check(&kernel, 203, 0, |x| widened(naive::mul_add(x[0], x[1], x[2]), d));
    }
}

#[test]
fn many_live_values_are_spilled() {
    let d = [DType::F32; 20];
    let kernel = kernel_of(&d, |b, v| {
        // all sums are live until the products use them in reverse
        let sums: Vec<Value> = v.windows(2).map(|w| b.binary(BinaryOp::Sub, w[0], w[1])).collect();
        let twice: Vec<Value> = sums.iter().map(|s| b.unary(UnaryOp::Square, *s)).collect();
        let masks: Vec<Value> =
            sums.iter().zip(&twice).map(|(s, t)| b.compare(CompareOp::Lt, *s, *t)).collect();
        let mut all = v[0];
        for ((s, t), m) in sums.iter().zip(&twice).zip(&masks).rev() {
            let x = b.select(*m, *s, *t);
            all = b.binary(BinaryOp::Add, all, x);
            all = b.binary(BinaryOp::Max, *s, all);
        }
        all
    });
    check(&kernel, 333, 0b101, |x| {
        let of = |op, a, b| naive::binary(op, a, b);
        let sums: Vec<Scalar> = x.windows(2).map(|w| of(BinaryOp::Sub, w[0], w[1])).collect();
        let mut all = x[0];
        for s in sums.iter().rev() {
            let t = naive::unary(UnaryOp::Square, *s);
            let pick = if naive::compare(CompareOp::Lt, *s, t).bits() != 0 { *s } else { t };
            all = of(BinaryOp::Add, all, pick);
            all = of(BinaryOp::Max, *s, all);
        }
        all
    });
}
