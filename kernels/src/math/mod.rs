//! Elementary functions over one float, written without branches so that loops over them vectorize.
//!
//! [`mod@f32`] and [`mod@f64`] hold the same names: `exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh
//! tanh asinh acosh atanh cbrt` of one operand, and `atan2 hypot pow logaddexp logaddexp2 nextafter` of two. Every
//! function `exp::<F>(x)` has a driver over slices, `exp_slice::<F>(x, out)`; all are `#[inline(always)]` and compile
//! for the target features of the caller. `F` is [`Hard`] where these include FMA, else [`Soft`].
//!
//! **Call the drivers** rather than looping over the functions: `sin`, `cos` and `tan` reduce large arguments (f64 and
//! f32 `tan` beyond 2^20, f32 `sin` and `cos` beyond 100 000) by digits of 2/pi, which does not vectorize. The drivers
//! run the vector loop over 64 elements and then do the few large ones again. All others have no slow arguments.
//!
//! **An element's result depends on that element alone**, not on its neighbours or its place in the slice. It does
//! depend on `F`, in the last bit.
//!
//! Special values are those of C99, Annex F; `logaddexp` of two equal infinities is that infinity. Exact are `exp2` of
//! integers, `log2` of powers of two, `log10` of powers of ten, `cbrt` of cubes, `pow(x, 1)` and `pow(x, 2) = x * x`
//! rounded.
//!
//! ```
//! use blockwise_kernels::math::{self, Soft};
//! let (x, mut y) = ([0.0, 1.0, 2.0], [0.0; 3]);
//! math::f64::exp2_slice::<Soft>(&x, &mut y);
//! assert_eq!(y, [1.0, 2.0, 4.0]);
//! ```
//!
//! # Errors
//! The largest error seen, in units in the last place of the exact result, subnormal arguments and results and
//! arguments of any size included. Over 40 000 arguments or pairs a function; for f32 functions of one
//! operand also over every 251st float and all from 1/2 to 8. Correctly rounded is 0.5. The greater of [`Hard`] and [`Soft`].
//!
//! | | f32 | f64 | | f32 | f64 |
//! |---|---|---|---|---|---|
//! | `exp` | 1.01 | 0.70 | `sinh` | 0.51 | 0.71 |
//! | `exp2` | 0.51 | 0.68 | `cosh` | 0.51 | 0.66 |
//! | `expm1` | 0.51 | 1.06 | `tanh` | 1.34 | 0.69 |
//! | `log` | 0.87 | 0.79 | `asinh` | 0.51 | 1.07 |
//! | `log2` | 0.51 | 0.55 | `acosh` | 0.51 | 0.76 |
//! | `log10` | 0.51 | 0.52 | `atanh` | 0.51 | 1.01 |
//! | `log1p` | 0.51 | 0.88 | `cbrt` | 0.51 | 0.51 |
//! | `sin` | 0.93 | 0.73 | `atan2` | 0.51 | 0.73 |
//! | `cos` | 0.90 | 0.72 | `hypot` | 0.51 | 0.84 |
//! | `tan` | 0.51 | 0.88 | `pow` | 0.51 | 0.79 |
//! | `asin` | 0.51 | 0.61 | `logaddexp` | 0.51 | 0.68 |
//! | `acos` | 0.51 | 0.58 | `logaddexp2` | 0.51 | 0.64 |
//! | `atan` | 0.51 | 0.57 | `nextafter` | exact | exact |
//!
//! `logaddexp` and `logaddexp2` cancel where the sum of the two powers is nearly 1; there the error is in units of the
//! larger operand.
//!
//! The polynomials are minimax fits made by `coefficients.py` beside this file; each module names its reductions.

#[macro_use]
mod drivers;
pub mod f32;
pub mod f64;
mod fma;

pub use fma::{Fma, Hard, Soft};
