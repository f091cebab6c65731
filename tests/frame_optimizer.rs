//! What is done to plans before they run: less work, the same rows.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/property.rs"]
mod property;
#[path = "common/spill.rs"]
mod spill;

use blockwise::frame::{Column, DataFrame, DataType, Expr, col, date, len, lit, when};
use frames::collect;
use proptest::prelude::*;
use spill::Random;

fn rows(seed: u64, n: usize) -> DataFrame {
    let mut r = Random(seed);
    let k: Vec<Option<i64>> = (0..n).map(|_| r.some(9, |r| r.below(20) as i64)).collect();
    let x: Vec<Option<f64>> = (0..n).map(|_| r.some(7, |r| r.below(1000) as f64 / 8.0 - 50.0)).collect();
    let s: Vec<Option<String>> = (0..n).map(|_| r.some(8, |r| format!("t{}", r.below(7)))).collect();
    let d: Vec<i64> = (0..n).map(|_| r.below(700) as i64 + 15_000).collect();
    DataFrame::from_columns([("k", Column::from(k)), ("x", x.into()), ("s", s.into()), ("d", d.into())])
}

/// The plan of the passes.
fn passes(df: &DataFrame) -> String {
    let plan = df.explain().unwrap();
    plan[plan.find("pipeline 0").unwrap()..].to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..property::cases(24) })]

    #[test]
    fn projections_become_part_of_groups(seed in any::<u64>(), n in 0usize..400) {
        let df = rows(seed, n);
        let columns = [
            (col("x") * 2.0 - col("k")).alias("y"),
            when(col("x").gt(0.0)).then(col("k")).otherwise(-1).alias("part"),
            col("s").str().to_uppercase().alias("t"),
        ];
        let folds = [col("y").sum().alias("sum"), col("y").mean().alias("mean"), col("t").n_unique().alias("texts"), len()];
        // what is kept in between is no projection any more
        let there = df.with_columns(columns.clone()).persist().unwrap();
        let lazy = df.with_columns(columns);
        for keys in [vec!["k"], vec!["part", "t"], vec!["t"], vec![]] {
            let of = |df: &DataFrame| df.filter(col("y").lt(60.0)).group_by(keys.clone()).keep_nulls().agg(folds.clone());
            let (got, want) = (of(&lazy), of(&there));
            prop_assert!(!passes(&got).contains("project"), "{}", passes(&got));
            prop_assert_eq!(collect(&got).to_batch().unwrap(), collect(&want).to_batch().unwrap());
        }
        // folds of kernels alone without keys: the filter is a part of them, too
        let of = |df: &DataFrame| df.filter(col("y").lt(60.0)).select([col("y").sum().alias("sum"), col("x").max(), len()]);
        prop_assert!(passes(&of(&lazy)).contains("filtered in it") && passes(&of(&lazy)).matches("\n").count() == 3, "{}", passes(&of(&lazy)));
        prop_assert_eq!(collect(&of(&lazy)).to_batch().unwrap(), collect(&of(&there)).to_batch().unwrap());
    }
}

#[test]
fn what_would_grow_too_much_is_made_once() {
    let mut df = rows(3, 50).select([col("k"), col("x")]);
    for _ in 0..30 {
        df = df.with_columns((col("x") * 0.5 + col("x") * 0.25).alias("x"));
    }
    let sums = collect(&df.group_by("k").agg(col("x").sum()).sort("k"));
    let want = collect(&df.persist().unwrap().group_by("k").agg(col("x").sum()).sort("k"));
    assert_eq!(sums.to_batch().unwrap(), want.to_batch().unwrap());
}

#[test]
fn masks_without_a_column() {
    let df = rows(5, 100);
    let never: [Expr; 5] = [
        lit(1).gt(2),
        lit(false).and(col("k").gt(3)),
        Expr::null().cast(DataType::Boolean),
        date(2013, 3, 1).ge(date(2013, 3, 2)),
        col("k").gt(3).and((lit(5i64) - lit(7i64)).gt(0)),
    ];
    for mask in never {
        let none = df.filter(mask);
        assert!(passes(&none).contains("0 parts"), "{}", passes(&none));
        assert_eq!((none.num_rows().unwrap(), none.columns().unwrap()), (0, df.columns().unwrap()));
        assert_eq!(collect(&none.group_by("k").agg(len())).num_rows(), 0);
        assert_eq!(collect(&none.select(len())).values::<i64>("len").unwrap(), [Some(0)]);
    }
    for mask in
        [lit(true), lit(3).gt(2), (lit(1) + 1).eq(2).or(col("k").gt(3)), date(2013, 3, 1).is_not_null()]
    {
        let all = df.filter(mask);
        assert!(!passes(&all).contains("filter") && !passes(&all).contains("drop"), "{}", passes(&all));
        assert_eq!(all.num_rows().unwrap(), 100);
    }
    // what overflows is what the kernel says
    let wrapped = df.filter((lit(i64::MAX) + lit(1i64)).lt(0));
    assert_eq!(wrapped.num_rows().unwrap(), 100);
    let nan = lit(f64::NAN);
    assert_eq!(df.filter(nan.clone().eq(nan.clone())).num_rows().unwrap(), 0);
    assert_eq!(df.filter(nan.gt(1.0)).num_rows().unwrap(), 0);
}

