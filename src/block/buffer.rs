//! Aligned memory that is reused: fresh pages cost more than the arithmetic done in them.
//!
//! Large buffers ask for huge pages and go back to a pool when dropped. A buffer is allocated with the layout of a
//! `Vec<T>` of its element type, so that one that leaves as an `ndarray` array needs no copy.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Buffers of at least this size are pooled and backed by huge pages.
const LARGE: usize = 1 << 20;

/// An owned piece of memory, uninitialized or with leftovers of an earlier use.
pub struct Buffer {
    ptr: NonNull<u8>,
    /// Bytes allocated: what the layout says.
    capacity: usize,
    /// Alignment allocated: what the layout says.
    align: usize,
}

// SAFETY: a Buffer owns its memory; it holds no thread-bound state.
unsafe impl Send for Buffer {}
// SAFETY: a shared Buffer gives out a raw pointer only; whoever writes through it upholds exclusivity.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Memory for `bytes` bytes, aligned for elements of size `align` (1, 2, 4 or 8), zeroed nowhere.
    pub fn new(bytes: usize, align: usize) -> Buffer {
        if bytes >= LARGE
            && let Some(buffer) = pool().take(bytes, align)
        {
            return buffer;
        }
        Buffer::fresh(bytes, align)
    }

    fn fresh(bytes: usize, align: usize) -> Buffer {
        // a multiple of the alignment that is never zero: Vec's layout for `bytes / align` elements
        let capacity = bytes.max(1).next_multiple_of(align);
        let layout =
            Layout::from_size_align(capacity, align).expect("size checked against isize::MAX by shapes");
        // SAFETY: the layout's size is not zero.
        let Some(ptr) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        advise_huge(ptr, capacity);
        let live = pool().live.fetch_add(capacity, Relaxed) + capacity;
        pool().peak.fetch_max(live, Relaxed);
        Buffer { ptr, capacity, align }
    }

    /// The memory.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// Bytes allocated (at least what was asked for).
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Gives the memory away: pointer, bytes and alignment of a live `std::alloc` allocation.
    pub fn into_raw(self) -> (NonNull<u8>, usize, usize) {
        pool().live.fetch_sub(self.capacity, Relaxed);
        let raw = (self.ptr, self.capacity, self.align);
        std::mem::forget(self);
        raw
    }

    fn free(&mut self) {
        pool().live.fetch_sub(self.capacity, Relaxed);
        // SAFETY: allocated in `fresh` with this very layout, and not freed before (callers forget or drop `self`).
        unsafe { dealloc(self.ptr.as_ptr(), Layout::from_size_align_unchecked(self.capacity, self.align)) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.capacity >= LARGE {
            pool().put(Buffer { ptr: self.ptr, capacity: self.capacity, align: self.align });
        } else {
            self.free();
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.capacity)
    }
}

