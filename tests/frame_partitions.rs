//! Folds of the user's, functions of groups and of partitions, and how rows are cut into partitions.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/property.rs"]
mod property;
#[path = "common/spill.rs"]
mod spill;

use blockwise::error::ErrorKind;
use blockwise::frame::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use blockwise::frame::arrow::datatypes::{Float64Type, Int64Type};
use blockwise::frame::{
    Column, DataFrame, DataType, Field, FileFormat, IpcOptions, JoinKind, Partition, RecordBatch, Schema,
    UserFold, col, len, lit, scan_ipc,
};
use blockwise::{Result, Session};
use frames::collect;
use proptest::prelude::*;
use spill::{Random, same};
use std::collections::BTreeMap;
use std::sync::Arc;

type Row = (Option<String>, Option<i64>, Option<f64>);

/// Rows in batches, the first of them empty.
fn rows(seed: u64, rows: usize, keys: u64, batches: usize) -> (DataFrame, Vec<Row>) {
    let mut r = Random(seed);
    let all: Vec<Row> = (0..rows)
        .map(|_| {
            let s = r.some(11, |r| match r.below(keys) {
                0 => String::new(),
                n => format!("é{n}"),
            });
            let x = r.some(5, |r| if r.below(20) == 0 { f64::NAN } else { r.below(50) as f64 - 20.0 });
            (s, r.some(6, |r| r.below(100) as i64), x)
        })
        .collect();
    let batch = |some: &[Row]| {
        let df = DataFrame::from_columns([
            ("s", Column::from(some.iter().map(|r| r.0.clone()).collect::<Vec<_>>())),
            ("i", some.iter().map(|r| r.1).collect::<Vec<_>>().into()),
            ("x", some.iter().map(|r| r.2).collect::<Vec<_>>().into()),
        ]);
        df.collect().unwrap().to_batch().unwrap()
    };
    let mut made = vec![batch(&[])];
    made.extend(all.chunks(rows.div_ceil(batches).max(1)).map(batch));
    (DataFrame::from_batches(made), all)
}

fn one(v: Option<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(vec![v]))
}

/// The weighted mean of `x` by `i`: of two columns, with two columns of state.
fn weighted_mean() -> UserFold {
    let float = DataType::Float64;
    let chunk = |c: &[ArrayRef]| {
        let pairs = c[0].as_primitive::<Float64Type>().iter().zip(c[1].as_primitive::<Int64Type>());
        let (mut sum, mut weight) = (0.0, 0.0);
        for (x, w) in pairs.filter_map(|(x, w)| Some((x.filter(|x| !x.is_nan())?, w?))) {
            (sum, weight) = (sum + x * w as f64, weight + w as f64);
        }
        Ok(vec![one(Some(sum)), one(Some(weight))])
    };
    let combine = |s: &[ArrayRef]| {
        let sum = |c: &ArrayRef| one(Some(c.as_primitive::<Float64Type>().values().iter().sum()));
        Ok(vec![sum(&s[0]), sum(&s[1])])
    };
    let finish = |s: &[ArrayRef]| -> Result<ArrayRef> {
        let (sum, weight) = (s[0].as_primitive::<Float64Type>(), s[1].as_primitive::<Float64Type>());
        let pairs = sum.values().iter().zip(weight.values());
        Ok(Arc::new(pairs.map(|(s, w)| (*w > 0.0).then(|| s / w)).collect::<Float64Array>()))
    };
    UserFold::new("weighted_mean", [float.clone(), float.clone()], float, chunk, combine, finish)
}

/// All texts of a group in order, nulls as `-`.
fn joined() -> UserFold {
    let join = |c: &[ArrayRef]| {
        let all: String = c[0].as_string::<i32>().iter().map(|t| t.unwrap_or("-")).collect();
        Ok(vec![Arc::new(StringArray::from(vec![all])) as ArrayRef])
    };
    UserFold::new("joined", [DataType::Utf8], DataType::Utf8, join, join, |s| Ok(s[0].clone()))
}

