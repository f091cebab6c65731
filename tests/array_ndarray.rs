//! In from `ndarray` and out to it: what is copied and what is not.

mod common;

use blockwise::expr::Op;
use blockwise::prelude::*;
use blockwise::shape::Region;
use common::{Rng, Story, computed, numbered};
use ndarray::{Array2, ArrayD, Axis, ShapeBuilder, Slice};

/// Where the first element lies that an array reads.
fn place(x: &Array) -> *const u8 {
    let Op::Source(source) = &x.expr().expect("sound").node().op else { panic!("{x:?} is no source") };
    assert!(source.0.in_memory());
    source.0.read(&Region::whole(x.shape())).expect("in memory").as_ptr()
}

/// An array of random layout: axes permuted, cut, stepped and turned, with its values in plain order.
fn laid_out(rng: &mut Rng) -> ArrayD<i64> {
    let ndim = rng.below(5);
    let shape = rng.shape_of(ndim);
    let mut a = numbered(&shape);
    if rng.once_in(2) {
        a = a.permuted_axes(rng.permutation(ndim));
    }
    for k in 0..ndim {
        let n = a.len_of(Axis(k)) as isize;
        if rng.once_in(2) {
            let start = rng.within(0, n);
            a.slice_axis_inplace(Axis(k), Slice::new(start, None, rng.pick(&[1, 2, -1, -3])));
        }
    }
    a
}

#[test]
fn arrays_of_any_layout_are_read_where_they_lie() {
    let mut rng = Rng::new(51);
    for round in 0..400 {
        let a = laid_out(&mut rng);
        let _story = Story(format!("round {round}: {:?} strides {:?}", a.shape(), a.strides()));
        let at = a.as_ptr().cast::<u8>();
        let shared = a.clone().into_shared();
        let shared_at = shared.as_ptr().cast::<u8>();
        let view = shared.clone();
        let (owned, arc, copied) = (Array::from(a.clone()), Array::from(view), Array::from(a.view()));
        for x in [&owned, &arc, &copied] {
            assert_eq!(x.shape(), a.shape());
            assert_eq!(computed::<i64>(x), a);
            assert_eq!(computed::<i64>(&(x * 2 - 1)), a.mapv(|v| v * 2 - 1));
            assert_eq!(computed::<i64>(&x.sum(..))[[].as_slice()], a.sum());
        }
        if !a.is_empty() {
            assert_eq!(place(&Array::from_ndarray(a)), at);
            assert_eq!(place(&arc), shared_at);
            assert_ne!(place(&copied), at);
        }
        assert_eq!(shared, computed::<i64>(&arc));
    }
}

#[test]
fn views_of_shared_arrays_share() {
    let shared = Array2::from_shape_fn((40, 30), |(r, c)| (100 * r + c) as f32).into_shared();
    let first = shared.as_ptr();
    let part = Array::from(shared.clone().slice_move(s![4..;2, ..;-3]));
    // SAFETY: row 4, column 29 lies inside
    assert_eq!(place(&part), unsafe { first.add(4 * 30 + 29) }.cast());
    assert_eq!(part.shape(), [18, 10]);
    assert_eq!(computed::<f32>(&part)[[1, 2].as_slice()], 623.0);
    let turned = Array::from(shared.clone().reversed_axes());
    assert_eq!(place(&turned), first.cast());
    assert_eq!(computed::<f32>(&turned)[[2, 1].as_slice()], 102.0);
    // who writes to a shared array gets a copy of its own
    let mut mine = shared.clone();
    mine[[4, 29]] = -1.0;
    assert_eq!(computed::<f32>(&part)[[0, 0].as_slice()], 429.0);
}

#[test]
fn chunks_follow_the_memory() {
    let rows = Array::from(Array2::<f64>::zeros((2000, 1000)));
    let columns = Array::from(Array2::<f64>::zeros((2000, 1000).f()));
    let [rows, columns] = [&rows, &columns].map(|x| x.chunks().unwrap().max_block().to_vec());
    assert!(rows[1] == 1000 && rows[0] < 2000, "{rows:?}");
    assert!(columns[0] == 2000 && columns[1] < 1000, "{columns:?}");
}
