alias Element = u32;

const WIDTH = 16u;
const DEPTH = 16u;
const RUN = 256u;

fn zero() -> Element { return 0x0u; }
fn left_element(i: u32) -> Element { return load_32(params[4u], i); }
fn right_element(i: u32) -> Element { return load_32(params[7u], i); }
fn sum_element(i: u32) -> Element { return output[i]; }
fn put_sum(i: u32, x: Element) { output[i] = x; }
fn add(a: Element, b: Element) -> Element { return f32_add(a, b); }
fn multiply_add(a: Element, b: Element, sum: Element) -> Element { return bitcast<u32>(fma(bitcast<f32>(a), bitcast<f32>(b), bitcast<f32>(sum))); }

