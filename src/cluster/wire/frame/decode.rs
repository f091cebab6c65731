//! Bytes to relations; nothing in them is believed.

use super::super::super::scratch::ScatteredRows;
use super::super::MOST_NODES;
use super::super::decode::{address, bad, dtype, of, open};
use super::form::*;
use super::{DEEPEST, LARGEST, MAGIC, function};
use crate::block::{BatchSink, BatchSource, MemoryBatches, TableAddress};
use crate::dtype::Scalar;
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::registered;
use crate::expr::frame::{
    AggOp, Aggregate, BatchFunction, Expr, Function, Literal, Named, Node, Partition, Relation, Runs,
    SortKey, Stack, WindowColumn, WindowOp, WindowSize,
};
use crate::io;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use crate::schedule::frame::{rows_of, unpack_schema};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use std::sync::Arc;

/// A computation of rows that came over the wire.
pub struct FrameJob {
    /// What to compute.
    pub relation: Relation,
    /// Where its rows go, if not to the client's memory.
    pub sink: Option<Arc<dyn BatchSink>>,
    /// Memory limit that the plan is made for, in bytes.
    pub limit: u64,
    /// The most shards that a stage is cut into.
    pub shards: usize,
}

/// The computation that bytes stand for. Opens its files.
///
/// # Errors
/// [`ErrorKind::Wire`] if the bytes are not what [`encode`](super::encode()) made, or another version of the library made them; what opening
/// files says.
pub fn decode(bytes: &[u8]) -> Result<FrameJob> {
    let form: FrameForm = open(MAGIC, bytes)?;
    if form.exprs.len().max(form.relations.len()) > MOST_NODES {
        return Err(bad(format!("{} expressions; at most {MOST_NODES}", form.exprs.len())));
    }
    let types = schema(form.types)?.fields().iter().map(|f| f.data_type().clone()).collect();
    let sources = form.sources.into_iter().map(source).collect::<Result<Vec<_>>>()?;
    let mut tables = Tables { types, sources, exprs: vec![], relations: vec![] };
    for form in form.exprs {
        let expr = tables.expr(form)?;
        if let Node::Failed(e) = expr.node() {
            return Err(bad(e.to_string()));
        }
        tables.exprs.push(expr);
    }
    for (at, form) in form.relations.into_iter().enumerate() {
        let built = tables.relation(form).map_err(|e| match e.kind() {
            ErrorKind::Wire { .. } | ErrorKind::Unsupported { .. } => e,
            _ => bad(format!("relation {at}: {e}")),
        })?;
        tables.relations.push(built);
    }
    let (relation, _) = tables.relations.pop().ok_or_else(|| bad("nothing is wanted"))?;
    let shards = (form.shards as usize).clamp(1, 1 << 16);
    let sink: Option<Arc<dyn BatchSink>> = match form.to {
        ToForm::Rows => None,
        ToForm::Client => Some(Arc::new(Elsewhere)),
        ToForm::Workers { schema: columns, texts, directory } => {
            let files = vec![(address(directory), vec![])];
            Some(io::open_directory(&TableAddress { files, schema: schema(columns)?, texts })?)
        }
    };
    Ok(FrameJob { relation, sink, limit: form.limit, shards })
}

/// A sink that the client has.
#[derive(Debug)]
struct Elsewhere;

impl BatchSink for Elsewhere {
    fn label(&self) -> String {
        "the client's".into()
    }

    fn write(&self, _: &RecordBatch) -> Result<()> {
        Err(Error::internal("the client writes this"))
    }

    fn finish(&self) -> Result<()> {
        Err(Error::internal("the client publishes this"))
    }
}

fn schema(bytes: Vec<u8>) -> Result<SchemaRef> {
    unpack_schema(bytes).map_err(|e| bad(e.to_string()))
}

