//! The kernel IR: what one stage does to every element of one block.
//!
//! # What a kernel means
//!
//! A [`Kernel`] is straight-line code in static single assignment over a box of *points* of rank [`Kernel::rank`]. A
//! point is a tuple of global indices `(i0, i1, ...)`; a launch runs the kernel once for every point of a
//! [`Region`](crate::shape::Region), in an order that no result may depend on (except as [`Root`] says).
//!
//! Instruction number `k` defines [`Value`] `k`. Operands are values defined before. Every value has one dtype, given by
//! [`Kernel::dtype`]:
//!
//! | instruction | value | dtype |
//! |---|---|---|
//! | `Load(n)` | the element of input `n` at `inputs[n].map` applied to the point | the input's |
//! | `Const(s)` | `s` | `s`'s |
//! | `Index { axis }` | the point's global index on the axis | i64 |
//! | `Cast { to, x }` | `x` converted by the rules of [`crate::op`] | `to` |
//! | `Unary { op, x }` | `op(x)` | `x`'s, or bool for predicates |
//! | `Binary { op, a, b }` | `op(a, b)` | that of `a` and `b` |
//! | `Compare { op, a, b }` | `op(a, b)` | bool; `a` and `b` have one dtype |
//! | `Select { c, a, b }` | `a` if `c` else `b` | that of `a` and `b`; `c` is bool |
//! | `MulAdd { a, b, c }` | `a * b + c`, rounded once for floats, wrapping for integers | that of `a`, `b` and `c` |
//!
//! What an operation computes, to the bit where it is exact, is defined by [`crate::op`] and
//! `blockwise_kernels::naive`. Nothing may be contracted, reassociated or assumed finite: `0 * x` is not 0, `x != x` is
//! NaN's test, `a * b + c` rounds twice unless it is a `MulAdd`.
//!
//! A halo needs no construct of its own: `x[i-1] + x[i+1]` is two inputs whose maps differ in their starts. The stage
//! guarantees that a mapped index lies inside the input.
//!
//! # Roots
//!
//! A kernel's effects are its roots, each independent of the others:
//!
//! - `Store { value }` puts `value` at the point's place in one output.
//! - `Reduce { op, value, axes }` folds `value` over the points that differ only in `axes`, into the planes of
//!   [`ReduceOp::planes`], which hold the fold of earlier launches on entry. The order of a float fold is fixed by the
//!   region alone, never by threads or time.
//! - `Select { mask, value }` appends `value` to a 1-d output for every point where `mask` holds, in C order of the points.
//!
//! - `GroupReduce { op, value, slot, mask }` folds `value`, where `mask` holds (everywhere if there is none), into
//!   accumulator number `slot` of the planes of [`ReduceOp::planes`], in C order of the points. `slot` is u32 and names an
//!   accumulator that exists. Arg-reductions have no such fold.
//!
//! # Canonical form
//!
//! [`Builder`] makes kernels in which equal instructions are one value, constants are folded by the same `naive` code that
//! defines the operations, identities that hold to the bit (`x * 1`, `x - 0`, `not not x`) are applied, and every instruction is
//! used by a root. [`Kernel::verify`] checks all rules above; a backend
//! may rely on a verified kernel.

mod builder;
mod identities;
mod print;
mod threefry;
mod verify;

pub use builder::Builder;
pub use threefry::{Plain, Words, threefry};

use crate::dtype::{DType, Scalar};
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::shape::IndexMap;
use smallvec::SmallVec;

/// A value of a kernel: the result of the instruction of this number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub u32);

/// Something that a kernel reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Input {
    /// Dtype of its elements.
    pub dtype: DType,
    /// Which of its elements is read at a point. A backend compiles for any map: it is given strides when run.
    pub map: IndexMap,
}

/// One instruction; see the [module documentation](self) for the meanings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the table in the module documentation")]
pub enum Inst {
    Load(u32),
    Const(Scalar),
    Index { axis: u8 },
    Cast { to: DType, x: Value },
    Unary { op: UnaryOp, x: Value },
    Binary { op: BinaryOp, a: Value, b: Value },
    Compare { op: CompareOp, a: Value, b: Value },
    Select { c: Value, a: Value, b: Value },
    MulAdd { a: Value, b: Value, c: Value },
}

/// An effect of a kernel; see the [module documentation](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "explained in the module documentation")]
pub enum Root {
    Store { value: Value },
    Reduce { op: ReduceOp, value: Value, axes: SmallVec<[u8; 4]> },
    Select { mask: Value, value: Value },
    GroupReduce { op: ReduceOp, value: Value, slot: Value, mask: Option<Value> },
}

/// A verified kernel in canonical form. Made by [`Builder`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Kernel {
    rank: usize,
    inputs: Vec<Input>,
    insts: Vec<Inst>,
    dtypes: Vec<DType>,
    roots: Vec<Root>,
}

impl Inst {
    /// The values it uses.
    pub fn operands(&self) -> SmallVec<[Value; 3]> {
        match *self {
            Inst::Load(_) | Inst::Const(_) | Inst::Index { .. } => SmallVec::new(),
            Inst::Cast { x, .. } | Inst::Unary { x, .. } => SmallVec::from_slice(&[x]),
            Inst::Binary { a, b, .. } | Inst::Compare { a, b, .. } => SmallVec::from_slice(&[a, b]),
            Inst::Select { c, a, b } => SmallVec::from_slice(&[c, a, b]),
            Inst::MulAdd { a, b, c } => SmallVec::from_slice(&[a, b, c]),
        }
    }
}

impl Root {
    /// The values it uses.
    pub fn operands(&self) -> SmallVec<[Value; 3]> {
        match *self {
            Root::Store { value } | Root::Reduce { value, .. } => SmallVec::from_slice(&[value]),
            Root::Select { mask, value } => SmallVec::from_slice(&[mask, value]),
            Root::GroupReduce { value, slot, mask, .. } => [value, slot].into_iter().chain(mask).collect(),
        }
    }
}

impl Kernel {
    /// Number of axes of a point.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// What it reads.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Its code: instruction `k` defines `Value(k)`.
    pub fn insts(&self) -> &[Inst] {
        &self.insts
    }

    /// Its effects.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Dtype of a value.
    pub fn dtype(&self, v: Value) -> DType {
        self.dtypes[v.0 as usize]
    }

    /// The same code with every input's map the identity of rank 0: what a compiled kernel depends on.
    pub fn code_key(&self) -> Kernel {
        let mut key = self.clone();
        for input in &mut key.inputs {
            input.map = IndexMap::identity(0);
        }
        key
    }
}
