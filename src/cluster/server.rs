//! The processes of a cluster: a scheduler and workers, each around the engine's.

use super::access::Access;
use super::connection::MESSAGE_BYTES;
use super::node::Codec;
use super::status::{EndedShard, JobStatus, ShardPlace, Status, WorkerStatus};
use super::tls::Tls;
use super::token::Token;
use super::worker::Host;
use crate::backend::Device;
use crate::block::Block;
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{BlockContext, register_function};
use arrow_flight::flight_service_server::FlightServiceServer;
use axum::routing::get;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::protobuf::{RunningTask, task_status::Status as TaskState};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::shutdown::Shutdown;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a scheduler runs.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// Address that it listens on; loopback by default. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// After how many seconds of silence a worker is given up, and what it ran is run elsewhere. A busy worker is heard of every 5 s.
    pub worker_timeout: u64,
    /// What those who call must know; nothing by default.
    pub token: Token,
    /// Certificates, if calls are to be made by TLS; none by default.
    pub tls: Option<Tls>,
}

impl Default for SchedulerOptions {
    fn default() -> SchedulerOptions {
        SchedulerOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 50050)),
            worker_timeout: 20,
            token: Token::default(),
            tls: None,
        }
    }
}

type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

fn failed(action: &'static str) -> impl Fn(String) -> Error {
    move |message| ErrorKind::Cluster { url: "this process".into(), action, message }.into()
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|e| failed("starting")(e.to_string()))
}

/// Runs a scheduler until the process is asked to end. Calls `ready` with its address when it listens.
///
/// The same port answers workers, clients, and over HTTP `/healthz` (it runs), `/readyz` (it has workers) and `/status` (JSON).
///
/// # Errors
/// [`ErrorKind::Cluster`] if it cannot listen.
pub fn run_scheduler(options: &SchedulerOptions, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let failed = failed("running the scheduler");
    let access = Access { token: options.token.clone(), tls: options.tls.clone() };
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(options.listen).await;
        let listener = listener.map_err(|e| failed(format!("listening on {}: {e}", options.listen)))?;
        let address = listener.local_addr().map_err(|e| failed(e.to_string()))?;
        let config = SchedulerConfig {
            bind_host: address.ip().to_string(),
            bind_port: address.port(),
            external_host: address.ip().to_string(),
            scheduling_policy: TaskSchedulingPolicy::PullStaged,
            executor_timeout_seconds: options.worker_timeout,
            expire_dead_executor_interval_seconds: 1,
            no_executors_grace_period_seconds: options.worker_timeout.max(60),
            finished_job_data_clean_up_interval_seconds: 60,
            finished_job_state_clean_up_interval_seconds: 600,
            grpc_server_max_decoding_message_size: MESSAGE_BYTES as u32,
            grpc_server_max_encoding_message_size: MESSAGE_BYTES as u32,
            grpc_client_max_message_size: MESSAGE_BYTES as u32,
            override_physical_codec: Some(Codec::new(None)),
            override_create_grpc_client_endpoint: Some(access.endpoint()),
            ..SchedulerConfig::default()
        };
        let cluster = BallistaCluster::new_from_config(&config).await.map_err(|e| failed(e.to_string()))?;
        let server: Server =
            create_scheduler(cluster, Arc::new(config)).await.map_err(|e| failed(e.to_string()))?;
        let calls = SchedulerGrpcServer::new(server.clone())
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES);
        let routes = tonic::service::Routes::new(calls).into_axum_router();
        let (ready_server, status_server) = (server.clone(), server);
        let routes = routes
            .route("/healthz", get(|| async { "ok" }))
            .route("/readyz", get(move || readiness(ready_server.is_ready())))
            .route("/status", get(move || async move { status(&status_server).await }));
        ready(address);
        tokio::select! {
            ended = access.serve(listener, routes, std::future::pending()) => ended.map_err(|e| failed(e.to_string())),
            () = asked_to_end() => Ok(()),
        }
    })
}

async fn readiness(ready: bool) -> (axum::http::StatusCode, &'static str) {
    match ready {
        true => (axum::http::StatusCode::OK, "ready"),
        false => (axum::http::StatusCode::SERVICE_UNAVAILABLE, "no workers"),
    }
}

