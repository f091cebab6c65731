//! Chunked, lazy arrays compiled to fused kernels and streamed inside a memory budget.

pub mod backend;
pub mod block;
pub mod dtype;
pub mod error;
pub mod io;
pub mod ir;
pub mod meta;
pub mod shape;

pub use blockwise_kernels::op;
