//! Nanoseconds per element of the main tile functions on this machine, for every instruction set.
//!
//! `cargo run --release -p blockwise-kernels --example tile_speed [filter]`

#![allow(clippy::undocumented_unsafe_blocks, reason = "all operands are made here, with N elements and more")]

use blockwise_kernels::DType::{self, *};
use blockwise_kernels::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use blockwise_kernels::tile::{self, Isa, Operands, Panel, Place};
use std::time::Instant;

const N: usize = 1024;

/// Nanoseconds per element of the best of several runs.
fn time(n: usize, mut f: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let mut calls = 1;
    for _ in 0..12 {
        let start = Instant::now();
        for _ in 0..calls {
            f();
        }
        let spent = start.elapsed().as_secs_f64();
        best = best.min(spent / (calls * n) as f64 * 1e9);
        if spent < 3e-4 {
            calls = (calls as f64 * (4e-4 / spent.max(1e-7)).clamp(2.0, 1000.0)) as usize;
        }
    }
    best
}

/// Memory for `n` elements with the values 1, 2, ... 100 over and over.
fn data(d: DType, n: usize) -> Vec<u64> {
    let mut out = vec![0u64; (n * d.size()).div_ceil(8)];
    let ramp: Vec<i64> = (0..n as i64).map(|i| i % 100 + 1).collect();
    unsafe { tile::cast(Isa::Portable, I64, d)(ramp.as_ptr().cast(), out.as_mut_ptr().cast(), n) };
    out
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let isas = Isa::available();
    let line = |name: String, f: &dyn Fn(Isa) -> f64| {
        if name.contains(&filter) {
            let times: Vec<String> = isas.iter().map(|isa| format!("{:9.3}", f(*isa))).collect();
            println!("{name:26} {}", times.join(" "));
        }
    };
    println!(
        "{:26} {}",
        "ns per element",
        isas.iter().map(|i| format!("{:>9}", i.name())).collect::<String>()
    );

    for d in [U8, I32, I64, F16, F32, F64] {
        let (a, b) = (data(d, N), data(d, N));
        let mut out = vec![0u64; N];
        let (a, b, out): (*const u8, *const u8, *mut u8) =
            (a.as_ptr().cast(), b.as_ptr().cast(), out.as_mut_ptr().cast());
        for &op in UnaryOp::ALL {
            if op.accepts(d) {
                line(format!("{op} {d}"), &|isa| {
                    let f = tile::unary(isa, op, d);
                    time(N, || unsafe { f(a, out, N) })
                });
            }
        }
        for &op in BinaryOp::ALL {
            for mode in [Operands::VV, Operands::VS] {
                if op.accepts(d) && tile::binary(Isa::Portable, op, d, mode).is_some() {
                    line(format!("{op} {d} {mode:?}"), &|isa| {
                        let Some(f) = tile::binary(isa, op, d, mode) else { return f64::NAN };
                        time(N, || unsafe { f(a, b, out, N) })
                    });
                }
            }
        }
        for &op in CompareOp::ALL {
            line(format!("{op} {d}"), &|isa| {
                let f = tile::compare(isa, op, d, Operands::VV);
                time(N, || unsafe { f(a, b, out, N) })
            });
        }
        let mask: Vec<u8> = (0..N).map(|i| (i * i % 3 == 0) as u8).collect();
        line(format!("select {d}"), &|isa| {
            let f = tile::select(isa, d.size(), false, false);
            time(N, || unsafe { f(mask.as_ptr(), a, b, out, N) })
        });
        line(format!("mul_add {d}"), &|isa| {
            let Some(f) = tile::mul_add(isa, d, false, false, false) else { return f64::NAN };
            time(N, || unsafe { f(a, b, a, out, N) })
        });
        for to in DType::ALL {
            line(format!("cast {d} {to}"), &|isa| {
                let f = tile::cast(isa, d, to);
                time(N, || unsafe { f(a, out, N) })
            });
        }
        folds(d, &line);
        moves(d, &line);
    }
}

fn folds(d: DType, line: &dyn Fn(String, &dyn Fn(Isa) -> f64)) {
    let place = Place { start: 0, row_step: 1000, col_step: 1 };
    for &op in ReduceOp::ALL {
        if !op.accepts(d) {
            continue;
        }
        for (rows, cols) in [(1, 1024), (256, 4), (16, 64), (64, 16)] {
            let x = data(d, rows * cols);
            let panel = Panel { rows, cols, row_stride: (cols * d.size()) as isize };
            let mut planes = [vec![0u64; 1024], vec![0u64; 1024], vec![0u64; 1024]];
            let planes = std::array::from_fn(|i| planes[i].as_mut_ptr().cast::<u8>());
            let strides = [8; 3];
            line(format!("{op} {d} rows {rows}x{cols}"), &|isa| {
                unsafe { tile::init(op, d, &planes, cols.max(rows).min(1024)) };
                let f = tile::fold_rows(isa, op, d);
                time(rows * cols, || unsafe { f(x.as_ptr().cast(), panel, &planes, &strides, place) })
            });
            line(format!("{op} {d} cols {rows}x{cols}"), &|isa| {
                unsafe { tile::init(op, d, &planes, cols.max(rows).min(1024)) };
                let f = tile::fold_cols(isa, op, d);
                time(rows * cols, || unsafe { f(x.as_ptr().cast(), panel, &planes, place) })
            });
        }
    }
}

fn moves(d: DType, line: &dyn Fn(String, &dyn Fn(Isa) -> f64)) {
    let size = d.size();
    let x = data(d, 64 * N);
    let mut out = vec![0u64; N];
    let (x, out): (*const u8, *mut u8) = (x.as_ptr().cast(), out.as_mut_ptr().cast());
    line(format!("gather 3 {d}"), &|isa| {
        let f = tile::gather(isa, size);
        time(N, || unsafe { f(x, 3 * size as isize, out, N) })
    });
    line(format!("transpose 16x64 {d}"), &|isa| {
        let f = tile::gather_panel(isa, size);
        time(N, || unsafe { f(x, size as isize, 64 * size as isize, out, 16, 64) })
    });
    let mask: Vec<u8> = (0..N).map(|i| (i * 7919 % 64 > 30) as u8).collect();
    line(format!("compact {d}"), &|_| {
        let f = tile::compact(size);
        time(N, || {
            unsafe { f(mask.as_ptr(), x, out, N) };
        })
    });
    line(format!("iota {d}"), &|isa| {
        let f = tile::iota(isa);
        time(N, || unsafe { f(0, 1, out, N) })
    });
}
