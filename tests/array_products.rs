//! Products of matrices against loops over the elements.

#[path = "common/property.rs"]
mod property;

use blockwise::prelude::*;
use property::cases;
use proptest::prelude::*;

/// The product, element by element in f64, of what is in C order: `(batch, m, k)` and `(batch, k, n)`.
fn naive(a: &[f64], b: &[f64], (batch, m, n, k): (usize, usize, usize, usize)) -> Vec<f64> {
    let mut out = vec![0.0; batch * m * n];
    for (at, sum) in out.iter_mut().enumerate() {
        let (s, i, j) = (at / (m * n), at / n % m, at % n);
        *sum = (0..k).map(|p| a[(s * m + i) * k + p] * b[(s * k + p) * n + j]).sum();
    }
    out
}

/// Numbers from -9 to 9 that differ from place to place.
fn some(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729 + i * i % 31) % 19) as f64 - 9.0).collect()
}

fn array(values: &[f64], shape: &[usize], chunks: &[usize], d: DType) -> Array {
    let shape: Vec<isize> = shape.iter().map(|&n| n as isize).collect();
    let whole: Vec<i64> = values.iter().map(|&x| x as i64).collect();
    let x = if d.is_float() { Array::from_vec(values.to_vec()) } else { Array::from_vec(whole) };
    x.reshape(&shape).cast(d).rechunk(chunks)
}

fn values(x: &Array) -> Vec<f64> {
    x.cast(F64).compute().unwrap().as_slice::<f64>().unwrap().to_vec()
}

/// Sums of small integers are exact in all floats but f16, whose results are rounded.
fn expected(sums: &[f64], d: DType) -> Vec<f64> {
    let back = Array::from_vec(sums.iter().map(|&x| x as i64).collect::<Vec<_>>());
    values(&back.cast(d))
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_shapes_and_chunks(
        (batch, m, n, k) in (1usize..4, 0usize..40, 0usize..40, 0usize..40),
        (cm, cn, ck) in (1usize..50, 1usize..50, 1usize..50),
        (turned_a, turned_b) in any::<(bool, bool)>(),
        d in prop::sample::select(DType::ALL.as_slice()),
    ) {
        let (x, y) = (some(batch * m * k, 1), some(batch * k * n, 2));
        let (x, y): (Vec<f64>, Vec<f64>) = match d {
            Bool => (x.iter().map(|v| f64::from(*v > 5.0)).collect(), y.iter().map(|v| f64::from(*v > 5.0)).collect()),
            _ => (x, y),
        };
        let mut a = array(&x, &[batch, m, k], &[1, cm, ck], d);
        let mut b = array(&y, &[batch, k, n], &[2, ck, cn], d);
        // stored the other way round
        if turned_a {
            a = a.swapaxes(1, 2).compute().map(Array::from_block).unwrap().swapaxes(1, 2);
        }
        if turned_b {
            b = b.swapaxes(1, 2).compute().map(Array::from_block).unwrap().swapaxes(1, 2);
        }
        let c = a.matmul(&b);
        prop_assert_eq!(c.dtype(), d);
        prop_assert_eq!(c.shape(), &[batch, m, n]);
        // modulo the size of unsigned integers, -1 is as good as the largest
        prop_assert_eq!(values(&c), expected(&naive(&x, &y, (batch, m, n, k)), d));
    }

    #[test]
    fn tensordot_of_any_axes(
        shape in prop::collection::vec(1usize..6, 3..=3),
        extra in prop::collection::vec(1usize..6, 1..=2),
        pick in prop::sample::subsequence(vec![0usize, 1, 2], 0..=3),
        chunk in 1usize..7,
        reversed in any::<bool>(),
    ) {
        let mut left: Vec<usize> = pick;
        if reversed { left.reverse(); }
        // the right array has the picked axes last, in the order of the pairs
        let right_shape: Vec<usize> = extra.iter().copied().chain(left.iter().map(|&k| shape[k])).collect();
        let right: Vec<isize> = (0..left.len()).map(|i| (extra.len() + i) as isize).collect();
        let (x, y) = (some(shape.iter().product(), 3), some(right_shape.iter().product(), 4));
        let a = array(&x, &shape, &[chunk; 3], F64);
        let b = array(&y, &right_shape, &vec![chunk; right_shape.len()], F64);
        let axes: Vec<isize> = left.iter().map(|&k| k as isize).collect();
        let c = a.tensordot(&b, (&axes, &right));
        let kept: Vec<usize> = (0..3).filter(|k| !left.contains(k)).collect();
        let order: Vec<isize> = kept.iter().chain(&left).map(|&k| k as isize).collect();
        let at: Vec<isize> = right.iter().copied().chain((0..extra.len()).map(|k| k as isize)).collect();
        let (m, n) = (kept.iter().map(|&k| shape[k]).product(), extra.iter().product());
        let k = left.iter().map(|&k| shape[k]).product();
        let wanted = naive(&values(&a.transpose(Some(&order))), &values(&b.transpose(Some(&at))), (1, m, n, k));
        let full: Vec<usize> = kept.iter().map(|&k| shape[k]).chain(extra).collect();
        prop_assert_eq!(c.shape(), full.as_slice());
        prop_assert_eq!(values(&c), wanted);
    }
}

