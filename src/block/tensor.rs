//! [`Block`]: a dense, strided, typed box of elements.

use super::buffer::Buffer;
use crate::dtype::{DType, Element, Scalar, for_dtype};
use crate::error::{Error, ErrorKind, Result};
use crate::shape::{Dims, Region, c_strides};
use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeBuilder};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// A piece of an array in memory: dtype, shape, element strides, shared storage.
///
/// Cloning, slicing and transposing share the storage. A computed result is a `Block` too: look at it with
/// [`Block::view`], take it with [`Block::into_array`] (no copy when it owns its memory alone and is C-ordered).
#[derive(Clone)]
pub struct Block {
    dtype: DType,
    shape: Dims,
    strides: SmallVec<[isize; 4]>,
    /// The element at index 0, inside `storage`.
    ptr: *const u8,
    storage: Storage,
}

#[derive(Clone)]
enum Storage {
    Pooled(Arc<Buffer>),
    /// Memory of someone else, kept alive by this.
    Foreign(#[allow(dead_code, reason = "held for its drop")] Arc<dyn Any + Send + Sync>),
}

// SAFETY: the storage is Send + Sync and the pointer points into it; a Block gives out shared references only, and
// mutable access only when its storage is not shared (`as_mut_ptr`).
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// The parts of a [`Block`] that a kernel needs: where it is and how to walk it.
#[derive(Clone, Copy, Debug)]
pub struct BlockRef<'a> {
    /// Dtype of the elements.
    pub dtype: DType,
    /// Shape.
    pub shape: &'a [usize],
    /// Element strides.
    pub strides: &'a [isize],
    /// First element.
    pub ptr: *const u8,
}

impl Block {
    /// A C-ordered block of uninitialized pooled memory. Every element must be written before it is read.
    pub(crate) fn uninit(dtype: DType, shape: &[usize]) -> Block {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        let buffer = Buffer::new(bytes, dtype.size());
        Block {
            dtype,
            shape: shape.into(),
            strides: c_strides(shape),
            ptr: buffer.as_ptr(),
            storage: Storage::Pooled(Arc::new(buffer)),
        }
    }

    /// A C-ordered block filled with one value.
    pub fn full(shape: &[usize], value: Scalar) -> Block {
        let mut block = Block::uninit(value.dtype(), shape);
        block.fill(value);
        block
    }

    /// A 0-d block.
    pub fn scalar(value: Scalar) -> Block {
        Block::full(&[], value)
    }

    /// A block over an `ndarray` array of any layout, owned or shared ([`ndarray::ArcArray`]), without a copy.
    pub fn from_array<T, S, D>(array: ndarray::ArrayBase<S, D>) -> Block
    where
        T: Element,
        S: ndarray::Data<Elem = T> + Send + Sync + 'static,
        D: ndarray::Dimension + 'static,
    {
        let shape = array.shape().into();
        let strides = array.strides().into();
        let ptr = array.as_ptr() as *const u8;
        Block { dtype: T::DTYPE, shape, strides, ptr, storage: Storage::Foreign(Arc::new(array)) }
    }

    /// A 1-d block over a vector, without a copy.
    pub fn from_vec<T: Element>(values: Vec<T>) -> Block {
        Block::from_array(ndarray::Array1::from_vec(values))
    }

    /// A block over memory that `owner` keeps alive.
    ///
    /// # Safety
    /// - for every index inside `shape`, `ptr + size * sum(index * strides)` is a readable, initialized element of
    ///   `dtype` (`bool` only 0 or 1), aligned to its size, for as long as `owner` lives;
    /// - nobody writes to these elements meanwhile, except through this block when it is a write target.
    pub unsafe fn from_foreign(
        dtype: DType,
        shape: &[usize],
        strides: &[isize],
        ptr: *const u8,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Block {
        Block { dtype, shape: shape.into(), strides: strides.into(), ptr, storage: Storage::Foreign(owner) }
    }

    /// Dtype of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element strides.
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Bytes of its elements.
    pub fn nbytes(&self) -> usize {
        self.len() * self.dtype.size()
    }

    /// The first element.
    pub fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    /// The first element, writable. The caller must be the only one that touches the elements it writes.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.ptr as *mut u8
    }

