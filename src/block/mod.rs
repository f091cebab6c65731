//! Data in memory: dense tensor blocks over pooled or borrowed storage, and the traits by which blocks come from and go to
//! the outside.

#[cfg(feature = "frame")]
pub(crate) mod batch;
mod buffer;
mod io;
mod tensor;

#[cfg(feature = "frame")]
pub use batch::{BatchSink, BatchSource, MemoryBatches};
pub use buffer::{Buffer, pool};
pub use io::{BlockSink, BlockSource, MemorySource};
pub use tensor::{Block, BlockRef};
