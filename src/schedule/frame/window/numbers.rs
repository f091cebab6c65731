//! Folds of the values so far, and of windows that move along.

use super::super::evaluate::internal;
use super::Function;
use crate::block::Block;
use crate::block::batch::{column, values};
use crate::dtype::{DType, Element};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::{AggOp, WindowSize, kernel_dtype};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use blockwise_kernels::naive::fold::chan;
use std::sync::Arc;

/// Numbers as they are folded: 64-bit integers, wrapping, or f64.
trait Number: Element + PartialOrd + Default {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn to_f64(self) -> f64;
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl Number for $t {
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
integers!(i64 u64);

impl Number for f64 {
    fn add(self, other: Self) -> Self {
        self + other
    }
    fn mul(self, other: Self) -> Self {
        self * other
    }
    fn to_f64(self) -> f64 {
        self
    }
}

/// The smaller (or larger) of two; a number rather than NaN.
fn extreme<T: Number>(a: T, b: T, smallest: bool) -> T {
    #[allow(clippy::eq_op, reason = "NaN alone differs from itself")]
    let is_nan = |x: T| x != x;
    if is_nan(a) || (!is_nan(b) && if smallest { b < a } else { b > a }) { b } else { a }
}

/// The dtype in which values of a type are folded.
fn working(t: &DataType) -> DType {
    match kernel_dtype(t) {
        Some(d) if d.is_float() => DType::F64,
        Some(DType::U64) => DType::U64,
        _ => DType::I64,
    }
}

/// Does something with a column's values as they are folded, given as `$T` and a slice; `$valid(i)` says which are not null.
macro_rules! with_values {
    ($array:expr, |$values:ident: &[$T:ident], $valid:ident| $body:expr) => {{
        let array: &ArrayRef = $array;
        let own = kernel_dtype(array.data_type()).ok_or_else(|| Error::internal("a fold of no numbers"))?;
        let nulls = array.logical_nulls();
        let $valid = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
        let work = working(array.data_type());
        let block = values(array, own).cast(work).to_contiguous();
        match work {
            DType::F64 => {
                type $T = f64;
                let $values = block.as_slice::<f64>()?;
                $body
            }
            DType::U64 => {
                type $T = u64;
                let $values = block.as_slice::<u64>()?;
                $body
            }
            _ => {
                type $T = i64;
                let $values = block.as_slice::<i64>()?;
                $body
            }
        }
    }};
}

/// Results as a column of a type.
fn results<T: Number>(out: Vec<Option<T>>, t: &DataType) -> Result<ArrayRef> {
    let dtype = kernel_dtype(t).ok_or_else(|| Error::internal("results of no kernel's type"))?;
    let valid: Vec<bool> = out.iter().map(Option::is_some).collect();
    let block = Block::from_vec(out.into_iter().map(|v| v.unwrap_or_default()).collect::<Vec<T>>());
    column(block.cast(dtype).to_contiguous(), Some(&Block::from_vec(valid)), t)
}

/// The bits of a number as it is folded, of which groups keep one.
fn bits<T: Number>(v: T) -> u64 {
    v.to_scalar().bits()
}

fn of_bits<T: Number>(v: u64) -> T {
    T::from_scalar(crate::dtype::Scalar::from_bits(T::DTYPE, v)).unwrap_or_default()
}

/// The fold of all values so far.
pub(super) struct Cumulative {
    fold: AggOp,
    output: DataType,
    /// By group: bits of the fold, if there was a value.
    state: Vec<Option<u64>>,
}

impl Cumulative {
    pub fn new(fold: AggOp, output: DataType) -> Cumulative {
        Cumulative { fold, output, state: vec![] }
    }
}

impl Function for Cumulative {
    fn next(&mut self, inputs: &[ArrayRef], slots: &[u32], groups: usize) -> Result<ArrayRef> {
        self.state.resize(groups, None);
        if self.fold == AggOp::Count {
            let nulls = inputs[0].logical_nulls();
            let count = |(i, &slot): (usize, &u32)| {
                let n = self.state[slot as usize].get_or_insert(0);
                *n += u64::from(nulls.as_ref().is_none_or(|v| v.is_valid(i)));
                Some(*n as i64)
            };
            return results::<i64>(slots.iter().enumerate().map(count).collect(), &self.output);
        }
        let fold = &self.fold;
        with_values!(&inputs[0], |values: &[T], valid| {
            let next = |(i, &slot): (usize, &u32)| {
                valid(i).then(|| {
                    let state = &mut self.state[slot as usize];
                    let v = match state.map(of_bits::<T>) {
                        None => values[i],
                        Some(so_far) => match fold {
                            AggOp::Prod => so_far.mul(values[i]),
                            AggOp::Min => extreme(so_far, values[i], true),
                            AggOp::Max => extreme(so_far, values[i], false),
                            _ => Number::add(so_far, values[i]),
                        },
                    };
                    *state = Some(bits(v));
                    v
                })
            };
            results::<T>(slots.iter().enumerate().map(next).collect(), &self.output)
        })
    }

    fn nbytes(&self) -> usize {
        16 * self.state.capacity()
    }
}

/// A fold of some values that can be put together with that of others.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Values.
    n: u64,
    /// Bits of the sum, or of the smallest or largest.
    value: u64,
    mean: f64,
    m2: f64,
}

/// The fold of rows that come and go at the other end, in constant time on the average: rows that came since the older ones were put
/// together are folded as they come, the older ones once, from the newest to the oldest (the queue of two stacks).
#[derive(Clone, Default)]
struct Moving {
    /// Older rows, the oldest last: time, and fold from that row to the newest of them.
    older: Vec<(i64, Part)>,
    /// Newer rows in order, and the fold of all.
    newer: Vec<(i64, Part)>,
    sum: Part,
}

impl Moving {
    fn len(&self) -> usize {
        self.older.len() + self.newer.len()
    }

