//! Unary, binary and comparison functions, selection, multiply-add and casts.

use super::*;
use crate::naive;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use crate::tile::{self, Isa, Operands};

/// Tolerance in units in the last place; 0 is equality.
fn close(a: Scalar, b: Scalar, ulps: i64) -> bool {
    if same(a, b) {
        return true;
    }
    let order = |s: Scalar| {
        let sign = 1u64 << (8 * s.dtype().size() - 1);
        let magnitude = (s.bits() & !sign) as i64;
        if s.bits() & sign != 0 { -magnitude } else { magnitude }
    };
    !is_nan(a) && !is_nan(b) && order(a).abs_diff(order(b)) <= ulps as u64
}

/// Units in the last place that a transcendental function may be off.
fn ulps(d: DType) -> i64 {
    match d {
        DType::F16 => 1,
        _ => 2,
    }
}

#[test]
fn unary() {
    for isa in Isa::available() {
        for (d, &op) in DType::ALL.iter().flat_map(|d| UnaryOp::ALL.iter().map(move |op| (*d, op))) {
            if !op.accepts(d) {
                continue;
            }
            let f = tile::unary(isa, op, d);
            let to = if op.is_predicate() { DType::Bool } else { d };
            for n in LENGTHS {
                let x = values(d, n, n as u64 + 1);
                let (px, mut out) = (placed(&x), room(to, n));
                // SAFETY: `n` elements each.
                unsafe { f(px.as_ptr().cast(), out.as_mut_ptr().cast(), n) };
                let allowed = if op.is_transcendental() { ulps(d) } else { 0 };
                for (x, got) in x.iter().zip(taken(to, &out, n)) {
                    let want = naive::unary(op, *x);
                    assert!(close(got, want, allowed), "{isa:?} {op}({x}) = {got}, not {want}");
                }
                if to == d {
                    let mut own = px;
                    let p: *mut u8 = own.as_mut_ptr().cast();
                    // SAFETY: as above; in place.
                    unsafe { f(p, p, n) };
                    assert!(
                        taken(to, &own, n).iter().zip(taken(to, &out, n)).all(|(a, b)| same(*a, b)),
                        "{op} in place"
                    );
                }
            }
        }
    }
}

/// The operands of a mode: a scalar is repeated for the definition.
fn operands(a: &[Scalar], b: &[Scalar], mode: Operands) -> (Vec<Scalar>, Vec<Scalar>) {
    let all = |s: &[Scalar]| vec![s[0]; s.len()];
    match mode {
        _ if a.is_empty() => (vec![], vec![]),
        Operands::VV => (a.to_vec(), b.to_vec()),
        Operands::VS => (a.to_vec(), all(b)),
        Operands::SV => (all(a), b.to_vec()),
    }
}

#[test]
fn binary() {
    for isa in Isa::available() {
        for (d, &op) in DType::ALL.iter().flat_map(|d| BinaryOp::ALL.iter().map(move |op| (*d, op))) {
            if !op.accepts(d) {
                continue;
            }
            for mode in [Operands::VV, Operands::VS, Operands::SV] {
                let Some(f) = tile::binary(isa, op, d, mode) else {
                    assert_ne!(mode, Operands::VV);
                    continue;
                };
                for (n, seed) in LENGTHS.into_iter().zip(1..) {
                    let (a, b) = (values(d, n, seed), values(d, n, seed + 100));
                    let (pa, pb, mut out) = (placed(&a), placed(&b), room(d, n));
                    // SAFETY: `n` elements each, or one.
                    unsafe { f(pa.as_ptr().cast(), pb.as_ptr().cast(), out.as_mut_ptr().cast(), n) };
                    let (a, b) = operands(&a, &b, mode);
                    for ((a, b), got) in a.iter().zip(&b).zip(taken(d, &out, n)) {
                        let want = naive::binary(op, *a, *b);
                        let extremum =
                            matches!(op, BinaryOp::Min | BinaryOp::Max | BinaryOp::Fmin | BinaryOp::Fmax);
                        let rounded = d.is_float() && (op.is_transcendental() || op == BinaryOp::Pow);
                        let ok = match () {
                            _ if extremum => same_number(got, want),
                            // sums near 1 cancel: the error is that of the larger operand
                            _ if matches!(op, BinaryOp::Logaddexp | BinaryOp::Logaddexp2) => {
                                let size = a.as_f64().abs().max(b.as_f64().abs());
                                let epsilon = if d == DType::F64 { f64::EPSILON } else { 1e-7 };
                                close(got, want, ulps(d))
                                    || (got.as_f64() - want.as_f64()).abs() <= 2.0 * epsilon * size
                            }
                            _ if rounded => close(got, want, ulps(d)),
                            _ => same(got, want),
                        };
                        assert!(ok, "{isa:?} {d} {op}({a}, {b}) = {got}, not {want} ({mode:?})");
                    }
                }
            }
        }
    }
}

