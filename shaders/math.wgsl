// Elementary functions of f32, in the numbers of real.wgsl, rounded once: the methods and coefficients of
// kernels/src/math/f32/wide.rs.

fn poly(x: vec2<u32>, c: array<vec2<u32>, 7>, n: u32) -> vec2<u32> {
    var t = c;
    var r = t[n - 1u];
    for (var k = n - 1u; k > 0u; k--) { r = real_add(real_mul(r, x), t[k - 1u]); }
    return r;
}

fn clamp_to(x: vec2<u32>, limit: vec2<u32>) -> vec2<u32> {
    if real_lt(limit, x) { return limit; }
    return select(x, real_neg(limit), real_lt(x, real_neg(limit)));
}

// 2^k
fn exp2i(k: i32) -> vec2<u32> { return real_scale(R(1.0), k); }

// e^r - 1 for |r| <= ln 2 / 2.
fn expm1_near(r: vec2<u32>) -> vec2<u32> {
    let q = poly(r, array<vec2<u32>, 7>(R(0.500000004464655), R(0.1666666635833591), R(0.04166635843215556),
        R(0.008333390923043204), R(0.001394084061914651), R(0.00019845572801254909), R(0.0)), 6u);
    return mad(real_mul(r, r), q, r);
}

// k and e^x / 2^k - 1 for |x| <= 500.
struct Exp { k: i32, e: vec2<u32> }
fn exp_parts(x: vec2<u32>) -> Exp {
    let k = real_round(real_mul(x, R(1.4426950408889634)));
    let n = real_from_i32(0 - k);
    // ln 2 in 22 bits and the rest, so that the first product is exact
    let r = mad(n, R(-1.904654299957768e-9), mad(n, R(0.6931471824645996), x));
    return Exp(k, expm1_near(r));
}

// 2^x for |x| <= 500.
fn exp2_near(x: vec2<u32>) -> vec2<u32> {
    let k = real_round(x);
    let p = exp2i(k);
    return mad(p, expm1_near(real_mul(real_sub(x, real_from_i32(k)), R(0.6931471805599453))), p);
}

// log(1 + f) for 1 + f from sqrt(1/2) to sqrt 2.
fn log1p_near(f: vec2<u32>) -> vec2<u32> {
    let s = real_div(f, real_add(R(2.0), f));
    let z = real_mul(s, s);
    let q = poly(z, array<vec2<u32>, 7>(R(0.666666656415111), R(0.40000336202544956), R(0.28537238817712046),
        R(0.23583564270243443), R(0.0), R(0.0), R(0.0)), 4u);
    return mad(real_mul(s, z), q, real_add(s, s));
}

// A positive x as 2^k m, m from sqrt(1/2) to sqrt 2.
struct Split { k: vec2<u32>, m: vec2<u32> }
fn split(x: vec2<u32>) -> Split {
    let up = select(0u, 1u, x.x > 0xb504f333u);
    return Split(real_from_i32(real_exponent(x) + i32(up)), vec2<u32>(x.x, BIAS - up));
}

// log(1 + x) for finite x > -1.
fn log1p_of(x: vec2<u32>) -> vec2<u32> {
    let p = split(real_add(R(1.0), x));
    let f = select(real_sub(p.m, R(1.0)), x, real_is_zero(p.k));
    return mad(p.k, R(0.6931471805599453), log1p_near(f));
}

fn f32_exp(x: u32) -> u32 {
    if f32_isnan(x) { return x; }
    let p = exp_parts(clamp_to(real_from_f32(x), R(120.0)));
    let q = exp2i(p.k);
    return f32_from_real(mad(q, p.e, q));
}

fn f32_exp2(x: u32) -> u32 {
    if f32_isnan(x) { return x; }
    return f32_from_real(exp2_near(clamp_to(real_from_f32(x), R(200.0))));
}

fn expm1_of(x: vec2<u32>) -> vec2<u32> {
    let p = exp_parts(clamp_to(x, R(120.0)));
    let q = exp2i(p.k);
    return mad(q, p.e, real_sub(q, R(1.0)));
}

fn f32_expm1(x: u32) -> u32 {
    if f32_isnan(x) || f32_is_zero(x) { return x; }
    return f32_from_real(expm1_of(real_from_f32(x)));
}

// k a + log(m) b for x = 2^k m
fn log_base(x: u32, a: vec2<u32>, b: vec2<u32>) -> u32 {
    if f32_is_zero(x) { return F32_INF | SIGN; }
    if f32_isnan(x) || f32_signbit(x) { return F32_NAN; }
    if f32_isinf(x) { return x; }
    let p = split(real_from_f32(x));
    return f32_from_real(mad(log1p_near(real_sub(p.m, R(1.0))), b, real_mul(p.k, a)));
}

