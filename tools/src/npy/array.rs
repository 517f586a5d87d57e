//! An NPY array of whatever element type, as far as data sets have them.

use std::io::Read;

use ndarray::ArrayD;
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadNpyExt, ReadableElement};

/// An array in C order.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The extents, slowest first.
    pub shape: Vec<usize>,
    /// What is in it.
    pub elements: Elements,
}

/// The elements of an array, in C order.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// uint8.
    Bytes(Vec<u8>),
    /// All other integers; what does not fit becomes the largest.
    Integers(Vec<i64>),
    /// float32, or float64 rounded to it.
    Floats(Vec<f32>),
}

/// An array could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayError {
    /// The header is not one of an NPY file.
    #[error("this is no NPY array: {0}")]
    Header(String),
    /// More or fewer bytes than the header says.
    #[error(
        "the array is {}: {found} bytes of {right} are there",
        if found < right { "truncated" } else { "longer than its header says" }
    )]
    Length {
        /// Bytes after the header.
        found: u128,
        /// Bytes that should be there.
        right: u128,
    },
    /// Elements of a type that is not read.
    #[error(
        "the elements are of type {0}; uint8, float32, float64 and integers are read: convert with .astype(...)"
    )]
    ElementType(String),
}

/// What the head of an array file says.
pub(super) struct Head {
    header: Header,
    /// `f4`: kind, and bytes of one element.
    kind: String,
    /// Bytes of one element.
    size: usize,
}

impl Head {
    /// Reads the head of an NPY file, and no byte more.
    ///
    /// # Errors
    /// [`ArrayError`].
    pub(super) fn read(mut file: impl Read) -> Result<Self, ArrayError> {
        let header = Header::from_reader(&mut file).map_err(header)?;
        let descriptor = header.type_descriptor.to_string();
        // '<f4': byte order, kind, bytes of one element.
        let kind = descriptor
            .trim_matches('\'')
            .trim_start_matches(['<', '>', '|', '=']);
        let size = match kind {
            "u1" | "B" | "i1" | "b" => 1,
            "u2" | "i2" => 2,
            "u4" | "i4" | "f4" => 4,
            "u8" | "i8" | "f8" => 8,
            _ => return Err(ArrayError::ElementType(descriptor)),
        };
        Ok(Self {
            kind: kind.to_owned(),
            size,
            header,
        })
    }

    /// Refuses a file that has not as many bytes behind the head as that says.
    pub(super) fn check(&self, found: u128) -> Result<(), ArrayError> {
        let extents = self.header.shape.iter();
        let right = extents.fold(self.size as u128, |bytes, &extent| {
            bytes.saturating_mul(extent as u128)
        });
        match found == right {
            true => Ok(()),
            false => Err(ArrayError::Length { found, right }),
        }
    }

    /// The extents, slowest first.
    pub(super) fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Whether what the first extent counts lies one after the other.
    pub(super) fn is_in_order(&self) -> bool {
        !self.header.layout.is_fortran()
    }

    /// The elements, in C order, out of all bytes of the file.
    pub(super) fn elements(&self, bytes: &[u8]) -> Result<Elements, ArrayError> {
        Ok(match self.kind.as_str() {
            "u1" | "B" => Elements::Bytes(elements::<u8, _>(bytes, |x| x)?),
            "i1" | "b" => Elements::Integers(elements::<i8, _>(bytes, i64::from)?),
            "u2" => Elements::Integers(elements::<u16, _>(bytes, i64::from)?),
            "i2" => Elements::Integers(elements::<i16, _>(bytes, i64::from)?),
            "u4" => Elements::Integers(elements::<u32, _>(bytes, i64::from)?),
            "i4" => Elements::Integers(elements::<i32, _>(bytes, i64::from)?),
            "u8" => Elements::Integers(elements::<u64, _>(bytes, |x| {
                i64::try_from(x).unwrap_or(i64::MAX)
            })?),
            "i8" => Elements::Integers(elements::<i64, _>(bytes, |x| x)?),
            "f4" => Elements::Floats(elements::<f32, _>(bytes, |x| x)?),
            _ => Elements::Floats(elements::<f64, _>(bytes, |x| x as f32)?),
        })
    }

    /// Bytes of what is counted once by the first extent, of an array whose elements [are in order](Self::is_in_order).
    pub(super) fn stride(&self) -> usize {
        self.header.shape.iter().skip(1).product::<usize>() * self.size
    }

    /// The elements in `count` such strides: a part of an array is an array.
    pub(super) fn part(&self, strides: &[u8], count: usize) -> Result<Elements, ArrayError> {
        let mut part = self.header.clone();
        part.shape
            .iter_mut()
            .take(1)
            .for_each(|extent| *extent = count);
        let mut file = part.to_bytes().map_err(header)?;
        file.extend(strides);
        self.elements(&file)
    }
}

