//! Elementary functions over tiles: the drivers of [`crate::math`], a chunk at a time.
//!
//! `f16` goes through the instance of `f32`.

use super::isa::{Isa, Level};
use super::lanes::{BinaryLoop, Lane, Stage, UnaryLoop, W, binary_loop, unary_loop};
use super::{BinaryFn, UnaryFn};
use crate::math::{self, Fma};
use crate::op::{BinaryOp, UnaryOp};
use crate::{DType, f16};
use std::marker::PhantomData;

/// A function of one operand, over whole chunks.
trait Function1<T> {
    fn run<F: Fma>(x: &[T; W], out: &mut [T; W]);
}

/// A function of two operands, over whole chunks.
trait Function2<T> {
    fn run<F: Fma>(a: &[T; W], b: &[T; W], out: &mut [T; W]);
}

/// The function `V` of elements `T`.
struct Of<T, V>(PhantomData<(T, V)>);
/// A loop over f32, for elements f16.
struct Halves<K>(PhantomData<K>);

impl<T: Lane<Wide = T>, V: Function1<T>> UnaryLoop for Of<T, V> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, out: *mut u8, n: usize) {
        let (x, out) = (x.cast::<T>(), out.cast::<T>());
        let (mut from, mut to) = (Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            let mut r = [T::default(); W];
            // SAFETY: elements `k .. k + m` of the operands.
            unsafe {
                V::run::<L::Fma>(&T::load::<L, W>(from.whole(x.add(k), m)), &mut r);
                T::store::<L, W>(&r, to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

impl<T: Lane<Wide = T>, V: Function2<T>> BinaryLoop for Of<T, V> {
    #[inline(always)]
    unsafe fn run<L: Level>(a: *const u8, b: *const u8, out: *mut u8, n: usize) {
        let (a, b, out) = (a.cast::<T>(), b.cast::<T>(), out.cast::<T>());
        let (mut from_a, mut from_b, mut to) = (Stage::new(), Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            let mut r = [T::default(); W];
            // SAFETY: elements `k .. k + m` of the operands.
            unsafe {
                let va = T::load::<L, W>(from_a.whole(a.add(k), m));
                let vb = T::load::<L, W>(from_b.whole(b.add(k), m));
                V::run::<L::Fma>(&va, &vb, &mut r);
                T::store::<L, W>(&r, to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

impl<K: UnaryLoop> UnaryLoop for Halves<K> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, out: *mut u8, n: usize) {
        let (x, out) = (x.cast::<f16>(), out.cast::<f16>());
        let (mut from, mut to) = (Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            // SAFETY: elements `k .. k + m` of the operands; the loop is for this level.
            unsafe {
                let mut v = f16::load::<L, W>(from.whole(x.add(k), m));
                let p = v.as_mut_ptr().cast::<u8>();
                unary_loop::<K>(L::ISA)(p, p, W);
                f16::store::<L, W>(&v, to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

impl<K: BinaryLoop> BinaryLoop for Halves<K> {
    #[inline(always)]
    unsafe fn run<L: Level>(a: *const u8, b: *const u8, out: *mut u8, n: usize) {
        let (a, b, out) = (a.cast::<f16>(), b.cast::<f16>(), out.cast::<f16>());
        let (mut from_a, mut from_b, mut to) = (Stage::new(), Stage::new(), Stage::new());
        for k in (0..n).step_by(W) {
            let m = W.min(n - k);
            // SAFETY: elements `k .. k + m` of the operands; the loop is for this level.
            unsafe {
                let mut va = f16::load::<L, W>(from_a.whole(a.add(k), m));
                let vb = f16::load::<L, W>(from_b.whole(b.add(k), m));
                let p = va.as_mut_ptr().cast::<u8>();
                binary_loop::<K>(L::ISA)(p, vb.as_ptr().cast(), p, W);
                f16::store::<L, W>(&va, to.target(out.add(k), m));
                to.flush(out.add(k), m);
            }
        }
    }
}

macro_rules! functions {
    (
        $(#[$doc1:meta])* $unary:ident: $($V1:ident $slice1:ident,)*;
        $(#[$doc2:meta])* $binary:ident: $($V2:ident $slice2:ident,)*;
    ) => {
        $(
            struct $V1;
            impl Function1<f32> for $V1 {
                #[inline(always)]
                fn run<F: Fma>(x: &[f32; W], out: &mut [f32; W]) {
                    math::f32::$slice1::<F>(x, out)
                }
            }
            impl Function1<f64> for $V1 {
                #[inline(always)]
                fn run<F: Fma>(x: &[f64; W], out: &mut [f64; W]) {
                    math::f64::$slice1::<F>(x, out)
                }
            }
        )*
        $(
            struct $V2;
            impl Function2<f32> for $V2 {
                #[inline(always)]
                fn run<F: Fma>(a: &[f32; W], b: &[f32; W], out: &mut [f32; W]) {
                    math::f32::$slice2::<F>(a, b, out)
                }
            }
            impl Function2<f64> for $V2 {
                #[inline(always)]
                fn run<F: Fma>(a: &[f64; W], b: &[f64; W], out: &mut [f64; W]) {
                    math::f64::$slice2::<F>(a, b, out)
                }
            }
        )*

        $(#[$doc1])*
        pub(super) fn $unary(isa: Isa, op: UnaryOp, d: DType) -> UnaryFn {
            match (op, d) {
                $(
                    (UnaryOp::$V1, DType::F16) => unary_loop::<Halves<Of<f32, $V1>>>(isa),
                    (UnaryOp::$V1, DType::F32) => unary_loop::<Of<f32, $V1>>(isa),
                    (UnaryOp::$V1, _) => unary_loop::<Of<f64, $V1>>(isa),
                )*
                (other, _) => unreachable!("{other} is not an elementary function"),
            }
        }

        $(#[$doc2])*
        pub(super) fn $binary(isa: Isa, op: BinaryOp, d: DType) -> BinaryFn {
            match (op, d) {
                $(
                    (BinaryOp::$V2, DType::F16) => binary_loop::<Halves<Of<f32, $V2>>>(isa),
                    (BinaryOp::$V2, DType::F32) => binary_loop::<Of<f32, $V2>>(isa),
                    (BinaryOp::$V2, _) => binary_loop::<Of<f64, $V2>>(isa),
                )*
                (other, _) => unreachable!("{other} is not an elementary function"),
            }
        }
    };
}

functions! {
    /// The loop of a transcendental function over floats.
    unary:
    Exp exp_slice, Exp2 exp2_slice, Expm1 expm1_slice,
    Log log_slice, Log2 log2_slice, Log10 log10_slice, Log1p log1p_slice,
    Sin sin_slice, Cos cos_slice, Tan tan_slice,
    Asin asin_slice, Acos acos_slice, Atan atan_slice,
    Sinh sinh_slice, Cosh cosh_slice, Tanh tanh_slice,
    Asinh asinh_slice, Acosh acosh_slice, Atanh atanh_slice,
    Cbrt cbrt_slice,;
    /// The loop of a function of two floats.
    binary:
    Atan2 atan2_slice, Hypot hypot_slice, Pow pow_slice,
    Logaddexp logaddexp_slice, Logaddexp2 logaddexp2_slice, Nextafter nextafter_slice,;
}
