// f64 by the adapter's own arithmetic, where it has it and a probe shows it to be right. Sealed, as f32.

fn to_f64(x: vec2<u32>) -> f64 { return bitcast<f64>(u64(x.x) | (u64(x.y) << 32u)); }
fn from_f64(x: f64) -> vec2<u32> {
    let bits = bitcast<u64>(x);
    return vec2<u32>(u32(bits) ^ params[0], u32(bits >> 32u) ^ params[0]);
}

fn native_f64_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return from_f64(to_f64(a) + to_f64(b)); }
fn native_f64_mul(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return from_f64(to_f64(a) * to_f64(b)); }
fn native_f64_div(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return from_f64(to_f64(a) / to_f64(b)); }
fn native_f64_sqrt(x: vec2<u32>) -> vec2<u32> { return from_f64(sqrt(to_f64(x))); }
fn native_f64_fma(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    return from_f64(fma(to_f64(a), to_f64(b), to_f64(c)));
}

fn native_f64_eq(a: vec2<u32>, b: vec2<u32>) -> bool { return to_f64(a) == to_f64(b); }
fn native_f64_lt(a: vec2<u32>, b: vec2<u32>) -> bool { return to_f64(a) < to_f64(b); }
fn native_f64_le(a: vec2<u32>, b: vec2<u32>) -> bool { return to_f64(a) <= to_f64(b); }

fn native_f64_from_f32(x: u32) -> vec2<u32> { return from_f64(f64(bitcast<f32>(x))); }
fn native_f32_from_f64(x: vec2<u32>) -> u32 { return bitcast<u32>(f32(to_f64(x))) ^ params[0]; }
fn native_f64_from_u32(x: u32) -> vec2<u32> { return from_f64(f64(x)); }
fn native_f64_from_i32(x: i32) -> vec2<u32> { return from_f64(f64(x)); }
fn native_f64_from_u64(x: vec2<u32>) -> vec2<u32> { return from_f64(f64(u64(x.x) | (u64(x.y) << 32u))); }
