//! Shape and assembly: views, reshapes, concatenation, margins.

use super::operators::common_dtype;
use super::reduce::resolve_axis;
use super::{Array, IntoArray, Operand};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, PadMode};
use crate::shape::{AxisChunks, AxisMap, Dims, Grid, IndexMap};
use std::panic::Location;
use std::sync::Arc;

const fn walk(from: usize, start: isize, step: isize) -> AxisMap {
    AxisMap { from: Some(from as u8), start, step }
}

impl Array {
    /// The same elements in C order under another shape; one length may be -1.
    ///
    /// # Errors
    /// If the number of elements differs.
    #[track_caller]
    pub fn reshape(&self, shape: &[isize]) -> Array {
        self.map(|e| {
            let known: usize = shape.iter().filter(|&&n| n >= 0).map(|&n| n as usize).product();
            let free = shape.iter().filter(|&&n| n == -1).count();
            let mismatch = || -> Error {
                let message = format!("{:?} has {} elements and cannot become {shape:?}", e.shape(), e.len());
                Error::invalid("reshape", message)
            };
            if shape.iter().any(|&n| n < -1)
                || free > 1
                || (free == 1 && (known == 0 || e.len() % known != 0))
            {
                return Err(mismatch());
            }
            let fill = if free == 1 { e.len() / known } else { 0 };
            let shape: Dims = shape.iter().map(|&n| if n == -1 { fill } else { n as usize }).collect();
            if shape.iter().product::<usize>() != e.len() {
                return Err(mismatch());
            }
            // blocks of automatic chunks are runs of the C order
            let grid = Grid::auto(&shape, e.dtype().size());
            e.reshape(&shape, grid)
        })
        .without_geometry()
    }

    /// All elements in C order, as one axis.
    #[track_caller]
    pub fn ravel(&self) -> Array {
        self.reshape(&[self.size() as isize])
    }

    /// The axes in another order; without `axes`, reversed.
    ///
    /// # Errors
    /// If `axes` is not a permutation.
    #[track_caller]
    pub fn transpose(&self, axes: Option<&[isize]>) -> Array {
        self.view_as(|shape| {
            let n = shape.len();
            let order: Vec<usize> = match axes {
                None => (0..n).rev().collect(),
                Some(axes) => axes.iter().map(|&a| resolve_axis("transpose", a, n)).collect::<Result<_>>()?,
            };
            permuted(shape, &order)
        })
    }

    /// The transpose: axes reversed.
    #[track_caller]
    pub fn t(&self) -> Array {
        self.transpose(None)
    }

    /// Two axes exchanged.
    #[track_caller]
    pub fn swapaxes(&self, a: isize, b: isize) -> Array {
        self.view_as(|shape| {
            let n = shape.len();
            let (a, b) = (resolve_axis("swapaxes", a, n)?, resolve_axis("swapaxes", b, n)?);
            let mut order: Vec<usize> = (0..n).collect();
            order.swap(a, b);
            permuted(shape, &order)
        })
    }

    /// An axis moved to another place.
    #[track_caller]
    pub fn moveaxis(&self, from: isize, to: isize) -> Array {
        self.view_as(|shape| {
            let n = shape.len();
            let (from, to) = (resolve_axis("moveaxis", from, n)?, resolve_axis("moveaxis", to, n)?);
            let mut order: Vec<usize> = (0..n).filter(|&k| k != from).collect();
            order.insert(to, from);
            permuted(shape, &order)
        })
    }

    /// A new axis of length 1 at a place of the result.
    #[track_caller]
    pub fn expand_dims(&self, axis: isize) -> Array {
        self.view_as(|shape| {
            let at = resolve_axis("expand_dims", axis, shape.len() + 1)?;
            let mut out = Dims::from_slice(shape);
            out.insert(at, 1);
            let axes = (0..shape.len()).map(|k| walk(k + usize::from(k >= at), 0, 1));
            Ok((IndexMap::new(axes), out))
        })
    }

    /// Without axes of length 1: all of them, or one.
    ///
    /// # Errors
    /// If the named axis is longer.
    #[track_caller]
    pub fn squeeze(&self, axis: Option<isize>) -> Array {
        self.view_as(|shape| {
            let drop: Vec<usize> = match axis {
                None => (0..shape.len()).filter(|&k| shape[k] == 1).collect(),
                Some(a) => vec![resolve_axis("squeeze", a, shape.len())?],
            };
            if let Some(&k) = drop.iter().find(|&&k| shape[k] != 1) {
                let message = format!("axis {k} of {shape:?} has length {}", shape[k]);
                return Err(Error::invalid("squeeze", message));
            }
            let mut out = Dims::new();
            let axes = (0..shape.len()).map(|k| {
                if drop.contains(&k) {
                    return AxisMap { from: None, start: 0, step: 0 };
                }
                out.push(shape[k]);
                walk(out.len() - 1, 0, 1)
            });
            let map = IndexMap::new(axes.collect::<Vec<_>>());
            Ok((map, out))
        })
    }

