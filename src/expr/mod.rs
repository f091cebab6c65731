//! The expression graph: what is wanted, one node per operation, never per block.
//!
//! An [`Expr`] is an immutable node with its dtype, shape and chunk grid known. There are few kinds of node: all that
//! only rearranges indices (slices, transposes, broadcasts, flips, new axes, diagonals) is one, [`Op::View`]; what
//! NumPy offers beyond these kinds is composed from them in [`crate::array`].
//!
//! **Invariant:** a node's inputs fit it: shapes are equal (broadcasts are explicit views), dtypes are promoted (casts are
//! explicit nodes), axes are in range. The constructors here check it and return typed errors; later layers rely on it.

#[cfg(feature = "frame")]
pub mod frame;
mod functions;
mod node;
mod product;

pub use functions::{function, functions, register_function};
pub use node::{BlockContext, BlockFn, Expr, MapBlocks, Node, Op, PadMode, SourceRef};
pub use product::Product;

use crate::block::BlockSource;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, ErrorKind, Result};
use crate::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use crate::shape::{AxisChunks, AxisMap, Dims, Grid, IndexMap};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// The most axes an array may have.
pub const MAX_NDIM: usize = 32;

impl Expr {
    /// An array that a source yields.
    pub fn source(source: Arc<dyn BlockSource>) -> Result<Expr> {
        let (dtype, grid) = (source.dtype(), source.grid().clone());
        Expr::new(Op::Source(SourceRef(source)), [], dtype, grid)
    }

    /// An array of one value.
    pub fn constant(value: Scalar, grid: Grid) -> Result<Expr> {
        Expr::new(Op::Const(value), [], value.dtype(), grid)
    }

    /// The index along an axis, i64.
    pub fn index(axis: usize, grid: Grid) -> Result<Expr> {
        debug_assert!(axis < grid.ndim());
        Expr::new(Op::Index { axis: axis as u8 }, [], DType::I64, grid)
    }

    /// Random bits, u64 or u32, under a key of two words of u32, one each for all elements: the same for an element whatever the chunks. See
    /// [`Builder::random`](crate::ir::Builder::random).
    pub fn random(key: [Expr; 2], dtype: DType, grid: Grid) -> Result<Expr> {
        if !matches!(dtype, DType::U32 | DType::U64) || key.iter().any(|word| word.dtype() != DType::U32) {
            return Err(not_defined("random", dtype));
        }
        let [a, b] = key.map(|word| word.broadcast_to(&grid.shape()));
        Expr::new(Op::Random, [a?, b?], dtype, grid)
    }

    /// `x` converted to a dtype.
    pub fn cast(self, to: DType) -> Result<Expr> {
        if self.dtype() == to {
            return Ok(self);
        }
        let grid = self.grid().clone();
        Expr::new(Op::Cast, [self], to, grid)
    }

    /// `op(x)`.
    pub fn unary(self, op: UnaryOp) -> Result<Expr> {
        let d = self.dtype();
        if !op.accepts(d) {
            return Err(not_defined(op.name(), d));
        }
        let grid = self.grid().clone();
        Expr::new(Op::Unary(op), [self], if op.is_predicate() { DType::Bool } else { d }, grid)
    }

    /// `op(a, b)` of two arrays of one shape and dtype.
    pub fn binary(op: BinaryOp, a: Expr, b: Expr) -> Result<Expr> {
        let d = a.dtype();
        if !op.accepts(d) {
            return Err(not_defined(op.name(), d));
        }
        let grid = meet(op.name(), [&a, &b])?;
        Expr::new(Op::Binary(op), [a, b], d, grid)
    }

    /// `op(a, b)` as bool.
    pub fn compare(op: CompareOp, a: Expr, b: Expr) -> Result<Expr> {
        let grid = meet(op.name(), [&a, &b])?;
        Expr::new(Op::Compare(op), [a, b], DType::Bool, grid)
    }

