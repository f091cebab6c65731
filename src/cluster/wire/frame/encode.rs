//! Relations to bytes.

use super::super::super::scratch::Scratch;
use super::super::MOST_IN_MEMORY;
use super::super::encode::{address, place, seal};
use super::form::*;
use super::{DEEPEST, LARGEST, MAGIC, function};
use crate::block::batch::batch_bytes;
use crate::block::{BatchSink, BatchSource, TableAddress};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::registered;
use crate::expr::frame::{
    AggOp, BatchFunction, Expr, Function, Literal, Named, Node, Partition, RelOp, Relation, SortKey,
    WindowOp, WindowSize, in_order,
};
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use crate::schedule::frame::{pack, pack_schema};
use arrow::datatypes::{DataType, Field, Schema};
use std::collections::HashMap;
use std::sync::Arc;

/// The wire form of a relation, for a plan with this memory limit whose stages are cut into at most so many shards. If its rows go to a sink
/// that is written in parts, workers do that.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a function that no worker knows, for a source that cannot be opened elsewhere, and for more than
/// 16 MiB in memory if there is no scratch directory.
pub fn encode(
    relation: &Relation,
    sink: Option<&dyn BatchSink>,
    limit: u64,
    shards: usize,
    scratch: &mut Scratch,
) -> Result<Vec<u8>> {
    let mut out = Encoder::new(scratch);
    let parts = in_order([relation], Relation::address, |r| r.inputs().iter().collect());
    let mut size: HashMap<_, (usize, usize)> = HashMap::new();
    for r in &parts {
        let of = r.inputs().iter().map(|i| size[&i.address()]);
        let (depth, all) = of.fold((0, 1), |(d, n): (usize, usize), (e, m)| (d.max(e), n.saturating_add(m)));
        size.insert(r.address(), (depth + 1, all));
        if depth + 1 > DEEPEST || all > LARGEST {
            let what = format!("on a cluster: {} operations inside each other, of {all} in all", depth + 1);
            let hint = format!("at most {DEEPEST} of {LARGEST} are; write what is in between as Parquet");
            return Err(ErrorKind::Unsupported { what, hint }.into());
        }
        out.relation(r)?;
    }
    let fields = out.types.iter().enumerate().map(|(k, t)| Field::new(k.to_string(), t.clone(), true));
    let types = pack_schema(&Arc::new(Schema::new(fields.collect::<Vec<_>>())))?;
    let Encoder { sources, exprs, relations, .. } = out;
    let shards = shards.try_into().unwrap_or(u32::MAX);
    let to = match (sink, sink.and_then(|s| s.in_parts()?.address())) {
        (None, _) => ToForm::Rows,
        (Some(_), None) => ToForm::Client,
        (Some(sink), Some(TableAddress { mut files, schema, texts })) => {
            let (at, _) =
                files.pop().ok_or_else(|| Error::internal(format!("{} is nowhere", sink.label())))?;
            ToForm::Workers { schema: pack_schema(&schema)?, texts, directory: address(at)? }
        }
    };
    seal(MAGIC, &FrameForm { limit, shards, to, types, sources, exprs, relations })
}

struct Encoder<'a> {
    scratch: &'a mut Scratch,
    types: Vec<DataType>,
    sources: Vec<TableForm>,
    exprs: Vec<ExprForm>,
    relations: Vec<RelationForm>,
    /// Places in the tables, by address.
    source_at: HashMap<usize, u32>,
    expr_at: HashMap<*const Node, u32>,
    relation_at: HashMap<usize, u32>,
    /// What the addresses are of: so that none is of two.
    kept: Vec<Expr>,
    in_memory: usize,
}

fn unsupported(what: String, hint: &str) -> Error {
    ErrorKind::Unsupported { what: format!("on a cluster: {what}"), hint: hint.into() }.into()
}

const BATCHES: &str =
    "give it a name by register_batches, in the program and in its workers, for map_batches_registered";
const RUNS: &str = "give it a name by register_batches, in the program and in its workers, for map_partitions_registered or \
     map_groups_registered";
const COLUMNS: &str = "give it a name by register_elements or register_columns, in the program and in its workers, for \
     map_elements_registered or map_columns_registered";
const FOLD: &str = "give it to register_fold, in the program and in its workers";

