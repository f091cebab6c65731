//! Where kernels run: the [`Backend`] trait and its implementations.
//!
//! A backend compiles a verified kernel once per code and runs it on regions. [`mod@reference`] is the definition: a scalar walk
//! of the IR. [`cpu`] is the fast one, `gpu` (a feature) runs on graphics processors; all pass the same conformance suite.

pub mod cost;
pub mod cpu;
mod device;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod hybrid;
pub mod reference;
pub mod several;

use crate::block::{Block, Held};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ir::{Kernel, Root};
use crate::op::ReduceOp;
use crate::shape::{Grid, Region};
pub use blockwise_kernels::tile::{Matrix, Product, Records, product_room, product_sum};
pub use device::Device;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Compiles kernels.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Name in plans and test output: `"reference"`, `"cpu avx512"`.
    fn name(&self) -> String;

    /// Compiles a kernel for any strides and regions.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) if this backend cannot run it.
    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>>;

    /// Compiles the product of matrices of a dtype. The default is the CPU's.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) if this backend cannot compute it.
    fn product(&self, dtype: DType) -> Result<Arc<dyn Multiply>> {
        cpu::Cpu::detect().product(dtype)
    }

    /// Compiles the running fold (`Sum` or `Prod`) of elements of a dtype that are in [room](Backend::room); `None` where there is no room.
    ///
    /// # Errors
    /// As of [`Backend::compile`].
    fn running(&self, _op: ReduceOp, _dtype: DType) -> Result<Option<Arc<dyn Running>>> {
        Ok(None)
    }

    /// Where a product of so many rows, columns and terms would be computed, for people; and why, where that is not what was asked for.
    fn place_of_product(&self, _dtype: DType, _extent: (usize, usize, usize)) -> String {
        self.name()
    }

    /// Where a kernel would run, for people; and why, where that is not what was asked for.
    fn place(&self, _kernel: &Kernel) -> String {
        self.name()
    }

    /// Keeps a copy of a block where kernels run, for as long as what this gives lives; `None` if that would spare nothing. A kernel reads one
    /// chunk of the grid; of one that is too large for that place as a whole, chunks are kept that lie together. The block's elements must not
    /// change meanwhile.
    fn hold(&self, _block: &Block, _grid: &Grid) -> Option<Arc<dyn Held>> {
        None
    }

    /// Makes room where kernels run for the elements of a block, none of which are there yet: the results that launches store in the block, each
    /// in one chunk of the grid, may then stay there ([`Executable::run_away`], [`Multiply::run_away`]). What is there for longest makes way for
    /// what lasts longer than a task. `None` if there is no such place, or no room. What this gives brings all elements to the block, so that must
    /// not be asked of it if any was stored in the block's own memory.
    fn room(&self, _block: &Block, _grid: &Grid, _lasts: bool) -> Option<Arc<dyn Held>> {
        None
    }

    /// What it is, to the driver's version: measurements are kept by it.
    fn identity(&self) -> String {
        self.name()
    }

    /// Why kernels ran elsewhere than they were meant to, since this was last asked.
    fn notes(&self) -> Vec<Error> {
        vec![]
    }
}

/// A compiled kernel. Holds no state of a launch: threads share it.
pub trait Executable: Send + Sync {
    /// Upper bound of the host's memory that one launch over a region of this shape allocates beside its operands.
    fn scratch_bytes(&self, shape: &[usize]) -> usize;

    /// Bytes of a launch's inputs that are kept where it runs ([`Backend::hold`]).
    fn held_bytes(&self, _launch: &Launch<'_>) -> usize {
        0
    }

    /// Runs the kernel for every point of the launch's region.
    ///
    /// # Safety
    /// For every point of `launch.region`, with `d` the point minus the region's start:
    /// - every input's element at `ptr + sum(d * strides)` is readable, initialized, of the input's dtype, and aligned to
    ///   its size;
    /// - every output's element (each plane's, for a reduction) is likewise writable, no two points of a store share one, and
    ///   nobody else touches it during the launch; planes are initialized;
    /// - a `GroupReduce` root's records have initialized, aligned accumulators for every slot that its points name;
    /// - the output of a `Select` root has room for as many elements as the region has points;
    /// - no output overlaps an input, except that it may be the very same element of the same point.
    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()>;

