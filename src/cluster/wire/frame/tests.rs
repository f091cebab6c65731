//! Relations to bytes and back; damaged bytes.

use super::super::decode::open;
use super::super::encode::seal;
use super::super::version;
use super::form::FrameForm;
use super::{MAGIC, decode, encode};
use crate::cluster::rows;
use crate::cluster::scratch::Scratch;
use crate::expr::frame::Relation;
use crate::frame::{
    Column, CsvQuotes, CsvWriteOptions, DataFrame, DataType, Every, FileFormat, IpcCompression, IpcOptions,
    JoinKind, ParquetCompression, ParquetOptions, Partition, UserFold, col, concat_str, date, duration, len,
    lit, register_batches, register_elements, register_fold, row_number, scan_csv, timestamp, when,
};
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use std::sync::{Arc, Once};

const LIMIT: u64 = 64 << 20;

fn table() -> DataFrame {
    DataFrame::from_columns([
        ("k", Column::from(vec!["a", "b", "a", "c"])),
        ("v", vec![Some(1.5f64), None, Some(-0.0), Some(f64::NAN)].into()),
        ("n", vec![1i64, 2, 3, 300].into()),
    ])
}

/// A fold of integers and texts, whose states are texts.
fn joined() -> UserFold {
    let join = |c: &[ArrayRef]| {
        let all: String = c[c.len() - 1].as_string::<i32>().iter().flatten().collect();
        Ok(vec![Arc::new(StringArray::from(vec![all])) as ArrayRef])
    };
    UserFold::new("joined", [DataType::Utf8], DataType::Utf8, join, join, |c| Ok(c[0].clone()))
}

/// The user's functions by name.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        register_batches("same rows", Ok).expect("new");
        register_elements("one more", |n: i64| Some(n + 1)).expect("new");
        register_fold(&joined()).expect("new");
    });
}

/// Frames that use every kind of relation and expression that travels.
fn frames() -> Vec<DataFrame> {
    let df = table();
    register();
    let day = date(2024, 2, 29);
    let zoned = timestamp(2024, 2, 29, 1, 2, 3).dt().replace_time_zone(Some("Europe/Berlin"));
    let other = DataFrame::from_columns([("k", Column::from(vec!["a", "c"])), ("w", vec![1i32, 2].into())]);
    let folds = [
        col("v").sum(),
        col("v").quantile(0.3).alias("q"),
        col("v").std_ddof(0).alias("s"),
        col("n").top_k(2).alias("t"),
        len(),
    ];
    vec![
        df.filter(col("v").gt(1).and(!col("k").is_null())).select([col("n") * 2 + 1, -col("v")]),
        df.with_columns([
            when(col("n").lt(3)).then("few").otherwise(col("k")).alias("w"),
            col("n").cast(DataType::Float32).sqrt().alias("r"),
            col("v").fill_null(0.5).alias("f"),
            date(2024, 2, 29).alias("d"),
            lit(true).alias("b"),
        ]),
        df.group_by(["k"]).agg(folds.clone()),
        df.select(folds),
        df.join(&other, "k", JoinKind::Full).sort(["k", "n"]).head(3),
        df.join(&other, "k", JoinKind::Anti).tail(2),
        df.unique(["k"]),
        df.with_columns([
            row_number().alias("i"),
            col("n").cum_sum().alias("c"),
            col("v").shift(1).over(["k"]).alias("before"),
            col("v").rolling(2).min_periods(1).mean().alias("m"),
            col("v").forward_fill().alias("filled"),
        ]),
        DataFrame::concat([&df, &df.select(["k", "v", "n"])]),
        df.select([
            col("k").str().to_uppercase().alias("up"),
            col("k").str().pad_start(9, '*').alias("wide"),
            col("k").str().replace_regex("[ab]", "x").alias("x"),
            concat_str(["k", "n"], "-").alias("both"),
            col("k").cat().codes(["c", "a"]).alias("code"),
        ]),
        df.select([
            day.dt().truncate(Every::months(2)).alias("span"),
            day.dt().strftime("%d.%m.").alias("text"),
            day.dt().add_months(13).dt().week().alias("week"),
            zoned.dt().hour().alias("hour"),
            lit("2024-02-29").str().to_date("%Y-%m-%d").dt().month_end().alias("end"),
        ]),
        df.map_batches_registered("same rows", &df.schema().expect("known"))
            .with_columns(col("n").map_elements_registered("one more").alias("more")),
        df.group_by(["v"]).agg(UserFold::registered("joined").expect("there").of(["n", "k"])),
        df.repartition(Partition::by_hash(["k", "n"], 3))
            .map_partitions_registered("same rows", &df.schema().expect("known")),
        df.repartition(Partition::by_range("n", 2)).filter(col("n").gt(1)),
        df.repartition(Partition::rows(2)).partitions(),
        DataFrame::concat([&df.repartition(Partition::count(2)), &df]),
        df.group_by("k").map_groups_registered("same rows", &df.schema().expect("known")),
        df.unpivot(["v", "n"], ["k"]),
        df.group_by("k").agg(col("n").collect_list()).explode("n"),
        df.select((lit("2024-02-29").str().to_date("%Y-%m-%d") + duration(1, 0, 0, 0) * col("n")).alias("d"))
            .upsample("d", Every::weeks(2)),
        df.describe(),
        df.corr_matrix(),
    ]
}

