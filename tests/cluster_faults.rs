//! Clusters whose processes die, stand still, come late or start anew: the right answer, never another, in a bounded time.
#![cfg(all(feature = "cluster", unix))]

#[path = "common/cluster.rs"]
mod common;

use blockwise::Client;
use blockwise::array::over_blocks;
use blockwise::cluster::{JobStatus, LocalCluster, Options};
use blockwise::event::{Event, Observer};
use blockwise::expr::register_function;
use blockwise::prelude::*;
use common::{LIMIT, assert_bits, local, programs};
use std::path::Path;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Workers that know a function that takes its time.
fn cluster(workers: usize) -> LocalCluster {
    static ONCE: Once = Once::new();
    // here it takes none
    ONCE.call_once(|| {
        for name in ["slow", "deadly"] {
            register_function(name, |_, b| Ok(b[0].clone())).expect("registered once");
        }
    });
    let own = Path::new(env!("CARGO_BIN_EXE_blockwise-worker")).with_file_name("examples");
    let builder = LocalCluster::builder(workers, 1, LIMIT).expect("described").worker_timeout(10);
    programs(builder).worker_program(own.join("cluster_worker")).start().expect("started: build the example")
}

fn client(cluster: &LocalCluster) -> Client {
    let options =
        Options { deadline: Some(PATIENCE), stall: PATIENCE / 2, ..cluster.options().expect("options") };
    Client::with(&cluster.url(), options).expect("connected")
}

fn slow(x: &Array) -> Array {
    over_blocks(&[x]).apply_registered("slow")
}

/// Three stages: a mean, deviations from it, and what both are needed for. The named one takes about three seconds of one worker.
fn three_stages(slow_stage: usize) -> Array {
    let x = Array::arange(0, 4800, 1).cast(F64).reshape(&[80, 60]).rechunk([2, 60]).sqrt();
    let with = |n: usize, x: &Array| if n == slow_stage { slow(x) } else { x.clone() };
    let mean = with(0, &x).mean(0);
    let deviation = with(1, &(&x - &mean)).std(1);
    with(2, &(&x / deviation.expand_dims(1) - &mean))
}

/// Waits until a job is as wanted.
fn wait_for(cluster: &LocalCluster, what: &str, wanted: impl Fn(&JobStatus) -> bool) -> JobStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = cluster.status().expect("a scheduler");
        if let Some(job) = status.jobs.into_iter().find(|j| wanted(j)) {
            return job;
        }
        assert!(Instant::now() < until, "never {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Computes while something happens to the cluster, and compares with the local run.
fn while_computing(cluster: &mut LocalCluster, array: &Array, happens: impl FnOnce(&mut LocalCluster)) {
    let client = client(cluster);
    let want = local().compute(array).expect("computed here");
    let started = Instant::now();
    let got = std::thread::scope(|scope| {
        let run = scope.spawn(|| client.compute(array));
        happens(cluster);
        run.join().expect("no panic")
    });
    assert_bits(&got.unwrap_or_else(|e| panic!("{e}")), &want, "under faults");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

/// The place of the worker that runs a shard of the job.
fn victim(job: &JobStatus) -> usize {
    let worker = &job.running.last().expect("something runs").worker;
    worker.rsplit('-').next().and_then(|n| n.parse().ok()).expect("a worker's number")
}

fn killed_in(stage: usize) {
    let mut cluster = cluster(2);
    while_computing(&mut cluster, &three_stages(stage), |cluster| {
        let job = wait_for(cluster, "in that stage", |j| j.stages_done == stage && !j.running.is_empty());
        // in the middle of it, with some of it done
        std::thread::sleep(Duration::from_millis(500));
        cluster.kill_worker(victim(&job)).expect("killed");
    });
}

/// What a run tells while it goes on: every shard begins and ends once, and the stages after their shards.
#[test]
fn observers_hear_of_a_stage_while_it_runs() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);
    impl Observer for Heard {
        fn event(&self, event: &Event) {
            let words = match event {
                Event::ShardStarted { stage, shard, .. } => format!("start {stage}/{shard}"),
                Event::ShardFinished { stage, shard, tasks, .. } => format!("end {stage}/{shard} {tasks}"),
                Event::StageFinished { stage, .. } => format!("stage {stage}"),
                Event::RunFinished(_) => "run".into(),
                _ => return,
            };
            self.0.lock().expect("nobody panics").push(words);
        }
    }
    let cluster = cluster(1);
    let heard = Arc::new(Heard::default());
    let options = cluster.options().expect("options");
    let builder = Session::builder().cluster(&cluster.url(), options).observer(heard.clone());
    builder.build().expect("connected").compute(&three_stages(0)).expect("computed");
    let heard = heard.0.lock().expect("nobody panics").clone();
    let place = |words: &str| heard.iter().position(|h| h.starts_with(words)).expect(words);
    assert!(place("start 0/") < place("end 0/") && place("end 0/") < place("stage 0"), "{heard:?}");
    assert!(place("stage 0") < place("stage 2") && heard.last().map(String::as_str) == Some("run"));
    let once: std::collections::HashSet<&String> = heard.iter().collect();
    assert_eq!(once.len(), heard.len(), "{heard:?}");
}

#[test]
fn a_worker_killed_in_the_first_stage_changes_nothing() {
    killed_in(0);
}

#[test]
fn a_worker_killed_in_the_middle_changes_nothing() {
    killed_in(1);
}

#[test]
fn a_worker_killed_in_the_last_stage_changes_nothing() {
    killed_in(2);
}

