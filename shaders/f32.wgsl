// f32 as its bits in a u32. Adapters may flush subnormal numbers, drop NaN, contract and reassociate; so native arithmetic is
// used where operands and result are normal, and its results are sealed: exclusive or with a word that is 0, which no compiler knows.

const F32_NAN = 0x7fc00000u;
const F32_INF = 0x7f800000u;
const SIGN = 0x80000000u;

// A finite number that is not 0: m 2^(e - 31), the highest bit of m set.
struct Parts { m: u32, e: i32 }

fn f32_parts(x: u32) -> Parts {
    let a = x & 0x7fffffffu;
    if a < 0x00800000u {
        let n = countLeadingZeros(a);
        return Parts(a << n, -118 - i32(n));
    }
    return Parts((a << 8u) | SIGN, i32(a >> 23u) - 127);
}

// m 2^(e - 31) rounded to nearest even. The highest bit of m is set unless m is 0; its lowest stands for all below.
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
fn f32_isfinite(x: u32) -> bool { return (x & 0x7fffffffu) < F32_INF; }
fn f32_signbit(x: u32) -> bool { return (x & SIGN) != 0u; }
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

fn f32_sub(a: u32, b: u32) -> u32 { return f32_add(a, b ^ SIGN); }

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

// The native quotient may be wrong in its last bits: an exact remainder puts it right.
fn f32_div(a: u32, b: u32) -> u32 {
    let sign = (a ^ b) & SIGN;
    if f32_isnan(a) || f32_isnan(b) { return F32_NAN; }
    if f32_isinf(a) { return select(sign | F32_INF, F32_NAN, f32_isinf(b)); }
    if f32_isinf(b) { return sign; }
    if f32_is_zero(b) { return select(sign | F32_INF, F32_NAN, f32_is_zero(a)); }
    if f32_is_zero(a) { return sign; }
    let p = f32_parts(a);
    let d = f32_parts(b);
    let n = p.m >> 8u;
    let m = bitcast<i32>(d.m >> 8u);
    var q = u32(f32(n) / f32(m) * 33554432.0);
    var rest = bitcast<i32>((n << 25u) - q * bitcast<u32>(m));
    while rest < 0 {
        q = q - 1u;
        rest = rest + m;
    }
    while rest >= m {
        q = q + 1u;
        rest = rest - m;
    }
    let zeros = countLeadingZeros(q);
    return f32_pack(sign, 6 - i32(zeros) + p.e - d.e, (q << zeros) | select(1u, 0u, rest == 0));
}

fn f32_sqrt(x: u32) -> u32 {
    if f32_isnan(x) || f32_is_zero(x) { return x; }
    if f32_signbit(x) { return F32_NAN; }
    if f32_isinf(x) { return x; }
    let p = f32_parts(x);
    let odd = u32(p.e & 1);
    let n = (p.m >> 8u) << odd;
    var s = u32(sqrt(f32(n) * 1.1920928955078125e-7) * 16777216.0);
    var rest = bitcast<i32>((n << 25u) - s * s);
    while rest < 0 {
        s = s - 1u;
        rest = rest + bitcast<i32>(2u * s + 1u);
    }
    while rest > bitcast<i32>(2u * s) {
        rest = rest - bitcast<i32>(2u * s + 1u);
        s = s + 1u;
    }
    return f32_pack(0u, (p.e - i32(odd)) / 2, (s << 7u) | select(1u, 0u, rest == 0));
}

fn f32_fma(a: u32, b: u32, c: u32) -> u32 {
    if f32_isnan(a) || f32_isnan(b) || f32_isnan(c) { return F32_NAN; }
    if f32_isinf(a) || f32_isinf(b) { return f32_add_any(f32_mul_any(a, b), c); }
    if f32_isinf(c) { return c; }
    if f32_is_zero(a) || f32_is_zero(b) { return f32_add_any((a ^ b) & SIGN, c); }
    if f32_is_zero(c) { return f32_mul(a, b); }
    let p = f32_parts(a);
    let q = f32_parts(b);
    let w = mul_wide(p.m, q.m);
    let n = leading_zeros(w);
    let product = Wide((a ^ b) & SIGN, p.e + q.e + 1 - i32(n), shift_left(w, n));
    let r = f32_parts(c);
    return f32_from_wide(wide_add(product, Wide(c & SIGN, r.e, vec2<u32>(0u, r.m))));
}

