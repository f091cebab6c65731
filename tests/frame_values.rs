//! Values of expressions against values by hand: numbers with NaN, infinities and zeros, conversions, calendars, durations, decimals, lists.
#![cfg(feature = "frame")]

#[path = "common/frames.rs"]
mod frames;

use blockwise::frame::arrow::array::{
    Array, AsArray, Date32Array, Decimal128Array, DurationMicrosecondArray, DurationSecondArray,
    Float32Array, RecordBatch, TimestampSecondArray,
};
use blockwise::frame::arrow::datatypes::Decimal128Type;
use blockwise::frame::{
    Column, DataFrame, DataType, Expr, JoinKind, TimeUnit, col, date, duration, lit, timestamp, when,
};
use frames::{all_close, bits};
use std::time::Duration;

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn floats(values: &[f64]) -> DataFrame {
    let all = values.iter().map(|v| Some(*v)).chain([None]).collect::<Vec<_>>();
    DataFrame::from_columns([("x", all.into())])
}

/// The bits of a column, whose last value is null.
fn same(df: &DataFrame, e: Expr, want: &[f64]) {
    let shown = e.to_string();
    let got = frames::collect(&df.select(e.alias("got"))).values::<f64>("got").unwrap();
    let want = want.iter().map(|v| Some(*v)).chain([None]).collect();
    assert_eq!(bits(got.clone()), bits(want), "{shown}: {got:?}");
}

fn error(frame: &DataFrame) -> String {
    match frame.collect() {
        Err(e) => e.to_string(),
        Ok(table) => panic!("no error:\n{table}"),
    }
}

#[test]
fn functions_of_floats() {
    let df = floats(&[-2.5, -1.0, -0.0, 0.5, 1.5, 2.5, 4.0, INF, -INF, NAN]);
    let x = || col("x");
    same(&df, x().abs(), &[2.5, 1.0, 0.0, 0.5, 1.5, 2.5, 4.0, INF, INF, NAN]);
    same(&df, x().floor(), &[-3.0, -1.0, 0.0, 0.0, 1.0, 2.0, 4.0, INF, -INF, NAN]);
    same(&df, x().ceil(), &[-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, INF, -INF, NAN]);
    same(&df, x().round(0), &[-2.0, -1.0, 0.0, 0.0, 2.0, 2.0, 4.0, INF, -INF, NAN]);
    same(&df, x().sqrt(), &[NAN, NAN, 0.0, 0.5f64.sqrt(), 1.5f64.sqrt(), 2.5f64.sqrt(), 2.0, INF, NAN, NAN]);
    same(&df, x().pow(2), &[6.25, 1.0, 0.0, 0.25, 2.25, 6.25, 16.0, INF, INF, NAN]);
    same(&df, x().pow(0), &[1.0; 10]);
    same(&df, lit(1.0).pow(x()), &[1.0; 10]);
    let close = |e: Expr, f: fn(f64) -> f64| {
        let values = [-2.5, -1.0, -0.0, 0.5, 1.5, 2.5, 4.0, INF, -INF, NAN];
        let got = df.select(e).collect().unwrap().values::<f64>("x").unwrap();
        all_close(got, values.iter().map(|v| Some(f(*v))).chain([None]).collect());
    };
    close(x().exp(), f64::exp);
    close(x().log(), f64::ln);
    close(x().pow(0.5), |x| x.powf(0.5));
    close(x().pow(-1), |x| x.powf(-1.0));
}

