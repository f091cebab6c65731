//! Metadata of an array to and from TIFF tags: georeference, nodata, band names.

use crate::error::{Error, ErrorKind, Result};
use crate::meta::{Crs, GeoRef, Meta};
use geotiff_core::geokeys::{self, GeoKeyDirectory, GeoKeyValue};
use geotiff_core::tags::*;
use geotiff_core::{CrsInfo, GeoTransform, ModelType, RasterType};
use std::path::Path;
use std::sync::Arc;
use tiff_core::{Tag, TagValue};
use tiff_reader::Ifd;

/// Names of bands and other items as GDAL stores them: a little XML.
const TAG_GDAL_METADATA: u16 = 42112;
/// The CRS is not a code of a registry but described in the citation.
const USER_DEFINED: u16 = 32767;
/// How Esri and GDAL put well-known text into a citation.
const ESRI_WKT: &str = "ESRI PE String = ";

/// EPSG codes of geographic CRSs outside 4000..=4999, among those in use; others there count as projected. (The kind is
/// a hint for readers; the code itself is what they look up.)
const GEOGRAPHIC: &[u32] =
    &[3819, 3821, 3824, 3889, 3906, 5228, 5233, 5527, 6318, 6322, 6325, 6668, 6706, 6783, 7844, 9057, 9755];

/// The georeference, nodata and band names that a directory holds.
pub(super) fn read(ifd: &Ifd, path: &Path) -> Result<Meta> {
    let keys = read_keys(ifd).map_err(|e| Error::format("GeoTIFF", path, e))?;
    let info = CrsInfo::from_geokeys(&keys);
    let transform = read_transform(ifd, info.raster_type_enum());
    let crs = match info.epsg().filter(|&e| e != 0 && e != u32::from(USER_DEFINED)) {
        Some(code) => Crs::Epsg(code),
        None => [geokeys::PROJ_CITATION, geokeys::GT_CITATION, geokeys::GEODETIC_CITATION]
            .iter()
            .filter_map(|&k| keys.get_ascii(k)?.trim_end_matches(['|', '\0']).strip_prefix(ESRI_WKT))
            .next()
            .map_or(Crs::Unknown, |wkt| Crs::Wkt(wkt.trim().into())),
    };
    // without a transform there is a CRS at best: pixels as coordinates say as much as there is to say
    let georef = match transform {
        Some(transform) => Some(GeoRef { crs, transform }),
        None if crs != Crs::Unknown => Some(GeoRef { crs, transform: [0.0, 1.0, 0.0, 0.0, 0.0, 1.0] }),
        None => None,
    };
    let nodata = ascii(ifd, TAG_GDAL_NODATA).and_then(|s| s.trim().parse().ok());
    let bands = ascii(ifd, TAG_GDAL_METADATA).map(band_names).unwrap_or_default();
    let names = |i: usize| bands.iter().find(|(sample, _)| *sample == i).map(|(_, name)| name.clone());
    let count = ifd.samples_per_pixel() as usize;
    let bands = if bands.is_empty() {
        Vec::new()
    } else {
        (0..count).map(|i| names(i).unwrap_or_else(|| format!("band{}", i + 1)).into()).collect()
    };
    Ok(Meta { name: None, dims: Vec::new(), bands, nodata, georef })
}

fn ascii(ifd: &Ifd, code: u16) -> Option<&str> {
    match &ifd.tag(code)?.value {
        TagValue::Ascii(s) => Some(s.trim_end_matches('\0')),
        _ => None,
    }
}

fn doubles(ifd: &Ifd, code: u16) -> Option<&[f64]> {
    match &ifd.tag(code)?.value {
        TagValue::Double(v) if v.iter().all(|x| x.is_finite()) => Some(v),
        _ => None,
    }
}

