//! What every row must yield, by plain loops in f64 that know nothing of the library.

use crate::memory::Workers;
use crate::rows::{RATE, SIGMA};
use blockwise::block::Block;

/// Elements that a thread takes at a time.
const STEP: usize = 1 << 16;

/// A row's inputs, square and of side `n`.
pub struct Inputs {
    pub blocks: Vec<Block>,
    pub n: usize,
}

impl Inputs {
    fn f32(&self, k: usize) -> &[f32] {
        self.blocks[k].as_slice().expect("an f32 input")
    }

    fn u16(&self, k: usize) -> &[u16] {
        self.blocks[k].as_slice().expect("a u16 input")
    }
}

/// A row's result.
pub enum Want<'a> {
    /// The element at a place in C order.
    Each(Box<dyn Fn(usize) -> f64 + Sync + 'a>),
    /// All numbers.
    Values(Vec<f64>),
}

/// Whether two numbers agree as benches/peers/README.md says.
pub fn close(got: f64, want: f64, rtol: f64, atol: f64) -> bool {
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= atol + rtol * want.abs()
}

/// The first of `count` places where a result is not what it should be, in words.
pub fn difference(
    workers: &Workers,
    count: usize,
    got: impl Fn(usize) -> f64 + Sync,
    want: &Want<'_>,
    (rtol, atol): (f64, f64),
) -> Option<String> {
    if let Want::Values(values) = want
        && values.len() != count
    {
        return Some(format!("{count} numbers, not {}", values.len()));
    }
    let want = |i: usize| match want {
        Want::Each(f) => f(i),
        Want::Values(values) => values[i],
    };
    let wrong = workers.fold(
        count,
        STEP,
        || None,
        |first: &mut Option<usize>, range| {
            let found = range.clone().find(|&i| !close(got(i), want(i), rtol, atol));
            *first = [*first, found].into_iter().flatten().min();
        },
    );
    let at = wrong.into_iter().flatten().min()?;
    Some(format!("element {at} is {}, not {}", got(at), want(at)))
}

/// Sums of a function over all places.
fn sums<const N: usize>(workers: &Workers, n: usize, f: impl Fn(usize) -> [f64; N] + Sync) -> [f64; N] {
    let parts = workers.fold(n, STEP, || [0.0; N], |sum, range| range.for_each(|i| add(sum, f(i))));
    let mut total = [0.0; N];
    parts.into_iter().for_each(|part| add(&mut total, part));
    total
}

fn add<const N: usize>(to: &mut [f64; N], v: [f64; N]) {
    to.iter_mut().zip(v).for_each(|(t, v)| *t += v);
}

/// Per column, the sums of a function of (element, column) over all rows.
fn column_sums(workers: &Workers, x: &[f32], n: usize, f: impl Fn(f64, usize) -> f64 + Sync) -> Vec<f64> {
    let parts = workers.fold(
        n,
        64,
        || vec![0.0; n],
        |sums, rows| {
            for row in rows {
                for (c, (sum, &v)) in sums.iter_mut().zip(&x[row * n..(row + 1) * n]).enumerate() {
                    *sum += f(f64::from(v), c);
                }
            }
        },
    );
    let mut total = vec![0.0; n];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, v)| *t += v);
    }
    total
}

pub fn triad<'a>(_: &Workers, x: &'a Inputs) -> Want<'a> {
    let (a, b) = (x.f32(0), x.f32(1));
    Want::Each(Box::new(move |i| f64::from(a[i]) + 2.5 * f64::from(b[i])))
}

pub fn ndvi_u16<'a>(_: &Workers, x: &'a Inputs) -> Want<'a> {
    let (red, nir) = (x.u16(0), x.u16(1));
    Want::Each(Box::new(move |i| ndvi(red[i], nir[i])))
}

/// The index of one pixel.
pub fn ndvi(red: u16, nir: u16) -> f64 {
    let (red, nir) = (f64::from(red), f64::from(nir));
    (nir - red) / (nir + red)
}

pub fn evi<'a>(_: &Workers, x: &'a Inputs) -> Want<'a> {
    let (red, nir, blue) = (x.f32(0), x.f32(1), x.f32(2));
    Want::Each(Box::new(move |i| {
        let (red, nir, blue) = (f64::from(red[i]), f64::from(nir[i]), f64::from(blue[i]));
        2.5 * (nir - red) / (nir + 6.0 * red - 7.5 * blue + 1.0)
    }))
}

