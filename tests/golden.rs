//! Plans as text: what an expression becomes is reviewed in diffs. `BLOCKWISE_UPDATE_GOLDEN=1 cargo test --test golden` writes
//! the files anew.

use blockwise::plan::{Destination, Target};
use blockwise::prelude::*;
use std::path::Path;

fn check(name: &str, arrays: &[&Array]) {
    let session = Session::builder().memory_limit("1GiB").threads(2).build().expect("a session");
    let target =
        |a: &&Array| Target { expr: a.expr().expect("sound").clone(), destination: Destination::Memory };
    let plan = session.plan(&arrays.iter().map(target).collect::<Vec<_>>()).expect("fits").to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("BLOCKWISE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &plan).expect("writable");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(plan == golden, "{name}: the plan changed; it is now\n{plan}");
}

fn bands() -> (Array, Array) {
    let band =
        |seed: u16| Array::from_ndarray(ndarray::Array2::from_elem((1024, 2048), seed)).rechunk([256, -1]);
    (band(1), band(2))
}

#[test]
fn an_index_and_its_statistics_are_one_pass() {
    let (red, nir) = bands();
    let (red, nir) = (red.cast(F32), nir.cast(F32));
    let ndvi = (&nir - &red) / (&nir + &red);
    check("ndvi", &[&ndvi, &ndvi.mean(..), &ndvi.std(..), &ndvi.max(..)]);
}

#[test]
fn standardizing_folds_then_applies() {
    let x = bands().0.cast(F32);
    check("standardize", &[&((&x - x.mean(0)) / x.std(0))]);
}

#[test]
fn a_transpose_meets_in_squares() {
    let x = Array::from_ndarray(ndarray::Array2::<f32>::zeros((2048, 2048)));
    check("transpose_add", &[&(&x + x.t()).mean(..)]);
}

#[test]
fn steps_surround_kernels() {
    let x = Array::arange(0, 6000, 1).cast(F64).reshape(&[60, 100]);
    let padded = x.pad(&[(1, 1)], PadMode::Edge);
    let blurred = (padded.slice(s![..-2, ..]) + padded.slice(s![2.., ..])) * 0.5;
    let joined = concatenate(&[blurred, Array::zeros(&[10, 102], F64)], 0);
    check("steps", &[&joined.take(&[0, 5, 99], 1).cumsum(0)]);
}
