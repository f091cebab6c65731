//! A device that goes away.

use super::*;
use crate::backend::{Away, Launch, Operand, Output};
use crate::dtype::DType;
use crate::error::ErrorKind;
use crate::ir::Builder;
use crate::op::ReduceOp;
use crate::shape::{IndexMap, Region};
use smallvec::smallvec;

#[test]
fn a_lost_device_is_a_typed_error_and_leaves_folds_as_they_were() {
    let Ok(gpu) = Gpu::detect() else {
        eprintln!("SKIPPED, NOT TESTED ON A GPU: there is none");
        return;
    };
    let mut b = Builder::new(1);
    let input = b.input(DType::F32, IndexMap::identity(1));
    let x = b.load(input);
    b.reduce(ReduceOp::Sum, x, [0]);
    let executable = gpu.compile(&b.finish().expect("sound")).expect("compiles");
    let (mut x, mut sum) = (vec![1f32; 1000], 5f64);
    let run = |x: &mut [f32], sum: &mut f64| {
        let inputs = [Operand { ptr: x.as_mut_ptr().cast(), strides: smallvec![4] }];
        let plane = Operand { ptr: std::ptr::from_mut(sum).cast(), strides: smallvec![0] };
        let outputs = [Output::Reduce(smallvec![plane])];
        let region = Region::whole(&[x.len()]);
        let launch = Launch {
            region: &region,
            shape: &[x.len()],
            inputs: &inputs,
            outputs: &outputs,
            slots: 0,
            streaming: false,
        };
        // SAFETY: the array has an element for every point, and the plane is a number.
        unsafe { executable.run(&launch) }
    };
    run(&mut x, &mut sum).expect("runs");
    assert_eq!(sum, 1005.0);
    gpu.device.device.destroy();
    for _ in 0..2 {
        let e = run(&mut x, &mut sum).expect_err("the device is gone");
        assert!(matches!(e.kind(), ErrorKind::Device { .. }), "{e}");
        assert_eq!(sum, 1005.0);
    }
}

#[test]
fn what_a_lost_device_was_to_hold_takes_no_room() {
    let Ok(gpu) = Gpu::detect() else {
        eprintln!("SKIPPED, NOT TESTED ON A GPU: there is none");
        return;
    };
    let mut b = Builder::new(1);
    let input = b.input(DType::U16, IndexMap::identity(1));
    let x = b.load(input);
    let y = b.binary(crate::op::BinaryOp::Add, x, x);
    b.store(y);
    let executable = gpu.compile(&b.finish().expect("sound")).expect("compiles");
    let run = |x: &mut [u16], y: &mut [u16]| {
        let operand = |x: &mut [u16]| Operand { ptr: x.as_mut_ptr().cast(), strides: smallvec![2] };
        let (inputs, outputs) = ([operand(x)], [Output::Store(operand(y))]);
        let shape = [x.len()];
        let launch = Launch {
            region: &Region::whole(&shape),
            shape: &shape,
            inputs: &inputs,
            outputs: &outputs,
            slots: 0,
            streaming: false,
        };
        let away = Away { inputs: &[None], stay: &[true] };
        // SAFETY: both have an element for every point, and outlive what holds them.
        unsafe { executable.run_away(&launch, &away) }.map(|mut stayed| stayed.take(0))
    };
    let (mut x, mut y) = (vec![7u16; 1001], vec![0u16; 1001]);
    let mut z = vec![0u16; 1001];
    let held = run(&mut x, &mut y).expect("runs");
    let stays = held.is_some();
    // not here before somebody asks
    assert!(y.iter().all(|&y| y == if stays { 0 } else { 14 }));
    let room = gpu.resident_bytes();
    assert_eq!((held.is_some(), room), (gpu.device.homes > 0, if held.is_some() { 2016 } else { 0 }));
    // what was stored is read where it is
    let sent = gpu.sent_bytes();
    let next = run(&mut y, &mut z).expect("runs");
    next.iter().for_each(|held| held.fetch().expect("it is there"));
    drop(next);
    assert_eq!((z[1000], gpu.sent_bytes() == sent), (28, stays));
    if let Some(held) = &held {
        held.fetch().expect("it is there");
    }
    assert!(y.iter().all(|&y| y == 14));
    drop(held);
    assert_eq!(gpu.resident_bytes(), 0);
    gpu.device.device.destroy();
    assert!(run(&mut x, &mut y).is_err());
    assert_eq!(gpu.resident_bytes(), 0);
}

#[test]
fn what_stayed_on_a_device_that_was_lost_is_a_typed_error_and_what_did_not_goes_on() {
    let Ok(gpu) = Gpu::detect() else {
        eprintln!("SKIPPED, NOT TESTED ON A GPU: there is none");
        return;
    };
    let both = crate::backend::hybrid::Hybrid::new(
        Arc::new(gpu.clone()),
        Arc::new(crate::backend::cpu::Cpu::detect()),
    );
    let session = crate::Session::builder().backend(Arc::new(both)).threads(2).build().expect("a session");
    let x = crate::Array::arange(0, 10_000, 1) * 3;
    let kept = session.persist(&x).expect("computes");
    let away = gpu.resident_bytes() > 0;
    gpu.device.device.destroy();
    match session.compute(&(&kept + 1)) {
        Err(e) => assert!(away && matches!(e.kind(), ErrorKind::Device { .. }), "{e}"),
        Ok(_) => assert!(!away),
    }
    // on the CPU from now on
    let most = session.persist(&x).and_then(|x| session.compute(&(x.max(..) + 1))).expect("computes");
    assert_eq!(most.to_scalar::<i64>().expect("one"), 29_998);
}

#[test]
fn what_nobody_uses_makes_way_where_memory_is_short() {
    let Ok(gpu) = Gpu::builder().memory_limit("1MiB").build() else {
        eprintln!("SKIPPED, NOT TESTED ON A GPU: there is none");
        return;
    };
    let (device, pool) = (&gpu.device, &gpu.device.pool);
    let size = |bytes| pool::Size::of(bytes, bytes);
    let block = Block::full(&[10_000], 1.0f32.into());
    let held = gpu.hold(&block, &Grid::single(&[10_000]));
    let idle = pool.take(device, size(4096), true).expect("there is room").expect("there is room");
    pool.give(idle);
    let make = |short: bool| match short {
        true => Err(device.error("allocating buffers", "out of memory")),
        false => Ok(pool::Buffers::new(&device.device, size(8192))),
    };
    // the idle ones go, then the copy
    let made = pool.take_or_make(device, size(8192), true, || make(pool.resident() > 0)).expect("after that");
    assert_eq!(pool.resident(), 0);
    pool.give(made.expect("patient"));
    drop(held);
    // nothing is left to go
    let e = pool.take_or_make(device, size(4096), true, || make(true)).err().expect("no memory");
    assert!(matches!(e.kind(), ErrorKind::Device { .. }), "{e}");
    // and nothing is counted that is not there
    let all = pool.take_or_make(device, size(1 << 18), false, || make(false)).expect("all of it");
    assert!(all.is_some());
}
