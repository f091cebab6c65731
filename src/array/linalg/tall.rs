//! QR, singular values and least squares of matrices of any number of rows: TSQR (Demmel, Grigori, Hoemmen and Langou 2012).
//!
//! Runs of rows are factorized each; their triangles, on top of each other, are factorized again. So a task holds a run of rows, and
//! another one all triangles.

use super::{Array, At, Factor, Real, all_built, blocks, finite, matrices, put, same_rows, whole};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{AxisChunks, Grid};
use faer::Mat;
use faer::linalg::solvers::{Qr, Svd};

/// Bytes of a run of rows, if that is at least four times as many rows as columns.
const RUN: usize = 16 << 20;

/// The upper triangle (trapezoid, of fewer rows than columns) of a run of rows.
struct Triangle;

impl Factor for Triangle {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        put(out, triangle(&of[0].qr()).as_ref());
        Ok(())
    }
}

fn triangle<T: Real>(qr: &Qr<T>) -> Mat<T> {
    let r = qr.thin_R();
    Mat::from_fn(r.nrows(), r.ncols(), |i, j| if i <= j { r[(i, j)] } else { T::nearest(0.0) })
}

/// Orthonormal columns and the triangle.
struct Orthogonal;

impl Factor for Orthogonal {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let qr = of[0].qr();
        put(out, qr.compute_thin_Q().as_ref());
        put(out, triangle(&qr).as_ref());
        Ok(())
    }
}

/// The orthonormal columns of a run of rows, of `[rows, what the triangle's columns become]`.
struct Rotated;

impl Factor for Rotated {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        put(out, (of[0].qr().compute_thin_Q() * &of[1]).as_ref());
        Ok(())
    }
}

/// Left vectors as columns, singular values, descending, right vectors as rows.
struct Singular;

impl Factor for Singular {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let svd = decomposed("svd", &of[0])?;
        put(out, svd.U());
        out.extend(svd.S().column_vector().iter().copied());
        put(out, svd.V().transpose());
        Ok(())
    }
}

/// Solution, sums of squared residuals, rank and singular values, of `[r, c]`: the triangle of the matrix and what it is to become.
struct LeastSquares {
    columns: usize,
    cutoff: f64,
}

impl Factor for LeastSquares {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let n = self.columns;
        let (a, b) = (of[0].get(.., ..n).to_owned(), of[0].get(.., n..).to_owned());
        let svd = decomposed("lstsq", &a)?;
        let s: Vec<T> = svd.S().column_vector().iter().copied().collect();
        let size = |k: usize| s[k].to_scalar().as_f64();
        let rank = (0..s.len()).filter(|&k| size(k) > self.cutoff * size(0)).count();
        let onto = svd.U().get(.., ..rank).transpose() * &b;
        let scaled = Mat::from_fn(rank, b.ncols(), |i, j| onto[(i, j)] / s[i]);
        let x = svd.V().get(.., ..rank) * scaled;
        let rest = &b - &a * &x;
        put(out, x.as_ref());
        out.extend((0..rest.ncols()).map(|j| rest.col(j).squared_norm_l2()));
        out.push(T::nearest(rank as f64));
        out.extend(s);
        Ok(())
    }
}

fn decomposed<T: Real>(op: &'static str, a: &Mat<T>) -> Result<Svd<T>> {
    finite(op, a)?;
    a.thin_svd().map_err(|_| Error::invalid(op, "the singular values did not converge"))
}

/// A matrix in runs of whole rows, and the triangles of all runs on top of each other, in one chunk.
fn triangles(a: &Array, at: At) -> Result<(Array, Array)> {
    let [m, n] = [a.shape()[0], a.shape()[1]];
    let old = a.chunks()?.axes()[0].max_len().max(1);
    let rows = (RUN / (n.max(1) * a.dtype().size())).max(4 * n).max(1);
    let rows = if old <= rows { rows.next_multiple_of(old) } else { rows };
    let runs = a.rechunk(Grid::new([AxisChunks::regular(m, rows.min(m.max(1))), AxisChunks::regular(n, n)]));
    let grid = Grid::new([heights(&runs)?, AxisChunks::regular(n, n)]);
    let triangles = blocks("qr", at, Triangle, &[&runs], grid).rechunk(-1);
    Ok((runs, triangles))
}

/// How many rows the triangles of runs have.
fn heights(runs: &Array) -> Result<AxisChunks> {
    let lengths = runs.chunks()?.axes()[0].lengths();
    Ok(AxisChunks::explicit(&lengths.into_iter().map(|rows| rows.min(runs.shape()[1])).collect::<Vec<_>>()))
}

/// See [`Array::qr`].
fn qr(a: &Array, at: At) -> Result<[Array; 2]> {
    let [m, n] = [a.shape()[0], a.shape()[1]];
    if m == 0 || n == 0 {
        return Ok([&[m, 0], &[0, n]].map(|shape| Array::zeros(shape, a.dtype())));
    }
    let (runs, triangles) = triangles(a, at)?;
    let [m, n] = [triangles.shape()[0], triangles.shape()[1]];
    let k = m.min(n);
    let [turn, r] = whole("qr", at, Orthogonal, &[&triangles], [&[m, k], &[k, n]]);
    let columns = |rows: AxisChunks| Grid::new([rows, AxisChunks::regular(k, k)]);
    let turn = turn.rechunk(columns(heights(&runs)?));
    let grid = columns(runs.chunks()?.axes()[0].clone());
    let q = blocks("qr", at, Rotated, &[&runs, &turn], grid);
    Ok([q, r])
}

