//! Tables of flatbuffers, read without unsafe code.
//!
//! A buffer is first verified as a whole by the `flatbuffers` crate, which also bounds how deep and how many its
//! tables are. Reading does not rely on that: whatever lies outside of the buffer is absent. [The
//! format](https://flatbuffers.dev/internals/): a table begins with the distance back to its vtable, whose first two
//! numbers are lengths and whose others say where in the table each field is, 0 for one that is absent.

use std::marker::PhantomData;

use flatbuffers::{
    ForwardsUOffset, InvalidFlatbuffer, Vector, Verifiable, Verifier, VerifierOptions,
};

/// What a field of a table or an element of a list may be.
pub(super) trait Field<'a>: Sized {
    /// How the `flatbuffers` crate calls that, for its verification.
    type Verified: Verifiable;
    /// Bytes that it takes in its place.
    const SIZE: usize;
    /// What stands at a position; None if that is not in the buffer.
    fn read(bytes: &'a [u8], position: usize) -> Option<Self>;
}

/// Verifies a buffer and reads the table it begins with.
pub(super) fn root<'a, T: Field<'a>>(bytes: &'a [u8]) -> Result<T, InvalidFlatbuffer> {
    let options = VerifierOptions::default();
    T::Verified::run_verifier(&mut Verifier::new(&options, bytes), 0)?;
    let absent = || InvalidFlatbuffer::new_missing_required::<T>("root");
    T::read(bytes, 0).map_or_else(absent, Ok)
}

/// A table at its position in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Table<'a> {
    /// Field number `number` of the schema, counted from 0, where a union is two; None if it is absent.
    pub(super) fn get<T: Field<'a>>(self, number: u16) -> Option<T> {
        let back = i32::read(self.bytes, self.position)?;
        let vtable = i64::try_from(self.position).ok()? - i64::from(back);
        let vtable = usize::try_from(vtable).ok()?;
        let len = u16::read(self.bytes, vtable)?;
        let slot = slot(number);
        if slot + 2 > len {
            return None;
        }
        match u16::read(self.bytes, vtable + usize::from(slot))? {
            0 => None,
            offset => T::read(self.bytes, self.position + usize::from(offset)),
        }
    }
}

impl<'a> Field<'a> for Table<'a> {
    type Verified = ForwardsUOffset<Self>;
    const SIZE: usize = 4;

    fn read(bytes: &'a [u8], position: usize) -> Option<Self> {
        let position = target(bytes, position)?;
        Some(Self { bytes, position })
    }
}

/// A table of which no field is read.
impl Verifiable for Table<'_> {
    fn run_verifier(
        verifier: &mut Verifier<'_, '_>,
        position: usize,
    ) -> Result<(), InvalidFlatbuffer> {
        verifier.visit_table(position)?.finish();
        Ok(())
    }
}

/// Where in a vtable field number `number` is: behind the two lengths.
pub(super) const fn slot(number: u16) -> u16 {
    4 + 2 * number
}

/// The position that the offset at another one leads to.
fn target(bytes: &[u8], position: usize) -> Option<usize> {
    let offset = u32::read(bytes, position)?;
    position.checked_add(usize::try_from(offset).ok()?)
}

/// A list in a buffer: what flatbuffers call a vector.
#[derive(Clone, Copy)]
pub(super) struct List<'a, T> {
    bytes: &'a [u8],
    /// Where the first element is.
    start: usize,
    len: usize,
    element: PhantomData<T>,
}

impl<'a, T: Field<'a>> List<'a, T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, index: usize) -> Option<T> {
        let place = Some(index).filter(|index| *index < self.len)?;
        T::read(self.bytes, self.start + place * T::SIZE)
    }
}

