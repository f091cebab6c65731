//! Tables of many files: directories in Hive's layout, read and written; columns that differ.
#![cfg(feature = "frame")]

use blockwise::frame::{
    CsvOptions, CsvQuotes, CsvWriteOptions, DataFrame, DataType, Expr, FileFormat, IpcOptions, col, scan_csv,
    scan_ipc, scan_json_lines,
};
use std::fs;
use std::path::Path;

fn flights() -> DataFrame {
    let n = 3000i64;
    DataFrame::from_columns([
        ("n", (0..n).collect::<Vec<_>>().into()),
        ("month", (0..n).map(|n| n % 3 + 1).collect::<Vec<_>>().into()),
        (
            "carrier",
            (0..n)
                .map(|n| (n % 7 > 0).then(|| ["UA", "a/b=%", "é x"][n as usize % 3]))
                .collect::<Vec<_>>()
                .into(),
        ),
        ("x", (0..n).map(|n| n as f64 / 4.0).collect::<Vec<_>>().into()),
    ])
}

fn formats() -> Vec<(FileFormat, fn(&Path) -> DataFrame)> {
    vec![
        (FileFormat::Csv(CsvWriteOptions::default()), |p| scan_csv(p)),
        (FileFormat::JsonLines, |p| scan_json_lines(p)),
        (FileFormat::Ipc(IpcOptions::default()), |p| scan_ipc(p)),
        #[cfg(feature = "parquet")]
        (FileFormat::Parquet(Default::default()), |p| blockwise::frame::scan_parquet(p)),
    ]
}

fn sorted(df: &DataFrame) -> String {
    let df = df.select([col("n"), col("month"), col("carrier").cast(DataType::Utf8), col("x")]).sort("n");
    format!("{:?}", df.collect().unwrap().to_batch().unwrap().columns())
}

#[test]
fn partitioned_out_and_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let df = flights();
    for (format, scan) in formats() {
        let to = dir.path().join(format.extension());
        df.write_partitioned(&to, ["month", "carrier"], format.clone()).unwrap();
        let file = format!("month=2/carrier=__HIVE_DEFAULT_PARTITION__/part-0.{}", format.extension());
        assert!(to.join(file).exists());
        let back = scan(&to);
        assert_eq!(back.columns().unwrap(), ["n", "x", "month", "carrier"]);
        assert_eq!(back.schema().unwrap().field(2).data_type(), &DataType::Int64);
        assert_eq!(sorted(&back), sorted(&df), "{format:?}");
        // files are left out by their names alone, before they are read
        for (mask, want) in [
            (col("month").eq(2), 2),
            (col("month").gt(3), 0),
            (col("carrier").eq("a/b=%"), 1),
            (col("carrier").is_null(), 3),
            (col("month").eq(1).or(col("carrier").eq("UA")), 2),
            (col("month").ne(1).and(col("carrier").is_not_null()), 2),
        ] {
            let filtered = back.filter(mask.clone());
            let plan = filtered.explain().unwrap();
            assert!(plan.contains(&format!("({want} of 6 parts)")), "{mask}: {plan}");
            assert_eq!(sorted(&filtered), sorted(&df.filter(mask)));
        }
        let counts = |df: &DataFrame| {
            let grouped = df.group_by("carrier").agg(col("n").sum());
            let grouped = grouped.select([col("carrier").cast(DataType::Utf8), col("n")]).sort("n");
            format!("{:?}", grouped.collect().unwrap().to_batch().unwrap().columns())
        };
        assert_eq!(counts(&back), counts(&df));
        // a directory that is there stays as it is
        let e = df.write_partitioned(&to, ["month"], format).unwrap_err().to_string();
        assert!(e.contains("there already"), "{e}");
    }
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), formats().len(), "{names:?}");
}

#[test]
fn nothing_is_there_of_a_partitioned_table_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let df = flights();
    let write = |df: &DataFrame, by: &[&str]| {
        let error =
            df.write_partitioned(dir.path().join("t"), by.to_vec(), FileFormat::JsonLines).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        error.to_string()
    };
    let failing = df.with_columns(col("carrier").cast(DataType::Int64).alias("y"));
    assert!(write(&failing, &["month"]).contains("cast"));
    assert!(write(&df, &["mont"]).contains("\"mont\""));
    assert!(write(&df, &["x"]).contains("Float64"));
    assert!(write(&df, &["month", "month"]).contains("twice"));
    assert!(write(&df, &[]).contains("0 of 4"));
    assert!(write(&df, &["n", "month", "carrier", "x"]).contains("Float64"));
    assert!(write(&df.with_columns(lit_text("")), &["e"]).contains("empty text"));
    let many = DataFrame::from_columns([
        ("k", (0..5000i64).collect::<Vec<_>>().into()),
        ("v", vec![1i64; 5000].into()),
    ]);
    assert!(write(&many, &["k"]).contains("more than 4096 files"));
}

