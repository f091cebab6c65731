//! Partitions of rows, and functions of all rows of a partition or of a group.

use super::{
    DataFrame, DataType, Expr, FileFormat, GroupBy, IntoColumns, IntoSortKeys, Partition, RecordBatch,
    Schema, col, group_number, len, row_number, when,
};
use crate::error::{Error, Result};
use crate::expr::frame::registered;
use crate::expr::frame::{BatchFn, HASH, NUMBER, Node, Relation, Runs};
use crate::io::parts::PartsSink;
use crate::schedule::frame::HASHES;
use std::path::Path;
use std::sync::Arc;

impl Partition {
    /// So many rows each, as they come; the last may have fewer.
    pub fn rows(rows: usize) -> Partition {
        Partition::Rows(rows)
    }

    /// So many of about one length, as rows come. Reads the frame once more, to count its rows.
    pub fn count(partitions: usize) -> Partition {
        Partition::Count(partitions)
    }

    /// So many by a hash of keys: rows with equal keys are in one, one after the other in their order (Dask's `shuffle`).
    pub fn by_hash(keys: impl IntoColumns, partitions: usize) -> Partition {
        Partition::Hash(keys.into_columns(), partitions)
    }

    /// So many ranges of keys, of about one length: rows come in the order of the keys, and those with equal keys are in one (Dask's
    /// `set_index`). Reads the frame once more, to count its rows.
    pub fn by_range(keys: impl IntoSortKeys, partitions: usize) -> Partition {
        Partition::Range(keys.into_sort_keys(), partitions)
    }

    /// The frame in the order of partitions, with the number of each row's as a last column. Numbers never decrease; some may be absent.
    fn numbered(&self, df: &DataFrame) -> Result<DataFrame> {
        const ROW: &str = "\0row";
        let names = df.columns()?;
        let all = |number: Expr| names.iter().map(col).chain([number.alias(NUMBER)]).collect::<Vec<_>>();
        let rows = || df.with_columns(row_number().alias(ROW));
        Ok(match self {
            Partition::Rows(0) | Partition::Count(0) | Partition::Hash(_, 0) | Partition::Range(_, 0) => {
                return Err(Error::invalid("repartition", "partitions of no rows, or no partitions"));
            }
            Partition::Hash(keys, _) if keys.is_empty() => {
                return Err(Error::invalid("repartition", "a hash of no keys"));
            }
            Partition::Range(keys, _) if keys.is_empty() => {
                return Err(Error::invalid("repartition", "ranges of no keys"));
            }
            Partition::Rows(n) => {
                rows().select(all(col(ROW).floor_div(i64::try_from(*n).unwrap_or(i64::MAX))))
            }
            Partition::Count(n) => with_total(&rows(), df).select(all(of_total(col(ROW), *n))),
            Partition::Hash(keys, n) => {
                let hashed =
                    df.with_columns(Expr::call(&HASHES, keys.iter().cloned()).alias(HASH)).sort(HASH);
                // of so many ranges of hashes the one that it is in
                let number =
                    (col(HASH).floor_div(1u64 << 32) * (*n).min(1 << 31) as u64).floor_div(1u64 << 32);
                hashed.select(all(number.cast(DataType::Int64)))
            }
            Partition::Range(keys, n) => {
                let sorted = df.sort(keys.clone());
                let schema = sorted.schema()?;
                let mut names = vec![];
                let mut same = Expr::from(true);
                for (k, key) in keys.iter().enumerate() {
                    let before = format!("\0before {k}");
                    let is_float = key.expr.resolve(&schema)?.data_type.is_floating();
                    let (now, then) = (key.expr.clone(), col(&before));
                    let mut equal = now.eq_missing(&then);
                    if is_float {
                        // all NaN are one key
                        equal = equal.or(now.is_nan().and(then.is_nan()).fill_null(false));
                    }
                    same = same.and(equal);
                    names.push(key.expr.shift(1).alias(before));
                }
                names.push(row_number().alias(ROW));
                // where the rows with the same keys begin
                let start = when(col(ROW).eq(0).or(!same)).then(col(ROW)).otherwise(Expr::null());
                let started = sorted.with_columns(names).with_columns(start.forward_fill().alias(ROW));
                with_total(&started, df).select(all(of_total(col(ROW), *n)))
            }
        })
    }
}

