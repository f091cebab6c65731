//! Operations composed of others, functions of blocks, and assignment, against `ndarray` and plain loops.

mod common;

use blockwise::array::{dstack, hstack, meshgrid, over_blocks, vstack};
use blockwise::shape::Grid;
use blockwise::{ix, prelude::*};
use common::{Rng, Story, computed, from_index, numbered, rechunked};
use ndarray::{ArrayD, Axis, IxDyn};

fn sample(shape: &[usize], rng: &mut Rng) -> (Array, ArrayD<i64>) {
    let a = numbered(shape);
    (rechunked(&Array::from_ndarray(a.clone()), rng), a)
}

#[test]
fn assembly_by_short_names() {
    let mut rng = Rng::new(11);
    for _ in 0..60 {
        let shape = rng.shape_of(2);
        let (x, a) = sample(&shape, &mut rng);
        let (rows, cols) = (shape[0], shape[1]);
        assert_eq!(computed::<i64>(&vstack(&[x.clone(), x.flipud()])).shape(), [2 * rows, cols]);
        assert_eq!(
            computed::<i64>(&hstack(&[x.clone(), x.clone()])),
            ndarray::concatenate(Axis(1), &[a.view(), a.view()]).unwrap()
        );
        assert_eq!(
            computed::<i64>(&dstack(&[x.clone(), -&x])),
            from_index(&[rows, cols, 2], |i| a[[i[0], i[1]].as_slice()] * if i[2] == 0 { 1 } else { -1 })
        );
        for k in -2..6 {
            let mut want = a.clone();
            for _ in 0..isize::rem_euclid(k, 4) {
                // one turn: the last column becomes the first row
                let (r, c) = (want.shape()[0], want.shape()[1]);
                want = from_index(&[c, r], |i| want[[i[1], c - 1 - i[0]].as_slice()]);
            }
            assert_eq!(computed::<i64>(&x.rot90(k)), want, "{k}");
            let below = |keep: &dyn Fn(isize) -> bool| {
                from_index(&shape, |i| if keep(i[1] as isize - i[0] as isize) { a[IxDyn(i)] } else { 0 })
            };
            assert_eq!(computed::<i64>(&x.tril(k)), below(&|d| d <= k));
            assert_eq!(computed::<i64>(&x.triu(k)), below(&|d| d >= k));
            let trace: i64 =
                (0..rows).filter_map(|r| a.get([r, usize::try_from(r as isize + k).ok()?].as_slice())).sum();
            assert_eq!(computed::<i64>(&x.trace(k))[[].as_slice()], trace);
        }
        for axis in 0..2 {
            let n = shape[axis];
            let gone: Vec<usize> = (0..n).filter(|_| rng.once_in(3)).collect();
            let kept: Vec<usize> = (0..n).filter(|i| !gone.contains(i)).collect();
            let named: Vec<isize> = gone.iter().map(|&i| rng.signed_axis(i, n)).collect();
            assert_eq!(computed::<i64>(&x.delete(&named, axis as isize)), a.select(Axis(axis), &kept));
            let place = rng.below(n + 1);
            let (before, after) = a.view().split_at(Axis(axis), place);
            let want = ndarray::concatenate(Axis(axis), &[before, a.view(), after]).unwrap();
            assert_eq!(computed::<i64>(&x.insert(place as isize, &x, axis as isize)), want);
            let steps = computed::<i64>(&x.diff(1, axis as isize));
            let mut less = shape.clone();
            less[axis] = n.saturating_sub(1);
            let want = from_index(&less, |i| {
                let mut next = i.to_vec();
                next[axis] += 1;
                a[IxDyn(&next)] - a[IxDyn(i)]
            });
            assert_eq!(steps, want);
        }
    }
    let one = Array::arange(0, 3, 1);
    assert_eq!(one.atleast_2d().shape(), [1, 3]);
    assert_eq!(one.atleast_3d().shape(), [1, 3, 1]);
    assert_eq!(Array::scalar(1.0f64).atleast_1d().shape(), [1]);
    assert_eq!(computed::<i64>(&hstack(&[one.clone(), one.clone()])).shape(), [6]);
    assert_eq!(computed::<i64>(&vstack(&[one.clone(), one.append(&one, 0).slice(s![3..])])).shape(), [2, 3]);
    let [y, x] = meshgrid([&Array::arange(0, 2, 1), &one]);
    assert_eq!(computed::<i64>(&(y * 10 + x)).into_raw_vec_and_offset().0, [0, 1, 2, 10, 11, 12]);
    let [y, _] = meshgrid([&Array::arange(0, 0, 1), &one]);
    assert_eq!(y.shape(), [0, 3]);
    assert!(one.rot90(1).expr().is_err() && one.tril(0).expr().is_err());
    assert!(one.delete(&[3], 0).expr().is_err() && one.insert(4, &one, 0).expr().is_err());
}

