@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
fn load_64(base: u32, i: u32) -> vec2<u32> { return vec2<u32>(input[base + 2u * i], input[base + 2u * i + 1u]); }
fn u64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn u64_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}
fn is_zero(a: vec2<u32>) -> bool { return (a.x | a.y) == 0u; }
fn u64_eq(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x == b.x && a.y == b.y; }
fn u64_lt(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn shift_left(a: vec2<u32>, n: u32) -> vec2<u32> {
    if n == 0u { return a; }
    if n < 32u { return vec2<u32>(a.x << n, (a.y << n) | (a.x >> (32u - n))); }
    return vec2<u32>(0u, a.x << (n - 32u));
}
fn shift_right(a: vec2<u32>, n: u32) -> vec2<u32> {
    if n == 0u { return a; }
    if n < 32u { return vec2<u32>((a.x >> n) | (a.y << (32u - n)), a.y >> n); }
    return vec2<u32>(a.y >> (n - 32u), 0u);
}
fn shift_jam(a: vec2<u32>, n: u32) -> vec2<u32> {
    if n > 63u { return vec2<u32>(select(1u, 0u, is_zero(a)), 0u); }
    let kept = shift_right(a, n);
    return vec2<u32>(kept.x | select(1u, 0u, u64_eq(shift_left(kept, n), a)), kept.y);
}
fn leading_zeros(a: vec2<u32>) -> u32 {
    return select(countLeadingZeros(a.y), 32u + countLeadingZeros(a.x), a.y == 0u);
}
fn u64_neg(x: vec2<u32>) -> vec2<u32> { return u64_sub(vec2<u32>(0u, 0u), x); }
fn i64_signbit(x: vec2<u32>) -> bool { return bitcast<i32>(x.y) < 0; }
fn i64_abs(x: vec2<u32>) -> vec2<u32> { return select(x, u64_neg(x), i64_signbit(x)); }
fn i64_lt(a: vec2<u32>, b: vec2<u32>) -> bool {
    return bitcast<i32>(a.y) < bitcast<i32>(b.y) || (a.y == b.y && a.x < b.x);
}
fn i64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return !i64_lt(b, a); }
const SIGN = 0x80000000u;
const F64_INF = vec2<u32>(0u, 0x7ff00000u);
struct Wide { s: u32, e: i32, m: vec2<u32> }
fn f64_from_wide(w: Wide) -> vec2<u32> {
    let biased = w.e + 1023;
    if biased > 2046 { return vec2<u32>(0u, w.s | 0x7ff00000u); }
    var m = w.m;
    if biased < 1 { m = shift_jam(m, u32(1 - biased)); }
    let rest = m.x & 0x7ffu;
    m = shift_right(m, 11u);
    let up = rest > 1024u || (rest == 1024u && (m.x & 1u) != 0u);
    m = u64_add(m, vec2<u32>(select(0u, 1u, up), u32(max(biased - 1, 0)) << 20u));
    return vec2<u32>(m.x, m.y | w.s);
}
fn f64_isnan(x: vec2<u32>) -> bool { return u64_lt(F64_INF, f64_abs(x)); }
fn f64_signbit(x: vec2<u32>) -> bool { return (x.y & SIGN) != 0u; }
fn f64_abs(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y & 0x7fffffffu); }
fn f64_ordered(a: vec2<u32>, b: vec2<u32>) -> bool { return !f64_isnan(a) && !f64_isnan(b); }
fn f64_key(x: vec2<u32>) -> vec2<u32> { return select(x, u64_neg(f64_abs(x)), f64_signbit(x)); }
fn f64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return f64_ordered(a, b) && i64_le(f64_key(a), f64_key(b)); }
fn f64_from_u64(x: vec2<u32>) -> vec2<u32> {
    if is_zero(x) { return x; }
    let n = leading_zeros(x);
    return f64_from_wide(Wide(0u, 63 - i32(n), shift_left(x, n)));
}
fn f64_from_i64(x: vec2<u32>) -> vec2<u32> {
    let r = f64_from_u64(i64_abs(x));
    return vec2<u32>(r.x, r.y | (x.y & SIGN));
}

struct Values {
    v0: vec2<u32>,
    v3: bool,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[10u];
    let x0 = load_64(params[9u], i0);
    let index0 = u64_add(vec2<u32>(params[11u], params[12u]), vec2<u32>(c0 * params[13u], 0u));
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
            let at = params[14u] + (block * 4096u + so_far + before[lane] - 1u) * 2u;
            let r = v.v0;
            output[at] = r.x;
    output[at + 1u] = r.y;
        }
        so_far += before[255u];
        workgroupBarrier();
    }
    if lane == 0u { output[params[15u] + block] = so_far; }
}
