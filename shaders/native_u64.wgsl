// 64-bit integers by the adapter's own, where it has them and a probe shows them to be right.

fn to_u64(x: vec2<u32>) -> u64 { return u64(x.x) | (u64(x.y) << 32u); }
fn from_u64(x: u64) -> vec2<u32> { return vec2<u32>(u32(x), u32(x >> 32u)); }

fn native_mul_wide(a: u32, b: u32) -> vec2<u32> { return from_u64(u64(a) * u64(b)); }
fn native_u64_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return from_u64(to_u64(a) * to_u64(b)); }

fn native_divide(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    if is_zero(b) { return vec4<u32>(0u, 0u, a); }
    let q = to_u64(a) / to_u64(b);
    return vec4<u32>(from_u64(q), from_u64(to_u64(a) - q * to_u64(b)));
}