fn source(form: TableForm) -> Result<Arc<dyn BatchSource>> {
    match form {
        TableForm::Rows { schema: columns, rows } => {
            let columns = schema(columns)?;
            let rows = rows_of(rows, &columns).map_err(|e| bad(e.to_string()))?;
            Ok(Arc::new(MemoryBatches::new(columns, rows)))
        }
        TableForm::Scattered { schema: columns, file, parts } => {
            let file = io::open_source(&address(file))?;
            Ok(Arc::new(ScatteredRows::new(file, schema(columns)?, parts)?))
        }
        TableForm::Files { schema: columns, texts, files } => {
            let files = files.into_iter().map(|f| (address(f.address), f.keys)).collect();
            io::open_table(&TableAddress { files, schema: schema(columns)?, texts })
        }
    }
}

/// What is there already: later entries name earlier ones.
struct Tables {
    types: Vec<DataType>,
    sources: Vec<Arc<dyn BatchSource>>,
    exprs: Vec<Expr>,
    /// With how many are inside each other, and how many there are in all.
    relations: Vec<(Relation, (usize, usize))>,
}

fn at<T: Clone>(all: &[T], place: u32) -> Result<T> {
    all.get(place as usize).cloned().ok_or_else(|| bad("a place outside its table"))
}

fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl Tables {
    fn expr(&self, form: ExprForm) -> Result<Expr> {
        let x = |place: u32| at(&self.exprs, place);
        Ok(Expr::new(match form {
            ExprForm::Column(name) => Node::Column(name.into()),
            ExprForm::Null => Node::Literal(Literal::Null),
            ExprForm::Number { dtype: t, bits } => {
                Node::Literal(Literal::Number(Scalar::from_bits(dtype(t)?, bits)))
            }
            ExprForm::Text(text) => Node::Literal(Literal::Text(text.into())),
            ExprForm::Typed { to, value } => Node::Literal(Literal::Typed(at(&self.types, to)?, value)),
            ExprForm::Unary(op, a) => Node::Unary(of(UnaryOp::ALL, op)?, x(a)?),
            ExprForm::Binary(op, a, b) => Node::Binary(of(BinaryOp::ALL, op)?, x(a)?, x(b)?),
            ExprForm::Compare(op, a, b) => Node::Compare(of(CompareOp::ALL, op)?, x(a)?, x(b)?),
            ExprForm::Cast { to, of } => Node::Cast(at(&self.types, to)?, x(of)?),
            ExprForm::IsNull(a) => Node::IsNull(x(a)?),
            ExprForm::FillNull(a, b) => Node::FillNull(x(a)?, x(b)?),
            ExprForm::When(a, b, c) => Node::When(x(a)?, x(b)?, x(c)?),
            ExprForm::Alias(name, a) => Node::Alias(name.into(), x(a)?),
            ExprForm::Call(name, inputs) => {
                let f = function(&name).ok_or_else(|| bad(format!("there is no function {name:?}")))?;
                Node::Function(Function::Builtin(f), inputs.into_iter().map(x).collect::<Result<_>>()?)
            }
            ExprForm::User(name, inputs) => {
                let (f, _) = registered::columns(&name).ok_or_else(|| unknown(&name))?;
                if inputs.is_empty() {
                    return Err(bad("a function of nothing"));
                }
                Node::Function(Function::User(f), inputs.into_iter().map(x).collect::<Result<_>>()?)
            }
        }))
    }

    fn named(&self, columns: Vec<NamedForm>) -> Result<Vec<Named>> {
        let one = |(name, e): NamedForm| Ok(Named { name: name.into(), expr: at(&self.exprs, e)? });
        columns.into_iter().map(one).collect()
    }

    fn keys(&self, by: Vec<KeyForm>) -> Result<Vec<SortKey>> {
        let key =
            |(e, descending, nulls_first)| Ok(SortKey { expr: at(&self.exprs, e)?, descending, nulls_first });
        by.into_iter().map(key).collect()
    }

    fn partition(&self, by: PartitionForm) -> Result<Partition> {
        Ok(match by {
            PartitionForm::Rows(n) => Partition::Rows(count(n)),
            PartitionForm::Count(n) => Partition::Count(count(n)),
            PartitionForm::Hash(keys, n) => {
                let keys = keys.into_iter().map(|e| at(&self.exprs, e)).collect::<Result<_>>()?;
                Partition::Hash(keys, count(n))
            }
            PartitionForm::Range(keys, n) => Partition::Range(self.keys(keys)?, count(n)),
        })
    }

    fn relation(&self, form: RelationForm) -> Result<(Relation, (usize, usize))> {
        let x = |place: u32| at(&self.exprs, place);
        let mut size = (1, 1);
        let mut input = |place: u32| -> Result<Relation> {
            let (r, (depth, all)) = at(&self.relations, place)?;
            size = (size.0.max(depth + 1), all.saturating_add(size.1));
            if size.0 > DEEPEST || size.1 > LARGEST {
                Err(bad("relations that are nested too deeply"))
            } else {
                Ok(r)
            }
        };
        let built = match form {
            RelationForm::Scan { source, columns } => {
                let source = at(&self.sources, source)?;
                let fields = source.schema().fields().len();
                let columns: Vec<usize> = columns.into_iter().map(|c| c as usize).collect();
                let fresh = |k: usize| !columns[..k].contains(&columns[k]) && columns[k] < fields;
                if columns.len() > fields || !(0..columns.len()).all(fresh) {
                    return Err(bad("columns that the source does not have"));
                }
                // names that come twice are an error there
                let all = Relation::scan(source.clone())?;
                match columns.iter().copied().eq(0..fields) {
                    true => all,
                    false => Relation::scan_columns(source, columns.into()),
                }
            }
            RelationForm::Project { of, columns } => input(of)?.project(self.named(columns)?)?,
            RelationForm::Filter { of, mask } => input(of)?.filter(x(mask)?)?,
            RelationForm::Aggregate { of, keys, folds } => {
                let fold = |(name, op, e): (String, FoldForm, u32)| {
                    Ok(Aggregate { name: name.into(), op: fold(op)?, input: x(e)? })
                };
                let folds = folds.into_iter().map(fold).collect::<Result<_>>()?;
                input(of)?.aggregate(self.named(keys)?, folds)?
            }
            RelationForm::Join { left, right, kind, on, columns } => {
                let on = on.into_iter().map(|(a, b)| Ok((x(a)?, x(b)?))).collect::<Result<_>>()?;
                let columns = columns.into_iter().map(|(c, name)| (c as usize, name.into())).collect();
                input(left)?.join_taking(&input(right)?, of(JOINS, kind)?, on, columns)?
            }
            RelationForm::Sort { of, by } => input(of)?.sort(self.keys(by)?)?,
            RelationForm::Slice { of, offset, len } => input(of)?.slice(count(offset), count(len)),
            RelationForm::Tail { of, len } => input(of)?.tail(count(len)),
            RelationForm::Window { of, columns, keys } => {
                let column = |(name, op, inputs): (String, WindowForm, Vec<u32>)| {
                    let inputs = inputs.into_iter().map(x).collect::<Result<Vec<_>>>()?;
                    if inputs.is_empty() {
                        return Err(bad("a function of nothing"));
                    }
                    Ok(WindowColumn { name: name.into(), op: window(op)?, inputs })
                };
                let columns = columns.into_iter().map(column).collect::<Result<_>>()?;
                input(of)?.window(columns, keys.into_iter().map(x).collect::<Result<_>>()?)?
            }
            RelationForm::Concat(parts) => {
                Relation::concat(&parts.into_iter().map(&mut input).collect::<Result<Vec<_>>>()?)?
            }
            RelationForm::Distinct { of, columns } => {
                let input = input(of)?;
                let name = |c: u32| input.schema().fields().get(c as usize).map(|f| f.name().as_str());
                let names = columns.into_iter().map(name).collect::<Option<Vec<_>>>();
                input.distinct(&names.ok_or_else(|| bad("columns that are not there"))?)?
            }
            RelationForm::MapBatches { of, function, schema: columns } => {
                input(of)?.map_batches(batches(function)?, &*schema(columns)?)?
            }
            RelationForm::Runs { of, label, by, name, schema: columns } => {
                let (input, columns) = (input(of)?, schema(columns)?);
                let function =
                    name.map(|n| registered::batches(&n).ok_or_else(|| unknown(&n))).transpose()?;
                let Some((number, rows)) = input.schema().fields().split_last() else {
                    return Err(bad("runs without numbers"));
                };
                let same = || {
                    let types = |fields: &[FieldRef]| -> Vec<_> {
                        fields.iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
                    };
                    types(rows) == types(columns.fields())
                };
                if *number.data_type() != DataType::Int64 || function.is_none() && !same() {
                    return Err(bad("runs of other rows"));
                }
                let partition = by.map(|by| self.partition(by)).transpose()?;
                input.runs(Runs { name: label.into(), partition, function }, &columns)?
            }
        };
        Ok((built, size))
    }
}

