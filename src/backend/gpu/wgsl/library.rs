//! The hand-written functions of `shaders/`, and which of them a kernel needs.

use super::super::arithmetic::Arithmetic;
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

const SOURCES: [&str; 13] = [
    include_str!("../../../../shaders/memory.wgsl"),
    include_str!("../../../../shaders/integer.wgsl"),
    include_str!("../../../../shaders/pair.wgsl"),
    include_str!("../../../../shaders/f32.wgsl"),
    include_str!("../../../../shaders/f64.wgsl"),
    include_str!("../../../../shaders/real.wgsl"),
    include_str!("../../../../shaders/math.wgsl"),
    include_str!("../../../../shaders/math_f64.wgsl"),
    include_str!("../../../../shaders/angles_f64.wgsl"),
    include_str!("../../../../shaders/fold.wgsl"),
    include_str!("../../../../shaders/native.wgsl"),
    include_str!("../../../../shaders/native_u64.wgsl"),
    include_str!("../../../../shaders/native_f64.wgsl"),
];

/// What the name of a native function has before that of the function that it may stand for.
const NATIVE: &str = "native_";

/// A native function: what it takes and gives, as WGSL says it.
pub struct Native {
    /// The function's name, without that it is native.
    pub name: &'static str,
    /// Types of its operands.
    pub operands: Vec<&'static str>,
    /// The type of its result.
    pub result: &'static str,
}

/// Functions, constants and structures by name, in the order of the files.
pub struct Library {
    items: Vec<Item>,
    places: HashMap<&'static str, usize>,
    natives: Vec<Native>,
}

struct Item {
    text: String,
    needs: Vec<usize>,
}

impl Library {
    /// The library.
    pub fn get() -> &'static Library {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(|| Library::new(&SOURCES))
    }

    fn new(sources: &[&'static str]) -> Library {
        let pieces: Vec<(&'static str, &'static str)> = sources.iter().flat_map(|s| items(s)).collect();
        let places: HashMap<_, _> = pieces.iter().enumerate().map(|(k, (name, _))| (*name, k)).collect();
        let items = pieces.iter().enumerate().map(|(own, (_, text))| {
            let needs: BTreeSet<usize> = words(text).filter_map(|w| places.get(w).copied()).collect();
            Item { text: numbers(text), needs: needs.into_iter().filter(|&k| k != own).collect() }
        });
        let natives = pieces.iter().filter_map(|(name, text)| native(name, text)).collect();
        Library { items: items.collect(), places, natives }
    }

    /// Whether there is an item of this name.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The native functions.
    pub fn natives(&self) -> &[Native] {
        &self.natives
    }

    /// All items that a text names, and those that they name; native ones in the place of those of which the adapter's arithmetic is right.
    pub fn needed_by(&self, text: &str, arithmetic: &Arithmetic) -> String {
        let native = |name: &str| arithmetic.has(name).then(|| self.places.get(&*format!("{NATIVE}{name}")));
        let mut stands: HashMap<usize, usize> = HashMap::new();
        for (name, &k) in &self.places {
            stands.extend(native(name).flatten().map(|&n| (k, n)));
        }
        let of = |k: usize| stands.get(&k).copied().unwrap_or(k);
        let mut needed = vec![false; self.items.len()];
        let mut left: Vec<usize> = words(text).filter_map(|w| self.places.get(w).copied()).collect();
        while let Some(k) = left.pop() {
            if !std::mem::replace(&mut needed[k], true) {
                left.extend(&self.items[of(k)].needs);
            }
        }
        let needed = (0..needed.len()).filter(|&k| needed[k]);
        let text = |k: usize| match of(k) {
            own if own == k => self.items[k].text.clone(),
            native => self.items[native].text.replace(NATIVE, ""),
        };
        needed.map(text).collect()
    }
}

/// The native function that an item is, if it is one.
fn native(name: &'static str, text: &'static str) -> Option<Native> {
    let name = name.strip_prefix(NATIVE)?;
    let (operands, rest) = text.split_once('(')?.1.split_once(')')?;
    let result = rest.trim_start_matches(" -> ").split_once(" {")?.0;
    let operands = operands.split(", ").filter_map(|operand| Some(operand.split_once(": ")?.1)).collect();
    Some(Native { name, operands, result })
}

