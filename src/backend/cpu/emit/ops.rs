//! The instructions that are used, in the form of [`op`]; named as in the manuals. Those that take floats or lanes of both
//! sizes are functions of `wide`: 8-byte lanes rather than 4-byte ones.

#![allow(missing_docs, reason = "names of the instruction set")]

use super::asm::{Op, op};

/// `[4-byte floats, 8-byte floats]`.
const fn float(code: u8) -> [Op; 2] {
    [op(1, 0, 0, code), op(1, 1, 1, code)]
}

/// `[4-byte integers, 8-byte integers]` that differ in W alone.
const fn int(map: u8, pp: u8, code: u8) -> [Op; 2] {
    [op(map, pp, 0, code), op(map, pp, 1, code)]
}

pub const ADD: [Op; 2] = float(0x58);
pub const MUL: [Op; 2] = float(0x59);
pub const SUB: [Op; 2] = float(0x5c);
pub const MIN: [Op; 2] = float(0x5d);
pub const DIV: [Op; 2] = float(0x5e);
pub const MAX: [Op; 2] = float(0x5f);
pub const SQRT: [Op; 2] = float(0x51);
pub const CMP: [Op; 2] = float(0xc2);
pub const ROUND: [Op; 2] = [op(3, 1, 0, 0x08), op(3, 1, 1, 0x09)];
pub const FMADD213: [Op; 2] = int(2, 1, 0xa8);
pub const LOAD: [Op; 2] = float(0x10);
pub const STORE: [Op; 2] = float(0x11);
pub const STREAM: [Op; 2] = float(0x2b);
pub const VMOVUPS_STORE: Op = op(1, 0, 0, 0x11);
pub const VMOVUPS: Op = op(1, 0, 0, 0x10);

pub const PADD: [Op; 2] = [op(1, 1, 0, 0xfe), op(1, 1, 1, 0xd4)];
pub const PSUB: [Op; 2] = [op(1, 1, 0, 0xfa), op(1, 1, 1, 0xfb)];
pub const PMULL: [Op; 2] = int(2, 1, 0x40);
pub const PMINS: [Op; 2] = int(2, 1, 0x39);
pub const PMINU: [Op; 2] = int(2, 1, 0x3b);
pub const PMAXS: [Op; 2] = int(2, 1, 0x3d);
pub const PMAXU: [Op; 2] = int(2, 1, 0x3f);
pub const PABS: [Op; 2] = [op(2, 1, 0, 0x1e), op(2, 1, 1, 0x1f)];
pub const PAND: [Op; 2] = int(1, 1, 0xdb);
pub const POR: [Op; 2] = int(1, 1, 0xeb);
pub const PXOR: [Op; 2] = int(1, 1, 0xef);
/// Shifts of each lane by its own count.
pub const PSLLV: [Op; 2] = int(2, 1, 0x47);
pub const PSRLV: [Op; 2] = int(2, 1, 0x45);
pub const PSRAV: [Op; 2] = int(2, 1, 0x46);
pub const PCMPEQ: [Op; 2] = [op(1, 1, 0, 0x76), op(2, 1, 0, 0x29)];
pub const PCMPGT: [Op; 2] = [op(1, 1, 0, 0x66), op(2, 1, 0, 0x37)];
/// To a mask register, with an immediate.
pub const PCMP: [Op; 2] = int(3, 1, 0x1f);
/// To a mask register, with an immediate.
pub const PCMPU: [Op; 2] = int(3, 1, 0x1e);
pub const PTESTM: [Op; 2] = int(2, 1, 0x27);
pub const PBLENDM: [Op; 2] = int(2, 1, 0x64);
pub const BLENDV: [Op; 2] = [op(3, 1, 0, 0x4a), op(3, 1, 0, 0x4b)];
/// Shifts of 4-byte lanes by an immediate; the field of the register says which.
pub const PSHIFTD: Op = op(1, 1, 0, 0x72);
pub const SRL: u8 = 2;
pub const SRA: u8 = 4;
pub const SLL: u8 = 6;

