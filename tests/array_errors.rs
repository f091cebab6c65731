//! Every mistake is a typed error that carries the line of this file where it was made.

mod common;

use blockwise::block::{BlockSink, BlockSource};
use blockwise::meta::Meta;
use blockwise::shape::{Grid, Region};
use blockwise::{ix, prelude::*};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The error that an array carries; it must name a line of this file.
#[track_caller]
fn error(x: &Array) -> Error {
    let e = match x.compute() {
        Err(e) => e,
        Ok(block) => panic!("computed {block:?}"),
    };
    let at = e.location().unwrap_or_else(|| panic!("no location: {e}"));
    assert!(at.file().ends_with("tests/array_errors.rs"), "{e}");
    // what follows a mistake carries the first one
    let later = (x + 1).sum(..).reshape(&[1, 1]).cumsum(0).expr().map(|_| ()).expect_err("carried");
    assert_eq!(later.to_string(), e.to_string());
    e
}

macro_rules! fails {
    ($($x:expr => $kind:pat $(if $cond:expr)?, $($word:expr),+;)*) => {$(
        let e = error(&$x);
        assert!(matches!(e.kind(), $kind $(if $cond)?), "{}: {e:?}", stringify!($x));
        $(assert!(e.to_string().contains(&$word.to_string()), "{}: no {:?} in {e}", stringify!($x), $word);)+
        let line = e.location().map_or(0, |l| l.line());
        assert!((line!().saturating_sub(100)..=line!() + 100).contains(&line), "{e}");
    )*};
}

#[test]
fn every_mistake_has_its_kind() {
    use ErrorKind::*;
    let x = Array::zeros(&[3, 4], F32);
    let i = Array::zeros(&[3, 4], U8);
    let none = Array::zeros(&[0, 4], F32);
    fails! {
        &x + Array::zeros(&[3], F32) => ShapeMismatch { .. }, "[3, 4]", "[3]";
        where_(x.lt(1), Array::zeros(&[5], F32), &x) => ShapeMismatch { .. }, "where";
        concatenate(&[x.clone(), Array::zeros(&[3, 5], F32)], 0) => ShapeMismatch { .. }, "concatenate";
        concatenate(&[x.clone(), Array::zeros(&[3], F32)], 0) => ShapeMismatch { .. }, "concatenate";
        concatenate(&[], 0) => InvalidArgument { .. }, "at least one";
        stack(&[], 0) => InvalidArgument { .. }, "at least one";
        stack(&[x.clone(), none.clone()], 0) => ShapeMismatch { .. }, "stack";
        stack(std::slice::from_ref(&x), 4) => Axis { .. }, "4";
        x.broadcast_to(&[4, 4]) => ShapeMismatch { .. }, "broadcast_to";
        x.broadcast_to(&[4]) => ShapeMismatch { .. }, "broadcast_to";
        x.select(&Array::zeros(&[3], Bool)) => ShapeMismatch { .. }, "mask";
        x.compress(&Array::zeros(&[3], Bool), 1) => ShapeMismatch { .. }, "mask";
        x.sum(2) => Axis { axis: 2, ndim: 2, .. }, "axis 2";
        x.sum(-3) => Axis { axis: -3, .. }, "axis -3";
        x.cumsum(5) => Axis { .. }, "cumsum";
        x.flip(Some(2)) => Axis { .. }, "flip";
        x.roll(1, 7) => Axis { .. }, "roll";
        x.take(&[0], 3) => Axis { .. }, "take";
        x.swapaxes(0, 2) => Axis { .. }, "swapaxes";
        x.moveaxis(-5, 0) => Axis { .. }, "moveaxis";
        x.expand_dims(4) => Axis { .. }, "expand_dims";
        x.repeat(2, 2) => Axis { .. }, "repeat";
        Array::zeros(&[3], F32).diagonal(0) => Axis { .. }, "diagonal";
        Array::indices(&[2, 2], 2) => Axis { .. }, "indices";
        x.mean([0, 0]) => InvalidArgument { .. }, "twice";
        x.mean([1, -1]) => InvalidArgument { .. }, "twice";
        x.transpose(Some(&[0, 0])) => InvalidArgument { .. }, "permutation";
        x.transpose(Some(&[0])) => InvalidArgument { .. }, "permutation";
        x.squeeze(Some(0)) => InvalidArgument { .. }, "squeeze";
        x.index(ix![3]) => Index { index: 3, axis: 0, len: 3, .. }, "out of bounds";
        x.index(ix![.., -5]) => Index { index: -5, axis: 1, len: 4, .. }, "out of bounds";
        x.index(ix![0, 0, 0]) => InvalidArgument { .. }, "3 indices";
        x.index(ix![Ix::Slice(None, None, 0)]) => InvalidArgument { .. }, "step 0";
        x.index(ix![Ix::Ellipsis, Ix::Ellipsis]) => InvalidArgument { .. }, "ellipsis";
        x.slice(s![..5, ..]) => Index { .. }, "out of bounds";
        x.slice(s![4, ..]) => Index { .. }, "out of bounds";
        x.slice(s![.., .., ..]) => InvalidArgument { .. }, "more entries";
        x.take(&[0, 4], 1) => Index { index: 4, axis: 1, len: 4, .. }, "take";
        x.reshape(&[5, -1]) => InvalidArgument { .. }, "12 elements";
        x.reshape(&[-1, -1]) => InvalidArgument { .. }, "12 elements";
        none.reshape(&[0, -1]) => InvalidArgument { .. }, "0 elements";
        &x & &x => DType { .. }, "f32";
        &x << 1 => DType { .. }, "shl";
        -Array::zeros(&[2], Bool) => DType { .. }, "bool";
        x.select(&i) => DType { .. }, "mask";
        x.compress(&Array::zeros(&[4], F32), 1) => DType { .. }, "bool";
        &i + 256 => InvalidArgument { .. }, "256", "u8";
        &i * -1 => InvalidArgument { .. }, "-1";
        x.clip(0, 1).minimum(Array::zeros(&[9], F32)) => ShapeMismatch { .. }, "[9]";
        none.min(..) => InvalidArgument { .. }, "empty";
        none.max(0) => InvalidArgument { .. }, "empty";
        none.argmax(0) => InvalidArgument { .. }, "empty";
        x.rechunk([3, 0]) => InvalidArgument { .. }, "0";
        x.rechunk([3, -2]) => InvalidArgument { .. }, "-2";
        x.rechunk([3]) => InvalidArgument { .. }, "1 axes";
        x.rechunk(0usize) => InvalidArgument { .. }, "length 0";
        x.rechunk("seven") => InvalidArgument { .. }, "seven";
        x.rechunk([(2, 5)]) => Axis { .. }, "2";
        x.rechunk(vec![ChunkSpec::Lengths(vec![1, 1]), ChunkSpec::Keep]) => InvalidArgument { .. }, "add up to 2";
        x.pad(&[(1, 1), (1, 1), (1, 1)], PadMode::Edge) => InvalidArgument { .. }, "3 pairs";
        x.pad(&[], PadMode::Edge) => InvalidArgument { .. }, "0 pairs";
        none.pad(&[(1, 1)], PadMode::Reflect) => InvalidArgument { .. }, "empty";
        x.with_dims(&["a"]) => InvalidArgument { .. }, "1 names";
        Array::arange(0, 5, 0) => InvalidArgument { .. }, "step is 0";
        Array::arange_f64(0.0, f64::INFINITY, 1.0) => InvalidArgument { .. }, "inf";
        Array::zeros(&[usize::MAX, 2], F64) => InvalidArgument { .. }, "more elements";
        Array::zeros(&[1; 33], F64) => InvalidArgument { .. }, "33 axes";
    }
}

