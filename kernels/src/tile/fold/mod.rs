//! Reductions over tiles.
//!
//! A fold of floats is a fixed tree: along a row, element `c` goes into partial result `c % 32`, and the partial results
//! are combined by halves. The bits of a result so depend on the panels alone, not on the instruction set.
//!
//! Pointers and plane order are those of [`ReduceOp::planes`]; reductions of one value may share a walk ([`joint`]).

mod arg;
mod group;
mod plain;
mod statistics;

pub use group::{FoldGroups, MergeGroups, Records, TOGETHER};

use super::isa::{Isa, Level, per_isa};
use super::lanes::Lane;
use crate::op::ReduceOp;
use crate::{DType, Scalar, f16, for_dtype, naive};
use statistics::{Of, Statistics};

pub use statistics::PLANES;

/// Elements `(r, c)` with `r < rows` and `c < cols`, each row contiguous, at `x + r * row_stride + c * size` (bytes).
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Bytes from one row to the next.
    pub row_stride: isize,
}

/// Where a panel's elements are in the reduced axes: element `(r, c)` at position `start + r * row_step + c * col_step`.
/// Steps along what is folded are not negative.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Position of element (0, 0).
    pub start: i64,
    /// From one row to the next.
    pub row_step: i64,
    /// From one column to the next.
    pub col_step: i64,
}

/// Folds all columns of each row `r` into accumulator `r`: plane `p`'s is at `planes[p] + r * plane_strides[p]`. Strides
/// may be 0: then every row folds into the same accumulator.
pub type FoldRows =
    unsafe fn(x: *const u8, panel: Panel, planes: &[*mut u8], plane_strides: &[isize], place: Place);

/// Folds element `(r, c)` into accumulator `c`: plane `p`'s accumulators are contiguous at `planes[p]`.
pub type FoldCols = unsafe fn(x: *const u8, panel: Panel, planes: &[*mut u8], place: Place);

/// Folds each of `n` contiguous accumulators `from` into that of `into`.
pub type MergeFn = unsafe fn(into: &[*mut u8; 3], from: &[*mut u8; 3], n: usize);

per_isa!(
    RowsLoop,
    rows_loop,
    unsafe fn(x: *const u8, panel: Panel, planes: &[*mut u8], plane_strides: &[isize], place: Place)
);
per_isa!(ColsLoop, cols_loop, unsafe fn(x: *const u8, panel: Panel, planes: &[*mut u8], place: Place));

/// The functions of one reduction of one dtype.
trait Fold: RowsLoop + ColsLoop + group::Grouped {
    /// A [`MergeFn`].
    unsafe fn merge(into: &[*mut u8; 3], from: &[*mut u8; 3], n: usize);
}

/// Calls a function with the fold of an operation and dtype.
trait Visit {
    type Out;
    fn visit<F: Fold>(self) -> Self::Out;
}

struct Rows(Isa);
impl Visit for Rows {
    type Out = FoldRows;
    fn visit<F: Fold>(self) -> FoldRows {
        rows_loop::<F>(self.0)
    }
}

struct Cols(Isa);
impl Visit for Cols {
    type Out = FoldCols;
    fn visit<F: Fold>(self) -> FoldCols {
        cols_loop::<F>(self.0)
    }
}

struct Merges;
impl Visit for Merges {
    type Out = MergeGroups;
    fn visit<F: Fold>(self) -> MergeGroups {
        group::merge_groups::<F>
    }
}

struct Groups;
impl Visit for Groups {
    type Out = Option<FoldGroups>;
    fn visit<F: Fold>(self) -> Option<FoldGroups> {
        F::FOLD
    }
}

/// Both, of reductions that share a walk.
struct Both(Isa);
impl Visit for Both {
    type Out = (FoldRows, FoldCols);
    fn visit<F: Fold>(self) -> (FoldRows, FoldCols) {
        (rows_loop::<F>(self.0), cols_loop::<F>(self.0))
    }
}

struct Merge;
impl Visit for Merge {
    type Out = MergeFn;
    fn visit<F: Fold>(self) -> MergeFn {
        F::merge
    }
}

/// The function that folds rows. The operation must accept the dtype.
///
/// # Panics
/// If it does not.
pub fn fold_rows(isa: Isa, op: ReduceOp, d: DType) -> FoldRows {
    // partial results of 32- and 64-bit integers: the compiler vectorizes them for AVX2 (0.02 to 0.08 ns per element) but
    // not for AVX-512 (0.34)
    let isa = if d.is_integer() { isa.min(Isa::Avx2) } else { isa };
    dispatch(op, d, Rows(isa))
}

/// The function that folds columns, in the order of the rows.
///
/// # Panics
/// If the operation does not accept the dtype.
pub fn fold_cols(isa: Isa, op: ReduceOp, d: DType) -> FoldCols {
    dispatch(op, d, Cols(isa))
}

/// The function that folds accumulators of groups into those of others.
///
/// # Panics
/// If the operation does not accept the dtype.
pub fn merge_groups(op: ReduceOp, d: DType) -> MergeGroups {
    dispatch(op, d, Merges)
}

