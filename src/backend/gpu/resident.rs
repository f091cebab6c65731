//! Blocks that stay on the device: kernels read them there instead of having them sent, and leave results there instead of sending them back.
//!
//! A twin is known by the address of the memory that it stands for: an operand that lies inside reads the twin. Most twins are copies. Those may go
//! at any time: whatever does not find one sends what it needs. A twin that is all there is of its elements stays until they are fetched. A block
//! that kernels cannot see whole has a twin for every few of its chunks.

use super::device::{Device, Mapping};
use super::geometry::c_steps;
use super::pool::{Buffers, Size};
use super::strided;
use crate::backend::reference::unravel;
use crate::backend::{Launch, Operand, Output};
use crate::block::{Block, Held, together};
use crate::error::{ErrorKind, Result};
use crate::ir::{Kernel, Root};
use crate::shape::{Dims, Grid};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, Weak};

/// Most twins that one kernel reads; operands in others are sent.
pub const MOST_HOMES: usize = 4;

/// Bytes that go to a twin, or come from it, at a time.
const STEP: usize = 16 << 20;

/// Bytes of a step that are left for words of the device: up to 3 bytes before what is asked for, and as many behind.
const WORDS: usize = 8;

const KEEPING: &str = "keeping a block";
const FETCHING: &str = "fetching a block";

/// What stands for a block's memory.
pub struct Twin {
    /// The address of the memory.
    pub start: usize,
    /// Bytes of it.
    pub bytes: usize,
    /// The elements.
    pub buffer: wgpu::Buffer,
    /// Whether results of launches are stored here that belong to the memory.
    pub room: bool,
}

/// Where an operand is on the device.
#[derive(Clone)]
pub struct Home {
    /// The number of the twin's binding.
    pub slot: usize,
    /// Element of the region's first point.
    pub first: isize,
    /// Elements from one point to the next along each axis.
    pub steps: SmallVec<[isize; 4]>,
}

/// The twins that a launch reads, and which of its inputs are where.
#[derive(Default)]
pub struct Homes {
    pub twins: Vec<Arc<Twin>>,
    pub inputs: Vec<Option<Home>>,
    /// For each root where its result stays; none of those behind.
    pub seats: SmallVec<[Option<Seat>; 2]>,
}

impl Homes {
    /// Of operands, each with the shape of its region and the size of its elements.
    pub fn of<'a>(
        device: &Device,
        operands: impl Iterator<Item = (&'a Operand, &'a [usize], usize)>,
    ) -> Homes {
        let mut homes = Homes::default();
        for (operand, shape, size) in operands {
            let home = homes.home(device, operand, shape, size);
            homes.inputs.push(home);
        }
        homes
    }

    fn home(&mut self, device: &Device, operand: &Operand, shape: &[usize], size: usize) -> Option<Home> {
        let (from, to) = operand.hull(shape, size);
        let twin = device.pool.twin(from, to)?;
        let slot = match self.twins.iter().position(|t| Arc::ptr_eq(t, &twin)) {
            Some(slot) => slot,
            None if self.twins.len() == device.homes => return None,
            None => {
                self.twins.push(twin.clone());
                self.twins.len() - 1
            }
        };
        Some(Home::within(&twin, slot, operand, size))
    }

    /// Where a root's result stays.
    pub fn seat(&self, root: usize) -> Option<&Seat> {
        self.seats.get(root)?.as_ref()
    }

    /// The bindings of inputs, by number: what a kernel's text depends on.
    pub fn slots(&self) -> SmallVec<[Option<u8>; 6]> {
        self.inputs.iter().map(|home| home.as_ref().map(|h| h.slot as u8)).collect()
    }
}

impl Home {
    /// Of an operand that lies inside a twin.
    pub fn within(twin: &Twin, slot: usize, operand: &Operand, size: usize) -> Home {
        let elements = |bytes: isize| bytes / size as isize;
        let first = elements(operand.ptr.addr().wrapping_sub(twin.start) as isize);
        Home { slot, first, steps: operand.strides.iter().map(|&s| elements(s)).collect() }
    }

    /// The element of a point, counted from the region's first one.
    pub fn at(&self, within: &[usize]) -> isize {
        self.first + within.iter().zip(&self.steps).map(|(&i, &s)| i as isize * s).sum::<isize>()
    }
}

/// A twin, or a part of one, that is held.
pub struct Hold {
    device: Arc<Device>,
    this: Weak<Hold>,
    /// Of a twin that goes when this is dropped: its address.
    own: Option<usize>,
    /// What has not been fetched yet.
    away: Mutex<Option<Far>>,
    /// The memory, if nobody else sees to it; until the twin is gone it stays as it is.
    _block: Option<Block>,
}

