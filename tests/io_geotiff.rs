//! GeoTIFF: a real scene, files of other writers, our own read back bit by bit, and what goes wrong.
#![cfg(feature = "geotiff")]

mod io_common;
#[path = "common/property.rs"]
mod property;

use blockwise::block::{Block, BlockSink, BlockSource};
use blockwise::dtype::DType;
use blockwise::error::ErrorKind;
use blockwise::io::{self, geotiff::*};
use blockwise::meta::{Crs, GeoRef, Meta};
use blockwise::shape::Region;
use io_common::*;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn scene() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/L7_ETMs.tif")
}

fn open(path: impl AsRef<Path>) -> GeoTiffSource {
    GeoTiffSource::open(path, ReadOptions::default()).unwrap()
}

fn whole(source: &GeoTiffSource) -> Block {
    source.read(&Region::whole(&source.grid().shape())).unwrap()
}

fn write(path: &Path, block: &Block, meta: &Meta, options: &WriteOptions) {
    let shape = block.shape().try_into().unwrap();
    let sink = GeoTiffSink::create(path, shape, block.dtype(), meta, options.clone()).unwrap();
    write_all(&sink, block).unwrap();
}

#[test]
fn the_scene_is_what_tifffile_says() {
    let source = open(scene());
    assert_eq!(source.dtype(), DType::U8);
    assert_eq!(source.label(), "L7_ETMs.tif");
    assert_eq!(source.grid().shape().as_slice(), [6, 352, 349]);
    assert_eq!(source.overview_count(), 4);
    assert!(source.is_interleaved());
    let meta = source.meta();
    assert_eq!(meta.name.as_deref(), Some("L7_ETMs"));
    assert_eq!(meta.dims.iter().map(|d| &**d).collect::<Vec<_>>(), ["band", "y", "x"]);
    assert_eq!(meta.nodata, None);
    let georef = meta.georef.as_ref().unwrap();
    assert_eq!(georef.crs, Crs::Epsg(31985));
    assert_eq!(
        georef.transform,
        [288776.25000080315, 28.49999999927454, 0.0, 9120760.750028737, 0.0, -28.49999999927454]
    );
    // sums and pixels by tifffile
    let block = whole(&source);
    let view = block.view::<u8>().unwrap();
    let sums: Vec<u64> = view.outer_iter().map(|band| band.iter().map(|&v| u64::from(v)).sum()).collect();
    assert_eq!(sums, [9723139, 8301410, 7906357, 7276952, 10218824, 7367834]);
    let pixel = |r, c| (0..6).map(|b| view[[b, r, c]]).collect::<Vec<_>>();
    assert_eq!(pixel(0, 0), [69, 56, 46, 79, 86, 46]);
    assert_eq!(pixel(100, 200), [94, 87, 103, 66, 152, 133]);
    assert_eq!(pixel(351, 348), [100, 91, 64, 13, 14, 12]);
    for (chunk_bytes, cache_bytes) in [(1, 0), (20_000, 0), (20_000, 1 << 16), (1 << 20, 1 << 20)] {
        let options = ReadOptions { chunk_bytes, cache_bytes, ..ReadOptions::default() };
        check_reads(&GeoTiffSource::open(scene(), options).unwrap(), &block);
    }
}

#[test]
fn overviews_lie_on_the_same_ground() {
    let full = open(scene());
    let full = full.meta().georef.as_ref().unwrap();
    let (x1, y1) = full.coordinates(349.0, 352.0);
    for (level, rows, cols) in [(1, 176, 175), (2, 88, 88), (3, 44, 44), (4, 22, 22)] {
        let source =
            GeoTiffSource::open(scene(), ReadOptions { overview: level, ..Default::default() }).unwrap();
        assert_eq!(source.grid().shape().as_slice(), [6, rows, cols]);
        let georef = source.meta().georef.clone().unwrap();
        let (x, y) = georef.coordinates(cols as f64, rows as f64);
        assert!((x - x1).abs() < 1e-3 && (y - y1).abs() < 1e-3);
        assert!(whole(&source).view::<u8>().unwrap().iter().any(|&v| v > 0));
    }
    for options in
        [ReadOptions { overview: 5, ..Default::default() }, ReadOptions { page: 1, ..Default::default() }]
    {
        expect_kind(GeoTiffSource::open(scene(), options), "no such level", |k| {
            matches!(k, ErrorKind::InvalidArgument { .. })
        });
    }
}

