//! Positions of extrema: the extremum of a row by vectors, then a search for its first place.

use super::super::isa::Level;
use super::super::lanes::{Lane, W};
use super::group::{FoldGroups, Grouped};
use super::{ColsLoop, Fold, Panel, Place, RowsLoop, fold_row};
use std::marker::PhantomData;

/// The position of the first minimum (`MIN`) or maximum of elements `X`. NaN wins, or with `NUMBERS` is passed over.
pub(super) struct Arg<X, const MIN: bool, const NUMBERS: bool>(PhantomData<X>);

/// An order with NaN.
pub(super) trait Order: Copy + PartialOrd + Default {
    const LEAST: Self;
    const MOST: Self;
    fn is_nan(self) -> bool;
}

macro_rules! order {
    ($($T:ty, $least:ident, $most:ident;)*) => {$(
        impl Order for $T {
            const LEAST: $T = <$T>::$least;
            const MOST: $T = <$T>::$most;
            #[inline(always)]
            #[allow(clippy::eq_op, reason = "integers come here too")]
            fn is_nan(self) -> bool {
                self != self
            }
        }
    )*};
}
order! {
    i8, MIN, MAX;
    i16, MIN, MAX;
    i32, MIN, MAX;
    i64, MIN, MAX;
    u8, MIN, MAX;
    u16, MIN, MAX;
    u32, MIN, MAX;
    u64, MIN, MAX;
    f32, NEG_INFINITY, INFINITY;
    f64, NEG_INFINITY, INFINITY;
}

impl<X: Lane<Wide: Order>, const MIN: bool, const NUMBERS: bool> Arg<X, MIN, NUMBERS> {
    /// Whether `x` takes the place of `best`, which comes before it.
    #[inline(always)]
    fn beats(x: X::Wide, best: X::Wide) -> bool {
        let better = if MIN { x < best } else { x > best };
        let by_nan = if NUMBERS { best.is_nan() & !x.is_nan() } else { x.is_nan() & !best.is_nan() };
        better | by_nan
    }

    #[inline(always)]
    fn extremum(a: X::Wide, x: X::Wide) -> X::Wide {
        if Self::beats(x, a) { x } else { a }
    }

    /// Folds one candidate into an accumulator.
    #[inline(always)]
    unsafe fn merge_at(value: *mut X, index: *mut i64, x: X::Wide, at: impl FnOnce() -> i64) {
        // SAFETY: the caller's: the accumulator's two planes.
        unsafe {
            if NUMBERS && x.is_nan() {
                return;
            }
            let (best, known) = (value.read().widen(), index.read());
            // a tie goes to the smaller position, whichever came first
            if known >= 0 && !Self::beats(x, best) {
                if Self::beats(best, x) {
                    return;
                }
                let at = at();
                if at < known {
                    index.write(at);
                    value.write(X::narrow(x));
                }
                return;
            }
            index.write(at());
            value.write(X::narrow(x));
        }
    }
}

/// The place of the first of `n` elements that is `x` (or NaN, if `x` is).
#[inline(always)]
unsafe fn find<L: Level, X: Lane<Wide: Order>>(row: *const X, n: usize, x: X::Wide) -> usize {
    let is = |v: X::Wide| (v == x) | (v.is_nan() & x.is_nan());
    let mut k = 0;
    // SAFETY: the caller's: `n` readable elements.
    unsafe {
        while k + W <= n {
            let v = X::load::<L, W>(row.add(k));
            let mut any = false;
            for x in v {
                any |= is(x);
            }
            if any {
                break;
            }
            k += W;
        }
        while k < n && !is(row.add(k).read().widen()) {
            k += 1;
        }
    }
    k
}

