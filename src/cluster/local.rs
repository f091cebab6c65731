//! A cluster on this machine: a scheduler and workers as processes of their own, which end with the value.

use super::connection::Options;
use super::status::Status;
use super::tls::Files;
use super::token::Token;
use crate::config::IntoBytes;
use crate::error::{Error, ErrorKind, Result};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long processes may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Describes a [`LocalCluster`].
#[derive(Clone, Debug)]
pub struct LocalClusterBuilder {
    workers: usize,
    threads: usize,
    memory_limit: u64,
    scheduler_program: Option<PathBuf>,
    worker_program: Option<PathBuf>,
    worker_timeout: u64,
    tls: Files,
}

impl LocalClusterBuilder {
    /// The scheduler's program. Default: `BLOCKWISE_SCHEDULER_PROGRAM`, else `blockwise-scheduler` beside this program.
    pub fn scheduler_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.scheduler_program = Some(program.into());
        self
    }

    /// The workers' program. Default: `BLOCKWISE_WORKER_PROGRAM`, else `blockwise-worker` beside this program.
    pub fn worker_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.worker_program = Some(program.into());
        self
    }

    /// After how many seconds of silence a worker is given up. Default: 20.
    pub fn worker_timeout(mut self, seconds: u64) -> Self {
        self.worker_timeout = seconds;
        self
    }

    /// Has calls made by TLS, with these PEM files: certificates of an authority; one that it has issued for `127.0.0.1`, which all processes share; and
    /// its key. Default: no TLS, since nothing leaves this machine.
    pub fn tls(
        mut self,
        authority: impl Into<PathBuf>,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let (authority, certificate, key) = (authority.into(), certificate.into(), key.into());
        self.tls =
            Files { authority: Some(authority), certificate: Some(certificate), key: Some(key), name: None };
        self
    }

    /// Starts the processes and waits until all workers are there.
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if a program is not found or does not start in time.
    pub fn start(self) -> Result<LocalCluster> {
        if self.workers == 0 || self.threads == 0 {
            return Err(Error::invalid("LocalCluster", "needs at least one worker with one thread"));
        }
        let scheduler =
            find("blockwise-scheduler", "BLOCKWISE_SCHEDULER_PROGRAM", self.scheduler_program.as_deref())?;
        let worker = find("blockwise-worker", "BLOCKWISE_WORKER_PROGRAM", self.worker_program.as_deref())?;
        let dir =
            tempfile::tempdir().map_err(|e| Error::io("creating a directory in", std::env::temp_dir(), e))?;
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut cluster = LocalCluster {
            address: free,
            programs: (scheduler, worker),
            description: self.clone(),
            scheduler: None,
            workers: vec![],
            dir,
            started: 0,
            token: Token::random(),
        };
        cluster.start_scheduler()?;
        for _ in 0..self.workers {
            cluster.start_worker()?;
        }
        cluster.wait_for_workers(self.workers)?;
        Ok(cluster)
    }
}

/// A scheduler and workers as processes on this machine, for tests and laptops. They end when it is dropped, and when this process ends.
#[derive(Debug)]
pub struct LocalCluster {
    address: SocketAddr,
    programs: (PathBuf, PathBuf),
    description: LocalClusterBuilder,
    scheduler: Option<Child>,
    workers: Vec<Child>,
    dir: tempfile::TempDir,
    started: usize,
    /// Others on this machine may reach the ports.
    token: Token,
}

impl LocalCluster {
    /// Starts `workers` workers, each with its threads and its memory limit (a number of bytes, or words such as `"512MiB"`).
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if the programs `blockwise-scheduler` and `blockwise-worker` are not found or do not start.
    pub fn new(workers: usize, threads: usize, memory_limit: impl IntoBytes) -> Result<LocalCluster> {
        LocalCluster::builder(workers, threads, memory_limit)?.start()
    }

    /// Starts to describe a cluster.
    ///
    /// # Errors
    /// If the memory limit is no size.
    pub fn builder(
        workers: usize,
        threads: usize,
        memory_limit: impl IntoBytes,
    ) -> Result<LocalClusterBuilder> {
        let (scheduler_program, worker_program) = (None, None);
        let memory_limit = memory_limit.into_bytes()?;
        Ok(LocalClusterBuilder {
            workers,
            threads,
            memory_limit,
            scheduler_program,
            worker_program,
            worker_timeout: 20,
            tls: Files::default(),
        })
    }

