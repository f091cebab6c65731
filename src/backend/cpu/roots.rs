//! What is done with a panel's values: copies to outputs that could not be written in place, folds, compaction.

use super::launch::{Frame, Place};
use super::program::{FoldPlan, RootPlan};
use crate::backend::{Launch, Output};
use crate::dtype::DType;
use crate::ir::Value;
use crate::op::ReduceOp;
use blockwise_kernels::tile;
use smallvec::SmallVec;
use std::cell::Cell;

/// A root as it is done in this launch.
pub enum Act<'p> {
    /// Elements to an output.
    Copy { from: Place, track: usize, size: usize, uniform: bool, contiguous: bool },
    /// A fold into planes.
    Fold { fold: &'p FoldPlan, along: bool, contiguous: bool },
    /// Compaction.
    Select {
        mask: Value,
        from: Value,
        size: usize,
        f: tile::CompactFn,
        to: *mut u8,
        total: Cell<usize>,
        count: *mut usize,
    },
    /// A fold by group, of one value or of several into accumulators of one kind.
    GroupReduce {
        from: SmallVec<[Value; tile::TOGETHER]>,
        slot: Value,
        mask: Option<Value>,
        kind: (ReduceOp, DType),
        fold: tile::FoldGroups,
        records: SmallVec<[tile::Records; tile::TOGETHER]>,
    },
}

impl<'p> Frame<'p> {
    /// Decides how the roots are done that the steps do not write.
    pub fn resolve_roots(&mut self, launch: &Launch<'_>) {
        let program = self.program;
        let mut written: smallvec::SmallVec<[u32; 4]> = smallvec::SmallVec::new();
        for (root, output) in program.roots.iter().zip(launch.outputs) {
            match (root, output) {
                (RootPlan::Store { value, track }, Output::Store(_)) => {
                    if self.follows(value.0, *track) && !written.contains(&value.0) {
                        written.push(value.0);
                        continue;
                    }
                    let uniform = self.uniform[value.0 as usize];
                    let contiguous = self.is_contiguous(*track);
                    if uniform && !contiguous {
                        self.bound();
                    }
                    let size = self.size(*value);
                    self.acts.push(Act::Copy { from: value.0, track: *track, size, uniform, contiguous });
                }
                (RootPlan::Reduce { .. }, Output::Reduce(_)) => {} // see below
                (RootPlan::Select { mask, value, compact }, Output::Select { ptr, count }) => {
                    let size = self.size(*value);
                    self.bound();
                    let (to, count) = (*ptr, *count);
                    self.acts.push(Act::Select {
                        mask: *mask,
                        from: *value,
                        size,
                        f: *compact,
                        to,
                        total: Cell::new(0),
                        count,
                    });
                }
                (RootPlan::GroupReduce { value, slot, mask, kind, fold }, Output::GroupReduce(records)) => {
                    self.bound();
                    self.group_reduce(*value, (*slot, *mask, *kind), *fold, *records);
                }
                _ => unreachable!("outputs are checked against roots before a launch"),
            }
        }
        for fold in &program.folds {
            let tracks = || fold.planes.iter().copied().flatten();
            if tracks().any(|t| self.follows(fold.value.0, t)) {
                continue; // summed by machine code
            }
            self.bound();
            let step = |t: usize| self.geometry.col.steps[t];
            let along = tracks().all(|t| step(t) == 0);
            let contiguous = tracks().all(|t| step(t) == program.track_sizes[t] as isize);
            self.acts.push(Act::Fold { fold, along, contiguous });
        }
    }

