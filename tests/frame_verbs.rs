//! Verbs of frames against row-by-row oracles: random tables with nulls, NaN, repeated keys and empty batches.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/property.rs"]
mod property;

use blockwise::frame::{DataFrame, DataType, Every, RecordBatch, TimeUnit, col, corr, cov, len, timestamp};
use frames::{all_close, collect, mean};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// One row of the test table.
#[derive(Clone, Debug)]
struct Row {
    k: Option<i64>,
    s: Option<String>,
    i: Option<i32>,
    x: Option<f64>,
    b: Option<bool>,
    /// Seconds since 1970.
    t: Option<i64>,
}

fn row() -> impl Strategy<Value = Row> {
    let k = prop::option::weighted(0.85, 0i64..4);
    let s = prop::option::weighted(0.85, prop::sample::select(vec!["a", "b", "", "ü"]));
    let i = prop::option::weighted(0.85, -5i32..6);
    let x = prop_oneof![
        7 => (-8i32..8).prop_map(|v| Some(f64::from(v) / 4.0)),
        1 => Just(None),
        1 => prop::sample::select(vec![f64::NAN, -0.0, 1e9]).prop_map(Some)
    ];
    let t = prop::option::weighted(0.9, -90_000_000i64..90_000_000);
    (k, s, i, x, prop::option::of(any::<bool>()), t).prop_map(|(k, s, i, x, b, t)| Row {
        k,
        s: s.map(str::to_owned),
        i,
        x,
        b,
        t,
    })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(row(), 0..60)
}

fn of<T>(rows: &[Row], f: impl Fn(&Row) -> Option<T>) -> Vec<Option<T>> {
    rows.iter().map(f).collect()
}

/// The rows in two batches and an empty one.
fn frame(rows: &[Row], cut: usize) -> DataFrame {
    let columns = |rows: &[Row]| {
        let frame = DataFrame::from_columns([
            ("k", of(rows, |r| r.k).into()),
            ("s", of(rows, |r| r.s.clone()).into()),
            ("i", of(rows, |r| r.i).into()),
            ("x", of(rows, |r| r.x).into()),
            ("b", of(rows, |r| r.b).into()),
            ("t", of(rows, |r| r.t).into()),
        ]);
        let times = frame.with_columns(col("t").cast(DataType::Timestamp(TimeUnit::Second, None)));
        let table = times.collect().unwrap();
        table.batches().first().cloned().unwrap_or_else(|| RecordBatch::new_empty(table.schema().clone()))
    };
    let cut = cut.min(rows.len());
    DataFrame::from_batches([columns(&rows[..cut]), columns(&[]), columns(&rows[cut..])])
}

fn std(v: &[f64]) -> Option<f64> {
    let m = mean(v)?;
    (v.len() > 1).then(|| (v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (v.len() - 1) as f64).sqrt())
}

fn quantile(v: &[f64], q: f64) -> Option<f64> {
    if v.iter().any(|x| x.is_nan()) {
        return Some(f64::NAN);
    }
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    let at = q * v.len().checked_sub(1)? as f64;
    let (lo, hi) = (v[at.floor() as usize], v[at.ceil() as usize]);
    Some(lo + (hi - lo) * at.fract())
}

/// The nine statistics of numbers.
fn described(v: &[f64], nulls: usize) -> Vec<Option<f64>> {
    vec![
        Some(v.len() as f64),
        Some(nulls as f64),
        mean(v),
        std(v),
        v.iter().copied().reduce(f64::min),
        quantile(v, 0.25),
        quantile(v, 0.5),
        quantile(v, 0.75),
        v.iter().copied().reduce(f64::max),
    ]
}

