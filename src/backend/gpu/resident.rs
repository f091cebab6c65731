//! Blocks that stay on the device: copies of the host's memory, which kernels read instead of having it sent.
//!
//! A twin is known by the address of the memory that it is a copy of: an operand that lies inside reads the twin. The host's memory stays valid,
//! so a twin may go at any time: whatever does not find it sends what it needs.

use super::device::Device;
use super::geometry::c_steps;
use super::pool::Size;
use super::strided;
use crate::backend::{Held, Launch, Operand, Output};
use crate::block::Block;
use crate::error::Result;
use crate::ir::{Kernel, Root};
use crate::shape::Region;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Most twins that one kernel reads; operands in others are sent.
pub const MOST_HOMES: usize = 4;

/// Bytes that go to a twin at a time.
const STEP: usize = 16 << 20;

/// A copy of a block's memory.
pub struct Twin {
    /// The address of the memory.
    pub start: usize,
    /// Bytes of it.
    pub bytes: usize,
    /// The copy.
    pub buffer: wgpu::Buffer,
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
    /// What becomes a twin of the launch's one result.
    pub result: Option<Seed>,
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
        let elements = |bytes: isize| bytes / size as isize;
        let first = elements(operand.ptr.addr().wrapping_sub(twin.start) as isize);
        Some(Home { slot, first, steps: operand.strides.iter().map(|&s| elements(s)).collect() })
    }

    /// The bindings of inputs, by number: what a kernel's text depends on.
    pub fn slots(&self) -> SmallVec<[Option<u8>; 6]> {
        self.inputs.iter().map(|home| home.as_ref().map(|h| h.slot as u8)).collect()
    }
}

/// Gives a twin back when dropped; until then its memory stays as it is.
struct Hold {
    device: Arc<Device>,
    start: usize,
    /// The memory, if nobody else sees to it.
    _block: Option<Block>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.device.pool.drop_twin(self.start);
    }
}

/// A twin in the making: pieces of a launch copy to it what they come to.
pub struct Seed {
    device: Arc<Device>,
    twin: Option<Arc<Twin>>,
    /// Bytes that are reserved for it, until it is a twin.
    size: u64,
    /// Bytes of an element.
    element: usize,
    /// Whether a piece could not be copied.
    broken: AtomicBool,
}

impl Seed {
    /// Of the one store of a launch, if its memory is in C order and there is room beside what is there.
    pub fn new(device: &Arc<Device>, kernel: &Kernel, launch: &Launch<'_>) -> Option<Seed> {
        let ([Root::Store { value }], [Output::Store(operand)]) = (kernel.roots(), launch.outputs) else {
            return None;
        };
        let (shape, element) = (&launch.region.shape, kernel.dtype(*value).size());
        let steps = strided::bytes(&c_steps(shape, |_| false), element);
        let axes = shape.iter().zip(operand.strides.iter().zip(&steps));
        if launch.region.is_empty() || axes.into_iter().any(|(&n, (own, step))| n != 1 && own != step) {
            return None;
        }
        let bytes = launch.region.len() * element;
        let size = device.twin_size(bytes)?;
        if !device.pool.reserve_spare(size) {
            return None;
        }
        let (start, broken) = (operand.ptr.addr(), AtomicBool::new(false));
        let mut seed = Seed { device: device.clone(), twin: None, size, element, broken };
        let buffer = device.checked("allocating buffers", || device.twin_buffer(size)).ok()?;
        seed.twin = Some(Arc::new(Twin { start, bytes, buffer }));
        Some(seed)
    }

