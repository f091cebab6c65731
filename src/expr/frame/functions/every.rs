//! Spans of time that cut the calendar into buckets, and the zones in which they do.

use super::{Argument, constant, failed, whole};
use crate::error::{Error, Result};
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, make_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{DateTime, Datelike, Months, NaiveDate, Offset, TimeZone};
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

/// A span of time that comes again and again: buckets for [`Time::truncate`](crate::frame::Time::truncate) and
/// [`DataFrame::resample`](crate::frame::DataFrame::resample).
///
/// Seconds, minutes, hours and days are counted from 1970-01-01, weeks from the Monday 1970-01-05, months, quarters and years from January
/// of the year 0, each as the clocks of the column's zone show it. So 15 minutes begin at the full quarters of an hour, 2 months in
/// January, March..., and 10 years in 1970, 1980...
///
/// ```
/// use blockwise::frame::Every;
/// assert_eq!(Every::minutes(15), "15m".parse()?);
/// assert_eq!(Every::months(2).to_string(), "2mo");
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    count: i64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// As they are written.
const UNITS: [(Unit, &str); 8] = [
    (Unit::Second, "s"),
    (Unit::Minute, "m"),
    (Unit::Hour, "h"),
    (Unit::Day, "d"),
    (Unit::Week, "w"),
    (Unit::Month, "mo"),
    (Unit::Quarter, "q"),
    (Unit::Year, "y"),
];

const DAY: i64 = 86_400;

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident $unit:ident;)*) => {
        /// So many of a unit; at least one.
        impl Every {$(
            $(#[$doc])*
            pub fn $name(count: u32) -> Every {
                Every { count: count.into(), unit: Unit::$unit }
            }
        )*}
    };
}
constructors! {
    /// Seconds.
    seconds Second;
    /// Minutes.
    minutes Minute;
    /// Hours.
    hours Hour;
    /// Days.
    days Day;
    /// Weeks, from Monday.
    weeks Week;
    /// Months.
    months Month;
    /// Quarters of a year.
    quarters Quarter;
    /// Years.
    years Year;
}

/// A number and `s`, `m`, `h`, `d`, `w`, `mo`, `q` or `y`.
impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(u, _)| *u == self.unit).map_or("", |(_, name)| name);
        write!(f, "{}{unit}", self.count)
    }
}

impl FromStr for Every {
    type Err = Error;

    fn from_str(s: &str) -> Result<Every> {
        let digits = s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = UNITS.iter().find(|(_, name)| *name == &s[digits..]);
        match (s[..digits].parse::<u32>(), unit) {
            (Ok(count), Some(&(unit, _))) => Ok(Every { count: count.into(), unit }),
            _ => {
                let message =
                    format!("{s:?} is no span of time; write it like 15m, 1h, 1d, 1w, 2mo, 1q or 1y");
                Err(Error::invalid("every", message))
            }
        }
    }
}

impl Every {
    /// An error if it is no time at all.
    pub(crate) fn check(self) -> Result<()> {
        match self.count {
            0 => Err(Error::invalid("every", format!("{self} is no time; give 1 or more"))),
            _ => Ok(()),
        }
    }

    /// Whole months, or seconds and when the first span began.
    fn length(self) -> Length {
        let seconds = |n: i64, origin: i64| Length::Seconds { every: n * self.count, origin };
        match self.unit {
            Unit::Second => seconds(1, 0),
            Unit::Minute => seconds(60, 0),
            Unit::Hour => seconds(3600, 0),
            Unit::Day => seconds(DAY, 0),
            Unit::Week => seconds(7 * DAY, 4 * DAY),
            Unit::Month => Length::Months(self.count),
            Unit::Quarter => Length::Months(3 * self.count),
            Unit::Year => Length::Months(12 * self.count),
        }
    }

    /// Start of the span that a time lies in, `ticks` of them a second.
    pub(super) fn floor(self, t: i64, ticks: i64) -> i64 {
        match self.length() {
            Length::Seconds { every, origin } => {
                let (every, origin) = (every.saturating_mul(ticks), origin * ticks);
                t.wrapping_sub(t.wrapping_sub(origin).rem_euclid(every))
            }
            Length::Months(n) => {
                let Some(day) = day_of(t.div_euclid(DAY * ticks)) else { return t };
                let month = i64::from(day.year()) * 12 + i64::from(day.month0());
                month_start(month - month.rem_euclid(n)).and_then(|d| d.checked_mul(DAY * ticks)).unwrap_or(t)
            }
        }
    }

