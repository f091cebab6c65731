//! Runs programs on batches of rows.

use super::super::cache::KernelCache;
use crate::backend::{Launch, Operand, Output, Records};
use crate::block::Block;
use crate::block::batch::{column, validity, values};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{Argument, Function, Literal, TypedOp, kernel_dtype};
use crate::op::CompareOp;
use crate::plan::frame::{Effect, KernelStep, Program, Step};
use crate::shape::Region;
use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
    new_null_array,
};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, cast, cast_with_options, is_null, take};
use arrow::datatypes::{DataType, SchemaRef};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// Columns during a run, by register.
pub(super) struct Registers {
    columns: Vec<Option<Argument>>,
    pub rows: usize,
}

/// The folds of a launch: the slot of every row (or one for all), how many slots there are, and the accumulators of every effect.
pub(super) struct Groups<'a> {
    pub slots: &'a Block,
    pub many: usize,
    pub records: &'a [Records],
}

impl Registers {
    pub fn new(batch: &RecordBatch, registers: usize) -> Registers {
        let mut columns: Vec<Option<Argument>> = Vec::with_capacity(registers);
        columns.extend(batch.columns().iter().map(|c| Some(Argument { array: c.clone(), is_scalar: false })));
        columns.resize_with(registers.max(columns.len()), || None);
        Registers { columns, rows: batch.num_rows() }
    }

    fn get(&self, register: usize) -> Result<&Argument> {
        self.columns
            .get(register)
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::internal("an empty register"))
    }

    /// A register's values, one per row.
    pub fn column(&self, register: usize) -> Result<ArrayRef> {
        let x = self.get(register)?;
        if !x.is_scalar {
            return Ok(x.array.clone());
        }
        let places = UInt32Array::from_value(0, self.rows);
        take(&x.array, &places, None).map_err(internal)
    }

    /// Runs steps.
    pub fn run(&mut self, steps: &[Step], kernels: &KernelCache) -> Result<()> {
        for step in steps {
            match step {
                Step::Literal(v, t, output) => {
                    self.columns[*output] = Some(Argument { array: literal(v, t)?, is_scalar: true });
                }
                Step::Kernel(step) => self.launch(step, None, kernels)?,
                Step::Host { op, data_type, inputs, output } => {
                    let inputs = inputs.iter().map(|&i| self.get(i).cloned()).collect::<Result<Vec<_>>>()?;
                    let is_scalar = inputs.iter().all(|i| i.is_scalar) && !inputs.is_empty();
                    let rows = if is_scalar { 1 } else { self.rows };
                    let name = match op {
                        TypedOp::Function(f) => f.name().to_owned(),
                        TypedOp::Cast => format!("cast to {data_type}"),
                        other => format!("{other:?}"),
                    };
                    let array = guarded(&name, || host(op, data_type, &inputs, rows))?;
                    if array.len() != rows || array.data_type() != data_type {
                        let message = format!(
                            "gave {} values of {}; wanted {rows} of {data_type}",
                            array.len(),
                            array.data_type()
                        );
                        return Err(ErrorKind::Value { op: name, message }.into());
                    }
                    self.columns[*output] = Some(Argument { array, is_scalar });
                }
            }
        }
        Ok(())
    }

    /// Runs a kernel over the rows.
    pub fn launch(
        &mut self,
        step: &KernelStep,
        groups: Option<Groups<'_>>,
        kernels: &KernelCache,
    ) -> Result<()> {
        let rows = self.rows;
        if step.effects.is_empty() {
            return Ok(());
        }
        let mut blocks: Vec<(Block, bool)> = vec![];
        let mut valid: Vec<(Block, bool)> = vec![];
        let mut nulls = vec![];
        for (register, dtype) in &step.inputs {
            let x = self.get(*register)?;
            blocks.push((values(&x.array, *dtype), x.is_scalar));
            let v = validity(&x.array);
            nulls.push(v.is_some());
            valid.extend(v.map(|v| (v, x.is_scalar)));
        }
        let variant = step.variant(&nulls)?;
        let slots = groups.as_ref().map(|g| (g.slots.clone(), g.slots.len() == 1 && rows != 1));
        let operands: Vec<Operand> =
            blocks.iter().chain(&valid).chain(&slots).map(|(b, scalar)| operand(b, *scalar)).collect();

        let mut stored: Vec<(usize, &DataType, Block, Option<Block>)> = vec![];
        let mut outputs: SmallVec<[Output; 4]> = smallvec![];
        let (mut nullable, mut group) = (variant.nullable.iter(), 0);
        for (k, effect) in step.effects.iter().enumerate() {
            match effect {
                Effect::Store { output, data_type, .. } => {
                    let out = Block::uninit(step.value_dtype(k), &[rows]);
                    let valid =
                        nullable.next().is_some_and(|n| *n).then(|| Block::uninit(DType::Bool, &[rows]));
                    outputs.push(Output::Store(operand(&out, false)));
                    outputs.extend(valid.iter().map(|v| Output::Store(operand(v, false))));
                    stored.push((*output, data_type, out, valid));
                }
                _ => {
                    let records = groups.as_ref().and_then(|g| g.records.get(group));
                    let records = records.ok_or_else(|| Error::internal("a fold without accumulators"))?;
                    outputs.push(Output::GroupReduce(*records));
                    group += 1;
                }
            }
        }
        if rows > 0 {
            let region = Region::whole(&[rows]);
            let kernel = kernels.get(&variant.kernel)?;
            let launch = Launch {
                region: &region,
                shape: &[rows],
                inputs: &operands,
                outputs: &outputs,
                slots: groups.as_ref().map_or(0, |g| g.many),
                streaming: false,
            };
            // SAFETY: inputs have a value for every row (or one, with stride 0) of their dtype, outputs are fresh blocks of as
            // many, and the caller's records have accumulators for every slot.
            unsafe { kernel.run(&launch)? };
        }
        for (output, data_type, out, valid) in stored {
            self.columns[output] =
                Some(Argument { array: column(out, valid.as_ref(), data_type)?, is_scalar: false });
        }
        Ok(())
    }
}

