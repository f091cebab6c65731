//! The loops behind the ceilings, for AVX-512, AVX2 and anything else.
//!
//! None does what a row does: they move as many bytes as it must, with as little else as possible.

/// What this machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Level {
    /// The levels of this machine, the best one first.
    pub fn all() -> Vec<Level> {
        let mut levels = vec![];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                levels.push(Level::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level::Avx2);
            }
        }
        levels.push(Level::Portable);
        levels
    }

    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            Level::Portable => "portable",
        }
    }

    /// Reads all bytes.
    pub fn read(self, bytes: &[u8]) -> u64 {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `all` found the features, and it alone makes this value.
            Level::Avx512 => unsafe { avx512::read(bytes) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { avx2::read(bytes) },
            Level::Portable => bytes.iter().fold(0u64, |a, &b| a.wrapping_add(u64::from(b))),
        }
    }

    /// Writes the sum of `K` streams of `f32`; past the caches if `streaming`.
    pub fn map_f32<const K: usize>(self, inputs: [&[f32]; K], out: &mut [f32], streaming: bool) {
        assert!(inputs.iter().all(|i| i.len() == out.len()));
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as `read`; lengths are equal.
            Level::Avx512 => unsafe { avx512::map_f32(inputs, out, streaming) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { avx2::map_f32(inputs, out, streaming) },
            Level::Portable => portable(inputs, out),
        }
    }

    /// Writes the sum of `K` streams of `u16` as `f32`; past the caches if `streaming`.
    pub fn map_u16<const K: usize>(self, inputs: [&[u16]; K], out: &mut [f32], streaming: bool) {
        assert!(inputs.iter().all(|i| i.len() == out.len()));
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as `read`; lengths are equal.
            Level::Avx512 => unsafe { avx512::map_u16(inputs, out, streaming) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { avx2::map_u16(inputs, out, streaming) },
            Level::Portable => portable(inputs, out),
        }
    }

    /// Fused multiply-adds without memory, `rounds` times; how many floating-point operations that was.
    pub fn fma(self, rounds: u64) -> u64 {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as `read`.
            Level::Avx512 => unsafe { avx512::fma(rounds) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { avx2::fma(rounds) },
            Level::Portable => {
                let mut acc = [1.0f32; 32];
                let (a, b) = std::hint::black_box((0.999_f32, 0.001_f32));
                for _ in 0..rounds {
                    for v in &mut acc {
                        *v = *v * a + b;
                    }
                }
                std::hint::black_box(acc);
                rounds * 2 * 32
            }
        }
    }
}

fn portable<T: Copy + Into<f32>, const K: usize>(inputs: [&[T]; K], out: &mut [f32]) {
    for (i, o) in out.iter_mut().enumerate() {
        *o = inputs.iter().map(|stream| stream[i].into()).sum();
    }
}

/// The loops for one instruction set. `$load_u16` widens; `$stream` needs an address aligned to `$bytes`.
#[cfg(target_arch = "x86_64")]
macro_rules! loops {
    (
        $name:ident, $feature:literal, $float:ty, $int:ty, $lanes:literal,
        $load:ident, $add:ident, $store:ident, $stream:ident, $set:ident, $fma:ident,
        $load_int:ident as $int_ptr:ty, $add_int:ident, $zero_int:ident, |$p:ident| $load_u16:expr
    ) => {
        mod $name {
            use std::arch::x86_64::*;

            const LANES: usize = $lanes;
            /// Accumulators in flight, so that latency hides behind throughput.
            const CHAINS: usize = 12;

            #[target_feature(enable = $feature)]
            pub fn read(bytes: &[u8]) -> u64 {
                let mut acc = [$zero_int(); 8];
                let pieces = bytes.chunks_exact(8 * size_of::<$int>());
                let mut rest = 0u64;
                for &b in pieces.remainder() {
                    rest = rest.wrapping_add(u64::from(b));
                }
                for piece in pieces {
                    for (k, a) in acc.iter_mut().enumerate() {
                        // SAFETY: the piece has eight vectors.
                        let v = unsafe { $load_int(piece.as_ptr().cast::<$int>().add(k) as $int_ptr) };
                        *a = $add_int(*a, v);
                    }
                }
                std::hint::black_box(acc);
                rest
            }

            #[target_feature(enable = $feature)]
            unsafe fn load_f32(p: *const f32) -> $float {
                // SAFETY: the caller's promise.
                unsafe { $load(p) }
            }

            #[target_feature(enable = $feature)]
            unsafe fn load_u16($p: *const u16) -> $float {
                // SAFETY: the caller's promise.
                unsafe { $load_u16 }
            }

            loops!(@map map_f32, f32, load_f32, $feature, $add, $store, $stream);
            loops!(@map map_u16, u16, load_u16, $feature, $add, $store, $stream);

            #[target_feature(enable = $feature)]
            pub fn fma(rounds: u64) -> u64 {
                let (a, b) = std::hint::black_box((0.999_f32, 0.001_f32));
                let (a, b) = ($set(a), $set(b));
                let mut acc = [$set(1.0); CHAINS];
                for _ in 0..rounds {
                    for v in &mut acc {
                        *v = $fma(*v, a, b);
                    }
                }
                std::hint::black_box(acc);
                rounds * 2 * (LANES * CHAINS) as u64
            }
        }
    };
    (@map $name:ident, $t:ty, $load:ident, $feature:literal, $add:ident, $store:ident, $stream:ident) => {
        /// # Safety
        /// Inputs are as long as `out`.
        #[target_feature(enable = $feature)]
        pub unsafe fn $name<const K: usize>(inputs: [&[$t]; K], out: &mut [f32], streaming: bool) {
            let n = out.len();
            let head = out.as_ptr().align_offset(LANES * 4).min(n);
            let body = head + (n - head) / LANES * LANES;
            for i in (0..head).chain(body..n) {
                out[i] = inputs.iter().map(|stream| f32::from(stream[i])).sum();
            }
            let out = out.as_mut_ptr();
            let mut i = head;
            while i < body {
                // SAFETY: `i + LANES <= body <= n`, and `out + i` is aligned.
                unsafe {
                    let mut sum = $load(inputs[0].as_ptr().add(i));
                    for stream in &inputs[1..] {
                        sum = $add(sum, $load(stream.as_ptr().add(i)));
                    }
                    if streaming { $stream(out.add(i), sum) } else { $store(out.add(i), sum) }
                }
                i += LANES;
            }
            _mm_sfence();
        }
    };
}

#[cfg(target_arch = "x86_64")]
loops!(
    avx512,
    "avx512f",
    __m512,
    __m512i,
    16,
    _mm512_loadu_ps,
    _mm512_add_ps,
    _mm512_store_ps,
    _mm512_stream_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_loadu_si512 as *const __m512i,
    _mm512_add_epi64,
    _mm512_setzero_si512,
    |p| _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))
);

#[cfg(target_arch = "x86_64")]
loops!(
    avx2,
    "avx2,fma",
    __m256,
    __m256i,
    8,
    _mm256_loadu_ps,
    _mm256_add_ps,
    _mm256_store_ps,
    _mm256_stream_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_loadu_si256 as *const __m256i,
    _mm256_add_epi64,
    _mm256_setzero_si256,
    |p| _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())))
);
