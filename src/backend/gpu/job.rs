//! What one piece of a launch needs: where its inputs and results lie in the buffers, and what is dispatched.

use super::geometry::{Axes, c_steps};
use super::passes::Pass;
use super::pool::Size;
use super::wgsl::{self, Layout, word};
use crate::backend::Launch;
use crate::ir::{Inst, Kernel, Root};
use crate::shape::{Dims, Region};
use smallvec::SmallVec;

/// Most points of a piece: numbers of points are 32-bit on the device.
pub const MOST_POINTS: usize = 1 << 30;

/// Points that a lane folds before it hands over. Mesa's software adapter ends all loops of an invocation after 65 535 rounds, those of
/// remainders (up to 2046 a point) and quotients (8) included.
const PER_LANE: usize = 16;

/// Tiles of points that a workgroup folds by group before it hands over; for every lane, for the same reason.
const TILES: usize = 8;

/// What all pieces of a launch share.
pub struct Frame<'a> {
    pub kernel: &'a Kernel,
    pub passes: &'a [Pass],
    /// Invocations of a workgroup, per pass.
    pub widths: &'a [u32],
    /// Bytes at which a binding may begin.
    pub alignment: usize,
    pub launch: &'a Launch<'a>,
}

/// A piece.
pub struct Job {
    pub piece: Region,
    /// Inputs that are read, with their first word in the buffer and the box that is sent.
    pub inputs: Vec<(usize, usize, Dims)>,
    pub dispatches: Vec<Dispatch>,
    /// Bytes sent and bytes that come back.
    pub size: (u64, u64),
}

/// A pass over a piece.
pub struct Dispatch {
    pub axes: Axes,
    /// First byte of the parameters in the buffer.
    pub params: usize,
    /// First word of each result.
    pub results: Vec<usize>,
    pub counts: Counts,
}

/// How the points of a pass are shared out.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub outer: usize,
    pub inner: usize,
    pub lanes: usize,
    /// Points of a segment.
    pub chunk: usize,
    /// Segments of an outer point.
    pub chunks: usize,
    pub segments: usize,
    /// Workgroups.
    pub groups: usize,
}

impl Counts {
    fn new(kernel: &Kernel, pass: &Pass, shape: &[usize], width: usize) -> Counts {
        let length =
            |folds: bool| (0..shape.len()).filter(|&a| pass.folds(a) == folds).map(|a| shape[a]).product();
        let (outer, inner): (usize, usize) = (length(false), length(true));
        let all = Counts { outer, inner, lanes: 1, chunk: 1, chunks: 1, segments: 0, groups: 0 };
        match pass {
            Pass::Store { roots } => {
                let dtypes =
                    roots.iter().flat_map(|&r| kernel.roots()[r].operands()).map(|v| kernel.dtype(v));
                Counts { groups: outer.div_ceil(wgsl::points_of_store(dtypes) * width), ..all }
            }
            Pass::Select { .. } => {
                let segments = outer.div_ceil(width * wgsl::ROUNDS as usize);
                Counts { chunk: width * wgsl::ROUNDS as usize, segments, groups: segments, ..all }
            }
            Pass::Group { .. } => {
                let segments = outer.div_ceil(width * TILES);
                Counts { lanes: width, chunk: width * TILES, segments, groups: segments, ..all }
            }
            Pass::Reduce { .. } => {
                let lanes = inner.div_ceil(PER_LANE).next_power_of_two().min(width);
                let chunk = lanes * PER_LANE;
                let chunks = inner.div_ceil(chunk);
                let segments = outer * chunks;
                Counts { lanes, chunk, chunks, segments, groups: segments.div_ceil(width / lanes), ..all }
            }
        }
    }

    /// Words of a root's results.
    fn words(&self, kernel: &Kernel, root: &Root) -> usize {
        let d = |v: &crate::ir::Value| kernel.dtype(*v);
        match root {
            Root::Store { value } => (self.outer * d(value).size()).div_ceil(4),
            Root::Select { value, .. } => self.outer * wgsl::words(d(value)),
            Root::Reduce { op, value, .. } => self.segments * wgsl::partial_words(*op, d(value)),
            Root::GroupReduce { op, value, .. } => {
                self.segments * self.lanes * wgsl::slot_words(*op, d(value))
            }
        }
    }
}

