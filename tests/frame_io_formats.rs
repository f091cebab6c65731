//! Arrow IPC and JSON lines, out and in again; damaged files of every format.
#![cfg(feature = "frame")]

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use blockwise::frame::{
    DataFrame, DataType, Field, IpcCompression, IpcOptions, JsonLinesOptions, TimeUnit, col, scan_csv,
    scan_ipc, scan_json_lines,
};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

fn mixed(n: i64) -> DataFrame {
    DataFrame::from_columns([
        ("n", (0..n).collect::<Vec<_>>().into()),
        ("x", (0..n).map(|n| (n % 11 > 0).then_some(n as f64 / 4.0)).collect::<Vec<_>>().into()),
        ("s", (0..n).map(|n| (n % 3 > 0).then(|| format!("a \"{n}\",\nü"))).collect::<Vec<_>>().into()),
        ("b", (0..n).map(|n| (n % 5 > 0).then_some(n % 2 == 0)).collect::<Vec<_>>().into()),
    ])
}

fn columns(df: &DataFrame) -> Vec<ArrayRef> {
    df.collect().unwrap().to_batch().unwrap().columns().to_vec()
}

#[test]
fn ipc_out_and_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.arrow");
    let df = mixed(100_000);
    for compression in [IpcCompression::None, IpcCompression::Lz4, IpcCompression::Zstd] {
        df.write_ipc_with(&path, IpcOptions { compression }).unwrap();
        let back = scan_ipc(&path);
        assert_eq!(columns(&back), columns(&df));
        assert_eq!(back.num_rows().unwrap(), 100_000);
        let some = |df: &DataFrame| columns(&df.filter(col("n").ge(70_000)).select([col("s"), col("n")]));
        assert_eq!(some(&back), some(&df));
    }
    let none = df.filter(col("n").lt(0));
    none.write_ipc(&path).unwrap();
    assert_eq!(scan_ipc(&path).collect().unwrap().num_rows(), 0);
    assert_eq!(scan_ipc(&path).columns().unwrap(), ["n", "x", "s", "b"]);
}

/// What other writers make: dictionaries, streams, large batches.
#[test]
fn ipc_of_others() {
    use arrow::ipc::writer::{FileWriter, StreamWriter};
    let dir = tempfile::tempdir().unwrap();
    let codes = Int32Array::from_iter((0..50_000).map(|n| (n % 9 > 0).then_some(n % 3)));
    let values: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
    let texts: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(codes, values));
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..50_000));
    let batch = RecordBatch::try_from_iter_with_nullable([("s", texts, true), ("n", numbers, true)]).unwrap();
    let (file, stream) = (dir.path().join("f.arrow"), dir.path().join("s.arrow"));
    let mut writer = FileWriter::try_new(fs::File::create(&file).unwrap(), &batch.schema()).unwrap();
    let mut streamed = StreamWriter::try_new(fs::File::create(&stream).unwrap(), &batch.schema()).unwrap();
    for _ in 0..3 {
        writer.write(&batch).unwrap();
        streamed.write(&batch).unwrap();
    }
    writer.finish().unwrap();
    streamed.finish().unwrap();
    let want = DataFrame::from_batches([batch.clone(), batch.clone(), batch]);
    let counted = |df: &DataFrame| {
        let groups = df.group_by("s").agg([col("n").sum(), blockwise::frame::len()]);
        columns(&groups.with_columns(col("s").cast(DataType::Utf8)).sort(["len", "n"]))
    };
    for path in [&file, &stream] {
        let back = scan_ipc(path);
        assert!(back.explain().unwrap().contains("3 parts"));
        assert_eq!(counted(&back), counted(&want));
        assert_eq!(columns(&back.select("n")), columns(&want.select("n")));
    }
    // a stream that is not finished, or cut short
    let bytes = fs::read(&stream).unwrap();
    for cut in [4, bytes.len() / 2, bytes.len() - 9] {
        fs::write(&stream, &bytes[..cut]).unwrap();
        let e = scan_ipc(&stream).collect().unwrap_err().to_string();
        assert!(e.contains("s.arrow"), "{cut}: {e}");
    }
    // a dictionary of a table that is written need not be one for the whole of it
    scan_ipc(&file).write_ipc(&stream).unwrap();
    assert_eq!(scan_ipc(&stream).schema().unwrap().field(0).data_type(), &DataType::Utf8);
    assert_eq!(counted(&scan_ipc(&stream)), counted(&want));
}

