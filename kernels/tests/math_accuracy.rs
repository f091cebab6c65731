//! The elementary functions against correctly rounded values (made by `data/generate.py`), in vectorized loops, with
//! and without FMA.

use blockwise_kernels::math::{Fma, Hard, Soft};
use pulp::{Arch, Simd, WithSimd};

/// One function's arguments and exact results.
struct Reference<T> {
    name: String,
    args: [Vec<T>; 2],
    /// Nearest floats.
    values: Vec<T>,
    /// Exact result less the nearest float, in ulps.
    rest: Vec<f64>,
}

trait Float: Copy + PartialEq + std::fmt::Debug + 'static {
    const SIZE: usize;
    fn read(bytes: &[u8]) -> Self;
    fn wide(self) -> f64;
    fn narrow(x: f64) -> Self;
    /// The place of a number in the order of all.
    fn rank(self) -> i128;
    fn is_negative(self) -> bool;
    fn nextafter_slice(a: &[Self], b: &[Self], out: &mut [Self]);
}

macro_rules! float {
    ($T:ident) => {
        impl Float for $T {
            const SIZE: usize = size_of::<$T>();
            fn read(bytes: &[u8]) -> $T {
                $T::from_le_bytes(bytes.try_into().unwrap())
            }
            fn wide(self) -> f64 {
                self as f64
            }
            fn narrow(x: f64) -> $T {
                x as $T
            }
            fn rank(self) -> i128 {
                let magnitude = self.abs().to_bits() as i128;
                if self.is_sign_negative() { -magnitude } else { magnitude }
            }
            fn is_negative(self) -> bool {
                self.is_sign_negative()
            }
            fn nextafter_slice(a: &[$T], b: &[$T], out: &mut [$T]) {
                blockwise_kernels::math::$T::nextafter_slice::<Hard>(a, b, out)
            }
        }
    };
}
float!(f32);
float!(f64);

fn load<T: Float>(mut b: &[u8]) -> Vec<Reference<T>> {
    fn take<'a>(b: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (head, tail) = b.split_at(n);
        *b = tail;
        head
    }
    let mut all = Vec::new();
    while !b.is_empty() {
        let n = take(&mut b, 1)[0] as usize;
        let name = String::from_utf8(take(&mut b, n).to_vec()).unwrap();
        let arity = take(&mut b, 1)[0] as usize;
        let count = u32::from_le_bytes(take(&mut b, 4).try_into().unwrap());
        let mut r = Reference { name, args: [vec![], vec![]], values: vec![], rest: vec![] };
        for _ in 0..count {
            for a in &mut r.args[..arity] {
                a.push(T::read(take(&mut b, T::SIZE)));
            }
            r.values.push(T::read(take(&mut b, T::SIZE)));
            r.rest.push(i16::from_le_bytes(take(&mut b, 2).try_into().unwrap()) as f64 / 65535.0);
        }
        all.push(r);
    }
    all
}

/// Runs one function over slices inside an instruction set's loop.
struct Run<'a, T, F> {
    name: &'a str,
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
    fma: F,
}

