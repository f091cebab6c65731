//! Rows for tests of clusters, and their comparison with the local run's.
#![allow(dead_code, reason = "every test uses some of it")]

use crate::common::{LIMIT, local, programs};
use crate::spill::{Random, plain};
use blockwise::cluster::LocalCluster;
use blockwise::frame::{Column, DataFrame, scan_csv, scan_ipc, scan_parquet};
use blockwise::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

/// Workers of one thread.
pub fn cluster(workers: usize) -> LocalCluster {
    let builder = LocalCluster::builder(workers, 1, LIMIT).expect("described").worker_timeout(10);
    programs(builder).start().expect("started")
}

/// That a session on a cluster gives the rows that a local one gives; how many.
pub fn assert_same(client: &Session, df: &DataFrame, what: &str) -> usize {
    assert_equal(client, &local(), df, what)
}

/// The same of one worker with this memory limit.
pub fn assert_same_with(limit: u64, df: &DataFrame, what: &str) -> usize {
    let builder = LocalCluster::builder(1, 1, limit).expect("described");
    let cluster = programs(builder).start().expect("started");
    let session = Session::builder().memory_limit(limit).threads(1).build().expect("built");
    assert_equal(&cluster.client().expect("connected"), &session, df, what)
}

fn assert_equal(client: &Session, session: &Session, df: &DataFrame, what: &str) -> usize {
    let rows = |session: &Session| {
        let table = df.collect_with(session).unwrap_or_else(|e| panic!("{what}: {e}"));
        table.to_batch().expect("rows of one schema")
    };
    let (far, near) = (rows(client), rows(session));
    assert_eq!(far.num_rows(), near.num_rows(), "{what}");
    for ((name, a), (_, b)) in plain(&far).iter().zip(&plain(&near)) {
        assert!(a == b, "{what}: {name} differs");
    }
    near.num_rows()
}

/// Computes while a worker is killed in a stage, and compares with the local run.
pub fn assert_same_when_killed(df: &DataFrame, stage: usize) {
    let want = df.collect_with(&local()).expect("computed here").to_batch().expect("one schema");
    let got = while_one_is_killed(stage, |client| df.collect_with(client));
    let got = got.unwrap_or_else(|e| panic!("{e}")).to_batch().expect("one schema");
    assert!(plain(&got) == plain(&want), "other rows when a worker died in stage {stage}");
}

/// What something gives on two workers, of which one is killed in a stage of it.
pub fn while_one_is_killed<T: Send>(stage: usize, run: impl FnOnce(&Session) -> T + Send) -> T {
    let mut cluster = cluster(2);
    let client = cluster.client().expect("connected");
    let until = Instant::now() + Duration::from_secs(120);
    let got = std::thread::scope(|scope| {
        let run = scope.spawn(|| run(&client));
        loop {
            let jobs = cluster.status().expect("a scheduler").jobs;
            let victim = jobs.iter().find(|j| j.stages_done == stage).and_then(|j| j.running.last());
            if let Some(worker) = victim.map(|s| &s.worker) {
                let number = worker.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a number");
                cluster.kill_worker(number).expect("killed");
                break;
            }
            assert!(!run.is_finished() && Instant::now() < until, "never in stage {stage}");
            std::thread::sleep(Duration::from_millis(2));
        }
        run.join().expect("no panic")
    });
    assert!(Instant::now() < until);
    got
}

/// Rows with a key of a few values, one of very many, text, and numbers whose sums depend on the order in which they are added.
pub fn frame(seed: u64, rows: usize, keys: u64) -> DataFrame {
    let mut r = Random(seed);
    let few: Vec<Option<String>> =
        (0..rows).map(|_| r.some(50, |r| format!("group {}", r.below(9)))).collect();
    let many: Vec<i64> = (0..rows).map(|_| r.below(keys) as i64 - 5).collect();
    let x: Vec<Option<f64>> = (0..rows)
        .map(|_| {
            r.some(30, |r| if r.below(5000) == 0 { f64::NAN } else { r.below(1 << 40) as f64 / 977.0 - 1e8 })
        })
        .collect();
    let n: Vec<Option<i32>> = (0..rows).map(|_| r.some(20, |r| r.below(1000) as i32)).collect();
    let columns: [(&str, Column); 4] =
        [("few", few.into()), ("many", many.into()), ("x", x.into()), ("n", n.into())];
    DataFrame::from_columns(columns)
}

/// The same rows as files of three formats, eight of each.
pub fn scans(dir: &Path) -> [(&'static str, DataFrame); 3] {
    for k in 0..8 {
        let df = frame(k, 30_000, 250_000);
        let path = |ending: &str| dir.join(format!("part-{k}.{ending}"));
        df.write_parquet(path("parquet")).expect("written");
        df.write_csv(path("csv")).expect("written");
        df.write_ipc(path("arrow")).expect("written");
    }
    [
        ("parquet", scan_parquet(dir.join("*.parquet"))),
        ("csv", scan_csv(dir.join("*.csv"))),
        ("ipc", scan_ipc(dir.join("*.arrow"))),
    ]
}