fn read_keys(ifd: &Ifd) -> std::result::Result<GeoKeyDirectory, &'static str> {
    let Some(tag) = ifd.tag(TAG_GEO_KEY_DIRECTORY) else { return Ok(GeoKeyDirectory::new()) };
    let TagValue::Short(directory) = &tag.value else { return Err("its GeoKeys are not 16-bit numbers") };
    let values = doubles(ifd, TAG_GEO_DOUBLE_PARAMS).unwrap_or_default();
    let text = ascii(ifd, TAG_GEO_ASCII_PARAMS).unwrap_or_default();
    GeoKeyDirectory::parse(directory, values, text).ok_or("its GeoKey directory is malformed")
}

/// A pixel scale with a tie point wins over a matrix, as in GDAL. Values that make no transform are as good as none.
fn read_transform(ifd: &Ifd, raster: RasterType) -> Option<[f64; 6]> {
    let from_scale = || {
        let scale = doubles(ifd, TAG_MODEL_PIXEL_SCALE)?;
        let tie: [f64; 6] = doubles(ifd, TAG_MODEL_TIEPOINT)?.get(..6)?.try_into().ok()?;
        let (&x, &y) = (scale.first()?, scale.get(1)?);
        let usable = x != 0.0 && y != 0.0;
        usable.then(|| GeoTransform::from_tiepoint_and_scale_with_raster_type(&tie, &[x, y, 0.0], raster))
    };
    let from_matrix = || {
        let matrix: [f64; 16] = doubles(ifd, TAG_MODEL_TRANSFORMATION)?.try_into().ok()?;
        Some(GeoTransform::from_transformation_matrix_with_raster_type(&matrix, raster))
    };
    let t = from_scale().or_else(from_matrix)?;
    Some([t.origin_x, t.pixel_width, t.skew_x, t.origin_y, t.skew_y, t.pixel_height])
}

