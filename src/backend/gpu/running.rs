//! Running folds on a device, of elements that stay there: line by line, in order, so that their bits are the host's.

use super::compiled::width;
use super::device::Device;
use super::pool::{Buffers, Size};
use super::resident::{Home, Twin};
use super::wgsl::running::{self, AXES, PARAMS};
use crate::backend::{Operand, Running};
use crate::dtype::DType;
use crate::error::Result;
use crate::op::ReduceOp;
use std::sync::Arc;

/// Fewer lines keep a device waiting: then the host folds them.
const FEWEST_LINES: usize = 64;

/// Most elements of a line that a dispatch folds. Mesa's software adapter ends all loops of an invocation after 65 535 rounds.
const MOST_ROUNDS: usize = 1 << 15;

const ACTION: &str = "folding elements";

/// Lines of a box along an axis.
fn lines(shape: &[usize], axis: usize) -> usize {
    shape.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, n)| n).product()
}

/// The running fold of elements of a dtype.
pub struct Compiled {
    device: Arc<Device>,
    dtype: DType,
    width: u32,
    pipeline: wgpu::ComputePipeline,
}

impl Compiled {
    pub fn new(device: Arc<Device>, op: ReduceOp, dtype: DType) -> Result<Compiled> {
        let width = width(&device.limits, 1);
        let pipeline = device.pipeline(&running::module(op, dtype, width, &device.arithmetic)?)?;
        Ok(Compiled { device, dtype, width, pipeline })
    }

    /// The words of the parameters of each dispatch, one after the other, and the workgroups of one.
    fn dispatches(
        &self,
        home: &Home,
        shape: &[usize],
        axis: usize,
        continues: bool,
    ) -> (Vec<Vec<u32>>, [u32; 2]) {
        let lines = lines(shape, axis);
        let groups = lines.div_ceil(self.width as usize);
        let row = groups.min(self.device.limits.max_compute_workgroups_per_dimension as usize);
        let axes: Vec<[u32; 2]> = (0..shape.len())
            .filter(|&a| a != axis && shape[a] != 1)
            .map(|a| [shape[a] as u32, home.steps[a] as u32])
            .collect();
        let step = home.steps[axis];
        let starts = (0..shape[axis]).step_by(MOST_ROUNDS);
        let words = starts.map(|start| {
            let (length, first) = (MOST_ROUNDS.min(shape[axis] - start), home.first + start as isize * step);
            let mut words = vec![0, lines as u32, length as u32, first as u32, step as u32];
            words.extend([u32::from(continues || start > 0), row as u32, axes.len() as u32]);
            words.extend(axes.iter().flatten());
            words.resize(PARAMS, 0);
            words
        });
        (words.collect(), [row as u32, groups.div_ceil(row.max(1)) as u32])
    }

    fn dispatch(
        &self,
        twin: &Twin,
        buffers: &Buffers,
        (all, each): (&[Vec<u32>], usize),
        [x, y]: [u32; 2],
    ) -> Result<()> {
        let device = &*self.device;
        let mapping = device.checked(ACTION, || {
            let mut encoder = device.device.create_command_encoder(&Default::default());
            for (n, words) in all.iter().enumerate() {
                let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
                device.queue.write_buffer(&buffers.input, (n * each) as u64, &bytes);
                let params = wgpu::BufferBinding {
                    buffer: &buffers.input,
                    offset: (n * each) as u64,
                    size: wgpu::BufferSize::new(bytes.len() as u64),
                };
                let elements = twin.buffer.as_entire_buffer_binding();
                let group = device.bind([params.clone(), params, elements], &[]);
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&self.pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(x, y, 1);
            }
            // any bytes, which come when all is done
            encoder.copy_buffer_to_buffer(&buffers.output, 0, &buffers.download, 0, 8);
            device.submit_and_map(encoder, &buffers.download, 8)
        })?;
        device.mapped(&mapping, ACTION)?;
        buffers.download.unmap();
        Ok(())
    }
}

impl Running for Compiled {
    fn suits(&self, shape: &[usize], axis: usize) -> bool {
        shape.len() <= AXES && lines(shape, axis) >= FEWEST_LINES
    }

    fn run(&self, operand: &Operand, shape: &[usize], axis: usize, continues: bool) -> Result<()> {
        if shape.contains(&0) {
            return Ok(());
        }
        let device = &*self.device;
        device.alive(ACTION)?;
        let (from, to) = operand.hull(shape, self.dtype.size());
        let twin = device.pool.twin(from, to).filter(|twin| twin.room && shape.len() <= AXES);
        let twin = twin.ok_or_else(|| device.error(ACTION, "they are not there"))?;
        let home = Home::within(&twin, 0, operand, self.dtype.size());
        let (words, grid) = self.dispatches(&home, shape, axis, continues);
        let each = (4 * PARAMS).next_multiple_of(device.limits.min_storage_buffer_offset_alignment as usize);
        let size = Size::of((words.len() * each) as u64, 8);
        let Some(buffers) = device.pool.take(device, size, true)? else {
            return Err(device.error(ACTION, "there is no memory for it"));
        };
        let done = self.dispatch(&twin, &buffers, (&words, each), grid);
        device.pool.done(buffers, done)
    }
}
