//! Command lines of the programs: flags, environment variables and a file with settings.

use super::server::{SchedulerOptions, WorkerBuilder, WorkerOptions, run_scheduler};
use super::tls::Files;
use super::token::Token;
use crate::config::parse_bytes;
use crate::error::{Error, Result};
use std::net::SocketAddr;
use std::str::FromStr;

const SCHEDULER_HELP: &str = "\
blockwise-scheduler: gives work to workers

  --listen ADDRESS:PORT     default 127.0.0.1:50050; also answers /healthz, /readyz and /status over HTTP
  --worker-timeout SECONDS  silence after which a worker is given up; default 20
  --tls-authority FILE      calls are made by TLS; those are trusted whom this authority (PEM) has issued certificates
  --tls-certificate FILE    the scheduler's own, and
  --tls-key FILE            its key
  --tls-name NAME           expected in others' certificates, instead of their hosts' names
  --config FILE             lines such as `listen = 0.0.0.0:50050`, read before the flags after it
  --exit-with-stdin         end when standard input is closed

Each flag also as an environment variable: BLOCKWISE_LISTEN, BLOCKWISE_WORKER_TIMEOUT, BLOCKWISE_TLS_AUTHORITY and so on. Logs: RUST_LOG.
BLOCKWISE_TOKEN (or `token = ...` in a file): what workers and clients must know.
";

const WORKER_HELP: &str = "\
blockwise-worker: computes

  --scheduler URL          default http://localhost:50050
  --listen ADDRESS:PORT    where others fetch what it made; default 127.0.0.1 and a free port
  --host NAME              how others reach this machine; default the address it listens on
  --name NAME              in reports and errors; default host and process number
  --threads N              kernels that run at once; default all cores
  --memory-limit SIZE      such as 2GiB; default 70 % of the memory
  --work-dir DIR           for what it made and what it spills; default the system's temporary directory
  --health ADDRESS:PORT    answers /healthz and /readyz over HTTP
  --slots N                parts of stages that come in at once; default 4
  --tls-authority FILE     calls are made by TLS (--scheduler https://...); those are trusted whom this authority (PEM) has issued certificates
  --tls-certificate FILE   the worker's own, and
  --tls-key FILE           its key
  --tls-name NAME          expected in others' certificates, instead of their hosts' names
  --config FILE            lines such as `threads = 8`, read before the flags after it
  --exit-with-stdin        end when standard input is closed

Each flag also as an environment variable: BLOCKWISE_SCHEDULER_URL, BLOCKWISE_LISTEN, BLOCKWISE_HOST, BLOCKWISE_NAME, BLOCKWISE_THREADS,
BLOCKWISE_MEMORY_LIMIT, BLOCKWISE_WORK_DIR, BLOCKWISE_HEALTH, BLOCKWISE_SLOTS, BLOCKWISE_DEVICE, BLOCKWISE_TLS_AUTHORITY and so on. Logs: RUST_LOG.
BLOCKWISE_TOKEN (or `token = ...` in a file): the scheduler's; it guards what this worker made too.
";

/// The `main` of `blockwise-scheduler`.
///
/// # Errors
/// Flags that make no sense, and those of [`run_scheduler`].
pub fn scheduler_main() -> Result<()> {
    let mut options = SchedulerOptions::default();
    let mut tls = Files::default();
    let go = settings(SCHEDULER_HELP, &mut |name, value| {
        match name {
            "listen" => options.listen = parse(name, value)?,
            "worker-timeout" => options.worker_timeout = parse(name, value)?,
            "token" => options.token = Token::new(value)?,
            _ => return Ok(tls.set(name, value)),
        }
        Ok(true)
    })?;
    if !go {
        return Ok(());
    }
    start_log();
    options.tls = tls.load()?;
    run_scheduler(&options, |address| println!("listening on {address}"))
}

/// The `main` of `blockwise-worker`, and of workers with functions of their own: register them with
/// [`register_function`](crate::expr::register_function) before.
///
/// # Errors
/// Flags that make no sense, and those of [`WorkerBuilder::run`].
pub fn worker_main() -> Result<()> {
    let mut options = WorkerOptions::default();
    let mut tls = Files::default();
    let go = settings(WORKER_HELP, &mut |name, value| {
        match name {
            "scheduler" | "scheduler-url" => options.scheduler = value.into(),
            "listen" => options.listen = parse(name, value)?,
            "host" => options.host = Some(value.into()),
            "name" => options.name = Some(value.into()),
            "threads" => options.threads = Some(parse(name, value)?),
            "memory-limit" => options.memory_limit = Some(parse_bytes(value)?),
            "work-dir" => options.work_dir = Some(value.into()),
            "health" => options.health = Some(parse::<SocketAddr>(name, value)?),
            "slots" => options.slots = parse(name, value)?,
            "token" => options.token = Token::new(value)?,
            _ => return Ok(tls.set(name, value)),
        }
        Ok(true)
    })?;
    if !go {
        return Ok(());
    }
    start_log();
    options.tls = tls.load()?;
    WorkerBuilder::new(options).run()
}

fn start_log() {
    let filter = env_logger::Env::default().default_filter_or("warn");
    // a program may have one already
    let _ = env_logger::Builder::from_env(filter).try_init();
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T> {
    value.trim().parse().map_err(|_| wrong(format!("--{name} {value:?} makes no sense")))
}

fn wrong(message: String) -> Error {
    Error::invalid("command line", message)
}

/// Gives settings to `set`, from the environment, then from flags and the files that they name; whether the program shall run.
fn settings(help: &str, set: &mut dyn FnMut(&str, &str) -> Result<bool>) -> Result<bool> {
    for (name, value) in std::env::vars_os() {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
        if let Some(name) = name.strip_prefix("BLOCKWISE_") {
            // what is no setting of this program is one of the library
            set(&name.to_lowercase().replace('_', "-"), &value)?;
        }
    }
    let mut parser = lexopt::Parser::from_env();
    loop {
        use lexopt::Arg::*;
        let name = match parser.next().map_err(|e| wrong(e.to_string()))? {
            None => return Ok(true),
            Some(Long("help") | Short('h')) => {
                print!("{help}");
                return Ok(false);
            }
            Some(Long("version") | Short('V')) => {
                println!("{}", env!("CARGO_PKG_VERSION"));
                return Ok(false);
            }
            Some(Long("exit-with-stdin")) => {
                exit_with_stdin();
                continue;
            }
            Some(Long(name)) => name.to_owned(),
            Some(other) => return Err(wrong(format!("{}; --help lists the flags", other.unexpected()))),
        };
        let value = parser.value().map_err(|e| wrong(e.to_string()))?;
        let value = value.into_string().map_err(|v| wrong(format!("--{name} {v:?} is no text")))?;
        if name == "config" {
            let file = value;
            let text = std::fs::read_to_string(&file).map_err(|e| Error::io("reading", &file, e))?;
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                if !set(name.trim(), value.trim())? {
                    return Err(wrong(format!("{file}: there is no setting {:?}", name.trim())));
                }
            }
        } else if !set(&name, &value)? {
            return Err(wrong(format!("there is no --{name}; --help lists the flags")));
        }
    }
}

/// Ends the process when whoever started it is gone.
fn exit_with_stdin() {
    std::thread::spawn(|| {
        let mut rest = std::io::stdin().lock();
        // whatever comes is no concern; the end is
        let _ = std::io::copy(&mut rest, &mut std::io::sink());
        std::process::exit(0);
    });
}