    /// `a` where `c`, else `b`.
    pub fn select(c: Expr, a: Expr, b: Expr) -> Result<Expr> {
        let grid = meet("where", [&a, &b])?;
        let d = a.dtype();
        let grid = Grid::meet(&[&grid, c.grid()], d.size());
        Expr::new(Op::Select, [c, a, b], d, grid)
    }

    /// `a * b + c`, rounded once.
    pub fn mul_add(a: Expr, b: Expr, c: Expr) -> Result<Expr> {
        if a.dtype() == DType::Bool {
            return Err(not_defined("mul_add", DType::Bool));
        }
        let grid = meet("mul_add", [&a, &b, &c])?;
        let d = a.dtype();
        Expr::new(Op::MulAdd, [a, b, c], d, grid)
    }

    /// A view of `x` of this shape. The caller guarantees that the map stays inside `x`.
    pub fn view(self, map: IndexMap, shape: &[usize]) -> Result<Expr> {
        debug_assert_eq!(map.axes().len(), self.ndim());
        let map_view = |base: &Expr, map: &IndexMap| {
            Grid::new((0..shape.len()).map(|k| {
                let walked = map.axes().iter().zip(base.grid().axes()).find(|(a, _)| a.from == Some(k as u8));
                match walked {
                    None => AxisChunks::regular(shape[k], shape[k]),
                    Some((a, chunks)) => chunks.slice(a.start.max(0) as usize, a.step, shape[k]),
                }
            }))
        };
        if map.is_identity() && shape == self.shape() {
            return Ok(self);
        }
        // a view of a view is one view
        let (base, map) = match &self.0.op {
            Op::View(inner) => (self.0.inputs[0].clone(), inner.then(&map)),
            _ => (self, map),
        };
        let grid = map_view(&base, &map);
        if map.is_identity() && shape == base.shape() {
            return Ok(base);
        }
        Expr::new(Op::View(map), [base], DType::Bool, grid).map(|e| e.with_input_dtype())
    }

    /// `x` broadcast to a shape, by NumPy's rules.
    pub fn broadcast_to(self, shape: &[usize]) -> Result<Expr> {
        if self.shape() == shape {
            return Ok(self);
        }
        let lead = shape.len().checked_sub(self.ndim());
        let fits =
            lead.is_some_and(|lead| self.shape().iter().zip(&shape[lead..]).all(|(&n, &m)| n == m || n == 1));
        let Some(lead) = lead.filter(|_| fits) else {
            return Err(ErrorKind::ShapeMismatch {
                op: "broadcast_to",
                left: self.shape().to_vec(),
                right: shape.to_vec(),
                hint: "; every axis must be equal or 1, counted from the last",
            }
            .into());
        };
        let map = IndexMap::new(self.shape().iter().enumerate().map(|(k, &n)| {
            let from = (n == shape[lead + k]).then_some((lead + k) as u8);
            AxisMap { from, start: 0, step: i32::from(from.is_some()) as isize }
        }));
        self.view(map, shape)
    }

    /// `x` with the same elements in C order under another shape of the same size.
    pub fn reshape(self, shape: &[usize], chunks: Grid) -> Result<Expr> {
        debug_assert_eq!(shape.iter().product::<usize>(), self.len());
        if shape == self.shape() {
            return Ok(self);
        }
        let d = self.dtype();
        Expr::new(Op::Reshape, [self], d, chunks)
    }

    /// The arrays one after another along an axis; shapes are equal elsewhere, dtypes throughout.
    pub fn concat(axis: usize, parts: Vec<Expr>) -> Result<Expr> {
        let Some(first) = parts.first() else {
            return Err(Error::invalid("concatenate", "needs at least one array"));
        };
        let (d, ndim) = (first.dtype(), first.ndim());
        for p in &parts[1..] {
            let fits = p.ndim() == ndim && (0..ndim).all(|k| k == axis || p.shape()[k] == first.shape()[k]);
            if !fits {
                return Err(ErrorKind::ShapeMismatch {
                    op: "concatenate",
                    left: first.shape().to_vec(),
                    right: p.shape().to_vec(),
                    hint: "; all axes but the joined one must be equal",
                }
                .into());
            }
        }
        let grid = Grid::new((0..ndim).map(|k| {
            let mut axes = parts.iter().map(|p| &p.grid().axes()[k]);
            if k == axis {
                AxisChunks::explicit(&axes.flat_map(AxisChunks::lengths).collect::<Vec<_>>())
            } else {
                let first = axes.next().cloned().unwrap_or(AxisChunks::regular(0, 1));
                axes.fold(first, |a, b| a.refine(b))
            }
        }));
        Expr::new(Op::Concat { axis: axis as u8 }, parts, d, grid)
    }

