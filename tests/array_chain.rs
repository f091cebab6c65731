//! Random chains of operations against the same chain on `ndarray` and plain loops.

mod common;

use blockwise::prelude::*;
use common::{Rng, Story, computed, from_index, numbered, rechunked, session};
use ndarray::{ArrayD, Axis, IxDyn, SliceInfoElem};

type Values = ArrayD<i64>;

fn c_order(a: &Values, shape: &[usize]) -> Values {
    ArrayD::from_shape_vec(IxDyn(shape), a.iter().copied().collect()).expect("same size")
}

fn at(a: &Values, i: &[usize]) -> i64 {
    a[IxDyn(i)]
}

/// The index that a margin's element repeats: walks step by step from the edge, as the definition says.
fn padded_index(mode: PadMode, offset: isize, n: isize) -> Option<usize> {
    let mut at = if offset < 0 { 0 } else { n - 1 };
    if (0..n).contains(&offset) {
        return Some(offset as usize);
    }
    let steps = if offset < 0 { -offset } else { offset - (n - 1) };
    let mut dir: isize = if offset < 0 { -1 } else { 1 };
    match mode {
        PadMode::Constant => return None,
        PadMode::Edge => {}
        PadMode::Wrap => (0..steps).for_each(|_| at = (at + dir + n) % n),
        PadMode::Reflect | PadMode::Symmetric => {
            for _ in 0..steps {
                if (0..n).contains(&(at + dir)) {
                    at += dir;
                } else {
                    dir = -dir;
                    if mode == PadMode::Reflect && n > 1 {
                        at += dir;
                    }
                }
            }
        }
    }
    Some(at as usize)
}

/// A random factorization of `n` into `axes` lengths.
fn factors(mut n: usize, axes: usize, rng: &mut Rng) -> Vec<usize> {
    let mut out = vec![1; axes];
    let mut p = 2;
    while n > 1 {
        if n.is_multiple_of(p) {
            out[rng.below(axes)] *= p;
            n /= p;
        } else {
            p += 1;
        }
    }
    out
}

/// `start:stop:step` by Python's `slice.indices` and a loop.
fn python_range(start: Option<isize>, stop: Option<isize>, step: isize, n: usize) -> Vec<usize> {
    let n = n as isize;
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let fix = |i: isize| {
        let i = if i < 0 { i + n } else { i };
        i.max(low).min(high)
    };
    let mut i = start.map_or(if step > 0 { 0 } else { n - 1 }, fix);
    let stop = stop.map_or(if step > 0 { n } else { -1 }, fix);
    let mut out = vec![];
    while if step > 0 { i < stop } else { i > stop } {
        out.push(i as usize);
        i += step;
    }
    out
}

fn concatenated(parts: &[Values], axis: usize) -> Values {
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    ndarray::concatenate(Axis(axis), &views).expect("parts fit")
}