#[test]
fn compare() {
    for isa in Isa::available() {
        for (d, &op) in DType::ALL.iter().flat_map(|d| CompareOp::ALL.iter().map(move |op| (*d, op))) {
            for mode in [Operands::VV, Operands::VS, Operands::SV] {
                let f = tile::compare(isa, op, d, mode);
                for (n, seed) in LENGTHS.into_iter().zip(1..) {
                    let (a, mut b) = (values(d, n, seed), values(d, n, seed + 100));
                    b.iter_mut().zip(&a).step_by(3).for_each(|(b, a)| *b = *a);
                    let (pa, pb, mut out) = (placed(&a), placed(&b), room(DType::Bool, n));
                    // SAFETY: `n` elements each, or one.
                    unsafe { f(pa.as_ptr().cast(), pb.as_ptr().cast(), out.as_mut_ptr().cast(), n) };
                    let (a, b) = operands(&a, &b, mode);
                    for ((a, b), got) in a.iter().zip(&b).zip(taken(DType::Bool, &out, n)) {
                        assert_eq!(got, naive::compare(op, *a, *b), "{isa:?} {op}({a}, {b}) {mode:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn select_and_mul_add() {
    let flags = [false, true];
    for isa in Isa::available() {
        for (d, n) in DType::ALL.iter().flat_map(|d| LENGTHS.map(|n| (*d, n))) {
            let [a, b, c] = [1, 2, 3].map(|seed| values(d, n, seed));
            let mask = values(DType::Bool, n, 4);
            let at = |s: &[Scalar], scalar: bool, i: usize| if scalar { s[0] } else { s[i] };
            let [pa, pb, pc, pm] = [&a, &b, &c, &mask].map(|s| placed(s));
            for (sa, sb) in flags.into_iter().flat_map(|sa| flags.map(|sb| (sa, sb))) {
                let f = tile::select(isa, d.size(), sa, sb);
                let mut out = room(d, n);
                let operands = [&pm, &pa, &pb].map(|p| p.as_ptr().cast());
                // SAFETY: `n` elements each, or one.
                unsafe { f(operands[0], operands[1], operands[2], out.as_mut_ptr().cast(), n) };
                for (i, got) in taken(d, &out, n).into_iter().enumerate() {
                    let want = if mask[i].bits() != 0 { at(&a, sa, i) } else { at(&b, sb, i) };
                    assert_eq!(got, want, "{isa:?} select");
                }
                for (sa, sb, sc) in [(false, sa, sb), (true, sa, sb)] {
                    let Some(f) = (d != DType::Bool).then(|| tile::mul_add(isa, d, sa, sb, sc)).flatten()
                    else {
                        continue;
                    };
                    let operands = [&pa, &pb, &pc].map(|p| p.as_ptr().cast());
                    // SAFETY: `n` elements each, or one.
                    unsafe { f(operands[0], operands[1], operands[2], out.as_mut_ptr().cast(), n) };
                    for (i, got) in taken(d, &out, n).into_iter().enumerate() {
                        let (a, b, c) = (at(&a, sa, i), at(&b, sb, i), at(&c, sc, i));
                        let want = naive::mul_add(a, b, c);
                        assert!(same(got, want), "{isa:?} {a} * {b} + {c} = {got}, not {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn casts() {
    for isa in Isa::available() {
        for (from, to) in DType::ALL.iter().flat_map(|a| DType::ALL.map(|b| (*a, b))) {
            let f = tile::cast(isa, from, to);
            for (n, seed) in LENGTHS.into_iter().zip(1..) {
                let x = values(from, n, seed);
                let (px, mut out) = (placed(&x), room(to, n));
                // SAFETY: `n` elements each.
                unsafe { f(px.as_ptr().cast(), out.as_mut_ptr().cast(), n) };
                for (x, got) in x.iter().zip(taken(to, &out, n)) {
                    assert!(same(got, x.cast(to)), "{isa:?} {x} as {to} = {got}, not {}", x.cast(to));
                }
            }
        }
    }
}
