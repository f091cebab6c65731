//! Functions of text and of dates and times: entries of one table each.

use super::{Argument, DataType, Expr, Literal, TimeUnit};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{Builtin, is_text};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{Int32Type, Int64Type};
use std::sync::Arc;

/// Functions of text; made by [`Expr::str`].
pub struct Text(Expr);

/// Functions of dates and times; made by [`Expr::dt`].
pub struct Time(Expr);

impl Expr {
    /// Functions of text: `col("name").str().to_uppercase()`.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("s", vec!["Ab", "cd"].into())]);
    /// let up = df.select(col("s").str().to_uppercase()).collect()?;
    /// assert_eq!(up.texts("s")?, [Some("AB".into()), Some("CD".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn str(&self) -> Text {
        Text(self.clone())
    }

    /// Functions of dates and times: `col("when").dt().year()`.
    pub fn dt(&self) -> Time {
        Time(self.clone())
    }
}

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

/// Pearson's correlation of two columns over the rows where neither is null; null or NaN where one of them does not vary.
///
/// `(var(a + b) - var(a - b)) / (4 std(a) std(b))`, each variance by Welford's updates.
pub fn corr(a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
    let (a, b) = (a.into().cast(DataType::Float64), b.into().cast(DataType::Float64));
    // each only where the other is
    let where_both = |x: &Expr, other: &Expr| super::when(other.is_null()).then(Expr::null()).otherwise(x);
    let (a, b) = (where_both(&a, &b), where_both(&b, &a));
    (a.clone() + b.clone()).var().binary(crate::op::BinaryOp::Sub, (a.clone() - b.clone()).var())
        / (a.std() * b.std() * 4.0)
}

/// Days since 1970-01-01, by Howard Hinnant's `days_from_civil`.
fn days(year: i32, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=12).contains(&month) || day < 1 || day > last[month as usize - 1] {
        return None;
    }
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn failed(op: &str, e: arrow::error::ArrowError) -> Error {
    ErrorKind::Value { op: op.into(), message: e.to_string() }.into()
}

fn texts(types: &[DataType], out: DataType) -> std::result::Result<DataType, String> {
    match types.iter().find(|t| !is_text(t) && **t != DataType::Null) {
        Some(t) => Err(format!("takes text, not {t}; cast it before")),
        None => Ok(out),
    }
}

fn plain(x: &Argument) -> Result<Argument> {
    let array = cast(&x.array, &DataType::Utf8).map_err(|e| failed("str", e))?;
    Ok(Argument { array, is_scalar: x.is_scalar })
}

/// A text of every text; a dictionary's values are worked on once.
fn map_text(x: &Argument, f: impl Fn(&str) -> String) -> Result<ArrayRef> {
    if let DataType::Dictionary(..) = x.array.data_type() {
        let dictionary = x.array.as_any_dictionary();
        let values = Argument { array: dictionary.values().clone(), is_scalar: false };
        let mapped = map_text(&values, f)?;
        let whole = dictionary.with_values(mapped);
        return cast(&whole, &DataType::Utf8).map_err(|e| failed("str", e));
    }
    let x = plain(x)?;
    Ok(Arc::new(x.array.as_string::<i32>().iter().map(|v| v.map(&f)).collect::<StringArray>()))
}

/// One text given as an argument.
fn constant<'a>(x: &'a Argument, op: &str) -> Result<Option<&'a str>> {
    if !x.is_scalar {
        let message = "takes one text for all rows here".into();
        return Err(ErrorKind::Value { op: op.into(), message }.into());
    }
    Ok(x.array.as_string_opt::<i32>().filter(|a| a.is_valid(0)).map(|a| a.value(0)))
}

