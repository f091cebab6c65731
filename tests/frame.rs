//! Frames against a row-by-row oracle: random tables with nulls, NaN, repeated keys, empty batches and batches of any size.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/property.rs"]
mod property;

use blockwise::Session;
use blockwise::frame::{DataFrame, Expr, JoinKind, RecordBatch, Table, col, len, lit, when};
use blockwise::op::BinaryOp;
use frames::{all_close, bits, collect, mean};
use proptest::prelude::*;
use std::collections::HashMap;

/// One row of the test table: an integer key, a text key, an integer and a float value, a bool.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    k: Option<i64>,
    s: Option<String>,
    i: Option<i32>,
    x: Option<f64>,
    b: Option<bool>,
}

fn row() -> impl Strategy<Value = Row> {
    let key = prop_oneof![
        8 => (0i64..6).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(Some(-3)), Just(Some(i64::MAX)), Just(Some(i64::MIN)), Just(Some(1 << 40))]
    ];
    let text =
        prop::option::weighted(0.9, prop::sample::select(vec!["a", "b", "", "ü", "a longer text", "b"]));
    let x = prop_oneof![
        6 => (-8i32..8).prop_map(|v| Some(f64::from(v) / 4.0)),
        1 => Just(None),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e300]).prop_map(Some)
    ];
    let i = prop::option::weighted(0.85, -5i32..6);
    let b = prop::option::weighted(0.8, any::<bool>());
    (key, text, i, x, b).prop_map(|(k, s, i, x, b)| Row { k, s: s.map(str::to_owned), i, x, b })
}

fn batch(rows: &[Row]) -> RecordBatch {
    let frame = DataFrame::from_columns([
        ("k", rows.iter().map(|r| r.k).collect::<Vec<_>>().into()),
        ("s", rows.iter().map(|r| r.s.clone()).collect::<Vec<_>>().into()),
        ("i", rows.iter().map(|r| r.i).collect::<Vec<_>>().into()),
        ("x", rows.iter().map(|r| r.x).collect::<Vec<_>>().into()),
        ("b", rows.iter().map(|r| r.b).collect::<Vec<_>>().into()),
    ]);
    let table = frame.collect().unwrap();
    table.batches().first().cloned().unwrap_or_else(|| RecordBatch::new_empty(table.schema().clone()))
}

/// The rows in batches of these lengths, the rest in one; an empty batch among them.
fn frame(rows: &[Row], cuts: &[usize]) -> DataFrame {
    let mut batches = vec![];
    let mut at = 0;
    for &n in cuts {
        let end = (at + n).min(rows.len());
        batches.push(batch(&rows[at..end]));
        at = end;
    }
    batches.push(batch(&rows[at..]));
    DataFrame::from_batches(batches)
}

fn floats(table: &Table, name: &str) -> Vec<Option<u64>> {
    bits(table.values::<f64>(name).unwrap())
}

/// Values by group, groups in order of first appearance.
fn groups<K: std::hash::Hash + Eq + Clone>(
    rows: &[Row],
    key: impl Fn(&Row) -> Option<K>,
) -> Vec<(K, Vec<Row>)> {
    let mut order: Vec<(K, Vec<Row>)> = vec![];
    let mut at: HashMap<K, usize> = HashMap::new();
    for row in rows {
        if let Some(k) = key(row) {
            let n = *at.entry(k.clone()).or_insert_with(|| {
                order.push((k.clone(), vec![]));
                order.len() - 1
            });
            order[n].1.push(row.clone());
        }
    }
    order
}

fn some<T: Copy>(rows: &[Row], f: impl Fn(&Row) -> Option<T>) -> Vec<T> {
    rows.iter().filter_map(f).collect()
}

