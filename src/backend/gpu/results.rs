//! What comes back from the device, to where the launch wants it.

use super::geometry::c_steps;
use super::job::{Dispatch, Frame, Job};
use super::passes::Pass;
use super::strided;
use super::wgsl;
use crate::backend::reference::{position, unravel};
use crate::backend::{Launch, Operand, Output};
use crate::block::Block;
use crate::dtype::DType;
use crate::ir::{Kernel, Root, Value};
use crate::op::ReduceOp;
use crate::shape::{Dims, Region};
use blockwise_kernels::{naive, tile};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// How far a launch has come.
pub struct Results {
    /// Whether all of it comes back at once: then nothing can fail after anything is folded, and no copies are needed.
    whole: bool,
    /// Elements that each root has selected.
    selected: Vec<usize>,
    /// What each root has folded by group.
    groups: Vec<Groups>,
    /// What the host is to fold when all is there, by pass and value: elements, and how many bytes of them are there.
    spread: BTreeMap<(usize, Value), (Block, usize)>,
}

/// A fold by group.
#[derive(Default)]
struct Groups {
    /// Whether points named a slot.
    named: Vec<bool>,
    /// The accumulators of all slots.
    planes: [Vec<u64>; 3],
}

impl Groups {
    /// The accumulators from a slot on, whose elements in the planes have these sizes.
    fn at(&mut self, slot: usize, sizes: &[usize]) -> [*mut u8; 3] {
        let mut sizes = sizes.iter();
        self.planes.each_mut().map(|plane| {
            plane.as_mut_ptr().cast::<u8>().wrapping_add(slot * sizes.next().copied().unwrap_or_default())
        })
    }
}

/// The planes of reductions as they were.
pub type Saved = Vec<SmallVec<[Block; 3]>>;

/// Bytes as words.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(4 * at..4 * at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

impl Frame<'_> {
    /// Where a piece begins, counted from the region's start.
    pub fn within(&self, piece: &Region) -> Dims {
        piece.start.iter().zip(&self.launch.region.start).map(|(p, r)| p - r).collect()
    }
}

/// The box of elements that a reduction keeps.
fn kept(shape: &[usize], axes: &[u8]) -> Dims {
    (0..shape.len()).map(|a| if axes.contains(&(a as u8)) { 1 } else { shape[a] }).collect()
}

/// The reductions of a launch: their axes and planes.
fn reductions<'a>(
    kernel: &'a Kernel,
    launch: &'a Launch<'_>,
) -> impl Iterator<Item = (&'a [u8], Vec<DType>, &'a SmallVec<[Operand; 3]>)> {
    kernel.roots().iter().zip(launch.outputs).filter_map(|(root, output)| match (root, output) {
        (Root::Reduce { op, value, axes }, Output::Reduce(planes)) => {
            Some((&axes[..], op.planes(kernel.dtype(*value)), planes))
        }
        _ => None,
    })
}

impl Results {
    /// Of a launch that comes back at once, or in pieces.
    pub fn new(kernel: &Kernel, whole: bool) -> Results {
        let roots = kernel.roots().len();
        let groups = (0..roots).map(|_| Groups::default()).collect();
        Results { whole, selected: vec![0; roots], groups, spread: BTreeMap::new() }
    }

    /// Bytes that a launch in pieces copies on the host: planes of reductions, and what the host folds by group.
    pub fn copied_bytes((kernel, passes): (&Kernel, &[Pass]), shape: &[usize]) -> usize {
        let sizes = |dtypes: &[DType]| dtypes.iter().map(|d| d.size()).sum::<usize>();
        let planes = kernel.roots().iter().map(|root| match root {
            Root::Reduce { op, value, axes } => {
                kept(shape, axes).iter().product::<usize>() * sizes(&op.planes(kernel.dtype(*value)))
            }
            _ => 0,
        });
        let spread = passes.iter().filter(|p| matches!(p, Pass::Spread { .. })).map(|pass| {
            let dtypes: Vec<DType> = pass.values(kernel).iter().map(|v| kernel.dtype(*v)).collect();
            shape.iter().product::<usize>() * sizes(&dtypes)
        });
        planes.chain(spread).sum()
    }

    /// Elements that each root has selected.
    pub fn selected(&self) -> impl Iterator<Item = usize> {
        self.selected.iter().copied()
    }