    /// Start of the span after the one that starts at a time.
    pub(super) fn next(self, start: i64, ticks: i64) -> i64 {
        match self.length() {
            Length::Seconds { every, .. } => start.saturating_add(every.saturating_mul(ticks)),
            Length::Months(n) => {
                let months = u32::try_from(n).ok().map(Months::new);
                let day = day_of(start.div_euclid(DAY * ticks)).zip(months);
                let day = day.and_then(|(d, n)| d.checked_add_months(n));
                day.and_then(|d| i64::from(d.to_epoch_days()).checked_mul(DAY * ticks)).unwrap_or(start)
            }
        }
    }
}

enum Length {
    Seconds { every: i64, origin: i64 },
    Months(i64),
}

fn day_of(days: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(days).ok()?)
}

/// Days to the start of a month, months counted from January of the year 0.
fn month_start(month: i64) -> Option<i64> {
    let year = i32::try_from(month.div_euclid(12)).ok()?;
    let day = NaiveDate::from_ymd_opt(year, month.rem_euclid(12) as u32 + 1, 1)?;
    Some(day.to_epoch_days().into())
}

/// The last day of a day's month.
pub(super) fn month_end(day: i32) -> i32 {
    let first = day_of(day.into()).and_then(|d| d.with_day(1));
    let next = first.and_then(|d| d.checked_add_months(Months::new(1)));
    next.map_or(day, |d| d.to_epoch_days() - 1)
}

pub(crate) fn ticks_of(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A zone by its name.
pub(crate) fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        let message =
            format!("{name:?} is no time zone; give a name like Europe/Berlin or an offset like +02:00");
        Error::invalid("time zone", message)
    })
}

/// The integers that timestamps and dates are stored in.
fn stored(array: &ArrayRef) -> Result<Int64Array> {
    let whole = match array.data_type() {
        DataType::Date32 => cast(array, &DataType::Int32).and_then(|a| cast(&a, &DataType::Int64)),
        _ => cast(array, &DataType::Int64),
    };
    Ok(whole.map_err(|e| failed("dt", e))?.as_primitive::<Int64Type>().clone())
}

/// Integers as the timestamps or dates that they stand for.
fn as_times(values: Int64Array, t: &DataType) -> Result<ArrayRef> {
    if *t == DataType::Date32 {
        let days = cast(&values, &DataType::Int32).map_err(|e| failed("dt", e))?;
        return cast(&days, t).map_err(|e| failed("dt", e));
    }
    let data = values.into_data().into_builder().data_type(t.clone());
    Ok(make_array(data.build().map_err(|e| failed("dt", e))?))
}

/// Where a column's times lie: in ticks of what length, on the clocks of which zone.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    ticks: i64,
    zone: Option<Tz>,
}

impl Clock {
    fn of(t: &DataType) -> Result<Clock> {
        Ok(match t {
            DataType::Timestamp(unit, name) => {
                Clock { ticks: ticks_of(*unit), zone: name.as_deref().map(zone).transpose()? }
            }
            // dates are worked on as seconds
            DataType::Date32 => Clock { ticks: 1, zone: None },
            _ => Clock { ticks: 1_000, zone: None },
        })
    }

    /// How much it is ahead of UTC at an instant, in ticks.
    fn ahead(self, t: i64) -> i64 {
        let at = self.zone.zip(DateTime::from_timestamp(t.div_euclid(self.ticks), 0));
        at.map_or(0, |(zone, utc)| {
            let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
            i64::from(offset.local_minus_utc()) * self.ticks
        })
    }

    /// An instant moved by what `f` does to the reading of the clock.
    fn moved(self, t: i64, f: impl Fn(i64, i64) -> i64) -> i64 {
        let ahead = self.ahead(t);
        let reading = f(t.wrapping_add(ahead), self.ticks);
        let found = reading.wrapping_sub(ahead);
        // clocks may have been changed between the two
        match self.ahead(found) {
            same if same == ahead => found,
            other => reading.wrapping_sub(other),
        }
    }

    /// The start of the span that an instant lies in.
    pub(super) fn floor(self, t: i64, every: Every) -> i64 {
        self.moved(t, |t, ticks| every.floor(t, ticks))
    }

    /// The first start of a span that is not before an instant.
    pub(super) fn ceil(self, t: i64, every: Every) -> i64 {
        match self.floor(t, every) {
            floor if floor == t => t,
            floor => self.after(floor, every),
        }
    }

    /// The nearest start of a span, the later one from the middle on.
    pub(super) fn nearest(self, t: i64, every: Every) -> i64 {
        let floor = self.floor(t, every);
        let next = self.after(floor, every);
        if t.wrapping_sub(floor) < next.wrapping_sub(t) { floor } else { next }
    }

    /// The start of the span after the one that starts at an instant.
    fn after(self, start: i64, every: Every) -> i64 {
        let next = |t, ticks| every.next(t, ticks);
        // where clocks are set back, a span of hours comes twice, and the second one is the next
        let ahead = self.ahead(start);
        let again = next(start.wrapping_add(ahead), self.ticks).wrapping_sub(ahead);
        match self.floor(again, every) {
            span if span > start => span,
            _ => self.moved(start, next),
        }
    }
}

