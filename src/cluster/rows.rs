//! Frames on their way: the plan that the client and every worker make of a relation.

use super::layout::Layout;
use super::wire::frame::FrameJob;
use crate::block::batch::batch_bytes;
use crate::block::{BatchSink, PartSink};
use crate::error::{Error, Result};
use crate::expr::frame::Relation;
use crate::optimize::frame::optimize;
use crate::plan::frame::lower;
use crate::schedule::frame::{PART_BYTES, Spread, room_for_table};
use arrow::array::RecordBatch;
use std::sync::{Arc, Mutex};

/// The plan of a relation for workers with this memory limit; rows that go to a sink are the client's to write, unless it is one of parts.
///
/// # Errors
/// Those of planning.
pub fn spread(relation: &Relation, sink: Option<Arc<dyn BatchSink>>, limit: u64) -> Result<Spread> {
    let room = room_for_table(limit / 2);
    Spread::new(lower(&optimize(relation)?, sink, room)?, room)
}

/// A sink as plans for workers have it: where they cannot write its parts, the client writes them one after the other.
pub fn as_workers_see_it(sink: Arc<dyn BatchSink>) -> Arc<dyn BatchSink> {
    match sink.in_parts().map(|parts| parts.address()) {
        Some(None) => Arc::new(OneByOne { sink, state: Mutex::default() }),
        _ => sink,
    }
}

/// A sink of parts that takes rows in order.
#[derive(Debug)]
struct OneByOne {
    sink: Arc<dyn BatchSink>,
    state: Mutex<(u64, Option<Arc<dyn BatchSink>>, usize)>,
}

impl OneByOne {
    fn parts(&self) -> Result<&dyn PartSink> {
        self.sink.in_parts().ok_or_else(|| Error::internal("a sink without parts"))
    }
}

impl BatchSink for OneByOne {
    fn label(&self) -> String {
        self.sink.label()
    }

    fn write(&self, rows: &RecordBatch) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let (count, open, bytes) = &mut *state;
        if *bytes >= PART_BYTES
            && let Some(full) = open.take()
        {
            full.finish()?;
            *bytes = 0;
        }
        let part = match open {
            Some(part) => part.clone(),
            None => {
                *count += 1;
                open.insert(self.parts()?.part(*count - 1)?).clone()
            }
        };
        *bytes += batch_bytes(rows);
        part.write(rows)
    }

    fn finish(&self) -> Result<()> {
        let (count, open, _) = std::mem::take(&mut *self.state.lock().unwrap_or_else(|e| e.into_inner()));
        open.map_or(Ok(()), |part| part.finish())?;
        self.parts()?.publish(&(0..count).collect::<Vec<_>>())
    }
}