#[test]
fn many_blocks_along_every_axis() {
    // more than one block of the result, several panels, ragged ends
    let (m, n, k) = (1100, 600, 5003);
    let (x, y) = (some(m * k, 5), some(k * n, 6));
    let a = array(&x, &[m, k], &[300, 700], F32);
    let b = array(&y, &[k, n], &[611, 256], F32);
    let got = values(&a.matmul(&b));
    let whole = array(&x, &[m, k], &[m, k], F64).matmul(&array(&y, &[k, n], &[k, n], F64));
    assert_eq!(got, values(&whole));
    for at in [0, 1, n - 1, 599 * n + 17, m * n - 1] {
        let (i, j) = (at / n, at % n);
        assert_eq!(got[at], (0..k).map(|p| x[i * k + p] * y[p * n + j]).sum::<f64>());
    }
}

#[test]
fn a_long_contracted_axis_is_summed_in_parts() {
    let k = 3_000_017;
    let x = some(k, 7);
    let a = array(&x, &[k], &[10_000], F32);
    let sum: f64 = x.iter().map(|v| v * v).sum();
    assert_eq!(values(&a.dot(&a)), [f64::from(sum as f32)]);
    let i = Array::from_vec(vec![true; 3_000_000]).rechunk(1000);
    assert_eq!(values(&i.dot(&i)), [1.0]);
    let b = Array::from_vec(vec![200u8; 1_000_000]).rechunk(1000);
    assert_eq!(values(&b.dot(&b)), [(40_000u64 * 1_000_000 % 256) as f64]);
}

#[test]
fn floats_are_as_near_as_runs_make_them() {
    let (m, n, k) = (37, 41, 3000);
    let value = |i: usize| ((i * 2_654_435_761) % 1_000_003) as f64 / 1_000_003.0 - 0.5;
    let x: Vec<f64> = (0..m * k).map(|i| value(i) as f32 as f64).collect();
    let y: Vec<f64> = (0..k * n).map(|i| value(i + 77) as f32 as f64).collect();
    let wanted = naive(&x, &y, (1, m, n, k));
    let abs = |v: &[f64]| v.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let size = naive(&abs(&x), &abs(&y), (1, m, n, k));
    for (d, eps) in [(F32, f32::EPSILON as f64), (F64, f64::EPSILON)] {
        let c = values(&array(&x, &[m, k], &[16, 1000], d).matmul(&array(&y, &[k, n], &[999, 20], d)));
        for ((got, wanted), size) in c.iter().zip(&wanted).zip(&size) {
            assert!((got - wanted).abs() <= 280.0 * eps * size, "{got} {wanted}");
        }
    }
}