/// Operations that only move elements: every dtype has them.
fn structural(rng: &mut Rng, x: &Array, a: &Values) -> Option<(String, Array, Values)> {
    let shape = a.shape().to_vec();
    let (n, len) = (shape.len(), a.len());
    let some_axis = |rng: &mut Rng| (n > 0).then(|| rng.below(n));
    Some(match rng.below(19) {
        0 if len > 0 => {
            let axes = 1 + rng.below(4);
            let to = factors(len, axes, rng);
            let mut asked: Vec<isize> = to.iter().map(|&n| n as isize).collect();
            if rng.once_in(2) {
                let k = rng.below(asked.len());
                asked[k] = -1;
            }
            (format!("reshape {asked:?}"), x.reshape(&asked), c_order(a, &to))
        }
        1 => ("ravel".into(), x.ravel(), c_order(a, &[len])),
        2 => {
            let order = rng.permutation(n);
            let signed: Vec<isize> = order.iter().map(|&k| rng.signed_axis(k, n)).collect();
            (
                format!("transpose {order:?}"),
                x.transpose(Some(&signed)),
                a.clone().permuted_axes(IxDyn(&order)),
            )
        }
        3 => {
            let (i, j) = (some_axis(rng)?, some_axis(rng)?);
            let mut want = a.clone();
            want.swap_axes(i, j);
            (format!("swapaxes {i} {j}"), x.swapaxes(rng.signed_axis(i, n), rng.signed_axis(j, n)), want)
        }
        4 => {
            let (i, j) = (some_axis(rng)?, some_axis(rng)?);
            let mut order: Vec<usize> = (0..n).filter(|&k| k != i).collect();
            order.insert(j, i);
            (
                format!("moveaxis {i} {j}"),
                x.moveaxis(i as isize, j as isize),
                a.clone().permuted_axes(IxDyn(&order)),
            )
        }
        5 if n < 5 => {
            let k = rng.below(n + 1);
            (
                format!("expand_dims {k}"),
                x.expand_dims(rng.signed_axis(k, n + 1)),
                a.clone().insert_axis(Axis(k)),
            )
        }
        6 => {
            let long: Vec<usize> = shape.iter().copied().filter(|&m| m != 1).collect();
            ("squeeze".into(), x.squeeze(None), c_order(a, &long))
        }
        7 => {
            let axis = if rng.once_in(3) { None } else { Some(some_axis(rng)?) };
            let mut want = a.clone();
            for k in 0..n {
                if axis.is_none_or(|f| f == k) {
                    want.invert_axis(Axis(k));
                }
            }
            (format!("flip {axis:?}"), x.flip(axis.map(|k| rng.signed_axis(k, n))), want)
        }
        8 => {
            let k = some_axis(rng)?;
            let shift = rng.within(-9, 9);
            let want = from_index(&shape, |i| {
                let mut from = i.to_vec();
                from[k] = (i[k] as isize - shift).rem_euclid(shape[k] as isize) as usize;
                at(a, &from)
            });
            (format!("roll {shift} {k}"), x.roll(shift, rng.signed_axis(k, n)), want)
        }
        9 if n > 0 => {
            use PadMode::*;
            let mode =
                if len == 0 { Constant } else { rng.pick(&[Constant, Edge, Reflect, Symmetric, Wrap]) };
            let widths: Vec<(usize, usize)> = (0..n).map(|_| (rng.below(4), rng.below(6))).collect();
            let to: Vec<usize> = shape.iter().zip(&widths).map(|(m, w)| m + w.0 + w.1).collect();
            let want = from_index(&to, |i| {
                let from: Option<Vec<usize>> = (0..n)
                    .map(|k| padded_index(mode, i[k] as isize - widths[k].0 as isize, shape[k] as isize))
                    .collect();
                from.map_or(0, |from| at(a, &from))
            });
            (format!("pad {widths:?} {mode:?}"), x.pad(&widths, mode), want)
        }
        10 => {
            let (k, times) = (some_axis(rng)?, rng.below(4));
            let mut to = shape.clone();
            to[k] *= times;
            let want = from_index(&to, |i| {
                let mut from = i.to_vec();
                from[k] /= times;
                at(a, &from)
            });
            (format!("repeat {times} {k}"), x.repeat(times, rng.signed_axis(k, n)), want)
        }
        11 => {
            let reps: Vec<usize> =
                (0..rng.below(n + 2).min(4)).map(|_| rng.pick(&[0, 1, 1, 2, 2, 3])).collect();
            let lead = reps.len().max(n);
            let wide = [vec![1; lead - n], shape.clone()].concat();
            let times = [vec![1; lead - reps.len()], reps.clone()].concat();
            let to: Vec<usize> = wide.iter().zip(&times).map(|(a, b)| a * b).collect();
            let want = from_index(&to, |i| {
                let from: Vec<usize> = (lead - n..lead).map(|k| i[k] % wide[k]).collect();
                at(a, &from)
            });
            (format!("tile {reps:?}"), x.tile(&reps), want)
        }
        12 if n >= 2 => {
            let k = rng.within(-4, 4);
            let (rows, cols) = (shape[n - 2] as isize, shape[n - 1] as isize);
            let count = (0..rows).filter(|r| (0..cols).contains(&(r + k))).count();
            let first = (-k).max(0) as usize;
            let to = [&shape[..n - 2], &[count]].concat();
            let want = from_index(&to, |i| {
                let r = first + i[n - 2];
                at(a, &[&i[..n - 2], &[r, (r as isize + k) as usize]].concat())
            });
            (format!("diagonal {k}"), x.diagonal(k), want)
        }
        13 if n < 5 => {
            let mut to: Vec<usize> = shape.iter().map(|&m| if m == 1 { rng.below(5) } else { m }).collect();
            for _ in 0..rng.below(2) {
                to.insert(0, rng.below(4));
            }
            let want = a.broadcast(IxDyn(&to)).expect("broadcasts").to_owned();
            (format!("broadcast_to {to:?}"), x.broadcast_to(&to), want)
        }
        14 => {
            let k = some_axis(rng)?;
            let count = if shape[k] == 0 { 0 } else { rng.below(9) };
            let m = shape[k] as isize;
            let picks: Vec<isize> = (0..count).map(|_| rng.within(-m, m - 1)).collect();
            let places: Vec<usize> = picks.iter().map(|&i| i.rem_euclid(m) as usize).collect();
            (format!("take {picks:?} {k}"), x.take(&picks, rng.signed_axis(k, n)), a.select(Axis(k), &places))
        }
        15 => indexed(rng, x, a),
        16 => sliced(rng, x, a),
        17 => {
            let k = some_axis(rng)?;
            let mut parts = vec![(x.clone(), a.clone())];
            for _ in 0..rng.below(3) {
                let m = shape[k];
                let (lo, hi) = (rng.below(m + 1), rng.below(m + 1));
                let (lo, hi) = (lo.min(hi) as isize, lo.max(hi) as isize);
                let mut info = vec![SliceInfoElem::Slice { start: 0, end: None, step: 1 }; n];
                info[k] = SliceInfoElem::Slice {
                    start: lo,
                    end: Some(hi),
                    step: if rng.once_in(2) { -1 } else { 1 },
                };
                parts.push((x.slice(&info), a.slice(info.as_slice()).to_owned().into_dyn()));
            }
            let (xs, values): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            (
                format!("concatenate {} parts {k}", xs.len()),
                concatenate(&xs, k as isize),
                concatenated(&values, k),
            )
        }
        18 if n < 5 => {
            let k = rng.below(n + 1);
            let turned = x.flip(None);
            let mut flipped = a.clone();
            (0..n).for_each(|j| flipped.invert_axis(Axis(j)));
            let want = ndarray::stack(Axis(k), &[a.view(), flipped.view()]).expect("same shapes");
            (format!("stack with its flip {k}"), stack(&[x.clone(), turned], rng.signed_axis(k, n + 1)), want)
        }
        _ => return None,
    })
}

