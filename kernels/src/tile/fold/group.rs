//! Folds by group: every element goes into the accumulator that its slot names.
//!
//! Elements are folded one after the other, so the bits of a result depend on their order alone. The loop is bound by the cache that holds
//! the accumulators, not by arithmetic: so those of a group, of all its folds, are side by side.

use super::super::lanes::Lane;
use super::Fold;
use super::plain::{Plain, Step};
use super::statistics::{Parts, Statistics, Wide};
use crate::naive::fold::chan;

/// Accumulators of slots: records of one size, each with an element of every plane.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// The elements of slot 0; null for planes that there are not.
    pub planes: [*mut u8; 3],
    /// Bytes from a slot's elements to the next one's.
    pub stride: usize,
}

impl Records {
    /// The elements of a slot.
    #[inline(always)]
    pub fn at(&self, slot: u32) -> [*mut u8; 3] {
        self.planes.map(|p| p.wrapping_add(slot as usize * self.stride))
    }
}

/// Folds element `i` of `n` into the record `slots[i]`, where `mask[i]` is true; a null mask is true everywhere.
pub type FoldGroups =
    unsafe fn(x: *const u8, slots: *const u32, mask: *const u8, n: usize, records: &Records);

/// Folds record `from_slots[i]` of `from` into record `into_slots[i]` of `into`, for `i` in `0..n`.
pub type MergeGroups =
    unsafe fn(into: &Records, into_slots: *const u32, from: &Records, from_slots: *const u32, n: usize);

/// A [`MergeGroups`].
pub(super) unsafe fn merge_groups<F: Fold>(
    into: &Records,
    into_slots: *const u32,
    from: &Records,
    from_slots: *const u32,
    n: usize,
) {
    for i in 0..n {
        // SAFETY: the caller's: a record for every slot.
        unsafe { F::merge(&into.at(into_slots.add(i).read()), &from.at(from_slots.add(i).read()), 1) };
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
    const FOLD: Option<FoldGroups> = Some(|x, slots, mask, n, records| {
        let (x, acc, stride) = (x.cast::<X>(), records.planes[0], records.stride);
        // SAFETY: the caller's: `n` elements, and a record for every slot.
        unsafe {
            each(slots, mask, n, |i, slot| {
                let at = acc.add(slot * stride).cast::<O::Plane>();
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
    records: &Records,
) {
    let x = x.cast::<X>();
    // SAFETY: the caller's: `n` elements, and a record for every slot.
    unsafe {
        each(slots, mask, n, |i, slot| {
            let v: f64 = x.add(i).read().widen().into();
            if P::NUMBERS && v.is_nan() {
                return;
            }
            // one number deviates by 0 from its mean; infinities and NaN by NaN
            let one = (if v.is_finite() { 0.0 } else { f64::NAN }, v, 1);
            let at = records.at(slot as u32);
            let (m2, mean, count) = (at[0].cast::<f64>(), at[1].cast::<f64>(), at[2].cast::<i64>());
            let merged = chan((m2.read(), mean.read(), count.read()), one);
            m2.write(merged.0);
            mean.write(merged.1);
            count.write(merged.2);
        });
    }
}
