//! Pictures as a model takes them: PNG files decoded to bytes, NHWC, of exactly the model's size.
//!
//! Nothing is resized or mixed silently. What is exact is done: grey becomes three equal channels, colours
//! that are all grey become one, an opaque alpha channel is dropped.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;
use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, EncodingError, Transformations};

/// A picture could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file could not be read or is not a picture.
    #[error("cannot read {} as a PNG picture: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: DecodingError,
    },
    /// The picture has another size than the model takes.
    #[error(
        "{}: the picture has {found_width}x{found_height} pixels, the model takes {}x{}",
        path.display(), expected.width, expected.height
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Columns of the picture.
        found_width: u32,
        /// Rows of the picture.
        found_height: u32,
        /// What the model takes.
        expected: Shape,
    },
    /// The picture's colours cannot be brought to the model's channels without loss.
    #[error("{}: {what}", path.display())]
    Channels {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        what: String,
    },
}

/// Reads the picture at `path` for a model with input `shape`.
///
/// # Errors
/// [`PictureError`] if it is no picture or does not fit exactly.
pub fn read(path: &Path, shape: Shape) -> Result<Vec<u8>, PictureError> {
    let (width, height, colors, bytes) = decode(path).map_err(|source| PictureError::Read {
        path: path.to_owned(),
        source,
    })?;
    if (width as usize, height as usize) != (shape.width, shape.height) {
        return Err(PictureError::Size {
            path: path.to_owned(),
            found_width: width,
            found_height: height,
            expected: shape,
        });
    }
    let pixels = bytes.chunks_exact(colors.samples());
    // Red, green, blue and alpha of each pixel, whatever the file has of them.
    let rgba: Vec<[u8; 4]> = pixels
        .map(|pixel| match *pixel {
            [l] => [l, l, l, 255],
            [l, a] => [l, l, l, a],
            [r, g, b] => [r, g, b, 255],
            [r, g, b, a, ..] => [r, g, b, a],
            [] => [0; 4],
        })
        .collect();
    let refused = |what: &str| PictureError::Channels {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    if rgba.iter().any(|pixel| pixel[3] != 255) {
        return Err(refused(
            "the picture is partly transparent; flatten it first",
        ));
    }
    match shape.channels {
        3 => Ok(rgba.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect()),
        1 => rgba
            .iter()
            .map(|[r, g, b, _]| (r == g && g == b).then_some(*r))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                refused(
                    "the model takes grey pictures and this one has colours; convert it to greyscale first",
                )
            }),
        channels => Err(refused(&format!(
            "the model takes {channels} channels, a picture has 1 or 3; use an .npy file"
        ))),
    }
}

/// Width, height, kind and bytes of a PNG file; palettes and few or many bits become 8 bits a sample.
fn decode(path: &Path) -> Result<(u32, u32, ColorType, Vec<u8>), DecodingError> {
    let mut decoder = Decoder::new(BufReader::new(File::open(path)?));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let size = reader
        .output_buffer_size()
        .ok_or(DecodingError::LimitsExceeded)?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes)?;
    bytes.truncate(frame.buffer_size());
    Ok((frame.width, frame.height, frame.color_type, bytes))
}

/// A picture as a PNG file: `pixels` are NHWC of one or three channels.
///
/// # Errors
/// [`EncodingError`] if they are not as many as the shape says.
pub fn encode(shape: Shape, pixels: &[u8]) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, shape.width as u32, shape.height as u32);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(match shape.channels {
        1 => ColorType::Grayscale,
        _ => ColorType::Rgb,
    });
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_colour_are_exchanged_where_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let (grey, colour) = (Shape::new(2, 3, 1), Shape::new(2, 3, 3));
        let pixels = [0, 50, 100, 150, 200, 255];
        std::fs::write(&path, encode(grey, &pixels).unwrap()).unwrap();
        assert_eq!(read(&path, grey).unwrap(), pixels);
        let thrice: Vec<u8> = pixels.iter().flat_map(|&p| [p; 3]).collect();
        assert_eq!(read(&path, colour).unwrap(), thrice);
        std::fs::write(&path, encode(colour, &thrice).unwrap()).unwrap();
        assert_eq!(read(&path, grey).unwrap(), pixels);

        let mut red = thrice;
        red[0] = 9;
        std::fs::write(&path, encode(colour, &red).unwrap()).unwrap();
        assert_eq!(read(&path, colour).unwrap(), red);
        let error = read(&path, grey).unwrap_err().to_string();
        assert!(error.contains("has colours"), "{error}");
    }

    #[test]
    fn other_sizes_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, encode(Shape::new(2, 3, 1), &[0; 6]).unwrap()).unwrap();
        let error = read(&path, Shape::new(28, 28, 1)).unwrap_err().to_string();
        assert!(
            error.ends_with("the picture has 3x2 pixels, the model takes 28x28"),
            "{error}"
        );
        std::fs::write(&path, b"no picture").unwrap();
        let error = read(&path, Shape::new(2, 3, 1)).unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }
}
