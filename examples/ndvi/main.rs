//! A vegetation map of a satellite scene: two bands in, a georeferenced NDVI raster, a picture and statistics out, in one
//! pass over the file.
//!
//! ```text
//! cargo run --release --example ndvi -- [INPUT.tif] [--red 3] [--nir 4] [--out DIR] [--scale N]
//!                                       [--memory-limit 512MiB] [--threads N] [--trace FILE]
//! ```
//!
//! The normalised difference vegetation index compares the near infrared, which leaves reflect, with the red, which they
//! absorb: (nir - red) / (nir + red). Of reflectances, water is below 0, bare ground about 0.1, dense vegetation above 0.5. (The
//! scene that comes with the library holds a sensor's raw counts, for which all of it lies some 0.2 lower.)
//!
//! `--scale N` makes a mosaic of N x N copies of the scene, lazily: a way to see work on a raster that is larger than the
//! memory limit.

mod map;
mod options;

use blockwise::diagnostics::Trace;
use blockwise::meta::{Crs, Meta};
use blockwise::{io, ix, prelude::*};
use options::Options;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// NDVI above which a pixel counts as vegetated.
const VEGETATED: f32 = 0.3;
/// Widest picture of a map, in pixels.
const MAP_WIDTH: usize = 1500;

/// What is told about a map.
struct Statistics {
    mean: f64,
    std: f64,
    min: f32,
    max: f32,
    /// Pixels above [`VEGETATED`].
    vegetated: i64,
    /// Pixels that have a value.
    valid: i64,
}

fn main() -> ExitCode {
    let run = || -> Result<(), Box<dyn std::error::Error>> {
        match Options::parse(std::env::args().skip(1))? {
            Some(options) => make_map(&options),
            None => {
                println!("{}", options::USAGE);
                Ok(())
            }
        }
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ndvi: {e}");
            ExitCode::FAILURE
        }
    }
}

fn make_map(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let trace = Arc::new(Trace::new());
    let session = Arc::new(session(options, trace.clone())?);
    Session::cancel_on_interrupt(session.clone())?;
    std::fs::create_dir_all(&options.out)?;
    let (tif, png) = (options.out.join("ndvi.tif"), options.out.join("ndvi.png"));

    // nothing is read before `run` in `write_and_measure`
    let scene = mosaic(&open(&options.input)?, options.scale);
    let ndvi = ndvi(&scene, options.red, options.nir).check()?;
    println!("{}", describe(options, &scene));

    let outcome = write_and_measure(&session, &ndvi, &tif);
    if let Some(path) = &options.trace {
        trace.write(path)?;
    }
    let statistics = outcome?;
    let summary = session.last_summary().unwrap_or_default();
    print_statistics(&statistics);

    // the picture is drawn from what was written; of a large raster every n-th pixel will do
    let written = open(&tif)?;
    let step = written.shape()[2].div_ceil(MAP_WIDTH).max(1) as isize;
    let every = Ix::Slice(None, None, step);
    let pixels: ndarray::Array2<f32> = session.compute(&written.index(ix![0, every, every]))?.try_into()?;
    map::draw(&pixels, "Vegetation index (NDVI)", &caption(options, &scene)).write(&png)?;

    println!("\n{}\n{}\n\n{summary}", tif.display(), png.display());
    if let Some(path) = &options.trace {
        println!("trace of the run: {}", path.display());
    }
    Ok(())
}

fn session(options: &Options, trace: Arc<Trace>) -> Result<Session, Error> {
    let mut builder = Session::builder().progress();
    if let Some(limit) = &options.memory_limit {
        builder = builder.memory_limit(limit.as_str());
    }
    if let Some(threads) = options.threads {
        builder = builder.threads(threads);
    }
    if options.trace.is_some() {
        builder = builder.observer(trace);
    }
    builder.build()
}

/// `n` x `n` copies of a scene side by side. Its upper left corner stays where it is.
fn mosaic(scene: &Array, n: usize) -> Array {
    let row = concatenate(&vec![scene.clone(); n], 2);
    concatenate(&vec![row; n], 1)
}

