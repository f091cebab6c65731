//! Folds of rows and columns, merges, and that their bits do not depend on the instruction set.

use super::*;
use crate::naive;
use crate::op::ReduceOp;
use crate::tile::{self, Isa, Panel, Place};

/// Planes of `n` accumulators, empty.
struct Planes {
    dtypes: Vec<DType>,
    memory: Vec<Vec<u64>>,
    n: usize,
}

impl Planes {
    fn new(op: ReduceOp, d: DType, n: usize) -> Planes {
        let dtypes = op.planes(d);
        let memory = dtypes.iter().map(|d| room(*d, n)).collect();
        let mut planes = Planes { dtypes, memory, n };
        // SAFETY: room for `n` accumulators.
        unsafe { tile::init(op, d, &planes.pointers(), n) };
        planes
    }

    fn pointers(&mut self) -> [*mut u8; 3] {
        let mut p = [std::ptr::null_mut(); 3];
        for (p, m) in p.iter_mut().zip(&mut self.memory) {
            *p = m.as_mut_ptr().cast();
        }
        p
    }

    fn strides(&self) -> [isize; 3] {
        let mut s = [0; 3];
        for (s, d) in s.iter_mut().zip(&self.dtypes) {
            *s = d.size() as isize;
        }
        s
    }

    fn get(&self, i: usize) -> Vec<Scalar> {
        self.dtypes.iter().zip(&self.memory).map(|(d, m)| taken(*d, m, self.n)[i]).collect()
    }
}

/// Whether the order of the elements shows in the result, where they are floats.
fn is_sum(op: ReduceOp) -> bool {
    use ReduceOp::*;
    matches!(op, Sum | NanSum | Prod | M2 | NanM2)
}

/// Whether a fold is what the definition says: floats within the rounding of `n` sums of numbers up to `scale`.
fn matches(op: ReduceOp, got: &[Scalar], want: &[Scalar], n: usize, scale: f64) -> bool {
    let plane = op.result_plane();
    let (a, b) = (got[plane], want[plane]);
    let rounds = is_sum(op) && a.dtype() == DType::F64;
    let off = (a.as_f64() - b.as_f64()).abs();
    let allowed = match op {
        ReduceOp::Prod => b.as_f64().abs(),
        ReduceOp::Sum | ReduceOp::NanSum => scale,
        _ => b.as_f64().abs() + 1e-3 * scale * scale / n.max(1) as f64,
    };
    same_number(a, b) || rounds && off <= (n + 8) as f64 * 1.2e-16 * allowed
}

fn sample(op: ReduceOp, d: DType, n: usize, seed: u64) -> Vec<Scalar> {
    let mut all = values(d, n, seed);
    if is_sum(op) && d.is_float() {
        // sums of anything are mostly NaN; leave infinities to few seeds
        for (i, s) in all.iter_mut().enumerate() {
            let keep_nan =
                is_nan(*s) && (matches!(op, ReduceOp::NanM2 | ReduceOp::NanSum) || seed.is_multiple_of(5));
            let size = s.as_f64().abs();
            if !keep_nan && (is_nan(*s) || size > 1e3 || op == ReduceOp::Prod && size < 1e-3) {
                *s = Scalar::from(1.0 + i as f64 % 7.0 / 8.0).cast(d);
            }
        }
    }
    if seed.is_multiple_of(3) {
        // all NaN, or all equal
        all.iter_mut().take(n / 2).for_each(|s| *s = Scalar::from(f64::NAN).cast(d));
    }
    all
}

