//! Which instructions machine code is made for.

use crate::dtype::{DType, Kind};
use crate::ir::{Inst, Kernel};
use crate::op::{BinaryOp, UnaryOp};
use blockwise_kernels::tile::Isa;

/// Whether an instruction can be a member of a group.
pub fn is_simple(kernel: &Kernel, k: usize, isa: Isa) -> bool {
    let inst = &kernel.insts()[k];
    let wide = isa == Isa::Avx512;
    // at least one operand is not a constant, else the builder would have folded it
    match *inst {
        Inst::Load(_) | Inst::Const(_) | Inst::Index { .. } => false,
        Inst::Cast { to, x } => is_simple_cast(kernel.dtype(x), to, wide),
        Inst::Unary { op, x } => is_simple_unary(op, kernel.dtype(x), wide),
        Inst::Binary { op, a, .. } => is_simple_binary(op, kernel.dtype(a), wide),
        Inst::Compare { .. } | Inst::Select { .. } => true,
        Inst::MulAdd { a, .. } => match kernel.dtype(a) {
            DType::F16 => false,
            DType::I64 | DType::U64 => wide,
            _ => true,
        },
    }
}

fn is_simple_cast(from: DType, to: DType, wide: bool) -> bool {
    let long = |d: DType| d.size() == 8;
    match (from.kind(), to.kind()) {
        // f64 to f16 must round once
        (Kind::Float, Kind::Float) => !(from == DType::F64 && to == DType::F16),
        (Kind::Bool, _) | (_, Kind::Bool) => true,
        (Kind::Float, _) => wide || !(long(to) || to == DType::U32),
        (_, Kind::Float) => {
            // 64 bits to f16 would round twice
            (wide || !(long(from) || from == DType::U32)) && !(long(from) && to == DType::F16)
        }
        _ => true,
    }
}

fn is_simple_unary(op: UnaryOp, d: DType, wide: bool) -> bool {
    use UnaryOp::*;
    match op {
        Neg | Not => true,
        Abs | Square => d.is_float() || wide || d.size() < 8,
        Sqrt => true,
        Reciprocal | Floor | Ceil | Trunc | Rint | IsNan | IsInf | IsFinite => d.is_float(),
        _ => false,
    }
}

fn is_simple_binary(op: BinaryOp, d: DType, wide: bool) -> bool {
    use BinaryOp::*;
    match op {
        Add | Sub | And | Or | Xor | Div | Copysign => true,
        Shl => true,
        // an arithmetic shift of 8-byte lanes is AVX-512's
        Shr => wide || d != DType::I64,
        Mul | Min | Max | Fmin | Fmax => d.is_float() || d == DType::Bool || wide || d.size() < 8,
        _ => false,
    }
}
