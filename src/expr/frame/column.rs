//! Expressions over columns: what users write.

use super::fold::UserFold;
use super::function::{Builtin, Function, UserFunction};
use super::graph::in_pairs;
use super::window::WindowOp;
use crate::dtype::{Element, Scalar};
use crate::error::Error;
use crate::op::{BinaryOp, CompareOp, UnaryOp};
use arrow::datatypes::DataType;
use std::panic::Location;
use std::sync::Arc;

/// How one column is computed from a frame's columns. Cheap to clone; knows no frame until one takes it.
///
/// Nulls follow SQL: an operation with a null is null, `and`/`or` know that `false and null` is false. Numbers are promoted as
/// arrays are ([`crate::dtype::promote`]); a bare number takes the column's type. Comparisons with NaN are false, but for `ne`, which is true.
///
/// ```
/// use blockwise::frame::{col, when};
/// let speed = col("distance") / (col("air_time") / 60.0);
/// let late = when(col("dep_delay").gt(15)).then("late").otherwise("in time");
/// assert_eq!(speed.to_string(), "(distance / (air_time / 60))");
/// # let _ = late;
/// ```
///
/// Up to 1000 operations may be inside each other; an expression of more carries an error. One that is used several times in
/// another is computed once.
#[derive(Clone)]
pub struct Expr {
    pub(super) node: Arc<Node>,
    /// Nodes from here to the furthest column or value.
    pub(super) depth: usize,
}

/// A node of an expression.
#[derive(Debug)]
pub enum Node {
    /// The column of this name.
    Column(Arc<str>),
    /// One value for all rows.
    Literal(Literal),
    /// An operation of one number.
    Unary(UnaryOp, Expr),
    /// An operation of two; `Div` of integers is a float, `And`/`Or`/`Xor` of bools are three-valued.
    Binary(BinaryOp, Expr, Expr),
    /// A comparison.
    Compare(CompareOp, Expr, Expr),
    /// Conversion; an error where a text is no such value, or an integer beyond the type.
    Cast(DataType, Expr),
    /// Whether the value is null.
    IsNull(Expr),
    /// The first value unless it is null, else the second.
    FillNull(Expr, Expr),
    /// The second value where the first is true, else the third.
    When(Expr, Expr, Expr),
    /// A function of whole columns that is no kernel's: text, calendar, the user's.
    Function(Function, Vec<Expr>),
    /// A fold of a column, over a group's rows or all.
    Aggregate(AggOp, Expr),
    /// A function of inputs whose rows are in order, of each group of keys by itself.
    Window(WindowOp, Vec<Expr>, Vec<Expr>),
    /// The same under another name.
    Alias(Arc<str>, Expr),
    /// What could not be built, carried to whoever uses it.
    Failed(Error),
}

/// A value in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Null of whatever type is asked for.
    Null,
    /// A number or bool: weak, so that it takes the type of the column it meets.
    Number(Scalar),
    /// Text.
    Text(Arc<str>),
    /// A value of a type of its own: dates, times.
    Typed(DataType, i64),
}

/// How rows are folded into one value. Nulls are skipped; of no rows or only nulls the result is null, except for `Sum` (0), `Prod`
/// (1), `Count`, `Len` and `NUnique` (0), `All` (true), `Any` (false).
#[derive(Clone, Debug, PartialEq)]
pub enum AggOp {
    /// Sum; integers in 64 bits (wrapping), floats in f64 and rounded once, decimals with 38 or 76 digits (more are an error).
    Sum,
    /// Product.
    Prod,
    /// Arithmetic mean, f64.
    Mean,
    /// Smallest; NaN only if there is nothing else.
    Min,
    /// Largest; NaN only if there is nothing else.
    Max,
    /// Number of values that are not null.
    Count,
    /// Number of rows.
    Len,
    /// Variance with this many degrees of freedom taken off; null for no more rows than that.
    Var(u8),
    /// Standard deviation.
    Std(u8),
    /// The value in the middle, or the mean of the two; NaN if any value is.
    Median,
    /// The quantile, linear between neighbours (NumPy's and pandas' default); NaN if any value is.
    Quantile(f64),
    /// The first row's value that is not null, in the frame's order.
    First,
    /// The last one.
    Last,
    /// Number of different values that are not null.
    NUnique,
    /// The largest values, this many at most, in a list, largest first; NaN is larger than any number.
    TopK(usize),
    /// The smallest ones, smallest first.
    BottomK(usize),
    /// All values that are not null in a list, in the frame's order.
    List,
    /// Whether all are true.
    All,
    /// Whether any is.
    Any,
    /// A fold of the user's, of packed columns; nulls are not skipped.
    User(UserFold),
}