impl<X: Lane<Wide: Order>, const MIN: bool, const NUMBERS: bool> RowsLoop for Arg<X, MIN, NUMBERS> {
    #[inline(always)]
    unsafe fn run<L: Level>(
        x: *const u8,
        panel: Panel,
        planes: &[*mut u8],
        plane_strides: &[isize],
        place: Place,
    ) {
        if panel.cols == 0 {
            return;
        }
        for r in 0..panel.rows as isize {
            // SAFETY: row `r` has `cols` elements, and accumulator `r` exists.
            unsafe {
                let row = x.offset(r * panel.row_stride);
                // what any element beats or equals; the search finds a place even if all equal it
                let empty = if MIN { X::Wide::MOST } else { X::Wide::LEAST };
                let first = row.cast::<X>().read().widen();
                let empty = if NUMBERS && first.is_nan() { first } else { empty };
                let best = fold_row::<L, X, X::Wide>(empty, row, panel.cols, Self::extremum, Self::extremum);
                let value = planes[0].offset(r * plane_strides[0]).cast::<X>();
                let index = planes[1].offset(r * plane_strides[1]).cast::<i64>();
                Self::merge_at(value, index, best, || {
                    let c = find::<L, X>(row.cast(), panel.cols, best);
                    place.start + r as i64 * place.row_step + c as i64 * place.col_step
                });
            }
        }
    }
}

impl<X: Lane<Wide: Order>, const MIN: bool, const NUMBERS: bool> ColsLoop for Arg<X, MIN, NUMBERS> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, panel: Panel, planes: &[*mut u8], place: Place) {
        let mut c = 0;
        // SAFETY: columns `c .. c + N` exist, and so do their accumulators.
        unsafe {
            while c + 32 <= panel.cols {
                columns::<L, X, MIN, NUMBERS, 32>(x, panel, planes, place, c);
                c += 32;
            }
            while c < panel.cols {
                columns::<L, X, MIN, NUMBERS, 1>(x, panel, planes, place, c);
                c += 1;
            }
        }
    }
}

/// Folds N columns from column `c`.
#[inline(always)]
unsafe fn columns<L: Level, X: Lane<Wide: Order>, const MIN: bool, const NUMBERS: bool, const N: usize>(
    x: *const u8,
    panel: Panel,
    planes: &[*mut u8],
    place: Place,
    c: usize,
) {
    if panel.rows == 0 {
        return;
    }
    // SAFETY: the caller's: the columns and their accumulators exist.
    unsafe {
        let mut row = x.add(c * size_of::<X>());
        let mut best = X::load::<L, N>(row.cast());
        let mut at = [0u32; N];
        for r in 1..panel.rows as u32 {
            row = row.wrapping_offset(panel.row_stride);
            let v = X::load::<L, N>(row.cast());
            for i in 0..N {
                let take = Arg::<X, MIN, NUMBERS>::beats(v[i], best[i]);
                best[i] = if take { v[i] } else { best[i] };
                at[i] = if take { r } else { at[i] };
            }
        }
        for i in 0..N {
            let (value, index) = (planes[0].cast::<X>().add(c + i), planes[1].cast::<i64>().add(c + i));
            Arg::<X, MIN, NUMBERS>::merge_at(value, index, best[i], || {
                place.start + at[i] as i64 * place.row_step + (c + i) as i64 * place.col_step
            });
        }
    }
}

impl<X: Lane<Wide: Order>, const MIN: bool, const NUMBERS: bool> Grouped for Arg<X, MIN, NUMBERS> {
    const FOLD: Option<FoldGroups> = None;
}

impl<X: Lane<Wide: Order>, const MIN: bool, const NUMBERS: bool> Fold for Arg<X, MIN, NUMBERS> {
    unsafe fn merge(into: &[*mut u8; 3], from: &[*mut u8; 3], n: usize) {
        for i in 0..n {
            // SAFETY: the caller's: `n` accumulators each.
            unsafe {
                let at = from[1].cast::<i64>().add(i).read();
                if at >= 0 {
                    let x = from[0].cast::<X>().add(i).read().widen();
                    Self::merge_at(into[0].cast::<X>().add(i), into[1].cast::<i64>().add(i), x, || at);
                }
            }
        }
    }
}