/// See [`Array::svd`].
fn svd(a: &Array, at: At) -> Result<[Array; 3]> {
    let [m, n] = [a.shape()[0], a.shape()[1]];
    if m < n {
        let [u, s, vt] = svd(&a.t(), at)?;
        return Ok([vt.t(), s, u.t()]);
    }
    if n == 0 {
        return Ok([&[m, 0][..], &[0], &[0, 0]].map(|shape| Array::zeros(shape, a.dtype())));
    }
    let [q, r] = qr(a, at)?;
    let [u, s, vt] = whole("svd", at, Singular, &[&r.rechunk(-1)], [&[n, n], &[n], &[n, n]]);
    Ok([q.matmul(&u), s, vt])
}

impl Array {
    /// `[q, r]`: orthonormal columns and an upper triangle whose product is this matrix, reduced to the smaller of its sides. NumPy's
    /// `linalg.qr`.
    ///
    /// f32 (also for f16) or f64. Of any number of rows: a task holds a run of rows (16 MiB, at least four times as many as there are
    /// columns), one task the triangles of all runs. Runs are factorized once for `r` and again for `q`, which is not kept. Which of the
    /// two signs a column of `q` has may depend on the chunks.
    ///
    /// # Errors
    /// An array that has not two axes.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let a = Generator::new(1).standard_normal(&[100_000, 4], F64);
    /// let [q, r] = a.qr();
    /// assert!((q.matmul(&r) - &a).abs().max(..).compute()?.to_scalar::<f64>()? < 1e-12);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn qr(&self) -> [Array; 2] {
        all_built(|at| {
            let [a] = matrices("qr", [self])?;
            qr(&a, at)
        })
    }

    /// `[u, s, vt]`: the singular value decomposition `u diag(s) vt` of this matrix, reduced to the smaller of its sides, `s` descending.
    /// NumPy's `linalg.svd` with `full_matrices=False`.
    ///
    /// By [`Array::qr`] of the matrix, or of its transpose if it has more columns than rows; what remains is square, and whole in one task.
    ///
    /// # Errors
    /// An array that has not two axes; when computed, NaN or infinities.
    #[track_caller]
    pub fn svd(&self) -> [Array; 3] {
        all_built(|at| {
            let [a] = matrices("svd", [self])?;
            svd(&a, at)
        })
    }

    /// `[x, residuals, rank, s]`: the `x` for which `self x` is nearest to `b`, a vector or each column of a matrix, and of those the
    /// shortest; the sums of the squares of what is left; the rank of this matrix (i64); its singular values. NumPy's `linalg.lstsq`.
    ///
    /// Singular values of at most `cutoff` times the largest one count as 0; NumPy's is the dtype's epsilon times the longer side.
    /// One pass over both, by [`Array::qr`] of this matrix and `b` side by side, of which `q` is not made. f32 or f64.
    ///
    /// # Errors
    /// An array that has not two axes, a `b` with other rows; when computed, NaN or infinities.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 1_000_000, 1).cast(F64) / 1e6;
    /// let y = 3 * &x + 1;
    /// let line = stack(&[x.full_like(1.0), x], 1);
    /// let [ab, ..] = line.lstsq(&y, 1e-12);
    /// let ab = ab.compute()?;
    /// assert!((ab.as_slice::<f64>()?[0] - 1.0).abs() < 1e-9 && (ab.as_slice::<f64>()?[1] - 3.0).abs() < 1e-9);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn lstsq(&self, b: &Array, cutoff: f64) -> [Array; 4] {
        all_built(|at| {
            let vector = b.expr()?.ndim() == 1;
            let b = if vector { b.expand_dims(1) } else { b.clone() };
            let [a, b] = matrices("lstsq", [self, &b])?;
            same_rows("lstsq", &a, &b)?;
            let ([m, n], p) = ([a.shape()[0], a.shape()[1]], b.shape()[1]);
            if m == 0 || n == 0 {
                let x = Array::zeros(&[n, p], a.dtype());
                let none = [Array::zeros(&[], DType::I64), Array::zeros(&[0], a.dtype())];
                let [rank, s] = none;
                let x = if vector { x.squeeze(Some(1)) } else { x };
                return Ok([x, b.square().sum(0).cast(a.dtype()), rank, s]);
            }
            let (_, triangles) = triangles(&super::super::concatenate(&[a, b], 1), at)?;
            let factor = LeastSquares { columns: n, cutoff };
            let [x, rest, rank, s] =
                whole("lstsq", at, factor, &[&triangles], [&[n, p], &[p], &[], &[m.min(n)]]);
            let x = if vector { x.squeeze(Some(1)) } else { x };
            Ok([x, rest, rank.cast(DType::I64), s])
        })
    }
}
