//! A group of instructions and the functions made from it.

#[cfg(all(target_arch = "x86_64", unix))]
use super::{fuse::Fuse, memory::CodePages, transfer::PARTIALS};
use crate::ir::{Kernel, Value};
use blockwise_kernels::tile::Isa;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Most operands of a group, inputs and outputs together.
pub const MAX_ARGS: usize = 32;

/// Most outputs of a group that are summed in registers.
pub const MAX_SUMS: usize = 2;

/// Combinations that code is made for; launches with another fall back to the tile machine.
const VARIANTS: usize = 16;

/// What is special about inputs and outputs, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct How {
    /// Inputs that are one element for all points.
    pub single: u32,
    /// Outputs whose stores bypass the caches.
    pub stream: u32,
    /// Outputs that are not stored but summed, as the tile functions do; AVX-512 only, at most two.
    pub sums: u32,
}

/// What the machine code is: arguments, points.
#[cfg(all(target_arch = "x86_64", unix))]
type Code = unsafe extern "sysv64" fn(*const *mut u8, usize);

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
    how: How,
    variant: Option<Variant>,
}

/// Code for one combination.
pub struct Variant {
    #[cfg(all(target_arch = "x86_64", unix))]
    plain: CodePages,
    #[cfg(all(target_arch = "x86_64", unix))]
    special: Option<CodePages>,
    /// Bytes of every argument's elements; 0 for single ones.
    sizes: SmallVec<[u8; 8]>,
    inputs: usize,
    how: How,
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

    /// Whether outputs can be summed in registers instead of being stored.
    pub fn can_sum(&self) -> bool {
        self.isa == Isa::Avx512
    }

    /// The code for this use of inputs and outputs. Outputs are either summed or streamed if any is summed.
    pub fn variant(&self, mut how: How) -> Option<&Variant> {
        for (k, v) in self.outputs.iter().enumerate() {
            if self.kernel.dtype(*v).size() < 4 || how.sums != 0 {
                how.stream &= !(1 << k);
            }
        }
        for cell in &self.variants {
            let entry = cell.get_or_init(|| Entry { how, variant: self.compile(how) });
            if entry.how == how {
                return entry.variant.as_ref();
            }
        }
        None
    }

    #[cfg(not(all(target_arch = "x86_64", unix)))]
    fn compile(&self, _how: How) -> Option<Variant> {
        None
    }

    #[cfg(all(target_arch = "x86_64", unix))]
    fn compile(&self, how: How) -> Option<Variant> {
        let code = |how: How| {
            // little work and streamed stores: 32 bytes at a time are a little faster than 64
            let halve = how.stream != 0 && self.isa == Isa::Avx512 && self.members.len() <= 8;
            let lanes = if halve { self.lanes / 2 } else { self.lanes };
            let (inputs, outputs) = (&self.inputs, &self.outputs);
            let fuse = Fuse::new(&self.kernel, self.isa, lanes, &self.members, inputs, outputs, how);
            CodePages::new(&fuse.build()?)
        };
        let size = |v: &Value| self.kernel.dtype(*v).size() as u8;
        let of_input = |(k, v): (usize, &Value)| if how.single & (1 << k) != 0 { 0 } else { size(v) };
        let inputs = self.inputs.iter().enumerate().map(of_input);
        let plain = How { single: how.single, ..How::default() };
        Some(Variant {
            plain: code(plain)?,
            special: if how == plain { None } else { Some(code(how)?) },
            sizes: inputs.chain(self.outputs.iter().map(size)).collect(),
            inputs: self.inputs.len(),
            how,
            multiple: if self.isa == Isa::Avx512 { 1 } else { self.lanes },
        })
    }
}

