//! [`Meta`] to and from the attributes of an array; the table is in the parent module's documentation.

use super::{Map, Value, Version};
use crate::meta::{Crs, GeoRef, Meta};
use serde_json::json;
use std::sync::Arc;

const DIMENSIONS: &str = "_ARRAY_DIMENSIONS";
const TRANSFORM: &str = "spatial:transform";

/// What the metadata document of an array (with its attributes) tells.
pub(super) fn read(document: &Value, ndim: usize) -> Meta {
    let empty = Map::new();
    let attributes = document.get("attributes").and_then(Value::as_object).unwrap_or(&empty);
    let texts = |value: Option<&Value>| -> Vec<Arc<str>> {
        let list = value.and_then(Value::as_array);
        list.map(|l| l.iter().map(|v| v.as_str().unwrap_or_default().into()).collect()).unwrap_or_default()
    };
    let mut dims = texts(document.get("dimension_names"));
    if dims.is_empty() {
        dims = texts(attributes.get(DIMENSIONS));
    }
    if dims.len() != ndim || dims.iter().all(|d| d.is_empty()) {
        dims.clear();
    }
    let nodata = ["nodata", "_FillValue", "missing_value"].iter().find_map(|k| number(attributes.get(*k)?));
    Meta {
        name: attributes.get("name").and_then(Value::as_str).map(Arc::from),
        dims,
        bands: texts(attributes.get("bands")),
        nodata,
        georef: georef(attributes),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        // as fill values are spelt: NaN, Infinity, -Infinity
        Value::String(s) => s.parse().ok(),
        _ => None,
    }
}

fn georef(attributes: &Map<String, Value>) -> Option<GeoRef> {
    let t = attributes.get(TRANSFORM)?.as_array()?;
    let t: Vec<f64> = t.iter().filter_map(Value::as_f64).collect();
    // nine numbers are a whole matrix, whose last row says nothing
    let &[a, b, c, d, e, f] = t.get(..6)? else { return None };
    let text = |key: &str| attributes.get(key).and_then(Value::as_str);
    let epsg = text("proj:code").and_then(|c| c.strip_prefix("EPSG:")?.parse().ok());
    let crs = match (epsg, text("proj:wkt2")) {
        (Some(code), _) => Crs::Epsg(code),
        (None, Some(wkt)) => Crs::Wkt(wkt.into()),
        (None, None) => Crs::Unknown,
    };
    Some(GeoRef { crs, transform: [c, a, b, f, d, e] })
}

/// The attributes that carry an array's metadata.
pub(super) fn write(meta: &Meta, version: Version, ndim: usize) -> Map<String, Value> {
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| drop(out.insert(key.into(), value));
    if let Some(name) = &meta.name {
        set("name", json!(**name));
    }
    if version == Version::V2 && meta.dims.len() == ndim && ndim > 0 {
        set(DIMENSIONS, names(&meta.dims));
    }
    if !meta.bands.is_empty() {
        set("bands", names(&meta.bands));
    }
    if let Some(nodata) = meta.nodata {
        // xarray wants _FillValue of version 3 in a form of its own, so there it is left to us
        let key = if version == Version::V2 { "_FillValue" } else { "nodata" };
        set(key, float(nodata));
    }
    if let Some(GeoRef { crs, transform: t }) = &meta.georef {
        match crs {
            Crs::Epsg(code) => set("proj:code", json!(format!("EPSG:{code}"))),
            Crs::Wkt(wkt) => set("proj:wkt2", json!(**wkt)),
            Crs::Unknown => {}
        }
        set(TRANSFORM, json!([t[1], t[2], t[0], t[4], t[5], t[3]]));
    }
    out
}

/// Names as JSON.
pub(super) fn names(names: &[Arc<str>]) -> Value {
    names.iter().map(|n| json!(**n)).collect::<Vec<_>>().into()
}

/// A float as Zarr's metadata spells it.
pub(super) fn float(value: f64) -> Value {
    match value {
        v if v.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        v => json!(v),
    }
}
