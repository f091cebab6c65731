//! Types of expressions: an [`Expr`] meets a schema and becomes a [`Typed`] tree in which every conversion is explicit.

use super::column::{Expr, Literal, Node};
use super::decimal::{self, DecimalOp};
use super::function::Function;
use super::graph::in_order;
use super::times;
use crate::dtype::{DType, Kind, Scalar, promote, promote_weak, to_float};
use crate::error::{Error, ErrorKind, Result};
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use arrow::datatypes::{DataType, Field, Schema};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// An expression with its types.
#[derive(Clone, Debug)]
pub struct Typed {
    /// What is computed.
    pub op: TypedOp,
    /// From what.
    pub inputs: Vec<Arc<Typed>>,
    /// Type of the result.
    pub data_type: DataType,
}

/// What a typed expression computes.
#[derive(Clone, Debug)]
pub enum TypedOp {
    /// A column, by its place in the schema.
    Column(usize),
    /// One value for all rows.
    Literal(Literal),
    /// Something that kernels compute: all inputs and the result are of kernel types.
    Kernel(KernelOp),
    /// Conversion that kernels have not: from or to text, for example.
    Cast,
    /// Comparison of what kernels do not know.
    Compare(CompareOp),
    /// Whether null, of what kernels do not know.
    IsNull,
    /// The first input unless null, else the second, of what kernels do not know.
    FillNull,
    /// A choice among what kernels do not know.
    When,
    /// Arithmetic of decimals; errors call it so.
    Decimal(DecimalOp, Arc<str>),
    /// A function of whole columns.
    Function(Function),
}

/// Operations of the kernel IR with the rules for nulls that frames have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelOp {
    /// Null where the operand is.
    Unary(UnaryOp),
    /// Null where an operand is; integer `FloorDiv` and `Rem` also where the divisor is 0.
    Binary(BinaryOp),
    /// Null where an operand is.
    Compare(CompareOp),
    /// Between kernel types.
    Cast,
    /// Three-valued.
    And,
    /// Three-valued.
    Or,
    /// Never null.
    IsNull,
    /// Null where both operands are.
    FillNull,
    /// Null where the chosen value is.
    When,
}

/// The dtype in which kernels see values of a type, if they do: numbers and bools as they are, dates, times and durations as the
/// integers that they are stored in.
pub fn kernel_dtype(t: &DataType) -> Option<DType> {
    Some(match t {
        DataType::Boolean => DType::Bool,
        DataType::Int8 => DType::I8,
        DataType::Int16 => DType::I16,
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) => DType::I32,
        DataType::Int64
        | DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_) => DType::I64,
        DataType::UInt8 => DType::U8,
        DataType::UInt16 => DType::U16,
        DataType::UInt32 => DType::U32,
        DataType::UInt64 => DType::U64,
        DataType::Float16 => DType::F16,
        DataType::Float32 => DType::F32,
        DataType::Float64 => DType::F64,
        _ => return None,
    })
}

/// The plain type of a dtype.
pub(crate) fn plain_type(d: DType) -> DataType {
    match d {
        DType::Bool => DataType::Boolean,
        DType::I8 => DataType::Int8,
        DType::I16 => DataType::Int16,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::U8 => DataType::UInt8,
        DType::U16 => DataType::UInt16,
        DType::U32 => DataType::UInt32,
        DType::U64 => DataType::UInt64,
        DType::F16 => DataType::Float16,
        DType::F32 => DataType::Float32,
        DType::F64 => DataType::Float64,
    }
}

/// Numbers and bools: the types whose dtype says everything.
pub(super) fn plain_dtype(t: &DataType) -> Option<DType> {
    kernel_dtype(t).filter(|&d| plain_type(d) == *t)
}