#[test]
fn special_values_go_through() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for d in [F16, F32, F64] {
        let a = array(&[nan, 0.0, inf, 1.0, 0.0, 2.0], &[3, 2], &[3, 2], d);
        let b = array(&[1.0, 0.0, 1.0, 1.0], &[2, 2], &[2, 2], d);
        let got = values(&a.matmul(&b));
        assert!(got[0].is_nan() && got[1].is_nan() && got[3].is_nan());
        assert_eq!((got[2], got[4], got[5]), (inf, 2.0, 2.0));
    }
    // sums of f16 are those of f32, rounded at the end
    let many = Array::full(&[5000], 1.0f32).cast(F16);
    assert_eq!(values(&many.dot(&many)), [5000.0]);
}

#[test]
fn nothing_to_sum_is_zero() {
    let (a, b) = (Array::zeros(&[3, 0], F32), Array::zeros(&[0, 2], F32));
    assert_eq!(values(&a.matmul(&b)), [0.0; 6]);
    assert_eq!(values(&a.tensordot(&b, (&[1], &[0]))), [0.0; 6]);
    assert_eq!(b.matmul(&Array::zeros(&[2, 4], I8)).shape(), [0, 4]);
    let none = Array::zeros(&[0], I64);
    assert_eq!(values(&none.dot(&none)), [0.0]);
    assert!(values(&Array::zeros(&[0, 3, 2], F64).matmul(&Array::zeros(&[2, 4], F64))).is_empty());
}

#[test]
fn ranks_are_numpys() {
    let of = |shape: &[usize]| array(&some(shape.iter().product(), 1), shape, &vec![2; shape.len()], F64);
    let shape = |a: &[usize], b: &[usize]| of(a).matmul(&of(b)).check().unwrap().shape().to_vec();
    assert!(shape(&[4], &[4]).is_empty());
    assert_eq!(shape(&[4], &[4, 5]), [5]);
    assert_eq!(shape(&[3, 4], &[4]), [3]);
    assert_eq!(shape(&[4], &[2, 4, 5]), [2, 5]);
    assert_eq!(shape(&[2, 3, 4], &[4]), [2, 3]);
    assert_eq!(shape(&[7, 1, 3, 4], &[6, 4, 5]), [7, 6, 3, 5]);
    assert_eq!(shape(&[3, 4], &[6, 4, 5]), [6, 3, 5]);
    assert_eq!(of(&[2, 3, 4]).dot(&of(&[5, 4, 6])).shape(), [2, 3, 5, 6]);
    assert_eq!(of(&[2, 4]).inner(&of(&[3, 4])).shape(), [2, 3]);
    assert_eq!(of(&[2, 2]).outer(&of(&[3])).shape(), [4, 3]);
    assert_eq!(values(&of(&[2, 3]).vdot(&of(&[3, 2]))), values(&of(&[6]).dot(&of(&[6]))));
    // each of a batch is the product of its own
    let (a, b) = (of(&[3, 1, 4, 5]), of(&[2, 5, 3]));
    let c = a.matmul(&b);
    for (i, j) in [(0, 0), (1, 1), (2, 0)] {
        let one = a.slice(s![i, 0, .., ..]).matmul(&b.slice(s![j, .., ..]));
        assert_eq!(values(&c.slice(s![i, j, .., ..])), values(&one));
    }
    let (a, b) = (of(&[2, 3, 4]), of(&[5, 4, 2]));
    let one = a.slice(s![1, .., ..]).matmul(&b.slice(s![3, .., ..]));
    assert_eq!(values(&a.dot(&b).slice(s![1, .., 3, ..])), values(&one));
}

#[test]
fn dtypes_are_promoted() {
    let (a, b) = (Array::ones(&[2, 2], I32), Array::ones(&[2, 2], F32));
    assert_eq!(a.matmul(&b).dtype(), F64);
    assert_eq!(Array::ones(&[2, 2], U8).matmul(&Array::ones(&[2, 2], I8)).dtype(), I16);
    assert_eq!(values(&Array::full(&[2, 3], 100i8).matmul(&Array::full(&[3, 1], 3i8))), [-124.0, -124.0]);
}

