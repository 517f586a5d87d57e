//! Real files, whole and damaged, made here or by other programs.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::*;

/// 23 x 17 pixels that Pillow 12 (libjpeg-turbo) wrote, 4:2:0 and 4:4:4, progressive and grey; beside each
/// what the same Pillow decodes.
const JPEGS: [(&str, &[u8], &[u8], usize); 4] = [
    (
        "420.jpg",
        include_bytes!("data/420.jpg"),
        include_bytes!("data/420.rgb"),
        3,
    ),
    (
        "444.jpg",
        include_bytes!("data/444.jpg"),
        include_bytes!("data/444.rgb"),
        3,
    ),
    (
        "progressive.jpg",
        include_bytes!("data/progressive.jpg"),
        include_bytes!("data/progressive.rgb"),
        3,
    ),
    (
        "grey.jpg",
        include_bytes!("data/grey.jpg"),
        include_bytes!("data/grey.l"),
        1,
    ),
];

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The message about a file of these bytes, without its path.
    fn error(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.file(name, bytes);
        let error = Picture::open(&path).unwrap_err().to_string();
        let prefix = format!("{}: ", path.display());
        error.strip_prefix(&prefix).unwrap_or(&error).to_owned()
    }
}

/// A PNG file of any kind of colour.
fn png(width: u32, height: u32, color: ExtendedColorType, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(bytes, width, height, color)
        .unwrap();
    file
}

#[test]
fn png_comes_back_exactly_whatever_the_files_name() {
    let scratch = Scratch::new();
    let (grey, color) = (Shape::new(2, 3, 1), Shape::new(2, 3, 3));
    let pixels = [0, 50, 100, 150, 200, 255];
    let path = scratch.file("a.jpg", encode(grey, &pixels).unwrap());
    assert_eq!(read(&path, grey, Fit::Exact).unwrap(), pixels);
    let thrice: Vec<u8> = pixels.iter().flat_map(|&p| [p; 3]).collect();
    assert_eq!(read(&path, color, Fit::Exact).unwrap(), thrice);
    let path = scratch.file("b.png", encode(color, &thrice).unwrap());
    assert_eq!(read(&path, grey, Fit::Exact).unwrap(), pixels);
    assert_eq!(read(&path, color, Fit::Exact).unwrap(), thrice);
}

#[test]
fn colors_become_the_luma_that_pil_computes() {
    // np.asarray(Image.fromarray(rgb).convert("L")).
    for (rgb, expected) in [
        ([255, 0, 0], 76),
        ([0, 255, 0], 150),
        ([0, 0, 255], 29),
        ([255, 255, 255], 255),
        ([1, 2, 3], 2),
        ([200, 100, 50], 124),
        ([17, 211, 99], 140),
    ] {
        assert_eq!(luma(rgb), expected, "{rgb:?}");
    }
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let scratch = Scratch::new();
    let samples: [u16; 4] = [0, 65535, 257 * 7 + 100, 257 * 7 + 200];
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
    let path = scratch.file("a.png", png(4, 1, ExtendedColorType::L16, &bytes));
    assert_eq!(Picture::open(&path).unwrap().pixels, [0, 255, 7, 8]);
}

#[test]
fn alpha_is_dropped_where_it_is_opaque_and_refused_elsewhere() {
    let scratch = Scratch::new();
    let opaque = png(
        2,
        1,
        ExtendedColorType::Rgba8,
        &[1, 2, 3, 255, 4, 5, 6, 255],
    );
    let path = scratch.file("a.png", opaque);
    let picture = Picture::open(&path).unwrap();
    assert_eq!(
        (picture.channels, &picture.pixels[..]),
        (3, &[1, 2, 3, 4, 5, 6][..])
    );
    let opaque = png(2, 1, ExtendedColorType::La8, &[9, 255, 8, 255]);
    let path = scratch.file("b.png", opaque);
    assert_eq!(Picture::open(&path).unwrap().pixels, [9, 8]);
    let glass = png(
        2,
        1,
        ExtendedColorType::Rgba8,
        &[1, 2, 3, 255, 4, 5, 6, 254],
    );
    assert_eq!(
        scratch.error("c.png", glass),
        "the picture is partly transparent; flatten it first"
    );
}

