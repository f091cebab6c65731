//! Decimals: the types of their arithmetic, in which decimal others meet them, and what keys of two types are compared as.
//!
//! Decimals compute with decimals and integers, by Arrow's rules for precision and scale; with a float they are floats. They are Arrow's
//! business, between kernels.

use super::column::{Expr, when};
use super::resolve::{Typed, TypedOp, common, convert};
use crate::op::{BinaryOp, UnaryOp};
use arrow::array::{ArrayRef, Datum, new_empty_array};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DECIMAL256_MAX_PRECISION, DECIMAL256_MAX_SCALE, DataType,
};
use arrow::error::ArrowError;
use std::sync::Arc;

/// An operation of decimals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum DecimalOp {
    /// Of one.
    Unary(UnaryOp),
    /// Of two of one width.
    Binary(BinaryOp),
}

/// Arrow's kernel of an operation of two.
pub(crate) fn kernel(op: BinaryOp) -> Option<fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>> {
    Some(match op {
        BinaryOp::Add => numeric::add,
        BinaryOp::Sub => numeric::sub,
        BinaryOp::Mul => numeric::mul,
        BinaryOp::Div => numeric::div,
        BinaryOp::Rem => numeric::rem,
        _ => return None,
    })
}

/// Precision and scale of a decimal.
fn digits(t: &DataType) -> Option<(u8, i8)> {
    match t {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The smallest type that holds a decimal as it is written.
pub(super) fn of_digits(text: &str) -> Option<DataType> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = whole.bytes().chain(part.bytes());
    if whole.len() + part.len() == 0 || !all.clone().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (precision, scale) = (u8::try_from(all.count()).ok()?, part.len() as i8);
    Some(match precision <= DECIMAL128_MAX_PRECISION {
        true => DataType::Decimal128(precision, scale),
        false => DataType::Decimal256(Some(precision).filter(|p| *p <= DECIMAL256_MAX_PRECISION)?, scale),
    })
}

/// The decimal of a width that holds all values of a decimal or integer type.
fn widened(t: &DataType, wide: bool) -> Option<DataType> {
    let (p, s) = match t {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        t => digits(t)?,
    };
    Some(if wide { DataType::Decimal256(p, s) } else { DataType::Decimal128(p, s) })
}

fn is_wide(t: &DataType) -> bool {
    matches!(t, DataType::Decimal256(..))
}

/// The type in which a decimal meets another type: a decimal that holds the values of both, or f64 with floats.
pub(super) fn meet(a: &DataType, b: &DataType) -> Option<DataType> {
    let is_float = |t: &DataType| t.is_floating();
    if is_float(a) || is_float(b) {
        return Some(DataType::Float64);
    }
    let wide = is_wide(a) || is_wide(b);
    let ((p, s), (q, r)) = (digits(&widened(a, wide)?)?, digits(&widened(b, wide)?)?);
    // digits before the point, and after it
    let whole = (i16::from(p) - i16::from(s)).max(i16::from(q) - i16::from(r));
    let scale = s.max(r);
    let precision = u8::try_from(whole + i16::from(scale)).ok()?;
    if !wide && precision <= DECIMAL128_MAX_PRECISION && scale <= DECIMAL128_MAX_SCALE {
        return Some(DataType::Decimal128(precision, scale));
    }
    let fits = precision <= DECIMAL256_MAX_PRECISION && scale <= DECIMAL256_MAX_SCALE;
    fits.then_some(DataType::Decimal256(precision, scale))
}

/// The type of sums of a decimal type: of as many digits as there can be.
pub(super) fn sum(t: &DataType) -> Option<DataType> {
    let (_, s) = digits(t)?;
    Some(match is_wide(t) {
        true => DataType::Decimal256(DECIMAL256_MAX_PRECISION, s),
        false => DataType::Decimal128(DECIMAL128_MAX_PRECISION, s),
    })
}

/// An operation of two, if one of them is a decimal and none a float; `name` is what errors call it.
pub(super) fn binary(
    op: BinaryOp,
    a: &Arc<Typed>,
    b: &Arc<Typed>,
    name: &dyn ToString,
) -> Option<Result<Arc<Typed>, String>> {
    let is_decimal = |x: &Typed| x.data_type.is_decimal();
    if !is_decimal(a) && !is_decimal(b) {
        return None;
    }
    let typed = |x: &Typed, other: &Typed| match x.literal_type() {
        DataType::Null => other.literal_type(),
        t => t,
    };
    let (ta, tb) = (typed(a, b), typed(b, a));
    let wide = is_wide(&ta) || is_wide(&tb);
    let (ta, tb) = (widened(&ta, wide)?, widened(&tb, wide)?);
    let (ta, tb) = match op {
        // the larger or smaller of two is one of them: they meet first
        BinaryOp::Max | BinaryOp::Min => meet(&ta, &tb).map(|t| (t.clone(), t))?,
        _ => (ta, tb),
    };
    let go = || {
        if matches!(op, BinaryOp::Max | BinaryOp::Min) {
            let inputs = vec![convert(a.clone(), &ta)?, convert(b.clone(), &ta)?];
            return Ok(Typed::new(
                TypedOp::Decimal(DecimalOp::Binary(op), name.to_string().into()),
                inputs,
                ta,
            ));
        }
        let hint = || format!("{op} is not defined for decimals; cast them to Float64");
        let output = kernel(op).ok_or_else(hint)?(&new_empty_array(&ta), &new_empty_array(&tb));
        let output = output.map_err(|e| e.to_string())?.data_type().clone();
        let inputs = vec![convert(a.clone(), &ta)?, convert(b.clone(), &tb)?];
        Ok(Typed::new(TypedOp::Decimal(DecimalOp::Binary(op), name.to_string().into()), inputs, output))
    };
    Some(go())
}

/// An operation of one, if it is a decimal.
pub(super) fn unary(op: UnaryOp, x: &Arc<Typed>, name: &dyn ToString) -> Option<Result<Arc<Typed>, String>> {
    let t = widened(&x.data_type, is_wide(&x.data_type)).filter(|_| x.data_type.is_decimal())?;
    if !matches!(op, UnaryOp::Neg | UnaryOp::Abs) {
        return Some(Err(format!("{op} is not defined for {t}; cast it to Float64")));
    }
    let op = TypedOp::Decimal(DecimalOp::Unary(op), name.to_string().into());
    Some(convert(x.clone(), &t).map(|x| Typed::new(op, vec![x], t)))
}

/// Whether one type has a sign and values of the other are too large for any that has: the promotion of numbers would round them.
fn differ_in_sign(a: &DataType, b: &DataType) -> bool {
    let mixed = |a: &DataType, b: &DataType| a.is_signed_integer() && *b == DataType::UInt64;
    mixed(a, b) || mixed(b, a)
}

/// The type that holds keys of two types: of integers exactly; numbers meet floats as `f64`.
pub(super) fn key_type(a: &DataType, b: &DataType) -> Option<DataType> {
    match differ_in_sign(a, b) {
        true => Some(DataType::Decimal128(20, 0)),
        false => common(a, b),
    }
}

/// A key of a type as it is compared with one of another type: equal if and only if they are.
pub(crate) fn key(e: &Expr, own: &DataType, other: &DataType) -> Option<Expr> {
    if differ_in_sign(own, other) {
        // what the other side cannot have equals nothing, as null does
        return Some(match own {
            DataType::UInt64 => {
                when(e.le(i64::MAX as u64)).then(e).otherwise(Expr::null()).cast(DataType::Int64)
            }
            _ => e.cast(DataType::Int64),
        });
    }
    let to = common(own, other)?;
    Some(if to == *own { e.clone() } else { e.cast(to) })
}
