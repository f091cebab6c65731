//! Functions of rows in their order against loops over the rows of each group.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/property.rs"]
mod property;

use blockwise::frame::{DataFrame, DataType, Expr, RecordBatch, Rolling, TimeUnit, col, random, row_number};
use frames::{all_close, bits};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
struct Row {
    k: Option<i32>,
    i: Option<i32>,
    x: Option<f64>,
    s: Option<String>,
    t: i64,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let x = prop_oneof![
        6 => (-20i32..20).prop_map(|v| Some(f64::from(v) / 4.0)),
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
    ];
    let row = (
        prop::option::weighted(0.9, 0i32..3),
        prop::option::weighted(0.8, -50i32..50),
        x,
        prop::option::weighted(0.7, "[a-cü]{0,2}"),
        0i64..3,
    );
    prop::collection::vec(row, 0..60).prop_map(|rows| {
        let mut t = 0;
        let next = |(k, i, x, s, dt): (Option<i32>, Option<i32>, Option<f64>, Option<String>, i64)| {
            t += dt;
            Row { k, i, x, s, t }
        };
        rows.into_iter().map(next).collect()
    })
}

fn frame(rows: &[Row], cut: usize) -> DataFrame {
    let batch = |rows: &[Row]| -> RecordBatch {
        let df = DataFrame::from_columns([
            ("k", rows.iter().map(|r| r.k).collect::<Vec<_>>().into()),
            ("i", rows.iter().map(|r| r.i).collect::<Vec<_>>().into()),
            ("x", rows.iter().map(|r| r.x).collect::<Vec<_>>().into()),
            ("s", rows.iter().map(|r| r.s.clone()).collect::<Vec<_>>().into()),
            ("t", rows.iter().map(|r| r.t).collect::<Vec<_>>().into()),
        ]);
        let df = df.with_columns(col("t").cast(DataType::Timestamp(TimeUnit::Second, None)));
        let table = df.collect().unwrap();
        table.batches().first().cloned().unwrap_or_else(|| RecordBatch::new_empty(table.schema().clone()))
    };
    let cut = cut.min(rows.len());
    DataFrame::from_batches([batch(&rows[..cut]), batch(&rows[cut..])])
}

/// For every row: the rows of its group up to it (by number), and those from it on.
fn of_groups(rows: &[Row], grouped: bool) -> Vec<(Vec<usize>, Vec<usize>)> {
    let same = |a: usize, b: usize| !grouped || rows[a].k == rows[b].k;
    let all = 0..rows.len();
    all.clone()
        .map(|i| {
            let before = all.clone().filter(|&j| j <= i && same(i, j)).collect();
            (before, all.clone().filter(|&j| j >= i && same(i, j)).collect())
        })
        .collect()
}

