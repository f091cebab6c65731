//! An open adapter: submits, waits, and turns what goes wrong into typed errors.

use super::adapters::Adapter;
use super::pool::Pool;
use crate::error::{Error, ErrorKind, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A device with the layout that all kernels share and its pool of buffers.
pub struct Device {
    pub adapter: Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    pub bindings: wgpu::BindGroupLayout,
    pub pipelines: wgpu::PipelineLayout,
    pub pool: Pool,
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
    /// Opens an adapter; the device's memory limit in bytes.
    pub fn open(adapter: &Adapter, limits: wgpu::Limits, memory_limit: u64) -> Result<Device> {
        let refused = |e: &dyn std::fmt::Display| -> Error {
            let message = format!("{e}; choose another of blockwise::devices(), or Device::cpu()");
            ErrorKind::Device { device: adapter.name.clone(), action: "opening", message }.into()
        };
        let request = wgpu::DeviceDescriptor {
            label: Some("blockwise"),
            required_features: wgpu::Features::empty(),
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
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0, true), entry(1, true), entry(2, false)],
        });
        let pipelines = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            ..Default::default()
        });
        let pool = Pool::new(memory_limit);
        Ok(Device { adapter: adapter.clone(), device, queue, limits, bindings, pipelines, pool, failure })
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

    /// Asks for the first bytes of a buffer to be mapped; the answer comes by the channel while someone polls.
    pub fn map(&self, buffer: &wgpu::Buffer, mode: wgpu::MapMode, bytes: u64) -> Mapping {
        let (sender, receiver) = mpsc::channel();
        buffer.slice(..bytes).map_async(mode, move |answer| _ = sender.send(answer));
        receiver
    }

    /// Waits until a buffer is mapped.
    pub fn mapped(&self, mapping: &Mapping, action: &'static str) -> Result<()> {
        loop {
            let poll = wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(1)) };
            // a timeout is no failure: kernels may take long
            _ = self.device.poll(poll);
            match mapping.recv_timeout(Duration::from_millis(1)) {
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

/// The answer to [`Device::map`].
pub type Mapping = mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>;
