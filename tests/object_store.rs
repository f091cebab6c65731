//! Arrays and tables in an object store: what a store in this process holds, reads and refuses.
#![cfg(all(feature = "object-store", feature = "zarr", feature = "geotiff", feature = "parquet"))]

#[cfg(feature = "cluster")]
#[path = "common/cluster.rs"]
mod common;
#[path = "common/store.rs"]
mod store;

use blockwise::block::{BlockSink, BlockSource};
use blockwise::error::ErrorKind;
use blockwise::frame::{
    CsvWriteOptions, DataFrame, DataType, FileFormat, Table, col, scan_csv, scan_ipc, scan_json_lines,
    scan_parquet,
};
use blockwise::io::zarr::{Version, WriteOptions, ZarrSink, ZarrSource};
use blockwise::meta::Meta;
use blockwise::prelude::*;
use blockwise::shape::Region;
use std::io::Write;
use std::path::Path;
use store::STORE;

const SCENE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/L7_ETMs.tif");

/// A bucket of a test, in the store that runs by then.
fn bucket(name: &str) -> String {
    std::sync::LazyLock::force(&STORE);
    format!("s3://{name}")
}

fn numbers() -> Array {
    Array::arange(0, 60 * 50, 1).cast(F64).reshape(&[60, 50]).rechunk([16, 20])
}

fn floats(array: &Array) -> Vec<f64> {
    array.compute().expect("computed").to_contiguous().as_slice::<f64>().expect("of f64").to_vec()
}

fn bytes_sent(start: &str) -> usize {
    STORE.asked(start).iter().map(|a| a.sent).sum()
}

fn io_kind(error: &Error) -> Option<std::io::ErrorKind> {
    match error.kind() {
        ErrorKind::Io { source, .. } => Some(source.kind()),
        _ => None,
    }
}

#[test]
fn zarr_arrays_are_there_when_they_are_complete() {
    let at = bucket("zarrs");
    let x = numbers();
    let cases = [(Version::V2, None), (Version::V3, None), (Version::V3, Some(vec![32, 20]))];
    for (i, (version, shards)) in cases.into_iter().enumerate() {
        let url = format!("{at}/dir/{i}.zarr");
        let options = WriteOptions { version, shards, ..WriteOptions::default() };
        let sink = x.zarr_sink(&url, options.clone()).expect("started");
        assert!(open(&url).is_err(), "not before it is complete");
        x.store(sink).expect("written");
        assert_eq!(floats(&open(&url).expect("opened")), floats(&x));
        assert!(STORE.keys(&format!("zarrs/dir/{i}.zarr/")).iter().all(|k| !k.contains("part")));
        // a window takes its chunks, not the array
        let whole = bytes_sent("zarrs/");
        let window = open(&url).expect("opened").slice(s![3..5, 21..23]);
        assert_eq!(floats(&window), [171.0, 172.0, 221.0, 222.0]);
        assert!(bytes_sent("zarrs/") < whole, "a window of {i}");
        let again = x.zarr_sink(&url, options.clone()).expect_err("it is there");
        assert_eq!(io_kind(&again), Some(std::io::ErrorKind::AlreadyExists));
        let replaced =
            x.zarr_sink(&url, WriteOptions { overwrite: true, ..options }).expect_err("not at once");
        assert!(matches!(replaced.kind(), ErrorKind::Unsupported { .. }), "{replaced}");
    }
    let missing = open(format!("{at}/nothing.zarr")).expect_err("there is none");
    assert_eq!(io_kind(&missing), Some(std::io::ErrorKind::NotFound), "{missing}");
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let at = bucket("unfinished");
    let x = numbers().compute().expect("computed");
    let url = format!("{at}/a.zarr");
    let sink = ZarrSink::create(&url, &[60, 50], F64, &[16, 20], &Meta::default(), WriteOptions::default())
        .expect("started");
    sink.write(
        &Region::new([0, 0].as_slice(), [16, 20].as_slice()),
        &x.slice(&Region::new([0, 0].as_slice(), [16, 20].as_slice())),
    )
    .expect("written");
    assert_eq!(STORE.keys("unfinished/").len(), 2, "a chunk and a document that is none yet");
    drop(sink);
    assert_eq!(STORE.keys("unfinished/"), [""; 0]);
}

