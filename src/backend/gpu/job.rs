//! What one piece of a launch needs: where its inputs and results lie in the buffers, and what is dispatched.

use super::geometry::{Axes, Cuts, Segments, Turn, c_steps};
use super::passes::Pass;
use super::pool::Size;
use super::resident::Homes;
use super::wgsl::{self, Layout, word};
use crate::backend::Launch;
use crate::ir::{Inst, Kernel, Root, Value};
use crate::shape::{Dims, Region};
use smallvec::SmallVec;

/// Most points of a piece: numbers of points are 32-bit on the device.
pub const MOST_POINTS: usize = 1 << 30;

/// Points that a lane folds before it hands over. Mesa's software adapter ends all loops of an invocation after 65 535 rounds, those of
/// remainders (up to 2046 a point) and quotients (8) included.
const PER_LANE: usize = 16;

/// Tiles of points that a workgroup folds by group before it hands over; for every lane, for the same reason.
const TILES: usize = 8;

/// Slots that a kernel folds on the device.
pub fn most_slots(width: u32) -> usize {
    RANGES * width as usize
}

/// Workgroups that go over the same points by group, each for as many slots as it has lanes. Where there are more slots, the results would be
/// larger than what is folded.
const RANGES: usize = 4;

/// What all pieces of a launch share.
pub struct Frame<'a> {
    pub kernel: &'a Kernel,
    /// The passes that run: their numbers, and how those that fold cut what they fold.
    pub passes: Vec<(usize, &'a Pass, Segments)>,
    /// Invocations of a workgroup, per pass of the kernel.
    pub widths: &'a [u32],
    /// Inputs that they read and that are to be sent.
    pub loads: Vec<usize>,
    /// Where the others are.
    pub homes: &'a Homes,
    /// Bytes at which a binding may begin.
    pub alignment: usize,
    /// Words of memory of a workgroup.
    shared: usize,
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
    /// What is read by tiles.
    pub turn: Option<Turn>,
    /// The root whose result stays where it is stored.
    pub seat: Option<usize>,
    /// Whether its points are stored where its strides say, not in their order.
    pub placed: bool,
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
    /// Points after which segments begin anew, and how many there are of them.
    pub line: usize,
    pub per_line: usize,
    /// Slots of a fold by group.
    pub slots: usize,
    /// Workgroups.
    pub groups: usize,
}

impl Counts {
    fn new(frame: &Frame<'_>, pass: usize, shape: &[usize]) -> Counts {
        let kernel = frame.kernel;
        let (number, pass, segments) = frame.passes[pass];
        let width = frame.widths[number] as usize;
        let length =
            |folds: bool| (0..shape.len()).filter(|&a| pass.folds(a) == folds).map(|a| shape[a]).product();
        let (outer, inner): (usize, usize) = (length(false), length(true));
        let all = Counts { outer, inner, ..Counts::default() };
        let of_store = |values: &[Value]| {
            let points = wgsl::points_of_store(values.iter().map(|&v| kernel.dtype(v)));
            Counts { groups: outer.div_ceil(points * width), ..all }
        };
        let of_fold = |folded: usize| {
            let line = segments.line(shape, folded);
            let per_line = line.div_ceil(segments.points);
            Counts { chunk: segments.points, line, per_line, chunks: folded / line * per_line, ..all }
        };
        match pass {
            Pass::Store { roots, .. } => of_store(&wgsl::stored(kernel, roots)),
            Pass::Spread { .. } => of_store(&pass.values(kernel)),
            Pass::Select { .. } => {
                let segments = outer.div_ceil(width * wgsl::ROUNDS as usize);
                Counts { chunk: width * wgsl::ROUNDS as usize, segments, groups: segments, ..all }
            }
            Pass::Group { .. } => {
                let slots = frame.launch.slots;
                let fold = of_fold(outer);
                Counts { slots, segments: fold.chunks, groups: fold.chunks * slots.div_ceil(width), ..fold }
            }
            Pass::Reduce { .. } => {
                let fold = of_fold(inner);
                let lanes = segments.points.div_ceil(PER_LANE).next_power_of_two().min(width);
                let segments = outer * fold.chunks;
                Counts { lanes, segments, groups: segments.div_ceil(width / lanes), ..fold }
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
                self.segments * self.slots * wgsl::slot_words(*op, d(value))
            }
        }
    }
}

