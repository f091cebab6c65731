//! Files of text that are read by ranges of bytes that end where rows end.
//!
//! A plain file is cut every few MiB; a part begins at the first row that starts in it. Where rows have quotes, a line end may be inside
//! a value: then the quotes before each cut are counted once, so that no cut falls into a value. Compressed files (`.gz`, `.zst`, `.zip`
//! with one member) are one part each.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A file of rows of text.
#[derive(Debug)]
pub(super) struct Text {
    pub path: PathBuf,
    len: u64,
    /// Byte at which the rows start, after the header.
    start: u64,
    compressed: bool,
    /// Bytes of a part.
    step: usize,
    /// What is around values in which a line end ends no row.
    quote: Option<u8>,
    /// By part: whether an odd number of quotes is before it.
    odd: OnceLock<Result<Vec<bool>>>,
}

/// Bytes of a row from which on it is an error: something that is no text has no line ends.
const LONGEST_ROW: usize = 1 << 28;

impl Text {
    /// A file whose rows start at a byte.
    pub fn open(path: &Path, start: u64, step: usize, quote: Option<u8>) -> Result<Text> {
        let len = std::fs::metadata(path).map_err(|e| Error::io("reading", path, e))?.len();
        let (path, compressed) = (path.to_owned(), is_compressed(path));
        Ok(Text { path, len, start, compressed, step: step.clamp(1, 1 << 30), quote, odd: OnceLock::new() })
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        match self.compressed {
            true => 1,
            false => (self.len - self.start.min(self.len)).div_ceil(self.step as u64).max(1) as usize,
        }
    }

    /// Upper bound of the bytes that a part takes, if no row is longer than a part.
    pub fn read_bytes(&self) -> usize {
        self.step.saturating_mul(2).saturating_add(if self.compressed { 16 << 20 } else { 0 })
    }

    /// Hands over the rows of a part: whole rows, and the byte in the text at which they start.
    pub fn rows(&self, part: usize, each: &mut dyn FnMut(u64, &[u8]) -> Result<bool>) -> Result<()> {
        if !self.compressed {
            let (start, bytes) = self.bytes(part)?;
            return each(start, &bytes).map(drop);
        }
        with_text(&self.path, |text| {
            let mut rows: Vec<u8> = vec![];
            let mut header = self.start as usize;
            let mut start = self.start;
            loop {
                let read = text.take(self.step as u64).read_to_end(&mut rows);
                let n = read.map_err(|e| Error::io("reading", &self.path, e))?;
                let skipped = header.min(rows.len());
                rows.drain(..skipped);
                header -= skipped;
                let whole = if n == 0 { rows.len() } else { last_row_end(&rows, self.quote) };
                if whole == 0 && rows.len() > LONGEST_ROW {
                    return Err(self.endless(start));
                }
                let go_on = each(start, &rows[..whole])?;
                rows.drain(..whole);
                start += whole as u64;
                if n == 0 || !go_on {
                    return Ok(());
                }
            }
        })
    }

    fn endless(&self, start: u64) -> Error {
        let message = format!(
            "the row that starts at byte {start} has no end within {LONGEST_ROW} bytes; is a quote missing?"
        );
        Error::format("text file", &self.path, message)
    }

    /// The rows of a part of a plain file, and where they start. A part's rows start after its first byte, up to the next part's first byte
    /// included: so the row that a cut falls into, or that starts there, belongs to the part before.
    fn bytes(&self, part: usize) -> Result<(u64, Vec<u8>)> {
        let step = self.step as u64;
        let io = |e| Error::io("reading", &self.path, e);
        let handle = File::open(&self.path).map_err(io)?;
        let cut = |k: usize| (self.start + k as u64 * step).min(self.len);
        let odd = |k: usize| -> Result<bool> { Ok(k > 0 && self.odd()?.get(k).copied().unwrap_or(false)) };
        let (from, to) = (cut(part), cut(part + 1));
        let mut bytes = read_range(&handle, from, to).map_err(io)?;
        let skipped = if part == 0 { 0 } else { row_end(&bytes, &mut odd(part)?, self.quote) };
        if skipped == NO_END {
            return Ok((to, vec![]));
        }
        let (mut quoted, mut at) = (odd(part + 1)?, to);
        while at < self.len {
            let more = read_range(&handle, at, (at + (64 << 10)).min(self.len)).map_err(io)?;
            let end = row_end(&more, &mut quoted, self.quote);
            at += more.len() as u64;
            bytes.extend_from_slice(&more[..end.min(more.len())]);
            if end != NO_END || more.is_empty() {
                break;
            }
            if at - to > LONGEST_ROW as u64 {
                return Err(self.endless(from + skipped as u64));
            }
        }
        bytes.drain(..skipped);
        Ok((from + skipped as u64, bytes))
    }

