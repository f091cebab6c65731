//! The nodes of the graph.

use super::Product;
use crate::block::{Block, BlockSource};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::shape::{Dims, Grid, IndexMap, Region};
use smallvec::SmallVec;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

/// A node of the graph; cheap to clone.
#[derive(Clone)]
pub struct Expr(pub(super) Arc<Node>);

/// An operation, what it applies to, and what it yields.
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub inputs: SmallVec<[Expr; 2]>,
    /// Dtype of the result.
    pub dtype: DType,
    /// Shape of the result: the grid's.
    pub shape: Dims,
    /// Chunks of the result.
    pub grid: Grid,
}

/// The kinds of operation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// What a source yields.
    Source(SourceRef),
    /// One value everywhere.
    Const(Scalar),
    /// The index along an axis.
    Index {
        /// Axis.
        axis: u8,
    },
    /// Random bits of the node's dtype, a function of a key, whose two words are the inputs, and of the element's place in C order.
    Random,
    /// Conversion to the node's dtype.
    Cast,
    /// `op(x)`.
    Unary(UnaryOp),
    /// `op(a, b)`.
    Binary(BinaryOp),
    /// `op(a, b)` as bool.
    Compare(CompareOp),
    /// `a` where `c`, else `b`; inputs are c, a, b.
    Select,
    /// `a * b + c`.
    MulAdd,
    /// The input's elements at mapped indices.
    View(IndexMap),
    /// The input's elements in C order under another shape.
    Reshape,
    /// Inputs one after another.
    Concat {
        /// Along this axis.
        axis: u8,
    },
    /// The input's elements at listed places of an axis.
    Take {
        /// Axis.
        axis: u8,
        /// Indices into it.
        places: Arc<[usize]>,
    },
    /// The input with a margin.
    Pad {
        /// Elements added before each axis.
        before: Dims,
        /// Elements added after.
        after: Dims,
        /// What they are.
        mode: PadMode,
    },
    /// The input under another grid.
    Rechunk,
    /// A fold over axes.
    Reduce {
        /// How.
        op: ReduceOp,
        /// Over which axes of the input, ascending.
        axes: SmallVec<[u8; 4]>,
    },
    /// A running fold along an axis.
    Scan {
        /// `Sum` or `Prod`.
        op: ReduceOp,
        /// Axis.
        axis: u8,
    },
    /// Sums of products over axes that two inputs share.
    Product(Product),
    /// A user's function of the inputs' blocks.
    MapBlocks(MapBlocks),
}

/// What a margin is filled with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PadMode {
    /// Zero of the dtype (other constants are added by a select in [`crate::array`]).
    Constant,
    /// The nearest element (NumPy's `edge`, scipy's `nearest`).
    Edge,
    /// Mirrored without repeating the edge (NumPy's `reflect`, scipy's `mirror`).
    Reflect,
    /// Mirrored with the edge repeated (NumPy's `symmetric`, scipy's `reflect`).
    Symmetric,
    /// From the other end.
    Wrap,
}

impl PadMode {
    /// Every mode.
    pub const ALL: &[PadMode] =
        &[PadMode::Constant, PadMode::Edge, PadMode::Reflect, PadMode::Symmetric, PadMode::Wrap];
}

/// A source, compared by identity.
#[derive(Clone, Debug)]
pub struct SourceRef(pub Arc<dyn BlockSource>);

impl SourceRef {
    fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as *const () as usize
    }
}

impl PartialEq for SourceRef {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for SourceRef {}

impl Hash for SourceRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

/// Where a block that a user's function gets or makes lies.
#[derive(Clone, Debug)]
pub struct BlockContext {
    /// Index of the block in the result's grid.
    pub index: Dims,
    /// Its region in the result.
    pub region: Region,
}

/// A user's function of blocks.
pub type BlockFn = dyn Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync;

/// A user's function with what the planner must know of it. Compared by identity.
#[derive(Clone)]
pub struct MapBlocks {
    /// The function.
    pub function: Arc<BlockFn>,
    /// Its name in plans and errors.
    pub name: Arc<str>,
    /// Elements that each input's block is extended by on both sides of each axis, where there are any.
    pub halo: Dims,
    /// Bytes that the function allocates for itself, per byte of its inputs and output.
    pub scratch: usize,
    /// The line of the caller's code that asked for it, for errors.
    pub at: &'static Location<'static>,
}

impl MapBlocks {
    /// A function that makes blocks of rank `ndim` from blocks alone, without room of its own.
    pub fn new(
        name: &str,
        ndim: usize,
        at: &'static Location<'static>,
        function: impl Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync + 'static,
    ) -> MapBlocks {
        let halo = Dims::from_elem(0, ndim);
        MapBlocks { function: Arc::new(function), name: name.into(), halo, scratch: 0, at }
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.function) as *const () as usize
    }
}

impl PartialEq for MapBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address() && self.halo == other.halo
    }
}

impl Eq for MapBlocks {}

impl Hash for MapBlocks {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl fmt::Debug for MapBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapBlocks({})", self.name)
    }
}

impl Op {
    /// Whether each element of the result depends on its place and on the elements at the same place of the inputs alone.
    pub fn is_elementwise(&self) -> bool {
        matches!(
            self,
            Op::Random
                | Op::Cast
                | Op::Unary(_)
                | Op::Binary(_)
                | Op::Compare(_)
                | Op::Select
                | Op::MulAdd
                | Op::Rechunk
        )
    }

    /// Whether it needs no input.
    pub fn is_generated(&self) -> bool {
        matches!(self, Op::Const(_) | Op::Index { .. })
    }
}

/// The name in plans.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Source(s) => write!(f, "source {}", s.0.label()),
            Op::Const(v) => write!(f, "full {v}"),
            Op::Index { axis } => write!(f, "index axis {axis}"),
            Op::Random => write!(f, "random bits"),
            Op::Cast => write!(f, "cast"),
            Op::Unary(op) => write!(f, "{op}"),
            Op::Binary(op) => write!(f, "{op}"),
            Op::Compare(op) => write!(f, "{op}"),
            Op::Select => write!(f, "where"),
            Op::MulAdd => write!(f, "mul_add"),
            Op::View(map) => write!(f, "view {map}"),
            Op::Reshape => write!(f, "reshape"),
            Op::Concat { axis } => write!(f, "concat axis {axis}"),
            Op::Take { axis, places } => write!(f, "take {} of axis {axis}", places.len()),
            Op::Pad { before, after, mode } => write!(f, "pad {before:?} {after:?} {mode:?}"),
            Op::Rechunk => write!(f, "rechunk"),
            Op::Reduce { op, axes } => write!(f, "{op} over axes {axes:?}"),
            Op::Scan { op, axis } => write!(f, "cumulative {op} along axis {axis}"),
            Op::Product(p) => write!(f, "product over {} axes in {} panels", p.contracted, p.panels.len()),
            Op::MapBlocks(m) => write!(f, "map_blocks {}", m.name),
        }
    }
}

impl Expr {
    /// Dtype.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Shape.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.0.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.shape.contains(&0)
    }

    /// Chunks.
    pub fn grid(&self) -> &Grid {
        &self.0.grid
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.0
    }

    /// The node's address: equal for clones of one expression.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {:?}", self.0.op, self.0.dtype, self.0.shape)
    }
}

/// Long chains are dropped link by link: recursion would overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut rest = std::mem::take(&mut self.inputs);
        while let Some(expr) = rest.pop() {
            if let Some(mut node) = Arc::into_inner(expr.0) {
                rest.append(&mut node.inputs);
            }
        }
    }
}
