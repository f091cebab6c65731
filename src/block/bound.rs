//! What a filter asks of rows, simple enough that a source can tell from what it knows of many rows at once that none of them passes.
//!
//! The filter itself stays: a bound only says where there is nothing to read. So whoever does not know must say "may hold".

use arrow::array::{Array, ArrayRef, AsArray, make_comparator};
use arrow::compute::{CastOptions, SortOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type};
use std::cmp::Ordering;

/// A condition that every wanted row meets.
#[derive(Clone, Debug)]
pub enum Bound {
    /// A column, converted to the value's type, compared with one value; never true for null.
    Compare {
        /// Place of the column in the source's schema.
        column: usize,
        /// How it is compared.
        op: Comparison,
        /// An array of one value.
        value: ArrayRef,
    },
    /// Whether a column is null.
    Null {
        /// Place of the column in the source's schema.
        column: usize,
        /// Whether null is wanted, or anything else.
        is: bool,
    },
    /// All of these; true if there are none.
    All(Vec<Bound>),
    /// One of these at least; false if there are none.
    Any(Vec<Bound>),
}

/// How a column is compared with a value; floats as numbers: NaN compares as false but for `Ne`, and zeros are equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Equal.
    Eq,
    /// Different.
    Ne,
}

/// What is known of a column's values in some rows. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// No value but NaN is less than this one.
    pub min: Option<ArrayRef>,
    /// No value but NaN is greater than this one.
    pub max: Option<ArrayRef>,
    /// Number of nulls.
    pub nulls: Option<u64>,
    /// Number of rows.
    pub rows: Option<u64>,
}

impl Bound {
    /// Whether a row may meet it, given what is known of columns. `false` is certain.
    pub fn may_hold(&self, facts: &dyn Fn(usize) -> Facts) -> bool {
        match self {
            Bound::All(all) => all.iter().all(|b| b.may_hold(facts)),
            Bound::Any(any) => any.iter().any(|b| b.may_hold(facts)),
            Bound::Null { column, is } => {
                let known = facts(*column);
                match is {
                    true => known.nulls != Some(0),
                    false => !known.all_null(),
                }
            }
            Bound::Compare { column, op, value } => {
                let known = facts(*column);
                !known.all_null() && known.compare(*op, value).unwrap_or(true)
            }
        }
    }

    /// The same with every comparison and test replaced.
    pub fn map(&self, leaf: &dyn Fn(&Bound) -> Bound) -> Bound {
        let each = |bounds: &[Bound]| bounds.iter().map(|b| b.map(leaf)).collect();
        match self {
            Bound::All(all) => Bound::All(each(all)),
            Bound::Any(any) => Bound::Any(each(any)),
            other => leaf(other),
        }
    }

    /// The columns that it asks of.
    pub fn columns(&self, into: &mut Vec<usize>) {
        match self {
            Bound::All(some) | Bound::Any(some) => some.iter().for_each(|b| b.columns(into)),
            Bound::Null { column, .. } | Bound::Compare { column, .. } => into.push(*column),
        }
    }
}

impl Facts {
    fn all_null(&self) -> bool {
        self.nulls.is_some() && self.nulls == self.rows
    }

    /// Whether a value may compare so; none if that is not known.
    fn compare(&self, op: Comparison, value: &ArrayRef) -> Option<bool> {
        let to = value.data_type();
        let mut ends = [self.min.clone(), self.max.clone()];
        if ends.iter().flatten().any(|end| end.data_type() != to) {
            // a conversion keeps the order between two values that it takes there and back
            ends = [Some(converted(self.min.as_ref()?, to)?), Some(converted(self.max.as_ref()?, to)?)];
        }
        let min = || order(ends[0].as_ref()?, value);
        let max = || order(ends[1].as_ref()?, value);
        Some(match op {
            Comparison::Lt => min()?.is_lt(),
            Comparison::Le => min()?.is_le(),
            Comparison::Gt => max()?.is_gt(),
            Comparison::Ge => max()?.is_ge(),
            Comparison::Eq => !(min().is_some_and(Ordering::is_gt) || max().is_some_and(Ordering::is_lt)),
            // NaN differs from everything, and no statistic knows of it
            Comparison::Ne => to.is_floating() || !(min()?.is_eq() && max()?.is_eq()),
        })
    }
}

/// How two arrays of one value compare; none if one of them is null or NaN, or their types differ.
fn order(a: &ArrayRef, b: &ArrayRef) -> Option<Ordering> {
    if a.len() != 1 || b.len() != 1 || a.is_null(0) || b.is_null(0) || a.data_type() != b.data_type() {
        return None;
    }
    if a.data_type().is_floating() {
        return float(a)?.partial_cmp(&float(b)?);
    }
    make_comparator(a, b, SortOptions::default()).ok().map(|compare| compare(0, 0))
}

