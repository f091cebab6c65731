//! Functions that move elements.

use super::*;
use crate::tile::{self, Isa};

const SIZES: [(usize, DType); 4] = [(1, DType::U8), (2, DType::U16), (4, DType::U32), (8, DType::U64)];

#[test]
fn strided_reads_and_writes() {
    for (isa, (size, d)) in Isa::available().into_iter().flat_map(|isa| SIZES.map(|s| (isa, s))) {
        for (n, step) in LENGTHS.into_iter().flat_map(|n| [-3isize, -1, 0, 1, 2, 7].map(|s| (n, s))) {
            let reach = n * 7 + 1;
            let x = values(d, 2 * reach, 9);
            let memory = placed(&x);
            let middle = reach * size;
            let place = |i: usize| (reach as isize + i as isize * step) as usize;
            let mut out = room(d, n);
            // SAFETY: `reach` elements on both sides of the middle.
            unsafe {
                let src = memory.as_ptr().cast::<u8>().add(middle);
                tile::gather(isa, size)(src, step * size as isize, out.as_mut_ptr().cast(), n);
            }
            let got = taken(d, &out, n);
            assert!((0..n).all(|i| got[i] == x[place(i)]), "{isa:?} gather {size} {step}");
            if step == 0 {
                continue;
            }
            let mut back = room(d, 2 * reach);
            // SAFETY: as above.
            unsafe {
                let dst = back.as_mut_ptr().cast::<u8>().add(middle);
                tile::scatter(isa, size)(out.as_ptr().cast(), dst, step * size as isize, n);
            }
            let back = taken(d, &back, 2 * reach);
            assert!((0..n).all(|i| got[i] == back[place(i)]), "{isa:?} scatter {size} {step}");
        }
    }
}

#[test]
fn panels() {
    for (isa, (size, d)) in Isa::available().into_iter().flat_map(|isa| SIZES.map(|s| (isa, s))) {
        for (rows, cols) in [(1, 1), (7, 5), (8, 8), (33, 19), (64, 40), (0, 4), (4, 0), (16, 65)] {
            let x = values(d, (rows + 3) * (cols + 3) * 2, 5);
            let memory = placed(&x);
            for (rs, cs) in [(1, rows + 2), (cols + 2, 1), (cols * 2, 2)] {
                let mut out = room(d, rows * cols);
                let f = tile::gather_panel(isa, size);
                let (row_stride, col_stride) = ((rs * size) as isize, (cs * size) as isize);
                // SAFETY: the panel lies in `memory`.
                unsafe {
                    f(memory.as_ptr().cast(), row_stride, col_stride, out.as_mut_ptr().cast(), rows, cols)
                };
                let got = taken(d, &out, rows * cols);
                for (r, c) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
                    assert_eq!(
                        got[r * cols + c],
                        x[r * rs + c * cs],
                        "{isa:?} {size} {rows}x{cols} {rs} {cs}"
                    );
                }
            }
        }
    }
}

#[test]
fn copies_counts_and_compactions() {
    for isa in Isa::available() {
        for (skip, n) in [(0, 0), (1, 3), (3, 300), (5, 1000), (0, 256)] {
            let x: Vec<u8> = (0..n + skip).map(|i| i as u8).collect();
            let mut out = vec![7u8; n + 9];
            // SAFETY: `n` bytes each.
            unsafe { tile::stream_copy(isa)(x.as_ptr().add(skip), out.as_mut_ptr().add(skip), n) };
            assert_eq!(out[skip..skip + n], x[skip..]);
            assert!(out[..skip].iter().chain(&out[skip + n..]).all(|b| *b == 7));
        }
        for n in LENGTHS {
            let mut out = room(DType::I64, n);
            // SAFETY: room for `n`.
            unsafe { tile::iota(isa)(-5, 3, out.as_mut_ptr().cast(), n) };
            let want: Vec<Scalar> = (0..n).map(|i| Scalar::from(3 * i as i64 - 5)).collect();
            assert_eq!(taken(DType::I64, &out, n), want);
        }
    }
    for ((size, d), n) in SIZES.into_iter().flat_map(|s| LENGTHS.map(|n| (s, n))) {
        let x = values(d, n, 3);
        let mut mask: Vec<u8> = values(DType::U8, n, 4).iter().map(|s| s.bits() as u8 & 1).collect();
        mask.iter_mut().take(20).for_each(|m| *m = 1);
        let mut out = room(d, n);
        // SAFETY: `n` elements each.
        let count = unsafe {
            tile::splat(size)(placed(&x).as_ptr().cast(), out.as_mut_ptr().cast(), n);
            assert!(taken(d, &out, n).iter().all(|s| *s == x[0]));
            tile::compact(size)(mask.as_ptr(), placed(&x).as_ptr().cast(), out.as_mut_ptr().cast(), n)
        };
        let want: Vec<Scalar> = x.iter().zip(&mask).filter(|(_, m)| **m != 0).map(|(x, _)| *x).collect();
        assert_eq!(taken(d, &out, count), want);
    }
}
