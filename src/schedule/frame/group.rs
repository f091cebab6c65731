//! Folds by group: a table of keys, accumulators that the kernel folds into, and values kept for folds that no kernel does.

use super::super::cache::KernelCache;
use super::evaluate::{Groups, Registers, batch, internal};
use super::keys::Keys;
use crate::block::Block;
use crate::block::batch::{column, column_bytes};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::expr::frame::kernel_dtype;
use crate::op::ReduceOp;
use crate::plan::frame::{Effect, FoldColumn, GroupPlan, HostFold};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt32Array,
};
use arrow::compute::{SortOptions, cast, concat, take};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use blockwise_kernels::tile;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The accumulators of one effect, one per group, with room for more.
struct Planes {
    op: ReduceOp,
    dtype: DType,
    blocks: Vec<Block>,
    room: usize,
}

impl Planes {
    fn new(op: ReduceOp, dtype: DType) -> Planes {
        Planes { op, dtype, blocks: vec![], room: 0 }
    }

    /// Makes room for accumulators of `groups` groups; new ones are folds of nothing.
    fn grow(&mut self, groups: usize) {
        if groups <= self.room {
            return;
        }
        let room = groups.next_power_of_two().max(16);
        let fresh: Vec<Block> =
            self.op.planes(self.dtype).into_iter().map(|d| Block::uninit(d, &[room])).collect();
        let mut all = Planes { op: self.op, dtype: self.dtype, blocks: fresh, room };
        // SAFETY: each plane is a fresh block of `room` elements.
        unsafe { tile::init(self.op, self.dtype, &all.at(0), room) };
        for (new, old) in all.blocks.iter_mut().zip(&self.blocks) {
            let bytes = old.bytes();
            new.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        }
        *self = all;
    }

    /// The addresses of a group's accumulators.
    fn at(&self, group: usize) -> [*mut u8; 3] {
        let mut at = [std::ptr::null_mut(); 3];
        for (p, block) in at.iter_mut().zip(&self.blocks) {
            *p = (block.as_ptr() as *mut u8).wrapping_add(group * block.dtype().size());
        }
        at
    }

    /// Folds another's accumulators of groups `from` into those of groups `into`.
    fn merge(&mut self, other: &Planes, from: &[u32], into: &[u32]) {
        let mut sizes = [0; 3];
        sizes.iter_mut().zip(&self.blocks).for_each(|(size, block)| *size = block.dtype().size());
        let merge = tile::merge_groups(self.op, self.dtype);
        let n = from.len().min(into.len());
        // SAFETY: both have an accumulator of every group in every plane, and nobody else writes these planes.
        unsafe { merge(&self.at(0), into.as_ptr(), &other.at(0), from.as_ptr(), &sizes, n) };
    }

    /// The first `groups` values of a plane; those of nothing folded if none ever was.
    fn plane(&self, plane: usize, groups: usize) -> Block {
        if self.blocks.is_empty() || groups > self.room {
            let mut empty = Planes::new(self.op, self.dtype);
            empty.grow(groups.max(1));
            return empty.plane(plane, groups);
        }
        self.blocks[plane].slice(&crate::shape::Region::new([0].as_slice(), [groups].as_slice()))
    }
}

/// The states of all spans together. Few groups are merged one state after the other; many are cut by a hash of their keys into parts
/// that are merged side by side, each in the order of spans.
pub(super) struct AllGroups {
    parts: Vec<GroupState>,
    pending: Vec<GroupState>,
}

/// Groups of pending states that are merged at once.
const MANY: usize = 1 << 20;
/// Groups from which they are cut into parts.
const PARTED: usize = 1 << 17;
const PARTS: usize = 256;

/// A function of every item, on a few threads of their own: the caller may hold a lock that the pool's other work waits for.
fn side_by_side<T: Sync, R: Send>(threads: usize, items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = vec![];
        loop {
            let k = next.fetch_add(1, Relaxed);
            match items.get(k) {
                Some(item) => done.push((k, f(item))),
                None => return done,
            }
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(more) => all.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(k, _)| *k);
    all.into_iter().map(|(_, r)| r).collect()
}

