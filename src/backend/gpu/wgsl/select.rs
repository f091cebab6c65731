//! Compaction: a workgroup puts the selected of its run of points side by side, and says how many; the host joins the runs.

use super::{Layout, code, entry, param, word, words, write_words};
use crate::ir::{Kernel, Root};
use std::fmt::Write;

/// Points of an invocation.
pub const ROUNDS: u32 = 16;

pub(super) fn main(kernel: &Kernel, root: usize, layout: &Layout, width: u32) -> String {
    let Root::Select { mask, value } = kernel.roots()[root] else { return String::new() };
    let d = kernel.dtype(value);
    let mut text = format!("var<workgroup> before: array<u32, {width}>;\n\n{}", entry(width));
    let at = format!(
        "{} + (block * {}u + so_far + before[lane] - 1u) * {}u",
        param(layout.outputs),
        width * ROUNDS,
        words(d)
    );
    let write = write_words(d, "at", "r");
    _ = writeln!(
        text,
        "    if block >= {segments} {{ return; }}
    var so_far = 0u;
    for (var round = 0u; round < {ROUNDS}u; round++) {{
        let n = (block * {ROUNDS}u + round) * {width}u + lane;
        var chosen = false;
        var v: Values;
        if n < {outer} {{
            v = values(n, 0u);
            chosen = v.v{mask};
        }}
        // how many are chosen up to each lane
        before[lane] = select(0u, 1u, chosen);
        for (var s = 1u; s < {width}u; s = s * 2u) {{
            workgroupBarrier();
            var sum = before[lane];
            if lane >= s {{ sum += before[lane - s]; }}
            workgroupBarrier();
            before[lane] = sum;
        }}
        workgroupBarrier();
        if chosen {{
            let at = {at};
            let r = {raw};
            {write}
        }}
        so_far += before[{last}u];
        workgroupBarrier();
    }}
    if lane == 0u {{ output[{counts} + block] = so_far; }}
}}",
        segments = param(word::SEGMENTS),
        outer = param(word::OUTER),
        mask = mask.0,
        raw = code::raw(d, &format!("v.v{}", value.0)),
        last = width - 1,
        counts = param(layout.outputs + 1),
    );
    text
}