macro_rules! builtins {
    ($($(#[$doc:meta])* $NAME:ident = $name:literal, |$types:ident| $output:expr, |$x:ident| $call:expr;)*) => {$(
        static $NAME: Builtin = Builtin { name: $name, output: |$types| $output, call: |$x| $call };
    )*};
}

builtins! {
    UPPER = "str.to_uppercase", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], str::to_uppercase);
    LOWER = "str.to_lowercase", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], str::to_lowercase);
    TRIM = "str.trim", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], |s| s.trim().to_owned());
    LEN = "str.len", |t| texts(t, DataType::Int32), |x| {
        let array = plain(&x[0])?;
        let count = |v: Option<&str>| v.map(|v| v.chars().count() as i32);
        Ok(Arc::new(array.array.as_string::<i32>().iter().map(count).collect::<arrow::array::Int32Array>()))
    };
    CONTAINS = "str.contains", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::contains);
    STARTS = "str.starts_with", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::starts_with);
    ENDS = "str.ends_with", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::ends_with);
    LIKE = "str.like", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::like);
    MATCHES = "str.matches", |t| texts(t, DataType::Boolean), |x| {
        let pattern = constant(&x[1], "str.matches")?.unwrap_or_default();
        let array = plain(&x[0])?;
        let found = arrow::compute::regexp_is_match_scalar(array.array.as_string::<i32>(), pattern, None);
        Ok(Arc::new(found.map_err(|e| failed("str.matches", e))?))
    };
    REPLACE = "str.replace", |t| texts(t, DataType::Utf8), |x| {
        let from = constant(&x[1], "str.replace")?.unwrap_or_default().to_owned();
        let to = constant(&x[2], "str.replace")?.unwrap_or_default().to_owned();
        map_text(&x[0], move |s| if from.is_empty() { s.to_owned() } else { s.replace(&from, &to) })
    };
    SLICE = "str.slice", |t| texts(&t[..1], DataType::Utf8), |x| {
        let of = |k: usize| x[k].array.as_primitive::<Int64Type>().value(0);
        let (start, len) = (of(1), of(2));
        map_text(&x[0], |s| {
            let skip = if start < 0 { (s.chars().count() as i64 + start).max(0) } else { start };
            s.chars().skip(skip as usize).take(len.max(0) as usize).collect()
        })
    };
    CONCAT = "str.concat", |t| texts(t, DataType::Utf8), |x| {
        let rows = x.iter().filter(|x| !x.is_scalar).map(|x| x.array.len()).max().unwrap_or(1);
        let parts = x.iter().map(plain).collect::<Result<Vec<_>>>()?;
        let of = |p: &Argument, i: usize| {
            let a = p.array.as_string::<i32>();
            let i = if p.is_scalar { 0 } else { i };
            a.is_valid(i).then(|| a.value(i).to_owned())
        };
        let joined = (0..rows).map(|i| parts.iter().map(|p| of(p, i)).collect::<Option<String>>());
        Ok(Arc::new(joined.collect::<StringArray>()))
    };
    YEAR = "dt.year", |t| times(t), |x| part(x, DatePart::Year);
    QUARTER = "dt.quarter", |t| times(t), |x| part(x, DatePart::Quarter);
    MONTH = "dt.month", |t| times(t), |x| part(x, DatePart::Month);
    DAY = "dt.day", |t| times(t), |x| part(x, DatePart::Day);
    WEEKDAY = "dt.weekday", |t| times(t), |x| part(x, DatePart::DayOfWeekMonday0);
    ORDINAL = "dt.ordinal_day", |t| times(t), |x| part(x, DatePart::DayOfYear);
    WEEK = "dt.week", |t| times(t), |x| part(x, DatePart::Week);
    HOUR = "dt.hour", |t| times(t), |x| part(x, DatePart::Hour);
    MINUTE = "dt.minute", |t| times(t), |x| part(x, DatePart::Minute);
    SECOND = "dt.second", |t| times(t), |x| part(x, DatePart::Second);
    DATE = "dt.date", |t| times(t).map(|_| DataType::Date32), |x| {
        cast(&x[0].array, &DataType::Date32).map_err(|e| failed("dt.date", e))
    };
    MONTH_START = "dt.month_start", |t| times(t).map(|_| DataType::Date32), |x| {
        let day = part(x, DatePart::Day)?;
        let dates = cast(&x[0].array, &DataType::Date32).map_err(|e| failed("dt.month_start", e))?;
        let dates = cast(&dates, &DataType::Int32).map_err(|e| failed("dt.month_start", e))?;
        let pairs = dates.as_primitive::<Int32Type>().iter().zip(day.as_primitive::<Int32Type>());
        let first = pairs.map(|(d, n)| Some(d? - n? + 1));
        Ok(Arc::new(first.collect::<arrow::array::Date32Array>()))
    };
}

