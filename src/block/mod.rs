//! Data in memory: dense tensor blocks over pooled or borrowed storage, and the traits by which blocks come from and go to
//! the outside.

#[cfg(feature = "frame")]
pub(crate) mod batch;
#[cfg(feature = "frame")]
mod bound;
mod buffer;
mod io;
mod tensor;

#[cfg(feature = "frame")]
pub use batch::{BatchSink, BatchSource, FileAddress, MemoryBatches, PartSink, TableAddress};
#[cfg(feature = "frame")]
pub use bound::{Bound, Comparison, Facts};
#[cfg(feature = "frame")]
pub(crate) use buffer::give_back;
pub use buffer::{Buffer, pool};
pub(crate) use io::together;
pub use io::{Address, BlockSink, BlockSource, Held, Lent, MemorySource};
pub use tensor::{Block, BlockRef};