#[test]
fn files_of_tifffile_are_read() {
    // the oracle counts in the order of tifffile's arrays: (rows, columns, bands) for the interleaved file
    let rgb = oracle(DType::U8, &[20, 17, 3]);
    let rgb = rgb.view::<u8>().unwrap().permuted_axes(ndarray::IxDyn(&[2, 0, 1])).to_owned();
    for (name, expected) in [
        ("be_planar_strips.tif", oracle(DType::U16, &[3, 20, 17])),
        ("one_strip_rgb.tif", Block::from_array(rgb)),
        ("big_tiled_deflate.tif", oracle(DType::F32, &[1, 40, 50])),
        ("tiled.tif", oracle(DType::F64, &[1, 20, 17])),
        ("half.tif", oracle(DType::F16, &[1, 2, 3])),
        ("half_be_big.tif", oracle(DType::F16, &[5, 20, 17])),
        ("be_strips_i4.tif", oracle(DType::I32, &[1, 33, 9])),
    ] {
        for chunk_bytes in [1, 400, 1 << 20] {
            let options = ReadOptions { chunk_bytes, ..ReadOptions::default() };
            let source = GeoTiffSource::open(data(name), options).unwrap();
            assert_eq!(source.meta().georef, None);
            check_reads(&source, &expected);
        }
    }
    // a giant uncompressed strip is not read whole
    let options = ReadOptions { chunk_bytes: 4 * 17 * 3 * 2, ..ReadOptions::default() };
    let source = GeoTiffSource::open(data("one_strip_rgb.tif"), options).unwrap();
    assert_eq!(source.grid().max_block().as_slice(), [3, 8, 17]);
    assert!(source.read_bytes(&[1, 1, 1]) < 20 * 17 * 3);
}

#[test]
fn what_is_written_comes_back_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let methods = [Compression::None, Compression::Lzw, Compression::Deflate(6), Compression::Zstd];
    for dtype in DType::ALL {
        for (i, shape) in [[1, 1, 1], [1, 40, 50], [3, 35, 16], [2, 16, 70]].into_iter().enumerate() {
            let block = noise(dtype, &shape, i as u64);
            for (j, &compression) in methods.iter().enumerate() {
                let options = WriteOptions {
                    tile: if i % 2 == 0 { 16 } else { 32 },
                    compression,
                    predictor: (i + j) % 2 == 0,
                    interleave: if (i + j / 2) % 2 == 0 { Interleave::Pixel } else { Interleave::Band },
                    bigtiff: j == 3,
                    ..WriteOptions::default()
                };
                write(&path, &block, &Meta::default(), &options);
                let expected = if dtype == DType::Bool { block.cast(DType::U8) } else { block.clone() };
                check_reads(&open(&path), &expected);
            }
        }
    }
    assert_eq!(listing(dir.path()), ["a.tif"]);
}

#[test]
fn smooth_data_gets_smaller_with_a_predictor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let ramp = ndarray::Array3::from_shape_fn((1, 256, 256), |(_, r, c)| (r * c) as f32 / 7.0);
    for block in [Block::from_array(ramp.clone()), Block::from_array(ramp.mapv(|v| v as i32))] {
        let size = |predictor| {
            write(&path, &block, &Meta::default(), &WriteOptions { predictor, ..WriteOptions::default() });
            std::fs::metadata(&path).unwrap().len()
        };
        assert!(size(true) * 10 < size(false) * 9);
    }
}

#[test]
fn metadata_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("named.tif");
    let block = noise(DType::F32, &[2, 8, 8], 0);
    let wkt = r#"PROJCS["local",GEOGCS["WGS 84",DATUM["WGS_1984"]],PROJECTION["Transverse_Mercator"]]"#;
    let straight = [500000.0, 28.5, 0.0, 9000000.0, 0.0, -28.5];
    let turned = [500000.0, 20.0, 5.0, 9000000.0, 4.0, -20.0];
    let upward = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    for (crs, transform) in [
        (Crs::Epsg(32721), straight),
        (Crs::Epsg(4326), [-180.0, 0.25, 0.0, 90.0, 0.0, -0.25]),
        (Crs::Epsg(4978), straight),
        (Crs::Epsg(7844), turned),
        (Crs::Wkt(wkt.into()), turned),
        (Crs::Wkt("GEOGCS[\"odd\"]".into()), upward),
        (Crs::Unknown, straight),
    ] {
        for (nodata, bands) in
            [(Some(-9999.0), vec!["red & <near>".into(), "née \"x\"".into()]), (None, vec![])]
        {
            let meta = Meta {
                name: Some("named".into()),
                dims: ["band", "y", "x"].map(Into::into).to_vec(),
                bands,
                nodata,
                georef: Some(GeoRef { crs: crs.clone(), transform }),
            };
            for cog in [false, true] {
                write(&path, &block, &meta, &WriteOptions { tile: 16, cog, ..WriteOptions::default() });
                assert_eq!(*open(&path).meta(), meta);
                assert_eq!(io::open(&path).unwrap().meta, meta);
            }
        }
    }
    let meta = Meta { nodata: Some(f64::NAN), ..Meta::default() };
    write(&path, &block, &meta, &WriteOptions::default());
    assert!(open(&path).meta().nodata.unwrap().is_nan());
    let far =
        Meta { georef: Some(GeoRef { crs: Crs::Epsg(102100), transform: straight }), ..Meta::default() };
    expect_kind(
        GeoTiffSink::create(&path, [1, 1, 1], DType::U8, &far, WriteOptions::default()),
        "a code of 17 bits",
        |k| matches!(k, ErrorKind::Unsupported { .. }),
    );
}

