//! The wire form of a computation of rows: relations as a user made them, which every worker optimizes and plans again.
//!
//! ```text
//! "BWF1"   CRC-32C of the rest   length and text of the library's version   FrameForm in postcard
//! ```
//!
//! **Invariant:** as for arrays, no bytes make decoding panic, recurse deeply, or allocate much more than they are long: relations go through
//! the checked constructors of the graph, and neither are nested deeper nor have more parts than `DEEPEST` and `LARGEST` say.

mod decode;
mod encode;
mod form;

use crate::expr::frame::Builtin;
use crate::expr::frame::functions::builtin;
use crate::schedule::frame::HASHES;
pub use decode::{FrameJob, decode};
pub use encode::encode;

/// First bytes.
pub(super) const MAGIC: &[u8; 4] = b"BWF1";
/// The most relations inside each other.
const DEEPEST: usize = 200;
/// The most parts of a relation, shared ones counted as often as they are used.
const LARGEST: usize = 10_000;

/// Whether bytes are a computation of rows, rather than of arrays.
pub fn is_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The library's function of columns with a name.
fn function(name: &str) -> Option<&'static Builtin> {
    builtin(name).or((name == HASHES.name).then_some(&HASHES))
}

#[cfg(test)]
mod tests;
