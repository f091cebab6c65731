//! What a cluster costs beyond computing: a trivial computation, many blocks, and what is held per block.
//!
//! `cargo run --release --features cluster --example cluster_overhead -- --workers 2`

use blockwise::cluster::LocalCluster;
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let workers = match arguments.iter().position(|a| a == "--workers") {
        Some(at) => arguments.get(at + 1).ok_or("--workers needs a number")?.parse()?,
        None => 2,
    };
    let cluster = LocalCluster::new(workers, 1, LIMIT)?;
    let client = cluster.client()?;
    let session = Session::builder().memory_limit(LIMIT).threads(workers).build()?;
    let small = Array::arange(0, 1000, 1).sum(..);
    client.compute(&small)?;
    println!("a trivial computation: {:.1?}", best(10, &client, &small)?);
    let two = Array::arange(0, 1000, 1).cast(F64);
    let two = (&two - two.mean(..)).abs().max(..);
    println!("one of two stages: {:.1?}", best(10, &client, &two)?);
    for blocks in [10_000usize, 100_000] {
        let many = Array::arange(0, blocks as i64 * 100, 1).cast(F64).rechunk(100).sqrt().sum(..);
        let (here, there) = (best(3, &session, &many)?, best(3, &client, &many)?);
        println!("{blocks} blocks in one map and fold: {there:.1?}, without a cluster {here:.1?}");
    }
    Ok(())
}
