//! Joins in terms of other joins: the side that is kept is always the right one.

use crate::error::{Error, Result};
use crate::expr::frame::{
    Expr, HASH, JoinKind, Named, Node, RelOp, Relation, SortKey, WindowColumn, WindowOp, col, is_text,
};
use arrow::datatypes::{DataType, Field};
use std::sync::Arc;

/// Keys of both sides, the other side's first.
pub fn swapped(on: &[(Expr, Expr)]) -> Vec<(Expr, Expr)> {
    on.iter().map(|(l, r)| (r.clone(), l.clone())).collect()
}

/// The result of a left join of `other` with `left` under the names of `r`, the join of `left` with `other`.
pub fn mirrored(r: &Relation) -> Result<Relation> {
    let Join { left, other, on, .. } = Join::of(r)?;
    let (hidden, on_hidden) = hidden(left, on)?;
    let joined = other.join(&hidden, JoinKind::Left, on_hidden, "")?;
    // a key of both sides is the right one's where the left has none
    under_names_of(r, &joined, |k, field| match shared_key(on, field.name()) {
        Some(key) => key.cast(field.data_type().clone()),
        None => col(hidden_name(k)),
    })
}

/// The inner join `r` of `left` with `other` with `left` as the side that is kept, put in the order of `left`.
pub fn reordered(r: &Relation) -> Result<Relation> {
    let Join { left, other, on, .. } = Join::of(r)?;
    let number = WindowColumn { name: "\0number".into(), op: WindowOp::RowNumber, inputs: vec![true.into()] };
    let (hidden, on_hidden) = hidden(&left.window(vec![number], vec![])?, on)?;
    let joined = other.join(&hidden, JoinKind::Inner, on_hidden, "")?;
    // of one left row the pairs stay in the order of the right rows
    let by = col(hidden_name(left.schema().fields().len()));
    let sorted = joined.sort(vec![SortKey { expr: by, descending: false, nulls_first: false }])?;
    under_names_of(r, &sorted, |k, _| col(hidden_name(k)))
}

/// Rows of the right side alone as rows of the join `r`.
pub fn renamed(r: &Relation, alone: &Relation) -> Result<Relation> {
    let Join { on, .. } = Join::of(r)?;
    under_names_of(r, alone, |_, field| {
        shared_key(on, field.name()).unwrap_or_else(Expr::null).cast(field.data_type().clone())
    })
}

/// The parts of a join.
struct Join<'a> {
    left: &'a Relation,
    other: &'a Relation,
    on: &'a [(Expr, Expr)],
    right: &'a [(usize, Arc<str>)],
}

impl Join<'_> {
    fn of(r: &Relation) -> Result<Join<'_>> {
        match (r.op(), r.inputs()) {
            (RelOp::Join { on, right, .. }, [left, other]) => Ok(Join { left, other, on, right }),
            _ => Err(Error::internal("no join")),
        }
    }
}

fn hidden_name(k: usize) -> String {
    format!("\0left {k}")
}

/// A left side with its keys, all under names that nothing else has; and the keys of a join with it.
fn hidden(left: &Relation, on: &[(Expr, Expr)]) -> Result<(Relation, Vec<(Expr, Expr)>)> {
    let fields = left.schema().fields().iter().enumerate();
    let hide =
        |(k, f): (usize, &Arc<Field>)| Named { name: hidden_name(k).as_str().into(), expr: col(f.name()) };
    let mut columns: Vec<Named> = fields.map(hide).collect();
    let mut keys = vec![];
    for (k, (l, r)) in on.iter().enumerate() {
        // a key that is a column has its name; so what is known of its order stays known
        let column = columns.iter().find(|c| same_column(&c.expr, l));
        let name = column.map_or_else(|| format!("\0key {k}").as_str().into(), |c| c.name.clone());
        if column.is_none() {
            columns.push(Named { name: name.clone(), expr: l.clone() });
        }
        keys.push((r.clone(), col(&name)));
    }
    Ok((left.project(columns)?, keys))
}

