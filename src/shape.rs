//! Shapes, regions, chunk grids and index maps: the arithmetic of where things are.
//!
//! Nothing here costs more for more chunks: a [`Grid`] of a regular chunking is a few numbers per axis, and blocks are
//! enumerated by index.

use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Lengths, starts or counts, one per axis.
pub type Dims = SmallVec<[usize; 4]>;

/// A box of elements: `start[k] .. start[k] + shape[k]` on every axis.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Region {
    /// First element on each axis.
    pub start: Dims,
    /// Length on each axis.
    pub shape: Dims,
}

impl Region {
    /// The region that covers a whole array.
    pub fn whole(shape: &[usize]) -> Region {
        Region { start: shape.iter().map(|_| 0).collect(), shape: shape.into() }
    }

    /// A region from starts and lengths.
    pub fn new(start: impl Into<Dims>, shape: impl Into<Dims>) -> Region {
        Region { start: start.into(), shape: shape.into() }
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// One past the last element of an axis.
    pub fn end(&self, axis: usize) -> usize {
        self.start[axis] + self.shape[axis]
    }

    /// The elements in both.
    pub fn intersect(&self, other: &Region) -> Region {
        let mut r = self.clone();
        for k in 0..self.ndim() {
            let start = self.start[k].max(other.start[k]);
            r.start[k] = start;
            r.shape[k] = self.end(k).min(other.end(k)).saturating_sub(start);
        }
        r
    }

    /// The smallest region that holds both; an empty one adds nothing.
    pub fn hull(&self, other: &Region) -> Region {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        let mut r = self.clone();
        for k in 0..self.ndim() {
            r.start[k] = self.start[k].min(other.start[k]);
            r.shape[k] = self.end(k).max(other.end(k)) - r.start[k];
        }
        r
    }

    /// Whether every element of `other` is in this one.
    pub fn contains(&self, other: &Region) -> bool {
        other.is_empty()
            || (0..self.ndim()).all(|k| self.start[k] <= other.start[k] && other.end(k) <= self.end(k))
    }

    /// The same region with starts counted from `origin`'s.
    pub fn relative_to(&self, origin: &Region) -> Region {
        let start = self.start.iter().zip(&origin.start).map(|(a, b)| a - b).collect();
        Region { start, shape: self.shape.clone() }
    }
}

/// `[0..10, 5..7]`
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for k in 0..self.ndim() {
            if k > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}..{}", self.start[k], self.end(k))?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Element strides of a C-ordered array.
pub fn c_strides(shape: &[usize]) -> SmallVec<[isize; 4]> {
    let mut strides: SmallVec<[isize; 4]> = SmallVec::from_elem(1, shape.len());
    for k in (0..shape.len().saturating_sub(1)).rev() {
        strides[k] = strides[k + 1] * shape[k + 1].max(1) as isize;
    }
    strides
}

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

/// Bytes of an automatic block: 1 MiB for arrays up to 256 MiB, growing to 16 MiB, so that an array has some hundreds of blocks
/// and a block is large beside the cost of a task.
pub fn auto_block_bytes(shape: &[usize], item: usize) -> usize {
    let whole = shape.iter().fold(item, |bytes, &n| bytes.saturating_mul(n));
    (whole / 256).clamp(1 << 20, 16 << 20)
}

/// How an array is cut into blocks: the product of its axes' chunks. A 0-d array has one block.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Grid {
    axes: SmallVec<[AxisChunks; 3]>,
}

impl Grid {
    /// A grid from its axes.
    pub fn new(axes: impl IntoIterator<Item = AxisChunks>) -> Grid {
        Grid { axes: axes.into_iter().collect() }
    }

    /// Regular chunks of one shape.
    pub fn regular(shape: &[usize], chunk: &[usize]) -> Grid {
        Grid::new(shape.iter().zip(chunk).map(|(&n, &c)| AxisChunks::regular(n, c)))
    }

    /// One block that is the whole array.
    pub fn single(shape: &[usize]) -> Grid {
        Grid::regular(shape, shape)
    }

    /// Automatic chunks for elements of `item` bytes: whole trailing axes as far as a block of [`auto_block_bytes`] goes, then
    /// runs of the next axis.
    pub fn auto(shape: &[usize], item: usize) -> Grid {
        let mut left = (auto_block_bytes(shape, item) / item).max(1);
        let mut chunk: Dims = Dims::from_elem(1, shape.len());
        for k in (0..shape.len()).rev() {
            chunk[k] = shape[k].clamp(1, left);
            left = (left / shape[k].max(1)).max(1);
        }
        Grid::regular(shape, &chunk)
    }

