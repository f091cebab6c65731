//! Two backends as one: what the first cannot run, the second does, and a note says so.

use super::cost::{Rates, Work};
use super::{Away, Backend, Executable, Launch, Multiply, Operand, Product, Running, Stayed};
use crate::block::{Block, Held};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::ir::Kernel;
use crate::op::ReduceOp;
use crate::shape::Grid;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Compiles kernels for a device, and for another where the first one refuses or fails.
///
/// Kernels that the first device does not support are compiled for the second, and run there where it turns out that they do not fit.
/// When the first device fails (lost, out of memory), that launch and all later ones run on the second. All is told by [`Backend::notes`].
///
/// ```
/// use blockwise::backend::{Backend, cpu::Cpu, hybrid::Hybrid, reference::Reference};
/// use std::sync::Arc;
/// let both = Hybrid::new(Arc::new(Reference), Arc::new(Cpu::detect()));
/// assert!(both.name().starts_with("reference, else cpu"));
/// ```
pub struct Hybrid {
    first: Arc<dyn Backend>,
    second: Arc<dyn Backend>,
    /// What launches cost on both, if that decides where they run.
    rates: Option<[Rates; 2]>,
    state: Arc<State>,
}

/// Most notes kept until someone asks for them.
const MOST_NOTES: usize = 64;

#[derive(Default)]
struct State {
    failed: AtomicBool,
    notes: Mutex<Vec<Error>>,
}

impl State {
    fn note(&self, why: Error) {
        let mut notes = self.notes.lock().unwrap_or_else(|e| e.into_inner());
        if notes.len() < MOST_NOTES {
            notes.push(why);
        }
    }
}

impl Hybrid {
    /// The first backend where it can, else the second.
    pub fn new(first: Arc<dyn Backend>, second: Arc<dyn Backend>) -> Hybrid {
        Hybrid { first, second, rates: None, state: Arc::default() }
    }

    /// Whichever of both does a launch in less time, as far as these rates tell; the second where the first cannot.
    ///
    /// Which one that is depends on the kernel, the size of the launch, and what is [held](Backend::hold): never on time or threads.
    pub fn by_cost(first: Arc<dyn Backend>, second: Arc<dyn Backend>, rates: [Rates; 2]) -> Hybrid {
        Hybrid { rates: Some(rates), ..Hybrid::new(first, second) }
    }
}

impl Hybrid {
    /// What the first compiles; nothing, with a note, if it cannot.
    fn by_first<T>(&self, compile: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        if self.state.failed.load(Relaxed) {
            return Ok(None);
        }
        match compile() {
            Err(why) if matches!(why.kind(), ErrorKind::Unsupported { .. } | ErrorKind::Device { .. }) => {
                self.state.failed.fetch_or(matches!(why.kind(), ErrorKind::Device { .. }), Relaxed);
                self.state.note(why);
                Ok(None)
            }
            made => made.map(Some),
        }
    }

    /// Where something is computed that the first cannot compile for a reason, if there is one.
    fn place_of(
        &self,
        why: Option<Error>,
        cheaper: impl FnOnce(&[Rates; 2]) -> String,
        place: impl Fn(&dyn Backend) -> String,
    ) -> String {
        match (why, &self.rates) {
            (Some(why), _) => format!("{}, since {why}", place(&*self.second)),
            _ if self.state.failed.load(Relaxed) => {
                format!("{}, since {} failed", self.second.name(), self.first.name())
            }
            (None, Some(rates)) => cheaper(rates),
            (None, None) => place(&*self.first),
        }
    }

    /// Where a kernel's points are computed in less time, and how long they take.
    fn cheaper(&self, kernel: &Kernel, rates: &[Rates; 2]) -> String {
        let work = Work::per_point(kernel);
        let inside = Work { held: work.sent, sent: 0.0, ..work };
        let [a, b] = rates.map(|r| r.per_point(&work) * 1e9);
        let resident = rates[0].per_point(&inside) * 1e9;
        let (first, second) = (self.first.name(), self.second.name());
        let place = if a < b { self.first.place(kernel) } else { self.second.place(kernel) };
        let bytes = work.sent + work.stored;
        format!(
            "{place}: a point ({bytes} bytes) takes {a:.3} ns on {first}, {resident:.3} ns if it is there, \
             {b:.3} ns on {second}"
        )
    }
}

