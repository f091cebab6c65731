//! Reductions and scans against plain loops, over every subset of axes.

mod common;

use blockwise::prelude::*;
use common::{Rng, Story, computed, from_index, indices, numbered, rechunked, session};
use ndarray::{ArrayD, IxDyn};

/// The elements that fold into each element of the result, in C order, and the result's shape with and without the axes.
fn groups<T: Copy>(a: &ArrayD<T>, axes: &[usize]) -> (Vec<Vec<T>>, Vec<usize>, Vec<usize>) {
    let kept: Vec<usize> = (0..a.ndim()).filter(|k| !axes.contains(k)).collect();
    let short: Vec<usize> = kept.iter().map(|&k| a.shape()[k]).collect();
    let wide = (0..a.ndim()).map(|k| if axes.contains(&k) { 1 } else { a.shape()[k] }).collect();
    let folded: Vec<usize> = axes.iter().map(|&k| a.shape()[k]).collect();
    let groups = indices(&short)
        .iter()
        .map(|i| {
            let of = |j: &Vec<usize>| {
                let mut at = vec![0; a.ndim()];
                kept.iter().zip(i).for_each(|(&k, &v)| at[k] = v);
                axes.iter().zip(j).for_each(|(&k, &v)| at[k] = v);
                a[IxDyn(&at)]
            };
            indices(&folded).iter().map(of).collect()
        })
        .collect();
    (groups, short, wide)
}

/// Every subset of `0..n`.
fn subsets(n: usize) -> Vec<Vec<usize>> {
    (0..1 << n).map(|bits| (0..n).filter(|k| bits >> k & 1 == 1).collect()).collect()
}

fn signed(axes: &[usize], n: usize, rng: &mut Rng) -> Vec<isize> {
    let mut out: Vec<isize> = axes.iter().map(|&k| rng.signed_axis(k, n)).collect();
    if rng.once_in(2) {
        out.reverse();
    }
    out
}

fn close(got: f64, want: f64, digits: f64) -> bool {
    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= digits * want.abs().max(1e-12)
}

/// Mean and m2 in two passes.
fn moments(xs: &[f64]) -> (f64, f64) {
    let mean = xs.iter().sum::<f64>() / xs.len() as f64;
    (mean, xs.iter().map(|x| (x - mean) * (x - mean)).sum())
}

#[test]
fn integers_over_every_subset_of_axes() {
    let mut rng = Rng::new(1);
    for round in 0..120 {
        let shape = rng.shape();
        let a = numbered(&shape).mapv(|v| v % 50);
        let x = rechunked(&Array::from_ndarray(a.clone()), &mut rng);
        for axes in subsets(shape.len()) {
            let _story = Story(format!("round {round}: {shape:?} over {axes:?}, {x:?}"));
            let (groups, short, wide) = groups(&a, &axes);
            let named = signed(&axes, shape.len(), &mut rng);
            let named = named.as_slice();
            let keep = over(named).keepdims();
            let want = |f: &dyn Fn(&[i64]) -> i64| groups.iter().map(|g| f(g)).collect::<Vec<_>>();
            let got = |x: Array| computed::<i64>(&x.cast(I64)).into_iter().collect::<Vec<_>>();
            assert_eq!(x.sum(named).shape(), short);
            assert_eq!(x.sum(keep.clone()).shape(), wide);
            assert_eq!(got(x.sum(named)), want(&|g| g.iter().sum()));
            assert_eq!(got(x.sum(keep.clone())), want(&|g| g.iter().sum()));
            assert_eq!(got(x.prod(named)), want(&|g| g.iter().fold(1i64, |p, v| p.wrapping_mul(*v))));
            assert_eq!(got(x.any(named)), want(&|g| i64::from(g.iter().any(|v| *v != 0))));
            assert_eq!(got(x.all(keep.clone())), want(&|g| i64::from(g.iter().all(|v| *v != 0))));
            assert_eq!(got(x.count_nonzero(named)), want(&|g| g.iter().filter(|v| **v != 0).count() as i64));
            let means = computed::<f64>(&x.mean(named));
            for (m, g) in means.iter().zip(&groups) {
                let (mean, _) = moments(&g.iter().map(|v| *v as f64).collect::<Vec<_>>());
                assert!(close(*m, mean, 1e-14), "{m} for {mean}");
            }
            // what has no value where nothing is folded: an error, unless the result is empty anyway
            let nothing = groups.iter().any(|g| g.is_empty());
            for y in
                [x.min(named), x.max(named), x.argmin(named), x.argmax(named), x.nanmin(named), x.ptp(named)]
            {
                assert_eq!(y.expr().is_err(), nothing, "{:?}", y);
            }
            if nothing {
                continue;
            }
            assert_eq!(got(x.min(named)), want(&|g| g.iter().copied().min().unwrap_or(0)));
            assert_eq!(got(x.max(keep.clone())), want(&|g| g.iter().copied().max().unwrap_or(0)));
            assert_eq!(
                got(x.ptp(named)),
                want(&|g| g.iter().max().unwrap_or(&0) - g.iter().min().unwrap_or(&0))
            );
            let first = |g: &[i64], best: i64| g.iter().position(|v| *v == best).unwrap_or(0) as i64;
            assert_eq!(got(x.argmin(named)), want(&|g| first(g, *g.iter().min().unwrap_or(&0))));
            assert_eq!(got(x.argmax(keep)), want(&|g| first(g, *g.iter().max().unwrap_or(&0))));
        }
    }
}

