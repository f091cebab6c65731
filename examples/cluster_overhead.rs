//! What a cluster costs beyond computing: a trivial computation, many blocks, and what is held per block.
//!
//! `cargo run --release --features cluster --example cluster_overhead -- --workers 2 --shards 8`; `--shards N` cuts stages into more shards than
//! the four per worker, as more workers would. `--stream MIB` also streams two bands of so many MiB together from Zarr to Zarr.

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

/// A vegetation index of two bands, from Zarr to Zarr, here and there.
fn streamed(mib: usize, session: &Session, client: &Session) -> Result<(), Box<dyn std::error::Error>> {
    let side = (((mib << 18) as f64).sqrt() as isize / 16).max(1) * 16;
    let dir = tempfile::tempdir()?;
    let band = |name: &str, by: i64| -> Result<Array, Error> {
        let path = dir.path().join(name);
        let values = Array::arange(0, (side * side) as i64, 1) * by % 10_007i64 + 1i64;
        let band = values.cast(U16).reshape(&[side, side]).rechunk([side / 16, side / 16]);
        session.store(&[(&band, band.zarr_sink(&path, Default::default())?)])?;
        Ok(open(&path)?.cast(F32))
    };
    let (red, nir) = (band("red.zarr", 7919)?, band("nir.zarr", 104_729)?);
    let ndvi = (&nir - &red) / (&nir + &red);
    let mut times = [Duration::MAX; 2];
    for round in 0..2 {
        for (n, on) in [session, client].into_iter().enumerate() {
            let to = dir.path().join(format!("{n}.{round}.zarr"));
            let started = Instant::now();
            on.store(&[(&ndvi, ndvi.zarr_sink(&to, Default::default())?)])?;
            times[n] = times[n].min(started.elapsed());
        }
    }
    let [a, b] = ["0.0.zarr", "1.1.zarr"].map(|name| open(dir.path().join(name)));
    if !session.compute(&a?.equal(&b?).all(..))?.to_scalar::<bool>()? {
        return Err("the cluster wrote something else".into());
    }
    let [here, there] = times;
    let more = 100.0 * (there.as_secs_f64() / here.as_secs_f64() - 1.0);
    println!("stream_ndvi, {mib} MiB: {there:.2?}, without a cluster {here:.2?} ({more:+.0} %)");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|a| a == flag);
        at.and_then(|at| arguments.get(at + 1)).map_or(Ok(default), |text| text.parse())
    };
    let (workers, shards, stream) = (number("--workers", 2)?, number("--shards", 0)?, number("--stream", 0)?);
    let cluster = LocalCluster::new(workers, 1, LIMIT)?;
    let client = Client::with(&cluster.url(), Options { shards, ..cluster.options()? })?;
    let cores = std::thread::available_parallelism()?.get();
    let session = Session::builder().memory_limit(LIMIT).threads(workers.min(cores)).build()?;
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
    if stream > 0 {
        streamed(stream, &session, &client)?;
    }
    let far = Array::arange(0, 1 << 24, 1).cast(F64).rechunk(1 << 16);
    let far = (&far - far.mean(..)).abs().max(..);
    println!("two stages of 256 blocks, 128 MiB: {:.1?}", best(2, &client, &far)?);
    let back = Array::arange(0, 4_000_000, 1).rechunk(4) * 3;
    println!("1000000 blocks that come back: {:.1?}", best(2, &client, &back)?);
    println!("the scheduler holds {}", memory(cluster.scheduler_id()));
    Ok(())
}
