// f64 as its bits in a pair of words, computed by integers: few adapters have it, and of those that do not all compute it well.

const F64_NAN = vec2<u32>(0u, 0x7ff80000u);
const F64_INF = vec2<u32>(0u, 0x7ff00000u);

// A finite number that is not 0: m 2^(e - 63), the highest bit of m set; s holds the sign in its highest bit.
struct Wide { s: u32, e: i32, m: vec2<u32> }

fn wide(x: vec2<u32>) -> Wide {
    let a = vec2<u32>(x.x, x.y & 0x7fffffffu);
    if a.y < 0x00100000u {
        let n = leading_zeros(a);
        return Wide(x.y & SIGN, -1011 - i32(n), shift_left(a, n));
    }
    return Wide(x.y & SIGN, i32(a.y >> 20u) - 1023, vec2<u32>(a.x << 11u, (a.y << 11u) | (a.x >> 21u) | SIGN));
}

// Rounded to nearest even; the lowest bit of m stands for all below.
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

fn f32_from_wide(w: Wide) -> u32 { return f32_pack(w.s, w.e, w.m.y | select(1u, 0u, w.m.x == 0u)); }

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

fn wide_mul(a: Wide, b: Wide) -> Wide {
    let p = mul_wide_pair(a.m, b.m);
    let n = 1u - (p.w >> 31u);
    let m = shift_left(p.zw, n);
    let low = select(p.y, p.y << 1u, n == 1u);
    return Wide(a.s ^ b.s, a.e + b.e + 1 - i32(n), vec2<u32>(m.x | (n * (p.y >> 31u)) | select(1u, 0u, (low | p.x) == 0u), m.y));
}

fn f64_isnan(x: vec2<u32>) -> bool { return u64_lt(F64_INF, f64_abs(x)); }
fn f64_isinf(x: vec2<u32>) -> bool { return u64_eq(F64_INF, f64_abs(x)); }
fn f64_isfinite(x: vec2<u32>) -> bool { return (x.y & 0x7ff00000u) != 0x7ff00000u; }
fn f64_signbit(x: vec2<u32>) -> bool { return (x.y & SIGN) != 0u; }
fn f64_is_zero(x: vec2<u32>) -> bool { return (x.x | (x.y & 0x7fffffffu)) == 0u; }
fn f64_neg(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y ^ SIGN); }
fn f64_abs(x: vec2<u32>) -> vec2<u32> { return vec2<u32>(x.x, x.y & 0x7fffffffu); }
fn f64_copysign(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return vec2<u32>(a.x, (a.y & 0x7fffffffu) | (b.y & SIGN)); }
fn f64_sign(x: vec2<u32>) -> vec2<u32> {
    if f64_isnan(x) { return x; }
    return select(vec2<u32>(0u, (x.y & SIGN) | 0x3ff00000u), vec2<u32>(0u, 0u), f64_is_zero(x));
}

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

fn f64_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return f64_add(a, f64_neg(b)); }

fn f64_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let sign = vec2<u32>(0u, (a.y ^ b.y) & SIGN);
    if !f64_isfinite(a) || !f64_isfinite(b) {
        if f64_isnan(a) || f64_isnan(b) || f64_is_zero(a) || f64_is_zero(b) { return F64_NAN; }
        return F64_INF | sign;
    }
    if f64_is_zero(a) || f64_is_zero(b) { return sign; }
    return f64_from_wide(wide_mul(wide(a), wide(b)));
}

fn f64_div(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let sign = vec2<u32>(0u, (a.y ^ b.y) & SIGN);
    if f64_isnan(a) || f64_isnan(b) { return F64_NAN; }
    if f64_isinf(a) { return select(F64_INF | sign, F64_NAN, f64_isinf(b)); }
    if f64_isinf(b) { return sign; }
    if f64_is_zero(b) { return select(F64_INF | sign, F64_NAN, f64_is_zero(a)); }
    if f64_is_zero(a) { return sign; }
    let x = wide(a);
    let y = wide(b);
    let d = shift_right(y.m, 11u);
    // remainder and quotient, 64 bits of it
    var s = vec4<u32>(shift_right(x.m, 11u), 0u, 0u);
    for (var k = 0u; k < 8u; k++) {
        s = next_bit(next_bit(next_bit(next_bit(next_bit(next_bit(next_bit(next_bit(s, d), d), d), d), d), d), d), d);
    }
    let n = leading_zeros(s.zw);
    let m = shift_left(s.zw, n);
    return f64_from_wide(Wide(sign.y, x.e - y.e - i32(n), vec2<u32>(m.x | select(1u, 0u, is_zero(s.xy)), m.y)));
}

