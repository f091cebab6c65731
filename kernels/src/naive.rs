//! What each operation means for one element. Slow on purpose: this is the text that every backend is tested against.
//!
//! Reductions are defined in [`fold`].

pub mod fold;

use crate::op::{BinaryOp, CompareOp, UnaryOp};
use crate::{DType, Scalar, f16};

/// `op(x)`. The operation must accept the dtype.
pub fn unary(op: UnaryOp, x: Scalar) -> Scalar {
    macro_rules! int {
        ($T:ty) => {{
            let x = x.get::<$T>().unwrap_or_default();
            let one: $T = 1;
            #[allow(unused_comparisons, reason = "unsigned types come here too")]
            let negative = x < 0;
            match op {
                UnaryOp::Neg => x.wrapping_neg().into(),
                UnaryOp::Abs if negative => x.wrapping_neg().into(),
                UnaryOp::Sign if negative => one.wrapping_neg().into(),
                UnaryOp::Sign => x.min(1).into(),
                UnaryOp::Not => (!x).into(),
                UnaryOp::Square => x.wrapping_mul(x).into(),
                UnaryOp::Reciprocal if x == 0 => x.into(),
                UnaryOp::Reciprocal => one.wrapping_div(x).into(),
                UnaryOp::IsNan | UnaryOp::IsInf => false.into(),
                UnaryOp::IsFinite => true.into(),
                UnaryOp::Signbit => negative.into(),
                // Abs of what is not negative, and rounding
                _ => x.into(),
            }
        }};
    }
    let d = x.dtype();
    match d {
        DType::Bool => match op {
            UnaryOp::Not => (x.bits() == 0).into(),
            op => (op == UnaryOp::IsFinite).into(),
        },
        DType::I8 => int!(i8),
        DType::I16 => int!(i16),
        DType::I32 => int!(i32),
        DType::I64 => int!(i64),
        DType::U8 => int!(u8),
        DType::U16 => int!(u16),
        DType::U32 => int!(u32),
        DType::U64 => int!(u64),
        DType::F16 | DType::F32 | DType::F64 => match op {
            UnaryOp::IsNan => x.as_f64().is_nan().into(),
            UnaryOp::IsInf => x.as_f64().is_infinite().into(),
            UnaryOp::IsFinite => x.as_f64().is_finite().into(),
            UnaryOp::Signbit => (x.bits() >> (8 * d.size() - 1) != 0).into(),
            // for the others one rounding from f64 is the same as computing in the type itself
            _ => Scalar::from(unary_f64(op, x.as_f64())).cast(d),
        },
    }
}