/// The items of a source with their names: each begins at the start of a line and ends before the next one or a comment there.
fn items(source: &'static str) -> Vec<(&'static str, &'static str)> {
    const KEYWORDS: [&str; 4] = ["fn ", "const ", "struct ", "@group"];
    let mut starts = vec![];
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        if line.starts_with("//") || KEYWORDS.iter().any(|k| line.starts_with(k)) {
            starts.push(at);
        }
        at += line.len();
    }
    starts.push(source.len());
    let pieces = starts.windows(2).map(|w| &source[w[0]..w[1]]);
    pieces
        .filter(|text| !text.starts_with("//"))
        .map(|text| {
            let name = match text.split_once("> ") {
                // `@group(0) @binding(0) var<storage, read> name: ...`
                Some((_, rest)) if text.starts_with('@') => rest,
                _ => text.split_once(' ').map_or(text, |(_, rest)| rest),
            };
            (words(name).next().unwrap_or_default(), text.trim_end_matches('\n'))
        })
        .collect()
}

/// The identifiers of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// A text in which every `R(x)` is the number `x` as `real.wgsl` has it: 32 bits of mantissa, sign and biased exponent; and every `D(x)` its bits
/// as a double.
fn numbers(text: &str) -> String {
    let text = replaced(text, "R(", real);
    replaced(&text, "D(", f64::to_bits) + "\n"
}

/// A text with two words in the place of every number in parentheses after a mark.
fn replaced(text: &str, mark: &str, bits: fn(f64) -> u64) -> String {
    let mut out = String::new();
    let mut parts = text.split(mark);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (number, rest) = part.split_once(')').unwrap_or((part, ""));
        match number.parse::<f64>() {
            Ok(x) => out.push_str(&super::code::pair(bits(x))),
            Err(_) => out.push_str(&format!("{mark}{number})")),
        }
        out.push_str(rest);
    }
    out
}

/// The two words of a normal number or 0, rounded to 32 bits.
fn real(x: f64) -> u64 {
    let bits = x.to_bits();
    let (sign, exponent) = (bits >> 63, (bits >> 52 & 0x7ff) as i64 - 1023);
    let mantissa = ((bits & ((1 << 52) - 1) | 1 << 52) + (1 << 20)) >> 21;
    // rounding may have reached the next power of two
    let (mantissa, exponent) =
        if mantissa >> 32 == 0 { (mantissa, exponent) } else { (1 << 31, exponent + 1) };
    if x == 0.0 { 0 } else { (sign << 31 | (0x4000_0000 + exponent) as u64) << 32 | mantissa }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_gets_what_it_needs_and_no_more() {
        let text = Library::get().needed_by("f32_log2(x)", &Arithmetic::default());
        assert!(
            text.contains("fn real_div(") && text.contains("struct Split") && text.contains("fn f32_pack(")
        );
        assert!(!text.contains("fn f32_sin(") && !text.contains("R("));
    }

    #[test]
    fn native_functions_stand_for_those_of_their_names() {
        let library = Library::get();
        assert!(library.natives().iter().all(|n| library.has(n.name) && (1..4).contains(&n.operands.len())));
        let text = library.needed_by("f32_square(x)", &Arithmetic::of(["f32_mul"]));
        assert!(text.contains("fn f32_mul(a: u32, b: u32) -> u32 { return bitcast<u32>(bitcast<f32>(a) * "));
        assert!(!text.contains("native") && !text.contains("f32_mul_any"));
    }

    #[test]
    fn numbers_are_bits() {
        assert_eq!(
            numbers("R(1.0) R(-3e0)"),
            "vec2<u32>(0x80000000u, 0x40000000u) vec2<u32>(0xc0000000u, 0xc0000001u)\n"
        );
        assert_eq!(real(2.0 - 1e-12), real(2.0));
        assert_eq!(numbers("D(-0.5) D(x)"), "vec2<u32>(0x0u, 0xbfe00000u) D(x)\n");
    }
}
