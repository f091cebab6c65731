//! Relations become pipelines: what works row by row joins the pipeline that its rows come from; what needs all rows ends it.

use super::program::{Code, Compiler, Effect, KernelStep, Program};
use super::sides::{are_in_order, follow_each_other, is_small_beside, mirrored, renamed, reordered, swapped};
use super::{
    Chain, FoldColumn, FramePlan, GroupPlan, HostFold, Input, Pipeline, Probe, Root, RowStep, RunsPlan,
    SortPlan, WindowPlan,
};
use crate::block::BatchSink;
use crate::error::{Error, Result};
use crate::expr::frame::{
    AggOp, Aggregate, Expr, JoinKind, KernelOp, Named, Node, RelOp, Relation, SortKey, Typed, TypedOp,
    kernel_dtype, key,
};
use crate::op::{BinaryOp, ReduceOp, UnaryOp};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// The plan of a relation whose rows go to a sink, or are kept. `room` is how many bytes of rows a table of a join may take before they go to
/// disk.
///
/// # Errors
/// Those of resolving its expressions, which were found when it was built.
pub fn lower(relation: &Relation, sink: Option<Arc<dyn BatchSink>>, room: u64) -> Result<FramePlan> {
    let mut pipelines = Pipelines { all: vec![], room };
    let open = pipelines.open(relation)?;
    let schema = relation.schema().clone();
    if let Some(sink) = sink {
        pipelines.close(open, Root::Write(sink), &schema);
        return Ok(FramePlan { pipelines: pipelines.all, schema });
    }
    // a result that a pipeline has left already needs no other one to collect it
    match open.as_slice() {
        [Chain { input: Input::Result(n), steps }] if steps.is_empty() && *n + 1 == pipelines.all.len() => {}
        _ => {
            pipelines.close(open, Root::Collect { offset: 0, len: usize::MAX }, &schema);
        }
    }
    Ok(FramePlan { pipelines: pipelines.all, schema })
}

struct Pipelines {
    /// Those so far.
    all: Vec<Pipeline>,
    /// Bytes of rows that the table of a join may take.
    room: u64,
}

type Open = Vec<Chain>;

impl Pipelines {
    /// The chains that yield a relation's rows.
    fn open(&mut self, r: &Relation) -> Result<Open> {
        Ok(match r.op() {
            RelOp::Scan { source, columns } => {
                vec![Chain {
                    input: Input::Scan { source: source.clone(), columns: columns.clone() },
                    steps: vec![],
                }]
            }
            RelOp::Project(columns) => {
                let input = &r.inputs()[0];
                let step = RowStep::Project(
                    program(columns.iter().map(|c| &c.expr), input.schema())?,
                    r.schema().clone(),
                );
                then(self.open(input)?, step)
            }
            RelOp::Filter(mask) => {
                let input = &r.inputs()[0];
                let step = match not_null(mask, input.schema()) {
                    Some(columns) => RowStep::DropNulls(columns),
                    None => RowStep::Filter(program([mask], input.schema())?),
                };
                then(self.open(input)?, step)
            }
            RelOp::MapBatches(function) => {
                let step = RowStep::MapBatches(function.clone(), r.schema().clone());
                then(self.open(&r.inputs()[0])?, step)
            }
            RelOp::Concat => {
                let mut all = vec![];
                for input in r.inputs() {
                    all.extend(self.open(input)?);
                }
                all
            }
            RelOp::Aggregate { keys, aggregates } => {
                let (input, mut plan) = grouping(&r.inputs()[0], keys, aggregates)?;
                plan.in_order = follow_each_other(input, keys);
                let open = self.open(input)?;
                self.end(open, Root::Group(plan), r.schema())
            }
            RelOp::Sort(by) => self.sort(r, by, usize::MAX)?,
            RelOp::Slice { offset, len } => {
                let input = &r.inputs()[0];
                // of rows in another order no more are kept than are wanted
                let open = match input.op() {
                    RelOp::Sort(by) => self.sort(input, by, offset.saturating_add(*len))?,
                    _ => self.open(input)?,
                };
                self.end(open, Root::Collect { offset: *offset, len: *len }, r.schema())
            }
            RelOp::Window { columns, keys } => {
                let input = &r.inputs()[0];
                let inputs = columns.iter().flat_map(|c| &c.inputs).chain(keys);
                let program = program(inputs, input.schema())?;
                let types = r.schema().fields()[input.schema().fields().len()..].iter();
                let columns = columns
                    .iter()
                    .zip(types)
                    .map(|(c, f)| (c.op.clone(), c.inputs.len(), f.data_type().clone()));
                let plan = WindowPlan { program, keys: keys.len(), columns: columns.collect() };
                let open = self.open(input)?;
                self.end(open, Root::Window(plan), r.schema())
            }
            RelOp::Tail(len) => {
                let open = self.open(&r.inputs()[0])?;
                self.end(open, Root::Tail(*len), r.schema())
            }
            RelOp::Runs(runs) => {
                let input = &r.inputs()[0];
                let fields = input.schema().fields();
                let rows = Schema::new(fields[..fields.len().saturating_sub(1)].to_vec());
                let (name, function) = (runs.name.clone(), runs.function.clone());
                let open = self.open(input)?;
                self.end(open, Root::Runs(RunsPlan { name, input: Arc::new(rows), function }), r.schema())
            }
            RelOp::Distinct(on) => {
                let open = self.open(&r.inputs()[0])?;
                self.end(open, Root::Distinct(on.to_vec()), r.schema())
            }
            RelOp::Join { kind, on, right } => self.join(r, *kind, on, right)?,
        })
    }

