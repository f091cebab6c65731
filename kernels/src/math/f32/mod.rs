//! Elementary functions of `f32`; see [`crate::math`] for the errors and the rules.
//!
//! [`exp`], [`log`], [`sin`], [`cos`] and [`tanh`] compute in `f32`; the others in `f64` with
//! polynomials that are right to about 2^-33, and round once. That is twice the work per vector, less the corrections
//! that a native version would need.

mod exp;
mod log;
mod trig;
mod wide;

pub use exp::{exp, tanh};
pub use log::log;
pub use trig::{cos, sin};
pub use wide::{
    acos, acosh, asin, asinh, atan, atan2, atanh, cbrt, cosh, exp2, expm1, hypot, log1p, log2, log10,
    logaddexp, logaddexp2, nextafter, pow, sinh, tan,
};

use trig::{cos_fast, is_far, sin_fast};
use wide::{is_far_wide, tan_fast};

unary_slices! { f32:
    exp exp_slice, exp2 exp2_slice, expm1 expm1_slice,
    log log_slice, log2 log2_slice, log10 log10_slice, log1p log1p_slice,
    asin asin_slice, acos acos_slice, atan atan_slice,
    sinh sinh_slice, cosh cosh_slice, tanh tanh_slice,
    asinh asinh_slice, acosh acosh_slice, atanh atanh_slice,
    cbrt cbrt_slice,
}
patched_slices! { f32:
    sin sin_slice = sin_fast, is_far, sin;
    cos cos_slice = cos_fast, is_far, cos;
    tan tan_slice = tan_fast, is_far_wide, tan;
}
binary_slices! { f32:
    atan2 atan2_slice, hypot hypot_slice, pow pow_slice,
    logaddexp logaddexp_slice, logaddexp2 logaddexp2_slice, nextafter nextafter_slice,
}

/// Horner's scheme, lowest coefficient first.
#[inline(always)]
fn poly<F: crate::math::Fma, const N: usize>(x: f32, c: &[f32; N]) -> f32 {
    let mut r = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        r = F::mad32(r, x, c[i]);
    }
    r
}