proptest! {
    #![proptest_config(property::cases(60))]

    #[test]
    fn expressions_follow_three_valued_logic(rows in prop::collection::vec(row(), 0..80), cut in 0usize..40) {
        let df = frame(&rows, &[cut, 0, 3]);
        let table = collect(&df.select([
            (col("i") + col("k")).alias("sum"),
            (col("i") / 2).alias("half"),
            col("k").floor_div(col("i")).alias("div"),
            (col("i") % 3).alias("rem"),
            (col("x").gt(0.5) & col("b")).alias("and"),
            (col("x").gt(0.5) | col("b")).alias("or"),
            (!col("b")).alias("not"),
            col("i").fill_null(col("k").clip(i32::MIN, i32::MAX).cast(blockwise::frame::DataType::Int32)).alias("filled"),
            when(col("b")).then(col("i")).otherwise(7).alias("when"),
            col("s").is_null().alias("null"),
            col("s").eq("a").alias("is_a"),
            when(col("b")).then(col("s")).otherwise("none").alias("text"),
            col("i").clip(-2, 2).alias("clip"),
        ]));
        let want = |f: &dyn Fn(&Row) -> Option<f64>| rows.iter().map(f).collect::<Vec<_>>();
        prop_assert_eq!(table.values::<i64>("sum").unwrap(), rows.iter().map(|r| Some((r.i? as i64).wrapping_add(r.k?))).collect::<Vec<_>>());
        prop_assert_eq!(floats(&table, "half"), bits(want(&|r| Some(f64::from(r.i?) / 2.0))));
        let div = |r: &Row| {
            let (a, b) = (r.k?, r.i? as i64);
            let q = a.checked_div(b)?;
            Some(if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
        };
        prop_assert_eq!(table.values::<i64>("div").unwrap(), rows.iter().map(|r| match (r.k, r.i) {
            (Some(i64::MIN), Some(-1)) => Some(i64::MIN),
            _ => div(r),
        }).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i32>("rem").unwrap(), rows.iter().map(|r| Some(r.i?.rem_euclid(3))).collect::<Vec<_>>());
        let and = |r: &Row| match (r.x.map(|x| x > 0.5), r.b) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
        let or = |r: &Row| match (r.x.map(|x| x > 0.5), r.b) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        prop_assert_eq!(table.values::<bool>("and").unwrap(), rows.iter().map(and).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<bool>("or").unwrap(), rows.iter().map(or).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<bool>("not").unwrap(), rows.iter().map(|r| r.b.map(|b| !b)).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i32>("filled").unwrap(), rows.iter().map(|r| r.i.or(r.k.map(|k| k.clamp(i32::MIN.into(), i32::MAX.into()) as i32))).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i32>("when").unwrap(), rows.iter().map(|r| if r.b == Some(true) { r.i } else { Some(7) }).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<bool>("null").unwrap(), rows.iter().map(|r| Some(r.s.is_none())).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<bool>("is_a").unwrap(), rows.iter().map(|r| r.s.as_ref().map(|s| s == "a")).collect::<Vec<_>>());
        let text = |r: &Row| if r.b == Some(true) { r.s.clone() } else { Some("none".into()) };
        prop_assert_eq!(table.texts("text").unwrap(), rows.iter().map(text).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i32>("clip").unwrap(), rows.iter().map(|r| r.i.map(|i| i.clamp(-2, 2))).collect::<Vec<_>>());
    }

    #[test]
    fn filters_keep_rows_that_are_true(rows in prop::collection::vec(row(), 0..80), cut in 0usize..40) {
        let df = frame(&rows, &[cut]);
        let table = collect(&df.filter((col("i") * 2).lt(col("k")).or(col("b"))).select(["s", "i"]));
        let kept: Vec<&Row> = rows.iter().filter(|r| {
            let less = r.i.zip(r.k).map(|(i, k)| i64::from(i * 2) < k);
            less == Some(true) || r.b == Some(true)
        }).collect();
        prop_assert_eq!(table.texts("s").unwrap(), kept.iter().map(|r| r.s.clone()).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i32>("i").unwrap(), kept.iter().map(|r| r.i).collect::<Vec<_>>());
    }

    #[test]
    fn groups_fold_their_rows(rows in prop::collection::vec(row(), 0..120), cuts in prop::collection::vec(0usize..30, 0..4), two in any::<bool>()) {
        let df = frame(&rows, &cuts);
        let folds = [
            col("i").sum().alias("sum"), col("i").mean().alias("mean"), col("x").min().alias("min"), col("x").max().alias("max"),
            col("i").count().alias("count"), len(), col("i").var().alias("var"), col("i").median().alias("median"),
            col("s").first().alias("first"), col("s").last().alias("last"), col("s").n_unique().alias("different"),
            col("b").all().alias("all"), col("b").any().alias("any"), col("s").min().alias("least"), col("s").count().alias("texts"),
            (col("i").max() - col("i").min()).alias("range"), (col("i") * col("k")).sum().alias("dot"),
            col("x").quantile(0.25).alias("quarter"),
        ];
        let (table, found): (Table, Vec<Vec<Row>>) = if two {
            let table = collect(&df.group_by(["k", "s"]).agg(folds));
            let found = groups(&rows, |r| Some((r.k?, r.s.clone()?)));
            prop_assert_eq!(table.texts("s").unwrap(), found.iter().map(|(k, _)| Some(k.1.clone())).collect::<Vec<_>>());
            prop_assert_eq!(table.values::<i64>("k").unwrap(), found.iter().map(|(k, _)| Some(k.0)).collect::<Vec<_>>());
            (table, found.into_iter().map(|g| g.1).collect())
        } else {
            let table = collect(&df.group_by("x").agg(folds));
            let key = |r: &Row| r.x.map(|x| if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() });
            let found = groups(&rows, key);
            prop_assert_eq!(floats(&table, "x"), found.iter().map(|(k, _)| Some(*k)).collect::<Vec<_>>());
            (table, found.into_iter().map(|g| g.1).collect())
        };
        let want = |f: &dyn Fn(&[Row]) -> Option<f64>| found.iter().map(|g| f(g)).collect::<Vec<_>>();
        let ints = |g: &[Row]| some(g, |r| r.i.map(f64::from));
        let int = |f: &dyn Fn(&[Row]) -> i64| found.iter().map(|g| Some(f(g))).collect::<Vec<_>>();
        prop_assert_eq!(table.values::<i64>("sum").unwrap(), int(&|g| some(g, |r| r.i).iter().map(|&i| i64::from(i)).sum()));
        prop_assert_eq!(table.values::<i64>("count").unwrap(), int(&|g| some(g, |r| r.i).len() as i64));
        prop_assert_eq!(table.values::<i64>("len").unwrap(), int(&|g| g.len() as i64));
        all_close(table.values("mean").unwrap(), want(&|g| mean(&ints(g))));
        all_close(table.values("var").unwrap(), want(&|g| {
            let v = ints(g);
            let m = mean(&v)?;
            (v.len() > 1).then(|| v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (v.len() - 1) as f64)
        }));
        // NaN only where there is nothing else
        let least = |g: &[Row]| some(g, |r| r.x).into_iter().reduce(f64::min);
        let most = |g: &[Row]| some(g, |r| r.x).into_iter().reduce(f64::max);
        prop_assert_eq!(floats(&table, "min"), bits(want(&least)));
        prop_assert_eq!(floats(&table, "max"), bits(want(&most)));
        let median = |g: &[Row]| {
            let mut v = ints(g);
            v.sort_by(f64::total_cmp);
            let n = v.len();
            (n > 0).then(|| (v[(n - 1) / 2] + v[n / 2]) / 2.0)
        };
        all_close(table.values("median").unwrap(), want(&median));
        all_close(table.values("quarter").unwrap(), want(&|g| {
            let mut v = some(g, |r| r.x);
            if v.iter().any(|x| x.is_nan()) {
                return Some(f64::NAN);
            }
            v.sort_by(f64::total_cmp);
            let at = 0.25 * v.len().checked_sub(1)? as f64;
            let (lo, hi) = (v[at.floor() as usize], v[at.ceil() as usize]);
            Some(if lo == hi { lo } else { lo + (hi - lo) * at.fract() })
        }));
        let texts = |g: &[Row]| g.iter().filter_map(|r| r.s.clone()).collect::<Vec<_>>();
        let text = |f: &dyn Fn(Vec<String>) -> Option<String>| found.iter().map(|g| f(texts(g))).collect::<Vec<_>>();
        prop_assert_eq!(table.texts("first").unwrap(), text(&|v| v.first().cloned()));
        prop_assert_eq!(table.texts("last").unwrap(), text(&|v| v.last().cloned()));
        prop_assert_eq!(table.texts("least").unwrap(), text(&|v| v.into_iter().min()));
        prop_assert_eq!(table.values::<i64>("texts").unwrap(), int(&|g| texts(g).len() as i64));
        prop_assert_eq!(table.values::<i64>("different").unwrap(), int(&|g| {
            let mut v = texts(g);
            v.sort();
            v.dedup();
            v.len() as i64
        }));
        let bools = |f: &dyn Fn(Vec<bool>) -> bool| found.iter().map(|g| Some(f(some(g, |r| r.b)))).collect::<Vec<_>>();
        prop_assert_eq!(table.values::<bool>("all").unwrap(), bools(&|v| v.into_iter().all(|b| b)));
        prop_assert_eq!(table.values::<bool>("any").unwrap(), bools(&|v| v.into_iter().any(|b| b)));
        let range = |g: &Vec<Row>| {
            let v = some(g, |r| r.i);
            Some(v.iter().max()? - v.iter().min()?)
        };
        prop_assert_eq!(table.values::<i32>("range").unwrap(), found.iter().map(range).collect::<Vec<_>>());
        let dot = |g: &[Row]| g.iter().fold(0i64, |a, r| match (r.i, r.k) {
            (Some(i), Some(k)) => a.wrapping_add(i64::from(i).wrapping_mul(k)),
            _ => a,
        });
        prop_assert_eq!(table.values::<i64>("dot").unwrap(), int(&dot));
    }

    #[test]
    fn joins_pair_equal_keys(left in prop::collection::vec(row(), 0..50), right in prop::collection::vec(row(), 0..30), cut in 0usize..20) {
        let (l, r) = (frame(&left, &[cut]).select(["k", "s", "i"]), frame(&right, &[cut]).select(["k", "s", "x"]));
        let same = |a: &Row, b: &Row| a.k.is_some() && a.k == b.k && a.s.is_some() && a.s == b.s;
        type Out = (Option<i64>, Option<String>, Option<i32>, Option<u64>);
        let bit = |x: Option<f64>| bits(vec![x])[0];
        let rows_of = |t: &Table| -> Vec<Out> {
            let (k, s, i) = (t.values::<i64>("k").unwrap(), t.texts("s").unwrap(), t.values::<i32>("i").unwrap());
            let x = floats(t, "x");
            (0..t.num_rows()).map(|n| (k[n], s[n].clone(), i[n], x[n])).collect()
        };
        let mut pairs: Vec<Out> = vec![];
        let mut with_left: Vec<Out> = vec![];
        for a in &left {
            let partners: Vec<&Row> = right.iter().filter(|b| same(a, b)).collect();
            pairs.extend(partners.iter().map(|b| (a.k, a.s.clone(), a.i, bit(b.x))));
            with_left.extend(partners.iter().map(|b| (a.k, a.s.clone(), a.i, bit(b.x))));
            if partners.is_empty() {
                with_left.push((a.k, a.s.clone(), a.i, None));
            }
        }
        let alone: Vec<Out> = right.iter().filter(|b| !left.iter().any(|a| same(a, b)))
            .map(|b| (b.k, b.s.clone(), None, bit(b.x))).collect();
        prop_assert_eq!(rows_of(&collect(&l.join(&r, ["k", "s"], JoinKind::Inner))), pairs.clone());
        prop_assert_eq!(rows_of(&collect(&l.join(&r, ["k", "s"], JoinKind::Left))), with_left.clone());
        let mut full = with_left;
        full.extend(alone.clone());
        prop_assert_eq!(rows_of(&collect(&l.join(&r, ["k", "s"], JoinKind::Full))), full);
        let sorted = |mut v: Vec<Out>| { v.sort(); v };
        let mut with_right = pairs;
        with_right.extend(alone);
        prop_assert_eq!(sorted(rows_of(&collect(&l.join(&r, ["k", "s"], JoinKind::Right)))), sorted(with_right));
        let semi = collect(&l.join(&r, ["k", "s"], JoinKind::Semi)).values::<i32>("i").unwrap();
        prop_assert_eq!(semi, left.iter().filter(|a| right.iter().any(|b| same(a, b))).map(|a| a.i).collect::<Vec<_>>());
        let anti = collect(&l.join(&r, ["k", "s"], JoinKind::Anti)).values::<i32>("i").unwrap();
        prop_assert_eq!(anti, left.iter().filter(|a| !right.iter().any(|b| same(a, b))).map(|a| a.i).collect::<Vec<_>>());
        prop_assert_eq!(collect(&l.cross_join(&r)).num_rows(), left.len() * right.len());
    }

    #[test]
    fn sorts_are_stable_and_nulls_last(rows in prop::collection::vec(row(), 0..100), cuts in prop::collection::vec(0usize..30, 0..4)) {
        let df = frame(&rows, &cuts);
        let table = collect(&df.sort([col("s").descending(), col("x").ascending()]));
        let mut want = rows.clone();
        want.sort_by(|a, b| {
            let by_s = match (&a.s, &b.s) {
                (Some(p), Some(q)) => q.cmp(p),
                (p, q) => p.is_none().cmp(&q.is_none()),
            };
            by_s.then(match (a.x, b.x) {
                (Some(p), Some(q)) => (p + 0.0).total_cmp(&(q + 0.0)),
                (p, q) => p.is_none().cmp(&q.is_none()),
            })
        });
        prop_assert_eq!(table.texts("s").unwrap(), want.iter().map(|r| r.s.clone()).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i64>("k").unwrap(), want.iter().map(|r| r.k).collect::<Vec<_>>());
        prop_assert_eq!(table.values::<i32>("i").unwrap(), want.iter().map(|r| r.i).collect::<Vec<_>>());
    }

    #[test]
    fn slices_concatenations_and_unique_rows(rows in prop::collection::vec(row(), 0..60), cut in 0usize..20, from in 0usize..30, n in 0usize..40) {
        let df = frame(&rows, &[cut]);
        let part: Vec<Option<i32>> = rows.iter().skip(from).take(n).map(|r| r.i).collect();
        prop_assert_eq!(collect(&df.slice(from, n)).values::<i32>("i").unwrap(), part.clone());
        let twice = collect(&DataFrame::concat([&df.slice(from, n), &df.head(n)]).select("i"));
        let mut want = part;
        want.extend(rows.iter().take(n).map(|r| r.i));
        prop_assert_eq!(twice.values::<i32>("i").unwrap(), want);
        let mut seen = std::collections::HashSet::new();
        let first: Vec<Option<i64>> = rows.iter().filter(|r| seen.insert((r.s.clone(), r.b))).map(|r| r.k).collect();
        prop_assert_eq!(collect(&df.unique(["s", "b"])).values::<i64>("k").unwrap(), first);
        let whole = rows.iter().filter(|r| r.i.is_some() && r.s.is_some()).count();
        prop_assert_eq!(df.drop_nulls(["i", "s"]).num_rows().unwrap(), whole);
    }

    #[test]
    fn folds_of_all_rows_with_a_filter(rows in prop::collection::vec(row(), 0..60), cut in 0usize..20) {
        let df = frame(&rows, &[cut]);
        let table = collect(&df.filter(col("b")).select([col("i").sum().alias("sum"), col("x").min().alias("min"), len(), col("i").std().alias("std")]));
        let kept: Vec<Row> = rows.iter().filter(|r| r.b == Some(true)).cloned().collect();
        prop_assert_eq!(table.values::<i64>("sum").unwrap(), [Some(some(&kept, |r| r.i).iter().map(|&i| i64::from(i)).sum())]);
        prop_assert_eq!(table.values::<i64>("len").unwrap(), [Some(kept.len() as i64)]);
        prop_assert_eq!(floats(&table, "min"), bits(vec![some(&kept, |r| r.x).into_iter().reduce(f64::min)]));
        prop_assert_eq!(table.num_rows(), 1);
        // a fold that the host does, under a filter
        let table = collect(&df.filter(col("b")).select([col("i").median().alias("m"), col("s").first().alias("s")]));
        prop_assert_eq!(table.texts("s").unwrap(), [kept.iter().find_map(|r| r.s.clone())]);
    }

    /// What the optimizer moves must not change what comes out.
    #[test]
    fn optimized_equals_unoptimized(rows in prop::collection::vec(row(), 0..60), cut in 0usize..20, limit in -3i32..4) {
        let df = frame(&rows, &[cut]);
        let other = frame(&rows, &[]).select([col("k"), col("x").alias("y")]).unique(["k"]);
        let plan = df
            .with_columns([(col("i") * 2).alias("j"), col("s").str().to_uppercase().alias("t")])
            .join(&other, "k", JoinKind::Left)
            .filter(col("j").gt(limit).and(col("y").is_not_null()).and(col("t").ne("B")))
            .sort([col("j").descending(), col("k").ascending()])
            .select(["k", "j", "t", "y"]);
        // the same by steps that keep their rows, so that nothing moves across them
        let step = df.with_columns([(col("i") * 2).alias("j"), col("s").str().to_uppercase().alias("t")]).persist().unwrap();
        let step = step.join(&other.persist().unwrap(), "k", JoinKind::Left).persist().unwrap();
        let step = step.filter(col("j").gt(limit)).persist().unwrap().filter(col("y").is_not_null()).persist().unwrap();
        let step = step.filter(col("t").ne("B")).persist().unwrap();
        let step = step.sort([col("j").descending(), col("k").ascending()]).persist().unwrap().select(["k", "j", "t", "y"]);
        prop_assert_eq!(collect(&plan).to_batch().unwrap(), collect(&step).to_batch().unwrap());
    }
}

