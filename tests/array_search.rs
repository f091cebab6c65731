//! `searchsorted`, `digitize`, `isin`, `select`, `choose` and `piecewise` against plain loops.

mod common;

use blockwise::array::{OutOfRange, Side, select};
use blockwise::dtype::{Element, promote};
use blockwise::prelude::*;
use common::{Rng, Story, computed, from_index, numbered, rechunked};
use ndarray::{ArrayD, IxDyn};

/// Numbers with repeats, of any dtype; floats with NaN, infinities and both zeros.
fn values(shape: &[usize], d: DType, rng: &mut Rng) -> (Array, ArrayD<f64>) {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let drawn = from_index(shape, |_| match d {
        _ if d.is_float() && rng.once_in(8) => rng.pick(&special),
        F16 | F32 | F64 => rng.within(-12, 12) as f64 / 2.0,
        Bool => rng.below(2) as f64,
        U8 | U16 | U32 | U64 => rng.below(12) as f64,
        _ => rng.within(-6, 6) as f64,
    });
    (rechunked(&Array::from_ndarray(drawn.clone()).cast(d), rng), drawn)
}

/// NumPy's order, in which NaN is last.
fn before(a: f64, b: f64) -> bool {
    a < b || b.is_nan() && !a.is_nan()
}

fn list(n: usize, d: DType, rng: &mut Rng) -> (Array, Vec<f64>) {
    let (x, v) = values(&[n], d, rng);
    (x, v.into_raw_vec_and_offset().0)
}

fn sorted(n: usize, d: DType, rng: &mut Rng) -> (Array, Vec<f64>) {
    let (_, mut v) = list(n, d, rng);
    v.sort_by(|a, b| a.partial_cmp(b).unwrap_or(a.is_nan().cmp(&b.is_nan())));
    (rechunked(&Array::from_vec(v.clone()).cast(d), rng), v)
}

#[test]
fn places_in_sorted_lists() {
    let mut rng = Rng::new(31);
    for round in 0..400 {
        let (shape, dx, dl) = (rng.shape(), rng.pick(&DType::ALL), rng.pick(&DType::ALL));
        let n = rng.pick(&[0, 1, 2, 5, 17]);
        let (x, v) = values(&shape, dx, &mut rng);
        let (line, l) = sorted(n, dl, &mut rng);
        let _story = Story(format!("round {round}: {shape:?} {dx} in {n} {dl} {l:?}"));
        let left = v.mapv(|v| l.iter().filter(|s| before(**s, v)).count() as i64);
        let right = v.mapv(|v| l.iter().filter(|s| !before(v, **s)).count() as i64);
        assert_eq!(computed::<i64>(&line.searchsorted(&x, Side::Left)), left);
        assert_eq!(computed::<i64>(&line.searchsorted(&x, Side::Right)), right);
        assert_eq!(computed::<i64>(&x.digitize(&line, true)), left);
        assert_eq!(computed::<i64>(&x.digitize(&line, false)), right);
        // decreasing bins count from the other end
        if l.first() < l.last() {
            assert_eq!(computed::<i64>(&x.digitize(line.flip(None), true)), left.mapv(|i| n as i64 - i));
            assert_eq!(computed::<i64>(&x.digitize(line.flip(None), false)), right.mapv(|i| n as i64 - i));
        }
    }
    let x = Array::from_vec(vec![0.0f64, 1.0, 2.5, 3.0, 9.0, f64::NAN]).rechunk(4);
    // NumPy's answers
    assert_eq!(computed::<i64>(&x.digitize([3.0, 2.5, 1.0], false)).as_slice().unwrap(), [3, 2, 1, 0, 0, 0]);
    assert_eq!(computed::<i64>(&x.digitize([3.0, 2.5, 1.0], true)).as_slice().unwrap(), [3, 3, 2, 1, 0, 0]);
    assert_eq!(computed::<i64>(&x.digitize([1.0, 1.0], false)).as_slice().unwrap(), [0, 2, 2, 2, 2, 2]);
    let e = x.digitize([1.0, 3.0, 2.0], false).compute().expect_err("not monotonic");
    assert!(e.to_string().contains("neither increase nor decrease"), "{e}");
    assert!(e.location().is_some_and(|l| l.file().ends_with("array_search.rs")), "{e}");
    let e = x.digitize(Array::zeros(&[2, 2], F64), false).compute().expect_err("not a list");
    assert!(matches!(e.kind(), ErrorKind::InvalidArgument { .. }), "{e}");
}

