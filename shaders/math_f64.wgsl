// Elementary functions of f64: the methods and coefficients of kernels/src/math/f64, without fused multiply-adds. Exponentials, logarithms, powers.
// For adapters whose own arithmetic of f64 is right: its operations are sealed, so that no compiler sees through the sums below. D(x) stands for
// the number x; names of parts begin with d_.

// An unevaluated sum: l is a rounding error of h, or nearly so.
struct Sum { h: vec2<u32>, l: vec2<u32> }

// 1.5 * 2^52. Adding it rounds to an integer, which then stands in the low bits, in two's complement.
const MAGIC = D(6755399441055744.0);
const D_ZERO = vec2<u32>(0u, 0u);
const D_ONE = D(1.0);

fn d_mad(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> { return f64_add(f64_mul(a, b), c); }
fn d_round(x: vec2<u32>) -> vec2<u32> { return f64_sub(f64_add(x, MAGIC), MAGIC); }

// 2^k for an integer k in -1023..=1023 (-1023 gives 0).
fn d_exp2i(k: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(0u, (f64_add(k, MAGIC).x << 20u) + 0x3ff00000u);
}

// x 2^k with one rounding, for |x| near 1 and integers |k| <= 2000.
fn d_scale(x: vec2<u32>, k: vec2<u32>) -> vec2<u32> {
    let h = d_round(f64_mul(k, D(0.5)));
    return f64_mul(f64_mul(x, d_exp2i(h)), d_exp2i(f64_sub(k, h)));
}

// a + b and its rounding error, if |a| >= |b| or a is 0.
fn d_fast_two_sum(a: vec2<u32>, b: vec2<u32>) -> Sum {
    let s = f64_add(a, b);
    return Sum(s, f64_sub(b, f64_sub(s, a)));
}

// a + b and its rounding error.
fn d_two_sum(a: vec2<u32>, b: vec2<u32>) -> Sum {
    let s = f64_add(a, b);
    let t = f64_sub(s, a);
    return Sum(s, f64_add(f64_sub(a, f64_sub(s, t)), f64_sub(b, t)));
}

// c - a b, the product not rounded, where that is small against c: factors are split in halves of 26 bits (T. J. Dekker 1971).
fn d_residual(a: vec2<u32>, b: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    let ta = f64_mul(a, D(134217729.0));
    let tb = f64_mul(b, D(134217729.0));
    let ah = f64_sub(ta, f64_sub(ta, a));
    let bh = f64_sub(tb, f64_sub(tb, b));
    let al = f64_sub(a, ah);
    let bl = f64_sub(b, bh);
    let p = f64_mul(a, b);
    let e = f64_add(f64_add(f64_add(f64_sub(f64_mul(ah, bh), p), f64_mul(ah, bl)), f64_mul(al, bh)), f64_mul(al, bl));
    return f64_sub(f64_sub(c, p), e);
}

// a b and its rounding error.
fn d_two_prod(a: vec2<u32>, b: vec2<u32>) -> Sum {
    let p = f64_mul(a, b);
    return Sum(p, f64_neg(d_residual(a, b, p)));
}

// n / d to about twice the precision.
fn d_ratio(n: Sum, d: Sum) -> Sum {
    let inv = f64_div(D_ONE, d.h);
    let q = f64_mul(n.h, inv);
    let rest = f64_add(d_residual(q, d.h, n.h), d_residual(q, d.l, n.l));
    return Sum(q, f64_mul(rest, inv));
}

// x between lo and hi; NaN stays.
fn d_clamp(x: vec2<u32>, lo: vec2<u32>, hi: vec2<u32>) -> vec2<u32> {
    let y = select(x, hi, f64_lt(hi, x));
    return select(y, lo, f64_lt(y, lo));
}

const LN2 = D(0.6931471805599453);
const LN2_REST = D(2.3190468138462996e-17);
// ln 2 in 42 bits, so that integers of 11 bits times it are exact, and the rest of it.
const LN2_HI = D(0.6931471805598903);
const LN2_LO = D(5.497923018708371e-14);

fn d_sinh_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(2.51092633160257e-08), z, D(2.7557243605265504e-06));
    r = d_mad(r, z, D(0.00019841269886676987));
    r = d_mad(r, z, D(0.008333333333321435));
    return d_mad(r, z, D(0.16666666666666677));
}
fn d_cosh_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(2.092460748385749e-09), z, D(2.7557241233292105e-07));
    r = d_mad(r, z, D(2.4801587364104737e-05));
    r = d_mad(r, z, D(0.0013888888888863556));
    r = d_mad(r, z, D(0.04166666666666671));
    return d_mad(r, z, D(0.5));
}

