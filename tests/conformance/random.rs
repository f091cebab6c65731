//! Random kernels.

use crate::case::{GROUPS, Rng, rounds};
use blockwise::dtype::{DType, Scalar};
use blockwise::ir::{Builder, Kernel, Value};
use blockwise::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use blockwise::shape::{IndexMap, Region};

/// A region of up to about 3000 points, of any rank up to 4; now and then empty.
pub fn region(rng: &mut Rng) -> Region {
    let rank = rng.pick(&[0, 1, 1, 2, 2, 2, 3, 4]);
    let mut left = rng.pick(&[30, 300, 3000]);
    let mut region = Region::default();
    for _ in 0..rank {
        let lengths = [0, 1, 1, 2, 3, 5, 7, 16, 31, 32, 33, 63, 64, 65, 129, 257, 1025];
        let mut n = rng.pick(&lengths);
        if n > left || n == 0 && rng.chance(80) {
            n = 1 + rng.below(left.min(9));
        }
        left = (left / n.max(1)).max(1);
        region.shape.push(n);
        region.start.push(rng.below(100));
    }
    region
}

/// Straight-line code of exact operations with one to three roots.
pub fn kernel(rng: &mut Rng, rank: usize) -> Kernel {
    let mut b = Builder::new(rank);
    let mut values = Vec::new();
    let dtypes: Vec<DType> = (0..rng.pick(&[1, 2, 3])).map(|_| rng.pick(&DType::ALL)).collect();
    for _ in 0..1 + rng.below(4) {
        let input = b.input(rng.pick(&dtypes), IndexMap::identity(rank));
        values.push(b.load(input));
    }
    if rank > 0 && rng.chance(40) {
        values.push(b.index(rng.below(rank) as u8));
    }
    for _ in 0..rng.below(14) {
        let v = instruction(rng, &mut b, &values, &dtypes);
        values.extend(v);
    }
    for _ in 0..1 + rng.below(3) {
        // the latest values use most of the others
        let value = values[values.len() - 1 - rng.below(values.len().min(4))];
        match rng.below(10) {
            0 => {
                let mask = truth(rng, &mut b, value);
                b.select_root(mask, value);
            }
            1..5 => reduce(rng, &mut b, value, rank),
            5 => group_reduce(rng, &mut b, value),
            _ => b.store(value),
        }
    }
    b.finish().expect("a random kernel is verified")
}

/// A reduction of a value over some of the axes, in a form in which the order of the fold hardly matters.
fn reduce(rng: &mut Rng, b: &mut Builder, value: Value, rank: usize) {
    let op = rng.pick(ReduceOp::ALL);
    let d = b.dtype(value);
    if !op.accepts(d) || op == ReduceOp::Prod && d.is_float() {
        return b.store(value);
    }
    let axes: Vec<u8> = (0..rank as u8).filter(|_| rng.chance(60)).collect();
    let value = if rounds(op, d) { tame(b, value) } else { value };
    b.reduce(op, value, axes);
}

/// A fold into one of eight groups that a value of another kind may choose.
pub fn group_reduce(rng: &mut Rng, b: &mut Builder, value: Value) {
    let op = rng.pick(ReduceOp::ALL);
    let d = b.dtype(value);
    if op.is_arg() || !op.accepts(d) || op == ReduceOp::Prod && d.is_float() {
        return b.store(value);
    }
    let (byte, mask) = (b.cast(DType::U8, value), b.constant(Scalar::from((GROUPS - 1) as u8)));
    let slot = b.binary(BinaryOp::And, byte, mask);
    let slot = b.cast(DType::U32, slot);
    let mask = rng.chance(50).then(|| truth(rng, b, value));
    let value = if rounds(op, d) { tame(b, value) } else { value };
    b.group_reduce(op, value, slot, mask);
}

/// The value, but 1 where it is larger than 1000: sums of these neither overflow nor cancel to nothing.
pub fn tame(b: &mut Builder, value: Value) -> Value {
    let d = b.dtype(value);
    let size = b.unary(UnaryOp::Abs, value);
    let limit = b.constant(Scalar::from(1000.0).cast(d));
    let large = b.compare(CompareOp::Lt, limit, size);
    let one = b.constant(Scalar::one(d));
    b.select(large, one, value)
}

/// A bool that depends on a value.
fn truth(rng: &mut Rng, b: &mut Builder, value: Value) -> Value {
    let d = b.dtype(value);
    let pivot = b.constant(rng.scalar(d));
    b.compare(rng.pick(CompareOp::ALL), value, pivot)
}

/// One more instruction over the values there are; `None` if the choice was not possible.
fn instruction(rng: &mut Rng, b: &mut Builder, values: &[Value], dtypes: &[DType]) -> Option<Value> {
    let x = rng.pick(values);
    let d = b.dtype(x);
    // an operand of the same dtype: another value, converted if need be, or a constant
    let other = |rng: &mut Rng, b: &mut Builder| match rng.below(3) {
        0 => b.constant(rng.scalar(d)),
        _ => {
            let y = rng.pick(values);
            b.cast(d, y)
        }
    };
    Some(match rng.below(10) {
        0 | 1 => {
            let op = rng.pick(UnaryOp::ALL);
            // signs of NaN are not defined where they come from an operation
            if !op.accepts(d) || op.is_transcendental() || op == UnaryOp::Signbit && d.is_float() {
                return None;
            }
            b.unary(op, x)
        }
        2..6 => {
            let op = rng.pick(BinaryOp::ALL);
            let inexact = op.is_transcendental() || op == BinaryOp::Pow && d.is_float();
            if !op.accepts(d) || inexact || op == BinaryOp::Copysign {
                return None;
            }
            let y = other(rng, b);
            let (x, y) = if rng.chance(30) { (y, x) } else { (x, y) };
            let v = b.binary(op, x, y);
            let extremum = matches!(op, BinaryOp::Min | BinaryOp::Max | BinaryOp::Fmin | BinaryOp::Fmax);
            if extremum && d.is_float() {
                // which zero it returns is not defined: make it one
                let zero = b.constant(Scalar::zero(d));
                b.binary(BinaryOp::Add, v, zero)
            } else {
                v
            }
        }
        6 => {
            let y = other(rng, b);
            b.compare(rng.pick(CompareOp::ALL), x, y)
        }
        7 => {
            let y = other(rng, b);
            let c = rng.pick(values);
            let c = if b.dtype(c) == DType::Bool { c } else { truth(rng, b, c) };
            b.select(c, x, y)
        }
        8 if d != DType::Bool => {
            let (y, z) = (other(rng, b), other(rng, b));
            b.mul_add(x, y, z)
        }
        _ => b.cast(if rng.chance(70) { rng.pick(dtypes) } else { rng.pick(&DType::ALL) }, x),
    })
}
