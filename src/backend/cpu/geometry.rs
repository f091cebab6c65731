//! The axes of a launch, normalised: what the panel loops walk.
//!
//! A launch has *tracks*: quantities that are linear in the point. The address of every operand is one, and so are the
//! value of an `Index` and the position that an arg-reduction counts. An axis is its length and every track's step
//! along it. Axes of length 1 vanish and neighbours merge where every track allows, so that most launches are one long
//! row or rows of rows.
//!
//! A kernel that folds floats ([`Program::sensitive`]) must fold in an order that depends on the region alone: there
//! the inputs' strides have no say in the shape of the panels. See [`Geometry::rows_of_any_stride`].

use super::program::{Program, RootPlan};
use crate::backend::{Launch, Output};
use smallvec::SmallVec;

/// Most rows that inputs are packed for at a time.
const STRIPES: usize = 32;
/// Columns of such rows where they are cut.
const STRIPE_COLS: usize = 256;
/// Most points that inputs are packed for at a time.
pub const STRIPE_POINTS: usize = STRIPES * STRIPE_COLS;

/// One axis: its length and every track's step along it.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// Points.
    pub len: usize,
    /// Per track.
    pub steps: SmallVec<[isize; 8]>,
}

/// Normalised axes, how they are cut into panels, and where every track starts.
#[derive(Debug)]
pub struct Geometry {
    /// All but the last two axes.
    pub outer: SmallVec<[Axis; 2]>,
    /// The axis along the rows of a panel; of length 1 if there is no second axis.
    pub row: Axis,
    /// The axis inside a row.
    pub col: Axis,
    /// Every track at the first point.
    pub start: SmallVec<[isize; 8]>,
    /// Rows of a full panel.
    pub rows: usize,
    /// Columns of a full panel.
    pub cols: usize,
    /// Rows that inputs are packed for at a time, while everything else goes panel by panel; 1 if not so.
    pub stripes: usize,
    /// If the row axis stands for several that some inputs cannot merge: those axes, outermost first.
    pub parts: SmallVec<[Axis; 2]>,
}

impl Axis {
    /// Whether this axis, outside `inner`, continues it for one track.
    fn continues(&self, inner: &Axis, track: usize) -> bool {
        self.steps[track] == inner.steps[track].wrapping_mul(inner.len as isize)
    }
}

impl Geometry {
    /// The axes of a launch whose region is not empty. `unbounded` says that a row may be of any length, because nothing
    /// of it is kept in tiles.
    pub fn new(program: &Program, launch: &Launch<'_>, unbounded: bool) -> Geometry {
        let (start, mut axes) = tracks(program, launch);
        let none = || Axis { len: 1, steps: SmallVec::from_elem(0, start.len()) };
        let mut parts = SmallVec::new();
        if !program.ordered {
            order(program, &mut axes);
        }
        if program.sensitive {
            if let Some(col) = axes.pop() {
                if short(program, &col) {
                    parts = merge_rows(program, &mut axes);
                }
                axes.push(col);
            }
        } else {
            merge(&mut axes);
        }
        let mut col = axes.pop().unwrap_or_else(none);
        if col.len == 1 {
            // a single point: its operands count as contiguous, not as broadcast
            for (step, size) in col.steps.iter_mut().zip(&program.track_sizes) {
                *step = *size as isize;
            }
        }
        if !program.ordered
            && let Some(k) = packing_axis(program, &axes, &col)
        {
            let row = axes.remove(k);
            axes.push(row);
        }
        let row = axes.pop().unwrap_or_else(none);
        let (rows, cols, stripes) = panel(program, &row, &col, unbounded);
        Geometry { outer: axes.into_iter().collect(), row, col, start, rows, cols, stripes, parts }
    }

    /// The step of a track from one row of a panel to the next; 0 if panels have one row.
    pub fn row_step(&self, track: usize) -> isize {
        if self.rows == 1 { 0 } else { self.row.steps[track] }
    }

    /// Whether an input cannot step from row to row by a constant.
    pub fn rows_of_any_stride(&self, track: usize) -> bool {
        self.rows > 1 && self.parts.windows(2).any(|w| !w[0].continues(&w[1], track))
    }

    /// The distance of a row of the row axis from its first, for a track whose rows are of any stride.
    pub fn row_offset(&self, track: usize, mut row: usize) -> isize {
        let mut at = 0;
        for part in self.parts.iter().rev() {
            at += (row % part.len) as isize * part.steps[track];
            row /= part.len;
        }
        at
    }
}

/// Starts and axes (those longer than 1) of all tracks.
fn tracks(program: &Program, launch: &Launch<'_>) -> (SmallVec<[isize; 8]>, SmallVec<[Axis; 4]>) {
    let region = launch.region;
    let mut start: SmallVec<[isize; 8]> = SmallVec::new();
    let mut axes: SmallVec<[Axis; 4]> = SmallVec::new();
    let mut number: SmallVec<[usize; 4]> = SmallVec::new();
    for (k, &len) in region.shape.iter().enumerate() {
        if len != 1 {
            axes.push(Axis { len, steps: SmallVec::new() });
            number.push(k);
        }
    }
    let mut push = |first: isize, step: &dyn Fn(usize) -> isize| {
        start.push(first);
        for (axis, &k) in axes.iter_mut().zip(&number) {
            axis.steps.push(step(k));
        }
    };
    for input in launch.inputs {
        push(input.ptr as isize, &|k| input.strides[k]);
    }
    for (root, output) in program.roots.iter().zip(launch.outputs) {
        match (root, output) {
            (RootPlan::Store { .. }, Output::Store(to)) => push(to.ptr as isize, &|k| to.strides[k]),
            (RootPlan::Reduce { axes, arg, .. }, Output::Reduce(planes)) => {
                for plane in planes {
                    push(plane.ptr as isize, &|k| plane.strides[k]);
                }
                if *arg {
                    // the position among the reduced points, in C order over their whole lengths
                    let mut steps: SmallVec<[isize; 4]> = SmallVec::from_elem(0, region.shape.len());
                    let (mut at, mut step) = (0, 1);
                    for &a in axes.iter().rev() {
                        steps[a as usize] = step;
                        at += step * region.start[a as usize] as isize;
                        step *= launch.shape[a as usize] as isize;
                    }
                    push(at, &|k| steps[k]);
                }
            }
            _ => {}
        }
    }
    for &axis in &program.index_axes {
        push(region.start[axis as usize] as isize, &|k| isize::from(k == axis as usize));
    }
    (start, axes)
}

