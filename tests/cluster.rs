//! Arrays on clusters of processes: the local run's results, to the last bit, with any number of workers.
#![cfg(feature = "cluster")]

#[path = "common/cluster.rs"]
mod common;

use blockwise::cluster::{LocalCluster, Options, Token};
use blockwise::event::{Event, Observer};
use blockwise::frame::{DataFrame, col};
use blockwise::plan::{Destination, StageRoot, Target};
use blockwise::prelude::*;
use blockwise::shape::Grid;
use common::{LIMIT, assert_bits, local, programs};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Workers of one thread.
fn cluster(workers: usize) -> LocalCluster {
    let builder = LocalCluster::builder(workers, 1, LIMIT).expect("described").worker_timeout(10);
    programs(builder).start().expect("started")
}

/// That a session on a cluster gives the bits that a local one gives.
fn assert_same(client: &Session, local: &Session, array: &Array, what: &str) {
    let far = client.compute(array).unwrap_or_else(|e| panic!("{what}: {e}"));
    let near = local.compute(array).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_bits(&far, &near, what);
}

/// That two directories hold the same files with the same bytes.
fn same_bytes(a: &Path, b: &Path) {
    let (files, others) = (files(a), files(b));
    assert_eq!(files, others);
    for file in files {
        assert_eq!(
            std::fs::read(a.join(&file)).expect("there"),
            std::fs::read(b.join(&file)).expect("there"),
            "{file:?}"
        );
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let (mut out, mut left) = (vec![], vec![root.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path)
            } else {
                out.push(path.strip_prefix(root).expect("inside").to_owned())
            }
        }
    }
    out.sort();
    out
}

/// An array on disk, in chunks, of numbers whose sums depend on the order in which they are added.
fn scene(dir: &Path) -> Array {
    let (rows, columns) = (240, 180);
    let values = ndarray::Array2::from_shape_fn((rows, columns), |(r, c)| {
        ((r * 7919 + c * 104_729) % 10_007) as f32 * 1.1e-3 - 3.7
    });
    let path = dir.join("scene.zarr");
    Array::from_ndarray(values).rechunk([40, 30]).write_zarr(&path).expect("written");
    open(&path).expect("opened")
}

/// Whether the plan for an array goes through a store between stages.
fn exchanges(session: &Session, array: &Array) -> bool {
    let expr = array.expr().expect("sound").clone();
    let plan = session.plan(&[Target { expr, destination: Destination::Memory }]).expect("planned");
    plan.stages.iter().flat_map(|s| &s.roots).any(|r| matches!(r, StageRoot::Spill { .. }))
}

/// Elementwise work, folds, and plans of several stages, on one cluster.
fn check_all(workers: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let x = scene(dir.path());
    let cluster = cluster(workers);
    let client = cluster.client().expect("connected");
    let local = local();

    // folds of everything and along axes
    let folds = [
        x.sum(..),
        x.mean(0),
        x.std(1),
        x.max(..),
        x.argmin(..),
        x.any(..),
        x.mean(..),
        (&x * 2.0f32).prod(0),
    ];
    for (n, fold) in folds.iter().enumerate() {
        assert_same(&client, &local, fold, &format!("fold {n}, {workers} workers"));
    }

    // elementwise, to Zarr written by the workers and to memory
    let y = (&x * &x + 1.0f32).sqrt();
    assert_same(&client, &local, &y, "elementwise");
    let (here, there) = (dir.path().join("here.zarr"), dir.path().join("there.zarr"));
    local.store(&[(&y, y.zarr_sink(&here, Default::default()).expect("a sink"))]).expect("written");
    client.store(&[(&y, y.zarr_sink(&there, Default::default()).expect("a sink"))]).expect("written");
    same_bytes(&here, &there);

    // several stages: a result that the next one reads, chunks that cross
    assert_same(&client, &local, &((&x - x.mean(0)) / x.std(0)), "standardize");
    // products: of several blocks, of a product, and a small one that is summed in parts
    let a = (Array::arange(0, 700 * 600, 1) % 1009).cast(F32).reshape(&[700, 600]) * 1.1e-3f32;
    let a = a.rechunk([300, 100]);
    assert_same(&client, &local, &a.matmul(&a.t()), "product");
    assert_same(&client, &local, &(a.t().matmul(&a).matmul(&a.t()) - 1.0f32), "product of a product");
    let long = (Array::arange(0, 1 << 21, 1) % 1009).cast(F32).rechunk(1 << 17) * 1.1e-3f32;
    assert_same(&client, &local, &long.dot(&long), "dot");
    let across = x.rechunk([7, 180]);
    assert!(exchanges(&local, &across), "it shall go through a store");
    assert_same(&client, &local, &across, "rechunk");
    let square = x.slice(s![..180, ..]);
    assert_same(&client, &local, &(&square + &square.transpose(None)), "x + x.T");
    assert_same(&client, &local, &x.cumsum(1), "running sums");

    let noise = Generator::new(3).normal(x.mean(0), 2, x.shape());
    assert_same(&client, &local, &(&noise + &x).sum(1), "random numbers");

    // several targets in one job
    let all = client.compute_all([&x.mean(..), &y, &x.sum(1)]).expect("computed");
    let want = local.compute_all([&x.mean(..), &y, &x.sum(1)]).expect("computed");
    for (a, b) in all.iter().zip(&want) {
        assert_bits(a, b, "several targets");
    }
}

