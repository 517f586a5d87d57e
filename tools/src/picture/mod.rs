//! Pictures as a network takes them: PNG and JPEG files decoded to bytes, NHWC.
//!
//! How colours are settled, everywhere: where three channels are taken, grey becomes three equal ones; where
//! one is taken, colours become grey by the luma of ITU-R 601, in the very integers of PIL's `convert("L")`
//! and torchvision's `Grayscale`. 16 bits become 8, rounded. An alpha channel that is opaque everywhere is
//! dropped, any other refused. Pictures are resized only on request.

mod decode;
mod resize;

use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};
use kinglet_kernels::Shape;

pub use resize::resize;

/// A picture could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The system could not read the file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "{}: {}; a picture is a PNG or JPEG file",
        path.display(),
        found.map_or("this is no picture".to_owned(), |format| format!("this is a .{format} file"))
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The usual ending of what it is, if that is known.
        found: Option<&'static str>,
    },
    /// The file cannot be decoded.
    #[error("{}: the picture is damaged or truncated: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// More pixels than anyone would want to have decoded.
    #[error(
        "{}: its header announces {height} x {width} pixels (height x width); at most {limit} in all are decoded",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Columns announced.
        width: u64,
        /// Rows announced.
        height: u64,
        /// The limit.
        limit: u64,
    },
    /// Some of the picture can be seen through.
    #[error("{}: the picture is partly transparent; flatten it first", path.display())]
    Transparent {
        /// The file.
        path: PathBuf,
    },
    /// A way of coding colours that is not read.
    #[error("{}: its colours are {found}; save it as RGB or greyscale", path.display())]
    Colors {
        /// The file.
        path: PathBuf,
        /// What they are.
        found: String,
    },
    /// The network takes something that no picture has.
    #[error(
        "{}: a picture has 1 or 3 channels, {channels} are asked for; use .npy files",
        path.display()
    )]
    Channels {
        /// The file.
        path: PathBuf,
        /// Channels asked for.
        channels: usize,
    },
    /// The picture has another size than the model takes.
    #[error(
        "{}: the picture is {} x {}, the model takes {} x {} (height x width); --resize scales it",
        path.display(), found[0], found[1], expected[0], expected[1]
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Rows and columns of the picture.
        found: [usize; 2],
        /// What the model takes.
        expected: [usize; 2],
    },
}

/// A decoded picture: grey or RGB, 8 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    height: usize,
    width: usize,
    /// 1 or 3.
    channels: usize,
    pixels: Vec<u8>,
}

/// What to do with a picture of another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Refuse it.
    Exact,
    /// Scale it, see [`resize`].
    Resize,
}

impl Picture {
    /// Decodes the PNG or JPEG file at `path`.
    ///
    /// # Errors
    /// [`PictureError`] names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, PictureError> {
        decode::decode(path)
    }

    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The pixels with `channels` channels, `[height, width, channels]`; nothing for a number of channels
    /// that no picture has.
    pub fn into_channels(self, channels: usize) -> Option<Vec<u8>> {
        match (self.channels, channels) {
            (from, to) if from == to => Some(self.pixels),
            (1, 3) => Some(self.pixels.iter().flat_map(|&grey| [grey; 3]).collect()),
            (3, 1) => {
                let (pixels, _) = self.pixels.as_chunks::<3>();
                Some(pixels.iter().copied().map(luma).collect())
            }
            _ => None,
        }
    }
}

/// 0.299 red + 0.587 green + 0.114 blue, in 16 bits of fraction, rounded.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let weighted = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    // The weights add up to 65536: white stays 255.
    ((weighted + 0x8000) >> 16) as u8
}

/// Reads the picture at `path` for a model with input `shape`.
///
/// # Errors
/// [`PictureError`] if it is no picture or does not fit.
pub fn read(path: &Path, shape: Shape, fit: Fit) -> Result<Vec<u8>, PictureError> {
    let picture = Picture::open(path)?;
    let found = picture.size();
    let expected = [shape.height, shape.width];
    if fit == Fit::Exact && found != expected {
        return Err(PictureError::Size {
            path: path.to_owned(),
            found,
            expected,
        });
    }
    let pixels = picture
        .into_channels(shape.channels)
        .ok_or_else(|| PictureError::Channels {
            path: path.to_owned(),
            channels: shape.channels,
        })?;
    Ok(resize(
        Shape::new(found[0], found[1], shape.channels),
        &pixels,
        expected,
    ))
}

/// A picture as a PNG file: `pixels` are NHWC of one or three channels.
///
/// # Errors
/// What the encoder says.
///
/// # Panics
/// If `pixels` are not as many as the shape says.
pub fn encode(shape: Shape, pixels: &[u8]) -> Result<Vec<u8>, ImageError> {
    let color = match shape.channels {
        1 => ExtendedColorType::L8,
        _ => ExtendedColorType::Rgb8,
    };
    let mut bytes = Vec::new();
    let (width, height) = (shape.width as u32, shape.height as u32);
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, color)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
