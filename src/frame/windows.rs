//! Columns that depend on the order of rows, and verbs made of them.

use super::aggregate::with_children;
use super::{DataFrame, Expr, col};
use crate::error::{Error, Result};
use crate::expr::frame::{Named, Node, Relation, WindowColumn, random, row_number};
use std::sync::Arc;

fn has_window(e: &Expr) -> bool {
    matches!(e.node(), Node::Window(..)) || e.children().into_iter().any(has_window)
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
            let names = |keys: &[Expr]| keys.iter().map(Expr::to_string).collect::<Vec<_>>();
            let (keys, of_keys) = (keys.clone(), names(keys));
            let (these, others) = rest.into_iter().partition(|(_, k)| names(k) == of_keys);
            r = r.window(Vec::into_iter(these).map(|(c, _)| c).collect(), keys)?;
            rest = others;
        }
    }
    Ok((r, columns))
}

/// The expression with its innermost functions of rows in order replaced by columns.
fn take(e: &Expr, level: usize, found: &mut Vec<(WindowColumn, Vec<Expr>)>) -> Result<Expr> {
    match e.node() {
        Node::Window(op, inputs, keys) if !inputs.iter().chain(keys).any(has_window) => {
            let name: Arc<str> = format!("\0window {level} {}", found.len()).into();
            found.push((WindowColumn { name: name.clone(), op: *op, inputs: inputs.clone() }, keys.clone()));
            Ok(col(name))
        }
        _ => with_children(e, |x| take(x, level, found)),
    }
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
