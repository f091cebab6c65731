//! Windows, places, ranges and statistics of several variables, against plain loops.

mod common;

use blockwise::array::{Coarse, broadcast_arrays, geomspace, logspace, ravel_multi_index};
use blockwise::prelude::*;
use common::{Rng, Story, computed, from_index, indices, numbered, rechunked};
use ndarray::{ArrayD, IxDyn};

fn sample(shape: &[usize], rng: &mut Rng) -> (Array, ArrayD<i64>) {
    let a = numbered(shape);
    (rechunked(&Array::from_ndarray(a.clone()), rng), a)
}

fn flat<T: blockwise::dtype::Element>(x: &Array) -> Vec<T> {
    computed::<T>(x).into_iter().collect()
}

#[test]
fn boxes_become_elements() {
    let mut rng = Rng::new(61);
    for round in 0..250 {
        let shape = rng.shape();
        let (x, a) = sample(&shape, &mut rng);
        let factors: Vec<usize> = shape.iter().map(|_| 1 + rng.below(5)).collect();
        let _story = Story(format!("round {round}: {shape:?} by {factors:?}"));
        let small: Vec<usize> = shape.iter().zip(&factors).map(|(n, f)| n / f).collect();
        let inside = |i: &[usize]| -> Vec<i64> {
            let place =
                |j: Vec<usize>| -> Vec<usize> { (0..i.len()).map(|k| i[k] * factors[k] + j[k]).collect() };
            indices(&factors).into_iter().map(|j| a[IxDyn(&place(j))]).collect()
        };
        let fold = |how| x.coarsen(how, &factors, true);
        assert_eq!(
            computed::<i64>(&fold(Coarse::Sum)),
            from_index(&small, |i| inside(i).iter().sum::<i64>())
        );
        let product = |i: &[usize]| inside(i).iter().fold(1i64, |p, &v| p.wrapping_mul(v));
        assert_eq!(computed::<i64>(&fold(Coarse::Prod)), from_index(&small, product));
        assert_eq!(
            computed::<i64>(&fold(Coarse::Min)),
            from_index(&small, |i| inside(i).into_iter().min().unwrap())
        );
        assert_eq!(
            computed::<i64>(&fold(Coarse::Max)),
            from_index(&small, |i| inside(i).into_iter().max().unwrap())
        );
        assert_eq!(
            computed::<bool>(&fold(Coarse::All)),
            from_index(&small, |i| inside(i).iter().all(|&v| v != 0))
        );
        assert_eq!(
            computed::<bool>(&fold(Coarse::Any)),
            from_index(&small, |i| inside(i).iter().any(|&v| v != 0))
        );
        let mean = |i: &[usize]| inside(i).iter().sum::<i64>() as f64 / inside(i).len() as f64;
        assert_eq!(computed::<f64>(&fold(Coarse::Mean)), from_index(&small, mean));
        let whole = shape.iter().zip(&factors).all(|(n, f)| n % f == 0);
        assert_eq!(x.coarsen(Coarse::Sum, &factors, false).expr().is_ok(), whole);
    }
    // floats are added in f64, and a NaN shows
    let x = Array::from_vec(vec![1e8f32, 1.0, -1e8, f32::NAN]);
    assert_eq!(flat::<f32>(&x.coarsen(Coarse::Sum, &[3], true)), [1.0]);
    assert_eq!(x.coarsen(Coarse::Mean, &[2], true).dtype(), F32);
    assert!(flat::<f32>(&x.coarsen(Coarse::Max, &[4], false))[0].is_nan());
    // a large factor, in steps
    let long = Array::arange(0, 100_000, 1).rechunk(7000);
    let thousands = flat::<i64>(&long.coarsen(Coarse::Sum, &[1000], false));
    assert_eq!(thousands, (0..100).map(|i| 1000 * 1000 * i + 499_500).collect::<Vec<i64>>());
    for bad in [
        x.coarsen(Coarse::Sum, &[3], false),
        x.coarsen(Coarse::Sum, &[0], true),
        x.coarsen(Coarse::Sum, &[], true),
    ] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_windows.rs")), "{e}");
    }
}

