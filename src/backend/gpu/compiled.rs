//! A kernel on a device: pipelines by the shape of axes, and launches in pieces, two of them in flight.

use super::device::{Device, Mapping};
use super::geometry::{Ranks, c_steps, pieces};
use super::job::{Frame, Job, MOST_POINTS};
use super::passes::Pass;
use super::pool::Buffers;
use super::results::Results;
use super::strided;
use super::wgsl::{self, Layout};
use crate::backend::{Executable, Launch, Output, matching};
use crate::error::{ErrorKind, Result};
use crate::ir::Kernel;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Pieces of a launch that are on their way at once.
const IN_FLIGHT: usize = 2;

/// Most bytes of the buffers of one piece: larger ones gain nothing and overlap less.
const LARGEST_PIECE: u64 = 128 << 20;

/// Invocations of a workgroup, where the adapter allows.
const WIDTH: u32 = 256;

/// A kernel's passes and the pipelines made of them so far.
pub struct Compiled {
    device: Arc<Device>,
    kernel: Kernel,
    passes: Vec<Pass>,
    widths: Vec<u32>,
    pipelines: Mutex<HashMap<(usize, Ranks), Arc<Pipeline>>>,
}

struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    layout: Layout,
}

/// A piece that has been submitted.
struct Flight {
    job: Job,
    buffers: Buffers,
    mapping: Mapping,
}

/// The widest workgroup that an adapter allows for accumulators of so many words a lane.
pub fn width(limits: &wgpu::Limits, acc_words: usize) -> u32 {
    let most =
        limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x).min(WIDTH);
    let mut width = 1 << most.max(1).ilog2();
    // pairs of words are aligned, so a word may take two
    while width > 1 && acc_words * 8 * width as usize > limits.max_compute_workgroup_storage_size as usize {
        width /= 2;
    }
    width
}

impl Compiled {
    pub fn new(device: Arc<Device>, kernel: &Kernel) -> Result<Compiled> {
        let passes = Pass::of(kernel);
        let acc_words = |pass: &Pass| match pass {
            Pass::Reduce { roots, .. } => wgsl::acc_words(kernel, roots),
            // a point's values: each at most a pair
            Pass::Group { .. } => 2 * pass.values(kernel).len(),
            _ => 1,
        };
        let widths: Vec<u32> = passes.iter().map(|pass| width(&device.limits, acc_words(pass))).collect();
        for (pass, &width) in passes.iter().zip(&widths) {
            // what cannot be written as WGSL is found now
            wgsl::module(kernel, pass, Ranks { outer: 1, inner: 0 }, width)?;
        }
        Ok(Compiled { device, kernel: kernel.clone(), passes, widths, pipelines: Mutex::default() })
    }

