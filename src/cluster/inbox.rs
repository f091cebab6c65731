//! What a client gets back: pieces of results and reports, into blocks, sinks and events, across tries.

use super::arrays::Arrays;
use super::kept::KeptPieces;
use super::layout::{Layout, Work};
use super::piece::{Assembly, Id, Kind, Row};
use super::shard::{Pieces, Report};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::event::{Event, Observer, Summary};
use crate::plan::{Destination, ResultId, StageRoot, Target};
use crate::schedule::Runtime;
use crate::schedule::part::States;
use crate::shape::Region;
use arrow::array::RecordBatch;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The results of a computation as they come. What came in a try that failed is as good as what comes in the next.
pub(super) struct Inbox<'a> {
    layout: &'a Layout,
    observers: &'a [Arc<dyn Observer>],
    assembly: Assembly,
    blocks: HashMap<ResultId, Block>,
    states: Arc<KeptPieces>,
    pub summary: Summary,
}

impl<'a> Inbox<'a> {
    pub fn new(layout: &'a Layout, rt: &Runtime<'a>) -> Inbox<'a> {
        let summary = Summary { stages: vec![Duration::ZERO; layout.stages()], ..Summary::default() };
        Inbox {
            layout,
            observers: rt.observers,
            assembly: Assembly::new(layout.expected_by_client()),
            blocks: HashMap::new(),
            states: Arc::new(KeptPieces::new(&rt.temp_dir)),
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
        match (id.kind, &self.layout.work) {
            (Kind::Go, _) => Ok(()),
            (Kind::State, _) => Arc::get_mut(&mut self.states)
                .ok_or_else(|| Error::internal("a piece after the end"))?
                .insert(id, bytes),
            (Kind::Report, _) => self.report(id, Report::from_bytes(&bytes)?),
            (Kind::Chunk, Work::Rows(_)) => Err(Error::internal(format!("{id} of rows"))),
            (Kind::Chunk, Work::Arrays(arrays)) => {
                let (region, block) = arrays.block(id, &bytes)?;
                let result = ResultId { stage: id.stage, root: id.root };
                if let StageRoot::Sink(sink) = &arrays.of(id.stage).roots[id.root] {
                    self.summary.bytes_written += block.nbytes() as u64;
                    return sink.write(&region, &block);
                }
                let whole = self
                    .blocks
                    .entry(result)
                    .or_insert_with(|| Block::uninit(block.dtype(), &arrays.grid(result).shape()));
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
        let event = Event::ShardReport {
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
        let Work::Arrays(arrays) = &self.layout.work else { return Err(Error::internal("no arrays")) };
        let mut blocks = Vec::with_capacity(targets.len());
        for (n, target) in targets.iter().enumerate() {
            let id = arrays.place(arrays.plan.targets[n]);
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
                Destination::Memory | Destination::Stay => Some(self.block(arrays, id)?),
                Destination::Into(out) => {
                    let block = self.block(arrays, id)?;
                    out.clone().copy_from(&Region::whole(block.shape()), &block);
                    None
                }
            });
        }
        Ok((blocks, self.summary))
    }

    /// The rows of a frame, once everything has come: passes over what others made end here.
    pub fn finish_rows(mut self, rt: &Runtime<'_>) -> Result<(Vec<RecordBatch>, Summary)> {
        self.complete()?;
        let Work::Rows(spread) = &self.layout.work else { return Err(Error::internal("no rows")) };
        let came = Pieces::of(self.layout, &self.states);
        // what was done here is part of the run, not a run of its own
        let quiet = Runtime { observers: &[], temp_dir: rt.temp_dir.clone(), ..*rt };
        let (rows, here) = spread.run_end(&came, &quiet)?;
        self.summary.finishing += here.elapsed;
        self.summary.bytes_spilled += here.bytes_spilled;
        Ok((rows, self.summary))
    }

    fn block(&mut self, arrays: &Arrays, id: ResultId) -> Result<Block> {
        if let Some(block) = self.blocks.get(&id) {
            return Ok(block.clone());
        }
        let family = self.layout.families().iter().find(|f| f.from == id && f.kind == Kind::State);
        let block = match (family, States::of(arrays.of(id.stage), id.root)) {
            (Some(family), Some(fold)) => {
                let states = (0..family.count).map(|n| self.states.get(family.id(n)));
                let states = states.collect::<Result<Vec<_>>>()?;
                fold.merge(states.iter().map(|s| &**s))?
            }
            // an array without elements has no chunk
            _ => Block::uninit(arrays.dtype(id), &arrays.grid(id).shape()),
        };
        self.blocks.insert(id, block.clone());
        Ok(block)
    }
}
