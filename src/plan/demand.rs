//! Which regions of every step a task needs: inferred from the end backwards.

use super::{Stage, StepKind};
use crate::shape::Region;
use smallvec::SmallVec;

/// Regions asked of one step.
pub type Regions = SmallVec<[Region; 2]>;

impl Stage {
    /// Fills `demands` (one list per step, cleared before) with the regions that a task over `region` needs of every step. Regions of
    /// a step that overlap much or lie side by side become one, unless `in_memory` says that taking any region of it is free.
    pub fn demands(
        &self,
        region: &Region,
        in_memory: impl Fn(&StepKind) -> bool,
        demands: &mut Vec<Regions>,
    ) {
        demands.resize_with(self.steps.len(), Regions::new);
        for list in demands.iter_mut() {
            list.clear();
        }
        for (input, &step) in self.kernel.inputs().iter().zip(&self.kernel_inputs) {
            add(&mut demands[step], input.map.source_region(region), !in_memory(&self.steps[step].kind));
        }
        for (k, step) in self.steps.iter().enumerate().rev() {
            for i in 0..if step.inputs.is_empty() { 0 } else { demands[k].len() } {
                let own = demands[k][i].clone();
                for (n, &from) in step.inputs.iter().enumerate() {
                    let mergeable = !in_memory(&self.steps[from].kind);
                    for r in self.step_demands(step, n, &own) {
                        add(&mut demands[from], r, mergeable);
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
            let hull = r.hull(&region);
            if hull.len() * 4 <= (r.len() + region.len()) * 5 {
                *r = hull;
                return;
            }
        }
    }
    regions.push(region);
}
