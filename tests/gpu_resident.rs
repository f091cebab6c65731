//! Arrays that stay on a GPU: nothing of them is sent again, whatever is done with them, and they make room for each other.
#![cfg(feature = "gpu")]

#[path = "common/gpu.rs"]
mod adapter;

use blockwise::backend::gpu::{Arithmetic, Gpu, GpuBuilder};
use blockwise::backend::hybrid::Hybrid;
use blockwise::backend::{Backend, cpu::Cpu, several::Several};
use blockwise::op::ReduceOp;
use blockwise::prelude::*;
use blockwise::shape::Grid;
use std::path::Path;
use std::sync::Arc;

/// A session on a GPU that tells what it was sent, and one on the CPU.
fn sessions(how: fn(GpuBuilder) -> GpuBuilder) -> Option<(Gpu, Session, Session)> {
    let gpu = adapter::open(how)?;
    let backend = Hybrid::new(Arc::new(gpu.clone()), Arc::new(Cpu::detect()));
    let on_gpu = Session::builder().backend(Arc::new(backend)).threads(2).build().expect("a session");
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a session");
    Some((gpu, on_gpu, cpu))
}

/// As `f64`, in C order.
fn numbers(block: &Block) -> Vec<f64> {
    block.cast(F64).to_contiguous().as_slice::<f64>().expect("doubles").to_vec()
}

fn ramp(d: DType) -> Array {
    (Array::arange(0, 120 * 90, 1).reshape(&[120, 90]) % 201).cast(d)
}

#[test]
fn what_stays_on_the_device_is_not_sent_again() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    for d in [U8, I16, F32, F64] {
        let plain = ramp(d);
        let kept = session.persist(&plain).expect("computes");
        let sent = gpu.sent_bytes();
        let uses = |x: &Array| {
            vec![
                x * 3,
                x.t(),
                x.slice(s![5..;2, ..;-1]) + 1,
                x.slice(s![..90, ..]) + x.slice(s![..90, ..]).t(),
                x.slice(s![.., 3..4]) + x,
                x.sum(..),
                x.max(0),
                x.argmin(1),
                x.slice(s![7, ..]).cast(F32).sqrt(),
                x.flip(Some(0)).rechunk([50, 7]) + 2,
            ]
        };
        for (n, (kept, plain)) in uses(&kept).iter().zip(uses(&plain)).enumerate() {
            let (got, want) = (session.compute(kept).expect("gpu"), cpu.compute(&plain).expect("cpu"));
            assert_eq!(numbers(&got), numbers(&want), "use {n} of {d}");
        }
        // a sum is rounded by a kernel of its own
        assert!(gpu.sent_bytes() - sent <= 8, "{d}");
    }
}