/// A random index of integers, slices, new axes and an ellipsis.
fn indexed(rng: &mut Rng, x: &Array, a: &Values) -> (String, Array, Values) {
    let shape = a.shape();
    let named = rng.below(shape.len() + 1);
    let dots = rng.once_in(2).then(|| rng.below(named + 1));
    let free = shape.len() - named;
    let mut index = vec![];
    // for every source axis its places, and whether the axis goes
    let mut places: Vec<(Vec<usize>, bool)> = vec![];
    // where the result has axes that are new
    let mut out: Vec<Option<usize>> = vec![];
    let whole = |k: usize| ((0..shape[k]).collect::<Vec<_>>(), false);
    for entry in 0..=named {
        if dots == Some(entry) {
            index.push(Ix::Ellipsis);
            for _ in 0..free {
                out.push(Some(places.len()));
                places.push(whole(places.len()));
            }
        }
        if rng.once_in(6) && shape.len() < 5 {
            index.push(Ix::NewAxis);
            out.push(None);
        }
        if entry == named {
            break;
        }
        let k = places.len();
        let m = shape[k] as isize;
        if m > 0 && rng.once_in(4) {
            let i = rng.within(-m, m - 1);
            index.push(Ix::At(i));
            places.push((vec![i.rem_euclid(m) as usize], true));
        } else {
            let mut end = || (!rng.once_in(3)).then(|| rng.within(-m - 3, m + 3));
            let (start, stop) = (end(), end());
            let step = rng.pick(&[1, 1, 2, 3, -1, -1, -2, -3, 7, -9]);
            index.push(Ix::Slice(start, stop, step));
            out.push(Some(k));
            places.push((python_range(start, stop, step, shape[k]), false));
        }
    }
    while places.len() < shape.len() {
        out.push(Some(places.len()));
        places.push(whole(places.len()));
    }
    let to: Vec<usize> = out.iter().map(|o| o.map_or(1, |k| places[k].0.len())).collect();
    let want = from_index(&to, |i| {
        let mut from: Vec<usize> = places.iter().map(|(p, _)| p.first().copied().unwrap_or(0)).collect();
        for (o, &j) in out.iter().zip(i) {
            if let Some(k) = o {
                from[*k] = places[*k].0[j];
            }
        }
        at(a, &from)
    });
    (format!("index {index:?}"), x.index(&index), want)
}

