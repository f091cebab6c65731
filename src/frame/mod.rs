//! Dataframes: tables with named columns, lazy, read and worked on in batches of rows inside the memory limit.
//!
//! A [`DataFrame`] is the plan of a table. Its columns are Arrow's; expressions over them ([`col`], [`Expr`]) compile to the same
//! kernels as those of arrays, nulls included, and groups are folded inside the kernel that computes what is folded.
//!
//! ```
//! use blockwise::frame::{DataFrame, col, len};
//! let flights = DataFrame::from_columns([
//!     ("carrier", vec!["UA", "AA", "UA", "B6"].into()),
//!     ("delay", vec![Some(12.0), None, Some(30.0), Some(-5.0)].into()),
//! ]);
//! let late = flights
//!     .group_by("carrier")
//!     .agg([col("delay").mean().alias("mean_delay"), len()])
//!     .sort(["carrier"]);
//! let table = late.collect()?;
//! assert_eq!(table.num_rows(), 3);
//! assert_eq!(table.values::<f64>("mean_delay")?, [None, Some(-5.0), Some(21.0)]);
//! # Ok::<(), blockwise::Error>(())
//! ```
//!
//! Columns are numbers, bools, text (plain or as categories: [`Expr::to_categorical`]), dates, times and durations; zones are those of the
//! IANA database.
//!
//! NaN is a float like others, not a null. Arithmetic and comparisons are those of IEEE 754, as in NumPy: `x > NaN` and `x == NaN` are false, `x != NaN` is
//! true. Where rows are put in order or told apart (sort, groups, joins, distinct rows, `top_k`, `n_unique`) all NaN are one value, the largest, and
//! `-0.0` is `0.0` (`top_k` and `bottom_k` put it below `0.0`). `sum`, `mean`, `var`, `median` and `quantile` are NaN if a value is; `min` and `max` leave NaN out unless there is nothing else.
//!
//! Decimals compute with decimals, integers and numbers written as text (`col("price").lt("9.99")`) by Arrow's rules: sums and differences have the
//! larger scale, products the sum of both, quotients four more digits than the dividend; a division by 0 is null, a result of more digits than
//! there can be an error. `%` has the sign of the dividend, as for decimals elsewhere (of integers and floats it has the divisor's, as in NumPy). With
//! floats they are floats. Their sum is a decimal of 38 or 76 digits; `mean`, `std`, `var`, `median` and `quantile`
//! are those of f64.

mod aggregate;
mod arrays;
mod columns;
mod files;
mod folds;
mod functions;
mod partitions;
mod reshape;
pub mod selectors;
mod series;
mod table;
mod text;
mod time;
mod user;
mod verbs;
mod windows;

pub use crate::expr::frame::functions::every::Every;
pub use crate::expr::frame::{
    AggOp, Argument, Expr, JoinKind, Literal, OverKey, Partition, Rolling, SortKey, UserFold, UserFunction,
    WindowOp, WindowSize, col, group_number, len, lit, random, register_batches, register_columns,
    register_fold, row_number, when,
};
pub use crate::io::csv::{BadRows, CsvOptions, CsvQuotes, CsvWriteOptions};
pub use crate::io::ipc::{IpcCompression, IpcOptions};
pub use crate::io::json::JsonLinesOptions;
#[cfg(feature = "parquet")]
pub use crate::io::parquet::{ParquetCompression, ParquetOptions};
pub use crate::io::sink::FileFormat;
pub use aggregate::GroupBy;
pub use arrow;
pub use arrow::array::RecordBatch;
pub use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
pub use columns::{Column, IntoColumns, IntoSortKeys};
#[cfg(feature = "parquet")]
pub use files::scan_parquet;
pub use files::{scan_csv, scan_ipc, scan_json_lines};
pub use functions::{concat_str, corr, cov, date, duration, register_elements, timestamp};
pub use selectors::Selector;
pub use series::Series;
pub use table::Table;
pub use text::{Categories, Text};
pub use time::Time;

use crate::block::{BatchSink, BatchSource, MemoryBatches};
use crate::error::{Error, Result};
use crate::expr::frame::Relation;
use crate::session::Session;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A lazy table. Cheap to clone; nothing runs before [`DataFrame::collect`], a writer, or another method that says so.
///
/// Methods never panic: a plan that cannot be (a column that is not there, types that do not mix) carries its error, with the caller's
/// line, to whatever runs it.
#[derive(Clone)]
pub struct DataFrame {
    relation: Result<Relation>,
}

impl DataFrame {
    /// The frame of a relation, or the error that the caller's line made.
    #[track_caller]
    pub(crate) fn new(relation: Result<Relation>) -> DataFrame {
        let at = Location::caller();
        DataFrame { relation: relation.map_err(|e| e.at(at)) }
    }

    /// What a source yields.
    #[track_caller]
    pub fn scan(source: Arc<dyn BatchSource>) -> DataFrame {
        DataFrame::new(Relation::scan(source))
    }

