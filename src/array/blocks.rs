//! Your own functions of blocks: `map_blocks`, `map_overlap`, and a builder for several inputs or other chunks.

use super::Array;
use crate::block::Block;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::{BlockContext, BlockFn, Expr, MapBlocks, PadMode};
use crate::shape::{Dims, Grid, Region};
use std::panic::Location;
use std::sync::Arc;

/// A function of the blocks of some arrays, being described. See [`over_blocks`].
#[derive(Clone, Debug)]
pub struct BlockMap {
    inputs: Vec<Array>,
    dtype: Option<DType>,
    chunks: Option<Grid>,
    name: Arc<str>,
    scratch: usize,
}

/// Starts to describe a function that makes each block of a result from the blocks of arrays at the same index.
///
/// Inputs of the first one's shape are cut as it is. Another input takes part by block index: on each axis it has as many chunks as the
/// result, or one chunk that every block gets.
///
/// ```
/// use blockwise::array::over_blocks;
/// use blockwise::prelude::*;
/// use blockwise::shape::Grid;
/// let x = Array::arange(0, 10, 1).rechunk(4);
/// // one number per block: another chunking of the result
/// let sums = over_blocks(&[&x]).dtype(I64).chunks(Grid::regular(&[3], &[1])).name("sums").apply(|_, blocks| {
///     Ok(Block::from_vec(vec![blocks[0].view::<i64>()?.sum()]))
/// });
/// assert_eq!(sums.compute()?.as_slice::<i64>()?, [6, 22, 17]);
/// # Ok::<(), blockwise::Error>(())
/// ```
pub fn over_blocks(inputs: &[&Array]) -> BlockMap {
    let inputs = inputs.iter().map(|&a| a.clone()).collect();
    BlockMap { inputs, dtype: None, chunks: None, name: "map_blocks".into(), scratch: 0 }
}

impl BlockMap {
    /// Dtype of the result; by default the first input's.
    pub fn dtype(mut self, dtype: DType) -> BlockMap {
        self.dtype = Some(dtype);
        self
    }

    /// Shape and chunks of the result; by default the first input's.
    pub fn chunks(mut self, chunks: Grid) -> BlockMap {
        self.chunks = Some(chunks);
        self
    }

    /// Name in plans and errors.
    pub fn name(mut self, name: &str) -> BlockMap {
        self.name = name.into();
        self
    }

    /// How many times the bytes of its result the function allocates for itself: what the memory projection must know.
    pub fn scratch(mut self, times: usize) -> BlockMap {
        self.scratch = times;
        self
    }

    /// The result, lazily: `f` gets the place of the block and one block per input.
    ///
    /// # Errors
    /// No input, or grids that do not match by index. When computed: [`ErrorKind::Function`] if `f` fails, panics, or returns
    /// a block of another dtype or shape.
    #[track_caller]
    pub fn apply(
        self,
        f: impl Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync + 'static,
    ) -> Array {
        self.apply_at(f, Location::caller())
    }

    /// [`BlockMap::apply`] on behalf of the caller at this line.
    pub(super) fn apply_at(
        self,
        f: impl Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync + 'static,
        at: &'static Location<'static>,
    ) -> Array {
        self.build(Arc::new(f), at).unwrap_or_else(|e| Array::failed(e, at))
    }

    /// The result of a function that is [registered](crate::expr::register_function) under a name, lazily: as [`BlockMap::apply`], and on a
    /// cluster too, if the workers know the name.
    ///
    /// # Errors
    /// As [`BlockMap::apply`], and if no function has this name.
    #[track_caller]
    pub fn apply_registered(self, name: &str) -> Array {
        let at = Location::caller();
        let Some(function) = crate::expr::function(name) else {
            let message =
                format!("no function is registered as {name:?}; known are {:?}", crate::expr::functions());
            return Array::failed(Error::invalid("map_blocks", message), at);
        };
        self.name(name).build(function, at).unwrap_or_else(|e| Array::failed(e, at))
    }

