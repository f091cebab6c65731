//! What a run tells those who watch it.

use crate::config::format_bytes;
use std::fmt;
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
    /// A worker of a cluster has got a part of a stage: it runs, or waits there for what it needs. Told as the client sees it, about every
    /// second; what took less may not be told.
    ShardStarted {
        /// Stage.
        stage: usize,
        /// Number of the part.
        shard: usize,
        /// The worker's name.
        worker: String,
        /// Its tasks.
        tasks: usize,
    },
    /// A worker of a cluster has done a part of a stage. Told as the client sees it, as its start; each part once.
    ShardFinished {
        /// Stage.
        stage: usize,
        /// Number of the part.
        shard: usize,
        /// The worker's name.
        worker: String,
        /// Its tasks.
        tasks: usize,
        /// How long the worker had it.
        elapsed: Duration,
    },
    /// What a worker of a cluster says of a part of a stage that it did. Told when it is here, which may be at the end of the run.
    ShardReport {
        /// Stage.
        stage: usize,
        /// Number of the part.
        shard: usize,
        /// The worker's name.
        worker: String,
        /// Tasks that it ran.
        tasks: usize,
        /// How long they took.
        elapsed: Duration,
        /// Bytes they read from files.
        bytes_read: u64,
        /// Bytes they wrote to files.
        bytes_written: u64,
    },
    /// Something was lost on a cluster, and the computation was submitted again.
    SubmittedAgain {
        /// What was lost.
        why: String,
    },
    /// After a run: kernels ran on the CPU that were meant for another device.
    Fallback {
        /// What the device could not do, or how it failed.
        why: crate::error::Error,
    },
}

/// What a run did and used.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Whether it ended without an error.
    pub ok: bool,
    /// Wall time.
    pub elapsed: Duration,
    /// Wall time of each stage; on a cluster, the sum of what its workers took.
    pub stages: Vec<Duration>,
    /// Wall time after the last stage until everything that was written is in its place: indices, headers, renames.
    pub finishing: Duration,
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

/// Several lines for people: how long it took, what was read, written and spilled, the peak of memory, kernels, the time
/// of each stage, and of finishing what was written.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.ok { "finished" } else { "failed" };
        let plural = |n: u64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
        let (tasks, stages) = (plural(self.tasks, "task"), plural(self.stages.len() as u64, "stage"));
        writeln!(f, "{end} in {}: {tasks} in {stages}", seconds(self.elapsed))?;
        let moved = |bytes: u64| {
            let rate = bytes as f64 / self.elapsed.as_secs_f64();
            if bytes == 0 || !rate.is_finite() {
                format_bytes(bytes)
            } else {
                format!("{} ({}/s)", format_bytes(bytes), format_bytes(rate as u64))
            }
        };
        writeln!(f, "  read       {}", moved(self.bytes_read))?;
        writeln!(f, "  written    {}", moved(self.bytes_written))?;
        writeln!(f, "  spilled    {}", format_bytes(self.bytes_spilled))?;
        writeln!(f, "  memory     {} at its peak", format_bytes(self.peak_memory))?;
        write!(f, "  kernels    {} compiled", self.kernels_compiled)?;
        for (n, elapsed) in self.stages.iter().enumerate() {
            write!(f, "\n  {:<10} {}", format!("stage {n}"), seconds(*elapsed))?;
        }
        if !self.finishing.is_zero() {
            write!(f, "\n  finishing  {}", seconds(self.finishing))?;
        }
        Ok(())
    }
}

/// A duration with three digits that matter.
fn seconds(d: Duration) -> String {
    match d.as_secs_f64() {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_in_words() {
        let summary = Summary {
            ok: true,
            elapsed: Duration::from_millis(2500),
            stages: vec![Duration::from_millis(2000), Duration::from_micros(499_960)],
            finishing: Duration::from_millis(12),
            tasks: 1200,
            bytes_read: 5 << 30,
            bytes_written: 1000,
            bytes_spilled: 0,
            kernels_compiled: 3,
            peak_memory: 500 << 20,
        };
        let want = "finished in 2.50 s: 1200 tasks in 2 stages\n\
                    \x20 read       5.0 GiB (2.0 GiB/s)\n\
                    \x20 written    1000 B (400 B/s)\n\
                    \x20 spilled    0 B\n\
                    \x20 memory     500.0 MiB at its peak\n\
                    \x20 kernels    3 compiled\n\
                    \x20 stage 0    2.00 s\n\
                    \x20 stage 1    500.0 ms\n\
                    \x20 finishing  12.0 ms";
        assert_eq!(summary.to_string(), want);
        let failed = Summary { tasks: 1, ..Summary::default() };
        assert!(
            failed.to_string().starts_with("failed in 0 µs: 1 task in 0 stages\n  read       0 B\n"),
            "{failed}"
        );
    }
}
