//! Results of spans put together in the order of spans, whatever the order in which they come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// A whole that is made of the spans' parts, in the order of spans. Which worker ran a span, and when, changes nothing.
pub(super) struct InOrder<W, S> {
    state: Mutex<State<W, S>>,
    /// Spans that may wait to be merged: more would be more memory than is planned for.
    parked: usize,
    merged: Condvar,
}

struct State<W, S> {
    whole: W,
    /// The span that is merged next, and those that came early.
    next: usize,
    early: BTreeMap<usize, S>,
}

impl<W, S> InOrder<W, S> {
    /// A whole of nothing, for this many workers.
    pub fn new(whole: W, workers: usize) -> InOrder<W, S> {
        let state = Mutex::new(State { whole, next: 0, early: BTreeMap::new() });
        InOrder { state, parked: workers, merged: Condvar::new() }
    }

    /// Takes the part of a finished span, and merges it and those that waited for it; `merge` gets the number of each. Every span must
    /// come exactly once. Waits while
    /// too many that came early wait already for an earlier one, which is running on another worker, unless `stop` says that it will
    /// never come.
    pub fn put<E>(
        &self,
        number: usize,
        part: S,
        stop: &AtomicBool,
        mut merge: impl FnMut(&mut W, usize, S) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        while state.next != number && state.early.len() >= self.parked {
            if stop.load(Relaxed) {
                return Ok(());
            }
            let wait = self.merged.wait_timeout(state, Duration::from_millis(20));
            state = wait.unwrap_or_else(|e| e.into_inner()).0;
        }
        state.early.insert(number, part);
        loop {
            let next = state.next;
            let Some(part) = state.early.remove(&next) else {
                self.merged.notify_all();
                return Ok(());
            };
            state.next += 1;
            merge(&mut state.whole, next, part)?;
        }
    }

    /// The whole.
    pub fn into_whole(self) -> W {
        self.state.into_inner().unwrap_or_else(|e| e.into_inner()).whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_merged_in_order_under_their_own_numbers() {
        let whole = InOrder::new(vec![], 5);
        let stop = AtomicBool::new(false);
        for number in [3, 1, 4, 0, 2] {
            let done = whole.put(number, number * 10, &stop, |all: &mut Vec<_>, n, part| {
                all.push((n, part));
                Ok::<(), ()>(())
            });
            assert_eq!(done, Ok(()));
        }
        assert_eq!(whole.into_whole(), [(0, 0), (1, 10), (2, 20), (3, 30), (4, 40)]);
    }
}
