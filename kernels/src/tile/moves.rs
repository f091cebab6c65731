//! Moving elements: splat, strided reads and writes, transposes, streaming copies, counting, compaction. They depend
//! on the size of an element only.

use super::UnaryFn;
use super::isa::{Isa, Level, per_isa};
use std::array::from_fn;

/// `(src, stride_bytes, out, n)`.
pub type GatherFn = unsafe fn(src: *const u8, stride_bytes: isize, out: *mut u8, n: usize);
/// `(x, out, stride_bytes, n)`.
pub type ScatterFn = unsafe fn(x: *const u8, out: *mut u8, stride_bytes: isize, n: usize);
/// `(src, row_stride, col_stride, out, rows, cols)`, strides in bytes.
pub type PanelFn =
    unsafe fn(src: *const u8, row_stride: isize, col_stride: isize, out: *mut u8, rows: usize, cols: usize);
/// `(src, dst, bytes)`.
pub type StreamFn = unsafe fn(src: *const u8, dst: *mut u8, bytes: usize);
/// `(start, step, out, n)`.
pub type IotaFn = unsafe fn(start: i64, step: i64, out: *mut u8, n: usize);
/// `(mask, x, out, n)`; returns how many elements it wrote.
pub type CompactFn = unsafe fn(mask: *const u8, x: *const u8, out: *mut u8, n: usize) -> usize;

/// Picks the instance of a generic function for an element size.
macro_rules! by_size {
    ($size:expr, $T:ident => $f:expr) => {
        match $size {
            1 => {
                type $T = u8;
                $f
            }
            2 => {
                type $T = u16;
                $f
            }
            4 => {
                type $T = u32;
                $f
            }
            _ => {
                type $T = u64;
                $f
            }
        }
    };
}

/// The function that fills `n` elements with the one at `x`.
pub fn splat(size: usize) -> UnaryFn {
    unsafe fn run<T: Copy>(x: *const u8, out: *mut u8, n: usize) {
        // SAFETY: `x` is an element, `out` takes `n`.
        unsafe {
            std::slice::from_raw_parts_mut(out.cast::<std::mem::MaybeUninit<T>>(), n)
                .fill(x.cast::<std::mem::MaybeUninit<T>>().read())
        };
    }
    by_size!(size, T => run::<T>)
}

/// The function that reads `n` elements, `stride_bytes` apart, into contiguous ones.
pub fn gather(_isa: Isa, size: usize) -> GatherFn {
    unsafe fn run<T: Copy>(src: *const u8, stride: isize, out: *mut u8, n: usize) {
        let out = out.cast::<T>();
        // SAFETY: the caller's: `n` elements at that stride, room for `n`.
        unsafe {
            if stride == size_of::<T>() as isize {
                return std::ptr::copy(src.cast::<T>(), out, n);
            }
            for i in 0..n {
                out.add(i).write(src.offset(i as isize * stride).cast::<T>().read());
            }
        }
    }
    by_size!(size, T => run::<T>)
}

/// The function that writes `n` contiguous elements to places `stride_bytes` apart.
pub fn scatter(_isa: Isa, size: usize) -> ScatterFn {
    unsafe fn run<T: Copy>(x: *const u8, out: *mut u8, stride: isize, n: usize) {
        let x = x.cast::<T>();
        // SAFETY: the caller's: `n` elements, and places for them at that stride.
        unsafe {
            if stride == size_of::<T>() as isize {
                return std::ptr::copy(x, out.cast::<T>(), n);
            }
            for i in 0..n {
                out.offset(i as isize * stride).cast::<T>().write(x.add(i).read());
            }
        }
    }
    by_size!(size, T => run::<T>)
}

per_isa!(
    PanelLoop,
    panel_loop,
    unsafe fn(src: *const u8, row_stride: isize, col_stride: isize, out: *mut u8, rows: usize, cols: usize)
);

/// K elements are 16 bytes.
struct GatherPanel<T, const K: usize>(std::marker::PhantomData<T>);

/// Columns from those that are read to those that are asked for: source rows lie too far apart for the machine to guess.
const AHEAD: usize = 16;

