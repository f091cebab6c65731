//! NumPy's `.npy` files: memory-mapped reading without copies, parallel writing.
//!
//! | | read | write |
//! |---|---|---|
//! | format versions | 1.0, 2.0, 3.0 | 1.0 (2.0 for very long headers) |
//! | order | C and Fortran | C |
//! | byte order | both | little-endian |
//! | dtypes | `?`, integers of 1 to 8 bytes, `f2` `f4` `f8` | the same |
//!
//! Complex numbers, strings, dates, records and pickled objects are refused by name.

use super::input::Input;
use super::{address, temp};
use crate::block::{Address, Block, BlockSink, BlockSource};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{Grid, Region};
use memmap2::Mmap;
use smallvec::SmallVec;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers are padded so that the elements start at a multiple of this.
const ALIGN: usize = 64;
/// No header that is written here is longer.
const MAX_HEADER: usize = 1 << 20;

/// A `.npy` file, memory-mapped.
///
/// Reading gives views of the file's pages: nothing is copied and nothing counts against a memory budget, and the
/// operating system drops and reloads pages as it likes. A file in an object store is first copied to an unnamed file in the system's directory for
/// temporary files. Only `bool` elements (NumPy takes any non-zero byte for true),
/// the other byte order and a misaligned start are copied and converted.
///
/// **The file must not be truncated while a source or a block of it lives**: touching a page that is gone ends the
/// process with `SIGBUS`, which no library can turn into an error. Replacing the file (a rename over it, as
/// [`NpySink`] does) is safe.
///
/// ```
/// # fn main() -> blockwise::error::Result<()> {
/// use blockwise::{block::{Block, BlockSink, BlockSource}, dtype::DType, io::npy::*, shape::{Grid, Region}};
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("a.npy");
/// let sink = NpySink::create(&path, DType::I32, Grid::regular(&[4, 3], &[2, 3]))?;
/// for i in 0..2 {
///     let values = ndarray::Array2::from_shape_fn((2, 3), |(r, c)| (6 * i + 3 * r + c) as i32);
///     sink.write(&Region::new([2 * i, 0].as_slice(), [2, 3].as_slice()), &Block::from_array(values))?;
/// }
/// sink.finish()?;
/// let source = NpySource::open(&path, 1 << 20)?;
/// assert_eq!(source.read(&Region::new([1, 1].as_slice(), [2, 1].as_slice()))?.view::<i32>()?.sum(), 4 + 7);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct NpySource {
    path: PathBuf,
    map: Arc<Mmap>,
    dtype: DType,
    grid: Grid,
    strides: SmallVec<[isize; 4]>,
    /// Offset of the first element.
    start: usize,
    /// Whether the elements are what a block holds, byte for byte.
    direct: bool,
    swapped: bool,
    chunk_bytes: usize,
}

impl NpySource {
    /// Opens a file; its grid has blocks of about `chunk_bytes`, cut along the slowest axes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it cannot be opened, [`ErrorKind::Format`] if its header is malformed or the file shorter
    /// than its header says, [`ErrorKind::Unsupported`] for element types that this library has not.
    pub fn open(path: impl AsRef<Path>, chunk_bytes: usize) -> Result<NpySource> {
        let path = path.as_ref().to_owned();
        let file = Input::on_disk(&path).map_err(|e| Error::io("opening", &path, e))?;
        if file.metadata().map_err(|e| Error::io("opening", &path, e))?.is_dir() {
            return Err(Error::io("opening", &path, std::io::ErrorKind::IsADirectory.into()));
        }
        // SAFETY: the map is read-only; the type's documentation hands the duty not to truncate the file to the user.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("mapping", &path, e))?;
        let header = Header::parse(&map, &path)?;
        let size = header.dtype.size();
        let needed = header
            .shape
            .iter()
            .try_fold(size, |n, &len| n.checked_mul(len))
            .and_then(|n| n.checked_add(header.start))
            .filter(|&n| n <= isize::MAX as usize);
        if needed.is_none_or(|n| n > map.len()) {
            let message = format!(
                "truncated: shape {:?} of {} does not fit in its {} bytes",
                header.shape,
                header.dtype,
                map.len()
            );
            return Err(Error::format("npy file", &path, message));
        }
        let strides = if header.fortran {
            let reversed: Vec<usize> = header.shape.iter().rev().copied().collect();
            crate::shape::c_strides(&reversed).into_iter().rev().collect()
        } else {
            crate::shape::c_strides(&header.shape)
        };
        let aligned = (map.as_ptr() as usize + header.start).is_multiple_of(size);
        let direct = aligned && !header.swapped && header.dtype != DType::Bool;
        let chunk = slabs(&header.shape, size, chunk_bytes, header.fortran);
        Ok(NpySource {
            path,
            map: Arc::new(map),
            dtype: header.dtype,
            grid: Grid::regular(&header.shape, &chunk),
            strides,
            start: header.start,
            direct,
            swapped: header.swapped,
            chunk_bytes,
        })
    }

