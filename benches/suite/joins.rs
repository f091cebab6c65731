//! Joins in memory: the five questions of db-benchmark (duckdblabs), 1e7 rows on the left.
//!
//! The left table has keys of three widths (id1 of N / 1e6 values, id2 of N / 1e3, id3 of N), id5, the text of id2, and v1. The right tables
//! have as many rows as values, keys that differ, and v2. One key in ten of the left has no partner. A result is checked by its number of
//! rows and the sums of v1 and v2.

use crate::Suite;
use crate::arrays::best_of;
use crate::oracle::close;
use crate::report::Line;
use blockwise::error::{Error, Result};
use blockwise::frame::arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringArray};
use blockwise::frame::arrow::datatypes::Int32Type;
use blockwise::frame::{Column, DataFrame, JoinKind, col, len, scan_parquet};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// The rows.
pub const ROWS: [&str; 5] = ["j1", "j2", "j3", "j4", "j5"];

/// Bits that look random.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    let x = (x ^ (x >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    x ^ (x >> 33)
}

/// Values of the key of a width, of which the right table has each once.
fn values(n: usize, width: usize) -> usize {
    (n / [1_000_000, 1_000, 1][width]).max(10)
}

/// The left key of row `i`: one value in ten is not there on the right.
fn key(i: usize, n: usize, width: usize) -> i32 {
    let m = values(n, width);
    (mix((i * 3 + width) as u64) % (m + m / 9) as u64) as i32
}

fn v1(i: usize) -> f64 {
    (mix(i as u64 + 77) % 10_000) as f64 / 100.0
}

fn v2(key: i32, width: usize) -> f64 {
    (mix(key as u64 * 5 + width as u64 + 1234) % 10_000) as f64 / 100.0
}

/// Text of keys as a dictionary.
fn text(keys: &[i32]) -> Column {
    let last = keys.iter().max().copied().unwrap_or(0);
    let values = StringArray::from_iter_values((0..=last).map(|k| format!("id{k}")));
    let keys = Int32Array::from_iter_values(keys.iter().copied());
    let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).expect("keys are in range");
    Column(Arc::new(array) as ArrayRef)
}

/// Writes a table unless it is there.
fn prepare(path: &Path, rows: usize, make: impl Fn() -> DataFrame) -> Result<DataFrame> {
    if scan_parquet(path).num_rows().ok() != Some(rows) {
        make().write_parquet(path)?;
    }
    Ok(scan_parquet(path))
}

/// Checks and times a row.
pub fn run(suite: &Suite, row: &str, dir: &Path) -> Result<Vec<Line>> {
    let options = &suite.options;
    let n = ((1e7 * options.scale) as usize).max(1000);
    let (width, on, kind) = match row {
        "j1" => (0, "id1", JoinKind::Inner),
        "j2" => (1, "id2", JoinKind::Inner),
        "j3" => (1, "id2", JoinKind::Left),
        "j4" => (1, "id5", JoinKind::Inner),
        _ => (2, "id3", JoinKind::Inner),
    };
    let left = prepare(&dir.join("join_x.parquet"), n, || {
        let ids = |width| (0..n).map(|i| key(i, n, width)).collect::<Vec<_>>();
        DataFrame::from_columns([
            ("id1", ids(0).into()),
            ("id2", ids(1).into()),
            ("id3", ids(2).into()),
            ("id5", text(&ids(1))),
            ("v1", (0..n).map(v1).collect::<Vec<_>>().into()),
        ])
    })?;
    let m = values(n, width);
    let right = prepare(&dir.join(format!("join_{width}.parquet")), m, || {
        // in no order
        let mut keys: Vec<i32> = (0..m as i32).collect();
        keys.sort_by_key(|&k| mix(k as u64));
        let v2s = keys.iter().map(|&k| v2(k, width)).collect::<Vec<_>>();
        let texts = text(&keys);
        DataFrame::from_columns([
            (format!("id{}", width + 1), keys.into()),
            ("id5".to_owned(), texts),
            ("v2".to_owned(), v2s.into()),
        ])
    })?;
    let (left, right) =
        (left.collect_with(&suite.session)?.into_frame(), right.collect_with(&suite.session)?.into_frame());
    let right = if on == "id5" { right.drop("id2") } else { right.drop("id5") };
    let plan = left.join(&right, [on], kind);
    let sums = |df: &DataFrame| -> Result<Vec<f64>> {
        let table = df.select([len(), col("v1").sum(), col("v2").sum()]).collect_with(&suite.session)?;
        ["len", "v1", "v2"].iter().map(|c| Ok(table.to_ndarray(c)?[0])).collect()
    };
    let got = sums(&plan.collect_with(&suite.session)?.into_frame())?;
    let mut want = vec![0.0; 3];
    for i in 0..n {
        let k = key(i, n, width);
        let partner = (k as usize) < m;
        if partner || kind == JoinKind::Left {
            want[0] += 1.0;
            want[1] += v1(i);
            want[2] += if partner { v2(k, width) } else { 0.0 };
        }
    }
    let same = got.iter().zip(&want).all(|(g, w)| close(*g, *w, 1e-9, 1e-6));
    let wrong = (!same).then(|| format!("rows and sums are {got:?}, not {want:?}"));
    let seconds = best_of(options.repeat, || (), || plan.collect_with(&suite.session))?;
    let line = Line::new(row, "fresh", "blockwise", options.threads).took(seconds, None).checked(wrong);
    let mut lines = vec![line.with("rows", n)];
    if options.peers {
        let path = dir.join(format!("{row}.expected.json"));
        let text = json!({ "row": row, "digest": want, "width": width, "on": on }).to_string();
        std::fs::write(&path, text).map_err(|e| Error::io("writing", &path, e))?;
        lines.extend(crate::peers::run(options, &["joins.py"], row, dir));
    }
    Ok(lines)
}
