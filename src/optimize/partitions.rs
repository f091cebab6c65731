//! Groups and joins of rows that are partitioned by a hash of their keys already.
//!
//! Such rows are in the order of the hash. So the hash becomes the first key: groups are then finished as rows come, and the sides of a
//! join meet as they come, as if rows were sorted by the keys.

use crate::error::Result;
use crate::expr::frame::{Expr, HASH, JoinKind, Named, Node, RelOp, Relation, col};
use std::sync::Arc;

/// The relation with hashes among its keys, wherever its inputs have them.
pub fn use_partitions(r: &Relation) -> Result<Relation> {
    let inputs = r.inputs().iter().map(use_partitions).collect::<Result<Vec<_>>>()?;
    let r = if inputs.is_empty() { r.clone() } else { r.with_inputs(inputs)? };
    let keyed = match r.op() {
        RelOp::Aggregate { keys, aggregates } => match r.inputs()[0].with_hashes() {
            Some((rows, by)) if by.iter().all(|b| keys.iter().any(|k| is_column(&k.expr, b))) => {
                let hash = Named { name: HASH.into(), expr: col(HASH) };
                rows.aggregate([hash].into_iter().chain(keys.iter().cloned()).collect(), aggregates.clone())?
            }
            _ => return Ok(r),
        },
        RelOp::Join { kind, on, .. } if *kind != JoinKind::Cross => match both_hashed(&r, on) {
            Some((left, right)) => {
                let on = [(col(HASH), col(HASH))].into_iter().chain(on.iter().cloned()).collect();
                r.with_keys(vec![left, right], on)?
            }
            None => return Ok(r),
        },
        _ => return Ok(r),
    };
    let column = |name: &str| Named { name: name.into(), expr: col(name) };
    keyed.project(r.schema().fields().iter().map(|f| column(f.name())).collect())
}

/// Both sides of a join with their hashes, if those are of the same keys in the same order, of the same types.
fn both_hashed(r: &Relation, on: &[(Expr, Expr)]) -> Option<(Relation, Relation)> {
    let (left, right) = (&r.inputs()[0], &r.inputs()[1]);
    let ((left_rows, left_by), (right_rows, right_by)) = (left.with_hashes()?, right.with_hashes()?);
    let data_type =
        |r: &Relation, name: &str| r.schema().field_with_name(name).ok().map(|f| f.data_type().clone());
    let meet = |(a, b): (&Arc<str>, &Arc<str>)| {
        on.iter().any(|(l, r)| is_column(l, a) && is_column(r, b))
            && data_type(left, a) == data_type(right, b)
    };
    (left_by.len() == right_by.len() && left_by.iter().zip(&right_by).all(meet))
        .then_some((left_rows, right_rows))
}

fn is_column(e: &Expr, name: &str) -> bool {
    matches!(e.node(), Node::Column(n) if **n == *name)
}
