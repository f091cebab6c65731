//! From relations to better relations: what is wanted stays the same, less is done for it.

mod bounds;
pub mod frame;
mod partitions;
