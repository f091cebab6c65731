//! Files and directories that appear at their destination only when they are whole.
//!
//! What is being written lives beside its destination (so that the rename stays inside one file system) under a hidden
//! temporary name, and is removed when dropped before it was published. What is to be in an object store grows in the system's directory for
//! temporary files, and is sent when it is whole.

use super::remote;
use crate::error::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The directory that will hold `path`, and a prefix for the temporary name.
fn sibling(path: &Path) -> (PathBuf, String) {
    let dir = match path.parent() {
        _ if remote::is_url(path) => std::env::temp_dir(),
        Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
        _ => PathBuf::from("."),
    };
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    (dir, format!(".{name}.part-"))
}

/// Lets the process' umask decide, as for any file a program creates; `tempfile` would make them private.
pub(super) fn builder(prefix: &str, mode: u32) -> tempfile::Builder<'_, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// A temporary file beside `path`.
pub(crate) fn file_beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let (dir, prefix) = sibling(path);
    builder(&prefix, 0o666).tempfile_in(dir).map_err(|e| Error::io("creating", path, e))
}

/// Moves a written file to its destination, replacing a file that is there.
pub(crate) fn publish_file(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    match remote::place(path).map_err(|e| Error::io("writing", path, e))? {
        Some(place) => place.upload(&mut file.into_file()).map_err(|e| Error::io("writing", path, e)),
        None => file.persist(path).map(drop).map_err(|e| Error::io("renaming to", path, e.error)),
    }
}

/// A file that is being written.
#[cfg(feature = "frame")]
#[derive(Debug)]
pub(super) enum Draft {
    /// On its own: beside its destination until it is whole.
    Beside(tempfile::NamedTempFile),
    /// One of many in a directory that is not published yet: in its place, and open only while something is written to it, because a
    /// process may have a thousand files open but not many more.
    Within(PathBuf),
}

#[cfg(feature = "frame")]
impl Draft {
    /// A file of its own.
    pub(super) fn beside(path: &Path) -> Result<Draft> {
        file_beside(path).map(Draft::Beside)
    }

    /// Makes it appear at its destination.
    pub(super) fn publish(self, path: &Path) -> Result<()> {
        match self {
            Draft::Beside(file) => publish_file(file, path),
            Draft::Within(_) => Ok(()),
        }
    }
}

#[cfg(feature = "frame")]
impl std::io::Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Draft::Beside(file) => file.write(bytes),
            Draft::Within(path) => {
                std::fs::OpenOptions::new().create(true).append(true).open(path)?.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Draft::Beside(file) => file.flush(),
            Draft::Within(_) => Ok(()),
        }
    }
}

/// A temporary directory beside `path`.
#[cfg(any(feature = "zarr", feature = "frame"))]
pub(super) fn dir_beside(path: &Path) -> Result<tempfile::TempDir> {
    let (dir, prefix) = sibling(path);
    builder(&prefix, 0o777).tempdir_in(dir).map_err(|e| Error::io("creating", path, e))
}

/// A directory of its own below a directory or URL, for what is not needed for long: removed with this value.
#[cfg(feature = "cluster")]
#[derive(Debug)]
pub(crate) enum ScratchDir {
    /// On a file system.
    Disk(tempfile::TempDir),
    /// In an object store.
    Objects(PathBuf),
}

#[cfg(feature = "cluster")]
impl ScratchDir {
    /// Makes one.
    pub(crate) fn below(root: &Path) -> Result<ScratchDir> {
        let failed = |e| Error::io("creating", root, e);
        if !remote::is_url(root) {
            let root = std::path::absolute(root).map_err(failed)?;
            let dir = builder("blockwise-", 0o777).tempdir_in(root).map_err(failed)?;
            return Ok(ScratchDir::Disk(dir));
        }
        // a name that no other has: that of a file which is gone at once
        let name = builder("blockwise-", 0o600).rand_bytes(16).tempfile().map_err(failed)?;
        Ok(ScratchDir::Objects(root.join(name.path().file_name().unwrap_or_default())))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            ScratchDir::Disk(dir) => dir.path(),
            ScratchDir::Objects(url) => url,
        }
    }
}

