//! Bytes to graphs; nothing in them is believed.

use super::super::scratch::Scattered;
use super::form::*;
use super::{MAGIC, MOST_BYTES, MOST_CHUNKS, MOST_NODES, version};
use crate::block::{Address, Block, BlockSink, BlockSource, MemorySource};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{Expr, MAX_NDIM, MapBlocks, PadMode, function};
use crate::io;
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::plan::{Destination, Target};
use crate::shape::{AxisChunks, AxisMap, Dims, Grid, IndexMap, Region};
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

/// A computation that came over the wire.
#[derive(Debug)]
pub struct Job {
    /// What to compute. Sinks that the client writes are stand-ins, which cannot be written.
    pub targets: Vec<Target>,
    /// For each target, whether workers write its sink.
    pub by_workers: Vec<bool>,
    /// Memory limit that the plan is made for, in bytes.
    pub limit: u64,
    /// The most shards that a stage is cut into.
    pub shards: usize,
}

/// The computation that bytes stand for. Opens its files.
///
/// # Errors
/// [`ErrorKind::Wire`] if the bytes are not what [`encode`](super::encode) made, or another version of the library made them; what opening
/// files says.
pub fn decode(bytes: &[u8]) -> Result<Job> {
    let form: JobForm = open(MAGIC, bytes)?;
    if form.nodes.len() > MOST_NODES {
        return Err(bad(format!("{} nodes; at most {MOST_NODES}", form.nodes.len())));
    }
    let sources = form.sources.into_iter().map(source).collect::<Result<Vec<_>>>()?;
    let mut nodes: Vec<Expr> = Vec::with_capacity(form.nodes.len());
    for (at, node) in form.nodes.into_iter().enumerate() {
        let expr = build(node, &nodes, &sources).map_err(|e| match e.kind() {
            ErrorKind::Wire { .. } => e,
            _ => bad(format!("node {at}: {e}")),
        })?;
        nodes.push(expr);
    }
    let by_workers = form.targets.iter().map(|t| matches!(t.to, ToForm::Workers { .. })).collect();
    let targets = form.targets.into_iter().map(|t| target(t, &nodes)).collect::<Result<Vec<_>>>()?;
    if targets.is_empty() {
        return Err(bad("no targets"));
    }
    Ok(Job { targets, by_workers, limit: form.limit, shards: (form.shards as usize).clamp(1, 1 << 16) })
}

pub(super) fn bad(message: impl Into<String>) -> Error {
    ErrorKind::Wire { what: "computation", message: message.into() }.into()
}

/// The form in the envelope.
pub(super) fn open<F: serde::de::DeserializeOwned>(magic: &[u8; 4], bytes: &[u8]) -> Result<F> {
    let parts = || {
        let rest = bytes.strip_prefix(magic)?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (&length, body) = rest.split_first()?;
        let (theirs, body) = body.split_at_checked(length as usize)?;
        Some((u32::from_le_bytes(*crc), rest, theirs, body))
    };
    let (crc, rest, theirs, body) = parts().ok_or_else(|| bad("it does not begin as one"))?;
    if bytes.len() > MOST_BYTES {
        return Err(bad(format!("{} bytes; at most {MOST_BYTES}", bytes.len())));
    }
    if crc32c::crc32c(rest) != crc {
        return Err(bad("its checksum does not match"));
    }
    if theirs != version().as_bytes() {
        let theirs = String::from_utf8_lossy(theirs);
        return Err(bad(format!(
            "made by version {theirs}, this is {}: use one version everywhere",
            version()
        )));
    }
    postcard::from_bytes(body).map_err(|e| bad(e.to_string()))
}

fn source(form: SourceForm) -> Result<Arc<dyn BlockSource>> {
    let (dtype, grid) = (dtype(form.dtype)?, grid(&form.grid)?);
    let source: Arc<dyn BlockSource> = match form.place {
        PlaceForm::Bytes(bytes) => {
            let shape = grid.shape();
            let len = shape.iter().try_fold(dtype.size(), |n, &len| n.checked_mul(len));
            if len != Some(bytes.len()) || dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
                return Err(bad(format!("{} bytes are no {dtype} {shape:?}", bytes.len())));
            }
            let mut block = Block::uninit(dtype, &shape);
            block.bytes_mut().copy_from_slice(&bytes);
            Arc::new(MemorySource::new(block, grid.clone()))
        }
        PlaceForm::Scattered(at) => {
            let file = io::open_source(&address(at))?;
            match file.grid().shape() == grid.shape() {
                true => Arc::new(Scattered::new(file, grid.clone())),
                // said below
                false => file,
            }
        }
        PlaceForm::Address(at) => io::open_source(&address(at))?,
    };
    if source.dtype() != dtype || *source.grid() != grid {
        let message = format!(
            "{} is {} {} here, but {dtype} {grid} where the computation was made",
            source.label(),
            source.dtype(),
            source.grid()
        );
        return Err(bad(message));
    }
    Ok(source)
}

