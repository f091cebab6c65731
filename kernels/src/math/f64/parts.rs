//! What the functions are put together from: rounding by magic numbers, powers of two, sums and products with their
//! rounding errors (D. E. Knuth, "The Art of Computer Programming" 2, 4.2.2; T. J. Dekker 1971).

use crate::math::Fma;

/// 1.5 * 2^52. Adding it rounds to an integer, which then stands in the low bits, in two's complement.
pub(in crate::math) const MAGIC: f64 = 6_755_399_441_055_744.0;
pub(in crate::math) const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
pub(in crate::math) const SIGN: u64 = 1 << 63;

/// Horner's scheme, lowest coefficient first.
#[inline(always)]
pub(in crate::math) fn poly<F: Fma, const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let mut r = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        r = F::mad64(r, x, c[i]);
    }
    r
}

/// The nearest integer to `x`, |x| < 2^51.
#[inline(always)]
pub(in crate::math) fn round(x: f64) -> f64 {
    (x + MAGIC) - MAGIC
}

/// 2^k for an integer k in -1023..=1023 (-1023 gives 0).
#[inline(always)]
pub(in crate::math) fn exp2i(k: f64) -> f64 {
    f64::from_bits(((k + MAGIC).to_bits() << 52).wrapping_add(ONE_BITS))
}

/// `x * 2^k` with one rounding, for |x| near 1 and integers |k| <= 2000.
#[inline(always)]
pub(in crate::math) fn scale(x: f64, k: f64) -> f64 {
    let h = round(k * 0.5);
    x * exp2i(h) * exp2i(k - h)
}

/// `a + b` and its rounding error, if `|a| >= |b|` or `a == 0`.
#[inline(always)]
pub(in crate::math) fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    (s, b - (s - a))
}

/// `a + b` and its rounding error.
#[inline(always)]
pub(in crate::math) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `a * b` and its rounding error.
#[inline(always)]
pub(in crate::math) fn two_prod<F: Fma>(a: f64, b: f64) -> (f64, f64) {
    let p = a * b;
    (p, -F::residual(a, b, p))
}

/// `(nh + nl) / (dh + dl)` to about twice the precision.
#[inline(always)]
pub(in crate::math) fn div<F: Fma>(nh: f64, nl: f64, dh: f64, dl: f64) -> (f64, f64) {
    let inv = 1.0 / dh;
    let q = nh * inv;
    let rest = F::residual(q, dh, nh) + F::residual(q, dl, nl);
    (q, rest * inv)
}

/// `a` or `b` by bit masks: an `if` that decides several values at once, LLVM may turn into two copies of what follows.
#[inline(always)]
pub(in crate::math) fn pick(c: bool, a: f64, b: f64) -> f64 {
    let mask = (c as u64).wrapping_neg();
    f64::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
}

/// Magnitude of `x`, sign of `s`.
#[inline(always)]
pub(in crate::math) fn with_sign(x: f64, s: f64) -> f64 {
    f64::from_bits((x.to_bits() & !SIGN) | (s.to_bits() & SIGN))
}
