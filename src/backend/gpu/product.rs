//! Products of matrices on a device: operands go up packed as they lie, or are read where they stay; sums go up, and come back.

use super::device::Device;
use super::pool::{Buffers, Size};
use super::resident::{Home, Homes, Twin};
use super::{strided, wgsl};
use crate::backend::{Matrix, Multiply, Operand, Product};
use crate::block::Held;
use crate::dtype::DType;
use crate::error::{ErrorKind, Result};
use blockwise_kernels::tile::{PRODUCT_RUN as RUN, product_sum};
use smallvec::smallvec;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Most terms of a piece. Mesa's software adapter ends all loops of an invocation after 65 535 rounds.
const MOST_TERMS: usize = 1 << 15;

const ACTION: &str = "multiplying matrices";

/// The product of matrices of a dtype, and the pipelines made so far, by the bindings of operands that stay.
pub struct Compiled {
    device: Arc<Device>,
    dtype: DType,
    /// Lanes along a side of a workgroup, and terms of a tile.
    tile: (u32, u32),
    pipelines: Mutex<HashMap<Slots, wgpu::ComputePipeline>>,
}

type Slots = [Option<u8>; 2];

/// Rows, columns and terms.
type Extent = (usize, usize, usize);

/// An operand of a piece: where it is, and elements from line to line and from term to term there.
struct Side {
    lines: usize,
    terms: usize,
    /// How it lies on the host.
    matrix: Matrix,
    place: Place,
}

enum Place {
    /// In a binding, from an element on.
    Home(Home),
    /// To be sent: line by line, or term by term if terms lie further apart than lines.
    Sent { turned: bool },
}

impl Compiled {
    pub fn new(device: Arc<Device>, dtype: DType) -> Result<Compiled> {
        let tile = wgsl::product::tile(dtype, &device.limits);
        // what cannot be written as WGSL is found now
        wgsl::product::module(dtype, [None; 2], tile, &device.arithmetic)?;
        Ok(Compiled { device, dtype, tile, pipelines: Mutex::default() })
    }

    fn pipeline(&self, slots: Slots) -> Result<wgpu::ComputePipeline> {
        let mut known = self.pipelines.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = known.get(&slots) {
            return Ok(found.clone());
        }
        let text = wgsl::product::module(self.dtype, slots, self.tile, &self.device.arithmetic)?;
        let made = self.device.pipeline(&text)?;
        known.insert(slots, made.clone());
        Ok(made)
    }

    /// Bytes that a sum takes on the device.
    fn sum_bytes(&self) -> usize {
        product_sum(self.dtype).size().max(4)
    }

    /// The operands of a product as those of kernels, with their shapes.
    fn operands(&self, product: &Product) -> [(Operand, [usize; 2]); 2] {
        let (m, n, k) = product.extent;
        let of = |x: &Matrix, shape| {
            (Operand { ptr: x.ptr.cast_mut(), strides: smallvec![x.rows, x.cols] }, shape)
        };
        [of(&product.a, [m, k]), of(&product.b, [k, n])]
    }

    fn homes(&self, product: &Product) -> Homes {
        let operands = self.operands(product);
        let size = self.dtype.size();
        Homes::of(&self.device, operands.iter().map(|(operand, shape)| (operand, &shape[..], size)))
    }

    /// The room that was made for a product's sums, and the first of them there. Sums that are wider on the device have none.
    fn seat(&self, product: &Product) -> Option<(Arc<Twin>, usize)> {
        let (size, (m, n, _)) = (product_sum(self.dtype).size(), product.extent);
        let sums = Operand { ptr: product.c, strides: smallvec![(n * size) as isize, size as isize] };
        let (from, to) = sums.hull(&[m, n], size);
        let twin = self.device.pool.twin(from, to).filter(|twin| twin.room && size == self.sum_bytes())?;
        let first = Home::within(&twin, 0, &sums, size).first;
        Some((twin, first as usize))
    }

    /// Bytes up and down for a piece none of whose operands is there; its sums may be.
    fn size(&self, (m, n, k): Extent, stays: bool) -> Size {
        let words = |elements: usize| elements.saturating_mul(self.dtype.size()).next_multiple_of(8);
        let sums = m.saturating_mul(n).saturating_mul(self.sum_bytes()).next_multiple_of(8);
        let sums = if stays { 0 } else { sums };
        let operands = words(m.saturating_mul(k)).saturating_add(words(n.saturating_mul(k)));
        Size::of((self.params() + operands.saturating_add(sums)) as u64, sums as u64)
    }

