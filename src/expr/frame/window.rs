//! Functions of rows in their order: what a row's value is depends on rows before it (or after).

use super::column::{AggOp, Expr, Node};
use super::resolve::{kernel_dtype, plain_dtype};
use crate::error::Error;
use arrow::datatypes::DataType;
use std::convert::Infallible;
use std::fmt;

/// A function of a column whose rows are in order; of each group's rows if it is [over](Expr::over) keys.
#[derive(Clone, PartialEq, Debug)]
pub enum WindowOp {
    /// The fold of all values up to the row's own: `Sum`, `Prod`, `Min`, `Max` or `Count`; null where the value is.
    Cumulative(AggOp),
    /// The value this many rows before; after, if negative.
    Shift(i64),
    /// The last value that is not null, the row's own included.
    FillForward,
    /// The next one.
    FillBackward,
    /// The fold of the last rows: `Sum`, `Mean`, `Min`, `Max`, `Count`, `Var` or `Std`; null where fewer values are not null than wanted.
    Rolling {
        /// The fold.
        fold: AggOp,
        /// How far back the window goes.
        size: WindowSize,
        /// Values that are needed.
        min_periods: usize,
    },
    /// The row's number, from 0.
    RowNumber,
    /// The number of the row's group, from 0, in the order of their first rows.
    GroupNumber,
    /// A number in `0..1` that looks random: of the seed and the row's number.
    Random(u64),
}

/// How far back a window goes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum WindowSize {
    /// This many rows, the row itself included.
    Rows(usize),
    /// Rows later than this before the row's time, in nanoseconds; times never decrease.
    Time(u64),
}

impl WindowOp {
    /// Whether the rows are gone through from last to first.
    pub fn is_backward(&self) -> bool {
        matches!(self, WindowOp::FillBackward) || matches!(self, WindowOp::Shift(n) if *n < 0)
    }

    /// The type of the function of values of a type; an error in words if there is none.
    pub fn output(&self, t: &DataType) -> std::result::Result<DataType, String> {
        match self {
            WindowOp::Shift(_) | WindowOp::FillForward | WindowOp::FillBackward => Ok(t.clone()),
            WindowOp::RowNumber | WindowOp::GroupNumber => Ok(DataType::Int64),
            WindowOp::Random(_) => Ok(DataType::Float64),
            WindowOp::Cumulative(AggOp::Count) => Ok(DataType::Int64),
            WindowOp::Rolling { fold: AggOp::Count, .. } => Ok(DataType::Int64),
            WindowOp::Cumulative(fold) | WindowOp::Rolling { fold, .. } => {
                let is_extreme = matches!(fold, AggOp::Min | AggOp::Max);
                let of_decimals = matches!(self, WindowOp::Cumulative(_))
                    && matches!(t, DataType::Decimal128(..) | DataType::Decimal256(..))
                    && (is_extreme || *fold == AggOp::Sum);
                if plain_dtype(t).is_none() && !(is_extreme && kernel_dtype(t).is_some()) && !of_decimals {
                    return Err(format!("{self} is not defined for {t}"));
                }
                fold.output(t)
            }
        }
    }
}

impl fmt::Display for WindowOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WindowOp::Cumulative(fold) => write!(f, "cum_{fold}"),
            WindowOp::Shift(n) => write!(f, "shift {n}"),
            WindowOp::FillForward => write!(f, "forward_fill"),
            WindowOp::FillBackward => write!(f, "backward_fill"),
            WindowOp::Rolling { fold, size: WindowSize::Rows(n), .. } => write!(f, "rolling_{fold} {n}"),
            WindowOp::Rolling { fold, size: WindowSize::Time(n), .. } => {
                write!(f, "rolling_{fold} {} s", *n as f64 / 1e9)
            }
            WindowOp::RowNumber => write!(f, "row_number"),
            WindowOp::GroupNumber => write!(f, "group_number"),
            WindowOp::Random(_) => write!(f, "random"),
        }
    }
}

/// A moving window without its fold: made by [`Expr::rolling`] and [`Expr::rolling_by`].
///
/// ```
/// use blockwise::frame::{DataFrame, col};
/// let df = DataFrame::from_columns([("v", vec![Some(1.0), None, Some(3.0), Some(5.0)].into())]);
/// let means = df.select([col("v").rolling(2).min_periods(1).mean()]).collect()?;
/// assert_eq!(means.values::<f64>("v")?, [Some(1.0), Some(1.0), Some(3.0), Some(4.0)]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rolling {
    value: Expr,
    time: Option<Expr>,
    size: WindowSize,
    min_periods: usize,
}

