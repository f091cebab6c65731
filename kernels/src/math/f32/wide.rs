//! Functions of `f32` that compute in `f64` and round once.
//!
//! An `f32` is a normal `f64`, squares do not overflow, and sums keep 29 bits more than the result needs: the
//! reductions are those of [`crate::math::f64`] without their second halves, the polynomials are shorter.

use crate::math::Fma;
use crate::math::f64 as full;
use crate::math::f64::exp::cosh_sinh;
use crate::math::f64::log::{log_near, special, split_normal};
use crate::math::f64::parts::*;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, LN_2, LOG2_E, LOG10_2};

// e^r = 1 + r + r^2 EXP(r), error 2^-31.9 relative to e^r - 1, |r| <= ln 2 / 2.
const EXP: [f64; 6] = [
    0.500000004464655,
    0.1666666635833591,
    0.04166635843215556,
    0.008333390923043204,
    0.001394084061914651,
    0.00019845572801254909,
];
// log m = 2 s + s^3 LOG(s^2), s = (m - 1) / (m + 1), error 2^-37.6.
const LOG: [f64; 4] = [0.666666656415111, 0.40000336202544956, 0.28537238817712046, 0.23583564270243443];
// sin r = r + r^3 SIN(r^2), error 2^-37.5; cos r = 1 - r^2/2 + r^4 COS(r^2), error 2^-43.1; |r| <= pi/4.
const SIN: [f64; 4] =
    [-0.16666666640613023, 0.008333329266665574, -0.00019839296117029622, 2.717939768061593e-06];
const COS: [f64; 4] =
    [0.041666666621162946, -0.001388888360579679, 2.4799480213243395e-05, -2.7206893974193425e-07];
// atan t = t + t^3 ATAN(t^2), error 2^-35.4, |t| <= tan(pi/8).
const ATAN: [f64; 6] = [
    -0.33333332510268965,
    0.199999047449656,
    -0.14282028294268373,
    0.11044911463110815,
    -0.08477333674056324,
    0.04745954021997107,
];
// asin x = x + x^3 ASIN(x^2), error 2^-35.8, |x| <= 1/2.
const ASIN: [f64; 7] = [
    0.16666667191655624,
    0.07499948008671968,
    0.044660204154403305,
    0.030109733498606475,
    0.024621729680293414,
    0.007458389607627543,
    0.034706327292284525,
];
// x^(-1/3) on 1..=2, relative error 2^-14.7.
const CBRT: [f64; 5] =
    [1.6701592343436633, -1.1732545877877847, 0.6958156137887851, -0.22136461076001931, 0.02860835624175286];
const TAN_PI_8: f64 = 0.41421356237309503;

#[inline(always)]
fn clamp(x: f64, limit: f64) -> f64 {
    let x = if x > limit { limit } else { x };
    if x < -limit { -limit } else { x }
}

/// `e^r - 1` for |r| <= ln 2 / 2.
#[inline(always)]
fn expm1_near<F: Fma>(r: f64) -> f64 {
    F::mad64(r * r, poly::<F, 6>(r, &EXP), r)
}

/// `2^k` and `e^x / 2^k - 1` for |x| <= 500.
#[inline(always)]
fn exp_parts<F: Fma>(x: f64) -> (f64, f64) {
    let k = F::mad64(x, LOG2_E, MAGIC) - MAGIC;
    (exp2i(k), expm1_near::<F>(F::mad64(-k, LN_2, x)))
}

/// `2^x` for |x| <= 500.
#[inline(always)]
fn exp2_near<F: Fma>(x: f64) -> f64 {
    let k = round(x);
    let p = exp2i(k);
    F::mad64(p, expm1_near::<F>((x - k) * LN_2), p)
}

/// `log(1 + f)` for 1 + f from sqrt(1/2) to sqrt 2.
#[inline(always)]
fn log1p_near<F: Fma>(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    F::mad64(s * z, poly::<F, 4>(z, &LOG), s + s)
}

/// `log(1 + x)` for finite x > -1.
#[inline(always)]
fn log1p_of<F: Fma>(x: f64) -> f64 {
    let (k, m) = split_normal(1.0 + x);
    let f = if k == 0.0 { x } else { m - 1.0 };
    F::mad64(k, LN_2, log1p_near::<F>(f))
}

/// `2^x`; exact for integers.
#[inline(always)]
pub fn exp2<F: Fma>(x: f32) -> f32 {
    exp2_near::<F>(clamp(x as f64, 200.0)) as f32
}

/// `e^x - 1`.
#[inline(always)]
pub fn expm1<F: Fma>(x: f32) -> f32 {
    let (p, e) = exp_parts::<F>(clamp(x as f64, 120.0));
    let y = F::mad64(p, e, p - 1.0) as f32;
    if x == 0.0 { x } else { y }
}

