// 64-bit integers as pairs of words, the low one first: adapters need no 64-bit feature.

fn u64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn u64_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

// The whole product of two words.
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

// The whole product of two pairs.
fn mul_wide_pair(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    let ll = mul_wide(a.x, b.x);
    let lh = u64_add(mul_wide(a.x, b.y), vec2<u32>(ll.y, 0u));
    let hl = u64_add(mul_wide(a.y, b.x), vec2<u32>(lh.x, 0u));
    let hh = u64_add(u64_add(mul_wide(a.y, b.y), vec2<u32>(lh.y, 0u)), vec2<u32>(hl.y, 0u));
    return vec4<u32>(ll.x, hl.x, hh.x, hh.y);
}

fn u64_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = mul_wide(a.x, b.x);
    return vec2<u32>(low.x, low.y + a.x * b.y + a.y * b.x);
}

fn is_zero(a: vec2<u32>) -> bool { return (a.x | a.y) == 0u; }
fn u64_eq(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x == b.x && a.y == b.y; }
fn u64_ne(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x != b.x || a.y != b.y; }
fn u64_lt(a: vec2<u32>, b: vec2<u32>) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn u64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return !u64_lt(b, a); }

// Shifts by 0 to 63.
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

// To the right by any number of bits; the lowest bit tells whether one that fell out was set.
fn shift_jam(a: vec2<u32>, n: u32) -> vec2<u32> {
    if n > 63u { return vec2<u32>(select(1u, 0u, is_zero(a)), 0u); }
    let kept = shift_right(a, n);
    return vec2<u32>(kept.x | select(1u, 0u, u64_eq(shift_left(kept, n), a)), kept.y);
}

fn leading_zeros(a: vec2<u32>) -> u32 {
    return select(countLeadingZeros(a.y), 32u + countLeadingZeros(a.x), a.y == 0u);
}

// Quotient and remainder; 0 and a where b is 0.
fn divide(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    if is_zero(b) { return vec4<u32>(0u, 0u, a); }
    if (a.y | b.y) == 0u { return vec4<u32>(a.x / b.x, 0u, a.x % b.x, 0u); }
    var rest = a;
    var q = vec2<u32>(0u, 0u);
    var n = i32(leading_zeros(b)) - i32(leading_zeros(a));
    while n >= 0 {
        let part = shift_left(b, u32(n));
        if !u64_lt(rest, part) {
            rest = u64_sub(rest, part);
            q = q | shift_left(vec2<u32>(1u, 0u), u32(n));
        }
        n = n - 1;
    }
    return vec4<u32>(q, rest);
}

fn u64_neg(x: vec2<u32>) -> vec2<u32> { return u64_sub(vec2<u32>(0u, 0u), x); }
fn u64_abs(x: vec2<u32>) -> vec2<u32> { return x; }
fn u64_sign(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(select(1u, 0u, is_zero(x)), 0u); }
fn u64_not(x: vec2<u32>) -> vec2<u32> { return ~x; }
fn u64_square(x: vec2<u32>) -> vec2<u32> { return u64_mul(x, x); }
fn u64_reciprocal(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(select(0u, 1u, x.x == 1u && x.y == 0u), 0u); }
fn u64_floor(x: vec2<u32>) -> vec2<u32> { return x; }
fn u64_ceil(x: vec2<u32>) -> vec2<u32> { return x; }
fn u64_trunc(x: vec2<u32>) -> vec2<u32> { return x; }
fn u64_rint(x: vec2<u32>) -> vec2<u32> { return x; }
fn u64_isnan(x: vec2<u32>) -> bool { return false; }
fn u64_isinf(x: vec2<u32>) -> bool { return false; }
fn u64_isfinite(x: vec2<u32>) -> bool { return true; }
fn u64_signbit(x: vec2<u32>) -> bool { return false; }
fn u64_and(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return a & b; }
fn u64_or(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return a | b; }
fn u64_xor(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return a ^ b; }
fn u64_min(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, u64_lt(b, a)); }
fn u64_max(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, u64_lt(a, b)); }
fn u64_fmin(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_min(a, b); }
fn u64_fmax(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_max(a, b); }
fn u64_floordiv(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return divide(a, b).xy; }
fn u64_fmod(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(divide(a, b).zw, vec2<u32>(0u, 0u), is_zero(b)); }
fn u64_rem(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_fmod(a, b); }
fn u64_fma(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> { return u64_add(u64_mul(a, b), c); }

fn u64_pow(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    var base = a;
    var left = b;
    var power = vec2<u32>(1u, 0u);
    while !is_zero(left) {
        if (left.x & 1u) != 0u { power = u64_mul(power, base); }
        base = u64_mul(base, base);
        left = shift_right(left, 1u);
    }
    return power;
}

fn u64_shl(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if b.y != 0u || b.x > 63u { return vec2<u32>(0u, 0u); }
    return shift_left(a, b.x);
}

fn u64_shr(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if b.y != 0u || b.x > 63u { return vec2<u32>(0u, 0u); }
    return shift_right(a, b.x);
}

fn i64_signbit(x: vec2<u32>) -> bool { return bitcast<i32>(x.y) < 0; }
fn i64_neg(x: vec2<u32>) -> vec2<u32> { return u64_neg(x); }
fn i64_abs(x: vec2<u32>) -> vec2<u32> { return select(x, u64_neg(x), i64_signbit(x)); }
fn i64_sign(x: vec2<u32>) -> vec2<u32> { return select(u64_sign(x), vec2<u32>(0xffffffffu, 0xffffffffu), i64_signbit(x)); }
fn i64_not(x: vec2<u32>) -> vec2<u32> { return ~x; }
fn i64_square(x: vec2<u32>) -> vec2<u32> { return u64_mul(x, x); }
fn is_minus_one(x: vec2<u32>) -> bool { return (x.x & x.y) == 0xffffffffu; }
fn i64_reciprocal(x: vec2<u32>) -> vec2<u32> { return select(u64_reciprocal(x), x, is_minus_one(x)); }
fn i64_floor(x: vec2<u32>) -> vec2<u32> { return x; }
fn i64_ceil(x: vec2<u32>) -> vec2<u32> { return x; }
fn i64_trunc(x: vec2<u32>) -> vec2<u32> { return x; }
fn i64_rint(x: vec2<u32>) -> vec2<u32> { return x; }
fn i64_isnan(x: vec2<u32>) -> bool { return false; }
fn i64_isinf(x: vec2<u32>) -> bool { return false; }
fn i64_isfinite(x: vec2<u32>) -> bool { return true; }
fn i64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_add(a, b); }
fn i64_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_sub(a, b); }
fn i64_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_mul(a, b); }
fn i64_fma(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> { return u64_add(u64_mul(a, b), c); }
fn i64_and(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return a & b; }
fn i64_or(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return a | b; }
fn i64_xor(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return a ^ b; }
fn i64_eq(a: vec2<u32>, b: vec2<u32>) -> bool { return u64_eq(a, b); }
fn i64_ne(a: vec2<u32>, b: vec2<u32>) -> bool { return u64_ne(a, b); }
fn i64_lt(a: vec2<u32>, b: vec2<u32>) -> bool {
    return bitcast<i32>(a.y) < bitcast<i32>(b.y) || (a.y == b.y && a.x < b.x);
}
fn i64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return !i64_lt(b, a); }
fn i64_min(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, i64_lt(b, a)); }
fn i64_max(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, i64_lt(a, b)); }
fn i64_fmin(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return i64_min(a, b); }
fn i64_fmax(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return i64_max(a, b); }

