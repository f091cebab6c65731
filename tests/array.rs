//! Arrays against `ndarray` and hand-computed values.

use blockwise::{ix, prelude::*};
use ndarray::{Array2, Axis, arr1, arr2};

fn matrix(rows: usize, cols: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, cols), |(r, c)| (r * 31 + c * 7) as f32 % 17.0 - 3.5)
}

#[test]
fn ndvi_of_two_bands() {
    let (red, nir) = (matrix(50, 70), matrix(50, 70) + 20.0);
    let (r, n) = (Array::from_ndarray(red.clone()), Array::from_ndarray(nir.clone()));
    let ndvi = ((&n - &r) / (&n + &r)).rechunk([16, 32]);
    let got: Array2<f32> = ndvi.compute().unwrap().try_into().unwrap();
    assert_eq!(got, (&nir - &red) / (&nir + &red));
    let [mean, std] = compute!(ndvi.mean(..), ndvi.std(..)).unwrap();
    let want = got.mapv(f64::from);
    assert!((mean.to_scalar::<f64>().unwrap() - want.mean().unwrap()).abs() < 1e-7);
    assert!((std.to_scalar::<f64>().unwrap() - want.std(0.0)).abs() < 1e-7);
}

#[test]
fn standardize_needs_two_passes() {
    let x = matrix(100, 30);
    let a = Array::from_ndarray(x.clone()).rechunk([7, -1]);
    let z = (&a - a.mean(0)) / a.std(0);
    let got: Array2<f32> = z.compute().unwrap().try_into().unwrap();
    let d = x.mapv(f64::from);
    let want = (&d - &d.mean_axis(Axis(0)).unwrap()) / d.std_axis(Axis(0), 0.0);
    assert!(got.iter().zip(&want).all(|(g, w)| (f64::from(*g) - w).abs() < 1e-6));
    let plan = z.explain().unwrap();
    assert_eq!(plan.matches("\nstage ").count(), 2, "fold, then apply:\n{plan}");
    assert_eq!(
        plan.matches("temporary").count(),
        2,
        "mean and std are finished per row, not per element:\n{plan}"
    );
}

#[test]
fn x_plus_its_transpose() {
    let x = matrix(64, 64);
    let a = Array::from_ndarray(x.clone()).rechunk([10, 64]);
    let got: Array2<f32> = (&a + a.t()).compute().unwrap().try_into().unwrap();
    assert_eq!(got, &x + &x.t());
}

#[test]
fn errors_wait_for_compute_and_name_the_line() {
    let (a, b) = (Array::zeros(&[3], F32), Array::zeros(&[4], F32));
    let sum = (a + b).sqrt().sum(..);
    let e = sum.compute().unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::ShapeMismatch { .. }));
    assert!(e.to_string().contains("tests/array.rs"), "{e}");
    assert!(Array::zeros(&[3], F32).sum(1).compute().unwrap_err().to_string().contains("axis 1"));
    assert!((Array::zeros(&[3], U8) + 300).compute().unwrap_err().to_string().contains("300"));
}

#[test]
fn scans_gathers_and_joins() {
    let x = Array::arange(0, 24, 1).reshape(&[4, 6]).rechunk([3, 2]);
    let want = Array2::from_shape_fn((4, 6), |(r, c)| (r * 6 + c) as i64);
    let mut cum = want.clone();
    cum.accumulate_axis_inplace(Axis(0), |a, b| *b += a);
    assert_eq!(Array2::<i64>::try_from(x.cumsum(0).compute().unwrap()).unwrap(), cum);
    let taken: Array2<i64> = x.take(&[5, 0, 0, -1], 1).compute().unwrap().try_into().unwrap();
    assert_eq!(taken, want.select(Axis(1), &[5, 0, 0, 5]));
    let joined = concatenate(&[x.clone(), x.flip(Some(0))], 0);
    assert_eq!(joined.index(ix![4]).compute().unwrap().as_slice::<i64>().unwrap(), [18, 19, 20, 21, 22, 23]);
    let rolled = Array::arange(0, 5, 1).roll(2, 0).compute().unwrap();
    assert_eq!(rolled.as_slice::<i64>().unwrap(), [3, 4, 0, 1, 2]);
    let padded = Array::from_ndarray(arr1(&[1i32, 2, 3])).pad(&[(2, 1)], PadMode::Reflect).compute().unwrap();
    assert_eq!(padded.as_slice::<i32>().unwrap(), [3, 2, 1, 2, 3, 2]);
    let picked = x.select(&x.gt(20)).compute().unwrap();
    assert_eq!(picked.as_slice::<i64>().unwrap(), [21, 22, 23]);
    let none = x.select(&x.gt(99));
    assert_eq!(none.shape(), [0]);
    assert_eq!(none.sum(..).compute().unwrap().to_scalar::<i64>().unwrap(), 0);
}