/// The column of this name.
///
/// ```
/// use blockwise::frame::col;
/// assert_eq!((col("a") + 1).to_string(), "(a + 1)");
/// ```
pub fn col(name: impl AsRef<str>) -> Expr {
    Expr::new(Node::Column(name.as_ref().into()))
}

/// A value that is the same for all rows.
pub fn lit(value: impl Into<Expr>) -> Expr {
    value.into()
}

/// Number of rows, in an aggregation.
pub fn len() -> Expr {
    lit(true).aggregate(AggOp::Len).alias("len")
}

/// Starts a choice: `when(c).then(a).otherwise(b)`. Where `c` is null, `b` is taken.
pub fn when(condition: impl Into<Expr>) -> When {
    When(condition.into())
}

/// A choice without its values.
pub struct When(Expr);

/// A choice without its other value.
pub struct Then(Expr, Expr);

impl When {
    /// The value where the condition holds.
    pub fn then(self, value: impl Into<Expr>) -> Then {
        Then(self.0, value.into())
    }
}

impl Then {
    /// The value elsewhere.
    pub fn otherwise(self, value: impl Into<Expr>) -> Expr {
        Expr::new(Node::When(self.0, self.1, value.into()))
    }
}

impl Expr {
    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// An expression that fails when used.
    #[track_caller]
    pub fn failed(error: Error) -> Expr {
        Expr::new(Node::Failed(error.at(Location::caller())))
    }

    /// Null.
    pub fn null() -> Expr {
        Expr::new(Node::Literal(Literal::Null))
    }

    /// A function of the library's table.
    pub(crate) fn call(builtin: &'static Builtin, inputs: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::new(Node::Function(Function::Builtin(builtin), inputs.into_iter().collect()))
    }

    /// A user's function of whole columns of a block of rows; see [`UserFunction`].
    pub fn map_columns(inputs: impl IntoIterator<Item = Expr>, function: UserFunction) -> Expr {
        Expr::new(Node::Function(Function::User(Arc::new(function)), inputs.into_iter().collect()))
    }

    /// The function of columns, or of single values, that is [registered](super::register_columns) under a name: as [`Expr::map_columns`], and
    /// on a cluster too, if the workers know the name.
    ///
    /// # Errors
    /// Carried: if no such function has this name.
    #[track_caller]
    pub fn map_columns_registered(inputs: impl IntoIterator<Item = Expr>, name: &str) -> Expr {
        let Some((function, input)) = super::registered::columns(name) else {
            return Expr::failed(super::registered::unknown("map_columns", name));
        };
        let as_input = |e: Expr| input.as_ref().map_or_else(|| e.clone(), |t| e.cast(t.clone()));
        Expr::new(Node::Function(Function::User(function), inputs.into_iter().map(as_input).collect()))
    }

    /// The same of this column alone, for functions of [`register_elements`](crate::frame::register_elements).
    #[track_caller]
    pub fn map_elements_registered(&self, name: &str) -> Expr {
        Expr::map_columns_registered([self.clone()], name)
    }

