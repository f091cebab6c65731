//! Exponentials: `x = k ln 2 + r`, `e^x = 2^k (cosh r + sinh r)`.

use super::parts::*;
use crate::math::Fma;

const INV_LN2: f64 = std::f64::consts::LOG2_E;
/// ln 2 in 42 bits, so that integers of 11 bits times it are exact, and the rest of it.
pub(super) const LN2_HI: f64 = 0.6931471805598903;
pub(super) const LN2_LO: f64 = 5.497923018708371e-14;
/// ln 2 as the sum of two doubles.
pub(super) const LN2: f64 = std::f64::consts::LN_2;
pub(super) const LN2_REST: f64 = 2.3190468138462996e-17;

// sinh r = r + r^3 SINH(r^2), error 2^-61.7; cosh r = 1 + r^2 COSH(r^2), error 2^-70.6; |r| <= ln 2 / 2.
const SINH: [f64; 5] = [
    0.16666666666666677,
    0.008333333333321435,
    0.00019841269886676987,
    2.7557243605265504e-06,
    2.51092633160257e-08,
];
const COSH: [f64; 6] = [
    0.5,
    0.04166666666666671,
    0.0013888888888863556,
    2.4801587364104737e-05,
    2.7557241233292105e-07,
    2.092460748385749e-09,
];

/// The integer k and `r + rl = x - k ln 2` with `|r| <= ln 2 / 2`, for |x| < 1500.
#[inline(always)]
pub(super) fn reduce<F: Fma>(x: f64) -> (f64, f64, f64) {
    let k = F::mad64(x, INV_LN2, MAGIC) - MAGIC;
    let t = F::mad64(-k, LN2_HI, x);
    let p = k * LN2_LO;
    let r = t - p;
    (k, r, (t - r) - p)
}

/// `cosh r - 1` and `sinh r - r` for |r| <= ln 2 / 2.
#[inline(always)]
pub(in crate::math) fn cosh_sinh<F: Fma>(r: f64) -> (f64, f64) {
    let z = r * r;
    (z * poly::<F, 6>(z, &COSH), r * z * poly::<F, 5>(z, &SINH))
}

/// `e^(r + rl)` for |r| <= ln 2 / 2 and |rl| < 2^-30, as a sum whose second part may be as large as 0.1.
#[inline(always)]
fn exp_pair<F: Fma>(r: f64, rl: f64) -> (f64, f64) {
    let (c, s) = cosh_sinh::<F>(r);
    let (h, l) = fast_two_sum(1.0, r);
    let t = c + s;
    (h, l + F::mad64(rl, h + t, t))
}

/// `e^(x + xl)` as an unevaluated sum, for x in -746..=0 and `|xl|` at most half an ulp of x.
#[inline(always)]
pub(super) fn exp_sum<F: Fma>(x: f64, xl: f64) -> (f64, f64) {
    let (k, r, rl) = reduce::<F>(x);
    let (h, l) = exp_pair::<F>(r, rl + xl);
    let (h, l) = fast_two_sum(h, l);
    (scale(h, k), scale(l, k))
}

/// `2^(x + xl)` as an unevaluated sum, for x in -1076..=0 and `|xl|` at most half an ulp of x.
#[inline(always)]
pub(super) fn exp2_sum<F: Fma>(x: f64, xl: f64) -> (f64, f64) {
    let (k, h, l) = exp2_parts::<F>(x, xl);
    let (h, l) = fast_two_sum(h, l);
    (scale(h, k), scale(l, k))
}

/// k and h + l with `2^(x + xl) = 2^k (h + l)`, for |x| <= 2000 and a small xl.
#[inline(always)]
pub(super) fn exp2_parts<F: Fma>(x: f64, xl: f64) -> (f64, f64, f64) {
    let k = round(x);
    let r = x - k;
    let (p, pl) = two_prod::<F>(r, LN2);
    let (h, l) = exp_pair::<F>(p, F::mad64(r, LN2_REST, F::mad64(xl, LN2, pl)));
    (k, h, l)
}

/// x between lo and hi; NaN stays.
#[inline(always)]
pub(super) fn clamp(x: f64, lo: f64, hi: f64) -> f64 {
    let x = if x > hi { hi } else { x };
    if x < lo { lo } else { x }
}

/// `e^x`.
#[inline(always)]
pub fn exp<F: Fma>(x: f64) -> f64 {
    let (k, r, rl) = reduce::<F>(clamp(x, -746.0, 710.0));
    let (h, l) = exp_pair::<F>(r, rl);
    scale(h + l, k)
}

/// `2^x`; exact for integers.
#[inline(always)]
pub fn exp2<F: Fma>(x: f64) -> f64 {
    let (k, h, l) = exp2_parts::<F>(clamp(x, -1076.0, 1025.0), 0.0);
    scale(h + l, k)
}

/// `e^x - 1`.
#[inline(always)]
pub fn expm1<F: Fma>(x: f64) -> f64 {
    let (k, r, rl) = reduce::<F>(clamp(x, -60.0, 710.0));
    let (c, s) = cosh_sinh::<F>(r);
    // 2^k ((1 - 2^-k) + r + ...), where 1 - 2^-k is 0 or at least 1/2.
    let one = 1.0 - exp2i(-clamp(k, -100.0, 1000.0));
    let (h, l) = fast_two_sum(one, r);
    let y = scale(h + (l + (c + (s + rl))), k);
    if x == 0.0 { x } else { y }
}