// The integer k and r + rl = x - k ln 2 with |r| <= ln 2 / 2, for |x| < 1500.
struct Exponent { k: vec2<u32>, r: vec2<u32>, rl: vec2<u32> }
fn d_exponent(x: vec2<u32>) -> Exponent {
    let k = f64_sub(d_mad(x, D(1.4426950408889634), MAGIC), MAGIC);
    let t = d_mad(f64_neg(k), LN2_HI, x);
    let p = f64_mul(k, LN2_LO);
    let r = f64_sub(t, p);
    return Exponent(k, r, f64_sub(f64_sub(t, r), p));
}

// cosh r - 1 and sinh r - r for |r| <= ln 2 / 2.
fn d_cosh_sinh(r: vec2<u32>) -> Sum {
    let z = f64_mul(r, r);
    return Sum(f64_mul(z, d_cosh_poly(z)), f64_mul(f64_mul(r, z), d_sinh_poly(z)));
}

// e^(r + rl) for |r| <= ln 2 / 2 and |rl| < 2^-30, as a sum whose second part may be as large as 0.1.
fn d_exp_pair(r: vec2<u32>, rl: vec2<u32>) -> Sum {
    let cs = d_cosh_sinh(r);
    let s = d_fast_two_sum(D_ONE, r);
    let t = f64_add(cs.h, cs.l);
    return Sum(s.h, f64_add(s.l, d_mad(rl, f64_add(s.h, t), t)));
}

// 2^k (h + l)
struct Power { k: vec2<u32>, h: vec2<u32>, l: vec2<u32> }

// 2^(x + xl) for |x| <= 2000 and a small xl.
fn d_exp2_parts(x: vec2<u32>, xl: vec2<u32>) -> Power {
    let k = d_round(x);
    let r = f64_sub(x, k);
    let p = d_two_prod(r, LN2);
    let s = d_exp_pair(p.h, d_mad(r, LN2_REST, d_mad(xl, LN2, p.l)));
    return Power(k, s.h, s.l);
}

// A power as a sum.
fn d_scaled(k: vec2<u32>, h: vec2<u32>, l: vec2<u32>) -> Sum {
    let s = d_fast_two_sum(h, l);
    return Sum(d_scale(s.h, k), d_scale(s.l, k));
}

fn f64_exp(x: vec2<u32>) -> vec2<u32> {
    let e = d_exponent(d_clamp(x, D(-746.0), D(710.0)));
    let s = d_exp_pair(e.r, e.rl);
    return d_scale(f64_add(s.h, s.l), e.k);
}

fn f64_exp2(x: vec2<u32>) -> vec2<u32> {
    let p = d_exp2_parts(d_clamp(x, D(-1076.0), D(1025.0)), D_ZERO);
    return d_scale(f64_add(p.h, p.l), p.k);
}

fn f64_expm1(x: vec2<u32>) -> vec2<u32> {
    if f64_is_zero(x) { return x; }
    let e = d_exponent(d_clamp(x, D(-60.0), D(710.0)));
    let cs = d_cosh_sinh(e.r);
    // 2^k ((1 - 2^-k) + r + ...), where 1 - 2^-k is 0 or at least 1/2.
    let one = f64_sub(D_ONE, d_exp2i(f64_neg(d_clamp(e.k, D(-100.0), D(1000.0)))));
    let s = d_fast_two_sum(one, e.r);
    return d_scale(f64_add(s.h, f64_add(s.l, f64_add(cs.h, f64_add(cs.l, e.rl)))), e.k);
}

fn d_log_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(0.14797531343697382), z, D(0.1531390129716743));
    r = d_mad(r, z, D(0.18183569795752758));
    r = d_mad(r, z, D(0.22222198475390267));
    r = d_mad(r, z, D(0.28571428743262983));
    r = d_mad(r, z, D(0.3999999999941112));
    return d_mad(r, z, D(0.6666666666666735));
}
fn d_log2_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(0.17298452518219876), z, D(0.16842967851287458));
    r = d_mad(r, z, D(0.19240250539452328));
    r = d_mad(r, z, D(0.22195223605176798));
    r = d_mad(r, z, D(0.2623081992291228));
    r = d_mad(r, z, D(0.32059889790736895));
    r = d_mad(r, z, D(0.4121985831113725));
    return d_mad(r, z, D(0.5770780163555851));
}

