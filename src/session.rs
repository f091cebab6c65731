//! The one place that wires the layers together: where and how expressions run.

use crate::backend::{Backend, Device};
use crate::block::{Block, Held, Lent, pool};
use crate::config::{self, IntoBytes};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Observer, Summary};
use crate::plan::{self, Plan, Step, Target};
use crate::schedule::{self, KernelCache, Runtime};
use crate::shape::Grid;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// Threads, memory limit, backend and observers: what computes.
///
/// Most programs need none: [`Array::compute`](crate::Array::compute) and its like use [`Session::global`]. Runs on one
/// session take turns, so that together they stay inside its memory limit.
pub struct Session {
    settings: Settings,
    kernels: KernelCache,
    pool: rayon::ThreadPool,
    cancel: AtomicBool,
    running: Mutex<()>,
    last: Mutex<Option<Summary>>,
    #[cfg(feature = "cluster")]
    cluster: Option<crate::cluster::Connection>,
}

struct Settings {
    memory_limit: u64,
    spill_above: u64,
    threads: usize,
    temp_dir: PathBuf,
    observers: Vec<Arc<dyn Observer>>,
}

/// Builds a [`Session`].
#[derive(Default)]
pub struct SessionBuilder {
    memory_limit: Option<Result<u64>>,
    spill_above: Option<Result<u64>>,
    threads: Option<usize>,
    temp_dir: Option<PathBuf>,
    backend: Option<Arc<dyn Backend>>,
    device: Option<Device>,
    observers: Vec<Arc<dyn Observer>>,
    #[cfg(feature = "cluster")]
    cluster: Option<(String, crate::cluster::Options)>,
}

impl SessionBuilder {
    /// The most bytes that blocks may take at once: a number, or words such as `"512MiB"`. Default: `BLOCKWISE_MEMORY_LIMIT`, else 70 %
    /// of the memory this process may use.
    pub fn memory_limit(mut self, limit: impl IntoBytes) -> Self {
        self.memory_limit = Some(limit.into_bytes());
        self
    }

    /// Bytes of rows that sorts, groups, joins and other steps of dataframes keep in memory between them; what is more goes to spill
    /// files. Results are the same whatever it is. Default: half of the memory limit.
    pub fn spill_above(mut self, bytes: impl IntoBytes) -> Self {
        self.spill_above = Some(bytes.into_bytes());
        self
    }

    /// Kernels that run at once. Default: `BLOCKWISE_THREADS`, else the cores this process may use.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Directory for spill files. Default: the system's.
    pub fn temp_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.temp_dir = Some(dir.into());
        self
    }

    /// Where kernels run. Default: `BLOCKWISE_DEVICE`, else the CPU.
    pub fn device(mut self, device: Device) -> Self {
        self.device = Some(device);
        self
    }

    /// What compiles and runs kernels, whatever [`SessionBuilder::device`] says.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Runs computations on a cluster: its scheduler's address, and how to work with it. Plans are then made for the workers' memory
    /// limit, which the options name; threads and devices are the workers'. Default: `BLOCKWISE_CLUSTER`, else this process computes.
    #[cfg(feature = "cluster")]
    pub fn cluster(mut self, url: &str, options: crate::cluster::Options) -> Self {
        self.cluster = Some((url.to_owned(), options));
        self
    }

    /// Adds someone who watches every run.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Shows a [progress bar](crate::diagnostics::ProgressBar) on standard error if that is a terminal.
    #[cfg(feature = "progress")]
    pub fn progress(self) -> Self {
        self.observer(Arc::new(crate::diagnostics::ProgressBar::new()))
    }

    /// The session.
    ///
    /// # Errors
    /// If a setting makes no sense, threads cannot be started, or there is no such device.
    pub fn build(self) -> Result<Session> {
        let threads = match self.threads {
            Some(0) => return Err(Error::invalid("threads", "must be at least 1")),
            Some(n) => n,
            None => config::default_threads()?,
        };
        let memory_limit = self.memory_limit.unwrap_or_else(config::default_memory_limit)?;
        #[cfg(feature = "cluster")]
        let cluster = match (self.cluster, std::env::var("BLOCKWISE_CLUSTER")) {
            (Some(named), _) => Some(named),
            (None, Ok(url)) => Some((url, crate::cluster::Options::from_env()?)),
            (None, Err(_)) => None,
        };
        #[cfg(feature = "cluster")]
        let memory_limit = cluster.as_ref().map_or(memory_limit, |(_, options)| options.memory_limit);
        // as many again for reads and writes beside the kernels
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads * 2)
            .thread_name(|n| format!("blockwise-{n}"))
            .build()
            .map_err(|e| Error::invalid("threads", e.to_string()))?;
        let backend = match (self.backend, self.device) {
            (Some(backend), _) => backend,
            (None, Some(device)) => device.backend()?,
            (None, None) => Device::from_env()?.backend()?,
        };
        Ok(Session {
            settings: Settings {
                memory_limit,
                spill_above: self.spill_above.unwrap_or(Ok(memory_limit / 2))?,
                threads,
                temp_dir: self.temp_dir.unwrap_or_else(std::env::temp_dir),
                observers: self.observers,
            },
            kernels: KernelCache::new(backend),
            pool,
            cancel: AtomicBool::new(false),
            running: Mutex::new(()),
            last: Mutex::new(None),
            #[cfg(feature = "cluster")]
            cluster: cluster
                .map(|(url, options)| crate::cluster::Connection::open(&url, options))
                .transpose()?,
        })
    }
}