impl Hold {
    fn new(device: &Arc<Device>, own: Option<usize>, away: Option<Far>, block: Option<Block>) -> Arc<Hold> {
        let (device, away, _block) = (device.clone(), Mutex::new(away), block);
        Arc::new_cyclic(|this| Hold { device, this: this.clone(), own, away, _block })
    }

    /// Whether there is something to fetch.
    pub fn is_away(&self) -> bool {
        self.away.lock().unwrap_or_else(|e| e.into_inner()).is_some()
    }
}

impl Held for Hold {
    fn complete(&self) {
        if let Some(start) = self.own {
            self.device.pool.held_by(start, self.this.clone());
        }
    }

    fn intact(&self) -> Result<()> {
        if self.is_away() { self.device.alive(FETCHING) } else { Ok(()) }
    }

    fn fetch(&self) -> Result<()> {
        let mut away = self.away.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(far) = &*away {
            far.fetch(&self.device).map_err(|e| match e.kind() {
                ErrorKind::Device { message, .. } => {
                    let hint =
                        "values that had stayed there cannot be read any more; compute or persist them again";
                    self.device.error(FETCHING, format!("{message}; {hint}"))
                }
                _ => e,
            })?;
            *away = None;
        }
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.away.get_mut().unwrap_or_else(|e| e.into_inner()) = None;
        if let Some(start) = self.own {
            self.device.pool.drop_twin(start);
        }
    }
}

/// Elements that are on the device alone. The twin does not go while this lives.
struct Far {
    twin: Arc<Twin>,
    /// The element at the start of the box, in the memory.
    memory: *mut u8,
    shape: Dims,
    /// Bytes from one element to the next along each axis.
    strides: SmallVec<[isize; 4]>,
    /// Bytes of an element.
    size: usize,
}

// SAFETY: the memory is nobody's but `fetch`'s, which runs under a lock; see `Executable::run_away`.
unsafe impl Send for Far {}

/// Parts of a box on their way to the host.
struct Flight {
    /// Bytes from the first element, and how many.
    parts: Vec<(usize, usize)>,
    /// The first byte of the twin that is on its way, and how many are.
    start: usize,
    bytes: u64,
    staging: Buffers,
    mapping: Mapping,
}

impl Far {
    /// Brings the elements to the memory: one step is copied there while the next is on its way.
    fn fetch(&self, device: &Device) -> Result<()> {
        let mut groups = self.groups(device.step() - WORDS).peekable();
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let outcome = loop {
            if let (Some(parts), true) = (groups.peek(), flights.len() < 2) {
                match self.submit(device, parts, flights.is_empty()) {
                    Ok(Some(flight)) => {
                        flights.push_back(flight);
                        groups.next();
                        continue;
                    }
                    Ok(None) => {}
                    Err(e) => break Err(e),
                }
            }
            let Some(flight) = flights.pop_front() else { break Ok(()) };
            if let Err(e) = self.receive(device, flight) {
                break Err(e);
            }
        };
        for flight in flights {
            _ = device.mapped(&flight.mapping, FETCHING);
            device.pool.forget(flight.staging);
        }
        outcome
    }

    /// Runs of the memory, or parts of them, by bytes from the first element and how many; as many together as lie within so many bytes.
    fn groups(&self, most: usize) -> impl Iterator<Item = Vec<(usize, usize)>> {
        // axes that make up a run
        let (mut run, mut outer) = (self.size, self.shape.len());
        while outer > 0 && (self.shape[outer - 1] == 1 || self.strides[outer - 1] == run as isize) {
            outer -= 1;
            run *= self.shape[outer];
        }
        let start = move |n: usize| {
            let at = unravel(n, &self.shape[..outer]);
            at.iter().zip(&self.strides).map(|(&i, &s)| i * s as usize).sum::<usize>()
        };
        let runs = (0..self.shape[..outer].iter().product()).map(start);
        let parts = runs
            .flat_map(move |start| (0..run).step_by(most).map(move |at| (start + at, most.min(run - at))));
        let mut parts = parts.peekable();
        std::iter::from_fn(move || {
            let first = parts.next()?;
            let mut group = vec![first];
            while let Some(part) = parts.next_if(|part| part.0 + part.1 <= first.0 + most) {
                group.push(part);
            }
            Some(group)
        })
    }

