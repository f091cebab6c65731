//! Folds of groups: expressions over folds become folds and a projection of their results.

use super::verbs::{named, with_new};
use super::{AggOp, DataFrame, DataType, Expr, IntoColumns, JoinKind, Literal, col};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{Aggregate, Named, Node, Relation, in_pairs, is_text, kernel_dtype, name_of};
use std::sync::Arc;

/// A frame whose rows are grouped; made by [`DataFrame::group_by`].
#[derive(Clone, Debug)]
pub struct GroupBy {
    frame: DataFrame,
    keys: Vec<Expr>,
    keep_nulls: bool,
}

impl DataFrame {
    /// Groups rows by equal keys. Rows with a null key are left out (as in pandas and Dask) unless [`GroupBy::keep_nulls`].
    ///
    /// Groups come in one order whatever the number of threads: that of their first rows, unless there are very many (from about 1e5); sort the
    /// result for an order of your own. Float keys: `-0.0` is
    /// `0.0`, and all NaN are one.
    pub fn group_by(&self, keys: impl IntoColumns) -> GroupBy {
        GroupBy { frame: self.clone(), keys: keys.into_columns(), keep_nulls: false }
    }
}

impl GroupBy {
    /// Keeps the groups whose key is null.
    pub fn keep_nulls(mut self) -> GroupBy {
        self.keep_nulls = true;
        self
    }

    /// One row a group: its keys, then one column per expression. Expressions fold ([`Expr::sum`], [`Expr::mean`], [`super::len`]...), and may
    /// compute with folds and with keys: `col("a").max() - col("b").min()`.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("k", vec![1, 1, 2].into()), ("v", vec![1.0, 5.0, 7.0].into())]);
    /// let range = df.group_by("k").agg([(col("v").max() - col("v").min()).alias("range")]);
    /// assert_eq!(range.collect()?.values::<f64>("range")?, [Some(4.0), Some(0.0)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn agg(&self, folds: impl IntoColumns) -> DataFrame {
        let folds = folds.into_columns();
        DataFrame::new(self.relation().and_then(|r| plan_aggregates(&r, named(self.keys.clone()), folds)))
    }

    /// Number of rows of each group, as column `len`.
    #[track_caller]
    pub fn len(&self) -> DataFrame {
        self.agg(super::len())
    }

    /// Every row with folds of its group, as new columns (or in place of those of their names): `col("x") - col("x").mean()` needs the mean
    /// at every row. Rows and their order stay; those that are in no group (a null key, unless kept) get null.
    ///
    /// The rows are read twice: for the folds, which are held in memory by group, and to get them.
    ///
    /// # Errors
    /// Carried: as [`GroupBy::agg`].
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("k", vec!["a", "b", "a"].into()), ("v", vec![1.0, 5.0, 3.0].into())]);
    /// let centred = df.group_by("k").transform(col("v").mean().alias("mean")).select(col("v") - col("mean"));
    /// assert_eq!(centred.collect()?.values::<f64>("v")?, [Some(-1.0), Some(0.0), Some(1.0)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn transform(&self, folds: impl IntoColumns) -> DataFrame {
        DataFrame::new(self.transformed(named(folds.into_columns())))
    }

    fn transformed(&self, folds: Vec<Named>) -> Result<Relation> {
        let rows = self.frame.relation()?;
        let keys = named(self.keys.clone());
        // under names that no column of the rows has
        let hidden = |what: &str, n: usize| -> Arc<str> { format!("\0{what} {n}").into() };
        let exprs = folds.iter().enumerate().map(|(n, f)| f.expr.alias(hidden("of group", n))).collect();
        let groups = plan_aggregates(&self.relation()?, keys.clone(), exprs)?;
        let key = |(n, k): (usize, &Named)| Named { name: hidden("key", n), expr: col(&k.name) };
        let fold = |n: usize| Named { name: hidden("of group", n), expr: col(hidden("of group", n)) };
        let columns = keys.iter().enumerate().map(key).chain((0..folds.len()).map(fold));
        let groups = groups.project(columns.collect())?;
        let mut on = vec![];
        for (n, key) in keys.iter().enumerate() {
            let (left, right) = (key.expr.clone(), col(hidden("key", n)));
            if self.keep_nulls {
                // nulls equal nothing in a join: compare whether there is a value, and what it is
                let zero =
                    some_value(&key.expr.resolve(rows.schema())?.data_type).ok_or_else(|| -> Error {
                        let message =
                            "keep_nulls() with transform(...) takes keys of numbers, times and text".into();
                        ErrorKind::ColumnType { expression: key.expr.to_string(), message }.into()
                    })?;
                on.push((left.is_null(), right.is_null()));
                on.push((left.fill_null(zero.clone()), right.fill_null(zero)));
            } else {
                on.push((left, right));
            }
        }
        let kind = if on.is_empty() { JoinKind::Cross } else { JoinKind::Left };
        let joined = rows.join(&groups, kind, on, "_right")?;
        let new = folds.iter().enumerate();
        let new = new.map(|(n, f)| Named { name: f.name.clone(), expr: col(hidden("of group", n)) });
        joined.project(with_new(rows.schema(), new))
    }

    /// What is grouped, and by what.
    pub(super) fn parts(&self) -> (&DataFrame, &[Expr]) {
        (&self.frame, &self.keys)
    }

    /// The grouped rows: without those whose key is null, unless they are kept.
    pub(super) fn relation(&self) -> Result<Relation> {
        let relation = self.frame.relation()?.clone();
        if self.keep_nulls {
            return Ok(relation);
        }
        match in_pairs(self.keys.iter().map(Expr::is_not_null), |a, b| a.and(b)) {
            Some(mask) => relation.filter(mask),
            None => Ok(relation),
        }
    }
}

