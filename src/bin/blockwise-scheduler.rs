//! The scheduler of a cluster: see `--help`.

fn main() -> std::process::ExitCode {
    match blockwise::cluster::scheduler_main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("blockwise-scheduler: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}