impl Encoder<'_> {
    fn new(scratch: &mut Scratch) -> Encoder<'_> {
        Encoder {
            scratch,
            types: vec![],
            sources: vec![],
            exprs: vec![],
            relations: vec![],
            source_at: HashMap::new(),
            expr_at: HashMap::new(),
            relation_at: HashMap::new(),
            kept: vec![],
            in_memory: 0,
        }
    }

    fn relation(&mut self, r: &Relation) -> Result<()> {
        let of = |k: usize| self.relation_at[&r.inputs()[k].address()];
        let form = match r.op() {
            RelOp::Scan { source, columns } => RelationForm::Scan {
                source: self.source(source)?,
                columns: columns.iter().map(|&c| c as u32).collect(),
            },
            RelOp::Project(columns) => RelationForm::Project { of: of(0), columns: self.named(columns)? },
            RelOp::Filter(mask) => RelationForm::Filter { of: of(0), mask: self.expr(mask)? },
            RelOp::Aggregate { keys, aggregates } => {
                let of = of(0);
                let keys = self.named(keys)?;
                let fold = |a: &crate::expr::frame::Aggregate| {
                    Ok((a.name.to_string(), fold(&a.op)?, self.expr(&a.input)?))
                };
                RelationForm::Aggregate {
                    of,
                    keys,
                    folds: aggregates.iter().map(fold).collect::<Result<_>>()?,
                }
            }
            RelOp::Join { kind, on, right } => {
                let (left, other) = (of(0), of(1));
                let on = on.iter().map(|(a, b)| Ok((self.expr(a)?, self.expr(b)?))).collect::<Result<_>>()?;
                let columns = right.iter().map(|(c, name)| (*c as u32, name.to_string())).collect();
                RelationForm::Join { left, right: other, kind: place(JOINS, *kind), on, columns }
            }
            RelOp::Sort(by) => RelationForm::Sort { of: of(0), by: self.keys(by)? },
            RelOp::Slice { offset, len } => {
                RelationForm::Slice { of: of(0), offset: *offset as u64, len: *len as u64 }
            }
            RelOp::Tail(len) => RelationForm::Tail { of: of(0), len: *len as u64 },
            RelOp::Window { columns, keys } => {
                let of = of(0);
                let mut made = vec![];
                for c in columns {
                    let inputs = c.inputs.iter().map(|e| self.expr(e)).collect::<Result<_>>()?;
                    made.push((c.name.to_string(), window(&c.op)?, inputs));
                }
                let keys = keys.iter().map(|e| self.expr(e)).collect::<Result<_>>()?;
                RelationForm::Window { of, columns: made, keys }
            }
            RelOp::Concat => RelationForm::Concat((0..r.inputs().len()).map(of).collect()),
            RelOp::Distinct(on) => {
                RelationForm::Distinct { of: of(0), columns: on.iter().map(|&c| c as u32).collect() }
            }
            RelOp::Runs(runs) => {
                let name = runs.function.as_ref().map(|f| {
                    let what = || format!("{}: a function that is no part of the workers", runs.name);
                    registered::name_of_batches(f).ok_or_else(|| unsupported(what(), RUNS))
                });
                RelationForm::Runs {
                    of: of(0),
                    label: runs.name.to_string(),
                    by: runs.partition.as_ref().map(|by| self.partition(by)).transpose()?,
                    name: name.transpose()?,
                    schema: pack_schema(r.schema())?,
                }
            }
            RelOp::MapBatches(function) => {
                let (function, schema) = (batches(function)?, pack_schema(r.schema())?);
                RelationForm::MapBatches { of: of(0), function, schema }
            }
        };
        self.relation_at.insert(r.address(), self.relations.len() as u32);
        self.relations.push(form);
        Ok(())
    }

    fn keys(&mut self, by: &[SortKey]) -> Result<Vec<KeyForm>> {
        by.iter().map(|k| Ok((self.expr(&k.expr)?, k.descending, k.nulls_first))).collect()
    }

    fn partition(&mut self, by: &Partition) -> Result<PartitionForm> {
        Ok(match by {
            Partition::Rows(n) => PartitionForm::Rows(*n as u64),
            Partition::Count(n) => PartitionForm::Count(*n as u64),
            Partition::Hash(keys, n) => {
                let keys = keys.iter().map(|e| self.expr(e)).collect::<Result<_>>()?;
                PartitionForm::Hash(keys, *n as u64)
            }
            Partition::Range(keys, n) => PartitionForm::Range(self.keys(keys)?, *n as u64),
        })
    }

    fn named(&mut self, columns: &[Named]) -> Result<Vec<NamedForm>> {
        columns.iter().map(|c| Ok((c.name.to_string(), self.expr(&c.expr)?))).collect()
    }

    fn data_type(&mut self, t: &DataType) -> u32 {
        let at = self.types.iter().position(|known| known == t).unwrap_or_else(|| {
            self.types.push(t.clone());
            self.types.len() - 1
        });
        at as u32
    }

    /// The place of an expression in the table, after those that it is made of.
    fn expr(&mut self, root: &Expr) -> Result<u32> {
        for part in root.all_parts() {
            if self.expr_at.contains_key(&part.address()) {
                continue;
            }
            let form = self.node(part.node())?;
            self.expr_at.insert(part.address(), self.exprs.len() as u32);
            self.exprs.push(form);
        }
        self.kept.push(root.clone());
        Ok(self.expr_at[&root.address()])
    }

    fn node(&mut self, node: &Node) -> Result<ExprForm> {
        let at = |e: &Expr| self.expr_at[&e.address()];
        Ok(match node {
            Node::Column(name) => ExprForm::Column(name.to_string()),
            Node::Literal(Literal::Null) => ExprForm::Null,
            Node::Literal(Literal::Number(n)) => ExprForm::Number { dtype: n.dtype() as u8, bits: n.bits() },
            Node::Literal(Literal::Text(text)) => ExprForm::Text(text.to_string()),
            Node::Literal(Literal::Typed(t, value)) => {
                ExprForm::Typed { to: self.data_type(t), value: *value }
            }
            Node::Unary(op, x) => ExprForm::Unary(place(UnaryOp::ALL, *op), at(x)),
            Node::Binary(op, a, b) => ExprForm::Binary(place(BinaryOp::ALL, *op), at(a), at(b)),
            Node::Compare(op, a, b) => ExprForm::Compare(place(CompareOp::ALL, *op), at(a), at(b)),
            Node::Cast(t, x) => {
                let of = at(x);
                ExprForm::Cast { to: self.data_type(t), of }
            }
            Node::IsNull(x) => ExprForm::IsNull(at(x)),
            Node::FillNull(a, b) => ExprForm::FillNull(at(a), at(b)),
            Node::When(a, b, c) => ExprForm::When(at(a), at(b), at(c)),
            Node::Function(Function::User(f), inputs) => {
                if !registered::columns(&f.name).is_some_and(|(known, _)| Arc::ptr_eq(&known, f)) {
                    let what = format!("{}: a function that is no part of the workers", f.name);
                    return Err(unsupported(what, COLUMNS));
                }
                ExprForm::User(f.name.to_string(), inputs.iter().map(at).collect())
            }
            Node::Function(Function::Builtin(f), inputs) if function(f.name).is_some() => {
                ExprForm::Call(f.name.into(), inputs.iter().map(at).collect())
            }
            Node::Function(Function::Builtin(f), _) => {
                return Err(Error::internal(format!("{}: a function of no table", f.name)));
            }
            Node::Alias(name, x) => ExprForm::Alias(name.to_string(), at(x)),
            Node::Failed(e) => return Err(e.clone()),
            Node::Aggregate(..) | Node::Window(..) => {
                return Err(Error::internal("a fold inside an expression of rows"));
            }
        })
    }

    fn source(&mut self, source: &Arc<dyn BatchSource>) -> Result<u32> {
        let key = Arc::as_ptr(source) as *const () as usize;
        if let Some(&at) = self.source_at.get(&key) {
            return Ok(at);
        }
        let form = match source.address()? {
            Some(table) => TableForm::Files {
                schema: pack_schema(&table.schema)?,
                files: table
                    .files
                    .into_iter()
                    .map(|(at, keys)| Ok(FileForm { address: address(at)?, keys }))
                    .collect::<Result<_>>()?,
                texts: table.texts,
            },
            None if source.in_memory() => self.rows(source)?,
            None => {
                let hint = "write it as Parquet where all workers see it, and scan that";
                return Err(unsupported(format!("{}, read by the workers", source.label()), hint));
            }
        };
        let at = self.sources.len() as u32;
        self.sources.push(form);
        self.source_at.insert(key, at);
        Ok(at)
    }

    /// Rows in memory: their bytes, as long as there are not too many, else a file of them.
    fn rows(&mut self, source: &Arc<dyn BatchSource>) -> Result<TableForm> {
        let before = self.in_memory;
        let columns: Vec<usize> = (0..source.schema().fields().len()).collect();
        let mut batches = vec![];
        for part in 0..source.parts() {
            source.read(part, &columns, &mut |rows| {
                self.in_memory = self.in_memory.saturating_add(batch_bytes(&rows));
                batches.push(rows);
                Ok(self.in_memory <= MOST_IN_MEMORY)
            })?;
        }
        if self.in_memory > MOST_IN_MEMORY && self.scratch.is_there() {
            self.in_memory = before;
            let (file, parts) = self.scratch.put_rows(source)?;
            return Ok(TableForm::Scattered {
                schema: pack_schema(source.schema())?,
                file: address(file)?,
                parts,
            });
        }
        if self.in_memory > MOST_IN_MEMORY {
            let hint = "name a scratch directory that all workers see (Options::scratch, BLOCKWISE_SCRATCH), or write them there as Parquet \
                        and scan that";
            let what =
                format!("{}: sending more than {MOST_IN_MEMORY} bytes of rows in memory", source.label());
            return Err(unsupported(what, hint));
        }
        Ok(TableForm::Rows { schema: pack_schema(source.schema())?, rows: pack(batches.iter())? })
    }
}

