//! Joins of dataframes on clusters whose kept side is too large for every worker: rows of both sides are exchanged by a hash of their keys.
#![cfg(feature = "cluster")]

#[path = "common/cluster.rs"]
mod common;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/spill.rs"]
mod spill;

use blockwise::frame::{DataFrame, JoinKind, col, len, row_number};
use rows::{assert_same, assert_same_when_killed, assert_same_with, cluster, frame, scans};

const KINDS: [JoinKind; 6] =
    [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi, JoinKind::Anti];

/// A right side with columns of other names.
fn other(df: &DataFrame) -> DataFrame {
    df.select([col("many"), col("few"), col("n").alias("m"), col("x").alias("y")])
}

fn folds() -> [blockwise::frame::Expr; 5] {
    [
        col("x").sum().alias("sum"),
        col("y").mean().alias("mean"),
        col("x").std().alias("std"),
        col("m").median().alias("median"),
        len(),
    ]
}

/// Joins of all kinds and what may follow them.
fn check_all(workers: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, parquet), (_, csv), _] = scans(dir.path());
    let cluster = cluster(workers);
    let client = cluster.client().expect("connected");
    let same = |df: &DataFrame, what: &str| assert_same(&client, df, &format!("{what}, {workers} workers"));
    let right = other(&csv);
    for kind in if workers == 2 { &KINDS[..] } else { &[JoinKind::Inner, JoinKind::Full] } {
        let kind = *kind;
        assert!(same(&parquet.join(&right, ["many", "few"], kind), &format!("{kind:?} join")) > 3000);
    }
    let joined = parquet.join(&right.select(["many", "m", "y"]), "many", JoinKind::Left);
    assert_eq!(same(&joined.group_by("few").agg(folds()), "groups of a join"), 9);
    if workers != 2 {
        return;
    }
    assert_eq!(same(&joined.select(folds()), "folds of a join"), 1);
    let rows = joined.filter(col("m").gt(500)).with_columns(row_number().alias("row"));
    assert!(same(&rows.sort(["x", "many"]).head(5000), "a sort of a join") == 5000);
    // a join of a join, both by exchange
    let third = right.select([col("many"), col("m").alias("m2"), col("y").alias("y2")]);
    let twice = joined.filter(col("n").lt(100)).join(&third, ["many"], JoinKind::Inner);
    assert!(same(&twice.group_by("few").agg(folds()), "groups of a join of a join") == 9);
    // many partners of few keys, texts and nulls among them
    let few = frame(77, 3000, 4).select([col("few"), col("many").alias("key")]);
    let (left, right) = (dir.path().join("left.parquet"), dir.path().join("right.parquet"));
    few.write_parquet(&left).expect("written");
    frame(78, 300_000, 50).select([col("few"), col("n").alias("m")]).write_parquet(&right).expect("written");
    let (left, right) = (blockwise::frame::scan_parquet(&left), blockwise::frame::scan_parquet(&right));
    for kind in [JoinKind::Semi, JoinKind::Anti] {
        same(&left.join(&right, "few", kind), &format!("{kind:?} join by text"));
    }
    let pairs = left.head(60).join(&right.filter(col("m").lt(20)), "few", JoinKind::Left);
    assert!(same(&pairs, "many partners") > 10_000);
    // sides without rows, and files of no rows
    let (none, empty) = (right.filter(col("m").lt(-1)), dir.path().join("empty.parquet"));
    none.write_parquet(&empty).expect("written");
    let empty = blockwise::frame::scan_parquet(&empty);
    for kind in KINDS {
        same(&left.join(&none, "few", kind), &format!("{kind:?} join with no rows"));
        same(&none.join(&left, "few", kind), &format!("{kind:?} join of no rows"));
        same(&empty.join(&csv, "few", kind), &format!("{kind:?} join of an empty file"));
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

#[test]
fn parts_larger_than_memory_go_to_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, df), (_, csv), _] = scans(dir.path());
    // a quarter of the right side takes more than an eighth of this
    for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Anti] {
        let all = df.join(&other(&csv.filter(col("many").gt(1000))), ["many"], kind);
        let all = if kind == JoinKind::Anti { all } else { all.group_by("few").agg(folds()) };
        assert!(assert_same_with(24 << 20, &all, &format!("{kind:?} join")) > 0);
    }
}

/// A join by exchange while a worker is killed in a stage.
fn killed_in(stage: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let [_, (_, df), _] = scans(dir.path());
    let joined = DataFrame::concat([&df, &df, &df]).join(&other(&df), ["many"], JoinKind::Left);
    assert_same_when_killed(&joined.group_by("few").agg(folds()), stage);
}

#[test]
fn a_worker_killed_while_rows_are_exchanged_changes_nothing() {
    killed_in(1);
}

#[test]
fn a_worker_killed_while_rows_are_joined_changes_nothing() {
    killed_in(2);
}

#[test]
fn a_worker_killed_while_joined_rows_are_read_changes_nothing() {
    killed_in(3);
}
