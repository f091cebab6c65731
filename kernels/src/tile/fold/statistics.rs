//! Several folds of the same elements in one walk: sum, moments, extrema, and how many are numbers.
//!
//! Moments are taken about a *shift* `s`: the mean of what was folded before, or the first element, rounded to the elements'
//! precision. With deviations `d = x - s`, what is known is moved to the same shift, both are added up, and
//! `m2 = sum(d * d) - sum(d)² / n`, `mean = s + sum(d) / n`. Nothing cancels that is not small beside `m2`: `n * (s - mean)²` is
//! part of the spread of the elements before, if there were any. Squares are added by fused multiply-adds.
//!
//! Extrema are taken by the machine's one instruction, which may lose a NaN. It shows in the sum: then NaN are looked for in
//! a second walk.

use super::super::float::Float;
use super::super::isa::{Isa, Level};
use super::super::lanes::{Lane, each};
use super::{ColsLoop, Fold, LANES, Panel, Place, RowsLoop, SHORT, halve};
use crate::math::Fma;
use crate::naive::fold::{chan, moments};
use std::marker::PhantomData;

/// Planes of a walk that folds all there is. Those of a moment come first: it may be folded alone.
pub const PLANES: usize = 7;
pub(super) const M2: usize = 0;
const MEAN: usize = 1;
const N: usize = 2;
pub(super) const SUM: usize = 3;
pub(super) const COUNT: usize = 4;
pub(super) const MIN: usize = 5;
pub(super) const MAX: usize = 6;

/// Which folds there may be in a walk. Planes that are null are left out.
pub(super) trait Parts {
    /// Whether NaN is passed over, else it wins.
    const NUMBERS: bool;
    const SUM: bool;
    const MOMENTS: bool;
    const EXTREMA: bool;
}

pub(super) struct Of<const NUMBERS: bool, const SUM: bool, const MOMENTS: bool, const EXTREMA: bool>;

impl<const NUMBERS: bool, const SUM: bool, const MOMENTS: bool, const EXTREMA: bool> Parts
    for Of<NUMBERS, SUM, MOMENTS, EXTREMA>
{
    const NUMBERS: bool = NUMBERS;
    const SUM: bool = SUM;
    const MOMENTS: bool = MOMENTS;
    const EXTREMA: bool = EXTREMA;
}

/// The folds `P` of elements `X`.
pub(super) struct Statistics<X, P>(PhantomData<(X, P)>);

/// What elements are computed in.
pub(super) trait Wide: Float + Into<f64> {}
impl<T: Float + Into<f64>> Wide for T {}

/// Partial results, one of each kind per lane.
#[derive(Clone, Copy)]
struct Lanes<W, const C: usize> {
    sum: [f64; C],
    count: [u32; C],
    /// Sum of deviations from the shift, and of their squares.
    off: [f64; C],
    squares: [f64; C],
    min: [W; C],
    max: [W; C],
}

impl<W: Wide, const C: usize> Lanes<W, C> {
    #[inline(always)]
    fn empty() -> Lanes<W, C> {
        Lanes {
            sum: [0.0; C],
            count: [0; C],
            off: [0.0; C],
            squares: [0.0; C],
            min: [W::INFINITY; C],
            max: [W::NEG_INFINITY; C],
        }
    }

    /// Folds an element into each lane that is `there`.
    #[inline(always)]
    fn push<L: Level, P: Parts>(
        &mut self,
        v: [W; C],
        (shift, off): (&[f64; C], bool),
        there: impl Fn(usize) -> bool,
    ) {
        let counts: [bool; C] = each(|i| there(i) & (!P::NUMBERS | !v[i].is_nan()));
        let x: [f64; C] = each(|i| v[i].into());
        if P::SUM || P::MOMENTS && !off {
            self.sum = each(|i| self.sum[i] + if counts[i] { x[i] } else { 0.0 });
        }
        if P::NUMBERS {
            self.count = each(|i| self.count[i] + u32::from(counts[i]));
        }
        if P::MOMENTS {
            let d: [f64; C] = each(|i| if counts[i] { x[i] - shift[i] } else { 0.0 });
            if off {
                self.off = each(|i| self.off[i] + d[i]);
            }
            self.squares = each(|i| L::Fma::f64(d[i], d[i], self.squares[i]));
        }
        if P::EXTREMA {
            let (min, max) = (self.min, self.max);
            self.min = each(|i| if !counts[i] | (min[i] < v[i]) { min[i] } else { v[i] });
            self.max = each(|i| if !counts[i] | (max[i] > v[i]) { max[i] } else { v[i] });
        }
    }