/// The name of the column that an expression makes: its alias, or that of the first column in it.
pub fn name_of(e: &Expr) -> Option<Arc<str>> {
    // not the whole of an expression, whose parts may be shared: the first part that has a name
    let mut seen = HashSet::new();
    let mut left = vec![e];
    while let Some(e) = left.pop() {
        match e.node() {
            Node::Column(name) | Node::Alias(name, _) => return Some(name.clone()),
            _ if !seen.insert(e.address()) => {}
            // a choice is called as what is chosen
            Node::When(c, a, b) => left.extend([c, b, a]),
            Node::Window(_, inputs, _) => left.extend(inputs.iter().rev()),
            _ => left.extend(e.children().into_iter().rev()),
        }
    }
    None
}

impl Expr {
    /// The expression's type and operations over columns of this schema.
    ///
    /// # Errors
    /// [`ErrorKind::Column`] for a column that is not there, [`ErrorKind::ColumnType`] for an operation that its operands' types do not
    /// have; an error that the expression carries.
    pub fn resolve(&self, schema: &Schema) -> Result<Arc<Typed>> {
        let mut known = HashMap::new();
        let mut last = None;
        for part in self.all_parts() {
            let typed = part.typed(schema, &known)?;
            known.insert(part.address(), typed.clone());
            last = Some(typed);
        }
        last.ok_or_else(|| Error::internal("an expression without parts"))
    }

    /// The type and operation of this node alone; those of its parts are known.
    fn typed(&self, schema: &Schema, known: &HashMap<*const Node, Arc<Typed>>) -> Result<Arc<Typed>> {
        let fail = |message: String| -> Error {
            ErrorKind::ColumnType { expression: self.to_string(), message }.into()
        };
        let of = |part: &Expr| -> Result<Arc<Typed>> {
            let found = known.get(&part.address()).cloned();
            found.ok_or_else(|| Error::internal("a part that was not resolved before"))
        };
        Ok(match self.node() {
            Node::Failed(e) => return Err(e.clone()),
            Node::Alias(_, x) => of(x)?,
            Node::Column(name) => {
                let at = find(schema, name)?;
                Typed::new(TypedOp::Column(at), vec![], schema.field(at).data_type().clone())
            }
            Node::Literal(v) => Typed::literal(v.clone()),
            Node::Unary(op, x) => {
                let x = of(x)?;
                decimal::unary(*op, &x, self).unwrap_or_else(|| unary(*op, x)).map_err(fail)?
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (of(a)?, of(b)?);
                decimal::binary(*op, &a, &b, self).unwrap_or_else(|| binary(*op, a, b)).map_err(fail)?
            }
            Node::Compare(op, a, b) => compare(*op, of(a)?, of(b)?).map_err(fail)?,
            Node::Cast(to, x) => cast(of(x)?, to).map_err(fail)?,
            Node::IsNull(x) => {
                let x = of(x)?;
                let op = if x.is_kernel() { TypedOp::Kernel(KernelOp::IsNull) } else { TypedOp::IsNull };
                Typed::new(op, vec![x], DataType::Boolean)
            }
            Node::FillNull(a, b) => {
                let (a, b) = meet(of(a)?, of(b)?).map_err(fail)?;
                let t = a.data_type.clone();
                let op = if a.is_kernel() { TypedOp::Kernel(KernelOp::FillNull) } else { TypedOp::FillNull };
                Typed::new(op, vec![a, b], t)
            }
            Node::When(c, a, b) => {
                let c = of(c)?;
                if c.data_type != DataType::Boolean {
                    return Err(fail(format!("the condition is {}, not a bool", c.data_type)));
                }
                let (a, b) = meet(of(a)?, of(b)?).map_err(fail)?;
                let t = a.data_type.clone();
                let op = if a.is_kernel() { TypedOp::Kernel(KernelOp::When) } else { TypedOp::When };
                Typed::new(op, vec![c, a, b], t)
            }
            Node::Function(function, inputs) => {
                let inputs = inputs.iter().map(of).collect::<Result<Vec<_>>>()?;
                let types: Vec<DataType> = inputs.iter().map(|x| x.data_type.clone()).collect();
                let output = match function {
                    Function::Builtin(f) => f.output_of(&types).map_err(fail)?,
                    Function::User(f) => f.output.clone(),
                };
                Typed::new(TypedOp::Function(function.clone()), inputs, output)
            }
            Node::Window(..) => {
                return Err(fail(
                    "depends on the order of rows; make it a column by with_columns(...) first".into(),
                ));
            }
            Node::Aggregate(..) => {
                return Err(fail(
                    "an aggregation has a value per group, not per row; use it in agg(...)".into(),
                ));
            }
        })
    }