#[test]
fn a_scene_is_computed_where_it_is() {
    let at = bucket("scenes");
    let bytes = std::fs::read(SCENE).expect("there");
    STORE.put("scenes/2001/L7.tif", &bytes);
    let url = format!("{at}/2001/L7.tif");
    let ndvi = |scene: &Array| {
        let (red, nir) = (scene.slice(s![2, .., ..]).cast(F64), scene.slice(s![3, .., ..]).cast(F64));
        (&nir - &red) / (&nir + &red)
    };
    let (near, far) = (open(SCENE).expect("opened"), open(&url).expect("opened"));
    assert_eq!(far.meta().georef, near.meta().georef);
    assert_eq!(far.meta().name.as_deref(), Some("L7"));
    assert_eq!(floats(&ndvi(&far)), floats(&ndvi(&near)));
    let all = bytes_sent("scenes/");
    let corner = open(&url).expect("opened").slice(s![0..1, 0..8, 0..8]).cast(F64);
    assert_eq!(floats(&corner), floats(&near.slice(s![0..1, 0..8, 0..8]).cast(F64)));
    assert!(bytes_sent("scenes/") < all);
    // the same by the web's own protocol
    let web = format!("http://127.0.0.1:{}/scenes/2001/L7.tif", STORE.port);
    assert_eq!(floats(&ndvi(&open(web).expect("opened"))), floats(&ndvi(&near)));
    // and written
    ndvi(&far).write_geotiff(format!("{at}/ndvi.tif")).expect("written");
    let back = open(format!("{at}/ndvi.tif")).expect("opened");
    assert_eq!(back.meta().georef, near.meta().georef);
    assert_eq!(floats(&back), floats(&ndvi(&near)));
    ndvi(&near).write_npy(format!("{at}/ndvi.npy")).expect("written");
    assert_eq!(floats(&open(format!("{at}/ndvi.npy")).expect("copied and mapped")), floats(&ndvi(&near)));
}

/// Rows of which every third value is null.
fn rows(from: i64, count: i64) -> DataFrame {
    let k: Vec<i64> = (from..from + count).collect();
    let v: Vec<Option<f64>> = k.iter().map(|&k| (k % 3 != 0).then_some(k as f64 / 4.0)).collect();
    let t: Vec<String> = k.iter().map(|k| format!("t{}", k % 5)).collect();
    DataFrame::from_columns([("k", k.into()), ("v", v.into()), ("t", t.into())])
}

fn same(a: &DataFrame, b: &DataFrame) {
    let (a, b): (Table, Table) = (a.collect().expect("collected"), b.collect().expect("collected"));
    assert_eq!(a.num_rows(), b.num_rows());
    for field in a.schema().fields() {
        let (a, b) = (a.column(field.name()).expect("a column"), b.column(field.name()).expect("a column"));
        assert_eq!(&a, &b, "{field:?}");
    }
}