impl Rolling {
    /// Values that are not null that a window needs; its fold is null if there are fewer. Default: the number of rows, or 1 for times.
    pub fn min_periods(mut self, n: usize) -> Rolling {
        self.min_periods = n;
        self
    }

    fn fold(self, fold: AggOp) -> Expr {
        let op = WindowOp::Rolling { fold, size: self.size, min_periods: self.min_periods };
        Expr::new(Node::Window(op, [self.value].into_iter().chain(self.time).collect(), vec![]))
    }

    /// Sum.
    pub fn sum(self) -> Expr {
        self.fold(AggOp::Sum)
    }

    /// Mean.
    pub fn mean(self) -> Expr {
        self.fold(AggOp::Mean)
    }

    /// Smallest.
    pub fn min(self) -> Expr {
        self.fold(AggOp::Min)
    }

    /// Largest.
    pub fn max(self) -> Expr {
        self.fold(AggOp::Max)
    }

    /// Number of values.
    pub fn count(self) -> Expr {
        self.min_periods(0).fold(AggOp::Count)
    }

    /// Sample variance.
    pub fn var(self) -> Expr {
        self.fold(AggOp::Var(1))
    }

    /// Sample standard deviation.
    pub fn std(self) -> Expr {
        self.fold(AggOp::Std(1))
    }
}

/// Functions of rows in their order, in [`DataFrame::select`](crate::frame::DataFrame::select) and
/// [`with_columns`](crate::frame::DataFrame::with_columns): of all rows, or of each group's [over](Expr::over) keys. Rows keep their
/// order; in memory are a few values for every group.
impl Expr {
    fn window(&self, op: WindowOp) -> Expr {
        Expr::new(Node::Window(op, vec![self.clone()], vec![]))
    }

