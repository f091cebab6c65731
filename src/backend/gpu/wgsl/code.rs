//! Instructions as WGSL: every operation is a function of the library, named by dtype and operation.
//!
//! A value of a kernel is a register: `i32` and `u32` for integers of up to 32 bits (narrower ones extended), the bits as `u32` for
//! `f32`, for `f16` those of the `f32` of the same value, a pair of words for what has 64 bits, `bool` for bool. What the library does
//! not define, the device cannot do.

use super::super::arithmetic::Arithmetic;
use super::library::Library;
use crate::dtype::{DType, Kind, Scalar};
use crate::error::{ErrorKind, Result};
use crate::ir::{Inst, Kernel};
use crate::op::{BinaryOp, UnaryOp};
use std::fmt::Display;

/// The WGSL type of registers.
pub fn register(d: DType) -> &'static str {
    match d {
        DType::Bool => "bool",
        DType::I8 | DType::I16 | DType::I32 => "i32",
        DType::U8 | DType::U16 | DType::U32 | DType::F16 | DType::F32 => "u32",
        DType::I64 | DType::U64 | DType::F64 => "vec2<u32>",
    }
}

/// The name of a dtype's operations, by the dtype that registers compute in.
pub fn family(d: DType) -> &'static str {
    match d {
        DType::Bool => "bool",
        DType::I8 | DType::I16 | DType::I32 => "i32",
        DType::U8 | DType::U16 | DType::U32 => "u32",
        DType::I64 => "i64",
        DType::U64 => "u64",
        DType::F16 | DType::F32 => "f32",
        DType::F64 => "f64",
    }
}

/// 64 bits as a pair of words.
pub fn pair(bits: u64) -> String {
    format!("vec2<u32>({:#x}u, {:#x}u)", bits as u32, bits >> 32)
}

/// A constant's register.
pub fn constant(s: Scalar) -> String {
    match s.dtype() {
        DType::Bool => (s.bits() != 0).to_string(),
        DType::F16 => format!("{:#x}u", (s.as_f64() as f32).to_bits()),
        d => match register(d) {
            "i32" => format!("bitcast<i32>({:#x}u)", s.as_i64() as u32),
            "u32" => format!("{:#x}u", s.bits()),
            _ => pair(s.bits()),
        },
    }
}

/// A constant operand. Floats are sealed: compilers that know one operand fold `x * 0` and the like as it pleases them.
fn operand(s: Scalar) -> String {
    match register(s.dtype()) {
        "u32" if s.dtype().is_float() => format!("{} ^ params[0]", constant(s)),
        "vec2<u32>" if s.dtype().is_float() => {
            format!("{} ^ vec2<u32>(params[0], params[0])", constant(s))
        }
        _ => constant(s),
    }
}

/// The bits of element `at` of an input that was sent, given its first word.
pub fn sent(d: DType, base: &str, at: &str) -> String {
    format!("load_{}({base}, {at})", 8 * d.size())
}

/// The bits of element `at` of a twin.
pub fn resident(d: DType, slot: u8, at: &str) -> String {
    match d.size() {
        1 => format!("((resident{slot}[{at} >> 2u] >> (({at} & 3u) * 8u)) & 0xffu)"),
        2 => format!("((resident{slot}[{at} >> 1u] >> (({at} & 1u) * 16u)) & 0xffffu)"),
        4 => format!("resident{slot}[{at}]"),
        _ => format!("vec2<u32>(resident{slot}[2u * {at}], resident{slot}[2u * {at} + 1u])"),
    }
}

/// The register of an element of these bits.
pub fn load(d: DType, bits: String) -> String {
    match d {
        DType::Bool => format!("({bits} != 0u)"),
        DType::I8 => format!("i8_wrap(bitcast<i32>({bits}))"),
        DType::I16 => format!("i16_wrap(bitcast<i32>({bits}))"),
        DType::F16 => format!("f16_value({bits})"),
        DType::I32 => format!("bitcast<i32>({bits})"),
        _ => bits,
    }
}

/// The bits of a register as they lie in memory, in one word or a pair.
pub fn raw(d: DType, x: &str) -> String {
    match d {
        DType::Bool => format!("select(0u, 1u, {x})"),
        DType::I8 => format!("(bitcast<u32>({x}) & 0xffu)"),
        DType::I16 => format!("(bitcast<u32>({x}) & 0xffffu)"),
        DType::F16 => format!("f16_bits({x})"),
        DType::I32 => format!("bitcast<u32>({x})"),
        _ => x.to_owned(),
    }
}

