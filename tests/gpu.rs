//! The GPU backend as users meet it: sessions on a device, its memory limit, the text of kernels, and what happens where there is none.
#![cfg(feature = "gpu")]

#[path = "common/gpu.rs"]
mod adapter;
#[path = "common/fallbacks.rs"]
mod fallbacks;

use blockwise::backend::cpu::Cpu;
use blockwise::backend::gpu::{Arithmetic, Gpu, GpuBuilder};
use blockwise::backend::hybrid::Hybrid;
use blockwise::backend::{Backend, Launch, Operand, Output, Records};
use blockwise::dtype::Scalar;
use blockwise::ir::{Builder, Kernel};
use blockwise::op::{BinaryOp, CompareOp, ReduceOp, UnaryOp};
use blockwise::prelude::*;
use blockwise::shape::{IndexMap, Region};
use fallbacks::Fallbacks;
use std::path::Path;
use std::sync::Arc;

/// A session on the CPU, one on the GPU, and what the latter leaves to the CPU; nothing without a GPU.
fn sessions() -> Option<(Session, Session, Arc<Fallbacks>)> {
    adapter::open(|gpu| gpu)?;
    let fallbacks = Arc::new(Fallbacks::default());
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a CPU");
    let gpu = Session::builder().device(Device::gpu(0)).threads(2).observer(fallbacks.clone());
    Some((cpu, gpu.build().expect("a GPU"), fallbacks))
}

fn ramp(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    let mut rest = 12345u32;
    let xs: Vec<f32> = (0..n)
        .map(|_| {
            rest = rest.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (rest >> 8) as f32 / 65536.0 - 100.0
        })
        .collect();
    Array::from_ndarray(ndarray::ArrayD::from_shape_vec(shape, xs).expect("as many"))
}

/// The elements of a block, in C order; NaN is one value, whatever its bits.
fn elements(block: &Block) -> Vec<Scalar> {
    let at = |mut n: usize| {
        let mut index = vec![0; block.shape().len()];
        for (i, length) in index.iter_mut().zip(block.shape()).rev() {
            *i = n % length;
            n /= length;
        }
        let s = block.get(&index).expect("inside");
        if s.dtype().is_float() && s.as_f64().is_nan() { Scalar::from(f64::NAN) } else { s }
    };
    (0..block.len()).map(at).collect()
}

#[test]
fn a_session_on_the_gpu_gives_what_the_cpu_gives() {
    let Some((cpu, gpu, fallbacks)) = sessions() else { return };
    let x = ramp(&[300, 400]).rechunk([128, 150]);
    let y = x.t().slice(s![..300, ..300]).cast(I32);
    let exact = [
        (&x + &x * 2.5).sqrt(),
        x.slice(s![.., ..300]).cast(I32).floor_divide(&(&y + 7)),
        x.slice(s![..;3, ..;-2]).cast(U8),
        x.max(1),
        x.argmin(0),
        y.sum(..),
        (&y % 5).cast(I16).sum(0),
        x.isnan().any(..),
        where_(x.gt(0.0), &x, -&x).min(0),
    ];
    for (n, array) in exact.iter().enumerate() {
        let (want, got) = (cpu.compute(array).expect("cpu"), gpu.compute(array).expect("gpu"));
        assert_eq!(elements(&got), elements(&want), "array {n}");
    }
    for array in &[x.mean(..), x.std(0), (&x / 50.0).exp().sum(1)] {
        let (want, got) = (cpu.compute(array).expect("cpu"), gpu.compute(array).expect("gpu"));
        for (a, b) in elements(&got).iter().zip(elements(&want)) {
            let (a, b) = (a.as_f64(), b.as_f64());
            assert!((a - b).abs() <= 1e-6 * b.abs(), "{a} is not {b}");
        }
    }
    assert!(fallbacks.0.lock().expect("nobody panics here").is_empty());
    assert!(gpu.explain(&x.sqrt()).expect("a plan").contains("runs on gpu"));
}

