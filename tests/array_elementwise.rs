//! Functions of elements against Rust's own arithmetic, NumPy's promotion tables and broadcasting by loops.

mod common;

use blockwise::dtype::{Element, Scalar};
use blockwise::prelude::*;
use common::{Rng, computed, from_index, numbered, rechunked};
use ndarray::{ArrayD, IxDyn};

/// The code of a dtype in NumPy's tables, in the order of `DType::ALL`.
const CODES: &str = "?bhiqBHIQefd";

fn dtype(code: char) -> DType {
    DType::ALL[CODES.find(code).expect("a code")]
}

/// `np.result_type(row, column)`, from NumPy 2.
const PROMOTION: [&str; 12] = [
    "?bhiqBHIQefd",
    "bbhiqhiqdefd",
    "hhhiqhiqdffd",
    "iiiiqiiqdddd",
    "qqqqqqqqdddd",
    "BhhiqBHIQefd",
    "HiiiqHHIQffd",
    "IqqqqIIIQddd",
    "QddddQQQQddd",
    "eefddefddefd",
    "fffddffddffd",
    "dddddddddddd",
];

fn each_pair(mut f: impl FnMut(DType, DType, DType)) {
    for (row, line) in PROMOTION.iter().enumerate() {
        for (col, code) in line.chars().enumerate() {
            f(DType::ALL[row], DType::ALL[col], dtype(code));
        }
    }
}

fn ones(d: DType) -> Array {
    Array::ones(&[3], d)
}

fn is_dtype_error(x: &Array) -> bool {
    x.expr().is_err_and(|e| matches!(e.kind(), ErrorKind::DType { .. }))
}

#[test]
fn arithmetic_meets_in_numpys_dtype() {
    each_pair(|a, b, both| {
        let (x, y) = (ones(a), ones(b));
        assert_eq!((&x + &y).dtype(), both, "{a} + {b}");
        assert_eq!((&x * &y).dtype(), both, "{a} * {b}");
        assert_eq!(x.minimum(&y).dtype(), both);
        assert_eq!(concatenate(&[x.clone(), y.clone()], 0).dtype(), both);
        assert_eq!(where_(true, &x, &y).dtype(), both);
        let divided = if both.is_float() { both } else { F64 };
        assert_eq!((&x / &y).dtype(), divided, "{a} / {b}");
        assert_eq!(x.lt(&y).dtype(), Bool);
        // bool has no subtraction; its quotients, remainders and powers are int8, functions of reals float16
        if both == Bool {
            assert!(is_dtype_error(&(&x - &y)));
        } else {
            assert_eq!((&x - &y).dtype(), both);
        }
        let counted = if both == Bool { I8 } else { both };
        for z in [x.floor_divide(&y), x.remainder(&y), x.fmod(&y), x.power(&y)] {
            assert_eq!(z.dtype(), counted, "{a} {b}");
        }
        let real = match both {
            Bool | I8 | U8 => F16,
            I16 | U16 => F32,
            d if d.is_float() => d,
            _ => F64,
        };
        for z in [x.arctan2(&y), x.hypot(&y), x.copysign(&y), x.logaddexp(&y)] {
            // NumPy picks the loop for each operand's own needs: an int32 forces f64 even where the other is narrow
            assert_eq!(z.dtype(), real, "{a} {b}");
        }
        if both.is_float() {
            assert!(is_dtype_error(&(&x & &y)));
            assert!(is_dtype_error(&(&x << &y)));
        } else {
            assert_eq!((&x & &y).dtype(), both);
            assert_eq!((&x << &y).dtype(), counted);
        }
        // and the values are right too
        assert_eq!(computed_as_f64(&(&x + &y)), vec![if both == Bool { 1.0 } else { 2.0 }; 3], "{a} + {b}");
        assert_eq!(computed_as_f64(&(&x / &y)), [1.0; 3]);
        assert_eq!(computed_as_f64(&x.equal(&y)), [1.0; 3]);
    });
}

fn computed_as_f64(x: &Array) -> Vec<f64> {
    computed::<f64>(&x.cast(F64)).into_iter().collect()
}

