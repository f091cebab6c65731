//! Columns that depend on the order of rows, and verbs made of them.

use super::{DataFrame, DataType, Expr, Field, Schema, col, lit, when};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{BatchFunction, Named, Node, Relation, WindowColumn, WindowOp, random, row_number};
use std::sync::Arc;

fn has_window(e: &Expr) -> bool {
    e.all_parts().iter().any(|part| matches!(part.node(), Node::Window(..)))
}

/// Whether keys are certainly the same: what is not is a pass of its own.
fn are_same(a: &[Expr], b: &[Expr]) -> bool {
    let same = |(a, b): (&Expr, &Expr)| match (a.node(), b.node()) {
        (Node::Column(a), Node::Column(b)) => a == b,
        _ => a.address() == b.address(),
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// The relation with a column for every function of rows in order in the expressions, and the expressions of those columns.
pub(super) fn with_windows(r: &Relation, columns: Vec<Named>) -> Result<(Relation, Vec<Named>)> {
    let mut r = r.clone();
    let mut columns = columns;
    // innermost first: a function of such a function is one of a column then
    while columns.iter().any(|c| has_window(&c.expr)) {
        let mut found: Vec<(WindowColumn, Vec<Expr>)> = vec![];
        for c in &mut columns {
            c.expr = take(&c.expr, r.schema().fields().len(), &mut found)?;
        }
        let mut rest = found;
        while let Some((_, keys)) = rest.first() {
            let keys = keys.clone();
            let (these, others) = rest.into_iter().partition(|(_, k)| are_same(k, &keys));
            r = r.window(Vec::into_iter(these).map(|(c, _)| c).collect(), keys)?;
            rest = others;
        }
    }
    Ok((r, columns))
}

/// The expression with its innermost functions of rows in order replaced by columns.
fn take(e: &Expr, level: usize, found: &mut Vec<(WindowColumn, Vec<Expr>)>) -> Result<Expr> {
    e.replaced(|part| match part.node() {
        Node::Window(op, inputs, keys) if !inputs.iter().chain(keys).any(has_window) => {
            let name: Arc<str> = format!("\0window {level} {}", found.len()).into();
            found.push((
                WindowColumn { name: name.clone(), op: op.clone(), inputs: inputs.clone() },
                keys.clone(),
            ));
            Ok(Some(col(name)))
        }
        _ => Ok(None),
    })
}

impl DataFrame {
    /// The last `n` rows.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("a", vec![1, 2, 3].into())]);
    /// assert_eq!(df.tail(2).collect()?.values::<i32>("a")?, [Some(2), Some(3)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn tail(&self, n: usize) -> DataFrame {
        DataFrame::new(self.relation().map(|r| r.tail(n)))
    }

    /// A row for every value of a column of lists, the other columns repeated; one with null for an empty list or a null.
    #[track_caller]
    pub fn explode(&self, column: &str) -> DataFrame {
        let exploded = self.relation().and_then(|r| {
            let at = crate::expr::frame::find(r.schema(), column)?;
            let DataType::List(item) = r.schema().field(at).data_type() else {
                let message = format!("is {}, not a list", r.schema().field(at).data_type());
                return Err(ErrorKind::ColumnType { expression: column.into(), message }.into());
            };
            let mut fields: Vec<Field> = r.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
            fields[at] = Field::new(column, item.data_type().clone(), true);
            r.map_batches(BatchFunction::Explode(at), &Schema::new(fields))
        });
        DataFrame::new(exploded)
    }

    /// Rows of this frame (those on the left) with those of another that were the last before them: whose time in column `on` is not later
    /// than theirs, and equal in the columns `by`. Null where there is none, or none within `tolerance`. A column of `other` whose name
    /// this one has gets the suffix `_right`; its own time is called so too.
    ///
    /// Rows come in the order of their times; null times come last, and have no partner; nor have rows with a null in `by`. Runs as a sort of both and one pass over
    /// them.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let trades = DataFrame::from_columns([("t", vec![3i64, 10].into()), ("paid", vec![1.5, 2.5].into())]);
    /// let quotes = DataFrame::from_columns([("t", vec![1i64, 3, 7].into()), ("price", vec![1.0, 1.4, 2.6].into())]);
    /// let joined = trades.join_asof(&quotes, "t", [], None).collect()?;
    /// assert_eq!(joined.values::<f64>("price")?, [Some(1.4), Some(2.6)]);
    /// assert_eq!(joined.values::<i64>("t_right")?, [Some(3), Some(7)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn join_asof<'a>(
        &self,
        other: &DataFrame,
        on: &str,
        by: impl IntoIterator<Item = &'a str>,
        tolerance: Option<Expr>,
    ) -> DataFrame {
        let by: Vec<&str> = by.into_iter().collect();
        self.asof(other, on, &by, tolerance).unwrap_or_else(|e| DataFrame::new(Err(e)))
    }

    #[track_caller]
    fn asof(&self, other: &DataFrame, on: &str, by: &[&str], tolerance: Option<Expr>) -> Result<DataFrame> {
        const IS_LEFT: &str = "\0is_left";
        let (left, right) = (self.schema()?, other.schema()?);
        let null_of = |f: &Field| Expr::null().cast(f.data_type().clone());
        let taken = |name: &str| left.field_with_name(name).is_ok();
        let renamed = |name: &str| if taken(name) { format!("{name}_right") } else { name.to_owned() };
        let is_key = |name: &str| by.contains(&name);
        // both with the columns of both
        let theirs = || right.fields().iter().filter(|f| !is_key(f.name()));
        let mine = left.fields().iter().map(|f| col(f.name()));
        let absent = theirs().map(|f| null_of(f).alias(renamed(f.name())));
        let a = self.select(mine.chain(absent).chain([lit(true).alias(IS_LEFT)]).collect::<Vec<_>>());
        let of_left = left.fields().iter().map(|f| match f.name().as_str() == on || is_key(f.name()) {
            true => col(f.name()),
            false => null_of(f).alias(f.name()),
        });
        let present = theirs().map(|f| col(f.name()).alias(renamed(f.name())));
        let b = other
            .filter(col(on).is_not_null())
            .select(of_left.chain(present).chain([lit(false).alias(IS_LEFT)]).collect::<Vec<_>>());
        let both = DataFrame::concat([&a, &b]).sort([col(on).ascending(), col(IS_LEFT).ascending()]);
        // a value that is null in the last row of the other frame is null here too
        let of_other = || !col(IS_LEFT);
        let last = theirs().map(|f| {
            let name = renamed(f.name());
            let inputs = vec![col(&name), of_other()];
            let keys = by.iter().map(col).collect();
            Expr::new(Node::Window(WindowOp::FillForward, inputs, keys)).alias(&name)
        });
        let filled = both.with_columns(last.collect::<Vec<_>>()).filter(col(IS_LEFT)).drop([IS_LEFT]);
        let no_time = theirs().map(|f| {
            let name = renamed(f.name());
            let no_key = by.iter().fold(col(on).is_null(), |any, k| any.or(col(k).is_null()));
            when(no_key).then(null_of(f)).otherwise(col(&name)).alias(&name)
        });
        let mut joined = filled.with_columns(no_time.collect::<Vec<_>>());
        if let Some(tolerance) = tolerance {
            let near = (col(on) - col(renamed(on))).le(tolerance);
            let within = theirs().map(|f| {
                let name = renamed(f.name());
                when(near.clone()).then(col(&name)).otherwise(null_of(f)).alias(&name)
            });
            joined = joined.with_columns(within.collect::<Vec<_>>());
        }
        Ok(joined)
    }

    /// All columns, with the number of each row before them.
    #[track_caller]
    pub fn with_row_number(&self, name: &str) -> DataFrame {
        match self.columns() {
            Ok(columns) => {
                let all = [row_number().alias(name)].into_iter().chain(columns.iter().map(col));
                self.select(all.collect::<Vec<_>>())
            }
            Err(e) => DataFrame::new(Err(e)),
        }
    }

    /// About this part of the rows, in their order: each is kept with this probability, by its number and the seed alone, so the same ones
    /// in every run.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("a", (0..10_000).collect::<Vec<i32>>().into())]);
    /// let n = df.sample(0.1, 7).num_rows()?;
    /// assert!((900..1100).contains(&n), "{n}");
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sample(&self, fraction: f64, seed: u64) -> DataFrame {
        const DRAWN: &str = "\0drawn";
        if !(0.0..=1.0).contains(&fraction) {
            let message = format!("a fraction of {fraction} is not between 0 and 1");
            return DataFrame::new(Err(Error::invalid("sample", message)));
        }
        self.with_columns([random(seed).alias(DRAWN)]).filter(col(DRAWN).lt(fraction)).drop([DRAWN])
    }
}
