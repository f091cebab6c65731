//! How a function multiplies and adds: with the FMA instruction ([`Hard`]) or without ([`Soft`]).
//!
//! Every function of [`crate::math`] takes one of the two as a type parameter. Both stay inside the documented error;
//! their results may differ in the last bit, so one program should stay with one of them.

/// Fused and error-free arithmetic, as the target provides it.
pub trait Fma: Copy + Send + Sync + 'static {
    /// `a * b + c`; exact to one rounding if the product and sum fit 53 bits together.
    fn f32(a: f32, b: f32, c: f32) -> f32;
    /// `a * b + c`, rounded once.
    fn f64(a: f64, b: f64, c: f64) -> f64;
    /// `a * b + c`, rounded once or twice, whichever is faster.
    fn mad32(a: f32, b: f32, c: f32) -> f32;
    /// `a * b + c`, rounded once or twice, whichever is faster.
    fn mad64(a: f64, b: f64, c: f64) -> f64;
    /// `c - a * b` where the difference is small against `c`: the product is not rounded.
    fn residual(a: f64, b: f64, c: f64) -> f64;
}

/// For targets with an FMA instruction; elsewhere right, but a library call per operation.
#[derive(Clone, Copy, Default, Debug)]
pub struct Hard;

/// For targets without: `f32` goes through `f64`, `f64` products are split (T. J. Dekker, "A floating-point technique
/// for extending the available precision", 1971).
#[derive(Clone, Copy, Default, Debug)]
pub struct Soft;

impl Fma for Hard {
    #[inline(always)]
    fn f32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn f64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn mad32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn mad64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn residual(a: f64, b: f64, c: f64) -> f64 {
        (-a).mul_add(b, c)
    }
}

impl Fma for Soft {
    #[inline(always)]
    fn f32(a: f32, b: f32, c: f32) -> f32 {
        (a as f64 * b as f64 + c as f64) as f32
    }
    #[inline(always)]
    fn f64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn mad32(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn mad64(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
    #[inline(always)]
    fn residual(a: f64, b: f64, c: f64) -> f64 {
        // Veltkamp's split in halves of 26 bits; the factors here are far below the 2^996 where it would overflow.
        const SPLIT: f64 = 134_217_729.0;
        let (ta, tb) = (a * SPLIT, b * SPLIT);
        let (ah, bh) = (ta - (ta - a), tb - (tb - b));
        let (al, bl) = (a - ah, b - bh);
        let p = a * b;
        let e = ((ah * bh - p) + ah * bl + al * bh) + al * bl;
        (c - p) - e
    }
}
