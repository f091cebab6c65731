//! Sums of squared deviations: for each panel the mean first, then the squares about it, then one merge.

use super::super::isa::Level;
use super::super::lanes::Lane;
use super::{ColsLoop, Fold, Panel, Place, RowsLoop, accumulate, fold_row};
use crate::naive::fold::chan;
use std::marker::PhantomData;

/// Moments of elements `X`, all of them or only the `NUMBERS`.
pub(super) struct Moments<X, const NUMBERS: bool>(PhantomData<X>);

/// One element as f64, and whether it counts.
#[inline(always)]
fn value<W: Into<f64>, const NUMBERS: bool>(x: W) -> (f64, bool) {
    let x = x.into();
    (x, !NUMBERS || !x.is_nan())
}

impl<X: Lane<Wide: Into<f64>>, const NUMBERS: bool> Moments<X, NUMBERS> {
    #[inline(always)]
    fn add(a: f64, x: X::Wide) -> f64 {
        let (x, counts) = value::<_, NUMBERS>(x);
        a + if counts { x } else { 0.0 }
    }

    #[inline(always)]
    fn count(a: f64, x: X::Wide) -> f64 {
        a + if value::<_, NUMBERS>(x).1 { 1.0 } else { 0.0 }
    }

    #[inline(always)]
    fn deviate(a: f64, x: X::Wide, mean: f64) -> f64 {
        let (x, counts) = value::<_, NUMBERS>(x);
        let d = if counts { x - mean } else { 0.0 };
        a + d * d
    }
}

/// Merges (m2, mean, count) into the accumulators at these addresses.
#[inline(always)]
unsafe fn merge_at(m2: *mut f64, mean: *mut f64, count: *mut i64, with: (f64, f64, i64)) {
    // SAFETY: the caller's: accumulators of the three planes.
    unsafe {
        let merged = chan((m2.read(), mean.read(), count.read()), with);
        m2.write(merged.0);
        mean.write(merged.1);
        count.write(merged.2);
    }
}

impl<X: Lane<Wide: Into<f64>>, const NUMBERS: bool> RowsLoop for Moments<X, NUMBERS> {
    #[inline(always)]
    unsafe fn run<L: Level>(
        x: *const u8,
        panel: Panel,
        planes: &[*mut u8; 3],
        plane_strides: &[isize; 3],
        _: Place,
    ) {
        let n = panel.cols;
        for r in 0..panel.rows as isize {
            // SAFETY: row `r` has `cols` elements, and accumulator `r` exists.
            unsafe {
                let row = x.offset(r * panel.row_stride);
                let sum = fold_row::<L, X, f64>(0.0, row, n, Self::add, |a, b| a + b);
                let count = if NUMBERS {
                    fold_row::<L, X, f64>(0.0, row, n, Self::count, |a, b| a + b)
                } else {
                    n as f64
                };
                if count > 0.0 {
                    let mean = sum / count;
                    let m2 =
                        fold_row::<L, X, f64>(0.0, row, n, |a, x| Self::deviate(a, x, mean), |a, b| a + b);
                    let at = |p: usize| planes[p].offset(r * plane_strides[p]);
                    merge_at(at(0).cast(), at(1).cast(), at(2).cast(), (m2, mean, count as i64));
                }
            }
        }
    }
}

impl<X: Lane<Wide: Into<f64>>, const NUMBERS: bool> ColsLoop for Moments<X, NUMBERS> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, panel: Panel, planes: &[*mut u8; 3], _: Place) {
        let mut c = 0;
        // SAFETY: columns `c .. c + N` exist, and so do their accumulators.
        unsafe {
            while c + 32 <= panel.cols {
                columns::<L, X, NUMBERS, 32>(x, panel, planes, c);
                c += 32;
            }
            while c + 8 <= panel.cols {
                columns::<L, X, NUMBERS, 8>(x, panel, planes, c);
                c += 8;
            }
            while c < panel.cols {
                columns::<L, X, NUMBERS, 1>(x, panel, planes, c);
                c += 1;
            }
        }
    }
}

/// Folds N columns from column `c`.
#[inline(always)]
unsafe fn columns<L: Level, X: Lane<Wide: Into<f64>>, const NUMBERS: bool, const N: usize>(
    x: *const u8,
    panel: Panel,
    planes: &[*mut u8; 3],
    c: usize,
) {
    if panel.rows == 0 {
        return;
    }
    // SAFETY: the caller's: the columns and their accumulators exist.
    unsafe {
        let x = x.add(c * size_of::<X>());
        let (step, rows) = (panel.row_stride, panel.rows);
        let sum =
            accumulate::<L, X, f64, N>([0.0; N], x, step, rows, |_, a, x| Moments::<X, NUMBERS>::add(a, x));
        let count = if NUMBERS {
            accumulate::<L, X, f64, N>([0.0; N], x, step, rows, |_, a, x| Moments::<X, NUMBERS>::count(a, x))
        } else {
            [rows as f64; N]
        };
        let mut mean = [0.0; N];
        for i in 0..N {
            mean[i] = if count[i] > 0.0 { sum[i] / count[i] } else { 0.0 };
        }
        let m2 = accumulate::<L, X, f64, N>([0.0; N], x, step, rows, |i, a, x| {
            Moments::<X, NUMBERS>::deviate(a, x, mean[i])
        });
        for i in 0..N {
            let at = (planes[0].cast::<f64>(), planes[1].cast::<f64>(), planes[2].cast::<i64>());
            merge_at(at.0.add(c + i), at.1.add(c + i), at.2.add(c + i), (m2[i], mean[i], count[i] as i64));
        }
    }
}

impl<X: Lane<Wide: Into<f64>>, const NUMBERS: bool> Fold for Moments<X, NUMBERS> {
    unsafe fn merge(into: &[*mut u8; 3], from: &[*mut u8; 3], n: usize) {
        let of = |p: &[*mut u8; 3]| (p[0].cast::<f64>(), p[1].cast::<f64>(), p[2].cast::<i64>());
        let (a, b) = (of(into), of(from));
        for i in 0..n {
            // SAFETY: the caller's: `n` accumulators each.
            unsafe {
                let with = (b.0.add(i).read(), b.1.add(i).read(), b.2.add(i).read());
                merge_at(a.0.add(i), a.1.add(i), a.2.add(i), with);
            }
        }
    }
}