/// The scheduler's status as JSON.
async fn status(server: &Server) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let workers = server.state.executor_manager.get_executors_state().await.unwrap_or_default();
    let workers = workers.into_iter().map(|(worker, heard, _)| WorkerStatus {
        name: worker.id,
        address: format!("{}:{}", worker.host, worker.port),
        silent_seconds: heard.map_or(0, |at| now.saturating_sub(at).as_secs()),
    });
    let workers = workers.collect();
    let mut jobs = vec![];
    for (job, known) in server.state.task_manager.get_running_job_cache().iter() {
        let graph = known.execution_graph.read().await;
        let (mut running, mut ended) = (vec![], vec![]);
        for stage in graph.stages().values() {
            shards(stage, &mut running, &mut ended);
        }
        running.sort();
        ended.sort();
        let (stages_done, waiting) = (graph.completed_stages(), graph.available_tasks());
        jobs.push(JobStatus { job: job.to_string(), stages_done, waiting, running, ended });
    }
    jobs.sort_by(|a, b| a.job.cmp(&b.job));
    let status = Status { version: env!("CARGO_PKG_VERSION").into(), workers, jobs };
    serde_json::to_string(&status).unwrap_or_default()
}

/// The shards of a stage that workers have or had: partitions are shards, and the engine counts stages from 1.
fn shards(stage: &ExecutionStage, running: &mut Vec<ShardPlace>, ended: &mut Vec<EndedShard>) {
    let (number, tasks) = match stage {
        ExecutionStage::Running(stage) => (stage.stage_id, &stage.task_infos),
        ExecutionStage::Successful(stage) => (stage.stage_id, &stage.task_infos),
        _ => return,
    };
    let stage = number.saturating_sub(1);
    for task in tasks {
        let Some(&shard) = task.global_input_partition_ids.first() else { continue };
        let place = |worker: &str| ShardPlace { stage, shard, worker: worker.into() };
        match &task.task_status {
            TaskState::Running(RunningTask { executor_id }) => running.push(place(executor_id)),
            TaskState::Successful(done) => {
                let millis = task.end_exec_time.saturating_sub(task.start_exec_time) as u64;
                ended.push(EndedShard { place: place(&done.executor_id), millis });
            }
            TaskState::Failed(_) => {}
        }
    }
}

async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = term.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The scheduler's address, such as `http://localhost:50050`.
    pub scheduler: String,
    /// Address on which other workers and clients fetch what it made; loopback by default. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The host's name as others reach it. Default: the address it listens on.
    pub host: Option<String>,
    /// Its name in reports and errors. Default: the host's name and the process' number.
    pub name: Option<String>,
    /// Kernels that run at once. Default: `BLOCKWISE_THREADS`, else the cores this process may use.
    pub threads: Option<usize>,
    /// The most bytes that blocks may take at once. Default: `BLOCKWISE_MEMORY_LIMIT`, else 70 % of the memory.
    pub memory_limit: Option<u64>,
    /// Directory for what it made and for spill files. Default: one below the system's for such files.
    pub work_dir: Option<PathBuf>,
    /// Address of `/healthz` and `/readyz`, if wanted.
    pub health: Option<SocketAddr>,
    /// Shards that come in at once; one at a time runs.
    pub slots: usize,
    /// What those who call must know, and what it says itself; nothing by default.
    pub token: Token,
    /// Certificates, if calls are to be made by TLS; none by default.
    pub tls: Option<Tls>,
}

impl Default for WorkerOptions {
    fn default() -> WorkerOptions {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        WorkerOptions {
            scheduler: "http://localhost:50050".into(),
            listen: loopback,
            host: None,
            name: None,
            threads: None,
            memory_limit: None,
            work_dir: None,
            health: None,
            slots: 4,
            token: Token::default(),
            tls: None,
        }
    }
}

/// A worker with functions of its own: the `main` of a program that a cluster's nodes run.
///
/// ```no_run
/// use blockwise::{block::Block, cluster::{WorkerBuilder, WorkerOptions}};
/// WorkerBuilder::new(WorkerOptions { scheduler: "http://scheduler:50050".into(), ..WorkerOptions::default() })
///     .register("double", |_, blocks| Ok(Block::from_array(blocks[0].view::<f64>()?.mapv(|v| 2.0 * v))))?
///     .run()?;
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Debug)]
pub struct WorkerBuilder {
    options: WorkerOptions,
}

impl WorkerBuilder {
    /// A worker without functions of its own.
    pub fn new(options: WorkerOptions) -> WorkerBuilder {
        WorkerBuilder { options }
    }

    /// Adds a function of blocks: see [`register_function`].
    ///
    /// # Errors
    /// If the name is taken.
    pub fn register(
        self,
        name: &str,
        function: impl Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync + 'static,
    ) -> Result<WorkerBuilder> {
        register_function(name, function)?;
        Ok(self)
    }

