//! Nanoseconds per element of the elementary functions over slices, in the widest vectors of this machine.
//!
//! `cargo run --release -p blockwise-kernels --example math_speed [name...]`; the name `v3` asks for AVX2 instead.

use blockwise_kernels::math::Hard;
use std::hint::black_box;
use std::time::Instant;

const N: usize = 1024;

/// The shortest of a few hundred timed calls, per element.
fn time(mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..400 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e9 / N as f64
}

macro_rules! table {
    ($T:ident: $($f:ident($lo:expr, $hi:expr))*; $($g:ident($glo:expr, $ghi:expr))*) => {{
        let only: Vec<String> = std::env::args().skip(1).filter(|a| a != "v3").collect();
        let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
        let points = |lo: f64, hi: f64, salt: usize| -> Vec<$T> {
            (0..N).map(|i| (lo + (hi - lo) * ((i * 389 + salt) % N) as f64 / N as f64) as $T).collect()
        };
        $({
            struct Op<'a>(&'a [$T], &'a mut [$T]);
            impl pulp::WithSimd for Op<'_> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, simd: S) {
                    struct Inner<'a>(&'a [$T], &'a mut [$T]);
                    impl pulp::NullaryFnOnce for Inner<'_> {
                        type Output = ();
                        #[inline(always)]
                        fn call(self) {
                            blockwise_kernels::math::$T::$f::<Hard>(self.0, self.1)
                        }
                    }
                    simd.vectorize(Inner(self.0, self.1))
                }
            }
            if wanted(stringify!($f)) {
                let (x, mut out) = (points($lo, $hi, 7), vec![0.0; N]);
                let arch = arch();
                let ns = time(|| arch.dispatch(Op(black_box(&x), black_box(&mut out))));
                println!("{} {:18} {ns:6.2}", stringify!($T), stringify!($f));
            }
        })*
        $({
            struct Op<'a>(&'a [$T], &'a [$T], &'a mut [$T]);
            impl pulp::WithSimd for Op<'_> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, simd: S) {
                    struct Inner<'a>(&'a [$T], &'a [$T], &'a mut [$T]);
                    impl pulp::NullaryFnOnce for Inner<'_> {
                        type Output = ();
                        #[inline(always)]
                        fn call(self) {
                            blockwise_kernels::math::$T::$g::<Hard>(self.0, self.1, self.2)
                        }
                    }
                    simd.vectorize(Inner(self.0, self.1, self.2))
                }
            }
            if wanted(stringify!($g)) {
                let (a, b, mut out) = (points($glo, $ghi, 7), points($glo, $ghi, 411), vec![0.0; N]);
                let arch = arch();
                let ns = time(|| arch.dispatch(Op(black_box(&a), black_box(&b), black_box(&mut out))));
                println!("{} {:18} {ns:6.2}", stringify!($T), stringify!($g));
            }
        })*
    }};
}

macro_rules! both {
    ($($t:tt)*) => {{
        table!(f32: $($t)*);
        table!(f64: $($t)*);
    }};
}

fn arch() -> pulp::Arch {
    #[cfg(target_arch = "x86_64")]
    if std::env::args().any(|a| a == "v3") {
        return pulp::x86::V3::try_new().map_or(pulp::Arch::Scalar, pulp::Arch::V3);
    }
    pulp::Arch::new()
}

fn main() {
    let name = format!("{:?}", arch());
    println!("{}", name.split_once('(').map_or("Scalar", |(name, _)| name));
    both! {
        exp_slice(-20.0, 20.0) exp2_slice(-20.0, 20.0) expm1_slice(-5.0, 5.0)
        log_slice(0.0, 100.0) log2_slice(0.0, 100.0) log10_slice(0.0, 100.0) log1p_slice(-0.9, 10.0)
        sin_slice(-100.0, 100.0) cos_slice(-100.0, 100.0) tan_slice(-100.0, 100.0)
        asin_slice(-1.0, 1.0) acos_slice(-1.0, 1.0) atan_slice(-10.0, 10.0)
        sinh_slice(-5.0, 5.0) cosh_slice(-5.0, 5.0) tanh_slice(-5.0, 5.0)
        asinh_slice(-5.0, 5.0) acosh_slice(1.0, 5.0) atanh_slice(-1.0, 1.0) cbrt_slice(-50.0, 50.0)
        ;
        atan2_slice(-5.0, 5.0) hypot_slice(-5.0, 5.0) pow_slice(0.1, 7.0)
        logaddexp_slice(-5.0, 5.0) logaddexp2_slice(-5.0, 5.0) nextafter_slice(-5.0, 5.0)
    }
}
