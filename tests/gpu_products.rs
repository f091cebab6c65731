//! Products of matrices on a GPU: every dtype, extent and orientation, in one piece and in many, to the bit.
#![cfg(feature = "gpu")]

#[path = "common/gpu.rs"]
mod adapter;
#[path = "common/fallbacks.rs"]
mod fallbacks;

use blockwise::backend::gpu::{Arithmetic, Gpu, GpuBuilder};
use blockwise::backend::hybrid::Hybrid;
use blockwise::backend::{Backend, Matrix, Multiply, Product, cpu::Cpu, product_room};
use blockwise::dtype::Element;
use blockwise::prelude::*;
use blockwise::shape::Grid;
use fallbacks::Fallbacks;
use half::f16;
use std::path::Path;
use std::sync::Arc;

type Extent = (usize, usize, usize);

/// Numbers of a dtype: whole ones, or fractions and special values of floats.
fn numbers<T: Element>(n: usize, seed: usize, hard: bool) -> Vec<T> {
    let number = |i: usize| i.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) % 1_000_003;
    let hard_one = |k: usize| match k % 997 {
        0 => -0.0,
        1 => 1e-30,
        2 => f64::INFINITY,
        3 => f64::NAN,
        4 => 1e-42,
        5 => -1e30,
        _ => k as f64 / 1_000_003.0 - 0.5,
    };
    let array = match (T::DTYPE, hard) {
        (Bool, _) => Array::from_vec((0..n).map(|i| number(i) % 7 == 0).collect()),
        (d, true) if d.is_float() => Array::from_vec((0..n).map(|i| hard_one(number(i))).collect()),
        _ => Array::from_vec((0..n).map(|i| number(i) as i64 % 1000 - 400).collect::<Vec<_>>()),
    };
    let block = array.cast(T::DTYPE).compute().expect("numbers");
    block.as_slice::<T>().expect("of that dtype").to_vec()
}

/// A matrix of so many rows and columns, row after row or column after column.
fn matrix<T>(elements: &[T], rows: usize, columns: usize, turned: bool) -> Matrix {
    let item = size_of::<T>() as isize;
    let (rows, cols) = if turned { (1, rows) } else { (columns, 1) };
    Matrix { ptr: elements.as_ptr().cast(), rows: rows as isize * item, cols: cols as isize * item }
}

/// The sums by what a backend compiled, from sums that are there.
fn multiply<T: Element, S: Element>(
    compiled: &dyn Multiply,
    (a, b, c): (&[T], &[T], &[S]),
    extent: Extent,
    turned: [bool; 2],
) -> Result<Vec<S>, Error> {
    let (m, n, k) = extent;
    assert!(a.len() >= m * k && b.len() >= k * n && c.len() == m * n);
    let mut sums = c.to_vec();
    let mut room = vec![0u64; product_room(T::DTYPE, extent) / 8 + 8];
    let room = room.as_mut_ptr().cast::<u8>();
    let product = Product {
        extent,
        a: matrix(a, m, k, turned[0]),
        b: matrix(b, k, n, turned[1]),
        c: sums.as_mut_ptr().cast(),
        fresh: !c.iter().any(|x| x.to_scalar().bits() != 0),
        room: room.wrapping_add(room.align_offset(64)),
    };
    // SAFETY: operands, sums and room of the extent.
    unsafe { compiled.run(&product)? };
    Ok(sums)
}

/// Sums of floats as they are defined: of runs of 256 terms, each from zero, fused or not.
macro_rules! by_runs {
    ($name:ident, $T:ty) => {
        fn $name([a, b, c]: [&[$T]; 3], (m, n, k): Extent, turned: [bool; 2], fused: bool) -> Vec<$T> {
            let at = |i: usize, j: usize, rows: usize, columns: usize, turned| match turned {
                true => j * rows + i,
                false => i * columns + j,
            };
            let sum = |i: usize, j: usize| {
                (0..k).step_by(256).fold(c[i * n + j], |sum, first| {
                    sum + (first..k.min(first + 256)).fold(0.0, |run: $T, p| {
                        let (x, y) = (a[at(i, p, m, k, turned[0])], b[at(p, j, k, n, turned[1])]);
                        if fused { x.mul_add(y, run) } else { run + x * y }
                    })
                })
            };
            (0..m * n).map(|at| sum(at / n, at % n)).collect()
        }
    };
}
by_runs!(by_runs_f32, f32);
by_runs!(by_runs_f64, f64);

