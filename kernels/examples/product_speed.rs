//! Billions of floating-point operations a second of the products of matrices, on one thread.

use blockwise_kernels::DType;
use blockwise_kernels::tile::{Isa, Matrix, Product, product, product_room};
use std::time::Instant;

fn main() {
    for isa in Isa::available() {
        for (dtype, extent) in [
            (DType::F32, (1024, 1024, 1024)),
            (DType::F64, (1024, 1024, 1024)),
            (DType::I32, (512, 512, 512)),
            (DType::F16, (512, 512, 512)),
            (DType::F32, (64, 64, 64)),
            (DType::F32, (4096, 1, 4096)),
            (DType::F32, (1, 4096, 4096)),
        ] {
            let (m, n, k) = extent;
            let item = dtype.size() as isize;
            let (a, b) = (vec![0u64; m * k], vec![0u64; n * k]);
            let (mut c, mut room) = (vec![0u64; m * n], vec![0u64; product_room(dtype, extent) / 8 + 8]);
            let matrix = |v: &[u64], cols: usize| Matrix {
                ptr: v.as_ptr().cast(),
                rows: cols as isize * item,
                cols: item,
            };
            let (a, b) = (matrix(&a, k), matrix(&b, n));
            let room = room.as_mut_ptr().cast::<u8>();
            let job = Product {
                extent,
                a,
                b,
                c: c.as_mut_ptr().cast(),
                fresh: true,
                room: room.wrapping_add(room.align_offset(64)),
            };
            let run = product(isa, dtype);
            let operations = 2.0 * (m * n * k) as f64;
            let best = (0..5).map(|_| {
                let times = (2e8 / operations).ceil() as usize;
                let start = Instant::now();
                // SAFETY: the memory is as large as the extent says, and zero is a number of every dtype.
                (0..times).for_each(|_| unsafe { run(&job) });
                start.elapsed().as_secs_f64() / times as f64
            });
            let best = best.fold(f64::INFINITY, f64::min);
            println!("{:8} {dtype} {extent:?}: {:.1} G/s", isa.name(), operations / best * 1e-9);
        }
    }
}
