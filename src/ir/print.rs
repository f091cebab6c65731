//! The printed form of a kernel: stable, one line an instruction.

use super::{Inst, Kernel, Root};
use std::fmt;

/// ```text
/// kernel rank 2
///   in0: u16 [i0, i1]
///   in1: u16 [i0, i1]
///   %0 = load in0 : u16
///   %1 = cast %0 : f32
///   ...
///   store %5
/// ```
impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel rank {}", self.rank)?;
        for (n, input) in self.inputs.iter().enumerate() {
            writeln!(f, "  in{n}: {} {}", input.dtype, input.map)?;
        }
        for (k, inst) in self.insts.iter().enumerate() {
            write!(f, "  %{k} = ")?;
            match inst {
                Inst::Load(n) => write!(f, "load in{n}")?,
                Inst::Const(s) => write!(f, "const {s}")?,
                Inst::Index { axis } => write!(f, "index i{axis}")?,
                Inst::Cast { .. } => write!(f, "cast")?,
                Inst::Unary { op, .. } => write!(f, "{op}")?,
                Inst::Binary { op, .. } => write!(f, "{op}")?,
                Inst::Compare { op, .. } => write!(f, "{op}")?,
                Inst::Select { .. } => write!(f, "select")?,
                Inst::MulAdd { .. } => write!(f, "muladd")?,
            }
            for (i, v) in inst.operands().iter().enumerate() {
                write!(f, "{} %{}", if i == 0 { "" } else { "," }, v.0)?;
            }
            writeln!(f, " : {}", self.dtypes[k])?;
        }
        for root in &self.roots {
            match root {
                Root::Store { value } => writeln!(f, "  store %{}", value.0)?,
                Root::Reduce { op, value, axes } => {
                    let axes: Vec<String> = axes.iter().map(|a| format!("i{a}")).collect();
                    writeln!(f, "  reduce {op} %{} over {}", value.0, axes.join(" "))?;
                }
                Root::GroupReduce { op, value, slot, mask } => {
                    write!(f, "  group_reduce {op} %{} by %{}", value.0, slot.0)?;
                    mask.map_or(Ok(()), |m| write!(f, " where %{}", m.0))?;
                    writeln!(f)?;
                }
                Root::Select { mask, value } => writeln!(f, "  select %{} where %{}", value.0, mask.0)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
