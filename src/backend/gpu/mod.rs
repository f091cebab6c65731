//! The GPU backend: kernels as WGSL, run through Vulkan, Metal or DirectX 12.
//!
//! A kernel becomes one compute pass for all its stores, one for each set of axes that it reduces over, one for each slot that it folds by, one for
//! each selection (`passes`), as text put together from the functions of `shaders/` (`wgsl`). A launch is cut into boxes that fit the device's memory limit (`geometry`, `job`); each goes
//! up through a pooled buffer, through the passes, and back, while the next is on its way (`compiled`, `pool`, `results`).
//!
//! **No optional feature of an adapter is needed.** All dtypes lie in words; 64-bit integers and `f64` are computed in pairs of words,
//! `f32` natively where operands and result are normal numbers and in integers elsewhere. So subnormals, NaN, signs of zero and rounding
//! are the definition's on every adapter, whatever its compiler makes of floats. Where the adapter's own arithmetic is right, which a probe finds
//! out when it is first opened (`arithmetic`), that is used instead.
//!
//! **Invariant:** kernels bind three buffers (parameters, inputs that are sent, results) and up to four of blocks that stay on the device
//! (`resident`), however many operands they have.
//!
//! **Invariant:** a launch that fails leaves what it folds into as it was, so that it can be done again elsewhere. (Sums of products that stay are gone
//! with the device; their task is done again.)

mod adapters;
mod arithmetic;
mod compiled;
mod device;
mod geometry;
mod job;
mod passes;
mod pipelines;
mod pool;
mod product;
mod resident;
mod results;
mod running;
mod speeds;
mod strided;
#[cfg(test)]
mod tests;
mod wgsl;

pub use adapters::{Adapter, devices};
pub use arithmetic::Arithmetic;
pub use speeds::Speeds;

use super::{Backend, Executable, Multiply, Running};
use crate::block::{Block, Held};
use crate::config::{self, IntoBytes};
use crate::dtype::DType;
use crate::error::Result;
use crate::ir::Kernel;
use crate::op::ReduceOp;
use crate::shape::Grid;
use device::Device;
use std::fmt;
use std::sync::Arc;

/// Runs kernels on a GPU.
///
/// ```
/// use blockwise::backend::{Backend, gpu::Gpu};
/// match Gpu::builder().memory_limit("256MiB").build() {
///     Ok(gpu) => println!("{}", gpu.name()),
///     Err(why) => println!("{why}"),
/// }
/// ```
#[derive(Clone)]
pub struct Gpu {
    device: Arc<Device>,
}

/// Builds a [`Gpu`].
#[derive(Default)]
pub struct GpuBuilder {
    number: usize,
    memory_limit: Option<Result<u64>>,
    binding_limit: Option<Result<u64>>,
    smallest: bool,
    integers: bool,
}

impl GpuBuilder {
    /// Which of [`devices`]. Default: the first.
    pub fn number(mut self, n: usize) -> Self {
        self.number = n;
        self
    }

    /// The most bytes that buffers may take at once, those for the way up and down included. Default:
    /// `BLOCKWISE_DEVICE_MEMORY_LIMIT`, else three quarters of what a discrete GPU has, if its driver tells, and 1 GiB of others. Where there is
    /// less, since others use the device too, what stays there makes way; if that does not do, the CPU goes on.
    pub fn memory_limit(mut self, limit: impl IntoBytes) -> Self {
        self.memory_limit = Some(limit.into_bytes());
        self
    }

    /// Shows kernels no more than so many bytes of a buffer: arrays that are larger stay in parts, and launches are cut smaller. Default:
    /// what the adapter allows.
    pub fn binding_limit(mut self, limit: impl IntoBytes) -> Self {
        self.binding_limit = Some(limit.into_bytes());
        self
    }

    /// Uses no more of the adapter than the smallest that there are offer, and [no native arithmetic](GpuBuilder::integers_only): what runs
    /// so runs everywhere.
    pub fn smallest_limits(mut self) -> Self {
        self.smallest = true;
        self
    }

    /// Computes in 32-bit integers alone, whatever the adapter gets right: the same results, slower.
    pub fn integers_only(mut self) -> Self {
        self.integers = true;
        self
    }

    /// Opens the device. The first time that an adapter is opened its arithmetic is tried, which takes up to a second.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) if there is no such GPU,
    /// [`ErrorKind::Device`](crate::error::ErrorKind::Device) if it refuses.
    pub fn build(self) -> Result<Gpu> {
        let adapter = adapters::adapter(self.number)?;
        let default = || config::default_device_memory_limit(adapter.own_memory());
        let memory_limit = self.memory_limit.unwrap_or_else(default)?;
        let mut limits = match self.smallest {
            true => wgpu::Limits {
                max_storage_buffers_per_shader_stage: 3,
                max_compute_invocations_per_workgroup: 64,
                max_compute_workgroup_size_x: 64,
                max_compute_workgroups_per_dimension: 256,
                max_compute_workgroup_storage_size: 4096,
                max_storage_buffer_binding_size: 1 << 20,
                max_buffer_size: 1 << 20,
                ..wgpu::Limits::downlevel_defaults()
            },
            false => adapter.handle.limits(),
        };
        if let Some(most) = self.binding_limit.transpose()? {
            let binding = &mut limits.max_storage_buffer_binding_size;
            // a whole number of words
            *binding = most.min(*binding) & !15;
        }
        Ok(Gpu {
            device: Arc::new(Device::open(adapter, limits, memory_limit, !self.smallest && !self.integers)?),
        })
    }
}

