//! The logical plan of a frame: a tree of relational operations whose schemas are known without running anything.

use super::batches::BatchFunction;
use super::column::{AggOp, Expr};
use super::decimal::key_type;
use super::partition::Partition;
use super::resolve::{common, find, is_text, kernel_dtype, plain_dtype, plain_type};
use super::window::WindowOp;
use crate::block::BatchSource;
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::op::ReduceOp;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// A relation; cheap to clone.
#[derive(Clone)]
pub struct Relation(Arc<RelNode>);

struct RelNode {
    op: RelOp,
    inputs: Vec<Relation>,
    schema: SchemaRef,
}

/// A user's function of a block of rows.
pub type BatchFn = dyn Fn(RecordBatch) -> Result<RecordBatch> + Send + Sync;

/// The kinds of relational operation.
#[derive(Clone)]
pub enum RelOp {
    /// The rows of a source: these of its columns, in this order.
    Scan {
        /// What is read.
        source: Arc<dyn BatchSource>,
        /// Places of the columns in the source's schema.
        columns: Arc<[usize]>,
    },
    /// New columns of every row.
    Project(Vec<Named>),
    /// The rows where a bool is true.
    Filter(Expr),
    /// One row for every group of rows with equal keys; one row if there are no keys.
    Aggregate {
        /// What rows are grouped by.
        keys: Vec<Named>,
        /// What is made of a group.
        aggregates: Vec<Aggregate>,
    },
    /// Pairs of rows of two inputs whose keys are equal.
    Join {
        /// Which rows without a partner stay.
        kind: JoinKind,
        /// Keys of the left input and of the right one.
        on: Vec<(Expr, Expr)>,
        /// Columns of the right input that the result has, and what they are called there.
        right: Vec<(usize, Arc<str>)>,
    },
    /// The rows in another order.
    Sort(Vec<SortKey>),
    /// `len` rows from number `offset`.
    Slice {
        /// First row.
        offset: usize,
        /// Number of rows.
        len: usize,
    },
    /// The last rows.
    Tail(usize),
    /// The rows, with columns whose values depend on the rows before, or after.
    Window {
        /// The columns that are added.
        columns: Vec<WindowColumn>,
        /// Rows with equal keys are a group by themselves.
        keys: Vec<Expr>,
    },
    /// The rows of several inputs of one schema, one after the other.
    Concat,
    /// The first of the rows with equal values in these columns.
    Distinct(Arc<[usize]>),
    /// What is done with runs: all rows with one number in the last column of the input, which follow each other.
    Runs(Runs),
    /// A function of batches of rows.
    MapBatches(BatchFunction),
}

/// What is done with runs of rows, whose number the result has no more.
#[derive(Clone)]
pub struct Runs {
    /// Name in plans and errors.
    pub name: Arc<str>,
    /// How the rows were cut, if runs are partitions.
    pub partition: Option<Partition>,
    /// The user's function of all rows of a run; without one they stay as they are.
    pub function: Option<Arc<BatchFn>>,
}

/// A column to be made.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name.
    pub name: Arc<str>,
    /// Its values.
    pub expr: Expr,
}

/// A fold of a group's rows.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Name of the column it makes.
    pub name: Arc<str>,
    /// The fold.
    pub op: AggOp,
    /// What is folded.
    pub input: Expr,
}

/// A column made of rows in their order.
#[derive(Clone, Debug)]
pub struct WindowColumn {
    /// Its name.
    pub name: Arc<str>,
    /// The function.
    pub op: WindowOp,
    /// What it is a function of: values; and times, if its window is of times, or the rows whose values are filled forward.
    pub inputs: Vec<Expr>,
}

/// Which rows of a join stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinKind {
    /// Pairs only.
    Inner,
    /// Pairs, and the left rows without a partner.
    Left,
    /// Pairs, and the right rows without a partner.
    Right,
    /// Pairs, and all rows without a partner.
    Full,
    /// The left rows that have a partner, once each.
    Semi,
    /// The left rows that have none.
    Anti,
    /// Every pair of rows; no keys.
    Cross,
}

/// One key of a sort.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// The values that are compared.
    pub expr: Expr,
    /// Whether the largest come first.
    pub descending: bool,
    /// Whether nulls come first; last otherwise, ascending or not.
    pub nulls_first: bool,
}