impl Frame<'_> {
    /// The job of a box of the launch's region.
    pub fn job(&self, piece: &Region) -> Job {
        let (kernel, shape) = (self.kernel, &piece.shape);
        let fixed = |n: usize| {
            let strides = &self.launch.inputs[n].strides;
            move |a: usize| strides[a] == 0 || shape[a] == 1
        };
        // operands of the axes: inputs, then indices
        let mut steps: Vec<Dims> = (0..kernel.inputs().len()).map(|n| c_steps(shape, fixed(n))).collect();
        let indexed = |inst: &Inst| match inst {
            Inst::Index { axis } => Some(*axis as usize),
            _ => None,
        };
        for axis in kernel.insts().iter().filter_map(indexed) {
            let mut step: Dims = SmallVec::from_elem(0, shape.len());
            step[axis] = 1;
            steps.push(step);
        }
        let mut dispatches = vec![];
        let (mut up, mut down) = (0, 0);
        for (pass, &width) in self.passes.iter().zip(self.widths) {
            let axes = Axes::new(shape, |a| pass.folds(a), &steps);
            let counts = Counts::new(kernel, pass, shape, width as usize);
            let mut results = vec![];
            for &r in pass.roots() {
                results.push(down);
                down += counts.words(kernel, &kernel.roots()[r]);
            }
            if pass.has_flags() {
                results.push(down);
                down += counts.segments;
            }
            let operands = steps.len() * (2 + axes.ranks.both());
            let words = word::COUNT + axes.ranks.both() + operands + results.len();
            dispatches.push(Dispatch { axes, params: up, results, counts });
            up += (words * 4).next_multiple_of(self.alignment);
        }
        let mut at = 0;
        let mut inputs = vec![];
        for inst in kernel.insts() {
            if let Inst::Load(n) = *inst {
                let n = n as usize;
                let sent: Dims = (0..shape.len()).map(|a| if fixed(n)(a) { 1 } else { shape[a] }).collect();
                let bytes = sent.iter().product::<usize>() * kernel.inputs()[n].dtype.size();
                inputs.push((n, up / 4 + at, sent));
                at += bytes.div_ceil(4);
            }
        }
        let size = ((up + 4 * at) as u64, 4 * down as u64);
        Job { piece: piece.clone(), inputs, dispatches, size }
    }
}

impl Job {
    /// The buffers it needs.
    pub fn buffers(&self) -> Size {
        Size::of(self.size.0, self.size.1)
    }

    /// First byte of the inputs: the parameters end there.
    pub fn inputs_from(&self, alignment: usize) -> usize {
        let last = self.inputs.first().map(|(_, word, _)| word * 4);
        last.unwrap_or((self.size.0 as usize).next_multiple_of(alignment))
    }
}

impl Dispatch {
    /// The words of its parameters; `row` is the number of workgroups in a row of the grid.
    pub fn words(&self, layout: &Layout, frame: &Frame<'_>, job: &Job, row: usize) -> Vec<u32> {
        let mut words = vec![0u32; layout.len];
        let c = &self.counts;
        for (at, n) in [
            (word::OUTER, c.outer),
            (word::INNER, c.inner),
            (word::ROW, row),
            (word::LANES, c.lanes),
            (word::CHUNK, c.chunk),
            (word::CHUNKS, c.chunks),
            (word::SEGMENTS, c.segments),
        ] {
            words[at] = n as u32;
        }
        let put =
            |words: &mut [u32], at: usize, from: &[u32]| words[at..at + from.len()].copy_from_slice(from);
        put(&mut words, word::COUNT, &self.axes.lengths);
        let base = job.inputs_from(frame.alignment) / 4;
        for &(n, at) in &layout.inputs {
            let word = job.inputs.iter().find(|(k, ..)| *k == n).map_or(0, |(_, word, _)| word - base);
            words[at] = word as u32;
            put(&mut words, at + 1, &self.axes.steps[n]);
        }
        let axes = frame.kernel.insts().iter().filter_map(|inst| match inst {
            Inst::Index { axis } => Some(*axis),
            _ => None,
        });
        let places: Vec<u8> = axes.collect();
        for &(axis, at) in &layout.indices {
            let start = job.piece.start[axis as usize] as u64;
            put(&mut words, at, &[start as u32, (start >> 32) as u32]);
            if let Some(k) = places.iter().position(|a| *a == axis) {
                put(&mut words, at + 2, &self.axes.steps[frame.kernel.inputs().len() + k]);
            }
        }
        for (k, &result) in self.results.iter().enumerate() {
            words[layout.outputs + k] = result as u32;
        }
        words
    }
}
