//! From the bytes of a file to pixels, whatever the file's name says: PNG through `image`, JPEG through
//! `zune-jpeg` in its strict mode (what `image` itself offers fills the missing part of a truncated JPEG
//! with grey and says nothing).
//!
//! Like torchvision's loader, this follows neither EXIF orientation nor colour profiles.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Picture, PictureError};

/// Most pixels of a picture: more than cameras take, and little enough for every core to decode one. A small
/// file can announce terabytes.
const MAX_PIXELS: u64 = 1 << 26;

/// Largest extent that a JPEG header can express.
const MAX_JPEG_EXTENT: usize = u16::MAX as usize;

/// The two bytes that end a JPEG.
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// Reads and decodes one file.
pub(super) fn decode(path: &Path) -> Result<Picture, PictureError> {
    let bytes = std::fs::read(path).map_err(|source| PictureError::Read {
        path: path.to_owned(),
        source,
    })?;
    match image::guess_format(&bytes) {
        Ok(ImageFormat::Png) => decode_png(path, &bytes),
        Ok(ImageFormat::Jpeg) => decode_jpeg(path, &bytes),
        other => Err(PictureError::Format {
            path: path.to_owned(),
            found: other
                .ok()
                .and_then(|format| format.extensions_str().first().copied()),
        }),
    }
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> PictureError {
    PictureError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string().trim().to_owned(),
    }
}

/// Refuses a size that no camera has, before any memory is taken for it.
fn check_size(path: &Path, width: u64, height: u64) -> Result<(), PictureError> {
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(PictureError::TooLarge {
            path: path.to_owned(),
            width,
            height,
            limit: MAX_PIXELS,
        });
    }
    Ok(())
}

fn decode_png(path: &Path, bytes: &[u8]) -> Result<Picture, PictureError> {
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), Limits::default())
        .map_err(|error| damaged(path, error))?;
    let (width, height) = decoder.dimensions();
    check_size(path, width.into(), height.into())?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| damaged(path, error))?;
    // 16 bits are rounded to 8; the kind of colour stays.
    let (channels, pixels) = match decoded {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLuma16(_) => {
            (1, decoded.into_luma8().into_raw())
        }
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_) => {
            let pixels = decoded.into_luma_alpha8().into_raw();
            (1, drop_alpha::<2>(path, &pixels)?)
        }
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgb16(_) => {
            (3, decoded.into_rgb8().into_raw())
        }
        other => (3, drop_alpha::<4>(path, &other.into_rgba8().into_raw())?),
    };
    Ok(Picture {
        height: height as usize,
        width: width as usize,
        channels,
        pixels,
    })
}

/// Pixels of `N` bytes without their last one, which must say opaque: what colour stands behind a
/// transparent pixel is not in the file.
fn drop_alpha<const N: usize>(path: &Path, pixels: &[u8]) -> Result<Vec<u8>, PictureError> {
    let (pixels, _) = pixels.as_chunks::<N>();
    if pixels.iter().any(|pixel| pixel[N - 1] != u8::MAX) {
        return Err(PictureError::Transparent {
            path: path.to_owned(),
        });
    }
    Ok(pixels
        .iter()
        .flat_map(|pixel| &pixel[..N - 1])
        .copied()
        .collect())
}

fn decode_jpeg(path: &Path, bytes: &[u8]) -> Result<Picture, PictureError> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_JPEG_EXTENT)
        .set_max_height(MAX_JPEG_EXTENT);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .map_err(|error| damaged(path, error))?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| damaged(path, "no size is in it"))?;
    check_size(path, width as u64, height as u64)?;
    let (channels, colors) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        Some(ColorSpace::YCbCr | ColorSpace::RGB) => (3, ColorSpace::RGB),
        other => {
            return Err(PictureError::Colors {
                path: path.to_owned(),
                found: format!("{:?}", other.unwrap_or(ColorSpace::Unknown)),
            });
        }
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colors));
    let pixels = decoder.decode().map_err(|error| damaged(path, error))?;
    // The decoder is content once it has seen every block; the last one may still be cut.
    if !bytes.windows(2).any(|pair| pair == END_OF_IMAGE) {
        return Err(damaged(path, "the end of the file is missing"));
    }
    Ok(Picture {
        height,
        width,
        channels,
        pixels,
    })
}