#[test]
fn rows_and_columns() {
    let shapes = [(1, 1), (3, 5), (2, 31), (4, 64), (1, 257), (9, 40), (0, 3), (3, 0), (33, 3)];
    for (d, &op) in DType::ALL.iter().flat_map(|d| ReduceOp::ALL.iter().map(move |op| (*d, op))) {
        if !op.accepts(d) {
            continue;
        }
        for ((rows, cols), seed) in shapes.into_iter().zip(1..) {
            let pad = 2;
            let x = sample(op, d, rows * (cols + pad), seed);
            let at = |r: usize, c: usize| x[r * (cols + pad) + c];
            let memory = placed(&x);
            let panel = Panel { rows, cols, row_stride: ((cols + pad) * d.size()) as isize };
            let place = Place { start: 1000, row_step: 500, col_step: 2 };
            let mut bits: Vec<Vec<Scalar>> = Vec::new();
            for isa in Isa::available() {
                let mut all = Vec::new();
                let check = |got: Vec<Scalar>, elements: Vec<(Scalar, i64)>, what: &str| {
                    let mut want = naive::fold::init(op, d);
                    elements.iter().for_each(|(x, i)| naive::fold::push(op, &mut want, *x, *i));
                    let scale = elements.iter().map(|e| e.0.as_f64().abs()).filter(|x| !x.is_nan()).sum();
                    let ok = matches(op, &got, &want, elements.len(), scale);
                    assert!(
                        ok,
                        "{isa:?} {op} {d} {what} {rows}x{cols}: {got:?}, not {want:?} of {elements:?}"
                    );
                };
                let index = |r: usize, c: usize| 1000 + 500 * r as i64 + 2 * c as i64;

                // each row into its own accumulator, twice in halves
                let mut planes = Planes::new(op, d, rows);
                let f = tile::fold_rows(isa, op, d);
                // SAFETY: the panel lies in `memory`, there is an accumulator for each row.
                unsafe { f(memory.as_ptr().cast(), panel, &planes.pointers(), &planes.strides(), place) };
                for r in 0..rows {
                    check(planes.get(r), (0..cols).map(|c| (at(r, c), index(r, c))).collect(), "rows");
                    all.extend(planes.get(r));
                }
                // all into one, in two steps, the later rows first
                let mut planes = Planes::new(op, d, 1);
                let top = rows / 2;
                // SAFETY: as above; all rows into one accumulator.
                unsafe {
                    let low = Place { start: index(top, 0), ..place };
                    let x = memory.as_ptr().cast::<u8>();
                    let from = x.offset(top as isize * panel.row_stride);
                    f(from, Panel { rows: rows - top, ..panel }, &planes.pointers(), &[0; 3], low);
                    f(x, Panel { rows: top, ..panel }, &planes.pointers(), &[0; 3], place);
                };
                let order = (top..rows).chain(0..top);
                let elements = order.flat_map(|r| (0..cols).map(move |c| (r, c)));
                check(planes.get(0), elements.map(|(r, c)| (at(r, c), index(r, c))).collect(), "all");
                all.extend(planes.get(0));

                // columns, in two steps, and as two folds merged
                let mut planes = Planes::new(op, d, cols);
                let mut other = Planes::new(op, d, cols);
                let f = tile::fold_cols(isa, op, d);
                // SAFETY: as above; an accumulator for each column.
                unsafe {
                    let low = Place { start: index(top, 0), ..place };
                    let x = memory.as_ptr().cast::<u8>();
                    let from = x.offset(top as isize * panel.row_stride);
                    f(x, Panel { rows: top, ..panel }, &planes.pointers(), place);
                    f(from, Panel { rows: rows - top, ..panel }, &other.pointers(), low);
                    tile::merge(op, d)(&planes.pointers(), &other.pointers(), cols);
                };
                for c in 0..cols {
                    check(planes.get(c), (0..rows).map(|r| (at(r, c), index(r, c))).collect(), "columns");
                    all.extend(planes.get(c));
                }
                bits.push(all);
            }
            for other in &bits[1..] {
                let equal = other.iter().zip(&bits[0]).all(|(a, b)| same_number(*a, *b));
                assert!(equal, "{op} {d} {rows}x{cols} differs between instruction sets");
            }
        }
    }
}

