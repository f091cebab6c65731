//! What launches cost on a backend, measured once per machine: so that a kernel runs where it is done first.

use super::{Backend, Launch, Operand, Output, product_sum};
use crate::block::Block;
use crate::config::cache_dir;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ir::{Builder, Inst, Kernel, Root};
use crate::op::{BinaryOp, ReduceOp};
use crate::shape::{Grid, IndexMap, Region};
use smallvec::smallvec;
use std::fmt;
use std::path::Path;
use std::time::Instant;

/// What a launch costs on a backend, in seconds.
///
/// For a GPU bytes that are sent cross the link; for the CPU they are read from memory.
///
/// ```
/// use blockwise::backend::{cost::Rates, cpu::Cpu};
/// let rates = Rates::measure(&Cpu::detect())?;
/// println!("an operation takes {:.3} ns", rates.operation * 1e9);
/// assert_eq!(rates.side_by_side(4).sent, rates.sent / 4.0);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// Of a launch that does nothing.
    pub launch: f64,
    /// Of a byte that is sent to where kernels run.
    pub sent: f64,
    /// Of a byte that is there already ([`Backend::hold`]).
    pub held: f64,
    /// Of a byte that is stored.
    pub stored: f64,
    /// Of an operation on up to 32 bits.
    pub operation: f64,
    /// Of an operation on 64 bits.
    pub wide: f64,
}

/// What a launch does.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Work {
    /// Bytes that are sent.
    pub sent: f64,
    /// Bytes that are read where they are kept.
    pub held: f64,
    /// Bytes that are stored.
    pub stored: f64,
    /// Operations on up to 32 bits.
    pub operations: f64,
    /// Operations on 64 bits.
    pub wide: f64,
}

/// Points of a launch that is measured.
const POINTS: usize = 1 << 20;

/// Operations of a point of one that computes much.
const CHAIN: usize = 32;

/// The version of what is written to the file.
const FORMAT: &str = "1";

impl Work {
    /// Of so many points of a kernel, of which so many bytes of inputs are sent and so many are there.
    pub fn of(kernel: &Kernel, points: usize, sent: f64, held: f64) -> Work {
        let mut work = Work { sent, held, ..Work::default() };
        let points = points as f64;
        let mut add = |d: DType, operations: f64| {
            *if d.size() == 8 { &mut work.wide } else { &mut work.operations } += points * operations;
        };
        for (inst, v) in kernel.insts().iter().zip(0..) {
            let d = kernel.dtype(crate::ir::Value(v));
            match inst {
                Inst::Load(_) | Inst::Const(_) => {}
                Inst::Unary { op, .. } if op.is_transcendental() => add(d, 20.0),
                Inst::Binary { op, .. } if op.is_transcendental() || *op == BinaryOp::Pow => add(d, 40.0),
                Inst::Binary { op: BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem, .. } => add(d, 4.0),
                // comparisons are as wide as what they compare
                Inst::Compare { a, .. } => add(kernel.dtype(*a), 1.0),
                _ => add(d, 1.0),
            }
        }
        for root in kernel.roots() {
            match root {
                Root::Store { value } => work.stored += points * kernel.dtype(*value).size() as f64,
                Root::Select { value, .. } => {
                    work.stored += points * kernel.dtype(*value).size() as f64 / 2.0
                }
                Root::Reduce { op, value, .. } | Root::GroupReduce { op, value, .. } => {
                    let planes = op.planes(kernel.dtype(*value));
                    for d in planes {
                        *if d.size() == 8 { &mut work.wide } else { &mut work.operations } += points;
                    }
                }
            }
        }
        work
    }

    /// Of a product of matrices of so many rows, columns and terms, of whose operands so many bytes are there.
    pub fn of_product(dtype: DType, (m, n, k): (usize, usize, usize), held: f64) -> Work {
        let [m, n, k] = [m, n, k].map(|n| n as f64);
        let (item, sums) = (dtype.size() as f64, m * n * product_sum(dtype).size() as f64);
        let operations = 2.0 * m * n * k;
        let (operations, wide) = if dtype.size() == 8 { (0.0, operations) } else { (operations, 0.0) };
        let sent = ((m * k + k * n) * item - held).max(0.0) + sums;
        Work { sent, held, stored: sums, operations, wide }
    }

    /// Of a point of a kernel none of whose inputs are there.
    pub fn per_point(kernel: &Kernel) -> Work {
        let sent = kernel.inputs().iter().map(|input| input.dtype.size()).sum::<usize>();
        Work::of(kernel, 1, sent as f64, 0.0)
    }