/// NumPy's: the sign of the divisor; `x // 0` is what `x / 0` is, `x % 0` is NaN.
#[test]
fn floor_and_remainder_of_floats() {
    let cases = [
        // a, b, a // b, a % b
        (7.0, 2.0, 3.0, 1.0),
        (-7.0, 2.0, -4.0, 1.0),
        (7.0, -2.0, -4.0, -1.0),
        (-7.0, -2.0, 3.0, -1.0),
        (5.5, 1.5, 3.0, 1.0),
        (-0.5, 1.0, -1.0, 0.5),
        (1.0, 0.0, INF, NAN),
        (-1.0, 0.0, -INF, NAN),
        (0.0, 0.0, NAN, NAN),
        (INF, 2.0, NAN, NAN),
        (3.0, INF, 0.0, 3.0),
        (-3.0, INF, -1.0, INF),
        (NAN, 2.0, NAN, NAN),
        (2.0, NAN, NAN, NAN),
    ];
    let column = |f: fn(&(f64, f64, f64, f64)) -> f64| cases.iter().map(f).collect::<Vec<_>>();
    let df = DataFrame::from_columns([("a", column(|c| c.0).into()), ("b", column(|c| c.1).into())]);
    let table = frames::collect(
        &df.select([col("a").floor_div(col("b")).alias("floor"), (col("a") % col("b")).alias("rest")]),
    );
    let some = |v: Vec<f64>| bits(v.into_iter().map(Some).collect());
    assert_eq!(bits(table.values::<f64>("floor").unwrap()), some(column(|c| c.2)));
    assert_eq!(bits(table.values::<f64>("rest").unwrap()), some(column(|c| c.3)));
}

#[test]
fn rounding_to_decimals() {
    let df = floats(&[1.005, -2.675, 0.125, 1234.5, 1e300, -1e300, 5e-324, INF, -INF, NAN]);
    let round = |d| col("x").round(d);
    same(&df, round(2), &[1.0, -2.68, 0.12, 1234.5, 1e300, -1e300, 0.0, INF, -INF, NAN]);
    same(&df, round(10), &[1.005, -2.675, 0.125, 1234.5, 1e300, -1e300, 0.0, INF, -INF, NAN]);
    same(&df, round(-2), &[0.0, 0.0, 0.0, 1200.0, 1e300, -1e300, 0.0, INF, -INF, NAN]);
    same(&df, round(-300), &[0.0, 0.0, 0.0, 0.0, 1e300, -1e300, 0.0, INF, -INF, NAN]);
    same(&df, round(-301), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, INF, -INF, NAN]);
    // beyond every float
    same(&df, round(400), &[1.005, -2.675, 0.125, 1234.5, 1e300, -1e300, 5e-324, INF, -INF, NAN]);
    same(&df, round(i32::MAX), &[1.005, -2.675, 0.125, 1234.5, 1e300, -1e300, 5e-324, INF, -INF, NAN]);
    same(&df, round(i32::MIN), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, INF, -INF, NAN]);
    same(&floats(&[1.7e308, 5e307]), round(-308), &[1.7e308, 0.0]);
    let single = DataFrame::from_columns([("x", Column::new(Float32Array::from(vec![1.25f32, 3e38, -7.0])))]);
    let table =
        single.select([round(1), round(39).alias("fine"), round(-39).alias("coarse")]).collect().unwrap();
    assert_eq!(table.values::<f32>("x").unwrap(), [Some(1.2), Some(3e38), Some(-7.0)]);
    assert_eq!(table.values::<f32>("fine").unwrap(), [Some(1.25), Some(3e38), Some(-7.0)]);
    assert_eq!(table.values::<f32>("coarse").unwrap(), [Some(0.0), Some(0.0), Some(-0.0)]);
    let whole = DataFrame::from_columns([("n", vec![15i64, 25, -34].into())]);
    let tens = whole.select(col("n").round(-1)).collect().unwrap();
    assert_eq!(tens.values::<f64>("n").unwrap(), [Some(20.0), Some(20.0), Some(-30.0)]);
}

