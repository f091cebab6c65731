//! What a mask says of columns one by one, for sources that can tell where no row passes.

use super::constants::constant;
use crate::block::{Bound, Comparison};
use crate::expr::frame::{Expr, KernelOp, Typed, TypedOp};
use crate::op::{CompareOp, UnaryOp};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Schema};
use std::sync::Arc;

/// A condition that every row meets for which all masks are true; none if they say nothing that a source could use.
pub(super) fn bound_of(masks: &[Expr], schema: &Schema) -> Option<Bound> {
    let mut room = MOST;
    let masks = masks.iter().filter_map(|mask| mask.resolve(schema).ok());
    let found: Vec<Bound> = masks.filter_map(|t| bound(&t, &mut room)).collect();
    (!found.is_empty()).then_some(Bound::All(found))
}

/// Parts of masks that are looked at: one that has parts several times may be very long when it is written out.
const MOST: usize = 1 << 17;

/// A condition that is met where an expression is true.
fn bound(t: &Typed, room: &mut usize) -> Option<Bound> {
    *room = room.checked_sub(1)?;
    let input = |k: usize| &*t.inputs[k];
    match &t.op {
        TypedOp::Column(column) => truth(*column, true, &t.data_type),
        TypedOp::Kernel(KernelOp::And) => {
            let found: Vec<Bound> = t.inputs.iter().filter_map(|x| bound(x, room)).collect();
            (!found.is_empty()).then_some(Bound::All(found))
        }
        TypedOp::Kernel(KernelOp::Or) => {
            t.inputs.iter().map(|x| bound(x, room)).collect::<Option<Vec<Bound>>>().map(Bound::Any)
        }
        TypedOp::Kernel(KernelOp::Compare(op)) | TypedOp::Compare(op) => compare(*op, input(0), input(1)),
        TypedOp::Kernel(KernelOp::IsNull) | TypedOp::IsNull => null(t, true),
        TypedOp::Kernel(KernelOp::Unary(UnaryOp::Not)) => match &input(0).op {
            TypedOp::Column(column) => truth(*column, false, &t.data_type),
            TypedOp::Kernel(KernelOp::IsNull) | TypedOp::IsNull => null(input(0), false),
            _ => None,
        },
        _ => None,
    }
}

/// A column of bools that is to be true, or false.
fn truth(column: usize, is: bool, t: &DataType) -> Option<Bound> {
    let value = Arc::new(BooleanArray::from(vec![is]));
    (*t == DataType::Boolean).then_some(Bound::Compare { column, op: Comparison::Eq, value })
}

fn null(t: &Typed, is: bool) -> Option<Bound> {
    match t.inputs[0].op {
        TypedOp::Column(column) => Some(Bound::Null { column, is }),
        _ => None,
    }
}

fn compare(op: CompareOp, a: &Typed, b: &Typed) -> Option<Bound> {
    let (column, value, flipped) = match (column(a), column(b)) {
        (Some(column), None) => (column, value(b)?, false),
        (None, Some(column)) => (column, value(a)?, true),
        _ => return None,
    };
    let op = match (op, flipped) {
        (CompareOp::Eq, _) => Comparison::Eq,
        (CompareOp::Ne, _) => Comparison::Ne,
        (CompareOp::Lt, false) => Comparison::Lt,
        (CompareOp::Le, false) => Comparison::Le,
        (CompareOp::Lt, true) => Comparison::Gt,
        (CompareOp::Le, true) => Comparison::Ge,
    };
    Some(Bound::Compare { column, op, value })
}

/// The column that this is, as it is or converted.
fn column(t: &Typed) -> Option<usize> {
    match &t.op {
        TypedOp::Column(column) => Some(*column),
        TypedOp::Cast | TypedOp::Kernel(KernelOp::Cast) => match t.inputs[0].op {
            TypedOp::Column(column) => Some(column),
            _ => None,
        },
        _ => None,
    }
}

/// The one value that this is; not null.
fn value(t: &Typed) -> Option<ArrayRef> {
    constant(t).filter(|v| v.null_count() == 0)
}
