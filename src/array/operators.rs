//! `+ - * / % & | ^ << >> ! -` on arrays, references and numbers, with NumPy's promotion and broadcasting.

use super::Array;
use crate::dtype::{DType, Element, Kind, Scalar, promote, promote_weak};
use crate::error::{Error, Result};
use crate::expr::{Expr, broadcast_shapes};
use crate::meta::Meta;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use crate::shape::Grid;
use std::ops;
use std::panic::Location;
use std::sync::Arc;

/// Something that can stand beside an array in an operation: an array, a reference to one, or a number.
///
/// Numbers are weak, as Python's are in NumPy 2 (NEP 50): `2.5` with an `f32` array computes in `f32`, whatever
/// type the Rust literal has. A number that the array's dtype cannot hold is an error.
pub trait IntoArray {
    /// The operand.
    fn into_operand(self) -> Operand;
}

/// An operand of an operation.
#[derive(Clone, Debug)]
pub enum Operand {
    /// An array.
    Array(Array),
    /// A number that takes the dtype of what it meets.
    Number(Scalar),
}

impl IntoArray for Array {
    fn into_operand(self) -> Operand {
        Operand::Array(self)
    }
}

impl IntoArray for &Array {
    fn into_operand(self) -> Operand {
        Operand::Array(self.clone())
    }
}

impl<T: Element> IntoArray for T {
    fn into_operand(self) -> Operand {
        Operand::Number(self.to_scalar())
    }
}

impl Operand {
    /// The dtype, and for a number its kind.
    fn strength(&self) -> (Option<DType>, Option<Kind>) {
        match self {
            Operand::Array(a) => (Some(a.dtype()), None),
            Operand::Number(s) => (None, Some(s.dtype().kind())),
        }
    }

    /// The expression, converted to a dtype.
    pub(super) fn into_expr(self, op: &'static str, to: DType) -> Result<Expr> {
        match self {
            Operand::Array(a) => a.expr?.cast(to),
            Operand::Number(s) => {
                let cast = s.cast(to);
                let lossless = s.dtype().is_float() || to.is_float() || to == DType::Bool || holds(to, s);
                if !lossless {
                    let message =
                        format!("the number {s} does not fit the array's {to}; cast the array before");
                    return Err(Error::invalid(op, message));
                }
                Expr::constant(cast, Grid::single(&[]))
            }
        }
    }

    fn meta(&self) -> Option<&Arc<Meta>> {
        match self {
            Operand::Array(a) => Some(&a.meta),
            Operand::Number(_) => None,
        }
    }

    fn ndim(&self) -> usize {
        match self {
            Operand::Array(a) => a.ndim(),
            Operand::Number(_) => 0,
        }
    }
}

/// The dtype in which operands meet.
pub(super) fn common_dtype(operands: &[Operand]) -> DType {
    let arrays = operands.iter().filter_map(|o| o.strength().0).reduce(promote);
    let weak = operands.iter().filter_map(|o| o.strength().1).max();
    match (arrays, weak) {
        (Some(d), Some(kind)) => promote_weak(d, kind),
        (Some(d), None) => d,
        (None, Some(Kind::Float)) | (None, None) => DType::F64,
        (None, Some(Kind::Bool)) => DType::Bool,
        (None, Some(_)) => DType::I64,
    }
}

/// Brings operands to one dtype and shape and applies `build`; metadata comes from the operand of highest rank.
pub(super) fn combine<const N: usize>(
    op: &'static str,
    operands: [Operand; N],
    dtypes: [DType; N],
    at: &'static Location<'static>,
    build: impl FnOnce([Expr; N]) -> Result<Expr>,
) -> Array {
    let rank = operands.iter().map(Operand::ndim).max().unwrap_or(0);
    let meta =
        operands.iter().filter(|o| o.ndim() == rank).find_map(|o| o.meta().cloned()).unwrap_or_default();
    let mut dtypes = dtypes.into_iter();
    let combined = || -> Result<Expr> {
        let mut exprs = Vec::with_capacity(N);
        for operand in operands {
            exprs.push(operand.into_expr(op, dtypes.next().unwrap_or(DType::F64))?);
        }
        let shapes: Vec<&[usize]> = exprs.iter().map(|e| e.shape()).collect();
        let shape = broadcast_shapes(op, &shapes)?;
        let exprs = exprs.into_iter().map(|e| e.broadcast_to(&shape)).collect::<Result<Vec<_>>>()?;
        match <[Expr; N]>::try_from(exprs) {
            Ok(exprs) => build(exprs),
            Err(_) => Err(Error::internal("operands changed in number")),
        }
    };
    let expr = combined().map_err(|e| e.at(at));
    Array { expr, meta }
}

#[track_caller]
pub(super) fn binary(op: BinaryOp, a: impl IntoArray, b: impl IntoArray) -> Array {
    let at = Location::caller();
    let operands = [a.into_operand(), b.into_operand()];
    let mut d = common_dtype(&operands);
    // true division of integers is done in f64, other functions of reals in NumPy's smallest float; what integers have and bool
    // has not is done in i8, but for the difference, which NumPy refuses
    if op == BinaryOp::Div && !d.is_float() {
        d = DType::F64;
    } else if d == DType::Bool && !op.accepts(d) && op.accepts(DType::I8) && op != BinaryOp::Sub {
        d = DType::I8;
    } else if !op.accepts(d) && op.accepts(DType::F64) && op != BinaryOp::Sub {
        d = crate::dtype::to_float(d);
    }
    combine(op.name(), operands, [d, d], at, |[a, b]| Expr::binary(op, a, b))
}