const EXTENTS: [Extent; 9] = [
    (1, 1, 1),
    (3, 5, 0),
    (1, 1, 700),
    (2, 70, 3),
    (65, 33, 17),
    (64, 64, 256),
    (31, 129, 257),
    (130, 3, 600),
    (70, 66, 1030),
];

const TURNED: [[bool; 2]; 4] = [[false, false], [true, false], [false, true], [true, true]];

/// Ways to open a device: as it is; in many pieces; with the least there is.
const WAYS: [fn(GpuBuilder) -> GpuBuilder; 3] =
    [|gpu| gpu, |gpu| gpu.memory_limit("512KiB"), GpuBuilder::smallest_limits];

fn cases() -> impl Iterator<Item = (Extent, [bool; 2])> {
    EXTENTS.iter().flat_map(|&extent| TURNED.map(|turned| (extent, turned)))
}

/// What is there before: zeros, or numbers.
fn sums<T: Element>((m, n, _): Extent, turned: [bool; 2], seed: usize, hard: bool) -> Vec<T> {
    if turned[0] == turned[1] { vec![T::default(); m * n] } else { numbers(m * n, seed, hard) }
}

fn whole<T: Element>(gpu: &Gpu) {
    let on = |backend: &dyn Backend| backend.product(T::DTYPE).expect("whole numbers are everywhere");
    let (on_the_gpu, on_the_cpu) = (on(gpu), on(&Cpu::detect()));
    for (extent, turned) in cases() {
        let (m, n, k) = extent;
        let (a, b) = (numbers::<T>(m * k, 1, false), numbers::<T>(k * n, 2, false));
        let c = sums::<T>(extent, turned, 3, false);
        let got = multiply(&*on_the_gpu, (&a, &b, &c), extent, turned).expect("runs");
        let want = multiply(&*on_the_cpu, (&a, &b, &c), extent, turned).expect("runs");
        assert!(got == want, "{} {extent:?} {turned:?}", T::DTYPE);
    }
    assert!(gpu.peak_memory() <= gpu.memory_limit());
}

#[test]
fn whole_numbers_and_bools() {
    for how in WAYS {
        let Some(gpu) = adapter::open(how) else { return };
        whole::<bool>(&gpu);
        whole::<i8>(&gpu);
        whole::<u8>(&gpu);
        whole::<i16>(&gpu);
        whole::<u16>(&gpu);
        whole::<i32>(&gpu);
        whole::<u32>(&gpu);
        whole::<i64>(&gpu);
        whole::<u64>(&gpu);
    }
}

/// Whether numbers are the same, to the bit; NaN is NaN.
fn same(got: &[f64], want: &[f64]) -> bool {
    let bits = |x: &f64| if x.is_nan() { f64::NAN } else { *x }.to_bits();
    got.iter().map(bits).eq(want.iter().map(bits))
}

#[test]
fn floats_are_sums_of_runs_to_the_bit() {
    for how in WAYS {
        let Some(gpu) = adapter::open(how) else { return };
        let native = |name: &str| gpu.arithmetic().has(name);
        macro_rules! check {
            ($T:ty, $by_runs:ident, $family:literal) => {
                let wide = |v: &[$T]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                if native(concat!($family, "_add")) && native(concat!($family, "_mul")) {
                    let compiled = gpu.product(<$T>::DTYPE).expect("compiles");
                    let fused = native(concat!($family, "_fma"));
                    for (extent, turned) in cases() {
                        let (m, n, k) = extent;
                        let (a, b) = (numbers::<$T>(m * k, 4, true), numbers::<$T>(k * n, 5, true));
                        let c = sums::<$T>(extent, turned, 6, true);
                        let got = multiply(&*compiled, (&a, &b, &c), extent, turned).expect("runs");
                        let want = $by_runs([&a, &b, &c], extent, turned, fused);
                        assert!(same(&wide(&got), &wide(&want)), "{extent:?} {turned:?}");
                    }
                } else {
                    let e = gpu.product(<$T>::DTYPE).map(drop).expect_err("not by integers");
                    assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e}");
                }
            };
        }
        check!(f32, by_runs_f32, "f32");
        check!(f64, by_runs_f64, "f64");
        // numbers of half precision are summed in single
        match (gpu.product(F16), gpu.product(F32)) {
            (Ok(halves), Ok(singles)) => {
                for (extent, turned) in cases() {
                    let (m, n, k) = extent;
                    let (a, b) = (numbers::<f16>(m * k, 7, true), numbers::<f16>(k * n, 8, true));
                    let c = sums::<f32>(extent, turned, 9, true);
                    let wide = |v: &[f16]| v.iter().map(|&x| f32::from(x)).collect::<Vec<_>>();
                    let x = multiply(&*halves, (&a, &b, &c), extent, turned).expect("runs");
                    let y = multiply(&*singles, (&wide(&a), &wide(&b), &c), extent, turned).expect("runs");
                    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                    assert!(same(&wide(&x), &wide(&y)), "{extent:?} {turned:?}");
                }
            }
            (halves, singles) => assert!(halves.is_err() && singles.is_err()),
        }
    }
}

