//! The CPU backend: a virtual machine over tiles, and machine code for what fuses.
//!
//! A kernel becomes a `Program`: steps over tiles of 512 to 1024 points that stay in the L1 cache, each one
//! call into `blockwise_kernels::tile`. On x86-64 maximal groups of simple instructions become one step of machine code
//! (`emit`) whose values live in registers. A launch normalises its axes (`geometry`), decides which operands can be
//! read and written where they lie (`launch`), and walks *panels* of rows by columns of points; roots that need more than a
//! store take the panel's values (`roots`).
//!
//! **Invariant:** the bits of a float fold depend on the kernel and the region, not on strides, threads, or whether code was
//! emitted: panels of kernels that fold floats are shaped by the region alone.

mod emit;
mod geometry;
mod launch;
mod program;
mod roots;
#[cfg(test)]
mod tests;

use super::{Backend, Executable, Launch, Multiply, Product, matching};
use crate::dtype::DType;
use crate::error::Result;
use crate::ir::Kernel;
use blockwise_kernels::tile::{self, Isa};
use program::Program;
use std::sync::Arc;

/// Runs kernels on this machine's CPU.
///
/// ```
/// use blockwise::backend::{Backend, cpu::Cpu};
/// println!("{}", Cpu::detect().name());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cpu {
    isa: Isa,
    emitter: bool,
}

impl Cpu {
    /// For one of [`Isa::available`], with machine code where that is possible.
    pub fn new(isa: Isa) -> Cpu {
        Cpu { isa, emitter: true }
    }

    /// For the best instruction set of this machine.
    pub fn detect() -> Cpu {
        Cpu::new(Isa::detect())
    }

    /// Whether to compile fused groups to machine code. Results are the same bits either way.
    pub fn with_emitter(self, yes: bool) -> Cpu {
        Cpu { emitter: yes, ..self }
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        match self.emitter {
            true => format!("cpu {}", self.isa.name()),
            false => format!("cpu {} tiles", self.isa.name()),
        }
    }

    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>> {
        let plain = Program::new(kernel, self.isa, Program::plain_items(kernel));
        let items = if self.emitter { emit::partition(kernel, self.isa) } else { None };
        let fused = items.map(|items| Program::new(kernel, self.isa, items));
        Ok(Arc::new(Compiled { kernel: kernel.clone(), plain, fused }))
    }

    fn product(&self, dtype: DType) -> Result<Arc<dyn Multiply>> {
        Ok(Arc::new(Tiles(tile::product(self.isa, dtype))))
    }
}

/// The product of a dtype for an instruction set that this machine has.
struct Tiles(tile::ProductFn);

impl Multiply for Tiles {
    unsafe fn run(&self, product: &Product) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { (self.0)(product) };
        Ok(())
    }
}

/// A kernel compiled both ways.
struct Compiled {
    kernel: Kernel,
    plain: Program,
    /// With machine code, if any of it can be.
    fused: Option<Program>,
}

impl Executable for Compiled {
    fn scratch_bytes(&self, _: &[usize]) -> usize {
        self.plain.scratch.max(self.fused.as_ref().map_or(0, |p| p.scratch))
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()> {
        matching(&self.kernel, launch)?;
        // SAFETY: by the caller's contract.
        unsafe {
            if !self.fused.as_ref().is_some_and(|fused| launch::run(fused, launch)) {
                launch::run(&self.plain, launch);
            }
        }
        Ok(())
    }
}
