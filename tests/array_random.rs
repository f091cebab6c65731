//! Random arrays against plain loops and known numbers, and the distributions against their distribution functions.

#[path = "common/mod.rs"]
mod common;

use blockwise::compute;
use blockwise::ir::{Plain, threefry};
use blockwise::prelude::*;
use common::{Rng, computed};
use std::f64::consts::PI;

/// The bits of some elements of array number `n` of a generator.
fn bits_of(seed: u64, n: u64, places: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let halves = |x: u64| [(x >> 32) as u32, x as u32];
    let key = threefry(&mut Plain, halves(seed), halves(n));
    let word = |place| {
        let [a, b] = threefry(&mut Plain, key, halves(place));
        (a as u64) << 32 | b as u64
    };
    places.into_iter().map(word).collect()
}

/// From jax 0.10.2: `jax.random.bits(jax.random.fold_in(jax.random.key(seed), n), shape, "uint64")`.
#[test]
fn bits_are_those_of_jax() -> Result<(), Error> {
    let mut rng = Generator::new(42);
    let first = rng.bits(&[2, 3]).compute()?;
    let expect = [
        0x3c54_dd4a_bbeb_f007,
        0x65ae_5e0e_3596_dfce,
        0xf423_f625_12e9_4690,
        0x6c89_ce74_de4c_3cde,
        0xed90_78c6_73a9_f55e,
        0xf740_ffc1_6871_4d3e,
    ];
    assert_eq!(first.as_slice::<u64>()?, expect);
    let second = rng.bits(&[2]).compute()?;
    assert_eq!(second.as_slice::<u64>()?, [0xbdfb_82f1_07b3_b635, 0x8c12_66ac_45a3_d6be]);

    let mut rng = Generator::new((7 << 32) + 9);
    let long = rng.clone().bits(&[2]).compute()?;
    assert_eq!(long.as_slice::<u64>()?, [0x892a_393b_03c5_0388, 0x83e9_a1bf_bdf3_5894]);
    // "uint32", of which 24 bits are used
    let short = rng.random(&[4], F32).compute()?;
    let expect = [0x008a_ef3a, 0x003e_1af9, 0x0031_e6a5, 0x0077_e8b1].map(|x| x as f32 / (1 << 24) as f32);
    assert_eq!(short.as_slice::<f32>()?, expect);
    Ok(())
}

#[test]
fn a_number_depends_on_the_place_alone() -> Result<(), Error> {
    let mut rng = Rng::new(11);
    for seed in 0..60 {
        let shape = rng.shape();
        let n = shape.iter().product::<usize>() as u64;
        let whole = bits_of(seed, 1, 0..n);
        let mut generator = Generator::new(seed);
        generator.bits(&[1]);
        let x = generator.bits(&shape);
        let chunked = common::rechunked(&x, &mut rng);
        assert_eq!(chunked.compute()?.as_slice::<u64>()?, whole, "{shape:?}");

        // what the same loops give for an array of these numbers in memory
        let known = Array::from_vec(whole).reshape(&shape.iter().map(|&n| n as isize).collect::<Vec<_>>());
        let views: [fn(&Array) -> Array; 5] = [
            |x| x.flip(None),
            |x| x.transpose(None),
            |x| x.reshape(&[-1]),
            |x| x.expand_dims(0).repeat(2, 0),
            |x| if x.ndim() > 0 { x.index(ix![Ix::Slice(Some(1), None, 2)]) } else { x.clone() },
        ];
        for view in views {
            assert_eq!(computed::<u64>(&view(&chunked)), computed::<u64>(&view(&known)), "{shape:?}");
        }
    }
    Ok(())
}

