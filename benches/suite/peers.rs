//! Runs the Python peers of a row: a script of `benches/peers` on the files that this run wrote.

use crate::cli::Options;
use crate::report::Line;
use std::path::Path;
use std::process::{Command, Stdio};

/// The interpreter.
fn python() -> String {
    std::env::var("BLOCKWISE_PEERS_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Whether the interpreter runs at all, and its version.
pub fn version() -> Option<String> {
    let output = Command::new(python()).arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the peers of a row take, by a script and what else it is told. Peers that are not installed or fail say so on stderr and are left out.
pub fn run(options: &Options, script: &[&str], row: &str, dir: &Path) -> Vec<Line> {
    // where this was built, else where it was carried to
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let scripts = if built.is_dir() { built } else { "benches/peers".into() };
    let output = Command::new(python())
        .arg(scripts.join(script[0]))
        .args(&script[1..])
        .args(["--row", row])
        .args(["--threads", &options.threads.to_string()])
        .args(["--size", &options.size.to_string()])
        .args(["--repeat", &options.repeat.to_string()])
        .args(["--memory-limit", &options.memory_limit.0.to_string()])
        .arg("--data")
        .arg(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) => {
            if !output.status.success() {
                eprintln!("suite: peers of {row} ended with {}", output.status);
            }
            String::from_utf8_lossy(&output.stdout).lines().filter_map(Line::from_json).collect()
        }
        Err(e) => {
            eprintln!("suite: peers of {row}: {}: {e}", python());
            vec![]
        }
    }
}
