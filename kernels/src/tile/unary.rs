//! Unary operations over tiles.

use super::elementary;
use super::float::Float;
use super::integer::Integer;
use super::lanes::map1;
use super::{Isa, UnaryFn};
use crate::op::UnaryOp;
use crate::{DType, f16};

/// The function of a unary operation; predicates write bool bytes.
///
/// # Panics
/// If the operation does not accept the dtype.
pub fn unary(isa: Isa, op: UnaryOp, d: DType) -> UnaryFn {
    assert!(op.accepts(d), "{op} is not defined for {d}");
    match d {
        DType::Bool => match op {
            UnaryOp::Not => map1::<u8, u8, _>(isa, |x| x ^ 1),
            op => integer_predicate::<u8>(isa, op, false),
        },
        DType::I8 => integer::<i8>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::I16 => integer::<i16>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::I32 => integer::<i32>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::I64 => integer::<i64>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::U8 => integer::<u8>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::U16 => integer::<u16>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::U32 => integer::<u32>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        DType::U64 => integer::<u64>(isa, op).unwrap_or_else(|| bits(isa, op, d)),
        _ if op.is_transcendental() => elementary::unary(isa, op, d),
        DType::F16 => f16(isa, op),
        DType::F32 => f32(isa, op),
        DType::F64 => f64(isa, op),
    }
}

/// Operations that depend on the integer's signedness.
fn integer<T: Integer + super::lanes::Lane<Wide = T>>(isa: Isa, op: UnaryOp) -> Option<UnaryFn> {
    Some(match op {
        UnaryOp::Abs => map1::<T, T, _>(isa, T::abs),
        UnaryOp::Sign => map1::<T, T, _>(isa, T::sign),
        UnaryOp::Reciprocal => map1::<T, T, _>(isa, T::reciprocal),
        op if op.is_predicate() => integer_predicate::<T>(isa, op, true),
        _ => return None,
    })
}

fn integer_predicate<T: Integer + super::lanes::Lane<Wide = T>>(
    isa: Isa,
    op: UnaryOp,
    signed: bool,
) -> UnaryFn {
    match op {
        UnaryOp::Signbit if signed => map1::<T, u8, _>(isa, T::is_negative),
        UnaryOp::IsFinite => map1::<T, u8, _>(isa, |_| 1),
        _ => map1::<T, u8, _>(isa, |_| 0),
    }
}

/// Operations that are the same for signed and unsigned integers.
fn bits(isa: Isa, op: UnaryOp, d: DType) -> UnaryFn {
    macro_rules! of {
        ($T:ty) => {
            match op {
                UnaryOp::Neg => map1::<$T, $T, _>(isa, |x| x.wrapping_neg()),
                UnaryOp::Not => map1::<$T, $T, _>(isa, |x| !x),
                UnaryOp::Square => map1::<$T, $T, _>(isa, |x| x.wrapping_mul(x)),
                // rounding
                _ => map1::<$T, $T, _>(isa, |x| x),
            }
        };
    }
    match d.size() {
        1 => of!(u8),
        2 => of!(u16),
        4 => of!(u32),
        _ => of!(u64),
    }
}

macro_rules! float {
    ($name:ident, $T:ty, $W:ty) => {
        fn $name(isa: Isa, op: UnaryOp) -> UnaryFn {
            match op {
                UnaryOp::Neg => map1::<$T, $T, _>(isa, |x: $W| -x),
                UnaryOp::Abs => map1::<$T, $T, _>(isa, |x: $W| x.abs()),
                UnaryOp::Sign => map1::<$T, $T, _>(isa, <$W as Float>::sign),
                UnaryOp::Sqrt => map1::<$T, $T, _>(isa, |x: $W| x.sqrt()),
                UnaryOp::Square => map1::<$T, $T, _>(isa, |x: $W| x * x),
                UnaryOp::Reciprocal => map1::<$T, $T, _>(isa, |x: $W| 1.0 / x),
                UnaryOp::Floor => map1::<$T, $T, _>(isa, |x: $W| x.floor()),
                UnaryOp::Ceil => map1::<$T, $T, _>(isa, |x: $W| x.ceil()),
                UnaryOp::Trunc => map1::<$T, $T, _>(isa, |x: $W| x.trunc()),
                UnaryOp::Rint => map1::<$T, $T, _>(isa, |x: $W| x.round_ties_even()),
                UnaryOp::IsNan => map1::<$T, u8, _>(isa, |x: $W| x.is_nan() as u8),
                UnaryOp::IsInf => map1::<$T, u8, _>(isa, |x: $W| (x.abs() == <$W>::INFINITY) as u8),
                UnaryOp::IsFinite => map1::<$T, u8, _>(isa, |x: $W| (x.abs() < <$W>::INFINITY) as u8),
                // the only one left: `accepts` is checked, transcendental functions are elsewhere
                _ => map1::<$T, u8, _>(isa, <$W as Float>::is_negative),
            }
        }
    };
}
float!(f16, f16, f32);
float!(f32, f32, f32);
float!(f64, f64, f64);