    /// Makes extrema NaN where an element is.
    #[inline(always)]
    fn spoil(&mut self, v: [W; C], there: impl Fn(usize) -> bool) {
        self.min = each(|i| if there(i) & v[i].is_nan() { v[i] } else { self.min[i] });
        self.max = each(|i| if there(i) & v[i].is_nan() { v[i] } else { self.max[i] });
    }
}

/// Folds `count` groups of elements, `step` bytes apart, then the first `left` elements of `rest`: element `i` of each into
/// lane `i`. All that is done to some lanes comes before the next ones, so that few registers suffice. With the shift comes
/// whether deviations are added up.
#[inline(always)]
unsafe fn walk<L: Level, X: Lane<Wide: Wide>, P: Parts, const C: usize, const G: usize>(
    lanes: &mut [Lanes<X::Wide, C>; G],
    shift: (&[f64; C], bool),
    (x, step, count): (*const u8, isize, usize),
    (rest, left): (*const X, usize),
) {
    let group = |k: usize| x.wrapping_offset(k as isize * step).cast::<X>();
    // SAFETY: the caller's: each group is readable, and so is the rest if anything is left.
    unsafe {
        for k in 0..count {
            for (g, lanes) in lanes.iter_mut().enumerate() {
                lanes.push::<L, P>(X::load::<L, C>(group(k).add(g * C)), shift, |_| true);
            }
        }
        if left > 0 {
            for (g, lanes) in lanes.iter_mut().enumerate() {
                lanes.push::<L, P>(X::load::<L, C>(rest.add(g * C)), shift, |i| g * C + i < left);
            }
        }
        if P::EXTREMA && !P::NUMBERS && lanes.iter().any(|l| l.sum.iter().any(|s| s.is_nan())) {
            for k in 0..count {
                for (g, lanes) in lanes.iter_mut().enumerate() {
                    lanes.spoil(X::load::<L, C>(group(k).add(g * C)), |_| true);
                }
            }
            for (g, lanes) in lanes.iter_mut().enumerate().filter(|_| left > 0) {
                lanes.spoil(X::load::<L, C>(rest.add(g * C)), |i| g * C + i < left);
            }
        }
    }
}

#[inline(always)]
fn least<W: Float, P: Parts>(a: W, b: W) -> W {
    if P::NUMBERS { a.fmin(b) } else { a.min(b) }
}

#[inline(always)]
fn most<W: Float, P: Parts>(a: W, b: W) -> W {
    if P::NUMBERS { a.fmax(b) } else { a.max(b) }
}

/// What is folded before.
#[inline(always)]
unsafe fn known(planes: &[*mut u8; PLANES], i: usize) -> (f64, f64, i64) {
    // SAFETY: the caller's: accumulators `i` of the three planes.
    unsafe {
        let at = (planes[M2].cast::<f64>(), planes[MEAN].cast::<f64>(), planes[N].cast::<i64>());
        (at.0.add(i).read(), at.1.add(i).read(), at.2.add(i).read())
    }
}

/// Replaces what [`known`] reads.
#[inline(always)]
unsafe fn set(planes: &[*mut u8; PLANES], i: usize, to: (f64, f64, i64)) {
    // SAFETY: as of `known`.
    unsafe {
        planes[M2].cast::<f64>().add(i).write(to.0);
        planes[MEAN].cast::<f64>().add(i).write(to.1);
        planes[N].cast::<i64>().add(i).write(to.2);
    }
}

/// Accumulators that are there, of elements `T`.
#[inline(always)]
unsafe fn update<T: Copy>(plane: *mut u8, count: usize, f: impl Fn(usize, T) -> T) {
    if !plane.is_null() {
        for i in 0..count {
            // SAFETY: the caller's: `count` accumulators.
            unsafe {
                let at = plane.cast::<T>().add(i);
                at.write(f(i, at.read()));
            }
        }
    }
}

/// All planes; those that are left out are null.
#[inline(always)]
fn all_of<T: Copy>(planes: &[T], none: T) -> [T; PLANES] {
    each(|p| planes.get(p).copied().unwrap_or(none))
}

