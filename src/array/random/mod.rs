//! Random arrays: `Generator`, whose numbers depend on its seed and on the place of an element alone.

mod distributions;
mod sampled;

use super::Array;
use super::operators::{IntoArray, Operand};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind};
use crate::expr::Expr;
use crate::ir::{Plain, threefry};
use crate::shape::{AxisMap, Grid, IndexMap};
use std::f64::consts::TAU;
use std::panic::Location;

/// Makes random arrays: NumPy's `Generator`, lazily.
///
/// A number is a function of the seed, of how many draws the generator had made before (one for an array, two or three for some
/// distributions), and of the element's place in C order (Threefry-2x32 with 20 rounds, Salmon et al. 2011). It is the same whatever
/// the chunks, the number of threads, the backend and the part of the array that is computed; an array that is used twice, in several passes
/// even, is the same array twice. Nothing is kept in memory: numbers are made inside the kernels that use them, at about 120 simple
/// operations for 64 bits. Draw number `n` has the bits of `jax.random.bits(jax.random.fold_in(jax.random.key(seed), n), shape, "uint64")`.
///
/// Integers, uniform numbers and [`Generator::permutation`] are the same on all machines; what elementary functions make of them, normal numbers
/// say, may differ in the last digit between the CPU and a GPU. Distributions that are sampled by rejection (gamma, beta, chi-square, F, t,
/// Poisson, binomial, hypergeometric, Zipf) are functions of blocks: on the CPU, and not on a cluster.
///
/// Parameters are numbers or arrays that broadcast to the size. Numbers out of range are errors at once; elements out of range give
/// what the formula gives, or an error when computed where a distribution is sampled.
///
/// ```
/// use blockwise::prelude::*;
/// let mut rng = Generator::new(42);
/// let noise = rng.normal(0.0, 2.0, &[1000, 1000]);
/// let [mean, std] = compute!(noise.mean(..), noise.std(..))?;
/// assert!(mean.to_scalar::<f64>()?.abs() < 0.01 && (std.to_scalar::<f64>()? - 2.0).abs() < 0.01);
/// // a window has the numbers of the whole, and costs its own size
/// let corner = noise.slice(s![..2, ..2]).compute()?;
/// assert_eq!(corner.as_slice::<f64>()?, noise.rechunk(1).slice(s![..2, ..2]).compute()?.as_slice::<f64>()?);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    key: [u32; 2],
    made: u64,
}

impl Generator {
    /// A generator of this seed: equal seeds give equal numbers.
    pub fn new(seed: u64) -> Generator {
        Generator { key: [(seed >> 32) as u32, seed as u32], made: 0 }
    }