    /// Folds a value by group, together with others that go the same way.
    fn group_reduce(
        &mut self,
        value: Value,
        way: (Value, Option<Value>, (ReduceOp, DType)),
        fold: tile::FoldGroups,
        into: tile::Records,
    ) {
        let uniform = &self.uniform;
        let varies = |v: &Value| !uniform[v.0 as usize];
        for act in &mut self.acts {
            if let Act::GroupReduce { from, slot, mask, kind, records, .. } = act
                && (*slot, *mask, *kind) == way
                && from.len() < tile::TOGETHER
                && from.iter().chain([&value]).all(varies)
            {
                from.push(value);
                records.push(into);
                return;
            }
        }
        let ((slot, mask, kind), from, records) =
            (way, SmallVec::from_iter([value]), SmallVec::from_iter([into]));
        self.acts.push(Act::GroupReduce { from, slot, mask, kind, fold, records });
    }

    /// Does the roots on a panel.
    ///
    /// # Safety
    /// As for `Frame::panel`, after its steps have run.
    pub unsafe fn act(&self, rows: usize, cols: usize) {
        for act in &self.acts {
            // SAFETY: places hold the panel's values, and tracks are at its first point.
            unsafe {
                match act {
                    Act::Copy { .. } => self.copy(act, rows, cols),
                    Act::Fold { fold, along, contiguous } => self.fold(fold, *along, *contiguous, rows, cols),
                    Act::GroupReduce { from, slot, mask, fold, records, .. } => {
                        let n = rows * cols;
                        let mask = mask.map_or(std::ptr::null(), |m| self.elements(m, 1, n));
                        let slots = self.elements(*slot, 0, n);
                        let from: SmallVec<[_; tile::TOGETHER]> =
                            from.iter().map(|v| self.elements(*v, 2, n)).collect();
                        fold(&from, slots.cast(), mask, n, records);
                    }
                    Act::Select { mask, from, size, f, to, total, .. } => {
                        let mask = self.elements(*mask, 1, rows * cols);
                        let x = self.elements(*from, 2, rows * cols);
                        total.set(total.get() + f(mask, x, to.add(total.get() * size), rows * cols));
                    }
                }
            }
        }
    }

    /// A value's elements of the panel, in a temporary tile if one stands for all.
    ///
    /// # Safety
    /// As for [`Frame::act`].
    unsafe fn elements(&self, v: Value, temp: usize, n: usize) -> *const u8 {
        let x = self.places[v.0 as usize];
        if !self.uniform[v.0 as usize] {
            return x;
        }
        let out = self.places[self.temp(temp) as usize];
        // SAFETY: the tile has room for a panel.
        unsafe { (self.program.movers.splat[self.size(v).trailing_zeros() as usize])(x, out, n) };
        out
    }

    /// Writes the counts, and orders streamed stores before what follows.
    ///
    /// # Safety
    /// As for `run`, after all panels.
    pub unsafe fn finish(&self) {
        for act in &self.acts {
            if let Act::Select { total, count, .. } = act {
                // SAFETY: the contract of `run` makes it writable.
                unsafe { count.write(total.get()) };
            }
        }
        #[cfg(target_arch = "x86_64")]
        if self.stream {
            // SAFETY: SSE is part of x86-64.
            unsafe { core::arch::x86_64::_mm_sfence() };
        }
    }

    /// # Safety
    /// As for [`Frame::act`].
    unsafe fn copy(&self, act: &Act<'_>, rows: usize, cols: usize) {
        let &Act::Copy { from, track, size, uniform, contiguous } = act else { return };
        let g = &self.geometry;
        let movers = &self.program.movers;
        let k = size.trailing_zeros() as usize;
        let (x, out) = (self.places[from as usize] as *const u8, self.at[track] as *mut u8);
        // SAFETY: the value has the panel's elements (or one, if uniform), the output's are writable; in-place copies are of
        // the very same elements.
        unsafe {
            if contiguous {
                let bytes = rows * cols * size;
                if uniform {
                    (movers.splat[k])(x, out, rows * cols);
                } else if self.stream {
                    (movers.stream_copy)(x, out, bytes);
                } else {
                    std::ptr::copy(x, out, bytes);
                }
                return;
            }
            let step = g.col.steps[track];
            for r in 0..rows {
                let to = out.wrapping_offset(g.row.steps[track] * r as isize);
                if step == size as isize && uniform {
                    (movers.splat[k])(x, to, cols);
                } else if step == size as isize {
                    std::ptr::copy(x.add(r * cols * size), to, cols * size);
                } else if uniform {
                    let temp = self.places[self.temp(0) as usize];
                    (movers.splat[k])(x, temp, cols);
                    (movers.scatter[k])(temp, to, step, cols);
                } else {
                    (movers.scatter[k])(x.add(r * cols * size), to, step, cols);
                }
            }
        }
    }

