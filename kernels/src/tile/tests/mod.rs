//! Every tile function of every instruction set against [`naive`](crate::naive).

mod elementwise;
mod folds;
mod moves;
mod products;

use crate::{DType, Scalar, for_dtype};

/// Lengths around the steps of the loops.
const LENGTHS: [usize; 7] = [0, 1, 5, 31, 64, 257, 300];

/// Bytes of scalars of one dtype.
fn bytes(values: &[Scalar]) -> Vec<u8> {
    values.iter().flat_map(|s| s.bits().to_le_bytes().into_iter().take(s.dtype().size())).collect()
}

/// Scalars of one dtype from their bytes.
fn scalars(d: DType, bytes: &[u8]) -> Vec<Scalar> {
    bytes
        .chunks(d.size())
        .map(|b| {
            let mut word = [0; 8];
            word[..b.len()].copy_from_slice(b);
            Scalar::from_bits(d, u64::from_le_bytes(word))
        })
        .collect()
}

/// Special values of a dtype and random ones, `n` in all, differing with the seed.
fn values(d: DType, n: usize, seed: u64) -> Vec<Scalar> {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -3.0,
        7.0,
        0.5,
        -2.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        1e-45,
        6e-8,
        65504.0,
        -65520.0,
        127.0,
        -128.0,
        255.0,
        32767.0,
        -32768.0,
        2147483647.0,
        -2147483648.0,
        9.3e18,
        -9.3e18,
        1.9e19,
        16777217.0,
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..n)
        .map(|_| {
            let r = random();
            match r % 4 {
                0 => Scalar::from(special[(r >> 8) as usize % special.len()]).cast(d),
                1 => Scalar::from_bits(d, random()),
                2 => Scalar::from((r >> 8) as i64 % 20 - 6).cast(d),
                _ => Scalar::from(((r >> 8) as f64 / (1u64 << 55) as f64 - 1.0) * 50.0).cast(d),
            }
        })
        .collect()
}

fn is_nan(s: Scalar) -> bool {
    crate::naive::is_nan(s)
}

/// Equal bits, or both NaN.
fn same(a: Scalar, b: Scalar) -> bool {
    a == b || is_nan(a) && is_nan(b)
}

/// [`same`], or zeros of either sign.
fn same_number(a: Scalar, b: Scalar) -> bool {
    same(a, b) || a.dtype().is_float() && a.as_f64() == 0.0 && b.as_f64() == 0.0
}

/// Memory for `n` elements of a dtype, aligned.
fn room(d: DType, n: usize) -> Vec<u64> {
    vec![0xa5a5_a5a5_a5a5_a5a5; (n * d.size()).div_ceil(8) + 1]
}

/// The first `n` elements of such memory.
fn taken(d: DType, room: &[u64], n: usize) -> Vec<Scalar> {
    for_dtype!(d, T => {
        // SAFETY: the functions under test have written `n` elements there.
        let all = unsafe { std::slice::from_raw_parts(room.as_ptr().cast::<u8>(), n * size_of::<T>()) };
        scalars(d, all)
    })
}

/// Aligned memory that holds these elements.
fn placed(values: &[Scalar]) -> Vec<u64> {
    let mut bytes = bytes(values);
    bytes.resize(bytes.len().div_ceil(8) * 8 + 8, 0);
    bytes.chunks(8).map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default())).collect()
}
