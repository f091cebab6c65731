//! From relations to better relations: what is wanted stays the same, less is done for it.

mod bounds;
mod codes;
mod constants;
pub mod frame;
mod inline;
mod partitions;
