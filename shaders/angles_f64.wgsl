// Elementary functions of f64, as of math_f64.wgsl: of angles, and hyperbolic ones.

// x = q pi/2 + r + rl, |r| <= pi/4; two bits of q matter.
struct Turned { q: u32, r: vec2<u32>, rl: vec2<u32> }

// Up to 2^20, in four subtractions of parts of pi/2, of 33, 33, 33 and 53 bits.
fn d_turn_near(x: vec2<u32>) -> Turned {
    let q = d_mad(x, D(0.6366197723675814), MAGIC);
    let k = f64_neg(f64_sub(q, MAGIC));
    let t = d_mad(k, D(1.5707963267341256), x);
    let a = d_two_sum(t, f64_mul(k, D(6.077100506303966e-11)));
    let b = d_two_sum(a.h, f64_mul(k, D(2.0222662487111665e-21)));
    let s = d_fast_two_sum(b.h, d_mad(k, D(8.4784276603689e-32), f64_add(a.l, b.l)));
    return Turned(q.x, s.h, s.l);
}

// The first bits of 2/pi after 64 zeros.
const DIGITS = array<u32, 42>(
    0x0u, 0x0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u, 0xb7246e3au,
    0x424dd2e0u, 0x6492eeau, 0x9d1921cu, 0xfe1deb1cu, 0xb129a73eu, 0xe88235f5u, 0x2ebb4484u, 0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u,
    0x9c845f8bu, 0xbdf9283bu, 0x1ff897ffu, 0xde05980fu, 0xef2f118bu, 0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du, 0x7527bac7u,
    0xebe5f17bu, 0x3d0739f7u, 0x8a5292eau, 0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u, 0xfc7b6babu, 0xf0cfbc20u, 0x9af4361du);

// Finite numbers from 2^20 on, by the digits of 2/pi that matter (M. H. Payne and R. N. Hanek 1983).
fn d_turn_far(x: vec2<u32>) -> Turned {
    let m = vec2<u32>(x.x, (x.y & 0xfffffu) | 0x100000u);
    // x = m 2^e. Digits that weigh so much that they give multiples of four are left out; the 192 digits after those, times m, are x 2/pi mod 4.
    let first = ((x.y >> 20u) & 0x7ffu) - 1013u;
    var digits = DIGITS;
    var w: array<u32, 8>;
    for (var i = 0u; i < 6u; i++) {
        let at = first / 32u + i;
        w[i] = shift_left(vec2<u32>(digits[at + 1u], digits[at]), first % 32u).y;
    }
    var r: array<u32, 7>;
    var carry = vec2<u32>(0u, 0u);
    for (var i = 0u; i < 6u; i++) {
        let p = 5u - i;
        carry = u64_add(carry, vec2<u32>(mul_wide(m.x, w[p]).x, 0u));
        carry = u64_add(carry, vec2<u32>(mul_wide(m.x, w[p + 1u]).y, 0u));
        carry = u64_add(carry, vec2<u32>(mul_wide(m.y, w[p + 1u]).x, 0u));
        carry = u64_add(carry, vec2<u32>(mul_wide(m.y, w[p + 2u]).y, 0u));
        r[p] = carry.x;
        carry = vec2<u32>(carry.y, 0u);
    }
    // the two top bits are the quadrant; what follows is a fraction, made signed by rounding the quadrant to nearest
    let negative = ((r[0] >> 29u) & 1u) != 0u;
    let q = (r[0] >> 30u) + ((r[0] >> 29u) & 1u);
    let flip = select(0u, 0xffffffffu, negative);
    for (var i = 0u; i < 6u; i++) { r[i] = ((r[i] << 2u) | (r[i + 1u] >> 30u)) ^ flip; }
    // its leading 128 bits
    var zeros = 0u;
    for (var i = 0u; i < 2u; i++) {
        if r[0] == 0u {
            zeros += 32u;
            for (var j = 0u; j < 5u; j++) { r[j] = r[j + 1u]; }
        }
    }
    let n = countLeadingZeros(r[0]);
    zeros += n;
    var f: array<u32, 4>;
    for (var i = 0u; i < 4u; i++) { f[i] = shift_left(vec2<u32>(r[i + 1u], r[i]), n).y; }
    // as two numbers of 53 bits
    let unit = vec2<u32>(0u, (970u - zeros) << 20u);
    let rest = vec2<u32>(0u, (917u - zeros) << 20u);
    let h = f64_mul(f64_from_u64(vec2<u32>((f[0] << 21u) | (f[1] >> 11u), f[0] >> 11u)), unit);
    let l = f64_mul(f64_from_u64(vec2<u32>((f[2] << 10u) | (f[3] >> 22u), ((f[1] & 0x7ffu) << 10u) | (f[2] >> 22u))), rest);
    let p = d_two_prod(h, PIO2);
    let s = d_fast_two_sum(p.h, f64_add(p.l, f64_add(f64_mul(h, PIO2_REST), f64_mul(l, PIO2))));
    let turned = negative != f64_signbit(x);
    let sign = vec2<u32>(0u, select(0u, SIGN, turned));
    return Turned(select(q, 0u - q, f64_signbit(x)), s.h ^ sign, s.l ^ sign);
}

