//! The operations a kernel is made of, and what each means.
//!
//! These enums are the vocabulary of the expression graph, the kernel IR and every backend. The rules below hold on
//! every backend; [`crate::naive`] is the same text as code and is the oracle of all tests.
//!
//! **Arithmetic.** Integers wrap. `f16` computes in `f32` and rounds once per operation. `+ - * / sqrt` and
//! [`UnaryOp::Square`], [`UnaryOp::Reciprocal`] are correctly rounded; nothing is contracted to FMA unless
//! a fused multiply-add asks for it. `bool` takes part only in `And Or Xor Not`, comparisons, `Min Max` and casts,
//! and in `Add` (or) and `Mul` (and).
//!
//! **Division.** `Div` is for floats only. `FloorDiv` and `Rem` are Python's (`Rem` takes the divisor's sign),
//! `Fmod` is C's; for integers a zero divisor gives 0 (NumPy's value), and `MIN / -1` wraps.
//!
//! **Order.** `Min`/`Max` return NaN if either side is NaN; `Fmin`/`Fmax` return the other side. `-0.0 == 0.0`, and
//! which of the two a minimum returns is unspecified. Comparisons with NaN are false but `Ne`, which is true.
//!
//! **Shifts** by the width or more (or by a negative count) give 0, or -1 for `Shr` of a negative value.
//!
//! **Casts.** Integer to integer wraps; float to integer truncates, saturates, and maps NaN to 0; anything to bool is
//! `x != 0` (NaN is true); bool to number is 0 or 1; to a narrower float rounds to nearest even.

use crate::DType;

