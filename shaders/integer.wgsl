// Integers and bool: operations of 32-bit registers. Narrower dtypes use them and wrap the result.

fn i32_neg(x: i32) -> i32 { return 0 - x; }
fn i32_abs(x: i32) -> i32 { return select(x, 0 - x, x < 0); }
fn i32_sign(x: i32) -> i32 { return select(min(x, 1), -1, x < 0); }
fn i32_not(x: i32) -> i32 { return ~x; }
fn i32_square(x: i32) -> i32 { return x * x; }
fn i32_reciprocal(x: i32) -> i32 { return select(0, x, x == 1 || x == -1); }
fn i32_floor(x: i32) -> i32 { return x; }
fn i32_ceil(x: i32) -> i32 { return x; }
fn i32_trunc(x: i32) -> i32 { return x; }
fn i32_rint(x: i32) -> i32 { return x; }
fn i32_isnan(x: i32) -> bool { return false; }
fn i32_isinf(x: i32) -> bool { return false; }
fn i32_isfinite(x: i32) -> bool { return true; }
fn i32_signbit(x: i32) -> bool { return x < 0; }

fn i32_add(a: i32, b: i32) -> i32 { return a + b; }
fn i32_sub(a: i32, b: i32) -> i32 { return a - b; }
fn i32_mul(a: i32, b: i32) -> i32 { return a * b; }
fn i32_min(a: i32, b: i32) -> i32 { return min(a, b); }
fn i32_max(a: i32, b: i32) -> i32 { return max(a, b); }
fn i32_fmin(a: i32, b: i32) -> i32 { return min(a, b); }
fn i32_fmax(a: i32, b: i32) -> i32 { return max(a, b); }
fn i32_and(a: i32, b: i32) -> i32 { return a & b; }
fn i32_or(a: i32, b: i32) -> i32 { return a | b; }
fn i32_xor(a: i32, b: i32) -> i32 { return a ^ b; }
fn i32_eq(a: i32, b: i32) -> bool { return a == b; }
fn i32_ne(a: i32, b: i32) -> bool { return a != b; }
fn i32_lt(a: i32, b: i32) -> bool { return a < b; }
fn i32_le(a: i32, b: i32) -> bool { return a <= b; }
fn i32_fma(a: i32, b: i32, c: i32) -> i32 { return a * b + c; }

fn i32_magnitude(x: i32) -> u32 { return bitcast<u32>(select(x, 0 - x, x < 0)); }

// Truncated, as C's; 0 where b is 0.
fn i32_quotient(a: i32, b: i32) -> i32 {
    let q = bitcast<i32>(u32_floordiv(i32_magnitude(a), i32_magnitude(b)));
    return select(q, 0 - q, (a < 0) != (b < 0));
}

fn i32_fmod(a: i32, b: i32) -> i32 {
    return select(a - i32_quotient(a, b) * b, 0, b == 0);
}

fn i32_floordiv(a: i32, b: i32) -> i32 {
    let r = i32_fmod(a, b);
    return i32_quotient(a, b) - select(0, 1, r != 0 && (a < 0) != (b < 0));
}

fn i32_rem(a: i32, b: i32) -> i32 {
    let r = i32_fmod(a, b);
    return r + select(0, b, r != 0 && (a < 0) != (b < 0));
}

fn i32_pow(a: i32, b: i32) -> i32 {
    if b < 0 {
        if a == 1 { return 1; }
        if a == -1 { return select(1, -1, (b & 1) != 0); }
        return 0;
    }
    return bitcast<i32>(u32_pow(bitcast<u32>(a), bitcast<u32>(b)));
}

fn i32_shl(a: i32, b: i32) -> i32 {
    return select(0, a << bitcast<u32>(b & 31), b >= 0 && b < 32);
}

fn i32_shr(a: i32, b: i32) -> i32 {
    return select(select(0, -1, a < 0), a >> bitcast<u32>(b & 31), b >= 0 && b < 32);
}

fn u32_neg(x: u32) -> u32 { return 0u - x; }
fn u32_abs(x: u32) -> u32 { return x; }
fn u32_sign(x: u32) -> u32 { return min(x, 1u); }
fn u32_not(x: u32) -> u32 { return ~x; }
fn u32_square(x: u32) -> u32 { return x * x; }
fn u32_reciprocal(x: u32) -> u32 { return select(0u, 1u, x == 1u); }
fn u32_floor(x: u32) -> u32 { return x; }
fn u32_ceil(x: u32) -> u32 { return x; }
fn u32_trunc(x: u32) -> u32 { return x; }
fn u32_rint(x: u32) -> u32 { return x; }
fn u32_isnan(x: u32) -> bool { return false; }
fn u32_isinf(x: u32) -> bool { return false; }
fn u32_isfinite(x: u32) -> bool { return true; }
fn u32_signbit(x: u32) -> bool { return false; }

