//! Reductions: lanes of a workgroup fold the points of a segment, then each other by halves; the host folds the segments.

use super::{Layout, code, entry, param, word};
use crate::dtype::DType;
use crate::error::Result;
use crate::ir::{Kernel, Root};
use crate::op::ReduceOp;
use blockwise_kernels::naive;
use std::fmt::Write;

/// How one reduction folds on the device: fields of the accumulator and lines of code.
pub(super) struct Fold {
    /// Name, type and the value of an empty fold.
    pub fields: Vec<(String, &'static str, String)>,
    /// Folds value `x` at inner place `at` into accumulator `a`.
    pub push: String,
    /// Folds accumulator `b` into `a`.
    merge: String,
}

/// The dtype that a value is folded in: bool as integers, since shared memory has no bool.
fn folded(d: DType) -> DType {
    if d == DType::Bool { DType::U32 } else { d }
}

/// The dtypes of the words of a partial result, in order: what [`Fold::fields`] are.
fn partial(op: ReduceOp, d: DType) -> Vec<DType> {
    match op {
        ReduceOp::M2 | ReduceOp::NanM2 => vec![DType::F64, DType::F64, DType::F64, DType::U32],
        ReduceOp::Count => vec![DType::U32],
        _ if op.is_arg() => vec![folded(d), DType::U32],
        ReduceOp::Sum | ReduceOp::NanSum | ReduceOp::Prod => vec![op.accumulator(d)],
        _ => vec![folded(d)],
    }
}

/// Words of a partial result.
pub fn partial_words(op: ReduceOp, d: DType) -> usize {
    partial(op, d).into_iter().map(super::words).sum()
}

/// Words of the accumulators of a pass.
pub fn acc_words(kernel: &Kernel, roots: &[usize]) -> usize {
    folds(kernel, roots).map(|(op, d, _)| partial_words(op, d)).sum()
}

/// Operation, dtype and value of each root.
pub(super) fn folds(kernel: &Kernel, roots: &[usize]) -> impl Iterator<Item = (ReduceOp, DType, u32)> {
    roots.iter().filter_map(|&r| match kernel.roots()[r] {
        Root::Reduce { op, value, .. } | Root::GroupReduce { op, value, .. } => {
            Some((op, kernel.dtype(value), value.0))
        }
        _ => None,
    })
}

fn fold(op: ReduceOp, d: DType, k: usize, value: u32) -> Result<Fold> {
    use ReduceOp::*;
    let x = format!("v.v{value}");
    let (a, b) = (format!("a.r{k}"), format!("b.r{k}"));
    let f = folded(d);
    let nan = code::function(d, "isnan")?;
    let field = |d: DType, empty: String| vec![(format!("r{k}"), code::register(d), empty)];
    let first = naive::fold::init(op, d)[0];
    let combine =
        |d: DType, op: &str, x: &str| Ok::<_, crate::Error>(format!("{}({a}, {x})", code::function(d, op)?));
    Ok(match op {
        Sum | NanSum | Prod => {
            let acc = op.accumulator(d);
            let name = if op == Prod { "mul" } else { "add" };
            let push = format!("{a} = {};", combine(acc, name, &code::cast(d, acc, &x))?);
            let push = if op == NanSum { format!("if !{nan}({x}) {{ {push} }}") } else { push };
            let merge = format!("{a} = {};", combine(acc, name, &b)?);
            Fold { fields: field(acc, code::constant(first)), push, merge }
        }
        Count => Fold {
            fields: field(DType::U32, "0u".into()),
            push: format!("{a} += select(1u, 0u, {nan}({x}));"),
            merge: format!("{a} += {b};"),
        },
        Min | Max | Fmin | Fmax | All | Any => {
            let name = match op {
                All | Min => "min",
                Any | Max => "max",
                Fmin => "fmin",
                _ => "fmax",
            };
            let push = format!("{a} = {};", combine(f, name, &code::cast(d, f, &x))?);
            let merge = format!("{a} = {};", combine(f, name, &b)?);
            Fold { fields: field(f, code::constant(first.cast(f))), push, merge }
        }
        M2 | NanM2 => {
            let push = format!("{a} = moments_push({a}, {});", code::cast(d, DType::F64, &x));
            let zero = "vec2<u32>(0u, 0u)";
            let zero = format!("Moments({zero}, {zero}, {zero}, 0u)");
            Fold {
                fields: vec![(format!("r{k}"), "Moments", zero)],
                push: if op == NanM2 { format!("if !{nan}({x}) {{ {push} }}") } else { push },
                merge: format!("{a} = moments_merge({a}, {b});"),
            }
        }
        ArgMin | ArgMax | NanArgMin | NanArgMax => {
            let (less, isnan) = (code::function(f, "lt")?, code::function(f, "isnan")?);
            let numbers = matches!(op, NanArgMin | NanArgMax);
            let minimum = matches!(op, ArgMin | NanArgMin);
            let take = |x: &str, at: &str| {
                let (ahead, behind) = (format!("{less}({x}, {a})"), format!("{less}({a}, {x})"));
                let (ahead, behind) = if minimum { (ahead, behind) } else { (behind, ahead) };
                let skip = if numbers { format!(" && !{isnan}({x})") } else { String::new() };
                format!(
                    "if {at} != NONE{skip} && (a.at{k} == NONE || better({isnan}({a}), {isnan}({x}), {ahead}, {behind}, \
                     {at} < a.at{k})) {{\n        {a} = {x};\n        a.at{k} = {at};\n    }}"
                )
            };
            Fold {
                fields: vec![
                    (format!("r{k}"), code::register(f), code::constant(first.cast(f))),
                    (format!("at{k}"), "u32", "NONE".into()),
                ],
                push: format!("let x{k} = {};\n    {}", code::cast(d, f, &x), take(&format!("x{k}"), "at")),
                merge: take(&b, &format!("b.at{k}")),
            }
        }
    })
}

pub(super) fn main(kernel: &Kernel, roots: &[usize], layout: &Layout, width: u32) -> Result<String> {
    let parts: Vec<_> = folds(kernel, roots).collect();
    let folds = fold_all(&parts)?;
    let fields: Vec<_> = folds.iter().flat_map(|f| &f.fields).collect();
    let mut text = String::from("struct Acc {\n");
    fields.iter().for_each(|(name, of, _)| _ = writeln!(text, "    {name}: {of},"));
    let empty: Vec<&str> = fields.iter().map(|(_, _, empty)| empty.as_str()).collect();
    _ = writeln!(text, "}}\n\nfn empty() -> Acc {{ return Acc({}); }}", empty.join(", "));
    let all = |part: fn(&Fold) -> &String| folds.iter().map(part).cloned().collect::<Vec<_>>().join("\n    ");
    _ = writeln!(
        text,
        "\nfn push(before: Acc, v: Values, at: u32) -> Acc {{\n    var a = before;\n    {}\n    return a;\n}}\n\n\
         fn merge(before: Acc, b: Acc) -> Acc {{\n    var a = before;\n    {}\n    return a;\n}}\n\n\
         var<workgroup> lanes_acc: array<Acc, {width}>;\n",
        all(|f| &f.push),
        all(|f| &f.merge)
    );
    text.push_str(&entry(width));
    let (lanes, chunks, segments) = (param(word::LANES), param(word::CHUNKS), param(word::SEGMENTS));
    let points = super::segment_points(&format!("segment % {chunks}"));
    _ = writeln!(
        text,
        "    let own = lane % {lanes};
    let segment = block * ({width}u / {lanes}) + lane / {lanes};
    let outer = segment / {chunks};
{points}
    var a = empty();
    if segment < {segments} {{
        for (var r = first + own; r < end; r += {lanes}) {{ a = push(a, values(outer, r), r); }}
    }}
    lanes_acc[lane] = a;
    for (var s = {lanes} / 2u; s > 0u; s = s / 2u) {{
        workgroupBarrier();
        if own < s {{ lanes_acc[lane] = merge(lanes_acc[lane], lanes_acc[lane + s]); }}
    }}
    if own != 0u || segment >= {segments} {{ return; }}
    a = lanes_acc[lane];"
    );
    for (k, &(op, d, _)) in parts.iter().enumerate() {
        let words = partial_words(op, d);
        _ = writeln!(text, "    let p{k} = {} + segment * {words}u;", param(layout.outputs + k));
        text.push_str(&write_partial(k, op, d, 0));
    }
    text.push_str("}\n");
    Ok(text)
}

/// How each of these folds.
pub(super) fn fold_all(parts: &[(ReduceOp, DType, u32)]) -> Result<Vec<Fold>> {
    parts.iter().enumerate().map(|(k, &(op, d, value))| fold(op, d, k, value)).collect()
}

/// Lines that write fold `k` of accumulator `a` to the words from `p{k}` on, after those before it.
pub(super) fn write_partial(k: usize, op: ReduceOp, d: DType, before: usize) -> String {
    let names: &[&str] = match op {
        ReduceOp::M2 | ReduceOp::NanM2 => &[".shift", ".off", ".squares", ".n"],
        _ => &[""],
    };
    let mut names: Vec<String> = names.iter().map(|n| format!("a.r{k}{n}")).collect();
    names.extend(op.is_arg().then(|| format!("a.at{k}")));
    let (mut text, mut at) = (String::new(), before);
    for (name, d) in names.iter().zip(partial(op, d)) {
        let raw = code::raw(d, name);
        _ = writeln!(text, "    {}", super::write_words(d, &format!("p{k} + {at}u"), &format!("({raw})")));
        at += super::words(d);
    }
    text
}
