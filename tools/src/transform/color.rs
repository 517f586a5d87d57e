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
    // The conversion cuts off.
    (from + factor * (to - from)).clamp(0.0, 255.0) as i32 as u8
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
    // The color circle begins a third anew with each channel that is the largest.
    let (begin, plus, minus) = if red == max {
        (0.0, blue, green)
    } else if green == max {
        (2.0, red, blue)
    } else {
        (4.0, green, red)
    };
    // How far a channel is from the largest, as a part of the range.
    let distance = |channel: u8| f64::from(f32::from(max - channel) / range);
    let sixths = (begin + distance(plus) - distance(minus)) as f32;
    let turns = f64::from(sixths) / 6.0 + 1.0;
    let turns = (if turns >= 1.0 { turns - 1.0 } else { turns }) as f32;
    let byte = |x: f32| (f64::from(x) * 255.0) as i32 as u8;
    [byte(turns), byte(saturation), max]
}

/// The sixth of the color circle in which a hue lies, and how far from its beginning.
const SIXTHS: [(u8, f32); 256] = {
    let mut table = [(0, 0.0); 256];
    let mut hue = 0;
    while hue < 256 {
        let sixths = hue as f64 * 6.0 / 255.0;
        let whole = sixths as u8;
        table[hue] = (whole % 6, (sixths - whole as f64) as f32);
        hue += 1;
    }
    table
};

/// A saturation as a part of 1.
const PARTS: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut saturation = 0;
    while saturation < 256 {
        table[saturation] = (saturation as f64 / 255.0) as f32;
        saturation += 1;
    }
    table
};

/// Which of value, low, falling and rising each channel is, in each sixth of the color circle.
const CHANNELS: [[usize; 3]; 6] = [
    [0, 3, 1],
    [2, 0, 1],
    [1, 0, 3],
    [1, 2, 0],
    [3, 1, 0],
    [0, 1, 2],
];

fn rgb_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let (sixth, rest) = SIXTHS[usize::from(hue)];
    let saturation = PARTS[usize::from(saturation)];
    // Rounded to the nearest: what is added before the conversion cuts off.
    let scaled = |part: f64| (f64::from(value) * (1.0 - part) + 0.5) as i32 as u8;
    let levels = [
        value,
        scaled(f64::from(saturation)),
        scaled(f64::from(saturation * rest)),
        scaled(f64::from(saturation) * (1.0 - f64::from(rest))),
    ];
    CHANNELS[usize::from(sixth)].map(|level| levels[level])
}
