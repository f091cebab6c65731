//! Which regions of every step a task needs: inferred from the end backwards.

use super::{Stage, StepId, StepKind};
use crate::ir::Kernel;
use crate::shape::Region;
use smallvec::SmallVec;
use std::ops::Range;

/// Regions asked of one step.
pub type Regions = SmallVec<[Region; 2]>;

impl Stage {
    /// Fills `demands` (one list per step, cleared before) with the regions that a task over `region` needs of every step. Regions of
    /// a step that overlap much or lie side by side become one, unless `in_memory` says that taking any region of it is free.
    pub fn demands(
        &self,
        region: &Region,
        in_memory: impl Fn(&StepKind) -> bool + Copy,
        demands: &mut Vec<Regions>,
    ) {
        demands.resize_with(self.steps.len(), Regions::new);
        for list in demands.iter_mut() {
            list.clear();
        }
        let mergeable = |step: StepId| !in_memory(&self.steps[step].kind);
        for (step, r) in kernel_regions(&self.kernel, &self.kernel_inputs, region, mergeable) {
            add(&mut demands[step], r, mergeable(step));
        }
        self.demand_inputs(0..self.steps.len(), in_memory, demands);
    }

    /// Adds what these steps need of their inputs for what is demanded of them: all panels of a product.
    pub fn demand_inputs(
        &self,
        steps: Range<StepId>,
        in_memory: impl Fn(&StepKind) -> bool,
        demands: &mut [Regions],
    ) {
        let mergeable = |step: StepId| !in_memory(&self.steps[step].kind);
        for k in steps.rev() {
            let step = &self.steps[k];
            for i in 0..if step.inputs.is_empty() { 0 } else { demands[k].len() } {
                let own = demands[k][i].clone();
                if let StepKind::Kernel(kernel) = &step.kind {
                    for (from, r) in kernel_regions(kernel, &step.inputs, &own, mergeable) {
                        add(&mut demands[from], r, mergeable(from));
                    }
                    continue;
                }
                for (n, &from) in step.inputs.iter().enumerate() {
                    for r in self.step_demands(step, n, &own) {
                        add(&mut demands[from], r, mergeable(from));
                    }
                }
            }
        }
    }
}

fn add(regions: &mut Regions, region: Region, mergeable: bool) {
    if region.is_empty() || regions.iter().any(|r| r.contains(&region)) {
        return;
    }
    if mergeable {
        for r in regions.iter_mut() {
            if let Some(hull) = together(r, &region) {
                *r = hull;
                return;
            }
        }
    }
    regions.push(region);
}

/// One region for two that overlap much or lie side by side.
fn together(a: &Region, b: &Region) -> Option<Region> {
    let hull = a.hull(b);
    (hull.len() * 4 <= (a.len() + b.len()) * 5).then_some(hull)
}

/// The regions of its inputs' steps that a kernel over `region` reads.
///
/// Shifted views of one step (a halo, every second element and those between) that overlap much or lie side by side are one region. They lie
/// equally far apart wherever the kernel runs, so the memory projection relies on it.
pub(super) fn kernel_regions(
    kernel: &Kernel,
    steps: &[StepId],
    region: &Region,
    mergeable: impl Fn(StepId) -> bool,
) -> SmallVec<[(StepId, Region); 4]> {
    // each with the number of an input that it is for
    let mut found: SmallVec<[(usize, Region); 4]> = SmallVec::new();
    for (n, (input, &step)) in kernel.inputs().iter().zip(steps).enumerate() {
        let own = input.map.source_region(region);
        if own.is_empty() {
            continue;
        }
        let shifted = |of: usize| steps[of] == step && kernel.inputs()[of].map.is_shift_of(&input.map);
        let hull = found.iter_mut().filter(|(of, _)| mergeable(step) && shifted(*of));
        let hull = hull.into_iter().find_map(|(_, r)| together(r, &own).map(|hull| (r, hull)));
        match hull {
            Some((r, hull)) => *r = hull,
            None => found.push((n, own)),
        }
    }
    found.into_iter().map(|(n, r)| (steps[n], r)).collect()
}