#[test]
fn what_lies_the_other_way_round_is_read_by_tiles() {
    // in one piece, and in many
    let ways: [fn(GpuBuilder) -> GpuBuilder; 2] =
        [|gpu| gpu, |gpu| gpu.memory_limit("256KiB").integers_only()];
    for how in ways {
        let Some((gpu, session, cpu)) = sessions(how) else { return };
        for (shape, d) in [
            (&[33isize, 97][..], F32),
            (&[64, 34], F64),
            (&[100, 96], U8),
            (&[66, 50], I16),
            (&[32, 129], U8),
            (&[31, 65], I32),
            (&[3, 40, 70], I64),
            (&[40, 2, 65], F16),
            (&[33, 2, 35, 3], Bool),
            (&[1, 77], U16),
        ] {
            let n = shape.iter().product::<isize>() as i64;
            let plain = (Array::arange(0, n, 1).reshape(shape) % 251).cast(d);
            let kept = session.persist(&plain).expect("computes");
            let sent = gpu.sent_bytes();
            let uses = |x: &Array| {
                let turned = x.t();
                vec![
                    turned.cast(F32) + 0.5,
                    turned.flip(Some(0)).cast(I64),
                    x.flip(Some(-1)).t().cast(F64) * 3.0,
                    x.swapaxes(0, -1).cast(U32),
                    // results that share words: by tiles where rows are whole words
                    turned.clone(),
                    turned.cast(U8) * 3,
                    turned.cast(I16) - 100,
                ]
            };
            for (n, (kept, plain)) in uses(&kept).iter().zip(uses(&plain)).enumerate() {
                let (got, want) = (session.compute(kept).expect("gpu"), cpu.compute(&plain).expect("cpu"));
                assert_eq!(got.shape(), want.shape());
                assert_eq!(numbers(&got), numbers(&want), "use {n} of {d} {shape:?}");
            }
            assert!(gpu.resident_bytes() == 0 || gpu.sent_bytes() == sent, "{d}");
        }
        // two of them and their mirror images, more than fit in the memory of a workgroup, and specials
        let odd = |k: i64| {
            let x = (Array::arange(0, 90 * 90, 1).reshape(&[90, 90]) * k % 201).cast(F64);
            x.clone().sqrt() / (&x - 7)
        };
        let pair = [odd(3), odd(5)];
        let kept: Vec<Array> = pair.iter().map(|x| session.persist(x).expect("computes")).collect();
        let sum = |x: &[Array]| {
            &x[0] + x[0].t() * &x[1] - x[1].t() / x[0].flip(Some(0)).t() + x[1].flip(Some(1)).t()
        };
        // signs of NaN are nobody's business
        let bits = |x: f64| if x.is_nan() { f64::NAN } else { x }.to_bits();
        let of = |session: &Session, x: &Array| -> Vec<u64> {
            numbers(&session.compute(x).expect("computes")).into_iter().map(bits).collect()
        };
        assert!(of(&session, &sum(&kept)) == of(&cpu, &sum(&pair)));
    }
}

#[test]
fn what_a_kernel_leaves_for_another_is_not_sent() {
    let ways: [(fn(GpuBuilder) -> GpuBuilder, bool); 3] = [
        (|gpu| gpu, true),
        // in many pieces; and where nothing can stay
        (|gpu| gpu.memory_limit("192KiB"), false),
        (|gpu| gpu.smallest_limits(), false),
    ];
    for (how, stays) in ways {
        let Some((gpu, session, cpu)) = sessions(how) else { return };
        for (d, chunks) in
            [(F32, [120, 90]), (F64, [120, 90]), (F32, [50, 41]), (U8, [7, 90]), (U16, [120, 33])]
        {
            let x = Array::from_block(cpu.compute(&ramp(d)).expect("cpu")).rechunk(chunks);
            let differences = |x: &Array| {
                let y = (x * 3 % 101).sqrt();
                let y = y.slice(s![1.., ..]) - y.slice(s![..-1, ..]) * 2.0;
                // one that waits for another
                let z = (&y * &y + 1.0).log();
                z.slice(s![.., 1..]) - z.slice(s![.., ..-1]) + y.slice(s![.., 1..])
            };
            let sent = gpu.sent_bytes();
            let got = session.compute(&differences(&x)).expect("gpu");
            let sent = gpu.sent_bytes() - sent;
            let want = cpu.compute(&differences(&x)).expect("cpu");
            let apart = numbers(&got).into_iter().zip(numbers(&want)).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f64::max) < 1e-4, "{d} {chunks:?}");
            // tasks share margins of what they read
            let most = if stays { x.nbytes() * 4 / 3 } else { 20 * x.nbytes() };
            assert!((x.nbytes()..most).contains(&(sent as usize)), "{d} {chunks:?}: {sent} bytes");
        }
        assert_eq!(gpu.resident_bytes(), 0);
        assert!(gpu.peak_memory() <= gpu.memory_limit());
    }
}