fn d_turn(x: vec2<u32>) -> Turned {
    if f64_isfinite(x) && u64_lt(vec2<u32>(0u, 0x41300000u), f64_abs(x)) { return d_turn_far(x); }
    return d_turn_near(x);
}

const PIO2 = D(1.5707963267948966);
const PIO2_REST = D(6.123233995736766e-17);

fn d_sin_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(1.5895216396081685e-10), z, D(-2.505073166926436e-08));
    r = d_mad(r, z, D(2.755731352853291e-06));
    r = d_mad(r, z, D(-0.0001984126982935417));
    r = d_mad(r, z, D(0.00833333333332187));
    return d_mad(r, z, D(-0.1666666666666663));
}
fn d_cos_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(-1.1358564677872318e-11), z, D(2.087570298957777e-09));
    r = d_mad(r, z, D(-2.755731420814705e-07));
    r = d_mad(r, z, D(2.4801587289001964e-05));
    r = d_mad(r, z, D(-0.0013888888888873387));
    return d_mad(r, z, D(0.041666666666666595));
}

fn d_sin_near(r: vec2<u32>, rl: vec2<u32>) -> Sum {
    let z = f64_mul(r, r);
    return Sum(r, f64_add(f64_mul(f64_mul(r, z), d_sin_poly(z)), d_mad(f64_mul(D(-0.5), z), rl, rl)));
}

fn d_cos_near(r: vec2<u32>, rl: vec2<u32>) -> Sum {
    let z = f64_mul(r, r);
    let half = f64_mul(D(0.5), z);
    let w = f64_sub(D_ONE, half);
    // r^2's own rounding error matters less than half an ulp of the smallest cosine, 0.7.
    let c = d_mad(f64_mul(z, z), d_cos_poly(z), f64_neg(f64_mul(r, rl)));
    return Sum(w, f64_add(f64_sub(f64_sub(D_ONE, w), half), c));
}

// The sine of q pi/2 + r + rl
fn d_sin_at(q: u32, t: Turned) -> vec2<u32> {
    var s = d_sin_near(t.r, t.rl);
    if (q & 1u) != 0u { s = d_cos_near(t.r, t.rl); }
    return f64_add(s.h, s.l) ^ vec2<u32>(0u, (q & 2u) << 30u);
}

fn f64_sin(x: vec2<u32>) -> vec2<u32> {
    // 0 would lose its sign
    if f64_is_zero(x) { return x; }
    let t = d_turn(x);
    return d_sin_at(t.q, t);
}

fn f64_cos(x: vec2<u32>) -> vec2<u32> {
    let t = d_turn(x);
    return d_sin_at(t.q + 1u, t);
}

