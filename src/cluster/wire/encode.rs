//! Graphs to bytes.

use super::super::scratch::Scratch;
use super::form::*;
use super::{MAGIC, MOST_IN_MEMORY, version};
use crate::block::{Address, BlockSource};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, MapBlocks, Op, PadMode, function};
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::plan::{Destination, Target};
use crate::shape::{AxisChunks, Grid, Region};
use std::collections::HashMap;
use std::sync::Arc;

/// The wire form of a computation.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// For each target, whether workers write its sink.
    pub by_workers: Vec<bool>,
}

/// The wire form of targets, for a plan with this memory limit whose stages are cut into at most so many shards.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a function that no worker could know, for a source that cannot be opened elsewhere, and for more than
/// [`MOST_IN_MEMORY`] bytes in memory if there is no scratch directory.
pub fn encode(targets: &[Target], limit: u64, shards: usize, scratch: &mut Scratch) -> Result<Encoded> {
    let (nodes, sources) = (vec![], vec![]);
    let (node_at, source_at) = (HashMap::new(), HashMap::new());
    let mut out = Encoder { nodes, sources, node_at, source_at, in_memory: 0, scratch };
    let mut forms = Vec::with_capacity(targets.len());
    for target in targets {
        let node = out.node_of(&target.expr)?;
        let to = match &target.destination {
            Destination::Memory | Destination::Stay | Destination::Into(_) => ToForm::Memory,
            Destination::Sink(sink) => match sink.address() {
                Some(at) => ToForm::Workers { grid: grid(sink.grid()), address: address(at)? },
                None => ToForm::Client { grid: grid(sink.grid()) },
            },
        };
        forms.push(TargetForm { node, to });
    }
    let job = JobForm {
        limit,
        shards: shards.try_into().unwrap_or(u32::MAX),
        sources: out.sources,
        nodes: out.nodes,
        targets: forms,
    };
    let by_workers = job.targets.iter().map(|t| matches!(t.to, ToForm::Workers { .. })).collect();
    seal(MAGIC, &job).map(|bytes| Encoded { bytes, by_workers })
}

/// The envelope around a form.
pub(super) fn seal(magic: &[u8; 4], form: &impl serde::Serialize) -> Result<Vec<u8>> {
    let body =
        postcard::to_stdvec(form).map_err(|e| Error::internal(format!("writing a computation: {e}")))?;
    let version = version().as_bytes();
    let mut rest = vec![version.len() as u8];
    rest.extend_from_slice(version);
    rest.extend_from_slice(&body);
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&rest).to_le_bytes());
    bytes.extend_from_slice(&rest);
    Ok(bytes)
}

struct Encoder<'a> {
    nodes: Vec<NodeForm>,
    sources: Vec<SourceForm>,
    /// Places in the tables, by address.
    node_at: HashMap<usize, u32>,
    source_at: HashMap<usize, u32>,
    in_memory: usize,
    scratch: &'a mut Scratch,
}

