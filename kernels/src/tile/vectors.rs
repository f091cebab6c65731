//! Vectors that stay in registers: where many are live at once, compilers do not find them in loops over scalars.

use super::isa::Level;
use crate::math::Fma;

/// A number that products are computed in, and its vectors of 16, 32 and 64 bytes.
pub(super) trait Wide: Copy + Default {
    type V16: Vector<Self>;
    type V32: Vector<Self>;
    type V64: Vector<Self>;
}

/// So many numbers at once.
///
/// # Safety
/// Functions may be called only where the CPU has vectors of this size; pointers are to as many numbers as there are in one.
pub(super) trait Vector<T>: Copy {
    unsafe fn zero() -> Self;
    unsafe fn splat(x: T) -> Self;
    unsafe fn load(p: *const T) -> Self;
    /// `a * b + c`.
    unsafe fn mul_add<L: Level>(a: Self, b: Self, c: Self) -> Self;
}

/// Sums of products, kept in registers while they are made: rows of two vectors.
pub(super) trait Tile<T> {
    const ROWS: usize;
    const COLS: usize;
    /// The sums over a run of the products of a sliver of `a`, ROWS at a time, and one of `b`, COLS at a time.
    ///
    /// # Safety
    /// So many there are, and the CPU has vectors of this size.
    unsafe fn sum<L: Level>(run: usize, a: *const T, b: *const T) -> Self;
    /// The sums of a row.
    fn row(&self, row: usize) -> &[T];
}

impl<T: Copy, V: Vector<T>, const M: usize> Tile<T> for [[V; 2]; M] {
    const ROWS: usize = M;
    const COLS: usize = size_of::<[V; 2]>() / size_of::<T>();

    #[inline(always)]
    unsafe fn sum<L: Level>(run: usize, mut a: *const T, mut b: *const T) -> Self {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[V::zero(); 2]; M];
            for _ in 0..run {
                let row = [V::load(b), V::load(b.add(Self::COLS / 2))];
                for (i, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*a.add(i));
                    *sums = [V::mul_add::<L>(x, row[0], sums[0]), V::mul_add::<L>(x, row[1], sums[1])];
                }
                (a, b) = (a.add(M), b.add(Self::COLS));
            }
            sums
        }
    }

    #[inline(always)]
    fn row(&self, row: usize) -> &[T] {
        // SAFETY: a vector is its numbers, one after another.
        unsafe { std::slice::from_raw_parts(self[row].as_ptr().cast(), Self::COLS) }
    }
}

macro_rules! arrays {
    ($($T:ty, $L:ident, $a:ident $b:ident $c:ident => $sum:expr;)*) => {$(
        impl<const N: usize> Vector<$T> for [$T; N] {
            #[inline(always)]
            unsafe fn zero() -> Self {
                [Default::default(); N]
            }
            #[inline(always)]
            unsafe fn splat(x: $T) -> Self {
                [x; N]
            }
            #[inline(always)]
            unsafe fn load(p: *const $T) -> Self {
                // SAFETY: the caller's.
                unsafe { p.cast::<Self>().read() }
            }
            #[inline(always)]
            unsafe fn mul_add<$L: Level>(a: Self, b: Self, c: Self) -> Self {
                std::array::from_fn(|i| {
                    let ($a, $b, $c) = (a[i], b[i], c[i]);
                    $sum
                })
            }
        }
    )*};
}
arrays! {
    f32, L, a b c => L::Fma::mad32(a, b, c);
    f64, L, a b c => L::Fma::mad64(a, b, c);
    u32, L, a b c => a.wrapping_mul(b).wrapping_add(c);
    u64, L, a b c => a.wrapping_mul(b).wrapping_add(c);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Level, Vector, Wide};
    use std::arch::x86_64::*;

    /// A register of this type of numbers.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Register<V, T>(V, std::marker::PhantomData<T>);

    macro_rules! registers {
        ($($V:ty, $T:ty, $zero:ident, $splat:ident as $S:ty, $load:ident,
            $a:ident $b:ident $c:ident => $sum:expr;)*) => {$(
            impl Vector<$T> for Register<$V, $T> {
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller's, as in all of these.
                    unsafe { Register($zero(), std::marker::PhantomData) }
                }
                #[inline(always)]
                unsafe fn splat(x: $T) -> Self {
                    // SAFETY: as above.
                    unsafe { Register($splat(x as $S), std::marker::PhantomData) }
                }
                #[inline(always)]
                unsafe fn load(p: *const $T) -> Self {
                    // SAFETY: as above.
                    unsafe { Register($load(p.cast()), std::marker::PhantomData) }
                }
                #[inline(always)]
                unsafe fn mul_add<L: Level>(a: Self, b: Self, c: Self) -> Self {
                    let ($a, $b, $c) = (a.0, b.0, c.0);
                    // SAFETY: as above.
                    unsafe { Register($sum, std::marker::PhantomData) }
                }
            }
        )*};
    }
    registers! {
        __m256, f32, _mm256_setzero_ps, _mm256_set1_ps as f32, _mm256_loadu_ps,
            a b c => _mm256_fmadd_ps(a, b, c);
        __m256d, f64, _mm256_setzero_pd, _mm256_set1_pd as f64, _mm256_loadu_pd,
            a b c => _mm256_fmadd_pd(a, b, c);
        __m256i, u32, _mm256_setzero_si256, _mm256_set1_epi32 as i32, _mm256_loadu_si256,
            a b c => _mm256_add_epi32(_mm256_mullo_epi32(a, b), c);
        __m512, f32, _mm512_setzero_ps, _mm512_set1_ps as f32, _mm512_loadu_ps,
            a b c => _mm512_fmadd_ps(a, b, c);
        __m512d, f64, _mm512_setzero_pd, _mm512_set1_pd as f64, _mm512_loadu_pd,
            a b c => _mm512_fmadd_pd(a, b, c);
        __m512i, u32, _mm512_setzero_si512, _mm512_set1_epi32 as i32, _mm512_loadu_si512,
            a b c => _mm512_add_epi32(_mm512_mullo_epi32(a, b), c);
        __m512i, u64, _mm512_setzero_si512, _mm512_set1_epi64 as i64, _mm512_loadu_si512,
            a b c => _mm512_add_epi64(_mm512_mullo_epi64(a, b), c);
    }

    macro_rules! wide {
        ($($T:ty, $V16:ty, $V32:ty, $V64:ty;)*) => {$(
            impl Wide for $T {
                type V16 = $V16;
                type V32 = $V32;
                type V64 = $V64;
            }
        )*};
    }
    wide! {
        f32, [f32; 4], Register<__m256, f32>, Register<__m512, f32>;
        f64, [f64; 2], Register<__m256d, f64>, Register<__m512d, f64>;
        u32, [u32; 4], Register<__m256i, u32>, Register<__m512i, u32>;
        // the smaller set has no product of 64 bits
        u64, [u64; 2], [u64; 4], Register<__m512i, u64>;
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod other {
    use super::Wide;

    macro_rules! wide {
        ($($T:ty, $n:literal;)*) => {$(
            impl Wide for $T {
                type V16 = [$T; $n];
                type V32 = [$T; 2 * $n];
                type V64 = [$T; 4 * $n];
            }
        )*};
    }
    wide! { f32, 4; f64, 2; u32, 4; u64, 2; }
}