/// Every set of reductions that can share a walk yields, bit for bit, what each of them yields alone.
#[test]
fn joint_folds() {
    use ReduceOp::*;
    for (d, family) in [DType::F32, DType::F64]
        .into_iter()
        .flat_map(|d| [(d, vec![Sum, M2, Min, Max]), (d, vec![NanSum, Count, NanM2, Fmin, Fmax])])
    {
        for (set, (rows, cols)) in (1..1usize << family.len())
            .flat_map(|set| [(1, 300), (3, 5), (5, 70), (33, 40)].map(|shape| (set, shape)))
        {
            let ops: Vec<ReduceOp> =
                family.iter().enumerate().filter(|(k, _)| set >> k & 1 == 1).map(|(_, op)| *op).collect();
            let x = placed(&sample(Min, d, rows * cols, (set % 7) as u64 + 1));
            let x = x.as_ptr().cast::<u8>();
            let panel = Panel { rows, cols, row_stride: (cols * d.size()) as isize };
            let place = Place { start: 0, row_step: 0, col_step: 0 };
            let n = rows.max(cols);
            for isa in Isa::available() {
                let (by_row, by_col) = tile::joint(isa, &ops, d);
                let mut alone: Vec<[Planes; 2]> =
                    ops.iter().map(|op| [Planes::new(*op, d, n), Planes::new(*op, d, n)]).collect();
                let mut together: Vec<[Planes; 2]> =
                    ops.iter().map(|op| [Planes::new(*op, d, n), Planes::new(*op, d, n)]).collect();
                // twice: into accumulators that are empty, and into those that are not
                for _ in 0..2 {
                    for way in 0..2 {
                        let mut planes = [std::ptr::null_mut(); tile::PLANES];
                        let mut strides = [0; tile::PLANES];
                        for (op, own) in ops.iter().zip(&mut together) {
                            let first = tile::shared(*op, d).expect("of a family").0;
                            let count = op.planes(d).len();
                            planes[first..first + count].copy_from_slice(&own[way].pointers()[..count]);
                            strides[first..first + count].copy_from_slice(&own[way].strides()[..count]);
                        }
                        // SAFETY: the panel is in memory, with an accumulator for each row and column.
                        unsafe {
                            match way {
                                0 => by_row(x, panel, &planes, &strides, place),
                                _ => by_col(x, panel, &planes, place),
                            }
                        }
                        for (op, own) in ops.iter().zip(&mut alone) {
                            let (planes, strides) = (own[way].pointers(), own[way].strides());
                            // SAFETY: as above.
                            unsafe {
                                match way {
                                    0 => tile::fold_rows(isa, *op, d)(x, panel, &planes, &strides, place),
                                    _ => tile::fold_cols(isa, *op, d)(x, panel, &planes, place),
                                }
                            }
                        }
                    }
                }
                for (op, (a, b)) in ops.iter().zip(alone.iter().zip(&together)) {
                    for i in 0..n {
                        let same = |way: usize| {
                            a[way].get(i).iter().zip(b[way].get(i)).all(|(a, b)| same_number(*a, b))
                        };
                        assert!(same(0) && same(1), "{isa:?} {op} {d} of {ops:?}, {rows}x{cols}, place {i}");
                    }
                }
            }
        }
    }
}

/// Moments of numbers far from zero and close together, of equal ones, and with infinities.
#[test]
fn moments_far_from_zero() {
    let place = Place { start: 0, row_step: 0, col_step: 0 };
    let noise = |i: usize| ((i * 7919) % 1009) as f64 / 1009.0;
    let sets: [(DType, Vec<f64>); 5] = [
        (DType::F32, (0..5000).map(|i| f64::from((1e6 + noise(i)) as f32)).collect()),
        (DType::F64, (0..5000).map(|i| 1e9 + noise(i)).collect()),
        (DType::F64, (0..5000).map(|i| if i == 0 { -1e7 } else { 1e9 + noise(i) }).collect()),
        (DType::F64, vec![0.1; 4099]),
        (DType::F32, vec![f64::from(1e-3f32); 37]),
    ];
    for (d, x) in sets {
        let n = x.len() as f64;
        // exact to more digits than are compared: deviations from a number in the middle
        let middle = x[x.len() / 2];
        let off: f64 = x.iter().map(|x| x - middle).sum::<f64>() / n;
        let want: f64 = x.iter().map(|x| (x - middle - off) * (x - middle - off)).sum();
        let memory = placed(&x.iter().map(|x| Scalar::from(*x).cast(d)).collect::<Vec<_>>());
        let from = |i: usize| memory.as_ptr().cast::<u8>().wrapping_add(i * d.size());
        for (isa, op) in Isa::available().into_iter().flat_map(|i| [(i, ReduceOp::M2), (i, ReduceOp::NanM2)])
        {
            let mut planes = Planes::new(op, d, 1);
            for first in (0..x.len()).step_by(1024) {
                let cols = 1024.min(x.len() - first);
                let panel = Panel { rows: 1, cols, row_stride: 0 };
                // SAFETY: the panel is in memory.
                unsafe {
                    tile::fold_rows(isa, op, d)(from(first), panel, &planes.pointers(), &[0; 3], place)
                };
            }
            let got = planes.get(0)[0].as_f64();
            assert!((got - want).abs() <= 1e-10 * want, "{isa:?} {op} {d}: {got}, not {want}");
            let mut planes = Planes::new(op, d, 1);
            let panel = Panel { rows: x.len(), cols: 1, row_stride: d.size() as isize };
            // SAFETY: as above.
            unsafe { tile::fold_cols(isa, op, d)(from(0), panel, &planes.pointers(), place) };
            let got = planes.get(0)[0].as_f64();
            assert!((got - want).abs() <= 1e-10 * want, "{isa:?} {op} {d} columns: {got}, not {want}");
        }
    }
}
