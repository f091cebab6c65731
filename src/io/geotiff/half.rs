//! Samples of 16-bit floats, which `tiff-reader` decodes but refuses to name.
//!
//! It takes them only when built with a feature that asks for an older `half` than ours, and two of them cannot be had.
//! Its decoding goes by the width of samples and never asks what they mean; so the file is shown to it with "unsigned"
//! in the places that say "float", and the dtype is put right afterwards.

use std::sync::Arc;
use tiff_reader::source::{SharedSource, TiffSource};
use tiff_reader::{ByteOrder, Ifd, OpenOptions, TiffError, TiffFile};

const TAG_SAMPLE_FORMAT: u16 = 339;
const UNSIGNED: u16 = 1;
const FLOAT: u16 = 3;
/// Type of 16-bit numbers in a directory.
const SHORT: u16 = 3;

/// Opens a file, and again with other labels if it has images of 16-bit floats. Says where the directories of these are.
pub(super) fn open(source: SharedSource, options: OpenOptions) -> Result<(TiffFile, Vec<u64>), TiffError> {
    let file = TiffFile::from_source_with_options(source.clone(), options)?;
    let (mut patches, mut halves) = (Vec::new(), Vec::new());
    let mut look = |ifd: &Ifd| -> Result<(), TiffError> {
        let found = labels(&file, ifd)?;
        if !found.is_empty() {
            halves.push(ifd.offset());
        }
        patches.extend(found);
        Ok(())
    };
    for ifd in file.ifds() {
        look(ifd)?;
        for offset in ifd.sub_ifd_offsets().unwrap_or_default().into_iter().take(super::source::MAX_SUB_IFDS)
        {
            look(&file.read_ifd_at_offset(offset)?)?;
        }
    }
    if patches.is_empty() {
        return Ok((file, halves));
    }
    patches.sort_unstable();
    let source: SharedSource = Arc::new(Relabelled { inner: source, patches });
    TiffFile::from_source_with_options(source, options).map(|file| (file, halves))
}

/// Where a directory says "float" of 16-bit samples, and what to say instead.
fn labels(file: &TiffFile, ifd: &Ifd) -> Result<Vec<(u64, [u8; 2])>, TiffError> {
    let all = |list: Result<Vec<u16>, TiffError>, value| list.is_ok_and(|l| l.iter().all(|&v| v == value));
    if !all(ifd.bits_per_sample(), 16) || !all(ifd.sample_format(), FLOAT) {
        return Ok(Vec::new());
    }
    let little = file.byte_order() == ByteOrder::LittleEndian;
    let number = |at: u64, len: usize| -> Result<u64, TiffError> {
        let mut bytes = file.source().read_exact_at(at, len)?;
        if !little {
            bytes.reverse();
        }
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    };
    // lengths of: the number of entries, an entry, a count or place in it
    let (head, entry, word) = if file.is_bigtiff() { (8, 20, 8) } else { (2, 12, 4) };
    for i in 0..number(ifd.offset(), head)? {
        let at = ifd.offset() + head as u64 + i * entry;
        if number(at, 2)? == u64::from(TAG_SAMPLE_FORMAT) && number(at + 2, 2)? == u64::from(SHORT) {
            let count = number(at + 4, word)?;
            let field = at + 4 + word as u64;
            let values = if count * 2 <= word as u64 { field } else { number(field, word)? };
            let label = if little { UNSIGNED.to_le_bytes() } else { UNSIGNED.to_be_bytes() };
            return Ok((0..count.min(u64::from(u16::MAX))).map(|k| (values + 2 * k, label)).collect());
        }
    }
    Ok(Vec::new())
}

/// A file of which a few bytes are read as others.
struct Relabelled {
    inner: SharedSource,
    /// Place and bytes, ascending.
    patches: Vec<(u64, [u8; 2])>,
}

impl TiffSource for Relabelled {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_exact_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, TiffError> {
        let mut bytes = self.inner.read_exact_at(offset, len)?;
        let end = offset + len as u64;
        let first = self.patches.partition_point(|(at, label)| at + label.len() as u64 <= offset);
        for (at, label) in self.patches[first..].iter().take_while(|(at, _)| *at < end) {
            for (place, byte) in (*at..).zip(label) {
                if (offset..end).contains(&place) {
                    bytes[(place - offset) as usize] = *byte;
                }
            }
        }
        Ok(bytes)
    }
}