#[test]
fn folds_with_more_results_than_are_made_planes_at_a_time() {
    let Some((cpu, gpu, fallbacks)) = sessions() else { return };
    let x = ramp(&[3, 50, 47]);
    let numbers = where_(x.gt(50.0), f32::NAN, &x);
    let folds = |x: &Array, axis: isize| {
        vec![
            x.sum(axis).cast(F32),
            x.max(axis),
            x.argmin(axis),
            x.any(axis),
            x.cast(I16).min(axis),
            x.cast(U8).sum(axis),
            x.cast(F16).max(axis),
            x.isnan().all(axis),
        ]
    };
    // whole results, and tasks that fold into a part of each row
    for chunks in [[3, 50, 47], [2, 50, 47], [3, 41, 45]] {
        for axis in [0, -1] {
            let arrays = [folds(&x.rechunk(chunks), axis), folds(&numbers.rechunk(chunks), axis)].concat();
            for (n, array) in arrays.iter().enumerate() {
                let (want, got) = (cpu.compute(array).expect("cpu"), gpu.compute(array).expect("gpu"));
                assert_eq!(elements(&got), elements(&want), "fold {n} of {chunks:?} along {axis}");
            }
            for array in [numbers.rechunk(chunks).nanmean(axis), x.rechunk(chunks).std(axis)] {
                let (want, got) = (cpu.compute(&array).expect("cpu"), gpu.compute(&array).expect("gpu"));
                for (a, b) in elements(&got).iter().zip(elements(&want)) {
                    let (a, b) = (a.as_f64(), b.as_f64());
                    assert!(a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-6 * b.abs(), "{a} is not {b}");
                }
            }
        }
    }
    assert!(fallbacks.0.lock().expect("nobody panics here").is_empty());
}

#[test]
fn what_the_gpu_cannot_do_the_cpu_does_and_says_so() {
    // without arithmetic of their own, adapters have no elementary functions of doubles
    let Some(plain) = adapter::open(GpuBuilder::integers_only) else { return };
    let fallbacks = Arc::new(Fallbacks::default());
    let both = Hybrid::new(Arc::new(plain), Arc::new(Cpu::detect()));
    let gpu = Session::builder().backend(Arc::new(both)).threads(2).observer(fallbacks.clone());
    let gpu = gpu.build().expect("a session");
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a CPU");
    let x = ramp(&[30, 40]);
    let z = x.cast(F64).sin();
    let plan = gpu.explain(&z).expect("a plan");
    assert!(plan.contains("runs on cpu") && plan.contains("since sin of f64 on a GPU"), "{plan}");
    assert!(gpu.explain(&x.sqrt()).expect("a plan").contains("runs on gpu"));
    assert_eq!(elements(&gpu.compute(&z).expect("gpu")), elements(&cpu.compute(&z).expect("cpu")));
    let told = std::mem::take(&mut *fallbacks.0.lock().expect("nobody panics here"));
    assert!(told.len() == 1 && told[0].contains("sin of f64 on a GPU is not supported"), "{told:?}");
}

/// `sum(x * 2 + 1)` and `x * 2 + 1` of f32.
fn kernel() -> Kernel {
    let mut b = Builder::new(2);
    let input = b.input(F32, IndexMap::identity(2));
    let x = b.load(input);
    let (two, one) = (b.constant(Scalar::from(2.0f32)), b.constant(Scalar::from(1.0f32)));
    let y = b.binary(BinaryOp::Mul, x, two);
    let y = b.binary(BinaryOp::Add, y, one);
    b.store(y);
    b.reduce(ReduceOp::Sum, y, [0, 1]);
    b.finish().expect("sound")
}

#[test]
fn data_of_eight_times_the_memory_limit_streams_in_bounded_memory() {
    let Some(gpu) = adapter::open(|gpu| gpu.memory_limit("512KiB")) else { return };
    let executable = gpu.compile(&kernel()).expect("compiles");
    let (rows, columns) = (1024usize, 1024usize);
    let mut x: Vec<f32> = (0..rows * columns).map(|i| (i % 1000) as f32).collect();
    assert!(x.len() as u64 * 4 >= 8 * gpu.memory_limit());
    let mut runs = vec![];
    for _ in 0..2 {
        let (mut y, mut sum) = (vec![0f32; x.len()], 0f64);
        let strides = smallvec::smallvec![4 * columns as isize, 4];
        let inputs = [Operand { ptr: x.as_mut_ptr().cast(), strides: strides.clone() }];
        let plane = Operand { ptr: (&raw mut sum).cast(), strides: smallvec::smallvec![0, 0] };
        let outputs = [
            Output::Store(Operand { ptr: y.as_mut_ptr().cast(), strides }),
            Output::Reduce(smallvec::smallvec![plane]),
        ];
        let shape = [rows, columns];
        let region = Region::whole(&shape);
        let launch = Launch {
            region: &region,
            shape: &shape,
            inputs: &inputs,
            outputs: &outputs,
            slots: 0,
            streaming: false,
        };
        // SAFETY: both arrays have an element for every point, and the plane is a number.
        unsafe { executable.run(&launch) }.expect("runs");
        assert!(x.iter().zip(&y).all(|(x, y)| x * 2.0 + 1.0 == *y));
        runs.push(sum.to_bits());
    }
    let want: f64 = x.iter().map(|x| f64::from(x * 2.0 + 1.0)).sum();
    assert_eq!(runs, [want.to_bits(); 2]);
    let (peak, limit) = (gpu.peak_memory(), gpu.memory_limit());
    assert!(peak > 0 && peak <= limit, "{peak} of {limit} bytes");
}