fn relation(df: &DataFrame) -> &Relation {
    df.relation().expect("sound")
}

#[test]
fn relations_come_back_and_are_planned_alike() {
    for (n, df) in frames().iter().enumerate() {
        let bytes = encode(relation(df), None, LIMIT, 7, &mut Scratch::below(None))
            .unwrap_or_else(|e| panic!("{n}: {e}"));
        let job = decode(&bytes).unwrap_or_else(|e| panic!("{n}: {e}"));
        assert_eq!((job.limit, job.shards, job.sink.is_none()), (LIMIT, 7, true));
        assert_eq!(job.relation.schema(), relation(df).schema());
        let (here, there) =
            (rows::spread(relation(df), None, LIMIT), rows::spread(&job.relation, None, LIMIT));
        let (here, there) = (here.unwrap(), there.unwrap());
        assert_eq!(here.words(), there.words(), "{n}");
        assert_eq!(here.plan.to_string(), there.plan.to_string());
    }
}

#[test]
fn many_rows_in_memory_are_put_where_workers_see_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut scratch = Scratch::below(Some(dir.path().to_owned()));
    let n = 1_500_000i64;
    let x: Vec<Option<f64>> = (0..n).map(|i| (i % 7 != 0).then_some(i as f64 * 0.1)).collect();
    let t: Vec<String> = (0..n).map(|i| format!("{}", i % 1000)).collect();
    let big = DataFrame::from_columns([("x", x.into()), ("t", t.into())]).filter(col("x").gt(3.0));
    let bytes = encode(relation(&big), None, LIMIT, 7, &mut scratch).unwrap();
    assert!(bytes.len() < 8192, "{} bytes", bytes.len());
    let job = decode(&bytes).unwrap();
    let (here, there) = (rows::spread(relation(&big), None, LIMIT), rows::spread(&job.relation, None, LIMIT));
    assert_eq!(here.unwrap().words(), there.unwrap().words());
    let session = crate::Session::builder().memory_limit(LIMIT).build().unwrap();
    let rows = |relation: &Relation| -> Vec<RecordBatch> {
        let (schema, rows) = (relation.schema().clone(), session.run_frame(relation).unwrap());
        vec![arrow::compute::concat_batches(&schema, &rows).unwrap()]
    };
    assert!(rows(relation(&big)) == rows(&job.relation));
    drop((job, scratch));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(decode(&bytes).is_err());
}

#[test]
fn files_travel_by_address_and_are_noticed_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    table().write_csv(&path).unwrap();
    let df = scan_csv(&path).filter(col("n").gt(1));
    let file = FileFormat::JsonLines.create(dir.path().join("out.jsonl"), df.schema().unwrap()).unwrap();
    let bytes = encode(relation(&df), Some(&*file), LIMIT, 2, &mut Scratch::below(None)).unwrap();
    let job = decode(&bytes).unwrap();
    assert_eq!(job.sink.map(|s| (s.label(), s.in_parts().is_none())), Some(("the client's".into(), true)));
    assert_eq!(rows::spread(&job.relation, None, LIMIT).unwrap().stages.len(), 1);
    std::fs::write(&path, "k,v,n\nx,1.0,2\n").unwrap();
    assert!(decode(&bytes).unwrap_err().to_string().contains("changed"));
}

