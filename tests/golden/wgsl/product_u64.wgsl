alias Element = vec2<u32>;

const WIDTH = 16u;
const DEPTH = 8u;
const RUN = 256u;

fn zero() -> Element { return vec2<u32>(0x0u, 0x0u); }
fn left_element(i: u32) -> Element { return load_64(params[4u], i); }
fn right_element(i: u32) -> Element { return load_64(params[7u], i); }
fn sum_element(i: u32) -> Element { return vec2<u32>(output[2u * i], output[2u * i + 1u]); }
fn put_sum(i: u32, x: Element) { output[2u * i] = x.x; output[2u * i + 1u] = x.y; }
fn add(a: Element, b: Element) -> Element { return u64_add(a, b); }
fn multiply_add(a: Element, b: Element, sum: Element) -> Element { return u64_add(sum, u64_mul(a, b)); }