#[test]
fn membership() {
    let mut rng = Rng::new(32);
    for round in 0..300 {
        let (shape, dx, dl) = (rng.shape(), rng.pick(&DType::ALL), rng.pick(&DType::ALL));
        let (x, v) = values(&shape, dx, &mut rng);
        let n = rng.pick(&[0, 1, 3, 40]);
        let (line, l) = list(n, dl, &mut rng);
        let _story = Story(format!("round {round}: {shape:?} {dx} in {dl} {l:?}"));
        let want = v.mapv(|v| l.contains(&v));
        assert_eq!(computed::<bool>(&x.isin(&line, false)), want);
        assert_eq!(computed::<bool>(&x.isin(&line, true)), want.mapv(|b| !b));
    }
    let x = Array::arange(0, 5, 1);
    assert_eq!(
        computed::<bool>(&x.isin(vec![4u8, 0], false)).as_slice().unwrap(),
        [true, false, false, false, true]
    );
    // a list that is computed
    assert_eq!(computed::<i64>(&x.isin(&x * 2, false).count_nonzero(..))[[].as_slice()], 3);
}

/// Sums in which large lists and many blocks take part: the list is in memory once per task, not per element.
#[test]
fn a_long_list_stays_inside_the_limit() {
    let x = Array::arange(0, 4_000_000, 1).rechunk(100_000);
    let session = Session::builder().threads(2).memory_limit("24MiB").build().unwrap();
    let even = Array::arange(0, 100_000, 2);
    assert_eq!(
        session.compute(&x.isin(&even, false).count_nonzero(..)).unwrap().to_scalar::<i64>().unwrap(),
        50_000
    );
    let places = even.searchsorted(&x, Side::Left).max(..);
    assert_eq!(session.compute(&places).unwrap().to_scalar::<i64>().unwrap(), 50_000);
    let tight = Session::builder().threads(1).memory_limit("1MiB").build().unwrap();
    assert!(matches!(tight.compute(&places).unwrap_err().kind(), ErrorKind::MemoryLimit { .. }));
}

/// The element of the scalar `v` in a dtype, as a number.
fn in_dtype(v: f64, d: DType) -> f64 {
    Scalar::from(v).cast(d).as_f64()
}

fn numbers(x: &Array) -> ArrayD<f64> {
    computed::<f64>(&x.cast(F64))
}

fn same(a: &ArrayD<f64>, b: &ArrayD<f64>) -> bool {
    a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

#[test]
fn the_first_condition_that_holds_selects() {
    let mut rng = Rng::new(33);
    for round in 0..150 {
        let (shape, n) = (rng.shape(), 1 + rng.below(4));
        let (mut conditions, mut choices, mut masks, mut all) = (vec![], vec![], vec![], vec![]);
        let mut d = rng.pick(&DType::ALL);
        let (default, default_values) = values(&shape, d, &mut rng);
        for _ in 0..n {
            let (c, m) = values(&shape, Bool, &mut rng);
            let own = rng.pick(&[d, d, F64]);
            let (x, v) = values(&shape, own, &mut rng);
            d = promote(d, own);
            conditions.push(c);
            choices.push(x);
            masks.push(m);
            all.push(v);
        }
        let _story = Story(format!("round {round}: {n} of {shape:?} {d}"));
        let want = from_index(&shape, |i| {
            let k = masks.iter().position(|m| m[IxDyn(i)] != 0.0);
            k.map_or(default_values[IxDyn(i)], |k| all[k][IxDyn(i)])
        });
        let got = select(&conditions, &choices, &default);
        assert_eq!(got.dtype(), d);
        assert!(same(&numbers(&got), &want));
    }
    let x = Array::from_vec(vec![1i8, 2]);
    // numbers are weak, conditions broadcast
    assert_eq!(select(&[x.gt(1)], std::slice::from_ref(&x), 5).dtype(), I8);
    assert_eq!(select(&[x.gt(1)], std::slice::from_ref(&x), 5.5).dtype(), F64);
    let wide = select(&[Array::from_ndarray(ndarray::arr2(&[[true], [false]]))], std::slice::from_ref(&x), 0);
    assert_eq!(computed::<i8>(&wide).into_raw_vec_and_offset().0, [1, 2, 0, 0]);
    for bad in [
        select(&[], &[], 0),
        select(&[x.gt(0)], &[], 0),
        select(std::slice::from_ref(&x), std::slice::from_ref(&x), 0),
    ] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_search.rs")), "{e}");
    }
}

