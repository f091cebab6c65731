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
/// Every instruction has a phase. Those that are not simple run first in their phase, then its groups run, those of narrow lanes before
/// those of wide ones; what uses their results and is not simple, or narrow where they are wide, is of a later phase.
pub fn partition(kernel: &Kernel, isa: Isa) -> Option<Vec<Item>> {
    if !cfg!(all(target_arch = "x86_64", unix)) || isa == Isa::Portable {
        return None;
    }
    let insts = kernel.insts();
    let simple: Vec<bool> = (0..insts.len()).map(|k| is_simple(kernel, k, isa)).collect();
    let long = long_lanes(kernel, &simple);
    let mut phase = vec![0usize; insts.len()];
    for (k, inst) in insts.iter().enumerate() {
        let later = |v: usize| simple[v] && (!simple[k] || long[v] && !long[k]);
        let of = |v: &Value| phase[v.0 as usize] + usize::from(later(v.0 as usize));
        phase[k] = inst.operands().iter().map(of).max().unwrap_or(0);
    }
    let kernel = Arc::new(kernel.clone());
    let mut items = Vec::new();
    let mut loaded = vec![false; insts.len()];
    // loads come right before what first uses them
    let mut load = |values: &[Value], items: &mut Vec<Item>| {
        for v in values {
            let k = v.0 as usize;
            if matches!(insts[k], Inst::Load(_)) && !std::mem::replace(&mut loaded[k], true) {
                items.push(Item::Inst(k));
            }
        }
    };
    for p in 0..=phase.iter().copied().max().unwrap_or(0) {
        let of_phase = |k: &usize| phase[*k] == p && !matches!(insts[*k], Inst::Load(_) | Inst::Const(_));
        let (members, others): (Vec<usize>, Vec<usize>) =
            (0..insts.len()).filter(of_phase).partition(|k| simple[*k]);
        let (wide, narrow): (Vec<usize>, Vec<usize>) = members.into_iter().partition(|k| long[*k]);
        for k in others {
            load(&insts[k].operands(), &mut items);
            items.push(Item::Inst(k));
        }
        for members in narrow.chunks(MAX_MEMBERS).chain(wide.chunks(MAX_MEMBERS)) {
            let worthwhile = members.iter().any(|&k| is_wide(&kernel, k));
            if let Some(group) = worthwhile.then(|| group(&kernel, isa, members)).flatten() {
                load(&group.inputs, &mut items);
                items.push(Item::Group(Box::new(group)));
                continue;
            }
            for &k in members {
                load(&insts[k].operands(), &mut items);
                items.push(Item::Inst(k));
            }
        }
    }
    let all: Vec<Value> = kernel.roots().iter().flat_map(Root::operands).collect();
    load(&all, &mut items);
    items.iter().any(|i| matches!(i, Item::Group(_))).then_some(items)
}

/// Which instructions are kept out of groups of 4-byte lanes. A group with one lane of 8 bytes computes half as many points at a time in
/// all its lanes: what has to do with 8 bytes gets groups of its own where that gains more than values that pass between groups cost,
/// about a store and a load each.
fn long_lanes(kernel: &Kernel, simple: &[bool]) -> Vec<bool> {
    let insts = kernel.insts();
    let is_long = |v: &Value| kernel.dtype(*v).size() == 8;
    let long: Vec<bool> = (0..insts.len())
        .map(|k| simple[k] && (is_long(&Value(k as u32)) || insts[k].operands().iter().any(is_long)))
        .collect();
    let crosses = |v: usize| {
        let uses = |(k, inst): (usize, &Inst)| {
            simple[k] && long[k] != long[v] && inst.operands().contains(&Value(v as u32))
        };
        simple[v] && insts.iter().enumerate().any(uses)
    };
    let narrow = (0..insts.len()).filter(|k| simple[*k] && !long[*k]).count();
    let crossing = (0..insts.len()).filter(|v| crosses(*v)).count();
    if narrow >= 16 && narrow > 4 * crossing { long } else { vec![false; insts.len()] }
}

/// Whether an instruction has to do with lanes of 4 bytes or more: below that the tile machine's full vectors are better.
fn is_wide(kernel: &Kernel, k: usize) -> bool {
    let wide = |v: Value| kernel.dtype(v).size() >= 4;
    wide(Value(k as u32)) || kernel.insts()[k].operands().into_iter().any(wide)
}

/// The group of these members; `None` if it has too many operands.
fn group(kernel: &Arc<Kernel>, isa: Isa, members: &[usize]) -> Option<Group> {
    let insts = kernel.insts();
    let is_member = |v: Value| members.binary_search(&(v.0 as usize)).is_ok();
    let mut inputs: SmallVec<[Value; 8]> = SmallVec::new();
    for v in members.iter().flat_map(|&k| insts[k].operands()) {
        if !is_member(v) && !matches!(insts[v.0 as usize], Inst::Const(_)) && !inputs.contains(&v) {
            inputs.push(v);
        }
    }
    let leaves = |v: Value| {
        let by_root = kernel.roots().iter().any(|r| r.operands().contains(&v));
        let by_inst = |(k, inst): (usize, &Inst)| !is_member(Value(k as u32)) && inst.operands().contains(&v);
        by_root || insts.iter().enumerate().any(by_inst)
    };
    let outputs: SmallVec<[Value; 4]> =
        members.iter().map(|&k| Value(k as u32)).filter(|v| leaves(*v)).collect();
    if inputs.len() + outputs.len() > MAX_ARGS {
        return None;
    }
    Some(Group::new(kernel.clone(), isa, members.to_vec(), inputs, outputs))
}