impl fmt::Debug for Hybrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hybrid").field("first", &self.first).field("second", &self.second).finish()
    }
}

impl Backend for Hybrid {
    fn name(&self) -> String {
        format!("{}, else {}", self.first.name(), self.second.name())
    }

    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>> {
        let second = self.second.compile(kernel)?;
        Ok(match self.by_first(|| self.first.compile(kernel))? {
            Some(first) => {
                let costs = self.rates.map(|rates| (rates, kernel.clone()));
                Arc::new(Either { both: Both::new(first, second, &self.state), costs })
            }
            None => second,
        })
    }

    fn product(&self, dtype: DType) -> Result<Arc<dyn Multiply>> {
        let second = self.second.product(dtype)?;
        Ok(match self.by_first(|| self.first.product(dtype))? {
            Some(first) => {
                let costs = self.rates.map(|rates| (rates, dtype));
                Arc::new(EitherProduct { both: Both::new(first, second, &self.state), costs })
            }
            None => second,
        })
    }

    fn running(&self, op: ReduceOp, dtype: DType) -> Result<Option<Arc<dyn Running>>> {
        let first = self.by_first(|| self.first.running(op, dtype))?.flatten();
        // what it folds is with the first
        Ok(first.map(|inner| Arc::new(Watched { inner, state: self.state.clone() }) as Arc<dyn Running>))
    }

    fn place(&self, kernel: &Kernel) -> String {
        let cheaper = |rates: &_| self.cheaper(kernel, rates);
        self.place_of(self.first.compile(kernel).err(), cheaper, |backend| backend.place(kernel))
    }

    fn place_of_product(&self, dtype: DType, extent: (usize, usize, usize)) -> String {
        let place = |backend: &dyn Backend| backend.place_of_product(dtype, extent);
        let cheaper = |rates: &[Rates; 2]| {
            let seconds = rates.map(|r| r.seconds(&Work::of_product(dtype, extent, 0.0)));
            let (here, there) = (&self.first, &self.second);
            let place = place(if seconds[0] < seconds[1] { &**here } else { &**there });
            let [a, b] = seconds.map(|s| s * 1e3);
            format!("{place}: a panel takes {a:.3} ms on {}, {b:.3} ms on {}", here.name(), there.name())
        };
        self.place_of(self.first.product(dtype).err(), cheaper, place)
    }

    fn hold(&self, block: &Block, grid: &Grid) -> Option<Arc<dyn Held>> {
        let works = !self.state.failed.load(Relaxed);
        works.then(|| self.first.hold(block, grid)).flatten().or_else(|| self.second.hold(block, grid))
    }

    fn room(&self, block: &Block, grid: &Grid, lasts: bool) -> Option<Arc<dyn Held>> {
        let works = !self.state.failed.load(Relaxed);
        works.then(|| self.first.room(block, grid, lasts)).flatten()
    }

    fn notes(&self) -> Vec<Error> {
        std::mem::take(&mut *self.state.notes.lock().unwrap_or_else(|e| e.into_inner()))
    }
}

/// Something compiled for both.
struct Both<E: ?Sized> {
    first: Arc<E>,
    second: Arc<E>,
    state: Arc<State>,
    /// Whether the first found out that it cannot run this one.
    unsuited: AtomicBool,
}

impl<E: ?Sized> Both<E> {
    fn new(first: Arc<E>, second: Arc<E>, state: &Arc<State>) -> Both<E> {
        Both { first, second, state: state.clone(), unsuited: AtomicBool::new(false) }
    }

