@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
fn load_8(base: u32, i: u32) -> u32 { return (input[base + (i >> 2u)] >> ((i & 3u) * 8u)) & 0xffu; }
fn load_16(base: u32, i: u32) -> u32 { return (input[base + (i >> 1u)] >> ((i & 1u) * 16u)) & 0xffffu; }
fn i32_lt(a: i32, b: i32) -> bool { return a < b; }
fn i32_magnitude(x: i32) -> u32 { return bitcast<u32>(select(x, 0 - x, x < 0)); }
fn i32_quotient(a: i32, b: i32) -> i32 {
    let q = bitcast<i32>(u32_floordiv(i32_magnitude(a), i32_magnitude(b)));
    return select(q, 0 - q, (a < 0) != (b < 0));
}
fn i32_fmod(a: i32, b: i32) -> i32 {
    return select(a - i32_quotient(a, b) * b, 0, b == 0);
}
fn i32_floordiv(a: i32, b: i32) -> i32 {
    let r = i32_fmod(a, b);
    return i32_quotient(a, b) - select(0, 1, r != 0 && (a < 0) != (b < 0));
}
fn u32_floordiv(a: u32, b: u32) -> u32 { return select(a / max(b, 1u), 0u, b == 0u); }
fn i16_wrap(x: i32) -> i32 { return (x << 16u) >> 16u; }
fn i32_from_u32(x: u32) -> i32 { return bitcast<i32>(x); }

struct Values {
    v3: i32,
    v4: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[10u];
    let x0 = load_8(params[9u], i0);
    let i1 = c0 * params[12u];
    let x1 = i16_wrap(bitcast<i32>(load_16(params[11u], i1)));
    let v0 = x0;
    let v1 = x1;
    let v2 = i16_wrap(i32_from_u32(v0));
    let v3 = i16_wrap(i32_floordiv(v2, v1));
    let v4 = i32_lt(v3, v2);
    return Values(v3, v4);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let first = (block * 256u + lane) * 4u;
    var w0 = array<u32, 2>();
    var w1 = array<u32, 1>();
    for (var k = 0u; k < 4u; k++) {
        let n = first + k;
        if n >= params[1u] { break; }
        let v = values(n, 0u);
        w0[k / 2u] |= (bitcast<u32>(v.v3) & 0xffffu) << ((k % 2u) * 16u);
        w1[k / 4u] |= select(0u, 1u, v.v4) << ((k % 4u) * 8u);
    }
    if first + 0u < params[1u] { output[params[13u] + first / 2u + 0u] = w0[0]; }
    if first + 2u < params[1u] { output[params[13u] + first / 2u + 1u] = w0[1]; }
    if first + 0u < params[1u] { output[params[14u] + first / 4u + 0u] = w1[0]; }
}