impl<'a> List<'a, u8> {
    /// The elements themselves.
    pub(super) fn bytes(&self) -> &'a [u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl<'a, T: Field<'a>> Field<'a> for List<'a, T>
where
    T::Verified: 'a,
    Vector<'a, T::Verified>: Verifiable,
{
    type Verified = ForwardsUOffset<Vector<'a, T::Verified>>;
    const SIZE: usize = 4;

    fn read(bytes: &'a [u8], position: usize) -> Option<Self> {
        let (start, len) = elements(bytes, position, T::SIZE)?;
        Some(Self {
            bytes,
            start,
            len,
            element: PhantomData,
        })
    }
}

/// Where the elements are of the list that the offset at `position` leads to, and how many; None if not all of them
/// are in the buffer.
fn elements(bytes: &[u8], position: usize, size: usize) -> Option<(usize, usize)> {
    let list = target(bytes, position)?;
    let len = usize::try_from(u32::read(bytes, list)?).ok()?;
    let start = list + 4;
    let end = start.checked_add(len.checked_mul(size)?)?;
    (end <= bytes.len()).then_some((start, len))
}

impl<'a, T: Field<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Elements<'a, T>;

    fn into_iter(self) -> Elements<'a, T> {
        Elements {
            list: self,
            next: 0,
        }
    }
}

impl<'a, T: Field<'a>> IntoIterator for &List<'a, T> {
    type Item = T;
    type IntoIter = Elements<'a, T>;

    fn into_iter(self) -> Elements<'a, T> {
        let list = List { ..*self };
        list.into_iter()
    }
}

/// The elements of a list in their order.
pub(super) struct Elements<'a, T> {
    list: List<'a, T>,
    next: usize,
}

impl<'a, T: Field<'a>> Iterator for Elements<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let element = self.list.get(self.next)?;
        self.next += 1;
        Some(element)
    }
}

impl<'a> Field<'a> for &'a str {
    type Verified = ForwardsUOffset<&'a str>;
    const SIZE: usize = 4;

    fn read(bytes: &'a [u8], position: usize) -> Option<Self> {
        let (start, len) = elements(bytes, position, 1)?;
        str::from_utf8(&bytes[start..start + len]).ok()
    }
}

impl Field<'_> for bool {
    type Verified = Self;
    const SIZE: usize = 1;

    fn read(bytes: &[u8], position: usize) -> Option<Self> {
        bytes.get(position).map(|byte| *byte != 0)
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Field<'_> for $type {
            type Verified = Self;
            const SIZE: usize = size_of::<Self>();

            fn read(bytes: &[u8], position: usize) -> Option<Self> {
                let number = bytes.get(position..)?.first_chunk()?;
                Some(Self::from_le_bytes(*number))
            }
        }
    )*};
}
numbers!(i8 u8 u16 i32 u32 i64 f32);

/// Tables of a schema: each field with its number, and its default where it is not an offset.
macro_rules! tables {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($number:literal $field:ident: $type:ty $(= $default:expr)?,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name<'a>($crate::import::tflite::table::Table<'a>);

        impl<'a> $name<'a> {
            $(tables!(@field $number $field: $type $(= $default)?);)*
        }

        $crate::import::tflite::table::tables!(@table $name);

        impl<'a> flatbuffers::Verifiable for $name<'a> {
            fn run_verifier(
                verifier: &mut flatbuffers::Verifier<'_, '_>,
                position: usize,
            ) -> Result<(), flatbuffers::InvalidFlatbuffer> {
                verifier
                    .visit_table(position)?
                    $(.visit_field::<<$type as $crate::import::tflite::table::Field<'a>>::Verified>(
                        stringify!($field),
                        $crate::import::tflite::table::slot($number),
                        false,
                    )?)*
                    .finish();
                Ok(())
            }
        }
    )*};
    (@field $number:literal $field:ident: $type:ty) => {
        pub(super) fn $field(self) -> Option<$type> {
            self.0.get($number)
        }
    };
    (@field $number:literal $field:ident: $type:ty = $default:expr) => {
        pub(super) fn $field(self) -> $type {
            self.0.get($number).unwrap_or($default)
        }
    };
    (@table $name:ident) => {
        impl<'a> $crate::import::tflite::table::Field<'a> for $name<'a> {
            type Verified = flatbuffers::ForwardsUOffset<Self>;
            const SIZE: usize = 4;

            fn read(bytes: &'a [u8], position: usize) -> Option<Self> {
                $crate::import::tflite::table::Table::read(bytes, position).map(Self)
            }
        }
    };
}
pub(super) use tables;

#[cfg(test)]
mod tests;
