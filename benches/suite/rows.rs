//! The rows in memory: what is computed of which inputs, and how fast the machine could move its bytes.
//!
//! Definitions, inputs and expected shapes are those of benches/peers/README.md.

use crate::memory::Workers;
use crate::oracle::{self, Inputs, Want};
use blockwise::prelude::*;

/// Groups by which rows can be chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Elementwise,
    Reductions,
    Arrays,
    Products,
    Files,
    Overhead,
    Frames,
    Tables,
}

impl Group {
    pub const ALL: [(&'static str, Group); 8] = [
        ("elementwise", Group::Elementwise),
        ("reductions", Group::Reductions),
        ("arrays", Group::Arrays),
        ("products", Group::Products),
        ("files", Group::Files),
        ("overhead", Group::Overhead),
        ("frames", Group::Frames),
        ("tables", Group::Tables),
    ];
}

/// What a row's results are, and so what is expected of peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// One f32 array of the inputs' shape, or of half their side: runs "into" and "fresh".
    Plane,
    /// A few numbers, in one f64 vector.
    Numbers,
    /// One or more vectors, in one f32 vector.
    Vectors,
}

/// What a row is held against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ceiling {
    /// All inputs read, one f32 array written.
    Map,
    /// All inputs read.
    Read,
    /// The input read, then read again and one f32 array written.
    ReadThenMap,
    /// The operations of the row, each a part of a fused multiply-add.
    Fma,
}

/// A row in memory.
pub struct Row {
    pub name: &'static str,
    pub groups: &'static [Group],
    pub inputs: &'static [&'static str],
    /// Compulsory traffic in f32 bands.
    pub bands: f64,
    pub outcome: Outcome,
    pub ceiling: Ceiling,
    pub build: fn(&[Array]) -> Vec<Array>,
    pub oracle: for<'a> fn(&Workers, &'a Inputs) -> Want<'a>,
    pub rtol: f64,
    pub atol: f64,
    /// Floating-point operations an element of the result, by the inputs' side, where they are all multiply-adds.
    pub flops: Option<fn(f64) -> f64>,
    /// What the side of the inputs is divided by for that of the result.
    pub part: usize,
}

const MAP: &[Group] = &[Group::Elementwise, Group::Arrays];
const FOLD: &[Group] = &[Group::Reductions, Group::Arrays];

/// All rows.
pub const ROWS: &[Row] = &[
    Row { build: triad, oracle: oracle::triad, ..map("triad", &["a", "b"], 3.0) },
    Row { build: ndvi_u16, oracle: oracle::ndvi_u16, ..map("ndvi_u16", &["red_u16", "nir_u16"], 2.0) },
    Row { build: evi, oracle: oracle::evi, ..map("evi", &["red", "nir", "blue"], 4.0) },
    Row {
        build: black_scholes,
        oracle: oracle::black_scholes,
        rtol: 1e-4,
        atol: 1e-4,
        ..map("black_scholes", &["price", "strike", "time"], 4.0)
    },
    Row { build: poly30, oracle: oracle::poly30, flops: Some(|_| 58.0), ..map("poly30", &["x"], 2.0) },
    Row { build: sum_hypot, oracle: oracle::sum_hypot, ..fold("sum_hypot", &["a", "b"], 2.0) },
    Row { build: stats_all, oracle: oracle::stats_all, ..fold("stats_all", &["x"], 1.0) },
    Row {
        groups: FOLD,
        build: standardize,
        oracle: oracle::standardize,
        ceiling: Ceiling::ReadThenMap,
        rtol: 1e-4,
        atol: 1e-4,
        ..map("standardize", &["x"], 3.0)
    },
    Row { build: reduce_axis0, oracle: oracle::reduce_axis0, ..vectors("reduce_axis0", &["x"]) },
    Row { build: reduce_axis1, oracle: oracle::reduce_axis1, ..vectors("reduce_axis1", &["x"]) },
    Row { build: reduce_nan, oracle: oracle::reduce_nan, ..vectors("reduce_nan", &["x_nan"]) },
    Row { build: noise, oracle: oracle::noise, rtol: 1e-2, ..fold("noise", &["x"], 1.0) },
    Row {
        groups: &[Group::Arrays],
        build: transpose_add,
        oracle: oracle::transpose_add,
        ..fold("transpose_add", &["x"], 2.0)
    },
    Row {
        groups: &[Group::Products],
        build: matmul,
        oracle: oracle::matmul,
        ceiling: Ceiling::Fma,
        rtol: 1e-4,
        flops: Some(|n| n),
        part: 2,
        ..map("matmul", &["a", "b"], 3.0)
    },
];

