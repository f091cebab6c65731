//! What each reduction means: an empty fold, one more element, and two folds made one.
//!
//! A fold is one scalar per plane of [`ReduceOp::planes`]. An empty `Min` is the largest value (infinity for floats), an
//! empty `Fmin` of floats is NaN, an empty arg-fold has index -1.

use super::{binary, compare, is_nan};
use crate::op::{BinaryOp, CompareOp, ReduceOp};
use crate::{DType, Scalar, f16};

/// The fold of nothing.
pub fn init(op: ReduceOp, d: DType) -> Vec<Scalar> {
    match op {
        ReduceOp::Sum | ReduceOp::NanSum | ReduceOp::Count | ReduceOp::Any => {
            vec![Scalar::zero(op.accumulator(d))]
        }
        ReduceOp::Prod | ReduceOp::All => vec![Scalar::one(op.accumulator(d))],
        ReduceOp::Fmin | ReduceOp::Fmax if d.is_float() => vec![Scalar::from(f64::NAN).cast(d)],
        ReduceOp::Min | ReduceOp::Fmin => vec![largest(d)],
        ReduceOp::Max | ReduceOp::Fmax => vec![smallest(d)],
        ReduceOp::ArgMin | ReduceOp::NanArgMin => vec![largest(d), Scalar::from(-1i64)],
        ReduceOp::ArgMax | ReduceOp::NanArgMax => vec![smallest(d), Scalar::from(-1i64)],
        ReduceOp::M2 | ReduceOp::NanM2 => vec![Scalar::from(0.0), Scalar::from(0.0), Scalar::from(0i64)],
    }
}

/// Folds in the element at position `index` of the reduced axes.
pub fn push(op: ReduceOp, planes: &mut [Scalar], x: Scalar, index: i64) {
    match op {
        ReduceOp::M2 | ReduceOp::NanM2 => {
            if op == ReduceOp::M2 || !is_nan(x) {
                let x = x.as_f64();
                // one number deviates by 0 from its mean; infinities and NaN by NaN, as in NumPy
                let m2 = if x.is_finite() { 0.0 } else { f64::NAN };
                merge(op, planes, &[m2.into(), x.into(), Scalar::from(1i64)]);
            }
        }
        ReduceOp::NanSum if is_nan(x) => {}
        ReduceOp::Count => merge(op, planes, &[Scalar::from(i64::from(!is_nan(x)))]),
        op if op.is_arg() => merge(op, planes, &[x, Scalar::from(index)]),
        op => merge(op, planes, &[x.cast(op.accumulator(x.dtype()))]),
    }
}

/// Folds `b` into `a`.
pub fn merge(op: ReduceOp, a: &mut [Scalar], b: &[Scalar]) {
    let plain = match op {
        ReduceOp::Sum | ReduceOp::NanSum | ReduceOp::Count => BinaryOp::Add,
        ReduceOp::Prod => BinaryOp::Mul,
        ReduceOp::Min => BinaryOp::Min,
        ReduceOp::Max => BinaryOp::Max,
        ReduceOp::Fmin => BinaryOp::Fmin,
        ReduceOp::Fmax => BinaryOp::Fmax,
        ReduceOp::All => BinaryOp::And,
        ReduceOp::Any => BinaryOp::Or,
        ReduceOp::M2 | ReduceOp::NanM2 => {
            let of = |s: &[Scalar]| (s[0].as_f64(), s[1].as_f64(), s[2].as_i64());
            let (m2, mean, count) = chan(of(a), of(b));
            return a.copy_from_slice(&[m2.into(), mean.into(), count.into()]);
        }
        _ => {
            if is_better(op, a, b) {
                a.copy_from_slice(b);
            }
            return;
        }
    };
    a[0] = binary(plain, a[0], b[0]);
}

/// Merges (m2, mean, count) of two sets of numbers, by Chan, Golub and LeVeque (1979).
pub fn chan(a: (f64, f64, i64), b: (f64, f64, i64)) -> (f64, f64, i64) {
    let ((m2_a, mean_a, n_a), (m2_b, mean_b, n_b)) = (a, b);
    if n_a == 0 {
        return b;
    }
    if n_b == 0 {
        return a;
    }
    let n = n_a + n_b;
    let delta = mean_b - mean_a;
    let share = n_b as f64 / n as f64;
    (m2_a + m2_b + delta * delta * (n_a as f64 * share), mean_a + delta * share, n)
}

