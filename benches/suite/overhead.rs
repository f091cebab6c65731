//! What the library costs beside the arithmetic: per task, per plan, per block that is not needed.
//!
//! | row | work | seconds | checked |
//! |---|---|---|---|
//! | tasks_1e6 | `(x + 1).sum()` over 1e6 blocks of one element | of the whole run; `us_per_task` is that over the tasks that ran | the sum, and that as many tasks ran as there are blocks |
//! | plan_1e7 | builds and plans arithmetic, a slice and a mean over 1e7 blocks | of building and planning | tasks of the plan, and that memory is that of 1e5 blocks |
//! | tiny_slice | 10x10 window of a five-point stencil over 200x200 blocks | of building, planning and computing | the window, and that one block was touched |

use crate::Suite;
use crate::arrays::best_of;
use crate::data::{Generated, Input};
use crate::memory::{Allocations, Counted};
use crate::oracle::close;
use crate::report::Line;
use blockwise::block::{Block, BlockSource, MemorySource};
use blockwise::ix;
use blockwise::meta::Meta;
use blockwise::plan::{Destination, Target};
use blockwise::prelude::*;
use blockwise::shape::{Grid, Region};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The rows.
pub const ROWS: [&str; 3] = ["tasks_1e6", "plan_1e7", "tiny_slice"];

/// All but the first and the last element of an axis: NumPy's `1:-1`.
const INNER: Ix = Ix::Slice(Some(1), Some(-1), 1);

/// Checks and times a row.
pub fn run(suite: &Suite, row: &str) -> Vec<Line> {
    let line = Line::new(row, "fresh", "blockwise", suite.options.threads);
    let done = match row {
        "tasks_1e6" => tasks(suite, line.clone()),
        "plan_1e7" => plan(suite, line.clone()),
        _ => tiny_slice(suite, line.clone()),
    };
    vec![done.unwrap_or_else(|e| line.checked(Some(e.to_string())))]
}

fn scaled(suite: &Suite, n: f64) -> usize {
    ((n * suite.options.scale) as usize).max(100)
}

fn tasks(suite: &Suite, line: Line) -> Result<Line, Error> {
    let n = scaled(suite, 1e6);
    // small integers, whose sum an f32 holds exactly
    let values: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
    let want: f64 = values.iter().map(|v| f64::from(*v) + 1.0).sum();
    let block = Block::from_vec(values);
    // a source of such blocks: blocks that only `rechunk` cut may be planned as fewer tasks, which is noted beside
    let source = MemorySource::new(block.clone(), Grid::regular(&[n], &[1]));
    let sum = (Array::from_source(Arc::new(source), Meta::default()) + 1).sum(..);
    let rechunked = (Array::from_block(block).rechunk(1usize) + 1).sum(..);
    let run = |sum: &Array| -> Result<(f64, u64), Error> {
        let got = suite.session.compute(sum)?.to_scalar::<f64>()?;
        Ok((got, suite.session.last_summary().map_or(0, |s| s.tasks)))
    };
    let (also, merged) = run(&rechunked)?;
    let (got, ran) = run(&sum)?;
    let wrong = if let Some(got) = [got, also].into_iter().find(|got| !close(*got, want, 1e-7, 0.0)) {
        Some(format!("the sum is {got}, not {want}"))
    } else if ran < n as u64 {
        Some(format!("only {ran} tasks ran: blocks were merged"))
    } else {
        None
    };
    let seconds = best_of(suite.options.repeat, || (), || suite.session.compute(&sum))?;
    let line = line.took(seconds, None).checked(wrong);
    let line = line.with("blocks", n).with("tasks", ran).with("tasks_rechunked", merged);
    Ok(line.with("us_per_task", seconds * 1e6 / ran.max(1) as f64))
}

/// Builds and plans an expression over `n` blocks; gives the number of its tasks.
fn planned(suite: &Suite, n: usize) -> Result<usize, Error> {
    let source = Generated::new(Input::named("x"), Grid::regular(&[n], &[1]));
    let x = Array::from_source(Arc::new(source), Meta::default());
    let y = ((&x + 1) * 2).sqrt() - &x / 3;
    let mean = y.index(ix![INNER]).mean(..);
    let target = Target { expr: mean.expr()?.clone(), destination: Destination::Memory };
    Ok(suite.session.plan(&[target])?.stages.iter().map(|s| s.tasks()).sum())
}