pub const VMOVD: Op = op(1, 1, 0, 0x6e);
pub const VMOVQ: Op = op(1, 1, 1, 0x6e);
pub const VMOVD_STORE: Op = op(1, 1, 0, 0x7e);
pub const VMOVQ_STORE: Op = op(1, 1, 1, 0xd6);
pub const VPBROADCASTW: Op = op(2, 1, 0, 0x79);
pub const VPBROADCASTD: Op = op(2, 1, 0, 0x58);
pub const VPBROADCASTQ: Op = op(2, 1, 1, 0x59);
pub const VPBROADCASTQ_VEX: Op = op(2, 1, 0, 0x59);

pub const VPMOVZXBD: Op = op(2, 1, 0, 0x31);
pub const VPMOVZXWD: Op = op(2, 1, 0, 0x33);
pub const VPMOVZXDQ: Op = op(2, 1, 0, 0x35);
pub const VPMOVSXBD: Op = op(2, 1, 0, 0x21);
pub const VPMOVSXWD: Op = op(2, 1, 0, 0x23);
pub const VPMOVSXDQ: Op = op(2, 1, 0, 0x25);
pub const VPMOVDB: Op = op(2, 2, 0, 0x31);
pub const VPMOVDW: Op = op(2, 2, 0, 0x33);
pub const VPMOVQD: Op = op(2, 2, 0, 0x35);
pub const VEXTRACTI128: Op = op(3, 1, 0, 0x39);
pub const VEXTRACTF64X4: Op = op(3, 1, 1, 0x1b);
pub const VSHUFPS: Op = op(1, 0, 0, 0xc6);
pub const VPACKSSDW: Op = op(1, 1, 0, 0x6b);
pub const VPACKUSDW: Op = op(2, 1, 0, 0x2b);
pub const VPACKSSWB: Op = op(1, 1, 0, 0x63);
pub const VPACKUSWB: Op = op(1, 1, 0, 0x67);

pub const VCVTPH2PS: Op = op(2, 1, 0, 0x13);
pub const VCVTPS2PH: Op = op(3, 1, 0, 0x1d);
pub const VCVTDQ2PS: Op = op(1, 0, 0, 0x5b);
pub const VCVTDQ2PD: Op = op(1, 2, 0, 0xe6);
pub const VCVTUDQ2PS: Op = op(1, 3, 0, 0x7a);
pub const VCVTUDQ2PD: Op = op(1, 2, 0, 0x7a);
pub const VCVTQQ2PS: Op = op(1, 0, 1, 0x5b);
pub const VCVTQQ2PD: Op = op(1, 2, 1, 0xe6);
pub const VCVTUQQ2PS: Op = op(1, 3, 1, 0x7a);
pub const VCVTUQQ2PD: Op = op(1, 2, 1, 0x7a);
pub const VCVTPS2PD: Op = op(1, 0, 0, 0x5a);
pub const VCVTPD2PS: Op = op(1, 1, 1, 0x5a);
pub const VCVTTPS2DQ: Op = op(1, 2, 0, 0x5b);
pub const VCVTTPD2DQ: Op = op(1, 1, 1, 0xe6);
pub const VCVTTPS2UDQ: Op = op(1, 0, 0, 0x78);
pub const VCVTTPD2UDQ: Op = op(1, 0, 1, 0x78);
pub const VCVTTPD2QQ: Op = op(1, 1, 1, 0x7a);
pub const VCVTTPD2UQQ: Op = op(1, 1, 1, 0x78);
pub const VCVTTPS2QQ: Op = op(1, 1, 0, 0x7a);
pub const VCVTTPS2UQQ: Op = op(1, 1, 0, 0x78);

pub const KMOV_FROM_GPR: Op = op(1, 0, 0, 0x92);
pub const KMOV_TO_MEM: Op = op(1, 0, 0, 0x91);
pub const KMOV_LOAD: Op = op(1, 0, 0, 0x90);
pub const KAND: Op = op(1, 0, 0, 0x41);
pub const KANDN: Op = op(1, 0, 0, 0x42);
pub const KNOT: Op = op(1, 0, 0, 0x44);
pub const KOR: Op = op(1, 0, 0, 0x45);
pub const KXNOR: Op = op(1, 0, 0, 0x46);
pub const KXOR: Op = op(1, 0, 0, 0x47);
