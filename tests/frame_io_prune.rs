//! Filters told to Parquet files: what is left out never changes a result, and is left out where it can be.
#![cfg(feature = "parquet")]

#[path = "common/property.rs"]
mod property;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMillisecondArray, UInt8Array,
};
use blockwise::frame::{
    DataFrame, Expr, ParquetCompression, ParquetOptions, RecordBatch, col, lit, scan_parquet,
};
use proptest::prelude::*;
use std::sync::Arc;

fn frame(columns: Vec<(&str, ArrayRef)>) -> DataFrame {
    DataFrame::from_batches([RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(n, c)| (n, c, true)),
    )
    .unwrap()])
}

/// How many parts of how many a scan reads, as the plan says.
fn parts(df: &DataFrame) -> String {
    let plan = df.explain().unwrap();
    let line = plan.lines().find(|l| l.trim_start().starts_with("read ")).unwrap().to_owned();
    match line.split_once('(') {
        Some((_, rest)) => rest.split(')').next().unwrap().to_owned(),
        None => "all".into(),
    }
}

fn same_rows(a: &DataFrame, b: &DataFrame) {
    let (a, b) = (a.collect().unwrap().to_batch().unwrap(), b.collect().unwrap().to_batch().unwrap());
    assert_eq!(format!("{:?}", a.columns()), format!("{:?}", b.columns()));
}

/// A row of the table of the property: what may be null is.
type Row = (Option<i32>, Option<f64>, Option<String>, Option<u8>, Option<i32>, Option<bool>);

fn value() -> impl Strategy<Value = Row> {
    let float = prop_oneof![
        Just(f64::NAN),
        Just(-0.0),
        Just(0.0),
        Just(f64::INFINITY),
        (-4i32..4).prop_map(f64::from)
    ];
    // longer than statistics are kept, and with bytes at which a truncated end must be raised with care
    let text = prop_oneof![
        "[a-c]{0,2}",
        Just("x".repeat(80)),
        Just(format!("{}y", "x".repeat(79))),
        Just("\u{10ffff}".repeat(30)),
        Just("é".repeat(40)),
    ];
    (
        prop::option::weighted(0.8, -5i32..5),
        prop::option::weighted(0.8, float),
        prop::option::weighted(0.8, text),
        prop::option::weighted(0.8, prop_oneof![0u8..4, 250u8..=255]),
        prop::option::weighted(0.8, 15_000i32..15_010),
        prop::option::weighted(0.8, any::<bool>()),
    )
}

fn table(rows: &[Row]) -> DataFrame {
    let i: Int32Array = rows.iter().map(|r| r.0).collect();
    let f: Float64Array = rows.iter().map(|r| r.1).collect();
    let s: StringArray = rows.iter().map(|r| r.2.clone()).collect();
    let u: UInt8Array = rows.iter().map(|r| r.3).collect();
    let d: Date32Array = rows.iter().map(|r| r.4).collect();
    let t: TimestampMillisecondArray = rows.iter().map(|r| r.4.map(|d| i64::from(d) * 43_200_000)).collect();
    let b: BooleanArray = rows.iter().map(|r| r.5).collect();
    frame(vec![
        ("i", Arc::new(i)),
        ("f", Arc::new(f)),
        ("s", Arc::new(s)),
        ("u", Arc::new(u)),
        ("d", Arc::new(d)),
        ("t", Arc::new(t)),
        ("b", Arc::new(b)),
    ])
}

fn compared(x: Expr, op: u8, value: Expr) -> Expr {
    match op % 8 {
        0 => x.lt(value),
        1 => x.le(value),
        2 => x.gt(value),
        3 => x.ge(value),
        4 => x.eq(value),
        5 => x.ne(value),
        6 => value.lt(x),
        _ => value.ge(x),
    }
}