    /// `n` generators whose numbers have nothing to do with each other's or with this one's: NumPy's `spawn`.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let mut rng = Generator::new(7);
    /// let [mut a, mut b] = <[Generator; 2]>::try_from(rng.spawn(2)).unwrap();
    /// assert!(!a.random(&[4], F64).equal(&b.random(&[4], F64)).any(..).compute()?.to_scalar::<bool>()?);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn spawn(&mut self, n: usize) -> Vec<Generator> {
        (0..n).map(|_| Generator { key: self.next_key(), made: 0 }).collect()
    }

    fn next_key(&mut self) -> [u32; 2] {
        let n = self.made;
        self.made += 1;
        threefry(&mut Plain, self.key, [(n >> 32) as u32, n as u32])
    }

    /// Random bits: u64.
    #[track_caller]
    pub fn bits(&mut self, size: &[usize]) -> Array {
        self.words(DType::U64, size)
    }

    /// Random u64 or u32, in chunks that are right for 8-byte results.
    #[track_caller]
    fn words(&mut self, dtype: DType, size: &[usize]) -> Array {
        // the key is read, not compiled in: every array of a kind is made by one kernel
        Array::from_vec(self.next_key().to_vec()).map(|key| {
            let word = |start| {
                let fixed = AxisMap { from: None, start, step: 0 };
                key.clone().view(IndexMap::new([fixed]), &[])
            };
            Expr::random([word(0)?, word(1)?], dtype, Grid::auto(size, 8))
        })
    }

    /// Uniform numbers in `[0, 1)`, all multiples of 2^-53 (f64), 2^-24 (f32) or 2^-11 (f16).
    ///
    /// # Errors
    /// A dtype that is no float.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Generator::new(1).random(&[3], F64).compute()?;
    /// assert_eq!(x.as_slice::<f64>()?, [0.8626317024309598, 0.6300258297972884, 0.1835704108231152]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn random(&mut self, size: &[usize], dtype: DType) -> Array {
        match dtype {
            DType::F64 => fraction(&self.bits(size), 53),
            // through i32, which every machine converts
            DType::F32 => (self.words(DType::U32, size) >> 8).cast(DType::I32).cast(dtype) * 0.5f64.powi(24),
            DType::F16 => (self.words(DType::U32, size) >> 21).cast(DType::I32).cast(dtype) * 0.5f64.powi(11),
            _ => no_float("random", dtype),
        }
    }

    /// Uniform numbers strictly between 0 and 1: odd multiples of 2^-53.
    #[track_caller]
    fn open(&mut self, size: &[usize]) -> Array {
        fraction(&self.bits(size), 52) + 0.5f64.powi(53)
    }

    /// Uniform numbers from `low` to `high`; f64.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let low = Array::from_vec(vec![0.0f64, 100.0]);
    /// let x = Generator::new(1).uniform(&low, &low + 1, &[1000, 2]);
    /// let [least, most] = compute!(x.min(0), x.max(0))?;
    /// assert!(least.as_slice::<f64>()?[1] >= 100.0 && most.as_slice::<f64>()?[1] < 101.0);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn uniform(&mut self, low: impl IntoArray, high: impl IntoArray, size: &[usize]) -> Array {
        let u = self.random(size, DType::F64);
        let [low, high] =
            parameters("uniform", size, [(low.into_operand(), ANY), (high.into_operand(), ANY)]);
        u * (high - &low) + low
    }

    /// Integers from `low` to below `high`, each with the same probability up to a factor of `1 + (high - low) / 2^64`; i64.
    ///
    /// # Errors
    /// `low >= high`, unless the array is empty.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let dice = Generator::new(3).integers(1, 7, &[60_000]);
    /// let counts = dice.bincount(7).compute()?;
    /// assert!(counts.as_slice::<i64>()?[1..].iter().all(|n| (9_600..10_400).contains(n)));
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn integers(&mut self, low: i64, high: i64, size: &[usize]) -> Array {
        let bits = self.bits(size);
        if low >= high && !size.contains(&0) {
            let e = Error::invalid("integers", format!("there is no integer from {low} to below {high}"));
            return Array::failed(e, Location::caller());
        }
        // the high half of the product of 128 bits (Lemire 2019), without his rejection
        let range = high.wrapping_sub(low) as u64;
        let (range_high, range_low) = (range >> 32, range & 0xffff_ffff);
        let (bits_high, bits_low) = (&bits >> 32, bits & 0xffff_ffffu64);
        let below = ((&bits_low * range_low) >> 32) + &bits_high * range_low;
        let middle = bits_low * range_high + (&below & 0xffff_ffffu64);
        let drawn = bits_high * range_high + (below >> 32) + (middle >> 32);
        drawn.cast(DType::I64) + low
    }

    /// Normal numbers of mean 0 and variance 1, by Box and Muller's formula: up to 8.5 (f64) or 6.7 (others).
    ///
    /// # Errors
    /// A dtype that is no float.
    #[track_caller]
    pub fn standard_normal(&mut self, size: &[usize], dtype: DType) -> Array {
        let (u, angle) = match dtype {
            DType::F64 => (1 - self.random(size, dtype), self.random(size, dtype)),
            DType::F32 | DType::F16 => {
                let bits = self.bits(size);
                let part = |x: Array| (x.cast(DType::U32).cast(DType::F32) + 0.5) * 0.5f64.powi(32);
                (part(&bits >> 32), part(bits))
            }
            _ => return no_float("standard_normal", dtype),
        };
        ((u.log() * -2).sqrt() * (angle * TAU).cos()).cast(dtype)
    }

    /// Exponential numbers of mean 1.
    ///
    /// # Errors
    /// A dtype that is no float.
    #[track_caller]
    pub fn standard_exponential(&mut self, size: &[usize], dtype: DType) -> Array {
        match dtype {
            DType::F64 => -(-self.random(size, dtype)).log1p(),
            // 32 bits, so that the tail is as long as that of f64's first digits
            DType::F32 | DType::F16 => {
                let u = (self.words(DType::U32, size).cast(DType::F32) + 0.5) * 0.5f64.powi(32);
                (-u.log()).cast(dtype)
            }
            _ => no_float("standard_exponential", dtype),
        }
    }

    /// The numbers of `0..n` in random order; i64. Sorts, so that the whole must fit in memory.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let order = Generator::new(5).permutation(1000);
    /// assert!(order.sort(0).compute()?.as_slice::<i64>()?.iter().copied().eq(0..1000));
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn permutation(&mut self, n: usize) -> Array {
        self.bits(&[n]).rechunk(-1).argsort(0)
    }
}

/// The highest `digits` bits as a binary fraction.
#[track_caller]
fn fraction(bits: &Array, digits: i32) -> Array {
    (bits >> (64 - digits)).cast(DType::F64) * 0.5f64.powi(digits)
}

#[track_caller]
fn no_float(op: &'static str, dtype: DType) -> Array {
    let hint = "ask for F64, F32 or F16, or for integers".into();
    let e = ErrorKind::DType { op: op.into(), dtype, hint };
    Array::failed(e.into(), Location::caller())
}

/// What the parameter of a distribution may be, and whether a number is that.
type Domain = (&'static str, fn(f64) -> bool);

const ANY: Domain = ("a number", |_| true);
const NOT_NEGATIVE: Domain = ("at least 0", |x| x >= 0.0);
const POSITIVE: Domain = ("above 0", |x| x > 0.0);
const PROBABILITY: Domain = ("above 0 and at most 1", |x| x > 0.0 && x <= 1.0);

/// Parameters as arrays of f64 of this size; those that are numbers are checked.
#[track_caller]
fn parameters<const N: usize>(
    op: &'static str,
    size: &[usize],
    parameters: [(Operand, Domain); N],
) -> [Array; N] {
    let at = Location::caller();
    parameters.map(|(parameter, (what, allows))| {
        let expr = match &parameter {
            Operand::Number(s) if !allows(s.as_f64()) => {
                Err(Error::invalid(op, format!("the parameter {s} must be {what}")))
            }
            _ => parameter.into_expr(op, DType::F64).and_then(|e| e.broadcast_to(size)),
        };
        Array::from_expr(expr.map_err(|e| e.at(at)), Default::default())
    })
}
