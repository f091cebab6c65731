//! Factorizations of matrices and what they solve (feature `linalg`). The crate `faer` factorizes blocks; what is here is how a large
//! matrix becomes blocks.

mod factors;
mod tall;

use super::{Array, over_blocks};
use crate::block::Block;
use crate::dtype::{DType, Element, promote};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::BlockContext;
use crate::shape::Grid;
use faer::traits::RealField;
use faer::{Mat, MatRef};
use std::panic::Location;

/// The floats that matrices are factorized in.
trait Real: Element + RealField {
    /// The nearest one to a number.
    fn nearest(x: f64) -> Self;
}

impl Real for f32 {
    fn nearest(x: f64) -> f32 {
        x as f32
    }
}

impl Real for f64 {
    fn nearest(x: f64) -> f64 {
        x
    }
}

/// The line of the caller's code.
type At = &'static Location<'static>;

/// Something that is made of matrices in memory.
trait Factor: Send + Sync + 'static {
    /// Appends the elements of all results, each in C order.
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()>;
}

/// What a factorization of whole matrices yields, each result as an array of its shape; zeros of a matrix without elements. The
/// factorization is done once for all of them that are computed together.
fn whole<const N: usize>(
    op: &'static str,
    at: At,
    factor: impl Factor,
    inputs: &[&Array],
    shapes: [&[usize]; N],
) -> [Array; N] {
    if inputs.iter().any(|a| a.size() == 0) {
        return shapes.map(|shape| Array::zeros(shape, inputs[0].dtype()));
    }
    let lengths = shapes.map(|shape| shape.iter().product::<usize>());
    let all = blocks(op, at, factor, inputs, Grid::single(&[1, lengths.iter().sum()]));
    let mut start = 0;
    std::array::from_fn(|k| {
        let part = all.slice(ndarray::s![0, start..start + lengths[k]]);
        start += lengths[k];
        part.reshape(&shapes[k].iter().map(|&n| n as isize).collect::<Vec<_>>())
    })
}

/// What a factorization yields for each block of the first input and those of the others at its index.
fn blocks(op: &'static str, at: At, factor: impl Factor, inputs: &[&Array], grid: Grid) -> Array {
    let d = inputs[0].dtype();
    let f = move |context: &BlockContext, blocks: &[Block]| {
        let shape = &context.region.shape;
        match d {
            DType::F32 => run::<f32>(&factor, blocks, shape),
            _ => run::<f64>(&factor, blocks, shape),
        }
    };
    over_blocks(inputs).dtype(d).chunks(grid).name(op).scratch(4).apply_at(f, at)
}

fn run<T: Real>(factor: &impl Factor, blocks: &[Block], shape: &[usize]) -> Result<Block> {
    let of: Vec<Mat<T>> = blocks.iter().map(matrix).collect::<Result<_>>()?;
    let mut out = Vec::with_capacity(shape.iter().product());
    factor.run(&of, &mut out)?;
    Ok(Block::from_vec(out).reshape(shape))
}

fn matrix<T: Real>(block: &Block) -> Result<Mat<T>> {
    let values = block.view::<T>()?;
    let values = values
        .into_dimensionality::<ndarray::Ix2>()
        .map_err(|e| Error::internal(format!("a block that is no matrix: {e}")))?;
    Ok(Mat::from_fn(values.nrows(), values.ncols(), |i, j| values[[i, j]]))
}

/// # Errors
/// NaN or infinities, which iterations would never end with.
fn finite<T: Real>(op: &'static str, a: &Mat<T>) -> Result<()> {
    match a.is_all_finite() {
        true => Ok(()),
        false => Err(Error::invalid(op, "the matrix has elements that are NaN or infinite")),
    }
}

/// Appends a matrix in C order.
fn put<T: Real>(out: &mut Vec<T>, m: MatRef<'_, T>) {
    out.extend((0..m.nrows()).flat_map(|i| (0..m.ncols()).map(move |j| m[(i, j)])));
}

/// A matrix in the float that it is factorized in: f32 stays, f16 becomes f32, all else f64.
fn float(d: DType) -> DType {
    match d {
        DType::F16 | DType::F32 => DType::F32,
        _ => DType::F64,
    }
}

/// Arrays as matrices of one float.
///
/// # Errors
/// An array that has not two axes.
fn matrices<const N: usize>(op: &'static str, arrays: [&Array; N]) -> Result<[Array; N]> {
    let mut d = DType::F16;
    for a in arrays {
        let shape = a.expr()?.shape();
        if shape.len() != 2 {
            let message = format!("an array of shape {shape:?} is no matrix; it must have two axes");
            return Err(Error::invalid(op, message));
        }
        d = promote(d, float(a.dtype()));
    }
    Ok(arrays.map(|a| a.cast(float(d))))
}

/// As [`matrices`], the first one square.
fn square<const N: usize>(op: &'static str, arrays: [&Array; N]) -> Result<[Array; N]> {
    let arrays = matrices(op, arrays)?;
    match arrays[0].shape() {
        [m, n] if m != n => {
            Err(Error::invalid(op, format!("a matrix of {m} rows and {n} columns is not square")))
        }
        _ => Ok(arrays),
    }
}

/// Rows of both must be as many.
fn same_rows(op: &'static str, a: &Array, b: &Array) -> Result<()> {
    if a.shape()[0] == b.shape()[0] {
        return Ok(());
    }
    let (left, right) = (a.shape().to_vec(), b.shape().to_vec());
    Err(ErrorKind::ShapeMismatch { op, left, right, hint: "; both need the same number of rows" }.into())
}

/// What `build` gives on behalf of the caller, or its error.
#[track_caller]
fn built(build: impl FnOnce(At) -> Result<Array>) -> Array {
    let at = Location::caller();
    build(at).unwrap_or_else(|e| Array::failed(e, at))
}

/// What `build` gives on behalf of the caller, or its error in every result.
#[track_caller]
fn all_built<const N: usize>(build: impl FnOnce(At) -> Result<[Array; N]>) -> [Array; N] {
    let at = Location::caller();
    build(at).unwrap_or_else(|e| std::array::from_fn(|_| Array::failed(e.clone(), at)))
}