#[test]
fn numbers_take_the_arrays_dtype_unless_their_kind_is_higher() {
    for d in DType::ALL {
        let x = ones(d);
        assert_eq!((&x + 1).dtype(), if d == Bool { I64 } else { d }, "{d} + 1");
        assert_eq!((1u8 + &x).dtype(), if d == Bool { I64 } else { d });
        assert_eq!((&x * 2.5).dtype(), if d.is_float() { d } else { F64 }, "{d} * 2.5");
        assert_eq!((&x + true).dtype(), d);
        assert_eq!((&x / 2).dtype(), if d.is_float() { d } else { F64 });
        assert_eq!(computed_as_f64(&(&x + 2)), [3.0; 3]);
    }
    // numbers that the dtype cannot hold
    for (x, n) in [
        (ones(U8), -1i64),
        (ones(U8), 256),
        (ones(I8), 128),
        (ones(I8), -129),
        (ones(U64), -1),
        (ones(I16), 1 << 15),
    ] {
        let e = (&x + n).expr().map(|_| ()).expect_err("does not fit");
        assert!(matches!(e.kind(), ErrorKind::InvalidArgument { .. }), "{e}");
        assert!(e.to_string().contains(&n.to_string()), "{e}");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_elementwise.rs")), "{e}");
    }
    assert!((ones(I64) + u64::MAX).expr().is_err());
    assert_eq!(computed::<u64>(&(ones(U64) + (u64::MAX - 1))).as_slice(), Some(&[u64::MAX; 3][..]));
}

/// NumPy 2 compares with a Python integer of any size exactly.
#[test]
fn comparing_with_numbers_out_of_range_is_exact() {
    let x = Array::from_vec(vec![0u8, 7, 255]);
    let always = |x: Array| computed::<bool>(&x).into_iter().collect::<Vec<_>>();
    assert_eq!(always(x.lt(300)), [true; 3]);
    assert_eq!(always(x.le(300)), [true; 3]);
    assert_eq!(always(x.gt(300)), [false; 3]);
    assert_eq!(always(x.ge(-1)), [true; 3]);
    assert_eq!(always(x.lt(-1)), [false; 3]);
    assert_eq!(always(x.equal(256)), [false; 3]);
    assert_eq!(always(x.not_equal(256)), [true; 3]);
    let y = Array::from_vec(vec![u64::MAX, 0, 1 << 63]);
    assert_eq!(always(y.gt(-5)), [true; 3]);
    let z = Array::from_vec(vec![i64::MIN, -1, i64::MAX]);
    assert_eq!(always(z.lt(u64::MAX)), [true; 3]);
    assert_eq!(always(z.equal(u64::MAX)), [false; 3]);
}

/// Values of a dtype that find mistakes.
trait Sample: Element {
    fn sample() -> Vec<Self>;
}

macro_rules! sample_int {
    ($($T:ty)*) => {$(
        impl Sample for $T {
            fn sample() -> Vec<$T> {
                #[allow(unused_comparisons, reason = "unsigned types too")]
                let negative = <$T>::MIN < 0;
                let minus = if negative { [(0 as $T).wrapping_sub(1), (0 as $T).wrapping_sub(7)] } else { [9, 120] };
                vec![0, 1, 2, 3, 5, 7, 8, 100, minus[0], minus[1], <$T>::MIN, <$T>::MAX, <$T>::MAX - 1, <$T>::MAX / 2]
            }
        }
    )*};
}
sample_int!(i8 i16 i32 i64 u8 u16 u32 u64);

macro_rules! sample_float {
    ($($T:ty)*) => {$(
        impl Sample for $T {
            fn sample() -> Vec<$T> {
                let plain = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 100.25, -7.0, 3.0, 1e-3, 6.0e4];
                let mut out: Vec<$T> = plain.iter().map(|&x| <f64 as Into<Scalar>>::into(x).cast(<$T as Element>::DTYPE).get().unwrap()).collect();
                out.extend([<$T>::NAN, <$T>::INFINITY, <$T>::NEG_INFINITY, <$T>::MAX, <$T>::MIN, <$T>::MIN_POSITIVE, <$T>::EPSILON]);
                out
            }
        }
    )*};
}
sample_float!(f16 f32 f64);