/// `op(x)` in f64. For narrower types the result is rounded: the same as `+ * / sqrt` of that type, since f64 has more
/// than twice its digits (Figueroa 1995), and the best there is for transcendental functions.
fn unary_f64(op: UnaryOp, x: f64) -> f64 {
    match op {
        UnaryOp::Neg => -x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sign if x.is_nan() => x,
        UnaryOp::Sign => f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Square => x * x,
        UnaryOp::Reciprocal => 1.0 / x,
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Trunc => x.trunc(),
        UnaryOp::Rint => x.round_ties_even(),
        UnaryOp::Exp => x.exp(),
        UnaryOp::Exp2 => x.exp2(),
        UnaryOp::Expm1 => x.exp_m1(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Log2 => x.log2(),
        UnaryOp::Log10 => x.log10(),
        UnaryOp::Log1p => x.ln_1p(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Tan => x.tan(),
        UnaryOp::Asin => x.asin(),
        UnaryOp::Acos => x.acos(),
        UnaryOp::Atan => x.atan(),
        UnaryOp::Sinh => x.sinh(),
        UnaryOp::Cosh => x.cosh(),
        UnaryOp::Tanh => x.tanh(),
        UnaryOp::Asinh => asinh(x),
        UnaryOp::Acosh => acosh(x),
        UnaryOp::Atanh => atanh(x),
        UnaryOp::Cbrt => x.cbrt(),
        UnaryOp::Not | UnaryOp::IsNan | UnaryOp::IsInf | UnaryOp::IsFinite | UnaryOp::Signbit => f64::NAN,
    }
}

/// Inverse hyperbolic sine, as in FreeBSD's libm (the standard library's loses digits).
pub fn asinh(x: f64) -> f64 {
    let a = x.abs();
    let y = if a < 1.0 / (1u64 << 28) as f64 || !a.is_finite() {
        return x;
    } else if a > (1u64 << 28) as f64 {
        a.ln() + std::f64::consts::LN_2
    } else if a > 2.0 {
        (2.0 * a + 1.0 / ((a * a + 1.0).sqrt() + a)).ln()
    } else {
        (a + a * a / (1.0 + (1.0 + a * a).sqrt())).ln_1p()
    };
    y.copysign(x)
}

/// Inverse hyperbolic cosine, as in FreeBSD's libm.
pub fn acosh(x: f64) -> f64 {
    if x < 1.0 {
        f64::NAN
    } else if x > (1u64 << 28) as f64 {
        x.ln() + std::f64::consts::LN_2
    } else if x > 2.0 {
        (2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt())).ln()
    } else {
        let t = x - 1.0;
        (t + (2.0 * t + t * t).sqrt()).ln_1p()
    }
}

/// Inverse hyperbolic tangent, as in FreeBSD's libm.
pub fn atanh(x: f64) -> f64 {
    let a = x.abs();
    let y = if a < 1.0 / (1u64 << 28) as f64 {
        return x;
    } else if a < 0.5 {
        0.5 * (2.0 * a + 2.0 * a * a / (1.0 - a)).ln_1p()
    } else {
        0.5 * (2.0 * a / (1.0 - a)).ln_1p()
    };
    y.copysign(x)
}

/// `op(a, b)`. The operation must accept the dtype, which is that of both operands.
pub fn binary(op: BinaryOp, a: Scalar, b: Scalar) -> Scalar {
    macro_rules! int {
        ($T:ty) => {{
            let (a, b) = (a.get::<$T>().unwrap_or_default(), b.get::<$T>().unwrap_or_default());
            #[allow(unused_comparisons, reason = "unsigned types come here too")]
            let (a_negative, b_negative) = (a < 0, b < 0);
            let shift = u32::try_from(b).ok().filter(|&s| s < <$T>::BITS);
            let fmod = if b == 0 { 0 } else { a.wrapping_rem(b) };
            // the truncated quotient and remainder are the floored ones unless the signs differ
            let inexact = fmod != 0 && a_negative != b_negative;
            Scalar::from(match op {
                BinaryOp::Add => a.wrapping_add(b),
                BinaryOp::Sub => a.wrapping_sub(b),
                BinaryOp::Mul => a.wrapping_mul(b),
                BinaryOp::FloorDiv if b == 0 => 0,
                BinaryOp::FloorDiv => a.wrapping_div(b).wrapping_sub(<$T>::from(inexact)),
                BinaryOp::Rem if inexact => fmod.wrapping_add(b),
                BinaryOp::Rem | BinaryOp::Fmod => fmod,
                BinaryOp::Pow if b_negative => match a {
                    1 => 1,
                    a if a.wrapping_add(1) == 0 && b & 1 == 0 => 1,
                    a if a.wrapping_add(1) == 0 => a,
                    _ => 0,
                },
                BinaryOp::Pow => {
                    let (mut base, mut left, mut power) = (a, b, 1 as $T);
                    while left != 0 {
                        if left & 1 == 1 {
                            power = power.wrapping_mul(base);
                        }
                        base = base.wrapping_mul(base);
                        left >>= 1;
                    }
                    power
                }
                BinaryOp::Min | BinaryOp::Fmin => a.min(b),
                BinaryOp::Max | BinaryOp::Fmax => a.max(b),
                BinaryOp::And => a & b,
                BinaryOp::Or => a | b,
                BinaryOp::Xor => a ^ b,
                BinaryOp::Shl => shift.map_or(0, |s| a << s),
                BinaryOp::Shr if a_negative => shift.map_or((0 as $T).wrapping_sub(1), |s| a >> s),
                BinaryOp::Shr => shift.map_or(0, |s| a >> s),
                _ => 0,
            })
        }};
    }
    let d = a.dtype();
    match d {
        DType::Bool => {
            let (a, b) = (a.bits(), b.bits());
            (match op {
                BinaryOp::Add | BinaryOp::Or | BinaryOp::Max | BinaryOp::Fmax => a | b,
                BinaryOp::Xor => a ^ b,
                _ => a & b,
            } != 0)
                .into()
        }
        DType::I8 => int!(i8),
        DType::I16 => int!(i16),
        DType::I32 => int!(i32),
        DType::I64 => int!(i64),
        DType::U8 => int!(u8),
        DType::U16 => int!(u16),
        DType::U32 => int!(u32),
        DType::U64 => int!(u64),
        DType::F16 | DType::F32 | DType::F64 if op == BinaryOp::Nextafter => nextafter(a, b),
        // floored division inspects the rounded quotient: that of the type it computes in
        DType::F16 | DType::F32 if op == BinaryOp::FloorDiv => {
            let (a, b) = (a.as_f64() as f32, b.as_f64() as f32);
            let q = (a / b).floor();
            let r = if b.is_infinite() { a } else { (-q).mul_add(b, a) };
            let q = if r != 0.0 && (r < 0.0) != (b < 0.0) { q - 1.0 } else { q };
            Scalar::from(if a.is_infinite() { f32::NAN } else { q }).cast(d)
        }
        DType::F16 => {
            let exact = binary_f64(op, a.as_f64(), b.as_f64());
            // arithmetic rounds to f32 first; transcendental functions only once
            if matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem) {
                Scalar::from(exact as f32).cast(d)
            } else {
                Scalar::from(exact).cast(d)
            }
        }
        DType::F32 | DType::F64 => Scalar::from(binary_f64(op, a.as_f64(), b.as_f64())).cast(d),
    }
}

