//! Results that stay where kernels run, on a device that can be lost at any launch: nothing is read before it is here, and nothing is wrong.

use blockwise::backend::reference::Reference;
use blockwise::backend::{
    Away, Backend, Executable, Launch, Operand, Output, Running, Stayed, hybrid::Hybrid,
};
use blockwise::block::Held;
use blockwise::ir::{Kernel, Root};
use blockwise::op::ReduceOp;
use blockwise::prelude::*;
use blockwise::shape::Grid;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A backend that keeps results to itself and is lost at a launch.
#[derive(Debug)]
struct Faraway {
    launches: Arc<AtomicUsize>,
    lost_at: usize,
    /// Of so many launches one has its result brought at once.
    homing: usize,
    lost: Arc<AtomicBool>,
    /// What rooms that were made hold: addresses, and what is stored there.
    rooms: Arc<Mutex<Vec<Room>>>,
}

type Room = (std::ops::Range<usize>, Arc<Mutex<Vec<Arc<Stored>>>>);

/// Elements that are to be written to addresses.
#[derive(Debug)]
struct Stored {
    elements: Mutex<Vec<(usize, Vec<u8>)>>,
    lost: Arc<AtomicBool>,
}

impl Held for Stored {
    fn fetch(&self) -> Result<(), Error> {
        if self.lost.load(SeqCst) {
            return Err(lost());
        }
        for (at, bytes) in &*self.elements.lock().expect("nobody panics here") {
            let to = std::ptr::with_exposed_provenance_mut::<u8>(*at);
            // SAFETY: an element of the launch's output, which lives as long and is nobody else's.
            unsafe { bytes.as_ptr().copy_to_nonoverlapping(to, bytes.len()) };
        }
        Ok(())
    }

    fn intact(&self) -> Result<(), Error> {
        if self.lost.load(SeqCst) { Err(lost()) } else { Ok(()) }
    }
}

struct Whole {
    parts: Arc<Mutex<Vec<Arc<Stored>>>>,
    at: usize,
    rooms: Arc<Mutex<Vec<Room>>>,
    _block: Block,
}

impl Held for Whole {
    fn fetch(&self) -> Result<(), Error> {
        self.parts.lock().expect("nobody panics here").iter().try_for_each(|part| part.fetch())
    }

    fn intact(&self) -> Result<(), Error> {
        self.parts.lock().expect("nobody panics here").iter().try_for_each(|part| part.intact())
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.rooms.lock().expect("nobody panics here").retain(|(range, _)| range.start != self.at);
    }
}

fn lost() -> Error {
    ErrorKind::Device { device: "faraway".into(), action: "running a kernel", message: "lost".into() }.into()
}

impl Faraway {
    /// Counts a launch, before which it may be lost.
    fn launch(&self) -> Result<(), Error> {
        if self.launches.fetch_add(1, SeqCst) >= self.lost_at {
            self.lost.store(true, SeqCst);
        }
        if self.lost.load(SeqCst) { Err(lost()) } else { Ok(()) }
    }

    fn again(&self) -> Faraway {
        let (launches, lost, rooms) = (self.launches.clone(), self.lost.clone(), self.rooms.clone());
        Faraway { launches, lost, rooms, ..*self }
    }
}

impl Backend for Faraway {
    fn name(&self) -> String {
        "faraway".into()
    }

    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>, Error> {
        let size = |root: &Root| match root {
            Root::Store { value } => Some(kernel.dtype(*value).size()),
            _ => None,
        };
        let sizes = kernel.roots().iter().map(size).collect();
        Ok(Arc::new(Compiled { of: self.again(), sizes, inner: Reference.compile(kernel)? }))
    }

    fn running(&self, op: ReduceOp, dtype: DType) -> Result<Option<Arc<dyn Running>>, Error> {
        Ok((op == ReduceOp::Sum && dtype == I64).then(|| Arc::new(Sums(self.again())) as Arc<dyn Running>))
    }

    fn room(&self, block: &Block, _: &Grid, _: bool) -> Option<Arc<dyn Held>> {
        let (parts, at) = (Arc::<Mutex<Vec<Arc<Stored>>>>::default(), block.as_ptr().expose_provenance());
        self.rooms.lock().expect("nobody panics here").push((at..at + block.nbytes(), parts.clone()));
        Some(Arc::new(Whole { parts, at, rooms: self.rooms.clone(), _block: block.clone() }))
    }
}

/// Running sums of what is in rooms.
struct Sums(Faraway);

impl Running for Sums {
    fn suits(&self, _: &[usize], _: usize) -> bool {
        true
    }

