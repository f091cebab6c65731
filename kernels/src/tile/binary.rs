//! Binary operations and multiply-add over tiles.

use super::elementary;
use super::float::{Float, rem_f32, rem_f64};
use super::integer::Integer;
use super::lanes::{Lane, map2, map3, scalar2};
use super::{BinaryFn, Isa, Operands, TernaryFn};
use crate::op::BinaryOp;
use crate::{DType, Element, f16, naive};

/// The function of a binary operation in a mode, or `None` if the mode is not instantiated: splat the scalar and use
/// [`Operands::VV`], which there always is.
///
/// # Panics
/// If the operation does not accept the dtype.
pub fn binary(isa: Isa, op: BinaryOp, d: DType, mode: Operands) -> Option<BinaryFn> {
    assert!(op.accepts(d), "{op} is not defined for {d}");
    if !has_mode(op, d, mode) {
        return None;
    }
    Some(match d {
        DType::Bool => match op {
            BinaryOp::Add | BinaryOp::Or | BinaryOp::Max | BinaryOp::Fmax => bits(isa, BinaryOp::Or, d, mode),
            BinaryOp::Xor => bits(isa, BinaryOp::Xor, d, mode),
            _ => bits(isa, BinaryOp::And, d, mode),
        },
        DType::I8 => integer::<i8>(isa, op, d, mode),
        DType::I16 => integer::<i16>(isa, op, d, mode),
        DType::I32 => integer::<i32>(isa, op, d, mode),
        DType::I64 => integer::<i64>(isa, op, d, mode),
        DType::U8 => integer::<u8>(isa, op, d, mode),
        DType::U16 => integer::<u16>(isa, op, d, mode),
        DType::U32 => integer::<u32>(isa, op, d, mode),
        DType::U64 => integer::<u64>(isa, op, d, mode),
        DType::F16 if op == BinaryOp::Nextafter => nextafter_f16(),
        DType::F16 => f16(isa, op, mode).unwrap_or_else(|| elementary::binary(isa, op, d)),
        DType::F32 => f32(isa, op, mode).unwrap_or_else(|| elementary::binary(isa, op, d)),
        DType::F64 => f64(isa, op, mode).unwrap_or_else(|| elementary::binary(isa, op, d)),
    })
}

fn has_mode(op: BinaryOp, d: DType, mode: Operands) -> bool {
    use BinaryOp::*;
    match mode {
        Operands::VV => true,
        // two instances less of the largest loops
        _ if op == Pow => !d.is_float(),
        Operands::VS => !matches!(op, Atan2 | Hypot | Logaddexp | Logaddexp2 | Nextafter),
        Operands::SV => matches!(op, Add | Sub | Mul | Div | Min | Max | And | Or | Xor | FloorDiv),
    }
}

fn integer<T: Integer + Lane<Wide = T>>(isa: Isa, op: BinaryOp, d: DType, mode: Operands) -> BinaryFn {
    match op {
        BinaryOp::FloorDiv if T::FAST_DIV => map2::<T, T, _>(isa, mode, T::floor_div),
        BinaryOp::Rem if T::FAST_DIV => map2::<T, T, _>(isa, mode, T::rem),
        BinaryOp::Fmod if T::FAST_DIV => map2::<T, T, _>(isa, mode, T::fmod),
        BinaryOp::FloorDiv => scalar2(mode, T::floor_div),
        BinaryOp::Rem => scalar2(mode, T::rem),
        BinaryOp::Fmod => scalar2(mode, T::fmod),
        BinaryOp::Pow => scalar2(mode, T::pow),
        BinaryOp::Min | BinaryOp::Fmin => map2::<T, T, _>(isa, mode, T::min),
        BinaryOp::Max | BinaryOp::Fmax => map2::<T, T, _>(isa, mode, T::max),
        BinaryOp::Shl => map2::<T, T, _>(isa, mode, T::shl),
        BinaryOp::Shr => map2::<T, T, _>(isa, mode, T::shr),
        _ => bits(isa, op, d, mode),
    }
}