    /// Asks for parts. `None` if there is no memory for the way now, which is only so if not `patient`.
    fn submit(&self, device: &Device, parts: &[(usize, usize)], patient: bool) -> Result<Option<Flight>> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(None) };
        let own = self.memory.addr() - self.twin.start;
        let start = (own + first.0) & !3;
        let bytes = (own + last.0 + last.1 - start) as u64;
        let Some(staging) = device.pool.take(device, Size::of(0, device.step() as u64), patient)? else {
            return Ok(None);
        };
        let mapping = device.checked(FETCHING, || {
            let mut encoder = device.device.create_command_encoder(&Default::default());
            let (from, copied) = (start as u64, bytes.next_multiple_of(4));
            encoder.copy_buffer_to_buffer(&self.twin.buffer, from, &staging.download, 0, copied);
            device.submit_and_map(encoder, &staging.download, bytes.next_multiple_of(8))
        });
        match mapping {
            Ok(mapping) => Ok(Some(Flight { parts: parts.to_vec(), start, bytes, staging, mapping })),
            Err(e) => {
                device.pool.forget(staging);
                Err(e)
            }
        }
    }

    /// Waits for parts, and copies them to the memory.
    fn receive(&self, device: &Device, flight: Flight) -> Result<()> {
        let Flight { parts, start, bytes, staging, mapping } = flight;
        let own = self.memory.addr() - self.twin.start;
        let read = device.mapped(&mapping, FETCHING).and_then(|()| {
            {
                let view = device.readable(&staging.download, bytes.next_multiple_of(8))?;
                for (at, n) in parts {
                    let from = &view[own + at - start..][..n];
                    // SAFETY: the memory has these bytes, which nobody else touches before they are fetched.
                    unsafe { from.as_ptr().copy_to_nonoverlapping(self.memory.add(at), n) };
                }
            }
            staging.download.unmap();
            device.received(bytes);
            Ok(())
        });
        device.pool.done(staging, read)
    }
}

/// Where a launch's result stays: in room that was made for it, or in a twin of its own.
pub struct Seat {
    device: Arc<Device>,
    pub twin: Arc<Twin>,
    pub home: Home,
    /// Bytes that are reserved for a new twin, until it is one.
    reserved: u64,
    result: Operand,
    shape: Dims,
    /// Bytes of an element.
    size: usize,
}

impl Seat {
    /// Of a store of a launch that reads some twins.
    pub fn new(
        device: &Arc<Device>,
        kernel: &Kernel,
        launch: &Launch<'_>,
        root: usize,
        read: &[Arc<Twin>],
    ) -> Option<Seat> {
        let (Root::Store { value }, Output::Store(result)) = (&kernel.roots()[root], &launch.outputs[root])
        else {
            return None;
        };
        let (shape, size) = (&launch.region.shape, kernel.dtype(*value).size());
        if launch.region.is_empty() {
            return None;
        }
        let seat = |twin: Arc<Twin>, reserved| Seat {
            device: device.clone(),
            home: Home::within(&twin, 0, result, size),
            twin,
            reserved,
            result: result.clone(),
            shape: shape.clone(),
            size,
        };
        let (from, to) = result.hull(shape, size);
        if let Some(twin) = device.pool.twin(from, to) {
            let free = twin.room && !read.iter().any(|other| Arc::ptr_eq(other, &twin));
            return free.then(|| seat(twin, 0));
        }
        let steps = strided::bytes(&c_steps(shape, |_| false), size);
        let axes = shape.iter().zip(result.strides.iter().zip(&steps));
        if axes.into_iter().any(|(&n, (own, step))| n != 1 && own != step) {
            return None;
        }
        let bytes = launch.region.len() * size;
        if device.homes == 0 || bytes > device.largest_twin() || device.pool.meets(from, to) {
            return None;
        }
        let reserved = (bytes as u64).next_multiple_of(16);
        let twin = device.reserve((from, bytes), reserved, false, false)?;
        Some(seat(Arc::new(twin), reserved))
    }

    /// The word that a piece begins at which begins at a point of the region.
    pub fn word(&self, within: &[usize]) -> u32 {
        (self.home.at(within) as usize * self.size / 4) as u32
    }

    /// Whether a piece's elements follow each other.
    pub fn is_run(&self, piece: &[usize]) -> bool {
        let own = c_steps(piece, |_| false);
        let mut axes = piece.iter().zip(self.home.steps.iter().zip(own));
        axes.all(|(&n, (&step, own))| n == 1 || step == own as isize)
    }

    /// Whether elements share words: then not every piece can be stored.
    pub fn shares_words(&self) -> bool {
        self.size < 4
    }