#[test]
fn places_beyond_32_bits() -> Result<(), Error> {
    let (rows, columns) = (1 << 20, (1 << 14) + 3);
    let x = Generator::new(5).bits(&[rows, columns]);
    let window = x.slice(s![-2.., ..;5461]).compute()?;
    let places =
        [rows - 2, rows - 1].map(|r| (0..columns).step_by(5461).map(move |c| (r * columns + c) as u64));
    assert_eq!(window.as_slice::<u64>()?, bits_of(5, 0, places.into_iter().flatten()));
    // just as many as 32 bits count
    let x = Generator::new(5).bits(&[1 << 16, 1 << 16, 1]);
    let corner = x.slice(s![-1, -2.., 0]).compute()?;
    assert_eq!(corner.as_slice::<u64>()?, bits_of(5, 0, [(1 << 32) - 2, (1 << 32) - 1]));
    Ok(())
}

#[test]
fn an_array_is_the_same_in_every_pass_and_generators_differ() -> Result<(), Error> {
    let mut rng = Generator::new(1);
    let x = rng.random(&[300, 7], F64).rechunk([50, 3]);
    // two passes: the mean, then what is compared with it
    let centred = (&x - x.mean(0)).sum(0).compute()?;
    assert!(centred.as_slice::<f64>()?.iter().all(|s| s.abs() < 1e-12), "{centred:?}");
    assert_eq!((&x - &x.rechunk(-1)).abs().max(..).compute()?.to_scalar::<f64>()?, 0.0);

    let mut children = rng.clone().spawn(2);
    let y = rng.clone().random(&[300, 7], F64);
    let mut all = vec![x.clone(), y];
    all.extend(children.iter_mut().map(|c| c.random(&[300, 7], F64)));
    for (k, a) in all.iter().enumerate() {
        assert_eq!(computed::<f64>(a), computed::<f64>(a));
        for b in &all[k + 1..] {
            let product = ((a - 0.5) * (b - 0.5)).mean(..).compute()?.to_scalar::<f64>()?;
            assert!(product.abs() < 4.0 / 12.0 / 2100f64.sqrt(), "{k}: {product}");
        }
    }
    // one array was made before
    assert_eq!(rng.spawn(2), Generator::new(1).spawn(3)[1..]);
    Ok(())
}

#[test]
fn integers_are_the_high_half_of_the_product() -> Result<(), Error> {
    for (low, high) in [
        (0, 1),
        (0, 10),
        (-5, 5),
        (0, 1 << 32),
        (-7, (1 << 40) + 3),
        (i64::MIN, i64::MAX),
        (i64::MAX - 1, i64::MAX),
    ] {
        let x = Generator::new(9).integers(low, high, &[501]).compute()?;
        let range = high.wrapping_sub(low) as u64;
        let expect: Vec<i64> = bits_of(9, 0, 0..501)
            .into_iter()
            .map(|b| low.wrapping_add(((b as u128 * range as u128) >> 64) as i64))
            .collect();
        assert_eq!(x.as_slice::<i64>()?, expect, "{low} {high}");
    }
    Ok(())
}

#[test]
fn uniform_numbers_of_every_float() -> Result<(), Error> {
    for (d, digits) in [(F16, 11), (F32, 24), (F64, 53)] {
        let x = Generator::new(4).random(&[100_000], d);
        assert_eq!(x.dtype(), d);
        let scaled = x.cast(F64) * 2f64.powi(digits);
        let [least, most, whole, mean] = compute!(
            scaled.min(..),
            scaled.max(..),
            scaled.equal(scaled.floor()).all(..),
            x.cast(F64).mean(..)
        )?;
        assert!(least.to_scalar::<f64>()? >= 0.0 && most.to_scalar::<f64>()? < 2f64.powi(digits));
        assert!(whole.to_scalar::<bool>()? && (mean.to_scalar::<f64>()? - 0.5).abs() < 0.003);
    }
    // f32 and f16 are the same draw
    let [long, short] = [F32, F16].map(|d| Generator::new(2).random(&[1000], d));
    let cut = ((long * 2048.0).floor() / 2048.0).cast(F16);
    assert_eq!(computed::<f16>(&cut), computed::<f16>(&short));
    Ok(())
}

