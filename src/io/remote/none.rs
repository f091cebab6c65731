//! What there is without the feature: URLs are refused, so none of this is ever made.

use super::is_url;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Stands for a place in a store.
#[derive(Clone, Debug)]
pub(in crate::io) struct Place(());

/// Stands for an object.
pub(in crate::io) type Object = Place;

fn refused() -> io::Error {
    let why = "this build reads no object stores; build with the feature `object-store`";
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// Refuses URLs.
pub(in crate::io) fn place(path: &Path) -> io::Result<Option<Place>> {
    if is_url(path) { Err(refused()) } else { Ok(None) }
}

#[allow(dead_code, clippy::unused_self, reason = "as the real one has them")]
impl Place {
    pub(in crate::io) fn open(self) -> io::Result<Object> {
        Err(refused())
    }
    pub(in crate::io) fn download(&self) -> io::Result<File> {
        Err(refused())
    }
    pub(in crate::io) fn len(&self) -> u64 {
        0
    }
    pub(in crate::io) fn stamp(&self) -> [u64; 2] {
        [0; 2]
    }
    pub(in crate::io) fn reader_at(&self, _at: u64) -> Object {
        self.clone()
    }
    pub(in crate::io) fn range(&self, _from: u64, _len: usize) -> io::Result<Vec<u8>> {
        Err(refused())
    }
    pub(in crate::io) fn whole(&self) -> io::Result<Vec<u8>> {
        Err(refused())
    }
    pub(in crate::io) fn list(&self) -> io::Result<Vec<PathBuf>> {
        Err(refused())
    }
    pub(in crate::io) fn has_any(&self) -> io::Result<bool> {
        Err(refused())
    }
    pub(in crate::io) fn fetch(
        &self,
        _range: std::ops::Range<u64>,
        _tag: Option<&str>,
    ) -> io::Result<Vec<u8>> {
        Err(refused())
    }
    pub(in crate::io) fn put(&self, _bytes: Vec<u8>) -> io::Result<()> {
        Err(refused())
    }
    pub(in crate::io) fn upload(&self, _file: &mut File) -> io::Result<()> {
        Err(refused())
    }
    pub(in crate::io) fn delete(&self) -> io::Result<()> {
        Err(refused())
    }
    pub(in crate::io) fn delete_below(&self) -> io::Result<()> {
        Err(refused())
    }
}

impl Read for Place {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(refused())
    }
}

impl Seek for Place {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        Err(refused())
    }
}
