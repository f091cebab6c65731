//! Frames larger than memory: CSV and Parquet under a hard memory limit, each run in a process of its own.
//!
//! A table has 41 bytes a row in memory and 6 times the limit in all (times `--scale`): `k`, a number of its own for every row, in no
//! order; `id1`, one of 100 texts; `id6`, one of N / 100 numbers; `v1` in 1..5; `v3`, a float in 0..100. Another of as many rows has `k`
//! in another order and `w`.
//!
//! | row | work |
//! |---|---|
//! | csv_groupby | from CSV: by `id1` the sum of `v1` and the mean of `v3`, then by `id6` the sum of `v1` and of `v3` |
//! | parquet_groupby | the same from Parquet |
//! | groupby_many | by `k / 4`, so that there are a quarter as many groups as rows: the sum of `v3`, then the sum of its products with the key |
//! | sort_frame | Parquet to Parquet, by `k` |
//! | join_big | both tables by `k`, then the sum of `v3 * w` |
//!
//! Results are numbers that the generator knows, but for the sort, whose file is read: every `k` in its place, sums of the rest.

use crate::Suite;
use crate::cli::Options;
use crate::files::{MAX_SECONDS, child, remove};
use crate::joins::mix;
use crate::memory::peak_rss_mib;
use crate::oracle::close;
use crate::report::Line;
use blockwise::Session;
use blockwise::block::BatchSource;
use blockwise::error::Result;
use blockwise::frame::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use blockwise::frame::arrow::datatypes::{Float64Type, Int64Type, SchemaRef};
use blockwise::frame::{
    DataFrame, DataType, Field, RecordBatch, Schema, Table, col, len, scan_csv, scan_parquet,
};
use blockwise::io::parquet::ParquetSink;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The rows.
pub const ROWS: [&str; 5] = ["csv_groupby", "parquet_groupby", "groupby_many", "sort_frame", "join_big"];

/// Bytes of a row in memory.
const WIDTH: f64 = 41.0;

fn rows(options: &Options) -> u64 {
    ((6.0 * options.memory_limit.0 as f64 * options.scale / WIDTH) as u64).max(1000) / 400 * 400
}

/// The numbers below `n` in another order: a bijection of a power of two, walked until it is below `n`.
fn shuffled(i: u64, n: u64, seed: u64) -> u64 {
    let bits = 64 - (n - 1).leading_zeros();
    let mask = (1u64 << bits) - 1;
    let mut x = i;
    loop {
        for k in 0..3 {
            x = (x.wrapping_mul(0x9e37_79b9_7f4a_7c15 | 1).wrapping_add(mix(seed + k))) & mask;
            x ^= x >> (bits / 2).max(1);
        }
        if x < n {
            return x;
        }
    }
}

/// The values of row `i`: `k`, `id1`, `id6`, `v1`, `v3`.
fn row(i: u64, n: u64) -> (u64, u64, u64, u64, f64) {
    let h = mix(i + 1);
    (
        shuffled(i, n, 1),
        h % 100,
        (h >> 8) % (n / 100),
        1 + (h >> 40) % 5,
        ((h >> 20) % 100_000_000) as f64 / 1e6,
    )
}

/// The partner's value of key `k`.
fn weight(k: u64) -> f64 {
    (mix(k ^ 0xabcd) % 1000) as f64
}

/// A table as it is generated.
#[derive(Debug)]
struct Generated {
    schema: SchemaRef,
    rows: u64,
    right: bool,
}

const PART: u64 = 1 << 18;

impl Generated {
    fn new(rows: u64, right: bool) -> Generated {
        let field = |(name, t): &(&str, DataType)| Field::new(*name, t.clone(), true);
        let left = [
            ("k", DataType::Int64),
            ("id1", DataType::Utf8),
            ("id6", DataType::Int64),
            ("v1", DataType::Int64),
            ("v3", DataType::Float64),
        ];
        let columns =
            if right { vec![("k", DataType::Int64), ("w", DataType::Float64)] } else { left.to_vec() };
        Generated {
            schema: Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())),
            rows,
            right,
        }
    }
}

impl BatchSource for Generated {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        "generated".into()
    }

    fn parts(&self) -> usize {
        self.rows.div_ceil(PART) as usize
    }

    fn rows(&self) -> Option<usize> {
        Some(self.rows as usize)
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let n = self.rows;
        let all = part as u64 * PART..((part as u64 + 1) * PART).min(n);
        let ints = |f: &dyn Fn(u64) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(all.clone().map(|i| f(i) as i64)))
        };
        let floats = |f: &dyn Fn(u64) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(all.clone().map(f)))
        };
        let arrays: Vec<ArrayRef> = if self.right {
            let key = |i| shuffled(i, n, 99);
            vec![ints(&key), floats(&|i| weight(key(i)))]
        } else {
            let text = all.clone().map(|i| format!("id{:03}", 1 + row(i, n).1));
            vec![
                ints(&|i| row(i, n).0),
                Arc::new(StringArray::from_iter_values(text)),
                ints(&|i| row(i, n).2),
                ints(&|i| row(i, n).3),
                floats(&|i| row(i, n).4),
            ]
        };
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).and_then(|b| b.project(columns));
        each(batch.map_err(|e| blockwise::Error::internal(e.to_string()))?).map(drop)
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        2 * PART as usize * WIDTH as usize
    }
}

