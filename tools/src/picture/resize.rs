//! Bilinear resizing with antialiasing: `torchvision.transforms.Resize` on PIL images, to within one level.

use image::imageops::{FilterType, resize as resample};
use image::{ImageBuffer, Luma};
use kinglet_kernels::Shape;

/// `pixels` of `shape` in `height` rows and `width` columns.
///
/// # Panics
/// If `pixels` are not as many as the shape says.
pub fn resize(shape: Shape, pixels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    assert_eq!(pixels.len(), shape.len(), "the shape is that of the pixels");
    if (shape.height, shape.width) == (height, width) {
        return pixels.to_vec();
    }
    let mut output = vec![0; height * width * shape.channels];
    // Channel by channel, so that any number of them will do.
    for channel in 0..shape.channels {
        let plane: Vec<u8> = pixels
            .iter()
            .skip(channel)
            .step_by(shape.channels)
            .copied()
            .collect();
        let plane: ImageBuffer<Luma<u8>, Vec<u8>> =
            ImageBuffer::from_raw(shape.width as u32, shape.height as u32, plane)
                .expect("a plane has one byte for each pixel");
        let resized = resample(&plane, width as u32, height as u32, FilterType::Triangle);
        let target = output.iter_mut().skip(channel).step_by(shape.channels);
        target
            .zip(resized.into_raw())
            .for_each(|(target, pixel)| *target = pixel);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_stays_as_it_is_and_flat_stays_flat() {
        let shape = Shape::new(2, 3, 2);
        let pixels: Vec<u8> = (0..12).collect();
        assert_eq!(resize(shape, &pixels, [2, 3]), pixels);
        let flat = [10, 200].repeat(6);
        assert_eq!(resize(shape, &flat, [5, 4]), [10, 200].repeat(20));
    }

    #[test]
    fn shrinking_averages_what_a_plain_bilinear_filter_would_skip() {
        // A bright column among four dark ones: without antialiasing two samples would miss it.
        let pixels = [0, 0, 255, 0, 0].repeat(4);
        let resized = resize(Shape::new(4, 5, 1), &pixels, [1, 1]);
        // Pillow gives 67.
        assert!((66..=68).contains(&resized[0]), "{resized:?}");
    }

    #[test]
    fn torchvision_agrees_within_one_level() {
        let pixels: Vec<u8> = (0..5 * 7 * 3).map(|i| (i * i * 37 % 251) as u8).collect();
        let shape = Shape::new(5, 7, 3);
        for (size, expected) in [([3, 4], &PIL_3_4[..]), ([6, 9], &PIL_6_9[..])] {
            let resized = resize(shape, &pixels, size);
            assert_eq!(resized.len(), expected.len());
            for (ours, theirs) in resized.iter().zip(expected) {
                assert!(ours.abs_diff(*theirs) <= 1, "{resized:?} {expected:?}");
            }
        }
    }

    // PIL.Image.fromarray(pixels).resize((width, height), Image.BILINEAR) of the pixels above.
    const PIL_3_4: [u8; 36] = [
        67, 64, 179, 136, 111, 183, 110, 179, 196, 86, 155, 203, 67, 158, 155, 138, 171, 122, 148,
        178, 105, 145, 172, 130, 70, 121, 137, 115, 139, 110, 134, 160, 162, 149, 137, 133,
    ];
    const PIL_6_9: [u8; 162] = [
        0, 37, 148, 55, 72, 164, 80, 75, 144, 112, 85, 131, 236, 186, 210, 97, 219, 221, 49, 205,
        183, 92, 141, 181, 191, 54, 242, 2, 75, 222, 129, 56, 184, 154, 80, 185, 124, 132, 215,
        185, 171, 231, 130, 142, 180, 61, 170, 184, 42, 190, 204, 88, 175, 211, 5, 118, 159, 115,
        138, 160, 156, 169, 168, 139, 187, 164, 131, 157, 110, 169, 172, 104, 158, 198, 106, 135,
        198, 133, 121, 165, 178, 12, 165, 141, 62, 196, 152, 127, 192, 126, 157, 163, 75, 79, 145,
        34, 129, 172, 121, 189, 210, 100, 189, 187, 92, 116, 95, 148, 22, 152, 168, 54, 165, 161,
        108, 141, 115, 142, 110, 62, 93, 136, 65, 74, 143, 196, 145, 171, 174, 162, 159, 124, 71,
        90, 121, 32, 10, 62, 136, 95, 127, 107, 155, 165, 58, 167, 154, 239, 130, 95, 157, 221,
        163, 167, 124, 184, 184, 91, 155, 165, 220, 98,
    ];
}
