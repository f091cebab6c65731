//! Where blocks come from and go to: the only thing files know of this library.

use super::tensor::Block;
use crate::dtype::DType;
use crate::error::Result;
use crate::shape::{Grid, Region};
use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where another process finds what a source reads or a sink writes, and how it opens it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// The format's name.
    pub format: String,
    /// The file or directory, which every process must see under this path.
    pub path: PathBuf,
    /// How it is opened.
    pub options: Vec<(String, u64)>,
    /// What changes when the file does: its length, and when it was written, in nanoseconds. Zeros if that does not matter.
    pub stamp: [u64; 2],
}

/// Something that yields any region of an array: a file, a user's array, a computed intermediate.
///
/// A source is immutable while it is used: two reads of one region give the same elements.
pub trait BlockSource: Send + Sync + fmt::Debug {
    /// Dtype of the elements.
    fn dtype(&self) -> DType;

    /// The chunks it is stored in; its shape is theirs. Reading along them is what costs least.
    fn grid(&self) -> &Grid;

    /// What it is, for plans and errors: `"L7_ETMs.tif"`, `"memory"`.
    fn label(&self) -> String;

    /// Reads a region, which lies inside the shape. The block has the region's shape.
    fn read(&self, region: &Region) -> Result<Block>;

    /// Upper bound of the memory that reading any region of this extent takes, result and decoding buffers together;
    /// 0 if reading gives a view of memory that is there anyway.
    fn read_bytes(&self, extent: &[usize]) -> usize;

    /// Whether reading gives views of memory: then no region costs more than another, and nothing is gained by keeping
    /// or rearranging what was read.
    fn in_memory(&self) -> bool {
        false
    }

    /// How another process opens it; `None` if it cannot. What is in memory and has no address travels as bytes.
    ///
    /// # Errors
    /// If the file is not there any more.
    fn address(&self) -> Result<Option<Address>> {
        Ok(None)
    }
}

/// Something that takes the blocks of an array: a file being written, memory of the user.
///
/// Nothing is visible at the destination before [`BlockSink::finish`]; dropping a sink before that removes what was
/// written.
pub trait BlockSink: Send + Sync + fmt::Debug {
    /// The chunks it stores. Every write covers whole chunks of this grid, and no chunk is written twice.
    fn grid(&self) -> &Grid;

    /// What it is, for plans and errors.
    fn label(&self) -> String;

    /// Writes a block (C-ordered or not) at a region. Called from several threads at once.
    fn write(&self, region: &Region, block: &Block) -> Result<()>;

    /// Upper bound of the memory that writing a block of this extent takes, the block itself not counted.
    fn write_bytes(&self, extent: &[usize]) -> usize;

    /// Publishes what was written. Called once, after the last write.
    fn finish(&self) -> Result<()>;

    /// How other processes write chunks of it in its place; `None` if all must be written here. Writing a chunk again, with the same
    /// elements, must do no harm: nobody knows how far a process came that died.
    fn address(&self) -> Option<Address> {
        None
    }

    /// Notes that others wrote all of it, before [`BlockSink::finish`].
    fn written_elsewhere(&self) {}
}

/// A block in memory as a source, with the chunks that tasks should take.
pub struct MemorySource {
    block: Block,
    grid: Grid,
    /// Whatever is to live as long.
    #[allow(dead_code, reason = "held for its drop")]
    with: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource")
            .field("block", &self.block)
            .field("grid", &self.grid)
            .finish_non_exhaustive()
    }
}

impl MemorySource {
    /// A source over a block, cut as `grid` says.
    pub fn new(block: Block, grid: Grid) -> MemorySource {
        debug_assert_eq!(grid.shape().as_slice(), block.shape());
        MemorySource { block, grid, with: None }
    }

    /// The same, which keeps something as long as it lives itself: a copy of the block elsewhere.
    pub fn with(self, kept: Option<Arc<dyn Any + Send + Sync>>) -> MemorySource {
        MemorySource { with: kept, ..self }
    }

    /// The whole block.
    pub fn block(&self) -> &Block {
        &self.block
    }
}

impl BlockSource for MemorySource {
    fn dtype(&self) -> DType {
        self.block.dtype()
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "memory".into()
    }

    fn read(&self, region: &Region) -> Result<Block> {
        Ok(self.block.slice(region))
    }

    fn read_bytes(&self, _extent: &[usize]) -> usize {
        0
    }

    fn in_memory(&self) -> bool {
        true
    }
}
