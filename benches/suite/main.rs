//! The benchmark suite: every row on the same data, in one run, beside its peers and the machine's own ceilings.
//!
//! `cargo bench --bench suite -- --help` says how; benches/README.md what the rows are. A result is checked against plain
//! loops before it is timed; the process ends with status 1 if any is wrong or missing, 2 if it cannot start. Without any
//! argument (as `cargo test --benches` runs it) every row runs once on tiny data.

mod arrays;
mod ceilings;
mod cli;
mod data;
#[cfg(feature = "gpu")]
mod device;
mod files;
#[cfg(feature = "parquet")]
mod frames;
#[cfg(feature = "parquet")]
mod joins;
mod memory;
mod oracle;
mod overhead;
mod peers;
mod report;
mod rows;
mod simd;
#[cfg(feature = "parquet")]
mod tables;

use blockwise::prelude::*;
use ceilings::Ceilings;
use cli::{HELP, Options};
use memory::{Counted, Workers};
use report::{Line, Report};
use rows::{Group, Row};
use serde_json::{Value, json};
use simd::Level;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// What all rows share.
pub struct Suite {
    /// The options of this run.
    pub options: Options,
    /// What computes our results.
    pub session: Session,
    /// Threads for data, checks and ceilings.
    pub workers: Workers,
    /// The GPU that rows run on, if they do.
    #[cfg(feature = "gpu")]
    device: Option<device::OnGpu>,
    level: Level,
    fma: OnceLock<f64>,
}

impl Suite {
    fn new(options: Options) -> Result<Suite, Error> {
        let workers = Workers::new(options.threads);
        #[cfg(feature = "gpu")]
        let (device, session) = match options.gpu {
            true => {
                let (device, session) = device::OnGpu::open(options.size, options.threads)?;
                println!("{}", device.describe());
                (Some(device), session)
            }
            false => (None, Session::builder().threads(options.threads).build()?),
        };
        #[cfg(not(feature = "gpu"))]
        let session = Session::builder().threads(options.threads).build()?;
        Ok(Suite {
            options,
            session,
            workers,
            #[cfg(feature = "gpu")]
            device,
            level: Level::all()[0],
            fma: OnceLock::new(),
        })
    }

    /// The machine's own speed.
    pub fn ceilings(&self) -> Ceilings<'_> {
        Ceilings { workers: &self.workers, repeat: self.options.repeat, level: self.level }
    }

    /// Operations per second of fused multiply-adds, measured once.
    pub fn peak_fma(&self) -> f64 {
        *self.fma.get_or_init(|| self.ceilings().fma())
    }

    /// The GPU, if rows run on one.
    fn device(&self) -> Option<String> {
        #[cfg(feature = "gpu")]
        return self.device.as_ref().map(device::OnGpu::describe);
        #[cfg(not(feature = "gpu"))]
        None
    }

    /// The machine and the build, for the record.
    fn machine(&self) -> Value {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
        let commit = Command::new("git").args(["rev-parse", "HEAD"]).output().ok();
        let commit = commit.filter(|o| o.status.success());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        json!({
            "row": "machine",
            "mode": null,
            "engine": "machine",
            "threads": self.options.threads,
            "seconds": null,
            "gb_per_s": null,
            "ceiling_share": null,
            "checked": null,
            "cpu": cpu.map(|(_, name)| name),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "instructions": self.level.name(),
            "backend": self.session.backend_name(),
            "device": self.device(),
            "version": env!("CARGO_PKG_VERSION"),
            "commit": commit.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()),
            "unix_time": now.map_or(0, |d| d.as_secs()),
            "size": self.options.size,
            "repeat": self.options.repeat,
            "scale": self.options.scale,
            "peers": if self.options.peers { peers::version() } else { None },
        })
    }
}