fn session(gpu: Gpu) -> (Session, Arc<Fallbacks>) {
    let told = Arc::new(Fallbacks::default());
    let both = Hybrid::new(Arc::new(gpu), Arc::new(Cpu::detect()));
    let session = Session::builder().backend(Arc::new(both)).threads(2).observer(told.clone());
    (session.build().expect("a session"), told)
}

fn ramp(shape: &[isize], d: DType) -> Array {
    let n = shape.iter().product::<isize>() as i64;
    (Array::arange(0, n, 1) % 23 - 11).reshape(shape).cast(d)
}

#[test]
fn a_session_multiplies_on_its_device() {
    let Some(gpu) = adapter::open(|gpu| gpu) else { return };
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a CPU");
    let (session, told) = session(gpu.clone());
    let mut on_gpu = 0;
    for d in [F32, I32, U8, F64] {
        let a = ramp(&[150, 300], d).rechunk([64, 100]);
        let b = ramp(&[300, 90], d).rechunk([70, 90]);
        let batch = (ramp(&[3, 40, 50], d).rechunk([2, 17, 50]), ramp(&[3, 50, 20], d));
        // sums of small whole numbers are exact
        for c in [
            a.matmul(&b),
            (&a * 2 + 1).matmul(&b.flip(Some(0))) - 3,
            b.t().matmul(&a.t()),
            batch.0.matmul(&batch.1),
            a.slice(s![3, ..]).dot(&b),
        ] {
            let (want, got) = (cpu.compute(&c).expect("cpu"), session.compute(&c).expect("gpu"));
            let numbers =
                |b: &Block| b.cast(F64).to_contiguous().as_slice::<f64>().expect("doubles").to_vec();
            assert_eq!(numbers(&got), numbers(&want), "{d}");
            let plan = session.explain(&c).expect("a plan");
            on_gpu += usize::from(plan.contains(&format!("its product of {d} on gpu")));
        }
    }
    assert!(on_gpu >= 10, "whole numbers at least");
    let told = told.0.lock().expect("nobody panics here");
    assert!(told.iter().all(|why| why.contains("products of f")), "{told:?}");
}

#[test]
fn operands_that_stay_are_not_sent() {
    let Some(gpu) = adapter::open(|gpu| gpu) else { return };
    let (session, _) = session(gpu.clone());
    let (a, b) = (ramp(&[200, 256], I32), ramp(&[256, 100], I32));
    let [x, y] = [&a, &b].map(|x| session.persist(x).expect("computes"));
    if gpu.resident_bytes() == 0 {
        return;
    }
    let numbers = |x: &Array, session: &Session| session.compute(x).expect("computes").to_contiguous();
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a CPU");
    for (kept, plain) in [
        (x.matmul(&y), a.matmul(&b)),
        (y.t().matmul(&x.t()), b.t().matmul(&a.t())),
        (x.flip(Some(1)).matmul(&y), a.flip(Some(1)).matmul(&b)),
    ] {
        let sent = gpu.sent_bytes();
        let got = numbers(&kept, &session);
        // what follows may read the sums
        assert!(gpu.sent_bytes() - sent <= 4 * 200 * 100, "{}", gpu.sent_bytes() - sent);
        assert_eq!(
            got.as_slice::<i32>().expect("i32"),
            numbers(&plain, &cpu).as_slice::<i32>().expect("i32")
        );
    }
}

#[test]
fn what_an_adapter_does_not_add_right_the_cpu_multiplies() {
    let Some(plain) = adapter::open(GpuBuilder::integers_only) else { return };
    let (session, told) = session(plain);
    let c = ramp(&[40, 50], F32).matmul(&ramp(&[50, 30], F32));
    let plan = session.explain(&c).expect("a plan");
    assert!(
        plan.contains("its product of f32 on cpu") && plan.contains("since products of f32 on a GPU"),
        "{plan}"
    );
    session.compute(&c).expect("runs");
    session.compute(&c).expect("runs");
    let told = told.0.lock().expect("nobody panics here");
    assert!(told.len() == 1 && told[0].contains("products of f32 on a GPU"), "{told:?}");
}

