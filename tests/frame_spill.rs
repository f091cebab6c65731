//! What goes to disk changes nothing: every verb that keeps rows, with nothing, something and everything on disk, on one thread and on
//! several, gives the same rows in the same order, to the bit.
#![cfg(feature = "frame")]

#[path = "common/property.rs"]
mod property;
#[path = "common/spill.rs"]
mod spill;

use blockwise::Session;
use blockwise::frame::arrow::array::{ArrayRef, DictionaryArray, StringArray};
use blockwise::frame::arrow::datatypes::Int32Type;
use blockwise::frame::{Column, DataFrame, JoinKind, RecordBatch, col, len, lit, row_number};
use proptest::prelude::*;
use spill::{Random, plain, same, sessions};
use std::sync::Arc;

/// Rows with keys of all kinds, of which there are about `keys` different ones, in batches.
fn frame(seed: u64, rows: usize, keys: u64, batches: usize) -> DataFrame {
    let mut r = Random(seed);
    let mut all: Vec<RecordBatch> = vec![];
    for k in 0..batches {
        let n = if k + 1 == batches { rows - rows / batches * (batches - 1) } else { rows / batches };
        let mut column =
            |f: &mut dyn FnMut(&mut Random) -> Option<i64>| (0..n).map(|_| f(&mut r)).collect::<Vec<_>>();
        let k = column(&mut |r| r.some(20, |r| r.below(keys) as i64 - 3));
        let i = column(&mut |r| r.some(9, |r| r.below(1000) as i64));
        let s: Vec<Option<String>> = (0..n)
            .map(|_| {
                r.some(15, |r| match r.below(4) {
                    0 => format!("é{}", r.below(keys)),
                    1 => String::new(),
                    _ => format!("a longer text with the number {}", r.below(keys)),
                })
            })
            .collect();
        let x: Vec<Option<f64>> = (0..n)
            .map(|_| {
                r.some(12, |r| match r.below(30) {
                    0 => f64::NAN,
                    1 => -0.0,
                    _ => r.below(1 << 20) as f64 / 1000.0 - 300.0,
                })
            })
            .collect();
        let d: DictionaryArray<Int32Type> =
            (0..n).map(|_| r.some(10, |r| ["x", "yy", "z"][r.below(3) as usize])).collect();
        let t: ArrayRef = Arc::new(StringArray::from(s.clone()));
        let batch = DataFrame::from_columns([
            ("k", Column::from(k)),
            ("i", i.into()),
            ("s", s.into()),
            ("x", x.into()),
            ("d", Column::from(Arc::new(d) as ArrayRef)),
            ("t", Column::from(t)),
        ]);
        all.push(batch.collect().unwrap().to_batch().unwrap());
    }
    DataFrame::from_batches(all)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..property::cases(6) })]

    #[test]
    fn sorts(seed in any::<u64>(), rows in 0usize..3000, keys in 1u64..3000, batches in 1usize..9) {
        let df = frame(seed, rows, keys, batches);
        let spilled = same(&df.sort([col("s").ascending(), col("x").descending()]));
        prop_assert!(spilled || rows == 0);
        same(&df.sort([col("k").descending().nulls_first()]).filter(col("i").gt(500)).select(["k", "s", "d"]));
        same(&df.sort("d").head(100));
        same(&df.sort("x").slice(rows / 2, 30));
        same(&df.sort("i").group_by("k").agg([col("s").first(), col("x").max(), col("i").last().alias("last")]));
        // sums of floats may differ in their last bits, but not by the number of threads
        let sums = df.sort("i").group_by("k").agg(col("x").sum());
        let of = |s: &Session| format!("{:?}", sums.collect_with(s).unwrap().to_batch().unwrap());
        prop_assert_eq!(of(&sessions()[1]), of(&sessions()[2]));
    }

    #[test]
    fn groups(seed in any::<u64>(), rows in 0usize..3000, keys in 1u64..3000, batches in 1usize..9) {
        let df = frame(seed, rows, keys, batches);
        let folds = [
            len(), col("x").sum(), col("x").mean().alias("mean"), col("i").min().alias("min"), col("i").max(),
            col("x").std().alias("std"), col("i").gt(5).any().alias("any"), col("i").gt(5).all().alias("all"),
        ];
        let spilled = same(&df.group_by("k").agg(folds.clone()));
        prop_assert!(spilled || rows == 0);
        same(&df.group_by(["s", "k"]).keep_nulls().agg(folds));
        same(&df.group_by(["d", "t", "i"]).agg([
            col("x").median().alias("median"), col("s").n_unique(), col("k").first().alias("first"),
            col("x").last().alias("last"), col("t").max().alias("greatest"), len(),
        ]));
        same(&df.group_by(["k"]).agg([col("i").quantile(0.3), col("s").last(), col("x").top_k(2)]).sort("k"));
        same(&df.group_by("s").agg([col("t").collect_list(), col("i").bottom_k(1)]).explode("i"));
        same(&df.select([col("x").median(), col("i").n_unique(), len()]));
        // of rows whose groups follow each other: the same groups, in the order of their keys
        let folds = [
            col("i").sum(), col("i").min().alias("min"), col("x").max().alias("max"), col("x").median().alias("median"),
            col("s").first().alias("first"), col("s").n_unique().alias("texts"), col("t").collect_list(), len(), col("i").top_k(3).alias("top"),
        ];
        for keys in [vec!["k"], vec!["d", "k"], vec!["s", "k"]] {
            let sorted = df.sort(keys.clone()).group_by(keys.clone()).keep_nulls().agg(folds.clone());
            prop_assert!(sorted.explain().unwrap().contains("keys in order"));
            same(&sorted);
            // by something else too, so that nothing is known of the order
            let other = df.sort(keys.clone()).with_columns(lit(1).alias("one"));
            let by_hash = other.group_by([&["one"], keys.as_slice()].concat()).keep_nulls().agg(folds.clone());
            prop_assert!(!by_hash.explain().unwrap().contains("keys in order"));
            let rows = |df: DataFrame| plain(&df.sort(keys.clone()).collect().unwrap().to_batch().unwrap());
            prop_assert!(rows(sorted) == rows(by_hash.drop(["one"])));
        }
    }

    #[test]
    fn joins(seed in any::<u64>(), rows in 0usize..2000, keys in 300u64..3000, batches in 1usize..6) {
        let left = frame(seed, rows, keys, batches);
        let right = frame(seed ^ 77, rows / 2, keys, batches).rename([("i", "j")]).drop(["x", "t"]);
        for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi, JoinKind::Anti] {
            let spilled = same(&left.join(&right, ["k"], kind));
            prop_assert!(spilled || rows < 2);
        }
        same(&left.join(&right, ["k", "s", "d"], JoinKind::Left));
        // of rows in the order of their keys
        for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi] {
            let join = left.sort(["k", "i"]).filter(col("i").gt(30)).join(&right.sort(["k"]), ["k"], kind);
            prop_assert_eq!(join.explain().unwrap().contains(", in order"), kind != JoinKind::Semi);
            same(&join);
        }
        same(&left.sort(["s", "k"]).join(&right.sort("s"), ["s", "k"], JoinKind::Left));
        same(&left.sort("x").join(&right.rename([("k", "x")]).sort(col("x").descending()), ["x"], JoinKind::Inner));
        let other = right.select([col("d").alias("e"), col("s")]).unique(["s"]);
        same(&left.filter(col("i").lt(800)).join(&right, ["k"], JoinKind::Inner).join(&other, ["s"], JoinKind::Left)
            .with_columns((col("i") + col("j")).alias("sum")).group_by("d").agg([col("sum").sum(), len()]));
    }

    #[test]
    fn functions_of_rows_in_order(seed in any::<u64>(), rows in 0usize..3000, keys in 1u64..300, batches in 1usize..9) {
        let df = frame(seed, rows, keys, batches);
        let made = df.with_columns([
            col("s").shift(3).over(["k"]).alias("before"),
            col("s").shift(-2).over(["d"]).alias("after"),
            col("x").cum_sum().over(["d"]).alias("sum"),
            col("x").rolling(5).min_periods(2).mean().alias("mean"),
            col("i").backward_fill().alias("filled"),
            row_number().over(["d", "k"]).alias("n"),
        ]);
        same(&made);
        let spilled = same(&made.filter(col("n").lt(9)).group_by("d").agg([col("sum").max(), col("mean").min(), len()]));
        prop_assert!(spilled || rows == 0);
        same(&df.sort("i").with_columns(col("x").diff(1).over(["k"]).alias("dx")).tail(100));
        same(&df.sample(0.5, 9).group_by("k").agg(len()));
    }

    #[test]
    fn firsts_and_slices(seed in any::<u64>(), rows in 0usize..3000, keys in 1u64..3000, batches in 1usize..9) {
        let df = frame(seed, rows, keys, batches);
        let spilled = same(&df.unique(["k", "d"]));
        prop_assert!(spilled || rows == 0);
        same(&df.unique(["s"]).sort("x"));
        same(&df.unique(Vec::<&str>::new()).slice(5, 1000).group_by("d").agg(len()));
        same(&df.slice(rows / 3, rows / 2).sort("k").head(1000));
        let spilled = same(&df.tail(rows / 2 + 1).filter(col("i").lt(900)).group_by("d").agg(len()));
        prop_assert!(spilled || rows == 0);
    }
}

