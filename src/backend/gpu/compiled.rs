//! A kernel on a device: pipelines by the shape of axes, and launches in pieces, two of them in flight.

use super::device::{Device, Mapping};
use super::geometry::c_steps;
use super::job::{Frame, Job, MOST_POINTS, most_slots};
use super::passes::Pass;
use super::pool::Buffers;
use super::resident::{Home, Homes, Seat};
use super::results::Results;
use super::strided;
use super::wgsl::{self, Form, Layout};
use crate::backend::{Away, Executable, Launch, Operand, Output, Stayed, matching};
use crate::error::{ErrorKind, Result};
use crate::ir::Kernel;
use crate::shape::{Dims, Region};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Pieces of a launch that are on their way at once.
const IN_FLIGHT: usize = 2;

/// Invocations of a workgroup, where the adapter allows.
const WIDTH: u32 = 256;

/// A kernel's passes and the pipelines made of them so far.
pub struct Compiled {
    device: Arc<Device>,
    kernel: Kernel,
    passes: Vec<Pass>,
    widths: Vec<u32>,
    pipelines: Mutex<HashMap<Variant, Arc<Pipeline>>>,
}

/// A pass, and what its text depends on.
type Variant = (usize, Form);

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
            // a point's values: each at most a pair; the same of both passes, since the width decides which of them runs
            Pass::Group { .. } | Pass::Spread { .. } => 2 * pass.values(kernel).len(),
            _ => 1,
        };
        let widths: Vec<u32> = passes.iter().map(|pass| width(&device.limits, acc_words(pass))).collect();
        for (pass, &width) in passes.iter().zip(&widths).filter(|(pass, _)| !pass.is_apart()) {
            // what cannot be written as WGSL is found now
            wgsl::module(kernel, pass, &Form::sent(1, 0), width, &device.arithmetic)?;
        }
        Ok(Compiled { device, kernel: kernel.clone(), passes, widths, pipelines: Mutex::default() })
    }

    fn pipeline(&self, variant: Variant) -> Result<Arc<Pipeline>> {
        let mut known = self.pipelines.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = known.get(&variant) {
            return Ok(found.clone());
        }
        let (pass, form) = &variant;
        let (pass, width) = (&self.passes[*pass], self.widths[*pass]);
        let module = wgsl::module(&self.kernel, pass, form, width, &self.device.arithmetic)?;
        let pipeline = self.device.pipeline(&module.text)?;
        let made = Arc::new(Pipeline { pipeline, layout: module.layout });
        known.insert(variant, made.clone());
        Ok(made)
    }

    /// Whether a job's buffers and grids are allowed, and two of it fit the memory limit.
    fn fits(&self, job: &Job) -> bool {
        let row = self.device.limits.max_compute_workgroups_per_dimension as usize;
        let grid = row.saturating_mul(row);
        job.piece.len() <= MOST_POINTS
            && self.device.fits(job.buffers(), IN_FLIGHT)
            && job.dispatches.iter().all(|d| d.counts.groups <= grid)
    }

    /// Writes a piece's inputs and submits its passes. `None` if there is no memory for it now, which is only so if not `patient`.
    ///
    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn submit(&self, frame: &Frame<'_>, piece: &Region, patient: bool) -> Result<Option<Flight>> {
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
        let (up, down) = (job.size.0.next_multiple_of(8), job.back());
        let most = device.limits.max_compute_workgroups_per_dimension as usize;
        let mut words = vec![0u8; job.inputs_from(frame.alignment)];
        let mut dispatches = vec![];
        for ((number, ..), dispatch) in frame.passes.iter().zip(&job.dispatches) {
            let (ranks, homes) = (dispatch.axes.ranks, frame.homes.slots());
            let (turn, placed) = (dispatch.turn.clone(), dispatch.placed);
            let pipeline = self.pipeline((*number, Form { ranks, homes, turn, placed }))?;
            let row = dispatch.counts.groups.min(most);
            let own = dispatch.words(&pipeline.layout, frame, job, row);
            let own: Vec<u8> = own.iter().flat_map(|w| w.to_le_bytes()).collect();
            words[dispatch.params..dispatch.params + own.len()].copy_from_slice(&own);
            let rows = dispatch.counts.groups.div_ceil(row.max(1));
            dispatches.push((pipeline, dispatch.params, dispatch.seat, row, rows));
        }
        if !job.inputs.is_empty() {
            // SAFETY: the caller's.
            unsafe { self.fill(frame, job, &buffers.upload, &words) }?;
        }
        device.checked("running a kernel", || {
            let mut encoder = device.device.create_command_encoder(&Default::default());
            if job.inputs.is_empty() {
                // nothing to wait for
                device.queue.write_buffer(&buffers.input, 0, &words);
            } else {
                buffers.upload.unmap();
                encoder.copy_buffer_to_buffer(&buffers.upload, 0, &buffers.input, 0, up);
            }
            for (pipeline, params, seat, row, rows) in dispatches {
                let group = self.bind(frame, job, buffers, (params, pipeline.layout.len), seat);
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(row as u32, rows as u32, 1);
            }
            // where all results stay these are any bytes, which come when they are stored
            encoder.copy_buffer_to_buffer(&buffers.output, 0, &buffers.download, 0, down);
            device.submit_and_map(encoder, &buffers.download, down)
        })
    }

    /// Writes parameters and inputs to a buffer, which stays mapped.
    ///
    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn fill(&self, frame: &Frame<'_>, job: &Job, upload: &wgpu::Buffer, words: &[u8]) -> Result<()> {
        let device = &*self.device;
        let mut view = device.writable(upload, job.size.0.next_multiple_of(8))?;
        view.slice(..words.len()).copy_from_slice(words);
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
            device.sent(bytes as u64);
        }
        Ok(())
    }

    fn bind(
        &self,
        frame: &Frame<'_>,
        job: &Job,
        buffers: &Buffers,
        (params, words): (usize, usize),
        seat: Option<usize>,
    ) -> wgpu::BindGroup {
        let part = |offset: usize, bytes: usize| wgpu::BufferBinding {
            buffer: &buffers.input,
            offset: offset as u64,
            size: wgpu::BufferSize::new(bytes as u64),
        };
        let from = job.inputs_from(frame.alignment);
        // without inputs the binding is the parameters again
        let inputs = if job.inputs.is_empty() {
            part(params, words * 4)
        } else {
            part(from, (job.size.0 as usize) - from)
        };
        let seat = seat.and_then(|r| frame.homes.seat(r));
        let results = seat.map_or(&buffers.output, |seat| &seat.twin.buffer);
        let parts = [part(params, words * 4), inputs, results.as_entire_buffer_binding()];
        self.device.bind(parts, &frame.homes.twins)
    }

    /// Waits for a piece and hands its results over.
    ///
    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn finish(&self, frame: &Frame<'_>, flight: Flight, results: &mut Results) -> Result<()> {
        let device = &*self.device;
        let Flight { job, buffers, mapping } = flight;
        let read = device.mapped(&mapping, "running a kernel").and_then(|()| {
            if job.size.1 > 0 {
                let view = device.readable(&buffers.download, job.back())?;
                // SAFETY: the caller's.
                unsafe { results.take(frame, &job, &view) };
                device.received(job.size.1);
            }
            buffers.download.unmap();
            Ok(())
        });
        device.pool.done(buffers, read)
    }

    /// The pieces of a launch, if there is memory for any.
    fn pieces(&self, frame: &Frame<'_>) -> Option<Vec<Region>> {
        let region = frame.launch.region;
        let fits = |shape: &[usize]| {
            self.fits(&frame.job(&Region { start: region.start.clone(), shape: shape.into() }))
        };
        frame.cuts().pieces(region, fits)
    }

    /// What is run, one after the other: all passes on each piece if the same pieces do for them, else pass by pass.
    fn runs<'a>(&'a self, launch: &'a Launch<'a>, homes: &'a Homes) -> Result<Vec<(Frame<'a>, Vec<Region>)>> {
        let stays = homes.seats.iter().any(Option::is_some);
        let needed = |&p: &usize| self.passes[p].is_for(launch.slots <= most_slots(self.widths[p]), stays);
        let chosen: Vec<usize> = (0..self.passes.len()).filter(needed).collect();
        let frame = |some: &[usize]| {
            let passes = some.iter().map(|&p| (p, &self.passes[p]));
            Frame::new((&self.kernel, &self.widths), passes, (&self.device.limits, homes), launch)
        };
        let all = frame(&chosen);
        if let Some(pieces) = self.pieces(&all) {
            return Ok(vec![(all, pieces)]);
        }
        let alone = |p: usize| {
            let frame = frame(&[p]);
            let pieces = self.pieces(&frame).ok_or_else(|| ErrorKind::MemoryLimit {
                op: format!("a kernel on {}", self.device.adapter.name),
                needed: frame.job(&frame.cuts().least(launch.region)).buffers().total() * IN_FLIGHT as u64,
                limit: self.device.pool.limit(),
                chunks: "one point or one segment of a fold".into(),
            })?;
            Ok((frame, pieces))
        };
        chosen.into_iter().map(alone).collect()
    }

    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn run_pieces(&self, frame: &Frame<'_>, pieces: &[Region], results: &mut Results) -> Result<()> {
        let device = &self.device;
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
    fn scratch_bytes(&self, shape: &[usize]) -> usize {
        // buffers are the device's; the host keeps words of parameters
        (1 << 16) + Results::copied_bytes((&self.kernel, &self.passes), shape)
    }

    fn held_bytes(&self, launch: &Launch<'_>) -> usize {
        let homes = self.homes(launch);
        let sizes = self.kernel.inputs().iter().map(|input| input.dtype.size());
        let bytes = |((home, operand), size): ((&Option<Home>, &Operand), usize)| {
            let varies = launch.region.shape.iter().zip(&operand.strides).filter(|(_, s)| **s != 0);
            if home.is_some() { varies.map(|(n, _)| *n).product::<usize>() * size } else { 0 }
        };
        homes.inputs.iter().zip(launch.inputs).zip(sizes).map(bytes).sum()
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.run_with(launch, &self.homes(launch)) }
    }

    unsafe fn run_away(&self, launch: &Launch<'_>, away: &Away<'_>) -> Result<Stayed> {
        let mut homes = self.homes(launch);
        let elsewhere = homes.inputs.iter().zip(away.inputs).filter(|(home, _)| home.is_none());
        elsewhere.filter_map(|(_, held)| *held).try_for_each(|held| held.fetch())?;
        matching(&self.kernel, launch)?;
        for (root, stays) in away.stay.iter().enumerate() {
            let seat = || Seat::new(&self.device, &self.kernel, launch, root, &homes.twins);
            let seat = stays.then(seat).flatten();
            homes.seats.push(seat);
        }
        while let Some(root) = self.untaken(launch, &homes)? {
            homes.seats[root] = None;
        }
        // SAFETY: the caller's.
        unsafe { self.run_with(launch, &homes) }?;
        Ok(Stayed(homes.seats.into_iter().map(|seat| seat.map(Seat::taken)).collect()))
    }
}

