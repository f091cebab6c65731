//! Kernels of the CPU backend against loops written by hand, and against what the memory gives.
//!
//! `cargo bench --bench kernels -- triad` runs one group. With `BEST_OF=20` in the environment criterion is left aside: every
//! case runs that many times, in turns with its rivals, and the best times are printed as one table. That is the mode
//! for a machine on which others work too.

use blockwise::backend::cpu::Cpu;
use blockwise::backend::{Backend, Executable, Launch, Operand, Output};
use blockwise::block::Buffer;
use blockwise::dtype::{DType, Scalar};
use blockwise::ir::{Builder, Kernel, Value};
use blockwise::op::{BinaryOp, ReduceOp, UnaryOp};
use blockwise::shape::{IndexMap, Region};
use criterion::{Criterion, Throughput};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Instant;

/// Memory with contents, from the library's pool: huge pages where the system has them.
struct Array {
    dtype: DType,
    shape: Vec<usize>,
    words: Buffer,
}

impl Array {
    fn new(dtype: DType, shape: &[usize]) -> Array {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        let words = Buffer::new(bytes.next_multiple_of(8) + 64, 8);
        // SAFETY: the buffer's memory, which nobody else knows of and every bit pattern of which is a u64.
        let list = unsafe { std::slice::from_raw_parts_mut(words.as_ptr() as *mut u64, bytes.div_ceil(8)) };
        for (i, w) in list.iter_mut().enumerate() {
            let x = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            *w = match dtype {
                DType::F32 => {
                    let f = |x: u64| (x as f32 / 1e6).to_bits() as u64;
                    f(x) | f(x ^ 0x5555) << 32
                }
                DType::F64 => (x as f64 / 1e6).to_bits(),
                DType::U16 => (x & 0x0fff) * 0x0001_0001_0001_0001 + 1,
                _ => 0,
            };
        }
        Array { dtype, shape: shape.to_vec(), words }
    }

    fn slice<T>(&self) -> &[T] {
        let n = self.shape.iter().product();
        // SAFETY: the words hold that many elements of the dtype, and T is its type.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr() as *const T, n) }
    }

    fn slice_mut<T>(&mut self) -> &mut [T] {
        let n = self.shape.iter().product();
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_ptr() as *mut T, n) }
    }

    /// The array as seen from points of its axes in another order.
    fn operand(&self, axes: &[usize]) -> Operand {
        let mut strides = vec![0isize; self.shape.len()];
        let mut step = self.dtype.size() as isize;
        for k in (0..self.shape.len()).rev() {
            strides[k] = step;
            step *= self.shape[k] as isize;
        }
        let strides: SmallVec<[isize; 4]> = axes.iter().map(|a| strides[*a]).collect();
        Operand { ptr: self.words.as_ptr(), strides }
    }
}

/// A kernel with all it needs to run.
struct Job {
    code: Arc<dyn Executable>,
    region: Region,
    inputs: Vec<Operand>,
    outputs: Vec<Output>,
}

impl Job {
    fn run(&self) {
        let launch = Launch {
            region: &self.region,
            shape: &self.region.shape,
            inputs: &self.inputs,
            outputs: &self.outputs,
            slots: 0,
            streaming: true,
        };
        // SAFETY: the arrays outlive the job and have the elements of every point.
        unsafe { self.code.run(&launch) }.expect("the kernel runs");
    }
}

/// Contiguous inputs and stores.
fn job(cpu: Cpu, kernel: &Kernel, inputs: &[&Array], stores: &[&Array]) -> Job {
    let shape = &inputs[0].shape;
    let axes: Vec<usize> = (0..shape.len()).collect();
    Job {
        code: cpu.compile(kernel).expect("the kernel compiles"),
        region: Region::whole(shape),
        inputs: inputs.iter().map(|a| a.operand(&axes)).collect(),
        outputs: stores.iter().map(|a| Output::Store(a.operand(&axes))).collect(),
    }
}

/// Planes with these strides, in bytes.
fn planes(arrays: &[&Array], strides: &[isize]) -> Output {
    let of = |a: &&Array| Operand { ptr: a.words.as_ptr(), strides: strides.into() };
    Output::Reduce(arrays.iter().map(of).collect())
}