    /// The function of rows for each group of equal keys by itself, and functions in it that have no keys of their own; null keys are a
    /// group.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("k", vec![1, 2, 1, 2].into()), ("v", vec![1, 10, 2, 20].into())]);
    /// let df = df.with_columns([col("v").cum_sum().over(["k"]).alias("sum"), col("v").shift(1).over(["k"]).alias("before")]);
    /// let table = df.collect()?;
    /// assert_eq!(table.values::<i64>("sum")?, [Some(1), Some(10), Some(3), Some(30)]);
    /// assert_eq!(table.values::<i32>("before")?, [None, None, Some(1), Some(10)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn over<K: Into<OverKey>>(&self, keys: impl IntoIterator<Item = K>) -> Expr {
        let keys: Vec<Expr> = keys.into_iter().map(|k| k.into().0).collect();
        // and whether there was such a function
        fn over(e: &Expr, keys: &[Expr]) -> (Expr, bool) {
            let mut found = false;
            let new = e.replaced::<Infallible>(|part| {
                Ok(match part.node() {
                    // with its own keys it is what it is
                    Node::Window(_, _, own) if !own.is_empty() => {
                        found = true;
                        Some(part.clone())
                    }
                    Node::Window(op, inputs, _) => {
                        found = true;
                        let inputs = inputs.iter().map(|x| over(x, keys).0).collect();
                        Some(Expr::new(Node::Window(op.clone(), inputs, keys.to_vec())))
                    }
                    Node::Alias(..) | Node::Binary(..) => None,
                    _ => Some(part.clone()),
                })
            });
            (new.unwrap_or_else(|never| match never {}), found)
        }
        let (over, found) = over(self, &keys);
        if !found {
            let message =
                format!("{self} is no function of rows in order; for folds of groups use transform(...)");
            return Expr::failed(Error::invalid("over", message));
        }
        over
    }

    /// The sum of all values up to the row's own; null where the value is. Types are those of [`Expr::sum`].
    pub fn cum_sum(&self) -> Expr {
        self.window(WindowOp::Cumulative(AggOp::Sum))
    }

    /// The product of all values up to the row's own.
    pub fn cum_prod(&self) -> Expr {
        self.window(WindowOp::Cumulative(AggOp::Prod))
    }

    /// The smallest value up to the row's own.
    pub fn cum_min(&self) -> Expr {
        self.window(WindowOp::Cumulative(AggOp::Min))
    }

    /// The largest value up to the row's own.
    pub fn cum_max(&self) -> Expr {
        self.window(WindowOp::Cumulative(AggOp::Max))
    }

    /// The number of values that are not null up to the row's own.
    pub fn cum_count(&self) -> Expr {
        self.window(WindowOp::Cumulative(AggOp::Count))
    }

    /// The value `n` rows before, or after if `n` is negative; null where there is no such row.
    pub fn shift(&self, n: i64) -> Expr {
        self.window(WindowOp::Shift(n))
    }

    /// What the value has changed by since `n` rows before.
    pub fn diff(&self, n: i64) -> Expr {
        self - self.shift(n)
    }

    /// What the value has changed by since `n` rows before, as a part of that value.
    pub fn pct_change(&self, n: i64) -> Expr {
        self / self.shift(n) - 1.0
    }

    /// The last value that is not null in place of nulls.
    pub fn forward_fill(&self) -> Expr {
        self.window(WindowOp::FillForward)
    }

    /// The next value that is not null in place of nulls.
    pub fn backward_fill(&self) -> Expr {
        self.window(WindowOp::FillBackward)
    }

    /// Windows of the last `rows` rows, the row itself included; the fold follows: `col("v").rolling(7).mean()`.
    #[track_caller]
    pub fn rolling(&self, rows: usize) -> Rolling {
        let value = match rows {
            0 => Expr::failed(Error::invalid("rolling", "a window of no rows")),
            _ => self.clone(),
        };
        Rolling { value, time: None, size: WindowSize::Rows(rows), min_periods: rows }
    }

    /// Windows of the rows whose time is later than the row's own less a duration (and not later than it); times are dates or
    /// timestamps that never decrease, of each group's rows if the fold is [over](Expr::over) keys.
    ///
    /// # Errors
    /// To the run: a time that is null, or earlier than the one before it.
    pub fn rolling_by(&self, time: impl Into<Expr>, duration: std::time::Duration) -> Rolling {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Rolling {
            value: self.clone(),
            time: Some(time.into()),
            size: WindowSize::Time(nanos),
            min_periods: 1,
        }
    }
}

/// A key of [`Expr::over`]: an expression, or a column's name.
#[derive(Debug)]
pub struct OverKey(pub(crate) Expr);

impl From<Expr> for OverKey {
    fn from(e: Expr) -> OverKey {
        OverKey(e)
    }
}

impl From<&str> for OverKey {
    fn from(name: &str) -> OverKey {
        OverKey(super::col(name))
    }
}

/// The number of a row, from 0, in the frame's order; see [`Expr::over`] for the number in its group.
///
/// ```
/// use blockwise::frame::{DataFrame, col, row_number};
/// let df = DataFrame::from_columns([("k", vec!["a", "b", "a"].into())]);
/// let table = df.with_columns([row_number().alias("n"), row_number().over(["k"]).alias("of_k")]).collect()?;
/// assert_eq!(table.values::<i64>("n")?, [Some(0), Some(1), Some(2)]);
/// assert_eq!(table.values::<i64>("of_k")?, [Some(0), Some(0), Some(1)]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub fn row_number() -> Expr {
    super::lit(true).window(WindowOp::RowNumber).alias("row_number")
}

/// The number of a row's group of [over](Expr::over) keys, from 0, in the order of the groups' first rows (pandas' `ngroup`); null keys are a
/// group.
///
/// ```
/// use blockwise::frame::{DataFrame, group_number};
/// let df = DataFrame::from_columns([("k", vec!["b", "a", "b"].into())]);
/// let table = df.with_columns(group_number().over(["k"]).alias("n")).collect()?;
/// assert_eq!(table.values::<i64>("n")?, [Some(0), Some(1), Some(0)]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub fn group_number() -> Expr {
    super::lit(true).window(WindowOp::GroupNumber).alias("group_number")
}

/// A number in `0..1` for every row that looks random (SplitMix64 of the seed and the row's number): the same in every run.
pub fn random(seed: u64) -> Expr {
    super::lit(true).window(WindowOp::Random(seed)).alias("random")
}
