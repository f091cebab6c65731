//! Which GPUs there are.

use super::arithmetic::Arithmetic;
use super::device::wait;
use crate::error::{ErrorKind, Result};
use std::sync::{Arc, OnceLock};

/// A GPU, or software that acts as one.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its number: what [`Device::gpu`](super::super::Device::gpu) takes.
    pub number: usize,
    /// The name its driver gives it.
    pub name: String,
    /// `"discrete gpu"`, `"integrated gpu"`, `"virtual gpu"`, `"software"` or `"other"`.
    pub kind: &'static str,
    /// `"vulkan"`, `"metal"` or `"dx12"`.
    pub api: String,
    /// The driver.
    pub driver: String,
    /// Bytes of its memory, if the driver tells: memory of its own, or its share of the machine's.
    pub memory: Option<u64>,
    /// Most bytes of one buffer that a kernel sees.
    pub max_binding: u64,
    /// Most bytes of one buffer.
    pub max_buffer: u64,
    /// Most invocations of a workgroup.
    pub max_workgroup: u32,
    /// Most bytes that a workgroup shares.
    pub max_shared: u32,
    pub(super) handle: wgpu::Adapter,
    /// What it computes natively, once it has been tried.
    pub(super) arithmetic: Arc<OnceLock<Arithmetic>>,
}

impl Adapter {
    fn new(number: usize, handle: wgpu::Adapter) -> Adapter {
        let (info, limits) = (handle.get_info(), handle.limits());
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete gpu",
            wgpu::DeviceType::IntegratedGpu => "integrated gpu",
            wgpu::DeviceType::VirtualGpu => "virtual gpu",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        };
        Adapter {
            number,
            name: info.name,
            kind,
            api: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            memory: memory(&handle),
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            max_workgroup: limits.max_compute_invocations_per_workgroup,
            max_shared: limits.max_compute_workgroup_storage_size,
            handle,
            arithmetic: Arc::default(),
        }
    }

    /// Whether it is a processor of its own, not software on the CPU.
    pub fn is_hardware(&self) -> bool {
        self.kind != "software"
    }

    /// Bytes of memory that is nobody else's, if the driver tells.
    pub fn own_memory(&self) -> Option<u64> {
        self.memory.filter(|_| self.kind == "discrete gpu")
    }
}

/// Bytes of the largest heap that is near the device. Wgpu does not tell, Vulkan does.
#[cfg(not(target_vendor = "apple"))]
fn memory(handle: &wgpu::Adapter) -> Option<u64> {
    /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`.
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: nothing of what this gives is destroyed.
    let adapter = unsafe { handle.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance().raw_instance();
    // SAFETY: the device is one of this instance.
    let found = unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
    let heaps = found.memory_heaps.iter().take(found.memory_heap_count as usize);
    heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

#[cfg(target_vendor = "apple")]
fn memory(_: &wgpu::Adapter) -> Option<u64> {
    None
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gpu {}: {} ({}, {}, {})", self.number, self.name, self.kind, self.api, self.driver)
    }
}

/// The GPUs of this machine, hardware first; none if there is no driver.
///
/// ```
/// for adapter in blockwise::devices() {
///     println!("{adapter}, bindings of up to {} bytes", adapter.max_binding);
/// }
/// ```
pub fn devices() -> &'static [Adapter] {
    static FOUND: OnceLock<Vec<Adapter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut request = wgpu::InstanceDescriptor::new_without_display_handle();
        request.backends = wgpu::Backends::PRIMARY;
        let instance = wgpu::Instance::new(request);
        let mut found = wait(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        found.retain(|a| a.limits().max_storage_buffers_per_shader_stage >= 3);
        found.sort_by_key(|a| a.get_info().device_type == wgpu::DeviceType::Cpu);
        found.into_iter().enumerate().map(|(n, a)| Adapter::new(n, a)).collect()
    })
}

/// GPU number `n`.
pub(super) fn adapter(n: usize) -> Result<&'static Adapter> {
    let all = devices();
    all.get(n).ok_or_else(|| {
        let hint = match all.len() {
            0 => "no GPU was found: install its driver and the Vulkan loader (libvulkan1; mesa-vulkan-drivers has a \
                  software adapter), or use Device::auto() or Device::cpu()"
                .to_owned(),
            many => format!("there are {many}, numbered from 0: see blockwise::devices()"),
        };
        ErrorKind::Unsupported { what: format!("GPU {n}"), hint }.into()
    })
}
