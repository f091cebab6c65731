//! Products of matrices: `c += a b`, by panels that fit the caches and tiles that fit the registers.
//!
//! Both operands are packed: of `a` slivers of a few rows, of `b` slivers of two vectors of columns, each in the order in which the
//! innermost loop reads them, whatever the strides they come with. That loop keeps a tile of sums in registers.
//!
//! **Invariant:** a sum is that of the terms of runs of [`RUN`], in order, each from zero, added in order. So its bits are those of no tile
//! or panel, and an operand and its transpose give the same; they do depend on whether there is a fused multiply-add.

use super::Isa;
use super::isa::{Level, per_isa};
use super::lanes::Lane;
use super::vectors::{Tile, Wide};
use crate::{DType, f16};

/// Terms that are summed from zero.
pub const RUN: usize = 256;
/// Rows of `a` that are packed at once.
const ROWS: usize = 1024;
/// Bytes of `b` that are packed at once, about half of a second-level cache.
const PANEL: usize = 512 << 10;

/// A matrix: its first element, and bytes from row to row and from column to column.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// First element.
    pub ptr: *const u8,
    /// Bytes from a row to the next.
    pub rows: isize,
    /// Bytes from a column to the next.
    pub cols: isize,
}

/// A product to be added to sums.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Rows of `a` and of the sums, columns of `b` and of the sums, columns of `a` and rows of `b`.
    pub extent: (usize, usize, usize),
    /// Left operand.
    pub a: Matrix,
    /// Right operand.
    pub b: Matrix,
    /// The sums, row after row, of the dtype [`product_sum`].
    pub c: *mut u8,
    /// Whether all of them are 0 still: so they need not be sent to where they are added to.
    pub fresh: bool,
    /// [`product_room`] bytes to work in, aligned to 64.
    pub room: *mut u8,
}

/// Adds a product to sums: of floats with `+`, of integers modulo their size, of bools with `or`.
///
/// # Safety
/// See the module [`tile`](super): the operands are elements of the dtype the function was asked for; sums and room are nobody else's.
pub type ProductFn = unsafe fn(product: &Product);

per_isa!(Loop, compile, unsafe fn(product: &Product));

/// The dtype of the sums of products: that of the operands, for `f16` `f32`.
pub fn product_sum(dtype: DType) -> DType {
    if dtype == DType::F16 { DType::F32 } else { dtype }
}

/// Bytes to work in for a product of at most this extent: enough for all instruction sets.
pub fn product_room(dtype: DType, (m, n, k): (usize, usize, usize)) -> usize {
    let item = if dtype.size() == 8 { 8 } else { 4 };
    // the narrower side may come first; slivers are padded to their width, which is at most 32
    let (run, wide) = (k.min(RUN), PANEL / RUN / item);
    let padded = |most: usize| m.max(n).min(most).next_multiple_of(32) + 32;
    (padded(ROWS) + padded(wide)) * run * item
}

/// The function for operands of a dtype.
pub fn product(isa: Isa, dtype: DType) -> ProductFn {
    match dtype {
        DType::Bool => compile::<Of<Truth>>(isa),
        DType::I8 | DType::U8 => compile::<Of<u8>>(isa),
        DType::I16 | DType::U16 => compile::<Of<u16>>(isa),
        DType::I32 | DType::U32 => compile::<Of<u32>>(isa),
        DType::I64 | DType::U64 => compile::<Of<u64>>(isa),
        DType::F16 => compile::<Of<f16>>(isa),
        DType::F32 => compile::<Of<f32>>(isa),
        DType::F64 => compile::<Of<f64>>(isa),
    }
}

/// An element of an operand: what it is computed in, and what it is summed in.
trait Term: Copy {
    type Wide: Wide;
    type Sum: Copy;
    /// The element at `p`.
    ///
    /// # Safety
    /// There is one.
    unsafe fn load<L: Level>(p: *const Self) -> Self::Wide;
    /// A sum and the sum of a run.
    fn add(sum: Self::Sum, run: Self::Wide) -> Self::Sum;
}

macro_rules! term {
    ($($T:ty, $W:ty, $sum:ident $run:ident => $add:expr;)*) => {$(
        impl Term for $T {
            type Wide = $W;
            type Sum = $T;
            #[inline(always)]
            unsafe fn load<L: Level>(p: *const $T) -> $W {
                // SAFETY: the caller's.
                unsafe { p.read() as $W }
            }
            #[inline(always)]
            fn add($sum: $T, $run: $W) -> $T {
                $add
            }
        }
    )*};
}
// the low bits of integers are those of their products and sums in a wider type, signed or not
term! {
    u8, u32, sum run => sum.wrapping_add(run as u8);
    u16, u32, sum run => sum.wrapping_add(run as u16);
    u32, u32, sum run => sum.wrapping_add(run);
    u64, u64, sum run => sum.wrapping_add(run);
    f32, f32, sum run => sum + run;
    f64, f64, sum run => sum + run;
}

/// The byte of a bool.
#[derive(Clone, Copy)]
struct Truth(u8);

impl Term for Truth {
    type Wide = u32;
    type Sum = u8;
    #[inline(always)]
    unsafe fn load<L: Level>(p: *const Truth) -> u32 {
        // SAFETY: the caller's.
        unsafe { (*p).0.into() }
    }
    #[inline(always)]
    fn add(sum: u8, run: u32) -> u8 {
        sum | u8::from(run != 0)
    }
}

impl Term for f16 {
    type Wide = f32;
    type Sum = f32;
    #[inline(always)]
    unsafe fn load<L: Level>(p: *const f16) -> f32 {
        // SAFETY: the caller's.
        unsafe { <f16 as Lane>::load::<L, 1>(p)[0] }
    }
    #[inline(always)]
    fn add(sum: f32, run: f32) -> f32 {
        sum + run
    }
}