fn by_key(all: &[Row]) -> (Vec<String>, BTreeMap<String, Vec<Row>>) {
    let (mut order, mut groups) = (vec![], BTreeMap::<String, Vec<Row>>::new());
    for row in all {
        let Some(key) = &row.0 else { continue };
        if !groups.contains_key(key) {
            order.push(key.clone());
        }
        groups.entry(key.clone()).or_default().push(row.clone());
    }
    (order, groups)
}

fn mean_of(rows: &[Row]) -> Option<f64> {
    let pairs = rows.iter().filter_map(|r| Some((r.2.filter(|x| !x.is_nan())?, r.1? as f64)));
    let (sum, weight) = pairs.fold((0.0, 0.0), |(s, t), (x, w)| (s + x * w, t + w));
    (weight > 0.0).then(|| sum / weight)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..property::cases(5) })]

    #[test]
    fn folds(seed in any::<u64>(), n in 0usize..2500, keys in 1u64..900, batches in 1usize..9) {
        let (df, all) = rows(seed, n, keys, batches);
        let folds = [weighted_mean().of(["x", "i"]).alias("mean"), joined().of("s").alias("joined"), len()];
        let grouped = df.group_by("s").agg(folds.clone());
        prop_assert!(same(&grouped) || n == 0);
        same(&df.group_by(["i", "s"]).keep_nulls().agg(folds.clone()));
        // of rows in the order of the keys
        same(&df.sort("s").group_by("s").agg([joined().of("s").alias("joined"), len()]));
        let table = collect(&grouped);
        let (order, groups) = by_key(&all);
        prop_assert_eq!(table.texts("s").unwrap(), order.iter().cloned().map(Some).collect::<Vec<_>>());
        frames::all_close(table.values("mean").unwrap(), order.iter().map(|k| mean_of(&groups[k])).collect());
        let texts = order.iter().map(|k| Some(k.repeat(groups[k].len()))).collect::<Vec<_>>();
        prop_assert_eq!(table.texts("joined").unwrap(), texts);
        // of the whole frame: in the order of rows
        let whole = df.select([weighted_mean().of([col("x"), lit(1i64)]), joined().of("s")]);
        same(&whole);
        let whole = collect(&whole);
        let texts: String = all.iter().map(|r| r.0.as_deref().unwrap_or("-")).collect();
        prop_assert_eq!(whole.texts("s").unwrap(), [Some(texts)]);
        let ones: Vec<Row> = all.iter().map(|r| (None, Some(1), r.2)).collect();
        frames::all_close(whole.values("x").unwrap(), vec![mean_of(&ones)]);
    }

    #[test]
    fn functions_of_groups(seed in any::<u64>(), n in 0usize..2500, keys in 1u64..900, batches in 1usize..9) {
        let (df, all) = rows(seed, n, keys, batches);
        let schema = Schema::new(vec![Field::new("s", DataType::Utf8, true), Field::new("is", DataType::Utf8, true)]);
        let to = Arc::new(schema.clone());
        // two rows a group: its key, and all its numbers; then how many there are
        let f = move |rows: RecordBatch| {
            let i = rows.column(1).as_primitive::<Int64Type>();
            let all: String = i.iter().map(|i| format!("{i:?},")).collect();
            let key = rows.column(0).slice(0, 1);
            let key = blockwise::frame::arrow::compute::concat(&[&key, &key]).unwrap();
            let texts = StringArray::from(vec![all, i.len().to_string()]);
            Ok(RecordBatch::try_new(to.clone(), vec![key, Arc::new(texts)]).unwrap())
        };
        let mapped = df.group_by("s").map_groups(&schema, f.clone());
        prop_assert!(same(&mapped) || n == 0);
        let table = collect(&mapped);
        let (order, groups) = by_key(&all);
        let want = order.iter().flat_map(|k| {
            let all: String = groups[k].iter().map(|r| format!("{:?},", r.1)).collect();
            [Some(all), Some(groups[k].len().to_string())]
        });
        prop_assert_eq!(table.texts("is").unwrap(), want.collect::<Vec<_>>());
        prop_assert_eq!(table.texts("s").unwrap(), order.iter().flat_map(|k| [Some(k.clone()), Some(k.clone())]).collect::<Vec<_>>());
        same(&df.group_by(["s", "x"]).keep_nulls().map_groups(&schema, f.clone()).sort("is"));
        // without keys all rows are one group
        let whole = collect(&df.group_by(Vec::<&str>::new()).map_groups(&schema, f));
        prop_assert_eq!(whole.num_rows(), if n == 0 { 0 } else { 2 });
    }

    #[test]
    fn partitions(seed in any::<u64>(), n in 0usize..2500, keys in 1u64..60, batches in 1usize..9, parts in 1usize..40) {
        let (df, all) = rows(seed, n, keys, batches);
        let show = |rows: &[Row]| rows.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>();
        let got = |df: &DataFrame| -> Vec<Vec<String>> {
            collect(df).batches().iter().map(|b| {
                let (s, i, x) = (b.column(0).as_string::<i32>(), b.column(1).as_primitive::<Int64Type>(), b.column(2).as_primitive::<Float64Type>());
                let row = |((s, i), x): ((Option<&str>, _), _)| (s.map(str::to_owned), i, x);
                show(&s.iter().zip(i).zip(x).map(row).collect::<Vec<Row>>())
            }).collect()
        };
        let lens = |df: &DataFrame| collect(&df.partitions()).values::<i64>("rows").unwrap().into_iter().flatten().collect::<Vec<_>>();
        // in their order
        let by_rows = df.repartition(Partition::rows(parts));
        let want: Vec<Vec<String>> = all.chunks(parts).map(show).collect();
        prop_assert_eq!(got(&by_rows), want);
        let by_count = df.repartition(Partition::count(parts));
        let found = got(&by_count);
        prop_assert_eq!(found.concat(), show(&all));
        prop_assert_eq!(found.len(), parts.min(n));
        prop_assert!(found.iter().all(|p| p.len().abs_diff(n / parts) <= 1));
        prop_assert_eq!(by_count.n_partitions().unwrap(), parts.min(n));
        // by keys: all rows of a key in one, in their order
        let by_hash = df.repartition(Partition::by_hash(["s", "i"], parts));
        let found = got(&by_hash);
        prop_assert!(found.len() <= parts);
        let key = |r: &Row| format!("{:?}", (&r.0, &r.1));
        for p in &found {
            let mine: Vec<&Row> = all.iter().filter(|r| p.contains(&format!("{r:?}"))).collect();
            prop_assert_eq!(p.len(), all.iter().filter(|r| mine.iter().any(|m| key(m) == key(r))).count());
            // one after the other, in their order
            let of_key = |k: &str| mine.iter().filter(|r| key(r) == k).map(|r| format!("{r:?}")).collect::<Vec<_>>();
            let mut keys: Vec<String> = vec![];
            for row in p {
                let k = key(mine.iter().find(|r| format!("{r:?}") == *row).unwrap());
                if keys.last() != Some(&k) {
                    keys.push(k);
                }
            }
            prop_assert_eq!(p, &keys.iter().flat_map(|k| of_key(k)).collect::<Vec<_>>());
        }
        prop_assert_eq!(lens(&by_hash), found.iter().map(|p| p.len() as i64).collect::<Vec<_>>());
        // in the order of keys, NaN and null one key each
        for name in ["s", "x"] {
            let by_range = df.repartition(Partition::by_range(name, parts));
            let found = got(&by_range);
            prop_assert_eq!(found.concat(), got(&df.sort(name)).concat());
            prop_assert!(found.len() <= parts);
            let place = |row: &String| if name == "s" { row.split(", ").next().unwrap().to_owned() } else { row.rsplit(", ").next().unwrap().replace("-0.0", "0.0") };
            for two in found.windows(2) {
                prop_assert_ne!(place(two[0].last().unwrap()), place(&two[1][0]));
            }
            prop_assert_eq!(lens(&by_range), found.iter().map(|p| p.len() as i64).collect::<Vec<_>>());
            same(&by_range);
        }
        for df in [by_rows, by_count, by_hash] {
            same(&df);
            same(&df.partitions());
            let first = df.filter(col("i").lt(90)).with_columns((col("i") + 1).alias("j")).select(["j", "s"]);
            let counted = first.map_partitions(first.schema().unwrap().as_ref(), |rows| Ok(rows.slice(rows.num_rows() - 1, 1)));
            same(&counted);
        }
    }
}