/// The layout of a job, as a worker makes it.
///
/// # Errors
/// As [`spread`].
pub fn layout(number: u64, job: &FrameJob) -> Result<Layout> {
    let spread = spread(&job.relation, job.sink.clone(), job.limit)?;
    Layout::of_rows(number, spread, job.limit, job.shards)
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Layout, Work};
    use super::super::worker::Host;
    use super::*;
    use crate::backend::Device;
    use crate::frame::{DataFrame, JoinKind, Partition, col, row_number, scan_csv, scan_ipc};
    use crate::schedule::frame::{Came, Role, Together, Way};
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    const LIMIT: u64 = 64 << 20;

    /// What stages made, without anyone between them.
    struct Pocket {
        pieces: Mutex<HashMap<(usize, usize, usize), Vec<u8>>>,
        counts: Vec<(usize, usize)>,
        read: AtomicUsize,
    }

    impl Came for Pocket {
        fn roots(&self, stage: usize) -> usize {
            self.counts[stage].0
        }

        fn count(&self, stage: usize) -> usize {
            self.counts[stage].1
        }

        fn len(&self, stage: usize, root: usize, number: usize) -> usize {
            self.pieces.lock().unwrap().get(&(stage, root, number)).map_or(0, Vec::len)
        }

        fn piece(&self, stage: usize, root: usize, number: usize) -> Result<Vec<u8>> {
            self.read.fetch_add(1, Relaxed);
            let pieces = self.pieces.lock().unwrap();
            Ok(pieces
                .get(&(stage, root, number))
                .unwrap_or_else(|| panic!("{stage} {root} {number}"))
                .clone())
        }
    }

    /// Three files of rows.
    fn table(dir: &Path) -> DataFrame {
        for file in 0..3 {
            let rows = 0..700i64;
            let key =
                rows.clone().map(|i| Some((i * 31 + file) % 97).filter(|k| k % 11 > 0)).collect::<Vec<_>>();
            let text = rows.map(|i| format!("text {}", (i * 7 + file) % 50)).collect::<Vec<_>>();
            let df = DataFrame::from_columns([("k", key.into()), ("t", text.into())]);
            df.write_csv(dir.join(format!("{file}.csv"))).unwrap();
        }
        scan_csv(dir.join("*.csv"))
    }

    /// Runs all stages of a frame in so many shards; `spoil` may change what they make.
    fn run(
        df: &DataFrame,
        shards: usize,
        spoil: &(dyn Fn(usize, Vec<u8>) -> Vec<u8> + Sync),
    ) -> Result<(Vec<RecordBatch>, Vec<usize>)> {
        run_with(LIMIT, df, shards, spoil).map(|(rows, reads, _)| (rows, reads))
    }

    /// The same with another limit; and how many bytes went to disk.
    fn run_with(
        limit: u64,
        df: &DataFrame,
        shards: usize,
        spoil: &(dyn Fn(usize, Vec<u8>) -> Vec<u8> + Sync),
    ) -> Result<(Vec<RecordBatch>, Vec<usize>, u64)> {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new("pocket".into(), limit, 2, dir.path().into(), &Device::cpu())?;
        let layout = Layout::of_rows(1, spread(df.relation()?, None, limit)?, limit, shards)?;
        let Work::Rows(spread) = &layout.work else { panic!("arrays") };
        let counts = (0..layout.stages()).map(|s| layout.counts(s)).collect();
        let pocket = Arc::new(Pocket { pieces: Mutex::default(), counts, read: AtomicUsize::new(0) });
        let came: Arc<dyn Came> = pocket.clone();
        let (cancel, mut reads, mut spilled) = (AtomicBool::new(false), vec![], 0);
        for stage in 0..layout.stages() {
            let together = Together::default();
            let give = |root, number, bytes| {
                pocket.pieces.lock().unwrap().insert((stage, root, number), spoil(stage, bytes));
                Ok(())
            };
            for (shard, units) in layout.ranges(stage).iter().enumerate() {
                let before = pocket.read.load(Relaxed);
                let did = host.run(limit, &cancel, Some(&together), |rt| {
                    let own = (shard, units.clone());
                    spread.run_stage(stage, own, layout.cuts(stage), (&came, &together), &give, rt)
                })?;
                spilled += did.bytes_spilled;
                reads.push(pocket.read.load(Relaxed) - before);
            }
        }
        let mut rows = vec![];
        host.run(limit, &cancel, None, |rt| {
            let (made, summary) = spread.run_end(&came, rt)?;
            rows = made;
            Ok(summary)
        })?;
        Ok((rows, reads, spilled))
    }

    /// Frames whose stages are of every kind.
    fn frames(df: &DataFrame) -> Vec<DataFrame> {
        let other = df.select([col("k"), col("t").alias("u")]);
        let few = DataFrame::from_columns([("t", vec!["text 1", "text 2"].into()), ("w", vec![1, 2].into())]);
        vec![
            df.join(&other, "k", JoinKind::Left).group_by("t").agg([col("u").max(), col("k").sum()]),
            df.join(&other, "k", JoinKind::Anti),
            df.sort(["t", "k"]),
            df.sort("k").join(&few, "t", JoinKind::Inner),
            df.join(&few, "t", JoinKind::Inner),
            df.group_by(["k", "t"]).agg([col("t").n_unique().alias("n")]),
            df.unique(["k"]),
        ]
    }

    /// Frames whose passes read files and what earlier passes left, and functions of partitions and groups.
    fn mixed(df: &DataFrame) -> Vec<DataFrame> {
        let schema = df.schema().unwrap();
        // of so many rows that nothing is known of them: what sorts them does so by ranges
        let unknown = df.map_batches(&schema, Ok);
        let sorted = unknown.sort(["t", "k"]);
        let groups = df.group_by("t").agg([(col("k") * 0.1).sum().alias("sum"), col("k").max()]);
        let both = DataFrame::concat([df, &sorted, &df.head(1000), df]);
        let sums = || [(col("k") * 0.1).sum().alias("sum"), col("t").first().alias("first")];
        let first = |rows: RecordBatch| Ok(rows.slice(0, 1.min(rows.num_rows())));
        vec![
            both.clone(),
            both.group_by("k").agg(sums()),
            both.select(sums()),
            both.sort(["k"]),
            both.map_batches(&schema, Ok).sort(["t"]).group_by("t").agg(sums()),
            both.unique(["k", "t"]),
            both.tail(3000),
            both.with_columns([row_number().alias("i"), col("k").cum_sum().alias("c")]),
            both.join(&groups, "t", JoinKind::Left),
            df.filter(col("k").lt(20)).join(&both, "k", JoinKind::Semi),
            df.select([col("t"), col("k").alias("n")]).join(&groups, "t", JoinKind::Full),
            unknown.repartition(Partition::by_hash("k", 9)).map_partitions(&schema, first),
            unknown.repartition(Partition::by_range("t", 5)).map_partitions(&schema, first),
            df.repartition(Partition::rows(333)).map_partitions(&schema, first),
            df.repartition(Partition::count(7)).partitions(),
            df.repartition(Partition::by_hash(["k", "t"], 3)).group_by(["k"]).agg(sums()),
            both.repartition(Partition::by_hash("t", 4)).map_partitions(&schema, Ok),
            df.group_by("k").map_groups(&schema, first),
            both.unpivot(["k"], ["t"]),
            df.group_by("t").agg(col("k").collect_list()).explode("k"),
            both.describe(),
        ]
    }

    #[test]
    fn stages_in_any_number_of_shards_give_the_local_runs_rows() {
        let dir = tempfile::tempdir().unwrap();
        let session = crate::Session::builder().memory_limit(LIMIT).threads(2).build().unwrap();
        let table = table(dir.path());
        for (n, df) in frames(&table).iter().chain(&mixed(&table)).enumerate() {
            let want = df.collect_with(&session).unwrap().to_batch().unwrap();
            for shards in [1, 3, 7] {
                let (rows, _) = run(df, shards, &|_, bytes| bytes).unwrap_or_else(|e| panic!("{n}: {e}"));
                let rows = arrow::compute::concat_batches(want.schema_ref(), &rows).unwrap();
                assert_eq!(rows.columns(), want.columns(), "frame {n}, {shards} shards");
            }
        }
    }

    /// Kept sides that earlier passes left, and of which no machine has room for all.
    #[test]
    fn spans_look_for_partners_in_parts_on_disk() {
        let limit = 24 << 20;
        let dir = tempfile::tempdir().unwrap();
        let df = table(dir.path());
        let schema = df.schema().unwrap();
        let twenty = |rows: RecordBatch| {
            let all = vec![&rows; 20];
            arrow::compute::concat_batches(rows.schema_ref(), all).map_err(|e| Error::internal(e.to_string()))
        };
        let many = DataFrame::concat([&df, &df.sort("k"), &df]).map_batches(&schema, twenty);
        let numbered = many.with_columns(row_number().alias("i")).rename([("t", "u"), ("k", "v")]);
        // a column that is wide enough
        let wide = numbered.with_columns(col("u").str().pad_start(60, '.').alias("w"));
        let left = |kind| df.join_on(&wide.select(["i", "u", "w"]), ["k"], ["i"], kind, "_right");
        // of several parts of a file are a span, elsewhere each is one
        for file in 0..5 {
            df.slice(file * 400, 400).write_ipc(dir.path().join(format!("{file}.arrow"))).unwrap();
        }
        let files = scan_ipc(dir.path().join("*.arrow"));
        let parts = files.join_on(&wide.select(["i", "u", "w"]), ["k"], ["i"], JoinKind::Left, "_right");
        let both = DataFrame::concat([&left(JoinKind::Left), &left(JoinKind::Inner)]);
        let sums = || [(col("k") * 0.1).sum().alias("sum"), col("u").first().alias("first")];
        let after_both = DataFrame::concat([&df, &df.sort("t")]);
        let frames = [
            left(JoinKind::Inner),
            left(JoinKind::Left).group_by("t").agg(sums()),
            left(JoinKind::Anti).sort(["t", "k"]),
            parts.clone(),
            parts.group_by("t").agg(sums()),
            both.select(sums()),
            both.unique(["k", "u"]),
            after_both.join_on(&wide.select(["i", "u", "w"]), ["k"], ["i"], JoinKind::Left, "_right"),
            // a second such side, of what the first one made
            left(JoinKind::Inner).join_on(&wide.select(["i", "v"]), ["k"], ["i"], JoinKind::Left, "_more"),
        ];
        let session = crate::Session::builder().memory_limit(limit).threads(2).build().unwrap();
        for (n, df) in frames.iter().enumerate() {
            let want = df.collect_with(&session).unwrap().to_batch().unwrap();
            for shards in [1, 3] {
                let made = run_with(limit, df, shards, &|_, bytes| bytes);
                let (rows, _, spilled) = made.unwrap_or_else(|e| panic!("{n}: {e}"));
                let rows = arrow::compute::concat_batches(want.schema_ref(), &rows).unwrap();
                assert_eq!(rows.columns(), want.columns(), "frame {n}, {shards} shards");
                assert!(spilled > 1 << 20, "frame {n}: {spilled} bytes on disk");
            }
        }
    }

    #[test]
    fn functions_of_partitions_by_a_hash_run_where_the_ranges_are() {
        let dir = tempfile::tempdir().unwrap();
        let df = &mixed(&table(dir.path()))[11];
        let spread = spread(df.relation().unwrap(), None, LIMIT).unwrap();
        let roles: Vec<Role> = spread.stages.iter().map(|s| s.role).collect();
        assert_eq!(roles, [Role::Spans, Role::Ranges, Role::Merge, Role::Spans]);
        assert_eq!((spread.way(2), spread.stages[3].units), (&Way::Same, spread.stages[2].units));
        let (_, reads) = run(df, 4, &|_, bytes| bytes).unwrap();
        // the part of a range is read by who has it, and one to know how many there are
        assert!(reads[12..].iter().sum::<usize>() <= 256 + 4 + 4, "{reads:?}");
    }

    #[test]
    fn what_shards_read_in_common_is_put_together_once() {
        let dir = tempfile::tempdir().unwrap();
        let df = &frames(&table(dir.path()))[4];
        let (_, reads) = run(df, 3, &|_, bytes| bytes).unwrap();
        // the kept side, of one shard, then the three of the other
        assert_eq!(reads, [0, 1, 0, 0]);
    }

    #[test]
    fn parts_that_workers_cannot_write_are_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let df = DataFrame::from_columns([("k", (0..10i64).collect::<Vec<_>>().into())]);
        let rows = df.collect().unwrap().to_batch().unwrap();
        let to = dir.path().join("parts");
        let format = crate::frame::FileFormat::JsonLines;
        let sink = format.create_directory(&to, rows.schema()).unwrap();
        // one that workers could write stays what it is
        assert!(as_workers_see_it(sink.clone()).in_parts().is_some());
        let state = Mutex::new((0, None, 0));
        let ordered = OneByOne { sink, state };
        ordered.write(&rows.slice(0, 4)).unwrap();
        ordered.state.lock().unwrap().2 = PART_BYTES;
        ordered.write(&rows.slice(4, 6)).unwrap();
        ordered.finish().unwrap();
        let read = |name: &str| std::fs::read_to_string(to.join(name)).unwrap().lines().count();
        assert_eq!((read("part-00000.jsonl"), read("part-00001.jsonl")), (4, 6));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_piece_makes_a_stage_panic() {
        let dir = tempfile::tempdir().unwrap();
        let mut failed = 0;
        let table = table(dir.path());
        for (n, df) in frames(&table).iter().chain(&mixed(&table)).enumerate() {
            for round in 0..40u64 {
                let state = Mutex::new(round * 77 + n as u64);
                let below = |n: usize| {
                    let mut state = state.lock().unwrap();
                    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (*state >> 33) as usize % n.max(1)
                };
                let spoil = |_: usize, mut bytes: Vec<u8>| {
                    if below(4) == 0 {
                        let at = below(bytes.len());
                        match below(3) {
                            0 => bytes[at] ^= 1 << below(8),
                            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
                            _ => bytes.truncate(at),
                        }
                    }
                    bytes
                };
                failed += usize::from(run(df, 3, &spoil).is_err());
            }
        }
        assert!(failed > 50, "{failed}");
    }
}
