//! Distributions that are a formula of a few uniform, normal or exponential numbers; all f64.

use super::super::where_;
use super::{ANY, Array, Generator, IntoArray, NOT_NEGATIVE, POSITIVE, PROBABILITY, fraction, parameters};
use crate::dtype::DType;
use crate::error::Error;
use std::f64::consts::PI;
use std::panic::Location;

impl Generator {
    /// Normal numbers of this mean and standard deviation.
    ///
    /// # Errors
    /// A negative standard deviation.
    #[track_caller]
    pub fn normal(&mut self, mean: impl IntoArray, std: impl IntoArray, size: &[usize]) -> Array {
        let x = self.standard_normal(size, DType::F64);
        scaled("normal", x, mean, std, size)
    }

    /// Numbers whose logarithm is normal, of this mean and standard deviation.
    ///
    /// # Errors
    /// A negative standard deviation.
    #[track_caller]
    pub fn lognormal(&mut self, mean: impl IntoArray, std: impl IntoArray, size: &[usize]) -> Array {
        let x = self.standard_normal(size, DType::F64);
        let [mean, std] =
            parameters("lognormal", size, [(mean.into_operand(), ANY), (std.into_operand(), NOT_NEGATIVE)]);
        (x * std + mean).exp()
    }

    /// Exponential numbers of this mean.
    ///
    /// # Errors
    /// A negative mean.
    #[track_caller]
    pub fn exponential(&mut self, mean: impl IntoArray, size: &[usize]) -> Array {
        let x = self.standard_exponential(size, DType::F64);
        let [mean] = parameters("exponential", size, [(mean.into_operand(), NOT_NEGATIVE)]);
        x * mean
    }

    /// Numbers of Laplace's distribution: exponential on both sides of `location`.
    ///
    /// # Errors
    /// A negative scale.
    #[track_caller]
    pub fn laplace(&mut self, location: impl IntoArray, scale: impl IntoArray, size: &[usize]) -> Array {
        // a sign beside the 52 bits of the magnitude
        let bits = self.bits(size);
        let magnitude = -(fraction(&bits, 52) + 0.5f64.powi(53)).log();
        let x = where_((bits & 1).not_equal(0), &magnitude, -&magnitude);
        scaled("laplace", x, location, scale, size)
    }

    /// Logistic numbers.
    ///
    /// # Errors
    /// A negative scale.
    #[track_caller]
    pub fn logistic(&mut self, location: impl IntoArray, scale: impl IntoArray, size: &[usize]) -> Array {
        let u = self.open(size);
        let x = u.log() - (-u).log1p();
        scaled("logistic", x, location, scale, size)
    }

    /// Numbers of Gumbel's distribution of maxima.
    ///
    /// # Errors
    /// A negative scale.
    #[track_caller]
    pub fn gumbel(&mut self, location: impl IntoArray, scale: impl IntoArray, size: &[usize]) -> Array {
        let x = -(-self.open(size).log()).log();
        scaled("gumbel", x, location, scale, size)
    }

    /// Numbers of Cauchy's distribution around 0.
    #[track_caller]
    pub fn standard_cauchy(&mut self, size: &[usize]) -> Array {
        ((self.open(size) - 0.5) * PI).tan()
    }

    /// Numbers of Rayleigh's distribution.
    ///
    /// # Errors
    /// A negative scale.
    #[track_caller]
    pub fn rayleigh(&mut self, scale: impl IntoArray, size: &[usize]) -> Array {
        let x = (self.standard_exponential(size, DType::F64) * 2).sqrt();
        let [scale] = parameters("rayleigh", size, [(scale.into_operand(), NOT_NEGATIVE)]);
        x * scale
    }

    /// Numbers of Weibull's distribution of scale 1.
    ///
    /// # Errors
    /// A shape that is not positive.
    #[track_caller]
    pub fn weibull(&mut self, shape: impl IntoArray, size: &[usize]) -> Array {
        let x = self.standard_exponential(size, DType::F64);
        let [shape] = parameters("weibull", size, [(shape.into_operand(), POSITIVE)]);
        x.power(1 / shape)
    }

    /// Numbers of Lomax's distribution, that of Pareto less 1, as NumPy's `pareto`.
    ///
    /// # Errors
    /// A shape that is not positive.
    #[track_caller]
    pub fn pareto(&mut self, shape: impl IntoArray, size: &[usize]) -> Array {
        let x = self.standard_exponential(size, DType::F64);
        let [shape] = parameters("pareto", size, [(shape.into_operand(), POSITIVE)]);
        (x / shape).expm1()
    }