/// Base-2 logarithm; exact for powers of two.
#[inline(always)]
pub fn log2<F: Fma>(x: f32) -> f32 {
    let x = x as f64;
    let (k, m) = split_normal(x);
    special(x, F::mad64(log1p_near::<F>(m - 1.0), LOG2_E, k)) as f32
}

/// Base-10 logarithm; exact for powers of ten.
#[inline(always)]
pub fn log10<F: Fma>(x: f32) -> f32 {
    let x = x as f64;
    let (k, m) = split_normal(x);
    special(x, F::mad64(log1p_near::<F>(m - 1.0), std::f64::consts::LOG10_E, k * LOG10_2)) as f32
}

/// `log(1 + x)`.
#[inline(always)]
pub fn log1p<F: Fma>(x: f32) -> f32 {
    let wide = x as f64;
    let y = special(1.0 + wide, log1p_of::<F>(wide)) as f32;
    if x == 0.0 { x } else { y }
}

/// `2^k e^r` to about the precision of `f64`.
#[inline(always)]
fn exp_scaled<F: Fma>(r: f64, k: f64) -> f64 {
    let (c, s) = cosh_sinh::<F>(r);
    let p = exp2i(k);
    F::mad64(p, r + (c + s), p)
}

/// `e^x` for x <= 0, to about the precision of `f64` where it matters.
#[inline(always)]
fn exp_full<F: Fma>(x: f64) -> f64 {
    let x = clamp(x, 200.0);
    let k = F::mad64(x, LOG2_E, MAGIC) - MAGIC;
    exp_scaled::<F>(F::mad64(-k, LN_2, x), k)
}

/// `log(1 + e)` for e in 0..=1, to about the precision of `f64`.
#[inline(always)]
fn log1p_of_unit<F: Fma>(e: f64) -> f64 {
    let upper = e > TAN_PI_8;
    let f = pick(upper, 0.5 * (e - 1.0), e);
    log_near::<F>(f) + pick(upper, LN_2, 0.0)
}

/// `log(e^a + e^b)`.
///
/// The error is relative to the larger of the result and the operands: where `e^a + e^b` is nearly 1 the terms cancel.
#[inline(always)]
pub fn logaddexp<F: Fma>(a: f32, b: f32) -> f32 {
    let (x, y) = if a < b { (b as f64, a as f64) } else { (a as f64, b as f64) };
    let l = log1p_of_unit::<F>(exp_full::<F>(y - x));
    infinite(x, y, x + l)
}

/// `log2(2^a + 2^b)`.
///
/// The error is relative to the larger of the result and the operands: where `2^a + 2^b` is nearly 1 the terms cancel.
#[inline(always)]
pub fn logaddexp2<F: Fma>(a: f32, b: f32) -> f32 {
    let (x, y) = if a < b { (b as f64, a as f64) } else { (a as f64, b as f64) };
    let d = clamp(y - x, 300.0);
    let k = round(d);
    let l = log1p_of_unit::<F>(exp_scaled::<F>((d - k) * LN_2, k));
    // Not fused: log(2) times this is 1 only when rounded.
    infinite(x, y, x + l * LOG2_E)
}

/// `r`, or the larger operand `x` if that is infinite and `y` is not NaN.
#[inline(always)]
fn infinite(x: f64, y: f64, r: f64) -> f32 {
    let y = if y == f64::NEG_INFINITY { -1.0 } else { y };
    (if x.abs() == f64::INFINITY { x + y } else { r }) as f32
}

/// `x^y` as in C99.
#[inline(always)]
pub fn pow<F: Fma>(x: f32, y: f32) -> f32 {
    let (ax, ay) = (x.abs(), y.abs());
    let (k, m) = split_normal(ax as f64);
    let log2 = F::mad64(log1p_near::<F>(m - 1.0), LOG2_E, k);
    // Beyond 2^40 the power of anything but 1 overflows or vanishes; 0 * infinity would be NaN.
    let r = exp2_near::<F>(clamp(log2 * clamp(y as f64, 1.1e12), 200.0)) as f32;

    let r = if (ax == 0.0) | (ax == f32::INFINITY) {
        if (ax == 0.0) == (y > 0.0) { 0.0 } else { f32::INFINITY }
    } else {
        r
    };
    let r = if y == 2.0 { x * x } else { r };
    // Is y an integer, is it odd? 2^23 + |y| has the units in its lowest bit.
    let big = ay >= 8_388_608.0;
    let t = if big { ay } else { ay + 8_388_608.0 };
    let integer = big | (t - 8_388_608.0 == ay);
    let odd = integer & (ay < 16_777_216.0) & (t.to_bits() & 1 != 0);
    let r = if odd { with_sign32(r, x) } else { r };
    let r = if (x < 0.0) & (ax < f32::INFINITY) & !integer { f32::NAN } else { r };
    let r = if x.is_nan() | y.is_nan() { f32::NAN } else { r };
    if (x == 1.0) | (y == 0.0) { 1.0 } else { r }
}

