//! Rows larger than memory: Zarr to Zarr under a hard memory limit, each run in a process of its own.
//!
//! The size of the data follows from the limit L (times `--scale`): reading goes 6 to 8 times through it.
//!
//! | row | inputs | work | result |
//! |---|---|---|---|
//! | stream_ndvi | two u16 bands, 8 L together, 16x16 chunks | the index of both | f32 in the same chunks |
//! | rechunk | f32, square, 6 L, 160 chunks of whole rows | none | 160 chunks of whole columns |
//! | anomaly | f32 (time, lat, lon), 6 L, chunks of whole maps | `x - x.mean(time)`, then the mean over space | f32 (time,) |
//!
//! Inputs are generated, so that checking recomputes them instead of reading them: 4096 sampled elements of the first two
//! rows, every element of the third. Inputs and results are compressed as files are by default (Zstandard). A run is
//! timed from opening the inputs to the published result; the system's page cache is left as it is, so where memory is
//! larger than the data, reading does not mean the disk. `peak_rss_mib` is the whole process, as the kernel counts it
//! (`VmHWM`): code, threads and allocator included.

use crate::Suite;
use crate::arrays::write_npy;
use crate::cli::Options;
use crate::data::{Generated, Input};
use crate::memory::peak_rss_mib;
use crate::oracle::{close, ndvi};
use crate::report::Line;
use blockwise::block::Block;
use blockwise::io::{self, zarr::WriteOptions};
use blockwise::meta::Meta;
use blockwise::prelude::*;
use blockwise::shape::{Grid, Region};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The rows.
pub const ROWS: [&str; 3] = ["stream_ndvi", "rechunk", "anomaly"];
/// Elements of a result that are compared.
const SAMPLES: usize = 4096;
/// No run of a row starts after this many seconds of timing, as for peers.
pub const MAX_SECONDS: f64 = 60.0;
/// A run that takes longer is ended.
const TIMEOUT: Duration = Duration::from_secs(900);
const RTOL: f64 = 1e-5;
const ATOL: f64 = 1e-5;

/// Shapes and chunks of a row.
struct Layout {
    names: &'static [&'static str],
    shape: Vec<usize>,
    chunk: Vec<usize>,
    /// Shape and chunks of the result; no chunks if it is not a file.
    result: (Vec<usize>, Option<Vec<usize>>),
}

impl Layout {
    fn of(row: &str, options: &Options) -> Layout {
        let limit = options.memory_limit.0 as f64 * options.scale;
        // the side of a square array of `elements`, in `parts` equal parts
        let side =
            |elements: f64, parts: usize| ((elements.sqrt() / parts as f64).ceil() as usize).max(1) * parts;
        match row {
            "stream_ndvi" => {
                let n = side(8.0 * limit / 4.0, 16);
                let (shape, chunk) = (vec![n, n], vec![n / 16, n / 16]);
                let result = (shape.clone(), Some(chunk.clone()));
                Layout { names: &["red_u16", "nir_u16"], shape, chunk, result }
            }
            "rechunk" => {
                let n = side(6.0 * limit / 4.0, 160);
                let result = (vec![n, n], Some(vec![n, n / 160]));
                Layout { names: &["rechunk"], shape: vec![n, n], chunk: vec![n / 160, n], result }
            }
            _ => {
                let shrink = options.scale.sqrt().min(1.0);
                let lat = ((721.0 * shrink) as usize).max(1);
                let lon = ((576.0 * shrink) as usize).max(1);
                let times = ((6.0 * limit / (lat * lon * 4) as f64).ceil() as usize).max(2);
                let chunk = vec![times.div_ceil(240), lat, lon];
                Layout {
                    names: &["anomaly"],
                    shape: vec![times, lat, lon],
                    chunk,
                    result: (vec![times], None),
                }
            }
        }
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of all inputs.
    fn data(&self) -> usize {
        self.names.iter().map(|name| Input::named(name).dtype().size() * self.elements()).sum()
    }

    /// Bytes read once and written once, uncompressed.
    fn traffic(&self) -> f64 {
        (self.data() + 4 * self.result.0.iter().product::<usize>()) as f64
    }
}

fn input_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.zarr"))
}