#[test]
fn floats_with_nan_and_infinities() {
    let mut rng = Rng::new(2);
    for round in 0..120 {
        let shape = rng.shape();
        let specials = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let with_infinities = rng.once_in(3);
        let a = from_index(&shape, |_| match rng.below(9) {
            0 => f64::NAN,
            1 if with_infinities => specials[rng.below(3)],
            _ => rng.within(-40, 40) as f64 / 4.0,
        });
        let x = rechunked(&Array::from_ndarray(a.clone()), &mut rng);
        for axes in subsets(shape.len()) {
            let _story = Story(format!("round {round}: {shape:?} over {axes:?}\n{a}"));
            let (groups, _, _) = groups(&a, &axes);
            let named: Vec<isize> = axes.iter().map(|&k| k as isize).collect();
            let named = named.as_slice();
            let check = |name: &str, y: Array, f: &dyn Fn(&[f64]) -> f64| {
                for (g, group) in computed::<f64>(&y.cast(F64)).iter().zip(&groups) {
                    let want = f(group);
                    assert!(close(*g, want, 1e-12), "{name}: {g} for {want}");
                }
            };
            let numbers = |g: &[f64]| g.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>();
            check("sum", x.sum(named), &|g| g.iter().sum());
            check("nansum", x.nansum(named), &|g| numbers(g).iter().sum());
            check("nanprod", x.nanprod(named), &|g| numbers(g).iter().product());
            check("mean", x.mean(named), &|g| moments(g).0);
            check("nanmean", x.nanmean(named), &|g| moments(&numbers(g)).0);
            check("count of NaN", x.isnan().count_nonzero(named), &|g| (g.len() - numbers(g).len()) as f64);
            for ddof in 0..3 {
                let axes = over(named).ddof(ddof);
                let divided = |xs: &[f64]| match xs.len().checked_sub(ddof) {
                    None | Some(0) => f64::NAN,
                    Some(n) => moments(xs).1 / n as f64,
                };
                check("var", x.var(axes.clone()), &|g| divided(g));
                check("std", x.std(axes.clone()), &|g| divided(g).sqrt());
                check("nanvar", x.nanvar(axes.clone()), &|g| divided(&numbers(g)));
                check("nanstd", x.nanstd(axes.clone().keepdims()), &|g| divided(&numbers(g)).sqrt());
            }
            if groups.iter().any(|g| g.is_empty()) {
                continue;
            }
            let least = |g: &[f64]| {
                g.iter()
                    .copied()
                    .fold(f64::INFINITY, |m, v| if m.is_nan() || v.is_nan() { f64::NAN } else { m.min(v) })
            };
            check("min", x.min(named), &|g| least(g));
            check("max", x.max(named), &|g| -least(&g.iter().map(|v| -v).collect::<Vec<_>>()));
            check("nanmin", x.nanmin(named), &|g| {
                numbers(g).into_iter().reduce(f64::min).unwrap_or(f64::NAN)
            });
            check("nanmax", x.nanmax(named), &|g| {
                numbers(g).into_iter().reduce(f64::max).unwrap_or(f64::NAN)
            });
            let first = |g: &[f64], best: f64| {
                g.iter().position(|v| *v == best || v.is_nan() && best.is_nan()).unwrap_or(0) as f64
            };
            check("argmin", x.argmin(named), &|g| first(g, least(g)));
            check("nanargmax", x.nanargmax(named), &|g| {
                numbers(g).into_iter().reduce(f64::max).map_or(-1.0, |best| first(g, best))
            });
        }
    }
}

