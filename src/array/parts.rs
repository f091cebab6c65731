//! Parts of numbers: real and imaginary, whole and fraction, mantissa and exponent, and the distance to the next number.

use super::operators::binary;
use super::{Array, IntoArray, Operand, over_blocks, where_};
use crate::block::Block;
use crate::dtype::DType;
use crate::error::{ErrorKind, Result};
use crate::expr::broadcast_shapes;
use crate::op::BinaryOp;
use std::panic::Location;

impl Array {
    /// The real part: of real numbers, themselves.
    pub fn real(&self) -> Array {
        self.clone()
    }

    /// The imaginary part: of real numbers 0, in their dtype.
    #[track_caller]
    pub fn imag(&self) -> Array {
        self.zeros_like()
    }

    /// The complex conjugate: of real numbers themselves; bools become i8, as NumPy's do.
    #[track_caller]
    pub fn conj(&self) -> Array {
        if self.dtype() == DType::Bool { self.cast(DType::I8) } else { self.clone() }
    }

    /// The angle in radians of a number in the complex plane: 0 for positive real numbers (and 0.0), pi for negative ones (and -0.0), NaN
    /// for NaN. Integers in NumPy's smallest float.
    #[track_caller]
    pub fn angle(&self) -> Array {
        binary(BinaryOp::Atan2, 0, self)
    }

    /// Whether an element has no imaginary part: true, as long as there are no complex dtypes.
    #[track_caller]
    pub fn isreal(&self) -> Array {
        self.full_like(true)
    }

    /// Whether an element has an imaginary part: false, as long as there are no complex dtypes.
    #[track_caller]
    pub fn iscomplex(&self) -> Array {
        self.full_like(false)
    }

    /// The fraction and the whole part of each element, both with its sign; infinities have fraction 0. Integers in NumPy's smallest
    /// float.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let (fraction, whole) = Array::from_vec(vec![2.5f32, -0.25]).modf();
    /// assert_eq!(fraction.compute()?.as_slice::<f32>()?, [0.5, -0.25]);
    /// assert_eq!(whole.compute()?.as_slice::<f32>()?, [2.0, -0.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn modf(&self) -> (Array, Array) {
        let x = self.in_float();
        let whole = x.trunc();
        let fraction = where_(x.isinf(), 0.0, &x - &whole).copysign(&x);
        (fraction, whole)
    }

    /// Mantissa and exponent of each element: `x = mantissa * 2^exponent` with `0.5 <= |mantissa| < 1`; the exponent is i32. Zeros,
    /// infinities and NaN are their own mantissa with exponent 0. Integers in NumPy's smallest float.
    ///
    /// Exact. Each is a function of blocks: it does not fuse with its neighbours.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let (mantissa, exponent) = Array::from_vec(vec![6.0f64, -0.25]).frexp();
    /// assert_eq!(mantissa.compute()?.as_slice::<f64>()?, [0.75, -0.5]);
    /// assert_eq!(exponent.compute()?.as_slice::<i32>()?, [3, -1]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn frexp(&self) -> (Array, Array) {
        let x = self.in_float();
        // every float is an f64, and so is every exponent
        let wide = x.cast(DType::F64);
        let part = |f: fn(f64) -> f64| over_f64("frexp", &wide, f);
        (part(|v| frexp(v).0).cast(x.dtype()), part(|v| f64::from(frexp(v).1)).cast(DType::I32))
    }

    /// `x * 2^exponent`, rounded once; integers in NumPy's smallest float.
    ///
    /// A function of blocks: it does not fuse with its neighbours.
    ///
    /// # Errors
    /// An exponent that is no integer (or u64, which NumPy refuses too), or shapes that do not broadcast.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![0.75f32, -1.0, 1.0]);
    /// let y = x.ldexp(Array::from_vec(vec![3i32, 0, -149]));
    /// assert_eq!(y.compute()?.as_slice::<f32>()?, [6.0, -1.0, f32::from_bits(1)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn ldexp(&self, exponent: impl IntoArray) -> Array {
        let at = Location::caller();
        self.try_ldexp(exponent.into_operand()).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_ldexp(&self, exponent: Operand) -> Result<Array> {
        let exponent = match exponent {
            Operand::Array(a) => a,
            Operand::Number(n) => Array::scalar(n),
        };
        let d = exponent.expr()?.dtype();
        if d.is_float() || d == DType::U64 {
            let hint = "cast the exponent to i32".into();
            return Err(ErrorKind::DType { op: "ldexp".into(), dtype: d, hint }.into());
        }
        let shape = broadcast_shapes("ldexp", &[self.expr()?.shape(), exponent.shape()])?;
        let x = self.in_float();
        let wide = x.cast(DType::F64).broadcast_to(&shape);
        let exponent = exponent.cast(DType::I64).broadcast_to(&shape);
        let out = over_blocks(&[&wide, &exponent]).name("ldexp").apply(|_, blocks| {
            let (x, e) = (blocks[0].view::<f64>()?, blocks[1].view::<i64>()?);
            Ok(Block::from_array(ndarray::Zip::from(x).and(e).map_collect(|&x, &e| ldexp(x, e))))
        });
        Ok(out.cast(x.dtype()))
    }

    /// The distance from each element to the next number away from 0, with the element's sign (0 counts as positive); NaN for infinities
    /// and NaN. Integers in NumPy's smallest float.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1.0f64, -1.0]);
    /// assert_eq!(x.spacing().compute()?.as_slice::<f64>()?, [f64::EPSILON, -f64::EPSILON]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn spacing(&self) -> Array {
        let x = self.in_float();
        let away =
            where_(x.lt(0), x.full_like(f64::NEG_INFINITY), x.full_like(f64::INFINITY)).cast(x.dtype());
        x.nextafter(away) - &x
    }
}

