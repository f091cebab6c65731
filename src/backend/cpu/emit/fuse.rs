//! Builds the function of a group: prologue, unrolled loop, remainder; registers are allocated on the way.
//!
//! The body of a loop is straight-line code, so the next use of every value is known and the best value to evict is the
//! one used last (Belady). Inputs are dropped and read again rather than spilled; constants and single elements have a
//! home on the stack, spread over a vector, and some are pinned in registers for the whole loop.

use super::asm::gpr::*;
use super::asm::{Asm, Mem, Rm, Width};
use super::group::How;
use super::ops;
use super::transfer::{PARTIALS, SUMS};
use crate::dtype::DType;
use crate::ir::{Inst, Kernel, Value};
use blockwise_kernels::tile::Isa;

/// What a node of the group is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Elements of an argument, one per point.
    Vector(usize),
    /// One element of an argument, for all points.
    Single(usize),
    /// A constant's bits.
    Const(u64),
    /// An instruction of the kernel.
    Inst(usize),
}

/// A value inside the group.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its dtype.
    pub dtype: DType,
    /// Where it comes from.
    pub source: Source,
    /// Positions of the body that use it, ascending.
    pub uses: Vec<usize>,
    /// Where constants and single elements lie on the stack.
    pub home: i32,
    /// The register that holds it during the whole loop.
    pin: Option<u8>,
}

/// Where a copy of a node is now.
#[derive(Clone, Copy, Debug, Default)]
struct Spot {
    reg: Option<u8>,
    spill: Option<i32>,
}

/// Kinds of registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Vector,
    Mask,
}

/// Node number.
pub type N = usize;

/// Argument pointers that have registers of their own; others are read from the argument list when needed.
pub const POINTERS: [u8; 9] = [RCX, R8, R9, R10, R11, R12, R13, R14, R15];
/// Index of the first element of the current iteration.
pub const INDEX: u8 = RAX;
pub const SCRATCH: u8 = RDX;
const SCRATCH2: u8 = RBX;
/// Registers that belong to the caller.
const SAVED: [u8; 5] = [RBX, R12, R13, R14, R15];
/// The mask of the lanes of the last iteration.
pub const TAIL: u8 = 7;
/// Temporary mask register.
pub const K: u8 = 6;
/// Largest stack frame: stays within the guard of any stack.
const MAX_FRAME: i32 = 12 << 10;

/// A function under construction.
pub struct Fuse<'k> {
    pub kernel: &'k Kernel,
    pub asm: Asm,
    pub nodes: Vec<Node>,
    /// Node of every value of the kernel that is in the group.
    node_of: Vec<Option<N>>,
    /// Instructions in order.
    members: Vec<usize>,
    outputs: Vec<Value>,
    pub inputs: usize,
    /// Outputs (bits) that bypass the caches.
    pub stream: u32,
    /// Outputs (bits) that are summed.
    sums: u32,
    /// Points of one vector.
    pub lanes: usize,
    /// Whether this is AVX-512.
    pub wide: bool,
    /// Vector registers to allocate; the last two of the file are temporaries.
    registers: u8,
    frame: i32,
    spots: Vec<[Spot; 4]>,
    owners: [Vec<Option<(N, usize)>>; 2],
    locked: Vec<(Class, u8)>,
    position: usize,
    /// Whether the lanes of this body are masked.
    pub tail: bool,
}

