//! What travels between shards: pieces, each cut into rows that say what they are and carry a checksum.
//!
//! ```text
//! 0  "BWP1"      4  CRC-32C of all that follows      8  job (u64)        16  for shard (u32)   20  kind (u8), 0, 0, 0
//! 24 stage (u32) 28 root (u32)    32 number (u64)    40 part (u32)       44  parts (u32)       48  bytes of the piece (u64)   56 bytes
//! ```

use crate::error::{Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};

const MAGIC: &[u8; 4] = b"BWP1";
const HEADER: usize = 56;
/// Bytes of a piece in one row; longer pieces are cut.
pub const ROW_BYTES: usize = 4 << 20;
/// The longest piece.
const MOST_BYTES: u64 = 1 << 40;

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Shard `number` of `stage` shall run.
    Go,
    /// Chunk `number` of the array that `root` of `stage` makes.
    Chunk,
    /// The accumulators of span `number` of `root` of `stage`.
    State,
    /// Shard `number` of `stage` has run; who ran it, and what it did.
    Report,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Go, Kind::Chunk, Kind::State, Kind::Report];
}

/// Which piece.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Id {
    /// What it is.
    pub kind: Kind,
    /// Stage.
    pub stage: usize,
    /// Root of the stage; 0 where there is none.
    pub root: usize,
    /// Number of the chunk, span or shard.
    pub number: usize,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Id { kind, stage, root, number } = self;
        match kind {
            Kind::Go => write!(f, "the start of shard {number} of stage {stage}"),
            Kind::Chunk => write!(f, "chunk {number} of result {root} of stage {stage}"),
            Kind::State => write!(f, "span {number} of result {root} of stage {stage}"),
            Kind::Report => write!(f, "the report of shard {number} of stage {stage}"),
        }
    }
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    /// The job's number.
    pub job: u64,
    /// The shard that it is for; 0 if it is for the client.
    pub to: u32,
    /// Of which piece.
    pub id: Id,
    /// Which part of the piece, of how many.
    pub part: (u32, u32),
    /// Bytes of the whole piece.
    pub len: u64,
    /// The part's bytes.
    pub body: &'a [u8],
}

fn bad(message: impl Into<String>) -> Error {
    ErrorKind::Wire { what: "piece", message: message.into() }.into()
}

impl<'a> Row<'a> {
    /// The rows of a piece.
    pub fn cut(job: u64, to: usize, id: Id, bytes: &'a [u8]) -> impl Iterator<Item = Row<'a>> {
        let parts = bytes.len().div_ceil(ROW_BYTES).max(1);
        (0..parts).map(move |k| Row {
            job,
            to: to as u32,
            id,
            part: (k as u32, parts as u32),
            len: bytes.len() as u64,
            body: &bytes[k * ROW_BYTES..bytes.len().min((k + 1) * ROW_BYTES)],
        })
    }

    /// The row as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.job.to_le_bytes());
        out.extend_from_slice(&self.to.to_le_bytes());
        out.extend_from_slice(&[self.id.kind as u8, 0, 0, 0]);
        out.extend_from_slice(&(self.id.stage as u32).to_le_bytes());
        out.extend_from_slice(&(self.id.root as u32).to_le_bytes());
        out.extend_from_slice(&(self.id.number as u64).to_le_bytes());
        out.extend_from_slice(&self.part.0.to_le_bytes());
        out.extend_from_slice(&self.part.1.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(self.body);
        let crc = crc32c::crc32c(&out[8..]).to_le_bytes();
        out[4..8].copy_from_slice(&crc);
        out
    }

    /// The row that bytes are.
    ///
    /// # Errors
    /// [`ErrorKind::Wire`] if they are none, or were changed on the way.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Row<'a>> {
        if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
            return Err(bad("it does not begin as one"));
        }
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if crc32c::crc32c(&bytes[8..]) != u32_at(4) {
            return Err(bad("its checksum does not match"));
        }
        let kind = Kind::ALL.get(bytes[20] as usize).copied().ok_or_else(|| bad("of no known kind"))?;
        let number = usize::try_from(u64_at(32)).map_err(|_| bad("a number beyond all"))?;
        let id = Id { kind, stage: u32_at(24) as usize, root: u32_at(28) as usize, number };
        let row = Row {
            job: u64_at(8),
            to: u32_at(16),
            id,
            part: (u32_at(40), u32_at(44)),
            len: u64_at(48),
            body: &bytes[HEADER..],
        };
        let parts = row.len.div_ceil(ROW_BYTES as u64).max(1);
        let start = u64::from(row.part.0) * ROW_BYTES as u64;
        let whole = row.part.0 < row.part.1 && u64::from(row.part.1) == parts && row.len <= MOST_BYTES;
        if !whole || row.body.len() as u64 != (row.len - start).min(ROW_BYTES as u64) {
            return Err(bad(format!(
                "{id}: part {:?} of {} bytes has {}",
                row.part,
                row.len,
                row.body.len()
            )));
        }
        Ok(row)
    }
}

