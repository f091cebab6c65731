//! Stores of what lies the other way round: a workgroup reads tiles as they lie, so that neighbouring lanes read neighbouring words, and then computes
//! and stores their points in order.

use super::{Form, Layout, code, entry, home, param, store, word};
use crate::backend::gpu::geometry::{SIDE, TILE};
use crate::ir::{Kernel, Value};
use std::fmt::Write;

/// The bits of an input's element of the point at hand, if it is read by tiles.
pub(super) fn seat(form: &Form, input: usize) -> Option<String> {
    let turn = form.turn.as_ref().filter(|turn| turn.inputs.contains(&(input as u8)))?;
    let (row, column) = (turn.axis, form.ranks.both() - 1);
    Some(format!("turned{input}[(c{column} % {SIDE}u) * {}u + c{row} % {SIDE}u]", SIDE + 1))
}

pub(super) fn main(
    kernel: &Kernel,
    stored: &[Value],
    (layout, form): (&Layout, &Form),
    width: u32,
) -> String {
    let Some(turn) = &form.turn else { return String::new() };
    let (mut text, mut reads) = (String::new(), String::new());
    let read = |&&(n, _): &&(usize, usize)| turn.inputs.contains(&(n as u8));
    for &(n, at) in layout.inputs.iter().filter(read) {
        let (d, Some(slot)) = (kernel.inputs()[n].dtype, home(form, n)) else { continue };
        let of = if d.size() == 8 { "vec2<u32>" } else { "u32" };
        _ = writeln!(
            text,
            "var<workgroup> turned{n}: array<{of}, {TILE}>;\n\nfn bits{n}(outer: u32) -> {of} {{\n{}    let i = {} + {};\n    \
             return {};\n}}\n",
            super::coordinates(layout.ranks),
            super::offset(layout, at + 1),
            param(at),
            code::resident(d, slot, "i"),
        );
        _ = writeln!(
            reads,
            "            turned{n}[(t / {SIDE}u) * {}u + t % {SIDE}u] = bits{n}(n);",
            SIDE + 1
        );
    }
    text.push_str(&store::place(layout));
    text.push_str(&entry(width));
    _ = writeln!(
        text,
        "    if block >= {} {{ return; }}\n    var rest = block;\n    var step = 1u;\n    var corner = 0u;",
        param(word::SEGMENTS)
    );
    let last = layout.ranks.both() - 1;
    for axis in (0..=last).rev() {
        let length = param(word::COUNT + axis);
        let tiles = format!("(({length} + {}u) / {SIDE}u)", SIDE - 1);
        let (what, along) = match axis {
            a if a == last => (format!("let first_column = (rest % {tiles}) * {SIDE}u;"), &tiles),
            a if a == turn.axis => {
                (format!("let first_row = (rest % {tiles}) * {SIDE}u;\n    let down = step;"), &tiles)
            }
            _ => (format!("corner += (rest % {length}) * step;"), &length),
        };
        _ = writeln!(text, "    {what}\n    rest = rest / {along};\n    step = step * {length};");
    }
    let (rows, columns) = (param(word::COUNT + turn.axis), param(word::COUNT + last));
    let points = store::points(stored.iter().map(|v| kernel.dtype(*v))) as u32;
    // a row has whole words of every result
    let writes = format!("            let first = n;\n{}", store::from_first(kernel, stored, layout));
    // as they lie, then in order
    for (row, column, (points, each), after) in [
        ("t % {SIDE}u", "t / {SIDE}u", (1, reads), "    workgroupBarrier();\n"),
        ("t / {SIDE}u", "t % {SIDE}u", (points, writes), "}\n"),
    ] {
        let [row, column] = [row, column].map(|place| place.replace("{SIDE}", &SIDE.to_string()));
        _ = write!(
            text,
            "    for (var t = lane * {points}u; t < {}u; t += {}u) {{
        let row = first_row + {row};
        let column = first_column + {column};
        if row < {rows} && column < {columns} {{
            let n = corner + row * down + column;
{each}        }}
    }}
{after}",
            SIDE * SIDE,
            width * points,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::gpu::geometry::{Ranks, Turn};
    use crate::backend::gpu::wgsl::golden;
    use crate::backend::gpu::{Arithmetic, passes::Pass};
    use crate::dtype::DType;
    use crate::ir::Builder;
    use crate::op::BinaryOp;
    use crate::shape::IndexMap;

    #[test]
    fn a_transpose_as_text() {
        let mut b = Builder::new(3);
        let [x, y, z] = [DType::F32, DType::I16, DType::F64].map(|d| {
            let input = b.input(d, IndexMap::identity(3));
            let x = b.load(input);
            b.cast(DType::F64, x)
        });
        let sum = b.binary(BinaryOp::Add, x, y);
        let sum = b.binary(BinaryOp::Add, sum, z);
        b.store(sum);
        let short = b.cast(DType::I16, z);
        b.store(short);
        let kernel = b.finish().expect("sound");
        let form = Form {
            ranks: Ranks { outer: 3, inner: 0 },
            homes: [None, Some(0), Some(1)].as_slice().into(),
            turn: Some(Turn { axis: 1, inputs: [1u8, 2].as_slice().into() }),
            placed: false,
        };
        let pass = &Pass::of(&kernel)[0];
        let text =
            super::super::module(&kernel, pass, &form, 64, &Arithmetic::default()).expect("supported").text;
        golden::check("turned.wgsl", golden::own(&text));
    }
}