/// Tables of keys that are cut into parts, with one row a key and with many, of one word and of more.
#[test]
fn very_many_keys() {
    let rows = |seed, n: usize, keys: u64| {
        let mut r = Random(seed);
        let k: Vec<Option<i64>> = (0..n).map(|_| r.some(50, |r| r.below(keys) as i64 - 9)).collect();
        let s: Vec<String> = (0..n).map(|_| format!("text {}", r.below(keys))).collect();
        let i: Vec<i64> = (0..n as i64).collect();
        DataFrame::from_columns([("k", Column::from(k)), ("s", s.into()), ("i", i.into())])
    };
    let left = rows(1, 100_000, 60_000);
    for keys in [90_000, 1 << 40] {
        let right = rows(2, 200_000, keys).rename([("i", "j")]);
        let by_key = left.join(&right, ["k"], JoinKind::Inner);
        assert!(same(&by_key));
        same(&left.join(&right, ["s"], JoinKind::Left).select(["k", "s", "j"]));
        same(&left.join(&right, ["k", "s"], JoinKind::Anti));
        // against a loop
        let column = |df: &DataFrame, name: &str| df.collect().unwrap().values::<i64>(name).unwrap();
        let mut of_key: std::collections::HashMap<i64, Vec<i64>> = Default::default();
        for (k, j) in column(&right, "k").into_iter().zip(column(&right, "j")) {
            if let (Some(k), Some(j)) = (k, j) {
                of_key.entry(k).or_default().push(j);
            }
        }
        let pairs = column(&left, "k").into_iter().zip(column(&left, "i"));
        let want: Vec<(Option<i64>, Option<i64>)> = pairs
            .flat_map(|(k, i)| {
                let js = k.and_then(|k| of_key.get(&k)).cloned().unwrap_or_default();
                js.into_iter().map(move |j| (i, Some(j)))
            })
            .collect();
        let got: Vec<_> = column(&by_key, "i").into_iter().zip(column(&by_key, "j")).collect();
        assert_eq!(got, want);
    }
}