    /// By part: whether an odd number of quotes is before it in the file.
    fn odd(&self) -> Result<&Vec<bool>> {
        let count = |quote: u8| -> Result<Vec<bool>> {
            let io = |e| Error::io("reading", &self.path, e);
            let handle = File::open(&self.path).map_err(io)?;
            let step = self.step as u64;
            let (mut odd, mut all, mut at) = (false, vec![false], self.start);
            while at < self.len {
                let bytes = read_range(&handle, at, (at + step).min(self.len)).map_err(io)?;
                odd ^= memchr::memchr_iter(quote, &bytes).count() % 2 == 1;
                all.push(odd);
                at += step;
            }
            Ok(all)
        };
        self.odd.get_or_init(|| self.quote.map_or(Ok(vec![]), count)).as_ref().map_err(Clone::clone)
    }

    /// The number of lines before a byte of the text.
    pub fn lines_before(&self, byte: u64) -> usize {
        let count = |text: &mut dyn Read| -> Result<usize> {
            let (mut lines, mut left, mut piece) = (0, byte, vec![0; 1 << 16]);
            while left > 0 {
                let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let n = text.read(&mut piece[..most]).map_err(|e| Error::io("reading", &self.path, e))?;
                if n == 0 {
                    break;
                }
                lines += memchr::memchr_iter(b'\n', &piece[..n]).count();
                left -= n as u64;
            }
            Ok(lines)
        };
        with_text(&self.path, count).unwrap_or(0)
    }
}

/// What [`row_end`] says where there is none.
pub(super) const NO_END: usize = usize::MAX;

/// The number of bytes up to and including the first line end that is outside quotes; [`NO_END`] if there is none. `quoted` says whether
/// the bytes start inside quotes, and then whether they end so.
pub(super) fn row_end(bytes: &[u8], quoted: &mut bool, quote: Option<u8>) -> usize {
    for at in memchr::memchr2_iter(b'\n', quote.unwrap_or(b'\n'), bytes) {
        if Some(bytes[at]) == quote {
            *quoted = !*quoted;
        } else if !*quoted {
            return at + 1;
        }
    }
    NO_END
}

/// Where the last whole row ends.
fn last_row_end(bytes: &[u8], quote: Option<u8>) -> usize {
    if quote.is_none() {
        return memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    }
    let (mut at, mut end, mut quoted) = (0, 0, false);
    loop {
        match row_end(&bytes[at..], &mut quoted, quote) {
            NO_END => return end,
            n => {
                at += n;
                end = at;
            }
        }
    }
}

fn read_range(file: &File, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    let mut bytes = Vec::with_capacity((to - from) as usize);
    file.seek(SeekFrom::Start(from))?;
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn extension(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn is_compressed(path: &Path) -> bool {
    matches!(extension(path).as_str(), "gz" | "zst" | "zip")
}

/// The text of a file, decompressed, as a stream.
pub(super) fn with_text<T>(path: &Path, f: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let file = File::open(path).map_err(|e| Error::io("reading", path, e))?;
    match extension(path).as_str() {
        "gz" => f(&mut flate2::read::MultiGzDecoder::new(file)),
        "zst" => f(&mut zstd::stream::read::Decoder::new(file).map_err(|e| Error::io("reading", path, e))?),
        "zip" => {
            let bad = |e| Error::format("zip file", path, e);
            let mut zip = zip::ZipArchive::new(file).map_err(bad)?;
            if zip.len() != 1 {
                let message = format!("has {} members; only files with one can be read", zip.len());
                return Err(Error::format("zip file", path, message));
            }
            let mut member = zip.by_index(0).map_err(bad)?;
            f(&mut member)
        }
        _ => f(&mut std::io::BufReader::new(file)),
    }
}
