//! Distributions that take as many random numbers as it happens: every element has a stream of its own, which begins with the
//! element's random bits. The crate `rand_distr` samples them, on the CPU.

use super::{Array, Domain, Generator, IntoArray, Operand, PROBABILITY};
use crate::array::{over, over_blocks};
use crate::block::Block;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ir::{Plain, threefry};
use rand_core::TryRng;
use rand_distr::{Beta, Binomial, Distribution, Gamma, Hypergeometric, Poisson, Zeta};
use std::convert::Infallible;
use std::panic::Location;

const FINITE: Domain = ("finite and at least 0", |x| (0.0..=f64::MAX).contains(&x));
const POSITIVE: Domain = ("finite and above 0", |x| x > 0.0 && x < f64::INFINITY);
const FROM_0_TO_1: Domain = ("from 0 to 1", |x| (0.0..=1.0).contains(&x));
const COUNT: Domain = ("a whole number of at least 0, below 2^53", |x| count(x).is_some());
const ABOVE_1: Domain = ("above 1", |x| x > 1.0);

/// A number as what it counts.
fn count(x: f64) -> Option<u64> {
    (x >= 0.0 && x < 2f64.powi(53) && x.fract() == 0.0).then_some(x as u64)
}

/// The random numbers of one element: Threefry under the element's bits, counting from 0.
struct Stream {
    key: [u32; 2],
    made: u64,
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|x| x as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let [a, b] = threefry(&mut Plain, self.key, [(self.made >> 32) as u32, self.made as u32]);
        self.made += 1;
        Ok((a as u64) << 32 | b as u64)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
        Ok(())
    }
}

impl Generator {
    /// Samples, as f64, of what `prepare` makes of an element's parameters.
    #[track_caller]
    fn sampled<const N: usize, S: Fn(&mut Stream) -> f64>(
        &mut self,
        op: &'static str,
        size: &[usize],
        parameters: [(Operand, Domain); N],
        prepare: impl Fn([f64; N]) -> Option<S> + Send + Sync + 'static,
    ) -> Array {
        let bits = self.bits(size);
        let domains = parameters.each_ref().map(|(_, domain)| *domain);
        let prepare = move |of: [f64; N]| {
            for (x, (what, allows)) in of.iter().zip(&domains) {
                if !allows(*x) {
                    return Err(Error::invalid(op, format!("the parameter {x} must be {what}")));
                }
            }
            prepare(of).ok_or_else(|| Error::invalid(op, format!("{of:?} are parameters of no distribution")))
        };
        let parameters = super::parameters(op, size, parameters);
        let inputs: Vec<&Array> = std::iter::once(&bits).chain(&parameters).collect();
        over_blocks(&inputs).dtype(DType::F64).name(op).scratch(N).apply(move |_, blocks| {
            let blocks: Vec<Block> = blocks.iter().map(Block::to_contiguous).collect();
            let bits = blocks[0].as_slice::<u64>()?;
            let mut parameters = [[].as_slice(); N];
            for (values, block) in parameters.iter_mut().zip(&blocks[1..]) {
                *values = block.as_slice::<f64>()?;
            }
            let mut out = Vec::with_capacity(bits.len());
            let mut sampler: Option<([f64; N], S)> = None;
            for (k, &bits) in bits.iter().enumerate() {
                let of = parameters.map(|values| values[k]);
                let mut stream = Stream { key: [(bits >> 32) as u32, bits as u32], made: 0 };
                let (_, sample) = match sampler.take().filter(|(last, _)| *last == of) {
                    Some(same) => sampler.insert(same),
                    None => sampler.insert((of, prepare(of)?)),
                };
                out.push(sample(&mut stream));
            }
            Ok(Block::from_vec(out).reshape(blocks[0].shape()))
        })
    }

