//! A worker with functions of its own: what the nodes of a cluster run when computations apply functions by name.
//!
//! `cargo run --features cluster --example cluster_worker -- --scheduler http://localhost:50050`; `--help` lists the flags. Programs that send
//! computations register the same names, and apply them with `over_blocks(..).apply_registered("slow")`.

use blockwise::expr::register_function;

fn main() -> Result<(), blockwise::Error> {
    // its blocks, after a while: for watching a cluster, and for stopping workers in the middle of something
    register_function("slow", |_, blocks| {
        std::thread::sleep(std::time::Duration::from_millis(60));
        Ok(blocks[0].clone())
    })?;
    // the same, but a NaN ends the process: for watching what a cluster does about that
    register_function("deadly", |_, blocks| {
        if blocks[0].view::<f64>()?.iter().any(|v| v.is_nan()) {
            std::process::abort();
        }
        Ok(blocks[0].clone())
    })?;
    blockwise::cluster::worker_main()
}
