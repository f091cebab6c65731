//! Frames in memory: the groupby questions of db-benchmark (duckdblabs), 1e7 rows, K = 100.
//!
//! Columns: id1, id2 text of K values, id3 text of N/K, id4, id5 of K integers, id6 of N/K, v1 of 1..5, v2 of 1..15, v3 in 0..100 with six
//! decimals. Text is dictionary-coded, for peers too where they have such a type. A result is checked by its number of rows and the sums
//! of its columns against loops over the rows with a hash map.

use crate::Suite;
use crate::arrays::best_of;
use crate::cli::Options;
use crate::oracle::close;
use crate::report::Line;
use blockwise::error::{Error, Result};
use blockwise::frame::arrow::array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, StringArray};
use blockwise::frame::arrow::datatypes::Int32Type;
use blockwise::frame::{Column, DataFrame, Table, col, corr, scan_parquet};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The rows.
pub const ROWS: [&str; 10] = ["q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q9", "q10"];

const K: usize = 100;
const TABLE: &str = "groupby.parquet";

/// The columns as numbers.
struct Data {
    ids: [Vec<i32>; 6],
    v1: Vec<i32>,
    v2: Vec<i32>,
    v3: Vec<f64>,
}

fn rows(options: &Options) -> usize {
    ((1e7 * options.scale) as usize).max(1000)
}

impl Data {
    fn new(n: usize) -> Data {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut below = move |m: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 16) % m as u64) as i32
        };
        let many = (n / K).max(1);
        let mut column = |m: usize| (0..n).map(|_| below(m)).collect::<Vec<i32>>();
        let ids = [column(K), column(K), column(many), column(K), column(K), column(many)];
        let (v1, v2) = (column(5), column(15));
        let v3 = column(100_000_000).into_iter().map(|v| f64::from(v) / 1e6).collect();
        let plus = |v: Vec<i32>| v.into_iter().map(|x| x + 1).collect();
        Data { ids: ids.map(plus), v1: plus(v1), v2: plus(v2), v3 }
    }

    fn frame(&self) -> DataFrame {
        let text = |codes: &[i32], width: usize| {
            let last = codes.iter().max().copied().unwrap_or(0);
            let values = StringArray::from_iter_values((1..=last).map(|c| format!("id{c:0width$}")));
            let keys = Int32Array::from_iter_values(codes.iter().map(|c| c - 1));
            let array =
                DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).expect("keys are in range");
            Column(Arc::new(array) as ArrayRef)
        };
        let int = |v: &Vec<i32>| Column::from(v.clone());
        DataFrame::from_columns([
            ("id1", text(&self.ids[0], 3)),
            ("id2", text(&self.ids[1], 3)),
            ("id3", text(&self.ids[2], 10)),
            ("id4", int(&self.ids[3])),
            ("id5", int(&self.ids[4])),
            ("id6", int(&self.ids[5])),
            ("v1", int(&self.v1)),
            ("v2", int(&self.v2)),
            ("v3", Column(Arc::new(Float64Array::from(self.v3.clone())))),
        ])
    }

    /// Number of groups, and the sums over groups of what the question asks for.
    fn expected(&self, row: &str) -> Vec<f64> {
        let by = |keys: &[usize]| -> Vec<Vec<u32>> {
            let mut groups: HashMap<[i32; 6], Vec<u32>> = HashMap::new();
            for i in 0..self.v1.len() {
                let mut key = [0; 6];
                keys.iter().for_each(|&k| key[k - 1] = self.ids[k - 1][i]);
                groups.entry(key).or_default().push(i as u32);
            }
            groups.into_values().collect()
        };
        let fold = |groups: Vec<Vec<u32>>, folds: &[&dyn Fn(&[u32]) -> f64]| {
            let sums = folds.iter().map(|f| groups.iter().map(|g| f(g)).sum::<f64>());
            std::iter::once(groups.len() as f64).chain(sums.collect::<Vec<_>>()).collect()
        };
        let ints = |v: &[i32], g: &[u32]| g.iter().map(|&i| f64::from(v[i as usize])).collect::<Vec<f64>>();
        let v3 = |g: &[u32]| g.iter().map(|&i| self.v3[i as usize]).collect::<Vec<f64>>();
        let sum = |v: Vec<f64>| v.iter().sum::<f64>();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (s1, s2, s3) =
            (|g: &[u32]| sum(ints(&self.v1, g)), |g: &[u32]| sum(ints(&self.v2, g)), |g: &[u32]| sum(v3(g)));
        let (m1, m2, m3) = (
            |g: &[u32]| mean(&ints(&self.v1, g)),
            |g: &[u32]| mean(&ints(&self.v2, g)),
            |g: &[u32]| mean(&v3(g)),
        );
        match row {
            "q1" => fold(by(&[1]), &[&s1]),
            "q2" => fold(by(&[1, 2]), &[&s1]),
            "q3" => fold(by(&[3]), &[&s1, &m3]),
            "q4" => fold(by(&[4]), &[&m1, &m2, &m3]),
            "q5" => fold(by(&[6]), &[&s1, &s2, &s3]),
            "q6" => fold(
                by(&[4, 5]),
                &[
                    &|g| {
                        let mut v = v3(g);
                        v.sort_by(f64::total_cmp);
                        (v[(v.len() - 1) / 2] + v[v.len() / 2]) / 2.0
                    },
                    &|g| {
                        let v = v3(g);
                        let m = mean(&v);
                        let m2: f64 = v.iter().map(|x| (x - m).powi(2)).sum();
                        if v.len() > 1 { (m2 / (v.len() - 1) as f64).sqrt() } else { 0.0 }
                    },
                ],
            ),
            "q7" => fold(
                by(&[3]),
                &[&|g| {
                    let (a, b) = (ints(&self.v1, g), ints(&self.v2, g));
                    a.into_iter().fold(f64::MIN, f64::max) - b.into_iter().fold(f64::MAX, f64::min)
                }],
            ),
            "q8" => {
                let two = |g: &[u32]| {
                    let mut v = v3(g);
                    v.sort_by(|a, b| b.total_cmp(a));
                    v.truncate(2);
                    v
                };
                let groups = by(&[6]);
                let rows = groups.iter().map(|g| g.len().min(2)).sum::<usize>();
                vec![rows as f64, groups.iter().map(|g| sum(two(g))).sum()]
            }
            "q9" => fold(
                by(&[2, 4]),
                &[&|g| {
                    let (a, b) = (ints(&self.v1, g), ints(&self.v2, g));
                    let (ma, mb) = (mean(&a), mean(&b));
                    let dot = |x: &[f64], mx: f64, y: &[f64], my: f64| {
                        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>()
                    };
                    let r = dot(&a, ma, &b, mb) / (dot(&a, ma, &a, ma) * dot(&b, mb, &b, mb)).sqrt();
                    if r.is_finite() { r * r } else { 0.0 }
                }],
            ),
            _ => fold(by(&[1, 2, 3, 4, 5, 6]), &[&s3, &|g| g.len() as f64]),
        }
    }
}

