//! What tests of frames compare with.
#![allow(dead_code, reason = "every test uses some of it")]

use blockwise::Session;
use blockwise::frame::{DataFrame, Table};
use std::sync::OnceLock;

/// Runs on one thread and on several: the bits must be the same.
pub fn collect(frame: &DataFrame) -> Table {
    static SINGLE: OnceLock<Session> = OnceLock::new();
    let single = SINGLE.get_or_init(|| Session::builder().threads(1).build().unwrap());
    let (one, many) = (frame.collect_with(single).unwrap(), frame.collect().unwrap());
    assert_eq!(one.to_batch().unwrap(), many.to_batch().unwrap());
    many
}

/// Floats by their bits, so that NaN equals NaN; -0.0 is 0.0.
pub fn bits(v: Vec<Option<f64>>) -> Vec<Option<u64>> {
    v.into_iter()
        .map(|v| v.map(|v| if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() }))
        .collect()
}

pub fn mean(v: &[f64]) -> Option<f64> {
    (!v.is_empty()).then(|| v.iter().sum::<f64>() / v.len() as f64)
}

/// Close enough for folds whose order differs.
pub fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
        }
        _ => false,
    }
}

pub fn all_close(got: Vec<Option<f64>>, want: Vec<Option<f64>>) {
    assert_eq!(got.len(), want.len());
    for (n, (a, b)) in got.iter().zip(&want).enumerate() {
        assert!(close(*a, *b), "row {n}: {a:?} not {b:?}");
    }
}
