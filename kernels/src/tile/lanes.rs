//! How a scalar function becomes a loop that vectorizes.
//!
//! Elements are taken [`W`] at a time through local arrays: the compiler sees that results cannot overlap operands (so
//! it needs no checks, and `out` may be an operand), and keeps the arrays in vector registers. What is left at the end
//! goes through a padded copy, so there is one loop body and no slow tail.
//!
//! Functions are passed as values of zero-sized types (`fn` items and closures without captures), which exist again
//! inside the instances for each instruction set.

use super::half;
use super::isa::{Isa, Level, per_isa};
use super::{BinaryFn, Operands, TernaryFn, UnaryFn};
use crate::f16;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Elements per step.
pub(super) const W: usize = 64;

/// An element in memory, and the type it is computed in.
pub(super) trait Lane: Copy + Default + 'static {
    type Wide: Copy + Default + 'static;
    unsafe fn load<L: Level, const N: usize>(p: *const Self) -> [Self::Wide; N];
    unsafe fn store<L: Level, const N: usize>(v: &[Self::Wide; N], p: *mut Self);
    fn widen(self) -> Self::Wide;
    fn narrow(x: Self::Wide) -> Self;
}

macro_rules! lane {
    ($($T:ty)*) => {$(
        impl Lane for $T {
            type Wide = $T;
            #[inline(always)]
            unsafe fn load<L: Level, const N: usize>(p: *const $T) -> [$T; N] {
                // SAFETY: the caller's: N elements.
                unsafe { p.cast::<[$T; N]>().read() }
            }
            #[inline(always)]
            unsafe fn store<L: Level, const N: usize>(v: &[$T; N], p: *mut $T) {
                // SAFETY: the caller's: N elements.
                unsafe { p.cast::<[$T; N]>().write(*v) }
            }
            #[inline(always)]
            fn widen(self) -> $T {
                self
            }
            #[inline(always)]
            fn narrow(x: $T) -> $T {
                x
            }
        }
    )*};
}
lane!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

impl Lane for f16 {
    type Wide = f32;
    #[inline(always)]
    unsafe fn load<L: Level, const N: usize>(p: *const f16) -> [f32; N] {
        let mut v = MaybeUninit::<[f32; N]>::uninit();
        // SAFETY: the caller's: N elements; `widen` fills the array.
        unsafe {
            L::widen::<N>(p.cast(), v.as_mut_ptr().cast());
            v.assume_init()
        }
    }
    #[inline(always)]
    unsafe fn store<L: Level, const N: usize>(v: &[f32; N], p: *mut f16) {
        // SAFETY: the caller's: N elements.
        unsafe { L::narrow::<N>(v.as_ptr(), p.cast()) }
    }
    #[inline(always)]
    fn widen(self) -> f32 {
        half::widen(self.to_bits())
    }
    #[inline(always)]
    fn narrow(x: f32) -> f16 {
        f16::from_bits(half::narrow(x))
    }
}

/// The value of a zero-sized type that a value has been given of.
#[inline(always)]
pub(super) fn again<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "the function captures something") };
    // SAFETY: `F` has no bytes, and is inhabited: the functions below that name it take a value of it.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

/// `f` of every lane.
#[inline(always)]
pub(super) fn each<T: Copy, const N: usize>(f: impl Fn(usize) -> T) -> [T; N] {
    let mut out = MaybeUninit::<[T; N]>::uninit();
    let at = out.as_mut_ptr().cast::<T>();
    for i in 0..N {
        // SAFETY: inside the array.
        unsafe { at.add(i).write(f(i)) };
    }
    // SAFETY: all elements are written.
    unsafe { out.assume_init() }
}

/// Room for a chunk that is not whole.
pub(super) struct Stage<T>(MaybeUninit<[T; W]>);

impl<T: Copy + Default> Stage<T> {
    #[inline(always)]
    pub(super) fn new() -> Stage<T> {
        Stage(MaybeUninit::uninit())
    }