/// Operations that are the same for signed and unsigned integers.
fn bits(isa: Isa, op: BinaryOp, d: DType, mode: Operands) -> BinaryFn {
    macro_rules! of {
        ($T:ty) => {
            match op {
                BinaryOp::Add => map2::<$T, $T, _>(isa, mode, |a, b| a.wrapping_add(b)),
                BinaryOp::Sub => map2::<$T, $T, _>(isa, mode, |a, b| a.wrapping_sub(b)),
                BinaryOp::Mul => map2::<$T, $T, _>(isa, mode, |a, b| a.wrapping_mul(b)),
                BinaryOp::And => map2::<$T, $T, _>(isa, mode, |a, b| a & b),
                BinaryOp::Or => map2::<$T, $T, _>(isa, mode, |a, b| a | b),
                BinaryOp::Xor => map2::<$T, $T, _>(isa, mode, |a, b| a ^ b),
                other => unreachable!("{other} is not the same for all integers"),
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
    ($name:ident, $T:ty, $W:ty, $rem:ident) => {
        fn $name(isa: Isa, op: BinaryOp, mode: Operands) -> Option<BinaryFn> {
            Some(match op {
                BinaryOp::Add => map2::<$T, $T, _>(isa, mode, |a: $W, b: $W| a + b),
                BinaryOp::Sub => map2::<$T, $T, _>(isa, mode, |a: $W, b: $W| a - b),
                BinaryOp::Mul => map2::<$T, $T, _>(isa, mode, |a: $W, b: $W| a * b),
                BinaryOp::Div => map2::<$T, $T, _>(isa, mode, |a: $W, b: $W| a / b),
                BinaryOp::FloorDiv => map2::<$T, $T, _>(isa, mode, <$W as Float>::floor_div),
                BinaryOp::Min => map2::<$T, $T, _>(isa, mode, <$W as Float>::min),
                BinaryOp::Max => map2::<$T, $T, _>(isa, mode, <$W as Float>::max),
                BinaryOp::Fmin => map2::<$T, $T, _>(isa, mode, <$W as Float>::fmin),
                BinaryOp::Fmax => map2::<$T, $T, _>(isa, mode, <$W as Float>::fmax),
                BinaryOp::Copysign => map2::<$T, $T, _>(isa, mode, |a: $W, b: $W| a.copysign(b)),
                BinaryOp::Rem => {
                    scalar2(mode, |a: $T, b: $T| <$T as Lane>::narrow($rem(a.widen(), b.widen())))
                }
                BinaryOp::Fmod => scalar2(mode, |a: $T, b: $T| <$T as Lane>::narrow(a.widen() % b.widen())),
                _ => return None,
            })
        }
    };
}
float!(f16, f16, f32, rem_f32);
float!(f32, f32, f32, rem_f32);
float!(f64, f64, f64, rem_f64);

/// The neighbour in the order of halves is not that in the order of floats.
fn nextafter_f16() -> BinaryFn {
    scalar2(Operands::VV, |a: f16, b: f16| {
        naive::binary(BinaryOp::Nextafter, a.to_scalar(), b.to_scalar()).get().unwrap_or_default()
    })
}

/// The function of `a * b + c` rounded once (wrapping for integers), with the given operands scalars; `None` if that
/// mode is not instantiated. There are VVV, VSV, VVS and VSS.
///
/// # Panics
/// For `bool`.
pub fn mul_add(isa: Isa, d: DType, a_scalar: bool, b_scalar: bool, c_scalar: bool) -> Option<TernaryFn> {
    macro_rules! of {
        ($T:ty, $f:expr) => {
            match (a_scalar, b_scalar, c_scalar) {
                (false, false, false) => Some(map3::<$T, $T, _, false, false, false>(isa, $f)),
                (false, true, false) => Some(map3::<$T, $T, _, false, true, false>(isa, $f)),
                (false, false, true) => Some(map3::<$T, $T, _, false, false, true>(isa, $f)),
                (false, true, true) => Some(map3::<$T, $T, _, false, true, true>(isa, $f)),
                _ => None,
            }
        };
    }
    match d {
        DType::Bool => panic!("mul_add is not defined for bool"),
        DType::I8 | DType::U8 => of!(u8, |a: u8, b: u8, c: u8| a.wrapping_mul(b).wrapping_add(c)),
        DType::I16 | DType::U16 => of!(u16, |a: u16, b: u16, c: u16| a.wrapping_mul(b).wrapping_add(c)),
        DType::I32 | DType::U32 => of!(u32, |a: u32, b: u32, c: u32| a.wrapping_mul(b).wrapping_add(c)),
        DType::I64 | DType::U64 => of!(u64, |a: u64, b: u64, c: u64| a.wrapping_mul(b).wrapping_add(c)),
        // the product of two halves is exact in f32
        DType::F16 => of!(f16, |a: f32, b: f32, c: f32| a * b + c),
        DType::F32 => of!(f32, |a: f32, b: f32, c: f32| a.mul_add(b, c)),
        DType::F64 => of!(f64, |a: f64, b: f64, c: f64| a.mul_add(b, c)),
    }
}
