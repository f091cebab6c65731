//! A directory, or objects below a URL, as `zarrs` sees it: keys are files or objects.

use crate::io::input::{self, Input};
use crate::io::{remote, temp};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator, InvalidByteRangeError};
use zarrs::storage::{
    Bytes, MaybeBytes, MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits, StorageError,
    StoreKey, StorePrefix, WritableStorageTraits,
};

/// Files below a directory, or objects below a URL.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Whether other processes write here too, perhaps the same chunks.
    shared: bool,
    /// Whether what the array is called by has other names until it is published.
    draft: bool,
}

/// What makes a directory an array; the last that is published makes it one.
const DOCUMENTS: [&str; 3] = [".zattrs", ".zarray", "zarr.json"];

impl Directory {
    pub(super) fn new(root: &Path) -> Directory {
        Directory { root: root.to_owned(), shared: false, draft: false }
    }

    /// Every file then appears whole, so that it may be written again by another process, and nothing is made if the directory is gone.
    pub(super) fn of_many_writers(self) -> Directory {
        Directory { shared: true, ..self }
    }

    /// Objects have no directory that could be renamed when it is complete: they are where they will be, but no array yet.
    pub(super) fn unpublished(self) -> Directory {
        Directory { draft: remote::is_url(&self.root), ..self }
    }

    /// Makes the objects an array.
    pub(super) fn publish(&self) -> std::io::Result<()> {
        for name in DOCUMENTS {
            let draft = self.draft_of(name);
            let (Some(text), Some(draft), Some(place)) =
                (input::whole(&draft)?, remote::place(&draft)?, remote::place(&self.root.join(name))?)
            else {
                continue;
            };
            place.put(text)?;
            draft.delete()?;
        }
        Ok(())
    }

    fn draft_of(&self, name: &str) -> PathBuf {
        self.root.join(format!(".part-{name}"))
    }

    fn write_whole(&self, path: &Path, value: &[u8]) -> std::io::Result<()> {
        let dir = path.parent().unwrap_or(&self.root);
        let draft = || temp::builder(".part-", 0o666).tempfile_in(dir);
        let mut draft = match draft() {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                std::fs::metadata(&self.root)?;
                std::fs::create_dir_all(dir)?;
                draft()?
            }
            other => other?,
        };
        draft.write_all(value)?;
        draft.persist(path)?;
        Ok(())
    }

    fn write(&self, path: &Path, value: &[u8]) -> std::io::Result<()> {
        match remote::place(path)? {
            // an object appears whole
            Some(place) => return place.put(value.to_vec()),
            None if self.shared => return self.write_whole(path, value),
            None => {}
        }
        match std::fs::write(path, value) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(path, value)
            }
            other => other,
        }
    }

    fn path(&self, key: &StoreKey) -> PathBuf {
        match self.draft && DOCUMENTS.contains(&key.as_str()) {
            true => self.draft_of(key.as_str()),
            false => self.root.join(key.as_str()),
        }
    }
}

/// The bytes of a range of a file that is open.
fn bytes(file: &mut Input, size: u64, range: ByteRange) -> Result<Bytes, StorageError> {
    let inside = match range {
        ByteRange::FromStart(at, None) => at <= size,
        ByteRange::FromStart(at, Some(len)) => at.checked_add(len).is_some_and(|end| end <= size),
        ByteRange::Suffix(len) => len <= size,
    };
    if !inside {
        return Err(InvalidByteRangeError::new(range, size).into());
    }
    let bytes = file.range(range.start(size), range.length(size) as usize).map_err(failed)?;
    match bytes.len() as u64 == range.length(size) {
        true => Ok(bytes.into()),
        false => Err(failed(ErrorKind::UnexpectedEof.into())),
    }
}

fn failed(error: std::io::Error) -> StorageError {
    StorageError::IOError(Arc::new(error))
}

/// A file that is not there is a chunk that was never written.
fn present<T>(result: std::io::Result<T>) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

impl ReadableStorageTraits for Directory {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        Ok(input::whole(&self.path(key)).map_err(failed)?.map(Bytes::from))
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(mut file) = present(Input::open(&self.path(key)))? else { return Ok(None) };
        let size = file.len().map_err(failed)?;
        Ok(Some(Box::new(byte_ranges.map(move |range| bytes(&mut file, size, range)))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        present(Input::open(&self.path(key)).and_then(|file| file.len()))
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

impl WritableStorageTraits for Directory {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.write(&self.path(key), &value).map_err(failed)
    }

    fn set_partial_many(&self, _key: &StoreKey, _values: OffsetBytesIterator) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("chunks are written whole".into()))
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        let path = self.path(key);
        match remote::place(&path).map_err(failed)? {
            Some(place) => place.delete().map_err(failed),
            None => present(std::fs::remove_file(path)).map(drop),
        }
    }

    fn erase_prefix(&self, _prefix: &StorePrefix) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("arrays are replaced whole".into()))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
