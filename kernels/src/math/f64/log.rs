//! Logarithms: `x = 2^k m` with m near 1, `s = (m - 1) / (m + 1)`, `log m = 2 (s + s^3/3 + s^5/5 + ...)`.

use super::exp::{LN2, LN2_HI, LN2_LO, LN2_REST, exp_sum, exp2_sum};
use super::parts::*;
use crate::math::Fma;

// log m = 2 s + s^3 LOG(s^2), relative error 2^-59.5, for m from sqrt(1/2) to sqrt 2.
const LOG: [f64; 7] = [
    0.6666666666666735,
    0.3999999999941112,
    0.28571428743262983,
    0.22222198475390267,
    0.18183569795752758,
    0.1531390129716743,
    0.14797531343697382,
];
// log2 m = s (2/ln 2 + z (2/(3 ln 2) + z LOG2_TAIL(z))), z = s^2, relative error 2^-73.5.
const LOG2_TAIL: [f64; 8] = [
    0.5770780163555851,
    0.4121985831113725,
    0.32059889790736895,
    0.2623081992291228,
    0.22195223605176798,
    0.19240250539452328,
    0.16842967851287458,
    0.17298452518219876,
];
/// 2 / ln 2 and 2 / (3 ln 2), each as a sum of two.
const C0: (f64, f64) = (2.8853900817779268, 4.0710547481862066e-17);
const C1: (f64, f64) = (0.9617966939259756, 5.0577616648125907e-17);
/// log10 2 as a sum of two.
const LOG10_2: (f64, f64) = (std::f64::consts::LOG10_2, -2.8037281277851704e-18);

const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
/// 2^52 + 1023: undoes the bias of an exponent that was pasted into the low bits of 2^52.
const UNBIAS: f64 = 4_503_599_627_371_519.0;

/// k and m with `x = 2^k m` and m from sqrt(1/2) to sqrt 2, for positive normal x.
#[inline(always)]
pub(in crate::math) fn split_normal(x: f64) -> (f64, f64) {
    let bits = x.to_bits().wrapping_add(ONE_BITS - SQRT_HALF_BITS);
    let k = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - UNBIAS;
    (k, f64::from_bits((bits & 0x000f_ffff_ffff_ffff) + SQRT_HALF_BITS))
}

/// The same for positive x, subnormal too.
#[inline(always)]
pub(super) fn split(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let (k, m) = split_normal(if tiny { x * 18_014_398_509_481_984.0 } else { x });
    (if tiny { k - 54.0 } else { k }, m)
}

/// `log(u + c) + k ln 2` for positive normal u and a c of at most a few ulps of u.
#[inline(always)]
pub(super) fn log_sum<F: Fma>(u: f64, c: f64, k: f64) -> f64 {
    let (e, m) = split_normal(u);
    log_parts::<F>(e + k, m, c / u)
}

/// `k ln 2 + log m + c` for a c of at most a few ulps of 1.
#[inline(always)]
fn log_parts<F: Fma>(k: f64, m: f64, c: f64) -> f64 {
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let half = 0.5 * f * f;
    let r = z * poly::<F, 7>(z, &LOG);
    let low = F::mad64(s, half + r, F::mad64(k, LN2_LO, c));
    F::mad64(k, LN2_HI, f - (half - low))
}

/// `log(1 + f)` for 1 + f from sqrt(1/2) to sqrt 2, error about an ulp.
#[inline(always)]
pub(in crate::math) fn log_near<F: Fma>(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    F::mad64(s * z, poly::<F, 7>(z, &LOG), s + s)
}

/// `f / (2 + f)` with f = h + l, as a sum.
#[inline(always)]
fn ratio<F: Fma>(h: f64, l: f64) -> (f64, f64) {
    let (d, dl) = fast_two_sum(2.0, h);
    let inv = 1.0 / d;
    let s = h * inv;
    (s, F::mad64(-s, dl + l, F::residual(s, d, h) + l) * inv)
}

/// `log2(1 + f)` as a sum, relative error 2^-65, for 1 + f from sqrt(1/2) to sqrt 2.
#[inline(always)]
fn log2_1p<F: Fma>(f: f64) -> (f64, f64) {
    let (s, sl) = ratio::<F>(f, 0.0);
    let (z, zl) = two_prod::<F>(s, s);
    let zl = F::mad64(s + s, sl, zl);
    let (q, ql) = fast_two_sum(C1.0, z * poly::<F, 8>(z, &LOG2_TAIL));
    let ql = ql + C1.1;
    let (p, pl) = two_prod::<F>(q, z);
    let pl = pl + F::mad64(q, zl, ql * z);
    let (u, ul) = fast_two_sum(C0.0, p);
    let ul = ul + (C0.1 + pl);
    let (v, vl) = two_prod::<F>(u, s);
    (v, vl + F::mad64(u, sl, ul * s))
}

/// The same for f = h + l, relative error 2^-58.
#[inline(always)]
fn log2_1p_short<F: Fma>(h: f64, l: f64) -> (f64, f64) {
    let (s, sl) = ratio::<F>(h, l);
    let z = s * s;
    let (u, ul) = fast_two_sum(C0.0, z * F::mad64(z, poly::<F, 8>(z, &LOG2_TAIL), C1.0));
    let (v, vl) = two_prod::<F>(u, s);
    (v, vl + F::mad64(u, sl, (ul + C0.1) * s))
}