struct Of<T>(std::marker::PhantomData<T>);

impl<T: Term> Loop for Of<T> {
    #[inline(always)]
    unsafe fn run<L: Level>(product: &Product) {
        // the narrower side may come first; then the product of the transposed operands, in the other order, is the transposed product
        let Product { extent: (m, n, k), a, b, c, room, .. } = *product;
        let c = c.cast::<T::Sum>();
        let (extent, a, b, c) = if n < L::Tile::<T::Wide>::COLS && n < m {
            ((n, m, k), b.turned(), a.turned(), Sums { ptr: c, rows: 1, cols: n })
        } else {
            ((m, n, k), a, b, Sums { ptr: c, rows: n, cols: 1 })
        };
        // SAFETY: the caller's.
        unsafe {
            match extent.0 {
                1 => panels::<T, L, L::Row<T::Wide>>(extent, a, b, c, room),
                _ => panels::<T, L, L::Tile<T::Wide>>(extent, a, b, c, room),
            }
        }
    }
}

#[inline(always)]
unsafe fn panels<T: Term, L: Level, R: Tile<T::Wide>>(
    (m, n, k): (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    c: Sums<T::Sum>,
    room: *mut u8,
) {
    let wide = PANEL / RUN / size_of::<T::Wide>();
    // SAFETY: slivers of `a`, then slivers of `b`, fit the room; tiles are cut by the extent.
    unsafe {
        let slivers = room.cast::<T::Wide>();
        let panel = slivers.add(m.min(ROWS).next_multiple_of(R::ROWS) * k.min(RUN));
        for k0 in (0..k).step_by(RUN) {
            let kc = RUN.min(k - k0);
            for m0 in (0..m).step_by(ROWS) {
                let mc = ROWS.min(m - m0);
                for i in (0..mc).step_by(R::ROWS) {
                    let lines = R::ROWS.min(mc - i);
                    pack::<T, L>(a.at(m0 + i, k0), (lines, R::ROWS, kc), slivers.add(i * kc));
                }
                for n0 in (0..n).step_by(wide) {
                    let nc = wide.min(n - n0);
                    for j in (0..nc).step_by(R::COLS) {
                        let lines = R::COLS.min(nc - j);
                        pack::<T, L>(b.at(k0, n0 + j).turned(), (lines, R::COLS, kc), panel.add(j * kc));
                    }
                    for i in (0..mc).step_by(R::ROWS) {
                        for j in (0..nc).step_by(R::COLS) {
                            let tile = R::sum::<L>(kc, slivers.add(i * kc), panel.add(j * kc));
                            let extent = (R::ROWS.min(mc - i), R::COLS.min(nc - j));
                            c.at(m0 + i, n0 + j).add::<T, R>(&tile, extent);
                        }
                    }
                }
            }
        }
    }
}

/// Copies `lines` of `run` elements, element after element of all lines, with zeros for what is missing of `n` lines.
#[inline(always)]
unsafe fn pack<T: Term, L: Level>(x: Matrix, (lines, n, run): (usize, usize, usize), out: *mut T::Wide) {
    // SAFETY: the caller's: so many lines of so many elements are there, and room for `n` in place of them.
    unsafe {
        if lines == n && x.rows == size_of::<T>() as isize {
            for p in 0..run {
                let (x, out) = (x.at(0, p).ptr.cast::<T>(), out.add(p * n));
                for i in 0..n {
                    *out.add(i) = T::load::<L>(x.add(i));
                }
            }
            return;
        }
        for i in 0..lines {
            for p in 0..run {
                *out.add(p * n + i) = T::load::<L>(x.at(i, p).ptr.cast());
            }
        }
        for i in lines..n {
            for p in 0..run {
                *out.add(p * n + i) = T::Wide::default();
            }
        }
    }
}

impl Matrix {
    /// The part that begins at a row and a column.
    #[inline(always)]
    fn at(self, row: usize, col: usize) -> Matrix {
        let by = row as isize * self.rows + col as isize * self.cols;
        Matrix { ptr: self.ptr.wrapping_offset(by), ..self }
    }

    /// The transposed matrix.
    #[inline(always)]
    fn turned(self) -> Matrix {
        Matrix { ptr: self.ptr, rows: self.cols, cols: self.rows }
    }
}

/// Sums, and elements from row to row and from column to column.
#[derive(Clone, Copy)]
struct Sums<S> {
    ptr: *mut S,
    rows: usize,
    cols: usize,
}

impl<S> Sums<S> {
    #[inline(always)]
    fn at(&self, row: usize, col: usize) -> Sums<S> {
        let ptr = self.ptr.wrapping_add(row * self.rows + col * self.cols);
        Sums { ptr, rows: self.rows, cols: self.cols }
    }

    /// Adds the first rows and columns of a tile.
    ///
    /// # Safety
    /// So many there are.
    #[inline(always)]
    unsafe fn add<T: Term<Sum = S>, R: Tile<T::Wide>>(self, tile: &R, (rows, cols): (usize, usize)) {
        for i in 0..rows {
            let row = &tile.row(i)[..cols];
            // SAFETY: the caller's.
            unsafe {
                let to = self.ptr.add(i * self.rows);
                if self.cols == 1 {
                    for (j, &run) in row.iter().enumerate() {
                        let to = to.add(j);
                        to.write(T::add(to.read(), run));
                    }
                } else {
                    for (j, &run) in row.iter().enumerate() {
                        let to = to.add(j * self.cols);
                        to.write(T::add(to.read(), run));
                    }
                }
            }
        }
    }
}