/// Moments (m2, mean, count), and those of `count` more numbers of which the deviations from a shift and their squares are summed up.
#[inline(always)]
pub fn moments(before: (f64, f64, i64), shift: f64, off: f64, squares: f64, count: u32) -> (f64, f64, i64) {
    let (known, all) = (before.2 as f64, (before.2 + i64::from(count)) as f64);
    let moved = if before.2 > 0 { before.1 - shift } else { 0.0 };
    let off = off + known * moved;
    let spread = squares + known * moved * moved - off * (off / all);
    // rounding must not make it negative; squares may overflow where deviations do not
    let spread = if spread < 0.0 { 0.0 } else { spread };
    let finite = |x: f64| x.abs() < f64::INFINITY;
    let spread = if !finite(squares) & finite(off) { f64::INFINITY } else { spread };
    match count {
        0 => before,
        _ => (before.0 + spread, shift + off / all, before.2 + i64::from(count)),
    }
}

/// Whether candidate `b` (value, index) of an arg-fold beats `a`.
fn is_better(op: ReduceOp, a: &[Scalar], b: &[Scalar]) -> bool {
    let numbers_only = matches!(op, ReduceOp::NanArgMin | ReduceOp::NanArgMax);
    let minimum = matches!(op, ReduceOp::ArgMin | ReduceOp::NanArgMin);
    let (at_a, at_b) = (a[1].as_i64(), b[1].as_i64());
    if at_b < 0 || numbers_only && is_nan(b[0]) {
        return false;
    }
    if at_a < 0 {
        return true;
    }
    let less = |x, y| compare(CompareOp::Lt, x, y).bits() != 0;
    let (x, y) = if minimum { (b[0], a[0]) } else { (a[0], b[0]) };
    match (is_nan(a[0]), is_nan(b[0])) {
        (true, false) => false,
        (false, true) => true,
        (false, false) if less(x, y) => true,
        (false, false) if less(y, x) => false,
        _ => at_b < at_a,
    }
}

/// The largest value of a dtype, infinity for floats.
pub fn largest(d: DType) -> Scalar {
    match d {
        DType::Bool => true.into(),
        DType::F16 => f16::INFINITY.into(),
        DType::F32 => f32::INFINITY.into(),
        DType::F64 => f64::INFINITY.into(),
        d if d.kind() == crate::dtype::Kind::Signed => Scalar::from_bits(d, (1 << (8 * d.size() - 1)) - 1),
        d => Scalar::from_bits(d, u64::MAX),
    }
}

/// The smallest value of a dtype, minus infinity for floats.
pub fn smallest(d: DType) -> Scalar {
    match d {
        DType::F16 => f16::NEG_INFINITY.into(),
        DType::F32 => f32::NEG_INFINITY.into(),
        DType::F64 => f64::NEG_INFINITY.into(),
        d if d.kind() == crate::dtype::Kind::Signed => Scalar::from_bits(d, 1 << (8 * d.size() - 1)),
        d => Scalar::zero(d),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(op: ReduceOp, xs: &[f32]) -> Scalar {
        let mut planes = init(op, DType::F32);
        for (k, x) in xs.iter().enumerate() {
            push(op, &mut planes, Scalar::from(*x), k as i64);
        }
        planes[op.result_plane()]
    }

    #[test]
    fn first_of_equals_and_first_nan_win() {
        assert_eq!(fold(ReduceOp::ArgMin, &[2.0, 1.0, 1.0]), Scalar::from(1i64));
        assert_eq!(fold(ReduceOp::ArgMax, &[2.0, f32::NAN, 5.0, f32::NAN]), Scalar::from(1i64));
        assert_eq!(fold(ReduceOp::NanArgMax, &[f32::NAN, 2.0, 5.0, f32::NAN]), Scalar::from(2i64));
        assert_eq!(fold(ReduceOp::NanArgMin, &[f32::NAN]), Scalar::from(-1i64));
        assert_eq!(fold(ReduceOp::ArgMin, &[f32::INFINITY]), Scalar::from(0i64));
    }

    #[test]
    fn moments_and_minima() {
        assert_eq!(fold(ReduceOp::M2, &[1.0, 2.0, 3.0, 4.0]).as_f64(), 5.0);
        assert_eq!(fold(ReduceOp::NanM2, &[1.0, f32::NAN, 3.0]).as_f64(), 2.0);
        assert_eq!(fold(ReduceOp::Fmin, &[f32::NAN, 3.0]), Scalar::from(3.0f32));
        assert!(fold(ReduceOp::Min, &[f32::NAN, 3.0]).as_f64().is_nan());
        assert_eq!(fold(ReduceOp::Sum, &[1e8, 1.0]).as_f64(), 100000001.0);
    }
}