#[test]
fn result_dtypes_are_numpys() {
    // dtype, then of sum, mean, min, argmin, cumsum
    let table = [
        (Bool, I64, F64),
        (I8, I64, F64),
        (I16, I64, F64),
        (I32, I64, F64),
        (I64, I64, F64),
        (U8, U64, F64),
        (U16, U64, F64),
        (U32, U64, F64),
        (U64, U64, F64),
        (F16, F16, F16),
        (F32, F32, F32),
        (F64, F64, F64),
    ];
    for (d, sum, mean) in table {
        let x = Array::ones(&[5], d).rechunk(2);
        assert_eq!((x.sum(..).dtype(), x.prod(..).dtype(), x.cumsum(0).dtype()), (sum, sum, sum), "{d}");
        assert_eq!(
            (x.mean(..).dtype(), x.std(..).dtype(), x.nanmean(..).dtype(), x.nanvar(0).dtype()),
            (mean, mean, mean, mean),
            "{d}"
        );
        assert_eq!((x.min(..).dtype(), x.argmax(..).dtype(), x.any(..).dtype()), (d, I64, Bool), "{d}");
        assert_eq!(computed::<f64>(&x.sum(..).cast(F64))[[].as_slice()], 5.0);
        assert_eq!(computed::<f64>(&x.mean(..).cast(F64))[[].as_slice()], 1.0);
        assert_eq!(
            computed::<f64>(&x.cumsum(0).cast(F64)).into_raw_vec_and_offset().0,
            [1.0, 2.0, 3.0, 4.0, 5.0]
        );
        for wanted in [I32, U8, F32, F64] {
            assert_eq!(x.sum(over(..).dtype(wanted)).dtype(), wanted);
            assert_eq!(
                computed::<f64>(&x.sum(over(0).dtype(wanted)).cast(F64))[[].as_slice()],
                5.0,
                "{d} as {wanted}"
            );
            assert_eq!(x.mean(over(..).dtype(wanted)).dtype(), wanted);
        }
    }
    // u8 sums do not wrap, and a narrower dtype does
    let x = Array::full(&[1000], 255u8).rechunk(7);
    assert_eq!(computed::<u64>(&x.sum(..))[[].as_slice()], 255_000);
    assert_eq!(computed::<u8>(&x.sum(over(..).dtype(U8)))[[].as_slice()], (255_000 % 256) as u8);
    // and i64 sums wrap
    let big = Array::from_vec(vec![i64::MAX, 1, 1]).rechunk(1);
    assert_eq!(computed::<i64>(&big.sum(..))[[].as_slice()], i64::MIN + 1);
}