/// Runs a kernel over a C-ordered array of two axes: results that are stored in C order, planes of reductions, records of groups.
fn run_over(
    gpu: &Gpu,
    kernel: &Kernel,
    x: &mut [f32],
    shape: [usize; 2],
    outputs: &[Output],
) -> Result<(), Error> {
    let inputs =
        [Operand { ptr: x.as_mut_ptr().cast(), strides: smallvec::smallvec![4 * shape[1] as isize, 4] }];
    let region = Region::whole(&shape);
    let launch =
        Launch { region: &region, shape: &shape, inputs: &inputs, outputs, slots: 300, streaming: false };
    // SAFETY: the callers have an element for every point.
    unsafe { gpu.compile(kernel)?.run(&launch) }
}

#[test]
fn sums_of_floats_have_the_same_bits_for_any_memory_limit() {
    sums_in_pieces([391, 577]);
    // rows of more than one segment
    sums_in_pieces([23, 9001]);
}

fn sums_in_pieces(shape: [usize; 2]) {
    let limits: [fn(GpuBuilder) -> GpuBuilder; 4] = [
        |gpu| gpu.memory_limit("160KiB"),
        |gpu| gpu.memory_limit("600KiB"),
        |gpu| gpu.memory_limit("3MiB"),
        |gpu| gpu.memory_limit("64MiB"),
    ];
    let mut b = Builder::new(2);
    let input = b.input(F32, IndexMap::identity(2));
    let (x, row) = (b.load(input), b.index(0));
    let slot = b.cast(U32, row);
    let many = b.constant(Scalar::from(300u32));
    let slot = b.binary(BinaryOp::Rem, slot, many);
    b.reduce(ReduceOp::Sum, x, [0, 1]);
    b.reduce(ReduceOp::M2, x, [0]);
    b.reduce(ReduceOp::Sum, x, [1]);
    b.group_reduce(ReduceOp::Sum, x, slot, None);
    let kernel = b.finish().expect("sound");
    let mut bits = vec![];
    for limit in limits {
        let Some(gpu) = adapter::open(limit) else { return };
        let mut x: Vec<f32> = (0..shape[0] * shape[1]).map(|i| (i as f32 * 0.37).sin() * 1e3).collect();
        let (mut all, mut rows, mut groups) = (vec![0f64], vec![0f64; shape[0]], vec![0f64; 300]);
        let mut moments = [vec![0f64; shape[1]], vec![0f64; shape[1]]];
        let mut counts = vec![0i64; shape[1]];
        let plane = |ptr: *mut f64, strides: [isize; 2]| Operand {
            ptr: ptr.cast(),
            strides: strides.as_slice().into(),
        };
        let columns = [moments[0].as_mut_ptr(), moments[1].as_mut_ptr(), counts.as_mut_ptr().cast()];
        let records = [groups.as_mut_ptr().cast(), std::ptr::null_mut(), std::ptr::null_mut()];
        let outputs = [
            Output::Reduce(smallvec::smallvec![plane(all.as_mut_ptr(), [0, 0])]),
            Output::Reduce(columns.iter().map(|&p| plane(p, [0, 8])).collect()),
            Output::Reduce(smallvec::smallvec![plane(rows.as_mut_ptr(), [8, 0])]),
            Output::GroupReduce(Records { planes: records, stride: 8 }),
        ];
        run_over(&gpu, &kernel, &mut x, shape, &outputs).expect("runs");
        assert!(gpu.peak_memory() <= gpu.memory_limit());
        let exact: f64 = x.iter().map(|x| f64::from(*x)).sum();
        assert!((all[0] - exact).abs() < 1e-6 && counts.iter().all(|&n| n == shape[0] as i64));
        let [m2, mean] = moments;
        bits.push([all, m2, mean, rows, groups].concat().into_iter().map(f64::to_bits).collect::<Vec<_>>());
    }
    assert!(bits.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn more_workgroups_than_a_grid_has_are_several_pieces() {
    let Some(gpu) = adapter::open(GpuBuilder::smallest_limits) else { return };
    let mut b = Builder::new(1);
    let input = b.input(F32, IndexMap::identity(1));
    let x = b.load(input);
    b.reduce(ReduceOp::Count, x, [0]);
    let (mut x, mut count) = (1f32, 0i64);
    // one element for all points: nothing but the number of workgroups limits a piece
    let shape = [(256 * 256 + 1) * 1024 + 7];
    let region = Region::whole(&shape);
    let operand = |ptr: *mut u8| Operand { ptr, strides: smallvec::smallvec![0] };
    let inputs = [operand((&raw mut x).cast())];
    let outputs = [Output::Reduce(smallvec::smallvec![operand((&raw mut count).cast())])];
    let launch = Launch {
        region: &region,
        shape: &shape,
        inputs: &inputs,
        outputs: &outputs,
        slots: 0,
        streaming: false,
    };
    // SAFETY: both operands are one element.
    unsafe { gpu.compile(&b.finish().expect("sound")).expect("compiles").run(&launch) }.expect("runs");
    assert_eq!(count, shape[0] as i64);
}

#[test]
fn what_cannot_be_done_again_is_not_begun() {
    let Some(gpu) = adapter::open(|gpu| gpu.memory_limit("64KiB")) else { return };
    let mut b = Builder::new(2);
    let input = b.input(F32, IndexMap::identity(2));
    let x = b.load(input);
    let y = b.binary(BinaryOp::Add, x, x);
    b.store(y);
    let kernel = b.finish().expect("sound");
    for (rows, in_one_piece) in [(4, true), (1000, false)] {
        let shape = [rows, 100];
        let mut x = vec![1f32; rows * 100];
        let own = Operand { ptr: x.as_mut_ptr().cast(), strides: smallvec::smallvec![400, 4] };
        let outcome = run_over(&gpu, &kernel, &mut x, shape, &[Output::Store(own)]);
        if in_one_piece {
            outcome.expect("runs");
        } else {
            let e = outcome.expect_err("a second piece may fail when the first is stored");
            assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e}");
        }
        assert!(x.iter().all(|&x| x == if in_one_piece { 2.0 } else { 1.0 }));
    }
}

#[test]
fn where_nothing_fits_a_typed_error_says_so() {
    let Some(gpu) = adapter::open(|gpu| gpu.memory_limit(1000u64)) else { return };
    let executable = gpu.compile(&kernel()).expect("compiles");
    let (mut x, mut y, mut sum) = ([1f32], [0f32], 3f64);
    let operand = |ptr: *mut u8| Operand { ptr, strides: smallvec::smallvec![0, 0] };
    let inputs = [operand(x.as_mut_ptr().cast())];
    let outputs = [
        Output::Store(operand(y.as_mut_ptr().cast())),
        Output::Reduce(smallvec::smallvec![operand((&raw mut sum).cast())]),
    ];
    let region = Region::whole(&[1, 1]);
    let launch = Launch {
        region: &region,
        shape: &[1, 1],
        inputs: &inputs,
        outputs: &outputs,
        slots: 0,
        streaming: false,
    };
    // SAFETY: every operand is one element.
    let e = unsafe { executable.run(&launch) }.expect_err("1000 bytes are too few");
    assert!(matches!(e.kind(), ErrorKind::MemoryLimit { limit: 1000, .. }), "{e}");
    assert_eq!(sum, 3.0);
}

#[test]
fn a_gpu_that_is_not_there_is_a_typed_error() {
    let e = Session::builder().device(Device::gpu(999)).build().map(drop).expect_err("so many GPUs");
    assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e}");
    assert!(Session::builder().device(Device::auto()).build().is_ok());
}

