//! Kernels as WGSL text: one module a pass, from the library's functions and one line an instruction.

mod code;
mod group;
mod library;
pub mod product;
mod reduce;
pub mod running;
mod select;
mod store;
mod turned;

use super::arithmetic::Arithmetic;
use super::geometry::{Ranks, Turn};
use super::passes::Pass;
use crate::dtype::DType;
use crate::error::Result;
use crate::ir::{Inst, Kernel, Value};
use smallvec::SmallVec;
use std::fmt::Write;

pub use group::slot_words;
pub use library::{Library, Native};
pub use reduce::{acc_words, partial_words};
pub use select::ROUNDS;
pub use store::points as points_of_store;

/// What the text of a pass depends on, beside the kernel.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Form {
    /// Axes that it walks.
    pub ranks: Ranks,
    /// The twins' bindings of inputs that are on the device; none of those behind.
    pub homes: SmallVec<[Option<u8>; 6]>,
    /// What is read by tiles.
    pub turn: Option<Turn>,
    /// Whether a store's points go where strides say, not in their order.
    pub placed: bool,
}

impl Form {
    /// Of a pass whose inputs are all sent.
    pub fn sent(outer: usize, inner: usize) -> Form {
        Form { ranks: Ranks { outer, inner }, homes: SmallVec::new(), turn: None, placed: false }
    }
}

/// A module and where it expects its parameters.
pub struct Module {
    /// The text. Its entry point is `main`.
    pub text: String,
    /// Its parameters.
    pub layout: Layout,
}

/// Words of parameters that every module has; see [`Layout`] for those after them. Word 0 is 0, which no compiler knows.
pub mod word {
    /// Points of the outer axes.
    pub const OUTER: usize = 1;
    /// Points of the inner (reduced) axes.
    pub const INNER: usize = 2;
    /// Workgroups in a row of the grid.
    pub const ROW: usize = 3;
    /// Lanes that fold one segment.
    pub const LANES: usize = 4;
    /// Points of a segment.
    pub const CHUNK: usize = 5;
    /// Segments of an outer point.
    pub const CHUNKS: usize = 6;
    /// Segments of all.
    pub const SEGMENTS: usize = 7;
    /// Points after which segments begin anew.
    pub const LINE: usize = 8;
    /// Segments of so many points.
    pub const PER_LINE: usize = 9;
    /// Slots of a fold by group.
    pub const SLOTS: usize = 10;
    /// How many there are.
    pub const COUNT: usize = 11;
}

/// Where parameters are: after those of [`word`] the lengths of axes, then inputs, index axes and results.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Axes.
    pub ranks: Ranks,
    /// Inputs that are read, by number: first word (of a twin: first element) and strides in elements.
    pub inputs: Vec<(usize, usize)>,
    /// Axes whose index is used: start (two words) and steps.
    pub indices: Vec<(u8, usize)>,
    /// Each result's first word.
    pub outputs: usize,
    /// Steps of the result, if its points go where they say.
    pub place: Option<usize>,
    /// Number of words.
    pub len: usize,
}

impl Layout {
    fn new(kernel: &Kernel, used: &[bool], Form { ranks, placed, .. }: &Form, outputs: usize) -> Layout {
        let ranks = *ranks;
        let mut len = word::COUNT + ranks.both();
        let mut take = |n: usize| {
            len += n;
            len - n
        };
        let (mut inputs, mut indices) = (vec![], vec![]);
        for (inst, _) in kernel.insts().iter().zip(used).filter(|(_, used)| **used) {
            match *inst {
                Inst::Load(n) => inputs.push((n as usize, take(1 + ranks.both()))),
                Inst::Index { axis } => indices.push((axis, take(2 + ranks.both()))),
                _ => {}
            }
        }
        let outputs = take(outputs);
        let place = placed.then(|| take(ranks.both()));
        Layout { ranks, inputs, indices, outputs, place, len }
    }
}

/// The module of a pass, for an adapter of this arithmetic.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) if the library lacks an operation.
pub fn module(
    kernel: &Kernel,
    pass: &Pass,
    form: &Form,
    width: u32,
    arithmetic: &Arithmetic,
) -> Result<Module> {
    let values = pass.values(kernel);
    let used = used(kernel, &values);
    let layout = Layout::new(kernel, &used, form, pass.results(kernel));
    let own = match pass {
        Pass::Store { roots, .. } if form.turn.is_some() => {
            turned::main(kernel, &stored(kernel, roots), (&layout, form), width)
        }
        Pass::Store { roots, .. } => store::main(kernel, &stored(kernel, roots), &layout, width),
        Pass::Spread { .. } => store::main(kernel, &values, &layout, width),
        Pass::Reduce { roots, .. } => reduce::main(kernel, roots, &layout, width)?,
        Pass::Select { root } => select::main(kernel, *root, &layout, width),
        Pass::Group { roots, .. } => group::main(kernel, roots, &layout, width)?,
    };
    let own = format!("{}\n{own}", values_function(kernel, &values, &used, (&layout, form), arithmetic)?);
    let library = Library::get().needed_by(&format!("{own} params input output"), arithmetic);
    let text = format!("{library}\n{own}");
    Ok(Module { text, layout })
}

/// The values that roots store, one each.
pub fn stored(kernel: &Kernel, roots: &[usize]) -> Vec<Value> {
    roots.iter().flat_map(|&r| kernel.roots()[r].operands()).collect()
}