#[test]
fn comparisons_and_folds_of_nan() {
    let df = floats(&[1.0, NAN, 3.0]);
    let t = df
        .select([
            col("x").gt(NAN).alias("gt"),
            col("x").le(NAN).alias("le"),
            col("x").eq(NAN).alias("eq"),
            col("x").ne(NAN).alias("ne"),
            col("x").is_nan().alias("nan"),
        ])
        .collect()
        .unwrap();
    let bools = |v: [bool; 3]| v.map(Some).into_iter().chain([None]).collect::<Vec<_>>();
    assert_eq!(t.values::<bool>("gt").unwrap(), bools([false; 3]));
    assert_eq!(t.values::<bool>("le").unwrap(), bools([false; 3]));
    assert_eq!(t.values::<bool>("eq").unwrap(), bools([false; 3]));
    assert_eq!(t.values::<bool>("ne").unwrap(), bools([true; 3]));
    assert_eq!(t.values::<bool>("nan").unwrap(), bools([false, true, false]));
    let folds = df
        .select([
            col("x").median().alias("median"),
            col("x").quantile(0.1).alias("quantile"),
            col("x").max().alias("max"),
            col("x").min().alias("min"),
            col("x").sum().alias("sum"),
            col("x").n_unique().alias("different"),
        ])
        .collect()
        .unwrap();
    for name in ["median", "quantile", "sum"] {
        assert!(folds.values::<f64>(name).unwrap()[0].unwrap().is_nan(), "{name}");
    }
    assert_eq!(folds.values::<f64>("max").unwrap(), [Some(3.0)]);
    assert_eq!(folds.values::<f64>("min").unwrap(), [Some(1.0)]);
    assert_eq!(folds.values::<i64>("different").unwrap(), [Some(3)]);
    let sorted = df.sort(col("x").descending()).collect().unwrap();
    assert_eq!(bits(sorted.values("x").unwrap()), bits(vec![Some(NAN), Some(3.0), Some(1.0), None]));
    let top = df.select(col("x").top_k(1)).explode("x").collect().unwrap();
    assert!(top.values::<f64>("x").unwrap()[0].unwrap().is_nan());
    let pairs = df.join(&floats(&[NAN]), ["x"], JoinKind::Inner);
    assert_eq!(pairs.num_rows().unwrap(), 1);
    assert_eq!(floats(&[NAN, -NAN]).group_by("x").agg(blockwise::frame::len()).num_rows().unwrap(), 1);
}

/// The largest and smallest of a group, of few and of more than are kept in place, of values at the ends of every type.
#[test]
fn the_best_of_every_type() {
    fn check<T: blockwise::dtype::Element + PartialEq + std::fmt::Debug>(sorted: &[T])
    where
        Vec<T>: Into<Column>,
    {
        let mut mixed = sorted.to_vec();
        mixed.rotate_left(sorted.len() / 2);
        mixed.swap(0, 1);
        let df = DataFrame::from_columns([("k", vec![1i32; mixed.len()].into()), ("v", mixed.into())]);
        for k in [0, 1, 2, 3, 8, 9, 20] {
            for (lists, best) in [
                (
                    df.group_by("k").agg(col("v").top_k(k)),
                    sorted.iter().rev().take(k).cloned().collect::<Vec<T>>(),
                ),
                (df.select(col("v").bottom_k(k)), sorted.iter().take(k).cloned().collect()),
            ] {
                let got = lists.explode("v").drop_nulls(["v"]).collect().unwrap().values::<T>("v").unwrap();
                assert_eq!(got.into_iter().flatten().collect::<Vec<_>>(), best, "{k}");
            }
        }
    }
    check(&[false, false, true]);
    check(&[i8::MIN, -1, 0, 0, 5, i8::MAX]);
    check(&[0u8, 0, 1, 200, u8::MAX]);
    check(&[i16::MIN, 0, i16::MAX]);
    check(&[i32::MIN, i32::MIN, 0, 7]);
    check(&[i64::MIN, i64::MIN, i64::MIN + 1, -1, 0, 1, 2, 3, 4, 5, i64::MAX - 1, i64::MAX]);
    check(&[0u64, 0, 1, 1 << 63, u64::MAX - 1, u64::MAX, u64::MAX]);
    check(&[
        f32::NEG_INFINITY,
        f32::MIN,
        -f32::from_bits(1),
        0.0,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
    ]);
    check(&[f64::NEG_INFINITY, f64::MIN, -f64::from_bits(1), 0.0, 0.1, f64::MAX, f64::INFINITY]);
    // times keep their types, in place and beyond
    let df =
        DataFrame::from_columns([("t", vec![Some(5i64), None, Some(-86_400), Some(86_400 * 400)].into())]);
    let zone = Some("Europe/Berlin".into());
    for t in [
        DataType::Timestamp(TimeUnit::Second, None),
        DataType::Timestamp(TimeUnit::Millisecond, zone),
        DataType::Duration(TimeUnit::Microsecond),
        DataType::Date32,
    ] {
        let times = df.select(col("t").cast(DataType::Timestamp(TimeUnit::Second, None)));
        let times = match &t {
            DataType::Duration(_) => df.select(col("t").cast(t.clone())),
            _ => times.select(col("t").cast(t.clone())),
        };
        for k in [2, 9] {
            let top = times.select(col("t").top_k(k)).explode("t");
            let sorted = times.drop_nulls(["t"]).sort(col("t").descending()).head(k);
            assert_eq!(top.schema().unwrap().field(0).data_type(), &t);
            let rows = |df: &DataFrame| df.collect().unwrap().to_batch().unwrap().column(0).clone();
            assert_eq!(&rows(&top), &rows(&sorted), "{t} {k}");
        }
    }
}