#[test]
fn adapters_tell_what_they_have() {
    for adapter in blockwise::devices() {
        assert!(adapter.max_binding <= adapter.max_buffer && adapter.max_binding >= 1 << 20, "{adapter:?}");
        let told = adapter.memory.is_some_and(|bytes| bytes >= 1 << 20);
        assert!(told || adapter.api != "vulkan", "{adapter:?}");
        // software has none that is not the host's
        assert!(adapter.own_memory().is_none() || adapter.is_hardware());
    }
}

#[test]
fn moments_far_from_zero_keep_their_digits() {
    let mut b = Builder::new(2);
    let input = b.input(F64, IndexMap::identity(2));
    let x = b.load(input);
    b.reduce(ReduceOp::M2, x, [0, 1]);
    b.reduce(ReduceOp::NanM2, x, [1]);
    let kernel = b.finish().expect("sound");
    let (rows, columns) = (16usize, 2500usize);
    // deviations -1.5 .. 1.5 about 1e9
    let mut x: Vec<f64> = (0..rows * columns).map(|i| 1e9 + (i % 4) as f64 - 1.5).collect();
    let ways: [fn(GpuBuilder) -> GpuBuilder; 3] =
        [|gpu| gpu, GpuBuilder::integers_only, |gpu| gpu.memory_limit("256KiB")];
    for how in ways {
        let Some(gpu) = adapter::open(how) else { return };
        let executable = gpu.compile(&kernel).expect("compiles");
        let mut planes = [vec![0u64; 3], vec![0; 3 * rows]];
        let strides = smallvec::smallvec![8 * columns as isize, 8];
        let inputs = [Operand { ptr: x.as_mut_ptr().cast(), strides }];
        let of = |planes: &mut Vec<u64>, n: usize, stride| {
            let plane = |k| Operand {
                ptr: planes[k * n..].as_mut_ptr().cast(),
                strides: smallvec::smallvec![stride, 0],
            };
            Output::Reduce((0..3).map(plane).collect())
        };
        let [all, by_row] = &mut planes;
        let outputs = [of(all, 1, 0), of(by_row, rows, 8)];
        let shape = [rows, columns];
        let region = Region::whole(&shape);
        let launch = Launch {
            region: &region,
            shape: &shape,
            inputs: &inputs,
            outputs: &outputs,
            slots: 0,
            streaming: false,
        };
        // SAFETY: there is an element for every point; planes have one number, and one for every row.
        unsafe { executable.run(&launch) }.expect("runs");
        for (planes, n) in planes.iter().zip([rows * columns, columns]) {
            let many = planes.len() / 3;
            let (m2, mean) = (f64::from_bits(planes[0]), f64::from_bits(planes[many]));
            assert!((m2 / n as f64 - 1.25).abs() < 1e-12, "{}", m2 / n as f64);
            assert_eq!((mean, planes[2 * many]), (1e9, n as u64));
        }
    }
}