#[test]
fn a_worker_that_stands_still_is_done_without() {
    let mut cluster = cluster(2);
    let mut stopped = None;
    while_computing(&mut cluster, &three_stages(1), |cluster| {
        let job = wait_for(cluster, "in the middle", |j| j.stages_done == 1 && !j.running.is_empty());
        let id = cluster.worker_ids()[victim(&job)] as libc::pid_t;
        // SAFETY: a signal to a process that this test started and that has not been waited for.
        assert_eq!(unsafe { libc::kill(id, libc::SIGSTOP) }, 0);
        stopped = Some(id);
    });
    let id = stopped.expect("stopped");
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(id, libc::SIGCONT) }, 0);
    // once it goes on, it does no harm
    let x = three_stages(9);
    assert_bits(
        &client(&cluster).compute(&x).expect("computed"),
        &local().compute(&x).expect("computed"),
        "after it went on",
    );
}

#[test]
fn a_worker_that_is_asked_to_leave_finishes_what_it_runs() {
    let mut cluster = cluster(2);
    while_computing(&mut cluster, &three_stages(1), |cluster| {
        let job = wait_for(cluster, "in the middle", |j| j.stages_done == 1 && !j.running.is_empty());
        let id = cluster.worker_ids()[victim(&job)] as libc::pid_t;
        // SAFETY: a signal to a process that this test started and that has not been waited for.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
    });
    assert_eq!(cluster.status().expect("a scheduler").workers.len(), 1);
}

#[test]
fn a_worker_that_comes_late_takes_part() {
    let mut cluster = cluster(1);
    let options = Options { shards: 8, ..cluster.options().expect("options") };
    let client = Client::with(&cluster.url(), options).expect("connected");
    let array = three_stages(0);
    let want = local().compute(&array).expect("computed here");
    let got = std::thread::scope(|scope| {
        let run = scope.spawn(|| client.compute(&array));
        wait_for(&cluster, "running", |j| !j.running.is_empty());
        cluster.start_worker().expect("started");
        wait_for(&cluster, "on the new worker", |j| j.running.iter().any(|s| s.worker.ends_with("-1")));
        run.join().expect("no panic")
    });
    assert_bits(&got.expect("computed"), &want, "with a worker that came late");
}

#[test]
fn a_scheduler_that_starts_anew_is_asked_again() {
    let mut cluster = cluster(2);
    while_computing(&mut cluster, &three_stages(1), |cluster| {
        wait_for(cluster, "running", |j| !j.running.is_empty());
        cluster.restart_scheduler().expect("started");
    });
}

#[test]
fn without_workers_it_ends_with_an_error() {
    let mut cluster = cluster(1);
    let options = Options {
        patience: Duration::from_secs(2),
        stall: PATIENCE / 4,
        ..cluster.options().expect("options")
    };
    let client = Client::with(&cluster.url(), options).expect("connected");
    cluster.kill_worker(0).expect("killed");
    let e = client.compute(&three_stages(9)).expect_err("nobody computes");
    assert!(matches!(e.kind(), ErrorKind::Cluster { .. }), "{e}");
}

/// One more may die while it is found out.
#[test]
fn a_shard_that_ends_its_workers_is_refused_by_name() {
    let cluster = cluster(4);
    let options = Options { deaths: 2, deadline: Some(PATIENCE), ..cluster.options().expect("options") };
    let client = Client::with(&cluster.url(), options).expect("connected");
    let x = Array::arange(0, 48, 1).cast(F64).rechunk(4);
    let bad = where_(x.equal(13.0), f64::NAN, &x);
    let e = client.compute(&over_blocks(&[&bad]).apply_registered("deadly").sum(..)).expect_err("refused");
    let text = e.to_string();
    assert!(matches!(e.kind(), ErrorKind::Cluster { .. }), "{text}");
    // 12 blocks are 12 shards: that of the NaN is the fourth
    assert!(text.contains("ran on workers that died (worker-") && text.contains("shard 3 of 12"), "{text}");
    assert!(!cluster.status().expect("a scheduler").workers.is_empty());
    let sum = client.compute(&over_blocks(&[&x]).apply_registered("deadly").sum(..)).expect("computed");
    assert_eq!(sum.to_scalar::<f64>().expect("one"), (47 * 48 / 2) as f64);
}

#[test]
fn a_deadline_and_a_cancelled_run_end_soon() {
    let cluster = cluster(1);
    let options = Options { deadline: Some(Duration::from_secs(1)), ..cluster.options().expect("options") };
    let client = Client::with(&cluster.url(), options).expect("connected");
    let e = client.compute(&three_stages(0)).expect_err("too late");
    assert!(e.to_string().contains("not done"), "{e}");

    let client = self::client(&cluster);
    let e = std::thread::scope(|scope| {
        let run = scope.spawn(|| client.compute(&three_stages(0)));
        wait_for(&cluster, "running", |j| !j.running.is_empty());
        client.cancel();
        run.join().expect("no panic")
    });
    assert!(matches!(e.expect_err("cancelled").kind(), ErrorKind::Cancelled));
}

/// Workers killed at times that look random and are the same in every run. `BLOCKWISE_SOAK=50` kills more.
#[test]
fn workers_killed_at_any_time_change_nothing() {
    let kills: u64 = std::env::var("BLOCKWISE_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    for kill in 0..kills {
        let mut cluster = cluster(2);
        let array = three_stages((kill % 3) as usize);
        while_computing(&mut cluster, &array, |cluster| {
            std::thread::sleep(Duration::from_millis(kill * 7919 % 3500));
            cluster.kill_worker((kill / 3 % 2) as usize).expect("killed");
        });
    }
}
