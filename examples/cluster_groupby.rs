//! Groups of the rows of Parquet files on a cluster of processes on this machine, compared with the same program without one.
//!
//! `cargo run --release --features cluster --example cluster_groupby -- --workers 2 --kill`
//!
//! `--workers N`: processes, of one thread each (default 2). `--rows N`: rows of each of the 16 files (default 200 000). `--kill`: ends one
//! worker on the way, as a crash would. Build the programs first: `cargo build --release --features cluster --bins`.

use blockwise::cluster::LocalCluster;
use blockwise::frame::{Column, DataFrame, Table, col, len, scan_parquet};
use blockwise::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: u64 = 256 << 20;
const FILES: u64 = 16;

/// Numbers that look random, and are the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), |x| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        Some(x ^ (x << 17))
    })
}

/// Measurements of stations by day: one file.
fn write(path: &Path, seed: u64, rows: usize) -> Result<(), Error> {
    let mut next = numbers(seed + 1);
    let mut below = |n: u64| next.next().unwrap_or(0) % n;
    let station: Vec<String> = (0..rows).map(|_| format!("station {}", below(40))).collect();
    let sensor: Vec<i64> = (0..rows).map(|_| below(300_000) as i64).collect();
    let value: Vec<Option<f64>> =
        (0..rows).map(|_| (below(20) > 0).then(|| below(1 << 40) as f64 / 1e6 - 2e5)).collect();
    let columns: [(&str, Column); 3] =
        [("station", station.into()), ("sensor", sensor.into()), ("value", value.into())];
    DataFrame::from_columns(columns).write_parquet(path)
}

/// Few groups in order of their means, and very many groups, on a session.
fn run(session: &Session, files: &DataFrame) -> Result<([Table; 2], Duration), Error> {
    let started = Instant::now();
    let folds = [col("value").mean().alias("mean"), col("value").std().alias("std"), len()];
    let stations = files.group_by("station").agg(folds.clone()).sort("mean").collect_with(session)?;
    let sensors = files.group_by("sensor").agg(folds).collect_with(session)?;
    Ok(([stations, sensors], started.elapsed()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|a| a == flag);
        at.and_then(|at| arguments.get(at + 1)).map_or(Ok(default), |text| text.parse())
    };
    let (workers, rows) = (number("--workers", 2)?, number("--rows", 200_000)?);
    let kill = arguments.iter().any(|a| a == "--kill");

    let dir = tempfile::tempdir()?;
    for file in 0..FILES {
        write(&dir.path().join(format!("part-{file:02}.parquet")), file, rows)?;
    }
    let files = scan_parquet(dir.path());
    println!("{FILES} Parquet files of {rows} rows");

    let session = Session::builder().memory_limit(LIMIT).threads(workers).build()?;
    let (want, alone) = run(&session, &files)?;
    let mut cluster = LocalCluster::builder(workers, 1, LIMIT)?.worker_timeout(10).start()?;
    let client = cluster.client()?;
    // the first run starts what is started once
    files.head(1).collect_with(&client)?;
    let (got, together) = std::thread::scope(|scope| {
        let done = scope.spawn(|| run(&client, &files));
        if kill {
            std::thread::sleep(alone / 2);
            cluster.kill_worker(0)?;
            println!("one worker was killed on the way");
        }
        done.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;

    for (a, b) in got.iter().zip(&want) {
        let (a, b) = (a.to_batch()?, b.to_batch()?);
        // to the bit, and in the same order
        assert!(a.columns().iter().zip(b.columns()).all(|(a, b)| a.to_data() == b.to_data()), "other rows");
        assert_eq!(a.num_rows(), b.num_rows());
    }
    println!("{}", got[0]);
    println!(
        "{} stations, {} sensors: the same bits as without a cluster",
        got[0].num_rows(),
        got[1].num_rows()
    );
    println!("{workers} workers of 1 thread: {together:.2?}; one process of {workers} threads: {alone:.2?}");
    println!("{}", client.last_summary().unwrap_or_default());
    Ok(())
}