fn plan(suite: &Suite, line: Line) -> Result<Line, Error> {
    let n = scaled(suite, 1e7);
    let counted = |n: usize| -> Result<(usize, Allocations), Error> {
        let (tasks, used) = Counted::during(|| planned(suite, n));
        Ok((tasks?, used))
    };
    // the first plan of a process fills tables once
    planned(suite, n / 100)?;
    let (few, small) = counted(n / 100)?;
    let (many, large) = counted(n)?;
    let wrong = if many + 2 < n || few + 2 < n / 100 {
        Some(format!("{many} tasks planned for {n} blocks, {few} for {}", n / 100))
    } else if large.peak > small.peak + small.peak / 10 + 1024 || large.calls > small.calls + small.calls / 10
    {
        Some(format!("memory grows with blocks: {small:?} for {}, {large:?} for {n}", n / 100))
    } else {
        None
    };
    let seconds = best_of(suite.options.repeat, || (), || planned(suite, n))?;
    let line = line.took(seconds, None).checked(wrong);
    Ok(line
        .with("blocks", n)
        .with("tasks", many)
        .with("peak_bytes", large.peak)
        .with("allocations", large.calls))
}

/// Notes which blocks are read.
#[derive(Debug)]
struct Watched {
    source: Generated,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    reads: usize,
    elements: usize,
    blocks: BTreeSet<Vec<usize>>,
}

impl BlockSource for Watched {
    fn dtype(&self) -> DType {
        self.source.dtype()
    }

    fn grid(&self) -> &Grid {
        self.source.grid()
    }

    fn label(&self) -> String {
        "watched".into()
    }

    fn read(&self, region: &Region) -> Result<Block, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
        seen.reads += 1;
        seen.elements += region.len();
        seen.blocks.extend(self.grid().blocks_in(region).map(|index| index.to_vec()));
        self.source.read(region)
    }

    fn read_bytes(&self, extent: &[usize]) -> usize {
        self.source.read_bytes(extent)
    }
}

fn tiny_slice(suite: &Suite, line: Line) -> Result<Line, Error> {
    const BLOCK: usize = 256;
    const SIDE: usize = 200 * BLOCK;
    const WINDOW: usize = 10;
    let input = Input::named("x");
    let source = Arc::new(Watched {
        source: Generated::new(input, Grid::regular(&[SIDE, SIDE], &[BLOCK, BLOCK])),
        seen: Mutex::default(),
    });
    // the middle of the block in the middle, in coordinates of the stencil's result
    let at = SIDE / 2 + BLOCK / 2;
    let window = || {
        let x = Array::from_source(source.clone(), Meta::default());
        let stencil = x.index(ix![INNER, INNER])
            + x.index(ix![..-2, INNER])
            + x.index(ix![2.., INNER])
            + x.index(ix![INNER, ..-2])
            + x.index(ix![INNER, 2..]);
        let part = at as isize..(at + WINDOW) as isize;
        suite.session.compute(&stencil.index(ix![part.clone(), part]))
    };
    let got = window()?;
    let seen = std::mem::take(&mut *source.seen.lock().unwrap_or_else(|e| e.into_inner()));
    let x = |r: usize, c: usize| f64::from(input.f32((r * SIDE + c) as u64, 0));
    let mut wrong = None;
    for ((r, c), &v) in ndarray::indices((WINDOW, WINDOW)).into_iter().zip(got.as_slice::<f32>()?) {
        let (r, c) = (at + r + 1, at + c + 1);
        let want = x(r, c) + x(r - 1, c) + x(r + 1, c) + x(r, c - 1) + x(r, c + 1);
        if !close(f64::from(v), want, 1e-5, 0.0) {
            wrong = Some(format!("element {:?} is {v}, not {want}", (r, c)));
        }
    }
    if seen.blocks.len() != 1 {
        wrong = wrong.or(Some(format!("{} blocks were touched, not one", seen.blocks.len())));
    }
    let seconds = best_of(suite.options.repeat, || (), window)?;
    let line = line.took(seconds, None).checked(wrong);
    let line = line.with("blocks", 40_000).with("blocks_touched", seen.blocks.len());
    Ok(line.with("reads", seen.reads).with("elements_read", seen.elements).with("ms", seconds * 1e3))
}
