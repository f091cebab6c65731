//! Frames at their edges: nothing at all, types that meet badly, rows that are not there, functions of one name.
#![cfg(feature = "frame")]

use blockwise::Session;
use blockwise::frame::arrow::array::{DictionaryArray, Float64Array, Int32Array, StringArray};
use blockwise::frame::arrow::datatypes::{Int8Type, Int32Type};
use blockwise::frame::{
    Column, CsvOptions, DataFrame, DataType, Expr, Field, JoinKind, RecordBatch, Schema, UserFunction, col,
    len, lit, scan_csv,
};
use std::sync::Arc;

fn numbers(k: Vec<i32>, v: Vec<f64>) -> DataFrame {
    DataFrame::from_columns([("k", k.into()), ("v", v.into())])
}

#[test]
fn no_rows_and_no_groups() {
    let empty = numbers(vec![], vec![]);
    let folds =
        [col("v").sum().alias("sum"), col("v").min().alias("min"), col("v").median().alias("median"), len()];
    assert_eq!(empty.group_by("k").agg(folds.clone()).collect().unwrap().num_rows(), 0);
    let nulls =
        DataFrame::from_columns([("k", vec![None::<i32>, None].into()), ("v", vec![1.0, 2.0].into())]);
    assert_eq!(nulls.group_by("k").agg(folds.clone()).collect().unwrap().num_rows(), 0);
    assert_eq!(nulls.group_by("k").keep_nulls().agg(folds.clone()).collect().unwrap().num_rows(), 1);
    let one = empty.select(folds).collect().unwrap();
    assert_eq!(one.values::<f64>("sum").unwrap(), [Some(0.0)]);
    assert_eq!(one.values::<f64>("min").unwrap(), [None]);
    assert_eq!(one.values::<i64>("len").unwrap(), [Some(0)]);
    assert_eq!(empty.sort("k").collect().unwrap().num_rows(), 0);
    let no_keys: Vec<&str> = vec![];
    assert_eq!(numbers(vec![2, 1], vec![0.0, 1.0]).sort(no_keys).collect().unwrap().num_rows(), 2);
    assert_eq!(empty.join(&empty, "k", JoinKind::Full).collect().unwrap().num_rows(), 0);
    assert_eq!(empty.unique("k").num_rows().unwrap(), 0);
}

#[test]
fn values_keep_their_types_wherever_a_filter_goes() {
    let df = DataFrame::from_columns([("f", vec![0.1f32].into()), ("i", vec![i32::MAX].into())]);
    // 0.1 in f32 is larger than in f64
    let kept = df.with_columns(lit(0.1f64).alias("t")).filter(col("f").gt(col("t")));
    assert_eq!(kept.num_rows().unwrap(), 1);
    let kept =
        df.with_columns(lit(1i64).alias("one")).filter((col("i") + col("one")).gt(i64::from(i32::MAX)));
    assert_eq!(kept.num_rows().unwrap(), 1);
    assert_eq!(df.filter(col("i").lt(u64::MAX)).num_rows().unwrap(), 1);
    assert_eq!(df.filter(col("i").gt(1).and(Expr::null())).num_rows().unwrap(), 0);
    let many = df.filter(col("i").is_in((0..2000).chain([i32::MAX])));
    assert_eq!(many.num_rows().unwrap(), 1);
    // an f64 and an i32 fold that read alike
    let sums = df
        .select([(col("i") * 2).sum().alias("wraps"), (col("i") * 2.0).sum().alias("not")])
        .collect()
        .unwrap();
    assert_eq!(sums.values::<i64>("wraps").unwrap(), [Some(-2)]);
    assert_eq!(sums.values::<f64>("not").unwrap(), [Some(2.0 * f64::from(i32::MAX))]);
    assert_eq!(
        df.select(col("i").eq_missing(5)).collect().unwrap().values::<bool>("i").unwrap(),
        [Some(false)]
    );
}

#[test]
fn what_a_filter_took_away_is_not_seen() {
    let df = DataFrame::from_columns([("s", vec!["1", "x", "3"].into())]);
    let sum = df.filter(col("s").ne("x")).select(col("s").cast(DataType::Int32).sum());
    assert_eq!(sum.collect().unwrap().values::<i64>("s").unwrap(), [Some(4)]);
    let chained = df.filter(col("s").ne("x")).filter(col("s").cast(DataType::Int32).gt(1));
    assert_eq!(chained.num_rows().unwrap(), 1);
}