/// The `DESCRIPTION` items of GDAL's metadata: which sample, which name.
fn band_names(xml: &str) -> Vec<(usize, String)> {
    let attribute = |tag: &str, key: &str| {
        let (_, rest) = tag.split_once(&format!("{key}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let items = xml.split("<Item").skip(1).filter_map(|item| {
        let (tag, rest) = item.split_once('>')?;
        let (text, _) = rest.split_once("</Item>")?;
        let description = attribute(tag, "role").as_deref() == Some("description");
        let sample = attribute(tag, "sample")?.parse().ok()?;
        description.then(|| (sample, unescape(text)))
    });
    items.collect()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The tags that carry an array's metadata.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for an EPSG code that GeoTIFF's 16 bits cannot hold, or a CRS text that is not ASCII.
pub(super) fn write(meta: &Meta) -> Result<Vec<Tag>> {
    let mut tags = Vec::new();
    if let Some(georef) = &meta.georef {
        let t = &georef.transform;
        let transform = GeoTransform {
            origin_x: t[0],
            pixel_width: t[1],
            skew_x: t[2],
            origin_y: t[3],
            skew_y: t[4],
            pixel_height: t[5],
        };
        match transform.to_tiepoint_and_scale() {
            Some((tie, scale)) => {
                tags.push(Tag::new(TAG_MODEL_PIXEL_SCALE, TagValue::Double(scale.to_vec())));
                tags.push(Tag::new(TAG_MODEL_TIEPOINT, TagValue::Double(tie.to_vec())));
            }
            None => {
                let matrix = transform.to_transformation_matrix().to_vec();
                tags.push(Tag::new(TAG_MODEL_TRANSFORMATION, TagValue::Double(matrix)));
            }
        }
        tags.extend(crs_tags(&georef.crs)?);
    }
    if let Some(nodata) = meta.nodata {
        let text = if nodata.is_nan() { "nan".into() } else { nodata.to_string() };
        tags.push(Tag::new(TAG_GDAL_NODATA, TagValue::Ascii(text)));
    }
    if !meta.bands.is_empty() {
        let mut xml = String::from("<GDALMetadata>\n");
        for (i, name) in meta.bands.iter().enumerate() {
            let name = escape(name);
            xml +=
                &format!("  <Item name=\"DESCRIPTION\" sample=\"{i}\" role=\"description\">{name}</Item>\n");
        }
        xml += "</GDALMetadata>\n";
        tags.push(Tag::new(TAG_GDAL_METADATA, TagValue::Ascii(xml)));
    }
    Ok(tags)
}

fn crs_tags(crs: &Crs) -> Result<Vec<Tag>> {
    let mut keys = GeoKeyDirectory::new();
    let mut set = |key, value| keys.set(key, GeoKeyValue::Short(value));
    set(geokeys::GT_RASTER_TYPE, RasterType::PixelIsArea.code());
    match crs {
        Crs::Unknown => {}
        Crs::Epsg(code) => {
            let short = u16::try_from(*code).ok().filter(|&c| c != USER_DEFINED).ok_or_else(|| {
                Error::from(ErrorKind::Unsupported {
                    what: format!("EPSG:{code} in a GeoTIFF"),
                    hint: "its codes have 16 bits; give the CRS as well-known text".into(),
                })
            })?;
            let geographic = (4000..5000).contains(code) || GEOGRAPHIC.contains(code);
            let (model, key) = match code {
                4978 => (ModelType::Geocentric, geokeys::GEODETIC_CRS_TYPE),
                _ if geographic => (ModelType::Geographic, geokeys::GEODETIC_CRS_TYPE),
                _ => (ModelType::Projected, geokeys::PROJECTED_CRS_TYPE),
            };
            set(geokeys::GT_MODEL_TYPE, model.code());
            set(key, short);
        }
        Crs::Wkt(wkt) => {
            let geographic = wkt.trim_start().starts_with("GEOG");
            let (model, key) = if geographic {
                (ModelType::Geographic, geokeys::GEODETIC_CRS_TYPE)
            } else {
                (ModelType::Projected, geokeys::PROJECTED_CRS_TYPE)
            };
            set(geokeys::GT_MODEL_TYPE, model.code());
            set(key, USER_DEFINED);
            let citation = if geographic { geokeys::GEODETIC_CITATION } else { geokeys::PROJ_CITATION };
            keys.set(citation, GeoKeyValue::Ascii(format!("{ESRI_WKT}{wkt}")));
        }
    }
    let (directory, values, text) = keys.serialize().map_err(|e| {
        Error::from(ErrorKind::Unsupported {
            what: "this CRS text in a GeoTIFF".into(),
            hint: format!("GeoKeys hold ASCII without '|': {e}"),
        })
    })?;
    let mut tags = vec![Tag::new(TAG_GEO_KEY_DIRECTORY, TagValue::Short(directory))];
    if !values.is_empty() {
        tags.push(Tag::new(TAG_GEO_DOUBLE_PARAMS, TagValue::Double(values)));
    }
    if !text.is_empty() {
        tags.push(Tag::new(TAG_GEO_ASCII_PARAMS, TagValue::Ascii(text)));
    }
    Ok(tags)
}

/// The metadata of an overview: the same ground under larger pixels.
pub(super) fn scaled(mut meta: Meta, by_row: f64, by_col: f64) -> Meta {
    if let Some(georef) = &mut meta.georef {
        let t = &mut georef.transform;
        for k in [1, 4] {
            t[k] *= by_col;
        }
        for k in [2, 5] {
            t[k] *= by_row;
        }
    }
    meta
}

/// Names of the three axes that every GeoTIFF array has.
pub(super) fn dims() -> Vec<Arc<str>> {
    ["band", "y", "x"].map(Arc::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn band_names_survive_xml() {
        let meta = Meta { bands: vec!["a<b & \"c\"".into(), "née".into()], ..Meta::default() };
        let tags = write(&meta).unwrap();
        let TagValue::Ascii(xml) = &tags[0].value else { panic!() };
        assert_eq!(band_names(xml), [(0, "a<b & \"c\"".to_owned()), (1, "née".to_owned())]);
    }

    #[test]
    fn codes_that_do_not_fit_are_refused() {
        assert!(crs_tags(&Crs::Epsg(102100)).is_err());
        assert!(crs_tags(&Crs::Epsg(32618)).is_ok());
        assert!(crs_tags(&Crs::Wkt("PROJCS[\"a|b\"]".into())).is_err());
    }
}
