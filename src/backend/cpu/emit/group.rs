//! A group of instructions and the functions made from it.

#[cfg(all(target_arch = "x86_64", unix))]
use super::{fuse::Fuse, memory::CodePages};
use crate::ir::{Kernel, Value};
use blockwise_kernels::tile::Isa;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Most operands of a group, inputs and outputs together.
pub const MAX_ARGS: usize = 32;

/// Combinations that code is made for; launches with another fall back to the tile machine.
const VARIANTS: usize = 16;

/// Instructions compiled into one function.
pub struct Group {
    /// What it reads.
    pub inputs: SmallVec<[Value; 8]>,
    /// What it computes for others.
    pub outputs: SmallVec<[Value; 4]>,
    #[cfg_attr(not(all(target_arch = "x86_64", unix)), allow(dead_code))]
    kernel: Arc<Kernel>,
    #[cfg_attr(not(all(target_arch = "x86_64", unix)), allow(dead_code))]
    isa: Isa,
    members: Vec<usize>,
    /// Points of one vector.
    lanes: usize,
    variants: [OnceLock<Entry>; VARIANTS],
}

struct Entry {
    single: u32,
    stream: u32,
    variant: Option<Variant>,
}

/// Code for one combination.
pub struct Variant {
    #[cfg(all(target_arch = "x86_64", unix))]
    plain: CodePages,
    #[cfg(all(target_arch = "x86_64", unix))]
    streaming: Option<CodePages>,
    /// Bytes of every argument's elements; 0 for single ones.
    sizes: SmallVec<[u8; 8]>,
    inputs: usize,
    stream: u32,
    /// The code takes a multiple of this many points.
    multiple: usize,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({:?} -> {:?}, {} instructions)", self.inputs, self.outputs, self.members.len())
    }
}

impl Group {
    /// A group; `members` are ascending and closed under what `inputs`, `outputs` and constants say.
    pub fn new(
        kernel: Arc<Kernel>,
        isa: Isa,
        members: Vec<usize>,
        inputs: SmallVec<[Value; 8]>,
        outputs: SmallVec<[Value; 4]>,
    ) -> Group {
        let values = members
            .iter()
            .flat_map(|&k| std::iter::once(Value(k as u32)).chain(kernel.insts()[k].operands()));
        let long = values.into_iter().any(|v| kernel.dtype(v).size() == 8);
        let bytes = if isa == Isa::Avx512 { 64 } else { 32 };
        let lanes = bytes / if long { 8 } else { 4 };
        Group { inputs, outputs, kernel, isa, members, lanes, variants: Default::default() }
    }

    /// The code for these inputs (bits) being one element for all points, and these outputs bypassing the caches.
    pub fn variant(&self, single: u32, stream: u32) -> Option<&Variant> {
        let mut stream = stream;
        for (k, v) in self.outputs.iter().enumerate() {
            if self.kernel.dtype(*v).size() < 4 {
                stream &= !(1 << k);
            }
        }
        for cell in &self.variants {
            let make = || Entry { single, stream, variant: self.compile(single, stream) };
            let entry = cell.get_or_init(make);
            if (entry.single, entry.stream) == (single, stream) {
                return entry.variant.as_ref();
            }
        }
        None
    }

    #[cfg(not(all(target_arch = "x86_64", unix)))]
    fn compile(&self, _single: u32, _stream: u32) -> Option<Variant> {
        None
    }

    #[cfg(all(target_arch = "x86_64", unix))]
    fn compile(&self, single: u32, stream: u32) -> Option<Variant> {
        let code = |stream| {
            let (inputs, outputs) = (&self.inputs, &self.outputs);
            let fuse = Fuse::new(
                &self.kernel,
                self.isa,
                // streamed stores of 32 bytes are a little faster than of 64
                if stream != 0 && self.isa == Isa::Avx512 { self.lanes / 2 } else { self.lanes },
                &self.members,
                inputs,
                outputs,
                single,
                stream,
            );
            CodePages::new(&fuse.build()?)
        };
        let size = |v: &Value| self.kernel.dtype(*v).size() as u8;
        let of_input = |(k, v): (usize, &Value)| if single & (1 << k) != 0 { 0 } else { size(v) };
        Some(Variant {
            plain: code(0)?,
            streaming: if stream != 0 { Some(code(stream)?) } else { None },
            sizes: self
                .inputs
                .iter()
                .enumerate()
                .map(of_input)
                .chain(self.outputs.iter().map(size))
                .collect(),
            inputs: self.inputs.len(),
            stream,
            multiple: if self.isa == Isa::Avx512 { 1 } else { self.lanes },
        })
    }
}

