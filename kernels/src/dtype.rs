//! Element types: [`DType`], one value of any of them ([`Scalar`]), and the Rust types behind them ([`Element`]).

use half::f16;
use std::fmt;

/// The type of an array's elements.
///
/// The order of the variants is the order of [`DType::ALL`]; complex types will follow the floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    /// `bool`, one byte, 0 or 1.
    Bool,
    /// `i8`.
    I8,
    /// `i16`.
    I16,
    /// `i32`.
    I32,
    /// `i64`.
    I64,
    /// `u8`.
    U8,
    /// `u16`.
    U16,
    /// `u32`.
    U32,
    /// `u64`.
    U64,
    /// IEEE 754 binary16 (`half::f16`); arithmetic is done in `f32` and rounded once.
    F16,
    /// `f32`.
    F32,
    /// `f64`.
    F64,
}

/// What family of numbers a dtype belongs to; the coarse step of type promotion.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// `bool`.
    Bool,
    /// Unsigned integers.
    Unsigned,
    /// Signed integers.
    Signed,
    /// Binary floating point.
    Float,
}

impl DType {
    /// Every dtype.
    pub const ALL: [DType; 12] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::F32,
        DType::F64,
    ];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 => 1,
            DType::I16 | DType::U16 | DType::F16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    /// The family of numbers it belongs to.
    pub const fn kind(self) -> Kind {
        match self {
            DType::Bool => Kind::Bool,
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => Kind::Signed,
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => Kind::Unsigned,
            DType::F16 | DType::F32 | DType::F64 => Kind::Float,
        }
    }

    /// Whether it is `f16`, `f32` or `f64`.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// Whether it is a signed or unsigned integer (not `bool`).
    pub const fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// NumPy's name of the type (`"float32"`, `"uint8"`, `"bool"`).
    pub const fn numpy_name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::F16 => "float16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }
}

/// Rust's name of the type (`f32`, `u8`, `bool`).
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::Bool => "bool",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::F16 => "f16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        })
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that can be an array's element. Sealed: one impl per [`DType`].
///
/// Every implementor is `Copy`, has no padding and no drop glue. All but `bool` accept any bit pattern; a `bool`
/// in a block is always the byte 0 or 1.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The dtype of this type.
    const DTYPE: DType;
    /// The value as a [`Scalar`].
    fn to_scalar(self) -> Scalar;
    /// The value of a scalar of exactly this dtype; `None` if its dtype is another.
    fn from_scalar(s: Scalar) -> Option<Self>;
}

macro_rules! element {
    ($($t:ty, $d:ident, |$v:ident| $to:expr, |$b:ident| $from:expr;)*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            fn to_scalar(self) -> Scalar {
                let $v = self;
                Scalar { dtype: DType::$d, bits: $to }
            }
            fn from_scalar(s: Scalar) -> Option<Self> {
                let $b = s.bits;
                (s.dtype == DType::$d).then(|| $from)
            }
        }
        impl From<$t> for Scalar {
            fn from(v: $t) -> Scalar {
                v.to_scalar()
            }
        }
    )*};
}
element! {
    bool, Bool, |v| v as u64, |b| b != 0;
    i8, I8, |v| v as u8 as u64, |b| b as i8;
    i16, I16, |v| v as u16 as u64, |b| b as i16;
    i32, I32, |v| v as u32 as u64, |b| b as i32;
    i64, I64, |v| v as u64, |b| b as i64;
    u8, U8, |v| v as u64, |b| b as u8;
    u16, U16, |v| v as u64, |b| b as u16;
    u32, U32, |v| v as u64, |b| b as u32;
    u64, U64, |v| v, |b| b;
    f16, F16, |v| v.to_bits() as u64, |b| f16::from_bits(b as u16);
    f32, F32, |v| v.to_bits() as u64, |b| f32::from_bits(b as u32);
    f64, F64, |v| v.to_bits(), |b| f64::from_bits(b);
}

/// One value of any dtype.
///
/// Equality and hashing are by dtype and bits, so that `NaN == NaN` and `0.0 != -0.0`: a scalar is a key for
/// hash-consing, not a number. Compare numbers with [`Scalar::as_f64`] or the typed value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scalar {
    dtype: DType,
    bits: u64,
}

impl Scalar {
    /// The zero of a dtype (`false` for `bool`).
    pub const fn zero(dtype: DType) -> Scalar {
        Scalar { dtype, bits: 0 }
    }

    /// The one of a dtype (`true` for `bool`).
    pub fn one(dtype: DType) -> Scalar {
        Scalar::from(true).cast(dtype)
    }

    /// The dtype of the value.
    pub const fn dtype(self) -> DType {
        self.dtype
    }

