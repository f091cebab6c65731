//! Bytes on disk for a while, and the store behind an exchange of blocks.
//!
//! The file has no name: the system removes it when the last handle closes, whatever ends the process. Every extent's
//! checksum is in memory, so a disk that lies is an error, not a wrong result.

use crate::block::{Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{Grid, Region};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// An unnamed file to which bytes are appended, from any thread, and from which they are read back.
#[derive(Debug)]
pub(super) struct SpillFile {
    file: File,
    dir: PathBuf,
    end: AtomicU64,
}

/// Where bytes are in a spill file, and their checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    at: u64,
    len: usize,
    crc: u32,
}

impl Extent {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl SpillFile {
    pub fn create(dir: &Path) -> Result<SpillFile> {
        let file = tempfile::tempfile_in(dir).map_err(|e| Error::io("creating a spill file in", dir, e))?;
        Ok(SpillFile { file, dir: dir.to_owned(), end: AtomicU64::new(0) })
    }

    /// Writes pieces one after the other.
    pub fn append(&self, pieces: &[&[u8]]) -> Result<Extent> {
        let len = pieces.iter().map(|p| p.len()).sum();
        let at = self.end.fetch_add(len as u64, Relaxed);
        let (mut next, mut crc) = (at, 0);
        for piece in pieces {
            write_at(&self.file, piece, next)
                .map_err(|e| Error::io("writing a spill file in", &self.dir, e))?;
            crc = crc32c::crc32c_append(crc, piece);
            next += piece.len() as u64;
        }
        Ok(Extent { at, len, crc })
    }

    /// Reads what was written to an extent; `chunk` names it in errors.
    pub fn read(&self, extent: Extent, into: &mut [u8], chunk: &[usize]) -> Result<()> {
        read_at(&self.file, into, extent.at)
            .map_err(|e| Error::io("reading a spill file in", &self.dir, e))?;
        if crc32c::crc32c(into) != extent.crc {
            return Err(self.corrupt(chunk, "its checksum does not match what was written"));
        }
        Ok(())
    }

    pub fn corrupt(&self, chunk: &[usize], message: &str) -> Error {
        let path = self.dir.join("(spill file)");
        ErrorKind::CorruptChunk { path, chunk: chunk.to_vec(), message: message.into() }.into()
    }
}

/// A chunked array in an unnamed file.
#[derive(Debug)]
pub(super) struct SpillStore {
    file: SpillFile,
    dtype: DType,
    grid: Grid,
    /// By chunk in C order; none while it is not written.
    chunks: Mutex<Vec<Option<Extent>>>,
}

impl SpillStore {
    pub fn create(dir: &Path, dtype: DType, grid: Grid) -> Result<SpillStore> {
        let chunks = Mutex::new(vec![None; grid.len()]);
        Ok(SpillStore { file: SpillFile::create(dir)?, dtype, grid, chunks })
    }

    /// Writes the chunks that a region covers; the region is a union of chunks. Returns the bytes written.
    pub fn write(&self, region: &Region, block: &Block) -> Result<u64> {
        let mut written = 0;
        for index in self.grid.blocks_in(region) {
            let chunk = self.grid.region(&index);
            let part = block.slice(&chunk.relative_to(region)).to_contiguous();
            let extent = self.file.append(&[part.bytes()])?;
            self.chunks.lock().unwrap_or_else(|e| e.into_inner())[self.number(&index)] = Some(extent);
            written += extent.len() as u64;
        }
        Ok(written)
    }

    fn number(&self, index: &[usize]) -> usize {
        index.iter().zip(self.grid.axes()).fold(0, |acc, (&i, a)| acc * a.count() + i)
    }

    fn read_chunk(&self, index: &[usize]) -> Result<Block> {
        let region = self.grid.region(index);
        let extent = self.chunks.lock().unwrap_or_else(|e| e.into_inner())[self.number(index)];
        let extent = extent.ok_or_else(|| self.file.corrupt(index, "it was never written"))?;
        let mut block = Block::uninit(self.dtype, &region.shape);
        self.file.read(extent, block.bytes_mut(), index)?;
        Ok(block)
    }
}

impl BlockSource for SpillStore {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        "spill store".into()
    }

    fn read(&self, region: &Region) -> Result<Block> {
        let mut out = Block::uninit(self.dtype, &region.shape);
        for index in self.grid.blocks_in(region) {
            let chunk = self.grid.region(&index);
            let block = self.read_chunk(&index)?;
            if chunk == *region {
                return Ok(block);
            }
            let part = chunk.intersect(region);
            out.copy_from(&part.relative_to(region), &block.slice(&part.relative_to(&chunk)));
        }
        Ok(out)
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        // the region, and one chunk at a time
        let elements = |shape: &[usize]| shape.iter().product::<usize>() * self.dtype.size();
        elements(extent) + elements(&self.grid.max_block())
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        bytes = &bytes[n..];
        at += n as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, bytes: &mut [u8], mut at: u64) -> std::io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let n = std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        done += n;
        at += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_read_back_across_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let grid = Grid::regular(&[5, 7], &[2, 3]);
        let store = SpillStore::create(dir.path(), DType::I32, grid).unwrap();
        let array = ndarray::Array2::from_shape_fn((5, 7), |(r, c)| (r * 10 + c) as i32);
        let whole = Block::from_array(array.clone());
        for (start, n) in [(0, 2), (2, 2), (4, 1)] {
            let region = Region::new([start, 0].as_slice(), [n, 7].as_slice());
            store.write(&region, &whole.slice(&region)).unwrap();
        }
        let region = Region::new([1, 2].as_slice(), [3, 4].as_slice());
        let read = store.read(&region).unwrap();
        assert_eq!(read.view::<i32>().unwrap(), whole.slice(&region).view::<i32>().unwrap());
    }

    #[test]
    fn what_was_not_written_or_changed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = SpillStore::create(dir.path(), DType::U8, Grid::regular(&[4], &[2])).unwrap();
        let region = Region::new([0].as_slice(), [2].as_slice());
        store.write(&region, &Block::from_vec(vec![1u8, 2])).unwrap();
        assert!(store.read(&Region::whole(&[4])).is_err());
        write_at(&store.file.file, &[9], 0).unwrap();
        assert!(store.read(&region).unwrap_err().to_string().contains("checksum"));
    }
}
