//! Files of text that are read by ranges of bytes that end where rows end.
//!
//! A plain file is cut every few MiB; a part begins at the first row that starts in it. Where rows have quotes, a line end may be inside
//! a value: then the file is gone through once, from quote to quote, for whether each cut falls into a value. Compressed files (`.gz`, `.zst`, `.zip`
//! with one member) are one part each.

use super::input::Input;
use crate::error::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
    /// How values are told apart, if a line end in one ends no row.
    quotes: Option<Quotes>,
    /// Bytes of a row from which on it is an error.
    longest: usize,
    /// By part: where in a row it begins, as far as that was asked for.
    places: Mutex<Vec<Place>>,
}

/// What is around values in which a line end ends no row, and between values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotes {
    pub quote: u8,
    pub delimiter: u8,
}

/// Where in a row a byte is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Place {
    /// At the start of a value, where alone a quote opens quotes.
    Start,
    /// In a value, where a quote is a character like others.
    Inside,
    /// Inside quotes.
    Quoted,
    /// After a quote that closed quotes, or is the first of two that stand for one.
    Closed,
}

/// Bytes of a row from which on it is an error, if nothing else is asked for: what is no text has no line ends, and neither has what
/// follows a quote without a second one.
pub(super) const LONGEST_ROW: usize = 16 << 20;

impl Text {
    /// A file whose rows start at a byte, and have at most so many.
    pub fn open(
        path: &Path,
        start: u64,
        step: usize,
        quotes: Option<Quotes>,
        longest: usize,
    ) -> Result<Text> {
        let len = Input::open(path).and_then(|file| file.len()).map_err(|e| Error::io("reading", path, e))?;
        let (path, compressed) = (path.to_owned(), is_compressed(path));
        let (step, longest) = (step.clamp(1, 1 << 30), longest.clamp(1, 1 << 30));
        Ok(Text {
            path,
            len,
            start,
            compressed,
            step,
            quotes,
            longest,
            places: Mutex::new(vec![Place::Start]),
        })
    }