fn float(x: &ArrayRef) -> Option<f64> {
    Some(cast(x, &DataType::Float64)?.as_primitive::<Float64Type>().value(0))
}

fn cast(x: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(x, to, &options).ok().filter(|y| y.null_count() == x.null_count())
}

/// A value in another type, if the conversion keeps its order to others.
fn converted(x: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    use DataType::{Date32, Date64, Duration, Timestamp};
    let from = x.data_type();
    if from == to {
        return Some(x.clone());
    }
    if is_text(from) && is_text(to) {
        return cast(x, to);
    }
    let keeps_order = match (from, to) {
        // NaN, of which no statistic knows, becomes a number
        (a, b) if a.is_numeric() && b.is_numeric() => !a.is_floating() || b.is_floating(),
        (Timestamp(_, a), Timestamp(_, b)) => a.is_some() == b.is_some(),
        (Date32 | Date64 | Timestamp(_, None), Date32 | Date64 | Timestamp(_, None)) => true,
        (Duration(_), Duration(_)) => true,
        _ => false,
    };
    let there = cast(x, to).filter(|_| keeps_order)?;
    let back = cast(&there, from)?;
    (order(&back, x)? == Ordering::Equal).then_some(there)
}

fn is_text(t: &DataType) -> bool {
    match t {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, v) => is_text(v),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringArray, UInt8Array};
    use std::sync::Arc;

    fn may(
        min: impl Array + 'static,
        max: impl Array + 'static,
        op: Comparison,
        value: impl Array + 'static,
    ) -> bool {
        let known =
            Facts { min: Some(Arc::new(min)), max: Some(Arc::new(max)), nulls: Some(1), rows: Some(10) };
        Bound::Compare { column: 0, op, value: Arc::new(value) }.may_hold(&|_| known.clone())
    }

    #[test]
    fn comparisons_with_both_ends() {
        use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
        let int = |v: i64| Int64Array::from(vec![v]);
        for (op, value, want) in [
            (Lt, 3, false),
            (Lt, 4, true),
            (Le, 2, false),
            (Le, 3, true),
            (Gt, 7, false),
            (Gt, 6, true),
            (Ge, 8, false),
            (Ge, 7, true),
            (Eq, 2, false),
            (Eq, 3, true),
            (Eq, 8, false),
            (Ne, 3, true),
        ] {
            assert_eq!(may(int(3), int(7), op, int(value)), want, "{op:?} {value}");
        }
        assert!(!may(int(3), int(3), Ne, int(3)));
        let float = |v: f64| Float64Array::from(vec![v]);
        assert!(may(float(3.0), float(3.0), Ne, float(3.0)), "there may be NaN");
        assert!(may(float(f64::NAN), float(1.0), Lt, float(0.0)), "no end is no end");
        assert!(
            may(float(0.0), float(1.0), Le, float(-0.0)) && !may(float(0.0), float(1.0), Lt, float(-0.0))
        );
        assert!(!may(UInt8Array::from(vec![3]), UInt8Array::from(vec![7]), Gt, int(300)));
        assert!(may(int(0), int(1 << 32), Lt, arrow::array::Int32Array::from(vec![0])), "wraps");
        assert!(may(float(5.0), float(5.0), Lt, int(1)), "NaN converts to 0");
        let text = |v: &str| StringArray::from(vec![v]);
        assert!(may(int(9), int(10), Lt, text("10")), "texts are in another order");
        assert!(!may(text("b"), text("d"), Gt, text("dd")));
        assert!(!may(arrow::array::StringViewArray::from(vec!["b"]), text("d"), Lt, text("b")));
    }

    #[test]
    fn nulls_and_combinations() {
        let known = |nulls, rows| move |_: usize| Facts { nulls, rows, ..Facts::default() };
        let null = |is| Bound::Null { column: 0, is };
        assert!(!null(true).may_hold(&known(Some(0), Some(4))) && null(true).may_hold(&known(None, Some(4))));
        assert!(
            !null(false).may_hold(&known(Some(4), Some(4))) && null(false).may_hold(&known(Some(3), Some(4)))
        );
        let any = Bound::Any(vec![null(true), null(false)]);
        assert!(any.may_hold(&known(Some(0), Some(4))) && !Bound::Any(vec![]).may_hold(&known(None, None)));
        assert!(!Bound::All(vec![any, null(true)]).may_hold(&known(Some(0), Some(4))));
    }
}