/// A result's rows as text, in an order of their own.
fn as_set(df: &DataFrame) -> Vec<String> {
    let table = collect(df).to_batch().unwrap();
    let columns: Vec<_> = table
        .columns()
        .iter()
        .map(|c| {
            blockwise::frame::arrow::util::display::ArrayFormatter::try_new(c, &Default::default()).unwrap()
        })
        .collect();
    let mut rows: Vec<String> = (0..table.num_rows())
        .map(|i| columns.iter().map(|c| c.value(i).to_string()).collect::<Vec<_>>().join("|"))
        .collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..property::cases(6) })]

    #[test]
    fn groups_and_joins_of_partitions(seed in any::<u64>(), n in 0usize..2500, keys in 1u64..900, batches in 1usize..9, parts in 1usize..40) {
        let (df, _) = rows(seed, n, keys, batches);
        let folds = [
            len(), col("i").sum().alias("sum"), col("i").min().alias("min"), col("x").max().alias("max"), col("x").median().alias("median"),
            col("i").first().alias("first"), col("i").n_unique().alias("different"),
        ];
        let is_in_order = |df: &DataFrame| df.explain().unwrap().contains("in order: ");
        let cut = df.repartition(Partition::by_hash(["s"], parts));
        for (by, keys) in [(&["s"][..], &["s"][..]), (&["s"], &["x", "s"]), (&["s", "i"], &["s", "i"])] {
            let cut = df.repartition(Partition::by_hash(by.to_vec(), parts)).filter(col("x").gt(-15));
            let found = cut.group_by(keys.to_vec()).keep_nulls().agg(folds.clone());
            let plain = df.filter(col("x").gt(-15)).group_by(keys.to_vec()).keep_nulls().agg(folds.clone());
            prop_assert!(is_in_order(&found) && !is_in_order(&plain));
            prop_assert_eq!(as_set(&found), as_set(&plain));
            same(&found);
        }
        // of fewer keys than rows are partitioned by, nothing is known
        prop_assert!(!is_in_order(&df.repartition(Partition::by_hash(["s", "i"], parts)).group_by("s").agg(len())));
        // sides cut into different numbers of partitions meet all the same; under other names too
        let (right, _) = rows(seed ^ 5, n / 2, keys, 3);
        let right = right.rename([("s", "t"), ("x", "y")]);
        let cut_right = right.repartition(Partition::by_hash("t", 7)).filter(col("i").lt(80));
        for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full, JoinKind::Semi, JoinKind::Anti] {
            let join = cut.join_on(&cut_right, ["s"], ["t"], kind, "_right");
            prop_assert_eq!(join.explain().unwrap().contains("1 keys, in order"), false);
            prop_assert_eq!(join.explain().unwrap().contains("2 keys, in order"), !matches!(kind, JoinKind::Semi | JoinKind::Anti));
            let plain = df.join_on(&right.filter(col("i").lt(80)), ["s"], ["t"], kind, "_right");
            prop_assert_eq!(join.schema().unwrap(), plain.schema().unwrap());
            prop_assert_eq!(as_set(&join), as_set(&plain));
            same(&join);
        }
    }

    /// Groups that have the same hash come mixed.
    #[test]
    fn groups_with_one_hash(seed in any::<u64>(), n in 0usize..3000, hashes in 1i64..200, batches in 1usize..9) {
        let (df, _) = rows(seed, n, 50, batches);
        let hashed = df.with_columns((col("i").fill_null(7) % hashes).alias("\0hash")).sort("\0hash");
        for folds in [vec![len(), col("x").max()], vec![len(), col("x").max(), col("i").n_unique().alias("different")]] {
            let found = hashed.group_by(["\0hash", "s", "i"]).keep_nulls().agg(folds.clone());
            prop_assert!(found.explain().unwrap().contains("3 keys in order"));
            let plain = df.group_by(["s", "i"]).keep_nulls().agg(folds);
            prop_assert_eq!(as_set(&found.drop("\0hash")), as_set(&plain));
            same(&found);
        }
    }
}