    /// Copies the planes of reductions, so that a launch that fails halfway leaves them as they were: nothing of one that cannot.
    ///
    /// # Safety
    /// That of [`Executable::run`](crate::backend::Executable::run).
    pub unsafe fn save(&self, kernel: &Kernel, launch: &Launch<'_>) -> Saved {
        let root = |(axes, dtypes, planes): (&[u8], Vec<DType>, &SmallVec<[Operand; 3]>)| {
            let kept = kept(&launch.region.shape, axes);
            let plane = |(operand, d): (&Operand, &DType)| {
                let mut copy = Block::uninit(*d, &kept);
                let steps = strided::bytes(&c_steps(&kept, |_| false), d.size());
                let (from, to) = ((operand.ptr.cast_const(), &operand.strides[..]), copy.as_mut_ptr());
                // SAFETY: planes are readable, the copy has room for all of it.
                unsafe { strided::copy(&kept, d.size(), from, (to, &steps)) };
                copy
            };
            planes.iter().zip(&dtypes).map(plane).collect()
        };
        reductions(kernel, launch).filter(|_| !self.whole).map(root).collect()
    }

    /// Puts the planes back.
    ///
    /// # Safety
    /// That of [`Executable::run`](crate::backend::Executable::run).
    pub unsafe fn restore(&self, kernel: &Kernel, launch: &Launch<'_>, saved: Saved) {
        for ((axes, dtypes, planes), saved) in reductions(kernel, launch).zip(saved) {
            let kept = kept(&launch.region.shape, axes);
            for ((operand, d), copy) in planes.iter().zip(dtypes).zip(saved) {
                let steps = strided::bytes(&c_steps(&kept, |_| false), d.size());
                let (from, to) = ((copy.as_ptr(), &steps[..]), (operand.ptr, &operand.strides[..]));
                // SAFETY: planes are writable, the copy holds all of it.
                unsafe { strided::copy(&kept, d.size(), from, to) };
            }
        }
    }

