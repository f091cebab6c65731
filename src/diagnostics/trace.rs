//! [`Trace`]: which worker did what and when, as Chrome's trace-event JSON.

use crate::block::pool;
use crate::error::{Error, Result};
use crate::event::{Event, Observer, Summary};
use crate::io::temp;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Records runs; the file loads in [Perfetto](https://ui.perfetto.dev) and `chrome://tracing`.
///
/// One row a worker holds one slice a task, with its stage, number and bytes; a row above them holds runs and stages; a counter
/// follows the memory that blocks take. Times are microseconds since the trace was made. Workers of a cluster have rows of their own, with a slice
/// for every part of a stage; it lies where the client heard of its end, which is up to a second late.
///
/// A task costs a lock and 64 bytes; after [`Trace::MAX_TASKS`] tasks only stages and runs are recorded, and the file says how many
/// tasks it lacks.
///
/// ```
/// use blockwise::{diagnostics::Trace, prelude::*};
/// use std::sync::Arc;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("trace.json");
/// let trace = Arc::new(Trace::new());
/// let session = Session::builder().observer(trace.clone()).build()?;
/// session.compute(&Array::arange(0, 1000, 1).sum(..))?;
/// trace.write(&path)?;
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Debug)]
pub struct Trace {
    origin: Instant,
    recorded: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    tasks: Vec<Task>,
    left_out: u64,
    spans: Vec<Span>,
    /// What has begun and not ended.
    run: Option<Instant>,
    stage: Option<(usize, usize, usize, String, Instant)>,
    workers: usize,
    shards: Vec<Shard>,
}

/// A part of a stage that a worker of a cluster did.
#[derive(Debug)]
struct Shard {
    worker: String,
    stage: usize,
    number: usize,
    tasks: usize,
    start: Instant,
    elapsed: Duration,
}

#[derive(Debug)]
struct Task {
    stage: u32,
    worker: u32,
    number: u64,
    start: Instant,
    elapsed: Duration,
    bytes_read: u64,
    bytes_written: u64,
    /// Memory that blocks took when it ended.
    memory: u64,
}

/// A run or a stage.
#[derive(Debug)]
struct Span {
    name: String,
    start: Instant,
    elapsed: Duration,
    /// The members of its `args`.
    args: String,
}

impl Trace {
    /// Most tasks that are recorded one by one.
    pub const MAX_TASKS: usize = 1 << 20;

    /// Starts a trace with nothing in it.
    pub fn new() -> Trace {
        Trace { origin: Instant::now(), recorded: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Writes what was recorded so far. The file appears when it is complete.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let file = temp::file_beside(path)?;
        let mut out = BufWriter::new(file);
        self.write_to(&mut out).map_err(|e| Error::io("writing", path, e))?;
        let file = out.into_inner().map_err(|e| Error::io("writing", path, e.into_error()))?;
        temp::publish_file(file, path)
    }

    /// Writes what was recorded so far as JSON.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        let recorded = self.lock();
        writeln!(out, "{{\"displayTimeUnit\": \"ms\",")?;
        writeln!(
            out,
            "\"otherData\": {{\"writer\": \"blockwise {}\", \"tasks_left_out\": {}}},",
            env!("CARGO_PKG_VERSION"),
            recorded.left_out
        )?;
        writeln!(out, "\"traceEvents\": [")?;
        metadata(out, "process_name", 0, "blockwise")?;
        writeln!(out, ",")?;
        metadata(out, "thread_name", 0, "runs and stages")?;
        for worker in 0..recorded.workers {
            writeln!(out, ",")?;
            metadata(out, "thread_name", worker + 1, &format!("worker {worker}"))?;
        }
        let mut machines: Vec<&str> = recorded.shards.iter().map(|s| s.worker.as_str()).collect();
        machines.sort_unstable();
        machines.dedup();
        for (n, name) in machines.iter().enumerate() {
            writeln!(out, ",")?;
            metadata(out, "thread_name", recorded.workers + n + 1, name)?;
        }
        for s in &recorded.shards {
            let machine = machines.binary_search(&s.worker.as_str()).unwrap_or(0);
            write!(
                out,
                ",\n{{\"ph\": \"X\", \"pid\": 1, \"tid\": {}, \"cat\": \"shard\", \"name\": \"stage {} shard {}\", \"ts\": {:.3}, \
                 \"dur\": {:.3}, \"args\": {{\"tasks\": {}}}}}",
                recorded.workers + machine + 1,
                s.stage,
                s.number,
                self.micros(s.start),
                micros(s.elapsed),
                s.tasks
            )?;
        }
        for span in &recorded.spans {
            write!(
                out,
                ",\n{{\"ph\": \"X\", \"pid\": 1, \"tid\": 0, \"name\": {}, \"ts\": {:.3}, \"dur\": {:.3}, \"args\": {{{}}}}}",
                quoted(&span.name),
                self.micros(span.start),
                micros(span.elapsed),
                span.args
            )?;
        }
        for t in &recorded.tasks {
            let start = self.micros(t.start);
            write!(
                out,
                ",\n{{\"ph\": \"X\", \"pid\": 1, \"tid\": {}, \"cat\": \"task\", \"name\": \"stage {}\", \"ts\": {start:.3}, \
                 \"dur\": {:.3}, \"args\": {{\"task\": {}, \"bytes_read\": {}, \"bytes_written\": {}}}}}",
                t.worker + 1,
                t.stage,
                micros(t.elapsed),
                t.number,
                t.bytes_read,
                t.bytes_written
            )?;
            write!(
                out,
                ",\n{{\"ph\": \"C\", \"pid\": 1, \"name\": \"memory\", \"ts\": {:.3}, \"args\": {{\"bytes\": {}}}}}",
                start + micros(t.elapsed),
                t.memory
            )?;
        }
        writeln!(out, "\n]}}")
    }

