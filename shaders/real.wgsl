// Numbers between f32 and f64 for elementary functions: 32 bits of mantissa, exponents of any size, no infinity and no NaN, truncated.
// In a pair of words: m, and sign and exponent: m 2^(e - 31), the highest bit of m set, e biased. R(x) stands for the number x.

const BIAS = 0x40000000u;

fn real_neg(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y ^ SIGN); }
fn real_abs(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y & 0x7fffffffu); }
fn real_is_zero(x: vec2<u32>) -> bool { return x.x == 0u; }
fn real_exponent(x: vec2<u32>) -> i32 { return i32(x.y & 0x7fffffffu) - i32(BIAS); }
fn real_key(x: vec2<u32>) -> vec2<u32> { return select(x, u64_neg(real_abs(x)), (x.y & SIGN) != 0u); }
fn real_lt(a: vec2<u32>, b: vec2<u32>) -> bool { return i64_lt(real_key(a), real_key(b)); }

fn real_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let swap = u64_lt(real_abs(a), real_abs(b));
    let x = select(a, b, swap);
    let y = select(b, a, swap);
    let low = (y.x >> 1u) >> min((x.y & 0x7fffffffu) - (y.y & 0x7fffffffu), 31u);
    let sum = (x.x >> 1u) + select(0u - low, low, ((x.y ^ y.y) & SIGN) == 0u);
    let n = countLeadingZeros(sum);
    if sum == 0u { return vec2<u32>(0u, 0u); }
    return vec2<u32>(sum << n, x.y + 1u - n);
}

fn real_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return real_add(a, real_neg(b)); }

fn real_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let w = mul_wide(a.x, b.x);
    let n = 1u - (w.y >> 31u);
    let e = (a.y & 0x7fffffffu) + (b.y & 0x7fffffffu) - BIAS + 1u - n;
    if (a.x & b.x & SIGN) == 0u { return vec2<u32>(0u, 0u); }
    return vec2<u32>((w.y << n) | (n * (w.x >> 31u)), ((a.y ^ b.y) & SIGN) | e);
}

// a * b + c
fn mad(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> { return real_add(real_mul(a, b), c); }

// For b that is not 0.
fn real_div(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if a.x == 0u { return a; }
    var rest = a.x;
    var q = 0u;
    var over = false;
    for (var k = 0u; k < 32u; k++) {
        let bit = over || rest >= b.x;
        rest = rest - select(0u, b.x, bit);
        q = (q << 1u) | select(0u, 1u, bit);
        over = (rest & SIGN) != 0u;
        rest = rest << 1u;
    }
    let n = countLeadingZeros(q);
    let e = (a.y & 0x7fffffffu) - (b.y & 0x7fffffffu) + BIAS - n;
    return vec2<u32>(q << n, ((a.y ^ b.y) & SIGN) | e);
}

// For x that is not negative: the native root and a step of Newton's.
fn real_sqrt(x: vec2<u32>) -> vec2<u32> {
    if x.x == 0u { return x; }
    let odd = u32(real_exponent(x) & 1);
    let near = vec2<u32>(x.x, BIAS + odd);
    let s = real_from_f32(bitcast<u32>(sqrt(f32(x.x) * 4.656612873077393e-10 * f32(1u + odd))));
    let better = real_add(s, real_div(near, s));
    return vec2<u32>(better.x, better.y - 1u + u32((real_exponent(x) - i32(odd)) / 2));
}

// x 2^k
fn real_scale(x: vec2<u32>, k: i32) -> vec2<u32> {
    return select(vec2<u32>(x.x, x.y + u32(k)), x, x.x == 0u);
}

// The nearest integer of |x| < 2^29.
fn real_round(x: vec2<u32>) -> i32 {
    let e = real_exponent(x);
    if x.x == 0u || e < -1 { return 0; }
    let a = i32(((x.x >> u32(30 - min(e, 29))) + 1u) >> 1u);
    return select(a, 0 - a, (x.y & SIGN) != 0u);
}

fn real_from_i32(k: i32) -> vec2<u32> {
    let a = i32_magnitude(k);
    if a == 0u { return vec2<u32>(0u, 0u); }
    let n = countLeadingZeros(a);
    return vec2<u32>(a << n, (bitcast<u32>(k) & SIGN) | (BIAS + 31u - n));
}

// 2^600 for infinities, which no function tells from them.
fn real_from_f32(x: u32) -> vec2<u32> {
    if f32_is_zero(x) { return vec2<u32>(0u, 0u); }
    if f32_isinf(x) { return vec2<u32>(SIGN, (x & SIGN) | (BIAS + 600u)); }
    let p = f32_parts(x);
    return vec2<u32>(p.m, (x & SIGN) | (BIAS + u32(p.e)));
}

fn f32_from_real(x: vec2<u32>) -> u32 { return f32_pack(x.y & SIGN, real_exponent(x), x.x); }
