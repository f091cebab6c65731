//! Delays of flights from New York in 2013: CSV in, groups, joins and a chart in text out.
//!
//! ```text
//! cargo run --release --features frame --example flights
//! ```

use blockwise::error::Result;
use blockwise::frame::{JoinKind, col, len, scan_csv, when};
use std::path::Path;

fn main() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let flights = scan_csv(data.join("flights.csv.zip"));
    let airlines = scan_csv(data.join("airlines.csv"));
    let weather = scan_csv(data.join("weather.csv.gz"));

    println!("Mean departure delay by carrier, worst first");
    let worst = flights
        .group_by("carrier")
        .agg([
            col("dep_delay").mean().round(1).alias("mean_delay"),
            col("dep_delay").median().alias("median_delay"),
            when(col("dep_delay").gt(15)).then(1.0).otherwise(0.0).mean().round(3).alias("late_share"),
            len().alias("flights"),
        ])
        .join(&airlines, "carrier", JoinKind::Left)
        .sort(col("mean_delay").descending());
    println!("{}\n", worst.collect()?);

    println!("Delay and the wind at the hour of departure");
    let windy = flights
        .filter(col("dep_delay").is_not_null())
        .join(
            &weather.select(["origin", "time_hour", "wind_speed", "visib"]),
            ["origin", "time_hour"],
            JoinKind::Inner,
        )
        .with_columns((col("wind_speed").floor_div(5) * 5).alias("wind_from_mph"))
        .group_by("wind_from_mph")
        .agg([col("dep_delay").mean().round(1).alias("mean_delay"), len().alias("flights")])
        .filter(col("flights").ge(100))
        .sort("wind_from_mph");
    println!("{}\n", windy.collect()?);

    println!("Flights and cancellations by month");
    let months = flights
        .with_columns(col("time_hour").dt().month_start().alias("month_start"))
        .group_by("month_start")
        .agg([len().alias("flights"), col("dep_time").is_null().sum().alias("cancelled")])
        .sort("month_start")
        .collect()?;
    let (flights, cancelled) = (months.values::<i64>("flights")?, months.values::<i64>("cancelled")?);
    println!("{months}\n");
    println!("Share of flights cancelled");
    for ((month, n), gone) in months.values::<i32>("month_start")?.iter().zip(flights).zip(cancelled) {
        let (Some(_), Some(n), Some(gone)) = (month, n, gone) else { continue };
        let share = 100.0 * gone as f64 / n as f64;
        println!("{:5.2} %  {}", share, "#".repeat((share * 10.0).round() as usize));
    }
    Ok(())
}