fn f32_log(x: u32) -> u32 { return log_base(x, R(0.6931471805599453), R(1.0)); }
fn f32_log2(x: u32) -> u32 { return log_base(x, R(1.0), R(1.4426950408889634)); }
fn f32_log10(x: u32) -> u32 { return log_base(x, R(0.3010299956639812), R(0.4342944819032518)); }

fn f32_log1p(x: u32) -> u32 {
    if f32_is_zero(x) || f32_isnan(x) || x == F32_INF { return x; }
    if x == 0xbf800000u { return F32_INF | SIGN; }
    if f32_lt(x, 0xbf800000u) { return F32_NAN; }
    return f32_from_real(log1p_of(real_from_f32(x)));
}

const TWO_OVER_PI = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);

// 32 bits of 2/pi, 32 zeros before it, from a bit on.
fn digits(at: u32) -> u32 {
    var table = TWO_OVER_PI;
    let s = at & 31u;
    let high = table[at >> 5u];
    return select((high << s) | (table[min((at >> 5u) + 1u, 7u)] >> ((32u - s) & 31u)), high, s == 0u);
}

// x = q pi/2 + r for finite x: by those digits of 2/pi that matter (Payne and Hanek 1983), in integers.
struct Angle { q: u32, r: vec2<u32> }
fn reduce_angle(x: u32) -> Angle {
    let a = x & 0x7fffffffu;
    if a < 0x3f000000u { return Angle(0u, real_from_f32(x)); }
    let p = f32_parts(x);
    let at = u32(p.e + 7);
    let m = p.m >> 8u;
    let low = mul_wide(m, digits(at + 64u));
    let middle = u64_add(mul_wide(m, digits(at + 32u)), vec2<u32>(low.y, 0u));
    let top = m * digits(at) + middle.y;
    // quadrant and signed fraction, in units of 2^-64
    var q = (top >> 30u) + ((top >> 29u) & 1u);
    let fraction = vec2<u32>((middle.x << 2u) | (low.x >> 30u), (top << 2u) | (middle.x >> 30u));
    let size = i64_abs(fraction);
    let n = leading_zeros(size);
    var r = real_mul(vec2<u32>(shift_left(size, min(n, 63u)).y, (fraction.y & SIGN) | (BIAS - 1u - n)), R(1.5707963267948966));
    if f32_signbit(x) {
        q = 0u - q;
        r = real_neg(r);
    }
    return Angle(q, r);
}

fn sin_near(r: vec2<u32>) -> vec2<u32> {
    let z = real_mul(r, r);
    let s = poly(z, array<vec2<u32>, 7>(R(-0.16666666640613023), R(0.008333329266665574), R(-0.00019839296117029622),
        R(2.717939768061593e-06), R(0.0), R(0.0), R(0.0)), 4u);
    return mad(real_mul(r, z), s, r);
}

fn cos_near(r: vec2<u32>) -> vec2<u32> {
    let z = real_mul(r, r);
    let c = poly(z, array<vec2<u32>, 7>(R(0.041666666621162946), R(-0.001388888360579679), R(2.4799480213243395e-05),
        R(-2.7206893974193425e-07), R(0.0), R(0.0), R(0.0)), 4u);
    return mad(real_mul(z, z), c, mad(z, R(-0.5), R(1.0)));
}

// The sine of q pi/2 + r
fn sin_at(q: u32, r: vec2<u32>) -> u32 {
    var y = sin_near(r);
    if (q & 1u) != 0u { y = cos_near(r); }
    return f32_from_real(y) ^ ((q & 2u) << 30u);
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
    return f32_from_real(real_div(select(s, real_neg(c), odd), select(c, s, odd)));
}

// The angle of the point (x, y), both at least 0 and finite, not both 0.
fn angle(y: vec2<u32>, x: vec2<u32>) -> vec2<u32> {
    let swap = real_lt(x, y);
    let n = select(y, x, swap);
    let d = select(x, y, swap);
    let outer = real_lt(real_mul(R(0.41421356237309503), d), n);
    let t = real_div(select(n, real_sub(n, d), outer), select(d, real_add(n, d), outer));
    let z = real_mul(t, t);
    let q = poly(z, array<vec2<u32>, 7>(R(-0.33333332510268965), R(0.199999047449656), R(-0.14282028294268373),
        R(0.11044911463110815), R(-0.08477333674056324), R(0.04745954021997107), R(0.0)), 6u);
    let a = mad(real_mul(t, z), q, t);
    let quarter = select(R(0.0), R(0.7853981633974483), outer);
    let base = select(quarter, real_sub(R(1.5707963267948966), quarter), swap);
    return real_add(base, select(a, real_neg(a), swap));
}

