//! Zarr: files of zarr-python, our own in both versions, missing and corrupt chunks, and what goes wrong.
#![cfg(feature = "zarr")]

mod io_common;
#[path = "common/property.rs"]
mod property;

use blockwise::block::{Block, BlockSink, BlockSource};
use blockwise::dtype::{DType, Scalar};
use blockwise::error::ErrorKind;
use blockwise::io::{self, zarr::*};
use blockwise::meta::{Crs, GeoRef, Meta};
use blockwise::shape::Region;
use io_common::*;
use proptest::prelude::*;
use std::path::Path;

fn open(path: impl AsRef<Path>) -> ZarrSource {
    ZarrSource::open(path).unwrap()
}

fn write(path: &Path, block: &Block, chunks: &[usize], meta: &Meta, options: &WriteOptions) {
    let options = WriteOptions { overwrite: true, ..options.clone() };
    let sink = ZarrSink::create(path, block.shape(), block.dtype(), chunks, meta, options).unwrap();
    write_all(&sink, block).unwrap();
}

fn options(version: Version, compressor: Compressor) -> WriteOptions {
    WriteOptions { version, compressor, ..WriteOptions::default() }
}

#[test]
fn all_dtypes_and_shapes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zarr");
    for dtype in DType::ALL {
        for (i, (shape, chunks)) in [
            (&[][..], &[][..]),
            (&[5], &[2]),
            (&[0], &[1]),
            (&[3, 4], &[2, 3]),
            (&[4, 0, 2], &[1, 1, 1]),
            (&[5, 6, 7], &[2, 6, 3]),
            (&[2, 2], &[5, 5]),
        ]
        .into_iter()
        .enumerate()
        {
            let block = noise(dtype, shape, i as u64);
            for version in [Version::V2, Version::V3] {
                let compressor = [Compressor::None, Compressor::Zstd(1), Compressor::Gzip(1)][i % 3];
                write(&path, &block, chunks, &Meta::default(), &options(version, compressor));
                check_reads(&open(&path), &block);
            }
        }
    }
    assert_eq!(listing(dir.path()), ["a.zarr"]);
}

#[test]
fn shards_are_read_by_inner_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.zarr");
    for compressor in [Compressor::None, Compressor::Zstd(1)] {
        let block = noise(DType::U16, &[21, 17], 4);
        let options = WriteOptions { shards: Some(vec![8, 12]), ..options(Version::V3, compressor) };
        let sink = ZarrSink::create(
            &path,
            &[21, 17],
            DType::U16,
            &[4, 3],
            &Meta::default(),
            WriteOptions { overwrite: true, ..options },
        )
        .unwrap();
        assert_eq!(sink.grid().max_block().as_slice(), [8, 12]);
        write_all(&sink, &block).unwrap();
        let source = open(&path);
        assert_eq!(source.grid().max_block().as_slice(), [4, 3]);
        check_reads(&source, &block);
    }
    // many readers share the shards' indices
    let (source, block) = (open(&path), noise(DType::U16, &[21, 17], 4));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| check_reads(&source, &block));
        }
    });
}

#[test]
fn files_of_zarr_python_are_read() {
    for (name, dtype, shape, chunk) in [
        ("v2_f_order_be.zarr", DType::F64, &[4, 6][..], &[4, 4][..]),
        ("v3_sharded.zarr", DType::U16, &[10, 9], &[2, 3]),
        ("v3_half.zarr", DType::F16, &[5], &[3]),
        ("v3_bool.zarr", DType::Bool, &[5, 2], &[5, 1]),
        ("v3_scalar.zarr", DType::F32, &[], &[]),
    ] {
        let source = open(data(name));
        assert_eq!(source.grid().max_block().as_slice(), chunk, "{name}");
        check_reads(&source, &oracle(dtype, shape));
        assert_eq!(io::open(data(name)).unwrap().source.label(), name);
    }
    let names = |m: &Meta| m.dims.iter().map(|d| d.to_string()).collect::<Vec<_>>();
    assert_eq!(names(open(data("v3_sharded.zarr")).meta()), ["lat", "lon"]);
}

