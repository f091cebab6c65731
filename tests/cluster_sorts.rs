//! Sorts of dataframes on clusters: runs are sorted span by span, cut by ranges of keys, and each range is merged by one worker.
#![cfg(feature = "cluster")]

#[path = "common/cluster.rs"]
mod common;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/spill.rs"]
mod spill;

use blockwise::frame::{DataFrame, JoinKind, col, len, row_number, scan_parquet};
use rows::{assert_same, assert_same_when_killed, assert_same_with, cluster, frame, scans};

fn check_all(workers: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let [(_, parquet), (_, csv), _] = scans(dir.path());
    let cluster = cluster(workers);
    let client = cluster.client().expect("connected");
    let same = |df: &DataFrame, what: &str| assert_same(&client, df, &format!("{what}, {workers} workers"));
    assert_eq!(same(&parquet.sort(["few", "x"]), "texts and floats"), 240_000);
    // equal keys stay in the order of the files
    assert_eq!(same(&csv.sort(col("n").descending().nulls_first()), "descending"), 240_000);
    let sorted = csv.filter(col("n").lt(700)).sort("x");
    let rows = sorted.with_columns([row_number().alias("row"), col("n").cum_sum().alias("sum")]);
    assert!(same(&rows, "rows in the new order") > 100_000);
    // parts of the sorted rows shape the sums
    let folds = [col("x").sum().alias("sum"), col("x").std().alias("std"), len()];
    assert_eq!(same(&sorted.group_by("few").agg(folds.clone()), "groups of sorted rows"), 9);
    assert_eq!(same(&sorted.select(folds), "folds of sorted rows"), 1);
    assert_eq!(same(&sorted.sort("n").head(1234), "a sort of a sort"), 1234);
    if workers != 2 {
        return;
    }
    assert_eq!(same(&csv.filter(col("many").lt(-9)).sort("x"), "no rows"), 0);
    let one = dir.path().join("one.parquet");
    frame(5, 9000, 40).write_parquet(&one).expect("written");
    assert_eq!(same(&scan_parquet(&one).sort("x"), "one file"), 9000);
    let joined = parquet.join(&csv.select([col("many"), col("x").alias("y")]), "many", JoinKind::Left);
    assert!(same(&joined.sort(["y", "few"]), "a sort of a join") > 240_000);
    // the kept side of a join in the order of a sort, put together by all workers
    let first = csv.sort("x").filter(col("n").lt(40)).select([col("many"), col("x").alias("y")]);
    assert!(same(&parquet.join(&first, "many", JoinKind::Inner), "a join with sorted rows") > 1000);
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
fn sorts_that_go_to_disk_give_the_local_runs_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let [_, (_, csv), _] = scans(dir.path());
    let all = DataFrame::concat([&csv, &csv]).sort(["n", "x"]);
    let folds = [col("x").sum().alias("sum"), len()];
    assert_eq!(assert_same_with(24 << 20, &all.group_by("few").agg(folds), "groups of sorted rows"), 9);
}

fn killed_in(stage: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let [_, (_, csv), _] = scans(dir.path());
    assert_same_when_killed(&DataFrame::concat([&csv, &csv]).sort(["n", "x"]), stage);
}

#[test]
fn a_worker_killed_while_runs_are_cut_changes_nothing() {
    killed_in(1);
}

#[test]
fn a_worker_killed_while_ranges_are_merged_changes_nothing() {
    killed_in(2);
}