/// More groups than are put in the order of first rows, and keys that all differ.
#[test]
fn very_many_groups() {
    let df = frame(5, 300_000, 1 << 40, 3);
    assert!(same(&df.group_by(["k", "s"]).agg([col("x").sum(), col("i").median(), len()])));
    assert!(same(&df.group_by(["x"]).agg([len()]).filter(col("len").gt(1))));
    // most rows are groups of their own, but not all
    let df = frame(6, 300_000, 1_000_000, 2);
    assert!(same(&df.group_by("k").agg([col("x").sum(), col("s").first(), len()])));
    assert!(same(&df.group_by(["s", "k"]).agg([col("i").top_k(1), col("x").std()])));
}

/// A small table with a large one on its right: the large one goes by, and is not kept.
#[test]
fn a_small_left_side_is_kept() {
    let left = frame(3, 60, 40, 2);
    let right = frame(4, 9000, 2000, 5).rename([("i", "j"), ("x", "y"), ("s", "text")]);
    let joins = [
        left.join(&right, ["k"], JoinKind::Inner),
        left.join(&right, ["d", "t"], JoinKind::Inner).filter(col("j").gt(500)).select(["j", "k", "t"]),
        left.join_on(&right, ["s", "k"], ["text", "k"], JoinKind::Inner, "_right"),
    ];
    for join in joins {
        assert!(same(&join));
        // one that has room for the small table, not for the large one
        let session =
            Session::builder().threads(2).spill_above(400_000).memory_limit("256MiB").build().unwrap();
        let rows = join.collect_with(&session).unwrap();
        assert!(rows.num_rows() > 0);
        assert_eq!(session.last_summary().unwrap().bytes_spilled, 0, "{join:?}");
    }
}

/// Sides in the order of their keys, of which a few rows of the left are all over the right one, some without a key.
#[test]
fn a_sparse_left_side_in_order() {
    let right = DataFrame::from_columns([
        ("k", Column::from((0..1_000_000i64).collect::<Vec<_>>())),
        ("v", (0..1_000_000i64).map(|v| v * 7 % 1000).collect::<Vec<_>>().into()),
    ]);
    let keys: Vec<Option<i64>> = (0..2000).map(|i| (i % 50 != 0).then_some(i * 613 - 5000)).collect();
    let partners = keys.iter().flatten().filter(|k| (0..1_000_000).contains(*k)).count();
    let left =
        DataFrame::from_columns([("k", Column::from(keys)), ("i", (0..2000i64).collect::<Vec<_>>().into())]);
    let small = Session::builder().threads(2).memory_limit("32MiB").build().unwrap();
    for kind in [JoinKind::Left, JoinKind::Inner] {
        // a function of batches hides how few rows there are
        let schema = left.schema().unwrap();
        let unknown = left.map_batches(&schema, Ok).sort("k");
        let join = unknown.join(&right.sort("k"), ["k"], kind);
        assert!(join.explain().unwrap().contains(", in order"));
        let got = join.collect_with(&small).unwrap().to_batch().unwrap();
        assert!(small.last_summary().unwrap().bytes_spilled > 0);
        let want = join.collect_with(&sessions()[0]).unwrap().to_batch().unwrap();
        assert!(plain(&got) == plain(&want));
        assert_eq!(want.num_rows(), if kind == JoinKind::Left { 2000 } else { partners });
    }
}
