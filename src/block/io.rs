//! Where blocks come from and go to: the only thing files know of this library.

use super::tensor::Block;
use crate::dtype::DType;
use crate::error::Result;
use crate::shape::{Grid, Region};
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

/// Keeps a block's elements where kernels run, until it is dropped.
pub trait Held: Send + Sync {
    /// Brings the elements to the block's own memory, if they have not been there yet.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::error::ErrorKind::Device) if the device was lost, and they with it.
    fn fetch(&self) -> Result<()>;

    /// Notes that all elements have been stored: from now on they may be brought to the block whenever their place is needed.
    fn complete(&self) {}

    /// Whether the elements are there or here.
    ///
    /// # Errors
    /// [`ErrorKind::Device`](crate::error::ErrorKind::Device) if it is known that [`Held::fetch`] cannot bring them any more.
    fn intact(&self) -> Result<()> {
        Ok(())
    }
}

/// What several hold together: parts of a block, or copies of it. `None` if it is nothing.
pub(crate) fn together(mut all: Vec<Arc<dyn Held>>) -> Option<Arc<dyn Held>> {
    struct All(Vec<Arc<dyn Held>>);

    impl Held for All {
        fn fetch(&self) -> Result<()> {
            self.0.iter().try_for_each(|held| held.fetch())
        }

        fn complete(&self) {
            self.0.iter().for_each(|held| held.complete());
        }

        fn intact(&self) -> Result<()> {
            self.0.iter().try_for_each(|held| held.intact())
        }
    }

    match all.len() {
        0 | 1 => all.pop(),
        _ => Some(Arc::new(All(all))),
    }
}

/// A block whose elements may still be where kernels run.
#[derive(Clone)]
pub struct Lent {
    // goes first: memory that is used again must not be taken for what was held
    held: Option<Arc<dyn Held>>,
    block: Block,
}

impl Lent {
    /// A block, and what holds its elements elsewhere.
    pub fn new(block: Block, held: Option<Arc<dyn Held>>) -> Lent {
        Lent { held, block }
    }

    /// What holds the elements elsewhere, if anything does.
    pub fn held(&self) -> Option<&Arc<dyn Held>> {
        self.held.as_ref()
    }

    /// The block when its elements are here.
    ///
    /// # Errors
    /// Those of [`Held::fetch`].
    pub fn here(&self) -> Result<&Block> {
        self.held.as_ref().map_or(Ok(()), |held| held.fetch())?;
        Ok(&self.block)
    }

    /// The block, whose elements may not be there: for where it lies alone.
    pub(crate) fn outline(&self) -> &Block {
        &self.block
    }

    /// The part in a region, which must lie inside.
    pub fn slice(&self, region: &Region) -> Lent {
        Lent { held: self.held.clone(), block: self.block.slice(region) }
    }
}

impl From<Block> for Lent {
    fn from(block: Block) -> Lent {
        Lent { held: None, block }
    }
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

    /// The same for a kernel, which may run where the elements are.
    ///
    /// # Errors
    /// Those of [`BlockSource::read`].
    fn lend(&self, region: &Region) -> Result<Lent> {
        self.read(region).map(Lent::from)
    }

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
    block: Lent,
    grid: Grid,
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource")
            .field("block", self.block.outline())
            .field("grid", &self.grid)
            .finish_non_exhaustive()
    }
}

impl MemorySource {
    /// A source over a block, cut as `grid` says.
    pub fn new(block: impl Into<Lent>, grid: Grid) -> MemorySource {
        let block = block.into();
        debug_assert_eq!(grid.shape().as_slice(), block.outline().shape());
        MemorySource { block, grid }
    }
}

impl BlockSource for MemorySource {
    fn dtype(&self) -> DType {
        self.block.outline().dtype()
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "memory".into()
    }

    fn read(&self, region: &Region) -> Result<Block> {
        self.block.here().map(|block| block.slice(region))
    }

    fn lend(&self, region: &Region) -> Result<Lent> {
        Ok(self.block.slice(region))
    }

    fn read_bytes(&self, _extent: &[usize]) -> usize {
        0
    }

    fn in_memory(&self) -> bool {
        true
    }
}
