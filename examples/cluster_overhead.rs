//! What a cluster costs beyond computing: a trivial computation, many blocks, and what is held per block.
//!
//! `cargo run --release --features cluster --example cluster_overhead -- --workers 2 --shards 8`; `--shards N` cuts stages into more shards than
//! the four per worker, as more workers would.

use blockwise::Client;
use blockwise::cluster::{LocalCluster, Options};
use blockwise::prelude::*;
use std::time::{Duration, Instant};

const LIMIT: u64 = 256 << 20;

/// The shortest of some runs.
fn best(times: usize, session: &Session, array: &Array) -> Result<Duration, Error> {
    let mut best = Duration::MAX;
    for _ in 0..times {
        let started = Instant::now();
        session.compute(array)?;
        best = best.min(started.elapsed());
    }
    Ok(best)
}

/// Resident memory of a process, as Linux tells it.
fn memory(process: Option<u32>) -> String {
    let status = process.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
    let line = status.as_deref().and_then(|s| s.lines().find_map(|l| l.strip_prefix("VmRSS:")));
    line.map_or("an unknown amount".into(), |l| l.trim().to_owned())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|a| a == flag);
        at.and_then(|at| arguments.get(at + 1)).map_or(Ok(default), |text| text.parse())
    };
    let (workers, shards) = (number("--workers", 2)?, number("--shards", 0)?);
    let cluster = LocalCluster::new(workers, 1, LIMIT)?;
    let client = Client::with(&cluster.url(), Options { shards, ..cluster.options()? })?;
    let session = Session::builder().memory_limit(LIMIT).threads(workers).build()?;
    let small = Array::arange(0, 1000, 1).sum(..);
    client.compute(&small)?;
    println!("a trivial computation: {:.1?}", best(10, &client, &small)?);
    let two = Array::arange(0, 1000, 1).cast(F64);
    let two = (&two - two.mean(..)).abs().max(..);
    println!("one of two stages: {:.1?}", best(10, &client, &two)?);
    for blocks in [10_000usize, 100_000, 1_000_000] {
        let many = Array::arange(0, blocks as i64 * 100, 1).cast(F64).rechunk(100).sqrt().sum(..);
        let (here, there) = (best(3, &session, &many)?, best(3, &client, &many)?);
        println!("{blocks} blocks in one map and fold: {there:.1?}, without a cluster {here:.1?}");
    }
    let far = Array::arange(0, 1 << 24, 1).cast(F64).rechunk(1 << 16);
    let far = (&far - far.mean(..)).abs().max(..);
    println!("two stages of 256 blocks, 128 MiB: {:.1?}", best(2, &client, &far)?);
    let back = Array::arange(0, 4_000_000, 1).rechunk(4) * 3;
    println!("1000000 blocks that come back: {:.1?}", best(2, &client, &back)?);
    println!("the scheduler holds {}", memory(cluster.scheduler_id()));
    Ok(())
}
