//! Parts of numbers, special functions, slopes and integrals, against plain loops and NumPy's answers.

mod common;

use blockwise::dtype::to_float;
use blockwise::prelude::*;
use common::{Rng, Story, computed, from_index, rechunked};
use ndarray::{ArrayD, IxDyn};

fn numbers(x: &Array) -> Vec<f64> {
    computed::<f64>(&x.cast(F64)).into_iter().collect()
}

#[track_caller]
fn same(got: &Array, want: &[f64]) {
    let got = numbers(got);
    let equal = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    assert!(got.len() == want.len() && got.iter().zip(want).all(|(a, b)| equal(*a, *b)), "{got:?} {want:?}");
}

/// Values of every dtype, some of them special, with what they are in f64.
fn samples(d: DType) -> (Array, Vec<f64>) {
    let mut v = vec![0.0, 1.0, 2.0, 3.0, 5.0, 100.0];
    if !matches!(d, Bool | U8 | U16 | U32 | U64) {
        v.extend([-1.0, -3.0, -7.0]);
    }
    if d.is_float() {
        v.extend([0.5, -0.25, 2.5, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0 / 1024.0]);
    }
    let x = Array::from_vec(v.clone()).cast(d).rechunk(4);
    let v = if d == Bool { v.iter().map(|&v| f64::from(v != 0.0)).collect() } else { v };
    (x, v)
}

#[test]
fn real_numbers_have_no_imaginary_part() {
    for d in DType::ALL {
        let (x, v) = samples(d);
        same(&x.real(), &v);
        same(&x.imag(), &vec![0.0; v.len()]);
        same(&x.conj(), &v);
        assert_eq!((x.real().dtype(), x.imag().dtype()), (d, d));
        assert_eq!(x.conj().dtype(), if d == Bool { I8 } else { d });
        assert_eq!(x.angle().dtype(), if d == Bool { F64 } else { to_float(d) });
        let pi = Scalar::from(std::f64::consts::PI).cast(x.angle().dtype()).as_f64();
        let angle = |v: &f64| {
            if v.is_nan() {
                f64::NAN
            } else if v.is_sign_negative() {
                pi
            } else {
                0.0
            }
        };
        same(&x.angle(), &v.iter().map(angle).collect::<Vec<_>>());
        assert!(computed::<bool>(&x.isreal()).iter().all(|b| *b));
        assert!(!computed::<bool>(&x.iscomplex()).iter().any(|b| *b));
    }
}

#[test]
fn parts_of_floats() {
    for d in DType::ALL {
        let (x, v) = samples(d);
        let (fraction, whole) = x.modf();
        assert_eq!((fraction.dtype(), whole.dtype()), (to_float(d), to_float(d)));
        same(&whole, &v.iter().map(|v| v.trunc()).collect::<Vec<_>>());
        let part = |v: &f64| (if v.is_infinite() { 0.0 } else { v - v.trunc() }).copysign(*v);
        same(&fraction, &v.iter().map(part).collect::<Vec<_>>());
        let (mantissa, exponent) = x.frexp();
        assert_eq!((mantissa.dtype(), exponent.dtype()), (to_float(d), I32));
        // put together again they are the number
        same(&mantissa.ldexp(&exponent), &v);
        for (m, v) in numbers(&mantissa).into_iter().zip(&v) {
            assert!(*v == 0.0 || !v.is_finite() || (0.5..1.0).contains(&m.abs()), "{m} of {v}");
        }
        let up = x.ldexp(3);
        assert_eq!(up.dtype(), to_float(d));
        same(&up, &v.iter().map(|v| v * 8.0).collect::<Vec<_>>());
    }
    let smallest = Array::from_vec(vec![f16::from_bits(1), f16::MIN_POSITIVE, f16::MAX]);
    let (m, e) = smallest.frexp();
    same(&e, &[-23.0, -13.0, 16.0]);
    same(&m, &[0.5, 0.5, 65504.0 / 65536.0]);
    same(&smallest.ldexp(-1), &[0.0, 1.0 / 32768.0, 32752.0]);
    let x = Array::from_vec(vec![1.0f32, 1.5]).rechunk(1);
    same(&x.ldexp(Array::from_vec(vec![-405i64, -149])), &[0.0, 2.0 * f64::from(f32::from_bits(1))]);
    same(&x.ldexp(Array::from_ndarray(ndarray::arr2(&[[0i16], [1]]))), &[1.0, 1.5, 2.0, 3.0]);
    for bad in [x.ldexp(1.5), x.ldexp(1u64), x.ldexp(Array::zeros(&[3], I32))] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_functions.rs")), "{e}");
    }
    let x = Array::from_vec(vec![1.0f64, -1.0, 0.0, -0.0, f64::MAX, f64::INFINITY, f64::NAN]);
    let inf = f64::INFINITY;
    same(&x.spacing(), &[f64::EPSILON, -f64::EPSILON, 5e-324, 5e-324, inf, f64::NAN, f64::NAN]);
    same(&Array::from_vec(vec![1i16, -2]).spacing(), &[2f64.powi(-23), -(2f64.powi(-22))]);
}

