//! An open adapter: submits, waits, and turns what goes wrong into typed errors.

use super::adapters::Adapter;
use super::arithmetic::Arithmetic;
use super::pipelines::Pipelines;
use super::pool::{Buffers, Pool, Size};

use super::resident::{MOST_HOMES, Twin};
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Features of adapters that are used where they are offered.
const WELCOME: wgpu::Features =
    wgpu::Features::SHADER_F64.union(wgpu::Features::SHADER_INT64).union(wgpu::Features::PIPELINE_CACHE);

/// Most bytes of the buffers of one piece: larger ones gain nothing and overlap less.
const LARGEST_PIECE: u64 = 128 << 20;

/// A device with the layout that all kernels share and its pool of buffers.
pub struct Device {
    pub adapter: Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    pub bindings: wgpu::BindGroupLayout,
    pub pipelines: wgpu::PipelineLayout,
    pub pool: Pool,
    /// Bindings for twins.
    pub homes: usize,
    /// Bytes of elements that were sent, and that came back.
    sent: AtomicU64,
    received: AtomicU64,
    /// What was compiled, if it is kept.
    compiled: Option<Pipelines>,
    /// What it computes natively.
    pub arithmetic: Arithmetic,
    failure: Arc<Mutex<Option<String>>>,
}

/// Waits for a future that needs nothing but to be asked again: those of native adapters.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(out) => return out,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