fn f64_tan(x: vec2<u32>) -> vec2<u32> {
    if f64_is_zero(x) { return x; }
    let t = d_turn(x);
    let a = d_sin_near(t.r, t.rl);
    let b = d_cos_near(t.r, t.rl);
    let s = d_fast_two_sum(a.h, a.l);
    let c = d_fast_two_sum(b.h, b.l);
    var y = Sum(D_ZERO, D_ZERO);
    if (t.q & 1u) != 0u {
        y = d_ratio(Sum(f64_neg(c.h), f64_neg(c.l)), s);
    } else {
        y = d_ratio(s, c);
    }
    return f64_add(y.h, y.l);
}

fn d_atan_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(-0.017907563342984486), z, D(0.03806515717899175));
    r = d_mad(r, z, D(-0.05039338792515203));
    r = d_mad(r, z, D(0.05847899143024061));
    r = d_mad(r, z, D(-0.0666310569155946));
    r = d_mad(r, z, D(0.07692060381933259));
    r = d_mad(r, z, D(-0.09090897768174368));
    r = d_mad(r, z, D(0.11111110783851821));
    r = d_mad(r, z, D(-0.14285714280204803));
    r = d_mad(r, z, D(0.19999999999953672));
    return d_mad(r, z, D(-0.333333333333332));
}

// The angle of (x, y), neither negative nor both 0; below 1e290.
fn d_angle(y: vec2<u32>, x: vec2<u32>) -> Sum {
    let swap = f64_lt(x, y);
    let n = select(y, x, swap);
    let d = select(x, y, swap);
    // from pi/8 on about pi/4
    let outer = f64_lt(f64_mul(D(0.41421356237309503), d), n);
    let dif = d_two_sum(n, f64_neg(d));
    let sum = d_fast_two_sum(d, n);
    var p = Sum(n, D_ZERO);
    var q = Sum(d, D_ZERO);
    if outer {
        p = dif;
        q = sum;
    }
    let t = d_ratio(p, q);
    // Below this the residual of the division is not a number of full precision.
    let tl = select(t.l, D_ZERO, f64_lt(n, D(1e-290)));
    let z = f64_mul(t.h, t.h);
    let tail = d_mad(f64_mul(t.h, z), d_atan_poly(z), d_mad(f64_neg(z), tl, tl));
    // pi/2 - (pi/4 + a) = pi/4 - a
    let base = select(select(D_ZERO, D_ONE, swap), D(0.5), outer);
    let sign = vec2<u32>(0u, select(0u, SIGN, swap));
    let s = d_fast_two_sum(f64_mul(PIO2, base), t.h ^ sign);
    return Sum(s.h, f64_add(s.l, f64_add(f64_mul(PIO2_REST, base), tail ^ sign)));
}

fn f64_atan(x: vec2<u32>) -> vec2<u32> {
    let a = f64_abs(x);
    let s = d_angle(select(a, D(1e290), f64_lt(D(1e290), a)), D_ONE);
    return f64_copysign(f64_add(s.h, s.l), x);
}

fn f64_atan2(y: vec2<u32>, x: vec2<u32>) -> vec2<u32> {
    if f64_isnan(x) || f64_isnan(y) { return F64_NAN; }
    let most = select(f64_abs(y), f64_abs(x), f64_lt(f64_abs(y), f64_abs(x)));
    var ay = f64_abs(y);
    var ax = f64_abs(x);
    if f64_isinf(most) {
    // equal infinities are a diagonal
        ay = select(D_ZERO, D_ONE, f64_isinf(y));
        ax = select(D_ZERO, D_ONE, f64_isinf(x));
    } else if f64_is_zero(most) {
    // two zeros are the positive axis
        ax = D_ONE;
    } else {
    // a power of two that keeps products in range
        let up = select(D_ONE, vec2<u32>(0u, 0x5ff00000u), f64_lt(most, D_ONE));
        let factor = select(up, vec2<u32>(0u, 0x1ff00000u), f64_lt(D(1e290), most));
        ay = f64_mul(ay, factor);
        ax = f64_mul(ax, factor);
    }
    let s = d_angle(ay, ax);
    let p = d_two_sum(D(3.141592653589793), f64_neg(s.h));
    let left = f64_add(p.h, f64_add(p.l, f64_sub(D(1.2246467991473532e-16), s.l)));
    return f64_copysign(select(f64_add(s.h, s.l), left, f64_signbit(x)), y);
}