impl Session {
    /// Starts to build a session.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// The session that is used where none is named: built from the environment on first use.
    ///
    /// # Errors
    /// If an environment variable holds nonsense.
    pub fn global() -> Result<&'static Session> {
        static GLOBAL: OnceLock<Result<Session>> = OnceLock::new();
        GLOBAL.get_or_init(|| Session::builder().build()).as_ref().map_err(Clone::clone)
    }

    /// The memory limit in bytes.
    pub fn memory_limit(&self) -> u64 {
        self.settings.memory_limit
    }

    /// Kernels that run at once.
    pub fn threads(&self) -> usize {
        self.settings.threads
    }

    /// Name of the backend.
    pub fn backend_name(&self) -> String {
        self.kernels.backend().name()
    }

    /// Keeps a copy of a block where kernels run, if that is not here.
    pub(crate) fn hold(&self, block: &Block, grid: &Grid) -> Option<Arc<dyn Held>> {
        self.kernels.backend().hold(block, grid)
    }

    /// Where the kernel of each of a plan's stages runs, and its products.
    pub(crate) fn places<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = String> + 'a {
        let backend = self.kernels.backend();
        plan.stages.iter().map(|stage| {
            let products = stage.steps.iter().filter_map(Step::product);
            let places = products.map(|p| {
                format!("; its product of {} on {}", p.dtype, backend.place_of_product(p.dtype, p.largest()))
            });
            places.fold(backend.place(&stage.kernel), |text, place| text + &place)
        })
    }

    /// Plans targets without running anything.
    ///
    /// # Errors
    /// If the plan cannot fit the memory limit.
    pub fn plan(&self, targets: &[Target]) -> Result<Plan> {
        plan::lower(targets, self.settings.memory_limit)
    }

    /// Plans and runs targets; for each, its block if it goes to memory.
    ///
    /// # Errors
    /// Planning errors before any work, else the first that a task met.
    pub fn run(&self, targets: &[Target]) -> Result<Vec<Option<Block>>> {
        let here = |lent: Option<Lent>| lent.map(|lent| lent.here().cloned()).transpose();
        self.run_anywhere(targets)?.into_iter().map(here).collect()
    }

    /// The same; blocks whose elements [may stay](plan::Destination::Stay) where kernels run may be there.
    pub(crate) fn run_anywhere(&self, targets: &[Target]) -> Result<Vec<Option<Lent>>> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            let blocks = self.turn("compute", |rt| cluster.run(targets, rt))?;
            return Ok(blocks.into_iter().map(|block| block.map(Lent::from)).collect());
        }
        let run = || {
            let results = self.turn("compute", |rt| schedule::run(&self.plan(targets)?, rt))?;
            let mut held = results.iter().flatten().filter_map(Lent::held);
            held.try_for_each(|held| held.intact()).map(|()| results)
        };
        match run() {
            // what had stayed on a device went with it: all is computed again, where kernels run now
            Err(e)
                if matches!(e.kind(), ErrorKind::Device { .. })
                    && !targets.iter().any(|t| matches!(t.destination, plan::Destination::Sink(_))) =>
            {
                run()
            }
            done => done,
        }
    }

    /// Optimizes and plans a frame's relation.
    #[cfg(feature = "frame")]
    pub(crate) fn plan_frame(
        &self,
        relation: &crate::expr::frame::Relation,
        sink: Option<Arc<dyn crate::block::BatchSink>>,
    ) -> Result<plan::frame::FramePlan> {
        let room = schedule::frame::room_for_table(self.settings.spill_above);
        plan::frame::lower(&crate::optimize::frame::optimize(relation)?, sink, room)
    }

    /// Plans and runs a frame's relation; its rows.
    #[cfg(feature = "frame")]
    pub(crate) fn run_frame(
        &self,
        relation: &crate::expr::frame::Relation,
    ) -> Result<Vec<arrow::array::RecordBatch>> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            return self.turn("collect", |rt| cluster.run_frame(relation, None, rt));
        }
        let plan = self.plan_frame(relation, None)?;
        self.turn("collect", |rt| schedule::frame::run(&plan, rt))
    }

    /// Plans and runs a frame's relation; its rows go to a sink.
    #[cfg(feature = "frame")]
    pub(crate) fn write_frame(
        &self,
        relation: &crate::expr::frame::Relation,
        sink: Arc<dyn crate::block::BatchSink>,
    ) -> Result<()> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            return self.turn("write", |rt| cluster.run_frame(relation, Some(sink), rt)).map(drop);
        }
        let plan = self.plan_frame(relation, Some(sink))?;
        self.turn("write", |rt| schedule::frame::run(&plan, rt)).map(drop)
    }

    /// Runs something when no other run is going on, and keeps its summary.
    fn turn<T>(&self, op: &'static str, run: impl FnOnce(&Runtime<'_>) -> Result<(T, Summary)>) -> Result<T> {
        if schedule::in_task() {
            let message = "called from inside a function of blocks, which the run it belongs to waits for; \
                           pass what it needs as another input instead";
            return Err(Error::invalid(op, message));
        }
        let _turn = self.running.lock().unwrap_or_else(|e| e.into_inner());
        let limit = self.settings.memory_limit;
        pool().set_keep((limit / 2).min(1 << 30) as usize);
        self.cancel.store(false, Relaxed);
        let done = run(&Runtime {
            kernels: &self.kernels,
            pool: &self.pool,
            threads: self.settings.threads,
            memory_limit: limit,
            spill_above: self.settings.spill_above,
            temp_dir: self.settings.temp_dir.clone(),
            observers: &self.settings.observers,
            cancel: &self.cancel,
        });
        for why in self.kernels.backend().notes() {
            let event = Event::Fallback { why };
            self.settings.observers.iter().for_each(|o| o.event(&event));
        }
        let (result, summary) = done?;
        *self.last.lock().unwrap_or_else(|e| e.into_inner()) = Some(summary);
        Ok(result)
    }

    /// What the last finished run did and used.
    pub fn last_summary(&self) -> Option<Summary> {
        self.last.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Ends the run that is going on, soon, with [`ErrorKind::Cancelled`]. Safe to call from a signal
    /// handler.
    pub fn cancel(&self) {
        self.cancel.store(true, Relaxed);
    }

    /// From now on Ctrl-C cancels what the session runs: its files are removed, and the program gets
    /// [`ErrorKind::Cancelled`]. A second Ctrl-C, or one while nothing runs, ends the process with
    /// status 130.
    ///
    /// Takes a session that lives on: `Session::global()?`, or an `Arc<Session>`.
    ///
    /// # Errors
    /// If the process handles interrupts already.
    #[cfg(feature = "interrupt")]
    pub fn cancel_on_interrupt(
        session: impl std::ops::Deref<Target = Session> + Send + 'static,
    ) -> Result<()> {
        crate::diagnostics::on_interrupt(move || {
            // whoever runs holds the lock
            let runs = session.running.try_lock().is_err();
            session.cancel();
            runs
        })
    }
}
