//! `.npy`: what NumPy wrote, what we write, and what goes wrong.

mod io_common;
#[path = "common/property.rs"]
mod property;

use blockwise::block::{BlockSink, BlockSource};
use blockwise::dtype::DType;
use blockwise::error::ErrorKind;
use blockwise::io::{self, npy::*};
use blockwise::shape::{Grid, Region};
use io_common::*;
use proptest::prelude::*;

#[test]
fn all_dtypes_and_shapes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    for dtype in DType::ALL {
        for (shape, chunk) in [
            (&[][..], &[][..]),
            (&[5], &[2]),
            (&[0], &[1]),
            (&[3, 4], &[2, 3]),
            (&[4, 0, 2], &[1, 1, 1]),
            (&[5, 6, 7], &[2, 6, 3]),
            (&[5, 6, 7], &[2, 6, 7]),
        ] {
            let block = noise(dtype, shape, 1);
            write_all(&NpySink::create(&path, dtype, grid(shape, chunk)).unwrap(), &block).unwrap();
            for target in [1, 50, 1 << 20] {
                check_reads(&NpySource::open(&path, target).unwrap(), &block);
            }
        }
    }
    assert_eq!(listing(dir.path()), ["a.npy"]);
}

#[test]
fn blocks_in_any_memory_order_are_written_in_c_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.npy");
    let array = ndarray::Array2::from_shape_fn((4, 6), |(r, c)| (10 * r + c) as i16);
    let turned = blockwise::block::Block::from_array(array.clone().reversed_axes());
    let sink = NpySink::create(&path, DType::I16, Grid::single(&[6, 4])).unwrap();
    sink.write(&Region::whole(&[6, 4]), &turned).unwrap();
    sink.finish().unwrap();
    let back = NpySource::open(&path, 1 << 20).unwrap().read(&Region::whole(&[6, 4])).unwrap();
    assert_eq!(back.view::<i16>().unwrap(), array.t().into_dyn());
}

#[test]
fn numpys_own_files_are_read() {
    for (name, dtype, shape) in [
        ("fortran_be.npy", DType::F32, &[3, 4, 5][..]),
        ("half.npy", DType::F16, &[2, 6]),
        ("big_i8.npy", DType::I64, &[5]),
        ("scalar.npy", DType::F64, &[]),
        ("bools.npy", DType::Bool, &[3, 3]),
        ("version2.npy", DType::U16, &[4, 3]),
    ] {
        let source = NpySource::open(data(name), 32).unwrap();
        check_reads(&source, &oracle(dtype, shape));
        assert_eq!(io::open(data(name)).unwrap().source.label(), name);
    }
    assert!(NpySource::open(data("version2.npy"), 1).unwrap().in_memory());
    assert!(!NpySource::open(data("big_i8.npy"), 1).unwrap().in_memory());
}

#[test]
fn reading_gives_views_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let block = noise(DType::F64, &[64, 64], 3);
    write_all(&NpySink::create(&path, DType::F64, grid(&[64, 64], &[16, 64])).unwrap(), &block).unwrap();
    let source = NpySource::open(&path, 1 << 12).unwrap();
    assert_eq!(source.grid().max_block().as_slice(), [8, 64]);
    let (a, b) = (Region::whole(&[64, 64]), Region::new([1, 0].as_slice(), [1, 64].as_slice()));
    let (a, b) = (source.read(&a).unwrap(), source.read(&b).unwrap());
    assert_eq!(b.as_ptr() as usize - a.as_ptr() as usize, 64 * 8);
    assert_eq!(source.read_bytes(&[64, 64]), 0);
    // a file replaced under a block leaves the block as it was
    write_all(&NpySink::create(&path, DType::U8, grid(&[1], &[1])).unwrap(), &noise(DType::U8, &[1], 1))
        .unwrap();
    assert_eq!(bits(&a), bits(&block));
}

#[test]
fn bools_other_than_one_are_true() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.npy");
    let mut bytes = std::fs::read(data("bools.npy")).unwrap();
    let n = bytes.len();
    bytes[n - 9..].copy_from_slice(&[0, 1, 2, 255, 0, 128, 1, 0, 7]);
    std::fs::write(&path, bytes).unwrap();
    let block = NpySource::open(&path, 64).unwrap().read(&Region::whole(&[3, 3])).unwrap();
    assert_eq!(block.as_slice::<bool>().unwrap(), [false, true, true, true, false, true, true, false, true]);
}

