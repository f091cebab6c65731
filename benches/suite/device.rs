//! Runs the rows in memory on a GPU.
//!
//! | mode | ours | ceiling |
//! |---|---|---|
//! | resident | inputs stay on the device (`persist`); a result that is an array comes back | what copies inside the device, or back to the host, take for the same bytes: whichever is longer |
//! | inside | as resident, of rows whose result is an array; its largest element comes back | what copies inside the device take for as many bytes as are read |
//! | kept | as resident, of rows whose result is an array; the result stays, too | what copies inside the device take for the same bytes |
//! | streamed | inputs are sent, results come back | what copies to the device, or back, take for the same bytes: whichever is longer |
//!
//! The device's copies are measured in the same run, on as many bytes as an input has.

use crate::Suite;
use crate::arrays::{best_of, time_fresh, write_npy};
use crate::data::Input;
use crate::oracle::Inputs;
use crate::report::Line;
use crate::rows::{Ceiling, Outcome, Row};
use blockwise::backend::cpu::Cpu;
use blockwise::backend::gpu::{Gpu, Speeds};
use blockwise::backend::hybrid::Hybrid;
use blockwise::block::Block;
use blockwise::event::{Event, Observer};
use blockwise::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A GPU and what it can do at most.
pub struct OnGpu {
    gpu: Gpu,
    speeds: Speeds,
    fallbacks: Arc<Fallbacks>,
}

/// How often something went to the CPU.
#[derive(Default)]
struct Fallbacks(AtomicUsize);