#[test]
fn tables_of_every_format_come_back() {
    let at = bucket("tables");
    let all = rows(0, 5000);
    all.write_parquet(format!("{at}/a.parquet")).expect("written");
    all.write_csv(format!("{at}/a.csv")).expect("written");
    let mut zipped = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    zipped.write_all(&STORE.get("tables/a.csv").expect("written")).expect("zipped");
    STORE.put("tables/b.csv.gz", &zipped.finish().expect("zipped"));
    all.write_json_lines(format!("{at}/a.jsonl")).expect("written");
    all.write_ipc(format!("{at}/a.arrow")).expect("written");
    same(&scan_parquet(format!("{at}/a.parquet")), &all);
    same(&scan_csv(format!("{at}/a.csv")), &all);
    same(&scan_csv(format!("{at}/b.csv.gz")), &all);
    same(&scan_json_lines(format!("{at}/a.jsonl")), &all);
    same(&scan_ipc(format!("{at}/a.arrow")), &all);
    // columns and rows that are not wanted are not fetched
    let all_bytes = STORE.get("tables/a.parquet").expect("there").len();
    STORE.asked("tables/");
    let one = scan_parquet(format!("{at}/a.parquet")).select([col("k")]).collect().expect("collected");
    assert_eq!(one.num_rows(), 5000);
    assert!(bytes_sent("tables/") <= 2 * all_bytes);
}

#[test]
fn many_objects_are_a_table() {
    let at = bucket("many");
    for i in 0..20 {
        rows(100 * i, 100).write_parquet(format!("{at}/t/part-{i:02}.parquet")).expect("written");
    }
    STORE.put("many/t/_SUCCESS", b"");
    STORE.put("many/t/.part-99.parquet", b"not whole");
    STORE.put("many/tables/x.parquet", b"of another directory");
    let all = rows(0, 2000);
    same(&scan_parquet(format!("{at}/t")), &all);
    same(&scan_parquet(format!("{at}/t/")), &all);
    same(&scan_parquet(format!("{at}/t/part-*.parquet")), &all);
    same(&scan_parquet(format!("{at}/t/part-0?.parquet")), &rows(0, 1000));
    let none = scan_parquet(format!("{at}/u")).collect().expect_err("no such objects");
    assert!(none.to_string().contains("no object is called \"s3://many/u\""), "{none}");
    // directories of keys
    let csv = FileFormat::Csv(CsvWriteOptions::default());
    all.write_partitioned(format!("{at}/by"), ["t"], csv.clone()).expect("written");
    assert_eq!(STORE.keys("many/by/").len(), 5);
    assert_eq!(STORE.keys("many/by/")[0], "many/by/t=t0/part-0.csv");
    same(
        &scan_csv(format!("{at}/by")).sort(["k"]).select([col("k"), col("v"), col("t").cast(DataType::Utf8)]),
        &all,
    );
    let two = scan_csv(format!("{at}/by/t=*")).filter(col("t").eq("t2"));
    assert_eq!(two.num_rows().expect("counted"), 400);
    let again = all.write_partitioned(format!("{at}/by"), ["t"], csv).expect_err("it is there");
    assert!(again.to_string().contains("is there already"), "{again}");
}

#[test]
fn large_files_go_in_parts_and_stay_right() {
    let at = bucket("large");
    let values = Array::arange(0, 5 << 20, 1).cast(F64).rechunk(1 << 18);
    values.write_npy(format!("{at}/a.npy")).expect("written");
    let dir = tempfile::tempdir().expect("made");
    values.write_npy(dir.path().join("a.npy")).expect("written");
    assert!(STORE.get("large/a.npy") == std::fs::read(dir.path().join("a.npy")).ok());
    let posts = STORE.asked("large/").iter().filter(|a| a.method == "POST").count();
    assert_eq!((posts, STORE.open_uploads()), (2, 0), "one upload was begun and completed");
}

