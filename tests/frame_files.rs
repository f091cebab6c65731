//! Frames from and into CSV and Parquet files: cuts at any byte, quotes, nulls, rows that do not fit, broken files.
#![cfg(feature = "frame")]

#[path = "common/property.rs"]
mod property;

use blockwise::frame::{BadRows, CsvOptions, DataFrame, DataType, TimeUnit, col, scan_csv};
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use std::path::Path;

fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(property::cases(40))]

    /// Wherever the file is cut into parts, every row is read once and in order.
    #[test]
    fn any_cut_gives_the_same_rows(
        rows in prop::collection::vec((prop::option::of(-1000i64..1000), "[a-z,\"\n ü]{0,12}"), 0..60),
        part in 1usize..200,
        last_line_end in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut text = String::from("n,\"a text\"\n");
        for (k, (n, s)) in rows.iter().enumerate() {
            let n = n.map_or("NA".to_owned(), |n| n.to_string());
            text += &format!("{n},\"_{}\"", s.replace('"', "\"\""));
            if last_line_end || k + 1 < rows.len() {
                text.push('\n');
            }
        }
        let path = write(dir.path(), "t.csv", &text);
        let types = vec![("n".into(), DataType::Int64), ("a text".into(), DataType::Utf8)];
        let options = CsvOptions { part_bytes: part, types, ..CsvOptions::default() };
        let table = options.scan(&path).collect().unwrap();
        prop_assert_eq!(table.values::<i64>("n").unwrap(), rows.iter().map(|r| r.0).collect::<Vec<_>>());
        prop_assert_eq!(table.texts("a text").unwrap(), rows.iter().map(|r| Some(format!("_{}", r.1))).collect::<Vec<_>>());
    }
}

#[test]
fn types_are_inferred_and_columns_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "t.csv",
        "i,f,s,d,t,b,empty\n1,1.5,x,2013-01-02,2013-01-02T03:04:05Z,true,\n,NA,,NA,,false,\n3,2,z,2013-02-01,2013-01-02T03:04:06Z,,\n",
    );
    let df = scan_csv(&path);
    let schema = df.schema().unwrap();
    let types: Vec<&DataType> = schema.fields().iter().map(|f| f.data_type()).collect();
    assert_eq!(
        types,
        [
            &DataType::Int64,
            &DataType::Float64,
            &DataType::Utf8,
            &DataType::Date32,
            &DataType::Timestamp(TimeUnit::Second, None),
            &DataType::Boolean,
            &DataType::Utf8
        ]
    );
    let table =
        df.select([col("f") + col("i"), col("t").dt().second(), col("d").dt().month().alias("m")]).collect();
    let table = table.unwrap();
    assert_eq!(table.values::<f64>("f").unwrap(), [Some(2.5), None, Some(5.0)]);
    assert_eq!(table.values::<i32>("t").unwrap(), [Some(5), None, Some(6)]);
    assert_eq!(table.values::<i32>("m").unwrap(), [Some(1), None, Some(2)]);
    let plan = df.filter(col("i").gt(1)).select("s").explain().unwrap();
    assert!(plan.contains("scan t.csv [i, s]"), "{plan}");
}

#[test]
fn rows_that_do_not_fit_are_errors_nulls_or_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("i,s\n");
    for n in 0..1000 {
        text += &format!("{n},v{n}\n");
    }
    text += "12x,bad\n5,good\n6\n7,a,b\n8,end\n";
    let path = write(dir.path(), "t.csv", &text);
    let read = |bad_rows, part_bytes| {
        let options = CsvOptions { bad_rows, part_bytes, infer_rows: 100, ..CsvOptions::default() };
        options.scan(&path).collect()
    };
    for part in [300, 1 << 20] {
        let e = read(BadRows::Error, part).unwrap_err().to_string();
        assert!(e.contains("t.csv, line 1002") && e.contains("\"i\"") && e.contains("12x"), "{e}");
        let nulls = read(BadRows::Null, part).unwrap();
        assert_eq!(nulls.values::<i64>("i").unwrap()[1000..], [None, Some(5), Some(6), Some(7), Some(8)]);
        assert_eq!(nulls.texts("s").unwrap()[1002], None);
        let kept = read(BadRows::Skip, part).unwrap();
        assert_eq!(kept.values::<i64>("i").unwrap()[1000..], [Some(5), Some(8)]);
    }
    let bad = write(dir.path(), "u.csv", "a,b\n1,2\n1,2,3\n");
    let e =
        CsvOptions { infer_rows: 1, ..CsvOptions::default() }.scan(bad).collect().unwrap_err().to_string();
    assert!(e.contains("line 3") && e.contains("3 values, not 2"), "{e}");
    fs::write(dir.path().join("v.csv"), b"a,b\n1,\xff\xfe\n").unwrap();
    let e = scan_csv(dir.path().join("v.csv")).collect().unwrap_err().to_string();
    assert!(e.contains("v.csv"), "{e}");
}

