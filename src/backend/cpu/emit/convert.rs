//! Casts: from one dtype's lanes to another's.

use super::asm::Rm;
use super::fuse::{Fuse, K, N};
use super::lower::{GE, NE};
use super::ops;
use crate::dtype::{DType, Kind};

impl Fuse<'_> {
    /// Emits one copy of a cast.
    pub fn cast(&mut self, out: N, x: N, u: usize) {
        let (from, to) = (self.dtype(x), self.dtype(out));
        let (long, wide) = (self.long(x) == 1, self.wide);
        match (from.kind(), to.kind()) {
            (Kind::Bool, _) => self.bool_to_number(out, x, u),
            (_, Kind::Bool) if from.is_float() => {
                let y = self.reg(x, u);
                let t = self.temp(1);
                self.zero(self.width(x), t);
                self.compare_floats(out, x, y, Rm::Reg(t), NE, u, &[x]);
            }
            (_, Kind::Bool) => self.int_to_bool(out, x, u),
            (Kind::Float, Kind::Float) => match (long, to) {
                (false, DType::F64) => self.one(ops::VCVTPS2PD, out, x, u, None),
                (true, DType::F32) => self.one(ops::VCVTPD2PS, out, x, u, None),
                _ => {
                    self.copy(out, x, u);
                    let r = self.reg(out, u);
                    self.round_half(out, r);
                }
            },
            (Kind::Float, _) => self.float_to_int(out, x, u),
            (_, Kind::Float) => {
                let unsigned = matches!(from, DType::U32 | DType::U64);
                let op = match (unsigned, long, self.long(out) == 1) {
                    (false, false, false) => ops::VCVTDQ2PS,
                    (false, false, true) => ops::VCVTDQ2PD,
                    (true, false, false) => ops::VCVTUDQ2PS,
                    (true, false, true) => ops::VCVTUDQ2PD,
                    (false, true, false) => ops::VCVTQQ2PS,
                    (false, true, true) => ops::VCVTQQ2PD,
                    (true, true, false) => ops::VCVTUQQ2PS,
                    (true, true, true) => ops::VCVTUQQ2PD,
                };
                self.one(op, out, x, u, None);
            }
            _ => {
                match (long, self.long(out) == 1) {
                    (false, true) if from == DType::U32 => self.one(ops::VPMOVZXDQ, out, x, u, None),
                    (false, true) => self.one(ops::VPMOVSXDQ, out, x, u, None),
                    (true, false) if wide => {
                        let y = self.reg(x, u);
                        self.release(&[x], u);
                        let r = self.define(out, u);
                        self.asm.vex2(ops::VPMOVQD, self.width(x), y, Rm::Reg(r));
                    }
                    (true, false) => {
                        let y = self.reg(x, u);
                        self.release(&[x], u);
                        let r = self.define(out, u);
                        self.halve(r, y);
                    }
                    _ => self.copy(out, x, u),
                }
                self.wrap_spot(out, u);
            }
        }
    }

    fn bool_to_number(&mut self, out: N, x: N, u: usize) {
        let m = self.reg(x, u);
        let (w, l) = (self.width(out), self.long(out));
        let (d, bits) = match (self.dtype(out).is_float(), l) {
            (true, _) => self.float(out, 1.0),
            (false, 1) => (DType::I64, 1),
            (false, _) => (DType::I32, 1),
        };
        let one = self.constant(d, bits);
        self.release(&[x], u);
        let r = self.define(out, u);
        if self.wide {
            self.asm.masked(m, true).vex2(ops::LOAD[l], w, r, one);
        } else if l == 1 {
            self.asm.vex2(ops::VPMOVSXDQ, w, r, Rm::Reg(m));
            self.asm.vex3(ops::PAND[0], w, r, r, one);
        } else {
            self.asm.vex3(ops::PAND[0], w, r, m, one);
        }
    }

    fn int_to_bool(&mut self, out: N, x: N, u: usize) {
        let y = self.reg(x, u);
        let (w, l) = (self.width(x), self.long(x));
        self.release(&[x], u);
        if self.wide {
            let r = self.define(out, u);
            self.asm.vex3(ops::PTESTM[l], w, r, y, Rm::Reg(y));
            return;
        }
        let (t, t1) = (self.temp(0), self.temp(1));
        self.zero(w, t1);
        self.asm.vex3(ops::PCMPEQ[l], w, t, y, Rm::Reg(t1));
        let r = self.define(out, u);
        self.vector_mask(out, r, t, l == 1);
        let ones = self.constant(DType::I32, 0xffff_ffff);
        self.asm.vex3(ops::PXOR[0], self.width(out), r, r, ones);
    }

    /// Truncates, saturates, NaN to 0. The machine gives the least integer (all ones if unsigned) for what does not fit.
    fn float_to_int(&mut self, out: N, x: N, u: usize) {
        let to = self.dtype(out);
        let y = self.reg(x, u);
        let (wx, lx, w, l) = (self.width(x), self.long(x), self.width(out), self.long(out));
        let t = self.temp(0);
        if matches!(to, DType::U32 | DType::U64) {
            // NaN and negative to 0: the machine's maximum returns its second operand for NaN
            let zero = self.temp(1);
            self.zero(wx, zero);
            self.asm.vex3(ops::MAX[lx], wx, t, y, Rm::Reg(zero));
            let op = match (lx, l) {
                (0, 0) => ops::VCVTTPS2UDQ,
                (0, _) => ops::VCVTTPS2UQQ,
                (_, 0) => ops::VCVTTPD2UDQ,
                _ => ops::VCVTTPD2UQQ,
            };
            self.release(&[x], u);
            let r = self.define(out, u);
            self.asm.vex2(op, w.max(wx), r, Rm::Reg(t));
            return;
        }
        let op = match (lx, l) {
            (0, 0) => ops::VCVTTPS2DQ,
            (0, _) => ops::VCVTTPS2QQ,
            (_, 0) => ops::VCVTTPD2DQ,
            _ => ops::VCVTTPD2QQ,
        };
        let limit = if l == 1 { 63 } else { 31 };
        let (d, bits) = self.float(x, (1u64 << limit) as f32);
        let limit = self.constant(d, bits);
        let r = self.define(out, u);
        if self.wide {
            self.asm.vex3i(ops::CMP[lx], wx, K, y, Rm::Reg(y), 7);
            // zero where NaN
            self.asm.masked(K, true).vex2(op, w.max(wx), r, Rm::Reg(y));
            let most = if l == 1 { (DType::I64, i64::MAX as u64) } else { (DType::I32, i32::MAX as u64) };
            let most = self.constant(most.0, most.1);
            self.asm.vex3i(ops::CMP[lx], wx, K, y, limit, GE);
            self.asm.masked(K, false).vex2(ops::LOAD[l], w, r, most);
        } else {
            self.asm.vex2(op, w.max(wx), r, Rm::Reg(y));
            self.asm.vex3i(ops::CMP[lx], wx, t, y, limit, GE);
            if lx == 1 {
                self.halve(t, t);
            }
            self.asm.vex3(ops::PXOR[0], w, r, r, Rm::Reg(t));
            self.asm.vex3i(ops::CMP[lx], wx, t, y, Rm::Reg(y), 7);
            if lx == 1 {
                self.halve(t, t);
            }
            self.asm.vex3(ops::PAND[0], w, r, r, Rm::Reg(t));
        }
        self.release(&[x], u);
        if to.size() < 4 {
            let (least, most) = match to {
                DType::I8 => (-128i32, 127),
                DType::U8 => (0, 255),
                DType::I16 => (-32768, 32767),
                _ => (0, 65535),
            };
            let least = self.constant(DType::I32, least as u32 as u64);
            self.asm.vex3(ops::PMAXS[0], w, r, r, least);
            let most = self.constant(DType::I32, most as u64);
            self.asm.vex3(ops::PMINS[0], w, r, r, most);
        }
    }
}