fn batches(form: BatchForm) -> Result<BatchFunction> {
    Ok(match form {
        BatchForm::User(name) => {
            let function = registered::batches(&name).ok_or_else(|| unknown(&name))?;
            BatchFunction::User(name.into(), function)
        }
        BatchForm::Explode(at) => BatchFunction::Explode(count(at)),
        BatchForm::Unpivot(names) => BatchFunction::Unpivot(names.into_iter().map(Into::into).collect()),
        BatchForm::Spans(every) => BatchFunction::Spans(every.parse()?),
        BatchForm::Stack { labels, cells } => {
            let places = |c: Vec<Option<u64>>| c.into_iter().map(|p| p.map(count)).collect();
            let cells = cells.into_iter().map(places).collect();
            BatchFunction::Stack(Arc::new(Stack { labels, cells }))
        }
    })
}

fn fold(form: FoldForm) -> Result<AggOp> {
    Ok(match form {
        FoldForm::Plain(op) => {
            FOLDS.get(op as usize).cloned().ok_or_else(|| bad("a fold that there is not"))?
        }
        FoldForm::Var(ddof) => AggOp::Var(ddof),
        FoldForm::Std(ddof) => AggOp::Std(ddof),
        FoldForm::Quantile(q) if (0.0..=1.0).contains(&q) => AggOp::Quantile(q),
        FoldForm::Quantile(q) => return Err(bad(format!("a quantile of {q}"))),
        FoldForm::TopK(k) => AggOp::TopK(count(k)),
        FoldForm::BottomK(k) => AggOp::BottomK(count(k)),
        FoldForm::User(name) => AggOp::User(registered::fold(&name).ok_or_else(|| unknown(&name))?),
    })
}