    /// `p` if it has W elements, else a copy of its `m` elements followed by zeros.
    #[inline(always)]
    pub(super) unsafe fn whole(&mut self, p: *const T, m: usize) -> *const T {
        if m == W {
            return p;
        }
        // SAFETY: `p` has `m` elements.
        unsafe { self.padded(p, m) }
    }

    #[inline(never)]
    unsafe fn padded(&mut self, p: *const T, m: usize) -> *const T {
        let stage = self.0.as_mut_ptr().cast::<T>();
        // SAFETY: `m < W`; the first `m` elements are copied, the rest set.
        unsafe {
            std::ptr::copy_nonoverlapping(p, stage, m);
            for i in m..W {
                stage.add(i).write(T::default());
            }
        }
        stage
    }

    /// Where to write W elements of which `m` are wanted at `p`; then call [`Stage::flush`].
    #[inline(always)]
    pub(super) fn target(&mut self, p: *mut T, m: usize) -> *mut T {
        if m == W { p } else { self.0.as_mut_ptr().cast() }
    }

    #[inline(always)]
    pub(super) unsafe fn flush(&self, p: *mut T, m: usize) {
        if m != W {
            // SAFETY: `p` takes `m` elements, and they have been written to the stage.
            unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr().cast::<T>(), p, m) };
        }
    }
}

per_isa!(UnaryLoop, unary_loop, unsafe fn(x: *const u8, out: *mut u8, n: usize));
per_isa!(BinaryLoop, binary_loop, unsafe fn(a: *const u8, b: *const u8, out: *mut u8, n: usize));
per_isa!(
    TernaryLoop,
    ternary_loop,
    unsafe fn(a: *const u8, b: *const u8, c: *const u8, out: *mut u8, n: usize)
);

struct Map1<T, R, F>(PhantomData<(T, R, F)>);
struct Map2<T, R, F, const SA: bool, const SB: bool>(PhantomData<(T, R, F)>);
struct Map3<M, T, F, const SA: bool, const SB: bool, const SC: bool>(PhantomData<(M, T, F)>);

