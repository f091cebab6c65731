//! How one axis is cut into chunks.

use std::fmt;
use std::sync::Arc;

/// How one axis is cut into chunks.
///
/// A zero-length axis has no chunk.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum AxisChunks {
    /// Chunks of `size`, but a first one of `first` (1 ..= size) and a last one that may be shorter.
    Regular {
        /// Length of the first chunk.
        first: usize,
        /// Length of the others.
        size: usize,
        /// Length of the axis.
        len: usize,
    },
    /// Chunks that end at these offsets (ascending, the last one the axis' length).
    Explicit(Arc<[usize]>),
}

impl AxisChunks {
    /// Chunks of `size` from the start; the last may be shorter. A `size` of 0 counts as 1.
    pub fn regular(len: usize, size: usize) -> AxisChunks {
        let size = size.clamp(1, len.max(1));
        AxisChunks::Regular { first: size, size, len }
    }

    /// Chunks of these lengths; zeros are dropped. Lengths that form a regular chunking are stored as one.
    pub fn explicit(lengths: &[usize]) -> AxisChunks {
        let lengths: Vec<usize> = lengths.iter().copied().filter(|&n| n > 0).collect();
        let len = lengths.iter().sum();
        let Some(&first) = lengths.first() else { return AxisChunks::regular(0, 1) };
        let size = if lengths.len() > 2 { lengths[1] } else { lengths.iter().copied().max().unwrap_or(1) };
        let regular = AxisChunks::Regular { first, size, len };
        if first <= size
            && regular.count() == lengths.len()
            && lengths.iter().enumerate().all(|(i, &n)| regular.bounds(i).1 == n)
        {
            return regular;
        }
        let mut end = 0;
        AxisChunks::Explicit(
            lengths
                .iter()
                .map(|n| {
                    end += n;
                    end
                })
                .collect(),
        )
    }

    /// Length of the axis.
    pub fn len(&self) -> usize {
        match self {
            AxisChunks::Regular { len, .. } => *len,
            AxisChunks::Explicit(ends) => ends.last().copied().unwrap_or(0),
        }
    }

    /// Whether the axis has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of chunks.
    pub fn count(&self) -> usize {
        match self {
            AxisChunks::Regular { first, size, len } => {
                if *len == 0 {
                    0
                } else {
                    1 + len.saturating_sub(*first).div_ceil(*size)
                }
            }
            AxisChunks::Explicit(ends) => ends.len(),
        }
    }

    /// Start and length of chunk `i` (which must exist).
    pub fn bounds(&self, i: usize) -> (usize, usize) {
        match self {
            AxisChunks::Regular { first, size, len } => {
                if i == 0 {
                    (0, *first.min(len))
                } else {
                    let start = first + (i - 1) * size;
                    (start, (*size).min(len - start))
                }
            }
            AxisChunks::Explicit(ends) => {
                let start = if i == 0 { 0 } else { ends[i - 1] };
                (start, ends[i] - start)
            }
        }
    }

    /// The chunk that holds an element (which must be on the axis).
    pub fn chunk_at(&self, offset: usize) -> usize {
        match self {
            AxisChunks::Regular { first, size, .. } => {
                if offset < *first {
                    0
                } else {
                    1 + (offset - first) / size
                }
            }
            AxisChunks::Explicit(ends) => ends.partition_point(|&e| e <= offset),
        }
    }

    /// Length of the longest chunk (0 if there is none).
    pub fn max_len(&self) -> usize {
        match self {
            AxisChunks::Regular { first, size, len } => {
                if *len <= *first {
                    *len
                } else {
                    (*first).max((*size).min(len - first))
                }
            }
            AxisChunks::Explicit(_) => (0..self.count()).map(|i| self.bounds(i).1).max().unwrap_or(0),
        }
    }

    /// The lengths of all chunks. Costs their number.
    pub fn lengths(&self) -> Vec<usize> {
        (0..self.count()).map(|i| self.bounds(i).1).collect()
    }

    /// The chunks of the elements `start, start + step, ...` (`count` of them).
    ///
    /// With a step of 1 these are the source's chunks, cut; with another step they are regular chunks of about the
    /// source's length divided by the step.
    pub fn slice(&self, start: usize, step: isize, count: usize) -> AxisChunks {
        match self {
            _ if count == 0 => AxisChunks::regular(0, 1),
            AxisChunks::Regular { first, size, .. } if step == 1 => {
                let head = if start < *first { first - start } else { size - (start - first) % size };
                AxisChunks::Regular { first: head.min(count), size: (*size).max(head.min(count)), len: count }
                    .settle()
            }
            AxisChunks::Explicit(ends) if step == 1 => {
                let lo = ends.partition_point(|&e| e <= start);
                let mut lengths = Vec::new();
                let mut at = start;
                for &e in &ends[lo..] {
                    let to = e.min(start + count);
                    lengths.push(to - at);
                    at = to;
                    if at == start + count {
                        break;
                    }
                }
                AxisChunks::explicit(&lengths)
            }
            _ => AxisChunks::regular(count, self.max_len() / step.unsigned_abs().max(1)),
        }
    }

