//! From relations to better relations: what is wanted stays the same, less is done for it.

pub mod frame;