    /// The same under another name.
    pub fn alias(&self, name: impl AsRef<str>) -> Expr {
        Expr::new(Node::Alias(name.as_ref().into(), self.clone()))
    }

    /// Converted to another type. Floats become integers without what is after the point; those beyond the type become its nearest value, and NaN
    /// becomes 0.
    ///
    /// # Errors
    /// Carried: types that do not convert. To the run: a text that is no such value, an integer or decimal that the type cannot hold, a time
    /// beyond the finer unit. Rows that a filter before takes away are no error.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, DataType, col};
    /// let df = DataFrame::from_columns([("n", vec![1i64, 300].into())]);
    /// let e = df.select(col("n").cast(DataType::UInt8)).collect().unwrap_err();
    /// assert!(e.to_string().contains("300"));
    /// let small = df.filter(col("n").lt(256)).select(col("n").cast(DataType::UInt8)).collect()?;
    /// assert_eq!(small.values::<u8>("n")?, [Some(1)]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn cast(&self, to: DataType) -> Expr {
        Expr::new(Node::Cast(to, self.clone()))
    }

    /// `op` of every value.
    pub fn unary(&self, op: UnaryOp) -> Expr {
        Expr::new(Node::Unary(op, self.clone()))
    }

    /// `op` of this and another.
    pub fn binary(&self, op: BinaryOp, other: impl Into<Expr>) -> Expr {
        Expr::new(Node::Binary(op, self.clone(), other.into()))
    }

    fn compare(op: CompareOp, a: Expr, b: Expr) -> Expr {
        Expr::new(Node::Compare(op, a, b))
    }

    /// Whether equal; null if either is.
    pub fn eq(&self, other: impl Into<Expr>) -> Expr {
        Expr::compare(CompareOp::Eq, self.clone(), other.into())
    }

    /// Whether different; null if either is null.
    pub fn ne(&self, other: impl Into<Expr>) -> Expr {
        Expr::compare(CompareOp::Ne, self.clone(), other.into())
    }

    /// Whether less.
    pub fn lt(&self, other: impl Into<Expr>) -> Expr {
        Expr::compare(CompareOp::Lt, self.clone(), other.into())
    }

    /// Whether less or equal.
    pub fn le(&self, other: impl Into<Expr>) -> Expr {
        Expr::compare(CompareOp::Le, self.clone(), other.into())
    }

    /// Whether greater.
    pub fn gt(&self, other: impl Into<Expr>) -> Expr {
        Expr::compare(CompareOp::Lt, other.into(), self.clone())
    }

    /// Whether greater or equal.
    pub fn ge(&self, other: impl Into<Expr>) -> Expr {
        Expr::compare(CompareOp::Le, other.into(), self.clone())
    }

    /// Whether between two values, both included.
    pub fn between(&self, low: impl Into<Expr>, high: impl Into<Expr>) -> Expr {
        self.ge(low).and(self.le(high))
    }

    /// Whether one of these values; null if this is. Compiles to comparisons: for thousands of values, join with
    /// [`JoinKind::Semi`](super::JoinKind::Semi) instead.
    pub fn is_in<T: Into<Expr>>(&self, values: impl IntoIterator<Item = T>) -> Expr {
        let any = in_pairs(values.into_iter().map(|v| self.eq(v)), |a, b| a.or(b));
        any.unwrap_or_else(|| self.ne(self.clone()).and(false))
    }

    /// Logical and, three-valued: false wins over null.
    pub fn and(&self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::And, other)
    }

    /// Logical or, three-valued: true wins over null.
    pub fn or(&self, other: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::Or, other)
    }

    /// Power; of integers in their type, wrapping.
    pub fn pow(&self, exponent: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::Pow, exponent)
    }

    /// `floor(a / b)`, as Python's; null where an integer divisor is 0, infinite or NaN where a float one is.
    pub fn floor_div(&self, divisor: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::FloorDiv, divisor)
    }

    /// Whether null.
    pub fn is_null(&self) -> Expr {
        Expr::new(Node::IsNull(self.clone()))
    }

    /// Whether not null.
    pub fn is_not_null(&self) -> Expr {
        self.is_null().unary(UnaryOp::Not)
    }

    /// Whether NaN; null for null.
    pub fn is_nan(&self) -> Expr {
        self.unary(UnaryOp::IsNan)
    }

    /// Another value where null.
    pub fn fill_null(&self, value: impl Into<Expr>) -> Expr {
        Expr::new(Node::FillNull(self.clone(), value.into()))
    }

    /// Absolute value.
    pub fn abs(&self) -> Expr {
        self.unary(UnaryOp::Abs)
    }

    /// Square root.
    pub fn sqrt(&self) -> Expr {
        self.unary(UnaryOp::Sqrt)
    }

    /// `e^x`.
    pub fn exp(&self) -> Expr {
        self.unary(UnaryOp::Exp)
    }

    /// Natural logarithm.
    pub fn log(&self) -> Expr {
        self.unary(UnaryOp::Log)
    }

    /// Rounded down.
    pub fn floor(&self) -> Expr {
        self.unary(UnaryOp::Floor)
    }

    /// Rounded up.
    pub fn ceil(&self) -> Expr {
        self.unary(UnaryOp::Ceil)
    }

    /// Rounded to this many decimals, half to even, as NumPy does: multiply, round, divide. A negative number rounds to tens, hundreds... A
    /// value that is so large that the product is none stays as it is: it has no such decimals.
    pub fn round(&self, decimals: i32) -> Expr {
        // as near as floats are, which products are not
        let power: f64 = format!("1e{}", decimals.unsigned_abs()).parse().unwrap_or(f64::INFINITY);
        let rounded = match decimals {
            0 => return self.unary(UnaryOp::Rint),
            d if d > 0 => (self * power).unary(UnaryOp::Rint) / power,
            _ => {
                let near = (self / power).unary(UnaryOp::Rint) * power;
                // the power may be infinite in the column's type
                when(self.abs().lt(power / 2.0)).then(self * 0.0).otherwise(near)
            }
        };
        when(rounded.unary(UnaryOp::IsFinite)).then(rounded).otherwise(self)
    }

    /// Held between two values; null where one of the three is.
    pub fn clip(&self, low: impl Into<Expr>, high: impl Into<Expr>) -> Expr {
        self.binary(BinaryOp::Max, low).binary(BinaryOp::Min, high)
    }

    pub(crate) fn aggregate(&self, op: AggOp) -> Expr {
        Expr::new(Node::Aggregate(op, self.clone()))
    }
}

