//! Boxes of points: how a region is cut into pieces, and how few axes a piece needs.

use crate::shape::{Dims, Region};
use smallvec::SmallVec;

/// Numbers of axes after normalization.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ranks {
    /// Axes that are kept.
    pub outer: usize,
    /// Axes that are folded away.
    pub inner: usize,
}

impl Ranks {
    /// All axes.
    pub fn both(self) -> usize {
        self.outer + self.inner
    }
}

/// A piece's axes, kept ones first, neighbours that every operand walks as one axis joined.
#[derive(Debug)]
pub struct Axes {
    /// How many of them.
    pub ranks: Ranks,
    /// Lengths.
    pub lengths: SmallVec<[u32; 4]>,
    /// Per operand the step of each axis.
    pub steps: Vec<SmallVec<[u32; 4]>>,
}

impl Axes {
    /// Of a box, where `operands` are steps per axis of the box.
    pub fn new(shape: &[usize], folds: impl Fn(usize) -> bool, operands: &[Dims]) -> Axes {
        let mut axes = Axes {
            ranks: Ranks { outer: 0, inner: 0 },
            lengths: SmallVec::new(),
            steps: vec![SmallVec::new(); operands.len()],
        };
        for inner in [false, true] {
            let mut open = false;
            for a in (0..shape.len()).filter(|&a| folds(a) == inner && shape[a] != 1) {
                let last = axes.lengths.len().wrapping_sub(1);
                let follows = |(s, o): (&SmallVec<[u32; 4]>, &Dims)| s[last] as usize == o[a] * shape[a];
                if open && axes.steps.iter().zip(operands).all(follows) {
                    axes.lengths[last] *= shape[a] as u32;
                    axes.steps.iter_mut().zip(operands).for_each(|(s, o)| s[last] = o[a] as u32);
                } else {
                    axes.lengths.push(shape[a] as u32);
                    axes.steps.iter_mut().zip(operands).for_each(|(s, o)| s.push(o[a] as u32));
                    let ranks = &mut axes.ranks;
                    *if inner { &mut ranks.inner } else { &mut ranks.outer } += 1;
                    open = true;
                }
            }
        }
        axes
    }
}

/// Steps of a C-ordered box in elements; 0 where `fixed`, which counts as length 1.
pub fn c_steps(shape: &[usize], fixed: impl Fn(usize) -> bool) -> Dims {
    let mut steps: Dims = SmallVec::from_elem(0, shape.len());
    let mut step = 1;
    for a in (0..shape.len()).rev().filter(|&a| !fixed(a)) {
        steps[a] = step;
        step *= shape[a];
    }
    steps
}

/// Cuts a region into boxes that fit, in C order of their points: the last axes stay whole as far as they can. `None` if not
/// even one point fits.
pub fn pieces(region: &Region, fits: impl Fn(&[usize]) -> bool) -> Option<Vec<Region>> {
    let mut shape = region.shape.clone();
    while !fits(&shape) {
        // the longest run of the first axis that is not 1 yet
        let cut = shape.iter().position(|&n| n > 1)?;
        let (mut least, mut most) = (1, shape[cut]);
        while most - least > 1 {
            shape[cut] = (least + most) / 2;
            *if fits(&shape) { &mut least } else { &mut most } = shape[cut];
        }
        shape[cut] = least;
    }
    let mut all = vec![];
    let mut at: Dims = SmallVec::from_elem(0, shape.len());
    loop {
        let mut piece = Region { start: region.start.clone(), shape: shape.clone() };
        for a in 0..shape.len() {
            piece.start[a] += at[a];
            piece.shape[a] = shape[a].min(region.shape[a] - at[a]);
        }
        all.push(piece);
        let mut a = shape.len();
        loop {
            if a == 0 {
                return Some(all);
            }
            a -= 1;
            at[a] += shape[a];
            if at[a] < region.shape[a] {
                break;
            }
            at[a] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_join_where_all_walk_on() {
        let shape = [4, 5, 6];
        let whole = c_steps(&shape, |_| false);
        let axes = Axes::new(&shape, |_| false, std::slice::from_ref(&whole));
        assert_eq!((axes.ranks, axes.lengths.as_slice()), (Ranks { outer: 1, inner: 0 }, &[120][..]));
        let row = c_steps(&shape, |a| a == 0);
        let axes = Axes::new(&shape, |_| false, &[whole.clone(), row]);
        assert_eq!(axes.lengths.as_slice(), [4, 30]);
        let axes = Axes::new(&shape, |a| a == 1, &[whole]);
        assert_eq!((axes.ranks, axes.steps[0].as_slice()), (Ranks { outer: 2, inner: 1 }, &[30, 1, 6][..]));
    }

    #[test]
    fn pieces_cover_the_region_in_order() {
        let region = Region::new([1usize, 2, 3].as_slice(), [3usize, 4, 5].as_slice());
        for most in [1, 2, 7, 10, 25, 100] {
            let pieces = pieces(&region, |s| s.iter().product::<usize>() <= most).expect("one point fits");
            assert_eq!(pieces.iter().map(Region::len).sum::<usize>(), 60);
            let starts: Vec<_> = pieces.iter().map(|p| p.start.clone()).collect();
            assert!(starts.is_sorted() && pieces.iter().all(|p| p.len() <= most));
        }
        assert!(pieces(&region, |_| false).is_none());
    }
}