    /// The elements at these places of an axis, in this order; places are in range.
    pub fn take(self, axis: usize, places: Arc<[usize]>) -> Result<Expr> {
        let d = self.dtype();
        let grid = Grid::new(self.grid().axes().iter().enumerate().map(|(k, chunks)| {
            if k == axis { AxisChunks::regular(places.len(), chunks.max_len()) } else { chunks.clone() }
        }));
        Expr::new(Op::Take { axis: axis as u8, places }, [self], d, grid)
    }

    /// `x` with `before` and `after` elements added on each axis.
    pub fn pad(self, before: &[usize], after: &[usize], mode: PadMode) -> Result<Expr> {
        if before.iter().chain(after).all(|&n| n == 0) {
            return Ok(self);
        }
        if mode != PadMode::Constant && self.is_empty() {
            return Err(Error::invalid("pad", "an empty array has no edge to repeat"));
        }
        let d = self.dtype();
        let grid = Grid::new(self.grid().axes().iter().enumerate().map(|(k, chunks)| {
            let mut lengths = chunks.lengths();
            match lengths.first_mut() {
                Some(first) => *first += before[k],
                None => lengths.push(before[k]),
            }
            if let Some(last) = lengths.last_mut() {
                *last += after[k];
            }
            AxisChunks::explicit(&lengths)
        }));
        Expr::new(Op::Pad { before: before.into(), after: after.into(), mode }, [self], d, grid)
    }

    /// `x` cut into other chunks.
    pub fn rechunk(self, grid: Grid) -> Result<Expr> {
        debug_assert_eq!(grid.shape().as_slice(), self.shape());
        if &grid == self.grid() {
            return Ok(self);
        }
        let d = self.dtype();
        Expr::new(Op::Rechunk, [self], d, grid)
    }

    /// The fold of `x` over axes (ascending, in range), which the result does not have. Its dtype is the accumulator's.
    pub fn reduce(self, op: ReduceOp, axes: &[usize]) -> Result<Expr> {
        let d = self.dtype();
        if !op.accepts(d) {
            return Err(not_defined(op.name(), d));
        }
        if !op.has_identity() && axes.iter().any(|&k| self.shape()[k] == 0) && !kept_is_empty(&self, axes) {
            return Err(Error::invalid(
                op.name(),
                format!("an empty selection (axes {axes:?} of shape {:?}) has no such value", self.shape()),
            ));
        }
        let grid = Grid::new(
            self.grid().axes().iter().enumerate().filter(|(k, _)| !axes.contains(k)).map(|(_, a)| a.clone()),
        );
        let axes = axes.iter().map(|&k| k as u8).collect();
        Expr::new(Op::Reduce { op, axes }, [self], op.accumulator(d), grid)
    }

    /// Running sums or products along an axis; `op` is `Sum` or `Prod`. Its dtype is the accumulator's.
    pub fn scan(self, op: ReduceOp, axis: usize) -> Result<Expr> {
        debug_assert!(matches!(op, ReduceOp::Sum | ReduceOp::Prod));
        let d = op.accumulator(self.dtype());
        let grid = self.grid().clone();
        Expr::new(Op::Scan { op, axis: axis as u8 }, [self], d, grid)
    }

