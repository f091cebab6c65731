//! A product within a task: its operands are evaluated panel by panel, by steps of their own.

use super::{Stage, Step, StepId, StepKind};
use crate::dtype::DType;
use crate::expr::Product;
use crate::shape::{Dims, Grid, IndexMap, Region};
use blockwise_kernels::tile::product_room;
use std::ops::Range;

/// Alignment of the room to work in.
pub const ALIGN: usize = 64;

/// A product, and how its operands are got.
#[derive(Clone, Debug)]
pub struct ProductStep {
    /// Its axes and panels.
    pub product: Product,
    /// The operands as views of what their steps yield.
    pub maps: [IndexMap; 2],
    /// Axes of the left operand that the right one lacks.
    pub left: usize,
    /// The chunks of the result.
    pub grid: Grid,
    /// The dtype of the operands.
    pub dtype: DType,
    /// The steps that only this product uses: evaluated for each panel.
    pub inner: Range<StepId>,
}

impl ProductStep {
    /// The regions of the operands, left and right, for a region of the result and one of the panels' axes.
    pub fn operands(&self, region: &Region, panel: &Region) -> [Region; 2] {
        [0, 1].map(|n| {
            let part = |result: &[usize], panel: &[usize]| self.product.operand(n, result, panel, self.left);
            Region { start: part(&region.start, &panel.start), shape: part(&region.shape, &panel.shape) }
        })
    }

    /// What of an operand's step all panels for a region of the result need.
    pub(super) fn demand(&self, operand: usize, region: &Region) -> Vec<Region> {
        let parts = [region.start[0], region.end(0) - 1].map(|part| self.product.panels_of(part));
        let (panels, grid) = (parts[0].start..parts[1].end, &self.product.panels);
        let hull = match grid.ndim() {
            _ if panels.is_empty() => return vec![],
            1 => grid.block(panels.start).hull(&grid.block(panels.end - 1)),
            _ => Region::whole(&grid.shape()),
        };
        vec![self.maps[operand].source_region(&self.operands(region, &hull)[operand])]
    }

    /// The extent of a panel of an operand for a result of this extent.
    pub fn panel(&self, operand: usize, extent: &[usize]) -> Dims {
        self.product.operand(operand, extent, &self.product.panels.max_block(), self.left)
    }

    /// Bytes to work in for a result of this extent.
    pub fn room(&self, extent: &[usize]) -> usize {
        product_room(self.dtype, self.matrix(extent)) + ALIGN
    }

    /// Rows and columns of the largest block, and terms of the largest panel.
    pub fn largest(&self) -> (usize, usize, usize) {
        self.matrix(&self.grid.max_block())
    }

    /// Rows and columns of the result, and terms of a panel, for a result of this extent.
    fn matrix(&self, extent: &[usize]) -> (usize, usize, usize) {
        let (rows, cols) = extent[1 + self.product.batch as usize..].split_at(self.left);
        let len = |axes: &[usize]| axes.iter().product();
        (len(rows), len(cols), len(&self.product.panels.max_block()))
    }
}

impl Stage {
    /// Which steps are evaluated for each panel of a product rather than once for a task.
    pub fn inside_products(&self) -> Vec<bool> {
        let mut inside = vec![false; self.steps.len()];
        for step in &self.steps {
            if let StepKind::Product(p) = &step.kind {
                inside[p.inner.clone()].fill(true);
            }
        }
        inside
    }
}

impl Step {
    /// The product that it is.
    pub fn product(&self) -> Option<&ProductStep> {
        match &self.kind {
            StepKind::Product(p) => Some(p),
            _ => None,
        }
    }
}