#[test]
fn kept_and_sent_operands_meet_in_one_kernel() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    let all: Vec<Array> = (1..8).map(|k| ramp(F32) * k).collect();
    // more of them than a kernel has bindings for
    let kept: Vec<Array> = all.iter().take(6).map(|x| session.persist(x).expect("computes")).collect();
    let sum = |xs: &[&Array]| xs[1..].iter().fold(xs[0].clone(), |sum, x| &sum + *x);
    let sent = gpu.sent_bytes();
    let mixed: Vec<&Array> = kept.iter().chain(&all[6..]).collect();
    let got = session.compute(&sum(&mixed)).expect("gpu");
    assert_eq!(numbers(&got), numbers(&cpu.compute(&sum(&all.iter().collect::<Vec<_>>())).expect("cpu")));
    assert!(gpu.sent_bytes() > sent && gpu.sent_bytes() - sent < 6 * 120 * 90 * 4);
}

#[test]
fn arrays_make_room_for_each_other_inside_the_limit() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu.memory_limit("512KiB")) else { return };
    let all: Vec<Array> = (1..20).map(|k| ramp(F64) + k).collect();
    let kept: Vec<Array> = all.iter().map(|x| session.persist(x).expect("computes")).collect();
    for (kept, plain) in kept.iter().zip(&all) {
        let (got, want) =
            (session.compute(&(kept * 2)).expect("gpu"), cpu.compute(&(plain * 2)).expect("cpu"));
        assert_eq!(numbers(&got), numbers(&want));
    }
    assert!(gpu.peak_memory() <= gpu.memory_limit(), "{}", gpu.peak_memory());
    // the last ones are there; when they are gone, so is what they took
    let sent = gpu.sent_bytes();
    session.compute(&kept[18].max(..)).expect("gpu");
    assert_eq!(gpu.sent_bytes(), sent);
    assert!(gpu.resident_bytes() > 0 && gpu.resident_bytes() <= gpu.memory_limit() / 2);
    drop(kept);
    assert_eq!(gpu.resident_bytes(), 0);
}

#[test]
fn what_cannot_stay_is_sent() {
    let Some((gpu, session, _)) = sessions(|gpu| gpu.smallest_limits().memory_limit("512KiB")) else {
        return;
    };
    // no binding is left for it
    let kept = session.persist(&ramp(I32)).expect("computes");
    assert_eq!(session.compute(&kept.max(..)).expect("gpu").to_scalar::<i32>().expect("one"), 200);
    assert_eq!(gpu.resident_bytes(), 0);
    assert!(gpu.hold(&Block::scalar(1.0f64.into()), &Grid::single(&[])).is_none());
}

#[test]
fn devices_side_by_side_give_what_one_gives() {
    let Some((one, on_one, _)) = sessions(|gpu| gpu) else { return };
    let Some(two) = adapter::open(|gpu| gpu.memory_limit("64MiB")) else { return };
    let three = adapter::open(GpuBuilder::integers_only).expect("there was one");
    for other in [two, three] {
        let both = Several::new(vec![Arc::new(one.clone()), Arc::new(other.clone())]).expect("two");
        let session = Session::builder().backend(Arc::new(both)).threads(2).build().expect("a session");
        let x = ramp(F32).rechunk([40, 30]);
        let (before, others) = (one.sent_bytes(), other.sent_bytes());
        for array in [&x * 0.3, (&x * 0.3).sum(0), x.std(..)] {
            let (got, want) = (session.compute(&array), on_one.compute(&array));
            assert_eq!(numbers(&got.expect("both")), numbers(&want.expect("one")));
        }
        assert!(one.sent_bytes() > before && other.sent_bytes() > others);
        // both have what is kept
        let kept = session.persist(&x).expect("computes");
        assert!(one.resident_bytes() > 0 && other.resident_bytes() > 0);
        drop(kept);
        assert!(one.resident_bytes() == 0 && other.resident_bytes() == 0);
    }
}