#[test]
fn missing_chunks_are_full_of_the_fill_value() {
    let source = open(data("v2_gzip.zarr"));
    let mut expected = oracle(DType::I16, &[7, 5]).into_array::<i16>().unwrap();
    expected.slice_mut(ndarray::s![3..6, 2..4]).fill(9);
    check_reads(&source, &Block::from_array(expected));
    assert_eq!(source.meta().nodata, Some(-1.0));
    assert_eq!(&*source.meta().dims[0], "y");
    assert_eq!(source.attributes()["units"], "m");
    // and are not stored
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.zarr");
    let options =
        WriteOptions { fill_value: Some(Scalar::from(f32::NAN)), ..options(Version::V3, Compressor::None) };
    let mut values = ndarray::Array2::from_elem((4, 4), f32::NAN);
    values[[3, 3]] = 1.0;
    let block = Block::from_array(values);
    write(&path, &block, &[2, 2], &Meta::default(), &options);
    check_reads(&open(&path), &block);
    assert_eq!(listing(&path.join("c")), ["1"]);
    assert_eq!(listing(&path.join("c/1")), ["1"]);
}

#[test]
fn metadata_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.zarr");
    let block = noise(DType::I16, &[2, 4, 4], 0);
    let transform = [500000.0, 30.0, 0.5, 9000000.0, 0.25, -30.0];
    for crs in [Crs::Epsg(32621), Crs::Wkt("PROJCS[\"x|y\"]".into()), Crs::Unknown] {
        for nodata in [None, Some(-9999.5), Some(f64::INFINITY)] {
            let meta = Meta {
                name: Some("scene".into()),
                dims: ["band", "y", "x"].map(Into::into).to_vec(),
                bands: vec!["red".into(), "nir".into()],
                nodata,
                georef: Some(GeoRef { crs: crs.clone(), transform }),
            };
            for version in [Version::V2, Version::V3] {
                let mut options = options(version, Compressor::None);
                options.attributes.insert("units".into(), "m".into());
                write(&path, &block, &[2, 4, 4], &meta, &options);
                let source = open(&path);
                assert_eq!(*source.meta(), meta);
                assert_eq!(source.attributes()["units"], "m");
                assert!(!source.attributes().contains_key("_zarrs"));
            }
        }
    }
    let meta = Meta { nodata: Some(f64::NAN), ..Meta::default() };
    write(&path, &block, &[2, 4, 4], &meta, &WriteOptions::default());
    assert!(open(&path).meta().nodata.unwrap().is_nan());
}

/// Flips a byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_corrupt_chunk_is_named_and_the_others_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.zarr");
    let block = noise(DType::F32, &[8, 8], 0);
    for (options, file, chunk, other) in [
        (options(Version::V3, Compressor::Zstd(3)), "c/1/0", [1, 0], [0, 0]),
        (options(Version::V2, Compressor::Gzip(5)), "1.0", [1, 0], [0, 4]),
    ] {
        write(&path, &block, &[4, 4], &Meta::default(), &options);
        for spoil in [flip as fn(&Path), |p: &Path| std::fs::write(p, b"").unwrap()] {
            spoil(&path.join(file));
            let source = open(&path);
            let error = source.read(&Region::whole(&[8, 8])).unwrap_err();
            let ErrorKind::CorruptChunk { path: at, chunk: index, .. } = error.kind() else {
                panic!("{error:?}")
            };
            assert_eq!((at, index.as_slice()), (&path, chunk.as_slice()));
            source.read(&Region::new(other.as_slice(), [4, 4].as_slice())).unwrap();
        }
    }
    // inner chunks of a shard: one byte of one of them, then its index
    let options = WriteOptions { shards: Some(vec![8, 8]), ..options(Version::V3, Compressor::Zstd(3)) };
    write(&path, &block, &[4, 4], &Meta::default(), &options);
    let shard = path.join("c/0/0");
    let good = std::fs::read(&shard).unwrap();
    let mut bytes = good.clone();
    bytes[20] ^= 0xff;
    std::fs::write(&shard, bytes).unwrap();
    let corrupt = (0..4)
        .filter(|i| {
            let at = [i / 2 * 4, i % 2 * 4];
            match open(&path).read(&Region::new(at.as_slice(), [4, 4].as_slice())) {
                Ok(_) => false,
                Err(e) => {
                    let ErrorKind::CorruptChunk { chunk, .. } = e.kind() else { panic!("{e:?}") };
                    assert_eq!(chunk.as_slice(), [i / 2, i % 2]);
                    true
                }
            }
        })
        .count();
    assert_eq!(corrupt, 1);
    let mut bytes = good.clone();
    let n = bytes.len();
    bytes[n - 10] ^= 0xff;
    std::fs::write(&shard, bytes).unwrap();
    expect_kind(open(&path).read(&Region::whole(&[8, 8])), "the crc32c of an index", |k| {
        matches!(k, ErrorKind::CorruptChunk { .. })
    });
    std::fs::write(&shard, &good[..30]).unwrap();
    expect_kind(open(&path).read(&Region::whole(&[8, 8])), "a shard cut short", |k| {
        matches!(k, ErrorKind::CorruptChunk { .. })
    });
}

