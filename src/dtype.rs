//! Element types and NumPy's rules for mixing them.

pub use blockwise_kernels::dtype::{DType, Element, Kind, Scalar};
pub use blockwise_kernels::for_dtype;
pub use half::f16;

use DType::*;

/// The dtype in which two operands of an operation meet, by NumPy's table: the smallest one that holds both.
///
/// `u64` with a signed integer, and any 32-bit or wider integer with a float up to `f32`, give `f64`, as NumPy does.
///
/// ```
/// use blockwise::dtype::{promote, DType::*};
/// assert_eq!(promote(U8, I8), I16);
/// assert_eq!(promote(I32, F32), F64);
/// assert_eq!(promote(U16, F32), F32);
/// ```
pub fn promote(a: DType, b: DType) -> DType {
    let (a, b) = if a.kind() <= b.kind() { (a, b) } else { (b, a) };
    match (a.kind(), b.kind()) {
        (Kind::Bool, _) => b,
        (x, y) if x == y => {
            if a.size() >= b.size() {
                a
            } else {
                b
            }
        }
        (Kind::Unsigned, Kind::Signed) if a.size() < b.size() => b,
        (Kind::Unsigned, Kind::Signed) => match a {
            U8 => I16,
            U16 => I32,
            U32 => I64,
            _ => F64,
        },
        // an integer with a float: the float must hold the integer's bits
        _ => match (a.size(), b) {
            (_, F64) => F64,
            (1, F16) => F16,
            (1, F32) => F32,
            (2, F16 | F32) => F32,
            _ => F64,
        },
    }
}

/// The dtype of an array meeting a bare number, by NEP 50: a number is "weak", it takes the array's dtype unless its
/// kind is above the array's (an integer with a bool array gives `i64`, a float with an integer array `f64`).
pub fn promote_weak(array: DType, number: Kind) -> DType {
    match (array.kind(), number) {
        (Kind::Bool, Kind::Signed | Kind::Unsigned) => I64,
        (Kind::Bool | Kind::Signed | Kind::Unsigned, Kind::Float) => F64,
        _ => array,
    }
}

/// The float in which a function of reals computes for a dtype: itself for floats, else NumPy's choice
/// (8-bit to `f16`, 16-bit to `f32`, wider to `f64`).
pub fn to_float(d: DType) -> DType {
    match d {
        Bool | I8 | U8 => F16,
        I16 | U16 => F32,
        I32 | U32 | I64 | U64 => F64,
        float => float,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_numpys_table() {
        // rows and columns in the order of DType::ALL; letters: ?=bool b h i q = i8..i64, B H I Q = u8..u64, e f d
        let table =
            "?bhiqBHIQefd bbhiqhiqdefd hhhiqhiqdffd iiiiqiiqdddd qqqqqqqqdddd BhiqqBHIQefd".split(' ');
        let code = "?bhiqBHIQefd";
        let of = |c: char| DType::ALL[code.find(c).unwrap()];
        for (row, line) in table.enumerate().take(5) {
            for (col, c) in line.chars().enumerate() {
                assert_eq!(promote(DType::ALL[row], DType::ALL[col]), of(c), "{row} {col}");
                assert_eq!(promote(DType::ALL[col], DType::ALL[row]), of(c));
            }
        }
        assert_eq!(promote(U64, F16), F64);
        assert_eq!(promote(U16, U64), U64);
        assert_eq!(promote(U8, F16), F16);
    }

    #[test]
    fn numbers_are_weak() {
        assert_eq!(promote_weak(F32, Kind::Float), F32);
        assert_eq!(promote_weak(U8, Kind::Signed), U8);
        assert_eq!(promote_weak(I16, Kind::Float), F64);
        assert_eq!(promote_weak(Bool, Kind::Signed), I64);
    }
}