macro_rules! names {
    ($(#[$doc:meta])* $Enum:ident { $($(#[$vdoc:meta])* $V:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $Enum { $($(#[$vdoc])* $V,)* }
        impl $Enum {
            /// Every operation of this kind.
            pub const ALL: &[$Enum] = &[$($Enum::$V,)*];
            /// The name in printed plans and kernels.
            pub const fn name(self) -> &'static str {
                match self { $($Enum::$V => $name,)* }
            }
        }
        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

names! {
    /// One operand; the result has the operand's dtype, or `bool` for [`UnaryOp::is_predicate`].
    UnaryOp {
        /// `-x`; wraps for integers, unsigned too.
        Neg = "neg",
        /// `|x|`; `MIN` wraps to itself; clears the sign of -0.0 and NaN.
        Abs = "abs",
        /// -1, 0 or 1; NaN stays NaN; `sign(-0.0) = 0.0`.
        Sign = "sign",
        /// Bitwise complement; logical for bool.
        Not = "not",
        /// Square root (floats).
        Sqrt = "sqrt",
        /// `x * x`.
        Square = "square",
        /// `1 / x`; for integers 0 unless `x` is 1 or -1.
        Reciprocal = "reciprocal",
        /// Round down (integers unchanged).
        Floor = "floor",
        /// Round up.
        Ceil = "ceil",
        /// Round towards zero.
        Trunc = "trunc",
        /// Round half to even.
        Rint = "rint",
        /// `e^x` (this and all below until `Cbrt`: floats only).
        Exp = "exp",
        /// `2^x`.
        Exp2 = "exp2",
        /// `e^x - 1`.
        Expm1 = "expm1",
        /// Natural logarithm.
        Log = "log",
        /// Base-2 logarithm.
        Log2 = "log2",
        /// Base-10 logarithm.
        Log10 = "log10",
        /// `log(1 + x)`.
        Log1p = "log1p",
        /// Sine of radians.
        Sin = "sin",
        /// Cosine of radians.
        Cos = "cos",
        /// Tangent of radians.
        Tan = "tan",
        /// Inverse sine.
        Asin = "asin",
        /// Inverse cosine.
        Acos = "acos",
        /// Inverse tangent.
        Atan = "atan",
        /// Hyperbolic sine.
        Sinh = "sinh",
        /// Hyperbolic cosine.
        Cosh = "cosh",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Inverse hyperbolic sine.
        Asinh = "asinh",
        /// Inverse hyperbolic cosine.
        Acosh = "acosh",
        /// Inverse hyperbolic tangent.
        Atanh = "atanh",
        /// Cube root.
        Cbrt = "cbrt",
        /// Whether NaN (false for integers).
        IsNan = "isnan",
        /// Whether infinite.
        IsInf = "isinf",
        /// Whether neither NaN nor infinite.
        IsFinite = "isfinite",
        /// Whether the sign bit is set (NaN and -0.0 included; `x < 0` for integers).
        Signbit = "signbit",
    }
}

names! {
    /// Two operands of one dtype; the result has that dtype.
    BinaryOp {
        /// `a + b`; or for bool.
        Add = "add",
        /// `a - b`.
        Sub = "sub",
        /// `a * b`; and for bool.
        Mul = "mul",
        /// `a / b` (floats).
        Div = "div",
        /// `floor(a / b)`, as Python.
        FloorDiv = "floordiv",
        /// `a - floor(a / b) * b`, as Python: the divisor's sign.
        Rem = "rem",
        /// C's remainder: the dividend's sign.
        Fmod = "fmod",
        /// `a^b`. Integers: repeated wrapping multiplication; a negative exponent gives the truncated reciprocal.
        Pow = "pow",
        /// Smaller; NaN wins.
        Min = "min",
        /// Larger; NaN wins.
        Max = "max",
        /// Smaller; the number wins over NaN.
        Fmin = "fmin",
        /// Larger; the number wins over NaN.
        Fmax = "fmax",
        /// Bitwise and (bool: logical).
        And = "and",
        /// Bitwise or.
        Or = "or",
        /// Bitwise exclusive or.
        Xor = "xor",
        /// `a << b` (integers).
        Shl = "shl",
        /// `a >> b`, arithmetic for signed.
        Shr = "shr",
        /// Angle of the point (b, a) (floats, as all below).
        Atan2 = "atan2",
        /// `sqrt(a^2 + b^2)` without overflow.
        Hypot = "hypot",
        /// Magnitude of a, sign of b.
        Copysign = "copysign",
        /// `log(e^a + e^b)`.
        Logaddexp = "logaddexp",
        /// `log2(2^a + 2^b)`.
        Logaddexp2 = "logaddexp2",
        /// The next float after a towards b.
        Nextafter = "nextafter",
    }
}

names! {
    /// Two operands of one dtype; the result is `bool`. `a > b` is written `b < a`.
    CompareOp {
        /// `a == b`.
        Eq = "eq",
        /// `a != b`.
        Ne = "ne",
        /// `a < b`.
        Lt = "lt",
        /// `a <= b`.
        Le = "le",
    }
}

names! {
    /// How a reduction folds many elements into one. See [`ReduceOp::planes`] for what it accumulates.
    ReduceOp {
        /// Sum; `bool` and integers in i64/u64 (wrapping), floats in f64.
        Sum = "sum",
        /// Sum of the elements that are not NaN (floats).
        NanSum = "nansum",
        /// How many elements are not NaN (floats).
        Count = "count",
        /// Product; accumulates as `Sum` does.
        Prod = "prod",
        /// Minimum; NaN wins.
        Min = "min",
        /// Maximum; NaN wins.
        Max = "max",
        /// Minimum of the numbers; NaN only if all are NaN.
        Fmin = "fmin",
        /// Maximum of the numbers; NaN only if all are NaN.
        Fmax = "fmax",
        /// Logical and (bool).
        All = "all",
        /// Logical or (bool).
        Any = "any",
        /// Index of the first minimum in C order over the reduced axes; the first NaN wins. Result i64.
        ArgMin = "argmin",
        /// Index of the first maximum; the first NaN wins. Result i64.
        ArgMax = "argmax",
        /// Index of the first minimum of the numbers; -1 if there are none.
        NanArgMin = "nanargmin",
        /// Index of the first maximum of the numbers; -1 if there are none.
        NanArgMax = "nanargmax",
        /// Sum of squared deviations from the mean, in f64 (count, mean, m2 merged by Chan, Golub and LeVeque 1979).
        M2 = "m2",
        /// `M2` of the elements that are not NaN.
        NanM2 = "nanm2",
    }
}

impl UnaryOp {
    /// Whether the result is `bool` whatever the operand.
    pub const fn is_predicate(self) -> bool {
        matches!(self, UnaryOp::IsNan | UnaryOp::IsInf | UnaryOp::IsFinite | UnaryOp::Signbit)
    }

    /// Whether it is a transcendental function: floats only, tens of instructions an element.
    pub const fn is_transcendental(self) -> bool {
        (self as u8) >= (UnaryOp::Exp as u8) && (self as u8) <= (UnaryOp::Cbrt as u8)
    }

    /// Whether the operation is defined for a dtype.
    pub const fn accepts(self, d: DType) -> bool {
        match self {
            UnaryOp::Not => !d.is_float(),
            UnaryOp::Sqrt => d.is_float(),
            _ if self.is_transcendental() => d.is_float(),
            _ if self.is_predicate() => true,
            _ => !matches!(d, DType::Bool),
        }
    }
}

impl BinaryOp {
    /// Whether it is a transcendental function: floats only.
    pub const fn is_transcendental(self) -> bool {
        matches!(self, BinaryOp::Atan2 | BinaryOp::Hypot | BinaryOp::Logaddexp | BinaryOp::Logaddexp2)
    }

    /// Whether `op(a, b) == op(b, a)` bit for bit (up to the sign of zero and the payload of NaN).
    pub const fn is_commutative(self) -> bool {
        use BinaryOp::*;
        matches!(self, Add | Mul | Min | Max | Fmin | Fmax | And | Or | Xor | Hypot | Logaddexp | Logaddexp2)
    }

    /// Whether the operation is defined for a dtype.
    pub const fn accepts(self, d: DType) -> bool {
        use BinaryOp::*;
        match self {
            Add | Mul | Min | Max | Fmin | Fmax => true,
            And | Or | Xor => !d.is_float(),
            Shl | Shr => d.is_integer(),
            Sub | FloorDiv | Rem | Fmod | Pow => !matches!(d, DType::Bool),
            Div | Atan2 | Hypot | Copysign | Logaddexp | Logaddexp2 | Nextafter => d.is_float(),
        }
    }
}

impl ReduceOp {
    /// Whether the operation is defined for elements of a dtype.
    pub const fn accepts(self, d: DType) -> bool {
        match self {
            ReduceOp::All | ReduceOp::Any => matches!(d, DType::Bool),
            ReduceOp::NanSum | ReduceOp::Count | ReduceOp::M2 | ReduceOp::NanM2 => d.is_float(),
            _ => true,
        }
    }

    /// The arrays of partial results, one value per kept element each, in this order:
    ///
    /// | operation | planes |
    /// |---|---|
    /// | `Sum Prod` | total: f64, i64 or u64 |
    /// | `NanSum` | total: f64 |
    /// | `Count` | i64 |
    /// | `Min Max Fmin Fmax` | value: the element's dtype |
    /// | `All Any` | bool |
    /// | `ArgMin ArgMax NanArg*` | value: the element's dtype; index: i64, -1 while empty |
    /// | `M2 NanM2` | m2: f64; mean: f64, unspecified where m2 is NaN; count: i64 |
    pub fn planes(self, d: DType) -> Vec<DType> {
        match self {
            ReduceOp::M2 | ReduceOp::NanM2 => vec![DType::F64, DType::F64, DType::I64],
            _ if self.is_arg() => vec![d, DType::I64],
            _ => vec![self.accumulator(d)],
        }
    }

    /// The dtype of what the reduction yields: the first plane, or the index plane of an arg-reduction.
    pub fn accumulator(self, d: DType) -> DType {
        match self {
            ReduceOp::Sum | ReduceOp::Prod => match d {
                d if d.is_float() => DType::F64,
                DType::U8 | DType::U16 | DType::U32 | DType::U64 => DType::U64,
                _ => DType::I64,
            },
            ReduceOp::NanSum | ReduceOp::M2 | ReduceOp::NanM2 => DType::F64,
            ReduceOp::Count => DType::I64,
            ReduceOp::All | ReduceOp::Any => DType::Bool,
            ReduceOp::ArgMin | ReduceOp::ArgMax | ReduceOp::NanArgMin | ReduceOp::NanArgMax => DType::I64,
            _ => d,
        }
    }

    /// Which plane is the result.
    pub const fn result_plane(self) -> usize {
        match self {
            ReduceOp::ArgMin | ReduceOp::ArgMax | ReduceOp::NanArgMin | ReduceOp::NanArgMax => 1,
            _ => 0,
        }
    }

    /// Whether the result is an index into the reduced axes.
    pub const fn is_arg(self) -> bool {
        self.result_plane() == 1
    }

    /// Whether an empty selection has a result (`sum` and `count` 0, `prod` 1, `all` true, `any` false, `m2` 0).
    pub const fn has_identity(self) -> bool {
        use ReduceOp::*;
        matches!(self, Sum | NanSum | Count | Prod | All | Any | M2 | NanM2)
    }
}
