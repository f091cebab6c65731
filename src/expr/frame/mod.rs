//! What is wanted of a frame: expressions over its columns, and relations made of them.
//!
//! An [`Expr`] says how one column is computed from others; it knows no frame, so its types are found when it meets one
//! ([`Expr::resolve`]). A [`Relation`] is a node of the logical plan of a frame; its schema is known without running anything.

mod column;
mod display;
mod function;
mod relation;
mod resolve;
mod window;

pub use column::{AggOp, Expr, Literal, Node, col, len, lit, when};
pub use function::{Argument, Builtin, Function, UserFunction};
pub use relation::{Aggregate, BatchFn, JoinKind, Named, RelOp, Relation, SortKey, WindowColumn};
pub use resolve::{KernelOp, Typed, TypedOp, kernel_dtype, name_of};
pub(crate) use resolve::{common, find, is_text, plain_type};
pub use window::{OverKey, Rolling, WindowOp, WindowSize, random, row_number};