#[test]
fn weighted_means_moments_and_running_sums() {
    let x = Array::from_vec(vec![1.0f64, f64::NAN, 3.0, 4.0]).rechunk(3);
    assert_eq!(computed::<f64>(&x.nancumsum(0)).into_raw_vec_and_offset().0, [1.0, 1.0, 4.0, 8.0]);
    assert_eq!(computed::<f64>(&x.nancumprod(0)).into_raw_vec_and_offset().0, [1.0, 1.0, 3.0, 12.0]);
    let y = Array::from_ndarray(ndarray::arr2(&[[1i32, 2, 3], [4, 5, 9]])).rechunk([1, 2]);
    let w = Array::from_vec(vec![1i32, 0, 3]);
    assert_eq!(computed::<f64>(&y.average(&w, 1)).into_raw_vec_and_offset().0, [2.5, 7.75]);
    assert_eq!(computed::<f64>(&y.average(&w, ..))[[].as_slice()], 5.125);
    assert_eq!(computed::<f64>(&y.moment(2, 1)).into_raw_vec_and_offset().0, [2.0 / 3.0, 14.0 / 3.0]);
    assert_eq!(computed::<f64>(&y.moment(3, 1))[[0].as_slice()], 0.0);
    let z = Array::from_vec(vec![f64::NEG_INFINITY, f64::INFINITY, -1.0, f64::NAN]);
    assert_eq!(computed::<bool>(&z.isneginf()).into_raw_vec_and_offset().0, [true, false, false, false]);
    assert_eq!(computed::<bool>(&z.isposinf()).into_raw_vec_and_offset().0, [false, true, false, false]);
    assert_eq!(
        computed::<f32>(&Array::from_vec(vec![i16::MIN, 3]).fabs()).into_raw_vec_and_offset().0,
        [32768.0, 3.0]
    );
    let bools = Array::from_vec(vec![true, true, false]);
    assert_eq!(computed::<bool>(&bools.diff(1, 0)).into_raw_vec_and_offset().0, [false, true]);
}

