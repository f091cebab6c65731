//! An encoder for the few x86-64 instructions that fused loops are made of.
//!
//! Vector instructions are described by [`Op`]: opcode map, prefix, W and opcode, which are the same at every vector
//! width; the encoder adds width, registers and memory operands in VEX (AVX2) or EVEX (AVX-512) form.

/// A vector instruction without its operands.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Opcode map: 1 is 0F, 2 is 0F38, 3 is 0F3A.
    map: u8,
    /// Implied prefix: 0 none, 1 is 66, 2 is F3, 3 is F2.
    pp: u8,
    w: bool,
    code: u8,
}

/// Describes an instruction.
pub const fn op(map: u8, pp: u8, w: u8, code: u8) -> Op {
    Op { map, pp, w: w != 0, code }
}

/// Bytes of a vector: 16, 32 or 64.
pub type Width = usize;

/// A general register by number.
pub type Gpr = u8;
#[allow(missing_docs, reason = "names of the instruction set")]
pub mod gpr {
    pub const RAX: u8 = 0;
    pub const RCX: u8 = 1;
    pub const RDX: u8 = 2;
    pub const RBX: u8 = 3;
    pub const RSP: u8 = 4;
    pub const RBP: u8 = 5;
    pub const RSI: u8 = 6;
    pub const RDI: u8 = 7;
    pub const R8: u8 = 8;
    pub const R9: u8 = 9;
    pub const R10: u8 = 10;
    pub const R11: u8 = 11;
    pub const R12: u8 = 12;
    pub const R13: u8 = 13;
    pub const R14: u8 = 14;
    pub const R15: u8 = 15;
}
use gpr::*;

/// `[base + index * scale + disp]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mem {
    /// Base register.
    pub base: Gpr,
    /// Index register and scale (1, 2, 4 or 8).
    pub index: Option<(Gpr, u8)>,
    /// Displacement.
    pub disp: i32,
}

/// A register (vector, mask or general, as the instruction takes) or memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rm {
    /// Register by number.
    Reg(u8),
    /// Memory.
    Mem(Mem),
}

/// The code being written.
#[derive(Debug)]
pub struct Asm {
    /// Bytes so far.
    pub bytes: Vec<u8>,
    /// Whether vector instructions are encoded as AVX-512's.
    pub evex: bool,
    /// The mask register of the next memory accesses ([`Asm::masked`]), 0 for none.
    mask: u8,
    zeroing: bool,
}

/// A place in the code to jump to, or a jump that still needs one.
pub type Label = usize;

impl Asm {
    /// No code yet.
    pub fn new(evex: bool) -> Asm {
        Asm { bytes: Vec::with_capacity(1024), evex, mask: 0, zeroing: false }
    }

    /// The next vector instruction writes only the lanes of a mask register (AVX-512), and zeroes others if `zeroing`.
    pub fn masked(&mut self, mask: u8, zeroing: bool) -> &mut Asm {
        self.mask = mask;
        self.zeroing = zeroing && mask != 0;
        self
    }

    /// `reg <- op(vvvv, rm)`; `vvvv` is 0 where the instruction has no such operand.
    pub fn vex3(&mut self, o: Op, width: Width, reg: u8, vvvv: u8, rm: Rm) {
        let (mask, zeroing) = (self.mask, self.zeroing);
        self.mask = 0;
        self.zeroing = false;
        let (b, x) = match rm {
            Rm::Reg(r) => (r & 8 != 0, r & 16 != 0),
            Rm::Mem(m) => (m.base & 8 != 0, m.index.is_some_and(|(i, _)| i & 8 != 0)),
        };
        let not = |bit: bool, at: u8| u8::from(!bit) << at;
        let (w, pp) = (u8::from(o.w), o.pp);
        if self.evex {
            let level = match width {
                64 => 2,
                32 => 1,
                _ => 0,
            };
            self.bytes.extend([
                0x62,
                not(reg & 8 != 0, 7) | not(x, 6) | not(b, 5) | not(reg & 16 != 0, 4) | o.map,
                w << 7 | (!vvvv & 15) << 3 | 4 | pp,
                u8::from(zeroing) << 7 | level << 5 | not(vvvv & 16 != 0, 3) | mask,
            ]);
        } else {
            debug_assert!(mask == 0 && width <= 32 && reg < 16 && vvvv < 16);
            self.bytes.extend([
                0xc4,
                not(reg & 8 != 0, 7) | not(x, 6) | not(b, 5) | o.map,
                w << 7 | (!vvvv & 15) << 3 | u8::from(width == 32) << 2 | pp,
            ]);
        }
        self.bytes.push(o.code);
        self.modrm(reg, rm);
    }