    /// Bytes before the operands.
    fn params(&self) -> usize {
        let alignment = self.device.limits.min_storage_buffer_offset_alignment as usize;
        (4 * wgsl::product::PARAMS).next_multiple_of(alignment.max(16))
    }

    /// The extent of pieces, if there is memory for any: terms are cut between runs, which keeps the bits of sums.
    fn piece(&self, extent: Extent, stays: bool) -> Option<Extent> {
        let side = wgsl::product::side(self.tile.0);
        let grid = self.device.limits.max_compute_workgroups_per_dimension as usize * side;
        let (mut m, mut n, mut k) = (extent.0.min(grid), extent.1.min(grid), extent.2.min(MOST_TERMS));
        while !self.device.fits(self.size((m, n, k), stays), 1) {
            if k > RUN && k >= m.max(n) {
                k = (k / 2).next_multiple_of(RUN);
            } else if m.max(n) > 1 {
                let longer = if m > n { &mut m } else { &mut n };
                *longer = longer.div_ceil(2);
            } else {
                return None;
            }
        }
        Some((m, n, k))
    }

    /// An operand of a piece that begins at a line and a term of the whole.
    fn side(
        &self,
        matrix: Matrix,
        home: &Option<Home>,
        (line, term): (usize, usize),
        (lines, terms): (usize, usize),
        flip: bool,
    ) -> Side {
        // lines of the left operand are its rows, of the right one its columns
        let (along, across) = if flip { (matrix.cols, matrix.rows) } else { (matrix.rows, matrix.cols) };
        let by = line as isize * along + term as isize * across;
        let matrix = Matrix { ptr: matrix.ptr.wrapping_offset(by), rows: along, cols: across };
        let place = match home {
            Some(home) => {
                let steps =
                    if flip { [home.steps[1], home.steps[0]] } else { [home.steps[0], home.steps[1]] };
                let first = home.first + line as isize * steps[0] + term as isize * steps[1];
                Place::Home(Home { slot: home.slot, first, steps: steps.as_slice().into() })
            }
            None => Place::Sent { turned: along.unsigned_abs() < across.unsigned_abs() },
        };
        Side { lines, terms, matrix, place }
    }
}

impl Side {
    /// Parameters of the operand: where its elements begin, and their steps; `base` is its first word if it is sent.
    fn words(&self, base: usize) -> [u32; 3] {
        match &self.place {
            Place::Home(home) => [home.first as u32, home.steps[0] as u32, home.steps[1] as u32],
            Place::Sent { turned: false } => [base as u32, self.terms as u32, 1],
            Place::Sent { turned: true } => [base as u32, 1, self.lines as u32],
        }
    }

    /// Bytes that are sent.
    fn sent(&self, size: usize) -> usize {
        if let Place::Sent { .. } = self.place { self.lines * self.terms * size } else { 0 }
    }

    /// Copies what is sent.
    ///
    /// # Safety
    /// The elements are readable, and there is room for as many.
    unsafe fn pack(&self, size: usize, to: *mut u8) {
        let Place::Sent { turned } = self.place else { return };
        let Matrix { ptr, rows, cols } = self.matrix;
        let (shape, from) = match turned {
            false => ([self.lines, self.terms], [rows, cols]),
            true => ([self.terms, self.lines], [cols, rows]),
        };
        let steps = [(shape[1] * size) as isize, size as isize];
        // SAFETY: the caller's.
        unsafe { strided::copy(&shape, size, (ptr, &from), (to, &steps)) };
    }
}

impl Multiply for Compiled {
    fn scratch_bytes(&self, extent: Extent) -> usize {
        // of what goes in several pieces the sums are kept as they were
        let whole = self.piece(extent, false) == Some(extent);
        let sums = extent.0 * extent.1 * product_sum(self.dtype).size();
        (1 << 16) + if whole { 0 } else { sums }
    }

    fn held_bytes(&self, product: &Product) -> usize {
        let (homes, (m, n, k)) = (self.homes(product), product.extent);
        let bytes =
            homes.inputs.iter().zip([m * k, k * n]).map(|(home, n)| if home.is_some() { n } else { 0 });
        bytes.sum::<usize>() * self.dtype.size()
    }