impl Encoder<'_> {
    /// The place of an expression in the table, after those that it uses. Without recursion: a chain may be longer than the stack is deep.
    fn node_of(&mut self, root: &Expr) -> Result<u32> {
        let mut stack = vec![(root.clone(), false)];
        while let Some((expr, ready)) = stack.pop() {
            if self.node_at.contains_key(&expr.address()) {
                continue;
            }
            let node = expr.node();
            if !ready {
                stack.push((expr.clone(), true));
                stack.extend(node.inputs.iter().rev().map(|e| (e.clone(), false)));
                continue;
            }
            let inputs = node.inputs.iter().map(|e| self.node_at[&e.address()]).collect();
            let op = self.op(&node.op)?;
            let at = self.nodes.len() as u32;
            self.nodes.push(NodeForm { op, inputs, dtype: node.dtype as u8, grid: grid(&node.grid) });
            self.node_at.insert(expr.address(), at);
        }
        Ok(self.node_at[&root.address()])
    }

    fn op(&mut self, op: &Op) -> Result<OpForm> {
        Ok(match op {
            Op::Source(source) => OpForm::Source(self.source(&source.0)?),
            Op::Const(value) => OpForm::Const { dtype: value.dtype() as u8, bits: value.bits() },
            Op::Index { axis } => OpForm::Index { axis: *axis },
            Op::Random => OpForm::Random,
            Op::Cast => OpForm::Cast,
            Op::Unary(op) => OpForm::Unary(place(UnaryOp::ALL, *op)),
            Op::Binary(op) => OpForm::Binary(place(BinaryOp::ALL, *op)),
            Op::Compare(op) => OpForm::Compare(place(CompareOp::ALL, *op)),
            Op::Select => OpForm::Select,
            Op::MulAdd => OpForm::MulAdd,
            Op::View(map) => {
                let axes = map.axes().iter();
                let axes =
                    axes.map(|a| AxisForm { from: a.from, start: a.start as i64, step: a.step as i64 });
                OpForm::View(axes.collect())
            }
            Op::Reshape => OpForm::Reshape,
            Op::Concat { axis } => OpForm::Concat { axis: *axis },
            Op::Take { axis, places } => OpForm::Take { axis: *axis, places: numbers(places) },
            Op::Pad { before, after, mode } => OpForm::Pad {
                before: numbers(before),
                after: numbers(after),
                mode: place(PadMode::ALL, *mode),
            },
            Op::Rechunk => OpForm::Rechunk,
            Op::Reduce { op, axes } => OpForm::Reduce { op: place(ReduceOp::ALL, *op), axes: axes.to_vec() },
            Op::Scan { op, axis } => OpForm::Scan { op: place(ReduceOp::ALL, *op), axis: *axis },
            Op::Product(p) => OpForm::Product { batch: p.batch, contracted: p.contracted },
            Op::MapBlocks(map) => map_blocks(map)?,
        })
    }

    fn source(&mut self, source: &Arc<dyn BlockSource>) -> Result<u32> {
        let key = Arc::as_ptr(source) as *const () as usize;
        if let Some(&at) = self.source_at.get(&key) {
            return Ok(at);
        }
        let place = match source.address()? {
            Some(at) => PlaceForm::Address(address(at)?),
            None if source.in_memory() => self.elements(source)?,
            None => {
                let what = format!("{}: reading it on other machines", source.label());
                let hint = "write it as Zarr or .npy where all workers see it, and open that".into();
                return Err(ErrorKind::Unsupported { what, hint }.into());
            }
        };
        let at = self.sources.len() as u32;
        let form = SourceForm { dtype: source.dtype() as u8, grid: grid(source.grid()), place };
        self.sources.push(form);
        self.source_at.insert(key, at);
        Ok(at)
    }

    /// An array in memory: its bytes, as long as there are not too many, else a file of them.
    fn elements(&mut self, source: &Arc<dyn BlockSource>) -> Result<PlaceForm> {
        let shape = source.grid().shape();
        let bytes = shape.iter().fold(source.dtype().size(), |n, &len| n.saturating_mul(len));
        if self.in_memory.saturating_add(bytes) > MOST_IN_MEMORY && self.scratch.is_there() {
            return Ok(PlaceForm::Scattered(address(self.scratch.put(source)?)?));
        }
        self.in_memory = self.in_memory.saturating_add(bytes);
        if self.in_memory > MOST_IN_MEMORY {
            let what = format!(
                "{}: sending {} bytes of arrays in memory to workers (at most {MOST_IN_MEMORY})",
                source.label(),
                self.in_memory
            );
            let hint = "name a scratch directory that all workers see (Options::scratch, BLOCKWISE_SCRATCH), or write them there and open that";
            return Err(ErrorKind::Unsupported { what, hint: hint.into() }.into());
        }
        Ok(PlaceForm::Bytes(source.read(&Region::whole(&shape))?.to_contiguous().bytes().to_vec()))
    }
}

fn map_blocks(map: &MapBlocks) -> Result<OpForm> {
    let known = function(&map.name);
    if !known.is_some_and(|f| Arc::ptr_eq(&f, &map.function)) {
        let kind = ErrorKind::Unsupported {
            what: format!("{}: a function that is no part of the workers", map.name),
            hint: "register it under a name in the program and in its workers, and apply it by that name"
                .into(),
        };
        return Err(Error::from(kind).at(map.at));
    }
    Ok(OpForm::MapBlocks {
        name: map.name.to_string(),
        halo: numbers(&map.halo),
        scratch: map.scratch as u64,
    })
}

pub(super) fn address(at: Address) -> Result<AddressForm> {
    let Some(path) = at.path.to_str() else {
        let what = format!("{}: a path that is not text, on other machines", at.path.display());
        return Err(ErrorKind::Unsupported { what, hint: "rename it".into() }.into());
    };
    Ok(AddressForm { format: at.format, path: path.to_owned(), options: at.options, stamp: at.stamp })
}

fn grid(grid: &Grid) -> Vec<ChunksForm> {
    let axis = |axis: &AxisChunks| match axis {
        AxisChunks::Regular { first, size, len } => {
            ChunksForm::Regular { first: *first as u64, size: *size as u64, len: *len as u64 }
        }
        AxisChunks::Explicit(ends) => ChunksForm::Explicit(numbers(ends)),
    };
    grid.axes().iter().map(axis).collect()
}

fn numbers(values: &[usize]) -> Vec<u64> {
    values.iter().map(|&n| n as u64).collect()
}

/// The place of an operation among all of its kind.
pub(super) fn place<T: PartialEq>(all: &[T], op: T) -> u8 {
    all.iter().position(|other| *other == op).unwrap_or(usize::MAX).min(u8::MAX as usize) as u8
}
