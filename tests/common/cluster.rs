//! What tests of clusters share.

use blockwise::cluster::{LocalCluster, LocalClusterBuilder};
use blockwise::prelude::*;
use std::path::{Path, PathBuf};

/// Memory limit of workers and of the local session that they are compared with.
pub const LIMIT: u64 = 64 << 20;

/// The programs that cargo built for the tests.
pub fn programs(builder: LocalClusterBuilder) -> LocalClusterBuilder {
    builder
        .scheduler_program(env!("CARGO_BIN_EXE_blockwise-scheduler"))
        .worker_program(env!("CARGO_BIN_EXE_blockwise-worker"))
}

/// Workers of one thread.
pub fn cluster(workers: usize) -> LocalCluster {
    let builder = LocalCluster::builder(workers, 1, LIMIT).expect("described").worker_timeout(10);
    programs(builder).start().expect("started")
}

/// A session of this process.
pub fn local() -> Session {
    Session::builder().memory_limit(LIMIT).threads(2).build().expect("built")
}

/// That a session on a cluster gives the bits that a local one gives.
pub fn assert_same(client: &Session, local: &Session, array: &Array, what: &str) {
    let far = client.compute(array).unwrap_or_else(|e| panic!("{what}: {e}"));
    let near = local.compute(array).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_bits(&far, &near, what);
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

/// That two directories hold the same files with the same bytes.
pub fn same_bytes(a: &Path, b: &Path) {
    let (files, others) = (files(a), files(b));
    assert_eq!(files, others);
    for file in files {
        assert_eq!(
            std::fs::read(a.join(&file)).expect("there"),
            std::fs::read(b.join(&file)).expect("there"),
            "{file:?}"
        );
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let (mut out, mut left) = (vec![], vec![root.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path)
            } else {
                out.push(path.strip_prefix(root).expect("inside").to_owned())
            }
        }
    }
    out.sort();
    out
}
