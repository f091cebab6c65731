//! The registry: formats are told by content, users' formats come first.

mod io_common;

use blockwise::block::{Block, BlockSource, MemorySource};
use blockwise::dtype::DType;
use blockwise::error::ErrorKind;
use blockwise::io::{self, Format, Opened};
use blockwise::meta::Meta;
use blockwise::shape::Grid;
use io_common::*;
use std::sync::Arc;

#[test]
fn formats_are_told_by_content_not_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format, dtype) in [
        ("big_i8.npy", "npy", DType::I64),
        ("big_tiled_deflate.tif", "geotiff", DType::F32),
        ("be_strips_i4.tif", "geotiff", DType::I32),
    ] {
        if !io::formats().contains(&format) {
            continue;
        }
        let disguised = dir.path().join(format!("{name}.dat"));
        std::fs::copy(data(name), &disguised).unwrap();
        assert_eq!(io::open(&disguised).unwrap().source.dtype(), dtype);
        assert_eq!(io::open_as(format, &disguised).unwrap().source.dtype(), dtype);
    }
    if io::formats().contains(&"zarr") {
        assert_eq!(io::open(data("v2_gzip.zarr")).unwrap().meta.nodata, Some(-1.0));
    }
}

#[test]
fn what_no_format_claims_is_refused_with_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "nothing to see").unwrap();
    let error =
        expect_kind(io::open(&path), "a text", |k| matches!(k, ErrorKind::Unsupported { .. })).to_string();
    assert!(error.contains("notes.txt") && error.contains("npy"), "{error}");
    expect_kind(io::open_as("gif", &path), "gif", |k| matches!(k, ErrorKind::Unsupported { .. }));
    expect_kind(io::open_as("npy", &path), "not npy", |k| matches!(k, ErrorKind::Format { .. }));
    expect_kind(io::open(dir.path().join("no")), "nothing", |k| matches!(k, ErrorKind::Io { .. }));
}

#[test]
fn urls_want_a_feature() {
    if cfg!(feature = "object-store") {
        return;
    }
    let error = expect_kind(io::open("s3://bucket/a.zarr"), "a URL", |k| matches!(k, ErrorKind::Io { .. }));
    assert!(error.to_string().contains("object-store"), "{error}");
}

#[test]
fn a_users_format_comes_before_ours_and_is_replaced_by_its_next_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seven.npy.counted");
    std::fs::copy(data("half.npy"), &path).unwrap();
    let claims = |p: &std::path::Path, start: &[u8]| {
        p.extension().is_some_and(|e| e == "counted") && start.starts_with(b"\x93NUMPY")
    };
    let versions: [fn(&std::path::Path) -> blockwise::error::Result<Opened>; 2] =
        [|_| counted(6), |_| counted(7)];
    for (open, expected) in versions.into_iter().zip([6, 7]) {
        io::register(Format { name: "counted", claims, open });
        let source = io::open(&path).unwrap().source;
        let block = source.read(&source.grid().block(0)).unwrap();
        assert_eq!(block.to_scalar::<u8>().unwrap(), expected);
    }
    assert_eq!(io::formats().iter().filter(|f| **f == "counted").count(), 1);
}

fn counted(value: u8) -> blockwise::error::Result<Opened> {
    let block = Block::from_vec(vec![value]);
    let source: Arc<dyn BlockSource> = Arc::new(MemorySource::new(block, Grid::single(&[1])));
    Ok(Opened { source, meta: Meta::default() })
}
