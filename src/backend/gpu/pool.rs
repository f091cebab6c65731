//! Buffers of a device: those that pieces pass through are reused, twins of the host's memory stay; all are counted against its memory limit.

use super::device::Device;
use super::resident::{Hold, Twin};
use crate::error::{ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

/// The buffers that a piece passes through.
pub struct Buffers {
    /// Where the host writes.
    pub upload: wgpu::Buffer,
    /// What kernels read.
    pub input: wgpu::Buffer,
    /// What kernels write.
    pub output: wgpu::Buffer,
    /// Where the host reads.
    pub download: wgpu::Buffer,
    size: Size,
}

/// Bytes of the buffers up and down, each a power of two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    up: u64,
    down: u64,
}

impl Size {
    /// Of buffers for so many bytes.
    pub fn of(up: u64, down: u64) -> Size {
        let size = |n: u64| n.max(4096).next_power_of_two();
        Size { up: size(up), down: size(down) }
    }

    /// Bytes of all buffers.
    pub fn total(self) -> u64 {
        2 * (self.up + self.down)
    }

    /// The larger of the buffers.
    pub fn largest(self) -> u64 {
        self.up.max(self.down)
    }
}

/// Free buffers and the count of all.
pub struct Pool {
    limit: u64,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    free: Vec<Buffers>,
    /// Buffers of twins that are gone, with their bytes.
    spare: Vec<(wgpu::Buffer, u64)>,
    /// By the address of what they stand for.
    twins: BTreeMap<usize, Kept>,
    /// Addresses of twins, the one that was last read last.
    order: Vec<usize>,
    used: u64,
    /// Bytes of twins, those that are being made included.
    resident: u64,
    peak: u64,
}

struct Kept {
    twin: Arc<Twin>,
    /// Bytes of its buffer.
    size: u64,
    /// What can bring its elements to the host, if it is all there is of them.
    hold: Weak<Hold>,
}

impl State {
    /// Lets go of the twin that was not read for longest and that nobody reads now.
    fn evict(&mut self) -> bool {
        let idle =
            |start: &&usize| self.twins.get(start).is_none_or(|kept| Arc::strong_count(&kept.twin) == 1);
        let Some(start) = self.order.iter().find(idle).copied() else { return false };
        self.remove(start);
        true
    }

    fn remove(&mut self, start: usize) {
        self.order.retain(|s| *s != start);
        if let Some(Kept { twin, size, .. }) = self.twins.remove(&start) {
            self.resident -= size;
            match Arc::into_inner(twin) {
                Some(twin) => self.spare.push((twin.buffer, size)),
                // it goes with whoever still reads it
                None => self.used -= size,
            }
        }
    }

    /// Lets go of a buffer that nothing uses; whether there was one.
    fn shrink(&mut self) -> bool {
        if let Some((buffer, size)) = self.spare.pop() {
            buffer.destroy();
            self.used -= size;
            return true;
        }
        let Some(buffers) = self.free.pop() else { return false };
        self.used -= buffers.size.total();
        buffers.destroy();
        true
    }

    /// Lets go of something that nothing uses; whether there was anything.
    fn make_way(&mut self) -> bool {
        self.shrink() || self.evict()
    }

    fn take(&mut self, size: u64) {
        self.used += size;
        self.peak = self.peak.max(self.used);
    }
}

impl Pool {
    /// A pool of up to so many bytes.
    pub fn new(limit: u64) -> Pool {
        Pool { limit, state: Mutex::default(), returned: Condvar::new() }
    }

    /// Most bytes at once.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Most bytes that there have been at once.
    pub fn peak(&self) -> u64 {
        self.lock().peak
    }

    /// Buffers of a size, when the limit allows: `None` if it does not now and `patient` is false.
    pub fn take(&self, device: &Device, size: Size, patient: bool) -> Result<Option<Buffers>> {
        let make = || device.checked("allocating buffers", || Buffers::new(&device.device, size));
        self.take_or_make(device, size, patient, make)
    }

