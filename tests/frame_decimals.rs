//! Decimals: arithmetic, comparison, conversion, folds, keys, order, files.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/property.rs"]
mod property;
#[path = "common/spill.rs"]
mod spill;

use blockwise::frame::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Decimal256Array};
use blockwise::frame::arrow::datatypes::{Decimal128Type, Decimal256Type, i256};
use blockwise::frame::{
    BadRows, Column, CsvOptions, DataFrame, DataType, Expr, JoinKind, Table, col, len, lit, scan_ipc, when,
};
use frames::collect;
use proptest::prelude::*;
use spill::{Random, same};
use std::collections::BTreeMap;
use std::sync::Arc;

fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> Column {
    let array = Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap();
    Column::from(Arc::new(array) as ArrayRef)
}

/// The unscaled values of a column of decimals with 128 bits, and its scale.
fn raw(table: &Table, name: &str) -> (Vec<Option<i128>>, i8) {
    let column = table.column(name).unwrap();
    let DataType::Decimal128(_, scale) = *column.data_type() else { panic!("{:?}", column.data_type()) };
    (column.as_primitive::<Decimal128Type>().iter().collect(), scale)
}

fn of(e: impl Into<Expr>, df: &DataFrame) -> (Vec<Option<i128>>, i8) {
    raw(&collect(&df.select([e.into().alias("x")])), "x")
}

fn error(df: &DataFrame) -> String {
    df.collect().unwrap_err().to_string()
}

#[test]
fn arithmetic_goes_by_arrows_rules() {
    let df = DataFrame::from_columns([
        ("a", decimals(vec![Some(1050), None, Some(-333)], 9, 2)),
        ("b", decimals(vec![Some(25), Some(1), Some(0)], 6, 1)),
        ("i", vec![2, 3, 4].into()),
    ]);
    let (a, b) = (col("a"), col("b"));
    assert_eq!(of(&a + &b, &df), (vec![Some(1300), None, Some(-333)], 2));
    assert_eq!(of(&a - &b, &df), (vec![Some(800), None, Some(-333)], 2));
    assert_eq!(of(&a * &b, &df), (vec![Some(26250), None, Some(0)], 3));
    // null where the divisor is 0
    assert_eq!(of(&a / &b, &df), (vec![Some(4_200_000), None, None], 6));
    assert_eq!(of(&a % &b, &df), (vec![Some(50), None, None], 2));
    assert_eq!(of(-a.clone(), &df), (vec![Some(-1050), None, Some(333)], 2));
    assert_eq!(of(a.abs(), &df), (vec![Some(1050), None, Some(333)], 2));
    assert_eq!(of(&a + Expr::null(), &df), (vec![None; 3], 2));
    // integers are decimals, floats are not
    assert_eq!(of(&a + 1, &df), (vec![Some(1150), None, Some(-233)], 2));
    assert_eq!(of(lit(1_000_000) - &a, &df), (vec![Some(99_998_950), None, Some(100_000_333)], 2));
    assert_eq!(of(&a * col("i"), &df), (vec![Some(2100), None, Some(-1332)], 2));
    let float =
        collect(&df.select([(&a * 0.5).alias("x"), (&a + col("b").cast(DataType::Float32)).alias("y")]));
    assert_eq!(float.values::<f64>("x").unwrap(), [Some(5.25), None, Some(-1.665)]);
    assert_eq!(float.values::<f64>("y").unwrap(), [Some(13.0), None, Some(-3.33)]);
}

