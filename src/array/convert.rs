//! Dtypes of an array.

use super::Array;
use crate::dtype::DType;

impl Array {
    /// The array converted to a dtype (NumPy's `astype`).
    ///
    /// Integers wrap; floats become integers by truncation, saturating at the ends, NaN as 0 (NumPy leaves both undefined); anything becomes
    /// bool as `x != 0`.
    ///
    /// ```
    /// use blockwise::prelude::*;
    /// let x = Array::from_vec(vec![1.9f32, -1.9, 300.0]);
    /// assert_eq!(x.cast(U8).compute()?.as_slice::<u8>()?, [1, 0, 255]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Array {
        self.map(|e| e.cast(dtype))
    }
}