/// The largest distance between the distribution function of numbers and `cdf`, times the root of their number: below 1.95 for 999 of
/// 1000 seeds (Kolmogorov and Smirnov).
fn distance(x: &Array, cdf: impl Fn(f64) -> f64) -> f64 {
    let sorted = x.cast(F64).rechunk(-1).sort(0).compute().expect("numbers");
    let sorted = sorted.as_slice::<f64>().expect("f64");
    let n = sorted.len() as f64;
    let gap = |(k, &v): (usize, &f64)| (cdf(v) - k as f64 / n).abs().max((cdf(v) - (k + 1) as f64 / n).abs());
    sorted.iter().enumerate().map(gap).fold(0.0, f64::max) * n.sqrt()
}

/// Of the normal distribution, by its Taylor series.
fn phi(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return f64::from(x > 0.0);
    }
    let (mut term, mut sum) = (x, x);
    for k in 1..200 {
        term *= -x * x / (2.0 * k as f64);
        sum += term / (2 * k + 1) as f64;
    }
    0.5 + sum / (2.0 * PI).sqrt()
}

#[test]
fn distributions_are_what_they_are_called() {
    const N: usize = 40_000;
    let rng = || Generator::new(2026);
    let unit = |x: f64| x.clamp(0.0, 1.0);
    let exp = |x: f64| 1.0 - (-x).exp();
    let size = &[N][..];
    let found = [
        ("uniform", distance(&rng().uniform(-3, 5.0, size), |x| unit((x + 3.0) / 8.0))),
        ("normal", distance(&rng().normal(1.5, 0.25, size), |x| phi((x - 1.5) / 0.25))),
        ("normal f32", distance(&rng().standard_normal(size, F32), phi)),
        ("lognormal", distance(&rng().lognormal(0.5, 2.0, size), |x| phi((x.ln() - 0.5) / 2.0))),
        ("exponential", distance(&rng().exponential(4.0, size), |x| exp(x / 4.0))),
        ("exponential f32", distance(&rng().standard_exponential(size, F32), exp)),
        (
            "laplace",
            distance(&rng().laplace(1.0, 2.0, size), |x| {
                let half = 0.5 * (-(x - 1.0).abs() / 2.0).exp();
                if x < 1.0 { half } else { 1.0 - half }
            }),
        ),
        ("logistic", distance(&rng().logistic(1.0, 2.0, size), |x| 1.0 / (1.0 + (-(x - 1.0) / 2.0).exp()))),
        ("gumbel", distance(&rng().gumbel(1.0, 2.0, size), |x| (-(-(x - 1.0) / 2.0).exp()).exp())),
        ("cauchy", distance(&rng().standard_cauchy(size), |x| 0.5 + x.atan() / PI)),
        ("rayleigh", distance(&rng().rayleigh(3.0, size), |x| exp(x * x / 18.0))),
        ("weibull", distance(&rng().weibull(1.7, size), |x| exp(x.powf(1.7)))),
        ("pareto", distance(&rng().pareto(2.5, size), |x| 1.0 - (1.0 + x).powf(-2.5))),
        ("power", distance(&rng().power(2.5, size), |x| x.powf(2.5))),
        (
            "triangular",
            distance(&rng().triangular(-1.0, 0.0, 3.0, size), |x| {
                if x < 0.0 { (x + 1.0).powi(2) / 4.0 } else { 1.0 - (3.0 - x).powi(2) / 12.0 }
            }),
        ),
        (
            "wald",
            distance(&rng().wald(2.0, 3.0, size), |x| {
                let root = (3.0 / x).sqrt();
                phi(root * (x / 2.0 - 1.0)) + 3f64.exp() * phi(-root * (x / 2.0 + 1.0))
            }),
        ),
    ];
    for (name, d) in found {
        assert!(d < 1.95, "{name}: {d}");
    }
}