const TOTAL: &str = "\0total";

/// The rows, each with the number of rows of a frame.
fn with_total(rows: &DataFrame, df: &DataFrame) -> DataFrame {
    rows.cross_join(&df.select(len().alias(TOTAL)))
}

/// The number of the partition, of so many of one length, that the row of a number is in.
fn of_total(row: Expr, partitions: usize) -> Expr {
    (row * partitions.min(1 << 31) as i64).floor_div(col(TOTAL))
}

fn with_partitions(r: &Relation, op: &'static str) -> Result<(Relation, Partition)> {
    r.with_partition_numbers().ok_or_else(|| {
        let message = "the frame has no partitions: call repartition(...) before, and between them nothing but filter, select and \
                       with_columns of rows by themselves";
        Error::invalid(op, message)
    })
}

impl DataFrame {
    /// The rows cut into partitions: what [`DataFrame::map_partitions`] works on and [`DataFrame::write_partitions`] writes, and one batch each if the frame is collected as it is (other
    /// operations cut batches as they like). [`filter`](DataFrame::filter), [`select`](DataFrame::select) and [`with_columns`](DataFrame::with_columns) leave rows in their
    /// partitions. Partitions without rows are absent.
    ///
    /// Rows stay in their order by [`Partition::rows`] and [`Partition::count`]; by [`Partition::by_hash`] they are sorted by
    /// the hash, those with equal keys in their order; by [`Partition::by_range`] they are sorted (and a [`sort`](DataFrame::sort) by the same keys after
    /// it does nothing). Nulls are a key; they come last, unless the key says otherwise.
    ///
    /// Groups by the keys of a hash (and others), and joins by them where both sides are partitioned so, by any number of partitions, move no rows
    /// again: they go by the order of the hashes, as they go by the order of the keys after ranges.
    ///
    /// Cost: of rows in their order one pass, otherwise a sort. Memory: the rows are kept, on disk where there are too many; one partition at a
    /// time is in memory.
    ///
    /// # Errors
    /// Carried: no partitions, or no keys. To the run: [`ErrorKind::MemoryLimit`](crate::error::ErrorKind::MemoryLimit) for a partition that memory does
    /// not hold.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, Partition};
    /// let df = DataFrame::from_columns([("k", vec![3, 1, 2, 1, 3].into())]);
    /// let lens = |by| -> blockwise::Result<Vec<usize>> {
    ///     Ok(df.repartition(by).collect()?.batches().iter().map(|b| b.num_rows()).collect())
    /// };
    /// assert_eq!(lens(Partition::rows(2))?, [2, 2, 1]);
    /// assert_eq!(lens(Partition::by_range("k", 2))?, [3, 2]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[doc(alias = "set_index")]
    #[doc(alias = "shuffle")]
    #[track_caller]
    pub fn repartition(&self, by: Partition) -> DataFrame {
        DataFrame::new(by.numbered(self).and_then(|rows| {
            let runs = Runs { name: "partitions".into(), partition: Some(by.clone()), function: None };
            rows.relation()?.runs(runs, self.relation()?.schema())
        }))
    }

    /// A function of all rows of every partition of a frame that was [repartitioned](DataFrame::repartition), run beside others. What it gives
    /// has the columns of `schema`, and as many rows as it likes; results come in the order of partitions. For a function of rows by themselves
    /// see [`DataFrame::map_batches`].
    ///
    /// # Errors
    /// Carried: if the frame has no partitions. To the run: those of the function, a panic in it, or other columns than those of `schema`.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, Partition, RecordBatch};
    /// let df = DataFrame::from_columns([("k", vec![3, 1, 2, 1, 3].into())]).repartition(Partition::rows(3));
    /// let firsts = df.map_partitions(df.schema()?.as_ref(), |rows: RecordBatch| Ok(rows.slice(0, 1)));
    /// assert_eq!(firsts.collect()?.values::<i32>("k")?, [Some(3), Some(1)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions(
        &self,
        schema: &Schema,
        function: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> DataFrame {
        self.then(|r| {
            mapped(&with_partitions(r, "map_partitions")?.0, "map_partitions", schema, Arc::new(function))
        })
    }

