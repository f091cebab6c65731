//! Elementary functions of `f64`; see [`crate::math`] for the errors and the rules.

pub(super) mod exp;
mod hyperbolic;
mod inverse;
pub(super) mod log;
pub(super) mod parts;
mod power;
mod trig;

pub use exp::{exp, exp2, expm1};
pub use hyperbolic::{acosh, asinh, atanh, cosh, sinh, tanh};
pub use inverse::{acos, asin, atan, atan2};
pub use log::{log, log1p, log2, log10, logaddexp, logaddexp2};
pub use power::{cbrt, hypot, nextafter, pow};
pub use trig::{cos, sin, tan};

use trig::{cos_fast, is_far, sin_fast, tan_fast};

unary_slices! { f64:
    exp exp_slice, exp2 exp2_slice, expm1 expm1_slice,
    log log_slice, log2 log2_slice, log10 log10_slice, log1p log1p_slice,
    asin asin_slice, acos acos_slice, atan atan_slice,
    sinh sinh_slice, cosh cosh_slice, tanh tanh_slice,
    asinh asinh_slice, acosh acosh_slice, atanh atanh_slice,
    cbrt cbrt_slice,
}
patched_slices! { f64:
    sin sin_slice = sin_fast, is_far, sin;
    cos cos_slice = cos_fast, is_far, cos;
    tan tan_slice = tan_fast, is_far, tan;
}
binary_slices! { f64:
    atan2 atan2_slice, hypot hypot_slice, pow pow_slice,
    logaddexp logaddexp_slice, logaddexp2 logaddexp2_slice, nextafter nextafter_slice,
}
