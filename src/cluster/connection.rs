//! A client's connection to a scheduler: submits plans, watches them, fetches what comes back, and asks again when something was lost.

use super::access::Access;
use super::deaths::Deaths;
use super::inbox::Inbox;
use super::layout::Layout;
use super::progress::Progress;
use super::scratch::Scratch;
use super::status::{self, Status};
use super::tls::Tls;
use super::token::Token;
use super::{failure, node, rows, wire};
use crate::block::{BatchSink, Block};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Summary};
use crate::expr::frame::Relation;
use crate::plan::{Destination, Target};
use crate::schedule::Runtime;
use arrow::array::RecordBatch;
use ballista_core::client::BallistaClient;
use ballista_core::extension::{BallistaConfigGrpcEndpoint, SessionConfigExt};
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobStatusParams, KeyValuePair, PartitionLocation,
    execute_query_result, job_status,
};
use ballista_core::version::insert_version_header;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::{StreamExt, TryStreamExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// The longest message between processes, in bytes.
pub(super) const MESSAGE_BYTES: usize = 256 << 20;
/// Pauses between looks at a job: short ones first, so that small jobs end soon.
const LOOKS: [u64; 2] = [4, 50];
/// How often progress is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// How a client works with a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory limit in bytes that plans are made for: no more than the workers'. Default: `BLOCKWISE_MEMORY_LIMIT`, else 1 GiB.
    pub memory_limit: u64,
    /// Shards that a stage is cut into at most; 0 (default) for four per worker.
    pub shards: usize,
    /// How often a computation is submitted before it fails. Default: 4.
    pub tries: usize,
    /// With how many workers a shard may die before it is refused. Default: 3; two deaths of workers that were taken away are no rare chance.
    pub deaths: usize,
    /// After how long without any progress it is submitted again. Default: 10 minutes.
    pub stall: Duration,
    /// After how long it fails, come what may. Default: never.
    pub deadline: Option<Duration>,
    /// How long to wait for a scheduler that does not answer, and for a first worker. Default: 30 s.
    pub patience: Duration,
    /// A directory or URL that this process and all workers see, where arrays and rows in memory of more than 16 MiB are put for a run. Default:
    /// `BLOCKWISE_SCRATCH`; without one they are refused.
    pub scratch: Option<PathBuf>,
    /// What the scheduler and the workers want to hear. Default: `BLOCKWISE_TOKEN`.
    pub token: Token,
    /// Whose certificates to trust; then the scheduler's address begins with `https`. Default: what [`Tls::from_env`] finds.
    pub tls: Option<Tls>,
}

impl Options {
    /// The defaults.
    ///
    /// # Errors
    /// If an environment variable holds nonsense.
    pub fn from_env() -> Result<Options> {
        let memory_limit = match std::env::var("BLOCKWISE_MEMORY_LIMIT") {
            Ok(text) => crate::config::parse_bytes(&text)?,
            Err(_) => 1 << 30,
        };
        Ok(Options {
            memory_limit,
            shards: 0,
            tries: 4,
            deaths: 3,
            stall: Duration::from_secs(600),
            deadline: None,
            patience: Duration::from_secs(30),
            scratch: std::env::var_os("BLOCKWISE_SCRATCH").map(PathBuf::from),
            token: Token::from_env()?,
            tls: Tls::from_env()?,
        })
    }
}

/// A scheduler to which computations are sent.
pub struct Connection {
    url: String,
    options: Options,
    access: Access,
    runtime: tokio::runtime::Runtime,
    /// The scheduler as it was last called; made anew after trouble.
    known: Mutex<Option<Scheduler>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.url)
    }
}

/// Says of every call which version of the engine makes it.
#[derive(Clone)]
struct Stamp;

impl tonic::service::Interceptor for Stamp {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        insert_version_header(request.metadata_mut());
        Ok(request)
    }
}

type Scheduler = SchedulerGrpcClient<InterceptedService<Channel, Stamp>>;

/// Why a try ended.
enum Trouble {
    /// The next one would end alike.
    Final(Error),
    /// Something was lost on the way.
    Again(String),
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Trouble {
        match e.kind() {
            ErrorKind::Wire { .. } => Trouble::Again(e.to_string()),
            _ => Trouble::Final(e),
        }
    }
}

