@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
fn load_32(base: u32, i: u32) -> u32 { return input[base + i]; }
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let m = ah * bl + (low >> 16u);
    let n = al * bh + (m & 0xffffu);
    return vec2<u32>(a * b, ah * bh + (m >> 16u) + (n >> 16u));
}
fn shift_left(a: vec2<u32>, n: u32) -> vec2<u32> {
    if n == 0u { return a; }
    if n < 32u { return vec2<u32>(a.x << n, (a.y << n) | (a.x >> (32u - n))); }
    return vec2<u32>(0u, a.x << (n - 32u));
}
fn leading_zeros(a: vec2<u32>) -> u32 {
    return select(countLeadingZeros(a.y), 32u + countLeadingZeros(a.x), a.y == 0u);
}
const F32_NAN = 0x7fc00000u;
const F32_INF = 0x7f800000u;
const SIGN = 0x80000000u;
struct Parts { m: u32, e: i32 }
fn f32_parts(x: u32) -> Parts {
    let a = x & 0x7fffffffu;
    if a < 0x00800000u {
        let n = countLeadingZeros(a);
        return Parts(a << n, -118 - i32(n));
    }
    return Parts((a << 8u) | SIGN, i32(a >> 23u) - 127);
}
fn f32_pack(sign: u32, e: i32, m: u32) -> u32 {
    let biased = e + 127;
    if m == 0u { return sign; }
    if biased > 254 { return sign | F32_INF; }
    var kept = m;
    if biased < 1 {
        let n = u32(min(1 - biased, 31));
        kept = (m >> n) | select(0u, 1u, ((m >> n) << n) != m);
    }
    let rest = kept & 0xffu;
    kept = kept >> 8u;
    kept = kept + select(0u, 1u, rest > 128u || (rest == 128u && (kept & 1u) != 0u));
    return sign | ((u32(max(biased - 1, 0)) << 23u) + kept);
}
fn f32_isnan(x: u32) -> bool { return (x & 0x7fffffffu) > F32_INF; }
fn f32_isinf(x: u32) -> bool { return (x & 0x7fffffffu) == F32_INF; }
fn f32_is_normal(x: u32) -> bool { return ((x >> 23u) & 0xffu) - 1u < 254u; }
fn f32_is_zero(x: u32) -> bool { return (x & 0x7fffffffu) == 0u; }
fn f32_add(a: u32, b: u32) -> u32 {
    let r = bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b)) ^ params[0];
    if f32_is_normal(a) && f32_is_normal(b) && f32_is_normal(r) { return r; }
    return f32_add_any(a, b);
}
fn f32_add_any(a: u32, b: u32) -> u32 {
    if f32_isnan(a) || f32_isnan(b) { return F32_NAN; }
    if f32_isinf(a) { return select(a, F32_NAN, b == (a ^ SIGN)); }
    if f32_isinf(b) { return b; }
    let swap = (a & 0x7fffffffu) < (b & 0x7fffffffu);
    let x = select(a, b, swap);
    let y = select(b, a, swap);
    if f32_is_zero(y) { return select(x, x & y, f32_is_zero(x)); }
    let p = f32_parts(x);
    let q = f32_parts(y);
    let n = u32(min(p.e - q.e, 31));
    let m = q.m >> 2u;
    let low = (m >> n) | select(0u, 1u, ((m >> n) << n) != m);
    let sum = select((p.m >> 2u) - low, (p.m >> 2u) + low, ((x ^ y) & SIGN) == 0u);
    let zeros = countLeadingZeros(sum);
    if sum == 0u { return 0u; }
    return f32_pack(x & SIGN, p.e + 2 - i32(zeros), sum << zeros);
}
fn f32_mul(a: u32, b: u32) -> u32 {
    let r = bitcast<u32>(bitcast<f32>(a) * bitcast<f32>(b)) ^ params[0];
    if f32_is_normal(a) && f32_is_normal(b) && f32_is_normal(r) { return r; }
    return f32_mul_any(a, b);
}
fn f32_mul_any(a: u32, b: u32) -> u32 {
    let sign = (a ^ b) & SIGN;
    if f32_isnan(a) || f32_isnan(b) { return F32_NAN; }
    if f32_isinf(a) || f32_isinf(b) { return select(sign | F32_INF, F32_NAN, f32_is_zero(a) || f32_is_zero(b)); }
    if f32_is_zero(a) || f32_is_zero(b) { return sign; }
    let p = f32_parts(a);
    let q = f32_parts(b);
    let w = mul_wide(p.m, q.m);
    let n = leading_zeros(w);
    let m = shift_left(w, n);
    return f32_pack(sign, p.e + q.e + 1 - i32(n), m.y | select(1u, 0u, m.x == 0u));
}

