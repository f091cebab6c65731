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
                // steps count modulo 2^32, as indices do
                let follows =
                    |(s, o): (&SmallVec<[u32; 4]>, &Dims)| s[last] == o[a].wrapping_mul(shape[a]) as u32;
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

/// Points along each side of a tile.
pub const SIDE: usize = 32;

/// Words of a tile of elements of one word: rows are a word longer than the tile, so that neighbours of a column lie in different banks.
pub const TILE: usize = SIDE * (SIDE + 1);

/// Inputs that lie the other way round: they walk an axis in smaller steps than the last one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Turn {
    /// The axis.
    pub axis: usize,
    /// Their numbers.
    pub inputs: SmallVec<[u8; 4]>,
}

impl Axes {
    /// Which of some inputs lie the other way round, as many as fit in so many words of tiles; `inputs` are numbers, and words of an element. None
    /// if the axes are too short for tiles.
    pub fn turn(&self, inputs: impl Iterator<Item = (usize, usize)>, words: usize) -> Option<Turn> {
        let last = self.lengths.len().checked_sub(1)?;
        let long = |a: usize| self.lengths[a] as usize >= SIDE;
        let mut turn = Turn { axis: last, inputs: SmallVec::new() };
        let mut left = words;
        for (n, words) in inputs {
            let step = |a: usize| (self.steps[n][a] as i32).unsigned_abs();
            let nearest = (0..last).filter(|&a| long(a) && step(a) != 0).min_by_key(|&a| step(a));
            let Some(axis) = nearest.filter(|&a| long(last) && step(a) < step(last)) else { continue };
            if (turn.axis == axis || turn.inputs.is_empty()) && words * TILE <= left {
                left -= words * TILE;
                turn.axis = axis;
                turn.inputs.push(n as u8);
            }
        }
        (!turn.inputs.is_empty()).then_some(turn)
    }

    /// Tiles of the points, by an axis and the last one.
    pub fn tiles(&self, axis: usize) -> usize {
        let last = self.lengths.len() - 1;
        let along = |(a, &n): (usize, &u32)| {
            if a == axis || a == last { (n as usize).div_ceil(SIDE) } else { n as usize }
        };
        self.lengths.iter().enumerate().map(along).product()
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

/// How a fold cuts what it folds into segments, and so which points are folded with which: a function of the whole region, so that
/// no bit depends on the pieces it goes in.
///
/// A segment has all of the last folded axes that fit, and a run of the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segments {
    /// The axis of which a segment has a run; all folded axes before it are walked one by one. None if one segment has everything.
    cut: Option<usize>,
    /// Length of the run: a power of two.
    run: usize,
    /// Points of a whole segment.
    pub points: usize,
}

impl Segments {
    /// Of up to `most` points.
    pub fn new(shape: &[usize], folds: impl Fn(usize) -> bool, most: usize) -> Segments {
        let mut points = 1;
        for a in (0..shape.len()).rev().filter(|&a| folds(a)) {
            if points * shape[a] > most {
                let run = 1 << (most / points).max(1).ilog2();
                return Segments { cut: Some(a), run, points: points * run };
            }
            points *= shape[a];
        }
        Segments { cut: None, run: 1, points }
    }

    /// Multiples of what lengths a piece may have along an axis that is folded.
    fn unit(self, axis: usize, length: usize) -> usize {
        match self.cut {
            Some(cut) if axis < cut => 1,
            Some(cut) if axis == cut => self.run,
            _ => length,
        }
    }

    /// Of a piece with so many folded points: those from one cut of segments to where they begin anew.
    pub fn line(self, piece: &[usize], folded: usize) -> usize {
        self.cut.map_or(folded, |cut| piece[cut] * (self.points / self.run))
    }
}

/// How a region may be cut into pieces.
#[derive(Clone, Debug)]
pub struct Cuts {
    /// Along each axis, lengths are multiples of this.
    units: Dims,
    /// Sets of axes, as bits: what differs in these alone comes in C order, piece after piece.
    orders: Vec<u64>,
}

impl Cuts {
    /// Anywhere.
    pub fn anywhere(rank: usize) -> Cuts {
        Cuts { units: SmallVec::from_elem(1, rank), orders: vec![] }
    }

    /// Also in the order of the points.
    pub fn in_order(&mut self) {
        self.orders.push(u64::MAX);
    }

    /// Also between segments of a fold, which then come in their order.
    pub fn between(&mut self, segments: Segments, shape: &[usize], folds: impl Fn(usize) -> bool) {
        self.orders.push((0..shape.len()).filter(|&a| folds(a)).fold(0, |set, a| set | 1 << a));
        for a in (0..shape.len()).filter(|&a| folds(a)) {
            // both are powers of two, or the whole axis
            self.units[a] = self.units[a].max(segments.unit(a, shape[a]));
        }
    }

    /// The smallest piece of a region, at its start.
    pub fn least(&self, region: &Region) -> Region {
        let shape = self.units.iter().zip(&region.shape).map(|(&u, &n)| u.min(n)).collect();
        Region { start: region.start.clone(), shape }
    }