    /// The array repeated along missing axes and axes of length 1, by NumPy's rules; nothing is copied.
    ///
    /// # Errors
    /// If an axis is neither equal nor 1.
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Array {
        let out = self.map(|e| e.broadcast_to(shape));
        if shape.len() == self.ndim() { out } else { out.without_geometry() }
    }

    /// One axis, or all without `axis`, in reverse order.
    #[track_caller]
    pub fn flip(&self, axis: Option<isize>) -> Array {
        self.view_as(|shape| {
            let flipped = axis.map(|a| resolve_axis("flip", a, shape.len())).transpose()?;
            let axes = (0..shape.len()).map(|k| match flipped.is_none_or(|f| f == k) && shape[k] > 0 {
                true => walk(k, shape[k] as isize - 1, -1),
                false => walk(k, 0, 1),
            });
            Ok((IndexMap::new(axes), shape.into()))
        })
    }

    /// The elements moved along an axis, those that leave one end coming in at the other.
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Array {
        let at = Location::caller();
        let k = match self.expr().and_then(|e| resolve_axis("roll", axis, e.ndim())) {
            Ok(k) => k,
            Err(e) => return Array::failed(e, at),
        };
        let n = self.shape()[k] as isize;
        if n == 0 || shift.rem_euclid(n) == 0 {
            return self.clone();
        }
        let cut = n - shift.rem_euclid(n);
        let part = |start: isize, len: isize| {
            self.view_as(|shape| {
                let mut out = Dims::from_slice(shape);
                out[k] = len as usize;
                Ok((IndexMap::new((0..shape.len()).map(|j| walk(j, if j == k { start } else { 0 }, 1))), out))
            })
        };
        let mut rolled = concatenate(&[part(cut, n - cut), part(0, cut)], k as isize);
        rolled.meta = self.meta.clone();
        rolled
    }

    /// A margin on every axis: `widths` are (before, after) pairs, one per axis or one for all.
    ///
    /// # Errors
    /// If there is another number of pairs, or an empty axis has no edge to repeat.
    #[track_caller]
    pub fn pad(&self, widths: &[(usize, usize)], mode: PadMode) -> Array {
        let mut padded = self.map(|e| {
            let n = e.ndim();
            if widths.len() != n && widths.len() != 1 {
                let message = format!("{} pairs of widths for an array of {n} axes", widths.len());
                return Err(Error::invalid("pad", message));
            }
            let side = |f: fn(&(usize, usize)) -> usize| -> Vec<usize> {
                (0..n).map(|k| f(&widths[k.min(widths.len() - 1)])).collect()
            };
            e.pad(&side(|w| w.0), &side(|w| w.1), mode)
        });
        if let Some(g) = &self.meta.georef {
            // the first pixel is now the margin's
            let n = self.ndim();
            let before =
                |k: usize| widths.get(k.min(widths.len().saturating_sub(1))).map_or(0, |w| w.0) as f64;
            let mut moved = g.clone();
            let (x, y) = g.coordinates(-before(n.saturating_sub(1)), -before(n.saturating_sub(2)));
            (moved.transform[0], moved.transform[3]) = (x, y);
            Arc::make_mut(&mut padded.meta).georef = Some(moved);
        }
        padded
    }

    /// Each element of an axis `n` times in a row.
    #[track_caller]
    pub fn repeat(&self, n: usize, axis: isize) -> Array {
        self.map(|e| {
            let k = resolve_axis("repeat", axis, e.ndim())?;
            let places = (0..e.shape()[k]).flat_map(|i| std::iter::repeat_n(i, n)).collect();
            e.take(k, places)
        })
        .without_geometry()
    }