impl Gpu {
    /// The first of [`devices`].
    ///
    /// # Errors
    /// Those of [`GpuBuilder::build`].
    pub fn detect() -> Result<Gpu> {
        Gpu::builder().build()
    }

    /// Starts to build one.
    pub fn builder() -> GpuBuilder {
        GpuBuilder::default()
    }

    /// The adapter.
    pub fn adapter(&self) -> &Adapter {
        &self.device.adapter
    }

    /// What it computes natively.
    pub fn arithmetic(&self) -> &Arithmetic {
        &self.device.arithmetic
    }

    /// The most bytes that buffers may take at once.
    pub fn memory_limit(&self) -> u64 {
        self.device.pool.limit()
    }

    /// The most bytes that buffers have taken at once.
    pub fn peak_memory(&self) -> u64 {
        self.device.pool.peak()
    }

    /// How fast the device copies, to hold kernels against: measured now, with buffers of so many bytes, four of which fit its memory limit.
    ///
    /// # Errors
    /// [`ErrorKind::MemoryLimit`](crate::error::ErrorKind::MemoryLimit) if they do not fit,
    /// [`ErrorKind::Device`](crate::error::ErrorKind::Device) if the device fails.
    pub fn speeds(&self, bytes: impl IntoBytes) -> Result<Speeds> {
        Speeds::measure(&self.device, bytes.into_bytes()?)
    }

    /// Bytes of the blocks that stay on the device now.
    pub fn resident_bytes(&self) -> u64 {
        self.device.pool.resident()
    }

    /// Bytes of elements that were sent to the device so far.
    pub fn sent_bytes(&self) -> u64 {
        self.device.sent(0)
    }

    /// Bytes of results that came back from the device so far.
    pub fn received_bytes(&self) -> u64 {
        self.device.received(0)
    }

    /// The WGSL of each of a kernel's passes, for contiguous operands and an adapter of this arithmetic.
    ///
    /// # Errors
    /// As of [`Backend::compile`].
    pub fn wgsl(kernel: &Kernel, arithmetic: &Arithmetic) -> Result<Vec<String>> {
        let passes = passes::Pass::of(kernel);
        let text = |pass: &passes::Pass| {
            let inner = usize::from(matches!(pass, passes::Pass::Reduce { axes, .. } if !axes.is_empty()));
            let outer = usize::from(inner < kernel.rank());
            let form = wgsl::Form::sent(outer, inner);
            wgsl::module(kernel, pass, &form, 256, arithmetic).map(|module| module.text)
        };
        passes.iter().filter(|pass| !pass.is_apart()).map(text).collect()
    }

    /// The WGSL of the running fold of elements of a dtype, for an adapter of this arithmetic.
    ///
    /// # Errors
    /// As of [`Backend::running`].
    pub fn running_wgsl(op: ReduceOp, dtype: DType, arithmetic: &Arithmetic) -> Result<String> {
        wgsl::running::module(op, dtype, 256, arithmetic)
    }

    /// The WGSL of the product of matrices of a dtype, for operands that are sent and an adapter of this arithmetic.
    ///
    /// # Errors
    /// As of [`Backend::product`].
    pub fn product_wgsl(dtype: DType, arithmetic: &Arithmetic) -> Result<String> {
        let tile = wgsl::product::tile(dtype, &wgpu::Limits::default());
        wgsl::product::module(dtype, [None; 2], tile, arithmetic)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu").field("adapter", &self.device.adapter).finish_non_exhaustive()
    }
}

impl Backend for Gpu {
    fn name(&self) -> String {
        format!("gpu {}", self.device.adapter.name)
    }

    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(compiled::Compiled::new(self.device.clone(), kernel)?))
    }

    fn product(&self, dtype: DType) -> Result<Arc<dyn Multiply>> {
        Ok(Arc::new(product::Compiled::new(self.device.clone(), dtype)?))
    }

    fn running(&self, op: ReduceOp, dtype: DType) -> Result<Option<Arc<dyn Running>>> {
        Ok(Some(Arc::new(running::Compiled::new(self.device.clone(), op, dtype)?)))
    }

    fn identity(&self) -> String {
        let adapter = &self.device.adapter;
        format!("{} {} {}; {}", adapter.name, adapter.api, adapter.driver, self.device.arithmetic)
    }

    fn hold(&self, block: &Block, grid: &Grid) -> Option<Arc<dyn Held>> {
        resident::hold(&self.device, block, grid)
    }

    fn room(&self, block: &Block, grid: &Grid, lasts: bool) -> Option<Arc<dyn Held>> {
        resident::room(&self.device, block, grid, lasts)
    }
}
