//! Filters and columns move towards what is read.
//!
//! After keys were chosen (`use_partitions`) two passes, each from the result down. `push_filters` splits every filter at its `and`s and takes each part below projections,
//! sorts, other filters, joins and groups as far as it means the same there. `prune` gives every operation only the columns that
//! something above it uses, so that a scan reads no other. A filter that reaches a scan also tells the source which rows are wanted.

use super::bounds::bound_of;
use super::constants::truth;
use super::partitions::use_partitions;
use super::{codes, inline};
use crate::block::MemoryBatches;
use crate::error::Result;
use crate::expr::frame::{
    Aggregate, Expr, Function, JoinKind, Literal, Named, Node, RelOp, Relation, SortKey, WindowColumn, col,
    in_pairs,
};
use crate::op::BinaryOp;
use arrow::datatypes::{DataType, Schema};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// A relation of the same rows that does less.
///
/// # Errors
/// Those of resolving expressions: defects, since they resolved before.
pub fn optimize(r: &Relation) -> Result<Relation> {
    let pushed = push_filters(&use_partitions(r)?, vec![])?;
    let wanted = pushed.schema().fields().iter().map(|f| f.name().as_str().into()).collect();
    prune(&pushed, &wanted)
}

pub(super) type Names = BTreeSet<Arc<str>>;

/// The columns that an expression uses.
pub(super) fn uses(e: &Expr, into: &mut Names) {
    into.extend(e.all_parts().into_iter().filter_map(|part| match part.node() {
        Node::Column(name) => Some(name.clone()),
        _ => None,
    }));
}

fn used(e: &Expr) -> Names {
    let mut names = Names::new();
    uses(e, &mut names);
    names
}

/// The expression with columns replaced; none if something in it may not be done twice or elsewhere.
pub(super) fn substitute(e: &Expr, by: &dyn Fn(&str) -> Option<Expr>) -> Option<Expr> {
    let e = match e.node() {
        Node::Alias(_, x) => x,
        _ => e,
    };
    let replaced = e.replaced(|part| match part.node() {
        // a bare number would take the types of what it meets there
        Node::Column(name) => by(name).filter(|e| !is_weak(e)).map(Some).ok_or(()),
        Node::Failed(_) | Node::Aggregate(..) | Node::Window(..) => Err(()),
        Node::Function(Function::User(_), _) => Err(()),
        _ => Ok(None),
    });
    // together they may be nested too deeply
    replaced.ok().filter(|e| e.all_parts().iter().all(|part| !matches!(part.node(), Node::Failed(_))))
}

/// Whether an expression is a value without a type of its own.
fn is_weak(e: &Expr) -> bool {
    match e.node() {
        Node::Literal(Literal::Typed(..)) => false,
        Node::Literal(_) => true,
        Node::Alias(_, x) | Node::Cast(_, x) => is_weak(x),
        _ => false,
    }
}

/// The conditions that a mask joins by `and`, each once.
fn split(mask: &Expr, into: &mut Vec<Expr>) {
    let mut seen = HashSet::new();
    let mut left = vec![mask];
    while let Some(mask) = left.pop() {
        match mask.node() {
            _ if !seen.insert(mask.address()) => {}
            // a row stays if both are true: neither false nor null
            Node::Binary(BinaryOp::And, a, b) => left.extend([b, a]),
            Node::Alias(_, x) => left.push(x),
            Node::Literal(Literal::Number(s)) if s.bits() == 1 => {}
            Node::Literal(Literal::Null) => into.push(mask.cast(DataType::Boolean)),
            _ => into.push(mask.clone()),
        }
    }
}

/// Whether a mask must not see rows that an earlier one takes away.
fn is_strict(mask: &Expr, schema: &Schema) -> Result<bool> {
    Ok(mask.resolve(schema)?.is_strict())
}

/// The relation's rows for which all masks are true: in one filter, but for those that must see what earlier ones left.
fn filtered(mut r: Relation, masks: Vec<Expr>) -> Result<Relation> {
    let mut together: Vec<Expr> = vec![];
    let all = |masks: Vec<Expr>| in_pairs(masks, |a, b| a.and(b));
    for mask in masks {
        if is_strict(&mask, r.schema())?
            && let Some(before) = all(std::mem::take(&mut together))
        {
            r = r.filter(before)?;
        }
        together.push(mask);
    }
    all(together).map_or(Ok(r.clone()), |mask| r.filter(mask))
}

