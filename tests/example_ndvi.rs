//! The pipeline of the example `ndvi` on the bundled scene, against NumPy.

#![cfg(feature = "geotiff")]

use blockwise::diagnostics::Trace;
use blockwise::io::geotiff::WriteOptions;
use blockwise::meta::{Crs, Meta};
use blockwise::{ix, prelude::*};
use std::sync::Arc;

const SCENE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/L7_ETMs.tif");

// Made once with NumPy 2 and tifffile:
//
//     import numpy as np, tifffile
//     scene = tifffile.imread("examples/data/L7_ETMs.tif")                 # (rows, columns, bands)
//     red, nir = scene[..., 2].astype("f4"), scene[..., 3].astype("f4")
//     ndvi = (nir - red) / (nir + red)
//     print(np.mean(ndvi, dtype="f8"), np.std(ndvi, dtype="f8"), ndvi.min(), ndvi.max())
//     print(np.count_nonzero(ndvi > np.float32(0.3)), np.count_nonzero(~np.isnan(ndvi)))
const MEAN: f64 = -0.0643246380500994;
const STD: f64 = 0.3206644526718489;
const MIN: f32 = -0.75342464;
const MAX: f32 = 0.58666664;
const VEGETATED: i64 = 18_639;
const VALID: i64 = 122_848;

fn ndvi(scene: &Array) -> Array {
    let (red, nir) = (scene.index(ix![2]).cast(F32), scene.index(ix![3]).cast(F32));
    let total = &nir + &red;
    let ndvi = where_(total.equal(0), f32::NAN, (&nir - &red) / &total);
    let meta =
        Meta { nodata: Some(f64::NAN), bands: vec![], name: Some("ndvi".into()), ..ndvi.meta().clone() };
    ndvi.with_meta(meta)
}

fn mosaic(scene: &Array, n: usize) -> Array {
    concatenate(&vec![concatenate(&vec![scene.clone(); n], 2); n], 1)
}

#[test]
fn file_and_statistics_from_one_pass() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ndvi.tif");
    let trace = Arc::new(Trace::new());
    let session = Session::builder().threads(2).observer(trace.clone()).build().unwrap();

    let scene = open(SCENE).unwrap();
    let (ndvi, sink) = ndvi(&scene).geotiff_sink(&path, WriteOptions::default()).unwrap();
    let exact = || over(..).dtype(F64);
    let mut batch = Batch::new();
    batch.store(&ndvi, sink).unwrap();
    let wanted = [
        ndvi.nanmean(exact()),
        ndvi.nanstd(exact()),
        ndvi.nanmin(..),
        ndvi.nanmax(..),
        ndvi.gt(0.3).count_nonzero(..),
        (!ndvi.isnan()).count_nonzero(..),
    ];
    let places = wanted.each_ref().map(|w| batch.compute(w).unwrap());
    assert!(!path.exists());
    let results = batch.run(&session).unwrap();
    let [mean, std, min, max, vegetated, valid] = places.map(|n| results[n].clone().unwrap());

    assert!((mean.to_scalar::<f64>().unwrap() - MEAN).abs() < 1e-6);
    assert!((std.to_scalar::<f64>().unwrap() - STD).abs() < 1e-6);
    assert_eq!(min.to_scalar::<f32>().unwrap(), MIN);
    assert_eq!(max.to_scalar::<f32>().unwrap(), MAX);
    assert_eq!(vegetated.to_scalar::<i64>().unwrap(), VEGETATED);
    assert_eq!(valid.to_scalar::<i64>().unwrap(), VALID);

    // the two bands were read once, the file written once, and nothing else
    let summary = session.last_summary().unwrap();
    let [_, rows, cols] = *scene.shape() else { panic!() };
    assert_eq!(summary.bytes_read, 2 * (rows * cols) as u64, "{summary}");
    assert_eq!(summary.bytes_written, 4 * (rows * cols) as u64, "{summary}");
    assert_eq!(summary.bytes_spilled, 0);
    assert!(summary.to_string().contains("read       239.9 KiB"), "{summary}");

    // the file holds the same numbers and lies at the same place
    let written = open(&path).unwrap();
    assert_eq!((written.shape(), written.dtype()), ([1, rows, cols].as_slice(), F32));
    let meta = written.meta();
    let georef = meta.georef.as_ref().unwrap();
    assert_eq!(georef.crs, Crs::Epsg(31985));
    assert_eq!(Some(georef), scene.meta().georef.as_ref());
    assert!(meta.nodata.unwrap().is_nan());
    assert_eq!(meta.bands, [Arc::from("ndvi")]);
    let again = session.compute(&written.nanmean(exact())).unwrap();
    assert_eq!(again.to_scalar::<f64>().unwrap().to_bits(), mean.to_scalar::<f64>().unwrap().to_bits());
}

#[test]
fn a_mosaic_streams_inside_a_small_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mosaic.tif");
    let scene = open(SCENE).unwrap();
    let mosaic = mosaic(&scene, 4);
    assert_eq!(mosaic.meta().georef, scene.meta().georef);
    let (ndvi, sink) = ndvi(&mosaic).geotiff_sink(&path, WriteOptions::default()).unwrap();
    let limit = 32 << 20;
    let session = Session::builder().threads(2).memory_limit(limit).build().unwrap();
    let mut batch = Batch::new();
    batch.store(&ndvi, sink).unwrap();
    let mean = batch.compute(&ndvi.nanmean(over(..).dtype(F64))).unwrap();
    let results = batch.run(&session).unwrap();
    let mean = results[mean].as_ref().unwrap().to_scalar::<f64>().unwrap();
    assert!((mean - MEAN).abs() < 1e-9, "copies change no mean: {mean}");
    assert_eq!(session.last_summary().unwrap().bytes_written, 16 * 4 * VALID as u64);
}

#[test]
fn a_cancelled_run_leaves_no_file() {
    struct CancelAtFirstTask(std::sync::OnceLock<std::sync::Weak<Session>>);
    impl blockwise::event::Observer for CancelAtFirstTask {
        fn event(&self, event: &blockwise::event::Event) {
            if let blockwise::event::Event::TaskFinished { .. } = event
                && let Some(session) = self.0.get().and_then(std::sync::Weak::upgrade)
            {
                session.cancel();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let observer = Arc::new(CancelAtFirstTask(Default::default()));
    let session = Arc::new(Session::builder().threads(1).observer(observer.clone()).build().unwrap());
    observer.0.set(Arc::downgrade(&session)).unwrap();
    let (ndvi, sink) = ndvi(&mosaic(&open(SCENE).unwrap(), 4))
        .geotiff_sink(dir.path().join("ndvi.tif"), WriteOptions::default())
        .unwrap();
    let e = session.store(&[(&ndvi, sink)]).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Cancelled), "{e}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