/// A fold of numbers by loops.
fn fold(name: &str, v: &[f64]) -> Option<f64> {
    let n = v.len() as f64;
    let mean = v.iter().sum::<f64>() / n;
    match name {
        "sum" => Some(v.iter().sum()),
        "mean" => Some(mean),
        "min" => v.iter().copied().reduce(f64::min),
        "max" => v.iter().copied().reduce(f64::max),
        _ if v.len() < 2 => None,
        _ => Some((v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()),
    }
}

fn rolled(r: Rolling, name: &str) -> Expr {
    match name {
        "sum" => r.sum(),
        "mean" => r.mean(),
        "min" => r.min(),
        "max" => r.max(),
        _ => r.std(),
    }
}

proptest! {
    #![proptest_config(property::cases(60))]

    #[test]
    fn values_of_other_rows(rows in rows(), cut in 0usize..60, n in -4i64..5, grouped: bool) {
        let over = |e: Expr| if grouped { e.over(["k"]) } else { e };
        let table = frame(&rows, cut).select([
            over(col("s").shift(n)).alias("shift"),
            over(col("i").diff(n)).alias("diff"),
            over(col("s").forward_fill()).alias("ffill"),
            over(col("i").backward_fill()).alias("bfill"),
            over(row_number()).alias("number"),
            col("s"),
        ]).collect().unwrap();
        let groups = of_groups(&rows, grouped);
        let other = |i: usize| -> Option<usize> {
            let (before, after) = &groups[i];
            match n >= 0 {
                true => before.iter().rev().nth(n as usize).copied(),
                false => after.get(-n as usize).copied(),
            }
        };
        let all = 0..rows.len();
        prop_assert_eq!(table.texts("shift").unwrap(), all.clone().map(|i| rows[other(i)?].s.clone()).collect::<Vec<_>>());
        let diff = all.clone().map(|i| Some(rows[i].i? - rows[other(i)?].i?)).collect::<Vec<_>>();
        prop_assert_eq!(table.values::<i32>("diff").unwrap(), diff);
        let ffill = |i: usize| groups[i].0.iter().rev().find_map(|&j| rows[j].s.clone());
        prop_assert_eq!(table.texts("ffill").unwrap(), all.clone().map(ffill).collect::<Vec<_>>());
        let bfill = |i: usize| groups[i].1.iter().find_map(|&j| rows[j].i);
        prop_assert_eq!(table.values::<i32>("bfill").unwrap(), all.clone().map(bfill).collect::<Vec<_>>());
        let number = |i: usize| Some(groups[i].0.len() as i64 - 1);
        prop_assert_eq!(table.values::<i64>("number").unwrap(), all.clone().map(number).collect::<Vec<_>>());
        prop_assert_eq!(table.texts("s").unwrap(), rows.iter().map(|r| r.s.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn folds_so_far(rows in rows(), cut in 0usize..60, grouped: bool) {
        let over = |e: Expr| if grouped { e.over(["k"]) } else { e };
        let table = frame(&rows, cut).select([
            over(col("i").cum_sum()).alias("sum"),
            over(col("i").cum_min()).alias("min"),
            over(col("x").cum_max()).alias("max"),
            over(col("x").cum_count()).alias("count"),
            over(col("x").cum_prod()).alias("prod"),
            over(col("t").cum_max()).alias("time"),
        ]).collect().unwrap();
        let groups = of_groups(&rows, grouped);
        let ints = |i: usize| groups[i].0.iter().filter_map(|&j| rows[j].i).collect::<Vec<_>>();
        let floats = |i: usize| groups[i].0.iter().filter_map(|&j| rows[j].x).collect::<Vec<_>>();
        let all = 0..rows.len();
        let sum = |i: usize| rows[i].i.map(|_| ints(i).iter().map(|&v| i64::from(v)).sum::<i64>());
        prop_assert_eq!(table.values::<i64>("sum").unwrap(), all.clone().map(sum).collect::<Vec<_>>());
        let min = |i: usize| rows[i].i.and_then(|_| ints(i).into_iter().min());
        prop_assert_eq!(table.values::<i32>("min").unwrap(), all.clone().map(min).collect::<Vec<_>>());
        let max = |i: usize| rows[i].x.and_then(|_| floats(i).into_iter().reduce(f64::max));
        prop_assert_eq!(bits(table.values("max").unwrap()), bits(all.clone().map(max).collect()));
        let count = |i: usize| Some(floats(i).len() as i64);
        prop_assert_eq!(table.values::<i64>("count").unwrap(), all.clone().map(count).collect::<Vec<_>>());
        let prod = |i: usize| rows[i].x.map(|_| floats(i).into_iter().product::<f64>());
        all_close(table.values("prod").unwrap(), all.clone().map(prod).collect());
        prop_assert_eq!(table.values::<i64>("time").unwrap(), rows.iter().map(|r| Some(r.t)).collect::<Vec<_>>());
    }

    #[test]
    fn moving_windows(
        rows in rows(), cut in 0usize..60, size in 1usize..6, periods in 0usize..4, grouped: bool,
        name in prop::sample::select(vec!["sum", "mean", "min", "max", "std"]),
    ) {
        let over = |e: Expr| if grouped { e.over(["k"]) } else { e };
        let table = frame(&rows, cut).select([
            over(rolled(col("x").rolling(size).min_periods(periods), name)).alias("x"),
            over(rolled(col("i").rolling(size), name)).cast(DataType::Float64).alias("i"),
            over(rolled(col("x").rolling_by(col("t"), Duration::from_secs(size as u64)), name)).alias("by_time"),
            over(col("i").rolling(size).count()).alias("count"),
        ]).collect().unwrap();
        let groups = of_groups(&rows, grouped);
        let last = |i: usize| groups[i].0[groups[i].0.len().saturating_sub(size)..].to_vec();
        let later = |i: usize| -> Vec<usize> {
            groups[i].0.iter().copied().filter(|&j| rows[j].t > rows[i].t - size as i64).collect()
        };
        let x = |at: Vec<usize>| at.iter().filter_map(|&j| rows[j].x).collect::<Vec<_>>();
        let ints = |at: Vec<usize>| at.iter().filter_map(|&j| rows[j].i.map(f64::from)).collect::<Vec<_>>();
        let enough = |v: Vec<f64>, n: usize| if v.len() >= n.max(1) { fold(name, &v) } else { None };
        let all = 0..rows.len();
        let check = |column: &str, want: Vec<Option<f64>>| {
            all_close(table.values::<f64>(column).unwrap(), want);
        };
        check("x", all.clone().map(|i| enough(x(last(i)), periods)).collect());
        check("i", all.clone().map(|i| enough(ints(last(i)), size)).collect());
        check("by_time", all.clone().map(|i| enough(x(later(i)), 1)).collect());
        let count = |i: usize| Some(ints(last(i)).len() as i64);
        prop_assert_eq!(table.values::<i64>("count").unwrap(), all.map(count).collect::<Vec<_>>());
    }
}

#[test]
fn functions_of_functions_and_of_expressions() {
    let df = DataFrame::from_columns([("a", vec![1i64, 4, 9, 16, 25].into())]);
    let second = df
        .select([col("a").diff(1).diff(1).alias("second"), (col("a") * 2).cum_sum().shift(1).alias("twice")]);
    let table = second.collect().unwrap();
    assert_eq!(table.values::<i64>("second").unwrap(), [None, None, Some(2), Some(2), Some(2)]);
    assert_eq!(table.values::<i64>("twice").unwrap(), [None, Some(2), Some(10), Some(28), Some(60)]);
    let change = df.select(col("a").pct_change(1)).collect().unwrap();
    assert_eq!(change.values::<f64>("a").unwrap()[..3], [None, Some(3.0), Some(1.25)]);
    // keys go to all functions of an expression
    let keyed =
        DataFrame::from_columns([("k", vec![1i64, 2, 1, 2].into()), ("v", vec![1i64, 10, 3, 30].into())]);
    let sums = keyed.select(col("v").diff(1).cum_sum().over(["k"])).collect().unwrap();
    assert_eq!(sums.values::<i64>("v").unwrap(), [None, None, Some(2), Some(20)]);
    // means of integers do not wrap, and anything can be counted
    let values = vec![i64::MAX, i64::MAX];
    let large = DataFrame::from_columns([("v", values.into()), ("s", vec![Some("a"), None].into())]);
    let folds = [col("v").rolling(2).mean(), col("s").rolling(2).count(), col("s").cum_count().alias("c")];
    let table = large.select(folds).collect().unwrap();
    assert_eq!(table.values::<f64>("v").unwrap(), [None, Some(i64::MAX as f64)]);
    assert_eq!(table.values::<i64>("s").unwrap(), [Some(1), Some(1)]);
    assert_eq!(table.values::<i64>("c").unwrap(), [Some(1), Some(1)]);
    // a filter stays above: the function is of all rows
    let kept = df.with_columns(col("a").shift(1).alias("b")).filter(col("a").gt(10)).collect().unwrap();
    assert_eq!(kept.values::<i64>("b").unwrap(), [Some(9), Some(16)]);
    assert_eq!(
        df.with_row_number("n").tail(2).collect().unwrap().values::<i64>("n").unwrap(),
        [Some(3), Some(4)]
    );
    assert_eq!(df.tail(0).num_rows().unwrap(), 0);
    assert_eq!(df.tail(99).num_rows().unwrap(), 5);
}

#[test]
fn samples_are_the_same_every_time_and_fair() {
    let df = DataFrame::from_columns([("a", vec![7i32; 100_000].into())]);
    let n = df.sample(0.25, 1).num_rows().unwrap();
    assert_eq!(df.sample(0.25, 1).num_rows().unwrap(), n);
    assert!((24_500..25_500).contains(&n), "{n}");
    assert_eq!((df.sample(0.0, 1).num_rows().unwrap(), df.sample(1.0, 1).num_rows().unwrap()), (0, 100_000));
    let u = df.select(random(3)).collect().unwrap().to_ndarray("random").unwrap();
    assert!((u.mean().unwrap() - 0.5).abs() < 0.01 && u.iter().all(|v| (0.0..1.0).contains(v)));
}

#[test]
fn what_cannot_be_says_why() {
    let df = DataFrame::from_columns([("s", vec!["a"].into()), ("t", vec![1i64].into())]);
    let error = |df: DataFrame| df.collect().unwrap_err().to_string();
    assert!(error(df.select(col("s").cum_sum())).contains("cum_sum"));
    assert!(error(df.filter(col("t").shift(1).gt(0))).contains("with_columns"));
    assert!(error(df.select(col("t").sum().over(["s"]))).contains("transform"));
    assert!(error(df.select(col("t").rolling(0).sum())).contains("no rows"));
    assert!(error(df.sample(1.5, 0)).contains("1.5"));
    let by = |t: &str| col("t").rolling_by(col(t), Duration::from_secs(1)).sum();
    assert!(error(df.select(by("s"))).contains("timestamps"));
    let times = DataFrame::from_columns([("t", vec![5i64, 3].into())]);
    let times = times.with_columns(col("t").cast(DataType::Timestamp(TimeUnit::Second, None)).alias("at"));
    assert!(error(times.select(by("at"))).contains("decrease"));
}

proptest! {
    #![proptest_config(property::cases(60))]

    #[test]
    fn largest_smallest_and_all_values(rows in rows(), cut in 0usize..60, k in 0usize..12) {
        let groups = frame(&rows, cut).group_by("k");
        let lists = groups.agg([col("x").top_k(k).alias("top"), col("i").bottom_k(k).alias("bottom"), col("s").collect_list()]);
        let text = |v: &[Option<String>]| v.iter().map(|v| v.clone().unwrap_or_default()).collect::<Vec<_>>();
        let mut keys: Vec<i32> = vec![];
        rows.iter().filter_map(|r| r.k).for_each(|k| if !keys.contains(&k) { keys.push(k) });
        let of = |key: i32| rows.iter().filter(move |r| r.k == Some(key));
        let top = lists.explode("top").select(["k", "top"]).collect().unwrap();
        let mut want = vec![];
        let mut all = (vec![], vec![]);
        for &key in &keys {
            let mut x: Vec<f64> = of(key).filter_map(|r| r.x).collect();
            x.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal)));
            x.truncate(k);
            if x.is_empty() { want.push((key, None)) }
            want.extend(x.into_iter().map(|x| (key, Some((x + 0.0).to_bits()))));
            let mut i: Vec<i32> = of(key).filter_map(|r| r.i).collect();
            i.sort_unstable();
            i.truncate(k);
            all.0.push(i);
            all.1.push(of(key).filter_map(|r| r.s.clone()).collect::<Vec<_>>());
        }
        let got: Vec<(i32, Option<u64>)> = top.values::<i32>("k").unwrap().into_iter().map(Option::unwrap)
            .zip(bits(top.values("top").unwrap())).collect();
        prop_assert_eq!(got, want);
        let bottom = lists.explode("bottom").filter(col("bottom").is_not_null()).collect().unwrap();
        let ints: Vec<i32> = bottom.values::<i32>("bottom").unwrap().into_iter().flatten().collect();
        prop_assert_eq!(ints, all.0.concat());
        let texts = lists.explode("s").filter(col("s").is_not_null()).collect().unwrap().texts("s").unwrap();
        prop_assert_eq!(text(&texts), all.1.concat());
    }

    #[test]
    fn the_last_row_before(left in rows(), right in rows(), cut in 0usize..60, within in prop::option::of(0i64..4), grouped: bool) {
        let by: &[&str] = if grouped { &["k"] } else { &[] };
        let other = frame(&right, cut).select(["k", "t", "x", "s"]);
        let other = if grouped { other } else { other.drop(["k"]) };
        let seconds = |n: i64| blockwise::frame::lit(n).cast(DataType::Duration(TimeUnit::Second));
        let joined = frame(&left, cut).select(["k", "i", "t", "s"])
            .join_asof(&other, "t", by.iter().copied(), within.map(seconds)).collect().unwrap();
        let partner = |l: &Row| right.iter().rev()
            .find(|r| r.t <= l.t && (!grouped || r.k == l.k && l.k.is_some()))
            .filter(|r| within.is_none_or(|d| l.t - r.t <= d));
        // both come in the order of time
        prop_assert_eq!(joined.values::<i32>("i").unwrap(), left.iter().map(|l| l.i).collect::<Vec<_>>());
        prop_assert_eq!(joined.texts("s").unwrap(), left.iter().map(|l| l.s.clone()).collect::<Vec<_>>());
        let times = left.iter().map(|l| partner(l).map(|r| r.t)).collect::<Vec<_>>();
        prop_assert_eq!(joined.values::<i64>("t_right").unwrap(), times);
        prop_assert_eq!(bits(joined.values("x").unwrap()), bits(left.iter().map(|l| partner(l)?.x).collect()));
        prop_assert_eq!(joined.texts("s_right").unwrap(), left.iter().map(|l| partner(l)?.s.clone()).collect::<Vec<_>>());
    }
}