impl AggOp {
    /// Whether it is a fold of numbers as f64.
    pub(crate) fn is_of_floats(&self) -> bool {
        matches!(self, AggOp::Mean | AggOp::Var(_) | AggOp::Std(_) | AggOp::Median | AggOp::Quantile(_))
    }

    /// The type of the fold of values of a type; an error in words if there is none.
    pub fn output(&self, t: &DataType) -> std::result::Result<DataType, String> {
        let undefined = || {
            let hint = if t.is_decimal() { "; cast it to Float64 before" } else { "" };
            format!("{self} is not defined for {t}{hint}")
        };
        let number = || plain_dtype(t).ok_or_else(undefined);
        Ok(match self {
            AggOp::Count | AggOp::Len | AggOp::NUnique => DataType::Int64,
            AggOp::Sum if t.is_decimal() => super::decimal::sum(t).ok_or_else(undefined)?,
            AggOp::Sum | AggOp::Prod => match t {
                DataType::Duration(_) if *self == AggOp::Sum => t.clone(),
                _ => {
                    let d = number()?;
                    let acc = ReduceOp::Sum.accumulator(d);
                    plain_type(if d.is_float() { d.max(DType::F32) } else { acc })
                }
            },
            AggOp::Mean | AggOp::Var(_) | AggOp::Std(_) | AggOp::Median | AggOp::Quantile(_) => {
                if !t.is_decimal() {
                    number()?;
                }
                DataType::Float64
            }
            AggOp::User(fold) => fold.output().clone(),
            AggOp::All | AggOp::Any if *t == DataType::Boolean => DataType::Boolean,
            AggOp::All | AggOp::Any => return Err(format!("{self} takes bools, not {t}")),
            AggOp::Min | AggOp::Max if kernel_dtype(t).is_some() || is_text(t) || t.is_decimal() => t.clone(),
            AggOp::Min | AggOp::Max => return Err(undefined()),
            AggOp::First | AggOp::Last => t.clone(),
            AggOp::TopK(_) | AggOp::BottomK(_) if kernel_dtype(t).is_none() => {
                return Err(format!("{self} is not defined for {t}"));
            }
            AggOp::TopK(_) | AggOp::BottomK(_) | AggOp::List => DataType::new_list(t.clone(), true),
        })
    }
}

impl Relation {
    fn new(op: RelOp, inputs: Vec<Relation>, fields: Vec<Field>) -> Result<Relation> {
        for (k, field) in fields.iter().enumerate() {
            if fields[..k].iter().any(|f| f.name() == field.name()) {
                let message =
                    format!("two columns would be called {:?}; rename one with alias(...)", field.name());
                return Err(Error::invalid("columns", message));
            }
        }
        Ok(Relation(Arc::new(RelNode { op, inputs, schema: Arc::new(Schema::new(fields)) })))
    }

    fn same_schema(op: RelOp, input: &Relation) -> Relation {
        Relation(Arc::new(RelNode { op, inputs: vec![input.clone()], schema: input.schema().clone() }))
    }

    /// All columns of a source.
    ///
    /// # Errors
    /// If two columns have one name.
    pub fn scan(source: Arc<dyn BatchSource>) -> Result<Relation> {
        let fields = source.schema().fields().iter().map(|f| f.as_ref().clone()).collect::<Vec<_>>();
        let columns = (0..fields.len()).collect();
        Relation::new(RelOp::Scan { source, columns }, vec![], fields)
    }

    /// Some columns of a source.
    pub fn scan_columns(source: Arc<dyn BatchSource>, columns: Arc<[usize]>) -> Relation {
        let fields: Vec<Field> = columns.iter().map(|&c| source.schema().field(c).clone()).collect();
        Relation(Arc::new(RelNode {
            op: RelOp::Scan { source, columns },
            inputs: vec![],
            schema: Arc::new(Schema::new(fields)),
        }))
    }

    /// New columns.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`], or if two columns have one name.
    pub fn project(&self, columns: Vec<Named>) -> Result<Relation> {
        let fields = fields(&columns, self.schema())?;
        Relation::new(RelOp::Project(columns), vec![self.clone()], fields)
    }