fn kernel(rank: usize, inputs: &[DType], build: impl FnOnce(&mut Builder, &[Value])) -> Kernel {
    let mut b = Builder::new(rank);
    let values: Vec<Value> = inputs
        .iter()
        .map(|d| {
            let n = b.input(*d, IndexMap::identity(rank));
            b.load(n)
        })
        .collect();
    build(&mut b, &values);
    b.finish().expect("a valid kernel")
}

/// One line of the table: a name, and what is timed.
type Rival<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Runs rivals in turns, or each under criterion.
fn contest(c: &mut Criterion, group: &str, bytes: usize, mut rivals: Vec<Rival<'_>>) {
    let Some(rounds) = std::env::var("BEST_OF").ok().and_then(|n| n.parse::<usize>().ok()) else {
        let mut g = c.benchmark_group(group);
        g.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
        for (name, f) in &mut rivals {
            g.bench_function(*name, |b| b.iter(&mut *f));
        }
        return g.finish();
    };
    let wanted = std::env::args().skip(1).filter(|a| !a.starts_with('-')).all(|a| group.contains(&a));
    if !wanted {
        return;
    }
    let mut best = vec![f64::INFINITY; rivals.len()];
    for _ in 0..=rounds {
        for ((_, f), best) in rivals.iter_mut().zip(&mut best) {
            let start = processor_time();
            f();
            *best = best.min(processor_time() - start);
        }
    }
    for ((name, _), t) in rivals.iter().zip(&best) {
        println!(
            "{group:12} {name:12} {:9.3} ms {:7.2} GB/s {:5.2}x",
            t * 1e3,
            bytes as f64 / t / 1e9,
            best[0] / t
        );
    }
}

/// Seconds that this thread has run: not counted is what other processes take from it.
fn processor_time() -> f64 {
    #[cfg(unix)]
    {
        let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `t` is writable.
        if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) } == 0 {
            return t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9;
        }
    }
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// What is compared for most kernels: the hand-written loop first, then the backend.
fn rivals<'a>(hand: impl FnMut() + 'a, job: &'a Job, tiles: &'a Job) -> Vec<Rival<'a>> {
    vec![("hand", Box::new(hand)), ("cpu", Box::new(|| job.run())), ("cpu tiles", Box::new(|| tiles.run()))]
}

macro_rules! by_hand {
    ($(fn $name:ident($($arg:ident: $T:ty),*) $(-> $R:ty)? $body:block)*) => {
        /// Loops as the compiler vectorizes them with everything this CPU has.
        mod hand {
            $(
                pub fn $name($($arg: $T),*) $(-> $R)? {
                    #[inline(always)]
                    fn body($($arg: $T),*) $(-> $R)? $body
                    #[cfg(target_arch = "x86_64")]
                    {
                        #[target_feature(enable = "avx2,fma")]
                        fn avx2($($arg: $T),*) $(-> $R)? { body($($arg),*) }
                        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                        fn avx512($($arg: $T),*) $(-> $R)? { body($($arg),*) }
                        if super::has_avx512() {
                            // SAFETY: the CPU has these features.
                            return unsafe { avx512($($arg),*) };
                        }
                        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                            // SAFETY: the CPU has these features.
                            return unsafe { avx2($($arg),*) };
                        }
                    }
                    body($($arg),*)
                }
            )*
        }
    };
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl")
}

by_hand! {
    fn triad(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            *o = a + 2.5 * b;
        }
    }
    fn ndvi(red: &[u16], nir: &[u16], out: &mut [f32]) {
        for ((o, r), n) in out.iter_mut().zip(red).zip(nir) {
            let (r, n) = (*r as f32, *n as f32);
            *o = (n - r) / (n + r);
        }
    }
    fn evi(blue: &[f32], red: &[f32], nir: &[f32], out: &mut [f32]) {
        for (((o, b), r), n) in out.iter_mut().zip(blue).zip(red).zip(nir) {
            *o = 2.5 * (n - r) / (n + 6.0 * r - 7.5 * b + 1.0);
        }
    }
    fn poly(x: &[f32], out: &mut [f32]) {
        for (o, x) in out.iter_mut().zip(x) {
            let mut y = *x;
            for k in 0..15 {
                y = y * x + (k as f32 * 0.1 - 0.7);
            }
            *o = y;
        }
    }
    fn norm(a: &[f32], b: &[f32]) -> f64 {
        let mut sums = [0f64; 16];
        for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
            for k in 0..16 {
                sums[k] += (a[k] * a[k] + b[k] * b[k]).sqrt() as f64;
            }
        }
        sums.iter().sum()
    }
    fn read(a: &[u64]) -> u64 {
        let mut sums = [0u64; 64];
        for a in a.as_chunks::<64>().0 {
            for k in 0..64 {
                sums[k] ^= a[k];
            }
        }
        sums.iter().fold(0, |a, b| a ^ b)
    }
    fn sum(a: &[f32]) -> f64 {
        let mut sums = [0f64; 64];
        for a in a.as_chunks::<64>().0 {
            for k in 0..64 {
                sums[k] += a[k] as f64;
            }
        }
        sums.iter().sum()
    }
}