struct Values {
    v4: u32,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let i0 = c0 * params[10u];
    let x0 = load_32(params[9u], i0);
    let v0 = x0;
    let v1 = 0x40000000u;
    let v2 = 0x3f800000u;
    let v3 = f32_mul(v0, v1);
    let v4 = f32_add(v2, v3);
    return Values(v4);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let first = (block * 256u + lane) * 1u;
    for (var k = 0u; k < 1u; k++) {
        let n = first + k;
        if n >= params[1u] { break; }
        let v = values(n, 0u);
        let r0 = v.v4;
    output[params[11u] + n * 1u] = r0;
    }
}

// ---- next pass ----

@group(0) @binding(0) var<storage, read> params: array<u32>;
@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
fn load_32(base: u32, i: u32) -> u32 { return input[base + i]; }
fn u64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn u64_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let m = ah * bl + (low >> 16u);
    let n = al * bh + (m & 0xffffu);
    return vec2<u32>(a * b, ah * bh + (m >> 16u) + (n >> 16u));
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
const F32_NAN = 0x7fc00000u;
const F32_INF = 0x7f800000u;
const SIGN = 0x80000000u;
struct Parts { m: u32, e: i32 }
fn f32_parts(x: u32) -> Parts {
    let a = x & 0x7fffffffu;
    if a < 0x00800000u {
        let n = countLeadingZeros(a);
        return Parts(a << n, -118 - i32(n));
    }
    return Parts((a << 8u) | SIGN, i32(a >> 23u) - 127);
}
fn f32_pack(sign: u32, e: i32, m: u32) -> u32 {
    let biased = e + 127;
    if m == 0u { return sign; }
    if biased > 254 { return sign | F32_INF; }
    var kept = m;
    if biased < 1 {
        let n = u32(min(1 - biased, 31));
        kept = (m >> n) | select(0u, 1u, ((m >> n) << n) != m);
    }
    let rest = kept & 0xffu;
    kept = kept >> 8u;
    kept = kept + select(0u, 1u, rest > 128u || (rest == 128u && (kept & 1u) != 0u));
    return sign | ((u32(max(biased - 1, 0)) << 23u) + kept);
}
fn f32_isnan(x: u32) -> bool { return (x & 0x7fffffffu) > F32_INF; }
fn f32_isinf(x: u32) -> bool { return (x & 0x7fffffffu) == F32_INF; }
fn f32_is_normal(x: u32) -> bool { return ((x >> 23u) & 0xffu) - 1u < 254u; }
fn f32_is_zero(x: u32) -> bool { return (x & 0x7fffffffu) == 0u; }
fn f32_add(a: u32, b: u32) -> u32 {
    let r = bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b)) ^ params[0];
    if f32_is_normal(a) && f32_is_normal(b) && f32_is_normal(r) { return r; }
    return f32_add_any(a, b);
}
fn f32_add_any(a: u32, b: u32) -> u32 {
    if f32_isnan(a) || f32_isnan(b) { return F32_NAN; }
    if f32_isinf(a) { return select(a, F32_NAN, b == (a ^ SIGN)); }
    if f32_isinf(b) { return b; }
    let swap = (a & 0x7fffffffu) < (b & 0x7fffffffu);
    let x = select(a, b, swap);
    let y = select(b, a, swap);
    if f32_is_zero(y) { return select(x, x & y, f32_is_zero(x)); }
    let p = f32_parts(x);
    let q = f32_parts(y);
    let n = u32(min(p.e - q.e, 31));
    let m = q.m >> 2u;
    let low = (m >> n) | select(0u, 1u, ((m >> n) << n) != m);
    let sum = select((p.m >> 2u) - low, (p.m >> 2u) + low, ((x ^ y) & SIGN) == 0u);
    let zeros = countLeadingZeros(sum);
    if sum == 0u { return 0u; }
    return f32_pack(x & SIGN, p.e + 2 - i32(zeros), sum << zeros);
}
fn f32_mul(a: u32, b: u32) -> u32 {
    let r = bitcast<u32>(bitcast<f32>(a) * bitcast<f32>(b)) ^ params[0];
    if f32_is_normal(a) && f32_is_normal(b) && f32_is_normal(r) { return r; }
    return f32_mul_any(a, b);
}
fn f32_mul_any(a: u32, b: u32) -> u32 {
    let sign = (a ^ b) & SIGN;
    if f32_isnan(a) || f32_isnan(b) { return F32_NAN; }
    if f32_isinf(a) || f32_isinf(b) { return select(sign | F32_INF, F32_NAN, f32_is_zero(a) || f32_is_zero(b)); }
    if f32_is_zero(a) || f32_is_zero(b) { return sign; }
    let p = f32_parts(a);
    let q = f32_parts(b);
    let w = mul_wide(p.m, q.m);
    let n = leading_zeros(w);
    let m = shift_left(w, n);
    return f32_pack(sign, p.e + q.e + 1 - i32(n), m.y | select(1u, 0u, m.x == 0u));
}
const F64_NAN = vec2<u32>(0u, 0x7ff80000u);
const F64_INF = vec2<u32>(0u, 0x7ff00000u);
struct Wide { s: u32, e: i32, m: vec2<u32> }
fn wide(x: vec2<u32>) -> Wide {
    let a = vec2<u32>(x.x, x.y & 0x7fffffffu);
    if a.y < 0x00100000u {
        let n = leading_zeros(a);
        return Wide(x.y & SIGN, -1011 - i32(n), shift_left(a, n));
    }
    return Wide(x.y & SIGN, i32(a.y >> 20u) - 1023, vec2<u32>(a.x << 11u, (a.y << 11u) | (a.x >> 21u) | SIGN));
}
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
fn wide_add(a: Wide, b: Wide) -> Wide {
    let swap = a.e < b.e || (a.e == b.e && u64_lt(a.m, b.m));
    var x = a;
    var y = b;
    if swap {
        x = b;
        y = a;
    }
    let big = shift_right(x.m, 2u);
    let low = shift_jam(y.m, u32(x.e - y.e) + 2u);
    var sum = u64_sub(big, low);
    if x.s == y.s { sum = u64_add(big, low); }
    if is_zero(sum) { return Wide(0u, -2000, sum); }
    let n = leading_zeros(sum);
    return Wide(x.s, x.e + 2 - i32(n), shift_left(sum, n));
}
fn f64_isnan(x: vec2<u32>) -> bool { return u64_lt(F64_INF, f64_abs(x)); }
fn f64_isinf(x: vec2<u32>) -> bool { return u64_eq(F64_INF, f64_abs(x)); }
fn f64_isfinite(x: vec2<u32>) -> bool { return (x.y & 0x7ff00000u) != 0x7ff00000u; }
fn f64_is_zero(x: vec2<u32>) -> bool { return (x.x | (x.y & 0x7fffffffu)) == 0u; }
fn f64_neg(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y ^ SIGN); }
fn f64_abs(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y & 0x7fffffffu); }
fn f64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if !f64_isfinite(a) || !f64_isfinite(b) {
        if f64_isnan(a) || f64_isnan(b) { return F64_NAN; }
        if !f64_isinf(a) { return b; }
        return select(a, F64_NAN, u64_eq(f64_neg(a), b));
    }
    if f64_is_zero(b) { return select(a, a & b, f64_is_zero(a)); }
    if f64_is_zero(a) { return b; }
    let sum = wide_add(wide(a), wide(b));
    if is_zero(sum.m) { return sum.m; }
    return f64_from_wide(sum);
}
fn f64_from_f32(x: u32) -> vec2<u32> {
    let s = x & SIGN;
    if f32_isnan(x) { return F64_NAN; }
    if f32_isinf(x) { return vec2<u32>(0u, s | 0x7ff00000u); }
    if f32_is_zero(x) { return vec2<u32>(0u, s); }
    let p = f32_parts(x);
    return vec2<u32>(p.m << 21u, s | (u32(p.e + 1023) << 20u) | ((p.m & 0x7fffffffu) >> 11u));
}