#[test]
fn an_index_chooses() {
    let mut rng = Rng::new(34);
    for round in 0..150 {
        let (shape, n) = (rng.shape(), 1 + rng.below(4));
        let d = rng.pick(&[I8, I16, I32, I64, U8, U16, U32, U64]);
        let (index, i) = values(&shape, d, &mut rng);
        let drawn: Vec<_> = (0..n).map(|_| values(&shape, F32, &mut rng)).collect();
        let choices: Vec<Array> = drawn.iter().map(|c| c.0.clone()).collect();
        let _story = Story(format!("round {round}: {n} of {shape:?} by {d}"));
        let by = |place: &dyn Fn(i64) -> i64| {
            from_index(&shape, |at| drawn[place(i[IxDyn(at)] as i64) as usize].1[IxDyn(at)])
        };
        let wrapped = numbers(&index.choose(&choices, OutOfRange::Wrap));
        assert!(same(&wrapped, &by(&|i| i.rem_euclid(n as i64))));
        let clipped = numbers(&index.choose(&choices, OutOfRange::Clip));
        assert!(same(&clipped, &by(&|i| i.clamp(0, n as i64 - 1))));
        let raised = index.choose(&choices, OutOfRange::Raise).compute();
        if i.iter().all(|i| (0..n as i64).contains(&(*i as i64))) {
            assert!(same(&numbers(&Array::from_block(raised.unwrap())), &by(&|i| i)));
        } else {
            let e = raised.expect_err("out of range");
            assert!(matches!(e.kind(), ErrorKind::Function { .. }), "{e}");
            assert!(e.location().is_some_and(|l| l.file().ends_with("array_search.rs")), "{e}");
        }
    }
    let huge = Array::from_vec(vec![u64::MAX, 1]);
    let two = [Array::scalar(7i64), Array::scalar(8i64)];
    assert_eq!(computed::<i64>(&huge.choose(&two, OutOfRange::Clip)).as_slice().unwrap(), [8, 8]);
    assert_eq!(computed::<i64>(&huge.choose(&two, OutOfRange::Wrap)).as_slice().unwrap(), [8, 8]);
    assert!(huge.choose(&two, OutOfRange::Raise).compute().is_err());
    assert!(huge.choose(&[], OutOfRange::Wrap).expr().is_err());
    assert!(Array::scalar(1.0f64).choose(&two, OutOfRange::Wrap).expr().is_err());
}

#[test]
fn pieces_of_functions() {
    let mut rng = Rng::new(35);
    for round in 0..150 {
        let (shape, d) = (rng.shape(), rng.pick(&[F16, F32, F64, I16, I64]));
        let (x, v) = values(&shape, d, &mut rng);
        let (c, m) = values(&shape, Bool, &mut rng);
        let _story = Story(format!("round {round}: {shape:?} {d}"));
        // the last condition that holds counts
        let got = x.piecewise(&[c.clone(), x.gt(2)], &[&|x| x + 1, &|x| x * 2]);
        assert_eq!(got.dtype(), d);
        let value = |i: &[usize], rest: &dyn Fn(f64) -> f64| match (m[IxDyn(i)], v[IxDyn(i)]) {
            (_, v) if v > 2.0 => in_dtype(v * 2.0, d),
            (1.0, v) => in_dtype(v + 1.0, d),
            (_, v) => rest(v),
        };
        assert!(same(&numbers(&got), &from_index(&shape, |i| value(i, &|_| 0.0))));
        let got = x.piecewise(&[c, x.gt(2)], &[&|x| x + 1, &|x| x * 2, &|x| -x]);
        assert!(same(&numbers(&got), &from_index(&shape, |i| value(i, &|v| -v))));
    }
    let x = Array::from_ndarray(numbered(&[2, 3]));
    assert_eq!(computed::<i64>(&x.piecewise(&[], &[])).sum(), 0);
    let scalar = |_: &Array| Array::scalar(7.9f64);
    assert_eq!(computed::<i64>(&x.piecewise(&[], &[&scalar])).sum(), 42);
    for bad in [
        x.piecewise(&[x.gt(0)], &[]),
        x.piecewise(&[], &[&|x| -x, &|x| -x]),
        x.piecewise(&[Array::zeros(&[4, 2, 3], Bool)], &[&|x| -x]),
        x.piecewise(&[], &[&|_| Array::zeros(&[5], I64)]),
    ] {
        let e = bad.compute().expect_err("refused");
        assert!(e.location().is_some_and(|l| l.file().ends_with("array_search.rs")), "{e}");
    }
}

/// Exact where the common dtype is exact.
#[test]
fn large_integers_are_compared_exactly() {
    fn check<T: Element>(values: [T; 3]) {
        let x = Array::from_vec(values.to_vec());
        assert_eq!(computed::<bool>(&x.isin([values[1]], false)).as_slice().unwrap(), [false, true, false]);
        assert_eq!(computed::<i64>(&x.searchsorted(&x, Side::Left)).as_slice().unwrap(), [0, 1, 2]);
    }
    check([i64::MAX - 2, i64::MAX - 1, i64::MAX]);
    check([u64::MAX - 2, u64::MAX - 1, u64::MAX]);
}
