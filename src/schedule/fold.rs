//! Folds over many tasks: accumulators per span, merged in the order of spans.

use super::order::InOrder;
use crate::backend::{Operand, Output};
use crate::block::Block;
use crate::dtype::DType;
use crate::op::ReduceOp;
use crate::shape::{Dims, Grid, Region};
use blockwise_kernels::tile;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

/// A fold into a dense result.
pub(super) struct Fold {
    op: ReduceOp,
    dtype: DType,
    kept: SmallVec<[usize; 4]>,
    /// The grid of the kept axes.
    kept_grid: Grid,
}

/// What the spans of a fold are merged into.
pub(super) type Whole = InOrder<Planes, SpanFold>;

type Planes = SmallVec<[Block; 3]>;

/// The accumulators of one span: one set per block of the kept axes that its tasks touched.
#[derive(Default)]
pub(super) struct SpanFold {
    sets: HashMap<usize, (Region, Planes)>,
}

impl Fold {
    pub fn new(op: ReduceOp, dtype: DType, axes: &[usize], grid: &Grid) -> Fold {
        let kept: SmallVec<[usize; 4]> = (0..grid.ndim()).filter(|k| !axes.contains(k)).collect();
        let kept_grid = Grid::new(kept.iter().map(|&k| grid.axes()[k].clone()));
        Fold { op, dtype, kept, kept_grid }
    }

    /// A fold of nothing yet, to which so many workers bring spans.
    pub fn whole(&self, workers: usize) -> Whole {
        InOrder::new(empty(self.op, self.dtype, &self.kept_grid.shape()), workers)
    }

    /// The accumulators for a task, as the output of its kernel.
    pub fn output(&self, span: &mut SpanFold, index: &[usize], region: &Region) -> Output {
        let counts = self.kept_grid.counts();
        let key = self.kept.iter().zip(&counts).fold(0, |acc, (&k, &n)| acc * n + index[k]);
        let (_, planes) = span.sets.entry(key).or_insert_with(|| {
            let own = Region {
                start: self.kept.iter().map(|&k| region.start[k]).collect(),
                shape: self.kept.iter().map(|&k| region.shape[k]).collect(),
            };
            let planes = empty(self.op, self.dtype, &own.shape);
            (own, planes)
        });
        let ndim = region.ndim();
        Output::Reduce(
            planes
                .iter_mut()
                .map(|plane| {
                    let size = plane.dtype().size() as isize;
                    let mut strides = SmallVec::from_elem(0, ndim);
                    for (&k, s) in self.kept.iter().zip(plane.strides()) {
                        strides[k] = s * size;
                    }
                    Operand { ptr: plane.as_mut_ptr(), strides }
                })
                .collect(),
        )
    }

    /// Takes the accumulators of a finished span; see [`InOrder::put`].
    pub fn merge(&self, whole: &Whole, number: usize, span: SpanFold, stop: &AtomicBool) {
        let merged = whole.put(number, span, stop, |planes, _, span| {
            let mut keys: Vec<usize> = span.sets.keys().copied().collect();
            keys.sort_unstable();
            for key in keys {
                let (region, set) = &span.sets[&key];
                self.merge_set(planes, region, set);
            }
            Ok::<(), Infallible>(())
        });
        match merged {
            Ok(()) => {}
        }
    }

    fn merge_set(&self, into: &mut Planes, region: &Region, from: &Planes) {
        let n = region.len();
        if n == 0 {
            return;
        }
        // runs that are contiguous in both: the last axis, or everything if the set is the whole
        let whole = region.shape.as_slice() == into[0].shape();
        let run = if whole { n } else { region.shape.last().copied().unwrap_or(1) };
        let merge = tile::merge(self.op, self.dtype);
        let targets: SmallVec<[Block; 3]> = into.iter().map(|p| p.slice(region)).collect();
        for first in (0..n).step_by(run) {
            let mut a = [std::ptr::null_mut(); 3];
            let mut b = [std::ptr::null_mut(); 3];
            for (p, (t, f)) in targets.iter().zip(from).enumerate() {
                let mut at = 0isize;
                let mut i = first;
                for k in (0..region.ndim()).rev() {
                    at += (i % region.shape[k]) as isize * t.strides()[k];
                    i /= region.shape[k];
                }
                let size = t.dtype().size();
                // SAFETY: element `first` of the region, in the target by its strides and in the set by its C order.
                unsafe {
                    a[p] = (t.as_ptr() as *mut u8).offset(at * size as isize);
                    b[p] = (f.as_ptr() as *mut u8).add(first * size);
                }
            }
            // SAFETY: `run` accumulators lie behind each pointer; the whole's are ours under the lock, the set's are ours.
            unsafe { merge(&a, &b, run) };
        }
    }