fn csv(dir: &Path) -> PathBuf {
    dir.join("table.csv")
}

fn left(dir: &Path) -> PathBuf {
    dir.join("table.parquet")
}

fn right(dir: &Path) -> PathBuf {
    dir.join("partner.parquet")
}

fn sorted(dir: &Path) -> PathBuf {
    dir.join("sorted.parquet")
}

/// The inputs of a row, for removal.
pub fn inputs(row: &str, dir: &Path) -> Vec<PathBuf> {
    match row {
        "csv_groupby" => vec![csv(dir)],
        "join_big" => vec![left(dir), right(dir)],
        _ => vec![left(dir)],
    }
}

/// Writes the inputs of a row that are not there already.
fn prepare(options: &Options, row: &str, dir: &Path) -> Result<()> {
    for path in inputs(row, dir) {
        let is_right = path == right(dir);
        let frame = DataFrame::scan(Arc::new(Generated::new(rows(options), is_right)));
        if path == csv(dir) {
            let first = Generated::new(rows(options), false);
            let mut line = String::new();
            first.read(0, &[0, 1, 2, 3, 4], &mut |b| {
                let k = b.column(0).as_primitive::<Int64Type>();
                line = format!("{},{}", k.value(0), b.column(1).as_string::<i32>().value(0));
                Ok(false)
            })?;
            let known = std::fs::File::open(&path).ok().and_then(|f| {
                use std::io::BufRead;
                std::io::BufReader::new(f).lines().nth(1)?.ok()
            });
            let size = std::fs::metadata(&path).map_or(0, |m| m.len());
            if !(known.is_some_and(|k| k.starts_with(&line)) && size > rows(options) * 20) {
                frame.write_csv(&path)?;
            }
        } else if scan_parquet(&path).num_rows().ok() != Some(rows(options) as usize) {
            frame.write_parquet(&path)?;
        }
    }
    Ok(())
}

/// What a row's numbers are.
fn expected(options: &Options, name: &str) -> Vec<f64> {
    let n = rows(options);
    let all = (0..n).map(|i| row(i, n));
    match name {
        "csv_groupby" | "parquet_groupby" => {
            let (mut by1, mut by6) = (vec![(0u64, 0u64, 0.0); 100], vec![false; (n / 100) as usize]);
            let (mut v1, mut v3) = (0, 0.0);
            for (_, id1, id6, a, b) in all {
                let g = &mut by1[id1 as usize];
                *g = (g.0 + 1, g.1 + a, g.2 + b);
                by6[id6 as usize] = true;
                v1 += a;
                v3 += b;
            }
            let means: f64 = by1.iter().filter(|g| g.0 > 0).map(|g| g.2 / g.0 as f64).sum();
            let groups = by1.iter().filter(|g| g.0 > 0).count() as f64;
            let many = by6.iter().filter(|b| **b).count() as f64;
            vec![groups, v1 as f64, means, many, v1 as f64, v3]
        }
        "groupby_many" => {
            let (sum, weighted) =
                all.fold((0.0, 0.0), |(s, w), (k, _, _, _, v)| (s + v, w + v * ((k / 4) % 97) as f64));
            vec![n.div_ceil(4) as f64, sum, weighted]
        }
        "sort_frame" => vec![n as f64, all.map(|r| r.4).sum()],
        _ => vec![n as f64, all.map(|r| r.4 * weight(r.0)).sum()],
    }
}

