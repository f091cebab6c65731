//! Files larger than the memory limit: exchanges, passes, and what they hold.

mod io_common;

use blockwise::block::{Block, BlockSource};
use blockwise::dtype::DType;
use blockwise::error::Result;
use blockwise::prelude::*;
use blockwise::shape::{Grid, Region};
use ndarray::Array2;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

/// A file that counts what is read of it: element (r, c) is r * cols + c.
#[derive(Debug)]
struct Counting {
    grid: Grid,
    reads: AtomicUsize,
    elements: AtomicUsize,
}

impl Counting {
    fn array(shape: &[usize], chunk: &[usize]) -> (Arc<Counting>, Array) {
        let grid = Grid::regular(shape, chunk);
        let source = Arc::new(Counting { grid, reads: AtomicUsize::new(0), elements: AtomicUsize::new(0) });
        (source.clone(), Array::from_source(source, Default::default()))
    }
}

impl BlockSource for Counting {
    fn dtype(&self) -> DType {
        F32
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "counting".into()
    }

    fn read(&self, region: &Region) -> Result<Block> {
        self.reads.fetch_add(1, Relaxed);
        self.elements.fetch_add(region.len(), Relaxed);
        let cols = self.grid.shape()[1];
        Ok(Block::from_array(Array2::from_shape_fn((region.shape[0], region.shape[1]), |(r, c)| {
            ((region.start[0] + r) * cols + region.start[1] + c) as f32
        })))
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        2 * 4 * extent.iter().product::<usize>()
    }
}

/// The peak of memory is the process': one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn session(limit: &str, threads: usize) -> Session {
    Session::builder().memory_limit(limit).threads(threads).build().unwrap()
}

#[test]
fn rows_become_columns_through_a_store_read_once() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let n = 1024;
    let (source, x) = Counting::array(&[n, n], &[16, n]);
    let y = x.rechunk([-1, 16]);
    let path = dir.path().join("columns.npy");
    let sink = y.npy_sink(&path).unwrap();
    let session = session("2MiB", 2);
    session.store(&[(&y, sink)]).unwrap();
    assert_eq!(source.elements.load(Relaxed), n * n, "every element is read once");
    let summary = session.last_summary().unwrap();
    assert_eq!(summary.bytes_spilled, 4 * (n * n) as u64);
    assert!(!summary.finishing.is_zero() && summary.finishing < summary.elapsed);
    assert!(summary.peak_memory <= 2 << 20, "{}", summary.peak_memory);
    let got: Array2<f32> = open(path).unwrap().compute().unwrap().try_into().unwrap();
    assert_eq!(got, Array2::from_shape_fn((n, n), |(r, c)| (r * n + c) as f32));
}

#[test]
fn a_file_plus_its_transpose() {
    let _alone = alone();
    let n = 1500;
    let (source, x) = Counting::array(&[n, n], &[10, n]);
    let sum = (&x + x.t()).mean(..);
    let session = session("8MiB", 2);
    let mean = session.compute(&sum).unwrap().to_scalar::<f32>().unwrap();
    assert!((mean - (n * n - 1) as f32).abs() < 1.0);
    assert_eq!(source.elements.load(Relaxed), n * n);
}

#[test]
fn two_passes_keep_what_fits_and_read_again_what_does_not() {
    let _alone = alone();
    let n = 512;
    let z = |x: &Array| (x - x.mean(0)).sum(1);
    let (source, x) = Counting::array(&[n, n], &[32, n]);
    let small = session("64MiB", 2).compute(&z(&x)).unwrap();
    assert_eq!(source.elements.load(Relaxed), n * n, "kept");
    let (source, x) = Counting::array(&[n, n], &[32, n]);
    let streamed = session("1MiB", 1).compute(&z(&x)).unwrap();
    assert_eq!(source.elements.load(Relaxed), 2 * n * n, "read again");
    assert_eq!(small.as_slice::<f32>().unwrap(), streamed.as_slice::<f32>().unwrap());
}

#[test]
fn a_window_reads_its_chunks_only() {
    let _alone = alone();
    let (source, x) = Counting::array(&[4000, 4000], &[20, 20]);
    let halo = x.slice(s![..-2, ..]) + x.slice(s![1..3999, ..]) * 2 + x.slice(s![2.., ..]);
    let window = halo.slice(s![100..110, 200..210]).compute().unwrap();
    assert_eq!(window.shape(), [10, 10]);
    assert_eq!((source.reads.load(Relaxed), source.elements.load(Relaxed)), (1, 12 * 10));
}

#[test]
fn too_small_a_limit_fails_before_reading() {
    let _alone = alone();
    let (source, x) = Counting::array(&[1000, 1000], &[1000, 1000]);
    let e = session("1MiB", 1).compute(&x.sum(..)).unwrap_err();
    let ErrorKind::MemoryLimit { op, needed, limit, .. } = e.kind() else { panic!("{e}") };
    assert_eq!((op.as_str(), *limit), ("reading counting", 1 << 20));
    assert!(*needed >= 8_000_000);
    assert_eq!(source.reads.load(Relaxed), 0);
}

#[test]
#[cfg(unix)]
fn a_disk_too_full_to_spill_is_an_error() {
    io_common::with_file_limit("a_disk_too_full_to_spill_is_an_error", 1 << 20, || {
        let n = 1024;
        let (_, x) = Counting::array(&[n, n], &[16, n]);
        let e = session("8MiB", 2).compute(&x.rechunk([-1, 16])).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Io { action: "writing a spill file in", .. }), "{e}");
    });
}

/// The median over time of a stack of images that is larger than the limit and stored image by image.
#[test]
fn a_median_over_time_streams() {
    let _alone = alone();
    let (times, n) = (24, 300);
    let images: Vec<Array> = (0..times)
        .map(|t| (Array::indices(&[n, n], 1) * 7 + (t * 5 % times) as i64).cast(F32).rechunk([100, -1]))
        .collect();
    let session = Session::builder().threads(2).memory_limit("6MiB").build().unwrap();
    let middle = session.compute(&stack(&images, 0).median(0)).unwrap();
    assert_eq!(middle.shape(), [n, n]);
    assert_eq!(middle.get(&[250, 3]).unwrap(), Scalar::from(32.5f32));
    assert!(session.last_summary().unwrap().peak_memory <= 6 << 20);
}