/// A program's results for a batch.
pub(super) fn evaluate(
    program: &Program,
    batch: &RecordBatch,
    kernels: &KernelCache,
) -> Result<Vec<ArrayRef>> {
    let mut registers = Registers::new(batch, program.registers);
    registers.run(&program.steps, kernels)?;
    program.outputs.iter().map(|(r, _)| registers.column(*r)).collect()
}

/// A batch of columns, which may be none.
pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(internal)
}

/// The rows where a program's one result is true.
pub(super) fn filter(mask: &Program, rows: RecordBatch, kernels: &KernelCache) -> Result<RecordBatch> {
    let mask = evaluate(mask, &rows, kernels)?;
    let mask = mask.first().and_then(|m| m.as_any().downcast_ref::<BooleanArray>());
    let mask = mask.ok_or_else(|| Error::internal("a mask that is no bool"))?;
    let counted = mask.true_count();
    if counted == rows.num_rows() {
        return Ok(rows);
    }
    if rows.num_columns() == 0 {
        return batch(&rows.schema(), vec![], counted);
    }
    arrow::compute::filter_record_batch(&rows, mask).map_err(internal)
}

/// The rows in which none of these columns is null.
pub(super) fn drop_nulls(columns: &[usize], rows: RecordBatch) -> Result<RecordBatch> {
    let nulls = columns.iter().filter_map(|&c| rows.column(c).logical_nulls()).filter(|n| n.null_count() > 0);
    match nulls.map(|n| n.into_inner()).reduce(|a, b| &a & &b) {
        None => Ok(rows),
        Some(valid) => {
            arrow::compute::filter_record_batch(&rows, &BooleanArray::new(valid, None)).map_err(internal)
        }
    }
}

fn operand(block: &Block, scalar: bool) -> Operand {
    let stride = if scalar { 0 } else { block.dtype().size() as isize };
    Operand { ptr: block.as_ptr() as *mut u8, strides: smallvec![stride] }
}

pub(super) fn internal(e: arrow::error::ArrowError) -> Error {
    match e {
        arrow::error::ArrowError::ExternalError(e) => match e.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::internal(other.to_string()),
        },
        arrow::error::ArrowError::OffsetOverflowError(n) => ErrorKind::Unsupported {
            what: format!("{n} bytes or items in one piece of a column of text, bytes or lists"),
            hint: "such columns hold 2^31 - 1; cast the column to LargeUtf8 or LargeBinary before, or do without it there".into(),
        }
        .into(),
        other => Error::internal(other.to_string()),
    }
}

/// One value of a type.
fn literal(v: &Literal, t: &DataType) -> Result<ArrayRef> {
    match v {
        Literal::Null => Ok(new_null_array(t, 1)),
        Literal::Number(s) => column(Block::full(&[1], *s), None, t),
        Literal::Text(text) => Ok(Arc::new(StringArray::from_iter_values([text]))),
        Literal::Typed(t, v) => {
            let narrow = kernel_dtype(t).is_some_and(|d| d.size() == 4);
            let wide: ArrayRef = Arc::new(Int64Array::from_value(*v, 1));
            let stored = if narrow { cast(&wide, &DataType::Int32).map_err(internal)? } else { wide };
            cast(&stored, t).map_err(internal)
        }
    }
}

