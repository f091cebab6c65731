//! Elements chosen from several arrays: `select`, `choose`, `piecewise`.

use super::operators::{Operand, combine, common_dtype};
use super::{Array, IntoArray, where_};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::Expr;
use std::panic::Location;

/// What [`Array::choose`] does with an index that names no choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutOfRange {
    /// An error when computed.
    Raise,
    /// Counts on from the other end: `index mod n`.
    Wrap,
    /// The first or the last choice.
    Clip,
}

/// The element of the first choice whose condition holds, else `default`: NumPy's `select`.
///
/// Conditions are bool. Everything broadcasts to one shape; choices and default are promoted to one dtype. One fused pass in which every
/// choice is computed everywhere.
///
/// # Errors
/// No condition, another number of choices, a condition that is not bool, shapes that do not broadcast.
///
/// ```
/// use blockwise::array::select;
/// use blockwise::prelude::*;
/// let x = Array::arange(0, 6, 1);
/// let y = select(&[x.lt(2), x.gt(3)], &[-&x, &x * &x], 100);
/// assert_eq!(y.compute()?.as_slice::<i64>()?, [0, -1, 100, 100, 16, 25]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn select(conditions: &[Array], choices: &[Array], default: impl IntoArray) -> Array {
    let at = Location::caller();
    if conditions.is_empty() || conditions.len() != choices.len() {
        let message = format!("{} conditions for {} choices", conditions.len(), choices.len());
        return Array::failed(Error::invalid("select", message), at);
    }
    if let Some(c) = conditions.iter().find(|c| c.expr.is_ok() && c.dtype() != DType::Bool) {
        let hint = "compare to make a condition".into();
        return Array::failed(ErrorKind::DType { op: "select".into(), dtype: c.dtype(), hint }.into(), at);
    }
    let choices: Vec<Operand> = choices.iter().map(IntoArray::into_operand).collect();
    let default = default.into_operand();
    let all: Vec<Operand> = choices.iter().chain([&default]).cloned().collect();
    let d = common_dtype(&all);
    first_of("select", conditions.iter().cloned().zip(choices), default, d, at)
}

/// The first of the pairs whose condition holds, else `default`.
fn first_of(
    op: &'static str,
    pairs: impl DoubleEndedIterator<Item = (Array, Operand)>,
    default: Operand,
    d: DType,
    at: &'static Location<'static>,
) -> Array {
    let chosen = pairs.rev().fold(default, |rest, (condition, choice)| {
        let operands = [Operand::Array(condition), choice, rest];
        Operand::Array(combine(op, operands, [DType::Bool, d, d], at, |[c, a, b]| Expr::select(c, a, b)))
    });
    match chosen {
        Operand::Array(a) => a,
        Operand::Number(n) => Array::scalar(n.cast(d)),
    }
}

impl Array {
    /// The element of the choice that this array of integers numbers: NumPy's `choose`.
    ///
    /// Index and choices broadcast to one shape; choices are promoted to one dtype. One pass in which every choice is computed everywhere:
    /// for a few choices; use [`Array::take`] on a table for many.
    ///
    /// # Errors
    /// No choice, an index that is a float, shapes that do not broadcast. When computed with [`OutOfRange::Raise`]: an index that names no
    /// choice.
    ///
    /// ```
    /// use blockwise::array::OutOfRange;
    /// use blockwise::prelude::*;
    /// let index = Array::from_vec(vec![0u8, 1, 1, 2]);
    /// let choices = [Array::arange(0, 4, 1), Array::arange(10, 14, 1)];
    /// assert_eq!(index.choose(&choices, OutOfRange::Clip).compute()?.as_slice::<i64>()?, [0, 11, 12, 13]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn choose(&self, choices: &[Array], out_of_range: OutOfRange) -> Array {
        let at = Location::caller();
        if choices.is_empty() {
            return Array::failed(Error::invalid("choose", "needs at least one choice"), at);
        }
        if self.expr.is_ok() && self.dtype().is_float() {
            let hint = "cast it to an integer".into();
            return Array::failed(
                ErrorKind::DType { op: "choose".into(), dtype: self.dtype(), hint }.into(),
                at,
            );
        }
        let n = choices.len() as i64;
        // what i64 cannot hold is out of range all the same
        let wide = if self.dtype() == DType::U64 { self.clone() } else { self.cast(DType::I64) };
        let index = match out_of_range {
            OutOfRange::Wrap => wide.remainder(n).cast(DType::I64),
            OutOfRange::Clip => wide.clip(0, n - 1).cast(DType::I64),
            OutOfRange::Raise => self.index_below("choose", choices.len()),
        };
        let operands: Vec<Operand> = choices.iter().map(IntoArray::into_operand).collect();
        let d = common_dtype(&operands);
        let numbered = operands.iter().enumerate().map(|(k, c)| (index.equal(k as i64), c.clone()));
        let numbered: Vec<(Array, Operand)> = numbered.collect();
        let (last, others) = match numbered.split_last() {
            Some(((_, last), others)) => (last.clone(), others),
            None => return self.clone(),
        };
        if others.is_empty() {
            // the only choice, still of the index' shape
            return first_of("choose", numbered.into_iter(), last, d, at);
        }
        first_of("choose", others.iter().cloned(), last, d, at)
    }

    /// Another function of the array wherever a condition holds: NumPy's `piecewise`. Where several hold, the last one counts; where none
    /// does, the function after the last condition's, or 0. The dtype stays.
    ///
    /// Conditions and the functions' results broadcast to the array. Every function is applied everywhere and its elements are chosen
    /// afterwards, in one fused pass; one that ignores its argument stands for an array.
    ///
    /// # Errors
    /// Neither as many functions as conditions nor one more, or shapes that do not broadcast to the array's.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![-2.0f32, -1.0, 0.0, 4.0]);
    /// let y = x.piecewise(&[x.lt(0), x.gt(0)], &[&|x| -x, &|x| x.sqrt(), &|x| x + 10]);
    /// assert_eq!(y.compute()?.as_slice::<f32>()?, [2.0, 1.0, 10.0, 2.0]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn piecewise(&self, conditions: &[Array], functions: &[&dyn Fn(&Array) -> Array]) -> Array {
        let at = Location::caller();
        self.try_piecewise(conditions, functions).unwrap_or_else(|e| Array::failed(e, at))
    }

    #[track_caller]
    fn try_piecewise(&self, conditions: &[Array], functions: &[&dyn Fn(&Array) -> Array]) -> Result<Array> {
        let shape = self.expr()?.shape();
        let otherwise = functions.get(conditions.len());
        if functions.len() != conditions.len() + usize::from(otherwise.is_some()) {
            let message = format!("{} functions for {} conditions", functions.len(), conditions.len());
            return Err(Error::invalid("piecewise", message));
        }
        // no closures: their errors would name a line of this file
        let mut out = match otherwise {
            Some(f) => f(self).cast(self.dtype()).broadcast_to(shape),
            None => self.zeros_like(),
        };
        for (condition, f) in conditions.iter().zip(functions) {
            let piece = f(self).cast(self.dtype()).broadcast_to(shape);
            out = where_(condition.broadcast_to(shape), piece, out);
        }
        Ok(Array { expr: Ok(out.expr()?.clone()), meta: self.meta.clone() })
    }
}
