//! NumPy's universal functions.

use super::operators::{binary, combine, common_dtype, compare};
use super::{Array, IntoArray, where_};
use crate::dtype::{DType, to_float};
use crate::expr::Expr;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use std::panic::Location;

/// Applies a function of one operand; a function of reals takes integers in NumPy's smallest float.
#[track_caller]
fn unary(op: UnaryOp, x: &Array) -> Array {
    x.map(|e| {
        let d = e.dtype();
        let d = match op {
            UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Trunc if !d.is_float() => return Ok(e),
            UnaryOp::Rint => to_float(d),
            _ if op.accepts(d) => d,
            UnaryOp::Abs => return Ok(e),
            UnaryOp::Square | UnaryOp::Reciprocal => DType::I8,
            UnaryOp::Neg | UnaryOp::Sign | UnaryOp::Not => d,
            _ => to_float(d),
        };
        e.cast(d)?.unary(op)
    })
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident $op:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Array {
                unary(UnaryOp::$op, self)
            }
        )*}
    };
}
unary! {
    /// `|x|`; `MIN` of a signed integer wraps to itself.
    abs Abs;
    /// -1, 0 or 1; NaN stays NaN.
    sign Sign;
    /// Square root.
    sqrt Sqrt;
    /// `x * x`.
    square Square;
    /// `1 / x`; for integers 0 unless `x` is 1 or -1.
    reciprocal Reciprocal;
    /// Rounded down; integers and bools as they are.
    floor Floor;
    /// Rounded up; integers and bools as they are.
    ceil Ceil;
    /// Rounded towards zero (NumPy's `trunc` and `fix`); integers and bools as they are.
    trunc Trunc;
    /// Rounded to the nearest integer, halves to even; integers in NumPy's smallest float ([`Array::round`] keeps them).
    rint Rint;
    /// `e^x`.
    exp Exp;
    /// `2^x`.
    exp2 Exp2;
    /// `e^x - 1`, accurate near 0.
    expm1 Expm1;
    /// Natural logarithm.
    log Log;
    /// Base-2 logarithm.
    log2 Log2;
    /// Base-10 logarithm.
    log10 Log10;
    /// `log(1 + x)`, accurate near 0.
    log1p Log1p;
    /// Sine of radians.
    sin Sin;
    /// Cosine of radians.
    cos Cos;
    /// Tangent of radians.
    tan Tan;
    /// Inverse sine, in radians (`asin`).
    arcsin Asin;
    /// Inverse cosine.
    arccos Acos;
    /// Inverse tangent.
    arctan Atan;
    /// Hyperbolic sine.
    sinh Sinh;
    /// Hyperbolic cosine.
    cosh Cosh;
    /// Hyperbolic tangent.
    tanh Tanh;
    /// Inverse hyperbolic sine.
    arcsinh Asinh;
    /// Inverse hyperbolic cosine.
    arccosh Acosh;
    /// Inverse hyperbolic tangent.
    arctanh Atanh;
    /// Cube root.
    cbrt Cbrt;
    /// Whether an element is NaN (never, for integers).
    isnan IsNan;
    /// Whether an element is infinite.
    isinf IsInf;
    /// Whether an element is neither NaN nor infinite.
    isfinite IsFinite;
    /// Whether the sign bit is set.
    signbit Signbit;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $op:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl IntoArray) -> Array {
                binary(BinaryOp::$op, self, other)
            }
        )*}
    };
}
binary! {
    /// `floor(self / other)`, as Python's `//`; 0 where an integer divisor is 0.
    floor_divide FloorDiv;
    /// The remainder with the divisor's sign, as Python's `%` (the operator `%` too).
    remainder Rem;
    /// The remainder with the dividend's sign, as C's `fmod`.
    fmod Fmod;
    /// `self` to the power of `other`. Integers stay integers and wrap; a negative exponent gives the truncated reciprocal (NumPy refuses it).
    power Pow;
    /// The smaller of each pair; NaN if either is.
    minimum Min;
    /// The larger of each pair; NaN if either is.
    maximum Max;
    /// The smaller of each pair; a number wins over NaN.
    fmin Fmin;
    /// The larger of each pair; a number wins over NaN.
    fmax Fmax;
    /// Bits set in both.
    bitwise_and And;
    /// Bits set in either.
    bitwise_or Or;
    /// Bits set in one of them.
    bitwise_xor Xor;
    /// Bits moved up; 0 from the width of the dtype on.
    left_shift Shl;
    /// Bits moved down, with the sign for signed integers.
    right_shift Shr;
    /// Angle in radians of the point (`other`, `self`).
    arctan2 Atan2;
    /// `sqrt(self^2 + other^2)` without overflow.
    hypot Hypot;
    /// Magnitude of `self`, sign of `other`.
    copysign Copysign;
    /// `log(e^self + e^other)`.
    logaddexp Logaddexp;
    /// `log2(2^self + 2^other)`.
    logaddexp2 Logaddexp2;
    /// The next float after `self` towards `other`.
    nextafter Nextafter;
}

impl Array {
    /// Elementwise `==` (false for NaN).
    #[track_caller]
    pub fn equal(&self, other: impl IntoArray) -> Array {
        compare(CompareOp::Eq, self, other)
    }

    /// Elementwise `!=` (true for NaN).
    #[track_caller]
    pub fn not_equal(&self, other: impl IntoArray) -> Array {
        compare(CompareOp::Ne, self, other)
    }

    /// Elementwise `<`.
    #[track_caller]
    pub fn lt(&self, other: impl IntoArray) -> Array {
        compare(CompareOp::Lt, self, other)
    }