#[test]
fn what_is_computed_stays_where_it_was_computed() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    let ways: [fn(&Array) -> Array; 4] = [
        |x| x * 3 + 1,
        |x| x.slice(s![..;-1, ..]) + x,
        |x| x.t().slice(s![..90, ..90]) * x.slice(s![5..95, ..]),
        |x| where_(x.gt(100), x, x * 2),
    ];
    for d in [U8, I8, U16, I16, F16, U32, I32, F32, U64, I64, F64] {
        // whole, in bands, in tiles that are ragged, in tiles whose rows are words
        for chunks in [[120, 90], [50, 90], [50, 37], [64, 40]] {
            let plain = ramp(d).rechunk(chunks);
            let kept = session.persist(&plain).expect("computes");
            for (n, way) in ways.iter().enumerate() {
                let (sent, received) = (gpu.sent_bytes(), gpu.received_bytes());
                let made = session.persist(&way(&kept)).expect("computes");
                let most = session.compute(&made.max(..)).expect("gpu");
                let moved = (gpu.sent_bytes() - sent, gpu.received_bytes() - received);
                // rows of 90 bytes are no words
                let aligned =
                    d.size() >= 4 || d.size() == 2 && chunks[1] % 2 == 0 || chunks[1] == 90 && n != 2;
                if gpu.resident_bytes() > 0 && aligned {
                    assert!(moved.0 <= 8 && moved.1 <= 2048, "{d} {chunks:?} {n}: {moved:?} bytes");
                }
                let want = cpu.compute(&way(&plain)).expect("cpu");
                assert_eq!(numbers(&most), [want.cast(F64).as_slice::<f64>().map(largest).expect("doubles")]);
                let got = session.compute(&made).expect("gpu");
                assert_eq!(numbers(&got), numbers(&want), "{d} {chunks:?} {n}");
            }
        }
    }
    drop(session);
    assert_eq!(gpu.resident_bytes(), 0);
}

fn tall(d: DType) -> Array {
    (Array::arange(0, 480 * 90, 1).reshape(&[480, 90]) % 201).cast(d)
}

#[test]
fn what_no_kernel_sees_whole_stays_in_parts() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu.binding_limit("72KiB")) else { return };
    // whether all operands of a task are in one part each, and the result's chunks
    let ways: [(fn(&Array) -> Array, bool); 8] = [
        (|x| x * 3 + 1, true),
        (|x| where_(x.gt(100), x.slice(s![.., ..;-1]), x * 2), true),
        (|x| x.slice(s![48..96, ..]) + x.slice(s![96..144, ..]), true),
        (|x| x.cumsum(1), false),
        (|x| x.cumsum(0), false),
        (|x| x.slice(s![1.., ..]) - x.slice(s![..-1, ..]), false),
        (|x| x.t().slice(s![..90, ..90]) + 1, false),
        (|x| x.reshape(&[90, 480]) - 1, false),
    ];
    for d in [U8, I16, F32, F64] {
        for chunks in [[48, 90], [48, 40], [14, 90]] {
            let plain = tall(d).rechunk(chunks);
            let kept = session.persist(&plain).expect("computes");
            let there = gpu.resident_bytes();
            assert!(there == 0 || there >= kept.nbytes() as u64);
            for (n, (way, whole)) in ways.iter().enumerate() {
                let (sent, received) = (gpu.sent_bytes(), gpu.received_bytes());
                let made = session.persist(&way(&kept)).expect("computes");
                let most = session.compute(&made.max(..)).expect("gpu");
                let moved = (gpu.sent_bytes() - sent, gpu.received_bytes() - received);
                let words = d.size() >= 4 || chunks == [48, 90];
                if there > 0 && *whole && words && (n != 2 || chunks[0] == 48) {
                    assert!(moved.0 <= 8 && moved.1 <= 4096, "{d} {chunks:?} {n}: {moved:?} bytes");
                }
                let want = cpu.compute(&way(&plain)).expect("cpu");
                assert_eq!(numbers(&most), [want.cast(F64).as_slice::<f64>().map(largest).expect("doubles")]);
                let got = session.compute(&made).expect("gpu");
                assert_eq!(numbers(&got), numbers(&want), "{d} {chunks:?} {n}");
            }
        }
    }
    assert_eq!(gpu.resident_bytes(), 0);
}

