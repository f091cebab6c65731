//! Functions of the user's over groups: folds, and functions of all rows of each.

use super::{Expr, IntoColumns, UserFold};
use crate::expr::frame::{AggOp, PACK};

impl UserFold {
    /// The fold of these columns, for [`GroupBy::agg`](super::GroupBy::agg) and [`DataFrame::select`](super::DataFrame::select). It is called
    /// like the first of them, unless it gets another name by [`Expr::alias`].
    pub fn of(&self, columns: impl IntoColumns) -> Expr {
        Expr::call(&PACK, columns.into_columns()).aggregate(AggOp::User(self.clone()))
    }
}