pub(super) fn address(form: AddressForm) -> Address {
    let AddressForm { format, path, options, stamp } = form;
    Address { format, path: PathBuf::from(path), options, stamp }
}

fn target(form: TargetForm, nodes: &[Expr]) -> Result<Target> {
    let expr = nodes.get(form.node as usize).cloned().ok_or_else(|| bad("a target that is no node"))?;
    let fits = |grid: Grid| match grid.shape().as_slice() == expr.shape() {
        true => Ok(grid),
        false => Err(bad(format!("a sink of chunks {grid} for shape {:?}", expr.shape()))),
    };
    let destination = match form.to {
        ToForm::Memory => Destination::Memory,
        ToForm::Client { grid: chunks } => {
            Destination::Sink(Arc::new(StandIn { grid: fits(grid(&chunks)?)?, item: expr.dtype().size() }))
        }
        ToForm::Workers { grid: chunks, address: at } => {
            Destination::Sink(io::open_sink(&address(at), expr.dtype(), fits(grid(&chunks)?)?)?)
        }
    };
    Ok(Target { expr, destination })
}

/// A sink that somebody else writes.
#[derive(Debug)]
struct StandIn {
    grid: Grid,
    item: usize,
}

impl BlockSink for StandIn {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "the client's sink".into()
    }

    fn write(&self, _: &Region, _: &Block) -> Result<()> {
        Err(Error::internal("a worker writes the client's sink"))
    }

    fn write_bytes(&self, extent: &[usize]) -> usize {
        extent.iter().fold(self.item, |n, &len| n.saturating_mul(len))
    }

    fn finish(&self) -> Result<()> {
        Err(Error::internal("a worker finishes the client's sink"))
    }
}

/// A node of operands that are there already; it must be what the form says it is.
fn build(form: NodeForm, nodes: &[Expr], sources: &[Arc<dyn BlockSource>]) -> Result<Expr> {
    let (dtype, grid) = (dtype(form.dtype)?, grid(&form.grid)?);
    let inputs = form.inputs.iter().map(|&i| nodes.get(i as usize).cloned());
    let inputs =
        inputs.collect::<Option<Vec<Expr>>>().ok_or_else(|| bad("an operand that is no earlier node"))?;
    let expr = operation(form.op, inputs, dtype, grid.clone(), sources)?;
    if expr.dtype() != dtype || *expr.grid() != grid {
        let (d, g) = (expr.dtype(), expr.grid());
        return Err(bad(format!("{} yields {d} {g}, not {dtype} {grid}", expr.node().op)));
    }
    Ok(expr)
}