/// The index of two bands (counted from 1) of a scene, NaN where either has no data or both are zero.
fn ndvi(scene: &Array, red: usize, nir: usize) -> Array {
    let band = |n: usize| scene.index(ix![n as isize - 1]);
    let (red, nir) = (band(red), band(nir));
    let (r, n) = (red.cast(F32), nir.cast(F32));
    let total = &n + &r;
    let mut missing = total.equal(0);
    if let Some(nodata) = scene.meta().nodata {
        missing = missing | red.equal(nodata) | nir.equal(nodata);
    }
    let ndvi = where_(missing, f32::NAN, (&n - &r) / &total);
    // georeference and names of the axes came along; the bands' names and nodata are not the index's
    let meta =
        Meta { name: Some("ndvi".into()), bands: vec![], nodata: Some(f64::NAN), ..ndvi.meta().clone() };
    ndvi.with_meta(meta)
}

/// Writes the file and computes the statistics while the pixels pass by.
fn write_and_measure(session: &Session, ndvi: &Array, path: &Path) -> Result<Statistics, Error> {
    // as the file holds it: one band, rows, columns
    let (ndvi, sink) = ndvi.geotiff_sink(path, io::geotiff::WriteOptions::default())?;
    let exact = || over(..).dtype(F64);
    let mut batch = Batch::new();
    batch.store(&ndvi, sink)?;
    let mean = batch.compute(&ndvi.nanmean(exact()))?;
    let std = batch.compute(&ndvi.nanstd(exact()))?;
    let min = batch.compute(&ndvi.nanmin(..))?;
    let max = batch.compute(&ndvi.nanmax(..))?;
    let vegetated = batch.compute(&ndvi.gt(VEGETATED).count_nonzero(..))?;
    let valid = batch.compute(&(!ndvi.isnan()).count_nonzero(..))?;

    let results = batch.run(session)?;
    let result = |n: usize| results[n].as_ref().ok_or_else(|| Error::internal("a result is missing"));
    Ok(Statistics {
        mean: result(mean)?.to_scalar()?,
        std: result(std)?.to_scalar()?,
        min: result(min)?.to_scalar()?,
        max: result(max)?.to_scalar()?,
        vegetated: result(vegetated)?.to_scalar()?,
        valid: result(valid)?.to_scalar()?,
    })
}

fn print_statistics(s: &Statistics) {
    println!("mean        {:>12.6}", s.mean);
    println!("std         {:>12.6}", s.std);
    println!("min         {:>12.6}", s.min);
    println!("max         {:>12.6}", s.max);
    println!("vegetated   {:>12.2} %  (NDVI > {VEGETATED})", 100.0 * s.vegetated as f64 / s.valid as f64);
    println!("valid       {:>12} pixels", s.valid);
}

/// What goes in, in two lines.
fn describe(options: &Options, scene: &Array) -> String {
    let Options { red, nir, .. } = options;
    format!("{}\n{}, red: band {red}, near infrared: band {nir}\n", options.input.display(), size(scene))
}

/// What the picture shows, in a line.
fn caption(options: &Options, scene: &Array) -> String {
    let name = options.input.file_name().unwrap_or_default().to_string_lossy();
    let n = options.scale;
    let copies = if n > 1 { format!("{n} x {n} times ") } else { String::new() };
    format!("{copies}{name}, {}", size(scene))
}

fn size(scene: &Array) -> String {
    let [.., rows, cols] = *scene.shape() else { return String::new() };
    let mut text = format!("{rows} x {cols} pixels");
    if let Some(georef) = &scene.meta().georef {
        let (width, height) = georef.pixel_size();
        let (width, height) = ((width * 1e4).round() / 1e4, (height * 1e4).round().abs() / 1e4);
        text += &if width == height { format!(" of {width}") } else { format!(" of {width} x {height}") };
        if let Crs::Epsg(code) = georef.crs {
            text += &format!(", EPSG:{code}");
        }
    }
    text
}