/// A coarse image of one that is larger than the limit.
#[test]
fn coarsening_streams() {
    let n = 2048;
    let x = Array::indices(&[n, n], 1).cast(F32).rechunk([64, 512]);
    let session = Session::builder().threads(2).memory_limit("8MiB").build().unwrap();
    let coarse = session.compute(&x.coarsen(Coarse::Mean, &[8, 16], false)).unwrap();
    assert_eq!(coarse.shape(), [256, 128]);
    assert_eq!(coarse.get(&[9, 3]).unwrap(), Scalar::from(55.5f32));
}

#[test]
fn windows_that_move() {
    let mut rng = Rng::new(62);
    for round in 0..120 {
        let ndim = 1 + rng.below(3);
        let shape: Vec<usize> = rng.shape_of(ndim).iter().map(|n| n.max(&1).to_owned()).collect();
        let (x, a) = sample(&shape, &mut rng);
        let k = rng.below(ndim);
        let w = 1 + rng.below(shape[k]);
        let _story = Story(format!("round {round}: {w} along {k} of {shape:?}"));
        let mut want = shape.clone();
        want[k] -= w - 1;
        want.push(w);
        let got = computed::<i64>(&x.sliding_window_view(&[w], &[rng.signed_axis(k, ndim)]));
        let seen = |i: &[usize]| {
            let mut at = i[..ndim].to_vec();
            at[k] += i[ndim];
            a[IxDyn(&at)]
        };
        assert_eq!(got, from_index(&want, seen));
    }
    let (x, a) = sample(&[9, 11], &mut rng);
    let both = computed::<i64>(&x.sliding_window_view(&[3, 2], &[0, -1]));
    assert_eq!(both, from_index(&[7, 10, 3, 2], |i| a[IxDyn(&[i[0] + i[2], i[1] + i[3]])]));
    for bad in [
        x.sliding_window_view(&[0], &[0]),
        x.sliding_window_view(&[10], &[0]),
        x.sliding_window_view(&[1], &[2]),
        x.sliding_window_view(&[1, 1], &[0]),
    ] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_windows.rs")), "{e}");
    }
}

#[test]
fn places_of_what_is_not_zero() {
    let mut rng = Rng::new(63);
    for round in 0..100 {
        let ndim = 1 + rng.below(3);
        let shape = rng.shape_of(ndim);
        let a = from_index(&shape, |_| if rng.once_in(3) { rng.within(-2, 2) as f32 } else { 0.0 });
        let x = rechunked(&Array::from_ndarray(a.clone()), &mut rng);
        let _story = Story(format!("round {round}: {shape:?}"));
        let held: Vec<Vec<usize>> = indices(&shape).into_iter().filter(|i| a[IxDyn(i)] != 0.0).collect();
        let rows: Vec<i64> = held.iter().flatten().map(|&i| i as i64).collect();
        let at = x.argwhere();
        assert_eq!(at.shape(), [held.len(), ndim]);
        assert_eq!(flat::<i64>(&at), rows);
        let columns = x.nonzero();
        assert_eq!(columns.len(), ndim);
        for (k, column) in columns.iter().enumerate() {
            assert_eq!(flat::<i64>(column), held.iter().map(|i| i[k] as i64).collect::<Vec<_>>());
        }
        // there and back
        let places = x.flatnonzero();
        assert_eq!(
            flat::<i64>(&ravel_multi_index(&places.unravel_index(&shape), &shape)),
            flat::<i64>(&places)
        );
    }
    let x = Array::from_vec(vec![3u64, 6]);
    assert!(
        x.unravel_index(&[2, 3])[1].compute().unwrap_err().to_string().contains("index 6 is not below 6")
    );
    assert!(Array::from_vec(vec![u64::MAX]).unravel_index(&[2, 3])[0].compute().is_err());
    assert!(ravel_multi_index(&[x.clone(), x.clone()], &[7, 6]).compute().is_err());
    let no_axis = Array::scalar(1i32).nonzero();
    assert!(no_axis.len() == 1 && no_axis[0].expr().is_err());
    assert_eq!(Array::scalar(1i32).argwhere().shape(), [1, 0]);
    for bad in [
        ravel_multi_index(std::slice::from_ref(&x), &[2, 2]),
        ravel_multi_index(&[], &[]),
        x.cast(F32).unravel_index(&[9])[0].clone(),
    ] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_windows.rs")), "{e}");
    }
}