    /// What a kernel needs of it.
    pub fn as_ref(&self) -> BlockRef<'_> {
        BlockRef { dtype: self.dtype, shape: &self.shape, strides: &self.strides, ptr: self.ptr }
    }

    /// Whether its elements lie in C order without gaps.
    pub fn is_contiguous(&self) -> bool {
        let mut expect = 1;
        for k in (0..self.shape.len()).rev() {
            if self.shape[k] != 1 {
                if self.strides[k] != expect {
                    return self.is_empty();
                }
                expect *= self.shape[k] as isize;
            }
        }
        true
    }

    /// The part of the block in a region, which must lie inside; shares the storage.
    pub fn slice(&self, region: &Region) -> Block {
        debug_assert!(Region::whole(&self.shape).contains(region), "{region} of {:?}", self.shape);
        let mut block = self.clone();
        block.shape = region.shape.clone();
        if !region.is_empty() {
            let at: isize = region.start.iter().zip(&self.strides).map(|(&i, &s)| i as isize * s).sum();
            // SAFETY: the region lies inside the block, so the element at its start is inside the storage.
            block.ptr = unsafe { self.ptr.offset(at * self.dtype.size() as isize) };
        }
        block
    }

    /// The same elements under another shape of the same length; copies unless contiguous.
    pub fn reshape(&self, shape: &[usize]) -> Block {
        debug_assert_eq!(self.len(), shape.iter().product::<usize>());
        let mut block = self.to_contiguous();
        block.shape = shape.into();
        block.strides = c_strides(shape);
        block
    }

    /// The block in C order; a copy only if it is not.
    pub fn to_contiguous(&self) -> Block {
        if self.is_contiguous() {
            let mut block = self.clone();
            block.strides = c_strides(&self.shape);
            return block;
        }
        let mut out = Block::uninit(self.dtype, &self.shape);
        out.copy_from(&Region::whole(&self.shape), self);
        out
    }

    /// Sets every element. The block must own its memory alone.
    pub(crate) fn fill(&mut self, value: Scalar) {
        for_dtype!(self.dtype, T => {
            let v = T::from_scalar(value.cast(self.dtype)).unwrap_or_default();
            self.view_uninit::<T>().mapv_inplace(|_| MaybeUninit::new(v));
        });
    }

    /// Copies `source` into a region of this block, which must own its memory alone.
    pub(crate) fn copy_from(&mut self, region: &Region, source: &Block) {
        debug_assert_eq!(region.shape.as_slice(), source.shape());
        debug_assert_eq!(self.dtype, source.dtype);
        let mut target = self.slice(region);
        for_dtype!(self.dtype, T => source.view_of::<T>().assign_to(target.view_uninit::<T>()));
    }

    /// A read-only view as an `ndarray` array.
    ///
    /// # Errors
    /// [`ErrorKind::DType`] if `T` is not the block's dtype: [`Block::cast`] first.
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        self.expect::<T>()?;
        Ok(self.view_of())
    }

    fn expect<T: Element>(&self) -> Result<()> {
        if T::DTYPE == self.dtype {
            return Ok(());
        }
        Err(ErrorKind::DType {
            op: format!("view as {}", T::DTYPE),
            dtype: self.dtype,
            hint: format!("take it as {}, or cast it to {} before", self.dtype, T::DTYPE),
        }
        .into())
    }

    /// The view; the dtype is the caller's to check.
    fn view_of<T: Element>(&self) -> ArrayViewD<'_, T> {
        debug_assert_eq!(T::DTYPE, self.dtype);
        let (ptr, strides) = self.nonnegative();
        let mut view =
            // SAFETY: the elements are inside the storage, initialized, typed `T`, and borrowed with `self`.
            unsafe { ArrayViewD::from_shape_ptr(IxDyn(&self.shape).strides(IxDyn(&strides)), ptr as *const T) };
        self.flip_negative(|axis| view.invert_axis(axis));
        view
    }

    /// A writable view; the block must own its memory alone and have dtype `T`.
    pub(crate) fn view_mut_of<T: Element>(&mut self) -> ndarray::ArrayViewMutD<'_, T> {
        debug_assert_eq!(T::DTYPE, self.dtype);
        let (ptr, strides) = self.nonnegative();
        let shape = IxDyn(&self.shape).strides(IxDyn(&strides));
        // SAFETY: as in `view_of`; the caller promises that nobody else touches these elements.
        let mut view = unsafe { ndarray::ArrayViewMutD::from_shape_ptr(shape, ptr as *mut T) };
        self.flip_negative(|axis| view.invert_axis(axis));
        view
    }

    /// A view for writing elements that may not have been written before; otherwise as [`Block::view_mut_of`].
    fn view_uninit<T: Element>(&mut self) -> ndarray::ArrayViewMutD<'_, MaybeUninit<T>> {
        debug_assert_eq!(T::DTYPE, self.dtype);
        let (ptr, strides) = self.nonnegative();
        let shape = IxDyn(&self.shape).strides(IxDyn(&strides));
        // SAFETY: as in `view_of`, with elements that need not be initialized; the caller promises that nobody else
        // touches them.
        let mut view = unsafe { ndarray::ArrayViewMutD::from_shape_ptr(shape, ptr as *mut MaybeUninit<T>) };
        self.flip_negative(|axis| view.invert_axis(axis));
        view
    }

    /// `ndarray` builds views from non-negative strides; negative ones are flipped afterwards.
    fn nonnegative(&self) -> (*const u8, SmallVec<[usize; 4]>) {
        let mut at = 0isize;
        let mut strides = SmallVec::new();
        for (&n, &s) in self.shape.iter().zip(&self.strides) {
            if s < 0 && n > 0 {
                at += s * (n as isize - 1);
            }
            strides.push(s.unsigned_abs());
        }
        let at = if self.is_empty() { 0 } else { at };
        // SAFETY: the element at the far end of every negative axis is inside the storage.
        (unsafe { self.ptr.offset(at * self.dtype.size() as isize) }, strides)
    }

    fn flip_negative(&self, mut flip: impl FnMut(ndarray::Axis)) {
        for (k, s) in self.strides.iter().enumerate() {
            if *s < 0 {
                flip(ndarray::Axis(k));
            }
        }
    }

    /// The elements in C order, borrowed.
    ///
    /// # Errors
    /// If `T` is not the dtype, or the block is not contiguous ([`Block::to_contiguous`] makes it so).
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.expect::<T>()?;
        if !self.is_contiguous() {
            return Err(Error::invalid(
                "as_slice",
                "the block is not contiguous; call to_contiguous() before",
            ));
        }
        // SAFETY: contiguous, initialized, typed `T`, borrowed with `self`; the pointer is aligned and not null.
        Ok(unsafe { std::slice::from_raw_parts(self.ptr as *const T, self.len()) })
    }

    /// The bytes of the elements in C order; the block must be contiguous.
    pub(crate) fn bytes(&self) -> &[u8] {
        debug_assert!(self.is_contiguous());
        // SAFETY: contiguous and initialized; every element type is plain data.
        unsafe { std::slice::from_raw_parts(self.ptr, self.nbytes()) }
    }

    /// The writable bytes of a contiguous block that owns its memory alone. Bools written must be 0 or 1.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        debug_assert!(self.is_contiguous());
        // SAFETY: contiguous; the caller owns the memory alone.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.nbytes()) }
    }

    /// The block as an owned `ndarray` array: without a copy if it owns pooled memory alone and in C order.
    ///
    /// # Errors
    /// [`ErrorKind::DType`] if `T` is not the block's dtype.
    pub fn into_array<T: Element>(self) -> Result<ArrayD<T>> {
        self.expect::<T>()?;
        let whole = self.is_contiguous();
        let len = self.len();
        let shape = self.shape.clone();
        let values = match self.storage {
            Storage::Pooled(buffer) if whole && std::ptr::eq(buffer.as_ptr(), self.ptr) => {
                match Arc::try_unwrap(buffer) {
                    Ok(buffer) => {
                        let (ptr, capacity, align) = buffer.into_raw();
                        debug_assert_eq!(align, size_of::<T>());
                        // SAFETY: a live allocation of `capacity / size` elements of T's size and alignment (the
                        // sizes of all element types equal their alignments), the first `len` of them initialized.
                        unsafe { Vec::from_raw_parts(ptr.as_ptr() as *mut T, len, capacity / size_of::<T>()) }
                    }
                    Err(shared) => {
                        // SAFETY: contiguous, initialized, typed `T`, alive while `shared` is.
                        unsafe { std::slice::from_raw_parts(shared.as_ptr() as *const T, len) }.to_vec()
                    }
                }
            }
            _ => return Ok(self.view_of::<T>().to_owned()),
        };
        ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|e| Error::internal(e.to_string()))
    }

    /// The element at an index.
    ///
    /// # Errors
    /// If the index has not one entry per axis or lies outside.
    pub fn get(&self, index: &[usize]) -> Result<Scalar> {
        if index.len() != self.shape.len() {
            return Err(Error::invalid("get", format!("index {index:?} into shape {:?}", self.shape)));
        }
        for (axis, (&i, &len)) in index.iter().zip(&self.shape).enumerate() {
            if i >= len {
                return Err(ErrorKind::Index { op: "get", index: i as isize, axis, len }.into());
            }
        }
        Ok(for_dtype!(self.dtype, T => self.view_of::<T>()[IxDyn(index)].to_scalar()))
    }

    /// The only element, converted to `T` by the rules of a cast.
    ///
    /// # Errors
    /// If there is not exactly one element.
    pub fn to_scalar<T: Element>(&self) -> Result<T> {
        if self.len() != 1 {
            return Err(Error::invalid("to_scalar", format!("shape {:?} has not one element", self.shape)));
        }
        let value = self.get(&SmallVec::<[usize; 4]>::from_elem(0, self.shape.len()))?;
        Ok(T::from_scalar(value.cast(T::DTYPE)).unwrap_or_default())
    }

    /// A copy with every element converted to another dtype.
    pub fn cast(&self, dtype: DType) -> Block {
        if dtype == self.dtype {
            return self.clone();
        }
        let mut out = Block::uninit(dtype, &self.shape);
        for_dtype!(dtype, T => for_dtype!(self.dtype, S => {
            let source = self.view_of::<S>();
            ndarray::Zip::from(out.view_uninit::<T>()).and(source).for_each(|t, s| {
                t.write(T::from_scalar(s.to_scalar().cast(dtype)).unwrap_or_default());
            });
        }));
        out
    }
}