// A positive normal x as 2^k m, m from sqrt(1/2) to sqrt 2.
struct Scaled { k: vec2<u32>, m: vec2<u32> }
fn d_split_normal(x: vec2<u32>) -> Scaled {
    let bits = u64_add(x, vec2<u32>(0x9980c433u, 0x00095f61u));
    let k = f64_from_i32(i32(bits.y >> 20u) - 1023);
    return Scaled(k, u64_add(vec2<u32>(bits.x, bits.y & 0xfffffu), vec2<u32>(0x667f3bcdu, 0x3fe6a09eu)));
}

// The same for positive x, subnormal too.
fn d_split(x: vec2<u32>) -> Scaled {
    let tiny = x.y < 0x00100000u;
    let s = d_split_normal(select(x, f64_mul(x, D(18014398509481984.0)), tiny));
    return Scaled(select(s.k, f64_sub(s.k, D(54.0)), tiny), s.m);
}

// k ln 2 + log m + c for a c of at most a few ulps of 1.
fn d_log_parts(k: vec2<u32>, m: vec2<u32>, c: vec2<u32>) -> vec2<u32> {
    let f = f64_sub(m, D(1.0));
    let s = f64_div(f, f64_add(D(2.0), f));
    let z = f64_mul(s, s);
    let half = f64_mul(f64_mul(D(0.5), f), f);
    let r = f64_mul(z, d_log_poly(z));
    let low = d_mad(s, f64_add(half, r), d_mad(k, LN2_LO, c));
    return d_mad(k, LN2_HI, f64_sub(f, f64_sub(half, low)));
}

// log(u + c) + k ln 2 for positive normal u and a c of at most a few ulps of u.
fn d_log_sum(u: vec2<u32>, c: vec2<u32>, k: vec2<u32>) -> vec2<u32> {
    let s = d_split_normal(u);
    return d_log_parts(f64_add(s.k, k), s.m, f64_div(c, u));
}

// f / (2 + f) for f = h + l.
fn d_half_ratio(h: vec2<u32>, l: vec2<u32>) -> Sum {
    let d = d_fast_two_sum(D(2.0), h);
    let inv = f64_div(D_ONE, d.h);
    let s = f64_mul(h, inv);
    return Sum(s, f64_mul(d_mad(f64_neg(s), f64_add(d.l, l), f64_add(d_residual(s, d.h, h), l)), inv));
}

// 2 / ln 2 and 2 / (3 ln 2), each as a sum of two.
const C0 = D(2.8853900817779268);
const C0_REST = D(4.0710547481862066e-17);
const C1 = D(0.9617966939259756);
const C1_REST = D(5.0577616648125907e-17);

// log2(1 + f), relative error 2^-65, for 1 + f from sqrt(1/2) to sqrt 2.
fn d_log2_1p(f: vec2<u32>) -> Sum {
    let s = d_half_ratio(f, D_ZERO);
    let z = d_two_prod(s.h, s.h);
    let zl = d_mad(f64_add(s.h, s.h), s.l, z.l);
    let q = d_fast_two_sum(C1, f64_mul(z.h, d_log2_poly(z.h)));
    let ql = f64_add(q.l, C1_REST);
    let p = d_two_prod(q.h, z.h);
    let pl = f64_add(p.l, d_mad(q.h, zl, f64_mul(ql, z.h)));
    let u = d_fast_two_sum(C0, p.h);
    let ul = f64_add(u.l, f64_add(C0_REST, pl));
    let v = d_two_prod(u.h, s.h);
    return Sum(v.h, f64_add(v.l, d_mad(u.h, s.l, f64_mul(ul, s.h))));
}

// The same for f = h + l, relative error 2^-58.
fn d_log2_1p_short(h: vec2<u32>, l: vec2<u32>) -> Sum {
    let s = d_half_ratio(h, l);
    let z = f64_mul(s.h, s.h);
    let u = d_fast_two_sum(C0, f64_mul(z, d_mad(z, d_log2_poly(z), C1)));
    let v = d_two_prod(u.h, s.h);
    return Sum(v.h, f64_add(v.l, d_mad(u.h, s.l, f64_mul(f64_add(u.l, C0_REST), s.h))));
}

// log2 x, relative error 2^-64, for positive finite x.
fn d_log2_sum(x: vec2<u32>) -> Sum {
    let p = d_split(x);
    let v = d_log2_1p(f64_sub(p.m, D(1.0)));
    let s = d_fast_two_sum(p.k, v.h);
    return d_fast_two_sum(s.h, f64_add(s.l, v.l));
}

// The same, relative error 2^-57.
fn d_log2_sum_short(x: vec2<u32>) -> Sum {
    let p = d_split(x);
    let v = d_log2_1p_short(f64_sub(p.m, D(1.0)), D_ZERO);
    let s = d_fast_two_sum(p.k, v.h);
    return Sum(s.h, f64_add(s.l, v.l));
}