#[test]
fn functions_of_one_name_are_two() {
    let times = |k: f64| UserFunction {
        name: "times".into(),
        output: DataType::Float64,
        call: Arc::new(move |x| {
            let x = x[0].as_any().downcast_ref::<Float64Array>().expect("f64");
            Ok(Arc::new(x.unary::<_, blockwise::frame::arrow::datatypes::Float64Type>(|v| v * k)))
        }),
    };
    let df = numbers(vec![1], vec![3.0]);
    let both = [
        Expr::map_columns([col("v")], times(2.0)).alias("x"),
        Expr::map_columns([col("v")], times(5.0)).alias("y"),
    ];
    let table = df.select(both).collect().unwrap();
    assert_eq!(table.values::<f64>("x").unwrap(), [Some(6.0)]);
    assert_eq!(table.values::<f64>("y").unwrap(), [Some(15.0)]);
    let panics =
        UserFunction { name: "p".into(), output: DataType::Float64, call: Arc::new(|_| panic!("no")) };
    let e = df.select(Expr::map_columns([col("v")], panics)).collect().unwrap_err().to_string();
    assert!(e.contains("p: the function panicked"), "{e}");
}

#[test]
fn rows_of_one_side_keep_their_keys() {
    let left = DataFrame::from_columns([("k", vec![1i32].into()), ("v", vec![1.0].into())]);
    let right = DataFrame::from_columns([("k", vec![1i64, 4_294_967_297].into()), ("w", vec![5, 6].into())]);
    for kind in [JoinKind::Right, JoinKind::Full] {
        let table = left.join(&right, "k", kind).sort("k").collect().unwrap();
        assert_eq!(table.values::<i64>("k").unwrap(), [Some(1), Some(4_294_967_297)]);
        assert_eq!(table.values::<f64>("v").unwrap(), [Some(1.0), None]);
    }
    // a column that cannot be null is null where its row is not there
    let schema = Arc::new(Schema::new(vec![Field::new("k", DataType::Int32, false)]));
    let strict = RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(vec![1]))]).unwrap();
    let strict = DataFrame::from_batches([strict]);
    let keys = DataFrame::from_columns([("q", vec![1, 2].into())]);
    let full = strict.join_on(&keys, "k", "q", JoinKind::Full, "_r").sort("k").collect().unwrap();
    assert_eq!(full.to_batch().unwrap().num_rows(), 2);
    assert_eq!(full.values::<i32>("k").unwrap(), [Some(1), None]);
}

#[test]
fn not_a_number_is_the_largest_whatever_its_sign() {
    let df = numbers(vec![1, 2, 3, 4], vec![0.0, f64::INFINITY, -f64::NAN, f64::NEG_INFINITY]);
    let sorted = df.sort("v").collect().unwrap();
    assert_eq!(sorted.values::<i32>("k").unwrap(), [Some(4), Some(1), Some(2), Some(3)]);
    let zeros = DataFrame::from_columns([("a", vec![0.0, 1.0].into()), ("k", vec![1, 2].into())]);
    let sorted = zeros.sort((col("a") / col("a")).ascending()).collect().unwrap();
    assert_eq!(sorted.values::<i32>("k").unwrap(), [Some(2), Some(1)]);
}

#[test]
fn dictionaries_of_any_kind() {
    let part = |values: Vec<&str>| {
        let keys = Int32Array::from_iter_values(0..values.len() as i32);
        let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(values))).unwrap();
        DataFrame::from_columns([("s", Column::new(array))]).collect().unwrap().to_batch().unwrap()
    };
    let df = DataFrame::from_batches([part(vec!["b", "a"]), part(vec!["a", "c"]), part(vec!["c"])]);
    let counts = df.group_by("s").agg(len()).collect().unwrap();
    assert_eq!(counts.texts("s").unwrap(), ["b", "a", "c"].map(|s| Some(s.into())));
    assert_eq!(counts.values::<i64>("len").unwrap(), [Some(1), Some(2), Some(2)]);
    assert_eq!(df.select(col("s").min()).collect().unwrap().texts("s").unwrap(), [Some("a".into())]);
    assert_eq!(df.filter(col("s").eq("a")).num_rows().unwrap(), 2);
    assert_eq!(df.join(&df, "s", JoinKind::Semi).num_rows().unwrap(), 5);
    // more values than a narrow key can number, though each part has few
    let narrow = |from: usize| {
        let text: Vec<String> = (from..from + 100).map(|n| format!("v{n}")).collect();
        let keys = blockwise::frame::arrow::array::Int8Array::from_iter_values(0..100);
        let array = DictionaryArray::<Int8Type>::try_new(keys, Arc::new(StringArray::from(text))).unwrap();
        DataFrame::from_columns([("s", Column::new(array))]).collect().unwrap().to_batch().unwrap()
    };
    let df = DataFrame::from_batches([narrow(0), narrow(100)]);
    assert_eq!(df.collect().unwrap().num_rows(), 200);
}

