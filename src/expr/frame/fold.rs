//! Folds of the user's: functions that make states of a group's rows, one state of several, and values of states.

use super::function::{Argument, Builtin, MANY};
use crate::error::{Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields};
use std::fmt;
use std::sync::Arc;

/// A fold of your own, as Dask's `Aggregation`: rows of a group become a *state*, states are combined, and a state becomes the group's
/// value. States are a row of Arrow columns, so they go to disk and are merged as anything else is.
///
/// Which rows make a state is the scheduler's choice: of the rows of a group some that follow each other, about a million of the frame's at
/// most. States are combined in the order of the rows, however many threads there are. So results are always the same where `combine` is
/// associative.
///
/// Cost: one call of `chunk` for every group in a span of rows, one of `combine` for every group with several states, one of `finish` for
/// very many groups. Memory: a state for every group of every span, on disk where there are too many.
///
/// ```
/// use blockwise::frame::arrow::array::{ArrayRef, AsArray, StringArray};
/// use blockwise::frame::{DataFrame, DataType, UserFold};
/// use std::sync::Arc;
///
/// // the longest text: one of the texts is its own state
/// fn longest(texts: &[ArrayRef]) -> blockwise::Result<Vec<ArrayRef>> {
///     let longest = texts[0].as_string::<i32>().iter().flatten().max_by_key(|t| t.len());
///     Ok(vec![Arc::new(StringArray::from(vec![longest]))])
/// }
/// let longest = UserFold::new("longest", [DataType::Utf8], DataType::Utf8, longest, longest, |s| Ok(s[0].clone()));
/// let df = DataFrame::from_columns([("k", vec![1, 2, 1].into()), ("s", vec!["a", "b", "ccc"].into())]);
/// let table = df.group_by("k").agg(longest.of("s")).collect()?;
/// assert_eq!(table.texts("s")?, [Some("ccc".into()), Some("b".into())]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone)]
pub struct UserFold(Arc<Functions>);

/// A function that makes columns of columns.
type Columns = dyn Fn(&[ArrayRef]) -> Result<Vec<ArrayRef>> + Send + Sync;

struct Functions {
    name: Arc<str>,
    state: DataType,
    output: DataType,
    chunk: Box<Columns>,
    combine: Box<Columns>,
    finish: Box<Columns>,
}

impl UserFold {
    /// A fold of this name whose states have columns of the types `state` and whose values are of type `output`.
    ///
    /// - `chunk` gets some rows of a group, nulls included: the columns that the fold is [of](UserFold::of). It gives a state: a column of
    ///   one row for each of `state`. Where there is no row at all to fold, in a frame without keys, it gets columns of no rows.
    /// - `combine` gets the states of a group in order, a row each, and gives one.
    /// - `finish` gets states of many groups, a row each, and gives a column of as many values.
    ///
    /// Errors of the functions are errors of the run; so are panics, and columns of other types or lengths.
    pub fn new(
        name: &str,
        state: impl IntoIterator<Item = DataType>,
        output: DataType,
        chunk: impl Fn(&[ArrayRef]) -> Result<Vec<ArrayRef>> + Send + Sync + 'static,
        combine: impl Fn(&[ArrayRef]) -> Result<Vec<ArrayRef>> + Send + Sync + 'static,
        finish: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> UserFold {
        UserFold(Arc::new(Functions {
            name: name.into(),
            state: DataType::Struct(fields("state", state)),
            output,
            chunk: Box::new(chunk),
            combine: Box::new(combine),
            finish: Box::new(move |states| Ok(vec![finish(states)?])),
        }))
    }

    /// The fold that is [registered](super::register_fold) under a name: as any other, and on a cluster too, if the workers know the name.
    ///
    /// # Errors
    /// If no fold has this name.
    pub fn registered(name: &str) -> Result<UserFold> {
        super::registered::fold(name).ok_or_else(|| super::registered::unknown("fold", name))
    }

    /// Its name in plans and errors.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The type of its values.
    pub fn output(&self) -> &DataType {
        &self.0.output
    }

    /// Of the columns in a packed one; `states` says whether they are states already.
    pub(crate) fn state_of(&self, packed: &ArrayRef, states: bool) -> Result<ArrayRef> {
        let f = if states { &self.0.combine } else { &self.0.chunk };
        let made = f(columns(packed)?)?;
        let DataType::Struct(fields) = &self.0.state else {
            return Err(Error::internal("a state of no columns"));
        };
        let found: Vec<(&DataType, usize)> = made.iter().map(|c| (c.data_type(), c.len())).collect();
        let wanted: Vec<(&DataType, usize)> = fields.iter().map(|f| (f.data_type(), 1)).collect();
        if found != wanted {
            return Err(self.wrong(format!("gave a state {found:?}; declared was {wanted:?}")));
        }
        pack(fields.clone(), made, 1)
    }

    /// The values of packed states.
    pub(crate) fn values_of(&self, states: &ArrayRef) -> Result<ArrayRef> {
        let mut made = (self.0.finish)(columns(states)?)?;
        match made.pop() {
            Some(c) if c.len() == states.len() && *c.data_type() == self.0.output => Ok(c),
            other => {
                let found = other.map(|c| (c.data_type().clone(), c.len()));
                let wanted = (&self.0.output, states.len());
                Err(self.wrong(format!("gave values {found:?}; wanted are {wanted:?}")))
            }
        }
    }

    fn wrong(&self, message: String) -> Error {
        ErrorKind::Value { op: self.0.name.to_string(), message }.into()
    }

    /// Whether nothing is kept of rows.
    pub(crate) fn is_without_state(&self) -> bool {
        matches!(&self.0.state, DataType::Struct(fields) if fields.is_empty())
    }

    /// The type of packed states.
    pub(crate) fn state(&self) -> &DataType {
        &self.0.state
    }
}

/// The same fold: not one that happens to have its name.
impl PartialEq for UserFold {
    fn eq(&self, other: &UserFold) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for UserFold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:p}", self.0.name, Arc::as_ptr(&self.0))
    }
}

fn fields(what: &str, types: impl IntoIterator<Item = DataType>) -> Fields {
    types.into_iter().enumerate().map(|(k, t)| Field::new(format!("{what} {k}"), t, true)).collect()
}

fn columns(packed: &ArrayRef) -> Result<&[ArrayRef]> {
    let packed = packed.as_any().downcast_ref::<StructArray>();
    packed.map(StructArray::columns).ok_or_else(|| Error::internal("columns that are not packed"))
}

fn pack(fields: Fields, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
    let packed = StructArray::try_new_with_length(fields, columns, None, rows);
    Ok(Arc::new(packed.map_err(|e| Error::internal(e.to_string()))?))
}

/// Several columns as one: what a fold of several is of.
pub(crate) static PACK: Builtin = Builtin {
    name: "",
    inputs: MANY,
    output: |types| Ok(DataType::Struct(fields("input", types.iter().cloned()))),
    may_fail: false,
    call: |inputs| {
        let rows = inputs.iter().filter(|x| !x.is_scalar).map(|x| x.array.len()).max().unwrap_or(1);
        let whole = |x: &Argument| match x.is_scalar && x.array.len() != rows {
            true => take(&x.array, &UInt32Array::from_value(0, rows), None),
            false => Ok(x.array.clone()),
        };
        let columns = inputs.iter().map(whole).collect::<std::result::Result<Vec<_>, _>>();
        let columns = columns.map_err(|e| Error::internal(e.to_string()))?;
        pack(fields("input", columns.iter().map(|c| c.data_type().clone())), columns, rows)
    },
};
