//! What a run uses of memory is what its plan projected: measured by the block pool and by the allocator.

use blockwise::block::{BlockSource, pool};
use blockwise::meta::Meta;
use blockwise::plan::{Destination, Target};
use blockwise::prelude::*;
use blockwise::shape::{Grid, Region};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator; the counters only watch.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Numbers from nowhere: every read allocates its block.
#[derive(Debug)]
struct Made(Grid);

impl BlockSource for Made {
    fn dtype(&self) -> DType {
        F32
    }

    fn grid(&self) -> &Grid {
        &self.0
    }

    fn label(&self) -> String {
        "made".into()
    }

    fn read(&self, region: &Region) -> blockwise::Result<Block> {
        let first = region.start.iter().sum::<usize>();
        Ok(Block::full(&region.shape, (first as f32).into()))
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        extent.iter().product::<usize>() * 4
    }
}

/// The same, but its first rows come late: spans that come after them must wait for their turn to be merged.
#[derive(Debug)]
struct SlowStart(Made);

impl BlockSource for SlowStart {
    fn dtype(&self) -> DType {
        F32
    }

    fn grid(&self) -> &Grid {
        self.0.grid()
    }

    fn label(&self) -> String {
        "slow".into()
    }

    fn read(&self, region: &Region) -> blockwise::Result<Block> {
        if region.start[0] == 0 {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        self.0.read(region)
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        self.0.read_bytes(extent)
    }
}

fn made(shape: &[usize], chunk: &[usize]) -> Array {
    Array::from_source(Arc::new(Made(Grid::regular(shape, chunk))), Meta::default())
}

/// Bytes of blocks of a few elements that a plan need not count.
const SMALL: usize = 1 << 10;

/// Bytes of plans, threads, indices: what is no block.
const OTHER: usize = 1 << 20;

#[test]
fn runs_stay_inside_their_projection() {
    let x = made(&[2048, 1024], &[256, 256]);
    let y = made(&[2048, 1024], &[128, 1024]);
    let square = made(&[1024, 1024], &[128, 1024]);
    let places: Vec<isize> = (0..500).map(|i| (i * 37) % 2048).collect();
    let cases = [
        ("sum of sqrt", (&x * &x + 1.0).sqrt().sum(..)),
        ("elementwise in memory", &x * 2.0 + 1.0),
        ("other chunks", (&x + &y).mean(0)),
        ("transpose", (&square + square.t()).max(1)),
        ("standardize", ((&x - x.mean(over(0).keepdims())) / x.std(over(0).keepdims())).sum(1)),
        ("scan", x.cumsum(0)),
        ("scan and fold", x.cumsum(1).max(0)),
        ("reshape", x.reshape(&[-1, 4096]).sum(0)),
        ("take", x.take(&places, 0).sum(1)),
        ("pad", x.pad(&[(3, 5)], PadMode::Reflect).sum(..)),
        ("concatenate", concatenate(&[x.clone(), y.flip(None)], 0).var(1)),
        ("roll", x.roll(700, 0).roll(-3, 1).min(0)),
        ("slice", x.slice(s![..;3, ..;-2]).exp().sum(0)),
        ("repeat", x.slice(s![..256, ..]).repeat(4, 1).sum(1)),
        ("map_overlap", x.map_overlap(&[2, 2], PadMode::Edge, F32, |b| Ok(b.clone())).sum(..)),
        ("product", x.t().matmul(&y).sum(0)),
        ("product in parts", x.slice(s![.., ..100]).t().matmul(&x.slice(s![.., 7..90]))),
        ("product of products", square.matmul(&square.t()).matmul(&(&square * 2.0)).max(..)),
        (
            "tensordot",
            made(&[64, 48, 512], &[16, 48, 100])
                .tensordot(&made(&[48, 512, 70], &[7, 64, 70]), (&[1, 2], &[0, 1])),
        ),
        ("two levels", (x.sum(0) / x.sum(0).max(..)).cumsum(0)),
    ];
    let slow = SlowStart(Made(Grid::regular(&[256, 1 << 16], &[1, 1 << 16])));
    let late = Array::from_source(Arc::new(slow), Meta::default()).mean(0);
    let cases = cases.into_iter().chain([("a late first span", late)]);
    let wide = Session::builder().threads(2).memory_limit("4GiB").build().expect("a session");
    for (name, array) in cases {
        let target = || Target { expr: array.expr().expect(name).clone(), destination: Destination::Memory };
        let plan = wide.plan(&[target()]).expect(name);
        let at_once = |n| plan.stages.iter().map(|s| s.memory.held + n * s.memory.task).max().unwrap_or(0);
        // one task at a time, and two
        let limits = [at_once(1), at_once(2)];
        let projected = limits[0];
        drop(plan);
        for limit in limits {
            // a session that has no byte more
            let session = Session::builder().threads(2).memory_limit(limit).build().expect("a session");
            for _ in 0..2 {
                pool().set_keep(0);
                pool().reset_peak();
                let (before, in_pool) = (LIVE.load(Relaxed), pool().allocated());
                PEAK.store(before, Relaxed);
                let block = session.compute(&array).unwrap_or_else(|e| panic!("{name}: {e}"));
                let (peak, blocks) = (PEAK.load(Relaxed) - before, pool().peak() - in_pool);
                drop(block);
                assert!(
                    blocks as u64 <= limit + SMALL as u64,
                    "{name}: {blocks} bytes of blocks, projected {limit}"
                );
                assert!(peak as u64 <= limit + OTHER as u64, "{name}: {peak} bytes, projected {limit}");
            }
        }
        // what cannot fit is refused with the number that would
        let least = Session::builder().threads(1).memory_limit(1000).build().expect("a session");
        let e = least.compute(&array).expect_err(name);
        assert!(
            matches!(e.kind(), ErrorKind::MemoryLimit { needed, limit: 1000, .. } if *needed <= projected),
            "{name}: {e}"
        );
    }
}
