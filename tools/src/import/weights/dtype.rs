//! What the numbers of a storage are.

use half::{bf16, f16};

/// The type of a tensor's elements, by its name in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 8 bytes; rounded to float32 when read.
    Float64,
    /// 4 bytes.
    Float32,
    /// 2 bytes: 5 bits of exponent.
    Float16,
    /// 2 bytes: the upper half of a float32.
    BFloat16,
    /// Whole numbers and truth values, of so many bytes: nothing that kinglet takes as weights.
    Integer(usize),
}

/// Which byte of a number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::Float64 => 8,
            Self::Float32 => 4,
            Self::Float16 | Self::BFloat16 => 2,
            Self::Integer(size) => size,
        }
    }

    /// The type of a storage class in the module `torch`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::Float64,
            "FloatStorage" => Self::Float32,
            "HalfStorage" => Self::Float16,
            "BFloat16Storage" => Self::BFloat16,
            "LongStorage" => Self::Integer(8),
            "IntStorage" => Self::Integer(4),
            "ShortStorage" => Self::Integer(2),
            "CharStorage" | "ByteStorage" | "BoolStorage" => Self::Integer(1),
            _ => return None,
        })
    }

    /// The element in `bytes`, of which there are [`size`](Self::size); None for integers.
    pub(super) fn read(self, bytes: &[u8], order: ByteOrder) -> Option<f32> {
        let mut little = [0; 8];
        let little = little.get_mut(..bytes.len())?;
        little.copy_from_slice(bytes);
        if order == ByteOrder::Big {
            little.reverse();
        }
        let little = &*little;
        Some(match self {
            Self::Float64 => f64::from_le_bytes(little.try_into().ok()?) as f32,
            Self::Float32 => f32::from_le_bytes(little.try_into().ok()?),
            Self::Float16 => f16::from_le_bytes(little.try_into().ok()?).to_f32(),
            Self::BFloat16 => bf16::from_le_bytes(little.try_into().ok()?).to_f32(),
            Self::Integer(_) => return None,
        })
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float64 => f.write_str("float64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float16 => f.write_str("float16"),
            Self::BFloat16 => f.write_str("bfloat16"),
            Self::Integer(1) => f.write_str("integers of 1 byte"),
            Self::Integer(size) => write!(f, "integers of {size} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_is_read_in_both_orders() {
        let cases: [(Dtype, &[u8], f32); 5] = [
            (Dtype::Float32, &(-1.5_f32).to_le_bytes(), -1.5),
            (Dtype::Float64, &0.1_f64.to_le_bytes(), 0.1),
            (Dtype::Float16, &[0x00, 0x3e], 1.5),
            // The smallest subnormal of float16.
            (Dtype::Float16, &[0x01, 0x00], 5.960_464_5e-8),
            (Dtype::BFloat16, &[0xc0, 0x3f], 1.5),
        ];
        for (dtype, little, right) in cases {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            assert_eq!(
                dtype.read(little, ByteOrder::Little),
                Some(right),
                "{dtype}"
            );
            assert_eq!(dtype.read(&big, ByteOrder::Big), Some(right), "{dtype}");
        }
        assert_eq!(Dtype::Integer(8).read(&[0; 8], ByteOrder::Little), None);
    }
}
