//! The definition of every kernel: a scalar walk of the IR, one point at a time, in C order of the points.
//!
//! Instructions are evaluated by [`naive`] alone. Nothing here is fast or clever.

use super::{Backend, Executable, Launch, Operand, Output};
use crate::dtype::{DType, Scalar, for_dtype};
use crate::error::{Error, Result};
use crate::ir::{Inst, Kernel, Root, Value};
use crate::shape::Dims;
use blockwise_kernels::naive;
use smallvec::SmallVec;
use std::sync::Arc;

/// The backend that defines all others. Any kernel, any region; slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reference;

/// A kernel as it was given.
struct Walk {
    kernel: Kernel,
}

impl Backend for Reference {
    fn name(&self) -> String {
        "reference".into()
    }

    fn compile(&self, kernel: &Kernel) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(Walk { kernel: kernel.clone() }))
    }
}

impl Executable for Walk {
    fn scratch_bytes(&self, _: &[usize]) -> usize {
        self.kernel.insts().len() * size_of::<Scalar>()
    }

    unsafe fn run(&self, launch: &Launch<'_>) -> Result<()> {
        let (inputs, roots) = (self.kernel.inputs().len(), self.kernel.roots().len());
        if launch.inputs.len() != inputs || launch.outputs.len() != roots {
            return Err(Error::internal(format!("the kernel has {inputs} inputs and {roots} roots")));
        }
        let mut values = Vec::with_capacity(self.kernel.insts().len());
        let mut selected = vec![0usize; roots];
        for n in 0..launch.region.len() {
            // where the point lies in the region
            let at = unravel(n, &launch.region.shape);
            values.clear();
            for inst in self.kernel.insts() {
                // SAFETY: the point is one of the launch's region.
                let value = unsafe { self.evaluate(inst, &values, launch, &at) };
                values.push(value);
            }
            for ((root, output), count) in self.kernel.roots().iter().zip(launch.outputs).zip(&mut selected) {
                // SAFETY: as above, and every root has stored fewer elements than there are points.
                unsafe { self.effect(root, output, &values, launch, &at, count) }?;
            }
        }
        for (output, n) in launch.outputs.iter().zip(selected) {
            if let Output::Select { count, .. } = output {
                // SAFETY: the contract of `run` makes it writable.
                unsafe { count.write(n) };
            }
        }
        Ok(())
    }
}

impl Walk {
    /// The value of an instruction at a point, given those of all before it.
    ///
    /// # Safety
    /// `at` is a point of the launch's region, counted from its start; `Executable::run`'s contract holds.
    unsafe fn evaluate(&self, inst: &Inst, values: &[Scalar], launch: &Launch<'_>, at: &[usize]) -> Scalar {
        let of = |v: Value| values[v.0 as usize];
        match *inst {
            Inst::Load(n) => {
                let dtype = self.kernel.inputs()[n as usize].dtype;
                // SAFETY: the input's element of every point is readable and of the input's dtype.
                unsafe { read(dtype, launch.inputs[n as usize].element(at)) }
            }
            Inst::Const(s) => s,
            Inst::Index { axis } => ((launch.region.start[axis as usize] + at[axis as usize]) as i64).into(),
            Inst::Cast { to, x } => of(x).cast(to),
            Inst::Unary { op, x } => naive::unary(op, of(x)),
            Inst::Binary { op, a, b } => naive::binary(op, of(a), of(b)),
            Inst::Compare { op, a, b } => naive::compare(op, of(a), of(b)),
            Inst::Select { c, a, b } => of(if of(c).bits() != 0 { a } else { b }),
            Inst::MulAdd { a, b, c } => naive::mul_add(of(a), of(b), of(c)),
        }
    }