type Matcher = fn(
    &dyn arrow::array::Datum,
    &dyn arrow::array::Datum,
) -> std::result::Result<BooleanArray, arrow::error::ArrowError>;

fn matches(x: &[Argument], f: Matcher) -> Result<ArrayRef> {
    Ok(Arc::new(f(&plain(&x[0])?, &plain(&x[1])?).map_err(|e| failed("str", e))?))
}

fn times(types: &[DataType]) -> std::result::Result<DataType, String> {
    match &types[0] {
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_) => Ok(DataType::Int32),
        t => Err(format!("takes dates and times, not {t}; cast it before")),
    }
}

fn part(x: &[Argument], part: DatePart) -> Result<ArrayRef> {
    date_part(&x[0].array, part).map_err(|e| failed("dt", e))
}

impl Text {
    fn call(&self, f: &'static Builtin, rest: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::call(f, std::iter::once(self.0.clone()).chain(rest))
    }

    /// In capital letters.
    pub fn to_uppercase(&self) -> Expr {
        self.call(&UPPER, [])
    }

    /// In small letters.
    pub fn to_lowercase(&self) -> Expr {
        self.call(&LOWER, [])
    }

    /// Without white space at both ends.
    pub fn trim(&self) -> Expr {
        self.call(&TRIM, [])
    }

    /// Number of characters (Unicode scalar values), i32.
    pub fn len_chars(&self) -> Expr {
        self.call(&LEN, [])
    }

    /// Whether it contains this text.
    pub fn contains(&self, what: impl Into<Expr>) -> Expr {
        self.call(&CONTAINS, [what.into()])
    }

    /// Whether it starts with this text.
    pub fn starts_with(&self, what: impl Into<Expr>) -> Expr {
        self.call(&STARTS, [what.into()])
    }

    /// Whether it ends with this text.
    pub fn ends_with(&self, what: impl Into<Expr>) -> Expr {
        self.call(&ENDS, [what.into()])
    }

    /// Whether it is like an SQL pattern: `%` is any text, `_` any character.
    pub fn like(&self, pattern: impl Into<Expr>) -> Expr {
        self.call(&LIKE, [pattern.into()])
    }

    /// Whether a regular expression (of the `regex` crate) matches somewhere in it.
    pub fn matches(&self, pattern: &str) -> Expr {
        self.call(&MATCHES, [pattern.into()])
    }

    /// With every occurrence of a text replaced by another.
    pub fn replace(&self, from: &str, to: &str) -> Expr {
        self.call(&REPLACE, [from.into(), to.into()])
    }

    /// `len` characters from number `start`, which counts from the end if negative.
    pub fn slice(&self, start: i64, len: i64) -> Expr {
        self.call(&SLICE, [start.into(), len.into()])
    }

    /// Followed by other texts; null if any is.
    pub fn concat(&self, others: impl IntoIterator<Item = Expr>) -> Expr {
        self.call(&CONCAT, others)
    }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident $f:ident;)*) => {
        impl Time {$(
            $(#[$doc])*
            pub fn $name(&self) -> Expr {
                Expr::call(&$f, [self.0.clone()])
            }
        )*}
    };
}
parts! {
    /// Year, i32.
    year YEAR;
    /// Quarter, 1 to 4.
    quarter QUARTER;
    /// Month, 1 to 12.
    month MONTH;
    /// Day of the month, from 1.
    day DAY;
    /// Day of the week, Monday 0.
    weekday WEEKDAY;
    /// Day of the year, from 1.
    ordinal_day ORDINAL;
    /// Week of the year by ISO 8601.
    week WEEK;
    /// Hour.
    hour HOUR;
    /// Minute.
    minute MINUTE;
    /// Second.
    second SECOND;
    /// The day.
    date DATE;
    /// The first day of the month.
    month_start MONTH_START;
}

impl Expr {
    /// Whether equal, null being equal to null: never null itself.
    pub fn eq_missing(&self, other: impl Into<Expr>) -> Expr {
        let other = other.into();
        self.eq(&other).fill_null(self.is_null().and(other.is_null()))
    }
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