impl Observer for Fallbacks {
    fn event(&self, event: &Event) {
        if let Event::Fallback { .. } = event {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

impl OnGpu {
    /// The first GPU, with room for the inputs of every row, and a session on it.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(size: usize, threads: usize) -> Result<(OnGpu, Session), Error> {
        let plane = 4 * (size * size) as u64;
        let gpu = Gpu::builder().memory_limit((16 * plane).max(64 << 20)).build()?;
        let speeds = gpu.speeds(plane.clamp(1 << 20, 64 << 20))?;
        let fallbacks = Arc::new(Fallbacks::default());
        let backend = Hybrid::new(Arc::new(gpu.clone()), Arc::new(Cpu::detect()));
        let session =
            Session::builder().backend(Arc::new(backend)).threads(threads).observer(fallbacks.clone());
        Ok((OnGpu { gpu, speeds, fallbacks }, session.build()?))
    }

    /// What it is, and how fast it copies.
    pub fn describe(&self) -> String {
        let Speeds { up, down, copy } = self.speeds;
        format!(
            "{}; {}; copies {:.1} GB/s inside, {:.1} up, {:.1} down",
            self.gpu.adapter(),
            self.gpu.arithmetic(),
            copy / 1e9,
            up / 1e9,
            down / 1e9
        )
    }

    /// Checks and times a row. Leaves inputs and our result for peers in `peers`.
    ///
    /// # Errors
    /// If an input cannot be kept.
    pub fn run(&self, suite: &Suite, row: &Row, peers: Option<&Path>) -> Result<Vec<Line>, Error> {
        let n = suite.options.size;
        let blocks = row.inputs.iter().map(|name| Input::named(name).plane(n, &suite.workers)).collect();
        let inputs = Inputs { blocks, n };
        if let Some(dir) = peers {
            for (name, block) in row.inputs.iter().zip(&inputs.blocks) {
                write_npy(&suite.session, block, &dir.join(format!("{name}.npy")))?;
            }
        }
        let side = n / row.part;
        let plane = 4.0 * (side * side) as f64;
        let operations = row.flops.filter(|_| row.ceiling == Ceiling::Fma).map(|f| f(n as f64) * plane / 4.0);
        let traffic = row.bands * plane;
        let want = (row.oracle)(&suite.workers, &inputs);
        let sent: f64 = inputs.blocks.iter().map(|b| b.nbytes() as f64).sum();
        let back = if row.outcome == Outcome::Plane { plane } else { 0.0 };
        let down = back / self.speeds.down;
        // one launch for all: pieces are the device's business
        let whole = |block: &Block| Array::from_block(block.clone()).rechunk(&[n, n][..]);
        let streamed: Vec<Array> = inputs.blocks.iter().map(whole).collect();
        let kept = streamed.iter().map(|x| suite.session.persist(x)).collect::<Result<Vec<_>, Error>>()?;
        let line = |mode: &str, engine: &str| {
            Line::new(row.name, mode, engine, suite.options.threads).with("size", n)
        };
        let mut lines = vec![];
        // of what copies have nothing to do with
        let ceiling = |lines: &mut Vec<Line>, mode: &str, seconds: f64, bytes: f64| {
            if operations.is_none() {
                lines.push(line(mode, "ceiling").took(seconds, Some(bytes)));
            }
        };
        let rated = |line: Line| match (operations, line.seconds) {
            (Some(operations), Some(seconds)) => line.with("gflop_per_s", operations / seconds / 1e9),
            _ => line,
        };
        for (mode, arrays, least) in [
            ("resident", &kept, (traffic / self.speeds.copy).max(down)),
            ("streamed", &streamed, (sent / self.speeds.up).max(down)),
        ] {
            ceiling(&mut lines, mode, least, traffic);
            // a result that is written for peers goes through the session, too
            let peers = peers.filter(|_| mode == "streamed");
            let timed = || time_fresh(suite, row, &(row.build)(arrays), &want, peers);
            lines.push(rated(self.watched(line(mode, "blockwise"), (traffic, mode == "resident"), timed)));
        }
        if row.outcome == Outcome::Plane {
            let read = traffic - plane;
            ceiling(&mut lines, "inside", read / self.speeds.copy, read);
            let timed = || time_inside(suite, &(row.build)(&kept)[0]);
            lines.push(rated(self.watched(line("inside", "blockwise"), (read, true), timed)));
            ceiling(&mut lines, "kept", traffic / self.speeds.copy, traffic);
            let timed = || self.time_kept(suite, &(row.build)(&kept)[0]);
            lines.push(rated(self.watched(line("kept", "blockwise"), (traffic, true), timed)));
        }
        Ok(lines)
    }

    /// The line of a row that runs here: wrong if it went to the CPU, or sent what should stay.
    fn watched(
        &self,
        line: Line,
        (traffic, stays): (f64, bool),
        timed: impl FnOnce() -> Result<(f64, Option<String>), Error>,
    ) -> Line {
        let (before, gone) = (self.gpu.sent_bytes(), self.fallbacks.0.load(Relaxed));
        match timed() {
            Ok((seconds, wrong)) => {
                let sent = self.gpu.sent_bytes() - before;
                let moved =
                    (stays && sent > 1 << 16).then(|| format!("{sent} bytes of what should stay were sent"));
                let left = (self.fallbacks.0.load(Relaxed) > gone).then(|| "ran on the CPU".to_owned());
                line.took(seconds, Some(traffic)).checked(wrong.or(moved).or(left))
            }
            Err(e) => line.checked(Some(e.to_string())),
        }
    }
}

impl OnGpu {
    /// Checks, then times a result that stays on the device.
    fn time_kept(&self, suite: &Suite, result: &Array) -> Result<(f64, Option<String>), Error> {
        let kept = suite.session.persist(result)?;
        let (got, want) = (suite.session.compute(&kept)?, suite.session.compute(result)?);
        drop(kept);
        let bits = |block: &Block| block.as_slice::<f32>().map(|xs| xs.iter().map(|x| x.to_bits()).collect());
        let (got, want): (Vec<u32>, Vec<u32>) = (bits(&got)?, bits(&want)?);
        let wrong = (got != want).then(|| "what stayed differs from what came back".to_owned());
        let before = self.gpu.received_bytes();
        let seconds = best_of(suite.options.repeat, || (), || suite.session.persist(result))?;
        let came = self.gpu.received_bytes() - before;
        let moved = (came > 1 << 16).then(|| format!("{came} bytes of what should stay came back"));
        Ok((seconds, wrong.or(moved)))
    }
}

/// Checks, then times the largest element of a result, which itself stays where it is computed.
///
/// # Errors
/// Those of the row.
fn time_inside(suite: &Suite, result: &Array) -> Result<(f64, Option<String>), Error> {
    let largest = result.max(..);
    let once = || suite.session.compute(&largest)?.to_scalar::<f32>();
    let got = once()?;
    let all = suite.session.compute(result)?;
    let of_two = |a: f32, &b: &f32| if a.is_nan() || a > b { a } else { b };
    let want = all.as_slice::<f32>()?.iter().fold(f32::NEG_INFINITY, of_two);
    let wrong = (got != want && !(got.is_nan() && want.is_nan())).then(|| format!("{got} instead of {want}"));
    Ok((best_of(suite.options.repeat, || (), once)?, wrong))
}