    /// Runs on the first, if it suits that one, or else on the second.
    fn either<T>(&self, suits: impl FnOnce() -> bool, run: impl Fn(&E) -> Result<T>) -> Result<T> {
        if !self.state.failed.load(Relaxed) && !self.unsuited.load(Relaxed) && suits() {
            match run(&*self.first) {
                Err(why) if matches!(why.kind(), ErrorKind::Device { .. }) => {
                    if !self.state.failed.swap(true, Relaxed) {
                        self.state.note(why);
                    }
                }
                Err(why)
                    if matches!(
                        why.kind(),
                        ErrorKind::Unsupported { .. } | ErrorKind::MemoryLimit { .. }
                    ) =>
                {
                    if !self.unsuited.swap(true, Relaxed) {
                        self.state.note(why);
                    }
                }
                done => return done,
            }
        }
        run(&*self.second)
    }
}

/// A kernel compiled for both.
struct Either {
    both: Both<dyn Executable>,
    /// The rates of both and the kernel, if they decide.
    costs: Option<([Rates; 2], Kernel)>,
}

impl Either {
    /// Whether the first does a launch in less time, some of whose results may stay there.
    fn suits(&self, launch: &Launch<'_>, stay: &[bool]) -> bool {
        self.costs.as_ref().is_none_or(|([first, second], kernel)| {
            let held = self.both.first.held_bytes(launch) as f64;
            let there = Work::of_launch(kernel, launch, held).staying(kernel, launch, stay);
            first.seconds(&there) < second.seconds(&Work::of_launch(kernel, launch, 0.0))
        })
    }
}

impl Executable for Either {
    fn scratch_bytes(&self, shape: &[usize]) -> usize {
        self.both.first.scratch_bytes(shape).max(self.both.second.scratch_bytes(shape))
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()> {
        // SAFETY: by the caller's contract; a launch that failed has left what it folds into as it was.
        self.both.either(|| self.suits(launch, &[]), |executable| unsafe { executable.run(launch) })
    }

    unsafe fn run_away(&self, launch: &Launch<'_>, away: &Away<'_>) -> Result<Stayed> {
        let suits = || self.suits(launch, away.stay);
        // SAFETY: as above.
        self.both.either(suits, |executable| unsafe { executable.run_away(launch, away) })
    }
}

/// Something of the first alone.
struct Watched {
    inner: Arc<dyn Running>,
    state: Arc<State>,
}

impl Running for Watched {
    fn suits(&self, shape: &[usize], axis: usize) -> bool {
        self.inner.suits(shape, axis)
    }

    fn run(&self, operand: &Operand, shape: &[usize], axis: usize, continues: bool) -> Result<()> {
        let done = self.inner.run(operand, shape, axis, continues);
        if let Err(why) = &done
            && !self.state.failed.swap(true, Relaxed)
        {
            self.state.note(why.clone());
        }
        done
    }
}

/// A product compiled for both.
struct EitherProduct {
    both: Both<dyn Multiply>,
    /// The rates of both and the dtype, if they decide.
    costs: Option<([Rates; 2], DType)>,
}

impl EitherProduct {
    /// Whether the first does a product in less time.
    fn suits(&self, product: &Product) -> bool {
        self.costs.is_none_or(|([first, second], dtype)| {
            let work = |held| Work::of_product(dtype, product.extent, held);
            let held = self.both.first.held_bytes(product) as f64;
            first.seconds(&work(held)) < second.seconds(&work(0.0))
        })
    }
}

impl Multiply for EitherProduct {
    fn scratch_bytes(&self, extent: (usize, usize, usize)) -> usize {
        self.both.first.scratch_bytes(extent).max(self.both.second.scratch_bytes(extent))
    }

    unsafe fn run(&self, product: &Product) -> Result<()> {
        // SAFETY: by the caller's contract; a product that failed has left the sums as they were.
        self.both.either(|| self.suits(product), |multiply| unsafe { multiply.run(product) })
    }

