//! The operations over tiles: erased functions on contiguous elements, one instance per instruction set.
//!
//! A kernel compiler asks once for each function it needs ([`unary`], [`binary`], [`fold_rows`]...) and calls it for
//! every tile. The loops are written once, over scalars, in a form that the compiler vectorizes (see `lanes`), and are
//! instantiated under the target features of each [`Isa`].
//!
//! # Safety
//! What every function pointer of this module asks of its caller:
//! - an operand called a vector is `n` readable elements of the dtype, one called a scalar is one; none need be
//!   aligned beyond the alignment of their element;
//! - `out` is `n` writable elements and is either exactly a vector operand whose elements have the same size, or overlaps
//!   no operand;
//! - bytes of a `bool` are 0 or 1;
//! - the CPU has the instruction set of the [`Isa`] that the function was asked for, which holds for those of
//!   [`Isa::available`].

mod binary;
mod cast;
mod compare;
mod elementary;
mod float;
mod fold;
mod half;
mod integer;
mod isa;
mod lanes;
mod moves;
mod product;
mod unary;
mod vectors;

#[cfg(test)]
mod tests;

pub use binary::{binary, mul_add};
pub use cast::cast;
pub use compare::{compare, select};
pub use fold::{
    FoldCols, FoldGroups, FoldRows, MergeFn, MergeGroups, PLANES, Panel, Place, Records, TOGETHER, fold_cols,
    fold_groups, fold_rows, init, joint, merge, merge_groups, shared,
};
pub use isa::Isa;
pub use moves::{
    CompactFn, GatherFn, IotaFn, PanelFn, ScatterFn, StreamFn, compact, gather, gather_panel, iota, scatter,
    splat, stream_copy,
};
pub use product::{Matrix, Product, ProductFn, RUN as PRODUCT_RUN, product, product_room, product_sum};
pub use unary::unary;

/// `(x, out, n)`.
pub type UnaryFn = unsafe fn(x: *const u8, out: *mut u8, n: usize);
/// `(a, b, out, n)`.
pub type BinaryFn = unsafe fn(a: *const u8, b: *const u8, out: *mut u8, n: usize);
/// `(a, b, c, out, n)`.
pub type TernaryFn = unsafe fn(a: *const u8, b: *const u8, c: *const u8, out: *mut u8, n: usize);

/// Which operands of a binary function are vectors (V) and which one element used for all points (S).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operands {
    /// Two vectors.
    VV,
    /// A vector and a scalar.
    VS,
    /// A scalar and a vector.
    SV,
}