/// `a + 2.5 * b` with stores that bypass the caches: the best there is.
fn triad_streaming(a: &[f32], b: &[f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && (out.as_ptr() as usize).is_multiple_of(16) {
        use std::arch::x86_64::*;
        #[target_feature(enable = "avx2")]
        fn stream(a: &[f32], b: &[f32], out: &mut [f32]) {
            let head = out.as_ptr().align_offset(32).min(out.len());
            scalar(&a[..head], &b[..head], &mut out[..head]);
            let c = _mm256_set1_ps(2.5);
            let end = head + (out.len() - head) / 16 * 16;
            for i in (head..end).step_by(16) {
                for j in [i, i + 8] {
                    // SAFETY: inside the slices, and aligned after the head.
                    unsafe {
                        let x = _mm256_loadu_ps(a.as_ptr().add(j));
                        let y = _mm256_loadu_ps(b.as_ptr().add(j));
                        _mm256_stream_ps(out.as_mut_ptr().add(j), _mm256_add_ps(x, _mm256_mul_ps(c, y)));
                    }
                }
            }
            _mm_sfence();
            scalar(&a[end..], &b[end..], &mut out[end..]);
        }
        // SAFETY: the CPU has AVX2.
        return unsafe { stream(a, b, out) };
    }
    hand::triad(a, b, out);
}

fn scalar(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = a + 2.5 * b;
    }
}

fn stores(c: &mut Criterion, cpu: Cpu) {
    let tiles = cpu.with_emitter(false);
    let n = [64 << 20];
    let (a, b, blue) = (Array::new(DType::F32, &n), Array::new(DType::F32, &n), Array::new(DType::F32, &n));
    let mut hand = Array::new(DType::F32, &n);
    let out = Array::new(DType::F32, &n);

    let k = kernel(1, &[DType::F32; 2], |b, v| {
        let c = b.constant(Scalar::from(2.5f32));
        let y = b.binary(BinaryOp::Mul, c, v[1]);
        let z = b.binary(BinaryOp::Add, v[0], y);
        b.store(z);
    });
    let (job1, job2) = (job(cpu, &k, &[&a, &b], &[&out]), job(tiles, &k, &[&a, &b], &[&out]));
    let mut hand2 = Array::new(DType::F32, &n);
    let mut list = rivals(|| triad_streaming(a.slice(), b.slice(), hand.slice_mut()), &job1, &job2);
    list.push(("plain loop", Box::new(|| hand::triad(a.slice(), b.slice(), hand2.slice_mut()))));
    contest(c, "triad", 12 * n[0], list);

    let k = kernel(1, &[DType::F32; 3], |b, v| {
        let num = |b: &mut Builder, x: f32| b.constant(Scalar::from(x));
        let (c25, c6, c75, c1) = (num(b, 2.5), num(b, 6.0), num(b, 7.5), num(b, 1.0));
        let top = b.binary(BinaryOp::Sub, v[2], v[1]);
        let top = b.binary(BinaryOp::Mul, c25, top);
        let red = b.binary(BinaryOp::Mul, c6, v[1]);
        let blue = b.binary(BinaryOp::Mul, c75, v[0]);
        let low = b.binary(BinaryOp::Add, v[2], red);
        let low = b.binary(BinaryOp::Sub, low, blue);
        let low = b.binary(BinaryOp::Add, low, c1);
        let z = b.binary(BinaryOp::Div, top, low);
        b.store(z);
    });
    let ins = [&blue, &a, &b];
    let (job1, job2) = (job(cpu, &k, &ins, &[&out]), job(tiles, &k, &ins, &[&out]));
    let by_hand = || hand::evi(blue.slice(), a.slice(), b.slice(), hand.slice_mut());
    contest(c, "evi", 16 * n[0], rivals(by_hand, &job1, &job2));

    let k = kernel(1, &[DType::F32], |b, v| {
        let mut y = v[0];
        for k in 0..15 {
            y = b.binary(BinaryOp::Mul, y, v[0]);
            let c = b.constant(Scalar::from(k as f32 * 0.1 - 0.7));
            y = b.binary(BinaryOp::Add, y, c);
        }
        b.store(y);
    });
    let (job1, job2) = (job(cpu, &k, &[&a], &[&out]), job(tiles, &k, &[&a], &[&out]));
    contest(c, "poly", 8 * n[0], rivals(|| hand::poly(a.slice(), hand.slice_mut()), &job1, &job2));

    let (red, nir) = (Array::new(DType::U16, &n), Array::new(DType::U16, &n));
    let k = kernel(1, &[DType::U16; 2], |b, v| {
        let (red, nir) = (b.cast(DType::F32, v[0]), b.cast(DType::F32, v[1]));
        let top = b.binary(BinaryOp::Sub, nir, red);
        let low = b.binary(BinaryOp::Add, nir, red);
        let z = b.binary(BinaryOp::Div, top, low);
        b.store(z);
    });
    let (job1, job2) = (job(cpu, &k, &[&red, &nir], &[&out]), job(tiles, &k, &[&red, &nir], &[&out]));
    let by_hand = || hand::ndvi(red.slice(), nir.slice(), hand.slice_mut());
    contest(c, "ndvi", 8 * n[0], rivals(by_hand, &job1, &job2));
}

