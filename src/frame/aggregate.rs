//! Folds of groups: expressions over folds become folds and a projection of their results.

use super::verbs::named;
use super::{AggOp, DataFrame, Expr, IntoColumns, col};
use crate::error::{ErrorKind, Result};
use crate::expr::frame::{Aggregate, Named, Node, Relation, name_of};
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

    /// The grouped rows: without those whose key is null, unless they are kept.
    fn relation(&self) -> Result<Relation> {
        let relation = self.frame.relation()?.clone();
        if self.keep_nulls {
            return Ok(relation);
        }
        match self.keys.iter().map(Expr::is_not_null).reduce(|a, b| a.and(b)) {
            Some(mask) => relation.filter(mask),
            None => Ok(relation),
        }
    }
}

/// Whether an expression folds rows.
pub(super) fn has_aggregate(e: &Expr) -> bool {
    matches!(e.node(), Node::Aggregate(..)) || e.children().into_iter().any(has_aggregate)
}

/// The folds in expressions, each under a name of its own.
struct Folds<'a> {
    keys: &'a [Named],
    found: Vec<Aggregate>,
}

impl Folds<'_> {
    /// The expression with folds replaced by the columns that they make.
    fn take(&mut self, e: &Expr) -> Result<Expr> {
        Ok(match e.node() {
            Node::Aggregate(op, x) => {
                if has_aggregate(x) {
                    return Err(ErrorKind::ColumnType {
                        expression: e.to_string(),
                        message: "a fold of a fold; fold once, then fold the result".into(),
                    }
                    .into());
                }
                let same = |a: &&Aggregate| {
                    let one = Arc::ptr_eq(&a.input.0, &x.0)
                        || matches!((a.input.node(), x.node()), (Node::Column(p), Node::Column(q)) if p == q);
                    a.op == *op && (one || *op == AggOp::Len)
                };
                let name = match self.found.iter().find(same) {
                    Some(known) => known.name.clone(),
                    None => {
                        let name: Arc<str> = format!("\0fold {}", self.found.len()).into();
                        self.found.push(Aggregate { name: name.clone(), op: *op, input: x.clone() });
                        name
                    }
                };
                col(name)
            }
            Node::Column(name) if self.keys.iter().any(|k| k.name == *name) => e.clone(),
            Node::Column(name) => {
                return Err(ErrorKind::ColumnType {
                    expression: name.to_string(),
                    message: "has many values a group; fold it (sum(), first()...) or make it a key".into(),
                }
                .into());
            }
            Node::Literal(_) | Node::Failed(_) => e.clone(),
            Node::Unary(op, x) => Expr::new(Node::Unary(*op, self.take(x)?)),
            Node::Cast(to, x) => Expr::new(Node::Cast(to.clone(), self.take(x)?)),
            Node::IsNull(x) => Expr::new(Node::IsNull(self.take(x)?)),
            Node::Alias(name, x) => Expr::new(Node::Alias(name.clone(), self.take(x)?)),
            Node::Binary(op, a, b) => Expr::new(Node::Binary(*op, self.take(a)?, self.take(b)?)),
            Node::Compare(op, a, b) => Expr::new(Node::Compare(*op, self.take(a)?, self.take(b)?)),
            Node::FillNull(a, b) => Expr::new(Node::FillNull(self.take(a)?, self.take(b)?)),
            Node::When(c, a, b) => Expr::new(Node::When(self.take(c)?, self.take(a)?, self.take(b)?)),
            Node::Function(f, inputs) => {
                let inputs = inputs.iter().map(|i| self.take(i)).collect::<Result<Vec<_>>>()?;
                Expr::new(Node::Function(f.clone(), inputs))
            }
        })
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