/// A bound for a source may be computed.
#[cfg(feature = "parquet")]
#[test]
fn bounds_of_computed_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 4 << 19;
    let df = DataFrame::from_columns([("i", Column::from((0..n).collect::<Vec<i64>>()))]);
    df.with_columns(col("i").cast(DataType::Int32).cast(DataType::Date32).alias("day"))
        .write_parquet(&path)
        .unwrap();
    let read = blockwise::frame::scan_parquet(&path);
    let parts = |df: &DataFrame| {
        let plan = passes(df);
        let of = plan.split("], ").nth(1).unwrap();
        of.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let most = parts(&read);
    assert!(most >= 4, "{}", passes(&read));
    let some = read.filter(col("i").lt(lit(1i64 << 18) + lit(5i64)));
    assert!(parts(&some) < most, "{}", passes(&some));
    assert_eq!(some.num_rows().unwrap(), (1 << 18) + 5);
    let days = lit(3i64 * 86_400).cast(DataType::Duration(blockwise::frame::TimeUnit::Second));
    let some = read.filter(col("day").lt(date(1970, 3, 1) - days));
    assert!(parts(&some) < most, "{}", passes(&some));
    assert_eq!(some.num_rows().unwrap(), 56);
}

/// Text that a file has as codes comes as codes, if it is nothing but a key.
#[cfg(feature = "parquet")]
#[test]
fn keys_of_text_are_read_as_codes() {
    use blockwise::frame::scan_parquet;
    let dir = tempfile::tempdir().unwrap();
    let df = rows(11, 5000);
    let (a, b) = (dir.path().join("a.parquet"), dir.path().join("b.parquet"));
    df.write_parquet(&a).unwrap();
    df.filter(col("k").gt(3))
        .with_columns(col("s").str().to_uppercase().alias("s"))
        .write_parquet(&b)
        .unwrap();
    let twice = DataFrame::concat([&df, &scan_parquet(&b)]);
    let folds = [col("x").sum().alias("sum"), len(), col("s").n_unique().alias("n")];
    for (read, plain) in [(scan_parquet(&a), df), (scan_parquet(dir.path()), twice)] {
        let plain = plain.persist().unwrap();
        for (keys, kept, coded) in [
            (&["s"][..], 2, true),
            (&["k", "s"], 2, true),
            // what else it is used for wants it as it is
            (&["s", "k"], 3, false),
        ] {
            let of = |df: &DataFrame| {
                df.filter(col("d").gt(15_100)).group_by(keys.to_vec()).agg(folds[..kept].to_vec())
            };
            let got = of(&read);
            assert_eq!(passes(&got).contains("s as codes"), coded, "{}", passes(&got));
            assert_eq!(got.schema().unwrap(), of(&plain).schema().unwrap());
            assert_eq!(collect(&got).to_batch().unwrap(), collect(&of(&plain)).to_batch().unwrap());
            // nulls are a key, too
            let of = |df: &DataFrame| df.group_by(keys.to_vec()).keep_nulls().agg(folds[..kept].to_vec());
            assert_eq!(collect(&of(&read)).to_batch().unwrap(), collect(&of(&plain)).to_batch().unwrap());
        }
        let of = |df: &DataFrame| df.filter(col("s").ne("t3")).group_by("s").agg(len());
        assert!(!passes(&of(&read)).contains("as codes"));
        assert_eq!(collect(&of(&read)).to_batch().unwrap(), collect(&of(&plain)).to_batch().unwrap());
    }
    // of nearly as many texts as rows a file has no codes
    let many = DataFrame::from_columns([(
        "s",
        Column::from((0..200_000).map(|i| format!("some text {i}")).collect::<Vec<_>>()),
    )]);
    let path = dir.path().join("many.pq");
    many.write_parquet(&path).unwrap();
    let count = scan_parquet(&path).group_by("s").agg(len());
    assert!(!passes(&count).contains("as codes"), "{}", passes(&count));
    assert_eq!(count.num_rows().unwrap(), 200_000);
}
