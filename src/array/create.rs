//! Arrays from nothing, from values, from functions of the index.

use super::{Array, IntoChunks};
use crate::block::{Block, BlockSource, MemorySource};
use crate::dtype::{DType, Element, Scalar};
use crate::error::{Error, Result};
use crate::expr::{BlockContext, Expr, MapBlocks};
use crate::meta::Meta;
use crate::op::CompareOp;
use crate::shape::Grid;
use std::panic::Location;
use std::sync::Arc;

impl Array {
    /// An array over an `ndarray` array, owned or shared ([`ndarray::ArcArray`]), without a copy: whatever its strides, it is read where it
    /// lies. In automatic chunks that follow the order of its memory, so that those of a Fortran-ordered array are runs of columns.
    ///
    /// An [`Array`] outlives what it was made in, so a borrowed view is copied (`Array::from(view)`); to share a large array, make it an
    /// `ArcArray` before (`into_shared`, no copy) and clone that.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_ndarray(ndarray::arr2(&[[1i32, 2], [3, 4]]));
    /// assert_eq!(x.sum(0).compute()?.as_slice::<i64>()?, [4, 6]);
    /// let shared = ndarray::Array2::<f32>::ones((100, 200)).into_shared();
    /// let every_other = Array::from(shared.clone().slice_move(s![.., ..;2]));
    /// assert_eq!(every_other.sum(..).compute()?.to_scalar::<f64>()?, 10_000.0);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn from_ndarray<T, S, D>(array: ndarray::ArrayBase<S, D>) -> Array
    where
        T: Element,
        S: ndarray::Data<Elem = T> + Send + Sync + 'static,
        D: ndarray::Dimension + 'static,
    {
        Array::from_block(Block::from_array(array))
    }

    /// A 1-d array over a vector, without a copy.
    #[track_caller]
    pub fn from_vec<T: Element>(values: Vec<T>) -> Array {
        Array::from_block(Block::from_vec(values))
    }

    /// An array over a block, without a copy, in automatic chunks that follow the order of its memory.
    #[track_caller]
    pub fn from_block(block: Block) -> Array {
        let mut order: Vec<usize> = (0..block.shape().len()).collect();
        order.sort_by_key(|&k| std::cmp::Reverse(block.strides()[k].unsigned_abs()));
        let shape: Vec<usize> = order.iter().map(|&k| block.shape()[k]).collect();
        let grid = Grid::auto(&shape, block.dtype().size());
        let mut axes = grid.axes().to_vec();
        for (axis, &k) in grid.axes().iter().zip(&order) {
            axes[k] = axis.clone();
        }
        let grid = Grid::new(axes);
        Array::from_source(Arc::new(MemorySource::new(block, grid)), Meta::default())
    }

    /// An array that a source yields: a file, or anything of your own.
    #[track_caller]
    pub fn from_source(source: Arc<dyn BlockSource>, meta: Meta) -> Array {
        let at = Location::caller();
        Array::from_expr(Expr::source(source).map_err(|e| e.at(at)), Arc::new(meta))
    }

    /// A 0-d array.
    #[track_caller]
    pub fn scalar(value: impl Into<Scalar>) -> Array {
        Array::full(&[], value)
    }

    /// An array of one value.
    #[track_caller]
    pub fn full(shape: &[usize], value: impl Into<Scalar>) -> Array {
        let (at, value) = (Location::caller(), value.into());
        let expr = Expr::constant(value, Grid::auto(shape, value.dtype().size()));
        Array::from_expr(expr.map_err(|e| e.at(at)), Arc::default())
    }

    /// An array of zeros.
    #[track_caller]
    pub fn zeros(shape: &[usize], dtype: DType) -> Array {
        Array::full(shape, Scalar::zero(dtype))
    }

    /// An array of ones.
    #[track_caller]
    pub fn ones(shape: &[usize], dtype: DType) -> Array {
        Array::full(shape, Scalar::one(dtype))
    }

    /// An array of this one's shape, chunks and metadata, filled with a value.
    #[track_caller]
    pub fn full_like(&self, value: impl Into<Scalar>) -> Array {
        let value = value.into();
        self.map(|e| Expr::constant(value, e.grid().clone()))
    }

    /// Zeros of this array's shape, dtype and chunks.
    #[track_caller]
    pub fn zeros_like(&self) -> Array {
        self.full_like(Scalar::zero(self.dtype()))
    }

    /// Ones of this array's shape, dtype and chunks.
    #[track_caller]
    pub fn ones_like(&self) -> Array {
        self.full_like(Scalar::one(self.dtype()))
    }

