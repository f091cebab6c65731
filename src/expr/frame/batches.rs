//! Functions of batches of rows: the user's, and the library's own, which are data so that other processes know them.

use super::functions::every::{self, Every};
use super::relation::BatchFn;
use crate::error::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow::compute::{concat, concat_batches, interleave, take, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use std::sync::Arc;

/// A function of batches of rows, each row by itself.
#[derive(Clone)]
pub enum BatchFunction {
    /// The user's, under its name in plans and errors.
    User(Arc<str>, Arc<BatchFn>),
    /// A row for every value of this column of lists, the others repeated; one with null for an empty list or a null.
    Explode(usize),
    /// For every row as many as there are names: the first columns, a name, and the value of the last columns that belongs to it.
    Unpivot(Arc<[Arc<str>]>),
    /// Of the first and the last time, in two columns, the starts of all spans from one to the other.
    Spans(Every),
    /// For every row a table of its cells.
    Stack(Arc<Stack>),
}

/// Cells of one row as a table.
#[derive(Debug)]
pub struct Stack {
    /// The first column: a label for each row.
    pub labels: Vec<String>,
    /// Of each other column the places of its cells; null where there is none.
    pub cells: Vec<Vec<Option<usize>>>,
}

fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(e.to_string())
}

impl BatchFunction {
    /// Its name in plans and errors.
    pub fn name(&self) -> &str {
        match self {
            BatchFunction::User(name, _) => name,
            BatchFunction::Explode(_) => "explode",
            BatchFunction::Unpivot(_) => "unpivot",
            BatchFunction::Spans(_) => "spans",
            BatchFunction::Stack(_) => "stack",
        }
    }

    /// What the function makes of rows, with the columns of `schema`.
    ///
    /// # Errors
    /// Those of the function.
    pub fn call(&self, rows: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        match self {
            BatchFunction::User(_, function) => function(rows),
            BatchFunction::Explode(at) => exploded(&rows, *at, schema),
            BatchFunction::Unpivot(names) => under_one_another(&rows, names, schema),
            BatchFunction::Spans(_) if rows.num_rows() == 0 => Ok(RecordBatch::new_empty(schema.clone())),
            BatchFunction::Spans(every) => {
                let starts = every::range(*every, rows.column(0), rows.column(1))?;
                RecordBatch::try_new(schema.clone(), vec![starts]).map_err(internal)
            }
            BatchFunction::Stack(stack) => stacked(&rows, stack, schema),
        }
    }

    /// Whether rows of these columns can be what it works on, to yield those of `output`.
    pub(super) fn fits(&self, input: &Schema, output: &Schema) -> bool {
        let types = || input.fields().iter().map(|f| f.data_type());
        let made = output.fields().iter().map(|f| f.data_type());
        let width = input.fields().len();
        match self {
            BatchFunction::User(..) => true,
            BatchFunction::Explode(at) => {
                types().enumerate().map(|(k, t)| item(t, k == *at)).eq(made.map(Some))
            }
            BatchFunction::Unpivot(names) => {
                let first = width.checked_sub(names.len()).filter(|_| !names.is_empty());
                let value = types().next_back();
                first.is_some_and(|first| {
                    let same = types().skip(first).all(|t| Some(t) == value);
                    same && types().take(first).chain([&DataType::Utf8]).chain(value).eq(made)
                })
            }
            BatchFunction::Spans(_) => {
                let t = types().next();
                width == 2 && types().all(|u| Some(u) == t) && t.into_iter().eq(made)
            }
            BatchFunction::Stack(stack) => {
                let fits = |(cells, t): (&Vec<Option<usize>>, &DataType)| {
                    let is_there = |c: &usize| types().nth(*c) == Some(t);
                    cells.len() == stack.labels.len() && cells.iter().flatten().all(is_there)
                };
                stack.cells.len() + 1 == output.fields().len()
                    && *output.field(0).data_type() == DataType::Utf8
                    && stack.cells.iter().zip(made.skip(1)).all(fits)
            }
        }
    }
}

/// The type of the values of a column of lists, if it is one that is taken apart.
fn item(t: &DataType, is_taken_apart: bool) -> Option<&DataType> {
    match t {
        DataType::List(item) if is_taken_apart => Some(item.data_type()),
        _ if is_taken_apart => None,
        t => Some(t),
    }
}

/// The rows with a column of lists in place of which its values are.
fn exploded(rows: &RecordBatch, at: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let lists = rows.column(at).as_list::<i32>();
    let (mut from, mut values): (Vec<u32>, Vec<Option<u32>>) = (vec![], vec![]);
    for row in 0..rows.num_rows() {
        let (start, end) = (lists.value_offsets()[row] as u32, lists.value_offsets()[row + 1] as u32);
        if lists.is_null(row) || start == end {
            from.push(row as u32);
            values.push(None);
            continue;
        }
        from.extend(std::iter::repeat_n(row as u32, (end - start) as usize));
        values.extend((start..end).map(Some));
    }
    let (from, values) = (UInt32Array::from(from), UInt32Array::from(values));
    let columns = rows.columns().iter().enumerate().map(|(c, column)| match c == at {
        true => take(lists.values(), &values, None),
        false => take(column, &from, None),
    });
    let columns = columns.collect::<std::result::Result<_, _>>().map_err(internal)?;
    RecordBatch::try_new(schema.clone(), columns).map_err(internal)
}

/// Rows of one batch, each as often as it has values.
fn under_one_another(rows: &RecordBatch, names: &[Arc<str>], schema: &SchemaRef) -> Result<RecordBatch> {
    let (count, first) = (names.len(), rows.num_columns() - names.len());
    let index = rows.project(&(0..first).collect::<Vec<_>>()).map_err(internal)?;
    let row = (0..rows.num_rows() as u32).flat_map(|r| std::iter::repeat_n(r, count));
    let mut columns: Vec<ArrayRef> = match first {
        0 => vec![],
        _ => take_record_batch(&index, &UInt32Array::from_iter_values(row))
            .map_err(internal)?
            .columns()
            .to_vec(),
    };
    let names = StringArray::from_iter_values(names);
    let name = (0..rows.num_rows()).flat_map(|_| 0..count as u32);
    columns.push(take(&names, &UInt32Array::from_iter_values(name), None).map_err(internal)?);
    let values: Vec<&dyn Array> = (first..rows.num_columns()).map(|c| rows.column(c).as_ref()).collect();
    let places: Vec<(usize, usize)> =
        (0..rows.num_rows()).flat_map(|r| (0..count).map(move |c| (c, r))).collect();
    columns.push(interleave(&values, &places).map_err(internal)?);
    RecordBatch::try_new(schema.clone(), columns).map_err(internal)
}

/// A table for each row.
fn stacked(rows: &RecordBatch, stack: &Stack, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut tables = vec![];
    for row in 0..rows.num_rows() {
        let mut table: Vec<ArrayRef> = vec![Arc::new(StringArray::from(stack.labels.clone()))];
        for (field, places) in schema.fields()[1..].iter().zip(&stack.cells) {
            let cell = |place: &Option<usize>| match place {
                Some(c) => rows.column(*c).slice(row, 1),
                None => new_null_array(field.data_type(), 1),
            };
            let cells: Vec<ArrayRef> = places.iter().map(cell).collect();
            let cells: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
            table.push(concat(&cells).map_err(internal)?);
        }
        tables.push(RecordBatch::try_new(schema.clone(), table).map_err(internal)?);
    }
    concat_batches(schema, &tables).map_err(internal)
}