#[test]
fn sampled_distributions_are_what_they_are_called() -> Result<(), Error> {
    const N: usize = 40_000;
    let rng = || Generator::new(11);
    let size = &[N][..];
    let square = |x: f64| x * x;
    let found = [
        ("gamma 1", distance(&rng().gamma(1, 2.0, size), |x| 1.0 - (-x / 2.0).exp())),
        ("gamma 3", distance(&rng().gamma(3.0, 1, size), |x| 1.0 - (-x).exp() * (1.0 + x + x * x / 2.0))),
        ("gamma 1/2", distance(&rng().gamma(0.5, 2, size), |x| 2.0 * phi(x.sqrt()) - 1.0)),
        ("chi-square 1", distance(&rng().chisquare(1, size), |x| 2.0 * phi(x.sqrt()) - 1.0)),
        ("chi-square 4", distance(&rng().chisquare(4, size), |x| 1.0 - (-x / 2.0).exp() * (1.0 + x / 2.0))),
        ("beta", distance(&rng().beta(2, 3, size), |x| square(x) * (6.0 - 8.0 * x + 3.0 * x * x))),
        ("f", distance(&rng().f(2, 4, size), |x| 1.0 - 1.0 / square(1.0 + x / 2.0))),
        ("t 1", distance(&rng().standard_t(1, size), |x| 0.5 + x.atan() / PI)),
        ("t 2", distance(&rng().standard_t(2, size), |x| 0.5 + x / (2.0 * (2.0 + x * x).sqrt()))),
        (
            "dirichlet",
            // of (1, 2, 2), the second part has the beta distribution of 2 and 3
            distance(&rng().dirichlet(&[1.0, 2.0, 2.0], size).index(ix![.., 1]), |x| {
                square(x) * (6.0 - 8.0 * x + 3.0 * x * x)
            }),
        ),
    ];
    for (name, d) in found {
        assert!(d < 1.95, "{name}: {d}");
    }
    let whole = rng().dirichlet(&[0.5, 3.0], &[100, 2]);
    assert_eq!(whole.shape(), [100, 2, 2]);
    assert!((whole.sum(-1) - 1.0).abs().max(..).compute()?.to_scalar::<f64>()? < 1e-15);

    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let choose = |n: u32, k: u32| if k > n { 0.0 } else { factorial(n) / factorial(k) / factorial(n - k) };
    let zeta = (1..200_000).map(|k| (k as f64).powf(-2.5)).sum::<f64>();
    for (name, drawn, probability) in [
        (
            "poisson",
            rng().poisson(4.5, size),
            Box::new(|k| 4.5f64.powi(k as i32) * (-4.5f64).exp() / factorial(k)) as Box<dyn Fn(u32) -> f64>,
        ),
        (
            "binomial",
            rng().binomial(9, 0.3, size),
            Box::new(|k| choose(9, k) * 0.3f64.powi(k as i32) * 0.7f64.powi(9 - k as i32)),
        ),
        (
            "negative binomial",
            rng().negative_binomial(3, 0.4, size),
            Box::new(|k| choose(k + 2, k) * 0.4f64.powi(3) * 0.6f64.powi(k as i32)),
        ),
        (
            "hypergeometric",
            rng().hypergeometric(6, 8, 5, size),
            Box::new(|k| if k > 5 { 0.0 } else { choose(6, k) * choose(8, 5 - k) / choose(14, 5) }),
        ),
        (
            "zipf",
            rng().zipf(2.5, size),
            Box::new(|k| if k == 0 { 0.0 } else { f64::from(k).powf(-2.5) / zeta }),
        ),
    ] {
        assert_eq!(drawn.dtype(), I64);
        let counts = drawn.clip(0, 9).bincount(10).compute()?;
        for (k, n) in (0..9).zip(counts.as_slice::<i64>()?) {
            let expect = N as f64 * probability(k);
            assert!((*n as f64 - expect).abs() <= 4.0 * expect.sqrt(), "{name} {k}: {n} not {expect}");
        }
    }
    Ok(())
}