impl AllGroups {
    pub fn new(plan: &GroupPlan) -> Result<AllGroups> {
        Ok(AllGroups { parts: vec![GroupState::new(plan)?], pending: vec![] })
    }

    /// The state of a span before its first row.
    pub fn sibling(&self) -> GroupState {
        self.parts[0].sibling()
    }

    /// Takes the state of the next span.
    pub fn push(&mut self, state: GroupState, threads: usize) {
        self.pending.push(state);
        if self.pending.iter().map(GroupState::len).sum::<usize>() > MANY {
            self.flush(threads);
        }
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        self.parts.iter().chain(&self.pending).map(GroupState::nbytes).sum()
    }

    /// Merges what is pending.
    fn flush(&mut self, threads: usize) {
        let mut pending = std::mem::take(&mut self.pending);
        let groups = self.parts[0].len() + pending.iter().map(GroupState::len).sum::<usize>();
        // values that are kept for the host go by number of group: they stay together
        let whole = self.parts.len() == 1 && (groups <= PARTED || !self.parts[0].kept.is_empty());
        if whole {
            pending.into_iter().for_each(|state| self.parts[0].merge(state));
            return;
        }
        if self.parts.len() == 1 {
            let empty = self.parts[0].sibling();
            pending.insert(0, std::mem::replace(&mut self.parts[0], empty));
            self.parts = (0..PARTS).map(|_| self.parts[0].sibling()).collect();
        }
        let lists: Vec<Vec<Vec<u32>>> = side_by_side(threads, &pending, |s| s.keys.partition(PARTS));
        let parts: Vec<(usize, Mutex<&mut GroupState>)> =
            self.parts.iter_mut().enumerate().map(|(p, part)| (p, Mutex::new(part))).collect();
        side_by_side(threads, &parts, |(p, part)| {
            let mut part = part.lock().unwrap_or_else(|e| e.into_inner());
            for (state, lists) in pending.iter().zip(&lists) {
                part.merge_some(state, &lists[*p]);
            }
        });
    }

    /// The result, in one batch or one a part.
    pub fn finish(
        mut self,
        plan: &GroupPlan,
        schema: &SchemaRef,
        threads: usize,
    ) -> Result<Vec<RecordBatch>> {
        self.flush(threads);
        side_by_side(threads, &self.parts, |part| part.finish(plan, schema)).into_iter().collect()
    }
}

/// The values of a host's fold: of every row that counts, with its group.
#[derive(Default)]
struct Kept {
    groups: Vec<u32>,
    values: Vec<ArrayRef>,
}

/// What has been folded so far.
pub(super) struct GroupState {
    keys: Keys,
    planes: Vec<Planes>,
    kept: Vec<Kept>,
}

impl GroupState {
    pub fn new(plan: &GroupPlan) -> Result<GroupState> {
        let planes = plan.kernel.effects.iter().enumerate().map(|(k, e)| match e {
            Effect::Group { op, .. } => Planes::new(*op, plan.kernel.value_dtype(k)),
            _ => Planes::new(ReduceOp::Sum, DType::I64),
        });
        Ok(GroupState {
            keys: Keys::new(plan.program.outputs[..plan.keys].iter().map(|(_, t)| t.clone()))?,
            planes: planes.collect(),
            kept: plan.hosts.iter().map(|_| Kept::default()).collect(),
        })
    }

    /// Nothing folded yet, for other rows of the same pipeline.
    pub fn sibling(&self) -> GroupState {
        GroupState {
            keys: self.keys.sibling(),
            planes: self.planes.iter().map(|p| Planes::new(p.op, p.dtype)).collect(),
            kept: self.kept.iter().map(|_| Kept::default()).collect(),
        }
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        let planes: usize = self.planes.iter().flat_map(|p| &p.blocks).map(Block::nbytes).sum();
        let kept = |k: &Kept| 4 * k.groups.capacity() + k.values.iter().map(column_bytes).sum::<usize>();
        self.keys.nbytes() + planes + self.kept.iter().map(kept).sum::<usize>()
    }

