//! What a client gets back: pieces of results and reports, into blocks, sinks and events, across tries.

use super::layout::Layout;
use super::piece::{Assembly, Id, Kind, Row};
use super::shard::Report;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::event::{Event, Observer, Summary};
use crate::plan::{Destination, ResultId, StageRoot, Target};
use crate::schedule::part::merge_states;
use crate::shape::Region;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The results of a computation as they come. What came in a try that failed is as good as what comes in the next.
pub(super) struct Inbox<'a> {
    layout: &'a Layout,
    observers: &'a [Arc<dyn Observer>],
    assembly: Assembly,
    blocks: HashMap<ResultId, Block>,
    states: HashMap<Id, Vec<u8>>,
    pub summary: Summary,
}

impl<'a> Inbox<'a> {
    pub fn new(layout: &'a Layout, observers: &'a [Arc<dyn Observer>]) -> Inbox<'a> {
        let summary = Summary { stages: vec![Duration::ZERO; layout.stages()], ..Summary::default() };
        Inbox {
            layout,
            observers,
            assembly: Assembly::new(layout.expected_by_client()),
            blocks: HashMap::new(),
            states: HashMap::new(),
            summary,
        }
    }

    /// Takes a row.
    pub fn put(&mut self, payload: &[u8]) -> Result<()> {
        let row = Row::from_bytes(payload)?;
        if row.job != self.layout.number {
            return Err(Error::internal(format!("{} is of another job", row.id)));
        }
        let most = self.layout.family(row.id).map(|_| self.layout.most_bytes(row.id))?;
        let Some(bytes) = self.assembly.put(&row, most)? else { return Ok(()) };
        let id = row.id;
        match id.kind {
            Kind::Go => Ok(()),
            Kind::State => {
                self.states.insert(id, bytes);
                Ok(())
            }
            Kind::Report => self.report(id, Report::from_bytes(&bytes)?),
            Kind::Chunk => {
                let (region, block) = self.layout.block(id, &bytes)?;
                let result = ResultId { stage: id.stage, root: id.root };
                if let StageRoot::Sink(sink) = &self.layout.plan.stages[id.stage].roots[id.root] {
                    self.summary.bytes_written += block.nbytes() as u64;
                    return sink.write(&region, &block);
                }
                let whole = self
                    .blocks
                    .entry(result)
                    .or_insert_with(|| Block::uninit(block.dtype(), &self.layout.grid(result).shape()));
                whole.copy_from(&region, &block);
                Ok(())
            }
        }
    }

    fn report(&mut self, id: Id, report: Report) -> Result<()> {
        let elapsed = Duration::from_micros(report.micros);
        let s = &mut self.summary;
        s.tasks += report.tasks;
        s.bytes_read += report.bytes_read;
        s.bytes_written += report.bytes_written;
        s.kernels_compiled += report.kernels_compiled;
        s.peak_memory = s.peak_memory.max(report.peak_memory);
        s.stages[id.stage] += elapsed;
        let event = Event::ShardFinished {
            stage: id.stage,
            shard: id.number,
            worker: report.worker,
            tasks: report.tasks as usize,
            elapsed,
            bytes_read: report.bytes_read,
            bytes_written: report.bytes_written,
        };
        self.observers.iter().for_each(|o| o.event(&event));
        Ok(())
    }

    /// That everything has come.
    pub fn complete(&self) -> Result<()> {
        self.assembly.complete()
    }

    /// The targets' blocks, once everything has come. Publishes what sinks hold.
    pub fn finish(
        mut self,
        targets: &[Target],
        by_workers: &[bool],
    ) -> Result<(Vec<Option<Block>>, Summary)> {
        self.complete()?;
        let mut blocks = Vec::with_capacity(targets.len());
        for (n, target) in targets.iter().enumerate() {
            let id = self.layout.plan.targets[n];
            blocks.push(match &target.destination {
                Destination::Sink(sink) => {
                    if by_workers[n] {
                        sink.written_elsewhere();
                    }
                    let started = std::time::Instant::now();
                    sink.finish()?;
                    self.summary.finishing += started.elapsed();
                    None
                }
                Destination::Memory => Some(self.block(id)?),
                Destination::Into(out) => {
                    let block = self.block(id)?;
                    out.clone().copy_from(&Region::whole(block.shape()), &block);
                    None
                }
            });
        }
        Ok((blocks, self.summary))
    }

    fn block(&mut self, id: ResultId) -> Result<Block> {
        if let Some(block) = self.blocks.get(&id) {
            return Ok(block.clone());
        }
        let stage = &self.layout.plan.stages[id.stage];
        let family = self.layout.families().iter().find(|f| f.from == id && f.kind == Kind::State);
        let block = match family {
            Some(family) => {
                let none: &[u8] = &[];
                let states =
                    (0..family.count).map(|n| self.states.get(&family.id(n)).map_or(none, Vec::as_slice));
                merge_states(stage, id.root, states)?
            }
            // an array without elements has no chunk
            None => Block::uninit(self.layout.dtype(id), &self.layout.grid(id).shape()),
        };
        self.blocks.insert(id, block.clone());
        Ok(block)
    }
}