/// Where the directories of a TIFF of ours are, and where its first tile is.
fn directories(path: &Path) -> (Vec<u64>, u64) {
    let bytes = std::fs::read(path).unwrap();
    let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(u16_at(2), 42, "a classic TIFF");
    let (mut starts, mut first, mut at) = (vec![], u64::MAX, u32_at(4) as usize);
    while at != 0 {
        starts.push(at as u64);
        let n = u16_at(at) as usize;
        for e in (0..n).map(|i| at + 2 + 12 * i) {
            if u16_at(e) == 324 {
                let (count, value) = (u32_at(e + 4) as usize, u32_at(e + 8));
                let offsets = if count == 1 {
                    vec![value]
                } else {
                    (0..count).map(|i| u32_at(value as usize + 4 * i)).collect()
                };
                first = first.min(u64::from(*offsets.iter().min().unwrap()));
            }
        }
        at = u32_at(at + 2 + 12 * n) as usize;
    }
    (starts, first)
}

#[test]
fn a_cog_has_overviews_and_its_directories_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cog.tif");
    let source = open(scene());
    let (block, meta) = (whole(&source), source.meta().clone());
    for interleave in [Interleave::Band, Interleave::Pixel] {
        for resampling in [Resampling::Nearest, Resampling::Average] {
            let options =
                WriteOptions { tile: 64, cog: true, interleave, resampling, ..WriteOptions::default() };
            write(&path, &block, &meta, &options);
            let cog = open(&path);
            check_reads(&cog, &block);
            // 352, 176, 88, 44
            assert_eq!(cog.overview_count(), 3);
            let (starts, first) = directories(&path);
            assert_eq!(starts.len(), 4);
            assert!(starts.is_sorted() && *starts.last().unwrap() < first);
            let start = std::fs::read(&path).unwrap();
            assert!(start[8..].starts_with(b"GDAL_STRUCTURAL_METADATA_SIZE="));
            let level =
                GeoTiffSource::open(&path, ReadOptions { overview: 1, ..Default::default() }).unwrap();
            let small = whole(&level);
            let (small, full) = (small.view::<u8>().unwrap(), block.view::<u8>().unwrap());
            assert_eq!(small.shape(), [6, 176, 175]);
            for b in 0..6 {
                for (r, c) in [(0, 0), (5, 9), (175, 173)] {
                    let at = |i, j| f64::from(full[[b, 2 * r + i, 2 * c + j]]);
                    let mean = ((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0).round();
                    let expected = if resampling == Resampling::Nearest { at(0, 0) } else { mean };
                    assert_eq!(f64::from(small[[b, r, c]]), expected);
                }
                // 349 columns: the last one stands alone
                let last = (f64::from(full[[b, 0, 348]]) + f64::from(full[[b, 1, 348]])) / 2.0;
                if resampling == Resampling::Average {
                    assert_eq!(f64::from(small[[b, 0, 174]]), last.round());
                }
            }
        }
    }
    assert_eq!(listing(dir.path()), ["cog.tif"]);
}

#[test]
fn overviews_leave_missing_pixels_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cog.tif");
    let mut values = ndarray::Array3::from_elem((1, 4, 20), 8.0f32);
    values[[0, 0, 0]] = -1.0;
    values[[0, 0, 1]] = f32::NAN;
    values[[0, 1, 1]] = 4.0;
    values.slice_mut(ndarray::s![0, 2.., ..2]).fill(-1.0);
    let options = WriteOptions { tile: 16, cog: true, ..WriteOptions::default() };
    let meta = Meta { nodata: Some(-1.0), ..Meta::default() };
    write(&path, &Block::from_array(values), &meta, &options);
    let level = GeoTiffSource::open(&path, ReadOptions { overview: 1, ..Default::default() }).unwrap();
    let small = whole(&level);
    let small = small.view::<f32>().unwrap();
    assert_eq!((small[[0, 0, 0]], small[[0, 1, 0]], small[[0, 0, 1]]), (6.0, -1.0, 8.0));
}

