//! Expressions of literals alone, as the one value that they are.
//!
//! Kernels fold constants, too; here they are folded for what has no kernel: masks that are the same for all rows, and bounds for sources.

use crate::dtype::DType;
use crate::expr::frame::{Expr, KernelOp, Literal, Typed, TypedOp, in_order};
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, UInt64Array,
    new_null_array,
};
use arrow::compute::kernels::{cmp, numeric};
use arrow::compute::{CastOptions, and_kleene, cast_with_options, not, or_kleene};
use arrow::datatypes::{DataType, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a mask is true of every row (`Some(true)`), or of none.
pub(super) fn truth(mask: &Expr, schema: &Schema) -> Option<bool> {
    let value = constant(&*mask.resolve(schema).ok()?)?;
    let value = value.as_boolean_opt()?;
    Some(value.is_valid(0) && value.value(0))
}

/// The one value of an expression of literals; none if it has another part, or is computed by what is not among the few operations that
/// dates and numbers are combined by.
pub(super) fn constant(t: &Typed) -> Option<ArrayRef> {
    let mut known = HashMap::new();
    for part in in_order([t], std::ptr::from_ref, |x| x.inputs.iter().map(|i| &**i).collect()) {
        let found = of_parts(part, &known);
        known.insert(std::ptr::from_ref(part), found);
    }
    known.remove(&std::ptr::from_ref(t)).flatten()
}

/// The same where those of all parts are known.
fn of_parts(t: &Typed, known: &HashMap<*const Typed, Option<ArrayRef>>) -> Option<ArrayRef> {
    let constant = |x: &Arc<Typed>| known.get(&Arc::as_ptr(x)).cloned().flatten();
    let input = |k: usize| constant(&t.inputs[k]);
    // Arrow's floats are in another order
    let is_float = || t.inputs.iter().any(|x| x.data_type.is_floating());
    let value: ArrayRef = match &t.op {
        TypedOp::Literal(v) => literal(v, &t.data_type)?,
        TypedOp::Cast | TypedOp::Kernel(KernelOp::Cast) => input(0)?,
        TypedOp::Kernel(op @ (KernelOp::And | KernelOp::Or)) => {
            let all: Vec<ArrayRef> = t.inputs.iter().filter_map(constant).collect();
            let all: Vec<&BooleanArray> = all.iter().filter_map(|v| v.as_boolean_opt()).collect();
            // one decides, whatever the other is
            let decides = *op == KernelOp::Or;
            match all.as_slice() {
                some if some.iter().any(|v| v.is_valid(0) && v.value(0) == decides) => {
                    Arc::new(BooleanArray::from(vec![decides]))
                }
                [a, b] if decides => Arc::new(or_kleene(a, b).ok()?),
                [a, b] => Arc::new(and_kleene(a, b).ok()?),
                _ => return None,
            }
        }
        TypedOp::Kernel(KernelOp::Unary(UnaryOp::Not)) => Arc::new(not(input(0)?.as_boolean_opt()?).ok()?),
        TypedOp::Kernel(KernelOp::IsNull) | TypedOp::IsNull => {
            Arc::new(BooleanArray::from(vec![input(0)?.is_null(0)]))
        }
        TypedOp::Kernel(KernelOp::Compare(op)) | TypedOp::Compare(op) if !is_float() => {
            let compare = match op {
                CompareOp::Eq => cmp::eq,
                CompareOp::Ne => cmp::neq,
                CompareOp::Lt => cmp::lt,
                CompareOp::Le => cmp::lt_eq,
            };
            Arc::new(compare(&input(0)?, &input(1)?).ok()?)
        }
        TypedOp::Kernel(KernelOp::Binary(op)) => {
            let compute = match op {
                BinaryOp::Add => numeric::add,
                BinaryOp::Sub => numeric::sub,
                BinaryOp::Mul if !t.data_type.is_temporal() => numeric::mul,
                _ => return None,
            };
            // what overflows is left to the kernel
            compute(&input(0)?, &input(1)?).ok()?
        }
        _ => return None,
    };
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&value, &t.data_type, &options).ok()
}

fn literal(v: &Literal, t: &DataType) -> Option<ArrayRef> {
    Some(match v {
        Literal::Null => new_null_array(t, 1),
        Literal::Text(text) => Arc::new(StringArray::from(vec![&**text])),
        Literal::Number(s) => match s.dtype() {
            DType::Bool => Arc::new(BooleanArray::from(vec![s.bits() != 0])),
            DType::U64 => Arc::new(UInt64Array::from(vec![s.bits()])),
            d if d.is_float() => Arc::new(Float64Array::from(vec![s.as_f64()])),
            _ => Arc::new(Int64Array::from(vec![s.as_i64()])),
        },
        Literal::Typed(DataType::Date32 | DataType::Time32(_), v) => {
            Arc::new(Int32Array::from(vec![i32::try_from(*v).ok()?]))
        }
        Literal::Typed(_, v) => Arc::new(Int64Array::from(vec![*v])),
    })
}
