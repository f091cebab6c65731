//! Functions of columns that belong to no kind of column.

use super::{DataType, Expr, IntoColumns, Literal, TimeUnit, UserFunction, when};
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::expr::frame::functions::{every::ticks_of, text::CONCAT};
use crate::expr::frame::{plain_type, registered::register_values};
use arrow::array::{Array, ArrayRef};
use std::sync::Arc;

/// A day of the proleptic Gregorian calendar as a value; months and days count from 1.
///
/// ```
/// use blockwise::frame::{col, date};
/// let spring = col("day").ge(date(2013, 3, 1)).and(col("day").lt(date(2013, 6, 1)));
/// # let _ = spring;
/// ```
#[track_caller]
pub fn date(year: i32, month: u32, day: u32) -> Expr {
    match days(year, month, day) {
        Some(d) => Expr::from(Literal::Typed(DataType::Date32, d)),
        None => Expr::failed(Error::invalid("date", format!("{year}-{month}-{day} is no day"))),
    }
}

/// A time as a value, without a zone: a day and a time of it.
#[track_caller]
pub fn timestamp(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Expr {
    match days(year, month, day) {
        Some(d) if hour < 24 && minute < 60 && second < 60 => {
            let seconds = d * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
            Expr::from(Literal::Typed(DataType::Timestamp(TimeUnit::Second, None), seconds))
        }
        _ => {
            let what = format!("{year}-{month}-{day} {hour}:{minute}:{second} is no time");
            Expr::failed(Error::invalid("timestamp", what))
        }
    }
}

/// A length of time as a value, in seconds; each part may be negative.
///
/// Durations are added to times and to each other, multiplied by whole numbers, and divided by each other, which gives a number. A
/// [`std::time::Duration`] is a value too: `lit(std::time::Duration::from_millis(20))`.
///
/// # Errors
/// Carried: if the seconds do not fit into an i64.
///
/// ```
/// use blockwise::frame::{DataFrame, col, duration, timestamp};
/// let df = DataFrame::from_columns([("n", vec![1i64, 3].into())]);
/// let df = df.with_columns((timestamp(2024, 2, 28, 12, 0, 0) + col("n") * duration(0, 12, 30, 0)).alias("t"));
/// let table = df.select(col("t").dt().strftime("%d %H:%M")).collect()?;
/// assert_eq!(table.texts("t")?, [Some("29 00:30".into()), Some("01 01:30".into())]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn duration(days: i64, hours: i64, minutes: i64, seconds: i64) -> Expr {
    let parts = [(days, 86_400), (hours, 3600), (minutes, 60), (seconds, 1)];
    let sum = parts.iter().map(|(n, of)| i128::from(*n) * of).sum::<i128>();
    match i64::try_from(sum) {
        Ok(sum) => Expr::from(Literal::Typed(DataType::Duration(TimeUnit::Second), sum)),
        Err(_) => {
            Expr::failed(Error::invalid("duration", format!("{sum} seconds are more than an i64 holds")))
        }
    }
}

/// In the coarsest unit that holds it exactly.
impl From<std::time::Duration> for Expr {
    #[track_caller]
    fn from(v: std::time::Duration) -> Expr {
        let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let ticks = |unit: &TimeUnit| v.as_nanos() * ticks_of(*unit) as u128;
        let unit = units.into_iter().find(|u| ticks(u) % 1_000_000_000 == 0).unwrap_or(TimeUnit::Nanosecond);
        match i64::try_from(ticks(&unit) / 1_000_000_000) {
            Ok(n) => Expr::from(Literal::Typed(DataType::Duration(unit), n)),
            Err(_) => Expr::failed(Error::invalid(
                "duration",
                format!("{v:?} is more than an i64 of its unit holds"),
            )),
        }
    }
}

/// Days since 1970-01-01.
fn days(year: i32, month: u32, day: u32) -> Option<i64> {
    chrono::NaiveDate::from_ymd_opt(year, month, day).map(|d| d.to_epoch_days().into())
}

/// Two columns as floats, each null where the other is.
fn where_both(a: impl Into<Expr>, b: impl Into<Expr>) -> (Expr, Expr) {
    let (a, b) = (a.into().cast(DataType::Float64), b.into().cast(DataType::Float64));
    let masked = |x: &Expr, other: &Expr| when(other.is_null()).then(Expr::null()).otherwise(x);
    (masked(&a, &b), masked(&b, &a))
}

/// Pearson's correlation of two columns over the rows where neither is null; null or NaN where one of them does not vary.
///
/// `(var(a + b) - var(a) - var(b)) / (2 std(a) std(b))`, each variance by Welford's updates: scale columns of very different sizes
/// before.
pub fn corr(a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
    let (a, b) = where_both(a, b);
    ((&a + &b).var() - a.var() - b.var()) / (a.std() * b.std() * 2.0)
}