    /// Copies a region element by element, undoing byte order and odd bools.
    fn convert(&self, region: &Region) -> Block {
        let mut block = Block::uninit(self.dtype, &region.shape);
        if region.is_empty() {
            return block;
        }
        let size = self.dtype.size();
        let n = region.ndim();
        let mut index: SmallVec<[usize; 4]> = region.start.clone();
        let (row, step) = match n.checked_sub(1) {
            Some(last) => (region.shape[last], self.strides[last] as usize * size),
            None => (1, size),
        };
        for target in block.bytes_mut().chunks_exact_mut(row * size) {
            let at: usize = index.iter().zip(&self.strides).map(|(&i, &s)| i * s as usize).sum();
            let mut from = self.start + at * size;
            for element in target.chunks_exact_mut(size) {
                element.copy_from_slice(&self.map[from..from + size]);
                if self.swapped {
                    element.reverse();
                }
                if self.dtype == DType::Bool {
                    element[0] = u8::from(element[0] != 0);
                }
                from += step;
            }
            // the next row: an odometer over all axes but the last
            for k in (0..n.saturating_sub(1)).rev() {
                index[k] += 1;
                if index[k] < region.end(k) {
                    break;
                }
                index[k] = region.start[k];
            }
        }
        block
    }
}

impl BlockSource for NpySource {
    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        super::file_label(&self.path)
    }

    fn read(&self, region: &Region) -> Result<Block> {
        if !self.direct {
            return Ok(self.convert(region));
        }
        let at: isize = if region.is_empty() {
            0
        } else {
            region.start.iter().zip(&self.strides).map(|(&i, &s)| i as isize * s).sum()
        };
        let ptr = self.map[self.start + at as usize * self.dtype.size()..].as_ptr();
        let owner: Arc<Mmap> = self.map.clone();
        // SAFETY: `open` checked that all elements of the shape lie inside the map, aligned, in native byte order, of a
        // dtype for which every bit pattern is a value; nothing writes through a read-only map.
        Ok(unsafe { Block::from_foreign(self.dtype, &region.shape, &self.strides, ptr, owner) })
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        if self.direct { 0 } else { extent.iter().product::<usize>() * self.dtype.size() }
    }

    fn in_memory(&self) -> bool {
        self.direct
    }

    fn address(&self) -> Result<Option<Address>> {
        address::of_file("npy", &self.path, &self.path, &[("chunk_bytes", self.chunk_bytes as u64)]).map(Some)
    }
}

/// Chunks of about `target` bytes that are contiguous in the file.
fn slabs(shape: &[usize], size: usize, target: usize, fortran: bool) -> Vec<usize> {
    let mut chunk = shape.to_vec();
    let slow_first: Vec<usize> =
        if fortran { (0..shape.len()).rev().collect() } else { (0..shape.len()).collect() };
    for k in slow_first {
        let bytes = chunk.iter().fold(size, |n, &len| n.saturating_mul(len.max(1)));
        if bytes <= target {
            break;
        }
        let row = bytes / chunk[k].max(1);
        chunk[k] = (target / row).max(1);
    }
    chunk
}

/// What a header says.
struct Header {
    dtype: DType,
    swapped: bool,
    fortran: bool,
    shape: Vec<usize>,
    start: usize,
}

