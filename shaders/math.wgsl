// Elementary functions of f32, in f64, rounded once: the methods and coefficients of kernels/src/math/f32/wide.rs.
// D(x) stands for the bits of the f64 number x.

fn poly(x: vec2<u32>, c: array<vec2<u32>, 7>, n: u32) -> vec2<u32> {
    var t = c;
    var r = t[n - 1u];
    for (var k = n - 1u; k > 0u; k--) { r = f64_add(f64_mul(r, x), t[k - 1u]); }
    return r;
}

// a * b + c, rounded twice.
fn mad(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> { return f64_add(f64_mul(a, b), c); }

fn clamp_to(x: vec2<u32>, limit: vec2<u32>) -> vec2<u32> {
    if f64_lt(limit, x) { return limit; }
    return select(x, f64_neg(limit), f64_lt(x, f64_neg(limit)));
}

// 2^k for k in -1022..=1023.
fn exp2i(k: i32) -> vec2<u32> { return vec2<u32>(0u, u32(k + 1023) << 20u); }

// e^r - 1 for |r| <= ln 2 / 2.
fn expm1_near(r: vec2<u32>) -> vec2<u32> {
    let q = poly(r, array<vec2<u32>, 7>(D(0.500000004464655), D(0.1666666635833591), D(0.04166635843215556),
        D(0.008333390923043204), D(0.001394084061914651), D(0.00019845572801254909), D(0.0)), 6u);
    return mad(f64_mul(r, r), q, r);
}

// k and e^x / 2^k - 1 for |x| <= 500.
struct Exp { k: i32, e: vec2<u32> }
fn exp_parts(x: vec2<u32>) -> Exp {
    let k = f64_rint(f64_mul(x, D(1.4426950408889634)));
    return Exp(i32_from_f64(k), expm1_near(mad(f64_neg(k), D(0.6931471805599453), x)));
}

// 2^x for |x| <= 500.
fn exp2_near(x: vec2<u32>) -> vec2<u32> {
    let k = f64_rint(x);
    let p = exp2i(i32_from_f64(k));
    return mad(p, expm1_near(f64_mul(f64_sub(x, k), D(0.6931471805599453))), p);
}

// log(1 + f) for 1 + f from sqrt(1/2) to sqrt 2.
fn log1p_near(f: vec2<u32>) -> vec2<u32> {
    let s = f64_div(f, f64_add(D(2.0), f));
    let z = f64_mul(s, s);
    let q = poly(z, array<vec2<u32>, 7>(D(0.666666656415111), D(0.40000336202544956), D(0.28537238817712046),
        D(0.23583564270243443), D(0.0), D(0.0), D(0.0)), 4u);
    return mad(f64_mul(s, z), q, f64_add(s, s));
}

// A positive normal x as 2^k m, m from sqrt(1/2) to sqrt 2.
struct Split { k: vec2<u32>, m: vec2<u32> }
fn split(x: vec2<u32>) -> Split {
    let bits = u64_add(x, u64_sub(D(1.0), D(0.7071067811865476)));
    let k = i32(bits.y >> 20u) - 1023;
    return Split(f64_from_i32(k), u64_add(bits & vec2<u32>(0xffffffffu, 0xfffffu), D(0.7071067811865476)));
}

// log(1 + x) for finite x > -1.
fn log1p_of(x: vec2<u32>) -> vec2<u32> {
    let p = split(f64_add(D(1.0), x));
    let f = select(f64_sub(p.m, D(1.0)), x, f64_is_zero(p.k));
    return mad(p.k, D(0.6931471805599453), log1p_near(f));
}

// y, or what a logarithm of an x that is not positive and finite gives.
fn log_special(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    if f64_isnan(x) || f64_lt(x, D(0.0)) { return F64_NAN; }
    if f64_is_zero(x) { return D(-inf); }
    return select(y, x, f64_isinf(x));
}

fn f32_exp(x: u32) -> u32 {
    let p = exp_parts(clamp_to(f64_from_f32(x), D(120.0)));
    let q = exp2i(p.k);
    return select(f32_from_f64(mad(q, p.e, q)), F32_NAN, f32_isnan(x));
}

fn f32_exp2(x: u32) -> u32 {
    return select(f32_from_f64(exp2_near(clamp_to(f64_from_f32(x), D(200.0)))), F32_NAN, f32_isnan(x));
}

fn expm1_of(x: vec2<u32>) -> vec2<u32> {
    let p = exp_parts(clamp_to(x, D(120.0)));
    let q = exp2i(p.k);
    return mad(q, p.e, f64_sub(q, D(1.0)));
}

fn f32_expm1(x: u32) -> u32 {
    if f32_isnan(x) || f32_is_zero(x) { return x; }
    return f32_from_f64(expm1_of(f64_from_f32(x)));
}

// k a + log(m) b for x = 2^k m
fn log_base(x: u32, a: vec2<u32>, b: vec2<u32>) -> u32 {
    let w = f64_from_f32(x);
    let p = split(w);
    return f32_from_f64(log_special(w, mad(log1p_near(f64_sub(p.m, D(1.0))), b, f64_mul(p.k, a))));
}

fn f32_log(x: u32) -> u32 { return log_base(x, D(0.6931471805599453), D(1.0)); }
fn f32_log2(x: u32) -> u32 { return log_base(x, D(1.0), D(1.4426950408889634)); }
fn f32_log10(x: u32) -> u32 { return log_base(x, D(0.3010299956639812), D(0.4342944819032518)); }

fn f32_log1p(x: u32) -> u32 {
    if f32_is_zero(x) { return x; }
    let w = f64_from_f32(x);
    return f32_from_f64(log_special(f64_add(D(1.0), w), log1p_of(w)));
}

const TWO_OVER_PI = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);