#[test]
fn products_compose() {
    let x = some(90 * 90, 8);
    let a = array(&x, &[90, 90], &[40, 25], F64);
    let b = &a.matmul(&a) + &a.t();
    let wanted: Vec<f64> =
        naive(&x, &x, (1, 90, 90, 90)).iter().enumerate().map(|(i, s)| s + x[i % 90 * 90 + i / 90]).collect();
    assert_eq!(values(&b), wanted);
    // a product of products, twice used
    let c = b.matmul(&a.matmul(&a)).matmul(&b);
    let a2 = naive(&x, &x, (1, 90, 90, 90));
    let ba2 = naive(&wanted, &a2, (1, 90, 90, 90));
    assert_eq!(values(&c), naive(&ba2, &wanted, (1, 90, 90, 90)));
    // folded, sliced, seen through views
    let sum: f64 = wanted.iter().sum();
    assert_eq!(values(&b.sum(..)), [sum]);
    assert_eq!(values(&b.slice(s![5..9, 60..;7]))[0], wanted[5 * 90 + 60]);
    assert_eq!(values(&(&a.matmul(&a) - &a.matmul(&a).t()).slice(s![3, 7]))[0], a2[277] - a2[633]);
    let mean = b.mean(0);
    let centred = &b - &mean;
    assert!(values(&centred.mean(0)).iter().all(|m| m.abs() < 1e-6));
}

#[test]
fn a_long_chain_of_products() {
    let swap = Array::from_ndarray(ndarray::arr2(&[[0i64, 1], [1, 0]]));
    let mut x = Array::from_vec(vec![1i64, 2]);
    for _ in 0..301 {
        x = swap.matmul(&x);
    }
    assert_eq!(values(&x), [2.0, 1.0]);
}

#[test]
fn threads_and_memory_do_not_change_a_bit() {
    let n = 700;
    let x: Vec<f64> = (0..n * n).map(|i| ((i * 2_654_435_761) % 1_000_003) as f64 / 7.0).collect();
    let a = array(&x, &[n, n], &[130, 90], F32);
    let c = a.matmul(&a.t()).matmul(&a);
    let run = |threads: usize, limit: u64| {
        let session = Session::builder().threads(threads).memory_limit(limit).build().unwrap();
        session
            .compute(&c)
            .unwrap()
            .as_slice::<f32>()
            .unwrap()
            .iter()
            .map(|x| x.to_bits())
            .collect::<Vec<_>>()
    };
    let first = run(1, 1 << 30);
    assert_eq!(first, run(3, 1 << 30));
    assert_eq!(first, run(2, 24 << 20));
}

#[test]
fn errors_name_both_shapes() {
    let message = |x: Array| x.check().unwrap_err().to_string();
    let (a, b) = (Array::ones(&[3, 4], F32), Array::ones(&[3, 4], F32));
    let text = message(a.matmul(&b));
    assert!(text.contains("matmul") && text.contains("[3, 4]"), "{text}");
    let text = message(Array::ones(&[2, 3, 4], F32).matmul(&Array::ones(&[5, 4, 3], F32)));
    assert!(text.contains("[2]") && text.contains("[5]"), "{text}");
    let text = message(a.matmul(&Array::full(&[], 1.0f32)));
    assert!(text.contains("without axes"), "{text}");
    assert_eq!(values(&a.dot(&Array::full(&[], 2.0f32))), [2.0; 12]);
    let text = message(a.tensordot(&b, (&[0, 0], &[0, 1])));
    assert!(text.contains("twice"), "{text}");
    let text = message(a.tensordot(&b, (&[0], &[0, 1])));
    assert!(text.contains("1 axes of the left"), "{text}");
    message(a.tensordot(&b, (&[5], &[0])));
    let long = Array::zeros(&[1 << 40], F32);
    let text = message(long.tensordot(&long, (&[], &[])));
    assert!(text.contains("more elements than can be addressed"), "{text}");
}

#[test]
fn plans_show_products() {
    let a = Array::ones(&[300, 300], F32).rechunk(100);
    let plan = a.matmul(&a).explain().unwrap();
    assert!(plan.contains("product over 1 axes"), "{plan}");
}