// A bit of a quotient: s is what is left of the dividend, and the quotient so far.
fn next_bit(s: vec4<u32>, d: vec2<u32>) -> vec4<u32> {
    let less = u64_sub(s.xy, d);
    let fits = !u64_lt(s.xy, d);
    let rest = select(s.xy, less, fits);
    return vec4<u32>(rest.x << 1u, (rest.y << 1u) | (rest.x >> 31u), (s.z << 1u) | select(0u, 1u, fits), (s.w << 1u) | (s.z >> 31u));
}

fn f64_sqrt(x: vec2<u32>) -> vec2<u32> {
    if f64_isnan(x) || f64_is_zero(x) { return x; }
    if f64_signbit(x) { return F64_NAN; }
    if f64_isinf(x) { return x; }
    let w = wide(x);
    let odd = u32(w.e & 1);
    // two bits of the operand a step
    var n = shift_left(shift_right(w.m, 11u), 10u + odd);
    var rest = vec2<u32>(0u, 0u);
    var root = vec2<u32>(0u, 0u);
    for (var k = 0u; k < 55u; k++) {
        rest = shift_left(rest, 2u) | vec2<u32>(n.y >> 30u, 0u);
        n = shift_left(n, 2u);
        let trial = shift_left(root, 2u) | vec2<u32>(1u, 0u);
        root = shift_left(root, 1u);
        if !u64_lt(rest, trial) {
            rest = u64_sub(rest, trial);
            root.x = root.x | 1u;
        }
    }
    let m = shift_left(root, 9u);
    return f64_from_wide(Wide(0u, (w.e - i32(odd)) / 2, vec2<u32>(m.x | select(1u, 0u, is_zero(rest)), m.y)));
}

// Right by any number of bits, the lowest telling of those that fell out.
fn shift_jam_4(a: vec4<u32>, n: u32) -> vec4<u32> {
    var x = a;
    var lost = 0u;
    for (var k = min(n, 128u) / 32u; k > 0u; k--) {
        lost = lost | x.x;
        x = vec4<u32>(x.yzw, 0u);
    }
    let s = select(n & 31u, 0u, n >= 128u);
    if s != 0u {
        lost = lost | (x.x << (32u - s));
        x = (x >> vec4<u32>(s, s, s, s)) | (vec4<u32>(x.yzw, 0u) << vec4<u32>(32u - s, 32u - s, 32u - s, 32u - s));
    }
    x.x = x.x | select(1u, 0u, lost == 0u);
    return x;
}

fn lt_4(a: vec4<u32>, b: vec4<u32>) -> bool {
    return u64_lt(a.zw, b.zw) || (u64_eq(a.zw, b.zw) && u64_lt(a.xy, b.xy));
}

fn add_4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let low = u64_add(a.xy, b.xy);
    let carry = vec2<u32>(select(0u, 1u, u64_lt(low, a.xy)), 0u);
    return vec4<u32>(low, u64_add(u64_add(a.zw, b.zw), carry));
}

fn sub_4(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let borrow = vec2<u32>(select(0u, 1u, u64_lt(a.xy, b.xy)), 0u);
    return vec4<u32>(u64_sub(a.xy, b.xy), u64_sub(u64_sub(a.zw, b.zw), borrow));
}

fn f64_fma(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    if f64_isnan(a) || f64_isnan(b) || f64_isnan(c) { return F64_NAN; }
    if f64_isinf(a) || f64_isinf(b) { return f64_add(f64_mul(a, b), c); }
    if f64_isinf(c) { return c; }
    if f64_is_zero(a) || f64_is_zero(b) { return f64_add(vec2<u32>(0u, (a.y ^ b.y) & SIGN), c); }
    if f64_is_zero(c) { return f64_mul(a, b); }
    let x = wide(a);
    let y = wide(b);
    let z = wide(c);
    // both shifted right by 2 of 128 bits: the product then has its highest bit at 124 or 125
    var big = shift_jam_4(mul_wide_pair(x.m, y.m), 2u);
    var low = shift_jam_4(vec4<u32>(0u, 0u, z.m), 2u);
    var e = x.e + y.e + 1;
    var s = x.s ^ y.s;
    var other = z.s;
    var d = e - z.e;
    if d < 0 || (d == 0 && lt_4(big, low)) {
        let swapped = big;
        big = low;
        low = swapped;
        d = 0 - d;
        e = z.e;
        other = s;
        s = z.s;
    }
    low = shift_jam_4(low, u32(d));
    var sum = add_4(big, low);
    if s != other {
        // a product whose highest bit is the lower one may be the smaller after all
        if lt_4(big, low) {
            sum = sub_4(low, big);
            s = other;
        } else {
            sum = sub_4(big, low);
        }
    }
    if is_zero(sum.xy) && is_zero(sum.zw) { return vec2<u32>(0u, 0u); }
    for (var k = 0u; k < 3u; k++) {
        if sum.w == 0u {
            sum = vec4<u32>(0u, sum.xyz);
            e = e - 32;
        }
    }
    let n = countLeadingZeros(sum.w);
    let m = shift_left(sum.zw, n);
    let under = shift_left(sum.xy, n);
    let into = select(0u, sum.y >> ((32u - n) & 31u), n != 0u);
    return f64_from_wide(Wide(s, e + 2 - i32(n), vec2<u32>(m.x | into | select(1u, 0u, is_zero(under)), m.y)));
}

