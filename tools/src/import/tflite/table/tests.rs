//! Tables by hand: a vtable that says where fields are, the table, and what its offsets lead to.

use flatbuffers::InvalidFlatbuffer;

use super::*;

tables! {
    /// One field of each kind.
    Sample {
        0 small: i8 = -3,
        1 flag: bool = true,
        2 number: f32 = 0.5,
        3 text: &'a str,
        4 numbers: List<'a, i32>,
        5 inner: Sample<'a>,
        6 inners: List<'a, Sample<'a>>,
    }
}

/// A buffer of these words, little-endian.
fn buffer(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Two numbers of a vtable as a word.
const fn pair(first: u32, second: u32) -> u32 {
    first | second << 16
}

/// A buffer with a table at byte 24 that has all but `inners`, and an empty one at byte 72.
fn full() -> Vec<u8> {
    buffer(&[
        24,              // 0: the root
        pair(16, 24),    // 4: the vtable: its length and the table's
        pair(4, 5),      // small, flag
        pair(8, 12),     // number, text
        pair(16, 20),    // numbers, inner
        0,               // 20: padding
        20,              // 24: the table, 20 behind its vtable
        pair(0x0107, 0), // small and flag
        1.25f32.to_bits(),
        12, // 36: text at 48
        16, // 40: numbers at 56
        28, // 44: inner at 72
        2,  // 48: text
        u32::from_le_bytes(*b"ab\0\0"),
        2, // 56: numbers
        7,
        -8i32 as u32,
        pair(4, 4), // 68: a vtable without fields
        4,          // 72: the inner table
    ])
}

fn read(bytes: &[u8]) -> Result<Sample<'_>, InvalidFlatbuffer> {
    root(bytes)
}

#[test]
fn fields_are_read_where_the_vtable_says() {
    let bytes = full();
    let sample = read(&bytes).unwrap();
    assert_eq!((sample.small(), sample.flag()), (7, true));
    assert_eq!(sample.number(), 1.25);
    assert_eq!(sample.text(), Some("ab"));
    let numbers = sample.numbers().unwrap();
    assert_eq!((numbers.len(), numbers.is_empty()), (2, false));
    assert_eq!((numbers.get(1), numbers.get(2)), (Some(-8), None));
    assert_eq!(numbers.into_iter().collect::<Vec<i32>>(), [7, -8]);
    assert!(sample.inner().is_some());
}

#[test]
fn absent_fields_are_defaults() {
    let bytes = full();
    // The vtable of the outer table ends before its last field, that of the inner one before its first.
    let sample = read(&bytes).unwrap();
    assert!(sample.inners().is_none());
    let inner = sample.inner().unwrap();
    assert_eq!((inner.small(), inner.flag()), (-3, true));
    assert_eq!(inner.number(), 0.5);
    assert!(inner.text().is_none() && inner.numbers().is_none() && inner.inner().is_none());
    // An offset of 0 in the vtable.
    let mut bytes = bytes;
    bytes[8] = 0;
    assert_eq!(read(&bytes).unwrap().small(), -3);
}

#[test]
fn damaged_vtables_are_refused() {
    let refused = |at: usize, bytes: &[u8]| {
        let mut damaged = full();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        read(&damaged).map(|_| ()).unwrap_err()
    };
    use InvalidFlatbuffer::{RangeOutOfBounds, SignedOffsetOutOfBounds, Unaligned};
    // The table lies outside, or its vtable.
    let outside = refused(0, &1000u32.to_le_bytes());
    assert!(matches!(outside, RangeOutOfBounds { .. }), "{outside}");
    let before = refused(24, &i32::MAX.to_le_bytes());
    assert!(matches!(before, SignedOffsetOutOfBounds { .. }), "{before}");
    let behind = refused(24, &i32::MIN.to_le_bytes());
    assert!(matches!(behind, SignedOffsetOutOfBounds { .. }), "{behind}");
    // The vtable is longer than the file, or of an odd length.
    let long = refused(4, &[0xf0, 0xff]);
    assert!(matches!(long, RangeOutOfBounds { .. }), "{long}");
    let odd = refused(4, &[15, 0]);
    assert!(matches!(odd, Unaligned { .. }), "{odd}");
    // A field lies outside.
    let field = refused(12, &[0xf0, 0xff]);
    assert!(matches!(field, RangeOutOfBounds { .. }), "{field}");
}

#[test]
fn lists_that_are_longer_than_the_file_are_refused() {
    for len in [100, u32::MAX / 4, u32::MAX] {
        for at in [48, 56] {
            let mut bytes = full();
            bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
            let error = read(&bytes).map(|_| ()).unwrap_err();
            assert!(
                matches!(error, InvalidFlatbuffer::RangeOutOfBounds { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn tables_within_tables_are_refused_where_they_are_too_many() {
    let nested = |levels: usize| {
        let mut words = vec![4];
        for _ in 0..levels {
            // A table with `inner` alone, which follows behind its vtable.
            words.extend([-8i32 as u32, 20, pair(16, 8), 0, 0, pair(0, 4)]);
        }
        words.extend([-4i32 as u32, pair(4, 4)]);
        buffer(&words)
    };
    let bytes = nested(60);
    let innermost = (0..60).try_fold(read(&bytes).unwrap(), |table, _| table.inner());
    assert!(innermost.unwrap().inner().is_none());
    let error = read(&nested(100)).map(|_| ()).unwrap_err();
    assert_eq!(error, InvalidFlatbuffer::DepthLimitReached);
    // Offsets lead forwards: no table can hold itself.
    let mut bytes = full();
    bytes[44..48].copy_from_slice(&(-20i32).to_le_bytes());
    assert!(read(&bytes).is_err());
}

#[test]
fn nothing_outside_of_the_buffer_is_read_where_nothing_was_verified() {
    let bytes = full();
    for len in 0..bytes.len() {
        let part = &bytes[..len];
        assert!(read(part).is_err());
        let Some(sample) = Sample::read(part, 0) else {
            continue;
        };
        let _ = (sample.small(), sample.flag(), sample.number());
        assert!(sample.text().is_none_or(|text| text == "ab"));
        let numbers = sample.numbers().into_iter().flatten();
        assert!(numbers.count() <= 2);
        let _ = sample.inner().map(|inner| inner.number());
    }
}