#[test]
fn samples_depend_on_the_place_alone() -> Result<(), Error> {
    let rate = Array::arange(0, 7, 1).cast(F64);
    let x = Generator::new(3).poisson(&rate, &[50, 7]);
    let whole = computed::<i64>(&x.rechunk(-1));
    assert_eq!(computed::<i64>(&x.rechunk([7, 2])), whole);
    let window = computed::<i64>(&x.slice(s![10..20;3, ..;-2]));
    assert_eq!(window, whole.slice(s![10..20;3, ..;-2]).into_dyn());
    assert_eq!(computed::<f64>(&Generator::new(3).gamma(2, 1, &[0, 3])).shape(), [0, 3]);
    let one = computed::<i64>(&Generator::new(3).poisson(4, &[]));
    assert_eq!(one.first(), computed::<i64>(&Generator::new(3).poisson(4, &[5])).first());
    // alike parameters beside each other are prepared once: what is drawn is the same
    let one_by_one = computed::<i64>(&Generator::new(3).poisson(rate.index(ix![3]), &[50, 7]));
    assert_eq!(one_by_one.slice(s![.., 3]), whole.slice(s![.., 3]));
    Ok(())
}

#[test]
fn extreme_parameters_end_or_are_errors() -> Result<(), Error> {
    let n = &[200][..];
    let rng = || Generator::new(0);
    let numbers = |x: Array| x.isnan().any(..).compute()?.to_scalar::<bool>().map(|nan| !nan);
    for x in [1e-300, 1e-9, 1e9, 1e300, f64::MAX] {
        for drawn in [rng().gamma(x, 1, n), rng().gamma(1, x, n), rng().chisquare(x, n), rng().weibull(x, n)]
        {
            assert!(numbers(drawn)?, "{x}");
        }
        // what a library refuses is an error
        for drawn in [
            rng().poisson(x, n),
            rng().negative_binomial(x, 0.5, n),
            rng().beta(x, x, n),
            rng().zipf(1.0 + x, n),
        ] {
            let _ = drawn.compute();
        }
    }
    assert_eq!(rng().gamma(0, 1, n).max(..).compute()?.to_scalar::<f64>()?, 0.0);
    assert_eq!(rng().poisson(0, n).max(..).compute()?.to_scalar::<i64>()?, 0);
    for (p, expect) in [(0.0, 0), (1.0, 1 << 50)] {
        assert_eq!(rng().binomial(1i64 << 50, p, n).min(..).compute()?.to_scalar::<i64>()?, expect);
    }
    assert_eq!(rng().hypergeometric(0, 0, 0, n).max(..).compute()?.to_scalar::<i64>()?, 0);
    let big = rng().binomial(1i64 << 50, 0.5, n).mean(..).compute()?.to_scalar::<f64>()?;
    assert!((big / 2f64.powi(49) - 1.0).abs() < 1e-6);
    Ok(())
}

#[test]
fn counts_are_what_they_should_be() -> Result<(), Error> {
    const N: usize = 100_000;
    let trials = Generator::new(8).geometric(0.3, &[N]);
    let counts = trials.clip(0, 9).bincount(10).compute()?;
    let counts = counts.as_slice::<i64>()?;
    assert_eq!(counts[0], 0);
    for (k, &n) in (0..8).zip(&counts[1..]) {
        let expect = N as f64 * 0.3 * 0.7f64.powi(k);
        assert!((n as f64 - expect).abs() < 4.0 * expect.sqrt(), "{k}: {n} {expect}");
    }
    assert_eq!(Generator::new(8).geometric(1.0, &[50]).max(..).compute()?.to_scalar::<i64>()?, 1);

    let weights = [0.0, 2.0, 0.0, 1.0, 5.0, 0.0];
    let drawn = Generator::new(8).categorical(&weights, &[N]);
    let counts = drawn.bincount(6).compute()?;
    for (n, w) in counts.as_slice::<i64>()?.iter().zip(weights) {
        let expect = N as f64 * w / 8.0;
        assert!((*n as f64 - expect).abs() <= 4.0 * expect.sqrt(), "{n} {expect}");
    }
    assert_eq!(Generator::new(8).categorical(&[3.0], &[9]).max(..).compute()?.to_scalar::<i64>()?, 0);

    for n in [0, 1, 2, 1000] {
        let order = Generator::new(3).permutation(n);
        assert!(order.sort(0).compute()?.as_slice::<i64>()?.iter().copied().eq(0..n as i64));
    }
    // numbers of no place have nothing to do with it
    let order = Generator::new(3).permutation(1000).compute()?;
    let fixed = order.as_slice::<i64>()?.iter().enumerate().filter(|(k, v)| *k as i64 == **v).count();
    assert!(fixed < 8, "{fixed}");
    Ok(())
}