// 32 bits of 2/pi, 32 zeros before it, from a bit on.
fn digits(at: u32) -> u32 {
    var table = TWO_OVER_PI;
    let s = at & 31u;
    let high = table[at >> 5u];
    return select((high << s) | (table[min((at >> 5u) + 1u, 7u)] >> ((32u - s) & 31u)), high, s == 0u);
}

// x = (q + r') pi/2 for finite x, r = r' pi/2: by those digits of 2/pi that matter (Payne and Hanek 1983), in integers.
struct Angle { q: u32, r: vec2<u32> }
fn reduce_angle(x: u32) -> Angle {
    let a = x & 0x7fffffffu;
    if a < 0x3f000000u { return Angle(0u, f64_from_f32(x)); }
    let p = f32_parts(x);
    let at = u32(p.e + 7);
    let m = p.m >> 8u;
    let low = mul_wide(m, digits(at + 64u));
    let middle = u64_add(mul_wide(m, digits(at + 32u)), vec2<u32>(low.y, 0u));
    let top = m * digits(at) + middle.y;
    // quadrant and signed fraction, in units of 2^-64
    var q = (top >> 30u) + ((top >> 29u) & 1u);
    let fraction = vec2<u32>((middle.x << 2u) | (low.x >> 30u), (top << 2u) | (middle.x >> 30u));
    var r = f64_mul(f64_from_i64(fraction), D(8.515303950216386e-20));
    if f32_signbit(x) {
        q = 0u - q;
        r = f64_neg(r);
    }
    return Angle(q, r);
}

fn sin_near(r: vec2<u32>) -> vec2<u32> {
    let z = f64_mul(r, r);
    let s = poly(z, array<vec2<u32>, 7>(D(-0.16666666640613023), D(0.008333329266665574), D(-0.00019839296117029622),
        D(2.717939768061593e-06), D(0.0), D(0.0), D(0.0)), 4u);
    return mad(f64_mul(r, z), s, r);
}

fn cos_near(r: vec2<u32>) -> vec2<u32> {
    let z = f64_mul(r, r);
    let c = poly(z, array<vec2<u32>, 7>(D(0.041666666621162946), D(-0.001388888360579679), D(2.4799480213243395e-05),
        D(-2.7206893974193425e-07), D(0.0), D(0.0), D(0.0)), 4u);
    return mad(f64_mul(z, z), c, mad(z, D(-0.5), D(1.0)));
}

// The sine of q pi/2 + r
fn sin_at(q: u32, r: vec2<u32>) -> u32 {
    var y = sin_near(r);
    if (q & 1u) != 0u { y = cos_near(r); }
    return f32_from_f64(y) ^ ((q & 2u) << 30u);
}

fn f32_sin(x: u32) -> u32 {
    if !f32_isfinite(x) { return F32_NAN; }
    if f32_is_zero(x) { return x; }
    let a = reduce_angle(x);
    return sin_at(a.q, a.r);
}

fn f32_cos(x: u32) -> u32 {
    if !f32_isfinite(x) { return F32_NAN; }
    let a = reduce_angle(x);
    return sin_at(a.q + 1u, a.r);
}

fn f32_tan(x: u32) -> u32 {
    if !f32_isfinite(x) { return F32_NAN; }
    if f32_is_zero(x) { return x; }
    let a = reduce_angle(x);
    let s = sin_near(a.r);
    let c = cos_near(a.r);
    let odd = (a.q & 1u) != 0u;
    return f32_from_f64(f64_div(select(s, f64_neg(c), odd), select(c, s, odd)));
}