#[test]
fn directories_travel_by_address_with_all_options() {
    let dir = tempfile::tempdir().unwrap();
    let df = table();
    let quotes = |quotes| CsvWriteOptions { delimiter: b';', quotes, null: "-".into(), ..Default::default() };
    let parquet = |compression| ParquetOptions { compression, row_group_rows: 3 };
    let formats = [
        FileFormat::JsonLines,
        FileFormat::Csv(quotes(CsvQuotes::Always)),
        FileFormat::Csv(quotes(CsvQuotes::NonNumeric)),
        FileFormat::Ipc(IpcOptions { compression: IpcCompression::Zstd }),
        FileFormat::Parquet(parquet(ParquetCompression::Gzip(3))),
        FileFormat::Parquet(parquet(ParquetCompression::Snappy)),
        FileFormat::Parquet(parquet(ParquetCompression::Zstd(2))),
    ];
    let rows = table().collect().unwrap().to_batch().unwrap();
    for (n, format) in formats.iter().enumerate() {
        let own = format.create_directory(dir.path().join(format!("{n}")), df.schema().unwrap()).unwrap();
        let bytes = encode(relation(&df), Some(&*own), LIMIT, 2, &mut Scratch::below(None)).unwrap();
        let far = decode(&bytes).unwrap().sink.unwrap();
        let (own, far) = (own.in_parts().unwrap(), far.in_parts().unwrap());
        for (number, parts) in [(4, own), (5, far), (5, far)] {
            let part = parts.part(number).unwrap();
            part.write(&rows).unwrap();
            part.finish().unwrap();
        }
        assert!(far.publish(&[5]).is_err());
        own.publish(&[4, 5]).unwrap();
        let file = |k: usize| {
            std::fs::read(dir.path().join(format!("{n}/part-0000{k}.{}", format.extension()))).unwrap()
        };
        assert!(!file(0).is_empty() && file(0) == file(1), "{format:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), formats.len());
}

#[test]
fn what_no_worker_could_have_is_an_error_that_names_it() {
    let df = table();
    let schema = df.schema().unwrap();
    let e = encode(relation(&df.map_batches(&schema, Ok)), None, LIMIT, 1, &mut Scratch::below(None))
        .unwrap_err();
    assert!(e.to_string().contains("map_batches") && e.to_string().contains("register_batches"), "{e}");
    let e = encode(
        relation(&df.select(col("n").map_elements(|n: i64| Some(n + 1)))),
        None,
        LIMIT,
        1,
        &mut Scratch::below(None),
    )
    .unwrap_err();
    assert!(e.to_string().contains("map_elements") && e.to_string().contains("register_elements"), "{e}");
    let parts = df.repartition(Partition::rows(2)).map_partitions(&schema, Ok);
    let e = encode(relation(&parts), None, LIMIT, 1, &mut Scratch::below(None)).unwrap_err().to_string();
    assert!(e.contains("map_partitions") && e.contains("map_partitions_registered"), "{e}");
    // a fold that happens to have the name of one that is registered
    register();
    let e = encode(
        relation(&df.group_by("k").agg(joined().of(["n", "k"]))),
        None,
        LIMIT,
        1,
        &mut Scratch::below(None),
    )
    .unwrap_err();
    assert!(e.to_string().contains("joined") && e.to_string().contains("register_fold"), "{e}");
    let big = DataFrame::from_columns([("x", vec![0u64; (16 << 17) + 1].into())]);
    let e = encode(relation(&big), None, LIMIT, 1, &mut Scratch::below(None)).unwrap_err();
    assert!(e.to_string().contains("in memory"), "{e}");
    let mut deep = df;
    for k in 0..super::DEEPEST as i64 {
        deep = deep.filter(col("n").ne(k)).head(1000);
    }
    let e = encode(relation(&deep), None, LIMIT, 1, &mut Scratch::below(None)).unwrap_err();
    assert!(e.to_string().contains("inside each other"), "{e}");
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// Bytes with a checksum that matches whatever they are.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[8..]).to_le_bytes();
    bytes[4..8].copy_from_slice(&crc);
    bytes
}

#[test]
fn other_versions_and_damage_are_refused() {
    let bytes = encode(relation(&frames()[0]), None, LIMIT, 1, &mut Scratch::below(None)).unwrap();
    for n in 0..bytes.len() {
        assert!(decode(&bytes[..n]).is_err());
        let mut spoilt = bytes.clone();
        spoilt[n] ^= 1;
        assert!(decode(&spoilt).is_err(), "byte {n}");
    }
    let mut other = bytes;
    other[9] = b'9';
    assert!(decode(&sealed(other)).unwrap_err().to_string().contains("version"));
}

#[test]
fn no_bytes_make_it_panic() {
    let header = MAGIC.len() + 4 + 1 + version().len();
    let mut numbers = Numbers(31);
    let (mut refused, mut taken) = (0, 0);
    for df in frames() {
        let good = encode(relation(&df), None, LIMIT, 3, &mut Scratch::below(None)).unwrap();
        for _ in 0..1500 {
            let mut bytes = good.clone();
            for _ in 0..1 + numbers.below(4) {
                let at = header + numbers.below(bytes.len() - header);
                match numbers.below(4) {
                    0 => bytes[at] ^= 1 << numbers.below(8),
                    1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
                    2 => bytes.truncate(at.max(header + 1)),
                    _ => bytes.insert(at, numbers.below(256) as u8),
                }
            }
            match decode(&sealed(bytes)) {
                Ok(job) => {
                    taken += 1;
                    // what is taken is a sound relation: it can be planned, or is refused
                    let _ = rows::spread(&job.relation, None, LIMIT);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1000 && taken > 100, "{refused} refused, {taken} taken");
}

#[test]
fn a_form_of_nothing_is_refused() {
    let bytes = encode(relation(&table()), None, LIMIT, 1, &mut Scratch::below(None)).unwrap();
    let mut form: FrameForm = open(MAGIC, &bytes).unwrap();
    form.relations.clear();
    assert!(decode(&seal(MAGIC, &form).unwrap()).unwrap_err().to_string().contains("nothing"));
}
