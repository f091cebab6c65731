//! What a scheduler says of itself: its workers and its jobs, over HTTP.

use super::access::Access;
use crate::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest answer, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// A scheduler's workers and jobs.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Default, Debug)]
pub struct Status {
    /// Version of the library that the scheduler is of.
    pub version: String,
    /// Workers that it counts on.
    pub workers: Vec<WorkerStatus>,
    /// Jobs that are not done.
    pub jobs: Vec<JobStatus>,
}

/// A worker.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// Where it gives others what it made.
    pub address: String,
    /// Seconds since it was heard of.
    pub silent_seconds: u64,
}

/// A job that is not done.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct JobStatus {
    /// Its name at the scheduler.
    pub job: String,
    /// Stages that are done.
    pub stages_done: usize,
    /// Shards that wait for a worker.
    pub waiting: usize,
    /// Shards that run, or wait on a worker for what they need.
    pub running: Vec<ShardPlace>,
    /// Shards that are done, and what they made is still there.
    pub ended: Vec<EndedShard>,
}

/// A shard and the worker that has it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ShardPlace {
    /// Its stage, the first being 0.
    pub stage: usize,
    /// Its number among the stage's shards.
    pub shard: usize,
    /// The worker's name.
    pub worker: String,
}

/// A shard that is done.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndedShard {
    /// Which, and who did it.
    pub place: ShardPlace,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

impl Status {
    /// Its workers in words, for errors.
    pub fn in_words(&self) -> String {
        if self.workers.is_empty() {
            return "no workers".into();
        }
        let workers =
            self.workers.iter().map(|w| format!("{} (heard of {} s ago)", w.name, w.silent_seconds));
        format!("workers: {}", workers.collect::<Vec<_>>().join(", "))
    }

    /// How far a job is, in words that change when anything moves.
    pub(super) fn progress(&self, job: &str) -> String {
        let Some(job) = self.jobs.iter().find(|j| j.job == job) else { return "not running".into() };
        let running = job.running.iter().map(|s| format!("{}/{} on {}", s.stage, s.shard, s.worker));
        let running: Vec<String> = running.collect();
        format!(
            "{} stages and {} shards done, {} shards waiting, running: {}",
            job.stages_done,
            job.ended.len(),
            job.waiting,
            running.join(", ")
        )
    }
}

/// Asks a scheduler.
pub(super) async fn fetch(url: &str, access: &Access, limit: Duration) -> Result<Status> {
    let failed = |message: String| -> Error {
        ErrorKind::Cluster { url: url.to_owned(), action: "asking for its status", message }.into()
    };
    let answer = tokio::time::timeout(limit, get(url, access, "/status")).await;
    let answer =
        answer.map_err(|_| failed(format!("no answer for {limit:?}")))?.map_err(|e| failed(e.to_string()))?;
    let text = std::str::from_utf8(&answer).unwrap_or_default();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    if head.starts_with("HTTP/1.1 401") {
        return Err(failed("it wants another token: set BLOCKWISE_TOKEN, or Options::token".into()));
    }
    if !head.starts_with("HTTP/1.1 200") {
        let first = head.lines().next().unwrap_or("nothing").to_owned();
        return Err(failed(format!("it is no scheduler of blockwise: {first}")));
    }
    serde_json::from_str(body).map_err(|e| failed(format!("it is no scheduler of blockwise: {e}")))
}

async fn get(url: &str, access: &Access, path: &str) -> std::io::Result<Vec<u8>> {
    let (host, port) = access.host_and_port(url).map_err(std::io::Error::other)?;
    let mut stream = access.connect((host, port)).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {}\r\nConnection: close\r\n\r\n",
        access.token.agent()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![];
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}
