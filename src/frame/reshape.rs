//! Long tables from wide ones, wide ones from long ones, and time in even steps.

use super::Every;
use super::aggregate::{has_aggregate, plan_aggregates};
use super::{
    AggOp, DataFrame, DataType, Expr, Field, GroupBy, IntoColumns, JoinKind, Literal, Schema, col, when,
};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{BatchFunction, Named, Node, common, find, is_text, kernel_dtype, name_of};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use std::sync::Arc;

/// The names of columns; an error for an expression that is none.
fn names_of(columns: &[Expr], op: &'static str) -> Result<Vec<Arc<str>>> {
    let name = |c: &Expr| match c.node() {
        Node::Column(name) => Ok(name.clone()),
        _ => Err(Error::invalid(op, format!("{c} is no column's name"))),
    };
    columns.iter().map(name).collect()
}

impl DataFrame {
    /// Columns under one another: for every row and every column of `on`, a row of the `index` columns, the name of the column (`variable`)
    /// and what is in it (`value`). The rows made of one row come together, in the order of `on`. Types of the columns are promoted.
    ///
    /// # Errors
    /// Carried: a column that is not there, types that do not mix, no column at all in `on`.
    ///
    /// ```
    /// use blockwise::frame::DataFrame;
    /// let wide = DataFrame::from_columns([
    ///     ("city", vec!["Rome", "Oslo"].into()),
    ///     ("jan", vec![8.0, -4.0].into()),
    ///     ("jul", vec![26.0, 18.0].into()),
    /// ]);
    /// let long = wide.unpivot(["jan", "jul"], ["city"]).collect()?;
    /// assert_eq!(long.texts("city")?[..2], [Some("Rome".into()), Some("Rome".into())]);
    /// assert_eq!(long.values::<f64>("value")?, [Some(8.0), Some(26.0), Some(-4.0), Some(18.0)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[doc(alias = "melt")]
    #[track_caller]
    pub fn unpivot(&self, on: impl IntoColumns, index: impl IntoColumns) -> DataFrame {
        self.unpivot_as(on, index, "variable", "value")
    }

    /// [`DataFrame::unpivot`] with names for the two new columns.
    #[track_caller]
    pub fn unpivot_as(
        &self,
        on: impl IntoColumns,
        index: impl IntoColumns,
        variable: &str,
        value: &str,
    ) -> DataFrame {
        let (on, index) = (on.into_columns(), index.into_columns());
        self.then(|r| {
            let (on, index) = (names_of(&on, "unpivot")?, names_of(&index, "unpivot")?);
            let field = |name: &Arc<str>| Ok(r.schema().field(find(r.schema(), name)?).clone());
            let values = on.iter().map(field).collect::<Result<Vec<Field>>>()?;
            let mut fields = index.iter().map(field).collect::<Result<Vec<Field>>>()?;
            let Some(first) = values.first() else {
                return Err(Error::invalid("unpivot", "there is no column to put under others"));
            };
            let mut t = first.data_type().clone();
            for other in &values[1..] {
                t = common(&t, other.data_type()).ok_or_else(|| -> Error {
                    let message =
                        format!("{t} and {} do not mix in one column; cast one of them", other.data_type());
                    ErrorKind::ColumnType { expression: other.name().clone(), message }.into()
                })?;
            }
            fields.push(Field::new(variable, DataType::Utf8, true));
            fields.push(Field::new(value, t.clone(), true));
            // a name may be both in the index and of a new column's source
            let mut wanted: Vec<Named> =
                index.iter().map(|n| Named { name: n.clone(), expr: col(n) }).collect();
            let hidden = |k: usize| -> Arc<str> { format!("\0value {k}").into() };
            wanted.extend(
                on.iter().enumerate().map(|(k, n)| Named { name: hidden(k), expr: col(n).cast(t.clone()) }),
            );
            r.project(wanted)?.map_batches(BatchFunction::Unpivot(on.into()), &Schema::new(fields))
        })
    }

