//! Which of an adapter's own operations are right, found out by running them.
//!
//! `shaders/native*.wgsl` define functions a second time, by the adapter's arithmetic. A probe runs each beside the exact one of the same
//! name, on special operands, random ones, near ones and far ones, by themselves and one after the other. Those that differ
//! anywhere are not used: adapters flush subnormal numbers, round otherwise, contract, or have no such type.

use super::device::Device;
use super::wgsl::{Library, Native};
use crate::error::Result;
use std::collections::BTreeSet;
use std::fmt;

/// The functions of the library that an adapter's own arithmetic computes as they are defined.
///
/// ```
/// use blockwise::backend::gpu::Arithmetic;
/// assert!(!Arithmetic::default().has("f32_add"));
/// assert!(Arithmetic::all().has("f32_add"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Arithmetic {
    native: BTreeSet<&'static str>,
}

/// Operands of the probe.
const PROBES: u32 = 1 << 13;

/// Expressions that compilers like to change: results that go on, and operands that are the same. Native functions are marked.
const TEMPTING: [&str; 16] = [
    "@f32_add(@f32_mul(a1, b1), c1)",
    "@f32_add(@f32_add(a1, b1), a1 ^ SIGN)",
    "@f32_mul(@f32_div(a1, b1), b1)",
    "@f32_add(a1, a1 ^ SIGN)",
    "@f32_div(a1, a1)",
    "@f32_sqrt(@f32_mul(a1, a1))",
    "@f32_from_f64(@f64_from_f32(a1))",
    "f32_from_bool(!@f32_eq(a1, a1))",
    "f32_from_bool(!@f32_lt(a1, b1))",
    "f32_from_bool(@f32_le(a1, a1))",
    "@f64_add(@f64_mul(a2, b2), c2)",
    "@f64_add(@f64_add(a2, b2), f64_neg(a2))",
    "@f64_mul(@f64_div(a2, b2), b2)",
    "@f64_add(a2, f64_neg(a2))",
    "@f64_div(a2, a2)",
    "f64_from_bool(!@f64_eq(a2, a2))",
];

impl Arithmetic {
    /// Of these functions; names that are of no native function are left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Arithmetic {
        let natives = Library::get().natives();
        let find = |name: &str| natives.iter().map(|n| n.name).find(|n| *n == name);
        Arithmetic { native: names.into_iter().filter_map(find).collect() }
    }

    /// Of all functions: an ideal adapter's.
    pub fn all() -> Arithmetic {
        Arithmetic { native: Library::get().natives().iter().map(|n| n.name).collect() }
    }

    /// Whether a function is native.
    pub fn has(&self, name: &str) -> bool {
        self.native.contains(name)
    }

    /// Whether `f64` is added, multiplied and divided natively: then its elementary functions are computed, too.
    pub fn has_doubles(&self) -> bool {
        ["f64_add", "f64_mul", "f64_div", "f64_sqrt"].iter().all(|name| self.has(name))
    }

    /// The functions, in the order of their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.native.iter().copied()
    }

    /// Tries a device's.
    pub(super) fn probe(device: &Device) -> Arithmetic {
        let (long, double) = device.wide();
        let mut found = Arithmetic::default();
        // a function that a driver cannot compile is not to take others with it
        for (kind, offered) in [(Kind::Single, true), (Kind::Long, long), (Kind::Double, long && double)] {
            let natives: Vec<&Native> =
                Library::get().natives().iter().filter(|n| Kind::of(n) == kind).collect();
            if offered && let Ok(right) = right(device, &natives) {
                found.native.extend(right);
            }
        }
        found
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.native.is_empty() {
            true => write!(f, "all arithmetic in 32-bit integers"),
            false => write!(f, "native {}", self.names().collect::<Vec<_>>().join(" ")),
        }
    }
}

/// What a native function needs of the adapter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Single,
    Long,
    Double,
}

impl Kind {
    fn of(native: &Native) -> Kind {
        match native.name {
            n if n.contains("f64") => Kind::Double,
            n if n.starts_with("f32") => Kind::Single,
            _ => Kind::Long,
        }
    }
}

/// Those that differ nowhere from the exact ones.
fn right(device: &Device, natives: &[&Native]) -> Result<Vec<&'static str>> {
    let (text, blame) = module(natives);
    let bad = differing(device, &text, &blame)?;
    Ok(natives.iter().map(|n| n.name).filter(|name| !bad.contains(name)).collect())
}