/// Largest |x| of [`tan_fast`].
const NEAR: f32 = 1_048_576.0;
/// pi/2 in 33 bits, which an integer below 2^20 times is exact, and the rest.
const PIO2: [f64; 2] = [1.5707963267341256, 6.077100506506192e-11];

/// Whether [`tan_fast`] does not reach a number.
#[inline(always)]
pub(super) fn is_far_wide(x: f32) -> bool {
    let a = x.abs();
    (a > NEAR) & (a < f32::INFINITY)
}

/// [`tan`] for |x| <= 2^20, infinities and NaN, without a branch.
#[inline(always)]
pub(super) fn tan_fast<F: Fma>(x: f32) -> f32 {
    let wide = x as f64;
    let q = F::mad64(wide, FRAC_2_PI, MAGIC);
    let k = q - MAGIC;
    let r = F::mad64(-k, PIO2[1], F::mad64(-k, PIO2[0], wide));
    let z = r * r;
    let s = F::mad64(r * z, poly::<F, 4>(z, &SIN), r);
    let c = F::mad64(z * z, poly::<F, 4>(z, &COS), F::mad64(z, -0.5, 1.0));
    let odd = q.to_bits() & 1 != 0;
    let y = (if odd { -c } else { s } / if odd { s } else { c }) as f32;
    if x == 0.0 { x } else { y }
}

/// Tangent. Has a branch: use [`super::tan_slice`] over many.
#[inline(always)]
pub fn tan<F: Fma>(x: f32) -> f32 {
    if is_far_wide(x) { full::tan::<F>(x as f64) as f32 } else { tan_fast::<F>(x) }
}

/// The angle of the point (x, y), both at least 0 and finite, not both 0; see [`crate::math::f64`].
#[inline(always)]
fn angle<F: Fma>(y: f64, x: f64) -> f64 {
    let swap = y > x;
    let (n, d) = (pick(swap, x, y), pick(swap, y, x));
    let outer = n > TAN_PI_8 * d;
    let t = pick(outer, n - d, n) / pick(outer, n + d, d);
    let z = t * t;
    let a = F::mad64(t * z, poly::<F, 6>(z, &ATAN), t);
    let base = pick(outer, 0.5 * FRAC_PI_2, 0.0);
    let base = pick(swap, FRAC_PI_2 - base, base);
    base + pick(swap, -a, a)
}

/// Arc tangent.
#[inline(always)]
pub fn atan<F: Fma>(x: f32) -> f32 {
    let a = x.abs() as f64;
    with_sign32(angle::<F>(if a > 1e200 { 1e200 } else { a }, 1.0) as f32, x)
}

/// Angle of the point (x, y), from -pi to pi.
#[inline(always)]
pub fn atan2<F: Fma>(y: f32, x: f32) -> f32 {
    let (ay, ax) = (y.abs() as f64, x.abs() as f64);
    // Two infinities are a diagonal, two zeros the positive axis.
    let ay = if ay > 1e200 { 1e200 } else { ay };
    let ax = if ax > 1e200 { 1e200 } else { ax };
    let both_zero = (ay == 0.0) & (ax == 0.0);
    let a = angle::<F>(ay, if both_zero { 1.0 } else { ax });
    let a = if x.is_sign_negative() { 2.0 * FRAC_PI_2 - a } else { a };
    with_sign32(if x.is_nan() | y.is_nan() { f32::NAN } else { a as f32 }, y)
}

/// For |x|: whether it is above 1/2, and a with `asin |x| = a` or `pi/2 - 2 a`.
#[inline(always)]
fn asin_half<F: Fma>(a: f64) -> (bool, f64) {
    let outer = a > 0.5;
    let half = 0.5 * (1.0 - a);
    let z = if outer { half } else { a * a };
    let s = if outer { half.sqrt() } else { a };
    (outer, F::mad64(s * z, poly::<F, 7>(z, &ASIN), s))
}

/// Arc sine.
#[inline(always)]
pub fn asin<F: Fma>(x: f32) -> f32 {
    let (outer, a) = asin_half::<F>(x.abs() as f64);
    with_sign32(if outer { F::mad64(a, -2.0, FRAC_PI_2) } else { a } as f32, x)
}