    /// The same for operands that may be away: what holds an input's elements elsewhere, and results that may stay where they are computed. Of
    /// what stays, nothing is in the output's memory until it is fetched.
    ///
    /// # Safety
    /// That of [`Executable::run`], for inputs when what holds them has been [fetched](Held::fetch); the output of a result that stays, and its
    /// memory, are nobody else's until what holds it is dropped.
    unsafe fn run_away(&self, launch: &Launch<'_>, away: &Away<'_>) -> Result<Stayed> {
        away.fetch()?;
        // SAFETY: the caller's; all inputs are here.
        unsafe { self.run(launch) }.map(|()| Stayed::default())
    }
}

/// A compiled running fold of elements that are in room where it runs. Holds no state: threads share it.
pub trait Running: Send + Sync {
    /// Whether it folds boxes of up to this shape along an axis, in less time than it takes to bring the elements here.
    fn suits(&self, shape: &[usize], axis: usize) -> bool;

    /// Folds each element of a box with the one before it along an axis, in order; the first ones with those before the box, if it continues
    /// what lies there. The elements must be in room that [`Backend::room`] made, stored there by [`Executable::run_away`]; `operand` is where they
    /// would be here.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::error::ErrorKind::Device): then they have unknown values.
    fn run(&self, operand: &Operand, shape: &[usize], axis: usize, continues: bool) -> Result<()>;
}

/// What of a launch need not be on the host.
#[derive(Clone, Copy)]
pub struct Away<'a> {
    /// For each input, what holds its elements elsewhere.
    pub inputs: &'a [Option<&'a dyn Held>],
    /// For each root, whether its result may stay where it is computed: that of a store; none of those behind.
    pub stay: &'a [bool],
}

impl Away<'_> {
    /// Brings all inputs here.
    ///
    /// # Errors
    /// Those of [`Held::fetch`].
    pub fn fetch(&self) -> Result<()> {
        self.inputs.iter().flatten().try_for_each(|held| held.fetch())
    }
}

/// For each root of a kernel what holds its result, if that stayed where it was computed; those behind came.
#[derive(Default)]
pub struct Stayed(pub SmallVec<[Option<Arc<dyn Held>>; 2]>);

impl Stayed {
    /// What holds a root's result.
    pub fn take(&mut self, root: usize) -> Option<Arc<dyn Held>> {
        self.0.get_mut(root)?.take()
    }
}

/// A compiled product of matrices: `c += a b`. Holds no state of a launch: threads share it.
///
/// ```
/// use blockwise::backend::{Backend, Matrix, Product, cpu::Cpu};
/// use blockwise::dtype::DType;
/// let (a, b, mut c) = ([1f32, 2.0], [3f32, 4.0], [5f32]);
/// let mut room = vec![0u64; blockwise::backend::product_room(DType::F32, (1, 1, 2)) / 8 + 8];
/// let room = room.as_mut_ptr().cast::<u8>();
/// let product = Product {
///     extent: (1, 1, 2),
///     a: Matrix { ptr: a.as_ptr().cast(), rows: 8, cols: 4 },
///     b: Matrix { ptr: b.as_ptr().cast(), rows: 4, cols: 4 },
///     c: c.as_mut_ptr().cast(),
///     fresh: false,
///     room: room.wrapping_add(room.align_offset(64)),
/// };
/// // SAFETY: the operands have so many elements, and the sum and the room are nobody else's.
/// unsafe { Cpu::detect().product(DType::F32)?.run(&product) }?;
/// assert_eq!(c, [16.0]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub trait Multiply: Send + Sync {
    /// Upper bound of the host's memory that a product of so many rows, columns and terms allocates beside what it is given.
    fn scratch_bytes(&self, _extent: (usize, usize, usize)) -> usize {
        0
    }

    /// Bytes of a product's operands that are kept where it is computed ([`Backend::hold`]).
    fn held_bytes(&self, _product: &Product) -> usize {
        0
    }

    /// Adds a product to sums, which are as they were if it fails: of floats with `+`, of integers modulo their size, of bools with `or`. A sum
    /// is that of runs of 256 terms, each from zero, in order; whether multiplications and additions are fused is the backend's.
    ///
    /// # Safety
    /// For the extent of the product the operands' elements are readable, initialized, of the dtype that this was compiled for, and aligned; the
    /// sums are initialized, of the dtype [`product_sum`], all 0 if they are said to be fresh, and nobody else's; so is the room, of [`product_room`] bytes, aligned to 64.
    unsafe fn run(&self, product: &Product) -> Result<()>;

    /// The same for operands that may be away: what holds their elements elsewhere, and [room](Backend::room) for the sums, none of which are in it
    /// as long as they are fresh. Whether the sums stay in the room; if they do not, they are in their own memory, and what is in the room does
    /// not count any more. A product that fails may have changed sums that are in the room.
    ///
    /// # Safety
    /// That of [`Multiply::run`], for operands and sums when what holds them has been [fetched](Held::fetch).
    unsafe fn run_away(
        &self,
        product: &Product,
        away: [Option<&dyn Held>; 2],
        sums: Option<&dyn Held>,
    ) -> Result<bool> {
        let sums = sums.filter(|_| !product.fresh);
        away.into_iter().chain([sums]).flatten().try_for_each(|held| held.fetch())?;
        // SAFETY: the caller's; operands and sums are here.
        unsafe { self.run(product) }.map(|()| false)
    }
}

