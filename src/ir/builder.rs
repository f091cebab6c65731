//! Builds kernels in canonical form: one value per distinct computation, constants folded, identities applied, nothing unused.

use super::identities::Simpler;
use super::{Input, Inst, Kernel, Root, Value};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::shape::IndexMap;
use blockwise_kernels::naive;
use std::collections::HashMap;

/// Collects instructions and roots; [`Builder::finish`] drops what no root needs and verifies.
#[derive(Debug, Default)]
pub struct Builder {
    rank: usize,
    inputs: Vec<Input>,
    insts: Vec<Inst>,
    dtypes: Vec<DType>,
    roots: Vec<Root>,
    known: HashMap<Inst, Value>,
}

impl Builder {
    /// An empty kernel over points of this rank.
    pub fn new(rank: usize) -> Builder {
        Builder { rank, ..Builder::default() }
    }

    /// The dtype of a value.
    pub fn dtype(&self, v: Value) -> DType {
        self.dtypes[v.0 as usize]
    }

    /// The instruction that defines a value.
    pub(super) fn inst(&self, v: Value) -> Inst {
        self.insts[v.0 as usize]
    }

    /// Declares something to read; the number is [`Builder::load`]'s argument and the input's place at launch.
    pub fn input(&mut self, dtype: DType, map: IndexMap) -> u32 {
        self.inputs.push(Input { dtype, map });
        self.inputs.len() as u32 - 1
    }

    /// The element of an input.
    pub fn load(&mut self, input: u32) -> Value {
        let dtype = self.inputs[input as usize].dtype;
        self.push(Inst::Load(input), dtype)
    }

    /// A constant.
    pub fn constant(&mut self, s: Scalar) -> Value {
        self.push(Inst::Const(s), s.dtype())
    }

    /// The point's index on an axis, i64.
    pub fn index(&mut self, axis: u8) -> Value {
        self.push(Inst::Index { axis }, DType::I64)
    }

    /// `x` converted; `x` itself if it has that dtype.
    pub fn cast(&mut self, to: DType, x: Value) -> Value {
        if self.dtype(x) == to {
            return x;
        }
        self.push(Inst::Cast { to, x }, to)
    }

    /// `op(x)`.
    pub fn unary(&mut self, op: UnaryOp, x: Value) -> Value {
        let dtype = if op.is_predicate() { DType::Bool } else { self.dtype(x) };
        self.push(Inst::Unary { op, x }, dtype)
    }

