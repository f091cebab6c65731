//! What kernels compute with on the CPU and on GPUs is written down twice: here both texts are read and every number is compared by its bits.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, LN_2, LOG2_E, LOG10_2, LOG10_E, PI};
use std::path::Path;

fn read(files: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    files.iter().map(|file| std::fs::read_to_string(root.join(file)).expect("a file of ours")).collect()
}

/// What lies between each `open` and the first `close` after it.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// The bits of the numbers of a list.
fn numbers(list: &str) -> Vec<u64> {
    let number = |s: &str| s.trim().replace('_', "").parse::<f64>();
    list.split(',').filter(|s| !s.trim().is_empty()).map(|s| number(s).expect(s).to_bits()).collect()
}

/// The numbers that a shader marks.
fn marked(text: &str, mark: &str) -> Vec<u64> {
    between(text, mark, ")").filter_map(|s| s.parse::<f64>().ok()).map(f64::to_bits).collect()
}

/// The polynomials of Rust code by name, lowest coefficients first.
fn tables(code: &str) -> BTreeMap<String, Vec<u64>> {
    let tables = between(code, "const ", ";\n").filter_map(|item| {
        let (name, list) = item.split_once(": [f64; ")?;
        let list = list.split_once('=')?.1;
        Some((name.to_owned(), numbers(list.trim().trim_start_matches('[').trim_end_matches(']'))))
    });
    // parts of pi/2 are no polynomial
    tables.filter(|(name, _)| name != "PIO2").collect()
}

/// All numbers with a point or an exponent in Rust code.
fn literals(code: &str) -> impl Iterator<Item = u64> {
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c));
    let words = words.map(|w| w.trim_start_matches('-').replace('_', ""));
    words.filter(|w| w.contains('.')).filter_map(|w| w.parse::<f64>().ok()).map(f64::to_bits)
}

const SINGLE: [&str; 1] = ["kernels/src/math/f32/wide.rs"];
const DOUBLE: [&str; 7] = [
    "kernels/src/math/fma.rs",
    "kernels/src/math/f64/exp.rs",
    "kernels/src/math/f64/log.rs",
    "kernels/src/math/f64/power.rs",
    "kernels/src/math/f64/trig.rs",
    "kernels/src/math/f64/inverse.rs",
    "kernels/src/math/f64/hyperbolic.rs",
];

/// The polynomials of a shader of doubles.
fn horner(shader: &str) -> Vec<Vec<u64>> {
    let bodies = between(shader, "_poly(z: vec2<u32>)", "\n}");
    bodies.map(|body| marked(body, "D(").into_iter().rev().collect()).collect()
}

#[test]
fn polynomials_are_the_kernels() {
    let shader = read(&["shaders/math.wgsl"]);
    let lists = between(&shader, "array<vec2<u32>, 7>(", "u)").map(|list| {
        let (list, many) = list.rsplit_once("), ").expect("a list and how many of it count");
        let mut all = marked(&format!("{list})"), "R(");
        let rest = all.split_off(many.parse().expect("a number"));
        assert!(rest.iter().all(|&bits| bits == 0), "{list}");
        all
    });
    let ours: Vec<_> = lists.collect();
    let theirs = tables(&read(&SINGLE));
    assert_eq!((ours.len(), theirs.len()), (7, 7));
    theirs.iter().for_each(|(name, table)| assert!(ours.contains(table), "{name} of f32"));

    let ours = horner(&read(&["shaders/math_f64.wgsl", "shaders/angles_f64.wgsl"]));
    let mut found = 0;
    // names of tables are those of a file
    for file in DOUBLE {
        for (name, table) in tables(&read(&[file])) {
            assert!(ours.contains(&table), "{name} of {file}");
            found += 1;
        }
    }
    assert_eq!((ours.len(), found), (9, 9));
}

#[test]
fn all_other_numbers_are_the_kernels() {
    // what the kernels write as fractions
    let fractions =
        [1.0 / 3.0, 2.0 / 9.0, 14.0 / 81.0, 2.0 * 6.123233995736766e-17, 18_014_398_509_481_984.0];
    let named = [FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, LN_2, LOG2_E, LOG10_2, LOG10_E, PI];
    // ln 2 in 22 bits, which the kernels need not split for f32, and the rest of it
    let split = [0.6931471824645996, 1.904654299957768e-9];
    assert_eq!(split[0] - split[1], LN_2);
    let others = [&fractions[..], &named, &split].concat().into_iter().map(f64::to_bits);
    let code = read(&SINGLE) + &read(&DOUBLE) + &read(&["kernels/src/math/f64/parts.rs"]);
    let known: BTreeSet<u64> = literals(&code).chain(others).collect();
    for (file, mark) in [("math", "R("), ("math_f64", "D("), ("angles_f64", "D(")] {
        let all = marked(&read(&[&format!("shaders/{file}.wgsl")]), mark);
        assert!(all.len() > 50, "{file}: {}", all.len());
        for bits in all {
            let size = f64::from_bits(bits).abs();
            // small numbers, and limits that are only to be large or small enough
            let round = size < 4096.0 && (size * 2.0).fract() == 0.0 || !(1e-100..1e12).contains(&size);
            assert!(round || known.contains(&size.to_bits()), "{size} of {file} is in no kernel");
        }
    }
}

#[test]
fn the_digits_of_two_over_pi_are_the_kernels() {
    let hex = |text: &str| -> String {
        let words = between(text, "0x", "u").map(|w| format!("{w:0>8}"));
        words.collect()
    };
    let code = read(&["kernels/src/math/f64/trig.rs"]);
    let digits: String = between(&code, "const DIGITS: [u64; 22] = [", "]")
        .flat_map(|list| between(list, "0x", ","))
        .collect();
    let shader = read(&["shaders/angles_f64.wgsl"]);
    let ours: String = between(&shader, "const DIGITS = array<u32, 42>(", ");").map(hex).collect();
    assert_eq!(ours.len(), 42 * 8);
    assert_eq!(ours, digits[..42 * 8]);
    let shader = read(&["shaders/math.wgsl"]);
    let single: String = between(&shader, "const TWO_OVER_PI = array<u32, 8>(0u, ", ");").map(hex).collect();
    assert_eq!(single, digits[16..16 + 7 * 8]);
}
