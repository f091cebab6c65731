//! The natural logarithm in `f32`: `x = 2^k (1 + f)`, `log(1 + f) = f - f^2/2 + f^3 p(f)`.

use super::poly;
use crate::math::Fma;

const LN2_HI: f32 = 0.693_115_23;
const LN2_LO: f32 = 3.194_618_3e-5;
const SQRT_HALF_BITS: u32 = 0x3f35_04f3;

// Relative error of the logarithm 2^-30.3, for 1 + f from sqrt(1/2) to sqrt 2.
const LOG: [f32; 9] = [
    3.333_331_3e-1,
    -2.500_001e-1,
    2.000_211_6e-1,
    -1.666_798_4e-1,
    1.421_957_9e-1,
    -1.240_579_8e-1,
    1.188_820_15e-1,
    -1.167_444_5e-1,
    6.745_077e-2,
];

/// Natural logarithm.
#[inline(always)]
pub fn log<F: Fma>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let bits = (if tiny { x * 33_554_432.0 } else { x }).to_bits();
    let k = (bits.wrapping_sub(SQRT_HALF_BITS) as i32) >> 23;
    let f = f32::from_bits(bits.wrapping_sub((k as u32) << 23)) - 1.0;
    let k = (if tiny { k - 25 } else { k }) as f32;
    let t = f * f * F::mad32(f, poly::<F, 9>(f, &LOG), -0.5);
    let y = F::mad32(k, LN2_HI, f + F::mad32(k, LN2_LO, t));
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}
