//! Folds by group: a table of keys, accumulators that the kernel folds into, and values kept for folds that no kernel does.

mod all;
mod best;
mod host;
mod in_order;
mod records;
mod share;
mod user;

pub(super) use all::{GroupFold, PARTS};
pub(super) use in_order::GroupsInOrder;

use super::super::cache::KernelCache;
use super::evaluate::{Groups, Registers, batch};
use super::keys::Keys;
use crate::block::Block;
use crate::block::batch::column;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::expr::frame::kernel_dtype;
use crate::op::ReduceOp;
use crate::plan::frame::{Effect, FoldColumn, GroupPlan};
use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use host::Kept;
use records::Accumulators;
use std::sync::Arc;

/// What has been folded so far. A group may be there twice, but not in states that others were merged into.
pub(super) struct GroupState {
    keys: Keys,
    folds: Accumulators,
    kept: Vec<Kept>,
    /// Rows folded so far.
    rows: usize,
    /// Whether a group may be there twice.
    appended: bool,
}

/// Rows that show whether most are groups of their own.
const ALONE: usize = 1 << 16;

impl GroupState {
    pub fn new(plan: &GroupPlan) -> Result<GroupState> {
        let folds = plan.kernel.effects.iter().enumerate().map(|(k, e)| match e {
            Effect::Group { op, .. } => (*op, plan.kernel.value_dtype(k)),
            _ => (ReduceOp::Sum, DType::I64),
        });
        let (keys, inputs) = plan.program.outputs.split_at(plan.keys);
        Ok(GroupState {
            keys: Keys::new(keys.iter().map(|(_, t)| t.clone()))?,
            folds: Accumulators::new(folds),
            kept: plan.hosts.iter().zip(inputs).map(|(fold, (_, t))| Kept::new(fold, t)).collect(),
            rows: 0,
            appended: false,
        })
    }

    /// Nothing folded yet, for other rows of the same pipeline.
    pub fn sibling(&self) -> GroupState {
        GroupState {
            keys: self.keys.sibling(),
            folds: self.folds.sibling(),
            kept: self.kept.iter().map(Kept::sibling).collect(),
            rows: 0,
            appended: false,
        }
    }

    /// The same for one of many parts of the groups.
    pub fn part(&self) -> GroupState {
        GroupState { keys: self.keys.sparse_sibling(), ..self.sibling() }
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        self.keys.nbytes() + self.folds.nbytes() + self.kept.iter().map(Kept::nbytes).sum::<usize>()
    }

    /// Bytes that a group takes, besides its key and its rows.
    fn record(&self) -> usize {
        self.folds.record() + self.kept.iter().map(Kept::record).sum::<usize>()
    }

    /// Folds a batch of rows.
    pub fn push(&mut self, plan: &GroupPlan, rows: &RecordBatch, kernels: &KernelCache) -> Result<()> {
        let mut registers = Registers::new(rows, plan.program.registers);
        registers.run(&plan.program.steps, kernels)?;
        let (keys, hosts) = plan.program.outputs.split_at(plan.keys);
        let keys = keys.iter().map(|(r, _)| registers.column(*r)).collect::<Result<Vec<_>>>()?;
        // without keys all rows have one slot
        let mut slots = Block::full(&[if keys.is_empty() { 1 } else { rows.num_rows() }], Scalar::from(0u32));
        let numbers = bytemuck::cast_slice_mut(slots.bytes_mut());
        // where nearly every row so far was a group of its own, looking keys up finds nothing
        match self.rows >= ALONE && self.keys.len() * 10 > self.rows * 9 {
            true => {
                self.appended = true;
                self.keys.append(&keys, numbers)?;
            }
            false => self.keys.number(&keys, numbers)?,
        }
        self.rows += rows.num_rows();
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.folds.grow(self.keys.len());
        let records = self.folds.all();
        registers.launch(
            &plan.kernel,
            Some(Groups { slots: &slots, many: self.keys.len(), records: &records }),
            kernels,
        )?;
        let groups = self.keys.len();
        for ((kept, fold), (register, _)) in self.kept.iter_mut().zip(&plan.hosts).zip(hosts) {
            let slots: &[u32] = bytemuck::cast_slice(slots.bytes());
            kept.push(fold, &registers.column(*register)?, slots, groups)?;
        }
        Ok(())
    }

    /// Leaves out of what is kept for the host that which its folds will not want.
    fn reduce_kept(&mut self, plan: &GroupPlan) -> Result<()> {
        let groups = self.keys.len();
        for (kept, fold) in self.kept.iter_mut().zip(&plan.hosts) {
            kept.reduce(fold, groups)?;
        }
        Ok(())
    }

    /// Folds some groups of another, without what is kept for the host; their numbers here.
    fn merge_some(&mut self, other: &GroupState, some: &[u32]) -> Vec<u32> {
        let groups = self.keys.merge(&other.keys, some);
        self.folds.grow(self.keys.len());
        self.folds.merge(&other.folds, some, &groups);
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
        let plane = |effect: usize, plane: usize| self.folds.plane(effect, plane, groups);
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
            FoldColumn::Host(k, t) => self.kept[*k].finish(&plan.hosts[*k], t, groups),
        }
    }
}

/// An accumulator's values as a column of another type.
fn as_column(plane: Block, valid: Option<&Block>, t: &DataType) -> Result<ArrayRef> {
    let dtype = kernel_dtype(t).ok_or_else(|| Error::internal("a fold of no kernel's type"))?;
    column(plane.to_contiguous().cast(dtype), valid, t)
}