#[test]
fn a_file_cut_short_is_an_error_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.tif");
    let mut names = vec![data("be_strips_i4.tif"), data("tiled.tif"), data("be_planar_strips.tif")];
    let ours = dir.path().join("ours.tif");
    write(
        &ours,
        &noise(DType::U16, &[2, 40, 40], 0),
        &Meta::default(),
        &WriteOptions { tile: 16, ..Default::default() },
    );
    names.push(ours);
    for name in names {
        let bytes = std::fs::read(&name).unwrap();
        let expected = bits(&whole(&open(&name)));
        for n in (0..bytes.len()).step_by(7) {
            rewrite(&path, &bytes[..n]);
            let result = GeoTiffSource::open(&path, ReadOptions::default())
                .and_then(|s| s.read(&Region::whole(&s.grid().shape())));
            match result {
                Err(error) => {
                    let known = matches!(
                        error.kind(),
                        ErrorKind::Format { .. }
                            | ErrorKind::CorruptChunk { .. }
                            | ErrorKind::Unsupported { .. }
                    );
                    assert!(known && error.to_string().contains("cut.tif"), "{n}: {error:?}");
                }
                // bytes that nobody needs may go
                Ok(block) => assert_eq!(bits(&block), expected, "{} cut at {n}", name.display()),
            }
        }
    }
    // the directory is at the front here, so it is a strip that is missing: the third of band 2
    let bytes = std::fs::read(data("be_planar_strips.tif")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 2 * 6 * 17]).unwrap();
    let source = open(&path);
    let error = source.read(&Region::whole(&[3, 20, 17])).unwrap_err();
    let ErrorKind::CorruptChunk { chunk, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(chunk[0], 2);
    source.read(&Region::whole(&[2, 20, 17])).unwrap();
}