    fn run(&self, operand: &Operand, shape: &[usize], axis: usize, continues: bool) -> Result<(), Error> {
        self.0.launch()?;
        let rooms = self.0.rooms.lock().expect("nobody panics here");
        let (_, parts) = rooms.iter().find(|(range, _)| range.contains(&operand.ptr.addr())).expect("a room");
        let mut parts = parts.lock().expect("nobody panics here");
        let place = |parts: &[Arc<Stored>], at: usize| {
            let mut places = parts.iter().enumerate().rev().flat_map(|(p, part)| {
                part.elements
                    .lock()
                    .expect("nobody panics here")
                    .iter()
                    .position(|(a, _)| *a == at)
                    .map(|e| (p, e))
            });
            places.next().expect("it is there")
        };
        let number = |parts: &[Arc<Stored>], (p, e): (usize, usize)| {
            let bytes = parts[p].elements.lock().expect("nobody panics here")[e].1.clone();
            i64::from_ne_bytes(bytes.try_into().expect("8 bytes"))
        };
        let parts = &mut parts[..];
        for n in 0..shape.iter().product() {
            let (mut rest, mut at, mut along) = (n, operand.ptr.addr(), 0);
            for (a, (length, stride)) in shape.iter().zip(&operand.strides).enumerate().rev() {
                at = at.wrapping_add_signed((rest % length) as isize * stride);
                along = if a == axis { rest % length } else { along };
                rest /= length;
            }
            if along > 0 || continues {
                let before = number(parts, place(parts, at.wrapping_add_signed(-operand.strides[axis])));
                let own = place(parts, at);
                let sum = before.wrapping_add(number(parts, own)).to_ne_bytes().to_vec();
                parts[own.0].elements.lock().expect("nobody panics here")[own.1].1 = sum;
            }
        }
        Ok(())
    }
}

struct Compiled {
    of: Faraway,
    /// Bytes of an element of each store's result.
    sizes: Vec<Option<usize>>,
    inner: Arc<dyn Executable>,
}

