//! An object that is open for reading.

use super::store::Place;
use super::{KEPT, PIECE, STRIDE};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};

/// An object as it was when it was opened. Small reads go by pieces, of which some are kept; others fetch what they ask for.
#[derive(Clone, Debug)]
pub(in crate::io) struct Object {
    open: Arc<Open>,
    at: u64,
}

#[derive(Debug)]
struct Open {
    place: Place,
    len: u64,
    changed: u64,
    /// What its bytes are known by, if the store says that.
    tag: Option<String>,
    /// Pieces and their numbers, the last used last.
    pieces: Mutex<Vec<(u64, Arc<[u8]>)>>,
}

impl Object {
    /// Asks the store for what is there.
    pub(super) fn open(place: Place) -> io::Result<Object> {
        let facts = place.facts()?;
        // weak tags compare unequal to themselves
        let tag = facts.e_tag.filter(|tag| !tag.starts_with("W/"));
        let changed = match &tag {
            Some(tag) => tag.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                // FNV-1a: the same in every process
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }),
            None => facts.last_modified.timestamp_nanos_opt().unwrap_or(0) as u64,
        };
        let open = Open { place, len: facts.size, changed, tag, pieces: Mutex::default() };
        Ok(Object { open: Arc::new(open), at: 0 })
    }

    /// All of it, in a file without a name.
    pub(in crate::io) fn download(&self) -> io::Result<File> {
        let mut file = tempfile::tempfile()?;
        let mut at = 0;
        while at < self.len() {
            let bytes = self.range(at, STRIDE)?;
            file.write_all(&bytes)?;
            at += bytes.len() as u64;
        }
        Ok(file)
    }

    /// Its length in bytes.
    pub(in crate::io) fn len(&self) -> u64 {
        self.open.len
    }

    /// The same object, read from another place on.
    #[cfg(feature = "parquet")]
    pub(in crate::io) fn reader_at(&self, at: u64) -> Object {
        Object { at, ..self.clone() }
    }

    /// What changes when the object does.
    pub(in crate::io) fn stamp(&self) -> [u64; 2] {
        [self.open.len, self.open.changed]
    }

    /// So many bytes from a place on; less at its end.
    pub(in crate::io) fn range(&self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        self.open.range(from, len)
    }
}

impl Open {
    fn range(&self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = from.min(self.len);
        let to = from.saturating_add(len as u64).min(self.len);
        if from == to {
            return Ok(vec![]);
        }
        if to - from >= PIECE as u64 {
            return self.place.fetch(from..to, self.tag.as_deref());
        }
        let mut bytes = Vec::with_capacity((to - from) as usize);
        for number in from / PIECE as u64..=(to - 1) / PIECE as u64 {
            let piece = self.piece(number)?;
            let start = number * PIECE as u64;
            let inside = |at: u64| (at.max(start) - start).min(piece.len() as u64) as usize;
            bytes.extend_from_slice(&piece[inside(from)..inside(to)]);
        }
        Ok(bytes)
    }

    fn piece(&self, number: u64) -> io::Result<Arc<[u8]>> {
        let known = |pieces: &mut Vec<(u64, Arc<[u8]>)>| {
            let at = pieces.iter().position(|(n, _)| *n == number)?;
            let piece = pieces.remove(at);
            pieces.push(piece.clone());
            Some(piece.1)
        };
        let mut pieces = self.pieces.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(piece) = known(&mut pieces) {
            return Ok(piece);
        }
        // others go on meanwhile; two that want the same piece may both fetch it
        drop(pieces);
        let from = number * PIECE as u64;
        let piece: Arc<[u8]> =
            self.place.fetch(from..(from + PIECE as u64).min(self.len), self.tag.as_deref())?.into();
        let mut pieces = self.pieces.lock().unwrap_or_else(|e| e.into_inner());
        if known(&mut pieces).is_none() {
            if pieces.len() == KEPT {
                pieces.remove(0);
            }
            pieces.push((number, piece.clone()));
        }
        Ok(piece)
    }
}

impl Read for Object {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.range(self.at, into.len())?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for Object {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.open.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
