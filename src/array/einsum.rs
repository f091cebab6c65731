//! `einsum`: sums of products, by names of axes.

use super::Array;
use super::products::product;
use crate::dtype::{DType, promote};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::op::{BinaryOp, ReduceOp};
use crate::shape::{AxisMap, IndexMap};
use std::panic::Location;

const OP: &str = "einsum";

/// The sum of products of arrays whose axes have letters as names: NumPy's `einsum`.
///
/// `"ij,jk->ik"` names the axes of each array, and those of the result. Axes of one name are walked together, so they must be equally long, or 1;
/// a name that the result lacks is summed over. Of an array with a name twice that is its diagonal. `...` stands for the axes that have no
/// names; they broadcast from the last. Without `->` the result has the names that are there once, in the order of the alphabet, behind what
/// `...` stands for.
///
/// Arrays are multiplied from left to right, each sum as soon as nothing else needs its axis: `einsum("ij,jk,kl->il", ..)` costs what
/// `a.matmul(b).matmul(c)` does, and is computed in the same way ([`Array::matmul`]: dtypes, memory, GPUs). Products of which no sum has rows and columns
/// are elementwise, and fuse.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for subscripts that are none or do not fit the arrays; the first error
/// that an array carries.
///
/// ```
/// use blockwise::array::einsum;
/// use blockwise::prelude::*;
/// let a = Array::arange(0, 6, 1).reshape(&[2, 3]);
/// let x = Array::from_vec(vec![1i64, 10, 100]);
/// assert_eq!(einsum("ij,j->i", &[a.clone(), x.clone()]).compute()?.as_slice::<i64>()?, [210, 543]);
/// // the sum of each row's squares, weighted
/// assert_eq!(einsum("ij,ij,j->i", &[a.clone(), a.clone(), x]).compute()?.as_slice::<i64>()?, [410, 2669]);
/// assert_eq!(einsum("ij->j", &[a]).compute()?.as_slice::<i64>()?, [3, 5, 7]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[track_caller]
pub fn einsum(subscripts: &str, arrays: &[Array]) -> Array {
    let at = Location::caller();
    let exprs = arrays.iter().map(|a| a.expr().cloned()).collect::<Result<Vec<_>>>();
    let expr = exprs.and_then(|exprs| sum_of_products(subscripts, exprs)).map_err(|e| e.at(at));
    Array { expr, meta: Default::default() }
}

/// The name of an axis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Label {
    /// One of those that `...` stands for, counted from the last.
    Hidden(usize),
    Letter(char),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::Hidden(k) => write!(f, "axis -{} of ...", k + 1),
            Label::Letter(c) => write!(f, "'{c}'"),
        }
    }
}

fn sum_of_products(subscripts: &str, exprs: Vec<Expr>) -> Result<Expr> {
    let (inputs, output) = parse(subscripts, &exprs)?;
    let lengths = Lengths::of(&inputs, &exprs)?;
    let d = exprs.iter().map(Expr::dtype).reduce(promote).unwrap_or(DType::F64);
    // products of halves are not rounded before they are summed
    let wide = if d == DType::F16 && exprs.len() > 1 { DType::F32 } else { d };
    let mut terms = vec![];
    for (expr, labels) in exprs.into_iter().zip(inputs) {
        let shape = expr.shape().to_vec();
        let own = |label| labels.iter().position(|other| *other == label).map_or(1, |k| shape[k]);
        let order: Vec<Label> =
            labels.iter().enumerate().filter(|(k, l)| !labels[..*k].contains(l)).map(|(_, l)| *l).collect();
        terms.push(Term { expr: expr.cast(wide)?, labels: labels.clone() }.placed(&order, own)?);
    }
    let mut rest = terms.into_iter();
    let mut all = rest.next().ok_or_else(|| Error::invalid(OP, "there is no array"))?;
    while let Some(next) = rest.next() {
        let needed = |label| output.contains(&label) || rest.as_slice().iter().any(|t| t.has(label));
        all = all.times(next, needed)?;
    }
    let all = all.summed(|label| output.contains(&label))?;
    all.placed(&output, |label| lengths.longest(label))?.expr.cast(d)
}

/// The names of the axes of each array, and of the result.
fn parse(subscripts: &str, exprs: &[Expr]) -> Result<(Vec<Vec<Label>>, Vec<Label>)> {
    let invalid = |message: String| Error::invalid(OP, format!("{message} in \"{subscripts}\""));
    let text: String = subscripts.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match text.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (&text[..], None),
    };
    let names: Vec<&str> = inputs.split(',').collect();
    if names.len() != exprs.len() {
        return Err(invalid(format!("{} arrays are given, {} are named", exprs.len(), names.len())));
    }
    let letters = |text: &str| -> Result<Vec<Label>> {
        match text.chars().find(|c| !c.is_ascii_alphabetic()) {
            Some(c) => Err(invalid(format!("'{c}' is no letter, comma, arrow or ellipsis"))),
            None => Ok(text.chars().map(Label::Letter).collect()),
        }
    };
    let hidden = |n: usize| (0..n).rev().map(Label::Hidden);
    let mut labels = vec![];
    let mut most = 0;
    for (n, (text, expr)) in names.into_iter().zip(exprs).enumerate() {
        let ndim = expr.ndim();
        let (before, after) = text.split_once("...").map_or((text, None), |(b, a)| (b, Some(a)));
        let (before, behind) = (letters(before)?, letters(after.unwrap_or(""))?);
        let without = ndim.checked_sub(before.len() + behind.len());
        let Some(without) = without.filter(|n| *n == 0 || after.is_some()) else {
            return Err(invalid(format!("array {n} has {ndim} axes, \"{text}\" names others")));
        };
        most = most.max(without);
        labels.push(before.into_iter().chain(hidden(without)).chain(behind).collect::<Vec<_>>());
    }
    let output: Vec<Label> = match output {
        Some(text) => match text.split_once("...") {
            Some((before, behind)) => {
                let (before, behind) = (letters(before)?, letters(behind)?);
                before.into_iter().chain(hidden(most)).chain(behind).collect()
            }
            None if most > 0 => return Err(invalid("the result has no ellipsis, an array has".into())),
            None => letters(text)?,
        },
        None => {
            let mut once: Vec<Label> = labels.iter().flatten().copied().collect();
            once.sort();
            let alone = |l: &Label| labels.iter().flatten().filter(|other| *other == l).count() == 1;
            once.retain(|label| matches!(label, Label::Letter(_)) && alone(label));
            hidden(most).chain(once).collect()
        }
    };
    for (n, label) in output.iter().enumerate() {
        if output[..n].contains(label) {
            return Err(invalid(format!("the result has {label} twice")));
        }
        if !labels.iter().any(|own| own.contains(label)) {
            return Err(invalid(format!("the result has {label}, no array has")));
        }
    }
    Ok((labels, output))
}