#[test]
fn parts_make_way_one_by_one() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu.binding_limit("72KiB").memory_limit("1900KiB")) else {
        return;
    };
    let all: Vec<Array> = (0..6).map(|k| (tall(F64) + k).rechunk([48, 90])).collect();
    let kept: Vec<Array> = all.iter().map(|x| session.persist(x).expect("computes")).collect();
    let there = gpu.resident_bytes();
    // whole parts, and fewer than there are
    assert!(there == 0 || there <= gpu.memory_limit() / 2 && !there.is_multiple_of(480 * 90 * 8), "{there}");
    for (kept, plain) in kept.iter().zip(&all) {
        let (got, want) = (session.compute(kept).expect("gpu"), cpu.compute(plain).expect("cpu"));
        assert_eq!(numbers(&got), numbers(&want));
    }
    assert!(gpu.peak_memory() <= gpu.memory_limit());
    drop(kept);
    assert_eq!(gpu.resident_bytes(), 0);
}

fn largest(xs: &[f64]) -> f64 {
    xs.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn several_results_of_one_pass_stay() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    let x = ramp(F32).rechunk([50, 40]);
    let [a, b, c] = session.persist_all([&(&x * 2), &(&x + 1), &(&x * 2)]).expect("computes");
    let (sent, received) = (gpu.sent_bytes(), gpu.received_bytes());
    assert!(gpu.resident_bytes() == 0 || received == 0, "{received} bytes came back");
    let (made, want) = (&a - &b * &c, &x * 2 - (&x + 1) * (&x * 2));
    let (got, want) = (session.compute(&made).expect("gpu"), cpu.compute(&want).expect("cpu"));
    assert_eq!(numbers(&got), numbers(&want));
    assert!(gpu.resident_bytes() == 0 || gpu.sent_bytes() == sent);
}

#[test]
fn results_of_many_kinds_stay_in_one_pass() {
    // in one piece, and in many
    let ways: [fn(GpuBuilder) -> GpuBuilder; 2] = [|gpu| gpu, |gpu| gpu.memory_limit("1MiB")];
    for how in ways {
        let Some((gpu, session, cpu)) = sessions(how) else { return };
        for chunks in [[120, 90], [50, 90], [50, 37], [64, 40]] {
            let x = ramp(F32).rechunk(chunks);
            let kept = session.persist(&x).expect("computes");
            // words, halves of words and bytes; folds beside them
            let all = |x: &Array| {
                [
                    x * 3.0 + 1.0,
                    x.gt(100.0),
                    x.cast(I16) * 2,
                    x.cast(F64) / 7.0,
                    x.sum(..),
                    x.max(0),
                    x.slice(s![..;-1, ..]) + x,
                ]
            };
            let (sent, received) = (gpu.sent_bytes(), gpu.received_bytes());
            let made = session.persist_all(all(&kept).each_ref()).expect("gpu");
            let moved = (gpu.sent_bytes() - sent, gpu.received_bytes() - received);
            // segments of folds come back, and small elements where rows are no words
            let most = if chunks[1] == 90 { 0 } else { 120 * 90 * 3 };
            if gpu.resident_bytes() > 0 {
                assert!(moved.0 <= 4096 + most && moved.1 <= 24576 + most, "{chunks:?}: {moved:?} bytes");
            }
            for (n, (made, want)) in made.iter().zip(all(&x)).enumerate() {
                let (got, want) = (session.compute(made).expect("gpu"), cpu.compute(&want).expect("cpu"));
                assert_eq!((got.dtype(), numbers(&got)), (want.dtype(), numbers(&want)), "{n} of {chunks:?}");
            }
        }
    }
}

