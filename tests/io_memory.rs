//! What a source or sink says it needs is what it needs at most: measured by a counting allocator.
#![cfg(all(feature = "geotiff", feature = "zarr"))]

mod io_common;

use blockwise::block::{Block, BlockSink, BlockSource, pool};
use blockwise::dtype::DType;
use blockwise::io::{geotiff::*, npy::*, zarr};
use blockwise::meta::Meta;
use blockwise::shape::{Grid, Region};
use io_common::noise;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn grow(bytes: usize) {
    PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged; only counters are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's own contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // old and new may both be there for a moment
        grow(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's own contract.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated above what was there, at most, while `work` ran.
fn peak<R>(work: impl FnOnce() -> R) -> (usize, R) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (PEAK.load(Relaxed) - before, result)
}

/// Small things that are not worth counting: paths, indices, errors.
const SLACK: usize = 16 << 10;

fn check_source(source: &dyn BlockSource) {
    let shape = source.grid().shape();
    let mut regions = vec![Region::whole(&shape), source.grid().block(source.grid().len() - 1)];
    regions.push(Region::new(
        shape.iter().map(|n| n / 3).collect::<Vec<_>>().as_slice(),
        vec![1; shape.len()].as_slice(),
    ));
    for region in regions {
        let (used, block) = peak(|| source.read(&region).unwrap());
        let said = source.read_bytes(&region.shape);
        assert!(used <= said + SLACK, "{source:?} {region}: used {used}, said {said}");
        // and not absurdly more
        assert!(said <= 16 * used + (10 << 20), "{source:?} {region}: used {used}, said {said}");
        drop(block);
    }
}

fn check_sink(sink: &dyn BlockSink, block: &Block) {
    for i in 0..sink.grid().len() {
        let region = sink.grid().block(i);
        let part = block.slice(&region);
        let (used, ()) = peak(|| sink.write(&region, &part).unwrap());
        let said = sink.write_bytes(&region.shape);
        assert!(used <= said + SLACK, "{sink:?} {region}: used {used}, said {said}");
    }
    sink.finish().unwrap();
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_is_what_was_said() {
    pool().set_keep(0);
    let dir = tempfile::tempdir().unwrap();
    let shape = [3, 700, 500];
    // smooth, so that compressed data is much smaller than decoded
    let smooth = ndarray::Array3::from_shape_fn(shape, |(b, r, c)| (b * 1000 + r * c / 64) as f32);
    for block in [Block::from_array(smooth), noise(DType::F32, &shape, 0)] {
        let path = dir.path().join("a.npy");
        check_sink(
            &NpySink::create(&path, DType::F32, Grid::regular(&shape, &[3, 100, 500])).unwrap(),
            &block,
        );
        check_source(&NpySource::open(&path, 1 << 20).unwrap());

        let path = dir.path().join("a.tif");
        for compression in [Compression::None, Compression::Lzw, Compression::Deflate(6), Compression::Zstd] {
            for interleave in [Interleave::Band, Interleave::Pixel] {
                let options = WriteOptions { compression, interleave, ..WriteOptions::default() };
                check_sink(
                    &GeoTiffSink::create(&path, shape, DType::F32, &Meta::default(), options).unwrap(),
                    &block,
                );
                for cache_bytes in [0, 2 << 20] {
                    let options = ReadOptions { cache_bytes, ..ReadOptions::default() };
                    check_source(&GeoTiffSource::open(&path, options).unwrap());
                }
            }
        }

        let path = dir.path().join("a.zarr");
        for compressor in [zarr::Compressor::None, zarr::Compressor::Zstd(3), zarr::Compressor::Gzip(5)] {
            for shards in [None, Some(vec![3, 512, 512])] {
                let options =
                    zarr::WriteOptions { compressor, shards, overwrite: true, ..Default::default() };
                let sink = zarr::ZarrSink::create(
                    &path,
                    &shape,
                    DType::F32,
                    &[1, 256, 256],
                    &Meta::default(),
                    options,
                );
                check_sink(&sink.unwrap(), &block);
                check_source(&zarr::ZarrSource::open(&path).unwrap());
            }
        }
    }
    for overview in 0..3 {
        let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/L7_ETMs.tif");
        check_source(&GeoTiffSource::open(scene, ReadOptions { overview, ..Default::default() }).unwrap());
    }
}