#[track_caller]
pub(super) fn compare(op: CompareOp, a: impl IntoArray, b: impl IntoArray) -> Array {
    let at = Location::caller();
    let mut operands = [a.into_operand(), b.into_operand()];
    let d = common_dtype(&operands);
    let mut op = op;
    // a number beyond the array's integers is above or below them all: the answer is one for all elements
    if let Some(holds) = out_of_range(op, &operands, d) {
        op = if holds { CompareOp::Eq } else { CompareOp::Ne };
        let array = operands.iter().find(|o| matches!(o, Operand::Array(_))).cloned();
        operands = array.map_or(operands, |a| [a.clone(), a]);
    }
    combine(op.name(), operands, [d, d], at, |[a, b]| Expr::compare(op, a, b))
}

/// What a comparison of an array of integers `d` with an integer that `d` cannot hold gives, whatever the elements; `None` if it is no
/// such comparison.
fn out_of_range(op: CompareOp, operands: &[Operand; 2], d: DType) -> Option<bool> {
    let (number, left) = match operands {
        [Operand::Array(_), Operand::Number(n)] => (*n, false),
        [Operand::Number(n), Operand::Array(_)] => (*n, true),
        _ => return None,
    };
    if !d.is_integer() || number.dtype().is_float() || holds(d, number) {
        return None;
    }
    let above = number.as_f64() > 0.0;
    Some(match op {
        CompareOp::Eq => false,
        CompareOp::Ne => true,
        CompareOp::Lt | CompareOp::Le => above != left,
    })
}

/// Whether an integer dtype can hold an integer.
fn holds(d: DType, number: Scalar) -> bool {
    let cast = number.cast(d);
    // the sign tells u64 values above i64::MAX from negative ones
    cast.as_i64() == number.as_i64() && (cast.as_f64() < 0.0) == (number.as_f64() < 0.0)
}

/// `a` where `condition` holds, else `b`: NumPy's `where`.
///
/// The condition is converted to bool (non-zero holds). All three broadcast to one shape; `a` and `b` are promoted to one
/// dtype.
///
/// ```
/// use blockwise::prelude::*;
/// let x = Array::arange(0, 5, 1);
/// let y = where_(x.lt(2), 10, &x);
/// assert_eq!(y.compute()?.as_slice::<i64>()?, [10, 10, 2, 3, 4]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn where_(condition: impl IntoArray, a: impl IntoArray, b: impl IntoArray) -> Array {
    let at = Location::caller();
    let (c, a, b) = (condition.into_operand(), a.into_operand(), b.into_operand());
    let d = common_dtype(&[a.clone(), b.clone()]);
    combine("where", [c, a, b], [DType::Bool, d, d], at, |[c, a, b]| Expr::select(c, a, b))
}

macro_rules! operator {
    ($($Trait:ident $method:ident $op:ident;)*) => {$(
        impl<T: IntoArray> ops::$Trait<T> for &Array {
            type Output = Array;
            #[track_caller]
            fn $method(self, other: T) -> Array {
                binary(BinaryOp::$op, self, other)
            }
        }
        impl<T: IntoArray> ops::$Trait<T> for Array {
            type Output = Array;
            #[track_caller]
            fn $method(self, other: T) -> Array {
                binary(BinaryOp::$op, self, other)
            }
        }
        operator!(@numbers $Trait $method $op: bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);
    )*};
    (@numbers $Trait:ident $method:ident $op:ident: $($t:ty)*) => {$(
        impl ops::$Trait<Array> for $t {
            type Output = Array;
            #[track_caller]
            fn $method(self, other: Array) -> Array {
                binary(BinaryOp::$op, self, other)
            }
        }
        impl ops::$Trait<&Array> for $t {
            type Output = Array;
            #[track_caller]
            fn $method(self, other: &Array) -> Array {
                binary(BinaryOp::$op, self, other)
            }
        }
    )*};
}
operator! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    Rem rem Rem;
    BitAnd bitand And;
    BitOr bitor Or;
    BitXor bitxor Xor;
    Shl shl Shl;
    Shr shr Shr;
}

impl ops::Neg for &Array {
    type Output = Array;
    #[track_caller]
    fn neg(self) -> Array {
        self.map(|e| e.unary(UnaryOp::Neg))
    }
}

impl ops::Neg for Array {
    type Output = Array;
    #[track_caller]
    fn neg(self) -> Array {
        self.map(|e| e.unary(UnaryOp::Neg))
    }
}

impl ops::Not for &Array {
    type Output = Array;
    #[track_caller]
    fn not(self) -> Array {
        self.map(|e| e.unary(UnaryOp::Not))
    }
}

impl ops::Not for Array {
    type Output = Array;
    #[track_caller]
    fn not(self) -> Array {
        self.map(|e| e.unary(UnaryOp::Not))
    }
}