#[test]
fn running_folds_of_what_stays_are_folded_there() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    for d in [U8, I32, F32, F64, U64] {
        for chunks in [[120, 90], [50, 90], [70, 64]] {
            let plain = ramp(d).rechunk(chunks);
            let kept = session.persist(&plain).expect("computes");
            let ways: [fn(&Array) -> Array; 4] =
                [|x| x.cumsum(0), |x| x.cumsum(1) * 2, |x| (x % 5 + 1).cumprod(0), |x| x.cumsum(0).cumsum(1)];
            for way in ways {
                let moved = || gpu.sent_bytes() + gpu.received_bytes();
                let before = moved();
                let made = session.persist(&way(&kept)).expect("computes");
                let moved = moved() - before;
                // chunks of few lines are folded here
                if gpu.resident_bytes() > 0 && chunks[1] == 90 && chunks[0] == 120 {
                    assert!(moved <= 8, "{d} {chunks:?}: {moved} bytes");
                }
                let (got, want) =
                    (session.compute(&made).expect("gpu"), cpu.compute(&way(&plain)).expect("cpu"));
                let bits =
                    |block: &Block| -> Vec<u64> { numbers(block).into_iter().map(f64::to_bits).collect() };
                assert_eq!((got.dtype(), bits(&got)), (want.dtype(), bits(&want)), "{d} {chunks:?}");
            }
        }
    }
    // of one line, of many axes, and of lines that are longer than a dispatch
    for array in [
        ramp(I32).reshape(&[2, 1, 3, 2, 5, 2, 5, 2, 9]).cumsum(4),
        ramp(F64).reshape(&[-1]).cumsum(0),
        (Array::arange(0, 70 * 40_000, 1).reshape(&[70, 40_000]) % 9).cumsum(1),
    ] {
        let made = session.persist(&array).expect("computes");
        let (got, want) = (session.compute(&made).expect("gpu"), cpu.compute(&array).expect("cpu"));
        assert!(numbers(&got) == numbers(&want));
    }
    assert!(session.explain(&(ramp(I32) + 1)).expect("a plan").contains("runs on gpu"));
}

#[test]
fn running_folds_as_text() {
    use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};
    let wide = Capabilities::FLOAT64 | Capabilities::SHADER_INT64;
    let mut all = String::new();
    for (op, d) in [(ReduceOp::Sum, I64), (ReduceOp::Prod, U64), (ReduceOp::Sum, F64), (ReduceOp::Prod, F64)]
    {
        for (arithmetic, capabilities) in
            [(Arithmetic::default(), Capabilities::empty()), (Arithmetic::all(), wide)]
        {
            let text = Gpu::running_wgsl(op, d, &arithmetic).expect("supported");
            let module = wgpu::naga::front::wgsl::parse_str(&text);
            let module = module.unwrap_or_else(|e| panic!("{op} {d}: {}", e.emit_to_string(&text)));
            let valid = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
            assert!(valid.is_ok(), "{op} {d}: {valid:?}");
            // the walk is that of shaders/, the same for all
            let (own, walk) = text.split_at(text.find("// Folds elements").expect("a walk"));
            assert_eq!(walk, include_str!("../shaders/running.wgsl"));
            if arithmetic == Arithmetic::default() {
                all.push_str(&own[own.find("alias Element").expect("an element")..]);
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wgsl/running.wgsl");
    if std::env::var_os("BLOCKWISE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &all).expect("writable");
    }
    assert!(all == std::fs::read_to_string(&path).unwrap_or_default(), "the text changed; it is now\n{all}");
    let e = Gpu::running_wgsl(ReduceOp::Max, F64, &Arithmetic::all()).expect_err("no such running fold");
    assert!(matches!(e.kind(), ErrorKind::Unsupported { .. }), "{e}");
}

#[test]
fn what_stays_is_fetched_once_by_whoever_reads_it_here() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    for chunks in [[120, 90], [70, 32]] {
        let plain = ramp(I32).rechunk(chunks) * 7 - 3;
        let kept = session.persist(&plain).expect("computes");
        let want = numbers(&cpu.compute(&plain).expect("cpu"));
        let received = gpu.received_bytes();
        // several at once, on another session
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| assert_eq!(numbers(&cpu.compute(&kept).expect("cpu")), want));
            }
        });
        let fetched = gpu.received_bytes() - received;
        assert!(gpu.resident_bytes() == 0 || fetched == 120 * 90 * 4, "{fetched} bytes");
        // steps on the host read it, too
        let odd = kept.take(&[5, 3, 3, 119], 0);
        let want = plain.take(&[5, 3, 3, 119], 0);
        let (got, want) = (session.compute(&odd).expect("gpu"), cpu.compute(&want).expect("cpu"));
        assert_eq!(numbers(&got), numbers(&want));
        assert!(gpu.received_bytes() - received <= fetched + 2 * got.nbytes() as u64);
    }
}