macro_rules! run {
    ($T:ident, $F:ty: $($unary:ident $us:ident,)* ; $($binary:ident $bs:ident,)*) => {
        impl WithSimd for Run<'_, $T, $F> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                match self.name {
                    $(stringify!($unary) => {
                        struct One<'a>(&'a [$T], &'a mut [$T]);
                        impl pulp::NullaryFnOnce for One<'_> {
                            type Output = ();
                            #[inline(always)]
                            fn call(self) {
                                blockwise_kernels::math::$T::$us::<$F>(self.0, self.1)
                            }
                        }
                        simd.vectorize(One(self.a, self.out))
                    })*
                    $(stringify!($binary) => {
                        struct Two<'a>(&'a [$T], &'a [$T], &'a mut [$T]);
                        impl pulp::NullaryFnOnce for Two<'_> {
                            type Output = ();
                            #[inline(always)]
                            fn call(self) {
                                blockwise_kernels::math::$T::$bs::<$F>(self.0, self.1, self.2)
                            }
                        }
                        simd.vectorize(Two(self.a, self.b, self.out))
                    })*
                    other => panic!("no function {other}"),
                }
                let _ = self.fma;
            }
        }
    };
}
macro_rules! run_all {
    ($($T:ident $F:ty,)*) => {$(
        run! { $T, $F:
            exp exp_slice, exp2 exp2_slice, expm1 expm1_slice,
            log log_slice, log2 log2_slice, log10 log10_slice, log1p log1p_slice,
            sin sin_slice, cos cos_slice, tan tan_slice,
            asin asin_slice, acos acos_slice, atan atan_slice,
            sinh sinh_slice, cosh cosh_slice, tanh tanh_slice,
            asinh asinh_slice, acosh acosh_slice, atanh atanh_slice, cbrt cbrt_slice,
            ;
            atan2 atan2_slice, hypot hypot_slice, pow pow_slice,
            logaddexp logaddexp_slice, logaddexp2 logaddexp2_slice, nextafter nextafter_slice,
        }
    )*};
}
run_all! { f32 Hard, f32 Soft, f64 Hard, f64 Soft, }

const UNARY: [&str; 20] = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt",
];

