//! Chunked, lazy arrays and dataframes compiled to fused kernels and streamed inside a memory budget.

pub mod array;
pub mod backend;
pub mod block;
#[cfg(feature = "cluster")]
mod client;
#[cfg(feature = "cluster")]
pub mod cluster;
pub mod config;
pub mod diagnostics;
pub mod dtype;
pub mod error;
pub mod event;
pub mod expr;
#[cfg(feature = "frame")]
pub mod frame;
pub mod io;
pub mod ir;
pub mod meta;
#[cfg(feature = "frame")]
pub mod optimize;
pub mod plan;
pub mod schedule;
pub mod session;
pub mod shape;

pub use array::{Array, Batch, compute_all, open, persist_all};
pub use backend::Device;
#[cfg(feature = "gpu")]
pub use backend::gpu::devices;
pub use blockwise_kernels::op;
#[cfg(feature = "cluster")]
pub use client::Client;
pub use error::{Error, Result};
pub use session::Session;

/// What most programs use.
pub mod prelude {
    pub use crate::array::{
        Array, Batch, ChunkSpec, Generator, IntoArray, IntoAxes, Ix, concatenate, linspace, open, over,
        stack, where_,
    };
    pub use crate::backend::Device;
    pub use crate::block::Block;
    pub use crate::dtype::{DType, DType::*, Scalar, f16};
    pub use crate::error::{Error, ErrorKind};
    pub use crate::expr::PadMode;
    pub use crate::session::Session;
    pub use crate::{compute, ix, persist};
    pub use ndarray::s;
}

/// Compiles the README's examples.
#[cfg(all(doctest, feature = "frame", feature = "geotiff", feature = "progress"))]
#[doc = include_str!("../README.md")]
struct Readme;
