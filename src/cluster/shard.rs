//! One shard on a worker: its pieces come in, its spans run, what it made and what it carries for others goes out.

use super::arrays::Arrays;
use super::kept::KeptPieces;
use super::layout::{Family, Layout, Work};
use super::piece::{Assembly, Id, Kind, Row};
use super::worker::Host;
use crate::block::Block;
use crate::dtype::Scalar;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Summary;
use crate::plan::ResultId;
use crate::schedule::Runtime;
use crate::schedule::frame::{Came, Together};
use crate::schedule::part::{ChunkStore, Inputs, Outlet, States, run_part};
use crate::shape::Region;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Takes a piece on its way: to which shard of the next stage (or the client), which, and its bytes.
pub(super) type Send<'a> = &'a (dyn Fn(usize, Id, &[u8]) -> Result<()> + Sync);

/// What a shard did, for the client.
#[derive(Serialize, Deserialize, Clone, Default, Debug)]
pub(super) struct Report {
    pub worker: String,
    pub tasks: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub kernels_compiled: u64,
    pub peak_memory: u64,
    pub micros: u64,
}

impl Report {
    fn new(worker: &str, did: &Summary) -> Report {
        Report {
            worker: worker.into(),
            tasks: did.tasks,
            bytes_read: did.bytes_read,
            bytes_written: did.bytes_written,
            kernels_compiled: did.kernels_compiled,
            peak_memory: did.peak_memory,
            micros: did.elapsed.as_micros() as u64,
        }
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Report> {
        let bad = |e: postcard::Error| ErrorKind::Wire { what: "report", message: e.to_string() }.into();
        postcard::from_bytes(bytes).map_err(bad)
    }
}

/// The shards of one stage whose rows come in one stream.
pub(super) struct Incoming {
    host: Arc<Host>,
    layout: Arc<Layout>,
    stage: usize,
    shards: BTreeMap<usize, Shard>,
    /// What the stage's shards here read in common, for as long as one of them is here.
    together: Arc<Together>,
}

/// What has come for a shard.
struct Shard {
    assembly: Assembly,
    chunks: HashMap<ResultId, ChunkStore>,
    /// States and reports.
    others: Arc<KeptPieces>,
}

impl Incoming {
    pub fn new(host: Arc<Host>, job: u64, bytes: &[u8], stage: usize) -> Result<Incoming> {
        let layout = host.layout(job, bytes)?;
        if stage >= layout.stages() {
            return Err(wrong(format!("stage {stage} of {}", layout.stages())));
        }
        let together = host.together(layout.number, stage);
        Ok(Incoming { host, layout, stage, shards: BTreeMap::new(), together })
    }

    /// Takes a row.
    pub fn put(&mut self, payload: &[u8]) -> Result<()> {
        let row = Row::from_bytes(payload)?;
        if row.job != self.layout.number {
            return Err(wrong(format!(
                "{} is of another job, or of a process that planned this one otherwise",
                row.id
            )));
        }
        let (layout, to) = (&self.layout, row.to as usize);
        if to >= layout.shards(self.stage) {
            return Err(wrong(format!("{} is for shard {to} of {}", row.id, layout.shards(self.stage))));
        }
        let shard = self.shards.entry(to).or_insert_with(|| Shard {
            assembly: Assembly::new(layout.expected(self.stage, to)),
            chunks: HashMap::new(),
            others: Arc::new(KeptPieces::new(&self.host.temp_dir)),
        });
        let known = matches!(row.id.kind, Kind::Go) || layout.family(row.id).is_ok();
        let most = if known { layout.most_bytes(row.id) } else { 0 };
        let Some(bytes) = shard.assembly.put(&row, most)? else { return Ok(()) };
        match &layout.work {
            Work::Arrays(arrays) if row.id.kind == Kind::Chunk => {
                let (region, block) = arrays.block(row.id, &bytes)?;
                shard
                    .store(&self.host, arrays, ResultId { stage: row.id.stage, root: row.id.root })?
                    .write(&region, &block)
            }
            _ => Arc::get_mut(&mut shard.others)
                .ok_or_else(|| Error::internal("a piece for a shard that runs"))?
                .insert(row.id, bytes),
        }
    }

    /// Runs all shards that rows came for.
    pub fn run(self, send: Send<'_>, cancel: &AtomicBool) -> Result<()> {
        let Incoming { host, layout, stage, shards, together } = self;
        for (number, mut shard) in shards {
            shard.run((&host, &together), &layout, stage, number, send, cancel)?;
        }
        Ok(())
    }

    /// The job's number.
    pub fn job(&self) -> u64 {
        self.layout.number
    }

    /// Number of shards of the next stage, if there is one.
    pub fn next_shards(&self) -> Option<usize> {
        let next = self.stage + 1;
        (next < self.layout.stages()).then(|| self.layout.shards(next))
    }

