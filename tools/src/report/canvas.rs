//! The ground that pictures are drawn on: pixels in memory, an embedded font, colours for paper and for dark
//! screens. Layout counts in units, as a browser does in CSS pixels.

use std::sync::LazyLock;

use kinglet_kernels::Shape;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, register_font};

use super::ReportError;
use crate::picture;

/// Pixels of the finished picture for each unit: sharp on screens of high density and on paper.
const DENSITY: u32 = 2;
/// Each finished pixel is the mean of this many squared: edges of lines become smooth.
const OVERSAMPLING: u32 = 2;
/// Drawn pixels for each unit.
const UNIT: i32 = (DENSITY * OVERSAMPLING) as i32;

/// The name under which the drawing library knows the font.
const FONT: &str = "Noto Sans";
/// Whether the font could be read, which happens once.
static FONT_REGISTERED: LazyLock<bool> = LazyLock::new(|| {
    let bytes = include_bytes!("../../data/noto-sans/NotoSans-Regular-subset.ttf");
    register_font(FONT, FontStyle::Normal, bytes).is_ok()
});

/// Sizes of text, in units.
pub(super) const TITLE: f64 = 15.0;
/// Everything else that is written.
pub(super) const BODY: f64 = 12.0;

/// Colours that can be told apart with any kind of colour vision (Okabe and Ito's).
pub(super) struct Theme {
    pub(super) background: RGBColor,
    /// Text and frames.
    pub(super) ink: RGBColor,
    /// Text of less weight.
    pub(super) muted: RGBColor,
    pub(super) grid: RGBColor,
    pub(super) training: RGBColor,
    pub(super) validation: RGBColor,
    /// The colours of a matrix's cells, from nothing to all.
    pub(super) ramp: [RGBColor; 4],
}

/// For paper and bright screens.
pub(super) const LIGHT: Theme = Theme {
    background: RGBColor(255, 255, 255),
    ink: RGBColor(31, 35, 40),
    muted: RGBColor(89, 99, 110),
    grid: RGBColor(225, 228, 232),
    training: RGBColor(0, 114, 178),
    validation: RGBColor(213, 94, 0),
    ramp: [
        RGBColor(246, 248, 250),
        RGBColor(158, 202, 225),
        RGBColor(49, 130, 189),
        RGBColor(8, 48, 107),
    ],
};

/// For dark screens.
pub(super) const DARK: Theme = Theme {
    background: RGBColor(22, 27, 34),
    ink: RGBColor(230, 237, 243),
    muted: RGBColor(157, 167, 179),
    grid: RGBColor(48, 54, 61),
    training: RGBColor(86, 180, 233),
    validation: RGBColor(230, 159, 0),
    ramp: [
        RGBColor(30, 36, 44),
        RGBColor(22, 64, 110),
        RGBColor(48, 130, 200),
        RGBColor(198, 228, 255),
    ],
};

/// A part of a picture.
pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// An extent in units as drawn pixels.
pub(super) fn px(units: f64) -> i32 {
    (units * f64::from(UNIT)).round() as i32
}

/// Draws a picture of `width` by `height` units with `paint`; returns it as a PNG file.
///
/// # Errors
/// [`ReportError::Draw`] with what the drawing library said.
pub(super) fn draw(
    width: f64,
    height: f64,
    theme: &Theme,
    paint: impl FnOnce(&Area<'_>) -> Result<(), ReportError>,
) -> Result<Vec<u8>, ReportError> {
    if !*FONT_REGISTERED {
        return Err(ReportError::Draw("the font cannot be read".to_owned()));
    }
    let (width, height) = (px(width) as usize, px(height) as usize);
    let mut pixels = vec![0; width * height * 3];
    {
        let size = (width as u32, height as u32);
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&theme.background)?;
        paint(&area)?;
        area.present()?;
    }
    let fine = Shape::new(height, width, 3);
    let (shape, pixels) = averaged(fine, &pixels, OVERSAMPLING as usize);
    picture::encode(shape, &pixels).map_err(|error| ReportError::Draw(error.to_string()))
}

/// Replaces each square of `side` by `side` pixels by its mean; incomplete squares at the edges are cut off.
fn averaged(shape: Shape, pixels: &[u8], side: usize) -> (Shape, Vec<u8>) {
    let channels = shape.channels;
    let small = Shape::new(shape.height / side, shape.width / side, channels);
    let mut result = Vec::with_capacity(small.len());
    for y in 0..small.height {
        for x in 0..small.width {
            for c in 0..channels {
                let at = |dy, dx| ((y * side + dy) * shape.width + x * side + dx) * channels + c;
                let sum: usize = (0..side * side)
                    .map(|i| usize::from(pixels[at(i / side, i % side)]))
                    .sum();
                result.push(((sum + side * side / 2) / (side * side)) as u8);
            }
        }
    }
    (small, result)
}