/// Asks for the cache line of an address, which need not be readable.
#[inline(always)]
fn prefetch(_at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch of any address is.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(_at.cast());
    }
}

impl<T: Copy + Default, const K: usize> PanelLoop for GatherPanel<T, K> {
    #[inline(always)]
    unsafe fn run<L: Level>(
        src: *const u8,
        row_stride: isize,
        col_stride: isize,
        out: *mut u8,
        rows: usize,
        cols: usize,
    ) {
        let out = out.cast::<T>();
        let at = |r: usize, c: usize| {
            src.wrapping_offset(r as isize * row_stride + c as isize * col_stride).cast::<T>()
        };
        // SAFETY: the caller's: every element (r, c) is readable, `out` has room for rows * cols.
        unsafe {
            if col_stride == size_of::<T>() as isize {
                for r in 0..rows {
                    std::ptr::copy_nonoverlapping(at(r, 0), out.add(r * cols), cols);
                }
                return;
            }
            if row_stride != size_of::<T>() as isize {
                for r in 0..rows {
                    for c in 0..cols {
                        out.add(r * cols + c).write(at(r, c).read());
                    }
                }
                return;
            }
            // a transpose: squares are read along columns and written along rows
            let (whole_rows, whole_cols) = (rows - rows % K, cols - cols % K);
            // source rows outside: a cache line of each is used up before the next ones push it out
            for c in (0..whole_cols).step_by(K) {
                for j in (c + AHEAD..c + AHEAD + K).filter(|j| *j < cols) {
                    for r in (0..whole_rows).step_by(64 / size_of::<T>()) {
                        prefetch(at(r, j).cast());
                    }
                }
                for r in (0..whole_rows).step_by(K) {
                    square::<T, K>(at(r, c), col_stride, out.add(r * cols + c), cols);
                }
            }
            for r in 0..rows {
                for c in if r < whole_rows { whole_cols..cols } else { 0..cols } {
                    out.add(r * cols + c).write(at(r, c).read());
                }
            }
        }
    }
}

/// Transposes K by K elements: columns `col_stride` bytes apart into rows `pitch` elements apart.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn square<T, const K: usize>(src: *const T, col_stride: isize, out: *mut T, pitch: usize) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's: K columns and K rows of K elements; SSE2 is part of x86-64.
    unsafe {
        let mut v: [__m128i; K] =
            from_fn(|j| _mm_loadu_si128(src.cast::<u8>().wrapping_offset(j as isize * col_stride).cast()));
        // to interleave the first half with the second is to turn the bits of (column, row) round by one
        for _ in 0..K.ilog2() {
            v = from_fn(|i| {
                let (a, b) = (v[i / 2], v[(i + K) / 2]);
                match (size_of::<T>(), i % 2) {
                    (1, 0) => _mm_unpacklo_epi8(a, b),
                    (1, _) => _mm_unpackhi_epi8(a, b),
                    (2, 0) => _mm_unpacklo_epi16(a, b),
                    (2, _) => _mm_unpackhi_epi16(a, b),
                    (4, 0) => _mm_unpacklo_epi32(a, b),
                    (4, _) => _mm_unpackhi_epi32(a, b),
                    (_, 0) => _mm_unpacklo_epi64(a, b),
                    (_, _) => _mm_unpackhi_epi64(a, b),
                }
            });
        }
        for (i, row) in v.into_iter().enumerate() {
            _mm_storeu_si128(out.add(i * pitch).cast(), row);
        }
    }
}

/// Transposes K by K elements: columns `col_stride` bytes apart into rows `pitch` elements apart.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn square<T: Copy, const K: usize>(src: *const T, col_stride: isize, out: *mut T, pitch: usize) {
    // SAFETY: the caller's: K columns and K rows of K elements.
    unsafe {
        let v: [[T; K]; K] =
            from_fn(|j| src.cast::<u8>().wrapping_offset(j as isize * col_stride).cast::<[T; K]>().read());
        for i in 0..K {
            out.add(i * pitch).cast::<[T; K]>().write(from_fn(|j| v[j][i]));
        }
    }
}

