//! What the compiler does not check: layers, file length, module docs, leftovers.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of `src/` and their layers: a file imports from layers below its own, or from its own module.
const LAYERS: &[(&str, u8)] = &[
    ("error", 0),
    ("dtype", 0),
    ("shape", 0),
    ("config", 0),
    ("event", 0),
    ("meta", 0),
    ("op", 0),
    ("block", 1),
    ("expr", 2),
    ("ir", 2),
    ("optimize", 3),
    ("plan", 4),
    ("backend", 5),
    ("schedule", 6),
    ("cluster", 7),
    ("diagnostics", 7),
    ("session", 8),
    ("client", 9),
    ("array", 9),
    ("frame", 9),
    ("bag", 9),
    ("delayed", 9),
];

/// Modules beside the layers: what they may import.
const BESIDE: &[(&str, &[&str])] =
    &[("io", &["block", "error", "dtype", "shape", "config", "event", "meta", "op"])];

/// Modules that no lower layer may import, though their layer would allow it.
const NEVER: &[(&str, &[&str])] =
    &[("schedule", &["io", "cluster", "diagnostics"]), ("expr", &["ir"]), ("ir", &["expr"])];

/// Types of the same layer or words that a module re-exports.
const WORDS: &[&str] = &["Error", "Result", "for_dtype", "Session", "Array"];

/// The most lines a file has without its tests.
const LONGEST: usize = 600;

/// Files that are longer, and the length they may shrink from.
const LONG: &[(&str, usize)] = &[];

const LEFTOVERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", ".unwrap()"];

/// Where nothing panics on purpose; kernels do on operations that the planner never asks for.
const PANIC_FREE: &str = "src";

const PAGES: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "Cargo.toml", "rustfmt.toml"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &str) -> Vec<PathBuf> {
    let mut out = vec![];
    let mut left = vec![root().join(dir)];
    while let Some(dir) = left.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Whether a file is nothing but tests.
fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests") || path.file_stem().is_some_and(|s| s == "tests")
}

/// The lines before the unit tests.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .take_while(|l| !["#[cfg(test)]", "#[cfg(all(test"].iter().any(|c| l.trim_start().starts_with(c)))
        .map(str::to_owned)
        .collect()
}

/// The lines that are neither comments nor docs.
fn statements(path: &Path) -> impl Iterator<Item = (usize, String)> {
    code(path).into_iter().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"))
}

/// The modules of this crate that a line names by `crate::`.
fn imports(line: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut out = vec![];
    for (at, found) in line.match_indices("crate::") {
        if line[..at].ends_with('$') {
            continue;
        }
        let rest = &line[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => out.extend(list.split(',').map(|s| word(s.trim()))),
            None => out.push(word(rest)),
        }
    }
    out.retain(|m| !m.is_empty() && !WORDS.contains(&m.as_str()));
    out
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(m, _)| *m == module).map(|(_, l)| *l)
}

fn may_import(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    if let Some((_, allowed)) = BESIDE.iter().find(|(m, _)| *m == from) {
        return allowed.contains(&to);
    }
    if NEVER.iter().any(|(m, list)| *m == from && list.contains(&to)) {
        return false;
    }
    let Some(own) = layer(from) else { return false };
    match layer(to) {
        // words refer to each other
        Some(other) => other < own || (own == 0 && other == 0),
        None => BESIDE.iter().any(|(m, _)| *m == to) && own >= 7,
    }
}

#[test]
fn imports_go_down() {
    let mut wrong = vec![];
    for path in rust_files("src").iter().filter(|p| !is_test(p)) {
        let inside = path.strip_prefix(root().join("src")).unwrap_or(path);
        let first = inside.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned());
        let module = first.unwrap_or_default().trim_end_matches(".rs").to_owned();
        // the crate's root and its programs import what they like
        if module == "lib" || module == "bin" {
            continue;
        }
        assert!(
            layer(&module).is_some() || BESIDE.iter().any(|(m, _)| *m == module),
            "src/{module} has no place in the table of layers"
        );
        for (n, line) in statements(path) {
            for to in imports(&line).iter().filter(|to| !may_import(&module, to)) {
                wrong.push(format!("{}:{}: {module} imports {to}", name(path), n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_layers_is_the_designs() {
    assert!(may_import("plan", "expr") && may_import("array", "session") && may_import("session", "io"));
    assert!(!may_import("expr", "backend") && !may_import("schedule", "io") && !may_import("io", "expr"));
    assert!(!may_import("block", "expr") && !may_import("ir", "backend") && !may_import("plan", "session"));
    assert_eq!(imports("use crate::block::{Block, pool};"), ["block"]);
    assert_eq!(imports("use crate::{ir, plan::Plan};"), ["ir", "plan"]);
    assert_eq!(imports("$crate::compute_all([crate::shape::Grid])"), ["shape"]);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = vec![];
    for dir in ["src", "kernels/src", "tests", "benches", "examples"] {
        for path in rust_files(dir) {
            let lines = code(&path);
            if !lines.first().is_some_and(|l| l.starts_with("//! ")) {
                wrong.push(format!("{}: does not start with a line of docs", name(&path)));
            }
            let longest = LONG.iter().find(|(file, _)| *file == name(&path)).map_or(LONGEST, |(_, n)| *n);
            if lines.len() > longest {
                wrong.push(format!("{}: {} lines", name(&path), lines.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_over() {
    let mut wrong = vec![];
    for dir in ["src", "kernels/src"] {
        for path in rust_files(dir).iter().filter(|p| !is_test(p)) {
            for (n, line) in statements(path) {
                let panics = (dir == PANIC_FREE).then_some(&"panic!(");
                let found = LEFTOVERS.iter().chain(panics).filter(|word| {
                    let at = line.find(**word);
                    // `debug_assert!`-like names end in other words, `catch_panic!` would not be a panic
                    at.is_some_and(|at| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                });
                wrong.extend(found.map(|word| format!("{}:{}: {word}", name(path), n + 1)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_pages_are_there() {
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap_or_default();
        assert!(!text.trim().is_empty(), "{page} is missing or empty");
    }
}