#[test]
fn comparison_choice_and_conversion() {
    let df = DataFrame::from_columns([
        ("a", decimals(vec![Some(1050), None, Some(-333)], 4, 2)),
        ("b", decimals(vec![Some(10_500), Some(1), Some(0)], 30, 3)),
        ("u", vec![11u64, 0, 0].into()),
    ]);
    let bools = |e: Expr| collect(&df.select([e.alias("x")])).values::<bool>("x").unwrap();
    assert_eq!(bools(col("a").eq(col("b"))), [Some(true), None, Some(false)]);
    assert_eq!(bools(col("a").lt(col("u"))), [Some(true), None, Some(true)]);
    // an integer and a text of more digits than the column has
    assert_eq!(bools(col("a").lt(1_000_000)), [Some(true), None, Some(true)]);
    assert_eq!(bools(col("a").gt("-3.34")), [Some(true), None, Some(true)]);
    assert_eq!(bools(col("a").ge(10.5)), [Some(true), None, Some(false)]);
    assert_eq!(bools(col("a").is_null()), [Some(false), Some(true), Some(false)]);
    assert_eq!(of(col("a").fill_null(7), &df), (vec![Some(1050), Some(700), Some(-333)], 2));
    assert_eq!(raw(&collect(&df.fill_null(7)), "a"), (vec![Some(1050), Some(700), Some(-333)], 2));
    let chosen = when(col("u").gt(0)).then(col("a")).otherwise(col("b"));
    assert_eq!(of(chosen, &df), (vec![Some(10_500), Some(1), Some(0)], 3));
    assert_eq!(of(col("a").cast(DataType::Decimal128(6, 1)), &df), (vec![Some(105), None, Some(-33)], 1));
    let cast = collect(&df.select([
        col("a").cast(DataType::Float64).alias("f"),
        col("a").cast(DataType::Int32).alias("i"),
        col("a").cast(DataType::Utf8).alias("s"),
    ]));
    assert_eq!(cast.values::<f64>("f").unwrap(), [Some(10.5), None, Some(-3.33)]);
    assert_eq!(cast.values::<i32>("i").unwrap(), [Some(10), None, Some(-3)]);
    assert_eq!(cast.texts("s").unwrap(), [Some("10.50".into()), None, Some("-3.33".into())]);
    // frames under one another meet in a type that holds both
    let both = DataFrame::concat([&df.select("a"), &df.select(col("b").alias("a"))]);
    assert_eq!(
        raw(&collect(&both), "a").0,
        [10_500, -1, -3330, 10_500, 1, 0].map(|v| (v != -1).then_some(v))
    );
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let most = 10i128.pow(38) - 1;
    let df = DataFrame::from_columns([("price", decimals(vec![Some(most), Some(most)], 38, 0))]);
    for e in [col("price") + 1, col("price") * col("price"), col("price") - (-1)] {
        let message = error(&df.select([e.alias("x")]));
        assert!(message.contains("price") && message.contains("overflow"), "{message}");
    }
    for grouped in [
        df.select(col("price").sum()),
        df.with_columns(lit(1).alias("k")).group_by("k").agg(col("price").sum()),
    ] {
        let message = error(&grouped);
        assert!(message.contains("sum(price)") && message.contains("overflow"), "{message}");
    }
    for (e, hint) in
        [(col("price").sqrt(), "cast"), (col("price").prod(), "cast"), (col("price").pow(2), "cast")]
    {
        let message = error(&df.select([e.alias("x")]));
        assert!(message.contains("price") && message.contains(hint), "{message}");
    }
}

#[test]
fn wide_decimals() {
    let values = [Some(5), None, Some(-7)].map(|v| v.map(i256::from_i128));
    let wide = Decimal256Array::from_iter(values).with_precision_and_scale(60, 1).unwrap();
    let df = DataFrame::from_columns([
        ("w", Column::from(Arc::new(wide) as ArrayRef)),
        ("d", decimals(vec![Some(1), Some(2), Some(3)], 5, 2)),
    ]);
    let made = collect(&df.select([(col("w") + col("d")).alias("x"), col("w").ge(0).alias("y")]));
    let x = made.column("x").unwrap();
    let x: Vec<Option<i256>> = x.as_primitive::<Decimal256Type>().iter().collect();
    assert_eq!(x, [Some(51), None, Some(-67)].map(|v| v.map(i256::from_i128)));
    assert_eq!(made.values::<bool>("y").unwrap(), [Some(true), None, Some(false)]);
    let folds = collect(&df.group_by("w").agg([col("w").sum().alias("s"), len()]).sort("w"));
    assert_eq!(folds.values::<i64>("len").unwrap(), [Some(1), Some(1)]);
    assert_eq!(*folds.column("s").unwrap().data_type(), DataType::Decimal256(76, 1));
    assert_eq!(
        collect(&df.select(col("w").max().cast(DataType::Float64))).values::<f64>("w").unwrap(),
        [Some(0.5)]
    );
}

