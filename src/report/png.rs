//! A plot as PNG, drawn from its SVG with fonts of its own: the same bytes on every machine.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels of the picture for each of the SVG's: sharp on a projector.
const SCALE: f32 = 2.0;
/// DejaVu Sans, cut down to the letters and signs that plots use; see `png/LICENSE.txt`.
const FONTS: [&[u8]; 2] = [include_bytes!("png/DejaVuSans.ttf"), include_bytes!("png/DejaVuSans-Bold.ttf")];

/// Draws an SVG document.
///
/// # Errors
/// In words, when it is no SVG or too large to draw.
pub fn draw(svg: &str) -> Result<Vec<u8>, String> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    for font in FONTS {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    options.font_family = "DejaVu Sans".to_owned();
    let tree = Tree::from_str(svg, &options).map_err(|error| error.to_string())?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or("the plot has no size")?;
    let mut picture = Pixmap::new(size.width(), size.height()).ok_or("the plot is too large")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut picture.as_mut());
    picture.encode_png().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        let svg = |text: &str| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"20\"><text x=\"2\" y=\"15\" \
                 font-family=\"sans-serif\" font-size=\"12\">{text}</text></svg>"
            )
        };
        let picture = draw(&svg("Ωé≤")).expect("drawn");
        assert!(picture.starts_with(b"\x89PNG"));
        assert_eq!(picture, draw(&svg("Ωé≤")).expect("drawn again"));
        assert_ne!(picture, draw(&svg("")).expect("drawn empty"));
        assert!(draw("no svg").is_err());
    }
}