    fn sort(&mut self, r: &Relation, by: &[SortKey], keep: usize) -> Result<Open> {
        let input = &r.inputs()[0];
        let keys = program(by.iter().map(|k| &k.expr), input.schema())?;
        let options = by.iter().map(|k| (k.descending, k.nulls_first)).collect();
        let open = self.open(input)?;
        Ok(self.end(open, Root::Sort(SortPlan { keys, options, keep }), r.schema()))
    }

    /// Ends a pipeline; its result's rows.
    fn end(&mut self, open: Open, root: Root, schema: &SchemaRef) -> Open {
        vec![Chain { input: Input::Result(self.close(open, root, schema)), steps: vec![] }]
    }

    fn close(&mut self, chains: Open, root: Root, schema: &SchemaRef) -> usize {
        self.all.push(Pipeline { chains, root, schema: schema.clone() });
        self.all.len() - 1
    }

    fn join(
        &mut self,
        r: &Relation,
        kind: JoinKind,
        on: &[(Expr, Expr)],
        right: &[(usize, Arc<str>)],
    ) -> Result<Open> {
        let (left, other) = (&r.inputs()[0], &r.inputs()[1]);
        match kind {
            // the right rows, each with its partner on the left if it has one
            JoinKind::Right => self.open(&mirrored(r)?),
            // the side that is kept is the right one, unless only the left one fits
            JoinKind::Inner if is_small_beside(left, other, self.room) => self.open(&reordered(r)?),
            // and all rows without a partner: the left join's, then the right rows that are in no pair
            JoinKind::Full => {
                let mut all = self.probe(r, JoinKind::Left, on, right)?;
                let alone = other.join(left, JoinKind::Anti, swapped(on), "")?;
                all.extend(self.open(&renamed(r, &alone)?)?);
                Ok(all)
            }
            kind => self.probe(r, kind, on, right),
        }
    }

