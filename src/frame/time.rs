//! Functions of dates and times.

use super::every::{self, Clock, Every};
use super::functions::{builtins, constant, failed};
use super::texts::{Texts, plain};
use super::{Argument, DataType, Expr, Literal, Text, TimeUnit};
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{NaiveDate, NaiveDateTime};
use std::sync::Arc;

/// Functions of dates and times; made by [`Expr::dt`]. Timestamps with a zone are seen as the clocks there show them.
pub struct Time(Expr);

impl Expr {
    /// Functions of dates and times: `col("when").dt().year()`.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col, date};
    /// let df = DataFrame::from_columns([("n", vec![0].into())]).with_columns(date(2024, 2, 29).alias("day"));
    /// let day = col("day").dt();
    /// let parts = df.select([day.day_name().alias("name"), day.strftime("%d.%m.%Y").alias("text")]).collect()?;
    /// assert_eq!(parts.texts("name")?, [Some("Thursday".into())]);
    /// assert_eq!(parts.texts("text")?, [Some("29.02.2024".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn dt(&self) -> Time {
        Time(self.clone())
    }
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

/// The type, if it has days.
fn days(types: &[DataType]) -> std::result::Result<DataType, String> {
    match &types[0] {
        t @ (DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)) => Ok(t.clone()),
        t => Err(format!("takes dates and timestamps, not {t}; cast it before")),
    }
}

/// The unit, if it is a duration.
fn duration(types: &[DataType]) -> std::result::Result<TimeUnit, String> {
    match &types[0] {
        DataType::Duration(unit) => Ok(*unit),
        t => Err(format!("takes durations, not {t}; the difference of two times is one")),
    }
}

/// The type of timestamps in the zone that the type of a second value carries.
fn in_zone(types: &[DataType]) -> std::result::Result<DataType, String> {
    match (&types[0], &types[1]) {
        (DataType::Timestamp(unit, _), DataType::Timestamp(_, zone)) => {
            Ok(DataType::Timestamp(*unit, zone.clone()))
        }
        (t, _) => Err(format!("takes timestamps, not {t}; cast it before")),
    }
}

fn part(x: &[Argument], part: DatePart) -> Result<ArrayRef> {
    date_part(&x[0].array, part).map_err(|e| failed("dt", e))
}

/// The days, in the zone of the timestamps.
fn dates(x: &Argument, op: &str) -> Result<ArrayRef> {
    cast(&x.array, &DataType::Date32).map_err(|e| failed(op, e))
}

fn formatted(x: &Argument, format: &str) -> Result<ArrayRef> {
    let format = Some(format);
    let options = FormatOptions::new()
        .with_date_format(format)
        .with_datetime_format(format)
        .with_timestamp_format(format)
        .with_timestamp_tz_format(format)
        .with_time_format(format)
        .with_display_error(false);
    let formatter = ArrayFormatter::try_new(&x.array, &options).map_err(|e| failed("dt.strftime", e))?;
    let mut texts = Texts::new("dt.strftime", x.array.len(), 0);
    for row in 0..x.array.len() {
        let text = x.array.is_valid(row).then(|| formatter.value(row).try_to_string()).transpose();
        texts.push(text.map_err(|e| failed("dt.strftime", e))?.as_deref())?;
    }
    Ok(texts.finish())
}

/// Values read from texts by a format; a text that is none is an error.
fn parsed<T: ArrowPrimitiveType>(
    x: &[Argument],
    op: &str,
    read: fn(&str, &str) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let format = constant(&x[1], op)?.unwrap_or_default();
    let texts = plain(&x[0])?;
    let value = |s: Option<&str>| match s {
        None => Ok(None),
        Some(s) => read(s, format).map(Some).ok_or_else(|| {
            failed(op, format!("{s:?} is none written as {format:?}; filter such rows before"))
        }),
    };
    Ok(Arc::new(texts.array.as_string::<i32>().iter().map(value).collect::<Result<PrimitiveArray<T>>>()?))
}

fn read_date(s: &str, format: &str) -> Option<i32> {
    Some(NaiveDate::parse_from_str(s, format).ok()?.to_epoch_days())
}

/// Microseconds since 1970; of a day alone its start, and with an offset in UTC.
fn read_time(s: &str, format: &str) -> Option<i64> {
    if StrftimeItems::new(format).any(|item| is_offset(&item)) {
        return instant(s, format);
    }
    let time = NaiveDateTime::parse_from_str(s, format).ok();
    let time = time.or_else(|| NaiveDate::parse_from_str(s, format).ok()?.and_hms_opt(0, 0, 0))?;
    Some(time.and_utc().timestamp_micros())
}