/// A random slice with `ndarray`'s meaning.
fn sliced(rng: &mut Rng, x: &Array, a: &Values) -> (String, Array, Values) {
    let info: Vec<SliceInfoElem> = a
        .shape()
        .iter()
        .map(|&m| {
            if m > 0 && rng.once_in(4) {
                return SliceInfoElem::Index(rng.within(-(m as isize), m as isize - 1));
            }
            let (i, j) = (rng.below(m + 1), rng.below(m + 1));
            let (lo, hi) = (i.min(j) as isize, i.max(j) as isize);
            let end = if hi == m as isize && rng.once_in(2) { None } else { Some(hi) };
            SliceInfoElem::Slice { start: lo, end, step: rng.pick(&[1, 1, 2, -1, -2, -3, 5]) }
        })
        .collect();
    let want = a.slice(info.as_slice()).to_owned().into_dyn();
    (format!("slice {info:?}"), x.slice(&info), want)
}

/// Operations that compute.
fn computing(rng: &mut Rng, x: &Array, a: &Values) -> Option<(String, Array, Values)> {
    let shape = a.shape().to_vec();
    let n = shape.len();
    Some(match rng.below(10) {
        0 => {
            let c = rng.within(-5, 90) as i64;
            (format!("x * 3 + {c}"), x * 3 + c, a.mapv(|v| v.wrapping_mul(3).wrapping_add(c)))
        }
        1 => {
            let c = rng.within(-100, 300) as i64;
            let want = a.mapv(|v| if v < c { v.wrapping_neg() } else { v });
            (format!("where x < {c}"), where_(x.lt(c), -x, x), want)
        }
        2 => {
            let k = rng.below(n.max(1));
            if n == 0 {
                return None;
            }
            let mut flipped = a.clone();
            flipped.invert_axis(Axis(k));
            let mut want = a.clone();
            want.zip_mut_with(&flipped, |v, w| *v = v.wrapping_sub(*w));
            (format!("x - flip {k}"), x - x.flip(Some(k as isize)), want)
        }
        3 if n >= 2 && shape[n - 1] == shape[n - 2] => {
            let mut turned = a.clone();
            turned.swap_axes(n - 1, n - 2);
            let mut want = a.clone();
            want.zip_mut_with(&turned, |v, w| *v = v.wrapping_mul(2).wrapping_add(*w));
            ("2 x + x.T".into(), 2 * x + x.swapaxes(-1, -2), want)
        }
        4 | 5 if n > 0 => {
            let k = rng.below(n);
            let want = a.fold_axis(Axis(k), 0i64, |s, v| s.wrapping_add(*v));
            if rng.once_in(2) {
                (format!("sum {k}"), x.sum(rng.signed_axis(k, n)), want)
            } else {
                (format!("sum {k} keepdims"), x.sum(over(k as isize).keepdims()), want.insert_axis(Axis(k)))
            }
        }
        6 if n > 0 && !a.is_empty() => {
            let k = rng.below(n);
            let want = a.fold_axis(Axis(k), i64::MIN, |s, v| *s.max(v));
            let mut centred = a.clone();
            let wide = want.insert_axis(Axis(k));
            centred.zip_mut_with(&wide.broadcast(IxDyn(&shape)).expect("broadcasts"), |v, w| {
                *v = v.wrapping_sub(*w)
            });
            (format!("x - x.max {k}"), x - x.max(over(k as isize).keepdims()), centred)
        }
        7 if n > 0 => {
            let k = rng.below(n);
            let mut want = a.clone();
            want.accumulate_axis_inplace(Axis(k), |p, v| *v = v.wrapping_add(*p));
            (format!("cumsum {k}"), x.cumsum(rng.signed_axis(k, n)), want)
        }
        8 => {
            let c = rng.within(-200, 300) as i64;
            let held: Vec<i64> = a.iter().copied().filter(|v| *v > c).collect();
            (
                format!("select x > {c}"),
                x.select(&x.gt(c)),
                ArrayD::from_shape_vec(IxDyn(&[held.len()]), held).ok()?,
            )
        }
        9 if n > 0 => {
            let k = rng.below(n);
            let odd: Vec<usize> = (0..shape[k]).filter(|i| i % 3 != 1).collect();
            let mask = (Array::arange(0, shape[k] as i64, 1) % 3).not_equal(1);
            (format!("compress {k}"), x.compress(&mask, k as isize), a.select(Axis(k), &odd))
        }
        _ => return None,
    })
}