/// Arc cosine.
#[inline(always)]
pub fn acos<F: Fma>(x: f32) -> f32 {
    let (outer, a) = asin_half::<F>(x.abs() as f64);
    let negative = x < 0.0;
    let a = if outer { a + a } else { a };
    let base = if !outer {
        FRAC_PI_2
    } else if negative {
        2.0 * FRAC_PI_2
    } else {
        0.0
    };
    (base + if negative == outer { -a } else { a }) as f32
}

/// Hyperbolic sine: `(e + e / (e + 1)) / 2` with `e = e^|x| - 1`.
#[inline(always)]
pub fn sinh<F: Fma>(x: f32) -> f32 {
    let (p, e) = exp_parts::<F>(clamp(x.abs() as f64, 120.0));
    let e = F::mad64(p, e, p - 1.0);
    with_sign32((0.5 * (e + e / (e + 1.0))) as f32, x)
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh<F: Fma>(x: f32) -> f32 {
    let (p, e) = exp_parts::<F>(clamp(x.abs() as f64, 120.0));
    let e = F::mad64(p, e, p);
    (0.5 * (e + 1.0 / e)) as f32
}

/// Inverse hyperbolic sine: `log(1 + (x + x^2 / (1 + sqrt(1 + x^2))))`.
#[inline(always)]
pub fn asinh<F: Fma>(x: f32) -> f32 {
    let a = x.abs() as f64;
    let p = a * a;
    let y = log1p_of::<F>(a + p / (1.0 + (1.0 + p).sqrt()));
    with_sign32(if a < f64::INFINITY { y } else { a } as f32, x)
}

/// Inverse hyperbolic cosine: `log(1 + (t + sqrt(t (t + 2))))`, `t = x - 1`.
#[inline(always)]
pub fn acosh<F: Fma>(x: f32) -> f32 {
    let t = x as f64 - 1.0;
    let y = log1p_of::<F>(t + (t * (t + 2.0)).sqrt()) as f32;
    let y = if x < f32::INFINITY { y } else { x };
    if x < 1.0 { f32::NAN } else { y }
}

/// Inverse hyperbolic tangent: `log(1 + 2 x / (1 - x)) / 2`.
#[inline(always)]
pub fn atanh<F: Fma>(x: f32) -> f32 {
    let a = x.abs() as f64;
    let y = (0.5 * log1p_of::<F>((a + a) / (1.0 - a))) as f32;
    let y = if a < 1.0 { y } else { f32::NAN };
    with_sign32(if a == 1.0 { f32::INFINITY } else { y }, x)
}

/// Cube root: an inverse cube root from a polynomial and one step of third order.
#[inline(always)]
pub fn cbrt<F: Fma>(x: f32) -> f32 {
    let bits = (x.abs() as f64).to_bits();
    let k = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - 4_503_599_627_371_519.0;
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | ONE_BITS);
    let third = round(k * (1.0 / 3.0));
    let rest = k - 3.0 * third;
    let factor = if rest > 0.0 { 0.7937005259840998 } else { 1.0 };
    let factor = if rest < 0.0 { 1.2599210498948732 } else { factor };
    let w = poly::<F, 5>(m, &CBRT) * factor;
    let m = m * exp2i(rest);
    let h = 1.0 - m * w * w * w;
    let w = F::mad64(w * h, F::mad64(h, 2.0 / 9.0, 1.0 / 3.0), w);
    let y = (m * w * w * exp2i(third)) as f32;
    if (x.abs() > 0.0) & (x.abs() < f32::INFINITY) { with_sign32(y, x) } else { x + x }
}

/// `sqrt(a^2 + b^2)` without overflow; infinite if either is, even beside NaN.
#[inline(always)]
pub fn hypot<F: Fma>(a: f32, b: f32) -> f32 {
    let (wa, wb) = (a as f64, b as f64);
    let r = F::mad64(wa, wa, wb * wb).sqrt() as f32;
    if (a.abs() == f32::INFINITY) | (b.abs() == f32::INFINITY) { f32::INFINITY } else { r }
}

/// The next number after `a` towards `b`; `b` if they are equal, NaN if either is.
#[inline(always)]
pub fn nextafter<F: Fma>(a: f32, b: f32) -> f32 {
    let bits = a.to_bits();
    let away = (a < b) == (a > 0.0);
    let step = f32::from_bits(if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) });
    let r = if a == 0.0 { with_sign32(f32::from_bits(1), b) } else { step };
    let r = if a == b { b } else { r };
    if a.is_nan() | b.is_nan() { f32::NAN } else { r }
}

/// Magnitude of `x`, sign of `s`.
#[inline(always)]
fn with_sign32(x: f32, s: f32) -> f32 {
    f32::from_bits((x.to_bits() & 0x7fff_ffff) | (s.to_bits() & 0x8000_0000))
}