    /// The sums of the products of two arrays of one dtype, with axes `(batch, left, contracted)` and `(batch, contracted, right)`. The result
    /// has axes `(parts, batch, left, right)`; what was asked for is its sum over the first. Its dtype is that of the sums.
    pub fn product(a: Expr, b: Expr, batch: usize, contracted: usize) -> Result<Expr> {
        let (product, grid) = Product::new(&a, &b, batch, contracted)?;
        let d = blockwise_kernels::tile::product_sum(a.dtype());
        Expr::new(Op::Product(product), [a, b], d, grid)
    }

    /// The blocks of some arrays through a user's function.
    pub fn map_blocks(map: MapBlocks, inputs: Vec<Expr>, dtype: DType, grid: Grid) -> Result<Expr> {
        Expr::new(Op::MapBlocks(map), inputs, dtype, grid)
    }

    fn with_input_dtype(mut self) -> Expr {
        let d = self.0.inputs[0].dtype();
        if let Some(node) = Arc::get_mut(&mut self.0) {
            node.dtype = d;
        }
        self
    }

    fn new(op: Op, inputs: impl IntoIterator<Item = Expr>, dtype: DType, grid: Grid) -> Result<Expr> {
        let shape: Dims = grid.shape();
        let inputs: SmallVec<[Expr; 2]> = inputs.into_iter().collect();
        if shape.len() > MAX_NDIM {
            return Err(Error::invalid("array", format!("{} axes; at most {MAX_NDIM}", shape.len())));
        }
        let bytes = shape.iter().try_fold(8usize, |a, &n| a.checked_mul(n.max(1)));
        if bytes.is_none_or(|b| b > isize::MAX as usize) {
            return Err(Error::invalid(
                "array",
                format!("shape {shape:?} has more elements than can be addressed"),
            ));
        }
        Ok(Expr(Arc::new(Node { op, inputs, dtype, shape, grid })))
    }
}

/// Whether the axes that are kept already make the result empty.
fn kept_is_empty(x: &Expr, axes: &[usize]) -> bool {
    x.shape().iter().enumerate().any(|(k, &n)| n == 0 && !axes.contains(&k))
}

fn not_defined(op: &str, dtype: DType) -> Error {
    let hint = match dtype {
        DType::Bool => "cast it to an integer or use logical operations",
        d if d.is_float() => "cast it to an integer",
        _ => "cast it to a float",
    };
    ErrorKind::DType { op: op.into(), dtype, hint: hint.into() }.into()
}

/// The grid on which operands of one shape and dtype meet: the boundaries of all.
fn meet<const N: usize>(op: &'static str, operands: [&Expr; N]) -> Result<Grid> {
    for other in &operands[1..] {
        if other.shape() != operands[0].shape() {
            return Err(ErrorKind::ShapeMismatch {
                op,
                left: operands[0].shape().to_vec(),
                right: other.shape().to_vec(),
                hint: "",
            }
            .into());
        }
        debug_assert_eq!(other.dtype(), operands[0].dtype());
    }
    Ok(Grid::meet(&operands.map(Expr::grid), operands[0].dtype().size()))
}

/// The shape that shapes broadcast to, by NumPy's rules.
///
/// # Errors
/// [`ErrorKind::ShapeMismatch`] with the first two that do not fit.
pub fn broadcast_shapes(op: &'static str, shapes: &[&[usize]]) -> Result<Dims> {
    let mut out: Dims = smallvec![];
    for shape in shapes {
        let before = out.clone();
        if shape.len() > out.len() {
            let mut wide: Dims = SmallVec::from_elem(1, shape.len() - out.len());
            wide.extend_from_slice(&out);
            out = wide;
        }
        let lead = out.len() - shape.len();
        for (o, &n) in out[lead..].iter_mut().zip(*shape) {
            if *o == 1 {
                *o = n;
            } else if n != 1 && n != *o {
                return Err(ErrorKind::ShapeMismatch {
                    op,
                    left: before.to_vec(),
                    right: shape.to_vec(),
                    hint: "; axes must be equal or 1, counted from the last",
                }
                .into());
            }
        }
    }
    Ok(out)
}