/// NumPy 2's table of dtypes.
#[test]
fn rounding_of_integers_is_numpys() {
    for d in DType::ALL {
        let (x, v) = samples(d);
        for y in [x.floor(), x.ceil(), x.trunc()] {
            assert_eq!(y.dtype(), d);
        }
        assert_eq!(x.rint().dtype(), to_float(d));
        assert_eq!(x.round(0).dtype(), if d == Bool { F16 } else { d });
        if !d.is_float() {
            for y in [x.floor(), x.ceil(), x.trunc(), x.rint(), x.round(0)] {
                same(&y, &v);
            }
        }
    }
}

#[test]
fn special_functions() {
    let x = Array::from_vec(vec![0.0f64, 0.5, -1.5, 3.0, 8.0, 8.5, 700.0, f64::NAN]).rechunk(3);
    // numpy.i0 and numpy.sinc, 2.4
    let i0 = [
        1.0,
        1.0634833707413236,
        1.6467231897728904,
        4.880792585865024,
        427.56411572180474,
        683.1619269901155,
        1.5295933476718737e302,
        f64::NAN,
    ];
    for (a, b) in numbers(&x.i0()).iter().zip(i0) {
        assert!((a / b - 1.0).abs() < 4e-15 || a.is_nan() && b.is_nan(), "{a} {b}");
    }
    let sinc = [1.0, std::f64::consts::FRAC_2_PI, -0.2122065907891938];
    for (a, b) in numbers(&x.sinc()).iter().zip(sinc) {
        assert!((a / b - 1.0).abs() < 1e-14, "{a} {b}");
    }
    assert!(numbers(&x.sinc())[7].is_nan());
    for d in DType::ALL {
        let (x, _) = samples(d);
        let real = if d.is_float() { d } else { F64 };
        assert_eq!((x.i0().dtype(), x.sinc().dtype()), (real, real), "{d}");
        assert_eq!((numbers(&x.i0())[0], numbers(&x.sinc())[0]), (1.0, 1.0));
    }
    assert!(numbers(&Array::scalar(f32::INFINITY).i0())[0].is_nan());
}

/// The slope along the last axis of rows, by NumPy's formulas.
fn slopes(row: &[f64], at: &[f64]) -> Vec<f64> {
    let n = row.len();
    (0..n)
        .map(|i| {
            let (lo, hi) = (i.saturating_sub(1), (i + 1).min(n - 1));
            if hi - lo < 2 {
                return (row[hi] - row[lo]) / (at[hi] - at[lo]);
            }
            let (l, r) = (at[i] - at[lo], at[hi] - at[i]);
            row[lo] * (-r / (l * (l + r))) + row[i] * ((r - l) / (l * r)) + row[hi] * (l / (r * (l + r)))
        })
        .collect()
}