#[test]
fn spoilt_files_are_errors_or_other_pixels_but_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spoilt.tif");
    for name in ["be_strips_i4.tif", "tiled.tif", "big_tiled_deflate.tif"] {
        let good = std::fs::read(data(name)).unwrap();
        for (i, with) in (0..good.len().min(900)).flat_map(|i| [(i, 0xa5), (i, 0xff), (i, 0x80)]) {
            let mut bytes = good.clone();
            bytes[i] ^= with;
            rewrite(&path, &bytes);
            if let Ok(source) = GeoTiffSource::open(&path, ReadOptions::default()) {
                let shape = source.grid().shape();
                assert!(source.read_bytes(&[1, 1, 1]) > 0);
                // do not ask for what a spoilt length promises
                if shape.iter().product::<usize>() < 1 << 20 {
                    let _ = source.read(&Region::whole(&shape));
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lzma.tif");
    let mut bytes = std::fs::read(data("tiled.tif")).unwrap();
    // the entry of tag 259, one 16-bit number
    let entry = [3, 1, 3, 0, 1, 0, 0, 0];
    let at = bytes.windows(8).position(|w| w == entry).unwrap() + 8;
    bytes[at..at + 2].copy_from_slice(&34925u16.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = expect_kind(GeoTiffSource::open(&path, ReadOptions::default()), "LZMA", |k| {
        matches!(k, ErrorKind::Unsupported { .. })
    });
    assert!(error.to_string().contains("34925"), "{error}");
    std::fs::write(&path, b"II*\0 nothing else").unwrap();
    expect_kind(io::open(&path), "a magic and no more", |k| matches!(k, ErrorKind::Format { .. }));
    expect_kind(io::open(dir.path()), "a directory of no format", |k| {
        matches!(k, ErrorKind::Unsupported { .. })
    });
    expect_kind(GeoTiffSource::open(dir.path().join("no"), ReadOptions::default()), "nothing", |k| {
        matches!(k, ErrorKind::Io { .. })
    });
}

#[test]
fn what_cannot_be_written_says_why_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let create = |shape, options| GeoTiffSink::create(&path, shape, DType::U8, &Meta::default(), options);
    for (shape, tile) in [([1, 0, 5], 256), ([1, 5, 5], 100), ([70_000, 1, 1], 256)] {
        expect_kind(create(shape, WriteOptions { tile, ..Default::default() }), "shape or tile", |k| {
            matches!(k, ErrorKind::InvalidArgument { .. })
        });
    }
    for cog in [false, true] {
        let sink = create([1, 64, 64], WriteOptions { tile: 32, cog, ..Default::default() }).unwrap();
        let tile = Region::new([0, 32, 32].as_slice(), [1, 32, 32].as_slice());
        expect_kind(sink.write(&tile, &noise(DType::I8, &[1, 32, 32], 0)), "another dtype", |k| {
            matches!(k, ErrorKind::DType { .. })
        });
        let part = Region::new([0, 32, 32].as_slice(), [1, 32, 30].as_slice());
        expect_kind(sink.write(&part, &noise(DType::U8, &[1, 32, 30], 0)), "part of a tile", |k| {
            matches!(k, ErrorKind::Internal(_))
        });
        sink.write(&tile, &noise(DType::U8, &[1, 32, 32], 0)).unwrap();
        expect_kind(sink.finish(), "a tile of four", |k| matches!(k, ErrorKind::Internal(_)));
        drop(sink);
        assert!(listing(dir.path()).is_empty(), "{:?}", listing(dir.path()));
    }
    std::fs::write(&path, b"x").unwrap();
    let below = path.join("b.tif");
    let options = WriteOptions::default();
    let error = expect_kind(
        GeoTiffSink::create(&below, [1, 1, 1], DType::U8, &Meta::default(), options),
        "below a file",
        |k| matches!(k, ErrorKind::Io { .. }),
    );
    assert!(error.to_string().contains("b.tif"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    with_file_limit("a_full_disk_is_an_error_and_leaves_nothing", 20_000, || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.tif");
        let options = WriteOptions { tile: 64, ..WriteOptions::default() };
        let block = noise(DType::F64, &[1, 256, 256], 0);
        let sink = GeoTiffSink::create(&path, [1, 256, 256], DType::F64, &Meta::default(), options).unwrap();
        let error = expect_kind(write_all(&sink, &block), "half a megabyte where 20 kB go", |k| {
            matches!(k, ErrorKind::Io { .. })
        });
        assert!(error.to_string().contains("big.tif"), "{error}");
        assert!(sink.finish().is_err());
        drop(sink);
        assert!(listing(dir.path()).is_empty());
    });
}

#[cfg(unix)]
#[test]
fn a_disk_too_full_for_the_cog_is_an_error_and_leaves_nothing() {
    // the image goes, but not with its overviews
    with_file_limit("a_disk_too_full_for_the_cog_is_an_error_and_leaves_nothing", 530_000, || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.tif");
        let options =
            WriteOptions { tile: 64, compression: Compression::None, cog: true, ..WriteOptions::default() };
        let block = noise(DType::F64, &[1, 256, 256], 0);
        let sink = GeoTiffSink::create(&path, [1, 256, 256], DType::F64, &Meta::default(), options).unwrap();
        for i in 0..sink.grid().len() {
            let region = sink.grid().block(i);
            sink.write(&region, &block.slice(&region)).unwrap();
        }
        let error = expect_kind(sink.finish(), "700 kB where 530 go", |k| matches!(k, ErrorKind::Io { .. }));
        assert!(error.to_string().contains("big.tif"), "{error}");
        assert!(listing(dir.path()).is_empty(), "{:?}", listing(dir.path()));
    });
}

#[test]
fn threads_share_a_source() {
    let block = whole(&open(scene()));
    for cache_bytes in [0, 100_000] {
        let options = ReadOptions { chunk_bytes: 50_000, cache_bytes, ..ReadOptions::default() };
        let source = GeoTiffSource::open(scene(), options).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| check_reads(&source, &block));
            }
        });
    }
}

proptest! {
    #![proptest_config(property::cases(48))]

    #[test]
    fn any_region_of_any_shape(
        shape in [1usize..4, 1usize..70, 1usize..70],
        at in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 3),
        dtype in 1..DType::ALL.len(),
        pixel in any::<bool>(),
        cog in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.tif");
        let block = noise(DType::ALL[dtype], &shape, seed);
        let interleave = if pixel { Interleave::Pixel } else { Interleave::Band };
        let options = WriteOptions { tile: 16, interleave, cog, ..WriteOptions::default() };
        write(&path, &block, &Meta::default(), &options);
        let source = GeoTiffSource::open(&path, ReadOptions { chunk_bytes: 3000, ..Default::default() }).unwrap();
        let region = region(&shape, &at);
        prop_assert_eq!(bits(&source.read(&region).unwrap()), cut(&bits(&block), &region));
    }
}