/// How long the axes of each name are, all arrays taken together.
struct Lengths(Vec<(Label, usize)>);

impl Lengths {
    fn of(labels: &[Vec<Label>], exprs: &[Expr]) -> Result<Lengths> {
        let mut all: Vec<(Label, usize)> = vec![];
        for (own, expr) in labels.iter().zip(exprs) {
            for (k, (&label, &n)) in own.iter().zip(expr.shape()).enumerate() {
                let differs = |a: usize, b: usize| {
                    Err(Error::invalid(OP, format!("axes called {label} have {a} and {b} elements")))
                };
                // a diagonal is one of equal axes
                if let Some(before) = own[..k].iter().position(|other| *other == label)
                    && expr.shape()[before] != n
                {
                    return differs(expr.shape()[before], n);
                }
                match all.iter_mut().find(|(other, _)| *other == label) {
                    None => all.push((label, n)),
                    Some((_, known)) if *known == n || n == 1 => {}
                    Some((_, known)) if *known == 1 => *known = n,
                    Some((_, known)) => return differs(*known, n),
                }
            }
        }
        Ok(Lengths(all))
    }

    fn longest(&self, label: Label) -> usize {
        self.0.iter().find(|(other, _)| *other == label).map_or(1, |(_, n)| *n)
    }
}

/// An array and the names of its axes.
struct Term {
    expr: Expr,
    labels: Vec<Label>,
}

impl Term {
    fn has(&self, label: Label) -> bool {
        self.labels.contains(&label)
    }

    fn length(&self, label: Label) -> Option<usize> {
        self.labels.iter().position(|other| *other == label).map(|k| self.expr.shape()[k])
    }

    /// The axes in an order that has all of them, those of one name as one. Axes of length 1, and those that it lacks, become as long as they are
    /// to be.
    fn placed(&self, order: &[Label], length: impl Fn(Label) -> usize) -> Result<Term> {
        let shape: Vec<usize> = order.iter().map(|&label| length(label)).collect();
        let walk = |(label, &n): (&Label, &usize)| {
            let place = order.iter().position(|other| other == label).filter(|&k| n == shape[k]);
            AxisMap { from: place.map(|k| k as u8), start: 0, step: isize::from(place.is_some()) }
        };
        let map = IndexMap::new(self.labels.iter().zip(self.expr.shape()).map(walk));
        Ok(Term { expr: self.expr.clone().view(map, &shape)?, labels: order.to_vec() })
    }

    /// The sum over the axes that nobody needs, in the same dtype.
    fn summed(self, needed: impl Fn(Label) -> bool) -> Result<Term> {
        let axes: Vec<usize> = (0..self.labels.len()).filter(|&k| !needed(self.labels[k])).collect();
        if axes.is_empty() {
            return Ok(self);
        }
        let d = self.expr.dtype();
        let op = if d == DType::Bool { ReduceOp::Any } else { ReduceOp::Sum };
        let expr = self.expr.reduce(op, &axes)?.cast(d)?;
        Ok(Term { expr, labels: self.labels.into_iter().filter(|&label| needed(label)).collect() })
    }

    /// The product with another, summed over the axes that nobody needs.
    fn times(self, other: Term, needed: impl Fn(Label) -> bool) -> Result<Term> {
        let a = self.summed(|label| needed(label) || other.has(label))?;
        let b = other.summed(|label| needed(label) || a.has(label))?;
        let (batch, contracted): (Vec<Label>, Vec<Label>) =
            a.labels.iter().filter(|l| b.has(**l)).partition(|l| needed(**l));
        let left: Vec<Label> = a.labels.iter().filter(|l| !b.has(**l)).copied().collect();
        let right: Vec<Label> = b.labels.iter().filter(|l| !a.has(**l)).copied().collect();
        let length =
            |label| [&a, &b].into_iter().filter_map(|term| term.length(label)).find(|n| *n != 1).unwrap_or(1);
        if contracted.is_empty() || left.is_empty() && right.is_empty() {
            let order = [batch, left, right, contracted].concat();
            let (a, b) = (a.placed(&order, length)?, b.placed(&order, length)?);
            return Term { expr: Expr::binary(BinaryOp::Mul, a.expr, b.expr)?, labels: order }.summed(needed);
        }
        let rows = a.placed(&[&batch[..], &left, &contracted].concat(), length)?;
        let cols = b.placed(&[&batch[..], &contracted, &right].concat(), length)?;
        let expr = product(rows.expr, cols.expr, batch.len(), contracted.len())?.cast(a.expr.dtype())?;
        Ok(Term { expr, labels: [batch, left, right].concat() })
    }
}
