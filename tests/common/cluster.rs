//! What tests of clusters share.
#![allow(dead_code, reason = "every test uses some of it")]

use blockwise::cluster::LocalClusterBuilder;
use blockwise::prelude::*;

/// Memory limit of workers and of the local session that they are compared with.
pub const LIMIT: u64 = 64 << 20;

/// The programs that cargo built for the tests.
pub fn programs(builder: LocalClusterBuilder) -> LocalClusterBuilder {
    builder
        .scheduler_program(env!("CARGO_BIN_EXE_blockwise-scheduler"))
        .worker_program(env!("CARGO_BIN_EXE_blockwise-worker"))
}

/// A session of this process.
pub fn local() -> Session {
    Session::builder().memory_limit(LIMIT).threads(2).build().expect("built")
}

/// That two blocks are equal to the bit.
pub fn assert_bits(a: &Block, b: &Block, what: &str) {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()), "{what}");
    let bits = |block: &Block| -> Vec<u64> {
        let count: usize = block.shape().iter().product();
        let grid = blockwise::shape::Grid::regular(block.shape(), &vec![1; block.shape().len()]);
        (0..count).map(|i| block.get(&grid.unravel(i)).expect("an element").bits()).collect()
    };
    assert!(bits(a) == bits(b), "{what}: other bits");
}