    /// A span's accumulators as bytes: for every set, in order, its number and its planes.
    pub fn encode(&self, span: &SpanFold) -> Vec<u8> {
        let mut sets: Vec<_> = span.sets.iter().collect();
        sets.sort_unstable_by_key(|(key, _)| **key);
        let mut bytes = vec![];
        for (key, (_, planes)) in sets {
            bytes.extend_from_slice(&(*key as u64).to_le_bytes());
            planes.iter().for_each(|plane| bytes.extend_from_slice(plane.bytes()));
        }
        bytes
    }

    /// What [`Fold::encode`] made of a span; `None` if the bytes are not that.
    pub fn decode(&self, mut bytes: &[u8]) -> Option<SpanFold> {
        let mut span = SpanFold::default();
        while !bytes.is_empty() {
            let (key, rest) = bytes.split_first_chunk::<8>()?;
            let key = usize::try_from(u64::from_le_bytes(*key)).ok().filter(|&k| k < self.kept_grid.len())?;
            let region = self.kept_grid.block(key);
            bytes = rest;
            let mut planes = Planes::new();
            for dtype in self.op.planes(self.dtype) {
                let (own, rest) = bytes.split_at_checked(region.len() * dtype.size())?;
                if dtype == DType::Bool && own.iter().any(|&b| b > 1) {
                    return None;
                }
                let mut plane = Block::uninit(dtype, &region.shape);
                plane.bytes_mut().copy_from_slice(own);
                planes.push(plane);
                bytes = rest;
            }
            if span.sets.insert(key, (region, planes)).is_some() {
                return None;
            }
        }
        Some(span)
    }

    /// The bytes of a state, cut by ranges of sets: of each range those that are in it. `None` if they are no state of this fold.
    pub fn cut<'a>(&self, mut bytes: &'a [u8], ranges: &[Range<usize>]) -> Option<Vec<&'a [u8]>> {
        let planes: usize = self.op.planes(self.dtype).iter().map(|d| d.size()).sum();
        let mut out = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut end = 0;
            while let Some(key) = bytes.get(end..end + 8).and_then(|b| b.try_into().ok()) {
                let key =
                    usize::try_from(u64::from_le_bytes(key)).ok().filter(|&k| k < self.kept_grid.len())?;
                if key >= range.end {
                    break;
                }
                end += 8 + self.kept_grid.block(key).len() * planes;
            }
            let (own, rest) = bytes.split_at_checked(end)?;
            out.push(own);
            bytes = rest;
        }
        bytes.is_empty().then_some(out)
    }

    /// The result of one set, from the spans' states, which have others beside it or lack it.
    pub fn result_of<'a>(&self, key: usize, spans: impl IntoIterator<Item = &'a SpanFold>) -> Block {
        let region = self.kept_grid.block(key);
        let mut planes = empty(self.op, self.dtype, &region.shape);
        for (_, set) in spans.into_iter().filter_map(|span| span.sets.get(&key)) {
            self.merge_set(&mut planes, &Region::whole(&region.shape), set);
        }
        planes.swap_remove(self.op.result_plane())
    }

    /// The grid of the sets.
    pub fn grid(&self) -> &Grid {
        &self.kept_grid
    }

    /// The result: the fold of everything merged.
    pub fn finish(&self, whole: Whole) -> Block {
        let mut planes = whole.into_whole();
        planes.swap_remove(self.op.result_plane())
    }
}

/// Accumulators of nothing.
pub(super) fn empty(op: ReduceOp, dtype: DType, shape: &Dims) -> Planes {
    let mut planes: Planes = op.planes(dtype).into_iter().map(|d| Block::uninit(d, shape)).collect();
    let mut at = [std::ptr::null_mut(); 3];
    for (p, plane) in at.iter_mut().zip(&mut planes) {
        *p = plane.as_mut_ptr();
    }
    // SAFETY: each plane is a fresh contiguous block of this many elements.
    unsafe { tile::init(op, dtype, &at, shape.iter().product()) };
    planes
}
