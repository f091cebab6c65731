//! Runs the rows in memory.
//!
//! | mode | ours | ceiling |
//! |---|---|---|
//! | into | `compute_into` memory that was written before | the same streams, into that memory |
//! | fresh | `compute`: every result in memory new to the process | the same streams, into memory mapped for it |
//!
//! In mode "fresh" the library's pool of idle buffers is emptied before every timed run of a row whose result is an array: it
//! would otherwise hand out the pages of the last result, and a program that keeps its results never sees that. Dropping
//! a result is not timed, here as for ceilings and peers. Rows that yield a few numbers run in mode "fresh" only, with
//! the pool as it is.

use crate::Suite;
use crate::data::Input;
use crate::memory::Mapped;
use crate::oracle::{Inputs, Want, difference};
use crate::report::Line;
use crate::rows::{Ceiling, Outcome, Row};
use blockwise::block::{Block, pool};
use blockwise::prelude::*;
use std::path::Path;
use std::time::Instant;

/// No repeat starts after this many seconds of timing, as for peers.
const MAX_SECONDS: f64 = 60.0;

/// The shortest of `repeat` runs; `before` each of them is not timed, nor is dropping what it gives.
///
/// # Errors
/// The first that a run met.
pub fn best_of<T>(
    repeat: usize,
    mut before: impl FnMut(),
    mut run: impl FnMut() -> Result<T, Error>,
) -> Result<f64, Error> {
    let (mut best, mut spent) = (f64::INFINITY, 0.0);
    for _ in 0..repeat {
        before();
        let start = Instant::now();
        let result = run()?;
        let seconds = start.elapsed().as_secs_f64();
        drop(result);
        best = best.min(seconds);
        spent += seconds;
        if spent > MAX_SECONDS {
            break;
        }
    }
    Ok(best)
}

/// Checks and times a row, and its ceilings before. Leaves inputs and our result for peers in `peers`.
///
/// # Errors
/// If files for peers cannot be written. An error of the row itself is in its line.
pub fn run(suite: &Suite, row: &Row, peers: Option<&Path>) -> Result<Vec<Line>, Error> {
    let n = suite.options.size;
    let blocks = row.inputs.iter().map(|name| Input::named(name).plane(n, &suite.workers)).collect();
    let inputs = Inputs { blocks, n };
    if let Some(dir) = peers {
        for (name, block) in row.inputs.iter().zip(&inputs.blocks) {
            write_npy(&suite.session, block, &dir.join(format!("{name}.npy")))?;
        }
    }
    let side = n / row.part;
    let traffic = row.bands * 4.0 * (side * side) as f64;
    let operations = row.flops.map(|f| f(n as f64) * (side * side) as f64);
    let want = (row.oracle)(&suite.workers, &inputs);
    let arrays: Vec<Array> = inputs.blocks.iter().cloned().map(Array::from_block).collect();
    let built = (row.build)(&arrays);
    let line =
        |mode: &str, engine: &str| Line::new(row.name, mode, engine, suite.options.threads).with("size", n);
    let ours = |mode: &str, timed: Result<(f64, Option<String>), Error>| match timed {
        Ok((seconds, wrong)) => {
            let line = line(mode, "blockwise").took(seconds, Some(traffic)).checked(wrong);
            match operations {
                Some(operations) => {
                    let rate = operations / seconds;
                    line.with("gflop_per_s", rate / 1e9).with("fma_share", rate / suite.peak_fma())
                }
                None => line,
            }
        }
        Err(e) => line(mode, "blockwise").checked(Some(e.to_string())),
    };
    let mut lines = vec![];
    let arithmetic = match row.ceiling {
        Ceiling::Fma => operations.map(|operations| operations / suite.peak_fma()),
        _ => None,
    };
    if row.outcome == Outcome::Plane {
        let mut out = Mapped::new(side * side * 4);
        suite
            .workers
            .pieces(&mut out.slice_mut::<f32>()[..side * side], 1 << 18, |_, part| part.fill(-12345.0));
        let seconds = match row.ceiling {
            Ceiling::ReadThenMap => suite.ceilings().read(&inputs.blocks),
            _ => 0.0,
        };
        let plane = &mut out.slice_mut::<f32>()[..side * side];
        let into = arithmetic.unwrap_or_else(|| seconds + suite.ceilings().map_into(&inputs.blocks, plane));
        lines.push(line("into", "ceiling").took(into, Some(traffic)));
        plane.fill(-12345.0);
        lines.push(ours("into", time_into(suite, row, &built[0], plane, &want)));
        drop(out);
        let fresh = arithmetic.unwrap_or_else(|| seconds + suite.ceilings().map_fresh(&inputs.blocks));
        lines.push(line("fresh", "ceiling").took(fresh, Some(traffic)));
    } else {
        // transpose_add counts its one input twice
        let read = inputs.blocks.iter().map(|b| b.nbytes() as f64).sum();
        let seconds = suite.ceilings().read(&inputs.blocks);
        lines.push(line("fresh", "ceiling").took(seconds, Some(read)));
    }
    lines.push(ours("fresh", time_fresh(suite, row, &built, &want, peers)));
    Ok(lines)
}