impl Header {
    fn parse(bytes: &[u8], path: &Path) -> Result<Header> {
        let bad = |message: &str| Error::format("npy file", path, message);
        if bytes.len() < 10 || !bytes.starts_with(MAGIC) {
            return Err(bad("it does not start with \\x93NUMPY and a version"));
        }
        let (text, start) = match bytes[6] {
            1 => (10, 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize),
            2 | 3 if bytes.len() >= 12 => {
                let n = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
                (12, 12usize.saturating_add(n as usize))
            }
            v => return Err(bad(&format!("format version {v} is not known"))),
        };
        let text = bytes.get(text..start).ok_or_else(|| bad("truncated inside the header"))?;
        let text = std::str::from_utf8(text).map_err(|_| bad("the header is not text"))?;
        let field = |key: &str| {
            let quoted = [format!("'{key}'"), format!("\"{key}\"")];
            let rest = quoted.iter().find_map(|q| text.split_once(q.as_str())).map(|(_, rest)| rest);
            rest.and_then(|r| r.trim_start().strip_prefix(':'))
                .map(str::trim_start)
                .ok_or_else(|| bad(&format!("the header has no {key:?}: {text}")))
        };
        let descr = field("descr")?;
        let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let Some((code, _)) = quote.and_then(|q| descr[1..].split_once(q)) else {
            return Err(ErrorKind::Unsupported {
                what: format!("{}: a record array", path.display()),
                hint: "save its fields as arrays of their own".into(),
            }
            .into());
        };
        let (dtype, swapped) = parse_descr(code).ok_or_else(|| {
            Error::from(ErrorKind::Unsupported {
                what: format!("{}: elements of type {code:?}", path.display()),
                hint: "bool, integers of 1 to 8 bytes, f2, f4 and f8 can be read".into(),
            })
        })?;
        let fortran = match field("fortran_order")? {
            s if s.starts_with("True") => true,
            s if s.starts_with("False") => false,
            _ => return Err(bad("fortran_order is neither True nor False")),
        };
        let shape = field("shape")?
            .strip_prefix('(')
            .and_then(|s| s.split_once(')'))
            .and_then(|(s, _)| {
                let parts = s.split(',').map(|p| p.trim().trim_end_matches('L')).filter(|p| !p.is_empty());
                parts.map(|p| p.parse().ok()).collect::<Option<Vec<usize>>>()
            })
            .ok_or_else(|| bad("shape is not a tuple of lengths"))?;
        Ok(Header { dtype, swapped, fortran, shape, start })
    }
}

/// `<f4` and the like: the dtype, and whether its bytes are the other way round on this machine.
fn parse_descr(code: &str) -> Option<(DType, bool)> {
    let (order, kind) = match code.as_bytes().first()? {
        b'<' | b'>' | b'=' | b'|' => code.split_at(1),
        _ => ("=", code),
    };
    let dtype = DType::ALL.into_iter().find(|d| descr(*d).get(1..) == Some(kind))?;
    let native = if cfg!(target_endian = "little") { "<" } else { ">" };
    Some((dtype, dtype.size() > 1 && matches!(order, "<" | ">") && order != native))
}

/// NumPy's code of a dtype in this machine's byte order.
pub(super) fn descr(dtype: DType) -> &'static str {
    macro_rules! native {
        ($code:literal) => {
            if cfg!(target_endian = "little") { concat!("<", $code) } else { concat!(">", $code) }
        };
    }
    match dtype {
        DType::Bool => "|b1",
        DType::I8 => "|i1",
        DType::I16 => native!("i2"),
        DType::I32 => native!("i4"),
        DType::I64 => native!("i8"),
        DType::U8 => "|u1",
        DType::U16 => native!("u2"),
        DType::U32 => native!("u4"),
        DType::U64 => native!("u8"),
        DType::F16 => native!("f2"),
        DType::F32 => native!("f4"),
        DType::F64 => native!("f8"),
    }
}

/// A `.npy` file being written, in C order.
///
/// The whole file is allocated when it is created, so a full disk is an error then and not hours later. Regions may
/// come in any order and from any thread. Blocks whose rows are short (chunks narrow along the last axis) cost one
/// system call per row: prefer chunks that span it.
#[derive(Debug)]
pub struct NpySink {
    path: PathBuf,
    file: File,
    temp: Mutex<Option<tempfile::NamedTempFile>>,
    dtype: DType,
    grid: Grid,
    start: usize,
    written: AtomicUsize,
}

impl NpySink {
    /// Starts a file for an array of the grid's shape. Nothing is at `path` before [`BlockSink::finish`], which
    /// replaces a file that is there; a sink dropped before leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be created or the disk has no room for it.
    pub fn create(path: impl AsRef<Path>, dtype: DType, grid: Grid) -> Result<NpySink> {
        let path = path.as_ref().to_owned();
        let shape = grid.shape();
        let header = header_bytes(dtype, &shape);
        let temp = temp::file_beside(&path)?;
        let file = temp.as_file().try_clone().map_err(|e| Error::io("creating", &path, e))?;
        let bytes = shape
            .iter()
            .try_fold(dtype.size() as u64, |n, &len| n.checked_mul(len as u64))
            .and_then(|n| n.checked_add(header.len() as u64))
            .ok_or_else(|| Error::io("creating", &path, std::io::ErrorKind::FileTooLarge.into()))?;
        temp::allocate(&file, bytes)
            .and_then(|()| temp::write_all_at(&file, &header, 0))
            .map_err(|e| Error::io("creating", &path, e))?;
        Ok(NpySink {
            path,
            file,
            temp: Mutex::new(Some(temp)),
            dtype,
            grid,
            start: header.len(),
            written: AtomicUsize::new(0),
        })
    }

