//! Functions of rows and columns by name: how a computation names one to a process that has the same program but not the same memory.

use super::fold::UserFold;
use super::function::UserFunction;
use super::relation::BatchFn;
use crate::error::{Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock};

/// A function under a name; a name is of one only.
#[derive(Clone)]
enum Known {
    Batches(Arc<BatchFn>),
    /// With the type that its input is converted to, if it is a function of single values.
    Columns(Arc<UserFunction>, Option<DataType>),
    Fold(UserFold),
}

fn registry() -> &'static RwLock<BTreeMap<String, Known>> {
    static REGISTRY: OnceLock<RwLock<BTreeMap<String, Known>>> = OnceLock::new();
    REGISTRY.get_or_init(RwLock::default)
}

fn register(name: &str, function: Known) -> Result<()> {
    let mut known = registry().write().unwrap_or_else(|e| e.into_inner());
    if known.contains_key(name) {
        return Err(Error::invalid("register", format!("there is a function of rows {name:?} already")));
    }
    known.insert(name.to_owned(), function);
    Ok(())
}

fn known(name: &str) -> Option<Known> {
    registry().read().unwrap_or_else(|e| e.into_inner()).get(name).cloned()
}

/// What is said where a name is of no such function.
pub(crate) fn unknown(what: &'static str, name: &str) -> Error {
    let known = registry().read().unwrap_or_else(|e| e.into_inner());
    let names: Vec<&String> = known.keys().collect();
    Error::invalid(what, format!("nothing of the kind is registered as {name:?}; known are {names:?}"))
}

/// Registers a function of batches of rows under a name, for
/// [`DataFrame::map_batches_registered`](crate::frame::DataFrame::map_batches_registered). A program that computes on a cluster and its workers
/// register the same functions under the same names.
///
/// ```
/// use blockwise::frame::{DataFrame, register_batches};
/// register_batches("every other row", |rows| Ok(rows.slice(0, rows.num_rows() / 2)))?;
/// let df = DataFrame::from_columns([("n", vec![1, 2, 3, 4].into())]);
/// let half = df.map_batches_registered("every other row", &*df.schema()?);
/// assert_eq!(half.collect()?.num_rows(), 2);
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If the name is taken.
pub fn register_batches(
    name: &str,
    function: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
) -> Result<()> {
    register(name, Known::Batches(Arc::new(function)))
}

/// Registers a function of columns under its name, for [`Expr::map_columns_registered`](crate::frame::Expr::map_columns_registered); as
/// [`register_batches`].
///
/// # Errors
/// If the name is taken.
pub fn register_columns(function: UserFunction) -> Result<()> {
    register(&function.name.clone(), Known::Columns(Arc::new(function), None))
}

/// The same of a function of single values, whose input is converted to a type.
pub(crate) fn register_values(function: UserFunction, input: DataType) -> Result<()> {
    register(&function.name.clone(), Known::Columns(Arc::new(function), Some(input)))
}

/// Registers a fold under its name, for [`UserFold::registered`]; as [`register_batches`]. From then on the fold itself may be used on a
/// cluster, too.
///
/// # Errors
/// If the name is taken.
pub fn register_fold(fold: &UserFold) -> Result<()> {
    register(fold.name(), Known::Fold(fold.clone()))
}

/// The function of batches that is registered under a name.
pub(crate) fn batches(name: &str) -> Option<Arc<BatchFn>> {
    match known(name) {
        Some(Known::Batches(function)) => Some(function),
        _ => None,
    }
}

/// The name that a function of batches is registered under.
#[cfg(feature = "cluster")]
pub(crate) fn name_of_batches(function: &Arc<BatchFn>) -> Option<String> {
    let known = registry().read().unwrap_or_else(|e| e.into_inner());
    let is_it = |known: &Known| matches!(known, Known::Batches(f) if Arc::ptr_eq(f, function));
    known.iter().find(|(_, known)| is_it(known)).map(|(name, _)| name.clone())
}

/// The function of columns, and the type that its input is converted to.
pub(crate) fn columns(name: &str) -> Option<(Arc<UserFunction>, Option<DataType>)> {
    match known(name) {
        Some(Known::Columns(function, input)) => Some((function, input)),
        _ => None,
    }
}

/// The fold.
pub(crate) fn fold(name: &str) -> Option<UserFold> {
    match known(name) {
        Some(Known::Fold(fold)) => Some(fold),
        _ => None,
    }
}