#[test]
fn errors_are_carried_with_the_line_and_name_the_column() {
    let df = frame(&[], &[]);
    let line = line!() + 1;
    let bad = df.select(col("kk") + 1);
    let e = bad.head(3).collect().unwrap_err();
    assert!(
        e.to_string().contains("did you mean \"k\"") && e.to_string().contains(&format!("frame.rs:{line}")),
        "{e}"
    );
    for (bad, want) in [
        (df.filter(col("i")), "bool"),
        (df.select(col("s") * 2), "cast"),
        (df.group_by("k").agg(col("i")), "many values a group"),
        (df.group_by("k").agg(col("i").sum().sum()), "fold of a fold"),
        (df.select([col("i"), col("k").alias("i")]), "called"),
        (df.select(col("x").quantile(1.5)), "between 0 and 1"),
        (df.join(&df.select(col("b").alias("q")), "k", JoinKind::Inner), "no column"),
        (df.select(lit("a").binary(BinaryOp::Pow, 2)), "Utf8"),
        (DataFrame::from_batches([]), "no batch"),
        (df.rename([("zz", "y")]), "no column"),
    ] {
        let e = bad.collect().unwrap_err().to_string();
        assert!(e.contains(want), "{e}");
    }
    let text = DataFrame::from_columns([("s", vec!["1", "x"].into())]);
    let e = text.select(col("s").cast(blockwise::frame::DataType::Int64)).collect().unwrap_err().to_string();
    assert!(e.contains("'x'"), "{e}");
}