    /// Where in the computation this is, for errors.
    pub fn place(&self) -> String {
        let shards = self.shards.keys().map(|&shard| self.layout.place(self.stage, shard));
        shards.collect::<Vec<_>>().join(" and ")
    }
}

fn wrong(message: String) -> Error {
    ErrorKind::Wire { what: "piece", message }.into()
}

impl Shard {
    fn store(&mut self, host: &Host, arrays: &Arrays, id: ResultId) -> Result<&ChunkStore> {
        use std::collections::hash_map::Entry::*;
        Ok(match self.chunks.entry(id) {
            Occupied(known) => known.into_mut(),
            Vacant(place) => {
                let grid = arrays.grid(id).clone();
                place.insert(ChunkStore::create(&host.temp_dir, arrays.dtype(id), grid)?)
            }
        })
    }

    fn run(
        &mut self,
        (host, together): (&Host, &Together),
        layout: &Layout,
        stage: usize,
        number: usize,
        send: Send<'_>,
        cancel: &AtomicBool,
    ) -> Result<()> {
        self.assembly.complete()?;
        let out = Out { layout, stage, send };
        let spans = layout.span_range(stage, number);
        let did = match &layout.work {
            Work::Arrays(arrays) => {
                if arrays.stages()[stage].merges {
                    let merge = |_: &Runtime<'_>| self.merge(layout, arrays, (stage, number), &out);
                    host.run(host.memory_limit, cancel, None, merge)?
                } else {
                    let inputs = self.inputs(host, layout, arrays, (stage, number))?;
                    let (outlet, of) = (ArrayOut { out: &out, arrays }, arrays.stages()[stage].of);
                    let run = |rt: &Runtime<'_>| run_part(&arrays.plan, of, spans, &inputs, &outlet, rt);
                    host.run(host.memory_limit, cancel, None, run)?
                }
            }
            Work::Rows(spread) => {
                let came = Pieces::of(layout, &self.others);
                let (cuts, own) = (layout.cuts(stage), (number, spans));
                let give = |root: usize, number: usize, bytes: Vec<u8>| {
                    out.send(Id { kind: Kind::State, stage, root, number }, &bytes)
                };
                // the limit shapes runs of sorts, so it is the plan's
                let run = |rt: &Runtime<'_>| spread.run_stage(stage, own, cuts, (&came, together), &give, rt);
                host.run(layout.limit, cancel, Some(together), run)?
            }
        };
        self.pass_on(layout, stage, number, &out)?;
        let report = postcard::to_stdvec(&Report::new(&host.name, &did));
        let report = report.map_err(|e| Error::internal(format!("writing a report: {e}")))?;
        out.send(Id { kind: Kind::Report, stage, root: 0, number }, &report)?;
        if stage + 1 < layout.stages() {
            let own = layout.shards(stage);
            for next in (0..layout.shards(stage + 1)).filter(|next| next % own == number) {
                send(next, Id { kind: Kind::Go, stage: stage + 1, root: 0, number: next }, &[])?;
            }
        }
        Ok(())
    }

    /// What the stage reads of earlier ones.
    fn inputs(
        &mut self,
        host: &Host,
        layout: &Layout,
        arrays: &Arrays,
        (stage, number): (usize, usize),
    ) -> Result<Inputs> {
        let mut inputs = Inputs::new(&arrays.plan);
        for id in arrays.inputs(stage) {
            let from = arrays.place(id);
            let family = layout.families().iter().find(|f| f.from == from && f.kind != Kind::Report);
            match (family, States::of(&arrays.plan.stages[id.stage], id.root)) {
                (Some(family), Some(fold)) if family.kind == Kind::State => {
                    let states = self.states(family)?;
                    inputs.set_block(id, fold.merge(states.iter().map(|s| &**s))?);
                }
                // results of folds are in memory, as plans have it; the chunks that nobody here reads are not here
                (Some(family), Some(fold)) => {
                    let mut whole = Block::full(&fold.grid().shape(), Scalar::zero(fold.result_dtype()));
                    let store = self.store(host, arrays, from)?;
                    for n in 0..family.count {
                        if layout.takers(family, n, stage).contains(&(number as u32)) {
                            let region = fold.grid().block(n);
                            whole.copy_from(&region, &store.read(&region)?);
                        }
                    }
                    inputs.set_block(id, whole);
                }
                _ => inputs.set_store(id, self.store(host, arrays, from)?),
            }
        }
        Ok(inputs)
    }

    fn states(&self, family: &Family) -> Result<Vec<std::borrow::Cow<'_, [u8]>>> {
        (0..family.count).map(|n| self.others.get(family.id(n))).collect()
    }