/// A function of large partitions, of which each is of several spans.
#[test]
fn functions_of_large_partitions() {
    let n = 12_000_000i64;
    let df = DataFrame::from_columns([("i", Column::from((0..n).collect::<Vec<_>>()))]);
    let schema = Schema::new(vec![Field::new("sum", DataType::Int64, true)]);
    let sum = |rows: RecordBatch| {
        let sum: i64 = rows.column(0).as_primitive::<Int64Type>().values().iter().sum();
        let schema = Schema::new(vec![Field::new("sum", DataType::Int64, true)]);
        Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![sum]))]).unwrap())
    };
    let each = 1_100_000;
    let want: Vec<Option<i64>> =
        (0..n).step_by(each as usize).map(|at| Some((at..n.min(at + each)).sum())).collect();
    for limit in ["1GiB", "288MiB"] {
        let session = Session::builder().threads(3).memory_limit(limit).build().unwrap();
        let parts = df.repartition(Partition::rows(each as usize));
        let sums = parts.map_partitions(&schema, sum).collect_with(&session).unwrap();
        assert_eq!(sums.values::<i64>("sum").unwrap(), want);
        let again = parts.filter(col("i").ge(0)).select(col("i").sum()).collect_with(&session).unwrap();
        assert_eq!(again.values::<i64>("i").unwrap(), [Some(n * (n - 1) / 2)]);
    }
}

