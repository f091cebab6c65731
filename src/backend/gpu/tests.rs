//! A device that goes away.

use super::*;
use crate::backend::{Launch, Operand, Output};
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