    /// The array `reps[k]` times along each axis `k`; missing leading counts are 1.
    #[track_caller]
    pub fn tile(&self, reps: &[usize]) -> Array {
        let at = Location::caller();
        let mut out = self.clone();
        while out.expr.is_ok() && out.ndim() < reps.len() {
            out = out.expand_dims(0);
        }
        let lead = out.ndim().saturating_sub(reps.len());
        for (k, &n) in reps.iter().enumerate() {
            let axis = (lead + k) as isize;
            if n == 0 {
                let mut shape = Dims::from_slice(out.shape());
                shape[lead + k] = 0;
                out = out.view_as(|s| Ok((IndexMap::identity(s.len()), shape)));
            } else if n > 1 {
                out = concatenate(&vec![out; n], axis);
            }
        }
        match out.expr {
            Err(e) => Array::failed(e, at),
            Ok(_) => out.without_geometry(),
        }
    }

    /// Diagonal `k` of the last two axes, as a view: the last axis of the result.
    ///
    /// # Errors
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn diagonal(&self, k: isize) -> Array {
        self.view_as(|shape| {
            let n = shape.len();
            let Some(lead) = n.checked_sub(2) else {
                return Err(ErrorKind::Axis { op: "diagonal", axis: -2, ndim: n }.into());
            };
            let (row, col) = ((-k).max(0), k.max(0));
            let (rows, cols) = (shape[lead] as isize - row, shape[lead + 1] as isize - col);
            let mut out = Dims::from_slice(&shape[..lead]);
            out.push(rows.min(cols).max(0) as usize);
            let axes = (0..lead).map(|j| walk(j, 0, 1)).chain([walk(lead, row, 1), walk(lead, col, 1)]);
            Ok((IndexMap::new(axes), out))
        })
    }
}

fn permuted(shape: &[usize], order: &[usize]) -> Result<(IndexMap, Dims)> {
    let n = shape.len();
    let place = |k: usize| order.iter().position(|&o| o == k);
    let places: Option<Vec<usize>> = (0..n).map(place).collect();
    let Some(places) = places.filter(|_| order.len() == n) else {
        return Err(Error::invalid("transpose", format!("{order:?} is no permutation of {n} axes")));
    };
    Ok((IndexMap::new(places.into_iter().map(|p| walk(p, 0, 1))), order.iter().map(|&k| shape[k]).collect()))
}

/// Arrays one after another along an axis, promoted to one dtype.
///
/// # Errors
/// No array, or shapes that differ in another axis.
#[track_caller]
pub fn concatenate(arrays: &[Array], axis: isize) -> Array {
    let at = Location::caller();
    let joined = || -> Result<Expr> {
        let operands: Vec<Operand> = arrays.iter().map(IntoArray::into_operand).collect();
        let d = common_dtype(&operands);
        let parts = arrays.iter().map(|a| a.expr()?.clone().cast(d)).collect::<Result<Vec<_>>>()?;
        let ndim = parts.first().map_or(1, Expr::ndim);
        Expr::concat(resolve_axis("concatenate", axis, ndim)?, parts)
    };
    let meta = arrays.first().map(|a| a.meta.clone()).unwrap_or_default();
    let out = Array { expr: joined().map_err(|e| e.at(at)), meta };
    let k = if axis < 0 { axis + out.ndim() as isize } else { axis };
    // rows appended below or columns to the right keep the origin; a list of bands is no longer right
    if out.ndim() == 3 && k == 0 { out.with_bands(vec![]) } else { out }
}

/// Arrays of one shape along a new axis.
///
/// # Errors
/// No array, or shapes that differ.
#[track_caller]
pub fn stack(arrays: &[Array], axis: isize) -> Array {
    let at = Location::caller();
    if let Some(other) = arrays.iter().find(|a| a.shape() != arrays[0].shape()) {
        let e = ErrorKind::ShapeMismatch {
            op: "stack",
            left: arrays[0].shape().to_vec(),
            right: other.shape().to_vec(),
            hint: "; all arrays must have one shape",
        };
        return Array::failed(other.expr.clone().err().unwrap_or_else(|| e.into()), at);
    }
    let mut wide = Vec::with_capacity(arrays.len());
    for a in arrays {
        wide.push(a.expand_dims(axis)); // not in a closure, whose caller would be here
    }
    concatenate(&wide, axis)
}

impl Array {
    fn with_bands(mut self, bands: Vec<Arc<str>>) -> Array {
        Arc::make_mut(&mut self.meta).bands = bands;
        self
    }
}

impl AxisChunks {
    /// Chunks of these lengths, none of them zero, kept one by one.
    pub(crate) fn boundaries(lengths: impl Iterator<Item = usize>) -> AxisChunks {
        AxisChunks::explicit(&lengths.collect::<Vec<_>>())
    }
}
