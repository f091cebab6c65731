//! Graphs to bytes and back; damaged bytes.

use super::super::scratch::Scratch;
use super::encode::seal;
use super::{MAGIC, decode, encode, version};
use crate::array::over_blocks;
use crate::cluster::layout::Layout;
use crate::expr::register_function;
use crate::io::zarr::{WriteOptions, ZarrSink};
use crate::meta::Meta;
use crate::plan::{Destination, Target, lower};
use crate::prelude::*;
use std::sync::Arc;

const LIMIT: u64 = 64 << 20;

/// Graphs that use every kind of node.
fn graphs() -> Vec<Vec<Array>> {
    let _ = register_function("tripled", |_, b| Ok(Block::from_array(b[0].view::<f64>()?.mapv(|v| 3.0 * v))));
    let x = Array::arange(0, 60, 1).cast(F64).reshape(&[6, 10]).rechunk([2, 5]);
    let small = Array::from_ndarray(ndarray::arr2(&[[1.5f32, -0.0], [f32::NAN, 4.0]]));
    let flags = x.gt(30.0);
    vec![
        vec![&x + 1.0, x.sqrt().mean(..)],
        vec![(&x - x.mean(0)) / x.std(0), x.max(1), x.argmin(..)],
        vec![
            &x.slice(s![.., ..6]) + &x.slice(s![.., ..6]).transpose(None),
            x.pad(&[(1, 0), (0, 4)], PadMode::Edge),
        ],
        vec![where_(&flags, &x, -&x), flags.any(..)],
        vec![concatenate(&[x.clone(), x.slice(s![..;2, ..])], 0).rechunk([4, 3]), x.take(&[3, 0, 3], 1)],
        vec![x.cumsum(0), x.reshape(&[60]).slice(s![3..;7]), small.clone() * 2.0f32, small.isnan()],
        vec![over_blocks(&[&x]).apply_registered("tripled").sum(..)],
        vec![x.matmul(&x.t()) + 1.0, x.tensordot(&x.rechunk([6, 3]), (&[0, 1], &[0, 1]))],
        vec![x.mul_add(&x, &x), x.flip(Some(0)).roll(2, 1), Array::full(&[3, 3], 7i16)],
        vec![Generator::new(1).random(&[6, 10], F32) + &x, Generator::new(2).bits(&[])],
    ]
}

fn targets(arrays: &[Array]) -> Vec<Target> {
    let target = |a: &Array| Target { expr: a.expr().unwrap().clone(), destination: Destination::Memory };
    arrays.iter().map(target).collect()
}

#[test]
fn graphs_come_back_and_are_planned_alike() {
    for arrays in graphs() {
        let targets = targets(&arrays);
        let bytes = encode(&targets, LIMIT, 7, &mut Scratch::below(None)).unwrap().bytes;
        let job = decode(&bytes).unwrap();
        assert_eq!((job.limit, job.shards), (LIMIT, 7));
        assert_eq!(
            encode(&job.targets, LIMIT, 7, &mut Scratch::below(None)).unwrap().bytes,
            bytes,
            "{arrays:?}"
        );
        let (here, there) = (lower(&targets, LIMIT).unwrap(), lower(&job.targets, LIMIT).unwrap());
        assert_eq!(here.to_string(), there.to_string());
    }
}

#[test]
fn a_chain_longer_than_the_stack_is_deep_comes_back() {
    let mut x = Array::arange(0, 4, 1);
    for _ in 0..100_000 {
        x = x + 1;
    }
    let bytes = encode(&targets(&[x]), LIMIT, 1, &mut Scratch::below(None)).unwrap().bytes;
    assert_eq!(decode(&bytes).unwrap().targets.len(), 1);
}

#[test]
fn files_travel_by_address_and_are_noticed_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zarr");
    let x = Array::arange(0, 60, 1).cast(F64).reshape(&[6, 10]).rechunk([2, 5]);
    x.write_zarr(&path).unwrap();
    let opened = open(&path).unwrap();
    let sink = ZarrSink::create(
        dir.path().join("y.zarr"),
        &[6, 10],
        F64,
        &[3, 5],
        &Meta::default(),
        WriteOptions::default(),
    );
    let target = Target {
        expr: opened.expr().unwrap().clone(),
        destination: Destination::Sink(Arc::new(sink.unwrap())),
    };
    let targets = [target];
    let bytes = encode(&targets, LIMIT, 2, &mut Scratch::below(None)).unwrap().bytes;
    assert!(bytes.len() < 1000, "{}", bytes.len());
    let job = decode(&bytes).unwrap();
    let Destination::Sink(sink) = &job.targets[0].destination else { panic!("no sink") };
    assert_eq!(sink.grid().max_block().as_slice(), [3, 5]);
    std::fs::write(path.join("zarr.json"), std::fs::read_to_string(path.join("zarr.json")).unwrap() + " ")
        .unwrap();
    assert!(decode(&bytes).unwrap_err().to_string().contains("changed"));
}

