//! One stage of ours as an operator of the engine, its wire form, and the whole plan that is submitted.
//!
//! The leaf is of a kind that the engine's scheduler can cut into tasks: rows in memory, one for each shard of the first stage. Above it,
//! stages alternate with repartitions by the hash of `target`.

use super::layout::Layout;
use super::piece::{Id, Kind, Row};
use super::shard::Incoming;
use super::worker::Host;
use super::{failure, wire};
use arrow::array::{Array, ArrayRef, LargeBinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::Time;
use datafusion::physical_plan::repartition::{BatchPartitioner, RepartitionExec};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use futures::StreamExt;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// First bytes of an operator of ours; no message of the engine's begins with a zero.
const MAGIC: &[u8] = b"\0blockwise stage 1\0";

/// What earlier stages made lies ready: if nothing comes for so long, whoever holds it is gone or stands still. The engine's calls have no limit of
/// their own.
const SILENCE: Duration = Duration::from_secs(30);

/// `target`: who gets a row; `source`: the number of its piece; `payload`: see [`super::piece`].
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("target", DataType::UInt64, false),
        Field::new("source", DataType::UInt64, false),
        Field::new("payload", DataType::LargeBinary, false),
    ]))
});

/// Bytes of rows that are sent together: a batch of one short row each would cost more than the rows.
const BATCH_BYTES: usize = 1 << 20;

/// Rows that wait to be sent together.
#[derive(Default)]
struct Waiting {
    targets: Vec<u64>,
    sources: Vec<u64>,
    payloads: Vec<Vec<u8>>,
    bytes: usize,
}

impl Waiting {
    fn add(&mut self, target: u64, row: &Row<'_>) {
        let payload = row.to_bytes();
        self.bytes += payload.len();
        self.targets.push(target);
        self.sources.push(row.id.number as u64);
        self.payloads.push(payload);
    }

    fn into_batch(self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(self.targets)),
            Arc::new(UInt64Array::from(self.sources)),
            Arc::new(LargeBinaryArray::from_iter_values(self.payloads)),
        ];
        Ok(RecordBatch::try_new(SCHEMA.clone(), columns)?)
    }
}

/// The way out of a stage, for several threads.
struct Outgoing {
    keys: Arc<[u64]>,
    job: u64,
    waiting: Mutex<Waiting>,
    out: Sender<Result<RecordBatch>>,
}

impl Outgoing {
    fn put(&self, to: usize, id: Id, bytes: &[u8]) -> crate::error::Result<()> {
        let key = self.keys.get(to).copied().unwrap_or(0);
        for row in Row::cut(self.job, to, id, bytes) {
            let full = {
                let mut waiting = self.waiting.lock().unwrap_or_else(|e| e.into_inner());
                waiting.add(key, &row);
                (waiting.bytes >= BATCH_BYTES).then(|| std::mem::take(&mut *waiting))
            };
            full.map_or(Ok(()), |full| self.send(full))?;
        }
        Ok(())
    }

    /// Sends what waits.
    fn finish(self) -> crate::error::Result<()> {
        let rest = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(|e| e.into_inner()));
        if rest.payloads.is_empty() { Ok(()) } else { self.send(rest) }
    }

    fn send(&self, rows: Waiting) -> crate::error::Result<()> {
        let batch = rows.into_batch().map_err(failure::from_engine)?;
        // the stream is dropped when nobody wants it any more
        self.out.blocking_send(Ok(batch)).map_err(|_| crate::error::ErrorKind::Cancelled.into())
    }
}

/// The payloads of a batch.
pub(super) fn payloads(batch: &RecordBatch) -> Result<&LargeBinaryArray> {
    let column = batch.columns().get(2).and_then(|c| c.as_any().downcast_ref::<LargeBinaryArray>());
    column.ok_or_else(|| DataFusionError::Execution("rows of another form than pieces have".into()))
}

fn target() -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new("target", 0))
}

/// For each of `count` shards a number whose hash sends it to a partition of its own, so that none gets two shards while another idles.
fn keys(count: usize) -> Result<Arc<[u64]>> {
    static KNOWN: LazyLock<Mutex<HashMap<usize, Arc<[u64]>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(keys) = known.get(&count) {
        return Ok(keys.clone());
    }
    let mut keys = vec![None; count];
    let mut partitioner = BatchPartitioner::new_hash_partitioner(vec![target()], count, Time::new())?;
    let schema = Arc::new(Schema::new(vec![Field::new("target", DataType::UInt64, false)]));
    let mut first = 0u64;
    while keys.contains(&None) {
        let candidates: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + 1024));
        first += 1024;
        let candidates = RecordBatch::try_new(schema.clone(), vec![candidates])?;
        partitioner.partition(candidates, |partition, some| {
            let some = some.column(0).as_any().downcast_ref::<UInt64Array>().filter(|a| !a.is_empty());
            if let (Some(some), Some(key)) = (some, keys.get_mut(partition)) {
                key.get_or_insert(some.value(0));
            }
            Ok(())
        })?;
    }
    let keys: Arc<[u64]> = keys.into_iter().flatten().collect();
    known.insert(count, keys.clone());
    Ok(keys)
}

