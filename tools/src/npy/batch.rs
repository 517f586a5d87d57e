//! A batch of samples in an array file, of which parts are read when they are needed: it may be larger than memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::array::Head;
use super::{Elements, NpyError};
use crate::array_layout::ArrayLayout;

/// What an array is to a network, NHWC.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Pixels, which become numbers as the model says.
    Pixels(Vec<u8>),
    /// What the network sees.
    Numbers(Vec<f32>),
}

/// A batch of arrays of one layout in a file.
pub struct Batch {
    path: PathBuf,
    content: Content,
    head: Head,
    layout: ArrayLayout,
    len: usize,
}

/// Where the bytes behind the head are.
enum Content {
    /// From this byte on.
    File(File, u64),
    /// In memory: of a pipe.
    Read(Vec<u8>),
}

impl Batch {
    /// Opens the file at `path` and checks what its head says.
    ///
    /// # Errors
    /// [`NpyError`] names the file and what would be right.
    pub fn open(path: &Path, layout: &ArrayLayout) -> Result<Self, NpyError> {
        let not_read = |source| NpyError::Read {
            path: path.to_owned(),
            source,
        };
        let wrong = |problem| NpyError::Array {
            path: path.to_owned(),
            problem,
        };
        let mut file = File::open(path).map_err(not_read)?;
        let head = Head::read(&file).map_err(wrong)?;
        let metadata = file.metadata().map_err(not_read)?;
        let content = match metadata.is_file() {
            true => {
                let start = file.stream_position().map_err(not_read)?;
                head.check(u128::from(metadata.len().saturating_sub(start)))
                    .map_err(wrong)?;
                Content::File(file, start)
            }
            false => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(not_read)?;
                head.check(bytes.len() as u128).map_err(wrong)?;
                Content::Read(bytes)
            }
        };
        let len = layout.batch(head.shape()).ok_or_else(|| NpyError::Shape {
            path: path.to_owned(),
            expected: layout.describe(),
            others: layout.others(head.shape()),
            found: head.shape().to_vec(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            content,
            head,
            layout: layout.clone(),
            len,
        })
    }

    /// Samples in the file; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The samples in `range`, NHWC. Of an array in Fortran order all of the file is read for it.
    ///
    /// # Errors
    /// [`NpyError::Integers`], or [`NpyError::Read`] where the file has become shorter since it was opened.
    ///
    /// # Panics
    /// If there are no such samples.
    pub fn part(&self, range: Range<usize>) -> Result<Values, NpyError> {
        let is_part = range.len() < self.len && self.head.is_in_order();
        // Of one sample the batch may be left out of the shape.
        let strides = match is_part {
            true => range.clone(),
            false => 0..self.head.shape().first().copied().unwrap_or(1),
        };
        let stride = self.head.stride();
        let bytes = self.bytes(strides.start * stride..strides.end * stride)?;
        let elements = self.head.part(&bytes, strides.len());
        let elements = elements.map_err(|problem| NpyError::Array {
            path: self.path.clone(),
            problem,
        })?;
        Ok(match elements {
            Elements::Bytes(pixels) => Values::Pixels(self.samples(pixels, range)),
            Elements::Floats(numbers) => Values::Numbers(self.samples(numbers, range)),
            Elements::Integers(_) => {
                return Err(NpyError::Integers {
                    path: self.path.clone(),
                });
            }
        })
    }

    /// Those bytes behind the head.
    fn bytes(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, NpyError> {
        let (mut file, start) = match &self.content {
            Content::Read(bytes) => return Ok(bytes[range].into()),
            Content::File(file, start) => (file, *start),
        };
        let mut bytes = vec![0; range.len()];
        let place = SeekFrom::Start(start.saturating_add(range.start as u64));
        let read = file.seek(place).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|source| NpyError::Read {
            path: self.path.clone(),
            source,
        })?;
        Ok(bytes.into())
    }

    /// The samples in `range` as the network has them, of elements that are theirs or the whole file's.
    fn samples<T: Copy>(&self, elements: Vec<T>, range: Range<usize>) -> Vec<T> {
        let len = self.layout.shape().len();
        let own = match elements.len() == range.len() * len {
            true => elements,
            false => elements[range.start * len..range.end * len].to_vec(),
        };
        self.layout.to_model(own)
    }
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::Shape;
    use ndarray::{Array2, ShapeBuilder};
    use ndarray_npy::write_npy;

    use super::*;

    #[test]
    fn parts_are_those_of_the_whole_in_either_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let layout = ArrayLayout::channels_first(Shape::vector(2));
        let rows: Vec<f64> = (0..10).map(f64::from).collect();
        let array = Array2::from_shape_vec((5, 2), rows).unwrap();
        let mut fortran = Array2::zeros((5, 2).f());
        fortran.assign(&array);
        for array in [array, fortran] {
            write_npy(&path, &array).unwrap();
            let batch = Batch::open(&path, &layout).unwrap();
            assert_eq!(batch.len(), 5);
            let part = |range| batch.part(range).unwrap();
            assert_eq!(part(1..3), Values::Numbers(vec![2.0, 3.0, 4.0, 5.0]));
            assert_eq!(part(4..5), Values::Numbers(vec![8.0, 9.0]));
            let all = (0..10_u8).map(f32::from).collect();
            assert_eq!(part(0..5), Values::Numbers(all));
        }
        write_npy(&path, &Array2::<i16>::zeros((5, 2))).unwrap();
        let batch = Batch::open(&path, &layout).unwrap();
        let error = batch.part(1..2).unwrap_err();
        assert!(matches!(error, NpyError::Integers { .. }), "{error}");
    }
}