/// A chain of `steps` operations; the story of what was done, the array and what it must be.
fn chain(seed: u64, steps: usize, compute: bool, dtype: DType) -> (Story, Array, Values) {
    let mut rng = Rng::new(seed);
    let shape = rng.shape();
    let mut a = numbered(&shape);
    if dtype != I64 {
        // small enough for every dtype
        a.mapv_inplace(|v| v.rem_euclid(if dtype == Bool { 2 } else { 100 }));
    }
    let mut x = rechunked(
        &Array::from_block(Array::from_ndarray(a.clone()).cast(dtype).compute().unwrap()),
        &mut rng,
    );
    let mut story = Story(format!("seed {seed}: {shape:?} in {:?}", x.chunks().map(|g| g.to_string())));
    let mut done = 0;
    while done < steps {
        let next = match rng.below(3) {
            0 if compute => computing(&mut rng, &x, &a),
            // keep it small
            _ if a.len() > 1500 => Some(sliced(&mut rng, &x, &a)),
            _ => structural(&mut rng, &x, &a),
        };
        let Some((what, y, b)) = next else { continue };
        story.0 += &format!("\n  {what} -> {:?}", b.shape());
        match y.expr() {
            Ok(e) => assert_eq!(e.shape(), b.shape(), "{what}"),
            Err(e) => panic!("{what}: {e}"),
        }
        (x, a) = (y, b);
        done += 1;
        if rng.once_in(4) {
            x = rechunked(&x, &mut rng);
            story.0 += &format!("\n  rechunk {:?}", x.chunks().map(|g| g.to_string()));
        }
    }
    (story, x, a)
}

fn run_chains(seeds: std::ops::Range<u64>, compute: bool, dtype: impl Fn(u64) -> DType) {
    for seed in seeds {
        let length = 1 + (seed % 8) as usize;
        let d = dtype(seed);
        let (mut story, x, a) = chain(seed, length, compute, d);
        story.0 += &format!("\n  in {d}");
        let threads = [1, 2, 4][(seed % 3) as usize];
        let x = x.cast(I64);
        let got = session(threads).compute(&x).and_then(|b| b.into_array::<i64>());
        match got {
            Ok(got) if got == a => {}
            Ok(got) => panic!("got  {got}\nwant {a}\n{}", x.explain().unwrap_or_default()),
            Err(e) => panic!("{e}\n{}", x.explain().unwrap_or_default()),
        }
    }
}

#[test]
fn chains_of_views_and_gathers() {
    run_chains(0..1500, false, |seed| DType::ALL[seed as usize % 12]);
}

#[test]
fn chains_with_arithmetic_and_folds() {
    run_chains(10_000..11_500, true, |_| I64);
}

#[test]
fn several_outputs_of_one_chain_are_those_of_each_alone() {
    for seed in 20_000..20_200 {
        let (_story, x, a) = chain(seed, 4, true, I64);
        let doubled = &x * 2;
        let results = session(2).compute_all([&x, &doubled, &x.sum(..), &x.count_nonzero(..)]);
        let [same, twice, sum, nonzero] = results.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(same.into_array::<i64>().ok(), Some(a.clone()));
        assert_eq!(twice.into_array::<i64>().ok(), Some(a.mapv(|v| v.wrapping_mul(2))));
        assert_eq!(sum.to_scalar::<i64>().ok(), Some(a.fold(0i64, |s, v| s.wrapping_add(*v))));
        assert_eq!(nonzero.to_scalar::<i64>().ok(), Some(a.iter().filter(|v| **v != 0).count() as i64));
    }
}

#[test]
fn the_oracles_are_right_where_numpy_says_so() {
    // np.pad([0, 1, 2], (4, 4), mode)
    let at = |mode| (-4..7).map(|i| padded_index(mode, i, 3).unwrap_or(9)).collect::<Vec<_>>();
    assert_eq!(at(PadMode::Reflect), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
    assert_eq!(at(PadMode::Symmetric), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    assert_eq!(at(PadMode::Wrap), [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    // list(range(10))[8:-20:-3]
    assert_eq!(python_range(Some(8), Some(-20), -3, 10), [8, 5, 2]);
    assert_eq!(computed::<i64>(&Array::arange(0, 3, 1)).as_slice(), Some(&[0, 1, 2][..]));
}