impl Executable for Compiled {
    fn scratch_bytes(&self, shape: &[usize]) -> usize {
        shape.iter().product::<usize>() * 64
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<(), Error> {
        self.of.launch()?;
        // SAFETY: the caller's.
        unsafe { self.inner.run(launch) }
    }

    unsafe fn run_away(&self, launch: &Launch<'_>, away: &Away<'_>) -> Result<Stayed, Error> {
        away.fetch()?;
        let number = self.of.launches.load(SeqCst);
        // SAFETY: the caller's.
        unsafe { self.run(launch) }?;
        let mut stayed = Stayed::default();
        for (n, ((output, size), stays)) in launch.outputs.iter().zip(&self.sizes).zip(away.stay).enumerate()
        {
            let held = match (output, size, *stays) {
                (Output::Store(operand), Some(size), true)
                    if !(number + n).is_multiple_of(self.of.homing) =>
                {
                    Some(self.take_away(launch, operand, *size))
                }
                _ => None,
            };
            stayed.0.push(held);
        }
        Ok(stayed)
    }
}

impl Compiled {
    /// Takes a result from where it was stored, and leaves what nobody may read.
    fn take_away(&self, launch: &Launch<'_>, operand: &Operand, size: usize) -> Arc<dyn Held> {
        let shape = &launch.region.shape;
        let element = |mut n: usize| {
            let mut at = operand.ptr.expose_provenance();
            for (length, stride) in shape.iter().zip(&operand.strides).rev() {
                at = at.wrapping_add_signed((n % length) as isize * stride);
                n /= length;
            }
            let there = std::ptr::with_exposed_provenance_mut::<u8>(at);
            // SAFETY: an element of the output, which was just stored.
            let bytes = unsafe { std::slice::from_raw_parts_mut(there, size) };
            let taken = bytes.to_vec();
            bytes.fill(0x2a);
            (at, taken)
        };
        let elements = Mutex::new((0..launch.region.len()).map(element).collect());
        let stored = Arc::new(Stored { elements, lost: self.of.lost.clone() });
        let rooms = self.of.rooms.lock().expect("nobody panics here");
        if let Some((_, parts)) = rooms.iter().find(|(range, _)| range.contains(&operand.ptr.addr())) {
            parts.lock().expect("nobody panics here").push(stored.clone());
        }
        stored
    }
}

/// A session whose device is lost at a launch, and how many there were: as many every time if there is one thread.
fn session(lost_at: usize, homing: usize, threads: usize) -> (Session, Arc<AtomicUsize>) {
    let launches = Arc::<AtomicUsize>::default();
    let (lost, rooms) = Default::default();
    let first = Faraway { launches: launches.clone(), lost_at, homing, lost, rooms };
    let backend = Hybrid::new(Arc::new(first), Arc::new(Reference));
    (Session::builder().backend(Arc::new(backend)).threads(threads).build().expect("a session"), launches)
}

fn numbers(block: &Block) -> Vec<i64> {
    block.to_contiguous().as_slice::<i64>().expect("of that dtype").to_vec()
}

/// Kernels that read each other's results, through windows, other shapes, and functions of blocks.
fn programs(x: &Array) -> Vec<Array> {
    let y = x * 3 % 101;
    let y = y.slice(s![1.., ..]) - y.slice(s![..-1, ..]) * 2;
    let z = &y * &y + 1;
    vec![
        z.slice(s![.., 1..]) - z.slice(s![.., ..-1]) + y.slice(s![.., 1..]),
        (z.reshape(&[-1]) + 1).reshape(&[-1, 19]).sum(0),
        concatenate(&[y.clone(), &z + 2], 1) * 5,
        (&y + 1).matmul(&(&y - 2).t()),
        (&y + 1).flip(Some(0)).take(&[3, 0, 3], 1) * 2,
        (&z - z.max(0)).cumsum(1),
        z.cumsum(0).cumsum(1) * 2 + &z,
    ]
}

#[test]
fn nothing_is_read_before_it_is_here_whenever_the_device_is_lost() {
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a session");
    let x = Array::arange(0, 12 * 19, 1).reshape(&[12, 19]).rechunk([5, 8]);
    for (n, program) in programs(&x).iter().enumerate() {
        let want = numbers(&cpu.compute(program).expect("cpu"));
        for homing in [usize::MAX, 3] {
            let (unharmed, launches) = session(usize::MAX, homing, 2);
            assert_eq!(numbers(&unharmed.compute(program).expect("computes")), want, "program {n}");
            let all = launches.load(SeqCst);
            assert!(all > 1);
            for lost_at in (0..=all).step_by(1 + all / 12) {
                let (session, _) = session(lost_at, homing, 2);
                let got = session.compute(program).expect("goes on elsewhere");
                assert_eq!(numbers(&got), want, "program {n}, lost at {lost_at}");
            }
        }
    }
}

#[test]
fn what_is_persisted_is_whole_whenever_the_device_is_lost_meanwhile() {
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a session");
    let x = Array::arange(0, 12 * 19, 1).reshape(&[12, 19]).rechunk([5, 8]);
    for (n, program) in programs(&x).iter().enumerate() {
        let want = numbers(&cpu.compute(program).expect("cpu"));
        for homing in [usize::MAX, 3] {
            let (unharmed, launches) = session(usize::MAX, homing, 1);
            let kept = unharmed.persist(program).expect("computes");
            let all = launches.load(SeqCst);
            assert_eq!(numbers(&unharmed.compute(&kept).expect("computes")), want, "program {n}");
            assert_eq!(numbers(&cpu.compute(&kept).expect("computes")), want, "program {n}");
            for lost_at in (0..all).step_by(1 + all / 12) {
                let (session, _) = session(lost_at, homing, 1);
                let kept = session.persist(program).expect("goes on elsewhere");
                let got = numbers(&session.compute(&kept).expect("computes"));
                assert_eq!(got, want, "program {n}, lost at {lost_at}");
            }
        }
    }
}

#[test]
fn several_results_of_one_pass_are_whole_whenever_the_device_is_lost() {
    let cpu = Session::builder().device(Device::cpu()).threads(2).build().expect("a session");
    let x = Array::arange(0, 12 * 19, 1).reshape(&[12, 19]).rechunk([5, 8]);
    let arrays = [&x * 3 % 101, (&x - 7).cumsum(1), (&x + 1).sum(0), &x * &x];
    let all = |session: &Session| -> Vec<Vec<i64>> {
        let kept = session.persist_all(arrays.each_ref()).expect("goes on elsewhere");
        kept.iter().map(|x| numbers(&session.compute(x).expect("computes"))).collect()
    };
    let want: Vec<Vec<i64>> = arrays.iter().map(|x| numbers(&cpu.compute(x).expect("cpu"))).collect();
    for homing in [usize::MAX, 3] {
        let (unharmed, launches) = session(usize::MAX, homing, 1);
        let kept = unharmed.persist_all(arrays.each_ref()).expect("computes");
        let launches = launches.load(SeqCst);
        // wherever they are read
        assert_eq!(kept.each_ref().map(|x| numbers(&cpu.compute(x).expect("computes")))[..], want);
        for lost_at in 0..launches {
            assert_eq!(all(&session(lost_at, homing, 1).0), want, "lost at {lost_at}");
        }
    }
}
