//! Folds by group: every element goes into the accumulator that its slot names.
//!
//! Elements are folded one after the other, so the bits of a result depend on their order alone. A group's accumulators
//! are apart from the next one's in every plane: the loop is bound by the cache that holds them, not by arithmetic.

use super::super::lanes::Lane;
use super::Fold;
use super::plain::{Plain, Step};
use super::statistics::{Parts, Statistics, Wide};
use crate::naive::fold::chan;

/// Folds element `i` of `n` into accumulator `slots[i]`, where `mask[i]` is true; a null mask is true everywhere.
pub type FoldGroups =
    unsafe fn(x: *const u8, slots: *const u32, mask: *const u8, n: usize, planes: &[*mut u8; 3]);

/// Folds accumulator `from_slots[i]` of `from` into accumulator `into_slots[i]` of `into`, for `i` in `0..n`. `sizes` are those of the
/// planes' elements.
pub type MergeGroups = unsafe fn(
    into: &[*mut u8; 3],
    into_slots: *const u32,
    from: &[*mut u8; 3],
    from_slots: *const u32,
    sizes: &[usize; 3],
    n: usize,
);

/// A [`MergeGroups`].
pub(super) unsafe fn merge_groups<F: Fold>(
    into: &[*mut u8; 3],
    into_slots: *const u32,
    from: &[*mut u8; 3],
    from_slots: *const u32,
    sizes: &[usize; 3],
    n: usize,
) {
    let at = |planes: &[*mut u8; 3], slot: u32| {
        std::array::from_fn(|p| planes[p].wrapping_add(slot as usize * sizes[p]))
    };
    for i in 0..n {
        // SAFETY: the caller's: an accumulator for every slot in every plane.
        unsafe { F::merge(&at(into, into_slots.add(i).read()), &at(from, from_slots.add(i).read()), 1) };
    }
}

/// A fold that can be done by group.
pub(super) trait Grouped {
    /// A [`FoldGroups`], if there is one.
    const FOLD: Option<FoldGroups>;
}

/// Calls `push(i, slot)` for every element that counts.
#[inline(always)]
unsafe fn each(slots: *const u32, mask: *const u8, n: usize, mut push: impl FnMut(usize, usize)) {
    // SAFETY: the caller's: `n` slots, and `n` mask bytes unless it is null.
    unsafe {
        if mask.is_null() {
            for i in 0..n {
                push(i, slots.add(i).read() as usize);
            }
        } else {
            for i in 0..n {
                if mask.add(i).read() != 0 {
                    push(i, slots.add(i).read() as usize);
                }
            }
        }
    }
}

impl<X: Lane, O: Step<X>> Grouped for Plain<X, O> {
    const FOLD: Option<FoldGroups> = Some(|x, slots, mask, n, planes| {
        let (x, acc) = (x.cast::<X>(), planes[0].cast::<O::Plane>());
        // SAFETY: the caller's: `n` elements, and an accumulator for every slot.
        unsafe {
            each(slots, mask, n, |i, slot| {
                let at = acc.add(slot);
                at.write(O::store(O::push(O::load(at.read()), x.add(i).read().widen())));
            });
        }
    });
}

/// Moments; several folds of one walk are no fold by group.
impl<X: Lane<Wide: Wide>, P: Parts> Grouped for Statistics<X, P> {
    const FOLD: Option<FoldGroups> =
        if P::MOMENTS && !P::SUM && !P::EXTREMA { Some(moments::<X, P>) } else { None };
}

/// A [`FoldGroups`] of moments.
unsafe fn moments<X: Lane<Wide: Wide>, P: Parts>(
    x: *const u8,
    slots: *const u32,
    mask: *const u8,
    n: usize,
    planes: &[*mut u8; 3],
) {
    let x = x.cast::<X>();
    let (m2, mean, count) = (planes[0].cast::<f64>(), planes[1].cast::<f64>(), planes[2].cast::<i64>());
    // SAFETY: the caller's: `n` elements, and accumulators for every slot.
    unsafe {
        each(slots, mask, n, |i, slot| {
            let v: f64 = x.add(i).read().widen().into();
            if P::NUMBERS && v.is_nan() {
                return;
            }
            // one number deviates by 0 from its mean; infinities and NaN by NaN
            let one = (if v.is_finite() { 0.0 } else { f64::NAN }, v, 1);
            let (m2, mean, count) = (m2.add(slot), mean.add(slot), count.add(slot));
            let merged = chan((m2.read(), mean.read(), count.read()), one);
            m2.write(merged.0);
            mean.write(merged.1);
            count.write(merged.2);
        });
    }
}
