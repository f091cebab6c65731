//! Executable memory: written first, then made executable, never both.

use std::ptr::NonNull;

/// Pages that hold machine code.
#[derive(Debug)]
pub struct CodePages {
    ptr: NonNull<u8>,
    len: usize,
}

// SAFETY: the pages are never written after they are made.
unsafe impl Send for CodePages {}
// SAFETY: as above.
unsafe impl Sync for CodePages {}

impl CodePages {
    /// Copies code into pages of its own. `None` if the platform refuses.
    pub fn new(code: &[u8]) -> Option<CodePages> {
        let len = code.len().next_multiple_of(4096);
        // SAFETY: a fresh private mapping.
        let ptr = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if ptr == libc::MAP_FAILED {
            return None;
        }
        let pages = CodePages { ptr: NonNull::new(ptr as *mut u8)?, len };
        // SAFETY: the mapping is at least as long as the code, and nobody else knows of it.
        unsafe {
            std::ptr::copy_nonoverlapping(code.as_ptr(), pages.ptr.as_ptr(), code.len());
            (libc::mprotect(ptr, len, libc::PROT_READ | libc::PROT_EXEC) == 0).then_some(pages)
        }
    }

    /// The first instruction.
    pub fn entry(&self) -> *const u8 {
        self.ptr.as_ptr()
    }
}

impl Drop for CodePages {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; whoever runs the code borrows `self`.
        unsafe { libc::munmap(self.ptr.as_ptr() as *mut libc::c_void, self.len) };
    }
}
