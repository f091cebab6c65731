//! Comparisons and selection over tiles.

use super::lanes::{Lane, map2, map3};
use super::{BinaryFn, Isa, Operands, TernaryFn};
use crate::op::CompareOp;
use crate::{DType, f16};

/// The function of a comparison; writes bool bytes.
pub fn compare(isa: Isa, op: CompareOp, d: DType, mode: Operands) -> BinaryFn {
    match d {
        // 0 and 1 as u8
        DType::Bool | DType::U8 => of::<u8>(isa, op, mode),
        DType::I8 => signed::<i8, u8>(isa, op, mode),
        DType::I16 => signed::<i16, u16>(isa, op, mode),
        DType::I32 => signed::<i32, u32>(isa, op, mode),
        DType::I64 => signed::<i64, u64>(isa, op, mode),
        DType::U16 => of::<u16>(isa, op, mode),
        DType::U32 => of::<u32>(isa, op, mode),
        DType::U64 => of::<u64>(isa, op, mode),
        DType::F16 => of::<f16>(isa, op, mode),
        DType::F32 => of::<f32>(isa, op, mode),
        DType::F64 => of::<f64>(isa, op, mode),
    }
}

/// Equality of signed integers is that of their bits.
fn signed<T, U>(isa: Isa, op: CompareOp, mode: Operands) -> BinaryFn
where
    T: Lane<Wide: PartialOrd>,
    U: Lane<Wide: PartialOrd>,
{
    match op {
        CompareOp::Eq | CompareOp::Ne => of::<U>(isa, op, mode),
        CompareOp::Lt => map2::<T, u8, _>(isa, mode, |a, b| (a < b) as u8),
        CompareOp::Le => map2::<T, u8, _>(isa, mode, |a, b| (a <= b) as u8),
    }
}

fn of<T: Lane<Wide: PartialOrd>>(isa: Isa, op: CompareOp, mode: Operands) -> BinaryFn {
    match op {
        CompareOp::Eq => map2::<T, u8, _>(isa, mode, |a, b| (a == b) as u8),
        CompareOp::Ne => map2::<T, u8, _>(isa, mode, |a, b| (a != b) as u8),
        CompareOp::Lt => map2::<T, u8, _>(isa, mode, |a, b| (a < b) as u8),
        CompareOp::Le => map2::<T, u8, _>(isa, mode, |a, b| (a <= b) as u8),
    }
}

/// The function that takes `a` where the mask's byte is 1 and `b` where it is 0: `(mask, a, b, out, n)`, for elements of
/// 1, 2, 4 or 8 bytes, with `a` or `b` or both scalars.
pub fn select(isa: Isa, size: usize, a_scalar: bool, b_scalar: bool) -> TernaryFn {
    match size {
        1 => select_of::<u8>(isa, a_scalar, b_scalar),
        2 => select_of::<u16>(isa, a_scalar, b_scalar),
        4 => select_of::<u32>(isa, a_scalar, b_scalar),
        _ => select_of::<u64>(isa, a_scalar, b_scalar),
    }
}

fn select_of<T: Lane<Wide = T>>(isa: Isa, a_scalar: bool, b_scalar: bool) -> TernaryFn {
    macro_rules! mode {
        ($a:literal, $b:literal) => {
            map3::<u8, T, _, false, $a, $b>(isa, |m: u8, a: T, b: T| if m != 0 { a } else { b })
        };
    }
    match (a_scalar, b_scalar) {
        (false, false) => mode!(false, false),
        (false, true) => mode!(false, true),
        (true, false) => mode!(true, false),
        (true, true) => mode!(true, true),
    }
}
