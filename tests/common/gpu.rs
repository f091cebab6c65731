//! The GPU that tests run on, if there is one.

use blockwise::backend::gpu::{Gpu, GpuBuilder};
use std::sync::Once;

/// A GPU, built as told. Says which, or loudly that there is none; that is a failure if `BLOCKWISE_REQUIRE_GPU` is 1.
pub fn open(how: fn(GpuBuilder) -> GpuBuilder) -> Option<Gpu> {
    static SAY: Once = Once::new();
    match how(Gpu::builder()).build() {
        Ok(gpu) => {
            SAY.call_once(|| eprintln!("on {}", gpu.adapter()));
            Some(gpu)
        }
        Err(why) => {
            let required = std::env::var("BLOCKWISE_REQUIRE_GPU").is_ok_and(|v| v == "1");
            assert!(!required, "BLOCKWISE_REQUIRE_GPU is set, but: {why}");
            SAY.call_once(|| eprintln!("SKIPPED, NOT TESTED ON A GPU: {why}"));
            None
        }
    }
}
