//! From expressions to results: `compute`, `compute_into`, `persist`, `store`, `explain`.

use super::Array;
use crate::block::{Block, BlockSink, Lent, MemorySource};
use crate::dtype::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::Expr;
use crate::plan::{Destination, Target};
use crate::session::Session;
use ndarray::{ArrayViewMut, Dimension};
use std::sync::Arc;

/// Computes several arrays in as few passes as possible, on the global session.
///
/// Reductions and stores that read the same data become one pass. See [`compute!`](crate::compute!).
///
/// # Errors
/// The first error that building, planning or running any of them met.
pub fn compute_all<const N: usize>(arrays: [&Array; N]) -> Result<[Block; N]> {
    Session::global()?.compute_all(arrays)
}

/// Computes several arrays in as few passes as possible; gives a `Result` of an array of [`Block`]s.
///
/// ```
/// use blockwise::prelude::*;
/// let x = Array::arange(0, 1000, 1).cast(F32);
/// let [mean, max] = compute!(x.mean(..), x.max(..))?;
/// assert_eq!(mean.to_scalar::<f64>()?, 499.5);
/// assert_eq!(max.to_scalar::<f32>()?, 999.0);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[macro_export]
macro_rules! compute {
    ($($array:expr),+ $(,)?) => {
        $crate::compute_all([$(&$array),+])
    };
}

/// Computes several arrays in as few passes as possible and gives arrays over their values, on the global session.
///
/// See [`persist!`](crate::persist!) and [`Session::persist`].
///
/// # Errors
/// The first error that building, planning or running any of them met.
pub fn persist_all<const N: usize>(arrays: [&Array; N]) -> Result<[Array; N]> {
    Session::global()?.persist_all(arrays)
}

/// Computes several arrays in as few passes as possible; gives a `Result` of an array of [`Array`](crate::Array)s over their values.
///
/// ```
/// use blockwise::prelude::*;
/// let x = Array::arange(0, 1000, 1).cast(F32);
/// let [root, square] = persist!(x.sqrt(), &x * &x)?;           // one pass over x
/// assert_eq!(root.max(..).compute()?.to_scalar::<f32>()?, 999f32.sqrt());
/// assert_eq!(square.min(..).compute()?.to_scalar::<f32>()?, 0.0);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[macro_export]
macro_rules! persist {
    ($($array:expr),+ $(,)?) => {
        $crate::persist_all([$(&$array),+])
    };
}

impl Array {
    /// The values, in memory.
    ///
    /// Cost: one pass over the inputs, more where the expression needs a result before another pass (`x - x.mean(0)`). Memory: the
    /// result, and what the plan projects per task.
    ///
    /// # Errors
    /// What went wrong when the expression was built; [`ErrorKind::MemoryLimit`] before any work if it cannot fit; the first
    /// error that a task met.
    pub fn compute(&self) -> Result<Block> {
        Session::global()?.compute(self)
    }

    /// Computes into memory of the caller, of the array's dtype and shape; no other result is allocated.
    ///
    /// # Errors
    /// As [`Array::compute`], and if dtype or shape differ.
    pub fn compute_into<T: Element, D: Dimension>(&self, out: ArrayViewMut<'_, T, D>) -> Result<()> {
        Session::global()?.compute_into(self, out)
    }

    /// Computes now and gives an array over the values in memory; on a GPU they stay there, too.
    ///
    /// See [`Session::persist`].
    ///
    /// # Errors
    /// As [`Array::compute`].
    pub fn persist(&self) -> Result<Array> {
        Session::global()?.persist(self)
    }

    /// Writes the values to a sink, block by block.
    ///
    /// # Errors
    /// As [`Array::compute`], those of the sink, and if its shape differs. On an error nothing is left at the destination.
    pub fn store(&self, sink: Arc<dyn BlockSink>) -> Result<()> {
        Session::global()?.store(&[(self, sink)])
    }