/// The register's value in a narrower dtype of its family, if registers are wider than the dtype.
fn narrowed(d: DType, how: &str, x: String) -> String {
    match d {
        DType::I8 | DType::I16 | DType::U8 | DType::U16 | DType::F16 => format!("{d}_{how}({x})"),
        _ => x,
    }
}

/// The function of an operation.
pub fn function(d: DType, op: impl Display) -> Result<String> {
    let known = |name: String| Library::get().has(&name).then_some(name);
    let found = known(format!("{d}_{op}")).or_else(|| known(format!("{}_{op}", family(d))));
    found.ok_or_else(|| unsupported(d, op))
}

/// The function of an operation of kernels: elementary ones of `f64` are the adapter's arithmetic's. In integers they would be a hundred times as
/// long, more than compilers take.
fn operation(d: DType, op: impl Display, elementary: bool, arithmetic: &Arithmetic) -> Result<String> {
    match d == DType::F64 && elementary && !arithmetic.has_doubles() {
        true => Err(unsupported(d, op)),
        false => function(d, op),
    }
}

fn unsupported(d: DType, op: impl Display) -> crate::Error {
    let hint =
        "compute in a narrower float, or on the CPU (Device::cpu()); sessions on a GPU do so by themselves";
    ErrorKind::Unsupported { what: format!("{op} of {d} on a GPU"), hint: hint.into() }.into()
}

/// A conversion.
pub fn cast(from: DType, to: DType, x: &str) -> String {
    let (a, b) = (family(from), family(to));
    let exact = if a == b { x.to_owned() } else { format!("{b}_from_{a}({x})") };
    match to {
        d if d == from => x.to_owned(),
        DType::F16 => match from {
            DType::Bool => exact,
            DType::F32 => narrowed(to, "wrap", exact),
            DType::F64 => format!("f16_from_f64({x})"),
            _ => format!("f16_from_f64(f64_from_{a}({x}))"),
        },
        _ if from == DType::Bool || to == DType::Bool => exact,
        _ if from.is_float() => narrowed(to, "clamp", exact),
        _ => narrowed(to, "wrap", exact),
    }
}

/// The expression of an instruction; operands are named by `v` and their number, inputs' elements by `x` and theirs.
pub fn instruction(kernel: &Kernel, inst: &Inst, arithmetic: &Arithmetic) -> Result<String> {
    let d = |v: crate::ir::Value| kernel.dtype(v);
    let v = |v: crate::ir::Value| format!("v{}", v.0);
    Ok(match *inst {
        Inst::Load(n) => format!("x{n}"),
        Inst::Const(s) => operand(s),
        Inst::Index { axis } => format!("index{axis}"),
        Inst::Cast { to, x } => cast(d(x), to, &v(x)),
        Inst::Unary { op, x } => {
            let name = operation(d(x), op, op.is_transcendental(), arithmetic)?;
            let call = format!("{name}({})", v(x));
            if op.is_predicate() || stays_unary(op, d(x)) { call } else { narrowed(d(x), "wrap", call) }
        }
        Inst::Binary { op, a, b } => {
            let elementary = op.is_transcendental() || op == BinaryOp::Pow;
            let call = format!("{}({}, {})", operation(d(a), op, elementary, arithmetic)?, v(a), v(b));
            if stays_binary(op) { call } else { narrowed(d(a), "wrap", call) }
        }
        Inst::Compare { op, a, b } => format!("{}({}, {})", function(d(a), op)?, v(a), v(b)),
        Inst::Select { c, a, b } => format!("select({}, {}, {})", v(b), v(a), v(c)),
        Inst::MulAdd { a, b, c } => {
            narrowed(d(a), "wrap", format!("{}({}, {}, {})", function(d(a), "fma")?, v(a), v(b), v(c)))
        }
    })
}

/// Whether results are values of the operand's dtype without wrapping or rounding.
fn stays_unary(op: UnaryOp, d: DType) -> bool {
    use UnaryOp::*;
    matches!(op, Sign | Floor | Ceil | Trunc | Rint) || d.kind() == Kind::Float && matches!(op, Neg | Abs)
}

fn stays_binary(op: BinaryOp) -> bool {
    use BinaryOp::*;
    matches!(op, Min | Max | Fmin | Fmax | And | Or | Xor | Copysign | Nextafter)
}