fn operation(
    op: OpForm,
    inputs: Vec<Expr>,
    dtype: DType,
    grid: Grid,
    sources: &[Arc<dyn BlockSource>],
) -> Result<Expr> {
    let alike = |list: &[Expr]| match list.windows(2).all(|w| w[0].dtype() == w[1].dtype()) {
        true => Ok(()),
        false => Err(bad("operands of several dtypes")),
    };
    match op {
        OpForm::Source(at) => {
            take::<0>(inputs)?;
            let source = sources.get(at as usize).ok_or_else(|| bad("a source that is not there"))?;
            Expr::source(source.clone())
        }
        OpForm::Const { dtype: d, bits } => {
            take::<0>(inputs)?;
            Expr::constant(Scalar::from_bits(self::dtype(d)?, bits), grid)
        }
        OpForm::Index { axis } => {
            take::<0>(inputs)?;
            Expr::index(on(axis, grid.ndim())?, grid)
        }
        OpForm::Random => Expr::random(take(inputs)?, dtype, grid),
        OpForm::Cast => {
            let [x] = take(inputs)?;
            x.cast(dtype)
        }
        OpForm::Unary(op) => {
            let [x] = take(inputs)?;
            x.unary(of(UnaryOp::ALL, op)?)
        }
        OpForm::Binary(op) => {
            alike(&inputs)?;
            let [a, b] = take(inputs)?;
            Expr::binary(of(BinaryOp::ALL, op)?, a, b)
        }
        OpForm::Compare(op) => {
            alike(&inputs)?;
            let [a, b] = take(inputs)?;
            Expr::compare(of(CompareOp::ALL, op)?, a, b)
        }
        OpForm::Select => {
            let [c, a, b] = take(inputs)?;
            alike(&[a.clone(), b.clone()])?;
            if c.dtype() != DType::Bool || c.shape() != a.shape() {
                return Err(bad("a condition that is no bool of the shape of what it chooses"));
            }
            Expr::select(c, a, b)
        }
        OpForm::MulAdd => {
            alike(&inputs)?;
            let [a, b, c] = take(inputs)?;
            Expr::mul_add(a, b, c)
        }
        OpForm::View(axes) => {
            let [x] = take(inputs)?;
            let map = index_map(&axes, &x, &grid.shape())?;
            x.view(map, &grid.shape())
        }
        OpForm::Reshape => {
            let [x] = take(inputs)?;
            same_size(&x, &grid)?;
            x.reshape(&grid.shape(), grid)
        }
        OpForm::Concat { axis } => {
            alike(&inputs)?;
            let axis = on(axis, inputs.first().map_or(0, Expr::ndim))?;
            let length = |n: usize, x: &Expr| n.checked_add(*x.shape().get(axis)?);
            let length = inputs.iter().try_fold(0, length);
            if length.is_none_or(|n| n > isize::MAX as usize) {
                return Err(bad("parts of one array with other axes, or too long together"));
            }
            Expr::concat(axis, inputs)
        }
        OpForm::Take { axis, places } => {
            let [x] = take(inputs)?;
            let axis = on(axis, x.ndim())?;
            let len = x.shape()[axis] as u64;
            if places.iter().any(|&p| p >= len) {
                return Err(bad("a place outside its axis"));
            }
            x.take(axis, places.into_iter().map(|p| p as usize).collect())
        }
        OpForm::Pad { before, after, mode } => {
            let [x] = take(inputs)?;
            let (before, after) = (lengths(&before)?, lengths(&after)?);
            let fits = before.len() == x.ndim() && after.len() == x.ndim();
            let sum = |k: usize| before[k].checked_add(after[k])?.checked_add(x.shape()[k]);
            let longest = isize::MAX as usize / 4;
            if !fits || (0..x.ndim()).any(|k| sum(k).is_none_or(|n| n > longest)) {
                return Err(bad("a margin that does not fit"));
            }
            x.pad(&before, &after, of(PadMode::ALL, mode)?)
        }
        OpForm::Rechunk => {
            let [x] = take(inputs)?;
            if grid.shape().as_slice() != x.shape() {
                return Err(bad("chunks of another shape"));
            }
            x.rechunk(grid)
        }
        OpForm::Reduce { op, axes } => {
            let [x] = take(inputs)?;
            let axes: Vec<usize> = axes.iter().map(|&a| on(a, x.ndim())).collect::<Result<_>>()?;
            if !axes.is_sorted_by(|a, b| a < b) {
                return Err(bad("axes of a fold that do not ascend"));
            }
            x.reduce(of(ReduceOp::ALL, op)?, &axes)
        }
        OpForm::Scan { op, axis } => {
            let [x] = take(inputs)?;
            let (op, axis) = (of(ReduceOp::ALL, op)?, on(axis, x.ndim())?);
            if !matches!(op, ReduceOp::Sum | ReduceOp::Prod) {
                return Err(bad("a running fold that is neither sum nor product"));
            }
            x.scan(op, axis)
        }
        OpForm::Product { batch, contracted } => {
            alike(&inputs)?;
            let [a, b] = take(inputs)?;
            // blocks of the result have 256 rows and more
            let long = |x: &Expr| x.shape().iter().any(|&n| n / 256 > MOST_CHUNKS);
            if long(&a) || long(&b) {
                return Err(bad("a product of too many blocks"));
            }
            // how it is cut follows from the operands; what does not fit is refused there
            Expr::product(a, b, batch as usize, contracted as usize)
        }
        OpForm::MapBlocks { name, halo, scratch } => map_blocks(name, &halo, scratch, inputs, dtype, grid),
    }
}

fn map_blocks(
    name: String,
    halo: &[u64],
    scratch: u64,
    inputs: Vec<Expr>,
    dtype: DType,
    grid: Grid,
) -> Result<Expr> {
    let Some(function) = function(&name) else {
        let what = format!("{name}: a function that this worker does not know");
        let hint = "register it in the worker's program under this name".into();
        return Err(ErrorKind::Unsupported { what, hint }.into());
    };
    let halo = lengths(halo)?;
    let spread = halo.iter().any(|&h| h > 0);
    let fits = |x: &Expr| match spread {
        true => (0..grid.ndim()).all(|k| {
            halo[k].checked_mul(2).and_then(|h| h.checked_add(grid.shape()[k])) == Some(x.shape()[k])
        }),
        false => x.grid().counts().iter().zip(&grid.counts()).all(|(&n, &m)| n == m || n == 1 || m == 0),
    };
    let ranks = halo.len() == grid.ndim() && inputs.iter().all(|x| x.ndim() == grid.ndim());
    if inputs.is_empty() || !ranks || !inputs.iter().all(fits) || scratch > 1 << 20 {
        return Err(bad(format!("{name}: inputs that do not fit its blocks")));
    }
    let (name, halo, scratch, at) = (name.into(), halo, scratch as usize, Location::caller());
    Expr::map_blocks(MapBlocks { function, name, halo, scratch, at }, inputs, dtype, grid)
}