/// Kernels whose WGSL is kept as text.
fn texts() -> Vec<(&'static str, Kernel)> {
    let made = |build: &dyn Fn(&mut Builder)| {
        let mut b = Builder::new(2);
        build(&mut b);
        b.finish().expect("sound")
    };
    let load = |b: &mut Builder, d| {
        let input = b.input(d, IndexMap::identity(2));
        b.load(input)
    };
    vec![
        ("axpy_and_sum", kernel()),
        (
            "bytes",
            made(&|b| {
                let (x, y) = (load(b, U8), load(b, I16));
                let x = b.cast(I16, x);
                let z = b.binary(BinaryOp::FloorDiv, x, y);
                b.store(z);
                let c = b.compare(CompareOp::Lt, z, x);
                b.store(c);
            }),
        ),
        (
            "by_group",
            made(&|b| {
                let (x, slot, mask) = (load(b, F32), load(b, U32), load(b, Bool));
                b.group_reduce(ReduceOp::Sum, x, slot, Some(mask));
                b.group_reduce(ReduceOp::Max, x, slot, None);
            }),
        ),
        (
            "exp_by_row",
            made(&|b| {
                let x = load(b, F16);
                let y = b.unary(UnaryOp::Exp, x);
                b.reduce(ReduceOp::ArgMax, y, [1]);
                b.reduce(ReduceOp::NanM2, y, [1]);
            }),
        ),
        (
            "selected",
            made(&|b| {
                let (x, row) = (load(b, F64), b.index(0));
                let y = b.cast(F64, row);
                let mask = b.compare(CompareOp::Le, y, x);
                b.select_root(mask, x);
            }),
        ),
    ]
}

/// `BLOCKWISE_UPDATE_GOLDEN=1 cargo test --features gpu --test gpu` writes the files anew.
fn check_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wgsl").join(format!("{name}.wgsl"));
    if std::env::var_os("BLOCKWISE_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("writable");
        std::fs::write(&path, text).expect("writable");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "{name}: the text changed; it is now\n{text}");
}