fn d_asin_poly(z: vec2<u32>) -> vec2<u32> {
    var r = d_mad(D(0.032703460798714785), z, D(-0.02111888040083215));
    r = d_mad(r, z, D(0.0217922449740179));
    r = d_mad(r, z, D(0.003671493856680329));
    r = d_mad(r, z, D(0.010789514995560261));
    r = d_mad(r, z, D(0.01139725617498516));
    r = d_mad(r, z, D(0.013981023370376284));
    r = d_mad(r, z, D(0.017351595065176938));
    r = d_mad(r, z, D(0.022372215932092713));
    r = d_mad(r, z, D(0.03038194267427547));
    r = d_mad(r, z, D(0.04464285717530843));
    r = d_mad(r, z, D(0.07499999999970075));
    return d_mad(r, z, D(0.16666666666666763));
}

// Of a in 0..=1: beyond 1/2 asin a = pi/2 - 2 asin s, s = sqrt((1 - a) / 2); else s is a. The arc sine of s is h + l.
struct Half { outer: bool, s: vec2<u32>, t: vec2<u32> }
fn d_half_asin(a: vec2<u32>) -> Half {
    let outer = f64_lt(D(0.5), a);
    let half = f64_mul(D(0.5), f64_sub(D_ONE, a));
    let z = select(f64_mul(a, a), half, outer);
    let root = f64_sqrt(half);
    let s = select(a, root, outer);
    // the root's own error
    let low = f64_div(d_residual(root, root, half), f64_add(root, root));
    let t = f64_add(f64_mul(f64_mul(s, z), d_asin_poly(z)), select(D_ZERO, low, outer && f64_lt(D_ZERO, root)));
    return Half(outer, s, t);
}

fn f64_asin(x: vec2<u32>) -> vec2<u32> {
    let p = d_half_asin(f64_abs(x));
    let s = d_fast_two_sum(PIO2, f64_mul(D(-2.0), p.s));
    let far = f64_add(s.h, f64_add(s.l, d_mad(D(-2.0), p.t, PIO2_REST)));
    return f64_copysign(select(f64_add(p.s, p.t), far, p.outer), x);
}

fn f64_acos(x: vec2<u32>) -> vec2<u32> {
    let p = d_half_asin(f64_abs(x));
    let negative = f64_lt(x, D_ZERO);
    // pi/2 - asin x, 2 asin s, or pi - 2 asin s
    let turn = select(D_ONE, D(2.0), p.outer);
    let sign = vec2<u32>(0u, select(0u, SIGN, negative == p.outer));
    let base = select(D_ONE, select(D_ZERO, D(2.0), negative), p.outer);
    let s = d_fast_two_sum(f64_mul(PIO2, base), f64_mul(turn, p.s) ^ sign);
    return f64_add(s.h, f64_add(s.l, f64_add(f64_mul(PIO2_REST, base), f64_mul(turn, p.t) ^ sign)));
}

// 2^-k sinh x and 2^-k cosh x, for x from 0 to 712.
struct Hyperbolic { k: vec2<u32>, sinh: Sum, cosh: Sum }
fn d_sinh_cosh(x: vec2<u32>) -> Hyperbolic {
    let x0 = d_exponent(x);
    let cs = d_cosh_sinh(x0.r);
    let s = f64_add(cs.l, x0.rl);
    let r = x0.r;
    let c = cs.h;
    let e = f64_mul(D(0.5), d_exp2i(f64_mul(D(-2.0), d_clamp(x0.k, D_ZERO, D(40.0)))));
    let a = d_fast_two_sum(D(0.5), f64_neg(e));
    let b = d_fast_two_sum(D(0.5), e);
    let p = d_two_prod(b.h, r);
    let sh = d_fast_two_sum(a.h, p.h);
    let sl = f64_add(sh.l, f64_add(p.l, d_mad(b.h, s, d_mad(a.h, c, d_mad(b.l, r, a.l)))));
    let q = d_two_prod(a.h, r);
    let ch = d_fast_two_sum(b.h, q.h);
    let cl = f64_add(ch.l, f64_add(q.l, d_mad(b.h, c, d_mad(a.h, s, d_mad(a.l, r, b.l)))));
    return Hyperbolic(x0.k, Sum(sh.h, sl), Sum(ch.h, cl));
}

