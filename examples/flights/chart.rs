//! Bars over months, as a picture.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use std::io;
use std::path::Path;

type Rgb = [u8; 3];

const PAPER: Rgb = [250, 249, 245];
const INK: Rgb = [38, 40, 44];
const FAINT: Rgb = [112, 116, 122];
const RULE: Rgb = [226, 225, 220];

const WIDTH: usize = 960;
const MARGIN: usize = 36;
/// Where bars begin, after the numbers at the rules.
const LEFT: usize = 90;
const BARS: usize = 200;
const PANEL: usize = BARS + 110;

/// One chart: a value for each label, none where there is nothing to show.
pub struct Panel<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub colour: Rgb,
    pub values: Vec<(String, Option<f64>)>,
}

/// Charts below one another.
pub fn draw(title: &str, caption: &str, panels: &[Panel]) -> Picture {
    let mut p = Picture::new(WIDTH, 100 + panels.len() * PANEL);
    p.text(MARGIN, 24, title, LARGE, INK);
    p.text(MARGIN, 58, caption, SMALL, FAINT);
    for (n, panel) in panels.iter().enumerate() {
        bars(&mut p, panel, 104 + n * PANEL);
    }
    p
}

fn bars(p: &mut Picture, panel: &Panel, top: usize) {
    p.text(MARGIN, top, panel.title, BOLD, INK);
    let (top, bottom) = (top + 34, top + 34 + BARS);
    let most = panel.values.iter().filter_map(|(_, v)| *v).fold(0.0, f64::max);
    let step = step_for(most);
    let highest = (most / step).ceil().max(1.0) * step;
    let height = |v: f64| ((v / highest).clamp(0.0, 1.0) * BARS as f64).round() as usize;
    let rules = (highest / step).round() as usize;
    for n in 0..=rules {
        let value = n as f64 * step;
        let y = bottom - height(value);
        p.fill(LEFT, y, WIDTH - MARGIN - LEFT, 1, if n == 0 { FAINT } else { RULE });
        let label = format!("{value}{}", panel.unit);
        p.text(LEFT - 10 - text_width(&label, SMALL).min(LEFT - 10), y - 8, &label, SMALL, FAINT);
    }
    let pitch = (WIDTH - MARGIN - LEFT) / panel.values.len().max(1);
    let width = (pitch * 7 / 10).max(1);
    for (n, (label, value)) in panel.values.iter().enumerate() {
        let x = LEFT + n * pitch + (pitch - width) / 2;
        if let Some(v) = value {
            p.fill(x, (bottom - height(*v)).max(top), width, height(*v), panel.colour);
        }
        let centred = (x + width / 2).saturating_sub(text_width(label, SMALL) / 2);
        p.text(centred, bottom + 10, label, SMALL, INK);
    }
}

/// A round step of which about four make the whole.
fn step_for(most: f64) -> f64 {
    let rough = (most / 4.0).max(1e-9);
    let ten = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * ten).find(|s| *s >= rough).unwrap_or(10.0 * ten)
}

/// A font of fixed width.
#[derive(Clone, Copy)]
struct Font {
    height: RasterHeight,
    weight: FontWeight,
}

const SMALL: Font = Font { height: RasterHeight::Size16, weight: FontWeight::Regular };
const BOLD: Font = Font { height: RasterHeight::Size16, weight: FontWeight::Bold };
const LARGE: Font = Font { height: RasterHeight::Size24, weight: FontWeight::Bold };

fn text_width(text: &str, font: Font) -> usize {
    text.chars().count() * get_raster_width(font.weight, font.height)
}

/// A picture of 24-bit colours.
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Picture {
    fn new(width: usize, height: usize) -> Picture {
        Picture { width, height, pixels: vec![PAPER; width * height] }
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Rgb) {
        let right = (x + width).min(self.width);
        for row in y..(y + height).min(self.height) {
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
                        let share = f32::from(ink) / 255.0;
                        for (p, c) in pixel.iter_mut().zip(colour) {
                            *p = (f32::from(*p) * (1.0 - share) + f32::from(c) * share).round() as u8;
                        }
                    }
                }
            }
        }
    }

    /// Writes the picture as PNG.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
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
