//! Functions of `f32` that compute in `f64` and round once.

use crate::math::Fma;
use crate::math::f64 as wide;

macro_rules! unary {
    ($($(#[$doc:meta])* $f:ident,)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $f<F: Fma>(x: f32) -> f32 {
            wide::$f::<F>(x as f64) as f32
        }
    )*};
}
unary! {
    /// `2^x`; exact for integers.
    exp2,
    /// `e^x - 1`.
    expm1,
    /// Base-2 logarithm; exact for powers of two.
    log2,
    /// Base-10 logarithm; exact for powers of ten.
    log10,
    /// `log(1 + x)`.
    log1p,
    /// Arc sine.
    asin,
    /// Arc cosine.
    acos,
    /// Arc tangent.
    atan,
    /// Hyperbolic sine.
    sinh,
    /// Hyperbolic cosine.
    cosh,
    /// Inverse hyperbolic sine.
    asinh,
    /// Inverse hyperbolic cosine.
    acosh,
    /// Inverse hyperbolic tangent.
    atanh,
    /// Cube root.
    cbrt,
}

macro_rules! binary {
    ($($(#[$doc:meta])* $f:ident($a:ident, $b:ident),)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $f<F: Fma>($a: f32, $b: f32) -> f32 {
            wide::$f::<F>($a as f64, $b as f64) as f32
        }
    )*};
}
binary! {
    /// Angle of the point (x, y), from -pi to pi.
    atan2(y, x),
    /// `sqrt(a^2 + b^2)` without overflow; infinite if either is, even beside NaN.
    hypot(a, b),
    /// `x^y` as in C99.
    pow(x, y),
    /// `log(e^a + e^b)`.
    logaddexp(a, b),
    /// `log2(2^a + 2^b)`.
    logaddexp2(a, b),
}

/// The next number after `a` towards `b`; `b` if they are equal, NaN if either is.
#[inline(always)]
pub fn nextafter<F: Fma>(a: f32, b: f32) -> f32 {
    let bits = a.to_bits();
    let away = (a < b) == (a > 0.0);
    let step = f32::from_bits(if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) });
    let least = f32::from_bits(1 | (b.to_bits() & 0x8000_0000));
    let r = if a == 0.0 { least } else { step };
    let r = if a == b { b } else { r };
    if a.is_nan() | b.is_nan() { f32::NAN } else { r }
}
