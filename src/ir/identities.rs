//! Identities: instructions that are one of their operands, a constant, or a simpler instruction.
//!
//! They hold to the bit for every value, up to the payload of NaN. So `x + 0` is no identity of floats (`-0.0 + 0.0` is `0.0`), but
//! `x + -0.0` and `x - 0` are; `0 * x` is 0 for integers alone; `not (a < b)` is not `b <= a` where there is NaN.

use super::{Builder, Inst, Value};
use crate::dtype::{DType, Kind, Scalar, promote};
use crate::op::{BinaryOp, CompareOp, UnaryOp};

/// What an instruction can be replaced by.
pub(super) enum Simpler {
    Value(Value),
    Constant(Scalar),
    Inst(Inst),
}

/// What an operation of `x` and a constant or itself gives.
enum Gives {
    X,
    Constant(Scalar),
}

impl Builder {
    /// Something simpler than an instruction that gives the same; `None` if no identity applies.
    pub(super) fn simpler(&self, inst: Inst) -> Option<Simpler> {
        let given = |gives: Gives, x: Value| match gives {
            Gives::X => Simpler::Value(x),
            Gives::Constant(s) => Simpler::Constant(s),
        };
        match inst {
            Inst::Cast { to, x } => match self.inst(x) {
                Inst::Cast { x: inner, .. } if passes(self.dtype(inner), self.dtype(x), to) => {
                    Some(match self.dtype(inner) == to {
                        true => Simpler::Value(inner),
                        false => Simpler::Inst(Inst::Cast { to, x: inner }),
                    })
                }
                _ => None,
            },
            Inst::Unary { op, x } => {
                let plain = of_unary(op, self.dtype(x)).map(|gives| given(gives, x));
                plain.or_else(|| after(op, x, self.inst(x)))
            }
            Inst::Binary { op, a, b } if a == b => of_itself(op, self.dtype(a)).map(|gives| given(gives, a)),
            Inst::Binary { op, a, b } => match (self.inst(a), self.inst(b)) {
                (_, Inst::Const(c)) => of_constant(op, c).map(|gives| given(gives, a)),
                (Inst::Const(c), _) if op.is_commutative() => of_constant(op, c).map(|gives| given(gives, b)),
                _ => None,
            },
            Inst::Compare { op, a, b } if a == b => match op {
                CompareOp::Lt => Some(Simpler::Constant(false.into())),
                _ if self.dtype(a).is_float() => None,
                op => Some(Simpler::Constant((op != CompareOp::Ne).into())),
            },
            Inst::Select { a, b, .. } if a == b => Some(Simpler::Value(a)),
            Inst::Select { c, a, b } => match (self.inst(c), self.inst(a), self.inst(b)) {
                (Inst::Const(held), ..) => Some(Simpler::Value(if held.bits() != 0 { a } else { b })),
                (_, Inst::Const(x), Inst::Const(_)) if self.dtype(a) == DType::Bool => {
                    // the arms differ
                    Some(match x.bits() != 0 {
                        true => Simpler::Value(c),
                        false => Simpler::Inst(Inst::Unary { op: UnaryOp::Not, x: c }),
                    })
                }
                (Inst::Unary { op: UnaryOp::Not, x: c }, ..) => {
                    Some(Simpler::Inst(Inst::Select { c, a: b, b: a }))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// `op(x)` of any `x` of a dtype.
fn of_unary(op: UnaryOp, d: DType) -> Option<Gives> {
    use UnaryOp::*;
    Some(match (op, d.kind()) {
        (Floor | Ceil | Trunc | Rint, Kind::Signed | Kind::Unsigned) | (Abs, Kind::Unsigned) => Gives::X,
        (_, Kind::Float) => return None,
        (IsNan | IsInf, _) | (Signbit, Kind::Unsigned | Kind::Bool) => Gives::Constant(false.into()),
        (IsFinite, _) => Gives::Constant(true.into()),
        _ => return None,
    })
}

/// `op(x)` where `x` is the result of `inner`.
fn after(op: UnaryOp, x: Value, inner: Inst) -> Option<Simpler> {
    use UnaryOp::*;
    let whole = |op| matches!(op, Floor | Ceil | Trunc | Rint);
    match (op, inner) {
        (Neg, Inst::Unary { op: Neg, x }) | (Not, Inst::Unary { op: Not, x }) => Some(Simpler::Value(x)),
        (Abs, Inst::Unary { op: Abs, .. }) | (Sign, Inst::Unary { op: Sign, .. }) => Some(Simpler::Value(x)),
        (op, Inst::Unary { op: inner, .. }) if whole(op) && whole(inner) => Some(Simpler::Value(x)),
        (Not, Inst::Compare { op: CompareOp::Eq, a, b }) => {
            Some(Simpler::Inst(Inst::Compare { op: CompareOp::Ne, a, b }))
        }
        (Not, Inst::Compare { op: CompareOp::Ne, a, b }) => {
            Some(Simpler::Inst(Inst::Compare { op: CompareOp::Eq, a, b }))
        }
        _ => None,
    }
}

/// `op(x, c)`.
fn of_constant(op: BinaryOp, c: Scalar) -> Option<Gives> {
    use BinaryOp::*;
    let d = c.dtype();
    let (exact, zero, one) = (!d.is_float(), c == Scalar::zero(d), c == Scalar::one(d));
    let ones = exact && c == Scalar::from_bits(d, u64::MAX);
    match op {
        Add if zero && exact || c == Scalar::from(-0.0f64).cast(d) && !exact => Some(Gives::X),
        Sub | Or | Xor | Shl | Shr if zero => Some(Gives::X),
        Mul | Div | Pow if one => Some(Gives::X),
        FloorDiv if one && exact => Some(Gives::X),
        And if ones => Some(Gives::X),
        Mul | And if zero && exact => Some(Gives::Constant(c)),
        Or if ones => Some(Gives::Constant(c)),
        Add if one && d == DType::Bool => Some(Gives::Constant(c)),
        Rem | Fmod if one && exact => Some(Gives::Constant(Scalar::zero(d))),
        Pow if zero => Some(Gives::Constant(Scalar::one(d))),
        _ => None,
    }
}

/// `op(x, x)`.
fn of_itself(op: BinaryOp, d: DType) -> Option<Gives> {
    use BinaryOp::*;
    match op {
        And | Or | Min | Max | Fmin | Fmax => Some(Gives::X),
        Add | Mul if d == DType::Bool => Some(Gives::X),
        Sub | Xor if !d.is_float() => Some(Gives::Constant(Scalar::zero(d))),
        _ => None,
    }
}

/// Whether a conversion by way of `middle` gives what the direct one gives: `middle` holds every value of `from`, and the way
/// out of it has the rules of the way out of `from` (a float saturates where an integer wraps).
fn passes(from: DType, middle: DType, to: DType) -> bool {
    let holds =
        promote(from, middle) == middle && !(from.size() == 8 && !from.is_float() && middle.is_float());
    holds && (from.is_float() == middle.is_float() || to.is_float() || to == DType::Bool || to == from)
}