struct Values {
    v4: u32,
}

fn values(outer: u32, inner: u32) -> Values {
    let c0 = outer;
    let c1 = inner;
    let i0 = c0 * params[11u] + c1 * params[12u];
    let x0 = load_32(params[10u], i0);
    let v0 = x0;
    let v1 = 0x40000000u;
    let v2 = 0x3f800000u;
    let v3 = f32_mul(v0, v1);
    let v4 = f32_add(v2, v3);
    return Values(v4);
}

struct Acc {
    r0: vec2<u32>,
}

fn empty() -> Acc { return Acc(vec2<u32>(0x0u, 0x0u)); }

fn push(before: Acc, v: Values, at: u32) -> Acc {
    var a = before;
    a.r0 = f64_add(a.r0, f64_from_f32(v.v4));
    return a;
}

fn merge(before: Acc, b: Acc) -> Acc {
    var a = before;
    a.r0 = f64_add(a.r0, b.r0);
    return a;
}

var<workgroup> lanes_acc: array<Acc, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * params[3u] + group.x;
    let own = lane % params[4u];
    let segment = block * (256u / params[4u]) + lane / params[4u];
    let outer = segment / params[6u];
    let first = (segment % params[6u]) * params[5u];
    let to = min(first + params[5u], params[2u]);
    var a = empty();
    if segment < params[7u] {
        for (var r = first + own; r < to; r += params[4u]) { a = push(a, values(outer, r), r); }
    }
    lanes_acc[lane] = a;
    for (var s = params[4u] / 2u; s > 0u; s = s / 2u) {
        workgroupBarrier();
        if own < s { lanes_acc[lane] = merge(lanes_acc[lane], lanes_acc[lane + s]); }
    }
    if own != 0u || segment >= params[7u] { return; }
    a = lanes_acc[lane];
    let p0 = params[13u] + segment * 2u;
    output[p0 + 0u] = (a.r0).x;
    output[p0 + 0u + 1u] = (a.r0).y;
}