    /// Of a launch, of whose inputs so many bytes are there.
    pub fn of_launch(kernel: &Kernel, launch: &Launch<'_>, held: f64) -> Work {
        let bytes = |(operand, input): (&Operand, &crate::ir::Input)| {
            let varies = launch.region.shape.iter().zip(&operand.strides).filter(|(_, s)| **s != 0);
            varies.map(|(n, _)| *n as f64).product::<f64>() * input.dtype.size() as f64
        };
        let all: f64 = launch.inputs.iter().zip(kernel.inputs()).map(bytes).sum();
        Work::of(kernel, launch.region.len(), (all - held).max(0.0), held)
    }

    /// The same where the results of some stores stay: they are written as fast as what is held is read.
    pub fn staying(mut self, kernel: &Kernel, launch: &Launch<'_>, stay: &[bool]) -> Work {
        for (root, _) in kernel.roots().iter().zip(stay).filter(|(_, stays)| **stays) {
            if let Root::Store { value } = root {
                let bytes = launch.region.len() as f64 * kernel.dtype(*value).size() as f64;
                self.held += bytes;
                self.stored -= bytes;
            }
        }
        self
    }
}

impl Rates {
    /// Seconds of a launch.
    pub fn seconds(&self, work: &Work) -> f64 {
        self.launch + self.per_point(work)
    }

    /// Seconds of it, were launching free.
    pub fn per_point(&self, w: &Work) -> f64 {
        let moved = self.sent * w.sent + self.held * w.held + self.stored * w.stored;
        moved + self.operation * w.operations + self.wide * w.wide
    }

    /// Those of a machine on which so many launches run beside each other.
    pub fn side_by_side(self, threads: usize) -> Rates {
        let n = threads.max(1) as f64;
        let Rates { launch, sent, held, stored, operation, wide } = self;
        Rates {
            launch,
            sent: sent / n,
            held: held / n,
            stored: stored / n,
            operation: operation / n,
            wide: wide / n,
        }
    }

    /// Those of a backend, from the file if they were measured before; else measured, which takes up to some seconds, and kept there.
    ///
    /// # Errors
    /// Those of the backend's launches.
    pub fn of(backend: &dyn Backend, identity: &str) -> Result<Rates> {
        let file = cache_dir().map(|dir| dir.join("rates"));
        let known = file.as_deref().and_then(|file| read(file, identity));
        if let Some(rates) = known {
            return Ok(rates);
        }
        let rates = Rates::measure(backend)?;
        // what cannot be kept is measured again
        if let Some(file) = file {
            _ = write(&file, identity, &rates);
        }
        Ok(rates)
    }

    /// Measures a backend with a few kernels: the shortest of three runs each.
    ///
    /// # Errors
    /// Those of the backend's launches.
    pub fn measure(backend: &dyn Backend) -> Result<Rates> {
        let block = Block::full(&[POINTS], Scalar::from(1.5f32));
        let time = |points: usize, kernel: &Kernel| fastest(backend, kernel, &block, points);
        let launch = time(1, &store()?)?;
        let fold = time(POINTS, &largest(0, DType::F32)?)?;
        let stored = time(POINTS, &store()?)?;
        let long = time(POINTS, &largest(CHAIN, DType::F32)?)?;
        let wide = time(POINTS, &largest(CHAIN, DType::F64)?)?;
        let held = match backend.hold(&block, &Grid::single(&[POINTS])) {
            Some(_held) => time(POINTS, &largest(0, DType::F32)?)?,
            None => fold,
        };
        let (bytes, operations) = (4.0 * POINTS as f64, (CHAIN * POINTS) as f64);
        let share = |seconds: f64, of: f64| (seconds / of).max(1e-14);
        Ok(Rates {
            launch,
            sent: share(fold - launch, bytes),
            held: share(held - launch, bytes),
            stored: share(stored - fold, bytes),
            operation: share(long - fold, operations),
            wide: share(wide - fold, operations),
        })
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rates { launch, sent, held, stored, operation, wide } = self;
        write!(f, "{launch:e} {sent:e} {held:e} {stored:e} {operation:e} {wide:e}")
    }
}

impl std::str::FromStr for Rates {
    type Err = Error;

    fn from_str(text: &str) -> Result<Rates> {
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [launch, sent, held, stored, operation, wide]
                if numbers.iter().all(|n| *n > 0.0 && n.is_finite()) =>
            {
                Ok(Rates { launch, sent, held, stored, operation, wide })
            }
            _ => Err(Error::invalid("rates", format!("{text:?} is not six positive numbers"))),
        }
    }
}

