//! Factorizations of matrices: what they are must multiply to what they were made of.
#![cfg(feature = "linalg")]

#[path = "common/mod.rs"]
mod common;

use blockwise::compute;
use blockwise::prelude::*;
use common::computed;
use ndarray::{Array1, Array2, ArrayD, Axis};

fn matrix(seed: u64, m: usize, n: usize, d: DType) -> Array {
    Generator::new(seed).standard_normal(&[m, n], F64).cast(d)
}

fn values(x: &Array) -> ArrayD<f64> {
    computed::<f64>(&x.cast(F64))
}

fn plane(x: &Array) -> Array2<f64> {
    values(x).into_dimensionality().expect("two axes")
}

fn far(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    (a - b).iter().fold(0.0, |m: f64, v| if v.is_nan() { f64::NAN } else { m.max(v.abs()) })
}

fn precision(d: DType) -> f64 {
    if d == F32 { 1e-4 } else { 1e-11 }
}

/// Shapes: tall, wide, square, thin, of one element; and rows of a chunk, of which runs are made.
const SHAPES: [(usize, usize, isize); 9] = [
    (40, 7, 9),
    (7, 40, 3),
    (12, 12, 5),
    (500, 1, 13),
    (1, 9, 1),
    (1, 1, 1),
    (300, 3, 1),
    (65, 16, 64),
    (64, 16, -1),
];

#[test]
fn q_and_r_multiply_to_the_matrix() {
    for (seed, (m, n, rows)) in (0..).zip(SHAPES) {
        for d in [F32, F64] {
            let a = matrix(seed, m, n, d).rechunk([rows, 4.min(n as isize)]);
            let [q, r] = a.qr();
            let k = m.min(n);
            assert_eq!((q.dtype(), r.dtype(), q.shape(), r.shape()), (d, d, &[m, k][..], &[k, n][..]));
            let (a, q, r) = (plane(&a), plane(&q), plane(&r));
            assert!(far(&q.dot(&r), &a) < precision(d), "{m} x {n}");
            assert!(far(&q.t().dot(&q), &Array2::eye(k)) < precision(d), "{m} x {n}");
            assert!(r.indexed_iter().all(|((i, j), v)| i <= j || *v == 0.0));
        }
    }
}

#[test]
fn many_runs_are_one_matrix() -> Result<(), Error> {
    // three runs of 16 MiB and what is left of them
    let a = matrix(3, 150_000, 48, F64);
    let [q, r] = a.qr();
    let apart = (q.matmul(&r) - &a).abs().max(..);
    let [apart, square, mine] = compute!(apart, q.t().matmul(&q), r)?;
    assert!(apart.to_scalar::<f64>()? < 1e-11);
    let square = square.view::<f64>()?.into_owned();
    assert!(far(&square.into_dimensionality().expect("two axes"), &Array2::eye(48)) < 1e-12);
    // up to signs of rows, r is Cholesky's triangle of the normal equations
    let normal = a.t().matmul(&a).cholesky().t();
    let ratio = Array::from_block(mine) / normal;
    let signs = (0..48).map(|k| ratio.index(ix![k, k]).abs());
    for sign in signs {
        assert!((sign.compute()?.to_scalar::<f64>()? - 1.0).abs() < 1e-10);
    }
    Ok(())
}

#[test]
fn matrices_larger_than_the_limit_go_by_runs() -> Result<(), Error> {
    let session = Session::builder().memory_limit("128MiB").threads(1).build()?;
    let a = matrix(4, 2_000_000, 16, F64);
    let [_, r] = a.qr();
    let r = session.compute(&r)?;
    let [x, rest, ..] = a.lstsq(&a.sum(1), 1e-12);
    let [x, rest] = [session.compute(&x)?, session.compute(&rest)?];
    assert!(
        x.as_slice::<f64>()?.iter().all(|v| (v - 1.0).abs() < 1e-12) && rest.as_slice::<f64>()?[0] < 1e-12
    );
    let r = Array::from_block(r);
    let [normal, square] = [session.compute(&a.t().matmul(&a))?, r.t().matmul(&r).compute()?];
    let pairs = normal.as_slice::<f64>()?.iter().zip(square.as_slice::<f64>()?);
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
    Ok(())
}