/// Where a run leaves its result.
fn result_path(dir: &Path, row: &str) -> PathBuf {
    dir.join(format!("{row}.blockwise.{}", if row == "anomaly" { "npy" } else { "zarr" }))
}

/// Writes the inputs of a row that are not there already.
///
/// # Errors
/// If they cannot be written.
pub fn prepare(suite: &Suite, row: &str, dir: &Path) -> Result<(), Error> {
    let layout = Layout::of(row, &suite.options);
    for name in layout.names {
        let path = input_path(dir, name);
        if is_there(&path, name, &layout) {
            continue;
        }
        let grid = Grid::regular(&layout.shape, &layout.chunk);
        let array = Array::from_source(Arc::new(Generated::new(Input::named(name), grid)), Meta::default());
        let options = WriteOptions { overwrite: true, ..WriteOptions::default() };
        suite.session.store(&[(&array, array.zarr_sink(&path, options)?)])?;
    }
    Ok(())
}

/// Whether an input of an earlier run can be used again: layout, first and last element are what they should be.
fn is_there(path: &Path, name: &str, layout: &Layout) -> bool {
    let Ok(opened) = io::open(path) else { return false };
    let (source, input) = (opened.source, Input::named(name));
    let grid = Grid::regular(&layout.shape, &layout.chunk);
    let ends = [0, layout.elements() - 1].into_iter().all(|at| {
        let start = Grid::regular(&layout.shape, &vec![1; layout.shape.len()]).block(at);
        let want = match input.dtype() {
            U16 => f64::from(input.u16(at as u64)),
            _ => f64::from(input.f32(at as u64, start.start[0])),
        };
        source.read(&start).and_then(|b| b.to_scalar::<f64>()).is_ok_and(|got| got == want)
    });
    source.dtype() == input.dtype() && *source.grid() == grid && ends
}

/// Runs a row `repeat` times, each in a process of its own, and checks every result. Leaves what peers compare with in `dir`.
///
/// # Errors
/// If inputs or results cannot be read or written. A run that fails is in its line.
pub fn run(suite: &Suite, row: &str, dir: &Path) -> Result<Vec<Line>, Error> {
    let layout = Layout::of(row, &suite.options);
    let mib = |bytes: u64| bytes >> 20;
    let line = Line::new(row, "file", "blockwise", suite.options.threads)
        .with("data_mib", mib(layout.data() as u64))
        .with("memory_limit_mib", mib(suite.options.memory_limit.0));
    let (mut best, mut spent) = (f64::INFINITY, 0.0);
    let (mut peak, mut spilled, mut wrong) = (None, 0, None);
    for _ in 0..suite.options.repeat {
        let told = match child(&suite.options, row, dir) {
            Ok(told) => told,
            Err(why) => {
                remove(&result_path(dir, row));
                return Ok(vec![line.checked(Some(why))]);
            }
        };
        let seconds = told["seconds"].as_f64().unwrap_or(f64::NAN);
        best = best.min(seconds);
        spent += seconds;
        peak = peak.max(told["peak_rss_mib"].as_u64());
        spilled = told["bytes_spilled"].as_u64().unwrap_or(0);
        if wrong.is_none() {
            wrong = check(suite, row, &layout, dir)?;
        }
        remove(&result_path(dir, row));
        if spent > MAX_SECONDS {
            break;
        }
    }
    let line = line.took(best, Some(layout.traffic())).checked(wrong);
    Ok(vec![line.with("peak_rss_mib", peak).with("spilled_mib", mib(spilled))])
}

