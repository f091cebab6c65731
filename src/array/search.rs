//! Places of values in sorted lists, and membership: `searchsorted`, `digitize`, `isin`.

use super::Array;
use crate::block::Block;
use crate::dtype::{Element, Scalar, for_dtype, promote};
use crate::error::{Error, Result};
use crate::expr::{Expr, MapBlocks};
use crate::shape::{AxisMap, Dims, Grid, IndexMap};
use std::panic::Location;

/// A short list of values: a 1-d array, a slice or a vector.
///
/// The whole list is in memory once per task.
pub trait IntoValues {
    /// The list as an array.
    fn into_values(self) -> Array;
}

impl IntoValues for Array {
    fn into_values(self) -> Array {
        self
    }
}

impl IntoValues for &Array {
    fn into_values(self) -> Array {
        self.clone()
    }
}

impl<T: Element> IntoValues for Vec<T> {
    fn into_values(self) -> Array {
        Array::from_vec(self)
    }
}

impl<T: Element> IntoValues for &[T] {
    fn into_values(self) -> Array {
        Array::from_vec(self.to_vec())
    }
}

impl<T: Element, const N: usize> IntoValues for [T; N] {
    fn into_values(self) -> Array {
        Array::from_vec(self.to_vec())
    }
}

/// On which side of equal values a new one goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Before them.
    Left,
    /// After them.
    Right,
}

impl Array {
    /// For each of `values`, the index in this sorted 1-d array before which it would have to go to keep the order; i64, of the shape
    /// of `values`.
    ///
    /// Both are compared in their common dtype; NaN is larger than any number. The array must be sorted (nobody checks). Costs a binary
    /// search per value; the sorted array is in memory whole once per task.
    ///
    /// # Errors
    /// If this array is not 1-d.
    ///
    /// ```
    /// use blockwise::array::Side;
    /// use blockwise::prelude::*;
    /// let sorted = Array::from_vec(vec![1.0f32, 2.0, 2.0, 5.0]);
    /// let v = Array::from_vec(vec![2.0f32, 0.0, f32::NAN]);
    /// assert_eq!(sorted.searchsorted(&v, Side::Left).compute()?.as_slice::<i64>()?, [1, 0, 4]);
    /// assert_eq!(sorted.searchsorted(&v, Side::Right).compute()?.as_slice::<i64>()?, [3, 0, 4]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: &Array, side: Side) -> Array {
        beside_list(
            "searchsorted",
            values,
            self.clone(),
            Scalar::from(0i64),
            move |x, list| for_dtype!(x.dtype(), T => places(x, list.as_slice::<T>()?, side, |i| i)),
        )
    }

    /// The number of the bin that each element falls into, as NumPy's `digitize`; i64.
    ///
    /// Bins are a monotonic list of edges. For increasing edges an element of bin `i` has `bins[i-1] <= x < bins[i]`, with `right`
    /// `bins[i-1] < x <= bins[i]`; for decreasing edges `bins[i-1] > x >= bins[i]`, with `right` `bins[i-1] >= x > bins[i]`.
    /// What lies outside has 0 or `bins.len()`; NaN is larger than any number. Costs a binary search per element.
    ///
    /// # Errors
    /// If the bins are not 1-d; when computed, if they are not monotonic.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![0.2f64, 6.4, 3.0, 1.6]);
    /// assert_eq!(x.digitize([0.0, 1.0, 2.5, 4.0, 10.0], false).compute()?.as_slice::<i64>()?, [1, 4, 3, 2]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn digitize(&self, bins: impl IntoValues, right: bool) -> Array {
        let side = if right { Side::Left } else { Side::Right };
        beside_list("digitize", self, bins.into_values(), Scalar::from(0i64), move |x, bins| {
            for_dtype!(x.dtype(), T => {
                let bins = bins.as_slice::<T>()?;
                if bins.is_sorted_by(|a, b| !before(b, a)) {
                    places(x, bins, side, |i| i)
                } else if bins.is_sorted_by(|a, b| !before(a, b)) {
                    let up: Vec<T> = bins.iter().rev().copied().collect();
                    places(x, &up, side, |i| bins.len() - i)
                } else {
                    Err(Error::invalid("digitize", "the bins neither increase nor decrease throughout"))
                }
            })
        })
    }

    /// Whether each element is one of some values, or with `invert` none of them; bool.
    ///
    /// Both are compared in their common dtype; NaN equals nothing. The values are sorted once per block; then each element costs a binary
    /// search.
    ///
    /// # Errors
    /// If the values are not 1-d.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let classes = Array::from_vec(vec![3u8, 8, 9, 3, 11]);
    /// assert_eq!(classes.isin([3u8, 9], false).compute()?.as_slice::<bool>()?, [true, false, true, true, false]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn isin(&self, values: impl IntoValues, invert: bool) -> Array {
        beside_list("isin", self, values.into_values(), Scalar::from(invert), move |x, list| {
            for_dtype!(x.dtype(), T => {
                let mut sorted = list.as_slice::<T>()?.to_vec();
                sorted.retain(|v| v.partial_cmp(v).is_some());
                sorted.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
                let held = |v: &T| sorted.get(sorted.partition_point(|s| s < v)).is_some_and(|s| s == v);
                Ok(Block::from_array(x.view::<T>()?.map(|v| held(v) != invert)))
            })
        })
    }
}

