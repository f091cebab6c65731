//! Conversions between `f16` and `f32`, a chunk at a time.

use super::isa::{Avx2, Avx512, Isa, Level, Portable};
use super::vectors::Wide;
use crate::math::{Hard, Soft};

/// The f32 of a half's bits, without branches.
#[inline(always)]
pub(super) fn widen(h: u16) -> f32 {
    let (sign, magnitude) = ((h as u32 & 0x8000) << 16, (h as u32 & 0x7fff) << 13);
    // the bits of a half, shifted, are a float 2^112 times too small, subnormals included
    let scaled = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
    let special = if magnitude >= 0x7c00 << 13 { 0x7f80_0000 } else { 0 };
    f32::from_bits(sign | scaled | special)
}

/// The bits of the half nearest to a float, ties to even, without branches.
#[inline(always)]
pub(super) fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // adding 0.5 leaves a subnormal's digits, rounded, at the bottom of the sum
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let odd = (magnitude >> 13) & 1;
    let normal =
        magnitude.wrapping_add((15u32.wrapping_sub(127) << 23).wrapping_add(0xfff)).wrapping_add(odd) >> 13;
    let finite = if magnitude < 113 << 23 { subnormal } else { normal };
    let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    sign | if magnitude < 143 << 23 { finite as u16 } else { special }
}

impl Level for Portable {
    const ISA: Isa = Isa::Portable;
    type Fma = Soft;
    type Tile<W: Wide> = [[W::V16; 2]; 4];
    type Row<W: Wide> = [[W::V16; 2]; 1];

    #[inline(always)]
    unsafe fn widen<const N: usize>(x: *const u16, out: *mut f32) {
        for i in 0..N {
            // SAFETY: both are N elements.
            unsafe { out.add(i).write(widen(x.add(i).read())) };
        }
    }

    #[inline(always)]
    unsafe fn narrow<const N: usize>(x: *const f32, out: *mut u16) {
        for i in 0..N {
            // SAFETY: both are N elements.
            unsafe { out.add(i).write(narrow(x.add(i).read())) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod f16c {
    use std::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    pub(super) unsafe fn widen<const N: usize>(x: *const u16, out: *mut f32) {
        for i in (0..N).step_by(8) {
            // SAFETY: both are N elements, a multiple of 8.
            unsafe { _mm256_storeu_ps(out.add(i), _mm256_cvtph_ps(_mm_loadu_si128(x.add(i).cast()))) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    pub(super) unsafe fn narrow<const N: usize>(x: *const f32, out: *mut u16) {
        for i in (0..N).step_by(8) {
            // SAFETY: both are N elements, a multiple of 8.
            unsafe {
                let h = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(x.add(i)));
                _mm_storeu_si128(out.add(i).cast(), h);
            }
        }
    }
}
macro_rules! level {
    ($Level:ident, $Vector:ident, $rows:literal) => {
        impl Level for $Level {
            const ISA: Isa = Isa::$Level;
            type Fma = Hard;
            type Tile<W: Wide> = [[W::$Vector; 2]; $rows];
            type Row<W: Wide> = [[W::$Vector; 2]; 1];

            #[inline(always)]
            unsafe fn widen<const N: usize>(x: *const u16, out: *mut f32) {
                // SAFETY: the caller's; a CPU of this level has F16C.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    if N % 8 == 0 { f16c::widen::<N>(x, out) } else { Portable::widen::<N>(x, out) }
                };
                // SAFETY: the caller's.
                #[cfg(not(target_arch = "x86_64"))]
                unsafe {
                    Portable::widen::<N>(x, out)
                };
            }

            #[inline(always)]
            unsafe fn narrow<const N: usize>(x: *const f32, out: *mut u16) {
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    if N % 8 == 0 { f16c::narrow::<N>(x, out) } else { Portable::narrow::<N>(x, out) }
                };
                // SAFETY: the caller's.
                #[cfg(not(target_arch = "x86_64"))]
                unsafe {
                    Portable::narrow::<N>(x, out)
                };
            }
        }
    };
}
level!(Avx2, V32, 6);
level!(Avx512, V64, 12);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::f16;

    #[test]
    fn every_half_there_and_back() {
        for bits in 0..=u16::MAX {
            let h = f16::from_bits(bits);
            let x = widen(bits);
            assert!(x.to_bits() == h.to_f32_const().to_bits() || h.is_nan() && x.is_nan(), "{bits:x}");
            assert!(narrow(x) == bits || h.is_nan() && f16::from_bits(narrow(x)).is_nan(), "{bits:x}");
        }
    }

    #[test]
    fn rounding_is_to_nearest_even() {
        let mut bits = 0u32;
        while bits < 0x4800_0000 {
            let x = f32::from_bits(bits);
            assert_eq!(narrow(x), f16::from_f32_const(x).to_bits(), "{x:e}");
            assert_eq!(narrow(-x), f16::from_f32_const(-x).to_bits(), "{x:e}");
            bits += 0x0fff;
        }
    }
}
