//! Functions of blocks by name: how a computation names one to a process that has the same program but not the same memory.

use super::node::{BlockContext, BlockFn};
use crate::block::Block;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock};

fn registry() -> &'static RwLock<BTreeMap<String, Arc<BlockFn>>> {
    static REGISTRY: OnceLock<RwLock<BTreeMap<String, Arc<BlockFn>>>> = OnceLock::new();
    REGISTRY.get_or_init(RwLock::default)
}

/// Registers a function of blocks under a name, for [`BlockMap::apply_registered`](crate::array::BlockMap::apply_registered). A program that
/// computes on a cluster and its workers register the same functions under the same names.
///
/// ```
/// use blockwise::{array::over_blocks, expr::register_function, prelude::*};
/// register_function("double", |_, blocks| Ok(Block::from_array(blocks[0].view::<i64>()?.mapv(|v| 2 * v))))?;
/// let x = Array::arange(0, 4, 1);
/// assert_eq!(over_blocks(&[&x]).apply_registered("double").compute()?.as_slice::<i64>()?, [0, 2, 4, 6]);
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If the name is taken.
pub fn register_function(
    name: &str,
    function: impl Fn(&BlockContext, &[Block]) -> Result<Block> + Send + Sync + 'static,
) -> Result<()> {
    let mut known = registry().write().unwrap_or_else(|e| e.into_inner());
    if known.contains_key(name) {
        return Err(Error::invalid("register_function", format!("there is a function {name:?} already")));
    }
    known.insert(name.to_owned(), Arc::new(function));
    Ok(())
}

/// The function registered under a name.
pub fn function(name: &str) -> Option<Arc<BlockFn>> {
    registry().read().unwrap_or_else(|e| e.into_inner()).get(name).cloned()
}

/// The names of all registered functions.
pub fn functions() -> Vec<String> {
    registry().read().unwrap_or_else(|e| e.into_inner()).keys().cloned().collect()
}