    /// One row for each different value of `index`, with a column for each of `values`: folds of the rows in which `on` has that value. A
    /// column is called like its value; with several folds, like the fold and the value: `mean_jan`. Cells without a row are null. Rows whose
    /// `index` is null are left out, as by [`DataFrame::group_by`].
    ///
    /// Lazy, since the values wanted are given; [`DataFrame::pivot_eager`] looks for them first. One pass.
    ///
    /// # Errors
    /// Carried: as [`GroupBy::agg`]; a value that comes twice.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let long = DataFrame::from_columns([
    ///     ("city", vec!["Rome", "Oslo", "Rome"].into()),
    ///     ("month", vec!["jan", "jan", "jul"].into()),
    ///     ("t", vec![8.0, -4.0, 26.0].into()),
    /// ]);
    /// let wide = long.pivot("city", "month", ["jan", "jul"], col("t").mean()).collect()?;
    /// assert_eq!(wide.values::<f64>("jan")?, [Some(8.0), Some(-4.0)]);
    /// assert_eq!(wide.values::<f64>("jul")?, [Some(26.0), None]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn pivot<V: Into<Expr>>(
        &self,
        index: impl IntoColumns,
        on: &str,
        values: impl IntoIterator<Item = V>,
        folds: impl IntoColumns,
    ) -> DataFrame {
        let values: Vec<Expr> = values.into_iter().map(Into::into).collect();
        match self.cells(on, &values, &folds.into_columns()) {
            Ok(cells) => self.group_by(index.into_columns()).agg(cells),
            Err(e) => DataFrame::new(Err(e)),
        }
    }

    /// What a pivot folds for each cell of a row.
    fn cells(&self, on: &str, values: &[Expr], folds: &[Expr]) -> Result<Vec<Expr>> {
        find(self.relation()?.schema(), on)?;
        let mut cells = vec![];
        for fold in folds {
            for value in values {
                let title = title(value)?;
                let name = match (folds.len(), name_of(fold)) {
                    (1, _) | (_, None) => title,
                    (_, Some(fold)) => format!("{fold}_{title}"),
                };
                cells.push(fold_where(fold, &is_value(&col(on), value))?.alias(name));
            }
        }
        Ok(cells)
    }

    /// [`DataFrame::pivot`] for all values that `on` has, smallest first, null last: runs what finds them now, and the rest later. The column of
    /// null is called `null`; `null_2` if a value is a text that is written so.
    ///
    /// # Errors
    /// Those of the run, or that `on` is of a type of which there are no literals.
    pub fn pivot_eager(
        &self,
        index: impl IntoColumns,
        on: &str,
        folds: impl IntoColumns,
    ) -> Result<DataFrame> {
        let found = self.select(on).unique(on).sort(on).collect()?;
        let mut values = literals(&found.column(on)?, on)?;
        // a value may be written as null is
        let titles = values.iter().map(title).collect::<Result<Vec<_>>>()?;
        if let Some((null, others)) = titles.split_last().filter(|(null, others)| others.contains(null)) {
            let name = (2..).map(|n| format!("{null}_{n}")).find(|name| !others.contains(name));
            let null = values.pop().zip(name).map(|(null, name)| null.alias(name));
            values.extend(null);
        }
        Ok(self.pivot(index, on, values, folds))
    }

    /// The rows by spans of time: groups by the start of the span that each lies in, under the column's name. Spans come in the order of
    /// their first rows: sort the result by the column. Spans without rows are absent: see [`DataFrame::upsample`].
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, Every, col, len};
    /// let times = vec!["2024-01-31 18:00", "2024-02-01 07:00", "2024-01-31 23:59"];
    /// let df = DataFrame::from_columns([("t", times.into())]);
    /// let df = df.with_columns(col("t").str().to_timestamp("%Y-%m-%d %H:%M"));
    /// let months = df.resample("t", Every::months(1)).agg(len()).sort("t").collect()?;
    /// assert_eq!(months.values::<i64>("len")?, [Some(2), Some(1)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn resample(&self, time: &str, every: Every) -> GroupBy {
        self.group_by(col(time).dt().truncate(every).alias(time))
    }

    /// The rows in order of a time column whose values are starts of spans (as [`DataFrame::resample`] makes them), and a row of nulls for
    /// each span between the first and the last that is absent. Rows without a time come last.
    ///
    /// Runs the frame twice: for the first and the last time, and for the rows.
    #[track_caller]
    pub fn upsample(&self, time: &str, every: Every) -> DataFrame {
        let start = col(time).dt().truncate(every);
        self.then(|r| {
            let ends = vec![start.min().alias("first"), start.max().alias("last")];
            let ends = plan_aggregates(r, vec![], ends)?;
            let t = ends.schema().field(0).data_type().clone();
            let schema = Schema::new(vec![Field::new(time, t, true)]);
            let spans = ends.map_batches(BatchFunction::Spans(every), &schema)?;
            let all = r.join(&spans, JoinKind::Full, vec![(col(time), col(time))], "_right")?;
            all.sort(vec![col(time).ascending()])
        })
    }
}