/// Times moved to a start of a span, by the clocks of their zone. The second argument says which.
pub(super) fn map(x: &[Argument], f: fn(Clock, i64, Every) -> i64) -> Result<ArrayRef> {
    let every: Every = constant(&x[1], "dt.truncate")?.unwrap_or_default().parse()?;
    every.check()?;
    let t = x[0].array.data_type();
    let (values, clock) = (stored(&x[0].array)?, Clock::of(t)?);
    let moved = match t {
        DataType::Date32 => values.unary::<_, Int64Type>(|d| f(clock, d * DAY, every).div_euclid(DAY)),
        _ => values.unary(|v| f(clock, v, every)),
    };
    as_times(moved, t)
}

/// Times moved by the months of the second argument, by the clocks of their zone.
pub(super) fn months_later(x: &[Argument]) -> Result<ArrayRef> {
    let (t, months) = (x[0].array.data_type(), whole(&x[1], "dt.add_months")?);
    let (values, clock) = (stored(&x[0].array)?, Clock::of(t)?);
    let step = if *t == DataType::Date32 { DAY } else { 1 };
    let moved = values.try_unary::<_, Int64Type, Error>(|v| {
        let fits = Cell::new(true);
        let later = clock.moved(v.wrapping_mul(step), |t, ticks| {
            let day = DAY * ticks;
            let found = month_later(t.div_euclid(day), months);
            let found = found.and_then(|d| d.checked_mul(day)?.checked_add(t.rem_euclid(day)));
            fits.set(fits.get() && found.is_some());
            found.unwrap_or(t)
        });
        match fits.get() {
            true => Ok(later.div_euclid(step)),
            false => {
                let message = format!("{months} months after {v} there is no {t}; null such values, or convert to a coarser unit");
                Err(failed("dt.add_months", message))
            }
        }
    });
    as_times(moved?, t)
}

/// The day so many months later, or the last one of that month if it has no such day.
fn month_later(day: i64, months: i64) -> Option<i64> {
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let day = day_of(day)?;
    let found = if months < 0 { day.checked_sub_months(by) } else { day.checked_add_months(by) };
    Some(found?.to_epoch_days().into())
}

/// Timestamps of another zone at the same instants.
pub(super) fn relabelled(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    as_times(stored(array)?, &in_unit_of(array, wanted))
}

/// Timestamps of another zone, or none, at which its clocks show the same.
pub(super) fn rezoned(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let t = in_unit_of(array, wanted);
    let (from, to) = (Clock::of(array.data_type())?, Clock::of(&t)?);
    let instant = |v: i64| {
        let reading = v.wrapping_add(from.ahead(v));
        let Some(zone) = to.zone else { return Some(reading) };
        let clock = DateTime::from_timestamp(reading.div_euclid(to.ticks), 0)?.naive_utc();
        let ahead = zone.offset_from_local_datetime(&clock).earliest()?.fix().local_minus_utc();
        Some(reading.wrapping_sub(i64::from(ahead) * to.ticks))
    };
    as_times(stored(array)?.unary_opt::<_, Int64Type>(instant), &t)
}

fn in_unit_of(array: &ArrayRef, wanted: &DataType) -> DataType {
    match (array.data_type(), wanted) {
        (DataType::Timestamp(unit, _), DataType::Timestamp(_, zone)) => {
            DataType::Timestamp(*unit, zone.clone())
        }
        (t, _) => t.clone(),
    }
}

/// The starts of all spans from one time to another of a type, both included.
///
/// # Errors
/// If they are too many to hold.
pub(crate) fn range(every: Every, first: &ArrayRef, last: &ArrayRef) -> Result<ArrayRef> {
    const MOST: usize = 10_000_000;
    let t = first.data_type();
    let (low, high, clock) = (stored(first)?, stored(last)?, Clock::of(t)?);
    let scale = if *t == DataType::Date32 { DAY } else { 1 };
    if let (Length::Seconds { every: seconds, .. }, DataType::Date32) = (every.length(), t)
        && seconds % DAY != 0
    {
        return Err(failed("upsample", format!("dates have no spans of {every}; take whole days")));
    }
    let mut starts = vec![];
    if low.is_valid(0) && high.is_valid(0) {
        let (mut at, end) = (low.value(0) * scale, high.value(0) * scale);
        while at <= end {
            starts.push(at.div_euclid(scale));
            if starts.len() > MOST {
                return Err(failed(
                    "upsample",
                    format!("more than {MOST} spans of {every}; take longer ones"),
                ));
            }
            match clock.after(at, every) {
                later if later > at => at = later,
                _ => break,
            }
        }
    }
    as_times(Int64Array::from(starts), t)
}