/// Whether `a` goes before `b` in NumPy's order, in which NaN is last.
fn before<T: PartialOrd>(a: &T, b: &T) -> bool {
    a < b || b.partial_cmp(b).is_none() && a.partial_cmp(a).is_some()
}

/// The places of a block's elements in a sorted list, each changed by a function.
fn places<T: Element + PartialOrd>(
    x: &Block,
    sorted: &[T],
    side: Side,
    change: impl Fn(usize) -> usize,
) -> Result<Block> {
    let place = |v: &T| match side {
        Side::Left => sorted.partition_point(|s| before(s, v)),
        Side::Right => sorted.partition_point(|s| !before(v, s)),
    };
    Ok(Block::from_array(x.view::<T>()?.map(|v| change(place(v)) as i64)))
}

/// Every block of `x` through a function of it and of a whole list, both in their common dtype. The result is of the dtype of
/// `nothing`, which is its value everywhere if the list is empty.
#[track_caller]
fn beside_list(
    op: &'static str,
    x: &Array,
    list: Array,
    nothing: Scalar,
    f: impl Fn(&Block, &Block) -> Result<Block> + Send + Sync + 'static,
) -> Array {
    let at = Location::caller();
    x.map(|x| {
        let list = list.expr?;
        if list.ndim() != 1 {
            let message = format!("the list has {} axes; it must have one", list.ndim());
            return Err(Error::invalid(op, message));
        }
        if list.is_empty() {
            return Expr::constant(nothing, x.grid().clone());
        }
        // the list as one block along the last axis, which blocks at any index share
        let (rank, d) = (x.ndim().max(1), promote(x.dtype(), list.dtype()));
        let mut shape = Dims::from_elem(1, rank);
        shape[rank - 1] = list.len();
        let along = AxisMap { from: Some(rank as u8 - 1), start: 0, step: 1 };
        let list = list.cast(d)?.view(IndexMap::new([along]), &shape)?.rechunk(Grid::single(&shape))?;
        let is_scalar = x.ndim() == 0;
        let x = if is_scalar { x.broadcast_to(&[1])? } else { x }.cast(d)?;
        let grid = x.grid().clone();
        let function =
            MapBlocks::new(op, rank, at, move |_, blocks| f(&blocks[0], &blocks[1].to_contiguous()));
        let function = MapBlocks { scratch: 1, ..function };
        let out = Expr::map_blocks(function, vec![x, list], nothing.dtype(), grid)?;
        let fixed = AxisMap { from: None, start: 0, step: 0 };
        if is_scalar { out.view(IndexMap::new([fixed]), &[]) } else { Ok(out) }
    })
}
