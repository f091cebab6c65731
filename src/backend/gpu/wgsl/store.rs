//! Stores: an invocation computes as many points as fill whole words of every result.

use super::{Layout, code, entry, param, word, write_words};
use crate::dtype::DType;
use crate::ir::{Kernel, Value};
use std::fmt::Write;

/// Points of an invocation.
pub fn points(dtypes: impl Iterator<Item = DType>) -> usize {
    dtypes.map(|d| 4usize.div_ceil(d.size())).max().unwrap_or(1)
}

pub(super) fn main(kernel: &Kernel, stored: &[Value], layout: &Layout, width: u32) -> String {
    let points = points(stored.iter().map(|v| kernel.dtype(*v)));
    let first = format!("    let first = (block * {width}u + lane) * {points}u;\n");
    format!("{}{}{first}{}}}\n", place(layout), entry(width), from_first(kernel, stored, layout))
}

/// The function that finds the place of a point's element in the result, if that is not the point's number.
pub(super) fn place(layout: &Layout) -> String {
    let Some(at) = layout.place else { return String::new() };
    let (coordinates, offset) = (super::coordinates(layout.ranks), super::offset(layout, at));
    format!("fn place(outer: u32) -> u32 {{\n{coordinates}    return {offset};\n}}\n\n")
}

/// Lines that compute and store the points of an invocation, from `first` on.
pub(super) fn from_first(kernel: &Kernel, stored: &[Value], layout: &Layout) -> String {
    let points = points(stored.iter().map(|v| kernel.dtype(*v)));
    let (mut text, outer) = (String::new(), param(word::OUTER));
    let place = |n: &str| if layout.place.is_some() { format!("place({n})") } else { n.to_owned() };
    let small = |d: DType| d.size() < 4;
    for (k, v) in stored.iter().enumerate().filter(|(_, v)| small(kernel.dtype(**v))) {
        let words = points * kernel.dtype(*v).size() / 4;
        _ = writeln!(text, "    var w{k} = array<u32, {words}>();");
    }
    _ = writeln!(text, "    for (var k = 0u; k < {points}u; k++) {{\n        let n = first + k;");
    _ = writeln!(text, "        if n >= {outer} {{ break; }}\n        let v = values(n, 0u);");
    for (k, value) in stored.iter().enumerate() {
        let d = kernel.dtype(*value);
        let raw = code::raw(d, &format!("v.v{}", value.0));
        if small(d) {
            let (per, bits) = (4 / d.size(), 8 * d.size());
            _ = writeln!(text, "        w{k}[k / {per}u] |= {raw} << ((k % {per}u) * {bits}u);");
        } else {
            let at = format!("{} + {} * {}u", param(layout.outputs + k), place("n"), super::words(d));
            _ = writeln!(text, "        let r{k} = {raw};\n    {}", write_words(d, &at, &format!("r{k}")));
        }
    }
    text.push_str("    }\n");
    for (k, value) in stored.iter().enumerate().filter(|(_, v)| small(kernel.dtype(**v))) {
        let d = kernel.dtype(*value);
        let (words, per) = (points * d.size() / 4, 4 / d.size());
        for w in 0..words {
            let (base, from) = (param(layout.outputs + k), w * per);
            let at = match layout.place {
                // of a lane's one word
                Some(_) => format!("place(first) / {per}u"),
                None => format!("first / {per}u + {w}u"),
            };
            _ = writeln!(text, "    if first + {from}u < {outer} {{ output[{base} + {at}] = w{k}[{w}]; }}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::backend::gpu::wgsl::{Form, golden, module};
    use crate::backend::gpu::{Arithmetic, passes::Pass};
    use crate::dtype::DType;
    use crate::ir::Builder;
    use crate::shape::IndexMap;

    #[test]
    fn a_tile_of_a_result_that_stays_as_text() {
        let mut text = String::new();
        for d in [DType::F32, DType::U8, DType::I64] {
            let mut b = Builder::new(2);
            let input = b.input(d, IndexMap::identity(2));
            let x = b.load(input);
            b.store(x);
            let kernel = b.finish().expect("sound");
            let form = Form { placed: true, ..Form::sent(2, 0) };
            let pass = &Pass::of(&kernel)[0];
            let made = module(&kernel, pass, &form, 64, &Arithmetic::default()).expect("supported");
            text.push_str(golden::own(&made.text));
        }
        golden::check("placed.wgsl", &text);
    }
}
