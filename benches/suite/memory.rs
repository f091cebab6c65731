//! Memory of the suite itself: maps of huge pages, a counting allocator, and threads that share work.

use blockwise::block::Block;
use blockwise::dtype::{DType, Element};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A huge page.
const HUGE: usize = 2 << 20;

/// Zeroed memory fresh from the operating system, on huge pages where it has them.
pub struct Mapped {
    /// Aligned to a huge page (elsewhere than on Unix, to a page).
    ptr: *mut u8,
    bytes: usize,
    /// What to give back.
    base: *mut u8,
    mapped: usize,
}

// SAFETY: owned memory without any thread-bound state.
unsafe impl Send for Mapped {}
// SAFETY: shared access only reads.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps room for `bytes` bytes; no page is touched.
    pub fn new(bytes: usize) -> Mapped {
        let mapped = bytes.max(1) + HUGE;
        #[cfg(unix)]
        {
            // SAFETY: an anonymous private mapping of non-zero length at no particular place.
            let base = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    mapped,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            assert!(base != libc::MAP_FAILED, "no memory for {bytes} bytes");
            let base = base.cast::<u8>();
            let ptr = base.wrapping_add(base.align_offset(HUGE));
            #[cfg(target_os = "linux")]
            // SAFETY: the range lies inside the mapping; the advice does not change its contents.
            unsafe {
                libc::madvise(ptr.cast(), bytes, libc::MADV_HUGEPAGE)
            };
            Mapped { ptr, bytes, base, mapped }
        }
        #[cfg(not(unix))]
        {
            // SAFETY: the layout's size is not zero.
            let base = unsafe { std::alloc::alloc_zeroed(Layout::from_size_align(mapped, 4096).unwrap()) };
            assert!(!base.is_null(), "no memory for {bytes} bytes");
            Mapped { ptr: base, bytes, base, mapped }
        }
    }

    /// The memory as elements to write.
    pub fn slice_mut<T: Element>(&mut self) -> &mut [T] {
        // SAFETY: aligned beyond any element, zeroed or written as plain data since, borrowed exclusively with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.cast(), self.bytes / size_of::<T>()) }
    }

    /// The memory as a C-ordered block of this shape.
    pub fn into_block<T: Element>(self, shape: &[usize]) -> Block {
        assert!(shape.iter().product::<usize>() * size_of::<T>() <= self.bytes && T::DTYPE != DType::Bool);
        let mut strides = vec![1isize; shape.len()];
        for k in (0..shape.len().saturating_sub(1)).rev() {
            strides[k] = strides[k + 1] * shape[k + 1] as isize;
        }
        // SAFETY: the shape fits the memory, which is initialized, aligned, owned by the block and written by nobody.
        unsafe { Block::from_foreign(T::DTYPE, shape, &strides, self.ptr, Arc::new(self)) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        #[cfg(unix)]
        // SAFETY: what `new` mapped, unmapped once.
        unsafe {
            libc::munmap(self.base.cast(), self.mapped);
        }
        #[cfg(not(unix))]
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe {
            std::alloc::dealloc(self.base, Layout::from_size_align(self.mapped, 4096).unwrap());
        }
    }
}

/// Threads that share a loop.
pub struct Workers {
    pool: rayon::ThreadPool,
}

impl Workers {
    /// `n` threads.
    pub fn new(n: usize) -> Workers {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        Workers { pool: pool.expect("threads can be started") }
    }

    /// Runs `work` once on every thread at the same time.
    pub fn everywhere<R: Send>(&self, work: impl Fn() -> R + Sync) -> Vec<R> {
        self.pool.broadcast(|_| work())
    }

    /// Runs `work` on pieces of `0..n` of at most `step`, each taken by the next free thread, and merges what the threads
    /// folded.
    pub fn fold<A: Send>(
        &self,
        n: usize,
        step: usize,
        start: impl Fn() -> A + Sync,
        work: impl Fn(&mut A, Range<usize>) + Sync,
    ) -> Vec<A> {
        let next = AtomicUsize::new(0);
        self.everywhere(|| {
            let mut folded = start();
            loop {
                let at = next.fetch_add(step, Relaxed);
                if at >= n {
                    return folded;
                }
                work(&mut folded, at..(at + step).min(n));
            }
        })
    }

    /// Runs `work` on pieces of a slice of at most `step` elements, with the place of each.
    pub fn pieces<T: Send>(&self, out: &mut [T], step: usize, work: impl Fn(usize, &mut [T]) + Sync) {
        let (n, base) = (out.len(), Shared(out.as_mut_ptr()));
        self.fold(
            n,
            step,
            || (),
            |(), range| {
                let base = &base;
                // SAFETY: ranges of `fold` lie inside the slice and do not overlap.
                let part = unsafe { std::slice::from_raw_parts_mut(base.0.add(range.start), range.len()) };
                work(range.start, part);
            },
        );
    }
}

/// A pointer that threads write to at different places.
struct Shared<T>(*mut T);
// SAFETY: see `Workers::pieces`, its only user.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The system's allocator, which counts while [`Counted::during`] runs.
pub struct Counted;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// What was allocated while something ran.
#[derive(Clone, Copy, Debug)]
pub struct Allocations {
    /// Most bytes at once, beyond those that were there before.
    pub peak: u64,
    /// Allocations made.
    pub calls: u64,
}

impl Counted {
    /// Counts what all threads allocate while `f` runs.
    pub fn during<R>(f: impl FnOnce() -> R) -> (R, Allocations) {
        for counter in [&LIVE, &PEAK] {
            counter.store(0, Relaxed);
        }
        CALLS.store(0, Relaxed);
        ON.store(true, Relaxed);
        let result = f();
        ON.store(false, Relaxed);
        (result, Allocations { peak: PEAK.load(Relaxed).max(0) as u64, calls: CALLS.load(Relaxed) })
    }
}

fn count(bytes: i64) {
    if ON.load(Relaxed) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if bytes > 0 {
            PEAK.fetch_max(live, Relaxed);
            CALLS.fetch_add(1, Relaxed);
        }
    }
}

// SAFETY: everything is the system allocator's; counting touches atomics only.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

/// The most memory this process ever had resident, in MiB; `None` where the system does not say.
pub fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