/// Any value of a type.
fn some_value(t: &DataType) -> Option<Expr> {
    match t {
        DataType::Boolean => Some(false.into()),
        t if is_text(t) => Some("".into()),
        t if super::functions::is_number(t) || t.is_decimal() => Some(Expr::from(0).cast(t.clone())),
        t => kernel_dtype(t).map(|_| Expr::from(Literal::Typed(t.clone(), 0))),
    }
}

/// Whether an expression folds rows.
pub(super) fn has_aggregate(e: &Expr) -> bool {
    e.all_parts().iter().any(|part| matches!(part.node(), Node::Aggregate(..)))
}

/// The folds in expressions, each under a name of its own.
struct Folds<'a> {
    keys: &'a [Named],
    found: Vec<Aggregate>,
}

impl Folds<'_> {
    /// The expression with folds replaced by the columns that they make.
    fn take(&mut self, e: &Expr) -> Result<Expr> {
        e.replaced(|part| match part.node() {
            Node::Aggregate(op, x) => self.column(part, op, x).map(Some),
            Node::Column(name) if self.keys.iter().all(|k| k.name != *name) => {
                let message = "has many values a group; fold it (sum(), first()...) or make it a key".into();
                Err(ErrorKind::ColumnType { expression: name.to_string(), message }.into())
            }
            _ => Ok(None),
        })
    }

    /// The column that a fold makes.
    fn column(&mut self, e: &Expr, op: &AggOp, x: &Expr) -> Result<Expr> {
        if has_aggregate(x) {
            let message = "a fold of a fold; fold once, then fold the result".into();
            return Err(ErrorKind::ColumnType { expression: e.to_string(), message }.into());
        }
        let same = |a: &&Aggregate| {
            let one = a.input.address() == x.address()
                || matches!((a.input.node(), x.node()), (Node::Column(p), Node::Column(q)) if p == q);
            a.op == *op && (one || *op == AggOp::Len)
        };
        if let Some(known) = self.found.iter().find(same) {
            return Ok(col(&known.name));
        }
        let name: Arc<str> = format!("\0fold {}", self.found.len()).into();
        self.found.push(Aggregate { name: name.clone(), op: op.clone(), input: x.clone() });
        Ok(col(name))
    }
}

/// Groups, folds, and what is computed of them.
pub(super) fn plan_aggregates(r: &Relation, keys: Vec<Named>, expressions: Vec<Expr>) -> Result<Relation> {
    let mut folds = Folds { keys: &keys, found: vec![] };
    let mut columns: Vec<Named> =
        keys.iter().map(|k| Named { name: k.name.clone(), expr: col(&k.name) }).collect();
    for e in &expressions {
        let name = name_of(e).unwrap_or_else(|| "literal".into());
        columns.push(Named { name, expr: folds.take(e)? });
    }
    // plain folds are named at once: no projection is needed
    let mut found = folds.found;
    let plain = columns[keys.len()..].iter().all(|c| matches!(c.expr.node(), Node::Column(n) if n.starts_with('\0'))
        || matches!(c.expr.node(), Node::Alias(_, x) if matches!(x.node(), Node::Column(n) if n.starts_with('\0'))));
    if plain && found.len() == expressions.len() {
        for (fold, column) in found.iter_mut().zip(&columns[keys.len()..]) {
            fold.name = column.name.clone();
        }
        return r.aggregate(keys, found);
    }
    r.aggregate(keys, found)?.project(columns)
}

impl Expr {
    /// Whether the expression folds rows: such ones belong into [`GroupBy::agg`] or a [`DataFrame::select`] of folds.
    pub fn is_fold(&self) -> bool {
        has_aggregate(self)
    }

    /// The number of rows for which a bool is true.
    pub fn count_true(&self) -> Expr {
        self.aggregate(AggOp::Sum)
    }
}
