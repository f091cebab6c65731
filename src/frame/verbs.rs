//! What is done with whole frames.

use super::aggregate::{has_aggregate, plan_aggregates};
use super::functions::is_number;
use super::windows::with_windows;
use super::{
    DataFrame, DataType, Expr, Field, IntoColumns, IntoSortKeys, JoinKind, Literal, RecordBatch, Schema, col,
};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::expr::frame::{
    BatchFunction, Named, Node, Relation, find, in_pairs, is_text, name_of, registered,
};
use std::sync::Arc;

/// Expressions with the names of the columns that they make.
pub(super) fn named(columns: Vec<Expr>) -> Vec<Named> {
    let name = |e: &Expr| name_of(e).unwrap_or_else(|| "literal".into());
    columns.into_iter().map(|expr| Named { name: name(&expr), expr }).collect()
}

/// Whether a value may stand in a column of a type without a change of the type.
fn fits(value: &Expr, t: &DataType) -> Result<bool> {
    let literal = match value.node() {
        Node::Literal(v) => v,
        Node::Failed(e) => return Err(e.clone()),
        _ => {
            let message = format!("{value} is no value; use with_columns for what depends on rows");
            return Err(Error::invalid("fill_null", message));
        }
    };
    Ok(match literal {
        Literal::Null => false,
        Literal::Text(_) => is_text(t),
        Literal::Number(n) if n.dtype() == DType::Bool => *t == DataType::Boolean,
        Literal::Number(_) if !is_number(t) && !t.is_decimal() => false,
        Literal::Number(_) | Literal::Typed(..) => {
            let schema = Schema::new(vec![Field::new("x", t.clone(), true)]);
            col("x").fill_null(value).resolve(&schema).is_ok_and(|filled| filled.data_type == *t)
        }
    })
}

/// All columns of a schema, and new ones in place of those of their names or after them.
pub(super) fn with_new(schema: &Schema, new: impl IntoIterator<Item = Named>) -> Vec<Named> {
    let old = |f: &Arc<Field>| Named { name: f.name().as_str().into(), expr: col(f.name()) };
    let mut all: Vec<Named> = schema.fields().iter().map(old).collect();
    for column in new {
        match all.iter_mut().find(|c| c.name == column.name) {
            Some(same) => *same = column,
            None => all.push(column),
        }
    }
    all
}

impl DataFrame {
    /// A frame made from this one's relation and an operation.
    #[track_caller]
    pub(super) fn then(&self, f: impl FnOnce(&Relation) -> Result<Relation>) -> DataFrame {
        DataFrame::new(self.relation().and_then(f))
    }

