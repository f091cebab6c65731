//! A kernel's passes over its points: all stores in one, reductions over the same axes in one, folds by the same slots in one, each
//! selection in one.

use crate::ir::{Kernel, Root, Value};
use smallvec::SmallVec;

/// Roots that one dispatch serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pass {
    /// Stores.
    Store {
        /// Their numbers.
        roots: Vec<usize>,
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
                    Some(Pass::Store { roots }) => roots.push(r),
                    _ => passes.push(Pass::Store { roots: vec![r] }),
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
        passes
    }

    /// The roots it serves.
    pub fn roots(&self) -> &[usize] {
        match self {
            Pass::Store { roots } | Pass::Reduce { roots, .. } | Pass::Group { roots, .. } => roots,
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

    /// Whether each segment leaves a word beside its results: how many it selected, whether slots were too many.
    pub fn has_flags(&self) -> bool {
        matches!(self, Pass::Select { .. } | Pass::Group { .. })
    }

    /// Places in the results' buffer that it writes from: one a root, and one for the words beside them.
    pub fn results(&self) -> usize {
        self.roots().len() + usize::from(self.has_flags())
    }
}
