//! What needs a matrix whole: Cholesky, solving, inverses, determinants, eigenvalues.

use super::{Array, At, Factor, Real, all_built, blocks, built, finite, put, same_rows, square, whole};
use crate::error::{Error, Result};
use faer::linalg::solvers::{DenseSolveCore, Solve};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Mat, Par, Side};

/// The lower triangle of Cholesky's factorization.
struct Cholesky;

impl Factor for Cholesky {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let factor = of[0].llt(Side::Lower).map_err(|_| {
            Error::invalid("cholesky", "the matrix is not positive definite; add something to its diagonal")
        })?;
        put(out, factor.L());
        Ok(())
    }
}

/// What solves `a x = b` for each column of `b`, of `[b, a]`.
struct Solved;

impl Factor for Solved {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let lu = of[1].partial_piv_lu();
        singular("solve", lu.U().diagonal().column_vector().iter().copied())?;
        put(out, lu.solve(&of[0]).as_ref());
        Ok(())
    }
}

struct Inverse;

impl Factor for Inverse {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let lu = of[0].partial_piv_lu();
        singular("inv", lu.U().diagonal().column_vector().iter().copied())?;
        put(out, lu.inverse().as_ref());
        Ok(())
    }
}

/// As [`Solved`] for a triangle of `a`.
struct Triangular {
    lower: bool,
}

impl Factor for Triangular {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let a = &of[1];
        singular("solve_triangular", a.diagonal().column_vector().iter().copied())?;
        let mut x = of[0].clone();
        match self.lower {
            true => solve_lower_triangular_in_place(a.as_ref(), x.as_mut(), Par::Seq),
            false => solve_upper_triangular_in_place(a.as_ref(), x.as_mut(), Par::Seq),
        }
        put(out, x.as_ref());
        Ok(())
    }
}

/// Sign and logarithm of the determinant's magnitude.
struct Determinant;

impl Factor for Determinant {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        let lu = of[0].partial_piv_lu();
        let swaps = {
            // a permutation's sign: its length less the number of its cycles
            let (to, _) = lu.P().arrays();
            let mut seen = vec![false; to.len()];
            let mut cycles = 0;
            for start in 0..to.len() {
                cycles += usize::from(!seen[start]);
                let mut at = start;
                while !std::mem::replace(&mut seen[at], true) {
                    at = to[at];
                }
            }
            to.len() - cycles
        };
        let (mut sign, mut log) = (if swaps % 2 == 0 { 1.0 } else { -1.0 }, 0.0);
        for pivot in lu.U().diagonal().column_vector().iter() {
            let pivot = pivot.to_scalar().as_f64();
            // the sign of a zero is 0, that of NaN is NaN
            sign *= if pivot == 0.0 || pivot.is_nan() { pivot.abs() } else { pivot.signum() };
            log += pivot.abs().ln();
        }
        out.extend([sign, log].map(T::nearest));
        Ok(())
    }
}

/// Eigenvalues, ascending, and vectors as columns.
struct Eigen;

impl Factor for Eigen {
    fn run<T: Real>(&self, of: &[Mat<T>], out: &mut Vec<T>) -> Result<()> {
        finite("eigh", &of[0])?;
        let eigen = of[0].self_adjoint_eigen(Side::Lower);
        let eigen = eigen.map_err(|_| Error::invalid("eigh", "the eigenvalues did not converge"))?;
        out.extend(eigen.S().column_vector().iter().copied());
        put(out, eigen.U());
        Ok(())
    }
}

fn singular<T: Real>(op: &'static str, pivots: impl Iterator<Item = T>) -> Result<()> {
    for (k, pivot) in pivots.enumerate() {
        if pivot.to_scalar().as_f64() == 0.0 {
            let message = format!("the matrix is singular: pivot {k} is 0; lstsq() finds a solution");
            return Err(Error::invalid(op, message));
        }
    }
    Ok(())
}