    /// # Safety
    /// As for [`Frame::act`].
    unsafe fn fold(&self, fold: &FoldPlan, along: bool, contiguous: bool, rows: usize, cols: usize) {
        let g = &self.geometry;
        // SAFETY: as for `act`.
        let x = unsafe { self.elements(fold.value, 0, rows * cols) };
        let row_stride = match self.strided.iter().find(|(v, _)| *v == fold.value) {
            Some((_, t)) => g.row.steps[*t],
            None => (cols * self.size(fold.value)) as isize,
        };
        let place = match fold.place {
            Some(t) => tile::Place {
                start: self.at[t] as i64,
                row_step: g.row_step(t) as i64,
                col_step: if g.col.len == 1 { 0 } else { g.col.steps[t] as i64 },
            },
            None => tile::Place { start: 0, row_step: 0, col_step: 0 },
        };
        let mut to = [std::ptr::null_mut::<u8>(); tile::PLANES];
        let mut steps = [0isize; tile::PLANES];
        for (p, t) in fold.planes.iter().enumerate().filter_map(|(p, t)| t.map(|t| (p, t))) {
            to[p] = self.at[t] as *mut u8;
            steps[p] = g.row_step(t);
        }
        let panel = tile::Panel { rows, cols, row_stride };
        // SAFETY: the planes' elements are those of the panel's points, and the value has the panel's elements at these
        // strides.
        unsafe {
            if along {
                (fold.fold_rows)(x, panel, &to, &steps, place);
            } else if steps.iter().all(|s| *s == 0) {
                self.fold_kept(x, panel, &to, fold, contiguous, place);
            } else {
                // every row has accumulators of its own
                for r in 0..rows {
                    let place = tile::Place { start: place.start + r as i64 * place.row_step, ..place };
                    let x = x.wrapping_offset(row_stride * r as isize);
                    let row = std::array::from_fn(|p| to[p].wrapping_offset(steps[p] * r as isize));
                    self.fold_kept(x, tile::Panel { rows: 1, ..panel }, &row, fold, contiguous, place);
                }
            }
        }
    }

    /// Folds rows into one row of accumulators, which may lie apart.
    ///
    /// # Safety
    /// As for [`Frame::act`].
    unsafe fn fold_kept(
        &self,
        x: *const u8,
        panel: tile::Panel,
        to: &[*mut u8; tile::PLANES],
        fold: &FoldPlan,
        contiguous: bool,
        place: tile::Place,
    ) {
        // SAFETY: as in `fold`; the scratch has room for a row of accumulators of every plane.
        unsafe {
            if contiguous {
                return (fold.fold_cols)(x, panel, to, place);
            }
            let (program, cols) = (self.program, panel.cols);
            let mut near = [std::ptr::null_mut::<u8>(); tile::PLANES];
            let planes = || fold.planes.iter().enumerate().filter_map(|(p, t)| t.map(|t| (p, t)));
            for (p, t) in planes() {
                near[p] = self.scratch.add(program.planes as usize + p * program.tile * 8);
                let gather = program.movers.gather[program.track_sizes[t].trailing_zeros() as usize];
                gather(to[p], self.geometry.col.steps[t], near[p], cols);
            }
            (fold.fold_cols)(x, panel, &near, place);
            for (p, t) in planes() {
                let scatter = program.movers.scatter[program.track_sizes[t].trailing_zeros() as usize];
                scatter(near[p], to[p], self.geometry.col.steps[t], cols);
            }
        }
    }
}