    /// Arrow batches of one schema, without a copy.
    ///
    /// # Errors
    /// Carried: if there is no batch, or their schemas differ.
    #[track_caller]
    pub fn from_batches(batches: impl IntoIterator<Item = RecordBatch>) -> DataFrame {
        let batches: Vec<RecordBatch> = batches.into_iter().collect();
        let Some(first) = batches.first() else {
            let message = "there is no batch, so no schema; give an empty batch for a table of no rows";
            return DataFrame::new(Err(Error::invalid("from_batches", message)));
        };
        let schema = first.schema();
        if let Some(other) = batches.iter().find(|b| b.schema().fields() != schema.fields()) {
            let message = format!("schemas differ: {schema:?} and {:?}", other.schema());
            return DataFrame::new(Err(Error::invalid("from_batches", message)));
        }
        DataFrame::scan(Arc::new(MemoryBatches::new(schema, batches)))
    }

    /// Columns by name; vectors of numbers, bools, text and options of them, arrays of `ndarray` and Arrow's arrays are columns.
    ///
    /// # Errors
    /// Carried: if lengths differ or a name comes twice.
    #[track_caller]
    pub fn from_columns<N: AsRef<str>>(columns: impl IntoIterator<Item = (N, Column)>) -> DataFrame {
        let columns: Vec<(String, ArrayRef)> =
            columns.into_iter().map(|(n, c)| (n.as_ref().to_owned(), c.0)).collect();
        let rows = columns.first().map_or(0, |(_, c)| c.len());
        if let Some((name, c)) = columns.iter().find(|(_, c)| c.len() != rows) {
            let message =
                format!("column {name:?} has {} values, column {:?} has {rows}", c.len(), columns[0].0);
            return DataFrame::new(Err(Error::invalid("from_columns", message)));
        }
        let fields: Vec<Field> =
            columns.iter().map(|(name, c)| Field::new(name, c.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let arrays = columns.into_iter().map(|(_, c)| c).collect();
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options);
        DataFrame::new(
            batch
                .map_err(|e| Error::invalid("from_columns", e.to_string()))
                .and_then(|batch| Relation::scan(Arc::new(MemoryBatches::new(schema, vec![batch])))),
        )
    }

    /// The logical plan.
    ///
    /// # Errors
    /// That which the frame carries.
    pub fn relation(&self) -> Result<&Relation> {
        self.relation.as_ref().map_err(Clone::clone)
    }

    /// Names and types of the columns; nothing runs.
    ///
    /// # Errors
    /// That which the frame carries.
    pub fn schema(&self) -> Result<SchemaRef> {
        Ok(self.relation()?.schema().clone())
    }

    /// Names of the columns; nothing runs.
    ///
    /// # Errors
    /// That which the frame carries.
    pub fn columns(&self) -> Result<Vec<String>> {
        Ok(self.schema()?.fields().iter().map(|f| f.name().clone()).collect())
    }

    /// Runs the plan on the global session and keeps its rows.
    ///
    /// # Errors
    /// That which the frame carries, and those of running it.
    pub fn collect(&self) -> Result<Table> {
        self.collect_with(Session::global()?)
    }

    /// Runs the plan on a session and keeps its rows.
    ///
    /// # Errors
    /// That which the frame carries, and those of running it.
    pub fn collect_with(&self, session: &Session) -> Result<Table> {
        let relation = self.relation()?;
        let batches = session.run_frame(relation)?;
        Ok(Table::new(relation.schema().clone(), batches))
    }

    /// Runs the plan on a session; its rows go to a sink as they come, in order.
    ///
    /// # Errors
    /// That which the frame carries, those of running it, and those of the sink; then nothing is at the destination.
    pub fn write_with(&self, sink: Arc<dyn BatchSink>, session: &Session) -> Result<()> {
        session.write_frame(self.relation()?, sink)
    }

    /// Runs the plan; the frame of the rows in memory.
    ///
    /// # Errors
    /// As [`DataFrame::collect`].
    pub fn persist(&self) -> Result<DataFrame> {
        Ok(self.collect()?.into_frame())
    }

    /// The number of rows: runs what is needed to count them.
    ///
    /// # Errors
    /// As [`DataFrame::collect`].
    pub fn num_rows(&self) -> Result<usize> {
        let table = self.select(len()).collect()?;
        Ok(table.values::<i64>("len")?.first().copied().flatten().unwrap_or(0) as usize)
    }

    /// The plan as written, as optimized, and as pipelines.
    ///
    /// # Errors
    /// That which the frame carries.
    pub fn explain(&self) -> Result<String> {
        let relation = self.relation()?;
        let better = crate::optimize::frame::optimize(relation)?;
        let plan = Session::global()?.plan_frame(relation, None)?;
        Ok(format!("as written\n{relation}\noptimized\n{better}\n{plan}"))
    }
}

/// The plan as written.
impl fmt::Debug for DataFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.relation {
            Ok(r) => fmt::Display::fmt(r, f),
            Err(e) => write!(f, "failed: {e}"),
        }
    }
}