#[test]
fn a_bool_that_is_neither_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.zarr");
    let block = oracle(DType::Bool, &[4]);
    write(&path, &block, &[4], &Meta::default(), &options(Version::V3, Compressor::None));
    std::fs::write(path.join("c/0"), [0, 1, 7, 1]).unwrap();
    expect_kind(open(&path).read(&Region::whole(&[4])), "a 7", |k| {
        matches!(k, ErrorKind::CorruptChunk { .. })
    });
    std::fs::write(path.join("c/0"), [0, 1, 1]).unwrap();
    expect_kind(open(&path).read(&Region::whole(&[4])), "three", |k| {
        matches!(k, ErrorKind::CorruptChunk { .. })
    });
}

#[test]
fn wrong_metadata_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.zarr");
    std::fs::create_dir(&path).unwrap();
    expect_kind(ZarrSource::open(&path), "an empty directory", |k| matches!(k, ErrorKind::Format { .. }));
    expect_kind(ZarrSource::open(dir.path().join("no")), "nothing", |k| matches!(k, ErrorKind::Io { .. }));
    std::fs::write(path.join("zarr.json"), "{\"zarr_format\": 3, \"node_type\": \"array\"").unwrap();
    expect_kind(ZarrSource::open(&path), "half a document", |k| matches!(k, ErrorKind::Format { .. }));
    let good = std::fs::read_to_string(data("v3_half.zarr/zarr.json")).unwrap();
    for (from, to, unsupported) in [
        ("\"float16\"", "\"bfloat16\"", true),
        ("\"gzip\"", "\"blosc\"", true),
        ("\"gzip\"", "\"nothing_known\"", true),
        ("\"fill_value\": \"NaN\"", "\"fill_value\": \"what\"", false),
        ("\"shape\"", "\"form\"", false),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        std::fs::write(path.join("zarr.json"), bad).unwrap();
        let error = ZarrSource::open(&path).expect_err(to);
        let found = matches!(error.kind(), ErrorKind::Unsupported { .. });
        assert!(found == unsupported, "{to}: {error:?}");
        assert!(found || matches!(error.kind(), ErrorKind::Format { .. }), "{to}: {error:?}");
        assert!(error.to_string().contains("m.zarr"), "{error}");
    }
}