    /// Hands over what a piece came to.
    ///
    /// # Safety
    /// That of [`Executable::run`](crate::backend::Executable::run); `bytes` are the job's results.
    pub unsafe fn take(&mut self, frame: &Frame<'_>, job: &Job, bytes: &[u8]) {
        for (&(number, pass, _), dispatch) in frame.passes.iter().zip(&job.dispatches) {
            if dispatch.seat.is_some() {
                continue;
            }
            if let Pass::Spread { .. } = pass {
                // SAFETY: the caller's.
                unsafe { self.spread(frame, (number, pass), dispatch, bytes) };
                continue;
            }
            for (k, &r) in pass.roots().iter().enumerate() {
                let from = dispatch.results[k];
                // SAFETY: the caller's.
                unsafe {
                    match (&frame.kernel.roots()[r], &frame.launch.outputs[r]) {
                        (Root::Store { value }, Output::Store(operand)) => {
                            store(frame, job, &bytes[4 * from..], frame.kernel.dtype(*value), operand);
                        }
                        (Root::Select { value, .. }, Output::Select { ptr, .. }) => {
                            let d = frame.kernel.dtype(*value);
                            self.selected[r] +=
                                select(dispatch, bytes, d, ptr.add(self.selected[r] * d.size()));
                        }
                        (Root::Reduce { op, value, axes }, Output::Reduce(planes)) => {
                            let d = frame.kernel.dtype(*value);
                            reduce(frame, job, (pass, dispatch), (from, bytes), (*op, d, axes), planes);
                        }
                        (Root::GroupReduce { op, value, .. }, _) => {
                            let d = frame.kernel.dtype(*value);
                            group(dispatch, (from, bytes), (*op, d), &mut self.groups[r]);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// What the host folds by group: at once if nothing is to come, else it is copied.
    ///
    /// # Safety
    /// That of [`Results::take`].
    unsafe fn spread(
        &mut self,
        frame: &Frame<'_>,
        (number, pass): (usize, &Pass),
        dispatch: &Dispatch,
        bytes: &[u8],
    ) {
        let (kernel, launch) = (frame.kernel, frame.launch);
        let values = pass.values(kernel);
        let place = |k: usize| &bytes[4 * dispatch.results[k]..];
        if self.whole && (0..values.len()).all(|k| place(k).as_ptr().addr() % 8 == 0) {
            let at = |v: Value| values.iter().position(|w| *w == v).map(|k| place(k).as_ptr());
            // SAFETY: the results hold an element of every value for every point.
            return unsafe { fold_spread(kernel, pass, launch, at) };
        }
        for (k, value) in values.into_iter().enumerate() {
            let d = kernel.dtype(value);
            let new = || (Block::uninit(d, &[launch.region.len()]), 0);
            let (block, filled) = self.spread.entry((number, value)).or_insert_with(new);
            let size = dispatch.counts.outer * d.size();
            // SAFETY: the pieces have as many points as the region, and each an element in the results.
            unsafe { block.as_mut_ptr().add(*filled).copy_from_nonoverlapping(place(k).as_ptr(), size) };
            *filled += size;
        }
    }

    /// Folds what was folded by group into its records: only when all pieces are done, so that a launch may fail before.
    ///
    /// # Safety
    /// That of [`Executable::run`](crate::backend::Executable::run).
    pub unsafe fn commit(&mut self, (kernel, passes): (&Kernel, &[Pass]), launch: &Launch<'_>) {
        for ((root, output), groups) in kernel.roots().iter().zip(launch.outputs).zip(&mut self.groups) {
            if let (Root::GroupReduce { op, value, .. }, Output::GroupReduce(records)) = (root, output) {
                let d = kernel.dtype(*value);
                let (sizes, merge) = (sizes(*op, d), tile::merge(*op, d));
                for slot in (0..groups.named.len()).filter(|&slot| groups.named[slot]).collect::<Vec<_>>() {
                    // SAFETY: a point named the slot, so its accumulators are readable and writable.
                    unsafe { merge(&records.at(slot as u32), &groups.at(slot, &sizes), 1) };
                }
            }
        }
        for (number, pass) in passes.iter().enumerate() {
            let at = |v: Value| self.spread.get(&(number, v)).map(|(block, _)| block.as_ptr());
            // SAFETY: all pieces are done, so that there is an element of every value for every point.
            unsafe { fold_spread(kernel, pass, launch, at) };
        }
    }
}

/// Folds by group on the host what the device computed, if it is there.
///
/// # Safety
/// That of [`Executable::run`](crate::backend::Executable::run); where `at` tells are an element, a slot and a word of truth for every point.
unsafe fn fold_spread(
    kernel: &Kernel,
    pass: &Pass,
    launch: &Launch<'_>,
    at: impl Fn(Value) -> Option<*const u8>,
) {
    for &r in pass.roots() {
        let (Root::GroupReduce { op, value, slot, mask }, Output::GroupReduce(records)) =
            (&kernel.roots()[r], &launch.outputs[r])
        else {
            continue;
        };
        let fold = tile::fold_groups(*op, kernel.dtype(*value));
        if let (Some(x), Some(slots), Some(fold)) = (at(*value), at(*slot), fold) {
            let mask = mask.and_then(&at).unwrap_or(std::ptr::null());
            // SAFETY: the caller's; the slots' accumulators are writable.
            unsafe { fold(&[x], slots.cast(), mask, launch.region.len(), &[*records]) };
        }
    }
}

/// Folds the segments of a fold by group, in order. What nothing was folded into changes nothing.
fn group(
    dispatch: &Dispatch,
    (from, bytes): (usize, &[u8]),
    (op, d): (ReduceOp, DType),
    groups: &mut Groups,
) {
    let (words, slots, sizes) = (wgsl::slot_words(op, d), dispatch.counts.slots, sizes(op, d));
    let (mut partials, merge) = (Partials::new(op, d), tile::merge(op, d));
    if groups.named.is_empty() {
        groups.named = vec![false; slots];
        groups.planes = [(); 3].map(|()| vec![0; slots]);
        // SAFETY: every plane has room for an element of each slot.
        unsafe { tile::init(op, d, &groups.at(0, &sizes), slots) };
    }
    for segment in 0..dispatch.counts.segments {
        for first in (0..slots).step_by(RUN) {
            let n = RUN.min(slots - first);
            let at = from + (segment * slots + first) * words;
            for (k, named) in groups.named[first..first + n].iter_mut().enumerate() {
                *named |= word(bytes, at + k * words) != 0;
            }
            let part = partials.planes(bytes, (at + 1, words), n, |_| -1);
            // SAFETY: both have elements of so many slots.
            unsafe { merge(&groups.at(first, &sizes), &part, n) };
        }
    }
}

/// Bytes of an element of each plane.
fn sizes(op: ReduceOp, d: DType) -> SmallVec<[usize; 3]> {
    op.planes(d).iter().map(|d| d.size()).collect()
}

/// Partial results that are made planes at a time.
const RUN: usize = 1024;

/// Makes partial results of a fold planes.
struct Partials {
    op: ReduceOp,
    /// Bytes of an element of the first plane.
    size: usize,
    planes: [Vec<u64>; 3],
}

impl Partials {
    fn new(op: ReduceOp, d: DType) -> Partials {
        Partials { op, size: sizes(op, d)[0], planes: [(); 3].map(|()| vec![0; RUN]) }
    }

    /// The planes of `n` partial results, from a word on so many words apart; `place` finds the place of an arg-fold that the device has found.
    fn planes(
        &mut self,
        bytes: &[u8],
        (at, step): (usize, usize),
        n: usize,
        place: impl Fn(u32) -> i64,
    ) -> [*mut u8; 3] {
        let long = |at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 1)) << 32;
        let starts = (0..n).map(|k| at + k * step);
        let [first, second, third] = &mut self.planes;
        match self.op {
            ReduceOp::M2 | ReduceOp::NanM2 => {
                for (k, at) in starts.enumerate() {
                    let [shift, off, squares] = [at, at + 2, at + 4].map(|at| f64::from_bits(long(at)));
                    let many = word(bytes, at + 6);
                    let moments = naive::fold::moments(Default::default(), shift, off, squares, many);
                    (first[k], second[k], third[k]) =
                        (moments.0.to_bits(), moments.1.to_bits(), moments.2 as u64);
                }
            }
            ReduceOp::Count => first.iter_mut().zip(starts).for_each(|(p, at)| *p = word(bytes, at).into()),
            op => {
                // narrow elements are the lowest bytes of their words
                if let Some(from) = bytes.get(4 * at..4 * (at + (n - 1) * step) + self.size) {
                    let from = (from.as_ptr(), &[4 * step as isize][..]);
                    let to = (first.as_mut_ptr().cast(), &[self.size as isize][..]);
                    // SAFETY: so many elements are there, and the plane has room for a word of each.
                    unsafe { strided::copy(&[n], self.size, from, to) };
                }
                if op.is_arg() {
                    let words = self.size.div_ceil(4);
                    second
                        .iter_mut()
                        .zip(starts)
                        .for_each(|(p, at)| *p = place(word(bytes, at + words)) as u64);
                }
            }
        }
        self.planes.each_mut().map(|plane| plane.as_mut_ptr().cast())
    }
}

/// # Safety
/// That of [`Results::take`].
unsafe fn store(frame: &Frame<'_>, job: &Job, bytes: &[u8], d: DType, operand: &Operand) {
    let shape = &job.piece.shape;
    let steps = strided::bytes(&c_steps(shape, |_| false), d.size());
    let to = operand.element(&frame.within(&job.piece));
    // SAFETY: the piece's elements are writable, and the results hold as many.
    unsafe { strided::copy(shape, d.size(), (bytes.as_ptr(), &steps), (to, &operand.strides)) };
}

/// Joins the runs of selected elements; how many there were.
///
/// # Safety
/// That of [`Results::take`]; `to` has room for all elements of the piece.
unsafe fn select(dispatch: &Dispatch, bytes: &[u8], d: DType, to: *mut u8) -> usize {
    let (counts, each) = (&dispatch.counts, wgsl::words(d) * 4);
    let mut done = 0;
    for segment in 0..counts.segments {
        let n = word(bytes, dispatch.results[1] + segment) as usize;
        let from = &bytes[4 * dispatch.results[0] + segment * counts.chunk * each..];
        // SAFETY: the segment's elements, and room for them.
        unsafe {
            let to = to.add(done * d.size());
            strided::copy(&[n], d.size(), (from.as_ptr(), &[each as isize]), (to, &[d.size() as isize]));
        }
        done += n;
    }
    done
}

/// Folds the segments of a reduction into its planes, in order.
///
/// # Safety
/// That of [`Results::take`].
unsafe fn reduce(
    frame: &Frame<'_>,
    job: &Job,
    (pass, dispatch): (&Pass, &Dispatch),
    (from, bytes): (usize, &[u8]),
    (op, d, axes): (ReduceOp, DType, &[u8]),
    planes: &[Operand],
) {
    let shape = &job.piece.shape;
    let counts = &dispatch.counts;
    let kept = kept(shape, axes);
    let folded: Dims = (0..shape.len()).map(|a| if pass.folds(a) { shape[a] } else { 1 }).collect();
    let words = wgsl::partial_words(op, d);
    let (mut partials, merge) = (Partials::new(op, d), tile::merge(op, d));
    let mut within = frame.within(&job.piece);
    let start = within.clone();
    // kept points whose accumulators lie side by side in every plane
    let sizes = sizes(op, d);
    let mut run = 1;
    for a in (0..kept.len()).rev().filter(|&a| kept[a] != 1) {
        if planes.iter().zip(&sizes).any(|(p, size)| p.strides[a] != (run * size) as isize) {
            break;
        }
        run *= kept[a];
    }
    let place = |inner: u32| {
        let at = unravel(inner as usize, &folded);
        let at: Dims = at.iter().zip(&start).map(|(a, s)| a + s).collect();
        if inner == u32::MAX { -1 } else { position(frame.launch, axes, &at) }
    };
    for first in (0..counts.outer).step_by(run) {
        let at = unravel(first, &kept);
        within.iter_mut().zip(&start).zip(at).for_each(|((w, s), a)| *w = s + a);
        for ahead in (0..run).step_by(RUN) {
            let n = RUN.min(run - ahead);
            let mut into = [std::ptr::null_mut(); 3];
            for ((p, plane), size) in into.iter_mut().zip(planes).zip(&sizes) {
                *p = plane.element(&within).wrapping_add(ahead * size);
            }
            for chunk in 0..counts.chunks {
                let at = from + ((first + ahead) * counts.chunks + chunk) * words;
                let part = partials.planes(bytes, (at, counts.chunks * words), n, place);
                // SAFETY: the planes' elements of every point are readable and writable, and so are the partial results'.
                unsafe { merge(&into, &part, n) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::reference::write;
    use crate::dtype::Scalar;
    use crate::ir::Builder;
    use crate::shape::IndexMap;
    use smallvec::smallvec;

    #[test]
    fn a_launch_in_pieces_keeps_a_copy_of_what_it_folds_into() {
        let mut b = Builder::new(2);
        let input = b.input(DType::F32, IndexMap::identity(2));
        let x = b.load(input);
        b.reduce(ReduceOp::M2, x, [0]);
        let kernel = b.finish().expect("sound");
        let shape = [5usize, 2];
        let (mut m2, mut mean, mut n) = ([1.0f64, 2.0], [3.0f64, 4.0], [5i64, 6]);
        let plane = |ptr: *mut u8| Operand { ptr, strides: smallvec![0, 8] };
        let planes = [m2.as_mut_ptr().cast(), mean.as_mut_ptr().cast(), n.as_mut_ptr().cast()];
        let outputs = [Output::Reduce(planes.into_iter().map(plane).collect())];
        let region = Region::whole(&shape);
        let launch = Launch {
            region: &region,
            shape: &shape,
            inputs: &[],
            outputs: &outputs,
            slots: 0,
            streaming: false,
        };
        for (whole, kept) in [(false, [1.0, 4.0, 6.0]), (true, [9.0; 3])] {
            let results = Results::new(&kernel, whole);
            // SAFETY: every plane has an element for each of the second axis.
            unsafe {
                let saved = results.save(&kernel, &launch);
                let bytes: usize = saved.iter().flatten().map(Block::nbytes).sum();
                let most = Results::copied_bytes((&kernel, &Pass::of(&kernel)), &shape);
                assert_eq!((bytes, most), (if whole { 0 } else { 48 }, 48));
                for (k, p) in planes.iter().enumerate() {
                    let nine = if k == 2 { Scalar::from(9i64) } else { Scalar::from(9.0) };
                    (0..2).for_each(|i| write(nine, p.add(8 * i)));
                }
                results.restore(&kernel, &launch, saved);
            }
            assert_eq!([m2[0], mean[1], n[1] as f64], kept);
        }
    }

    #[test]
    fn values_of_many_groups_are_counted() {
        let mut b = Builder::new(1);
        let [x, slot, mask] = [DType::F64, DType::U32, DType::Bool].map(|d| {
            let input = b.input(d, IndexMap::identity(1));
            b.load(input)
        });
        b.group_reduce(ReduceOp::Sum, x, slot, Some(mask));
        b.group_reduce(ReduceOp::Max, x, slot, None);
        let kernel = b.finish().expect("sound");
        // each value once
        assert_eq!(Results::copied_bytes((&kernel, &Pass::of(&kernel)), &[1000]), 1000 * (8 + 4 + 1));
    }
}
