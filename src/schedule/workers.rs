//! Spans of work on a few workers: the one loop behind every stage.

use super::Runtime;
use crate::error::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

thread_local! {
    /// Whether this thread is running tasks: then it must not start a run, which would wait for itself.
    static IN_TASK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether the calling thread is in the middle of a task, as a user's function of blocks is.
pub fn in_task() -> bool {
    IN_TASK.get()
}

/// The end of a pass that may run functions of the user's, as its tasks do.
#[cfg(feature = "frame")]
pub(super) fn as_task<T>(f: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let _task = InTask::enter(&stop);
    f()
}

/// Runs spans `0..count` on workers that take the next one from a counter. Each worker makes itself a `state`; `run` gets the span's
/// number, the worker's, that state, and the flag that ends the run, which it may set.
///
/// # Errors
/// The error of the earliest span that had one.
pub(super) fn run_spans<S>(
    rt: &Runtime<'_>,
    workers: usize,
    count: usize,
    state: impl Fn() -> S + Sync,
    run: impl Fn(usize, usize, &mut S, &AtomicBool) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first = FirstError::default();
    let work = |worker: usize| {
        let _task = InTask::enter(&stop);
        let mut state = state();
        loop {
            let span = next.fetch_add(1, Relaxed);
            if span >= count || stop.load(Relaxed) {
                return;
            }
            if let Err(e) = run(span, worker, &mut state, &stop) {
                stop.store(true, Relaxed);
                first.put(span, e);
                return;
            }
        }
    };
    if workers <= 1 {
        // not on the caller's thread if that is a worker of some other pool: the pool's width is what was promised
        rt.pool.install(|| work(0));
    } else {
        rt.pool.scope(|scope| {
            for w in 0..workers {
                let work = &work;
                scope.spawn(move |_| work(w));
            }
        });
    }
    first.take().map_or(Ok(()), Err)
}

/// A function of every item, on a few threads of their own: the caller may hold a lock that the pool's other work waits for.
#[cfg(feature = "frame")]
pub(super) fn side_by_side<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    f: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let in_task = in_task();
    let work = || {
        IN_TASK.set(in_task);
        let mut done = vec![];
        loop {
            let k = next.fetch_add(1, Relaxed);
            match items.get(k) {
                Some(item) => done.push((k, f(item))),
                None => return done,
            }
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(more) => all.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(k, _)| *k);
    all.into_iter().map(|(_, r)| r).collect()
}

/// Marks the thread as running tasks while it lives; if it ends by a panic, stops the other workers.
struct InTask<'a>(&'a AtomicBool);

impl InTask<'_> {
    fn enter(stop: &AtomicBool) -> InTask<'_> {
        IN_TASK.set(true);
        InTask(stop)
    }
}

impl Drop for InTask<'_> {
    fn drop(&mut self) {
        IN_TASK.set(false);
        if std::thread::panicking() {
            self.0.store(true, Relaxed);
        }
    }
}

/// The error of the earliest span, so that which error is reported does not depend on timing more than it must.
#[derive(Default)]
struct FirstError(std::sync::Mutex<Option<(usize, Error)>>);

impl FirstError {
    fn put(&self, span: usize, error: Error) {
        let mut slot = self.0.lock().unwrap_or_else(|e| e.into_inner());
        // a worker that ended because of another's error does not hide it
        let cancelled = |e: &Error| matches!(e.kind(), ErrorKind::Cancelled);
        let better = |(at, known): &(usize, Error)| match (cancelled(known), cancelled(&error)) {
            (true, false) => true,
            (false, true) => false,
            _ => span < *at,
        };
        if slot.as_ref().is_none_or(better) {
            *slot = Some((span, error));
        }
    }

    fn take(self) -> Option<Error> {
        self.0.into_inner().unwrap_or_else(|e| e.into_inner()).map(|(_, e)| e)
    }
}