/// Rows put together to pieces. Every piece that is expected is given out once, whole; rows that come again are dropped.
#[derive(Debug)]
pub struct Assembly {
    /// Not whole yet.
    missing: HashSet<Id>,
    whole: HashSet<Id>,
    parts: HashMap<Id, Parts>,
}

#[derive(Debug)]
struct Parts {
    bytes: Vec<u8>,
    here: Vec<bool>,
}

impl Assembly {
    /// An assembly of these pieces.
    pub fn new(expected: impl IntoIterator<Item = Id>) -> Assembly {
        Assembly { missing: expected.into_iter().collect(), whole: HashSet::new(), parts: HashMap::new() }
    }

    /// Takes a row; gives the piece that it completes. `most` is the length that a piece may have.
    ///
    /// # Errors
    /// [`ErrorKind::Wire`] for a row that is not expected here.
    pub fn put(&mut self, row: &Row<'_>, most: usize) -> Result<Option<Vec<u8>>> {
        if self.whole.contains(&row.id) {
            return Ok(None);
        }
        if !self.missing.contains(&row.id) {
            return Err(bad(format!("{} came where nobody needs it", row.id)));
        }
        if row.len > most as u64 {
            return Err(bad(format!("{} has {} bytes, more than the {most} that it may", row.id, row.len)));
        }
        let whole = if row.part.1 == 1 {
            row.body.to_vec()
        } else {
            let fresh = || Parts { bytes: vec![0; row.len as usize], here: vec![false; row.part.1 as usize] };
            let parts = self.parts.entry(row.id).or_insert_with(fresh);
            if parts.bytes.len() as u64 != row.len {
                return Err(bad(format!("{} came with two lengths", row.id)));
            }
            let at = row.part.0 as usize * ROW_BYTES;
            parts.bytes[at..at + row.body.len()].copy_from_slice(row.body);
            parts.here[row.part.0 as usize] = true;
            if !parts.here.iter().all(|&h| h) {
                return Ok(None);
            }
            self.parts.remove(&row.id).map(|p| p.bytes).unwrap_or_default()
        };
        self.missing.remove(&row.id);
        self.whole.insert(row.id);
        Ok(Some(whole))
    }

    /// Pieces that are not there, the first of them.
    pub fn missing(&self) -> Option<(usize, Id)> {
        self.missing.iter().min().map(|&first| (self.missing.len(), first))
    }

    /// That all pieces are there.
    ///
    /// # Errors
    /// [`ErrorKind::Wire`] naming one that is not.
    pub fn complete(&self) -> Result<()> {
        match self.missing() {
            None => Ok(()),
            Some((n, first)) => Err(bad(format!("{n} did not arrive, the first of them {first}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = Id { kind: Kind::Chunk, stage: 1, root: 0, number: 7 };

    #[test]
    fn pieces_of_several_rows_come_whole_and_once() {
        let bytes: Vec<u8> = (0..2 * ROW_BYTES + 5).map(|i| i as u8).collect();
        let rows: Vec<Vec<u8>> = Row::cut(3, 2, ID, &bytes).map(|r| r.to_bytes()).collect();
        assert_eq!(rows.len(), 3);
        let mut assembly = Assembly::new([ID]);
        let mut got = vec![];
        // the last first, and all of them again
        for n in [2, 0, 0, 1, 0, 1, 2] {
            let row = Row::from_bytes(&rows[n]).unwrap();
            got.extend(assembly.put(&row, bytes.len()).unwrap());
        }
        assert_eq!(got, [bytes]);
        assert!(assembly.complete().is_ok());
    }

    #[test]
    fn what_is_changed_missing_or_for_others_is_an_error() {
        let row = Row::cut(3, 2, ID, b"abc").next().unwrap().to_bytes();
        for n in 0..row.len() {
            let mut spoilt = row.clone();
            spoilt[n] ^= 4;
            assert!(Row::from_bytes(&spoilt).is_err(), "byte {n}");
            assert!(Row::from_bytes(&row[..n]).is_err());
        }
        let mut assembly = Assembly::new([Id { number: 8, ..ID }]);
        let row = Row::from_bytes(&row).unwrap();
        assert!(assembly.put(&row, 10).unwrap_err().to_string().contains("chunk 7"));
        assert!(assembly.complete().unwrap_err().to_string().contains("chunk 8"));
        let mut assembly = Assembly::new([ID]);
        assert!(assembly.put(&row, 2).unwrap_err().to_string().contains("3 bytes"));
    }
}
