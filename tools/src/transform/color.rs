//! Brightness, contrast, saturation and hue of gray and RGB pictures, in Pillow's arithmetic: the bytes are those
//! that torchvision makes of a PIL image.

use super::Canvas;

/// From black (0) to the picture (1) and beyond.
pub(super) fn adjust_brightness(canvas: &mut Canvas, factor: f32) {
    map_bytes(canvas, |byte| blend(0, byte, factor));
}

/// From the picture's mean gray (0) to the picture (1) and beyond.
pub(super) fn adjust_contrast(canvas: &mut Canvas, factor: f32) {
    let mean = mean_gray(canvas);
    map_bytes(canvas, |byte| blend(mean, byte, factor));
}

/// From the gray picture (0) to the picture (1) and beyond. Gray pictures stay as they are.
pub(super) fn adjust_saturation(canvas: &mut Canvas, factor: f32) {
    for_each_rgb(canvas, |pixel| {
        let gray = gray(pixel);
        *pixel = pixel.map(|byte| blend(gray, byte, factor));
    });
}

/// Turns the color circle by `factor` of a full turn. Gray pictures stay as they are.
pub(super) fn adjust_hue(canvas: &mut Canvas, factor: f32) {
    let shift = (f64::from(factor) * 255.0) as i32 as u8;
    for_each_rgb(canvas, |pixel| {
        let [hue, saturation, value] = hsv_from_rgb(*pixel);
        *pixel = rgb_from_hsv([hue.wrapping_add(shift), saturation, value]);
    });
}

/// The byte that lies `factor` of the way from `from` to `to`, cut off to a whole number within 0..=255.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    // The conversion cuts off and saturates.
    (from + factor * (to - from)) as u8
}

fn map_bytes(canvas: &mut Canvas, map: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|byte| map(byte as u8));
    for byte in canvas.pixels_mut() {
        *byte = table[usize::from(*byte)];
    }
}

fn for_each_rgb(canvas: &mut Canvas, change: impl Fn(&mut [u8; 3])) {
    if canvas.shape().channels == 3 {
        let (pixels, _) = canvas.pixels_mut().as_chunks_mut::<3>();
        pixels.iter_mut().for_each(change);
    }
}

/// Luma of ITU-R 601-2 in 16 fractional bits, rounded.
fn gray(&[red, green, blue]: &[u8; 3]) -> u8 {
    let sum = u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

fn mean_gray(canvas: &Canvas) -> u8 {
    let pixels = canvas.pixels();
    let (sum, count): (u64, usize) = if canvas.shape().channels == 3 {
        let (pixels, _) = pixels.as_chunks::<3>();
        let sum = pixels.iter().map(|pixel| u64::from(gray(pixel))).sum();
        (sum, pixels.len())
    } else {
        let sum = pixels.iter().map(|&byte| u64::from(byte)).sum();
        (sum, pixels.len())
    };
    (sum as f64 / count.max(1) as f64 + 0.5) as u8
}

/// Hue, saturation and value, each 0..=255, cut off.
fn hsv_from_rgb([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let max = red.max(green).max(blue);
    let min = red.min(green).min(blue);
    if max == min {
        return [0, 0, max];
    }
    let range = f32::from(max - min);
    let saturation = range / f32::from(max);
    // How far a channel is from the largest, as a part of the range.
    let distance = |channel: u8| f32::from(max - channel) / range;
    // Sums with a constant are taken in f64 and rounded once.
    let sixths = if red == max {
        distance(blue) - distance(green)
    } else if green == max {
        (2.0 + f64::from(distance(red)) - f64::from(distance(blue))) as f32
    } else {
        (4.0 + f64::from(distance(green)) - f64::from(distance(red))) as f32
    };
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let turns = if turns >= 1.0 { turns - 1.0 } else { turns } as f32;
    let byte = |x: f32| (f64::from(x) * 255.0) as u8;
    [byte(turns), byte(saturation), max]
}

fn rgb_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sector = sixths as u8;
    let rest = (sixths - f64::from(sector)) as f32;
    let saturation = (f64::from(saturation) / 255.0) as f32;
    // Rounded to the nearest: what is added before the conversion cuts off.
    let scaled = |part: f64| (f64::from(value) * (1.0 - part) + 0.5) as u8;
    let low = scaled(f64::from(saturation));
    let falling = || scaled(f64::from(saturation * rest));
    let rising = || scaled(f64::from(saturation) * (1.0 - f64::from(rest)));
    match sector % 6 {
        0 => [value, rising(), low],
        1 => [falling(), value, low],
        2 => [low, value, rising()],
        3 => [low, falling(), value],
        4 => [rising(), low, value],
        _ => [value, low, falling()],
    }
}
