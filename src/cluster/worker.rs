//! What a worker process has once: threads, kernels, its memory limit, and the jobs that it planned.

use super::layout::Layout;
use super::{rows, wire};
use crate::backend::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Summary;
use crate::schedule::{KernelCache, Runtime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Jobs whose plans are kept.
const KEEP: usize = 8;

/// A worker's means.
pub(super) struct Host {
    pub name: String,
    pub memory_limit: u64,
    pub threads: usize,
    pub temp_dir: PathBuf,
    kernels: KernelCache,
    pool: rayon::ThreadPool,
    /// Shards run one at a time, so that together they stay inside the memory limit.
    turn: Mutex<()>,
    jobs: Mutex<Vec<(u64, Arc<Layout>)>>,
}

impl Host {
    pub fn new(
        name: String,
        memory_limit: u64,
        threads: usize,
        temp_dir: PathBuf,
        device: &Device,
    ) -> Result<Host> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads * 2)
            .thread_name(|n| format!("blockwise-{n}"))
            .build()
            .map_err(|e| Error::invalid("threads", e.to_string()))?;
        crate::block::pool().set_keep((memory_limit / 2).min(1 << 30) as usize);
        let kernels = KernelCache::new(device.backend()?);
        let (turn, jobs) = Default::default();
        Ok(Host { name, memory_limit, threads, temp_dir, kernels, pool, turn, jobs })
    }

    /// The plan of a job: made once, kept for its other shards.
    pub fn layout(&self, number: u64, bytes: &[u8]) -> Result<Arc<Layout>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, known)) = jobs.iter().find(|(n, _)| *n == number) {
            return Ok(known.clone());
        }
        // the bytes are checked; should a graph that could not come from a client slip through, it is an error all the same
        let plan = || {
            if wire::frame::is_frame(bytes) {
                let job = wire::frame::decode(bytes)?;
                self.check(job.limit)?;
                return rows::layout(number, &job);
            }
            let job = wire::decode(bytes)?;
            self.check(job.limit)?;
            Layout::new(number, &job.targets, &job.by_workers, job.limit, job.shards)
        };
        let plan = catch_unwind(AssertUnwindSafe(plan));
        let plan = Arc::new(plan.unwrap_or_else(|_| {
            let message = "planning it failed".into();
            Err(ErrorKind::Wire { what: "computation", message }.into())
        })?);
        if jobs.len() == KEEP {
            jobs.remove(0);
        }
        jobs.push((number, plan.clone()));
        Ok(plan)
    }

    /// That plans for so much memory run here.
    fn check(&self, needed: u64) -> Result<()> {
        if needed > self.memory_limit {
            let (op, chunks) = ("a plan made for other workers".into(), "as planned".into());
            return Err(ErrorKind::MemoryLimit { op, needed, limit: self.memory_limit, chunks }.into());
        }
        Ok(())
    }

    /// Runs spans of a stage when no other shard runs here.
    pub fn run(
        &self,
        memory_limit: u64,
        cancel: &AtomicBool,
        run: impl FnOnce(&Runtime<'_>) -> Result<Summary>,
    ) -> Result<Summary> {
        let _turn = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        let rt = Runtime {
            kernels: &self.kernels,
            pool: &self.pool,
            threads: self.threads,
            memory_limit,
            spill_above: memory_limit / 2,
            temp_dir: self.temp_dir.clone(),
            observers: &[],
            cancel,
        };
        run(&rt)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({}, {} threads)", self.name, self.threads)
    }
}
