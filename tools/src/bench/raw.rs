//! Files of bare little-endian float32 without a header, in the order of PyTorch: NCHW.

use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;
use ndarray::ArrayView4;

/// A file of bare float32 could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is of another length.
    #[error(
        "{}: {found} bytes; float32 samples of {shape} (height x width x channels) have {right} each",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
        /// Shape of one sample.
        shape: Shape,
        /// Bytes of one sample.
        right: usize,
    },
}

/// Reads one or more whole samples of `shape` and puts them in the order NHWC.
///
/// # Errors
/// [`RawError`] names the file.
pub fn read(path: &Path, shape: Shape) -> Result<Vec<f32>, RawError> {
    let bytes = std::fs::read(path).map_err(|source| RawError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = || RawError::Length {
        path: path.to_owned(),
        found: bytes.len(),
        shape,
        right: 4 * shape.len(),
    };
    let (words, rest) = bytes.as_chunks();
    if words.is_empty() || !rest.is_empty() || !words.len().is_multiple_of(shape.len()) {
        return Err(wrong());
    }
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let dimensions = (
        values.len() / shape.len(),
        shape.channels,
        shape.height,
        shape.width,
    );
    let nchw = ArrayView4::from_shape(dimensions, &values).map_err(|_| wrong())?;
    Ok(nchw.permuted_axes([0, 2, 3, 1]).iter().copied().collect())
}

/// The bytes of samples of `shape` in NHWC, in the order NCHW.
///
/// # Panics
/// If `values` are not whole samples.
pub fn to_bytes(shape: Shape, values: &[f32]) -> Vec<u8> {
    let dimensions = (
        values.len() / shape.len().max(1),
        shape.height,
        shape.width,
        shape.channels,
    );
    let nhwc = ArrayView4::from_shape(dimensions, values).expect("whole samples of the shape");
    let nchw = nhwc.permuted_axes([0, 3, 1, 2]);
    nchw.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_comes_back_as_it_went() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        let shape = Shape::new(1, 2, 3);
        let nchw: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let bytes: Vec<u8> = nchw.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let nhwc = read(&path, shape).unwrap();
        assert_eq!(nhwc, [0., 2., 4., 1., 3., 5., 6., 8., 10., 7., 9., 11.]);
        assert_eq!(to_bytes(shape, &nhwc), bytes);
    }

    #[test]
    fn other_lengths_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        for len in [0, 3, 20, 25] {
            std::fs::write(&path, vec![0; len]).unwrap();
            let error = read(&path, Shape::new(1, 2, 3)).unwrap_err().to_string();
            assert!(error.contains(&format!("{len} bytes; ")), "{error}");
            assert!(error.ends_with("have 24 each"), "{error}");
        }
    }
}