    /// Whether a piece that begins at a point of the region has all the words that it has a part of.
    pub fn takes(&self, within: &[usize], piece: &[usize]) -> bool {
        let per = 4usize.div_ceil(self.size);
        let words = |elements: isize| elements % per as isize == 0;
        let first = self.home.at(within);
        let end = (first as usize + piece.iter().product::<usize>()) * self.size;
        let run = self.is_run(piece) && (end.is_multiple_of(4) || end == self.twin.bytes);
        let mut long = piece.iter().zip(&self.home.steps).filter(|(n, _)| **n != 1).rev();
        let row = long.next().is_some_and(|(n, step)| *step == 1 && words(*n as isize));
        words(first) && (run || row && long.all(|(_, step)| words(*step)))
    }

    /// What holds the result, when all pieces are stored.
    pub fn taken(mut self) -> Arc<dyn Held> {
        let own = (self.reserved > 0).then_some(self.twin.start);
        if own.is_some() {
            self.device.pool.keep_twin(self.twin.clone(), std::mem::take(&mut self.reserved));
        }
        let far = Far {
            twin: self.twin.clone(),
            memory: self.result.ptr,
            shape: self.shape.clone(),
            strides: self.result.strides.clone(),
            size: self.size,
        };
        Hold::new(&self.device, own, Some(far), None)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.reserved > 0 {
            self.device.pool.unreserve(self.reserved);
        }
    }
}

/// Makes room for a block's elements, all of which are still to come; older copies make way if it lasts. `None` where [`hold`] gives none.
pub fn room(device: &Arc<Device>, block: &Block, grid: &Grid, lasts: bool) -> Option<Arc<dyn Held>> {
    let held = |(twin, size): (Twin, u64)| {
        let twin = Arc::new(twin);
        device.pool.keep_twin(twin.clone(), size);
        let far = Far {
            memory: block.as_ptr().cast_mut().wrapping_add(twin.start - block.as_ptr().addr()),
            shape: SmallVec::from_slice(&[twin.bytes]),
            strides: SmallVec::from_slice(&[1]),
            size: 1,
            twin,
        };
        Hold::new(device, Some(far.twin.start), Some(far), Some(block.clone())) as Arc<dyn Held>
    };
    together(twins_of(device, block, grid, (true, lasts))?.into_iter().map(held).collect())
}

/// Makes twins of a block, if there is room: half of the device's limit is for twins, and the oldest copies make way for new ones. `None` if it is
/// too large, not in C order, or the device has other troubles: then its elements are sent when they are needed.
pub fn hold(device: &Arc<Device>, block: &Block, grid: &Grid) -> Option<Arc<dyn Held>> {
    let twins = twins_of(device, block, grid, (false, true))?;
    let start = block.as_ptr().addr();
    let sent = twins
        .iter()
        .try_for_each(|(twin, _)| send(device, &block.bytes()[twin.start - start..][..twin.bytes], twin));
    if sent.is_err() {
        twins.iter().for_each(|(_, size)| device.pool.unreserve(*size));
        return None;
    }
    let held = |(twin, size): (Twin, u64)| {
        let own = Some(twin.start);
        device.pool.keep_twin(Arc::new(twin), size);
        Hold::new(device, own, None, Some(block.clone())) as Arc<dyn Held>
    };
    together(twins.into_iter().map(held).collect())
}

/// Empty twins of a block, each of whole chunks of the grid and with the bytes that are reserved for it.
fn twins_of(
    device: &Device,
    block: &Block,
    grid: &Grid,
    (room, evict): (bool, bool),
) -> Option<Vec<(Twin, u64)>> {
    if !block.is_contiguous() || block.is_empty() || device.homes == 0 {
        return None;
    }
    let parts = parts(block.nbytes(), grid, device.largest_twin())?;
    let size = |part: &Range<usize>| (part.len() as u64).next_multiple_of(16);
    if parts.iter().map(size).sum::<u64>() > device.pool.limit() / 2 {
        return None;
    }
    let mut twins = vec![];
    for part in parts {
        let (start, size) = (block.as_ptr().addr() + part.start, size(&part));
        match device.reserve((start, part.len()), size, room, evict) {
            Some(twin) => twins.push((twin, size)),
            None => {
                twins.iter().for_each(|(_, size)| device.pool.unreserve(*size));
                return None;
            }
        }
    }
    Some(twins)
}