#[test]
fn compressed_files_patterns_and_their_errors() {
    let dir = tempfile::tempdir().unwrap();
    let text = "k,v\n1,10\n2,20\n";
    let gz = fs::File::create(dir.path().join("a.csv.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::default());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap();
    write(dir.path(), "b.csv", "k,v\n3,30\n");
    let all = scan_csv(dir.path().join("*.csv*")).collect().unwrap();
    assert_eq!(all.values::<i64>("v").unwrap(), [Some(10), Some(20), Some(30)]);
    write(dir.path(), "c.csv", "k,w\n3,30\n");
    let e = scan_csv(dir.path().join("*.csv")).collect().unwrap_err().to_string();
    assert!(e.contains("c.csv") && e.contains("\"w\""), "{e}");
    for (path, want) in [("none*.csv", "no file matches"), ("none.csv", "none.csv")] {
        let e = scan_csv(dir.path().join(path)).collect().unwrap_err().to_string();
        assert!(e.contains(want), "{e}");
    }
    let options = CsvOptions { types: vec![("q".into(), DataType::Int8)], ..CsvOptions::default() };
    assert!(options.scan(dir.path().join("b.csv")).collect().unwrap_err().to_string().contains("\"q\""));
    write(dir.path(), "cut.zip", "PK and nothing else");
    assert!(scan_csv(dir.path().join("cut.zip")).collect().unwrap_err().to_string().contains("cut.zip"));
}

#[test]
fn csv_out_and_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let n = 100_000i64;
    let df = DataFrame::from_columns([
        ("n", (0..n).collect::<Vec<_>>().into()),
        ("s", (0..n).map(|n| (n % 3 > 0).then(|| format!("a \"{n}\",\n"))).collect::<Vec<_>>().into()),
    ]);
    let path = dir.path().join("out.csv");
    df.filter(col("n").ge(10)).write_csv(&path).unwrap();
    let options = CsvOptions { part_bytes: 100_000, ..CsvOptions::default() };
    let back = options.scan(&path).collect().unwrap();
    assert_eq!(
        back.to_batch().unwrap().columns(),
        df.slice(10, usize::MAX).collect().unwrap().to_batch().unwrap().columns()
    );
    // a run that fails leaves nothing, and what was there stays
    let e = df.select(col("s").cast(DataType::Int64)).write_csv(&path).unwrap_err().to_string();
    assert!(e.contains("cast"), "{e}");
    assert_eq!(files_in(dir.path()), ["out.csv"]);
    assert!(df.write_csv(dir.path().join("no/such/dir.csv")).is_err());
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;
    use blockwise::frame::scan_parquet;

    #[test]
    fn parquet_out_and_in_again() {
        let dir = tempfile::tempdir().unwrap();
        let n = 200_000i64;
        let df = DataFrame::from_columns([
            ("k", (0..n).map(|n| Some(n % 7)).collect::<Vec<_>>().into()),
            ("x", (0..n).map(|n| (n % 11 > 0).then_some(n as f64 / 3.0)).collect::<Vec<_>>().into()),
            ("s", (0..n).map(|n| format!("v{}", n % 1000)).collect::<Vec<_>>().into()),
        ]);
        let path = dir.path().join("t.parquet");
        df.write_parquet(&path).unwrap();
        let back = scan_parquet(&path);
        assert_eq!(back.num_rows().unwrap(), n as usize);
        assert_eq!(back.collect().unwrap().to_batch().unwrap(), df.collect().unwrap().to_batch().unwrap());
        // columns out of order, and only some
        let sums = |df: &DataFrame| {
            df.group_by("s").agg(col("x").sum()).sort("s").collect().unwrap().to_batch().unwrap()
        };
        assert_eq!(sums(&back), sums(&df));
        assert_eq!(files_in(dir.path()), ["t.parquet"]);
    }

    #[test]
    fn broken_and_unlike_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let one = DataFrame::from_columns([("a", vec![1i64, 2].into())]);
        one.write_parquet(dir.path().join("1.parquet")).unwrap();
        DataFrame::from_columns([("b", vec![1.5].into())])
            .write_parquet(dir.path().join("2.parquet"))
            .unwrap();
        let e = scan_parquet(dir.path().join("*.parquet")).collect().unwrap_err().to_string();
        assert!(e.contains("2.parquet") && e.contains("b: Float64"), "{e}");
        let whole = fs::read(dir.path().join("1.parquet")).unwrap();
        for cut in [0, 4, whole.len() / 2, whole.len() - 1] {
            fs::write(dir.path().join("cut.parquet"), &whole[..cut]).unwrap();
            let e = scan_parquet(dir.path().join("cut.parquet")).collect().unwrap_err().to_string();
            assert!(e.contains("cut.parquet"), "{cut}: {e}");
        }
        // damage anywhere is an error or a result, never a panic
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            fs::write(dir.path().join("bad.parquet"), &bytes).unwrap();
            let _ = scan_parquet(dir.path().join("bad.parquet")).collect();
        }
    }
}