fn binary_f64(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::FloorDiv => {
            let q = (a / b).floor();
            // the rounded quotient may have reached the next integer: the exact remainder tells
            let r = if b.is_infinite() { a } else { (-q).mul_add(b, a) };
            let q = if r != 0.0 && (r < 0.0) != (b < 0.0) { q - 1.0 } else { q };
            if a.is_infinite() { f64::NAN } else { q }
        }
        BinaryOp::Rem => match a % b {
            0.0 => 0f64.copysign(b),
            r if (r < 0.0) != (b < 0.0) => r + b,
            r => r,
        },
        BinaryOp::Fmod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Min if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Max if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Min | BinaryOp::Fmin => a.min(b),
        BinaryOp::Max | BinaryOp::Fmax => a.max(b),
        BinaryOp::Atan2 => a.atan2(b),
        BinaryOp::Hypot => a.hypot(b),
        BinaryOp::Copysign => a.copysign(b),
        BinaryOp::Logaddexp if a == b => a + std::f64::consts::LN_2,
        BinaryOp::Logaddexp if a > b => a + (b - a).exp().ln_1p(),
        BinaryOp::Logaddexp => b + (a - b).exp().ln_1p(),
        BinaryOp::Logaddexp2 if a == b => a + 1.0,
        BinaryOp::Logaddexp2 if a > b => a + (b - a).exp2().ln_1p() * std::f64::consts::LOG2_E,
        BinaryOp::Logaddexp2 => b + (a - b).exp2().ln_1p() * std::f64::consts::LOG2_E,
        BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::Shl | BinaryOp::Shr => f64::NAN,
        BinaryOp::Nextafter => f64::NAN,
    }
}

/// The neighbour of `a` towards `b`: one step in the order of the bits.
fn nextafter(a: Scalar, b: Scalar) -> Scalar {
    let d = a.dtype();
    let (x, y) = (a.as_f64(), b.as_f64());
    let sign = 1u64 << (8 * d.size() - 1);
    Scalar::from_bits(
        d,
        match () {
            _ if x.is_nan() => a.bits(),
            _ if y.is_nan() || x == y => b.bits(),
            _ if x == 0.0 => (b.bits() & sign) | 1,
            _ if (x < y) == (x > 0.0) => a.bits() + 1,
            _ => a.bits() - 1,
        },
    )
}

/// `op(a, b)` as bool.
#[allow(clippy::bool_comparison, reason = "bool is one of the types")]
pub fn compare(op: CompareOp, a: Scalar, b: Scalar) -> Scalar {
    crate::for_dtype!(a.dtype(), T => {
        let (a, b) = (a.get::<T>().unwrap_or_default(), b.get::<T>().unwrap_or_default());
        Scalar::from(match op {
            CompareOp::Eq => a == b,
            CompareOp::Ne => a != b,
            CompareOp::Lt => a < b,
            CompareOp::Le => a <= b,
        })
    })
}