/// Cuts a block of so many bytes into as few parts as there are of up to `most` bytes each: runs of its memory that have whole chunks. `None` if
/// there are none.
fn parts(bytes: usize, grid: &Grid, most: usize) -> Option<Vec<Range<usize>>> {
    // what is cut along this axis is a run
    let Some(axis) = grid.axes().iter().find(|axis| axis.len() > 1) else {
        return (bytes <= most).then(|| std::iter::once(0..bytes).collect());
    };
    let step = bytes / axis.len();
    let mut parts: Vec<Range<usize>> = vec![];
    for (start, length) in (0..axis.count()).map(|chunk| axis.bounds(chunk)) {
        let chunk = start * step..(start + length) * step;
        match parts.last_mut() {
            _ if chunk.len() > most => return None,
            Some(last) if chunk.end - last.start <= most => last.end = chunk.end,
            _ => parts.push(chunk),
        }
    }
    Some(parts)
}

impl Device {
    /// Most bytes of a twin, all of which kernels must see.
    fn largest_twin(&self) -> usize {
        (self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size) & !15) as usize
    }

    /// A twin of memory at an address, with a buffer of so many bytes, which are reserved; nothing is in it. Older copies make way for it, if they
    /// are to.
    fn reserve(&self, (start, bytes): (usize, usize), size: u64, room: bool, evict: bool) -> Option<Twin> {
        use wgpu::BufferUsages as Use;
        let usage = Use::STORAGE | Use::COPY_DST | Use::COPY_SRC;
        let (label, mapped_at_creation) = (None, false);
        let reserved = loop {
            match self.pool.reserve_twin(size, evict) {
                Some(reserved) => break reserved,
                // what is fetched may go
                None if evict => self.pool.oldest_away()?.fetch().ok()?,
                None => return None,
            }
        };
        let buffer = match reserved {
            Some(buffer) => Ok(buffer),
            None => self.checked("allocating buffers", || {
                self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation })
            }),
        };
        match buffer {
            Ok(buffer) => Some(Twin { start, bytes, buffer, room }),
            Err(_) => {
                self.pool.unreserve(size);
                // there is less than the limit says
                if evict && self.pool.make_way() {
                    return self.reserve((start, bytes), size, room, evict);
                }
                None
            }
        }
    }

    /// Bytes of a twin that are on their way at once.
    fn step(&self) -> usize {
        STEP.min(self.pool.limit() as usize / 16).next_power_of_two().max(4096)
    }
}

/// Sends elements to their twin: one step is written while the one before is on its way.
fn send(device: &Device, elements: &[u8], twin: &Twin) -> Result<()> {
    let step = device.step();
    let size = Size::of(step as u64, 0);
    let Some(staging) = device.pool.take(device, size, true)? else {
        return Err(device.error(KEEPING, "there is no memory for the way"));
    };
    let mut stagings = vec![staging];
    if elements.len() > step {
        stagings.extend(device.pool.take(device, size, false).ok().flatten());
    }
    let upload = || -> Result<()> {
        for (k, part) in elements.chunks(step).enumerate() {
            let (upload, padded) =
                (&stagings[k % stagings.len()].upload, (part.len() as u64).next_multiple_of(8));
            // waits until what was written before has gone
            device.writable(upload, padded)?.slice(..part.len()).copy_from_slice(part);
            device.checked(KEEPING, || {
                upload.unmap();
                let mut encoder = device.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(upload, 0, &twin.buffer, (k * step) as u64, padded);
                device.queue.submit([encoder.finish()]);
            })?;
            device.sent(part.len() as u64);
        }
        Ok(())
    };
    let done = upload();
    for staging in stagings {
        match done {
            // whoever takes it next waits until it can be written
            Ok(()) => device.pool.give(staging),
            Err(_) => device.pool.forget(staging),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_whole_chunks() {
        let of = |shape: &[usize], chunk: &[usize], most| {
            let parts = parts(4 * shape.iter().product::<usize>(), &Grid::regular(shape, chunk), most)?;
            Some(parts.into_iter().map(|part| (part.start, part.end)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[10, 5], &[3, 2], 200), Some(vec![(0, 200)]));
        assert_eq!(of(&[10, 5], &[3, 2], 199), Some(vec![(0, 180), (180, 200)]));
        assert_eq!(of(&[10, 5], &[3, 2], 120), Some(vec![(0, 120), (120, 200)]));
        assert_eq!(of(&[10, 5], &[3, 2], 60), Some(vec![(0, 60), (60, 120), (120, 180), (180, 200)]));
        assert_eq!(of(&[10, 5], &[3, 2], 59), None);
        // what is longer than one element is cut
        assert_eq!(of(&[1, 1, 4, 2], &[1, 1, 1, 2], 16), Some(vec![(0, 16), (16, 32)]));
        assert_eq!((of(&[], &[], 4), of(&[1], &[1], 3)), (Some(vec![(0, 4)]), None));
    }
}