fn u32_add(a: u32, b: u32) -> u32 { return a + b; }
fn u32_sub(a: u32, b: u32) -> u32 { return a - b; }
fn u32_mul(a: u32, b: u32) -> u32 { return a * b; }
fn u32_min(a: u32, b: u32) -> u32 { return min(a, b); }
fn u32_max(a: u32, b: u32) -> u32 { return max(a, b); }
fn u32_fmin(a: u32, b: u32) -> u32 { return min(a, b); }
fn u32_fmax(a: u32, b: u32) -> u32 { return max(a, b); }
fn u32_and(a: u32, b: u32) -> u32 { return a & b; }
fn u32_or(a: u32, b: u32) -> u32 { return a | b; }
fn u32_xor(a: u32, b: u32) -> u32 { return a ^ b; }
fn u32_eq(a: u32, b: u32) -> bool { return a == b; }
fn u32_ne(a: u32, b: u32) -> bool { return a != b; }
fn u32_lt(a: u32, b: u32) -> bool { return a < b; }
fn u32_le(a: u32, b: u32) -> bool { return a <= b; }
fn u32_fma(a: u32, b: u32, c: u32) -> u32 { return a * b + c; }

fn u32_floordiv(a: u32, b: u32) -> u32 { return select(a / max(b, 1u), 0u, b == 0u); }
fn u32_fmod(a: u32, b: u32) -> u32 { return select(a % max(b, 1u), 0u, b == 0u); }
fn u32_rem(a: u32, b: u32) -> u32 { return u32_fmod(a, b); }

fn u32_pow(a: u32, b: u32) -> u32 {
    var base = a;
    var left = b;
    var power = 1u;
    while left != 0u {
        if (left & 1u) != 0u { power = power * base; }
        base = base * base;
        left = left >> 1u;
    }
    return power;
}

fn u32_shl(a: u32, b: u32) -> u32 { return select(0u, a << (b & 31u), b < 32u); }
fn u32_shr(a: u32, b: u32) -> u32 { return select(0u, a >> (b & 31u), b < 32u); }

fn bool_not(x: bool) -> bool { return !x; }
fn bool_isnan(x: bool) -> bool { return false; }
fn bool_isinf(x: bool) -> bool { return false; }
fn bool_isfinite(x: bool) -> bool { return true; }
fn bool_signbit(x: bool) -> bool { return false; }
fn bool_add(a: bool, b: bool) -> bool { return a || b; }
fn bool_mul(a: bool, b: bool) -> bool { return a && b; }
fn bool_min(a: bool, b: bool) -> bool { return a && b; }
fn bool_max(a: bool, b: bool) -> bool { return a || b; }
fn bool_fmin(a: bool, b: bool) -> bool { return a && b; }
fn bool_fmax(a: bool, b: bool) -> bool { return a || b; }
fn bool_and(a: bool, b: bool) -> bool { return a && b; }
fn bool_or(a: bool, b: bool) -> bool { return a || b; }
fn bool_xor(a: bool, b: bool) -> bool { return a != b; }
fn bool_eq(a: bool, b: bool) -> bool { return a == b; }
fn bool_ne(a: bool, b: bool) -> bool { return a != b; }
fn bool_lt(a: bool, b: bool) -> bool { return !a && b; }
fn bool_le(a: bool, b: bool) -> bool { return !a || b; }

// The low bits as a narrower dtype.
fn i8_wrap(x: i32) -> i32 { return (x << 24u) >> 24u; }
fn i16_wrap(x: i32) -> i32 { return (x << 16u) >> 16u; }
fn u8_wrap(x: u32) -> u32 { return x & 0xffu; }
fn u16_wrap(x: u32) -> u32 { return x & 0xffffu; }
// The nearest value of a narrower dtype.
fn i8_clamp(x: i32) -> i32 { return clamp(x, -128, 127); }
fn i16_clamp(x: i32) -> i32 { return clamp(x, -32768, 32767); }
fn u8_clamp(x: u32) -> u32 { return min(x, 0xffu); }
fn u16_clamp(x: u32) -> u32 { return min(x, 0xffffu); }

fn bool_from_i32(x: i32) -> bool { return x != 0; }
fn bool_from_u32(x: u32) -> bool { return x != 0u; }
fn i32_from_bool(x: bool) -> i32 { return select(0, 1, x); }
fn u32_from_bool(x: bool) -> u32 { return select(0u, 1u, x); }
fn i32_from_u32(x: u32) -> i32 { return bitcast<i32>(x); }
fn u32_from_i32(x: i32) -> u32 { return bitcast<u32>(x); }