/// The columns of the join `r`, of rows that have the right side's columns; `left` gives those of the left side, by place and field.
fn under_names_of(r: &Relation, rows: &Relation, left: impl Fn(usize, &Field) -> Expr) -> Result<Relation> {
    let join = Join::of(r)?;
    let columns = r.schema().fields().iter().enumerate().map(|(k, field)| {
        let expr = match k.checked_sub(join.left.schema().fields().len()) {
            Some(k) => col(join.other.schema().field(join.right[k].0).name()),
            None => left(k, field),
        };
        Named { name: field.name().as_str().into(), expr }
    });
    rows.project(columns.collect())
}

/// The right key that is the result's column of this name, because both sides' keys have that name.
fn shared_key(on: &[(Expr, Expr)], name: &str) -> Option<Expr> {
    let is = |e: &Expr| matches!(e.node(), Node::Column(n) if **n == *name);
    on.iter().find(|(l, r)| is(l) && is(r)).map(|(_, r)| r.clone())
}

/// Whether both are one column.
fn same_column(a: &Expr, b: &Expr) -> bool {
    matches!((a.node(), b.node()), (Node::Column(a), Node::Column(b)) if a == b)
}

/// Whether both sides are in the order of the first of their keys.
pub fn are_in_order(left: &Relation, other: &Relation, on: &[(Expr, Expr)]) -> bool {
    let is_first =
        |r: &Relation, key: &Expr| r.sorted_by().first().is_some_and(|k| same_column(&k.expr, key));
    on.first().is_some_and(|(l, r)| is_first(left, l) && is_first(other, r))
}

/// How many of the keys, from the first on, are such that rows with equal ones follow each other: all of them, because the rows are in the order
/// of just these columns, or a hash that rows are in the order of. None otherwise: of other keys, a few of many may have too many groups.
pub fn follow_each_other(r: &Relation, keys: &[Named]) -> Option<usize> {
    let sorted = r.sorted_by();
    let is = |s: &SortKey, k: &Named| same_column(&s.expr, &k.expr);
    let first = sorted.get(..keys.len()).unwrap_or_default();
    let all = !first.is_empty()
        && keys.iter().all(|k| first.iter().any(|s| is(s, k)))
        && first.iter().all(|s| keys.iter().any(|k| is(s, k)));
    let is_hash = |(s, k): (&SortKey, &Named)| is(s, k) && same_column(&k.expr, &col(HASH));
    match sorted.first().zip(keys.first()) {
        _ if all => Some(keys.len()),
        Some(two) if is_hash(two) => Some(1),
        _ => None,
    }
}

/// Whether the left rows surely fit into the room for a table, and are few beside the right ones, which would not fit.
pub fn is_small_beside(left: &Relation, other: &Relation, room: u64) -> bool {
    let bytes = |r: &Relation| Some(most_rows(r)? as f64 * row_bytes(r));
    match (bytes(left), bytes(other)) {
        (Some(left), Some(other)) => left * 8.0 < other && left * 2.0 < room as f64 && other > room as f64,
        _ => false,
    }
}

/// The most rows that a relation can have, if that is known before it runs; as it happens also a guess of how many it has.
fn most_rows(r: &Relation) -> Option<usize> {
    let below = |k: usize| most_rows(&r.inputs()[k]);
    match r.op() {
        RelOp::Scan { source, .. } => source.rows(),
        RelOp::Project(_) | RelOp::Filter(_) | RelOp::Sort(_) | RelOp::Distinct(_) => below(0),
        RelOp::Aggregate { .. } | RelOp::Window { .. } => below(0),
        RelOp::Slice { len, .. } | RelOp::Tail(len) => below(0).map(|n| n.min(*len)),
        RelOp::Concat => (0..r.inputs().len()).map(below).sum(),
        RelOp::Join { kind: JoinKind::Semi | JoinKind::Anti, .. } => below(0),
        RelOp::Runs(runs) if runs.function.is_none() => below(0),
        RelOp::Join { .. } | RelOp::MapBatches(_) | RelOp::Runs(_) => None,
    }
}

/// About the bytes of a row, and of its place in a table.
fn row_bytes(r: &Relation) -> f64 {
    let width = |f: &Arc<Field>| match f.data_type() {
        DataType::Dictionary(..) => 4.0,
        t if is_text(t) => 24.0,
        t => t.primitive_width().map_or(32.0, |w| w as f64),
    };
    40.0 + r.schema().fields().iter().map(width).sum::<f64>()
}
