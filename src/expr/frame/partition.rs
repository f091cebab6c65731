//! What is known of the order and the partitions of a relation's rows.

use super::column::{Expr, Node, col};
use super::relation::{JoinKind, Named, RelOp, Relation, SortKey};
use super::resolve::name_of;
use std::fmt;
use std::sync::Arc;

/// The number of a row's partition or group: the last column of what runs are made of.
pub(crate) const NUMBER: &str = "\0run";
/// A hash of the keys that partitions go by: rows of such partitions are in its order.
pub(crate) const HASH: &str = "\0hash";

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

    /// Names of columns such that all rows with equal values in them are in one partition, and a partition's rows follow each other: groups by
    /// them, or by them and others, need no rows of other partitions. None if nothing is known.
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
            RelOp::Filter(_) | RelOp::Slice { .. } | RelOp::Tail(_) => below(),
            RelOp::Window { .. } | RelOp::Distinct(_) => below(),
            // without one of the keys, equal rows may be in several partitions
            RelOp::Project(columns) => {
                below().iter().map(|k| renamed(columns, k)).collect::<Option<_>>().unwrap_or_default()
            }
            _ => vec![],
        }
    }

    /// The rows of a relation with partitions, and of each the number of its partition as a last column; and how they were cut. None if
    /// something since was more than a function of rows by themselves.
    pub(crate) fn with_partition_numbers(&self) -> Option<(Relation, Partition)> {
        self.beside(NUMBER, &|cut| Some(cut.clone()))
    }

    /// The rows of a relation that is partitioned by a hash, in its order, and the hash as a last column; and the names of the columns that it
    /// is of.
    pub(crate) fn with_hashes(&self) -> Option<(Relation, Vec<Arc<str>>)> {
        let keys = self.partition_keys();
        let names: Vec<_> =
            keys.iter().filter(|k| matches!(k.node(), Node::Column(_))).filter_map(name_of).collect();
        if names.is_empty() || names.len() < keys.len() {
            return None;
        }
        // the number of the partition is made of the hash
        let below =
            |cut: &Relation| cut.inputs().first().filter(|r| r.schema().index_of(HASH).is_ok()).cloned();
        match self.beside(HASH, &below)? {
            (rows, Partition::Hash(..)) => Some((rows, names)),
            _ => None,
        }
    }

    /// The relation made of what its partitions were made of, with a column of that beside its own.
    fn beside(
        &self,
        name: &str,
        of: &dyn Fn(&Relation) -> Option<Relation>,
    ) -> Option<(Relation, Partition)> {
        let below = || self.inputs()[0].beside(name, of);
        match self.op() {
            RelOp::Runs(runs) if runs.function.is_none() => {
                Some((of(&self.inputs()[0])?, runs.partition.clone()?))
            }
            RelOp::Filter(mask) => {
                let (rows, by) = below()?;
                Some((rows.filter(mask.clone()).ok()?, by))
            }
            RelOp::Project(columns) => {
                let (rows, by) = below()?;
                let beside = Named { name: name.into(), expr: col(name) };
                Some((rows.project(columns.iter().cloned().chain([beside]).collect()).ok()?, by))
            }
            _ => None,
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
