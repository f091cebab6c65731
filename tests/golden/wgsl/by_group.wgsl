struct Values {
    v0: u32,
    v1: u32,
    v2: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[10u];
    let x0 = load_32(params[9u], i0);
    let i1 = c0 * params[12u];
    let x1 = load_32(params[11u], i1);
    let i2 = c0 * params[14u];
    let x2 = (load_8(params[13u], i2) != 0u);
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
var<workgroup> beyond: atomic<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    if block >= params[7u] { return; }
    let first = block * params[5u];
    let end = min(first + params[5u], params[1u]);
    var a = Acc(0u, 0u, vec2<u32>(0x0u, 0x0u), 0xff800000u);
    for (var t = first; t < end; t += 256u) {
        let n = t + lane;
        if n < end {
            let v = values(n, 0u);
            tile[lane] = v;
            if v.v1 >= 256u { atomicOr(&beyond, 1u); }
        }
        workgroupBarrier();
        let many = min(end - t, 256u);
        for (var i = 0u; i < many; i++) {
            if tile[i].v1 == lane { a = push(a, tile[i]); }
        }
        workgroupBarrier();
    }
    if lane == 0u { output[params[17u] + block] = atomicLoad(&beyond); }
    let own = block * 256u + lane;
    let p0 = params[15u] + own * 3u;
    output[p0] = a.n0;
    output[p0 + 1u] = (a.r0).x;
    output[p0 + 1u + 1u] = (a.r0).y;
    let p1 = params[16u] + own * 2u;
    output[p1] = a.n1;
    output[p1 + 1u] = (a.r1);
}