    /// The value's bits, in the low bytes.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// A scalar from its bits; bits above the dtype's size are dropped, a `bool` is `bits & 1`.
    pub const fn from_bits(dtype: DType, bits: u64) -> Scalar {
        let keep = match dtype {
            DType::Bool => 1,
            _ => match dtype.size() {
                1 => 0xff,
                2 => 0xffff,
                4 => 0xffff_ffff,
                _ => u64::MAX,
            },
        };
        Scalar { dtype, bits: bits & keep }
    }

    /// The typed value, if the dtype is exactly `T`'s.
    pub fn get<T: Element>(self) -> Option<T> {
        T::from_scalar(self)
    }

    /// The value as `f64` (64-bit integers are rounded to nearest).
    pub fn as_f64(self) -> f64 {
        f64::from_bits(self.cast(DType::F64).bits)
    }

    /// The value as `i64`: floats truncate and saturate, NaN gives 0, `u64` wraps.
    pub fn as_i64(self) -> i64 {
        self.cast(DType::I64).bits as i64
    }

    /// The value converted to another dtype; see [`crate::op`] for the rules of a cast.
    pub fn cast(self, to: DType) -> Scalar {
        macro_rules! from {
            ($v:expr) => {{
                let v = $v;
                match to {
                    DType::Bool => Scalar::from(v != Default::default()),
                    DType::I8 => (v as i8).into(),
                    DType::I16 => (v as i16).into(),
                    DType::I32 => (v as i32).into(),
                    DType::I64 => (v as i64).into(),
                    DType::U8 => (v as u8).into(),
                    DType::U16 => (v as u16).into(),
                    DType::U32 => (v as u32).into(),
                    DType::U64 => (v as u64).into(),
                    DType::F16 => f16::from_f64(v as f64).into(),
                    DType::F32 => (v as f32).into(),
                    DType::F64 => (v as f64).into(),
                }
            }};
        }
        let b = self.bits;
        match self.dtype {
            d if d == to => self,
            DType::Bool | DType::U8 => from!(b as u8),
            DType::I8 => from!(b as i8),
            DType::I16 => from!(b as i16),
            DType::I32 => from!(b as i32),
            DType::I64 => from!(b as i64),
            DType::U16 => from!(b as u16),
            DType::U32 => from!(b as u32),
            DType::U64 => from!(b),
            DType::F16 => from!(f16::from_bits(b as u16).to_f32()),
            DType::F32 => from!(f32::from_bits(b as u32)),
            DType::F64 => from!(f64::from_bits(b)),
        }
    }
}

/// The value with its dtype as a suffix, as in Rust: `2.5f32`, `-1i64`, `true`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.bits;
        match self.dtype {
            DType::Bool => write!(f, "{}", b != 0),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => write!(f, "{b}{}", self.dtype),
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => write!(f, "{}{}", self.as_i64(), self.dtype),
            DType::F16 => write!(f, "{:?}f16", f16::from_bits(b as u16)),
            DType::F32 => write!(f, "{:?}f32", f32::from_bits(b as u32)),
            DType::F64 => write!(f, "{:?}f64", f64::from_bits(b)),
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Runs `$body` with `$T` bound to the Rust type of a [`DType`].
///
/// ```
/// use blockwise_kernels::{DType, for_dtype};
/// assert_eq!(for_dtype!(DType::U16, T => std::mem::size_of::<T>()), 2);
/// ```
#[macro_export]
macro_rules! for_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::Bool => {
                type $T = bool;
                $body
            }
            $crate::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::DType::I16 => {
                type $T = i16;
                $body
            }
            $crate::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::DType::U16 => {
                type $T = u16;
                $body
            }
            $crate::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::DType::U64 => {
                type $T = u64;
                $body
            }
            $crate::DType::F16 => {
                type $T = $crate::f16;
                $body
            }
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_saturate_and_wrap_as_documented() {
        assert_eq!(Scalar::from(300i32).cast(DType::U8), Scalar::from(44u8));
        assert_eq!(Scalar::from(1e10f32).cast(DType::I16), Scalar::from(i16::MAX));
        assert_eq!(Scalar::from(f64::NAN).cast(DType::I32), Scalar::from(0i32));
        assert_eq!(Scalar::from(f64::NAN).cast(DType::Bool), Scalar::from(true));
        assert_eq!(Scalar::from(-1i8).cast(DType::U64), Scalar::from(u64::MAX));
        assert_eq!(Scalar::one(DType::F16).as_f64(), 1.0);
    }

    #[test]
    fn display_names_the_dtype() {
        assert_eq!(Scalar::from(2.5f32).to_string(), "2.5f32");
        assert_eq!(Scalar::from(-3i16).to_string(), "-3i16");
        assert_eq!(Scalar::from(true).to_string(), "true");
    }
}
