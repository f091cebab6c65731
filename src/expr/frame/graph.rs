//! Expressions as graphs: parts that several others share are met once, and nothing is nested deeper than what goes through it can follow.

use super::column::{Expr, Node};
use crate::error::Error;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// The most operations inside each other.
const DEEPEST: usize = 1000;

/// Everything that something is made of and itself, each once, parts before what is made of them. `key` tells things apart.
pub(crate) fn in_order<'a, T, K: Hash + Eq>(
    roots: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&T) -> K,
    parts: impl Fn(&'a T) -> Vec<&'a T>,
) -> Vec<&'a T> {
    let (mut seen, mut order) = (HashSet::new(), vec![]);
    // a list instead of recursion: what is deep would need much of the stack
    let mut left: Vec<(&T, bool)> = roots.into_iter().map(|root| (root, false)).collect();
    left.reverse();
    while let Some((x, parts_are_done)) = left.pop() {
        if parts_are_done {
            order.push(x);
        } else if seen.insert(key(x)) {
            left.push((x, true));
            left.extend(parts(x).into_iter().rev().map(|part| (part, false)));
        }
    }
    order
}

/// Things joined in pairs, and the pairs in pairs: not nested deeply however many there are.
pub(crate) fn in_pairs<T>(all: impl IntoIterator<Item = T>, join: impl Fn(T, T) -> T) -> Option<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    while all.len() > 1 {
        let mut left = all.into_iter();
        let mut joined = vec![];
        while let Some(a) = left.next() {
            joined.push(match left.next() {
                Some(b) => join(a, b),
                None => a,
            });
        }
        all = joined;
    }
    all.pop()
}

impl Expr {
    /// An expression of a node; one that fails if it would be nested too deeply.
    pub(crate) fn new(node: Node) -> Expr {
        let depth = 1 + parts(&node).into_iter().map(|part| part.depth).max().unwrap_or(0);
        if depth <= DEEPEST {
            return Expr { node: Arc::new(node), depth };
        }
        let message = format!(
            "more than {DEEPEST} operations are inside each other; make a column of a part of them by with_columns(...) \
             first, or join many columns in pairs"
        );
        Expr { node: Arc::new(Node::Failed(Error::invalid("expression", message))), depth: 1 }
    }

    /// What it is made of.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        parts(self.node())
    }

    /// Where it is in memory: what tells it from others, as long as it is there.
    pub(crate) fn address(&self) -> *const Node {
        Arc::as_ptr(&self.node)
    }

    /// It and all that it is made of, each once.
    pub(crate) fn all_parts(&self) -> Vec<&Expr> {
        in_order([self], Expr::address, Expr::children)
    }

    /// The expression with some parts replaced: those for which `f` gives another. Parts of those are not looked at.
    ///
    /// # Errors
    /// The first of `f`.
    pub(crate) fn replaced<E>(
        &self,
        mut f: impl FnMut(&Expr) -> std::result::Result<Option<Expr>, E>,
    ) -> std::result::Result<Expr, E> {
        let mut done: HashMap<*const Node, Expr> = HashMap::new();
        let mut left = vec![(self, false)];
        while let Some((e, parts_are_done)) = left.pop() {
            if parts_are_done {
                let new = e.with_parts(&|part| done.get(&part.address()).unwrap_or(part).clone());
                done.insert(e.address(), new);
                continue;
            }
            if done.contains_key(&e.address()) {
                continue;
            }
            match f(e)? {
                Some(other) => _ = done.insert(e.address(), other),
                None => {
                    left.push((e, true));
                    left.extend(e.children().into_iter().rev().map(|part| (part, false)));
                }
            }
        }
        Ok(done.remove(&self.address()).unwrap_or_else(|| self.clone()))
    }

    /// The same operation of other parts.
    fn with_parts(&self, f: &dyn Fn(&Expr) -> Expr) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(f).collect::<Vec<_>>();
        Expr::new(match self.node() {
            Node::Column(_) | Node::Literal(_) | Node::Failed(_) => return self.clone(),
            Node::Unary(op, x) => Node::Unary(*op, f(x)),
            Node::Cast(to, x) => Node::Cast(to.clone(), f(x)),
            Node::IsNull(x) => Node::IsNull(f(x)),
            Node::Alias(name, x) => Node::Alias(name.clone(), f(x)),
            Node::Aggregate(op, x) => Node::Aggregate(op.clone(), f(x)),
            Node::Binary(op, a, b) => Node::Binary(*op, f(a), f(b)),
            Node::Compare(op, a, b) => Node::Compare(*op, f(a), f(b)),
            Node::FillNull(a, b) => Node::FillNull(f(a), f(b)),
            Node::When(c, a, b) => Node::When(f(c), f(a), f(b)),
            Node::Function(function, inputs) => Node::Function(function.clone(), all(inputs)),
            Node::Window(op, inputs, keys) => Node::Window(op.clone(), all(inputs), all(keys)),
        })
    }
}

/// What a node is made of.
fn parts(node: &Node) -> Vec<&Expr> {
    match node {
        Node::Column(_) | Node::Literal(_) | Node::Failed(_) => vec![],
        Node::Unary(_, x)
        | Node::Cast(_, x)
        | Node::IsNull(x)
        | Node::Alias(_, x)
        | Node::Aggregate(_, x) => vec![x],
        Node::Binary(_, a, b) | Node::Compare(_, a, b) | Node::FillNull(a, b) => vec![a, b],
        Node::When(c, a, b) => vec![c, a, b],
        Node::Function(_, inputs) => inputs.iter().collect(),
        Node::Window(_, inputs, keys) => inputs.iter().chain(keys).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::col;
    use super::*;

    #[test]
    fn parts_come_once_and_before_what_is_made_of_them() {
        let a = col("a");
        let twice = &a + &a;
        let e = (&twice * &twice) - &a;
        let order: Vec<String> = e.all_parts().iter().map(|p| p.to_string()).collect();
        assert_eq!(order, ["a", "(a + a)", "((a + a) * (a + a))", "(((a + a) * (a + a)) - a)"]);
    }

    #[test]
    fn what_is_nested_too_deeply_fails_by_name() {
        let sum = |n: usize| (0..n).fold(col("a"), |e, _| e + 1);
        assert!(!matches!(sum(DEEPEST - 1).node(), Node::Failed(_)));
        assert!(sum(100_000).all_parts().iter().any(|p| matches!(p.node(), Node::Failed(_))));
        let pairs = in_pairs((0..100_000).map(|_| col("a")), |a, b| a + b);
        assert!(pairs.is_some_and(|e| e.depth == 18));
    }

    #[test]
    fn a_part_is_replaced_wherever_it_is() {
        let x = col("a") + 1;
        let e = &x * &x;
        let replaced =
            e.replaced(|p| -> Result<_, ()> { Ok(matches!(p.node(), Node::Column(_)).then(|| col("b"))) });
        assert_eq!(replaced.unwrap().to_string(), "((b + 1) * (b + 1))");
    }
}
