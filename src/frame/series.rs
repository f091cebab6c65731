//! One column of a frame, as a value of its own.

use super::{DataFrame, DataType, Expr, IntoColumns, Table, col};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::expr::frame::find;
use std::fmt;

/// A lazy column of a frame, or what is computed row by row from columns of one frame; made by [`DataFrame::series`].
///
/// Arithmetic and [`Series::map`] build expressions; folds, [`Series::to_vec`] and others that give values run them. Two series in one
/// expression must be of one frame: it is the left one's columns that are used.
///
/// ```
/// use blockwise::frame::DataFrame;
/// let df = DataFrame::from_columns([("a", vec![1.0, 2.0, 4.0].into()), ("b", vec![1.0, 1.0, 2.0].into())]);
/// let (a, b) = (df.series("a"), df.series("b"));
/// let ratio = (&a / &b) * 10.0;
/// assert_eq!(ratio.to_vec::<f64>()?, [Some(10.0), Some(20.0), Some(20.0)]);
/// assert_eq!(a.mean()?, 7.0 / 3.0);
/// assert_eq!(b.unique().to_vec::<f64>()?, [Some(1.0), Some(2.0)]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone)]
pub struct Series {
    frame: DataFrame,
    expr: Expr,
    name: String,
}

impl DataFrame {
    /// A column of this name.
    ///
    /// # Errors
    /// Carried: if there is none.
    #[track_caller]
    pub fn series(&self, name: &str) -> Series {
        let frame = self.then(|r| find(r.schema(), name).map(|_| r.clone()));
        Series { frame, expr: col(name), name: name.into() }
    }
}

impl Series {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same under another name.
    pub fn rename(&self, name: &str) -> Series {
        Series { name: name.into(), ..self.clone() }
    }

    /// The type of its values; nothing runs.
    ///
    /// # Errors
    /// That which it carries.
    pub fn data_type(&self) -> Result<DataType> {
        Ok(self.to_frame().schema()?.field(0).data_type().clone())
    }

    /// What a function makes of its expression: `s.map(|x| x.str().to_uppercase())`.
    pub fn map(&self, function: impl FnOnce(Expr) -> Expr) -> Series {
        Series { expr: function(self.expr.clone()), ..self.clone() }
    }

    /// A frame of this one column.
    #[track_caller]
    pub fn to_frame(&self) -> DataFrame {
        self.frame.select(self.expr.alias(&self.name))
    }

    /// A series of the frame that a function makes of this column's.
    fn through(&self, function: impl FnOnce(DataFrame) -> DataFrame) -> Series {
        Series { frame: function(self.to_frame()), expr: col(&self.name), name: self.name.clone() }
    }

    /// The values where a bool is true.
    #[track_caller]
    pub fn filter(&self, mask: impl Into<Expr>) -> Series {
        Series { frame: self.frame.filter(mask), ..self.clone() }
    }

    /// The first `n` values.
    #[track_caller]
    pub fn head(&self, n: usize) -> Series {
        self.through(|f| f.head(n))
    }

    /// Smallest first, nulls last.
    #[track_caller]
    pub fn sort(&self) -> Series {
        self.through(|f| f.sort(self.name.as_str()))
    }

    /// The different values, in order of appearance; null is one.
    #[track_caller]
    pub fn unique(&self) -> Series {
        self.through(|f| f.unique(self.name.as_str()))
    }

    /// The different values with their numbers of rows, as [`DataFrame::value_counts`].
    #[track_caller]
    pub fn value_counts(&self) -> DataFrame {
        self.to_frame().value_counts(&self.name)
    }

    /// Runs it and keeps its values, as a table of one column.
    ///
    /// # Errors
    /// As [`DataFrame::collect`].
    #[track_caller]
    pub fn collect(&self) -> Result<Table> {
        self.to_frame().collect()
    }

    /// Its values; `None` where null.
    ///
    /// # Errors
    /// As [`DataFrame::collect`] and [`Table::values`].
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<Option<T>>> {
        self.collect()?.values(&self.name)
    }