impl<'k> Fuse<'k> {
    /// A function that computes `members`; the bits of `how` are about inputs and outputs.
    pub fn new(
        kernel: &'k Kernel,
        isa: Isa,
        lanes: usize,
        members: &[usize],
        inputs: &[Value],
        outputs: &[Value],
        how: How,
    ) -> Fuse<'k> {
        let wide = isa == Isa::Avx512;
        let mut fuse = Fuse {
            kernel,
            asm: Asm::new(wide),
            nodes: Vec::new(),
            node_of: vec![None; kernel.insts().len()],
            members: members.to_vec(),
            outputs: outputs.to_vec(),
            inputs: inputs.len(),
            stream: how.stream,
            sums: how.sums,
            lanes,
            wide,
            registers: if wide { 30 } else { 14 },
            frame: 0,
            spots: Vec::new(),
            owners: [Vec::new(), Vec::new()],
            locked: Vec::new(),
            position: 0,
            tail: false,
        };
        for (k, v) in inputs.iter().enumerate() {
            let source = if how.single & (1 << k) != 0 { Source::Single(k) } else { Source::Vector(k) };
            fuse.add(*v, source);
        }
        for (at, &k) in members.iter().enumerate() {
            for v in kernel.insts()[k].operands() {
                let n = match (fuse.node_of[v.0 as usize], kernel.insts()[v.0 as usize]) {
                    (None, Inst::Const(s)) => fuse.add(v, Source::Const(s.bits())),
                    (Some(n), _) => n,
                    (None, _) => unreachable!("operands of a group are inputs, constants or members"),
                };
                fuse.nodes[n].uses.push(at);
            }
            fuse.add(Value(k as u32), Source::Inst(k));
        }
        for (k, v) in outputs.iter().enumerate() {
            let n = fuse.node(*v);
            fuse.nodes[n].uses.push(members.len() + k);
        }
        fuse
    }

    fn add(&mut self, v: Value, source: Source) -> N {
        let dtype = self.kernel.dtype(v);
        self.node_of[v.0 as usize] = Some(self.nodes.len());
        self.nodes.push(Node { dtype, source, uses: Vec::new(), home: 0, pin: None });
        self.nodes.len() - 1
    }

    /// The node of a value of the group.
    pub fn node(&self, v: Value) -> N {
        match self.node_of[v.0 as usize] {
            Some(n) => n,
            None => unreachable!("value {} is not of the group", v.0),
        }
    }

    /// The code, or `None` if its frame is too large.
    pub fn build(mut self) -> Option<Vec<u8>> {
        let pressure = self.pressure();
        let registers = self.registers as usize;
        let mut unroll = 4;
        while unroll > 1 && (pressure * unroll >= registers || self.members.len() * unroll > 64) {
            unroll /= 2;
        }
        if unroll == 1 && pressure * 2 < registers && self.members.len() <= 48 {
            unroll = 2;
        }
        self.registers -= SUMS * self.sums.count_ones() as u8;
        let registers = self.registers as usize;
        if self.sums != 0 {
            unroll = PARTIALS / self.lanes;
        }
        self.give_homes();
        self.pin(registers.saturating_sub(pressure * unroll + 1));
        self.loops(unroll);
        if self.frame > MAX_FRAME {
            return None;
        }
        let body = std::mem::replace(&mut self.asm, Asm::new(self.wide));
        self.prologue();
        self.asm.bytes.extend(body.bytes);
        Some(self.asm.bytes)
    }

    /// The most vectors that are live at once in one copy of the body.
    fn pressure(&self) -> usize {
        // how many begin to live at each position, less those that ended before it
        let mut change = vec![0isize; self.members.len() + 1];
        for n in &self.nodes {
            let first = match n.source {
                Source::Inst(k) => self.members.binary_search(&k).ok(),
                Source::Vector(_) => n.uses.first().copied(),
                _ => None,
            };
            if let (Some(first), Some(&last)) = (first, n.uses.last())
                && first < self.members.len()
            {
                change[first] += 1;
                change[(last + 1).min(self.members.len())] -= 1;
            }
        }
        let mut live = 0;
        let count = |change: &isize| {
            live += change;
            live as usize
        };
        change[..self.members.len()].iter().map(count).max().unwrap_or(1)
    }

    fn give_homes(&mut self) {
        for n in 0..self.nodes.len() {
            if matches!(self.nodes[n].source, Source::Single(_) | Source::Const(_)) {
                self.nodes[n].home = self.stack();
            }
        }
    }

    /// Pins the constants that are used most in registers from the top.
    fn pin(&mut self, room: usize) {
        let mut constants: Vec<N> = (0..self.nodes.len())
            .filter(|&n| {
                self.class(n) == Class::Vector
                    && matches!(self.nodes[n].source, Source::Single(_) | Source::Const(_))
            })
            .collect();
        constants.sort_by_key(|&n| std::cmp::Reverse(self.nodes[n].uses.len()));
        for n in constants.into_iter().take(room) {
            self.registers -= 1;
            self.nodes[n].pin = Some(self.registers);
        }
    }

    fn stack(&mut self) -> i32 {
        self.frame += 64;
        self.frame - 64
    }

    /// A constant of the lowering, spread over a vector of 4- or 8-byte lanes.
    pub fn constant(&mut self, dtype: DType, bits: u64) -> Rm {
        let known = self.nodes.iter().find(|n| n.source == Source::Const(bits) && n.dtype == dtype);
        let home = match known {
            Some(n) => n.home,
            None => {
                let home = self.stack();
                self.nodes.push(Node {
                    dtype,
                    source: Source::Const(bits),
                    uses: Vec::new(),
                    home,
                    pin: None,
                });
                self.spots.push(Default::default());
                home
            }
        };
        Rm::Mem(stack(home))
    }

    fn loops(&mut self, unroll: usize) {
        let step = unroll * self.lanes;
        let next = |a: &mut Asm| {
            a.lea(SCRATCH, Mem { base: INDEX, index: None, disp: step as i32 });
            a.cmp(SCRATCH, RSI);
        };
        let first_sum = self.temp(0) - SUMS * self.sums.count_ones() as u8;
        for sum in first_sum..self.temp(0) {
            self.asm.vex3(ops::PXOR[1], 64, sum, sum, Rm::Reg(sum));
        }
        self.asm.zero(INDEX);
        next(&mut self.asm);
        let to_rest = self.asm.ja();
        let top = self.asm.here();
        self.body(unroll, false);
        self.asm.add_imm(INDEX, step as i32);
        next(&mut self.asm);
        self.asm.jbe_to(top);
        self.asm.land(to_rest);
        if self.sums != 0 {
            // these functions are called for whole rounds of partial sums only
            for k in 0..self.outputs.len() {
                if let Some(sums) = self.sums_of(k) {
                    self.write_sums(k, sums);
                }
            }
        } else {
            let step = self.lanes as i32;
            let next = |a: &mut Asm| {
                a.lea(SCRATCH, Mem { base: INDEX, index: None, disp: step });
                a.cmp(SCRATCH, RSI);
            };
            if unroll > 1 {
                next(&mut self.asm);
                let done = self.asm.ja();
                let top = self.asm.here();
                self.body(1, false);
                self.asm.add_imm(INDEX, step);
                next(&mut self.asm);
                self.asm.jbe_to(top);
                self.asm.land(done);
            }
            if self.wide {
                self.last_vector();
            }
        }
        self.epilogue();
    }

    /// What is left of a vector, in masked lanes (AVX-512).
    fn last_vector(&mut self) {
        self.asm.cmp(INDEX, RSI);
        let done = self.asm.jae();
        self.asm.mov(SCRATCH, RSI);
        self.asm.sub(SCRATCH, INDEX);
        self.asm.mov_imm(SCRATCH2, u64::MAX);
        self.asm.bzhi(SCRATCH2, SCRATCH2, SCRATCH);
        self.asm.kop(ops::KMOV_FROM_GPR, false, TAIL, 0, Rm::Reg(SCRATCH2));
        self.body(1, true);
        self.asm.land(done);
    }

    fn prologue(&mut self) {
        self.asm.push(RBP);
        self.asm.mov(RBP, RSP);
        for r in SAVED {
            self.asm.push(r);
        }
        let frame = self.frame;
        self.asm.sub_imm(RSP, frame);
        self.asm.and_imm(RSP, -64);
        for n in 0..self.nodes.len() {
            let node = self.nodes[n].clone();
            match node.source {
                Source::Const(bits) => {
                    let bits = match node.dtype {
                        DType::I8 => bits as i8 as u64,
                        DType::I16 => bits as i16 as u64,
                        DType::Bool => bits.wrapping_neg(),
                        _ => bits,
                    };
                    self.asm.mov_imm(SCRATCH, bits);
                }
                Source::Single(arg) => {
                    self.asm.load(SCRATCH, Mem { base: RDI, index: None, disp: 8 * arg as i32 });
                    let m = Mem { base: SCRATCH, index: None, disp: 0 };
                    let signed = matches!(node.dtype, DType::I8 | DType::I16);
                    self.asm.load_extended(SCRATCH, m, node.dtype.size(), signed);
                    if node.dtype == DType::Bool {
                        self.asm.neg(SCRATCH);
                    }
                }
                _ => continue,
            }
            self.spread_scratch(n);
        }
        for (arg, reg) in POINTERS.into_iter().enumerate().take(self.inputs + self.outputs.len()) {
            self.asm.load(reg, Mem { base: RDI, index: None, disp: 8 * arg as i32 });
        }
    }

    /// Spreads the scratch register over a node's home, and its register if it has one.
    fn spread_scratch(&mut self, n: N) {
        let node = self.nodes[n].clone();
        let home = stack(node.home);
        if self.class(n) == Class::Mask {
            self.asm.kop(ops::KMOV_FROM_GPR, false, K, 0, Rm::Reg(SCRATCH));
            self.asm.kop(ops::KMOV_TO_MEM, false, K, 0, Rm::Mem(home));
            return;
        }
        let (w, x) = (self.width(n), node.pin.unwrap_or(self.temp(0)));
        let is_wide = node.dtype.size() == 8;
        self.asm.vex2(if is_wide { ops::VMOVQ } else { ops::VMOVD }, 16, x, Rm::Reg(SCRATCH));
        if node.dtype == DType::F16 {
            self.asm.vex2(ops::VPBROADCASTW, w / 2, x, Rm::Reg(x));
            self.asm.vex2(ops::VCVTPH2PS, w, x, Rm::Reg(x));
        } else {
            let spread = match (is_wide, self.wide) {
                (false, _) => ops::VPBROADCASTD,
                (true, true) => ops::VPBROADCASTQ,
                (true, false) => ops::VPBROADCASTQ_VEX,
            };
            self.asm.vex2(spread, w, x, Rm::Reg(x));
        }
        self.asm.vex2(ops::VMOVUPS_STORE, w, x, Rm::Mem(home));
    }

    fn epilogue(&mut self) {
        self.asm.lea(RSP, Mem { base: RBP, index: None, disp: -8 * SAVED.len() as i32 });
        for r in SAVED.into_iter().rev() {
            self.asm.pop(r);
        }
        self.asm.pop(RBP);
        self.asm.leave();
    }

    /// One pass over the instructions, for `unroll` vectors.
    fn body(&mut self, unroll: usize, tail: bool) {
        self.tail = tail;
        self.spots = vec![Default::default(); self.nodes.len()];
        self.owners = [vec![None; self.registers as usize], vec![None; K as usize]];
        for at in 0..self.members.len() {
            self.position = at;
            for u in 0..unroll {
                self.lower(self.members[at], u);
                self.locked.clear();
            }
        }
        for k in 0..self.outputs.len() {
            self.position = self.members.len() + k;
            let n = self.node(self.outputs[k]);
            for u in 0..unroll {
                let r = self.reg(n, u);
                match self.sums_of(k) {
                    Some(sums) => self.accumulate(sums, n, r, u),
                    None => self.write(k, n, r, u),
                }
                self.release(&[n], u);
                self.locked.clear();
            }
        }
    }

    /// The first register of an output's partial sums.
    fn sums_of(&self, output: usize) -> Option<u8> {
        let bit = 1 << output;
        let before = (self.sums & (bit - 1)).count_ones() as u8;
        (self.sums & bit != 0).then(|| self.temp(0) - SUMS * (before + 1))
    }

    fn class(&self, n: N) -> Class {
        if self.wide && self.nodes[n].dtype == DType::Bool { Class::Mask } else { Class::Vector }
    }

    /// Bytes of a vector of a node's values: 4-byte lanes for all dtypes of at most 4 bytes.
    pub fn width(&self, n: N) -> Width {
        self.lanes * self.lane(n)
    }

    /// Bytes of a lane.
    pub fn lane(&self, n: N) -> usize {
        if self.nodes[n].dtype.size() == 8 { 8 } else { 4 }
    }

    /// A temporary vector register.
    pub fn temp(&self, k: u8) -> u8 {
        if self.wide { 30 + k } else { 14 + k }
    }

    /// The register of a node, which is read into one if it is in none.
    pub fn reg(&mut self, n: N, u: usize) -> u8 {
        if let Some(r) = self.nodes[n].pin {
            return r;
        }
        let class = self.class(n);
        let r = match self.spots[n][u].reg {
            Some(r) => r,
            None => {
                let r = self.take(n, u);
                self.fill(n, u, r);
                r
            }
        };
        self.locked.push((class, r));
        r
    }

    /// The register of a node, or where it lies in memory.
    pub fn operand(&mut self, n: N, u: usize) -> Rm {
        let node = &self.nodes[n];
        let over = !node.uses.iter().any(|at| *at > self.position);
        match (node.pin, self.spots[n][u], node.source) {
            (Some(r), ..) => Rm::Reg(r),
            (None, Spot { reg: Some(_), .. }, _) => Rm::Reg(self.reg(n, u)),
            (None, Spot { spill: Some(at), .. }, _) => Rm::Mem(stack(at)),
            (None, _, Source::Const(_) | Source::Single(_)) => Rm::Mem(stack(node.home)),
            (None, _, Source::Vector(arg)) if over && !self.tail && node.dtype.size() >= 4 => {
                let size = node.dtype.size();
                Rm::Mem(self.address(arg, u, size))
            }
            _ => Rm::Reg(self.reg(n, u)),
        }
    }

    /// A register for a node that is about to be computed.
    pub fn define(&mut self, n: N, u: usize) -> u8 {
        let class = self.class(n);
        let r = self.take(n, u);
        self.locked.push((class, r));
        r
    }

    /// Frees the registers of nodes that are not used after this position.
    pub fn release(&mut self, nodes: &[N], u: usize) {
        for &n in nodes {
            if !self.nodes[n].uses.iter().any(|at| *at > self.position)
                && let Some(r) = self.spots[n][u].reg.take()
            {
                let class = self.class(n);
                self.owners[class as usize][r as usize] = None;
            }
        }
    }

    fn take(&mut self, n: N, u: usize) -> u8 {
        let class = self.class(n);
        let first = if class == Class::Mask { 1 } else { 0 };
        let owners = &self.owners[class as usize];
        let free = (first..owners.len()).find(|&r| owners[r].is_none());
        let r = free.unwrap_or_else(|| self.evict(class, first)) as u8;
        self.owners[class as usize][r as usize] = Some((n, u));
        self.spots[n][u].reg = Some(r);
        r
    }

    /// Frees the register whose value is needed last.
    fn evict(&mut self, class: Class, first: usize) -> usize {
        let next = |r: &usize| {
            let node = self.owners[class as usize][*r].map(|(n, _)| n);
            node.and_then(|n| self.nodes[n].uses.iter().find(|at| **at >= self.position)).copied()
        };
        let candidates = first..self.owners[class as usize].len();
        let r = candidates.filter(|r| !self.locked.contains(&(class, *r as u8))).max_by_key(next);
        let Some(r) = r else { unreachable!("no instruction has as many operands as there are registers") };
        if let Some((n, u)) = self.owners[class as usize][r].take() {
            self.spots[n][u].reg = None;
            if matches!(self.nodes[n].source, Source::Inst(_)) && self.spots[n][u].spill.is_none() {
                let at = self.stack();
                self.spots[n][u].spill = Some(at);
                let m = Rm::Mem(stack(at));
                match class {
                    Class::Mask => self.asm.kop(ops::KMOV_TO_MEM, false, r as u8, 0, m),
                    Class::Vector => self.asm.vex2(ops::VMOVUPS_STORE, self.width(n), r as u8, m),
                }
            }
        }
        r
    }

    /// Reads a node into a register from wherever it is.
    fn fill(&mut self, n: N, u: usize, r: u8) {
        let node = &self.nodes[n];
        let home = match (self.spots[n][u].spill, node.source) {
            (Some(at), _) => at,
            (None, Source::Const(_) | Source::Single(_)) => node.home,
            (None, Source::Vector(arg)) => return self.read(arg, n, r, u),
            (None, Source::Inst(_)) => unreachable!("values are spilled when they are evicted"),
        };
        match self.class(n) {
            Class::Mask => self.asm.kop(ops::KMOV_LOAD, false, r, 0, Rm::Mem(stack(home))),
            Class::Vector => self.asm.vex2(ops::VMOVUPS, self.width(n), r, Rm::Mem(stack(home))),
        }
    }
}

/// A place in the frame.
fn stack(at: i32) -> Mem {
    Mem { base: RSP, index: None, disp: at }
}