/// A source of zeros that counts its reads and fails at one.
#[derive(Debug)]
struct Fails {
    grid: Grid,
    at: usize,
    reads: AtomicUsize,
}

impl Fails {
    fn new(shape: &[usize], chunk: &[usize], at: usize) -> Arc<Fails> {
        Arc::new(Fails { grid: Grid::regular(shape, chunk), at, reads: AtomicUsize::new(0) })
    }
}

impl BlockSource for Fails {
    fn dtype(&self) -> DType {
        F64
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "flaky disk".into()
    }

    fn read(&self, region: &Region) -> blockwise::Result<Block> {
        if self.reads.fetch_add(1, Relaxed) == self.at {
            let path = std::path::PathBuf::from("flaky.bin");
            return Err(
                ErrorKind::CorruptChunk { path, chunk: vec![self.at], message: "checksum".into() }.into()
            );
        }
        Ok(Block::full(&region.shape, 0.0f64.into()))
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        extent.iter().product::<usize>() * 8
    }
}

#[test]
fn an_error_of_a_source_comes_through() {
    let source = Fails::new(&[64, 64], &[8, 8], 0);
    let x = Array::from_source(source.clone(), Meta::default());
    for y in [x.sum(..), x.cumsum(0), x.t() + 1, x.rechunk(5).reshape(&[-1])] {
        source.reads.store(0, Relaxed);
        let e = y.compute().expect_err("a read fails");
        assert!(matches!(e.kind(), ErrorKind::CorruptChunk { chunk, .. } if chunk == &[0]), "{e}");
    }
    // and the session is fine afterwards
    assert_eq!(Array::ones(&[4], F64).sum(..).compute().and_then(|b| b.to_scalar::<f64>()).ok(), Some(4.0));
}