impl Variant {
    /// Runs it on `n` points. `args` are the inputs, then the outputs.
    ///
    /// # Safety
    /// - inputs have `n` readable elements (one, if single), outputs `n` writable ones, of the values' dtypes;
    /// - an output may be an input, element by element, but not overlap one otherwise.
    pub unsafe fn call(&self, args: &[*mut u8], n: usize) {
        debug_assert_eq!(args.len(), self.sizes.len());
        #[cfg(all(target_arch = "x86_64", unix))]
        // SAFETY: the caller's contract; peeled and remaining points are disjoint parts of the n.
        unsafe {
            let Some(streaming) = &self.streaming else { return self.all(&self.plain, args, n) };
            match self.head(args) {
                Some(head) if head < n => {
                    self.all(&self.plain, args, head);
                    let mut rest = [std::ptr::null_mut(); MAX_ARGS];
                    for ((to, from), size) in rest.iter_mut().zip(args).zip(&self.sizes) {
                        *to = from.add(head * *size as usize);
                    }
                    self.all(streaming, &rest[..args.len()], n - head);
                }
                _ => self.all(&self.plain, args, n),
            }
        }
        #[cfg(not(all(target_arch = "x86_64", unix)))]
        let _ = (args, n, self.inputs, self.stream, self.multiple);
    }

    /// Points after which all streamed outputs are aligned to a cache line.
    #[cfg(all(target_arch = "x86_64", unix))]
    fn head(&self, args: &[*mut u8]) -> Option<usize> {
        let mut head = None;
        for (k, (arg, size)) in args.iter().zip(&self.sizes).enumerate().skip(self.inputs) {
            if self.stream & (1 << (k - self.inputs)) == 0 {
                continue;
            }
            let (at, size) = (*arg as usize, *size as usize);
            let points = at.next_multiple_of(64).wrapping_sub(at) / size;
            if *head.get_or_insert(points) != points {
                return None;
            }
        }
        head
    }

    /// Runs code on any number of points: what is left of a vector goes through padded copies and plain stores.
    ///
    /// # Safety
    /// As for [`Variant::call`].
    #[cfg(all(target_arch = "x86_64", unix))]
    unsafe fn all(&self, code: &CodePages, args: &[*mut u8], n: usize) {
        type Code = unsafe extern "sysv64" fn(*const *mut u8, usize);
        // SAFETY: the pages hold functions of this signature.
        let (f, plain): (Code, Code) =
            unsafe { (std::mem::transmute(code.entry()), std::mem::transmute(self.plain.entry())) };
        let left = n % self.multiple;
        let full = n - left;
        // SAFETY: the caller's contract. The buffers have room for a vector of every argument, and elements past `left` are
        // initialized.
        unsafe {
            if full > 0 {
                f(args.as_ptr(), full);
            }
            if left == 0 {
                return;
            }
            let mut buffers = [[0u64; 8]; MAX_ARGS];
            let mut list = [std::ptr::null_mut(); MAX_ARGS];
            for (k, (arg, size)) in args.iter().zip(&self.sizes).enumerate() {
                let size = *size as usize;
                list[k] = if size == 0 { *arg } else { buffers[k].as_mut_ptr() as *mut u8 };
                if k < self.inputs && size != 0 {
                    std::ptr::copy_nonoverlapping(arg.add(full * size), list[k], left * size);
                }
            }
            plain(list.as_ptr(), self.multiple);
            for (k, (arg, size)) in args.iter().zip(&self.sizes).enumerate().skip(self.inputs) {
                let size = *size as usize;
                std::ptr::copy_nonoverlapping(list[k], arg.add(full * size), left * size);
            }
        }
    }
}