#[test]
fn what_cannot_stay_comes_back() {
    // results that other backends compute, and more than there is room for
    let ways: [fn(GpuBuilder) -> GpuBuilder; 2] =
        [|gpu| gpu.integers_only(), |gpu| gpu.memory_limit("96KiB")];
    for how in ways {
        let Some((gpu, session, cpu)) = sessions(how) else { return };
        for chunks in [[120, 90], [40, 90], [64, 32]] {
            let plain = (ramp(F64).rechunk(chunks) / 50.0).sin();
            let kept = session.persist(&plain).expect("computes");
            let (got, want) = (session.compute(&(&kept * 2)), cpu.compute(&(&plain * 2)));
            assert_eq!(numbers(&got.expect("gpu")), numbers(&want.expect("cpu")));
            assert!(gpu.peak_memory() <= gpu.memory_limit());
        }
    }
}

#[test]
fn windows_shapes_and_products_of_what_stays() {
    let Some((gpu, session, cpu)) = sessions(|gpu| gpu) else { return };
    let plain = ramp(F32).rechunk([50, 40]) + 1;
    let kept = session.persist(&plain).expect("computes");
    let uses = |x: &Array| {
        vec![
            x.pad(&[(1, 1), (1, 1)], PadMode::Edge).slice(s![1..121, 2..]),
            x.reshape(&[-1]) * 2,
            x.reshape(&[60, 180]).t() + 1,
            concatenate(&[x.clone(), x.clone()], 0).slice(s![60..130, ..]),
            x.matmul(&x.t()),
            x.cumsum(0),
            x.rechunk([120, 7]).sum(1),
        ]
    };
    for (n, (kept, plain)) in uses(&kept).iter().zip(uses(&plain)).enumerate() {
        let (got, want) = (session.compute(kept).expect("gpu"), cpu.compute(&plain).expect("cpu"));
        assert_eq!(numbers(&got), numbers(&want), "use {n}");
    }
    // operands of products stay where they are
    let again = session.persist(&(&plain * 1)).expect("computes");
    let (sent, received) = (gpu.sent_bytes(), gpu.received_bytes());
    session.compute(&again.t().matmul(&again)).expect("gpu");
    if gpu.resident_bytes() > 0 {
        let (sent, received) = (gpu.sent_bytes() - sent, gpu.received_bytes() - received);
        assert!(sent <= 1024 && received <= 4 * 90 * 90, "{sent} sent, {received} received");
    }
    // and so do sums, from panel to panel and for what is done with them
    for d in [I64, F32, F64, U16] {
        let plain = ramp(d).rechunk([40, 50]);
        let of = |x: &Array| x.t().matmul(x) * 2 + 1;
        let again = session.persist(&(&plain * 1)).expect("computes");
        let (sent, received) = (gpu.sent_bytes(), gpu.received_bytes());
        let made = session.persist(&of(&again)).expect("computes");
        let moved = (gpu.sent_bytes() - sent) + (gpu.received_bytes() - received);
        assert!(gpu.resident_bytes() == 0 || d == U16 || moved <= 1024, "{d}: {moved} bytes");
        let (got, want) = (session.compute(&made).expect("gpu"), cpu.compute(&of(&plain)).expect("cpu"));
        assert_eq!(numbers(&got), numbers(&want), "{d}");
    }
}

#[test]
fn a_session_on_the_cpu_keeps_nothing_elsewhere() {
    let session = Session::builder().device(Device::cpu()).build().expect("a session");
    let kept = session.persist(&ramp(I32)).expect("computes");
    assert_eq!(session.compute(&kept.max(..)).expect("cpu").to_scalar::<i32>().expect("one"), 200);
}