    /// The scheduler's address.
    pub fn url(&self) -> String {
        let scheme = if self.description.tls.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// How a client works with it: plans are made for the workers' memory limit.
    ///
    /// # Errors
    /// If an environment variable holds nonsense.
    pub fn options(&self) -> Result<Options> {
        let (memory_limit, token) = (self.description.memory_limit, self.token.clone());
        // what is on this machine all see
        let scratch = Some(self.dir.path().to_owned());
        Ok(Options {
            memory_limit,
            token,
            scratch,
            tls: self.description.tls.load()?,
            ..Options::from_env()?
        })
    }

    /// The process numbers of the workers, in the order in which they were started.
    pub fn worker_ids(&self) -> Vec<u32> {
        self.workers.iter().map(Child::id).collect()
    }

    /// The process number of the scheduler.
    pub fn scheduler_id(&self) -> Option<u32> {
        self.scheduler.as_ref().map(Child::id)
    }

    /// Starts one more worker; it takes part when it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if its program does not start.
    pub fn start_worker(&mut self) -> Result<u32> {
        let mut command = Command::new(&self.programs.1);
        command
            .args(["--scheduler", &self.url(), "--listen", "127.0.0.1:0"])
            .args(["--name", &format!("worker-{}", self.started)])
            .args(["--threads", &self.description.threads.to_string()])
            .args(["--memory-limit", &self.description.memory_limit.to_string()])
            .arg("--work-dir")
            .arg(self.dir.path())
            .arg("--exit-with-stdin");
        self.started += 1;
        self.admit(&mut command);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|e| failed(&self.programs.1, e.to_string()))?;
        let id = child.id();
        self.workers.push(child);
        Ok(id)
    }

    /// Ends a worker at once, as a crash would, by its place in [`LocalCluster::worker_ids`].
    ///
    /// # Errors
    /// If there is no such worker, or it cannot be ended.
    pub fn kill_worker(&mut self, place: usize) -> Result<()> {
        let Some(worker) = self.workers.get_mut(place) else {
            return Err(Error::invalid("kill_worker", format!("there is no worker {place}")));
        };
        worker
            .kill()
            .and_then(|()| worker.wait())
            .map(drop)
            .map_err(|e| failed(&self.programs.1, e.to_string()))
    }

    /// Ends the scheduler at once and starts another at its address; what it knew of jobs is lost.
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if it does not start.
    pub fn restart_scheduler(&mut self) -> Result<()> {
        if let Some(mut scheduler) = self.scheduler.take() {
            let ended = scheduler.kill().and_then(|()| scheduler.wait());
            ended.map_err(|e| failed(&self.programs.0, e.to_string()))?;
        }
        self.start_scheduler()
    }

    /// Tells a process what the others want to hear; how this process calls other clusters is no concern of it.
    fn admit(&self, command: &mut Command) {
        command.env("BLOCKWISE_TOKEN", self.token.word().unwrap_or_default());
        for (variable, value) in self.description.tls.variables() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
    }

    fn start_scheduler(&mut self) -> Result<()> {
        let program = &self.programs.0;
        let mut command = Command::new(program);
        self.admit(&mut command);
        let mut child = command
            .args(["--listen", &self.address.to_string()])
            .args(["--worker-timeout", &self.description.worker_timeout.to_string()])
            .arg("--exit-with-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(program, e.to_string()))?;
        // its first line says where it listens
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            let read = BufReader::new(out).read_line(&mut line);
            read.map_err(|e| failed(program, e.to_string()))?;
        }
        self.scheduler = Some(child);
        let address = line.trim().strip_prefix("listening on ").and_then(|a| a.parse().ok());
        self.address = address.ok_or_else(|| failed(program, format!("did not start: {line:?}")))?;
        Ok(())
    }

    fn wait_for_workers(&self, count: usize) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = super::Connection::open(&self.url(), self.options()?)?.status()?;
            if status.workers.len() >= count {
                return Ok(());
            }
            if Instant::now() > until {
                let message = format!("{} of {count} workers after {PATIENCE:?}", status.workers.len());
                return Err(failed(&self.programs.1, message));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the scheduler says of itself.
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if it does not answer.
    pub fn status(&self) -> Result<Status> {
        super::Connection::open(&self.url(), self.options()?)?.status()
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain(&mut self.scheduler) {
            // it may have ended already
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn failed(program: &Path, message: String) -> Error {
    let url = program.display().to_string();
    ErrorKind::Cluster { url, action: "starting a process", message }.into()
}

/// A program: the one given, or named by the environment, or beside this one.
fn find(name: &str, variable: &str, given: Option<&Path>) -> Result<PathBuf> {
    let from_env = std::env::var_os(variable).map(PathBuf::from);
    if let Some(program) = given.map(Path::to_owned).or(from_env) {
        return Ok(program);
    }
    let own = std::env::current_exe().map_err(|e| failed(Path::new(name), e.to_string()))?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    // examples and tests are one directory below the programs
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(&file)).find(|p| p.is_file());
    found.ok_or_else(|| {
        let message = format!("not found beside {}: build it, or set {variable}", own.display());
        failed(Path::new(name), message)
    })
}