    /// Its values, if they are text; `None` where null.
    ///
    /// # Errors
    /// As [`DataFrame::collect`] and [`Table::texts`].
    #[track_caller]
    pub fn to_texts(&self) -> Result<Vec<Option<String>>> {
        self.collect()?.texts(&self.name)
    }

    /// The different texts that occur, in order: what its categories are.
    ///
    /// # Errors
    /// As [`Series::to_texts`].
    #[track_caller]
    pub fn categories(&self) -> Result<Vec<String>> {
        Ok(self.map(|x| x.cast(DataType::Utf8)).unique().sort().to_texts()?.into_iter().flatten().collect())
    }

    /// A fold that a function makes of its expression, in its own type; `None` if it is null.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("n", vec![i64::MAX, 1].into())]);
    /// assert_eq!(df.series("n").fold::<i64>(|n| n.max())?, Some(i64::MAX));
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Series::to_vec`]; if the function's expression does not fold.
    #[track_caller]
    pub fn fold<T: Element>(&self, function: impl FnOnce(Expr) -> Expr) -> Result<Option<T>> {
        let fold = function(self.expr.clone());
        if !fold.is_fold() {
            return Err(Error::invalid("fold", format!("{fold} has a value for every row")));
        }
        let table = self.frame.select(fold.alias(&self.name)).collect()?;
        Ok(table.values::<T>(&self.name)?.first().copied().flatten())
    }

    /// A fold as a float; NaN if it is null.
    #[track_caller]
    fn number(&self, function: impl FnOnce(Expr) -> Expr) -> Result<f64> {
        Ok(self.fold(|x| function(x).cast(DataType::Float64))?.unwrap_or(f64::NAN))
    }

    /// Number of values, nulls included.
    ///
    /// # Errors
    /// As [`DataFrame::collect`].
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> Result<usize> {
        self.to_frame().num_rows()
    }
}

macro_rules! folds {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// Folds that run, as floats; NaN where there is nothing to fold. For exact ones of large integers, see [`Series::fold`].
        ///
        /// # Errors
        /// As [`DataFrame::collect`]; carried ones if the values are no numbers.
        impl Series {
            $($(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Result<f64> {
                self.number(|x| x.$name())
            })*

            /// Quantile between 0 and 1, linear between neighbours.
            #[track_caller]
            pub fn quantile(&self, q: f64) -> Result<f64> {
                let quantile = self.expr.quantile(q);
                self.number(|_| quantile)
            }

            /// Number of values that are not null.
            #[track_caller]
            pub fn count(&self) -> Result<usize> {
                Ok(self.fold::<i64>(|x| x.count())?.unwrap_or(0) as usize)
            }

            /// Number of different values that are not null.
            #[track_caller]
            pub fn n_unique(&self) -> Result<usize> {
                Ok(self.fold::<i64>(|x| x.n_unique())?.unwrap_or(0) as usize)
            }
        }
    };
}
folds! {
    /// Sum.
    sum;
    /// Mean.
    mean;
    /// Smallest.
    min;
    /// Largest.
    max;
    /// Sample standard deviation (`ddof` 1).
    std;
    /// Sample variance (`ddof` 1).
    var;
    /// Median.
    median;
}

impl From<&Series> for Expr {
    fn from(s: &Series) -> Expr {
        s.expr.clone()
    }
}

impl From<Series> for Expr {
    fn from(s: Series) -> Expr {
        s.expr
    }
}

impl IntoColumns for &Series {
    fn into_columns(self) -> Vec<Expr> {
        vec![self.expr.alias(&self.name)]
    }
}

macro_rules! operators {
    ($($Op:ident $method:ident;)*) => {$(
        impl<R: Into<Expr>> std::ops::$Op<R> for Series {
            type Output = Series;
            fn $method(self, other: R) -> Series {
                self.map(|x| std::ops::$Op::$method(x, other))
            }
        }
        impl<R: Into<Expr>> std::ops::$Op<R> for &Series {
            type Output = Series;
            fn $method(self, other: R) -> Series {
                self.map(|x| std::ops::$Op::$method(x, other))
            }
        }
    )*};
}
operators! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
    Rem rem;
}

/// The plan as written.
impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} of\n{:?}", self.expr, self.name, self.frame)
    }
}
