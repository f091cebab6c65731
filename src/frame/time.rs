//! Functions of dates and times.

use super::{DataType, Every, Expr, Literal, Text, TimeUnit};
use crate::error::{Error, Result};
use crate::expr::frame::functions::{every, time};
use chrono::format::{Item, StrftimeItems};

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

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident $f:ident;)*) => {
        /// Parts of dates and times.
        impl Time {$(
            $(#[$doc])*
            pub fn $name(&self) -> Expr {
                Expr::call(&time::$f, [self.0.clone()])
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
        Expr::call(&time::TOTAL_SECONDS, [self.0.clone()])
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
            Ok(()) => Expr::call(&time::STRFTIME, [self.0.clone(), format.into()]),
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
        self.by(&time::TRUNCATE, every)
    }

    /// The nearest start of a span of time, the later one from the middle of the span on; a day on which clocks are changed has 23 or 25 hours.
    #[track_caller]
    pub fn round(&self, every: Every) -> Expr {
        self.by(&time::ROUND, every)
    }

    /// The first start of a span of time that is not before it.
    #[track_caller]
    pub fn ceil(&self, every: Every) -> Expr {
        self.by(&time::CEIL, every)
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
        Expr::call(&time::ADD_MONTHS, [self.0.clone(), i64::from(months).into()])
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
        self.zoned(&time::CONVERT_ZONE, Some(zone))
    }

    /// The same clock readings in another zone, or in none: other instants. Null where clocks of the zone never showed that time; the earlier
    /// instant where they showed it twice.
    ///
    /// # Errors
    /// Carried: if there is no such zone.
    #[track_caller]
    pub fn replace_time_zone(&self, zone: Option<&str>) -> Expr {
        self.zoned(&time::REPLACE_ZONE, zone)
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
            Ok(()) => Expr::call(&time::TO_DATE, [self.0.clone(), format.into()]),
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
            Ok(()) => Expr::call(&time::TO_TIMESTAMP, [self.0.clone(), format.into()]),
            Err(e) => Expr::failed(e),
        }
    }
}