/// As many partitions as rows: each costs the same, however many there are.
#[test]
fn partitions_of_one_row() {
    let n = 200_000i64;
    let df = DataFrame::from_columns([("i", Column::from((0..n).collect::<Vec<_>>()))]);
    let parts = df.repartition(Partition::rows(1));
    let mapped = parts.map_partitions(df.schema().unwrap().as_ref(), Ok);
    for df in [&parts, &mapped] {
        assert_eq!(collect(df).values::<i64>("i").unwrap(), (0..n).map(Some).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_for_every_partition() {
    let (df, all) = rows(9, 3000, 50, 4);
    let dir = tempfile::tempdir().unwrap();
    let by_rows = df.repartition(Partition::rows(700)).filter(col("i").ge(0));
    let to = dir.path().join("rows");
    by_rows.write_partitions(&to, FileFormat::Ipc(IpcOptions::default())).unwrap();
    for (k, some) in all.chunks(700).enumerate() {
        let found = collect(&scan_ipc(to.join(format!("part-{k:05}.arrow"))));
        let want: Vec<Option<i64>> = some.iter().map(|r| r.1).filter(Option::is_some).collect();
        assert_eq!(found.values::<i64>("i").unwrap(), want);
    }
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 5);
    assert_eq!(as_set(&scan_ipc(&to)), as_set(&df.filter(col("i").ge(0))));
    let again = by_rows.write_partitions(&to, FileFormat::JsonLines).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    // rows of a key are in one file, and files are read in the order of partitions
    let by_hash = df.repartition(Partition::by_hash("s", 12));
    let to = dir.path().join("hash");
    by_hash.write_partitions(&to, FileFormat::Ipc(IpcOptions::default())).unwrap();
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), by_hash.n_partitions().unwrap());
    let (read, kept) = (collect(&scan_ipc(&to)), collect(&by_hash));
    assert_eq!(read.to_batch().unwrap(), kept.to_batch().unwrap());
    // without rows there are columns all the same
    let to = dir.path().join("none");
    by_hash.filter(col("i").gt(1000)).write_partitions(&to, FileFormat::Ipc(IpcOptions::default())).unwrap();
    assert_eq!(scan_ipc(&to).columns().unwrap(), ["s", "i", "x"]);
    let e = df.write_partitions(dir.path().join("no"), FileFormat::JsonLines).unwrap_err().to_string();
    assert!(e.contains("repartition") && !dir.path().join("no").exists(), "{e}");
}