    /// The function of batches that is [registered](super::register_batches) under a name: as [`DataFrame::map_partitions`], and on a cluster
    /// its workers run it, if they registered it too. There partitions [by a hash](Partition::by_hash) are worked on by all workers, others
    /// where the result is put together.
    ///
    /// # Errors
    /// Carried: if the frame has no partitions, or nothing is registered under the name. To the run: as there.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, Partition, register_batches};
    /// register_batches("first row", |rows| Ok(rows.slice(0, 1)))?;
    /// let df = DataFrame::from_columns([("k", vec![3, 1, 2, 1, 3].into())]).repartition(Partition::rows(3));
    /// let firsts = df.map_partitions_registered("first row", df.schema()?.as_ref());
    /// assert_eq!(firsts.collect()?.values::<i32>("k")?, [Some(3), Some(1)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions_registered(&self, name: &str, schema: &Schema) -> DataFrame {
        self.then(|r| {
            let function = known("map_partitions_registered", name)?;
            mapped(&with_partitions(r, "map_partitions")?.0, "map_partitions", schema, function)
        })
    }

    /// The partitions of a frame that was [repartitioned](DataFrame::repartition), a row each: `partition` is its number, from 0, `rows` how many
    /// it has; of [ranges](Partition::by_range) also the keys of its first and its last row that are not null, `k_first` and `k_last` for a
    /// column `k` (Dask's divisions), `key0_first` and so on for other keys.
    ///
    /// # Errors
    /// Carried: if the frame has no partitions.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, Partition};
    /// let df = DataFrame::from_columns([("k", vec![3, 1, 2, 1, 3].into())]).repartition(Partition::by_range("k", 2));
    /// let parts = df.partitions().collect()?;
    /// assert_eq!(parts.values::<i64>("rows")?, [Some(3), Some(2)]);
    /// assert_eq!(parts.values::<i32>("k_last")?, [Some(2), Some(3)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn partitions(&self) -> DataFrame {
        DataFrame::new(self.relation().and_then(|r| {
            let (rows, by) = with_partitions(r, "partitions")?;
            let mut folds = vec![len().alias("rows")];
            if let Partition::Range(keys, _) = &by {
                for (k, key) in keys.iter().enumerate() {
                    // a column has its name, another key its number
                    let name = match key.expr.node() {
                        Node::Column(name) => name.to_string(),
                        _ => format!("key{k}"),
                    };
                    folds.push(key.expr.first().alias(format!("{name}_first")));
                    folds.push(key.expr.last().alias(format!("{name}_last")));
                }
            }
            let folded = DataFrame::new(Ok(rows)).group_by(NUMBER).agg(folds).sort(NUMBER);
            folded.drop([NUMBER]).with_row_number("partition").relation().cloned()
        }))
    }

    /// Runs the plan and writes a directory with a file for every partition of a frame that was [repartitioned](DataFrame::repartition):
    /// `part-00000.parquet` and so on, by the numbers of partitions, of which those without rows are absent. The directory is there when it is
    /// whole, and must not be there before; read, it gives the rows in the order of partitions. One file is open at a time.
    ///
    /// # Errors
    /// As [`DataFrame::write`]; if the frame has no partitions, or the directory is there.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, FileFormat, Partition, scan_json_lines};
    /// let dir = std::env::temp_dir().join(format!("blockwise-doc-parts-{}", std::process::id()));
    /// let df = DataFrame::from_columns([("k", vec![3i64, 1, 2, 1, 3].into())]);
    /// df.repartition(Partition::rows(2)).write_partitions(&dir, FileFormat::JsonLines)?;
    /// assert_eq!(scan_json_lines(dir.join("part-00001.jsonl")).num_rows()?, 2);
    /// assert_eq!(scan_json_lines(&dir).collect()?.values::<i64>("k")?.len(), 5);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn write_partitions(&self, dir: impl AsRef<Path>, format: FileFormat) -> Result<()> {
        let (rows, _) = with_partitions(self.relation()?, "write_partitions")?;
        let sink = PartsSink::create(dir, rows.schema(), format)?;
        DataFrame::new(Ok(rows)).write(Arc::new(sink))
    }

    /// The number of partitions of a frame that was [repartitioned](DataFrame::repartition): runs what is needed to count them.
    ///
    /// # Errors
    /// If the frame has no partitions, and those of the run.
    pub fn n_partitions(&self) -> Result<usize> {
        self.partitions().num_rows()
    }
}