#[test]
fn assignment_is_numpys() {
    let mut rng = Rng::new(12);
    for round in 0..300 {
        let ndim = 1 + rng.below(3);
        let shape = rng.shape_of(ndim);
        let (x, a) = sample(&shape, &mut rng);
        // an index of integers and slices, and the places it names
        let (mut index, mut axes) = (vec![], vec![]);
        for &n in &shape[..rng.below(ndim + 1)] {
            let m = n as isize;
            if m > 0 && rng.once_in(4) {
                let i = rng.within(-m, m - 1);
                index.push(Ix::At(i));
                axes.push((vec![i.rem_euclid(m) as usize], false));
            } else {
                let step = rng.pick(&[1, 2, -1, -3]);
                let start = rng.below(n + 1).min(n.saturating_sub(1));
                let places = std::iter::successors(Some(start as isize), |i| Some(i + step));
                let places: Vec<usize> =
                    places.take_while(|i| (0..m).contains(i)).map(|i| i as usize).collect();
                index.push(Ix::Slice(Some(start as isize), None, step));
                axes.push((places, true));
            }
        }
        axes.extend(shape[axes.len()..].iter().map(|&n| ((0..n).collect::<Vec<_>>(), true)));
        let _story = Story(format!("round {round}: {shape:?} at {index:?}"));
        let seen: Vec<usize> = axes.iter().filter(|a| a.1).map(|a| a.0.len()).collect();
        let values = numbered(&seen).mapv(|v| v + 5000);
        let mut want = a.clone();
        let all: Vec<usize> = axes.iter().map(|a| a.0.len()).collect();
        for (i, v) in common::indices(&all).iter().zip(values.iter()) {
            let at: Vec<usize> = i.iter().zip(&axes).map(|(&j, a)| a.0[j]).collect();
            want[IxDyn(&at)] = *v;
        }
        let value = rechunked(&Array::from_ndarray(values.clone()), &mut rng);
        assert_eq!(computed::<i64>(&x.assign(&index, &value)), want);
        let mut flat = want.clone();
        flat.zip_mut_with(&a, |w, v| *w = if *w == *v { *v } else { -1 });
        assert_eq!(computed::<i64>(&x.assign(&index, -1)), flat);
    }
    let x = Array::arange(0, 6, 1).reshape(&[2, 3]);
    assert_eq!(computed::<i64>(&x.assign_where(&x.gt(3), 0)).into_raw_vec_and_offset().0, [0, 1, 2, 3, 0, 0]);
    assert_eq!(
        computed::<u8>(&x.cast(U8).assign(ix![0], 2.9)).into_raw_vec_and_offset().0,
        [2, 2, 2, 3, 4, 5]
    );
    for bad in
        [x.cast(U8).assign(ix![0], 256), x.assign(ix![5], 0), x.assign(ix![0], Array::zeros(&[4], I64))]
    {
        let e = bad.expr().map(|_| ()).expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_compose.rs")), "{e}");
    }
}

#[test]
fn functions_of_blocks() {
    let mut rng = Rng::new(13);
    for _ in 0..60 {
        let shape = rng.shape();
        let (x, a) = sample(&shape, &mut rng);
        let y = x.map_blocks(F64, |b| Ok(Block::from_array(b.view::<i64>()?.mapv(|v| v as f64 / 2.0))));
        assert_eq!(computed::<f64>(&y), a.mapv(|v| v as f64 / 2.0));
        // the block's place is the one it has in the whole
        let places = over_blocks(&[&x, &x.rechunk(2)]).apply(|at, blocks| {
            let (p, q) = (blocks[0].view::<i64>()?, blocks[1].view::<i64>()?);
            let first: usize = at.region.start.iter().sum();
            Ok(Block::from_array((&p + &q).mapv(|v| v + first as i64)))
        });
        let got = computed::<i64>(&places.slice(vec![]));
        let grid = x.chunks().unwrap().clone();
        let want = from_index(&shape, |i| {
            let start: usize = i.iter().zip(grid.axes()).map(|(&j, c)| c.bounds(c.chunk_at(j)).0).sum();
            2 * a[IxDyn(i)] + start as i64
        });
        assert_eq!(got, want);
        // a view of a mapped array, and what is mapped being a view
        let turned = x.t().map_blocks(I64, |b| Ok(b.clone())).flip(None).sum(..);
        assert_eq!(computed::<i64>(&turned)[[].as_slice()], a.sum());
    }
}