/// Those that a run of the module finds to differ; all of them if it does not run to its end.
fn differing(device: &Device, text: &str, blame: &[Vec<&'static str>]) -> Result<BTreeSet<&'static str>> {
    let words = device.run_once(text, blame.len() + 1, PROBES / 64)?;
    let ran = words.last() == Some(&1);
    Ok(words.iter().zip(blame).filter(|(w, _)| **w != 0 || !ran).flat_map(|(_, b)| b).copied().collect())
}

/// A module that leaves a word that is not 0 where something differs, and whose fault that is.
fn module(natives: &[&Native]) -> (String, Vec<Vec<&'static str>>) {
    let mut text = String::from(include_str!("../../../shaders/probe.wgsl"));
    let mut blame = vec![];
    text.push_str("\n@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {\n    let i = id.x;\n");
    for (slot, name) in ["a", "b", "c"].iter().enumerate() {
        text.push_str(&format!(
            "    let {name}1 = operand_32(i, {slot}u);\n    let {name}2 = operand_64(i, {slot}u);\n"
        ));
    }
    let mut compare = |native: String, exact: &str, kind: &str, whose: Vec<&'static str>| {
        text.push_str(&format!(
            "    if differs_{kind}({native}, {exact}) {{ output[{}] = 1u; }}\n",
            blame.len()
        ));
        blame.push(whose);
    };
    for native in natives {
        let operand = |(name, of): (&str, &&str)| match *of {
            "u32" => format!("{name}1"),
            "i32" => format!("bitcast<i32>({name}1)"),
            _ => format!("{name}2"),
        };
        let operands: Vec<String> = ["a", "b", "c"].into_iter().zip(&native.operands).map(operand).collect();
        let call = format!("{}({})", native.name, operands.join(", "));
        let kind = match native.result {
            "u32" if native.name.starts_with("f32") => "f32",
            "vec2<u32>" if native.name.starts_with("f64") => "f64",
            "vec2<u32>" => "pair",
            "vec4<u32>" => "pairs",
            _ => "bool",
        };
        compare(format!("native_{call}"), &call, kind, vec![native.name]);
    }
    for expression in TEMPTING {
        let names = expression.split('@').skip(1).map(|rest| rest.split('(').next().unwrap_or_default());
        let names: Vec<&'static str> = names.collect();
        if names.iter().all(|name| natives.iter().any(|n| n.name == *name)) {
            let kind = if expression.trim_start_matches('@').starts_with("f32") { "f32" } else { "f64" };
            let exact = expression.replace('@', "");
            compare(expression.replace('@', "native_"), &exact, kind, names);
        }
    }
    text.push_str(&format!("    if i == {}u {{ output[{}] = 1u; }}\n}}\n", PROBES - 1, blame.len()));
    let library = Library::get().needed_by(&format!("{text} params input output"), &Arithmetic::default());
    (format!("{library}\n{text}"), blame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};

    #[test]
    fn the_probe_is_valid_wgsl() {
        for kind in [Kind::Single, Kind::Long, Kind::Double] {
            let natives: Vec<&Native> =
                Library::get().natives().iter().filter(|n| Kind::of(n) == kind).collect();
            let (text, blame) = module(&natives);
            assert!(blame.len() >= natives.len() && !natives.is_empty());
            let module = wgpu::naga::front::wgsl::parse_str(&text);
            let module = module.unwrap_or_else(|e| panic!("{}", e.emit_to_string(&text)));
            let wide = Capabilities::FLOAT64 | Capabilities::SHADER_INT64;
            let capabilities = if kind == Kind::Single { Capabilities::empty() } else { wide };
            let valid = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
            assert!(valid.is_ok(), "{valid:?}");
        }
    }

    #[test]
    fn arithmetic_that_is_wrong_is_found_out() {
        let Ok(gpu) = super::super::Gpu::detect() else {
            eprintln!("SKIPPED, NOT TESTED ON A GPU: there is none");
            return;
        };
        let natives: Vec<&Native> =
            Library::get().natives().iter().filter(|n| Kind::of(n) == Kind::Single).collect();
        let (text, blame) = module(&natives);
        let asked = differing(&gpu.device, &text, &blame).expect("runs");
        let of = "bitcast<f32>(a) * bitcast<f32>(b)";
        for (right, wrong, name) in [
            // subnormal results are flushed
            (
                of,
                "select(0.0, bitcast<f32>(a) * bitcast<f32>(b), abs(bitcast<f32>(a) * bitcast<f32>(b)) >= 1.17549435e-38)",
                "f32_mul",
            ),
            ("round(bitcast<f32>(x))", "floor(bitcast<f32>(x) + 0.5)", "f32_rint"),
            ("bitcast<f32>(a) < bitcast<f32>(b)", "!(bitcast<f32>(a) >= bitcast<f32>(b))", "f32_lt"),
        ] {
            assert!(text.contains(right));
            let found = differing(&gpu.device, &text.replace(right, wrong), &blame).expect("runs");
            assert!(found.contains(name) && found.is_superset(&asked), "{name}: {found:?}");
            assert!(asked.contains("f32_add") || name == "f32_mul" || !found.contains("f32_add"));
        }
        // nothing is believed of a module that did not run
        let stopped = text.replace("let i = id.x;", "let i = id.x;\n    if params[0] == 0u { return; }");
        assert_eq!(differing(&gpu.device, &stopped, &blame).expect("runs").len(), natives.len());
    }

    #[test]
    fn an_arithmetic_has_what_it_is_made_of() {
        let some = Arithmetic::of(["f64_fma", "f32_add", "nothing"]);
        assert_eq!(some.names().collect::<Vec<_>>(), ["f32_add", "f64_fma"]);
        assert_eq!(some.to_string(), "native f32_add f64_fma");
        assert!(Arithmetic::all().has_doubles() && !some.has_doubles());
    }
}