    /// Folds a batch of rows.
    pub fn push(&mut self, plan: &GroupPlan, rows: &RecordBatch, kernels: &KernelCache) -> Result<()> {
        let mut registers = Registers::new(rows, plan.program.registers);
        registers.run(&plan.program.steps, kernels)?;
        let (keys, hosts) = plan.program.outputs.split_at(plan.keys);
        let keys = keys.iter().map(|(r, _)| registers.column(*r)).collect::<Result<Vec<_>>>()?;
        // without keys all rows have one slot
        let mut slots = Block::full(&[if keys.is_empty() { 1 } else { rows.num_rows() }], Scalar::from(0u32));
        self.keys.number(&keys, bytemuck::cast_slice_mut(slots.bytes_mut()))?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        for planes in &mut self.planes {
            planes.grow(self.keys.len());
        }
        let planes: Vec<[*mut u8; 3]> = self.planes.iter().map(|p| p.at(0)).collect();
        registers.launch(&plan.kernel, Some(Groups { slots: &slots, planes: &planes }), kernels)?;
        for ((kept, fold), (register, _)) in self.kept.iter_mut().zip(&plan.hosts).zip(hosts) {
            let slots: &[u32] = bytemuck::cast_slice(slots.bytes());
            kept.push(*fold, &registers.column(*register)?, slots)?;
        }
        Ok(())
    }

    /// Folds what another, of later rows, has folded.
    pub fn merge(&mut self, other: GroupState) {
        let all: Vec<u32> = (0..other.keys.len() as u32).collect();
        let groups = self.merge_some(&other, &all);
        for (kept, from) in self.kept.iter_mut().zip(other.kept) {
            kept.groups.extend(from.groups.iter().map(|&g| groups[g as usize]));
            kept.values.extend(from.values);
        }
    }

    /// Folds some groups of another, without what is kept for the host; their numbers here.
    fn merge_some(&mut self, other: &GroupState, some: &[u32]) -> Vec<u32> {
        let groups = self.keys.merge(&other.keys, some);
        for (planes, from) in self.planes.iter_mut().zip(&other.planes) {
            planes.grow(self.keys.len());
            if from.room > 0 {
                planes.merge(from, some, &groups);
            }
        }
        groups
    }

    /// Number of groups.
    fn len(&self) -> usize {
        self.keys.len()
    }

    /// The result: keys in order of first appearance, then the folds.
    fn finish(&self, plan: &GroupPlan, schema: &SchemaRef) -> Result<RecordBatch> {
        // a fold of everything is one row even if there is nothing
        let groups = if plan.keys == 0 { 1 } else { self.keys.len() };
        let mut columns = if plan.keys == 0 { vec![] } else { self.keys.columns()? };
        for c in &plan.columns {
            columns.push(self.column(c, plan, groups)?);
        }
        batch(schema, columns, groups)
    }

    fn column(&self, c: &FoldColumn, plan: &GroupPlan, groups: usize) -> Result<ArrayRef> {
        let plane = |effect: usize, plane: usize| self.planes[effect].plane(plane, groups);
        let count = |effect: usize| plane(effect, 0).cast(DType::I64);
        match c {
            FoldColumn::Plane(effect, t) => as_column(plane(*effect, 0), None, t),
            FoldColumn::PlaneUnlessEmpty(effect, n, t) => {
                let any: Vec<bool> = count(*n).as_slice::<i64>()?.iter().map(|&n| n > 0).collect();
                as_column(plane(*effect, 0), Some(&Block::from_vec(any)), t)
            }
            FoldColumn::Mean(sum, n) => {
                let (sum, n) = (plane(*sum, 0), count(*n));
                let pairs = sum.as_slice::<f64>()?.iter().zip(n.as_slice::<i64>()?);
                let mean = pairs.map(|(&s, &n)| (n > 0).then(|| s / n as f64));
                Ok(Arc::new(mean.collect::<Float64Array>()))
            }
            FoldColumn::Variance { m2, ddof, root } => {
                let (m2, n) = (plane(*m2, 0), plane(*m2, 2));
                let pairs = m2.as_slice::<f64>()?.iter().zip(n.as_slice::<i64>()?);
                let value = pairs.map(|(&m2, &n)| {
                    let free = n - i64::from(*ddof);
                    (free > 0).then(|| m2 / free as f64).map(|v| if *root { v.sqrt() } else { v })
                });
                Ok(Arc::new(value.collect::<Float64Array>()))
            }
            FoldColumn::Host(k, t) => self.kept[*k].finish(plan.hosts[*k], t, groups),
        }
    }
}