    /// Runs until the process is asked to end (SIGTERM, Ctrl-C): then it finishes what it runs, takes no more, and leaves.
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if it cannot listen or reach the scheduler for a minute; settings that make no sense.
    pub fn run(self) -> Result<()> {
        let failed = failed("running a worker");
        let options = self.options;
        let host = options.host.clone().unwrap_or_else(|| options.listen.ip().to_string());
        let name = options.name.clone().unwrap_or_else(|| format!("{host}-{}", std::process::id()));
        let threads = options.threads.map_or_else(config::default_threads, Ok)?;
        if threads == 0 || options.slots == 0 {
            return Err(Error::invalid("threads", "must be at least 1"));
        }
        let memory_limit = options.memory_limit.map_or_else(config::default_memory_limit, Ok)?;
        let dir = options.work_dir.clone().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&dir).map_err(|e| Error::io("creating", &dir, e))?;
        let work = tempfile::Builder::new().prefix("blockwise-worker-").tempdir_in(&dir);
        let work = work.map_err(|e| Error::io("creating a directory in", &dir, e))?;
        let access = Access { token: options.token.clone(), tls: options.tls.clone() };
        let (scheduler_host, scheduler_port) = access.host_and_port(&options.scheduler)?;
        let scheduler_host = scheduler_host.to_owned();
        let means =
            Host::new(name.clone(), memory_limit, threads, work.path().to_owned(), &Device::from_env()?)?;
        let endpoint = access.endpoint();
        let (calls, secured) = (endpoint.clone(), access.tls.is_some());
        let config = ExecutorProcessConfig {
            executor_id: name,
            bind_host: options.listen.ip().to_string(),
            external_host: Some(host),
            port: free_port(options.listen).map_err(|e| failed(format!("{}: {e}", options.listen)))?,
            scheduler_host,
            scheduler_port,
            scheduler_connect_timeout_seconds: 60,
            vcores: options.slots,
            task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
            work_dir: Some(work.path().to_string_lossy().into_owned()),
            job_data_ttl_seconds: 24 * 3600,
            job_data_clean_up_interval_seconds: 600,
            grpc_max_decoding_message_size: MESSAGE_BYTES as u32,
            grpc_max_encoding_message_size: MESSAGE_BYTES as u32,
            // what our operators hold is counted by the host's limit
            memory_pool_size: Some(0),
            override_physical_codec: Some(Codec::new(Some(Arc::new(means)))),
            override_create_grpc_client_endpoint: Some(endpoint),
            override_config_producer: Some(Arc::new(move || {
                SessionConfig::new_with_ballista()
                    .with_ballista_override_create_grpc_client_endpoint(calls.clone())
                    .with_ballista_use_tls(secured)
            })),
            override_arrow_flight_service: Some(Arc::new(move |dir, address, shutdown, _| {
                tokio::spawn(serve_rows(dir, address, access.clone(), shutdown))
            })),
            ..ExecutorProcessConfig::default()
        };
        let health = config.health.clone();
        runtime()?.block_on(async {
            if let Some(at) = options.health {
                let listener = tokio::net::TcpListener::bind(at).await;
                let listener = listener.map_err(|e| failed(format!("listening on {at}: {e}")))?;
                let routes = axum::Router::new()
                    .route("/healthz", get(|| async { "ok" }))
                    .route("/readyz", get(move || readiness(health.is_ready())));
                tokio::spawn(async move { axum::serve(listener, routes).await });
            }
            start_executor_process(Arc::new(config)).await.map_err(|e| failed(e.to_string()))
        })
    }
}

/// Gives other workers and clients what this one made.
async fn serve_rows(
    dir: String,
    address: SocketAddr,
    access: Access,
    mut shutdown: Shutdown,
) -> Result<(), BallistaError> {
    let rows = FlightServiceServer::new(BallistaFlightService::new(dir))
        .max_encoding_message_size(MESSAGE_BYTES)
        .max_decoding_message_size(MESSAGE_BYTES);
    let routes = tonic::service::Routes::new(rows).into_axum_router();
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(access.serve(listener, routes, async move { shutdown.recv().await }).await?)
}

/// The port asked for, or a free one.
fn free_port(address: SocketAddr) -> std::io::Result<u16> {
    match address.port() {
        0 => Ok(std::net::TcpListener::bind(address)?.local_addr()?.port()),
        port => Ok(port),
    }
}
