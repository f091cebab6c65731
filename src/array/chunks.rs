//! Dask's grammar of chunks.

use crate::config::parse_bytes;
use crate::error::{Error, Result};
use crate::shape::{AxisChunks, Grid, auto_block_bytes};

/// How one axis is to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkSpec {
    /// Chunks of this length.
    Size(usize),
    /// Chunks of these lengths, whose sum is the axis'.
    Lengths(Vec<usize>),
    /// One chunk (Dask's -1).
    Whole,
    /// As it is (Dask's None).
    Keep,
    /// So that blocks have about this many bytes, together with the other axes that say so; `None`: the automatic size.
    Auto(Option<u64>),
}

/// Something that says how to cut an array into chunks:
///
/// | form | Dask | meaning |
/// |---|---|---|
/// | `1000` | `1000` | this length on every axis |
/// | `[1000, -1]` | `(1000, -1)` | per axis; -1 is the whole axis |
/// | `"auto"` | `"auto"` | blocks of the automatic size |
/// | `"16MiB"` | `"16MiB"` | blocks of about these bytes |
/// | `[(0, 1000)]` | `{0: 1000}` | some axes, the others keep their chunks |
/// | `vec![ChunkSpec::Lengths(vec![3, 4]), ChunkSpec::Keep]` | `((3, 4), None)` | anything, per axis |
pub trait IntoChunks {
    /// One spec per axis of an array of rank `ndim`.
    ///
    /// # Errors
    /// If the number of axes differs, or words are no size.
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>>;
}

impl IntoChunks for usize {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        Ok(vec![ChunkSpec::Size(self); ndim])
    }
}

impl IntoChunks for i32 {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        Ok(vec![signed(self as isize)?; ndim])
    }
}

impl<const N: usize> IntoChunks for [isize; N] {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        self.into_iter().map(signed).collect::<Result<Vec<_>>>()?.chunk_specs(ndim)
    }
}

impl IntoChunks for &[usize] {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        self.iter().map(|&n| ChunkSpec::Size(n)).collect::<Vec<_>>().chunk_specs(ndim)
    }
}

impl<const N: usize> IntoChunks for [(usize, isize); N] {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        let mut specs = vec![ChunkSpec::Keep; ndim];
        for (axis, size) in self {
            let spec = specs.get_mut(axis);
            *spec.ok_or_else(|| {
                Error::from(crate::error::ErrorKind::Axis { op: "chunks", axis: axis as isize, ndim })
            })? = signed(size)?;
        }
        Ok(specs)
    }
}

impl IntoChunks for &str {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        let bytes = if self == "auto" { None } else { Some(parse_bytes(self)?) };
        Ok(vec![ChunkSpec::Auto(bytes); ndim])
    }
}

impl IntoChunks for Vec<ChunkSpec> {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        if self.len() == ndim {
            return Ok(self);
        }
        Err(Error::invalid("chunks", format!("{} axes are given for an array of {ndim}", self.len())))
    }
}

impl IntoChunks for Grid {
    fn chunk_specs(self, ndim: usize) -> Result<Vec<ChunkSpec>> {
        self.axes().iter().map(|a| ChunkSpec::Lengths(a.lengths())).collect::<Vec<_>>().chunk_specs(ndim)
    }
}

fn signed(n: isize) -> Result<ChunkSpec> {
    match n {
        -1 => Ok(ChunkSpec::Whole),
        n if n > 0 => Ok(ChunkSpec::Size(n as usize)),
        _ => Err(Error::invalid("chunks", format!("{n} is no length; -1 means the whole axis"))),
    }
}

/// The grid that specs make of an array that is cut as `now`.
pub(super) fn resolve(specs: &[ChunkSpec], now: &Grid, item: usize) -> Result<Grid> {
    let mut axes = Vec::with_capacity(specs.len());
    let mut auto = Vec::new();
    let mut target = None;
    for (k, (spec, old)) in specs.iter().zip(now.axes()).enumerate() {
        let len = old.len();
        axes.push(match spec {
            ChunkSpec::Size(0) => return Err(Error::invalid("chunks", "a chunk of length 0")),
            ChunkSpec::Size(n) => AxisChunks::regular(len, *n),
            ChunkSpec::Whole => AxisChunks::regular(len, len),
            ChunkSpec::Keep => old.clone(),
            ChunkSpec::Lengths(lengths) if lengths.iter().sum::<usize>() == len => {
                AxisChunks::explicit(lengths)
            }
            ChunkSpec::Lengths(lengths) => {
                let sum: usize = lengths.iter().sum();
                let message = format!("lengths of axis {k} add up to {sum}, but it has {len} elements");
                return Err(Error::invalid("chunks", message));
            }
            ChunkSpec::Auto(bytes) => {
                auto.push(k);
                target = target.max(*bytes);
                AxisChunks::regular(len, len)
            }
        });
    }
    if !auto.is_empty() {
        let shape = now.shape();
        let bytes = target.map_or_else(|| auto_block_bytes(&shape, item), |b| b as usize);
        let fixed: usize =
            (0..axes.len()).filter(|k| !auto.contains(k)).map(|k| axes[k].max_len().max(1)).product();
        let mut left = (bytes / item / fixed.max(1)).max(1);
        for &k in auto.iter().rev() {
            let n = shape[k].clamp(1, left);
            axes[k] = AxisChunks::regular(shape[k], n);
            left = (left / n).max(1);
        }
    }
    Ok(Grid::new(axes))
}
