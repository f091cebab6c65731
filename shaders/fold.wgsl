// Parts of folds that are more than one operation.

// So many numbers: the sum of their deviations from a shift, which is one of them, and of the squares of these. Nothing cancels that is not
// small beside what is left, however far from 0 the numbers are.
struct Moments { shift: vec2<u32>, off: vec2<u32>, squares: vec2<u32>, n: u32 }

// One more. Infinities deviate by NaN from themselves.
fn moments_push(a: Moments, x: vec2<u32>) -> Moments {
    let shift = select(a.shift, x, a.n == 0u);
    let d = f64_sub(x, shift);
    return Moments(shift, f64_add(a.off, d), f64_add(a.squares, f64_mul(d, d)), a.n + 1u);
}

// Two sets as one, about the shift of the first.
fn moments_merge(a: Moments, b: Moments) -> Moments {
    if a.n == 0u { return b; }
    if b.n == 0u { return a; }
    let d = f64_sub(b.shift, a.shift);
    let moved = f64_mul(f64_from_u32(b.n), d);
    let squares = f64_add(b.squares, f64_mul(d, f64_add(f64_add(b.off, b.off), moved)));
    return Moments(a.shift, f64_add(a.off, f64_add(b.off, moved)), f64_add(a.squares, squares), a.n + b.n);
}

// No element
const NONE = 0xffffffffu;

// Whether candidate b of an arg-fold beats a: `ahead` if its value does, `behind` if a's does, `earlier` if its place is.
fn better(nan_a: bool, nan_b: bool, ahead: bool, behind: bool, earlier: bool) -> bool {
    if nan_a != nan_b { return nan_b; }
    return select(ahead || (!behind && earlier), earlier, nan_a);
}