fn condition() -> impl Strategy<Value = Expr> {
    let op = any::<u8>;
    let leaf = prop_oneof![
        (op(), -6i64..6).prop_map(|(op, v)| compared(col("i"), op, lit(v))),
        (op(), -6i64..6).prop_map(|(op, v)| compared(col("i"), op, lit(v as f64 + 0.5))),
        (op(), prop_oneof![Just(f64::NAN), Just(0.0), Just(-0.0), Just(2.0), Just(f64::INFINITY)])
            .prop_map(|(op, v)| compared(col("f"), op, lit(v))),
        (op(), -4i64..4).prop_map(|(op, v)| compared(
            col("f").cast(arrow::datatypes::DataType::Int32),
            op,
            lit(v)
        )),
        (op(), prop_oneof!["[a-c]{0,2}", Just("x".repeat(80)), Just("x".repeat(64)), Just("é".repeat(33))])
            .prop_map(|(op, v)| compared(col("s"), op, lit(v))),
        (op(), prop_oneof![-2i64..4, 249i64..258]).prop_map(|(op, v)| compared(col("u"), op, lit(v))),
        (op(), 1u32..28).prop_map(|(op, d)| compared(col("d"), op, lit(format!("2011-01-{d:02}")))),
        (op(), 1u32..28).prop_map(|(op, d)| compared(col("t"), op, lit(format!("1990-07-{d:02}T12:00:00")))),
        prop::sample::select(vec!["i", "f", "s", "u", "d", "b"]).prop_map(|c| col(c).is_null()),
        prop::sample::select(vec!["i", "f", "s", "u", "d", "b"]).prop_map(|c| col(c).is_not_null()),
        Just(col("b")),
        Just(!col("b")),
        prop::collection::vec(-5i64..5, 0..3).prop_map(|v| col("i").is_in(v)),
        (-5i64..5, 0i64..3).prop_map(|(a, n)| col("i").between(a, a + n)),
        Just(col("i").gt(col("u"))),
        Just(col("f").is_nan()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(|a| !a),
        ]
    })
}

proptest! {
    #![proptest_config(property::cases(300))]

    /// The rows that a filter leaves are those that it leaves of the same table in memory.
    #[test]
    fn any_filter_of_any_table(
        rows in prop::collection::vec(value(), 1..40),
        sorted in any::<bool>(),
        group in 1usize..9,
        mask in condition(),
        second in condition(),
    ) {
        let mut rows = rows;
        if sorted {
            rows.sort_by_key(|row| row.0);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        let df = table(&rows);
        df.write_parquet_with(&path, ParquetOptions { row_group_rows: group, ..ParquetOptions::default() }).unwrap();
        let filtered = |df: &DataFrame| df.filter(mask.clone()).filter(second.clone());
        same_rows(&filtered(&df), &filtered(&scan_parquet(&path)));
    }
}

#[test]
fn row_groups_are_left_out_and_the_plan_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 1000i64;
    let df = frame(vec![
        ("n", Arc::new(Int64Array::from_iter_values(0..n))),
        ("x", Arc::new(Float64Array::from_iter((0..n).map(|n| (n >= 500).then_some(n as f64))))),
        ("s", Arc::new(StringArray::from_iter_values((0..n).map(|n| format!("{n:04}"))))),
    ]);
    df.write_parquet_with(&path, ParquetOptions { row_group_rows: 100, ..ParquetOptions::default() })
        .unwrap();
    let scan = scan_parquet(&path);
    for (mask, want) in [
        (col("n").lt(100), "1 of 10 parts"),
        (col("n").le(100), "2 of 10 parts"),
        (lit(850).lt(col("n")), "2 of 10 parts"),
        (col("n").eq(555), "1 of 10 parts"),
        (col("n").eq(5.5), "1 of 10 parts"),
        (col("n").gt(2000), "0 of 10 parts"),
        (col("n").is_in([5, 905, 906]), "2 of 10 parts"),
        (col("n").between(150, 350), "3 of 10 parts"),
        (col("x").is_null(), "5 of 10 parts"),
        (col("x").is_not_null(), "5 of 10 parts"),
        (col("x").lt(1000.0), "5 of 10 parts"),
        (col("s").ge("0700").and(col("n").lt(750)), "1 of 10 parts"),
        (col("s").eq("0007").or(col("n").eq(999)), "2 of 10 parts"),
        (col("n").ne(5), "all"),
        (col("n").add_one().lt(5), "all"),
    ] {
        let filtered = scan.filter(mask.clone());
        assert_eq!(parts(&filtered), want, "{mask}");
        same_rows(&filtered, &df.filter(mask));
    }
    // through projections, and below groups
    let renamed = scan.select([col("n").alias("m"), col("x")]).filter(col("m").ge(900));
    assert_eq!(parts(&renamed), "1 of 10 parts");
    assert_eq!(renamed.num_rows().unwrap(), 100);
}

trait AddOne {
    fn add_one(&self) -> Expr;
}

impl AddOne for Expr {
    fn add_one(&self) -> Expr {
        self + 1
    }
}