    /// The rows where the mask is true.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`], or if it is no bool.
    pub fn filter(&self, mask: Expr) -> Result<Relation> {
        let t = mask.resolve(self.schema())?.data_type.clone();
        if t != DataType::Boolean {
            return Err(ErrorKind::ColumnType {
                expression: mask.to_string(),
                message: format!("a filter is a bool, not {t}"),
            }
            .into());
        }
        Ok(Relation::same_schema(RelOp::Filter(mask), self))
    }

    /// Groups and their folds.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`], or a fold that the type does not have.
    pub fn aggregate(&self, keys: Vec<Named>, aggregates: Vec<Aggregate>) -> Result<Relation> {
        let mut fields = fields(&keys, self.schema())?;
        for a in &aggregates {
            let t = a.input.resolve(self.schema())?.data_type.clone();
            let out = a.op.output(&t).map_err(|message| -> Error {
                ErrorKind::ColumnType { expression: format!("{}({})", a.op, a.input), message }.into()
            })?;
            fields.push(Field::new(&*a.name, out, true));
        }
        Relation::new(RelOp::Aggregate { keys, aggregates }, vec![self.clone()], fields)
    }

    /// Pairs of rows. Columns of the right side whose name the left side has get a suffix; keys that have one name are there once.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`]; keys whose types do not mix.
    pub fn join(
        &self,
        other: &Relation,
        kind: JoinKind,
        on: Vec<(Expr, Expr)>,
        suffix: &str,
    ) -> Result<Relation> {
        for (left, right) in &on {
            let (a, b) = (left.resolve(self.schema())?, right.resolve(other.schema())?);
            if key_type(&a.data_type, &b.data_type).is_none() {
                return Err(ErrorKind::ColumnType {
                    expression: format!("{left} == {right}"),
                    message: format!(
                        "keys of type {} and {} do not mix; cast one of them",
                        a.data_type, b.data_type
                    ),
                }
                .into());
            }
        }
        if let Some(wider) = self.with_wider_keys(other, kind, &on)? {
            return wider.join(other, kind, on, suffix);
        }
        let mut fields = left_fields(self, kind);
        let mut right = vec![];
        if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            let is_key = |name: &str| {
                let same = |e: &Expr| matches!(e.node(), super::Node::Column(n) if **n == *name);
                on.iter().any(|(l, r)| same(l) && same(r))
            };
            for (k, field) in other.schema().fields().iter().enumerate() {
                if is_key(field.name()) {
                    continue;
                }
                let taken = self.schema().fields().iter().any(|f| f.name() == field.name());
                let name = if taken { format!("{}{suffix}", field.name()) } else { field.name().clone() };
                fields.push(Field::new(&name, field.data_type().clone(), true));
                right.push((k, name.as_str().into()));
            }
        }
        Relation::new(RelOp::Join { kind, on, right }, vec![self.clone(), other.clone()], fields)
    }

    /// This, with keys of a type that holds those of the other side too, where rows of that side alone are kept and the key is one column
    /// of the result; none if all are such.
    fn with_wider_keys(
        &self,
        other: &Relation,
        kind: JoinKind,
        on: &[(Expr, Expr)],
    ) -> Result<Option<Relation>> {
        if !matches!(kind, JoinKind::Right | JoinKind::Full) {
            return Ok(None);
        }
        let wider = |field: &Arc<Field>| {
            let is = |e: &Expr| matches!(e.node(), super::Node::Column(n) if **n == **field.name());
            let shared = on.iter().any(|(l, r)| is(l) && is(r));
            let theirs = other.schema().field_with_name(field.name()).ok().filter(|_| shared)?;
            key_type(field.data_type(), theirs.data_type()).filter(|t| t != field.data_type())
        };
        if !self.schema().fields().iter().any(|f| wider(f).is_some()) {
            return Ok(None);
        }
        let column = |f: &Arc<Field>| {
            let column = super::col(f.name());
            let expr = wider(f).map_or(column.clone(), |t| column.cast(t));
            Named { name: f.name().as_str().into(), expr }
        };
        self.project(self.schema().fields().iter().map(column).collect()).map(Some)
    }

    /// Pairs of rows, with these columns of the other side under these names.
    ///
    /// # Errors
    /// As [`Relation::join`]; for columns that are not there.
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    pub(crate) fn join_taking(
        &self,
        other: &Relation,
        kind: JoinKind,
        on: Vec<(Expr, Expr)>,
        right: Vec<(usize, Arc<str>)>,
    ) -> Result<Relation> {
        let joined = self.join(other, kind, on.clone(), "\0other")?;
        let mut fields = left_fields(&joined.inputs()[0], kind);
        let halves = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        for (c, name) in &right {
            let field = other.schema().fields().get(*c).filter(|_| !halves);
            let field = field.ok_or_else(|| Error::invalid("join", format!("there is no column {c}")))?;
            fields.push(Field::new(&**name, field.data_type().clone(), true));
        }
        Relation::new(RelOp::Join { kind, on, right }, joined.inputs().to_vec(), fields)
    }

    /// Another order.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`].
    pub fn sort(&self, by: Vec<SortKey>) -> Result<Relation> {
        if by.is_empty() {
            return Ok(self.clone());
        }
        for key in &by {
            key.expr.resolve(self.schema())?;
        }
        if self.is_sorted_by(&by) {
            return Ok(self.clone());
        }
        Ok(Relation::same_schema(RelOp::Sort(by), self))
    }

    /// Some consecutive rows.
    pub fn slice(&self, offset: usize, len: usize) -> Relation {
        Relation::same_schema(RelOp::Slice { offset, len }, self)
    }

    /// More columns, made of rows in their order.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`], or a function that the type does not have.
    pub fn window(&self, columns: Vec<WindowColumn>, keys: Vec<Expr>) -> Result<Relation> {
        let mut fields: Vec<Field> = self.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        for key in &keys {
            key.resolve(self.schema())?;
        }
        for c in &columns {
            let fail = |message: String| -> Error {
                let expression = format!("{}({})", c.op, c.inputs[0]);
                ErrorKind::ColumnType { expression, message }.into()
            };
            let t = c.inputs[0].resolve(self.schema())?.data_type.clone();
            if let (WindowOp::Rolling { .. }, Some(time)) = (&c.op, c.inputs.get(1)) {
                let t = time.resolve(self.schema())?.data_type.clone();
                if !matches!(t, DataType::Date32 | DataType::Timestamp(..)) {
                    return Err(fail(format!("windows go by dates or timestamps, not by {t}")));
                }
            }
            fields.push(Field::new(&*c.name, c.op.output(&t).map_err(fail)?, true));
        }
        Relation::new(RelOp::Window { columns, keys }, vec![self.clone()], fields)
    }

    /// The last rows.
    pub fn tail(&self, len: usize) -> Relation {
        Relation::same_schema(RelOp::Tail(len), self)
    }

    /// The first of equal rows.
    ///
    /// # Errors
    /// A column that is not there.
    pub fn distinct(&self, on: &[&str]) -> Result<Relation> {
        let on = on.iter().map(|name| find(self.schema(), name)).collect::<Result<Arc<[usize]>>>()?;
        Ok(Relation::same_schema(RelOp::Distinct(on), self))
    }

    /// A function of batches of rows, whose result has this schema.
    ///
    /// # Errors
    /// If two columns have one name, or the function is of other columns.
    pub fn map_batches(&self, function: BatchFunction, schema: &Schema) -> Result<Relation> {
        if !function.fits(self.schema(), schema) {
            return Err(Error::internal(format!("{} of other columns", function.name())));
        }
        let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Relation::new(RelOp::MapBatches(function), vec![self.clone()], fields)
    }

    /// What is done with runs of rows, by the number in the last column; the result has this schema.
    ///
    /// # Errors
    /// If two columns have one name.
    pub fn runs(&self, runs: Runs, schema: &Schema) -> Result<Relation> {
        let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Relation::new(RelOp::Runs(runs), vec![self.clone()], fields)
    }

    /// Rows of several relations. Columns are matched by name; their types are promoted.
    ///
    /// # Errors
    /// If there is none, or columns differ.
    pub fn concat(parts: &[Relation]) -> Result<Relation> {
        let Some(first) = parts.first() else {
            return Err(Error::invalid("concat", "there is nothing to concatenate"));
        };
        let mut fields: Vec<Field> = first.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        for part in &parts[1..] {
            if part.schema().fields().len() != fields.len() {
                let names = |s: &Schema| s.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
                let message =
                    format!("columns {:?} and {:?} differ", names(first.schema()), names(part.schema()));
                return Err(Error::invalid("concat", message));
            }
            for field in &mut fields {
                let other = part.schema().field(find(part.schema(), field.name())?);
                let t = common(field.data_type(), other.data_type()).ok_or_else(|| -> Error {
                    ErrorKind::ColumnType {
                        expression: field.name().clone(),
                        message: format!("is {} and {}", field.data_type(), other.data_type()),
                    }
                    .into()
                })?;
                *field = Field::new(field.name(), t, true);
            }
        }
        let schema = Schema::new(fields.clone());
        let inputs = parts.iter().map(|p| p.conform(&schema)).collect::<Result<Vec<_>>>()?;
        Relation::new(RelOp::Concat, inputs, fields)
    }

    /// The relation with exactly the columns of a schema, cast where needed.
    fn conform(&self, schema: &Schema) -> Result<Relation> {
        if self
            .schema()
            .fields()
            .iter()
            .map(|f| (f.name(), f.data_type()))
            .eq(schema.fields().iter().map(|f| (f.name(), f.data_type())))
        {
            return Ok(self.clone());
        }
        let named = |f: &Arc<Field>| Named {
            name: f.name().as_str().into(),
            expr: super::col(f.name()).cast(f.data_type().clone()),
        };
        self.project(schema.fields().iter().map(named).collect())
    }

    /// The same operation of other inputs, whose columns include those that it uses. A join's result has the right columns that are still
    /// there.
    ///
    /// # Errors
    /// Those of making it.
    pub(crate) fn with_inputs(&self, inputs: Vec<Relation>) -> Result<Relation> {
        match self.op() {
            RelOp::Join { on, .. } => self.with_keys(inputs, on.clone()),
            RelOp::Distinct(on) => {
                let names: Vec<&str> = on.iter().map(|&c| self.schema().field(c).name().as_str()).collect();
                inputs[0].distinct(&names)
            }
            RelOp::Runs(runs) if runs.function.is_none() => {
                let fields = inputs[0].schema().fields();
                let kept = fields[..fields.len().saturating_sub(1)].iter().map(|f| f.as_ref().clone());
                inputs[0].runs(runs.clone(), &Schema::new(kept.collect::<Vec<_>>()))
            }
            RelOp::Slice { offset, len } => Ok(inputs[0].slice(*offset, *len)),
            RelOp::Tail(len) => Ok(inputs[0].tail(*len)),
            RelOp::Window { columns, keys } => inputs[0].window(columns.clone(), keys.clone()),
            op => {
                let fields = self.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
                Relation::new(op.clone(), inputs, fields)
            }
        }
    }

    /// The same join of other inputs by other keys.
    ///
    /// # Errors
    /// Those of making it.
    pub(crate) fn with_keys(&self, inputs: Vec<Relation>, on: Vec<(Expr, Expr)>) -> Result<Relation> {
        let RelOp::Join { kind, right, .. } = self.op() else { return Err(Error::internal("no join")) };
        let (old, new) = (self.inputs()[1].schema(), inputs[1].schema());
        let place =
            |(c, name): &(usize, Arc<str>)| Some((new.index_of(old.field(*c).name()).ok()?, name.clone()));
        let right: Vec<(usize, Arc<str>)> = right.iter().filter_map(place).collect();
        let mut fields = left_fields(&inputs[0], *kind);
        fields.extend(
            right.iter().map(|(c, name)| Field::new(&**name, new.field(*c).data_type().clone(), true)),
        );
        Relation::new(RelOp::Join { kind: *kind, on, right }, inputs, fields)
    }

    /// Where it is in memory: what tells it from others, as long as it is there.
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// The operation.
    pub fn op(&self) -> &RelOp {
        &self.0.op
    }

    /// What it works on.
    pub fn inputs(&self) -> &[Relation] {
        &self.0.inputs
    }

    /// Names and types of its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }
}

/// The columns that a join takes from its left side.
fn left_fields(left: &Relation, kind: JoinKind) -> Vec<Field> {
    let may_be_absent = matches!(kind, JoinKind::Right | JoinKind::Full);
    let field = |f: &Arc<Field>| f.as_ref().clone().with_nullable(f.is_nullable() || may_be_absent);
    left.schema().fields().iter().map(field).collect()
}

fn fields(columns: &[Named], schema: &Schema) -> Result<Vec<Field>> {
    let field = |c: &Named| Ok(Field::new(&*c.name, c.expr.resolve(schema)?.data_type.clone(), true));
    columns.iter().map(field).collect()
}
