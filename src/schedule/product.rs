//! A product of a task: its operands come panel by panel, and each panel's product is added to the sums.

use super::steps::{Prepared, TaskData, view_operand};
use crate::backend::{Matrix, Operand, Product};
use crate::block::{Block, Held, Lent};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::plan::{ALIGN, ProductStep, Step, StepId};
use crate::shape::{Dims, Grid, Region, c_strides};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;

impl Prepared<'_> {
    pub(super) fn product(
        &self,
        k: StepId,
        of: &ProductStep,
        region: &Region,
        data: &mut TaskData,
    ) -> Result<Lent> {
        let step = &self.stage.steps[k];
        let multiply = self.products[k].as_ref().ok_or_else(|| Error::internal("not compiled"))?;
        let mut sums = Block::full(&region.shape, Scalar::zero(step.dtype));
        let mut room = Block::uninit(DType::U8, &[of.room(&region.shape)]);
        // where products are computed, for the sums of one matrix
        let mut there = None;
        for part in 0..region.shape[0] {
            let mut own = region.clone();
            (own.start[0], own.shape[0]) = (region.start[0] + part, 1);
            let panels = of.product.panels_of(own.start[0]);
            for panel in panels.clone() {
                let operands = of.operands(&own, &of.product.panels.block(panel));
                self.evaluate_panel(step, of, &operands, data)?;
                let groups = of.product.groups(operands[0].ndim(), operands[1].ndim());
                let mut views = Vec::with_capacity(2);
                for (n, operand) in operands.iter().enumerate() {
                    let from = step.inputs[n];
                    let (lent, covers) = data.lent(from, &of.maps[n].source_region(operand))?;
                    let view = view_operand(lent.outline(), covers, &of.maps[n], operand);
                    let split = groups[0] + groups[if n == 0 { 1 } else { 2 }];
                    views.push(Flat::new(lent, view, operand.shape.clone(), groups[0]..split)?);
                }
                let count = region.shape[1..=groups[0]].iter().product::<usize>();
                let extent = (views[0].rows, views[1].cols, views[0].cols);
                let bytes = extent.0 * extent.1 * step.dtype.size();
                let (to, room, fresh) = (sums.as_mut_ptr(), room.as_mut_ptr(), panel == panels.start);
                if fresh && self.read[k] && region.shape[0] * count == 1 {
                    there = self.backend.room(&sums, &Grid::single(sums.shape()), false);
                }
                // SAFETY: the operands' views lie in blocks that live until the panel is done; sums and room are this task's, as large as
                // they must be.
                self.permits.with(|| unsafe {
                    let room = room.add(room.align_offset(ALIGN));
                    for batch in 0..count {
                        let [a, b] = [&views[0], &views[1]].map(|view| view.matrix(batch));
                        let c = to.add((part * count + batch) * bytes);
                        let held = [&views[0], &views[1]].map(|view| view.held.as_deref());
                        let product = Product { extent, a, b, c, fresh, room };
                        if !multiply.run_away(&product, held, there.as_deref())? {
                            there = None;
                        }
                    }
                    Ok::<_, Error>(())
                })?;
            }
        }
        for k in of.inner.clone() {
            data.blocks[k].clear();
        }
        Ok(Lent::new(sums, there))
    }

    /// Evaluates the steps of the operands for one panel, in place of what they had.
    fn evaluate_panel(
        &self,
        step: &Step,
        of: &ProductStep,
        operands: &[Region; 2],
        data: &mut TaskData,
    ) -> Result<()> {
        for k in of.inner.clone() {
            data.demands[k].clear();
            data.blocks[k].clear();
        }
        for ((map, region), &from) in of.maps.iter().zip(operands).zip(&step.inputs) {
            let needed = map.source_region(region);
            if !data.demands[from].iter().any(|r| r.contains(&needed)) {
                data.demands[from].push(needed);
            }
        }
        self.stage.demand_inputs(of.inner.clone(), |kind| self.in_memory(kind), &mut data.demands);
        of.inner.clone().try_for_each(|k| self.evaluate_all(k, data))
    }
}

/// Matrices along the axes of a batch.
struct Flat {
    /// What holds the elements where products are computed, if they are there.
    held: Option<Arc<dyn Held>>,
    /// What the elements lie in.
    _memory: Block,
    first: Operand,
    batch: Dims,
    rows: usize,
    cols: usize,
    strides: [isize; 2],
}

impl Flat {
    /// The elements at `view` in a block, with the axes in `rows` as one, and those behind them; in a copy if they cannot be walked so.
    fn new(lent: &Lent, view: Operand, shape: Dims, rows: Range<usize>) -> Result<Flat> {
        let walk = |strides: &[isize]| {
            let of = |axes: Range<usize>| walked(&shape[axes.clone()], &strides[axes]);
            Some([of(rows.clone())?, of(rows.end..shape.len())?])
        };
        let (held, memory, first, strides) = match walk(&view.strides) {
            Some(strides) => (lent.held().cloned(), lent.outline().clone(), view, strides),
            None => {
                let block = lent.here()?;
                let size = block.dtype().size() as isize;
                let strides: SmallVec<[isize; 4]> = view.strides.iter().map(|s| s / size).collect();
                // SAFETY: the view's elements lie in the block.
                let copy = unsafe {
                    Block::from_foreign(block.dtype(), &shape, &strides, view.ptr, Arc::new(block.clone()))
                };
                let copy = copy.to_contiguous();
                let strides: SmallVec<[isize; 4]> = c_strides(&shape).iter().map(|s| s * size).collect();
                let of = |axes: Range<usize>| {
                    let inner: usize = shape[axes.end..].iter().product();
                    inner as isize * size
                };
                let walked = [of(rows.clone()), of(rows.end..shape.len())];
                (None, copy.clone(), Operand { ptr: copy.as_ptr() as *mut u8, strides }, walked)
            }
        };
        let len = |axes: &[usize]| axes.iter().product();
        let (count, cols) = (len(&shape[rows.clone()]), len(&shape[rows.end..]));
        let batch = shape[..rows.start].into();
        Ok(Flat { held, _memory: memory, first, batch, rows: count, cols, strides })
    }

    /// The matrix at a place of the batch, in C order.
    fn matrix(&self, mut batch: usize) -> Matrix {
        let mut at = 0;
        for (&n, &stride) in self.batch.iter().zip(&self.first.strides).rev() {
            at += (batch % n) as isize * stride;
            batch /= n;
        }
        Matrix { ptr: self.first.ptr.wrapping_offset(at), rows: self.strides[0], cols: self.strides[1] }
    }
}

/// The step that walks all elements of some axes in C order, if there is one.
fn walked(shape: &[usize], strides: &[isize]) -> Option<isize> {
    let mut long = shape.iter().zip(strides).filter(|(n, _)| **n > 1).rev();
    let Some((&n, &step)) = long.next() else { return Some(0) };
    let mut length = n;
    for (&n, &stride) in long {
        if stride != step * length as isize {
            return None;
        }
        length *= n;
    }
    Some(step)
}