#[test]
fn conversions_that_do_not_fit() {
    let df = DataFrame::from_columns([("n", vec![Some(-1i64), Some(127), None, Some(128)].into())]);
    let as_type = |t| df.select(col("n").cast(t));
    assert!(
        error(&as_type(DataType::Int8)).contains("cast to Int8: ")
            && error(&as_type(DataType::Int8)).contains("128")
    );
    assert!(error(&as_type(DataType::UInt64)).contains("-1"));
    let few = df.filter(col("n").lt(128)).select(col("n").cast(DataType::Int8)).collect().unwrap();
    assert_eq!(few.values::<i8>("n").unwrap(), [Some(-1), Some(127)]);
    let wide = as_type(DataType::Float32).collect().unwrap();
    assert_eq!(wide.values::<f32>("n").unwrap(), [Some(-1.0), Some(127.0), None, Some(128.0)]);
    let large = DataFrame::from_columns([("u", vec![u64::MAX, 1].into())]);
    assert!(error(&large.select(col("u").cast(DataType::Int64))).contains("18446744073709551615"));
    assert!(error(&df.select(lit(300).cast(DataType::UInt8).alias("x"))).contains("300"));
    let one = df.select(lit(200).cast(DataType::UInt8).alias("x")).collect().unwrap();
    assert_eq!(one.values::<u8>("x").unwrap()[0], Some(200));
    // floats truncate and saturate; NaN is 0
    let numbers = floats(&[-1.9, 1e10, NAN, -INF]).select(col("x").cast(DataType::Int32)).collect().unwrap();
    assert_eq!(
        numbers.values::<i32>("x").unwrap(),
        [Some(-1), Some(i32::MAX), Some(0), Some(i32::MIN), None]
    );
    // keys of two signs meet all the same
    let signed = DataFrame::from_columns([("u", vec![-1i64, 1].into()), ("k", vec![7, 8].into())]);
    let joined = large.join(&signed, ["u"], JoinKind::Left).collect().unwrap();
    assert_eq!(joined.values::<i32>("k").unwrap(), [None, Some(8)]);
}

#[test]
fn patterns_of_sql() {
    let texts = vec![Some("apple"), Some("pap"), None, Some("a%b"), Some("a\nb"), Some("")];
    let df = DataFrame::from_columns([("s", texts.into())]);
    let like = |p: &str| df.select(col("s").str().like(p)).collect().unwrap().values::<bool>("s").unwrap();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(like("a%"), [yes, no, None, yes, yes, no]);
    assert_eq!(like("%p%"), [yes, yes, None, no, no, no]);
    assert_eq!(like("_a_"), [no, yes, None, no, no, no]);
    assert_eq!(like("a\\%b"), [no, no, None, yes, no, no]);
    assert_eq!(like("%"), [yes, yes, None, yes, yes, yes]);
    assert_eq!(like("A%"), [no, no, None, no, no, no]);
}