#[test]
fn single_points() {
    let mut rng = Rng::new(65);
    for round in 0..100 {
        let ndim = 1 + rng.below(3);
        let shape: Vec<usize> = rng.shape_of(ndim).iter().map(|n| n.max(&1).to_owned()).collect();
        let (x, a) = sample(&shape, &mut rng);
        let points = rng.below(9);
        let at: Vec<Vec<usize>> =
            (0..points).map(|_| shape.iter().map(|&n| rng.below(n)).collect()).collect();
        let lists: Vec<Vec<isize>> =
            (0..ndim).map(|k| at.iter().map(|i| rng.signed_axis(i[k], shape[k])).collect()).collect();
        let lists: Vec<&[isize]> = lists.iter().map(Vec::as_slice).collect();
        let _story = Story(format!("round {round}: {lists:?} of {shape:?}"));
        let want: Vec<i64> = at.iter().map(|i| a[IxDyn(i)]).collect();
        assert_eq!(flat::<i64>(&x.vindex(&lists)), want);
    }
    let x = Array::arange(0, 6, 1).reshape(&[2, 3]);
    for bad in
        [x.vindex(&[&[0]]), x.vindex(&[&[0], &[0, 1]]), x.vindex(&[&[0], &[3]]), x.vindex(&[&[-3], &[0]])]
    {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_windows.rs")), "{e}");
    }
}

#[test]
fn ranges_end_where_they_should() {
    for n in 0..20 {
        for (start, stop) in [(1.0, 1000.0), (1000.0, 1.0), (-2.0, -512.0), (1e-300, 1e300), (5.0, 5.0)] {
            let got = flat::<f64>(&geomspace(start, stop, n));
            assert_eq!(got.len(), n);
            for (i, v) in got.iter().enumerate() {
                let part = i as f64 / (n - 1).max(1) as f64;
                let want = f64::signum(start)
                    * (f64::abs(start).ln() * (1.0 - part) + f64::abs(stop).ln() * part).exp();
                assert!((v / want - 1.0).abs() < 1e-12, "{v} {want}");
            }
            assert!(n == 0 || got[0] == start);
            assert!(n < 2 || got[n - 1] == stop);
        }
        let got = flat::<f64>(&logspace(-2.0, 3.0, n, 10.0));
        for (i, v) in got.iter().enumerate() {
            let want = 10f64.powf(-2.0 + 5.0 * i as f64 / (n - 1).max(1) as f64);
            assert!((v / want - 1.0).abs() < 1e-14, "{v} {want}");
        }
    }
    for bad in [
        geomspace(0.0, 1.0, 3),
        geomspace(-1.0, 1.0, 3),
        geomspace(1.0, f64::INFINITY, 3),
        geomspace(1.0, f64::NAN, 3),
    ] {
        assert!(
            bad.compute().unwrap_err().location().is_some_and(|l| l.file().ends_with("array_windows.rs"))
        );
    }
}