/// Rows with decimals of few and many digits, in batches, some of them empty.
fn rows(
    seed: u64,
    rows: usize,
    keys: u64,
    batches: usize,
) -> (DataFrame, Vec<(Option<i128>, Option<i128>, i64)>) {
    let mut r = Random(seed);
    let big = 10i128.pow(25);
    let all: Vec<(Option<i128>, Option<i128>, i64)> = (0..rows as i64)
        .map(|i| {
            let k = r.some(9, |r| r.below(keys) as i128 - 3);
            (k, r.some(7, |r| (r.below(2000) as i128 - 1000) * if r.below(2) == 0 { 1 } else { big }), i)
        })
        .collect();
    let batch = |some: &[(Option<i128>, Option<i128>, i64)]| {
        DataFrame::from_columns([
            ("k", decimals(some.iter().map(|r| r.0).collect(), 12, 2)),
            ("v", decimals(some.iter().map(|r| r.1).collect(), 34, 3)),
            ("i", some.iter().map(|r| r.2).collect::<Vec<i64>>().into()),
        ])
        .collect()
        .unwrap()
        .to_batch()
        .unwrap()
    };
    let mut made = vec![batch(&[])];
    made.extend(all.chunks(rows.div_ceil(batches).max(1)).map(batch));
    (DataFrame::from_batches(made), all)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..property::cases(6) })]

    #[test]
    fn folds_keys_and_order(seed in any::<u64>(), n in 0usize..1500, keys in 1u64..900, batches in 1usize..6) {
        let (df, all) = rows(seed, n, keys, batches);
        let folds = [
            col("v").sum().alias("sum"), col("v").min().alias("min"), col("v").max().alias("max"),
            col("v").first().alias("first"), col("v").last().alias("last"), col("v").count().alias("count"),
            col("v").mean().alias("mean"), col("v").n_unique().alias("unique"), col("v").median().alias("median"),
        ];
        let grouped = df.group_by("k").agg(folds.clone());
        let spilled = same(&grouped);
        prop_assert!(spilled || n == 0);
        same(&df.group_by("v").keep_nulls().agg(len()));
        // the oracle: groups in the order of their first rows
        let mut order: Vec<i128> = vec![];
        let mut groups: BTreeMap<i128, Vec<i128>> = BTreeMap::new();
        for (k, v, _) in &all {
            let Some(k) = *k else { continue };
            if !groups.contains_key(&k) { order.push(k); }
            groups.entry(k).or_default().extend(v);
        }
        let table = collect(&grouped);
        let want = |f: &dyn Fn(&[i128]) -> Option<i128>| order.iter().map(|k| f(&groups[k])).collect::<Vec<_>>();
        prop_assert_eq!(raw(&table, "k"), (order.iter().copied().map(Some).collect(), 2));
        prop_assert_eq!(raw(&table, "sum"), (want(&|v| Some(v.iter().sum())), 3));
        prop_assert_eq!(raw(&table, "min").0, want(&|v| v.iter().min().copied()));
        prop_assert_eq!(raw(&table, "max").0, want(&|v| v.iter().max().copied()));
        prop_assert_eq!(raw(&table, "first").0, want(&|v| v.first().copied()));
        prop_assert_eq!(raw(&table, "last").0, want(&|v| v.last().copied()));
        let counts: Vec<Option<i64>> = order.iter().map(|k| Some(groups[k].len() as i64)).collect();
        prop_assert_eq!(table.values::<i64>("count").unwrap(), counts);
        let unique = |k: &i128| groups[k].iter().collect::<std::collections::BTreeSet<_>>().len() as i64;
        prop_assert_eq!(table.values::<i64>("unique").unwrap(), order.iter().map(|k| Some(unique(k))).collect::<Vec<_>>());
        let mean = |k: &i128| frames::mean(&groups[k].iter().map(|&v| v as f64 / 1000.0).collect::<Vec<_>>());
        frames::all_close(table.values("mean").unwrap(), order.iter().map(mean).collect());
        let whole = collect(&df.select([col("v").sum(), col("k").min()]));
        prop_assert_eq!(raw(&whole, "v").0, [Some(all.iter().filter_map(|r| r.1).sum::<i128>())]);
        prop_assert_eq!(raw(&whole, "k").0, [all.iter().filter_map(|r| r.0).min()]);

        let sorted = df.sort([col("v").descending(), col("k").ascending()]);
        same(&sorted);
        let mut by = all.clone();
        by.sort_by_key(|(k, v, _)| (v.is_none(), std::cmp::Reverse(*v), k.is_none(), *k));
        let places: Vec<Option<i64>> = by.iter().map(|r| Some(r.2)).collect();
        prop_assert_eq!(collect(&sorted).values::<i64>("i").unwrap(), places);

        same(&df.unique(["v"]));
        let mut seen = std::collections::BTreeSet::new();
        let firsts: Vec<Option<i64>> = all.iter().filter(|r| seen.insert(r.1)).map(|r| Some(r.2)).collect();
        prop_assert_eq!(collect(&df.unique(["v"])).values::<i64>("i").unwrap(), firsts);
    }

    #[test]
    fn joins(seed in any::<u64>(), n in 0usize..300, keys in 1u64..200) {
        let (left, a) = rows(seed, n, keys, 3);
        let (right, b) = rows(seed ^ 5, n / 2, keys, 2);
        // keys of other precision and scale, and integers
        let other = right.select([col("k").cast(DataType::Decimal128(20, 4)).alias("k"), col("i").alias("j")]);
        for kind in [JoinKind::Inner, JoinKind::Left, JoinKind::Full, JoinKind::Semi, JoinKind::Anti] {
            same(&left.join(&other, ["k"], kind));
        }
        let got = collect(&left.join(&other, ["k"], JoinKind::Inner));
        let pairs = a.iter().flat_map(|l| b.iter().filter(|r| r.0.is_some() && r.0 == l.0).map(|r| (Some(l.2), Some(r.2))));
        let got: Vec<_> = got.values::<i64>("i").unwrap().into_iter().zip(got.values::<i64>("j").unwrap()).collect();
        prop_assert_eq!(got, pairs.collect::<Vec<_>>());
        let whole = left.with_columns((col("k") * 100).cast(DataType::Int64).alias("n"));
        let twice = left.with_columns((col("k") * 100).alias("n")).select([col("n"), col("i").alias("j")]);
        let got = collect(&whole.join(&twice, ["n"], JoinKind::Inner)).num_rows();
        let want = a.iter().map(|l| a.iter().filter(|r| r.0.is_some() && r.0 == l.0).count()).sum::<usize>();
        prop_assert_eq!(got, want);
    }
}