impl<T: Lane, R: Lane, F: Fn(T::Wide) -> R::Wide + Copy> UnaryLoop for Map1<T, R, F> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, out: *mut u8, n: usize) {
        let f = again::<F>();
        let (x, out) = (x.cast::<T>(), out.cast::<R>());
        let (mut from, mut to) = (Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            // SAFETY: elements `k .. k + m` of the operands.
            unsafe {
                let v = T::load::<L, W>(from.whole(x.add(k), m));
                R::store::<L, W>(&each(|i| f(v[i])), to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

impl<T: Lane, R: Lane, F, const SA: bool, const SB: bool> BinaryLoop for Map2<T, R, F, SA, SB>
where
    F: Fn(T::Wide, T::Wide) -> R::Wide + Copy,
{
    #[inline(always)]
    unsafe fn run<L: Level>(a: *const u8, b: *const u8, out: *mut u8, n: usize) {
        if n == 0 {
            return;
        }
        let f = again::<F>();
        let (a, b, out) = (a.cast::<T>(), b.cast::<T>(), out.cast::<R>());
        // SAFETY: either is a scalar, or a vector that is not empty.
        let (a0, b0) = unsafe { (a.read().widen(), b.read().widen()) };
        let (mut from_a, mut from_b, mut to) = (Stage::new(), Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            // SAFETY: elements `k .. k + m` of the vectors.
            unsafe {
                let va = if SA { [a0; W] } else { T::load::<L, W>(from_a.whole(a.add(k), m)) };
                let vb = if SB { [b0; W] } else { T::load::<L, W>(from_b.whole(b.add(k), m)) };
                let r = each(|i| f(if SA { a0 } else { va[i] }, if SB { b0 } else { vb[i] }));
                R::store::<L, W>(&r, to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

impl<M: Lane, T: Lane, F, const SA: bool, const SB: bool, const SC: bool> TernaryLoop
    for Map3<M, T, F, SA, SB, SC>
where
    F: Fn(M::Wide, T::Wide, T::Wide) -> T::Wide + Copy,
{
    #[inline(always)]
    unsafe fn run<L: Level>(a: *const u8, b: *const u8, c: *const u8, out: *mut u8, n: usize) {
        if n == 0 {
            return;
        }
        let f = again::<F>();
        let (a, b, c, out) = (a.cast::<M>(), b.cast::<T>(), c.cast::<T>(), out.cast::<T>());
        // SAFETY: each is a scalar, or a vector that is not empty.
        let (a0, b0, c0) = unsafe { (a.read().widen(), b.read().widen(), c.read().widen()) };
        let (mut from_a, mut from_b, mut from_c, mut to) =
            (Stage::new(), Stage::new(), Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            // SAFETY: elements `k .. k + m` of the vectors.
            unsafe {
                let va = if SA { [a0; W] } else { M::load::<L, W>(from_a.whole(a.add(k), m)) };
                let vb = if SB { [b0; W] } else { T::load::<L, W>(from_b.whole(b.add(k), m)) };
                let vc = if SC { [c0; W] } else { T::load::<L, W>(from_c.whole(c.add(k), m)) };
                let r = each(|i| {
                    f(if SA { a0 } else { va[i] }, if SB { b0 } else { vb[i] }, if SC { c0 } else { vc[i] })
                });
                T::store::<L, W>(&r, to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

/// The loop of `f` over elements `T` with results `R`.
pub(super) fn map1<T: Lane, R: Lane, F: Fn(T::Wide) -> R::Wide + Copy>(isa: Isa, _: F) -> UnaryFn {
    unary_loop::<Map1<T, R, F>>(isa)
}

/// The loop of `f` over two operands of `T` with results `R`.
pub(super) fn map2<T: Lane, R: Lane, F>(isa: Isa, mode: Operands, _: F) -> BinaryFn
where
    F: Fn(T::Wide, T::Wide) -> R::Wide + Copy,
{
    match mode {
        Operands::VV => binary_loop::<Map2<T, R, F, false, false>>(isa),
        Operands::VS => binary_loop::<Map2<T, R, F, false, true>>(isa),
        Operands::SV => binary_loop::<Map2<T, R, F, true, false>>(isa),
    }
}

/// The loop of `f` over an operand of `M` and two of `T`, with results `T`; the constants say which are scalars.
pub(super) fn map3<M: Lane, T: Lane, F, const SA: bool, const SB: bool, const SC: bool>(
    isa: Isa,
    _: F,
) -> TernaryFn
where
    F: Fn(M::Wide, T::Wide, T::Wide) -> T::Wide + Copy,
{
    ternary_loop::<Map3<M, T, F, SA, SB, SC>>(isa)
}

/// A loop that is not worth vectorizing, over elements as they are in memory.
pub(super) fn scalar2<T: Copy + 'static, F: Fn(T, T) -> T + Copy>(mode: Operands, _: F) -> BinaryFn {
    unsafe fn run<T: Copy, F: Fn(T, T) -> T + Copy, const SA: bool, const SB: bool>(
        a: *const u8,
        b: *const u8,
        out: *mut u8,
        n: usize,
    ) {
        let (a, b) = (a.cast::<T>(), b.cast::<T>());
        for i in 0..n {
            // SAFETY: vectors have `n` elements, scalars one.
            unsafe {
                let (a, b) = (a.add(if SA { 0 } else { i }).read(), b.add(if SB { 0 } else { i }).read());
                out.cast::<T>().add(i).write(again::<F>()(a, b));
            }
        }
    }
    match mode {
        Operands::VV => run::<T, F, false, false>,
        Operands::VS => run::<T, F, false, true>,
        Operands::SV => run::<T, F, true, false>,
    }
}