    /// The field that the expression makes of columns of this schema; `at` names it if it has no name.
    ///
    /// # Errors
    /// Those of [`Expr::resolve`].
    pub fn field(&self, schema: &Schema) -> Result<Field> {
        let name = name_of(self).unwrap_or_else(|| "literal".into());
        Ok(Field::new(&*name, self.resolve(schema)?.data_type.clone(), true))
    }
}

/// The place of a column.
///
/// # Errors
/// [`ErrorKind::Column`], with the nearest name.
pub(crate) fn find(schema: &Schema, name: &str) -> Result<usize> {
    let place = schema.fields().iter().position(|f| f.name() == name);
    place.ok_or_else(|| Error::no_column(name, schema.fields().iter().map(|f| f.name())))
}

pub(super) type Found = std::result::Result<Arc<Typed>, String>;

impl Typed {
    pub(super) fn new(op: TypedOp, inputs: Vec<Arc<Typed>>, data_type: DataType) -> Arc<Typed> {
        Arc::new(Typed { op, inputs, data_type })
    }

    pub(super) fn literal(v: Literal) -> Arc<Typed> {
        let t = match &v {
            Literal::Null => DataType::Null,
            Literal::Number(s) => plain_type(s.dtype()),
            Literal::Text(_) => DataType::Utf8,
            Literal::Typed(t, _) => t.clone(),
        };
        Typed::new(TypedOp::Literal(v), vec![], t)
    }

    pub(super) fn kernel(op: KernelOp, inputs: Vec<Arc<Typed>>, t: DataType) -> Arc<Typed> {
        Typed::new(TypedOp::Kernel(op), inputs, t)
    }

    /// It and all that it is made of, each once, parts before what is made of them.
    pub(crate) fn all_parts<'a>(roots: impl IntoIterator<Item = &'a Arc<Typed>>) -> Vec<&'a Arc<Typed>> {
        in_order(roots, Arc::as_ptr, |x| x.inputs.iter().collect())
    }

    /// Whether kernels know its values.
    pub fn is_kernel(&self) -> bool {
        kernel_dtype(&self.data_type).is_some()
    }

    /// Its type, in which a literal integer has no more digits than it needs.
    pub(super) fn literal_type(&self) -> DataType {
        self.weak().and_then(literal_type).unwrap_or_else(|| self.data_type.clone())
    }

    /// Whether it is one value for all rows that has no type of its own.
    fn weak(&self) -> Option<&Literal> {
        match &self.op {
            TypedOp::Literal(v @ (Literal::Null | Literal::Number(_) | Literal::Text(_))) => Some(v),
            _ => None,
        }
    }
}

/// The type of a literal beside a decimal: an integer is a decimal of its digits, and so is a text that is written as one.
fn literal_type(v: &Literal) -> Option<DataType> {
    match v {
        Literal::Number(s) if s.dtype() == DType::Bool => None,
        Literal::Number(s) if s.dtype().is_float() => Some(DataType::Float64),
        Literal::Number(_) => decimal::of_digits(&v.to_string()),
        Literal::Text(text) => decimal::of_digits(text),
        _ => None,
    }
}

fn no_such(op: impl std::fmt::Display, types: &[&DataType]) -> String {
    let types: Vec<String> = types.iter().map(|t| t.to_string()).collect();
    format!("{op} is not defined for {}", types.join(" and "))
}

