//! Folds by group: every lane of a workgroup owns one slot and folds what belongs to it of each tile of points, in order.
//!
//! So there are at most as many slots as lanes; a word per workgroup tells whether a point named another.

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
    _ = writeln!(
        text,
        "    return a;\n}}\n\nvar<workgroup> tile: array<Values, {width}>;\nvar<workgroup> beyond: atomic<u32>;\n"
    );
    text.push_str(&entry(width));
    // where some root folds the point
    let named: Option<Vec<String>> = masks.iter().map(|m| m.map(|m| format!("v.v{}", m.0))).collect();
    let named = named.map_or(String::new(), |masks| format!(" && ({})", masks.join(" || ")));
    _ = writeln!(
        text,
        "    if block >= {segments} {{ return; }}
    let first = block * {chunk};
    let end = min(first + {chunk}, {outer});
    var a = Acc({empty});
    for (var t = first; t < end; t += {width}u) {{
        let n = t + lane;
        if n < end {{
            let v = values(n, 0u);
            tile[lane] = v;
            if v.v{slot} >= {width}u{named} {{ atomicOr(&beyond, 1u); }}
        }}
        workgroupBarrier();
        let many = min(end - t, {width}u);
        for (var i = 0u; i < many; i++) {{
            if tile[i].v{slot} == lane {{ a = push(a, tile[i]); }}
        }}
        workgroupBarrier();
    }}
    if lane == 0u {{ output[{beyond} + block] = atomicLoad(&beyond); }}
    let own = block * {width}u + lane;",
        segments = param(word::SEGMENTS),
        chunk = param(word::CHUNK),
        outer = param(word::OUTER),
        empty = empty.join(", "),
        slot = slot.0,
        beyond = param(layout.outputs + roots.len()),
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