fn f32_atan(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let a = clamp_to(real_from_f32(x & 0x7fffffffu), R(1e180));
    return f32_copysign(f32_from_real(angle(a, R(1.0))), x);
}

fn f32_atan2(y: u32, x: u32) -> u32 {
    if !f32_ordered(x, y) { return F32_NAN; }
    let ay = clamp_to(real_from_f32(y & 0x7fffffffu), R(1e200));
    let ax = clamp_to(real_from_f32(x & 0x7fffffffu), R(1e180));
    let origin = real_is_zero(ay) && real_is_zero(ax);
    let a = angle(ay, select(ax, R(1.0), origin));
    return f32_copysign(f32_from_real(select(a, real_sub(R(3.141592653589793), a), f32_signbit(x))), y);
}

// For |x| up to 1/2 its arc sine, beyond that a with arc sine pi/2 - 2 a.
fn asin_half(a: vec2<u32>, outer: bool) -> vec2<u32> {
    let half = real_mul(R(0.5), real_sub(R(1.0), a));
    let z = select(real_mul(a, a), half, outer);
    var s = a;
    if outer { s = real_sqrt(half); }
    let q = poly(z, array<vec2<u32>, 7>(R(0.16666667191655624), R(0.07499948008671968), R(0.044660204154403305),
        R(0.030109733498606475), R(0.024621729680293414), R(0.007458389607627543), R(0.034706327292284525)), 7u);
    return mad(real_mul(s, z), q, s);
}

fn f32_asin(x: u32) -> u32 {
    if f32_lt(0x3f800000u, x & 0x7fffffffu) || f32_isnan(x) { return F32_NAN; }
    let outer = f32_lt(0x3f000000u, x & 0x7fffffffu);
    let a = asin_half(real_from_f32(x & 0x7fffffffu), outer);
    return f32_copysign(f32_from_real(select(a, mad(a, R(-2.0), R(1.5707963267948966)), outer)), x);
}

fn f32_acos(x: u32) -> u32 {
    if f32_lt(0x3f800000u, x & 0x7fffffffu) || f32_isnan(x) { return F32_NAN; }
    let outer = f32_lt(0x3f000000u, x & 0x7fffffffu);
    let half = asin_half(real_from_f32(x & 0x7fffffffu), outer);
    let a = select(half, real_add(half, half), outer);
    let negative = f32_lt(x, 0u);
    let base = select(R(1.5707963267948966), select(R(0.0), R(3.141592653589793), negative), outer);
    return f32_from_real(real_add(base, select(a, real_neg(a), negative == outer)));
}

fn f32_sinh(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let e = expm1_of(real_from_f32(x & 0x7fffffffu));
    let y = real_mul(R(0.5), real_add(e, real_div(e, real_add(e, R(1.0)))));
    return f32_copysign(f32_from_real(y), x);
}

fn f32_cosh(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let p = exp_parts(clamp_to(real_from_f32(x & 0x7fffffffu), R(120.0)));
    let q = exp2i(p.k);
    let e = mad(q, p.e, q);
    return f32_from_real(real_mul(R(0.5), real_add(e, real_div(R(1.0), e))));
}

// (e^2x - 1) / (e^2x + 1)
fn f32_tanh(x: u32) -> u32 {
    if f32_isnan(x) { return F32_NAN; }
    let a = clamp_to(real_from_f32(x & 0x7fffffffu), R(20.0));
    let e = expm1_of(real_add(a, a));
    return f32_copysign(f32_from_real(real_div(e, real_add(e, R(2.0)))), x);
}

fn f32_asinh(x: u32) -> u32 {
    if !f32_isfinite(x) { return x; }
    let a = real_from_f32(x & 0x7fffffffu);
    let p = real_mul(a, a);
    let y = real_add(a, real_div(p, real_add(R(1.0), real_sqrt(real_add(R(1.0), p)))));
    return f32_copysign(f32_from_real(log1p_of(y)), x);
}

fn f32_acosh(x: u32) -> u32 {
    if f32_isnan(x) || f32_lt(x, 0x3f800000u) { return F32_NAN; }
    if f32_isinf(x) { return x; }
    let t = real_sub(real_from_f32(x), R(1.0));
    return f32_from_real(log1p_of(real_add(t, real_sqrt(real_mul(t, real_add(t, R(2.0)))))));
}

