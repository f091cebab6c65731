// Parts of folds that are more than one operation.

// m2, mean and count of numbers.
struct Moments { m2: vec2<u32>, mean: vec2<u32>, n: u32 }

// Two sets of numbers as one (Chan, Golub and LeVeque 1979).
fn chan(a: Moments, b: Moments) -> Moments {
    if a.n == 0u { return b; }
    if b.n == 0u { return a; }
    let n = a.n + b.n;
    let delta = f64_sub(b.mean, a.mean);
    let share = f64_div(f64_from_u32(b.n), f64_from_u32(n));
    let between = f64_mul(f64_mul(delta, delta), f64_mul(f64_from_u32(a.n), share));
    return Moments(f64_add(f64_add(a.m2, b.m2), between), f64_add(a.mean, f64_mul(delta, share)), n);
}

// A number by itself: it deviates by 0 from its mean, infinities and NaN by NaN.
fn moments_of(x: vec2<u32>) -> Moments {
    return Moments(select(F64_NAN, vec2<u32>(0u, 0u), f64_isfinite(x)), x, 1u);
}

// No element
const NONE = 0xffffffffu;

// Whether candidate b of an arg-fold beats a: `ahead` if its value does, `behind` if a's does, `earlier` if its place is.
fn better(nan_a: bool, nan_b: bool, ahead: bool, behind: bool, earlier: bool) -> bool {
    if nan_a != nan_b { return nan_b; }
    return select(ahead || (!behind && earlier), earlier, nan_a);
}
