//! Scalar functions of integers: division and shifts, without branches where the width allows to vectorize them.

/// What the loops need of the integer types.
pub(super) trait Integer: Copy + Default + Ord + 'static {
    /// Whether division goes through floats and vectorizes.
    const FAST_DIV: bool;
    fn floor_div(self, b: Self) -> Self;
    fn rem(self, b: Self) -> Self;
    fn fmod(self, b: Self) -> Self;
    fn pow(self, b: Self) -> Self;
    fn shl(self, b: Self) -> Self;
    fn shr(self, b: Self) -> Self;
    fn abs(self) -> Self;
    fn sign(self) -> Self;
    fn reciprocal(self) -> Self;
    fn is_negative(self) -> u8;
}

/// The truncated quotient and its remainder; 0 and 0 for a zero divisor.
trait Divide: Sized {
    fn divide(self, b: Self) -> (Self, Self);
}

macro_rules! divide_by_float {
    ($($T:ty, $W:ty, $F:ty;)*) => {$(
        impl Divide for $T {
            #[inline(always)]
            fn divide(self, b: $T) -> ($T, $T) {
                // exact: the quotient of two such integers is an integer, or further from one than a float's rounding
                let zero = b == 0;
                let divisor = (if zero { 1 } else { b }) as $W as $F;
                // SAFETY: a quotient of finite numbers by at least 1 fits the wide type.
                let q = unsafe { (self as $W as $F / divisor).to_int_unchecked::<$W>() } as $T;
                let r = self.wrapping_sub(q.wrapping_mul(b));
                if zero { (0, 0) } else { (q, r) }
            }
        }
    )*};
}
divide_by_float! {
    i8, i32, f32;
    i16, i32, f32;
    u8, i32, f32;
    u16, i32, f32;
    u32, i64, f64;
}

impl Divide for i32 {
    #[inline(always)]
    fn divide(self, b: i32) -> (i32, i32) {
        // -MIN does not fit; for divisors 0 and -1 the quotient is known
        let known = (b == 0) | (b == -1);
        let divisor = (if known { 1 } else { b }) as f64;
        // SAFETY: the quotient is not larger than the dividend.
        let q = unsafe { (self as f64 / divisor).to_int_unchecked::<i32>() };
        let q = if b == -1 { self.wrapping_neg() } else { q };
        let q = if b == 0 { 0 } else { q };
        (q, if known { 0 } else { self.wrapping_sub(q.wrapping_mul(b)) })
    }
}

macro_rules! divide_by_instruction {
    ($($T:ty)*) => {$(
        impl Divide for $T {
            #[inline(always)]
            fn divide(self, b: $T) -> ($T, $T) {
                if b == 0 {
                    return (0, 0);
                }
                let q = self.wrapping_div(b);
                (q, self.wrapping_sub(q.wrapping_mul(b)))
            }
        }
    )*};
}
divide_by_instruction!(i64 u64);

macro_rules! integer {
    ($($T:ty, $fast:literal;)*) => {$(
        #[allow(unused_comparisons, clippy::absurd_extreme_comparisons, reason = "unsigned types come here too")]
        impl Integer for $T {
            const FAST_DIV: bool = $fast;
            #[inline(always)]
            fn floor_div(self, b: $T) -> $T {
                let (q, r) = self.divide(b);
                q.wrapping_sub(((r != 0) & ((self < 0) != (b < 0))) as $T)
            }
            #[inline(always)]
            fn rem(self, b: $T) -> $T {
                let r = self.divide(b).1;
                if (r != 0) & ((self < 0) != (b < 0)) { r.wrapping_add(b) } else { r }
            }
            #[inline(always)]
            fn fmod(self, b: $T) -> $T {
                self.divide(b).1
            }
            #[inline(always)]
            fn pow(self, b: $T) -> $T {
                if b < 0 {
                    let odd = b & 1 != 0;
                    let minus_one = (0 as $T).wrapping_sub(1);
                    return if self == 1 || self == minus_one && !odd {
                        1
                    } else if self == minus_one {
                        minus_one
                    } else {
                        0
                    };
                }
                let (mut base, mut left, mut power) = (self, b, 1 as $T);
                while left != 0 {
                    power = power.wrapping_mul(if left & 1 == 1 { base } else { 1 });
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                power
            }
            #[inline(always)]
            fn shl(self, b: $T) -> $T {
                let inside = (b >= 0) & (b < <$T>::BITS as $T);
                if inside { self.wrapping_shl(b as u32) } else { 0 }
            }
            #[inline(always)]
            fn shr(self, b: $T) -> $T {
                let inside = (b >= 0) & (b < <$T>::BITS as $T);
                // by the width less one, only the sign is left
                let sign = if self < 0 { (0 as $T).wrapping_sub(1) } else { 0 };
                if inside { self.wrapping_shr(b as u32) } else { sign }
            }
            #[inline(always)]
            fn abs(self) -> $T {
                if self < 0 { self.wrapping_neg() } else { self }
            }
            #[inline(always)]
            fn sign(self) -> $T {
                let s = (self != 0) as $T;
                if self < 0 { s.wrapping_neg() } else { s }
            }
            #[inline(always)]
            fn reciprocal(self) -> $T {
                let unit = (self == 1) | ((self < 0) & (self == (0 as $T).wrapping_sub(1)));
                if unit { self } else { 0 }
            }
            #[inline(always)]
            fn is_negative(self) -> u8 {
                (self < 0) as u8
            }
        }
    )*};
}
integer! {
    i8, true;
    i16, true;
    i32, true;
    i64, false;
    u8, true;
    u16, true;
    u32, true;
    u64, false;
}
