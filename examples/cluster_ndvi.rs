//! A vegetation index on a cluster of processes on this machine, compared with the same program without one.
//!
//! `cargo run --release --features cluster --example cluster_ndvi -- --workers 2 --kill`
//!
//! `--workers N`: processes, of one thread each (default 2). `--scale N`: how often the scene is repeated in each direction (default 8).
//! `--kill`: ends one worker on the way, as a crash would. Build the programs first: `cargo build --release --features cluster --bins`.

use blockwise::cluster::LocalCluster;
use blockwise::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

const SCENE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/L7_ETMs.tif");
const LIMIT: u64 = 128 << 20;

/// The index of a scene, its mean and its standard deviation.
fn index(scene: &Array) -> [Array; 3] {
    let (red, nir) = (scene.index(ix![0]).cast(F32), scene.index(ix![1]).cast(F32));
    let ndvi = ((&nir - &red) / (&nir + &red)).with_name("ndvi");
    let (mean, std) = (ndvi.nanmean(..), ndvi.nanstd(..));
    [ndvi, mean, std]
}

/// Writes the index and computes its statistics, on a session.
fn run(session: &Session, scene: &Array, to: &Path) -> Result<(Vec<Block>, Duration), Error> {
    let started = Instant::now();
    let [ndvi, mean, std] = index(scene);
    let mut batch = Batch::new();
    batch.compute(&mean)?;
    batch.compute(&std)?;
    batch.store(&ndvi, ndvi.zarr_sink(to, Default::default())?)?;
    let blocks = batch.run(session)?.into_iter().flatten().collect();
    Ok((blocks, started.elapsed()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|a| a == flag);
        at.and_then(|at| arguments.get(at + 1)).map_or(Ok(default), |text| text.parse())
    };
    let (workers, scale) = (number("--workers", 2)?, number("--scale", 8)?);
    let kill = arguments.iter().any(|a| a == "--kill");

    // the red and near infrared bands of a mosaic, as Zarr, where all processes see it
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("scene.zarr");
    let session = Session::builder().memory_limit(LIMIT).threads(workers).build()?;
    let bands = open(SCENE)?.slice(s![2..4, .., ..]).tile(&[1, scale, scale]).rechunk([1, 256, 256]);
    session.store(&[(&bands, bands.zarr_sink(&path, Default::default())?)])?;
    let scene = open(&path)?;
    println!("a scene of {:?}, {} chunks", scene.shape(), scene.chunks()?.len());

    let (want, alone) = run(&session, &scene, &dir.path().join("alone.zarr"))?;
    let mut cluster = LocalCluster::builder(workers, 1, LIMIT)?.worker_timeout(10).start()?;
    let client = cluster.client()?;
    // the first run starts what is started once
    client.compute(&scene.index(ix![0, 0, 0]))?;
    let to = dir.path().join("together.zarr");
    let (got, together) = std::thread::scope(|scope| {
        let done = scope.spawn(|| run(&client, &scene, &to));
        if kill {
            std::thread::sleep(alone / 2);
            cluster.kill_worker(0)?;
            println!("one worker was killed on the way");
        }
        done.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;

    for (a, b) in got.iter().zip(&want) {
        assert_eq!(a.get(&[])?.bits(), b.get(&[])?.bits(), "the statistics have other bits");
    }
    let (a, b) = (open(dir.path().join("together.zarr"))?, open(dir.path().join("alone.zarr"))?);
    let differ = session.compute(&(a.not_equal(&b) & !(a.isnan() & b.isnan())).any(..))?;
    assert!(!differ.to_scalar::<bool>()?, "the index has other values");
    println!(
        "mean {:.6}, standard deviation {:.6}: the same bits as without a cluster",
        got[0].get(&[])?.as_f64(),
        got[1].get(&[])?.as_f64()
    );
    println!("{workers} workers of 1 thread: {together:.2?}; one process of {workers} threads: {alone:.2?}");
    println!("{}", client.last_summary().unwrap_or_default());
    Ok(())
}
