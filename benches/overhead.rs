//! What a computation costs before its first element: building and planning an expression, compiling its kernel, taking
//! blocks one by one.

use blockwise::plan::{Destination, Target};
use blockwise::prelude::*;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// Expressions of a few lengths over a small array.
fn expressions() -> [(&'static str, fn(&Array) -> Array); 4] {
    [
        ("axpy", |x| x + 2.5 * x),
        ("horner30", |x| (1..30).fold(x.clone(), |acc, k| acc * x + 1.0 / f64::from(k))),
        ("logistic", |x| 1.0 / (1.0 + (-1.5976_f64 * x - 0.07056 * x * x * x).exp())),
        ("standardize", |x| (x - x.mean(0)) / x.std(0)),
    ]
}

fn small() -> Array {
    Array::from_vec((0..64u8).map(f32::from).collect()).reshape(&[8, 8])
}

fn target(array: &Array) -> Target {
    let expr = array.expr().expect("a sound expression").clone();
    Target { expr, destination: Destination::Memory }
}

fn session() -> Session {
    Session::builder().threads(1).memory_limit("1GiB").build().expect("a session")
}

fn plans(c: &mut Criterion) {
    let (session, x) = (session(), small());
    let mut group = c.benchmark_group("plan");
    for (name, build) in expressions() {
        group.bench_function(name, |b| {
            b.iter(|| session.plan(&[target(&build(black_box(&x)))]).expect("a plan"));
        });
    }
    group.finish();
}

fn compiles(c: &mut Criterion) {
    let x = small();
    let mut group = c.benchmark_group("compile_and_run");
    group.sample_size(30);
    for (name, build) in expressions() {
        let array = build(&x);
        // a session without compiled kernels for every run; starting its threads is not timed
        group.bench_function(format!("{name}/first"), |b| {
            b.iter_batched_ref(session, |s| s.compute(&array).expect("a result"), BatchSize::PerIteration);
        });
        let warm = session();
        group.bench_function(format!("{name}/again"), |b| {
            b.iter(|| warm.compute(&array).expect("a result"));
        });
    }
    group.finish();
}

fn tasks(c: &mut Criterion) {
    let session = session();
    let mut group = c.benchmark_group("tasks");
    for n in [1_000, 10_000] {
        let x = Array::from_vec(vec![1.0f32; n]).rechunk(1usize);
        group.throughput(Throughput::Elements(n as u64));
        let stored = &x + 1;
        group.bench_function(format!("store/{n}"), |b| {
            b.iter(|| session.compute(&stored).expect("a result"));
        });
        let folded = stored.sum(..);
        group.bench_function(format!("fold/{n}"), |b| {
            b.iter(|| session.compute(&folded).expect("a result"));
        });
    }
    group.finish();
}

criterion_group!(benches, plans, compiles, tasks);
criterion_main!(benches);