impl Connection {
    /// Connects to a scheduler, such as `http://localhost:50050`, or `https://...` where there is TLS.
    ///
    /// # Errors
    /// If that is no address; [`ErrorKind::Cluster`] if it does not answer in time, or is of another version.
    pub fn open(url: &str, options: Options) -> Result<Connection> {
        let url = url.trim_end_matches('/').to_owned();
        let access = Access { token: options.token.clone(), tls: options.tls.clone() };
        access.host_and_port(&url)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("blockwise-client")
            .enable_all()
            .build()
            .map_err(|e| cluster(&url, "connecting", e.to_string()))?;
        let connection = Connection { url, options, access, runtime, known: Mutex::default() };
        let status = connection.wait(connection.status_when_there())?;
        if status.version != env!("CARGO_PKG_VERSION") {
            let message = format!(
                "it runs version {}, this is {}: use one version everywhere",
                status.version,
                env!("CARGO_PKG_VERSION")
            );
            return Err(cluster(&connection.url, "connecting", message));
        }
        Ok(connection)
    }

    /// The scheduler's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How it works.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The scheduler's workers and jobs.
    ///
    /// # Errors
    /// [`ErrorKind::Cluster`] if it does not answer.
    pub fn status(&self) -> Result<Status> {
        self.wait(self.ask())
    }

    /// Runs targets on the cluster; for each, its block if it goes to memory.
    ///
    /// # Errors
    /// Planning errors before any work; [`ErrorKind::Worker`] with what a worker met; [`ErrorKind::Cluster`] if too much was lost too often,
    /// or a deadline passed.
    pub fn run(&self, targets: &[Target], rt: &Runtime<'_>) -> Result<(Vec<Option<Block>>, Summary)> {
        let sent: Vec<Target> = targets
            .iter()
            .map(|t| Target {
                expr: t.expr.clone(),
                destination: match &t.destination {
                    Destination::Into(_) | Destination::Stay => Destination::Memory,
                    other => other.clone(),
                },
            })
            .collect();
        let (shards, limit) = (self.shards()?, self.options.memory_limit);
        let mut scratch = Scratch::below(self.options.scratch.clone());
        let encoded = wire::encode(&sent, limit, shards, &mut scratch)?;
        let job = wire::number(&encoded.bytes);
        let layout = Layout::new(job, &sent, &encoded.by_workers, limit, shards)?;
        self.run_layout(encoded.bytes, &layout, rt, |inbox| inbox.finish(targets, &encoded.by_workers))
    }

    /// Runs a frame's relation on the cluster; its rows, unless they go to a sink. What only goes over results of passes over files is done
    /// here, where they are put together.
    ///
    /// # Errors
    /// As [`Connection::run`]; [`ErrorKind::Unsupported`] for what cannot be done on a cluster, before any work.
    pub fn run_frame(
        &self,
        relation: &Relation,
        sink: Option<Arc<dyn BatchSink>>,
        rt: &Runtime<'_>,
    ) -> Result<(Vec<RecordBatch>, Summary)> {
        let limit = self.options.memory_limit;
        let sink = sink.map(rows::as_workers_see_it);
        let spread = rows::spread(relation, sink.clone(), limit)?;
        let shards = self.shards()?;
        let mut scratch = Scratch::below(self.options.scratch.clone());
        let bytes = wire::frame::encode(relation, sink.as_deref(), limit, shards, &mut scratch)?;
        let layout = Layout::of_rows(wire::number(&bytes), spread, limit, shards)?;
        self.run_layout(bytes, &layout, rt, |inbox| inbox.finish_rows(rt))
    }

    /// Shards that a stage is cut into at most.
    fn shards(&self) -> Result<usize> {
        let status = self.wait(self.status_when_there())?;
        Ok(match self.options.shards {
            0 => (4 * status.workers.len()).clamp(4, 1024),
            n => n,
        })
    }