impl GroupBy {
    /// A function of all rows of every group, in their order and with all columns, run beside others. What it gives has the columns of `schema`,
    /// and as many rows as it likes; results come in the order of the groups' first rows. Rows with a null key are in no group unless
    /// [kept](GroupBy::keep_nulls).
    ///
    /// Where [`agg`](GroupBy::agg), [`transform`](GroupBy::transform) or a function of rows in order [over](Expr::over) keys can say the same,
    /// that is faster: here rows are sorted by group first. Memory: a number for every group and the rows of a group at a time; what is sorted
    /// goes to disk where there is too much.
    ///
    /// # Errors
    /// To the run: those of the function, a panic in it, other columns than those of `schema`;
    /// [`ErrorKind::MemoryLimit`](crate::error::ErrorKind::MemoryLimit) for a group that memory does not hold.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, RecordBatch};
    /// let df = DataFrame::from_columns([("k", vec!["b", "a", "b", "b"].into()), ("v", vec![1, 2, 3, 4].into())]);
    /// // all but the first row of each group
    /// let rest = df.group_by("k").map_groups(df.schema()?.as_ref(), |rows: RecordBatch| Ok(rows.slice(1, rows.num_rows() - 1)));
    /// assert_eq!(rest.collect()?.values::<i32>("v")?, [Some(3), Some(4)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[doc(alias = "apply")]
    #[track_caller]
    pub fn map_groups(
        &self,
        schema: &Schema,
        function: impl Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static,
    ) -> DataFrame {
        self.map_known(schema, || Ok(Arc::new(function)))
    }

    /// The function of batches that is [registered](super::register_batches) under a name: as [`GroupBy::map_groups`]. On a cluster groups are
    /// numbered, and the function is run, where the result is put together; many groups are better repartitioned
    /// [by a hash](Partition::by_hash) of their keys, for [`DataFrame::map_partitions_registered`].
    ///
    /// # Errors
    /// Carried: if nothing is registered under the name. To the run: as there.
    #[track_caller]
    pub fn map_groups_registered(&self, name: &str, schema: &Schema) -> DataFrame {
        self.map_known(schema, || known("map_groups_registered", name))
    }

    #[track_caller]
    fn map_known(&self, schema: &Schema, function: impl FnOnce() -> Result<Arc<BatchFn>>) -> DataFrame {
        DataFrame::new(self.relation().and_then(|rows| {
            let keys = self.parts().1.to_vec();
            let number = if keys.is_empty() { Expr::from(0i64) } else { group_number().over(keys) };
            let numbered = DataFrame::new(Ok(rows)).with_columns(number.alias(NUMBER)).sort(NUMBER);
            mapped(numbered.relation()?, "map_groups", schema, function()?)
        }))
    }
}

fn known(op: &'static str, name: &str) -> Result<Arc<BatchFn>> {
    registered::batches(name).ok_or_else(|| registered::unknown(op, name))
}

fn mapped(rows: &Relation, name: &str, schema: &Schema, function: Arc<BatchFn>) -> Result<Relation> {
    rows.runs(Runs { name: name.into(), partition: None, function: Some(function) }, schema)
}
