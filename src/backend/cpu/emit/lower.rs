//! From an instruction of the IR to instructions of the machine.
//!
//! Lanes: every dtype of at most 4 bytes has lanes of 4 (small integers extended and kept so, halves as floats that are
//! rounded after each operation); 8-byte dtypes have lanes of 8. Bools are mask registers on AVX-512, vectors of 4-byte
//! all-ones or zero on AVX2.

use super::asm::{Op, Rm};
use super::fuse::{Fuse, K, N};
use super::ops;
use crate::dtype::{DType, Kind};
use crate::ir::{Inst, Value};
use crate::op::{BinaryOp, CompareOp, UnaryOp};

/// Immediates of float comparisons (quiet).
const EQ: u8 = 0;
const UNORDERED: u8 = 3;
pub const NE: u8 = 4;
const LT: u8 = 0x11;
const LE: u8 = 0x12;
pub const GE: u8 = 0x1d;

impl Fuse<'_> {
    /// Emits one copy of an instruction.
    pub fn lower(&mut self, inst: usize, u: usize) {
        let out = self.node(Value(inst as u32));
        match self.kernel.insts()[inst] {
            Inst::Cast { x, .. } => self.cast(out, self.node(x), u),
            Inst::Unary { op, x } => self.unary(op, out, self.node(x), u),
            Inst::Binary { op, a, b } => self.binary(op, out, self.node(a), self.node(b), u),
            Inst::Compare { op, a, b } => self.compare(op, out, self.node(a), self.node(b), u),
            Inst::Select { c, a, b } => self.select(out, self.node(c), self.node(a), self.node(b), u),
            Inst::MulAdd { a, b, c } => self.mul_add(out, self.node(a), self.node(b), self.node(c), u),
            Inst::Load(_) | Inst::Const(_) | Inst::Index { .. } => unreachable!("not a member of a group"),
        }
    }

    pub fn dtype(&self, n: N) -> DType {
        self.nodes[n].dtype
    }

    /// 1 for lanes of 8 bytes: the index into the pairs of [`ops`].
    pub fn long(&self, n: N) -> usize {
        usize::from(self.lane(n) == 8)
    }

    /// `out <- op(a, b)` in one instruction; rounds halves.
    fn two(&mut self, op: [Op; 2], out: N, a: N, b: N, u: usize) {
        let x = self.reg(a, u);
        let y = self.operand(b, u);
        self.release(&[a, b], u);
        let r = self.define(out, u);
        self.asm.vex3(op[self.long(out)], self.width(out), r, x, y);
        self.round_half(out, r);
    }

    /// `out <- op(x)` in one instruction.
    pub fn one(&mut self, op: Op, out: N, x: N, u: usize, imm: Option<u8>) {
        let y = self.operand(x, u);
        self.release(&[x], u);
        let r = self.define(out, u);
        // conversions that narrow are encoded with the width of their operand
        let w = self.width(out).max(self.width(x));
        self.asm.vex2(op, w, r, y);
        self.asm.bytes.extend(imm);
        self.round_half(out, r);
    }

    /// `out <- op(x, constant)`.
    fn with(&mut self, op: [Op; 2], out: N, x: N, c: (DType, u64), u: usize) {
        let y = self.reg(x, u);
        let c = self.constant(c.0, c.1);
        self.release(&[x], u);
        let r = self.define(out, u);
        self.asm.vex3(op[self.long(out)], self.width(out), r, y, c);
    }

    /// A half is a float that every operation rounds.
    pub fn round_half(&mut self, n: N, r: u8) {
        if self.dtype(n) == DType::F16 {
            let (t, w) = (self.temp(0), self.width(n));
            self.asm.vex2(ops::VCVTPS2PH, w, r, Rm::Reg(t));
            self.asm.bytes.push(0);
            self.asm.vex2(ops::VCVTPH2PS, w, r, Rm::Reg(t));
        }
    }

    /// Brings a small integer's lane back into the range of its dtype.
    fn wrap(&mut self, n: N, r: u8) {
        let (w, d) = (self.width(n), self.dtype(n));
        match d {
            DType::U8 | DType::U16 => {
                let mask = self.constant(DType::I32, if d == DType::U8 { 0xff } else { 0xffff });
                self.asm.vex3(ops::PAND[0], w, r, r, mask);
            }
            DType::I8 | DType::I16 => {
                for shift in [ops::SLL, ops::SRA] {
                    self.asm.vex3(ops::PSHIFTD, w, shift, r, Rm::Reg(r));
                    self.asm.bytes.push(if d == DType::I8 { 24 } else { 16 });
                }
            }
            _ => {}
        }
    }

    /// The constant whose lanes have only the sign bit.
    fn sign(&self, n: N) -> (DType, u64) {
        match self.lane(n) {
            8 => (DType::I64, 1 << 63),
            _ => (DType::I32, 1 << 31),
        }
    }

    /// The constant whose lanes have all but the sign bit.
    fn magnitude(&self, n: N) -> (DType, u64) {
        let (d, sign) = self.sign(n);
        (d, if d == DType::I64 { !sign } else { sign - 1 })
    }

    /// A float constant of a node's lanes.
    pub fn float(&self, n: N, x: f32) -> (DType, u64) {
        match self.lane(n) {
            8 => (DType::F64, (x as f64).to_bits()),
            _ => (DType::F32, x.to_bits() as u64),
        }
    }

    pub fn zero(&mut self, w: usize, t: u8) {
        // the EVEX form needs no more than AVX-512F at 64 bytes, VL below
        self.asm.vex3(ops::PXOR[0], w, t, t, Rm::Reg(t));
    }

    fn unary(&mut self, op: UnaryOp, out: N, x: N, u: usize) {
        let d = self.dtype(x);
        let round = |mode: u8| Some(8 | mode);
        match op {
            UnaryOp::Neg if d.is_float() => self.with(ops::PXOR, out, x, self.sign(x), u),
            UnaryOp::Abs if d.is_float() => self.with(ops::PAND, out, x, self.magnitude(x), u),
            UnaryOp::Abs if d.kind() == Kind::Signed => {
                self.one(ops::PABS[self.long(x)], out, x, u, None);
                self.wrap_spot(out, u);
            }
            UnaryOp::Abs => self.copy(out, x, u),
            UnaryOp::Neg => {
                let y = self.operand(x, u);
                let (t, w) = (self.temp(0), self.width(out));
                self.zero(w, t);
                self.release(&[x], u);
                let r = self.define(out, u);
                self.asm.vex3(ops::PSUB[self.long(out)], w, r, t, y);
                self.wrap(out, r);
            }
            UnaryOp::Not if d == DType::Bool && self.wide => {
                let y = self.reg(x, u);
                self.release(&[x], u);
                let r = self.define(out, u);
                self.asm.kop(ops::KNOT, false, r, 0, Rm::Reg(y));
            }
            UnaryOp::Not => {
                let ones = if self.lane(x) == 8 { (DType::I64, u64::MAX) } else { (DType::I32, 0xffff_ffff) };
                self.with(ops::PXOR, out, x, ones, u);
                self.wrap_spot(out, u);
            }
            UnaryOp::Sqrt => self.one(ops::SQRT[self.long(x)], out, x, u, None),
            UnaryOp::Square if d.is_float() => self.two(ops::MUL, out, x, x, u),
            UnaryOp::Square => {
                self.two(ops::PMULL, out, x, x, u);
                self.wrap_spot(out, u);
            }
            UnaryOp::Reciprocal => {
                let y = self.operand(x, u);
                let (c, one) = self.float(x, 1.0);
                let one = self.constant(c, one);
                let (t, w) = (self.temp(0), self.width(out));
                self.asm.vex2(ops::VMOVUPS, w, t, one);
                self.release(&[x], u);
                let r = self.define(out, u);
                self.asm.vex3(ops::DIV[self.long(out)], w, r, t, y);
                self.round_half(out, r);
            }
            UnaryOp::Rint => self.one(ops::ROUND[self.long(x)], out, x, u, round(0)),
            UnaryOp::Floor => self.one(ops::ROUND[self.long(x)], out, x, u, round(1)),
            UnaryOp::Ceil => self.one(ops::ROUND[self.long(x)], out, x, u, round(2)),
            UnaryOp::Trunc => self.one(ops::ROUND[self.long(x)], out, x, u, round(3)),
            UnaryOp::IsNan => {
                let y = self.reg(x, u);
                self.compare_floats(out, x, y, Rm::Reg(y), UNORDERED, u, &[x]);
            }
            UnaryOp::IsInf | UnaryOp::IsFinite => {
                let y = self.reg(x, u);
                let (d, bits) = self.magnitude(x);
                let mask = self.constant(d, bits);
                let (d, bits) = self.float(x, f32::INFINITY);
                let infinity = self.constant(d, bits);
                let t = self.temp(0);
                self.asm.vex3(ops::PAND[self.long(x)], self.width(x), t, y, mask);
                let how = if op == UnaryOp::IsInf { EQ } else { LT };
                self.compare_floats(out, x, t, infinity, how, u, &[x]);
            }
            _ => unreachable!("{op} is not simple"),
        }
    }

    /// [`Fuse::wrap`] of the register a node was just given.
    pub fn wrap_spot(&mut self, n: N, u: usize) {
        let r = self.reg(n, u);
        self.wrap(n, r);
    }

    pub fn copy(&mut self, out: N, x: N, u: usize) {
        let y = self.operand(x, u);
        self.release(&[x], u);
        let r = self.define(out, u);
        self.asm.vex2(ops::VMOVUPS, self.width(out), r, y);
    }

    fn binary(&mut self, op: BinaryOp, out: N, a: N, b: N, u: usize) {
        use BinaryOp::*;
        let d = self.dtype(a);
        if d == DType::Bool {
            let op = match op {
                Add | Or | Max | Fmax => (ops::KOR, ops::POR),
                Xor => (ops::KXOR, ops::PXOR),
                _ => (ops::KAND, ops::PAND),
            };
            return self.logic(op, out, a, b, u);
        }
        match op {
            Add if d.is_float() => self.two(ops::ADD, out, a, b, u),
            Sub if d.is_float() => self.two(ops::SUB, out, a, b, u),
            Mul if d.is_float() => self.two(ops::MUL, out, a, b, u),
            Div => self.two(ops::DIV, out, a, b, u),
            Min | Max | Fmin | Fmax if d.is_float() => self.extremum(op, out, a, b, u),
            Copysign => {
                let (x, y) = (self.reg(a, u), self.reg(b, u));
                let (s, m) = (self.sign(a), self.magnitude(a));
                let (sign, magnitude) = (self.constant(s.0, s.1), self.constant(m.0, m.1));
                let (t, w, l) = (self.temp(0), self.width(out), self.long(out));
                self.asm.vex3(ops::PAND[l], w, t, y, sign);
                self.release(&[a, b], u);
                let r = self.define(out, u);
                self.asm.vex3(ops::PAND[l], w, r, x, magnitude);
                self.asm.vex3(ops::POR[l], w, r, r, Rm::Reg(t));
            }
            _ => {
                let unsigned = matches!(d, DType::U32 | DType::U64);
                let op = match op {
                    Add => ops::PADD,
                    Sub => ops::PSUB,
                    Mul => ops::PMULL,
                    And => ops::PAND,
                    Or => ops::POR,
                    Xor => ops::PXOR,
                    // counts of the width or more, and negative ones, give what the IR asks for
                    Shl => ops::PSLLV,
                    Shr if d.kind() == Kind::Signed => ops::PSRAV,
                    Shr => ops::PSRLV,
                    Min | Fmin if unsigned => ops::PMINU,
                    Max | Fmax if unsigned => ops::PMAXU,
                    Min | Fmin => ops::PMINS,
                    Max | Fmax => ops::PMAXS,
                    _ => unreachable!("{op} is not simple"),
                };
                self.two(op, out, a, b, u);
                self.wrap_spot(out, u);
            }
        }
    }

    /// And, or, xor of bools.
    fn logic(&mut self, (masks, vectors): (Op, [Op; 2]), out: N, a: N, b: N, u: usize) {
        if !self.wide {
            return self.two(vectors, out, a, b, u);
        }
        let (x, y) = (self.reg(a, u), self.reg(b, u));
        self.release(&[a, b], u);
        let r = self.define(out, u);
        self.asm.kop(masks, true, r, x, Rm::Reg(y));
    }

    /// The machine's minimum returns its second operand if either is NaN: right if the second is what must win.
    fn extremum(&mut self, op: BinaryOp, out: N, a: N, b: N, u: usize) {
        use BinaryOp::*;
        let (x, y) = (self.reg(a, u), self.reg(b, u));
        let (w, l) = (self.width(out), self.long(out));
        let machine = if matches!(op, Min | Fmin) { ops::MIN[l] } else { ops::MAX[l] };
        // Min: a NaN in `a` must win. Fmin: a NaN in `b` must lose. Both: then the result is `a`.
        let tested = if matches!(op, Min | Max) { x } else { y };
        let t = self.temp(0);
        if self.wide {
            self.asm.vex3i(ops::CMP[l], w, K, tested, Rm::Reg(tested), UNORDERED);
            self.release(&[a, b], u);
            let r = self.define(out, u);
            self.asm.vex3(machine, w, t, x, Rm::Reg(y));
            self.asm.masked(K, false).vex3(ops::PBLENDM[l], w, r, t, Rm::Reg(x));
        } else {
            let t1 = self.temp(1);
            self.asm.vex3i(ops::CMP[l], w, t1, tested, Rm::Reg(tested), UNORDERED);
            self.asm.vex3(machine, w, t, x, Rm::Reg(y));
            self.release(&[a, b], u);
            let r = self.define(out, u);
            self.asm.vex3i(ops::BLENDV[l], w, r, t, Rm::Reg(x), t1 << 4);
        }
    }

    fn compare(&mut self, op: CompareOp, out: N, a: N, b: N, u: usize) {
        let d = self.dtype(a);
        if d == DType::Bool {
            return self.compare_bools(op, out, a, b, u);
        }
        let x = self.reg(a, u);
        if d.is_float() {
            let y = self.operand(b, u);
            let how = match op {
                CompareOp::Eq => EQ,
                CompareOp::Ne => NE,
                CompareOp::Lt => LT,
                CompareOp::Le => LE,
            };
            return self.compare_floats(out, a, x, y, how, u, &[a, b]);
        }
        let (w, l) = (self.width(a), self.long(a));
        if self.wide {
            let y = self.operand(b, u);
            let how = match op {
                CompareOp::Eq => 0,
                CompareOp::Lt => 1,
                CompareOp::Le => 2,
                CompareOp::Ne => 4,
            };
            let unsigned = matches!(d, DType::U32 | DType::U64);
            self.release(&[a, b], u);
            let r = self.define(out, u);
            self.asm.vex3i(if unsigned { ops::PCMPU[l] } else { ops::PCMP[l] }, w, r, x, y, how);
            return;
        }
        let mut x = x;
        let mut y = self.reg(b, u);
        let (t, t1) = (self.temp(0), self.temp(1));
        if matches!(d, DType::U32 | DType::U64) {
            let (d, bits) = self.sign(a);
            let sign = self.constant(d, bits);
            self.asm.vex3(ops::PXOR[l], w, t, x, sign);
            self.asm.vex3(ops::PXOR[l], w, t1, y, sign);
            (x, y) = (t, t1);
        }
        let (machine, first, second, negate) = match op {
            CompareOp::Eq => (ops::PCMPEQ, x, y, false),
            CompareOp::Ne => (ops::PCMPEQ, x, y, true),
            CompareOp::Lt => (ops::PCMPGT, y, x, false),
            CompareOp::Le => (ops::PCMPGT, x, y, true),
        };
        self.asm.vex3(machine[l], w, t, first, Rm::Reg(second));
        self.release(&[a, b], u);
        let r = self.define(out, u);
        self.vector_mask(out, r, t, l == 1);
        if negate {
            let ones = self.constant(DType::I32, 0xffff_ffff);
            self.asm.vex3(ops::PXOR[0], self.width(out), r, r, ones);
        }
    }

    /// `out <- compare(x, y)` for lanes like those of `like`.
    pub fn compare_floats(&mut self, out: N, like: N, x: u8, y: Rm, how: u8, u: usize, dead: &[N]) {
        let (w, l) = (self.width(like), self.long(like));
        self.release(dead, u);
        if self.wide || l == 0 {
            let r = self.define(out, u);
            self.asm.vex3i(ops::CMP[l], w, r, x, y, how);
        } else {
            let t = self.temp(0);
            self.asm.vex3i(ops::CMP[l], w, t, x, y, how);
            let r = self.define(out, u);
            self.vector_mask(out, r, t, true);
        }
    }

    /// Puts the mask in `t` (the first temporary; 8-byte lanes if `long`) into `r` with 4-byte lanes.
    pub fn vector_mask(&mut self, out: N, r: u8, t: u8, long: bool) {
        if long {
            self.halve(r, t);
        } else {
            self.asm.vex2(ops::VMOVUPS, self.width(out), r, Rm::Reg(t));
        }
    }

    /// The low halves of four 8-byte lanes (AVX2).
    pub fn halve(&mut self, r: u8, x: u8) {
        let t1 = self.temp(1);
        self.asm.vex2(ops::VEXTRACTI128, 32, x, Rm::Reg(t1));
        self.asm.bytes.push(1);
        self.asm.vex3i(ops::VSHUFPS, 16, r, x, Rm::Reg(t1), 0x88);
    }

    fn compare_bools(&mut self, op: CompareOp, out: N, a: N, b: N, u: usize) {
        let (x, y) = (self.reg(a, u), self.reg(b, u));
        let w = self.width(out);
        if self.wide {
            self.release(&[a, b], u);
            let r = self.define(out, u);
            match op {
                CompareOp::Eq => self.asm.kop(ops::KXNOR, true, r, x, Rm::Reg(y)),
                CompareOp::Ne => self.asm.kop(ops::KXOR, true, r, x, Rm::Reg(y)),
                CompareOp::Lt => self.asm.kop(ops::KANDN, true, r, x, Rm::Reg(y)),
                CompareOp::Le => {
                    self.asm.kop(ops::KANDN, true, K, y, Rm::Reg(x));
                    self.asm.kop(ops::KNOT, false, r, 0, Rm::Reg(K));
                }
            }
            return;
        }
        // all-ones is -1: a < b is b >s a reversed
        let (machine, first, second, negate) = match op {
            CompareOp::Eq => (ops::PCMPEQ, x, y, false),
            CompareOp::Ne => (ops::PCMPEQ, x, y, true),
            CompareOp::Lt => (ops::PCMPGT, x, y, false),
            CompareOp::Le => (ops::PCMPGT, y, x, true),
        };
        self.release(&[a, b], u);
        let r = self.define(out, u);
        self.asm.vex3(machine[0], w, r, first, Rm::Reg(second));
        if negate {
            let ones = self.constant(DType::I32, 0xffff_ffff);
            self.asm.vex3(ops::PXOR[0], w, r, r, ones);
        }
    }

    fn select(&mut self, out: N, c: N, a: N, b: N, u: usize) {
        let (w, l) = (self.width(out), self.long(out));
        let (m, y) = (self.reg(c, u), self.reg(b, u));
        if self.wide && self.dtype(out) == DType::Bool {
            let x = self.reg(a, u);
            self.asm.kop(ops::KAND, true, K, m, Rm::Reg(x));
            let r = self.define(out, u);
            self.asm.kop(ops::KANDN, true, r, m, Rm::Reg(y));
            self.asm.kop(ops::KOR, true, r, r, Rm::Reg(K));
            return self.release(&[c, a, b], u);
        }
        let x = self.operand(a, u);
        let mut mask = m;
        if !self.wide && l == 1 {
            mask = self.temp(0);
            self.asm.vex2(ops::VPMOVSXDQ, w, mask, Rm::Reg(m));
        }
        self.release(&[c, a, b], u);
        let r = self.define(out, u);
        if self.wide {
            self.asm.masked(m, false).vex3(ops::PBLENDM[l], w, r, y, x);
        } else {
            self.asm.vex3i(ops::BLENDV[l], w, r, y, x, mask << 4);
        }
    }

    fn mul_add(&mut self, out: N, a: N, b: N, c: N, u: usize) {
        let (x, y) = (self.reg(a, u), self.reg(b, u));
        let z = self.operand(c, u);
        let (w, l) = (self.width(out), self.long(out));
        let t = self.temp(0);
        if self.dtype(out).is_float() {
            self.asm.vex2(ops::VMOVUPS, w, t, Rm::Reg(x));
            self.asm.vex3(ops::FMADD213[l], w, t, y, z);
            self.release(&[a, b, c], u);
            let r = self.define(out, u);
            self.asm.vex2(ops::VMOVUPS, w, r, Rm::Reg(t));
        } else {
            self.asm.vex3(ops::PMULL[l], w, t, x, Rm::Reg(y));
            self.release(&[a, b, c], u);
            let r = self.define(out, u);
            self.asm.vex3(ops::PADD[l], w, r, t, z);
            self.wrap(out, r);
        }
    }
}