    /// Runs a layout, and ends it with what came.
    fn run_layout<T>(
        &self,
        bytes: Vec<u8>,
        layout: &Layout,
        rt: &Runtime<'_>,
        end: impl FnOnce(Inbox<'_>) -> Result<(T, Summary)>,
    ) -> Result<(T, Summary)> {
        let started = Instant::now();
        let bytes: Arc<[u8]> = bytes.into();
        let tell = |event: Event| rt.observers.iter().for_each(|o| o.event(&event));
        tell(Event::RunStarted { stages: layout.stages(), tasks: layout.tasks() });
        let mut inbox = Inbox::new(layout, rt);
        let outcome = self.tries(&bytes, layout, &mut inbox, started, rt.cancel, &tell);
        let outcome = outcome.and_then(|()| end(inbox));
        let mut summary = outcome.as_ref().map(|(_, s)| s.clone()).unwrap_or_default();
        (summary.ok, summary.elapsed) = (outcome.is_ok(), started.elapsed());
        tell(Event::RunFinished(summary.clone()));
        outcome.map(|(done, _)| (done, summary))
    }

    fn tries(
        &self,
        bytes: &Arc<[u8]>,
        layout: &Layout,
        inbox: &mut Inbox<'_>,
        started: Instant,
        cancel: &AtomicBool,
        tell: &(dyn Fn(Event) + Sync),
    ) -> Result<()> {
        let (mut told, mut deaths) = (vec![], Deaths::default());
        let mut progress = Progress::new(layout, tell);
        for _ in 0..self.options.tries.max(1) {
            let limits = (started, cancel);
            match self.wait(self.attempt(bytes, layout, inbox, limits, &mut deaths, &mut progress)) {
                Ok(()) => {
                    progress.stages_done(layout.stages());
                    return Ok(());
                }
                Err(Trouble::Final(e)) => return Err(e),
                Err(Trouble::Again(why)) => {
                    // the scheduler may be about to start again
                    *self.known() = None;
                    self.wait(self.status_when_there())?;
                    tell(Event::SubmittedAgain { why: why.clone() });
                    told.push(why);
                }
            }
        }
        let workers = self.status().map(|s| s.in_words()).unwrap_or_else(|e| e.to_string());
        let message = format!("gave up after {} tries: {}; {workers}", told.len(), told.join("; then "));
        Err(cluster(&self.url, "running", message))
    }

    /// Runs a future to its end on a thread of its own: the caller's may be one that a runtime forbids to wait.
    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.runtime.block_on(future));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    async fn ask(&self) -> Result<Status> {
        status::fetch(&self.url, &self.access, Duration::from_secs(5)).await
    }

    /// The status of a scheduler that may be about to start.
    async fn status_when_there(&self) -> Result<Status> {
        let until = Instant::now() + self.options.patience;
        loop {
            match self.ask().await {
                Ok(status) => return Ok(status),
                Err(e) if Instant::now() >= until => return Err(e),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn scheduler(&self) -> Result<Scheduler, Trouble> {
        if let Some(known) = &*self.known() {
            return Ok(known.clone());
        }
        let failed = |e: tonic::transport::Error| Trouble::Again(format!("connecting: {e}"));
        let endpoint = tonic::transport::Endpoint::new(self.url.clone())
            .map_err(|e| Trouble::Final(cluster(&self.url, "connecting", e.to_string())))?;
        let endpoint = (self.access.endpoint())(endpoint.timeout(Duration::from_secs(20)));
        let endpoint = endpoint.map_err(|e| Trouble::Final(Error::internal(e.to_string())))?;
        let channel = endpoint.connect().await.map_err(failed)?;
        let client = SchedulerGrpcClient::with_interceptor(channel, Stamp);
        let client = client.max_encoding_message_size(MESSAGE_BYTES).max_decoding_message_size(MESSAGE_BYTES);
        *self.known() = Some(client.clone());
        Ok(client)
    }

    fn known(&self) -> MutexGuard<'_, Option<Scheduler>> {
        self.known.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Submits the computation once and collects its results.
    async fn attempt(
        &self,
        bytes: &Arc<[u8]>,
        layout: &Layout,
        inbox: &mut Inbox<'_>,
        limits: (Instant, &AtomicBool),
        deaths: &mut Deaths,
        progress: &mut Progress<'_>,
    ) -> Result<(), Trouble> {
        let mut scheduler = self.scheduler().await?;
        let job = self.submit(&mut scheduler, bytes, layout).await?;
        let parts = match self.watch(&mut scheduler, &job, layout, limits, deaths, progress).await {
            Ok(parts) => parts,
            Err(trouble) => {
                // best effort: it may be gone already, with the scheduler
                let _ = scheduler.cancel_job(CancelJobParams { job_id: job }).await;
                return Err(trouble);
            }
        };
        let parts = parts.into_iter().map(|part| Box::pin(fetch(part, self.access.clone())));
        let mut rows = futures::stream::iter(parts).flatten_unordered(4);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let payloads = node::payloads(&batch).map_err(|e| Trouble::Again(e.to_string()))?;
            for payload in payloads.iter().flatten() {
                inbox.put(payload)?;
            }
        }
        Ok(inbox.complete()?)
    }

    async fn submit(
        &self,
        scheduler: &mut Scheduler,
        bytes: &Arc<[u8]>,
        layout: &Layout,
    ) -> Result<String, Trouble> {
        let internal = |e: datafusion::error::DataFusionError| Trouble::Final(failure::from_engine(e));
        let plan = node::plan(bytes, layout).map_err(internal)?;
        let codec = node::Codec::new(None);
        let message = PhysicalPlanNode::try_from_physical_plan(plan, &*codec).map_err(internal)?;
        let mut query = vec![];
        message.try_encode(&mut query).map_err(internal)?;
        if query.len() > MESSAGE_BYTES {
            let message =
                format!("the plan takes {} bytes, more than the {MESSAGE_BYTES} of a message", query.len());
            return Err(Trouble::Final(cluster(&self.url, "submitting", message)));
        }
        let number = wire::number(bytes);
        let settings = settings(&self.access);
        let query = ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(query)),
            settings,
            session_id: "blockwise".into(),
            operation_id: format!("{number:016x}"),
        };
        let refused = |e: tonic::Status| match e.code() {
            tonic::Code::FailedPrecondition => {
                Trouble::Final(cluster(&self.url, "submitting", e.message().to_owned()))
            }
            _ => Trouble::Again(format!("submitting: {}", e.message())),
        };
        let answer = scheduler.execute_query(query).await.map_err(refused)?.into_inner();
        match answer.result {
            Some(execute_query_result::Result::Success(success)) => Ok(success.job_id),
            other => Err(Trouble::Final(cluster(&self.url, "submitting", format!("refused: {other:?}")))),
        }
    }

