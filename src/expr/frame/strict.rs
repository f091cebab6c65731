//! What may fail for a value: it must not see rows that an earlier filter takes away.

use super::decimal;
use super::function::Function;
use super::resolve::{Typed, TypedOp, is_text};
use arrow::datatypes::DataType;
use std::sync::Arc;

impl Typed {
    /// Whether it may fail for a value, or is a user's.
    pub(crate) fn is_strict(self: &Arc<Typed>) -> bool {
        Typed::all_parts([self]).iter().any(|part| match &part.op {
            TypedOp::Decimal(..) | TypedOp::Function(Function::User(_)) => true,
            TypedOp::Function(Function::Builtin(f)) => f.may_fail,
            // a literal does not depend on rows
            TypedOp::Cast => part.inputs.iter().any(|x| {
                !matches!(x.op, TypedOp::Literal(_)) && !always_converts(&x.data_type, &part.data_type)
            }),
            _ => false,
        })
    }
}

/// Whether every value of a type is certainly one of another.
fn always_converts(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Duration, Timestamp};
    match (from, to) {
        (from, to) if is_text(to) => is_text(from) || !from.is_nested(),
        (from, _) if is_text(from) => false,
        (_, to) if to.is_floating() => true,
        // days are few
        (Date32, Timestamp(..)) | (Timestamp(..), Date32) => true,
        (Timestamp(x, _), Timestamp(y, _)) | (Duration(x), Duration(y)) => y <= x,
        (from, to) => to.is_decimal() && decimal::meet(from, to).as_ref() == Some(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::TimeUnit::{Microsecond, Second};

    #[test]
    fn conversions_that_hold_all_values() {
        use DataType::{Date32, Decimal128, Decimal256, Duration, Float64, Int32, Int64, Timestamp, Utf8};
        let categories = DataType::Dictionary(Box::new(Int32), Box::new(Utf8));
        for (from, to, always) in [
            (categories.clone(), Utf8, true),
            (Int64, categories, true),
            (Utf8, Int64, false),
            (Int64, Int32, false),
            (Decimal128(5, 2), Float64, true),
            (Decimal128(5, 2), Decimal128(6, 3), true),
            (Decimal128(5, 2), Decimal128(5, 3), false),
            (Decimal128(5, 2), Decimal256(5, 2), true),
            (Int32, Decimal128(10, 0), true),
            (Int32, Decimal128(10, 1), false),
            (Date32, Timestamp(Microsecond, None), true),
            (Timestamp(Microsecond, None), Timestamp(Second, None), true),
            (Duration(Second), Duration(Microsecond), false),
        ] {
            assert_eq!(always_converts(&from, &to), always, "{from} to {to}");
        }
    }
}
