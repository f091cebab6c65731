//! Chunks on disk for a while: the store behind an exchange.
//!
//! The file has no name: the system removes it when the last handle closes, whatever ends the process. Every chunk carries a
//! checksum in memory, so a disk that lies is an error, not a wrong result.

use crate::block::{Block, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{Grid, Region};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A chunked array in an unnamed file.
#[derive(Debug)]
pub(super) struct SpillStore {
    file: File,
    dir: PathBuf,
    dtype: DType,
    grid: Grid,
    /// Offset and checksum of each chunk in C order; offset `u64::MAX` while it is not written.
    chunks: Mutex<Vec<(u64, u32)>>,
    end: AtomicU64,
}

impl SpillStore {
    pub fn create(dir: &Path, dtype: DType, grid: Grid) -> Result<SpillStore> {
        let file = tempfile::tempfile_in(dir).map_err(|e| Error::io("creating a spill file in", dir, e))?;
        let chunks = Mutex::new(vec![(u64::MAX, 0); grid.len()]);
        Ok(SpillStore { file, dir: dir.to_owned(), dtype, grid, chunks, end: AtomicU64::new(0) })
    }

    /// Writes the chunks that a region covers; the region is a union of chunks. Returns the bytes written.
    pub fn write(&self, region: &Region, block: &Block) -> Result<u64> {
        let mut written = 0;
        for index in self.grid.blocks_in(region) {
            let chunk = self.grid.region(&index);
            let part = block.slice(&chunk.relative_to(region)).to_contiguous();
            let bytes = part.bytes();
            let at = self.end.fetch_add(bytes.len() as u64, Relaxed);
            write_at(&self.file, bytes, at)
                .map_err(|e| Error::io("writing a spill file in", &self.dir, e))?;
            let mut chunks = self.chunks.lock().unwrap_or_else(|e| e.into_inner());
            chunks[self.number(&index)] = (at, crc32c::crc32c(bytes));
            written += bytes.len() as u64;
        }
        Ok(written)
    }

    fn number(&self, index: &[usize]) -> usize {
        index.iter().zip(self.grid.axes()).fold(0, |acc, (&i, a)| acc * a.count() + i)
    }

    fn read_chunk(&self, index: &[usize]) -> Result<Block> {
        let region = self.grid.region(index);
        let (at, crc) = self.chunks.lock().unwrap_or_else(|e| e.into_inner())[self.number(index)];
        let corrupt = |message: &str| -> Error {
            let path = self.dir.join("(spill file)");
            ErrorKind::CorruptChunk { path, chunk: index.to_vec(), message: message.into() }.into()
        };
        if at == u64::MAX {
            return Err(corrupt("it was never written"));
        }
        let mut block = Block::uninit(self.dtype, &region.shape);
        read_at(&self.file, block.bytes_mut(), at)
            .map_err(|e| Error::io("reading a spill file in", &self.dir, e))?;
        if crc32c::crc32c(block.bytes()) != crc {
            return Err(corrupt("its checksum does not match what was written"));
        }
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
        write_at(&store.file, &[9], 0).unwrap();
        assert!(store.read(&region).unwrap_err().to_string().contains("checksum"));
    }
}