/// What one run of a kernel works on.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The points, in global indices.
    pub region: &'a Region,
    /// Lengths of the whole iteration space: arg-reductions count positions in it.
    pub shape: &'a [usize],
    /// One per input of the kernel.
    pub inputs: &'a [Operand],
    /// One per root of the kernel.
    pub outputs: &'a [Output],
    /// How many accumulators folds by group have: every slot that a point names is below. 0 where there are no such folds.
    pub slots: usize,
    /// Whether stored results are too many to stay in cache: stores may then bypass it. A hint; never changes a result.
    pub streaming: bool,
}

/// Elements seen from the points of a launch.
#[derive(Clone, Debug)]
pub struct Operand {
    /// The element of the region's first point.
    pub ptr: *mut u8,
    /// Bytes from one point to the next along each axis of the region; 0 where the operand does not vary.
    pub strides: SmallVec<[isize; 4]>,
}

#[cfg(feature = "gpu")]
impl Operand {
    /// The addresses that the elements of a region's points lie between, the second one behind the last.
    fn hull(&self, shape: &[usize], size: usize) -> (usize, usize) {
        let reaches = shape.iter().zip(&self.strides).map(|(&n, &s)| s * n.saturating_sub(1) as isize);
        let (down, up) = reaches.fold((0, 0), |(d, u), r| (d + r.min(0), u + r.max(0)));
        let at = self.ptr.addr();
        (at.wrapping_add_signed(down), at.wrapping_add_signed(up).wrapping_add(size))
    }
}

/// Where a root's result goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// Of `Store`: strides are 0 on no axis longer than 1.
    Store(Operand),
    /// Of `Reduce`: one operand per plane of [`ReduceOp::planes`](crate::op::ReduceOp::planes), in that order; strides are
    /// 0 on the reduced axes.
    Reduce(SmallVec<[Operand; 3]>),
    /// Of `GroupReduce`: the accumulators of every slot.
    GroupReduce(Records),
    /// Of `Select`: where the elements go (contiguous), and where the launch writes how many there were.
    Select {
        /// First element of the room.
        ptr: *mut u8,
        /// Receives the number of elements written.
        count: *mut usize,
    },
}

// SAFETY: operands are addresses; what may be done with them is `Executable::run`'s contract.
unsafe impl Send for Operand {}
// SAFETY: as above.
unsafe impl Sync for Operand {}

/// Whether a launch has the operands that the kernel needs.
fn matching(kernel: &Kernel, launch: &Launch<'_>) -> Result<()> {
    let outputs = kernel.roots().iter().zip(launch.outputs).all(|(root, output)| match (root, output) {
        (Root::Store { .. }, Output::Store(_))
        | (Root::Select { .. }, Output::Select { .. })
        | (Root::GroupReduce { .. }, Output::GroupReduce(_)) => true,
        (Root::Reduce { op, value, .. }, Output::Reduce(planes)) => {
            planes.len() == op.planes(kernel.dtype(*value)).len()
        }
        _ => false,
    });
    let counts = launch.inputs.len() == kernel.inputs().len()
        && launch.outputs.len() == kernel.roots().len()
        && launch.region.ndim() == kernel.rank();
    if !outputs || !counts {
        return Err(Error::internal(format!("operands do not match the kernel: {launch:?}")));
    }
    Ok(())
}