/// `a * b + c`, rounded once (`f16`: once to f32, once to f16, as all its arithmetic). Wraps for integers.
pub fn mul_add(a: Scalar, b: Scalar, c: Scalar) -> Scalar {
    let d = a.dtype();
    match d {
        DType::F64 => a.as_f64().mul_add(b.as_f64(), c.as_f64()).into(),
        DType::F16 | DType::F32 => {
            Scalar::from((a.as_f64() as f32).mul_add(b.as_f64() as f32, c.as_f64() as f32)).cast(d)
        }
        _ => {
            // the low bits of a product and a sum do not depend on signs or on the bits above
            Scalar::from_bits(d, a.bits().wrapping_mul(b.bits()).wrapping_add(c.bits()))
        }
    }
}

/// Whether a scalar is NaN.
pub(crate) fn is_nan(x: Scalar) -> bool {
    match x.dtype() {
        DType::F16 => x.get::<f16>().is_some_and(f16::is_nan),
        d => d.is_float() && x.as_f64().is_nan(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin<T: crate::Element>(op: BinaryOp, a: T, b: T) -> T {
        binary(op, a.to_scalar(), b.to_scalar()).get().unwrap()
    }

    #[test]
    fn integers_divide_as_python_does() {
        for (a, b, q, r) in [(7, 2, 3, 1), (-7, 2, -4, 1), (7, -2, -4, -1), (-7, -2, 3, -1), (6, -2, -3, 0)] {
            assert_eq!(bin::<i8>(BinaryOp::FloorDiv, a, b), q);
            assert_eq!(bin::<i8>(BinaryOp::Rem, a, b), r);
        }
        assert_eq!(bin(BinaryOp::FloorDiv, i32::MIN, -1), i32::MIN);
        assert_eq!(bin(BinaryOp::Rem, i32::MIN, -1), 0);
        assert_eq!(bin(BinaryOp::FloorDiv, 5u16, 0), 0);
        assert_eq!(bin(BinaryOp::Fmod, -7i64, 2), -1);
    }

    #[test]
    fn floats_divide_as_python_does() {
        assert_eq!(bin(BinaryOp::FloorDiv, 1.0, 0.1), 9.0);
        assert_eq!(bin(BinaryOp::FloorDiv, -1.0, f64::INFINITY), -1.0);
        assert_eq!(bin(BinaryOp::FloorDiv, 1.0f32, 0.0), f32::INFINITY);
        assert!(bin(BinaryOp::FloorDiv, f64::INFINITY, 1.0).is_nan());
        assert_eq!(bin(BinaryOp::Rem, -7.5, 2.0), 0.5);
        assert_eq!(bin(BinaryOp::Rem, -1e-20, 2.0), 2.0);
        assert!(bin(BinaryOp::Rem, 4f64, -2.0).is_sign_negative());
        assert!(bin(BinaryOp::Rem, 4.0f32, 0.0).is_nan());
    }

    #[test]
    fn powers_and_shifts_of_integers() {
        assert_eq!(bin(BinaryOp::Pow, 3i8, 5), 243u8 as i8);
        assert_eq!(bin(BinaryOp::Pow, -1i32, -3), -1);
        assert_eq!(bin(BinaryOp::Pow, -1i32, -4), 1);
        assert_eq!(bin(BinaryOp::Pow, 2i32, -1), 0);
        assert_eq!(bin(BinaryOp::Pow, 0u64, 0), 1);
        assert_eq!(bin(BinaryOp::Shl, 1u8, 8), 0);
        assert_eq!(bin(BinaryOp::Shr, -5i16, -1), -1);
        assert_eq!(bin(BinaryOp::Shr, -5i16, 1), -3);
    }

    #[test]
    fn neighbours_and_minima() {
        assert_eq!(bin(BinaryOp::Nextafter, 0.0f32, -1.0), -f32::from_bits(1));
        assert_eq!(bin(BinaryOp::Nextafter, 1.0f64, 2.0), 1.0 + f64::EPSILON);
        assert_eq!(bin(BinaryOp::Nextafter, f16::MAX, f16::INFINITY), f16::INFINITY);
        assert!(bin(BinaryOp::Min, 1.0, f64::NAN).is_nan());
        assert_eq!(bin(BinaryOp::Fmax, f32::NAN, -1.0), -1.0);
    }
}