#[test]
fn folds_with_their_own_degrees_and_true_values() {
    let df = DataFrame::from_columns([
        ("k", vec![1, 1, 1, 1, 2].into()),
        ("x", vec![Some(2.0), Some(4.0), None, Some(9.0), Some(5.0)].into()),
        ("b", vec![Some(true), None, Some(true), Some(false), None].into()),
    ]);
    let t = df
        .group_by("k")
        .agg([
            col("x").std_ddof(0).alias("std0"),
            col("x").std_ddof(2).alias("std2"),
            col("x").var_ddof(0).alias("var0"),
            col("b").count_true().alias("true"),
        ])
        .collect()
        .unwrap();
    // mean 5, squares 9 + 1 + 16 = 26
    all_close(t.values("std0").unwrap(), vec![Some((26.0f64 / 3.0).sqrt()), Some(0.0)]);
    all_close(t.values("std2").unwrap(), vec![Some(26.0f64.sqrt()), None]);
    all_close(t.values("var0").unwrap(), vec![Some(26.0 / 3.0), Some(0.0)]);
    assert_eq!(t.values::<i64>("true").unwrap(), [Some(2), Some(0)]);
}

#[test]
fn starts_and_ends_of_the_calendar() {
    let days = [
        // month, quarter and year: start, end
        ((2024, 1, 1), [true, false, true, false, true, false]),
        ((2024, 2, 29), [false, true, false, false, false, false]),
        ((2023, 2, 28), [false, true, false, false, false, false]),
        ((2024, 2, 28), [false; 6]),
        ((2024, 3, 31), [false, true, false, true, false, false]),
        ((2024, 4, 1), [true, false, true, false, false, false]),
        ((2024, 5, 1), [true, false, false, false, false, false]),
        ((2024, 12, 31), [false, true, false, true, false, true]),
        ((1900, 2, 28), [false, true, false, false, false, false]),
    ];
    for ((y, m, d), want) in days {
        let df = DataFrame::from_columns([("n", vec![0].into())]);
        for e in [date(y, m, d), timestamp(y, m, d, 23, 59, 59)] {
            let t = e.dt();
            let parts = [
                t.is_month_start(),
                t.is_month_end(),
                t.is_quarter_start(),
                t.is_quarter_end(),
                t.is_year_start(),
                t.is_year_end(),
            ];
            let named: Vec<Expr> =
                parts.into_iter().enumerate().map(|(k, p)| p.alias(k.to_string())).collect();
            let table = df.select(named).collect().unwrap();
            let found = (0..6).map(|k| table.values::<bool>(&k.to_string()).unwrap()[0].unwrap());
            assert_eq!(found.collect::<Vec<_>>(), want, "{y}-{m}-{d}");
        }
    }
}

#[test]
fn cross_joins_have_all_pairs() {
    let left = DataFrame::from_columns([("a", vec![1, 2].into())]);
    let right = DataFrame::from_columns([("b", vec!["x", "y", "z"].into()), ("a", vec![7, 8, 9].into())]);
    let t = frames::collect(&left.cross_join(&right));
    assert_eq!(
        t.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
        ["a", "b", "a_right"]
    );
    assert_eq!(t.values::<i32>("a").unwrap(), [1, 1, 1, 2, 2, 2].map(Some));
    assert_eq!(t.texts("b").unwrap(), ["x", "y", "z", "x", "y", "z"].map(|s| Some(s.to_owned())));
    assert_eq!(t.values::<i32>("a_right").unwrap(), [7, 8, 9, 7, 8, 9].map(Some));
    assert_eq!(left.head(0).cross_join(&right).num_rows().unwrap(), 0);
    assert_eq!(left.cross_join(&right.head(0)).num_rows().unwrap(), 0);
}

