//! Blocks that stay on the device: copies of the host's memory, which kernels read instead of having it sent.
//!
//! A twin is known by the address of the memory that it is a copy of: an operand that lies inside reads the twin. The host's memory stays valid,
//! so a twin may go at any time: whatever does not find it sends what it needs.

use super::device::Device;
use super::pool::Size;
use crate::backend::{Held, Launch, Operand};
use crate::block::Block;
use crate::error::Result;
use smallvec::SmallVec;
use std::sync::Arc;

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
#[derive(Clone, Default)]
pub struct Homes {
    pub twins: Vec<Arc<Twin>>,
    pub inputs: Vec<Option<Home>>,
}

impl Homes {
    /// Of the inputs of a launch, whose elements have these sizes.
    pub fn of(device: &Device, launch: &Launch<'_>, sizes: impl Iterator<Item = usize>) -> Homes {
        let mut homes = Homes::default();
        for (operand, size) in launch.inputs.iter().zip(sizes) {
            let home = homes.home(device, launch, operand, size);
            homes.inputs.push(home);
        }
        homes
    }

    fn home(&mut self, device: &Device, launch: &Launch<'_>, operand: &Operand, size: usize) -> Option<Home> {
        let (from, to) = operand.hull(&launch.region.shape, size);
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
    block: Block,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.device.pool.drop_twin(self.block.as_ptr().addr());
    }
}

/// Makes a twin of a block, if there is room: half of the device's limit is for twins, and the oldest make room for new ones. `None` if it is
/// too large, not in C order, or the device has other troubles: then its elements are sent when they are needed.
pub fn hold(device: &Arc<Device>, block: &Block) -> Option<Held> {
    let most = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
    let size = (block.nbytes() as u64).next_multiple_of(16);
    if device.homes == 0 || !block.is_contiguous() || block.is_empty() || size > most {
        return None;
    }
    let reserved = device.pool.reserve_twin(size);
    let twin = reserved.then(|| make(device, block, size))?;
    match twin {
        Ok(twin) => {
            device.pool.keep_twin(Arc::new(twin), size);
            Some(Arc::new(Hold { device: device.clone(), block: block.clone() }))
        }
        Err(_) => {
            device.pool.unreserve(size);
            None
        }
    }
}

fn make(device: &Device, block: &Block, size: u64) -> Result<Twin> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    let buffer = device.checked("allocating buffers", || device.device.create_buffer(&descriptor))?;
    let step = STEP.min(device.pool.limit() as usize / 16).next_power_of_two().max(4096);
    let Some(staging) = device.pool.take(device, Size::of(step as u64, 0), true)? else {
        return Err(device.error("keeping a block", "there is no memory for the way"));
    };
    let upload = || -> Result<()> {
        for (k, part) in block.bytes().chunks(step).enumerate() {
            let padded = (part.len() as u64).next_multiple_of(8);
            let action = "keeping a block";
            let mapping =
                device.checked(action, || device.map(&staging.upload, wgpu::MapMode::Write, padded))?;
            device.mapped(&mapping, action)?;
            {
                let view = staging.upload.slice(..padded).get_mapped_range_mut();
                let mut view = view.map_err(|e| device.error(action, e.to_string()))?;
                view.slice(..part.len()).copy_from_slice(part);
            }
            device.checked(action, || {
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
