//! Checks that a kernel keeps the rules of the IR.

use super::{Inst, Kernel, Root, Value};
use crate::dtype::DType;
use crate::error::{Error, Result};

impl Kernel {
    /// Checks every rule of the [IR](super): definitions before uses, dtypes, axes, input numbers.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::error::ErrorKind::Internal) that names the first instruction or root at fault.
    pub fn verify(&self) -> Result<()> {
        for (k, inst) in self.insts.iter().enumerate() {
            self.check(k, inst).map_err(|why| Error::internal(format!("kernel: %{k} {inst:?}: {why}")))?;
        }
        for root in &self.roots {
            self.check_root(root).map_err(|why| Error::internal(format!("kernel: {root:?}: {why}")))?;
        }
        Ok(())
    }

    fn check(&self, k: usize, inst: &Inst) -> Result<(), String> {
        if let Some(v) = inst.operands().iter().find(|v| v.0 as usize >= k) {
            return Err(format!("uses %{} before it is defined", v.0));
        }
        let d = |v: Value| self.dtype(v);
        let same = |a: Value, b: Value| {
            if d(a) == d(b) { Ok(d(a)) } else { Err(format!("operands are {} and {}", d(a), d(b))) }
        };
        let defined = |yes: bool, dtype: DType| {
            if yes { Ok(dtype) } else { Err(format!("not defined for {dtype}")) }
        };
        let dtype = match *inst {
            Inst::Load(n) => {
                self.inputs.get(n as usize).ok_or_else(|| format!("there is no input {n}"))?.dtype
            }
            Inst::Const(s) => s.dtype(),
            Inst::Index { axis } if (axis as usize) < self.rank => DType::I64,
            Inst::Index { axis } => return Err(format!("axis {axis} of a kernel of rank {}", self.rank)),
            Inst::Cast { to, .. } => to,
            Inst::Unary { op, x } => {
                let of = defined(op.accepts(d(x)), d(x))?;
                if op.is_predicate() { DType::Bool } else { of }
            }
            Inst::Binary { op, a, b } => defined(op.accepts(same(a, b)?), d(a))?,
            Inst::Compare { a, b, .. } => {
                same(a, b)?;
                DType::Bool
            }
            Inst::Select { c, a, b } => {
                if d(c) != DType::Bool {
                    return Err(format!("condition is {}", d(c)));
                }
                same(a, b)?
            }
            Inst::MulAdd { a, b, c } => {
                same(a, c)?;
                let of = same(a, b)?;
                defined(of != DType::Bool, of)?
            }
        };
        if dtype != self.dtypes[k] {
            return Err(format!("is recorded as {} but yields {dtype}", self.dtypes[k]));
        }
        Ok(())
    }

    fn check_root(&self, root: &Root) -> Result<(), String> {
        if root.operands().iter().any(|v| v.0 as usize >= self.insts.len()) {
            return Err("uses a value that is not defined".into());
        }
        match root {
            Root::Store { .. } => Ok(()),
            Root::Reduce { op, value, axes } => {
                let ascending = axes.windows(2).all(|w| w[0] < w[1]);
                if !ascending || axes.iter().any(|&a| a as usize >= self.rank) {
                    return Err(format!("axes must ascend and be below {}", self.rank));
                }
                if !op.accepts(self.dtype(*value)) {
                    return Err(format!("not defined for {}", self.dtype(*value)));
                }
                Ok(())
            }
            Root::Select { mask, .. } if self.dtype(*mask) != DType::Bool => {
                Err("the mask is not bool".into())
            }
            Root::Select { .. } => Ok(()),
            Root::GroupReduce { op, value, slot, mask } => {
                if self.dtype(*slot) != DType::U32 {
                    return Err("the slot is not u32".into());
                }
                if mask.is_some_and(|m| self.dtype(m) != DType::Bool) {
                    return Err("the mask is not bool".into());
                }
                if op.is_arg() || !op.accepts(self.dtype(*value)) {
                    return Err(format!("not defined by group for {}", self.dtype(*value)));
                }
                Ok(())
            }
        }
    }
}
