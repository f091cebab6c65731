//! A file to read, on a disk or in an object store: the one place where formats open what they read.
//!
//! A path that begins with `s3://`, `gs://`, `az://`, `https://` or another scheme of a store is a URL; every other is a path. Objects are read by ranges.

use super::remote::{self, Object};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file that is open for reading, with a place in it as a [`File`] has.
#[derive(Debug)]
pub(super) enum Input {
    Disk(File),
    Object(Object),
}

impl Input {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> io::Result<Input> {
        match remote::place(path)? {
            Some(place) => place.open().map(Input::Object),
            None => File::open(path).map(Input::Disk),
        }
    }

    /// The same, as the library's errors have it.
    #[cfg(feature = "frame")]
    pub(super) fn of(path: &Path) -> crate::error::Result<Input> {
        Input::open(path).map_err(|e| crate::error::Error::io("reading", path, e))
    }

    /// The file on this machine's disk: an object is copied to a file without a name.
    pub(super) fn on_disk(path: &Path) -> io::Result<File> {
        match remote::place(path)? {
            Some(place) => place.open()?.download(),
            None => File::open(path),
        }
    }

    /// Its length in bytes.
    #[cfg(any(feature = "frame", feature = "zarr"))]
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Input::Disk(file) => Ok(file.metadata()?.len()),
            Input::Object(object) => Ok(object.len()),
        }
    }

    /// What changes when the file does.
    pub(super) fn stamp(&self) -> io::Result<[u64; 2]> {
        match self {
            Input::Disk(file) => {
                let facts = file.metadata()?;
                let time = facts.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
                Ok([facts.len(), time.map_or(0, |t| t.as_nanos() as u64)])
            }
            Input::Object(object) => Ok(object.stamp()),
        }
    }

    /// So many bytes from a place on; less at the end of the file. The place in the file is another afterwards.
    #[cfg(any(feature = "frame", feature = "zarr"))]
    pub(super) fn range(&mut self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        match self {
            Input::Disk(file) => {
                let mut bytes = Vec::with_capacity(len);
                file.seek(SeekFrom::Start(from))?;
                file.take(len as u64).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Input::Object(object) => object.range(from, len),
        }
    }

    /// What it takes beside what is read from it.
    #[cfg(any(feature = "frame", feature = "zarr"))]
    pub(super) fn held(path: &Path) -> usize {
        if remote::is_url(path) { remote::HELD } else { 0 }
    }

    /// How many bytes are read at once where all are read in order.
    #[cfg(feature = "frame")]
    pub(super) fn stride(&self) -> usize {
        match self {
            Input::Disk(_) => 32 << 10,
            Input::Object(_) => remote::STRIDE,
        }
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::Disk(file) => file.read(into),
            Input::Object(object) => object.read(into),
        }
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Input::Disk(file) => file.seek(to),
            Input::Object(object) => object.seek(to),
        }
    }
}

/// A whole file; `None` if there is none.
#[cfg(feature = "zarr")]
pub(super) fn whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let read = match remote::place(path)? {
        Some(place) => place.whole(),
        None => std::fs::read(path),
    };
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The path as every process on this machine, and for URLs on every other, understands it.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    if remote::is_url(path) { Ok(path.to_owned()) } else { std::path::absolute(path) }
}

#[cfg(all(test, any(feature = "frame", feature = "zarr")))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_by_ranges_up_to_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"0123456789").unwrap();
        let mut input = Input::open(file.path()).unwrap();
        assert_eq!(input.stamp().unwrap()[0], 10);
        assert_eq!(input.range(3, 4).unwrap(), b"3456");
        assert_eq!(input.range(8, 4).unwrap(), b"89");
        assert_eq!(input.range(20, 4).unwrap(), b"");
        assert!(!remote::is_url(Path::new("a/b")) && !remote::is_url(Path::new("c:\\b")));
        assert_eq!(absolute(Path::new("s3://a/b")).unwrap(), Path::new("s3://a/b"));
    }
}
