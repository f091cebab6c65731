//! Hyperbolic functions from the addition theorems, `sinh (k ln 2 + r) = sinh(k ln 2) cosh r + cosh(k ln 2) sinh r`,
//! and their inverses as logarithms of a sum with its rounding error.

use super::exp::{clamp, cosh_sinh, reduce};
use super::log::log_sum;
use super::parts::*;
use crate::math::Fma;

/// k and the sums `h + l` with `sinh x = 2^k (sh + sl)`, `cosh x = 2^k (ch + cl)` for 0 <= x <= 712.
#[inline(always)]
fn sinh_cosh<F: Fma>(x: f64) -> (f64, (f64, f64), (f64, f64)) {
    let (k, r, rl) = reduce::<F>(x);
    let (c, s) = cosh_sinh::<F>(r);
    let s = s + rl;
    let e = 0.5 * exp2i(-2.0 * clamp(k, 0.0, 40.0));
    let ((a, al), (b, bl)) = (fast_two_sum(0.5, -e), fast_two_sum(0.5, e));
    let (p, pl) = two_prod::<F>(b, r);
    let (sh, sl) = fast_two_sum(a, p);
    let sl = sl + (pl + F::mad64(b, s, F::mad64(a, c, F::mad64(bl, r, al))));
    let (q, ql) = two_prod::<F>(a, r);
    let (ch, cl) = fast_two_sum(b, q);
    let cl = cl + (ql + F::mad64(b, c, F::mad64(a, s, F::mad64(al, r, bl))));
    (k, (sh, sl), (ch, cl))
}

/// Hyperbolic sine.
#[inline(always)]
pub fn sinh<F: Fma>(x: f64) -> f64 {
    let (k, (h, l), _) = sinh_cosh::<F>(clamp(x.abs(), 0.0, 712.0));
    with_sign(scale(h + l, k), x)
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh<F: Fma>(x: f64) -> f64 {
    let (k, _, (h, l)) = sinh_cosh::<F>(clamp(x.abs(), 0.0, 712.0));
    scale(h + l, k)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<F: Fma>(x: f64) -> f64 {
    let (_, (sh, sl), (ch, cl)) = sinh_cosh::<F>(clamp(x.abs(), 0.0, 22.0));
    let ((sh, sl), (ch, cl)) = (fast_two_sum(sh, sl), fast_two_sum(ch, cl));
    let (q, ql) = div::<F>(sh, sl, ch, cl);
    with_sign(q + ql, x)
}

/// From here on `asinh x` and `acosh x` are `log(2 x)` to the last bit.
const LARGE: f64 = 268_435_456.0;

/// Inverse hyperbolic sine: `log(1 + (x + x^2 / (1 + sqrt(1 + x^2))))`.
#[inline(always)]
pub fn asinh<F: Fma>(x: f64) -> f64 {
    let ax = x.abs();
    let large = ax > LARGE;
    let a = pick(large, 1.0, ax);
    let p = a * a;
    let w = p / (1.0 + (1.0 + p).sqrt());
    let (t, tl) = fast_two_sum(a, w);
    let (u, c) = two_sum(1.0, t);
    let (u, c, k) = (pick(large, ax, u), pick(large, 0.0, c + tl), pick(large, 1.0, 0.0));
    let y = log_sum::<F>(u, c, k);
    let y = if ax < f64::INFINITY { y } else { ax };
    with_sign(y, x)
}

/// Inverse hyperbolic cosine: `log(1 + (t + sqrt(t (t + 2))))`, `t = x - 1`.
#[inline(always)]
pub fn acosh<F: Fma>(x: f64) -> f64 {
    let large = x > LARGE;
    let a = pick(large, 2.0, x);
    let t = a - 1.0;
    let (b, bl) = fast_two_sum(a, 1.0);
    let (s, sl) = two_prod::<F>(t, b);
    let r = s.sqrt();
    let rl = (F::residual(r, r, s) + F::mad64(t, bl, sl)) / (r + r);
    let rl = if r > 0.0 { rl } else { 0.0 };
    let (h, l) = two_sum(t, r);
    let (u, c) = two_sum(1.0, h);
    let (u, c, k) = (pick(large, x, u), pick(large, 0.0, c + (l + rl)), pick(large, 1.0, 0.0));
    let y = log_sum::<F>(u, c, k);
    let y = if x < f64::INFINITY { y } else { x };
    if x < 1.0 { f64::NAN } else { y }
}

/// Inverse hyperbolic tangent: `log(1 + 2 x / (1 - x)) / 2`.
#[inline(always)]
pub fn atanh<F: Fma>(x: f64) -> f64 {
    let ax = x.abs();
    let (d, dl) = fast_two_sum(1.0, -ax);
    let (t, tl) = div::<F>(ax + ax, 0.0, d, dl);
    let (u, c) = two_sum(1.0, t);
    let y = 0.5 * log_sum::<F>(u, c + tl, 0.0);
    let y = if ax < 1.0 { y } else { f64::NAN };
    let y = if ax == 1.0 { f64::INFINITY } else { y };
    with_sign(y, x)
}