fn unary(op: UnaryOp, x: Arc<Typed>) -> Found {
    let t = x.data_type.clone();
    // durations are the one type with a sign that is not a plain number
    if matches!(t, DataType::Duration(_)) && matches!(op, UnaryOp::Neg | UnaryOp::Abs) {
        return Ok(Typed::kernel(KernelOp::Unary(op), vec![x], t));
    }
    let d = plain_dtype(&t).ok_or_else(|| no_such(op, &[&t]))?;
    if op.is_transcendental() || matches!(op, UnaryOp::Sqrt) {
        let to = plain_type(to_float(d).max(DType::F32));
        let x = convert(x, &to)?;
        return Ok(Typed::kernel(KernelOp::Unary(op), vec![x], to));
    }
    if !op.accepts(d) {
        return Err(no_such(op, &[&t]));
    }
    let out = if op.is_predicate() { DataType::Boolean } else { t };
    Ok(Typed::kernel(KernelOp::Unary(op), vec![x], out))
}

fn binary(op: BinaryOp, a: Arc<Typed>, b: Arc<Typed>) -> Found {
    if let Some(found) = times::binary(op, &a, &b) {
        return found;
    }
    let (a, b) = meet(a, b)?;
    let t = a.data_type.clone();
    let hint = if op == BinaryOp::Add && is_text(&t) { "; concat_str puts texts together" } else { "" };
    let d = plain_dtype(&t).ok_or_else(|| no_such(op, &[&t, &b.data_type]) + hint)?;
    if d == DType::Bool {
        let op = match op {
            BinaryOp::And => KernelOp::And,
            BinaryOp::Or => KernelOp::Or,
            BinaryOp::Xor => KernelOp::Binary(BinaryOp::Xor),
            _ => return Err(no_such(op, &[&t, &t])),
        };
        return Ok(Typed::kernel(op, vec![a, b], t));
    }
    let floats_only = op == BinaryOp::Div || op.is_transcendental();
    let to = if floats_only { plain_type(to_float(d).max(DType::F32)) } else { t };
    let d = plain_dtype(&to).unwrap_or(d);
    if !op.accepts(d) {
        return Err(no_such(op, &[&to, &to]));
    }
    let (a, b) = (convert(a, &to)?, convert(b, &to)?);
    Ok(Typed::kernel(KernelOp::Binary(op), vec![a, b], to))
}

fn compare(op: CompareOp, a: Arc<Typed>, b: Arc<Typed>) -> Found {
    let (a, b) = meet(a, b)?;
    let op = if a.is_kernel() { TypedOp::Kernel(KernelOp::Compare(op)) } else { TypedOp::Compare(op) };
    Ok(Typed::new(op, vec![a, b], DataType::Boolean))
}

/// Whether values are text, however stored.
pub(crate) fn is_text(t: &DataType) -> bool {
    match t {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, v) => is_text(v),
        _ => false,
    }
}

