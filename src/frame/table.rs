//! Rows in memory: what a frame's run leaves.

use super::{DataFrame, RecordBatch};
use crate::block::MemoryBatches;
use crate::dtype::{Element, for_dtype};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{find, is_text, kernel_dtype};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, concat, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use std::fmt;
use std::sync::Arc;

/// Rows in memory, as Arrow batches of one schema.
#[derive(Clone, Debug)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    pub(super) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Table {
        Table { schema, batches }
    }

    /// Names and types of the columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The batches, in order.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The rows as one batch; copies if they are several.
    ///
    /// # Errors
    /// If a text column would have more than 2 GiB.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        match self.batches.as_slice() {
            [one] => Ok(one.clone()),
            many => concat_batches(&self.schema, many).map_err(|e| Error::invalid("to_batch", e.to_string())),
        }
    }

    /// A column as one Arrow array; copies if there are several batches.
    ///
    /// # Errors
    /// [`ErrorKind::Column`] if there is none of this name.
    pub fn column(&self, name: &str) -> Result<ArrayRef> {
        let at = find(&self.schema, name)?;
        let parts: Vec<&dyn Array> = self.batches.iter().map(|b| b.column(at).as_ref()).collect();
        match parts.as_slice() {
            [] => Ok(arrow::array::new_empty_array(self.schema.field(at).data_type())),
            [_] => Ok(self.batches[0].column(at).clone()),
            many => concat(many).map_err(|e| Error::invalid("column", e.to_string())),
        }
    }

    /// The values of a column of numbers or bools; `None` where null. Dates, times and durations are the integers that they are stored
    /// in.
    ///
    /// # Errors
    /// [`ErrorKind::Column`] if there is none of this name, [`ErrorKind::ColumnType`] if it is of another type than `T`.
    pub fn values<T: Element>(&self, name: &str) -> Result<Vec<Option<T>>> {
        let array = self.column(name)?;
        let dtype = kernel_dtype(array.data_type());
        if dtype != Some(T::DTYPE) {
            return Err(ErrorKind::ColumnType {
                expression: name.into(),
                message: format!("is {}, not {}; cast it before", array.data_type(), T::DTYPE),
            }
            .into());
        }
        let block = crate::block::batch::values(&array, T::DTYPE);
        let nulls = array.logical_nulls();
        let values = block.as_slice::<T>()?.iter().enumerate();
        Ok(values.map(|(i, &v)| nulls.as_ref().is_none_or(|n| n.is_valid(i)).then_some(v)).collect())
    }

    /// The values of a column of text; `None` where null.
    ///
    /// # Errors
    /// [`ErrorKind::Column`] if there is none of this name, [`ErrorKind::ColumnType`] if it is no text.
    pub fn texts(&self, name: &str) -> Result<Vec<Option<String>>> {
        let array = self.column(name)?;
        if !is_text(array.data_type()) {
            let message = format!("is {}, not text; cast it before", array.data_type());
            return Err(ErrorKind::ColumnType { expression: name.into(), message }.into());
        }
        let array = cast(&array, &DataType::LargeUtf8).map_err(|e| Error::internal(e.to_string()))?;
        Ok(array.as_string::<i64>().iter().map(|v| v.map(str::to_owned)).collect())
    }

    /// A column of numbers as an `ndarray` array of floats, NaN where null.
    ///
    /// # Errors
    /// [`ErrorKind::Column`] if there is none of this name, [`ErrorKind::ColumnType`] if it holds no numbers.
    pub fn to_ndarray(&self, name: &str) -> Result<ndarray::Array1<f64>> {
        let array = self.column(name)?;
        let Some(dtype) = kernel_dtype(array.data_type()) else {
            let message = format!("is {}, not a number", array.data_type());
            return Err(ErrorKind::ColumnType { expression: name.into(), message }.into());
        };
        let values = for_dtype!(dtype, T => {
            let values = self.values::<T>(name)?;
            let float = |v: Option<T>| v.map_or(f64::NAN, |v| v.to_scalar().as_f64());
            values.into_iter().map(float).collect::<Vec<f64>>()
        });
        Ok(ndarray::Array1::from_vec(values))
    }

    /// A frame over the rows.
    pub fn into_frame(self) -> DataFrame {
        DataFrame::scan(Arc::new(MemoryBatches::new(self.schema, self.batches)))
    }
}

/// The first and last rows as a grid of text, with names and types.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ENDS: usize = 10;
        let rows = self.num_rows();
        let shown: Vec<usize> = if rows <= 2 * ENDS + 1 {
            (0..rows).collect()
        } else {
            (0..ENDS).chain(rows - ENDS..rows).collect()
        };
        let mut grid: Vec<Vec<String>> = vec![
            self.schema.fields().iter().map(|f| f.name().clone()).collect(),
            self.schema.fields().iter().map(|f| short(f.data_type())).collect(),
        ];
        let options = arrow::util::display::FormatOptions::new().with_null("null");
        for (k, &row) in shown.iter().enumerate() {
            if k > 0 && shown[k - 1] + 1 != row {
                grid.push(vec!["…".into(); self.schema.fields().len()]);
            }
            let (mut at, mut batch) = (row, 0);
            while at >= self.batches[batch].num_rows() {
                at -= self.batches[batch].num_rows();
                batch += 1;
            }
            let cell = |c: &ArrayRef| {
                arrow::util::display::ArrayFormatter::try_new(c, &options)
                    .map_or_else(|e| e.to_string(), |f| f.value(at).to_string())
            };
            grid.push(self.batches[batch].columns().iter().map(cell).collect());
        }
        let width = |c: usize| grid.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.schema.fields().len()).map(width).collect();
        for row in &grid {
            for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let text = is_text(self.schema.field(c).data_type());
                let gap = if c == 0 { "" } else { "  " };
                match text {
                    true => write!(f, "{gap}{cell:<width$}")?,
                    false => write!(f, "{gap}{cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        write!(f, "{rows} rows")
    }
}

/// A type in few letters.
fn short(t: &DataType) -> String {
    match t {
        DataType::Timestamp(unit, None) => format!("timestamp[{unit:?}]").to_lowercase(),
        DataType::Timestamp(_, Some(zone)) => format!("timestamp[{zone}]"),
        DataType::Duration(unit) => format!("duration[{unit:?}]").to_lowercase(),
        t if is_text(t) => "text".into(),
        t => match kernel_dtype(t) {
            Some(d)
                if !matches!(
                    t,
                    DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_)
                ) =>
            {
                d.to_string()
            }
            _ => t.to_string().to_lowercase(),
        },
    }
}