    /// Bytes of a part, and of the longest row.
    pub fn limits(&self) -> (usize, usize) {
        (self.step, self.longest)
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
        let decoding = if self.compressed { 16 << 20 } else { 0 };
        self.step.saturating_mul(2).saturating_add(decoding + Input::held(&self.path))
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
                let whole = if n == 0 { rows.len() } else { last_row_end(&rows, self.quotes) };
                if whole == 0 && rows.len() > self.longest {
                    return Err(endless(&self.path, start, &rows, self.quotes, self.longest));
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

    /// The rows of a part of a plain file, and where they start. A part's rows start after its first byte, up to the next part's first byte
    /// included: so the row that a cut falls into, or that starts there, belongs to the part before.
    fn bytes(&self, part: usize) -> Result<(u64, Vec<u8>)> {
        let step = self.step as u64;
        let io = |e| Error::io("reading", &self.path, e);
        let mut file = Input::open(&self.path).map_err(io)?;
        let cut = |k: usize| (self.start + k as u64 * step).min(self.len);
        let (from, to) = (cut(part), cut(part + 1));
        let mut bytes = read_range(&mut file, from, to).map_err(io)?;
        let skipped = if part == 0 { 0 } else { row_end(&bytes, &mut self.place(part)?, self.quotes) };
        if skipped == NO_END {
            return Ok((to, vec![]));
        }
        let (mut place, mut at) = (self.place(part + 1)?, to);
        while at < self.len {
            let more = read_range(&mut file, at, (at + (64 << 10)).min(self.len)).map_err(io)?;
            let end = row_end(&more, &mut place, self.quotes);
            at += more.len() as u64;
            bytes.extend_from_slice(&more[..end.min(more.len())]);
            if end != NO_END || more.is_empty() {
                break;
            }
            if at - to > self.longest as u64 {
                let row = skipped + last_row_end(&bytes[skipped..], self.quotes);
                return Err(endless(&self.path, from + row as u64, &bytes[row..], self.quotes, self.longest));
            }
        }
        bytes.drain(..skipped);
        Ok((from + skipped as u64, bytes))
    }

    /// Where in a row a part begins: what no part before it needed is walked through now.
    fn place(&self, part: usize) -> Result<Place> {
        let Some(quotes) = self.quotes else { return Ok(Place::Start) };
        let io = |e| Error::io("reading", &self.path, e);
        let mut known = self.places.lock().unwrap_or_else(|e| e.into_inner());
        if known.len() <= part {
            let mut file = Input::open(&self.path).map_err(io)?;
            while known.len() <= part {
                let at = |k: usize| (self.start + k as u64 * self.step as u64).min(self.len);
                let bytes = read_range(&mut file, at(known.len() - 1), at(known.len())).map_err(io)?;
                let mut place = known[known.len() - 1];
                walk(&bytes, &mut place, quotes, quotes.quote, |_| false);
                known.push(place);
            }
        }
        Ok(known[part])
    }

    /// The number of lines before a byte of the text.
    pub fn lines_before(&self, byte: u64) -> usize {
        lines_before(&self.path, byte)
    }
}

/// The number of lines before a byte of a file's text.
fn lines_before(path: &Path, byte: u64) -> usize {
    let count = |text: &mut dyn Read| -> Result<usize> {
        let (mut lines, mut left, mut piece) = (0, byte, vec![0; 1 << 16]);
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = text.read(&mut piece[..most]).map_err(|e| Error::io("reading", path, e))?;
            if n == 0 {
                break;
            }
            lines += memchr::memchr_iter(b'\n', &piece[..n]).count();
            left -= n as u64;
        }
        Ok(lines)
    };
    with_text(path, count).unwrap_or(0)
}

/// The error of a row that starts at this byte of a text, with these bytes, and has no end.
fn endless(path: &Path, start: u64, row: &[u8], quotes: Option<Quotes>, longest: usize) -> Error {
    let open = quotes.and_then(|q| walk(row, &mut Place::Start, q, q.quote, |_| false));
    let place = |byte: u64| format!("line {}, byte {byte}", lines_before(path, byte) + 1);
    let why = match open {
        Some(at) => format!("the quote that opens at {} is not closed", place(start + at as u64)),
        None => "there is no line end".into(),
    };
    let message = format!(
        "the row that starts at {} has no end within {longest} bytes: {why}; if rows are that long, set longest_row",
        place(start)
    );
    Error::format("text file", path, message)
}

/// The start of a file's text, to infer from: rows that are too long are an error, and what is no UTF-8 is replaced, since it may be in a
/// row that is left out.
pub(super) struct Head<'a> {
    path: &'a Path,
    text: &'a mut dyn Read,
    quotes: Option<Quotes>,
    longest: usize,
    /// Where in a row the text has been read to, and the bytes of that row.
    place: Place,
    row: Vec<u8>,
    read: u64,
    /// Bytes that are not replaced yet, and text that is not handed over yet.
    bytes: Vec<u8>,
    ready: Vec<u8>,
    /// What went wrong.
    pub failed: Option<Error>,
}

impl<'a> Head<'a> {
    pub fn new(path: &'a Path, text: &'a mut dyn Read, quotes: Option<Quotes>, longest: usize) -> Head<'a> {
        let (place, row, bytes, ready) = (Place::Start, vec![], vec![], vec![]);
        Head { path, text, quotes, longest, place, row, read: 0, bytes, ready, failed: None }
    }

    fn more(&mut self) -> Result<()> {
        let mut piece = vec![0; 1 << 16];
        let n = self.text.read(&mut piece).map_err(|e| Error::io("reading", self.path, e))?;
        piece.truncate(n);
        self.read += n as u64;
        // the row that the piece ends in
        let mut rest = piece.as_slice();
        loop {
            let end = row_end(rest, &mut self.place, self.quotes);
            if end == NO_END {
                break;
            }
            (rest, self.place) = (&rest[end..], Place::Start);
            self.row.clear();
        }
        self.row.extend_from_slice(rest);
        if self.row.len() > self.longest {
            let start = self.read - self.row.len() as u64;
            return Err(endless(self.path, start, &self.row, self.quotes, self.longest));
        }
        self.bytes.append(&mut piece);
        let whole = match std::str::from_utf8(&self.bytes) {
            // the rest of the last character is to come
            Err(e) if e.error_len().is_none() && n > 0 => e.valid_up_to(),
            Err(_) => {
                let whole = self.bytes.len() - self.bytes.len().min(if n > 0 { 3 } else { 0 });
                (whole..self.bytes.len())
                    .find(|&at| self.bytes[at] & 0xc0 != 0x80)
                    .unwrap_or(self.bytes.len())
            }
            Ok(_) => self.bytes.len(),
        };
        self.ready.extend_from_slice(String::from_utf8_lossy(&self.bytes[..whole]).as_bytes());
        self.bytes.drain(..whole);
        Ok(())
    }
}