    /// Chunks of automatic size that are about as long on every axis, for data that is walked in several orders.
    pub fn square(shape: &[usize], item: usize) -> Grid {
        let mut chunk: Dims = shape.iter().map(|&n| n.max(1)).collect();
        let elements = (auto_block_bytes(shape, item) / item).max(1);
        while chunk.iter().product::<usize>() > elements {
            let Some(longest) = (0..chunk.len()).max_by_key(|&k| chunk[k]) else { break };
            chunk[longest] = chunk[longest].div_ceil(2);
        }
        Grid::regular(shape, &chunk)
    }

    /// The grid on which arrays cut in different ways meet: the boundaries of all; but where chunks cross each other (`x + x.T` of
    /// row chunks) and would leave dust, square blocks.
    pub fn meet(grids: &[&Grid], item: usize) -> Grid {
        let elements = |g: &Grid| g.max_block().iter().product::<usize>();
        let mut refined = grids[0].clone();
        for other in &grids[1..] {
            if **other != refined {
                refined = Grid::new(refined.axes.iter().zip(&other.axes).map(|(a, b)| a.refine(b)));
            }
        }
        let smallest = grids.iter().map(|g| elements(g)).min().unwrap_or(0);
        if elements(&refined) * 4 < smallest { Grid::square(&refined.shape(), item) } else { refined }
    }

    /// The axes.
    pub fn axes(&self) -> &[AxisChunks] {
        &self.axes
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.axes.len()
    }

    /// The array's shape.
    pub fn shape(&self) -> Dims {
        self.axes.iter().map(AxisChunks::len).collect()
    }

    /// Number of chunks on each axis.
    pub fn counts(&self) -> Dims {
        self.axes.iter().map(AxisChunks::count).collect()
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.axes.iter().map(AxisChunks::count).product()
    }

    /// Whether there is no block (some axis has length 0).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The longest chunk of each axis: no block is larger.
    pub fn max_block(&self) -> Dims {
        self.axes.iter().map(AxisChunks::max_len).collect()
    }

    /// The index of block number `i` in C order, per axis.
    pub fn unravel(&self, mut i: usize) -> Dims {
        let mut index: Dims = SmallVec::from_elem(0, self.ndim());
        for k in (0..self.ndim()).rev() {
            let n = self.axes[k].count();
            index[k] = i % n;
            i /= n;
        }
        index
    }

    /// The region of the block with this index per axis.
    pub fn region(&self, index: &[usize]) -> Region {
        let mut r = Region::default();
        for (axis, &i) in self.axes.iter().zip(index) {
            let (start, len) = axis.bounds(i);
            r.start.push(start);
            r.shape.push(len);
        }
        r
    }

    /// The region of block number `i` in C order.
    pub fn block(&self, i: usize) -> Region {
        self.region(&self.unravel(i))
    }

    /// The ranges of chunk indices, per axis, that a region touches.
    pub fn touched(&self, region: &Region) -> SmallVec<[std::ops::Range<usize>; 4]> {
        (0..self.ndim())
            .map(|k| {
                if region.shape[k] == 0 {
                    0..0
                } else {
                    self.axes[k].chunk_at(region.start[k])..self.axes[k].chunk_at(region.end(k) - 1) + 1
                }
            })
            .collect()
    }

    /// The blocks that a region touches, in C order.
    pub fn blocks_in(&self, region: &Region) -> impl Iterator<Item = Dims> + use<> {
        let ranges = self.touched(region);
        let total: usize = ranges.iter().map(|r| r.len()).product();
        (0..total).map(move |mut i| {
            let mut index: Dims = SmallVec::from_elem(0, ranges.len());
            for k in (0..ranges.len()).rev() {
                index[k] = ranges[k].start + i % ranges[k].len();
                i /= ranges[k].len();
            }
            index
        })
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (k, axis) in self.axes.iter().enumerate() {
            if k > 0 {
                f.write_str(", ")?;
            }
            axis.fmt(f)?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where one axis of a source is read: at `start + step * i`, with `i` the index along axis `from` of the view, or at
/// `start` throughout.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AxisMap {
    /// The axis of the view that walks this source axis; `None` if the source axis is fixed at `start`.
    pub from: Option<u8>,
    /// Index in the source of the view's element 0.
    pub start: isize,
    /// Source elements per view element; negative walks backwards. Unused when `from` is `None`.
    pub step: isize,
}

/// An affine view: which element of a source each element of a view is.
///
/// One [`AxisMap`] per *source* axis. Slices, transposes, flips, broadcasts (a view axis that no source axis walks),
/// new and dropped axes, and diagonals (two source axes that walk one view axis) are all of this form, and so are
/// their compositions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IndexMap {
    axes: SmallVec<[AxisMap; 3]>,
}

impl IndexMap {
    /// A map from its entries, one per source axis.
    pub fn new(axes: impl IntoIterator<Item = AxisMap>) -> IndexMap {
        IndexMap { axes: axes.into_iter().collect() }
    }