/// `x + 1` of f32.
fn store() -> Result<Kernel> {
    let mut b = Builder::new(1);
    let input = b.input(DType::F32, IndexMap::identity(1));
    let (x, one) = (b.load(input), b.constant(Scalar::from(1f32)));
    let y = b.binary(BinaryOp::Add, x, one);
    b.store(y);
    b.finish()
}

/// The largest of what so many operations make of f32.
fn largest(operations: usize, d: DType) -> Result<Kernel> {
    let mut b = Builder::new(1);
    let input = b.input(DType::F32, IndexMap::identity(1));
    let x = b.load(input);
    let mut y = b.cast(d, x);
    let (a, m) = (b.constant(Scalar::from(0.25).cast(d)), b.constant(Scalar::from(0.75).cast(d)));
    for k in 0..operations {
        y = if k % 2 == 0 { b.binary(BinaryOp::Mul, y, m) } else { b.binary(BinaryOp::Add, y, a) };
    }
    let y = b.cast(DType::F32, y);
    b.reduce(ReduceOp::Max, y, [0]);
    b.finish()
}

/// The shortest of three launches after one that does not count.
fn fastest(backend: &dyn Backend, kernel: &Kernel, block: &Block, points: usize) -> Result<f64> {
    let executable = backend.compile(kernel)?;
    let mut out = Block::full(&[points], Scalar::from(0f32));
    let folds = matches!(kernel.roots(), [Root::Reduce { .. }]);
    let operand = |ptr: *const u8, stride| Operand { ptr: ptr as *mut u8, strides: smallvec![stride] };
    let inputs = [operand(block.as_ptr(), 4)];
    let to = out.as_mut_ptr();
    let outputs =
        [if folds { Output::Reduce(smallvec![operand(to, 0)]) } else { Output::Store(operand(to, 4)) }];
    let region = Region::whole(&[points]);
    let launch = Launch {
        region: &region,
        shape: &[points],
        inputs: &inputs,
        outputs: &outputs,
        slots: 0,
        streaming: false,
    };
    let mut best = f64::INFINITY;
    for k in 0..4 {
        let start = Instant::now();
        // SAFETY: the input has at least as many elements, the output has as many, and both are f32.
        unsafe { executable.run(&launch) }?;
        if k > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

/// The line of a backend: format, rates, and what it is.
fn line(identity: &str, rates: &Rates) -> String {
    format!("{FORMAT}\t{rates}\t{}", identity.replace(['\t', '\n'], " "))
}

fn read(file: &Path, identity: &str) -> Option<Rates> {
    let identity = identity.replace(['\t', '\n'], " ");
    let text = std::fs::read_to_string(file).ok()?;
    let of = |line: &str| {
        let (format, rest) = line.split_once('\t')?;
        let (rates, name) = rest.split_once('\t')?;
        if format == FORMAT && name == identity { rates.parse().ok() } else { None }
    };
    text.lines().rev().find_map(of)
}

fn write(file: &Path, identity: &str, rates: &Rates) -> std::io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut text = std::fs::read_to_string(file).unwrap_or_default();
    text.push_str(&line(identity, rates));
    text.push('\n');
    // whole or not at all
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut temporary, text.as_bytes())?;
    temporary.persist(file).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;

    #[test]
    fn what_was_measured_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("deep").join("rates");
        let rates =
            Rates { launch: 1e-5, sent: 2e-10, held: 1e-12, stored: 3e-10, operation: 1e-13, wide: 2e-13 };
        assert_eq!(read(&file, "a gpu"), None);
        write(&file, "a gpu", &Rates { launch: 1.0, ..rates }).expect("written");
        write(&file, "another", &Rates { launch: 2.0, ..rates }).expect("written");
        write(&file, "a gpu", &rates).expect("written");
        assert_eq!(read(&file, "a gpu"), Some(rates));
        assert_eq!(read(&file, "another").map(|r| r.launch), Some(2.0));
        std::fs::write(&file, "1\t1 2 x\ta gpu\nnonsense").expect("written");
        assert_eq!(read(&file, "a gpu"), None);
    }

    #[test]
    fn work_is_counted_and_measured() {
        let kernel = largest(CHAIN, DType::F64).expect("sound");
        let work = Work::per_point(&kernel);
        assert_eq!((work.sent, work.stored), (4.0, 0.0));
        assert!(work.wide >= CHAIN as f64 && work.operations <= 3.0, "{work:?}");
        assert_eq!(Work::per_point(&store().expect("sound")).stored, 4.0);
        let rates = Rates::measure(&Cpu::detect()).expect("runs");
        assert!(rates.to_string().parse::<Rates>().is_ok(), "{rates}");
        assert!(rates.seconds(&work) > rates.launch);
    }
}
