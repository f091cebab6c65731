//! Arrays in memory that are too large to travel with a computation: put once where all workers see them, and removed after the run.

use crate::block::{Address, Block, BlockSink, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::{ScratchDir, npy};
use crate::shape::{Grid, Region};
use std::path::PathBuf;
use std::sync::Arc;

/// Where arrays are put for a run: a place below a directory or URL, made when the first is.
#[derive(Debug)]
pub struct Scratch {
    root: Option<PathBuf>,
    dir: Option<ScratchDir>,
    count: usize,
}

impl Scratch {
    /// Below this directory or URL, if there is one.
    pub fn below(root: Option<PathBuf>) -> Scratch {
        Scratch { root, dir: None, count: 0 }
    }

    /// Whether anything can be put there.
    pub fn is_there(&self) -> bool {
        self.root.is_some()
    }

    /// Writes an array, and says where it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&mut self, source: &Arc<dyn BlockSource>) -> Result<Address> {
        let Some(root) = &self.root else { return Err(Error::internal("there is no scratch directory")) };
        let dir = match &self.dir {
            Some(dir) => dir,
            None => self.dir.insert(ScratchDir::below(root)?),
        };
        let path = dir.path().join(format!("{}.npy", self.count));
        self.count += 1;
        let grid = source.grid().clone();
        let sink = npy::NpySink::create(&path, source.dtype(), grid.clone())?;
        for n in 0..grid.len() {
            let region = grid.block(n);
            sink.write(&region, &source.read(&region)?)?;
        }
        sink.finish()?;
        let address = npy::NpySource::open(&path, crate::io::CHUNK_BYTES)?.address()?;
        address.ok_or_else(|| Error::internal("a file without an address"))
    }
}

/// An array that was put, as it was in memory: plans for the one and for the other are alike.
#[derive(Debug)]
pub struct Scattered {
    file: Arc<dyn BlockSource>,
    grid: Grid,
}

impl Scattered {
    /// A file as an array of these chunks.
    pub fn new(file: Arc<dyn BlockSource>, grid: Grid) -> Scattered {
        Scattered { file, grid }
    }
}

impl BlockSource for Scattered {
    fn dtype(&self) -> DType {
        self.file.dtype()
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "memory".into()
    }

    fn read(&self, region: &Region) -> Result<Block> {
        self.file.read(region)
    }

    fn read_bytes(&self, _: &[usize]) -> usize {
        // the file is mapped; only bools are copied
        0
    }

    fn in_memory(&self) -> bool {
        true
    }
}
