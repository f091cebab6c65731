//! Folds of whole frames: of every column that has one.

use super::aggregate::plan_aggregates;
use super::functions::is_number;
use super::{AggOp, DataFrame, DataType, Expr, Field, GroupBy, Schema, col, corr};
use crate::error::{Error, Result};
use crate::expr::frame::{BatchFunction, Relation, Stack, name_of};
use std::sync::Arc;

/// A fold of every column that has it, but for these.
fn fitting(schema: &Schema, op: AggOp, but: &[Arc<str>]) -> Result<Vec<Expr>> {
    let of_all = || schema.fields().iter().filter(|f| !but.iter().any(|b| **b == **f.name()));
    let fitting = of_all().filter(|f| op.output(f.data_type()).is_ok());
    let folds: Vec<Expr> = fitting.map(|f| col(f.name()).aggregate(op.clone())).collect();
    if folds.is_empty() {
        let types: Vec<String> = of_all().map(|f| format!("{}: {}", f.name(), f.data_type())).collect();
        let message = format!("{op} is defined for none of the columns ({})", types.join(", "));
        return Err(Error::invalid("fold", message));
    }
    Ok(folds)
}

macro_rules! of_groups {
    ($($(#[$doc:meta])* $name:ident $op:expr;)*) => {
        /// Folds of all columns that have them but the keys, one row a group; [`GroupBy::agg`] for those of your choice.
        ///
        /// ```
        /// use blockwise::frame::DataFrame;
        /// let df = DataFrame::from_columns([("k", vec!["a", "b", "a"].into()), ("x", vec![1.0, 2.0, 5.0].into())]);
        /// assert_eq!(df.group_by("k").mean().collect()?.values::<f64>("x")?, [Some(3.0), Some(2.0)]);
        /// # Ok::<(), blockwise::Error>(())
        /// ```
        impl GroupBy {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> DataFrame {
                self.fold_all($op)
            }
        )*}
    };
}
of_groups! {
    /// Sums.
    sum AggOp::Sum;
    /// Means.
    mean AggOp::Mean;
    /// Smallest values.
    min AggOp::Min;
    /// Largest values.
    max AggOp::Max;
    /// Numbers of values that are not null; [`GroupBy::len`] counts rows.
    count AggOp::Count;
    /// Numbers of different values that are not null.
    n_unique AggOp::NUnique;
    /// Sample standard deviations (`ddof` 1).
    std AggOp::Std(1);
    /// Sample variances (`ddof` 1).
    var AggOp::Var(1);
    /// Medians. Holds the values in memory.
    median AggOp::Median;
    /// The first values that are not null.
    first AggOp::First;
    /// The last values that are not null.
    last AggOp::Last;
}

impl GroupBy {
    #[track_caller]
    fn fold_all(&self, op: AggOp) -> DataFrame {
        let (frame, keys) = self.parts();
        let keys: Vec<Arc<str>> = keys.iter().filter_map(name_of).collect();
        match frame.relation().and_then(|r| fitting(r.schema(), op, &keys)) {
            Ok(folds) => self.agg(folds),
            Err(e) => DataFrame::new(Err(e)),
        }
    }
}

impl DataFrame {
    /// One row of a fold of every column that has it.
    #[track_caller]
    fn fold_all(&self, op: AggOp) -> DataFrame {
        self.then(|r| plan_aggregates(r, vec![], fitting(r.schema(), op, &[])?))
    }

    /// Sums of the columns of numbers, bools and durations, in one row. This and the other folds of frames leave columns out for which
    /// they are not defined, and carry an error if that is all; see [`AggOp`] for what each does with nulls and no rows.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("s", vec!["a", "b"].into()), ("x", vec![1.5, 2.0].into())]);
    /// let sums = df.sum().collect()?;
    /// assert_eq!(sums.values::<f64>("x")?, [Some(3.5)]);
    /// assert_eq!(df.sum().columns()?, ["x"]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn sum(&self) -> DataFrame {
        self.fold_all(AggOp::Sum)
    }

    /// Means of the columns of numbers and bools.
    #[track_caller]
    pub fn mean(&self) -> DataFrame {
        self.fold_all(AggOp::Mean)
    }

    /// The smallest values of the columns.
    #[track_caller]
    pub fn min(&self) -> DataFrame {
        self.fold_all(AggOp::Min)
    }

    /// The largest values of the columns.
    #[track_caller]
    pub fn max(&self) -> DataFrame {
        self.fold_all(AggOp::Max)
    }

    /// Sample standard deviations (`ddof` 1) of the columns of numbers and bools.
    #[track_caller]
    pub fn std(&self) -> DataFrame {
        self.fold_all(AggOp::Std(1))
    }

    /// Sample variances (`ddof` 1) of the columns of numbers and bools.
    #[track_caller]
    pub fn var(&self) -> DataFrame {
        self.fold_all(AggOp::Var(1))
    }

    /// Numbers of values of the columns that are not null. For the number of rows, see [`DataFrame::num_rows`].
    #[track_caller]
    pub fn count(&self) -> DataFrame {
        self.fold_all(AggOp::Count)
    }

    /// Numbers of nulls of the columns.
    #[track_caller]
    pub fn null_count(&self) -> DataFrame {
        self.then(|r| {
            let nulls = r.schema().fields().iter().map(|f| col(f.name()).is_null().sum());
            plan_aggregates(r, vec![], nulls.collect())
        })
    }

    /// Numbers of different values of the columns that are not null.
    #[track_caller]
    pub fn n_unique(&self) -> DataFrame {
        self.fold_all(AggOp::NUnique)
    }

    /// Medians of the columns of numbers and bools. Holds their values in memory.
    #[track_caller]
    pub fn median(&self) -> DataFrame {
        self.fold_all(AggOp::Median)
    }

    /// A quantile between 0 and 1, linear between neighbours, of the columns of numbers and bools. Holds their values in memory.
    #[track_caller]
    pub fn quantile(&self, q: f64) -> DataFrame {
        match (0.0..=1.0).contains(&q) {
            true => self.fold_all(AggOp::Quantile(q)),
            false => DataFrame::new(Err(Error::invalid("quantile", format!("{q} is not between 0 and 1")))),
        }
    }

    /// What there is in the columns: a row for each of `count`, `null_count`, `mean`, `std`, `min`, `25%`, `50%`, `75%` and `max`, named in
    /// the column `statistic`. Columns of numbers become f64; others text, with `count`, `null_count`, `min` and `max` (as far as they have them).
    ///
    /// One pass; holds the columns of numbers in memory, for the quantiles.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("x", vec![Some(1), Some(2), None].into())]);
    /// let found = df.describe().collect()?;
    /// assert_eq!(found.texts("statistic")?[..3], [Some("count".into()), Some("null_count".into()), Some("mean".into())]);
    /// assert_eq!(found.values::<f64>("x")?[..3], [Some(2.0), Some(1.0), Some(1.5)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn describe(&self) -> DataFrame {
        let statistics: [(&str, Statistic); 9] = [
            ("count", |x| x.count()),
            ("null_count", |x| x.is_null().sum()),
            ("mean", |x| x.mean()),
            ("std", |x| x.std()),
            ("min", |x| x.min()),
            ("25%", |x| x.quantile(0.25)),
            ("50%", |x| x.median()),
            ("75%", |x| x.quantile(0.75)),
            ("max", |x| x.max()),
        ];
        self.then(|r| {
            if r.schema().column_with_name("statistic").is_some() {
                let message = "a column is called \"statistic\" already; rename it before";
                return Err(Error::invalid("describe", message));
            }
            let (mut folds, mut columns) = (vec![], vec![]);
            for field in r.schema().fields() {
                let number = is_number(field.data_type());
                let to = if number { DataType::Float64 } else { DataType::Utf8 };
                let mut places = vec![];
                for (name, fold) in statistics {
                    let defined = match name {
                        "count" | "null_count" => true,
                        "min" | "max" => AggOp::Min.output(field.data_type()).is_ok(),
                        _ => number,
                    };
                    places.push(defined.then_some(folds.len()));
                    if defined {
                        folds.push(
                            fold(col(field.name())).cast(to.clone()).alias(format!("\0{}", folds.len())),
                        );
                    }
                }
                columns.push((Field::new(field.name(), to, true), places));
            }
            let names = statistics.map(|(name, _)| name.to_owned()).to_vec();
            stacked(&plan_aggregates(r, vec![], folds)?, ("statistic", names), columns)
        })
    }

    /// Pearson's correlation of every two columns of numbers ([`corr`]): a row and a column for each, the row's name in `column`. One pass.
    ///
    /// # Errors
    /// Carried: if there is no column of numbers.
    #[track_caller]
    pub fn corr_matrix(&self) -> DataFrame {
        self.then(|r| {
            let numbers = r.schema().fields().iter().filter(|f| is_number(f.data_type()));
            let names: Vec<String> = numbers.map(|f| f.name().clone()).collect();
            if names.is_empty() {
                return Err(Error::invalid("corr_matrix", "there is no column of numbers"));
            }
            let mut folds: Vec<Expr> = vec![];
            let mut places = vec![vec![None; names.len()]; names.len()];
            for (i, a) in names.iter().enumerate() {
                for (j, b) in names.iter().enumerate().take(i + 1) {
                    places[i][j] = Some(folds.len());
                    places[j][i] = Some(folds.len());
                    folds.push(corr(col(a), col(b)).alias(format!("\0{}", folds.len())));
                }
            }
            let field = |n: &String| Field::new(n, DataType::Float64, true);
            let columns = names.iter().map(field).zip(places).collect();
            stacked(&plan_aggregates(r, vec![], folds)?, ("column", names), columns)
        })
    }
}

type Statistic = fn(Expr) -> Expr;

/// The cells of one wide row as a table: a column of labels, then columns of the cells at these places.
fn stacked(
    wide: &Relation,
    (label, labels): (&str, Vec<String>),
    columns: Vec<(Field, Vec<Option<usize>>)>,
) -> Result<Relation> {
    let mut fields = vec![Field::new(label, DataType::Utf8, true)];
    fields.extend(columns.iter().map(|(f, _)| f.clone()));
    let stack = Stack { labels, cells: columns.into_iter().map(|(_, places)| places).collect() };
    wide.map_batches(BatchFunction::Stack(Arc::new(stack)), &Schema::new(fields))
}