    fn build(self, function: Arc<BlockFn>, at: &'static Location<'static>) -> Result<Array> {
        let Some(first) = self.inputs.first() else {
            return Err(Error::invalid("map_blocks", "needs at least one array"));
        };
        let leader = first.expr()?.clone();
        let grid = self.chunks.unwrap_or_else(|| leader.grid().clone());
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let e = input.expr()?.clone();
            let e = if e.shape() == leader.shape() { e.rechunk(leader.grid().clone())? } else { e };
            let (own, result) = (e.grid().counts(), grid.counts());
            if own.len() != result.len() || own.iter().zip(&result).any(|(&n, &m)| n != m && n != 1) {
                return Err(ErrorKind::ShapeMismatch {
                    op: "map_blocks",
                    left: own.to_vec(),
                    right: result.to_vec(),
                    hint: " (numbers of chunks); an input has one chunk on an axis, or as many as the result",
                }
                .into());
            }
            inputs.push(e);
        }
        let dtype = self.dtype.unwrap_or(leader.dtype());
        let same = grid.shape().as_slice() == leader.shape();
        let halo = Dims::from_elem(0, grid.ndim());
        let map = MapBlocks { function, name: self.name, halo, scratch: self.scratch, at };
        let out = Array { expr: Ok(Expr::map_blocks(map, inputs, dtype, grid)?), meta: first.meta.clone() };
        Ok(if same { out } else { out.without_geometry() })
    }
}

impl Array {
    /// Each block through a function that keeps its shape: Dask's `map_blocks`.
    ///
    /// Blocks are the array's chunks ([`Array::rechunk`] chooses them). The function is called from several threads. See
    /// [`over_blocks`] for several inputs or another shape.
    ///
    /// # Errors
    /// When computed: [`ErrorKind::Function`] if the function fails, panics, or returns a block of another dtype or shape.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 6, 1).rechunk(4);
    /// let reversed = x.map_blocks(I64, |block| {
    ///     let mut values = block.view::<i64>()?.to_owned();
    ///     values.invert_axis(ndarray::Axis(0));
    ///     Ok(Block::from_array(values))
    /// });
    /// assert_eq!(reversed.compute()?.as_slice::<i64>()?, [3, 2, 1, 0, 5, 4]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_blocks(
        &self,
        dtype: DType,
        f: impl Fn(&Block) -> Result<Block> + Send + Sync + 'static,
    ) -> Array {
        over_blocks(&[self]).dtype(dtype).apply(move |_, blocks| f(&blocks[0]))
    }

    /// Each block, with `depth[k]` elements of its neighbours on both sides of axis `k`, through a function: Dask's `map_overlap`.
    ///
    /// Beyond the array's ends the margin is made by `mode`. The function returns a block of the shape it got, whose margin is then cut off,
    /// or of the shape without the margin.
    ///
    /// # Errors
    /// If there are not as many depths as axes, or an empty array has no edge to repeat. When computed: as [`Array::map_blocks`].
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::arange(0, 8, 1).rechunk(3);
    /// let sums = x.map_overlap(&[1], PadMode::Edge, I64, |block| {
    ///     let v = block.view::<i64>()?;
    ///     let sums = (1..v.len() - 1).map(|i| v[[i - 1]] + v[[i]] + v[[i + 1]]);
    ///     Ok(Block::from_vec(sums.collect::<Vec<i64>>()))
    /// });
    /// assert_eq!(sums.compute()?.as_slice::<i64>()?, [1, 3, 6, 9, 12, 15, 18, 20]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_overlap(
        &self,
        depth: &[usize],
        mode: PadMode,
        dtype: DType,
        f: impl Fn(&Block) -> Result<Block> + Send + Sync + 'static,
    ) -> Array {
        let (at, halo) = (Location::caller(), Dims::from_slice(depth));
        self.map(|e| {
            if depth.len() != e.ndim() {
                let message = format!("{} depths for an array of {} axes", depth.len(), e.ndim());
                return Err(Error::invalid("map_overlap", message));
            }
            let margin = halo.clone();
            let function = move |context: &BlockContext, blocks: &[Block]| {
                let out = f(&blocks[0])?;
                let own = &context.region.shape;
                let cut = out.shape() == blocks[0].shape() && out.shape() != own.as_slice();
                Ok(if cut { out.slice(&Region::new(margin.clone(), own.clone())) } else { out })
            };
            let grid = e.grid().clone();
            let map = MapBlocks { halo, scratch: 1, ..MapBlocks::new("map_overlap", 0, at, function) };
            Expr::map_blocks(map, vec![e.pad(depth, depth, mode)?], dtype, grid)
        })
    }
}