fn batches(function: &BatchFunction) -> Result<BatchForm> {
    Ok(match function {
        BatchFunction::User(name, f) if registered::batches(name).is_some_and(|own| Arc::ptr_eq(&own, f)) => {
            BatchForm::User(name.to_string())
        }
        BatchFunction::User(name, _) => {
            let what = format!("map_batches {name}: a function that is no part of the workers");
            return Err(unsupported(what, BATCHES));
        }
        BatchFunction::Explode(at) => BatchForm::Explode(*at as u64),
        BatchFunction::Unpivot(names) => BatchForm::Unpivot(names.iter().map(|n| n.to_string()).collect()),
        BatchFunction::Spans(every) => BatchForm::Spans(every.to_string()),
        BatchFunction::Stack(stack) => {
            let places = |c: &Vec<Option<usize>>| c.iter().map(|p| p.map(|p| p as u64)).collect();
            BatchForm::Stack { labels: stack.labels.clone(), cells: stack.cells.iter().map(places).collect() }
        }
    })
}

fn fold(op: &AggOp) -> Result<FoldForm> {
    Ok(match op {
        AggOp::Var(ddof) => FoldForm::Var(*ddof),
        AggOp::Std(ddof) => FoldForm::Std(*ddof),
        AggOp::Quantile(q) => FoldForm::Quantile(*q),
        AggOp::TopK(k) => FoldForm::TopK(*k as u64),
        AggOp::BottomK(k) => FoldForm::BottomK(*k as u64),
        AggOp::User(fold) if registered::fold(fold.name()).as_ref() == Some(fold) => {
            FoldForm::User(fold.name().into())
        }
        AggOp::User(fold) => {
            return Err(unsupported(format!("{}: a fold that is no part of the workers", fold.name()), FOLD));
        }
        plain => FoldForm::Plain(place(FOLDS, plain.clone())),
    })
}

fn window(op: &WindowOp) -> Result<WindowForm> {
    Ok(match op {
        WindowOp::Cumulative(of) => WindowForm::Cumulative(fold(of)?),
        WindowOp::Shift(n) => WindowForm::Shift(*n),
        WindowOp::FillForward => WindowForm::FillForward,
        WindowOp::FillBackward => WindowForm::FillBackward,
        WindowOp::Rolling { fold: of, size, min_periods } => {
            let (rows, time) = match size {
                WindowSize::Rows(n) => (Some(*n as u64), 0),
                WindowSize::Time(n) => (None, *n),
            };
            WindowForm::Rolling { fold: fold(of)?, rows, time, min_periods: *min_periods as u64 }
        }
        WindowOp::RowNumber => WindowForm::RowNumber,
        WindowOp::GroupNumber => WindowForm::GroupNumber,
        WindowOp::Random(seed) => WindowForm::Random(*seed),
    })
}
