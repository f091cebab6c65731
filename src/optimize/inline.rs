//! Projections below groups become part of what is grouped: one kernel computes and folds, and no column is made in between.

use super::frame::substitute;
use crate::error::Result;
use crate::expr::frame::{Aggregate, Expr, Named, RelOp, Relation};

/// Nodes of expressions that are put into one: a column that is used many times is better made once.
const MOST: usize = 1 << 9;

/// Groups and their folds of a relation, without the projections that they can do themselves.
pub(super) fn aggregate(input: &Relation, keys: &[Named], aggregates: &[Aggregate]) -> Result<Relation> {
    match inlined(input, keys, aggregates) {
        Some((keys, aggregates)) => aggregate(&input.inputs()[0], &keys, &aggregates),
        None => input.aggregate(keys.to_vec(), aggregates.to_vec()),
    }
}

/// The same keys and folds in terms of what a projection is made of.
fn inlined(
    input: &Relation,
    keys: &[Named],
    aggregates: &[Aggregate],
) -> Option<(Vec<Named>, Vec<Aggregate>)> {
    let RelOp::Project(columns) = input.op() else { return None };
    let by = |name: &str| columns.iter().find(|c| *c.name == *name).map(|c| c.expr.clone());
    let key = |k: &Named| Some(Named { expr: substitute(&k.expr, &by)?, ..k.clone() });
    let fold = |a: &Aggregate| Some(Aggregate { input: substitute(&a.input, &by)?, ..a.clone() });
    let keys = keys.iter().map(key).collect::<Option<Vec<_>>>()?;
    let aggregates = aggregates.iter().map(fold).collect::<Option<Vec<_>>>()?;
    let mut room = MOST;
    let all = keys.iter().map(|k| &k.expr).chain(aggregates.iter().map(|a| &a.input));
    all.into_iter().all(|e| is_within(e, &mut room)).then_some((keys, aggregates))
}

/// Whether an expression has no more nodes than there is room for.
fn is_within(e: &Expr, room: &mut usize) -> bool {
    match room.checked_sub(1) {
        Some(left) => {
            *room = left;
            e.children().into_iter().all(|c| is_within(c, room))
        }
        None => false,
    }
}
