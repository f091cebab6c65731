//! Data in memory: dense tensor blocks over pooled or borrowed storage, and the traits by which blocks come from and go to
//! the outside.

mod buffer;
mod io;
mod tensor;

pub use buffer::{Buffer, pool};
pub use io::{BlockSink, BlockSource, MemorySource};
pub use tensor::{Block, BlockRef};
