//! Compiled pipelines on disk, where the driver allows: what was compiled once is not compiled again by the next process.

use super::device::Device;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The driver's cache of a device and its file.
pub struct Pipelines {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    made: AtomicU32,
}

/// Most bytes of a file: a larger one is neither read nor written.
const MOST: u64 = 256 << 20;

impl Pipelines {
    /// Those of a device in a directory; none where the driver gives its compiled pipelines to nobody.
    pub fn open(device: &Device, dir: &Path) -> Option<Pipelines> {
        if !device.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(&device.adapter.handle.get_info())?;
        let file = dir.join(key);
        let data = read(&file);
        let make = |data: Option<&[u8]>| {
            let descriptor = wgpu::PipelineCacheDescriptor { label: None, data, fallback: true };
            // SAFETY: the bytes are those that `get_data` gave to `save`, as their checksum tells; which driver and device they are
            // for is checked by wgpu.
            device.checked("opening compiled kernels", || unsafe {
                device.device.create_pipeline_cache(&descriptor)
            })
        };
        let cache = make(data.as_deref()).ok()?;
        Some(Pipelines { cache, file, made: AtomicU32::new(0) })
    }

    /// The driver's cache.
    pub fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Takes note of a new pipeline. The file is written after the first, the second, the fourth, and so on.
    pub fn made(&self) {
        if (self.made.fetch_add(1, Relaxed) + 1).is_power_of_two() {
            self.save();
        }
    }

    /// Writes the file. Whoever cannot will compile again.
    fn save(&self) {
        if let Some(data) = self.cache.get_data().filter(|data| data.len() as u64 <= MOST) {
            _ = write(&self.file, &data);
        }
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        if !self.made.load(Relaxed).is_power_of_two() && self.made.load(Relaxed) > 0 {
            self.save();
        }
    }
}

/// The bytes of a file, if they are as they were written: their checksum comes first.
fn read(file: &Path) -> Option<Vec<u8>> {
    if fs::metadata(file).ok()?.len() > MOST + 4 {
        return None;
    }
    let bytes = fs::read(file).ok()?;
    let (sum, data) = bytes.split_first_chunk::<4>()?;
    (crc32c::crc32c(data) == u32::from_le_bytes(*sum)).then(|| data.to_vec())
}

/// Writes a file whole or not at all.
fn write(file: &Path, data: &[u8]) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    temporary.write_all(&crc32c::crc32c(data).to_le_bytes())?;
    temporary.write_all(data)?;
    temporary.persist(file).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use super::super::Gpu;
    use super::*;

    #[test]
    fn a_file_that_was_changed_is_not_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("deep").join("cache");
        assert_eq!(read(&file), None);
        write(&file, b"compiled").expect("written");
        assert_eq!(read(&file).as_deref(), Some(&b"compiled"[..]));
        let mut bytes = fs::read(&file).expect("there");
        bytes[6] ^= 1;
        fs::write(&file, &bytes).expect("written");
        assert_eq!(read(&file), None);
        fs::write(&file, b"no").expect("written");
        assert_eq!(read(&file), None);
    }

    #[test]
    fn pipelines_are_written_where_the_driver_allows() {
        let Ok(gpu) = Gpu::detect() else {
            eprintln!("SKIPPED, NOT TESTED ON A GPU: there is none");
            return;
        };
        let dir = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            let Some(pipelines) = Pipelines::open(&gpu.device, dir.path()) else {
                eprintln!("{} keeps its pipelines to itself", gpu.adapter());
                return;
            };
            pipelines.made();
            assert!(read(&pipelines.file).is_some_and(|data| !data.is_empty()));
        }
    }
}