fn f32_neg(x: u32) -> u32 { return x ^ SIGN; }
fn f32_abs(x: u32) -> u32 { return x & 0x7fffffffu; }
fn f32_sign(x: u32) -> u32 {
    if f32_isnan(x) { return x; }
    return select((x & SIGN) | 0x3f800000u, 0u, f32_is_zero(x));
}
fn f32_square(x: u32) -> u32 { return f32_mul(x, x); }
fn f32_reciprocal(x: u32) -> u32 { return f32_div(0x3f800000u ^ params[0], x); }

// Bits below the point, all of them for |x| < 1.
fn f32_fraction_mask(x: u32) -> u32 {
    let e = (x >> 23u) & 0xffu;
    if e < 127u { return 0x7fffffffu; }
    return select(0x7fffffu >> min(e - 127u, 23u), 0u, e > 149u);
}

fn f32_trunc(x: u32) -> u32 { return x & ~f32_fraction_mask(x); }

// The next integer away from 0, unless x is one.
fn f32_away(x: u32) -> u32 {
    let mask = f32_fraction_mask(x);
    if (x & mask) == 0u { return x; }
    if mask == 0x7fffffffu { return (x & SIGN) | 0x3f800000u; }
    return (x + mask) & ~mask;
}

fn f32_floor(x: u32) -> u32 { return select(f32_trunc(x), f32_away(x), f32_signbit(x)); }
fn f32_ceil(x: u32) -> u32 { return select(f32_away(x), f32_trunc(x), f32_signbit(x)); }

fn f32_rint(x: u32) -> u32 {
    let mask = f32_fraction_mask(x);
    let a = x & 0x7fffffffu;
    if mask == 0x7fffffffu { return (x & SIGN) | select(0u, 0x3f800000u, a > 0x3f000000u); }
    if mask == 0u { return x; }
    let odd = select(0u, 1u, (a & (mask + 1u)) != 0u);
    return (x & SIGN) | ((a + (mask >> 1u) + odd) & ~mask);
}

// Floats in order as integers; both zeros are 0. Not for NaN.
fn f32_key(x: u32) -> i32 {
    let a = bitcast<i32>(x & 0x7fffffffu);
    return select(a, 0 - a, f32_signbit(x));
}

fn f32_ordered(a: u32, b: u32) -> bool { return !f32_isnan(a) && !f32_isnan(b); }
fn f32_eq(a: u32, b: u32) -> bool { return f32_ordered(a, b) && f32_key(a) == f32_key(b); }
fn f32_ne(a: u32, b: u32) -> bool { return !f32_eq(a, b); }
fn f32_lt(a: u32, b: u32) -> bool { return f32_ordered(a, b) && f32_key(a) < f32_key(b); }
fn f32_le(a: u32, b: u32) -> bool { return f32_ordered(a, b) && f32_key(a) <= f32_key(b); }

fn f32_min(a: u32, b: u32) -> u32 { return select(select(a, b, f32_lt(b, a)), F32_NAN, !f32_ordered(a, b)); }
fn f32_max(a: u32, b: u32) -> u32 { return select(select(a, b, f32_lt(a, b)), F32_NAN, !f32_ordered(a, b)); }
fn f32_fmin(a: u32, b: u32) -> u32 { return select(a, b, f32_isnan(a) || f32_lt(b, a)); }
fn f32_fmax(a: u32, b: u32) -> u32 { return select(a, b, f32_isnan(a) || f32_lt(a, b)); }
fn f32_copysign(a: u32, b: u32) -> u32 { return (a & 0x7fffffffu) | (b & SIGN); }

fn f32_fmod(a: u32, b: u32) -> u32 { return f32_from_f64(f64_fmod(f64_from_f32(a), f64_from_f32(b))); }

fn f32_rem(a: u32, b: u32) -> u32 {
    let r = f32_fmod(a, b);
    if f32_is_zero(r) { return b & SIGN; }
    return select(r, f32_add(r, b), f32_lt(r, 0u) != f32_lt(b, 0u));
}

fn f32_floordiv(a: u32, b: u32) -> u32 {
    if f32_isinf(a) { return F32_NAN; }
    let q = f32_floor(f32_div(a, b));
    var r = a;
    if !f32_isinf(b) { r = f32_fma(q ^ SIGN, b, a); }
    // NaN is not 0 and not below it
    if f32_ne(r, 0u) && f32_lt(r, 0u) != f32_lt(b, 0u) { return f32_sub(q, 0x3f800000u ^ params[0]); }
    return q;
}