/// Error of `got` in ulps of the exact result; infinite if one is NaN, infinite or a signed zero and the other not.
fn ulps<T: Float>(got: T, want: T, rest: f64) -> f64 {
    let (g, w) = (got.wide(), want.wide());
    if g.is_nan() || w.is_nan() {
        return if g.is_nan() && w.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let exact_special = w.is_infinite() || w == 0.0 && rest == 0.0;
    if exact_special && (g != w || got.is_negative() != want.is_negative()) {
        return f64::INFINITY;
    }
    ((got.rank() - want.rank()) as f64 - rest).abs()
}

/// The instruction sets of this machine besides the widest.
fn arches() -> Vec<Arch> {
    let all = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    let all = [all, pulp::x86::V3::try_new().map(Arch::V3).into_iter().collect()].concat();
    all
}

fn check<T: Float, F: Fma + Default>(data: &[u8], fma: &str, bar: f64)
where
    for<'a> Run<'a, T, F>: WithSimd<Output = ()>,
{
    let mut failed = String::new();
    println!("largest error in ulps, {fma}");
    for r in load::<T>(data) {
        let apply = |arch: Arch, a: &[T], b: &[T]| {
            let mut out = vec![T::narrow(0.5); a.len()];
            arch.dispatch(Run { name: &r.name, a, b, out: &mut out, fma: F::default() });
            out
        };
        let [a, b] = &r.args;
        let out = apply(Arch::new(), a, b);
        let same = |other: &[T], how: &str| {
            let differ = (0..out.len()).find(|&i| ulps(other[i], out[i], 0.0) != 0.0);
            assert_eq!(differ.map(|i| (a[i], other[i], out[i])), None, "{}: {how}", r.name);
        };
        for arch in arches() {
            same(&apply(arch, a, b), "another instruction set, other bits");
        }
        let backwards = |x: &[T]| -> Vec<T> { x.iter().rev().copied().collect() };
        same(&backwards(&apply(Arch::new(), &backwards(a), &backwards(b))), "another place, other bits");
        let (mut worst, mut at) = (0.0, 0);
        for (i, got) in out.iter().enumerate() {
            let mut e = ulps(*got, r.values[i], r.rest[i]);
            if r.name.starts_with("logaddexp") && got.wide().is_finite() && e.is_finite() {
                // Relative to the larger operand, where the two terms of the sum cancel.
                let x = r.args[0][i].wide().max(r.args[1][i].wide()).abs();
                e *= r.values[i].wide().abs().max(f64::MIN_POSITIVE)
                    / x.max(r.values[i].wide().abs()).max(f64::MIN_POSITIVE);
            }
            if e > worst {
                (worst, at) = (e, i);
            }
        }
        let args: Vec<_> = r.args.iter().filter_map(|a| a.get(at)).collect();
        println!("{:10} {worst:.3} at {args:?}", r.name);
        if worst > bar {
            failed += &format!("{} {args:?}: {:?}, not {:?} ({worst} ulps)\n", r.name, out[at], r.values[at]);
        }
    }
    assert!(failed.is_empty(), "{fma}:\n{failed}");
}

const F32: &[u8] = include_bytes!("data/math_f32.bin");
const F64: &[u8] = include_bytes!("data/math_f64.bin");

#[test]
fn f32_with_fma() {
    check::<f32, Hard>(F32, "f32 with FMA", 1.5);
}

#[test]
fn f32_without_fma() {
    check::<f32, Soft>(F32, "f32 without FMA", 1.5);
}

#[test]
fn f64_with_fma() {
    check::<f64, Hard>(F64, "f64 with FMA", 2.0);
}

#[test]
fn f64_without_fma() {
    check::<f64, Soft>(F64, "f64 without FMA", 2.0);
}

/// A walk over all f32 against the f64 function, whose error is a billionth of an f32's ulp.
fn walk<F: Fma + Default>()
where
    for<'a> Run<'a, f32, F>: WithSimd<Output = ()>,
{
    let x: Vec<f32> = (0..=u32::MAX).step_by(1021).map(f32::from_bits).collect();
    let wide: Vec<f64> = x.iter().map(|&x| x as f64).collect();
    let (mut out, mut exact) = (vec![0f32; x.len()], vec![0f64; x.len()]);
    for name in UNARY {
        Arch::new().dispatch(Run { name, a: &x, b: &x, out: &mut out, fma: F::default() });
        Arch::new().dispatch(Run { name, a: &wide, b: &wide, out: &mut exact, fma: Hard });
        let (mut worst, mut at) = (0.0, 0);
        for i in 0..x.len() {
            let want = exact[i] as f32;
            let rest = if want.is_finite() && want != 0.0 {
                let ulp = f32::from_bits((want.to_bits() & 0x7fff_ffff) + 1) as f64 - want.abs() as f64;
                (exact[i] - want as f64) / ulp
            } else {
                0.0
            };
            let e = ulps(out[i], want, rest);
            if e > worst {
                (worst, at) = (e, i);
            }
        }
        println!("{name:10} {worst:.3} at {:?}", x[at]);
        assert!(worst <= 1.5, "{name}({:?}) = {:?}, not {:?}: {worst} ulps", x[at], out[at], exact[at]);
    }
}

#[test]
fn every_1021st_f32_with_fma() {
    walk::<Hard>();
}

#[test]
fn every_1021st_f32_without_fma() {
    walk::<Soft>();
}

fn exact_cases<T: Float, F: Fma + Default>()
where
    for<'a> Run<'a, T, F>: WithSimd<Output = ()>,
{
    let apply = |name: &str, a: f64, b: f64| -> f64 {
        let (a, b) = (vec![T::narrow(a); 40], vec![T::narrow(b); 40]);
        let mut out = a.clone();
        Arch::new().dispatch(Run { name, a: &a, b: &b, out: &mut out, fma: F::default() });
        assert!(out.iter().all(|x| x.rank() == out[0].rank()), "{name} depends on the lane");
        out[0].wide()
    };
    let is = |name: &str, a: f64, b: f64, want: f64| {
        let got = apply(name, a, b);
        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
        assert!(same, "{name}({a:?}, {b:?}) = {got:?}, not {want:?}");
    };
    let (digits, lowest, highest) = if T::SIZE == 4 { (24, -149, 127) } else { (53, -1074, 1023) };
    is("exp", 0.0, 0.0, 1.0);
    is("cosh", 0.0, 0.0, 1.0);
    is("cos", 0.0, 0.0, 1.0);
    is("log", 1.0, 0.0, 0.0);
    is("acos", 1.0, 0.0, 0.0);
    is("acosh", 1.0, 0.0, 0.0);
    for odd in ["sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "cbrt", "expm1", "log1p"] {
        is(odd, 0.0, 0.0, 0.0);
        is(odd, -0.0, 0.0, -0.0);
    }
    for k in lowest..=highest {
        is("exp2", k as f64, 0.0, (k as f64).exp2());
        is("log2", (k as f64).exp2(), 0.0, k as f64);
        is("pow", 2.0, k as f64, (k as f64).exp2());
    }
    for k in 0..if T::SIZE == 4 { 11 } else { 23 } {
        is("log10", 10f64.powi(k), 0.0, k as f64);
    }
    for k in 0..=if T::SIZE == 4 { 255 } else { 2000 } {
        let k = k as f64;
        is("cbrt", k * k * k, 0.0, k);
        is("cbrt", -k * k * k, 0.0, -k);
        is("hypot", 3.0 * k, 4.0 * k, 5.0 * k);
    }
    for x in [0.1, 1.5, 3e-30, 7e20, -0.3, -123.25, 1e-44] {
        let t = T::narrow(x).wide();
        is("pow", x, 1.0, t);
        is("pow", x, 2.0, T::narrow(t * t).wide());
        is("pow", x, 0.0, 1.0);
    }
    let odd = 2f64.powi(digits) - 1.0;
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    for (x, y, z) in [
        (1.0, nan, 1.0),
        (nan, 0.0, 1.0),
        (nan, 1.0, nan),
        (-8.0, 1.0 / 3.0, nan),
        (-1.0, odd, -1.0),
        (-1.0, 2.0 * odd, 1.0),
        (-1.0, inf, 1.0),
        (-1.0, -inf, 1.0),
        (-2.0, 3.0, -8.0),
        (-0.0, -3.0, -inf),
        (-0.0, -2.0, inf),
        (-0.0, 3.0, -0.0),
        (-0.0, 0.5, 0.0),
        (-inf, 3.0, -inf),
        (-inf, 2.5, inf),
        (-inf, -3.0, -0.0),
        (0.5, inf, 0.0),
        (0.5, -inf, inf),
        (1.5, inf, inf),
        (1.5, -inf, 0.0),
        (0.0, inf, 0.0),
    ] {
        is("pow", x, y, z);
    }
    is("hypot", inf, nan, inf);
    is("hypot", nan, -inf, inf);
    is("hypot", nan, 1.0, nan);
    for name in ["logaddexp", "logaddexp2"] {
        is(name, -inf, -inf, -inf);
        is(name, inf, inf, inf);
        is(name, -inf, 3.0, 3.0);
        is(name, inf, -inf, inf);
        is(name, inf, nan, nan);
        is(name, nan, -inf, nan);
    }
    is("logaddexp2", 5.0, 5.0, 6.0);
}

#[test]
fn exact_and_special_values() {
    exact_cases::<f32, Hard>();
    exact_cases::<f32, Soft>();
    exact_cases::<f64, Hard>();
    exact_cases::<f64, Soft>();
}

#[test]
fn neighbours() {
    fn walk<T: Float>(least: f64, top: f64) {
        let next = |a: f64, b: f64| {
            let mut out = [T::narrow(0.0)];
            T::nextafter_slice(&[T::narrow(a)], &[T::narrow(b)], &mut out);
            out[0].wide()
        };
        assert_eq!(next(0.0, 1.0), least);
        assert_eq!(next(0.0, -1.0), -least);
        assert!(next(least, -1.0) == 0.0 && next(least, -1.0).is_sign_positive());
        assert!(next(-least, 1.0) == 0.0 && next(-least, 1.0).is_sign_negative());
        assert_eq!(next(top, f64::INFINITY), f64::INFINITY);
        assert_eq!(next(f64::INFINITY, 0.0), top);
        assert_eq!(next(-top, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(next(2.0, 2.0), 2.0);
        assert!(next(0.0, -0.0).is_sign_negative());
        assert!(next(f64::NAN, 1.0).is_nan() && next(1.0, f64::NAN).is_nan());
        assert_eq!(next(1.0, 2.0) - 1.0, 2.0 * (1.0 - next(1.0, 0.0)));
    }
    walk::<f32>(f32::from_bits(1) as f64, f32::MAX as f64);
    walk::<f64>(f64::from_bits(1), f64::MAX);
}