    /// The plan in words: the logical graph, the stages with their projected memory, and the kernels.
    ///
    /// # Errors
    /// As [`Array::compute`], but nothing is run.
    pub fn explain(&self) -> Result<String> {
        Session::global()?.explain(self)
    }
}

impl Session {
    /// The values of an array: [`Array::compute`] on this session.
    ///
    /// # Errors
    /// As [`Array::compute`].
    pub fn compute(&self, array: &Array) -> Result<Block> {
        self.compute_all([array]).map(|[block]| block)
    }

    /// Computes now and gives an array over the values in memory.
    ///
    /// If the session runs on a GPU, the values stay there as long as the array lives, and kernels read them there. Those that were computed there
    /// come back when somebody reads them here, once; until then their memory here is reserved, but not used. Arrays take up to half of the device's
    /// memory limit; those that were not read for longest make room for new ones, and come back if they have not before.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let session = Session::builder().device(Device::auto()).build()?;
    /// let x = session.persist(&Array::arange(0, 1000, 1).cast(F32).sqrt())?;
    /// assert_eq!(session.compute(&x.max(..))?.to_scalar::<f32>()?, 999f32.sqrt());
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Array::compute`]. If the device is lost later on, reading values that never came back is an [`ErrorKind::Device`]: persist the array
    /// again.
    pub fn persist(&self, array: &Array) -> Result<Array> {
        self.persist_all([array]).map(|[array]| array)
    }

    /// Computes several arrays now, in as few passes as possible, and gives arrays over their values: see [`Session::persist`].
    ///
    /// # Errors
    /// The first error that building, planning or running any of them met.
    pub fn persist_all<const N: usize>(&self, arrays: [&Array; N]) -> Result<[Array; N]> {
        let mut targets = Vec::with_capacity(N);
        for a in arrays {
            targets.push(Target { expr: a.expr()?.clone(), destination: Destination::Stay });
        }
        let mut kept = Vec::with_capacity(N);
        for (array, lent) in arrays.iter().zip(self.run_anywhere(&targets)?.into_iter().flatten()) {
            let grid = array.chunks()?;
            let lent = match lent.held() {
                Some(_) => lent,
                None => Lent::new(lent.here()?.clone(), self.hold(lent.here()?, grid)),
            };
            let source = MemorySource::new(lent, grid.clone());
            kept.push(Array { expr: Ok(Expr::source(Arc::new(source))?), meta: array.meta.clone() });
        }
        kept.try_into().map_err(|_| Error::internal("a result is missing"))
    }

    /// The values of several arrays in as few passes as possible.
    ///
    /// # Errors
    /// The first error that building, planning or running any of them met.
    pub fn compute_all<const N: usize>(&self, arrays: [&Array; N]) -> Result<[Block; N]> {
        let mut targets = Vec::with_capacity(N);
        for a in arrays {
            targets.push(Target { expr: a.expr()?.clone(), destination: Destination::Memory });
        }
        let blocks: Vec<Block> = self.run(&targets)?.into_iter().flatten().collect();
        blocks.try_into().map_err(|_| Error::internal("a result is missing"))
    }

    /// Computes into memory of the caller: [`Array::compute_into`] on this session.
    ///
    /// # Errors
    /// As [`Array::compute_into`].
    pub fn compute_into<T: Element, D: Dimension>(
        &self,
        array: &Array,
        mut out: ArrayViewMut<'_, T, D>,
    ) -> Result<()> {
        let expr = array.expr()?.clone();
        if T::DTYPE != expr.dtype() {
            let hint = format!("cast it to {} before", T::DTYPE);
            return Err(ErrorKind::DType { op: "compute_into".into(), dtype: expr.dtype(), hint }.into());
        }
        if out.shape() != expr.shape() {
            return Err(ErrorKind::ShapeMismatch {
                op: "compute_into",
                left: expr.shape().to_vec(),
                right: out.shape().to_vec(),
                hint: "",
            }
            .into());
        }
        if out.iter().len() > 1 && out.strides().iter().zip(out.shape()).any(|(&s, &n)| s == 0 && n > 1) {
            return Err(Error::invalid("compute_into", "the target's elements overlap"));
        }
        let (shape, strides) = (out.shape().to_vec(), out.strides().to_vec());
        let ptr = out.as_mut_ptr() as *const u8;
        // SAFETY: the view borrows the memory exclusively until this call returns, and the plan that holds the block is dropped
        // before; every element is inside the view.
        let block = unsafe { Block::from_foreign(T::DTYPE, &shape, &strides, ptr, Arc::new(())) };
        self.run(&[Target { expr, destination: Destination::Into(block) }])?;
        Ok(())
    }

    /// Writes several arrays to their sinks, in as few passes as possible.
    ///
    /// # Errors
    /// As [`Array::store`].
    pub fn store(&self, pairs: &[(&Array, Arc<dyn BlockSink>)]) -> Result<()> {
        let mut targets = Vec::with_capacity(pairs.len());
        for (array, sink) in pairs {
            targets.push(sink_target(array, sink.clone())?);
        }
        self.run(&targets).map(|_| ())
    }

    /// The plan in words, and where its kernels run: [`Array::explain`] on this session.
    ///
    /// # Errors
    /// As [`Array::compute`], but nothing is run.
    pub fn explain(&self, array: &Array) -> Result<String> {
        let target = Target { expr: array.expr()?.clone(), destination: Destination::Memory };
        let plan = self.plan(&[target])?;
        let mut text = plan.to_string();
        for (n, place) in self.places(&plan).enumerate() {
            text.push_str(&format!("pass {n} runs on {place}\n"));
        }
        Ok(text)
    }
}

/// Several results and writes that run together, in as few passes as possible.
///
/// ```
/// use blockwise::prelude::*;
/// # let dir = tempfile::tempdir().unwrap();
/// let x = Array::arange(0, 100, 1).cast(F32);
/// let mut batch = Batch::new();
/// let mean = batch.compute(&x.mean(..))?;
/// batch.store(&x, x.npy_sink(dir.path().join("x.npy"))?)?;
/// let results = batch.run(Session::global()?)?;     // one pass writes the file and folds the mean
/// assert_eq!(results[mean].as_ref().unwrap().to_scalar::<f32>()?, 49.5);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    targets: Vec<Target>,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds an array to be computed; the number is its place in [`Batch::run`]'s result.
    ///
    /// # Errors
    /// What went wrong when the expression was built.
    pub fn compute(&mut self, array: &Array) -> Result<usize> {
        self.targets.push(Target { expr: array.expr()?.clone(), destination: Destination::Memory });
        Ok(self.targets.len() - 1)
    }

    /// Adds an array to be written to a sink of its shape.
    ///
    /// # Errors
    /// What went wrong when the expression was built, or a shape that differs.
    pub fn store(&mut self, array: &Array, sink: Arc<dyn BlockSink>) -> Result<()> {
        self.targets.push(sink_target(array, sink)?);
        Ok(())
    }

    /// Runs everything; a block for each computed array, `None` for each written one.
    ///
    /// # Errors
    /// As [`Array::compute`] and [`Array::store`].
    pub fn run(self, session: &Session) -> Result<Vec<Option<Block>>> {
        session.run(&self.targets)
    }
}

/// A target that writes an array to a sink of its shape.
pub(crate) fn sink_target(array: &Array, sink: Arc<dyn BlockSink>) -> Result<Target> {
    let expr = array.expr()?.clone();
    if sink.grid().shape().as_slice() != expr.shape() {
        return Err(ErrorKind::ShapeMismatch {
            op: "store",
            left: expr.shape().to_vec(),
            right: sink.grid().shape().to_vec(),
            hint: "; the sink must have the array's shape",
        }
        .into());
    }
    Ok(Target { expr, destination: Destination::Sink(sink) })
}