fn folds(c: &mut Criterion, cpu: Cpu) {
    let tiles = cpu.with_emitter(false);
    let n = 8192;
    let (a, b) = (Array::new(DType::F32, &[n, n]), Array::new(DType::F32, &[n, n]));
    let bytes = 4 * n * n;
    let wide = Array::new(DType::F64, &[n]);
    let one: Vec<Array> = (0..6).map(|_| Array::new(DType::F64, &[1])).collect();
    let reduce =
        |cpu: Cpu, k: &Kernel, ins: &[&Array], outputs: Vec<Output>| Job { outputs, ..job(cpu, k, ins, &[]) };

    for (name, axis) in [("sum axis 0", 0u8), ("sum axis 1", 1)] {
        let k = kernel(2, &[DType::F32], |b, v| b.reduce(ReduceOp::Sum, v[0], [axis]));
        let strides: &[isize] = if axis == 0 { &[0, 8] } else { &[8, 0] };
        let out = || vec![planes(&[&wide], strides)];
        let (job1, job2) = (reduce(cpu, &k, &[&a], out()), reduce(tiles, &k, &[&a], out()));
        let read = || {
            std::hint::black_box(hand::read(&a.slice()[..n * n / 2]));
        };
        let mut list = rivals(read, &job1, &job2);
        list[0].0 = "read";
        list.push((
            "hand sum",
            Box::new(|| {
                std::hint::black_box(hand::sum(a.slice()));
            }),
        ));
        contest(c, name, bytes, list);
    }

    let k = kernel(2, &[DType::F32; 2], |b, v| {
        let (x, y) = (b.unary(UnaryOp::Square, v[0]), b.unary(UnaryOp::Square, v[1]));
        let s = b.binary(BinaryOp::Add, x, y);
        let r = b.unary(UnaryOp::Sqrt, s);
        b.reduce(ReduceOp::Sum, r, [0, 1]);
    });
    let out = || vec![planes(&[&one[0]], &[0, 0])];
    let (job1, job2) = (reduce(cpu, &k, &[&a, &b], out()), reduce(tiles, &k, &[&a, &b], out()));
    let by_hand = || {
        std::hint::black_box(hand::norm(a.slice(), b.slice()));
    };
    contest(c, "sum norm", 2 * bytes, rivals(by_hand, &job1, &job2));

    // one walk each: everything at once, what standardizing asks for, means of numbers along both axes
    let column: Vec<Array> = (0..6).map(|_| Array::new(DType::F64, &[n])).collect();
    let read = || {
        std::hint::black_box(hand::read(&a.slice()[..n * n / 2]));
    };
    let contest_of = |c: &mut Criterion, name: &str, k: Kernel, out: &dyn Fn() -> Vec<Output>| {
        let (job1, job2) = (reduce(cpu, &k, &[&a], out()), reduce(tiles, &k, &[&a], out()));
        let mut list = rivals(read, &job1, &job2);
        list[0].0 = "read";
        contest(c, name, bytes, list);
    };
    let k = kernel(2, &[DType::F32], |b, v| {
        for op in [ReduceOp::Sum, ReduceOp::M2, ReduceOp::Min, ReduceOp::Max] {
            b.reduce(op, v[0], [0, 1]);
        }
    });
    contest_of(c, "statistics", k, &|| {
        let m2 = planes(&[&one[1], &one[2], &one[3]], &[0, 0]);
        vec![planes(&[&one[0]], &[0, 0]), m2, planes(&[&one[4]], &[0, 0]), planes(&[&one[5]], &[0, 0])]
    });
    let k = kernel(2, &[DType::F32], |b, v| {
        b.reduce(ReduceOp::Sum, v[0], [0]);
        b.reduce(ReduceOp::M2, v[0], [0]);
    });
    contest_of(c, "moments 0", k, &|| {
        let m2 = planes(&[&column[1], &column[2], &column[3]], &[0, 8]);
        vec![planes(&[&column[0]], &[0, 8]), m2]
    });
    let k = kernel(2, &[DType::F32], |b, v| {
        for op in [ReduceOp::NanSum, ReduceOp::Count] {
            b.reduce(op, v[0], [0]);
            b.reduce(op, v[0], [1]);
        }
    });
    contest_of(c, "numbers 0 1", k, &|| {
        let (down, along) = ([0, 8].as_slice(), [8, 0].as_slice());
        let of = |k: usize, strides: &[isize]| planes(&[&column[k]], strides);
        vec![of(0, down), of(1, along), of(2, down), of(3, along)]
    });
}

