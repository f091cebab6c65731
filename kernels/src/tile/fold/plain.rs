//! Folds with one plane: sums, products, extrema, and logical ones.

use super::super::float::Float;
use super::super::isa::Level;
use super::super::lanes::Lane;
use super::{ColsLoop, Fold, Panel, Place, RowsLoop, accumulate, fold_row};
use crate::f16;
use std::marker::PhantomData;

/// The operation `O` over elements `X`.
pub(super) struct Plain<X, O>(PhantomData<(X, O)>);

/// What a plain fold does with elements `X`.
pub(super) trait Step<X: Lane> {
    /// A partial result, while it is worked on.
    type Acc: Copy;
    /// As it is stored in the plane.
    type Plane: Copy;
    const EMPTY: Self::Acc;
    fn push(a: Self::Acc, x: X::Wide) -> Self::Acc;
    fn merge(a: Self::Acc, b: Self::Acc) -> Self::Acc;
    fn load(p: Self::Plane) -> Self::Acc;
    fn store(a: Self::Acc) -> Self::Plane;
}

pub(super) struct Sum;
pub(super) struct NanSum;
pub(super) struct Count;
pub(super) struct Prod;
pub(super) struct Min;
pub(super) struct Max;
pub(super) struct Fmin;
pub(super) struct Fmax;
pub(super) struct All;
pub(super) struct Any;

/// One operation over one element type: the accumulator, what it starts as, and the fold of one more value.
macro_rules! step {
    ($($O:ident $X:ty, $A:ty as $P:ty, $empty:expr, |$a:ident, $x:ident| $push:expr, |$b:ident, $c:ident| $merge:expr;)*) => {$(
        impl Step<$X> for $O {
            type Acc = $A;
            type Plane = $P;
            const EMPTY: $A = $empty;
            #[inline(always)]
            fn push($a: $A, $x: <$X as Lane>::Wide) -> $A {
                $push
            }
            #[inline(always)]
            fn merge($b: $A, $c: $A) -> $A {
                $merge
            }
            #[inline(always)]
            fn load(p: $P) -> $A {
                Lane::widen(p)
            }
            #[inline(always)]
            fn store(a: $A) -> $P {
                <$P as Lane>::narrow(a)
            }
        }
    )*};
}

macro_rules! sums {
    (integers $($X:ty, $A:ty;)*) => {$(
        step! {
            Sum $X, $A as $A, 0, |a, x| a.wrapping_add(x as $A), |a, b| a.wrapping_add(b);
            Prod $X, $A as $A, 1, |a, x| a.wrapping_mul(x as $A), |a, b| a.wrapping_mul(b);
            Min $X, $X as $X, <$X>::MAX, |a, x| Ord::min(a, x), |a, b| Ord::min(a, b);
            Max $X, $X as $X, <$X>::MIN, |a, x| Ord::max(a, x), |a, b| Ord::max(a, b);
        }
    )*};
    (floats $($X:ty, $W:ty;)*) => {$(
        step! {
            Sum $X, f64 as f64, 0.0, |a, x| a + x as f64, |a, b| a + b;
            NanSum $X, f64 as f64, 0.0, |a, x| a + if x.is_nan() { 0.0 } else { x as f64 }, |a, b| a + b;
            Count $X, i64 as i64, 0, |a, x| a + i64::from(!x.is_nan()), |a, b| a + b;
            Prod $X, f64 as f64, 1.0, |a, x| a * x as f64, |a, b| a * b;
            Min $X, $W as $X, <$W>::INFINITY, |a, x| Float::min(a, x), |a, b| Float::min(a, b);
            Max $X, $W as $X, <$W>::NEG_INFINITY, |a, x| Float::max(a, x), |a, b| Float::max(a, b);
            Fmin $X, $W as $X, <$W>::NAN, |a, x| Float::fmin(a, x), |a, b| Float::fmin(a, b);
            Fmax $X, $W as $X, <$W>::NAN, |a, x| Float::fmax(a, x), |a, b| Float::fmax(a, b);
        }
    )*};
}
sums! { integers
    i8, i64;
    i16, i64;
    i32, i64;
    i64, i64;
    u8, u64;
    u16, u64;
    u32, u64;
    u64, u64;
}
sums! { floats
    f16, f32;
    f32, f32;
    f64, f64;
}
step! {
    All u8, u8 as u8, 1, |a, x| a & x, |a, b| a & b;
    Any u8, u8 as u8, 0, |a, x| a | x, |a, b| a | b;
}

impl<X: Lane, O: Step<X>> RowsLoop for Plain<X, O> {
    #[inline(always)]
    unsafe fn run<L: Level>(
        x: *const u8,
        panel: Panel,
        planes: &[*mut u8],
        plane_strides: &[isize],
        _: Place,
    ) {
        for r in 0..panel.rows as isize {
            // SAFETY: row `r` has `cols` elements, and accumulator `r` exists.
            unsafe {
                let row = x.offset(r * panel.row_stride);
                let folded = fold_row::<L, X, O::Acc>(O::EMPTY, row, panel.cols, O::push, O::merge);
                let acc = planes[0].offset(r * plane_strides[0]).cast::<O::Plane>();
                acc.write(O::store(O::merge(O::load(acc.read()), folded)));
            }
        }
    }
}

impl<X: Lane, O: Step<X>> ColsLoop for Plain<X, O> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, panel: Panel, planes: &[*mut u8], _: Place) {
        let mut c = 0;
        // SAFETY: columns `c .. c + N` exist, and so do their accumulators.
        unsafe {
            while c + 32 <= panel.cols {
                columns::<L, X, O, 32>(x, panel, planes[0], c);
                c += 32;
            }
            while c + 8 <= panel.cols {
                columns::<L, X, O, 8>(x, panel, planes[0], c);
                c += 8;
            }
            while c < panel.cols {
                columns::<L, X, O, 1>(x, panel, planes[0], c);
                c += 1;
            }
        }
    }
}

/// Folds N columns from column `c`.
#[inline(always)]
unsafe fn columns<L: Level, X: Lane, O: Step<X>, const N: usize>(
    x: *const u8,
    panel: Panel,
    plane: *mut u8,
    c: usize,
) {
    // SAFETY: the caller's: the columns and their accumulators exist.
    unsafe {
        let plane = plane.cast::<O::Plane>().add(c);
        let mut acc = [O::EMPTY; N];
        for (i, a) in acc.iter_mut().enumerate() {
            *a = O::load(plane.add(i).read());
        }
        let x = x.add(c * size_of::<X>());
        let acc =
            accumulate::<L, X, O::Acc, N>(acc, x, panel.row_stride, panel.rows, |_, a, x| O::push(a, x));
        for (i, a) in acc.into_iter().enumerate() {
            plane.add(i).write(O::store(a));
        }
    }
}

impl<X: Lane, O: Step<X>> Fold for Plain<X, O> {
    unsafe fn merge(into: &[*mut u8; 3], from: &[*mut u8; 3], n: usize) {
        let (into, from) = (into[0].cast::<O::Plane>(), from[0].cast::<O::Plane>());
        for i in 0..n {
            // SAFETY: the caller's: `n` accumulators each.
            unsafe {
                let merged = O::merge(O::load(into.add(i).read()), O::load(from.add(i).read()));
                into.add(i).write(O::store(merged));
            }
        }
    }
}