#[test]
fn json_lines_out_and_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let df = mixed(20_000);
    df.write_json_lines(&path).unwrap();
    assert_eq!(scan_json_lines(&path).columns().unwrap(), ["n", "x", "s", "b"]);
    for part_bytes in [1000, 65_537, 1 << 30] {
        let back = JsonLinesOptions { part_bytes, ..JsonLinesOptions::default() }.scan(&path);
        assert_eq!(columns(&back), columns(&df));
        assert_eq!(back.num_rows().unwrap(), 20_000);
        assert_eq!(columns(&back.select(["s", "n"])), columns(&df.select(["s", "n"])));
    }
    let gz = fs::File::create(dir.path().join("t.jsonl.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::default());
    gz.write_all(&fs::read(&path).unwrap()).unwrap();
    gz.finish().unwrap();
    let options = JsonLinesOptions { part_bytes: 10_000, ..JsonLinesOptions::default() };
    assert_eq!(columns(&options.scan(dir.path().join("t.jsonl.gz"))), columns(&df));
}

#[test]
fn json_lines_have_columns_types_and_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    fs::write(
        &path,
        "{\"z\": 1, \"a\": \"2013-01-02T03:04:05\", \"list\": [1, 2], \"in\": {\"z\": 1, \"q\": null}}\n\n{\"a\": null, \"m\": 2.5}\r\n{\"z\": 7, \"late\": true}",
    )
    .unwrap();
    let df = scan_json_lines(&path);
    assert_eq!(
        df.columns().unwrap(),
        ["z", "a", "list", "in", "m"]
            .map(String::from)
            .into_iter()
            .chain(["late".into()])
            .collect::<Vec<_>>()
    );
    assert_eq!(df.collect().unwrap().values::<i64>("z").unwrap(), [Some(1), None, Some(7)]);
    let types = vec![
        ("a".into(), DataType::Timestamp(TimeUnit::Second, None)),
        ("later".into(), DataType::Int32),
        ("z".into(), DataType::Utf8),
    ];
    let typed = JsonLinesOptions { types, infer_rows: 1, ..JsonLinesOptions::default() }.scan(&path);
    assert_eq!(
        typed.schema().unwrap().field(1),
        &Field::new("a", DataType::Timestamp(TimeUnit::Second, None), true)
    );
    assert_eq!(typed.columns().unwrap(), ["z", "a", "list", "in", "later"]);
    let table = typed.select([col("a").dt().second(), col("later"), col("z")]).collect().unwrap();
    assert_eq!(table.values::<i32>("a").unwrap(), [Some(5), None, None]);
    assert_eq!(table.texts("z").unwrap(), [Some("1".into()), None, Some("7".into())]);

    let failed = |text: &[u8], infer_rows, part_bytes| {
        fs::write(&path, text).unwrap();
        let options = JsonLinesOptions { infer_rows, part_bytes, ..JsonLinesOptions::default() };
        options.scan(&path).collect().unwrap_err().to_string()
    };
    let mut text = String::new();
    for n in 0..100 {
        text += &format!("{{\"n\": {n}}}\n");
    }
    for bad in ["{\"n\": 1", "{\"n\": \"x\"}", "[1]", "{n: 1}", "nonsense", "{\"n\": 1e400}"] {
        let all = format!("{text}{bad}\n{text}");
        for part in [50, 1 << 20] {
            let e = failed(all.as_bytes(), 10, part);
            assert!(e.contains("t.jsonl, line 101:"), "{bad} {part}: {e}");
        }
    }
    let e = failed(b"{\"n\": 1}\n{\"n\" 2}\n", 10, 100);
    assert!(e.contains("t.jsonl, line 2:"), "{e}");
    assert!(failed(b"{\"n\": \"\xff\"}\n", 10, 100).contains("t.jsonl"));
    assert!(failed(b"", 10, 100).contains("types"));
    assert!(failed(b"\n\n", 10, 100).contains("types"));
}

