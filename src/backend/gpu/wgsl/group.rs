//! Folds by group: every lane of a workgroup owns one slot and folds what belongs to it of each tile of points, in order.
//!
//! Where there are more slots than lanes, several workgroups go over the same points, each for a range of the slots.

use super::{Layout, entry, param, reduce, word};
use crate::dtype::DType;
use crate::error::Result;
use crate::ir::{Kernel, Root, Value};
use crate::op::ReduceOp;
use std::fmt::Write;

/// Words of a slot's accumulator: how many elements it has folded, and what they come to.
pub fn slot_words(op: ReduceOp, d: DType) -> usize {
    1 + reduce::partial_words(op, d)
}

pub(super) fn main(kernel: &Kernel, roots: &[usize], layout: &Layout, width: u32) -> Result<String> {
    let mut slot = Value(0);
    let mut masks = vec![];
    for &r in roots {
        if let Root::GroupReduce { slot: s, mask, .. } = &kernel.roots()[r] {
            slot = *s;
            masks.push(*mask);
        }
    }
    let parts: Vec<_> = reduce::folds(kernel, roots).collect();
    let folds: Vec<reduce::Fold> = reduce::fold_all(&parts)?;
    let fields: Vec<_> = folds.iter().flat_map(|f| &f.fields).collect();
    let mut text = String::from("struct Acc {\n");
    (0..folds.len()).for_each(|k| _ = writeln!(text, "    n{k}: u32,"));
    fields.iter().for_each(|(name, of, _)| _ = writeln!(text, "    {name}: {of},"));
    let zeros = folds.iter().map(|_| "0u");
    let empty: Vec<&str> = zeros.chain(fields.iter().map(|(_, _, empty)| empty.as_str())).collect();
    _ = writeln!(text, "}}\n\nfn push(before: Acc, v: Values) -> Acc {{\n    var a = before;");
    for (k, (fold, mask)) in folds.iter().zip(&masks).enumerate() {
        let lines = format!("a.n{k} += 1u;\n    {}", fold.push);
        _ = match mask {
            Some(m) => writeln!(text, "    if v.v{} {{\n    {lines}\n    }}", m.0),
            None => writeln!(text, "    {lines}"),
        };
    }
    _ = writeln!(text, "    return a;\n}}\n\nvar<workgroup> tile: array<Values, {width}>;\n");
    text.push_str(&entry(width));
    let points = super::segment_points("segment");
    _ = writeln!(
        text,
        "    let ranges = ({slots} + {width}u - 1u) / {width}u;
    let segment = block / ranges;
    if segment >= {segments} {{ return; }}
    let mine = (block % ranges) * {width}u + lane;
{points}
    var a = Acc({empty});
    for (var t = first; t < end; t += {width}u) {{
        let n = t + lane;
        if n < end {{ tile[lane] = values(n, 0u); }}
        workgroupBarrier();
        let many = min(end - t, {width}u);
        for (var i = 0u; i < many; i++) {{
            if tile[i].v{slot} == mine {{ a = push(a, tile[i]); }}
        }}
        workgroupBarrier();
    }}
    if mine >= {slots} {{ return; }}
    let own = segment * {slots} + mine;",
        slots = param(word::SLOTS),
        segments = param(word::SEGMENTS),
        empty = empty.join(", "),
        slot = slot.0,
    );
    for (k, &(op, d, _)) in parts.iter().enumerate() {
        let words = slot_words(op, d);
        _ = writeln!(
            text,
            "    let p{k} = {} + own * {words}u;\n    output[p{k}] = a.n{k};",
            param(layout.outputs + k)
        );
        text.push_str(&reduce::write_partial(k, op, d, 1));
    }
    text.push_str("}\n");
    Ok(text)
}
