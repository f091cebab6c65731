//! Delays of flights from New York in 2013: CSV in; groups, joins, months and a chart out.
//!
//! ```text
//! cargo run --release --features frame --example flights -- [CHART.png]
//! ```

mod chart;
mod queries;

use blockwise::frame::scan_csv;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let picture = std::env::args().nth(1).map_or_else(|| PathBuf::from("out/flights.png"), PathBuf::from);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let flights = scan_csv(data.join("flights.csv.zip"));
    let airlines = scan_csv(data.join("airlines.csv"));
    let weather = scan_csv(data.join("weather.csv.gz"));

    println!("Mean departure delay by carrier, worst first");
    println!("{}\n", queries::worst_carriers(&flights, &airlines).collect()?);

    println!("Delay and the wind at the hour of departure");
    println!("{}\n", queries::wind(&flights, &weather).collect()?);

    println!("Flights, cancellations and delays by month");
    let months = queries::months(&flights).collect()?;
    println!("{months}\n");

    queries::chart(&months)?.write(&picture)?;
    println!("chart: {}", picture.display());
    Ok(())
}