/// Puts the axes in the order of the operands' memory: that of the first store, or of the inputs if there is none.
fn order(program: &Program, axes: &mut SmallVec<[Axis; 4]>) {
    let key = |axis: &Axis| match program.first_store {
        Some(t) => axis.steps[t].unsigned_abs(),
        None => axis.steps[..program.inputs].iter().map(|s| s.unsigned_abs()).sum(),
    };
    axes.sort_by_key(|axis| std::cmp::Reverse(key(axis)));
}

/// Merges neighbours where every track allows.
fn merge(axes: &mut SmallVec<[Axis; 4]>) {
    let mut k = axes.len();
    while k >= 2 {
        k -= 1;
        let (outer, inner) = (&axes[k - 1], &axes[k]);
        if (0..outer.steps.len()).all(|t| outer.continues(inner, t)) {
            let len = outer.len * inner.len;
            axes.remove(k - 1);
            axes[k - 1].len = len;
        }
    }
}

/// Merges the innermost of these axes as far as the roots' tracks allow, and returns the merged ones if some input does
/// not.
fn merge_rows(program: &Program, axes: &mut SmallVec<[Axis; 4]>) -> SmallVec<[Axis; 2]> {
    let mut first = axes.len().saturating_sub(1);
    while first > 0 {
        let (outer, inner) = (&axes[first - 1], &axes[first]);
        let roots = program.inputs..outer.steps.len();
        // `inner` is the outermost of those merged so far, so its own steps are what the next must continue
        if !roots.into_iter().all(|t| outer.continues(inner, t)) {
            break;
        }
        first -= 1;
    }
    if first + 1 >= axes.len() {
        return SmallVec::new();
    }
    let parts: SmallVec<[Axis; 2]> = axes.drain(first..).collect();
    let mut row = parts[parts.len() - 1].clone();
    row.len = parts.iter().map(|p| p.len).product();
    axes.push(row);
    parts
}

/// Whether rows are so short that a panel takes several.
fn short(program: &Program, col: &Axis) -> bool {
    col.len < 64 || (program.folds_along(col) && 2 * col.len <= program.tile)
}

/// The axis that should be the panels' rows because the inputs that must be packed are contiguous along it.
fn packing_axis(program: &Program, axes: &[Axis], col: &Axis) -> Option<usize> {
    let packed = (0..program.inputs).find(|&t| is_packed(program, col, t))?;
    let step = |k: &usize| axes[*k].steps[packed].unsigned_abs();
    let best = (0..axes.len()).filter(|k| step(k) != 0).min_by_key(step)?;
    (step(&best) < col.steps[packed].unsigned_abs()).then_some(best)
}

/// Whether an input is neither contiguous nor constant along the columns.
fn is_packed(program: &Program, col: &Axis, track: usize) -> bool {
    col.steps[track] != 0 && col.steps[track] != program.track_sizes[track] as isize
}

/// Rows and columns of a full panel, and its stripes.
fn panel(program: &Program, row: &Axis, col: &Axis, unbounded: bool) -> (usize, usize, usize) {
    let turned = |t: &usize| {
        is_packed(program, col, *t) && row.steps[*t].unsigned_abs() < col.steps[*t].unsigned_abs()
    };
    let turned = if row.len > 1 { (0..program.inputs).find(turned) } else { None };
    // whole cache lines of what is contiguous along the rows, and long pieces of what is not
    let stripes = turned.map(|t| (64 / program.track_sizes[t]).clamp(8, STRIPES).min(row.len));
    let (rows, cols) = plain_panel(program, row, col, unbounded);
    match stripes {
        None => (rows, cols, 1),
        // packing ahead leaves the panels as they are, and their order
        Some(stripes) if program.ordered => {
            let stripes = stripes.min(STRIPE_POINTS / cols) / rows * rows;
            (rows, cols, if cols == col.len { stripes.max(1) } else { 1 })
        }
        Some(_) if rows > 1 => (rows, cols, 1),
        Some(stripes) => (1, col.len.min(STRIPE_COLS), stripes),
    }
}

/// Rows and columns of a full panel, from the region and the roots alone.
fn plain_panel(program: &Program, row: &Axis, col: &Axis, unbounded: bool) -> (usize, usize) {
    let tile = program.tile;
    if row.len > 1 {
        if short(program, col) && col.len <= tile {
            return (row.len.min(tile / col.len).max(1), col.len);
        }
        // where nothing is computed: the accumulators are touched once for several rows, which are read in place
        if program.is_direct && program.folds_across(row, col) {
            // more rows are more streams than the machine fetches ahead
            return (row.len.min(8), col.len.min(1024));
        }
    }
    let widest = if program.folds_apart(col) { tile.min(1024) } else { tile };
    (1, if unbounded { col.len } else { col.len.min(widest) })
}