const fn map(name: &'static str, inputs: &'static [&'static str], bands: f64) -> Row {
    Row {
        name,
        groups: MAP,
        inputs,
        bands,
        outcome: Outcome::Plane,
        ceiling: Ceiling::Map,
        build: triad,
        oracle: oracle::triad,
        rtol: 1e-5,
        atol: 0.0,
        flops: None,
        part: 1,
    }
}

const fn fold(name: &'static str, inputs: &'static [&'static str], bands: f64) -> Row {
    Row { groups: FOLD, outcome: Outcome::Numbers, ceiling: Ceiling::Read, ..map(name, inputs, bands) }
}

const fn vectors(name: &'static str, inputs: &'static [&'static str]) -> Row {
    Row { outcome: Outcome::Vectors, rtol: 1e-4, ..fold(name, inputs, 1.0) }
}

fn triad(x: &[Array]) -> Vec<Array> {
    vec![&x[0] + 2.5 * &x[1]]
}

fn matmul(x: &[Array]) -> Vec<Array> {
    let half = (x[0].shape()[0] / 2) as isize;
    let [a, b] = [0, 1].map(|k| x[k].slice(s![..half, ..half]));
    vec![a.matmul(&b)]
}

fn ndvi_u16(x: &[Array]) -> Vec<Array> {
    let (red, nir) = (x[0].cast(F32), x[1].cast(F32));
    vec![(&nir - &red) / (&nir + &red)]
}

fn evi(x: &[Array]) -> Vec<Array> {
    let (red, nir, blue) = (&x[0], &x[1], &x[2]);
    vec![2.5 * (nir - red) / (nir + 6.0 * red - 7.5 * blue + 1.0)]
}

/// Rate and volatility of `black_scholes`.
pub const RATE: f64 = 0.02;
pub const SIGMA: f64 = 0.3;

fn black_scholes(x: &[Array]) -> Vec<Array> {
    let (price, strike, time) = (&x[0], &x[1], &x[2]);
    let cdf = |x: &Array| 1.0 / (1.0 + (-1.5976_f64 * x - 0.07056 * x * x * x).exp());
    let spread = SIGMA * time.sqrt();
    let d1 = ((price / strike).log() + (RATE + SIGMA * SIGMA / 2.0) * time) / &spread;
    let d2 = &d1 - &spread;
    vec![price * cdf(&d1) - strike * (-RATE * time).exp() * cdf(&d2)]
}

fn poly30(x: &[Array]) -> Vec<Array> {
    let mut acc = x[0].full_like(1.0f32 / 30.0);
    for k in (0..29).rev() {
        acc = acc * &x[0] + 1.0 / f64::from(k + 1);
    }
    vec![acc]
}

fn sum_hypot(x: &[Array]) -> Vec<Array> {
    vec![(&x[0] * &x[0] + &x[1] * &x[1]).sqrt().sum(..)]
}

fn stats_all(x: &[Array]) -> Vec<Array> {
    vec![x[0].mean(..), x[0].std(..), x[0].min(..), x[0].max(..)]
}

fn standardize(x: &[Array]) -> Vec<Array> {
    vec![(&x[0] - x[0].mean(0)) / x[0].std(0)]
}

fn reduce_axis0(x: &[Array]) -> Vec<Array> {
    vec![x[0].sum(0)]
}

fn reduce_axis1(x: &[Array]) -> Vec<Array> {
    vec![x[0].sum(1)]
}

fn reduce_nan(x: &[Array]) -> Vec<Array> {
    vec![x[0].nanmean(0), x[0].nanmean(1)]
}

fn noise(x: &[Array]) -> Vec<Array> {
    let noisy = &x[0] + 0.1 * Generator::new(1).standard_normal(x[0].shape(), F32);
    vec![noisy.mean(..), noisy.std(..)]
}

fn transpose_add(x: &[Array]) -> Vec<Array> {
    vec![(&x[0] + x[0].t()).mean(..)]
}
