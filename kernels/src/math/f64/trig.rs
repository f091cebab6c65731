//! Sine, cosine, tangent: `x = k pi/2 + r`.
//!
//! Up to 2^20 in four subtractions of parts of pi/2 (W. J. Cody and W. Waite, "Software Manual for the Elementary
//! Functions", 1980); beyond by the digits of 2/pi that matter (M. H. Payne and R. N. Hanek, "Radian reduction for
//! trigonometric functions", 1983), which is not vectorized. The slice functions do both.

use super::parts::*;
use crate::math::Fma;

/// Largest |x| of the vectorized reduction.
const NEAR: f64 = 1_048_576.0;

/// pi/2 in parts of 33, 33, 33 and 53 bits: an integer below 2^20 times one of the first three is exact.
const PIO2: [f64; 4] =
    [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32];
const TWO_OVER_PI: f64 = std::f64::consts::FRAC_2_PI;

// sin r = r + r^3 SIN(r^2), error 2^-57.9; cos r = 1 - r^2/2 + r^4 COS(r^2), error 2^-64.1; |r| <= pi/4.
const SIN: [f64; 6] = [
    -0.1666666666666663,
    0.00833333333332187,
    -0.0001984126982935417,
    2.755731352853291e-06,
    -2.505073166926436e-08,
    1.5895216396081685e-10,
];
const COS: [f64; 6] = [
    0.041666666666666595,
    -0.0013888888888873387,
    2.4801587289001964e-05,
    -2.755731420814705e-07,
    2.087570298957777e-09,
    -1.1358564677872318e-11,
];

/// An integer (its low bits) and `r + rl` with `x = k pi/2 + r + rl`, |r| <= pi/4.
type Reduced = (u64, f64, f64);

#[inline(always)]
fn reduce_near<F: Fma>(x: f64) -> Reduced {
    let q = F::mad64(x, TWO_OVER_PI, MAGIC);
    let k = q - MAGIC;
    let t = F::mad64(-k, PIO2[0], x);
    let (t, e1) = two_sum(t, -k * PIO2[1]);
    let (t, e2) = two_sum(t, -k * PIO2[2]);
    let (r, rl) = fast_two_sum(t, F::mad64(-k, PIO2[3], e1 + e2));
    (q.to_bits(), r, rl)
}

/// The first 1280 bits of 2/pi after 64 zeros.
const DIGITS: [u64; 22] = [
    0x0000000000000000,
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
    0xb7246e3a424dd2e0,
    0x06492eea09d1921c,
    0xfe1deb1cb129a73e,
    0xe88235f52ebb4484,
    0xe99c7026b45f7e41,
    0x3991d639835339f4,
    0x9c845f8bbdf9283b,
    0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f,
    0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08,
    0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
    0x0000000000000000,
];

