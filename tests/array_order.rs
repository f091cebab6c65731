//! `sort`, `argsort`, `topk`, `argtopk`, `quantile`, `median` against plain sorts.

mod common;

use blockwise::prelude::*;
use common::{Rng, Story, computed, from_index, rechunked};
use ndarray::{ArrayD, IxDyn};
use std::cmp::Ordering;

/// NumPy's order, in which NaN is last.
fn rank(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn numbers(x: &Array) -> ArrayD<f64> {
    computed::<f64>(&x.cast(F64))
}

fn same(a: &ArrayD<f64>, b: &ArrayD<f64>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

/// NumPy's linear interpolation.
fn quantile(line: &[f64], q: f64, skip: bool) -> f64 {
    let mut held: Vec<f64> = line.iter().copied().filter(|v| !v.is_nan()).collect();
    if held.is_empty() || !skip && held.len() < line.len() {
        return f64::NAN;
    }
    held.sort_by(rank);
    let place = q * (held.len() - 1) as f64;
    let (low, high) = (held[place.floor() as usize], held[place.ceil() as usize]);
    match place.fract() {
        _ if low == high => low,
        0.0 => low,
        part if part < 0.5 => low + (high - low) * part,
        part => high - (high - low) * (1.0 - part),
    }
}

#[test]
fn lines_in_order() {
    let mut rng = Rng::new(71);
    for round in 0..250 {
        let ndim = 1 + rng.below(3);
        let shape = rng.shape_of(ndim);
        let d = rng.pick(&DType::ALL);
        let values = from_index(&shape, |_| match d {
            _ if d.is_float() && rng.once_in(12) => rng.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
            Bool => rng.below(2) as f64,
            U8 | U16 | U32 | U64 => rng.below(50) as f64,
            _ => rng.within(-20, 20) as f64,
        });
        let x = rechunked(&Array::from_ndarray(values.clone()).cast(d), &mut rng);
        let k = rng.below(ndim);
        let (n, axis) = (shape[k], rng.signed_axis(k, ndim));
        let _story = Story(format!("round {round}: {shape:?} {d} along {axis}"));
        let line = |i: &[usize]| -> Vec<f64> {
            let at = |j| {
                let mut at = i.to_vec();
                at[k] = j;
                values[IxDyn(&at)]
            };
            (0..n).map(at).collect()
        };
        let sorted = |i: &[usize]| {
            let mut line = line(i);
            line.sort_by(rank);
            line
        };
        let order = |i: &[usize], down: bool| {
            let line = line(i);
            let mut order: Vec<usize> = (0..n).collect();
            let by = |a: usize, b: usize| rank(&line[a], &line[b]);
            order.sort_by(|&a, &b| if down { by(b, a) } else { by(a, b) });
            order
        };
        assert_eq!(x.sort(axis).dtype(), d);
        assert!(same(&numbers(&x.sort(axis)), &from_index(&shape, |i| sorted(i)[i[k]])));
        let want = from_index(&shape, |i| order(i, false)[i[k]] as i64);
        assert_eq!(computed::<i64>(&x.argsort(axis)), want);
        let top = rng.within(-6, 6);
        let mut few = shape.clone();
        few[k] = n.min(top.unsigned_abs());
        let pick = |i: &[usize]| order(i, top > 0)[i[k]];
        assert_eq!(computed::<i64>(&x.argtopk(top, axis)), from_index(&few, |i| pick(i) as i64));
        assert!(same(&numbers(&x.topk(top, axis)), &from_index(&few, |i| line(i)[pick(i)])));
        let mut less = shape.clone();
        less.remove(k);
        for q in [0.0, 0.3, 0.5, 0.9, 1.0] {
            for skip in [false, true] {
                let got = if skip { x.nanquantile(q, axis) } else { x.quantile(q, axis) };
                assert_eq!(got.dtype(), if d.is_float() { d } else { F64 });
                let want = from_index(&less, |i| {
                    let mut at = i.to_vec();
                    at.insert(k, 0);
                    quantile(&line(&at), q, skip)
                });
                let tolerance = if d == F16 {
                    2e-2
                } else if d == F32 {
                    1e-5
                } else {
                    1e-12
                };
                let close = |a: f64, b: f64| a == b || (a - b).abs() <= tolerance || a.is_nan() && b.is_nan();
                let got = numbers(&got);
                assert!(
                    got.shape() == want.shape() && got.iter().zip(&want).all(|(a, b)| close(*a, *b)),
                    "{got} {want}"
                );
            }
        }
    }
}

#[test]
fn medians_and_mistakes() {
    let x = Array::from_ndarray(ndarray::arr2(&[[1.0f32, f32::NAN, 5.0], [2.0, 8.0, 4.0]])).rechunk([1, 2]);
    let middle = computed::<f32>(&x.median(1));
    assert!(middle[[0].as_slice()].is_nan() && middle[[1].as_slice()] == 4.0);
    assert_eq!(computed::<f32>(&x.nanmedian(-1)).as_slice().unwrap(), [3.0, 4.0]);
    assert_eq!(computed::<f32>(&x.nanmedian(0)).as_slice().unwrap(), [1.5, 8.0, 4.5]);
    assert!(computed::<f64>(&Array::zeros(&[2, 0], I32).median(1)).iter().all(|v| v.is_nan()));
    assert!(computed::<bool>(&x.allclose(&x, 0.0, 0.0, true))[[].as_slice()]);
    assert!(!computed::<bool>(&x.allclose(&x, 0.0, 0.0, false))[[].as_slice()]);
    for bad in
        [x.sort(2), x.quantile(1.5, 0), x.quantile(f64::NAN, 0), x.median(-3), Array::scalar(1.0f64).sort(0)]
    {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_order.rs")), "{e}");
    }
}