/// Removes a file or a directory of this suite.
pub fn remove(path: &Path) {
    // what is not there need not be removed
    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

/// The inputs of a row, for removal.
pub fn inputs(row: &str, dir: &Path, options: &Options) -> Vec<PathBuf> {
    Layout::of(row, options).names.iter().map(|name| input_path(dir, name)).collect()
}

/// Starts this program again for one run of a row; what it told.
pub fn child(options: &Options, row: &str, dir: &Path) -> Result<Value, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut process = Command::new(program)
        .args(["--child", row, "--threads", &options.threads.to_string()])
        .args(["--memory-limit", &options.memory_limit.0.to_string()])
        .args(["--scale", &options.scale.to_string()])
        .arg("--data")
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let start = Instant::now();
    loop {
        match process.try_wait().map_err(|e| e.to_string())? {
            Some(_) => break,
            None if start.elapsed() > TIMEOUT => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(format!("ended after {} s", TIMEOUT.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    let output = process.wait_with_output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // the last line; nothing else should be there
    let told = text.lines().last().and_then(|l| serde_json::from_str::<Value>(l).ok());
    match told {
        Some(told) if told.get("error").is_none() => Ok(told),
        Some(told) => Err(told["error"].as_str().unwrap_or("failed").to_owned()),
        None => Err(format!("the process ended with {}", output.status)),
    }
}

/// In the child: runs a row and prints what it took.
pub fn child_main(options: &Options, row: &str) -> i32 {
    let dir = options.data.clone().unwrap_or_default();
    #[cfg(feature = "parquet")]
    let told = if crate::tables::ROWS.contains(&row) { crate::tables::child_run } else { child_run };
    #[cfg(not(feature = "parquet"))]
    let told = child_run;
    let (told, status) = match told(options, row, &dir) {
        Ok(told) => (told, 0),
        Err(e) => (json!({ "error": e.to_string() }), 1),
    };
    println!("{told}");
    status
}

fn child_run(options: &Options, row: &str, dir: &Path) -> Result<Value, Error> {
    let session = Session::builder()
        .threads(options.threads)
        .memory_limit(options.memory_limit.0)
        .temp_dir(dir)
        .build()?;
    let layout = Layout::of(row, options);
    let out = result_path(dir, row);
    let overwrite = WriteOptions { overwrite: true, ..WriteOptions::default() };
    let start = Instant::now();
    let inputs = layout.names.iter().map(|name| open(input_path(dir, name)));
    let inputs = inputs.collect::<Result<Vec<_>, Error>>()?;
    let mut small = None;
    match row {
        "stream_ndvi" => {
            let (red, nir) = (inputs[0].cast(F32), inputs[1].cast(F32));
            let index = (&nir - &red) / (&nir + &red);
            session.store(&[(&index, index.zarr_sink(&out, overwrite)?)])?;
        }
        "rechunk" => {
            let columns = layout.result.1.as_ref().map_or(1, |c| c[1]);
            let turned = inputs[0].rechunk([-1, columns as isize]);
            session.store(&[(&turned, turned.zarr_sink(&out, overwrite)?)])?;
        }
        _ => {
            let anomaly = &inputs[0] - inputs[0].mean(0);
            small = Some(session.compute(&anomaly.mean([1, 2]))?);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let summary = session.last_summary().unwrap_or_default();
    let told = json!({
        "seconds": seconds,
        "peak_rss_mib": peak_rss_mib(),
        "bytes_spilled": summary.bytes_spilled,
        "peak_blocks_mib": summary.peak_memory >> 20,
    });
    if let Some(block) = small {
        write_npy(&session, &block, &out)?;
    }
    Ok(told)
}

/// Compares a result with the inputs as they were generated; what differs, in words. Leaves the values for peers.
fn check(suite: &Suite, row: &str, layout: &Layout, dir: &Path) -> Result<Option<String>, Error> {
    let opened = io::open(result_path(dir, row))?;
    let (shape, chunk) = &layout.result;
    let grid = opened.source.grid();
    if opened.source.dtype() != F32 || grid.shape().as_slice() != shape.as_slice() {
        let found = grid.shape();
        return Ok(Some(format!("the result is {} {found:?}, not f32 {shape:?}", opened.source.dtype())));
    }
    if let Some(chunk) = chunk
        && grid.max_block().as_slice() != chunk.as_slice()
    {
        return Ok(Some(format!("chunks are {:?}, not {chunk:?}", grid.max_block())));
    }
    let (got, want) = if row == "anomaly" {
        let got = opened.source.read(&Region::whole(shape))?.to_contiguous();
        (got.as_slice::<f32>()?.to_vec(), anomaly(suite, layout))
    } else {
        let places: Vec<[usize; 2]> =
            (0..SAMPLES).map(|k| [k * 7919 % shape[0], k * 104_729 % shape[1]]).collect();
        let inputs: Vec<Input> = layout.names.iter().map(|name| Input::named(name)).collect();
        let want = places.iter().map(|[r, c]| {
            let at = (r * shape[1] + c) as u64;
            match row {
                "stream_ndvi" => ndvi(inputs[0].u16(at), inputs[1].u16(at)),
                _ => f64::from(inputs[0].f32(at, *r)),
            }
        });
        (sampled(suite, &*opened.source, &places)?, want.collect())
    };
    let wrong = got.iter().zip(&want).position(|(g, w)| !close(f64::from(*g), *w, RTOL, ATOL));
    let wrong = wrong.map(|at| format!("value {at} is {}, not {}", got[at], want[at]));
    let expected = Block::from_vec(got);
    write_npy(&suite.session, &expected, &dir.join(format!("{row}.expected.npy")))?;
    Ok(wrong)
}

/// Elements of a file at these places; every chunk is read once.
fn sampled(
    suite: &Suite,
    source: &dyn blockwise::block::BlockSource,
    places: &[[usize; 2]],
) -> Result<Vec<f32>, Error> {
    let grid = source.grid();
    let mut by_chunk: BTreeMap<[usize; 2], Vec<usize>> = BTreeMap::new();
    for (k, place) in places.iter().enumerate() {
        by_chunk.entry([0, 1].map(|axis| grid.axes()[axis].chunk_at(place[axis]))).or_default().push(k);
    }
    let chunks: Vec<_> = by_chunk.into_iter().collect();
    let parts = suite.workers.fold(
        chunks.len(),
        1,
        || Ok(vec![]),
        |found: &mut Result<Vec<(usize, f32)>, Error>, range| {
            for (chunk, members) in &chunks[range] {
                let region = grid.region(chunk);
                match (source.read(&region), &mut *found) {
                    (Ok(block), Ok(found)) => found.extend(members.iter().map(|&k| {
                        let at = [0, 1].map(|axis| places[k][axis] - region.start[axis]);
                        (k, block.get(&at).map_or(f32::NAN, |v| v.as_f64() as f32))
                    })),
                    (Err(e), Ok(_)) => *found = Err(e),
                    (_, Err(_)) => {}
                }
            }
        },
    );
    let mut values = vec![f32::NAN; places.len()];
    for part in parts {
        for (k, v) in part? {
            values[k] = v;
        }
    }
    Ok(values)
}

/// Means over space of `x - x.mean(time)`: those of `x` minus their own mean.
fn anomaly(suite: &Suite, layout: &Layout) -> Vec<f64> {
    let times = layout.shape[0];
    let space = layout.elements() / times;
    let input = Input::named("anomaly");
    let mut means = vec![0.0; times];
    suite.workers.pieces(&mut means, 1, |t, mean| {
        // the season is the same everywhere in a map: taken out before, so that each element costs no sine
        let season =
            f64::from(input.f32((t * space) as u64, t)) - f64::from(input.f32((t * space) as u64, 0));
        let plain: f64 = (0..space).map(|i| f64::from(input.f32((t * space + i) as u64, 0))).sum();
        mean[0] = plain / space as f64 + season;
    });
    let mean = means.iter().sum::<f64>() / times as f64;
    means.iter().map(|m| m - mean).collect()
}
