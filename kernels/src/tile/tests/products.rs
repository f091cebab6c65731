//! Products of matrices against loops over their elements.

use super::{bytes, scalars};
use crate::tile::{Isa, Matrix, Product, product, product_room, product_sum};
use crate::{DType, Scalar};

/// Numbers of a dtype whose products' sums are exact in it.
fn small(d: DType, n: usize, seed: usize) -> Vec<Scalar> {
    let value = |i: usize| ((i * 31 + seed * 17 + i * i % 7) % 5) as i64 - 1;
    (0..n).map(|i| Scalar::from(if d == DType::Bool { value(i) / 3 } else { value(i) }).cast(d)).collect()
}

#[test]
fn products_are_those_of_loops() {
    let extents = [
        (0, 3, 4),
        (3, 0, 4),
        (3, 4, 0),
        (1, 1, 1),
        (1, 70, 300),
        (70, 1, 257),
        (2, 33, 5),
        (33, 3, 600),
        (13, 32, 256),
        (25, 65, 40),
        (1030, 5, 3),
        (7, 1100, 2),
        (1040, 40, 2),
    ];
    for isa in Isa::available() {
        for d in DType::ALL {
            for (turned_a, turned_b) in [(false, false), (true, false), (false, true), (true, true)] {
                for extent in extents {
                    let (m, n, k) = extent;
                    let (a, b) = (small(d, m * k, 1), small(d, k * n, 2));
                    let (first, second) = (bytes(&a), bytes(&b));
                    let item = d.size() as isize;
                    let matrix = |bytes: &[u8], rows: usize, cols: usize, turned| {
                        let (rows, cols) = if turned { (1, rows) } else { (cols, 1) };
                        Matrix { ptr: bytes.as_ptr(), rows: rows as isize * item, cols: cols as isize * item }
                    };
                    let at = |i: usize, j: usize, rows: usize, cols: usize, turned| {
                        if turned { j * rows + i } else { i * cols + j }
                    };
                    let sum = product_sum(d);
                    let start = small(sum, m * n, 3);
                    let mut c = bytes(&start);
                    // as it comes from the allocator of words, so aligned for every dtype
                    let mut room = vec![0u64; product_room(d, extent) / 8 + 8];
                    let room = room.as_mut_ptr().cast::<u8>();
                    let job = Product {
                        extent,
                        a: matrix(&first, m, k, turned_a),
                        b: matrix(&second, k, n, turned_b),
                        c: c.as_mut_ptr(),
                        fresh: false,
                        room: room.wrapping_add(room.align_offset(64)),
                    };
                    // SAFETY: memory of the extent, and a set that the CPU has.
                    unsafe { product(isa, d)(&job) };
                    let wanted: Vec<Scalar> = (0..m * n)
                        .map(|at_c| {
                            let (i, j) = (at_c / n, at_c % n);
                            let terms = (0..k).map(|p| {
                                let (x, y) = (a[at(i, p, m, k, turned_a)], b[at(p, j, k, n, turned_b)]);
                                x.as_i64().wrapping_mul(y.as_i64())
                            });
                            let total = terms.fold(start[at_c].as_i64(), i64::wrapping_add);
                            // integers wrap, bools are true or not
                            let whole = Scalar::from(total);
                            if d == DType::Bool { Scalar::from(total != 0) } else { whole.cast(sum) }
                        })
                        .collect();
                    assert_eq!(scalars(sum, &c), wanted, "{isa:?} {d} {extent:?} {turned_a} {turned_b}");
                }
            }
        }
    }
}

#[test]
fn a_product_is_its_transpose_to_the_bit() {
    let (m, n, k) = (29, 47, 700);
    let value = |i: usize| ((i * 2_654_435_761) % 1_000_003) as f32 / 7.0;
    let (a, b): (Vec<f32>, Vec<f32>) =
        ((0..m * k).map(value).collect(), (0..k * n).map(|i| value(i + 5)).collect());
    for isa in Isa::available() {
        let run = |extent: (usize, usize, usize), a: Matrix, b: Matrix| {
            let mut c = vec![0f32; extent.0 * extent.1];
            let mut room = vec![0u64; product_room(DType::F32, extent) / 8 + 8];
            let room = room.as_mut_ptr().cast::<u8>();
            let room = room.wrapping_add(room.align_offset(64));
            // SAFETY: memory of the extent, and a set that the CPU has.
            unsafe {
                product(isa, DType::F32)(&Product {
                    extent,
                    a,
                    b,
                    c: c.as_mut_ptr().cast(),
                    fresh: true,
                    room,
                })
            };
            c
        };
        let matrix = |v: &[f32], rows, cols| Matrix { ptr: v.as_ptr().cast(), rows, cols };
        let (wide, high) = (k as isize * 4, n as isize * 4);
        let c = run((m, n, k), matrix(&a, wide, 4), matrix(&b, high, 4));
        let turned = run((n, m, k), matrix(&b, 4, high), matrix(&a, 4, wide));
        // one column at a time
        for j in 0..n {
            let col = run((m, 1, k), matrix(&a, wide, 4), matrix(&b[j..], high, 4));
            for i in 0..m {
                assert_eq!(c[i * n + j].to_bits(), turned[j * m + i].to_bits());
                assert_eq!(c[i * n + j].to_bits(), col[i].to_bits());
            }
        }
    }
}
