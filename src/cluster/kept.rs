//! Pieces that wait to be read: short ones in memory, long ones in an unnamed file.

use super::piece::Id;
use crate::error::{Error, Result};
use crate::schedule::part::{ByteStore, StoredBytes};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

/// Bytes of a piece from which on it goes to the file.
const LONG: usize = 64 << 10;

/// Pieces by their name.
#[derive(Debug)]
pub(super) struct KeptPieces {
    dir: PathBuf,
    file: Option<ByteStore>,
    pieces: HashMap<Id, Place>,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(StoredBytes),
}

impl KeptPieces {
    /// None yet; a file would be in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> KeptPieces {
        KeptPieces { dir: dir.into(), file: None, pieces: HashMap::new() }
    }

    /// Keeps a piece.
    pub fn insert(&mut self, id: Id, bytes: Vec<u8>) -> Result<()> {
        let place = if bytes.len() < LONG {
            Place::Memory(bytes)
        } else {
            let file = match self.file.take() {
                Some(file) => file,
                None => ByteStore::create(&self.dir)?,
            };
            Place::File(self.file.insert(file).write(&bytes)?)
        };
        self.pieces.insert(id, place);
        Ok(())
    }

    /// Bytes of a piece; 0 if it is not here.
    pub fn len(&self, id: Id) -> usize {
        match self.pieces.get(&id) {
            Some(Place::Memory(bytes)) => bytes.len(),
            Some(Place::File(at)) => at.bytes(),
            None => 0,
        }
    }

    /// A piece.
    pub fn get(&self, id: Id) -> Result<Cow<'_, [u8]>> {
        match (self.pieces.get(&id), &self.file) {
            (Some(Place::Memory(bytes)), _) => Ok(Cow::Borrowed(bytes)),
            (Some(Place::File(at)), Some(file)) => file.read(*at).map(Cow::Owned),
            _ => Err(Error::internal(format!("{id} is not here"))),
        }
    }
}