impl Array {
    /// Reads the bytes of an NPY file.
    ///
    /// # Errors
    /// [`ArrayError`]. Nothing is allocated on the word of a header alone.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArrayError> {
        let mut body = bytes;
        let head = Head::read(&mut body)?;
        head.check(body.len() as u128)?;
        let elements = head.elements(bytes)?;
        Ok(Self {
            shape: head.header.shape,
            elements,
        })
    }
}

/// What the reader says, in one line.
fn header(error: impl std::fmt::Display) -> ArrayError {
    let text = error.to_string();
    ArrayError::Header(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The elements in C order, whatever the file's, each converted.
fn elements<T: ReadableElement + Copy, U>(
    bytes: &[u8],
    convert: impl Fn(T) -> U,
) -> Result<Vec<U>, ArrayError> {
    let array = ArrayD::<T>::read_npy(bytes).map_err(header)?;
    Ok(array.iter().copied().map(convert).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, ShapeBuilder, array};
    use ndarray_npy::WriteNpyExt;

    use super::*;

    fn npy(array: &impl WriteNpyExt) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn every_element_type_is_read() {
        let parse = |bytes: Vec<u8>| Array::parse(&bytes).unwrap().elements;
        assert_eq!(
            parse(npy(&array![1_u8, 255])),
            Elements::Bytes(vec![1, 255])
        );
        assert_eq!(
            parse(npy(&array![-1_i8, 2])),
            Elements::Integers(vec![-1, 2])
        );
        assert_eq!(
            parse(npy(&array![-300_i16])),
            Elements::Integers(vec![-300])
        );
        assert_eq!(
            parse(npy(&array![65535_u16])),
            Elements::Integers(vec![65535])
        );
        assert_eq!(parse(npy(&array![-7_i32])), Elements::Integers(vec![-7]));
        assert_eq!(parse(npy(&array![7_u32])), Elements::Integers(vec![7]));
        assert_eq!(parse(npy(&array![-9_i64])), Elements::Integers(vec![-9]));
        assert_eq!(
            parse(npy(&array![u64::MAX])),
            Elements::Integers(vec![i64::MAX])
        );
        assert_eq!(parse(npy(&array![0.5_f32])), Elements::Floats(vec![0.5]));
        assert_eq!(parse(npy(&array![0.1_f64])), Elements::Floats(vec![0.1]));
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        let array = Array2::from_shape_vec((2, 3).f(), vec![1_u8, 4, 2, 5, 3, 6]).unwrap();
        let bytes = npy(&array);
        assert!(String::from_utf8_lossy(&bytes).contains("'fortran_order': True"));
        let parsed = Array::parse(&bytes).unwrap();
        assert_eq!(parsed.shape, [2, 3]);
        assert_eq!(parsed.elements, Elements::Bytes(vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_header_that_lies_is_not_believed() {
        let honest = npy(&Array1::<u8>::zeros(9));
        let place = honest.windows(5).position(|w| w == b"(9,)}").unwrap();
        let lying = |digits: &str| {
            let shape = format!("({digits},)}}");
            let mut bytes = honest.clone();
            // The padding behind has room for the digits.
            bytes.splice(place..place + shape.len(), shape.bytes());
            Array::parse(&bytes)
        };
        assert_eq!(
            lying("9000000000000000000"),
            Err(ArrayError::Length {
                found: 9,
                right: 9_000_000_000_000_000_000
            })
        );
        assert!(matches!(
            lying("9999999999999999999999"),
            Err(ArrayError::Header(_))
        ));
    }

    #[test]
    fn cut_long_and_foreign_arrays_are_refused() {
        let whole = npy(&array![1_i32, 2, 3]);
        let cut = Array::parse(&whole[..whole.len() - 1]).unwrap_err();
        assert_eq!(
            cut.to_string(),
            "the array is truncated: 11 bytes of 12 are there"
        );
        let long = Array::parse(&[&whole[..], &[0]].concat()).unwrap_err();
        assert_eq!(
            long.to_string(),
            "the array is longer than its header says: 13 bytes of 12 are there"
        );
        let foreign = Array::parse(&npy(&array![true])).unwrap_err().to_string();
        assert!(
            foreign.starts_with("the elements are of type '|b1'"),
            "{foreign}"
        );
        for bytes in [&b""[..], b"text", &whole[..20]] {
            assert!(matches!(Array::parse(bytes), Err(ArrayError::Header(_))));
        }
    }
}