/// Whether a part of a format is how far a clock is ahead of UTC.
fn is_offset(item: &Item<'_>) -> bool {
    use Fixed::{RFC2822, RFC3339, TimezoneOffset, TimezoneOffsetColon, TimezoneOffsetColonZ};
    use Fixed::{TimezoneOffsetDoubleColon, TimezoneOffsetTripleColon, TimezoneOffsetZ};
    match item {
        Item::Fixed(TimezoneOffset | TimezoneOffsetColon | TimezoneOffsetDoubleColon) => true,
        Item::Fixed(TimezoneOffsetTripleColon | TimezoneOffsetColonZ | TimezoneOffsetZ) => true,
        Item::Fixed(RFC2822 | RFC3339) => true,
        // `%#z` has no public name
        Item::Fixed(other) => format!("{other:?}").contains("Permissive"),
        _ => false,
    }
}

/// Microseconds since 1970 in UTC of a text with an offset.
fn instant(s: &str, format: &str) -> Option<i64> {
    let (mut parsed, mut rest, mut seconds) = (Parsed::new(), s, 0);
    for item in StrftimeItems::new(format) {
        let with_seconds = matches!(item, Item::Fixed(Fixed::TimezoneOffsetDoubleColon));
        rest = parse_and_remainder(&mut parsed, rest, std::iter::once(item)).ok()?;
        // chrono writes the seconds of such an offset but does not read them
        if let Some(two) = rest.strip_prefix(':').filter(|_| with_seconds).and_then(|r| r.get(..2)) {
            let read = &s[..s.len() - rest.len()];
            let sign = if read.rfind('+') > read.rfind(['-', '\u{2212}']) { 1 } else { -1 };
            seconds = sign * two.parse::<u8>().ok().filter(|n| *n < 60).map(i64::from)?;
            rest = &rest[3..];
        }
    }
    let found = parsed.to_datetime().ok().filter(|_| rest.is_empty())?;
    found.timestamp_micros().checked_sub(seconds * 1_000_000)
}

builtins! {
    YEAR = "dt.year", |t| times(t), |x| part(x, DatePart::Year);
    ISO_YEAR = "dt.iso_year", |t| times(t), |x| part(x, DatePart::YearISO);
    QUARTER = "dt.quarter", |t| times(t), |x| part(x, DatePart::Quarter);
    MONTH = "dt.month", |t| times(t), |x| part(x, DatePart::Month);
    DAY = "dt.day", |t| times(t), |x| part(x, DatePart::Day);
    WEEKDAY = "dt.weekday", |t| times(t), |x| part(x, DatePart::DayOfWeekMonday0);
    ORDINAL = "dt.ordinal_day", |t| times(t), |x| part(x, DatePart::DayOfYear);
    WEEK = "dt.week", |t| times(t), |x| part(x, DatePart::WeekISO);
    HOUR = "dt.hour", |t| times(t), |x| part(x, DatePart::Hour);
    MINUTE = "dt.minute", |t| times(t), |x| part(x, DatePart::Minute);
    SECOND = "dt.second", |t| times(t), |x| part(x, DatePart::Second);
    NANOSECOND = "dt.nanosecond", |t| times(t), |x| part(x, DatePart::Nanosecond);
    DATE = "dt.date", |t| days(t).map(|_| DataType::Date32), |x| dates(&x[0], "dt.date");
    TIME = "dt.time", |t| in_zone(&[t[0].clone(), t[0].clone()]).map(|_| DataType::Time64(TimeUnit::Nanosecond)), |x| {
        cast(&x[0].array, &DataType::Time64(TimeUnit::Nanosecond)).map_err(|e| failed("dt.time", e))
    };
    MONTH_START = "dt.month_start", |t| days(t).map(|_| DataType::Date32), |x| {
        let (dates, day) = (dates(&x[0], "dt.month_start")?, part(x, DatePart::Day)?);
        let pairs = dates.as_primitive::<Date32Type>().iter().zip(day.as_primitive::<Int32Type>());
        Ok(Arc::new(pairs.map(|(d, n)| Some(d? - n? + 1)).collect::<Date32Array>()))
    };
    MONTH_END = "dt.month_end", |t| days(t).map(|_| DataType::Date32), |x| {
        let dates = dates(&x[0], "dt.month_end")?;
        let last = dates.as_primitive::<Date32Type>().unary::<_, Date32Type>(every::month_end);
        Ok(Arc::new(last))
    };
    TOTAL_SECONDS = "dt.total_seconds", |t| duration(t).map(|_| DataType::Float64), |x| {
        let counted = cast(&x[0].array, &DataType::Int64).map_err(|e| failed("dt.total_seconds", e))?;
        let second = duration(&[x[0].array.data_type().clone()]).map_or(1, every::ticks_of) as f64;
        Ok(Arc::new(counted.as_primitive::<Int64Type>().unary::<_, Float64Type>(|n| n as f64 / second)))
    };
    STRFTIME = "dt.strftime" may_fail, |t| times(t).map(|_| DataType::Utf8), |x| {
        formatted(&x[0], constant(&x[1], "dt.strftime")?.unwrap_or_default())
    };
    TRUNCATE = "dt.truncate", |t| days(t), |x| every::map(x, Clock::floor);
    ROUND = "dt.round", |t| days(t), |x| every::map(x, Clock::nearest);
    CEIL = "dt.ceil", |t| days(t), |x| every::map(x, Clock::ceil);
    ADD_MONTHS = "dt.add_months" may_fail, |t| days(t), |x| every::months_later(x);
    CONVERT_ZONE = "dt.convert_time_zone", |t| in_zone(t), |x| every::relabelled(&x[0].array, x[1].array.data_type());
    REPLACE_ZONE = "dt.replace_time_zone", |t| in_zone(t), |x| every::rezoned(&x[0].array, x[1].array.data_type());
    TO_DATE = "str.to_date" may_fail, |t| super::functions::texts(t, DataType::Date32), |x| parsed::<Date32Type>(x, "str.to_date", read_date);
    TO_TIMESTAMP = "str.to_timestamp" may_fail, |t| super::functions::texts(t, MICROSECONDS), |x| {
        parsed::<TimestampMicrosecondType>(x, "str.to_timestamp", read_time)
    };
}