// Logarithm y of x, or its value where x is not a positive finite number.
fn d_special(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    if f64_is_zero(x) { return vec2<u32>(0u, 0xfff00000u); }
    if f64_isnan(x) || f64_signbit(x) { return F64_NAN; }
    return select(y, x, f64_isinf(x));
}

fn f64_log(x: vec2<u32>) -> vec2<u32> {
    let p = d_split(x);
    return d_special(x, d_log_parts(p.k, p.m, D_ZERO));
}

fn f64_log2(x: vec2<u32>) -> vec2<u32> {
    let s = d_log2_sum_short(x);
    return d_special(x, f64_add(s.h, s.l));
}

fn f64_log10(x: vec2<u32>) -> vec2<u32> {
    let s = d_log2_sum_short(x);
    let p = d_two_prod(s.h, D(0.3010299956639812));
    return d_special(x, f64_add(p.h, f64_add(p.l, d_mad(s.h, D(-2.8037281277851704e-18), f64_mul(s.l, D(0.3010299956639812))))));
}

fn f64_log1p(x: vec2<u32>) -> vec2<u32> {
    if f64_is_zero(x) { return x; }
    let u = d_two_sum(D_ONE, x);
    return d_special(u.h, d_log_sum(u.h, u.l, D_ZERO));
}

// The larger operand x, and the smaller one less that as a sum, cut off at lo.
struct Order { x: vec2<u32>, d: vec2<u32>, dl: vec2<u32> }
fn d_order(a: vec2<u32>, b: vec2<u32>, lo: vec2<u32>) -> Order {
    let swap = f64_lt(a, b);
    let x = select(a, b, swap);
    let s = d_two_sum(select(b, a, swap), f64_neg(x));
    let cut = f64_lt(s.h, lo);
    return Order(x, select(s.h, lo, cut), select(s.l, D_ZERO, cut));
}

// y, or the larger operand if that is infinite and the other is not NaN.
fn d_infinite(a: vec2<u32>, b: vec2<u32>, o: Order, y: vec2<u32>) -> vec2<u32> {
    let d = select(o.d, D_ZERO, f64_eq(a, b));
    return select(y, f64_add(o.x, d), f64_isinf(o.x));
}

// log2(1 + e), relative error 2^-57, for e in 0..=1.
fn d_log2_of_pair(e: Sum) -> Sum {
    // Beyond sqrt 2: 1 + e = 2 (1 + (e - 1) / 2).
    let upper = f64_lt(D(0.41421356237309503), e.h);
    let t = d_fast_two_sum(D(-1.0), e.h);
    let v = d_log2_1p_short(select(e.h, f64_mul(D(0.5), t.h), upper), select(e.l, f64_mul(D(0.5), f64_add(t.l, e.l)), upper));
    let s = d_fast_two_sum(select(D_ZERO, D_ONE, upper), v.h);
    return Sum(s.h, f64_add(s.l, v.l));
}

fn f64_logaddexp(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let o = d_order(a, b, D(-746.0));
    let r = d_exponent(o.d);
    let w = d_exp_pair(r.r, f64_add(r.rl, o.dl));
    let e = d_scaled(r.k, w.h, w.l);
    let v = d_log2_of_pair(e);
    let p = d_two_prod(v.h, LN2);
    let s = d_two_sum(o.x, p.h);
    let y = f64_add(s.h, f64_add(s.l, f64_add(p.l, d_mad(v.h, LN2_REST, f64_mul(v.l, LN2)))));
    // Below this, errors of products are no numbers of full precision.
    return d_infinite(a, b, o, select(y, f64_add(o.x, e.h), f64_lt(e.h, D(1e-280))));
}

fn f64_logaddexp2(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let o = d_order(a, b, D(-1076.0));
    let w = d_exp2_parts(o.d, o.dl);
    let e = d_scaled(w.k, w.h, w.l);
    let v = d_log2_of_pair(e);
    let s = d_two_sum(o.x, v.h);
    let y = f64_add(s.h, f64_add(s.l, v.l));
    return d_infinite(a, b, o, select(y, f64_add(o.x, f64_mul(e.h, D(1.4426950408889634))), f64_lt(e.h, D(1e-280))));
}

fn d_cbrt_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(0.02860835624175286), z, D(-0.22136461076001931));
    r = d_mad(r, z, D(0.6958156137887851));
    r = d_mad(r, z, D(-1.1732545877877847));
    return d_mad(r, z, D(1.6701592343436633));
}

