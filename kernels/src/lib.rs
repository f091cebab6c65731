//! SIMD kernels of `blockwise`: slices in, slices out.
//!
//! This crate is the bottom of the stack: the words every layer shares ([`DType`], [`Scalar`], the operation
//! enums of [`op`]), what each operation means for one element ([`naive`]), and the same operations over slices,
//! compiled for several instruction sets and picked at run time. It knows nothing of blocks, graphs or files.

pub mod dtype;
pub mod math;
pub mod naive;
pub mod op;
pub mod tile;

pub use dtype::{DType, Element, Scalar};
pub use half::f16;