/// What a column is called that is made for a value.
fn title(value: &Expr) -> Result<String> {
    match value.node() {
        Node::Literal(Literal::Text(t)) => Ok(t.to_string()),
        Node::Literal(v) => Ok(v.to_string()),
        Node::Alias(name, _) => Ok(name.to_string()),
        Node::Failed(e) => Err(e.clone()),
        _ => Err(Error::invalid("pivot", format!("{value} is no value"))),
    }
}

/// Whether a column has this value, null and NaN being values.
fn is_value(column: &Expr, value: &Expr) -> Expr {
    match value.node() {
        Node::Alias(_, value) => is_value(column, value),
        Node::Literal(Literal::Null) => column.is_null(),
        Node::Literal(Literal::Number(n)) if n.as_f64().is_nan() => column.is_nan().fill_null(false),
        _ => column.eq(value),
    }
}

/// An expression of folds over the rows where a bool is true; null if there is no such row.
fn fold_where(e: &Expr, mask: &Expr) -> Result<Expr> {
    let masked = |part: &Expr| match part.node() {
        Node::Aggregate(AggOp::Len, _) => Ok(Some(mask.sum())),
        // it would see the rows of other cells
        Node::Aggregate(op @ AggOp::User(_), _) => {
            let message = format!(
                "{op} is a fold of your own; group by the index and the column, then pivot its first()"
            );
            Err(ErrorKind::ColumnType { expression: part.to_string(), message }.into())
        }
        Node::Aggregate(op, x) => Ok(Some(when(mask).then(x).otherwise(Expr::null()).aggregate(op.clone()))),
        _ => Ok(None),
    };
    if !has_aggregate(e) {
        let message = "has many values a cell; fold it (sum(), first()...)".into();
        return Err(ErrorKind::ColumnType { expression: e.to_string(), message }.into());
    }
    Ok(when(mask.any()).then(e.replaced::<Error>(masked)?).otherwise(Expr::null()))
}

/// The values of a column as literals, each called what it is.
fn literals(values: &ArrayRef, name: &str) -> Result<Vec<Expr>> {
    let t = values.data_type();
    let shown = cast(values, &DataType::Utf8).map_err(|e| {
        Error::from(ErrorKind::ColumnType { expression: name.into(), message: e.to_string() })
    })?;
    let shown = shown.as_string::<i32>();
    let dtype = kernel_dtype(t);
    let block = dtype.map(|d| crate::block::batch::values(values, d));
    let literal = |k: usize| -> Result<Expr> {
        if !shown.is_valid(k) {
            return Ok(Expr::null());
        }
        if is_text(t) {
            return Ok(Expr::from(shown.value(k)));
        }
        if t.is_decimal() {
            return Ok(Expr::from(shown.value(k)).cast(t.clone()).alias(shown.value(k)));
        }
        let Some(block) = &block else {
            let message = format!("is {t}; cast it to text, numbers or times before");
            return Err(ErrorKind::ColumnType { expression: name.into(), message }.into());
        };
        let number = block.get(&[k])?;
        let value = match super::functions::is_number(t) || *t == DataType::Boolean {
            true => Literal::Number(number),
            false => Literal::Typed(t.clone(), number.as_i64()),
        };
        Ok(Expr::from(value).alias(shown.value(k)))
    };
    (0..values.len()).map(literal).collect()
}