#[cfg(feature = "cluster")]
impl Drop for ScratchDir {
    fn drop(&mut self) {
        if let ScratchDir::Objects(url) = self
            && let Ok(Some(place)) = remote::place(url)
        {
            let _ = place.delete_below();
        }
    }
}

/// The same for a directory that must not be there yet.
#[cfg(feature = "frame")]
pub(super) fn new_dir(op: &'static str, path: &Path) -> Result<tempfile::TempDir> {
    let place = remote::place(path).map_err(|e| Error::io("creating", path, e))?;
    let is_there = match place {
        Some(place) => place.has_any().map_err(|e| Error::io("creating", path, e))?,
        None => path.symlink_metadata().is_ok(),
    };
    if is_there {
        let message = format!("{} is there already; remove it, or write elsewhere", path.display());
        return Err(Error::invalid(op, message));
    }
    dir_beside(path)
}

/// Moves a written directory to its destination. With `replace`, a directory that is there is moved away first and
/// removed afterwards; without, it stays and the call fails.
#[cfg(any(feature = "zarr", feature = "frame"))]
pub(super) fn publish_dir(dir: tempfile::TempDir, path: &Path, replace: bool) -> Result<()> {
    if remote::is_url(path) {
        return upload_dir(dir.path(), path).map_err(|e| Error::io("writing", path, e));
    }
    let old = if replace && path.symlink_metadata().is_ok() {
        let aside = dir_beside(path)?;
        let to = aside.path().join("replaced");
        std::fs::rename(path, &to).map_err(|e| Error::io("moving away", path, e))?;
        Some((aside, to))
    } else {
        None
    };
    if let Err(e) = std::fs::rename(dir.path(), path) {
        if let Some((_, to)) = &old {
            // put back what was there; if even that fails, the first error is the one to tell
            let _ = std::fs::rename(to, path);
        }
        return Err(Error::io("renaming to", path, e));
    }
    let _ = dir.keep();
    Ok(())
}

/// Sends all files below a directory; what was sent is removed if one cannot be.
#[cfg(any(feature = "zarr", feature = "frame"))]
fn upload_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    let send = || {
        let mut dirs = vec![(from.to_owned(), to.to_owned())];
        while let Some((dir, url)) = dirs.pop() {
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                let (at, url) = (entry.path(), url.join(entry.file_name()));
                match (entry.file_type()?.is_dir(), remote::place(&url)?) {
                    (true, _) => dirs.push((at, url)),
                    (false, Some(place)) => place.upload(&mut File::open(at)?)?,
                    (false, None) => return Err(std::io::ErrorKind::InvalidInput.into()),
                }
            }
        }
        Ok(())
    };
    let sent = send();
    if sent.is_err()
        && let Some(place) = remote::place(to)?
    {
        let _ = place.delete_below();
    }
    sent
}

/// Gives a file its length and, where the file system can, the disk blocks for it, so that a full disk shows now.
pub(super) fn allocate(file: &File, bytes: u64) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    if bytes > 0 {
        use std::os::fd::AsRawFd;
        let len = libc::off_t::try_from(bytes).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
        // SAFETY: a system call on a descriptor that `file` keeps open; no memory is passed.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) } != 0 {
            let error = std::io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINTR) => {}
                _ => return Err(error),
            }
        }
    }
    file.set_len(bytes)
}

/// Writes all of `bytes` at an offset, without moving the file's position: threads may do so side by side.
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::FileExt;
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            let n = file.seek_write(bytes, offset)?;
            if n == 0 {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            (bytes, offset) = (&bytes[n..], offset + n as u64);
        }
        Ok(())
    }
}
