//! Hashes of keys as a function of columns.

use super::content_hashes;
use crate::error::Result;
use crate::expr::frame::functions::failed;
use crate::expr::frame::{Argument, Builtin, MANY};
use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// What partitions by a hash go by: a function of columns for plans.
pub(crate) static HASHES: Builtin =
    Builtin { name: "hash", inputs: MANY, output: |_| Ok(DataType::UInt64), may_fail: false, call: hashes };

/// A hash of every row, by what its values are.
fn hashes(x: &[Argument]) -> Result<ArrayRef> {
    let rows = x.iter().filter(|x| !x.is_scalar).map(|x| x.array.len()).max().unwrap_or(1);
    let whole = |x: &Argument| match x.is_scalar && rows != 1 {
        true => Err(failed("hash", "a key is one value for all rows; take columns")),
        false => Ok(x.array.clone()),
    };
    let columns = x.iter().map(whole).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(UInt64Array::from(content_hashes(&columns, rows)?)))
}
