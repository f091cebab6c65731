//! Columns by what they hold or how they are called.
//!
//! ```
//! use blockwise::frame::{DataFrame, selectors};
//! let df = DataFrame::from_columns([
//!     ("name", vec!["a"].into()),
//!     ("x_mm", vec![1.0].into()),
//!     ("y_mm", vec![2.0].into()),
//!     ("n", vec![3].into()),
//! ]);
//! assert_eq!(df.select_dtypes(selectors::numeric()).columns()?, ["x_mm", "y_mm", "n"]);
//! let lengths = selectors::matches("_mm$");
//! assert_eq!(df.select_dtypes(!lengths.clone()).columns()?, ["name", "n"]);
//! let metres = df.with_columns_of(lengths, |x| x / 1000.0).collect()?;
//! assert_eq!(metres.values::<f64>("y_mm")?, [Some(0.002)]);
//! # Ok::<(), blockwise::Error>(())
//! ```

use super::functions::is_number;
use super::verbs::{named, with_new};
use super::{DataFrame, DataType, Expr, Field, Schema, col};
use crate::error::{Error, Result};
use crate::expr::frame::is_text;
use std::ops;
use std::panic::Location;
use std::sync::Arc;

type Test = dyn Fn(&Field) -> bool + Send + Sync;

/// A choice of columns; `&`, `|` and `!` combine choices.
#[derive(Clone)]
pub struct Selector(Result<Arc<Test>>);

/// The columns whose name and type a function is true for.
pub fn fields(test: impl Fn(&Field) -> bool + Send + Sync + 'static) -> Selector {
    Selector(Ok(Arc::new(test)))
}

/// All columns.
pub fn all() -> Selector {
    fields(|_| true)
}

/// The columns of numbers: integers and floats.
pub fn numeric() -> Selector {
    fields(|f| is_number(f.data_type()))
}

/// The columns of integers.
pub fn integer() -> Selector {
    fields(|f| f.data_type().is_integer())
}

/// The columns of floats.
pub fn float() -> Selector {
    fields(|f| f.data_type().is_floating())
}

/// The columns of text, categories included.
pub fn text() -> Selector {
    fields(|f| is_text(f.data_type()))
}

/// The columns of bools.
pub fn boolean() -> Selector {
    fields(|f| *f.data_type() == DataType::Boolean)
}

/// The columns of dates, times and durations.
pub fn temporal() -> Selector {
    fields(|f| f.data_type().is_temporal())
}

/// The columns of these types.
pub fn by_dtype(types: impl IntoIterator<Item = DataType>) -> Selector {
    let types: Vec<DataType> = types.into_iter().collect();
    fields(move |f| types.contains(f.data_type()))
}

/// The columns of these names, as far as they are there.
pub fn by_name<'a>(names: impl IntoIterator<Item = &'a str>) -> Selector {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    fields(move |f| names.contains(f.name()))
}

/// The columns in whose name a regular expression matches somewhere.
///
/// # Errors
/// Carried to the frame: if it is no regular expression.
#[track_caller]
pub fn matches(pattern: &str) -> Selector {
    let at = Location::caller();
    match regex::Regex::new(pattern) {
        Ok(pattern) => fields(move |f| pattern.is_match(f.name())),
        Err(e) => Selector(Err(Error::invalid("pattern", e.to_string()).at(at))),
    }
}

impl Selector {
    fn chosen(&self, schema: &Schema) -> Result<Vec<Expr>> {
        let test = self.0.clone()?;
        Ok(schema.fields().iter().filter(|f| test(f)).map(|f| col(f.name())).collect())
    }

    fn with(self, other: Selector, both: fn(bool, bool) -> bool) -> Selector {
        Selector(self.0.and_then(|a| {
            let b = other.0?;
            Ok(Arc::new(move |f: &Field| both(a(f), b(f))) as Arc<Test>)
        }))
    }
}

impl ops::BitAnd for Selector {
    type Output = Selector;
    fn bitand(self, other: Selector) -> Selector {
        self.with(other, |a, b| a && b)
    }
}

impl ops::BitOr for Selector {
    type Output = Selector;
    fn bitor(self, other: Selector) -> Selector {
        self.with(other, |a, b| a || b)
    }
}

impl ops::Not for Selector {
    type Output = Selector;
    fn not(self) -> Selector {
        Selector(self.0.map(|test| Arc::new(move |f: &Field| !test(f)) as Arc<Test>))
    }
}

impl DataFrame {
    /// The columns of a choice, in their order; see [`selectors`](super::selectors).
    #[track_caller]
    pub fn select_dtypes(&self, columns: Selector) -> DataFrame {
        self.then(|r| r.project(named(columns.chosen(r.schema())?)))
    }

    /// All columns, those of a choice replaced by what a function makes of them (or added, if it gives them another name by
    /// [`Expr::alias`]).
    #[track_caller]
    pub fn with_columns_of(&self, columns: Selector, function: impl Fn(Expr) -> Expr) -> DataFrame {
        self.then(|r| {
            let new = columns.chosen(r.schema())?.into_iter().map(function).collect();
            r.project(with_new(r.schema(), named(new)))
        })
    }

    /// The columns of a choice as expressions, for [`DataFrame::select`], [`GroupBy::agg`](super::GroupBy::agg) and others.
    ///
    /// # Errors
    /// That which the frame or the choice carries.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, selectors};
    /// let df = DataFrame::from_columns([("k", vec!["a"].into()), ("x", vec![1.0].into()), ("y", vec![2.0].into())]);
    /// let means: Vec<_> = df.columns_of(selectors::float())?.iter().map(|x| x.mean()).collect();
    /// assert_eq!(df.group_by("k").agg(means).columns()?, ["k", "x", "y"]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn columns_of(&self, columns: Selector) -> Result<Vec<Expr>> {
        columns.chosen(self.relation()?.schema())
    }
}