#[test]
fn compute_into_any_layout() {
    let x = Array::from_ndarray(arr2(&[[1.0f64, 2.0], [3.0, 4.0]]));
    let mut out = Array2::<f64>::zeros((2, 2));
    (&x * 2).compute_into(out.view_mut().reversed_axes()).unwrap();
    assert_eq!(out, arr2(&[[2.0, 6.0], [4.0, 8.0]]));
}

#[test]
fn memory_limit_is_refused_before_any_work() {
    let session = Session::builder().memory_limit("1MiB").build().unwrap();
    let e = session.compute(&Array::zeros(&[1 << 20], F64)).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::MemoryLimit { needed, limit: 1048576, .. } if *needed >= 8 << 20));
}

#[test]
fn computing_inside_a_task_is_an_error_not_a_hang() {
    let x = Array::arange(0, 10, 1);
    let inner = x.clone();
    let y = Array::from_fn(&[3], move |_| inner.sum(..).compute().map_or(-1i64, |b| b.to_scalar().unwrap()));
    assert_eq!(y.compute().unwrap().as_slice::<i64>().unwrap(), [-1, -1, -1]);
}

#[test]
fn a_fold_takes_the_chunks_it_is_given() {
    let x = Array::zeros(&[100, 10], F32).rechunk([25, -1]);
    let plan = x.sum(..).explain().unwrap();
    assert!(plan.contains("4 tasks over [100, 10]"), "{plan}");
}

#[test]
fn histograms_count_as_numpy_and_share_the_pass() {
    let x = matrix(97, 55);
    let a = Array::from_ndarray(x.clone()).rechunk([20, 30]);
    let [h, mean] = compute!(a.histogram(10, -3.5..12.5), a.mean(..)).unwrap();
    let mut want = [0i64; 10];
    for v in x.iter().filter(|v| (-3.5..=12.5).contains(*v)) {
        want[(((f64::from(*v) + 3.5) / 1.6) as usize).min(9)] += 1;
    }
    assert_eq!(h.as_slice::<i64>().unwrap(), want);
    assert!((mean.to_scalar::<f64>().unwrap() - f64::from(x.mean().unwrap())).abs() < 1e-4);
    assert!(a.histogram(0, 0.0..1.0).compute().is_err());
    assert!(a.histogram(4, 1.0..1.0).compute().is_err());
}

#[test]
fn several_arrays_are_persisted_in_one_pass() {
    let session = Session::builder().threads(2).build().unwrap();
    let x = Array::from_ndarray(ndarray::Array2::from_shape_fn((6, 10), |(i, j)| (10 * i + j) as f32));
    let x = x.rechunk([4, 3]);
    session.persist_all([&x.sqrt(), &(&x * 2)]).unwrap();
    let summary = session.last_summary().unwrap();
    assert_eq!((summary.stages.len(), summary.tasks), (1, 8), "{summary:?}");
    let [root, mean, again, empty] =
        session.persist_all([&x.sqrt(), &x.mean(0), &x.sqrt(), &x.slice(s![..0, ..])]).unwrap();
    assert_eq!((root.chunks().unwrap(), root.dtype()), (x.chunks().unwrap(), F32));
    assert_eq!(root.compute().unwrap().get(&[5, 9]).unwrap().as_f64(), f64::from(59f32.sqrt()));
    assert_eq!(again.compute().unwrap().get(&[0, 4]).unwrap().as_f64(), 2.0);
    assert_eq!(mean.compute().unwrap().get(&[3]).unwrap().as_f64(), 28.0);
    assert_eq!(empty.compute().unwrap().shape(), [0, 10]);
    let [] = session.persist_all([]).unwrap();
    let [zero] = persist!(x.sum(..)).unwrap();
    assert_eq!(zero.compute().unwrap().to_scalar::<f64>().unwrap(), 1770.0);
    let wrong = x.reshape(&[7]);
    let e = session.persist_all([&x, &wrong]).unwrap_err();
    assert_eq!(e.to_string(), wrong.compute().unwrap_err().to_string());
}