    /// Numbers of the gamma distribution.
    ///
    /// # Errors
    /// A shape or a scale that is negative or not finite; elements too, when computed.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Generator::new(1).gamma(2.0, 3.0, &[100_000]);
    /// assert!((x.mean(..).compute()?.to_scalar::<f64>()? - 6.0).abs() < 0.1);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn gamma(&mut self, shape: impl IntoArray, scale: impl IntoArray, size: &[usize]) -> Array {
        let parameters = [(shape.into_operand(), FINITE), (scale.into_operand(), FINITE)];
        self.sampled("gamma", size, parameters, |[shape, scale]| {
            // of shape 0, all are 0
            let gamma = if shape > 0.0 { Some(Gamma::new(shape, 1.0).ok()?) } else { None };
            Some(move |s: &mut Stream| gamma.map_or(0.0, |g| g.sample(s)) * scale)
        })
    }

    /// Numbers of the beta distribution.
    ///
    /// # Errors
    /// Parameters that are not positive; elements too, when computed.
    #[track_caller]
    pub fn beta(&mut self, a: impl IntoArray, b: impl IntoArray, size: &[usize]) -> Array {
        let parameters = [(a.into_operand(), POSITIVE), (b.into_operand(), POSITIVE)];
        self.sampled("beta", size, parameters, |[a, b]| {
            let beta = Beta::new(a, b).ok()?;
            Some(move |s: &mut Stream| beta.sample(s))
        })
    }

    /// Sums of the squares of `df` normal numbers.
    ///
    /// # Errors
    /// Degrees of freedom that are not positive; elements too, when computed.
    #[track_caller]
    pub fn chisquare(&mut self, df: impl IntoArray, size: &[usize]) -> Array {
        self.sampled("chisquare", size, [(df.into_operand(), POSITIVE)], |[df]| {
            let gamma = Gamma::new(df / 2.0, 2.0).ok()?;
            Some(move |s: &mut Stream| gamma.sample(s))
        })
    }

    /// Numbers of Fisher's F distribution.
    ///
    /// # Errors
    /// Degrees of freedom that are not positive; elements too, when computed.
    #[track_caller]
    pub fn f(&mut self, numerator: impl IntoArray, denominator: impl IntoArray, size: &[usize]) -> Array {
        let parameters = [(numerator.into_operand(), POSITIVE), (denominator.into_operand(), POSITIVE)];
        self.sampled("f", size, parameters, |[m, n]| {
            let [above, below] = [Gamma::new(m / 2.0, 2.0 / m).ok()?, Gamma::new(n / 2.0, 2.0 / n).ok()?];
            Some(move |s: &mut Stream| above.sample(s) / below.sample(s))
        })
    }

    /// Numbers of Student's t distribution.
    ///
    /// # Errors
    /// Degrees of freedom that are not positive; elements too, when computed.
    #[track_caller]
    pub fn standard_t(&mut self, df: impl IntoArray, size: &[usize]) -> Array {
        let df = df.into_operand();
        let normal = self.standard_normal(size, DType::F64);
        let square = self.sampled("standard_t", size, [(df, POSITIVE)], |[df]| {
            let gamma = Gamma::new(df / 2.0, 2.0 / df).ok()?;
            Some(move |s: &mut Stream| gamma.sample(s))
        });
        normal / square.sqrt()
    }

    /// Shares of a whole: vectors along a last axis, as long as `alpha`, that sum to 1, of Dirichlet's distribution. The result has the
    /// shape `size` and that axis. Where all of `alpha` are below 0.01 or so, all parts may be too small for an f64, and are NaN.
    ///
    /// # Errors
    /// An empty `alpha`, or one with numbers that are not positive.
    #[track_caller]
    pub fn dirichlet(&mut self, alpha: &[f64], size: &[usize]) -> Array {
        if alpha.is_empty() || !alpha.iter().all(|a| *a > 0.0 && a.is_finite()) {
            let e = Error::invalid("dirichlet", format!("{alpha:?} must be numbers above 0, at least one"));
            return Array::failed(e, Location::caller());
        }
        let mut shape = size.to_vec();
        shape.push(alpha.len());
        let parts = self.gamma(Array::from_vec(alpha.to_vec()), 1, &shape);
        &parts / parts.sum(over(-1).keepdims())
    }

    /// How many events happen where `rate` are expected; i64.
    ///
    /// # Errors
    /// A rate that is negative or above 1.8e19; elements too, when computed.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let photons = Generator::new(1).poisson(&Array::from_vec(vec![0.0f64, 50.0]), &[10_000, 2]);
    /// let [least, mean] = compute!(photons.min(0), photons.mean(0))?;
    /// assert_eq!(least.as_slice::<i64>()?[0], 0);
    /// assert!(mean.as_slice::<f64>()?[0] == 0.0 && (mean.as_slice::<f64>()?[1] - 50.0).abs() < 0.3);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn poisson(&mut self, rate: impl IntoArray, size: &[usize]) -> Array {
        self.sampled("poisson", size, [(rate.into_operand(), FINITE)], poisson).cast(DType::I64)
    }

    /// How many of `n` trials succeed, each with this probability; i64.
    ///
    /// # Errors
    /// An `n` that is no whole number from 0 to below 2^53, a probability that is none; elements too, when computed.
    #[track_caller]
    pub fn binomial(&mut self, n: impl IntoArray, probability: impl IntoArray, size: &[usize]) -> Array {
        let parameters = [(n.into_operand(), COUNT), (probability.into_operand(), FROM_0_TO_1)];
        let x = self.sampled("binomial", size, parameters, |[n, p]| {
            let binomial = Binomial::new(count(n)?, p).ok()?;
            Some(move |s: &mut Stream| binomial.sample(s) as f64)
        });
        x.cast(DType::I64)
    }

    /// How many trials fail before `n` succeed, each with this probability (`n` need not be whole); i64.
    ///
    /// # Errors
    /// An `n` that is not positive, a probability that is not above 0 and at most 1; elements too, when computed.
    #[track_caller]
    pub fn negative_binomial(
        &mut self,
        n: impl IntoArray,
        probability: impl IntoArray,
        size: &[usize],
    ) -> Array {
        let parameters = [(n.into_operand(), POSITIVE), (probability.into_operand(), PROBABILITY)];
        let x = self.sampled("negative_binomial", size, parameters, |[n, p]| {
            let rate = Gamma::new(n, 1.0).ok()?;
            Some(move |s: &mut Stream| {
                let rate = rate.sample(s) * (1.0 - p) / p;
                // a rate too large to count up to
                poisson([rate]).map_or(f64::INFINITY, |sample| sample(s))
            })
        });
        x.cast(DType::I64)
    }

    /// How many of `drawn` things are good if they are drawn, without putting them back, from `good` good and `bad` bad ones; i64.
    ///
    /// # Errors
    /// Numbers that are not whole, or more drawn than there are; elements too, when computed.
    #[track_caller]
    pub fn hypergeometric(
        &mut self,
        good: impl IntoArray,
        bad: impl IntoArray,
        drawn: impl IntoArray,
        size: &[usize],
    ) -> Array {
        let parameters = [good.into_operand(), bad.into_operand(), drawn.into_operand()].map(|p| (p, COUNT));
        let x = self.sampled("hypergeometric", size, parameters, |[good, bad, drawn]| {
            let hypergeometric = Hypergeometric::new(count(good + bad)?, count(good)?, count(drawn)?).ok()?;
            Some(move |s: &mut Stream| hypergeometric.sample(s) as f64)
        });
        x.cast(DType::I64)
    }

    /// Ranks by Zipf's law without an end: `k` with a probability in proportion to `k^-a`; i64, those beyond its range its largest.
    ///
    /// # Errors
    /// An exponent that is not above 1; elements too, when computed.
    #[track_caller]
    pub fn zipf(&mut self, a: impl IntoArray, size: &[usize]) -> Array {
        let x = self.sampled("zipf", size, [(a.into_operand(), ABOVE_1)], |[a]| {
            let zeta = Zeta::new(a).ok()?;
            Some(move |s: &mut Stream| zeta.sample(s))
        });
        x.cast(DType::I64)
    }
}

/// Of a rate of 0, all are 0.
fn poisson([rate]: [f64; 1]) -> Option<impl Fn(&mut Stream) -> f64> {
    let poisson = if rate > 0.0 { Some(Poisson::new(rate).ok()?) } else { None };
    Some(move |s: &mut Stream| poisson.map_or(0.0, |p| p.sample(s)))
}
