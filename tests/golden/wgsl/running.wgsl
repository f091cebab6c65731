alias Element = vec2<u32>;

const WIDTH = 256u;

fn element(i: u32) -> Element { return vec2<u32>(output[2u * i], output[2u * i + 1u]); }
fn put(i: u32, x: Element) { output[2u * i] = x.x; output[2u * i + 1u] = x.y; }
fn fold(a: Element, b: Element) -> Element { return i64_add(a, b); }

alias Element = vec2<u32>;

const WIDTH = 256u;

fn element(i: u32) -> Element { return vec2<u32>(output[2u * i], output[2u * i + 1u]); }
fn put(i: u32, x: Element) { output[2u * i] = x.x; output[2u * i + 1u] = x.y; }
fn fold(a: Element, b: Element) -> Element { return u64_mul(a, b); }

alias Element = vec2<u32>;

const WIDTH = 256u;

fn element(i: u32) -> Element { return vec2<u32>(output[2u * i], output[2u * i + 1u]); }
fn put(i: u32, x: Element) { output[2u * i] = x.x; output[2u * i + 1u] = x.y; }
fn fold(a: Element, b: Element) -> Element { return f64_add(a, b); }

alias Element = vec2<u32>;

const WIDTH = 256u;

fn element(i: u32) -> Element { return vec2<u32>(output[2u * i], output[2u * i + 1u]); }
fn put(i: u32, x: Element) { output[2u * i] = x.x; output[2u * i + 1u] = x.y; }
fn fold(a: Element, b: Element) -> Element { return f64_mul(a, b); }