    /// `op(a, b)`; operands of a commutative operation are put in order of definition.
    pub fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        // NaN payloads and the sign of a zero minimum are outside the contract; all else commutes to the bit
        let (a, b) = if op.is_commutative() && b < a { (b, a) } else { (a, b) };
        self.push(Inst::Binary { op, a, b }, self.dtype(a))
    }

    /// `op(a, b)` as bool.
    pub fn compare(&mut self, op: CompareOp, a: Value, b: Value) -> Value {
        self.push(Inst::Compare { op, a, b }, DType::Bool)
    }

    /// `a` where `c`, else `b`.
    pub fn select(&mut self, c: Value, a: Value, b: Value) -> Value {
        self.push(Inst::Select { c, a, b }, self.dtype(a))
    }

    /// `a * b + c` rounded once.
    pub fn mul_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.push(Inst::MulAdd { a, b, c }, self.dtype(a))
    }

    /// Adds a store; its place among the stores and other roots is its place at launch.
    pub fn store(&mut self, value: Value) {
        self.roots.push(Root::Store { value });
    }

    /// Adds a reduction over these point axes.
    pub fn reduce(&mut self, op: ReduceOp, value: Value, axes: impl IntoIterator<Item = u8>) {
        self.roots.push(Root::Reduce { op, value, axes: axes.into_iter().collect() });
    }

    /// Adds a compaction.
    pub fn select_root(&mut self, mask: Value, value: Value) {
        self.roots.push(Root::Select { mask, value });
    }

    /// Adds a fold by group.
    pub fn group_reduce(&mut self, op: ReduceOp, value: Value, slot: Value, mask: Option<Value>) {
        self.roots.push(Root::GroupReduce { op, value, slot, mask });
    }

    fn push(&mut self, inst: Inst, dtype: DType) -> Value {
        let inst = match self.fold(inst) {
            Some(s) => Inst::Const(s),
            None => match self.simpler(inst) {
                Some(Simpler::Value(v)) => return v,
                Some(Simpler::Inst(simpler)) => return self.push(simpler, dtype),
                Some(Simpler::Constant(s)) => Inst::Const(s),
                None => inst,
            },
        };
        if let Some(&v) = self.known.get(&inst) {
            return v;
        }
        let v = Value(self.insts.len() as u32);
        self.insts.push(inst);
        self.dtypes.push(dtype);
        self.known.insert(inst, v);
        v
    }

    /// The value of an instruction over constants, by the code that defines the operations.
    fn fold(&self, inst: Inst) -> Option<Scalar> {
        let of = |v: Value| match self.insts[v.0 as usize] {
            Inst::Const(s) => Some(s),
            _ => None,
        };
        Some(match inst {
            Inst::Load(_) | Inst::Const(_) | Inst::Index { .. } => return None,
            Inst::Cast { to, x } => of(x)?.cast(to),
            Inst::Unary { op, x } => naive::unary(op, of(x)?),
            Inst::Binary { op, a, b } => naive::binary(op, of(a)?, of(b)?),
            Inst::Compare { op, a, b } => naive::compare(op, of(a)?, of(b)?),
            Inst::Select { c, a, b } => {
                if of(c)?.bits() != 0 {
                    of(a)?
                } else {
                    of(b)?
                }
            }
            Inst::MulAdd { a, b, c } => naive::mul_add(of(a)?, of(b)?, of(c)?),
        })
    }

    /// The kernel: unused instructions dropped and the rest renumbered, then verified. Inputs keep their numbers even if
    /// unused.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::error::ErrorKind::Internal) if a rule of the IR is broken: a defect of the caller.
    pub fn finish(self) -> Result<Kernel> {
        let mut used = vec![false; self.insts.len()];
        for v in self.roots.iter().flat_map(Root::operands) {
            used[v.0 as usize] = true;
        }
        for k in (0..self.insts.len()).rev() {
            if used[k] {
                for v in self.insts[k].operands() {
                    used[v.0 as usize] = true;
                }
            }
        }
        let mut place = vec![Value(0); self.insts.len()];
        let (mut insts, mut dtypes) = (Vec::new(), Vec::new());
        for (k, inst) in self.insts.into_iter().enumerate() {
            if used[k] {
                place[k] = Value(insts.len() as u32);
                insts.push(inst.renumbered(&place));
                dtypes.push(self.dtypes[k]);
            }
        }
        let mut roots = self.roots;
        let at = |v: &mut Value| *v = place[v.0 as usize];
        for root in &mut roots {
            match root {
                Root::Store { value } | Root::Reduce { value, .. } => at(value),
                Root::Select { mask, value } => {
                    at(mask);
                    at(value);
                }
                Root::GroupReduce { value, slot, mask, .. } => {
                    at(value);
                    at(slot);
                    mask.as_mut().map(at);
                }
            }
        }
        let kernel = Kernel { rank: self.rank, inputs: self.inputs, insts, dtypes, roots };
        kernel.verify()?;
        Ok(kernel)
    }
}

impl Inst {
    fn renumbered(self, place: &[Value]) -> Inst {
        let at = |v: Value| place[v.0 as usize];
        match self {
            Inst::Load(_) | Inst::Const(_) | Inst::Index { .. } => self,
            Inst::Cast { to, x } => Inst::Cast { to, x: at(x) },
            Inst::Unary { op, x } => Inst::Unary { op, x: at(x) },
            Inst::Binary { op, a, b } => Inst::Binary { op, a: at(a), b: at(b) },
            Inst::Compare { op, a, b } => Inst::Compare { op, a: at(a), b: at(b) },
            Inst::Select { c, a, b } => Inst::Select { c: at(c), a: at(a), b: at(b) },
            Inst::MulAdd { a, b, c } => Inst::MulAdd { a: at(a), b: at(b), c: at(c) },
        }
    }
}