impl Variant {
    /// Runs it on `n` points. `args` are the inputs, then the outputs; a summed output is the f64 that its sum is added to.
    ///
    /// # Safety
    /// - inputs have `n` readable elements (one, if single), outputs `n` writable ones, of the values' dtypes;
    /// - an output may be an input, element by element, but not overlap one otherwise.
    pub unsafe fn call(&self, args: &[*mut u8], n: usize) {
        debug_assert_eq!(args.len(), self.sizes.len());
        #[cfg(all(target_arch = "x86_64", unix))]
        // SAFETY: the caller's contract; peeled and remaining points are disjoint parts of the n.
        unsafe {
            let Some(special) = &self.special else { return self.all(&self.plain, args, n) };
            if self.how.sums != 0 {
                return self.sum(special, args, n);
            }
            match self.head(args) {
                Some(head) if head < n => {
                    self.all(&self.plain, args, head);
                    self.all(special, &self.args_at(args, head)[..args.len()], n - head);
                }
                _ => self.all(&self.plain, args, n),
            }
        }
        #[cfg(not(all(target_arch = "x86_64", unix)))]
        let _ = (args, n, self.inputs, self.how, self.multiple);
    }

    /// The arguments from a point on.
    #[cfg(all(target_arch = "x86_64", unix))]
    fn args_at(&self, args: &[*mut u8], point: usize) -> [*mut u8; MAX_ARGS] {
        let mut rest = [std::ptr::null_mut(); MAX_ARGS];
        for ((to, from), size) in rest.iter_mut().zip(args).zip(&self.sizes) {
            *to = from.wrapping_add(point * *size as usize);
        }
        rest
    }

    /// Runs on `n` points and adds the summed outputs up: element `c` into partial sum `c % PARTIALS`, these combined by halves,
    /// the result added to where the argument points: the bits of the tile function.
    ///
    /// # Safety
    /// As for [`Variant::call`].
    #[cfg(all(target_arch = "x86_64", unix))]
    unsafe fn sum(&self, code: &CodePages, args: &[*mut u8], n: usize) {
        type Partials = [f64; PARTIALS];
        let summed = |k: usize| k >= self.inputs && self.how.sums & (1 << (k - self.inputs)) != 0;
        let mut partials: [Partials; MAX_SUMS] = [[0.0; PARTIALS]; MAX_SUMS];
        let left = n % PARTIALS;
        let full = n - left;
        // SAFETY: the caller's contract. Summed outputs are redirected to partial sums, or elements to be added.
        unsafe {
            if full > 0 {
                let mut list = self.args_at(args, 0);
                let sums = (0..args.len()).filter(|k| summed(*k));
                for (k, partials) in sums.zip(&mut partials) {
                    list[k] = partials.as_mut_ptr() as *mut u8;
                }
                self.all(code, &list[..args.len()], full);
            }
            if left > 0 {
                let mut list = self.args_at(args, full);
                let mut elements = [[0u64; PARTIALS]; MAX_SUMS];
                let sums = (0..args.len()).filter(|k| summed(*k));
                for (k, elements) in sums.zip(&mut elements) {
                    list[k] = elements.as_mut_ptr() as *mut u8;
                }
                self.all(&self.plain, &list[..args.len()], left);
                let sums = (0..args.len()).filter(|k| summed(*k));
                for (k, (elements, partials)) in sums.zip(elements.iter().zip(&mut partials)) {
                    let (f32s, f64s) = (elements.as_ptr() as *const f32, elements.as_ptr() as *const f64);
                    for (i, sum) in partials.iter_mut().enumerate().take(left) {
                        *sum +=
                            if self.sizes[k] == 4 { f32s.add(i).read() as f64 } else { f64s.add(i).read() };
                    }
                }
            }
            let sums = (0..args.len()).filter(|k| summed(*k));
            for (k, mut partials) in sums.zip(partials) {
                let mut half = PARTIALS / 2;
                while half > 0 {
                    for i in 0..half {
                        partials[i] += partials[i + half];
                    }
                    half /= 2;
                }
                *(args[k] as *mut f64) += partials[0];
            }
        }
    }

    /// Points after which all streamed outputs are aligned to a cache line.
    #[cfg(all(target_arch = "x86_64", unix))]
    fn head(&self, args: &[*mut u8]) -> Option<usize> {
        let mut head = None;
        for (k, (arg, size)) in args.iter().zip(&self.sizes).enumerate().skip(self.inputs) {
            if self.how.stream & (1 << (k - self.inputs)) == 0 {
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
        // SAFETY: the pages hold functions of this signature.
        let (f, plain) = unsafe {
            (
                std::mem::transmute::<*const u8, Code>(code.entry()),
                std::mem::transmute::<*const u8, Code>(self.plain.entry()),
            )
        };
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
