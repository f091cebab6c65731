//! Elementary functions over one float, written without branches so that loops over them vectorize.

#[macro_use]
mod drivers;
pub mod f32;
pub mod f64;
mod fma;

pub use fma::{Fma, Hard, Soft};