impl Compiled {
    /// Where a launch's operands are.
    fn homes(&self, launch: &Launch<'_>) -> Homes {
        let sizes = self.kernel.inputs().iter().map(|input| input.dtype.size());
        let operands = launch.inputs.iter().zip(sizes);
        Homes::of(&self.device, operands.map(|(operand, size)| (operand, &*launch.region.shape, size)))
    }

    /// A root whose result cannot stay, since there are pieces of it that have parts of words.
    fn untaken(&self, launch: &Launch<'_>, homes: &Homes) -> Result<Option<usize>> {
        let shares_words = |r: &usize| homes.seat(*r).is_some_and(Seat::shares_words);
        let roots: Vec<usize> = (0..homes.seats.len()).filter(shares_words).collect();
        if roots.is_empty() || launch.region.is_empty() {
            return Ok(None);
        }
        let runs = self.runs(launch, homes)?;
        let mut pieces =
            runs.iter().flat_map(|(frame, pieces)| pieces.iter().map(|p| (frame.within(p), &p.shape)));
        let misses = |(within, shape): (Dims, &Dims)| {
            roots.iter().copied().find(|&r| homes.seat(r).is_some_and(|seat| !seat.takes(&within, shape)))
        };
        Ok(pieces.find_map(misses))
    }

    /// # Safety
    /// That of [`Executable::run`].
    unsafe fn run_with(&self, launch: &Launch<'_>, homes: &Homes) -> Result<()> {
        matching(&self.kernel, launch)?;
        let runs = if launch.region.is_empty() { vec![] } else { self.runs(launch, homes)? };
        let whole = runs.iter().map(|(_, pieces)| pieces.len()).sum::<usize>() <= 1;
        if !whole && strided::overlap(&self.kernel, launch) {
            // what fails halfway could not be done again
            let hint = "raise the device's memory limit, or store elsewhere".into();
            let what = "a kernel on its own operands in pieces".into();
            return Err(ErrorKind::Unsupported { what, hint }.into());
        }
        let mut results = Results::new(&self.kernel, whole);
        self.device.alive("running a kernel")?;
        // SAFETY: the caller's.
        unsafe {
            let saved = results.save(&self.kernel, launch);
            for (frame, pieces) in &runs {
                if let Err(e) = self.run_pieces(frame, pieces, &mut results) {
                    results.restore(&self.kernel, launch, saved);
                    return Err(e);
                }
            }
            results.commit((&self.kernel, &self.passes), launch);
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