    /// Copies a piece's result, which begins at a word of a buffer.
    pub fn copy(
        &self,
        (region, piece): (&Region, &Region),
        encoder: &mut wgpu::CommandEncoder,
        (from, word): (&wgpu::Buffer, usize),
    ) {
        let Some(twin) = &self.twin else { return };
        let (whole, shape) = (&region.shape, &piece.shape);
        // a run of the region: of one axis, with one step of those before and all of those behind
        let cut = (0..whole.len()).rfind(|&a| shape[a] != whole[a]);
        let is_run = cut.is_none_or(|cut| shape[..cut].iter().all(|n| *n == 1));
        let ahead = piece.start.iter().zip(&region.start).zip(c_steps(whole, |_| false));
        let first = ahead.map(|((p, r), step)| (p - r) * step).sum::<usize>() * self.element;
        let bytes = piece.len() * self.element;
        // what follows the last element is nobody's
        let bytes = if first + bytes == twin.bytes { bytes.next_multiple_of(4) } else { bytes };
        if is_run && first.is_multiple_of(4) && bytes.is_multiple_of(4) {
            encoder.copy_buffer_to_buffer(from, 4 * word as u64, &twin.buffer, first as u64, bytes as u64);
        } else {
            self.broken.store(true, Relaxed);
        }
    }

    /// The twin, when all pieces have come back.
    pub fn grown(mut self) -> Option<Held> {
        let twin = if self.broken.load(Relaxed) { None } else { self.twin.take() }?;
        let start = twin.start;
        self.device.pool.keep_twin(twin, std::mem::take(&mut self.size));
        Some(Arc::new(Hold { device: self.device.clone(), start, _block: None }))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if self.size > 0 {
            self.device.pool.unreserve(self.size);
        }
    }
}

/// Makes a twin of a block, if there is room: half of the device's limit is for twins, and the oldest make room for new ones. `None` if it is
/// too large, not in C order, or the device has other troubles: then its elements are sent when they are needed.
pub fn hold(device: &Arc<Device>, block: &Block) -> Option<Held> {
    if !block.is_contiguous() || block.is_empty() {
        return None;
    }
    let size = device.twin_size(block.nbytes())?;
    let reserved = device.pool.reserve_twin(size);
    let twin = reserved.then(|| make(device, block, size))?;
    match twin {
        Ok(twin) => {
            device.pool.keep_twin(Arc::new(twin), size);
            let (start, _block) = (block.as_ptr().addr(), Some(block.clone()));
            Some(Arc::new(Hold { device: device.clone(), start, _block }))
        }
        Err(_) => {
            device.pool.unreserve(size);
            None
        }
    }
}

impl Device {
    /// Bytes of a twin's buffer; `None` if kernels could not read it.
    fn twin_size(&self, bytes: usize) -> Option<u64> {
        let most = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        let size = (bytes as u64).next_multiple_of(16);
        (self.homes > 0 && size <= most).then_some(size)
    }

    fn twin_buffer(&self, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    }
}

fn make(device: &Device, block: &Block, size: u64) -> Result<Twin> {
    let buffer = device.checked("allocating buffers", || device.twin_buffer(size))?;
    let step = STEP.min(device.pool.limit() as usize / 16).next_power_of_two().max(4096);
    let Some(staging) = device.pool.take(device, Size::of(step as u64, 0), true)? else {
        return Err(device.error("keeping a block", "there is no memory for the way"));
    };
    let upload = || -> Result<()> {
        for (k, part) in block.bytes().chunks(step).enumerate() {
            let padded = (part.len() as u64).next_multiple_of(8);
            device.writable(&staging.upload, padded)?.slice(..part.len()).copy_from_slice(part);
            device.checked("keeping a block", || {
                staging.upload.unmap();
                let mut encoder = device.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(&staging.upload, 0, &buffer, (k * step) as u64, padded);
                device.queue.submit([encoder.finish()]);
            })?;
            device.sent(part.len() as u64);
        }
        Ok(())
    };
    let done = upload();
    match done {
        // whoever takes it next waits until it can be written
        Ok(()) => device.pool.give(staging),
        Err(_) => device.pool.forget(staging),
    }
    done.map(|()| Twin { start: block.as_ptr().addr(), bytes: block.nbytes(), buffer })
}
