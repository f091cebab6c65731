//! The library's table of functions of columns that no kernel computes: of text, dates and times.

pub(crate) mod every;
pub(crate) mod text;
pub(crate) mod texts;
pub(crate) mod time;

use super::Argument;
use super::is_text;
#[cfg(feature = "cluster")]
use super::{Builtin, PACK};
use crate::error::{Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use std::sync::Arc;
use texts::plain;

/// The function with a name.
#[cfg(feature = "cluster")]
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    text::TABLE.iter().chain(time::TABLE).chain(&[&PACK]).find(|f| f.name == name).copied()
}

pub(crate) fn failed(op: &str, e: impl std::fmt::Display) -> Error {
    ErrorKind::Value { op: op.into(), message: e.to_string() }.into()
}

/// `out`, if all are text.
pub(crate) fn texts(types: &[DataType], out: DataType) -> std::result::Result<DataType, String> {
    match types.iter().find(|t| !is_text(t) && **t != DataType::Null) {
        Some(t) => Err(format!("takes text, not {t}; cast it before")),
        None => Ok(out),
    }
}

/// A value of every text, or null.
pub(crate) fn of_text<A, V>(x: &Argument, f: impl Fn(&str) -> Option<V>) -> Result<ArrayRef>
where
    A: Array + FromIterator<Option<V>> + 'static,
{
    let x = plain(x)?;
    Ok(Arc::new(x.array.as_string::<i32>().iter().map(|v| v.and_then(&f)).collect::<A>()))
}

/// A text given as an argument for all rows.
pub(crate) fn constant<'a>(x: &'a Argument, op: &str) -> Result<Option<&'a str>> {
    if !x.is_scalar {
        return Err(failed(op, "takes one text for all rows here"));
    }
    Ok(x.array.as_string_opt::<i32>().filter(|a| a.is_valid(0)).map(|a| a.value(0)))
}

/// A whole number given as an argument for all rows.
fn whole(x: &Argument, op: &str) -> Result<i64> {
    let number = x.array.as_primitive_opt::<Int64Type>().filter(|a| x.is_scalar && a.is_valid(0));
    number.map(|a| a.value(0)).ok_or_else(|| failed(op, "takes one whole number for all rows here"))
}

/// Entries of a table of functions: `NAME(number of inputs) = "name in plans", type of the result, result;`, with `may_fail` after the name of one
/// that some values are an error for.
macro_rules! builtins {
    ($($NAME:ident($inputs:expr) = $name:literal $($may_fail:ident)?, |$types:ident| $output:expr, |$x:ident| $call:expr;)*) => {
        $(pub(crate) static $NAME: $crate::expr::frame::Builtin = $crate::expr::frame::Builtin {
            name: $name,
            inputs: $inputs,
            output: |$types| $output,
            may_fail: !stringify!($($may_fail)?).is_empty(),
            call: |$x| $call,
        };)*
        /// All of them.
        #[cfg(feature = "cluster")]
        pub(crate) static TABLE: &[&$crate::expr::frame::Builtin] = &[$(&$NAME),*];
    };
}
pub(crate) use builtins;