    /// Numbers between 0 and 1 with a density of `a x^(a - 1)`.
    ///
    /// # Errors
    /// An exponent that is not positive.
    #[track_caller]
    pub fn power(&mut self, a: impl IntoArray, size: &[usize]) -> Array {
        let u = self.open(size);
        let [a] = parameters("power", size, [(a.into_operand(), POSITIVE)]);
        u.power(1 / a)
    }

    /// Numbers from `left` to `right` with a density that is a triangle with its top at `mode`.
    #[track_caller]
    pub fn triangular(
        &mut self,
        left: impl IntoArray,
        mode: impl IntoArray,
        right: impl IntoArray,
        size: &[usize],
    ) -> Array {
        let u = self.random(size, DType::F64);
        let [left, mode, right] = parameters(
            "triangular",
            size,
            [left.into_operand(), mode.into_operand(), right.into_operand()].map(|p| (p, ANY)),
        );
        let (base, rise, fall) = (&right - &left, &mode - &left, &right - &mode);
        let low = &left + (&u * &base * &rise).sqrt();
        let high = &right - ((1f64 - &u) * &base * fall).sqrt();
        where_((u * base).lt(rise), low, high)
    }

    /// Numbers of the inverse Gaussian distribution (Michael, Schucany and Haas 1976).
    ///
    /// # Errors
    /// A mean or a scale that is not positive.
    #[track_caller]
    pub fn wald(&mut self, mean: impl IntoArray, scale: impl IntoArray, size: &[usize]) -> Array {
        let (y, u) = (self.standard_normal(size, DType::F64).square(), self.random(size, DType::F64));
        let [mean, scale] =
            parameters("wald", size, [(mean.into_operand(), POSITIVE), (scale.into_operand(), POSITIVE)]);
        // the smaller root of the quadratic equation, without cancellation
        let z = &mean * y / (scale * 2);
        let x = &mean / (1 + &z + (&z * (&z + 2)).sqrt());
        where_(u.le(&mean / (&mean + &x)), &x, mean.square() / &x)
    }

    /// How many trials it takes up to the first success, each with this probability; i64, at least 1.
    ///
    /// # Errors
    /// A probability that is not above 0 and at most 1.
    #[track_caller]
    pub fn geometric(&mut self, probability: impl IntoArray, size: &[usize]) -> Array {
        let x = self.standard_exponential(size, DType::F64);
        let [p] = parameters("geometric", size, [(probability.into_operand(), PROBABILITY)]);
        (x / -(-p).log1p()).ceil().maximum(1).cast(DType::I64)
    }

    /// Indices into a list of weights, each with a probability in proportion to its weight: NumPy's `choice` with `p`; i64.
    ///
    /// # Errors
    /// Weights that are negative, not finite, or all 0.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Generator::new(1).categorical(&[1.0, 0.0, 3.0], &[40_000]);
    /// let counts = x.bincount(3).compute()?;
    /// let counts = counts.as_slice::<i64>()?;
    /// assert!(counts[1] == 0 && (29_500..30_500).contains(&counts[2]));
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn categorical(&mut self, weights: &[f64], size: &[usize]) -> Array {
        let u = self.random(size, DType::F64);
        let sum: f64 = weights.iter().sum();
        if !(sum > 0.0 && sum.is_finite() && weights.iter().all(|w| *w >= 0.0)) {
            let message = format!("weights of sum {sum}; they must be at least 0, and some above");
            return Array::failed(Error::invalid("categorical", message), Location::caller());
        }
        // an index that has no weight is never the first one whose sum is above: the last of all has the whole
        let last = weights.iter().rposition(|w| *w > 0.0).unwrap_or(0);
        let sums: Vec<f64> = weights[..last]
            .iter()
            .scan(0.0, |sum, w| {
                *sum += w;
                Some(*sum)
            })
            .collect();
        Array::from_vec(sums).searchsorted(&(u * sum), super::super::Side::Right)
    }
}

/// `x * scale + location`.
#[track_caller]
fn scaled(
    op: &'static str,
    x: Array,
    location: impl IntoArray,
    scale: impl IntoArray,
    size: &[usize],
) -> Array {
    let of = [(location.into_operand(), ANY), (scale.into_operand(), NOT_NEGATIVE)];
    let [location, scale] = parameters(op, size, of);
    x * scale + location
}
