//! Boxes of elements.

use super::Dims;
use std::fmt;

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