    /// Puts a regular chunking in its one form: a first chunk equal to the size where that says the same.
    fn settle(self) -> AxisChunks {
        match self {
            AxisChunks::Regular { first, len, .. } if first >= len => AxisChunks::regular(len, len),
            other => other,
        }
    }

    /// The same axis with `by` chunks in one.
    pub fn join(&self, by: usize) -> AxisChunks {
        match self {
            AxisChunks::Regular { first, size, len } if first == size => {
                AxisChunks::regular(*len, size.saturating_mul(by))
            }
            _ => {
                let lengths = self.lengths();
                AxisChunks::explicit(&lengths.chunks(by.max(1)).map(|c| c.iter().sum()).collect::<Vec<_>>())
            }
        }
    }

    /// The chunks whose boundaries are those of both. Either may be of any kind; lengths must be equal.
    pub fn refine(&self, other: &AxisChunks) -> AxisChunks {
        if self == other || other.count() <= 1 {
            return self.clone();
        }
        if self.count() <= 1 {
            return other.clone();
        }
        if let (
            AxisChunks::Regular { first: fa, size: a, .. },
            AxisChunks::Regular { first: fb, size: b, .. },
        ) = (self, other)
        {
            // one chunking's boundaries may include the other's; then no list is needed
            if a % b == 0 && fa % b == fb % b {
                return other.clone();
            }
            if b % a == 0 && fb % a == fa % a {
                return self.clone();
            }
        }
        let (mut i, mut j, mut at, mut lengths) = (0, 0, 0, Vec::new());
        while at < self.len() {
            let (a, b) = (self.bounds(i), other.bounds(j));
            let (ea, eb) = (a.0 + a.1, b.0 + b.1);
            let to = ea.min(eb);
            lengths.push(to - at);
            at = to;
            i += usize::from(ea == to);
            j += usize::from(eb == to);
        }
        AxisChunks::explicit(&lengths)
    }
}

/// As Dask prints chunks, but short: `512 x 16 (last 100)`, or the list.
impl fmt::Display for AxisChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AxisChunks::Regular { .. } if self.count() <= 1 => write!(f, "{}", self.len()),
            AxisChunks::Regular { first, size, .. } => {
                let n = self.count();
                if first != size {
                    write!(f, "{first}+")?;
                }
                write!(f, "{size}")?;
                let last = self.bounds(n - 1).1;
                if last != *size {
                    write!(f, "..{last}")?;
                }
                Ok(())
            }
            AxisChunks::Explicit(ends) if ends.len() <= 6 => {
                let parts: Vec<String> = self.lengths().iter().map(usize::to_string).collect();
                write!(f, "{}", parts.join("+"))
            }
            AxisChunks::Explicit(ends) => {
                write!(f, "{} irregular chunks, up to {}", ends.len(), self.max_len())
            }
        }
    }
}

impl fmt::Debug for AxisChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_every_form_agree_with_their_lengths() {
        for c in [
            AxisChunks::regular(10, 3),
            AxisChunks::regular(0, 3),
            AxisChunks::Regular { first: 2, size: 4, len: 11 },
            AxisChunks::explicit(&[3, 1, 5, 0, 2]),
        ] {
            let lengths = c.lengths();
            assert_eq!(lengths.iter().sum::<usize>(), c.len());
            assert_eq!(c.max_len(), lengths.iter().copied().max().unwrap_or(0));
            let mut at = 0;
            for (i, n) in lengths.iter().enumerate() {
                assert_eq!(c.bounds(i), (at, *n));
                for o in at..at + n {
                    assert_eq!(c.chunk_at(o), i);
                }
                at += n;
            }
        }
    }

    #[test]
    fn explicit_lengths_that_are_regular_are_stored_as_regular() {
        assert_eq!(AxisChunks::explicit(&[4, 4, 2]), AxisChunks::regular(10, 4));
        assert!(matches!(AxisChunks::explicit(&[2, 4, 4, 1]), AxisChunks::Regular { first: 2, .. }));
        assert!(matches!(AxisChunks::explicit(&[2, 4, 3, 1]), AxisChunks::Explicit(_)));
    }

    #[test]
    fn slicing_chunks_cuts_them() {
        for c in [AxisChunks::regular(23, 5), AxisChunks::explicit(&[7, 1, 9, 6])] {
            for start in 0..23 {
                for count in 1..=23 - start {
                    let s = c.slice(start, 1, count);
                    assert_eq!(s.len(), count);
                    // every boundary of the slice is one of the source
                    for i in 0..s.count() {
                        let (at, n) = s.bounds(i);
                        assert_eq!(
                            c.chunk_at(start + at),
                            c.chunk_at(start + at + n - 1),
                            "{c} {start} {count}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn refining_keeps_both_boundaries() {
        let a = AxisChunks::regular(24, 6);
        let b = AxisChunks::regular(24, 4);
        assert_eq!(a.refine(&b).lengths(), [4, 2, 2, 4, 4, 2, 2, 4]);
        assert_eq!(a.refine(&AxisChunks::regular(24, 3)), AxisChunks::regular(24, 3));
        assert_eq!(a.refine(&AxisChunks::regular(24, 24)), a);
    }
}