/// Every pair of sample values, as two arrays cut differently, and as values.
fn pairs<T: Sample>() -> (Array, Array, Vec<(T, T)>) {
    let all: Vec<(T, T)> =
        T::sample().iter().flat_map(|a| T::sample().into_iter().map(move |b| (*a, b))).collect();
    let (a, b): (Vec<T>, Vec<T>) = all.iter().copied().unzip();
    (Array::from_vec(a).rechunk(17), Array::from_vec(b).rechunk(23), all)
}

/// Equal, NaN to NaN; -0.0 and 0.0 are one number unless the caller looks at bits.
fn same(a: Scalar, b: Scalar) -> bool {
    a == b
        || a.dtype() == b.dtype() && a.dtype().is_float() && {
            let (x, y) = (a.as_f64(), b.as_f64());
            x == y || x.is_nan() && y.is_nan()
        }
}

fn check<T: Element, R: Element>(name: &str, got: &Array, all: &[T], want: impl Fn(T) -> R) {
    let got = computed::<R>(got);
    for (g, x) in got.iter().zip(all) {
        let w = want(*x).to_scalar();
        assert!(same(g.to_scalar(), w), "{name} {x:?}: got {g:?}, want {w}");
    }
}

fn check2<T: Element, R: Element>(name: &str, got: &Array, all: &[(T, T)], want: impl Fn(T, T) -> R) {
    let got = computed::<R>(got);
    for (g, &(a, b)) in got.iter().zip(all) {
        let w = want(a, b).to_scalar();
        assert!(same(g.to_scalar(), w), "{name} of {a:?} and {b:?}: got {g:?}, want {w}");
    }
}

macro_rules! integers {
    ($($test:ident $T:ty;)*) => {$(
        #[test]
        fn $test() {
            type T = $T;
            let (x, y, all) = pairs::<T>();
            let bits = T::BITS as i128;
            check2("add", &(&x + &y), &all, |a, b| a.wrapping_add(b));
            check2("sub", &(&x - &y), &all, |a, b| a.wrapping_sub(b));
            check2("mul", &(&x * &y), &all, |a, b| a.wrapping_mul(b));
            check2("div", &(&x / &y), &all, |a, b| a as f64 / b as f64);
            // Python's rules in wide integers; a zero divisor gives 0
            check2("floordiv", &(x.floor_divide(&y)), &all, |a, b| match b {
                0 => 0 as T,
                _ => {
                    let (p, q) = (a as i128, b as i128);
                    (p.div_euclid(q) - i128::from(q < 0 && p.rem_euclid(q) != 0)) as T
                }
            });
            check2("rem", &(x.remainder(&y)), &all, |a, b| match b {
                0 => 0 as T,
                _ => {
                    let (p, q) = (a as i128, b as i128);
                    (((p % q) + q) % q) as T
                }
            });
            check2("fmod", &(x.fmod(&y)), &all, |a, b| if b == 0 { 0 as T } else { (a as i128 % b as i128) as T });
            check2("min", &(x.minimum(&y)), &all, |a, b| if a < b { a } else { b });
            check2("max", &(x.maximum(&y)), &all, |a, b| if a > b { a } else { b });
            check2("and", &(&x & &y), &all, |a, b| a & b);
            check2("or", &(&x | &y), &all, |a, b| a | b);
            check2("xor", &(&x ^ &y), &all, |a, b| a ^ b);
            check2("shl", &(&x << &y), &all, |a, b| {
                if (0..bits).contains(&(b as i128)) { ((a as i128) << (b as i128).min(64)) as T } else { 0 as T }
            });
            check2("shr", &(&x >> &y), &all, |a, b| {
                if (0..bits).contains(&(b as i128)) {
                    (a as i128 >> (b as i128)) as T
                } else {
                    (if (a as i128) < 0 { -1i128 } else { 0 }) as T
                }
            });
            check2("lt", &(x.lt(&y)), &all, |a, b| a < b);
            check2("le", &(x.le(&y)), &all, |a, b| a <= b);
            check2("gt", &(x.gt(&y)), &all, |a, b| a > b);
            check2("ge", &(x.ge(&y)), &all, |a, b| a >= b);
            check2("eq", &(x.equal(&y)), &all, |a, b| a == b);
            check2("ne", &(x.not_equal(&y)), &all, |a, b| a != b);
            check2("logical_and", &(x.logical_and(&y)), &all, |a, b| a != 0 && b != 0);
            check2("logical_xor", &(x.logical_xor(&y)), &all, |a, b| (a != 0) != (b != 0));
            check2("where", &(where_(x.lt(&y), &x, &y)), &all, |a, b| if a < b { a } else { b });
            check2("clip", &(x.clip(3, 90)), &all, |a, _b| a.clamp(3, 90));
            check2("mul_add", &(x.mul_add(&y, &x)), &all, |a, b| a.wrapping_mul(b).wrapping_add(a));
            let one: Vec<T> = T::sample();
            let v = Array::from_vec(one.clone()).rechunk(3);
            check("neg", &-&v, &one, |a| (a as i128).wrapping_neg() as T);
            check("abs", &v.abs(), &one, |a| (a as i128).unsigned_abs() as T);
            check("sign", &v.sign(), &one, |a| (a as i128).signum() as T);
            check("not", &!&v, &one, |a| !a);
            check("square", &v.square(), &one, |a| a.wrapping_mul(a));
            check("floor", &v.floor(), &one, |a| a);
            check("isnan", &v.isnan(), &one, |_| false);
            check("isfinite", &v.isfinite(), &one, |_| true);
            check("nan_to_num", &v.nan_to_num(), &one, |a| a);
            check("logical_not", &v.logical_not(), &one, |a| a == 0);
            check("round", &v.round(2), &one, |a| a);
            let powers = v.power(3);
            check("power", &powers, &one, |a| a.wrapping_mul(a).wrapping_mul(a));
        }
    )*};
}
integers! {
    of_i8 i8; of_i16 i16; of_i32 i32; of_i64 i64; of_u8 u8; of_u16 u16; of_u32 u32; of_u64 u64;
}

