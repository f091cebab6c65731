//! Bytes that the rows and tables of a run take.

use crate::error::{ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes kept by the states of a run.
pub(super) struct Budget {
    limit: u64,
    /// From here on rows go to disk if they can.
    spill_above: u64,
    used: AtomicU64,
}

/// A share of the budget; given back when dropped.
pub(super) struct Held<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub fn new(limit: u64, spill_above: u64) -> Budget {
        Budget { limit, spill_above, used: AtomicU64::new(0) }
    }

    pub fn hold(&self) -> Held<'_> {
        Held { budget: self, bytes: 0 }
    }

    /// Bytes that there are.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are left.
    pub fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used.load(Relaxed))
    }

    /// The most bytes of rows that a worker keeps before it does something about them.
    pub fn share(&self, workers: usize) -> usize {
        usize::try_from(self.spill_above / (4 * workers as u64)).unwrap_or(usize::MAX)
    }

    /// Bytes of a piece of rows on disk, of which many are read at once.
    pub fn piece(&self) -> usize {
        (self.share(1) >> 11).clamp(4 << 10, 64 << 10)
    }

    /// Bytes of rows that are put in order at once.
    pub fn part(&self) -> usize {
        (self.share(1) >> 3).clamp(64 << 10, 16 << 20)
    }

    /// Whether rows should go to disk.
    pub fn is_tight(&self) -> bool {
        self.used.load(Relaxed) >= self.spill_above
    }
}

impl Held<'_> {
    /// Changes the share to this many bytes.
    pub fn set(&mut self, bytes: usize, what: impl std::fmt::Display) -> Result<()> {
        let bytes = bytes as u64;
        let before = self.budget.used.fetch_add(bytes, Relaxed);
        self.budget.used.fetch_sub(self.bytes, Relaxed);
        let needed = before + bytes - self.bytes.min(before);
        self.bytes = bytes;
        if needed > self.budget.limit {
            let chunks = "batches of rows".into();
            return Err(ErrorKind::MemoryLimit {
                op: what.to_string(),
                needed,
                limit: self.budget.limit,
                chunks,
            }
            .into());
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}
