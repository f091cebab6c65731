//! How elements get from memory into lanes and back, and into the sums of a fold.

use super::asm::gpr::RDI;
use super::asm::{Mem, Rm, Width};
use super::fuse::{Fuse, INDEX, N, POINTERS, SCRATCH, TAIL};
use super::ops;
use crate::dtype::DType;

/// Partial sums of a fold: element `c` of a row goes into number `c % PARTIALS`, as in the tile functions.
pub const PARTIALS: usize = 32;
/// Registers of partial sums.
pub const SUMS: u8 = 4;

impl Fuse<'_> {
    /// Where an argument's elements of this iteration lie.
    pub fn address(&mut self, arg: usize, u: usize, size: usize) -> Mem {
        let base = match POINTERS.get(arg) {
            Some(r) => *r,
            None => {
                self.asm.load(SCRATCH, Mem { base: RDI, index: None, disp: 8 * arg as i32 });
                SCRATCH
            }
        };
        Mem { base, index: Some((INDEX, size as u8)), disp: (u * self.lanes * size) as i32 }
    }

    /// Reads an argument's elements.
    pub fn read(&mut self, arg: usize, n: N, r: u8, u: usize) {
        let (dtype, w) = (self.nodes[n].dtype, self.width(n));
        let m = Rm::Mem(self.address(arg, u, dtype.size()));
        let tail = if self.tail { TAIL } else { 0 };
        let load = match dtype {
            DType::Bool | DType::U8 => ops::VPMOVZXBD,
            DType::I8 => ops::VPMOVSXBD,
            DType::U16 => ops::VPMOVZXWD,
            DType::I16 => ops::VPMOVSXWD,
            DType::F16 => ops::VCVTPH2PS,
            DType::I32 | DType::U32 | DType::F32 => ops::LOAD[0],
            DType::I64 | DType::U64 | DType::F64 => ops::LOAD[1],
        };
        match dtype {
            DType::Bool if self.wide => {
                let t = self.temp(0);
                self.asm.masked(tail, true).vex2(load, w, t, m);
                self.asm.vex3(ops::PTESTM[0], w, r, t, Rm::Reg(t));
            }
            DType::Bool => {
                let t = self.temp(0);
                self.asm.vex2(load, w, r, m);
                self.asm.vex3(ops::PXOR[0], w, t, t, Rm::Reg(t));
                self.asm.vex3(ops::PCMPGT[0], w, r, r, Rm::Reg(t));
            }
            _ => self.asm.masked(tail, true).vex2(load, w, r, m),
        }
    }

    /// Writes a node to an output.
    pub fn write(&mut self, output: usize, n: N, r: u8, u: usize) {
        let (dtype, w) = (self.nodes[n].dtype, self.width(n));
        let address = self.address(self.inputs + output, u, dtype.size());
        let m = Rm::Mem(address);
        let tail = if self.tail { TAIL } else { 0 };
        let stream = self.stream & (1 << output) != 0 && !self.tail;
        let t = self.temp(0);
        match dtype {
            DType::I32 | DType::U32 | DType::F32 | DType::I64 | DType::U64 | DType::F64 => {
                let long = usize::from(dtype.size() == 8);
                if stream {
                    self.asm.vex2(ops::STREAM[long], w, r, m);
                } else {
                    self.asm.masked(tail, false).vex2(ops::STORE[long], w, r, m);
                }
            }
            DType::F16 => {
                self.asm.masked(tail, false).vex2(ops::VCVTPS2PH, w, r, m);
                self.asm.bytes.push(0);
            }
            DType::Bool if self.wide => {
                let one = self.constant(DType::I32, 1);
                self.asm.masked(r, true).vex2(ops::LOAD[0], w, t, one);
                self.asm.masked(tail, false).vex2(ops::VPMOVDB, w, t, m);
            }
            DType::U8 | DType::I8 if self.wide => {
                self.asm.masked(tail, false).vex2(ops::VPMOVDB, w, r, m);
            }
            DType::U16 | DType::I16 if self.wide => {
                self.asm.masked(tail, false).vex2(ops::VPMOVDW, w, r, m);
            }
            _ => self.write_packed(dtype, w, r, address),
        }
    }

    /// Writes 4-byte lanes as 1- or 2-byte elements (AVX2).
    fn write_packed(&mut self, dtype: DType, w: Width, r: u8, m: Mem) {
        let (t, t1) = (self.temp(0), self.temp(1));
        let from = if dtype == DType::Bool {
            self.asm.vex3(ops::PSHIFTD, w, ops::SRL, t, Rm::Reg(r));
            self.asm.bytes.push(31);
            t
        } else {
            r
        };
        let unsigned = matches!(dtype, DType::U8 | DType::U16);
        let (pack_words, pack_bytes) = match unsigned {
            true => (ops::VPACKUSDW, ops::VPACKUSWB),
            false => (ops::VPACKSSDW, ops::VPACKSSWB),
        };
        let high = if w == 32 {
            self.asm.vex2(ops::VEXTRACTI128, 32, from, Rm::Reg(t1));
            self.asm.bytes.push(1);
            t1
        } else {
            from
        };
        self.asm.vex3(pack_words, 16, t, from, Rm::Reg(high));
        if dtype.size() == 1 {
            self.asm.vex3(pack_bytes, 16, t, t, Rm::Reg(t));
        }
        let store = match self.lanes * dtype.size() {
            16 => ops::VMOVUPS_STORE,
            8 => ops::VMOVQ_STORE,
            _ => ops::VMOVD_STORE,
        };
        self.asm.vex2(store, 16, t, Rm::Mem(m));
    }

    /// Adds a node's lanes to the partial sums in registers `sums ..` (AVX-512).
    pub fn accumulate(&mut self, sums: u8, n: N, r: u8, u: usize) {
        let first = (u * self.lanes % PARTIALS / 8) as u8;
        let t = self.temp(0);
        if self.nodes[n].dtype == DType::F64 {
            return self.add_to(sums + first, r);
        }
        self.asm.vex2(ops::VCVTPS2PD, 64, t, Rm::Reg(r));
        self.add_to(sums + first, t);
        if self.lanes == 16 {
            self.asm.vex2(ops::VEXTRACTF64X4, 64, r, Rm::Reg(t));
            self.asm.bytes.push(1);
            self.asm.vex2(ops::VCVTPS2PD, 64, t, Rm::Reg(t));
            self.add_to(sums + first + 1, t);
        }
    }

    fn add_to(&mut self, sum: u8, x: u8) {
        self.asm.vex3(ops::ADD[1], 64, sum, sum, Rm::Reg(x));
    }

    /// Partial sums to where an output is.
    pub fn write_sums(&mut self, output: usize, sums: u8) {
        let base = self.address(self.inputs + output, 0, 1).base;
        for k in 0..SUMS {
            let m = Mem { base, index: None, disp: 64 * k as i32 };
            self.asm.vex2(ops::STORE[1], 64, sums + k, Rm::Mem(m));
        }
    }
}
