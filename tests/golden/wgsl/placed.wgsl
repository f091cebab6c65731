struct Values {
    v0: u32,
}

fn values(outer: u32, inner: u32) -> Values {
    let c1 = outer % params[12u];
    let rest1 = outer / params[12u];
    let c0 = rest1;
    let i0 = c0 * params[14u] + c1 * params[15u];
    let x0 = load_32(params[13u], i0);
    let v0 = x0;
    return Values(v0);
}

fn place(outer: u32) -> u32 {
    let c1 = outer % params[12u];
    let rest1 = outer / params[12u];
    let c0 = rest1;
    return c0 * params[17u] + c1 * params[18u];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let first = (block * 64u + lane) * 1u;
    for (var k = 0u; k < 1u; k++) {
        let n = first + k;
        if n >= params[1u] { break; }
        let v = values(n, 0u);
        let r0 = v.v0;
    output[params[16u] + place(n) * 1u] = r0;
    }
}
struct Values {
    v0: u32,
}

fn values(outer: u32, inner: u32) -> Values {
    let c1 = outer % params[12u];
    let rest1 = outer / params[12u];
    let c0 = rest1;
    let i0 = c0 * params[14u] + c1 * params[15u];
    let x0 = load_8(params[13u], i0);
    let v0 = x0;
    return Values(v0);
}

fn place(outer: u32) -> u32 {
    let c1 = outer % params[12u];
    let rest1 = outer / params[12u];
    let c0 = rest1;
    return c0 * params[17u] + c1 * params[18u];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let first = (block * 64u + lane) * 4u;
    var w0 = array<u32, 1>();
    for (var k = 0u; k < 4u; k++) {
        let n = first + k;
        if n >= params[1u] { break; }
        let v = values(n, 0u);
        w0[k / 4u] |= v.v0 << ((k % 4u) * 8u);
    }
    if first + 0u < params[1u] { output[params[16u] + place(first) / 4u] = w0[0]; }
}
struct Values {
    v0: vec2<u32>,
}

fn values(outer: u32, inner: u32) -> Values {
    let c1 = outer % params[12u];
    let rest1 = outer / params[12u];
    let c0 = rest1;
    let i0 = c0 * params[14u] + c1 * params[15u];
    let x0 = load_64(params[13u], i0);
    let v0 = x0;
    return Values(v0);
}

fn place(outer: u32) -> u32 {
    let c1 = outer % params[12u];
    let rest1 = outer / params[12u];
    let c0 = rest1;
    return c0 * params[17u] + c1 * params[18u];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let first = (block * 64u + lane) * 1u;
    for (var k = 0u; k < 1u; k++) {
        let n = first + k;
        if n >= params[1u] { break; }
        let v = values(n, 0u);
        let r0 = v.v0;
    output[params[16u] + place(n) * 2u] = r0.x;
    output[params[16u] + place(n) * 2u + 1u] = r0.y;
    }
}
