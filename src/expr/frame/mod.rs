//! What is wanted of a frame: expressions over its columns, and relations made of them.
//!
//! An [`Expr`] says how one column is computed from others; it knows no frame, so its types are found when it meets one
//! ([`Expr::resolve`]). A [`Relation`] is a node of the logical plan of a frame; its schema is known without running anything.

mod batches;
mod column;
mod decimal;
mod display;
mod fold;
mod function;
pub(crate) mod functions;
mod graph;
mod partition;
pub(crate) mod registered;
mod relation;
mod resolve;
mod strict;
mod times;
mod window;

pub use batches::{BatchFunction, Stack};
pub use column::{AggOp, Expr, Literal, Node, col, len, lit, when};
pub use decimal::DecimalOp;
pub(crate) use decimal::{kernel as decimal_kernel, key};
pub(crate) use fold::PACK;
pub use fold::UserFold;
pub use function::{Argument, Builtin, Function, MANY, UserFunction};
pub(crate) use graph::{in_order, in_pairs};
pub use partition::Partition;
pub(crate) use partition::{HASH, NUMBER};
pub use registered::{register_batches, register_columns, register_fold};
pub use relation::{Aggregate, BatchFn, JoinKind, Named, RelOp, Relation, Runs, SortKey, WindowColumn};
pub use resolve::{KernelOp, Typed, TypedOp, kernel_dtype, name_of};
pub(crate) use resolve::{common, find, is_text, plain_type};
pub use window::{OverKey, Rolling, WindowOp, WindowSize, group_number, random, row_number};
