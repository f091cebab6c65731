//! Assignment by index or mask, as new arrays.

use super::operators::IntoArray;
use super::{Array, Ix, Operand, where_};
use crate::dtype::DType;
use crate::error::Result;
use crate::shape::{AxisMap, Dims, IndexMap};
use std::panic::Location;

impl Array {
    /// This array with `value` in the places of an index: NumPy's `x[index] = value`, as a new array.
    ///
    /// The value broadcasts to the shape of `x.index(index)` and is converted to this array's dtype. Lazy: elements are
    /// chosen by their index when blocks are computed.
    ///
    /// # Errors
    /// As [`Array::index`]; a value that does not broadcast, or a number that the dtype cannot hold.
    ///
    /// ```
    /// use blockwise::{ix, prelude::*};
    /// let x = Array::zeros(&[2, 4], I32);
    /// let y = x.assign(ix![1, Ix::Slice(None, None, -2)], &Array::from_vec(vec![7i32, 8]));
    /// assert_eq!(y.compute()?.as_slice::<i32>()?, [0, 0, 0, 0, 0, 8, 0, 7]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn assign(&self, index: &[Ix], value: impl IntoArray) -> Array {
        let at = Location::caller();
        self.try_assign(index, value.into_operand()).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_assign(&self, index: &[Ix], operand: Operand) -> Result<Array> {
        let shape = Dims::from_slice(self.expr()?.shape());
        // the numbers of the places, seen through the index: which map it is, and the shape that the value must fit
        let (map, seen) = super::index::index_map(index, &shape)?;
        let value = match operand {
            Operand::Number(n) => {
                // as in `x + n`: what the dtype cannot hold is refused
                let fits = Array::zeros(&[], self.dtype()).clip_number(n)?;
                fits.broadcast_to(&seen)
            }
            Operand::Array(a) => a.cast(self.dtype()).broadcast_to(&seen),
        };
        value.expr()?;
        if seen.contains(&0) {
            return Ok(self.clone());
        }
        let (mask, spread) = spread(&map, &seen, &shape, &value);
        let out = where_(mask, spread, self);
        Ok(Array { expr: out.expr, meta: self.meta.clone() })
    }

    /// This array with `value` where a mask is true: NumPy's `x[mask] = value` for a value that broadcasts to the array.
    ///
    /// # Errors
    /// If the mask or the value does not broadcast to the array, or the dtype cannot hold a number.
    #[track_caller]
    pub fn assign_where(&self, mask: &Array, value: impl IntoArray) -> Array {
        let at = Location::caller();
        self.try_assign_where(mask, value.into_operand()).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_assign_where(&self, mask: &Array, operand: Operand) -> Result<Array> {
        let shape = self.expr()?.shape();
        let value = match operand {
            Operand::Number(n) => Array::zeros(&[], self.dtype()).clip_number(n)?,
            Operand::Array(a) => a.cast(self.dtype()),
        };
        let out = where_(mask.broadcast_to(shape), value.broadcast_to(shape), self);
        Ok(Array { expr: Ok(out.expr()?.clone()), meta: self.meta.clone() })
    }

    /// A 0-d array of a number in this array's dtype, which must hold it; a float is cut to an integer as a cast does.
    #[track_caller]
    fn clip_number(&self, n: crate::dtype::Scalar) -> Result<Array> {
        let d = self.dtype();
        if n.dtype().is_float() || d == DType::Bool {
            return Ok(Array::scalar(n.cast(d)));
        }
        let expr = Operand::Number(n).into_expr("assign", d)?;
        Ok(Array::from_expr(Ok(expr), std::sync::Arc::default()))
    }
}

/// The mask of the places that a view shows, and the view's values at these places of an array of the source's shape.
fn spread(map: &IndexMap, seen: &[usize], shape: &[usize], value: &Array) -> (Array, Array) {
    let ndim = shape.len();
    let mut mask = Array::scalar(true).broadcast_to(shape);
    // the value with one axis per source axis: fixed axes have length 1, new axes (of length 1) go
    let mut index = vec![Ix::At(0); seen.len()];
    for a in map.axes() {
        if let Some(k) = a.from {
            index[k as usize] = Ix::Slice(None, None, 1);
        }
    }
    let mut values = value.index(&index);
    for (k, AxisMap { from, start, step }) in map.axes().iter().copied().enumerate() {
        let (count, step) = match from {
            Some(v) => (seen[v as usize], step),
            None => {
                values = values.expand_dims(k as isize);
                (1, 1)
            }
        };
        if count == shape[k] && step == 1 {
            continue;
        }
        let last = start + step * (count as isize - 1);
        let (lo, hi, stride) = (start.min(last), start.max(last), step.unsigned_abs() as i64);
        let mut line = vec![1isize; ndim];
        line[k] = shape[k] as isize;
        let i = Array::arange(0, shape[k] as i64, 1).reshape(&line);
        let mut held = i.ge(lo as i64) & i.le(hi as i64);
        if stride > 1 {
            held = held & ((&i - lo as i64) % stride).equal(0);
        }
        mask = mask & held;
        // elements outside the view get any value of it
        let place = |i: usize| ((i as isize - start) / step).clamp(0, count as isize - 1);
        values = values.take(&(0..shape[k]).map(place).collect::<Vec<_>>(), k as isize);
    }
    (mask, values)
}