/// More groups than are merged one after the other, with keys of every kind.
#[test]
fn very_many_groups() {
    let n = 400_000i64;
    let text = |i: i64| format!("t{}", i % 150_000);
    let df = DataFrame::from_columns([
        ("i", (0..n).map(|i| i - 100_000).collect::<Vec<_>>().into()),
        ("s", (0..n).map(text).collect::<Vec<_>>().into()),
        ("v", (0..n).map(|i| i as f64).collect::<Vec<_>>().into()),
    ]);
    // the same rows twice, in batches that are no multiple of anything
    let twice = DataFrame::concat([&df, &df.slice(1, usize::MAX), &df.head(1)]);
    let one = Session::builder().threads(1).build().unwrap();
    for keys in [vec!["i"], vec!["s"], vec!["i", "s"]] {
        let groups = twice.group_by(keys.clone()).agg([col("v").sum().alias("sum"), len()]);
        let (a, b) = (groups.collect_with(&one).unwrap(), groups.collect().unwrap());
        assert_eq!(a.to_batch().unwrap(), b.to_batch().unwrap());
        let want = if keys == ["s"] { 150_000 } else { n as usize };
        assert_eq!(a.num_rows(), want);
        assert_eq!(a.values::<i64>("len").unwrap().into_iter().flatten().sum::<i64>(), 2 * n);
        let total: f64 = a.values::<f64>("sum").unwrap().into_iter().flatten().sum();
        assert_eq!(total, (n * (n - 1)) as f64);
        if keys == ["i"] {
            let pairs = a.values::<i64>("i").unwrap().into_iter().zip(a.values::<f64>("sum").unwrap());
            assert!(pairs.into_iter().all(|(i, s)| s == i.map(|i| 2.0 * (i + 100_000) as f64)));
        }
    }
}

#[test]
fn what_is_kept_counts_as_it_grows() {
    let session = Session::builder().memory_limit("8MiB").threads(2).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let n = 300_000i64;
    let df = DataFrame::from_columns([
        ("k", (0..n).collect::<Vec<_>>().into()),
        ("v", vec![1.5; n as usize].into()),
    ]);
    df.write_csv(&path).unwrap();
    let read = CsvOptions { part_bytes: 100_000, ..CsvOptions::default() }.scan(&path);
    // streams through: far more text than the limit would be fine too
    assert_eq!(read.filter(col("k").lt(5)).collect_with(&session).unwrap().num_rows(), 5);
    let copy = dir.path().join("copy.csv");
    read.write_csv(&copy).unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().len(), std::fs::metadata(&path).unwrap().len());
    // what keeps rows goes to disk, unless it is the result
    let sorted = read.sort(col("k").descending());
    for (plan, first) in
        [(&sorted, n - 1), (&read.unique("k"), 0), (&read.join(&read, ["k"], JoinKind::Inner), 0)]
    {
        let sink =
            blockwise::io::csv::CsvSink::create(&copy, &plan.schema().unwrap(), &Default::default()).unwrap();
        plan.write_with(Arc::new(sink), &session).unwrap();
        let back = scan_csv(&copy);
        assert_eq!(back.num_rows().unwrap(), n as usize);
        assert_eq!(back.head(1).collect().unwrap().values::<i64>("k").unwrap(), [Some(first)]);
        let wide = plan.with_columns([(col("v") * 2.0).alias("w"), (col("v") * 3.0).alias("x")]);
        let error = wide.collect_with(&session).unwrap_err().to_string();
        assert!(error.contains("8388608"), "{error}");
    }
    // slices of one column count as what they are
    let median =
        df.select(col("v").median()).collect_with(&Session::builder().memory_limit("64MiB").build().unwrap());
    assert_eq!(median.unwrap().values::<f64>("v").unwrap(), [Some(1.5)]);
}

#[test]
fn files_without_rows_have_a_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    numbers(vec![1], vec![2.0]).filter(col("k").gt(5)).write_csv(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "k,v\n");
    let back = scan_csv(&path);
    assert_eq!(back.columns().unwrap(), ["k", "v"]);
    assert_eq!(back.num_rows().unwrap(), 0);
    std::fs::write(&path, "a,b\r1,2\r").unwrap();
    assert!(scan_csv(&path).collect().unwrap_err().to_string().contains("carriage return"));
    std::fs::write(&path, "a,b\r\n1,2\r\n").unwrap();
    assert_eq!(scan_csv(&path).collect().unwrap().values::<i64>("b").unwrap(), [Some(2)]);
}