fn f64_square(x: vec2<u32>) -> vec2<u32> { return f64_mul(x, x); }
fn f64_reciprocal(x: vec2<u32>) -> vec2<u32> { return f64_div(vec2<u32>(params[0], 0x3ff00000u), x); }

// Bits below the point, all of them for |x| < 1.
fn f64_fraction_mask(x: vec2<u32>) -> vec2<u32> {
    let e = (x.y >> 20u) & 0x7ffu;
    if e < 1023u { return vec2<u32>(0xffffffffu, 0x7fffffffu); }
    if e > 1074u { return vec2<u32>(0u, 0u); }
    return shift_right(vec2<u32>(0xffffffffu, 0xfffffu), e - 1023u);
}

fn f64_trunc(x: vec2<u32>) -> vec2<u32> { return x & ~f64_fraction_mask(x); }

fn f64_away(x: vec2<u32>) -> vec2<u32> {
    let mask = f64_fraction_mask(x);
    if is_zero(x & mask) { return x; }
    if mask.y == 0x7fffffffu { return vec2<u32>(0u, (x.y & SIGN) | 0x3ff00000u); }
    return u64_add(x, mask) & ~mask;
}

fn f64_floor(x: vec2<u32>) -> vec2<u32> { return select(f64_trunc(x), f64_away(x), f64_signbit(x)); }
fn f64_ceil(x: vec2<u32>) -> vec2<u32> { return select(f64_away(x), f64_trunc(x), f64_signbit(x)); }

fn f64_rint(x: vec2<u32>) -> vec2<u32> {
    let mask = f64_fraction_mask(x);
    let a = f64_abs(x);
    if mask.y == 0x7fffffffu {
        return vec2<u32>(0u, (x.y & SIGN) | select(0u, 0x3ff00000u, u64_lt(vec2<u32>(0u, 0x3fe00000u), a)));
    }
    if is_zero(mask) { return x; }
    let odd = !is_zero(a & u64_add(mask, vec2<u32>(1u, 0u)));
    let half = u64_add(shift_right(mask, 1u), vec2<u32>(select(0u, 1u, odd), 0u));
    let r = u64_add(a, half) & ~mask;
    return vec2<u32>(r.x, r.y | (x.y & SIGN));
}

fn f64_ordered(a: vec2<u32>, b: vec2<u32>) -> bool { return !f64_isnan(a) && !f64_isnan(b); }
fn f64_key(x: vec2<u32>) -> vec2<u32> { return select(x, u64_neg(f64_abs(x)), f64_signbit(x)); }
fn f64_eq(a: vec2<u32>, b: vec2<u32>) -> bool { return f64_ordered(a, b) && u64_eq(f64_key(a), f64_key(b)); }
fn f64_ne(a: vec2<u32>, b: vec2<u32>) -> bool { return !f64_eq(a, b); }
fn f64_lt(a: vec2<u32>, b: vec2<u32>) -> bool { return f64_ordered(a, b) && i64_lt(f64_key(a), f64_key(b)); }
fn f64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return f64_ordered(a, b) && i64_le(f64_key(a), f64_key(b)); }

fn f64_min(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(select(a, b, f64_lt(b, a)), F64_NAN, !f64_ordered(a, b)); }
fn f64_max(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(select(a, b, f64_lt(a, b)), F64_NAN, !f64_ordered(a, b)); }
fn f64_fmin(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, f64_isnan(a) || f64_lt(b, a)); }
fn f64_fmax(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return select(a, b, f64_isnan(a) || f64_lt(a, b)); }

fn f64_fmod(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if !f64_isfinite(a) || f64_isnan(b) || f64_is_zero(b) { return F64_NAN; }
    if f64_isinf(b) || u64_lt(f64_abs(a), f64_abs(b)) { return a; }
    let x = wide(a);
    let y = wide(b);
    let d = shift_right(y.m, 11u);
    var rest = shift_right(x.m, 11u);
    for (var k = x.e - y.e; k >= 0; k--) {
        if !u64_lt(rest, d) { rest = u64_sub(rest, d); }
        if k > 0 { rest = shift_left(rest, 1u); }
    }
    if is_zero(rest) { return vec2<u32>(0u, x.s); }
    let n = leading_zeros(rest);
    return f64_from_wide(Wide(x.s, y.e + 11 - i32(n), shift_left(rest, n)));
}