fn lit_text(text: &str) -> Expr {
    blockwise::frame::lit(text).alias("e")
}

#[test]
fn many_files_stay_below_the_systems_limit_of_open_ones() {
    let dir = tempfile::tempdir().unwrap();
    let n = 6000i64;
    let df = DataFrame::from_columns([
        ("k", (0..n).map(|n| n % 1500).collect::<Vec<_>>().into()),
        ("v", (0..n).collect::<Vec<_>>().into()),
    ]);
    df.write_partitioned(dir.path().join("t"), ["k"], FileFormat::JsonLines).unwrap();
    let sum = scan_json_lines(dir.path().join("t")).filter(col("k").eq(1234)).select(col("v").sum());
    assert_eq!(sum.collect().unwrap().values::<i64>("v").unwrap(), [Some(4 * 1234 + 1500 * 6)]);
}

#[test]
fn directories_patterns_and_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("year=2013/month=01/a.csv", "v\n1\n");
    put("year=2013/month=02/a.csv", "v\n2\n");
    put("year=2014/month=01/b.csv", "v\n3\n");
    put("year=2014/month=01/_started.csv", "nothing of the table");
    put("year=2014/.hidden/c.csv", "nothing of the table");
    put("year=2014/notes.txt", "nothing of the table");
    let all = scan_csv(dir.path()).collect().unwrap();
    assert_eq!(all.values::<i64>("v").unwrap(), [Some(1), Some(2), Some(3)]);
    assert_eq!(all.values::<i64>("year").unwrap(), [Some(2013), Some(2013), Some(2014)]);
    assert_eq!(all.values::<i64>("month").unwrap(), [Some(1), Some(2), Some(1)]);
    // keys are those from the pattern on
    let some = scan_csv(dir.path().join("year=2013/*/*.csv"));
    assert_eq!(some.columns().unwrap(), ["v", "month"]);
    let dirs = scan_csv(dir.path().join("year=*/month=01"));
    assert_eq!(dirs.columns().unwrap(), ["v", "year", "month"]);
    assert_eq!(dirs.num_rows().unwrap(), 2);
    // one text makes all of them text
    put("year=2014/month=none/b.csv", "v\n4\n");
    let texts = scan_csv(dir.path()).select([col("v"), col("month").cast(DataType::Utf8)]).collect().unwrap();
    assert_eq!(texts.texts("month").unwrap()[0].as_deref(), Some("01"));
    // links that go round in circles are followed once
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.path(), dir.path().join("year=2014/month=01/round")).unwrap();
        assert_eq!(scan_csv(dir.path()).num_rows().unwrap(), 4);
        fs::remove_file(dir.path().join("year=2014/month=01/round")).unwrap();
    }
    let failed = |df: DataFrame| df.collect().unwrap_err().to_string();
    put("year=2015/b.csv", "v\n4\n");
    let e = failed(scan_csv(dir.path()));
    assert!(e.contains("year=2015") && e.contains("[\"year\"]") && e.contains("\"month\""), "{e}");
    fs::remove_dir_all(dir.path().join("year=2015")).unwrap();
    put("year=2015/month=1/b.csv", "w\n4\n");
    let e = failed(scan_csv(dir.path()));
    assert!(e.contains("year=2015") && e.contains("\"w\""), "{e}");
    put("empty/readme.md", "");
    assert!(failed(scan_csv(dir.path().join("empty"))).contains("ends in .csv"));
    assert!(failed(scan_csv(dir.path().join("year=2013/month=01/x=1/none.csv"))).contains("none.csv"));
    put("key=%ff/a.csv", "v\n1\n");
    assert!(failed(scan_csv(dir.path())).contains("UTF-8"));
}