#[test]
fn jpegs_decode_as_libjpeg_turbo_does() {
    let scratch = Scratch::new();
    for (name, file, expected, channels) in JPEGS {
        let picture = Picture::open(&scratch.file(name, file)).unwrap();
        assert_eq!(
            (picture.size(), picture.channels),
            ([17, 23], channels),
            "{name}"
        );
        let differences = picture
            .pixels
            .iter()
            .zip(expected)
            .map(|(a, b)| a.abs_diff(*b));
        assert_eq!(picture.pixels.len(), expected.len());
        let (sum, largest) = differences.fold((0.0, 0), |(sum, largest), difference| {
            (sum + f64::from(difference), largest.max(difference))
        });
        let mean = sum / expected.len() as f64;
        // Two levels in what is not subsampled; chroma is interpolated a little differently.
        let limit = if name == "444.jpg" || name == "grey.jpg" {
            2
        } else {
            4
        };
        assert!(largest <= limit && mean < 0.5, "{name}: {largest}, {mean}");
    }
}

#[test]
fn a_jpeg_cut_anywhere_is_refused() {
    let scratch = Scratch::new();
    for (name, file, ..) in JPEGS {
        for length in (1..file.len()).filter(|length| length % 7 == 0 || length + 8 > file.len()) {
            let path = scratch.file(name, &file[..length]);
            let error = Picture::open(&path).expect_err(&format!("{name} cut to {length}"));
            assert!(
                matches!(
                    error,
                    PictureError::Damaged { .. } | PictureError::Format { .. }
                ),
                "{error}"
            );
        }
    }
}

#[test]
fn what_is_no_picture_is_named() {
    let scratch = Scratch::new();
    assert_eq!(
        scratch.error("a.jpg", "some text\n"),
        "this is no picture; a picture is a PNG or JPEG file"
    );
    assert_eq!(
        scratch.error("a.png", ""),
        "this is no picture; a picture is a PNG or JPEG file"
    );
    assert_eq!(
        scratch.error("b.jpg", b"GIF89a\x01\x00\x01\x00"),
        "this is a .gif file; a picture is a PNG or JPEG file"
    );
    let missing = Picture::open(&scratch.0.path().join("none.png")).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read "), "{missing}");
}

#[test]
fn a_damaged_png_is_refused() {
    let scratch = Scratch::new();
    let pixels: Vec<u8> = (0..64 * 64).map(|i| (i * 31 % 253) as u8).collect();
    let whole = encode(Shape::new(64, 64, 1), &pixels).unwrap();
    let data = whole.windows(4).position(|w| w == b"IDAT").unwrap() + 4;
    let mut damaged = whole.clone();
    damaged[data + 40] ^= 1;
    let error = scratch.error("crc.png", &damaged);
    assert!(
        error.starts_with("the picture is damaged or truncated: "),
        "{error}"
    );
    // The CRC alone.
    let length = u32::from_be_bytes(*whole[data - 8..].first_chunk().unwrap()) as usize;
    let mut damaged = whole.clone();
    damaged[data + length] ^= 1;
    let error = scratch.error("crc2.png", &damaged);
    assert!(error.contains("CRC"), "{error}");
    for length in [9, 20, data + 10, data + length / 2] {
        let error = scratch.error("cut.png", &whole[..length]);
        assert!(
            error.starts_with("the picture is damaged or truncated: "),
            "{error}"
        );
    }
}

#[test]
fn a_header_that_announces_terabytes_is_refused_before_any_memory_is_taken() {
    let scratch = Scratch::new();
    let mut file = encode(Shape::new(1, 1, 3), &[1, 2, 3]).unwrap();
    file[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    file[20..24].copy_from_slice(&200_000_u32.to_be_bytes());
    let crc = crate::file::crc32(&file[12..29]);
    file[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(
        scratch.error("bomb.png", &file),
        "its header announces 200000 x 100000 pixels (height x width); at most 67108864 in all are decoded"
    );
    // The frame header of a JPEG: marker, length, precision, height, width.
    let mut file = JPEGS[1].1.to_vec();
    let frame = file.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(
        scratch.error("bomb.jpg", &file),
        "its header announces 65535 x 65535 pixels (height x width); at most 67108864 in all are decoded"
    );
}

#[test]
fn another_size_is_refused_or_resized() {
    let scratch = Scratch::new();
    let path = scratch.file("a.png", encode(Shape::new(2, 3, 1), &[70; 6]).unwrap());
    let shape = Shape::new(28, 28, 1);
    let error = read(&path, shape, Fit::Exact).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "the picture is 2 x 3, the model takes 28 x 28 (height x width); --resize scales it"
        ),
        "{error}"
    );
    assert_eq!(read(&path, shape, Fit::Resize).unwrap(), [70; 28 * 28]);
    let error = read(&path, Shape::new(2, 3, 2), Fit::Exact)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("1 or 3 channels, 2 are asked for"),
        "{error}"
    );
}