#[test]
fn rows_of_joins_have_an_order() {
    let left =
        DataFrame::from_columns([("k", vec![3, 1, 2, 1].into()), ("l", vec!["a", "b", "c", "d"].into())]);
    let right = DataFrame::from_columns([("k", vec![1, 9, 3, 1].into()), ("r", vec![10, 20, 30, 40].into())]);
    let rows = |kind| {
        let t = frames::collect(&left.join(&right, ["k"], kind));
        let text = t.texts("l").unwrap().into_iter().map(|s| s.unwrap_or("-".into()));
        text.zip(t.values::<i32>("r").unwrap()).collect::<Vec<_>>()
    };
    let own = |all: &[(&str, i32)]| -> Vec<_> {
        all.iter().map(|(l, r)| ((*l).to_owned(), Some(*r).filter(|r| *r > 0))).collect()
    };
    // this frame's order, partners in the other's
    let inner = [("a", 30), ("b", 10), ("b", 40), ("d", 10), ("d", 40)];
    assert_eq!(rows(JoinKind::Inner), own(&inner));
    assert_eq!(rows(JoinKind::Left), own(&[inner[0], inner[1], inner[2], ("c", 0), inner[3], inner[4]]));
    // the other's
    let mirrored = [("b", 10), ("d", 10), ("-", 20), ("a", 30), ("b", 40), ("d", 40)];
    assert_eq!(rows(JoinKind::Right), own(&mirrored));
    let full = [("a", 30), ("b", 10), ("b", 40), ("c", 0), ("d", 10), ("d", 40), ("-", 20)];
    assert_eq!(rows(JoinKind::Full), own(&full));
}

#[test]
fn categories_are_text_in_files_of_arrow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.arrow");
    let df = DataFrame::from_columns([("s", vec![Some("b"), None, Some("a"), Some("b")].into())]);
    df.select(col("s").to_categorical()).write_ipc(&path).unwrap();
    let back = blockwise::frame::scan_ipc(&path).collect().unwrap();
    assert_eq!(back.schema().field(0).data_type(), &DataType::Utf8);
    let want = [Some("b"), None, Some("a"), Some("b")];
    assert_eq!(back.texts("s").unwrap(), want.map(|s| s.map(str::to_owned)));
}

#[test]
fn batches_go_in_and_out_without_a_copy() {
    let df = DataFrame::from_columns([("n", vec![1i32, 2, 3].into()), ("s", vec!["a", "b", "c"].into())]);
    let batch = df.collect().unwrap().to_batch().unwrap();
    let address = |b: &RecordBatch| -> Vec<*const u8> {
        b.columns()
            .iter()
            .flat_map(|c| c.to_data().buffers().iter().map(|b| b.as_ptr()).collect::<Vec<_>>())
            .collect()
    };
    let out = DataFrame::from_batches([batch.clone()]).collect().unwrap();
    assert_eq!(address(&out.batches()[0]), address(&batch));
    let chosen = DataFrame::from_batches([batch.clone()]).select(["s"]).collect().unwrap();
    assert_eq!(address(&chosen.batches()[0]), address(&batch)[1..]);
}

#[test]
fn durations_compute() {
    let seconds = DurationSecondArray::from(vec![Some(10_000_000_000), Some(-90), None]);
    let fine = DurationMicrosecondArray::from(vec![Some(5_000_000), Some(-45_000_000), Some(1)]);
    let df = DataFrame::from_columns([
        ("d", Column::new(seconds)),
        ("e", Column::new(fine)),
        ("n", vec![Some(2i32), Some(-3), Some(1)].into()),
    ]);
    let t = frames::collect(&df.select([
        col("d").dt().total_seconds().alias("seconds"),
        col("e").dt().total_seconds().alias("fine"),
        (col("d") * col("n")).alias("times"),
        (lit(3) * col("d")).alias("three"),
        (col("d") / col("e")).alias("ratio"),
        (col("e") / col("d")).alias("inverse"),
        (col("d") / duration(0, 0, 1, 30)).alias("of 90 s"),
        (duration(0, 0, 0, 1) / duration(0, 0, 0, 0)).alias("by zero"),
    ]));
    // 317 years are beyond an i64 of nanoseconds
    assert_eq!(t.values::<f64>("seconds").unwrap(), [Some(1e10), Some(-90.0), None]);
    assert_eq!(t.values::<f64>("fine").unwrap(), [Some(5.0), Some(-45.0), Some(1e-6)]);
    assert_eq!(
        t.schema().field_with_name("times").unwrap().data_type(),
        &DataType::Duration(TimeUnit::Second)
    );
    assert_eq!(t.values::<i64>("times").unwrap(), [Some(20_000_000_000), Some(270), None]);
    assert_eq!(t.values::<i64>("three").unwrap(), [Some(30_000_000_000), Some(-270), None]);
    assert_eq!(t.values::<f64>("ratio").unwrap(), [Some(2e9), Some(2.0), None]);
    all_close(t.values::<f64>("inverse").unwrap(), vec![Some(5e-10), Some(0.5), None]);
    all_close(t.values::<f64>("of 90 s").unwrap(), vec![Some(1e10 / 90.0), Some(-1.0), None]);
    assert_eq!(t.values::<f64>("by zero").unwrap()[0], Some(INF));
    let at = |e: Expr| df.select(e.alias("x")).collect().unwrap();
    let moved = at(timestamp(2024, 2, 28, 23, 0, 0) + duration(1, 2, -30, 15));
    assert_eq!(moved.values::<i64>("x").unwrap()[0], Some(1_709_161_200 + 86_400 + 7200 - 1800 + 15));
    let short = at(lit(Duration::from_millis(1500)));
    assert_eq!(short.schema().field(0).data_type(), &DataType::Duration(TimeUnit::Millisecond));
    assert_eq!(short.values::<i64>("x").unwrap()[0], Some(1500));
    assert_eq!(at(lit(Duration::from_secs(7))).values::<i64>("x").unwrap()[0], Some(7));
    assert!(error(&df.select(duration(i64::MAX, 0, 0, 0))).contains("seconds are more"));
    assert!(error(&df.select(lit(Duration::MAX))).contains("more than an i64"));
    assert!(error(&df.select(col("d") * 1.5)).contains("(d * 1.5)"));
    assert!(error(&df.select(col("n").dt().total_seconds())).contains("takes durations"));
}

