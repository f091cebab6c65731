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

#[test]
fn carriers_and_wind() {
    let carriers =
        queries::worst_carriers(&flights(), &scan_csv(format!("{DATA}/airlines.csv"))).collect().unwrap();
    assert_eq!(carriers.num_rows(), 16);
    assert_eq!(carriers.texts("name").unwrap()[0].as_deref(), Some("Frontier Airlines Inc."));
    assert_eq!(carriers.values::<f64>("mean_delay").unwrap()[0], Some(20.2));
    let wind = queries::wind(&flights(), &scan_csv(format!("{DATA}/weather.csv.gz"))).collect().unwrap();
    assert!(wind.num_rows() > 5);
}
