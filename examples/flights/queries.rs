//! What is asked of the flights.

use super::chart::{self, Panel, Picture};
use blockwise::error::Result;
use blockwise::frame::{DataFrame, Every, JoinKind, Table, col, len, when};

/// Delays of each carrier, with its name, worst first.
pub fn worst_carriers(flights: &DataFrame, airlines: &DataFrame) -> DataFrame {
    flights
        .group_by("carrier")
        .agg([
            col("dep_delay").mean().round(1).alias("mean_delay"),
            col("dep_delay").median().alias("median_delay"),
            when(col("dep_delay").gt(15)).then(1.0).otherwise(0.0).mean().round(3).alias("late_share"),
            len().alias("flights"),
        ])
        .join(airlines, "carrier", JoinKind::Left)
        .sort(col("mean_delay").descending())
}

/// Delays by the speed of the wind at the airport in the hour of departure.
pub fn wind(flights: &DataFrame, weather: &DataFrame) -> DataFrame {
    let weather = weather.select(["origin", "time_hour", "wind_speed", "visib"]);
    flights
        .filter(col("dep_delay").is_not_null())
        .join(&weather, ["origin", "time_hour"], JoinKind::Inner)
        .with_columns((col("wind_speed").floor_div(5) * 5).alias("wind_from_mph"))
        .group_by("wind_from_mph")
        .agg([col("dep_delay").mean().round(1).alias("mean_delay"), len().alias("flights")])
        .filter(col("flights").ge(100))
        .sort("wind_from_mph")
}

/// What happened in each month, as New York's clocks have it: the file has the times in UTC.
pub fn months(flights: &DataFrame) -> DataFrame {
    flights
        .with_columns(col("time_hour").dt().convert_time_zone("America/New_York"))
        .resample("time_hour", Every::months(1))
        .agg([
            len().alias("flights"),
            col("dep_time").is_null().sum().alias("cancelled"),
            (col("dep_time").is_null().mean() * 100.0).round(2).alias("cancelled_percent"),
            col("dep_delay").mean().round(1).alias("mean_delay"),
        ])
        .with_columns(col("time_hour").dt().strftime("%b").alias("month"))
        .sort("time_hour")
}

/// The months as a picture.
pub fn chart(months: &Table) -> Result<Picture> {
    let names = months.texts("month")?;
    let panel = |title, unit, colour, column| -> Result<Panel> {
        let values = months.values::<f64>(column)?;
        let named = names.iter().map(|n| n.clone().unwrap_or_default()).zip(values);
        Ok(Panel { title, unit, colour, values: named.collect() })
    };
    let panels = [
        panel("Mean delay of departure, minutes", "", [70, 110, 160], "mean_delay")?,
        panel("Flights cancelled", " %", [190, 92, 60], "cancelled_percent")?,
    ];
    let flights: i64 = months.values::<i64>("flights")?.into_iter().flatten().sum();
    Ok(chart::draw("Flights from New York in 2013", &format!("{flights} flights, by month"), &panels))
}