fn close(got: &Array, want: &ArrayD<f64>, tolerance: f64) {
    let got = computed::<f64>(&got.cast(F64));
    assert_eq!(got.shape(), want.shape());
    for (a, b) in got.iter().zip(want) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn slopes_and_integrals() {
    let mut rng = Rng::new(41);
    for round in 0..250 {
        let ndim = 1 + rng.below(3);
        let mut shape = rng.shape_of(ndim);
        let k = rng.below(ndim);
        shape[k] = shape[k].max(2);
        let n = shape[k];
        let (d, axis) = (rng.pick(&[U8, I16, I64, F32, F64]), rng.signed_axis(k, ndim));
        let values = from_index(&shape, |_| rng.below(200) as f64);
        let x = rechunked(&Array::from_ndarray(values.clone()).cast(d), &mut rng);
        let _story = Story(format!("round {round}: {shape:?} {d} along {axis}"));
        let line = |i: &[usize]| -> Vec<f64> {
            let mut at = i.to_vec();
            (0..n)
                .map(|j| {
                    at[k] = j;
                    values[IxDyn(&at)]
                })
                .collect()
        };
        let even: Vec<f64> = (0..n).map(|i| i as f64 * 0.5).collect();
        let uneven: Vec<f64> = (0..n)
            .scan(0.0, |at, _| {
                *at += 1.0 + rng.below(4) as f64;
                Some(*at)
            })
            .collect();
        let real = if d.is_float() { d } else { F64 };
        let tolerance = if d == F32 { 1e-4 } else { 1e-12 };
        for (spacing, at) in [(None, &even), (Some(Array::from_vec(uneven.clone()).rechunk(3)), &uneven)] {
            let got = match &spacing {
                None => x.gradient(0.5, axis),
                Some(at) => x.gradient(at, axis),
            };
            assert_eq!(got.dtype(), real);
            close(&got, &from_index(&shape, |i| slopes(&line(i), at)[i[k]]), tolerance);
            let area = match &spacing {
                None => x.trapezoid(0.5, axis),
                Some(at) => x.trapezoid(at, axis),
            };
            let mut less = shape.clone();
            less.remove(k);
            let want = from_index(&less, |i| {
                let mut full = i.to_vec();
                full.insert(k, 0);
                let row = line(&full);
                (1..n).map(|i| (row[i] + row[i - 1]) * (at[i] - at[i - 1]) / 2.0).sum()
            });
            close(&area, &want, tolerance);
        }
        assert_eq!(numbers(&x.ediff1d()).len(), values.len().saturating_sub(1));
    }
    let x = Array::from_vec(vec![f64::INFINITY, 1.0, f64::NAN, 2.0, 4.0, 8.0]).rechunk(2);
    let got = numbers(&x.gradient(1, 0));
    assert!(
        got[0] == f64::NEG_INFINITY && got[1].is_nan() && got[2] == 0.5 && got[3].is_nan() && got[5] == 4.0
    );
    assert_eq!(numbers(&Array::from_vec(vec![1u8, 5, 2]).ediff1d()), [4.0, 253.0]);
    for bad in [
        Array::scalar(1.0f64).gradient(1, 0),
        Array::zeros(&[1, 4], F64).gradient(1, 0),
        x.gradient(Array::zeros(&[5], F64), 0),
        x.gradient(1, 1),
        x.trapezoid(Array::zeros(&[2, 3], F64), 0),
    ] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_functions.rs")), "{e}");
    }
}

/// Where shifted arrays meet, tasks stay as large as the array's chunks.
#[test]
fn shifts_leave_no_dust() {
    let x = Array::zeros(&[1000, 100], F32).rechunk([100, -1]);
    assert_eq!(x.gradient(1, 0).chunks().unwrap(), x.chunks().unwrap());
    assert_eq!(x.diff(1, 0).chunks().unwrap().len(), 10);
    assert_eq!(x.diff(2, 0).chunks().unwrap().len(), 10);
}