#[test]
fn zstd_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let text: String = (0..30_000).map(|n| format!("{n},\"v\n{n}\"\n")).collect();
    let bytes = zstd::encode_all(format!("n,s\n{text}").as_bytes(), 1).unwrap();
    let path = dir.path().join("t.csv.zst");
    fs::write(&path, &bytes).unwrap();
    let table = scan_csv(&path).select([col("n").sum(), col("s").max()]).collect().unwrap();
    assert_eq!(table.values::<i64>("n").unwrap(), [Some(29_999 * 15_000)]);
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let e = scan_csv(&path).collect().unwrap_err().to_string();
    assert!(e.contains("t.csv.zst"), "{e}");
    fs::write(&path, "n,s\n1,x\n").unwrap();
    assert!(scan_csv(&path).collect().unwrap_err().to_string().contains("t.csv.zst"));
}

type Scan = fn(&Path) -> DataFrame;
type Save = fn(&DataFrame, &Path);

fn formats() -> Vec<(&'static str, Scan, Save)> {
    vec![
        ("t.csv", |p| scan_csv(p), |df, p| df.write_csv(p).unwrap()),
        ("t.jsonl", |p| scan_json_lines(p), |df, p| df.write_json_lines(p).unwrap()),
        ("t.arrow", |p| scan_ipc(p), |df, p| df.write_ipc(p).unwrap()),
        (
            "u.arrow",
            |p| scan_ipc(p),
            |df, p| df.write_ipc_with(p, IpcOptions { compression: IpcCompression::Zstd }).unwrap(),
        ),
        (
            "v.arrow",
            |p| scan_ipc(p),
            |df, p| df.write_ipc_with(p, IpcOptions { compression: IpcCompression::None }).unwrap(),
        ),
        #[cfg(feature = "parquet")]
        ("t.parquet", |p| blockwise::frame::scan_parquet(p), |df, p| df.write_parquet(p).unwrap()),
    ]
}

/// Damage is an error or a result, never a panic, nor a request for all memory.
#[test]
fn damaged_files_do_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    for (name, scan, save) in formats() {
        let path = dir.path().join(name);
        save(&mixed(100), &path);
        let whole = fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let df = scan(&path);
            let counted = df.filter(col("n").gt(5)).select(col("n").sum()).collect();
            df.collect().and(counted)
        };
        assert!(read(&whole).is_ok());
        // every flip is tried where lengths and offsets are, some elsewhere
        let near_an_end = |at: usize| at.is_multiple_of(2) && (at < 200 || at + 800 > whole.len());
        for at in (0..whole.len()).filter(|&at| near_an_end(at) || at % 37 == 0) {
            for flip in if at.is_multiple_of(4) { [0x01, 0xff] } else { [0x40, 0x80] } {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                if let Err(e) = read(&bytes) {
                    assert!(!e.to_string().contains("internal error"), "{name} {at}: {e}");
                }
            }
        }
        for cut in (0..whole.len()).filter(|&at| near_an_end(at) || at % 101 == 0) {
            let result = read(&whole[..cut]);
            // text may end anywhere
            let is_text = name.ends_with("csv") || name.ends_with("jsonl");
            assert!(is_text || result.is_err(), "{name} {cut}");
        }
    }
}

#[test]
fn what_is_no_such_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (name, scan, _) in formats() {
        let path = dir.path().join(name);
        let failed = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let e = scan(&path).collect().unwrap_err().to_string();
            assert!(e.contains(name), "{e}");
        };
        if !name.ends_with("csv") {
            failed(b"");
            failed(b"neither this nor that, but long enough to be looked at");
            failed(&[0xff; 100]);
            failed(&[0; 100]);
        }
        assert!(scan(&dir.path().join("none").join(name)).collect().is_err());
    }
    // of CSV, any text is something
    let path = dir.path().join("t.csv");
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        scan_csv(&path).collect()
    };
    let e = read(b"").unwrap_err().to_string();
    assert!(e.contains("t.csv"), "{e}");
    assert_eq!(read(b"a,b\n").unwrap().num_rows(), 0);
    assert_eq!(read(b"a,b").unwrap().num_rows(), 0);
    assert!(read(b"a,\xff\n1,2\n").unwrap_err().to_string().contains("t.csv"));
    let _ = read(&[0; 100]);
    let _ = read(b"\"");
}