#[test]
fn one_worker_gives_the_local_runs_bits() {
    check_all(1);
}

#[test]
fn two_workers_give_the_local_runs_bits() {
    check_all(2);
}

#[test]
fn four_workers_give_the_local_runs_bits() {
    check_all(4);
}

#[test]
fn what_has_no_elements_or_one_is_computed_too() {
    let cluster = cluster(1);
    let (client, local) = (cluster.client().expect("connected"), local());
    let x = Array::arange(0, 10, 1).rechunk(3);
    for (n, a) in
        [x.slice(s![4..4]), x.slice(s![4..4]).sum(..), Array::full(&[], 3i64), &x + 1].iter().enumerate()
    {
        assert_same(&client, &local, a, &format!("small {n}"));
    }
}

#[test]
fn files_of_the_client_and_memory_of_the_caller_are_filled() {
    let dir = tempfile::tempdir().expect("a directory");
    let x = scene(dir.path());
    let cluster = cluster(2);
    let (client, local) = (cluster.client().expect("connected"), local());
    let mut out = ndarray::Array2::<f32>::zeros((240, 180));
    client.compute_into(&(&x + 1.0f32), out.view_mut()).expect("computed");
    let want = local.compute(&(&x + 1.0f32)).expect("computed");
    assert_eq!(out.into_dyn().view(), want.view::<f32>().expect("f32"));

    // .npy is written in its place by workers, GeoTIFF by this process
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    client.store(&[(&x, x.npy_sink(&a).expect("a sink"))]).expect("written");
    local.store(&[(&x, x.npy_sink(&b).expect("a sink"))]).expect("written");
    assert_eq!(std::fs::read(a).expect("there"), std::fs::read(b).expect("there"));
    #[cfg(feature = "geotiff")]
    {
        let (a, b) = (dir.path().join("a.tif"), dir.path().join("b.tif"));
        for (session, path) in [(&*client, &a), (&local, &b)] {
            let (banded, sink) = x.geotiff_sink(path, Default::default()).expect("a sink");
            session.store(&[(&banded, sink)]).expect("written");
        }
        let (a, b) = (open(a).expect("opened"), open(b).expect("opened"));
        assert_bits(&local.compute(&a).expect("read"), &local.compute(&b).expect("read"), "GeoTIFF");
    }
}

#[test]
fn errors_name_the_worker_and_what_it_did() {
    let dir = tempfile::tempdir().expect("a directory");
    let x = scene(dir.path());
    let cluster = cluster(1);
    let client = cluster.client().expect("connected");
    // a chunk that is spoilt after the plan was made
    std::fs::write(dir.path().join("scene.zarr/c/2/3"), b"spoilt").expect("written");
    let e = client.compute(&x.sum(..)).expect_err("a spoilt chunk");
    let text = e.to_string();
    assert!(matches!(e.kind(), ErrorKind::Worker { .. }), "{text}");
    assert!(text.contains("worker-0") && text.contains("stage 0") && text.contains("scene.zarr"), "{text}");
    // the workers live on
    assert_eq!(
        client.compute(&Array::arange(0, 10, 1).sum(..)).expect("computed").to_scalar::<i64>().expect("i64"),
        45
    );
}

