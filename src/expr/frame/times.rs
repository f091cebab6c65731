//! Arithmetic of times and durations: the types of its operands and results.

use super::column::Literal;
use super::resolve::{Found, KernelOp, Typed, convert};
use crate::op::BinaryOp;
use arrow::datatypes::{DataType, TimeUnit};
use std::sync::Arc;

/// Sums and differences of times and durations, in the finer unit of the two; multiples of durations, and how often one is in another.
pub(super) fn binary(op: BinaryOp, a: &Arc<Typed>, b: &Arc<Typed>) -> Option<Found> {
    use DataType::{Date32, Duration, Timestamp};
    let as_time = |t: &DataType| match t {
        Date32 => Timestamp(TimeUnit::Second, None),
        other => other.clone(),
    };
    let (ta, tb) = (as_time(&a.data_type), as_time(&b.data_type));
    let finer = |x: TimeUnit, y: TimeUnit| x.max(y);
    let go = |ta: DataType, tb: DataType, out: DataType| -> Found {
        let (a, b) = (convert(a.clone(), &ta)?, convert(b.clone(), &tb)?);
        Ok(Typed::kernel(KernelOp::Binary(op), vec![a, b], out))
    };
    Some(match (op, &ta, &tb) {
        (BinaryOp::Sub, Timestamp(x, zx), Timestamp(y, zy)) if zx.is_some() == zy.is_some() => {
            let unit = finer(*x, *y);
            go(Timestamp(unit, zx.clone()), Timestamp(unit, zx.clone()), Duration(unit))
        }
        (BinaryOp::Add | BinaryOp::Sub, Timestamp(x, zone), Duration(y)) => {
            let unit = finer(*x, *y);
            go(Timestamp(unit, zone.clone()), Duration(unit), Timestamp(unit, zone.clone()))
        }
        (BinaryOp::Add, Duration(x), Timestamp(y, zone)) => {
            let unit = finer(*x, *y);
            go(Duration(unit), Timestamp(unit, zone.clone()), Timestamp(unit, zone.clone()))
        }
        (BinaryOp::Add | BinaryOp::Sub, Duration(x), Duration(y)) => {
            let unit = finer(*x, *y);
            go(Duration(unit), Duration(unit), Duration(unit))
        }
        (BinaryOp::Mul, Duration(_), n) | (BinaryOp::Mul, n, Duration(_)) if n.is_integer() => {
            let out = if ta.is_integer() { tb } else { ta };
            let integer = |x: &Arc<Typed>| {
                if x.data_type == out { Ok(x.clone()) } else { convert(x.clone(), &DataType::Int64) }
            };
            integer(a)
                .and_then(|a| Ok(Typed::kernel(KernelOp::Binary(op), vec![a, integer(b)?], out.clone())))
        }
        // the units may differ by more than an i64 of the finer one holds
        (BinaryOp::Div, Duration(x), Duration(y)) => {
            let float = DataType::Float64;
            let number = |x: &Arc<Typed>| Typed::kernel(KernelOp::Cast, vec![x.clone()], float.clone());
            let of = |op, a, b| Typed::kernel(KernelOp::Binary(op), vec![a, b], float.clone());
            let scale = Typed::literal(Literal::Number((ticks(*y) / ticks(*x)).into()));
            let ratio = of(BinaryOp::Div, number(a), number(b));
            Ok(if x == y { ratio } else { of(BinaryOp::Mul, ratio, scale) })
        }
        _ => return None,
    })
}

/// Ticks of a unit in a second.
fn ticks(unit: TimeUnit) -> f64 {
    match unit {
        TimeUnit::Second => 1.0,
        TimeUnit::Millisecond => 1e3,
        TimeUnit::Microsecond => 1e6,
        TimeUnit::Nanosecond => 1e9,
    }
}
