//! Running folds along one axis: a span is a whole line of blocks, and the last slice of one block starts the next.

use crate::block::{Block, Held};
use crate::dtype::{DType, Element, for_dtype};
use crate::error::Result;
use crate::op::ReduceOp;
use crate::shape::Region;
use ndarray::{ArrayD, ArrayViewMutD, Axis, Zip};
use std::sync::Arc;

/// What a line of blocks carries from one block to the next: the last slice along the axis; nothing at the start of a line.
#[derive(Default)]
pub(super) struct Carry {
    last: Option<Block>,
    /// What holds the block before, if it stayed where it was folded.
    stayed: Option<Arc<dyn Held>>,
}

impl Carry {
    /// Whether the block before stayed where it was folded, so that the next one can be folded there.
    pub fn stayed(&self) -> bool {
        self.stayed.is_some()
    }

    /// Notes that a block stayed where it was folded.
    pub fn stay(&mut self, held: Arc<dyn Held>) {
        *self = Carry { last: None, stayed: Some(held) };
    }

    /// Takes the last slice of the block before from where it is brought to, if that stayed: the one before the box in the whole.
    pub fn come(&mut self, whole: &Block, region: &Region, axis: usize) -> Result<()> {
        if let Some(held) = self.stayed.take() {
            held.fetch()?;
            let mut last = region.clone();
            (last.start[axis], last.shape[axis]) = (region.start[axis] - 1, 1);
            let last = whole.slice(&last);
            self.last = Some(for_dtype!(last.dtype(), T => {
                Block::from_array(last.view::<T>()?.index_axis(Axis(axis), 0).to_owned())
            }));
        }
        Ok(())
    }
}

/// Folds a block along an axis in place, starting from the carry, and leaves the last slice in the carry.
pub(super) fn scan_in_place(op: ReduceOp, axis: usize, block: &mut Block, carry: &mut Carry) {
    match (op, block.dtype()) {
        (ReduceOp::Prod, DType::F64) => run(block, axis, carry, |a: f64, b| a * b),
        (_, DType::F64) => run(block, axis, carry, |a: f64, b| a + b),
        (ReduceOp::Prod, DType::I64) => run(block, axis, carry, i64::wrapping_mul),
        (_, DType::I64) => run(block, axis, carry, i64::wrapping_add),
        (ReduceOp::Prod, _) => run(block, axis, carry, u64::wrapping_mul),
        (_, _) => run(block, axis, carry, u64::wrapping_add),
    }
}

fn run<T: Element>(block: &mut Block, axis: usize, carry: &mut Carry, op: impl Fn(T, T) -> T + Copy) {
    let mut view: ArrayViewMutD<'_, T> = block.view_mut_of();
    let axis = Axis(axis);
    if let Some(before) = carry.last.take().and_then(|b| b.into_array::<T>().ok()) {
        let mut first = view.index_axis_mut(axis, 0);
        Zip::from(&mut first).and(&before).for_each(|v, &c| *v = op(c, *v));
    }
    if axis.index() + 1 == view.ndim() {
        for lane in view.lanes_mut(axis) {
            let mut total = None;
            for v in lane {
                *v = total.map_or(*v, |t| op(t, *v));
                total = Some(*v);
            }
        }
    } else {
        for j in 1..view.len_of(axis) {
            let (done, mut rest) = view.view_mut().split_at(axis, j);
            let before = done.index_axis(axis, j - 1);
            let mut now = rest.index_axis_mut(axis, 0);
            Zip::from(&mut now).and(&before).for_each(|v, &p| *v = op(p, *v));
        }
    }
    let last: ArrayD<T> = view.index_axis(axis, view.len_of(axis) - 1).to_owned();
    carry.last = Some(Block::from_array(last));
}