#[test]
fn a_product_that_fits_nowhere_is_a_typed_error() {
    let Some(gpu) = adapter::open(|gpu| gpu.memory_limit(1000u64)) else { return };
    let compiled = gpu.product(I32).expect("compiles");
    let e =
        multiply::<i32, i32>(&*compiled, (&[1], &[2], &[3]), (1, 1, 1), [false; 2]).expect_err("1000 bytes");
    assert!(matches!(e.kind(), ErrorKind::MemoryLimit { limit: 1000, .. }), "{e}");
}

/// `BLOCKWISE_UPDATE_GOLDEN=1 cargo test --features gpu --test gpu_products` writes the files anew.
#[test]
fn products_as_text() {
    for (name, d, arithmetic) in [
        ("product_f32", F32, Arithmetic::all()),
        ("product_i8", I8, Arithmetic::default()),
        ("product_u64", U64, Arithmetic::default()),
    ] {
        let text = Gpu::product_wgsl(d, &arithmetic).expect("supported");
        // the tiles are those of shaders/, the same for all
        let (own, tiles) = text.split_at(text.find("// Adds a product").expect("tiles"));
        assert_eq!(tiles, include_str!("../shaders/product.wgsl"));
        let own = &own[own.find("alias Element").expect("an element")..];
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/wgsl/{name}.wgsl"));
        if std::env::var_os("BLOCKWISE_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, own).expect("writable");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(own == golden, "{name}: the text changed; it is now\n{own}");
    }
}

#[test]
fn products_are_valid_wgsl() {
    use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};
    let wide = Capabilities::FLOAT64 | Capabilities::SHADER_INT64;
    for d in DType::ALL {
        for (arithmetic, capabilities) in
            [(Arithmetic::default(), Capabilities::empty()), (Arithmetic::all(), wide)]
        {
            match Gpu::product_wgsl(d, &arithmetic) {
                Ok(text) => {
                    let module = wgpu::naga::front::wgsl::parse_str(&text);
                    let module = module.unwrap_or_else(|e| panic!("{d}: {}", e.emit_to_string(&text)));
                    let valid = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
                    assert!(valid.is_ok(), "{d}: {valid:?}");
                }
                Err(e) => {
                    assert!(d.is_float() && arithmetic == Arithmetic::default(), "{d}: {e}");
                    assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e}");
                }
            }
        }
    }
}

#[test]
fn sums_in_room_made_for_them_come_when_another_adds_to_them() {
    let Some(gpu) = adapter::open(|gpu| gpu.memory_limit("2MiB")) else { return };
    let extent @ (m, n, k) = (70, 45, 300);
    let (a, b) = (numbers::<i32>(m * k, 1, false), numbers::<i32>(k * n, 2, false));
    let [here, there] = [Cpu::detect().product(I32), gpu.product(I32)].map(|p| p.expect("compiles"));
    let mut sums = Block::from_vec(vec![0i32; m * n]);
    let Some(room) = gpu.room(&sums, &Grid::single(sums.shape()), false) else { return };
    let mut scratch = vec![0u64; product_room(I32, extent) / 8 + 8];
    let scratch = scratch.as_mut_ptr().cast::<u8>();
    let mut product = Product {
        extent,
        a: matrix(&a, m, k, false),
        b: matrix(&b, k, n, false),
        c: sums.as_ptr().cast_mut(),
        fresh: true,
        room: scratch.wrapping_add(scratch.align_offset(64)),
    };
    let mut add = |multiply: &dyn Multiply, fresh| {
        product.fresh = fresh;
        // SAFETY: operands, sums and scratch of the extent; the block is nobody else's.
        unsafe { multiply.run_away(&product, [None; 2], Some(&*room)) }.expect("multiplies")
    };
    assert!(add(&*there, true) && add(&*there, false));
    let received = gpu.received_bytes();
    assert!(!add(&*here, false));
    assert_eq!(gpu.received_bytes() - received, (4 * m * n) as u64);
    let want = multiply(&*here, (&a, &b, &vec![0i32; m * n]), extent, [false; 2]).expect("multiplies");
    drop(room);
    let got = std::mem::replace(&mut sums, Block::scalar(0i32.into()));
    assert!(got.as_slice::<i32>().expect("sums").iter().zip(&want).all(|(sum, one)| *sum == 3 * one));
}
