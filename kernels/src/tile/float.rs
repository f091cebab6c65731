//! Scalar functions of floats in a form that vectorizes: comparisons and selections, no branches, no calls.

/// What the loops need of `f32` and `f64`.
pub(super) trait Float: Copy + Default + PartialOrd + 'static {
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    fn is_nan(self) -> bool;
    /// A number rounded to this precision.
    fn rounded(x: f64) -> f64;
    fn sign(self) -> Self;
    fn floor_div(self, b: Self) -> Self;
    fn min(self, b: Self) -> Self;
    fn max(self, b: Self) -> Self;
    fn fmin(self, b: Self) -> Self;
    fn fmax(self, b: Self) -> Self;
    fn is_negative(self) -> u8;
}

macro_rules! float {
    ($T:ty) => {
        impl Float for $T {
            const INFINITY: $T = <$T>::INFINITY;
            const NEG_INFINITY: $T = <$T>::NEG_INFINITY;
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn rounded(x: f64) -> f64 {
                x as $T as f64
            }
            #[inline(always)]
            fn sign(self) -> $T {
                let s = if self > 0.0 { 1.0 } else { 0.0 };
                let s = if self < 0.0 { -1.0 } else { s };
                if self.is_nan() { self } else { s }
            }
            #[inline(always)]
            fn floor_div(self, b: $T) -> $T {
                let q = (self / b).floor();
                let r = if b.abs() == <$T>::INFINITY { self } else { (-q).mul_add(b, self) };
                let down = (r < 0.0) & (b > 0.0) | (r > 0.0) & (b < 0.0);
                let q = if down { q - 1.0 } else { q };
                if self.abs() == <$T>::INFINITY { <$T>::NAN } else { q }
            }
            #[inline(always)]
            fn min(self, b: $T) -> $T {
                let m = if self < b { self } else { b };
                if self.is_nan() { self } else { m }
            }
            #[inline(always)]
            fn max(self, b: $T) -> $T {
                let m = if self > b { self } else { b };
                if self.is_nan() { self } else { m }
            }
            #[inline(always)]
            fn fmin(self, b: $T) -> $T {
                let m = if self < b { self } else { b };
                if b.is_nan() { self } else { m }
            }
            #[inline(always)]
            fn fmax(self, b: $T) -> $T {
                let m = if self > b { self } else { b };
                if b.is_nan() { self } else { m }
            }
            #[inline(always)]
            fn is_negative(self) -> u8 {
                (self.to_bits() >> (8 * size_of::<$T>() - 1)) as u8
            }
        }
    };
}
float!(f32);
float!(f64);

/// Python's remainder: that of C, moved to the divisor's side.
#[inline(always)]
pub(super) fn rem_f32(a: f32, b: f32) -> f32 {
    match a % b {
        0.0 => 0f32.copysign(b),
        r if (r < 0.0) != (b < 0.0) => r + b,
        r => r,
    }
}

/// As [`rem_f32`].
#[inline(always)]
pub(super) fn rem_f64(a: f64, b: f64) -> f64 {
    match a % b {
        0.0 => 0f64.copysign(b),
        r if (r < 0.0) != (b < 0.0) => r + b,
        r => r,
    }
}