fn f32_nextafter(a: u32, b: u32) -> u32 {
    if !f32_ordered(a, b) { return F32_NAN; }
    if f32_eq(a, b) { return b; }
    if f32_is_zero(a) { return (b & SIGN) | 1u; }
    return select(a - 1u, a + 1u, f32_lt(a, b) != f32_signbit(a));
}

fn f32_from_bool(x: bool) -> u32 { return select(0u, 0x3f800000u, x); }
fn f32_from_u32(x: u32) -> u32 {
    let n = countLeadingZeros(x);
    return f32_pack(0u, 31 - i32(n), x << (n & 31u));
}
fn f32_from_i32(x: i32) -> u32 { return f32_from_u32(i32_magnitude(x)) | (bitcast<u32>(x) & SIGN); }
fn f32_from_u64(x: vec2<u32>) -> u32 {
    if is_zero(x) { return 0u; }
    let n = leading_zeros(x);
    return f32_from_wide(Wide(0u, 63 - i32(n), shift_left(x, n)));
}
fn f32_from_i64(x: vec2<u32>) -> u32 { return f32_from_u64(i64_abs(x)) | (x.y & SIGN); }

fn bool_from_f32(x: u32) -> bool { return !f32_is_zero(x); }
fn u32_from_f32(x: u32) -> u32 {
    if f32_isnan(x) || f32_signbit(x) || (x < 0x3f800000u) { return 0u; }
    let p = f32_parts(x);
    return select(p.m >> u32(31 - min(p.e, 31)), 0xffffffffu, p.e > 31);
}
fn i32_from_f32(x: u32) -> i32 {
    if f32_isnan(x) { return 0; }
    let a = bitcast<i32>(min(u32_from_f32(x & 0x7fffffffu), 0x80000000u));
    if f32_signbit(x) { return 0 - a; }
    return select(a, 0x7fffffff, a < 0);
}
fn u64_from_f32(x: u32) -> vec2<u32> { return u64_from_f64(f64_from_f32(x)); }
fn i64_from_f32(x: u32) -> vec2<u32> { return i64_from_f64(f64_from_f32(x)); }

// f16 lives in registers as the f32 of its value.
fn f16_value(h: u32) -> u32 {
    let sign = (h & 0x8000u) << 16u;
    let a = h & 0x7fffu;
    if a >= 0x7c00u { return sign | F32_INF | ((a & 0x3ffu) << 13u); }
    if a >= 0x400u { return sign | ((a << 13u) + 0x38000000u); }
    return sign | select(bitcast<u32>(f32(a) * 5.9604644775390625e-8), 0u, a == 0u);
}

fn f16_bits(x: u32) -> u32 {
    let sign = (x & SIGN) >> 16u;
    if f32_isnan(x) { return sign | 0x7e00u; }
    if f32_isinf(x) { return sign | 0x7c00u; }
    if f32_is_zero(x) { return sign; }
    let p = f32_parts(x);
    let biased = p.e + 15;
    if biased > 30 { return sign | 0x7c00u; }
    let n = u32(clamp(1 - biased, 0, 31));
    var kept = (p.m >> n) | select(0u, 1u, ((p.m >> n) << n) != p.m);
    let rest = kept & 0x1fffffu;
    kept = kept >> 21u;
    kept = kept + select(0u, 1u, rest > 0x100000u || (rest == 0x100000u && (kept & 1u) != 0u));
    return sign | ((u32(max(biased - 1, 0)) << 10u) + kept);
}

fn f16_wrap(x: u32) -> u32 { return f16_value(f16_bits(x)); }

// Rounded once: to odd in f32, which keeps what f16 needs to know.
fn f16_from_f64(x: vec2<u32>) -> u32 {
    if !f64_isfinite(x) || is_zero(f64_abs(x)) { return f16_wrap(f32_from_f64(x)); }
    let w = wide(x);
    if w.e < -60 { return w.s; }
    if w.e > 60 { return w.s | F32_INF; }
    let m = w.m.y | select(1u, 0u, w.m.x == 0u);
    let odd = (m >> 8u) | select(1u, 0u, (m & 0xffu) == 0u);
    return f16_wrap(w.s | ((u32(w.e + 126) << 23u) + odd));
}

fn f16_nextafter(a: u32, b: u32) -> u32 {
    if !f32_ordered(a, b) { return F32_NAN; }
    if f32_eq(a, b) { return b; }
    if f32_is_zero(a) { return f16_value(((b & SIGN) >> 16u) | 1u); }
    let h = f16_bits(a);
    return f16_value(select(h - 1u, h + 1u, f32_lt(a, b) != f32_signbit(a)));
}
