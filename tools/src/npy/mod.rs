//! Arrays in NPY files at the doors of a model: bytes are pixels, floats what the network sees.

mod array;
mod batch;

use std::io;
use std::path::{Path, PathBuf};

use ndarray::{ArrayViewD, IxDyn};
use ndarray_npy::{NpzWriter, WriteNpyExt};

pub use array::{Array, ArrayError, Elements};
pub use batch::{Batch, Values};

use crate::array_layout::{ArrayLayout, Layout};
use crate::file::{WriteError, write_atomic, write_atomic_by};

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
    /// The array is one of other integers.
    #[error(
        "{}: pixels are uint8 and what the network sees float32, these are other integers: x.astype(\"float32\")",
        path.display()
    )]
    Integers {
        /// The file.
        path: PathBuf,
    },
    /// The array has another shape than the model takes.
    #[error(
        "{}: the array has shape {found:?}, the model takes {expected}{}",
        path.display(),
        other_layouts(others)
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Shape of the array.
        found: Vec<usize>,
        /// What would be right.
        expected: String,
        /// The layouts that it does have.
        others: Vec<Layout>,
    },
    /// The arrays could not be packed.
    #[error("cannot pack the arrays: {0}")]
    Npz(#[from] ndarray_npy::WriteNpzError),
    /// The array could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// How else an array can be read.
fn other_layouts(others: &[Layout]) -> String {
    match others {
        [] => String::new(),
        [layout, ..] => format!("; it fits --layout {layout}"),
    }
}

/// Writes a batch of arrays of that layout to `path`; `values` are the array's elements in its order.
///
/// # Errors
/// [`NpyError::Write`]; an old file survives.
///
/// # Panics
/// If `values` are not whole samples.
pub fn write(path: &Path, layout: &ArrayLayout, values: &[f32]) -> Result<(), NpyError> {
    let array = array(layout, values);
    write_atomic_by(path, |file| array.write_npy(file).map_err(io::Error::other))?;
    Ok(())
}

/// Writes batches of arrays, each with its name, to one NPZ file; see [`write()`].
///
/// # Errors
/// [`NpyError::Npz`] if a name is there twice, and those of [`write()`].
///
/// # Panics
/// As [`write()`].
pub fn write_all<'a>(
    path: &Path,
    arrays: impl IntoIterator<Item = (&'a str, &'a ArrayLayout, &'a [f32])>,
) -> Result<(), NpyError> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut npz = NpzWriter::new(&mut bytes);
    for (name, layout, values) in arrays {
        npz.add_array(name, &array(layout, values))?;
    }
    npz.finish()?;
    write_atomic(path, bytes.get_ref())?;
    Ok(())
}

/// The elements of an array as a batch of it.
fn array<'a>(layout: &ArrayLayout, values: &'a [f32]) -> ArrayViewD<'a, f32> {
    let batch = values.len() / layout.shape().len().max(1);
    let extents = [&[batch], layout.array()].concat();
    ArrayViewD::from_shape(IxDyn(&extents), values).expect("whole samples of the layout")
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use kinglet_kernels::Shape;
    use ndarray::{Array1, ArrayD, OwnedRepr};
    use ndarray_npy::{NpzReader, ReadNpyExt};

    use super::*;

    fn read(path: &Path, layout: &ArrayLayout) -> Result<(usize, Values), NpyError> {
        let batch = Batch::open(path, layout)?;
        Ok((batch.len(), batch.part(0..batch.len())?))
    }

    #[test]
    fn pictures_change_between_nchw_and_nhwc() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let layout = ArrayLayout::channels_first(Shape::new(2, 3, 2));
        let nhwc: Vec<f32> = (0..24).map(|i| i as f32).collect();
        write(&path, &layout, &layout.to_array(nhwc.clone())).unwrap();
        let array = ArrayD::<f32>::read_npy(File::open(&path).unwrap()).unwrap();
        assert_eq!(array.shape(), [2, 2, 2, 3]);
        // Channel 1 of the first pixel of the first sample.
        assert_eq!(array[[0, 1, 0, 0]], 1.0);
        let read = read(&path, &layout).unwrap();
        assert_eq!(read, (2, Values::Numbers(nhwc)));
    }

    #[test]
    fn bytes_are_pixels_and_other_integers_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let layout = ArrayLayout::channels_first(Shape::vector(3));
        ndarray_npy::write_npy(&path, &Array1::from(vec![7_u8, 8, 9])).unwrap();
        let pixels = read(&path, &layout).unwrap();
        assert_eq!(pixels, (1, Values::Pixels(vec![7, 8, 9])));
        ndarray_npy::write_npy(&path, &Array1::from(vec![7_i32, 8, 9])).unwrap();
        let error = read(&path, &layout).unwrap_err().to_string();
        assert!(error.contains("these are other integers"), "{error}");
    }

    #[test]
    fn several_arrays_go_into_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let first = ArrayLayout::channels_first(Shape::vector(2));
        let second = ArrayLayout::channels_last(Shape::new(1, 2, 1));
        let arrays = [
            ("a/b:0", &first, &[1.0, 2.0][..]),
            ("c", &second, &[3.0, 4.0]),
        ];
        write_all(&path, arrays).unwrap();
        let mut npz = NpzReader::new(File::open(&path).unwrap()).unwrap();
        let array: ArrayD<f32> = npz.by_name::<OwnedRepr<f32>, IxDyn>("a/b:0").unwrap();
        assert_eq!(array.shape(), [1, 2]);
        let array: ArrayD<f32> = npz.by_name::<OwnedRepr<f32>, IxDyn>("c").unwrap();
        assert_eq!(array.shape(), [1, 1, 2, 1]);
    }

    #[test]
    fn another_shape_is_refused_with_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let vector = ArrayLayout::channels_first(Shape::vector(7));
        write(&path, &vector, &[0.0; 14]).unwrap();
        let pictures = ArrayLayout::channels_first(Shape::new(28, 28, 1));
        let error = read(&path, &pictures).unwrap_err().to_string();
        assert!(
            error.ends_with("the array has shape [2, 7], the model takes (batch, 1, 28, 28)"),
            "{error}"
        );
        let shape = Shape::new(4, 5, 3);
        let last = ArrayLayout::channels_last(shape);
        write(&path, &last, &[0.0; 60]).unwrap();
        let error = read(&path, &ArrayLayout::channels_first(shape)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("the model takes (batch, 3, 4, 5); it fits --layout nhwc"),
            "{error}"
        );
        std::fs::write(&path, b"nonsense").unwrap();
        let error = read(&path, &vector).unwrap_err().to_string();
        assert!(error.contains("this is no NPY array"), "{error}");
    }
}