    /// The view that is the source.
    pub fn identity(ndim: usize) -> IndexMap {
        IndexMap::new((0..ndim).map(|k| AxisMap { from: Some(k as u8), start: 0, step: 1 }))
    }

    /// The entries, one per source axis.
    pub fn axes(&self) -> &[AxisMap] {
        &self.axes
    }

    /// Whether it is the identity.
    pub fn is_identity(&self) -> bool {
        self.axes.iter().enumerate().all(|(k, a)| *a == AxisMap { from: Some(k as u8), start: 0, step: 1 })
    }

    /// This view's elements seen through `outer`, a view of this view: the map from `outer`'s elements to the source.
    pub fn then(&self, outer: &IndexMap) -> IndexMap {
        IndexMap::new(self.axes.iter().map(|a| match a.from {
            None => *a,
            Some(k) => {
                let o = outer.axes[k as usize];
                AxisMap { from: o.from, start: a.start + a.step * o.start, step: a.step * o.step }
            }
        }))
    }

    /// The smallest region of the source that holds all that a region of the view reads.
    pub fn source_region(&self, view: &Region) -> Region {
        let mut r = Region::default();
        let empty = view.is_empty();
        for a in &self.axes {
            let (lo, n) = match a.from {
                None => (a.start, 1),
                Some(k) => {
                    let (s, n) = (view.start[k as usize] as isize, view.shape[k as usize] as isize);
                    let first = a.start + a.step * s;
                    let last = first + a.step * (n - 1).max(0);
                    (first.min(last), (first - last).unsigned_abs() + 1)
                }
            };
            r.start.push(if empty { 0 } else { lo as usize });
            r.shape.push(if empty { 0 } else { n });
        }
        r
    }

    /// The extent that [`IndexMap::source_region`] has for any view region of this extent.
    pub fn source_extent(&self, view: &[usize]) -> Dims {
        self.axes
            .iter()
            .map(|a| match a.from {
                None => 1,
                Some(k) => match view[k as usize] {
                    0 => 0,
                    n => (n - 1) * a.step.unsigned_abs() + 1,
                },
            })
            .collect()
    }

    /// Strides for walking a view region of rank `ndim`, given the strides of the source's data.
    pub fn strides(&self, source: &[isize], ndim: usize) -> SmallVec<[isize; 4]> {
        let mut out: SmallVec<[isize; 4]> = SmallVec::from_elem(0, ndim);
        for (a, s) in self.axes.iter().zip(source) {
            if let Some(k) = a.from {
                out[k as usize] += a.step * s;
            }
        }
        out
    }

    /// Offset, in source data that covers `data` with these strides, of the first element of a view region.
    pub fn offset(&self, source: &[isize], data: &Region, view: &Region) -> isize {
        let mut at = 0;
        for (k, a) in self.axes.iter().enumerate() {
            let i = a.start + a.from.map_or(0, |v| a.step * view.start[v as usize] as isize);
            at += (i - data.start[k] as isize) * source[k];
        }
        at
    }
}

/// `[i0, 3, 10-2*i1]`: the source's index in terms of the view's `i0, i1, ...`.
impl fmt::Display for IndexMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (k, a) in self.axes.iter().enumerate() {
            if k > 0 {
                f.write_str(", ")?;
            }
            let Some(v) = a.from else {
                write!(f, "{}", a.start)?;
                continue;
            };
            if a.start != 0 {
                write!(f, "{}", a.start)?;
            }
            match (a.start, a.step) {
                (0, 1) => write!(f, "i{v}")?,
                (0, s) => write!(f, "{s}*i{v}")?,
                (_, 1) => write!(f, "+i{v}")?,
                (_, -1) => write!(f, "-i{v}")?,
                (_, s) => write!(f, "{s:+}*i{v}")?,
            }
        }
        f.write_str("]")
    }
}

impl fmt::Debug for IndexMap {
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

    #[test]
    fn maps_compose_as_views_do() {
        // source (5, 7); v = source[4, ::-2] has 4 elements 6, 4, 2, 0; w = v[1:3] broadcast to (3, 2)
        let v = IndexMap::new([
            AxisMap { from: None, start: 4, step: 0 },
            AxisMap { from: Some(0), start: 6, step: -2 },
        ]);
        let w = v.then(&IndexMap::new([AxisMap { from: Some(1), start: 1, step: 1 }]));
        assert_eq!(w.to_string(), "[4, 4-2*i1]");
        let r = w.source_region(&Region::whole(&[3, 2]));
        assert_eq!(r, Region::new([4usize, 2].as_slice(), [1usize, 3].as_slice()));
        assert_eq!(w.source_extent(&[3, 2]).as_slice(), [1, 3]);
        assert_eq!(w.strides(&[3, 1], 2).as_slice(), [0, -2]);
        assert_eq!(w.offset(&[3, 1], &r, &Region::whole(&[3, 2])), 2);
    }
}