fn f64_rem(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let zero = vec2<u32>(0u, 0u);
    let r = f64_fmod(a, b);
    if f64_is_zero(r) { return vec2<u32>(0u, b.y & SIGN); }
    return select(r, f64_add(r, b), f64_lt(r, zero) != f64_lt(b, zero));
}

fn f64_floordiv(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let zero = vec2<u32>(0u, 0u);
    if f64_isinf(a) { return F64_NAN; }
    let q = f64_floor(f64_div(a, b));
    var r = a;
    if !f64_isinf(b) { r = f64_fma(f64_neg(q), b, a); }
    if f64_ne(r, zero) && f64_lt(r, zero) != f64_lt(b, zero) { return f64_sub(q, vec2<u32>(params[0], 0x3ff00000u)); }
    return q;
}

fn f64_nextafter(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if !f64_ordered(a, b) { return F64_NAN; }
    if f64_eq(a, b) { return b; }
    if f64_is_zero(a) { return vec2<u32>(1u, b.y & SIGN); }
    let one = vec2<u32>(1u, 0u);
    return select(u64_sub(a, one), u64_add(a, one), f64_lt(a, b) != f64_signbit(a));
}

fn f64_from_f32(x: u32) -> vec2<u32> {
    let s = x & SIGN;
    if f32_isnan(x) { return F64_NAN; }
    if f32_isinf(x) { return vec2<u32>(0u, s | 0x7ff00000u); }
    if f32_is_zero(x) { return vec2<u32>(0u, s); }
    let p = f32_parts(x);
    return vec2<u32>(p.m << 21u, s | (u32(p.e + 1023) << 20u) | ((p.m & 0x7fffffffu) >> 11u));
}

fn f32_from_f64(x: vec2<u32>) -> u32 {
    let s = x.y & SIGN;
    if f64_isnan(x) { return F32_NAN; }
    if f64_isinf(x) { return s | F32_INF; }
    if f64_is_zero(x) { return s; }
    return f32_from_wide(wide(x));
}

fn f64_from_bool(x: bool) -> vec2<u32> { return vec2<u32>(0u, select(0u, 0x3ff00000u, x)); }
fn f64_from_u64(x: vec2<u32>) -> vec2<u32> {
    if is_zero(x) { return x; }
    let n = leading_zeros(x);
    return f64_from_wide(Wide(0u, 63 - i32(n), shift_left(x, n)));
}
fn f64_from_i64(x: vec2<u32>) -> vec2<u32> {
    let r = f64_from_u64(i64_abs(x));
    return vec2<u32>(r.x, r.y | (x.y & SIGN));
}
fn f64_from_u32(x: u32) -> vec2<u32> { return f64_from_u64(vec2<u32>(x, 0u)); }
fn f64_from_i32(x: i32) -> vec2<u32> { return f64_from_i64(i64_from_i32(x)); }

fn bool_from_f64(x: vec2<u32>) -> bool { return !f64_is_zero(x); }

// |x| as an integer, truncated and saturated.
fn f64_magnitude(x: vec2<u32>) -> vec2<u32> {
    let a = f64_abs(x);
    if a.y < 0x3ff00000u || f64_isnan(x) { return vec2<u32>(0u, 0u); }
    if a.y >= 0x43f00000u { return vec2<u32>(0xffffffffu, 0xffffffffu); }
    let w = wide(a);
    return shift_right(w.m, u32(63 - w.e));
}
fn u64_from_f64(x: vec2<u32>) -> vec2<u32> { return select(f64_magnitude(x), vec2<u32>(0u, 0u), f64_signbit(x)); }
fn i64_from_f64(x: vec2<u32>) -> vec2<u32> {
    let a = f64_magnitude(x);
    let top = vec2<u32>(0u, SIGN);
    if f64_signbit(x) { return u64_neg(u64_min(a, top)); }
    return u64_min(a, u64_sub(top, vec2<u32>(1u, 0u)));
}
fn u32_from_f64(x: vec2<u32>) -> u32 { return u64_min(u64_from_f64(x), vec2<u32>(0xffffffffu, 0u)).x; }
fn i32_from_f64(x: vec2<u32>) -> i32 {
    let r = i64_max(i64_from_f64(x), vec2<u32>(SIGN, 0xffffffffu));
    return bitcast<i32>(i64_min(r, vec2<u32>(0x7fffffffu, 0u)).x);
}
