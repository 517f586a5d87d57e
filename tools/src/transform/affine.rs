//! Draws a picture through an affine map, each pixel from the nearest one.
//!
//! The map goes from a place in the new picture to one in the old, in pixels, (0, 0) being the upper left corner
//! and pixel centers lying at halves. It is walked in steps of 2^-16 of a pixel, as Pillow does: the same pixels
//! are hit, and a pixel costs two additions.

use kinglet_kernels::Shape;
use nalgebra::Matrix3;

use super::Canvas;

/// Fractional bits of a place.
const FRACTION: u32 = 16;

/// Redraws the picture through `map`; where the map leaves the old picture, `fill` appears.
pub(super) fn draw(canvas: &mut Canvas, map: &Matrix3<f64>, fill: &[u8]) {
    let shape = canvas.shape();
    canvas.redraw(shape, |from, to| match shape.channels {
        1 => draw_pixels::<1>(shape, map, fill, from, to),
        3 => draw_pixels::<3>(shape, map, fill, from, to),
        channels => {
            let mut pixels = to.chunks_exact_mut(channels.max(1));
            walk(shape, map, |place| {
                let Some(to) = pixels.next() else { return };
                match place {
                    Some(place) => to.copy_from_slice(&from[place * channels..][..channels]),
                    None => to.iter_mut().zip(fill).for_each(|(to, &fill)| *to = fill),
                }
            });
        }
    });
}

fn draw_pixels<const CHANNELS: usize>(
    shape: Shape,
    map: &Matrix3<f64>,
    fill: &[u8],
    from: &[u8],
    to: &mut [u8],
) {
    let fill: [u8; CHANNELS] = std::array::from_fn(|i| fill.get(i).copied().unwrap_or(0));
    let (from, _) = from.as_chunks::<CHANNELS>();
    let (to, _) = to.as_chunks_mut::<CHANNELS>();
    let mut pixels = to.iter_mut();
    walk(shape, map, |place| {
        if let Some(to) = pixels.next() {
            *to = place.map_or(fill, |place| from[place]);
        }
    });
}

/// Tells for each pixel of the new picture, row by row, which one of the old it comes from.
#[inline(always)]
fn walk(shape: Shape, map: &Matrix3<f64>, mut visit: impl FnMut(Option<usize>)) {
    let fixed = |x: f64| (x * f64::from(1 << FRACTION) + 0.5).floor() as i64;
    let (height, width) = (shape.height as i64, shape.width as i64);
    let (x_step, y_step) = (fixed(map[(0, 0)]), fixed(map[(1, 0)]));
    let (x_row_step, y_row_step) = (fixed(map[(0, 1)]), fixed(map[(1, 1)]));
    let first = |axis| fixed(map[(axis, 2)] + map[(axis, 0)] * 0.5 + map[(axis, 1)] * 0.5);
    let (mut x_row, mut y_row) = (first(0), first(1));
    for _ in 0..height {
        let (mut x, mut y) = (x_row, y_row);
        for _ in 0..width {
            let (column, row) = (x >> FRACTION, y >> FRACTION);
            let inside = (0..width).contains(&column) && (0..height).contains(&row);
            visit(inside.then_some((row * width + column) as usize));
            x += x_step;
            y += y_step;
        }
        x_row += x_row_step;
        y_row += y_row_step;
    }
}