/// An accumulator's values as a column of another type.
fn as_column(plane: Block, valid: Option<&Block>, t: &DataType) -> Result<ArrayRef> {
    let dtype = kernel_dtype(t).ok_or_else(|| Error::internal("a fold of no kernel's type"))?;
    column(plane.to_contiguous().cast(dtype), valid, t)
}

impl Kept {
    /// Keeps what the fold needs of a batch: first and last need one row a group.
    fn push(&mut self, fold: HostFold, values: &ArrayRef, slots: &[u32]) -> Result<()> {
        let valid = values.logical_nulls();
        let counts = |i: &u32| valid.as_ref().is_none_or(|v| v.is_valid(*i as usize));
        let mut rows: Vec<u32> = (0..values.len() as u32).filter(counts).collect();
        match fold {
            HostFold::First => {
                let mut seen = hashbrown::HashSet::<u32, super::keys::Mixer>::default();
                rows.retain(|&i| seen.insert(slot_of(slots, i)));
            }
            HostFold::Last => {
                let mut seen = hashbrown::HashSet::<u32, super::keys::Mixer>::default();
                rows.reverse();
                rows.retain(|&i| seen.insert(slot_of(slots, i)));
            }
            _ => {}
        }
        self.groups.extend(rows.iter().map(|&i| slot_of(slots, i)));
        self.values.push(if rows.len() == values.len() && !matches!(fold, HostFold::Last) {
            values.clone()
        } else {
            take(values, &UInt32Array::from(rows), None).map_err(internal)?
        });
        Ok(())
    }

    /// A value for every group.
    fn finish(&self, fold: HostFold, t: &DataType, groups: usize) -> Result<ArrayRef> {
        let parts: Vec<&dyn Array> = self.values.iter().map(|v| v.as_ref()).collect();
        if parts.is_empty() {
            return Ok(match fold {
                HostFold::NUnique => Arc::new(Int64Array::from_value(0, groups)),
                _ => arrow::array::new_null_array(t, groups),
            });
        }
        let all = concat(&parts).map_err(internal)?;
        let at = |pick: Vec<Option<u32>>| take(&all, &UInt32Array::from(pick), None).map_err(internal);
        match fold {
            HostFold::First => {
                let mut pick = vec![None; groups];
                for (i, &g) in self.groups.iter().enumerate() {
                    pick[g as usize].get_or_insert(i as u32);
                }
                at(pick)
            }
            HostFold::Last => {
                let mut pick: Vec<Option<(u32, usize)>> = vec![None; groups];
                // within a batch the last row of a group comes first, and only once; a later batch wins
                let mut i = 0;
                for (n, part) in self.values.iter().enumerate() {
                    for _ in 0..part.len() {
                        pick[self.groups[i] as usize] = Some((i as u32, n));
                        i += 1;
                    }
                }
                at(pick.into_iter().map(|p| p.map(|p| p.0)).collect())
            }
            HostFold::Min | HostFold::Max => {
                let text = cast(&all, &DataType::LargeUtf8).map_err(internal)?;
                let ranks = arrow::compute::rank(&text, Some(SortOptions::default())).map_err(internal)?;
                let mut pick: Vec<Option<u32>> = vec![None; groups];
                for (i, &g) in self.groups.iter().enumerate() {
                    let better = |j: u32| match fold {
                        HostFold::Min => ranks[i] < ranks[j as usize],
                        _ => ranks[i] > ranks[j as usize],
                    };
                    let best = &mut pick[g as usize];
                    if best.is_none_or(better) {
                        *best = Some(i as u32);
                    }
                }
                at(pick)
            }
            HostFold::Quantile(q) => {
                let values = cast(&all, &DataType::Float64).map_err(internal)?;
                let out =
                    self.by_group(values.as_primitive::<Float64Type>().values(), groups, |v| quantile(v, q));
                Ok(Arc::new(out.into_iter().collect::<Float64Array>()))
            }
            HostFold::NUnique => {
                let mut keys = Keys::new([all.data_type().clone()])?;
                let mut codes = vec![0u32; all.len()];
                keys.number(&[all], &mut codes)?;
                let out = self.by_group(&codes, groups, |codes| {
                    codes.sort_unstable();
                    let different = 1 + codes.windows(2).filter(|w| w[0] != w[1]).count();
                    if codes.is_empty() { 0 } else { different as i64 }
                });
                Ok(Arc::new(Int64Array::from(out)))
            }
        }
    }

