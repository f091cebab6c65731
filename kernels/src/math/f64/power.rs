//! Roots, powers, and the next representable number.

use super::exp::{clamp, exp2_parts};
use super::log::log2_sum;
use super::parts::*;
use crate::math::Fma;

// x^(-1/3) on 1..=2, relative error 2^-14.7.
const CBRT: [f64; 5] =
    [1.6701592343436633, -1.1732545877877847, 0.6958156137887851, -0.22136461076001931, 0.02860835624175286];

/// Cube root: an inverse cube root from a polynomial, one step of fourth order, and one Newton step with the exact
/// residual, which makes the cube roots of cubes exact.
#[inline(always)]
pub fn cbrt<F: Fma>(x: f64) -> f64 {
    let a = x.abs();
    let tiny = a < f64::MIN_POSITIVE;
    let bits = (if tiny { a * 18_014_398_509_481_984.0 } else { a }).to_bits();
    let k = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - 4_503_599_627_371_519.0;
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | ONE_BITS);
    let third = round(k * (1.0 / 3.0));
    let rest = k - 3.0 * third;
    let factor = if rest > 0.0 { 0.7937005259840998 } else { 1.0 };
    let factor = if rest < 0.0 { 1.2599210498948732 } else { factor };
    let w = poly::<F, 5>(m, &CBRT) * factor;
    let m = m * exp2i(rest);
    let h = 1.0 - m * w * w * w;
    let w = w + w * h * F::mad64(h, F::mad64(h, 14.0 / 81.0, 2.0 / 9.0), 1.0 / 3.0);
    let y = m * w * w;
    let (s, sl) = two_prod::<F>(y, y);
    let miss = F::residual(s, y, m) - sl * y;
    let y = F::mad64(miss, w * w * (1.0 / 3.0), y);
    let y = y * exp2i(if tiny { third - 18.0 } else { third });
    if (a > 0.0) & (a < f64::INFINITY) { with_sign(y, x) } else { x + x }
}

/// `sqrt(a^2 + b^2)` without overflow; infinite if either is, even beside NaN.
#[inline(always)]
pub fn hypot<F: Fma>(a: f64, b: f64) -> f64 {
    let (a, b) = (a.abs(), b.abs());
    let (x, y) = if a < b { (b, a) } else { (a, b) };
    let (up, down) = (f64::from_bits(0x6570_0000_0000_0000), f64::from_bits(0x1a70_0000_0000_0000));
    let large = x > f64::from_bits(0x5f30_0000_0000_0000);
    let small = x < f64::from_bits(0x26f0_0000_0000_0000);
    let f = if large {
        down
    } else if small {
        up
    } else {
        1.0
    };
    let g = if large {
        up
    } else if small {
        down
    } else {
        1.0
    };
    let (x, y) = (x * f, y * f);
    let (p, pl) = two_prod::<F>(x, x);
    let (q, ql) = two_prod::<F>(y, y);
    let (s, sl) = fast_two_sum(p, q);
    let r = (s + (sl + (pl + ql))).sqrt() * g;
    if (a == f64::INFINITY) | (b == f64::INFINITY) { f64::INFINITY } else { r }
}

/// `x^y` as in C99: `2^(y log2 x)`, the logarithm and the product as sums.
#[inline(always)]
pub fn pow<F: Fma>(x: f64, y: f64) -> f64 {
    let (ax, ay) = (x.abs(), y.abs());
    let (h, l) = log2_sum::<F>(ax);
    // Beyond 2^66 the power of anything but 1 overflows or vanishes.
    let v = clamp(y, -7e19, 7e19);
    let (p, pl) = two_prod::<F>(h, v);
    let pl = F::mad64(l, v, pl);
    let cut = p.abs() > 1100.0;
    let (k, h, l) = exp2_parts::<F>(clamp(p, -1100.0, 1100.0), if cut { 0.0 } else { pl });
    let r = scale(h + l, k);

    let r = if (ax == 0.0) | (ax == f64::INFINITY) {
        if (ax == 0.0) == (y > 0.0) { 0.0 } else { f64::INFINITY }
    } else {
        r
    };
    let r = if y == 2.0 { x * x } else { r };
    // Is y an integer, is it odd? 2^52 + |y| has the units in its lowest bit.
    let big = ay >= 4_503_599_627_370_496.0;
    let t = if big { ay } else { ay + 4_503_599_627_370_496.0 };
    let integer = big | (t - 4_503_599_627_370_496.0 == ay);
    let odd = integer & (ay < 9_007_199_254_740_992.0) & (t.to_bits() & 1 != 0);
    let r = if odd { with_sign(r, x) } else { r };
    let r = if (x < 0.0) & (ax < f64::INFINITY) & !integer { f64::NAN } else { r };
    let r = if x.is_nan() | y.is_nan() { f64::NAN } else { r };
    if (x == 1.0) | (y == 0.0) { 1.0 } else { r }
}

/// The next number after `a` towards `b`; `b` if they are equal, NaN if either is.
#[inline(always)]
pub fn nextafter<F: Fma>(a: f64, b: f64) -> f64 {
    let bits = a.to_bits();
    let away = (a < b) == (a > 0.0);
    let step = f64::from_bits(if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) });
    let r = if a == 0.0 { with_sign(f64::from_bits(1), b) } else { step };
    let r = if a == b { b } else { r };
    if a.is_nan() | b.is_nan() { f64::NAN } else { r }
}