// Truncated, as C's.
fn i64_divide(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    let d = divide(i64_abs(a), i64_abs(b));
    let q = select(d.xy, u64_neg(d.xy), i64_signbit(a) != i64_signbit(b));
    let r = select(d.zw, u64_neg(d.zw), i64_signbit(a));
    return select(vec4<u32>(q, r), vec4<u32>(0u, 0u, 0u, 0u), is_zero(b));
}

fn i64_fmod(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return i64_divide(a, b).zw; }

fn i64_floordiv(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let d = i64_divide(a, b);
    let inexact = !is_zero(d.zw) && i64_signbit(a) != i64_signbit(b);
    return u64_sub(d.xy, vec2<u32>(select(0u, 1u, inexact), 0u));
}

fn i64_rem(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let r = i64_divide(a, b).zw;
    return select(r, u64_add(r, b), !is_zero(r) && i64_signbit(a) != i64_signbit(b));
}

fn i64_pow(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if i64_signbit(b) {
        if is_minus_one(a) && (b.x & 1u) == 0u { return vec2<u32>(1u, 0u); }
        return i64_reciprocal(a);
    }
    return u64_pow(a, b);
}

fn i64_shl(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return u64_shl(a, b); }

fn i64_shr(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if i64_signbit(a) { return ~u64_shr(~a, b); }
    return u64_shr(a, b);
}

fn bool_from_u64(x: vec2<u32>) -> bool { return !is_zero(x); }
fn bool_from_i64(x: vec2<u32>) -> bool { return !is_zero(x); }
fn u64_from_bool(x: bool) -> vec2<u32> { return vec2<u32>(select(0u, 1u, x), 0u); }
fn i64_from_bool(x: bool) -> vec2<u32> { return vec2<u32>(select(0u, 1u, x), 0u); }
fn u64_from_u32(x: u32) -> vec2<u32> { return vec2<u32>(x, 0u); }
fn i64_from_u32(x: u32) -> vec2<u32> { return vec2<u32>(x, 0u); }
fn i64_from_i32(x: i32) -> vec2<u32> { return vec2<u32>(bitcast<u32>(x), bitcast<u32>(x >> 31u)); }
fn u64_from_i32(x: i32) -> vec2<u32> { return i64_from_i32(x); }
fn u64_from_i64(x: vec2<u32>) -> vec2<u32> { return x; }
fn i64_from_u64(x: vec2<u32>) -> vec2<u32> { return x; }
fn u32_from_u64(x: vec2<u32>) -> u32 { return x.x; }
fn u32_from_i64(x: vec2<u32>) -> u32 { return x.x; }
fn i32_from_u64(x: vec2<u32>) -> i32 { return bitcast<i32>(x.x); }
fn i32_from_i64(x: vec2<u32>) -> i32 { return bitcast<i32>(x.x); }