impl<T: Element, D: ndarray::Dimension> TryFrom<Block> for ndarray::Array<T, D> {
    type Error = Error;

    fn try_from(block: Block) -> Result<Self> {
        let shape = block.shape.to_vec();
        block.into_array::<T>()?.into_dimensionality::<D>().map_err(|_| {
            Error::invalid("into_dimensionality", format!("shape {shape:?} has another number of axes"))
        })
    }
}

/// Values as `ndarray` prints them.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for_dtype!(self.dtype, T => fmt::Display::fmt(&self.view_of::<T>(), f))
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} {:?})", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2, s};

    #[test]
    fn arrays_go_in_and_out_without_a_copy() {
        let mut block = Block::uninit(DType::F32, &[2, 3]);
        block.fill(1.5f32.into());
        let at = block.as_ptr();
        let array: Array2<f32> = block.try_into().unwrap();
        assert_eq!(array.as_ptr() as *const u8, at);
        assert_eq!(array.sum(), 9.0);
        let back = Block::from_array(array);
        assert_eq!(back.as_ptr(), at);
    }

    #[test]
    fn strided_arrays_keep_their_values() {
        let array = arr2(&[[1i16, 2, 3], [4, 5, 6]]).slice_move(s![..;-1, ..;-2]);
        let block = Block::from_array(array.clone());
        assert_eq!(block.view::<i16>().unwrap(), array.into_dyn());
        assert_eq!(block.to_contiguous().as_slice::<i16>().unwrap(), [6, 4, 3, 1]);
        assert!(!block.is_contiguous());
    }

    #[test]
    fn wrong_dtypes_and_shapes_are_errors() {
        let block = Block::from_vec(vec![1u8, 2]);
        assert!(block.view::<f32>().is_err());
        assert!(Array2::<u8>::try_from(block.clone()).is_err());
        assert!(block.get(&[2]).is_err());
        assert!(block.to_scalar::<u8>().is_err());
    }

    #[test]
    fn casts_follow_the_rules() {
        let block = Block::from_vec(vec![-1.5f64, 300.0, f64::NAN]).cast(DType::U8);
        assert_eq!(block.as_slice::<u8>().unwrap(), [0, 255, 0]);
    }
}
