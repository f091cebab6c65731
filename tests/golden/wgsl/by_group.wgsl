struct Values {
    v0: u32,
    v1: u32,
    v2: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[13u];
    let x0 = load_32(params[12u], i0);
    let i1 = c0 * params[15u];
    let x1 = load_32(params[14u], i1);
    let i2 = c0 * params[17u];
    let x2 = (load_8(params[16u], i2) != 0u);
    let v0 = x0;
    let v1 = x1;
    let v2 = x2;
    return Values(v0, v1, v2);
}

struct Acc {
    n0: u32,
    n1: u32,
    r0: vec2<u32>,
    r1: u32,
}

fn push(before: Acc, v: Values) -> Acc {
    var a = before;
    if v.v2 {
    a.n0 += 1u;
    a.r0 = f64_add(a.r0, f64_from_f32(v.v0));
    }
    a.n1 += 1u;
    a.r1 = f32_max(a.r1, v.v0);
    return a;
}

var<workgroup> tile: array<Values, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let ranges = (params[10u] + 256u - 1u) / 256u;
    let segment = block / ranges;
    if segment >= params[7u] { return; }
    let mine = (block % ranges) * 256u + lane;
    let line = (segment) / params[9u];
    let first = line * params[8u] + ((segment) % params[9u]) * params[5u];
    let end = min(first + params[5u], (line + 1u) * params[8u]);
    var a = Acc(0u, 0u, vec2<u32>(0x0u, 0x0u), 0xff800000u);
    for (var t = first; t < end; t += 256u) {
        let n = t + lane;
        if n < end { tile[lane] = values(n, 0u); }
        workgroupBarrier();
        let many = min(end - t, 256u);
        for (var i = 0u; i < many; i++) {
            if tile[i].v1 == mine { a = push(a, tile[i]); }
        }
        workgroupBarrier();
    }
    if mine >= params[10u] { return; }
    let own = segment * params[10u] + mine;
    let p0 = params[18u] + own * 3u;
    output[p0] = a.n0;
    output[p0 + 1u] = (a.r0).x;
    output[p0 + 1u + 1u] = (a.r0).y;
    let p1 = params[19u] + own * 2u;
    output[p1] = a.n1;
    output[p1 + 1u] = (a.r1);
}

// ---- next pass ----

struct Values {
    v0: u32,
    v1: u32,
    v2: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[13u];
    let x0 = load_32(params[12u], i0);
    let i1 = c0 * params[15u];
    let x1 = load_32(params[14u], i1);
    let i2 = c0 * params[17u];
    let x2 = (load_8(params[16u], i2) != 0u);
    let v0 = x0;
    let v1 = x1;
    let v2 = x2;
    return Values(v0, v1, v2);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let first = (block * 256u + lane) * 4u;
    var w2 = array<u32, 1>();
    for (var k = 0u; k < 4u; k++) {
        let n = first + k;
        if n >= params[1u] { break; }
        let v = values(n, 0u);
        let r0 = v.v0;
    output[params[18u] + n * 1u] = r0;
        let r1 = v.v1;
    output[params[19u] + n * 1u] = r1;
        w2[k / 4u] |= select(0u, 1u, v.v2) << ((k % 4u) * 8u);
    }
    if first + 0u < params[1u] { output[params[20u] + first / 4u + 0u] = w2[0]; }
}
