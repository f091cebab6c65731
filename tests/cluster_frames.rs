//! Dataframes on clusters of processes: the local run's rows, to the bit and in its order, with any number of workers.
#![cfg(feature = "cluster")]

#[path = "common/cluster.rs"]
mod common;
#[path = "common/spill.rs"]
mod spill;

use blockwise::cluster::LocalCluster;
use blockwise::frame::{
    AggOp, Column, DataFrame, JoinKind, UserFold, col, len, row_number, scan_csv, scan_ipc, scan_parquet, when,
};
use blockwise::prelude::*;
use common::{LIMIT, local, programs};
use spill::{Random, plain};
use std::path::Path;

/// Workers of one thread.
fn cluster(workers: usize) -> LocalCluster {
    let builder = LocalCluster::builder(workers, 1, LIMIT).expect("described").worker_timeout(10);
    programs(builder).start().expect("started")
}

/// That a session on a cluster gives the rows that a local one gives; how many.
fn assert_same(client: &Session, df: &DataFrame, what: &str) -> usize {
    let rows = |session: &Session| {
        let table = df.collect_with(session).unwrap_or_else(|e| panic!("{what}: {e}"));
        table.to_batch().expect("rows of one schema")
    };
    let (far, near) = (rows(client), rows(&local()));
    assert_eq!(far.num_rows(), near.num_rows(), "{what}");
    for ((name, a), (_, b)) in plain(&far).iter().zip(&plain(&near)) {
        assert!(a == b, "{what}: {name} differs");
    }
    near.num_rows()
}

/// Rows with a key of a few values, one of very many, text, and numbers whose sums depend on the order in which they are added.
fn frame(seed: u64, rows: usize, keys: u64) -> DataFrame {
    let mut r = Random(seed);
    let few: Vec<Option<String>> =
        (0..rows).map(|_| r.some(50, |r| format!("group {}", r.below(9)))).collect();
    let many: Vec<i64> = (0..rows).map(|_| r.below(keys) as i64 - 5).collect();
    let x: Vec<Option<f64>> = (0..rows)
        .map(|_| r.some(30, |r| if r.below(5000) == 0 { f64::NAN } else { r.below(1 << 40) as f64 / 977.0 - 1e8 }))
        .collect();
    let n: Vec<Option<i32>> = (0..rows).map(|_| r.some(20, |r| r.below(1000) as i32)).collect();
    let columns: [(&str, Column); 4] = [("few", few.into()), ("many", many.into()), ("x", x.into()), ("n", n.into())];
    DataFrame::from_columns(columns)
}

/// The same rows as files of three formats, eight of each.
fn scans(dir: &Path) -> [(&'static str, DataFrame); 3] {
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

/// Groups, few and many, sorts, joins and what works row by row, on one cluster.
fn check_all(workers: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let names = DataFrame::from_columns([
        ("few", Column::from((0..9).map(|k| format!("group {k}")).collect::<Vec<_>>())),
        ("weight", (0..9).map(|k| k as f64 * 0.1).collect::<Vec<_>>().into()),
    ]);
    let cluster = cluster(workers);
    let client = cluster.client().expect("connected");
    for (format, df) in scans(dir.path()) {
        let same = |df: &DataFrame, what: &str| {
            assert_same(&client, df, &format!("{what}, {format}, {workers} workers"))
        };
        let folds = [
            col("x").sum().alias("sum"),
            col("x").mean().alias("mean"),
            col("x").std().alias("std"),
            col("n").max().alias("max"),
            col("n").median().alias("median"),
            col("few").first().alias("first"),
            col("n").n_unique().alias("different"),
            len(),
        ];
        assert_eq!(same(&df.group_by("few").agg(folds.clone()), "few groups"), 9);
        let many = df.filter(col("n").gt(10)).group_by("many").agg(folds.clone());
        assert!(same(&many, "many groups") > 1 << 17);
        same(&df.group_by(["few", "n"]).agg(folds.clone()), "two keys");
        assert_eq!(same(&df.select(folds), "one group"), 1);
        same(&df.filter(col("n").lt(3)).with_columns((col("x") * 2.0 + col("n")).alias("y")), "rows");
        same(&df.sort(["few", "x"]), "sort");
        same(&df.sort("x").head(1000), "the first of a sort");
        same(&df.join(&names, "few", JoinKind::Inner), "inner join");
        same(&df.join(&names, "few", JoinKind::Left).group_by("weight").agg(col("x").sum()), "groups of a join");
        same(&df.group_by("few").agg(col("x").mean()).sort("few"), "a sort of groups");
    }
}

#[test]
fn one_worker_gives_the_local_runs_rows() {
    check_all(1);
}

#[test]
fn two_workers_give_the_local_runs_rows() {
    check_all(2);
}

#[test]
fn four_workers_give_the_local_runs_rows() {
    check_all(4);
}
