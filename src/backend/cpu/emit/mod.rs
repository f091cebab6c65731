//! Machine code for groups of simple instructions: one loop in which values live in registers.
//!
//! [`partition`] cuts a kernel into groups and the instructions between them (calls of transcendental functions and the
//! like); a [`Group`] is one step of the tile machine. Its code is made when a launch first needs it, once for every
//! combination of inputs that are one element for all points and outputs that bypass the caches. Nothing is contracted
//! or reordered: results are the bits of the tile machine.
//!
//! Off x86-64, or where the system forbids executable memory, there are no groups and the tile machine does everything.

#[cfg(all(target_arch = "x86_64", unix))]
mod asm;
#[cfg(all(target_arch = "x86_64", unix))]
mod convert;
#[cfg(all(target_arch = "x86_64", unix))]
mod fuse;
mod group;
#[cfg(all(target_arch = "x86_64", unix))]
mod lower;
#[cfg(all(target_arch = "x86_64", unix))]
mod memory;
#[cfg(all(target_arch = "x86_64", unix))]
mod ops;
mod simple;
#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "x86_64", unix))]
mod transfer;

pub use group::{Group, How, MAX_ARGS, MAX_SUMS, Variant};

use super::program::Item;
use crate::ir::{Inst, Kernel, Root, Value};
use blockwise_kernels::tile::Isa;
use simple::is_simple;
use smallvec::SmallVec;
use std::sync::Arc;

/// Most instructions of a group.
const MAX_MEMBERS: usize = 256;

/// A kernel as groups and the instructions between them; `None` if nothing can be fused.
///
/// Every instruction has a phase. Those that are not simple run first in their phase, then its group runs; what uses a group's
/// results and is not simple is of a later phase.
pub fn partition(kernel: &Kernel, isa: Isa) -> Option<Vec<Item>> {
    if !cfg!(all(target_arch = "x86_64", unix)) || isa == Isa::Portable {
        return None;
    }
    let insts = kernel.insts();
    let simple: Vec<bool> = (0..insts.len()).map(|k| is_simple(kernel, k, isa)).collect();
    let mut phase = vec![0usize; insts.len()];
    for (k, inst) in insts.iter().enumerate() {
        let of = |v: &Value| phase[v.0 as usize] + usize::from(simple[v.0 as usize] && !simple[k]);
        phase[k] = inst.operands().iter().map(of).max().unwrap_or(0);
    }
    let kernel = Arc::new(kernel.clone());
    let mut items = Vec::new();
    let mut groups = 0;
    let mut loaded = vec![false; insts.len()];
    for p in 0..=phase.iter().copied().max().unwrap_or(0) {
        let of_phase = || (0..insts.len()).filter(|k| phase[*k] == p);
        let members: Vec<usize> = of_phase().filter(|k| simple[*k]).collect();
        let worthwhile = members.iter().any(|&k| is_wide(&kernel, k));
        let group = if worthwhile { group(&kernel, isa, &simple, &phase, members.clone()) } else { None };
        let is_inst = |k: &usize| !matches!(insts[*k], Inst::Load(_) | Inst::Const(_));
        let between = of_phase().filter(|k| is_inst(k) && (!simple[*k] || group.is_none()));
        // loads come right before what first uses them
        let mut load = |values: &[Value], items: &mut Vec<Item>| {
            for v in values {
                let k = v.0 as usize;
                if matches!(insts[k], Inst::Load(_)) && !std::mem::replace(&mut loaded[k], true) {
                    items.push(Item::Inst(k));
                }
            }
        };
        for k in between {
            load(&insts[k].operands(), &mut items);
            items.push(Item::Inst(k));
        }
        if let Some(group) = group {
            load(&group.inputs, &mut items);
            items.push(Item::Group(Box::new(group)));
            groups += 1;
        }
        if p == phase.iter().copied().max().unwrap_or(0) {
            let all: Vec<Value> = kernel.roots().iter().flat_map(Root::operands).collect();
            load(&all, &mut items);
        }
    }
    (groups > 0).then_some(items)
}

/// Whether an instruction has to do with lanes of 4 bytes or more: below that the tile machine's full vectors are better.
fn is_wide(kernel: &Kernel, k: usize) -> bool {
    let wide = |v: Value| kernel.dtype(v).size() >= 4;
    wide(Value(k as u32)) || kernel.insts()[k].operands().into_iter().any(wide)
}

/// The group of these members; `None` if it is too large.
fn group(
    kernel: &Arc<Kernel>,
    isa: Isa,
    simple: &[bool],
    phase: &[usize],
    members: Vec<usize>,
) -> Option<Group> {
    let insts = kernel.insts();
    let is_member = |v: Value| members.contains(&(v.0 as usize));
    let mut inputs: SmallVec<[Value; 8]> = SmallVec::new();
    for v in members.iter().flat_map(|&k| insts[k].operands()) {
        if !is_member(v) && !matches!(insts[v.0 as usize], Inst::Const(_)) && !inputs.contains(&v) {
            inputs.push(v);
        }
    }
    let p = phase[*members.first()?];
    let leaves = |v: Value| {
        let by_root = kernel.roots().iter().any(|r| r.operands().contains(&v));
        let by_inst =
            |(k, inst): (usize, &Inst)| (phase[k] != p || !simple[k]) && inst.operands().contains(&v);
        by_root || insts.iter().enumerate().any(by_inst)
    };
    let outputs: SmallVec<[Value; 4]> =
        members.iter().map(|&k| Value(k as u32)).filter(|v| leaves(*v)).collect();
    if inputs.len() + outputs.len() > MAX_ARGS || members.len() > MAX_MEMBERS {
        return None;
    }
    Some(Group::new(kernel.clone(), isa, members, inputs, outputs))
}