fn moves(c: &mut Criterion, cpu: Cpu) {
    let n = 4096;
    let (a, out) = (Array::new(DType::F32, &[n, n]), Array::new(DType::F32, &[n, n]));
    let mut hand = Array::new(DType::F32, &[n, n]);
    let k = kernel(2, &[DType::F32], |b, v| b.store(v[0]));
    let straight = job(cpu, &k, &[&a], &[&out]);
    let turned = Job { inputs: vec![a.operand(&[1, 0])], ..job(cpu, &k, &[&a], &[&out]) };
    let k = kernel(2, &[DType::F32; 2], |b, v| {
        let s = b.binary(BinaryOp::Add, v[0], v[1]);
        b.store(s);
    });
    let sum =
        Job { inputs: vec![a.operand(&[0, 1]), a.operand(&[1, 0])], ..job(cpu, &k, &[&a, &a], &[&out]) };
    let list: Vec<Rival<'_>> = vec![
        ("memcpy", Box::new(|| hand.slice_mut::<f32>().copy_from_slice(a.slice()))),
        ("copy", Box::new(|| straight.run())),
        ("transpose", Box::new(|| turned.run())),
        ("a + a.T", Box::new(|| sum.run())),
    ];
    contest(c, "moves", 8 * n * n, list);

    // launches of one point, a thousand at a time
    let (a, out) = (Array::new(DType::F32, &[1, 1]), Array::new(DType::F32, &[1, 1]));
    let (tiny, tiny2) =
        (job(cpu, &k, &[&a, &a], &[&out]), job(cpu.with_emitter(false), &k, &[&a, &a], &[&out]));
    let list: Vec<Rival<'_>> = vec![
        ("cpu", Box::new(|| (0..1000).for_each(|_| tiny.run()))),
        ("cpu tiles", Box::new(|| (0..1000).for_each(|_| tiny2.run()))),
    ];
    contest(c, "1000 launches", 12_000, list);
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    let cpu = Cpu::detect();
    println!("{}", cpu.name());
    stores(&mut c, cpu);
    folds(&mut c, cpu);
    moves(&mut c, cpu);
    c.final_summary();
}