fn up(x: f16) -> f64 {
    x.to_f64()
}

macro_rules! floats {
    ($($test:ident $T:ty, $up:expr, $down:expr;)*) => {$(
        #[test]
        fn $test() {
            type T = $T;
            let (up, down) = ($up, $down);
            let (x, y, all) = pairs::<T>();
            check2("add", &(&x + &y), &all, |a, b| a + b);
            check2("sub", &(&x - &y), &all, |a, b| a - b);
            check2("mul", &(&x * &y), &all, |a, b| a * b);
            check2("div", &(&x / &y), &all, |a, b| a / b);
            check2("fmod", &(x.fmod(&y)), &all, |a, b| down(up(a) % up(b)));
            check2("rem", &(x.remainder(&y)), &all, |a, b| {
                let r = up(a) % up(b);
                down(if r != 0.0 && (r < 0.0) != (up(b) < 0.0) { r + up(b) } else { r })
            });
            check2("min", &(x.minimum(&y)), &all, |a, b| if a.is_nan() || a < b { a } else { b });
            check2("max", &(x.maximum(&y)), &all, |a, b| if a.is_nan() || a > b { a } else { b });
            check2("fmin", &(x.fmin(&y)), &all, |a, b| if b.is_nan() || a < b { a } else { b });
            check2("fmax", &(x.fmax(&y)), &all, |a, b| if b.is_nan() || a > b { a } else { b });
            check2("lt", &(x.lt(&y)), &all, |a, b| a < b);
            check2("ge", &(x.ge(&y)), &all, |a, b| a >= b);
            check2("eq", &(x.equal(&y)), &all, |a, b| a == b);
            check2("ne", &(x.not_equal(&y)), &all, |a, b| a != b);
            check2("logical_or", &(x.logical_or(&y)), &all, |a, b| up(a) != 0.0 || up(b) != 0.0);
            check2("copysign", &(x.copysign(&y)), &all, |a, b| down(up(a).copysign(up(b))));
            check2("clip", &(x.clip(-1.5, 3.0)), &all, |a, _b| {
                if up(a) < -1.5 { down(-1.5) } else if up(a) > 3.0 { down(3.0) } else { a }
            });
            check2("isclose", &(x.isclose(&y, 0.0, 0.25, true)), &all, |a, b| {
                let (p, q) = (up(a), up(b));
                p == q || p.is_nan() && q.is_nan() || q.is_finite() && up(down(p - q)).abs() <= 0.25
            });
            check2("isclose without NaN", &(x.isclose(&y, 0.0, 0.25, false)), &all, |a, b| {
                let (p, q) = (up(a), up(b));
                p == q || q.is_finite() && up(down(p - q)).abs() <= 0.25
            });
            let one: Vec<T> = T::sample();
            let v = Array::from_vec(one.clone()).rechunk(4);
            check("neg", &-&v, &one, |a| -a);
            check("abs", &v.abs(), &one, |a| down(up(a).abs()));
            check("sign", &v.sign(), &one, |a| {
                if a.is_nan() { a } else { down(f64::from(i8::from(up(a) > 0.0) - i8::from(up(a) < 0.0))) }
            });
            check("sqrt", &v.sqrt(), &one, |a| down(up(a).sqrt()));
            check("square", &v.square(), &one, |a| a * a);
            check("reciprocal", &v.reciprocal(), &one, |a| down(1.0) / a);
            check("floor", &v.floor(), &one, |a| down(up(a).floor()));
            check("ceil", &v.ceil(), &one, |a| down(up(a).ceil()));
            check("trunc", &v.trunc(), &one, |a| down(up(a).trunc()));
            check("rint", &v.rint(), &one, |a| down(up(a).round_ties_even()));
            check("isnan", &v.isnan(), &one, |a| a.is_nan());
            check("isinf", &v.isinf(), &one, |a| a.is_infinite());
            check("isfinite", &v.isfinite(), &one, |a| a.is_finite());
            check("signbit", &v.signbit(), &one, |a| a.is_sign_negative());
            check("nan_to_num", &v.nan_to_num(), &one, |a| {
                if a.is_nan() { down(0.0) } else if a == T::INFINITY { T::MAX } else if a == T::NEG_INFINITY { T::MIN } else { a }
            });
            // signs of zeros survive, to the bit
            let zeros = computed::<T>(&Array::from_vec(vec![down(-0.0), down(0.0)]));
            assert_eq!(zeros[0].to_bits(), down(-0.0).to_bits());
            let negated = computed::<T>(&-Array::from_vec(vec![down(0.0)]));
            assert_eq!(negated[0].to_bits(), down(-0.0).to_bits());
        }
    )*};
}
floats! {
    of_f16 f16, up, |x: f64| f16::from_f64(x);
    of_f32 f32, |x: f32| f64::from(x), |x: f64| x as f32;
    of_f64 f64, |x: f64| x, |x: f64| x;
}

