//! Products of matrices: the hand-written tiles of `shaders/product.wgsl`, behind what they need to know of a dtype.

use super::{Library, code, param};
use crate::backend::gpu::Arithmetic;
use crate::dtype::{DType, Scalar};
use crate::error::{ErrorKind, Result};
use blockwise_kernels::tile::{PRODUCT_RUN as RUN, product_sum};

/// Words of parameters: 0, rows, columns, terms; of each operand where its elements begin, and elements from line to line and from term to term; the
/// first sum, sums from row to row, and 1 if they are 0 still.
pub const PARAMS: usize = 13;

/// Sums along a side of a workgroup's tile, by lanes along it.
pub fn side(width: u32) -> usize {
    4 * width as usize
}

/// The lanes along a side of a workgroup and the terms of a tile that an adapter has room for.
pub fn tile(d: DType, limits: &wgpu::Limits) -> (u32, u32) {
    let words = super::words(d) as u32;
    let fits = |width: u32| {
        let bytes = 2 * (width / words) * (4 * width + 1) * 4 * words;
        let lanes = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        width * width <= lanes && bytes <= limits.max_compute_workgroup_storage_size
    };
    let width = if fits(16) { 16 } else { 8 };
    (width, width / words)
}

/// The module for operands of a dtype, of which those with a number are twins in that binding.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for floats that the adapter does not add and multiply itself.
pub fn module(
    d: DType,
    homes: [Option<u8>; 2],
    (width, depth): (u32, u32),
    arithmetic: &Arithmetic,
) -> Result<String> {
    let family = code::family(d);
    let native = |op: &str| arithmetic.has(&format!("{family}_{op}"));
    if d.is_float() && !(native("add") && native("mul")) {
        let hint = "this adapter's own arithmetic is not right; use Device::cpu(); sessions on a GPU do so by themselves";
        return Err(
            ErrorKind::Unsupported { what: format!("products of {d} on a GPU"), hint: hint.into() }.into()
        );
    }
    // sums of narrow integers are right in their low bits, whatever is above; bools are words that are 0 or 1
    let (sum, element) = match d {
        DType::Bool => (DType::U32, "u32"),
        DType::I8 | DType::I16 => (DType::I32, "i32"),
        DType::U8 | DType::U16 => (DType::U32, "u32"),
        _ => (product_sum(d), code::register(d)),
    };
    let (add, multiply_add) = match d {
        DType::Bool => ("a | b".into(), "sum | (a & b)".into()),
        // not sealed: a chain of these is what the adapter is best at
        DType::F16 | DType::F32 if native("fma") => (
            "f32_add(a, b)".to_owned(),
            "bitcast<u32>(fma(bitcast<f32>(a), bitcast<f32>(b), bitcast<f32>(sum)))".to_owned(),
        ),
        DType::F64 if native("fma") => ("f64_add(a, b)".into(), "f64_fma(a, b, sum)".into()),
        _ => (format!("{family}_add(a, b)"), format!("{family}_add(sum, {family}_mul(a, b))")),
    };
    let operand = |home: Option<u8>, first: String| {
        let bits = match home {
            Some(slot) => code::resident(d, slot, &format!("(i + {first})")),
            None => code::sent(d, &first, "i"),
        };
        if d == DType::Bool { bits } else { code::load(d, bits) }
    };
    let (at, put) = match super::words(sum) {
        1 => ("output[i]", super::write_words(sum, "i", &code::raw(sum, "x"))),
        _ => ("vec2<u32>(output[2u * i], output[2u * i + 1u])", super::write_words(sum, "2u * i", "x")),
    };
    let (left, right) = (operand(homes[0], param(4)), operand(homes[1], param(7)));
    let (zero, at) = (code::constant(Scalar::zero(sum)), code::load(sum, at.to_owned()));
    let own = format!(
        "alias Element = {element};

const WIDTH = {width}u;
const DEPTH = {depth}u;
const RUN = {RUN}u;

fn zero() -> Element {{ return {zero}; }}
fn left_element(i: u32) -> Element {{ return {left}; }}
fn right_element(i: u32) -> Element {{ return {right}; }}
fn sum_element(i: u32) -> Element {{ return {at}; }}
fn put_sum(i: u32, x: Element) {{ {} }}
fn add(a: Element, b: Element) -> Element {{ return {add}; }}
fn multiply_add(a: Element, b: Element, sum: Element) -> Element {{ return {multiply_add}; }}

{}",
        put.replace("\n    ", " "),
        include_str!("../../../../shaders/product.wgsl"),
    );
    let library = Library::get().needed_by(&format!("{own} params input output"), arithmetic);
    Ok(format!("{library}\n{own}"))
}