const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident $f:ident;)*) => {
        /// Parts of dates and times.
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
    /// The year that the week of ISO 8601 belongs to.
    iso_year ISO_YEAR;
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
    /// Nanoseconds since the second began.
    nanosecond NANOSECOND;
    /// The day.
    date DATE;
    /// The time of the day of a timestamp, in nanoseconds.
    time TIME;
    /// The first day of the month.
    month_start MONTH_START;
    /// The last day of the month.
    month_end MONTH_END;
}

impl Time {
    /// The number of seconds of a duration, f64.
    pub fn total_seconds(&self) -> Expr {
        Expr::call(&TOTAL_SECONDS, [self.0.clone()])
    }

    /// Milliseconds since the second began.
    pub fn millisecond(&self) -> Expr {
        self.nanosecond().floor_div(1_000_000)
    }

    /// Microseconds since the second began.
    pub fn microsecond(&self) -> Expr {
        self.nanosecond().floor_div(1_000)
    }

    /// Number of days of the month.
    pub fn days_in_month(&self) -> Expr {
        Time(self.month_end()).day()
    }

    /// Whether the year has 366 days.
    pub fn is_leap_year(&self) -> Expr {
        let year = self.year();
        let divides = |n: i32| (year.clone() % n).eq(0);
        divides(4).and(divides(100).unary(crate::op::UnaryOp::Not)).or(divides(400))
    }

    /// Whether it is the first day of a month.
    pub fn is_month_start(&self) -> Expr {
        self.day().eq(1)
    }

    /// Whether it is the last day of a month.
    pub fn is_month_end(&self) -> Expr {
        self.day().eq(self.days_in_month())
    }

    /// Whether it is the first day of a quarter.
    pub fn is_quarter_start(&self) -> Expr {
        self.is_month_start().and((self.month() % 3).eq(1))
    }

    /// Whether it is the last day of a quarter.
    pub fn is_quarter_end(&self) -> Expr {
        self.is_month_end().and((self.month() % 3).eq(0))
    }

    /// Whether it is the first of January.
    pub fn is_year_start(&self) -> Expr {
        self.ordinal_day().eq(1)
    }

    /// Whether it is the last of December.
    pub fn is_year_end(&self) -> Expr {
        self.is_month_end().and(self.month().eq(12))
    }

    /// The English name of the day of the week: `Monday`.
    pub fn day_name(&self) -> Expr {
        self.strftime("%A")
    }

    /// The English name of the month: `January`.
    pub fn month_name(&self) -> Expr {
        self.strftime("%B")
    }

    /// As text by a format of `strftime` (those of the `chrono` crate: `%Y-%m-%d %H:%M:%S%.3f`).
    ///
    /// # Errors
    /// Carried: if it is no format. To the run: if it asks for what the values have not, as hours of a date.
    #[doc(alias = "format")]
    #[track_caller]
    pub fn strftime(&self, format: &str) -> Expr {
        match checked(format) {
            Ok(()) => Expr::call(&STRFTIME, [self.0.clone(), format.into()]),
            Err(e) => Expr::failed(e),
        }
    }

