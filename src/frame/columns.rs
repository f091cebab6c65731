//! What can be given where columns are wanted.

use super::{Expr, SortKey, col};
use arrow::array::{
    Array, ArrayRef, BooleanArray, Float16Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use std::sync::Arc;

/// The values of a column of a new frame: made from vectors, `ndarray` arrays and Arrow arrays.
#[derive(Clone, Debug)]
pub struct Column(pub ArrayRef);

impl From<ArrayRef> for Column {
    fn from(array: ArrayRef) -> Column {
        Column(array)
    }
}

macro_rules! columns {
    ($($t:ty => $A:ty;)*) => {$(
        impl From<Vec<$t>> for Column {
            fn from(values: Vec<$t>) -> Column {
                Column(Arc::new(<$A>::from(values)))
            }
        }
        impl From<Vec<Option<$t>>> for Column {
            fn from(values: Vec<Option<$t>>) -> Column {
                Column(Arc::new(<$A>::from(values)))
            }
        }
        impl From<ndarray::Array1<$t>> for Column {
            fn from(values: ndarray::Array1<$t>) -> Column {
                // without a copy where the array is contiguous from its allocation's start
                let values = match values.is_standard_layout() {
                    true => match values.into_raw_vec_and_offset() {
                        (v, None | Some(0)) => v,
                        (v, Some(at)) => v[at..].to_vec(),
                    },
                    false => values.iter().copied().collect(),
                };
                Column(Arc::new(<$A>::from(values)))
            }
        }
    )*};
}
columns! {
    bool => BooleanArray;
    i8 => Int8Array;
    i16 => Int16Array;
    i32 => Int32Array;
    i64 => Int64Array;
    u8 => UInt8Array;
    u16 => UInt16Array;
    u32 => UInt32Array;
    u64 => UInt64Array;
    half::f16 => Float16Array;
    f32 => Float32Array;
    f64 => Float64Array;
}

macro_rules! text {
    ($($t:ty)*) => {$(
        impl From<Vec<$t>> for Column {
            fn from(values: Vec<$t>) -> Column {
                Column(Arc::new(StringArray::from(values)))
            }
        }
        impl From<Vec<Option<$t>>> for Column {
            fn from(values: Vec<Option<$t>>) -> Column {
                Column(Arc::new(StringArray::from(values)))
            }
        }
    )*};
}
text!(&str String);

impl Column {
    /// A column over any Arrow array.
    pub fn new(array: impl Array + 'static) -> Column {
        Column(Arc::new(array))
    }
}

/// Columns by name or as expressions: one, an array, a vector or a slice of them. Text is a column's name here.
pub trait IntoColumns {
    /// The expressions.
    fn into_columns(self) -> Vec<Expr>;
}

impl IntoColumns for Expr {
    fn into_columns(self) -> Vec<Expr> {
        vec![self]
    }
}

impl IntoColumns for &Expr {
    fn into_columns(self) -> Vec<Expr> {
        vec![self.clone()]
    }
}

impl IntoColumns for &str {
    fn into_columns(self) -> Vec<Expr> {
        vec![col(self)]
    }
}

impl IntoColumns for String {
    fn into_columns(self) -> Vec<Expr> {
        vec![col(self)]
    }
}

impl<T: IntoColumns, const N: usize> IntoColumns for [T; N] {
    fn into_columns(self) -> Vec<Expr> {
        self.into_iter().flat_map(T::into_columns).collect()
    }
}

impl<T: IntoColumns> IntoColumns for Vec<T> {
    fn into_columns(self) -> Vec<Expr> {
        self.into_iter().flat_map(T::into_columns).collect()
    }
}

impl<T: IntoColumns + Clone> IntoColumns for &[T] {
    fn into_columns(self) -> Vec<Expr> {
        self.iter().cloned().flat_map(T::into_columns).collect()
    }
}

impl Expr {
    /// As a key of a sort, smallest first, nulls last.
    pub fn ascending(&self) -> SortKey {
        SortKey { expr: self.clone(), descending: false, nulls_first: false }
    }

    /// As a key of a sort, largest first, nulls last.
    pub fn descending(&self) -> SortKey {
        SortKey { expr: self.clone(), descending: true, nulls_first: false }
    }
}

impl SortKey {
    /// With nulls first.
    pub fn nulls_first(mut self) -> SortKey {
        self.nulls_first = true;
        self
    }
}

/// Keys of a sort: columns by name (ascending), or [`Expr::ascending`] and [`Expr::descending`] ones.
pub trait IntoSortKeys {
    /// The keys, most important first.
    fn into_sort_keys(self) -> Vec<SortKey>;
}

impl IntoSortKeys for SortKey {
    fn into_sort_keys(self) -> Vec<SortKey> {
        vec![self]
    }
}

impl IntoSortKeys for &str {
    fn into_sort_keys(self) -> Vec<SortKey> {
        vec![col(self).ascending()]
    }
}

impl<T: IntoSortKeys, const N: usize> IntoSortKeys for [T; N] {
    fn into_sort_keys(self) -> Vec<SortKey> {
        self.into_iter().flat_map(T::into_sort_keys).collect()
    }
}

impl<T: IntoSortKeys> IntoSortKeys for Vec<T> {
    fn into_sort_keys(self) -> Vec<SortKey> {
        self.into_iter().flat_map(T::into_sort_keys).collect()
    }
}