    /// Cuts a region into boxes that fit: the last axes stay whole as far as they can. They follow each other in C order of their
    /// first points. `None` if not even the smallest fits.
    pub fn pieces(&self, region: &Region, fits: impl Fn(&[usize]) -> bool) -> Option<Vec<Region>> {
        let mut shape = region.shape.clone();
        while !fits(&shape) {
            // the longest run of the first axis that can be cut
            let cut = (0..shape.len()).find(|&a| shape[a] > self.units[a])?;
            // a run along this axis would end before the next step along another
            let broken =
                |set: &u64| set >> cut & 1 == 1 && (0..cut).any(|a| set >> a & 1 == 1 && shape[a] > 1);
            if self.orders.iter().any(broken) {
                return None;
            }
            let unit = self.units[cut];
            let (mut least, mut most) = (1, shape[cut].div_ceil(unit));
            while most - least > 1 {
                let middle = (least + most) / 2;
                shape[cut] = middle * unit;
                *if fits(&shape) { &mut least } else { &mut most } = middle;
            }
            shape[cut] = least * unit;
        }
        Some(boxes(region, &shape))
    }
}

/// The boxes of this shape, less at the ends, that a region consists of, in C order.
fn boxes(region: &Region, shape: &Dims) -> Vec<Region> {
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
                return all;
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
    fn what_lies_the_other_way_round_is_turned() {
        let shape = [3, 40, 50];
        let own = c_steps(&shape, |_| false);
        // (50, 40) and (40, 3, 50) seen as (3, 40, 50), flipped
        let turned: Dims = smallvec::smallvec![2000, 1, 40];
        let far: Dims = smallvec::smallvec![50, 150, usize::MAX];
        let axes = Axes::new(&shape, |_| false, &[own, turned, far]);
        assert_eq!(axes.lengths.as_slice(), [3, 40, 50]);
        let all = || (0..3).map(|n| (n, 1));
        let turn = axes.turn(all(), TILE);
        assert_eq!(turn, Some(Turn { axis: 1, inputs: [1u8].as_slice().into() }));
        assert_eq!(axes.tiles(1), 3 * 2 * 2);
        assert_eq!(axes.turn(all(), TILE - 1), None);
        assert_eq!(axes.turn([(0, 1), (2, 1)].into_iter(), 4 * TILE), None);
        // too short for tiles
        let axes = Axes::new(&[31, 50], |_| false, &[smallvec::smallvec![1, 31]]);
        assert_eq!(axes.turn([(0, 1)].into_iter(), TILE), None);
    }

    #[test]
    fn pieces_cover_the_region_in_order() {
        let region = Region::new([1usize, 2, 3].as_slice(), [3usize, 4, 5].as_slice());
        let mut cuts = Cuts::anywhere(3);
        cuts.in_order();
        for most in [1, 2, 7, 10, 25, 100] {
            let pieces =
                cuts.pieces(&region, |s| s.iter().product::<usize>() <= most).expect("one point fits");
            assert_eq!(pieces.iter().map(Region::len).sum::<usize>(), 60);
            let starts: Vec<_> = pieces.iter().map(|p| p.start.clone()).collect();
            assert!(starts.is_sorted() && pieces.iter().all(|p| p.len() <= most));
        }
        assert!(cuts.pieces(&region, |_| false).is_none());
    }

    #[test]
    fn pieces_end_where_segments_do() {
        let shape = [3usize, 40, 10];
        let region = Region::whole(&shape);
        let folds = |a| a != 0;
        let segments = Segments::new(&shape, folds, 50);
        assert_eq!(segments, Segments { cut: Some(1), run: 4, points: 40 });
        let mut cuts = Cuts::anywhere(3);
        cuts.between(segments, &shape, folds);
        for (most, length) in [(1200, 40), (399, 36), (100, 8), (40, 4)] {
            let pieces = cuts.pieces(&region, |s| s.iter().product::<usize>() <= most).expect("fits");
            assert!(pieces.iter().all(|p| p.shape[2] == 10 && p.shape[1] <= length && p.start[1] % 4 == 0));
            assert_eq!(pieces[0].shape[1], length);
            assert_eq!(segments.line(&pieces[0].shape, 10 * length), 10 * length);
        }
        assert!(cuts.pieces(&region, |s| s.iter().product::<usize>() <= 39).is_none());
        // no run of the points in order has whole segments of the second axis and part of the third
        let mut columns = Cuts::anywhere(3);
        columns.between(Segments::new(&shape, |a| a == 1, 20), &shape, |a| a == 1);
        let fits = |s: &[usize]| s.iter().product::<usize>() <= 60;
        assert!(columns.pieces(&region, fits).is_some());
        columns.in_order();
        assert!(columns.pieces(&region, fits).is_none());
        // nor has a fold of everything, even if it could be cut anywhere along the last axis
        let mut both = Cuts::anywhere(3);
        both.between(Segments::new(&shape, |a| a == 1, 20), &shape, |a| a == 1);
        both.between(Segments::new(&shape, |_| true, 2), &shape, |_| true);
        assert!(both.pieces(&region, fits).is_none());
    }
}