/// The plan to submit.
pub(super) fn plan(bytes: &Arc<[u8]>, layout: &Layout) -> Result<Arc<dyn ExecutionPlan>> {
    let job = layout.number;
    let count = layout.shards(0);
    let start = |shard: usize| {
        let id = Id { kind: Kind::Go, stage: 0, root: 0, number: shard };
        let mut rows = Waiting::default();
        Row::cut(job, shard, id, &[]).for_each(|row| rows.add(shard as u64, &row));
        rows.into_batch().map(|batch| vec![batch])
    };
    let starts = (0..count).map(start).collect::<Result<Vec<_>>>()?;
    let mut plan: Arc<dyn ExecutionPlan> = MemorySourceConfig::try_new_exec(&starts, SCHEMA.clone(), None)?;
    for stage in 0..layout.stages() {
        if stage > 0 {
            let hash = Partitioning::Hash(vec![target()], layout.shards(stage));
            plan = Arc::new(RepartitionExec::try_new(plan, hash)?);
        }
        plan = Arc::new(StageExec::new(bytes.clone(), stage as u32, plan, None));
    }
    Ok(plan)
}

/// A stage of ours: takes the rows of its shards, runs them, gives the rows for the next stage.
pub(super) struct StageExec {
    job: Arc<[u8]>,
    stage: u32,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// Only workers run it.
    host: Option<Arc<Host>>,
}

impl StageExec {
    fn new(job: Arc<[u8]>, stage: u32, input: Arc<dyn ExecutionPlan>, host: Option<Arc<Host>>) -> StageExec {
        let count = input.properties().output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(SCHEMA.clone()),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        StageExec { job, stage, input, properties: Arc::new(properties), host }
    }
}

impl fmt::Debug for StageExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockwiseStage({})", self.stage)
    }
}

impl DisplayAs for StageExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockwiseStage: stage={}, job={:x}", self.stage, wire::number(&self.job))
    }
}

/// Ends a run when whoever waits for it is gone.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl ExecutionPlan for StageExec {
    fn name(&self) -> &str {
        "BlockwiseStage"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        match self.stage {
            0 => vec![Distribution::UnspecifiedDistribution],
            _ => vec![Distribution::KeyPartitioned(vec![target()])],
        }
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => {
                Ok(Arc::new(StageExec::new(self.job.clone(), self.stage, input, self.host.clone())))
            }
            _ => Err(DataFusionError::Internal("a stage has one input".into())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(host) = self.host.clone() else {
            return Err(DataFusionError::Execution("only a worker of blockwise runs its stages".into()));
        };
        let mut input = self.input.execute(partition, context)?;
        let (bytes, stage) = (self.job.clone(), self.stage as usize);
        let mut stream = RecordBatchReceiverStream::builder(SCHEMA.clone(), 4);
        let out = stream.tx();
        stream.spawn(async move {
            let cancel = Arc::new(AtomicBool::new(false));
            let _guard = CancelOnDrop(cancel.clone());
            let name = host.name.clone();
            let failed = |e, place: &str| failure::to_engine(e, &name, place);
            let (job, held, own) = (wire::number(&bytes), host.clone(), bytes.clone());
            let incoming = tokio::task::spawn_blocking(move || Incoming::new(held, job, &own, stage));
            let incoming = incoming.await.map_err(|e| DataFusionError::External(Box::new(e)))?;
            let mut incoming = incoming.map_err(|e| failed(e, &format!("stage {stage}")))?;
            loop {
                let silent = |_| {
                    let text = format!("worker {name}: nothing came from earlier stages for {SILENCE:?}");
                    DataFusionError::IoError(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
                };
                let next = tokio::time::timeout(SILENCE, input.next()).await.map_err(silent)?;
                let Some(batch) = next.transpose()? else { break };
                for payload in payloads(&batch)?.iter().flatten() {
                    incoming.put(payload).map_err(|e| failed(e, &incoming.place()))?;
                }
            }
            let place = incoming.place();
            let run = tokio::task::spawn_blocking(move || {
                let keys = incoming.next_keys().map_err(failure::from_engine)?;
                let outgoing = Outgoing { keys, job: incoming.job(), waiting: Mutex::default(), out };
                incoming.run(&|to, id, bytes| outgoing.put(to, id, bytes), &cancel)?;
                outgoing.finish()
            });
            let run = run.await.map_err(|e| DataFusionError::External(Box::new(e)))?;
            run.map_err(|e| failed(e, &place))
        });
        Ok(stream.build())
    }
}

impl Incoming {
    /// Numbers that send rows to the shards of the next stage.
    fn next_keys(&self) -> Result<Arc<[u64]>> {
        match self.next_shards() {
            Some(count) => keys(count),
            None => Ok(Arc::new([])),
        }
    }
}

/// Operators of ours on the wire; all others are the engine's.
pub(super) struct Codec {
    engine: BallistaPhysicalExtensionCodec,
    host: Option<Arc<Host>>,
}

impl Codec {
    pub fn new(host: Option<Arc<Host>>) -> Arc<Codec> {
        Arc::new(Codec { engine: BallistaPhysicalExtensionCodec::default(), host })
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec({:?})", self.host)
    }
}

impl PhysicalExtensionCodec for Codec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(own) = bytes.strip_prefix(MAGIC) else {
            return self.engine.try_decode(bytes, inputs, context, converter);
        };
        let (Some((stage, job)), [input]) = (own.split_first_chunk::<4>(), inputs) else {
            return Err(DataFusionError::Internal("a stage of another form".into()));
        };
        let stage = u32::from_le_bytes(*stage);
        Ok(Arc::new(StageExec::new(job.into(), stage, input.clone(), self.host.clone())))
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        out: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(stage) = node.downcast_ref::<StageExec>() else {
            return self.engine.try_encode(node, out, converter);
        };
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&stage.stage.to_le_bytes());
        out.extend_from_slice(&stage.job);
        Ok(())
    }
}
