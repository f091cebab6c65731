//! What a run tells those who watch it.

use std::time::{Duration, Instant};

/// Something that happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// Number of stages.
        stages: usize,
        /// Number of tasks of all stages.
        tasks: usize,
    },
    /// A stage begins.
    StageStarted {
        /// Its number.
        stage: usize,
        /// Number of its tasks.
        tasks: usize,
        /// Tasks that run at once.
        workers: usize,
        /// What it does, in a few words.
        label: String,
    },
    /// A task ended.
    TaskFinished {
        /// Stage.
        stage: usize,
        /// Number of the task in the stage's order.
        task: usize,
        /// Worker that ran it, from 0.
        worker: usize,
        /// When it began.
        start: Instant,
        /// How long it took.
        elapsed: Duration,
        /// Bytes it read from files and spill stores.
        bytes_read: u64,
        /// Bytes it wrote to files.
        bytes_written: u64,
    },
    /// A stage ended.
    StageFinished {
        /// Its number.
        stage: usize,
        /// How long it took.
        elapsed: Duration,
    },
    /// The run ended, well or not.
    RunFinished(Summary),
}

/// What a run did and used.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Whether it ended without an error.
    pub ok: bool,
    /// Wall time.
    pub elapsed: Duration,
    /// Wall time of each stage.
    pub stages: Vec<Duration>,
    /// Tasks run.
    pub tasks: u64,
    /// Bytes read from files, as arrays (decompressed).
    pub bytes_read: u64,
    /// Bytes written to sinks, as arrays.
    pub bytes_written: u64,
    /// Bytes written to spill stores.
    pub bytes_spilled: u64,
    /// Kernels compiled (not found in the cache).
    pub kernels_compiled: u64,
    /// Most bytes of blocks that were allocated at once.
    pub peak_memory: u64,
}

/// Watches runs. Called from worker threads; must be quick and must not compute.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);

    /// Whether [`Event::TaskFinished`] is wanted: it costs two clock reads a task.
    fn wants_tasks(&self) -> bool {
        true
    }
}
