//! How far a job is, told to observers as the client sees it.

use super::layout::Layout;
use super::status::{JobStatus, ShardPlace};
use crate::event::Event;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// What was told of a computation: everything once, however often it is submitted.
pub(super) struct Progress<'a> {
    layout: &'a Layout,
    tell: &'a (dyn Fn(Event) + Sync),
    started: Instant,
    stages: usize,
    running: HashSet<ShardPlace>,
    ended: HashSet<(usize, usize)>,
}

impl<'a> Progress<'a> {
    pub fn new(layout: &'a Layout, tell: &'a (dyn Fn(Event) + Sync)) -> Progress<'a> {
        let (running, ended) = (HashSet::new(), HashSet::new());
        Progress { layout, tell, started: Instant::now(), stages: 0, running, ended }
    }

    /// Tells what is new.
    pub fn look(&mut self, job: &JobStatus) {
        let is_known = |stage: usize, shard: usize| self.layout.ranges(stage).len() > shard;
        for place in job.running.iter().filter(|p| is_known(p.stage, p.shard)) {
            let ShardPlace { stage, shard, .. } = *place;
            if !self.ended.contains(&(stage, shard)) && self.running.insert(place.clone()) {
                let (worker, tasks) = (place.worker.clone(), self.layout.shard_tasks(stage, shard));
                (self.tell)(Event::ShardStarted { stage, shard, worker, tasks });
            }
        }
        for end in job.ended.iter().filter(|e| is_known(e.place.stage, e.place.shard)) {
            let ShardPlace { stage, shard, .. } = end.place;
            if self.ended.insert((stage, shard)) {
                let (worker, tasks) = (end.place.worker.clone(), self.layout.shard_tasks(stage, shard));
                let elapsed = Duration::from_millis(end.millis);
                (self.tell)(Event::ShardFinished { stage, shard, worker, tasks, elapsed });
            }
        }
        self.stages_done(job.stages_done);
    }

    /// Tells of stages that are done.
    pub fn stages_done(&mut self, stages: usize) {
        for stage in self.stages..stages.min(self.layout.stages()) {
            (self.tell)(Event::StageFinished { stage, elapsed: self.started.elapsed() });
            self.stages = stage + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::EndedShard;
    use super::*;
    use crate::plan::{Destination, Target};
    use std::sync::Mutex;

    #[test]
    fn everything_is_told_once() {
        let x = crate::Array::arange(0, 95, 1).rechunk(10).sum(..);
        let target = Target { expr: x.expr().unwrap().clone(), destination: Destination::Memory };
        let layout = Layout::new(7, &[target], &[false], 1 << 30, 4).unwrap();
        let total: usize = (0..layout.shards(0)).map(|s| layout.shard_tasks(0, s)).sum();
        assert_eq!((total, layout.tasks()), (10, 10));
        let told = Mutex::new(vec![]);
        let tell = |event: Event| {
            let words = match event {
                Event::ShardStarted { stage, shard, worker, .. } => format!("{worker} has {stage}/{shard}"),
                Event::ShardFinished { stage, shard, worker, .. } => format!("{worker} did {stage}/{shard}"),
                Event::StageFinished { stage, .. } => format!("{stage} is done"),
                other => format!("{other:?}"),
            };
            told.lock().unwrap().push(words);
        };
        let place = |shard, worker: &str| ShardPlace { stage: 0, shard, worker: worker.into() };
        let ended = |shard, worker| EndedShard { place: place(shard, worker), millis: 5 };
        let job = |running: Vec<ShardPlace>, ended, stages_done| JobStatus {
            job: "j".into(),
            stages_done,
            waiting: 0,
            running,
            ended,
        };
        let mut progress = Progress::new(&layout, &tell);
        progress.look(&job(vec![place(0, "a"), place(1, "b")], vec![], 0));
        progress.look(&job(vec![place(0, "a"), place(99, "b")], vec![ended(1, "b")], 0));
        // a died; what b did is still there
        progress.look(&job(vec![place(0, "b")], vec![ended(1, "b")], 0));
        progress.look(&job(vec![], vec![ended(0, "b"), ended(1, "b")], 1));
        progress.stages_done(9);
        let want = ["a has 0/0", "b has 0/1", "b did 0/1", "b has 0/0", "b did 0/0", "0 is done"];
        assert_eq!(*told.lock().unwrap(), want);
    }
}
