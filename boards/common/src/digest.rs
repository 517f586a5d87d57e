//! Many numbers as one: CRC-32 (the one of zlib) over their bytes, little-endian. Two machines that print
//! the same digest have computed the same bits.

use crc::{CRC_32_ISO_HDLC, Crc};

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// A digest that grows part by part.
pub struct Digest(crc::Digest<'static, u32>);

impl Digest {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(CRC.digest())
    }

    /// Adds numbers.
    pub fn add(&mut self, values: &[f32]) {
        for value in values {
            self.0.update(&value.to_le_bytes());
        }
    }

    /// The digest of all that was added.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

/// The digest of one slice.
pub fn of_f32(values: &[f32]) -> u32 {
    let mut digest = Digest::new();
    digest.add(values);
    digest.finish()
}

/// The digest of bytes.
pub fn of_bytes(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_of_zlib_over_little_endian_bytes() {
        assert_eq!(of_bytes(b"123456789"), 0xCBF4_3926);
        let values = [1.0, -0.0, f32::NAN];
        let bytes: Vec<u8> = values.iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
        assert_eq!(of_f32(&values), of_bytes(&bytes));
    }

    #[test]
    fn parts_make_the_whole_and_signs_of_zero_differ() {
        let mut digest = Digest::new();
        digest.add(&[1.0]);
        digest.add(&[2.0, 3.0]);
        assert_eq!(digest.finish(), of_f32(&[1.0, 2.0, 3.0]));
        assert_ne!(of_f32(&[0.0]), of_f32(&[-0.0]));
    }
}