#[test]
fn singular_values_and_vectors() -> Result<(), Error> {
    for (seed, (m, n, rows)) in (0..).zip(SHAPES) {
        for d in [F32, F64] {
            let a = matrix(seed, m, n, d).rechunk([rows, -1]);
            let k = m.min(n);
            let [u, s, vt] = a.svd();
            assert_eq!((u.shape(), s.shape(), vt.shape()), (&[m, k][..], &[k][..], &[k, n][..]));
            let s: Array1<f64> = values(&s).into_dimensionality().expect("one axis");
            assert!(s.iter().is_sorted_by(|a, b| a >= b) && s.iter().all(|s| *s >= 0.0));
            let (u, vt) = (plane(&u), plane(&vt));
            assert!(far(&(&u * &s).dot(&vt), &plane(&a)) < precision(d), "{m} x {n}");
            assert!(far(&u.t().dot(&u), &Array2::eye(k)) < precision(d), "{m} x {n}");
            assert!(far(&vt.dot(&vt.t()), &Array2::eye(k)) < precision(d), "{m} x {n}");
        }
    }
    let flat = Array::from_ndarray(ndarray::arr2(&[[3i32, 0], [0, -4], [0, 0]]));
    let [_, s, _] = flat.svd();
    assert_eq!(values(&s).as_slice().expect("in order"), [4.0, 3.0]);
    Ok(())
}

#[test]
fn systems_are_solved() -> Result<(), Error> {
    for (n, d) in [(1, F64), (2, F32), (30, F64), (30, F32), (65, I32)] {
        let float = if d == F32 { F32 } else { F64 };
        let a = (matrix(n as u64, n, n, F64) * 8 + Array::eye(n, n, 0, F64) * 40).cast(d).rechunk(7);
        let x = matrix(99, n, 5, F64).cast(float);
        let b = a.cast(float).matmul(&x).rechunk([4, 2]);
        let found = a.solve(&b);
        assert_eq!(found.dtype(), float);
        assert!(far(&plane(&found), &plane(&x)) < precision(float), "{n} {d}");
        let column = a.solve(&b.index(ix![.., 2]));
        assert_eq!(column.shape(), [n]);
        assert!((values(&column) - values(&x.index(ix![.., 2]))).iter().all(|v| v.abs() < precision(float)));
        let inverse = plane(&a.inv());
        assert!(far(&inverse.dot(&plane(&a)), &Array2::eye(n)) < precision(float) * 10.0);
        for lower in [true, false] {
            let half = if lower { a.tril(0) } else { a.triu(0) };
            let b = half.cast(float).matmul(&x);
            // the other triangle is not read
            assert!(far(&plane(&a.solve_triangular(&b, lower)), &plane(&x)) < precision(float) * 10.0);
        }
        let spread = a.cast(float).matmul(&a.cast(float).t());
        let l = spread.cholesky();
        let l = plane(&l);
        assert!(l.indexed_iter().all(|((i, j), v)| i >= j || *v == 0.0));
        assert!(far(&l.dot(&l.t()), &plane(&spread)) < precision(float) * 1e4);
    }
    Ok(())
}

#[test]
fn determinants_and_eigenvalues() -> Result<(), Error> {
    let a = Array::from_ndarray(ndarray::arr2(&[[0.0f64, 2.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 5.0]]));
    assert!((a.det().compute()?.to_scalar::<f64>()? + 30.0).abs() < 1e-12);
    // three rows in a circle: an even permutation
    let turn = a.take(&[1, 2, 0], 0);
    assert!((turn.det().compute()?.to_scalar::<f64>()? + 30.0).abs() < 1e-12);
    let [sign, log] = Array::from_ndarray(ndarray::arr2(&[[1.0f64, 2.0], [2.0, 4.0]])).slogdet();
    let [sign, log] = compute!(sign, log)?;
    assert_eq!((sign.to_scalar::<f64>()?, log.to_scalar::<f64>()?), (0.0, f64::NEG_INFINITY));
    // too large for f64 as a number
    let [sign, log] = (Array::eye(400, 400, 0, F64) * -10).slogdet();
    assert_eq!(sign.compute()?.to_scalar::<f64>()?, 1.0);
    assert!((log.compute()?.to_scalar::<f64>()? - 400.0 * 10f64.ln()).abs() < 1e-9);

    let b = matrix(5, 20, 20, F64);
    let symmetric = &b + b.t();
    let [w, v] = symmetric.eigh();
    let (w, v) = (values(&w), plane(&v));
    let w: Array1<f64> = w.into_dimensionality().expect("one axis");
    assert!(w.iter().is_sorted());
    assert!(far(&plane(&symmetric).dot(&v), &(&v * &w)) < 1e-12);
    assert!(far(&v.t().dot(&v), &Array2::eye(20)) < 1e-12);
    Ok(())
}