    /// Puts some chunks of large folds together.
    fn merge(
        &self,
        layout: &Layout,
        arrays: &Arrays,
        (stage, number): (usize, usize),
        out: &Out<'_>,
    ) -> Result<Summary> {
        let started = std::time::Instant::now();
        let roots = arrays.of(stage).roots.len();
        for root in 0..roots {
            let Some(fold) = arrays.large(stage, root) else { continue };
            let from = ResultId { stage: stage - 1, root: root + number * roots };
            let family = layout.families().iter().find(|f| f.from == from && f.kind == Kind::State);
            let states = family.map_or(Ok(vec![]), |family| self.states(family))?;
            let chunks = Arrays::chunks(&fold, &layout.span_range(stage, number));
            fold.merge_some(chunks, states.iter().map(|s| &**s), &mut |number, block| {
                out.send(Id { kind: Kind::Chunk, stage, root, number }, block.bytes())
            })?;
        }
        Ok(Summary { ok: true, elapsed: started.elapsed(), ..Summary::default() })
    }

    /// Hands on what later stages or the client need of what came.
    fn pass_on(&self, layout: &Layout, stage: usize, number: usize, out: &Out<'_>) -> Result<()> {
        for family in layout.families().iter().filter(|f| f.from.stage < stage) {
            for n in 0..family.count {
                if layout.takers(family, n, stage).first() != Some(&(number as u32)) {
                    continue;
                }
                let id = family.id(n);
                if out.takers(family, n).is_empty() {
                    continue;
                }
                match &layout.work {
                    Work::Arrays(arrays) if family.kind == Kind::Chunk => {
                        let store = self.chunks.get(&family.from);
                        let store = store.ok_or_else(|| Error::internal(format!("{id} is not here")))?;
                        out.send(id, store.read(&arrays.grid(family.from).block(n))?.bytes())?;
                    }
                    _ => out.send(id, &self.others.get(id)?)?,
                }
            }
        }
        Ok(())
    }
}

/// The way out of a stage: to the next one, or the client.
struct Out<'a> {
    layout: &'a Layout,
    stage: usize,
    send: Send<'a>,
}

impl Out<'_> {
    fn takers(&self, family: &Family, number: usize) -> SmallVec<[u32; 2]> {
        match self.stage + 1 == self.layout.stages() {
            true if family.client => smallvec![0],
            true => smallvec![],
            false => self.layout.takers(family, number, self.stage + 1),
        }
    }

    fn send(&self, id: Id, bytes: &[u8]) -> Result<()> {
        for to in self.takers(self.layout.family(id)?, id.number) {
            (self.send)(to as usize, id, bytes)?;
        }
        Ok(())
    }
}

/// What came for a shard, or the client, of a frame's stages.
pub(super) struct Pieces {
    /// By stage: its roots, and the pieces of each.
    counts: Vec<(usize, usize)>,
    others: Arc<KeptPieces>,
}

impl Pieces {
    pub fn of(layout: &Layout, others: &Arc<KeptPieces>) -> Arc<dyn Came> {
        let counts = (0..layout.stages()).map(|stage| layout.counts(stage)).collect();
        Arc::new(Pieces { counts, others: others.clone() })
    }
}

impl Came for Pieces {
    fn roots(&self, stage: usize) -> usize {
        self.counts[stage].0
    }

    fn count(&self, stage: usize) -> usize {
        self.counts[stage].1
    }

    fn len(&self, stage: usize, root: usize, number: usize) -> usize {
        self.others.len(Id { kind: Kind::State, stage, root, number })
    }

    fn piece(&self, stage: usize, root: usize, number: usize) -> Result<Vec<u8>> {
        let id = Id { kind: Kind::State, stage, root, number };
        self.others.get(id).map(std::borrow::Cow::into_owned)
    }
}

/// The way out of a stage of arrays.
struct ArrayOut<'a> {
    out: &'a Out<'a>,
    arrays: &'a Arrays,
}

impl Outlet for ArrayOut<'_> {
    fn takes_sink(&self, root: usize) -> bool {
        self.out.layout.travels(ResultId { stage: self.out.stage, root })
    }

    fn block(&self, root: usize, region: &Region, block: Block) -> Result<()> {
        let stage = self.out.stage;
        let grid = self.arrays.grid(ResultId { stage, root });
        for index in grid.blocks_in(region) {
            let chunk = grid.region(&index).relative_to(region);
            let id = Id { kind: Kind::Chunk, stage, root, number: super::arrays::number(&grid, &index) };
            self.out.send(id, block.slice(&chunk).to_contiguous().bytes())?;
        }
        Ok(())
    }

    fn state(&self, root: usize, span: usize, state: Vec<u8>) -> Result<()> {
        let stage = self.out.stage;
        let id = |root| Id { kind: Kind::State, stage, root, number: span };
        let Some(fold) = self.arrays.large(stage, root) else { return self.out.send(id(root), &state) };
        let parts = self.out.layout.ranges(stage + 1);
        let chunks: Vec<_> = parts.iter().map(|parts| Arrays::chunks(&fold, parts)).collect();
        for (cut, part) in fold.cut(&state, &chunks)?.into_iter().enumerate() {
            self.out.send(id(root + cut * self.arrays.of(stage).roots.len()), part)?;
        }
        Ok(())
    }
}