    unsafe fn run(&self, product: &Product) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { self.run_into(product, None) }
    }

    unsafe fn run_away(
        &self,
        product: &Product,
        away: [Option<&dyn Held>; 2],
        sums: Option<&dyn Held>,
    ) -> Result<bool> {
        let homes = self.homes(product);
        let elsewhere = homes.inputs.iter().zip(away).filter(|(home, _)| home.is_none());
        elsewhere.filter_map(|(_, held)| held).try_for_each(|held| held.fetch())?;
        // of no terms nothing would be stored there
        let seat = sums.filter(|_| product.extent.2 > 0).and_then(|_| self.seat(product));
        let stays = seat.is_some();
        if let Some(sums) = sums.filter(|_| !stays && !product.fresh) {
            sums.fetch()?;
        }
        // SAFETY: the caller's; what was found stays where it is until it has been fetched.
        unsafe { self.run_into(product, seat) }.map(|()| stays)
    }
}

impl Compiled {
    /// Adds a product to sums in their own memory, or in room for them from an element on.
    ///
    /// # Safety
    /// That of [`Multiply::run`], of sums in their own memory.
    unsafe fn run_into(&self, product: &Product, seat: Option<(Arc<Twin>, usize)>) -> Result<()> {
        let (m, n, k) = product.extent;
        if m == 0 || n == 0 || k == 0 {
            return Ok(());
        }
        self.device.alive(ACTION)?;
        let stays = seat.is_some();
        let piece = self.piece(product.extent, stays).ok_or_else(|| ErrorKind::MemoryLimit {
            op: format!("a product of matrices on {}", self.device.adapter.name),
            needed: self.size((1, 1, k.min(RUN)), stays).total(),
            limit: self.device.pool.limit(),
            chunks: format!("one sum of {RUN} terms"),
        })?;
        let homes = self.homes(product);
        let bytes = m * n * product_sum(self.dtype).size();
        // SAFETY: the caller's: so many bytes of sums are there, and are nobody else's.
        let saved = (piece != product.extent && !stays)
            .then(|| unsafe { std::slice::from_raw_parts(product.c, bytes) }.to_vec());
        for i in (0..m).step_by(piece.0) {
            for j in (0..n).step_by(piece.1) {
                for p in (0..k).step_by(piece.2) {
                    let extent = (piece.0.min(m - i), piece.1.min(n - j), piece.2.min(k - p));
                    // SAFETY: the caller's, of a part.
                    if let Err(e) = unsafe { self.piece_of(product, (&homes, &seat), (i, j, p), extent) } {
                        if let Some(saved) = saved {
                            // SAFETY: as many bytes as were read.
                            unsafe { saved.as_ptr().copy_to_nonoverlapping(product.c, bytes) };
                        }
                        return Err(e);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the part of a product that begins at a row, a column and a term.
    ///
    /// # Safety
    /// That of [`Compiled::run_into`].
    unsafe fn piece_of(
        &self,
        product: &Product,
        (homes, seat): (&Homes, &Option<(Arc<Twin>, usize)>),
        (i, j, p): Extent,
        (m, n, k): Extent,
    ) -> Result<()> {
        let device = &*self.device;
        let sides = [
            self.side(product.a, &homes.inputs[0], (i, p), (m, k), false),
            self.side(product.b, &homes.inputs[1], (j, p), (n, k), true),
        ];
        let (size, ahead) = (product_sum(self.dtype).size(), i * product.extent.1 + j);
        let place = match seat {
            Some((twin, first)) => Sums::There { twin, first: first + ahead, row: product.extent.1 },
            None => Sums::Here {
                c: product.c.wrapping_add(ahead * size),
                size,
                on_host: [(product.extent.1 * size) as isize, size as isize],
                wide: self.sum_bytes(),
            },
        };
        let sums = (place, [m, n], product.fresh && p == 0);
        let Some(buffers) = device.pool.take(device, self.size((m, n, k), seat.is_some()), true)? else {
            return Err(device.error(ACTION, "there is no memory for it"));
        };
        // SAFETY: the caller's.
        let done = unsafe { self.through(&sides, homes, sums, &buffers) };
        device.pool.done(buffers, done)
    }

    /// # Safety
    /// That of [`Compiled::run_into`]; the sums have this shape, and are all 0 if they are fresh, wherever they are.
    unsafe fn through(
        &self,
        sides: &[Side; 2],
        homes: &Homes,
        (sums, [m, n], fresh): (Sums<'_>, [usize; 2], bool),
        buffers: &Buffers,
    ) -> Result<()> {
        let device = &*self.device;
        let size = self.dtype.size();
        let from = self.params();
        let second = from + sides[0].sent(size).next_multiple_of(8);
        let third = second + sides[1].sent(size).next_multiple_of(8);
        let (bytes, layout) = match &sums {
            Sums::Here { wide, .. } => (m * n * wide, [0, n]),
            Sums::There { first, row, .. } => (0, [*first, *row]),
        };
        let (up, down) =
            (if fresh { 0 } else { bytes.next_multiple_of(8) }, bytes.next_multiple_of(8).max(8));
        let mut words = vec![0, m as u32, n as u32, sides[0].terms as u32];
        words.extend(sides[0].words(0));
        words.extend(sides[1].words((second - from) / 4));
        words.extend([layout[0] as u32, layout[1] as u32, u32::from(fresh)]);
        {
            let mut view = device.writable(&buffers.upload, (third + up) as u64)?;
            let params: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            view.slice(..params.len()).copy_from_slice(&params);
            for (side, at) in sides.iter().zip([from, second]) {
                let bytes = side.sent(size);
                // SAFETY: the operand's elements are readable, and the slice has room for as many.
                unsafe { side.pack(size, view.slice(at..at + bytes).as_raw_element_ptr().as_ptr()) };
                device.sent(bytes as u64);
            }
            if up > 0 {
                // SAFETY: as above.
                unsafe { sums.send([m, n], view.slice(third..third + up).as_raw_element_ptr().as_ptr()) };
                device.sent(bytes as u64);
            }
        }
        let slots = homes.slots();
        let pipeline = self.pipeline([slots[0], slots[1]])?;
        let part = |offset: usize, end: usize| wgpu::BufferBinding {
            buffer: &buffers.input,
            offset: offset as u64,
            size: wgpu::BufferSize::new((end - offset) as u64),
        };
        let results = match &sums {
            Sums::Here { .. } => &buffers.output,
            Sums::There { twin, .. } => &twin.buffer,
        };
        let mapping = device.checked(ACTION, || {
            buffers.upload.unmap();
            let params = part(0, 4 * wgsl::product::PARAMS);
            // where both operands stay, the binding is the parameters again
            let inputs = if third > from { part(from, third) } else { params.clone() };
            let group = device.bind([params, inputs, results.as_entire_buffer_binding()], &homes.twins);
            let mut encoder = device.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&buffers.upload, 0, &buffers.input, 0, third as u64);
            if up > 0 {
                let from = (&buffers.upload, third as u64);
                encoder.copy_buffer_to_buffer(from.0, from.1, &buffers.output, 0, up as u64);
            }
            let mut pass = encoder.begin_compute_pass(&Default::default());
            let side = wgsl::product::side(self.tile.0);
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(n.div_ceil(side) as u32, m.div_ceil(side) as u32, 1);
            drop(pass);
            // of sums that stay these are any bytes, which come when they are added to
            encoder.copy_buffer_to_buffer(&buffers.output, 0, &buffers.download, 0, down as u64);
            device.submit_and_map(encoder, &buffers.download, down as u64)
        })?;
        device.mapped(&mapping, ACTION)?;
        // SAFETY: the caller's; the view has all sums that are to come.
        unsafe { sums.receive([m, n], &device.readable(&buffers.download, down as u64)?) };
        buffers.download.unmap();
        device.received(bytes as u64);
        Ok(())
    }
}

/// Where the sums of a piece are.
enum Sums<'a> {
    /// On the host in a larger matrix, and on the device in words of their own, row after row.
    Here {
        c: *mut u8,
        /// Bytes of a sum on the host.
        size: usize,
        on_host: [isize; 2],
        /// Bytes of a sum on the device. What is above those of the host matters to nobody.
        wide: usize,
    },
    /// In a twin: the first sum, and sums of a row.
    There { twin: &'a Twin, first: usize, row: usize },
}

impl Sums<'_> {
    /// # Safety
    /// Those that are here are readable, and there is room for all.
    unsafe fn send(&self, shape: [usize; 2], to: *mut u8) {
        if let Sums::Here { c, size, on_host, wide } = self {
            let on_device = [(shape[1] * wide) as isize, *wide as isize];
            // SAFETY: the caller's.
            unsafe { strided::copy(&shape, *size, (*c, on_host), (to, &on_device)) };
        }
    }

    /// # Safety
    /// Those that are here are writable, and nobody else's; `from` has all of them.
    unsafe fn receive(&self, shape: [usize; 2], from: &[u8]) {
        if let Sums::Here { c, size, on_host, wide } = self {
            let on_device = [(shape[1] * wide) as isize, *wide as isize];
            // SAFETY: the caller's.
            unsafe { strided::copy(&shape, *size, (from.as_ptr(), &on_device), (*c, on_host)) };
        }
    }
}