    fn probe(
        &mut self,
        r: &Relation,
        kind: JoinKind,
        on: &[(Expr, Expr)],
        right: &[(usize, Arc<str>)],
    ) -> Result<Open> {
        let (left, other) = (&r.inputs()[0], &r.inputs()[1]);
        // keys meet in one type
        let mut keys = (vec![], vec![]);
        for (a, b) in on {
            let types =
                (a.resolve(left.schema())?.data_type.clone(), b.resolve(other.schema())?.data_type.clone());
            let checked = || Error::internal("keys were checked to mix");
            keys.0.push(key(a, &types.0, &types.1).ok_or_else(checked)?);
            keys.1.push(key(b, &types.1, &types.0).ok_or_else(checked)?);
        }
        let built = self.open(other)?;
        let build = self.close(
            built,
            Root::Build {
                keys: Arc::new(program(&keys.1, other.schema())?),
                in_order: matches!(kind, JoinKind::Inner | JoinKind::Left) && are_in_order(left, other, on),
            },
            other.schema(),
        );
        let open = self.open(left)?;
        let fields = left.schema().fields().iter().map(|f| f.as_ref().clone());
        let taken = right
            .iter()
            .map(|(c, name)| Field::new(&**name, other.schema().field(*c).data_type().clone(), true));
        let probe = Probe {
            build,
            kind,
            keys: Arc::new(program(&keys.0, left.schema())?),
            hidden: 0,
            right: right.iter().map(|(c, _)| *c).collect(),
            schema: Arc::new(Schema::new(fields.chain(taken).collect::<Vec<_>>())),
        };
        Ok(then(open, RowStep::Probe(probe)))
    }
}

fn then(mut open: Open, step: RowStep) -> Open {
    let step = Arc::new(step);
    for chain in &mut open {
        chain.steps.push(step.clone());
    }
    open
}

fn program<'a>(expressions: impl IntoIterator<Item = &'a Expr>, schema: &Schema) -> Result<Program> {
    let typed = expressions.into_iter().map(|e| e.resolve(schema)).collect::<Result<Vec<_>>>()?;
    Ok(Program::new(schema.fields().len(), &typed))
}

