//! What a session computes on, as users name it.

use super::{Backend, cpu::Cpu};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Where kernels run.
///
/// ```
/// use blockwise::prelude::*;
/// let session = Session::builder().device(Device::auto()).build()?;
/// println!("{}", session.backend_name());
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device(Choice);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    Auto,
    Cpu,
    Gpu(usize),
    Gpus,
}

impl Device {
    /// The first GPU that is hardware, if there is one that can be opened, for launches that it does in less time than the CPU; the CPU for
    /// all others.
    ///
    /// What moving bytes and computing take on both is measured once, in a few seconds, and kept in `BLOCKWISE_CACHE_DIR` (else `blockwise` in the
    /// user's cache directory). `explain()` tells where kernels run and why. Sums of floats may differ in their last bits between devices.
    pub fn auto() -> Device {
        Device(Choice::Auto)
    }

    /// The CPU.
    pub fn cpu() -> Device {
        Device(Choice::Cpu)
    }

    /// GPU number `n` of `blockwise::devices()`. Kernels that it cannot run go to the CPU, each with an
    /// [`Event::Fallback`](crate::event::Event::Fallback).
    pub fn gpu(n: usize) -> Device {
        Device(Choice::Gpu(n))
    }

    /// All GPUs that are hardware, side by side: every launch runs on one of them, as on [`Device::gpu`]. The first GPU if none is hardware.
    /// [Persisted](crate::Session::persist) arrays stay on each of them.
    pub fn gpus() -> Device {
        Device(Choice::Gpus)
    }

    /// What `BLOCKWISE_DEVICE` says: `auto`, `cpu`, `gpu`, `gpu:1` or `gpus`; the CPU if it is not set.
    ///
    /// # Errors
    /// If it says something else.
    pub fn from_env() -> Result<Device> {
        std::env::var("BLOCKWISE_DEVICE").map_or(Ok(Device::cpu()), |text| text.parse())
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::error::ErrorKind::Unsupported) if there is no such GPU or the feature `gpu` is off,
    /// [`ErrorKind::Device`](crate::error::ErrorKind::Device) if it cannot be opened.
    pub fn backend(self) -> Result<Arc<dyn Backend>> {
        match self.0 {
            Choice::Cpu => Ok(Arc::new(Cpu::detect())),
            Choice::Gpu(n) => on_gpus(&[n]),
            Choice::Gpus => on_gpus(&hardware()),
            #[cfg(feature = "gpu")]
            Choice::Auto => {
                let hardware = super::gpu::devices().iter().find(|a| a.is_hardware());
                match hardware.map(|adapter| by_cost(adapter.number)) {
                    Some(Ok(backend)) => Ok(backend),
                    _ => Device::cpu().backend(),
                }
            }
            #[cfg(not(feature = "gpu"))]
            Choice::Auto => Device::cpu().backend(),
        }
    }
}

impl std::str::FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Device> {
        let wrong =
            || Error::invalid("device", format!("{text:?} is none of auto, cpu, gpu, gpu:0, gpu:1..., gpus"));
        match text.trim() {
            "auto" => Ok(Device::auto()),
            "cpu" => Ok(Device::cpu()),
            "gpu" => Ok(Device::gpu(0)),
            "gpus" => Ok(Device::gpus()),
            other => {
                let number = other.strip_prefix("gpu:").ok_or_else(wrong)?;
                number.parse().map(Device::gpu).map_err(|_| wrong())
            }
        }
    }
}

/// The numbers of the GPUs that are hardware; of the first if none is.
fn hardware() -> Vec<usize> {
    #[cfg(feature = "gpu")]
    let all = super::gpu::devices().iter().filter(|a| a.is_hardware()).map(|a| a.number);
    #[cfg(not(feature = "gpu"))]
    let all = std::iter::empty();
    let all: Vec<usize> = all.collect();
    if all.is_empty() { vec![0] } else { all }
}

/// GPUs, and the CPU for what they cannot do.
#[cfg(feature = "gpu")]
fn on_gpus(numbers: &[usize]) -> Result<Arc<dyn Backend>> {
    let open = |&n: &usize| Ok(Arc::new(super::gpu::Gpu::builder().number(n).build()?) as Arc<dyn Backend>);
    let mut all = numbers.iter().map(open).collect::<Result<Vec<_>>>()?;
    let first = match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => Arc::new(super::several::Several::new(all.into_iter().chain(last).collect())?),
    };
    Ok(Arc::new(super::hybrid::Hybrid::new(first, Arc::new(Cpu::detect()))))
}

/// The GPU and the CPU, whichever is faster.
#[cfg(feature = "gpu")]
fn by_cost(n: usize) -> Result<Arc<dyn Backend>> {
    use super::cost::Rates;
    let gpu = super::gpu::Gpu::builder().number(n).build()?;
    let cpu = Cpu::detect();
    let threads = crate::config::default_threads()?;
    let rates = [Rates::of(&gpu, &gpu.identity())?, Rates::of(&cpu, &cpu.identity())?.side_by_side(threads)];
    Ok(Arc::new(super::hybrid::Hybrid::by_cost(Arc::new(gpu), Arc::new(cpu), rates)))
}

#[cfg(not(feature = "gpu"))]
fn on_gpus(numbers: &[usize]) -> Result<Arc<dyn Backend>> {
    let hint = "this build has no GPU backend: enable blockwise's feature `gpu`, or use Device::cpu()".into();
    Err(crate::error::ErrorKind::Unsupported { what: format!("GPU {numbers:?}"), hint }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        let parse = |text: &str| text.parse::<Device>().ok();
        assert_eq!(parse("auto"), Some(Device::auto()));
        assert_eq!(parse(" gpu "), Some(Device::gpu(0)));
        assert_eq!(parse("gpu:3"), Some(Device::gpu(3)));
        assert_eq!(parse("gpus"), Some(Device::gpus()));
        assert_eq!(parse("gpu:x").or(parse("tpu")), None);
        assert!(Device::auto().backend().is_ok());
    }
}