    /// What a root does with the values of a point. `count` is the number of elements it has selected before.
    ///
    /// # Safety
    /// As of [`Walk::evaluate`].
    unsafe fn effect(
        &self,
        root: &Root,
        output: &Output,
        values: &[Scalar],
        launch: &Launch<'_>,
        at: &[usize],
        count: &mut usize,
    ) -> Result<()> {
        let of = |v: &Value| values[v.0 as usize];
        match (root, output) {
            (Root::Store { value }, Output::Store(operand)) => {
                // SAFETY: the output's element of every point is writable.
                unsafe { write(of(value), operand.element(at)) };
            }
            (Root::Reduce { op, value, axes }, Output::Reduce(operands)) => {
                let dtypes = op.planes(of(value).dtype());
                let planes = operands.iter().zip(&dtypes);
                // SAFETY: the planes' elements of every point are readable and writable.
                let mut fold: SmallVec<[Scalar; 3]> =
                    planes.clone().map(|(o, &d)| unsafe { read(d, o.element(at)) }).collect();
                naive::fold::push(*op, &mut fold, of(value), position(launch, axes, at));
                for ((operand, _), s) in planes.zip(fold) {
                    // SAFETY: as above.
                    unsafe { write(s, operand.element(at)) };
                }
            }
            (Root::GroupReduce { op, value, slot, mask }, Output::GroupReduce(records)) => {
                if mask.is_none_or(|m| of(&m).bits() != 0) {
                    let slot = of(slot).bits() as usize;
                    let dtypes = op.planes(of(value).dtype());
                    let at = |p: usize| records.at(slot as u32)[p];
                    // SAFETY: the slot's accumulators are readable and writable.
                    let mut fold: SmallVec<[Scalar; 3]> =
                        (0..dtypes.len()).map(|p| unsafe { read(dtypes[p], at(p)) }).collect();
                    naive::fold::push(*op, &mut fold, of(value), 0);
                    for (p, s) in fold.into_iter().enumerate() {
                        // SAFETY: as above.
                        unsafe { write(s, at(p)) };
                    }
                }
            }
            (Root::Select { mask, value }, Output::Select { ptr, .. }) => {
                if of(mask).bits() != 0 {
                    let x = of(value);
                    // SAFETY: there is room for one element per point, and fewer have been written.
                    unsafe { write(x, ptr.add(*count * x.dtype().size())) };
                    *count += 1;
                }
            }
            _ => return Err(Error::internal(format!("{root:?} cannot write to {output:?}"))),
        }
        Ok(())
    }
}

impl Operand {
    /// The address of a point's element, given the point counted from the region's start.
    pub(super) fn element(&self, at: &[usize]) -> *mut u8 {
        let offset: isize = at.iter().zip(&self.strides).map(|(&i, &s)| i as isize * s).sum();
        self.ptr.wrapping_offset(offset)
    }
}

/// The position of a point among those that fold into the same element: its index on the reduced axes, in C order over
/// their whole lengths.
pub(super) fn position(launch: &Launch<'_>, axes: &[u8], at: &[usize]) -> i64 {
    axes.iter()
        .map(|&a| a as usize)
        .fold(0, |position, a| position * launch.shape[a] as i64 + (launch.region.start[a] + at[a]) as i64)
}

/// The index of element `n` of a C-ordered box.
pub(super) fn unravel(mut n: usize, shape: &[usize]) -> Dims {
    let mut index: Dims = SmallVec::from_elem(0, shape.len());
    for k in (0..shape.len()).rev() {
        index[k] = n % shape[k];
        n /= shape[k];
    }
    index
}

/// # Safety
/// `ptr` is readable, initialized, and aligned for the dtype.
pub(super) unsafe fn read(dtype: DType, ptr: *const u8) -> Scalar {
    // SAFETY: by the contract of this function.
    for_dtype!(dtype, T => unsafe { ptr.cast::<T>().read() }.into())
}

/// # Safety
/// `ptr` is writable and aligned for the scalar's dtype.
pub(super) unsafe fn write(s: Scalar, ptr: *mut u8) {
    for_dtype!(s.dtype(), T => {
        // SAFETY: by the contract of this function.
        unsafe { ptr.cast::<T>().write(s.get().unwrap_or_default()) }
    })
}