/// The relation's rows for which all masks are true.
fn push_filters(r: &Relation, mut masks: Vec<Expr>) -> Result<Relation> {
    match r.op() {
        RelOp::Filter(mask) => {
            // the lower filter's parts go first: later ones may rely on it
            let mut all = vec![];
            split(mask, &mut all);
            let truths: Vec<Option<bool>> = all.iter().map(|m| truth(m, r.schema())).collect();
            if truths.contains(&Some(false)) {
                // not a row is read
                return Relation::scan(Arc::new(MemoryBatches::new(r.schema().clone(), vec![])));
            }
            let mut known = truths.into_iter();
            all.retain(|_| known.next() == Some(None));
            all.append(&mut masks);
            push_filters(&r.inputs()[0], all)
        }
        RelOp::Project(columns) => {
            let by = |name: &str| columns.iter().find(|c| *c.name == *name).map(|c| c.expr.clone());
            let (mut below, mut above) = (vec![], vec![]);
            for mask in masks {
                match substitute(&mask, &by) {
                    Some(m) if above.is_empty() => below.push(m),
                    _ => above.push(mask),
                }
            }
            // a column that may fail must not see rows that were filtered out before, and sees fewer now: fine
            filtered(push_filters(&r.inputs()[0], below)?.project(columns.clone())?, above)
        }
        RelOp::Sort(by) => push_filters(&r.inputs()[0], masks)?.sort(by.clone()),
        RelOp::Concat => {
            let parts =
                r.inputs().iter().map(|i| push_filters(i, masks.clone())).collect::<Result<Vec<_>>>()?;
            Relation::concat(&parts)
        }
        RelOp::Aggregate { keys, aggregates } => {
            // a mask of keys alone takes away whole groups; a float in a group's rows may be -0.0, or a NaN of other bits, where its key is not
            let of_floats =
                |name: &str| r.schema().field_with_name(name).is_ok_and(|f| f.data_type().is_floating());
            let by = |name: &str| {
                keys.iter().find(|k| *k.name == *name && !of_floats(name)).map(|k| k.expr.clone())
            };
            let (mut below, mut above) = (vec![], vec![]);
            for mask in masks {
                let may_pass = above.is_empty() || !is_strict(&mask, r.schema())?;
                match substitute(&mask, &by).filter(|_| may_pass) {
                    Some(m) if !used(&mask).is_empty() => below.push(m),
                    _ => above.push(mask),
                }
            }
            let input = push_filters(&r.inputs()[0], below)?;
            filtered(inline::aggregate(&input, keys, aggregates)?, above)
        }
        RelOp::Join { kind, right, .. } => {
            let (left_schema, other) = (r.inputs()[0].schema(), &r.inputs()[1]);
            let left_names: Names = left_schema.fields().iter().map(|f| f.name().as_str().into()).collect();
            let of_right = |name: &str| {
                let found = right.iter().find(|(_, n)| **n == *name);
                found.map(|(c, _)| col(other.schema().field(*c).name()))
            };
            let (mut to_left, mut to_right, mut above) = (vec![], vec![], vec![]);
            for mask in masks {
                let keeps_left = !matches!(kind, JoinKind::Right | JoinKind::Full);
                let keeps_right = matches!(kind, JoinKind::Inner | JoinKind::Cross);
                let strict = is_strict(&mask, r.schema())?;
                if keeps_left && !strict && used(&mask).is_subset(&left_names) {
                    to_left.push(mask);
                } else if let Some(m) = substitute(&mask, &of_right).filter(|_| keeps_right && !strict) {
                    to_right.push(m);
                } else {
                    above.push(mask);
                }
            }
            let left = push_filters(&r.inputs()[0], to_left)?;
            let other = push_filters(other, to_right)?;
            filtered(r.with_inputs(vec![left, other])?, above)
        }
        RelOp::Scan { source, columns } => {
            // the masks stay: a source leaves out what it is certain of, and only that
            let bound = bound_of(&masks, source.schema());
            let scan = match bound.and_then(|bound| source.narrowed(&bound)) {
                Some(narrowed) => Relation::scan_columns(narrowed, columns.clone()),
                None => r.clone(),
            };
            filtered(scan, masks)
        }
        RelOp::Slice { .. }
        | RelOp::Tail(_)
        | RelOp::Distinct(_)
        | RelOp::Window { .. }
        | RelOp::Runs(_)
        | RelOp::MapBatches(_) => {
            let input = push_filters(&r.inputs()[0], vec![])?;
            filtered(r.with_inputs(vec![input])?, masks)
        }
    }
}

