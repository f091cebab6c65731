//! What is known of the order and the partitions of a relation's rows.

use super::column::{Expr, Node, col};
use super::relation::{JoinKind, Named, RelOp, Relation, SortKey};
use super::resolve::name_of;
use std::fmt;
use std::sync::Arc;

/// How rows are cut into partitions; see [`DataFrame::repartition`](crate::frame::DataFrame::repartition).
#[derive(Clone, Debug)]
pub enum Partition {
    /// As they come, so many each; the last may have fewer.
    Rows(usize),
    /// As they come, into so many of about one length.
    Count(usize),
    /// By a hash of keys, into so many: rows with equal keys are in one.
    Hash(Vec<Expr>, usize),
    /// In the order of keys, into so many ranges of them of about one length: rows with equal keys are in one.
    Range(Vec<SortKey>, usize),
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |keys: Vec<String>| keys.join(", ");
        match self {
            Partition::Rows(n) => write!(f, "{n} rows each"),
            Partition::Count(n) => write!(f, "{n} of one length"),
            Partition::Hash(keys, n) => {
                write!(f, "{n} by a hash of {}", list(keys.iter().map(Expr::to_string).collect()))
            }
            Partition::Range(keys, n) => {
                write!(f, "{n} ranges of {}", list(keys.iter().map(|k| k.expr.to_string()).collect()))
            }
        }
    }
}

/// The name under which a projection has a column, if it has it as it is.
fn renamed(columns: &[Named], e: &Expr) -> Option<Expr> {
    let Node::Column(old) = e.node() else { return None };
    let same = |c: &&Named| match c.expr.node() {
        Node::Column(name) => name == old,
        Node::Alias(_, x) => matches!(x.node(), Node::Column(name) if name == old),
        _ => false,
    };
    columns.iter().find(same).map(|c| col(&c.name))
}

impl Relation {
    /// The keys by which the rows are in order, the first one first; none if nothing is known.
    pub fn sorted_by(&self) -> Vec<SortKey> {
        let below = || self.inputs()[0].sorted_by();
        match self.op() {
            RelOp::Sort(by) => by.clone(),
            RelOp::Filter(_) | RelOp::Slice { .. } | RelOp::Tail(_) | RelOp::Distinct(_) => below(),
            RelOp::Window { .. } => below(),
            RelOp::Runs(runs) if runs.function.is_none() => below(),
            RelOp::Join { kind: JoinKind::Inner | JoinKind::Left, .. } => below(),
            RelOp::Join { kind: JoinKind::Semi | JoinKind::Anti | JoinKind::Cross, .. } => below(),
            RelOp::Project(columns) => below()
                .into_iter()
                .map_while(|k| Some(SortKey { expr: renamed(columns, &k.expr)?, ..k }))
                .collect(),
            _ => vec![],
        }
    }

    /// Names of columns of which all rows with equal values follow each other within one partition, so that groups of them, or of them and
    /// others, need no rows of other partitions; none if nothing is known.
    pub fn partitioned_by(&self) -> Vec<Arc<str>> {
        self.partition_keys().iter().filter_map(name_of).collect()
    }

    fn partition_keys(&self) -> Vec<Expr> {
        let below = || self.inputs()[0].partition_keys();
        match self.op() {
            RelOp::Runs(runs) if runs.function.is_none() => match &runs.partition {
                Some(Partition::Hash(keys, _)) => keys.clone(),
                Some(Partition::Range(keys, _)) => keys.iter().map(|k| k.expr.clone()).collect(),
                _ => vec![],
            },
            RelOp::Filter(_) | RelOp::Slice { .. } | RelOp::Window { .. } => below(),
            // without one of the keys, equal rows may be in several partitions
            RelOp::Project(columns) => {
                below().iter().map(|k| renamed(columns, k)).collect::<Option<_>>().unwrap_or_default()
            }
            _ => vec![],
        }
    }

    /// Whether the rows are in this order already.
    pub(super) fn is_sorted_by(&self, by: &[SortKey]) -> bool {
        let known = self.sorted_by();
        let same = |(a, b): (&SortKey, &SortKey)| {
            let column = |k: &SortKey| match k.expr.node() {
                Node::Column(name) => Some(name.clone()),
                _ => None,
            };
            column(a).is_some()
                && column(a) == column(b)
                && (a.descending, a.nulls_first) == (b.descending, b.nulls_first)
        };
        by.len() <= known.len() && known.iter().zip(by).all(same)
    }
}
