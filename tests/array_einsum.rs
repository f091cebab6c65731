//! `einsum` against loops over the names of axes.

#[path = "common/property.rs"]
mod property;

use blockwise::array::einsum;
use blockwise::prelude::*;
use property::cases;
use proptest::prelude::*;

const NAMES: [char; 4] = ['a', 'b', 'c', 'D'];

/// Names of axes, lengths, and elements in C order.
#[derive(Clone, Debug)]
struct Named {
    names: Vec<char>,
    shape: Vec<usize>,
    values: Vec<i64>,
}

/// The sum of products, by loops over the places of all names; bools are the `or` of `and`s.
fn naive(arrays: &[Named], output: &[char], bools: bool) -> Vec<i64> {
    let longest = |name: char| {
        let own = arrays.iter().flat_map(|a| a.names.iter().zip(&a.shape)).filter(|(n, _)| **n == name);
        own.map(|(_, length)| *length).find(|n| *n != 1).unwrap_or(1)
    };
    let others =
        NAMES.into_iter().filter(|n| !output.contains(n) && arrays.iter().any(|a| a.names.contains(n)));
    let names: Vec<char> = output.iter().copied().chain(others).collect();
    let lengths: Vec<usize> = names.iter().map(|n| longest(*n)).collect();
    let inner: usize = lengths[output.len()..].iter().product();
    let mut out = vec![0i64; lengths[..output.len()].iter().product()];
    for point in 0..lengths.iter().product() {
        let mut rest = point;
        let mut at = vec![0; names.len()];
        for k in (0..names.len()).rev() {
            at[k] = rest % lengths[k];
            rest /= lengths[k];
        }
        let element = |a: &Named| {
            let place = a.names.iter().zip(&a.shape).fold(0, |place, (name, &n)| {
                let k = names.iter().position(|other| other == name).expect("it is there");
                place * n + if n == 1 { 0 } else { at[k] }
            });
            a.values[place]
        };
        let product: i64 = arrays.iter().map(element).product();
        let sum = &mut out[point / inner];
        *sum = if bools { *sum | product } else { *sum + product };
    }
    out
}

fn array(of: &Named, chunk: usize, d: DType) -> Array {
    let shape: Vec<isize> = of.shape.iter().map(|&n| n as isize).collect();
    let chunks = vec![chunk; shape.len()];
    Array::from_vec(of.values.clone()).reshape(&shape).cast(d).rechunk(&chunks[..])
}

