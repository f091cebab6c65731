//! One run of a program: what the strides allow is decided once, then the panels are walked.
//!
//! For every panel the machine sets the places that follow tracks (operands read or written where they lie), runs the
//! steps, and hands the values to the roots that could not be written in place.

use super::emit::{How, MAX_SUMS, Variant};
use super::geometry::Geometry;
use super::program::{Code, Program, RootPlan, Step};
use super::roots::Act;
use crate::backend::{Launch, Output};
use crate::ir::Value;
use blockwise_kernels::tile;
use smallvec::SmallVec;
use std::cell::RefCell;

/// Bytes of a launch's stores that stay in no cache, whatever the launch says.
const TOO_MANY: usize = 32 << 20;
/// Bytes of a launch's stores from which it pays to bypass the caches when the launch suggests it.
const ENOUGH: usize = 16 << 10;

/// Where a value is: an index into the places of a [`Frame`].
pub type Place = u32;

/// A step as it is run in this launch.
pub enum Op<'p> {
    /// One operand. `one`: of a single element, for all points.
    Unary { f: tile::UnaryFn, x: Place, out: Place, one: bool },
    /// Two operands.
    Binary { f: tile::BinaryFn, a: Place, b: Place, out: Place, one: bool },
    /// Three operands.
    Ternary { f: tile::TernaryFn, args: [Place; 3], out: Place, one: bool },
    /// An input that is made contiguous.
    Pack { track: usize, out: Place, size: usize, any_stride: bool },
    /// The values of an axis.
    Index { f: tile::IotaFn, track: usize, out: Place, one: bool },
    /// Machine code.
    Group { code: &'p Variant, args: SmallVec<[Place; 8]> },
}