/// A name that the user's functions here do not have.
fn unknown(name: &str) -> Error {
    let what = format!("{name}: a function that this worker does not know");
    let hint = "register it in the worker's program too".into();
    ErrorKind::Unsupported { what, hint }.into()
}

fn window(form: WindowForm) -> Result<WindowOp> {
    let fold = |form| match form {
        FoldForm::User(name) => Err(bad(format!("{name} of rows in order"))),
        form => fold(form),
    };
    Ok(match form {
        WindowForm::Cumulative(of) => WindowOp::Cumulative(fold(of)?),
        WindowForm::Shift(n) => WindowOp::Shift(n),
        WindowForm::FillForward => WindowOp::FillForward,
        WindowForm::FillBackward => WindowOp::FillBackward,
        WindowForm::Rolling { fold: of, rows, time, min_periods } => WindowOp::Rolling {
            fold: fold(of)?,
            size: rows.map_or(WindowSize::Time(time), |n| WindowSize::Rows(count(n))),
            min_periods: count(min_periods),
        },
        WindowForm::RowNumber => WindowOp::RowNumber,
        WindowForm::GroupNumber => WindowOp::GroupNumber,
        WindowForm::Random(seed) => WindowOp::Random(seed),
    })
}

impl std::fmt::Debug for FrameJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FrameJob { relation, sink, limit, shards } = self;
        let to = sink.as_ref().map_or("rows".into(), |s| s.label());
        write!(f, "FrameJob({:?} to {to}, limit {limit}, {shards} shards)", relation.schema())
    }
}