    /// The same where buffers are made by a function, which may fail for want of memory.
    pub fn take_or_make(
        &self,
        device: &Device,
        size: Size,
        patient: bool,
        make: impl Fn() -> Result<Buffers>,
    ) -> Result<Option<Buffers>> {
        if size.total() > self.limit {
            return Err(ErrorKind::MemoryLimit {
                op: format!("a kernel on {}", device.adapter.name),
                needed: size.total(),
                limit: self.limit,
                chunks: "one point".into(),
            }
            .into());
        }
        let mut state = self.lock();
        loop {
            if let Some(k) = state.free.iter().position(|b| b.size == size) {
                return Ok(Some(state.free.swap_remove(k)));
            }
            while state.used + size.total() > self.limit && state.shrink() {}
            if state.used + size.total() <= self.limit {
                state.take(size.total());
                drop(state);
                let error = match make() {
                    Ok(made) => return Ok(Some(made)),
                    Err(e) => e,
                };
                state = self.lock();
                state.used -= size.total();
                // there is less than the limit says: what nobody uses makes way
                if state.make_way() {
                    continue;
                }
                self.returned.notify_all();
                return Err(error);
            }
            if !patient {
                return Ok(None);
            }
            if state.evict() {
                continue;
            }
            state = self.returned.wait(state).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Takes buffers back that nothing uses any more.
    pub fn give(&self, buffers: Buffers) {
        self.lock().free.push(buffers);
        self.returned.notify_all();
    }

    /// Takes buffers back that nothing uses any more, and whose state is known if something went well.
    pub fn done(&self, buffers: Buffers, outcome: Result<()>) -> Result<()> {
        match outcome {
            Ok(()) => self.give(buffers),
            Err(_) => self.forget(buffers),
        }
        outcome
    }

    /// Forgets buffers whose state is not known.
    pub fn forget(&self, buffers: Buffers) {
        self.lock().used -= buffers.size.total();
        buffers.destroy();
        self.returned.notify_all();
    }

    /// Bytes of twins.
    pub fn resident(&self) -> u64 {
        self.lock().resident
    }

    /// Bytes that are not for twins.
    pub fn room(&self) -> u64 {
        self.limit - self.lock().resident.min(self.limit / 2)
    }

    /// The twin of memory that holds these addresses.
    pub fn twin(&self, from: usize, to: usize) -> Option<Arc<Twin>> {
        let mut state = self.lock();
        let (start, kept) = state.twins.range(..=from).next_back()?;
        let (start, twin) = (*start, kept.twin.clone());
        if to > start + twin.bytes {
            return None;
        }
        state.order.retain(|s| *s != start);
        state.order.push(start);
        Some(twin)
    }

    /// Whether any twin is of memory between these addresses.
    pub fn meets(&self, from: usize, to: usize) -> bool {
        let state = self.lock();
        state.twins.range(..to).next_back().is_some_and(|(start, kept)| start + kept.twin.bytes > from)
    }

    /// Makes room for a twin of so many bytes, of older ones if they are to make way; `None` if there is none. With a buffer, if one is left over.
    pub fn reserve_twin(&self, size: u64, evict: bool) -> Option<Option<wgpu::Buffer>> {
        let mut state = self.lock();
        while state.resident + size > self.limit / 2 {
            if !(evict && state.evict()) {
                return None;
            }
        }
        // it counts already
        if let Some(k) = state.spare.iter().position(|(_, spare)| *spare == size) {
            state.resident += size;
            return Some(Some(state.spare.swap_remove(k).0));
        }
        while state.used + size > self.limit {
            if !evict && state.spare.is_empty() || !state.shrink() {
                return None;
            }
        }
        state.take(size);
        state.resident += size;
        Some(None)
    }

    /// Lets go of something that nothing uses; whether there was anything.
    pub fn make_way(&self) -> bool {
        self.lock().make_way()
    }

    /// Gives room back that was reserved.
    pub fn unreserve(&self, size: u64) {
        let mut state = self.lock();
        state.used -= size;
        state.resident -= size;
        self.returned.notify_all();
    }

    /// Keeps a twin for which there is room.
    pub fn keep_twin(&self, twin: Arc<Twin>, size: u64) {
        let mut state = self.lock();
        let start = twin.start;
        state.remove(start);
        state.order.push(start);
        state.twins.insert(start, Kept { twin, size, hold: Weak::new() });
    }

    /// Notes what can bring a twin's elements to the host.
    pub fn held_by(&self, start: usize, hold: Weak<Hold>) {
        if let Some(kept) = self.lock().twins.get_mut(&start) {
            kept.hold = hold;
        }
    }

    /// What can bring the elements to the host of the twin that was not read for longest, of those that are all there is of theirs.
    pub fn oldest_away(&self) -> Option<Arc<Hold>> {
        let state = self.lock();
        let hold = |start| state.twins.get(start)?.hold.upgrade();
        let holds: Vec<Arc<Hold>> = state.order.iter().filter_map(hold).collect();
        // whoever fetches one needs the pool
        drop(state);
        holds.into_iter().find(|hold| hold.is_away())
    }

    /// Lets go of a twin.
    pub fn drop_twin(&self, start: usize) {
        self.lock().remove(start);
        self.returned.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Buffers {
    /// New ones, counted by nobody.
    pub fn new(device: &wgpu::Device, size: Size) -> Buffers {
        use wgpu::BufferUsages as Use;
        let make = |bytes, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        };
        Buffers {
            upload: make(size.up, Use::MAP_WRITE | Use::COPY_SRC),
            input: make(size.up, Use::STORAGE | Use::COPY_DST | Use::COPY_SRC),
            output: make(size.down, Use::STORAGE | Use::COPY_SRC | Use::COPY_DST),
            download: make(size.down, Use::MAP_READ | Use::COPY_DST),
            size,
        }
    }

    fn destroy(&self) {
        [&self.upload, &self.input, &self.output, &self.download].iter().for_each(|b| b.destroy());
    }
}