impl<'a> Frame<'a> {
    /// Of some of a kernel's passes.
    pub fn new(
        (kernel, widths): (&'a Kernel, &'a [u32]),
        passes: impl Iterator<Item = (usize, &'a Pass)>,
        (limits, homes): (&wgpu::Limits, &'a Homes),
        launch: &'a Launch<'a>,
    ) -> Frame<'a> {
        let segments = |(number, pass): (usize, &'a Pass)| {
            let most = if matches!(pass, Pass::Group { .. }) { TILES } else { PER_LANE };
            let most = most * widths[number] as usize;
            (number, pass, Segments::new(&launch.region.shape, |a| pass.meets(a), most))
        };
        let passes: Vec<_> = passes.map(segments).collect();
        let values: Vec<Value> = passes.iter().flat_map(|(_, pass, _)| pass.values(kernel)).collect();
        let used = wgsl::used(kernel, &values);
        let load = |(inst, used): (&Inst, &bool)| match inst {
            Inst::Load(n) if *used && homes.inputs[*n as usize].is_none() => Some(*n as usize),
            _ => None,
        };
        let loads = kernel.insts().iter().zip(&used).filter_map(load).collect();
        let alignment = (limits.min_storage_buffer_offset_alignment as usize).max(16);
        let shared = limits.max_compute_workgroup_storage_size as usize / 4;
        Frame { kernel, passes, widths, loads, homes, alignment, shared, launch }
    }

    /// What a pass reads by tiles: twins that lie the other way round, where rows of results are whole words.
    fn turn(&self, pass: &Pass, axes: &Axes) -> Option<Turn> {
        let Pass::Store { roots, .. } = pass else { return None };
        let values = wgsl::stored(self.kernel, roots);
        let points = wgsl::points_of_store(values.iter().map(|v| self.kernel.dtype(*v)));
        if !axes.lengths.last().is_some_and(|n| (*n as usize).is_multiple_of(points)) {
            return None;
        }
        let used = wgsl::used(self.kernel, &values);
        let inputs = self.kernel.insts().iter().zip(used).filter_map(|(inst, used)| match inst {
            Inst::Load(n) if used && self.homes.inputs[*n as usize].is_some() => Some(*n as usize),
            _ => None,
        });
        axes.turn(inputs.map(|n| (n, wgsl::words(self.kernel.inputs()[n].dtype))), self.shared)
    }

    /// How the launch may be cut.
    pub fn cuts(&self) -> Cuts {
        let shape = &self.launch.region.shape;
        let mut cuts = Cuts::anywhere(shape.len());
        for (_, pass, segments) in &self.passes {
            cuts.between(*segments, shape, |a| pass.meets(a));
            if pass.is_ordered() {
                cuts.in_order();
            }
        }
        cuts
    }

    /// The job of a box of the launch's region.
    pub fn job(&self, piece: &Region) -> Job {
        let (kernel, shape) = (self.kernel, &piece.shape);
        let fixed = |n: usize| {
            let strides = &self.launch.inputs[n].strides;
            move |a: usize| strides[a] == 0 || shape[a] == 1
        };
        // operands of the axes: inputs, then indices
        let steps_of = |n: usize| match &self.homes.inputs[n] {
            Some(home) => home.steps.iter().map(|&s| s as usize).collect(),
            None => c_steps(shape, fixed(n)),
        };
        let mut steps: Vec<Dims> = (0..kernel.inputs().len()).map(steps_of).collect();
        let indexed = |inst: &Inst| match inst {
            Inst::Index { axis } => Some(*axis as usize),
            _ => None,
        };
        for axis in kernel.insts().iter().filter_map(indexed) {
            let mut step: Dims = SmallVec::from_elem(0, shape.len());
            step[axis] = 1;
            steps.push(step);
        }
        let read = steps.len();
        let mut dispatches = vec![];
        let (mut up, mut down) = (0, 0);
        for (p, (_, pass, _)) in self.passes.iter().enumerate() {
            let seat = pass.roots().iter().copied().find(|&r| self.homes.seat(r).is_some());
            // the result's, if it is not stored in the order of the points
            let placed = seat.and_then(|r| self.homes.seat(r)).filter(|seat| !seat.is_run(shape));
            steps.truncate(read);
            steps.extend(placed.map(|seat| seat.home.steps.iter().map(|&s| s as usize).collect::<Dims>()));
            let axes = Axes::new(shape, |a| pass.folds(a), &steps);
            let mut counts = Counts::new(self, p, shape);
            let turn = self.turn(pass, &axes);
            if let Some(turn) = &turn {
                counts.groups = axes.tiles(turn.axis);
                counts.segments = counts.groups;
            }
            let mut results = vec![];
            let mut take = |words: usize| {
                results.push(down);
                // elements of 8 bytes are aligned; a result that stays is stored where it stays
                down += if seat.is_some() { 0 } else { words.next_multiple_of(2) };
            };
            match pass {
                Pass::Spread { .. } => {
                    let words = |v: &Value| (counts.outer * kernel.dtype(*v).size()).div_ceil(4);
                    pass.values(kernel).iter().for_each(|v| take(words(v)));
                }
                _ => pass.roots().iter().for_each(|&r| take(counts.words(kernel, &kernel.roots()[r]))),
            }
            if let Pass::Select { .. } = pass {
                take(counts.segments);
            }
            let operands = steps.len() * (2 + axes.ranks.both());
            let words = word::COUNT + axes.ranks.both() + operands + results.len();
            let placed = placed.is_some();
            dispatches.push(Dispatch { axes, turn, seat, placed, params: up, results, counts });
            up += (words * 4).next_multiple_of(self.alignment);
        }
        let mut at = 0;
        let mut inputs = vec![];
        for &n in &self.loads {
            let sent: Dims = (0..shape.len()).map(|a| if fixed(n)(a) { 1 } else { shape[a] }).collect();
            let bytes = sent.iter().product::<usize>() * kernel.inputs()[n].dtype.size();
            inputs.push((n, up / 4 + at, sent));
            at += bytes.div_ceil(4);
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

    /// Bytes that the host reads, of a buffer that is mapped.
    pub fn back(&self) -> u64 {
        self.size.1.next_multiple_of(8).max(8)
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
            (word::LINE, c.line),
            (word::PER_LINE, c.per_line),
            (word::SLOTS, c.slots),
        ] {
            words[at] = n as u32;
        }
        let put =
            |words: &mut [u32], at: usize, from: &[u32]| words[at..at + from.len()].copy_from_slice(from);
        put(&mut words, word::COUNT, &self.axes.lengths);
        let base = job.inputs_from(frame.alignment) / 4;
        for &(n, at) in &layout.inputs {
            words[at] = match &frame.homes.inputs[n] {
                Some(home) => home.at(&frame.within(&job.piece)) as u32,
                None => {
                    job.inputs.iter().find(|(k, ..)| *k == n).map_or(0, |(_, word, _)| word - base) as u32
                }
            };
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
        if let Some(seat) = self.seat.and_then(|r| frame.homes.seat(r)) {
            words[layout.outputs] = seat.word(&frame.within(&job.piece));
        }
        if let (Some(at), Some(steps)) = (layout.place, self.axes.steps.last()) {
            put(&mut words, at, steps);
        }
        words
    }
}