/// Sample covariance of two columns over the rows where neither is null; null for fewer than two such rows.
///
/// `(var(a + b) - var(a) - var(b)) / 2`, each variance by Welford's updates: scale columns of very different sizes before.
///
/// ```
/// use blockwise::frame::{DataFrame, col, cov};
/// let df = DataFrame::from_columns([("a", vec![1.0, 2.0, 3.0].into()), ("b", vec![2.0, 4.0, 6.0].into())]);
/// let found = df.select(cov(col("a"), col("b")).alias("cov")).collect()?;
/// assert_eq!(found.values::<f64>("cov")?, [Some(2.0)]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub fn cov(a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
    let (a, b) = where_both(a, b);
    ((&a + &b).var() - a.var() - b.var()) / 2.0
}

/// Texts of several columns in one, with a separator between them; null if any is null. Other columns than text are written as text.
///
/// ```
/// use blockwise::frame::{DataFrame, concat_str};
/// let df = DataFrame::from_columns([("a", vec!["x", "y"].into()), ("n", vec![1, 2].into())]);
/// let both = df.select(concat_str(["a", "n"], "-").alias("id")).collect()?;
/// assert_eq!(both.texts("id")?, [Some("x-1".into()), Some("y-2".into())]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub fn concat_str(columns: impl IntoColumns, separator: &str) -> Expr {
    let mut parts: Vec<Expr> = vec![];
    for column in columns.into_columns() {
        if !parts.is_empty() && !separator.is_empty() {
            parts.push(separator.into());
        }
        parts.push(column.cast(DataType::Utf8));
    }
    if parts.is_empty() {
        return Expr::from("").alias("literal");
    }
    Expr::call(&CONCAT, parts)
}

impl Expr {
    /// Whether equal, null being equal to null: never null itself.
    pub fn eq_missing(&self, other: impl Into<Expr>) -> Expr {
        let other = other.into();
        self.eq(&other).fill_null(self.is_null().and(other.is_null()))
    }

    /// Another value where NaN; null stays null.
    pub fn fill_nan(&self, value: impl Into<Expr>) -> Expr {
        when(self.is_nan()).then(value).otherwise(self)
    }

    /// A function of yours for every value that is not null; it may give null. Values are converted to `A` before (as [`Expr::cast`] does).
    ///
    /// One call a value: where arithmetic of [`Expr`] can say the same, that is faster. For text, see [`Text::map`](super::Text::map).
    ///
    /// # Errors
    /// To the run: where a value is no `A`, or the function panics.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("n", vec![Some(12), None, Some(18)].into())]);
    /// fn gcd(a: i64, b: i64) -> i64 {
    ///     if b == 0 { a } else { gcd(b, a % b) }
    /// }
    /// let with_30 = df.select(col("n").map_elements(|n: i64| Some(gcd(n, 30)))).collect()?;
    /// assert_eq!(with_30.values::<i64>("n")?, [Some(6), None, Some(6)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn map_elements<A: Element, B: Element>(
        &self,
        function: impl Fn(A) -> Option<B> + Send + Sync + 'static,
    ) -> Expr {
        let function = of_elements("map_elements", function);
        Expr::map_columns([self.cast(plain_type(A::DTYPE))], function)
    }
}

/// A function of single values as one of columns, whose input is of the type of `A`.
fn of_elements<A: Element, B: Element>(
    name: &str,
    function: impl Fn(A) -> Option<B> + Send + Sync + 'static,
) -> UserFunction {
    let output = plain_type(B::DTYPE);
    let to = output.clone();
    let call = move |columns: &[ArrayRef]| -> Result<ArrayRef> {
        let x = &columns[0];
        let block = crate::block::batch::values(x, A::DTYPE);
        let nulls = x.logical_nulls();
        let mut valid = Vec::with_capacity(x.len());
        let mut out = Vec::with_capacity(x.len());
        for (k, &v) in block.as_slice::<A>()?.iter().enumerate() {
            let found = if nulls.as_ref().is_none_or(|n| n.is_valid(k)) { function(v) } else { None };
            valid.push(found.is_some());
            out.push(found.unwrap_or_default());
        }
        let (out, valid) = (crate::block::Block::from_vec(out), crate::block::Block::from_vec(valid));
        crate::block::batch::column(out, Some(&valid), &to)
    };
    UserFunction { name: name.into(), output, call: Arc::new(call) }
}

/// Registers a function of single values under a name, for [`Expr::map_elements_registered`]: what [`Expr::map_elements`] takes, as
/// [`register_batches`](super::register_batches) does it for functions of rows.
///
/// ```
/// use blockwise::frame::{DataFrame, col, register_elements};
/// register_elements("half", |n: i64| (n % 2 == 0).then_some(n / 2))?;
/// let df = DataFrame::from_columns([("n", vec![1, 2].into())]);
/// let halves = df.select(col("n").map_elements_registered("half")).collect()?;
/// assert_eq!(halves.values::<i64>("n")?, [None, Some(1)]);
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If the name is taken.
pub fn register_elements<A: Element, B: Element>(
    name: &str,
    function: impl Fn(A) -> Option<B> + Send + Sync + 'static,
) -> Result<()> {
    register_values(of_elements(name, function), plain_type(A::DTYPE))
}

/// Whether values are integers or floats.
pub(super) fn is_number(t: &DataType) -> bool {
    t.is_integer() || t.is_floating()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_the_epoch() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(1900, 2, 29), None);
        assert_eq!(days(1969, 12, 31), Some(-1));
        assert_eq!(days(2013, 13, 1), None);
    }
}
