//! Expressions and relations as they would be written, for plans and errors.

use super::column::{AggOp, Expr, Literal, Node};
use super::function::Function;
use super::relation::{Named, RelOp, Relation, Runs};
use super::resolve::name_of;
use crate::dtype::DType;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use std::fmt::{self, Write};

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

/// The most bytes of an expression that are shown: one whose parts are shared may be longer than memory when it is written out.
const SHOWN: usize = 2000;

/// As it would be written, for plans and errors; what is very long ends with `…`.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut short = Short(String::new());
        match write!(short, "{}", Written(self)) {
            Ok(()) => f.write_str(&short.0),
            Err(_) => write!(f, "{}…", short.0),
        }
    }
}

/// Text that ends when it is long.
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let left = SHOWN - self.0.len();
        let end = (0..=left.min(s.len())).rev().find(|&at| s.is_char_boundary(at)).unwrap_or(0);
        self.0.push_str(&s[..end]);
        if end == s.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// An expression written out.
struct Written<'a>(&'a Expr);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.node() {
            Node::Column(name) => write!(f, "{name}"),
            Node::Literal(v) => write!(f, "{v}"),
            Node::Unary(UnaryOp::Not, x) => write!(f, "!{}", Written(x)),
            Node::Unary(UnaryOp::Neg, x) => write!(f, "-{}", Written(x)),
            Node::Unary(op, x) => write!(f, "{op}({})", Written(x)),
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
                    other => return write!(f, "{other}({}, {})", Written(a), Written(b)),
                };
                write!(f, "({} {sign} {})", Written(a), Written(b))
            }
            Node::Compare(op, a, b) => {
                let sign = match op {
                    CompareOp::Eq => "==",
                    CompareOp::Ne => "!=",
                    CompareOp::Lt => "<",
                    CompareOp::Le => "<=",
                };
                write!(f, "({} {sign} {})", Written(a), Written(b))
            }
            Node::Cast(to, x) => write!(f, "cast({}, {to})", Written(x)),
            Node::IsNull(x) => write!(f, "is_null({})", Written(x)),
            Node::FillNull(a, b) => write!(f, "fill_null({}, {})", Written(a), Written(b)),
            Node::When(c, a, b) => {
                let (c, a, b) = (Written(c), Written(a), Written(b));
                write!(f, "when({c}).then({a}).otherwise({b})")
            }
            Node::Function(Function::Builtin(b), inputs) if b.name.is_empty() => listed(inputs, f),
            Node::Function(function, inputs) => {
                write!(f, "{}(", function.name())?;
                listed(inputs, f)?;
                write!(f, ")")
            }
            Node::Window(op, inputs, keys) => {
                write!(f, "{op}({})", Written(&inputs[0]))?;
                keys.iter().try_for_each(|k| write!(f, " over {}", Written(k)))
            }
            Node::Aggregate(AggOp::Len, _) => write!(f, "len()"),
            Node::Aggregate(op, x) => write!(f, "{op}({})", Written(x)),
            Node::Alias(name, x) => write!(f, "{} as {name}", Written(x)),
            Node::Failed(e) => write!(f, "failed({e})"),
        }
    }
}

fn listed(all: &[Expr], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    all.iter()
        .enumerate()
        .try_for_each(|(k, x)| write!(f, "{}{}", if k == 0 { "" } else { ", " }, Written(x)))
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
            RelOp::MapBatches(function) => write!(f, "map_batches {}", function.name()),
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