/// Folds whose results are large are put together by a stage of their own: what only it reads, what later stages read, and what the client gets.
#[test]
fn large_folds_are_put_together_by_ranges() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("wide.zarr");
    let x = (Array::arange(0, 24 * 150_011, 1) * 7919 % 10_007).cast(F64).reshape(&[24, 150_011]);
    let x = (x * 1.1e-3 - 3.7).rechunk([1, 16_000]);
    x.write_zarr(&path).expect("written");
    let x = open(&path).expect("opened");
    let (local, cluster) = (local(), cluster(2));
    for shards in [0, 3] {
        let options = Options { shards, ..cluster.options().expect("options") };
        let client = blockwise::Client::with(&cluster.url(), options).expect("connected");
        let what = |name: &str| format!("{name}, {shards} shards");
        assert_same(&client, &local, &x.sum(0), &what("a sum"));
        assert_same(&client, &local, &x.argmax(0), &what("a place"));
        assert_same(&client, &local, &((&x - x.mean(0)) / x.std(0)).max(1), &what("standardized"));
    }
    let client = cluster.client().expect("connected");
    let several =
        [&x.mean(0), &x.min(..), &(&x * 2.0).var(0), &(&x - x.mean(0)).slice(s![3, 40_000..40_100])];
    let (far, near) = (client.compute_all(several).expect("far"), local.compute_all(several).expect("near"));
    for (n, (far, near)) in far.iter().zip(&near).enumerate() {
        assert_bits(far, near, &format!("of several, {n}"));
    }
    let to = |name: &str| dir.path().join(name);
    for (session, name) in [(&*client, "far.zarr"), (&local, "near.zarr")] {
        let sum = x.sum(0);
        session
            .store(&[(&sum, sum.zarr_sink(to(name), Default::default()).expect("a sink"))])
            .expect("written");
    }
    same_bytes(&to("far.zarr"), &to("near.zarr"));
}

#[test]
fn large_arrays_in_memory_are_scattered_once() {
    let cluster = cluster(2);
    let (client, local) = (cluster.client().expect("connected"), local());
    let values =
        ndarray::Array2::from_shape_fn((1024, 3000), |(r, c)| ((r * 7919 + c * 31) % 1009) as f64 * 0.1);
    let x = Array::from_ndarray(values).rechunk([100, 700]);
    assert_same(&client, &local, &((&x - x.mean(0)) / x.std(0)).sum(1), "an array of 24 MiB");
    let y = x.slice(s![.., ..1024]);
    assert_same(&client, &local, &(&y + &y.transpose(None)).max(0), "and its transpose");
    let (k, v): (Vec<i64>, Vec<f64>) = (0..1_500_000).map(|i| (i * 7919 % 1009, i as f64 * 0.1)).unzip();
    let rows = DataFrame::from_columns([("k", k.into()), ("v", v.into())]);
    let sums = rows.filter(col("v").gt(10.0)).group_by("k").agg(col("v").sum());
    let (far, near) = (sums.collect_with(&client).expect("far"), sums.collect_with(&local).expect("near"));
    assert_eq!(far.to_batch().expect("rows"), near.to_batch().expect("rows"));
    let options = Options { scratch: None, ..cluster.options().expect("options") };
    let client = blockwise::Client::with(&cluster.url(), options).expect("connected");
    let e = client.compute(&x.sum(..)).expect_err("nowhere to put it");
    assert!(e.to_string().contains("Options::scratch"), "{e}");
}

#[test]
fn what_cannot_be_sent_is_refused_before_any_work() {
    let cluster = cluster(1);
    let client = cluster.client().expect("connected");
    let x = Array::arange(0, 10, 1).map_blocks(I64, |b| Ok(b.clone()));
    let e = client.compute(&x).expect_err("a closure");
    assert!(e.to_string().contains("map_blocks") && e.to_string().contains("register"), "{e}");
    let big = Array::full(&[1 << 16, 1 << 16], 1.0f64);
    let e = client.compute(&big).expect_err("too large a result");
    assert!(matches!(e.kind(), ErrorKind::MemoryLimit { .. }), "{e}");
}