/// In the child: runs a row; its numbers, what it took and held.
pub fn child_run(options: &Options, row: &str, dir: &Path) -> Result<Value> {
    let session = Session::builder()
        .threads(options.threads)
        .memory_limit(options.memory_limit.0)
        .temp_dir(dir)
        .build()?;
    let mut spilled = 0;
    let mut collect = |df: &DataFrame| -> Result<Table> {
        let table = df.collect_with(&session)?;
        spilled += session.last_summary().unwrap_or_default().bytes_spilled;
        Ok(table)
    };
    let sums = |table: &Table| -> Result<Vec<f64>> {
        let names = table.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        names.iter().map(|name| Ok(table.to_ndarray(name)?.sum())).collect()
    };
    let start = Instant::now();
    let digest = match row {
        "csv_groupby" | "parquet_groupby" => {
            let df = if row == "csv_groupby" { scan_csv(csv(dir)) } else { scan_parquet(left(dir)) };
            let few = df.group_by("id1").agg([col("v1").sum(), col("v3").mean()]);
            let many = df.group_by("id6").agg([col("v1").sum(), col("v3").sum()]);
            let fold = |df: &DataFrame| df.select([len(), col("v1").sum(), col("v3").sum()]);
            let mut digest = sums(&collect(&fold(&few))?)?;
            digest.extend(sums(&collect(&fold(&many))?)?);
            digest
        }
        "groupby_many" => {
            let df = scan_parquet(left(dir));
            let groups = df.group_by(col("k").floor_div(4).alias("g")).agg(col("v3").sum());
            let weighted = (col("v3") * (col("g") % 97)).sum().alias("weighted");
            sums(&collect(&groups.select([len(), col("v3").sum(), weighted]))?)?
        }
        "sort_frame" => {
            let df = scan_parquet(left(dir)).sort("k");
            let sink = ParquetSink::create(sorted(dir), df.schema()?, Default::default())?;
            df.write_with(Arc::new(sink), &session)?;
            spilled = session.last_summary().unwrap_or_default().bytes_spilled;
            vec![]
        }
        _ => {
            let pairs = scan_parquet(left(dir)).join(
                &scan_parquet(right(dir)),
                ["k"],
                blockwise::frame::JoinKind::Inner,
            );
            sums(&collect(&pairs.select([len(), (col("v3") * col("w")).sum()]))?)?
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    Ok(
        json!({ "seconds": seconds, "peak_rss_mib": peak_rss_mib(), "bytes_spilled": spilled, "digest": digest }),
    )
}

/// The numbers of the sorted file: rows in their places, and the sum of a column.
fn of_sorted(path: &Path) -> Result<Vec<f64>> {
    let source = blockwise::io::parquet::ParquetSource::open(path)?;
    let columns = [source.schema().index_of("k"), source.schema().index_of("v3")].map(|c| c.unwrap_or(0));
    let (mut next, mut right, mut sum) = (0, 0u64, 0.0);
    for part in 0..source.parts() {
        source.read(part, &columns, &mut |rows| {
            for &k in rows.column(0).as_primitive::<Int64Type>().values() {
                right += u64::from(k == next);
                next += 1;
            }
            sum += rows.column(1).as_primitive::<Float64Type>().values().iter().sum::<f64>();
            Ok(true)
        })?;
    }
    Ok(vec![right as f64, sum])
}

/// Runs a row `repeat` times, each in a process of its own, and checks every result.
///
/// # Errors
/// If inputs cannot be written. A run that fails is in its line.
pub fn run(suite: &Suite, row: &str, dir: &Path) -> Result<Vec<Line>> {
    let options = &suite.options;
    prepare(options, row, dir)?;
    let want = expected(options, row);
    let n = rows(options);
    let line = Line::new(row, "file", "blockwise", options.threads)
        .with("rows", n)
        .with("data_mib", (n as f64 * WIDTH) as u64 >> 20)
        .with("memory_limit_mib", options.memory_limit.0 >> 20);
    let (mut best, mut spent, mut peak, mut spilled, mut wrong) = (f64::INFINITY, 0.0, None, 0, None);
    for _ in 0..options.repeat {
        let told = match child(options, row, dir) {
            Ok(told) => told,
            Err(why) => return Ok(vec![line.checked(Some(why))]),
        };
        let seconds = told["seconds"].as_f64().unwrap_or(f64::NAN);
        best = best.min(seconds);
        spent += seconds;
        peak = peak.max(told["peak_rss_mib"].as_u64());
        spilled = told["bytes_spilled"].as_u64().unwrap_or(0);
        let numbers =
            told["digest"].as_array().map(|a| a.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        let got = if row == "sort_frame" { of_sorted(&sorted(dir))? } else { numbers.unwrap_or_default() };
        remove(&sorted(dir));
        let same = got.len() == want.len() && got.iter().zip(&want).all(|(g, w)| close(*g, *w, 1e-9, 1e-6));
        if !same {
            wrong = Some(format!("numbers are {got:?}, not {want:?}"));
        }
        if spent > MAX_SECONDS {
            break;
        }
    }
    let line = line.took(best, None).checked(wrong);
    let mut lines = vec![line.with("peak_rss_mib", peak).with("spilled_mib", spilled >> 20)];
    let path = dir.join(format!("{row}.expected.json"));
    let text = json!({ "row": row, "digest": want }).to_string();
    std::fs::write(&path, text).map_err(|e| blockwise::Error::io("writing", &path, e))?;
    if options.peers {
        lines.extend(crate::peers::run(options, &["tables.py"], row, dir));
    }
    Ok(lines)
}