impl Read for Head<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let before = self.read;
        while self.ready.is_empty() {
            if let Err(e) = self.more() {
                self.failed = Some(e.clone());
                return Err(std::io::Error::other(e));
            }
            if self.read == before {
                break;
            }
        }
        let n = into.len().min(self.ready.len());
        into[..n].copy_from_slice(&self.ready[..n]);
        self.ready.drain(..n);
        Ok(n)
    }
}

/// What [`row_end`] says where there is none.
pub(super) const NO_END: usize = usize::MAX;

/// Goes through bytes from quote to quote, and to each `other` byte outside quotes until `f` of its place is true. `place` is where in a row
/// the bytes start, and then where they end. Quotes are those of the parser of rows: a quote within a value without quotes is a character.
/// Gives the quote among the bytes that is open where they end.
fn walk(
    bytes: &[u8],
    place: &mut Place,
    quotes: Quotes,
    other: u8,
    mut f: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let is_start = |b: u8| b == quotes.delimiter || b == b'\n' || b == b'\r';
    let before = *place;
    let mut quoted = before == Place::Quoted;
    // the byte after the quote that closed the last quotes
    let mut closed = (before == Place::Closed).then_some(0);
    let mut opened = None;
    for at in memchr::memchr2_iter(quotes.quote, other, bytes) {
        if bytes[at] != quotes.quote {
            if !quoted && f(at) {
                break;
            }
        } else if quoted {
            (quoted, closed) = (false, Some(at + 1));
        } else {
            let opens = at.checked_sub(1).map_or(before == Place::Start, |p| is_start(bytes[p]));
            quoted = opens || closed == Some(at);
            opened = if opens { Some(at) } else { opened };
        }
    }
    *place = match bytes.last() {
        _ if quoted => Place::Quoted,
        _ if closed == Some(bytes.len()) => Place::Closed,
        Some(&b) if is_start(b) => Place::Start,
        Some(_) => Place::Inside,
        None => before,
    };
    opened.filter(|_| quoted)
}

/// The number of bytes up to and including the first line end that is outside quotes; [`NO_END`] if there is none. `place` is where in a row
/// the bytes start, and then, if there is none, where they end.
pub(super) fn row_end(bytes: &[u8], place: &mut Place, quotes: Option<Quotes>) -> usize {
    let Some(quotes) = quotes else { return memchr::memchr(b'\n', bytes).map_or(NO_END, |at| at + 1) };
    let mut end = NO_END;
    walk(bytes, place, quotes, b'\n', |at| {
        end = at + 1;
        true
    });
    end
}

/// Where the last whole row ends.
fn last_row_end(bytes: &[u8], quotes: Option<Quotes>) -> usize {
    let Some(quotes) = quotes else { return memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1) };
    let mut end = 0;
    walk(bytes, &mut Place::Start, quotes, b'\n', |at| {
        end = at + 1;
        false
    });
    end
}

fn read_range(file: &mut Input, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    file.range(from, (to - from) as usize)
}

fn extension(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn is_compressed(path: &Path) -> bool {
    matches!(extension(path).as_str(), "gz" | "zst" | "zip")
}

/// The text of a file, decompressed, as a stream.
pub(super) fn with_text<T>(path: &Path, f: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<T> {
    let file = Input::of(path)?;
    let file = std::io::BufReader::with_capacity(file.stride(), file);
    match extension(path).as_str() {
        "gz" => f(&mut flate2::bufread::MultiGzDecoder::new(file)),
        "zst" => {
            f(&mut zstd::stream::read::Decoder::with_buffer(file)
                .map_err(|e| Error::io("reading", path, e))?)
        }
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
        _ => f(&mut { file }),
    }
}
