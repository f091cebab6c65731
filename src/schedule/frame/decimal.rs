//! Arithmetic and sums of decimals, by Arrow; what does not fit is an error.

use super::evaluate::internal;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{Argument, DecimalOp, decimal_kernel};
use crate::op::{BinaryOp, UnaryOp};
use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, BooleanArray, PrimitiveArray, Scalar};
use arrow::compute::kernels::zip::zip;
use arrow::compute::kernels::{cmp, numeric};
use arrow::compute::{cast, is_null, nullif};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType};
use std::sync::Arc;

pub(super) fn overflow(name: &str, e: impl std::fmt::Display) -> Error {
    ErrorKind::Value { op: name.into(), message: format!("overflow: {e}") }.into()
}

/// Fails if a value has more digits than its type.
pub(super) fn checked(array: ArrayRef, name: &str) -> Result<ArrayRef> {
    let fits = match array.data_type() {
        DataType::Decimal128(p, _) => array.as_primitive::<Decimal128Type>().validate_decimal_precision(*p),
        DataType::Decimal256(p, _) => array.as_primitive::<Decimal256Type>().validate_decimal_precision(*p),
        _ => Ok(()),
    };
    fits.map_err(|e| overflow(name, e))?;
    Ok(array)
}

/// An operation of one or two; null where a divisor is 0.
///
/// # Errors
/// [`ErrorKind::Value`] under this name where a result has more digits than its type holds.
pub(super) fn arithmetic(op: DecimalOp, inputs: &[Argument], name: &str) -> Result<ArrayRef> {
    let made = match op {
        DecimalOp::Binary(op @ (BinaryOp::Max | BinaryOp::Min)) => {
            let is_less = cmp::lt(&inputs[0], &inputs[1]).map_err(internal)?;
            let (less, other) = if op == BinaryOp::Max { (1, 0) } else { (0, 1) };
            let mask = BooleanArray::new(is_less.values().clone(), None);
            // null where one of the two is
            let chosen = zip(&mask, &inputs[less], &inputs[other]).map_err(internal)?;
            nullif(&chosen, &is_null(&is_less).map_err(internal)?)
        }
        DecimalOp::Binary(op) => {
            let kernel = decimal_kernel(op).ok_or_else(|| Error::internal("no operation of decimals"))?;
            let divides = matches!(op, BinaryOp::Div | BinaryOp::Rem);
            let right = if divides { without_zeros(&inputs[1])? } else { inputs[1].clone() };
            kernel(&inputs[0], &right)
        }
        DecimalOp::Unary(UnaryOp::Neg) => numeric::neg(&inputs[0].array),
        DecimalOp::Unary(_) => {
            let x = &inputs[0].array;
            let negative = numeric::neg(x).map_err(|e| overflow(name, e))?;
            let is_less = cmp::lt(x, &zero(x.data_type())?).map_err(internal)?;
            zip(&is_less, &negative, x)
        }
    };
    checked(made.map_err(|e| overflow(name, e))?, name)
}

fn zero(t: &DataType) -> Result<Scalar<ArrayRef>> {
    let zero = arrow::array::Int64Array::from_value(0, 1);
    Ok(Scalar::new(cast(&zero, t).map_err(internal)?))
}

fn without_zeros(x: &Argument) -> Result<Argument> {
    let is_zero = cmp::eq(&x.array, &zero(x.array.data_type())?).map_err(internal)?;
    let array = nullif(&x.array, &is_zero).map_err(internal)?;
    Ok(Argument { array, is_scalar: x.is_scalar })
}

/// The sum of every group's values, which are of the type of sums; 0 of none.
///
/// # Errors
/// [`ErrorKind::Value`] under this name where a sum has more digits than its type holds.
pub(super) fn sums(values: &ArrayRef, groups: &[u32], count: usize, name: &str) -> Result<ArrayRef> {
    let t = values.data_type();
    let typed: ArrayRef = match t {
        DataType::Decimal256(..) => Arc::new(add_up::<Decimal256Type>(values, groups, count, name)?),
        _ => Arc::new(add_up::<Decimal128Type>(values, groups, count, name)?),
    };
    checked(typed, name)
}

fn add_up<T: DecimalType>(
    values: &ArrayRef,
    groups: &[u32],
    count: usize,
    name: &str,
) -> Result<PrimitiveArray<T>> {
    let mut sums = vec![T::Native::ZERO; count];
    for (&group, value) in groups.iter().zip(values.as_primitive::<T>()) {
        let sum = &mut sums[group as usize];
        *sum = sum.add_checked(value.unwrap_or_default()).map_err(|e| overflow(name, e))?;
    }
    Ok(PrimitiveArray::<T>::new(sums.into(), None).with_data_type(values.data_type().clone()))
}