#[test]
fn a_limit_too_small_is_refused_before_any_read() {
    let session = Session::builder().memory_limit(100_000).threads(2).build().expect("a session");
    let source = Fails::new(&[1000, 1000], &[1000, 100], usize::MAX);
    let x = Array::from_source(source.clone(), Meta::default());
    // one block is 800 000 bytes
    let e = session.compute(&x.sum(..)).expect_err("too small");
    let ErrorKind::MemoryLimit { op, needed, limit: 100_000, .. } = e.kind() else { panic!("{e:?}") };
    assert!(op.contains("flaky disk"), "{e}");
    assert!(*needed >= 800_000, "{e}");
    assert!(e.to_string().contains(&needed.to_string()) && e.to_string().contains("100000"), "{e}");
    // the result alone is too large
    let e = session.compute(&x.slice(s![.., ..50])).expect_err("too small");
    assert!(matches!(e.kind(), ErrorKind::MemoryLimit { needed, .. } if *needed >= 400_000), "{e}");
    assert_eq!(source.reads.load(Relaxed), 0);
    // chunks that fit do
    let small = Fails::new(&[1000, 1000], &[10, 100], usize::MAX);
    let y = Array::from_source(small.clone(), Meta::default());
    assert_eq!(session.compute(&y.sum(..)).and_then(|b| b.to_scalar::<f64>()).ok(), Some(0.0));
    assert_eq!(small.reads.load(Relaxed), 1000);
}

/// A sink that refuses its `at`th write and records whether it was published.
#[derive(Debug)]
struct Refuses {
    grid: Grid,
    at: usize,
    writes: AtomicUsize,
    finished: AtomicUsize,
    elements: AtomicUsize,
}

impl BlockSink for Refuses {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "full disk".into()
    }

    fn write(&self, region: &Region, block: &Block) -> blockwise::Result<()> {
        assert_eq!(block.shape(), region.shape.as_slice());
        // whole chunks, whatever the tasks' own
        let (axes, whole) = (self.grid.axes(), |k: usize, at: usize| {
            self.grid.axes()[k].bounds(self.grid.axes()[k].chunk_at(at))
        });
        for k in 0..axes.len() {
            assert_eq!(whole(k, region.start[k]).0, region.start[k]);
            let (start, len) = whole(k, region.end(k) - 1);
            assert_eq!(start + len, region.end(k));
        }
        self.elements.fetch_add(region.len(), Relaxed);
        if self.writes.fetch_add(1, Relaxed) == self.at {
            return Err(Error::io(
                "writing",
                "full.bin",
                std::io::Error::from(std::io::ErrorKind::StorageFull),
            ));
        }
        Ok(())
    }

    fn write_bytes(&self, _extent: &[usize]) -> usize {
        0
    }

    fn finish(&self) -> blockwise::Result<()> {
        self.finished.fetch_add(1, Relaxed);
        Ok(())
    }
}

#[test]
fn a_refused_write_publishes_nothing() {
    let sink = |at| {
        let grid = Grid::regular(&[40, 40], &[7, 9]);
        Arc::new(Refuses {
            grid,
            at,
            writes: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            elements: AtomicUsize::new(0),
        })
    };
    let x = Array::ones(&[40, 40], F32).rechunk(6);
    let (bad, good) = (sink(0), sink(usize::MAX));
    let e = x.store(bad.clone()).expect_err("the disk is full");
    assert!(matches!(e.kind(), ErrorKind::Io { action: "writing", .. }), "{e}");
    assert_eq!(bad.finished.load(Relaxed), 0);
    // two targets: the one that could be written whole is not published either
    let bad = sink(0);
    let session = Session::global().expect("a session");
    let e = session.store(&[(&x, good.clone()), (&x, bad.clone())]).expect_err("the disk is full");
    assert!(e.to_string().contains("full.bin"), "{e}");
    assert_eq!((good.finished.load(Relaxed), bad.finished.load(Relaxed)), (0, 0));
    // a source that fails leaves nothing either
    let good = sink(usize::MAX);
    let source = Array::from_source(Fails::new(&[40, 40], &[10, 10], 0), Meta::default());
    assert!(source.store(good.clone()).is_err());
    assert_eq!(good.finished.load(Relaxed), 0);
    // every chunk written once, and published once
    let good = sink(usize::MAX);
    x.store(good.clone()).expect("writes");
    assert_eq!((good.elements.load(Relaxed), good.finished.load(Relaxed)), (40 * 40, 1));
    let e = x.sum(0).store(good).expect_err("another shape");
    assert!(matches!(e.kind(), ErrorKind::ShapeMismatch { .. }), "{e}");
}

#[test]
fn targets_in_memory_must_fit_the_array() {
    let x = Array::ones(&[2, 3], F32);
    let e = x.compute_into(ndarray::Array2::<f64>::zeros((2, 3)).view_mut()).expect_err("another dtype");
    assert!(matches!(e.kind(), ErrorKind::DType { .. }), "{e}");
    let e = x.compute_into(ndarray::Array2::<f32>::zeros((3, 2)).view_mut()).expect_err("another shape");
    assert!(matches!(e.kind(), ErrorKind::ShapeMismatch { .. }), "{e}");
    let block = x.compute().expect("computes");
    assert!(block.clone().into_array::<f64>().is_err());
    assert!(block.get(&[2, 0]).is_err());
    assert!(block.to_scalar::<f32>().is_err());
    assert!(Session::builder().threads(0).build().is_err());
    assert!(Session::builder().memory_limit("many").build().is_err());
}