fn f64_sinh(x: vec2<u32>) -> vec2<u32> {
    let p = d_sinh_cosh(d_clamp(f64_abs(x), D_ZERO, D(712.0)));
    return f64_copysign(d_scale(f64_add(p.sinh.h, p.sinh.l), p.k), x);
}

fn f64_cosh(x: vec2<u32>) -> vec2<u32> {
    let p = d_sinh_cosh(d_clamp(f64_abs(x), D_ZERO, D(712.0)));
    return d_scale(f64_add(p.cosh.h, p.cosh.l), p.k);
}

fn f64_tanh(x: vec2<u32>) -> vec2<u32> {
    let p = d_sinh_cosh(d_clamp(f64_abs(x), D_ZERO, D(22.0)));
    let q = d_ratio(d_fast_two_sum(p.sinh.h, p.sinh.l), d_fast_two_sum(p.cosh.h, p.cosh.l));
    return f64_copysign(f64_add(q.h, q.l), x);
}

// 2^28: beyond it the inverse functions are log 2 x.
const LARGE = D(268435456.0);

fn f64_asinh(x: vec2<u32>) -> vec2<u32> {
    let ax = f64_abs(x);
    if !f64_isfinite(x) { return x; }
    let large = f64_lt(LARGE, ax);
    let a = select(ax, D_ONE, large);
    let p = f64_mul(a, a);
    let t = d_fast_two_sum(a, f64_div(p, f64_add(D_ONE, f64_sqrt(f64_add(D_ONE, p)))));
    let u = d_two_sum(D_ONE, t.h);
    let y = d_log_sum(select(u.h, ax, large), select(f64_add(u.l, t.l), D_ZERO, large), select(D_ZERO, D_ONE, large));
    return f64_copysign(y, x);
}

fn f64_acosh(x: vec2<u32>) -> vec2<u32> {
    if !f64_le(D_ONE, x) { return F64_NAN; }
    if f64_isinf(x) { return x; }
    let large = f64_lt(LARGE, x);
    let a = select(x, D(2.0), large);
    let t = f64_sub(a, D(1.0));
    let b = d_fast_two_sum(a, D_ONE);
    let s = d_two_prod(t, b.h);
    let r = f64_sqrt(s.h);
    let low = f64_div(f64_add(d_residual(r, r, s.h), d_mad(t, b.l, s.l)), f64_add(r, r));
    let rl = select(D_ZERO, low, f64_lt(D_ZERO, r));
    let w = d_two_sum(t, r);
    let u = d_two_sum(D_ONE, w.h);
    return d_log_sum(select(u.h, x, large), select(f64_add(u.l, f64_add(w.l, rl)), D_ZERO, large), select(D_ZERO, D_ONE, large));
}

fn f64_atanh(x: vec2<u32>) -> vec2<u32> {
    let ax = f64_abs(x);
    if f64_eq(ax, D_ONE) { return f64_copysign(F64_INF, x); }
    if !f64_lt(ax, D_ONE) { return F64_NAN; }
    let d = d_fast_two_sum(D_ONE, f64_neg(ax));
    let t = d_ratio(Sum(f64_add(ax, ax), D_ZERO), d);
    let u = d_two_sum(D_ONE, t.h);
    return f64_copysign(f64_mul(D(0.5), d_log_sum(u.h, f64_add(u.l, t.l), D_ZERO)), x);
}
