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

/// Whether a fold is what the definition says: floats within the rounding of `n` sums of numbers up to `scale`.
fn matches(op: ReduceOp, got: &[Scalar], want: &[Scalar], n: usize, scale: f64) -> bool {
    let plane = op.result_plane();
    let (a, b) = (got[plane], want[plane]);
    let rounds = matches!(op, ReduceOp::Sum | ReduceOp::Prod | ReduceOp::M2 | ReduceOp::NanM2)
        && a.dtype() == DType::F64;
    let off = (a.as_f64() - b.as_f64()).abs();
    let allowed = match op {
        ReduceOp::Prod => b.as_f64().abs(),
        ReduceOp::Sum => scale,
        _ => b.as_f64().abs() + 1e-3 * scale * scale / n.max(1) as f64,
    };
    same_number(a, b) || rounds && off <= (n + 8) as f64 * 1.2e-16 * allowed
}

fn sample(op: ReduceOp, d: DType, n: usize, seed: u64) -> Vec<Scalar> {
    let mut all = values(d, n, seed);
    let sums = matches!(op, ReduceOp::Sum | ReduceOp::Prod | ReduceOp::M2 | ReduceOp::NanM2);
    if sums && d.is_float() {
        // sums of anything are mostly NaN; leave infinities to few seeds
        for (i, s) in all.iter_mut().enumerate() {
            let keep_nan = is_nan(*s) && (op == ReduceOp::NanM2 || seed.is_multiple_of(5));
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
