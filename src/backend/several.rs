//! Several backends of which every launch goes to one: a machine's GPUs side by side.

use super::{Away, Backend, Executable, Launch, Multiply, Product, Running, Stayed};
use crate::block::{Block, Held, together};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ir::Kernel;
use crate::op::ReduceOp;
use crate::shape::Grid;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Deals launches out to backends.
///
/// Backends of one [identity](Backend::identity) take turns: they give the same bits. Others get launches by where their regions begin, so that
/// the bits of a result do not depend on time.
///
/// ```
/// use blockwise::backend::{Backend, reference::Reference, several::Several};
/// use std::sync::Arc;
/// let both = Several::new(vec![Arc::new(Reference), Arc::new(Reference)])?;
/// assert_eq!(both.name(), "reference + reference");
/// assert!(Several::new(vec![]).is_err());
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Debug)]
pub struct Several {
    all: Vec<Arc<dyn Backend>>,
    turns: Option<Arc<AtomicUsize>>,
}

impl Several {
    /// Of at least one backend.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) if there is none.
    pub fn new(all: Vec<Arc<dyn Backend>>) -> Result<Several> {
        let Some(first) = all.first().map(|b| b.identity()) else {
            return Err(Error::invalid("several backends", "there must be one at least"));
        };
        let alike = all.iter().all(|b| b.identity() == first);
        Ok(Several { all, turns: alike.then(Arc::default) })
    }
}

impl Backend for Several {
    fn name(&self) -> String {
        self.all.iter().map(|b| b.name()).collect::<Vec<_>>().join(" + ")
    }

    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>> {
        let all = self.all.iter().map(|b| b.compile(kernel)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Dealt { all, turns: self.turns.clone() }))
    }

    fn product(&self, dtype: DType) -> Result<Arc<dyn Multiply>> {
        // a product does not say where it begins: those that are not alike are not dealt out
        let all = if self.turns.is_some() { &self.all[..] } else { &self.all[..1] };
        let all = all.iter().map(|b| b.product(dtype)).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Dealt { all, turns: self.turns.clone() }))
    }

    fn identity(&self) -> String {
        self.all.iter().map(|b| b.identity()).collect::<Vec<_>>().join(" + ")
    }

    fn hold(&self, block: &Block, grid: &Grid) -> Option<Arc<dyn Held>> {
        // whichever of them gets the launch has it, if it has room
        together(self.all.iter().filter_map(|b| b.hold(block, grid)).collect())
    }

    fn room(&self, block: &Block, grid: &Grid, lasts: bool) -> Option<Arc<dyn Held>> {
        // a result is where it was computed: the others would not find it
        if let [one] = &self.all[..] { one.room(block, grid, lasts) } else { None }
    }

    fn running(&self, op: ReduceOp, dtype: DType) -> Result<Option<Arc<dyn Running>>> {
        if let [one] = &self.all[..] { one.running(op, dtype) } else { Ok(None) }
    }

    fn notes(&self) -> Vec<Error> {
        self.all.iter().flat_map(|b| b.notes()).collect()
    }
}

/// A kernel or product compiled for all.
struct Dealt<E: ?Sized> {
    all: Vec<Arc<E>>,
    turns: Option<Arc<AtomicUsize>>,
}

impl Executable for Dealt<dyn Executable> {
    fn scratch_bytes(&self, shape: &[usize]) -> usize {
        self.all.iter().map(|e| e.scratch_bytes(shape)).max().unwrap_or(0)
    }

    fn held_bytes(&self, launch: &Launch<'_>) -> usize {
        self.all.iter().map(|e| e.held_bytes(launch)).min().unwrap_or(0)
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()> {
        // SAFETY: by the caller's contract.
        unsafe { self.next(launch).run(launch) }
    }

    unsafe fn run_away(&self, launch: &Launch<'_>, away: &Away<'_>) -> Result<Stayed> {
        // SAFETY: by the caller's contract.
        unsafe { self.next(launch).run_away(launch, away) }
    }
}

impl Dealt<dyn Executable> {
    /// Whose launch it is.
    fn next(&self, launch: &Launch<'_>) -> &dyn Executable {
        self.turn(|| {
            let starts = launch.region.start.iter().zip(&launch.region.shape);
            starts.map(|(start, n)| start / n.max(&1)).sum()
        })
    }
}

impl Multiply for Dealt<dyn Multiply> {
    fn scratch_bytes(&self, extent: (usize, usize, usize)) -> usize {
        self.all.iter().map(|e| e.scratch_bytes(extent)).max().unwrap_or(0)
    }

    fn held_bytes(&self, product: &Product) -> usize {
        self.all.iter().map(|e| e.held_bytes(product)).min().unwrap_or(0)
    }

    unsafe fn run(&self, product: &Product) -> Result<()> {
        // SAFETY: by the caller's contract.
        unsafe { self.turn(|| 0).run(product) }
    }

    unsafe fn run_away(
        &self,
        product: &Product,
        away: [Option<&dyn Held>; 2],
        sums: Option<&dyn Held>,
    ) -> Result<bool> {
        // SAFETY: by the caller's contract.
        unsafe { self.turn(|| 0).run_away(product, away, sums) }
    }
}

impl<E: ?Sized> Dealt<E> {
    /// Whose turn it is, or what has a number if there are no turns.
    fn turn(&self, number: impl FnOnce() -> usize) -> &E {
        let number = self.turns.as_ref().map_or_else(number, |turns| turns.fetch_add(1, Relaxed));
        &self.all[number % self.all.len()]
    }
}