#[test]
fn skipped_rows_do_not_depend_on_the_columns_wanted() {
    use blockwise::frame::BadRows;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, "a,b\n1,1\n2,x\n3,3\n").unwrap();
    let options = CsvOptions { bad_rows: BadRows::Skip, infer_rows: 1, ..CsvOptions::default() };
    let df = options.scan(&path);
    assert_eq!(df.num_rows().unwrap(), 2);
    assert_eq!(df.select("a").collect().unwrap().values::<i64>("a").unwrap(), [Some(1), Some(3)]);
    assert_eq!(df.collect().unwrap().num_rows(), 2);
}

#[test]
fn zeros_are_equal_and_halves_of_infinity_are_infinite() {
    let zeros = numbers(vec![1, 2], vec![0.0, -0.0]).sort("v").collect().unwrap();
    assert_eq!(zeros.values::<i32>("k").unwrap(), [Some(1), Some(2)]);
    let median = |v: Vec<f64>| {
        let table = DataFrame::from_columns([("v", v.into())]).select(col("v").median()).collect().unwrap();
        table.values::<f64>("v").unwrap()[0].unwrap()
    };
    assert_eq!(median(vec![f64::NEG_INFINITY, 5.0]), f64::NEG_INFINITY);
    assert_eq!(median(vec![-1.7e308, 1.7e308]), 0.0);
    assert!(median(vec![f64::NEG_INFINITY, f64::INFINITY]).is_nan());
}

#[test]
fn a_quote_inside_a_header_swallows_no_rows() {
    let dir = tempfile::tempdir().unwrap();
    for end in ["\n", "\r\n"] {
        let path = dir.path().join("t.csv");
        std::fs::write(&path, ["id,height 5\",w", "1,2,3", "4,5,6", ""].join(end)).unwrap();
        assert_eq!(scan_csv(&path).collect().unwrap().values::<i64>("w").unwrap(), [Some(3), Some(6)]);
    }
}

#[test]
fn large_integers_with_and_without_a_sign_are_told_apart_as_keys() {
    let big = 1i64 << 53;
    let signed = vec![Some(big), Some(big + 1), Some(-1), Some(i64::MAX), None, Some(3)];
    let unsigned = vec![
        Some(big as u64 + 1),
        Some(u64::MAX),
        Some(i64::MAX as u64),
        Some(i64::MAX as u64 + 1),
        Some(3),
        None,
    ];
    let left =
        DataFrame::from_columns([("k", signed.clone().into()), ("i", (0..6).collect::<Vec<i32>>().into())]);
    let right =
        DataFrame::from_columns([("k", unsigned.clone().into()), ("j", (0..6).collect::<Vec<i32>>().into())]);
    let i128s = |v: Option<i64>| v.map(i128::from);
    let pairs = |left: &DataFrame, right: &DataFrame| {
        let t = left.join(right, "k", JoinKind::Inner).collect().unwrap();
        let (i, j) = (t.values::<i32>("i").unwrap(), t.values::<i32>("j").unwrap());
        i.into_iter().flatten().zip(j.into_iter().flatten()).collect::<Vec<_>>()
    };
    let mut want = vec![];
    for (i, a) in signed.iter().enumerate() {
        for (j, b) in unsigned.iter().enumerate() {
            if a.is_some() && i128s(*a) == b.map(i128::from) {
                want.push((i as i32, j as i32));
            }
        }
    }
    assert_eq!(want, [(1, 0), (3, 2), (5, 4)]);
    assert_eq!(pairs(&left, &right), want);
    let mut turned: Vec<(i32, i32)> = pairs(&right.rename([("j", "i")]), &left.rename([("i", "j")]));
    turned.sort_by_key(|p| p.1);
    assert_eq!(turned, want.iter().map(|&(i, j)| (j, i)).collect::<Vec<_>>());
    // keys of one side alone stay what they are
    let full =
        left.join(&right, "k", JoinKind::Full).select(col("k").cast(DataType::Utf8)).collect().unwrap();
    let mut shown: Vec<String> = full.texts("k").unwrap().into_iter().flatten().collect();
    let mut all: Vec<String> = signed.iter().flatten().map(|v| v.to_string()).collect();
    all.extend([u64::MAX.to_string(), (i64::MAX as u64 + 1).to_string()]);
    shown.sort();
    all.sort();
    assert_eq!(shown, all);
    assert_eq!(left.join(&right, "k", JoinKind::Anti).num_rows().unwrap(), 3);
}
