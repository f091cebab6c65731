//! A worker of a cluster: see `--help`.

fn main() -> std::process::ExitCode {
    match blockwise::cluster::worker_main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("blockwise-worker: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}
