struct Values {
    v0: vec2<u32>,
    v3: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[13u];
    let x0 = load_64(params[12u], i0);
    let index0 = u64_add(vec2<u32>(params[14u], params[15u]), vec2<u32>(c0 * params[16u], 0u));
    let v0 = x0;
    let v1 = index0;
    let v2 = f64_from_i64(v1);
    let v3 = f64_le(v2, v0);
    return Values(v0, v3);
}

var<workgroup> before: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    if block >= params[7u] { return; }
    var so_far = 0u;
    for (var round = 0u; round < 16u; round++) {
        let n = (block * 16u + round) * 256u + lane;
        var chosen = false;
        var v: Values;
        if n < params[1u] {
            v = values(n, 0u);
            chosen = v.v3;
        }
        // how many are chosen up to each lane
        before[lane] = select(0u, 1u, chosen);
        for (var s = 1u; s < 256u; s = s * 2u) {
            workgroupBarrier();
            var sum = before[lane];
            if lane >= s { sum += before[lane - s]; }
            workgroupBarrier();
            before[lane] = sum;
        }
        workgroupBarrier();
        if chosen {
            let at = params[17u] + (block * 4096u + so_far + before[lane] - 1u) * 2u;
            let r = v.v0;
            output[at] = r.x;
    output[at + 1u] = r.y;
        }
        so_far += before[255u];
        workgroupBarrier();
    }
    if lane == 0u { output[params[18u] + block] = so_far; }
}