/// The first element that counts of `n` that lie `step` bytes apart; 0 if there is none.
#[inline(always)]
unsafe fn first<X: Lane<Wide: Wide>, P: Parts>(x: *const u8, step: isize, n: usize) -> f64 {
    for k in 0..n as isize {
        // SAFETY: the caller's: `n` elements at that step.
        let v = unsafe { x.offset(k * step).cast::<X>().read() }.widen();
        if !P::NUMBERS || !v.is_nan() {
            return v.into();
        }
    }
    0.0
}

impl<X: Lane<Wide: Wide>, P: Parts> RowsLoop for Statistics<X, P> {
    #[inline(always)]
    unsafe fn run<L: Level>(
        x: *const u8,
        panel: Panel,
        planes: &[*mut u8],
        plane_strides: &[isize],
        _: Place,
    ) {
        if panel.cols == 0 {
            return;
        }
        let (planes, strides) = (all_of(planes, std::ptr::null_mut()), all_of(plane_strides, 0));
        for r in 0..panel.rows as isize {
            // SAFETY: row `r` has `cols` elements, and accumulator `r` exists.
            unsafe {
                let to = each(|p| planes[p].wrapping_offset(r * strides[p]));
                let (row, n) = (x.offset(r * panel.row_stride), panel.cols);
                match L::ISA {
                    // the same tree, without the lanes that nothing goes into
                    _ if n < SHORT => fold_row::<L, X, P, SHORT, 1, SHORT>(row, n, &to),
                    Isa::Avx512 => fold_row::<L, X, P, LANES, 1, LANES>(row, n, &to),
                    _ => fold_row::<L, X, P, 8, 4, LANES>(row, n, &to),
                }
            }
        }
    }
}

/// Folds a row into accumulators: element `c` into lane `c % ALL`, then the lanes by halves. They are done in G groups of C.
#[inline(always)]
unsafe fn fold_row<
    L: Level,
    X: Lane<Wide: Wide>,
    P: Parts,
    const C: usize,
    const G: usize,
    const ALL: usize,
>(
    row: *const u8,
    n: usize,
    planes: &[*mut u8; PLANES],
) {
    let size = size_of::<X>();
    // SAFETY: the caller's: `n` readable elements, and an accumulator in each plane that is not null.
    unsafe {
        let before = if P::MOMENTS { known(planes, 0) } else { Default::default() };
        let shift = match before.2 {
            0 if P::MOMENTS => first::<X, P>(row, size as isize, n),
            _ => X::Wide::rounded(before.1),
        };
        // sums of a tile of f32, and multiples of the shift, are as good as exact in f64
        let exact = size_of::<X::Wide>() == 4;
        let (whole, left) = (n / ALL, n % ALL);
        let mut rest = [X::default(); ALL];
        std::ptr::copy_nonoverlapping(row.cast::<X>().add(whole * ALL), rest.as_mut_ptr(), left);
        let mut lanes = [Lanes::<X::Wide, C>::empty(); G];
        let groups = (row, (ALL * size) as isize, whole);
        walk::<L, X, P, C, G>(&mut lanes, (&[shift; C], !exact), groups, (rest.as_ptr(), left));
        // in memory, lanes are seen to be vectors, whatever is done with them below
        let lanes = std::hint::black_box(lanes);
        let add = |a: f64, b: f64| a + b;
        let count = if P::NUMBERS {
            halve(each::<_, ALL>(|i| lanes[i / C].count[i % C]), |a, b| a + b)
        } else {
            n as u32
        };
        let sum = halve(each::<_, ALL>(|i| lanes[i / C].sum[i % C]), add);
        if P::SUM {
            update::<f64>(planes[SUM], 1, |_, a| a + sum);
        }
        if P::NUMBERS {
            update::<i64>(planes[COUNT], 1, |_, a| a + i64::from(count));
        }
        if P::MOMENTS {
            let off = match exact {
                true => sum - f64::from(count) * shift,
                false => halve(each::<_, ALL>(|i| lanes[i / C].off[i % C]), add),
            };
            let squares = halve(each::<_, ALL>(|i| lanes[i / C].squares[i % C]), add);
            set(planes, 0, moments(before, shift, off, squares, count));
        }
        if P::EXTREMA && count > 0 {
            let min = halve(each::<_, ALL>(|i| lanes[i / C].min[i % C]), least::<X::Wide, P>);
            let max = halve(each::<_, ALL>(|i| lanes[i / C].max[i % C]), most::<X::Wide, P>);
            update::<X>(planes[MIN], 1, |_, a| X::narrow(least::<X::Wide, P>(a.widen(), min)));
            update::<X>(planes[MAX], 1, |_, a| X::narrow(most::<X::Wide, P>(a.widen(), max)));
        }
    }
}