#[test]
fn a_busy_store_is_asked_again_and_a_changed_object_is_noticed() {
    let at = bucket("faults");
    numbers().write_zarr(format!("{at}/a.zarr")).expect("written");
    STORE.be_busy(3);
    assert_eq!(floats(&open(format!("{at}/a.zarr")).expect("opened")), floats(&numbers()));
    rows(0, 60_000).write_parquet(format!("{at}/a.parquet")).expect("written");
    let opened = scan_parquet(format!("{at}/a.parquet"));
    let forbidden = open(format!("{at}/forbidden.tif")).expect_err("refused");
    assert_eq!(io_kind(&forbidden), Some(std::io::ErrorKind::PermissionDenied), "{forbidden}");
    let source = ZarrSource::open(format!("{at}/a.zarr")).expect("opened");
    let chunk = STORE.keys("faults/a.zarr/c/").remove(0);
    STORE.put(&chunk, b"spoilt");
    let spoilt = source.read(&Region::whole(&[60, 50])).expect_err("spoilt");
    assert!(matches!(spoilt.kind(), ErrorKind::CorruptChunk { .. }), "{spoilt}");
    drop(opened);
    let scene = std::fs::read(SCENE).expect("there");
    STORE.put("faults/a.tif", &scene);
    let scene_source = open(format!("{at}/a.tif")).expect("opened");
    STORE.put("faults/a.tif", &scene);
    let replaced = scene_source.slice(s![5..6, 300..352, ..]).compute().expect_err("another object");
    assert!(replaced.to_string().contains("replaced while it was read"), "{replaced}");
    for bad in ["https://host/a.tif?sig=1", "s3://bucket//a.zarr"] {
        let refused = open(Path::new(bad)).expect_err(bad);
        assert_eq!(io_kind(&refused), Some(std::io::ErrorKind::InvalidInput), "{refused}");
    }
}

/// Workers find the store by the environment that they inherit, and write chunks and read rows there themselves.
#[cfg(feature = "cluster")]
#[test]
fn workers_read_and_write_objects() {
    use blockwise::cluster::LocalCluster;
    let at = bucket("cluster");
    let builder = LocalCluster::builder(2, 1, common::LIMIT).expect("described");
    let cluster = common::programs(builder).start().expect("started");
    let (client, local) = (cluster.client().expect("connected"), common::local());
    numbers().write_zarr(format!("{at}/in.zarr")).expect("written");
    let x = open(format!("{at}/in.zarr")).expect("opened");
    let y = (&x - x.mean(..)) * 2.0;
    let dir = tempfile::tempdir().expect("made");
    let (far, near) = (format!("{at}/out.zarr"), dir.path().join("out.zarr"));
    client.store(&[(&y, y.zarr_sink(&far, WriteOptions::default()).expect("started"))]).expect("written");
    local.store(&[(&y, y.zarr_sink(&near, WriteOptions::default()).expect("started"))]).expect("written");
    for key in STORE.keys("cluster/out.zarr/") {
        let file = near.join(key.trim_start_matches("cluster/out.zarr/"));
        assert_eq!(STORE.get(&key), std::fs::read(file).ok(), "{key}");
    }
    assert_eq!(STORE.keys("cluster/out.zarr/").len(), 4 * 3 + 1);
    // what is too large to travel goes by the store, and leaves nothing
    let options = blockwise::cluster::Options {
        scratch: Some(format!("{at}/scratch").into()),
        ..cluster.options().expect("options")
    };
    let client = blockwise::Client::with(&cluster.url(), options).expect("connected");
    let big = Array::from_ndarray(ndarray::Array1::from_shape_fn(3 << 20, |i| i as f64)).rechunk(1 << 18);
    let mean = |session: &Session| {
        session.compute(&big.mean(..)).expect("computed").to_scalar::<f64>().expect("one")
    };
    assert_eq!(mean(&client), mean(&local));
    assert!(STORE.asked("cluster/scratch/").len() > 2);
    assert_eq!(STORE.keys("cluster/scratch/"), [""; 0]);
    for i in 0..4 {
        rows(1000 * i, 1000).write_parquet(format!("{at}/t/{i}.parquet")).expect("written");
    }
    let sums = scan_parquet(format!("{at}/t")).group_by("t").agg(col("v").sum()).sort(["t"]);
    let (far, near) = (sums.collect_with(&client).expect("far"), sums.collect_with(&local).expect("near"));
    assert_eq!(&far.column("v").expect("there"), &near.column("v").expect("there"));
}
