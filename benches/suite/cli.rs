//! The command line.

use blockwise::config::{default_threads, parse_bytes};
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
Usage: cargo bench --bench suite -- [ROW|GROUP ...] [options]

Runs the rows of the benchmark suite, all of them or those named, checks every result, and prints a table.
Groups: elementwise reductions arrays files overhead, and frames with --features parquet

  --list             rows and groups, nothing is run
  --threads N        threads of every engine (default: the cores this process may use)
  --size N           side of a band in memory (default 8192: 256 MiB of f32)
  --repeat R         timed runs after a warm-up, the best counts (default 5)
  --device cpu|gpu   where kernels run (default cpu); gpu has those of `arrays` and `products`, and needs --features gpu
  --memory-limit B   of the rows larger than memory, whose data follows from it (default 512MiB)
  --scale F          makes the data of `files`, `overhead` and `frames` F times as large, for tests (default 1)
  --peers            also the Python peers of benches/peers (BLOCKWISE_PEERS_PYTHON, default python3)
  --data DIR         where inputs for peers and files are written and kept (default: a temporary directory)
  --json FILE        one JSON object a line, as benches/record/README.md says
";

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows and groups by name; empty for all.
    pub names: Vec<String>,
    pub threads: usize,
    pub size: usize,
    pub repeat: usize,
    pub gpu: bool,
    /// In bytes, and as it was given.
    pub memory_limit: (u64, String),
    pub scale: f64,
    pub peers: bool,
    pub data: Option<PathBuf>,
    pub json: Option<PathBuf>,
    pub list: bool,
    pub help: bool,
    /// Hidden: this process runs one row larger than memory and nothing else.
    pub child: Option<String>,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// A sentence about the first one that makes no sense.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            names: vec![],
            threads: 0,
            size: 8192,
            repeat: 5,
            gpu: false,
            memory_limit: (512 << 20, "512MiB".into()),
            scale: 1.0,
            peers: false,
            data: None,
            json: None,
            list: false,
            help: false,
            child: None,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            // `--name=value` is `--name value`
            let (name, mut inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
                _ => (arg, None),
            };
            let mut value = || inline.take().or_else(|| args.next()).ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--bench" => {} // cargo's own
                "--list" => options.list = true,
                "--help" | "-h" => options.help = true,
                "--peers" => options.peers = true,
                "--threads" => options.threads = positive(&name, &value()?)?,
                "--size" => options.size = positive(&name, &value()?)?,
                "--repeat" => options.repeat = positive(&name, &value()?)?,
                "--device" => match value()?.as_str() {
                    "cpu" => options.gpu = false,
                    "gpu" => options.gpu = true,
                    other => return Err(format!("--device is cpu or gpu, not {other}")),
                },
                "--memory-limit" => {
                    let text = value()?;
                    options.memory_limit = (parse_bytes(&text).map_err(|e| e.to_string())?, text);
                }
                "--scale" => {
                    let text = value()?;
                    let scale = text.parse().ok().filter(|&f: &f64| f > 0.0 && f.is_finite());
                    options.scale = scale.ok_or(format!("--scale {text} is no positive number"))?;
                }
                "--data" => options.data = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--child" => options.child = Some(value()?),
                _ if name.starts_with('-') => return Err(format!("no such option: {name}\n\n{HELP}")),
                _ => options.names.push(name),
            }
        }
        if options.threads == 0 {
            options.threads = default_threads().map_err(|e| e.to_string())?;
        }
        Ok(options)
    }
}

fn positive(name: &str, text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or(format!("{name} {text} is no positive number"))
}
