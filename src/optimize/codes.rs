//! Keys of groups as the codes that files have them in.

use super::frame::{Names, uses};
use crate::error::Result;
use crate::expr::frame::{Aggregate, Expr, Named, Node, RelOp, Relation, col};
use arrow::datatypes::DataType;
use std::sync::Arc;

/// Groups and their folds of a relation. Columns of text that are nothing but keys are read as codes, if that is what a file has, and made
/// text again of as many rows as there are groups.
pub(super) fn aggregate(input: &Relation, keys: &[Named], aggregates: &[Aggregate]) -> Result<Relation> {
    let plain = |input: &Relation| input.aggregate(keys.to_vec(), aggregates.to_vec());
    let mut elsewhere = Names::new();
    aggregates.iter().for_each(|a| uses(&a.input, &mut elsewhere));
    let mut names = Names::new();
    for key in keys {
        match key.expr.node() {
            Node::Column(name) => _ = names.insert(name.clone()),
            _ => uses(&key.expr, &mut elsewhere),
        }
    }
    names.retain(|n| !elsewhere.contains(n));
    let Some(coded) = with_codes(input, names) else { return plain(input) };
    let grouped = plain(&coded)?;
    let fields = plain(input)?.schema().clone();
    let text = |(name, t): (&str, &DataType)| Named {
        name: name.into(),
        expr: match grouped.schema().field_with_name(name) {
            Ok(f) if f.data_type() != t => col(name).cast(t.clone()),
            _ => col(name),
        },
    };
    let columns = fields.fields().iter().map(|f| text((f.name(), f.data_type()))).collect();
    grouped.project(columns)
}

/// The relation with some of these columns as codes; none if none of them is stored so, or is used on the way.
fn with_codes(r: &Relation, mut names: Names) -> Option<Relation> {
    match r.op() {
        RelOp::Filter(mask) => {
            let mut used = Names::new();
            uses_values(mask, &mut used);
            names.retain(|n| !used.contains(n));
            with_codes(&r.inputs()[0], names)?.filter(mask.clone()).ok()
        }
        RelOp::Scan { source, columns } => {
            let mut coded = None;
            for name in names {
                let Ok(column) = source.schema().index_of(&name) else { continue };
                let now: &Arc<_> = coded.as_ref().unwrap_or(source);
                coded = now.with_codes(column).or(coded);
            }
            Some(Relation::scan_columns(coded?, columns.clone()))
        }
        _ => None,
    }
}

/// The columns of which a mask uses more than whether they are null.
fn uses_values(mask: &Expr, into: &mut Names) {
    let parts = mask.all_parts().into_iter().filter(|part| !matches!(part.node(), Node::IsNull(_)));
    for used in parts.flat_map(Expr::children).chain([mask]) {
        if let Node::Column(name) = used.node() {
            into.insert(name.clone());
        }
    }
}