/// The relation with at least these columns, in its order, and few others.
fn prune(r: &Relation, wanted: &Names) -> Result<Relation> {
    match r.op() {
        RelOp::Scan { source, columns } => {
            let kept = columns
                .iter()
                .copied()
                .filter(|&c| wanted.contains(source.schema().field(c).name().as_str()));
            Ok(Relation::scan_columns(source.clone(), kept.collect()))
        }
        RelOp::Project(columns) => {
            let kept: Vec<Named> = columns.iter().filter(|c| wanted.contains(&c.name)).cloned().collect();
            let mut below = Names::new();
            kept.iter().for_each(|c| uses(&c.expr, &mut below));
            let input = prune(&r.inputs()[0], &below)?;
            // a projection of every column as it is does nothing
            let same = kept.len() == input.schema().fields().len()
                && kept.iter().zip(input.schema().fields()).all(|(c, f)| {
                    c.name.as_ref() == f.name()
                        && matches!(c.expr.node(), Node::Column(n) if **n == **f.name())
                });
            if same { Ok(input) } else { input.project(kept) }
        }
        RelOp::Filter(mask) => {
            let mut below = wanted.clone();
            uses(mask, &mut below);
            prune(&r.inputs()[0], &below)?.filter(mask.clone())
        }
        RelOp::Aggregate { keys, aggregates } => {
            let kept: Vec<Aggregate> =
                aggregates.iter().filter(|a| wanted.contains(&a.name)).cloned().collect();
            let mut below = Names::new();
            keys.iter().for_each(|k| uses(&k.expr, &mut below));
            kept.iter().for_each(|a| uses(&a.input, &mut below));
            codes::aggregate(&prune(&r.inputs()[0], &below)?, keys, &kept)
        }
        RelOp::Sort(by) => {
            let mut below = wanted.clone();
            by.iter().for_each(|k: &SortKey| uses(&k.expr, &mut below));
            prune(&r.inputs()[0], &below)?.sort(by.clone())
        }
        RelOp::Slice { offset, len } => Ok(prune(&r.inputs()[0], wanted)?.slice(*offset, *len)),
        RelOp::Window { columns, keys } => {
            let kept: Vec<WindowColumn> =
                columns.iter().filter(|c| wanted.contains(&c.name)).cloned().collect();
            let mut below: Names =
                wanted.iter().filter(|n| columns.iter().all(|c| c.name != **n)).cloned().collect();
            kept.iter().flat_map(|c| &c.inputs).for_each(|e| uses(e, &mut below));
            keys.iter().for_each(|k| uses(k, &mut below));
            let input = prune(&r.inputs()[0], &below)?;
            if kept.is_empty() { Ok(input) } else { input.window(kept, keys.clone()) }
        }
        RelOp::Tail(len) => Ok(prune(&r.inputs()[0], wanted)?.tail(*len)),
        RelOp::Concat => {
            // all parts must keep the same columns in the same order
            let parts = r.inputs().iter().map(|i| {
                let pruned = prune(i, wanted)?;
                let keep = r.schema().fields().iter().filter(|f| wanted.contains(f.name().as_str()));
                let columns: Vec<Named> =
                    keep.map(|f| Named { name: f.name().as_str().into(), expr: col(f.name()) }).collect();
                let same = pruned
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| f.name().as_str())
                    .eq(columns.iter().map(|c| &*c.name));
                if same { Ok(pruned) } else { pruned.project(columns) }
            });
            Relation::concat(&parts.collect::<Result<Vec<_>>>()?)
        }
        RelOp::Distinct(on) => {
            let mut below = wanted.clone();
            let names: Vec<&str> = on.iter().map(|&c| r.schema().field(c).name().as_str()).collect();
            below.extend(names.iter().map(|&n| Arc::from(n)));
            prune(&r.inputs()[0], &below)?.distinct(&names)
        }
        RelOp::Join { on, right, .. } => {
            let (mut left, mut other) = (Names::new(), Names::new());
            for (a, b) in on {
                uses(a, &mut left);
                uses(b, &mut other);
            }
            let schemas = (r.inputs()[0].schema(), r.inputs()[1].schema());
            left.extend(
                schemas
                    .0
                    .fields()
                    .iter()
                    .map(|f| Arc::from(f.name().as_str()))
                    .filter(|n| wanted.contains(n)),
            );
            let taken = right.iter().filter(|(_, name)| wanted.contains(name));
            other.extend(taken.map(|(c, _)| Arc::from(schemas.1.field(*c).name().as_str())));
            r.with_inputs(vec![prune(&r.inputs()[0], &left)?, prune(&r.inputs()[1], &other)?])
        }
        // the last column is the number of the run
        RelOp::Runs(runs) if runs.function.is_none() => {
            let mut below = wanted.clone();
            below.extend(r.inputs()[0].schema().fields().last().map(|f| Arc::from(f.name().as_str())));
            r.with_inputs(vec![prune(&r.inputs()[0], &below)?])
        }
        RelOp::MapBatches(_) | RelOp::Runs(_) => {
            let all = r.inputs()[0].schema().fields().iter().map(|f| f.name().as_str().into()).collect();
            r.with_inputs(vec![prune(&r.inputs()[0], &all)?])
        }
    }
}