#[test]
fn columns_that_differ_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let one = DataFrame::from_columns([("a", vec![1i64].into()), ("b", vec!["x"].into())]);
    one.write_ipc(dir.path().join("1.arrow")).unwrap();
    let second = dir.path().join("2.arrow");
    for (columns, want) in
        [(vec!["a"], vec!["2.arrow", "lacks columns [\"b: Utf8\"]"]), (vec!["b", "a"], vec!["another order"])]
    {
        one.select(columns.iter().map(col).collect::<Vec<_>>()).write_ipc(&second).unwrap();
        let e = scan_ipc(dir.path()).collect().unwrap_err().to_string();
        assert!(want.iter().all(|w| e.contains(w)), "{e}");
    }
    let other =
        DataFrame::from_columns([("a", vec![1.5].into()), ("b", vec!["x"].into()), ("c", vec![1i64].into())]);
    other.write_ipc(&second).unwrap();
    let e = scan_ipc(dir.path().join("*.arrow")).collect().unwrap_err().to_string();
    assert!(
        e.contains("has columns [\"c: Int64\"]") && e.contains("has Float64 in column \"a\", not Int64"),
        "{e}"
    );
}

#[test]
fn csv_as_the_options_say() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let df = DataFrame::from_columns([
        ("a", vec![Some(1i64), None].into()),
        ("s;t", vec![Some("x;\"y\""), Some("z")].into()),
    ]);
    let options = CsvWriteOptions { delimiter: b';', null: "NA".into(), ..CsvWriteOptions::default() };
    df.write_csv_with(&path, options.clone()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a;\"s;t\"\n1;\"x;\"\"y\"\"\"\nNA;z\n");
    let back = CsvOptions { delimiter: b';', ..CsvOptions::default() }.scan(&path).collect().unwrap();
    assert_eq!(back.to_batch().unwrap().columns(), df.collect().unwrap().to_batch().unwrap().columns());
    df.write_csv_with(&path, CsvWriteOptions { quotes: CsvQuotes::Always, header: false, ..options.clone() })
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "\"1\";\"x;\"\"y\"\"\"\n\"NA\";\"z\"\n");
    df.write_csv_with(
        &path,
        CsvWriteOptions { quotes: CsvQuotes::NonNumeric, quote: b'\'', ..options.clone() },
    )
    .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "'a';'s;t'\n1;'x;\"y\"'\n'NA';'z'\n");
    let before = fs::read_to_string(&path).unwrap();
    let never = CsvWriteOptions { quotes: CsvQuotes::Never, ..options.clone() };
    assert!(df.write_csv_with(&path, never).unwrap_err().to_string().contains("needs quotes"));
    let same = CsvWriteOptions { quote: b';', ..options };
    assert!(df.write_csv_with(&path, same).unwrap_err().to_string().contains("must differ"));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    // a table of no rows has a header
    df.filter(col("a").gt(5)).write_csv(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a,s;t\n");
}

#[cfg(feature = "parquet")]
#[test]
fn files_are_read_once_whoever_wrote_them() {
    use blockwise::frame::arrow::array::Int64Array;
    use blockwise::frame::{DataFrame, DataType, Field, RecordBatch, Schema, scan_parquet};
    use std::sync::Arc;
    let dir = tempfile::tempdir().unwrap();
    // the first file has no nulls by its schema, the second has one
    let batch = |nullable: bool, v: Vec<Option<i64>>| {
        let schema = Arc::new(Schema::new(vec![Field::new("v", DataType::Int64, nullable)]));
        DataFrame::from_batches([RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(v))]).unwrap()])
    };
    let below = dir.path().join("some").join("below");
    std::fs::create_dir_all(&below).unwrap();
    batch(false, vec![Some(1)]).write_parquet(below.join("a.parquet")).unwrap();
    batch(true, vec![Some(2), None]).write_parquet(below.join("b.parquet")).unwrap();
    for pattern in ["some", "some/*/*", "**/*", "some/**"] {
        let table = scan_parquet(dir.path().join(pattern)).collect().unwrap();
        assert_eq!(table.values::<i64>("v").unwrap(), [Some(1), Some(2), None], "{pattern}");
    }
    // names that begin with an underscore come back; keys of one name do not get into one file
    let df = DataFrame::from_columns([
        ("_k", vec![Some("a"), None, Some("b")].into()),
        ("v", vec![1i64, 2, 3].into()),
    ]);
    let to = dir.path().join("keyed");
    df.write_parquet_partitioned(&to, ["_k"]).unwrap();
    assert_eq!(
        scan_parquet(&to).sort("v").collect().unwrap().texts("_k").unwrap()[1..],
        [None, Some("b".into())]
    );
    let twice = DataFrame::from_columns([
        ("k", vec![Some("__HIVE_DEFAULT_PARTITION__"), None].into()),
        ("v", vec![1i64, 2].into()),
    ]);
    let to = dir.path().join("twice");
    let error = twice.write_parquet_partitioned(&to, ["k"]).unwrap_err().to_string();
    assert!(error.contains("two keys") && !to.exists(), "{error}");
}