#[test]
fn large_means_and_long_sums_stay_accurate() {
    // deviations -1.5 .. 1.5 about 1e9
    let x =
        Array::from_vec((0..40_000).map(|i| 1e9 + f64::from(i % 4) - 1.5).collect::<Vec<f64>>()).rechunk(977);
    let var = computed::<f64>(&x.var(..))[[].as_slice()];
    assert!(close(var, 1.25, 1e-9), "{var:?}");
    assert!(close(
        computed::<f64>(&x.std(over(0).ddof(1)))[[].as_slice()],
        (1.25f64 * 40_000.0 / 39_999.0).sqrt(),
        1e-9
    ));
    let with_gaps = where_((Array::arange(0, 40_000, 1) % 8).equal(7), f64::NAN, &x);
    let held: Vec<f64> = (0..40_000).filter(|i| i % 8 != 7).map(|i| f64::from(i % 4) - 1.5).collect();
    assert!(close(
        computed::<f64>(&with_gaps.nanvar(..))[[].as_slice()],
        moments(&held).1 / held.len() as f64,
        1e-9
    ));
    // a million times 0.1f32: exact sum rounded once
    let tenths = Array::full(&[1_000_000], 0.1f32).rechunk(4096);
    let want = (f64::from(0.1f32) * 1e6) as f32;
    assert_eq!(computed::<f32>(&tenths.sum(..))[[].as_slice()], want);
    assert_eq!(computed::<f32>(&tenths.mean(..))[[].as_slice()], 0.1f32);
    assert_eq!(
        computed::<f16>(&Array::full(&[5000], f16::from_f32(1.0)).mean(..))[[].as_slice()],
        f16::from_f32(1.0)
    );
}

#[test]
fn scans_along_every_axis() {
    let mut rng = Rng::new(3);
    for _ in 0..150 {
        let shape = rng.shape();
        let a = numbered(&shape).mapv(|v| v % 7 - 2);
        let x = rechunked(&Array::from_ndarray(a.clone()), &mut rng);
        for k in 0..shape.len() {
            let axis = ndarray::Axis(k);
            let mut sums = a.clone();
            sums.accumulate_axis_inplace(axis, |p, v| *v += p);
            let mut products = a.clone();
            products.accumulate_axis_inplace(axis, |p, v| *v = v.wrapping_mul(*p));
            assert_eq!(computed::<i64>(&x.cumsum(rng.signed_axis(k, shape.len()))), sums);
            assert_eq!(computed::<i64>(&x.cumprod(k as isize)), products);
            let halves = computed::<f32>(&(x.cast(F32) / 2).cumsum(k as isize));
            assert_eq!(halves, sums.mapv(|v| v as f32 / 2.0));
        }
    }
}

/// Everything, on 1, 2 and 4 threads, to the bit; exact operations in any chunks.
#[test]
fn threads_and_chunks_change_nothing() {
    let mut rng = Rng::new(4);
    for _ in 0..60 {
        let shape = rng.shape_of(2);
        let a = from_index(&shape, |_| {
            rng.within(-9999, 9999) as f32 / 7.0 * 1.1f32.powi(rng.within(-40, 40) as i32)
        });
        let whole = Array::from_ndarray(a.clone());
        let x = rechunked(&whole, &mut rng);
        let outputs = |x: &Array| -> Vec<Array> {
            let mut out = vec![
                x.sum(..),
                x.mean(0),
                x.std(1),
                x.prod(..),
                x.cumsum(0),
                x.exp().sum(0),
                x / x.mean(over(0).keepdims()),
            ];
            if !a.is_empty() {
                out.extend([x.min(..), x.argmax(0), x.max(over(1).keepdims())]);
            }
            out
        };
        let bits = |b: &Block| -> Vec<u64> {
            let shape = b.shape().to_vec();
            indices(&shape).iter().map(|i| b.get(i).expect("inside").bits()).collect()
        };
        for y in outputs(&x) {
            let one = session(1).compute(&y).expect("computes");
            for threads in [2, 4] {
                assert_eq!(bits(&session(threads).compute(&y).expect("computes")), bits(&one), "{y:?}");
            }
        }
        if !a.is_empty() {
            for (y, z) in [
                (x.min(0), whole.min(0)),
                (x.argmin(..), whole.argmin(..)),
                (x.sqrt() * 3.5, whole.sqrt() * 3.5),
            ] {
                assert_eq!(bits(&y.compute().expect("computes")), bits(&z.compute().expect("computes")));
            }
        }
        // several folds of one pass are those of each alone
        let y = &x * 2.0;
        let together = session(2)
            .compute_all([&y.sum(0), &y.mean(..), &y.std(0), &y.count_nonzero(..), &y])
            .expect("computes");
        for (b, alone) in
            together.iter().zip([y.sum(0), y.mean(..), y.std(0), y.count_nonzero(..), y.clone()])
        {
            assert_eq!(bits(b), bits(&alone.compute().expect("computes")));
        }
    }
}