#[test]
fn functions_of_blocks_with_margins() {
    let mut rng = Rng::new(14);
    for round in 0..80 {
        let ndim = 1 + rng.below(2);
        let shape: Vec<usize> = (0..ndim).map(|_| 1 + rng.below(12)).collect();
        let (x, a) = sample(&shape, &mut rng);
        let depth: Vec<usize> = (0..ndim).map(|_| rng.below(3)).collect();
        let _story = Story(format!("round {round}: {shape:?} by {depth:?}, {x:?}"));
        let reach: Vec<isize> = depth.iter().map(|&d| d as isize).collect();
        // the sum of a box around each element, edges repeated
        let want = from_index(&shape, |i| {
            common::indices(&depth.iter().map(|d| 2 * d + 1).collect::<Vec<_>>())
                .iter()
                .map(|o| {
                    let at =
                        |k: usize| (i[k] as isize + o[k] as isize - reach[k]).clamp(0, shape[k] as isize - 1);
                    a[IxDyn(&(0..ndim).map(|k| at(k) as usize).collect::<Vec<_>>())]
                })
                .sum::<i64>()
        });
        let sums = {
            let depth = depth.clone();
            move |b: &Block| {
                let v = b.view::<i64>()?;
                let own: Vec<usize> = v.shape().iter().zip(&depth).map(|(n, d)| n - 2 * d).collect();
                Ok(Block::from_array(from_index(&own, |i| {
                    let mut window = v.view();
                    for (k, &at) in i.iter().enumerate() {
                        window.slice_axis_inplace(Axis(k), (at..at + 2 * depth[k] + 1).into());
                    }
                    window.sum()
                })))
            }
        };
        assert_eq!(computed::<i64>(&x.map_overlap(&depth, PadMode::Edge, I64, sums)), want);
        // a function that keeps the margin has it cut
        assert_eq!(computed::<i64>(&x.map_overlap(&depth, PadMode::Reflect, I64, |b| Ok(b.clone()))), a);
    }
    let empty = Array::zeros(&[0, 3], F32).map_overlap(&[1, 1], PadMode::Constant, F32, |b| Ok(b.clone()));
    assert_eq!(computed::<f32>(&empty).shape(), [0, 3]);
}

#[test]
fn failing_functions_are_errors() {
    let x = Array::arange(0, 10, 1).rechunk(4);
    let failing = x.map_blocks(I64, |b| match b.view::<i64>()?[[0]] {
        4 => Err(Error::invalid("mine", "no fours")),
        _ => Ok(b.clone()),
    });
    let panicking = x.map_blocks(I64, |b| if b.len() == 2 { panic!("short block") } else { Ok(b.clone()) });
    let wrong_shape = x.map_blocks(I64, |b| Ok(Block::from_vec(vec![b.len() as i64])));
    let wrong_dtype = x.map_blocks(F32, |b| Ok(b.clone()));
    let cases = [
        (failing, "no fours", vec![1]),
        (panicking, "short block", vec![2]),
        (wrong_shape, "declared", vec![0]),
        (wrong_dtype, "declared", vec![0]),
    ];
    for (y, message, at) in cases {
        for z in [y.clone(), &y + 1, y.sum(..)] {
            let one = Session::builder().threads(1).build().unwrap();
            let e = one.compute(&z).expect_err(message);
            let ErrorKind::Function { block, .. } = e.kind() else { panic!("{e:?}") };
            assert_eq!(*block, at, "{e}");
            assert!(e.to_string().contains(message), "{e}");
            assert!(e.location().is_some_and(|l| l.file().ends_with("array_compose.rs")), "{e}");
        }
    }
    let overlapping = x.map_overlap(&[1], PadMode::Edge, I64, |_| Err(Error::invalid("mine", "no")));
    let line = line!() - 1;
    assert_eq!(overlapping.compute().unwrap_err().location().map(|l| l.line()), Some(line));
    let uneven = over_blocks(&[&x, &Array::zeros(&[7], I64).rechunk(2)]).apply(|_, b| Ok(b[0].clone()));
    assert!(matches!(uneven.compute().unwrap_err().kind(), ErrorKind::ShapeMismatch { .. }));
    assert!(over_blocks(&[]).chunks(Grid::single(&[1])).apply(|_, b| Ok(b[0].clone())).expr().is_err());
    assert!(x.map_overlap(&[1, 1], PadMode::Edge, I64, |b| Ok(b.clone())).expr().is_err());
}
