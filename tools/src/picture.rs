//! Pictures as a model takes them: PNG files decoded to bytes, NHWC, of exactly the model's size.
//!
//! Nothing is resized or mixed silently. What is exact is done: grey becomes three equal channels, colours
//! that are all grey become one, an opaque alpha channel is dropped.

use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;

/// A picture could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file could not be read or is not a picture.
    #[error("cannot read {} as a PNG picture: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
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
    let failed = |source| PictureError::Read {
        path: path.to_owned(),
        source,
    };
    let decoded = image::ImageReader::open(path)
        .map_err(|e| failed(e.into()))?
        .with_guessed_format()
        .map_err(|e| failed(e.into()))?
        .decode()
        .map_err(failed)?;
    if (decoded.width() as usize, decoded.height() as usize) != (shape.width, shape.height) {
        return Err(PictureError::Size {
            path: path.to_owned(),
            found_width: decoded.width(),
            found_height: decoded.height(),
            expected: shape,
        });
    }
    let refused = |what: &str| PictureError::Channels {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let rgba = decoded.to_rgba8();
    if rgba.pixels().any(|pixel| pixel.0[3] != 255) {
        return Err(refused(
            "the picture is partly transparent; flatten it first",
        ));
    }
    match shape.channels {
        3 => Ok(rgba.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect()),
        1 => rgba
            .pixels()
            .map(|p| {
                let [r, g, b, _] = p.0;
                (r == g && g == b).then_some(r)
            })
            .collect::<Option<_>>()
            .ok_or_else(|| refused("the model takes grey pictures and this one has colours; convert it to greyscale first")),
        channels => Err(refused(&format!(
            "the model takes {channels} channels, a picture has 1 or 3; use an .npy file"
        ))),
    }
}