    /// The file that another process is writing, to write some of its chunks. Never finished here.
    pub(super) fn join(at: &Address, dtype: DType, grid: Grid) -> Result<NpySink> {
        let start = address::option(at, "start")?;
        if start > MAX_HEADER {
            return Err(Error::format("address", &at.path, format!("a header of {start} bytes")));
        }
        let file = std::fs::OpenOptions::new().write(true).open(&at.path);
        let file = file.map_err(|e| Error::io("opening", &at.path, e))?;
        let (path, temp, written) = (at.path.clone(), Mutex::new(None), AtomicUsize::new(0));
        Ok(NpySink { path, file, temp, dtype, grid, start, written })
    }
}

fn header_bytes(dtype: DType, shape: &[usize]) -> Vec<u8> {
    let lengths: String = match shape {
        [n] => format!("{n},"),
        _ => shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({lengths}), }}", descr(dtype));
    let build = |version: u8, prefix: usize| {
        let total = (prefix + text.len() + 1).next_multiple_of(ALIGN);
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[version, 0]);
        match version {
            1 => out.extend_from_slice(&((total - prefix) as u16).to_le_bytes()),
            _ => out.extend_from_slice(&((total - prefix) as u32).to_le_bytes()),
        }
        out.extend_from_slice(text.as_bytes());
        out.resize(total - 1, b' ');
        out.push(b'\n');
        out
    };
    if text.len() + 2 * ALIGN < u16::MAX as usize { build(1, 10) } else { build(2, 12) }
}

impl BlockSink for NpySink {
    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn label(&self) -> String {
        super::file_label(&self.path)
    }

    fn write(&self, region: &Region, block: &Block) -> Result<()> {
        super::check_write("write npy", self.dtype, region, block)?;
        if region.is_empty() {
            return Ok(());
        }
        let block = block.to_contiguous();
        let shape = self.grid.shape();
        let strides = crate::shape::c_strides(&shape);
        let size = self.dtype.size();
        // a run spans the axes that the region covers whole, and the one before them
        let mut inner = region.ndim();
        while inner > 0 && region.shape[inner - 1] == shape[inner - 1] {
            inner -= 1;
        }
        let outer = inner.saturating_sub(1);
        let run = region.shape[outer..].iter().product::<usize>() * size;
        let mut index = region.start.clone();
        for bytes in block.bytes().chunks_exact(run) {
            let at: usize = index.iter().zip(&strides).map(|(&i, &s)| i * s as usize).sum();
            temp::write_all_at(&self.file, bytes, (self.start + at * size) as u64)
                .map_err(|e| Error::io("writing", &self.path, e))?;
            for k in (0..outer).rev() {
                index[k] += 1;
                if index[k] < region.end(k) {
                    break;
                }
                index[k] = region.start[k];
            }
        }
        self.written.fetch_add(region.len(), Relaxed);
        Ok(())
    }

    fn write_bytes(&self, extent: &[usize]) -> usize {
        // a copy in C order, if the block is not
        extent.iter().product::<usize>() * self.dtype.size()
    }

    fn finish(&self) -> Result<()> {
        let total: usize = self.grid.shape().iter().product();
        super::check_complete(&self.path, self.written.load(Relaxed), total)?;
        let temp = self.temp.lock().unwrap_or_else(|e| e.into_inner()).take();
        let temp = temp.ok_or_else(|| super::finished_twice(&self.path))?;
        temp::publish_file(temp, &self.path)
    }

    fn address(&self) -> Option<Address> {
        // what is to be sent to a store grows where only this machine sees it
        if super::remote::is_url(&self.path) {
            return None;
        }
        let temp = self.temp.lock().unwrap_or_else(|e| e.into_inner());
        let path = temp.as_ref()?.path().to_owned();
        Some(address::of_draft("npy", path, &[("start", self.start as u64)]))
    }

    fn written_elsewhere(&self) {
        self.written.store(self.grid.shape().iter().product(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_name_all_dtypes() {
        for d in DType::ALL {
            assert_eq!(parse_descr(descr(d)), Some((d, false)));
        }
        assert_eq!(parse_descr(">u2"), Some((DType::U16, true)));
        assert_eq!(parse_descr(">i1"), Some((DType::I8, false)));
        assert_eq!(parse_descr("<c8"), None);
        assert_eq!(parse_descr("|O"), None);
    }

    #[test]
    fn slabs_follow_the_file_order() {
        assert_eq!(slabs(&[100, 10, 10], 4, 4000, false), [10, 10, 10]);
        assert_eq!(slabs(&[100, 10, 10], 4, 4000, true), [100, 10, 1]);
        assert_eq!(slabs(&[2, 1000], 4, 400, false), [1, 100]);
        assert_eq!(slabs(&[0, 3], 8, 1, false), [1, 1]);
        assert!(slabs(&[], 8, 1, false).is_empty());
    }
}