/// Asks for huge pages on the whole pages inside a large allocation; a refusal costs speed only.
fn advise_huge(ptr: NonNull<u8>, bytes: usize) {
    #[cfg(all(target_os = "linux", not(miri)))]
    if bytes >= LARGE {
        const PAGE: usize = 4096;
        let start = (ptr.as_ptr() as usize).next_multiple_of(PAGE);
        let end = (ptr.as_ptr() as usize + bytes) & !(PAGE - 1);
        if end > start {
            // SAFETY: the range lies inside memory that we own; MADV_HUGEPAGE does not change its contents.
            unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = (ptr, bytes);
}

/// Gives the memory that nobody uses back to the system: idle buffers, and what the C library keeps of what was freed. For runs that
/// have just put much of what they held on disk; it takes milliseconds.
#[cfg(feature = "frame")]
pub(crate) fn give_back() {
    pool().trim(0);
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    // SAFETY: it may be called at any time, from any thread, and touches no memory that is in use.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Keeps large buffers for the next use.
///
/// What it keeps is bounded by [`Pool::set_keep`]; a buffer is handed out again for a request of its own alignment and
/// at least half its size.
pub struct Pool {
    idle: Mutex<Idle>,
    live: AtomicUsize,
    peak: AtomicUsize,
}

struct Idle {
    by_size: BTreeMap<(usize, usize), Vec<Buffer>>,
    bytes: usize,
    keep: usize,
}

/// The process' pool.
pub fn pool() -> &'static Pool {
    static POOL: Pool = Pool {
        idle: Mutex::new(Idle { by_size: BTreeMap::new(), bytes: 0, keep: 256 << 20 }),
        live: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
    };
    &POOL
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn take(&self, bytes: usize, align: usize) -> Option<Buffer> {
        let mut idle = self.lock();
        let key = *idle.by_size.range((align, bytes)..=(align, bytes.saturating_mul(2))).next()?.0;
        let list = idle.by_size.get_mut(&key)?;
        let buffer = list.pop()?;
        if list.is_empty() {
            idle.by_size.remove(&key);
        }
        idle.bytes -= key.1;
        Some(buffer)
    }

    fn put(&self, mut buffer: Buffer) {
        let mut idle = self.lock();
        if idle.bytes + buffer.capacity > idle.keep {
            drop(idle);
            buffer.free();
            std::mem::forget(buffer);
            return;
        }
        idle.bytes += buffer.capacity;
        idle.by_size.entry((buffer.align, buffer.capacity)).or_default().push(buffer);
    }

    /// Bytes allocated now, in use or idle.
    pub fn allocated(&self) -> usize {
        self.live.load(Relaxed)
    }

    /// Most bytes allocated at once since [`Pool::reset_peak`].
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Starts a new measurement of the peak.
    pub fn reset_peak(&self) {
        self.peak.store(self.allocated(), Relaxed);
    }

    /// Bytes waiting to be used again.
    pub fn idle(&self) -> usize {
        self.lock().bytes
    }

    /// Sets how many idle bytes are kept, and frees what is above.
    pub fn set_keep(&self, bytes: usize) {
        self.lock().keep = bytes;
        self.trim(bytes);
    }

    /// Frees idle buffers until at most `bytes` stay.
    pub fn trim(&self, bytes: usize) {
        let mut drop_later = Vec::new();
        let mut idle = self.lock();
        while idle.bytes > bytes
            && let Some(mut entry) = idle.by_size.last_entry()
        {
            let size = entry.key().1;
            if let Some(buffer) = entry.get_mut().pop() {
                drop_later.push(buffer);
                idle.bytes -= size;
            }
            // an empty list must not stay: `take` would find it and nothing in it
            if let Some(entry) = idle.by_size.last_entry().filter(|e| e.get().is_empty()) {
                entry.remove();
            }
        }
        drop(idle);
        for mut buffer in drop_later {
            buffer.free();
            std::mem::forget(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_was_trimmed_still_counts_right() {
        let pool = Pool {
            idle: Mutex::new(Idle { by_size: BTreeMap::new(), bytes: 0, keep: 64 << 20 }),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        };
        pool.put(Buffer::fresh(2 << 20, 8));
        pool.put(Buffer::fresh(2 << 20, 8));
        pool.trim(3 << 20);
        assert_eq!(pool.idle(), 2 << 20);
        pool.trim(0);
        assert_eq!(pool.idle(), 0);
        // nothing is left to be taken, and asking leaves the count alone
        assert!(pool.take(2 << 20, 8).is_none());
        assert_eq!(pool.idle(), 0);
    }

    #[test]
    fn a_dropped_buffer_serves_the_next_request() {
        // an odd size that no other test asks for, so that tests can run side by side
        let bytes = (3 << 20) + 4096 * 7;
        let first = Buffer::new(bytes, 8);
        let at = first.as_ptr();
        drop(first);
        let again = Buffer::new(bytes, 8);
        assert_eq!(again.as_ptr(), at);
        assert!(again.capacity() >= bytes);
    }
}
