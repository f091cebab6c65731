//! Objects in stores: what is behind a path that is a URL. With the feature `object-store`; without it such paths are refused.

#[cfg(not(feature = "object-store"))]
mod none;
#[cfg(feature = "object-store")]
mod object;
#[cfg(feature = "object-store")]
mod store;

#[cfg(not(feature = "object-store"))]
#[allow(unused_imports, reason = "formats that are not built name it")]
pub(super) use none::{Object, Place, place};
#[cfg(feature = "object-store")]
pub(super) use object::Object;
#[cfg(feature = "object-store")]
#[allow(unused_imports, reason = "formats that are not built name it")]
pub(super) use store::{Place, place};

use std::path::Path;

/// Schemes of stores.
const SCHEMES: [&str; 10] = ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "http", "https"];

/// Bytes that are fetched at least, for small reads near each other.
#[cfg(feature = "object-store")]
const PIECE: usize = 256 << 10;
/// Pieces that an open object keeps.
#[cfg(feature = "object-store")]
const KEPT: usize = 16;
/// What an open object holds.
#[cfg(feature = "object-store")]
pub(super) const HELD: usize = KEPT * PIECE;
#[cfg(all(any(feature = "frame", feature = "zarr"), not(feature = "object-store")))]
pub(super) const HELD: usize = 0;
/// Bytes that are fetched at once of what is read in order.
#[cfg(any(feature = "frame", feature = "object-store"))]
pub(super) const STRIDE: usize = 4 << 20;

/// Whether a path is the URL of an object.
pub(super) fn is_url(path: &Path) -> bool {
    let scheme = path.to_str().and_then(|text| text.split_once("://"));
    scheme.is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}