impl<X: Lane<Wide: Wide>, P: Parts> ColsLoop for Statistics<X, P> {
    #[inline(always)]
    unsafe fn run<L: Level>(x: *const u8, panel: Panel, planes: &[*mut u8], _: Place) {
        let mut c = 0;
        // SAFETY: columns `c .. c + C` exist, and so do their accumulators.
        unsafe {
            if matches!(L::ISA, Isa::Avx512) {
                while c + 32 <= panel.cols {
                    columns::<L, X, P, 32>(x, panel, planes, c);
                    c += 32;
                }
            }
            while c + 8 <= panel.cols {
                columns::<L, X, P, 8>(x, panel, planes, c);
                c += 8;
            }
            while c < panel.cols {
                columns::<L, X, P, 1>(x, panel, planes, c);
                c += 1;
            }
        }
    }
}

/// Folds C columns from column `c`.
#[inline(always)]
unsafe fn columns<L: Level, X: Lane<Wide: Wide>, P: Parts, const C: usize>(
    x: *const u8,
    panel: Panel,
    planes: &[*mut u8],
    c: usize,
) {
    if panel.rows == 0 {
        return;
    }
    // SAFETY: the caller's: the columns and their accumulators exist.
    unsafe {
        let planes: [*mut u8; PLANES] = each(|p| match planes.get(p) {
            Some(plane) if !plane.is_null() => plane.add(c * if p < MIN { 8 } else { size_of::<X>() }),
            _ => std::ptr::null_mut(),
        });
        let x = x.add(c * size_of::<X>());
        let mut lanes = [Lanes::<X::Wide, C>::empty()];
        let mut shift = [0.0; C];
        if P::MOMENTS {
            let top = X::load::<L, C>(x.cast());
            shift = each(|i| {
                let (_, mean, n) = known(&planes, i);
                if n > 0 { X::Wide::rounded(mean) } else { top[i].into() }
            });
            if P::NUMBERS && shift.iter().any(|s| s.is_nan()) {
                for (i, s) in shift.iter_mut().enumerate().filter(|(_, s)| s.is_nan()) {
                    if known(&planes, i).2 == 0 {
                        *s = first::<X, P>(x.add(i * size_of::<X>()), panel.row_stride, panel.rows);
                    }
                }
            }
        }
        if P::SUM && !planes[SUM].is_null() {
            lanes[0].sum = planes[SUM].cast::<[f64; C]>().read();
        }
        walk::<L, X, P, C, 1>(
            &mut lanes,
            (&shift, true),
            (x, panel.row_stride, panel.rows),
            (std::ptr::null(), 0),
        );
        let [lanes] = lanes;
        if P::SUM {
            update::<f64>(planes[SUM], C, |i, _| lanes.sum[i]);
        }
        if P::NUMBERS {
            update::<i64>(planes[COUNT], C, |i, a| a + i64::from(lanes.count[i]));
        }
        if P::MOMENTS {
            for (i, shift) in shift.into_iter().enumerate() {
                let count = if P::NUMBERS { lanes.count[i] } else { panel.rows as u32 };
                let after = moments(known(&planes, i), shift, lanes.off[i], lanes.squares[i], count);
                set(&planes, i, after);
            }
        }
        if P::EXTREMA {
            let any = |i: usize| !P::NUMBERS || lanes.count[i] > 0;
            update::<X>(planes[MIN], C, |i, a| {
                if any(i) { X::narrow(least::<X::Wide, P>(a.widen(), lanes.min[i])) } else { a }
            });
            update::<X>(planes[MAX], C, |i, a| {
                if any(i) { X::narrow(most::<X::Wide, P>(a.widen(), lanes.max[i])) } else { a }
            });
        }
    }
}

impl<X: Lane<Wide: Wide>, P: Parts> Fold for Statistics<X, P> {
    /// Of moments alone.
    unsafe fn merge(into: &[*mut u8; 3], from: &[*mut u8; 3], n: usize) {
        let none = std::ptr::null_mut();
        let (into, from) = (all_of(into, none), all_of(from, none));
        for i in 0..n {
            // SAFETY: the caller's: `n` accumulators each.
            unsafe { set(&into, i, chan(known(&into, i), known(&from, i))) };
        }
    }
}