/// The first second of the span of `n` months that a time lies in, found by walking from year to year.
fn start_of_months(t: i64, n: i64) -> i64 {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let mut start = 0;
    let mut year = 1970;
    // spans of up to two years may have begun before
    while start > t - 3 * 366 * 86_400 {
        year -= 1;
        start -= if leap(year) { 366 } else { 365 } * 86_400;
    }
    let (mut month, mut found) = (year * 12, start);
    loop {
        if month % n == 0 {
            found = start;
        }
        let days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][(month % 12) as usize];
        let next = start + (days + i64::from(month % 12 == 1 && leap(month / 12))) * 86_400;
        if next > t {
            return found;
        }
        (start, month) = (next, month + 1);
    }
}

proptest! {
    #![proptest_config(property::cases(40))]

    #[test]
    fn frames_are_described_and_folded(rows in rows(), cut in 0usize..40) {
        let df = frame(&rows, cut);
        let table = collect(&df.describe());
        let i: Vec<f64> = rows.iter().filter_map(|r| r.i.map(f64::from)).collect();
        let x: Vec<f64> = rows.iter().filter_map(|r| r.x).collect();
        all_close(table.values("i").unwrap(), described(&i, rows.len() - i.len()));
        all_close(table.values("x").unwrap(), described(&x, rows.len() - x.len()));
        let s: Vec<String> = rows.iter().filter_map(|r| r.s.clone()).collect();
        let text = table.texts("s").unwrap();
        prop_assert_eq!(&text[0], &Some(s.len().to_string()));
        prop_assert_eq!(&text[1], &Some((rows.len() - s.len()).to_string()));
        prop_assert_eq!(&text[2..4], &[None, None]);
        prop_assert_eq!(&text[4], &s.iter().min().cloned());
        prop_assert_eq!(&text[8], &s.iter().max().cloned());

        let one = |df: DataFrame, name: &str| collect(&df).values::<f64>(name).unwrap();
        let numbers = df.select(["i", "x"]).cast([("i", DataType::Float64)]);
        all_close(one(numbers.sum(), "i"), vec![Some(i.iter().sum())]);
        all_close(one(numbers.mean(), "x"), vec![mean(&x)]);
        all_close(one(numbers.std(), "i"), vec![std(&i)]);
        all_close(one(numbers.min(), "x"), vec![x.iter().copied().reduce(f64::min)]);
        all_close(one(numbers.max(), "x"), vec![x.iter().copied().reduce(f64::max)]);
        all_close(one(numbers.median(), "i"), vec![quantile(&i, 0.5)]);
        all_close(one(numbers.quantile(0.9), "i"), vec![quantile(&i, 0.9)]);
        let count = |df: DataFrame, name: &str| collect(&df).values::<i64>(name).unwrap()[0].unwrap() as usize;
        prop_assert_eq!(count(df.count(), "s"), s.len());
        prop_assert_eq!(count(df.null_count(), "s"), rows.len() - s.len());
        prop_assert_eq!(count(df.n_unique(), "s"), s.iter().collect::<BTreeSet<_>>().len());
        prop_assert_eq!(df.sum().columns().unwrap(), ["k", "i", "x", "b"]);
    }

    #[test]
    fn folds_go_to_every_row_of_their_group(rows in rows(), cut in 0usize..40) {
        let df = frame(&rows, cut);
        let folds = || [col("i").sum().alias("sum"), len(), (col("x").max() - col("x").min()).alias("x")];
        let key = |r: &Row| (r.k, r.s.clone());
        let group = |r: &Row| rows.iter().filter(|o| key(o) == key(r)).cloned().collect::<Vec<_>>();
        let range = |g: &[Row]| {
            let x: Vec<f64> = g.iter().filter_map(|r| r.x).collect();
            Some(x.iter().copied().reduce(f64::max)? - x.iter().copied().reduce(f64::min)?)
        };
        let sum = |g: &[Row]| g.iter().filter_map(|r| r.i).map(i64::from).sum::<i64>();
        for keep in [false, true] {
            let groups = df.group_by(["k", "s"]);
            let groups = if keep { groups.keep_nulls() } else { groups };
            let table = collect(&groups.transform(folds()));
            prop_assert_eq!(table.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
                ["k", "s", "i", "x", "b", "t", "sum", "len"]);
            let in_group = |r: &Row| keep || (r.k.is_some() && r.s.is_some());
            let want = |f: &dyn Fn(&[Row]) -> i64| of(&rows, |r| in_group(r).then(|| f(&group(r))));
            prop_assert_eq!(table.values::<i64>("sum").unwrap(), want(&sum));
            prop_assert_eq!(table.values::<i64>("len").unwrap(), want(&|g| g.len() as i64));
            all_close(table.values("x").unwrap(), of(&rows, |r| range(&group(r)).filter(|_| in_group(r))));
            prop_assert_eq!(table.values::<i32>("i").unwrap(), of(&rows, |r| r.i));
        }
        // NaN is one key, and all rows are one group without keys
        let bits = |r: &Row| r.x.map(|x| if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() });
        let by_x = collect(&df.group_by("x").transform(len().alias("n"))).values::<i64>("n").unwrap();
        prop_assert_eq!(by_x, of(&rows, |r| bits(r).map(|b| rows.iter().filter(|o| bits(o) == Some(b)).count() as i64)));
        let none: [&str; 0] = [];
        let all = collect(&df.group_by(none).transform(col("i").sum().alias("all"))).values::<i64>("all").unwrap();
        prop_assert_eq!(all, of(&rows, |_| Some(sum(&rows))));
        let twice = collect(&df.with_duplicated(["k", "s"])).values::<bool>("is_duplicated").unwrap();
        prop_assert_eq!(twice, of(&rows, |r| Some(group(r).len() > 1)));
    }

    #[test]
    fn absent_values_are_filled(rows in rows(), cut in 0usize..40) {
        let df = frame(&rows, cut);
        let table = collect(&df.fill_null(7).fill_null("none").fill_null(true).fill_nan(0.25));
        prop_assert_eq!(table.values::<i32>("i").unwrap(), of(&rows, |r| Some(r.i.unwrap_or(7))));
        all_close(table.values("x").unwrap(), of(&rows, |r| Some(r.x.map_or(7.0, |x| if x.is_nan() { 0.25 } else { x }))));
        prop_assert_eq!(table.texts("s").unwrap(), of(&rows, |r| Some(r.s.clone().unwrap_or("none".into()))));
        prop_assert_eq!(table.values::<bool>("b").unwrap(), of(&rows, |r| Some(r.b.unwrap_or(true))));
        prop_assert_eq!(table.values::<i64>("t").unwrap(), of(&rows, |r| r.t));
        // a float does not fit integers, and NaN is no null
        let half = collect(&df.fill_null(0.5));
        prop_assert_eq!(half.values::<i32>("i").unwrap(), of(&rows, |r| r.i));
        all_close(half.values("x").unwrap(), of(&rows, |r| Some(r.x.unwrap_or(0.5))));
        let times = collect(&df.fill_null(timestamp(2000, 1, 1, 0, 0, 0)));
        prop_assert_eq!(times.values::<i64>("t").unwrap(), of(&rows, |r| Some(r.t.unwrap_or(946_684_800))));
    }

    #[test]
    fn tables_are_turned(rows in rows(), cut in 0usize..40) {
        let df = frame(&rows, cut);
        let long = collect(&df.unpivot_as(["i", "x"], ["s", "i"], "what", "how_much"));
        let twice = |f: &dyn Fn(&Row, usize) -> Option<String>| {
            rows.iter().flat_map(|r| [f(r, 0), f(r, 1)]).collect::<Vec<_>>()
        };
        prop_assert_eq!(long.texts("s").unwrap(), twice(&|r, _| r.s.clone()));
        prop_assert_eq!(long.texts("what").unwrap(), twice(&|_, n| Some(["i", "x"][n].into())));
        let values = rows.iter().flat_map(|r| [r.i.map(f64::from), r.x]).collect::<Vec<_>>();
        all_close(long.values("how_much").unwrap(), values);

        let folds = || [col("i").sum().alias("sum"), len(), col("x").first().alias("first")];
        let wide = collect(&df.pivot("k", "s", ["a", "ü", "not there"], folds()));
        let mut keys: Vec<Option<i64>> = vec![];
        for k in rows.iter().map(|r| r.k).filter(Option::is_some) {
            if !keys.contains(&k) {
                keys.push(k);
            }
        }
        prop_assert_eq!(wide.values::<i64>("k").unwrap(), keys.clone());
        for s in ["a", "ü", "not there"] {
            let cell = |k: &Option<i64>| -> Vec<&Row> {
                rows.iter().filter(|r| r.k == *k && r.s.as_deref() == Some(s)).collect()
            };
            let cells: Vec<Vec<&Row>> = keys.iter().map(cell).collect();
            let some = |f: &dyn Fn(&[&Row]) -> i64| cells.iter().map(|c| (!c.is_empty()).then(|| f(c))).collect::<Vec<_>>();
            prop_assert_eq!(wide.values::<i64>(&format!("len_{s}")).unwrap(), some(&|c| c.len() as i64));
            let sum = |c: &[&Row]| c.iter().filter_map(|r| r.i).map(i64::from).sum();
            prop_assert_eq!(wide.values::<i64>(&format!("sum_{s}")).unwrap(), some(&sum));
            let first = cells.iter().map(|c| c.iter().find_map(|r| r.x)).collect();
            all_close(wide.values(&format!("first_{s}")).unwrap(), first);
        }
        let all = df.pivot_eager("k", "s", len()).unwrap();
        let mut names: Vec<String> = rows.iter().filter_map(|r| r.s.clone()).collect::<BTreeSet<_>>().into_iter().collect();
        if rows.iter().any(|r| r.s.is_none()) {
            names.push("null".into());
        }
        names.insert(0, "k".into());
        prop_assert_eq!(&all.columns().unwrap(), &names);
        let table = collect(&all);
        let counted = names[1..].iter().flat_map(|n| table.values::<i64>(n).unwrap()).flatten().sum::<i64>();
        prop_assert_eq!(counted as usize, rows.iter().filter(|r| r.k.is_some()).count());
    }

    #[test]
    fn time_goes_in_spans(rows in rows(), cut in 0usize..40, n in 1u32..9) {
        let df = frame(&rows, cut);
        let n_ = i64::from(n);
        let fixed = |every: i64, origin: i64| move |t: i64| t - (t - origin).rem_euclid(every);
        let spans: Vec<(Every, Box<dyn Fn(i64) -> i64>)> = vec![
            (Every::seconds(n), Box::new(fixed(n_, 0))),
            (Every::minutes(n), Box::new(fixed(60 * n_, 0))),
            (Every::hours(n), Box::new(fixed(3600 * n_, 0))),
            (Every::days(n), Box::new(fixed(86_400 * n_, 0))),
            (Every::weeks(n), Box::new(fixed(7 * 86_400 * n_, 4 * 86_400))),
            (Every::months(n), Box::new(move |t| start_of_months(t, n_))),
            (Every::quarters(n), Box::new(move |t| start_of_months(t, 3 * n_))),
        ];
        for (every, start) in &spans {
            let found = collect(&df.select([col("t").dt().truncate(*every), col("t").dt().ceil(*every).alias("next")]));
            prop_assert_eq!(found.values::<i64>("t").unwrap(), of(&rows, |r| r.t.map(start)));
            let next = found.values::<i64>("next").unwrap();
            for (t, next) in rows.iter().filter_map(|r| r.t).zip(next.into_iter().flatten()) {
                prop_assert!(next >= t && start(next) == next && (start(t) == t) == (next == t), "{} {} {}", every, t, next);
            }
        }
        // groups by months, and the months without rows
        let start = |t: i64| start_of_months(t, n_);
        let months = df.resample("t", Every::months(n)).agg([len(), col("i").sum()]);
        let mut want: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for r in rows.iter().filter(|r| r.t.is_some()) {
            let cell = want.entry(start(r.t.unwrap())).or_default();
            *cell = (cell.0 + 1, cell.1 + i64::from(r.i.unwrap_or(0)));
        }
        let sorted = collect(&months.sort("t"));
        prop_assert_eq!(sorted.values::<i64>("t").unwrap(), want.keys().map(|&t| Some(t)).collect::<Vec<_>>());
        prop_assert_eq!(sorted.values::<i64>("len").unwrap(), want.values().map(|c| Some(c.0)).collect::<Vec<_>>());
        let whole = collect(&months.upsample("t", Every::months(n)));
        let mut every_month = vec![];
        if let (Some((&first, _)), Some((&last, _))) = (want.first_key_value(), want.last_key_value()) {
            let mut t = first;
            while t <= last {
                every_month.push(t);
                t = (t + 86_400 * 28 * n_..).step_by(86_400).find(|&d| start(d) == d).unwrap();
            }
        }
        prop_assert_eq!(whole.values::<i64>("t").unwrap(), every_month.iter().map(|&t| Some(t)).collect::<Vec<_>>());
        prop_assert_eq!(whole.values::<i64>("i").unwrap(), every_month.iter().map(|t| want.get(t).map(|c| c.1)).collect::<Vec<_>>());
    }

    #[test]
    fn two_columns_vary_together(rows in rows(), cut in 0usize..40) {
        let tame: Vec<Row> = rows.iter().cloned().map(|mut r| {
            r.x = r.x.filter(|x| x.abs() < 100.0);
            r
        }).collect();
        let df = frame(&tame, cut);
        let pairs: Vec<(f64, f64)> = tame.iter().filter_map(|r| Some((f64::from(r.i?), r.x?))).collect();
        let n = pairs.len() as f64;
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let want = mean(&a).zip(mean(&b)).filter(|_| n > 1.0).map(|(ma, mb)| {
            pairs.iter().map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>() / (n - 1.0)
        });
        let found = collect(&df.select([cov(col("i"), col("x")).alias("cov")]));
        all_close(found.values("cov").unwrap(), vec![want]);
        let matrix = collect(&df.select(["i", "x", "s"]).corr_matrix());
        prop_assert_eq!(matrix.texts("column").unwrap(), [Some("i".into()), Some("x".into())]);
        let one = collect(&df.select([corr(col("i"), col("x")).alias("r")])).values::<f64>("r").unwrap()[0];
        all_close(vec![matrix.values::<f64>("i").unwrap()[1], matrix.values::<f64>("x").unwrap()[0]], vec![one, one]);
    }

    #[test]
    fn largest_and_smallest(rows in rows(), cut in 0usize..40, n in 0usize..9) {
        let df = frame(&rows, cut);
        let sorted = |descending: bool| {
            let mut i: Vec<Option<i32>> = rows.iter().map(|r| r.i).collect();
            i.sort_by_key(|v| (v.is_none(), if descending { v.map(|v| -v) } else { *v }));
            i.truncate(n);
            i
        };
        prop_assert_eq!(collect(&df.nlargest(n, "i")).values::<i32>("i").unwrap(), sorted(true));
        prop_assert_eq!(collect(&df.nsmallest(n, "i")).values::<i32>("i").unwrap(), sorted(false));
    }

    #[test]
    fn arrays_and_back(rows in rows(), cut in 0usize..40) {
        let table = frame(&rows, cut).collect().unwrap();
        let array = table.to_array(&["x", "k"]).unwrap();
        prop_assert_eq!(array.shape(), [rows.len(), 2]);
        let back = DataFrame::from_array(&array, &["p", "q"]).unwrap();
        let back = collect(&back);
        let number = |v: Option<f64>| Some(v.unwrap_or(f64::NAN));
        all_close(back.values("p").unwrap(), of(&rows, |r| number(r.x)));
        all_close(back.values("q").unwrap(), of(&rows, |r| number(r.k.map(|k| k as f64))));
    }
}