/// `log2 x` as a sum, relative error 2^-64, for positive finite x.
#[inline(always)]
pub(super) fn log2_sum<F: Fma>(x: f64) -> (f64, f64) {
    let (k, m) = split(x);
    let (v, vl) = log2_1p::<F>(m - 1.0);
    let (h, l) = fast_two_sum(k, v);
    fast_two_sum(h, l + vl)
}

/// The same, relative error 2^-57.
#[inline(always)]
fn log2_sum_short<F: Fma>(x: f64) -> (f64, f64) {
    let (k, m) = split(x);
    let (v, vl) = log2_1p_short::<F>(m - 1.0, 0.0);
    let (h, l) = fast_two_sum(k, v);
    (h, l + vl)
}

/// The value of a logarithm where it is not that of a positive finite number.
#[inline(always)]
pub(in crate::math) fn special(x: f64, y: f64) -> f64 {
    let y = if x == f64::INFINITY { x } else { y };
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f64::NAN }
}

/// Natural logarithm.
#[inline(always)]
pub fn log<F: Fma>(x: f64) -> f64 {
    let (k, m) = split(x);
    special(x, log_parts::<F>(k, m, 0.0))
}

/// Base-2 logarithm; exact for powers of two.
#[inline(always)]
pub fn log2<F: Fma>(x: f64) -> f64 {
    let (h, l) = log2_sum_short::<F>(x);
    special(x, h + l)
}

/// Base-10 logarithm; exact for powers of ten.
#[inline(always)]
pub fn log10<F: Fma>(x: f64) -> f64 {
    let (h, l) = log2_sum_short::<F>(x);
    let (p, pl) = two_prod::<F>(h, LOG10_2.0);
    special(x, p + (pl + F::mad64(h, LOG10_2.1, l * LOG10_2.0)))
}

/// `log(1 + x)`.
#[inline(always)]
pub fn log1p<F: Fma>(x: f64) -> f64 {
    let (u, c) = two_sum(1.0, x);
    let y = special(u, log_sum::<F>(u, c, 0.0));
    if x == 0.0 { x } else { y }
}

/// Larger and smaller operand, and the difference smaller - larger as a sum, cut off at `-lo`.
#[inline(always)]
fn order(a: f64, b: f64, lo: f64) -> (f64, f64, f64) {
    let swap = a < b;
    let (x, y) = (pick(swap, b, a), pick(swap, a, b));
    let (d, dl) = two_sum(y, -x);
    let cut = d < lo;
    (x, pick(cut, lo, d), pick(cut, 0.0, dl))
}

/// `y`, or the larger operand `x` if that is infinite and the other is not NaN.
#[inline(always)]
fn infinite(a: f64, b: f64, x: f64, d: f64, y: f64) -> f64 {
    let d = if a == b { 0.0 } else { d };
    if x.abs() == f64::INFINITY { x + d } else { y }
}

/// `log2(1 + e)` as a sum, relative error 2^-57, for an e in 0..=1 given as one.
#[inline(always)]
fn log2_of_pair<F: Fma>(e: f64, el: f64) -> (f64, f64) {
    // Beyond sqrt 2: 1 + e = 2 (1 + (e - 1) / 2).
    let upper = e > 0.41421356237309503;
    let (t, tl) = fast_two_sum(-1.0, e);
    let (t, tl) = (0.5 * t, 0.5 * (tl + el));
    let (h, l) = (pick(upper, t, e), pick(upper, tl, el));
    let (h, l) = log2_1p_short::<F>(h, l);
    let (s, sl) = fast_two_sum(pick(upper, 1.0, 0.0), h);
    (s, sl + l)
}

/// `log(e^a + e^b)`.
///
/// The error is relative to the larger of the result and the operands: where `e^a + e^b` is nearly 1 the terms cancel.
#[inline(always)]
pub fn logaddexp<F: Fma>(a: f64, b: f64) -> f64 {
    let (x, d, dl) = order(a, b, -746.0);
    let (e, el) = exp_sum::<F>(d, dl);
    let (h, l) = log2_of_pair::<F>(e, el);
    let (p, pl) = two_prod::<F>(h, LN2);
    let (s, sl) = two_sum(x, p);
    let y = s + (sl + (pl + F::mad64(h, LN2_REST, l * LN2)));
    // Below this, errors of products are no numbers of full precision.
    let y = if e < 1e-280 { x + e } else { y };
    infinite(a, b, x, d, y)
}

/// `log2(2^a + 2^b)`.
///
/// The error is relative to the larger of the result and the operands: where `2^a + 2^b` is nearly 1 the terms cancel.
#[inline(always)]
pub fn logaddexp2<F: Fma>(a: f64, b: f64) -> f64 {
    let (x, d, dl) = order(a, b, -1076.0);
    let (e, el) = exp2_sum::<F>(d, dl);
    let (h, l) = log2_of_pair::<F>(e, el);
    let (s, sl) = two_sum(x, h);
    let y = s + (sl + l);
    let y = if e < 1e-280 { x + e * std::f64::consts::LOG2_E } else { y };
    infinite(a, b, x, d, y)
}