#[test]
fn files_cut_short_are_errors_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.npy");
    for name in ["fortran_be.npy", "version2.npy"] {
        let bytes = std::fs::read(data(name)).unwrap();
        for n in 0..bytes.len() {
            rewrite(&path, &bytes[..n]);
            let error = NpySource::open(&path, 64).expect_err("a cut file");
            // an empty file cannot be mapped
            assert!(matches!(error.kind(), ErrorKind::Format { .. } | ErrorKind::Io { .. }), "{n}: {error}");
            assert!(error.to_string().contains("cut.npy"));
        }
    }
}

#[test]
fn odd_headers_are_errors_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.npy");
    let good = std::fs::read(data("fortran_be.npy")).unwrap();
    // every byte of the header, spoilt
    for i in 0..128 {
        for with in [0u8, b'9', b'\'', 0xff] {
            let mut bytes = good.clone();
            bytes[i] = with;
            rewrite(&path, &bytes);
            if let Ok(source) = NpySource::open(&path, 64) {
                let shape = source.grid().shape();
                source.read(&Region::whole(&shape)).unwrap();
            }
        }
    }
    for name in ["complex.npy", "record.npy"] {
        let error = expect_kind(NpySource::open(data(name), 64), name, |k| {
            matches!(k, ErrorKind::Unsupported { .. })
        });
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn what_cannot_be_written_says_why_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let sink = NpySink::create(&path, DType::F32, grid(&[4, 4], &[2, 4])).unwrap();
    let half = Region::new([0, 0].as_slice(), [2, 4].as_slice());
    expect_kind(sink.write(&half, &noise(DType::F64, &[2, 4], 0)), "another dtype", |k| {
        matches!(k, ErrorKind::DType { .. })
    });
    expect_kind(sink.write(&half, &noise(DType::F32, &[4, 2], 0)), "another shape", |k| {
        matches!(k, ErrorKind::ShapeMismatch { .. })
    });
    sink.write(&half, &noise(DType::F32, &[2, 4], 0)).unwrap();
    expect_kind(sink.finish(), "half of it", |k| matches!(k, ErrorKind::Internal(_)));
    drop(sink);
    assert!(listing(dir.path()).is_empty(), "{:?}", listing(dir.path()));
    // a file where a directory should be
    std::fs::write(&path, b"x").unwrap();
    let below = path.join("b.npy");
    let error = expect_kind(NpySink::create(&below, DType::U8, grid(&[1], &[1])), "below a file", |k| {
        matches!(k, ErrorKind::Io { .. })
    });
    assert!(error.to_string().contains("b.npy"), "{error}");
    expect_kind(NpySource::open(dir.path(), 1), "a directory", |k| matches!(k, ErrorKind::Io { .. }));
    expect_kind(NpySource::open(dir.path().join("no"), 1), "nothing", |k| matches!(k, ErrorKind::Io { .. }));
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_at_creation() {
    with_file_limit("a_full_disk_is_an_error_at_creation", 4096, || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.npy");
        let error = expect_kind(
            NpySink::create(&path, DType::F64, grid(&[1000], &[1000])),
            "8000 bytes where 4096 go",
            |k| matches!(k, ErrorKind::Io { .. }),
        );
        assert!(error.to_string().contains("big.npy"), "{error}");
        assert!(listing(dir.path()).is_empty());
    });
}

proptest! {
    #![proptest_config(property::cases(64))]

    #[test]
    fn any_region_of_any_shape(
        shape in prop::collection::vec(0usize..9, 0..4),
        chunk in prop::collection::vec(1usize..5, 4),
        at in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 4),
        dtype in 0..DType::ALL.len(),
        seed in any::<u64>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.npy");
        let dtype = DType::ALL[dtype];
        let block = noise(dtype, &shape, seed);
        write_all(&NpySink::create(&path, dtype, grid(&shape, &chunk)).unwrap(), &block).unwrap();
        let source = NpySource::open(&path, 64).unwrap();
        let region = region(&shape, &at);
        prop_assert_eq!(bits(&source.read(&region).unwrap()), cut(&bits(&block), &region));
    }
}