    /// The start of the span of time that it lies in; see [`Every`] for where spans begin. The type stays.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, Every, col, timestamp};
    /// let df = DataFrame::from_columns([("n", vec![0].into())]);
    /// let df = df.with_columns(timestamp(2024, 5, 17, 13, 49, 20).alias("t"));
    /// let quarter_hour = col("t").dt().truncate(Every::minutes(15)).dt().strftime("%H:%M");
    /// assert_eq!(df.select(quarter_hour).collect()?.texts("t")?, [Some("13:45".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[doc(alias = "floor")]
    #[track_caller]
    pub fn truncate(&self, every: Every) -> Expr {
        self.by(&TRUNCATE, every)
    }

    /// The nearest start of a span of time, the later one from the middle of the span on; a day on which clocks are changed has 23 or 25 hours.
    #[track_caller]
    pub fn round(&self, every: Every) -> Expr {
        self.by(&ROUND, every)
    }

    /// The first start of a span of time that is not before it.
    #[track_caller]
    pub fn ceil(&self, every: Every) -> Expr {
        self.by(&CEIL, every)
    }

    /// The same time of the day this many months of the calendar later, or earlier if negative, as the clocks of the column's zone show it; in a month
    /// that has no such day on its last one. The type stays. (Days and hours are durations, which are added: `col("t") + duration(1, 0, 0, 0)`.)
    ///
    /// # Errors
    /// To the run: where the result is beyond what the type can hold.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col, date};
    /// let df = DataFrame::from_columns([("n", vec![0].into())]).with_columns(date(2024, 1, 31).alias("d"));
    /// let next = df.select(col("d").dt().add_months(1).dt().strftime("%Y-%m-%d")).collect()?;
    /// assert_eq!(next.texts("d")?, [Some("2024-02-29".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[doc(alias = "offset_by")]
    pub fn add_months(&self, months: i32) -> Expr {
        Expr::call(&ADD_MONTHS, [self.0.clone(), i64::from(months).into()])
    }

    #[track_caller]
    fn by(&self, f: &'static crate::expr::frame::Builtin, every: Every) -> Expr {
        match every.check() {
            Ok(()) => Expr::call(f, [self.0.clone(), every.to_string().into()]),
            Err(e) => Expr::failed(e),
        }
    }

    /// The same instants as the clocks of another zone show them (`Europe/Berlin`, `+02:00`); timestamps without a zone are UTC.
    ///
    /// # Errors
    /// Carried: if there is no such zone.
    #[track_caller]
    pub fn convert_time_zone(&self, zone: &str) -> Expr {
        self.zoned(&CONVERT_ZONE, Some(zone))
    }

    /// The same clock readings in another zone, or in none: other instants. Null where clocks of the zone never showed that time; the earlier
    /// instant where they showed it twice.
    ///
    /// # Errors
    /// Carried: if there is no such zone.
    #[track_caller]
    pub fn replace_time_zone(&self, zone: Option<&str>) -> Expr {
        self.zoned(&REPLACE_ZONE, zone)
    }

    /// A call whose result has a zone: it goes along as the type of a value.
    #[track_caller]
    fn zoned(&self, f: &'static crate::expr::frame::Builtin, zone: Option<&str>) -> Expr {
        if let Some(Err(e)) = zone.map(every::zone) {
            return Expr::failed(e);
        }
        let t = DataType::Timestamp(TimeUnit::Second, zone.map(Into::into));
        Expr::call(f, [self.0.clone(), Expr::from(Literal::Typed(t, 0))])
    }
}

/// Whether a format is one.
fn checked(format: &str) -> Result<()> {
    match StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
        true => Err(Error::invalid("format", format!("{format:?} is no format of strftime"))),
        false => Ok(()),
    }
}

/// Dates and times from text.
impl Text {
    /// The day that a text is by a format of `strftime`: `%d.%m.%Y`. (Text as ISO 8601 has it needs no format: cast it.)
    ///
    /// # Errors
    /// Carried: if it is no format. To the run: a text that is no such day.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("s", vec!["29.02.2024"].into())]);
    /// let year = df.select(col("s").str().to_date("%d.%m.%Y").dt().year()).collect()?;
    /// assert_eq!(year.values::<i32>("s")?, [Some(2024)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn to_date(&self, format: &str) -> Expr {
        match checked(format) {
            Ok(()) => Expr::call(&TO_DATE, [self.0.clone(), format.into()]),
            Err(e) => Expr::failed(e),
        }
    }

    /// The time that a text is by a format of `strftime`, in microseconds without a zone; in UTC if the format has an offset (`%z`), and at
    /// the start of the day if it has no time.
    ///
    /// # Errors
    /// Carried: if it is no format. To the run: a text that is no such time.
    #[track_caller]
    pub fn to_timestamp(&self, format: &str) -> Expr {
        match checked(format) {
            Ok(()) => Expr::call(&TO_TIMESTAMP, [self.0.clone(), format.into()]),
            Err(e) => Expr::failed(e),
        }
    }
}