    /// The numbers `start, start + step, ...` below `stop` (above it, for a negative step); i64.
    ///
    /// # Errors
    /// A step of 0.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// assert_eq!(Array::arange(0, 10, 3).compute()?.as_slice::<i64>()?, [0, 3, 6, 9]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn arange(start: i64, stop: i64, step: i64) -> Array {
        if step == 0 {
            return Array::failed(Error::invalid("arange", "the step is 0"), Location::caller());
        }
        let span = (stop as i128 - start as i128) * (step as i128).signum();
        let n = span.max(0).unsigned_abs().div_ceil(step.unsigned_abs() as u128);
        let i = index_along(&[n as usize], 0);
        &i * step + start
    }

    /// The numbers `start, start + step, ...` below `stop`; f64, each computed as `start + i * step`.
    ///
    /// # Errors
    /// A step that is 0 or not finite.
    #[track_caller]
    pub fn arange_f64(start: f64, stop: f64, step: f64) -> Array {
        let n = ((stop - start) / step).ceil();
        if step == 0.0 || !n.is_finite() {
            let message = format!("from {start} to {stop} by {step} is no finite sequence");
            return Array::failed(Error::invalid("arange", message), Location::caller());
        }
        index_along(&[n.max(0.0) as usize], 0).cast(DType::F64) * step + start
    }

    /// Ones on diagonal `k` of a matrix of zeros.
    #[track_caller]
    pub fn eye(rows: usize, cols: usize, k: isize, dtype: DType) -> Array {
        let shape = [rows, cols];
        let (r, c) = (index_along(&shape, 0), index_along(&shape, 1));
        super::operators::compare(CompareOp::Eq, c, r + k as i64).cast(dtype)
    }

    /// The index along an axis of an array of this shape; i64.
    #[track_caller]
    pub fn indices(shape: &[usize], axis: usize) -> Array {
        if axis >= shape.len() {
            let e = crate::error::ErrorKind::Axis { op: "indices", axis: axis as isize, ndim: shape.len() };
            return Array::failed(e.into(), Location::caller());
        }
        index_along(shape, axis)
    }

    /// An array whose elements are a function of their index, called once per element when computed.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_fn(&[2, 3], |i| (10 * i[0] + i[1]) as f32);
    /// assert_eq!(x.compute()?.as_slice::<f32>()?, [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn from_fn<T: Element>(shape: &[usize], f: impl Fn(&[usize]) -> T + Send + Sync + 'static) -> Array {
        let fill = move |context: &BlockContext, _: &[Block]| {
            let start = &context.region.start;
            let values = ndarray::ArrayD::from_shape_fn(context.region.shape.to_vec(), |i| {
                let index: crate::shape::Dims =
                    ndarray::Dimension::slice(&i).iter().zip(start).map(|(a, b)| a + b).collect();
                f(&index)
            });
            Ok(Block::from_array(values))
        };
        Array::from_blocks(shape, T::DTYPE, Grid::auto(shape, T::DTYPE.size()), "from_fn", fill)
    }

    /// An array whose blocks a function makes, each when it is needed.
    #[track_caller]
    pub(crate) fn from_blocks(
        shape: &[usize],
        dtype: DType,
        grid: Grid,
        name: &str,
        f: impl Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync + 'static,
    ) -> Array {
        let at = Location::caller();
        let map = MapBlocks::new(name, shape.len(), at, f);
        let expr = Expr::map_blocks(map, vec![], dtype, grid).map_err(|e| e.at(at));
        Array::from_expr(expr, Arc::default())
    }
}

/// Without a copy; see [`Array::from_ndarray`].
impl<T: Element, D: ndarray::Dimension + 'static> From<ndarray::Array<T, D>> for Array {
    #[track_caller]
    fn from(array: ndarray::Array<T, D>) -> Array {
        Array::from_ndarray(array)
    }
}

/// Without a copy, whatever its strides; see [`Array::from_ndarray`].
impl<T: Element, D: ndarray::Dimension + 'static> From<ndarray::ArcArray<T, D>> for Array {
    #[track_caller]
    fn from(array: ndarray::ArcArray<T, D>) -> Array {
        Array::from_ndarray(array)
    }
}

/// Copied: the array outlives what the view borrows. An `ArcArray` is shared instead.
impl<T: Element, D: ndarray::Dimension + 'static> From<ndarray::ArrayView<'_, T, D>> for Array {
    #[track_caller]
    fn from(view: ndarray::ArrayView<'_, T, D>) -> Array {
        Array::from_ndarray(view.to_owned())
    }
}

/// The index along one axis, i64, in automatic chunks.
#[track_caller]
pub(super) fn index_along(shape: &[usize], axis: usize) -> Array {
    let at = Location::caller();
    Array::from_expr(Expr::index(axis, Grid::auto(shape, 8)).map_err(|e| e.at(at)), Arc::default())
}

impl Array {
    /// `self` cut into other chunks: Dask's `rechunk`, with every form of chunk it knows.
    ///
    /// Costs nothing by itself: it changes the tasks of the pass that computes or writes the array. See [`IntoChunks`].
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::zeros(&[100, 200], F32);
    /// assert_eq!(x.rechunk([50, -1]).chunks()?.counts().as_slice(), [2, 1]);
    /// assert_eq!(x.rechunk("8KiB").chunks()?.max_block().iter().product::<usize>(), 2000);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn rechunk(&self, chunks: impl IntoChunks) -> Array {
        let specs = chunks.chunk_specs(self.ndim());
        self.map(|e| {
            let grid = super::chunks::resolve(&specs?, e.grid(), e.dtype().size())?;
            e.rechunk(grid)
        })
    }
}