/// Lines that find the points of a segment: from `first` up to `end` of those it is cut from.
fn segment_points(number: &str) -> String {
    let (chunk, line, per_line) = (param(word::CHUNK), param(word::LINE), param(word::PER_LINE));
    format!(
        "    let line = ({number}) / {per_line};
    let first = line * {line} + (({number}) % {per_line}) * {chunk};
    let end = min(first + {chunk}, (line + 1u) * {line});"
    )
}

/// Which instructions some values need.
pub fn used(kernel: &Kernel, values: &[Value]) -> Vec<bool> {
    let mut used = vec![false; kernel.insts().len()];
    values.iter().for_each(|v| used[v.0 as usize] = true);
    for k in (0..used.len()).rev() {
        if used[k] {
            kernel.insts()[k].operands().iter().for_each(|v| used[v.0 as usize] = true);
        }
    }
    used
}

/// A parameter.
fn param(at: usize) -> String {
    format!("params[{at}u]")
}

/// The structure of a point's values, and the function that computes them.
fn values_function(
    kernel: &Kernel,
    values: &[Value],
    used: &[bool],
    (layout, form): (&Layout, &Form),
    arithmetic: &Arithmetic,
) -> Result<String> {
    let mut text = String::from("struct Values {\n");
    for v in values {
        _ = writeln!(text, "    v{}: {},", v.0, code::register(kernel.dtype(*v)));
    }
    text.push_str("}\n\nfn values(outer: u32, inner: u32) -> Values {\n");
    text.push_str(&coordinates(layout.ranks));
    for &(n, at) in &layout.inputs {
        let (d, first, place) = (kernel.inputs()[n].dtype, param(at), format!("i{n}"));
        if let Some(seat) = turned::seat(form, n) {
            _ = writeln!(text, "    let x{n} = {};", code::load(d, seat));
            continue;
        }
        let (ahead, bits) = match home(form, n) {
            Some(slot) => (format!(" + {first}"), code::resident(d, slot, &place)),
            None => (String::new(), code::sent(d, &first, &place)),
        };
        let offset = offset(layout, at + 1);
        _ = writeln!(text, "    let {place} = {offset}{ahead};\n    let x{n} = {};", code::load(d, bits));
    }
    for &(axis, at) in &layout.indices {
        let start = format!("vec2<u32>({}, {})", param(at), param(at + 1));
        let offset = offset(layout, at + 2);
        _ = writeln!(text, "    let index{axis} = u64_add({start}, vec2<u32>({offset}, 0u));");
    }
    for (k, inst) in kernel.insts().iter().enumerate().filter(|(k, _)| used[*k]) {
        _ = writeln!(text, "    let v{k} = {};", code::instruction(kernel, inst, arithmetic)?);
    }
    let fields: Vec<String> = values.iter().map(|v| format!("v{}", v.0)).collect();
    _ = writeln!(text, "    return Values({});\n}}", fields.join(", "));
    Ok(text)
}

/// The twin's binding of an input.
fn home(form: &Form, input: usize) -> Option<u8> {
    form.homes.get(input).copied().flatten()
}

/// Lines that find a point's place along each axis.
fn coordinates(Ranks { outer, inner }: Ranks) -> String {
    let mut text = String::new();
    for (from, axes) in [("outer", 0..outer), ("inner", outer..outer + inner)] {
        let mut rest = from.to_owned();
        for g in axes.clone().rev() {
            let length = param(word::COUNT + g);
            if g == axes.start {
                _ = writeln!(text, "    let c{g} = {rest};");
            } else {
                _ = writeln!(text, "    let c{g} = {rest} % {length};\n    let rest{g} = {rest} / {length};");
                rest = format!("rest{g}");
            }
        }
    }
    text
}

/// What the steps from a parameter on come to.
fn offset(layout: &Layout, at: usize) -> String {
    let terms: Vec<String> = (0..layout.ranks.both()).map(|g| format!("c{g} * {}", param(at + g))).collect();
    if terms.is_empty() { "0u".to_owned() } else { terms.join(" + ") }
}

/// The first line of the entry point.
fn entry(width: u32) -> String {
    format!(
        "@compute @workgroup_size({width})\nfn main(@builtin(workgroup_id) group: vec3<u32>, \
         @builtin(local_invocation_index) lane: u32) {{\n    let block = group.y * {} + group.x;\n",
        param(word::ROW)
    )
}

/// Words that a dtype's element takes where elements do not share words.
pub fn words(d: DType) -> usize {
    d.size().div_ceil(4)
}

/// Lines that write an element's bits to a word or two.
fn write_words(d: DType, at: &str, x: &str) -> String {
    match words(d) {
        1 => format!("output[{at}] = {x};"),
        _ => format!("output[{at}] = {x}.x;\n    output[{at} + 1u] = {x}.y;"),
    }
}

#[cfg(test)]
mod golden {
    //! Texts that are kept in `tests/golden/wgsl`.

    use std::path::Path;
    use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};

    /// What a module has beside the library. The module must be valid.
    pub fn own(text: &str) -> &str {
        let module = wgpu::naga::front::wgsl::parse_str(text);
        let module = module.unwrap_or_else(|e| panic!("{}", e.emit_to_string(text)));
        let valid = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
        assert!(valid.is_ok(), "{valid:?}");
        &text[text.find("struct Values").expect("a structure")..]
    }

    /// Whether a text is as it was. `BLOCKWISE_UPDATE_GOLDEN` writes it anew.
    pub fn check(file: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wgsl").join(file);
        if std::env::var_os("BLOCKWISE_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).expect("writable");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == golden, "the text changed; it is now\n{text}");
    }
}