    /// Waits until a job ends; where its results are.
    async fn watch(
        &self,
        scheduler: &mut Scheduler,
        job: &str,
        layout: &Layout,
        (started, cancel): (Instant, &AtomicBool),
        deaths: &mut Deaths,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<PartitionLocation>, Trouble> {
        let mut looks = 0;
        let mut watched = Instant::now();
        let mut moved = (String::new(), Instant::now());
        let (mut unknown, mut alone) = (None::<Instant>, None::<Instant>);
        loop {
            let answer = scheduler.get_job_status(GetJobStatusParams { job_id: job.to_owned() }).await;
            let answer = answer.map_err(|e| Trouble::Again(format!("the scheduler: {}", e.message())))?;
            let status = answer.into_inner().status.and_then(|s| s.status);
            match status {
                Some(job_status::Status::Successful(done)) => return Ok(done.partition_location),
                Some(job_status::Status::Failed(failed)) => return Err(self.failed(&failed.error)),
                Some(_) => unknown = None,
                None if unknown.get_or_insert_with(Instant::now).elapsed() > self.options.patience => {
                    return Err(Trouble::Again("the scheduler does not know the job".into()));
                }
                None => {}
            }
            if cancel.load(Relaxed) {
                return Err(Trouble::Final(ErrorKind::Cancelled.into()));
            }
            if self.options.deadline.is_some_and(|limit| started.elapsed() > limit) {
                let message = format!("not done {:.1} s after it began", started.elapsed().as_secs_f64());
                return Err(Trouble::Final(cluster(&self.url, "running", message)));
            }
            if watched.elapsed() > WATCH {
                watched = Instant::now();
                let now = self.ask().await;
                if let Ok(now) = now {
                    deaths.look(&now, job);
                    if let Some(why) = deaths.worst(self.options.deaths, layout) {
                        return Err(Trouble::Final(cluster(&self.url, "running", why)));
                    }
                    let since = alone.take().filter(|_| now.workers.is_empty());
                    if now.workers.is_empty() {
                        let since = since.unwrap_or_else(Instant::now);
                        if since.elapsed() > self.options.patience {
                            let why = deaths.worst(1, layout).map(|why| format!("; {why}"));
                            let patience = self.options.patience;
                            let message = format!("no worker for {patience:?}{}", why.unwrap_or_default());
                            return Err(Trouble::Final(cluster(&self.url, "running", message)));
                        }
                        alone = Some(since);
                    }
                    if let Some(known) = now.jobs.iter().find(|j| j.job == job) {
                        progress.look(known);
                    }
                    let own = now.progress(job);
                    if own != moved.0 {
                        moved = (own, Instant::now());
                    }
                }
                if moved.1.elapsed() > self.options.stall {
                    let (state, stall) = (&moved.0, self.options.stall);
                    return Err(Trouble::Again(format!("no progress for {stall:?} ({state})")));
                }
            }
            looks += 1;
            let pause = if looks < 100 { LOOKS[0] } else { LOOKS[1] };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn failed(&self, text: &str) -> Trouble {
        match failure::find(text) {
            Some(f) if f.again => Trouble::Again(format!("worker {}, {}: {}", f.worker, f.place, f.message)),
            Some(f) => {
                let kind = ErrorKind::Worker { worker: f.worker, place: f.place, message: f.message };
                Trouble::Final(kind.into())
            }
            None => Trouble::Again(text.chars().take(500).collect()),
        }
    }
}

fn cluster(url: &str, action: &'static str, message: String) -> Error {
    ErrorKind::Cluster { url: url.to_owned(), action, message }.into()
}

/// What the engine must be told with a job.
fn settings(access: &Access) -> Vec<KeyValuePair> {
    let message = MESSAGE_BYTES.to_string();
    let own = [
        ("ballista.scheduler.max_partitions_per_task", "1"),
        ("ballista.planner.adaptive.enabled", "false"),
        ("ballista.planner.coalesce.enabled", "false"),
        ("ballista.planner.propagate_empty.enabled", "false"),
        ("ballista.client.grpc_max_message_size", message.as_str()),
        ("ballista.client.use_tls", if access.tls.is_some() { "true" } else { "false" }),
        // our rows are long: what the engine holds of them is beside the workers' memory limit
        ("ballista.shuffle.sort_based.memory_limit_per_task_bytes", "16777216"),
        ("ballista.shuffle.reader.max_bytes_in_flight", "16777216"),
    ];
    let mut config = SessionConfig::new_with_ballista();
    for (key, value) in own {
        config = config.set_str(key, value);
    }
    let entries = config.options().entries();
    entries.into_iter().map(|e| KeyValuePair { key: e.key, value: e.value }).collect()
}

/// Nothing for this long means that whoever holds the rows is gone.
const SILENCE: Duration = Duration::from_secs(20);

fn lost(e: impl std::fmt::Display) -> Trouble {
    Trouble::Again(format!("fetching results: {e}"))
}

fn silent(_: tokio::time::error::Elapsed) -> Trouble {
    lost(format!("nothing came for {SILENCE:?}"))
}

/// The rows of one place.
fn fetch(
    location: PartitionLocation,
    access: Access,
) -> impl futures::Stream<Item = Result<RecordBatch, Trouble>> {
    let rows = async move {
        let stream = tokio::time::timeout(SILENCE, open(location, &access)).await.map_err(silent)??;
        let timed = futures::stream::try_unfold(stream, |mut stream| async move {
            let next = tokio::time::timeout(SILENCE, stream.next()).await.map_err(silent)?;
            Ok(next.transpose().map_err(lost)?.map(|batch| (batch, stream)))
        });
        Ok::<_, Trouble>(timed)
    };
    futures::stream::once(rows).try_flatten()
}

async fn open(location: PartitionLocation, access: &Access) -> Result<SendableRecordBatchStream, Trouble> {
    let (layout, file) = (location.layout(), location.file_id);
    let (Some(worker), Some(partition)) = (location.executor_meta, location.partition_id) else {
        return Err(lost("a place without a worker"));
    };
    let port = worker.port as u16;
    let (calls, secured) = (BallistaConfigGrpcEndpoint::new(access.endpoint()), access.tls.is_some());
    let calls = Some(Arc::new(calls));
    let client = BallistaClient::try_new(&worker.host, port, MESSAGE_BYTES, secured, calls, 1, 100, 0, 0);
    let mut client = client.await.map_err(lost)?;
    client.fetch_partition(&worker.id, &partition.into(), file, layout, true).await.map_err(lost)
}