    fn oldest(&self) -> Option<i64> {
        self.older.last().or(self.newer.first()).map(|(t, _)| *t)
    }

    fn push(&mut self, time: i64, part: Part, join: impl Fn(Part, Part) -> Part) {
        self.newer.push((time, part));
        self.sum = join(self.sum, part);
    }

    fn pop(&mut self, join: impl Fn(Part, Part) -> Part) {
        if self.older.is_empty() {
            let mut sum = Part::default();
            for (time, part) in self.newer.drain(..).rev() {
                sum = join(part, sum);
                self.older.push((time, sum));
            }
            self.sum = Part::default();
        }
        self.older.pop();
    }

    fn fold(&self, join: impl Fn(Part, Part) -> Part) -> Part {
        join(self.older.last().map_or(Part::default(), |(_, p)| *p), self.sum)
    }
}

/// The fold of a window that moves along.
pub(super) struct Rolling {
    fold: AggOp,
    size: WindowSize,
    needed: u64,
    output: DataType,
    windows: Vec<Moving>,
    /// By group: the last row's time.
    last: Vec<i64>,
}

impl Rolling {
    pub fn new(fold: AggOp, size: WindowSize, needed: usize, output: DataType) -> Rolling {
        Rolling { fold, size, needed: needed as u64, output, windows: vec![], last: vec![] }
    }
}

/// Puts the folds of two runs of values together, the earlier one first.
fn join<T: Number>(fold: &AggOp, a: Part, b: Part) -> Part {
    if a.n == 0 || b.n == 0 {
        return if a.n == 0 { b } else { a };
    }
    let (x, y): (T, T) = (of_bits(a.value), of_bits(b.value));
    let value = match fold {
        AggOp::Min => extreme(x, y, true),
        AggOp::Max => extreme(x, y, false),
        _ => Number::add(x, y),
    };
    let (mut mean, mut m2) = (0.0, 0.0);
    if matches!(fold, AggOp::Var(_) | AggOp::Std(_)) {
        (m2, mean, _) = chan((a.m2, a.mean, a.n as i64), (b.m2, b.mean, b.n as i64));
    }
    Part { n: a.n + b.n, value: bits(value), mean, m2 }
}

/// The fold of one value.
fn single<T: Number>(v: T) -> Part {
    let x = v.to_f64();
    Part { n: 1, value: bits(v), mean: x, m2: if x.is_finite() { 0.0 } else { f64::NAN } }
}

/// Nanoseconds of a unit of times.
fn nanos(t: &DataType) -> i128 {
    match t {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        _ => 86_400_000_000_000,
    }
}

impl Function for Rolling {
    fn next(&mut self, inputs: &[ArrayRef], slots: &[u32], groups: usize) -> Result<ArrayRef> {
        self.windows.resize(groups, Moving::default());
        self.last.resize(groups, i64::MIN);
        let times = match inputs.get(1) {
            Some(times) => Some(self.times(times, slots)?),
            None => None,
        };
        let unit = inputs.get(1).map_or(1, |t| nanos(t.data_type()));
        let (fold, size, needed) = (self.fold.clone(), self.size, self.needed);
        let fold = &fold;
        let value: ArrayRef = match fold {
            // which values are there is all that counts
            AggOp::Count => {
                let all = BooleanBuffer::new_set(inputs[0].len());
                Arc::new(BooleanArray::new(all, inputs[0].logical_nulls()))
            }
            // sums of integers might wrap
            AggOp::Mean => cast(&inputs[0], &DataType::Float64).map_err(internal)?,
            _ => inputs[0].clone(),
        };
        with_values!(&value, |values: &[T], valid| {
            let join = |a, b| join::<T>(fold, a, b);
            let mut numbers: Vec<Option<T>> = vec![];
            let mut floats: Vec<Option<f64>> = vec![];
            let mut counts: Vec<Option<i64>> = vec![];
            for (i, &slot) in slots.iter().enumerate() {
                let window = &mut self.windows[slot as usize];
                let time = times.as_ref().map_or(0, |t| t[i]);
                match size {
                    WindowSize::Rows(n) => {
                        if window.len() == n {
                            window.pop(join);
                        }
                    }
                    WindowSize::Time(size) => {
                        let since = i128::from(time) * unit - i128::from(size);
                        while window.oldest().is_some_and(|t| i128::from(t) * unit <= since) {
                            window.pop(join);
                        }
                    }
                }
                let part = if valid(i) { single(values[i]) } else { Part::default() };
                window.push(time, part, join);
                let whole = window.fold(join);
                let enough = whole.n >= needed;
                match fold {
                    AggOp::Count => counts.push(Some(whole.n as i64)),
                    AggOp::Mean => {
                        let sum: T = of_bits(whole.value);
                        floats.push(enough.then(|| sum.to_f64() / whole.n as f64));
                    }
                    AggOp::Var(ddof) | AggOp::Std(ddof) => {
                        let free = whole.n as i64 - i64::from(*ddof);
                        let value = (enough && free > 0).then(|| whole.m2 / free as f64);
                        floats.push(if matches!(fold, AggOp::Std(_)) { value.map(f64::sqrt) } else { value });
                    }
                    _ => numbers.push(enough.then(|| of_bits(whole.value))),
                }
            }
            match fold {
                AggOp::Count => results(counts, &self.output),
                AggOp::Mean | AggOp::Var(_) | AggOp::Std(_) => results(floats, &self.output),
                _ => results(numbers, &self.output),
            }
        })
    }

    fn nbytes(&self) -> usize {
        let rows = |w: &Moving| (w.older.capacity() + w.newer.capacity()) * size_of::<(i64, Part)>();
        self.windows.iter().map(|w| rows(w) + size_of::<Moving>() + 8).sum()
    }
}

impl Rolling {
    /// The rows' times, which must not decrease within a group.
    fn times(&mut self, array: &ArrayRef, slots: &[u32]) -> Result<Vec<i64>> {
        let wrong =
            |message: String| -> Error { ErrorKind::Value { op: "rolling_by".into(), message }.into() };
        if array.logical_null_count() > 0 {
            return Err(wrong("a time is null; filter such rows, or fill them".into()));
        }
        let own =
            kernel_dtype(array.data_type()).ok_or_else(|| Error::internal("times of no kernel's type"))?;
        let times = values(array, own).cast(DType::I64).to_contiguous().as_slice::<i64>()?.to_vec();
        for (&time, &slot) in times.iter().zip(slots) {
            let last = &mut self.last[slot as usize];
            if time < *last {
                let message = format!(
                    "times decrease, from {last} to {time} ({}); sort by them first",
                    array.data_type()
                );
                return Err(wrong(message));
            }
            *last = time;
        }
        Ok(times)
    }
}
