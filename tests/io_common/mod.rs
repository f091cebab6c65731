//! What the tests of all formats share: arrays with known bits, comparison, places to write, disks that are full.
#![allow(dead_code, reason = "not every test file uses every helper")]

use blockwise::block::{Block, BlockSink, BlockSource};
use blockwise::dtype::{DType, Element, Scalar, for_dtype};
use blockwise::error::{Error, ErrorKind, Result};
use blockwise::shape::{Grid, Region};
use ndarray::{ArrayD, IxDyn, SliceInfoElem};
use std::path::{Path, PathBuf};

/// A committed file.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The bits of every element, C order.
pub fn bits(block: &Block) -> ArrayD<u64> {
    let all: Vec<u64> = for_dtype!(block.dtype(), T => {
        block.view::<T>().unwrap().iter().map(|v| v.to_scalar().bits()).collect()
    });
    ArrayD::from_shape_vec(IxDyn(block.shape()), all).unwrap()
}

/// An array of arbitrary bits (NaNs of all kinds among them), the same for a seed.
pub fn noise(dtype: DType, shape: &[usize], seed: u64) -> Block {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let n: usize = shape.iter().product();
    for_dtype!(dtype, T => {
        let values: Vec<T> =
            (0..n).map(|_| Scalar::from_bits(dtype, next()).get::<T>().unwrap()).collect();
        Block::from_array(ArrayD::from_shape_vec(IxDyn(shape), values).unwrap())
    })
}

/// What the Python oracles hold: element i is (7 i + 3) mod 251 (mod 2 for bools).
pub fn oracle(dtype: DType, shape: &[usize]) -> Block {
    let n: usize = shape.iter().product();
    let value = |i: usize| {
        let v = (7 * i + 3) % 251;
        if dtype == DType::Bool { Scalar::from(v % 2 == 1) } else { Scalar::from(v as i64).cast(dtype) }
    };
    for_dtype!(dtype, T => {
        let values: Vec<T> = (0..n).map(|i| value(i).get::<T>().unwrap()).collect();
        Block::from_array(ArrayD::from_shape_vec(IxDyn(shape), values).unwrap())
    })
}

pub fn cut(whole: &ArrayD<u64>, region: &Region) -> ArrayD<u64> {
    let slices: Vec<SliceInfoElem> = (0..region.ndim())
        .map(|k| SliceInfoElem::Slice {
            start: region.start[k] as isize,
            end: Some(region.end(k) as isize),
            step: 1,
        })
        .collect();
    whole.slice(slices.as_slice()).to_owned()
}

/// Writes every block of a grid from several threads, in an order that is not the file's.
pub fn write_all(sink: &dyn BlockSink, block: &Block) -> Result<()> {
    let grid = sink.grid().clone();
    let order: Vec<usize> = (0..grid.len()).rev().collect();
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let work = |part: Vec<usize>| {
            let grid = &grid;
            scope.spawn(move || {
                for i in part {
                    let region = grid.block(i);
                    sink.write(&region, &block.slice(&region))?;
                }
                Ok(())
            })
        };
        let (a, b) = order.split_at(order.len() / 2);
        [a, b].map(|part| work(part.to_vec())).into_iter().map(|t| t.join().unwrap()).collect()
    });
    results.into_iter().collect::<Result<()>>()?;
    sink.finish()
}

/// Reads the whole array, every block of its grid, and some windows across blocks; all must be the array's.
pub fn check_reads(source: &dyn BlockSource, expected: &Block) {
    assert_eq!(source.dtype(), expected.dtype());
    assert_eq!(source.grid().shape().as_slice(), expected.shape());
    let whole = bits(expected);
    let check = |region: &Region| {
        let block = source.read(region).unwrap();
        assert_eq!(block.shape(), region.shape.as_slice());
        assert_eq!(bits(&block), cut(&whole, region), "{region} of {source:?}");
        if !source.in_memory() {
            assert!(source.read_bytes(&region.shape) >= block.nbytes());
        }
    };
    check(&Region::whole(expected.shape()));
    for i in 0..source.grid().len() {
        check(&source.grid().block(i));
    }
    for k in 1..=3 {
        // from a k-th to a k-th before the end
        let start: Vec<usize> = expected.shape().iter().map(|n| n / (k + 1)).collect();
        let shape: Vec<usize> =
            expected.shape().iter().zip(&start).map(|(n, s)| (n - s) - n / (k + 2) / 2).collect();
        check(&Region::new(start.as_slice(), shape.as_slice()));
    }
}

/// A region inside a shape, from fractions.
pub fn region(shape: &[usize], at: &[(f64, f64)]) -> Region {
    let (mut start, mut len) = (vec![], vec![]);
    for (&n, &(a, b)) in shape.iter().zip(at) {
        let s = (a * (n + 1) as f64) as usize;
        start.push(s.min(n));
        len.push((b * (n - s.min(n) + 1) as f64) as usize);
    }
    Region::new(start.as_slice(), len.as_slice())
}

pub fn grid(shape: &[usize], chunk: &[usize]) -> Grid {
    Grid::regular(shape, chunk)
}

/// Writes a file anew. (Some file systems wait for the disk when a file is truncated and written, which takes its time in
/// loops.)
pub fn rewrite(path: &Path, bytes: impl AsRef<[u8]>) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
}

/// The files in a directory, hidden ones too.
pub fn listing(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The error's kind for `matches!`, and its text for the message.
#[track_caller]
pub fn expect_kind<T: std::fmt::Debug>(result: Result<T>, what: &str, is: fn(&ErrorKind) -> bool) -> Error {
    let error = result.expect_err(what);
    assert!(is(error.kind()), "{what}: {error:?}");
    error
}

/// Runs a part of a test in a process of its own that may not write files longer than `limit` bytes: to the code under
/// test that is a full disk. Call it with the test's own name.
#[cfg(unix)]
pub fn with_file_limit(test: &str, limit: u64, body: impl FnOnce()) {
    const CHILD: &str = "BLOCKWISE_TEST_FILE_LIMIT";
    if std::env::var_os(CHILD).is_some() {
        let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: plain system calls on this process, which runs this one test: a limit, and no signal for passing it.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        }
        return body();
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}