#[test]
fn what_no_worker_could_have_is_an_error_that_names_it() {
    let x = Array::arange(0, 10, 1).map_blocks(I64, |b| Ok(b.clone()));
    let e = encode(&targets(&[x]), LIMIT, 1, &mut Scratch::below(None)).unwrap_err();
    assert!(e.to_string().contains("map_blocks") && e.to_string().contains("register"), "{e}");
    let big = Array::from_ndarray(ndarray::Array1::<u8>::zeros(super::MOST_IN_MEMORY + 1));
    let e = encode(&targets(&[big + 1u8]), LIMIT, 1, &mut Scratch::below(None)).unwrap_err();
    assert!(e.to_string().contains("in memory") && e.to_string().contains("BLOCKWISE_SCRATCH"), "{e}");
}

#[test]
fn large_arrays_in_memory_are_put_where_workers_see_them() {
    let dir = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    let mut scratch = Scratch::below(Some(dir.path().to_owned()));
    let values = ndarray::Array2::from_shape_fn((3, 1 << 20), |(r, c)| (r * 31 + c) as f64);
    let big = Array::from_ndarray(values).rechunk([2, 300_000]);
    let flags = Array::from_ndarray(ndarray::Array1::from_shape_fn((16 << 20) + 1, |i| i % 3 == 0));
    let small = Array::from_ndarray(ndarray::arr1(&[1u8, 2]));
    let arrays = [big.transpose(None) * 2.0, flags.any(..), small + 1u8];
    let bytes = encode(&targets(&arrays), LIMIT, 3, &mut scratch).unwrap().bytes;
    assert!(bytes.len() < 4096 && files() == 1, "{} bytes", bytes.len());
    let session = crate::Session::builder().memory_limit(LIMIT).build().unwrap();
    let job = decode(&bytes).unwrap();
    for (array, target) in arrays.iter().zip(&job.targets) {
        assert_eq!(target.expr.grid(), array.expr().unwrap().grid());
        let far = Array::from_expr(Ok(target.expr.clone()), Default::default());
        let (far, near) = (session.compute(&far).unwrap(), session.compute(array).unwrap());
        assert_eq!(far.to_contiguous().bytes(), near.to_contiguous().bytes());
    }
    drop(job);
    drop(scratch);
    assert_eq!(files(), 0);
    assert!(decode(&bytes).unwrap_err().to_string().contains("0.npy"));
    let missing = &mut Scratch::below(Some(dir.path().join("nowhere")));
    assert!(encode(&targets(&arrays), LIMIT, 3, missing).unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn other_versions_and_damage_are_refused() {
    let bytes = encode(&targets(&graphs()[0]), LIMIT, 1, &mut Scratch::below(None)).unwrap().bytes;
    for n in 0..bytes.len() {
        assert!(decode(&bytes[..n]).is_err());
        let mut spoilt = bytes.clone();
        spoilt[n] ^= 1;
        assert!(decode(&spoilt).is_err(), "byte {n}");
    }
    let mut other = bytes.clone();
    other[9] = b'9';
    let e = decode(&sealed(other)).unwrap_err();
    assert!(e.to_string().contains("version"), "{e}");
}

/// Bytes with a checksum that matches whatever they are.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[8..]).to_le_bytes();
    bytes[4..8].copy_from_slice(&crc);
    bytes
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let header = MAGIC.len() + 4 + 1 + version().len();
    let mut numbers = Numbers(20);
    let (mut refused, mut taken) = (0, 0);
    for arrays in graphs() {
        let good = encode(&targets(&arrays), LIMIT, 3, &mut Scratch::below(None)).unwrap().bytes;
        for _ in 0..1500 {
            let mut bytes = good.clone();
            for _ in 0..1 + numbers.below(4) {
                let at = header + numbers.below(bytes.len() - header);
                match numbers.below(4) {
                    0 => bytes[at] ^= 1 << numbers.below(8),
                    1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
                    2 => bytes.truncate(at.max(header + 1)),
                    _ => bytes.insert(at, numbers.below(256) as u8),
                }
            }
            match decode(&sealed(bytes)) {
                Ok(job) => {
                    taken += 1;
                    // what is taken is a sound graph: it can be planned, or is refused
                    let _ = Layout::new(0, &job.targets, &job.by_workers, LIMIT, 3);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1000 && taken > 100, "{refused} refused, {taken} taken");
}

#[test]
fn a_form_of_nothing_is_refused() {
    let empty = super::form::JobForm { limit: 1, shards: 0, sources: vec![], nodes: vec![], targets: vec![] };
    assert!(decode(&seal(MAGIC, &empty).unwrap()).unwrap_err().to_string().contains("no targets"));
}