#[test]
fn a_state_that_outgrows_the_limit_is_an_error_that_names_it() {
    let session = Session::builder().memory_limit("1MiB").threads(2).build().unwrap();
    let n = 300_000i64;
    let df = DataFrame::from_columns([("k", (0..n).collect::<Vec<_>>().into())]);
    let e = df.group_by("k").len().collect_with(&session).unwrap_err().to_string();
    assert!(e.contains("group by 1 keys") && e.contains("1048576"), "{e}");
    // and the session goes on
    assert_eq!(df.filter(col("k").lt(3)).collect_with(&session).unwrap().num_rows(), 3);
}

#[test]
fn folds_have_the_same_bits_for_any_number_of_threads_over_many_spans() {
    let n = 2_000_000u64;
    let x: Vec<f64> = (0..n).map(|i| ((i * 2_654_435_761) % 1_000_003) as f64 / 7.0).collect();
    let k: Vec<i64> = (0..n).map(|i| ((i * 40_503) % 977) as i64).collect();
    let df = DataFrame::from_columns([("k", k.into()), ("x", x.into())]);
    let table =
        collect(&df.group_by("k").agg([col("x").sum().alias("sum"), col("x").std().alias("std"), len()]));
    assert_eq!(table.num_rows(), 977);
    assert_eq!(table.values::<i64>("len").unwrap().into_iter().flatten().sum::<i64>(), n as i64);
    let plan = df.filter(col("x").gt(5.0)).select([(col("x") * 2.0).alias("y"), Expr::from(1).alias("one")]);
    let found = collect(&plan);
    assert_eq!(found.num_rows(), found.values::<i32>("one").unwrap().len());
}
