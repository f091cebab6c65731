//! Running folds: `shaders/running.wgsl`, behind what it needs to know of an operation and a dtype.

use super::{Library, code};
use crate::backend::gpu::Arithmetic;
use crate::dtype::DType;
use crate::error::{ErrorKind, Result};
use crate::op::ReduceOp;

/// Most axes of the lines.
pub const AXES: usize = 8;

/// Words of parameters.
pub const PARAMS: usize = 8 + 2 * AXES;

/// The module that folds elements of 8 bytes, those that running folds are computed in.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for another operation or dtype.
pub fn module(op: ReduceOp, d: DType, width: u32, arithmetic: &Arithmetic) -> Result<String> {
    let name = match op {
        ReduceOp::Sum => "add",
        ReduceOp::Prod => "mul",
        _ => "",
    };
    if name.is_empty() || d.size() != 8 {
        let (what, hint) = (format!("cumulative {op} of {d} on a GPU"), "fold on the CPU".into());
        return Err(ErrorKind::Unsupported { what, hint }.into());
    }
    let (family, element) = (code::family(d), code::register(d));
    let own = format!(
        "alias Element = {element};

const WIDTH = {width}u;

fn element(i: u32) -> Element {{ return vec2<u32>(output[2u * i], output[2u * i + 1u]); }}
fn put(i: u32, x: Element) {{ output[2u * i] = x.x; output[2u * i + 1u] = x.y; }}
fn fold(a: Element, b: Element) -> Element {{ return {family}_{name}(a, b); }}

{}",
        include_str!("../../../../shaders/running.wgsl"),
    );
    let library = Library::get().needed_by(&format!("{own} params input output"), arithmetic);
    Ok(format!("{library}\n{own}"))
}