impl Array {
    /// The lower triangle whose product with its transpose is this symmetric, positive definite matrix; of this matrix only the lower
    /// triangle is read. NumPy's `linalg.cholesky`.
    ///
    /// f32 (also for f16) or f64. The matrix is in one task, `n^3 / 3` operations.
    ///
    /// # Errors
    /// A matrix that is not square; when computed, one that is not positive definite.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let a = Array::from_ndarray(ndarray::arr2(&[[4.0f64, 2.0], [2.0, 5.0]]));
    /// assert_eq!(a.cholesky().compute()?.as_slice::<f64>()?, [2.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn cholesky(&self) -> Array {
        built(|at| alike(at, "cholesky", Cholesky, self))
    }

    /// The `x` of `self x = b`, for a vector `b` or each column of a matrix. NumPy's `linalg.solve`.
    ///
    /// f32 or f64, by Gauss's elimination with partial pivoting. The matrix is in every task, with one chunk of the columns of `b`, and is
    /// factorized in each, at `2 n^3 / 3` operations.
    ///
    /// # Errors
    /// A matrix that is not square, a `b` with other rows; when computed, a matrix that is singular.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let a = Array::from_ndarray(ndarray::arr2(&[[3.0f64, 1.0], [1.0, 2.0]]));
    /// let x = a.solve(&Array::from_vec(vec![9.0f64, 8.0])).compute()?;
    /// assert!((x.as_slice::<f64>()?[0] - 2.0).abs() < 1e-12 && (x.as_slice::<f64>()?[1] - 3.0).abs() < 1e-12);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn solve(&self, b: &Array) -> Array {
        built(|at| solved(at, "solve", Solved, self, b))
    }

    /// As [`Array::solve`] for a triangular matrix; of this matrix only the lower (or the upper) triangle is read. scipy's
    /// `linalg.solve_triangular`.
    ///
    /// # Errors
    /// As [`Array::solve`].
    #[track_caller]
    pub fn solve_triangular(&self, b: &Array, lower: bool) -> Array {
        built(|at| solved(at, "solve_triangular", Triangular { lower }, self, b))
    }

    /// The inverse of a matrix. NumPy's `linalg.inv`. Rather than multiplying with it, [`Array::solve`].
    ///
    /// # Errors
    /// A matrix that is not square; when computed, one that is singular.
    #[track_caller]
    pub fn inv(&self) -> Array {
        built(|at| alike(at, "inv", Inverse, self))
    }

    /// Sign and natural logarithm of the magnitude of the determinant of a matrix: -1, 0 or 1, and -inf of 0. NumPy's `linalg.slogdet`.
    ///
    /// # Errors
    /// A matrix that is not square.
    #[track_caller]
    pub fn slogdet(&self) -> [Array; 2] {
        all_built(|at| {
            let [a] = square("slogdet", [self])?;
            if a.size() == 0 {
                return Ok([Array::scalar(1.0f64), Array::scalar(0.0f64)].map(|x| x.cast(a.dtype())));
            }
            Ok(whole("slogdet", at, Determinant, &[&a.rechunk(-1)], [&[], &[]]))
        })
    }

    /// The determinant of a matrix. NumPy's `linalg.det`; see [`Array::slogdet`] for what is too large or too small.
    ///
    /// # Errors
    /// A matrix that is not square.
    #[track_caller]
    pub fn det(&self) -> Array {
        let [sign, log] = self.slogdet();
        sign * log.exp()
    }

    /// Eigenvalues of a symmetric matrix, ascending, and its eigenvectors, as columns; only the lower triangle is read. NumPy's
    /// `linalg.eigh`. The matrix is in one task.
    ///
    /// # Errors
    /// A matrix that is not square; when computed, one with NaN or infinities.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let a = Array::from_ndarray(ndarray::arr2(&[[2.0f64, 1.0], [1.0, 2.0]]));
    /// let [values, _] = compute_all(a.eigh())?;
    /// # fn compute_all(a: [Array; 2]) -> Result<[Block; 2], Error> { let [x, y] = a; compute!(x, y) }
    /// assert!((values.as_slice::<f64>()?[0] - 1.0).abs() < 1e-12 && (values.as_slice::<f64>()?[1] - 3.0).abs() < 1e-12);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn eigh(&self) -> [Array; 2] {
        all_built(|at| {
            let [a] = square("eigh", [self])?;
            let n = a.shape()[0];
            Ok(whole("eigh", at, Eigen, &[&a.rechunk(-1)], [&[n], &[n, n]]))
        })
    }
}

/// What is made of a square matrix and has its shape.
fn alike(at: At, op: &'static str, factor: impl Factor, a: &Array) -> Result<Array> {
    let [a] = square(op, [a])?;
    let [made] = whole(op, at, factor, &[&a.rechunk(-1)], [a.shape()]);
    Ok(made)
}

/// The solutions for the columns of `b`, or for `b` if it is a vector.
fn solved(at: At, op: &'static str, factor: impl Factor, a: &Array, b: &Array) -> Result<Array> {
    let vector = b.expr()?.ndim() == 1;
    let columns = if vector { b.expand_dims(1) } else { b.clone() };
    let [a, columns] = square(op, [a, &columns])?;
    same_rows(op, &a, &columns)?;
    let columns = columns.rechunk([(0usize, -1isize)]);
    let grid = columns.chunks()?.clone();
    let x = match columns.size() {
        0 => columns,
        _ => blocks(op, at, factor, &[&columns, &a.rechunk(-1)], grid),
    };
    Ok(if vector { x.squeeze(Some(1)) } else { x })
}