#[test]
fn months_later() {
    let days = |months: i32, from: Expr| {
        let df = DataFrame::from_columns([("n", vec![0].into())]).with_columns(from.alias("d"));
        let t = df.select(col("d").dt().add_months(months).dt().strftime("%F %T").alias("s")).collect();
        t.map(|t| t.texts("s").unwrap()[0].clone().unwrap())
    };
    let day = |y, m, d| timestamp(y, m, d, 13, 14, 15);
    assert_eq!(days(1, day(2024, 1, 31)).unwrap(), "2024-02-29 13:14:15");
    assert_eq!(days(1, day(2023, 1, 31)).unwrap(), "2023-02-28 13:14:15");
    assert_eq!(days(-1, day(2024, 3, 31)).unwrap(), "2024-02-29 13:14:15");
    assert_eq!(days(12, day(2024, 2, 29)).unwrap(), "2025-02-28 13:14:15");
    assert_eq!(days(-1200, day(2024, 2, 29)).unwrap(), "1924-02-29 13:14:15");
    assert_eq!(days(0, day(1969, 12, 31)).unwrap(), "1969-12-31 13:14:15");
    assert_eq!(days(-2, day(1970, 1, 31)).unwrap(), "1969-11-30 13:14:15");
    let beyond = days(i32::MAX, day(2024, 1, 1)).unwrap_err().to_string();
    assert!(beyond.contains("dt.add_months") && beyond.contains("2147483647 months"), "{beyond}");
    // a column of dates with a null, and clocks of a zone: the clock shows the same though summer time began
    let df = DataFrame::from_columns([("d", Column::new(Date32Array::from(vec![Some(30), None, Some(-1)])))]);
    let next = df.select(col("d").dt().add_months(1)).collect().unwrap();
    assert_eq!(next.values::<i32>("d").unwrap(), [Some(58), None, Some(30)]);
    assert_eq!(next.schema().field(0).data_type(), &DataType::Date32);
    let noon = TimestampSecondArray::from(vec![1_709_982_000]).with_timezone("Europe/Berlin");
    let df = DataFrame::from_columns([("t", Column::new(noon))]);
    let text = |e: Expr| {
        df.select(e.dt().strftime("%F %T %z").alias("s")).collect().unwrap().texts("s").unwrap()[0].clone()
    };
    assert_eq!(text(col("t")), Some("2024-03-09 12:00:00 +0100".into()));
    assert_eq!(text(col("t").dt().add_months(1)), Some("2024-04-09 12:00:00 +0200".into()));
}