/// The function that folds by group; none for arg-reductions, whose positions have no meaning there.
///
/// # Panics
/// If the operation does not accept the dtype.
pub fn fold_groups(op: ReduceOp, d: DType) -> Option<FoldGroups> {
    dispatch(op, d, Groups)
}

/// Where the planes of a reduction begin among the [`PLANES`] of a walk that it shares with others, and whether it is
/// about numbers alone: only those share a walk that agree in that. `None` if it shares none.
pub fn shared(op: ReduceOp, d: DType) -> Option<(usize, bool)> {
    let first = match op {
        ReduceOp::M2 | ReduceOp::NanM2 => statistics::M2,
        ReduceOp::Sum | ReduceOp::NanSum => statistics::SUM,
        ReduceOp::Count => statistics::COUNT,
        ReduceOp::Min | ReduceOp::Fmin => statistics::MIN,
        ReduceOp::Max | ReduceOp::Fmax => statistics::MAX,
        _ => return None,
    };
    let numbers = !matches!(op, ReduceOp::M2 | ReduceOp::Sum | ReduceOp::Min | ReduceOp::Max);
    // halves are rare, and every set of folds is code of its own for every dtype
    matches!(d, DType::F32 | DType::F64).then_some((first, numbers))
}

/// The functions that fold several reductions of one value in one walk: bit for bit what each does alone. Each has its planes
/// where [`shared`] says, all others are null, and all of them agree in what they are about.
pub fn joint(isa: Isa, ops: &[ReduceOp], d: DType) -> (FoldRows, FoldCols) {
    match d {
        DType::F32 => joint_of::<f32>(isa, ops, d),
        _ => joint_of::<f64>(isa, ops, d),
    }
}

fn joint_of<X: Lane<Wide: statistics::Wide>>(isa: Isa, ops: &[ReduceOp], d: DType) -> (FoldRows, FoldCols) {
    let places = || ops.iter().filter_map(|op| shared(*op, d));
    let has = |plane: usize| places().any(|(first, _)| first == plane);
    let numbers = places().any(|(_, numbers)| numbers);
    let extrema = has(statistics::MIN) || has(statistics::MAX);
    // not every set has a walk of its own
    match (numbers, has(statistics::M2), extrema) {
        (false, true, false) => Both(isa).visit::<Statistics<X, Of<false, true, true, false>>>(),
        (false, false, _) => Both(isa).visit::<Statistics<X, Of<false, true, false, true>>>(),
        (false, true, true) => Both(isa).visit::<Statistics<X, Of<false, true, true, true>>>(),
        (true, false, false) => Both(isa).visit::<Statistics<X, Of<true, true, false, false>>>(),
        (true, true, false) => Both(isa).visit::<Statistics<X, Of<true, true, true, false>>>(),
        (true, false, true) => Both(isa).visit::<Statistics<X, Of<true, true, false, true>>>(),
        (true, true, true) => Both(isa).visit::<Statistics<X, Of<true, true, true, true>>>(),
    }
}

/// The function that folds accumulators into accumulators.
///
/// # Panics
/// If the operation does not accept the dtype.
pub fn merge(op: ReduceOp, d: DType) -> MergeFn {
    dispatch(op, d, Merge)
}

/// Fills `n` contiguous accumulators with the fold of nothing.
///
/// # Safety
/// Each plane of [`ReduceOp::planes`] has room for `n` elements of its dtype.
pub unsafe fn init(op: ReduceOp, d: DType, planes: &[*mut u8; 3], n: usize) {
    for (plane, value) in planes.iter().zip(naive::fold::init(op, d)) {
        // SAFETY: the caller's.
        unsafe { fill(*plane, value, n) };
    }
}

unsafe fn fill(out: *mut u8, value: Scalar, n: usize) {
    for_dtype!(value.dtype(), T => {
        let v = value.get::<T>().unwrap_or_default();
        for i in 0..n {
            // SAFETY: the caller's: room for `n` elements of the value's dtype.
            unsafe { out.cast::<T>().add(i).write(v) };
        }
    });
}