    fn micros(&self, at: Instant) -> f64 {
        micros(at.saturating_duration_since(self.origin))
    }
}

fn micros(d: Duration) -> f64 {
    d.as_nanos() as f64 / 1e3
}

fn metadata(out: &mut impl Write, key: &str, tid: usize, name: &str) -> std::io::Result<()> {
    let name = quoted(name);
    write!(
        out,
        "{{\"ph\": \"M\", \"pid\": 1, \"tid\": {tid}, \"name\": \"{key}\", \"args\": {{\"name\": {name}}}}}"
    )
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Default for Trace {
    fn default() -> Trace {
        Trace::new()
    }
}

impl Recorded {
    fn end_stage(&mut self, elapsed: Option<Duration>) {
        if let Some((stage, tasks, workers, label, start)) = self.stage.take() {
            self.spans.push(Span {
                name: format!("stage {stage}: {label}"),
                start,
                elapsed: elapsed.unwrap_or_else(|| start.elapsed()),
                args: format!("\"stage\": {stage}, \"tasks\": {tasks}, \"workers\": {workers}"),
            });
        }
    }

    fn end_run(&mut self, summary: &Summary) {
        // a stage that failed has no end of its own
        self.end_stage(None);
        if let Some(start) = self.run.take() {
            self.spans.push(Span {
                name: if summary.ok { "run" } else { "run that failed" }.into(),
                start,
                elapsed: summary.elapsed,
                args: format!(
                    "\"tasks\": {}, \"bytes_read\": {}, \"bytes_written\": {}, \"bytes_spilled\": {}, \"peak_memory\": {}, \
                     \"kernels_compiled\": {}",
                    summary.tasks,
                    summary.bytes_read,
                    summary.bytes_written,
                    summary.bytes_spilled,
                    summary.peak_memory,
                    summary.kernels_compiled
                ),
            });
        }
    }
}

impl Observer for Trace {
    fn event(&self, event: &Event) {
        let mut recorded = self.lock();
        match event {
            Event::RunStarted { .. } => recorded.run = Some(Instant::now()),
            Event::StageStarted { stage, tasks, workers, label } => {
                recorded.workers = recorded.workers.max(*workers);
                recorded.stage = Some((*stage, *tasks, *workers, label.clone(), Instant::now()));
            }
            Event::TaskFinished { stage, task, worker, start, elapsed, bytes_read, bytes_written } => {
                if recorded.tasks.len() == Trace::MAX_TASKS {
                    recorded.left_out += 1;
                    return;
                }
                recorded.tasks.push(Task {
                    stage: *stage as u32,
                    worker: *worker as u32,
                    number: *task as u64,
                    start: *start,
                    elapsed: *elapsed,
                    bytes_read: *bytes_read,
                    bytes_written: *bytes_written,
                    memory: pool().allocated() as u64,
                });
            }
            Event::StageFinished { elapsed, .. } => recorded.end_stage(Some(*elapsed)),
            Event::RunFinished(summary) => recorded.end_run(summary),
            Event::ShardFinished { stage, shard, worker, tasks, elapsed } => {
                let now = Instant::now();
                recorded.shards.push(Shard {
                    worker: worker.clone(),
                    stage: *stage,
                    number: *shard,
                    tasks: *tasks,
                    start: now.checked_sub(*elapsed).unwrap_or(now),
                    elapsed: *elapsed,
                });
            }
            Event::Fallback { .. }
            | Event::ShardStarted { .. }
            | Event::ShardReport { .. }
            | Event::SubmittedAgain { .. } => {}
        }
    }
}

#[cfg(all(test, feature = "zarr"))]
mod tests {
    use super::*;
    use crate::prelude::*;
    use serde_json::Value;
    use std::sync::Arc;

    fn parsed(trace: &Trace) -> Vec<Value> {
        let mut text = Vec::new();
        trace.write_to(&mut text).unwrap();
        let json: Value = serde_json::from_slice(&text).unwrap();
        json["traceEvents"].as_array().unwrap().clone()
    }

    #[test]
    fn every_task_is_one_slice_inside_its_stage_and_run() {
        let trace = Arc::new(Trace::new());
        let session = Session::builder().threads(2).observer(trace.clone()).build().unwrap();
        let x = Array::arange(0, 1000, 1).rechunk([100]).cast(F64);
        session.compute(&(&x - x.mean(..))).unwrap();
        let events = parsed(&trace);
        let slices: Vec<&Value> = events.iter().filter(|e| e["ph"] == "X").collect();
        let tasks: Vec<&&Value> = slices.iter().filter(|e| e["cat"] == "task").collect();
        let summary = session.last_summary().unwrap();
        assert_eq!(tasks.len() as u64, summary.tasks);
        let named =
            |start: &str| slices.iter().filter(|e| e["name"].as_str().unwrap().starts_with(start)).count();
        assert_eq!(named("stage 0: "), 1);
        assert_eq!(named("stage 1: "), 1);
        assert_eq!(named("run"), 1);
        let run = slices.iter().find(|e| e["name"] == "run").unwrap();
        let ends = |e: &Value| e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap();
        assert!(slices.iter().all(|e| e["ts"].as_f64() >= run["ts"].as_f64() && ends(e) <= ends(run) + 1e3));
        assert_eq!(run["args"]["tasks"].as_u64(), Some(summary.tasks));
        assert_eq!(events.iter().filter(|e| e["ph"] == "C").count(), tasks.len());
    }

    #[test]
    fn workers_of_a_cluster_have_rows() {
        let trace = Trace::new();
        for (shard, worker) in [(0, "b"), (1, "a"), (2, "b")] {
            let (worker, elapsed) = (worker.to_owned(), Duration::from_millis(1));
            trace.event(&Event::ShardFinished { stage: 1, shard, worker, tasks: 4, elapsed });
        }
        let events = parsed(&trace);
        let row = |name: &str| events.iter().find(|e| e["args"]["name"] == name).map(|e| e["tid"].clone());
        let of = |tid| events.iter().filter(|e| e["cat"] == "shard" && Some(&e["tid"]) == tid).count();
        assert_eq!((of(row("a").as_ref()), of(row("b").as_ref())), (1, 2));
    }

    #[test]
    fn a_failed_run_still_closes_its_stage() {
        let trace = Trace::new();
        trace.event(&Event::RunStarted { stages: 1, tasks: 1 });
        trace.event(&Event::StageStarted {
            stage: 0,
            tasks: 1,
            workers: 1,
            label: "write \"a\\b\"\n".into(),
        });
        trace.event(&Event::RunFinished(Summary::default()));
        let events = parsed(&trace);
        assert!(events.iter().any(|e| e["name"] == "stage 0: write \"a\\b\"\n"));
        assert!(events.iter().any(|e| e["name"] == "run that failed"));
    }

    #[test]
    fn the_file_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace.json");
        Trace::new().write(&path).unwrap();
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["displayTimeUnit"], "ms");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(
            Trace::new().write(dir.path().join("no/t.json")).unwrap_err().kind(),
            ErrorKind::Io { .. }
        ));
    }
}