#[test]
fn pieces_of_text_are_lists() {
    let texts = vec![Some("a,b,,c"), None, Some(""), Some("ü"), Some(",")];
    let df = DataFrame::from_columns([("id", vec![1, 2, 3, 4, 5].into()), ("s", texts.into())]);
    let split = df.with_columns(col("s").str().split(",")).collect().unwrap();
    let lists = split.column("s").unwrap();
    let lists = lists.as_list::<i32>();
    assert!(lists.is_null(1));
    let lens: Vec<usize> = (0..5).map(|k| lists.value(k).len()).collect();
    assert_eq!([lens[0], lens[2], lens[3], lens[4]], [4, 1, 1, 2]);
    let rows = frames::collect(&split.into_frame().explode("s"));
    assert_eq!(rows.values::<i32>("id").unwrap(), [1, 1, 1, 1, 2, 3, 4, 5, 5].map(Some));
    let want = [Some("a"), Some("b"), Some(""), Some("c"), None, Some(""), Some("ü"), Some(""), Some("")];
    assert_eq!(rows.texts("s").unwrap(), want.map(|s| s.map(str::to_owned)));
    let counted = df.filter(col("id").eq(1)).select(col("s").to_categorical().str().split(",")).explode("s");
    assert_eq!(counted.group_by("s").agg(blockwise::frame::len()).num_rows().unwrap(), 4);
    assert!(error(&df.select(col("s").str().split(""))).contains("an empty text"));
    assert!(error(&df.select(col("id").str().split(","))).contains("takes text"));
}

#[test]
fn decimals_are_clipped_and_folded_so_far() {
    let d = Decimal128Array::from(vec![Some(150), Some(-275), None, Some(999), Some(0)]);
    let d = d.with_precision_and_scale(5, 2).unwrap();
    let df = DataFrame::from_columns([("d", Column::new(d)), ("k", vec![1, 2, 1, 1, 2].into())]);
    let raw = |e: Expr| {
        let t = frames::collect(&df.select(e.alias("x")));
        let column = t.column("x").unwrap();
        (column.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), column.data_type().clone())
    };
    let (clipped, t) = raw(col("d").clip("-1.00", "5.00"));
    assert_eq!(clipped, [Some(150), Some(-100), None, Some(500), Some(0)]);
    assert_eq!(t, DataType::Decimal128(5, 2));
    // of more digits after the point, of a column, and of an integer
    assert_eq!(raw(col("d").clip("-1.005", "5")).0, [Some(1500), Some(-1005), None, Some(5000), Some(0)]);
    // a null bound leaves nothing
    let bound = when(col("k").eq(1)).then(col("d")).otherwise(Expr::null());
    assert_eq!(raw(col("d").clip("-9.99", bound)).0, [Some(150), None, None, Some(999), None]);
    assert_eq!(
        raw(when(col("k").eq(1)).then(col("d").clip("1.00", "2.00")).otherwise(col("d"))).0[3],
        Some(200)
    );
    let (sums, t) = raw(col("d").cum_sum());
    assert_eq!(sums, [Some(150), Some(-125), None, Some(874), Some(874)]);
    assert_eq!(t, DataType::Decimal128(38, 2));
    assert_eq!(raw(col("d").cum_min()).0, [Some(150), Some(-275), None, Some(-275), Some(-275)]);
    assert_eq!(raw(col("d").cum_max()).0, [Some(150), Some(150), None, Some(999), Some(999)]);
    assert_eq!(raw(col("d").cum_max()).1, DataType::Decimal128(5, 2));
    assert_eq!(raw(col("d").cum_sum().over(["k"])).0, [Some(150), Some(-275), None, Some(1149), Some(-275)]);
    assert!(error(&df.select(col("d").cum_prod())).contains("cum_prod is not defined for Decimal128(5, 2)"));
    let most = Decimal128Array::from(vec![10i128.pow(38) - 1, 1]).with_precision_and_scale(38, 0).unwrap();
    let df = DataFrame::from_columns([("d", Column::new(most))]);
    assert!(error(&df.select(col("d").cum_sum())).contains("cum_sum: overflow"));
    let ints = df.select(col("d").cum_count()).collect().unwrap();
    assert_eq!(ints.values::<i64>("d").unwrap(), [Some(1), Some(2)]);
}
