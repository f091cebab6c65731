//! Arrays and rows in memory that are too large to travel with a computation: put once where all workers see them, and removed after the run.

use crate::block::{Address, BatchSource, Block, BlockSink, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{ScratchDir, npy};
use crate::schedule::frame::{pack, rows_of};
use crate::shape::{AxisChunks, Grid, Region};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes and rows of the pieces that a part of a table is handed over in.
pub type Pieces = Vec<(u64, u64)>;

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
        let path = self.next()?;
        let grid = source.grid().clone();
        let sink = npy::NpySink::create(&path, source.dtype(), grid.clone())?;
        for n in 0..grid.len() {
            let region = grid.block(n);
            sink.write(&region, &source.read(&region)?)?;
        }
        sink.finish()?;
        address(path)
    }

    /// Writes rows, and says where they are, with the pieces of every part.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put_rows(&mut self, source: &Arc<dyn BatchSource>) -> Result<(Address, Vec<Pieces>)> {
        // once for their lengths, then a piece at a time
        let mut parts: Vec<Pieces> = vec![vec![]; source.parts()];
        each_piece(source, &mut |part, bytes, rows| {
            parts[part].push((bytes.len() as u64, rows));
            Ok(())
        })?;
        let lengths: Vec<usize> = parts.iter().flatten().map(|(bytes, _)| *bytes as usize).collect();
        let path = self.next()?;
        let grid = Grid::new([AxisChunks::explicit(&lengths)]);
        let sink = npy::NpySink::create(&path, DType::U8, grid.clone())?;
        let mut n = 0;
        each_piece(source, &mut |_, bytes, _| {
            n += 1;
            sink.write(&grid.block(n - 1), &Block::from_vec(bytes))
        })?;
        sink.finish()?;
        Ok((address(path)?, parts))
    }

    /// The next file.
    fn next(&mut self) -> Result<PathBuf> {
        let Some(root) = &self.root else { return Err(Error::internal("there is no scratch directory")) };
        let dir = match &self.dir {
            Some(dir) => dir,
            None => self.dir.insert(ScratchDir::below(root)?),
        };
        self.count += 1;
        Ok(dir.path().join(format!("{}.npy", self.count - 1)))
    }
}

fn address(path: PathBuf) -> Result<Address> {
    let address = npy::NpySource::open(path, crate::io::CHUNK_BYTES)?.address()?;
    address.ok_or_else(|| Error::internal("a file without an address"))
}

/// Hands over the pieces of a table as bytes, with their parts and numbers of rows.
fn each_piece(
    source: &Arc<dyn BatchSource>,
    each: &mut dyn FnMut(usize, Vec<u8>, u64) -> Result<()>,
) -> Result<()> {
    let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
    for part in 0..source.parts() {
        source.read(part, &columns, &mut |rows| {
            each(part, pack([rows.clone()].iter())?, rows.num_rows() as u64).map(|()| true)
        })?;
    }
    Ok(())
}

/// Rows that were put, as they were in memory.
#[derive(Debug)]
pub struct ScatteredRows {
    file: Arc<dyn BlockSource>,
    schema: SchemaRef,
    parts: Vec<Pieces>,
}

impl ScatteredRows {
    /// A file of bytes as a table.
    ///
    /// # Errors
    /// [`ErrorKind::Wire`] if the pieces are not the file.
    pub fn new(file: Arc<dyn BlockSource>, schema: SchemaRef, parts: Vec<Pieces>) -> Result<ScatteredRows> {
        let mut bytes = parts.iter().flatten().map(|(bytes, _)| *bytes);
        let sum = bytes.try_fold(0u64, u64::checked_add);
        let there = file.grid().shape().iter().map(|&n| n as u64).next();
        if file.dtype() != DType::U8 || file.grid().ndim() != 1 || sum.is_none() || sum != there {
            return Err(wrong(format!("{sum:?} bytes of rows in {} of {}", file.grid(), file.dtype())));
        }
        Ok(ScatteredRows { file, schema, parts })
    }
}

fn wrong(message: String) -> Error {
    ErrorKind::Wire { what: "rows", message }.into()
}

impl BatchSource for ScatteredRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        "memory".into()
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn rows(&self) -> Option<usize> {
        let rows = self.parts.iter().flatten().map(|(_, rows)| *rows);
        usize::try_from(rows.fold(0, u64::saturating_add)).ok()
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let bytes = |pieces: &Pieces| pieces.iter().map(|(bytes, _)| *bytes as usize).sum::<usize>();
        let mut at: usize = self.parts[..part].iter().map(bytes).sum();
        for &(len, rows) in &self.parts[part] {
            let block = self.file.read(&Region::new([at].as_slice(), [len as usize].as_slice()))?;
            at += len as usize;
            for piece in rows_of(block.to_contiguous().bytes().to_vec(), &self.schema)? {
                if piece.num_rows() as u64 != rows {
                    return Err(wrong(format!("a piece of {} rows, not {rows}", piece.num_rows())));
                }
                let piece = piece.project(columns).map_err(|e| Error::internal(e.to_string()))?;
                if !each(piece)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn read_bytes(&self, _: &[usize]) -> usize {
        // one piece is copied at a time
        0
    }

    fn in_memory(&self) -> bool {
        true
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
