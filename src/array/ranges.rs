//! Numbers from one to another: `linspace`, `logspace`, `geomspace`.

use super::create::index_along;
use super::operators::{binary, compare};
use super::{Array, where_};
use crate::dtype::DType;
use crate::error::Error;
use crate::op::{BinaryOp, CompareOp};
use std::panic::Location;

/// `n` numbers from `start` to `stop`, evenly spaced, both included; f64, each computed as `start + i * step` and the last one exactly
/// `stop`.
///
/// ```
/// use blockwise::prelude::*;
/// assert_eq!(linspace(0.0, 1.0, 5).compute()?.as_slice::<f64>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn linspace(start: f64, stop: f64, n: usize) -> Array {
    let step = (stop - start) / n.saturating_sub(1).max(1) as f64;
    last(n, stop, index_along(&[n], 0).cast(DType::F64) * step + start)
}

/// The powers of `base` whose exponents are [`linspace`]: `n` numbers from `base^start` to `base^stop`; f64.
///
/// ```
/// use blockwise::array::logspace;
/// assert_eq!(logspace(0.0, 3.0, 4, 2.0).compute()?.as_slice::<f64>()?, [1.0, 2.0, 4.0, 8.0]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn logspace(start: f64, stop: f64, n: usize, base: f64) -> Array {
    binary(BinaryOp::Pow, base, linspace(start, stop, n))
}

/// `n` numbers from `start` to `stop`, both included, each the same multiple of the one before; f64, the ends exact.
///
/// # Errors
/// If one of the ends is 0 or not finite, or their signs differ.
///
/// ```
/// use blockwise::array::geomspace;
/// let x = geomspace(1.0, 1000.0, 4).compute()?;
/// assert!(x.as_slice::<f64>()?.iter().zip([1.0, 10.0, 100.0, 1000.0]).all(|(a, b)| (a / b - 1.0).abs() < 1e-14));
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn geomspace(start: f64, stop: f64, n: usize) -> Array {
    let ends = [start, stop];
    if ends.iter().any(|x| *x == 0.0 || !x.is_finite()) || start.signum() != stop.signum() {
        let message = format!("no common ratio leads from {start} to {stop}");
        return Array::failed(Error::invalid("geomspace", message), Location::caller());
    }
    // by exponents, since the ratio of the ends may be beyond the floats
    let values = linspace(start.abs().log2(), stop.abs().log2(), n).exp2() * start.signum();
    where_(compare(CompareOp::Eq, index_along(&[n], 0), 0), start, last(n, stop, values))
}

/// `n` values, the last of which is exactly `stop` if there are several.
#[track_caller]
fn last(n: usize, stop: f64, values: Array) -> Array {
    if n < 2 {
        return values;
    }
    where_(compare(CompareOp::Eq, index_along(&[n], 0), (n - 1) as i64), stop, values)
}