#[test]
fn what_cannot_be_written_says_why_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zarr");
    let create = |chunks: &[usize], options| {
        ZarrSink::create(&path, &[8, 8], DType::F32, chunks, &Meta::default(), options)
    };
    let shards = |s: &[usize], version| WriteOptions {
        shards: Some(s.to_vec()),
        ..options(version, Compressor::None)
    };
    for (chunks, bad) in [
        (&[4][..], WriteOptions::default()),
        (&[4, 0], WriteOptions::default()),
        (&[4, 4], shards(&[6, 8], Version::V3)),
        (&[4, 4], options(Version::V3, Compressor::Gzip(12))),
    ] {
        expect_kind(create(chunks, bad), "chunks", |k| matches!(k, ErrorKind::InvalidArgument { .. }));
    }
    expect_kind(create(&[4, 4], shards(&[8, 8], Version::V2)), "shards in version 2", |k| {
        matches!(k, ErrorKind::Unsupported { .. })
    });
    let sink = create(&[4, 4], WriteOptions::default()).unwrap();
    let first = Region::new([0, 0].as_slice(), [4, 4].as_slice());
    expect_kind(sink.write(&first, &noise(DType::F64, &[4, 4], 0)), "another dtype", |k| {
        matches!(k, ErrorKind::DType { .. })
    });
    let part = Region::new([0, 0].as_slice(), [4, 2].as_slice());
    expect_kind(sink.write(&part, &noise(DType::F32, &[4, 2], 0)), "half a chunk", |k| {
        matches!(k, ErrorKind::Internal(_))
    });
    sink.write(&first, &noise(DType::F32, &[4, 4], 0)).unwrap();
    expect_kind(sink.finish(), "a quarter", |k| matches!(k, ErrorKind::Internal(_)));
    drop(sink);
    assert!(listing(dir.path()).is_empty(), "{:?}", listing(dir.path()));
    // what is there stays, unless it is an array and may be replaced
    let block = noise(DType::F32, &[8, 8], 1);
    write(&path, &block, &[4, 4], &Meta::default(), &WriteOptions::default());
    expect_kind(create(&[4, 4], WriteOptions::default()), "it is there", |k| {
        matches!(k, ErrorKind::Io { .. })
    });
    check_reads(&open(&path), &block);
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    for target in [file.clone(), file.join("below")] {
        let replace = WriteOptions { overwrite: true, ..WriteOptions::default() };
        let error = expect_kind(
            ZarrSink::create(&target, &[1], DType::U8, &[1], &Meta::default(), replace),
            "a file",
            |k| matches!(k, ErrorKind::Io { .. }),
        );
        assert!(error.to_string().contains("file"), "{error}");
    }
    assert_eq!(listing(dir.path()), ["a.zarr", "file"]);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    with_file_limit("a_full_disk_is_an_error_and_leaves_nothing", 10_000, || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.zarr");
        let block = noise(DType::F64, &[128, 128], 0);
        let sink =
            ZarrSink::create(&path, &[128, 128], DType::F64, &[64, 64], &Meta::default(), Default::default())
                .unwrap();
        let error = expect_kind(write_all(&sink, &block), "chunks of 32 kB where 10 go", |k| {
            matches!(k, ErrorKind::Io { .. })
        });
        assert!(error.to_string().contains("big.zarr"), "{error}");
        drop(sink);
        assert!(listing(dir.path()).is_empty());
    });
}

proptest! {
    #![proptest_config(property::cases(48))]

    #[test]
    fn any_region_of_any_shape(
        shape in prop::collection::vec(0usize..9, 0..4),
        chunk in prop::collection::vec(1usize..5, 4),
        factor in prop::collection::vec(1usize..4, 4),
        at in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 4),
        dtype in 0..DType::ALL.len(),
        kind in 0..3,
        seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.zarr");
        let block = noise(DType::ALL[dtype], &shape, seed);
        let chunk = &chunk[..shape.len()];
        let mut options = WriteOptions::default();
        match kind {
            0 => options.version = Version::V2,
            1 => options.shards = Some(chunk.iter().zip(&factor).map(|(c, f)| c * f).collect()),
            _ => {}
        }
        write(&path, &block, chunk, &Meta::default(), &options);
        let region = region(&shape, &at);
        prop_assert_eq!(bits(&open(&path).read(&region).unwrap()), cut(&bits(&block), &region));
    }
}