/// A row of any kind.
#[derive(Clone, Copy)]
enum Any {
    Array(&'static Row),
    File(&'static str),
    Overhead(&'static str),
    #[cfg(feature = "parquet")]
    Frame(&'static str),
    #[cfg(feature = "parquet")]
    Join(&'static str),
    #[cfg(feature = "parquet")]
    Table(&'static str),
}

impl Any {
    fn all() -> impl Iterator<Item = Any> {
        let arrays = rows::ROWS.iter().map(Any::Array);
        let all = arrays.chain(files::ROWS.map(Any::File)).chain(overhead::ROWS.map(Any::Overhead));
        #[cfg(feature = "parquet")]
        let all = all
            .chain(frames::ROWS.map(Any::Frame))
            .chain(joins::ROWS.map(Any::Join))
            .chain(tables::ROWS.map(Any::Table));
        all
    }

    fn name(self) -> &'static str {
        match self {
            Any::Array(row) => row.name,
            Any::File(name) | Any::Overhead(name) => name,
            #[cfg(feature = "parquet")]
            Any::Frame(name) | Any::Join(name) | Any::Table(name) => name,
        }
    }

    fn is_in(self, group: Group) -> bool {
        match self {
            Any::Array(row) => row.groups.contains(&group),
            Any::File(_) => group == Group::Files,
            Any::Overhead(_) => group == Group::Overhead,
            #[cfg(feature = "parquet")]
            Any::Frame(_) | Any::Join(_) => group == Group::Frames,
            #[cfg(feature = "parquet")]
            Any::Table(_) => group == Group::Tables,
        }
    }

    fn run(self, suite: &Suite, dir: &Path) -> Result<Vec<Line>, Error> {
        let options = &suite.options;
        match self {
            Any::Array(row) => {
                #[cfg(feature = "gpu")]
                if let Some(device) = &suite.device {
                    let mut lines = device.run(suite, row, options.peers.then_some(dir))?;
                    if options.peers {
                        lines.extend(peers::run(options, &["run.py", "--device", "gpu"], row.name, dir));
                    }
                    return Ok(lines);
                }
                let mut lines = arrays::run(suite, row, options.peers.then_some(dir))?;
                if options.peers {
                    lines.extend(peers::run(options, &["run.py"], row.name, dir));
                }
                Ok(lines)
            }
            Any::File(row) => {
                files::prepare(suite, row, dir)?;
                let mut lines = files::run(suite, row, dir)?;
                if options.peers {
                    lines.extend(peers::run(options, &["run.py"], row, dir));
                }
                if options.data.is_none() {
                    files::inputs(row, dir, options).iter().for_each(|path| files::remove(path));
                }
                Ok(lines)
            }
            Any::Overhead(row) => Ok(overhead::run(suite, row)),
            #[cfg(feature = "parquet")]
            Any::Frame(row) => frames::run(suite, row, dir),
            #[cfg(feature = "parquet")]
            Any::Join(row) => joins::run(suite, row, dir),
            #[cfg(feature = "parquet")]
            Any::Table(row) => {
                let lines = tables::run(suite, row, dir);
                if options.data.is_none() {
                    tables::inputs(row, dir).iter().for_each(|path| files::remove(path));
                }
                lines
            }
        }
    }
}

/// The rows of these names and groups, each once, in the suite's order.
fn choose(names: &[String]) -> Result<Vec<Any>, String> {
    let group = |name: &str| Group::ALL.iter().find(|(g, _)| *g == name).map(|(_, g)| *g);
    let unknown = names.iter().find(|n| group(n).is_none() && Any::all().all(|row| row.name() != **n));
    if let Some(name) = unknown {
        return Err(format!("no such row or group: {name} (--list shows them)"));
    }
    let wanted = |row: &Any| {
        names.is_empty() || names.iter().any(|n| *n == row.name() || group(n).is_some_and(|g| row.is_in(g)))
    };
    Ok(Any::all().filter(wanted).collect())
}

fn list() {
    for row in Any::all() {
        let groups = Group::ALL.iter().filter(|(_, g)| row.is_in(*g)).map(|(name, _)| *name);
        println!("{:<14} {}", row.name(), groups.collect::<Vec<_>>().join(" "));
    }
}

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() {
        let tiny = ["--size", "64", "--repeat", "1", "--scale", "0.001"];
        args = tiny.map(str::to_owned).to_vec();
    }
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(message) => return refuse(&message),
    };
    if options.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    if let Some(row) = &options.child {
        return ExitCode::from(files::child_main(&options, row) as u8);
    }
    if options.gpu && cfg!(not(feature = "gpu")) {
        return refuse("--device gpu: this build has no GPU backend (--features gpu)");
    }
    match run(options) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("\nwrong or missing:");
            failures.iter().for_each(|f| eprintln!("  {f}"));
            ExitCode::FAILURE
        }
        Err(message) => refuse(&message),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("suite: {message}");
    ExitCode::from(2)
}

/// Runs the chosen rows; what was wrong.
fn run(options: Options) -> Result<Vec<String>, String> {
    let mut chosen = choose(&options.names)?;
    if options.gpu {
        chosen.retain(|row| matches!(row, Any::Array(_)));
    }
    let temporary = match &options.data {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
            None
        }
        None => Some(tempfile::tempdir().map_err(|e| format!("a temporary directory: {e}"))?),
    };
    let suite = Suite::new(options).map_err(|e| e.to_string())?;
    let right = |level| Ceilings { level, ..suite.ceilings() }.verify();
    if !Level::all().into_iter().all(right) {
        return Err("the loops behind the ceilings compute nonsense".into());
    }
    let dir = match (&temporary, &suite.options.data) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, data) => data.clone().unwrap_or_default(),
    };
    if suite.options.peers && peers::version().is_none() {
        eprintln!("suite: no Python to run peers with (BLOCKWISE_PEERS_PYTHON, default python3)");
    }
    let machine = suite.machine();
    let word = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
    println!("{}, {} threads, backend {}\n", word("cpu"), suite.options.threads, word("backend"));
    let mut report = Report::new(suite.options.json.as_deref()).map_err(|e| format!("--json: {e}"))?;
    report.record(&machine).map_err(|e| e.to_string())?;
    for row in chosen {
        let mut lines = match row.run(&suite, &dir) {
            Ok(lines) => lines,
            Err(e) => {
                let line = Line::new(row.name(), "-", "blockwise", suite.options.threads);
                vec![line.checked(Some(e.to_string()))]
            }
        };
        if lines.iter().any(|l| l.extra.contains_key("fma_share")) {
            let peak = Line::new("peak_fma", "into", "ceiling", suite.options.threads);
            lines.push(peak.with("gflop_per_s", suite.peak_fma() / 1e9));
        }
        report.add(&lines).map_err(|e| format!("--json: {e}"))?;
    }
    Ok(report.failures)
}
