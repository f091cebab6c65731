//! What a worker process has once: threads, kernels, its memory limit, and the jobs that it planned.

use super::layout::Layout;
use super::{rows, wire};
use crate::backend::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Summary;
use crate::schedule::frame::Together;
use crate::schedule::{KernelCache, Runtime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

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
    /// By job and stage: what its shards here read in common.
    together: Mutex<Vec<((u64, usize), Weak<Together>)>>,
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
        let (turn, jobs, together) = Default::default();
        Ok(Host { name, memory_limit, threads, temp_dir, kernels, pool, turn, jobs, together })
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

    /// What the shards of a stage read in common; it ends with the last of those that have it.
    pub fn together(&self, job: u64, stage: usize) -> Arc<Together> {
        let mut all = self.together.lock().unwrap_or_else(|e| e.into_inner());
        all.retain(|(_, one)| one.strong_count() > 0);
        let known = all.iter().find(|(of, _)| *of == (job, stage)).and_then(|(_, one)| one.upgrade());
        known.unwrap_or_else(|| {
            let new = Arc::<Together>::default();
            all.push(((job, stage), Arc::downgrade(&new)));
            new
        })
    }

    /// That plans for so much memory run here.
    fn check(&self, needed: u64) -> Result<()> {
        if needed > self.memory_limit {
            let (op, chunks) = ("a plan made for other workers".into(), "as planned".into());
            return Err(ErrorKind::MemoryLimit { op, needed, limit: self.memory_limit, chunks }.into());
        }
        Ok(())
    }

    /// Runs spans of a stage when no other shard runs here. What others read in common gives way: only its `own` is inside its limit.
    pub fn run(
        &self,
        memory_limit: u64,
        cancel: &AtomicBool,
        own: Option<&Together>,
        run: impl FnOnce(&Runtime<'_>) -> Result<Summary>,
    ) -> Result<Summary> {
        let _turn = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        let all: Vec<_> = self.together.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let others = all.iter().filter_map(|(_, one)| one.upgrade());
        others.filter(|one| own.is_none_or(|own| !std::ptr::eq(&**one, own))).for_each(|one| one.clear());
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