macro_rules! aggregations {
    ($($(#[$doc:meta])* $name:ident = $op:expr;)*) => {
        /// Folds over a group's rows, or all rows; see [`AggOp`] for what each does with nulls and no rows.
        impl Expr {
            $($(#[$doc])* pub fn $name(&self) -> Expr { self.aggregate($op) })*

            /// Quantile between 0 and 1, linear between neighbours; NaN if any value is.
            #[track_caller]
            pub fn quantile(&self, q: f64) -> Expr {
                if !(0.0..=1.0).contains(&q) {
                    return Expr::failed(Error::invalid("quantile", format!("{q} is not between 0 and 1")));
                }
                self.aggregate(AggOp::Quantile(q))
            }

            /// The `k` largest values in a list, largest first (fewer where there are not so many);
            /// [`explode`](crate::frame::DataFrame::explode) makes rows of them.
            ///
            /// ```
            /// use blockwise::frame::{DataFrame, col};
            /// let df = DataFrame::from_columns([("k", vec![1, 1, 1, 2].into()), ("v", vec![5, 9, 7, 1].into())]);
            /// let two = df.group_by("k").agg(col("v").top_k(2)).explode("v").collect()?;
            /// assert_eq!(two.values::<i32>("k")?, [Some(1), Some(1), Some(2)]);
            /// assert_eq!(two.values::<i32>("v")?, [Some(9), Some(7), Some(1)]);
            /// # Ok::<(), blockwise::Error>(())
            /// ```
            pub fn top_k(&self, k: usize) -> Expr {
                self.aggregate(AggOp::TopK(k))
            }

            /// The `k` smallest values in a list, smallest first.
            pub fn bottom_k(&self, k: usize) -> Expr {
                self.aggregate(AggOp::BottomK(k))
            }

            /// Variance with `ddof` degrees of freedom taken off the number of rows.
            pub fn var_ddof(&self, ddof: u8) -> Expr {
                self.aggregate(AggOp::Var(ddof))
            }

            /// Standard deviation with `ddof` degrees of freedom taken off the number of rows.
            pub fn std_ddof(&self, ddof: u8) -> Expr {
                self.aggregate(AggOp::Std(ddof))
            }
        }
    };
}
aggregations! {
    /// Sum.
    sum = AggOp::Sum;
    /// Product.
    prod = AggOp::Prod;
    /// Mean.
    mean = AggOp::Mean;
    /// Smallest.
    min = AggOp::Min;
    /// Largest.
    max = AggOp::Max;
    /// Number of values.
    count = AggOp::Count;
    /// Sample variance (`ddof` 1).
    var = AggOp::Var(1);
    /// Sample standard deviation (`ddof` 1).
    std = AggOp::Std(1);
    /// Median; NaN if any value is.
    median = AggOp::Median;
    /// First value.
    first = AggOp::First;
    /// Last value.
    last = AggOp::Last;
    /// Number of different values.
    n_unique = AggOp::NUnique;
    /// All values that are not null, in a list.
    collect_list = AggOp::List;
    /// Whether all are true.
    all = AggOp::All;
    /// Whether any is true.
    any = AggOp::Any;
}

macro_rules! numbers {
    ($($t:ty)*) => {$(
        impl From<$t> for Expr {
            fn from(v: $t) -> Expr {
                Expr::new(Node::Literal(Literal::Number(Element::to_scalar(v))))
            }
        }
    )*};
}
numbers!(bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

/// Text as a value, not as a column's name.
impl From<&str> for Expr {
    fn from(v: &str) -> Expr {
        Expr::new(Node::Literal(Literal::Text(v.into())))
    }
}

impl From<String> for Expr {
    fn from(v: String) -> Expr {
        v.as_str().into()
    }
}

impl From<&Expr> for Expr {
    fn from(e: &Expr) -> Expr {
        e.clone()
    }
}

impl From<Literal> for Expr {
    fn from(v: Literal) -> Expr {
        Expr::new(Node::Literal(v))
    }
}

macro_rules! operators {
    ($($Op:ident $method:ident $op:ident;)*) => {$(
        impl<R: Into<Expr>> std::ops::$Op<R> for Expr {
            type Output = Expr;
            fn $method(self, other: R) -> Expr {
                self.binary(BinaryOp::$op, other)
            }
        }
        impl<R: Into<Expr>> std::ops::$Op<R> for &Expr {
            type Output = Expr;
            fn $method(self, other: R) -> Expr {
                self.binary(BinaryOp::$op, other)
            }
        }
    )*};
}
operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
    Rem rem Rem;
    BitAnd bitand And;
    BitOr bitor Or;
    BitXor bitxor Xor;
}

macro_rules! prefix_operators {
    ($($trait:ident $method:ident $op:expr),*) => {$(
        impl std::ops::$trait for Expr {
            type Output = Expr;
            fn $method(self) -> Expr {
                self.unary($op)
            }
        }

        impl std::ops::$trait for &Expr {
            type Output = Expr;
            fn $method(self) -> Expr {
                self.unary($op)
            }
        }
    )*};
}

prefix_operators!(Neg neg UnaryOp::Neg, Not not UnaryOp::Not);