/// A launch in progress.
pub struct Frame<'p> {
    pub program: &'p Program,
    pub geometry: Geometry,
    pub ops: SmallVec<[Op<'p>; 16]>,
    pub acts: SmallVec<[Act<'p>; 4]>,
    /// Addresses of the values, then of the temporary tiles.
    pub places: SmallVec<[*mut u8; 40]>,
    /// Places that follow tracks.
    moves: SmallVec<[(Place, usize); 8]>,
    /// By value: whether a single element stands for all points of a panel.
    pub uniform: SmallVec<[bool; 32]>,
    /// By value: the track whose steps say how its rows lie, for inputs that are folded where they are.
    pub strided: SmallVec<[(Value, usize); 4]>,
    /// The tracks at the current panel.
    pub at: SmallVec<[isize; 8]>,
    pub scratch: *mut u8,
    /// Whether stores bypass the caches.
    pub stream: bool,
    /// Whether some value of the launch lies in a tile.
    bounded: bool,
}

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// A cache line of scratch memory.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[allow(dead_code, reason = "memory is used through pointers")] [u8; 64]);

/// Runs a program on a launch. Returns false, with nothing done, if the machine code that it needs cannot be made.
///
/// # Safety
/// As for [`Executable::run`](crate::backend::Executable::run), of the kernel that the program was made from.
pub unsafe fn run(program: &Program, launch: &Launch<'_>) -> bool {
    if launch.region.is_empty() {
        for output in launch.outputs {
            if let Output::Select { count, .. } = output {
                // SAFETY: the contract of `run` makes it writable.
                unsafe { count.write(0) };
            }
        }
        return true;
    }
    SCRATCH.with_borrow_mut(|lines| {
        let need = program.scratch.div_ceil(64);
        if lines.len() < need {
            lines.resize(need, Line([0; 64]));
        }
        let geometry = Geometry::new(program, launch, program.unbounded);
        let mut frame = Frame::new(program, launch, geometry, lines.as_mut_ptr() as *mut u8);
        if !frame.resolve(launch) {
            return false;
        }
        // SAFETY: by the caller's contract, and the scratch memory is this thread's.
        unsafe {
            frame.walk();
            frame.finish();
        }
        true
    })
}

impl<'p> Frame<'p> {
    fn new(program: &'p Program, launch: &Launch<'_>, geometry: Geometry, scratch: *mut u8) -> Frame<'p> {
        let values = program.sizes.len();
        let slot = |at: &u32| scratch.wrapping_add(*at as usize);
        let mut places: SmallVec<[*mut u8; 40]> = program.slots.iter().map(slot).collect();
        places.extend(program.temps.iter().map(slot));
        let mut uniform: SmallVec<[bool; 32]> = SmallVec::from_elem(false, values);
        for (v, bits) in &program.constants {
            places[v.0 as usize] = std::ptr::from_ref(bits) as *mut u8;
            uniform[v.0 as usize] = true;
        }
        let stored: usize = program
            .roots
            .iter()
            .map(|root| match root {
                RootPlan::Store { track, .. } => program.track_sizes[*track],
                _ => 0,
            })
            .sum();
        let stored = stored * launch.region.len();
        // in pieces of rows, whole lines would not be written at once
        let stream = stored >= if launch.streaming { ENOUGH } else { TOO_MANY } && geometry.stripes == 1;
        let at = geometry.start.clone();
        Frame {
            program,
            geometry,
            ops: SmallVec::new(),
            acts: SmallVec::new(),
            places,
            moves: SmallVec::new(),
            uniform,
            strided: SmallVec::new(),
            at,
            scratch,
            stream,
            bounded: false,
        }
    }

    /// The place of a temporary tile.
    pub fn temp(&self, k: usize) -> Place {
        (self.program.sizes.len() + k) as Place
    }

    /// Decides how every step and root is done. False if machine code is missing.
    fn resolve(&mut self, launch: &Launch<'_>) -> bool {
        let program = self.program;
        for root in &program.roots {
            if let RootPlan::Store { value, track } = root {
                self.try_direct(*value, *track);
            }
        }
        for step in &program.steps {
            if !self.resolve_step(step) {
                return false;
            }
        }
        self.resolve_roots(launch);
        if self.bounded {
            self.geometry.cols = self.geometry.cols.min(program.tile);
        }
        true
    }

    /// Whether a track's elements of a panel are contiguous in memory.
    pub fn is_contiguous(&self, track: usize) -> bool {
        let g = &self.geometry;
        let size = self.program.track_sizes[track] as isize;
        let rows_follow = g.cols == g.col.len && g.row.steps[track] == size * g.cols as isize;
        g.col.steps[track] == size && (g.rows == 1 || rows_follow) && !g.rows_of_any_stride(track)
    }

    /// Notes that some value of the launch lies in a tile.
    pub fn bound(&mut self) {
        self.bounded = true;
    }

    /// Whether a value's place follows a track.
    pub fn follows(&self, place: Place, track: usize) -> bool {
        self.moves.contains(&(place, track))
    }

    /// Whether a value is written to its output by the step that computes it.
    fn is_direct(&self, v: Value) -> bool {
        self.moves.iter().any(|&(place, track)| place == v.0 && track >= self.program.inputs)
    }

    /// Whether an input is the memory of an output while there are several roots: then neither is used in place, lest one root
    /// overwrites what another has still to read.
    fn is_aliased(&self, track: usize) -> bool {
        let (program, start) = (self.program, &self.geometry.start);
        let other = |store: usize| match track < program.inputs {
            true => start[store] == start[track],
            false => store == track && (0..program.inputs).any(|t| start[t] == start[track]),
        };
        program.roots.len() > 1
            && program.roots.iter().any(|r| matches!(r, RootPlan::Store { track, .. } if other(*track)))
    }

    /// Lets a stored value be computed into its output's memory if that is possible.
    fn try_direct(&mut self, v: Value, track: usize) {
        if self.is_contiguous(track)
            && !self.is_aliased(track)
            && !self.is_direct(v)
            && !self.uniform[v.0 as usize]
        {
            self.moves.push((v.0, track));
        }
    }

    /// Takes back [`Frame::try_direct`].
    fn not_direct(&mut self, v: Value) {
        let inputs = self.program.inputs;
        self.moves.retain(|&mut (place, track)| place != v.0 || track < inputs);
    }

    fn resolve_step(&mut self, step: &'p Step) -> bool {
        let v = step.out;
        let uniform = |f: &Frame<'_>| step.args.iter().all(|a| f.uniform[a.0 as usize]);
        match &step.code {
            Code::Load { input } => {
                self.resolve_load(v, *input);
                return true;
            }
            Code::Index { track, iota } => {
                let one = self.geometry.col.steps[*track] == 0 && self.geometry.row_step(*track) == 0;
                self.computed(v, one);
                self.ops.push(Op::Index { f: *iota, track: *track, out: v.0, one });
            }
            Code::Unary(f) => {
                let one = uniform(self);
                self.computed(v, one);
                self.ops.push(Op::Unary { f: *f, x: step.args[0].0, out: v.0, one });
            }
            Code::Binary(f) => {
                let one = uniform(self);
                self.computed(v, one);
                let (f, args) = self.operands(step, f, one);
                self.ops.push(Op::Binary { f, a: args[0], b: args[1], out: v.0, one });
            }
            Code::Ternary(f) => {
                let one = uniform(self);
                self.computed(v, one);
                let (f, args) = self.operands(step, f, one);
                self.ops.push(Op::Ternary { f, args: [args[0], args[1], args[2]], out: v.0, one });
            }
            Code::Group(group) => {
                let mut args: SmallVec<[Place; 8]> = SmallVec::new();
                let mut single = 0;
                for (k, v) in group.inputs.iter().enumerate() {
                    single |= u32::from(self.uniform[v.0 as usize]) << k;
                    args.push(v.0);
                }
                let mut how = How { single, ..How::default() };
                for (k, v) in group.outputs.iter().enumerate() {
                    args.push(v.0);
                    if group.can_sum()
                        && how.sums.count_ones() < MAX_SUMS as u32
                        && let Some(track) = self.summed(*v)
                    {
                        self.moves.push((v.0, track));
                        how.sums |= 1 << k;
                    } else if !self.is_direct(*v) {
                        self.bounded = true;
                    } else if self.stream && self.program.uses[v.0 as usize] == 1 {
                        how.stream |= 1 << k;
                    }
                }
                let Some(code) = group.variant(how) else { return false };
                self.ops.push(Op::Group { code, args });
            }
        }
        true
    }

    /// The track of the sum that is all that becomes of a value, if whole rows are summed.
    fn summed(&self, v: Value) -> Option<usize> {
        let fold = self.program.folds.iter().find(|f| f.sums_floats && f.value == v)?;
        let track = fold.planes[0]?;
        let along = self.geometry.col.steps[track] == 0 && self.geometry.rows == 1;
        (self.program.uses[v.0 as usize] == 1 && along).then_some(track)
    }

    /// Notes that a step of the tile machine computes a value.
    fn computed(&mut self, v: Value, one: bool) {
        self.uniform[v.0 as usize] = one;
        // tiles are streamed to memory after they are computed
        if one || self.stream {
            self.not_direct(v);
        }
        self.bounded = true;
    }

    fn resolve_load(&mut self, v: Value, t: usize) {
        let g = &self.geometry;
        let size = self.program.track_sizes[t];
        let any_stride = g.rows_of_any_stride(t);
        let (col, row) = (g.col.steps[t], g.row_step(t));
        if col == 0 && row == 0 && !any_stride {
            self.uniform[v.0 as usize] = true;
            self.not_direct(v);
            self.moves.push((v.0, t));
        } else if self.is_contiguous(t) && !self.is_aliased(t) {
            self.not_direct(v);
            self.moves.push((v.0, t));
        } else if col == size as isize
            && !any_stride
            && self.program.only_folded[v.0 as usize]
            && !self.is_aliased(t)
        {
            self.moves.push((v.0, t));
            self.strided.push((v, t));
        } else {
            if self.stream || self.geometry.stripes > 1 {
                self.not_direct(v);
            }
            self.bounded = true;
            self.ops.push(Op::Pack { track: t, out: v.0, size, any_stride });
        }
    }

    /// The variant of a step for its uniform operands, and where it finds them.
    fn operands<F: Copy>(&mut self, step: &Step, variants: &[Option<F>], one: bool) -> (F, [Place; 3]) {
        let mut args = [0; 3];
        let mut pattern = 0;
        for (k, a) in step.args.iter().enumerate() {
            args[k] = a.0;
            if !one && self.uniform[a.0 as usize] {
                pattern |= 1 << k;
            }
        }
        if let Some(f) = variants[pattern] {
            return (f, args);
        }
        for (k, a) in step.args.iter().enumerate() {
            // keep as many operands single as there is a function for
            if pattern & (1 << k) != 0 {
                args[k] = self.spread(*a, k);
                pattern &= !(1 << k);
                if let Some(f) = variants[pattern] {
                    return (f, args);
                }
            }
        }
        match variants[0] {
            Some(f) => (f, args),
            None => unreachable!("the variant of whole tiles always exists"),
        }
    }

    /// A temporary tile filled with a uniform value.
    pub fn spread(&mut self, v: Value, temp: usize) -> Place {
        let out = self.temp(temp);
        let f = self.program.movers.splat[self.size(v).trailing_zeros() as usize];
        self.ops.push(Op::Unary { f, x: v.0, out, one: false });
        self.bounded = true;
        out
    }

    /// Size of a value's elements.
    pub fn size(&self, v: Value) -> usize {
        self.program.sizes[v.0 as usize] as usize
    }

    /// Runs the steps and roots on every panel.
    ///
    /// # Safety
    /// As for [`run`].
    unsafe fn walk(&mut self) {
        let outer = self.geometry.outer.clone();
        let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, outer.len());
        let mut origin = self.geometry.start.clone();
        let (rows, cols) = (self.geometry.rows.max(self.geometry.stripes), self.geometry.cols);
        let (row_len, col_len) = (self.geometry.row.len, self.geometry.col.len);
        let (down, across) = (row_len.div_ceil(rows), col_len.div_ceil(cols));
        // below a panel that is packed lie the lines that came with its own
        let by_columns = self.geometry.stripes > 1 && !self.program.ordered;
        loop {
            for n in 0..down * across {
                let (i, j) = if by_columns { (n % down, n / down) } else { (n / across, n % across) };
                let (row, col) = (i * rows, j * cols);
                for t in 0..origin.len() {
                    let g = &self.geometry;
                    self.at[t] = origin[t]
                        .wrapping_add(g.row.steps[t].wrapping_mul(row as isize))
                        .wrapping_add(g.col.steps[t].wrapping_mul(col as isize));
                }
                let (rows, cols) = (rows.min(row_len - row), cols.min(col_len - col));
                // SAFETY: the panel lies inside the region.
                unsafe {
                    if self.geometry.stripes > 1 {
                        self.striped(row, rows, cols);
                    } else {
                        self.panel(row, rows, cols);
                    }
                }
            }
            // the next point of the outer axes, in C order
            let mut k = outer.len();
            loop {
                if k == 0 {
                    return;
                }
                k -= 1;
                index[k] += 1;
                let back = index[k] == outer[k].len;
                let count = if back { 1 - outer[k].len as isize } else { 1 };
                for (at, step) in origin.iter_mut().zip(&outer[k].steps) {
                    *at = at.wrapping_add(step.wrapping_mul(count));
                }
                if !back {
                    break;
                }
                index[k] = 0;
            }
        }
    }

    /// Rows for which inputs are packed together, and everything else is done panel by panel.
    ///
    /// # Safety
    /// As for [`Frame::panel`].
    unsafe fn striped(&mut self, row: usize, rows: usize, cols: usize) {
        let packed: SmallVec<[(Place, usize, *mut u8); 4]> = self
            .ops
            .iter()
            .filter_map(|op| match op {
                Op::Pack { out, size, .. } => Some((*out, *size, self.places[*out as usize])),
                _ => None,
            })
            .collect();
        for op in &self.ops {
            if let Op::Pack { track, out, size, any_stride } = op {
                // SAFETY: the caller's contract.
                unsafe { self.pack(*track, self.places[*out as usize], *size, *any_stride, row, rows, cols) };
            }
        }
        let each = self.geometry.rows;
        for r in (0..rows).step_by(each) {
            for (place, size, tile) in &packed {
                self.places[*place as usize] = tile.wrapping_add(r * cols * size);
            }
            // SAFETY: as above.
            unsafe { self.panel(row + r, each.min(rows - r), cols) };
            for (at, step) in self.at.iter_mut().zip(&self.geometry.row.steps) {
                *at = at.wrapping_add(step.wrapping_mul(each as isize));
            }
        }
        for (place, _, tile) in packed {
            self.places[place as usize] = tile;
        }
    }

    /// One panel, whose first row is `row` of the row axis; `self.at` is its first point.
    ///
    /// # Safety
    /// As for [`run`]; the panel lies inside the region.
    unsafe fn panel(&mut self, row: usize, rows: usize, cols: usize) {
        for &(place, track) in &self.moves {
            self.places[place as usize] = self.at[track] as *mut u8;
        }
        let n = rows * cols;
        let p = self.places.as_slice();
        let at = |place: Place| p[place as usize];
        for op in &self.ops {
            // SAFETY: operands hold as many elements as the functions are told, tiles have room for a panel, and the
            // functions are those of the values' dtypes.
            unsafe {
                match op {
                    Op::Unary { f, x, out, one } => f(at(*x), at(*out), if *one { 1 } else { n }),
                    Op::Binary { f, a, b, out, one } => f(at(*a), at(*b), at(*out), if *one { 1 } else { n }),
                    Op::Ternary { f, args, out, one } => {
                        f(at(args[0]), at(args[1]), at(args[2]), at(*out), if *one { 1 } else { n })
                    }
                    Op::Pack { .. } if self.geometry.stripes > 1 => {} // has been done for all stripes
                    Op::Pack { track, out, size, any_stride } => {
                        self.pack(*track, at(*out), *size, *any_stride, row, rows, cols)
                    }
                    Op::Index { f, track, out, one } => {
                        let (start, g) = (self.at[*track] as i64, &self.geometry);
                        if *one {
                            f(start, 0, at(*out), 1);
                        } else {
                            for r in 0..rows {
                                let start = start + r as i64 * g.row_step(*track) as i64;
                                f(start, g.col.steps[*track] as i64, at(*out).add(r * cols * 8), cols);
                            }
                        }
                    }
                    Op::Group { code, args } => {
                        let mut list = [std::ptr::null_mut(); super::emit::MAX_ARGS];
                        for (slot, place) in list.iter_mut().zip(args) {
                            *slot = at(*place);
                        }
                        code.call(&list[..args.len()], n);
                    }
                }
            }
        }
        // SAFETY: as above.
        unsafe { self.act(rows, cols) };
    }

    /// Copies an input's elements of a panel into a tile.
    ///
    /// # Safety
    /// As for [`Frame::panel`].
    unsafe fn pack(
        &self,
        t: usize,
        out: *mut u8,
        size: usize,
        any_stride: bool,
        row: usize,
        rows: usize,
        cols: usize,
    ) {
        let g = &self.geometry;
        let k = size.trailing_zeros() as usize;
        let movers = &self.program.movers;
        let src = self.at[t] as *const u8;
        // SAFETY: the track's elements of the panel are readable, and the tile has room for them.
        unsafe {
            if any_stride {
                // `at` has stepped by the innermost part alone
                let first = src.wrapping_offset(-(g.row.steps[t] * row as isize));
                for r in 0..rows {
                    let src = first.wrapping_offset(g.row_offset(t, row + r));
                    (movers.gather[k])(src, g.col.steps[t], out.add(r * cols * size), cols);
                }
            } else if rows == 1 {
                (movers.gather[k])(src, g.col.steps[t], out, cols);
            } else {
                (movers.gather_panel[k])(src, g.row.steps[t], g.col.steps[t], out, rows, cols);
            }
        }
    }
}
