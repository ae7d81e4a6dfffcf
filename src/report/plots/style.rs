//! Colours and sizes that all plots share.

use plotters::style::RGBColor;

/// Text.
pub(super) const INK: RGBColor = RGBColor(0x1B, 0x1B, 0x1B);
/// Less important text, and frames.
pub(super) const MUTED: RGBColor = RGBColor(0x5B, 0x5B, 0x5B);
/// Grid lines.
pub(super) const GRID: RGBColor = RGBColor(0xE2, 0xE2, 0xE2);

pub(super) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xB2);
pub(super) const ORANGE: RGBColor = RGBColor(0xE6, 0x9F, 0x00);
pub(super) const GREEN: RGBColor = RGBColor(0x00, 0x9E, 0x73);
pub(super) const PURPLE: RGBColor = RGBColor(0xCC, 0x79, 0xA7);
pub(super) const SKY: RGBColor = RGBColor(0x56, 0xB4, 0xE9);
/// For what went wrong.
pub(super) const VERMILLION: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
pub(super) const OLIVE: RGBColor = RGBColor(0x99, 0x8E, 0x1A);
/// For "all the others".
pub(super) const GREY: RGBColor = RGBColor(0x99, 0x99, 0x99);

/// Colours of things of one kind, in order.
pub(super) const SERIES: [RGBColor; 7] = [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, OLIVE];

/// Colour of thing number `index`; grey beyond the palette.
pub(super) fn series_color(index: usize) -> RGBColor {
    SERIES.get(index).copied().unwrap_or(GREY)
}

pub(super) const TITLE_SIZE: f64 = 16.0;
pub(super) const TEXT_SIZE: f64 = 12.5;
/// Space around the whole figure.
pub(super) const MARGIN: f64 = 14.0;

/// How wide `text` is in a sans-serif font of `size`, rather too much than too little (the widths are those of
/// a wide one such as DejaVu or Verdana).
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let letters = text.chars().map(|letter| match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' => 0.32,
        'f' | 't' | 'r' | ' ' | '-' | '(' | ')' | '/' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
        'A'..='Z' => 0.7,
        _ => 0.6,
    });
    letters.sum::<f64>() * size
}