pub fn black_scholes<'a>(_: &Workers, x: &'a Inputs) -> Want<'a> {
    let (price, strike, time) = (x.f32(0), x.f32(1), x.f32(2));
    let cdf = |x: f64| 1.0 / (1.0 + (-1.5976 * x - 0.07056 * x.powi(3)).exp());
    Want::Each(Box::new(move |i| {
        let (s, k, t) = (f64::from(price[i]), f64::from(strike[i]), f64::from(time[i]));
        let spread = SIGMA * t.sqrt();
        let d1 = ((s / k).ln() + (RATE + SIGMA * SIGMA / 2.0) * t) / spread;
        s * cdf(d1) - k * (-RATE * t).exp() * cdf(d1 - spread)
    }))
}

pub fn poly30<'a>(_: &Workers, x: &'a Inputs) -> Want<'a> {
    let x = x.f32(0);
    Want::Each(Box::new(move |i| {
        let x = f64::from(x[i]);
        (0..29).rev().fold(1.0 / 30.0, |acc, k| acc * x + 1.0 / f64::from(k + 1))
    }))
}

pub fn sum_hypot<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let (a, b) = (x.f32(0), x.f32(1));
    let [sum] = sums(workers, a.len(), |i| [f64::from(a[i]).hypot(f64::from(b[i]))]);
    Want::Values(vec![sum])
}

pub fn stats_all<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let x = x.f32(0);
    let count = x.len() as f64;
    let [sum] = sums(workers, x.len(), |i| [f64::from(x[i])]);
    let mean = sum / count;
    let [m2] = sums(workers, x.len(), |i| [(f64::from(x[i]) - mean).powi(2)]);
    let min = x.iter().copied().fold(f32::INFINITY, f32::min);
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Want::Values(vec![mean, (m2 / count).sqrt(), f64::from(min), f64::from(max)])
}

pub fn standardize<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let n = x.n;
    let x = x.f32(0);
    let count = n as f64;
    let means: Vec<f64> = column_sums(workers, x, n, |v, _| v).iter().map(|s| s / count).collect();
    let m2 = column_sums(workers, x, n, |v, c| (v - means[c]).powi(2));
    let stds: Vec<f64> = m2.iter().map(|s| (s / count).sqrt()).collect();
    Want::Each(Box::new(move |i| (f64::from(x[i]) - means[i % n]) / stds[i % n]))
}

pub fn reduce_axis0<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    Want::Values(column_sums(workers, x.f32(0), x.n, |v, _| v))
}

pub fn reduce_axis1<'a>(_: &Workers, x: &'a Inputs) -> Want<'a> {
    let rows = x.f32(0).chunks_exact(x.n);
    Want::Values(rows.map(|row| row.iter().map(|&v| f64::from(v)).sum()).collect())
}

pub fn reduce_nan<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let n = x.n;
    let x = x.f32(0);
    let totals = column_sums(workers, x, n, |v, _| if v.is_nan() { 0.0 } else { v });
    let counts = column_sums(workers, x, n, |v, _| f64::from(u8::from(!v.is_nan())));
    let mut means: Vec<f64> = totals.iter().zip(&counts).map(|(t, c)| t / c).collect();
    means.extend(x.chunks_exact(n).map(|row| {
        let held = row.iter().filter(|v| !v.is_nan());
        let (total, count) = held.fold((0.0, 0.0), |(t, c), &v| (t + f64::from(v), c + 1.0));
        total / count
    }));
    Want::Values(means)
}

pub fn matmul<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let (n, side) = (x.n, x.n / 2);
    let (a, b) = (x.f32(0), x.f32(1));
    let mut out = vec![0.0; side * side];
    workers.pieces(&mut out, side.max(1), |at, row| {
        for k in 0..side {
            let factor = f64::from(a[at / side * n + k]);
            for (sum, &y) in row.iter_mut().zip(&b[k * n..]) {
                *sum += factor * f64::from(y);
            }
        }
    });
    Want::Values(out)
}

/// What it tends to.
pub fn noise<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let x = x.f32(0);
    let count = x.len() as f64;
    let [sum, squares] = sums(workers, x.len(), |i| [f64::from(x[i]), f64::from(x[i]).powi(2)]);
    let mean = sum / count;
    Want::Values(vec![mean, (squares / count - mean * mean + 0.01).sqrt()])
}

pub fn transpose_add<'a>(workers: &Workers, x: &'a Inputs) -> Want<'a> {
    let n = x.n;
    let x = x.f32(0);
    let [sum] = sums(workers, x.len(), |i| [f64::from(x[i]) + f64::from(x[i % n * n + i / n])]);
    Want::Values(vec![sum / x.len() as f64])
}