/// Up to three arrays with up to three axes each: axes of one name are equally long, or now and then 1.
fn arrays() -> impl Strategy<Value = Vec<Named>> {
    let lengths = prop::collection::vec(prop_oneof![9 => 1usize..5, 1 => Just(0)], 4);
    let names = prop::collection::vec(prop::collection::vec(0usize..4, 0..=3), 1..=3);
    let short = prop::collection::vec(prop::bool::weighted(0.1), 12);
    (lengths, names, short, any::<u32>()).prop_map(|(lengths, all, short, seed)| {
        let one = |(n, own): (usize, Vec<usize>)| {
            // a name twice is a diagonal: both axes are short, or none
            let shape: Vec<usize> =
                own.iter().map(|&k| if short[4 * n + k] { 1 } else { lengths[k] }).collect();
            let value =
                |i: usize| ((i * 7919 + n * 104_729 + seed as usize % 97 + i * i % 31) % 7) as i64 - 3;
            let values = (0..shape.iter().product()).map(value).collect();
            Named { names: own.iter().map(|&k| NAMES[k]).collect(), shape, values }
        };
        all.into_iter().enumerate().map(one).collect()
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_names_axes_and_chunks(
        named in arrays(),
        order in Just(NAMES.to_vec()).prop_shuffle(),
        keep in prop::collection::vec(any::<bool>(), 4),
        implicit in any::<bool>(),
        chunk in 1usize..5,
        d in prop::sample::select(DType::ALL.as_slice()),
    ) {
        let bools = d == Bool;
        let mut named = named;
        for a in &mut named {
            let all = a.values.iter().map(|x| if bools { i64::from(*x > 0) } else { *x });
            a.values = all.collect();
        }
        let times = |name: char| named.iter().flat_map(|a| &a.names).filter(|n| **n == name).count();
        let output: Vec<char> = match implicit {
            true => ['D', 'a', 'b', 'c'].into_iter().filter(|n| times(*n) == 1).collect(),
            false => order.iter().zip(&keep).filter(|(n, keep)| **keep && times(**n) > 0).map(|(n, _)| *n).collect(),
        };
        let text = |names: &[char]| names.iter().collect::<String>();
        let inputs: Vec<String> = named.iter().map(|a| text(&a.names)).collect();
        let mut subscripts = inputs.join(", ");
        if !implicit {
            subscripts += &format!(" -> {}", text(&output));
        }
        let given: Vec<Array> = named.iter().map(|a| array(a, chunk, d)).collect();
        let got = einsum(&subscripts, &given);
        let want = Array::from_vec(naive(&named, &output, bools)).cast(d).cast(F64).compute().unwrap();
        prop_assert_eq!(got.dtype(), d);
        prop_assert_eq!(got.ndim(), output.len());
        let got = got.cast(F64).compute().unwrap();
        prop_assert_eq!(got.as_slice::<f64>().unwrap(), want.as_slice::<f64>().unwrap(), "{}", subscripts);
    }
}

fn values(x: &Array) -> Vec<f64> {
    x.cast(F64).compute().unwrap().as_slice::<f64>().unwrap().to_vec()
}

#[test]
fn an_ellipsis_stands_for_axes_that_broadcast() {
    let a = (Array::arange(0, 2 * 3 * 4 * 5, 1) % 7).reshape(&[2, 3, 4, 5]).rechunk([1, 2, 3, 4]);
    let b = (Array::arange(0, 3 * 5 * 6, 1) % 5).reshape(&[3, 5, 6]);
    for (subscripts, arrays, want) in [
        ("...ij,...jk->...ik", vec![a.clone(), b.clone()], a.matmul(&b)),
        ("...ij,...jk", vec![a.clone(), b.clone()], a.matmul(&b)),
        ("i...->...i", vec![a.clone()], a.moveaxis(0, -1)),
        ("...i->...", vec![a.clone()], a.cast(F64).sum(-1).cast(I64)),
        ("j...i->i...j", vec![a.clone()], a.swapaxes(0, -1)),
        ("...,...", vec![a.clone(), Array::full(&[], 3i64)], &a * 3),
        ("...->...", vec![a.clone()], a.clone()),
        ("ba", vec![b.slice(s![0, .., ..])], b.slice(s![0, .., ..]).t()),
        ("...ii->...i", vec![a.slice(s![.., .., .., ..4])], a.slice(s![.., .., .., ..4]).diagonal(0)),
        ("ii", vec![b.slice(s![0, .., ..5])], b.slice(s![0, .., ..5]).trace(0)),
    ] {
        let got = einsum(subscripts, &arrays);
        assert_eq!(got.shape(), want.shape(), "{subscripts}");
        assert_eq!(values(&got), values(&want), "{subscripts}");
    }
}

#[test]
fn chains_and_dtypes() {
    let matrix = |rows: usize, cols: usize, k: i64| {
        (Array::arange(0, (rows * cols) as i64, 1) * k % 11 - 5).reshape(&[rows as isize, cols as isize])
    };
    let (a, b, c) = (matrix(30, 40, 3), matrix(40, 50, 7), matrix(50, 20, 5));
    let all = [a.cast(F32), b.cast(F32).rechunk([7, 50]), c.cast(F32)];
    let want = values(&all[0].matmul(&all[1]).matmul(&all[2]));
    assert_eq!(values(&einsum("ij,jk,kl->il", &all)), want);
    // the least that holds both
    assert_eq!(einsum("i,i->i", &[Array::ones(&[2], I8), Array::ones(&[2], U8)]).dtype(), I16);
    // products of halves are summed as they are: 300 * 300 is more than the largest
    let half = |x: f32, y: f32| Array::from_vec(vec![x, y]).cast(F16);
    assert_eq!(values(&einsum("i,i->", &[half(300.0, 300.0), half(300.0, -300.0)])), [0.0]);
    // sums that wrap
    let many = Array::full(&[300], 100u8);
    assert_eq!(values(&einsum("i->", &[many])), [(300 * 100 % 256) as f64]);
}

#[test]
fn wrong_subscripts_are_errors_that_say_why() {
    let (x, y) = (Array::ones(&[2, 3], F64), Array::ones(&[4], F64));
    for (subscripts, arrays, why) in [
        ("ij,j->i", vec![x.clone(), y.clone()], "'j' have 3 and 4"),
        ("ii->i", vec![x.clone()], "'i' have 2 and 3"),
        ("ij->i", vec![x.clone(), y.clone()], "2 arrays are given, 1 are named"),
        ("ijk->i", vec![x.clone()], "array 0 has 2 axes"),
        ("i->i", vec![x.clone()], "array 0 has 2 axes"),
        ("ij->ik", vec![x.clone()], "'k', no array has"),
        ("ij->ii", vec![x.clone()], "'i' twice"),
        ("i1->i", vec![x.clone()], "'1' is no letter"),
        ("i..->i", vec![x.clone()], "'.' is no letter"),
        ("i...j...->i", vec![x.clone()], "'.' is no letter"),
        ("ij->i->j", vec![x.clone()], "'-' is no letter"),
        ("i...->i", vec![x.clone()], "no ellipsis"),
        ("", vec![], "0 arrays are given, 1 are named"),
        // that of an array comes first
        ("ij,k", vec![x.clone(), y.slice(s![.., 0])], ""),
    ] {
        let array = einsum(subscripts, &arrays);
        let e = array.check().expect_err(subscripts).to_string();
        assert!(e.contains(why) && e.contains("array_einsum.rs"), "{subscripts}: {e}");
    }
}
