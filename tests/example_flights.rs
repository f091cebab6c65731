//! The queries of the example `flights` on the bundled files, against Polars, and its picture.
#![cfg(feature = "frame")]

#[path = "../examples/flights/chart.rs"]
mod chart;
#[path = "../examples/flights/queries.rs"]
mod queries;

use blockwise::frame::{DataFrame, scan_csv};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

fn flights() -> DataFrame {
    scan_csv(format!("{DATA}/flights.csv.zip"))
}

// Made once with Polars:
//
//     month = col("time_hour").dt.convert_time_zone("America/New_York").dt.truncate("1mo")
//     flights.group_by(month).agg(len(), col("dep_time").is_null().sum(), col("dep_delay").mean().round(1)).sort("time_hour")
const FLIGHTS: [i64; 12] =
    [27004, 24951, 28834, 28330, 28796, 28243, 29425, 29327, 27574, 28889, 27268, 28135];
const CANCELLED: [i64; 12] = [521, 1261, 861, 668, 563, 1009, 940, 486, 452, 236, 233, 1025];
const DELAY: [f64; 12] = [10.0, 10.8, 13.2, 13.9, 13.0, 20.8, 21.7, 12.6, 6.7, 6.2, 5.4, 16.6];

#[test]
fn months_and_their_picture() {
    let months = queries::months(&flights()).collect().unwrap();
    assert_eq!(months.values::<i64>("flights").unwrap(), FLIGHTS.map(Some));
    assert_eq!(months.values::<i64>("cancelled").unwrap(), CANCELLED.map(Some));
    assert_eq!(months.values::<f64>("mean_delay").unwrap(), DELAY.map(Some));
    assert_eq!(months.texts("month").unwrap()[0].as_deref(), Some("Jan"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pictures/months.png");
    queries::chart(&months).unwrap().write(&path).unwrap();
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (960, 720));
    // the colours of both charts are there, and those of the longer bars more often
    let count = |rgb: [u8; 3]| pixels.chunks_exact(3).filter(|p| *p == rgb).count();
    assert!(count([70, 110, 160]) > 20_000 && count([190, 92, 60]) > 10_000);
}

// Made once by loops over the rows in Python: code, name, mean delay, median, share of delays over 15 minutes, flights.
const CARRIERS: [(&str, &str, f64, f64, f64, i64); 16] = [
    ("F9", "Frontier Airlines Inc.", 20.2, 0.5, 0.28, 685),
    ("EV", "ExpressJet Airlines Inc.", 20.0, -1.0, 0.289, 54173),
    ("YV", "Mesa Airlines Inc.", 19.0, -2.0, 0.26, 601),
    ("FL", "AirTran Airways Corporation", 18.7, 1.0, 0.261, 3260),
    ("WN", "Southwest Airlines Co.", 17.7, 1.0, 0.265, 12275),
    ("9E", "Endeavor Air Inc.", 16.7, -2.0, 0.242, 18460),
    ("B6", "JetBlue Airways", 13.0, -1.0, 0.226, 54635),
    ("VX", "Virgin America", 12.9, 0.0, 0.173, 5162),
    ("OO", "SkyWest Airlines Inc.", 12.6, -6.0, 0.188, 32),
    ("UA", "United Air Lines Inc.", 12.1, 0.0, 0.208, 58665),
    ("MQ", "Envoy Air", 10.6, -3.0, 0.202, 26397),
    ("DL", "Delta Air Lines Inc.", 9.3, -2.0, 0.162, 48110),
    ("AA", "American Airlines Inc.", 8.6, -3.0, 0.156, 32729),
    ("AS", "Alaska Airlines Inc.", 5.8, -3.0, 0.132, 714),
    ("HA", "Hawaiian Airlines Inc.", 4.9, -4.0, 0.07, 342),
    ("US", "US Airways Inc.", 3.8, -4.0, 0.118, 20536),
];
// From how many miles an hour, mean delay, flights.
const WIND: [(f64, f64, i64); 8] = [
    (0.0, 10.2, 40659),
    (5.0, 11.3, 105624),
    (10.0, 13.1, 117069),
    (15.0, 14.9, 43575),
    (20.0, 15.2, 14527),
    (25.0, 20.0, 4570),
    (30.0, 31.4, 726),
    (35.0, 13.4, 135),
];

#[test]
fn carriers_and_wind() {
    let carriers =
        queries::worst_carriers(&flights(), &scan_csv(format!("{DATA}/airlines.csv"))).collect().unwrap();
    let text = |s: &str| Some(s.to_owned());
    assert_eq!(carriers.texts("carrier").unwrap(), CARRIERS.map(|c| text(c.0)));
    assert_eq!(carriers.texts("name").unwrap(), CARRIERS.map(|c| text(c.1)));
    assert_eq!(carriers.values::<f64>("mean_delay").unwrap(), CARRIERS.map(|c| Some(c.2)));
    assert_eq!(carriers.values::<f64>("median_delay").unwrap(), CARRIERS.map(|c| Some(c.3)));
    assert_eq!(carriers.values::<f64>("late_share").unwrap(), CARRIERS.map(|c| Some(c.4)));
    assert_eq!(carriers.values::<i64>("flights").unwrap(), CARRIERS.map(|c| Some(c.5)));
    let wind = queries::wind(&flights(), &scan_csv(format!("{DATA}/weather.csv.gz"))).collect().unwrap();
    assert_eq!(wind.values::<f64>("wind_from_mph").unwrap(), WIND.map(|w| Some(w.0)));
    assert_eq!(wind.values::<f64>("mean_delay").unwrap(), WIND.map(|w| Some(w.1)));
    assert_eq!(wind.values::<i64>("flights").unwrap(), WIND.map(|w| Some(w.2)));
}
