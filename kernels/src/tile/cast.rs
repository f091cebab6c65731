//! Conversions over tiles.

use super::lanes::{Lane, map1};
use super::{Isa, UnaryFn};
use crate::{DType, f16};

/// The function of a cast, by the rules of [`crate::op`].
pub fn cast(isa: Isa, from: DType, to: DType) -> UnaryFn {
    match from {
        _ if from == to => same_size(isa, to.size()),
        // 0 and 1 as u8
        DType::Bool | DType::U8 => integer::<u8>(isa, from, to),
        DType::I8 => integer::<i8>(isa, from, to),
        DType::I16 => integer::<i16>(isa, from, to),
        DType::I32 => integer::<i32>(isa, from, to),
        DType::I64 => integer::<i64>(isa, from, to),
        DType::U16 => integer::<u16>(isa, from, to),
        DType::U32 => integer::<u32>(isa, from, to),
        DType::U64 => integer::<u64>(isa, from, to),
        DType::F16 => float::<f16>(isa, to),
        DType::F32 => float::<f32>(isa, to),
        DType::F64 if to == DType::F16 => f64_to_f16,
        DType::F64 => float::<f64>(isa, to),
    }
}

/// `as`, between the types that elements are computed in.
trait As<R> {
    fn to(self) -> R;
}

macro_rules! conversions {
    ($($T:ty)*) => {$(
        conversions!(@from $T: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
    )*};
    (@from $T:ty: $($R:ty)*) => {$(
        impl As<$R> for $T {
            #[inline(always)]
            fn to(self) -> $R {
                self as $R
            }
        }
    )*};
}
conversions!(i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

/// A type that converts to every other.
trait Source:
    PartialEq
    + Default
    + As<f32>
    + As<f64>
    + As<i8>
    + As<i16>
    + As<i32>
    + As<i64>
    + As<u8>
    + As<u16>
    + As<u32>
    + As<u64>
{
}
impl<T> Source for T where
    T: PartialEq
        + Default
        + As<f32>
        + As<f64>
        + As<i8>
        + As<i16>
        + As<i32>
        + As<i64>
        + As<u8>
        + As<u16>
        + As<u32>
        + As<u64>
{
}

fn to<T: Lane<Wide: As<R::Wide>>, R: Lane>(isa: Isa) -> UnaryFn {
    map1::<T, R, _>(isa, |x| x.to())
}

/// Integers to anything; to integers only the sign of the source and the sizes matter.
fn integer<T: Lane<Wide: Source>>(isa: Isa, from: DType, to_dtype: DType) -> UnaryFn {
    match to_dtype {
        DType::Bool if from == DType::Bool => same_size(isa, 1),
        DType::Bool => map1::<T, u8, _>(isa, |x| (x != Default::default()) as u8),
        // exact, or too large for f16 either way
        DType::F16 => to::<T, f16>(isa),
        DType::F32 => to::<T, f32>(isa),
        DType::F64 => to::<T, f64>(isa),
        d if d.size() == from.size() => same_size(isa, d.size()),
        d if d.size() < from.size() => match (from.size(), d.size()) {
            (2, _) => to::<u16, u8>(isa),
            (4, 1) => to::<u32, u8>(isa),
            (4, _) => to::<u32, u16>(isa),
            (_, 1) => to::<u64, u8>(isa),
            (_, 2) => to::<u64, u16>(isa),
            _ => to::<u64, u32>(isa),
        },
        d => match d.size() {
            2 => to::<T, u16>(isa),
            4 => to::<T, u32>(isa),
            _ => to::<T, u64>(isa),
        },
    }
}

fn float<T: Lane<Wide: Source>>(isa: Isa, to_dtype: DType) -> UnaryFn {
    match to_dtype {
        DType::Bool => map1::<T, u8, _>(isa, |x| (x != Default::default()) as u8),
        DType::I8 => to::<T, i8>(isa),
        DType::I16 => to::<T, i16>(isa),
        DType::I32 => to::<T, i32>(isa),
        DType::I64 => to::<T, i64>(isa),
        DType::U8 => to::<T, u8>(isa),
        DType::U16 => to::<T, u16>(isa),
        DType::U32 => to::<T, u32>(isa),
        DType::U64 => to::<T, u64>(isa),
        DType::F16 => to::<T, f16>(isa),
        DType::F32 => to::<T, f32>(isa),
        DType::F64 => to::<T, f64>(isa),
    }
}

fn same_size(isa: Isa, size: usize) -> UnaryFn {
    match size {
        1 => map1::<u8, u8, _>(isa, |x| x),
        2 => map1::<u16, u16, _>(isa, |x| x),
        4 => map1::<u32, u32, _>(isa, |x| x),
        _ => map1::<u64, u64, _>(isa, |x| x),
    }
}

/// Rounds once, which a way through f32 would not.
unsafe fn f64_to_f16(x: *const u8, out: *mut u8, n: usize) {
    for i in 0..n {
        // SAFETY: the operands have `n` elements.
        unsafe { out.cast::<f16>().add(i).write(f16::from_f64(x.cast::<f64>().add(i).read())) };
    }
}
