//! CSV files that are not what they should be: quotes that are never closed, bytes that are no text, columns that are not there.
#![cfg(feature = "frame")]

use blockwise::frame::{BadRows, CsvOptions, DataFrame, DataType, FileFormat, JsonLinesOptions, scan_csv};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn write(dir: &Path, name: &str, text: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn error(frame: &DataFrame) -> String {
    match frame.collect() {
        Err(e) => e.to_string(),
        Ok(table) => panic!("no error:\n{table}"),
    }
}

#[test]
fn a_quote_that_is_never_closed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("n,s\n1,\"a\nb\"\n2,b\n");
    text += "3,\"open\n";
    let at = text.find("\"open").unwrap();
    for n in 0..3000 {
        text += &format!("{n},text\n");
    }
    let plain = write(dir.path(), "t.csv", text.as_bytes());
    let packed = dir.path().join("t.csv.gz");
    let mut gz = flate2::write::GzEncoder::new(fs::File::create(&packed).unwrap(), Default::default());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap();
    let types = vec![("n".into(), DataType::Int64), ("s".into(), DataType::Utf8)];
    for path in [&plain, &packed] {
        for (part_bytes, infer_rows) in [(7, 1), (1000, 2), (1 << 20, 10_000)] {
            let options = CsvOptions {
                longest_row: 10_000,
                part_bytes,
                infer_rows,
                types: types.clone(),
                ..CsvOptions::default()
            };
            let e = error(&options.scan(path));
            assert!(
                e.contains(&format!("the quote that opens at line 5, byte {at} is not closed")),
                "{part_bytes}: {e}"
            );
            assert!(e.contains("the row that starts at line 5") && e.contains("10000 bytes"), "{e}");
            assert!(e.contains("longest_row"), "{e}");
        }
        let all = CsvOptions { part_bytes: 1000, types: types.clone(), ..CsvOptions::default() }.scan(path);
        let table = all.collect().unwrap();
        assert_eq!(table.values::<i64>("n").unwrap(), [Some(1), Some(2), Some(3)]);
        assert_eq!(table.texts("s").unwrap()[0], Some("a\nb".into()));
    }
    let lines = write(
        dir.path(),
        "t.jsonl",
        format!("{{\"a\": \"b\"}}\n{{\"a\": \"{}\"}}\n", "x".repeat(200_000)).as_bytes(),
    );
    let options =
        JsonLinesOptions { longest_row: 1000, part_bytes: 100, infer_rows: 1, ..Default::default() };
    let e = error(&options.scan(&lines));
    assert!(e.contains("line 2, byte 11") && e.contains("there is no line end"), "{e}");
}

#[test]
fn bytes_that_are_no_text_are_named_or_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = b"n,s,t\n".to_vec();
    for n in 0..500 {
        match n {
            321 => text.extend_from_slice(b"321,M\xfcnchen,x\n"),
            _ => text.extend_from_slice(format!("{n},Zürich,y\n").as_bytes()),
        }
    }
    let path = write(dir.path(), "t.csv", &text);
    let scan = |bad_rows, part_bytes, infer_rows| {
        CsvOptions { bad_rows, part_bytes, infer_rows, ..CsvOptions::default() }.scan(&path)
    };
    for part_bytes in [64, 1000, 1 << 20] {
        for infer_rows in [10, 10_000] {
            let e = error(&scan(BadRows::Error, part_bytes, infer_rows));
            assert!(e.contains("t.csv, line 323") && e.contains("\"s\"") && e.contains("UTF-8"), "{e}");
            let null = scan(BadRows::Null, part_bytes, infer_rows).collect().unwrap();
            let (n, s, t) =
                (null.values::<i64>("n").unwrap(), null.texts("s").unwrap(), null.texts("t").unwrap());
            assert_eq!((n.len(), n[321], &s[321], t[321].as_deref()), (500, Some(321), &None, Some("x")));
            assert_eq!((s[320].as_deref(), s.iter().flatten().count()), (Some("Zürich"), 499));
            let skipped = scan(BadRows::Skip, part_bytes, infer_rows).collect().unwrap();
            let n = skipped.values::<i64>("n").unwrap();
            assert_eq!((n.len(), n[320], n[321]), (499, Some(320), Some(322)));
            // whether a row is left out does not depend on the columns that are wanted
            assert_eq!(scan(BadRows::Skip, part_bytes, infer_rows).select("n").num_rows().unwrap(), 499);
        }
    }
    let header = write(dir.path(), "h.csv", b"n\xfc\n1\n");
    assert!(error(&scan_csv(&header)).contains("h.csv"));
}

#[test]
fn columns_that_are_not_there_have_a_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t.csv", b"carrier,delay\nUA,1\n");
    let options = CsvOptions { types: vec![("carier".into(), DataType::Utf8)], ..CsvOptions::default() };
    assert!(error(&options.scan(&path)).contains("did you mean \"carrier\""));
    let df = scan_csv(&path);
    assert!(df.column("dely").unwrap_err().to_string().contains("did you mean \"delay\""));
    assert_eq!(df.column("delay").unwrap().to_string(), "delay");
    let e = df.write_partitioned(dir.path().join("out"), ["carriers"], FileFormat::Csv(Default::default()));
    assert!(e.unwrap_err().to_string().contains("did you mean \"carrier\""));
}
