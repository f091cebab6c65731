//! The slice drivers: one loop per function, instantiated inside the caller's target features.

/// `pub fn exp_slice<F: Fma>(x: &[T], out: &mut [T])` for functions of one operand without a slow path.
macro_rules! unary_slices {
    ($T:ty: $($f:ident $slice:ident,)*) => {$(
        #[doc = concat!("[`", stringify!($f), "`] of every element; panics if the lengths differ.")]
        #[inline(always)]
        pub fn $slice<F: crate::math::Fma>(x: &[$T], out: &mut [$T]) {
            assert_eq!(x.len(), out.len());
            for (o, &x) in out.iter_mut().zip(x) {
                *o = $f::<F>(x);
            }
        }
    )*};
}

/// The same for functions of two operands.
macro_rules! binary_slices {
    ($T:ty: $($f:ident $slice:ident,)*) => {$(
        #[doc = concat!("[`", stringify!($f), "`] of every pair; panics if the lengths differ.")]
        #[inline(always)]
        pub fn $slice<F: crate::math::Fma>(a: &[$T], b: &[$T], out: &mut [$T]) {
            assert!(a.len() == out.len() && b.len() == out.len());
            for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *o = $f::<F>(a, b);
            }
        }
    )*};
}

/// The same for functions whose rare arguments (`$slow_if`) need `$slow`: the branch-free `$fast` runs over each run of
/// 64 elements, then the rare ones, if there are any, are done again. Which of the two computes an element depends on
/// that element alone.
macro_rules! patched_slices {
    ($T:ty: $($f:ident $slice:ident = $fast:ident, $slow_if:ident, $slow:ident;)*) => {$(
        #[doc = concat!("[`", stringify!($f), "`] of every element; panics if the lengths differ.")]
        #[inline(always)]
        pub fn $slice<F: crate::math::Fma>(x: &[$T], out: &mut [$T]) {
            assert_eq!(x.len(), out.len());
            for (xs, os) in x.chunks(64).zip(out.chunks_mut(64)) {
                let mut rare = false;
                for (o, &x) in os.iter_mut().zip(xs) {
                    *o = $fast::<F>(x);
                    rare |= $slow_if(x);
                }
                if rare {
                    for (o, &x) in os.iter_mut().zip(xs) {
                        if $slow_if(x) {
                            *o = $slow::<F>(x);
                        }
                    }
                }
            }
        }
    )*};
}