/// A function in the library, in std, and values in its domain.
type Function = (&'static str, fn(&Array) -> Array, fn(f64) -> f64);

#[test]
fn functions_of_reals() {
    let functions: [Function; 22] = [
        ("exp", Array::exp, f64::exp),
        ("exp2", Array::exp2, f64::exp2),
        ("expm1", Array::expm1, f64::exp_m1),
        ("log", Array::log, f64::ln),
        ("log2", Array::log2, f64::log2),
        ("log10", Array::log10, f64::log10),
        ("log1p", Array::log1p, f64::ln_1p),
        ("sin", Array::sin, f64::sin),
        ("cos", Array::cos, f64::cos),
        ("tan", Array::tan, f64::tan),
        ("arcsin", Array::arcsin, f64::asin),
        ("arccos", Array::arccos, f64::acos),
        ("arctan", Array::arctan, f64::atan),
        ("sinh", Array::sinh, f64::sinh),
        ("cosh", Array::cosh, f64::cosh),
        ("tanh", Array::tanh, f64::tanh),
        ("arcsinh", Array::arcsinh, f64::asinh),
        ("arccosh", Array::arccosh, f64::acosh),
        ("arctanh", Array::arctanh, f64::atanh),
        ("cbrt", Array::cbrt, f64::cbrt),
        ("deg2rad", Array::deg2rad, f64::to_radians),
        ("rad2deg", Array::rad2deg, f64::to_degrees),
    ];
    let values = vec![
        0.0,
        -0.0,
        0.25,
        -0.75,
        1.0,
        -1.0,
        2.5,
        9.0,
        -30.0,
        700.0,
        1e-9,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let x = Array::from_vec(values.clone()).rechunk(3);
    for (name, function, std) in functions {
        let (wide, narrow) = (computed::<f64>(&function(&x)), computed::<f32>(&function(&x.cast(F32))));
        for (k, &v) in values.iter().enumerate() {
            let near = |got: f64, want: f64, digits: f64| {
                got == want
                    || got.is_nan() && want.is_nan()
                    || (got - want).abs() <= digits * want.abs().max(1e-300)
            };
            assert!(near(wide[k], std(v), 4e-15), "{name}({v}): {} for {}", wide[k], std(v));
            let want = std(f64::from(v as f32)) as f32;
            assert!(
                near(f64::from(narrow[k]), f64::from(want), 3e-7),
                "{name}({v} f32): {} for {want}",
                narrow[k]
            );
        }
        // integers go to the smallest float that NumPy takes
        for (d, to) in [
            (Bool, F16),
            (I8, F16),
            (U8, F16),
            (I16, F32),
            (U16, F32),
            (I32, F64),
            (I64, F64),
            (U64, F64),
            (F16, F16),
        ] {
            assert_eq!(function(&ones(d)).dtype(), to, "{name} of {d}");
        }
    }
    let (a, b) = (Array::from_vec(vec![3.0f64, -1.0, 1e300]), Array::from_vec(vec![4.0f64, 0.0, 1e300]));
    assert_eq!(computed::<f64>(&a.hypot(&b)).as_slice(), Some(&[5.0, 1.0, 1e300 * 2f64.sqrt()][..]));
    assert_eq!(computed_as_f64(&a.arctan2(&b))[1], -std::f64::consts::FRAC_PI_2);
    assert_eq!(computed_as_f64(&a.logaddexp(&a))[0], 3.0 + 2f64.ln());
    assert_eq!(computed_as_f64(&Array::from_vec(vec![4i32]).float_power(-1)), [0.25]);
}

#[test]
fn functions_of_bools() {
    let x = Array::from_vec(vec![false, true]);
    for y in [x.abs(), x.floor(), x.ceil(), x.trunc()] {
        assert_eq!(computed::<bool>(&y).as_slice(), Some(&[false, true][..]));
    }
    assert_eq!(computed::<i8>(&x.square()).as_slice(), Some(&[0, 1][..]));
    assert_eq!(computed::<i8>(&x.reciprocal()).as_slice(), Some(&[0, 1][..]));
    assert!(is_dtype_error(&-&x));
    assert!(is_dtype_error(&x.sign()));
    assert_eq!(computed::<i8>(&x.power(&x)).as_slice(), Some(&[1, 1][..]));
    assert_eq!(computed::<bool>(&(&x + &x)).as_slice(), Some(&[false, true][..]));
    assert_eq!(computed::<bool>(&(&x * !&x)).as_slice(), Some(&[false, false][..]));
    assert_eq!(computed::<bool>(&(&x ^ true)).as_slice(), Some(&[true, false][..]));
}

#[test]
fn casts_between_all_dtypes() {
    // value, then what it is as i8, u8, i32, u64, bool, f32
    let table: [(f64, i8, u8, i32, u64, bool, f32); 9] = [
        (0.0, 0, 0, 0, 0, false, 0.0),
        (-0.0, 0, 0, 0, 0, false, -0.0),
        (1.9, 1, 1, 1, 1, true, 1.9),
        (-1.9, -1, 0, -1, 0, true, -1.9),
        (300.5, 127, 255, 300, 300, true, 300.5),
        (-1e20, -128, 0, i32::MIN, 0, true, -1e20),
        (1e20, 127, 255, i32::MAX, u64::MAX, true, 1e20),
        (f64::INFINITY, 127, 255, i32::MAX, u64::MAX, true, f32::INFINITY),
        (f64::NAN, 0, 0, 0, 0, true, f32::NAN),
    ];
    let x = Array::from_vec(table.iter().map(|r| r.0).collect::<Vec<f64>>()).rechunk(2);
    let got = (computed::<i8>(&x.cast(I8)), computed::<u8>(&x.cast(U8)), computed::<i32>(&x.cast(I32)));
    let (big, truth, narrow) =
        (computed::<u64>(&x.cast(U64)), computed::<bool>(&x.cast(Bool)), computed::<f32>(&x.cast(F32)));
    for (k, row) in table.iter().enumerate() {
        assert_eq!(
            (got.0[k], got.1[k], got.2[k], big[k], truth[k]),
            (row.1, row.2, row.3, row.4, row.5),
            "{}",
            row.0
        );
        assert!(narrow[k].to_bits() == row.6.to_bits() || narrow[k].is_nan() && row.6.is_nan());
    }
    // integers wrap
    let y = Array::from_vec(vec![-1i64, 300, i64::MIN, i64::MAX]);
    assert_eq!(computed::<u8>(&y.cast(U8)).as_slice(), Some(&[255, 44, 0, 255][..]));
    assert_eq!(computed::<u64>(&y.cast(U64))[0], u64::MAX);
    assert_eq!(computed::<i16>(&Array::from_vec(vec![40_000u16]).cast(I16))[0], -25_536);
    assert_eq!(computed::<f32>(&Array::from_vec(vec![u64::MAX]).cast(F32))[0], 18_446_744_073_709_551_616.0);
}

#[test]
fn rounding_to_decimals() {
    let x = Array::from_vec(vec![1.25f64, -2.35, 0.5, 1.5, 1234.5678, f64::NAN]);
    let at = |d| computed_as_f64(&x.round(d));
    assert_eq!(at(0)[..5], [1.0, -2.0, 0.0, 2.0, 1235.0]);
    assert_eq!(at(2)[4], 1234.57);
    assert_eq!(at(-2)[4], 1200.0);
    assert!(at(1)[5].is_nan());
    let i = Array::from_vec(vec![15i32, 25, -15, 149, 150]);
    assert_eq!(computed::<i32>(&i.round(-1)).as_slice(), Some(&[20, 20, -20, 150, 150][..]));
    assert_eq!(computed::<i32>(&i.round(3)).as_slice(), Some(&[15, 25, -15, 149, 150][..]));
}

/// The element of an array that a broadcast to `shape` has at `i`.
fn broadcast_at(a: &ArrayD<i64>, i: &[usize]) -> i64 {
    let lead = i.len() - a.ndim();
    let from: Vec<usize> =
        a.shape().iter().zip(&i[lead..]).map(|(&n, &j)| if n == 1 { 0 } else { j }).collect();
    a[IxDyn(&from)]
}

#[test]
fn operands_broadcast() {
    let mut rng = Rng::new(7);
    for _ in 0..400 {
        let shape = rng.shape();
        let part = |rng: &mut Rng| {
            let skip = rng.below(shape.len() + 1);
            let own: Vec<usize> = shape[skip..].iter().map(|&n| if rng.once_in(3) { 1 } else { n }).collect();
            let a = numbered(&own);
            (rechunked(&Array::from_ndarray(a.clone()), rng), a)
        };
        let ((x, a), (y, b), (z, c)) = (part(&mut rng), part(&mut rng), part(&mut rng));
        let out: Vec<usize> = (0..shape.len())
            .map(|k| {
                let of = |s: &[usize]| (k + s.len()).checked_sub(shape.len()).map_or(1, |j| s[j]);
                [a.shape(), b.shape(), c.shape()].iter().map(|s| of(s)).find(|&n| n != 1).unwrap_or(1)
            })
            .collect();
        let rank = a.ndim().max(b.ndim()).max(c.ndim());
        let out = &out[shape.len() - rank..];
        let want = from_index(out, |i| {
            let (p, q, r) = (broadcast_at(&a, i), broadcast_at(&b, i), broadcast_at(&c, i));
            if p < q { p - r } else { q * 2 + r }
        });
        let got = where_(x.lt(&y), &x - &z, &y * 2 + &z);
        // the branches' own shapes broadcast too, so that every operand counts
        assert_eq!(got.shape(), out, "{:?} {:?} {:?}", a.shape(), b.shape(), c.shape());
        assert_eq!(computed::<i64>(&got), want);
    }
}
