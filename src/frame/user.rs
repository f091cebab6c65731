//! Folds of the user's as expressions.

use super::{Expr, IntoColumns, UserFold};
use crate::error::Error;
use crate::expr::frame::{AggOp, PACK};

impl UserFold {
    /// The fold of these columns, for [`GroupBy::agg`](super::GroupBy::agg) and [`DataFrame::select`](super::DataFrame::select). It is called
    /// like the first of them, unless it gets another name by [`Expr::alias`].
    ///
    /// # Errors
    /// Carried: if there are no columns, or states have none.
    #[track_caller]
    pub fn of(&self, columns: impl IntoColumns) -> Expr {
        let columns = columns.into_columns();
        if columns.is_empty() || self.is_without_state() {
            let message = format!("{} is of no columns, or its states have none", self.name());
            return Expr::failed(Error::invalid("fold", message));
        }
        Expr::call(&PACK, columns).aggregate(AggOp::User(self.clone()))
    }
}