fn f32_atanh(x: u32) -> u32 {
    let size = x & 0x7fffffffu;
    if size > 0x3f800000u { return F32_NAN; }
    if size == 0x3f800000u { return (x & SIGN) | F32_INF; }
    let a = real_from_f32(size);
    let y = log1p_of(real_div(real_add(a, a), real_sub(R(1.0), a)));
    return f32_copysign(f32_from_real(real_mul(R(0.5), y)), x);
}

fn f32_cbrt(x: u32) -> u32 {
    if !f32_isfinite(x) || f32_is_zero(x) { return x; }
    let w = real_from_f32(x & 0x7fffffffu);
    let k = real_exponent(w);
    let m = vec2<u32>(w.x, BIAS);
    // to the nearest multiple of 3
    let third = (k + 601) / 3 - 200;
    let rest = k - 3 * third;
    var factor = R(1.0);
    if rest > 0 { factor = R(0.7937005259840998); }
    if rest < 0 { factor = R(1.2599210498948732); }
    let near = poly(m, array<vec2<u32>, 7>(R(1.6701592343436633), R(-1.1732545877877847), R(0.6958156137887851),
        R(-0.22136461076001931), R(0.02860835624175286), R(0.0), R(0.0)), 5u);
    let v = real_mul(near, factor);
    let s = real_mul(m, exp2i(rest));
    let h = real_sub(R(1.0), real_mul(real_mul(real_mul(s, v), v), v));
    let u = mad(real_mul(v, h), mad(h, R(0.2222222222222222), R(0.3333333333333333)), v);
    return f32_copysign(f32_from_real(real_mul(real_mul(real_mul(s, u), u), exp2i(third))), x);
}

fn f32_hypot(a: u32, b: u32) -> u32 {
    if f32_isinf(a) || f32_isinf(b) { return F32_INF; }
    if !f32_ordered(a, b) { return F32_NAN; }
    let x = real_from_f32(a);
    let y = real_from_f32(b);
    return f32_from_real(real_sqrt(mad(x, x, real_mul(y, y))));
}

fn f32_pow(x: u32, y: u32) -> u32 {
    if x == 0x3f800000u || f32_is_zero(y) { return 0x3f800000u; }
    if !f32_ordered(x, y) { return F32_NAN; }
    if y == 0x40000000u { return f32_mul(x, x); }
    let ax = x & 0x7fffffffu;
    let whole = f32_eq(f32_trunc(y), y);
    let half = f32_mul(y, 0x3f000000u ^ params[0]);
    let odd = whole && f32_isfinite(y) && f32_ne(f32_trunc(half), half);
    let sign = select(0u, x & SIGN, odd);
    if f32_is_zero(ax) || f32_isinf(ax) {
        return sign | select(F32_INF, 0u, f32_is_zero(ax) == f32_lt(0u, y));
    }
    if f32_signbit(x) && !whole { return F32_NAN; }
    let p = split(real_from_f32(ax));
    let log2 = mad(log1p_near(real_sub(p.m, R(1.0))), R(1.4426950408889634), p.k);
    let power = real_mul(log2, clamp_to(real_from_f32(y), R(1.1e12)));
    return sign | f32_from_real(exp2_near(clamp_to(power, R(200.0))));
}


// The larger of two numbers and what log(1 + .) adds to it.
fn logadd(a: u32, b: u32, l: vec2<u32>) -> u32 {
    let x = select(a, b, f32_lt(a, b));
    if f32_isinf(x) { return x; }
    return f32_from_real(real_add(real_from_f32(x), l));
}

fn f32_logaddexp(a: u32, b: u32) -> u32 {
    if !f32_ordered(a, b) { return F32_NAN; }
    let d = real_neg(real_abs(real_sub(real_from_f32(a), real_from_f32(b))));
    let p = exp_parts(clamp_to(d, R(200.0)));
    let q = exp2i(p.k);
    return logadd(a, b, log1p_of(mad(q, p.e, q)));
}

fn f32_logaddexp2(a: u32, b: u32) -> u32 {
    if !f32_ordered(a, b) { return F32_NAN; }
    let d = real_neg(real_abs(real_sub(real_from_f32(a), real_from_f32(b))));
    let e = exp2_near(clamp_to(d, R(300.0)));
    return logadd(a, b, real_mul(log1p_of(e), R(1.4426950408889634)));
}
