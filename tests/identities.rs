//! What the builder simplifies gives what the plain instructions give, for every operation, dtype and value that matters.

use blockwise::dtype::{DType, DType::*, Scalar};
use blockwise::ir::{Builder, Inst, Kernel, Root, Value};
use blockwise::op::{BinaryOp, CompareOp, UnaryOp};
use blockwise::shape::IndexMap;
use blockwise_kernels::naive;

/// Values of a dtype at which identities break if they do.
fn samples(d: DType) -> Vec<Scalar> {
    let floats =
        [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-8];
    let ints = [0, 1, 2, 3, 7, 100, 255, 32767, -1, -2, -128, i64::MIN, i64::MAX, 1 << 53 | 1];
    let mut out: Vec<Scalar> = match d.is_float() {
        true => floats.iter().map(|&x| Scalar::from(x).cast(d)).collect(),
        false => ints.iter().map(|&x| Scalar::from(x).cast(d)).collect(),
    };
    if d.is_integer() {
        // its own ends
        let signed = Scalar::from(-1i8).cast(d).as_f64() < 0.0;
        let bits = d.size() * 8;
        out.extend(signed.then(|| Scalar::from_bits(d, 1 << (bits - 1))));
        out.push(Scalar::from_bits(d, u64::MAX >> (64 - bits + usize::from(signed))));
    }
    out
}

/// Equal bits, or both NaN.
fn same(a: Scalar, b: Scalar) -> bool {
    a == b || a.dtype() == b.dtype() && a.as_f64().is_nan() && b.as_f64().is_nan()
}

/// The only root's value at one point, for these values of the inputs.
fn run(kernel: &Kernel, inputs: &[Scalar]) -> Scalar {
    let mut values: Vec<Scalar> = vec![];
    for inst in kernel.insts() {
        let of = |v: Value| values[v.0 as usize];
        let value = match *inst {
            Inst::Load(n) => inputs[n as usize],
            Inst::Const(s) => s,
            Inst::Cast { to, x } => of(x).cast(to),
            Inst::Unary { op, x } => naive::unary(op, of(x)),
            Inst::Binary { op, a, b } => naive::binary(op, of(a), of(b)),
            Inst::Compare { op, a, b } => naive::compare(op, of(a), of(b)),
            Inst::Select { c, a, b } => {
                if of(c).bits() != 0 {
                    of(a)
                } else {
                    of(b)
                }
            }
            ref other => panic!("{other:?}"),
        };
        values.push(value);
    }
    match kernel.roots() {
        [Root::Store { value }] => values[value.0 as usize],
        other => panic!("{other:?}"),
    }
}

/// The kernel that stores what `f` makes of inputs of these dtypes.
fn kernel(inputs: &[DType], f: impl FnOnce(&mut Builder, &[Value]) -> Value) -> Kernel {
    let mut b = Builder::new(0);
    let values: Vec<Value> = inputs
        .iter()
        .map(|&d| {
            let input = b.input(d, IndexMap::identity(0));
            b.load(input)
        })
        .collect();
    let out = f(&mut b, &values);
    b.store(out);
    b.finish().expect("sound")
}

fn code(kernel: &Kernel) -> Vec<Inst> {
    kernel.insts().to_vec()
}

#[test]
fn operations_with_constants() {
    let mut simpler = 0;
    for d in DType::ALL {
        for &op in BinaryOp::ALL.iter().filter(|op| op.accepts(d)) {
            for c in samples(d) {
                let left = kernel(&[d], |b, x| {
                    let c = b.constant(c);
                    b.binary(op, c, x[0])
                });
                let right = kernel(&[d], |b, x| {
                    let c = b.constant(c);
                    b.binary(op, x[0], c)
                });
                simpler += usize::from(right.insts().len() < 3);
                for x in samples(d) {
                    let (l, r) = (naive::binary(op, c, x), naive::binary(op, x, c));
                    // which of two zeros a minimum gives is left open
                    let either =
                        matches!(op, BinaryOp::Min | BinaryOp::Max | BinaryOp::Fmin | BinaryOp::Fmax);
                    let same = |a: Scalar, b| same(a, b) || either && a.as_f64() == b.as_f64();
                    assert!(same(run(&left, &[x]), l), "{op}({c}, {x}) is {l}\n{left}");
                    assert!(same(run(&right, &[x]), r), "{op}({x}, {c}) is {r}\n{right}");
                }
            }
            let twice = kernel(&[d], |b, x| b.binary(op, x[0], x[0]));
            for x in samples(d) {
                let want = naive::binary(op, x, x);
                assert!(same(run(&twice, &[x]), want), "{op}({x}, {x}) is {want}\n{twice}");
            }
        }
        for &op in CompareOp::ALL {
            let twice = kernel(&[d], |b, x| b.compare(op, x[0], x[0]));
            for x in samples(d) {
                assert!(same(run(&twice, &[x]), naive::compare(op, x, x)), "{op}({x}, {x})\n{twice}");
            }
        }
    }
    assert!(simpler > 100, "only {simpler} are simplified");
}