// The angle of the point (x, y), both at least 0 and finite, not both 0.
fn angle(y: vec2<u32>, x: vec2<u32>) -> vec2<u32> {
    let swap = f64_lt(x, y);
    let n = select(y, x, swap);
    let d = select(x, y, swap);
    let outer = f64_lt(f64_mul(D(0.41421356237309503), d), n);
    let t = f64_div(select(n, f64_sub(n, d), outer), select(d, f64_add(n, d), outer));
    let z = f64_mul(t, t);
    let q = poly(z, array<vec2<u32>, 7>(D(-0.33333332510268965), D(0.199999047449656), D(-0.14282028294268373),
        D(0.11044911463110815), D(-0.08477333674056324), D(0.04745954021997107), D(0.0)), 6u);
    let a = mad(f64_mul(t, z), q, t);
    let quarter = select(D(0.0), D(0.7853981633974483), outer);
    let base = select(quarter, f64_sub(D(1.5707963267948966), quarter), swap);
    return f64_add(base, select(a, f64_neg(a), swap));
}

fn f32_atan(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let a = clamp_to(f64_from_f32(x & 0x7fffffffu), D(1e200));
    return f32_copysign(f32_from_f64(angle(a, D(1.0))), x);
}

fn f32_atan2(y: u32, x: u32) -> u32 {
    if !f32_ordered(x, y) { return F32_NAN; }
    let ay = clamp_to(f64_from_f32(y & 0x7fffffffu), D(1e200));
    let ax = clamp_to(f64_from_f32(x & 0x7fffffffu), D(1e200));
    let origin = f64_is_zero(ay) && f64_is_zero(ax);
    let a = angle(ay, select(ax, D(1.0), origin));
    return f32_copysign(f32_from_f64(select(a, f64_sub(D(3.141592653589793), a), f32_signbit(x))), y);
}

// For |x| up to 1/2 its arc sine, beyond that a with arc sine pi/2 - 2 a.
fn asin_half(a: vec2<u32>, outer: bool) -> vec2<u32> {
    let half = f64_mul(D(0.5), f64_sub(D(1.0), a));
    let z = select(f64_mul(a, a), half, outer);
    var s = a;
    if outer { s = f64_sqrt(half); }
    let q = poly(z, array<vec2<u32>, 7>(D(0.16666667191655624), D(0.07499948008671968), D(0.044660204154403305),
        D(0.030109733498606475), D(0.024621729680293414), D(0.007458389607627543), D(0.034706327292284525)), 7u);
    return mad(f64_mul(s, z), q, s);
}

fn f32_asin(x: u32) -> u32 {
    let outer = f32_lt(0x3f000000u, x & 0x7fffffffu);
    let a = asin_half(f64_from_f32(x & 0x7fffffffu), outer);
    return f32_copysign(f32_from_f64(select(a, mad(a, D(-2.0), D(1.5707963267948966)), outer)), x);
}

fn f32_acos(x: u32) -> u32 {
    let outer = f32_lt(0x3f000000u, x & 0x7fffffffu);
    let half = asin_half(f64_from_f32(x & 0x7fffffffu), outer);
    let a = select(half, f64_add(half, half), outer);
    let negative = f32_lt(x, 0u);
    let base = select(D(1.5707963267948966), select(D(0.0), D(3.141592653589793), negative), outer);
    return f32_from_f64(f64_add(base, select(a, f64_neg(a), negative == outer)));
}

fn f32_sinh(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let e = expm1_of(f64_from_f32(x & 0x7fffffffu));
    let y = f64_mul(D(0.5), f64_add(e, f64_div(e, f64_add(e, D(1.0)))));
    return f32_copysign(f32_from_f64(y), x);
}

fn f32_cosh(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let p = exp_parts(clamp_to(f64_from_f32(x & 0x7fffffffu), D(120.0)));
    let q = exp2i(p.k);
    let e = mad(q, p.e, q);
    return f32_from_f64(f64_mul(D(0.5), f64_add(e, f64_div(D(1.0), e))));
}

// (e^2x - 1) / (e^2x + 1)
fn f32_tanh(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let a = clamp_to(f64_from_f32(x & 0x7fffffffu), D(20.0));
    let e = expm1_of(f64_add(a, a));
    return f32_copysign(f32_from_f64(f64_div(e, f64_add(e, D(2.0)))), x);
}

fn f32_asinh(x: u32) -> u32 {
    if !f32_isfinite(x) { return x; }
    let a = f64_from_f32(x & 0x7fffffffu);
    let p = f64_mul(a, a);
    let y = f64_add(a, f64_div(p, f64_add(D(1.0), f64_sqrt(f64_add(D(1.0), p)))));
    return f32_copysign(f32_from_f64(log1p_of(y)), x);
}

