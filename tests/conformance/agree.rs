//! Runs cases on every backend and compares what they write with the reference.

use crate::case::{Case, Written, rounds};
use crate::suite::Suite;
use blockwise::backend::Backend;
use blockwise::backend::reference::Reference;
use blockwise::dtype::{DType, Scalar};
use blockwise::ir::Root;
use blockwise::op::ReduceOp;

/// How far a stored value may be from the reference.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Tolerance {
    /// The same bits, or both NaN.
    Exact,
    /// Zeros of either sign are the same.
    Number,
    /// Units in the last place.
    Ulps(u64),
    /// Units in the last place, or a few roundings of a number of this size.
    Near(u64, f64),
}

impl Tolerance {
    fn allows(self, got: Scalar, want: Scalar) -> bool {
        let is_nan = |s: Scalar| s.dtype().is_float() && s.as_f64().is_nan();
        if got == want || is_nan(got) && is_nan(want) {
            return true;
        }
        let d = got.dtype();
        if !d.is_float() || d != want.dtype() || is_nan(got) || is_nan(want) {
            return false;
        }
        let order = |s: Scalar| {
            let sign = 1u64 << (8 * d.size() - 1);
            let magnitude = (s.bits() & !sign) as i64;
            if s.bits() & sign != 0 { -magnitude } else { magnitude }
        };
        let distance = order(got).abs_diff(order(want));
        match self {
            Tolerance::Exact => false,
            Tolerance::Number => distance == 0,
            Tolerance::Ulps(n) => distance <= n,
            Tolerance::Near(n, size) => {
                let epsilon = if d == DType::F64 { f64::EPSILON } else { f32::EPSILON as f64 };
                distance <= n || (got.as_f64() - want.as_f64()).abs() <= 2.0 * epsilon * size
            }
        }
    }
}

/// Runs a case everywhere; `stored` is for the values of stores and selections. Backends must agree with the reference,
/// and bit for bit among each other on folds that round.
pub fn check(suite: &Suite, case: &Case, stored: Tolerance, what: &str) {
    let want = case.run(&*Reference.compile(&case.kernel).expect("compile"));
    let mut first: Option<(String, Vec<Written>)> = None;
    for (backend, executable) in suite.compiled(&case.kernel) {
        let got = case.run(&*executable);
        for (r, root) in case.kernel.roots().iter().enumerate() {
            let why = compare(case, root, &got[r], &want[r], stored);
            if let Some(why) = why {
                panic!(
                    "{what}: {} differs from the reference in root {r}: {why}\nregion {} of {:?}, pieces {:?}\n{:?}",
                    backend, case.region, case.shape, case.pieces, case.kernel
                );
            }
        }
        match &first {
            Some((name, first)) if stored == Tolerance::Exact => {
                let same = first.iter().flatten().flatten().zip(got.iter().flatten().flatten());
                for (a, b) in same {
                    let ok = Tolerance::Number.allows(*a, *b);
                    assert!(ok, "{what}: {} has {b}, {name} {a}\n{:?}", backend, case.kernel);
                }
            }
            Some(_) => {}
            None => first = Some((backend, got)),
        }
    }
}

/// What is wrong with a root's results, if anything is.
fn compare(case: &Case, root: &Root, got: &Written, want: &Written, stored: Tolerance) -> Option<String> {
    for (p, (got, want)) in got.iter().zip(want).enumerate() {
        if got.len() != want.len() {
            return Some(format!("{} elements, not {}", got.len(), want.len()));
        }
        for (i, (a, b)) in got.iter().zip(want).enumerate() {
            let ok = match root {
                Root::Reduce { op, value, .. } | Root::GroupReduce { op, value, .. } => {
                    fold_allows(case, *op, case.kernel.dtype(*value), p, *a, *b)
                }
                _ => stored.allows(*a, *b),
            };
            if !ok {
                return Some(format!("plane {p}, element {i} is {a}, not {b}"));
            }
        }
    }
    None
}

/// Folds that round are of numbers up to 1000: see `random::tame`.
fn fold_allows(case: &Case, op: ReduceOp, d: DType, plane: usize, got: Scalar, want: Scalar) -> bool {
    if Tolerance::Number.allows(got, want) {
        return true;
    }
    if !rounds(op, d) || got.dtype() != DType::F64 {
        return false;
    }
    let n = case.region.len() as f64;
    let size = match (op, plane) {
        (ReduceOp::Prod, _) => want.as_f64().abs(),
        (ReduceOp::Sum | ReduceOp::NanSum, _) => 1e3 * n,
        (_, 0) => 1e6 * n,
        _ => 1e3,
    };
    (got.as_f64() - want.as_f64()).abs() <= 1.2e-16 * (n.sqrt() + 8.0) * size
}
