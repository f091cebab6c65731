//! A directory as `zarrs` sees it: keys are files.

use crate::io::temp;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator, InvalidByteRangeError};
use zarrs::storage::{
    Bytes, MaybeBytes, MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits, StorageError,
    StoreKey, StorePrefix, WritableStorageTraits,
};

/// Files below a directory.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Whether other processes write here too, perhaps the same chunks.
    shared: bool,
}

impl Directory {
    pub(super) fn new(root: &Path) -> Directory {
        Directory { root: root.to_owned(), shared: false }
    }

    /// Every file then appears whole, so that it may be written again by another process, and nothing is made if the directory is gone.
    pub(super) fn of_many_writers(self) -> Directory {
        Directory { shared: true, ..self }
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

    fn path(&self, key: &StoreKey) -> PathBuf {
        self.root.join(key.as_str())
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
        Ok(present(std::fs::read(self.path(key)))?.map(Bytes::from))
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(mut file) = present(File::open(self.path(key)))? else { return Ok(None) };
        let size = file.metadata().map_err(failed)?.len();
        let read = move |range: ByteRange| {
            let inside = match range {
                ByteRange::FromStart(at, None) => at <= size,
                ByteRange::FromStart(at, Some(len)) => at.checked_add(len).is_some_and(|end| end <= size),
                ByteRange::Suffix(len) => len <= size,
            };
            if !inside {
                return Err(InvalidByteRangeError::new(range, size).into());
            }
            let mut bytes = vec![0; range.length(size) as usize];
            file.seek(SeekFrom::Start(range.start(size)))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(failed)?;
            Ok(Bytes::from(bytes))
        };
        Ok(Some(Box::new(byte_ranges.map(read))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        Ok(present(std::fs::metadata(self.path(key)))?.map(|m| m.len()))
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

impl WritableStorageTraits for Directory {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        let path = self.path(key);
        if self.shared {
            return self.write_whole(&path, &value).map_err(failed);
        }
        match std::fs::write(&path, &value) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(failed)?;
                }
                std::fs::write(&path, &value).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    fn set_partial_many(&self, _key: &StoreKey, _values: OffsetBytesIterator) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("chunks are written whole".into()))
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        present(std::fs::remove_file(self.path(key))).map(drop)
    }

    fn erase_prefix(&self, _prefix: &StorePrefix) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("arrays are replaced whole".into()))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