/// A map that stays inside its source wherever it is asked.
fn index_map(axes: &[AxisForm], source: &Expr, shape: &[usize]) -> Result<IndexMap> {
    let outside = || bad("a view that leaves its source");
    // views of views are one view where they are made, so this is none; composing what is not bounded could overflow
    if axes.len() != source.ndim() || matches!(source.node().op, crate::expr::Op::View(_)) {
        return Err(outside());
    }
    let empty = shape.contains(&0);
    for (axis, &len) in axes.iter().zip(source.shape()) {
        let n = match axis.from {
            None => 1,
            Some(k) => *shape.get(k as usize).ok_or_else(outside)?,
        };
        let (start, step, len) = (i128::from(axis.start), i128::from(axis.step), len as i128);
        let last = start + step * (n as i128 - 1).max(0);
        let inside = |i: i128| (0..len).contains(&i);
        let modest = step.abs() <= len.max(1 << 31) && start.abs() <= len.max(1);
        let stays = empty || inside(start) && inside(last);
        if !modest || !stays {
            return Err(outside());
        }
    }
    let axis = |a: &AxisForm| AxisMap { from: a.from, start: a.start as isize, step: a.step as isize };
    Ok(IndexMap::new(axes.iter().map(axis)))
}

fn same_size(x: &Expr, grid: &Grid) -> Result<()> {
    let size = grid.shape().iter().try_fold(1usize, |n, &len| n.checked_mul(len));
    if size == Some(x.len()) { Ok(()) } else { Err(bad("another size under the same elements")) }
}

fn take<const N: usize>(inputs: Vec<Expr>) -> Result<[Expr; N]> {
    let n = inputs.len();
    inputs.try_into().map_err(|_| bad(format!("{n} operands where {N} are")))
}

pub(super) fn of<T: Copy>(all: &[T], place: u8) -> Result<T> {
    all.get(place as usize).copied().ok_or_else(|| bad("an operation that there is not"))
}

pub(super) fn dtype(place: u8) -> Result<DType> {
    of(&DType::ALL, place)
}

fn on(axis: u8, ndim: usize) -> Result<usize> {
    if (axis as usize) < ndim { Ok(axis as usize) } else { Err(bad(format!("axis {axis} of {ndim}"))) }
}

fn lengths(values: &[u64]) -> Result<Dims> {
    let one = |&n: &u64| usize::try_from(n).ok().filter(|&n| n <= isize::MAX as usize);
    values.iter().map(one).collect::<Option<Dims>>().ok_or_else(|| bad("a length that cannot be"))
}

fn grid(form: &[ChunksForm]) -> Result<Grid> {
    if form.len() > MAX_NDIM {
        return Err(bad(format!("{} axes; at most {MAX_NDIM}", form.len())));
    }
    let axes = form.iter().map(|axis| {
        let chunks = match axis {
            ChunksForm::Regular { first, size, len } => {
                let [first, size, len] = lengths(&[*first, *size, *len])?[..] else {
                    return Err(bad("chunks"));
                };
                if first == 0 || first > size {
                    return Err(bad("chunks whose first is empty or longer than the others"));
                }
                AxisChunks::Regular { first, size, len }
            }
            ChunksForm::Explicit(ends) => {
                let ends = lengths(ends)?;
                if ends.is_empty() || ends[0] == 0 || !ends.is_sorted_by(|a, b| a < b) {
                    return Err(bad("chunks that do not ascend"));
                }
                AxisChunks::Explicit(ends.iter().copied().collect())
            }
        };
        if chunks.count() > MOST_CHUNKS {
            return Err(bad(format!("{} chunks along an axis; at most {MOST_CHUNKS}", chunks.count())));
        }
        Ok(chunks)
    });
    let grid = Grid::new(axes.collect::<Result<Vec<_>>>()?);
    let elements = grid.shape().iter().try_fold(8usize, |n, &len| n.checked_mul(len.max(1)));
    let blocks = grid.counts().iter().try_fold(1usize, |n, &len| n.checked_mul(len.max(1)));
    if elements.is_none_or(|n| n > isize::MAX as usize) || blocks.is_none() {
        return Err(bad("more elements than can be addressed"));
    }
    Ok(grid)
}
