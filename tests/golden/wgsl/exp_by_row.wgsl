struct Values {
    v1: u32,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let c1 = inner;
    let i0 = c0 * params[14u] + c1 * params[15u];
    let x0 = f16_value(load_16(params[13u], i0));
    let v0 = x0;
    let v1 = f16_wrap(f32_exp(v0));
    return Values(v1);
}

struct Acc {
    r0: u32,
    at0: u32,
    r1: Moments,
}

fn empty() -> Acc { return Acc(0xff800000u, NONE, Moments(vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), vec2<u32>(0u, 0u), 0u)); }

fn push(before: Acc, v: Values, at: u32) -> Acc {
    var a = before;
    let x0 = v.v1;
    if at != NONE && (a.at0 == NONE || better(f32_isnan(a.r0), f32_isnan(x0), f32_lt(a.r0, x0), f32_lt(x0, a.r0), at < a.at0)) {
        a.r0 = x0;
        a.at0 = at;
    }
    if !f32_isnan(v.v1) { a.r1 = moments_push(a.r1, f64_from_f32(v.v1)); }
    return a;
}

fn merge(before: Acc, b: Acc) -> Acc {
    var a = before;
    if b.at0 != NONE && (a.at0 == NONE || better(f32_isnan(a.r0), f32_isnan(b.r0), f32_lt(a.r0, b.r0), f32_lt(b.r0, a.r0), b.at0 < a.at0)) {
        a.r0 = b.r0;
        a.at0 = b.at0;
    }
    a.r1 = moments_merge(a.r1, b.r1);
    return a;
}

var<workgroup> lanes_acc: array<Acc, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let own = lane % params[4u];
    let segment = block * (256u / params[4u]) + lane / params[4u];
    let outer = segment / params[6u];
    let line = (segment % params[6u]) / params[9u];
    let first = line * params[8u] + ((segment % params[6u]) % params[9u]) * params[5u];
    let end = min(first + params[5u], (line + 1u) * params[8u]);
    var a = empty();
    if segment < params[7u] {
        for (var r = first + own; r < end; r += params[4u]) { a = push(a, values(outer, r), r); }
    }
    lanes_acc[lane] = a;
    for (var s = params[4u] / 2u; s > 0u; s = s / 2u) {
        workgroupBarrier();
        if own < s { lanes_acc[lane] = merge(lanes_acc[lane], lanes_acc[lane + s]); }
    }
    if own != 0u || segment >= params[7u] { return; }
    a = lanes_acc[lane];
    let p0 = params[16u] + segment * 2u;
    output[p0 + 0u] = (f16_bits(a.r0));
    output[p0 + 1u] = (a.at0);
    let p1 = params[17u] + segment * 7u;
    output[p1 + 0u] = (a.r1.shift).x;
    output[p1 + 0u + 1u] = (a.r1.shift).y;
    output[p1 + 2u] = (a.r1.off).x;
    output[p1 + 2u + 1u] = (a.r1.off).y;
    output[p1 + 4u] = (a.r1.squares).x;
    output[p1 + 4u + 1u] = (a.r1.squares).y;
    output[p1 + 6u] = (a.r1.n);
}