    /// New columns, one per expression, in place of all. Expressions that fold ([`Expr::sum`]...) make one row; then all must.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("a", vec![1, 2, 3].into()), ("b", vec![10, 20, 30].into())]);
    /// let sums = df.select([(col("a") + col("b")).alias("sum")]).collect()?;
    /// assert_eq!(sums.values::<i32>("sum")?, [Some(11), Some(22), Some(33)]);
    /// assert_eq!(df.select(col("a").max()).collect()?.values::<i32>("a")?, [Some(3)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn select(&self, columns: impl IntoColumns) -> DataFrame {
        let columns = columns.into_columns();
        if columns.iter().any(has_aggregate) {
            return self.then(|r| plan_aggregates(r, vec![], columns));
        }
        self.then(|r| {
            let (r, columns) = with_windows(r, named(columns))?;
            r.project(columns)
        })
    }

    /// All columns, and new ones; a new one replaces an old one of its name.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("a", vec![1, 2].into())]);
    /// let df = df.with_columns([(col("a") * 2).alias("twice"), (col("a") + 1).alias("a")]);
    /// assert_eq!(df.columns()?, ["a", "twice"]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn with_columns(&self, columns: impl IntoColumns) -> DataFrame {
        let new = named(columns.into_columns());
        self.then(|r| {
            let all = with_new(r.schema(), new);
            let (r, all) = with_windows(r, all)?;
            r.project(all)
        })
    }

    /// The rows where a bool is true (neither false nor null).
    #[track_caller]
    pub fn filter(&self, mask: impl Into<Expr>) -> DataFrame {
        let mask = mask.into();
        self.then(|r| r.filter(mask))
    }

    /// All columns, some of them converted to other types: `(name, type)` each; see [`Expr::cast`].
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, DataType};
    /// let df = DataFrame::from_columns([("a", vec!["1", "2"].into()), ("b", vec![1i64, 2].into())]);
    /// let df = df.cast([("a", DataType::Int32), ("b", DataType::Float64)]).collect()?;
    /// assert_eq!(df.values::<i32>("a")?, [Some(1), Some(2)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn cast<'a>(&self, types: impl IntoIterator<Item = (&'a str, DataType)>) -> DataFrame {
        self.with_columns(types.into_iter().map(|(name, t)| col(name).cast(t)).collect::<Vec<_>>())
    }

    /// All columns under the names that a function makes of theirs.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("Air Time", vec![1].into())]);
    /// assert_eq!(df.rename_with(|name| name.to_lowercase().replace(' ', "_")).columns()?, ["air_time"]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn rename_with(&self, new_name: impl Fn(&str) -> String) -> DataFrame {
        self.then(|r| {
            let column = |f: &Arc<Field>| Named { name: new_name(f.name()).into(), expr: col(f.name()) };
            r.project(r.schema().fields().iter().map(column).collect())
        })
    }

    /// Columns under other names: `(old, new)` each.
    #[track_caller]
    pub fn rename<'a>(&self, names: impl IntoIterator<Item = (&'a str, &'a str)>) -> DataFrame {
        let names: Vec<(&str, &str)> = names.into_iter().collect();
        self.then(|r| {
            for (old, _) in &names {
                find(r.schema(), old)?;
            }
            let column = |name: &String| {
                let new = names.iter().find(|(old, _)| old == name).map_or(name.as_str(), |(_, new)| new);
                Named { name: new.into(), expr: col(name) }
            };
            r.project(r.schema().fields().iter().map(|f| column(f.name())).collect())
        })
    }

    /// All columns but these.
    #[track_caller]
    pub fn drop(&self, columns: impl IntoColumns) -> DataFrame {
        let columns = columns.into_columns();
        self.then(|r| {
            let mut gone = vec![];
            for c in &columns {
                match c.node() {
                    Node::Column(name) => gone.push(find(r.schema(), name)?),
                    _ => return Err(Error::invalid("drop", format!("{c} is no column's name"))),
                }
            }
            let kept = r.schema().fields().iter().enumerate().filter(|(k, _)| !gone.contains(k));
            r.project(
                kept.map(|(_, f)| Named { name: f.name().as_str().into(), expr: col(f.name()) }).collect(),
            )
        })
    }

    /// The first `n` rows; reads no further than it must.
    #[track_caller]
    pub fn head(&self, n: usize) -> DataFrame {
        self.slice(0, n)
    }

    /// `len` rows from number `offset` (fewer where there are not so many).
    #[track_caller]
    pub fn slice(&self, offset: usize, len: usize) -> DataFrame {
        self.then(|r| Ok(r.slice(offset, len)))
    }

    /// The rows in another order. Stable: rows with equal keys stay as they are. NaN is larger than any number; nulls come last unless
    /// the key says otherwise.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("a", vec![2, 3, 1].into())]);
    /// let sorted = df.sort(col("a").descending()).collect()?;
    /// assert_eq!(sorted.values::<i32>("a")?, [Some(3), Some(2), Some(1)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, by: impl IntoSortKeys) -> DataFrame {
        let by = by.into_sort_keys();
        self.then(|r| r.sort(by))
    }

    /// Pairs of rows with equal values in these columns of both. Nulls equal nothing. A column of `other` whose name this one has gets the
    /// suffix `_right`. Rows come in this frame's order, and those with one partner after the other in the order of `other`; a right join's come in the
    /// order of `other`, and a full join's rows of `other` without a partner come last. `other` is held in memory with a table of its keys, or in parts
    /// on disk if that is too large; where both sides are known to be in the order of their keys, it is read beside this one, some rows at a time.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, JoinKind};
    /// let flights = DataFrame::from_columns([("carrier", vec!["UA", "B6", "??"].into())]);
    /// let names = DataFrame::from_columns([
    ///     ("carrier", vec!["B6", "UA"].into()),
    ///     ("name", vec!["JetBlue", "United"].into()),
    /// ]);
    /// let named = flights.join(&names, ["carrier"], JoinKind::Left).collect()?;
    /// assert_eq!(named.texts("name")?, [Some("United".into()), Some("JetBlue".into()), None]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn join(&self, other: &DataFrame, on: impl IntoColumns, kind: JoinKind) -> DataFrame {
        let on = on.into_columns();
        self.join_on(other, on.clone(), on, kind, "_right")
    }

    /// [`DataFrame::join`] of keys that differ in the two frames, with a suffix for names that both have.
    #[track_caller]
    pub fn join_on(
        &self,
        other: &DataFrame,
        left_on: impl IntoColumns,
        right_on: impl IntoColumns,
        kind: JoinKind,
        suffix: &str,
    ) -> DataFrame {
        let (left, right) = (left_on.into_columns(), right_on.into_columns());
        self.then(|r| {
            if left.len() != right.len() || (left.is_empty() != (kind == JoinKind::Cross)) {
                let message = format!("{kind:?} join of {} keys with {}", left.len(), right.len());
                return Err(Error::invalid("join", message));
            }
            r.join(other.relation()?, kind, left.into_iter().zip(right).collect(), suffix)
        })
    }

    /// Every pair of rows of both frames.
    #[track_caller]
    pub fn cross_join(&self, other: &DataFrame) -> DataFrame {
        self.join_on(other, Vec::<Expr>::new(), Vec::<Expr>::new(), JoinKind::Cross, "_right")
    }

    /// The rows of several frames, one after the other. Columns go by name; their types are promoted.
    #[track_caller]
    pub fn concat<'a>(frames: impl IntoIterator<Item = &'a DataFrame>) -> DataFrame {
        let parts = frames.into_iter().map(|f| f.relation().cloned()).collect::<Result<Vec<_>>>();
        DataFrame::new(parts.and_then(|parts| Relation::concat(&parts)))
    }

    /// The first of the rows that are equal in these columns; nulls are equal here. Without columns, in all.
    #[doc(alias = "drop_duplicates")]
    #[track_caller]
    pub fn unique(&self, columns: impl IntoColumns) -> DataFrame {
        let columns = columns.into_columns();
        self.then(|r| {
            let mut on = vec![];
            for c in &columns {
                match c.node() {
                    Node::Column(name) => on.push(&**name),
                    _ => return Err(Error::invalid("unique", format!("{c} is no column's name"))),
                }
            }
            if on.is_empty() {
                on = r.schema().fields().iter().map(|f| f.name().as_str()).collect();
            }
            r.distinct(&on)
        })
    }

    /// The rows in which none of these columns is null. Without columns, none of all.
    #[track_caller]
    pub fn drop_nulls(&self, columns: impl IntoColumns) -> DataFrame {
        let columns = columns.into_columns();
        self.then(|r| {
            let all = || r.schema().fields().iter().map(|f| col(f.name())).collect();
            let columns: Vec<Expr> = if columns.is_empty() { all() } else { columns };
            match in_pairs(columns.iter().map(Expr::is_not_null), |a, b| a.and(b)) {
                Some(mask) => r.filter(mask),
                None => Ok(r.clone()),
            }
        })
    }

    /// Nulls replaced by a value in the columns whose type it fits: a number in columns of numbers that can hold it, text in columns of text,
    /// a bool in columns of bools, a date or time in columns of dates and times that can hold it. Other columns stay as they are.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([
    ///     ("i", vec![Some(1), None].into()),
    ///     ("x", vec![None, Some(0.5)].into()),
    ///     ("s", vec![Some("a"), None].into()),
    /// ]);
    /// let filled = df.fill_null(0).fill_null("none").collect()?;
    /// assert_eq!(filled.values::<i32>("i")?, [Some(1), Some(0)]);
    /// assert_eq!(filled.texts("s")?, [Some("a".into()), Some("none".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn fill_null(&self, value: impl Into<Expr>) -> DataFrame {
        let value = value.into();
        self.then(|r| {
            let mut filled = vec![];
            for field in r.schema().fields() {
                if fits(&value, field.data_type())? {
                    let expr = col(field.name()).fill_null(&value);
                    filled.push(Named { name: field.name().as_str().into(), expr });
                }
            }
            r.project(with_new(r.schema(), filled))
        })
    }

    /// NaN replaced by a number in the columns of floats; nulls stay.
    #[track_caller]
    pub fn fill_nan(&self, value: f64) -> DataFrame {
        self.then(|r| {
            let floats = r.schema().fields().iter().filter(|f| f.data_type().is_floating());
            let filled: Vec<Expr> = floats.map(|f| col(f.name()).fill_nan(value)).collect();
            r.project(with_new(r.schema(), named(filled)))
        })
    }

    /// The `n` rows with the largest values of a column, largest first; NaN is larger than any number, nulls come last.
    #[track_caller]
    pub fn nlargest(&self, n: usize, column: &str) -> DataFrame {
        self.sort(col(column).descending()).head(n)
    }

    /// The `n` rows with the smallest values of a column, smallest first; nulls come last.
    #[track_caller]
    pub fn nsmallest(&self, n: usize, column: &str) -> DataFrame {
        self.sort(column).head(n)
    }

    /// All columns, and `is_duplicated`: whether another row has the same values in these columns (without columns, in all); nulls are equal
    /// here. The rows are read twice.
    #[track_caller]
    pub fn with_duplicated(&self, columns: impl IntoColumns) -> DataFrame {
        let mut columns = columns.into_columns();
        if columns.is_empty() {
            columns = self.columns().unwrap_or_default().iter().map(col).collect();
        }
        self.group_by(columns).keep_nulls().transform(super::len().gt(1).alias("is_duplicated"))
    }

    /// The different values of a column with their numbers of rows (`count`), most frequent first. Equally frequent ones come in the order of
    /// groups ([`DataFrame::group_by`]): that of their first rows, unless there are very many values (from about 1e5).
    #[track_caller]
    pub fn value_counts(&self, column: &str) -> DataFrame {
        self.group_by(column).agg(super::len().alias("count")).sort(col("count").descending())
    }

    /// A user's function of batches of rows, run beside others. Which rows come together is the scheduler's choice: each row must be worked
    /// on by itself. The function may drop and add rows.
    ///
    /// # Errors
    /// Carried to the run: those of the function, or if its columns are not those of `schema`.
    #[track_caller]
    pub fn map_batches(
        &self,
        schema: &Schema,
        function: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> DataFrame {
        self.then(|r| r.map_batches(BatchFunction::User("function".into(), Arc::new(function)), schema))
    }

    /// The function of batches that is [registered](super::register_batches) under a name: as [`DataFrame::map_batches`], and on a cluster
    /// too, if the workers know the name.
    ///
    /// # Errors
    /// Carried, as those of [`DataFrame::map_batches`], and if no such function has this name.
    #[track_caller]
    pub fn map_batches_registered(&self, name: &str, schema: &Schema) -> DataFrame {
        self.then(|r| match registered::batches(name) {
            Some(function) => r.map_batches(BatchFunction::User(name.into(), function), schema),
            None => Err(registered::unknown("map_batches", name)),
        })
    }

    /// A column as an expression, or the error if there is none of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Column`](crate::error::ErrorKind::Column), with the nearest name.
    pub fn column(&self, name: &str) -> Result<Expr> {
        find(self.relation()?.schema(), name)?;
        Ok(col(name))
    }
}