/// Files of the parts of rows, which are written side by side.
#[test]
fn a_file_for_every_part_of_the_rows() {
    let n = 2_500_000i64;
    let df = DataFrame::from_columns([("i", Column::from((0..n).collect::<Vec<_>>()))]);
    let dir = tempfile::tempdir().unwrap();
    let lens = |to: &std::path::Path| -> Vec<usize> {
        let files = std::fs::read_dir(to).unwrap().count();
        (0..files).map(|k| scan_ipc(to.join(format!("part-{k:05}.arrow"))).num_rows().unwrap()).collect()
    };
    let ipc = FileFormat::Ipc(IpcOptions::default());
    let write = |df: &DataFrame, name: &str, threads: usize| {
        let (to, schema) = (dir.path().join(name), df.schema().unwrap());
        let session = Session::builder().threads(threads).build().unwrap();
        df.write_with(ipc.create_directory(&to, schema).unwrap(), &session).unwrap();
        to
    };
    // parts of memory are a million rows; a part of which no row is wanted has no file
    let some = df.filter(col("i").lt(5).or(col("i").gt(2_200_000)));
    for threads in [1, 3] {
        let to = write(&some, &format!("some-{threads}"), threads);
        assert_eq!(lens(&to), [5, 299_999]);
        let want: Vec<Option<i64>> = (0..5).chain(2_200_001..n).map(Some).collect();
        assert_eq!(collect(&scan_ipc(&to)).values::<i64>("i").unwrap(), want);
    }
    // rows that become large are cut into several
    let wide = df
        .head(1_000_000)
        .with_columns((col("i") % 7).cast(DataType::Utf8).str().pad_start(90, 'x').alias("t"));
    let to = write(&wide, "wide", 2);
    assert_eq!(lens(&to).iter().sum::<usize>(), 1_000_000);
    assert_eq!(lens(&to).len(), 2);
    assert_eq!(
        collect(&scan_ipc(&to)).values::<i64>("i").unwrap(),
        (0..1_000_000).map(Some).collect::<Vec<_>>()
    );
    // none at all
    let to = write(&df.filter(col("i").lt(0)), "none", 2);
    assert_eq!((lens(&to), scan_ipc(&to).columns().unwrap()), (vec![0], vec!["i".to_owned()]));
    let e = df.write_directory(&to, &ipc).unwrap_err().to_string();
    assert!(e.contains("is there already"), "{e}");
    // what fails leaves nothing
    let fails = df.map_batches(&df.schema().unwrap(), |rows: RecordBatch| {
        match rows.column(0).as_primitive::<Int64Type>().value(0) > 2_000_000 {
            true => Err(blockwise::Error::invalid("mine", "no more")),
            false => Ok(rows),
        }
    });
    let e = fails.write_directory(dir.path().join("fails"), &ipc).unwrap_err().to_string();
    assert!(e.contains("no more"), "{e}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn what_is_known_of_order_and_partitions() {
    let (df, _) = rows(3, 100, 20, 2);
    let by_range = df.repartition(Partition::by_range(["s", "i"], 4));
    let known = |df: &DataFrame| {
        df.relation().unwrap().partitioned_by().iter().map(|n| n.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(known(&by_range), ["s", "i"]);
    assert_eq!(known(&by_range.filter(col("i").gt(3)).rename([("s", "t")])), ["t", "i"]);
    assert!(known(&by_range.drop("i")).is_empty());
    assert_eq!(known(&df.repartition(Partition::by_hash("x", 3))), ["x"]);
    assert!(known(&df.repartition(Partition::rows(3))).is_empty() && known(&df).is_empty());
    // what is in order is not sorted again
    let sorts = |df: &DataFrame| {
        let plan = df.explain().unwrap();
        plan[plan.find("pipeline 0").unwrap()..].matches("sort by").count()
    };
    assert_eq!(sorts(&by_range.sort("s")), sorts(&by_range));
    assert_eq!(sorts(&by_range.filter(col("i").gt(3)).sort(["s", "i"])), sorts(&by_range));
    assert_eq!(sorts(&by_range.sort("i")), sorts(&by_range) + 1);
    assert_eq!(sorts(&df.sort("s").with_columns(lit(1).alias("s")).sort("s")), sorts(&df.sort("s")) + 1);
    let plan = by_range.explain().unwrap();
    assert!(plan.contains("partitions: 4 ranges of s, i"), "{plan}");
    // a column that nobody wants is not read
    let plan = df.repartition(Partition::rows(7)).select("i").explain().unwrap();
    assert!(plan.split("optimized").nth(1).unwrap().contains("scan memory [i]"), "{plan}");
}

#[test]
fn errors_name_what_is_wrong() {
    let (df, _) = rows(3, 100, 20, 2);
    let schema = df.schema().unwrap();
    let e = |df: DataFrame| df.collect().unwrap_err().to_string();
    for by in [
        Partition::rows(0),
        Partition::count(0),
        Partition::by_hash("s", 0),
        Partition::by_hash(Vec::<&str>::new(), 2),
    ] {
        assert!(e(df.repartition(by)).contains("repartition"));
    }
    assert!(e(df.repartition(Partition::by_range("S", 2))).contains("did you mean \"s\""));
    assert!(e(df.map_partitions(&schema, Ok)).contains("repartition"));
    assert!(
        e(df.repartition(Partition::rows(3)).head(5).map_partitions(&schema, Ok)).contains("repartition")
    );
    assert!(df.n_partitions().is_err());
    let message = e(df.group_by("s").map_groups(&schema, |_| panic!("no")));
    assert!(message.contains("map_groups: the function panicked"), "{message}");
    let message = e(df.group_by("s").map_groups(&schema, |rows| Ok(rows.project(&[0]).unwrap())));
    assert!(message.contains("map_groups") && message.contains("declared"), "{message}");
    let message = e(df.group_by("k").map_groups(&schema, Ok));
    assert!(message.contains("\"k\""), "{message}");

    let fold = |chunk: fn(&[ArrayRef]) -> Result<Vec<ArrayRef>>| {
        UserFold::new(
            "mine",
            [DataType::Float64],
            DataType::Float64,
            chunk,
            |s| Ok(vec![s[0].slice(0, 1)]),
            |s| Ok(s[0].clone()),
        )
    };
    let fails = [
        fold(|_| panic!("no")),
        fold(|_| Ok(vec![])),
        fold(|_| Ok(vec![one(None), one(None)])),
        fold(|_| Ok(vec![Arc::new(Int64Array::from(vec![1]))])),
        fold(|c| Ok(vec![Arc::new(Float64Array::from(vec![0.0; c[0].len() + 2]))])),
    ];
    for fold in fails {
        for df in [df.select(fold.of("x")), df.group_by("s").agg(fold.of("x"))] {
            let message = e(df);
            assert!(message.contains("panicked") || message.contains("declared"), "{message}");
        }
    }
    let short = UserFold::new(
        "short",
        [DataType::Float64],
        DataType::Float64,
        |_| Ok(vec![one(None)]),
        |_| Ok(vec![one(None)]),
        |s| Ok(s[0].slice(0, 0)),
    );
    assert!(e(df.select(short.of("x"))).contains("wanted"));
    assert!(e(df.select(short.of("y"))).contains("\"y\""));
    assert!(e(df.select(short.of(Vec::<&str>::new()).alias("none"))).contains("no columns"));
    let nothing =
        UserFold::new("nothing", [], DataType::Float64, |_| Ok(vec![]), |_| Ok(vec![]), |s| Ok(s[0].clone()));
    assert!(e(df.group_by("s").agg(nothing.of("x"))).contains("no columns"));
    let pivoted = df.pivot("s", "i", [1, 2], joined().of("s"));
    assert!(e(pivoted).contains("fold of your own"));
}

#[test]
fn a_group_that_memory_does_not_hold_is_an_error() {
    let n = 300_000i64;
    let df = DataFrame::from_columns([
        ("k", vec![1; n as usize].into()),
        ("v", (0..n).collect::<Vec<_>>().into()),
    ]);
    let session =
        |limit: &str| Session::builder().threads(2).memory_limit(limit).spill_above(0).build().unwrap();
    let mapped = df.group_by("k").map_groups(df.schema().unwrap().as_ref(), |rows| Ok(rows.slice(0, 1)));
    let e = mapped.collect_with(&session("6MiB")).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::MemoryLimit { .. }) && e.to_string().contains("map_groups"), "{e}");
    assert_eq!(mapped.collect_with(&session("64MiB")).unwrap().num_rows(), 1);
}

/// Where a group is cut by the ends of spans, a fold's `finish` still sees it whole.
#[test]
fn folds_are_finished_of_whole_groups() {
    let df =
        DataFrame::from_columns([("k", Column::from((0..6000i64).map(|i| i * 7 % 15).collect::<Vec<_>>()))]);
    let count = |n: i64| Arc::new(Int64Array::from(vec![n])) as ArrayRef;
    let whole = UserFold::new(
        "whole",
        [DataType::Int64],
        DataType::Int64,
        move |c| Ok(vec![count(c[0].len() as i64)]),
        move |s| Ok(vec![count(s[0].as_primitive::<Int64Type>().values().iter().sum())]),
        |s| match s[0].as_primitive::<Int64Type>().values().iter().all(|n| *n == 400) {
            true => Ok(s[0].clone()),
            false => panic!("a group of {:?}", s[0]),
        },
    );
    let counts = df.sort("k").group_by("k").agg(whole.of("k").alias("n"));
    assert!(counts.explain().unwrap().contains("keys in order"));
    assert!(same(&counts));
    assert_eq!(counts.collect().unwrap().values::<i64>("n").unwrap(), vec![Some(400); 15]);
}

/// One row of each partition does not keep the others in memory.
#[test]
fn results_that_are_slices_are_counted_for_what_they_keep() {
    let n = 4_000_000i64;
    let df = DataFrame::from_columns([("x", Column::from((0..n).collect::<Vec<_>>()))]);
    let firsts = df
        .repartition(Partition::rows(500_000))
        .map_partitions(df.schema().unwrap().as_ref(), |rows: RecordBatch| Ok(rows.slice(0, 1)));
    let rows = firsts.collect().unwrap();
    assert_eq!(rows.values::<i64>("x").unwrap(), (0..8).map(|k| Some(k * 500_000)).collect::<Vec<_>>());
    let held: usize = rows.batches().iter().map(|b| b.get_array_memory_size()).sum();
    assert!(held < 10_000, "{held}");
}
