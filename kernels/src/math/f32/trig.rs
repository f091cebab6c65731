//! Sine and cosine in `f32`: `x = k pi/2 + r`, with pi/2 in three parts (Cody and Waite 1980). Larger arguments go
//! through `f64`.

use super::poly;
use crate::math::Fma;
use crate::math::f64 as wide;

/// Largest |x| of the reduction in `f32`: k stays below 2^16.
const NEAR: f32 = 100_000.0;
const MAGIC: f32 = 12_582_912.0;
const PIO2: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];

// sin r = r + r^3 SIN(r^2), error 2^-28; cos r = 1 - r^2/2 + r^4 COS(r^2), error 2^-33.2; |r| <= pi/4.
const SIN: [f32; 3] = [-1.666_665_5e-1, 8.332_155e-3, -1.951_408e-4];
const COS: [f32; 3] = [4.166_664_6e-2, -1.388_733_7e-3, 2.443_491_6e-5];

/// The low bits of k, and `r + rl = x - k pi/2`.
#[inline(always)]
fn reduce<F: Fma>(x: f32) -> (u32, f32, f32) {
    let q = F::mad32(x, std::f32::consts::FRAC_2_PI, MAGIC);
    let k = q - MAGIC;
    let t = F::f32(-k, PIO2[0], x);
    let p = -k * PIO2[1];
    let pl = F::mad32(-k, PIO2[2], F::f32(-k, PIO2[1], -p));
    let r = t + p;
    let u = r - t;
    (q.to_bits(), r, (t - (r - u)) + (p - u) + pl)
}

#[inline(always)]
fn sin_kernel<F: Fma>(r: f32, rl: f32) -> f32 {
    let z = r * r;
    r + F::mad32(r * z, poly::<F, 3>(z, &SIN), rl)
}

#[inline(always)]
fn cos_kernel<F: Fma>(r: f32, rl: f32) -> f32 {
    let z = r * r;
    let half = 0.5 * z;
    let w = 1.0 - half;
    w + (((1.0 - w) - half) + F::mad32(z * z, poly::<F, 3>(z, &COS), -r * rl))
}

#[inline(always)]
fn negate_if_2(x: f32, q: u32) -> f32 {
    f32::from_bits(x.to_bits() ^ ((q & 2) << 30))
}

/// Whether the reduction in `f32` does not reach a number.
#[inline(always)]
pub(super) fn is_far(x: f32) -> bool {
    let a = x.abs();
    (a > NEAR) & (a < f32::INFINITY)
}

/// [`sin`] for |x| <= 100 000, infinities and NaN, without a branch.
#[inline(always)]
pub(super) fn sin_fast<F: Fma>(x: f32) -> f32 {
    let (q, r, rl) = reduce::<F>(x);
    let (s, c) = (sin_kernel::<F>(r, rl), cos_kernel::<F>(r, rl));
    let y = negate_if_2(if q & 1 != 0 { c } else { s }, q);
    if x == 0.0 { x } else { y }
}

/// [`cos`] for |x| <= 100 000, infinities and NaN, without a branch.
#[inline(always)]
pub(super) fn cos_fast<F: Fma>(x: f32) -> f32 {
    let (q, r, rl) = reduce::<F>(x);
    let (s, c) = (sin_kernel::<F>(r, rl), cos_kernel::<F>(r, rl));
    negate_if_2(if q & 1 != 0 { s } else { c }, q.wrapping_add(1))
}

/// Sine. Has a branch: use [`super::sin_slice`] over many.
#[inline(always)]
pub fn sin<F: Fma>(x: f32) -> f32 {
    if is_far(x) { wide::sin::<F>(x as f64) as f32 } else { sin_fast::<F>(x) }
}

/// Cosine. Has a branch: use [`super::cos_slice`] over many.
#[inline(always)]
pub fn cos<F: Fma>(x: f32) -> f32 {
    if is_far(x) { wide::cos::<F>(x as f64) as f32 } else { cos_fast::<F>(x) }
}