#[test]
fn least_squares() -> Result<(), Error> {
    for d in [F32, F64] {
        let a = matrix(1, 200, 6, d).rechunk([11, 4]);
        let b = matrix(2, 200, 3, d).rechunk([50, 1]);
        let [x, rest, rank, s] = a.lstsq(&b, 1e-6);
        assert_eq!((rank.dtype(), x.dtype()), (I64, d));
        let [_, sv, _] = a.svd();
        assert!((values(&s) - values(&sv)).iter().all(|v| v.abs() < precision(d)));
        assert_eq!(rank.compute()?.to_scalar::<i64>()?, 6);
        // what is left stands upright on all columns
        let left = plane(&b) - plane(&a).dot(&plane(&x));
        assert!(plane(&a).t().dot(&left).iter().all(|v| v.abs() < 200.0 * precision(d)));
        let squares = (&left * &left).sum_axis(Axis(0)).into_dyn();
        assert!((squares - values(&rest)).iter().all(|v| v.abs() < 200.0 * precision(d)));
    }
    // one column twice: of all solutions the shortest, with equal parts
    let x = Array::arange(0, 50, 1).cast(F64);
    let twice = stack(&[x.clone(), x.clone()], 1);
    let [ab, rest, rank, s] = twice.lstsq(&(&x * 4), 1e-10);
    let [ab, rest, rank, s] = compute!(ab, rest, rank, s)?;
    assert!(ab.as_slice::<f64>()?.iter().all(|v| (v - 2.0).abs() < 1e-12) && s.shape() == [2]);
    assert_eq!((ab.shape(), rest.shape(), rank.to_scalar::<i64>()?), (&[2][..], &[1][..], 1));
    // fewer rows than columns
    let a = matrix(3, 4, 9, F64);
    let b = matrix(4, 4, 2, F64);
    let [x, rest, rank, _] = a.lstsq(&b, 1e-12);
    assert!(far(&plane(&a).dot(&plane(&x)), &plane(&b)) < 1e-12);
    assert!(values(&rest).iter().all(|v| *v < 1e-20) && rank.compute()?.to_scalar::<i64>()? == 4);
    Ok(())
}

#[test]
fn matrices_without_elements() -> Result<(), Error> {
    let of = |m, n| Array::zeros(&[m, n], F64);
    for (m, n) in [(0, 3), (3, 0), (0, 0)] {
        let [q, r] = of(m, n).qr();
        assert_eq!((values(&q).shape(), values(&r).shape()), (&[m, 0][..], &[0, n][..]));
        let [u, s, vt] = of(m, n).svd();
        assert_eq!(
            (values(&u).shape(), values(&s).shape(), values(&vt).shape()),
            (&[m, 0][..], &[0][..], &[0, n][..])
        );
        let [x, rest, rank, _] = of(m, n).lstsq(&Array::ones(&[m], F64), 0.0);
        assert_eq!(values(&x), ArrayD::<f64>::zeros(vec![n]));
        assert_eq!((values(&rest).sum(), rank.compute()?.to_scalar::<i64>()?), (m as f64, 0));
    }
    assert_eq!(values(&of(0, 0).solve(&of(0, 4))).shape(), [0, 4]);
    assert_eq!(values(&of(3, 3).solve(&of(3, 0))).shape(), [3, 0]);
    assert_eq!(values(&of(0, 0).inv()).shape(), [0, 0]);
    assert_eq!(values(&of(0, 0).cholesky()).shape(), [0, 0]);
    assert_eq!(of(0, 0).det().compute()?.to_scalar::<f64>()?, 1.0);
    assert_eq!(values(&of(0, 0).eigh()[0]).shape(), [0]);
    Ok(())
}

#[test]
fn what_has_no_answer_is_an_error() {
    let a = matrix(1, 3, 3, F64);
    let singular = Array::from_ndarray(ndarray::arr2(&[[1.0f64, 2.0], [2.0, 4.0]]));
    let nan = Array::full(&[3, 3], f64::NAN);
    for (array, text) in [
        (Array::arange(0, 4, 1).cholesky(), "must have two axes"),
        (Array::zeros(&[2, 2, 2], F32).qr()[0].clone(), "must have two axes"),
        (matrix(1, 3, 4, F64).inv(), "not square"),
        (matrix(1, 3, 4, F64).eigh()[1].clone(), "not square"),
        (a.solve(&matrix(1, 4, 2, F64)), "same number of rows"),
        (a.lstsq(&Array::zeros(&[4], F64), 0.0)[2].clone(), "same number of rows"),
        (singular.solve(&Array::zeros(&[2], F64)), "singular"),
        (singular.inv(), "pivot 1 is 0"),
        (singular.tril(-1).solve_triangular(&Array::zeros(&[2], F64), true), "pivot 0 is 0"),
        ((-&singular).cholesky(), "not positive definite"),
        (nan.cholesky(), "not positive definite"),
        (nan.svd()[1].clone(), "NaN or infinite"),
        (nan.eigh()[0].clone(), "NaN or infinite"),
        (nan.lstsq(&Array::zeros(&[3], F64), 0.0)[0].clone(), "NaN or infinite"),
    ] {
        let error = array.compute().expect_err(text).to_string();
        assert!(error.contains(text) && error.contains("linalg.rs:"), "{error}");
        assert!(!error.contains("src/array"), "{error}");
    }
}
