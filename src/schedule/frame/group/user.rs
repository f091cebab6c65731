//! Folds of the user's: states of spans, combined in the order of spans.

use super::super::evaluate::{guarded, internal};
use crate::error::Result;
use crate::expr::frame::UserFold;
use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;

/// One state of each group that has any, in the order of groups: of rows, or of states.
pub(super) fn states(fold: &UserFold, values: &ArrayRef, groups: &[u32]) -> Result<(Vec<u32>, ArrayRef)> {
    let are_states = values.data_type() == fold.state();
    let mut order: Vec<u32> = (0..groups.len() as u32).collect();
    order.sort_by_key(|&row| groups[row as usize]);
    let sorted = take(values, &UInt32Array::from(order.clone()), None).map_err(internal)?;
    let (mut found, mut made, mut at) = (vec![], vec![], 0);
    for same in order.chunk_by(|&a, &b| groups[a as usize] == groups[b as usize]) {
        let rows = sorted.slice(at, same.len());
        at += same.len();
        found.push(groups[same[0] as usize]);
        // a state alone is combined already
        made.push(if are_states && rows.len() == 1 { rows } else { state(fold, &rows, are_states)? });
    }
    let made = match made.as_slice() {
        [] => new_empty_array(fold.state()),
        // in memory of its own: it may be a piece of the rows
        [one] => take(one, &UInt32Array::from_iter_values(0..one.len() as u32), None).map_err(internal)?,
        many => {
            let many: Vec<&dyn Array> = many.iter().map(AsRef::as_ref).collect();
            concat(&many).map_err(internal)?
        }
    };
    Ok((found, made))
}

fn state(fold: &UserFold, rows: &ArrayRef, are_states: bool) -> Result<ArrayRef> {
    guarded(fold.name(), || fold.state_of(rows, are_states))
}

/// The value of every group; groups without a state are folds of no rows of this type.
pub(super) fn finish(
    fold: &UserFold,
    input: &DataType,
    states: Option<(Vec<u32>, ArrayRef)>,
    groups: usize,
) -> Result<ArrayRef> {
    let (found, mut states) = states.unwrap_or_else(|| (vec![], new_empty_array(fold.state())));
    if found.len() < groups {
        let nothing = state(fold, &new_empty_array(input), false)?;
        let mut rows = vec![found.len() as u32; groups];
        found.iter().enumerate().for_each(|(row, &g)| rows[g as usize] = row as u32);
        let all = concat(&[&states, &nothing]).map_err(internal)?;
        states = take(&all, &UInt32Array::from(rows), None).map_err(internal)?;
    }
    guarded(fold.name(), || fold.values_of(&states))
}
