//! Functions of whole columns that no kernel computes: text, calendar, the user's.
//!
//! A built-in function is an entry of a table: a name, the rule for its type, and a function of Arrow arrays that works on a
//! block of rows at a time. So a new one is one entry, and plans can name it.

use crate::error::Result;
use arrow::array::{Array, ArrayRef, Datum};
use arrow::datatypes::DataType;
use std::fmt;
use std::sync::Arc;

/// A column of a block of rows, or one value that stands for all of them.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The values; one if it stands for all rows.
    pub array: ArrayRef,
    /// Whether it stands for all rows.
    pub is_scalar: bool,
}

impl Datum for Argument {
    fn get(&self) -> (&dyn Array, bool) {
        (self.array.as_ref(), self.is_scalar)
    }
}

/// A function of the library's table.
pub struct Builtin {
    /// Its name in plans: `"str.upper"`.
    pub name: &'static str,
    /// How many columns or values it takes; [`MANY`] for one or more.
    pub inputs: usize,
    /// The type of its result; an error in words if it does not take these.
    pub output: fn(&[DataType]) -> std::result::Result<DataType, String>,
    /// Whether there are values that it fails for.
    pub may_fail: bool,
    /// The function. Its result has as many rows as its arguments, or one if all of them stand for all rows.
    pub call: fn(&[Argument]) -> Result<ArrayRef>,
}

/// Any number of inputs, but one at least.
pub const MANY: usize = usize::MAX;

impl Builtin {
    /// The type of its result for inputs of these types.
    ///
    /// # Errors
    /// In words, if it does not take these.
    pub fn output_of(&self, types: &[DataType]) -> std::result::Result<DataType, String> {
        match types.len() {
            n if n == self.inputs || self.inputs == MANY && n > 0 => (self.output)(types),
            n => Err(format!("takes {} inputs, not {n}", self.inputs)),
        }
    }
}

/// A user's function of columns of a block of rows.
pub struct UserFunction {
    /// Its name in plans and errors.
    pub name: Arc<str>,
    /// The type of its result.
    pub output: DataType,
    /// The function. It gets columns of equal length and gives one of that length and of type `output`; rows must not
    /// depend on each other, because which rows come together is the scheduler's choice.
    pub call: Arc<dyn Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync>,
}

/// A function of either kind. Equal if it is the same one.
#[derive(Clone)]
pub enum Function {
    /// The library's.
    Builtin(&'static Builtin),
    /// The user's.
    User(Arc<UserFunction>),
}

impl Function {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Function::Builtin(f) => f.name,
            Function::User(f) => &f.name,
        }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Function::Builtin(b) => f.write_str(b.name),
            // two functions may have one name
            Function::User(u) => write!(f, "{}@{:p}", u.name, Arc::as_ptr(u)),
        }
    }
}