    fn pipeline(&self, pass: usize, ranks: Ranks) -> Result<Arc<Pipeline>> {
        let mut known = self.pipelines.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = known.get(&(pass, ranks)) {
            return Ok(found.clone());
        }
        let module = wgsl::module(&self.kernel, &self.passes[pass], ranks, self.widths[pass])?;
        let device = &self.device;
        let pipeline = device.checked("compiling a kernel", || {
            let source = wgpu::ShaderSource::Wgsl(module.text.as_str().into());
            let (shader, checks) = (
                wgpu::ShaderModuleDescriptor { label: None, source },
                wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() },
            );
            // SAFETY: all loops of the library and of what is generated end.
            let shader = unsafe { device.device.create_shader_module_trusted(shader, checks) };
            device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&device.pipelines),
                module: &shader,
                entry_point: Some("main"),
                compilation_options: Default::default(),
                cache: None,
            })
        })?;
        let made = Arc::new(Pipeline { pipeline, layout: module.layout });
        known.insert((pass, ranks), made.clone());
        Ok(made)
    }

    /// Whether a job's buffers are allowed, and two of it fit the memory limit.
    fn fits(&self, job: &Job) -> bool {
        let (size, limits) = (job.buffers(), &self.device.limits);
        let most = (self.device.pool.limit() / IN_FLIGHT as u64).min(LARGEST_PIECE);
        let binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        job.piece.len() <= MOST_POINTS && size.total() <= most && size.largest() <= binding
    }

    /// Writes a piece's inputs and submits its passes. `None` if there is no memory for it now, which is only so if not `patient`.
    ///
    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn submit(
        &self,
        frame: &Frame<'_>,
        piece: &crate::shape::Region,
        patient: bool,
    ) -> Result<Option<Flight>> {
        let job = frame.job(piece);
        let device = &*self.device;
        let Some(buffers) = device.pool.take(device, job.buffers(), patient)? else { return Ok(None) };
        // SAFETY: the caller's.
        match unsafe { self.fill_and_submit(frame, &job, &buffers) } {
            Ok(mapping) => Ok(Some(Flight { job, buffers, mapping })),
            Err(e) => {
                device.pool.forget(buffers);
                Err(e)
            }
        }
    }

    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn fill_and_submit(&self, frame: &Frame<'_>, job: &Job, buffers: &Buffers) -> Result<Mapping> {
        let device = &*self.device;
        let (up, down) = (job.size.0.next_multiple_of(8), job.size.1.next_multiple_of(8).max(8));
        let mapping =
            device.checked("mapping a buffer", || device.map(&buffers.upload, wgpu::MapMode::Write, up))?;
        device.mapped(&mapping, "mapping a buffer")?;
        let most = device.limits.max_compute_workgroups_per_dimension as usize;
        let mut dispatches = vec![];
        {
            let view = buffers.upload.slice(..up).get_mapped_range_mut();
            let mut view = view.map_err(|e| device.error("mapping a buffer", e.to_string()))?;
            for (p, dispatch) in job.dispatches.iter().enumerate() {
                let pipeline = self.pipeline(p, dispatch.axes.ranks)?;
                let row = dispatch.counts.groups.min(most);
                let words = dispatch.words(&pipeline.layout, frame, job, row);
                let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
                view.slice(dispatch.params..dispatch.params + bytes.len()).copy_from_slice(&bytes);
                dispatches.push((
                    pipeline,
                    dispatch.params,
                    row,
                    dispatch.counts.groups.div_ceil(row.max(1)),
                ));
            }
            for (n, word, sent) in &job.inputs {
                let (operand, size) = (&frame.launch.inputs[*n], self.kernel.inputs()[*n].dtype.size());
                let bytes = sent.iter().product::<usize>() * size;
                let mut into = view.slice(word * 4..word * 4 + bytes);
                let steps = strided::bytes(&c_steps(sent, |_| false), size);
                let from = operand.element(&frame.within(&job.piece));
                // SAFETY: the piece's elements are readable, and the slice has room for as many.
                unsafe {
                    let to = into.as_raw_element_ptr().as_ptr();
                    strided::copy(sent, size, (from, &operand.strides), (to, &steps));
                }
            }
        }
        device.checked("running a kernel", || {
            buffers.upload.unmap();
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&buffers.upload, 0, &buffers.input, 0, up);
            for (pipeline, params, row, rows) in dispatches {
                let group = self.bind(frame, job, buffers, params, pipeline.layout.len);
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(row as u32, rows as u32, 1);
            }
            encoder.copy_buffer_to_buffer(&buffers.output, 0, &buffers.download, 0, down);
            device.queue.submit([encoder.finish()]);
            device.map(&buffers.download, wgpu::MapMode::Read, down)
        })
    }

    fn bind(
        &self,
        frame: &Frame<'_>,
        job: &Job,
        buffers: &Buffers,
        params: usize,
        words: usize,
    ) -> wgpu::BindGroup {
        let part = |offset: usize, bytes: usize| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &buffers.input,
                offset: offset as u64,
                size: wgpu::BufferSize::new(bytes as u64),
            })
        };
        let from = job.inputs_from(frame.alignment);
        // without inputs the binding is the parameters again
        let inputs = if job.inputs.is_empty() {
            part(params, words * 4)
        } else {
            part(from, (job.size.0 as usize) - from)
        };
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.device.bindings,
            entries: &[
                entry(0, part(params, words * 4)),
                entry(1, inputs),
                entry(2, buffers.output.as_entire_binding()),
            ],
        })
    }

    /// Waits for a piece and hands its results over.
    ///
    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn finish(&self, frame: &Frame<'_>, flight: Flight, results: &mut Results) -> Result<()> {
        let device = &*self.device;
        let Flight { job, buffers, mapping } = flight;
        let read = device.mapped(&mapping, "running a kernel").and_then(|()| {
            let down = job.size.1.next_multiple_of(8).max(8);
            let view = buffers.download.slice(..down).get_mapped_range();
            let view = view.map_err(|e| device.error("reading results", e.to_string()))?;
            // SAFETY: the caller's.
            unsafe { results.take(frame, &job, &view) }
        });
        match read {
            Ok(()) => {
                buffers.download.unmap();
                device.pool.give(buffers);
                Ok(())
            }
            Err(e) => {
                device.pool.forget(buffers);
                Err(e)
            }
        }
    }

    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn run_pieces(&self, frame: &Frame<'_>, results: &mut Results) -> Result<()> {
        let device = &self.device;
        let region = frame.launch.region;
        let fits = |shape: &[usize]| {
            let piece = crate::shape::Region { start: region.start.clone(), shape: shape.into() };
            self.fits(&frame.job(&piece))
        };
        let pieces = pieces(region, fits).ok_or_else(|| {
            let one = crate::shape::Region {
                start: region.start.clone(),
                shape: region.shape.iter().map(|_| 1).collect(),
            };
            ErrorKind::MemoryLimit {
                op: format!("a kernel on {}", device.adapter.name),
                needed: frame.job(&one).buffers().total() * IN_FLIGHT as u64,
                limit: device.pool.limit(),
                chunks: "one point".into(),
            }
        })?;
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let mut outcome = Ok(());
        let mut next = pieces.iter();
        let mut waiting = next.next();
        while outcome.is_ok() && (waiting.is_some() || !flights.is_empty()) {
            if let (Some(piece), true) = (waiting, flights.len() < IN_FLIGHT) {
                // SAFETY: the caller's.
                match unsafe { self.submit(frame, piece, flights.is_empty()) } {
                    Ok(Some(flight)) => {
                        flights.push_back(flight);
                        waiting = next.next();
                        continue;
                    }
                    Ok(None) => {}
                    Err(e) => {
                        outcome = Err(e);
                        break;
                    }
                }
            }
            if let Some(flight) = flights.pop_front() {
                // SAFETY: the caller's.
                outcome = unsafe { self.finish(frame, flight, results) };
            }
        }
        for flight in flights {
            _ = device.mapped(&flight.mapping, "running a kernel");
            device.pool.forget(flight.buffers);
        }
        outcome
    }
}

impl Executable for Compiled {
    fn scratch_bytes(&self) -> usize {
        // buffers are the device's; the host keeps words of parameters
        1 << 16
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()> {
        matching(&self.kernel, launch)?;
        let alignment = (self.device.limits.min_storage_buffer_offset_alignment as usize).max(16);
        let (kernel, passes, widths) = (&self.kernel, &self.passes[..], &self.widths[..]);
        let frame = Frame { kernel, passes, widths, alignment, launch };
        let mut results = Results::new(kernel);
        if !launch.region.is_empty() {
            self.device.alive("running a kernel")?;
            // SAFETY: the caller's.
            unsafe {
                let saved = results.save(&frame);
                if let Err(e) = self.run_pieces(&frame, &mut results) {
                    results.restore(&frame, saved);
                    return Err(e);
                }
                results.commit(&frame);
            }
        }
        for (output, n) in launch.outputs.iter().zip(results.selected()) {
            if let Output::Select { count, .. } = output {
                // SAFETY: the contract of `run` makes it writable.
                unsafe { count.write(n) };
            }
        }
        Ok(())
    }
}