/// A function of every element of an f64 array.
#[track_caller]
fn over_f64(name: &str, x: &Array, f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Array {
    over_blocks(&[x])
        .name(name)
        .apply(move |_, blocks| Ok(Block::from_array(blocks[0].view::<f64>()?.mapv(&f))))
}

/// Mantissa in `0.5..1` and exponent, as C's `frexp`.
fn frexp(v: f64) -> (f64, i32) {
    if v == 0.0 || !v.is_finite() {
        return (v, 0);
    }
    // subnormal numbers have no exponent of their own until they are scaled
    let shift = if v.abs() < f64::MIN_POSITIVE { 54 } else { 0 };
    let bits = (v * f64::from(1u32 << (shift / 2)).powi(2)).to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022 - shift;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent)
}

/// `v * 2^e`, as C's `ldexp`: rounded once, because all factors but the last leave the number normal.
fn ldexp(mut v: f64, e: i64) -> f64 {
    let power = |e: i64| f64::from_bits(((1023 + e) as u64) << 52);
    let mut left = e.clamp(-2200, 2200);
    while left > 1023 {
        v *= power(1023);
        left -= 1023;
    }
    // the last factor is so small that what is rounded before it is 0 in the end
    while left < -1022 {
        v *= power(-1022 + 53);
        left += 1022 - 53;
    }
    v * power(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        let samples = [1.0, -3.5, 0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324, -2.5e-310, 1e-300];
        for v in samples {
            let (m, e) = frexp(v);
            assert!((0.5..1.0).contains(&m.abs()), "{v:e}: {m}");
            assert_eq!(ldexp(m, e.into()), v);
        }
        assert_eq!(frexp(8.0), (0.5, 4));
        assert_eq!(frexp(-0.0).0.to_bits(), (-0.0f64).to_bits());
        assert_eq!(ldexp(f64::MAX, -5000), 0.0);
        assert_eq!(ldexp(5e-324, 5000), f64::INFINITY);
        assert_eq!(ldexp(5e-324, 2097), ldexp(1.0, 1023));
        // halfway between two subnormal numbers: to the even one, once
        assert_eq!(ldexp(1.0 + f64::EPSILON, -1075), 5e-324);
        assert_eq!(ldexp(1.0, -1075), 0.0);
        assert_eq!(ldexp(3.0, -1075), 1e-323);
    }
}