/// The function that reads a panel with any strides into `rows` contiguous rows of `cols` elements. Fast if the
/// elements are contiguous along rows, or along columns (a transpose).
pub fn gather_panel(isa: Isa, size: usize) -> PanelFn {
    by_size!(size, T => panel_loop::<GatherPanel<T, { 16 / size_of::<T>() }>>(isa))
}

/// The function that copies bytes past the caches, for results that are not read again soon. Bytes before and after
/// whole vectors of the destination are copied as usual; a fence at the end makes all of it visible to other threads.
pub fn stream_copy(isa: Isa) -> StreamFn {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => x86::stream_64,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86::stream_32,
        #[cfg(target_arch = "x86_64")]
        Isa::Portable => x86::stream_16,
        #[cfg(not(target_arch = "x86_64"))]
        _ => copy,
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy(src: *const u8, dst: *mut u8, bytes: usize) {
    // SAFETY: the caller's.
    unsafe { std::ptr::copy_nonoverlapping(src, dst, bytes) };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    macro_rules! stream {
        ($name:ident, $bytes:literal, $features:literal, $load:ident, $store:ident) => {
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(src: *const u8, dst: *mut u8, bytes: usize) {
                const STEP: usize = $bytes;
                // SAFETY: both have `bytes` bytes; `head` aligns the destination.
                unsafe {
                    let head = dst.align_offset(STEP).min(bytes);
                    std::ptr::copy_nonoverlapping(src, dst, head);
                    let mut k = head;
                    while k + STEP <= bytes {
                        $store(dst.add(k).cast(), $load(src.add(k).cast()));
                        k += STEP;
                    }
                    std::ptr::copy_nonoverlapping(src.add(k), dst.add(k), bytes - k);
                    _mm_sfence();
                }
            }
        };
    }
    stream!(stream_64, 64, "avx512f", _mm512_loadu_si512, _mm512_stream_si512);
    stream!(stream_32, 32, "avx2", _mm256_loadu_si256, _mm256_stream_si256);
    stream!(stream_16, 16, "sse2", _mm_loadu_si128, _mm_stream_si128);
}

per_isa!(IotaLoop, iota_loop, unsafe fn(start: i64, step: i64, out: *mut u8, n: usize));

struct Iota;

impl IotaLoop for Iota {
    #[inline(always)]
    unsafe fn run<L: Level>(start: i64, step: i64, out: *mut u8, n: usize) {
        for i in 0..n {
            // SAFETY: `out` has room for `n` elements.
            unsafe { out.cast::<i64>().add(i).write(start.wrapping_add(step.wrapping_mul(i as i64))) };
        }
    }
}

/// The function that writes `start + i * step` as i64.
pub fn iota(isa: Isa) -> IotaFn {
    iota_loop::<Iota>(isa)
}

/// The function that copies the elements where the mask holds, one after the other. `out` needs room for as many as
/// there are, and may be `x`.
pub fn compact(size: usize) -> CompactFn {
    unsafe fn run<T: Copy>(mask: *const u8, x: *const u8, out: *mut u8, n: usize) -> usize {
        let (x, out) = (x.cast::<T>(), out.cast::<T>());
        let mut count = 0;
        let mut i = 0;
        // SAFETY: `mask` and `x` have `n` elements, `out` room for those selected.
        unsafe {
            while i < n {
                // eight at once where they agree
                if i + 8 <= n {
                    let mut word = mask.add(i).cast::<u64>().read_unaligned();
                    if word == 0x0101_0101_0101_0101 {
                        std::ptr::copy(x.add(i), out.add(count), 8);
                        count += 8;
                    } else {
                        while word != 0 {
                            let k = word.trailing_zeros() as usize / 8;
                            out.add(count).write(x.add(i + k).read());
                            count += 1;
                            word &= word - 1;
                        }
                    }
                    i += 8;
                } else {
                    if mask.add(i).read() != 0 {
                        out.add(count).write(x.add(i).read());
                        count += 1;
                    }
                    i += 1;
                }
            }
        }
        count
    }
    by_size!(size, T => run::<T>)
}
