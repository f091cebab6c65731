//! How fast a device moves bytes when it does nothing else: what kernels are held against.

use super::device::Device;
use super::pool::{Buffers, Size};
use crate::error::Result;
use std::time::Instant;

/// Bytes per second of copies.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Speeds {
    /// To the device.
    pub up: f64,
    /// Back.
    pub down: f64,
    /// Inside the device, read and written counted both.
    pub copy: f64,
}

/// Timed copies after one that does not count; the fastest is told.
const TIMES: usize = 5;

/// Copies inside the device that are timed together: one is over too soon.
const TOGETHER: usize = 8;

impl Speeds {
    /// Those of a device, measured with buffers of so many bytes.
    pub fn measure(device: &Device, bytes: u64) -> Result<Speeds> {
        let action = "measuring copies";
        let Some(buffers) = device.pool.take(device, Size::of(bytes, bytes), true)? else {
            return Err(device.error(action, "there is no memory for it"));
        };
        let n = bytes & !7;
        let Buffers { upload, input, output, download, .. } = &buffers;
        let timed = |from: &wgpu::Buffer, to: &wgpu::Buffer, times: usize| -> Result<f64> {
            let mut best = f64::INFINITY;
            for k in 0..=TIMES {
                let start = Instant::now();
                device.checked(action, || {
                    let mut encoder = device.device.create_command_encoder(&Default::default());
                    (0..times).for_each(|_| encoder.copy_buffer_to_buffer(from, 0, to, 0, n));
                    device.queue.submit([encoder.finish()]);
                })?;
                // what was submitted last is done when this can be read
                let mapping = device.checked(action, || {
                    let mut encoder = device.device.create_command_encoder(&Default::default());
                    encoder.copy_buffer_to_buffer(output, 0, download, 0, 8);
                    device.submit_and_map(encoder, download, 8)
                })?;
                device.mapped(&mapping, action)?;
                download.unmap();
                if k > 0 {
                    best = best.min(start.elapsed().as_secs_f64() / times as f64);
                }
            }
            Ok(best)
        };
        let all = || -> Result<Speeds> {
            let up = timed(upload, input, 1)?;
            let copy = timed(input, output, TOGETHER)?;
            let down = timed(output, download, 1)?;
            let rate = |seconds: f64| n as f64 / seconds.max(1e-9);
            Ok(Speeds { up: rate(up), down: rate(down), copy: 2.0 * rate(copy) })
        };
        let measured = all();
        match measured {
            Ok(_) => device.pool.give(buffers),
            Err(_) => device.pool.forget(buffers),
        }
        measured
    }
}
