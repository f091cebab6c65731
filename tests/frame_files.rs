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

proptest! {
    #![proptest_config(property::cases(60))]

    /// Quotes within values that do not start with one are characters; wherever the file is cut, and compressed, rows are those of the parser.
    #[test]
    fn quotes_anywhere(values in prop::collection::vec("[a\",\n]{0,6}", 1..40), part in 1usize..30) {
        let dir = tempfile::tempdir().unwrap();
        // rows of one value and one number; in quotes what must be, the rest as it is
        let (mut text, mut want) = (String::from("s,n\n"), vec![]);
        for (k, v) in values.iter().enumerate() {
            let must = v.starts_with('"') || v.contains([',', '\n']) || v.is_empty();
            text += &if must { format!("\"{}\",{k}\n", v.replace('"', "\"\"")) } else { format!("{v},{k}\n") };
            want.push(v.clone());
        }
        let path = write(dir.path(), "t.csv", &text);
        let gz = dir.path().join("t.csv.gz");
        let mut out = flate2::write::GzEncoder::new(fs::File::create(&gz).unwrap(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap();
        let types = vec![("s".into(), DataType::Utf8), ("n".into(), DataType::Int64)];
        for path in [path, gz] {
            let options = CsvOptions { part_bytes: part, types: types.clone(), null_values: vec!["NA".into()], ..CsvOptions::default() };
            let table = options.scan(&path).collect().unwrap();
            prop_assert_eq!(table.values::<i64>("n").unwrap(), (0..want.len() as i64).map(Some).collect::<Vec<_>>());
            prop_assert_eq!(table.texts("s").unwrap(), want.iter().cloned().map(Some).collect::<Vec<_>>());
        }
    }
}

/// A quote in a value without quotes leaves later parts their rows: each is read by itself.
#[test]
fn a_stray_quote_does_not_join_the_parts_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..20_000).map(|k| format!("5\" pipe,{k}\n")).collect();
    let path = write(dir.path(), "t.csv", &format!("s,n\n{rows}"));
    let df = CsvOptions { part_bytes: 1 << 12, ..CsvOptions::default() }.scan(&path);
    let session = blockwise::Session::builder().threads(2).build().unwrap();
    let sum = df.select([col("n").sum(), col("s").n_unique()]).collect_with(&session).unwrap();
    assert_eq!(sum.values::<i64>("n").unwrap(), [Some(20_000 * 19_999 / 2)]);
    assert_eq!(sum.values::<i64>("s").unwrap(), [Some(1)]);
    // every byte of the rows is read about once, not by the first part that is odd
    let read = session.last_summary().unwrap().bytes_read;
    assert!(read < 1 << 20, "{read}");
}

#[test]
fn words_for_bools_are_the_same_whether_all_rows_fit_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["true", "FALSE", "t", "yes", "1", "on", "True"];
    let types = vec![("b".into(), DataType::Boolean), ("n".into(), DataType::Int64)];
    for bad_rows in [BadRows::Null, BadRows::Skip] {
        let options = CsvOptions { bad_rows, types: types.clone(), ..CsvOptions::default() };
        let read = |rows: &[&str]| {
            let text: String = rows.iter().enumerate().map(|(k, w)| format!("{w},{k}\n")).collect();
            let path = write(dir.path(), "words.csv", &format!("b,n\n{text}"));
            let table = options.clone().scan(path).collect().unwrap();
            table.values::<bool>("b").unwrap()
        };
        // each word alone, and among others that make the reader go row by row
        for word in words {
            let alone = read(&[word]);
            let among = read(&["x", word]);
            let want = word.to_lowercase().parse::<bool>().ok();
            match bad_rows {
                BadRows::Null => assert_eq!((alone, among), (vec![want], vec![None, want]), "{word}"),
                _ => {
                    let want: Vec<_> = want.map(Some).into_iter().collect();
                    assert_eq!((alone, among), (want.clone(), want), "{word}");
                }
            }
        }
    }
    let path = write(dir.path(), "e.csv", "b\ntrue\nyes\n");
    let options = CsvOptions { types: vec![("b".into(), DataType::Boolean)], ..CsvOptions::default() };
    let e = options.scan(&path).collect().unwrap_err().to_string();
    assert!(e.contains("line 3") && e.contains("\"yes\""), "{e}");
}

#[test]
fn without_quotes_no_null_may_need_them() {
    use blockwise::frame::{CsvQuotes, CsvWriteOptions};
    let dir = tempfile::tempdir().unwrap();
    let df = DataFrame::from_columns([("a", vec![Some(1), None].into()), ("b", vec![3, 4].into())]);
    let path = dir.path().join("t.csv");
    for (null, fails) in [("N,A", true), ("\"", true), ("\n", true), ("NA", false), ("", false)] {
        let options =
            CsvWriteOptions { quotes: CsvQuotes::Never, null: null.into(), ..CsvWriteOptions::default() };
        match df.write_csv_with(&path, options) {
            Ok(()) => assert_eq!(fs::read_to_string(&path).unwrap(), format!("a,b\n1,3\n{null},4\n")),
            Err(e) => assert!(fails && e.to_string().contains("null"), "{e}"),
        }
    }
    let options = CsvWriteOptions { null: "N,A".into(), ..CsvWriteOptions::default() };
    df.write_csv_with(&path, options).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a,b\n1,3\n\"N,A\",4\n");
}
