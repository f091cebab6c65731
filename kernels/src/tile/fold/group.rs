//! Folds by group: every element goes into the accumulator that its slot names.
//!
//! Elements are folded one after the other, so the bits of a result depend on their order alone. The loop is bound by the cache that holds
//! the accumulators, not by arithmetic: so those of a group, of all its folds, are side by side.

use super::super::lanes::Lane;
use super::Fold;
use super::plain::{Plain, Step};
use super::statistics::{Parts, Statistics, Wide};

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

/// Folds element `i` of `n` of every `x` into its record `slots[i]`, where `mask[i]` is true; a null mask is true everywhere.
pub type FoldGroups =
    unsafe fn(x: &[*const u8], slots: *const u32, mask: *const u8, n: usize, records: &[Records]);

/// The most values that a [`FoldGroups`] is better at folding together than one after the other.
pub const TOGETHER: usize = 3;

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
        for (x, records) in x.iter().zip(records) {
            let (x, acc, stride) = (x.cast::<X>(), records.planes[0], records.stride);
            // SAFETY: the caller's: `n` elements, and a record for every slot.
            unsafe {
                each(slots, mask, n, |i, slot| {
                    let at = acc.add(slot * stride).cast::<O::Plane>();
                    at.write(O::store(O::push(O::load(at.read()), x.add(i).read().widen())));
                });
            }
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
    x: &[*const u8],
    slots: *const u32,
    mask: *const u8,
    n: usize,
    records: &[Records],
) {
    for (x, records) in x.chunks(TOGETHER).zip(records.chunks(TOGETHER)) {
        // SAFETY: the caller's.
        unsafe {
            match (x, records) {
                (&[a, b, c], &[p, q, r]) => together::<X, P, 3>([a, b, c], slots, mask, n, [p, q, r]),
                (&[a, b], &[p, q]) => together::<X, P, 2>([a, b], slots, mask, n, [p, q]),
                _ => {
                    (x.iter().zip(records)).for_each(|(&x, &r)| together::<X, P, 1>([x], slots, mask, n, [r]))
                }
            }
        }
    }
}

/// Moments of `K` values in one walk. What they cost is a division: groups usually have as many of each, and then it is done once.
unsafe fn together<X: Lane<Wide: Wide>, P: Parts, const K: usize>(
    x: [*const u8; K],
    slots: *const u32,
    mask: *const u8,
    n: usize,
    records: [Records; K],
) {
    // SAFETY: the caller's: `n` elements, and a record for every slot.
    unsafe {
        each(slots, mask, n, |i, slot| {
            let (mut known, mut share) = (0, 1.0);
            for (x, records) in x.iter().zip(&records) {
                let v: f64 = x.cast::<X>().add(i).read().widen().into();
                if P::NUMBERS && v.is_nan() {
                    continue;
                }
                let at = records.at(slot as u32);
                let (m2, mean, count) = (at[0].cast::<f64>(), at[1].cast::<f64>(), at[2].cast::<i64>());
                let before = count.read();
                if before != known {
                    (known, share) = (before, 1.0 / (before + 1) as f64);
                }
                count.write(before + 1);
                // one number deviates by 0 from its mean; infinities and NaN by NaN
                let one = if v.is_finite() { 0.0 } else { f64::NAN };
                // `naive::fold::chan` with a set of one
                if before == 0 {
                    m2.write(one);
                    mean.write(v);
                } else {
                    let delta = v - mean.read();
                    m2.write(m2.read() + one + delta * delta * (before as f64 * share));
                    mean.write(mean.read() + delta * share);
                }
            }
        });
    }
}