/// Checks, then times a row into memory that is there.
fn time_into(
    suite: &Suite,
    row: &Row,
    array: &Array,
    out: &mut [f32],
    want: &Want<'_>,
) -> Result<(f64, Option<String>), Error> {
    let shape = [suite.options.size / row.part; 2];
    let once = |out: &mut [f32]| {
        let view = ndarray::ArrayViewMut2::from_shape(shape, out).expect("n² elements");
        suite.session.compute_into(array, view)
    };
    once(out)?;
    let wrong = difference(&suite.workers, out.len(), |i| f64::from(out[i]), want, (row.rtol, row.atol));
    let seconds = best_of(suite.options.repeat, || (), || once(out))?;
    Ok((seconds, wrong))
}

/// Checks, then times a row into new memory.
///
/// # Errors
/// Those of the row.
pub fn time_fresh(
    suite: &Suite,
    row: &Row,
    built: &[Array],
    want: &Want<'_>,
    peers: Option<&Path>,
) -> Result<(f64, Option<String>), Error> {
    let once = || -> Result<Vec<Block>, Error> {
        let mut batch = Batch::new();
        for array in built {
            batch.compute(array)?;
        }
        Ok(batch.run(&suite.session)?.into_iter().flatten().collect())
    };
    let tolerance = (row.rtol, row.atol);
    let result = once()?;
    let (wrong, expected) = if row.outcome == Outcome::Plane {
        let got = result[0].as_slice::<f32>()?;
        let wrong = difference(&suite.workers, got.len(), |i| f64::from(got[i]), want, tolerance);
        (wrong, result[0].clone())
    } else {
        let mut got: Vec<f64> = vec![];
        for block in &result {
            got.extend(block.cast(F64).to_contiguous().as_slice::<f64>()?);
        }
        let wrong = difference(&suite.workers, got.len(), |i| got[i], want, tolerance);
        let numbers = Block::from_vec(got);
        (wrong, if row.outcome == Outcome::Vectors { numbers.cast(F32) } else { numbers })
    };
    if let Some(dir) = peers {
        write_npy(&suite.session, &expected, &dir.join(format!("{}.expected.npy", row.name)))?;
    }
    drop((result, expected));
    let empty_pool = || {
        if row.outcome == Outcome::Plane {
            pool().trim(0);
        }
    };
    let seconds = best_of(suite.options.repeat, empty_pool, once)?;
    Ok((seconds, wrong))
}

/// Writes a block as `.npy`.
///
/// # Errors
/// If it cannot be written.
pub fn write_npy(session: &Session, block: &Block, path: &Path) -> Result<(), Error> {
    let array = Array::from_block(block.clone());
    session.store(&[(&array, array.npy_sink(path)?)])
}