// w, about m^(-1/3) from a fit, by a step of Halley's method; then y = m w^2, corrected once by its exact cube.
fn f64_cbrt(x: vec2<u32>) -> vec2<u32> {
    let a = f64_abs(x);
    if f64_is_zero(a) || !f64_isfinite(a) { return f64_add(x, x); }
    let tiny = a.y < 0x00100000u;
    let b = select(a, f64_mul(a, D(18014398509481984.0)), tiny);
    let k = f64_from_i32(i32(b.y >> 20u) - 1023);
    let n = vec2<u32>(b.x, (b.y & 0xfffffu) | 0x3ff00000u);
    let third = d_round(f64_mul(k, D(0.3333333333333333)));
    let rest = f64_sub(k, f64_mul(D(3.0), third));
    let up = select(D(0.7937005259840998), D(1.2599210498948732), f64_signbit(rest));
    let factor = select(up, D_ONE, f64_is_zero(rest));
    let w0 = f64_mul(d_cbrt_poly(n), factor);
    let m = f64_mul(n, d_exp2i(rest));
    let h = f64_sub(D_ONE, f64_mul(f64_mul(f64_mul(m, w0), w0), w0));
    let w = f64_add(w0, f64_mul(f64_mul(w0, h), d_mad(h, d_mad(h, D(0.1728395061728395), D(0.2222222222222222)), D(0.3333333333333333))));
    let y = f64_mul(f64_mul(m, w), w);
    let s = d_two_prod(y, y);
    let miss = f64_sub(d_residual(s.h, y, m), f64_mul(s.l, y));
    let z = d_mad(miss, f64_mul(f64_mul(w, w), D(0.3333333333333333)), y);
    return f64_copysign(f64_mul(z, d_exp2i(select(third, f64_sub(third, D(18.0)), tiny))), x);
}

fn f64_hypot(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if f64_isinf(a) || f64_isinf(b) { return F64_INF; }
    let swap = f64_lt(f64_abs(a), f64_abs(b));
    let x = select(f64_abs(a), f64_abs(b), swap);
    let y = select(f64_abs(b), f64_abs(a), swap);
    // powers of two that keep squares in range, and their reciprocals
    let large = u64_lt(vec2<u32>(0u, 0x5f300000u), x);
    let small = u64_lt(x, vec2<u32>(0u, 0x26f00000u));
    let up = vec2<u32>(0u, 0x65700000u);
    let down = vec2<u32>(0u, 0x1a700000u);
    let f = select(select(D_ONE, up, small), down, large);
    let g = select(select(D_ONE, down, small), up, large);
    let p = d_two_prod(f64_mul(x, f), f64_mul(x, f));
    let q = d_two_prod(f64_mul(y, f), f64_mul(y, f));
    let s = d_fast_two_sum(p.h, q.h);
    return f64_mul(f64_sqrt(f64_add(s.h, f64_add(s.l, f64_add(p.l, q.l)))), g);
}

fn f64_pow(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    let ax = f64_abs(x);
    let ay = f64_abs(y);
    if f64_eq(x, D_ONE) || f64_is_zero(y) { return D_ONE; }
    if f64_isnan(x) || f64_isnan(y) { return F64_NAN; }
    // Is y an integer, is it odd? 2^52 + |y| has the units in its lowest bit.
    let big = f64_le(D(4503599627370496.0), ay);
    let t = select(f64_add(ay, D(4503599627370496.0)), ay, big);
    let integer = big || f64_eq(f64_sub(t, D(4503599627370496.0)), ay);
    let odd = integer && f64_lt(ay, D(9007199254740992.0)) && (t.x & 1u) != 0u;
    if f64_lt(x, D_ZERO) && f64_isfinite(x) && !integer { return F64_NAN; }
    var r = D_ZERO;
    if f64_is_zero(x) || f64_isinf(x) {
        r = select(F64_INF, r, f64_is_zero(x) != f64_signbit(y));
    } else {
        r = d_power(ax, y);
    }
    if f64_eq(y, D(2.0)) { return f64_mul(x, x); }
    return select(r, f64_copysign(r, x), odd);
}

// x^y for positive finite x.
fn d_power(x: vec2<u32>, y: vec2<u32>) -> vec2<u32> {
    let s = d_log2_sum(x);
    // Beyond 2^66 the power of anything but 1 overflows or vanishes.
    let v = d_clamp(y, D(-7e19), D(7e19));
    let p = d_two_prod(s.h, v);
    let pl = d_mad(s.l, v, p.l);
    let cut = f64_lt(D(1100.0), f64_abs(p.h));
    let w = d_exp2_parts(d_clamp(p.h, D(-1100.0), D(1100.0)), select(pl, D_ZERO, cut));
    return d_scale(f64_add(w.h, w.l), w.k);
}