/// The columns of which a mask says only that none is null.
fn not_null(mask: &Expr, schema: &Schema) -> Option<Vec<usize>> {
    match mask.node() {
        Node::Binary(BinaryOp::And, a, b) => {
            let mut columns = not_null(a, schema)?;
            columns.extend(not_null(b, schema)?);
            Some(columns)
        }
        Node::Unary(UnaryOp::Not, x) => match x.node() {
            Node::IsNull(x) => match x.node() {
                Node::Column(name) => schema.index_of(name).ok().map(|c| vec![c]),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Collects the effects of a group's kernel, each once.
struct Effects {
    compiler: Compiler,
    effects: Vec<Effect>,
}

impl Effects {
    fn add(&mut self, effect: Effect) -> usize {
        self.effects.iter().position(|e| *e == effect).unwrap_or_else(|| {
            self.effects.push(effect);
            self.effects.len() - 1
        })
    }

    fn fold(&mut self, op: ReduceOp, value: Code) -> usize {
        self.add(Effect::Group { op, value })
    }

    fn count(&mut self, value: Code) -> usize {
        self.add(Effect::GroupCount { value })
    }
}

/// The plan of a group root, and the relation whose rows it folds. With one group and folds in kernels alone a filter is a mask of the
/// folds, and no row is moved.
fn grouping<'a>(
    input: &'a Relation,
    keys: &[Named],
    aggregates: &[Aggregate],
) -> Result<(&'a Relation, GroupPlan)> {
    if let RelOp::Filter(mask) = input.op()
        && keys.is_empty()
    {
        let below = &input.inputs()[0];
        let inputs = aggregates.iter().map(|a| Ok(a.input.resolve(below.schema())?.is_strict()));
        if !inputs.collect::<Result<Vec<bool>>>()?.contains(&true) {
            let plan = group(keys, aggregates, Some(mask), below.schema())?;
            if plan.hosts.is_empty() {
                return Ok((below, plan));
            }
        }
    }
    Ok((input, group(keys, aggregates, None, input.schema())?))
}

fn group(
    keys: &[Named],
    aggregates: &[Aggregate],
    mask: Option<&Expr>,
    schema: &Schema,
) -> Result<GroupPlan> {
    let mut e = Effects { compiler: Compiler::new(schema.fields().len()), effects: vec![] };
    let mut outputs = vec![];
    for key in keys {
        let typed = key.expr.resolve(schema)?;
        outputs.push((e.compiler.register(&typed).0, typed.data_type.clone()));
    }
    let mask = mask.map(|m| Ok::<_, Error>(e.compiler.code(&m.resolve(schema)?).0)).transpose()?;
    let mut hosts = vec![];
    let mut columns = vec![];
    for a in aggregates {
        let mut input = a.input.resolve(schema)?;
        let output = a.op.output(&input.data_type).map_err(Error::internal)?;
        let is_decimal = input.data_type.is_decimal();
        if is_decimal && a.op.is_of_floats() {
            input = a.input.cast(DataType::Float64).resolve(schema)?;
        } else if is_decimal && a.op == AggOp::Sum {
            input = a.input.cast(output.clone()).resolve(schema)?;
        }
        let host = match a.op {
            AggOp::First => Some(HostFold::First),
            AggOp::Last => Some(HostFold::Last),
            AggOp::NUnique => Some(HostFold::NUnique),
            AggOp::Median => Some(HostFold::Quantile(0.5)),
            AggOp::Quantile(q) => Some(HostFold::Quantile(q)),
            AggOp::TopK(k) => Some(HostFold::Top { k, largest: true }),
            AggOp::BottomK(k) => Some(HostFold::Top { k, largest: false }),
            AggOp::List => Some(HostFold::List),
            AggOp::User(ref fold) => Some(HostFold::User(fold.clone(), input.data_type.clone())),
            AggOp::Sum if is_decimal => Some(HostFold::Sum(format!("sum({})", a.input).into())),
            AggOp::Min if kernel_dtype(&input.data_type).is_none() => Some(HostFold::Min),
            AggOp::Max if kernel_dtype(&input.data_type).is_none() => Some(HostFold::Max),
            _ => None,
        };
        if let Some(host) = host {
            outputs.push((e.compiler.register(&input).0, input.data_type.clone()));
            columns.push(FoldColumn::Host(hosts.len(), output));
            hosts.push(host);
            continue;
        }
        if a.op == AggOp::Count && kernel_dtype(&input.data_type).is_none() {
            let null = Typed { op: TypedOp::IsNull, inputs: vec![input], data_type: DataType::Boolean };
            let not = Typed {
                op: TypedOp::Kernel(KernelOp::Unary(UnaryOp::Not)),
                inputs: vec![Arc::new(null)],
                data_type: DataType::Boolean,
            };
            let value = e.compiler.code(&Arc::new(not)).0;
            columns.push(FoldColumn::Plane(e.fold(ReduceOp::Sum, value), output));
            continue;
        }
        let value = e.compiler.code(&input).0;
        columns.push(match a.op {
            AggOp::Sum => FoldColumn::Plane(e.fold(ReduceOp::Sum, value), output),
            AggOp::Prod => FoldColumn::Plane(e.fold(ReduceOp::Prod, value), output),
            AggOp::All => FoldColumn::Plane(e.fold(ReduceOp::All, value), output),
            AggOp::Any => FoldColumn::Plane(e.fold(ReduceOp::Any, value), output),
            AggOp::Count | AggOp::Len => FoldColumn::Plane(e.count(value), output),
            AggOp::Min => FoldColumn::PlaneUnlessEmpty(e.fold(ReduceOp::Fmin, value), e.count(value), output),
            AggOp::Max => FoldColumn::PlaneUnlessEmpty(e.fold(ReduceOp::Fmax, value), e.count(value), output),
            AggOp::Mean => {
                let float = e.compiler.as_f64(value);
                FoldColumn::Mean(e.fold(ReduceOp::Sum, float), e.count(value))
            }
            AggOp::Var(ddof) | AggOp::Std(ddof) => {
                let float = e.compiler.as_f64(value);
                let root = matches!(a.op, AggOp::Std(_));
                FoldColumn::Variance { m2: e.fold(ReduceOp::M2, float), ddof, root }
            }
            _ => return Err(Error::internal("a fold of no kind")),
        });
    }
    let (steps, registers, code) = e.compiler.finish();
    Ok(GroupPlan {
        program: Program { steps, outputs, registers },
        keys: keys.len(),
        in_order: None,
        kernel: KernelStep::new(e.effects, mask, &code),
        hosts,
        columns,
    })
}