fn f32_acosh(x: u32) -> u32 {
    if f32_isnan(x) || f32_lt(x, 0x3f800000u) { return F32_NAN; }
    if f32_isinf(x) { return x; }
    let t = f64_sub(f64_from_f32(x), D(1.0));
    return f32_from_f64(log1p_of(f64_add(t, f64_sqrt(f64_mul(t, f64_add(t, D(2.0)))))));
}

fn f32_atanh(x: u32) -> u32 {
    let size = x & 0x7fffffffu;
    if size > 0x3f800000u { return F32_NAN; }
    if size == 0x3f800000u { return (x & SIGN) | F32_INF; }
    let a = f64_from_f32(size);
    let y = log1p_of(f64_div(f64_add(a, a), f64_sub(D(1.0), a)));
    return f32_copysign(f32_from_f64(f64_mul(D(0.5), y)), x);
}

fn f32_cbrt(x: u32) -> u32 {
    if !f32_isfinite(x) || f32_is_zero(x) { return x; }
    let w = f64_from_f32(x & 0x7fffffffu);
    let k = i32(w.y >> 20u) - 1023;
    let m = vec2<u32>(w.x, (w.y & 0xfffffu) | 0x3ff00000u);
    // to the nearest multiple of 3
    let third = (k + 601) / 3 - 200;
    let rest = k - 3 * third;
    var factor = D(1.0);
    if rest > 0 { factor = D(0.7937005259840998); }
    if rest < 0 { factor = D(1.2599210498948732); }
    let near = poly(m, array<vec2<u32>, 7>(D(1.6701592343436633), D(-1.1732545877877847), D(0.6958156137887851),
        D(-0.22136461076001931), D(0.02860835624175286), D(0.0), D(0.0)), 5u);
    let v = f64_mul(near, factor);
    let s = f64_mul(m, exp2i(rest));
    let h = f64_sub(D(1.0), f64_mul(f64_mul(f64_mul(s, v), v), v));
    let u = mad(f64_mul(v, h), mad(h, D(0.2222222222222222), D(0.3333333333333333)), v);
    return f32_copysign(f32_from_f64(f64_mul(f64_mul(f64_mul(s, u), u), exp2i(third))), x);
}

fn f32_hypot(a: u32, b: u32) -> u32 {
    if f32_isinf(a) || f32_isinf(b) { return F32_INF; }
    let x = f64_from_f32(a);
    let y = f64_from_f32(b);
    return f32_from_f64(f64_sqrt(mad(x, x, f64_mul(y, y))));
}

fn f32_pow(x: u32, y: u32) -> u32 {
    if x == 0x3f800000u || f32_is_zero(y) { return 0x3f800000u; }
    if !f32_ordered(x, y) { return F32_NAN; }
    if y == 0x40000000u { return f32_mul(x, x); }
    let ax = x & 0x7fffffffu;
    let whole = f32_eq(f32_trunc(y), y);
    let half = f32_mul(y, 0x3f000000u);
    let odd = whole && f32_isfinite(y) && f32_ne(f32_trunc(half), half);
    let sign = select(0u, x & SIGN, odd);
    if f32_is_zero(ax) || f32_isinf(ax) {
        return sign | select(F32_INF, 0u, f32_is_zero(ax) == f32_lt(0u, y));
    }
    if f32_signbit(x) && !whole { return F32_NAN; }
    let p = split(f64_from_f32(ax));
    let log2 = mad(log1p_near(f64_sub(p.m, D(1.0))), D(1.4426950408889634), p.k);
    let power = f64_mul(log2, clamp_to(f64_from_f32(y), D(1.1e12)));
    return sign | f32_from_f64(exp2_near(clamp_to(power, D(200.0))));
}


// The larger of two numbers and what log(1 + .) adds to it.
fn logadd(a: u32, b: u32, l: vec2<u32>) -> u32 {
    let x = select(a, b, f32_lt(a, b));
    if f32_isinf(x) { return x; }
    return f32_from_f64(f64_add(f64_from_f32(x), l));
}

fn f32_logaddexp(a: u32, b: u32) -> u32 {
    if !f32_ordered(a, b) { return F32_NAN; }
    let d = f64_neg(f64_abs(f64_sub(f64_from_f32(a), f64_from_f32(b))));
    let p = exp_parts(clamp_to(select(d, D(0.0), f64_isnan(d)), D(200.0)));
    let q = exp2i(p.k);
    return logadd(a, b, log1p_of(mad(q, p.e, q)));
}

fn f32_logaddexp2(a: u32, b: u32) -> u32 {
    if !f32_ordered(a, b) { return F32_NAN; }
    let d = f64_neg(f64_abs(f64_sub(f64_from_f32(a), f64_from_f32(b))));
    let e = exp2_near(clamp_to(select(d, D(0.0), f64_isnan(d)), D(300.0)));
    return logadd(a, b, f64_mul(log1p_of(e), D(1.4426950408889634)));
}
