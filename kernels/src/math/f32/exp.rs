//! `e^x` and `tanh x` in `f32`: `x = k ln 2 + r`, `e^x = 2^k (1 + r + r^2 q(r))`.

use super::poly;
use crate::math::Fma;

/// 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits.
const MAGIC: f32 = 12_582_912.0;
const ONE_BITS: u32 = 0x3f80_0000;
/// ln 2 in 14 bits, so that integers of 10 bits times it are exact, and the rest of it.
const LN2_HI: f32 = 0.693_115_23;
const LN2_LO: f32 = 3.194_618_3e-5;

// e^r = 1 + r + r^2 EXP(r), relative error 2^-28.3, for |r| <= ln 2 / 2.
const EXP: [f32; 5] = [4.999_999_4e-1, 1.666_652e-1, 4.166_840_4e-2, 8.368_849e-3, 1.381_417e-3];
// tanh x = x + x^3 TANH(x^2), relative error 2^-27.7, for |x| <= 0.63.
const TANH: [f32; 5] = [-3.333_328e-1, 1.333_138_3e-1, -5.373_401_6e-2, 2.061_816_1e-2, -5.679_342_4e-3];

/// k and `e^x / 2^k` for |x| <= 150.
#[inline(always)]
fn parts<F: Fma>(x: f32) -> (f32, f32) {
    let k = F::mad32(x, std::f32::consts::LOG2_E, MAGIC) - MAGIC;
    let r = F::mad32(-k, LN2_LO, F::mad32(-k, LN2_HI, x));
    let e = F::mad32(r * r, poly::<F, 5>(r, &EXP), r);
    (k, 1.0 + e)
}

/// 2^k for an integer k in -126..=127.
#[inline(always)]
fn exp2i(k: f32) -> f32 {
    f32::from_bits(((k + MAGIC).to_bits() << 23).wrapping_add(ONE_BITS))
}

/// `e^x`.
#[inline(always)]
pub fn exp<F: Fma>(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (k, y) = parts::<F>(x);
    let h = (k * 0.5 + MAGIC) - MAGIC;
    y * exp2i(h) * exp2i(k - h)
}

/// Hyperbolic tangent: a polynomial up to 5/8, `1 - 2 / (e^2x + 1)` beyond.
#[inline(always)]
pub fn tanh<F: Fma>(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let near = F::mad32(a * z, poly::<F, 5>(z, &TANH), a);
    let b = if a > 10.0 { 10.0 } else { a };
    let (k, y) = parts::<F>(b + b);
    let far = 1.0 - 2.0 / F::mad32(y, exp2i(k), 1.0);
    let y = if a < 0.625 { near } else { far };
    f32::from_bits(y.to_bits() | (x.to_bits() & 0x8000_0000))
}