    /// A function of every group's values.
    fn by_group<T: Copy + Default, R>(
        &self,
        values: &[T],
        groups: usize,
        f: impl Fn(&mut [T]) -> R,
    ) -> Vec<R> {
        let mut ends = vec![0usize; groups + 1];
        for &g in &self.groups {
            ends[g as usize + 1] += 1;
        }
        for g in 0..groups {
            ends[g + 1] += ends[g];
        }
        let mut next = ends.clone();
        let mut sorted = vec![T::default(); values.len()];
        for (&g, &v) in self.groups.iter().zip(values) {
            sorted[next[g as usize]] = v;
            next[g as usize] += 1;
        }
        (0..groups).map(|g| f(&mut sorted[ends[g]..ends[g + 1]])).collect()
    }
}

fn slot_of(slots: &[u32], row: u32) -> u32 {
    if slots.len() == 1 { slots[0] } else { slots[row as usize] }
}

/// The quantile of values, linear between the two nearest (Hyndman and Fan's type 7); NaN if there is one among them.
fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    if values.iter().any(|v| v.is_nan()) {
        return Some(f64::NAN);
    }
    let at = q * last as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let (_, &mut a, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    if part == 0.0 {
        return Some(a);
    }
    let b = above.iter().copied().fold(f64::INFINITY, f64::min);
    // two infinities are their own middle
    Some(if a == b { a } else { a + (b - a) * part })
}

/// Rows that are the first of their key.
pub(super) struct DistinctState {
    keys: Keys,
    pub rows: Vec<RecordBatch>,
}

impl DistinctState {
    pub fn new(on: &[usize], schema: &SchemaRef) -> Result<DistinctState> {
        Ok(DistinctState {
            keys: Keys::new(on.iter().map(|&c| schema.field(c).data_type().clone()))?,
            rows: vec![],
        })
    }

    /// No rows yet, for others of the same pipeline.
    pub fn sibling(&self) -> DistinctState {
        DistinctState { keys: self.keys.sibling(), rows: vec![] }
    }

    /// Keeps the rows of a batch whose keys are new.
    pub fn push(&mut self, on: &[usize], rows: &RecordBatch) -> Result<()> {
        let columns: Vec<ArrayRef> = on.iter().map(|&c| rows.column(c).clone()).collect();
        let mut seen = self.keys.len() as u32;
        let mut slots = vec![0u32; rows.num_rows()];
        self.keys.number(&columns, &mut slots)?;
        let first = |&s: &u32| {
            let new = s == seen;
            seen += u32::from(new);
            new
        };
        let mask: BooleanArray = slots.iter().map(first).map(Some).collect();
        let kept = arrow::compute::filter_record_batch(rows, &mask).map_err(internal)?;
        if kept.num_rows() > 0 {
            self.rows.push(kept);
        }
        Ok(())
    }

    pub fn nbytes(&self) -> usize {
        self.keys.nbytes() + self.rows.iter().map(crate::block::batch::batch_bytes).sum::<usize>()
    }
}
