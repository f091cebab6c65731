//! A raster of NDVI as a picture: colours, a title, and a legend that is a histogram too.

use ndarray::Array2;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use std::io;
use std::path::Path;

type Rgb = [u8; 3];

const PAPER: Rgb = [250, 249, 245];
const INK: Rgb = [38, 40, 44];
const FAINT: Rgb = [112, 116, 122];
const NO_DATA: Rgb = [222, 222, 218];

/// Colours at values of the index, the same for every map: water blue, bare ground brown to yellow, vegetation green.
const RAMP: [(f32, Rgb); 13] = [
    (-1.00, [8, 24, 48]),
    (-0.70, [22, 52, 86]),
    (-0.55, [52, 92, 122]),
    (-0.45, [110, 110, 104]),
    (-0.36, [116, 80, 52]),
    (-0.20, [176, 128, 80]),
    (-0.05, [216, 178, 124]),
    (0.08, [242, 222, 172]),
    (0.18, [252, 246, 200]),
    (0.30, [168, 204, 106]),
    (0.42, [70, 152, 70]),
    (0.55, [14, 100, 52]),
    (0.90, [2, 50, 32]),
];
/// What lies where on the ramp.
const WORDS: [(f32, &str); 3] = [(-0.62, "water"), (-0.15, "bare or built up"), (0.45, "vegetation")];

/// Narrow rasters are drawn with larger pixels, up to this width.
const MIN_WIDTH: usize = 1100;
const MARGIN: usize = 36;
const HEADER: usize = 92;
const HISTOGRAM: usize = 64;
const BAR: usize = 16;
const FOOTER: usize = 40 + HISTOGRAM + BAR + 58;

/// A picture of 24-bit colours.
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

/// The map of an index from -1 to 1; NaN is no data.
pub fn draw(ndvi: &Array2<f32>, title: &str, caption: &str) -> Picture {
    let (rows, cols) = ndvi.dim();
    let zoom = (MIN_WIDTH / cols.max(1)).max(1);
    let width = (cols * zoom).max(480);
    let mut p = Picture::new(width + 2 * MARGIN, HEADER + rows * zoom + FOOTER);
    p.text(MARGIN, 24, title, Font { height: RasterHeight::Size24, weight: FontWeight::Bold }, INK);
    let fits = width / get_raster_width(FontWeight::Regular, RasterHeight::Size16);
    let caption: String = caption.chars().take(fits).collect();
    p.text(MARGIN, 56, &caption, SMALL, FAINT);
    for ((row, col), &value) in ndvi.indexed_iter() {
        p.fill(MARGIN + col * zoom, HEADER + row * zoom, zoom, zoom, colour(value));
    }
    legend(&mut p, ndvi, width, HEADER + rows * zoom + 40);
    p
}

