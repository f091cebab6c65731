// f32 by the adapter's own arithmetic, where a probe shows it to be right. Results are sealed: exclusive or with a word that is 0, which no
// compiler knows, so that nothing is contracted or reassociated across them.

fn native_f32_add(a: u32, b: u32) -> u32 { return bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b)) ^ params[0]; }
fn native_f32_mul(a: u32, b: u32) -> u32 { return bitcast<u32>(bitcast<f32>(a) * bitcast<f32>(b)) ^ params[0]; }
fn native_f32_div(a: u32, b: u32) -> u32 { return bitcast<u32>(bitcast<f32>(a) / bitcast<f32>(b)) ^ params[0]; }
fn native_f32_sqrt(x: u32) -> u32 { return bitcast<u32>(sqrt(bitcast<f32>(x))) ^ params[0]; }
fn native_f32_fma(a: u32, b: u32, c: u32) -> u32 {
    return bitcast<u32>(fma(bitcast<f32>(a), bitcast<f32>(b), bitcast<f32>(c))) ^ params[0];
}

fn native_f32_eq(a: u32, b: u32) -> bool { return bitcast<f32>(a) == bitcast<f32>(b); }
fn native_f32_lt(a: u32, b: u32) -> bool { return bitcast<f32>(a) < bitcast<f32>(b); }
fn native_f32_le(a: u32, b: u32) -> bool { return bitcast<f32>(a) <= bitcast<f32>(b); }

fn native_f32_floor(x: u32) -> u32 { return bitcast<u32>(floor(bitcast<f32>(x))); }
fn native_f32_ceil(x: u32) -> u32 { return bitcast<u32>(ceil(bitcast<f32>(x))); }
fn native_f32_trunc(x: u32) -> u32 { return bitcast<u32>(trunc(bitcast<f32>(x))); }
fn native_f32_rint(x: u32) -> u32 { return bitcast<u32>(round(bitcast<f32>(x))); }

fn native_f32_from_u32(x: u32) -> u32 { return bitcast<u32>(f32(x)) ^ params[0]; }
fn native_f32_from_i32(x: i32) -> u32 { return bitcast<u32>(f32(x)) ^ params[0]; }