    /// `reg <- op(rm)`.
    pub fn vex2(&mut self, o: Op, width: Width, reg: u8, rm: Rm) {
        self.vex3(o, width, reg, 0, rm);
    }

    /// [`Asm::vex3`] with an immediate.
    pub fn vex3i(&mut self, o: Op, width: Width, reg: u8, vvvv: u8, rm: Rm, imm: u8) {
        self.vex3(o, width, reg, vvvv, rm);
        self.bytes.push(imm);
    }

    /// An instruction on mask registers, which is VEX-encoded always; `pair` if it has three operands.
    pub fn kop(&mut self, o: Op, pair: bool, reg: u8, vvvv: u8, rm: Rm) {
        let evex = std::mem::replace(&mut self.evex, false);
        self.vex3(o, if pair { 32 } else { 16 }, reg, vvvv, rm);
        self.evex = evex;
    }

    fn modrm(&mut self, reg: u8, rm: Rm) {
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Reg(r) => self.bytes.push(0xc0 | reg | (r & 7)),
            Rm::Mem(m) => {
                let short = m.disp == 0 && m.base & 7 != RBP;
                let mode = if short { 0 } else { 0x80 };
                match m.index {
                    None if m.base & 7 != RSP => self.bytes.push(mode | reg | (m.base & 7)),
                    None => self.bytes.extend([mode | reg | 4, 0x24]),
                    Some((index, scale)) => {
                        let sib = (scale.trailing_zeros() as u8) << 6 | (index & 7) << 3 | (m.base & 7);
                        self.bytes.extend([mode | reg | 4, sib]);
                    }
                }
                if !short {
                    self.bytes.extend(m.disp.to_le_bytes());
                }
            }
        }
    }

    /// A general instruction on 64 bits (or 32 if not `wide`) with a ModRM operand.
    fn general(&mut self, wide: bool, code: &[u8], reg: u8, rm: Rm) {
        let (b, x) = match rm {
            Rm::Reg(r) => (r >> 3, 0),
            Rm::Mem(m) => (m.base >> 3, m.index.map_or(0, |(i, _)| i >> 3)),
        };
        self.bytes.push(0x40 | u8::from(wide) << 3 | (reg >> 3) << 2 | x << 1 | b);
        self.bytes.extend(code);
        self.modrm(reg, rm);
    }

    /// `mov reg, rm` of 8 bytes.
    pub fn load(&mut self, reg: Gpr, m: Mem) {
        self.general(true, &[0x8b], reg, Rm::Mem(m));
    }

    /// `mov reg, rm` of `size` bytes, extended to 8.
    pub fn load_extended(&mut self, reg: Gpr, m: Mem, size: usize, signed: bool) {
        let code: &[u8] = match (size, signed) {
            (1, false) => &[0x0f, 0xb6],
            (1, true) => &[0x0f, 0xbe],
            (2, false) => &[0x0f, 0xb7],
            (2, true) => &[0x0f, 0xbf],
            (4, true) => &[0x63],
            _ => &[0x8b],
        };
        self.general(size != 4 || signed, code, reg, Rm::Mem(m));
    }

    /// `mov reg, reg`.
    pub fn mov(&mut self, to: Gpr, from: Gpr) {
        self.general(true, &[0x8b], to, Rm::Reg(from));
    }

    /// `mov reg, imm64`.
    pub fn mov_imm(&mut self, reg: Gpr, imm: u64) {
        self.bytes.extend([0x48 | reg >> 3, 0xb8 | (reg & 7)]);
        self.bytes.extend(imm.to_le_bytes());
    }

    /// `lea reg, mem`.
    pub fn lea(&mut self, reg: Gpr, m: Mem) {
        self.general(true, &[0x8d], reg, Rm::Mem(m));
    }

    /// `add reg, imm`.
    pub fn add_imm(&mut self, reg: Gpr, imm: i32) {
        self.general(true, &[0x81], 0, Rm::Reg(reg));
        self.bytes.extend(imm.to_le_bytes());
    }

    /// `and reg, imm`.
    pub fn and_imm(&mut self, reg: Gpr, imm: i32) {
        self.general(true, &[0x81], 4, Rm::Reg(reg));
        self.bytes.extend(imm.to_le_bytes());
    }

    /// `sub reg, imm`.
    pub fn sub_imm(&mut self, reg: Gpr, imm: i32) {
        self.general(true, &[0x81], 5, Rm::Reg(reg));
        self.bytes.extend(imm.to_le_bytes());
    }

    /// `sub a, b`.
    pub fn sub(&mut self, a: Gpr, b: Gpr) {
        self.general(true, &[0x2b], a, Rm::Reg(b));
    }

    /// `neg reg` of 4 bytes.
    pub fn neg(&mut self, reg: Gpr) {
        self.general(false, &[0xf7], 3, Rm::Reg(reg));
    }

    /// `cmp a, b`.
    pub fn cmp(&mut self, a: Gpr, b: Gpr) {
        self.general(true, &[0x3b], a, Rm::Reg(b));
    }

    /// `bzhi to, from, count` of 4 bytes.
    pub fn bzhi(&mut self, to: Gpr, from: Gpr, count: Gpr) {
        self.kop(op(2, 0, 0, 0xf5), false, to, count, Rm::Reg(from));
    }

    /// `xor reg, reg`.
    pub fn zero(&mut self, reg: Gpr) {
        self.general(false, &[0x33], reg, Rm::Reg(reg));
    }

    /// `push reg`.
    pub fn push(&mut self, reg: Gpr) {
        self.bytes.extend([0x40 | reg >> 3, 0x50 | (reg & 7)]);
    }

    /// `pop reg`.
    pub fn pop(&mut self, reg: Gpr) {
        self.bytes.extend([0x40 | reg >> 3, 0x58 | (reg & 7)]);
    }

    /// `vzeroupper; ret`.
    pub fn leave(&mut self) {
        self.bytes.extend([0xc5, 0xf8, 0x77, 0xc3]);
    }

    /// This place, to jump back to.
    pub fn here(&self) -> Label {
        self.bytes.len()
    }

    /// `ja` (unsigned above) forward; [`Asm::land`] gives it its target.
    pub fn ja(&mut self) -> Label {
        self.bytes.extend([0x0f, 0x87, 0, 0, 0, 0]);
        self.bytes.len()
    }

    /// `jae` (unsigned above or equal) forward.
    pub fn jae(&mut self) -> Label {
        self.bytes.extend([0x0f, 0x83, 0, 0, 0, 0]);
        self.bytes.len()
    }

    /// `jbe` (unsigned below or equal) backward.
    pub fn jbe_to(&mut self, target: Label) {
        self.bytes.extend([0x0f, 0x86, 0, 0, 0, 0]);
        self.patch(self.bytes.len(), target);
    }

    /// Lets a forward jump land here.
    pub fn land(&mut self, jump: Label) {
        self.patch(jump, self.bytes.len());
    }

    fn patch(&mut self, after: usize, target: usize) {
        let distance = target as i32 - after as i32;
        self.bytes[after - 4..after].copy_from_slice(&distance.to_le_bytes());
    }
}
