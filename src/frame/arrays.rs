//! Tables to arrays and arrays to frames.

use super::functions::is_number;
use super::{Column, DataFrame, DataType, Table};
use crate::Array;
use crate::block::Block;
use crate::dtype::{DType, for_dtype, promote};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{find, kernel_dtype, plain_type};
use crate::shape::Region;
use arrow::array::Array as _;

impl Table {
    /// Columns of numbers or bools side by side as an array of two axes, rows and columns, in the dtype that holds all. Null is NaN. Copies;
    /// a column lies in one run of memory.
    ///
    /// # Errors
    /// [`ErrorKind::Column`] for a column that is not there, [`ErrorKind::ColumnType`] for one of another type, or with nulls where the
    /// array would be of integers or bools.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let df = DataFrame::from_columns([("a", vec![1, 2].into()), ("b", vec![Some(0.5), None].into())]);
    /// let array = df.collect()?.to_array(&["a", "b"])?;
    /// assert_eq!(array.shape(), [2, 2]);
    /// assert_eq!(array.nansum(0).compute()?.as_slice::<f64>()?, [3.0, 0.5]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn to_array(&self, names: &[&str]) -> Result<Array> {
        let wrong = |name: &str, message: String| -> Error {
            ErrorKind::ColumnType { expression: name.into(), message }.into()
        };
        let mut dtype: Option<DType> = None;
        for name in names {
            let t = self.schema().field(find(self.schema(), name)?).data_type();
            let number = is_number(t) || *t == DataType::Boolean;
            let own = kernel_dtype(t).filter(|_| number);
            let own = own.ok_or_else(|| wrong(name, format!("is {t}, not a number; cast it before")))?;
            dtype = Some(dtype.map_or(own, |d| promote(d, own)));
        }
        let Some(dtype) = dtype else {
            return Err(Error::invalid("to_array", "no columns are named"));
        };
        let rows = self.num_rows();
        for_dtype!(dtype, T => {
            let mut all: Vec<T> = Vec::with_capacity(rows * names.len());
            for name in names {
                let column = self.column(name)?;
                let own = kernel_dtype(column.data_type()).unwrap_or(dtype);
                let values = crate::block::batch::values(&column, own).cast(dtype);
                let first = all.len();
                all.extend_from_slice(values.as_slice::<T>()?);
                let nulls = column.logical_nulls().filter(|n| n.null_count() > 0);
                if let Some(nulls) = nulls {
                    if !dtype.is_float() {
                        let message = format!(
                            "has {} nulls, which an array of {dtype} cannot hold; fill_null(...) them or cast to f64",
                            nulls.null_count()
                        );
                        return Err(wrong(name, message));
                    }
                    let nan = crate::dtype::Scalar::from(f64::NAN).cast(dtype);
                    let nan = Block::scalar(nan).to_scalar::<T>()?;
                    (0..rows).filter(|&r| nulls.is_null(r)).for_each(|r| all[first + r] = nan);
                }
            }
            let columns = ndarray::Array2::from_shape_vec((names.len(), rows), all);
            let columns = columns.map_err(|e| Error::internal(e.to_string()))?;
            Ok(Array::from_ndarray(columns.reversed_axes()))
        })
    }
}

impl DataFrame {
    /// Runs an array of one axis (one column) or two (a column each for the places of the second) and makes a frame of its values.
    ///
    /// # Errors
    /// Those of the run; if the array has another number of axes or columns than there are names.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// use blockwise::prelude::*;
    /// let array = Array::arange(0, 6, 1).reshape(&[3, 2]);
    /// let df = DataFrame::from_array(&array, &["even", "odd"])?;
    /// assert_eq!(df.collect()?.values::<i64>("odd")?, [Some(1), Some(3), Some(5)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn from_array(array: &Array, names: &[&str]) -> Result<DataFrame> {
        let at = std::panic::Location::caller();
        let block = array.compute()?;
        let (rows, columns) = match *block.shape() {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            ref other => {
                let message = format!("an array of {} axes is no table; give one of 1 or 2", other.len());
                return Err(Error::invalid("from_array", message).at(at));
            }
        };
        if columns != names.len() {
            let message = format!("{columns} columns and {} names", names.len());
            return Err(Error::invalid("from_array", message).at(at));
        }
        let block = block.reshape(&[rows, columns]);
        let t = plain_type(block.dtype());
        let column = |k: usize| -> Result<Column> {
            let one = block.slice(&Region::new(vec![0, k], vec![rows, 1])).to_contiguous().reshape(&[rows]);
            Ok(Column(crate::block::batch::column(one, None, &t)?))
        };
        let columns =
            names.iter().zip(0..columns).map(|(n, k)| Ok((*n, column(k)?))).collect::<Result<Vec<_>>>()?;
        let frame = DataFrame::from_columns(columns);
        frame.relation()?;
        Ok(frame)
    }
}
