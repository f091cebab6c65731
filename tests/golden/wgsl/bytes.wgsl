struct Values {
    v3: i32,
    v4: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[13u];
    let x0 = load_8(params[12u], i0);
    let i1 = c0 * params[15u];
    let x1 = i16_wrap(bitcast<i32>(load_16(params[14u], i1)));
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
    if first + 0u < params[1u] { output[params[16u] + first / 2u + 0u] = w0[0]; }
    if first + 2u < params[1u] { output[params[16u] + first / 2u + 1u] = w0[1]; }
    if first + 0u < params[1u] { output[params[17u] + first / 4u + 0u] = w1[0]; }
}
