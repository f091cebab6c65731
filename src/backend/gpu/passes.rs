//! A kernel's passes over its points: all stores in one, reductions over the same axes in one, folds by the same slots in one, each
//! selection in one.
//!
//! Folds by slots have two passes, of which a launch uses one: few slots are folded on the device; of many the device computes what is to be
//! folded, and the host folds it. Several stores have a pass each, too, for launches whose results stay where they are: a pass has one buffer of
//! results.

use crate::ir::{Kernel, Root, Value};
use smallvec::SmallVec;

/// Roots that one dispatch serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pass {
    /// Stores.
    Store {
        /// Their numbers.
        roots: Vec<usize>,
        /// Whether it is one of several that have a pass each, since they have places of their own.
        apart: bool,
    },
    /// Reductions over the same axes.
    Reduce {
        /// What is folded away.
        axes: SmallVec<[u8; 4]>,
        /// Their numbers.
        roots: Vec<usize>,
    },
    /// Folds into the same slots.
    Group {
        /// The slot.
        slot: Value,
        /// Their numbers.
        roots: Vec<usize>,
    },
    /// What is folded into the same slots, for the host to fold.
    Spread {
        /// The slot.
        slot: Value,
        /// Their numbers.
        roots: Vec<usize>,
    },
    /// A selection.
    Select {
        /// Its number.
        root: usize,
    },
}

impl Pass {
    /// The passes of a kernel.
    pub fn of(kernel: &Kernel) -> Vec<Pass> {
        let mut passes: Vec<Pass> = vec![];
        for (r, root) in kernel.roots().iter().enumerate() {
            match root {
                Root::Store { .. } => match passes.iter_mut().find(|p| matches!(p, Pass::Store { .. })) {
                    Some(Pass::Store { roots, .. }) => roots.push(r),
                    _ => passes.push(Pass::Store { roots: vec![r], apart: false }),
                },
                Root::Reduce { axes, .. } => {
                    let same = |p: &&mut Pass| matches!(p, Pass::Reduce { axes: a, .. } if a == axes);
                    match passes.iter_mut().find(same) {
                        Some(Pass::Reduce { roots, .. }) => roots.push(r),
                        _ => passes.push(Pass::Reduce { axes: axes.clone(), roots: vec![r] }),
                    }
                }
                Root::Select { .. } => passes.push(Pass::Select { root: r }),
                Root::GroupReduce { slot, .. } => {
                    let same = |p: &&mut Pass| matches!(p, Pass::Group { slot: s, .. } if s == slot);
                    match passes.iter_mut().find(same) {
                        Some(Pass::Group { roots, .. }) => roots.push(r),
                        _ => passes.push(Pass::Group { slot: *slot, roots: vec![r] }),
                    }
                }
            }
        }
        let others = passes.iter().flat_map(|pass| match pass {
            Pass::Group { slot, roots } => vec![Pass::Spread { slot: *slot, roots: roots.clone() }],
            Pass::Store { roots, .. } if roots.len() > 1 => {
                roots.iter().map(|&r| Pass::Store { roots: vec![r], apart: true }).collect()
            }
            _ => vec![],
        });
        let others: Vec<Pass> = others.collect();
        passes.extend(others);
        passes
    }

    /// Whether a launch needs it; `few` tells whether slots are few, `stays` whether any result has a place of its own.
    pub fn is_for(&self, few: bool, stays: bool) -> bool {
        match self {
            Pass::Group { .. } => few,
            Pass::Spread { .. } => !few,
            Pass::Store { apart: true, .. } => stays,
            Pass::Store { roots, .. } => !stays || roots.len() == 1,
            _ => true,
        }
    }

    /// Whether it computes what another pass computes with more.
    pub fn is_apart(&self) -> bool {
        matches!(self, Pass::Store { apart: true, .. })
    }

    /// The roots it serves.
    pub fn roots(&self) -> &[usize] {
        match self {
            Pass::Store { roots, .. }
            | Pass::Reduce { roots, .. }
            | Pass::Group { roots, .. }
            | Pass::Spread { roots, .. } => roots,
            Pass::Select { root } => std::slice::from_ref(root),
        }
    }

    /// The values that its roots take, each once.
    pub fn values(&self, kernel: &Kernel) -> Vec<Value> {
        let mut values: Vec<Value> =
            self.roots().iter().flat_map(|&r| kernel.roots()[r].operands()).collect();
        values.sort();
        values.dedup();
        values
    }

    /// Whether an axis is folded away.
    pub fn folds(&self, axis: usize) -> bool {
        matches!(self, Pass::Reduce { axes, .. } if axes.contains(&(axis as u8)))
    }

    /// Whether the points of an axis meet in accumulators, so that it matters where it is cut.
    pub fn meets(&self, axis: usize) -> bool {
        self.folds(axis) || matches!(self, Pass::Group { .. })
    }

    /// Whether the host wants the points in order.
    pub fn is_ordered(&self) -> bool {
        matches!(self, Pass::Select { .. } | Pass::Spread { .. })
    }

    /// Places in the results' buffer that it writes from.
    pub fn results(&self, kernel: &Kernel) -> usize {
        match self {
            // elements, and how many of them
            Pass::Select { .. } => 2,
            Pass::Spread { .. } => self.values(kernel).len(),
            _ => self.roots().len(),
        }
    }
}