#[test]
fn keys_of_groups_that_are_kept_and_pivots() {
    let df = DataFrame::from_columns([
        ("d", decimals(vec![Some(150), None, Some(150), Some(7)], 5, 2)),
        ("v", vec![1, 2, 3, 4].into()),
    ]);
    let sums = collect(&df.group_by("d").keep_nulls().transform(col("v").sum().alias("s")));
    assert_eq!(sums.values::<i64>("s").unwrap(), [Some(4), Some(2), Some(4), Some(4)]);
    let wide = collect(&df.with_columns(lit(1).alias("k")).pivot_eager("k", "d", col("v").sum()).unwrap());
    assert_eq!(wide.values::<i64>("1.50").unwrap(), [Some(4)]);
    assert_eq!(wide.values::<i64>("0.07").unwrap(), [Some(4)]);
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let df = DataFrame::from_columns([
        ("d", decimals(vec![Some(150), None, Some(-7), Some(0)], 5, 2)),
        ("n", vec![1, 2, 3, 4].into()),
    ]);
    let want = df.collect().unwrap().to_batch().unwrap();
    let csv = dir.path().join("d.csv");
    df.write_csv(&csv).unwrap();
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), "d,n\n1.50,1\n,2\n-0.07,3\n0.00,4\n");
    let types = [("d", DataType::Decimal128(5, 2)), ("n", DataType::Int32)];
    let options = CsvOptions { types: types.map(|(n, t)| (n.into(), t)).to_vec(), ..Default::default() };
    let back = options.scan(&csv);
    assert_eq!(back.collect().unwrap().to_batch().unwrap(), want);
    let ipc = dir.path().join("d.arrow");
    df.write_ipc(&ipc).unwrap();
    assert_eq!(scan_ipc(&ipc).collect().unwrap().to_batch().unwrap(), want);
    #[cfg(feature = "parquet")]
    {
        let parquet = dir.path().join("d.parquet");
        df.write_parquet(&parquet).unwrap();
        let back = blockwise::frame::scan_parquet(&parquet);
        assert_eq!(back.collect().unwrap().to_batch().unwrap(), want);
        // a filter that goes by the file's statistics
        for (mask, rows) in
            [(col("d").gt("1.49"), 1), (col("d").lt(0), 1), (col("d").gt(100), 0), (col("d").le(1.5), 3)]
        {
            assert_eq!(back.filter(mask.clone()).num_rows().unwrap(), rows, "{mask}");
        }
    }
    // what is no decimal, or has too many digits
    std::fs::write(&csv, "d,n\n1.5,1\nx,2\n").unwrap();
    let bad = CsvOptions { types: vec![("d".into(), DataType::Decimal128(5, 2))], ..Default::default() };
    let message = error(&bad.clone().scan(&csv));
    assert!(message.contains("\"d\""), "{message}");
    // digits without a place, whether all rows fit or not
    for (text, want) in [("d,n\n1.239,1\n", vec![Some(123)]), ("d,n\n1.239,1\nx,2\n", vec![Some(123), None])]
    {
        std::fs::write(&csv, text).unwrap();
        let options = CsvOptions { bad_rows: BadRows::Null, ..bad.clone() };
        assert_eq!(raw(&options.scan(&csv).collect().unwrap(), "d").0, want);
    }
    std::fs::write(&csv, "d,n\n12345.67,1\n").unwrap();
    let message = error(&bad.scan(&csv));
    assert!(message.contains('d'), "{message}");
}

#[test]
fn keys_of_any_scale() {
    let long = 10i128.pow(25);
    for (precision, scale) in [(9, -3), (38, -2), (30, 5)] {
        let values =
            vec![Some(7), None, Some(-long.min(10i128.pow(u32::from(precision) - 1))), Some(7), None];
        let want = vec![values[0], None, values[2]];
        let df = DataFrame::from_columns([("a", decimals(values, precision, scale))]);
        let groups = collect(&df.group_by("a").keep_nulls().agg(blockwise::frame::len()));
        assert_eq!(raw(&groups, "a"), (want, scale));
        assert_eq!(groups.values::<i64>("len").unwrap(), [Some(2), Some(2), Some(1)]);
        assert_eq!(collect(&df.join(&df, "a", blockwise::frame::JoinKind::Inner)).num_rows(), 5);
    }
}