    unsafe fn run_away(
        &self,
        product: &Product,
        away: [Option<&dyn Held>; 2],
        sums: Option<&dyn Held>,
    ) -> Result<bool> {
        // SAFETY: as above; sums that a product may have changed in their room are gone with the device.
        self.both.either(|| self.suits(product), |multiply| unsafe { multiply.run_away(product, away, sums) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Matrix, Output, reference::Reference};
    use crate::ir::Builder;
    use crate::shape::{IndexMap, Region};
    use smallvec::smallvec;

    /// Fails as told: when it compiles, or when it runs.
    #[derive(Debug)]
    struct Broken {
        runs: bool,
    }

    fn why() -> Error {
        ErrorKind::Device { device: "broken".into(), action: "running a kernel", message: "lost".into() }
            .into()
    }

    impl Backend for Broken {
        fn name(&self) -> String {
            "broken".into()
        }
        fn compile(&self, _: &Kernel) -> Result<Arc<dyn Executable>> {
            Ok(Arc::new(self.compiled()?))
        }
        fn product(&self, _: DType) -> Result<Arc<dyn Multiply>> {
            Ok(Arc::new(self.compiled()?))
        }
    }

    impl Broken {
        fn compiled(&self) -> Result<Broken> {
            match self.runs {
                true => Ok(Broken { runs: true }),
                false => Err(ErrorKind::Unsupported { what: "this".into(), hint: "that".into() }.into()),
            }
        }
    }

    impl Multiply for Broken {
        unsafe fn run(&self, _: &Product) -> Result<()> {
            Err(why())
        }
    }

    impl Executable for Broken {
        fn scratch_bytes(&self, _: &[usize]) -> usize {
            0
        }
        unsafe fn run(&self, _: &Launch<'_>) -> Result<()> {
            Err(why())
        }
    }

    #[test]
    fn what_the_first_cannot_the_second_does_and_says_so_once() {
        let mut b = Builder::new(1);
        let input = b.input(DType::I32, IndexMap::identity(1));
        let x = b.load(input);
        let y = b.binary(crate::op::BinaryOp::Add, x, x);
        b.store(y);
        let kernel = b.finish().expect("sound");
        for runs in [false, true] {
            let backend = Hybrid::new(Arc::new(Broken { runs }), Arc::new(Reference));
            let executable = backend.compile(&kernel).expect("the reference compiles");
            let (mut x, mut y) = ([1i32, 2, 3], [0i32; 3]);
            let strides = smallvec![4isize];
            let inputs = [Operand { ptr: x.as_mut_ptr().cast(), strides: strides.clone() }];
            let outputs = [Output::Store(Operand { ptr: y.as_mut_ptr().cast(), strides })];
            let region = Region::whole(&[3]);
            let launch = Launch {
                region: &region,
                shape: &[3],
                inputs: &inputs,
                outputs: &outputs,
                slots: 0,
                streaming: false,
            };
            // SAFETY: both arrays have three elements.
            unsafe { executable.run(&launch) }.expect("runs on the reference");
            let away = Away { inputs: &[None], stay: &[true] };
            // SAFETY: as above; nothing is away.
            let stayed = unsafe { executable.run_away(&launch, &away) };
            assert!(stayed.expect("runs on the reference").take(0).is_none());
            assert_eq!(y, [2, 4, 6]);
            assert!(backend.place(&kernel).starts_with("reference, since"), "{}", backend.place(&kernel));
            assert_eq!(backend.notes().len(), 1);
            assert!(backend.notes().is_empty());
        }
    }

    /// `[1 2] [3 4]' + 5`.
    fn multiply(compiled: &dyn Multiply) -> f32 {
        let (a, b, mut c) = ([1f32, 2.0], [3f32, 4.0], 5f32);
        let mut room = vec![0u64; crate::backend::product_room(DType::F32, (1, 1, 2)) / 8 + 8];
        let room = room.as_mut_ptr().cast::<u8>();
        let matrix = |x: &[f32; 2], rows, cols| Matrix { ptr: x.as_ptr().cast(), rows, cols };
        let product = Product {
            extent: (1, 1, 2),
            a: matrix(&a, 8, 4),
            b: matrix(&b, 4, 4),
            c: (&raw mut c).cast(),
            fresh: false,
            room: room.wrapping_add(room.align_offset(64)),
        };
        // SAFETY: operands, sum and room of the extent.
        unsafe { compiled.run(&product) }.expect("the reference multiplies");
        c
    }

    #[test]
    fn products_that_the_first_cannot_the_second_does_and_says_so_once() {
        for runs in [false, true] {
            let backend = Hybrid::new(Arc::new(Broken { runs }), Arc::new(Reference));
            let compiled = backend.product(DType::F32).expect("the reference multiplies");
            assert_eq!([multiply(&*compiled), multiply(&*compiled)], [16.0; 2]);
            let place = backend.place_of_product(DType::F32, (1, 1, 2));
            assert!(place.starts_with("reference, since"), "{place}");
            assert_eq!(backend.notes().len(), 1);
        }
    }

    #[test]
    fn products_run_where_they_cost_less() {
        let backend = Hybrid::by_cost(Arc::new(Broken { runs: true }), Arc::new(Reference), RATES);
        let compiled = backend.product(DType::F32).expect("compiles");
        assert_eq!(multiply(&*compiled), 16.0);
        assert!(backend.notes().is_empty(), "the first was not asked");
        for (extent, place) in
            [((1, 1, 2), "reference: a panel takes "), ((512, 512, 4096), "broken: a panel takes ")]
        {
            let found = backend.place_of_product(DType::F32, extent);
            assert!(found.starts_with(place), "{found}");
        }
    }

    /// Of one that is slow to start and to reach, and computes fast; and of one that is here.
    const RATES: [Rates; 2] = [
        Rates { launch: 1e-3, sent: 1e-9, held: 1e-12, stored: 1e-9, operation: 1e-13, wide: 1e-13 },
        Rates { launch: 1e-6, sent: 1e-10, held: 1e-10, stored: 1e-10, operation: 1e-10, wide: 1e-10 },
    ];

    #[test]
    fn launches_run_where_they_cost_less() {
        let backend = Hybrid::by_cost(Arc::new(Broken { runs: true }), Arc::new(Reference), RATES);
        let chain = |operations: usize| {
            let mut b = Builder::new(1);
            let input = b.input(DType::I32, IndexMap::identity(1));
            let x = b.load(input);
            let y = (0..operations).fold(x, |y, _| b.binary(crate::op::BinaryOp::Mul, y, x));
            b.store(y);
            b.finish().expect("sound")
        };
        let place = |operations| backend.place(&chain(operations));
        assert!(
            place(2).starts_with("reference: a point (8 bytes) takes 8.000 ns on broken"),
            "{}",
            place(2)
        );
        assert!(place(200).starts_with("broken: "), "{}", place(200));
        for (operations, points, stays, fails) in [
            (2, 100_000, false, false),
            (200, 100_000, false, true),
            (200, 100, false, false),
            // what does not come back costs less
            (150, 100_000, false, false),
            (150, 100_000, true, true),
        ] {
            let executable = backend.compile(&chain(operations)).expect("compiles");
            let (mut x, mut y) = (vec![1i32; points], vec![0i32; points]);
            let operand = |p: &mut Vec<i32>| Operand { ptr: p.as_mut_ptr().cast(), strides: smallvec![4] };
            let (inputs, outputs) = ([operand(&mut x)], [Output::Store(operand(&mut y))]);
            let region = Region::whole(&[points]);
            let shape = [points];
            let launch = Launch {
                region: &region,
                shape: &shape,
                inputs: &inputs,
                outputs: &outputs,
                slots: 0,
                streaming: false,
            };
            // the first one fails whatever it is given, and then all is the second's
            backend.state.failed.store(false, Relaxed);
            let away = Away { inputs: &[None], stay: &[stays] };
            // SAFETY: both have an element for every point, and nothing is away.
            assert!(unsafe { executable.run_away(&launch, &away) }.expect("runs").take(0).is_none());
            assert_eq!(backend.state.failed.load(Relaxed), fails, "{operations} operations, {points} points");
            assert!(y.iter().all(|&y| y == 1));
        }
    }
}
