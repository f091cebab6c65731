//! Shards that ran on workers when these died: one that takes worker after worker with it is not given to yet another.

use super::layout::Layout;
use super::status::{ShardPlace, Status};
use std::collections::BTreeMap;

/// What is known of a job's dead workers.
#[derive(Default)]
pub(super) struct Deaths {
    /// What ran when it was last looked.
    running: Vec<ShardPlace>,
    /// The workers that died with a shard, by stage and shard.
    with: BTreeMap<(usize, usize), Vec<String>>,
}

impl Deaths {
    /// Takes in how things are: whoever ran something before and is no longer counted on has died with it.
    pub fn look(&mut self, now: &Status, job: &str) {
        for shard in std::mem::take(&mut self.running) {
            if now.workers.iter().all(|w| w.name != shard.worker) {
                self.with.entry((shard.stage, shard.shard)).or_default().push(shard.worker);
            }
        }
        if let Some(job) = now.jobs.iter().find(|j| j.job == job) {
            let counted_on = |s: &&ShardPlace| now.workers.iter().any(|w| w.name == s.worker);
            self.running = job.running.iter().filter(counted_on).cloned().collect();
        }
    }

    /// The shards with which most workers died, at least `least`; in words.
    pub fn worst(&self, least: usize, layout: &Layout) -> Option<String> {
        let most = self.with.values().map(Vec::len).max().filter(|&n| n >= least)?;
        let worst: Vec<_> = self.with.iter().filter(|(_, workers)| workers.len() == most).collect();
        let shards = worst.iter().map(|((stage, shard), _)| layout.place(*stage, *shard));
        let workers = worst.first().map(|(_, workers)| workers.join(", ")).unwrap_or_default();
        let those = if worst.len() == 1 { "this ran" } else { "one of these ran" };
        Some(format!("{those} on workers that died ({workers}): {}", shards.collect::<Vec<_>>().join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{JobStatus, WorkerStatus};
    use super::*;
    use crate::plan::{Destination, Target};

    fn status(workers: &[&str], running: &[(usize, &str)]) -> Status {
        let worker =
            |name: &&str| WorkerStatus { name: name.to_string(), address: String::new(), silent_seconds: 0 };
        let shard = |&(shard, worker): &(usize, &str)| ShardPlace { stage: 0, shard, worker: worker.into() };
        let running = running.iter().map(shard).collect();
        let job = JobStatus { job: "j".into(), stages_done: 0, waiting: 0, running, ended: vec![] };
        Status { version: String::new(), workers: workers.iter().map(worker).collect(), jobs: vec![job] }
    }

    #[test]
    fn shards_are_counted_with_the_workers_that_they_ran_on() {
        let x = crate::Array::arange(0, 100, 1).rechunk(10).sum(..);
        let target = Target { expr: x.expr().unwrap().clone(), destination: Destination::Memory };
        let layout = Layout::new(7, &[target], &[false], 1 << 30, 8).unwrap();
        let mut deaths = Deaths::default();
        deaths.look(&status(&["a", "b", "c"], &[(0, "a"), (1, "a"), (2, "b")]), "j");
        assert_eq!(deaths.worst(1, &layout), None);
        deaths.look(&status(&["b", "c"], &[(0, "b"), (2, "b"), (1, "c")]), "j");
        let words = deaths.worst(1, &layout).unwrap();
        assert!(
            words.contains("one of these ran") && words.contains("(a)") && words.contains("shard 1 of"),
            "{words}"
        );
        // its name stays in what runs until its shards are given to others
        deaths.look(&status(&["c"], &[(0, "b"), (1, "c")]), "j");
        deaths.look(&status(&["c"], &[(0, "c"), (1, "c")]), "j");
        let words = deaths.worst(2, &layout).unwrap();
        assert!(
            words.contains("this ran on workers that died (a, b): stage 0") && words.contains("shard 0 of"),
            "{words}"
        );
        // one that ends with nothing to do is no death
        deaths.look(&status(&["c"], &[]), "j");
        deaths.look(&status(&[], &[]), "j");
        assert_eq!(deaths.worst(3, &layout), None);
    }
}