/// How often each value occurs, over a bar of the colours, with ticks.
fn legend(p: &mut Picture, ndvi: &Array2<f32>, width: usize, top: usize) {
    let values = || ndvi.iter().copied().filter(|v| !v.is_nan());
    let (low, high) = values().fold((1f32, -1f32), |(lo, hi), v| (lo.min(v), hi.max(v)));
    // whole steps of 0.2 around what occurs; everything if nothing does
    let (low, high) = if low < high { (low, high) } else { (-1.0, 1.0) };
    let tick = |v: f32| (v.clamp(-1.0, 1.0) * 5.0) as f64;
    let (first, last) = (tick(low).floor() as i32, tick(high).ceil() as i32);
    let (first, last) = if first < last { (first, last) } else { (first - 1, first + 1) };
    let (low, high) = (first as f32 / 5.0, last as f32 / 5.0);

    let column_width = 6;
    let mut columns = vec![0u32; width / column_width];
    for v in values() {
        let at = (v - low) / (high - low) * columns.len() as f32;
        if at >= 0.0 {
            let last = columns.len() - 1;
            columns[(at as usize).min(last)] += 1;
        }
    }
    let most = columns.iter().copied().max().unwrap_or(0).max(1);
    let value_at = |x: usize| low + (high - low) * (x as f32 + 0.5) / width as f32;
    for (n, &count) in columns.iter().enumerate() {
        let height = (count as f32 / most as f32 * HISTOGRAM as f32).round() as usize;
        let x = n * column_width;
        p.fill(
            MARGIN + x,
            top + HISTOGRAM - height,
            column_width,
            height,
            colour(value_at(x + column_width / 2)),
        );
    }
    let bar = top + HISTOGRAM + 6;
    for x in 0..width {
        p.fill(MARGIN + x, bar, 1, BAR, colour(value_at(x)));
    }
    for n in first..=last {
        let x = (n - first) as usize * (width - 1) / (last - first) as usize;
        p.fill(MARGIN + x, bar + BAR, 1, 6, FAINT);
        let label = format!("{:.1}", f64::from(n) / 5.0);
        // centred below the tick by its digits, as if the minus sign were not there
        let digits = text_width(label.trim_start_matches('-'), SMALL);
        let sign = text_width(&label, SMALL) - digits;
        p.text((MARGIN + x).saturating_sub(digits / 2 + sign), bar + BAR + 9, &label, SMALL, INK);
    }
    for (value, word) in WORDS.into_iter().filter(|(v, _)| (low..high).contains(v)) {
        let half = text_width(word, SMALL) / 2;
        let centre = ((value - low) / (high - low) * width as f32) as usize;
        let left = centre.saturating_sub(half).min(width.saturating_sub(2 * half));
        p.text(MARGIN + left, bar + BAR + 30, word, SMALL, FAINT);
    }
}

fn colour(value: f32) -> Rgb {
    if value.is_nan() {
        return NO_DATA;
    }
    let above = RAMP.iter().position(|(at, _)| *at > value);
    match above {
        None => RAMP[RAMP.len() - 1].1,
        Some(0) => RAMP[0].1,
        Some(k) => {
            let ((a, from), (b, to)) = (RAMP[k - 1], RAMP[k]);
            mix(from, to, (value - a) / (b - a))
        }
    }
}

fn mix(from: Rgb, to: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|k| {
        let (a, b) = (f32::from(from[k]), f32::from(to[k]));
        (a + (b - a) * share).round() as u8
    })
}

/// A font of fixed width.
#[derive(Clone, Copy)]
struct Font {
    height: RasterHeight,
    weight: FontWeight,
}

const SMALL: Font = Font { height: RasterHeight::Size16, weight: FontWeight::Regular };

fn text_width(text: &str, font: Font) -> usize {
    text.chars().count() * get_raster_width(font.weight, font.height)
}

impl Picture {
    fn new(width: usize, height: usize) -> Picture {
        Picture { width, height, pixels: vec![PAPER; width * height] }
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Rgb) {
        let (right, bottom) = ((x + width).min(self.width), (y + height).min(self.height));
        for row in y..bottom {
            if x < right {
                self.pixels[row * self.width + x..row * self.width + right].fill(colour);
            }
        }
    }

    fn text(&mut self, x: usize, y: usize, text: &str, font: Font, colour: Rgb) {
        let advance = get_raster_width(font.weight, font.height);
        for (n, c) in text.chars().enumerate() {
            let glyph =
                get_raster(c, font.weight, font.height).or_else(|| get_raster('?', font.weight, font.height));
            let Some(glyph) = glyph else { continue };
            for (dy, line) in glyph.rows().enumerate() {
                for (dx, &ink) in line.iter().enumerate() {
                    let (px, py) = (x + n * advance + dx, y + dy);
                    if px < self.width && py < self.height {
                        let pixel = &mut self.pixels[py * self.width + px];
                        *pixel = mix(*pixel, colour, f32::from(ink) / 255.0);
                    }
                }
            }
        }
    }

    /// Writes the picture as PNG.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        std::fs::write(path, bytes)
    }
}
