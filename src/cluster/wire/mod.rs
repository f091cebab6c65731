//! The wire form of a computation: its graph, its targets, and what shapes the plan. Every worker plans it again, and as planning depends on
//! nothing else, all have the same stages, tasks and spans.
//!
//! ```text
//! "BWJ1"   CRC-32C of the rest   length and text of the library's version   JobForm in postcard
//! ```
//!
//! **Invariant:** no bytes make decoding panic, recurse, or allocate much more than they are long: sequences are as long as the bytes that are
//! there, numbers of chunks are bounded before anything is made of them, and nodes go through the checked constructors of the graph.

mod decode;
mod encode;
mod form;
pub mod frame;

pub use decode::{Job, decode};
pub use encode::{Encoded, encode};

/// First bytes.
const MAGIC: &[u8; 4] = b"BWJ1";
/// Bytes of arrays in memory that travel with a computation.
pub const MOST_IN_MEMORY: usize = 16 << 20;
/// Bytes of a computation's wire form.
const MOST_BYTES: usize = MOST_IN_MEMORY + (16 << 20);
/// Chunks along an axis, and tasks of a stage.
pub(super) const MOST_CHUNKS: usize = 1 << 22;
/// Graphs have at most this many nodes.
const MOST_NODES: usize = 1 << 20;

/// The version that both sides must have: there is no promise between versions.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The number of a computation: of equal bytes the same.
pub fn number(bytes: &[u8]) -> u64 {
    // FNV-1a
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |n, &b| (n ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests;