#[test]
fn kernels_as_text() {
    let between = "\n// ---- next pass ----\n\n";
    for (name, kernel) in texts() {
        let passes = Gpu::wgsl(&kernel, &Arithmetic::default()).expect("supported");
        // the library's part is in shaders/
        let own =
            |text: &String| text.find("struct Values").map_or(String::new(), |at| text[at..].to_owned());
        check_golden(name, &passes.iter().map(own).collect::<Vec<_>>().join(between));
    }
    // what an ideal adapter runs, library and all
    let native = Gpu::wgsl(&kernel(), &Arithmetic::all()).expect("supported");
    check_golden("axpy_and_sum_native", &native.join(between));
}

/// No adapter is needed for this: the compiler of WGSL checks the text, with no capability beyond the least unless arithmetic is native.
#[test]
fn kernels_are_valid_wgsl() {
    use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};
    let wide = Capabilities::FLOAT64 | Capabilities::SHADER_INT64;
    for (name, kernel) in texts() {
        for (arithmetic, capabilities) in
            [(Arithmetic::default(), Capabilities::empty()), (Arithmetic::all(), wide)]
        {
            for text in Gpu::wgsl(&kernel, &arithmetic).expect("supported") {
                let module = wgpu::naga::front::wgsl::parse_str(&text);
                let module = module.unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
                let valid = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
                assert!(valid.is_ok(), "{name}: {valid:?}");
            }
        }
    }
    // elementary functions of doubles: with native arithmetic alone
    for &op in UnaryOp::ALL.iter().filter(|op| op.is_transcendental()) {
        let mut b = Builder::new(1);
        let input = b.input(F64, IndexMap::identity(1));
        let x = b.load(input);
        let y = b.unary(op, x);
        b.store(y);
        let kernel = b.finish().expect("sound");
        let e = Gpu::wgsl(&kernel, &Arithmetic::default()).expect_err("not in integers");
        assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e}");
        let text = Gpu::wgsl(&kernel, &Arithmetic::all()).expect("supported").remove(0);
        let module = wgpu::naga::front::wgsl::parse_str(&text);
        let module = module.unwrap_or_else(|e| panic!("{op}: {}", e.emit_to_string(&text)));
        let valid = Validator::new(ValidationFlags::all(), wide).validate(&module);
        assert!(valid.is_ok(), "{op}: {valid:?}");
    }
}

#[test]
fn an_adapter_is_tried_before_its_arithmetic_is_used() {
    let Some(gpu) = adapter::open(|gpu| gpu) else { return };
    println!("{}: {}", gpu.adapter(), gpu.arithmetic());
    let Some(plain) = adapter::open(GpuBuilder::integers_only) else { return };
    assert_eq!(*plain.arithmetic(), Arithmetic::default());
    let found = gpu.arithmetic().names().collect::<Vec<_>>();
    assert_eq!(Arithmetic::of(found.iter().copied()), *gpu.arithmetic());
    assert!(found.iter().all(|name| Arithmetic::all().has(name)));
}

#[cfg(feature = "frame")]
#[test]
fn frames_on_the_gpu_give_what_the_cpu_gives() {
    use blockwise::frame::{DataFrame, col, len, when};
    let Some((cpu, gpu, fallbacks)) = sessions() else { return };
    let n = 3000i64;
    let frame = DataFrame::from_columns([
        ("k", (0..n).map(|i| (i % 11 != 3).then_some(i % 7)).collect::<Vec<_>>().into()),
        ("x", (0..n).map(|i| (i % 13 != 5).then_some(i as f64 / 8.0 - 100.0)).collect::<Vec<_>>().into()),
        ("b", (0..n).map(|i| Some(i % 3 == 0)).collect::<Vec<_>>().into()),
    ]);
    let rows = frame.filter(col("x").gt(-50.0).and(col("b"))).with_columns([
        (col("x") * 2.0 + col("k")).alias("y"),
        when(col("x").lt(0.0)).then(col("k")).otherwise(col("k") * 3).alias("z"),
    ]);
    let groups = rows.group_by("k").agg([col("y").sum().alias("sum"), col("z").max().alias("max"), len()]);
    for frame in [rows, groups] {
        let table = |session| frame.collect_with(session).expect("a table").to_batch().expect("one batch");
        assert_eq!(table(&gpu), table(&cpu));
    }
    assert!(fallbacks.0.lock().expect("nobody panics here").is_empty());
    // many groups, too
    let many = frame.group_by("x").agg([col("k").sum(), col("x").mean().alias("mean")]);
    let table = |session| many.collect_with(session).expect("a table").to_batch().expect("one batch");
    assert_eq!(table(&gpu), table(&cpu));
    assert!(fallbacks.0.lock().expect("nobody panics here").is_empty());
}
