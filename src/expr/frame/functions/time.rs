//! Functions of dates and times.

use super::every::{self, Clock};
use super::texts::{Texts, plain};
use super::{Argument, builtins, constant, failed, texts};
use crate::error::Result;
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::format::{Fixed, Item, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{NaiveDate, NaiveDateTime};
use std::sync::Arc;

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
    YEAR(1) = "dt.year", |t| times(t), |x| part(x, DatePart::Year);
    ISO_YEAR(1) = "dt.iso_year", |t| times(t), |x| part(x, DatePart::YearISO);
    QUARTER(1) = "dt.quarter", |t| times(t), |x| part(x, DatePart::Quarter);
    MONTH(1) = "dt.month", |t| times(t), |x| part(x, DatePart::Month);
    DAY(1) = "dt.day", |t| times(t), |x| part(x, DatePart::Day);
    WEEKDAY(1) = "dt.weekday", |t| times(t), |x| part(x, DatePart::DayOfWeekMonday0);
    ORDINAL(1) = "dt.ordinal_day", |t| times(t), |x| part(x, DatePart::DayOfYear);
    WEEK(1) = "dt.week", |t| times(t), |x| part(x, DatePart::WeekISO);
    HOUR(1) = "dt.hour", |t| times(t), |x| part(x, DatePart::Hour);
    MINUTE(1) = "dt.minute", |t| times(t), |x| part(x, DatePart::Minute);
    SECOND(1) = "dt.second", |t| times(t), |x| part(x, DatePart::Second);
    NANOSECOND(1) = "dt.nanosecond", |t| times(t), |x| part(x, DatePart::Nanosecond);
    DATE(1) = "dt.date", |t| days(t).map(|_| DataType::Date32), |x| dates(&x[0], "dt.date");
    TIME(1) = "dt.time", |t| in_zone(&[t[0].clone(), t[0].clone()]).map(|_| DataType::Time64(TimeUnit::Nanosecond)), |x| {
        cast(&x[0].array, &DataType::Time64(TimeUnit::Nanosecond)).map_err(|e| failed("dt.time", e))
    };
    MONTH_START(1) = "dt.month_start", |t| days(t).map(|_| DataType::Date32), |x| {
        let (dates, day) = (dates(&x[0], "dt.month_start")?, part(x, DatePart::Day)?);
        let pairs = dates.as_primitive::<Date32Type>().iter().zip(day.as_primitive::<Int32Type>());
        Ok(Arc::new(pairs.map(|(d, n)| Some(d? - n? + 1)).collect::<Date32Array>()))
    };
    MONTH_END(1) = "dt.month_end", |t| days(t).map(|_| DataType::Date32), |x| {
        let dates = dates(&x[0], "dt.month_end")?;
        let last = dates.as_primitive::<Date32Type>().unary::<_, Date32Type>(every::month_end);
        Ok(Arc::new(last))
    };
    TOTAL_SECONDS(1) = "dt.total_seconds", |t| duration(t).map(|_| DataType::Float64), |x| {
        let counted = cast(&x[0].array, &DataType::Int64).map_err(|e| failed("dt.total_seconds", e))?;
        let second = duration(&[x[0].array.data_type().clone()]).map_or(1, every::ticks_of) as f64;
        Ok(Arc::new(counted.as_primitive::<Int64Type>().unary::<_, Float64Type>(|n| n as f64 / second)))
    };
    STRFTIME(2) = "dt.strftime" may_fail, |t| times(t).map(|_| DataType::Utf8), |x| {
        formatted(&x[0], constant(&x[1], "dt.strftime")?.unwrap_or_default())
    };
    TRUNCATE(2) = "dt.truncate", |t| days(t), |x| every::map(x, Clock::floor);
    ROUND(2) = "dt.round", |t| days(t), |x| every::map(x, Clock::nearest);
    CEIL(2) = "dt.ceil", |t| days(t), |x| every::map(x, Clock::ceil);
    ADD_MONTHS(2) = "dt.add_months" may_fail, |t| days(t), |x| every::months_later(x);
    CONVERT_ZONE(2) = "dt.convert_time_zone", |t| in_zone(t), |x| every::relabelled(&x[0].array, x[1].array.data_type());
    REPLACE_ZONE(2) = "dt.replace_time_zone", |t| in_zone(t), |x| every::rezoned(&x[0].array, x[1].array.data_type());
    TO_DATE(2) = "str.to_date" may_fail, |t| texts(t, DataType::Date32), |x| parsed::<Date32Type>(x, "str.to_date", read_date);
    TO_TIMESTAMP(2) = "str.to_timestamp" may_fail, |t| texts(t, MICROSECONDS), |x| {
        parsed::<TimestampMicrosecondType>(x, "str.to_timestamp", read_time)
    };
}

const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