/// The result of a function of columns.
fn host(op: &TypedOp, to: &DataType, inputs: &[Argument], rows: usize) -> Result<ArrayRef> {
    let whole = |k: usize| -> Result<ArrayRef> {
        let x = &inputs[k];
        if !x.is_scalar || x.array.len() == rows {
            return Ok(x.array.clone());
        }
        take(&x.array, &UInt32Array::from_value(0, rows), None).map_err(internal)
    };
    match op {
        TypedOp::Cast => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(&inputs[0].array, to, &options)
                .map_err(|e| ErrorKind::Value { op: format!("cast to {to}"), message: e.to_string() }.into())
        }
        TypedOp::Compare(op) => {
            let (a, b) = (plain_text(&inputs[0], &inputs[1])?, plain_text(&inputs[1], &inputs[0])?);
            let f = match op {
                CompareOp::Eq => cmp::eq,
                CompareOp::Ne => cmp::neq,
                CompareOp::Lt => cmp::lt,
                CompareOp::Le => cmp::lt_eq,
            };
            Ok(Arc::new(f(&a, &b).map_err(internal)?))
        }
        TypedOp::IsNull => Ok(Arc::new(is_null(&inputs[0].array).map_err(internal)?)),
        TypedOp::FillNull => {
            let (a, b) = (as_type(whole(0)?, to)?, as_type(whole(1)?, to)?);
            let valid = arrow::compute::is_not_null(&a).map_err(internal)?;
            arrow::compute::kernels::zip::zip(&valid, &a, &b).map_err(internal)
        }
        TypedOp::When => {
            let c = whole(0)?;
            let c = c
                .as_any()
                .downcast_ref::<BooleanArray>()
                .ok_or_else(|| Error::internal("a choice by no bool"))?;
            let c = if c.null_count() > 0 { arrow::compute::prep_null_mask_filter(c) } else { c.clone() };
            let (a, b) = (as_type(whole(1)?, to)?, as_type(whole(2)?, to)?);
            arrow::compute::kernels::zip::zip(&c, &a, &b).map_err(internal)
        }
        TypedOp::Decimal(op, name) => super::decimal::arithmetic(*op, inputs, name),
        TypedOp::Function(Function::Builtin(f)) => (f.call)(inputs),
        TypedOp::Function(Function::User(f)) => {
            let columns = (0..inputs.len()).map(whole).collect::<Result<Vec<_>>>()?;
            (f.call)(&columns)
        }
        other => Err(Error::internal(format!("{other:?} is no function of columns"))),
    }
}

/// What a function gives; an error if it panics.
pub(super) fn guarded<R>(name: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_or_else(|_| {
        Err(ErrorKind::Value { op: name.into(), message: "the function panicked".into() }.into())
    })
}

/// The same of rows, whose columns must be those declared.
pub(super) fn guarded_rows(
    name: &str,
    schema: &SchemaRef,
    f: impl FnOnce() -> Result<RecordBatch>,
) -> Result<RecordBatch> {
    let rows = guarded(name, f)?;
    let types = |s: &SchemaRef| {
        s.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
    };
    let (found, declared) = (types(rows.schema_ref()), types(schema));
    if found != declared {
        let message = format!("gave columns {found:?}; declared were {declared:?}");
        return Err(ErrorKind::Value { op: name.into(), message }.into());
    }
    batch(schema, rows.columns().to_vec(), rows.num_rows())
}

fn as_type(x: ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if x.data_type() == to { Ok(x) } else { cast(&x, to).map_err(internal) }
}

/// Text of two storages compares only in one: a dictionary with a value is fine as it is.
fn plain_text(x: &Argument, other: &Argument) -> Result<Argument> {
    let of_utf8 =
        |a: &Argument| matches!(a.array.data_type(), DataType::Dictionary(_, v) if **v == DataType::Utf8);
    let is_utf8 = |a: &Argument| *a.array.data_type() == DataType::Utf8;
    let same = x.array.data_type() == other.array.data_type();
    let with_value = |d: &Argument, v: &Argument| of_utf8(d) && v.is_scalar && is_utf8(v);
    if same || with_value(x, other) || with_value(other, x) {
        return Ok(x.clone());
    }
    Ok(Argument { array: as_type(x.array.clone(), &DataType::Utf8)?, is_scalar: x.is_scalar })
}
