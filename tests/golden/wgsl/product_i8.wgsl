alias Element = i32;

const WIDTH = 16u;
const DEPTH = 16u;
const RUN = 256u;

fn zero() -> Element { return bitcast<i32>(0x0u); }
fn left_element(i: u32) -> Element { return i8_wrap(bitcast<i32>(load_8(params[4u], i))); }
fn right_element(i: u32) -> Element { return i8_wrap(bitcast<i32>(load_8(params[7u], i))); }
fn sum_element(i: u32) -> Element { return bitcast<i32>(output[i]); }
fn put_sum(i: u32, x: Element) { output[i] = bitcast<u32>(x); }
fn add(a: Element, b: Element) -> Element { return i32_add(a, b); }
fn multiply_add(a: Element, b: Element, sum: Element) -> Element { return i32_add(sum, i32_mul(a, b)); }