/// The question as a plan.
fn question(df: &DataFrame, row: &str) -> DataFrame {
    let sum = |v: &str| col(v).sum();
    let mean = |v: &str| col(v).mean();
    match row {
        "q1" => df.group_by("id1").agg(sum("v1")),
        "q2" => df.group_by(["id1", "id2"]).agg(sum("v1")),
        "q3" => df.group_by("id3").agg([sum("v1"), mean("v3")]),
        "q4" => df.group_by("id4").agg([mean("v1"), mean("v2"), mean("v3")]),
        "q5" => df.group_by("id6").agg([sum("v1"), sum("v2"), sum("v3")]),
        "q6" => {
            df.group_by(["id4", "id5"]).agg([col("v3").median().alias("median"), col("v3").std().alias("sd")])
        }
        "q7" => df.group_by("id3").agg((col("v1").max() - col("v2").min()).alias("range")),
        "q8" => df.group_by("id6").agg(col("v3").top_k(2)).explode("v3"),
        "q9" => df.group_by(["id2", "id4"]).agg(corr(col("v1"), col("v2")).pow(2).alias("r2")),
        _ => df
            .group_by(["id1", "id2", "id3", "id4", "id5", "id6"])
            .agg([sum("v3"), blockwise::frame::len().alias("count")]),
    }
}

/// Rows, and the sums of the columns that are not keys.
fn digest(table: &Table) -> Result<Vec<f64>> {
    let mut out = vec![table.num_rows() as f64];
    for field in table.schema().fields().iter().filter(|f| !f.name().starts_with("id")) {
        out.push(table.to_ndarray(field.name())?.iter().filter(|v| v.is_finite()).sum());
    }
    Ok(out)
}

/// Writes what the rows read, unless it is there.
fn prepare(options: &Options, dir: &Path) -> Result<Data> {
    let data = Data::new(rows(options));
    let path = dir.join(TABLE);
    let known = scan_parquet(&path).num_rows().is_ok_and(|n| n == rows(options));
    if !known {
        data.frame().write_parquet(&path)?;
    }
    Ok(data)
}

/// Checks and times a row.
pub fn run(suite: &Suite, row: &str, dir: &Path) -> Result<Vec<Line>> {
    let options = &suite.options;
    let want = prepare(options, dir)?.expected(row);
    let df = scan_parquet(dir.join(TABLE)).collect_with(&suite.session)?.into_frame();
    let plan = question(&df, row);
    let got = digest(&plan.collect_with(&suite.session)?)?;
    let same = got.len() == want.len() && got.iter().zip(&want).all(|(g, w)| close(*g, *w, 1e-9, 1e-6));
    let wrong = (!same).then(|| format!("rows and sums are {got:?}, not {want:?}"));
    let seconds = best_of(options.repeat, || (), || plan.collect_with(&suite.session))?;
    let line = Line::new(row, "fresh", "blockwise", options.threads).took(seconds, None).checked(wrong);
    let mut lines = vec![line.with("rows", rows(options))];
    if options.peers {
        let path = dir.join(format!("{row}.expected.json"));
        let text = json!({ "row": row, "digest": want }).to_string();
        std::fs::write(&path, text).map_err(|e| Error::io("writing", &path, e))?;
        lines.extend(crate::peers::run(options, &["frames.py"], row, dir));
    }
    Ok(lines)
}
