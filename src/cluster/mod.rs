//! The same plan on many machines, through Apache Ballista: its scheduler, its calls between processes and its shuffle carry what our
//! workers compute, span by span, with the local scheduler.
//!
//! ```text
//! client            job = graph, targets, memory limit            plans it, knows what must come back, drops repeats,
//!   |                                                              fails on what is missing, asks again
//! scheduler         one physical plan: descriptors -> stage 0 -> hash on target -> stage 1 -> ...     (Ballista)
//!   |
//! workers           plan the job again; each partition of a stage is a shard (a run of spans) of that stage
//! ```
//!
//! Results are the local run's to the last bit: spans depend on the plan alone, and states of folds are merged in the order of spans.
//! Nothing that arrives is trusted: see [`layout`]. Who calls must know the [`Token`]; with [`Tls`] nobody else can read or change what is said.

mod access;
pub mod arrays;
mod command;
mod connection;
mod deaths;
mod failure;
mod inbox;
mod kept;
pub mod layout;
mod local;
mod node;
pub mod piece;
mod progress;
mod rows;
mod scratch;
mod server;
mod shard;
mod status;
mod tls;
mod token;
pub mod wire;
mod worker;

pub use command::{scheduler_main, worker_main};
pub use connection::{Connection, Options};
pub use local::{LocalCluster, LocalClusterBuilder};
pub use server::{SchedulerOptions, WorkerBuilder, WorkerOptions, run_scheduler};
pub use status::{EndedShard, JobStatus, ShardPlace, Status, WorkerStatus};
pub use tls::Tls;
pub use token::Token;
