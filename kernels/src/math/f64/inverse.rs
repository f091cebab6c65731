//! Inverse trigonometric functions.

use super::parts::*;
use crate::math::Fma;

const PIO2: (f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123233995736766e-17);
/// sqrt 2 - 1, the tangent of pi/8.
const TAN_PI_8: f64 = 0.41421356237309503;

// atan t = t + t^3 ATAN(t^2), error 2^-59.5, for |t| <= tan(pi/8).
const ATAN: [f64; 11] = [
    -0.333333333333332,
    0.19999999999953672,
    -0.14285714280204803,
    0.11111110783851821,
    -0.09090897768174368,
    0.07692060381933259,
    -0.0666310569155946,
    0.05847899143024061,
    -0.05039338792515203,
    0.03806515717899175,
    -0.017907563342984486,
];
// asin x = x + x^3 ASIN(x^2), for |x| <= 1/2.
const ASIN: [f64; 13] = [
    0.16666666666666763,
    0.07499999999970075,
    0.04464285717530843,
    0.03038194267427547,
    0.022372215932092713,
    0.017351595065176938,
    0.013981023370376284,
    0.01139725617498516,
    0.010789514995560261,
    0.003671493856680329,
    0.0217922449740179,
    -0.02111888040083215,
    0.032703460798714785,
];

/// The angle of the point (x, y), x and y at least 0, not both 0 or infinite: `atan(y / x)` as a sum.
///
/// With n <= d the two coordinates in order: `atan(n / d)`, or `pi/4 + atan((n - d) / (n + d))` beyond pi/8, or the
/// complement of one of these to pi/2.
#[inline(always)]
fn angle<F: Fma>(y: f64, x: f64) -> (f64, f64) {
    let swap = y > x;
    let (n, d) = (pick(swap, x, y), pick(swap, y, x));
    let (dif, difl) = two_sum(n, -d);
    let (sum, suml) = fast_two_sum(d, n);
    let outer = n > TAN_PI_8 * d;
    let (p, pl) = (pick(outer, dif, n), pick(outer, difl, 0.0));
    let (q, ql) = (pick(outer, sum, d), pick(outer, suml, 0.0));
    let (t, tl) = div::<F>(p, pl, q, ql);
    // Below this the residual of the division is not a number of full precision.
    let tl = if n < 1e-290 { 0.0 } else { tl };
    let z = t * t;
    let tail = F::mad64(t * z, poly::<F, 11>(z, &ATAN), F::mad64(-z, tl, tl));
    // pi/2 - (pi/4 + a) = pi/4 - a
    let base = pick(outer, 0.5, pick(swap, 1.0, 0.0));
    let (t, tail) = (pick(swap, -t, t), pick(swap, -tail, tail));
    let (h, l) = fast_two_sum(PIO2.0 * base, t);
    (h, l + (PIO2.1 * base + tail))
}

/// Arc tangent.
#[inline(always)]
pub fn atan<F: Fma>(x: f64) -> f64 {
    let a = x.abs();
    let a = if a > 1e290 { 1e290 } else { a };
    let (h, l) = angle::<F>(a, 1.0);
    with_sign(h + l, x)
}

/// Angle of the point (x, y), from -pi to pi.
#[inline(always)]
pub fn atan2<F: Fma>(y: f64, x: f64) -> f64 {
    let (ay, ax) = (y.abs(), x.abs());
    // Equal infinities are a diagonal, two zeros the positive axis.
    let max = if ay < ax { ax } else { ay };
    let infinite = max == f64::INFINITY;
    let one_if = |c: bool| pick(c, 1.0, 0.0);
    let (ay, ax) = (pick(infinite, one_if(ay == max), ay), pick(infinite, one_if(ax == max), ax));
    let ax = if max == 0.0 { 1.0 } else { ax };
    let factor = if max > 1e290 {
        f64::from_bits(0x1ff0_0000_0000_0000)
    } else if max < 1.0 {
        f64::from_bits(0x5ff0_0000_0000_0000)
    } else {
        1.0
    };
    let factor = pick(infinite, 1.0, factor);
    let (h, l) = angle::<F>(ay * factor, ax * factor);
    let (ph, pl) = two_sum(2.0 * PIO2.0, -h);
    let y_left = ph + (pl + (2.0 * PIO2.1 - l));
    let r = if x.is_sign_negative() { y_left } else { h + l };
    let r = if x.is_nan() | y.is_nan() { f64::NAN } else { r };
    with_sign(r, y)
}

/// `asin s` for s in 0..=1/2 given s and its square.
#[inline(always)]
fn asin_tail<F: Fma>(s: f64, z: f64) -> f64 {
    s * z * poly::<F, 13>(z, &ASIN)
}

/// For |x|: whether it is above 1/2; s and its low part and square such that `asin |x| = asin s` or
/// `pi/2 - 2 asin s`.
#[inline(always)]
fn halve<F: Fma>(a: f64) -> (bool, f64, f64, f64) {
    let outer = a > 0.5;
    let half = 0.5 * (1.0 - a);
    let z = if outer { half } else { a * a };
    let root = half.sqrt();
    let s = if outer { root } else { a };
    let low = F::residual(root, root, half) / (root + root);
    let low = if outer & (root > 0.0) { low } else { 0.0 };
    (outer, s, low, z)
}

/// Arc sine.
#[inline(always)]
pub fn asin<F: Fma>(x: f64) -> f64 {
    let (outer, s, low, z) = halve::<F>(x.abs());
    let t = asin_tail::<F>(s, z) + low;
    let (h, l) = fast_two_sum(PIO2.0, -2.0 * s);
    let far = h + (l + F::mad64(-2.0, t, PIO2.1));
    with_sign(if outer { far } else { s + t }, x)
}

/// Arc cosine.
#[inline(always)]
pub fn acos<F: Fma>(x: f64) -> f64 {
    let (outer, s, low, z) = halve::<F>(x.abs());
    let t = asin_tail::<F>(s, z) + low;
    let negative = x < 0.0;
    // pi/2 - asin x, 2 asin s, or pi - 2 asin s.
    let turn = if outer { 2.0 } else { 1.0 };
    let (m, ml) = if negative == outer { (-turn * s, -turn * t) } else { (turn * s, turn * t) };
    let base = if !outer {
        1.0
    } else if negative {
        2.0
    } else {
        0.0
    };
    let (h, l) = fast_two_sum(PIO2.0 * base, m);
    h + (l + (PIO2.1 * base + ml))
}