    /// Elementwise `<=`.
    #[track_caller]
    pub fn le(&self, other: impl IntoArray) -> Array {
        compare(CompareOp::Le, self, other)
    }

    /// Elementwise `>`.
    #[track_caller]
    pub fn gt(&self, other: impl IntoArray) -> Array {
        flipped(CompareOp::Lt, self, other)
    }

    /// Elementwise `>=`.
    #[track_caller]
    pub fn ge(&self, other: impl IntoArray) -> Array {
        flipped(CompareOp::Le, self, other)
    }

    /// `self * b + c`, rounded once: a fused multiply-add where the machine has one.
    #[track_caller]
    pub fn mul_add(&self, b: impl IntoArray, c: impl IntoArray) -> Array {
        let at = Location::caller();
        let operands = [self.into_operand(), b.into_operand(), c.into_operand()];
        let d = common_dtype(&operands);
        combine("mul_add", operands, [d; 3], at, |[a, b, c]| Expr::mul_add(a, b, c))
    }

    /// Values limited to `low ..= high`; NaN stays NaN.
    #[track_caller]
    pub fn clip(&self, low: impl IntoArray, high: impl IntoArray) -> Array {
        self.maximum(low).minimum(high)
    }

    /// Rounded to a number of decimals, halves to even; negative `decimals` round left of the point. Integers keep their dtype.
    #[track_caller]
    pub fn round(&self, decimals: i32) -> Array {
        if decimals == 0 {
            return if self.dtype().is_integer() { self.clone() } else { self.rint() };
        }
        let scale = 10f64.powi(decimals.abs());
        match (self.dtype().is_float(), decimals > 0) {
            (true, true) => (self * scale).rint() / scale,
            (true, false) => (self / scale).rint() * scale,
            (false, true) => self.clone(),
            (false, false) => ((self.cast(DType::F64) / scale).rint() * scale).cast(self.dtype()),
        }
    }

    /// Whether both are true (not zero).
    #[track_caller]
    pub fn logical_and(&self, other: impl IntoArray) -> Array {
        binary(BinaryOp::And, self.truth(), as_bool(other))
    }

    /// Whether either is true.
    #[track_caller]
    pub fn logical_or(&self, other: impl IntoArray) -> Array {
        binary(BinaryOp::Or, self.truth(), as_bool(other))
    }

    /// Whether one of them, but not both, is true.
    #[track_caller]
    pub fn logical_xor(&self, other: impl IntoArray) -> Array {
        binary(BinaryOp::Xor, self.truth(), as_bool(other))
    }

    /// Whether it is zero.
    #[track_caller]
    pub fn logical_not(&self) -> Array {
        !self.truth()
    }

    /// `x != 0`, as bool.
    #[track_caller]
    pub(super) fn truth(&self) -> Array {
        self.cast(DType::Bool)
    }

    /// NaN replaced by 0, and infinities by the largest finite numbers of their signs.
    #[track_caller]
    pub fn nan_to_num(&self) -> Array {
        let d = self.dtype();
        let largest = match d {
            DType::F16 => f64::from(crate::dtype::f16::MAX),
            DType::F32 => f64::from(f32::MAX),
            DType::F64 => f64::MAX,
            _ => return self.clone(),
        };
        where_(self.isnan(), 0.0, self.maximum(-largest).minimum(largest))
    }

    /// Degrees to radians.
    #[track_caller]
    pub fn deg2rad(&self) -> Array {
        self.in_float() * (std::f64::consts::PI / 180.0)
    }

    /// Radians to degrees.
    #[track_caller]
    pub fn rad2deg(&self) -> Array {
        self.in_float() * (180.0 / std::f64::consts::PI)
    }

    /// `self` to the power of `other` in f64, whatever the dtypes.
    #[track_caller]
    pub fn float_power(&self, other: impl IntoArray) -> Array {
        binary(BinaryOp::Pow, self.cast(DType::F64), other)
    }

    /// The quotient by Python's `//` and the remainder by `%`.
    #[track_caller]
    pub fn divmod(&self, other: impl IntoArray + Clone) -> (Array, Array) {
        (self.floor_divide(other.clone()), self.remainder(other))
    }

    /// Whether `|self - other| <= atol + rtol * |other|`; infinities are close to themselves, NaN to nothing unless `equal_nan`.
    #[track_caller]
    pub fn isclose(&self, other: impl IntoArray + Clone, rtol: f64, atol: f64, equal_nan: bool) -> Array {
        let (a, b) = (self.in_float(), binary(BinaryOp::Add, self.zeros_like().in_float(), other));
        let near = (&a - &b).abs().le(b.abs() * rtol + atol) & b.isfinite();
        let close = near | a.equal(&b);
        if equal_nan { close | (a.isnan() & b.isnan()) } else { close }
    }

    /// Whether all elements are close: [`Array::isclose`] of all, 0-d bool.
    #[track_caller]
    pub fn allclose(&self, other: impl IntoArray + Clone, rtol: f64, atol: f64, equal_nan: bool) -> Array {
        self.isclose(other, rtol, atol, equal_nan).all(..)
    }

    /// In NumPy's smallest float that computes this dtype.
    #[track_caller]
    pub(super) fn in_float(&self) -> Array {
        self.cast(to_float(self.dtype()))
    }
}

#[track_caller]
fn flipped(op: CompareOp, a: impl IntoArray, b: impl IntoArray) -> Array {
    // `a > b` is `b < a`; the metadata stays the left operand's
    compare(op, b, a)
}

#[track_caller]
fn as_bool(x: impl IntoArray) -> Array {
    match x.into_operand() {
        super::Operand::Array(a) => a.truth(),
        super::Operand::Number(s) => Array::scalar(s.cast(DType::Bool)),
    }
}