/// Row groups of more than 2^19 rows are read as several parts, in order, and by pages where a filter allows it.
#[test]
fn a_huge_row_group_is_several_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 1_300_000i64;
    let df = frame(vec![
        ("n", Arc::new(Int64Array::from_iter_values(0..n))),
        ("k", Arc::new(Int32Array::from_iter((0..n).map(|n| (n % 5 > 0).then_some((n % 1000) as i32))))),
    ]);
    df.write_parquet_with(&path, ParquetOptions { row_group_rows: 2_000_000, ..ParquetOptions::default() })
        .unwrap();
    let scan = scan_parquet(&path);
    assert!(scan.explain().unwrap().contains("3 parts"), "{}", scan.explain().unwrap());
    same_rows(&scan, &df);
    assert_eq!(scan.num_rows().unwrap(), n as usize);
    for mask in [
        col("n").between(524_280, 524_300),
        col("n").ge(1_299_999),
        col("n").lt(3).or(col("n").is_in([600_000, 1_100_000])),
        col("k").eq(7).and(col("n").gt(1_000_000)),
    ] {
        same_rows(&scan.filter(mask.clone()), &df.filter(mask));
    }
    assert_eq!(parts(&scan.filter(col("n").gt(1_200_000))), "1 of 3 parts");
}

/// What a file says of pages lets the reader skip most of a row group.
#[test]
fn pages_are_left_out() {
    use blockwise::block::{BatchSource, Bound, Comparison};
    use blockwise::io::parquet::ParquetSource;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let df = frame(vec![("n", Arc::new(Int64Array::from_iter_values(0..200_000)))]);
    df.write_parquet(&path).unwrap();
    let source = ParquetSource::open(&path).unwrap();
    let value: ArrayRef = Arc::new(Int64Array::from(vec![150_000]));
    let bound = Bound::Compare { column: 0, op: Comparison::Eq, value };
    let narrowed = source.narrowed(&bound).unwrap();
    let rows = narrowed.rows().unwrap();
    assert!((1..=40_000).contains(&rows), "{rows}");
    let mut seen = vec![];
    narrowed
        .read(0, &[0], &mut |batch| {
            let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
            seen.extend(column.values().iter().copied());
            Ok(true)
        })
        .unwrap();
    assert_eq!(seen.len(), rows);
    assert!(seen.contains(&150_000) && seen.windows(2).all(|w| w[0] + 1 == w[1]));
}

/// A row group that is large in bytes, too, is read in little memory: the index of pages says how large they are.
#[test]
fn memory_is_that_of_pages() {
    use blockwise::block::BatchSource;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 2_000_000i64;
    let df = frame(vec![(
        "n",
        Arc::new(Int64Array::from_iter_values((0..n).map(|n| n.wrapping_mul(0x9e37_79b9)))),
    )]);
    let options = ParquetOptions { compression: ParquetCompression::None, row_group_rows: n as usize };
    df.write_parquet_with(&path, options).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 15_000_000);
    let source = blockwise::io::parquet::ParquetSource::open(&path).unwrap();
    assert_eq!(source.parts(), 4);
    assert!(source.read_bytes(&[0]) < 6 << 20, "{}", source.read_bytes(&[0]));
    same_rows(&scan_parquet(&path), &df);
}

/// Files without statistics, with statistics of pages only, with ends cut short, and with nested columns before the one that is asked for.
#[test]
fn statistics_of_other_writers() {
    use arrow::array::StructArray;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 60_000i64;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter((0..n).map(|n| (n % 10 > 0).then_some(n))));
    let falling: ArrayRef = Arc::new(Int64Array::from_iter_values((0..n).map(|k| n - k)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..n).map(|n| format!("ü{:05}", n / 2))));
    let inner = StructArray::try_from(vec![("n", falling.clone()), ("m", falling)]).unwrap();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("in", Arc::new(inner) as ArrayRef, true),
        ("n", numbers, true),
        ("s", texts, true),
    ])
    .unwrap();
    let df = DataFrame::from_batches([batch.clone()]);
    for statistics in [EnabledStatistics::None, EnabledStatistics::Chunk, EnabledStatistics::Page] {
        for length in [Some(1), Some(4), None] {
            let properties = WriterProperties::builder()
                .set_statistics_enabled(statistics)
                .set_statistics_truncate_length(length)
                .set_column_index_truncate_length(length)
                .set_data_page_row_count_limit(1000)
                .set_max_row_group_row_count(Some(20_000))
                .build();
            let file = std::fs::File::create(&path).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            for mask in [
                col("n").lt(7),
                col("n").between(19_990, 20_010),
                col("n").gt(59_990).or(col("s").eq("ü00001")),
                col("s").le("ü00002"),
                col("s").gt("ü29998"),
                col("s").eq("ü0000"),
                col("n").is_null().and(col("s").lt("ü00020")),
            ] {
                let columns = [col("s"), col("n")];
                let filtered = |df: &DataFrame| df.filter(mask.clone()).select(columns.clone());
                same_rows(&filtered(&scan_parquet(&path)), &filtered(&df));
            }
            let left = parts(&scan_parquet(&path).filter(col("n").lt(7)));
            assert_eq!(left, if statistics == EnabledStatistics::None { "all" } else { "1 of 3 parts" });
        }
    }
}