/// The reduction of a finite |x| >= 2^20.
#[cold]
#[inline(never)]
fn reduce_far(x: f64) -> Reduced {
    let bits = x.to_bits();
    let m = (bits & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000;
    let e = ((bits >> 52) & 0x7ff) as i32 - 1075;
    // x = m 2^e. Digit i of 2/pi (from 1) weighs 2^-i; those with e - i >= 2 give multiples of four and drop out. The
    // 192 digits from i = e - 1 on, times m, are x 2/pi mod 4 in units of 2^-190.
    let first = (e + 62) as usize;
    let (word, shift) = (first / 64, first % 64);
    let window = |i: usize| -> u64 {
        let pair = (DIGITS[word + i] as u128) << 64 | DIGITS[word + i + 1] as u128;
        (pair >> (64 - shift)) as u64
    };
    let (w0, w1, w2) = (window(0), window(1), window(2));
    let p2 = m as u128 * w2 as u128;
    let p1 = m as u128 * w1 as u128 + (p2 >> 64);
    let top = m.wrapping_mul(w0).wrapping_add((p1 >> 64) as u64);
    let low = (p1 << 64) | (p2 as u64) as u128;
    // The two top bits are the quadrant; what follows is a fraction, made signed by rounding the quadrant to nearest.
    let q = (top >> 62).wrapping_add((top >> 61) & 1);
    let top = (top << 2) | (low >> 126) as u64;
    let low = low << 2;
    let negative = top >> 63 == 1;
    let (top, low) = if negative { (!top, !low) } else { (top, low) };
    // The leading 128 bits of the fraction's 192.
    let zeros = if top != 0 { top.leading_zeros() } else { 64 + low.leading_zeros() };
    let high = (top as u128) << 64 | low >> 64;
    let f = match zeros {
        0..64 => high << zeros | ((low as u64) as u128) << zeros >> 64,
        64..128 => low << (zeros - 64),
        _ => 0,
    };
    let unit = f64::from_bits(((1023 - 64 - zeros as i64) as u64) << 52);
    let h = ((f >> 75) as u64) as f64 * 2048.0 * unit;
    let l = ((f >> 22) as u64 & ((1 << 53) - 1)) as f64 * (1.0 / 4_398_046_511_104.0) * unit;
    let (h, l) = if negative { (-h, -l) } else { (h, l) };
    const P: (f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123233995736766e-17);
    let r = h * P.0;
    let rl = h.mul_add(P.0, -r) + (h * P.1 + l * P.0);
    let (r, rl) = fast_two_sum(r, rl);
    if x < 0.0 { (q.wrapping_neg(), -r, -rl) } else { (q, r, rl) }
}

/// Whether the vectorized reduction does not reach a number.
#[inline(always)]
pub(super) fn is_far(x: f64) -> bool {
    let a = x.abs();
    (a > NEAR) & (a < f64::INFINITY)
}

#[inline(always)]
fn reduce<F: Fma>(x: f64) -> Reduced {
    if is_far(x) { reduce_far(x) } else { reduce_near::<F>(x) }
}

/// The sine of `r + rl` as a sum.
#[inline(always)]
fn sin_kernel<F: Fma>(r: f64, rl: f64) -> (f64, f64) {
    let z = r * r;
    let s = r * z * poly::<F, 6>(z, &SIN);
    (r, s + F::mad64(-0.5 * z, rl, rl))
}

/// The cosine of `r + rl` as a sum.
#[inline(always)]
fn cos_kernel<F: Fma>(r: f64, rl: f64) -> (f64, f64) {
    let z = r * r;
    let half = 0.5 * z;
    let w = 1.0 - half;
    // r^2's own rounding error matters less than half an ulp of the smallest cosine, 0.7.
    let c = F::mad64(z * z, poly::<F, 6>(z, &COS), -r * rl);
    (w, ((1.0 - w) - half) + c)
}

#[inline(always)]
fn is_odd(q: u64) -> bool {
    q & 1 != 0
}

#[inline(always)]
fn negate_if_2(x: f64, q: u64) -> f64 {
    f64::from_bits(x.to_bits() ^ ((q & 2) << 62))
}

#[inline(always)]
fn sin_of<F: Fma>(x: f64, (q, r, rl): Reduced) -> f64 {
    let (s, sl) = sin_kernel::<F>(r, rl);
    let (c, cl) = cos_kernel::<F>(r, rl);
    let y = if is_odd(q) { c + cl } else { s + sl };
    // 0 would lose its sign.
    if x == 0.0 { x } else { negate_if_2(y, q) }
}

#[inline(always)]
fn cos_of<F: Fma>((q, r, rl): Reduced) -> f64 {
    let (s, sl) = sin_kernel::<F>(r, rl);
    let (c, cl) = cos_kernel::<F>(r, rl);
    let y = if is_odd(q) { s + sl } else { c + cl };
    negate_if_2(y, q.wrapping_add(1))
}

#[inline(always)]
fn tan_of<F: Fma>(x: f64, (q, r, rl): Reduced) -> f64 {
    let (s, sl) = sin_kernel::<F>(r, rl);
    let (c, cl) = cos_kernel::<F>(r, rl);
    let ((s, sl), (c, cl)) = (fast_two_sum(s, sl), fast_two_sum(c, cl));
    let odd = is_odd(q);
    let (n, nl) = if odd { (-c, -cl) } else { (s, sl) };
    let (d, dl) = if odd { (s, sl) } else { (c, cl) };
    let (y, yl) = div::<F>(n, nl, d, dl);
    if x == 0.0 { x } else { y + yl }
}

/// [`sin`] for |x| <= 2^20, infinities and NaN, without a branch.
#[inline(always)]
pub(super) fn sin_fast<F: Fma>(x: f64) -> f64 {
    sin_of::<F>(x, reduce_near::<F>(x))
}

/// [`cos`] for |x| <= 2^20, infinities and NaN, without a branch.
#[inline(always)]
pub(super) fn cos_fast<F: Fma>(x: f64) -> f64 {
    cos_of::<F>(reduce_near::<F>(x))
}

/// [`tan`] for |x| <= 2^20, infinities and NaN, without a branch.
#[inline(always)]
pub(super) fn tan_fast<F: Fma>(x: f64) -> f64 {
    tan_of::<F>(x, reduce_near::<F>(x))
}

/// Sine. Has a branch: use [`super::sin_slice`] over many.
#[inline(always)]
pub fn sin<F: Fma>(x: f64) -> f64 {
    sin_of::<F>(x, reduce::<F>(x))
}

/// Cosine. Has a branch: use [`super::cos_slice`] over many.
#[inline(always)]
pub fn cos<F: Fma>(x: f64) -> f64 {
    cos_of::<F>(reduce::<F>(x))
}

/// Tangent. Has a branch: use [`super::tan_slice`] over many.
#[inline(always)]
pub fn tan<F: Fma>(x: f64) -> f64 {
    tan_of::<F>(x, reduce::<F>(x))
}