impl Device {
    /// Opens an adapter; the device's memory limit in bytes. Without native arithmetic, if that is not wanted.
    pub fn open(adapter: &Adapter, limits: wgpu::Limits, memory_limit: u64, native: bool) -> Result<Device> {
        let refused = |e: &dyn std::fmt::Display| -> Error {
            let message = format!("{e}; choose another of blockwise::devices(), or Device::cpu()");
            ErrorKind::Device { device: adapter.name.clone(), action: "opening", message }.into()
        };
        let request = wgpu::DeviceDescriptor {
            label: Some("blockwise"),
            required_features: if native {
                adapter.handle.features() & WELCOME
            } else {
                wgpu::Features::empty()
            },
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = wait(adapter.handle.request_device(&request)).map_err(|e| refused(&e))?;
        let failure = Arc::new(Mutex::new(None));
        let keep = |failure: &Arc<Mutex<Option<String>>>, message: String| {
            failure.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(message);
        };
        let lost = failure.clone();
        device.set_device_lost_callback(move |_, message| {
            keep(&lost, format!("the device was lost: {message}"))
        });
        let uncaptured = failure.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| keep(&uncaptured, e.to_string())));
        let entry = |binding, read_only| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let homes = (limits.max_storage_buffers_per_shader_stage as usize).clamp(3, 3 + MOST_HOMES) - 3;
        let entries: Vec<_> = (0..3 + homes as u32).map(|binding| entry(binding, binding != 2)).collect();
        let bindings = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipelines = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            ..Default::default()
        });
        let pool = Pool::new(memory_limit);
        let arithmetic = Arithmetic::default();
        let adapter = adapter.clone();
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut opened = Device {
            adapter,
            device,
            queue,
            limits,
            bindings,
            pipelines,
            pool,
            homes,
            sent,
            received,
            compiled: None,
            arithmetic,
            failure,
        };
        opened.compiled = config::cache_dir().and_then(|dir| Pipelines::open(&opened, &dir));
        if native {
            let probed = opened.adapter.arithmetic.get_or_init(|| Arithmetic::probe(&opened));
            opened.arithmetic = probed.clone();
        }
        Ok(opened)
    }

    /// Counts bytes of elements that were sent; all so far.
    pub fn sent(&self, bytes: u64) -> u64 {
        self.sent.fetch_add(bytes, Relaxed) + bytes
    }

    /// Counts bytes of results that came back; all so far.
    pub fn received(&self, bytes: u64) -> u64 {
        self.received.fetch_add(bytes, Relaxed) + bytes
    }

    /// A bind group: parameters, inputs, results, and the twins that are read.
    pub fn bind(&self, parts: [wgpu::BufferBinding<'_>; 3], twins: &[Arc<Twin>]) -> wgpu::BindGroup {
        let unused = parts[0].clone();
        let twins = twins.iter().map(|twin| twin.buffer.as_entire_buffer_binding());
        let all = parts.into_iter().chain(twins).chain(std::iter::repeat(unused)).take(3 + self.homes);
        let entry = |(resource, binding)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(resource),
        };
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.bindings,
            entries: &all.zip(0..).map(entry).collect::<Vec<_>>(),
        })
    }

    /// Whether it has 64-bit integers, and doubles.
    pub fn wide(&self) -> (bool, bool) {
        let features = self.device.features();
        (features.contains(wgpu::Features::SHADER_INT64), features.contains(wgpu::Features::SHADER_F64))
    }

    /// A pipeline of a module.
    pub fn pipeline(&self, text: &str) -> Result<wgpu::ComputePipeline> {
        let made = self.checked("compiling a kernel", || {
            let source = wgpu::ShaderSource::Wgsl(text.into());
            let (shader, checks) = (
                wgpu::ShaderModuleDescriptor { label: None, source },
                wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() },
            );
            // SAFETY: all loops of the library and of what is generated end.
            let shader = unsafe { self.device.create_shader_module_trusted(shader, checks) };
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&self.pipelines),
                module: &shader,
                entry_point: Some("main"),
                compilation_options: Default::default(),
                cache: self.compiled.as_ref().map(Pipelines::cache),
            })
        });
        if let (Ok(_), Some(compiled)) = (&made, &self.compiled) {
            compiled.made();
        }
        made
    }

    /// Runs a module once whose parameters are zeros and whose one result is so many words.
    pub fn run_once(&self, text: &str, words: usize, groups: u32) -> Result<Vec<u32>> {
        let pipeline = self.pipeline(text)?;
        let size = Size::of(64, 4 * words as u64);
        let buffers = self.checked("allocating buffers", || Buffers::new(&self.device, size))?;
        let mapping = self.checked("running a kernel", || {
            let parts = [&buffers.input, &buffers.input, &buffers.output];
            let group = self.bind(parts.map(|buffer| buffer.as_entire_buffer_binding()), &[]);
            let mut encoder = self.device.create_command_encoder(&Default::default());
            encoder.clear_buffer(&buffers.input, 0, None);
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
            drop(pass);
            encoder.copy_buffer_to_buffer(&buffers.output, 0, &buffers.download, 0, 4 * words as u64);
            self.submit_and_map(encoder, &buffers.download, (4 * words as u64).next_multiple_of(8))
        })?;
        self.mapped(&mapping, "running a kernel")?;
        let view = self.readable(&buffers.download, (4 * words as u64).next_multiple_of(8))?;
        let word =
            |k: usize| view.get(4 * k..4 * k + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok((0..words).map(word).collect())
    }

    /// An [`ErrorKind::Device`].
    pub fn error(&self, action: &'static str, message: impl Into<String>) -> Error {
        ErrorKind::Device { device: self.adapter.name.clone(), action, message: message.into() }.into()
    }

    /// Does something and returns what the device has against it, if anything.
    pub fn checked<T>(&self, action: &'static str, f: impl FnOnce() -> T) -> Result<T> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [OutOfMemory, Validation, Internal].map(|filter| self.device.push_error_scope(filter));
        let out = f();
        let mut found = None;
        for scope in scopes.into_iter().rev() {
            found = found.or(wait(scope.pop()));
        }
        match found {
            Some(wgpu::Error::OutOfMemory { source }) => {
                let hint = "lower BLOCKWISE_DEVICE_MEMORY_LIMIT or Gpu::builder().memory_limit";
                Err(self.error(action, format!("out of memory ({source}); {hint}")))
            }
            Some(e) => Err(self.error(action, e.to_string())),
            None => self.alive(action).map(|()| out),
        }
    }

    /// Whether the device has not been lost.
    pub fn alive(&self, action: &'static str) -> Result<()> {
        match &*self.failure.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(message) => Err(self.error(action, message.clone())),
            None => Ok(()),
        }
    }

    /// Submits commands, and asks for the first bytes of a buffer to be mapped for reading when they are done.
    pub fn submit_and_map(
        &self,
        encoder: wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        bytes: u64,
    ) -> Mapping {
        let after = Some(self.queue.submit([encoder.finish()]));
        Mapping { after, ..Mapping::of(buffer, wgpu::MapMode::Read, bytes) }
    }

    /// Waits for a buffer's first bytes to be writable.
    pub fn writable(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<wgpu::BufferViewMut> {
        let action = "mapping a buffer";
        let mapping = self.checked(action, || Mapping::of(buffer, wgpu::MapMode::Write, bytes))?;
        self.mapped(&mapping, action)?;
        let view = buffer.slice(..bytes).get_mapped_range_mut();
        view.map_err(|e| self.error(action, e.to_string()))
    }

    /// The first bytes of a buffer that is mapped.
    pub fn readable(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<wgpu::BufferView> {
        let view = buffer.slice(..bytes).get_mapped_range();
        view.map_err(|e| self.error("reading results", e.to_string()))
    }

    /// Whether buffers are allowed, and so many sets of them fit the memory limit.
    pub fn fits(&self, size: Size, sets: usize) -> bool {
        let binding = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        size.total() <= (self.pool.room() / sets as u64).min(LARGEST_PIECE) && size.largest() <= binding
    }

    /// Waits until a buffer is mapped, and for nothing that was submitted later.
    pub fn mapped(&self, mapping: &Mapping, action: &'static str) -> Result<()> {
        // looks first, then waits
        let (mut poll, mut patience) = (wgpu::PollType::Poll, Duration::ZERO);
        loop {
            // a timeout is no failure: kernels may take long
            _ = self.device.poll(poll);
            let (submission_index, timeout) = (mapping.after.clone(), Some(Duration::from_secs(1)));
            poll = wgpu::PollType::Wait { submission_index, timeout };
            match mapping.answer.recv_timeout(std::mem::replace(&mut patience, Duration::from_millis(1))) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(e)) => {
                    self.alive(action)?;
                    return Err(self.error(action, e.to_string()));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.alive(action)?,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.alive(action)?;
                    return Err(self.error(action, "the device gave no answer"));
                }
            }
        }
    }
}

/// A buffer that is to be mapped.
pub struct Mapping {
    /// The submission that it waits for; those so far, if that is not known.
    after: Option<wgpu::SubmissionIndex>,
    /// Comes while someone polls.
    answer: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Mapping {
    fn of(buffer: &wgpu::Buffer, mode: wgpu::MapMode, bytes: u64) -> Mapping {
        let (sender, answer) = mpsc::channel();
        buffer.slice(..bytes).map_async(mode, move |answer| _ = sender.send(answer));
        Mapping { after: None, answer }
    }
}