#[test]
fn counts_and_correlations() {
    let mut rng = Rng::new(64);
    for _ in 0..60 {
        let (shape, length) = (rng.shape(), 1 + rng.below(9));
        let d = rng.pick(&[U8, I16, I64, U64]);
        let a = from_index(&shape, |_| rng.below(length) as i64);
        let x = rechunked(&Array::from_ndarray(a.clone()).cast(d), &mut rng);
        let want: Vec<i64> =
            (0..length as i64).map(|v| a.iter().filter(|&&w| w == v).count() as i64).collect();
        assert_eq!(flat::<i64>(&x.bincount(length)), want);
    }
    let x = Array::from_vec(vec![0i32, -1, 2]);
    assert!(x.bincount(3).compute().unwrap_err().to_string().contains("index -1"));
    assert!(x.cast(F32).bincount(3).compute().is_err());
    assert_eq!(x.bincount(0).shape(), [0]);
    for _ in 0..40 {
        let (rows, columns) = (1 + rng.below(5), 2 + rng.below(40));
        let a = from_index(&[rows, columns], |_| rng.within(-50, 50) as f64);
        let x = rechunked(&Array::from_ndarray(a.clone()), &mut rng);
        let mean: Vec<f64> = (0..rows)
            .map(|r| (0..columns).map(|c| a[IxDyn(&[r, c])]).sum::<f64>() / columns as f64)
            .collect();
        let cov = from_index(&[rows, rows], |i| {
            let product = |c| (a[IxDyn(&[i[0], c])] - mean[i[0]]) * (a[IxDyn(&[i[1], c])] - mean[i[1]]);
            (0..columns).map(product).sum::<f64>() / (columns - 1) as f64
        });
        let got = computed::<f64>(&x.cov(1));
        assert!(got.iter().zip(&cov).all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + b.abs())), "{got} {cov}");
        let got = computed::<f64>(&x.corrcoef());
        for i in indices(&[rows, rows]) {
            let of = |r: usize, c: usize| cov[IxDyn(&[r, c])];
            let want = of(i[0], i[1]) / (of(i[0], i[0]) * of(i[1], i[1])).sqrt();
            let got = got[IxDyn(&i)];
            assert!((got - want).abs() < 1e-12 && got.abs() <= 1.0 || want.is_nan(), "{got} {want}");
        }
    }
    let line = Array::from_vec(vec![1i16, 2, 3, 4]);
    assert_eq!(flat::<f64>(&line.cov(0)), [1.25]);
    assert_eq!(flat::<f64>(&line.corrcoef()), [1.0]);
    assert_eq!(line.cast(F32).cov(1).dtype(), F32);
    assert!(
        Array::zeros(&[2, 2, 2], F32).cov(1).expr().is_err() && Array::scalar(1.0f32).cov(1).expr().is_err()
    );
}

#[test]
fn matrices_and_broadcasts() {
    assert_eq!(flat::<u8>(&Array::tri(2, 3, 0, U8)), [1, 0, 0, 1, 1, 0]);
    assert_eq!(flat::<u8>(&Array::tri(2, 3, 1, U8)), [1, 1, 0, 1, 1, 1]);
    let v = Array::from_vec(vec![1i64, 2, 3]).rechunk(2);
    for k in -3..4isize {
        let matrix = v.diag(k);
        let n = 3 + k.unsigned_abs();
        let want = from_index(&[n, n], |i| {
            let at = i[0] as isize - (-k).max(0);
            if i[1] as isize - i[0] as isize == k && (0..3).contains(&at) { at as i64 + 1 } else { 0 }
        });
        assert_eq!(computed::<i64>(&matrix), want);
        assert_eq!(flat::<i64>(&matrix.diag(k)), [1, 2, 3]);
    }
    assert!(Array::scalar(1i32).diag(0).expr().is_err());
    let [a, b, c] = broadcast_arrays([&v, &Array::zeros(&[2, 1], U8), &Array::scalar(1.5f32)]);
    assert_eq!((a.shape(), b.dtype(), c.shape()), ([2, 3].as_slice(), U8, [2, 3].as_slice()));
    assert_eq!(flat::<i64>(&a), [1, 2, 3, 1, 2, 3]);
    let [bad, other] = broadcast_arrays([&v, &Array::zeros(&[2], U8)]);
    assert!(bad.expr().is_err() && other.expr().is_err());
}
