//! Tensors in NPY files: float32 in the layout of the model's source, which for PyTorch is NCHW with a
//! leading batch. Inside everything is NHWC; the change of order happens here and nowhere else.

mod array;

use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;
use ndarray::{Array4, ArrayD, IxDyn};
use ndarray_npy::WriteNpyExt;

pub use array::{Array, ArrayError, Elements};

use crate::file::{WriteError, write_atomic};

/// An NPY file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file could not be opened.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no NPY file, or a damaged one.
    #[error("{}: {problem}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: ArrayError,
    },
    /// The array is one of integers.
    #[error("{}: the model takes float32, these are integers: x.astype(\"float32\")", path.display())]
    Integers {
        /// The file.
        path: PathBuf,
    },
    /// The array has another shape than the model takes.
    #[error("{}: the array has shape {found:?}, the model takes {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Shape of the array.
        found: Vec<usize>,
        /// What would be right.
        expected: String,
    },
    /// The array could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What an array for `shape` looks like, for messages.
fn expected(shape: Shape) -> String {
    if (shape.height, shape.width) == (1, 1) {
        format!("(batch, {0}) or (batch, {0}, 1, 1)", shape.channels)
    } else {
        format!(
            "(batch, {}, {}, {})",
            shape.channels, shape.height, shape.width
        )
    }
}

/// Reads a batch of inputs of `shape` from `path`. Returns its size and the values, NHWC.
///
/// # Errors
/// [`NpyError`] names the file and what would be right.
pub fn read(path: &Path, shape: Shape) -> Result<(usize, Vec<f32>), NpyError> {
    let bytes = std::fs::read(path).map_err(|source| NpyError::Read {
        path: path.to_owned(),
        source,
    })?;
    let array = Array::parse(&bytes).map_err(|problem| NpyError::Array {
        path: path.to_owned(),
        problem,
    })?;
    let Elements::Floats(values) = array.elements else {
        return Err(NpyError::Integers {
            path: path.to_owned(),
        });
    };
    let wrong = || NpyError::Shape {
        path: path.to_owned(),
        found: array.shape.clone(),
        expected: expected(shape),
    };
    let vector = (shape.height, shape.width) == (1, 1);
    let batch = match *array.shape {
        [n, c] if vector && c == shape.channels => n,
        [n, c, h, w] if Shape::new(h, w, c) == shape => n,
        _ => return Err(wrong()),
    };
    if batch == 0 {
        return Err(wrong());
    }
    let nchw = Array4::from_shape_vec((batch, shape.channels, shape.height, shape.width), values)
        .map_err(|_| wrong())?;
    let nhwc = nchw.permuted_axes([0, 2, 3, 1]);
    Ok((batch, nhwc.iter().copied().collect()))
}

/// Writes `values`, a batch of outputs of `shape` in NHWC, to `path`: `(batch, channels)` for vectors,
/// `(batch, channels, height, width)` otherwise.
///
/// # Errors
/// [`NpyError::Write`]; an old file survives.
pub fn write(path: &Path, shape: Shape, values: &[f32]) -> Result<(), NpyError> {
    let batch = values.len() / shape.len();
    let dimensions = [batch, shape.height, shape.width, shape.channels];
    let nhwc = ndarray::ArrayView4::from_shape(dimensions, values)
        .expect("the values are whole samples of the shape");
    let nchw = nhwc.permuted_axes([0, 3, 1, 2]);
    let dimensions: Vec<usize> = if (shape.height, shape.width) == (1, 1) {
        vec![batch, shape.channels]
    } else {
        nchw.shape().to_vec()
    };
    let array = ArrayD::from_shape_vec(IxDyn(&dimensions), nchw.iter().copied().collect())
        .expect("the same number of values");
    let mut bytes = Vec::new();
    array
        .write_npy(&mut bytes)
        .expect("writing to memory cannot fail");
    write_atomic(path, &bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use ndarray_npy::ReadNpyExt;

    use super::*;

    #[test]
    fn pictures_change_between_nchw_and_nhwc() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let shape = Shape::new(2, 3, 2);
        let nhwc: Vec<f32> = (0..24).map(|i| i as f32).collect();
        write(&path, shape, &nhwc).unwrap();
        let array = ArrayD::<f32>::read_npy(File::open(&path).unwrap()).unwrap();
        assert_eq!(array.shape(), [2, 2, 2, 3]);
        // Channel 1 of the first pixel of the first sample.
        assert_eq!(array[[0, 1, 0, 0]], 1.0);
        assert_eq!(read(&path, shape).unwrap(), (2, nhwc));
    }

    #[test]
    fn another_shape_is_refused_with_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write(&path, Shape::vector(7), &[0.0; 14]).unwrap();
        let error = read(&path, Shape::new(28, 28, 1)).unwrap_err().to_string();
        assert!(
            error.ends_with("the array has shape [2, 7], the model takes (batch, 1, 28, 28)"),
            "{error}"
        );
        std::fs::write(&path, b"nonsense").unwrap();
        let error = read(&path, Shape::vector(7)).unwrap_err().to_string();
        assert!(error.contains("this is no NPY array"), "{error}");
    }
}