#[test]
fn a_cluster_that_is_not_there_is_an_error() {
    let options = Options {
        patience: std::time::Duration::from_millis(300),
        ..Options::from_env().expect("the environment")
    };
    let e = blockwise::Client::with("http://127.0.0.1:9", options.clone()).err().expect("nobody listens");
    assert!(matches!(e.kind(), ErrorKind::Cluster { .. }), "{e}");
    let e = blockwise::Client::with("somewhere", options).err().expect("no address");
    assert!(e.to_string().contains("http://host:50050"), "{e}");
}

#[test]
fn only_those_who_know_the_word_are_let_in() {
    let cluster = cluster(1);
    let options = cluster.options().expect("options");
    let patience = std::time::Duration::from_millis(300);
    for token in [Token::default(), Token::new("another-word-of-some-length").expect("a word")] {
        let stranger = Options { token, patience, ..options.clone() };
        let e = blockwise::Client::with(&cluster.url(), stranger).err().expect("a stranger");
        assert!(e.to_string().contains("token"), "{e}");
    }
    // health is no secret
    let mut stream =
        std::net::TcpStream::connect(cluster.url().trim_start_matches("http://")).expect("connected");
    std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("asked");
    let answer = std::io::read_to_string(stream).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
}

#[test]
fn observers_hear_of_every_shard() {
    #[derive(Default)]
    struct Shards(Mutex<Vec<(usize, String, usize)>>);
    impl Observer for Shards {
        fn event(&self, event: &Event) {
            if let Event::ShardReport { stage, worker, tasks, .. } = event {
                self.0.lock().expect("nobody panics").push((*stage, worker.clone(), *tasks));
            }
        }
    }
    let cluster = cluster(2);
    let shards = Arc::new(Shards::default());
    let options = cluster.options().expect("options");
    let builder = Session::builder().cluster(&cluster.url(), options).observer(shards.clone());
    let session = builder.build().expect("connected");
    let x = Array::arange(0, 1000, 1).rechunk(10).cast(F64);
    session.compute(&(&x - x.mean(..))).expect("computed");
    let heard = shards.0.lock().expect("nobody panics").clone();
    let summary = session.last_summary().expect("a run");
    assert_eq!(heard.iter().map(|(_, _, tasks)| *tasks as u64).sum::<u64>(), summary.tasks);
    assert!(
        (0..2).all(|stage| heard.iter().any(|(s, worker, _)| *s == stage && worker.starts_with("worker-")))
    );
}

/// Flags and variables in the manifests are those of the programs.
#[test]
fn manifests_name_what_the_programs_know() {
    let help = |program: &str| {
        let out = std::process::Command::new(program).arg("--help").output().expect("a program");
        String::from_utf8(out.stdout).expect("text")
    };
    let (scheduler, worker) =
        (help(env!("CARGO_BIN_EXE_blockwise-scheduler")), help(env!("CARGO_BIN_EXE_blockwise-worker")));
    let mut found = 0;
    for name in ["compose.yaml", "kubernetes.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cluster").join(name);
        let text = std::fs::read_to_string(path).expect("a manifest");
        for line in text.lines().filter(|l| !l.trim_start().starts_with('#') && *l != "---") {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
            let is_scheduler = line.contains("blockwise-scheduler,");
            for word in words.filter(|w| w.starts_with("--") || w.starts_with("BLOCKWISE_")) {
                let known = if is_scheduler { &scheduler } else { &worker };
                assert!(known.contains(word), "{name}: {word} in {line:?}");
                found += 1;
            }
        }
    }
    assert!(found > 15, "{found}");
}

#[test]
fn blocks_longer_than_a_row_arrive_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("long.zarr");
    let x = Array::arange(0, 3 << 20, 1).cast(F64).rechunk(1 << 20);
    x.write_zarr(&path).expect("written");
    let x = open(&path).expect("opened");
    let cluster = LocalCluster::builder(2, 1, LIMIT * 4).expect("described");
    let cluster = programs(cluster).start().expect("started");
    let client = cluster.client().expect("connected");
    let local = Session::builder().memory_limit(LIMIT * 4).threads(1).build().expect("built");
    assert_same(&client, &local, &(&x - x.mean(..)), "long blocks");
    assert_eq!(x.chunks().expect("chunks"), &Grid::regular(&[3 << 20], &[1 << 20]));
}