#[test]
fn functions_of_functions() {
    for d in DType::ALL {
        let all: Vec<UnaryOp> =
            UnaryOp::ALL.iter().copied().filter(|op| op.accepts(d) && !op.is_transcendental()).collect();
        for &inner in &all {
            let once = kernel(&[d], |b, x| b.unary(inner, x[0]));
            for x in samples(d) {
                assert!(same(run(&once, &[x]), naive::unary(inner, x)), "{inner}({x})\n{once}");
            }
            let middle = if inner.is_predicate() { Bool } else { d };
            for &outer in all.iter().filter(|op| op.accepts(middle)) {
                let both = kernel(&[d], |b, x| {
                    let y = b.unary(inner, x[0]);
                    b.unary(outer, y)
                });
                for x in samples(d) {
                    let want = naive::unary(outer, naive::unary(inner, x));
                    assert!(same(run(&both, &[x]), want), "{outer}({inner}({x})) is {want}\n{both}");
                }
            }
        }
        for &op in CompareOp::ALL {
            let negated = kernel(&[d, d], |b, x| {
                let y = b.compare(op, x[0], x[1]);
                b.unary(UnaryOp::Not, y)
            });
            for x in samples(d) {
                for y in samples(d) {
                    let want = naive::unary(UnaryOp::Not, naive::compare(op, x, y));
                    assert!(same(run(&negated, &[x, y]), want), "not {op}({x}, {y})\n{negated}");
                }
            }
        }
    }
}

#[test]
fn conversions_by_way_of_others() {
    for from in DType::ALL {
        for middle in DType::ALL {
            for to in DType::ALL {
                let both = kernel(&[from], |b, x| {
                    let y = b.cast(middle, x[0]);
                    b.cast(to, y)
                });
                for x in samples(from) {
                    let want = x.cast(middle).cast(to);
                    assert!(same(run(&both, &[x]), want), "{x} as {middle} as {to} is {want}\n{both}");
                }
            }
        }
    }
}

#[test]
fn choices() {
    for d in DType::ALL {
        for (a, b) in [(0, 1), (1, 0), (1, 1)] {
            let [a, b] = [a, b].map(|n: i64| Scalar::from(n).cast(d));
            let chosen = kernel(&[Bool], |k, c| {
                let (a, b) = (k.constant(a), k.constant(b));
                k.select(c[0], a, b)
            });
            let turned = kernel(&[Bool], |k, c| {
                let (a, b) = (k.constant(a), k.constant(b));
                let c = k.unary(UnaryOp::Not, c[0]);
                k.select(c, a, b)
            });
            for c in [true, false] {
                assert!(same(run(&chosen, &[c.into()]), if c { a } else { b }), "{chosen}");
                assert!(same(run(&turned, &[c.into()]), if c { b } else { a }), "{turned}");
            }
        }
        for held in [true, false] {
            let known = kernel(&[d, d], |k, x| {
                let c = k.constant(held.into());
                k.select(c, x[0], x[1])
            });
            assert_eq!(code(&known), [Inst::Load(u32::from(!held))]);
        }
    }
}

/// What is simplified, by name.
#[test]
fn the_table() {
    let by = |d: DType, op: BinaryOp, c: f64| {
        let k = kernel(&[d], |b, x| {
            let c = b.constant(Scalar::from(c).cast(d));
            b.binary(op, x[0], c)
        });
        match code(&k)[..] {
            [Inst::Load(0)] => "x".to_owned(),
            [Inst::Const(s)] => s.to_string(),
            _ => "kept".to_owned(),
        }
    };
    use BinaryOp::*;
    for (d, op, c, want) in [
        (I32, Add, 0.0, "x"),
        (F32, Add, 0.0, "kept"),
        (F32, Add, -0.0, "x"),
        (F32, Sub, 0.0, "x"),
        (F32, Sub, -0.0, "kept"),
        (U8, Sub, 0.0, "x"),
        (F64, Mul, 1.0, "x"),
        (I64, Mul, 1.0, "x"),
        (I64, Mul, 0.0, "0i64"),
        (F64, Mul, 0.0, "kept"),
        (F16, Div, 1.0, "x"),
        (I16, FloorDiv, 1.0, "x"),
        (F32, FloorDiv, 1.0, "kept"),
        (I16, Rem, 1.0, "0i16"),
        (F32, Rem, 1.0, "kept"),
        (Bool, And, 1.0, "x"),
        (Bool, And, 0.0, "false"),
        (Bool, Or, 0.0, "x"),
        (Bool, Or, 1.0, "true"),
        (I8, And, -1.0, "x"),
        (I8, Or, -1.0, "-1i8"),
        (U32, Shl, 0.0, "x"),
        (F64, Pow, 1.0, "x"),
        (F64, Pow, 0.0, "1.0f64"),
        (F64, Max, 0.0, "kept"),
    ] {
        assert_eq!(by(d, op, c), want, "{op} of {d} and {c}");
    }
    // the longest chain becomes nothing
    let k = kernel(&[I16], |b, x| {
        let (zero, one) = (b.constant(0i64.into()), b.constant(1i64.into()));
        let wide = b.cast(I64, x[0]);
        let y = b.binary(Mul, wide, one);
        let y = b.binary(Add, zero, y);
        let y = b.unary(UnaryOp::Neg, y);
        let y = b.unary(UnaryOp::Neg, y);
        b.cast(I16, y)
    });
    assert_eq!(code(&k), [Inst::Load(0)]);
    assert_eq!(k.to_string().matches('%').count(), 2, "{k}");
}