/// The font in a size and colour, anchored where `pos` says.
pub(super) fn font(
    size: f64,
    color: RGBColor,
    horizontal: HPos,
    vertical: VPos,
) -> TextStyle<'static> {
    let font = FontDesc::new(
        FontFamily::Name(FONT),
        size * f64::from(UNIT),
        FontStyle::Normal,
    );
    let mut style = TextStyle::from(font).pos(Pos::new(horizontal, vertical));
    style.color = color.to_backend_color();
    style
}

/// How much lower than its box the middle of letters is, as a share of their size.
const SAG: f64 = 0.09;

/// Writes `text` at a place in drawn pixels.
pub(super) fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    style: &TextStyle<'_>,
) -> Result<(), ReportError> {
    let sag = (SAG * style.font.get_size()).round() as i32;
    let at = match (style.pos.v_pos, style.font.get_transform()) {
        (VPos::Center, FontTransform::None) => (at.0, at.1 + sag),
        (VPos::Center, FontTransform::Rotate270) => (at.0 + sag, at.1),
        _ => at,
    };
    Ok(area.draw(&Text::new(text.to_owned(), at, style.clone()))?)
}

/// The width of `text` in drawn pixels.
pub(super) fn width_of(area: &Area<'_>, text: &str, style: &TextStyle<'_>) -> i32 {
    area.estimate_text_size(text, style)
        .map_or(0, |(width, _)| width as i32)
}

/// `text`, or as much of its beginning as fits into `width` drawn pixels, with an ellipsis.
pub(super) fn shortened(area: &Area<'_>, text: &str, style: &TextStyle<'_>, width: i32) -> String {
    if width_of(area, text, style) <= width {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    loop {
        kept.pop();
        let text: String = kept.iter().collect();
        let text = format!("{}…", text.trim_end());
        if kept.is_empty() || width_of(area, &text, style) <= width {
            return text;
        }
    }
}

/// Lays a picture's pixels (NHWC, three channels) over the rectangle at `at`, enlarged without smoothing.
pub(super) fn blit(
    area: &Area<'_>,
    shape: Shape,
    pixels: &[u8],
    at: (i32, i32),
    size: (i32, i32),
) -> Result<(), ReportError> {
    let (width, height) = (size.0.max(1) as usize, size.1.max(1) as usize);
    let mut enlarged = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let row = y * shape.height / height * shape.width;
        for x in 0..width {
            let pixel = row + x * shape.width / width;
            enlarged.extend_from_slice(&pixels[pixel * 3..][..3]);
        }
    }
    let size = (width as u32, height as u32);
    match BitMapElement::with_owned_buffer(at, size, enlarged) {
        Some(element) => Ok(area.draw(&element)?),
        None => Err(ReportError::Draw("a picture of another size".to_owned())),
    }
}

/// A colour between the stops of `ramp`; `share` goes from 0 to 1.
pub(super) fn ramp_color(ramp: &[RGBColor], share: f64) -> RGBColor {
    let position = share.clamp(0.0, 1.0) * (ramp.len() - 1) as f64;
    let below = (position as usize).min(ramp.len() - 2);
    let part = position - below as f64;
    let (a, b) = (ramp[below], ramp[below + 1]);
    let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Black or white, whichever is read better on `background`.
pub(super) fn readable_on(background: RGBColor) -> RGBColor {
    let RGBColor(r, g, b) = background;
    // The weights of luma in ITU-R BT.601.
    let luma = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if luma > 140.0 {
        RGBColor(20, 24, 28)
    } else {
        RGBColor(255, 255, 255)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_becomes_its_mean() {
        let (shape, pixels) = averaged(Shape::new(2, 4, 1), &[0, 10, 1, 2, 20, 30, 3, 4], 2);
        assert_eq!((shape, pixels), (Shape::new(1, 2, 1), vec![15, 3]));
    }

    #[test]
    fn a_ramp_meets_its_stops() {
        let ramp = LIGHT.ramp;
        for (stop, share) in ramp.iter().zip([0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]) {
            assert_eq!(ramp_color(&ramp, share), *stop);
        }
        assert_eq!(ramp_color(&ramp, 7.0), ramp[3]);
    }

    #[test]
    fn long_text_ends_in_an_ellipsis_within_its_width() {
        draw(100.0, 20.0, &LIGHT, |area| {
            let style = font(BODY, LIGHT.ink, HPos::Left, VPos::Top);
            let text = shortened(area, "Großes Ungeheuer im Wald", &style, px(60.0));
            assert!(text.starts_with("Gro") && text.ends_with('…'), "{text}");
            assert!(width_of(area, &text, &style) <= px(60.0));
            assert_eq!(shortened(area, "ab", &style, px(60.0)), "ab");
            assert_eq!(shortened(area, "ab", &style, 0), "…");
            Ok(())
        })
        .unwrap();
    }
}