/// Two operands in one type: that of the typed one if the other is weak, else the promotion of numbers, text with text.
fn meet(a: Arc<Typed>, b: Arc<Typed>) -> std::result::Result<(Arc<Typed>, Arc<Typed>), String> {
    if a.data_type == b.data_type && a.data_type != DataType::Null {
        return Ok((a, b));
    }
    let clash = || format!("{} and {} do not mix; cast one of them", a.data_type, b.data_type);
    let weak_to = |typed: &Typed, weak: &Literal| -> Option<DataType> {
        match weak {
            Literal::Null => Some(typed.data_type.clone()),
            Literal::Number(_) | Literal::Text(_) if typed.data_type.is_decimal() => {
                decimal::meet(&typed.data_type, &literal_type(weak)?)
            }
            Literal::Number(s) => {
                let d = plain_dtype(&typed.data_type)?;
                let fits = s.dtype().kind() != Kind::Signed || d.kind() != Kind::Unsigned || s.as_i64() >= 0;
                // a negative number beside an unsigned column is compared and computed as signed
                let d = if fits { d } else { promote(d, DType::I8) };
                Some(plain_type(widened(promote_weak(d, s.dtype().kind()), *s)))
            }
            Literal::Text(_) if is_text(&typed.data_type) => Some(DataType::Utf8),
            Literal::Text(_) => Some(typed.data_type.clone()),
            Literal::Typed(..) => None,
        }
    };
    let to = match (a.weak(), b.weak()) {
        (Some(Literal::Null), Some(Literal::Null)) => DataType::Boolean,
        (None, Some(w)) => weak_to(&a, w).ok_or_else(clash)?,
        (Some(w), None) => weak_to(&b, w).ok_or_else(clash)?,
        (Some(Literal::Null), _) => b.data_type.clone(),
        (_, Some(Literal::Null)) => a.data_type.clone(),
        _ => common(&a.data_type, &b.data_type).ok_or_else(clash)?,
    };
    // text of either storage is compared as it is
    if is_text(&to) && to == DataType::Utf8 {
        let keep = |x: Arc<Typed>| if is_text(&x.data_type) { Ok(x) } else { convert(x, &DataType::Utf8) };
        return Ok((keep(a)?, keep(b)?));
    }
    Ok((convert(a, &to)?, convert(b, &to)?))
}

/// An integer dtype that holds the number, no smaller than `d`.
fn widened(d: DType, s: Scalar) -> DType {
    if !d.is_integer() || !s.dtype().is_integer() {
        return d;
    }
    let value = if s.dtype() == DType::U64 { s.bits() as i128 } else { s.as_i64() as i128 };
    let holds = |d: DType| {
        let bits = 8 * d.size() as u32;
        match d.kind() {
            Kind::Unsigned => value >= 0 && value < 1i128 << bits,
            _ => value >= -(1i128 << (bits - 1)) && value < 1i128 << (bits - 1),
        }
    };
    if holds(d) {
        d
    } else {
        [DType::I16, DType::I32, DType::I64]
            .into_iter()
            .find(|&w| w.size() > d.size() && holds(w))
            .unwrap_or(DType::F64)
    }
}

/// The type in which columns of two types meet, as in a comparison or one after the other.
pub(crate) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Date32, Dictionary, Duration, Null, Timestamp};
    Some(match (a, b) {
        (a, b) if a == b => a.clone(),
        (Null, t) | (t, Null) => t.clone(),
        (a, b) if is_text(a) && is_text(b) => DataType::Utf8,
        (Timestamp(x, z), Timestamp(y, w)) if z.is_some() == w.is_some() => Timestamp(*x.max(y), z.clone()),
        (Timestamp(x, z), Date32) | (Date32, Timestamp(x, z)) => Timestamp(*x, z.clone()),
        (Duration(x), Duration(y)) => Duration(*x.max(y)),
        (Dictionary(_, v), t) | (t, Dictionary(_, v)) => common(v, t)?,
        (a, b) if a.is_decimal() || b.is_decimal() => decimal::meet(a, b)?,
        (a, b) => plain_type(promote(plain_dtype(a)?, plain_dtype(b)?)),
    })
}

/// The value converted as users ask for it: an integer that an integer type cannot hold is an error.
fn cast(x: Arc<Typed>, to: &DataType) -> Found {
    let (Some(from), Some(dtype)) = (plain_dtype(&x.data_type), plain_dtype(to)) else {
        return convert(x, to);
    };
    let fits = match &x.op {
        TypedOp::Literal(Literal::Number(s)) => widened(dtype, *s) == dtype,
        _ => promote(from, dtype) == dtype,
    };
    match from.is_integer() && dtype.is_integer() && !fits {
        true => Ok(Typed::new(TypedOp::Cast, vec![x], to.clone())),
        false => convert(x, to),
    }
}

