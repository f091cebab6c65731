//! Expressions and relations as they would be written, for plans and errors.

use super::column::{AggOp, Expr, Literal, Node};
use super::function::Function;
use super::relation::{Named, RelOp, Relation, Runs};
use super::resolve::name_of;
use crate::dtype::DType;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use std::fmt;

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => write!(f, "null"),
            Literal::Number(s) if s.dtype() == DType::Bool => write!(f, "{}", s.bits() != 0),
            Literal::Number(s) if s.dtype().is_float() => write!(f, "{}", s.as_f64()),
            Literal::Number(s) if s.dtype() == DType::U64 => write!(f, "{}", s.bits()),
            Literal::Number(s) => write!(f, "{}", s.as_i64()),
            Literal::Text(t) => write!(f, "{t:?}"),
            Literal::Typed(t, v) => write!(f, "{t} {v}"),
        }
    }
}

impl fmt::Display for AggOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AggOp::Var(_) => write!(f, "var"),
            AggOp::Std(_) => write!(f, "std"),
            AggOp::Quantile(q) => write!(f, "quantile({q})"),
            AggOp::NUnique => write!(f, "n_unique"),
            AggOp::TopK(k) => write!(f, "top_k({k})"),
            AggOp::BottomK(k) => write!(f, "bottom_k({k})"),
            AggOp::User(fold) => write!(f, "{}", fold.name()),
            AggOp::List => write!(f, "collect_list"),
            other => write!(f, "{}", format!("{other:?}").to_lowercase()),
        }
    }
}

/// As it would be written, for plans and errors.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Node::Column(name) => write!(f, "{name}"),
            Node::Literal(v) => write!(f, "{v}"),
            Node::Unary(UnaryOp::Not, x) => write!(f, "!{x}"),
            Node::Unary(UnaryOp::Neg, x) => write!(f, "-{x}"),
            Node::Unary(op, x) => write!(f, "{op}({x})"),
            Node::Binary(op, a, b) => {
                let sign = match op {
                    BinaryOp::Add => "+",
                    BinaryOp::Sub => "-",
                    BinaryOp::Mul => "*",
                    BinaryOp::Div => "/",
                    BinaryOp::Rem => "%",
                    BinaryOp::And => "&",
                    BinaryOp::Or => "|",
                    BinaryOp::Xor => "^",
                    other => return write!(f, "{other}({a}, {b})"),
                };
                write!(f, "({a} {sign} {b})")
            }
            Node::Compare(op, a, b) => {
                let sign = match op {
                    CompareOp::Eq => "==",
                    CompareOp::Ne => "!=",
                    CompareOp::Lt => "<",
                    CompareOp::Le => "<=",
                };
                write!(f, "({a} {sign} {b})")
            }
            Node::Cast(to, x) => write!(f, "cast({x}, {to})"),
            Node::IsNull(x) => write!(f, "is_null({x})"),
            Node::FillNull(a, b) => write!(f, "fill_null({a}, {b})"),
            Node::When(c, a, b) => write!(f, "when({c}).then({a}).otherwise({b})"),
            Node::Function(Function::Builtin(b), inputs) if b.name.is_empty() => {
                let all: Vec<String> = inputs.iter().map(Expr::to_string).collect();
                write!(f, "{}", all.join(", "))
            }
            Node::Function(function, inputs) => {
                write!(f, "{}(", function.name())?;
                for (k, x) in inputs.iter().enumerate() {
                    write!(f, "{}{x}", if k == 0 { "" } else { ", " })?;
                }
                write!(f, ")")
            }
            Node::Window(op, inputs, keys) => {
                write!(f, "{op}({})", inputs[0])?;
                keys.iter().try_for_each(|k| write!(f, " over {k}"))
            }
            Node::Aggregate(AggOp::Len, _) => write!(f, "len()"),
            Node::Aggregate(op, x) => write!(f, "{op}({x})"),
            Node::Alias(name, x) => write!(f, "{x} as {name}"),
            Node::Failed(e) => write!(f, "failed({e})"),
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RelOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
            items.iter().map(show).collect::<Vec<_>>().join(", ")
        }
        let named = |n: &Named| match name_of(&n.expr) {
            Some(name) if name == n.name => n.expr.to_string(),
            _ => format!("{} as {}", n.expr, n.name),
        };
        match self {
            RelOp::Scan { source, columns } => {
                let names: Vec<&str> =
                    columns.iter().map(|&c| source.schema().field(c).name().as_str()).collect();
                write!(f, "scan {} [{}]", source.label(), names.join(", "))
            }
            RelOp::Project(columns) => write!(f, "project {}", list(columns, named)),
            RelOp::Filter(mask) => write!(f, "filter {mask}"),
            RelOp::Aggregate { keys, aggregates } => {
                let folds = list(aggregates, |a| match &a.op {
                    AggOp::Len => "len()".into(),
                    op => format!("{op}({})", a.input),
                });
                match keys.is_empty() {
                    true => write!(f, "aggregate {folds}"),
                    false => write!(f, "group by {}: {folds}", list(keys, named)),
                }
            }
            RelOp::Join { kind, on, .. } => {
                let keys = list(on, |(l, r)| format!("{l} == {r}"));
                write!(f, "{} join on {keys}", format!("{kind:?}").to_lowercase())
            }
            RelOp::Sort(by) => {
                let keys =
                    list(by, |k| format!("{}{}", k.expr, if k.descending { " descending" } else { "" }));
                write!(f, "sort by {keys}")
            }
            RelOp::Slice { offset, len } => write!(f, "rows {offset} to {}", offset.saturating_add(*len)),
            RelOp::Tail(len) => write!(f, "last {len} rows"),
            RelOp::Window { columns, keys } => {
                let over = if keys.is_empty() { "" } else { " over " };
                let functions = list(columns, |c| format!("{}({})", c.op, c.inputs[0]));
                write!(f, "window {functions}{over}{}", list(keys, Expr::to_string))
            }
            RelOp::Concat => write!(f, "concat"),
            RelOp::Distinct(on) => write!(f, "distinct over {} columns", on.len()),
            RelOp::Runs(Runs { name, partition: Some(by), .. }) => write!(f, "{name}: {by}"),
            RelOp::Runs(runs) => write!(f, "{}", runs.name),
            RelOp::MapBatches { name, .. } => write!(f, "map_batches {name}"),
        }
    }
}

/// The tree, inputs indented below what uses them.
impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = vec![(self, 0)];
        while let Some((r, depth)) = left.pop() {
            writeln!(f, "{:depth$}{}", "", r.op(), depth = 2 * depth)?;
            left.extend(r.inputs().iter().rev().map(|i| (i, depth + 1)));
        }
        Ok(())
    }
}

impl fmt::Debug for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