fn dispatch<V: Visit>(op: ReduceOp, d: DType, v: V) -> V::Out {
    assert!(op.accepts(d), "{op} is not defined for {d}");
    use plain::{All, Any, Count, Fmax, Fmin, Max, Min, NanSum, Plain, Prod, Sum};
    macro_rules! by_float {
        ($T:ident => $F:ty) => {
            match d {
                DType::F16 => {
                    type $T = f16;
                    v.visit::<$F>()
                }
                DType::F32 => {
                    type $T = f32;
                    v.visit::<$F>()
                }
                _ => {
                    type $T = f64;
                    v.visit::<$F>()
                }
            }
        };
    }
    macro_rules! by_dtype {
        ($T:ident => $F:ty) => {
            match d {
                // bool as 0 and 1
                DType::Bool | DType::U8 => {
                    type $T = u8;
                    v.visit::<$F>()
                }
                DType::I8 => {
                    type $T = i8;
                    v.visit::<$F>()
                }
                DType::I16 => {
                    type $T = i16;
                    v.visit::<$F>()
                }
                DType::I32 => {
                    type $T = i32;
                    v.visit::<$F>()
                }
                DType::I64 => {
                    type $T = i64;
                    v.visit::<$F>()
                }
                DType::U16 => {
                    type $T = u16;
                    v.visit::<$F>()
                }
                DType::U32 => {
                    type $T = u32;
                    v.visit::<$F>()
                }
                DType::U64 => {
                    type $T = u64;
                    v.visit::<$F>()
                }
                _ => by_float!($T => $F),
            }
        };
    }
    match op {
        // 64-bit sums and products are the same for signed and unsigned
        ReduceOp::Sum if d == DType::I64 => v.visit::<Plain<u64, Sum>>(),
        ReduceOp::Prod if d == DType::I64 => v.visit::<Plain<u64, Prod>>(),
        ReduceOp::Sum => by_dtype!(T => Plain<T, Sum>),
        ReduceOp::Prod => by_dtype!(T => Plain<T, Prod>),
        ReduceOp::Fmin if d.is_float() => by_float!(T => Plain<T, Fmin>),
        ReduceOp::Fmax if d.is_float() => by_float!(T => Plain<T, Fmax>),
        ReduceOp::Min | ReduceOp::Fmin => by_dtype!(T => Plain<T, Min>),
        ReduceOp::Max | ReduceOp::Fmax => by_dtype!(T => Plain<T, Max>),
        ReduceOp::All => v.visit::<Plain<u8, All>>(),
        ReduceOp::Any => v.visit::<Plain<u8, Any>>(),
        ReduceOp::ArgMin => by_dtype!(T => arg::Arg<T, true, false>),
        ReduceOp::ArgMax => by_dtype!(T => arg::Arg<T, false, false>),
        ReduceOp::NanArgMin if d.is_float() => by_float!(T => arg::Arg<T, true, true>),
        ReduceOp::NanArgMax if d.is_float() => by_float!(T => arg::Arg<T, false, true>),
        ReduceOp::NanArgMin => by_dtype!(T => arg::Arg<T, true, false>),
        ReduceOp::NanArgMax => by_dtype!(T => arg::Arg<T, false, false>),
        ReduceOp::NanSum => by_float!(T => Plain<T, NanSum>),
        ReduceOp::Count => by_float!(T => Plain<T, Count>),
        ReduceOp::M2 => by_float!(T => Statistics<T, Of<false, false, true, false>>),
        ReduceOp::NanM2 => by_float!(T => Statistics<T, Of<true, false, true, false>>),
    }
}

/// Partial results along a row.
const LANES: usize = 32;

/// Rows below this length need no more partial results.
const SHORT: usize = 8;

/// Pushes `count` groups of N elements, `step` bytes apart, into N partial results: element `i` of each into result `i`.
#[inline(always)]
unsafe fn accumulate<L: Level, X: Lane, A: Copy, const N: usize>(
    mut acc: [A; N],
    x: *const u8,
    step: isize,
    count: usize,
    push: impl Fn(usize, A, X::Wide) -> A,
) -> [A; N] {
    let mut at = x;
    for _ in 0..count {
        // SAFETY: the caller's: each group is N readable elements.
        let v = unsafe { X::load::<L, N>(at.cast()) };
        for i in 0..N {
            acc[i] = push(i, acc[i], v[i]);
        }
        at = at.wrapping_offset(step);
    }
    acc
}

/// Pushes `n` contiguous elements into partial results that start as `empty`, and combines these by halves.
#[inline(always)]
unsafe fn fold_row<L: Level, X: Lane, A: Copy>(
    empty: A,
    x: *const u8,
    n: usize,
    push: impl Fn(A, X::Wide) -> A,
    merge: impl Fn(A, A) -> A,
) -> A {
    let size = size_of::<X>();
    // SAFETY: the caller's: `n` readable elements.
    unsafe {
        if n < SHORT {
            // the same tree, without the partial results that nothing went into
            let mut acc = [empty; SHORT];
            for (i, a) in acc.iter_mut().enumerate().take(n) {
                *a = push(*a, x.cast::<X>().add(i).read().widen());
            }
            return halve(acc, merge);
        }
        let whole = n / LANES;
        let mut acc =
            accumulate::<L, X, A, LANES>([empty; LANES], x, (LANES * size) as isize, whole, |_, a, x| {
                push(a, x)
            });
        let left = n - whole * LANES;
        if left > 0 {
            let mut padded = [X::default(); LANES];
            std::ptr::copy_nonoverlapping(x.add(whole * LANES * size).cast::<X>(), padded.as_mut_ptr(), left);
            let v = X::load::<L, LANES>(padded.as_ptr());
            for i in 0..LANES {
                acc[i] = if i < left { push(acc[i], v[i]) } else { acc[i] };
            }
        }
        halve(acc, merge)
    }
}

/// Combines partial results `i` and `i + N / 2`, and so on until one is left. N is a power of two.
#[inline(always)]
fn halve<A: Copy, const N: usize>(mut acc: [A; N], merge: impl Fn(A, A) -> A) -> A {
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            acc[i] = merge(acc[i], acc[i + half]);
        }
        half /= 2;
    }
    acc[0]
}