#[test]
fn parameters_may_be_arrays() -> Result<(), Error> {
    let mean = Array::from_vec(vec![0.0f64, 1e6]);
    let x = Generator::new(6).normal(&mean, 2, &[1000, 2]);
    let plain = Generator::new(6).standard_normal(&[1000, 2], F64) * 2 + &mean;
    assert_eq!(computed::<f64>(&x), computed::<f64>(&plain));
    // what is empty stays so
    assert_eq!(Generator::new(6).normal(0, 1, &[0, 3]).compute()?.shape(), [0, 3]);
    assert_eq!(Generator::new(6).integers(3, 3, &[0]).compute()?.shape(), [0]);
    assert_eq!(Generator::new(6).exponential(0, &[3]).compute()?.as_slice::<f64>()?, [0.0; 3]);
    assert_eq!(Generator::new(6).normal(f64::INFINITY, 0, &[]).compute()?.to_scalar::<f64>()?, f64::INFINITY);
    Ok(())
}

#[test]
fn wrong_parameters_are_errors() {
    let rng = || Generator::new(0);
    let wide = Array::from_vec(vec![1.0f64, 2.0]);
    for (array, text) in [
        (rng().random(&[3], I32), "i32"),
        (rng().standard_normal(&[3], Bool), "bool"),
        (rng().standard_exponential(&[3], U8), "u8"),
        (rng().integers(3, 3, &[1]), "no integer from 3 to below 3"),
        (rng().integers(5, -5, &[1]), "no integer from 5 to below -5"),
        (rng().normal(0, -1, &[3]), "at least 0"),
        (rng().lognormal(0, f64::NAN, &[3]), "at least 0"),
        (rng().weibull(0, &[3]), "above 0"),
        (rng().wald(1, -1, &[3]), "above 0"),
        (rng().geometric(1.5, &[3]), "at most 1"),
        (rng().normal(&wide, 1, &[3]), "[2]"),
        (rng().normal(&wide, 1, &[1]), "[2] and [1]"),
        (rng().categorical(&[], &[3]), "weights"),
        (rng().categorical(&[1.0, -1.0, 3.0], &[3]), "weights"),
        (rng().categorical(&[f64::INFINITY], &[3]), "weights"),
        (rng().categorical(&[f64::NAN, 1.0], &[3]), "weights"),
        (rng().bits(&[usize::MAX, 2]), "elements"),
        (rng().gamma(-1, 1, &[3]), "at least 0"),
        (rng().poisson(f64::INFINITY, &[3]), "finite"),
        (rng().binomial(2.5, 0.5, &[3]), "whole number"),
        (rng().binomial(2, 1.5, &[3]), "from 0 to 1"),
        (rng().beta(1, 0, &[3]), "above 0"),
        (rng().zipf(1, &[3]), "above 1"),
        (rng().dirichlet(&[], &[3]), "at least one"),
        (rng().chisquare(&wide, &[3]), "[2]"),
    ] {
        let error = array.check().expect_err(text).to_string();
        assert!(error.contains(text) && error.contains("array_random.rs"), "{error}");
    }
    // elements are known when they are computed
    let rates = Array::from_vec(vec![1.0f64, -2.0]);
    let error = rng().poisson(&rates, &[2]).compute().expect_err("a negative rate").to_string();
    assert!(
        error.contains("-2") && error.contains("at least 0") && error.contains("array_random.rs"),
        "{error}"
    );
    let error = rng().hypergeometric(1, 2, 4, &[2]).compute().expect_err("too many").to_string();
    assert!(error.contains("no distribution"), "{error}");
}
