//! [`Array`]: a lazy, chunked, NumPy-like array.
//!
//! One operation family per file; each is a method of [`Array`], and NumPy's names are kept.

mod assemble;
mod assign;
mod blocks;
mod choice;
mod chunks;
mod compute;
mod convert;
mod create;
mod derived;
mod differences;
mod einsum;
mod files;
mod index;
#[cfg(feature = "linalg")]
mod linalg;
mod manipulate;
mod operators;
mod order;
mod parts;
mod places;
mod products;
mod random;
mod ranges;
mod reduce;
mod search;
mod special;
mod statistics;
mod ufunc;
mod windows;

pub use assemble::{dstack, hstack, meshgrid, vstack};
pub use blocks::{BlockMap, over_blocks};
pub use choice::{OutOfRange, select};
pub use chunks::{ChunkSpec, IntoChunks};
pub use compute::{Batch, compute_all, persist_all};
pub use einsum::einsum;
pub use files::open;
pub use index::{IntoIndex, Ix};
pub use manipulate::{concatenate, stack};
pub use operators::{IntoArray, Operand, where_};
pub use places::{broadcast_arrays, ravel_multi_index};
pub use random::Generator;
pub use ranges::{geomspace, linspace, logspace};
pub use reduce::{Axes, IntoAxes, over};
pub use search::{IntoValues, Side};
pub use windows::Coarse;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::meta::Meta;
use crate::shape::Grid;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A lazy, chunked n-dimensional array of one dtype.
///
/// An `Array` is an expression: making one, slicing one, adding two does no work and reads no file. [`Array::compute`] (or a
/// writer) plans the whole expression, fuses what can be fused and streams it block by block inside the session's memory limit. Clones
/// are cheap and share the expression. Operations never panic: a wrong one yields an array that carries its error, with the
/// line of the caller's code, to whatever computes it ([`Array::check`] asks early).
#[derive(Clone)]
pub struct Array {
    expr: Result<Expr>,
    meta: Arc<Meta>,
}

impl Array {
    /// An array of an expression, or the error that making it met.
    pub fn from_expr(expr: Result<Expr>, meta: Arc<Meta>) -> Array {
        Array { expr, meta }
    }

    /// An array that carries an error.
    pub(crate) fn failed(error: Error, at: &'static Location<'static>) -> Array {
        Array { expr: Err(error.at(at)), meta: Arc::default() }
    }

    /// The expression.
    ///
    /// # Errors
    /// What went wrong when the expression was built.
    pub fn expr(&self) -> Result<&Expr> {
        self.expr.as_ref().map_err(Clone::clone)
    }

    /// Whether the expression is sound: its error now rather than at compute.
    ///
    /// # Errors
    /// What went wrong when the expression was built.
    pub fn check(self) -> Result<Array> {
        match &self.expr {
            Ok(_) => Ok(self),
            Err(e) => Err(e.clone()),
        }
    }

    /// Dtype of the elements; of an array that carries an error, `f64`.
    pub fn dtype(&self) -> DType {
        self.expr.as_ref().map_or(DType::F64, Expr::dtype)
    }

    /// Shape; of an array that carries an error, empty.
    pub fn shape(&self) -> &[usize] {
        self.expr.as_ref().map_or(&[], |e| e.shape())
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape().len()
    }

    /// Number of elements.
    pub fn size(&self) -> usize {
        self.shape().iter().product()
    }

    /// Bytes that the elements would take in memory.
    pub fn nbytes(&self) -> usize {
        self.size() * self.dtype().size()
    }

    /// How it is cut into blocks.
    ///
    /// # Errors
    /// What went wrong when the expression was built.
    pub fn chunks(&self) -> Result<&Grid> {
        self.expr().map(Expr::grid)
    }

    /// Names and georeference.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The same array with other names and georeference.
    pub fn with_meta(mut self, meta: Meta) -> Array {
        self.meta = Arc::new(meta);
        self
    }

    /// The same array with a name, which files keep.
    pub fn with_name(mut self, name: &str) -> Array {
        Arc::make_mut(&mut self.meta).name = Some(name.into());
        self
    }

    /// The same array with names for its dimensions.
    #[track_caller]
    pub fn with_dims(mut self, dims: &[&str]) -> Array {
        if self.expr.is_ok() && dims.len() != self.ndim() {
            let message = format!("{} names for {} axes", dims.len(), self.ndim());
            return Array::failed(Error::invalid("with_dims", message), Location::caller());
        }
        Arc::make_mut(&mut self.meta).dims = dims.iter().map(|&d| Arc::from(d)).collect();
        self
    }

    /// Applies a change to the expression; metadata stays.
    #[track_caller]
    pub(crate) fn map(&self, f: impl FnOnce(Expr) -> Result<Expr>) -> Array {
        let at = Location::caller();
        let expr = self.expr.clone().and_then(f).map_err(|e| e.at(at));
        Array { expr, meta: self.meta.clone() }
    }
}

/// Dtype, shape and chunks; never computes.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expr {
            Ok(e) => write!(f, "Array({} {:?}, chunks {})", e.dtype(), e.shape(), e.grid()),
            Err(e) => write!(f, "Array(error: {e})"),
        }
    }
}