/// The value converted: by a kernel where it can, at once if it is a literal.
pub(super) fn convert(x: Arc<Typed>, to: &DataType) -> Found {
    if x.data_type == *to {
        return Ok(x);
    }
    match &x.op {
        TypedOp::Literal(Literal::Null) => {
            return Ok(Typed::new(TypedOp::Literal(Literal::Null), vec![], to.clone()));
        }
        TypedOp::Literal(Literal::Number(s)) => {
            if let Some(d) = plain_dtype(to) {
                return Ok(Typed::new(TypedOp::Literal(Literal::Number(s.cast(d))), vec![], to.clone()));
            }
        }
        _ => {}
    }
    // plain numbers and bools convert in kernels; units and zones of time are Arrow's business
    if let (Some(_), Some(_)) = (plain_dtype(&x.data_type), plain_dtype(to)) {
        return Ok(Typed::kernel(KernelOp::Cast, vec![x], to.clone()));
    }
    if !arrow::compute::can_cast_types(&x.data_type, to) {
        return Err(format!("{} cannot be converted to {to}", x.data_type));
    }
    Ok(Typed::new(TypedOp::Cast, vec![x], to.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::{col, lit, when};
    use super::*;
    use arrow::datatypes::TimeUnit;

    fn schema() -> Schema {
        Schema::new(vec![
            Field::new("i", DataType::Int32, true),
            Field::new("u", DataType::UInt8, true),
            Field::new("f", DataType::Float32, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("t", DataType::Timestamp(TimeUnit::Millisecond, None), true),
            Field::new("d", DataType::Date32, true),
        ])
    }

    fn type_of(e: Expr) -> DataType {
        e.resolve(&schema()).unwrap().data_type.clone()
    }

    #[test]
    fn numbers_meet_as_in_arrays_and_bare_ones_are_weak() {
        assert_eq!(type_of(col("i") + 1), DataType::Int32);
        assert_eq!(type_of(col("i") + 1.5), DataType::Float64);
        assert_eq!(type_of(col("f") + 1.5), DataType::Float32);
        assert_eq!(type_of(col("i") / 2), DataType::Float64);
        assert_eq!(type_of(col("u") + col("i")), DataType::Int32);
        assert_eq!(type_of(col("u") - (-1)), DataType::Int16);
        assert_eq!(type_of(col("u") + 1000), DataType::Int16);
        assert_eq!(type_of(col("u").eq(300)), DataType::Boolean);
        assert_eq!(type_of(col("u").sqrt()), DataType::Float32);
    }

    #[test]
    fn times_and_durations() {
        let ms = TimeUnit::Millisecond;
        assert_eq!(type_of(col("t") - col("t")), DataType::Duration(ms));
        assert_eq!(type_of(col("t") - col("d")), DataType::Duration(ms));
        assert_eq!(type_of(col("t") + (col("t") - col("t"))), DataType::Timestamp(ms, None));
        assert_eq!(type_of(col("t").lt("2013-05-01")), DataType::Boolean);
        assert!((col("t") * 2).resolve(&schema()).is_err());
    }

    #[test]
    fn choices_and_nulls() {
        assert_eq!(type_of(when(col("i").gt(0)).then(col("f")).otherwise(Expr::null())), DataType::Float32);
        assert_eq!(type_of(col("s").fill_null("none")), DataType::Utf8);
        assert!(when(col("i")).then(1).otherwise(2).resolve(&schema()).is_err());
    }

    #[test]
    fn errors_name_the_column_and_the_nearest() {
        let e = col("I2").resolve(&schema()).unwrap_err().to_string();
        assert!(e.contains("\"I2\"") && e.contains("did you mean \"i\""), "{e}");
        let e = (col("s") + 1).resolve(&schema()).unwrap_err().to_string();
        assert!(e.contains("(s + 1)"), "{e}");
        let e = (lit(1) + col("s").sum()).resolve(&schema()).unwrap_err().to_string();
        assert!(e.contains("agg"), "{e}");
    }
}
